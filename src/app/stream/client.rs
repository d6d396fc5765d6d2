//! A client: what waits to be sent to it, how fast it may talk, whether it lives.
//!
//! ```text
//!  told ─> Outbox (bounded) ─┐
//!  sound ─> outlet ──────────┼─> next_message ─> socket
//!  ping, farewell, close ────┘
//! ```
//!
//! Owns order and bounds of what goes out: text first, then frames, then the last words and the
//! close. A client that does not read costs at most the backlog of the outlet and the texts; then
//! it is let go. One that may come back is kept without its socket: numbers, what it was told and
//! what it was sent go on. Does not touch the socket.

use super::budget::{Budget, Hush};
use super::dialect::{self, Dialect, Heard};
use super::options::{Protocol, Resume, Settings, Transcripts};
use super::outbox::Outbox;
use super::outlet::{Frame, Outlet};
use super::resume::Token;
use super::seat::{CloseCode, Incoming, Outgoing, StreamRights};
use super::wire::{CommandId, OutWish, Replayed, Stamp, Told};
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

/// How often a sign of life is asked for.
const PING_EVERY: Duration = Duration::from_secs(15);
/// How long it may take.
const PONG_WITHIN: Duration = Duration::from_secs(10);
/// How often a client that may come back is asked, by a ping, whether its sound has arrived.
const PROOF_EVERY: Duration = Duration::from_secs(1);
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
    /// What waits is not said any more.
    abrupt: bool,
    closed: bool,
}

/// What is known of how much has arrived.
#[derive(Debug, Default)]
struct Proof {
    /// Samples that were sent before a ping that is not answered.
    asked: Option<u64>,
    /// The next ping of this kind is not sent before.
    not_before: Option<Instant>,
    /// Answers so far on this socket.
    pongs: u64,
}

