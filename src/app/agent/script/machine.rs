//! What a playbook means: one input in, outputs out, no clock and no randomness.
//!
//! ```text
//!  Start ──> run ──> Asking ──answer──> (Confirming) ──> run ──> … ──> Over
//!             │ ^                                         │
//!             v └────────── tool result ──────────────────┘
//! ```
//!
//! A turn ends at a question or with the call. `repeat` goes back to the question asked last and
//! the words right before it (or to the start), as often as it says, and is passed then. A
//! speculative turn is begun when it is confirmed: a script needs no head start. When a turn was
//! abandoned because the caller went on speaking, and the next one tells the same words and more
//! (it begins at the same time), what the first one did to the script is undone.

use super::parse::{GIVEN, fold};
use super::playbook::{Ask, From, Operation, Playbook, ReadBack, Template};
use super::words::{self, Words};
use crate::app::agent::interface::{BrainContext, BrainInput, BrainOutput, ToolCall};
use crate::app::agent::schema::Schema;
use crate::turn::interface::{DigitRule, Expect, Prompt, Said, Speaker, TurnId};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Operations within one turn, and within one call; more go in circles.
const RUN_MAX: u32 = 500;
const CALL_MAX: u32 = 20_000;
/// Characters of an answer that are kept, and of a text with its variables filled in.
const ANSWER_MAX: usize = 1000;
const FILLED_MAX: usize = 4000;
/// How often a question that was talked over is asked again without counting as an attempt.
const OVERHEARD_MAX: u32 = 2;
/// How often an answer may be confirmed as wrong.
const WRONG_MAX: u32 = 2;

/// A playbook at work in one call.
#[derive(Debug)]
pub struct Script {
    playbook: Playbook,
    words: Words,
    result: Option<Schema>,
    state: Progress,
    before: Option<Before>,
    speculative: Option<(TurnId, Prompt)>,
    interrupted: Option<TurnId>,
    operations_left: u32,
    tools: u64,
}

/// How far a conversation is.
#[derive(Debug, Clone)]
struct Progress {
    variables: BTreeMap<String, String>,
    recorded: BTreeMap<String, Option<String>>,
    repeats: BTreeMap<usize, u32>,
    asked: Option<usize>,
    at: At,
}

/// How far it was before the newest turn, and when the caller's words of that turn began.
#[derive(Debug)]
struct Before {
    turn: TurnId,
    started: Option<Duration>,
    abandoned: bool,
    state: Progress,
}

/// Where the conversation stands between inputs.
#[derive(Debug, Clone, PartialEq)]
enum At {
    /// Nothing was said.
    Start,
    /// A question is open.
    Asking(Open),
    /// An answer was read back.
    Confirming { open: Open, answer: String, again: bool },
    /// A tool works; the turn goes on when it is done.
    Tool { turn: TurnId, id: String, next: usize, then: Then },
    /// The turn was abandoned; the next one goes on here.
    Next(usize),
    /// The playbook is done; `hang_up`: and the call should be over.
    Over { hang_up: bool },
}

/// What a tool's answer means.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Then {
    /// Whatever it is, the playbook goes on.
    GoOn,
    /// The playbook is over if it worked, and goes on if it did not.
    OverIfDone,
    /// The playbook is over.
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Open {
    turn: TurnId,
    operation: usize,
    attempts: u32,
    overheard: u32,
    wrong: u32,
}

/// An answer that fits its question.
struct Answer {
    value: String,
    by: &'static str,
    constrained: bool,
}

type Outputs = Vec<BrainOutput>;

impl Script {
    /// Prepares a playbook for a call.
    #[must_use]
    pub fn new(playbook: Playbook, context: &BrainContext) -> Self {
        let verified = context.identity.as_ref().and_then(|identity| identity.verified.as_ref());
        let given = [
            context.call_id.clone(),
            context.from.clone().unwrap_or_default(),
            verified.map(|verified| verified.state.as_str().to_owned()).unwrap_or_default(),
            context.to.clone(),
            context.language.clone(),
        ];
        let mut variables: BTreeMap<String, String> =
            GIVEN.into_iter().map(str::to_owned).zip(given).collect();
        for (name, value) in &context.metadata {
            let text = match value {
                Value::String(text) => bounded(text, ANSWER_MAX),
                Value::Number(number) => number.to_string(),
                Value::Bool(flag) => flag.to_string(),
                Value::Null | Value::Array(_) | Value::Object(_) => continue,
            };
            variables.insert(format!("metadata.{name}"), text);
        }
        Self {
            playbook,
            words: words::of(&context.language),
            // A schema that does not compile was refused when the call was made.
            result: context.result_schema.as_ref().and_then(|s| Schema::compile_object(s).ok()),
            state: Progress {
                variables,
                recorded: BTreeMap::new(),
                repeats: BTreeMap::new(),
                asked: None,
                at: At::Start,
            },
            before: None,
            speculative: None,
            interrupted: None,
            operations_left: CALL_MAX,
            tools: 0,
        }
    }

