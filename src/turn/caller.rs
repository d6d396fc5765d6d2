//! What the caller has said since the last turn: one stretch of voice and words, pauses included.

use super::interface::Said;
use super::words::normal;
use std::time::Duration;

/// Bytes of words that are kept of one turn; the rest is dropped.
const TEXT_MAX: usize = 8 * 1024;
/// A wordless answer is at least this much of voice: shorter sounds are coughs and clicks.
const WORDLESS_MIN: Duration = Duration::from_millis(200);
/// A quieter voice while the agent speaks is its echo: so much below the caller's own. Units: dB.
const ECHO_BELOW_DB: f32 = 15.0;

/// A voice that sounds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sounding {
    pub at: Duration,
    /// Taken for our own echo.
    pub echo: bool,
}

/// One transcript as it comes in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words<'a> {
    pub text: &'a str,
    pub is_final: bool,
    pub ended: Duration,
    pub confidence: Option<f32>,
    pub constrained: bool,
}

/// What a transcript meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Nothing that is not known or settled.
    Nothing,
    /// Words of the open stretch.
    Words,
    /// The final words of what was settled by a partial transcript.
    Late { partial: String, words: String },
}

/// Words and voice of one turn in the making.
#[derive(Debug, Clone, Default)]
pub(super) struct Stretch {
    pub started: Duration,
    /// Last sound; good while no voice sounds.
    pub ended: Duration,
    /// How much of it was voice.
    pub voiced: Duration,
    finals: String,
    partial: String,
    /// Keys of an earlier part that got no answer.
    pub digits: String,
    confidence: Option<f32>,
    constrained: bool,
    /// When the last transcript came.
    pub transcript_at: Option<Duration>,
    /// The engine says that this was all.
    pub engine_end: bool,
}

/// The caller.
#[derive(Debug, Default)]
pub(super) struct Caller {
    pub voice: Option<Sounding>,
    pub stretch: Option<Stretch>,
    /// When the last voice (echo apart) ended.
    pub last_sound: Duration,
    /// A partial transcript that became part of a turn before its final came.
    owed: Option<String>,
    /// Words that end before this belong to what is settled.
    settled_until: Duration,
    /// Active level of the caller in our silence. Units: dBov.
    level: Option<f32>,
}

impl Stretch {
    pub(super) fn new(started: Duration) -> Self {
        Self { started, ended: started, ..Self::default() }
    }

    /// Keys without a voice.
    pub(super) fn of_keys(digits: String, started: Duration, ended: Duration) -> Self {
        Self { started, ended, digits, ..Self::default() }
    }

    /// All words so far.
    pub(super) fn text(&self) -> String {
        join(&self.finals, &self.partial)
    }

    pub(super) fn has_words(&self) -> bool {
        !(self.finals.is_empty() && self.partial.is_empty())
    }

    /// Whether there are words, and none of them will change.
    pub(super) fn is_final(&self) -> bool {
        !self.finals.is_empty() && self.partial.is_empty()
    }

    /// Whether the voice alone is enough for a wordless answer.
    pub(super) fn is_voiced(&self) -> bool {
        self.voiced >= WORDLESS_MIN
    }

    /// Whether there is anything but noise in it.
    pub(super) fn is_something(&self) -> bool {
        self.has_words() || !self.digits.is_empty()
    }

    fn hear(&mut self, text: &str, words: Words<'_>, now: Duration) {
        if words.is_final {
            self.finals = join(&self.finals, text);
            self.finals.truncate(self.finals.floor_char_boundary(TEXT_MAX));
            self.partial.clear();
            self.confidence = lower(self.confidence, words.confidence);
        } else {
            text[..text.floor_char_boundary(TEXT_MAX)].clone_into(&mut self.partial);
        }
        self.constrained |= words.constrained;
        self.transcript_at = Some(now);
    }

    /// What it amounts to.
    pub(super) fn said(&self) -> Said {
        Said {
            text: self.text(),
            digits: self.digits.clone(),
            started: self.started,
            ended: self.ended.max(self.started),
            confidence: self.confidence,
            constrained: self.constrained,
        }
    }

    /// Puts what was said before, and got no answer, in front.
    pub(super) fn prepend(&mut self, said: &Said) {
        self.started = self.started.min(said.started);
        self.finals = join(&said.text, &self.finals);
        self.finals.truncate(self.finals.floor_char_boundary(TEXT_MAX));
        self.digits.insert_str(0, &said.digits);
        self.constrained |= said.constrained;
        self.confidence = lower(self.confidence, said.confidence);
    }
}

impl Caller {
    /// Whether a voice at this time and level is our echo. `sounds_since`: the agent's first sound.
    pub(super) fn is_echo(
        &self,
        at: Duration,
        level: f32,
        sounds_since: Option<Duration>,
        guard: Duration,
    ) -> bool {
        let Some(since) = sounds_since else { return false };
        let guarded = at >= since && at < since + guard;
        guarded || self.level.is_some_and(|usual| level < usual - ECHO_BELOW_DB)
    }

    /// A voice began that is not our echo.
    pub(super) fn began(&mut self, at: Duration) {
        let stretch = self.stretch.get_or_insert_with(|| Stretch::new(at));
        stretch.engine_end = false;
        self.voice = Some(Sounding { at, echo: false });
    }

    /// Learns how loud the caller is.
    pub(super) fn learn_level(&mut self, level: f32) {
        if level.is_finite() {
            let usual = self.level.unwrap_or(level);
            self.level = Some(usual + (level - usual) * 0.3);
        }
    }

