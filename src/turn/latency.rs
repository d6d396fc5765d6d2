//! The times of one turn, each noted once.

use super::interface::TurnTimes;
use std::time::Duration;

/// A moment of a turn that is noted when it first happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    TurnEnded,
    Transcript,
    FirstToken,
    FirstSentence,
    FirstAudio,
    FirstRtp,
}

/// Times that are collected until they are told, once.
#[derive(Debug, Clone, Default)]
pub(super) struct Stopwatch {
    times: TurnTimes,
    told: bool,
}

impl Stopwatch {
    /// A stopwatch for words that ended then.
    pub(super) fn new(speech_ended: Option<Duration>) -> Self {
        Self { times: TurnTimes { speech_ended, ..TurnTimes::default() }, told: false }
    }

    /// Corrects when the caller's last sound was: the same words may have gone on.
    pub(super) fn speech_ended(&mut self, at: Duration) {
        self.times.speech_ended = Some(at);
    }

    /// Notes a moment, unless it is noted.
    pub(super) fn note(&mut self, moment: Moment, at: Duration) {
        let times = &mut self.times;
        let place = match moment {
            Moment::TurnEnded => &mut times.turn_ended,
            Moment::Transcript => &mut times.transcript,
            Moment::FirstToken => &mut times.first_token,
            Moment::FirstSentence => &mut times.first_sentence,
            Moment::FirstAudio => &mut times.first_audio,
            Moment::FirstRtp => &mut times.first_rtp,
        };
        place.get_or_insert(at);
    }

    /// The times, the first time that they are asked for.
    pub(super) fn tell(&mut self) -> Option<TurnTimes> {
        (!std::mem::replace(&mut self.told, true)).then_some(self.times)
    }
}
