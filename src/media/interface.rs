//! What a media leg is told and what it tells: the seam between `media` and its users.
//!
//! Positions are counts of samples since the ring was made, at the leg's sample rate. The playout
//! position counts every sample that ever went *into* the playout ring; a sample is *played* when
//! its RTP packet was handed to the socket. The capture position is the caller's media clock.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What both sides agreed on, as media needs it. Made from `sdp::Negotiated`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaParams {
    /// The codec of both directions.
    pub codec: crate::audio::codec::CodecId,
    /// Its payload type as we must send it.
    pub payload_type: u8,
    /// Payload type of telephone-event that we must send, and accept.
    pub telephone_event: Option<u8>,
    /// Audio per packet that we send.
    pub ptime: Duration,
    /// Where RTP goes.
    pub remote_rtp: SocketAddr,
    /// Where RTCP goes.
    pub remote_rtcp: SocketAddr,
    /// Whether we may send audio (not `recvonly`/`inactive` from our side).
    pub send: bool,
    /// Whether the peer may send audio.
    pub receive: bool,
    /// Whether RTCP goes and comes on the RTP port (RFC 5761).
    pub rtcp_mux: bool,
    /// Whether the peer takes comfort noise packets of payload type 13 from us.
    pub comfort_noise: bool,
    /// What the peer may send besides, by our own numbers.
    pub accepts: crate::sdp::Accepts,
}

impl From<&crate::sdp::Negotiated> for MediaParams {
    fn from(agreed: &crate::sdp::Negotiated) -> Self {
        Self {
            codec: agreed.codec,
            payload_type: agreed.payload_type,
            telephone_event: agreed.telephone_event,
            ptime: agreed.ptime,
            remote_rtp: agreed.remote_rtp,
            remote_rtcp: agreed.remote_rtcp,
            send: agreed.direction.send,
            receive: agreed.direction.receive,
            rtcp_mux: agreed.rtcp_mux,
            comfort_noise: agreed.comfort_noise,
            accepts: agreed.accepts,
        }
    }
}

/// When a sample of the caller is heard, by whoever plays the capture ring to a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Its capture position.
    pub position: u64,
    /// When it must be in the ring.
    pub at: Instant,
}

impl Due {
    /// The same for another position, at this many samples per second.
    #[must_use]
    pub fn moment(self, position: u64, sample_rate: u32) -> Option<Instant> {
        let samples = position.abs_diff(self.position);
        let time = samples.saturating_mul(1_000_000) / u64::from(sample_rate.max(1));
        let time = Duration::from_micros(time);
        if position >= self.position {
            self.at.checked_add(time)
        } else {
            self.at.checked_sub(time)
        }
    }

    /// Whether the other says the same, but for so much time.
    #[must_use]
    pub fn is_near(self, other: Self, sample_rate: u32, slack: Duration) -> bool {
        let Some(at) = other.moment(self.position, sample_rate) else { return false };
        at.max(self.at).saturating_duration_since(at.min(self.at)) <= slack
    }
}

/// How long the fade of a clear is unless somebody asks otherwise.
pub const CLEAR_FADE: Duration = Duration::from_millis(5);

