//! What a client asks of its stream, and what it gets.
//!
//! ```text
//!  create request ─┐
//!                  ├─> StreamOptions ──> Settings (every question answered)
//!  upgrade query ──┘
//! ```
//!
//! Owns the names and bounds of every parameter and the rule that tells the bare URL from the full
//! protocol; what concerns the place of a client is in `asked`. Reads no HTTP: pairs come in
//! decoded. Parameters that the protocol names and this build does not serve are refused with what
//! is served, never ignored.

mod asked;

pub use asked::{EventFilter, OnLost, PlaceWish, ReconnectWish, Resume, Role};

pub use super::protocol::Protocol;

use crate::audio::decode::LiveFormat;
use crate::media::pace::PaceSpec;
use crate::turn::barge::{BargeWish, Mode};
use std::fmt;
use std::time::Duration;

/// Rates in Hz at which a client may send audio.
pub const IN_RATES: [u32; 7] = [8000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000];
/// Rates in Hz at which caller audio can be sent to a client.
pub const OUT_RATES: [u32; 3] = [8000, 16_000, 24_000];
/// Lengths in milliseconds of one binary message to a client.
pub const FRAME_MS: [u32; 5] = [10, 20, 40, 60, 100];
/// Bounds of `buffer_ms`.
pub const BUFFER_MS: std::ops::RangeInclusive<u32> = 100..=600_000;
/// Bounds of `stats_ms`.
pub const STATS_MS: std::ops::RangeInclusive<u32> = 1000..=600_000;
/// The subprotocol that selects the full protocol.
pub const SUBPROTOCOL: &str = "bellwire.stream.v1";

/// All parameters, in the order of docs/stream.md; any other name is refused.
pub const PARAMETERS: [&str; 29] = [
    "protocol",
    "ticket",
    "format",
    "rate",
    "buffer_ms",
    "playout",
    "jitter",
    "agc",
    "dc_block",
    "listen",
    "envelope",
    "events",
    "role",
    "takeover",
    "resume",
    "since",
    "heard",
    "linger_ms",
    "on_lost",
    "prompt_text",
    "out_rate",
    "out_format",
    "out_agc",
    "out_dc_block",
    "transcripts",
    "barge_in",
    "tones",
    "frame_ms",
    "stats_ms",
];

/// Parameters of both protocols, or of the call.
const SHARED: [&str; 11] = [
    "protocol",
    "format",
    "rate",
    "buffer_ms",
    "ticket",
    "agc",
    "dc_block",
    "takeover",
    "linger_ms",
    "on_lost",
    "prompt_text",
];

/// How caller audio is written into binary messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutFormat {
    /// 16 bit signed, little endian.
    PcmS16le,
    /// G.711 µ-law.
    Mulaw,
    /// G.711 A-law.
    Alaw,
}

impl OutFormat {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PcmS16le => "pcm_s16le",
            Self::Mulaw => "mulaw",
            Self::Alaw => "alaw",
        }
    }

    /// The format of this name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::PcmS16le, Self::Mulaw, Self::Alaw].into_iter().find(|f| f.as_str() == name)
    }

    /// Octets of one sample.
    #[must_use]
    pub fn octets(self) -> usize {
        match self {
            Self::PcmS16le => 2,
            Self::Mulaw | Self::Alaw => 1,
        }
    }
}

/// Which audio a client hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// None.
    None,
    /// The caller.
    Caller,
    /// What the caller was sent, as it left.
    Agent,
    /// The two, mixed into one channel.
    Both,
    /// The two in a channel each: left the caller.
    Stereo,
}

impl Listen {
    /// The name in queries and as `track` of audio.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Caller => "caller",
            Self::Agent => "agent",
            Self::Both => "both",
            Self::Stereo => "stereo",
        }
    }

    /// Channels of the audio.
    #[must_use]
    pub fn channels(self) -> usize {
        match self {
            Self::None => 0,
            Self::Caller | Self::Agent | Self::Both => 1,
            Self::Stereo => 2,
        }
    }

    /// Whose audio it is.
    #[must_use]
    pub fn tracks(self) -> &'static [&'static str] {
        match self {
            Self::None => &[],
            Self::Caller => &["caller"],
            Self::Agent => &["agent"],
            Self::Both | Self::Stereo => &["caller", "agent"],
        }
    }

    /// Whether what the caller is sent is part of it.
    #[must_use]
    pub fn hears_agent(self) -> bool {
        match self {
            Self::None | Self::Caller => false,
            Self::Agent | Self::Both | Self::Stereo => true,
        }
    }

    /// Whether both sides are part of it.
    #[must_use]
    pub fn hears_both(self) -> bool {
        self.tracks().len() > 1
    }
}

