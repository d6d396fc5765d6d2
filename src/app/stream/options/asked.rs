//! What a client asks of its place: whether it speaks or listens, whether it takes a place that is
//! taken, where it goes on, which events it is told, and what becomes of the call without it.
//!
//! Owns the names and bounds of these parameters. Who may sit down is decided by `seat`.

use super::super::resume::{Token, TokenError};
use super::super::wire::Told;
use super::{Envelope, Jitter, QueryProblem, STATS_MS, StreamOptions, on_or_off, within};
use std::sync::Arc;
use std::time::Duration;

/// Longest linger.
const LINGER_MS: std::ops::RangeInclusive<u32> = 0..=300_000;

/// Longest prompt, in characters.
const PROMPT_MAX: usize = 1000;

/// How a client sits at a call's stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// Speaks and decides; there is one.
    #[default]
    Main,
    /// Hears and is told; there may be several.
    Listener,
}

/// Where a client wants to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resume {
    /// What `start` said.
    pub token: Token,
    /// The `seq` of the last message that it has.
    pub since: u64,
    /// How many samples of binary it has, since the first `start`; `None`: it does not say.
    pub heard: Option<u64>,
}

/// The place that a client asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PlaceWish {
    /// What it is there for.
    pub role: Role,
    /// It takes the place of whoever sits there.
    pub takeover: bool,
    token: Option<Token>,
    since: Option<u64>,
    heard: Option<u64>,
}

