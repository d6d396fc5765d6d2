//! `bellwire.stream.v1`: JSON texts and binary audio.

use super::super::seat::{Incoming, Outgoing};
use super::super::wire::{self, Stamp, Told};
use super::{Dialect, Heard};
use bytes::Bytes;
use std::collections::VecDeque;

/// A conversation in our own protocol.
pub(super) struct Native;

impl Dialect for Native {
    fn read(&mut self, message: Incoming, heard: &mut VecDeque<Heard>) {
        heard.extend(match message {
            Incoming::Text(text) => Some(match wire::decode(&text) {
                Ok((id, request)) => Heard::Request(id, Box::new(request)),
                Err(refused) => Heard::Refused(refused),
            }),
            Incoming::Binary(octets) => Some(Heard::Audio(octets)),
            Incoming::Alive => None,
        });
    }

    fn tell(&mut self, told: &Told, stamp: Stamp, out: &mut VecDeque<Outgoing>) {
        out.push_back(Outgoing::Text(wire::encode(told, stamp)));
    }

    fn frame(&mut self, octets: Bytes, _: Stamp) -> Outgoing {
        Outgoing::Binary(octets)
    }
}
