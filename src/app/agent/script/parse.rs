//! From JSON to a [`Playbook`], with every fault told at once.
//!
//! Accepts the list of steps, or an object `{"steps": […], "voicemail": "…"}`; names in camelCase
//! or snake_case. Bounds: 200 steps, 8 levels, 2000 characters a text.

use super::playbook::{Ask, From, Operation, Playbook, ReadBack, Template, is_variable};
use crate::turn::interface::DigitRule;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Steps of a playbook, nested ones counted.
const STEPS_MAX: usize = 200;
/// Levels of lists of steps.
const DEPTH_MAX: usize = 8;
/// Characters of a text.
const TEXT_MAX: usize = 2000;
/// Phrases of a question, cases of a branch, fields of a record.
const ITEMS_MAX: usize = 64;
/// Characters of a phrase, a name or a value.
const NAME_MAX: usize = 200;
/// Faults told; more are as good as these.
const FAULTS_MAX: usize = 64;
/// Seconds to wait for an answer when the step does not say.
const TIMEOUT: f64 = 8.0;

/// Variables that are there without a question.
pub(super) const GIVEN: [&str; 5] = ["call_id", "from", "verified", "to", "language"];

/// One thing that is wrong with a playbook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptFault {
    /// JSON pointer into what was given to [`Playbook::parse`].
    pub pointer: String,
    /// `missing_field`, `unknown_field`, `invalid`, `length`, `too_many`, `too_deep`.
    pub code: &'static str,
    /// For a person.
    pub detail: String,
}

impl Playbook {
    /// Reads and checks a playbook.
    ///
    /// # Errors
    /// All faults at once, at most 64, never none.
    pub fn parse(script: &Value) -> Result<Self, Vec<ScriptFault>> {
        let mut parser = Parser::default();
        let mut voicemail = None;
        match script {
            Value::Array(steps) => parser.block(steps, "", 1),
            Value::Object(fields) => {
                parser.known(fields, "", &["steps", "voicemail"]);
                match fields.get("steps") {
                    Some(Value::Array(steps)) => parser.block(steps, "/steps", 1),
                    Some(_) => parser.invalid("/steps", "steps must be a list"),
                    None => parser.missing("/steps", "a script needs steps"),
                }
                if let Some(text) = fields.get("voicemail").filter(|text| !text.is_null()) {
                    voicemail = parser.template(text, "/voicemail");
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                parser.invalid("", "a script is a list of steps, or an object with steps");
            }
        }
        if parser.steps == 0 && parser.faults.is_empty() {
            parser.missing("", "a script needs at least one step");
        }
        parser.check_variables();
        if parser.faults.is_empty() {
            Ok(Self { operations: parser.operations, voicemail })
        } else {
            Err(parser.faults)
        }
    }
}

/// Names of steps; a step has exactly one.
const STEPS: [&str; 10] = [
    "say",
    "ask",
    "branch",
    "repeat",
    "record",
    "transfer",
    "hangup",
    "sendDtmf",
    "wait",
    "leaveVoicemail",
];

/// Names within a question.
const ASK: [&str; 10] = [
    "dtmf", "digits", "phrases", "speech", "text", "timeout", "saveAs", "reprompt", "retries",
    "readBack",
];

#[derive(Default)]
struct Parser {
    operations: Vec<Operation>,
    faults: Vec<ScriptFault>,
    steps: usize,
    saved: BTreeSet<String>,
    used: Vec<(String, String)>,
}

impl Parser {
    fn block(&mut self, steps: &[Value], pointer: &str, depth: usize) {
        if depth > DEPTH_MAX {
            let detail = format!("steps are nested deeper than {DEPTH_MAX} levels");
            return self.fault(pointer, "too_deep", &detail);
        }
        let mut said = None;
        for (index, step) in steps.iter().enumerate() {
            self.steps += 1;
            if self.steps > STEPS_MAX {
                if self.steps == STEPS_MAX + 1 {
                    let detail = format!("a script has at most {STEPS_MAX} steps");
                    self.fault(pointer, "too_many", &detail);
                }
                return;
            }
            let at = self.operations.len();
            let pointer = format!("{pointer}/{index}");
            let Some(fields) = step.as_object() else {
                self.invalid(&pointer, "a step is an object such as {\"say\": \"…\"}");
                continue;
            };
            self.step(fields, &pointer, depth, said);
            said = matches!(self.operations.get(at), Some(Operation::Say { .. })).then_some(at);
        }
    }