    /// Takes one input; the outputs are complete.
    pub fn handle(&mut self, input: &BrainInput) -> Vec<BrainOutput> {
        let mut out = Vec::new();
        match input {
            BrainInput::Ask { turn, prompt, speculative: true } => {
                self.speculative = Some((*turn, prompt.clone()));
            }
            BrainInput::Ask { turn, prompt, speculative: false } => {
                self.speculative = None;
                self.turn(*turn, prompt, &mut out);
            }
            BrainInput::Confirm(turn) => {
                if let Some((_, prompt)) = self.speculative.take_if(|(known, _)| known == turn) {
                    self.turn(*turn, &prompt, &mut out);
                }
            }
            BrainInput::Abandon(turn) => {
                self.speculative.take_if(|(known, _)| known == turn);
                if let Some(before) = self.before.as_mut().filter(|before| before.turn == *turn) {
                    before.abandoned = true;
                }
                if let At::Tool { turn: busy, next, .. } = &self.state.at
                    && busy == turn
                {
                    self.state.at = At::Next(*next);
                }
            }
            BrainInput::Line(line) => {
                if line.speaker == Speaker::Agent && line.interrupted {
                    self.interrupted = Some(line.turn);
                }
            }
            BrainInput::ToolResult { turn, id, result } => {
                self.tool_result(*turn, id, result, &mut out);
            }
            BrainInput::Stop => self.state.at = At::Over { hang_up: false },
        }
        out
    }

    fn turn(&mut self, turn: TurnId, prompt: &Prompt, out: &mut Outputs) {
        let started = match prompt {
            Prompt::Said(said) => Some(said.started),
            Prompt::Begin | Prompt::NoAnswer(_) | Prompt::Voicemail => None,
        };
        let undone = self
            .before
            .take_if(|before| before.abandoned && started.is_some() && before.started == started);
        if let Some(before) = undone {
            self.state = before.state;
        }
        let state = self.state.clone();
        self.before = Some(Before { turn, started, abandoned: false, state });
        if matches!(prompt, Prompt::Voicemail) {
            return self.voicemail(turn, out);
        }
        match std::mem::replace(&mut self.state.at, At::Over { hang_up: true }) {
            At::Start => self.run(turn, 0, out),
            At::Next(next) | At::Tool { next, .. } => self.run(turn, next, out),
            At::Asking(open) => self.answered(turn, open, prompt, out),
            At::Confirming { open, answer, again } => {
                self.confirmed(turn, open, answer, again, prompt, out);
            }
            At::Over { hang_up } => self.over(turn, hang_up, out),
        }
    }

    fn voicemail(&mut self, turn: TurnId, out: &mut Outputs) {
        self.state.at = At::Over { hang_up: true };
        match self.playbook.voicemail.clone() {
            Some(text) => {
                self.say(turn, &text, false, out);
                out.push(BrainOutput::Done(turn));
            }
            None => self.over(turn, true, out),
        }
    }

    fn over(&mut self, turn: TurnId, hang_up: bool, out: &mut Outputs) {
        self.state.at = At::Over { hang_up };
        if hang_up {
            let end = self.playbook.operations.len();
            self.tool(turn, "hang_up", json!({"reason": "completed"}), end, Then::Over, out);
        } else {
            out.push(BrainOutput::Done(turn));
        }
    }

    /// Goes on at an operation until the turn waits for something.
    fn run(&mut self, turn: TurnId, start: usize, out: &mut Outputs) {
        let mut at = start;
        for _ in 0..RUN_MAX.min(self.operations_left) {
            self.operations_left -= 1;
            let Some(operation) = self.playbook.operations.get(at).cloned() else {
                return self.over(turn, true, out);
            };
            let next = at + 1;
            at = match operation {
                Operation::Say { text, interruptible } => {
                    self.say(turn, &text, interruptible, out);
                    next
                }
                Operation::Ask(ask) => {
                    self.state.asked = Some(ask.again);
                    if let Some(text) = &ask.text {
                        self.say(turn, text, true, out);
                    }
                    let open = Open { turn, operation: at, attempts: 0, overheard: 0, wrong: 0 };
                    return self.open(turn, open, &ask, out);
                }
                Operation::Branch { on, cases, otherwise } => {
                    let answer = self.state.variables.get(&on).map(|value| fold(value));
                    let case = answer.and_then(|answer| cases.get(&answer).copied());
                    case.unwrap_or(otherwise)
                }
                Operation::Jump(to) => to,
                Operation::Repeat { times, from } => self.repeat(at, times, from),
                other => return self.act(turn, at, other, out),
            };
        }
        self.state.at = At::Over { hang_up: true };
        let detail = "the playbook goes in circles without asking anything".to_owned();
        out.push(BrainOutput::Failed { turn, detail, fatal: true });
    }

