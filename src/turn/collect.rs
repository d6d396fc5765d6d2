//! Keys that are pressed for an answer, by rule.

use super::interface::DigitRule;
use std::time::Duration;

/// Longest pause between two keys of one answer.
pub(super) const KEY_WAIT: Duration = Duration::from_secs(3);
/// Most keys of an answer, and most that wait while nobody asked for them.
pub(super) const KEYS_MAX: usize = 32;

/// What a key made of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pressed {
    /// It is none that counts.
    Ignored,
    /// More may come.
    Collecting,
    /// The answer is there.
    Complete,
    /// The finishing key came too early: no answer.
    TooFew,
}

/// The keys of one answer, and those that came before anybody asked.
#[derive(Debug, Default)]
pub(super) struct Keys {
    pressed: String,
    /// Of the first and of the last key; both are only good while `pressed` is not empty.
    pub started: Duration,
    pub last: Duration,
    ahead: String,
}

/// A key as it is written, if it is one.
pub(super) fn key(c: char) -> Option<char> {
    let c = c.to_ascii_uppercase();
    matches!(c, '0'..='9' | '*' | '#' | 'A'..='D').then_some(c)
}

impl Keys {
    /// Whether an answer has begun.
    pub(super) fn collecting(&self) -> bool {
        !self.pressed.is_empty()
    }

    /// Takes a key (see [`key`]) by the rule.
    pub(super) fn press(&mut self, rule: &DigitRule, key: char, now: Duration) -> Pressed {
        let max = rule.max.clamp(1, KEYS_MAX);
        if rule.finish == Some(key) {
            let enough = self.pressed.len() >= rule.min;
            return if enough { Pressed::Complete } else { Pressed::TooFew };
        }
        let allowed = |c: char| c.eq_ignore_ascii_case(&key);
        if !rule.allowed.is_empty() && !rule.allowed.chars().any(allowed) {
            return Pressed::Ignored;
        }
        if self.pressed.is_empty() {
            self.started = now;
        }
        self.last = now;
        self.pressed.push(key);
        if self.pressed.len() >= max { Pressed::Complete } else { Pressed::Collecting }
    }

    /// Takes the keys that were collected.
    pub(super) fn take(&mut self) -> String {
        std::mem::take(&mut self.pressed)
    }

    /// How many are collected.
    pub(super) fn len(&self) -> usize {
        self.pressed.len()
    }

    /// Keeps a key for later; with [`KEYS_MAX`] kept, it is dropped.
    pub(super) fn keep(&mut self, key: char) {
        if self.ahead.len() < KEYS_MAX {
            self.ahead.push(key);
        }
    }

    /// The next key that was kept.
    pub(super) fn kept(&mut self) -> Option<char> {
        (!self.ahead.is_empty()).then(|| self.ahead.remove(0))
    }

    /// Whether keys are kept.
    pub(super) fn has_kept(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.pressed.clear();
        self.ahead.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_obeyed() {
        let rule = |allowed: &str, min, max, finish| DigitRule {
            allowed: allowed.into(),
            min,
            max,
            finish,
        };
        for (rule, pressed, wanted, digits) in [
            (rule("", 1, 1, None), "7", Pressed::Complete, "7"),
            (rule("12", 1, 1, None), "7", Pressed::Ignored, ""),
            (rule("12", 1, 1, None), "72", Pressed::Complete, "2"),
            (rule("", 2, 4, Some('#')), "12", Pressed::Collecting, "12"),
            (rule("", 2, 4, Some('#')), "12#", Pressed::Complete, "12"),
            (rule("", 2, 4, Some('#')), "1#", Pressed::TooFew, "1"),
            (rule("", 2, 4, Some('#')), "1234", Pressed::Complete, "1234"),
            (rule("", 0, 4, Some('#')), "#", Pressed::Complete, ""),
            (rule("abcd", 1, 2, None), "AB", Pressed::Complete, "AB"),
            (rule("", 1, 0, None), "5", Pressed::Complete, "5"),
        ] {
            let mut keys = Keys::default();
            let last = pressed.chars().map(|c| keys.press(&rule, c, Duration::ZERO)).last();
            assert_eq!(last, Some(wanted), "{pressed} by {rule:?}");
            assert_eq!(keys.take(), digits, "{pressed} by {rule:?}");
        }
    }

    #[test]
    fn an_endless_answer_ends() {
        let rule = DigitRule { allowed: String::new(), min: 1, max: 1_000, finish: None };
        let mut keys = Keys::default();
        for n in 1..=KEYS_MAX {
            let complete = keys.press(&rule, '1', Duration::ZERO) == Pressed::Complete;
            assert_eq!(complete, n == KEYS_MAX);
        }
        for _ in 0..100 {
            keys.keep('2');
        }
        assert_eq!(std::iter::from_fn(|| keys.kept()).count(), KEYS_MAX);
    }

    #[test]
    fn only_keys_are_keys() {
        let keys: String = "0x9#*aDé\u{0}E ".chars().filter_map(key).collect();
        assert_eq!(keys, "09#*AD");
    }
}
