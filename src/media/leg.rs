//! Stub of the leg: the shape that `worker` drives.

use super::interface::{Command, Event, JitterSpec};
use super::ring::{self, CaptureReader, PlayoutWriter};
use super::stats::LegStats;
use super::worker::StartRule;
use crate::audio::codec::CodecId;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A leg later than this gives the beat up.
pub const LATE_MAX: Duration = Duration::from_millis(60);

/// What a leg is made of.
#[derive(Debug, Clone)]
pub struct LegConfig {
    /// Codec that is expected.
    pub codec: CodecId,
    /// Canonical name in RTCP.
    pub cname: String,
    /// Draws SSRC, first sequence number and first timestamp.
    pub seed: u64,
    /// Receive side.
    pub jitter: JitterSpec,
    /// Send side.
    pub start: StartRule,
    /// Size of the playout ring.
    pub playout: Duration,
    /// Size of the capture ring.
    pub capture: Duration,
    /// Wall clock at the opening, since 1970.
    pub opened_unix: Duration,
}

/// What a tick wants sent.
#[derive(Debug, Default)]
pub struct Outgoing {}

impl Outgoing {
    /// An RTP packet.
    pub fn rtp(&self) -> Option<(&[u8], SocketAddr)> {
        None
    }

    /// An RTCP packet.
    pub fn rtcp(&self) -> Option<(&[u8], SocketAddr)> {
        None
    }
}

/// A leg.
pub struct Leg {}

impl Leg {
    /// Opens a leg.
    pub fn open(
        now: Instant,
        config: LegConfig,
        stats: Arc<LegStats>,
    ) -> (Self, PlayoutWriter, CaptureReader) {
        let _ = (now, config, stats);
        let (playout, _) = ring::playout(16_000);
        let (_, capture) = ring::capture(64, 64 * 160);
        (Self {}, playout, capture)
    }

    /// Obeys.
    pub fn handle_command(&mut self, now: Instant, command: Command) {
        let _ = (now, command);
    }

    /// Receives.
    pub fn handle_rtp(&mut self, now: Instant, bytes: &[u8], from: SocketAddr) {
        let _ = (now, bytes, from);
    }

    /// Receives.
    pub fn handle_rtcp(&mut self, now: Instant, bytes: &[u8], from: SocketAddr) {
        let _ = (now, bytes, from);
    }

    /// Beats.
    pub fn tick(&mut self, due: Instant, now: Instant, out: &mut Outgoing) {
        let _ = (due, now, out);
    }

    /// Hears whether the packet went out.
    pub fn handle_sent(&mut self, taken: bool) {
        let _ = taken;
    }

    /// Says goodbye.
    pub fn close(&mut self, now: Instant, out: &mut Outgoing) {
        let _ = (now, out);
    }

    /// Tells.
    pub fn poll_event(&mut self) -> Option<Event> {
        None
    }

    /// Whether the rings are worth looking at.
    pub fn ready(&self) -> bool {
        false
    }

    /// Forgets that.
    pub fn clear_ready(&mut self) {}

    /// Time between beats.
    pub fn period(&self) -> Duration {
        Duration::from_millis(20)
    }
}