/// One conversation, from its first attach to its end.
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
    stats_at: Option<Instant>,
    /// It is, and has not been told.
    pub(super) stats_due: bool,
    /// Octets of its audio that were taken.
    pub(super) received: u64,
    /// For audio that it may not send.
    pub(super) refused_hush: Hush,
    dropped_hush: Hush,
    /// By this it goes on when it has lost its socket.
    token: Option<Token>,
    /// It has lost its socket.
    away: bool,
    began: Instant,
    dialect: Box<dyn Dialect>,
    outbox: Outbox,
    /// On its way into the outbox.
    parts: VecDeque<Outgoing>,
    proof: Proof,
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
        Self {
            settings,
            rights,
            outlet: Outlet::new(&settings, leg_rate),
            heard: VecDeque::new(),
            pending: Bytes::new(),
            mute_until: None,
            stats_at: None,
            stats_due: false,
            received: 0,
            refused_hush: Hush::default(),
            dropped_hush: Hush::default(),
            token: None,
            away: false,
            began: now,
            dialect: dialect::open(&settings),
            outbox: Outbox::new(false),
            parts: VecDeque::new(),
            proof: Proof::default(),
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

    /// Offers to go on after a loss, where the protocol has words for it; call before anything is
    /// told. Gives the offer.
    pub(super) fn offer(&mut self, token: Token) -> Option<Token> {
        if self.settings.protocol != Protocol::Native {
            return None;
        }
        self.token = Some(token);
        self.outbox = Outbox::new(true);
        if let Some(outlet) = &mut self.outlet {
            outlet.keep(self.settings.out_rate);
        }
        self.token
    }

    /// The token that was offered.
    pub(super) fn token(&self) -> Option<Token> {
        self.token
    }

    /// The socket is gone; what is told and heard from here on waits for the next one.
    pub(super) fn leave(&mut self, now: Instant) {
        self.away = true;
        self.outbox.bound();
        if let Some(outlet) = &mut self.outlet {
            outlet.leave_alone();
        }
        self.settle_down(now);
    }

    /// There is a socket again, of a client that has what it says.
    pub(super) fn come_back(&mut self, resume: &Resume, now: Instant) -> Replayed {
        self.away = false;
        self.settle_down(now);
        let missed = self.outbox.rewind(resume.since);
        let heard = self.outlet.as_mut().map(|outlet| outlet.come_back(resume.heard));
        let again = heard.map(|(again, _)| again);
        Replayed {
            since: resume.since.min(self.outbox.seq()),
            events: missed.events,
            lost_events: missed.lost,
            from_sample: again.map_or(0, |again| again.from),
            samples: again.map_or(0, |again| again.samples),
            waiting_samples: heard.map_or(0, |(_, waiting)| waiting),
            lost_samples: again.map_or(0, |again| again.lost),
            received_octets: self.received,
        }
    }

    /// What belonged to a socket is as at the beginning.
    fn settle_down(&mut self, now: Instant) {
        self.heard.clear();
        self.pending = Bytes::new();
        self.mute_until = None;
        self.proof = Proof::default();
        self.farewell = None;
        (self.ping_at, self.pong_by, self.ping) = (now + PING_EVERY, None, false);
        self.faults = 0;
        self.messages = Budget::per_second(MESSAGES_PER_S, Duration::from_secs(1), now);
        self.commands = Budget::per_second(TEXTS_PER_S, Duration::from_secs(10), now);
        self.octets = Budget::per_second(OCTETS_PER_S, Duration::from_secs(4), now);
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
        let may_come_back = self.token.is_some();
        if (self.farewell.is_some() && !may_come_back) || !self.wants(told) {
            return;
        }
        let stamp = self.stamp(now.at, unix_ms);
        self.dialect.tell(told, stamp, &mut self.parts);
        self.outbox.push(&mut self.parts);
        if self.away || self.farewell.is_some() {
            self.outbox.bound();
        } else if self.outbox.is_overfull() {
            self.close(CloseCode::SlowConsumer, "messages are not read", now.at);
            if let Some(farewell) = &mut self.farewell {
                farewell.abrupt = true;
            }
        }
    }

    /// Says something that belongs to this socket alone, before what waits: it has no number of its
    /// own, but that of the last message which the client has.
    pub(super) fn tell_first(&mut self, told: &Told, seq: u64, now: Moment) {
        let stamp = Stamp { seq, ..self.stamp(now.at, now.unix_ms) };
        self.dialect.tell(told, stamp, &mut self.parts);
        self.outbox.push_head(&mut self.parts);
    }

    /// Whether the client asked to be told such things.
    fn wants(&self, told: &Told) -> bool {
        let words = match (told, self.settings.transcripts) {
            (Told::Transcript(_), Transcripts::Off) => self.settings.hears_lines,
            (Told::Transcript(heard), Transcripts::Final) => heard.is_final,
            (_, Transcripts::Off | Transcripts::Final | Transcripts::Partial) => true,
        };
        words && self.settings.events.passes(told)
    }

    /// Frames from here on have another form; what was left of the old one goes before what is told
    /// next. `false` when there is nothing to be sent, or the rates cannot be converted.
    pub(super) fn reshape(&mut self, wish: OutWish, now: Moment) -> bool {
        let mut settings = self.settings;
        settings.out_format = wish.format.unwrap_or(settings.out_format);
        settings.out_rate = wish.rate.unwrap_or(settings.out_rate);
        settings.frame_ms = wish.frame_ms.unwrap_or(settings.frame_ms);
        let reshaped = self.outlet.as_mut().map(|outlet| outlet.reshape(&settings));
        let Some(Ok(rest)) = reshaped else { return false };
        self.settings = settings;
        if let Some(octets) = rest {
            let frame = self.frame(Frame { octets, again: None }, now);
            self.parts.push_back(frame);
            self.outbox.push_unnumbered(&mut self.parts);
        }
        true
    }

    /// Whether `stats` is due; the first is one interval behind the beginning, and missed ones are
    /// not made up for.
    pub(super) fn is_stats_due(&mut self, now: Instant) -> bool {
        let Some(every) = self.settings.stats else { return false };
        if self.stats_at.is_none_or(|at| at <= now) {
            let first = self.stats_at.replace(now + every).is_none();
            self.stats_due = !first && self.farewell.is_none();
        }
        self.stats_due
    }

    /// Answers a command that is done.
    pub(super) fn tell_done(&mut self, id: Option<CommandId>, now: Moment) {
        if let Some(id) = id {
            self.tell(&Told::Ack { id, recording: None }, now);
        }
    }

    /// Tells what was dropped of its sound, at the leg's rate in Hz.
    pub(super) fn warn_of_drops(&mut self, rate: u64, now: Moment) {
        let Some(outlet) = self.outlet.as_mut().filter(|outlet| outlet.has_dropped()) else {
            return;
        };
        if self.dropped_hush.may_speak(now.at) {
            let dropped_ms = Some(outlet.take_dropped() * 1000 / rate.max(1));
            let detail = "caller audio was not read in time, the oldest is gone".to_owned();
            let hint = Some("read faster, or ask for longer frames");
            self.tell(&Told::Warning { code: "dropped", detail, hint, dropped_ms }, now);
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

    /// Ends the conversation in order: all frames, then `last`, then the close.
    pub(super) fn finish(&mut self, last: &Told, code: CloseCode, now: Moment) {
        let words = VecDeque::from([(last.clone(), self.stamp(now.at, now.unix_ms))]);
        if let Some(outlet) = &mut self.outlet {
            outlet.finish();
        }
        let reason = if code == CloseCode::GoingAway { "the gateway stops" } else { "" };
        self.say_farewell(code, reason, words, now.at);
    }

    /// Why the client was shown the door, if it was.
    pub(super) fn shown_out(&self) -> Option<&'static str> {
        match self.farewell.as_ref()?.code {
            CloseCode::Normal | CloseCode::GoingAway => None,
            CloseCode::TooBig => Some("too_big"),
            CloseCode::Protocol => Some("protocol"),
            CloseCode::Policy => Some("revoked"),
            CloseCode::SlowConsumer => Some("slow_consumer"),
            CloseCode::Replaced => Some("replaced"),
            CloseCode::ResumeOver => Some("resume_over"),
        }
    }

    /// Whether the conversation is being ended.
    pub(super) fn is_closing(&self) -> bool {
        self.farewell.is_some()
    }

    /// The number of the last message that was handed to the socket.
    pub(super) fn handed_over(&self) -> u64 {
        self.outbox.handed_over()
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
        if self.is_ping_due(now.at) {
            let sent = self.outlet.as_ref().and_then(Outlet::sent_samples);
            self.proof.asked = self.proof.asked.or(sent);
            return Some(Outgoing::Ping);
        }
        let silent = self.farewell.as_ref().is_some_and(|farewell| farewell.abrupt);
        if !silent && let Some(text) = self.outbox.pop() {
            return Some(text);
        }
        let t_ms = self.t_ms(now.at);
        if let Some(frame) = self.outlet.as_mut().and_then(|outlet| outlet.next_frame(t_ms)) {
            return Some(self.frame(frame, now));
        }
        self.farewell.as_ref()?;
        if let Some(frame) = self.outlet.as_mut().and_then(|outlet| outlet.last_frame(t_ms)) {
            return Some(self.frame(frame, now));
        }
        while let Some((told, stamp)) = self.farewell.as_mut()?.last.pop_front() {
            self.dialect.tell(&told, stamp, &mut self.parts);
            if let Some(first) = self.parts.pop_front() {
                self.outbox.push_head(&mut self.parts);
                return Some(first);
            }
        }
        let farewell = self.farewell.as_mut()?;
        farewell.closed = true;
        Some(Outgoing::Close(farewell.code, farewell.reason))
    }

    /// A sign of life is due, or proof that what was sent has arrived.
    fn is_ping_due(&mut self, now: Instant) -> bool {
        if std::mem::take(&mut self.ping) {
            return true;
        }
        let sent = self.outlet.as_ref().and_then(Outlet::sent_samples);
        let waits = self.proof.not_before.is_some_and(|at| now < at);
        if waits || self.proof.asked.is_some() || sent.is_none_or(|sent| sent == 0) {
            return false;
        }
        self.proof.not_before = Some(now + PROOF_EVERY);
        true
    }

    /// So many pings were answered on this socket. One is under way at a time where answers come,
    /// so an answer is that of the ping that was asked with, or of a later one.
    pub(super) fn note_pongs(&mut self, pongs: u64) {
        if pongs <= self.proof.pongs {
            return;
        }
        self.proof.pongs = pongs;
        if let (Some(sent), Some(outlet)) = (self.proof.asked.take(), &mut self.outlet) {
            outlet.confirm(sent);
        }
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
            // An answer is awaited already, where answers are counted.
            self.ping = self.proof.pongs == 0 || self.proof.asked.is_none();
            self.pong_by = self.pong_by.or(Some(now + PONG_WITHIN));
        }
        true
    }

    /// When [`Self::on_time`] has something to do.
    fn deadline(&self) -> Instant {
        let next = match &self.farewell {
            Some(farewell) => farewell.give_up_at,
            None => self.pong_by.unwrap_or(self.ping_at).min(self.ping_at),
        };
        [self.mute_until, self.stats_at].into_iter().flatten().fold(next, Instant::min)
    }

    /// When it must be looked at, for whatever reason.
    pub(super) fn whole_deadline(&self) -> Option<Instant> {
        let outlet = self.outlet.as_ref();
        let dropped = outlet.filter(|outlet| outlet.has_dropped());
        let hush = dropped.and_then(|_| self.dropped_hush.not_before());
        let beat = outlet.and_then(Outlet::deadline);
        [Some(self.deadline()), hush, beat].into_iter().flatten().min()
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
            let (abrupt, closed) = (false, false);
            self.farewell = Some(Farewell { code, reason, last, give_up_at, abrupt, closed });
        }
    }

    fn frame(&mut self, frame: Frame, now: Moment) -> Outgoing {
        let mut stamp = self.stamp(now.at, now.unix_ms);
        stamp.t_ms = frame.again.unwrap_or(stamp.t_ms);
        self.dialect.frame(frame.octets, stamp)
    }

    /// For what is told next.
    fn stamp(&self, now: Instant, unix_ms: i64) -> Stamp {
        Stamp { seq: self.outbox.seq() + 1, t_ms: self.t_ms(now), unix_ms }
    }

    fn t_ms(&self, now: Instant) -> u64 {
        u64::try_from(now.duration_since(self.began).as_millis()).unwrap_or(u64::MAX)
    }
}
