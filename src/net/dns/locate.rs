//! RFC 3263 §4: from a host name to addresses, given the records.
//!
//! ```text
//!  host ──> NAPTR ──> SRV of each service ──> A, AAAA of each server
//!            none ──> SRV of each transport ──> ...
//!                              none ──> A, AAAA of the host itself
//! ```
//!
//! A pure function over the records known so far: what is missing comes back as questions, and it
//! is called again with their answers. It never follows a name further than this picture, so a
//! zone cannot lead it in circles, and it reads a bounded part of each answer.

use super::record::{Kind, Question, Record, Records};
use crate::sip::interface::Transport;
use crate::time::Rng;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// Addresses that are worth a try.
pub const TARGETS_MAX: usize = 16;

/// Services, servers of a service, and names of servers that are looked at.
const SERVICES_MAX: usize = 8;
const SERVERS_MAX: usize = 32;

/// What is to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The host of the URI.
    pub host: String,
    /// Its port, if it has one.
    pub port: Option<u16>,
    /// The transport, if the URI or its scheme name one.
    pub transport: Option<Transport>,
}

/// The sockets that we have, in order of preference: transport, and whether for IPv4.
pub type Ways<'a> = &'a [(Transport, bool)];

/// How far the records led.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Located {
    /// Where to send, best first; empty: nowhere.
    Found(Vec<(Transport, SocketAddr)>),
    /// These are to be answered first.
    Ask(Vec<Question>),
}

/// Finds the targets, or what has to be asked first.
///
/// The same `rng` seed must be given for each call of one search. Cost: linear in what is read of
/// the records, at most 8 services of 32 servers.
pub fn locate(
    wanted: &Wanted,
    ways: Ways<'_>,
    known: &BTreeMap<Question, Records>,
    rng: &mut Rng,
) -> Located {
    let mut search = Search { ways, known, missing: Vec::new() };
    let targets = search.targets(wanted, rng);
    if !search.missing.is_empty() {
        return Located::Ask(search.missing);
    }
    let mut found = Vec::new();
    for target in targets {
        if !found.contains(&target) && found.len() < TARGETS_MAX {
            found.push(target);
        }
    }
    Located::Found(found)
}

struct Search<'a> {
    ways: Ways<'a>,
    known: &'a BTreeMap<Question, Records>,
    missing: Vec<Question>,
}

/// A name that has addresses, and what to do with them.
struct Server {
    transport: Transport,
    name: String,
    port: u16,
}

