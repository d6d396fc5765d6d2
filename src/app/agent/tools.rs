//! Tools that a brain may ask for: what a model is told of them, and the door at which its wishes
//! become typed requests.
//!
//! ```text
//!  ToolCall (foreign) ──> Toolbox::check ──> ToolRequest (typed, allowed) ──> the leg does it
//!                              └──────────> {"error": "…"} for the model
//! ```
//!
//! Owns the allow-list, the schemas of arguments and the requests of http tools. Does nothing to
//! a call itself.

pub mod hmac;
pub mod http;

use self::http::{HttpCall, HttpToolSpec};
use super::interface::{ToolCall, ToolDecl};
use super::schema::{Schema, SchemaFault};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The tools that are built in, as they are named in configurations and requests.
pub const BUILT_IN: [&str; 7] = [
    "hang_up",
    "transfer",
    "send_dtmf",
    "collect_dtmf",
    "record_result",
    "leave_voicemail",
    "wait",
];

/// Tools per call.
pub const TOOLS_MAX: usize = 32;
/// Characters of a tool's name.
const NAME_CHARS_MAX: usize = 64;
/// Characters of a text in an error for the model.
const ECHO_CHARS_MAX: usize = 64;

/// What the tools of a call are made from.
#[derive(Debug, Clone, Default)]
pub struct ToolSpec {
    /// Names of [`BUILT_IN`] (or `hangup`) and of `http`; others do not exist for this call.
    pub allowed: Vec<String>,
    /// Names of transfer targets; without any there is no `transfer`.
    pub targets: Vec<String>,
    /// What `record_result` takes; `None`: any object.
    pub result: Option<Schema>,
    /// The configured http tools.
    pub http: Vec<Arc<HttpToolSpec>>,
}

/// Why a toolbox cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ToolFault {
    /// The allow-list names a tool that is neither built in nor configured.
    #[error("there is no tool {name:?}; there are: {known}")]
    Unknown {
        /// As given.
        name: String,
        /// Comma-separated.
        known: String,
    },
    /// An http tool's name is taken, too long or has other letters than a model may say.
    #[error("{0:?} cannot be the name of an http tool")]
    Name(String),
    /// Too many tools.
    #[error("{0} tools are more than {TOOLS_MAX}")]
    TooMany(usize),
    /// An http tool's parameters are no schema.
    #[error("parameters of tool {name:?}: {fault}")]
    Schema {
        /// Of the tool.
        name: String,
        /// What is wrong.
        fault: SchemaFault,
    },
}

/// A wish of a brain that was checked.
#[derive(Debug, Clone, PartialEq)]
pub enum ToolRequest {
    /// End the call when what was said is out.
    HangUp {
        /// The brain's words, bounded.
        reason: String,
    },
    /// Hand over when what was said is out.
    Transfer {
        /// One of [`ToolSpec::targets`].
        target: String,
    },
    /// Press keys towards the other party.
    SendDtmf {
        /// `0-9*#A-D`, 1 to 32.
        digits: String,
    },
    /// Wait for keys.
    CollectDtmf {
        /// 1 to 32.
        max_digits: usize,
        /// Ends the input early.
        finish_key: Option<char>,
        /// 1 to 120 s.
        timeout: Duration,
    },
    /// Keep the call's result.
    RecordResult {
        /// Valid by the caller's schema.
        fields: Value,
    },
    /// Say this after the beep and hang up.
    LeaveVoicemail {
        /// 1 to 2000 characters.
        message: String,
    },
    /// Say nothing for a while.
    Wait {
        /// 0.1 to 60 s.
        time: Duration,
    },
    /// Ask a configured server.
    Http(Box<HttpCall>),
}

/// The tools of one call.
#[derive(Debug, Clone, Default)]
pub struct Toolbox {
    tools: BTreeMap<String, Tool>,
    /// The call sends digits, not the media leg.
    keys_by_call: bool,
}

#[derive(Debug, Clone)]
struct Tool {
    declared: ToolDecl,
    arguments: Schema,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    HangUp,
    Transfer,
    SendDtmf,
    CollectDtmf,
    RecordResult,
    LeaveVoicemail,
    Wait,
    Http(Arc<HttpToolSpec>),
}

