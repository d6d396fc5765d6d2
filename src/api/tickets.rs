//! Tickets: single-use passes to the stream of one call, for clients that cannot send a header.
//!
//! A browser's WebSocket has no place for a key but the URL, where a long-lived key must never
//! stand. A ticket is good for one call, once, for a minute. Bounded: the oldest gives way.

use crate::api::auth::Grant;
use crate::api::fresh;
use crate::id::CallId;
use crate::store::sha256;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a ticket is good for.
pub const TICKET_LIFE: Duration = Duration::from_mins(1);
/// How many may be out at once.
const TICKETS_MAX: usize = 10_000;

#[derive(Debug)]
struct Ticket {
    call: CallId,
    grant: Arc<Grant>,
    until: Instant,
}

#[derive(Debug, Default)]
struct Book {
    tickets: HashMap<[u8; 32], Ticket>,
    /// In the order of their end, used ones included.
    order: VecDeque<([u8; 32], Instant)>,
}

/// The tickets that are out.
#[derive(Debug, Default)]
pub struct Tickets(Mutex<Book>);

impl Tickets {
    /// Makes a ticket to the stream of `call` with the rights of `grant`.
    #[must_use]
    pub fn issue(&self, call: CallId, grant: Arc<Grant>, now: Instant) -> String {
        let text = fresh::secret("tkt_");
        let hash = sha256(text.as_bytes());
        let until = now + TICKET_LIFE;
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((oldest, end)) = book.order.front().copied() {
            if end > now && book.order.len() < TICKETS_MAX {
                break;
            }
            book.order.pop_front();
            book.tickets.remove(&oldest);
        }
        book.order.push_back((hash, until));
        book.tickets.insert(hash, Ticket { call, grant, until });
        text
    }

    /// Takes a ticket in: the rights it carries, if it is good for `call`.
    #[must_use]
    pub fn redeem(&self, text: &str, call: &CallId, now: Instant) -> Option<Arc<Grant>> {
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ticket = book.tickets.remove(&sha256(text.as_bytes()))?;
        (ticket.call == *call && now < ticket.until).then_some(ticket.grant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::auth::{ConfigKey, Keyring, hash_secret};

    fn grant() -> Arc<Grant> {
        let key = ConfigKey {
            name: "k".into(),
            secret_sha256: hash_secret("s"),
            scopes: vec!["stream".into()],
            instances: vec!["*".into()],
        };
        Keyring::new(&[key], &[]).unwrap().find("s", 0).unwrap().0
    }

    #[test]
    fn a_ticket_is_good_once_for_its_call_and_a_minute() {
        let (tickets, now, grant) = (Tickets::default(), Instant::now(), grant());
        let call = fresh::call_id();
        let ticket = tickets.issue(call.clone(), Arc::clone(&grant), now);
        assert_eq!(tickets.redeem(&ticket, &call, now), Some(Arc::clone(&grant)));
        assert_eq!(tickets.redeem(&ticket, &call, now), None, "used");
        let ticket = tickets.issue(call.clone(), Arc::clone(&grant), now);
        assert_eq!(tickets.redeem(&ticket, &fresh::call_id(), now), None, "another call");
        let ticket = tickets.issue(call.clone(), grant, now);
        assert_eq!(tickets.redeem(&ticket, &call, now + TICKET_LIFE), None, "too late");
    }

    #[test]
    fn the_oldest_gives_way() {
        let (tickets, now, grant) = (Tickets::default(), Instant::now(), grant());
        let call = fresh::call_id();
        let first = tickets.issue(call.clone(), Arc::clone(&grant), now);
        for _ in 0..TICKETS_MAX {
            let _ = tickets.issue(call.clone(), Arc::clone(&grant), now);
        }
        assert_eq!(tickets.0.lock().unwrap().tickets.len(), TICKETS_MAX);
        assert_eq!(tickets.redeem(&first, &call, now), None);
    }
}
