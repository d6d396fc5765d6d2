//! From a user's text to pieces that are safe to give to an engine.
//!
//! Owns the cleaning (markup and control characters lose their power) and the cutting into
//! sentences. Does not rewrite numbers or dates: the engine reads those.

use std::ffi::CString;
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

/// A text that an engine may have: no markup, no control characters, NUL-terminated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineText(CString);

impl EngineText {
    /// Cleans one piece of text for an engine with live markup.
    ///
    /// `<` and `>` become spaces, `&` the word for "and" of the language, control and format
    /// characters spaces: the words between are spoken, nothing is obeyed.
    #[must_use]
    pub fn clean(text: &str, language: &str) -> Self {
        let and = match language.get(..2) {
            Some("de") => " und ",
            Some("es") => " y ",
            Some("fr") => " et ",
            Some("it") => " e ",
            Some(_) | None => " and ",
        };
        let mut clean = String::with_capacity(text.len() + 8);
        for c in text.chars() {
            match c {
                '&' => clean.push_str(and),
                '<' | '>' | '\\' => clean.push(' '),
                c if c.is_control() || is_format(c) => clean.push(' '),
                c => clean.push(c),
            }
        }
        // No NUL is left, so this cannot fail; an empty text is the harmless way out.
        Self(CString::new(clean).unwrap_or_default())
    }

    /// Wraps the text in Pico's own volume tag; its default level clips.
    #[must_use]
    pub fn at_pico_volume(&self, percent: u8) -> Self {
        let mut bytes = format!("<volume level=\"{percent}\">").into_bytes();
        bytes.extend_from_slice(self.0.as_bytes());
        bytes.extend_from_slice(b"</volume>");
        Self(CString::new(bytes).unwrap_or_default())
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

/// Cuts a text into pieces for synthesis: sentences, long ones cut at commas and spaces.
///
/// Shape: in order, each with something to say in it, at most 300 characters; nothing is lost but
/// white space at the cuts.
#[must_use]
pub fn pieces(text: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut held = String::new();
    for sentence in text.split_sentence_bounds() {
        held.push_str(sentence);
        let trimmed = held.trim();
        let short = trimmed.chars().count() < PIECE_CHARS_MIN;
        if trimmed.is_empty() || (short && !sentence.contains('\n')) || ends_abbreviated(trimmed) {
            continue;
        }
        cut(trimmed, &mut out);
        held.clear();
    }
    cut(held.trim(), &mut out);
    out.retain(|piece| piece.chars().any(char::is_alphanumeric) || piece.len() > 3);
    out
}

fn ends_abbreviated(text: &str) -> bool {
    let Some(body) = text.strip_suffix('.') else { return false };
    let word = body.rsplit(|c: char| c.is_whitespace() || c == '(').next().unwrap_or_default();
    let lower = word.to_lowercase();
    ABBREVIATIONS.contains(&lower.as_str())
        || (word.chars().count() == 1 && word.chars().all(char::is_uppercase))
}

/// Appends `sentence` in pieces of bounded length, cut behind a comma or a space if there is one.
fn cut(sentence: &str, out: &mut Vec<String>) {
    let mut rest = sentence;
    while rest.chars().count() > PIECE_CHARS_MAX {
        let limit = rest.char_indices().nth(PIECE_CHARS_MAX).map_or(rest.len(), |(at, _)| at);
        let head = rest.get(..limit).unwrap_or(rest);
        let at = head
            .rfind([',', ';', ':'])
            .filter(|at| *at > limit / 3)
            .or_else(|| head.rfind(char::is_whitespace).filter(|at| *at > 0))
            .and_then(|at| head.get(at..)?.chars().next().map(|c| at + c.len_utf8()))
            .unwrap_or(limit);
        let (piece, tail) = rest.split_at(at);
        if !piece.trim().is_empty() {
            out.push(piece.trim().to_owned());
        }
        rest = tail.trim_start();
    }
    if !rest.is_empty() {
        out.push(rest.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(text: &str) -> String {
        let bytes = EngineText::clean(text, "en-US");
        String::from_utf8(bytes.as_bytes_with_nul().to_vec()).unwrap()
    }

    #[test]
    fn markup_and_control_characters_lose_their_power() {
        let text = cleaned("<genfile file=\"/tmp/x\">a\0b</genfile> R&D\u{202e}\r\n");
        assert!(!text.contains(['<', '>', '&', '\r', '\n', '\u{202e}']));
        assert_eq!(text.matches('\0').count(), 1, "only the terminator");
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
