//! From a user's text to pieces that are safe to give to an engine.
//!
//! Owns the cleaning (markup and control characters lose their power) and the cutting into
//! sentences. Does not rewrite numbers or dates: `normalise` does.

use super::map::{Map, Rewriter};
use std::ffi::CString;
use std::ops::Range;
use unicode_segmentation::UnicodeSegmentation;

/// The longest piece given to an engine at once, in characters: time to the first sound and the
/// engine's work both grow with it.
const PIECE_CHARS_MAX: usize = 300;

/// Shorter pieces are joined with the next, so that "1." or "Dr." does not stand alone.
const PIECE_CHARS_MIN: usize = 20;

/// Words that end in a full stop without ending a sentence.
const ABBREVIATIONS: &[&str] = &[
    "dr", "mr", "mrs", "ms", "prof", "st", "jr", "sr", "vs", "no", "nr", "etc", "e.g", "i.e",
    "z.b", "d.h", "bzw", "inc", "ltd", "co", "corp", "dept", "approx", "ca", "tel", "fig", "vol",
    "sra", "sig", "hr", "fr", "mme", "mlle", "str", "ave", "rd", "mt", "ext",
];

/// A text that an engine may have: no markup of any engine, no control characters but line ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineText(String);

impl EngineText {
    /// Cleans a text, whatever it holds, and tells where its characters came from.
    ///
    /// `<`, `>` and `\` become spaces, `&` the word for "and" of the language, brackets and braces
    /// (phonemes of espeak and Piper, tags and pronunciations of others) round ones, control and
    /// format characters spaces: the words between are spoken, nothing is obeyed.
    #[must_use]
    pub fn clean(text: &str, language: &str) -> (Self, Map) {
        let and = match language.get(..2) {
            Some("de") => " und ",
            Some("es") => " y ",
            Some("fr") => " et ",
            Some("it") => " e ",
            Some(_) | None => " and ",
        };
        let mut clean = Rewriter::new(text);
        for (at, c) in text.char_indices() {
            let with = match c {
                '&' => and,
                '[' | '{' => "(",
                ']' | '}' => ")",
                '<' | '>' | '\\' => " ",
                // Cuts are made there; see [`EngineText::part`].
                '\n' => continue,
                c if c.is_control() || is_format(c) => " ",
                _ => continue,
            };
            clean.copy_to(at);
            clean.replace_to(at + c.len_utf8(), with);
        }
        let (text, map) = clean.finish();
        (Self(text), map)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A part of it on one line, as clean as the whole; nothing for a range that is none.
    #[must_use]
    pub fn part(&self, range: Range<usize>) -> Self {
        Self(self.0.get(range).unwrap_or_default().replace('\n', " "))
    }
}

/// A text within Pico's own tags, the only ones that it ever sees; NUL-terminated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PicoText(CString);

impl PicoText {
    /// At a volume (Pico's default level clips) and a speed, both in percent.
    #[must_use]
    pub fn new(text: &EngineText, volume: u8, speed: u16) -> Self {
        let speed = speed.clamp(20, 500);
        let text = text.as_str();
        let text =
            format!("<volume level=\"{volume}\"><speed level=\"{speed}\">{text}</speed></volume>");
        // A clean text has no NUL, so this cannot fail; an empty text is the harmless way out.
        Self(CString::new(text).unwrap_or_default())
    }

    /// Lets anything through, to prove in a test that the cleaning matters.
    #[cfg(test)]
    pub(super) fn unchecked_for_test(text: &str) -> Self {
        Self(CString::new(text).unwrap_or_default())
    }

