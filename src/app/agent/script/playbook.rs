//! What a playbook holds once it is parsed: a flat list of operations.
//!
//! Branches are jumps, so that a position in a conversation is one number. Owns no behaviour.

use crate::turn::interface::DigitRule;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A checked script of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Playbook {
    pub(super) operations: Vec<Operation>,
    pub(super) voicemail: Option<Template>,
}

impl Playbook {
    /// Every phrase that an answer may be chosen from, for a speech engine that wants to know;
    /// the words of a confirmation are added by [`super::Script`]'s language.
    #[must_use]
    pub fn phrases(&self, language: &str) -> Vec<String> {
        let mut phrases = BTreeSet::new();
        for ask in self.asks() {
            phrases.extend(ask.phrases.iter().cloned());
        }
        if !phrases.is_empty() {
            let words = super::words::of(language);
            phrases.extend(words.yes.iter().chain(words.no).map(|word| (*word).to_owned()));
        }
        phrases.into_iter().collect()
    }

    /// Whether a question can be answered by words only: without transcription nobody can answer
    /// it, and a call should not be placed with such a playbook.
    #[must_use]
    pub fn needs_words(&self) -> bool {
        self.asks().any(|ask| !ask.phrases.is_empty() && ask.digits.is_none())
    }

    /// Whether any question wants speech transcribed without a list.
    #[must_use]
    pub fn wants_dictation(&self) -> bool {
        self.asks().any(|ask| ask.speech)
    }

    /// The transfer targets that it names, so that unknown ones are refused before dialling.
    #[must_use]
    pub fn targets(&self) -> Vec<&str> {
        let targets = self.operations.iter().filter_map(|operation| match operation {
            Operation::Transfer { target } => Some(target.as_str()),
            _ => None,
        });
        targets.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The tools that it needs, by their names of [`crate::app::agent::tools::BUILT_IN`].
    #[must_use]
    pub fn tools(&self) -> Vec<&'static str> {
        let mut tools = BTreeSet::from(["hang_up"]);
        for operation in &self.operations {
            tools.extend(match operation {
                Operation::Record { .. } => Some("record_result"),
                Operation::Transfer { .. } => Some("transfer"),
                Operation::SendDtmf { .. } => Some("send_dtmf"),
                Operation::Wait { .. } => Some("wait"),
                Operation::LeaveVoicemail { .. } => Some("leave_voicemail"),
                Operation::Say { .. }
                | Operation::Ask(_)
                | Operation::Branch { .. }
                | Operation::Jump(_)
                | Operation::Repeat { .. }
                | Operation::HangUp { .. } => None,
            });
        }
        tools.into_iter().collect()
    }

    fn asks(&self) -> impl Iterator<Item = &Ask> {
        self.operations.iter().filter_map(|operation| match operation {
            Operation::Ask(ask) => Some(&**ask),
            _ => None,
        })
    }
}

/// One thing to do. Numbers are indices of operations; one past the last is the end.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operation {
    Say { text: Template, interruptible: bool },
    Ask(Box<Ask>),
    Branch { on: String, cases: BTreeMap<String, usize>, otherwise: usize },
    Jump(usize),
    Repeat { times: u32, from: From },
    Record { fields: Vec<(String, Template)> },
    Transfer { target: String },
    HangUp { reason: String },
    SendDtmf { digits: Template },
    Wait { time: Duration },
    LeaveVoicemail { message: Template },
}

/// Where a repetition begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    /// The question asked last, with the words right before it.
    Ask,
    /// The first step.
    Start,
}

/// A question.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ask {
    /// Where a repetition begins: here, or at the words right before.
    pub(super) again: usize,
    /// The question itself, if it is not said by a step before.
    pub(super) text: Option<Template>,
    pub(super) digits: Option<DigitRule>,
    /// Any of these, as written.
    pub(super) phrases: Vec<String>,
    /// Any speech.
    pub(super) speech: bool,
    pub(super) timeout: Duration,
    pub(super) save_as: Option<String>,
    pub(super) reprompt: Option<Template>,
    /// How often it is asked again.
    pub(super) retries: u32,
    pub(super) read_back: ReadBack,
    /// Answers that are kept as another text, by their folded form.
    pub(super) means: Vec<(String, String)>,
}

/// When a spoken answer is read back and confirmed before it counts.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ReadBack {
    /// When the transcript was chosen from a list, whose engine accepts anything as something.
    Constrained,
    Always,
    Never,
}

/// A text with variables.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Template(pub(super) Vec<Part>);

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part {
    Text(String),
    Variable(String),
}

impl Template {
    /// Reads `{name}`; braces around anything that is no name are text.
    pub(super) fn parse(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('{') {
            plain.push_str(before);
            match behind.split_once('}').filter(|(name, _)| is_variable(name)) {
                Some((name, after)) => {
                    if !plain.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut plain)));
                    }
                    parts.push(Part::Variable(name.to_owned()));
                    rest = after;
                }
                None => {
                    plain.push('{');
                    rest = behind;
                }
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Self(parts)
    }

    pub(super) fn variables(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Variable(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// The text with what is known filled in; the unknown is empty.
    pub(super) fn fill<'v>(&self, value: impl Fn(&str) -> Option<&'v str>) -> String {
        let parts = self.0.iter().map(|part| match part {
            Part::Text(text) => text.as_str(),
            Part::Variable(name) => value(name).unwrap_or_default(),
        });
        parts.collect()
    }

    /// As [`Self::fill`]; `None` when nothing but one variable is asked for, and it is unknown.
    pub(super) fn value<'v>(&self, value: impl Fn(&str) -> Option<&'v str>) -> Option<String> {
        match self.0.as_slice() {
            [Part::Variable(name)] => value(name).map(str::to_owned),
            _ => Some(self.fill(value)),
        }
    }
}

/// A name of letters, digits, `_` and `.`, at most 64, that begins with a letter.
pub(super) fn is_variable(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))
}