/// How audio stands beside the text of the full protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Envelope {
    /// As binary messages.
    #[default]
    Binary,
    /// In JSON, as base64.
    Json,
}

impl Envelope {
    /// The name in queries and in `start`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::Json => "json",
        }
    }
}

/// Which of the caller's words a client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transcripts {
    /// None.
    Off,
    /// Those that will not change.
    Final,
    /// Those that may still change, too.
    Partial,
}

/// What becomes of a client's sound that comes faster than it is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Playout {
    /// It waits its turn.
    #[default]
    Queue,
    /// It catches up: pauses are shortened, then speech is compressed.
    Live,
}

impl Playout {
    /// The name in queries and in `start`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Live => "live",
        }
    }
}

/// When the caller's sound is sent to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Jitter {
    /// When it is there and in order: a program listens.
    #[default]
    Asap,
    /// At an even pace: a person listens.
    Paced,
}

/// How sound is timed, both ways; from the `[jitter]` and `[playout]` sections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// What a client gets that does not ask.
    pub jitter: Jitter,
    /// Bounds of the delay where sound is paced.
    pub pace: PaceSpec,
    /// Lead of a live client that is left alone.
    pub live_lead: Duration,
    /// How much of a live client is queued at most, unless it says so.
    pub live_buffer: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        let ms = Duration::from_millis;
        let (live_lead, live_buffer) = (ms(60), ms(500));
        Self { jitter: Jitter::Asap, pace: PaceSpec::default(), live_lead, live_buffer }
    }
}

/// What was asked, from the create request or from the query of the upgrade; unset is unasked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamOptions {
    /// Which protocol.
    pub protocol: Option<Protocol>,
    /// Format of the client's audio.
    pub format: Option<LiveFormat>,
    /// Its rate in Hz, one of [`IN_RATES`].
    pub rate: Option<u32>,
    /// Format of the audio sent to the client.
    pub out_format: Option<OutFormat>,
    /// Its rate in Hz, one of [`OUT_RATES`].
    pub out_rate: Option<u32>,
    /// Length of its messages, one of [`FRAME_MS`].
    pub frame_ms: Option<u32>,
    /// Which audio is sent.
    pub listen: Option<Listen>,
    /// How much audio may be queued, within [`BUFFER_MS`].
    pub buffer_ms: Option<u32>,
    /// Which transcripts were asked for.
    pub transcripts: Option<Transcripts>,
    /// What becomes of the client's sound that comes early.
    pub playout: Option<Playout>,
    /// When the caller's sound is sent.
    pub jitter: Option<Jitter>,
    /// What the caller's voice is to do to what is played.
    pub barge: BargeWish,
    /// Whether tones of the network are told.
    pub tones: Option<bool>,
    /// How often `stats` is told, within [`STATS_MS`].
    pub stats_ms: Option<u32>,
    /// Whether it is told which of the caller's audio was made up.
    pub concealed: Option<bool>,
    /// Whether the client's audio is levelled.
    pub agc: Option<bool>,
    /// Whether a constant offset is taken out of it.
    pub dc_block: Option<bool>,
    /// The same for the caller's audio on its way to the client.
    pub out_agc: Option<bool>,
    /// See `out_agc`.
    pub out_dc_block: Option<bool>,
    /// How audio stands beside text.
    pub envelope: Option<Envelope>,
    /// Which messages are told.
    pub events: Option<EventFilter>,
    /// The place that is asked for.
    pub place: PlaceWish,
    /// What becomes of the call when the socket is lost.
    pub reconnect: ReconnectWish,
}

/// Why a parameter was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryBlame {
    /// It is wrong (400 `invalid_request`).
    Invalid,
    /// The protocol has it, this build does not (501 `not_implemented`).
    Unsupported,
}

