//! Each dialect by itself: what its vendor's documentation shows, both ways.

mod asterisk;
mod jambonz;
mod pipecat;
mod plivo;
mod telnyx;
mod twilio;
mod vonage;

use super::super::options::{Protocol, Settings, StreamOptions};
use super::super::seat::{CloseCode, Incoming, Outgoing};
use super::super::wire::{CommandId, OutWish, Refused, Request, Stamp, Told};
use super::fuzz::start;
use super::{Dialect, Heard, open};
use crate::audio::decode::LiveFormat;
use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::VecDeque;

/// A conversation that has begun.
struct Talk {
    dialect: Box<dyn Dialect>,
    heard: VecDeque<Heard>,
    out: VecDeque<Outgoing>,
}

impl Talk {
    fn new(protocol: Protocol, format: &'static str, rate: u32) -> Self {
        let (heard, out) = (VecDeque::new(), VecDeque::new());
        let asked = StreamOptions { protocol: Some(protocol), ..StreamOptions::default() };
        let dialect = open(&Settings::resolve(&asked, 16_000, 60_000));
        let mut talk = Self { dialect, heard, out };
        talk.tell(&Told::Start(Box::new(start(format, rate))));
        talk
    }

    fn text(&mut self, text: &str) -> Vec<Heard> {
        self.dialect.read(Incoming::Text(text.to_owned()), &mut self.heard);
        self.heard.drain(..).collect()
    }

    fn json(&mut self, message: &Value) -> Vec<Heard> {
        self.text(&message.to_string())
    }

    fn binary(&mut self, octets: &[u8]) -> Vec<Heard> {
        self.dialect.read(Incoming::Binary(Bytes::copy_from_slice(octets)), &mut self.heard);
        self.heard.drain(..).collect()
    }

    fn tell(&mut self, told: &Told) {
        self.dialect.tell(told, stamp(0), &mut self.out);
    }

    fn frame(&mut self, octets: &[u8], t_ms: u64) -> Outgoing {
        self.dialect.frame(Bytes::copy_from_slice(octets), stamp(t_ms))
    }

    fn mark(&mut self, name: &str, cleared: bool) {
        self.tell(&Told::Mark { name: name.into(), played_ms: 20, squeezed_ms: 0, cleared });
    }

    fn digit(&mut self, digit: char) {
        self.tell(&Told::Dtmf { digit, duration_ms: 160, method: "rfc4733" });
    }

    fn done(&mut self, id: &str) {
        self.tell(&Told::Ack { id: CommandId::Text(id.into()), recording: None });
    }

    fn stop(&mut self) {
        self.tell(&Told::Stop {
            reason: "completed",
            sip_code: None,
            played_ms: 20,
            duration_ms: 40,
        });
    }

    /// What the client was told, as texts.
    fn texts(&mut self) -> Vec<String> {
        let text = |message| match message {
            Outgoing::Text(text) => text,
            Outgoing::Binary(_) | Outgoing::Ping | Outgoing::Close(..) => panic!("{message:?}"),
        };
        self.out.drain(..).map(text).collect()
    }

    /// The same, read.
    fn told(&mut self) -> Vec<Value> {
        self.texts().iter().map(|text| serde_json::from_str(text).unwrap()).collect()
    }
}

fn stamp(t_ms: u64) -> Stamp {
    Stamp { seq: 1, t_ms, unix_ms: 1_760_000_000_000 + i64::try_from(t_ms).unwrap() }
}

fn audio(octets: &[u8]) -> Heard {
    Heard::Audio(Bytes::copy_from_slice(octets))
}

fn ask(request: Request) -> Heard {
    Heard::request(request)
}

fn asked(id: &str, request: Request) -> Heard {
    Heard::Request(Some(CommandId::Text(id.into())), Box::new(request))
}

fn clear() -> Request {
    Request::Clear { fade_ms: None, utterance: None }
}

fn configure(format: LiveFormat, rate: u32) -> Heard {
    ask(Request::Configure { format: Some(format), rate: Some(rate), out: OutWish::default() })
}

/// The codes of what was refused, and nothing else was heard.
fn refused(heard: &[Heard]) -> Vec<&'static str> {
    let code = |heard: &Heard| match heard {
        Heard::Refused(Refused { code, .. }) => *code,
        other => panic!("{other:?}"),
    };
    heard.iter().map(code).collect()
}

fn text(message: &Outgoing) -> Value {
    match message {
        Outgoing::Text(text) => serde_json::from_str(text).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// What a client is told that asked how it stands.
fn stats(queued_ms: u64) -> Told {
    use super::super::wire::{Stages, Stats};
    let stages = Stages::of(|_| crate::media::ledger::StageSpread::default());
    let quality = crate::call::record::Quality::default();
    Told::Stats(Box::new(Stats { id: None, quality, queued_ms, hole_wait_ms: 0, stages }))
}
