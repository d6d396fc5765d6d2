//! Packets that carry earlier ones again (RFC 2198): what they repeat fills places that are empty.
//!
//! A block says its age, not its number. It is taken when its age is a whole number of packets of
//! its own length, and when its time fits those of its neighbours; else the place stays empty and
//! is concealed. A block never takes the place of a packet, nor the other way round of what came
//! out already; digits are not taken from blocks, they are repeated by themselves.

use super::payload::PayloadKind;
use super::{Inserted, JitterBuffer, MAX_PAYLOAD, SLOTS};
use crate::rtp::packet::Packet;
use crate::rtp::red::{Block, Redundancy};
use crate::rtp::seq::ExtendedSeq;
use std::time::Instant;

impl JitterBuffer {
    /// Takes a packet of redundant audio data; what is malformed keeps its number and says nothing.
    pub(super) fn insert_redundant(&mut self, now: Instant, packet: &Packet<'_>) -> Inserted {
        let Ok(red) = Redundancy::parse(packet.payload) else {
            return self.insert_one(now, packet);
        };
        let (payload_type, payload) = (red.payload_type, red.primary);
        let inserted = self.insert_one(now, &Packet { payload_type, payload, ..*packet });
        if inserted == Inserted::Stored
            && self.takeover.is_none()
            && let Some(source) = &self.source
        {
            let seq = source.next.near(packet.seq);
            // A packet beyond the slots stands among no neighbours yet.
            if self.slots.holds(seq) {
                red.redundant().for_each(|block| self.fill(now, seq, packet, block));
            }
        }
        inserted
    }

    /// Puts a block in the place of the packet that it repeats, if that is missing.
    //= RFC 2198 §3: the timestamp of a block is that of its packet less the offset
    fn fill(&mut self, now: Instant, seq: ExtendedSeq, packet: &Packet<'_>, block: Block<'_>) {
        let kind = self.payloads.kind(block.payload_type);
        let PayloadKind::Audio(codec) = kind else { return };
        let units = codec.spec().clock_units(block.payload);
        if block.payload.len() > MAX_PAYLOAD || units == 0 || !block.behind.is_multiple_of(units) {
            return;
        }
        let back = u64::from(block.behind / units);
        let Some(source) = &self.source else { return };
        let reach = seq.since(source.next);
        if back == 0 || back > reach || back >= SLOTS as u64 {
            return;
        }
        let (seq, timestamp) =
            (seq.back(back), packet.timestamp.plus(0u32.wrapping_sub(block.behind)));
        let after = timestamp.plus(units);
        let fits_behind = seq != source.next || self.timeline.expects(timestamp);
        if self.slots.holds(seq) || !fits_behind || !self.slots.continues(seq.plus(1), after) {
            return;
        }
        let (payload_type, payload) = (block.payload_type, block.payload);
        let repeated =
            Packet { seq: seq.wire(), timestamp, payload_type, marker: false, payload, ..*packet };
        // A payload without room is of no use here: the place stays empty, and is concealed.
        if self.slots.fill(now, seq, kind, &repeated) {
            self.slots.mark_repeated(seq);
        } else {
            self.slots.clear(seq.slot(SLOTS));
        }
    }
}