    /// `said`: the operation right before that says something, if there is one in this list.
    fn step(
        &mut self,
        fields: &Map<String, Value>,
        pointer: &str,
        depth: usize,
        said: Option<usize>,
    ) {
        let kind = STEPS.into_iter().find(|kind| fields.keys().any(|name| camel(name) == *kind));
        let Some(kind) = kind else {
            let detail = format!("a step needs one of: {}", STEPS.join(", "));
            return self.missing(pointer, &detail);
        };
        let more: &[&str] = match kind {
            "say" => &["say", "interruptible"],
            "ask" => &["ask", "text", "timeout", "saveAs", "reprompt", "retries", "readBack"],
            kind => &[kind],
        };
        self.known(fields, pointer, more);
        let Some(value) = field(fields, kind) else { return };
        let inside = format!("{pointer}/{}", key(fields, kind));
        match kind {
            "say" => self.say(fields, value, pointer, &inside),
            "ask" => self.ask(fields, value, pointer, &inside, said),
            "branch" => self.branch(value, &inside, depth),
            "repeat" => self.repeat(value, &inside),
            "record" => self.record(value, &inside),
            "hangup" => self.hang_up(value, &inside),
            "wait" => {
                let (value, at) = self.only(value, &inside, "seconds");
                if let Some(seconds) = self.seconds(&value, &at, 0.1, 60.0) {
                    self.operations.push(Operation::Wait { time: seconds });
                }
            }
            "transfer" => {
                let (value, at) = self.only(value, &inside, "target");
                if let Some(target) = self.text(&value, &at, NAME_MAX) {
                    self.operations.push(Operation::Transfer { target });
                }
            }
            "sendDtmf" => {
                let (value, at) = self.only(value, &inside, "digits");
                if let Some(digits) = self.template(&value, &at) {
                    self.operations.push(Operation::SendDtmf { digits });
                }
            }
            _ => {
                let (value, at) = self.only(value, &inside, "message");
                if let Some(message) = self.template(&value, &at) {
                    self.operations.push(Operation::LeaveVoicemail { message });
                }
            }
        }
    }

    fn say(&mut self, fields: &Map<String, Value>, value: &Value, pointer: &str, inside: &str) {
        let mut interruptible = field(fields, "interruptible");
        let text = if let Value::Object(say) = value {
            self.known(say, inside, &["text", "interruptible"]);
            interruptible = say.get("interruptible").or(interruptible);
            say.get("text").map(|text| (text, format!("{inside}/text")))
        } else {
            Some((value, inside.to_owned()))
        };
        let Some((text, at)) = text else {
            return self.missing(&format!("{inside}/text"), "say needs a text");
        };
        let interruptible = match interruptible {
            None | Some(Value::Null) => true,
            Some(Value::Bool(flag)) => *flag,
            Some(_) => {
                self.invalid(&format!("{pointer}/interruptible"), "interruptible is true or false");
                true
            }
        };
        if let Some(text) = self.template(text, &at) {
            self.operations.push(Operation::Say { text, interruptible });
        }
    }

