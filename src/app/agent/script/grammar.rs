//! Instructions in a tiny grammar, compiled to a playbook: `docs/playbook.md`.
//!
//! Every line begins with a known word and a colon, or the whole is refused: nothing is guessed
//! from free text.

use super::parse::fold;
use super::playbook::{Operation, Playbook};
use super::words;
use serde_json::{Value, json};

/// A line that is not in the grammar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("instruction {}, line {}: {detail}", instruction + 1, line + 1)]
pub struct GrammarFault {
    /// Which instruction, from 0.
    pub instruction: usize,
    /// Which line of it, from 0.
    pub line: usize,
    /// What is wrong.
    pub detail: String,
}

/// What a line asks for.
enum Line {
    Step(Value),
    Ask(String),
    /// `If yes`, `If no`, `Otherwise`, and what is to be done then.
    When(&'static str, Value),
    Record(String),
    Voicemail(String),
}

/// Compiles instructions; `language` decides how yes and no are said.
///
/// # Errors
/// [`GrammarFault`]: the first line that is not in the grammar, or a playbook that would not be
/// accepted as one.
pub fn compile(instructions: &[String], language: &str) -> Result<Playbook, GrammarFault> {
    let mut script = Compiler { language, ..Compiler::default() };
    for (instruction, text) in instructions.iter().enumerate() {
        for (line, text) in text.lines().enumerate() {
            if text.trim().is_empty() {
                continue;
            }
            let fault = |detail: String| GrammarFault { instruction, line, detail };
            let read = read(text).ok_or_else(|| fault(unknown(text)));
            script.add(read?).map_err(fault)?;
        }
    }
    script.finish()
}

fn unknown(text: &str) -> String {
    let shown: String = text.trim().chars().filter(|c| !c.is_control()).take(60).collect();
    format!(
        "{shown:?} is none of Say, Ask, If yes, If no, Otherwise, Record, Transfer, Voicemail, \
         Hang up"
    )
}

fn read(text: &str) -> Option<Line> {
    if let Some(step) = step(text) {
        return Some(Line::Step(step));
    }
    let (word, rest) = text.split_once(':')?;
    let rest = rest.trim();
    if rest.is_empty() {
        return None;
    }
    Some(match fold(word).as_str() {
        "ask" => Line::Ask(rest.to_owned()),
        "if yes" => Line::When("yes", step(rest)?),
        "if no" => Line::When("no", step(rest)?),
        "otherwise" => Line::When("otherwise", step(rest)?),
        "record" => Line::Record(rest.to_owned()),
        "voicemail" => Line::Voicemail(rest.to_owned()),
        _ => return None,
    })
}

/// A line that is a step by itself.
fn step(text: &str) -> Option<Value> {
    if matches!(fold(text).trim_end_matches('.'), "hang up" | "hangup") {
        return Some(json!({"hangup": {}}));
    }
    let (word, rest) = text.split_once(':')?;
    let rest = rest.trim();
    match fold(word).as_str() {
        "say" if !rest.is_empty() => Some(json!({"say": rest})),
        "transfer" if !rest.is_empty() => Some(json!({"transfer": {"target": rest}})),
        _ => None,
    }
}

#[derive(Default)]
struct Compiler<'l> {
    language: &'l str,
    steps: Vec<Value>,
    voicemail: Option<String>,
    questions: usize,
    /// The branch behind the last question, while lines are added to it.
    branch: Option<[Vec<Value>; 3]>,
}

impl Compiler<'_> {
    fn add(&mut self, line: Line) -> Result<(), String> {
        match line {
            Line::Step(step) => {
                self.close();
                self.steps.push(step);
            }
            Line::Ask(text) => {
                self.close();
                self.ask(&text);
            }
            Line::When(when, step) => {
                let Some([yes, no, otherwise]) = &mut self.branch else {
                    return Err(format!("{when:?} belongs right behind an Ask"));
                };
                match when {
                    "yes" => yes.push(step),
                    "no" => no.push(step),
                    _ => otherwise.push(step),
                }
            }
            Line::Record(field) => {
                self.close();
                if self.questions == 0 {
                    return Err("there is no Ask before this Record".to_owned());
                }
                let value = format!("{{answer{}}}", self.questions);
                self.steps.push(json!({"record": {field: value}}));
            }
            Line::Voicemail(text) => {
                if self.voicemail.replace(text).is_some() {
                    return Err("there is more than one Voicemail".to_owned());
                }
            }
        }
        Ok(())
    }

    fn ask(&mut self, text: &str) {
        let words = words::of(self.language);
        let phrases: Vec<&str> = words.yes.iter().chain(words.no).copied().collect();
        self.questions += 1;
        self.steps.push(json!({
            "ask": {"dtmf": ["1", "2"], "phrases": phrases},
            "text": format!("{text} {}", words.choose),
            "saveAs": format!("answer{}", self.questions),
            "retries": 1,
        }));
        self.branch = Some(Default::default());
    }

    /// Nothing more belongs to the last question.
    fn close(&mut self) {
        let Some([yes, no, otherwise]) = self.branch.take() else { return };
        if yes.is_empty() && no.is_empty() && otherwise.is_empty() {
            return;
        }
        let on = format!("answer{}", self.questions);
        let cases = json!({"yes": yes, "no": no});
        self.steps.push(json!({"branch": {"on": on, "cases": cases, "otherwise": otherwise}}));
    }

    fn finish(mut self) -> Result<Playbook, GrammarFault> {
        self.close();
        let script = json!({"steps": self.steps, "voicemail": self.voicemail});
        let mut playbook = Playbook::parse(&script).map_err(|faults| {
            let detail = faults.into_iter().next().map(|fault| fault.detail);
            GrammarFault { instruction: 0, line: 0, detail: detail.unwrap_or_default() }
        })?;
        // However it is said or pressed, an answer is kept as yes or no.
        let words = words::of(self.language);
        let means = |list: &[&str], key: &str, meaning: &str| -> Vec<(String, String)> {
            let said = list.iter().map(|word| fold(word)).chain([key.to_owned()]);
            said.map(|said| (said, meaning.to_owned())).collect()
        };
        for operation in &mut playbook.operations {
            if let Operation::Ask(ask) = operation {
                ask.means = means(words.yes, "1", "yes");
                ask.means.extend(means(words.no, "2", "no"));
            }
        }
        Ok(playbook)
    }
}
