//! A client's sound at the pace of life: its lead over the caller stays short.
//!
//! ```text
//!  at the leg's rate ─> Hurry (while the lead is too long) ─> PlayoutQueue
//!                         └ left out: told to the queue, place by place
//! ```
//!
//! The lead is what is queued before a sample that comes now. When it is beyond the limit pauses are
//! shortened, then speech is compressed by up to 8 %, until it is half of that. Beyond the queue's own limit what comes is refused, with
//! a fade where it ends and where it goes on. Does not pace: what is queued plays as ever.

use crate::app::playout::PlayoutQueue;
use crate::audio::hurry::{Cut, Hurry};
use crate::audio::rate::SampleRate;
use crate::media::fade::{fade_in, fade_out};
use std::time::Duration;

/// The lead is looked at for every piece of this length.
const PIECE: Duration = Duration::from_millis(10);
/// Fade where sound was refused.
const FADE: Duration = Duration::from_millis(5);
/// A sender of long messages leads by one of them at times, up to this length.
const MESSAGE_MAX: Duration = Duration::from_millis(120);
/// What was refused goes on when this share of the queue is free.
const GOES_ON: usize = 4;

/// The way into the queue of a client that speaks live. See the module.
pub(super) struct Live {
    hurry: Hurry,
    /// Samples of lead that are left alone.
    lead: usize,
    /// The lead was longer, and is not half as long again.
    hurries: bool,
    piece: usize,
    fade: usize,
    message_max: usize,
    /// Sound was refused: what comes next fades in.
    torn: bool,
    passed: Vec<i16>,
    cuts: Vec<Cut>,
}

impl Live {
    /// Keeps the lead within `lead`, at the leg's rate.
    pub(super) fn new(rate: SampleRate, lead: Duration) -> Self {
        let samples = |time| usize::try_from(rate.samples_in(time)).unwrap_or(0).max(1);
        Self {
            hurry: Hurry::new(rate),
            lead: samples(lead),
            hurries: false,
            piece: samples(PIECE),
            fade: samples(FADE),
            message_max: samples(MESSAGE_MAX),
            torn: false,
            passed: Vec::new(),
            cuts: Vec::new(),
        }
    }

    /// Queues samples, or what is left of them; returns how many were refused.
    pub(super) fn give(&mut self, samples: &[i16], queue: &mut PlayoutQueue) -> u64 {
        let message = samples.len().min(self.message_max);
        let mut refused = 0;
        for piece in samples.chunks(self.piece) {
            let held = self.hurry.held();
            let room = queue.room().saturating_sub(held);
            if self.torn {
                if room < queue.limit() / GOES_ON {
                    refused += piece.len();
                    continue;
                }
                self.torn = false;
                self.pass(piece, 0, true, false);
            } else if room < 2 * self.piece {
                // The last that fits; nothing is held behind it.
                self.torn = true;
                if room < piece.len() {
                    refused += piece.len();
                    continue;
                }
                self.pass(piece, 0, false, true);
            } else {
                let excess = self.excess((queue.queued() + held).saturating_sub(message));
                self.pass(piece, excess, false, false);
            }
            refused += self.hand_over(queue);
        }
        refused as u64
    }

    /// Queues what is held back: nothing follows for now.
    pub(super) fn settle(&mut self, queue: &mut PlayoutQueue) -> u64 {
        self.hurry.settle(&mut self.passed);
        self.hand_over(queue) as u64
    }

    /// Whether samples are held back.
    pub(super) fn is_holding(&self) -> bool {
        self.hurry.held() > 0
    }

    /// Forgets what is held back.
    pub(super) fn reset(&mut self) {
        self.hurry.reset();
        (self.torn, self.hurries) = (false, false);
    }

    /// How much of a lead is to be caught up with.
    fn excess(&mut self, lead: usize) -> usize {
        let excess = lead.saturating_sub(self.lead / 2);
        self.hurries = excess > 0 && (self.hurries || lead > self.lead);
        if self.hurries { excess } else { 0 }
    }

    fn pass(&mut self, piece: &[i16], excess: usize, fades_in: bool, fades_out: bool) {
        let Self { hurry, passed, cuts, .. } = self;
        hurry.pass(piece, excess, passed, |cut| cuts.push(cut));
        let len = self.fade.min(passed.len());
        if fades_in {
            fade_in(passed.get_mut(..len).unwrap_or_default());
        }
        if fades_out {
            let from = passed.len() - len;
            fade_out(passed.get_mut(from..).unwrap_or_default());
        }
    }

    fn hand_over(&mut self, queue: &mut PlayoutQueue) -> usize {
        let (mut from, mut refused) = (0, 0);
        let mut push = |queue: &mut PlayoutQueue, to: usize| {
            let part = self.passed.get(from..to).unwrap_or_default();
            refused += part.len() - queue.push(part);
            from = to;
        };
        for cut in &self.cuts {
            push(queue, cut.at);
            queue.squeeze(cut.samples);
        }
        push(queue, self.passed.len());
        self.passed.clear();
        self.cuts.clear();
        refused
    }
}
