//! The attached client: what waits to be sent to it, how fast it may talk, whether it lives.
//!
//! ```text
//!  told ─> texts (bounded) ─┐
//!  capture ring ─> outlet ──┼─> next_message ─> socket
//!  ping, farewell, close ───┘
//! ```
//!
//! Owns order and bounds of what goes out: text first, then frames, then the last words and the
//! close. A client that does not read costs at most the backlog of the outlet and the texts; then
//! it is let go. Does not touch the socket.

use super::budget::Budget;
use super::dialect::{self, Dialect, Heard};
use super::options::{Listen, Settings};
use super::outlet::Outlet;
use super::seat::{CloseCode, Incoming, Outgoing, StreamRights};
use super::wire::{Stamp, Told};
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A moment by both clocks: for what is measured, and for what is labelled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// The monotonic clock.
    pub(super) at: Instant,
    /// Milliseconds since the Unix epoch.
    pub(super) unix_ms: i64,
}

/// Texts that may wait for a client that does not read.
const TEXTS_MAX: usize = 8192;
/// Their length together.
const TEXT_OCTETS_MAX: usize = 1 << 20;
/// How often a sign of life is asked for.
const PING_EVERY: Duration = Duration::from_secs(15);
/// How long it may take.
const PONG_WITHIN: Duration = Duration::from_secs(10);
/// How long the close handshake may take.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);
/// Faults of the client's text after which the stream ends.
const FAULTS_MAX: u32 = 64;
/// Messages a second at a steady pace; 32 kHz of single octets just pass.
const MESSAGES_PER_S: u32 = 32_000;
/// Text messages a second at a steady pace.
const TEXTS_PER_S: u32 = 500;
/// Octets a second at a steady pace: 20 times 48 kHz float.
const OCTETS_PER_S: u32 = 4 << 20;

/// How a conversation is being ended.
#[derive(Debug)]
struct Farewell {
    code: CloseCode,
    reason: &'static str,
    /// What goes behind the last frame; written then, since some number their messages.
    last: VecDeque<(Told, Stamp)>,
    give_up_at: Instant,
    closed: bool,
}

/// One client from attach to detach.
pub(super) struct Client {
    /// What was agreed.
    pub(super) settings: Settings,
    /// What its key permits.
    pub(super) rights: StreamRights,
    /// Caller audio, if it listens.
    pub(super) outlet: Option<Outlet>,
    /// What of its last message has not been taken up.
    pub(super) heard: VecDeque<Heard>,
    /// The rest of its audio that is being decoded.
    pub(super) pending: Bytes,
    /// Nothing is read before this.
    pub(super) mute_until: Option<Instant>,
    /// When `stats` is due, if the client wishes it.
    pub(super) stats_at: Option<Instant>,
    attached_at: Instant,
    dialect: Box<dyn Dialect>,
    seq: u64,
    texts: VecDeque<Outgoing>,
    text_octets: usize,
    farewell: Option<Farewell>,
    ping_at: Instant,
    pong_by: Option<Instant>,
    ping: bool,
    faults: u32,
    messages: Budget,
    commands: Budget,
    octets: Budget,
}

impl Client {
    /// A client that just sat down at a leg of this rate in Hz.
    pub(super) fn new(
        settings: Settings,
        rights: StreamRights,
        leg_rate: u32,
        now: Instant,
    ) -> Self {
        let outlet = match settings.listen {
            Listen::None => None,
            Listen::Caller => Outlet::new(&settings, leg_rate),
        };
        Self {
            settings,
            rights,
            outlet,
            heard: VecDeque::new(),
            pending: Bytes::new(),
            mute_until: None,
            stats_at: None,
            attached_at: now,
            dialect: dialect::open(settings.protocol),
            seq: 0,
            texts: VecDeque::new(),
            text_octets: 0,
            farewell: None,
            ping_at: now + PING_EVERY,
            pong_by: None,
            ping: false,
            faults: 0,
            messages: Budget::per_second(MESSAGES_PER_S, Duration::from_secs(1), now),
            commands: Budget::per_second(TEXTS_PER_S, Duration::from_secs(10), now),
            octets: Budget::per_second(OCTETS_PER_S, Duration::from_secs(4), now),
        }
    }

    /// Reads a message into [`Self::heard`].
    pub(super) fn read(&mut self, message: Incoming) {
        self.dialect.read(message, &mut self.heard);
    }

    /// Longest text message that it may send, in octets.
    pub(super) fn text_max(&self) -> usize {
        self.dialect.text_max()
    }

    /// Queues a message; a client that lets too many pile up is let go.
    pub(super) fn tell(&mut self, told: &Told, now: Moment) {
        self.tell_as_of(told, now, now.unix_ms);
    }

    /// The same for something that happened earlier.
    pub(super) fn tell_as_of(&mut self, told: &Told, now: Moment, unix_ms: i64) {
        if self.farewell.is_some() {
            return;
        }
        let before = self.texts.len();
        let stamp = self.stamp(now.at, unix_ms);
        self.dialect.tell(told, stamp, &mut self.texts);
        self.seq += u64::from(self.texts.len() > before);
        self.text_octets += self.texts.iter().skip(before).map(Outgoing::octets).sum::<usize>();
        if self.texts.len() > TEXTS_MAX || self.text_octets > TEXT_OCTETS_MAX {
            self.texts.clear();
            self.text_octets = 0;
            self.close(CloseCode::SlowConsumer, "messages are not read", now.at);
        }
    }