impl Toolbox {
    /// Makes the tools of a call. Cost: compiles a schema for each; do it once per call.
    ///
    /// # Errors
    /// [`ToolFault`].
    pub fn new(spec: &ToolSpec) -> Result<Self, ToolFault> {
        if spec.allowed.len() > TOOLS_MAX {
            return Err(ToolFault::TooMany(spec.allowed.len()));
        }
        if let Some(bad) = spec.http.iter().find(|http| !is_name(&http.name)) {
            return Err(ToolFault::Name(bad.name.clone()));
        }
        let mut tools = BTreeMap::new();
        for allowed in &spec.allowed {
            let name = canonical(allowed);
            let http = spec.http.iter().find(|http| http.name == name);
            let Some((kind, declared)) = built_in(name, spec).or_else(|| http.map(configured))
            else {
                let known = BUILT_IN.into_iter().chain(spec.http.iter().map(|h| h.name.as_str()));
                let known = known.collect::<Vec<_>>().join(", ");
                return Err(ToolFault::Unknown { name: echo(allowed), known });
            };
            // Without targets there is nothing that a transfer could be to.
            if matches!(kind, Kind::Transfer) && spec.targets.is_empty() {
                continue;
            }
            let arguments = Schema::compile_object(&declared.parameters)
                .map_err(|fault| ToolFault::Schema { name: name.to_owned(), fault })?;
            tools.insert(name.to_owned(), Tool { declared, arguments, kind });
        }
        Ok(Self { tools, keys_by_call: false })
    }

    /// The same, with digits that the call is to send: the trunk takes them by SIP INFO.
    #[must_use]
    pub fn with_keys_by_call(self, keys_by_call: bool) -> Self {
        Self { keys_by_call, ..self }
    }

    /// Whether the call sends digits.
    #[must_use]
    pub fn keys_by_call(&self) -> bool {
        self.keys_by_call
    }

    /// What a model is told, in a steady order.
    #[must_use]
    pub fn declarations(&self) -> Vec<ToolDecl> {
        self.tools.values().map(|tool| tool.declared.clone()).collect()
    }

    /// Checks a wish: known, allowed, arguments as declared.
    ///
    /// # Errors
    /// The answer for the model: `{"error": "…"}`, bounded. A model may try again with it.
    pub fn check(&self, call: &ToolCall) -> Result<ToolRequest, Value> {
        let Some(tool) = self.tools.get(canonical(&call.name)) else {
            let known: Vec<&str> = self.tools.keys().map(String::as_str).collect();
            let name = echo(&call.name);
            return Err(refusal(&format!(
                "there is no tool {name:?}; there are: {}",
                known.join(", ")
            )));
        };
        tool.arguments.check(&call.arguments).map_err(|faults| {
            refusal(&format!("the arguments are wrong: {}", faults.join("; ")))
        })?;
        tool.request(call).ok_or_else(|| refusal("the arguments are wrong"))
    }
}

/// An answer that says what went wrong.
#[must_use]
pub fn refusal(detail: &str) -> Value {
    json!({ "error": detail })
}

impl Tool {
    /// `None` only if the schema let something through that has no type of ours.
    fn request(&self, call: &ToolCall) -> Option<ToolRequest> {
        let arguments = &call.arguments;
        let text = |name: &str| Some(arguments.get(name)?.as_str()?.to_owned());
        let seconds = |name: &str| Duration::try_from_secs_f64(arguments.get(name)?.as_f64()?).ok();
        Some(match &self.kind {
            Kind::HangUp => ToolRequest::HangUp { reason: text("reason").unwrap_or_default() },
            Kind::Transfer => ToolRequest::Transfer { target: text("target")? },
            Kind::SendDtmf => {
                ToolRequest::SendDtmf { digits: text("digits")?.to_ascii_uppercase() }
            }
            Kind::CollectDtmf => ToolRequest::CollectDtmf {
                max_digits: usize::try_from(arguments.get("max_digits")?.as_u64()?).ok()?,
                finish_key: text("finish_key").and_then(|key| key.chars().next()),
                timeout: seconds("timeout").unwrap_or(Duration::from_secs(10)),
            },
            Kind::RecordResult => ToolRequest::RecordResult { fields: arguments.clone() },
            Kind::LeaveVoicemail => ToolRequest::LeaveVoicemail { message: text("message")? },
            Kind::Wait => ToolRequest::Wait { time: seconds("seconds")? },
            Kind::Http(spec) => ToolRequest::Http(Box::new(HttpCall {
                spec: Arc::clone(spec),
                id: call.id.clone(),
                arguments: arguments.clone(),
            })),
        })
    }
}

