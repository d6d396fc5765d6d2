//! Which conversation a socket carries, and what each takes for granted.
//!
//! Owns the names of the protocols, in queries, paths and subprotocols, and the formats that each
//! can carry. How they are written is `dialect`'s.

use super::options::{IN_RATES, Listen, OUT_RATES, OutFormat, QueryProblem, StreamOptions};
use super::options::{SUBPROTOCOL, Transcripts};
use crate::audio::decode::LiveFormat;

/// Which conversation the socket carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// The bare URL of the reference API: text only toward the client, binary sniffed.
    Bare,
    /// `bellwire.stream.v1`.
    Native,
    /// Twilio Media Streams, both ways.
    Twilio,
    /// The WebSocket endpoint of Vonage's Voice API.
    Vonage,
    /// Telnyx media streaming, both ways.
    Telnyx,
    /// Plivo audio streaming, both ways.
    Plivo,
    /// The `listen` verb of jambonz, with streaming both ways.
    Jambonz,
    /// Asterisk's chan_websocket, its control messages in plain text.
    Asterisk,
    /// The same, its control messages in JSON.
    AsteriskJson,
    /// Pipecat's frames in protobuf.
    Pipecat,
}

/// Names of the interface that are answered with 501.
const LATER: [&str; 4] = ["exotel", "conversationrelay", "openai", "auto"];

/// Subprotocols, by what they choose.
const SUBPROTOCOLS: [(&str, Protocol); 4] = [
    (SUBPROTOCOL, Protocol::Native),
    // mod_audio_fork's, and the one that the documentation of jambonz names.
    ("audio.drachtio.org", Protocol::Jambonz),
    ("audio.jambonz.org", Protocol::Jambonz),
    // That of Asterisk's HTTP server for media.
    ("media", Protocol::Asterisk),
];

/// What a protocol means where nothing is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usual {
    /// Format of the client's audio.
    pub(super) format: LiveFormat,
    /// Its rate in Hz; `None`: that of the line.
    pub(super) rate: Option<u32>,
    /// Format of the audio sent to the client.
    pub(super) out_format: OutFormat,
    /// Which audio that is, unless asked.
    pub(super) listen: Listen,
    /// Which transcripts are told.
    pub(super) transcripts: Transcripts,
    /// How much audio may be queued, in milliseconds; `None`: as the line says.
    pub(super) buffer_ms: Option<u32>,
}

impl Protocol {
    /// Every protocol that is served.
    pub const ALL: [Self; 10] = [
        Self::Native,
        Self::Bare,
        Self::Twilio,
        Self::Vonage,
        Self::Telnyx,
        Self::Plivo,
        Self::Jambonz,
        Self::Asterisk,
        Self::AsteriskJson,
        Self::Pipecat,
    ];

