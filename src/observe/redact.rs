//! Wrappers for what must not stand in a log: numbers, digits, texts; and for what could break
//! one: control bytes.
//!
//! Owns how much of a private value is shown. Does not decide where.

use std::borrow::Cow;
use std::fmt;

/// A phone number, shown as its beginning and its last two digits: `+155…00`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Number<'a>(pub &'a str);

impl fmt::Display for Number<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters: Vec<char> = self.0.chars().collect();
        if letters.len() < 8 {
            return f.write_str(if letters.is_empty() { "" } else { "…" });
        }
        let (start, end) = (&letters[..4], &letters[letters.len() - 2..]);
        let shown = start.iter().chain(&['…']).chain(end).collect::<String>();
        f.write_str(&escape(&shown))
    }
}

impl fmt::Debug for Number<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Number({self})")
    }
}

/// Digits that a caller pressed, shown as their count: they may be a card number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digits<'a>(pub &'a str);

impl fmt::Display for Digits<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} digits", self.0.chars().count())
    }
}

impl fmt::Debug for Digits<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digits({self})")
    }
}

/// Words that are or were spoken, shown as their length.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Speech<'a>(pub &'a str);

impl fmt::Display for Speech<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} characters", self.0.chars().count())
    }
}

impl fmt::Debug for Speech<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Speech({self})")
    }
}

/// The longest foreign text that a log line takes.
const FOREIGN_CHARS_MAX: usize = 200;

/// Foreign text for a log line: control characters escaped, cut at 200 characters.
///
/// Cost: no allocation for short, plain text.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    let odd =
        |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}');
    if text.len() <= FOREIGN_CHARS_MAX && !text.chars().any(odd) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len().min(FOREIGN_CHARS_MAX * 2));
    for (count, letter) in text.chars().enumerate() {
        if count == FOREIGN_CHARS_MAX {
            shown.push('…');
            break;
        }
        if odd(letter) {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_values_are_not_shown() {
        assert_eq!(Number("+15550100").to_string(), "+155…00");
        assert_eq!(Number("+4989123456").to_string(), "+498…56");
        assert_eq!(Number("1234567").to_string(), "…");
        assert_eq!(Number("").to_string(), "");
        assert_eq!(Number("\r\n\u{1b}x12345").to_string(), "\\r\\n\\u{1b}x…45");
        assert_eq!(format!("{:?}", Digits("4111")), "Digits(4 digits)");
        assert_eq!(format!("{:?}", Speech("Grüße")), "Speech(5 characters)");
    }

    #[test]
    fn foreign_text_cannot_forge_lines_or_flood() {
        assert!(matches!(escape("plain"), Cow::Borrowed("plain")));
        assert_eq!(escape("a\r\nlevel=ERROR"), "a\\r\\nlevel=ERROR");
        assert_eq!(escape("\u{1b}[31m\u{202e}"), "\\u{1b}[31m\\u{202e}");
        assert_eq!(escape(&"é".repeat(5000)).chars().count(), FOREIGN_CHARS_MAX + 1);
    }

    proptest::proptest! {
        #[test]
        fn nothing_of_the_middle_of_a_number_is_shown(number in "\\+[0-9]{8,15}") {
            let shown = Number(&number).to_string();
            proptest::prop_assert_eq!(shown.chars().filter(char::is_ascii_digit).count(), 5);
        }
    }
}
