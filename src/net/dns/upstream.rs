//! The door to `hickory-resolver`: one question to the name servers, one plain answer back.
//!
//! Keeps nothing: remembering is [`super::cache`]'s. Addresses of `/etc/hosts` stand above DNS.

use super::record::{Kind, Question, Record};
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError, NoRecords};
use hickory_resolver::proto::op::{Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{Hosts, TokioResolver};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Records of one answer that are looked at.
const RECORDS_MAX: usize = 256;

/// How long an entry of `/etc/hosts` is believed before the file is read again.
const HOSTS_TTL: Duration = Duration::from_secs(30);

/// What is believed of a negative answer that does not say how long it holds.
const NEGATIVE_TTL: Duration = Duration::from_secs(10);

/// One try of one server; lost datagrams are sent again after it.
const TRY_MAX: Duration = Duration::from_millis(1000);
const TRIES: usize = 2;

/// What the servers said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// These records; empty: there are none; for that long.
    Records(Vec<Record>, Duration),
    /// Nobody knows.
    Failed(String),
}

pub(super) struct Upstream {
    resolver: TokioResolver,
    hosts: bool,
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

impl Upstream {
    /// Asks `servers`, or those of the system if there are none.
    pub(super) fn new(servers: &[SocketAddr], hosts: bool) -> Result<Self, String> {
        let (config, options) = if servers.is_empty() {
            hickory_resolver::system_conf::read_system_conf()
                .unwrap_or_else(|_| (of_servers(&[local_server()]), ResolverOpts::default()))
        } else {
            (of_servers(servers), ResolverOpts::default())
        };
        let config =
            if config.name_servers().is_empty() { of_servers(&[local_server()]) } else { config };
        let provider = TokioRuntimeProvider::default();
        let mut builder =
            TokioResolver::builder_with_config(config, provider).with_options(options);
        let options = builder.options_mut();
        options.cache_size = 0;
        options.timeout = TRY_MAX;
        options.attempts = TRIES;
        options.use_hosts_file = ResolveHosts::Never;
        // CNAME records stay in the answer, so that their TTLs count as well.
        options.preserve_intermediates = true;
        let resolver = builder.build().map_err(|error| error.to_string())?;
        Ok(Self { resolver, hosts })
    }

    pub(super) async fn ask(&self, question: &Question) -> Reply {
        let kind = match question.kind {
            Kind::A => RecordType::A,
            Kind::Aaaa => RecordType::AAAA,
            Kind::Srv => RecordType::SRV,
            Kind::Naptr => RecordType::NAPTR,
        };
        let Ok(mut name) = Name::from_ascii(&question.name) else {
            return Reply::Records(Vec::new(), NEGATIVE_TTL);
        };
        // Only hosts are sought in the search domains of the system.
        name.set_fqdn(matches!(question.kind, Kind::Srv | Kind::Naptr));
        if self.hosts && !name.is_fqdn() {
            let listed = listed(&name, kind);
            if !listed.is_empty() {
                return Reply::Records(listed, HOSTS_TTL);
            }
        }
        match self.resolver.lookup(name, kind).await {
            Ok(found) => {
                let ttl = found.answers().iter().map(|record| record.ttl).min().unwrap_or(0);
                let records = found.answers().iter().filter(|record| record.record_type() == kind);
                let records = records.filter_map(|record| plain(&record.data)).take(RECORDS_MAX);
                Reply::Records(records.collect(), Duration::from_secs(u64::from(ttl)))
            }
            Err(error) => refused(&error),
        }
    }
}

fn refused(error: &NetError) -> Reply {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(NoRecords {
            response_code: ResponseCode::NoError | ResponseCode::NXDomain,
            negative_ttl,
            ..
        })) => {
            let ttl = negative_ttl.map(|ttl| Duration::from_secs(u64::from(ttl)));
            Reply::Records(Vec::new(), ttl.unwrap_or(NEGATIVE_TTL))
        }
        other => Reply::Failed(other.to_string()),
    }
}

/// What `/etc/hosts` says. Cost: reads the file.
fn listed(name: &Name, kind: RecordType) -> Vec<Record> {
    let hosts = Hosts::from_system().unwrap_or_default();
    let found = hosts.lookup_static_host(&Query::query(name.clone(), kind));
    let answers = found.iter().flat_map(Lookup::answers);
    answers.filter_map(|record| plain(&record.data)).take(RECORDS_MAX).collect()
}

fn plain(record: &RData) -> Option<Record> {
    match record {
        RData::A(ip) => Some(Record::Address(IpAddr::V4(ip.0))),
        RData::AAAA(ip) => Some(Record::Address(IpAddr::V6(ip.0))),
        RData::SRV(srv) => Some(Record::Srv {
            priority: srv.priority,
            weight: srv.weight,
            port: srv.port,
            target: text(&srv.target),
        }),
        RData::NAPTR(naptr) => Some(Record::Naptr {
            order: naptr.order,
            preference: naptr.preference,
            flags: String::from_utf8_lossy(&naptr.flags).to_ascii_lowercase(),
            service: String::from_utf8_lossy(&naptr.services).to_ascii_uppercase(),
            replacement: text(&naptr.replacement),
        }),
        _ => None,
    }
}

fn text(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_ascii_lowercase()
}

fn local_server() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 53))
}

fn of_servers(servers: &[SocketAddr]) -> ResolverConfig {
    let server = |address: &SocketAddr| {
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
        let connections = connections.map(|mut connection| {
            connection.port = address.port();
            connection
        });
        NameServerConfig::new(address.ip(), true, connections.into())
    };
    ResolverConfig::from_name_servers(servers.iter().map(server).collect())
}
