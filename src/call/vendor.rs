//! A call's state in the words of another vendor, for the interfaces that speak them.
//!
//! Owns one table. The record stays what it is.

use super::record::{CallRecord, CallStatus, EndReason};

/// Where a call is, as Twilio says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TwilioStatus {
    /// It waits for its turn.
    Queued,
    /// It is dialled.
    Initiated,
    /// It rings.
    Ringing,
    /// It is answered.
    InProgress,
    /// It was answered, and is over.
    Completed,
    /// Busy, or declined.
    Busy,
    /// It could not be completed as dialled.
    Failed,
    /// Nobody answered.
    NoAnswer,
    /// It was ended before the answer.
    Canceled,
}

impl TwilioStatus {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Queued,
        Self::Initiated,
        Self::Ringing,
        Self::InProgress,
        Self::Completed,
        Self::Busy,
        Self::Failed,
        Self::NoAnswer,
        Self::Canceled,
    ];

    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Initiated => "initiated",
            Self::Ringing => "ringing",
            Self::InProgress => "in-progress",
            Self::Completed => "completed",
            Self::Busy => "busy",
            Self::Failed => "failed",
            Self::NoAnswer => "no-answer",
            Self::Canceled => "canceled",
        }
    }

    /// Whether nothing has been dialled yet.
    #[must_use]
    pub fn is_queued(self) -> bool {
        self == Self::Queued
    }
}

/// Where a call is. A call that was answered has completed, however it ended.
#[must_use]
pub fn twilio_status(record: &CallRecord) -> TwilioStatus {
    match record.status {
        CallStatus::Queued => TwilioStatus::Queued,
        CallStatus::Ringing if record.ringing_at.is_some() => TwilioStatus::Ringing,
        CallStatus::Ringing => TwilioStatus::Initiated,
        CallStatus::InProgress => TwilioStatus::InProgress,
        CallStatus::Completed => TwilioStatus::Completed,
        CallStatus::Failed if record.answered_at.is_some() => TwilioStatus::Completed,
        CallStatus::Failed => unanswered(record.end_reason.unwrap_or(EndReason::Error)),
    }
}

fn unanswered(reason: EndReason) -> TwilioStatus {
    match reason {
        EndReason::Busy | EndReason::Rejected => TwilioStatus::Busy,
        EndReason::NoAnswer | EndReason::CallerHangup => TwilioStatus::NoAnswer,
        EndReason::TerminatedByApi | EndReason::Canceled => TwilioStatus::Canceled,
        EndReason::Completed
        | EndReason::CalleeHangup
        | EndReason::InvalidNumber
        | EndReason::DestinationNotAllowed
        | EndReason::Congestion
        | EndReason::TrunkDown
        | EndReason::MediaTimeout
        | EndReason::StreamLost
        | EndReason::MaxDuration
        | EndReason::AmdMachine
        | EndReason::Transfer
        | EndReason::Error => TwilioStatus::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::record::{CallType, Direction};

    #[test]
    fn states_have_the_vendors_words() {
        let mut record = CallRecord::new(
            "call_1".parse().unwrap(),
            "inst_a".parse().unwrap(),
            CallType::DynamicStream,
            "+1415".into(),
            Direction::Outbound,
            0,
        );
        assert_eq!(twilio_status(&record), TwilioStatus::Queued);
        record.status = CallStatus::Ringing;
        assert_eq!(twilio_status(&record), TwilioStatus::Initiated);
        record.ringing_at = Some(1);
        assert_eq!(twilio_status(&record), TwilioStatus::Ringing);
        record.status = CallStatus::Failed;
        for (reason, status) in [
            (EndReason::Busy, "busy"),
            (EndReason::NoAnswer, "no-answer"),
            (EndReason::TerminatedByApi, "canceled"),
            (EndReason::InvalidNumber, "failed"),
        ] {
            record.end_reason = Some(reason);
            assert_eq!(twilio_status(&record).as_str(), status);
        }
        record.answered_at = Some(2);
        assert_eq!(twilio_status(&record), TwilioStatus::Completed);
    }
}
