//! Every message of `bellwire.stream.v1` and every code with which its socket closes, once.

mod asked;
mod told;

pub(super) use asked::FROM_CLIENT;
pub(super) use told::FROM_SERVER;

use super::field::Field;
use crate::app::stream::seat::CloseCode;

/// One message, as documents tell it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message {
    /// Its `type`.
    pub(super) name: &'static str,
    /// What it says or does.
    pub(super) about: &'static str,
    /// Its fields beside `type`, and beside those that all have.
    pub(super) fields: &'static [Field],
    /// Fields that a command must have.
    pub(super) required: &'static [&'static str],
    /// It carries audio, not something that happened: it is not counted, and not answered.
    pub(super) is_audio: bool,
}

const fn message(name: &'static str, about: &'static str, fields: &'static [Field]) -> Message {
    Message { name, about, fields, required: &[], is_audio: false }
}

const fn needs(message: Message, required: &'static [&'static str]) -> Message {
    Message { required, ..message }
}

/// Codes with which the gateway closes the socket.
pub(super) const CLOSES: [(CloseCode, &str); 8] = [
    (CloseCode::Normal, "The call is over, behind `stop`."),
    (CloseCode::GoingAway, "The same, because the node stops."),
    (CloseCode::Policy, "The key was revoked, or has expired."),
    (CloseCode::TooBig, "A message was too big."),
    (CloseCode::Protocol, "What came is not of this protocol."),
    (CloseCode::Replaced, "Another client has the place."),
    (CloseCode::SlowConsumer, "Messages are not read."),
    (CloseCode::ResumeOver, "There is nothing to go on with."),
];

/// Codes of `warning`.
pub(super) const WARNINGS: &[&str] = &[
    "dropped",
    "odd_bytes",
    "audio_undecodable",
    "audio_damaged",
    "rate_mismatch_suspected",
    "clipping",
    "dc_offset",
    "late",
    "one_way_audio",
    "no_audio",
    "rate_limited",
    "recording_failed",
    "transcription_interrupted",
    "transcription_unavailable",
];

/// Codes of `error`.
pub(super) const ERRORS: &[&str] = &[
    "invalid_message",
    "unknown_type",
    "missing_field",
    "invalid_field",
    "unsupported_format",
    "unsupported_rate",
    "not_implemented",
    "conflict",
    "busy",
    "not_queued",
    "dtmf_unavailable",
    "audio_undecodable",
    "say_failed",
    "too_many_marks",
    "too_many_utterances",
    "unknown_voice",
    "forbidden_scope",
    "destination_not_allowed",
    "invalid_request",
    "call_ended",
    "capacity_exceeded",
    "draining",
    "protocol",
];

#[cfg(test)]
mod tests;