    /// The name in queries and in the call object.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bare => "cawme",
            Self::Native => "native",
            Self::Twilio => "twilio",
            Self::Vonage => "vonage",
            Self::Telnyx => "telnyx",
            Self::Plivo => "plivo",
            Self::Jambonz => "jambonz",
            Self::Asterisk => "asterisk",
            Self::AsteriskJson => "asterisk-json",
            Self::Pipecat => "pipecat",
        }
    }

    /// The protocol of a name.
    ///
    /// # Errors
    /// [`QueryProblem`] that tells names which are not served from those that are none.
    pub fn by_name(name: &str) -> Result<Self, QueryProblem> {
        if let Some(known) = Self::ALL.into_iter().find(|known| known.as_str() == name) {
            return Ok(known);
        }
        let served = Self::ALL.map(Self::as_str).join(", ");
        Err(if LATER.contains(&name) {
            QueryProblem::unsupported("protocol", format!("{name} is not served; use {served}"))
        } else {
            QueryProblem::invalid("protocol", format!("must be one of {served}"))
        })
    }

    /// The protocol that a client means by one of the subprotocols that it offers.
    #[must_use]
    pub fn by_subprotocol(name: &str) -> Option<Self> {
        SUBPROTOCOLS.iter().find(|(known, _)| *known == name).map(|(_, protocol)| *protocol)
    }

    /// Whether it is another vendor's: its clients know nothing of our own.
    #[must_use]
    pub fn is_dialect(self) -> bool {
        !matches!(self, Self::Bare | Self::Native)
    }

    /// What it means where nothing is asked.
    pub(super) fn usual(self) -> Usual {
        let plain = Usual {
            format: LiveFormat::PcmS16Le,
            rate: None,
            out_format: OutFormat::PcmS16le,
            listen: Listen::Caller,
            transcripts: Transcripts::Off,
            buffer_ms: None,
        };
        let pcm = |rate| Usual { rate: Some(rate), ..plain };
        let law = Usual { format: LiveFormat::Mulaw, out_format: OutFormat::Mulaw, ..pcm(8000) };
        match self {
            // The reference API tells transcripts without being asked.
            Self::Bare => Usual {
                format: LiveFormat::Auto,
                listen: Listen::None,
                transcripts: Transcripts::Final,
                ..plain
            },
            Self::Native => plain,
            Self::Twilio | Self::Telnyx | Self::Plivo => law,
            Self::Vonage | Self::Pipecat => pcm(16_000),
            Self::Jambonz => pcm(8000),
            // Its queue holds 1000 frames of 20 ms.
            Self::Asterisk | Self::AsteriskJson => Usual { buffer_ms: Some(20_000), ..law },
        }
    }

    /// Shares of the queue at which its clients expect to be told to stop and to go on.
    pub(super) fn water(self) -> Option<(f64, f64)> {
        match self {
            // 900 and 800 frames of 1000.
            Self::Asterisk | Self::AsteriskJson => Some((0.9, 0.8)),
            Self::Bare
            | Self::Native
            | Self::Twilio
            | Self::Vonage
            | Self::Telnyx
            | Self::Plivo
            | Self::Jambonz
            | Self::Pipecat => None,
        }
    }

    /// Whether the formats that were asked for can be said in it.
    ///
    /// # Errors
    /// [`QueryProblem`] for the first that cannot, with those that can.
    pub(super) fn check(self, asked: &StreamOptions) -> Result<(), QueryProblem> {
        let Some(carries) = self.carries() else { return Ok(()) };
        let usual = self.usual();
        let format = asked.format.unwrap_or(usual.format);
        let name = format.name();
        let law = carries.laws.contains(&name);
        let known =
            law || format == LiveFormat::PcmS16Le || format == LiveFormat::Mp3 && carries.mp3;
        if !known {
            let detail = format!("{name} is not of {}; use {}", self.as_str(), carries.names());
            return Err(QueryProblem::invalid("format", detail));
        }
        let rates = |law: bool, pcm: &'static [u32]| if law { &[8000][..] } else { pcm };
        let rate = asked.rate.or(usual.rate).unwrap_or(8000);
        let allowed = rates(law, carries.pcm_in);
        if format != LiveFormat::Mp3 && !allowed.contains(&rate) {
            let detail = format!("{} has {name} at {allowed:?} Hz", self.as_str());
            return Err(QueryProblem::invalid("rate", detail));
        }
        let (out_format, out_rate) = self.outward(asked, format, rate);
        let law = out_format != OutFormat::PcmS16le;
        let name = out_format.as_str();
        if law && !carries.laws.contains(&name) {
            let detail = format!("{name} is not of {}; use {}", self.as_str(), carries.names());
            return Err(QueryProblem::invalid("out_format", detail));
        }
        let allowed = rates(law, carries.pcm_out);
        if allowed.contains(&out_rate) {
            return Ok(());
        }
        let detail = format!("{} has {name} at {allowed:?} Hz", self.as_str());
        Err(QueryProblem::invalid("out_rate", detail))
    }

    /// Format and rate in Hz toward the client that come with what it sends.
    pub(super) fn outward(
        self,
        asked: &StreamOptions,
        format: LiveFormat,
        rate: u32,
    ) -> (OutFormat, u32) {
        let like = match format {
            LiveFormat::Mulaw => OutFormat::Mulaw,
            LiveFormat::Alaw => OutFormat::Alaw,
            LiveFormat::PcmS16Le => OutFormat::PcmS16le,
            LiveFormat::Auto
            | LiveFormat::PcmS16Be
            | LiveFormat::PcmF32Le
            | LiveFormat::Mp3
            | LiveFormat::Wav
            | LiveFormat::Opus
            | LiveFormat::Ogg => self.usual().out_format,
        };
        // What our own protocols are sent does not depend on what they send.
        let like = if self.is_dialect() { like } else { self.usual().out_format };
        let out_format = asked.out_format.unwrap_or(like);
        let law = self.is_dialect() && out_format != OutFormat::PcmS16le;
        let rate = if law { 8000 } else { out_rate_for(rate) };
        (out_format, asked.out_rate.unwrap_or(rate))
    }

    /// The formats that a dialect has names for; `None`: ours have names for all.
    fn carries(self) -> Option<Carries> {
        const TELEPHONE: &[u32] = &[8000, 16_000, 24_000];
        let pcm = Carries { laws: &[], pcm_in: TELEPHONE, pcm_out: TELEPHONE, mp3: false };
        Some(match self {
            Self::Bare | Self::Native => return None,
            Self::Twilio => Carries { laws: &["mulaw"], ..pcm },
            Self::Vonage => pcm,
            Self::Telnyx => Carries { laws: &["mulaw", "alaw"], mp3: true, ..pcm },
            Self::Plivo => Carries {
                laws: &["mulaw"],
                pcm_in: &[8000, 16_000],
                pcm_out: &[8000, 16_000],
                ..pcm
            },
            Self::Jambonz | Self::Pipecat => {
                Carries { pcm_in: &IN_RATES, pcm_out: &OUT_RATES, ..pcm }
            }
            Self::Asterisk | Self::AsteriskJson => Carries { laws: &["mulaw", "alaw"], ..pcm },
        })
    }
}

