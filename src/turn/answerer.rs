//! Who answered: a person or a mailbox, from the first seconds.
//!
//! ```text
//!  "Hello?" ....700 ms of silence............................... person
//!  "You have reached the mailbox of ..." 2.4 s without a pause . machine
//!  "... leave a message after the tone" ........................ machine, whenever it is said
//!  beep ........................................................ passed on
//! ```
//!
//! Judges voice and words that others detect; knows neither sound nor what is done about it.

use super::interface::Answerer;
use super::words::{contains, normal};
use std::time::Duration;

/// Silence after a short greeting that makes it a person's.
const PERSON_SILENCE: Duration = Duration::from_millis(700);
/// A longer greeting is read out: nobody answers a telephone with a speech.
const GREETING_MAX: Duration = Duration::from_millis(2_400);
/// Words and beeps count for so long after the answer.
const WATCHED: Duration = Duration::from_secs(45);
/// Bytes of words that are kept.
const TEXT_MAX: usize = 2_000;

/// What mailboxes say, by language, as [`normal`] makes it.
const PHRASES: &[(&str, &[&str])] = &[
    (
        "en",
        &[
            "voicemail",
            "voice mail",
            "mailbox",
            "leave a message",
            "leave your message",
            "leave me a message",
            "after the tone",
            "after the beep",
            "at the tone",
            "record your message",
            "is not available",
            "not available right now",
            "cannot take your call",
            "can't take your call",
            "can't come to the phone",
            "cannot come to the phone",
            "you have reached the voicemail",
            "get back to you",
        ],
    ),
    (
        "de",
        &[
            "mailbox",
            "anrufbeantworter",
            "sprachbox",
            "nach dem ton",
            "nach dem signalton",
            "nach dem piepton",
            "hinterlassen sie",
            "eine nachricht hinterlassen",
            "nicht erreichbar",
            "zurzeit nicht",
            "persönlich nicht erreichbar",
        ],
    ),
    (
        "es",
        &[
            "buzón",
            "buzón de voz",
            "contestador",
            "después de la señal",
            "después del tono",
            "deje su mensaje",
            "deja tu mensaje",
            "deje un mensaje",
            "no está disponible",
        ],
    ),
    (
        "fr",
        &[
            "messagerie",
            "répondeur",
            "boîte vocale",
            "après le bip",
            "après le signal",
            "laissez un message",
            "laissez votre message",
            "laisser un message",
            "n'est pas disponible",
            "ne suis pas disponible",
        ],
    ),
    (
        "it",
        &[
            "segreteria",
            "segreteria telefonica",
            "casella vocale",
            "dopo il segnale",
            "dopo il bip",
            "lasciate un messaggio",
            "lasci un messaggio",
            "lascia un messaggio",
            "non è raggiungibile",
            "non è disponibile",
        ],
    ),
];

/// Judges who answered one call.
#[derive(Debug)]
pub struct AnswererJudge {
    phrases: &'static [&'static str],
    answered: Duration,
    /// First sound of the greeting, pauses bridged.
    greeting: Option<Duration>,
    speaks: bool,
    last_sound: Duration,
    text: String,
    person: bool,
    machine: bool,
}

impl AnswererJudge {
    /// A judge of a call that was answered then, in this language (BCP 47; without phrases for it
    /// only length and beeps tell).
    pub fn new(language: &str, answered: Duration) -> Self {
        let first = language.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
        let row = PHRASES.iter().find(|(name, _)| *name == first);
        Self {
            phrases: row.map_or(&[], |(_, phrases)| *phrases),
            answered,
            greeting: None,
            speaks: false,
            last_sound: answered,
            text: String::new(),
            person: false,
            machine: false,
        }
    }

    /// The other party's voice began.
    pub fn voice_started(&mut self, at: Duration) {
        self.speaks = true;
        self.greeting.get_or_insert(at);
    }

    /// It ended.
    pub fn voice_stopped(&mut self, at: Duration) {
        self.speaks = false;
        self.last_sound = self.last_sound.max(at);
    }

    /// Words of the other party; partials replace one another.
    pub fn transcript(&mut self, now: Duration, text: &str, is_final: bool) -> Option<Answerer> {
        let all = format!("{} {text}", self.text);
        let words = normal(&all);
        if is_final {
            self.text = all;
            let room = self.text.floor_char_boundary(TEXT_MAX);
            self.text.truncate(room);
        }
        let spoken = self.phrases.iter().any(|phrase| contains(&words, phrase));
        (spoken && self.is_watched(now)).then(|| self.is_machine()).flatten()
    }

    /// A beep was heard.
    pub fn beep(&mut self, now: Duration) -> Option<Answerer> {
        self.is_watched(now).then_some(Answerer::Beep)
    }

