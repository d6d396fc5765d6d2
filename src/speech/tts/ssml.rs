//! The subset of SSML that means something here: `speak`, `p`, `s`, `break`, `prosody` (rate,
//! volume), `say-as` (digits, characters, telephone), `sub`.
//!
//! ```text
//!  Hello <break time="1s"/> <prosody rate="slow">dear <sub alias="Ann">A.</sub></prosody>
//!  [Hello]  [pause 1 s, speed 0.75: dear Ann]
//! ```
//!
//! Other tags (`phoneme` among them) are taken off and their text is spoken. What comes out is
//! plain text in parts; no engine ever sees a tag. Document types, and with them all entities but
//! the five of XML, are refused; depth, size, parts and pauses are bounded. Does not read numbers.

use super::map::{Map, Rewriter};
use super::normalise;
use super::spec::TtsError;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use std::time::Duration;

/// The longest document, in octets.
const SIZE_MAX: usize = 64 * 1024;
/// Tags within tags.
const DEPTH_MAX: usize = 32;
/// Parts of one document.
const PARTS_MAX: usize = 500;
/// One pause, and all of them.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// See above.
const PAUSES_MAX: Duration = Duration::from_secs(60);

/// Text that is spoken in one manner.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    pub text: String,
    /// From the text to the document.
    pub map: Map,
    pub speed: f32,
    pub gain_db: f32,
    /// Silence before it.
    pub pause: Duration,
}

/// How text is spoken within a tag.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Manner {
    speed: f32,
    gain_db: f32,
}

/// What a tag does with the text in it.
#[derive(Debug, Clone, PartialEq)]
enum Role {
    /// Nothing.
    Through,
    /// Speaks it in a manner; the one before it comes back.
    Prosody(Manner),
    /// Ends a sentence before and after it.
    Sentence,
    /// Speaks this in its place.
    Alias(String),
    /// Reads it one by one.
    Spell,
    /// Reads it as a telephone number.
    Telephone,
}

/// Reads a document into parts.
///
/// # Errors
/// [`TtsError::Ssml`] for what is no XML, too large, too deep, or has a document type.
pub(super) fn parse(text: &str, language: &str) -> Result<Vec<Part>, TtsError> {
    if text.len() > SIZE_MAX {
        return Err(refused(&format!("more than {SIZE_MAX} octets")));
    }
    let mut reader = Reader::from_str(text);
    let mut parser = Parser::new(text, language);
    loop {
        let event = reader.read_event();
        let end = usize::try_from(reader.buffer_position()).unwrap_or(text.len()).min(text.len());
        match event.map_err(|error| refused(&error.to_string()))? {
            Event::Eof => break,
            Event::DocType(_) => return Err(refused("a document type is not allowed")),
            Event::Start(tag) => parser.open(&tag, end)?,
            Event::End(_) => parser.close(end)?,
            Event::Empty(tag) => {
                parser.open(&tag, end)?;
                parser.close(end)?;
            }
            Event::Text(_) => parser.copy(end),
            Event::CData(content) => parser.say(end, &content),
            Event::GeneralRef(name) => {
                let letter = match name.resolve_char_ref() {
                    Ok(Some(letter)) => letter,
                    Ok(None) => named(&name)?,
                    Err(error) => return Err(refused(&error.to_string())),
                };
                parser.say(end, letter.encode_utf8(&mut [0; 4]));
            }
            Event::Comment(_) | Event::PI(_) | Event::Decl(_) => parser.say(end, ""),
        }
    }
    parser.finish()
}

fn refused(reason: &str) -> TtsError {
    TtsError::Ssml(reason.chars().filter(|c| !c.is_control()).take(200).collect())
}

fn named(entity: &str) -> Result<char, TtsError> {
    match entity {
        "amp" => Ok('&'),
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        _ => Err(refused("an entity that XML does not know")),
    }
}

struct Parser<'a> {
    source: &'a str,
    language: &'a str,
    out: Rewriter<'a>,
    at: usize,
    manner: Manner,
    pause: Duration,
    pauses: Duration,
    parts: Vec<Part>,
    open: Vec<(Role, Manner)>,
    /// Text that is not spoken as it is, for the outermost tag that says so.
    held: Option<(usize, String)>,
}

