//! One frame of 20 ms in each dialect, both ways, for `benches/dialect.rs`.
//!
//! Owns nothing that a conversation uses.

use super::super::options::{Protocol, Settings, StreamOptions};
use super::super::seat::{Incoming, Outgoing};
use super::super::wire::{Stamp, Told};
use super::{Dialect, Heard, fuzz, open, pipecat, words};
use bytes::Bytes;
use std::collections::VecDeque;

/// A conversation whose frames are written and read again and again.
pub struct Frames {
    dialect: Box<dyn Dialect>,
    payload: Bytes,
    message: Incoming,
    heard: VecDeque<Heard>,
    t_ms: u64,
}

impl Frames {
    /// The conversation of a protocol at its usual rates.
    #[must_use]
    pub fn of(protocol: Protocol) -> Self {
        let options = StreamOptions { protocol: Some(protocol), ..StreamOptions::default() };
        let chosen = Settings::resolve(&options, 16_000, 60_000);
        let start = fuzz::start(chosen.out_format.as_str(), chosen.out_rate);
        let width = if chosen.out_format.as_str() == "pcm_s16le" { 2 } else { 1 };
        let payload = Bytes::from(vec![0x5a; chosen.out_rate as usize / 50 * width]);
        let (mut dialect, stamp) = (open(protocol), Stamp { seq: 1, t_ms: 0, unix_ms: 0 });
        dialect.tell(&Told::Start(Box::new(start)), stamp, &mut VecDeque::new());
        let message = message(protocol, &payload, chosen.rate);
        Self { dialect, payload, message, heard: VecDeque::new(), t_ms: 0 }
    }

    /// Writes a frame of the caller; how long its message is, in octets.
    pub fn write(&mut self) -> usize {
        self.t_ms += 20;
        let stamp = Stamp { seq: 1, t_ms: self.t_ms, unix_ms: 1_760_000_000_000 };
        self.dialect.frame(self.payload.clone(), stamp).octets()
    }

    /// Reads a frame of the client; how much audio it had, in octets.
    pub fn read(&mut self) -> usize {
        self.dialect.read(self.message.clone(), &mut self.heard);
        let audio = |heard| match heard {
            Heard::Audio(octets) => octets.len(),
            Heard::Request(..) | Heard::Refused(_) | Heard::Fatal(..) => 0,
        };
        self.heard.drain(..).map(audio).sum()
    }

    /// How long the client's message is, in octets.
    #[must_use]
    pub fn message_octets(&self) -> usize {
        match &self.message {
            Incoming::Text(text) => text.len(),
            Incoming::Binary(octets) => octets.len(),
            Incoming::Alive => 0,
        }
    }
}

/// What a client sends to have these octets played.
fn message(protocol: Protocol, octets: &Bytes, rate: u32) -> Incoming {
    let mut payload = String::new();
    words::push_payload(&mut payload, octets);
    match protocol {
        Protocol::Twilio | Protocol::Telnyx => {
            let media = format!(r#"{{"payload":"{payload}"}}"#);
            let sid = "MZ0199b3c1f00d7cafe0123456789abcde";
            Incoming::Text(format!(r#"{{"event":"media","streamSid":"{sid}","media":{media}}}"#))
        }
        Protocol::Plivo => {
            let kind = r#""contentType":"audio/x-mulaw","sampleRate":8000"#;
            let media = format!(r#"{{{kind},"payload":"{payload}"}}"#);
            Incoming::Text(format!(r#"{{"event":"playAudio","media":{media}}}"#))
        }
        Protocol::Pipecat => {
            let frame = pipecat::AudioRawFrame {
                id: 1,
                name: "OutputAudioRawFrame#1".to_owned(),
                audio: octets.clone(),
                sample_rate: rate,
                num_channels: 1,
                pts: None,
            };
            let frame = pipecat::Frame { kind: Some(pipecat::Kind::Audio(frame)) };
            match pipecat::encode(&frame) {
                Outgoing::Binary(octets) => Incoming::Binary(octets),
                Outgoing::Text(_) | Outgoing::Ping | Outgoing::Close(..) => Incoming::Alive,
            }
        }
        Protocol::Bare
        | Protocol::Native
        | Protocol::Vonage
        | Protocol::Jambonz
        | Protocol::Asterisk
        | Protocol::AsteriskJson => Incoming::Binary(octets.clone()),
    }
}