    /// The voice ended. Whether it was the caller's.
    pub(super) fn ended(&mut self, at: Duration) -> bool {
        let Some(voice) = self.voice.take().filter(|voice| !voice.echo) else { return false };
        let at = at.max(voice.at);
        self.last_sound = self.last_sound.max(at);
        if let Some(stretch) = &mut self.stretch {
            stretch.ended = stretch.ended.max(at);
            stretch.voiced += at.saturating_sub(voice.at.max(stretch.started));
        }
        true
    }

    /// The voice that was taken for echo is the caller's after all, from this time on.
    pub(super) fn is_real(&mut self, from: Duration) {
        if let Some(voice) = self.voice.filter(|voice| voice.echo) {
            self.began(voice.at.max(from));
        }
    }

    /// Whether the caller's own voice sounds.
    pub(super) fn speaks(&self) -> bool {
        self.voice.is_some_and(|voice| !voice.echo)
    }

    /// Takes a transcript.
    pub(super) fn hear(&mut self, words: Words<'_>, now: Duration) -> Meaning {
        let text = words.text.trim();
        let idle = self.stretch.is_none() && self.voice.is_none();
        let mut rest = text;
        if let Some(partial) = self.owed.take() {
            if idle && words.is_final {
                return Meaning::Late { partial, words: text.to_owned() };
            }
            rest = without_start(text, &partial);
            self.owed = (!words.is_final).then_some(partial);
            if idle {
                return Meaning::Nothing;
            }
        }
        if idle && words.ended <= self.settled_until {
            return Meaning::Nothing;
        }
        if rest.is_empty() {
            if let Some(stretch) = self.stretch.as_mut().filter(|_| words.is_final) {
                stretch.partial.clear();
            }
            return Meaning::Nothing;
        }
        let at = words.ended.min(now);
        self.stretch.get_or_insert_with(|| Stretch::new(at)).hear(rest, words, now);
        Meaning::Words
    }

    /// Takes what was said: it is settled. Words that come late for it are dropped.
    pub(super) fn settle(&mut self) -> Option<Stretch> {
        let stretch = self.stretch.take()?;
        if stretch.has_words() {
            self.settled_until = self.settled_until.max(stretch.ended);
        }
        self.owed = (!stretch.partial.is_empty()).then(|| stretch.partial.clone());
        Some(stretch)
    }

    /// When what is open began.
    pub(super) fn open_since(&self) -> Option<Duration> {
        self.stretch.as_ref().map(|stretch| stretch.started)
    }
}

fn lower(one: Option<f32>, other: Option<f32>) -> Option<f32> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Joins words with a blank.
pub(super) fn join(one: &str, other: &str) -> String {
    let blank = if one.is_empty() || other.is_empty() { "" } else { " " };
    format!("{one}{blank}{other}")
}

/// A text without the words that it begins with; all of it when it begins otherwise.
fn without_start<'a>(text: &'a str, start: &str) -> &'a str {
    let words = normal(start).split(' ').filter(|word| !word.is_empty()).count();
    let mut at = 0;
    for _ in 0..words {
        let rest = &text[at..];
        let begins = rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len());
        let length = rest[begins..].find(char::is_whitespace).unwrap_or(rest.len() - begins);
        at += begins + length;
    }
    if normal(&text[..at]) == normal(start) { text[at..].trim_start() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str, is_final: bool, ended: u64) -> Words<'_> {
        let ended = Duration::from_millis(ended);
        Words { text, is_final, ended, confidence: None, constrained: false }
    }

    #[test]
    fn partials_replace_one_another_and_finals_are_joined() {
        let mut caller = Caller::default();
        for (text, is_final, all) in [
            ("I", false, "I"),
            ("I would", false, "I would"),
            ("I would like", true, "I would like"),
            ("a", false, "I would like a"),
            ("a table.", true, "I would like a table."),
        ] {
            let meaning = caller.hear(words(text, is_final, 900), Duration::from_secs(1));
            assert_eq!(meaning, Meaning::Words);
            assert_eq!(caller.stretch.as_ref().map(Stretch::text).as_deref(), Some(all));
        }
    }

    #[test]
    fn a_late_final_of_a_settled_turn_is_no_new_turn() {
        let mut caller = Caller::default();
        let now = Duration::from_secs(1);
        caller.hear(words("hello the", false, 900), now);
        assert!(caller.settle().is_some());
        let (partial, late) = ("hello the".to_owned(), "hello there".to_owned());
        let meaning = caller.hear(words("hello there", true, 950), now);
        assert_eq!(meaning, Meaning::Late { partial, words: late });
        assert_eq!(caller.hear(words("hello there", true, 850), now), Meaning::Nothing);
        assert_eq!(caller.hear(words("I am new", true, 1_900), now), Meaning::Words);
    }

    #[test]
    fn an_owed_final_is_not_told_twice_when_the_voice_went_on() {
        let mut caller = Caller::default();
        let now = Duration::from_secs(1);
        caller.hear(words("Hello", false, 900), now);
        caller.settle();
        caller.began(Duration::from_millis(1_200));
        let meaning = caller.hear(words("Hello, I need help", true, 1_900), now);
        assert_eq!(meaning, Meaning::Words);
        assert_eq!(caller.stretch.map(|s| s.text()).as_deref(), Some("I need help"));
        assert_eq!(without_start("other words", "hello"), "other words");
        assert_eq!(without_start("", "hello"), "");
    }

    #[test]
    fn text_is_bounded() {
        let mut caller = Caller::default();
        let long = "ä".repeat(TEXT_MAX);
        for is_final in [false, true, false, true] {
            caller.hear(words(&long, is_final, 900), Duration::from_secs(1));
        }
        assert!(caller.stretch.is_some_and(|s| s.text().len() <= 2 * TEXT_MAX + 1));
    }
}