impl PlaceWish {
    /// Takes one pair of the query, if its name is one of these; whether it is.
    ///
    /// # Errors
    /// [`QueryProblem`] for a value that is wrong.
    pub(super) fn read(&mut self, name: &str, value: &str) -> Result<bool, QueryProblem> {
        let bad = |detail: &str| QueryProblem::invalid(name, detail);
        match name {
            "role" => {
                self.role = match value {
                    "main" => Role::Main,
                    "listener" => Role::Listener,
                    _ => return Err(bad("must be main or listener")),
                };
            }
            "takeover" => {
                self.takeover = match value {
                    "1" | "true" => true,
                    "0" | "false" => false,
                    _ => return Err(bad("must be 1 or 0")),
                };
            }
            "resume" => {
                let token: Result<Token, TokenError> = value.parse();
                self.token = Some(token.map_err(|TokenError| bad("must be the token of start"))?);
            }
            "since" => {
                let seq: Result<u64, _> = value.parse();
                let detail = "must be the seq of the last message that came";
                self.since = Some(seq.map_err(|_| bad(detail))?);
            }
            "heard" => {
                let samples: Result<u64, _> = value.parse();
                self.heard = Some(samples.map_err(|_| bad("must be how many samples came"))?);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Whether the parts fit each other.
    ///
    /// # Errors
    /// [`QueryProblem`] naming the part that does not.
    pub(super) fn check(&self) -> Result<(), QueryProblem> {
        let problem = |name: &str, detail: &str| Err(QueryProblem::invalid(name, detail));
        match (self.token, self.since, self.heard) {
            (Some(_), None, _) => problem("resume", "needs since"),
            (None, Some(_), _) => problem("since", "goes with resume"),
            (None, None, Some(_)) => problem("heard", "goes with resume"),
            (Some(_), Some(_), _) if self.role == Role::Listener => {
                problem("resume", "is for the main client; a listener attaches anew")
            }
            (Some(_), Some(_), _) | (None, None, None) => Ok(()),
        }
    }

    /// Where the client goes on, if it does.
    #[must_use]
    pub fn resume(&self) -> Option<Resume> {
        let (token, since) = (self.token?, self.since?);
        Some(Resume { token, since, heard: self.heard })
    }
}

/// What is done when the client's socket is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnLost {
    /// What is queued is played, then silence (or the configured comfort noise).
    #[default]
    Hold,
    /// What is queued is played, then the prompt of the request, over and over.
    Prompt,
    /// The call ends.
    Hangup,
}

/// What a create request says about a lost socket, as far as it does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReconnectWish {
    /// How long the call goes on.
    pub linger: Option<Duration>,
    /// What is heard meanwhile.
    pub on_lost: Option<OnLost>,
    /// The text of the prompt.
    pub prompt: Option<Arc<str>>,
}

impl ReconnectWish {
    /// This wish, with another's where it is silent.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            linger: self.linger.or(other.linger),
            on_lost: self.on_lost.or(other.on_lost),
            prompt: self.prompt.or(other.prompt),
        }
    }

    /// Whether the parts fit each other.
    ///
    /// # Errors
    /// [`QueryProblem`] naming the part that does not.
    pub(super) fn check(&self) -> Result<(), QueryProblem> {
        match (self.on_lost, &self.prompt) {
            (Some(OnLost::Prompt), None) => {
                Err(QueryProblem::invalid("on_lost", "prompt needs prompt_text"))
            }
            (_, _) => Ok(()),
        }
    }

    /// Takes one field of `stream.reconnect` under its name in snake case, if it is one of these;
    /// whether it is.
    ///
    /// # Errors
    /// [`QueryProblem`] for a value that is wrong.
    pub(super) fn read(&mut self, name: &str, value: &str) -> Result<bool, QueryProblem> {
        let bad = |detail: String| QueryProblem::invalid(name, detail);
        match name {
            "linger_ms" => {
                let ms = within(name, value, &LINGER_MS)?;
                self.linger = Some(Duration::from_millis(u64::from(ms)));
            }
            "on_lost" => {
                self.on_lost = Some(match value {
                    "hold" => OnLost::Hold,
                    "prompt" => OnLost::Prompt,
                    "hangup" => OnLost::Hangup,
                    _ => return Err(bad("must be hold, prompt or hangup".to_owned())),
                });
            }
            "prompt_text" => {
                if value.trim().is_empty() || value.chars().count() > PROMPT_MAX {
                    return Err(bad(format!("must have 1 to {PROMPT_MAX} characters")));
                }
                self.prompt = Some(value.into());
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl StreamOptions {
    /// Takes one pair of the query about the manner of the conversation, if its name is one of
    /// these; whether it is.
    ///
    /// # Errors
    /// [`QueryProblem`] for a value that is wrong.
    pub(super) fn read_manner(&mut self, name: &str, value: &str) -> Result<bool, QueryProblem> {
        let bad = |detail: &str| QueryProblem::invalid(name, detail);
        match name {
            "stats_ms" => self.stats_ms = Some(within(name, value, &STATS_MS)?),
            "agc" => self.agc = Some(on_or_off(name, value)?),
            "dc_block" => self.dc_block = Some(on_or_off(name, value)?),
            "out_agc" => self.out_agc = Some(on_or_off(name, value)?),
            "out_dc_block" => self.out_dc_block = Some(on_or_off(name, value)?),
            "envelope" => {
                self.envelope = Some(match value {
                    "binary" => Envelope::Binary,
                    "json" => Envelope::Json,
                    _ => return Err(bad("must be binary or json")),
                });
            }
            "events" => {
                let (concealed, others) = apart(value);
                self.concealed = Some(concealed);
                let events = EventFilter::parse(&others).map_err(|detail| bad(&detail))?;
                // What was made up is told beside what is told anyway, unless that is chosen, too.
                self.events = (!concealed || !others.is_empty()).then_some(events);
            }
            "jitter" => {
                self.jitter = Some(match value {
                    "asap" => Jitter::Asap,
                    "paced" => Jitter::Paced,
                    _ => return Err(bad("must be asap or paced")),
                });
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Whether `concealed` is among the names, and the others: it is told to nobody who does not ask.
fn apart(names: &str) -> (bool, String) {
    let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
    let (concealed, others): (Vec<_>, Vec<_>) = names.partition(|name| *name == "concealed");
    (!concealed.is_empty(), others.join(","))
}

/// Messages that a client may leave out, by their type.
const KINDS: [&str; 16] = [
    "call_event",
    "playback",
    "mark",
    "flow",
    "transcript",
    "turn",
    "interrupted",
    "outcome",
    "dtmf",
    "speech",
    "barge_in",
    "tone",
    "stats",
    "warning",
    "event",
    "replayed",
];

/// Which messages a client is told; the answers to its own commands come in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventFilter(u32);

impl Default for EventFilter {
    fn default() -> Self {
        Self::ALL
    }
}

impl EventFilter {
    /// All.
    pub const ALL: Self = Self(u32::MAX);

    /// Reads names with commas between them; nothing at all leaves everything out.
    ///
    /// # Errors
    /// What is wrong and what would be right.
    pub fn parse(names: &str) -> Result<Self, String> {
        let mut bits = 0;
        for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let place = KINDS.iter().position(|kind| *kind == name);
            let place = place.ok_or_else(|| format!("must be some of {}", KINDS.join(",")))?;
            bits |= 1 << place;
        }
        Ok(Self(bits))
    }

    /// Whether messages like this one are told.
    #[must_use]
    pub fn passes(self, told: &Told) -> bool {
        let Some(kind) = told.filtered_as() else { return true };
        KINDS.iter().position(|known| *known == kind).is_none_or(|place| self.0 & (1 << place) != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::QueryBlame;
    use super::*;
    use crate::app::stream::wire::warning;

    fn query(text: &str) -> Result<StreamOptions, QueryProblem> {
        let split = |pair: &str| pair.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()));
        let pairs: Vec<_> = text.split('&').filter_map(split).collect();
        StreamOptions::from_query::<&str>(&pairs, &[])
    }

    #[test]
    fn a_place_to_go_on_at_is_named_whole() {
        let token = Token::draw(&[7; 32], 1);
        let good = query(&format!("resume={token}&since=17&heard=800")).unwrap();
        let resume = good.place.resume().unwrap();
        assert_eq!((resume.since, resume.heard, resume.token.fits(&token)), (17, Some(800), true));
        assert_eq!(query("takeover=1").unwrap().place.resume(), None);
        for (text, part) in [
            (format!("resume={token}"), "since"),
            ("since=1".to_owned(), "resume"),
            ("heard=1".to_owned(), "resume"),
            (format!("resume={token}&since=1&role=listener"), "main"),
            (format!("resume={token}&since=x"), "seq"),
            ("resume=abc&since=1".to_owned(), "token"),
            ("takeover=maybe".to_owned(), "1 or 0"),
            ("role=boss".to_owned(), "listener"),
        ] {
            let problem = query(&text).unwrap_err();
            assert_eq!(problem.blame, QueryBlame::Invalid, "{text}");
            assert!(problem.detail.contains(part), "{text}: {}", problem.detail);
        }
    }

    #[test]
    fn events_are_chosen_by_their_type() {
        let some = EventFilter::parse("dtmf, mark").unwrap();
        let mark = Told::Mark { name: "m".into(), played_ms: 0, squeezed_ms: 0, cleared: false };
        assert!(some.passes(&mark) && !some.passes(&warning("dropped", "x")));
        assert!(some.passes(&Told::Pong { id: None }), "an answer comes in any case");
        assert!(!EventFilter::parse("").unwrap().passes(&mark));
        assert!(EventFilter::ALL.passes(&mark));
        assert!(EventFilter::parse("marks").unwrap_err().contains("playback"));
    }
}
