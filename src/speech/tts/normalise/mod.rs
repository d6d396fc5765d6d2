//! One reading of a text for all engines: what is written becomes what is said.
//!
//! ```text
//!  markup of chat models ─> emoji ─> addresses ─> dates, times, money, numbers
//! ```
//!
//! Owns these steps; each is a rewriting whose [`Map`] leads back to the source. Plain prose passes
//! unchanged, and nothing that was read is read again. Numbers are put into words for English,
//! German, Spanish, French and Italian; texts of other languages are left to their engine. Does
//! not make texts safe: [`super::text::EngineText`] does.

mod address;
mod language;
mod markdown;
mod measure;
mod number;
mod quantity;
mod scan;

use super::map::Map;
use language::Language;

/// Rewrites a text for a language tag; an empty tag leaves numbers and addresses as they are.
///
/// Cost: linear in the text, about a microsecond per word.
#[must_use]
pub fn normalise(text: &str, language: &str) -> (String, Vec<Map>) {
    let (text, first) = markdown::strip(text);
    let (text, second) = markdown::drop_emoji(&text);
    let mut maps = vec![first, second];
    let Some(language) = Language::of_tag(language) else { return (text, maps) };
    let (text, third) = address::speak(&text, language);
    let (text, fourth) = quantity::speak(&text, language);
    maps.extend([third, fourth]);
    (text, maps)
}

/// Letters and digits one by one, as `say-as` wants them.
#[must_use]
pub fn spell(text: &str, language: &str) -> String {
    let language = Language::of_tag(language);
    let letter = |c: char| match (c.to_digit(10), language) {
        (Some(digit), Some(language)) => number::cardinal(u64::from(digit), language),
        _ => c.to_string(),
    };
    let letters = text.chars().filter(|c| c.is_alphanumeric()).map(letter);
    letters.collect::<Vec<_>>().join(", ")
}

/// A telephone number, digit by digit in its groups.
#[must_use]
pub fn telephone(text: &str, language: &str) -> String {
    match Language::of_tag(language) {
        Some(language) => quantity::digits_in_groups(text, language),
        None => spell(text, ""),
    }
}

/// Fuzz entry: a text in a language chosen by the first octet.
///
/// # Panics
/// When a position leads nowhere, or digits survive in prose that they should not.
pub fn fuzz_normalise(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else { return };
    let tags = ["en-US", "en-GB", "de-DE", "es-ES", "fr-FR", "it-IT", ""];
    let tag = tags.get(usize::from(*first) % tags.len()).copied().unwrap_or_default();
    let text = String::from_utf8_lossy(rest);
    let (read, maps) = normalise(&text, tag);
    assert!(read.len() <= text.len() * 60 + 64, "a text grew beyond all words");
    let mut last = 0;
    for at in 0..=read.len() {
        let source = maps.iter().rev().fold(at, |at, map| map.source_end(at));
        assert!(source >= last && source <= text.len(), "a position leads nowhere");
        last = source;
    }
    let _ = (spell(&text, tag), telephone(&text, tag));
}

#[cfg(test)]
mod tests;