    fn ask(
        &mut self,
        step: &Map<String, Value>,
        value: &Value,
        pointer: &str,
        inside: &str,
        said: Option<usize>,
    ) {
        let Some(ask) = value.as_object() else {
            return self.invalid(inside, "ask is an object with dtmf, digits, phrases or speech");
        };
        self.known(ask, inside, &ASK);
        // What belongs to the step may stand inside of `ask`, too.
        let either = |name: &str| {
            let outer = field(step, name).map(|v| (v, format!("{pointer}/{}", key(step, name))));
            let inner = || field(ask, name).map(|v| (v, format!("{inside}/{}", key(ask, name))));
            outer.or_else(inner).filter(|(value, _)| !value.is_null())
        };
        let digits = self.digit_rule(ask, inside);
        let phrases = field(ask, "phrases").map(|v| self.phrases(v, &format!("{inside}/phrases")));
        let speech = match field(ask, "speech") {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(Value::Bool(true)) => true,
            Some(_) => {
                self.invalid(&format!("{inside}/speech"), "speech is true or false");
                true
            }
        };
        let phrases = phrases.unwrap_or_default();
        if digits.is_none() && phrases.is_empty() && !speech {
            let detail = "ask needs dtmf, digits, phrases or speech";
            self.missing(inside, detail);
        }
        if speech && !phrases.is_empty() {
            self.invalid(inside, "ask takes phrases or any speech, not both");
        }
        let timeout =
            either("timeout").and_then(|(v, at)| self.seconds(&v.clone(), &at, 1.0, 120.0));
        let text = either("text").and_then(|(v, at)| self.template(v, &at));
        let reprompt = either("reprompt").and_then(|(v, at)| self.template(v, &at));
        let retries = either("retries").and_then(|(v, at)| self.count(v, &at, 10));
        let retries = retries.unwrap_or(u32::from(reprompt.is_some()));
        let read_back = match either("readBack") {
            None => ReadBack::Constrained,
            Some((Value::Bool(true), _)) => ReadBack::Always,
            Some((Value::Bool(false), _)) => ReadBack::Never,
            Some((_, at)) => {
                self.invalid(&at, "readBack is true or false");
                ReadBack::Constrained
            }
        };
        let save_as = either("saveAs").and_then(|(v, at)| self.save_as(v, &at));
        let again = if text.is_some() { None } else { said };
        self.operations.push(Operation::Ask(Box::new(Ask {
            again: again.unwrap_or(self.operations.len()),
            text,
            digits,
            phrases,
            speech,
            timeout: timeout.unwrap_or(Duration::from_secs_f64(TIMEOUT)),
            save_as,
            reprompt,
            retries,
            read_back,
            means: Vec::new(),
        })));
    }

    fn digit_rule(&mut self, ask: &Map<String, Value>, inside: &str) -> Option<DigitRule> {
        let keys = field(ask, "dtmf").filter(|value| !value.is_null());
        let digits = field(ask, "digits").filter(|value| !value.is_null());
        match (keys, digits) {
            (None, None) => None,
            (Some(_), Some(_)) => {
                self.invalid(inside, "ask takes dtmf or digits, not both");
                None
            }
            (Some(keys), None) => self.keys(keys, &format!("{inside}/dtmf")),
            (None, Some(digits)) => self.digits(digits, &format!("{inside}/digits")),
        }
    }

    fn keys(&mut self, keys: &Value, pointer: &str) -> Option<DigitRule> {
        let list = keys.as_array().filter(|keys| (1..=16).contains(&keys.len()));
        let Some(list) = list else {
            self.invalid(pointer, "dtmf is a list of 1 to 16 keys");
            return None;
        };
        let mut allowed = String::new();
        for (index, key) in list.iter().enumerate() {
            match key.as_str().and_then(single_key) {
                Some(key) => allowed.push(key),
                None => {
                    let detail = "a key is one of 0-9, *, #, A-D; more than one are digits";
                    self.invalid(&format!("{pointer}/{index}"), detail);
                }
            }
        }
        Some(DigitRule { allowed, min: 1, max: 1, finish: None })
    }