    /// What the time tells; ask again at [`Self::deadline`] and after every voice.
    pub fn judge(&mut self, now: Duration) -> Option<Answerer> {
        if self.person || self.machine {
            return None;
        }
        let begun = self.greeting?;
        let long = |end: Duration| end.saturating_sub(begun) >= GREETING_MAX;
        if self.speaks {
            return long(now).then(|| self.is_machine()).flatten();
        }
        if long(self.last_sound) {
            return self.is_machine();
        }
        let quiet = now.saturating_sub(self.last_sound) >= PERSON_SILENCE;
        self.person |= quiet;
        quiet.then_some(Answerer::Person)
    }

    /// When [`Self::judge`] may have something to tell.
    pub fn deadline(&self) -> Option<Duration> {
        let begun = self.greeting.filter(|_| !(self.person || self.machine))?;
        Some(if self.speaks { begun + GREETING_MAX } else { self.last_sound + PERSON_SILENCE })
    }

    fn is_machine(&mut self) -> Option<Answerer> {
        (!std::mem::replace(&mut self.machine, true)).then_some(Answerer::Machine)
    }

    fn is_watched(&self, now: Duration) -> bool {
        now.saturating_sub(self.answered) <= WATCHED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Voices from and to, and when to judge.
    fn judged(voices: &[(u64, u64)], at: u64) -> Option<Answerer> {
        let mut judge = AnswererJudge::new("en", ms(0));
        for &(from, to) in voices {
            let early = judge.judge(ms(from));
            if early.is_some() {
                return early;
            }
            judge.voice_started(ms(from));
            if at < to {
                return judge.judge(ms(at));
            }
            judge.voice_stopped(ms(to));
        }
        judge.judge(ms(at))
    }

    #[test]
    fn greetings_are_told_by_their_length() {
        for (voices, at, wanted) in [
            (&[] as &[(u64, u64)], 5_000, None),
            (&[(300, 700)], 1_300, None),
            (&[(300, 700)], 1_400, Some(Answerer::Person)),
            (&[(300, 700), (1_000, 2_000)], 2_700, Some(Answerer::Person)),
            (&[(300, 9_000)], 2_600, None),
            (&[(300, 9_000)], 2_700, Some(Answerer::Machine)),
            (&[(300, 1_500), (1_900, 3_000)], 3_100, Some(Answerer::Machine)),
        ] {
            assert_eq!(judged(voices, at), wanted, "{voices:?} at {at}");
        }
    }

    #[test]
    fn a_mailbox_is_known_by_its_words() {
        for (language, text, machine) in [
            ("en-US", "Please leave a message after the tone.", true),
            ("en", "John Smith speaking", false),
            ("de-DE", "Bitte hinterlassen Sie eine Nachricht", true),
            ("es", "Deje su mensaje", true),
            ("fr", "Laissez un message après le bip", true),
            ("it", "segreteria telefonica di Mario", true),
            ("ja", "mailbox", false),
        ] {
            let mut judge = AnswererJudge::new(language, ms(0));
            let verdict = judge.transcript(ms(3_000), text, true);
            assert_eq!(verdict, machine.then_some(Answerer::Machine), "{text}");
            assert_eq!(judge.transcript(ms(3_100), text, true), None, "told once");
        }
    }

    #[test]
    fn words_may_come_in_pieces_and_only_in_time() {
        let mut judge = AnswererJudge::new("en", ms(0));
        assert_eq!(judge.transcript(ms(2_000), "please leave", true), None);
        assert_eq!(judge.transcript(ms(2_500), "a message", false), Some(Answerer::Machine));
        let mut judge = AnswererJudge::new("en", ms(0));
        assert_eq!(judge.transcript(ms(60_000), "leave a message", true), None);
        assert_eq!(judge.beep(ms(60_000)), None);
        assert_eq!(judge.beep(ms(10_000)), Some(Answerer::Beep));
    }

    #[test]
    fn a_person_who_turns_out_to_be_a_machine_is_told() {
        let mut judge = AnswererJudge::new("en", ms(0));
        judge.voice_started(ms(200));
        judge.voice_stopped(ms(600));
        assert_eq!(judge.deadline(), Some(ms(1_300)));
        assert_eq!(judge.judge(ms(1_300)), Some(Answerer::Person));
        assert_eq!(judge.judge(ms(2_000)), None);
        assert_eq!(judge.deadline(), None);
        judge.voice_started(ms(2_000));
        let verdict = judge.transcript(ms(4_000), "I can't come to the phone", false);
        assert_eq!(verdict, Some(Answerer::Machine));
    }
}