    fn repeat(&mut self, at: usize, times: u32, from: From) -> usize {
        let done = self.state.repeats.entry(at).or_insert(0);
        if *done >= times {
            // Counts anew when it is reached another way.
            *done = 0;
            return at + 1;
        }
        *done += 1;
        match from {
            From::Start => 0,
            From::Ask => self.state.asked.unwrap_or(at + 1),
        }
    }

    /// The operations that are tools.
    fn act(&mut self, turn: TurnId, at: usize, operation: Operation, out: &mut Outputs) {
        let (name, arguments) = match operation {
            Operation::Record { fields } => {
                for (name, template) in fields {
                    let value = template.value(|name| self.variable(name));
                    let value = value.filter(|value| !value.is_empty());
                    self.state
                        .recorded
                        .insert(name, value.map(|value| bounded(&value, ANSWER_MAX)));
                }
                ("record_result", self.result())
            }
            Operation::Transfer { target } => ("transfer", json!({ "target": target })),
            Operation::HangUp { reason } => {
                let arguments = json!({ "reason": reason });
                return self.tool(turn, "hang_up", arguments, at, Then::Over, out);
            }
            Operation::SendDtmf { digits } => {
                let digits = digits.fill(|name| self.variable(name)).to_ascii_uppercase();
                let keys = digits.chars().filter(|c| "0123456789*#ABCD".contains(*c));
                ("send_dtmf", json!({ "digits": keys.take(32).collect::<String>() }))
            }
            Operation::Wait { time } => ("wait", json!({ "seconds": time.as_secs_f64() })),
            Operation::LeaveVoicemail { message } => {
                let message = message.fill(|name| self.variable(name));
                ("leave_voicemail", json!({ "message": bounded(&message, 2000) }))
            }
            Operation::Say { .. }
            | Operation::Ask(_)
            | Operation::Branch { .. }
            | Operation::Jump(_)
            | Operation::Repeat { .. } => return self.run(turn, at + 1, out),
        };
        let then = match name {
            "transfer" | "leave_voicemail" => Then::OverIfDone,
            _ => Then::GoOn,
        };
        self.tool(turn, name, arguments, at + 1, then, out);
    }

    /// Everything recorded so far, in the types that the caller's schema wants.
    fn result(&self) -> Value {
        if let Some(schema) = &self.result {
            return schema.typed(&self.state.recorded);
        }
        let fields = self.state.recorded.iter().map(|(name, value)| (name.clone(), json!(value)));
        Value::Object(fields.collect::<Map<_, _>>())
    }

    /// `next`: where the playbook goes on, also when the turn is abandoned meanwhile.
    fn tool(
        &mut self,
        turn: TurnId,
        name: &str,
        arguments: Value,
        next: usize,
        then: Then,
        out: &mut Outputs,
    ) {
        self.tools += 1;
        let id = format!("s{}", self.tools);
        self.state.at = At::Tool { turn, id: id.clone(), next, then };
        out.push(BrainOutput::Tool(turn, ToolCall { id, name: name.to_owned(), arguments }));
    }

    fn tool_result(&mut self, turn: TurnId, id: &str, result: &Value, out: &mut Outputs) {
        let At::Tool { turn: busy, id: known, next, then } = &self.state.at else { return };
        if *busy != turn || known != id {
            return;
        }
        let (next, failed) = (*next, result.get("error").is_some());
        let over = match then {
            Then::GoOn => false,
            Then::OverIfDone => !failed,
            Then::Over => true,
        };
        if over {
            // What was refused is asked for again when the caller goes on.
            self.state.at = At::Over { hang_up: failed };
            out.push(BrainOutput::Done(turn));
        } else {
            self.run(turn, next, out);
        }
    }