/// A parameter that was not accepted, with the way out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stream parameter {parameter}: {detail}")]
pub struct QueryProblem {
    /// Its name.
    pub parameter: String,
    /// Whose fault it is.
    pub blame: QueryBlame,
    /// What is wrong and what would be right.
    pub detail: String,
}

impl QueryProblem {
    pub(super) fn invalid(parameter: &str, detail: impl Into<String>) -> Self {
        Self { parameter: clip(parameter), blame: QueryBlame::Invalid, detail: detail.into() }
    }

    pub(super) fn unsupported(parameter: &str, detail: impl Into<String>) -> Self {
        Self { parameter: clip(parameter), blame: QueryBlame::Unsupported, detail: detail.into() }
    }
}

/// Foreign text, short enough to be quoted in an answer.
fn clip(text: &str) -> String {
    text.chars().take(80).collect()
}

impl StreamOptions {
    /// Reads the decoded pairs of a query (or of a `stream` object, names in snake case).
    ///
    /// `subprotocols` are the names that the client offered. The full protocol is chosen by
    /// [`SUBPROTOCOL`], by `protocol=native`, or by any parameter that the bare URL does not have;
    /// the others by their name or their subprotocol.
    ///
    /// # Errors
    /// [`QueryProblem`] for the first parameter that is unknown, given twice, out of its bounds,
    /// not served, or not of the protocol.
    pub fn from_query<S: AsRef<str>>(
        pairs: &[(String, String)],
        subprotocols: &[S],
    ) -> Result<Self, QueryProblem> {
        let mut options = Self::default();
        let offered = |name: &S| Protocol::by_subprotocol(name.as_ref());
        let offered = subprotocols.iter().find_map(offered);
        let mut native = offered == Some(Protocol::Native);
        for (index, (name, value)) in pairs.iter().enumerate() {
            if pairs.iter().take(index).any(|(earlier, _)| earlier == name) {
                return Err(QueryProblem::invalid(name, "is given twice"));
            }
            if !PARAMETERS.contains(&name.as_str()) {
                return Err(unknown(name));
            }
            native |= options.read(name, value)?;
        }
        let offered = offered.filter(|protocol| protocol.is_dialect());
        options.protocol = options.protocol.or(offered);
        match options.protocol {
            None if native => options.protocol = Some(Protocol::Native),
            Some(Protocol::Bare) if native => {
                let detail = "cawme sends text only; leave protocol out for the full protocol";
                return Err(QueryProblem::invalid("protocol", detail));
            }
            None | Some(_) => {}
        }
        options.place.check()?;
        options.reconnect.check()?;
        if let Some(protocol) = options.protocol {
            protocol.check(&options)?;
        }
        Ok(options)
    }

    /// Takes one pair; `true` when only the full protocol has it.
    fn read(&mut self, name: &str, value: &str) -> Result<bool, QueryProblem> {
        match name {
            "protocol" => self.protocol = Some(Protocol::by_name(value)?),
            "format" => self.format = Some(in_format(value)?),
            "rate" => self.rate = Some(one_of(name, value, &IN_RATES)?),
            "buffer_ms" => self.buffer_ms = Some(within(name, value, &BUFFER_MS)?),
            "out_format" => {
                let detail = "must be pcm_s16le, mulaw or alaw";
                let format = OutFormat::from_name(value);
                self.out_format = Some(format.ok_or(QueryProblem::invalid(name, detail))?);
            }
            "out_rate" => self.out_rate = Some(one_of(name, value, &OUT_RATES)?),
            "frame_ms" => self.frame_ms = Some(one_of(name, value, &FRAME_MS)?),
            "listen" => self.listen = Some(listen(value)?),
            "transcripts" => {
                self.transcripts = Some(match value {
                    "off" => Transcripts::Off,
                    "final" => Transcripts::Final,
                    "partial" => Transcripts::Partial,
                    _ => return Err(QueryProblem::invalid(name, "must be off, final or partial")),
                });
            }
            "playout" => {
                self.playout = Some(match value {
                    "queue" => Playout::Queue,
                    "live" => Playout::Live,
                    _ => return Err(QueryProblem::invalid(name, "must be queue or live")),
                });
            }
            "barge_in" => {
                let detail = "must be off, notify, clear or pause";
                let mode = Mode::from_name(value).ok_or(QueryProblem::invalid(name, detail))?;
                self.barge.mode = Some(mode);
            }
            "tones" => {
                self.tones = Some(match value {
                    "on" => true,
                    "off" => false,
                    _ => return Err(QueryProblem::invalid(name, "must be on or off")),
                });
            }
            // A single-use key in the query was looked at before anything here.
            "ticket" => {}
            _ => {
                let known = self.place.read(name, value)?
                    || self.reconnect.read(name, value)?
                    || self.read_manner(name, value)?;
                if !known {
                    return Err(unknown(name));
                }
            }
        }
        Ok(!SHARED.contains(&name) || self.protocol == Some(Protocol::Native))
    }

