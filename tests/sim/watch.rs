//! A tap on the wire that knows the rules of RFC 3261 which no single message shows.

use crate::clock::{ms, secs};
use bellwire::sip::message::{Message, Method, Name};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Instant;

/// What the tap has seen of one call.
#[derive(Default)]
struct Seen {
    caller: Option<SocketAddr>,
    /// Branches of INVITEs that got a provisional answer.
    provisional: Vec<String>,
    invite_sent: Option<Instant>,
    /// The INVITE makes no offer: the ACK waits for the application, for half of 64*T1.
    delayed_offer: bool,
    /// When the INVITE of a branch was first sent; a session has several.
    sent: BTreeMap<String, Instant>,
    cancel_sent: Option<Instant>,
    first_ok_sent: Option<Instant>,
    first_ok_received: Option<Instant>,
    ack_received: bool,
    /// The reliable response that waits for its PRACK, by To tag: RSeq, and whether it has a
    /// description.
    unacknowledged: BTreeMap<String, (String, bool)>,
    /// To tags and RSeqs that have had their PRACK.
    acknowledged: BTreeSet<(String, String)>,
    /// Branch of the PRACK for each To tag and RAck.
    pracks: BTreeMap<(String, String), String>,
}

#[derive(Default)]
pub struct Watch {
    calls: BTreeMap<String, Seen>,
    pub violations: Vec<String>,
    pub messages: u64,
}

impl Watch {
    /// A message leaves `from`.
    pub fn sent(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) {
        self.messages += 1;
        let Ok(message) = Message::parse(bytes) else {
            self.violations.push("a message that cannot be read".into());
            return;
        };
        let seen = self.calls.entry(message.call_id().unwrap_or("").to_owned()).or_default();
        let branch = message.via().map_or("", |via| via.branch).to_owned();
        let is_invite = message.cseq().is_ok_and(|cseq| cseq.method == Method::Invite);
        let tag = message.to().ok().and_then(|to| to.tag()).unwrap_or("").to_owned();
        match (message.method(), message.code()) {
            (Some(Method::Invite), _) => {
                if seen.caller.is_none() {
                    seen.delayed_offer = message.body().is_empty();
                }
                seen.caller.get_or_insert(from);
                seen.invite_sent.get_or_insert(now);
                seen.sent.entry(branch).or_insert(now);
            }
            (Some(Method::Cancel), _) if !seen.provisional.contains(&branch) => {
                self.violations.push("CANCEL before any provisional answer".into());
            }
            (Some(Method::Cancel), _) => _ = seen.cancel_sent.get_or_insert(now),
            (Some(Method::Bye), _) if seen.caller != Some(from) => {
                let owed = !seen.ack_received
                    && seen.first_ok_sent.is_some_and(|at| now < at + ms(31_999));
                if owed {
                    self.violations.push("BYE of the callee before the ACK".into());
                }
            }
            (None, Some(200..300)) if is_invite => {
                if seen.unacknowledged.get(&tag).is_some_and(|(_, describes)| *describes) {
                    self.violations.push("a 2xx before the PRACK for a description".into());
                }
                seen.first_ok_sent.get_or_insert(now);
            }
            (None, Some(101..200)) if is_invite => {
                let Some(rseq) = message.header(Name::RSeq) else { return };
                // A copy of the INVITE gets the last response once more.
                if seen.acknowledged.contains(&(tag.clone(), rseq.to_owned())) {
                    return;
                }
                let waiting = seen.unacknowledged.get(&tag);
                if waiting.is_some_and(|(waiting, _)| waiting != rseq) {
                    self.violations.push("a second reliable response before the PRACK".into());
                }
                let waiting = (rseq.to_owned(), !message.body().is_empty());
                seen.unacknowledged.insert(tag, waiting);
            }
            (Some(Method::Prack), _) => {
                let rack = message.header(Name::RAck).unwrap_or("").to_owned();
                let first = seen.pracks.entry((tag, rack)).or_insert_with(|| branch.clone());
                if *first != branch {
                    self.violations.push("two PRACKs for one response".into());
                }
            }
            _ => {}
        }
    }

    /// A message reached its target, which sent `replies` at once.
    pub fn received(&mut self, now: Instant, bytes: &[u8], replies: &[Vec<u8>]) {
        let Ok(message) = Message::parse(bytes) else { return };
        let seen = self.calls.entry(message.call_id().unwrap_or("").to_owned()).or_default();
        let is_invite = message.cseq().is_ok_and(|cseq| cseq.method == Method::Invite);
        let tag = message.to().ok().and_then(|to| to.tag()).unwrap_or("").to_owned();
        match (message.method(), message.code()) {
            (Some(Method::Ack), _) => seen.ack_received = true,
            (Some(Method::Prack), _) => {
                let rack = message.header(Name::RAck).unwrap_or("");
                let rseq = rack.split(' ').next().unwrap_or("");
                if seen.unacknowledged.get(&tag).is_some_and(|(waiting, _)| waiting == rseq) {
                    seen.unacknowledged.remove(&tag);
                    seen.acknowledged.insert((tag, rseq.to_owned()));
                }
            }
            // One that comes after Timer B finds no transaction any more.
            (None, Some(..200)) if is_invite => {
                let branch = message.via().map_or("", |via| via.branch).to_owned();
                if seen.sent.get(&branch).is_some_and(|at| now < *at + secs(32)) {
                    seen.provisional.push(branch);
                }
            }
            (None, Some(200..300)) if is_invite => {
                // A transaction that gave up (Timer B, or 64*T1 after CANCEL) hears nothing more.
                let recent = |at: Option<Instant>| at.is_some_and(|at| now < at + secs(32));
                let waiting = !seen.provisional.is_empty() || recent(seen.invite_sent);
                let waiting = waiting && (seen.cancel_sent.is_none() || recent(seen.cancel_sent));
                if waiting {
                    seen.first_ok_received.get_or_insert(now);
                }
                let acked = replies.iter().any(|reply| reply.starts_with(b"ACK "));
                let held = seen.delayed_offer
                    && seen.first_ok_received.is_some_and(|at| now < at + secs(16));
                if !acked && !held && recent(seen.first_ok_received) {
                    self.violations.push("a 2xx without an ACK".into());
                }
            }
            _ => {}
        }
    }
}
