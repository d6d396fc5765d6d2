//! Phrase lists as grammars: words of the dictionary and nothing else.
//!
//! A user's text reaches the library's grammar parser only as words that stand in its own
//! dictionary, so nothing in it can be an operator of the grammar. Pure but for reading the
//! dictionary once.

use std::collections::{BTreeSet, HashSet};
use std::ffi::{CStr, CString};
use std::io::{BufRead as _, BufReader};
use std::path::Path;

/// Words of a phrase.
const WORDS_MAX: usize = 40;
/// Words of a dictionary; more are not read.
const DICTIONARY_MAX: usize = 1_000_000;

/// The words that can be recognised at all.
#[derive(Debug)]
pub(super) struct Lexicon(HashSet<Box<str>>);

/// Why a list of phrases is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum GrammarError {
    /// There is nothing in it.
    #[error("PocketSphinx needs a list of phrases, and recognises nothing else")]
    Empty,
    /// Words that the dictionary lacks.
    #[error("the dictionary lacks {0}; spell numbers and abbreviations out")]
    Unknown(String),
}

/// A list of phrases, ready for the library.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Grammar {
    jsgf: CString,
    /// Each phrase's words and its own spelling.
    phrases: Vec<(String, String)>,
}

impl Lexicon {
    /// Reads a dictionary in CMU's format: a word and its phones on each line.
    ///
    /// # Errors
    /// An I/O error.
    pub(super) fn load(path: &Path) -> std::io::Result<Self> {
        let mut words = HashSet::new();
        let file = BufReader::new(std::fs::File::open(path)?);
        for line in file.split(b'\n').take(DICTIONARY_MAX) {
            let line = line?;
            let line = String::from_utf8_lossy(&line);
            let word = line.split(|c: char| c.is_whitespace() || c == '(').next();
            words.extend(word.filter(|word| plain(word)).map(Box::from));
        }
        Ok(Self(words))
    }

    #[cfg(test)]
    pub(super) fn of(words: &str) -> Self {
        Self(words.split(' ').map(Box::from).collect())
    }
}

/// Letters and apostrophes only: no character that a grammar gives a meaning to.
fn plain(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|octet| octet.is_ascii_lowercase() || octet == b'\'')
}

/// The words of a phrase, lower-case, without punctuation.
fn words(phrase: &str) -> Vec<String> {
    let lower = phrase.to_lowercase().replace('’', "'");
    let parts = lower.split(|c: char| !(c.is_alphanumeric() || c == '\''));
    let parts = parts.map(|part| part.trim_matches('\'')).filter(|part| !part.is_empty());
    parts.take(WORDS_MAX).map(str::to_owned).collect()
}

impl Grammar {
    /// The grammar of a list.
    ///
    /// # Errors
    /// [`GrammarError`]; all unknown words are named.
    pub(super) fn new(phrases: &[String], lexicon: &Lexicon) -> Result<Self, GrammarError> {
        let split = phrases.iter().map(|phrase| (words(phrase), phrase.clone()));
        let split: Vec<(Vec<String>, String)> =
            split.filter(|(words, _)| !words.is_empty()).collect();
        let known = |word: &&String| plain(word) && lexicon.0.contains(word.as_str());
        let unknown: BTreeSet<String> = split
            .iter()
            .flat_map(|(words, _)| words.iter().filter(|word| !known(word)))
            .map(|word| format!("{word:?}"))
            .collect();
        if !unknown.is_empty() {
            let named: Vec<String> = unknown.into_iter().take(10).collect();
            return Err(GrammarError::Unknown(named.join(", ")));
        }
        let phrases: Vec<(String, String)> =
            split.into_iter().map(|(words, spelling)| (words.join(" "), spelling)).collect();
        let choices: BTreeSet<&str> = phrases.iter().map(|(words, _)| words.as_str()).collect();
        let choices: Vec<&str> = choices.into_iter().collect();
        let choices = choices.join(" | ");
        let jsgf = format!("#JSGF V1.0;\ngrammar phrases;\npublic <phrase> = {choices} ;\n");
        match CString::new(jsgf) {
            Ok(jsgf) if !phrases.is_empty() => Ok(Self { jsgf, phrases }),
            _ => Err(GrammarError::Empty),
        }
    }

    /// In the Java Speech Grammar Format.
    pub(super) fn jsgf(&self) -> &CStr {
        &self.jsgf
    }

    /// The phrase that has these words, as it was given; parts of phrases are none.
    pub(super) fn phrase(&self, words: &str) -> Option<&str> {
        let found = self.phrases.iter().find(|(known, _)| known == words);
        found.map(|(_, spelling)| spelling.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_text_becomes_an_operator(phrases in prop::collection::vec(
            "(yes|no|please|[;|<>(){}/*+=\"\\\\\\[\\] \\PC]){0,12}", 1..6)
        ) {
            if let Ok(grammar) = Grammar::new(&phrases, &Lexicon::of("yes please don't no")) {
                let jsgf = grammar.jsgf().to_str().unwrap();
                let body = jsgf.strip_prefix("#JSGF V1.0;\ngrammar phrases;\npublic <phrase> = ");
                let body = body.unwrap().strip_suffix(" ;\n").unwrap();
                let plain = |c: char| c.is_ascii_lowercase() || "' |".contains(c);
                prop_assert!(body.chars().all(plain), "{}", body);
                prop_assert!(body.split(" | ").all(|choice| !choice.trim().is_empty()));
            }
        }
    }

    fn grammar(phrases: &[&str]) -> Result<Grammar, GrammarError> {
        let lexicon = Lexicon::of("yes please don't no thank you");
        let phrases: Vec<String> = phrases.iter().map(|phrase| (*phrase).to_owned()).collect();
        Grammar::new(&phrases, &lexicon)
    }

    #[test]
    fn phrases_keep_their_spelling() {
        let grammar =
            grammar(&["Yes, please!", "No – thank you.", "Don’t", "yes please", "?"]).unwrap();
        let jsgf = grammar.jsgf().to_str().unwrap();
        assert!(
            jsgf.ends_with("public <phrase> = don't | no thank you | yes please ;\n"),
            "{jsgf}"
        );
        assert_eq!(grammar.phrase("yes please"), Some("Yes, please!"));
        assert_eq!(grammar.phrase("no thank you"), Some("No – thank you."));
        assert_eq!(grammar.phrase("no thank"), None);
    }

    #[test]
    fn unknown_words_are_named_and_operators_have_no_way_in() {
        assert_eq!(grammar(&[]), Err(GrammarError::Empty));
        assert_eq!(grammar(&["...", " "]), Err(GrammarError::Empty));
        let unknown = grammar(&["yes 1", "Zürich please", "yes zorp"]).unwrap_err();
        assert_eq!(unknown, GrammarError::Unknown("\"1\", \"zorp\", \"zürich\"".into()));
        let hostile = grammar(&["yes | <no> ; { please } /0.5/ \0 // ( you ) * + [ thank ]"]);
        assert!(matches!(hostile, Err(GrammarError::Unknown(words)) if words == "\"0\", \"5\""));
        let hostile = grammar(&["yes | <no> ; import <please>"]);
        assert!(matches!(hostile, Err(GrammarError::Unknown(words)) if words == "\"import\""));
        let jsgf = grammar(&["yes;|<no>"]).unwrap();
        assert!(jsgf.jsgf().to_str().unwrap().ends_with("= yes no ;\n"));
    }
}