    /// These options, with `defaults` where they are silent; what those say of formats is for
    /// their own protocol, where another one is a vendor's.
    #[must_use]
    pub fn or(&self, defaults: &Self) -> Self {
        let other = self.protocol.filter(|protocol| Some(*protocol) != defaults.protocol);
        let sound = match other.filter(|protocol| protocol.is_dialect()) {
            Some(_) => &Self::default(),
            None => defaults,
        };
        Self {
            protocol: self.protocol.or(defaults.protocol),
            format: self.format.or(sound.format),
            rate: self.rate.or(sound.rate),
            out_format: self.out_format.or(sound.out_format),
            out_rate: self.out_rate.or(sound.out_rate),
            frame_ms: self.frame_ms.or(defaults.frame_ms),
            listen: self.listen.or(defaults.listen),
            buffer_ms: self.buffer_ms.or(defaults.buffer_ms),
            transcripts: self.transcripts.or(defaults.transcripts),
            playout: self.playout.or(defaults.playout),
            jitter: self.jitter.or(defaults.jitter),
            barge: self.barge.or(defaults.barge),
            tones: self.tones.or(defaults.tones),
            stats_ms: self.stats_ms.or(defaults.stats_ms),
            concealed: self.concealed.or(defaults.concealed),
            agc: self.agc.or(defaults.agc),
            dc_block: self.dc_block.or(defaults.dc_block),
            out_agc: self.out_agc.or(defaults.out_agc),
            out_dc_block: self.out_dc_block.or(defaults.out_dc_block),
            envelope: self.envelope.or(defaults.envelope),
            events: self.events.or(defaults.events),
            // A client takes its own place; the request that made the call has none.
            place: self.place.clone(),
            reconnect: self.reconnect.clone().or(defaults.reconnect.clone()),
        }
    }
}

/// A client's stream with every question answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Which protocol.
    pub protocol: Protocol,
    /// Format of the client's audio.
    pub format: LiveFormat,
    /// Its rate in Hz, where the format does not carry one.
    pub rate: u32,
    /// Format of the audio sent to the client.
    pub out_format: OutFormat,
    /// Its rate in Hz.
    pub out_rate: u32,
    /// Length of its messages in milliseconds.
    pub frame_ms: u32,
    /// Which audio is sent.
    pub listen: Listen,
    /// How much audio may be queued, in milliseconds.
    pub buffer_ms: u32,
    /// Which transcripts the client is told.
    pub transcripts: Transcripts,
    /// Lead of its sound that is left alone; `None`: all of it waits its turn.
    pub live: Option<Duration>,
    /// Bounds of the caller's delay; `None`: sound is sent as soon as it is there.
    pub pace: Option<PaceSpec>,
    /// How often it is told `stats`; `None`: when it asks.
    pub stats: Option<Duration>,
    /// Whether it is told which of the caller's audio was made up.
    pub concealed: bool,
    /// How audio stands beside text.
    pub envelope: Envelope,
    /// Which messages are told.
    pub events: EventFilter,
    /// What it is there for.
    pub role: Role,
    /// Settled lines of an agent's call are told without being asked for.
    pub hears_lines: bool,
}

impl Settings {
    /// Answers what `options` leave open; `rate` and `buffer_ms` are the line's defaults.
    #[must_use]
    pub fn resolve(options: &StreamOptions, rate: u32, buffer_ms: u32) -> Self {
        Self::timed(options, rate, buffer_ms, &Timing::default())
    }