    /// The bytes with the terminating NUL, which flushes the engine.
    #[must_use]
    pub fn as_bytes_with_nul(&self) -> &[u8] {
        self.0.as_bytes_with_nul()
    }
}

/// Invisible characters that steer text direction or hide in it.
fn is_format(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// Where a text is cut for synthesis: sentences, long ones cut at commas and spaces.
///
/// Shape: in order, each with something to say in it, at most 300 characters; nothing is lost but
/// white space at the cuts and what has neither letter nor digit.
#[must_use]
pub fn cuts(text: &str) -> Vec<Range<usize>> {
    let mut out: Vec<Range<usize>> = Vec::new();
    let mut start = 0;
    for (at, sentence) in text.split_sentence_bound_indices() {
        let end = at + sentence.len();
        let held = trimmed(text, start..end);
        let words = text.get(held.clone()).unwrap_or_default();
        if words.is_empty() {
            start = end;
            continue;
        }
        let short = words.chars().take(PIECE_CHARS_MIN).count() < PIECE_CHARS_MIN;
        // What is long is no longer a title in front of a name.
        let goes_on = words.len() <= PIECE_CHARS_MAX && ends_abbreviated(words);
        if (short && !sentence.contains('\n')) || goes_on {
            continue;
        }
        cut(text, held, &mut out);
        start = end;
    }
    cut(text, trimmed(text, start..text.len()), &mut out);
    out.retain(|piece| {
        text.get(piece.clone()).unwrap_or_default().chars().any(char::is_alphanumeric)
    });
    out
}

/// The range without white space at its ends.
fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let part = text.get(range.clone()).unwrap_or_default();
    let start = range.start + (part.len() - part.trim_start().len());
    start..start + part.trim().len()
}

fn ends_abbreviated(text: &str) -> bool {
    let Some(body) = text.strip_suffix('.') else { return false };
    let word = body.rsplit(|c: char| c.is_whitespace() || c == '(').next().unwrap_or_default();
    let lower = word.to_lowercase();
    ABBREVIATIONS.contains(&lower.as_str())
        || (word.chars().count() == 1 && word.chars().all(char::is_uppercase))
}

/// Appends a sentence in pieces of bounded length, cut behind a comma or a space if there is one.
fn cut(text: &str, sentence: Range<usize>, out: &mut Vec<Range<usize>>) {
    let mut rest = sentence;
    loop {
        let words = text.get(rest.clone()).unwrap_or_default();
        let Some((limit, _)) = words.char_indices().nth(PIECE_CHARS_MAX) else { break };
        let head = words.get(..limit).unwrap_or(words);
        let at = head
            .rfind([',', ';', ':'])
            .filter(|at| *at > limit / 3)
            .or_else(|| head.rfind(char::is_whitespace).filter(|at| *at > 0))
            .and_then(|at| head.get(at..)?.chars().next().map(|c| at + c.len_utf8()))
            .unwrap_or(limit);
        let piece = trimmed(text, rest.start..rest.start + at);
        if !piece.is_empty() {
            out.push(piece);
        }
        rest = trimmed(text, rest.start + at..rest.end);
    }
    if !rest.is_empty() {
        out.push(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(text: &str) -> String {
        let (clean, _) = EngineText::clean(text, "en-US");
        clean.part(0..clean.as_str().len()).0
    }

    fn pieces(text: &str) -> Vec<String> {
        cuts(text).into_iter().map(|cut| text[cut].to_owned()).collect()
    }

    #[test]
    fn markup_and_control_characters_lose_their_power() {
        let text = cleaned("<genfile file=\"/tmp/x\">a\0b</genfile> [[h@]] {x} R&D\u{202e}\r\n");
        assert!(!text.contains(['<', '>', '&', '[', '}', '\0', '\r', '\n', '\u{202e}']));
        assert!(text.contains("genfile file") && text.contains("R and D"));
    }

    #[test]
    fn sentences_are_cut_where_people_would() {
        assert_eq!(
            pieces(
                "Hello Dr. Smith, it costs $3.50 today. Please call J. Doe at once! Thanks a lot."
            ),
            [
                "Hello Dr. Smith, it costs $3.50 today.",
                "Please call J. Doe at once!",
                "Thanks a lot."
            ]
        );
        assert_eq!(
            pieces("One. Two. Three. Four. Five. Six."),
            ["One. Two. Three. Four.", "Five. Six."]
        );
        assert_eq!(pieces("  \n "), Vec::<String>::new());
        assert_eq!(
            pieces("你好。今天天气很好，我们去公园吧。再见。").concat(),
            "你好。今天天气很好，我们去公园吧。再见。"
        );
    }

    #[test]
    fn hostile_texts_take_no_longer_than_others() {
        for part in ["\n", "Dr. ", ". ", "a\n", "\u{200b}"] {
            // Quadratic work on these would take minutes.
            let text = part.repeat(64 * 1024 / part.len());
            assert!(cuts(&text).iter().all(|cut| cut.len() <= PIECE_CHARS_MAX * 4), "{part:?}");
        }
    }

    #[test]
    fn no_piece_is_too_long_and_no_word_is_lost() {
        let words: Vec<String> = (0..2000).map(|n| format!("word{n}")).collect();
        for text in [words.join(" "), words.join(", "), words.concat(), "é".repeat(5000)] {
            let pieces = pieces(&text);
            assert!(pieces.iter().all(|piece| piece.chars().count() <= PIECE_CHARS_MAX));
            let strip = |s: &str| s.replace(char::is_whitespace, "");
            assert_eq!(strip(&pieces.concat()), strip(&text));
        }
    }
}
