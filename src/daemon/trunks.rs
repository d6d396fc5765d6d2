//! The board on which the state of every trunk is written down, as the endpoint notes it.
//!
//! Owns what the API shows of trunks, and the metrics of registrations, quarantines and bans.
//! Decides nothing: routing knows its own.

use crate::api::gateway::{GatewayStatus, RegistrationStatus, TrunkStatus};
use crate::observe::event::{self, Happening as _};
use crate::observe::redact::escape;
use crate::sip::interface::{Note, RegistrationState};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Gateways that are remembered per trunk; beyond, the one whose rest is over first goes.
const GATEWAYS_MAX: usize = 16;
/// Longest detail of a registration, in characters.
const DETAIL_MAX: usize = 200;

/// The two clocks: durations by the first, labels by the second.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    at: Instant,
    unix_ms: i64,
}

/// This moment.
pub(super) fn now() -> Moment {
    let now = super::call_driver::now();
    Moment { at: now.mono, unix_ms: now.unix_ms }
}

#[derive(Debug, Default)]
struct Row {
    up: Option<bool>,
    registration: Option<(RegistrationState, String, Moment)>,
    /// Gateways that are left alone, and until when.
    resting: Vec<(SocketAddr, Instant)>,
}

/// What is known of all trunks.
#[derive(Debug, Default)]
pub(super) struct TrunkBoard {
    rows: BTreeMap<String, Row>,
}

impl TrunkBoard {
    /// Writes down what the endpoint notes of trunks, and reports it.
    pub(super) fn note(&mut self, note: &Note, now: Moment) {
        match note {
            Note::TrunkState { trunk, up } => self.row(trunk).up = Some(*up),
            Note::Registration { trunk, state, detail } => {
                let detail: String = escape(detail).chars().take(DETAIL_MAX).collect();
                report_registration(trunk, *state, &detail);
                self.row(trunk).registration = Some((*state, detail, now));
            }
            Note::Quarantined { trunk, gateway, length } => {
                let seconds = length.as_secs_f64();
                event::GatewayQuarantined { trunk, gateway: *gateway, seconds }.report();
                let resting = &mut self.row(trunk).resting;
                resting.retain(|(known, until)| known != gateway && *until > now.at);
                if resting.len() >= GATEWAYS_MAX {
                    resting.sort_unstable_by_key(|(_, until)| *until);
                    resting.remove(0);
                }
                resting.push((*gateway, now.at + *length));
            }
            Note::Banned { source, length } => {
                let source = source.to_string();
                event::SourceBanned { source: &source, seconds: length.as_secs_f64() }.report();
            }
            Note::Dropped { .. } => {}
        }
    }

    /// What the API shows of a trunk.
    pub(super) fn status(
        &self,
        name: &str,
        codecs: &[&str],
        active_calls: u64,
        now: Moment,
    ) -> TrunkStatus {
        let row = self.rows.get(name);
        let resting = row.map_or(&[][..], |row| &row.resting);
        let gateways = resting.iter().filter(|(_, until)| *until > now.at);
        let gateways = gateways.map(|(address, until)| GatewayStatus {
            address: address.to_string(),
            state: "quarantined",
            until: Some(now.unix_ms + ms(*until - now.at)),
        });
        let registration = row.and_then(|row| row.registration.as_ref());
        TrunkStatus {
            name: name.to_owned(),
            state: match row.and_then(|row| row.up) {
                Some(true) => "up",
                Some(false) => "down",
                None => "unknown",
            },
            registration: registration
                .map(|(state, detail, since)| registered(*state, detail, *since)),
            gateways: gateways.collect(),
            active_calls,
            codecs: codecs.iter().map(ToString::to_string).collect(),
        }
    }

    fn row(&mut self, trunk: &str) -> &mut Row {
        // Trunks are those of the configuration: the endpoint makes up no names.
        self.rows.entry(trunk.to_owned()).or_default()
    }
}

fn registered(state: RegistrationState, detail: &str, since: Moment) -> RegistrationStatus {
    let at = |length: Duration| since.unix_ms.saturating_add(ms(length));
    let (state, expires_at, retry_at) = match state {
        RegistrationState::Registering => ("registering", None, None),
        RegistrationState::Registered { expires } => ("registered", Some(at(expires)), None),
        RegistrationState::Failed { retry_in } => ("failed", None, Some(at(retry_in))),
        RegistrationState::Unregistered => ("unregistered", None, None),
    };
    let detail = Some(detail.to_owned()).filter(|detail| !detail.is_empty());
    RegistrationStatus { state, expires_at, retry_at, detail }
}

fn report_registration(trunk: &str, state: RegistrationState, detail: &str) {
    let registered = matches!(state, RegistrationState::Registered { .. });
    event::trunk_registered(trunk, registered);
    match state {
        RegistrationState::Failed { retry_in } => {
            let retry_seconds = retry_in.as_secs_f64();
            event::RegistrationFailed { trunk, detail, retry_seconds }.report();
        }
        RegistrationState::Registered { expires } => {
            let expires_seconds = expires.as_secs_f64();
            event::TrunkRegistered { trunk, expires_seconds }.report();
        }
        RegistrationState::Registering | RegistrationState::Unregistered => {}
    }
}

fn ms(length: Duration) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_become_the_state_of_a_trunk() {
        let start = Moment { at: Instant::now(), unix_ms: 1_000 };
        let later = Moment { at: start.at + Duration::from_secs(10), unix_ms: 11_000 };
        let mut board = TrunkBoard::default();
        let trunk = || "carrier".to_owned();
        assert_eq!(board.status("carrier", &["PCMU"], 2, start).state, "unknown");
        board.note(&Note::TrunkState { trunk: trunk(), up: true }, start);
        let state = RegistrationState::Registered { expires: Duration::from_secs(60) };
        board.note(&Note::Registration { trunk: trunk(), state, detail: String::new() }, start);
        let gateway = "192.0.2.1:5060".parse().unwrap();
        let length = Duration::from_secs(5);
        board.note(&Note::Quarantined { trunk: trunk(), gateway, length }, start);
        let status = board.status("carrier", &["PCMU"], 2, start);
        assert_eq!((status.state, status.active_calls), ("up", 2));
        let registration = status.registration.unwrap();
        assert_eq!((registration.state, registration.expires_at), ("registered", Some(61_000)));
        assert_eq!(status.gateways[0].until, Some(6_000));
        assert!(board.status("carrier", &[], 0, later).gateways.is_empty(), "the rest is over");
    }

    #[test]
    fn no_more_gateways_are_kept_than_a_trunk_can_have() {
        let start = Moment { at: Instant::now(), unix_ms: 0 };
        let mut board = TrunkBoard::default();
        for port in 1..=100 {
            let gateway = SocketAddr::from(([192, 0, 2, 1], port));
            let length = Duration::from_secs(u64::from(port));
            board.note(&Note::Quarantined { trunk: "t".into(), gateway, length }, start);
        }
        let gateways = board.status("t", &[], 0, start).gateways;
        assert_eq!(gateways.len(), GATEWAYS_MAX);
        assert!(gateways.iter().any(|gateway| gateway.address.ends_with(":100")));
    }
}
