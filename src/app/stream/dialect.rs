//! How a conversation is written: between the messages of a socket and what they mean.
//!
//! ```text
//!  socket ─ Incoming ─> Dialect::read ──> Heard ─> session (native requests, audio)
//!  socket <─ Outgoing ─ Dialect::tell, frame <──── Told, frames of the outlet
//! ```
//!
//! Each dialect is a pair of pure functions with what little they must remember: names, counters.
//! Owns no time, no audio beyond the message at hand, and no meaning: what a request does is the
//! session's, whatever the words it came in. What each vendor has words for is in
//! `docs/dialects.md`.

mod asterisk;
mod bare;
pub mod cost;
pub mod fuzz;
mod jambonz;
mod json;
mod native;
mod news;
mod pipecat;
mod plivo;
mod telnyx;
#[cfg(test)]
mod tests;
mod twilio;
mod vonage;
mod words;

pub(super) use json::fuzz as fuzz_json;
#[cfg(test)]
pub(crate) use json::{audio_in, frame_text};

use super::options::{Envelope, Protocol, Settings};
use super::seat::{CloseCode, Incoming, Outgoing};
use super::wire::{CommandId, Refused, Request, Stamp, TEXT_MAX, Told};
use bytes::Bytes;
use std::collections::VecDeque;

/// Longest text message of a dialect that carries audio in text, in octets: what the socket takes.
const AUDIO_TEXT_MAX: usize = 2 << 20;

/// What a message of the client means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    /// It asks for something, and may want to hear what became of it.
    Request(Option<CommandId>, Box<Request>),
    /// Its audio, in the format and at the rate that were agreed or configured.
    Audio(Bytes),
    /// It cannot be taken; said to the client where the dialect has words for it.
    Refused(Refused),
    /// It is not of this dialect at all: the conversation ends.
    Fatal(CloseCode, &'static str),
}

impl Heard {
    /// A request whose outcome nobody asks for.
    fn request(request: Request) -> Self {
        Self::Request(None, Box::new(request))
    }
}

/// One way to write a conversation; see the module.
pub(super) trait Dialect: Send {
    /// Reads one message of the client, in as many parts as it has. Cost: O(message).
    fn read(&mut self, message: Incoming, heard: &mut VecDeque<Heard>);

    /// Writes what there is to tell; nothing where the dialect has no words for it.
    fn tell(&mut self, told: &Told, stamp: Stamp, out: &mut VecDeque<Outgoing>);

    /// Writes a frame of the caller's audio that is in the agreed format already.
    ///
    /// `stamp.seq` is not counted for frames; `t_ms` is when the frame left.
    fn frame(&mut self, octets: Bytes, stamp: Stamp) -> Outgoing;

    /// Longest text message that it takes, in octets.
    fn text_max(&self) -> usize {
        TEXT_MAX
    }
}

/// The dialect that was agreed on, before its first message.
pub(super) fn open(settings: &Settings) -> Box<dyn Dialect> {
    match settings.protocol {
        Protocol::Bare => Box::new(bare::Bare),
        Protocol::Native => match settings.envelope {
            Envelope::Binary => Box::new(native::Native),
            Envelope::Json => Box::new(json::Json { track: settings.listen.as_str() }),
        },
        Protocol::Twilio => Box::new(twilio::Twilio::default()),
        Protocol::Vonage => Box::new(vonage::Vonage),
        Protocol::Telnyx => Box::new(telnyx::Telnyx::default()),
        Protocol::Plivo => Box::new(plivo::Plivo::default()),
        Protocol::Jambonz => Box::new(jambonz::Jambonz::default()),
        Protocol::Asterisk => Box::new(asterisk::Asterisk::plain()),
        Protocol::AsteriskJson => Box::new(asterisk::Asterisk::json()),
        Protocol::Pipecat => Box::new(pipecat::Pipecat::default()),
    }
}
