//! What a leg sends, for whoever hears both sides of a call.
//!
//! Owns the position: it counts the beat of the leg, whether anything is sent or not, so that a jump
//! is a silence. The ring is brought from outside when somebody wants to hear, so that a call which
//! nobody hears pays nothing. Full: frames are left out, and the jump shows it. Allocates nothing.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::interface::{FrameHeader, FrameKind};
use super::ring::CaptureWriter;

/// See the module.
#[derive(Default)]
pub struct Monitor {
    ring: Option<Box<CaptureWriter>>,
    on: bool,
    position: u64,
}

impl Monitor {
    /// Takes the ring, and is on; gives back the one before.
    pub fn take(&mut self, ring: Box<CaptureWriter>) -> Option<Box<CaptureWriter>> {
        self.on = true;
        self.ring.replace(ring)
    }

    /// Whether frames go into the ring, if there is one.
    pub fn set(&mut self, on: bool) {
        self.on = on;
    }

    /// A frame is sent; whether somebody should look.
    pub fn hear(&mut self, frame: &[i16]) -> bool {
        let Some(ring) = self.ring.as_mut().filter(|_| self.on) else { return false };
        let Ok(samples) = u16::try_from(frame.len()) else { return false };
        let header = FrameHeader { position: self.position, samples, kind: FrameKind::Packet };
        ring.push(header, frame)
    }

    /// A beat has passed.
    pub fn advance(&mut self, samples: usize) {
        self.position += samples as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::ring;

    #[test]
    fn positions_follow_the_beat_whether_somebody_hears_or_not() {
        let (writer, mut reader) = ring::capture(4, 640);
        let mut monitor = Monitor::default();
        assert!(!monitor.hear(&[1; 160]), "nobody hears");
        monitor.advance(160);
        assert!(monitor.take(Box::new(writer)).is_none());
        assert!(monitor.hear(&[2; 160]));
        monitor.advance(160);
        monitor.advance(160);
        assert!(monitor.hear(&[3; 160]));
        monitor.set(false);
        monitor.advance(160);
        assert!(!monitor.hear(&[4; 160]));
        let mut heard = Vec::new();
        let positions: Vec<u64> =
            std::iter::from_fn(|| reader.pop(&mut heard)).map(|header| header.position).collect();
        assert_eq!(positions, [160, 480]);
        assert_eq!((heard[0], heard[160]), (2, 3));
    }
}