impl<'a> Parser<'a> {
    fn new(source: &'a str, language: &'a str) -> Self {
        Self {
            source,
            language,
            out: Rewriter::new(source),
            at: 0,
            manner: Manner { speed: 1.0, gain_db: 0.0 },
            pause: Duration::ZERO,
            pauses: Duration::ZERO,
            parts: Vec::new(),
            open: Vec::new(),
            held: None,
        }
    }

    /// Text that stands in the document as it is spoken.
    fn copy(&mut self, end: usize) {
        match &mut self.held {
            Some((_, held)) => held.push_str(self.source.get(self.at..end).unwrap_or_default()),
            None => self.out.copy_to(end),
        }
        self.at = end;
    }

    /// Text that stands in the document otherwise.
    fn say(&mut self, end: usize, text: &str) {
        match &mut self.held {
            Some((_, held)) => held.push_str(text),
            None => self.out.replace_to(end, text),
        }
        self.at = end;
    }

    fn open(&mut self, tag: &BytesStart<'_>, end: usize) -> Result<(), TtsError> {
        if self.open.len() >= DEPTH_MAX {
            return Err(refused(&format!("more than {DEPTH_MAX} tags within one another")));
        }
        let name = tag.local_name();
        let role = match name.as_ref() {
            "break" => {
                self.say(end, "");
                self.take_break(tag)?;
                Role::Through
            }
            "p" | "s" => Role::Sentence,
            "prosody" => Role::Prosody(self.prosody(tag)),
            "sub" => attribute(tag, "alias").map_or(Role::Through, Role::Alias),
            "say-as" => match attribute(tag, "interpret-as").as_deref() {
                Some("digits" | "characters" | "spell-out") => Role::Spell,
                Some("telephone") => Role::Telephone,
                Some(_) | None => Role::Through,
            },
            _ => Role::Through,
        };
        let before = self.manner;
        match &role {
            Role::Prosody(manner) => {
                self.say(end, "");
                let manner = *manner;
                self.end_part(manner)?;
            }
            Role::Sentence => self.say(end, "\n"),
            Role::Alias(_) | Role::Spell | Role::Telephone if self.held.is_none() => {
                self.say(end, "");
                self.held = Some((self.open.len(), String::new()));
            }
            Role::Through | Role::Alias(_) | Role::Spell | Role::Telephone => self.say(end, ""),
        }
        self.open.push((role, before));
        Ok(())
    }

    fn close(&mut self, end: usize) -> Result<(), TtsError> {
        let Some((role, before)) = self.open.pop() else { return Ok(()) };
        if self.held.as_ref().is_some_and(|(depth, _)| *depth == self.open.len()) {
            let (_, held) = self.held.take().unwrap_or_default();
            let said = match &role {
                Role::Alias(alias) => alias.clone(),
                Role::Spell => normalise::spell(&held, self.language),
                Role::Telephone => normalise::telephone(&held, self.language),
                Role::Through | Role::Prosody(_) | Role::Sentence => held,
            };
            self.say(end, &said);
            return Ok(());
        }
        match role {
            Role::Prosody(_) => {
                self.say(end, "");
                self.end_part(before)
            }
            Role::Sentence => {
                self.say(end, "\n");
                Ok(())
            }
            Role::Through | Role::Alias(_) | Role::Spell | Role::Telephone => {
                self.say(end, "");
                Ok(())
            }
        }
    }

    fn take_break(&mut self, tag: &BytesStart<'_>) -> Result<(), TtsError> {
        // Within text that is replaced there is no place for it.
        if self.held.is_some() {
            return Ok(());
        }
        let time = attribute(tag, "time").and_then(|time| duration(&time));
        let strength = match attribute(tag, "strength").as_deref() {
            Some("none") => 0,
            Some("x-weak") => 100,
            Some("weak") => 250,
            Some("strong") => 1000,
            Some("x-strong") => 1500,
            Some(_) | None => 500,
        };
        let time = time.unwrap_or(Duration::from_millis(strength)).min(PAUSE_MAX);
        self.end_part(self.manner)?;
        let time = time.min(PAUSES_MAX.saturating_sub(self.pauses));
        self.pause = (self.pause + time).min(PAUSE_MAX);
        self.pauses += time;
        Ok(())
    }