/// What a leg is told. Never blocks, never allocates in the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// The (new) agreement: starts sending if `send`, and locks the source rules to its address.
    /// Keys that are in force stay in force; `LegControl::agree` brings others. Ignored, and
    /// counted, when the leg was not opened for the codec.
    Update(MediaParams),
    /// Tell when the sample at this playout position has left.
    Watch {
        /// Playout position; reached when all samples before it are played.
        position: u64,
        /// Comes back in [`Event::Reached`].
        token: u32,
    },
    /// Nothing more follows at this playout position for the time being: an empty ring there is
    /// no underrun, and a partial last frame is padded at once.
    End {
        /// Playout position.
        position: u64,
    },
    /// Throw away what is queued before this playout position, after a fade.
    Clear {
        /// Playout position up to which the ring is dropped.
        up_to: u64,
        /// Comes back in [`Event::Cleared`].
        token: u32,
        /// How long the fade is, at most 100 ms; of clears that meet, that of the first counts.
        fade: Duration,
    },
    /// Stop taking from the ring (silence goes out) or go on.
    Pause(bool),
    /// What is replaced by silence, within 5 ms; playing, hearing and positions go on, and digits
    /// are sent and told all the same.
    Mute {
        /// What goes to the far end.
        playout: bool,
        /// What goes into the capture ring.
        capture: bool,
    },
    /// How loud what comes from the ring is; a clear sets it back to 100.
    Level {
        /// Of full level: 100 leaves samples alone, 20 is -14 dB.
        percent: u8,
        /// How long the change takes.
        ramp: Duration,
    },
    /// Whether the background of the leg, if it has one, is heard; it fades within 150 ms.
    Background(bool),
    /// Add a tone of the network, made by us, to what goes out, from its beginning; or none.
    Tone(Option<crate::audio::progress::Tone>),
    /// Send digits: by RFC 4733 if negotiated, else as tones in the audio (not at all, with an
    /// event, when we may not send).
    Dtmf {
        /// Up to 32 of `0-9*#A-D`, zero-filled at the end.
        digits: [u8; 32],
        /// Length of each tone.
        duration: Duration,
        /// Pause between tones.
        gap: Duration,
    },
    /// Whether digits go and are heard as tones in the audio even if RFC 4733 was negotiated.
    DigitsInband(bool),
    /// Whether caller audio goes into the capture ring.
    Listen(bool),
    /// Whether what is sent goes into the monitor ring, if the leg has been given one.
    Monitor(bool),
    /// A hole is declared when it is heard; `None`: as soon as the hole window has passed.
    Due(Option<Due>),
    /// No RTP and no RTCP for this long makes [`Event::Quiet`] (repeated); zero: never.
    QuietAfter(Duration),
}

/// What a leg tells.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Event {
    /// The watched playout position has been played.
    Reached {
        /// From [`Command::Watch`].
        token: u32,
        /// The position.
        position: u64,
    },
    /// A clear took effect: no sample from `played_to` up to its `up_to` was or will be sent.
    /// Watches beyond `played_to` up to `up_to` are forgotten without [`Event::Reached`].
    Cleared {
        /// From [`Command::Clear`].
        token: u32,
        /// First playout position that was not played (fade included in what was).
        played_to: u64,
        /// Samples thrown away.
        discarded: u64,
    },
    /// The ring ran empty before an announced end; silence of this many samples was sent.
    Underrun {
        /// Samples of fill so far in this gap, told once when sound comes back.
        samples: u32,
    },
    /// A digit from the caller, once, at its end.
    Dtmf {
        /// One of `0-9*#A-D` as ASCII.
        digit: u8,
        /// How long it was held.
        duration_ms: u32,
        /// Capture position of its start.
        position: u64,
        /// Heard in the audio (which still holds it), not told by RFC 4733.
        inband: bool,
    },
    /// All digits of a [`Command::Dtmf`] are out (`sent`), or none could be (`!sent`).
    DtmfDone {
        /// Whether they went out.
        sent: bool,
    },
    /// The first valid RTP packet of a source arrived (again after a source change).
    Flowing {
        /// The source that is locked.
        remote: SocketAddr,
        /// Its SSRC.
        ssrc: u32,
    },
    /// Nothing was received for [`Command::QuietAfter`].
    Quiet {
        /// For how long.
        silent: Duration,
    },
}

/// One stretch of caller audio in the capture ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Capture position of its first sample.
    pub position: u64,
    /// Number of samples that belong to it.
    pub samples: u16,
    /// Where they came from.
    pub kind: FrameKind,
}

/// Where the samples of a frame came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// A packet, decoded.
    Packet,
    /// Concealment of a lost packet.
    Concealed,
    /// Silence of the sender (DTX, comfort noise, or a digit muted out).
    Silence,
}

/// How the receive side waits for late packets; from the `[jitter]` section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JitterSpec {
    /// First value of the hole window.
    pub hole_wait: Duration,
    /// Its lower bound.
    pub hole_wait_min: Duration,
    /// Its upper bound.
    pub hole_wait_max: Duration,
}

/// What is sent while there is nothing to hear; from the `[rtp]` section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SilencePolicy {
    /// Packets of silence, always: what most networks expect.
    #[default]
    Packets,
    /// Comfort noise packets (RFC 3389), if the peer takes them; else [`Self::Packets`].
    Cn,
    /// Nothing.
    Suppress,
}

