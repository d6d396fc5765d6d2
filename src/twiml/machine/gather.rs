//! The digits of one Gather, and what is heard while they are awaited.

use crate::twiml::document::{Gather, Verb};
use std::collections::VecDeque;
use std::time::Instant;

/// Digits of one input; more are not taken.
const DIGITS_MAX: usize = 1_000;

/// What a key did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pressed {
    /// More may come.
    More,
    /// The input is over.
    Done {
        /// The key that ended it, if one did.
        finished_on: Option<char>,
    },
}

/// A Gather that is being obeyed.
#[derive(Debug)]
pub(super) struct Gathering {
    pub(super) spec: Gather,
    prompts: VecDeque<Verb>,
    pub(super) digits: String,
    /// The ticket of the prompt that is heard.
    pub(super) playing: Option<u64>,
    /// Silence of a prompt, not of the caller.
    pub(super) pausing: bool,
    /// When it is over, unless a key comes.
    pub(super) until: Option<Instant>,
}

impl Gathering {
    pub(super) fn new(mut spec: Gather) -> Self {
        let prompts = std::mem::take(&mut spec.prompts).into();
        Self { spec, prompts, digits: String::new(), playing: None, pausing: false, until: None }
    }

    pub(super) fn next_prompt(&mut self) -> Option<Verb> {
        self.prompts.pop_front()
    }

    /// All is said: the caller's time runs.
    pub(super) fn wait(&mut self, now: Instant) {
        self.until = Some(now + self.spec.timeout);
    }

    /// Takes a key: whatever is said stops at the first.
    pub(super) fn press(&mut self, now: Instant, digit: char) -> Pressed {
        self.prompts.clear();
        (self.playing, self.pausing) = (None, false);
        if self.spec.finish_on.contains(digit) {
            return Pressed::Done { finished_on: Some(digit) };
        }
        if self.digits.len() < DIGITS_MAX {
            self.digits.push(digit);
        }
        let enough = self.spec.digits_max.and_then(|most| usize::try_from(most).ok());
        if enough.is_some_and(|most| self.digits.len() >= most) {
            return Pressed::Done { finished_on: None };
        }
        self.wait(now);
        Pressed::More
    }
}