    fn prosody(&self, tag: &BytesStart<'_>) -> Manner {
        let speed = attribute(tag, "rate").and_then(|rate| speed(&rate)).unwrap_or(1.0);
        let gain = attribute(tag, "volume").and_then(|volume| gain_db(&volume)).unwrap_or(0.0);
        Manner {
            speed: (self.manner.speed * speed).clamp(0.5, 2.0),
            gain_db: (self.manner.gain_db + gain).clamp(-60.0, 6.0),
        }
    }

    /// What was written so far is a part; what follows is spoken in `next`.
    fn end_part(&mut self, next: Manner) -> Result<(), TtsError> {
        if self.held.is_some() {
            return Ok(());
        }
        if self.out.written().chars().any(char::is_alphanumeric) {
            if self.parts.len() >= PARTS_MAX {
                return Err(refused(&format!("more than {PARTS_MAX} changes of manner")));
            }
            let fresh = Rewriter::starting(self.source, self.at);
            let (text, map) = std::mem::replace(&mut self.out, fresh).finish_here();
            let Manner { speed, gain_db } = self.manner;
            let pause = std::mem::take(&mut self.pause);
            self.parts.push(Part { text, map, speed, gain_db, pause });
        }
        self.manner = next;
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<Part>, TtsError> {
        if !self.open.is_empty() {
            return Err(refused("a tag is not closed"));
        }
        self.end_part(self.manner)?;
        Ok(self.parts)
    }
}

/// An attribute's value with its entities resolved; nothing for one that is broken.
fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = tag.attributes().flatten().find(|found| found.key.local_name().as_ref() == name)?;

    let value = quick_xml::escape::unescape(&found.value).ok()?;
    Some(value.trim().chars().take(1000).collect())
}

fn duration(time: &str) -> Option<Duration> {
    let (number, scale) = match time.strip_suffix("ms") {
        Some(number) => (number, 0.001),
        None => (time.strip_suffix('s')?, 1.0),
    };
    let seconds = number.trim().parse::<f64>().ok()? * scale;
    let sane = seconds.is_finite() && seconds >= 0.0;
    sane.then(|| Duration::from_secs_f64(seconds.min(PAUSE_MAX.as_secs_f64())))
}

fn speed(rate: &str) -> Option<f32> {
    let speed = match rate {
        "x-slow" => 0.5,
        "slow" => 0.75,
        "medium" | "default" => 1.0,
        "fast" => 1.25,
        "x-fast" => 1.6,
        rate => match rate.strip_suffix('%') {
            Some(percent) if percent.starts_with(['+', '-']) => {
                1.0 + percent.parse::<f32>().ok()? / 100.0
            }
            Some(percent) => percent.parse::<f32>().ok()? / 100.0,
            None => rate.parse().ok()?,
        },
    };
    (speed.is_finite() && speed > 0.0).then_some(speed)
}

fn gain_db(volume: &str) -> Option<f32> {
    let gain = match volume {
        "silent" => -60.0,
        "x-soft" => -12.0,
        "soft" => -6.0,
        "medium" | "default" => 0.0,
        "loud" => 4.0,
        "x-loud" => 6.0,
        volume => volume.strip_suffix("dB")?.trim().parse::<f32>().ok()?,
    };
    gain.is_finite().then_some(gain)
}