/// How a leg is silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SilenceSpec {
    /// What is sent.
    pub policy: SilencePolicy,
    /// Level of the noise in its place, in dBov (-127 to 0); without one it is digital silence.
    pub comfort_noise_dbov: Option<i8>,
}

/// A track that plays beneath everything that a leg sends.
#[derive(Clone, PartialEq)]
pub struct BackgroundSpec {
    /// Mono at the leg's rate, a loop without a seam, shared by all legs that play it.
    pub samples: std::sync::Arc<[i16]>,
    /// Its gain, at most 0 dB.
    pub gain_db: f32,
    /// How much quieter it is while something is said, in dB.
    pub duck_db: f32,
}

impl std::fmt::Debug for BackgroundSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A minute of samples helps nobody.
        f.debug_struct("BackgroundSpec")
            .field("samples", &self.samples.len())
            .finish_non_exhaustive()
    }
}

/// What becomes of a leg's sound on its last way to the codec.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SendSpec {
    /// How it is silent.
    pub silence: SilenceSpec,
    /// Whether everything below 120 Hz is cut off.
    pub low_cut: bool,
    /// What plays beneath.
    pub background: Option<BackgroundSpec>,
}

/// A snapshot of a leg's counters; all counts are since the leg was opened.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize)]
pub struct LegReport {
    /// RTP packets received and used.
    pub rx_packets: u64,
    /// Packets that never came and were restored from what later ones repeated (RFC 2198).
    pub rx_restored: u64,
    /// Packets missing for good.
    pub rx_lost: u64,
    /// Duplicates.
    pub rx_duplicate: u64,
    /// Packets that came out of order but in time.
    pub rx_reordered: u64,
    /// Packets that came after their hole was concealed.
    pub rx_late: u64,
    /// Packets refused: wrong source, malformed, unknown payload type.
    pub rx_refused: u64,
    /// How long a hole is waited for unless it is heard earlier, as learnt from the order of
    /// packets, in microseconds.
    pub rx_hole_wait_us: u64,
    /// Interarrival jitter, RFC 3550 §6.4.1, in microseconds.
    pub rx_jitter_us: u64,
    /// Milliseconds of concealment.
    pub rx_concealed_ms: u64,
    /// Packets that were due behind the jitter buffer.
    pub rx_due: u64,
    /// Those of them that were not there in time: concealed.
    pub rx_missing: u64,
    /// Runs of these without a packet between.
    pub rx_missing_runs: u64,
    /// Samples dropped because the capture ring was full.
    pub rx_overrun_samples: u64,
    /// SRTP and SRTCP packets whose tag did not verify, plain ones among them; nothing else of
    /// them was looked at.
    pub rx_bad_tags: u64,
    /// SRTP and SRTCP packets that were replayed, or older than the window.
    pub rx_replayed: u64,
    /// RTP packets sent.
    pub tx_packets: u64,
    /// Payload octets sent.
    pub tx_octets: u64,
    /// Samples from the playout ring that were sent.
    pub tx_played_samples: u64,
    /// Packets whose send failed.
    pub tx_failed: u64,
    /// Times the ring ran empty before an announced end.
    pub tx_underruns: u64,
    /// Ticks in which nothing was sent because there was nothing to hear.
    pub tx_suppressed: u64,
    /// Ticks run late by more than a ptime and skipped.
    pub tx_skipped: u64,
    /// Median lateness of sends against the beat, in microseconds.
    pub tx_late_p50_us: u64,
    /// 99th percentile of the same.
    pub tx_late_p99_us: u64,
    /// Packets of ours that the peer has lost so far, as its last RTCP report says.
    pub remote_lost: u64,
    /// Fraction lost as the peer's last RTCP report says, in 1/256.
    pub remote_fraction_lost: u64,
    /// The peer's jitter from its last report, in microseconds.
    pub remote_jitter_us: u64,
    /// Round-trip time by RTCP, in microseconds; 0: not known.
    pub rtt_us: u64,
    /// Conversational quality of what we receive by G.107, 1 to 4.41; 0: not known yet.
    pub mos_rx: f64,
    /// The same of what the peer receives, from its reports; 0: not known.
    pub mos_tx: f64,
    /// As the peer itself says it by RTCP XR; 0: it does not.
    pub mos_told: f64,
    /// When the last packet came, in milliseconds since the leg was opened; 0: never.
    pub rx_last_ms: u64,
}
