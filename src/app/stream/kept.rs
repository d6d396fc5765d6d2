//! Frames that were handed to a socket, kept until they are known to have arrived.
//!
//! A socket that dies takes with it what was in its buffers. A client that comes back says how many
//! samples it has, or nothing: then it is given all that it did not confirm, and is told where that
//! begins. A frame is confirmed by the answer to a ping that was sent behind it. Bounded by time;
//! the oldest is forgotten. Copies no audio.

use bytes::Bytes;
use std::collections::VecDeque;

/// How much is kept, in seconds of the client's rate.
const KEPT_S: u64 = 10;

#[derive(Debug, Clone)]
struct Frame {
    octets: Bytes,
    samples: u64,
    t_ms: u64,
}

/// Where a client goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Again {
    /// The first sample that is sent again, counted from the first that was ever sent.
    pub(super) from: u64,
    /// How many are sent again.
    pub(super) samples: u64,
    /// Samples before the first one that the client says it lacks and nobody has any more.
    pub(super) lost: u64,
}

/// See the module. Samples are counted per channel, at the client's rate.
#[derive(Debug)]
pub(super) struct Kept {
    frames: VecDeque<Frame>,
    /// Samples in them.
    held: u64,
    /// Samples ever sent: where the last frame ends.
    end: u64,
    /// Frames that are to be sent again.
    again: usize,
    most: u64,
}

impl Kept {
    /// For frames at this rate in Hz.
    pub(super) fn new(rate: u32) -> Self {
        let most = KEPT_S * u64::from(rate);
        Self { frames: VecDeque::new(), held: 0, end: 0, again: 0, most }
    }

    /// All before this sample was handed to the socket that is there.
    pub(super) fn sent(&self) -> u64 {
        let again = self.frames.iter().rev().take(self.again).map(|frame| frame.samples);
        self.end - again.sum::<u64>()
    }

    /// A frame is being sent for the first time.
    pub(super) fn note(&mut self, octets: Bytes, samples: u64, t_ms: u64) {
        self.end += samples;
        self.held += samples;
        self.frames.push_back(Frame { octets, samples, t_ms });
        while self.held > self.most {
            self.forget();
        }
    }

    /// All before this sample has arrived.
    pub(super) fn confirm(&mut self, sample: u64) {
        while self.frames.len() > self.again
            && let Some(first) = self.frames.front()
            && self.end - self.held + first.samples <= sample
        {
            self.forget();
        }
    }

    /// A client is there that has all before `heard`, or does not say.
    pub(super) fn rewind(&mut self, heard: Option<u64>) -> Again {
        let oldest = self.end - self.held;
        let heard = heard.unwrap_or(oldest).min(self.end);
        let lost = oldest.saturating_sub(heard);
        self.confirm_all_before(heard);
        self.cut_to(heard);
        self.again = self.frames.len();
        Again { from: self.end - self.held, samples: self.held, lost }
    }

    /// The next frame that is sent again, and when it was sent first.
    pub(super) fn next_again(&mut self) -> Option<(Bytes, u64)> {
        let at = self.frames.len().checked_sub(self.again)?;
        let frame = self.frames.get(at).filter(|_| self.again > 0)?;
        self.again -= 1;
        Some((frame.octets.clone(), frame.t_ms))
    }

    /// What was sent is not sent again: it has another form from here on.
    pub(super) fn reshape(&mut self, rate: u32) {
        self.frames.clear();
        (self.held, self.again) = (0, 0);
        self.most = KEPT_S * u64::from(rate);
    }

    fn confirm_all_before(&mut self, sample: u64) {
        self.again = 0;
        self.confirm(sample);
    }

    /// Cuts the head of the first frame off that the client has.
    fn cut_to(&mut self, sample: u64) {
        let oldest = self.end - self.held;
        let Some(frame) = self.frames.front_mut().filter(|_| oldest < sample) else { return };
        let samples = sample - oldest;
        let octets = frame.octets.len() as u64 * samples / frame.samples.max(1);
        let octets = usize::try_from(octets).unwrap_or(0).min(frame.octets.len());
        frame.octets = frame.octets.slice(octets..);
        frame.samples -= samples;
        self.held -= samples;
    }

    fn forget(&mut self) {
        let Some(frame) = self.frames.pop_front() else { return };
        self.held -= frame.samples;
        self.again = self.again.min(self.frames.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(frames: u8) -> Kept {
        let mut kept = Kept::new(8000);
        for n in 0..frames {
            kept.note(vec![n; 320].into(), 160, u64::from(n));
        }
        kept
    }

    fn again(kept: &mut Kept) -> Vec<(usize, u8, u64)> {
        let next = || kept.next_again();
        std::iter::from_fn(next).map(|(octets, t)| (octets.len(), octets[0], t)).collect()
    }

    #[test]
    fn nothing_is_sent_again_that_the_client_has_and_all_else_is() {
        let mut kept = kept(5);
        assert_eq!(kept.rewind(Some(400)), Again { from: 400, samples: 400, lost: 0 });
        assert_eq!(again(&mut kept), [(160, 2, 2), (320, 3, 3), (320, 4, 4)]);
        assert_eq!(kept.rewind(Some(800)), Again { from: 800, samples: 0, lost: 0 });
        assert_eq!((again(&mut kept), kept.sent()), (vec![], 800));
    }

    #[test]
    fn a_second_drop_in_the_middle_loses_nothing() {
        let mut kept = kept(4);
        kept.rewind(Some(160));
        kept.next_again();
        assert_eq!(kept.rewind(Some(160)), Again { from: 160, samples: 480, lost: 0 });
        kept.next_again();
        kept.confirm(kept.sent());
        assert_eq!(kept.rewind(None), Again { from: 320, samples: 320, lost: 0 });
        assert_eq!(again(&mut kept).len(), 2);
    }

    #[test]
    fn what_was_confirmed_or_is_too_old_is_gone_and_told() {
        let mut kept = kept(5);
        kept.confirm(330);
        assert_eq!(kept.rewind(None), Again { from: 320, samples: 480, lost: 0 });
        assert_eq!(kept.rewind(Some(100)), Again { from: 320, samples: 480, lost: 220 });
        for n in 0..=255 {
            for _ in 0..4 {
                kept.note(vec![n; 320].into(), 160, 0);
            }
        }
        assert!(kept.held <= 80_000);
        assert_eq!(kept.rewind(Some(u64::MAX)).samples, 0);
    }
}