    fn digits(&mut self, digits: &Value, pointer: &str) -> Option<DigitRule> {
        let Some(rule) = digits.as_object() else {
            self.invalid(pointer, "digits is an object with min, max and finishKey");
            return None;
        };
        self.known(rule, pointer, &["min", "max", "finishKey"]);
        let mut number = |name: &str| {
            let value = rule.get(name).filter(|value| !value.is_null())?;
            self.count(value, &format!("{pointer}/{name}"), 32)
        };
        let (min, max) = (number("min"), number("max"));
        let max = usize::try_from(max.or(min).unwrap_or(32)).unwrap_or(32);
        let min = usize::try_from(min.unwrap_or(1)).unwrap_or(1);
        if min == 0 || max < min {
            self.invalid(pointer, "digits needs 1 <= min <= max <= 32");
        }
        let finish = field(rule, "finishKey").filter(|value| !value.is_null());
        let finish = finish.and_then(|value| {
            let key = value.as_str().and_then(single_key);
            if key.is_none() {
                self.invalid(&format!("{pointer}/finishKey"), "finishKey is one key");
            }
            key
        });
        Some(DigitRule { allowed: String::new(), min, max, finish })
    }

    fn phrases(&mut self, value: &Value, pointer: &str) -> Vec<String> {
        let list = value.as_array().filter(|list| (1..=ITEMS_MAX).contains(&list.len()));
        let Some(list) = list else {
            self.invalid(pointer, &format!("phrases is a list of 1 to {ITEMS_MAX} texts"));
            return Vec::new();
        };
        let texts = list.iter().enumerate();
        texts.filter_map(|(i, text)| self.text(text, &format!("{pointer}/{i}"), NAME_MAX)).collect()
    }

    fn save_as(&mut self, value: &Value, pointer: &str) -> Option<String> {
        let name = value.as_str().filter(|name| {
            is_variable(name) && !name.contains('.') && !GIVEN.contains(name) && *name != "metadata"
        });
        let Some(name) = name else {
            self.invalid(pointer, "saveAs is a name of letters, digits and _ that is not taken");
            return None;
        };
        self.saved.insert(name.to_owned());
        Some(name.to_owned())
    }

    fn branch(&mut self, value: &Value, pointer: &str, depth: usize) {
        let Some(fields) = value.as_object() else {
            return self.invalid(pointer, "branch is an object with on, cases and otherwise");
        };
        self.known(fields, pointer, &["on", "cases", "otherwise"]);
        let on = fields.get("on").and_then(Value::as_str).filter(|name| is_variable(name));
        match on {
            Some(name) => self.used.push((format!("{pointer}/on"), name.to_owned())),
            None => self.missing(&format!("{pointer}/on"), "branch needs on: a saved answer"),
        }
        let at = self.operations.len();
        let none = BTreeMap::new();
        let on = on.unwrap_or_default().to_owned();
        self.operations.push(Operation::Branch { on, cases: none, otherwise: 0 });
        let mut cases = BTreeMap::new();
        let mut ends = Vec::new();
        match fields.get("cases") {
            Some(Value::Object(list)) if (1..=ITEMS_MAX).contains(&list.len()) => {
                for (name, steps) in list {
                    let escaped = name.replace('~', "~0").replace('/', "~1");
                    cases.insert(fold(name), self.operations.len());
                    self.steps_at(steps, &format!("{pointer}/cases/{escaped}"), depth);
                    ends.push(self.operations.len());
                    self.operations.push(Operation::Jump(0));
                }
            }
            Some(_) => {
                let detail = format!("cases is an object of 1 to {ITEMS_MAX} answers");
                self.invalid(&format!("{pointer}/cases"), &detail);
            }
            None => self.missing(&format!("{pointer}/cases"), "branch needs cases"),
        }
        let fallback = self.operations.len();
        if let Some(steps) = fields.get("otherwise").filter(|steps| !steps.is_null()) {
            self.steps_at(steps, &format!("{pointer}/otherwise"), depth);
        }
        let end = self.operations.len();
        for jump in ends {
            if let Some(operation) = self.operations.get_mut(jump) {
                *operation = Operation::Jump(end);
            }
        }
        if let Some(Operation::Branch { cases: known, otherwise, .. }) = self.operations.get_mut(at)
        {
            (*known, *otherwise) = (cases, fallback);
        }
    }