    /// The same where sound is timed as `timing` says.
    #[must_use]
    pub fn timed(options: &StreamOptions, rate: u32, buffer_ms: u32, timing: &Timing) -> Self {
        let protocol = options.protocol.unwrap_or(Protocol::Bare);
        let usual = protocol.usual();
        let rate = options.rate.or(usual.rate).unwrap_or(rate);
        let format = options.format.unwrap_or(usual.format);
        let listen = match protocol {
            // Audio would be no text.
            Protocol::Bare => usual.listen,
            Protocol::Native
            | Protocol::Twilio
            | Protocol::Vonage
            | Protocol::Telnyx
            | Protocol::Plivo
            | Protocol::Jambonz
            | Protocol::Asterisk
            | Protocol::AsteriskJson
            | Protocol::Pipecat => options.listen.unwrap_or(usual.listen),
        };
        let (out_format, out_rate) = protocol.outward(options, format, rate);
        let (live, buffer_ms) = match options.playout.unwrap_or_default() {
            Playout::Queue => (None, usual.buffer_ms.unwrap_or(buffer_ms)),
            Playout::Live => {
                let buffer = u32::try_from(timing.live_buffer.as_millis()).unwrap_or(u32::MAX);
                (Some(timing.live_lead), buffer)
            }
        };
        let pace = match options.jitter.unwrap_or(timing.jitter) {
            Jitter::Asap => None,
            Jitter::Paced => Some(timing.pace),
        };
        Self {
            live,
            pace,
            protocol,
            format,
            rate,
            out_format,
            out_rate,
            frame_ms: options.frame_ms.unwrap_or(20),
            listen,
            buffer_ms: options.buffer_ms.unwrap_or(buffer_ms),
            transcripts: options.transcripts.unwrap_or(usual.transcripts),
            stats: options.stats_ms.map(|ms| Duration::from_millis(ms.into())),
            concealed: options.concealed.unwrap_or(false),
            envelope: options.envelope.unwrap_or_default(),
            events: options.events.unwrap_or_default(),
            role: options.place.role,
            hears_lines: false,
        }
    }
}

fn unknown(name: &str) -> QueryProblem {
    QueryProblem::invalid(name, format!("is unknown; known are {}", PARAMETERS.join(", ")))
}

fn in_format(value: &str) -> Result<LiveFormat, QueryProblem> {
    LiveFormat::by_name(value).ok_or_else(|| {
        let named = |known: &&str| LiveFormat::by_name(known).is_some();
        let served: Vec<&str> =
            LiveFormat::NAMES.iter().map(|(name, _)| *name).filter(named).collect();
        let detail = format!("must be one of {}", served.join(", "));
        match value {
            "opus" | "ogg" => QueryProblem::unsupported("format", detail),
            _ => QueryProblem::invalid("format", detail),
        }
    })
}

fn listen(value: &str) -> Result<Listen, QueryProblem> {
    let all = [Listen::None, Listen::Caller, Listen::Agent, Listen::Both, Listen::Stereo];
    let detail = "must be none, caller, agent, both or stereo";
    let known = all.into_iter().find(|listen| listen.as_str() == value);
    known.ok_or_else(|| QueryProblem::invalid("listen", detail))
}

fn on_or_off(name: &str, value: &str) -> Result<bool, QueryProblem> {
    match value {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(QueryProblem::invalid(name, "must be on or off")),
    }
}

fn one_of(name: &str, value: &str, allowed: &[u32]) -> Result<u32, QueryProblem> {
    let number = value.parse().ok().filter(|number| allowed.contains(number));
    number.ok_or_else(|| QueryProblem::invalid(name, format!("must be {}", Choice(allowed))))
}

fn within(
    name: &str,
    value: &str,
    bounds: &std::ops::RangeInclusive<u32>,
) -> Result<u32, QueryProblem> {
    let number = value.parse().ok().filter(|number| bounds.contains(number));
    let (least, most) = (bounds.start(), bounds.end());
    number.ok_or_else(|| QueryProblem::invalid(name, format!("must be {least} to {most}")))
}

/// Writes `8000, 16000 or 24000`.
struct Choice<'a>(&'a [u32]);

impl fmt::Display for Choice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, number) in self.0.iter().enumerate() {
            let joint = match index {
                0 => "",
                _ if index + 1 == self.0.len() => " or ",
                _ => ", ",
            };
            write!(f, "{joint}{number}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
