//! The sound of a recording: both sides of a call on one clock, in chunks.
//!
//! ```text
//!  caller frames ─┐                       ┌─> chunks of 200 ms, left and right by turns
//!                 ├─> Duplex ─> at most max ─> or both sides together
//!  frames as sent ┘   paused: nothing     └─> over, at max
//! ```
//!
//! Owns what stands in a recording and how long it is. What a pause leaves out leaves no hole, and both
//! sides begin together behind it. Pure: knows no file and reads no clock; a position is a count of
//! samples.

use super::duplex::{Duplex, Side};
use crate::call::recording::RecordChannels;
use std::time::Duration;

/// Chunks in a second.
const CHUNKS_PER_S: u32 = 5;

/// Whether frames are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    Paused,
    Over,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Recorder {
    rate: u32,
    channels: RecordChannels,
    state: State,
    /// The leg is elsewhere: nothing is to be heard.
    apart: bool,
    duplex: Duplex,
    /// Not given out yet; less than a chunk once [`Self::next_chunk`] has nothing.
    ready: Vec<i16>,
    /// Samples of a chunk, all channels.
    chunk: usize,
    /// Samples per channel that stand in it, given out or not.
    length: u64,
    longest: u64,
}

impl Recorder {
    /// A recording of sound at `rate` Hz that ends by itself after `longest`.
    pub(super) fn new(rate: u32, channels: RecordChannels, longest: Duration) -> Self {
        let rate = rate.max(1);
        let longest = u128::from(rate) * longest.as_millis() / 1000;
        Self {
            rate,
            channels,
            state: State::Running,
            apart: false,
            duplex: Duplex::new(rate),
            ready: Vec::new(),
            chunk: (rate / CHUNKS_PER_S).max(1) as usize * usize::from(channels.count()),
            length: 0,
            longest: u64::try_from(longest).unwrap_or(u64::MAX),
        }
    }

    /// Takes a frame of the caller, in order. Cost: a copy.
    pub(super) fn hear_caller(&mut self, position: u64, samples: &[i16]) {
        self.hear(Side::Caller, position, samples);
    }

    /// Takes a frame of what the caller was sent, in order.
    pub(super) fn hear_agent(&mut self, position: u64, samples: &[i16]) {
        self.hear(Side::Agent, position, samples);
    }

    fn hear(&mut self, side: Side, position: u64, samples: &[i16]) {
        if self.state == State::Running && !self.apart {
            self.duplex.push(side, position, samples);
        }
    }

    /// All frames of this moment are in: what both sides have is ready.
    pub(super) fn gather(&mut self) {
        self.take_up(false);
    }

    /// Leaves out what comes from here on. `false`: it is paused or over already.
    pub(super) fn pause(&mut self) -> bool {
        let runs = self.state == State::Running;
        if runs {
            self.part();
            self.state = State::Paused;
        }
        runs
    }

    /// Takes what comes from here on. `false`: it is not paused.
    pub(super) fn resume(&mut self) -> bool {
        let waits = self.state == State::Paused;
        if waits {
            self.state = State::Running;
        }
        waits
    }

    /// The leg is lent to somebody, or is back (`false`): what is said meanwhile is not heard here.
    pub(super) fn set_apart(&mut self, apart: bool) {
        if apart {
            self.part();
        }
        self.apart = apart;
    }

    /// Nothing follows.
    pub(super) fn finish(&mut self) {
        self.part();
        self.state = State::Over;
    }

    /// Whether it has ended, by a call of [`Self::finish`] or because it is long enough.
    pub(super) fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// The next chunk; behind the end also one that is shorter.
    pub(super) fn next_chunk(&mut self) -> Option<Vec<i16>> {
        let short = self.is_over() && !self.ready.is_empty();
        if self.ready.len() < self.chunk && !short {
            return None;
        }
        let rest = self.ready.split_off(self.chunk.min(self.ready.len()));
        Some(std::mem::replace(&mut self.ready, rest))
    }

    /// How much stands in it.
    pub(super) fn length_ms(&self) -> u64 {
        self.length * 1000 / u64::from(self.rate)
    }

    /// What waits for its other side waits no longer, and what comes next begins anew.
    fn part(&mut self) {
        self.take_up(true);
        self.duplex = Duplex::new(self.rate);
    }