/// The name under which a tool is known; the public interface also says `hangup`.
fn canonical(name: &str) -> &str {
    if name == "hangup" { "hang_up" } else { name }
}

fn is_name(name: &str) -> bool {
    let letters = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    letters && (1..=NAME_CHARS_MAX).contains(&name.len()) && !BUILT_IN.contains(&canonical(name))
}

fn echo(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(ECHO_CHARS_MAX).collect()
}

fn configured(spec: &Arc<HttpToolSpec>) -> (Kind, ToolDecl) {
    let declared = ToolDecl {
        name: spec.name.clone(),
        description: spec.description.clone(),
        parameters: spec.parameters.clone(),
    };
    (Kind::Http(Arc::clone(spec)), declared)
}

fn built_in(name: &str, spec: &ToolSpec) -> Option<(Kind, ToolDecl)> {
    let (kind, description, parameters) = match name {
        "hang_up" => (
            Kind::HangUp,
            "End the call. Everything that you have said is played out first.",
            object(&json!({"reason": {"type": "string", "maxLength": 200}}), &[]),
        ),
        "transfer" => (
            Kind::Transfer,
            "Hand the caller over to somebody else and leave the call.",
            object(&json!({"target": {"type": "string", "enum": spec.targets}}), &["target"]),
        ),
        "send_dtmf" => (
            Kind::SendDtmf,
            "Press keys, for example in the menu of another machine.",
            object(
                &json!({"digits": {"type": "string", "pattern": "^[0-9*#A-Da-d]{1,32}$"}}),
                &["digits"],
            ),
        ),
        "collect_dtmf" => (
            Kind::CollectDtmf,
            "Wait for the caller to press keys; the answer has the digits. Ask for them first.",
            object(
                &json!({
                    "max_digits": {"type": "integer", "minimum": 1, "maximum": 32},
                    "finish_key": {"type": "string", "pattern": "^[0-9*#]$"},
                    "timeout": {"type": "number", "minimum": 1, "maximum": 120,
                        "description": "seconds; 10 if absent"},
                }),
                &["max_digits"],
            ),
        ),
        "record_result" => (
            Kind::RecordResult,
            "Record what was found out in this call. Only what the other party really said.",
            spec.result
                .as_ref()
                .map_or_else(|| json!({"type": "object"}), |schema| schema.source().clone()),
        ),
        "leave_voicemail" => (
            Kind::LeaveVoicemail,
            "An answering machine took the call: say this message after the beep and hang up.",
            object(
                &json!({"message": {"type": "string", "minLength": 1, "maxLength": 2000}}),
                &["message"],
            ),
        ),
        "wait" => (
            Kind::Wait,
            "Stay silent for a while, for example when asked to hold the line.",
            object(
                &json!({"seconds": {"type": "number", "minimum": 0.1, "maximum": 60}}),
                &["seconds"],
            ),
        ),
        _ => return None,
    };
    let declared =
        ToolDecl { name: name.to_owned(), description: description.to_owned(), parameters };
    Some((kind, declared))
}