    fn answered(&mut self, turn: TurnId, mut open: Open, prompt: &Prompt, out: &mut Outputs) {
        let Some(ask) = self.ask(open.operation) else { return self.over(turn, true, out) };
        let Prompt::Said(said) = prompt else {
            return self.unanswered(turn, open, &ask, out);
        };
        let Some(answer) = fitting(&ask, said) else {
            let overheard = self.interrupted == Some(open.turn);
            if overheard && open.overheard < OVERHEARD_MAX {
                open.overheard += 1;
                self.question(turn, open.operation, &ask, out);
                return self.open(turn, open, &ask, out);
            }
            return self.unanswered(turn, open, &ask, out);
        };
        let spoken = answer.by == "speech" && !answer.value.is_empty();
        let doubtful = match ask.read_back {
            ReadBack::Always => true,
            ReadBack::Constrained => answer.constrained,
            ReadBack::Never => false,
        };
        if spoken && doubtful {
            return self.read_back(turn, open, answer.value, false, &ask, out);
        }
        self.save(&ask, Some(&answer.value), answer.by);
        self.run(turn, open.operation + 1, out);
    }

    /// Nothing, or nothing that fits: asks again, or goes on without an answer.
    fn unanswered(&mut self, turn: TurnId, mut open: Open, ask: &Ask, out: &mut Outputs) {
        if open.attempts >= ask.retries {
            self.save(ask, None, "none");
            return self.run(turn, open.operation + 1, out);
        }
        open.attempts += 1;
        match &ask.reprompt {
            Some(text) => self.say(turn, text, true, out),
            None => self.question(turn, open.operation, ask, out),
        }
        self.open(turn, open, ask, out);
    }

    fn read_back(
        &mut self,
        turn: TurnId,
        open: Open,
        answer: String,
        again: bool,
        ask: &Ask,
        out: &mut Outputs,
    ) {
        let understood = format!("{} {answer}.", self.words.understood);
        for text in [understood.as_str(), self.words.confirm] {
            out.push(BrainOutput::Say { turn, text: text.to_owned(), interruptible: true });
        }
        let phrases = self.words.yes.iter().chain(self.words.no).map(|word| (*word).to_owned());
        let keys = DigitRule { allowed: "12".to_owned(), min: 1, max: 1, finish: None };
        let expect = Expect {
            digits: Some(keys),
            speech: true,
            phrases: phrases.collect(),
            timeout: Some(ask.timeout),
            ..Expect::default()
        };
        out.push(BrainOutput::Expect(turn, expect));
        out.push(BrainOutput::Done(turn));
        self.state.at = At::Confirming { open: Open { turn, ..open }, answer, again };
    }

    fn confirmed(
        &mut self,
        turn: TurnId,
        mut open: Open,
        answer: String,
        again: bool,
        prompt: &Prompt,
        out: &mut Outputs,
    ) {
        let Some(ask) = self.ask(open.operation) else { return self.over(turn, true, out) };
        let verdict = match prompt {
            Prompt::Said(said) => self.verdict(said),
            Prompt::Begin | Prompt::NoAnswer(_) | Prompt::Voicemail => None,
        };
        match verdict {
            Some(true) => {
                self.save(&ask, Some(&answer), "speech");
                self.run(turn, open.operation + 1, out);
            }
            Some(false) if open.wrong < WRONG_MAX => {
                open.wrong += 1;
                self.question(turn, open.operation, &ask, out);
                self.open(turn, open, &ask, out);
            }
            None if !again => self.read_back(turn, open, answer, true, &ask, out),
            Some(false) | None => {
                self.save(&ask, None, "none");
                self.run(turn, open.operation + 1, out);
            }
        }
    }

    /// Yes, no, or neither. "No" anywhere counts: "das stimmt nicht" holds "das stimmt", too.
    fn verdict(&self, said: &Said) -> Option<bool> {
        match said.digits.as_str() {
            "1" => return Some(true),
            "2" => return Some(false),
            _ => {}
        }
        let heard = words_of(&said.text);
        let any = |list: &[&str]| list.iter().any(|phrase| holds(&heard, &words_of(phrase)));
        if any(self.words.no) { Some(false) } else { any(self.words.yes).then_some(true) }
    }

    fn save(&mut self, ask: &Ask, value: Option<&str>, by: &str) {
        let Some(name) = &ask.save_as else { return };
        let folded = value.map(fold);
        let meant = ask.means.iter().find(|(said, _)| Some(said) == folded.as_ref());
        match meant.map(|(_, meaning)| meaning.as_str()).or(value) {
            Some(value) => self.state.variables.insert(name.clone(), bounded(value, ANSWER_MAX)),
            None => self.state.variables.remove(name),
        };
        self.state.variables.insert(format!("{name}.by"), by.to_owned());
    }

