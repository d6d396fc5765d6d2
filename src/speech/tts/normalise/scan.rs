//! Walking over a text and rewriting what is recognised at a place.

use crate::speech::tts::map::{Map, Rewriter};

/// Offers every place of a text to `recognise`, with the letter before it; what it recognises is
/// replaced.
///
/// Cost: linear, if `recognise` looks ahead no further than a bound.
pub(super) fn rewrite(
    text: &str,
    mut recognise: impl FnMut(&str, Option<char>) -> Option<(usize, String)>,
) -> (String, Map) {
    let mut rewriter = Rewriter::new(text);
    let (mut at, mut before) = (0, None);
    while let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) {
        let rest = text.get(at..).unwrap_or_default();
        if let Some((length, with)) = recognise(rest, before).filter(|(length, _)| *length > 0) {
            rewriter.copy_to(at);
            rewriter.replace_to(at + length, &with);
            at += length;
            before = rest.get(..length).and_then(|said| said.chars().next_back());
        } else {
            at += c.len_utf8();
            before = Some(c);
        }
    }
    rewriter.finish()
}

/// How many octets of ASCII digits stand at the front, `most` at most.
pub(super) fn digits(text: &str, most: usize) -> usize {
    text.bytes().take(most).take_while(u8::is_ascii_digit).count()
}

/// The letter at an octet.
pub(super) fn letter(text: &str, at: usize) -> Option<char> {
    text.get(at..)?.chars().next()
}

/// Whether a word could not go on here.
pub(super) fn ends_word(text: &str, at: usize) -> bool {
    !letter(text, at).is_some_and(char::is_alphanumeric)
}

/// Whether a number could not go on here: neither digit nor letter, nor a mark before a digit.
pub(super) fn ends_number(text: &str, at: usize) -> bool {
    let Some(next) = letter(text, at) else { return true };
    let marked = matches!(next, '.' | ',' | ':' | '/' | '\'' | '_')
        && letter(text, at + 1).is_some_and(|c| c.is_ascii_digit());
    !next.is_alphanumeric() && !marked && next != '_'
}

/// A number at the front, if it has at most `most` digits.
pub(super) fn small(text: &str, most: usize) -> Option<(u32, usize)> {
    let length = digits(text, most + 1);
    if length == 0 || length > most {
        return None;
    }
    Some((text.get(..length)?.parse().ok()?, length))
}
