//! What a phone does in the course of a call: words and keys at a time, or when the other side
//! falls silent.
//!
//! A small pure machine: owns the order of deeds and when the next is due. Does not play or press.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Samples louder than this (-40 dBov) are taken for speech.
const LOUD: u16 = 330;
/// So much loud sound in a frame of 20 ms is no click.
const LOUD_SAMPLES: usize = 8;

/// When a deed is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// This long after the answer.
    After(Duration),
    /// When the other side has spoken (since the last deed, and since we were silent ourselves) and
    /// been silent for this long.
    Quiet(Duration),
    /// When the other side has spoken for this long since the last deed: to interrupt it.
    Spoken(Duration),
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Plays samples, 8 kHz mono.
    Play(Arc<[i16]>),
    /// Presses keys.
    Press(String),
    /// Hangs up.
    HangUp,
}

/// A deed and its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// When.
    pub when: When,
    /// What.
    pub what: What,
}

/// The deeds of one call that are still to be done, in order.
#[derive(Debug)]
pub(super) struct Deeds {
    left: VecDeque<Deed>,
    answered: Option<Instant>,
    /// When the other side was first and last heard since the last deed.
    heard: Option<(Instant, Instant)>,
    /// Until then we speak ourselves, and what is heard is no answer.
    speaks_until: Option<Instant>,
}

impl Deeds {
    pub(super) fn new(deeds: &[Deed]) -> Self {
        Self {
            left: deeds.iter().cloned().collect(),
            answered: None,
            heard: None,
            speaks_until: None,
        }
    }

    /// The call is answered.
    pub(super) fn start(&mut self, now: Instant) {
        self.answered = Some(now);
    }

    /// Caller audio came.
    pub(super) fn listen(&mut self, now: Instant, samples: &[i16]) {
        let loud = samples.iter().filter(|sample| sample.unsigned_abs() > LOUD).count();
        let speaks = self.speaks_until.is_some_and(|until| now < until);
        if self.answered.is_some() && !speaks && loud >= LOUD_SAMPLES {
            let first = self.heard.map_or(now, |(first, _)| first);
            self.heard = Some((first, now));
        }
    }

    /// When the next deed is due, as far as is known.
    pub(super) fn due(&self) -> Option<Instant> {
        let answered = self.answered?;
        match self.left.front()?.when {
            When::After(time) => Some(answered + time),
            When::Quiet(time) => Some(self.heard?.1 + time),
            When::Spoken(time) => Some(self.heard?.0 + time),
        }
    }

    /// The next deed, if it is due.
    pub(super) fn take(&mut self, now: Instant) -> Option<What> {
        if self.due().is_none_or(|due| now < due) {
            return None;
        }
        self.heard = None;
        let what = self.left.pop_front()?.what;
        if let What::Play(samples) = &what {
            let micros = samples.len() as u64 * 125;
            self.speaks_until = Some(now + Duration::from_micros(micros));
        }
        Some(what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deeds_wait_for_their_time_for_silence_and_for_speech() {
        let ms = Duration::from_millis;
        let press = |digit: &str| What::Press(digit.to_owned());
        let deed = |when, digit| Deed { when, what: press(digit) };
        let mut deeds = Deeds::new(&[
            deed(When::After(ms(1000)), "1"),
            deed(When::Quiet(ms(500)), "2"),
            deed(When::Spoken(ms(200)), "3"),
        ]);
        let start = Instant::now();
        let at = |time: u64| start + ms(time);
        assert_eq!(deeds.due(), None, "not answered");
        deeds.start(start);
        assert_eq!(deeds.take(at(999)), None);
        assert_eq!(deeds.take(at(1000)), Some(press("1")));
        assert_eq!(deeds.due(), None, "silence alone is no answer");
        deeds.listen(at(1100), &[0; 160]);
        assert_eq!(deeds.due(), None);
        deeds.listen(at(1200), &[5000; 160]);
        deeds.listen(at(1600), &[5000; 160]);
        assert_eq!(deeds.take(at(2000)), None);
        assert_eq!(deeds.take(at(2100)), Some(press("2")));
        deeds.listen(at(3000), &[-5000; 160]);
        assert_eq!(deeds.take(at(3200)), Some(press("3")));
        assert_eq!((deeds.due(), deeds.take(at(9000))), (None, None));
    }

    #[test]
    fn what_is_heard_while_we_speak_is_no_answer() {
        let ms = Duration::from_millis;
        let second: Arc<[i16]> = vec![0; 8000].into();
        let mut deeds = Deeds::new(&[
            Deed { when: When::After(ms(0)), what: What::Play(second) },
            Deed { when: When::Quiet(ms(100)), what: What::HangUp },
        ]);
        let start = Instant::now();
        deeds.start(start);
        assert!(matches!(deeds.take(start), Some(What::Play(_))));
        deeds.listen(start + ms(999), &[5000; 160]);
        assert_eq!(deeds.due(), None);
        deeds.listen(start + ms(1000), &[5000; 160]);
        assert_eq!(deeds.due(), Some(start + ms(1100)));
    }
}
