//! One table: how a SIP ending becomes the API's `end_reason`, status and hang-up party.

use super::record::{CallStatus, Direction, EndReason, HangupParty};
use crate::sip::interface::{EndCause, Ending};

/// What the final status of an INVITE means to the API's user.
///
/// Source: RFC 3398 §8.2.6.1 (SIP to Q.850), folded to the names of the API.
#[must_use]
pub fn reason_of_status(code: u16) -> EndReason {
    match code {
        486 | 600 => EndReason::Busy,
        408 | 480 | 487 => EndReason::NoAnswer,
        404 | 410 | 416 | 484 | 485 | 604 => EndReason::InvalidNumber,
        401 | 402 | 403 | 407 | 433 | 603 | 607 | 608 => EndReason::Rejected,
        500 | 502 | 503 | 504 | 505 | 513 | 580 => EndReason::Congestion,
        _ => EndReason::Error,
    }
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
        EndCause::Refused => ending.code.map_or(EndReason::Error, reason_of_status),
        EndCause::Rejected => EndReason::Rejected,
        EndCause::Canceled => EndReason::Canceled,
        EndCause::Timeout | EndCause::Unreachable => EndReason::TrunkDown,
        EndCause::Protocol => EndReason::Error,
    }
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
}