    fn steps_at(&mut self, steps: &Value, pointer: &str, depth: usize) {
        match steps.as_array() {
            Some(steps) => self.block(steps, pointer, depth + 1),
            None => self.invalid(pointer, "this must be a list of steps"),
        }
    }

    fn repeat(&mut self, value: &Value, pointer: &str) {
        let (times, at, from) = match value {
            Value::Object(fields) => {
                self.known(fields, pointer, &["times", "from"]);
                let times = fields.get("times").cloned().unwrap_or(Value::from(1));
                let from = match fields.get("from").map(Value::as_str) {
                    None | Some(Some("ask")) => From::Ask,
                    Some(Some("start")) => From::Start,
                    Some(_) => {
                        self.invalid(&format!("{pointer}/from"), "from is \"ask\" or \"start\"");
                        From::Ask
                    }
                };
                (times, format!("{pointer}/times"), from)
            }
            times => (times.clone(), pointer.to_owned(), From::Ask),
        };
        if let Some(times) = self.count(&times, &at, 10) {
            self.operations.push(Operation::Repeat { times, from });
        }
    }

    fn record(&mut self, value: &Value, pointer: &str) {
        let fields = value.as_object().filter(|fields| (1..=ITEMS_MAX).contains(&fields.len()));
        let Some(fields) = fields else {
            return self
                .invalid(pointer, &format!("record is an object of 1 to {ITEMS_MAX} texts"));
        };
        let mut record = Vec::new();
        for (name, text) in fields {
            let at = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
            if name.is_empty() || name.chars().count() > NAME_MAX {
                self.fault(&at, "length", "the name of a field has 1 to 200 characters");
            }
            if let Some(template) = self.template(text, &at) {
                record.push((name.clone(), template));
            }
        }
        self.operations.push(Operation::Record { fields: record });
    }

    fn hang_up(&mut self, value: &Value, pointer: &str) {
        let reason = match value {
            Value::Null | Value::Bool(true) => None,
            Value::Object(fields) => {
                self.known(fields, pointer, &["reason"]);
                let reason = fields.get("reason").filter(|reason| !reason.is_null());
                reason.and_then(|v| self.text(v, &format!("{pointer}/reason"), NAME_MAX))
            }
            _ => {
                self.invalid(pointer, "hangup is an object, empty or with a reason");
                None
            }
        };
        let reason = reason.unwrap_or_else(|| "completed".to_owned());
        self.operations.push(Operation::HangUp { reason });
    }

    /// The value itself, or the one field of an object.
    fn only(&mut self, value: &Value, pointer: &str, name: &str) -> (Value, String) {
        let Value::Object(fields) = value else { return (value.clone(), pointer.to_owned()) };
        self.known(fields, pointer, &[name]);
        (fields.get(name).cloned().unwrap_or_default(), format!("{pointer}/{name}"))
    }

    fn text(&mut self, value: &Value, pointer: &str, most: usize) -> Option<String> {
        let Some(text) = value.as_str() else {
            self.invalid(pointer, "this must be a text");
            return None;
        };
        if !(1..=most).contains(&text.trim().chars().count()) {
            self.fault(pointer, "length", &format!("a text here has 1 to {most} characters"));
            return None;
        }
        Some(text.to_owned())
    }

    fn template(&mut self, value: &Value, pointer: &str) -> Option<Template> {
        let template = Template::parse(&self.text(value, pointer, TEXT_MAX)?);
        let names = template.variables().map(|name| (pointer.to_owned(), name.to_owned()));
        self.used.extend(names);
        Some(template)
    }

