//! How long a silence must last before the caller's turn is over.
//!
//! ```text
//!  what the words look like      silence that ends the turn
//!  complete                      silence_min
//!  nothing known                 silence
//!  number half dictated          between silence and silence_max
//!  incomplete, or a dictation    silence_max
//! ```
//!
//! Judges text; does not know clocks, voices or states.

use super::interface::{Expect, TurnSpec};
use super::words::{Lists, contains, normal};
use std::time::Duration;

/// An engine's end of turn that is less sure than this tells nothing.
pub(super) const ENGINE_SURE: f32 = 0.5;
/// So many digits are a telephone number that may well be whole.
const DIGITS_WHOLE: usize = 10;
/// So many digits in a row are a number being dictated.
const DIGITS_DICTATED: usize = 2;

/// How finished words look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Looks {
    /// A whole sentence or answer.
    Complete,
    /// Cannot be told.
    Open,
    /// Digits, but perhaps not all.
    Dictated,
    /// More must come.
    Incomplete,
}

/// What is known when the silence begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hint<'a> {
    /// Words so far; empty: none.
    pub text: &'a str,
    /// The engine itself ended the turn.
    pub engine_end: bool,
    /// The agent asked a question last.
    pub asked: bool,
}

/// How finished the words look, given what is expected.
pub(super) fn looks(hint: Hint<'_>, expect: &Expect, lists: &Lists) -> Looks {
    let words = normal(hint.text);
    if words.is_empty() {
        return Looks::Open;
    }
    if expect.phrases.iter().any(|phrase| normal(phrase) == words) {
        return Looks::Complete;
    }
    if expect.dictation {
        return Looks::Incomplete;
    }
    if hint.engine_end {
        return Looks::Complete;
    }
    let end = hint.text.trim_end().trim_end_matches(['"', '”', '»', ')']);
    let goes_on = end.ends_with([',', '-', '–', '—', ':', ';', '…']) || end.ends_with("..");
    let stopped = end.ends_with(['.', '!', '?', '。', '！', '？']);
    // Engines set a full stop wherever the voice paused, but hesitation promises more even so.
    if goes_on || lists.hesitates(&words) || (lists.trails(&words) && !stopped) {
        return Looks::Incomplete;
    }
    if (DIGITS_DICTATED..DIGITS_WHOLE).contains(&lists.digits_at_end(&words)) {
        return Looks::Dictated;
    }
    let phrase = expect.phrases.iter().any(|phrase| contains(&words, &normal(phrase)));
    let answered = hint.asked && lists.is_plain_answer(&words);
    if phrase || answered || (stopped && !lists.trails(&words)) {
        return Looks::Complete;
    }
    Looks::Open
}

/// The silence that ends a turn of these looks.
pub(super) fn silence(looks: Looks, spec: &TurnSpec) -> Duration {
    let longest = spec.silence_max.max(spec.silence_min);
    let plain = spec.silence.clamp(spec.silence_min, longest);
    match looks {
        Looks::Complete => spec.silence_min,
        Looks::Open => plain,
        Looks::Dictated => plain + longest.saturating_sub(plain) * 2 / 3,
        Looks::Incomplete => longest,
    }
}

#[cfg(test)]
mod tests {
    use super::super::words::lists;
    use super::*;

    #[test]
    fn words_tell_how_long_to_wait() {
        let plain = Expect::default();
        let dictation = Expect { dictation: true, ..Expect::default() };
        let phrases = Expect { phrases: vec!["Yes".into(), "no thanks".into()], ..plain.clone() };
        for (text, asked, expect, wanted) in [
            ("", false, &plain, Looks::Open),
            ("I want to cancel.", false, &plain, Looks::Complete),
            ("I want to cancel", false, &plain, Looks::Open),
            ("I want to cancel my", false, &plain, Looks::Incomplete),
            ("I want to cancel and", false, &plain, Looks::Incomplete),
            ("Um.", false, &plain, Looks::Incomplete),
            ("Yes it is.", false, &plain, Looks::Open),
            ("Well, I...", false, &plain, Looks::Incomplete),
            ("Tuesday,", false, &plain, Looks::Incomplete),
            ("yes", true, &plain, Looks::Complete),
            ("yes", false, &plain, Looks::Open),
            ("it is four one five", false, &plain, Looks::Dictated),
            ("415 555", false, &plain, Looks::Dictated),
            ("415 555 0123", false, &plain, Looks::Open),
            ("at five", false, &plain, Looks::Open),
            ("It is 7.", false, &dictation, Looks::Incomplete),
            ("yes", false, &phrases, Looks::Complete),
            ("yes yes", false, &phrases, Looks::Complete),
            ("oh dear", false, &phrases, Looks::Open),
        ] {
            let hint = Hint { text, engine_end: false, asked };
            assert_eq!(looks(hint, expect, lists("en")), wanted, "{text:?}");
        }
        let hint = Hint { text: "my name is", engine_end: true, asked: false };
        assert_eq!(looks(hint, &plain, lists("en")), Looks::Complete);
    }

    #[test]
    fn silences_grow_with_doubt_however_they_are_configured() {
        let ms = Duration::from_millis;
        for (min, plain, max) in [(300, 600, 2500), (500, 100, 50), (0, 0, 0), (700, 600, 800)] {
            let spec = TurnSpec {
                silence_min: ms(min),
                silence: ms(plain),
                silence_max: ms(max),
                ..TurnSpec::default()
            };
            let looks = [Looks::Complete, Looks::Open, Looks::Dictated, Looks::Incomplete];
            let silences = looks.map(|looks| silence(looks, &spec));
            assert!(silences.is_sorted(), "{silences:?}");
        }
    }
}
