//! One conversation of a dialect without a call around it, for `benches/dialect.rs`.
//!
//! Owns what a frame becomes on the wire, header included. Measures nothing itself.

use super::super::options::{Protocol, Settings, StreamOptions};
use super::super::seat::{Incoming, Outgoing};
use super::super::wire::Stamp;
use super::{Dialect, Heard, open};
use bytes::Bytes;
use std::collections::VecDeque;

/// A conversation in a dialect, with what is agreed where nothing is asked for.
pub struct Conversation {
    dialect: Box<dyn Dialect>,
    heard: VecDeque<Heard>,
    settings: Settings,
    t_ms: u64,
}

impl Conversation {
    /// Begins one.
    #[must_use]
    pub fn open(protocol: Protocol) -> Self {
        let options = StreamOptions { protocol: Some(protocol), ..StreamOptions::default() };
        let settings = Settings::resolve(&options, 16_000, 60_000);
        Self { dialect: open(&settings), heard: VecDeque::new(), settings, t_ms: 0 }
    }

    /// What was agreed.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Writes a frame of the caller's audio.
    pub fn frame(&mut self, octets: Bytes) -> Outgoing {
        self.t_ms += u64::from(self.settings.frame_ms);
        let stamp = Stamp { seq: self.t_ms, t_ms: self.t_ms, unix_ms: 0 };
        self.dialect.frame(octets, stamp)
    }

    /// Reads a message of the client; how many octets of audio are in it.
    pub fn read(&mut self, message: Incoming) -> usize {
        self.dialect.read(message, &mut self.heard);
        let audio = |heard: Heard| match heard {
            Heard::Audio(octets) => octets.len(),
            Heard::Request(..) | Heard::Refused(_) | Heard::Fatal(..) => 0,
        };
        self.heard.drain(..).map(audio).sum()
    }
}

/// Octets of a message on the wire, without TLS: a client masks what it sends (RFC 6455 §5.2).
#[must_use]
pub fn on_wire(octets: usize, masked: bool) -> usize {
    let length = match octets {
        0..=125 => 2,
        126..=65_535 => 4,
        65_536.. => 10,
    };
    octets + length + if masked { 4 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_costs_its_header_and_what_a_dialect_puts_around_it() {
        assert_eq!(
            [(0, false), (125, true), (126, false), (70_000, true)]
                .map(|(octets, masked)| on_wire(octets, masked)),
            [2, 131, 130, 70_014]
        );
        let mut native = Conversation::open(Protocol::Native);
        assert_eq!((native.settings().out_rate, native.settings().frame_ms), (16_000, 20));
        assert_eq!(native.frame(vec![0; 640].into()).octets(), 640);
        assert_eq!(native.read(Incoming::Binary(vec![0; 640].into())), 640);
        assert_eq!(native.read(Incoming::Text("{\"type\":\"ping\"}".to_owned())), 0);
    }
}
