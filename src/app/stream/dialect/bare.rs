//! The bare URL: audio in, the two text messages of the reference API out.

use super::super::seat::{Incoming, Outgoing};
use super::super::wire::{self, Stamp, Told};
use super::{Dialect, Heard};
use bytes::Bytes;
use std::collections::VecDeque;

/// A conversation at the bare URL.
pub(super) struct Bare;

impl Dialect for Bare {
    fn read(&mut self, message: Incoming, heard: &mut VecDeque<Heard>) {
        match message {
            Incoming::Binary(octets) => heard.push_back(Heard::Audio(octets)),
            // Its clients may say what they like; there is nothing to be said.
            Incoming::Text(_) | Incoming::Alive => {}
        }
    }

    fn tell(&mut self, told: &Told, stamp: Stamp, out: &mut VecDeque<Outgoing>) {
        out.extend(wire::encode_bare(told, stamp.unix_ms).map(Outgoing::Text));
    }

    fn frame(&mut self, octets: Bytes, _: Stamp) -> Outgoing {
        Outgoing::Binary(octets)
    }
}
