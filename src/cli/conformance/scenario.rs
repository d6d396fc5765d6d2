//! Scenario files: what a caller does, and what the program is to do.
//!
//! Owns their form (TOML or JSON), bounds and faults. Plays nothing.

use crate::call::record::Direction;
use crate::config::from_text;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use std::time::Duration;

/// Steps of a scenario.
const STEPS_MAX: usize = 200;
/// Longest scenario.
const LIMIT_MAX: Duration = Duration::from_secs(600);

/// One scenario as it stands in its file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scenario {
    /// Short, for the report.
    pub(super) name: String,
    /// What it shows.
    #[serde(default)]
    pub(super) about: String,
    /// What `start` tells of the call.
    #[serde(default)]
    pub(super) call: Call,
    /// Parameters of the stream, as in its query; the command line's come before.
    #[serde(default)]
    pub(super) stream: Map<String, Value>,
    /// The longest that it may take.
    #[serde(default = "half_a_minute", deserialize_with = "span")]
    pub(super) limit: Duration,
    /// Gaps in the program's sound that are too many.
    #[serde(default)]
    pub(super) gaps_max: Option<u32>,
    /// In this order.
    #[serde(rename = "step")]
    pub(super) steps: Vec<Step>,
}

/// Who calls whom.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Call {
    /// The calling number.
    pub(super) from: String,
    /// The called one.
    pub(super) to: String,
    /// Whether the call came in.
    pub(super) inbound: bool,
    /// The user's parameters.
    pub(super) parameters: Map<String, Value>,
}

impl Default for Call {
    fn default() -> Self {
        let (from, to) = ("+15550100".to_owned(), "+15550123".to_owned());
        Self { from, to, inbound: false, parameters: Map::new() }
    }
}

impl Call {
    /// Who calls whom, in the words of the call.
    pub(super) fn direction(&self) -> Direction {
        if self.inbound { Direction::Inbound } else { Direction::Outbound }
    }
}

/// One step: exactly one of `wait`, `say`, `dtmf`, `event`, `hangup` and `expect`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Step {
    /// In the report instead of what follows from the rest.
    pub(super) title: Option<String>,
    /// Nothing for so long.
    #[serde(deserialize_with = "some_span")]
    pub(super) wait: Option<Duration>,
    /// The caller speaks.
    pub(super) say: Option<Say>,
    /// The next step does not wait until the caller has said it.
    pub(super) overlap: bool,
    /// The caller presses keys.
    pub(super) dtmf: Option<String>,
    /// The call's state changes.
    pub(super) event: Option<Event>,
    /// The caller hangs up.
    pub(super) hangup: bool,
    /// The program does something.
    pub(super) expect: Option<Expect>,
    /// At the latest after this long.
    #[serde(deserialize_with = "some_span")]
    pub(super) within: Option<Duration>,
    /// `sound` and `silence` last this long.
    #[serde(deserialize_with = "some_span")]
    pub(super) lasts: Option<Duration>,
    /// Fields of the message that is expected; any of these.
    pub(super) any: Vec<Map<String, Value>>,
}

/// What the caller says.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(super) enum Say {
    /// A text, by a built-in voice.
    Text(String),
    /// A WAV or MP3 file, from the scenario's directory.
    File(String),
    /// A tone.
    Tone {
        /// Its frequency in Hz.
        hz: f64,
        /// Its length.
        #[serde(deserialize_with = "span")]
        lasts: Duration,
    },
}

/// A `call_event` that the caller's side can bring about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Event {
    /// The other side holds the call.
    Hold,
    /// And takes it back.
    Resume,
}

impl Event {
    /// Its name on the wire.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Resume => "resume",
        }
    }
}

/// What a program is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Expect {
    /// The caller hears something.
    Sound,
    /// The caller hears nothing any more.
    Silence,
    /// A message with the fields of one of `any`.
    Message,
    /// It asks to end the call.
    Hangup,
}

impl Scenario {
    /// Reads a scenario; the name decides whether it is JSON.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(super) fn read(name: &str, text: &str) -> Result<Self, String> {
        let json = name.rsplit('.').next().is_some_and(|end| end.eq_ignore_ascii_case("json"));
        let scenario: Self = if json {
            serde_json::from_str(text).map_err(|error| error.to_string())?
        } else {
            toml::from_str(text).map_err(|error| error.to_string())?
        };
        scenario.check()?;
        Ok(scenario)
    }

    fn check(&self) -> Result<(), String> {
        if self.name.is_empty() || self.name.len() > 64 {
            return Err("name must have 1 to 64 letters".to_owned());
        }
        if self.limit > LIMIT_MAX {
            return Err("limit must be at most 10 minutes".to_owned());
        }
        if self.steps.is_empty() || self.steps.len() > STEPS_MAX {
            return Err(format!("there must be 1 to {STEPS_MAX} steps"));
        }
        let (_, before) = self.steps.split_last().unzip();
        let ends = |step: &Step| step.hangup || step.expect == Some(Expect::Hangup);
        if before.is_some_and(|steps: &[Step]| steps.iter().any(ends)) {
            return Err("the call ends with a hangup: nothing can follow it".to_owned());
        }
        let faults = self.steps.iter().enumerate();
        let faults = faults.filter_map(|(n, step)| Some((n + 1, step.fault()?)));
        match faults.map(|(n, fault)| format!("step {n}: {fault}")).next() {
            Some(fault) => Err(fault),
            None => Ok(()),
        }
    }
}