    /// Says a question again: its own text, or the words right before it.
    fn question(&mut self, turn: TurnId, operation: usize, ask: &Ask, out: &mut Outputs) {
        if let Some(text) = &ask.text {
            return self.say(turn, text, true, out);
        }
        let before = (ask.again < operation).then(|| self.playbook.operations.get(ask.again));
        if let Some(Some(Operation::Say { text, interruptible })) = before {
            let (text, interruptible) = (text.clone(), *interruptible);
            self.say(turn, &text, interruptible, out);
        }
    }

    fn open(&mut self, turn: TurnId, open: Open, ask: &Ask, out: &mut Outputs) {
        let expect = Expect {
            digits: ask.digits.clone(),
            speech: ask.speech || !ask.phrases.is_empty(),
            wordless: ask.speech,
            phrases: ask.phrases.clone(),
            timeout: Some(ask.timeout.max(Duration::from_millis(1))),
            dictation: false,
        };
        out.push(BrainOutput::Expect(turn, expect));
        out.push(BrainOutput::Done(turn));
        self.state.at = At::Asking(Open { turn, ..open });
    }

    fn say(&mut self, turn: TurnId, text: &Template, interruptible: bool, out: &mut Outputs) {
        let text = bounded(&text.fill(|name| self.variable(name)), FILLED_MAX);
        if text.chars().any(char::is_alphanumeric) {
            out.push(BrainOutput::Say { turn, text, interruptible });
        }
    }

    fn variable(&self, name: &str) -> Option<&str> {
        self.state.variables.get(name).map(String::as_str)
    }

    fn ask(&self, operation: usize) -> Option<Ask> {
        match self.playbook.operations.get(operation) {
            Some(Operation::Ask(ask)) => Some((**ask).clone()),
            _ => None,
        }
    }
}

/// What was said or pressed, if it answers the question.
fn fitting(ask: &Ask, said: &Said) -> Option<Answer> {
    if let Some(rule) = ask.digits.as_ref().filter(|_| !said.digits.is_empty()) {
        let count = said.digits.chars().count();
        let fits = (rule.min..=rule.max).contains(&count);
        let known = |key| rule.allowed.is_empty() || rule.allowed.contains(key);
        let fits = fits && said.digits.chars().all(known);
        let value = said.digits.clone();
        return fits.then_some(Answer { value, by: "dtmf", constrained: false });
    }
    if !ask.phrases.is_empty() {
        let heard = words_of(&said.text);
        let found = ask.phrases.iter().filter(|phrase| holds(&heard, &words_of(phrase)));
        let value = found.max_by_key(|phrase| phrase.chars().count())?.clone();
        return Some(Answer { value, by: "speech", constrained: said.constrained });
    }
    let words = bounded(said.text.trim(), ANSWER_MAX);
    let spoke = said.digits.is_empty() || !words.is_empty();
    (ask.speech && spoke).then_some(Answer {
        value: words,
        by: "speech",
        constrained: said.constrained,
    })
}

fn words_of(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '\'');
    words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

fn holds(heard: &[String], phrase: &[String]) -> bool {
    !phrase.is_empty() && heard.windows(phrase.len()).any(|window| window == phrase)
}

/// A text without control characters, cut to a length.
fn bounded(text: &str, most: usize) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(most).collect()
}

/// Runs a playbook against a caller of few words and checks that each turn ends; for fuzzing.
pub(super) fn exercise(playbook: Playbook) {
    let mut script = Script::new(playbook, &BrainContext::default());
    for number in 0..64 {
        let turn = TurnId(number);
        let digits = ["", "1", "", "42#"][usize::try_from(number % 4).unwrap_or(0)];
        let text = ["yes", "", "no", ""][usize::try_from(number % 4).unwrap_or(0)];
        let (digits, text) = (digits.to_owned(), text.to_owned());
        let said = Said { digits, text, constrained: number % 8 < 4, ..Said::default() };
        let prompt = if number % 5 == 4 { Prompt::NoAnswer(1) } else { Prompt::Said(said) };
        let mut outputs = script.handle(&BrainInput::Ask { turn, prompt, speculative: false });
        for _ in 0..1000 {
            match outputs.last() {
                Some(BrainOutput::Tool(turn, call)) => {
                    let (turn, id) = (*turn, call.id.clone());
                    let result = json!({"error": "no"});
                    outputs = script.handle(&BrainInput::ToolResult { turn, id, result });
                }
                Some(BrainOutput::Done(_) | BrainOutput::Failed { .. }) => break,
                other => panic!("a turn ends with {other:?}"),
            }
        }
    }
}
