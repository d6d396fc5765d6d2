//! One table: how SIP statuses, Q.850 causes, the API's `end_reason` and its problems belong
//! together.
//!
//! ```text
//!  status of an INVITE ─┐                    ┌─> end_reason of the call
//!  Q.850 of its Reason ─┴─> reason_of_ending ┤
//!  end_reason of ours ────> notice ──────────┴─> Reason header field of our BYE or CANCEL
//! ```
//!
//! The rows stand in `table`; `docs/causes.md` is written from them. Decides nothing else.

mod table;

pub use table::{CauseRow, ReasonRow, page, reasons, statuses};

use super::record::{CallStatus, Direction, EndReason, HangupParty};
use crate::sip::interface::{EndCause, Ending};

/// What the final status of an INVITE means to the API's user.
///
/// Source: RFC 3398 §8.2.6.1 (SIP to Q.850), folded to the names of the API.
#[must_use]
pub fn reason_of_status(code: u16) -> EndReason {
    let row = statuses().iter().find(|row| row.status == code);
    //= RFC 3261 §8.1.3.2: a final response that is not known is treated as the x00 of its class.
    match (row, code) {
        (Some(row), _) => row.reason,
        (None, 500..=599) => EndReason::Congestion,
        // 600 is "busy everywhere", which an unknown one need not be: declined for good.
        (None, 600..=699) => EndReason::Rejected,
        (None, _) => EndReason::Error,
    }
}

/// What a Q.850 cause means to the API's user; `None` for causes that say less than a status.
///
/// Source: ITU-T Q.850 §2.2.7, by way of RFC 3398 §7.2.4.1.
#[must_use]
pub fn reason_of_q850(cause: u8) -> Option<EndReason> {
    match cause {
        17 => Some(EndReason::Busy),
        18..=20 | 31 => Some(EndReason::NoAnswer),
        1..=3 | 22 | 23 | 26 | 28 => Some(EndReason::InvalidNumber),
        21 | 55 | 57 | 87 => Some(EndReason::Rejected),
        34 | 41 | 42 | 47 | 58 => Some(EndReason::Congestion),
        27 | 38 => Some(EndReason::TrunkDown),
        _ => None,
    }
}

/// What the status and the Q.850 cause of a refusal mean together.
///
//= RFC 6432 §2: a Reason header field with a Q.850 cause may come in any response to a request.
///
/// A gateway to the telephone network often says 480, 500 or 503 for everything, and the truth in
/// its Reason; a status that is definite is taken at its word.
#[must_use]
pub fn reason_of_refusal(code: u16, q850: Option<u8>) -> EndReason {
    let vague = matches!(code, 400 | 480 | 500 | 502 | 503 | 504);
    q850.filter(|_| vague).and_then(reason_of_q850).unwrap_or_else(|| reason_of_status(code))
}

/// What the end of a session means for a call that was not ending of our own will.
#[must_use]
pub fn reason_of_ending(ending: &Ending, direction: Direction) -> EndReason {
    match ending.cause {
        EndCause::PeerHangup => match direction {
            Direction::Outbound => EndReason::CalleeHangup,
            Direction::Inbound => EndReason::CallerHangup,
        },
        EndCause::LocalHangup => EndReason::Completed,
        EndCause::Refused => {
            ending.code.map_or(EndReason::Error, |code| reason_of_refusal(code, ending.q850))
        }
        EndCause::Rejected => EndReason::Rejected,
        EndCause::Canceled => EndReason::Canceled,
        EndCause::Timeout | EndCause::Unreachable => EndReason::TrunkDown,
        EndCause::Protocol => EndReason::Error,
    }
}

/// The value of the Reason header field of our BYE or CANCEL, from why the call ends.
///
//= RFC 3326 §2: a Reason header field tells why a request was sent, e.g. with a Q.850 cause.
#[must_use]
pub fn notice(reason: EndReason) -> String {
    let row = reasons().iter().find(|row| row.reason == reason);
    let (cause, text) = row.map_or((16, "Normal call clearing"), |row| (row.q850, row.text));
    format!("Q.850;cause={cause};text=\"{text}\"")
}