impl Step {
    fn fault(&self) -> Option<&'static str> {
        let kinds = [
            self.wait.is_some(),
            self.say.is_some(),
            self.dtmf.is_some(),
            self.event.is_some(),
            self.hangup,
            self.expect.is_some(),
        ];
        if kinds.into_iter().filter(|kind| *kind).count() != 1 {
            return Some("must have exactly one of wait, say, dtmf, event, hangup and expect");
        }
        let key = |b: u8| b.is_ascii_digit() || b"*#ABCD".contains(&b);
        if self.dtmf.as_ref().is_some_and(|keys| keys.is_empty() || !keys.bytes().all(key)) {
            return Some("dtmf must be of 0-9, *, #, A-D");
        }
        if self.overlap && self.say.is_none() {
            return Some("overlap belongs to say");
        }
        if self.expect.is_none() && (self.within.is_some() || self.lasts.is_some()) {
            return Some("within and lasts belong to expect");
        }
        let by_message = self.expect == Some(Expect::Message);
        if by_message == self.any.is_empty() {
            return Some("expect = \"message\" needs any, and nothing else has it");
        }
        None
    }

    /// The step in words, for the report.
    pub(super) fn words(&self) -> String {
        if let Some(title) = &self.title {
            return title.clone();
        }
        match self.expect {
            Some(Expect::Sound) => "the caller hears something".to_owned(),
            Some(Expect::Silence) => "the caller hears nothing any more".to_owned(),
            Some(Expect::Hangup) => "the program ends the call".to_owned(),
            Some(Expect::Message) => {
                let any = self.any.iter().map(|fields| Value::Object(fields.clone()).to_string());
                format!("a message {}", any.collect::<Vec<_>>().join(" or "))
            }
            None => String::new(),
        }
    }
}

/// Whether a message has all these fields, inner objects alike.
pub(super) fn has(message: &Value, fields: &Map<String, Value>) -> bool {
    fields.iter().all(|(name, wanted)| match (message.get(name), wanted) {
        (Some(inner), Value::Object(wanted)) => has(inner, wanted),
        (found, wanted) => found == Some(wanted),
    })
}

fn half_a_minute() -> Duration {
    Duration::from_secs(30)
}

fn span<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)?;
    from_text(&text).map_err(serde::de::Error::custom)
}

fn some_span<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    span(from).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let toml = "name = \"a\"\n[stream]\nrate = 8000\n[[step]]\nwait = \"500ms\"\n\
            [[step]]\nsay = { tone = { hz = 440.0, lasts = \"1s\" } }\noverlap = true\n\
            [[step]]\nexpect = \"message\"\nwithin = \"2s\"\nany = [{ type = \"clear\" }]\n";
        let json = r#"{"name": "a", "stream": {"rate": 8000}, "step": [{"wait": "500ms"},
            {"say": {"tone": {"hz": 440.0, "lasts": "1s"}}, "overlap": true},
            {"expect": "message", "within": "2s", "any": [{"type": "clear"}]}]}"#;
        let (one, two) =
            (Scenario::read("a.toml", toml).unwrap(), Scenario::read("a.json", json).unwrap());
        assert_eq!(format!("{one:?}"), format!("{two:?}"));
        assert_eq!(one.steps[0].wait, Some(Duration::from_millis(500)));
        assert_eq!(one.steps[2].words(), r#"a message {"type":"clear"}"#);
        assert_eq!((one.limit, one.call.direction()), (half_a_minute(), Direction::Outbound));
    }

    #[test]
    fn faults_have_their_place() {
        let read =
            |steps: &str| Scenario::read("x.toml", &format!("name = \"a\"\n{steps}")).unwrap_err();
        for (steps, part) in [
            ("", "step"),
            ("[[step]]\n", "step 1: must have exactly one"),
            ("[[step]]\nwait = \"1s\"\nhangup = true", "exactly one"),
            ("[[step]]\ndtmf = \"x\"", "0-9"),
            ("[[step]]\nexpect = \"message\"", "needs any"),
            ("[[step]]\nwait = \"1s\"\nwithin = \"1s\"", "belong to expect"),
            ("[[step]]\nhangup = true\n[[step]]\nwait = \"1s\"", "nothing can follow"),
            ("[[step]]\nwait = \"soon\"", "line 3"),
            ("[[step]]\nexpct = \"sound\"", "expct"),
            ("limit = \"11m\"\n[[step]]\nwait = \"1s\"", "10 minutes"),
        ] {
            let fault = read(steps);
            assert!(fault.contains(part), "{steps}: {fault}");
        }
    }

    #[test]
    fn fields_are_looked_for_in_depth() {
        let wanted = |text: &str| serde_json::from_str::<Map<String, Value>>(text).unwrap();
        let message = serde_json::json!({"event": "mark", "mark": {"name": "a", "x": 1}});
        assert!(has(&message, &wanted(r#"{"event": "mark", "mark": {"name": "a"}}"#)));
        assert!(!has(&message, &wanted(r#"{"mark": {"name": "b"}}"#)));
        assert!(!has(&message, &wanted(r#"{"event": {"name": "mark"}}"#)));
    }
}