    /// Counts a fault of the client; too many end the stream.
    pub(super) fn fault(&mut self, now: Moment) {
        self.faults += 1;
        if self.faults > FAULTS_MAX {
            let detail = "too many messages that are not of this protocol".to_owned();
            let told = Told::Error { id: None, code: "protocol", detail, fatal: true };
            self.tell(&told, now);
            self.close(CloseCode::Protocol, "not this protocol", now.at);
        }
    }

    /// Ends the conversation: what is queued goes out, then the close; frames do not.
    pub(super) fn close(&mut self, code: CloseCode, reason: &'static str, now: Instant) {
        self.outlet = None;
        self.say_farewell(code, reason, VecDeque::new(), now);
    }

    /// Ends the conversation in order: all frames, then `last`, then close 1000.
    pub(super) fn finish(&mut self, last: &[Told], now: Moment) {
        let mut words = VecDeque::new();
        for told in last {
            words.push_back((told.clone(), self.stamp(now.at, now.unix_ms)));
            self.seq += 1;
        }
        if let Some(outlet) = &mut self.outlet {
            outlet.finish();
        }
        self.say_farewell(CloseCode::Normal, "", words, now.at);
    }

    /// Whether the conversation is being ended.
    pub(super) fn is_closing(&self) -> bool {
        self.farewell.is_some()
    }

    /// The number of the last message that was handed to the socket.
    pub(super) fn handed_over(&self) -> u64 {
        self.seq - self.texts.len() as u64
    }

    /// How we end the conversation, if we do.
    pub(super) fn farewell(&self) -> Option<CloseCode> {
        self.farewell.as_ref().map(|farewell| farewell.code)
    }

    /// The next message for the socket, while there is one.
    pub(super) fn next_message(&mut self, now: Moment) -> Option<Outgoing> {
        if self.farewell.as_ref().is_some_and(|farewell| farewell.closed) {
            return None;
        }
        if std::mem::take(&mut self.ping) {
            return Some(Outgoing::Ping);
        }
        if let Some(text) = self.texts.pop_front() {
            self.text_octets -= text.octets();
            return Some(text);
        }
        if let Some(frame) = self.outlet.as_mut().and_then(Outlet::next_frame) {
            return Some(self.frame(frame, now));
        }
        self.farewell.as_ref()?;
        if let Some(frame) = self.outlet.as_mut().and_then(Outlet::last_frame) {
            return Some(self.frame(frame, now));
        }
        while let Some((told, stamp)) = self.farewell.as_mut()?.last.pop_front() {
            let mut texts = VecDeque::new();
            self.dialect.tell(&told, stamp, &mut texts);
            if let Some(text) = texts.pop_front() {
                self.text_octets += texts.iter().map(Outgoing::octets).sum::<usize>();
                self.texts.append(&mut texts);
                return Some(text);
            }
        }
        let farewell = self.farewell.as_mut()?;
        farewell.closed = true;
        Some(Outgoing::Close(farewell.code, farewell.reason))
    }

    /// Notes a sign of life and a message, and mutes a client that talks too fast.
    ///
    /// Returns whether it was muted by this message.
    pub(super) fn hear(&mut self, octets: usize, is_text: bool, now: Instant) -> bool {
        self.pong_by = None;
        let octets = u32::try_from(octets).unwrap_or(u32::MAX);
        let over = [
            self.messages.take(1, now),
            self.octets.take(octets, now),
            if is_text { self.commands.take(1, now) } else { None },
        ];
        let until = over.into_iter().flatten().max();
        self.mute_until = until.max(self.mute_until);
        until.is_some()
    }

    /// Whether the next message may be read.
    pub(super) fn may_read(&self, now: Instant) -> bool {
        self.pending.is_empty()
            && self.heard.is_empty()
            && self.mute_until.is_none_or(|until| until <= now)
    }

    /// Does what is due; `false` when the client must be given up.
    pub(super) fn on_time(&mut self, now: Instant) -> bool {
        self.mute_until = self.mute_until.filter(|until| *until > now);
        if let Some(farewell) = &self.farewell {
            return now < farewell.give_up_at;
        }
        if self.pong_by.is_some_and(|by| by <= now) {
            return false;
        }
        if self.ping_at <= now {
            self.ping_at = now + PING_EVERY;
            self.ping = true;
            self.pong_by = self.pong_by.or(Some(now + PONG_WITHIN));
        }
        true
    }

    /// When [`Self::on_time`] has something to do.
    pub(super) fn deadline(&self) -> Instant {
        let next = match &self.farewell {
            Some(farewell) => farewell.give_up_at,
            None => self.pong_by.unwrap_or(self.ping_at).min(self.ping_at),
        };
        [self.mute_until, self.stats_at].into_iter().flatten().fold(next, Instant::min)
    }

    fn say_farewell(
        &mut self,
        code: CloseCode,
        reason: &'static str,
        last: VecDeque<(Told, Stamp)>,
        now: Instant,
    ) {
        self.pending = Bytes::new();
        self.heard.clear();
        if self.farewell.is_none() {
            let give_up_at = now + CLOSE_WITHIN;
            self.farewell = Some(Farewell { code, reason, last, give_up_at, closed: false });
        }
    }

    fn frame(&mut self, octets: Bytes, now: Moment) -> Outgoing {
        let stamp = self.stamp(now.at, now.unix_ms);
        self.dialect.frame(octets, stamp)
    }

    /// For what is told next.
    fn stamp(&self, now: Instant, unix_ms: i64) -> Stamp {
        let t_ms = now.duration_since(self.attached_at).as_millis();
        Stamp { seq: self.seq + 1, t_ms: u64::try_from(t_ms).unwrap_or(u64::MAX), unix_ms }
    }
}