fn object(properties: &Value, required: &[&str]) -> Value {
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> ToolSpec {
        let result = json!({"type": "object", "required": ["ok"],
            "properties": {"ok": {"type": "boolean"}}});
        ToolSpec {
            allowed: BUILT_IN.into_iter().chain(["lookup"]).map(str::to_owned).collect(),
            targets: vec!["desk".to_owned()],
            result: Some(Schema::compile_object(&result).unwrap()),
            http: vec![Arc::new(HttpToolSpec {
                name: "lookup".to_owned(),
                parameters: json!({"type": "object", "properties": {"order": {"type": "string"}},
                    "required": ["order"], "additionalProperties": false}),
                url: "https://example.com/lookup".to_owned(),
                ..HttpToolSpec::default()
            })],
        }
    }

    fn call(name: &str, arguments: Value) -> ToolCall {
        ToolCall { id: "1".to_owned(), name: name.to_owned(), arguments }
    }

    #[test]
    fn good_wishes_become_requests() {
        let tools = Toolbox::new(&spec()).unwrap();
        let seconds = Duration::from_secs_f64;
        let cases = [
            ("hangup", json!({}), ToolRequest::HangUp { reason: String::new() }),
            ("hang_up", json!({"reason": "done"}), ToolRequest::HangUp { reason: "done".into() }),
            (
                "transfer",
                json!({"target": "desk"}),
                ToolRequest::Transfer { target: "desk".into() },
            ),
            ("send_dtmf", json!({"digits": "1#a"}), ToolRequest::SendDtmf { digits: "1#A".into() }),
            ("collect_dtmf", json!({"max_digits": 4, "finish_key": "#", "timeout": 2.5}), {
                let (max_digits, finish_key, timeout) = (4, Some('#'), seconds(2.5));
                ToolRequest::CollectDtmf { max_digits, finish_key, timeout }
            }),
            ("record_result", json!({"ok": true, "more": 1}), {
                ToolRequest::RecordResult { fields: json!({"ok": true, "more": 1}) }
            }),
            ("leave_voicemail", json!({"message": "Hi"}), {
                ToolRequest::LeaveVoicemail { message: "Hi".into() }
            }),
            ("wait", json!({"seconds": 0.5}), ToolRequest::Wait { time: seconds(0.5) }),
        ];
        for (name, arguments, expected) in cases {
            assert_eq!(tools.check(&call(name, arguments)), Ok(expected), "{name}");
        }
        let lookup = tools.check(&call("lookup", json!({"order": "7"})));
        assert!(matches!(lookup, Ok(ToolRequest::Http(call)) if call.arguments["order"] == "7"));
        let names: Vec<String> = tools.declarations().into_iter().map(|tool| tool.name).collect();
        assert_eq!(names.len(), 8, "{names:?}");
    }

    #[test]
    fn bad_wishes_are_answered_with_an_error_for_the_model() {
        let tools = Toolbox::new(&spec()).unwrap();
        let cases = [
            ("rm_rf", json!({})),
            ("transfer", json!({"target": "+4930123456"})),
            ("transfer", json!({})),
            ("send_dtmf", json!({"digits": "1w2"})),
            ("send_dtmf", json!({"digits": "1".repeat(33)})),
            ("collect_dtmf", json!({"max_digits": 33})),
            ("collect_dtmf", json!({"max_digits": 1.5})),
            ("record_result", json!({"ok": "perhaps"})),
            ("leave_voicemail", json!({"message": ""})),
            ("wait", json!({"seconds": 1e300})),
            ("wait", json!({"seconds": 1, "more": 2})),
            ("lookup", json!({"order": "7", "url": "http://169.254.169.254/"})),
            ("hang_up", json!("not an object")),
            ("hang_up", Value::Null),
        ];
        for (name, arguments) in cases {
            let error = tools.check(&call(name, arguments)).unwrap_err();
            let text = error["error"].as_str().unwrap();
            assert!(!text.is_empty() && text.len() < 2000, "{name}: {text}");
        }
    }

    #[test]
    fn what_is_not_allowed_does_not_exist() {
        let few = ToolSpec { allowed: vec!["wait".to_owned()], ..spec() };
        let tools = Toolbox::new(&few).unwrap();
        assert!(tools.check(&call("hang_up", json!({}))).is_err());
        assert!(tools.check(&call("lookup", json!({"order": "7"}))).is_err());
        let nobody = ToolSpec { targets: Vec::new(), ..spec() };
        let declared = Toolbox::new(&nobody).unwrap().declarations();
        assert!(!declared.iter().any(|tool| tool.name == "transfer"));
        let unknown = ToolSpec { allowed: vec!["dance".to_owned()], ..spec() };
        let fault = Toolbox::new(&unknown).unwrap_err().to_string();
        assert!(fault.contains("dance") && fault.contains("lookup"), "{fault}");
        let renamed = HttpToolSpec { name: "hangup".to_owned(), ..HttpToolSpec::default() };
        let taken = ToolSpec { http: vec![Arc::new(renamed)], ..spec() };
        assert!(matches!(Toolbox::new(&taken), Err(ToolFault::Name(_))));
    }
}