    fn take_up(&mut self, all: bool) {
        let Self { duplex, ready, channels, length, longest, .. } = self;
        let put = |caller: i16, agent: i16| {
            if *length >= *longest {
                return;
            }
            *length += 1;
            match channels {
                RecordChannels::Stereo => ready.extend([caller, agent]),
                RecordChannels::Mono => ready.push(caller.saturating_add(agent)),
            }
        };
        if all {
            duplex.finish(put);
        } else {
            duplex.drain(put);
        }
        if self.length >= self.longest {
            self.state = State::Over;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn chunks(recorder: &mut Recorder) -> Vec<i16> {
        let mut all = Vec::new();
        while let Some(chunk) = recorder.next_chunk() {
            assert!(chunk.len() <= recorder.chunk && !chunk.is_empty());
            all.extend(chunk);
        }
        all
    }

    /// So many frames of 20 ms at 8 kHz, each with its number, from both sides.
    fn frames(recorder: &mut Recorder, numbers: std::ops::Range<i16>) {
        for n in numbers {
            let position = 160 * u64::try_from(n).unwrap();
            recorder.hear_agent(7000 + position, &[-n; 160]);
            recorder.hear_caller(position, &[n; 160]);
            recorder.gather();
        }
    }

    #[test]
    fn both_sides_stand_together_to_the_sample_in_chunks() {
        let mut recorder = Recorder::new(8000, RecordChannels::Stereo, MINUTE);
        frames(&mut recorder, 0..9);
        assert_eq!(recorder.next_chunk(), None, "less than 200 ms");
        frames(&mut recorder, 9..25);
        let mut heard = chunks(&mut recorder);
        assert_eq!(heard.len(), 2 * 3200);
        recorder.finish();
        heard.extend(chunks(&mut recorder));
        let wanted: Vec<i16> = (0..25).flat_map(|n| [n, -n].repeat(160)).collect();
        assert_eq!(heard, wanted);
        assert_eq!((recorder.length_ms(), recorder.is_over()), (500, true));
    }

    #[test]
    fn mono_is_both_together_and_stays_in_bounds() {
        let mut recorder = Recorder::new(8000, RecordChannels::Mono, MINUTE);
        recorder.hear_caller(0, &[30_000, 5, -30_000]);
        recorder.hear_agent(0, &[30_000, 6, -30_000]);
        recorder.finish();
        assert_eq!(chunks(&mut recorder), [i16::MAX, 11, i16::MIN]);
    }

    #[test]
    fn what_a_pause_leaves_out_leaves_no_hole() {
        let mut recorder = Recorder::new(8000, RecordChannels::Stereo, MINUTE);
        frames(&mut recorder, 0..10);
        // One side is ahead when the pause comes.
        recorder.hear_agent(7000 + 1600, &[-10; 160]);
        assert!(recorder.pause() && !recorder.pause());
        frames(&mut recorder, 10..900);
        assert_eq!(recorder.length_ms(), 220);
        assert!(recorder.resume() && !recorder.resume());
        frames(&mut recorder, 900..910);
        recorder.finish();
        let heard = chunks(&mut recorder);
        let mut wanted: Vec<i16> = (0..10).flat_map(|n| [n, -n].repeat(160)).collect();
        wanted.extend([0, -10].repeat(160));
        wanted.extend((900..910).flat_map(|n| [n, -n].repeat(160)));
        assert_eq!(heard, wanted);
    }

    #[test]
    fn a_leg_that_is_lent_is_not_heard_and_a_pause_outlasts_it() {
        let mut recorder = Recorder::new(8000, RecordChannels::Mono, MINUTE);
        frames(&mut recorder, 0..5);
        recorder.set_apart(true);
        frames(&mut recorder, 5..50);
        recorder.set_apart(false);
        frames(&mut recorder, 50..55);
        assert!(recorder.pause());
        recorder.set_apart(true);
        recorder.set_apart(false);
        frames(&mut recorder, 55..60);
        recorder.finish();
        assert_eq!(recorder.length_ms(), 200);
        assert!(!recorder.resume() && !recorder.pause());
    }

    #[test]
    fn it_ends_by_itself_when_it_is_long_enough() {
        let longest = Duration::from_millis(290);
        let mut recorder = Recorder::new(8000, RecordChannels::Stereo, longest);
        frames(&mut recorder, 0..14);
        assert!(!recorder.is_over());
        frames(&mut recorder, 14..40);
        assert!(recorder.is_over());
        assert_eq!(chunks(&mut recorder).len(), 2 * 290 * 8);
        frames(&mut recorder, 40..60);
        assert_eq!((chunks(&mut recorder), recorder.length_ms()), (vec![], 290));
    }

    #[test]
    fn a_side_that_is_silent_is_silence() {
        let mut recorder = Recorder::new(16_000, RecordChannels::Stereo, MINUTE);
        for n in 0..50 {
            recorder.hear_agent(320 * n, &[9; 320]);
            recorder.gather();
        }
        recorder.finish();
        assert_eq!(chunks(&mut recorder), [0, 9].repeat(16_000));
    }
}