    fn count(&mut self, value: &Value, pointer: &str, most: u32) -> Option<u32> {
        let count = value.as_u64().and_then(|count| u32::try_from(count).ok());
        let count = count.filter(|count| *count <= most);
        if count.is_none() {
            self.invalid(pointer, &format!("this must be a whole number from 0 to {most}"));
        }
        count
    }

    fn seconds(&mut self, value: &Value, pointer: &str, least: f64, most: f64) -> Option<Duration> {
        let seconds = value.as_f64().filter(|seconds| (least..=most).contains(seconds));
        if seconds.is_none() {
            self.invalid(pointer, &format!("this must be {least} to {most} seconds"));
        }
        seconds.map(Duration::from_secs_f64)
    }

    /// Variables that nobody sets are slips of the pen, and told as such.
    fn check_variables(&mut self) {
        for (pointer, name) in std::mem::take(&mut self.used) {
            let saved = self.saved.contains(name.strip_suffix(".by").unwrap_or(&name));
            if !saved && !GIVEN.contains(&name.as_str()) && !name.starts_with("metadata.") {
                self.invalid(&pointer, &format!("no step saves an answer as {name:?}"));
            }
        }
    }

    fn known(&mut self, fields: &Map<String, Value>, pointer: &str, known: &[&str]) {
        for name in fields.keys() {
            if !known.contains(&camel(name).as_str()) {
                let shown: String = name.chars().take(NAME_MAX).collect();
                let at = format!("{pointer}/{}", shown.replace('~', "~0").replace('/', "~1"));
                let detail = format!("unknown; known here: {}", known.join(", "));
                self.fault(&at, "unknown_field", &detail);
            }
        }
    }

    fn missing(&mut self, pointer: &str, detail: &str) {
        self.fault(pointer, "missing_field", detail);
    }

    fn invalid(&mut self, pointer: &str, detail: &str) {
        self.fault(pointer, "invalid", detail);
    }

    fn fault(&mut self, pointer: &str, code: &'static str, detail: &str) {
        if self.faults.len() < FAULTS_MAX {
            let (pointer, detail) = (pointer.to_owned(), detail.to_owned());
            self.faults.push(ScriptFault { pointer, code, detail });
        }
    }
}

/// How answers and cases are compared: without case and outer blanks.
pub(super) fn fold(text: &str) -> String {
    text.trim().to_lowercase()
}

/// `save_as` as `saveAs`; `hang_up` and `hangUp` as `hangup`.
fn camel(name: &str) -> String {
    let mut out = String::new();
    let mut up = false;
    for c in name.chars() {
        if c == '_' && !out.is_empty() {
            up = true;
        } else if std::mem::take(&mut up) {
            out.extend(c.to_uppercase());
        } else {
            out.push(c);
        }
    }
    if out == "hangUp" { "hangup".to_owned() } else { out }
}

/// The field of this camelCase name, however it is written.
fn field<'v>(fields: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    fields.get(name).or_else(|| fields.iter().find(|(key, _)| camel(key) == name).map(|(_, v)| v))
}

/// How this field is written.
fn key(fields: &Map<String, Value>, name: &str) -> String {
    let written = fields.keys().find(|key| camel(key) == name);
    written.cloned().unwrap_or_else(|| name.to_owned())
}

fn single_key(text: &str) -> Option<char> {
    let mut letters = text.chars();
    let key = letters.next()?.to_ascii_uppercase();
    (letters.next().is_none() && "0123456789*#ABCD".contains(key)).then_some(key)
}

/// Fuzz entry: octets as a playbook, and what a good one does when it is run.
pub fn fuzz_playbook(bytes: &[u8]) {
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return };
    match Playbook::parse(&value) {
        Ok(playbook) => super::machine::exercise(playbook),
        Err(faults) => assert!((1..=FAULTS_MAX).contains(&faults.len())),
    }
}