impl Search<'_> {
    fn targets(&mut self, wanted: &Wanted, rng: &mut Rng) -> Vec<(Transport, SocketAddr)> {
        let transport = wanted.transport.unwrap_or_else(|| self.first_transport());
        let port = wanted.port.unwrap_or(default_port(transport));
        //= RFC 3263 §4.1 and §4.2: a numeric host, or one with a port, is not looked up further
        let bare = wanted.host.trim_matches(['[', ']']);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return vec![(transport, SocketAddr::new(address, port))];
        }
        let itself = Server { transport, name: wanted.host.clone(), port };
        if wanted.port.is_some() {
            return self.addresses(&[itself]);
        }
        let services = match wanted.transport {
            //= RFC 3263 §4.1: a transport that is named is not asked for
            Some(transport) => vec![(transport, service_name(transport, &wanted.host))],
            None => self.services(&wanted.host),
        };
        match self.servers(&services, rng) {
            // What follows depends on answers that are not there yet.
            _ if !self.missing.is_empty() => Vec::new(),
            Some(servers) => self.addresses(&servers),
            //= RFC 3263 §4.2: without SRV records, A and AAAA of the host itself
            None => self.addresses(&[itself]),
        }
    }

    /// What a sip URI without transport and port is sent over.
    //= RFC 3263 §4.1: UDP for a SIP URI
    fn first_transport(&self) -> Transport {
        let has = |wanted| self.ways.iter().any(|(transport, _)| *transport == wanted);
        [Transport::Udp, Transport::Tcp, Transport::Tls]
            .into_iter()
            .find(|transport| has(*transport))
            .unwrap_or(Transport::Udp)
    }

    /// The services of a domain that we can speak, best first.
    fn services(&mut self, host: &str) -> Vec<(Transport, String)> {
        // Without an answer the caller stops, whatever this is.
        let Some(records) = self.answer(host, Kind::Naptr) else { return Vec::new() };
        let mut usable: Vec<_> = records.iter().filter_map(|record| self.usable(record)).collect();
        usable.sort_by_key(|(rank, ..)| *rank);
        usable.truncate(SERVICES_MAX);
        if !usable.is_empty() {
            return usable.into_iter().map(|(_, transport, name)| (transport, name)).collect();
        }
        //= RFC 3263 §4.1: without NAPTR records, SRV for each transport that we have
        let mut services: Vec<(Transport, String)> = Vec::new();
        for transport in [Transport::Udp, Transport::Tcp, Transport::Tls] {
            if self.ways.iter().any(|(way, _)| *way == transport) {
                services.push((transport, service_name(transport, host)));
            }
        }
        services
    }

    //= RFC 3263 §4.1: services that are not known or not supported are discarded
    fn usable(&self, record: &Record) -> Option<((u16, u16), Transport, String)> {
        let Record::Naptr { order, preference, flags, service, replacement } = record else {
            return None;
        };
        let transport = match service.as_str() {
            "SIP+D2U" => Transport::Udp,
            "SIP+D2T" => Transport::Tcp,
            "SIPS+D2T" => Transport::Tls,
            _ => return None,
        };
        let ours = self.ways.iter().any(|(way, _)| *way == transport);
        let terminal = flags == "s" && !replacement.is_empty();
        (ours && terminal).then(|| ((*order, *preference), transport, replacement.clone()))
    }

    /// The servers of all services in the order to be tried; `None` if there is no SRV record.
    fn servers(&mut self, services: &[(Transport, String)], rng: &mut Rng) -> Option<Vec<Server>> {
        let mut servers = Vec::new();
        let mut any = false;
        for (transport, name) in services {
            let Some(records) = self.answer(name, Kind::Srv) else { continue };
            for (target, port) in in_order(&records, rng) {
                any = true;
                //= RFC 2782: a target of "." means that the service is decidedly not available
                if !target.is_empty() && servers.len() < SERVERS_MAX {
                    servers.push(Server { transport: *transport, name: target, port });
                }
            }
        }
        any.then_some(servers)
    }

    fn addresses(&mut self, servers: &[Server]) -> Vec<(Transport, SocketAddr)> {
        let mut targets = Vec::new();
        for server in servers.iter().take(TARGETS_MAX) {
            let families: Vec<bool> = self
                .ways
                .iter()
                .filter(|(transport, _)| *transport == server.transport)
                .map(|(_, v4)| *v4)
                .collect();
            for (at, v4) in families.iter().enumerate() {
                if families[..at].contains(v4) {
                    continue;
                }
                let kind = if *v4 { Kind::A } else { Kind::Aaaa };
                let Some(records) = self.answer(&server.name, kind) else { continue };
                for record in records.iter().take(TARGETS_MAX) {
                    if let Record::Address(ip) = record {
                        targets.push((server.transport, SocketAddr::new(*ip, server.port)));
                    }
                }
            }
        }
        targets
    }

    fn answer(&mut self, name: &str, kind: Kind) -> Option<Records> {
        let question = Question::new(name, kind);
        let known = self.known.get(&question).cloned();
        if known.is_none() && !self.missing.contains(&question) {
            self.missing.push(question);
        }
        known
    }
}

/// Targets and ports of SRV records in the order to be tried.
//= RFC 2782: lowest priority first; among equals by chance in proportion to the weight
fn in_order(records: &[Record], rng: &mut Rng) -> Vec<(String, u16)> {
    let mut left: Vec<(u16, u16, &str, u16)> = records
        .iter()
        .filter_map(|record| match record {
            Record::Srv { priority, weight, port, target } => {
                Some((*priority, *weight, target.as_str(), *port))
            }
            Record::Address(_) | Record::Naptr { .. } => None,
        })
        .collect();
    // Weight 0 stands first, so that it is taken only when the draw is 0.
    left.sort_by_key(|(priority, weight, ..)| (*priority, *weight > 0));
    left.truncate(SERVERS_MAX);
    let mut ordered = Vec::with_capacity(left.len());
    while let Some((priority, ..)) = left.first().copied() {
        let equals = left.iter().take_while(|(other, ..)| *other == priority);
        let total: u64 = equals.clone().map(|(_, weight, ..)| u64::from(*weight)).sum();
        let draw = rng.below(total + 1);
        let mut sum = 0;
        let chosen = equals.clone().position(|(_, weight, ..)| {
            sum += u64::from(*weight);
            sum >= draw
        });
        let (_, _, target, port) = left.remove(chosen.unwrap_or(0));
        ordered.push((target.to_owned(), port));
    }
    ordered
}

fn service_name(transport: Transport, host: &str) -> String {
    let service = match transport {
        Transport::Udp => "_sip._udp",
        Transport::Tcp => "_sip._tcp",
        Transport::Tls => "_sips._tcp",
    };
    format!("{service}.{host}")
}

fn default_port(transport: Transport) -> u16 {
    match transport {
        Transport::Udp | Transport::Tcp => 5060,
        Transport::Tls => 5061,
    }
}

#[cfg(test)]
mod tests;