/// Fuzz entry: a document.
///
/// # Panics
/// When a position leads nowhere or a bound is broken.
pub fn fuzz_ssml(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(parts) = parse(&text, "en-US") else { return };
    assert!(parts.len() <= PARTS_MAX, "too many parts");
    assert!(
        parts.iter().map(|part| part.pause).sum::<Duration>() <= PAUSES_MAX,
        "too much silence"
    );
    let mut last = 0;
    for part in &parts {
        assert!((0.5..=2.0).contains(&part.speed), "a speed out of bounds");
        for at in 1..=part.text.len() {
            let source = part.map.source_end(at);
            assert!(source <= text.len() && source >= last, "a position leads nowhere");
            last = source;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(text: &str) -> Vec<(String, f32, f32, u64)> {
        let flat = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let parts = parse(text, "en-US").unwrap().into_iter();
        let ms = |pause: Duration| u64::try_from(pause.as_millis()).unwrap();
        parts.map(|part| (flat(part.text), part.speed, part.gain_db, ms(part.pause))).collect()
    }

    fn one(text: &str) -> String {
        let parts = parts(text);
        assert_eq!(parts.len(), 1, "{parts:?}");
        parts[0].0.clone()
    }

    #[test]
    fn manners_and_pauses_make_parts() {
        let text = "<speak>Hello <break time=\"1s\"/><break strength='weak'/>dear <prosody rate=\"slow\" \
            volume='soft'>slow <prosody rate='50%'>slower</prosody></prosody> world</speak>";
        let expected = [
            ("Hello".to_owned(), 1.0, 0.0, 0),
            ("dear".to_owned(), 1.0, 0.0, 1250),
            ("slow".to_owned(), 0.75, -6.0, 0),
            ("slower".to_owned(), 0.5, -6.0, 0),
            ("world".to_owned(), 1.0, 0.0, 0),
        ];
        assert_eq!(parts(text), expected);
    }

    #[test]
    fn tags_of_the_subset_change_what_is_said_and_others_only_go() {
        for (text, expected) in [
            ("<speak><p><s>One.</s><s>Two.</s></p></speak>", "One. Two."),
            ("<say-as interpret-as=\"digits\">42</say-as>", "four, two"),
            ("<say-as interpret-as='characters'>Ab1</say-as>", "A, b, one"),
            (
                "<say-as interpret-as='telephone'>555-0123</say-as>",
                "five five five, zero one two three",
            ),
            ("<say-as interpret-as='date'>today</say-as>", "today"),
            ("I am <sub alias=\"Doctor &amp; Co\">Dr <b>x</b></sub> here", "I am Doctor & Co here"),
            ("<phoneme alphabet='ipa' ph='x'>tomato</phoneme>", "tomato"),
            ("<audio src='file:///etc/passwd'>no sound</audio>", "no sound"),
            ("a <!-- hidden --> b <?php evil ?> c", "a b c"),
            ("x &lt;play&gt; &#65;&amp;", "x <play> A&"),
            ("<![CDATA[a < b]]>", "a < b"),
        ] {
            assert_eq!(one(text), expected, "{text}");
        }
    }

    #[test]
    fn bombs_and_broken_documents_are_refused() {
        let deep = format!("{}x{}", "<a>".repeat(40), "</a>".repeat(40));
        let many = "a<break/>".repeat(600);
        let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><speak>&b;</speak>";
        for text in [
            bomb,
            "&b;",
            "<speak>",
            "<a></b>",
            "<a",
            &deep,
            &many,
            &"x".repeat(70_000),
            "<!DOCTYPE speak SYSTEM \"file:///etc/passwd\"><speak>x</speak>",
        ] {
            assert!(matches!(parse(text, "en"), Err(TtsError::Ssml(_))), "{text:.40}");
        }
        let long = "a<break time='9999s'/>".repeat(20) + "b";
        let total: Duration = parse(&long, "en").unwrap().iter().map(|part| part.pause).sum();
        assert_eq!(total, PAUSES_MAX);
        for odd in ["nan", "-5s", "1e999s", "s", "", "1h"] {
            assert!(parse(&format!("a<break time='{odd}'/>b"), "en").is_ok(), "{odd}");
            assert!(
                parse(&format!("<prosody rate='{odd}' volume='{odd}dB'>a</prosody>"), "en").is_ok()
            );
        }
    }

    #[test]
    fn places_lead_back_to_the_document() {
        let text = "<speak>Hi &amp; <prosody rate='fast'>welcome</prosody> all</speak>";
        let parts = parse(text, "en").unwrap();
        let ends: Vec<usize> =
            parts.iter().map(|part| part.map.source_end(part.text.trim_end().len())).collect();
        assert!(text[..ends[0]].ends_with("&amp;"), "{ends:?}");
        // What only closes a manner is done with the words before it.
        assert!(text[..ends[1]].ends_with("welcome</prosody>"), "{ends:?}");
        assert_eq!(ends[2], text.len());
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "(<(speak|p|s|prosody rate='[a-z0-9%+.-]{0,5}'|break time='[0-9.ems]{0,5}'/?|sub alias='x'|/[a-z]{1,7})>|&(amp|lt|#[0-9]{1,5}|x);|[ -~\u{e9}]{0,5}){0,20}") {
            fuzz_ssml(text.as_bytes());
        }
    }
}