/// See [`Protocol::carries`].
struct Carries {
    /// G.711, at 8000 Hz.
    laws: &'static [&'static str],
    /// Rates of `pcm_s16le` from the client.
    pcm_in: &'static [u32],
    /// Rates of `pcm_s16le` toward it.
    pcm_out: &'static [u32],
    /// Whether a client may send MP3.
    mp3: bool,
}

impl Carries {
    fn names(&self) -> String {
        let mut names = self.laws.to_vec();
        names.push("pcm_s16le");
        if self.mp3 {
            names.push("mp3");
        }
        names.join(" or ")
    }
}

/// The highest rate toward the client that does not exceed the rate from it.
fn out_rate_for(rate: u32) -> u32 {
    OUT_RATES.into_iter().rev().find(|out| *out <= rate).unwrap_or(8000)
}

#[cfg(test)]
mod tests {
    use super::super::options::{QueryBlame, Settings};
    use super::*;

    fn read(query: &str, offered: &[&str]) -> Result<StreamOptions, QueryProblem> {
        let split = |pair: &str| pair.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()));
        let pairs: Vec<_> = query.split('&').filter_map(split).collect();
        StreamOptions::from_query(&pairs, offered)
    }

    /// Format and rate in, format and rate out, frame length.
    fn sound(query: &str) -> (&'static str, u32, &'static str, u32, u32) {
        let chosen = Settings::resolve(&read(query, &[]).unwrap(), 16_000, 60_000);
        let (out, ms) = (chosen.out_format.as_str(), chosen.frame_ms);
        (chosen.format.name(), chosen.rate, out, chosen.out_rate, ms)
    }

    #[test]
    fn each_dialect_has_the_sound_that_its_vendor_has() {
        let law = ("mulaw", 8000, "mulaw", 8000, 20);
        let pcm = |rate| ("pcm_s16le", rate, "pcm_s16le", rate, 20);
        for (query, expected) in [
            ("protocol=twilio", law),
            ("protocol=telnyx", law),
            ("protocol=plivo", law),
            ("protocol=asterisk", law),
            ("protocol=asterisk-json&format=alaw", ("alaw", 8000, "alaw", 8000, 20)),
            ("protocol=vonage", pcm(16_000)),
            ("protocol=vonage&rate=24000", pcm(24_000)),
            ("protocol=jambonz", pcm(8000)),
            ("protocol=jambonz&rate=48000", ("pcm_s16le", 48_000, "pcm_s16le", 24_000, 20)),
            ("protocol=pipecat", pcm(16_000)),
            ("protocol=twilio&format=pcm_s16le&rate=24000", pcm(24_000)),
            ("protocol=telnyx&format=mp3", ("mp3", 8000, "mulaw", 8000, 20)),
            (
                "protocol=telnyx&format=pcm_s16le&rate=16000&out_format=alaw",
                ("pcm_s16le", 16_000, "alaw", 8000, 20),
            ),
        ] {
            assert_eq!(sound(query), expected, "{query}");
        }
        let chosen = Settings::resolve(&read("protocol=asterisk", &[]).unwrap(), 16_000, 60_000);
        assert_eq!((chosen.buffer_ms, chosen.listen), (20_000, Listen::Caller));
    }

    #[test]
    fn what_a_dialect_cannot_say_is_refused_with_what_it_can() {
        for (query, parameter, part) in [
            ("protocol=twilio&format=alaw", "format", "mulaw or pcm_s16le"),
            ("protocol=twilio&format=mp3", "format", "mulaw"),
            ("protocol=twilio&rate=16000", "rate", "mulaw at [8000] Hz"),
            ("protocol=twilio&format=pcm_s16le&rate=48000", "rate", "24000"),
            ("protocol=vonage&format=mulaw", "format", "use pcm_s16le"),
            ("protocol=vonage&out_format=mulaw", "out_format", "pcm_s16le"),
            ("protocol=plivo&format=pcm_s16le&rate=24000", "rate", "16000"),
            ("protocol=twilio&out_format=mulaw&out_rate=16000", "out_rate", "[8000]"),
            ("protocol=jambonz&rate=11025", "rate", "48000"),
        ] {
            let problem = read(query, &[]).unwrap_err();
            assert_eq!(
                (problem.parameter.as_str(), problem.blame),
                (parameter, QueryBlame::Invalid)
            );
            assert!(problem.detail.contains(part), "{query}: {}", problem.detail);
        }
    }

    #[test]
    fn names_that_are_not_served_are_told_from_those_that_are_none() {
        for name in LATER {
            let problem = Protocol::by_name(name).unwrap_err();
            assert_eq!(problem.blame, QueryBlame::Unsupported);
            assert!(problem.detail.contains("twilio, vonage"), "{}", problem.detail);
        }
        assert_eq!(Protocol::by_name("carrier pigeon").unwrap_err().blame, QueryBlame::Invalid);
        for protocol in Protocol::ALL {
            assert_eq!(Protocol::by_name(protocol.as_str()), Ok(protocol));
        }
    }

    #[test]
    fn a_subprotocol_chooses_and_a_parameter_chooses_before_it() {
        let of = |query, offered: &[&str]| read(query, offered).unwrap().protocol;
        assert_eq!(of("", &["bearer.x", "audio.drachtio.org"]), Some(Protocol::Jambonz));
        assert_eq!(of("", &["audio.jambonz.org"]), Some(Protocol::Jambonz));
        assert_eq!(of("", &["media"]), Some(Protocol::Asterisk));
        assert_eq!(of("", &[SUBPROTOCOL]), Some(Protocol::Native));
        assert_eq!(of("protocol=asterisk-json", &["media"]), Some(Protocol::AsteriskJson));
        assert_eq!(of("protocol=twilio&transcripts=final", &[]), Some(Protocol::Twilio));
        assert_eq!(of("", &["chat"]), None);
    }

    #[test]
    fn formats_of_the_create_request_are_for_its_own_protocol() {
        let call = read("rate=24000&format=pcm_s16le&frame_ms=60", &[]).unwrap();
        let twilio = read("protocol=twilio", &[]).unwrap().or(&call);
        assert_eq!((twilio.format, twilio.rate, twilio.frame_ms), (None, None, Some(60)));
        let call = read("protocol=twilio&format=pcm_s16le&rate=16000", &[]).unwrap();
        let same = read("", &[]).unwrap().or(&call);
        assert_eq!((same.protocol, same.rate), (Some(Protocol::Twilio), Some(16_000)));
    }
}