/// Who had the last word, from the ending of the session alone.
#[must_use]
pub fn party_of_ending(ending: &Ending, direction: Direction) -> HangupParty {
    let peer = match direction {
        Direction::Outbound => HangupParty::Callee,
        Direction::Inbound => HangupParty::Caller,
    };
    match ending.cause {
        EndCause::PeerHangup | EndCause::Refused => peer,
        EndCause::Canceled => match direction {
            Direction::Inbound => HangupParty::Caller,
            Direction::Outbound => HangupParty::Gateway,
        },
        EndCause::LocalHangup
        | EndCause::Rejected
        | EndCause::Timeout
        | EndCause::Unreachable
        | EndCause::Protocol => HangupParty::Gateway,
    }
}

/// The status of an ended call: COMPLETED is normal clearing after an answer, the rest FAILED.
///
/// The reference API says that a call terminated through it is FAILED.
#[must_use]
pub fn final_status(reason: EndReason, answered: bool) -> CallStatus {
    let normal = match reason {
        EndReason::Completed
        | EndReason::CallerHangup
        | EndReason::CalleeHangup
        | EndReason::MaxDuration
        | EndReason::AmdMachine
        | EndReason::Transfer => true,
        EndReason::TerminatedByApi
        | EndReason::Canceled
        | EndReason::Busy
        | EndReason::NoAnswer
        | EndReason::Rejected
        | EndReason::InvalidNumber
        | EndReason::DestinationNotAllowed
        | EndReason::Congestion
        | EndReason::TrunkDown
        | EndReason::MediaTimeout
        | EndReason::StreamLost
        | EndReason::Error => false,
    };
    if normal && answered { CallStatus::Completed } else { CallStatus::Failed }
}

/// The name on the wire (`end_reason`, and `reason` of the stream's `stop`).
#[must_use]
pub fn name(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Completed => "completed",
        EndReason::CallerHangup => "caller_hangup",
        EndReason::CalleeHangup => "callee_hangup",
        EndReason::TerminatedByApi => "terminated_by_api",
        EndReason::Canceled => "canceled",
        EndReason::Busy => "busy",
        EndReason::NoAnswer => "no_answer",
        EndReason::Rejected => "rejected",
        EndReason::InvalidNumber => "invalid_number",
        EndReason::DestinationNotAllowed => "destination_not_allowed",
        EndReason::Congestion => "congestion",
        EndReason::TrunkDown => "trunk_down",
        EndReason::MediaTimeout => "media_timeout",
        EndReason::StreamLost => "stream_lost",
        EndReason::MaxDuration => "max_duration",
        EndReason::AmdMachine => "amd_machine",
        EndReason::Transfer => "transfer",
        EndReason::Error => "error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_fold_to_the_names_of_the_api() {
        for (code, reason) in [
            (486, EndReason::Busy),
            (480, EndReason::NoAnswer),
            (404, EndReason::InvalidNumber),
            (603, EndReason::Rejected),
            (503, EndReason::Congestion),
            (488, EndReason::Error),
            (608, EndReason::Rejected),
            (499, EndReason::Error),
            (599, EndReason::Congestion),
            (699, EndReason::Rejected),
        ] {
            assert_eq!(reason_of_status(code), reason, "{code}");
        }
    }

    #[test]
    fn only_an_answered_call_completes() {
        assert_eq!(final_status(EndReason::CalleeHangup, true), CallStatus::Completed);
        assert_eq!(final_status(EndReason::Completed, false), CallStatus::Failed);
        assert_eq!(final_status(EndReason::TerminatedByApi, true), CallStatus::Failed);
    }

    #[test]
    fn names_are_those_of_serde() {
        for reason in [EndReason::MaxDuration, EndReason::CalleeHangup, EndReason::TrunkDown] {
            let json = serde_json::to_value(reason).unwrap();
            assert_eq!(json, name(reason));
        }
    }

    #[test]
    fn a_vague_refusal_is_explained_by_its_cause() {
        for (code, q850, reason) in [
            (503, Some(17), EndReason::Busy),
            (503, Some(127), EndReason::Congestion),
            (480, None, EndReason::NoAnswer),
            (500, Some(1), EndReason::InvalidNumber),
            (404, Some(16), EndReason::InvalidNumber),
            (486, Some(34), EndReason::Busy),
        ] {
            assert_eq!(reason_of_refusal(code, q850), reason, "{code} {q850:?}");
        }
    }

    #[test]
    fn every_reason_of_ours_is_told_by_a_cause() {
        assert_eq!(notice(EndReason::Completed), "Q.850;cause=16;text=\"Normal call clearing\"");
        assert!(notice(EndReason::NoAnswer).starts_with("Q.850;cause=19;"));
        assert!(notice(EndReason::TrunkDown).starts_with("Q.850;cause=38;"));
    }
}
