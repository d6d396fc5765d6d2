//! What a stream does: the conversation between the call, its leg and the client.
//!
//! ```text
//!  Control ──> ┌─────────┐ ──> Report
//!  leg events ─> Session │ ──> commands and samples for the leg
//!  messages ──> └────────┘ ──> messages for the client
//!  time ───────────^ deadline
//! ```
//!
//! A pure machine: time comes in, nothing waits, every queue is bounded. It lives as long as the
//! call; clients come and go. Playout depends on no socket. Owns the meaning of every message;
//! does not poll, write or read the clock.

mod dialled;
mod digits;
mod greeting;
mod hearing;
mod requests;
mod stats;
mod timing;
mod words;

use super::StreamSpec;
use super::client::{Client, Moment};
use super::inlet::{Inlet, Note};
use super::options::{Listen, Settings, StreamOptions};
use super::seat::{CloseCode, Incoming, Outgoing, SocketError, StreamRights};
use super::wire::{CommandId, Told, warning};
use crate::app::hearing::Hearing;
use crate::app::line::Line;
use crate::app::playout::{Fact, Name, PlayoutQueue};
use crate::app::{Control, Report};
use crate::call::control::{DtmfMethod, HeardBy};
use crate::media::interface::{Command, Event};
use crate::turn::barge::Input;
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Reports that may wait for the call; beyond, those that nothing depends on are dropped.
const REPORTS_MAX: usize = 64;
/// Events of the call's past that a client is told on attaching; further ones are not kept.
const HISTORY_MAX: usize = 256;
/// How often a warning of one kind is given at most.
const WARN_EVERY: Duration = Duration::from_secs(1);
/// Audio without a name is an utterance of its own after this long without more.
const PAUSE: Duration = Duration::from_millis(300);
/// A pause is looked at again when this much is left to play.
const PAUSE_LEAD_MS: u64 = 60;
/// How often a queue that should have fallen is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How often it is looked for events that were lost.
const CATCH_UP: Duration = Duration::from_secs(1);
/// Wishes to the call that may wait for its answer.
const WISHES_MAX: usize = 16;
/// Longest binary message of a client, in octets.
const BINARY_MAX: usize = 1 << 20;
/// Slices of a binary message that are decoded in one go; the rest waits a turn.
const SLICES: usize = 16;

/// One event of the call's past.
#[derive(Debug)]
struct Past {
    told: Told,
    unix_ms: i64,
}

/// Digits on their way to the far end.
#[derive(Debug)]
struct Digits {
    rest: String,
    /// As they were asked for.
    whole: String,
    method: DtmfMethod,
    duration_ms: Option<u64>,
    gap_ms: Option<u64>,
    id: Option<CommandId>,
}

/// Warnings of one kind: not more often than once a second.
#[derive(Debug, Default)]
struct Hush {
    not_before: Option<Instant>,
}

impl Hush {
    fn may_speak(&mut self, now: Instant) -> bool {
        if self.not_before.is_some_and(|not_before| now < not_before) {
            return false;
        }
        self.not_before = Some(now + WARN_EVERY);
        true
    }
}

/// The conversation of one call.
pub(super) struct Session {
    spec: StreamSpec,
    words: words::Words,
    /// Who listens for voices, if anybody asked.
    hearing: Option<Box<Hearing>>,
    /// Caller audio on its way to the transcriber alone.
    samples: Vec<i16>,
    queue: PlayoutQueue,
    accepted: stats::Accepted,
    inlet: Inlet,
    line: Option<Line>,
    /// The leg is lent to a bridge: nothing is played.
    lent: bool,
    was_lent: bool,
    /// Wishes that the call has not answered.
    wishes: VecDeque<(u64, Option<CommandId>)>,
    client: Option<Client>,
    /// The client that we dial, where we do.
    dial: dialled::DialState,
    /// How we closed on the last client, if we did.
    left_by: Option<CloseCode>,
    history: Vec<Past>,
    started: bool,
    over: bool,
    ended_told: bool,
    was_attached: bool,
    paused: bool,
    /// What plays beneath is heard.
    background: bool,
    /// A hang-up waits for the end of what is queued; nothing more is taken in.
    hanging: bool,
    /// When the call ends because nobody is attached.
    lost_at: Option<Instant>,
    /// When audio without a name may be over.
    pause_at: Option<Instant>,
    /// When no more seems to follow on sound of a live client that is held back.
    settle_at: Option<Instant>,
    /// The leg waits for holes as a paced client hears them.
    due_told: bool,
    /// When the queue may have fallen to its low water mark.
    level_at: Option<Instant>,
    caught_up_at: Option<Instant>,
    tickets: VecDeque<(u64, Option<CommandId>)>,
    next_ticket: u64,
    digits: VecDeque<Digits>,
    dialling: bool,
    orders: VecDeque<Command>,
    reports: VecDeque<Report>,
    refused: u64,
    refused_hush: Hush,
    dropped_hush: Hush,
    junk_hush: Hush,
    pace_hush: Hush,
}

impl Session {
    /// A call's stream before anything happened.
    pub(super) fn new(spec: StreamSpec) -> Self {
        let settings = timing::settings_of(&spec, &spec.options);
        let mut queue = PlayoutQueue::new(spec.sample_rate, settings.buffer_ms);
        queue.set_water(spec.water.0, spec.water.1);
        let dial = dialled::DialState::new(spec.dial.as_ref());
        Self {
            queue,
            accepted: stats::Accepted::default(),
            inlet: Inlet::new(settings.format, settings.rate, spec.sample_rate)
                .levelled(spec.level.inward(&spec.options, spec.sample_rate))
                .live(settings.live),
            spec,
            words: words::Words::default(),
            hearing: None,
            samples: Vec::new(),
            line: None,
            lent: false,
            was_lent: false,
            wishes: VecDeque::new(),
            client: None,
            dial,
            left_by: None,
            history: Vec::new(),
            started: false,
            over: false,
            ended_told: false,
            was_attached: false,
            paused: false,
            background: true,
            hanging: false,
            lost_at: None,
            pause_at: None,
            settle_at: None,
            due_told: false,
            level_at: None,
            caught_up_at: None,
            tickets: VecDeque::new(),
            next_ticket: 0,
            digits: VecDeque::new(),
            dialling: false,
            orders: VecDeque::new(),
            reports: VecDeque::new(),
            refused: 0,
            refused_hush: Hush::default(),
            dropped_hush: Hush::default(),
            junk_hush: Hush::default(),
            pace_hush: Hush::default(),
        }
    }

    /// The media leg is there.
    pub(super) fn on_line(&mut self, line: Line, now: Instant) {
        if std::mem::take(&mut self.lent) {
            self.queue.go_on(line.playout.position(), line.port.sent_samples());
        }
        self.line = Some(line);
        if !self.background {
            self.order(Command::Background(false));
        }
        if self.was_lent {
            // What was said to somebody else is not for the client.
            self.drop_stale_capture(now);
        }
        self.listen_to_words(None);
        self.order_capture();
    }

    /// The leg is lent: what is queued will not be played, and is told so.
    pub(super) fn off_line(&mut self, now: Moment) -> Option<Line> {
        self.capture(now.at);
        self.inlet.flush(&mut self.queue);
        self.queue.halt(self.sent());
        while let Some(fact) = self.queue.next_fact() {
            self.on_fact(fact, now);
        }
        self.orders.clear();
        self.release_hold(now);
        (self.paused, self.dialling) = (false, false);
        (self.pause_at, self.level_at) = (None, None);
        while let Some(Digits { id, .. }) = self.digits.pop_front() {
            let detail = "the call was joined with another one".to_owned();
            self.tell(&Told::Error { id, code: "conflict", detail, fatal: false }, now);
        }
        (self.lent, self.was_lent) = (true, true);
        self.line.take()
    }

    /// The call says something; [`Control::Leg`] goes to [`Self::on_line`].
    pub(super) fn on_control(&mut self, control: Control, now: Moment) {
        match control {
            // These are the task's, or an agent's.
            Control::Leg(_)
            | Control::Yield(_)
            | Control::TransferOver(_)
            | Control::Instruct(_) => {}
            Control::Granted { ticket, result } => self.granted(ticket, result, now),
            Control::Start => self.start(now),
            Control::CallEvent { event, detail } => {
                self.ended_told |= event == "ended";
                if event == "answered" {
                    self.hear_answer(now);
                }
                let told = Told::CallEvent { event, detail };
                self.tell(&told, now);
                self.remember(told, now);
            }
            Control::Dtmf { digit, duration_ms, method } => {
                self.hear_of(Input::Key, now);
                let (digit, method) = (char::from(digit), method.as_str());
                self.tell(&Told::Dtmf { digit, duration_ms, method }, now);
            }
            Control::Tell(told) => {
                self.tell(&told, now);
                self.remember(*told, now);
            }
            Control::SendDtmf { digits, duration_ms, gap_ms } => {
                let (whole, method) = (String::new(), DtmfMethod::Rfc4733);
                let (rest, id) = (digits, None);
                self.dial(Digits { rest, whole, method, duration_ms, gap_ms, id }, now);
            }
            Control::Stop { reason, sip_code, duration_ms } => {
                self.stop(reason, sip_code, duration_ms, now);
            }
        }
    }

    /// The leg says something.
    pub(super) fn on_leg_event(&mut self, event: &Event, now: Moment) {
        match *event {
            Event::Reached { .. } => self.queue.handle(event),
            Event::Cleared { played_to, discarded, .. } => {
                if let Some(hearing) = &mut self.hearing {
                    hearing.cut(played_to, played_to + discarded);
                }
                self.queue.handle(event);
            }
            Event::Dtmf { digit, duration_ms, inband, .. } => {
                self.hear_of(Input::Key, now);
                let method = HeardBy::leg(inband);
                self.report(Report::Dtmf { digit, duration_ms, method });
                let (digit, method) = (char::from(digit), method.as_str());
                self.tell(&Told::Dtmf { digit, duration_ms, method }, now);
            }
            Event::DtmfDone { sent } => self.dialled(sent, now),
            Event::Flowing { .. } => self.report(Report::Flowing),
            Event::Quiet { .. } => self.report(Report::Quiet),
            // Counted by the leg; the queue's own facts tell a client what it can act on.
            Event::Underrun { .. } => {}
        }
    }

    /// The leg is gone although nobody asked for it.
    pub(super) fn on_line_lost(&mut self) {
        if !self.over {
            self.report(Report::Failed { detail: "the media leg is gone".to_owned() });
        }
    }

    /// A client sat down.
    pub(super) fn on_attach(&mut self, options: &StreamOptions, rights: StreamRights, now: Moment) {
        let asked = options.or(&self.spec.options);
        let mut settings = timing::settings_of(&self.spec, &asked);
        if self.spec.observer {
            settings.listen = Listen::None;
        }
        self.queue.set_buffer(settings.buffer_ms);
        let (high, low) = settings.protocol.water().unwrap_or(self.spec.water);
        self.queue.set_water(high, low);
        let (level, leg_rate) = (self.spec.level, self.spec.sample_rate);
        self.inlet.settle(&mut self.queue);
        self.inlet = Inlet::new(settings.format, settings.rate, leg_rate)
            .levelled(level.inward(&asked, leg_rate))
            .live(settings.live);
        self.drop_stale_capture(now.at);
        self.listen_to_words(Some(&settings));
        self.listen_for_voices(&asked, now);
        let mut client = Client::new(settings, rights, leg_rate, now.at);
        client.outlet = client.outlet.map(|o| o.levelled(level.outward(&asked, leg_rate)));
        let listening = client.outlet.is_some();
        client.tell(&Told::Start(Box::new(self.start_message(&settings))), now);
        for Past { told, unix_ms } in &self.history {
            client.tell_as_of(told, now, *unix_ms);
        }
        self.client = Some(client);
        self.was_attached = true;
        self.lost_at = None;
        self.order_capture();
        self.report(Report::Attached {
            protocol: settings.protocol.as_str(),
            rate: listening.then_some(settings.out_rate),
        });
    }

    /// A message of the client, or its end.
    pub(super) fn on_incoming(
        &mut self,
        incoming: Option<Result<Incoming, SocketError>>,
        now: Moment,
    ) {
        let Some(client) = &mut self.client else { return };
        match incoming {
            Some(Ok(Incoming::Text(text))) if text.len() > client.text_max() => {
                client.close(CloseCode::TooBig, "the text message is too long", now.at);
            }
            Some(Ok(Incoming::Binary(octets))) if octets.len() > BINARY_MAX => {
                client.close(CloseCode::TooBig, "a message is limited to 1 MiB", now.at);
            }
            Some(Ok(message)) => {
                let (octets, is_text) = match &message {
                    Incoming::Text(text) => (text.len(), true),
                    Incoming::Binary(octets) => (octets.len(), false),
                    Incoming::Alive => (0, false),
                };
                let muted = client.hear(octets, is_text, now.at);
                if !client.is_closing() {
                    client.read(message);
                }
                self.warn_of_pace(muted, now);
                self.take_heard(now);
            }
            Some(Err(SocketError::TooBig)) => {
                client.close(CloseCode::TooBig, "a message is limited to 1 MiB", now.at);
            }
            Some(Err(SocketError::Protocol(_))) => {
                client.close(CloseCode::Protocol, "broken framing", now.at);
            }
            Some(Err(SocketError::Lost(_))) => self.on_gone(now),
            None => {
                // Another vendor's client has no other word for that it is done.
                let done = client.settings.protocol.is_dialect() && !client.is_closing();
                // Who only watched an agent, or was parted from the call, is missed by nobody.
                if done && !self.over && !self.spec.observer && !self.lent {
                    self.hang_up(Some("the client closed the stream".to_owned()), self.started);
                }
                self.on_gone(now);
            }
        }
    }

    /// The client's socket is of no more use.
    pub(super) fn on_gone(&mut self, now: Moment) {
        let Some(client) = self.client.take() else { return };
        self.left_by = client.farewell();
        self.dial.note_gone(client.handed_over());
        if self.over {
            return;
        }
        self.inlet.flush(&mut self.queue);
        self.queue.close();
        self.pause_at = None;
        self.release_hold(now);
        if std::mem::take(&mut self.paused) {
            self.order(Command::Pause(false));
        }
        self.order_capture();
        self.report(Report::Detached);
        if self.started && !self.spec.observer {
            self.lost_at = Some(now.at + self.spec.linger);
        }
    }

    /// Does what is due by the clock.
    pub(super) fn on_time(&mut self, now: Moment) {
        if self.lost_at.is_some_and(|at| at <= now.at) {
            self.lost_at = None;
            self.report(Report::StreamLost { detail: self.why_lost() });
        }
        if self.pause_at.is_some_and(|at| at <= now.at) {
            self.end_nameless(now.at);
        }
        self.settle(now.at);
        if self.client.as_mut().is_some_and(|client| !client.on_time(now.at)) {
            self.on_gone(now);
        }
    }

    /// When [`Self::on_time`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let client = self.client.as_ref().map(Client::deadline);
        let dropped = self.has_dropped().then_some(self.dropped_hush.not_before).flatten();
        let refused = (self.refused > 0).then_some(self.refused_hush.not_before).flatten();
        let outlet = self.client.as_ref().and_then(|client| client.outlet.as_ref());
        let beat = outlet.and_then(super::outlet::Outlet::deadline);
        let held = self.hearing.as_ref().and_then(|hearing| hearing.deadline());
        let (settle, level) = (self.settle_at, self.level_at);
        let due =
            [self.lost_at, self.pause_at, level, settle, client, dropped, refused, beat, held];
        due.into_iter().flatten().min()
    }

    /// Moves audio both ways and says what is to be said; call after every batch of inputs.
    ///
    /// Returns whether decoding is left to be done in another turn.
    pub(super) fn pump(&mut self, now: Moment) -> bool {
        self.tell_due_stats(now);
        let mut more = self.decode_pending(now);
        if !more {
            self.take_heard(now);
            more = self.client.as_ref().is_some_and(|client| !client.pending.is_empty());
        }
        self.hear_time(now);
        // First, so that what a voice stops is stopped with the next packet.
        self.capture(now.at);
        self.tell_concealed(now);
        self.tell_due(now.at);
        self.act_on_hearing(now);
        if let Some(line) = &mut self.line {
            let hearing = &mut self.hearing;
            self.queue.pump_past(&mut line.playout, |position, samples| {
                if let Some(hearing) = hearing {
                    hearing.queued(position, samples);
                }
            });
            self.accepted.written(&mut line.playout);
            let port = &line.port;
            if self.queue.is_waiting()
                && self.caught_up_at.is_none_or(|at| now.at.duration_since(at) >= CATCH_UP)
            {
                self.caught_up_at = Some(now.at);
                self.queue.catch_up(port.sent_samples());
            }
            self.queue.send_commands(|command| port.send(command));
            while let Some(order) = self.orders.front()
                && port.send(*order)
            {
                self.orders.pop_front();
            }
        }
        self.watch_level(now.at);
        while let Some(fact) = self.queue.next_fact() {
            self.on_fact(fact, now);
        }
        self.warn_of_losses(now);
        more
    }

    /// Whether the leg's wake-ups matter: there is something to hear, or something to write.
    pub(super) fn wants_ready(&self) -> bool {
        self.wants_capture() || self.queue.has_backlog() || self.has_orders()
    }

    /// Whether commands wait that the leg refused.
    pub(super) fn has_orders(&self) -> bool {
        self.line.is_some() && (self.queue.has_commands() || !self.orders.is_empty())
    }

    /// Whether the next message of the client may be read.
    pub(super) fn may_read(&self, now: Instant) -> bool {
        self.client.as_ref().is_some_and(|client| client.is_closing() || client.may_read(now))
    }

    /// Whether a client is attached.
    pub(super) fn has_client(&self) -> bool {
        self.client.is_some()
    }

    /// The next message for the client.
    pub(super) fn next_message(&mut self, now: Moment) -> Option<Outgoing> {
        self.client.as_mut()?.next_message(now)
    }

    /// The next report for the call.
    pub(super) fn next_report(&mut self) -> Option<Report> {
        self.reports.pop_front()
    }

    /// Puts a report back that the call could not take yet.
    pub(super) fn keep_report(&mut self, report: Report) {
        self.reports.push_front(report);
    }

    /// Whether the call is over and all is said.
    pub(super) fn is_finished(&self) -> bool {
        self.over && self.client.is_none()
    }

    /// Whether the call is over.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    fn start(&mut self, now: Moment) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        self.start_words();
        if self.client.is_none() {
            self.listen_for_voices(&self.spec.options.clone(), now);
        }
        let waits = self.hearing.as_ref().is_some_and(|hearing| hearing.waits_for_hello());
        if !waits {
            self.begin_playing(now);
        }
        if self.client.is_none() && !self.spec.observer {
            self.lost_at = Some(now.at + self.patience());
        }
        self.watch_for_pause(now.at);
    }

    /// What is queued is played from here on.
    fn begin_playing(&mut self, now: Moment) {
        self.queue.start();
        self.watch_for_pause(now.at);
    }

    /// The call is over: tells what became of everything, and closes in order.
    fn stop(&mut self, reason: &'static str, sip_code: Option<u16>, duration_ms: u64, now: Moment) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        let sent = self.sent();
        self.queue.halt(sent);
        if let Some(client) = &mut self.client {
            client.pending = Bytes::new();
        }
        self.pump(now);
        self.line = None;
        (self.lost_at, self.pause_at, self.level_at) = (None, None, None);
        let Some(client) = &mut self.client else { return };
        if !self.ended_told {
            let detail = Some(reason.to_owned());
            client.tell(&Told::CallEvent { event: "ended", detail }, now);
        }
        let played_ms = self.queue.ms(sent);
        client.finish(&[Told::Stop { reason, sip_code, played_ms, duration_ms }], now);
    }

    fn sent(&self) -> u64 {
        self.line.as_ref().map_or(0, |line| line.port.sent_samples())
    }

    fn tell(&mut self, told: &Told, now: Moment) {
        if let Some(client) = &mut self.client {
            client.tell(told, now);
        }
    }

    /// Queues a command for the leg; of switches, only the last position counts.
    fn order(&mut self, command: Command) {
        let kind = std::mem::discriminant(&command);
        if matches!(
            command,
            Command::Pause(_) | Command::Listen(_) | Command::Due(_) | Command::Background(_)
        ) {
            self.orders.retain(|waiting| std::mem::discriminant(waiting) != kind);
        }
        self.orders.push_back(command);
    }

    fn report(&mut self, report: Report) {
        let expendable = matches!(
            report,
            Report::Dtmf { .. } | Report::Attached { .. } | Report::Detached | Report::Flowing
        );
        if self.reports.len() < REPORTS_MAX || !expendable {
            self.reports.push_back(report);
        }
    }

    fn on_fact(&mut self, fact: Fact, now: Moment) {
        match fact {
            Fact::Started { utterance } => self.tell_playback("started", utterance, [0; 3], now),
            Fact::Completed { utterance, played_ms, squeezed_ms } => {
                self.tell_playback("completed", utterance, [played_ms, squeezed_ms, 0], now);
            }
            Fact::Cleared { utterance, played_ms, squeezed_ms, discarded_ms } => {
                let lengths = [played_ms, squeezed_ms, discarded_ms];
                self.tell_playback("cleared", utterance, lengths, now);
            }
            Fact::Mark { name, played_ms, squeezed_ms, cleared } => {
                self.tell(&Told::Mark { name, played_ms, squeezed_ms, cleared }, now);
            }
            Fact::Flow { xoff, queued_ms } => {
                let state = if xoff { "xoff" } else { "xon" };
                self.tell(&Told::Flow { state, queued_ms }, now);
            }
            Fact::ClearDone { ticket } => {
                let index = self.tickets.iter().position(|(waiting, _)| *waiting == ticket);
                let done = index.and_then(|index| self.tickets.remove(index));
                self.acknowledge(done.and_then(|(_, id)| id), now);
            }
            Fact::Drained => {
                let played_ms = self.queue.ms(self.sent());
                self.report(Report::PlaybackDone { played_ms });
            }
        }
    }

    fn tell_playback(
        &mut self,
        state: &'static str,
        utterance: Name,
        [played_ms, squeezed_ms, discarded_ms]: [u64; 3],
        now: Moment,
    ) {
        let told = Told::Playback { state, utterance, played_ms, squeezed_ms, discarded_ms };
        self.tell(&told, now);
    }

    /// Tells which of the caller's audio was made up, if the client wants to know.
    fn tell_concealed(&mut self, now: Moment) {
        while let Some(client) = &mut self.client
            && let Some(outlet) = &mut client.outlet
            && let Some((position_ms, duration_ms)) = outlet.next_concealed()
        {
            client.tell(&Told::Concealed { position_ms, duration_ms }, now);
        }
    }

    fn acknowledge(&mut self, id: Option<CommandId>, now: Moment) {
        if let Some(id) = id {
            self.tell(&Told::Ack { id }, now);
        }
    }

    fn on_binary(&mut self, octets: Bytes, now: Moment) {
        let Some(client) = &mut self.client else { return };
        if self.spec.observer {
            return self.refuse_audio(now);
        }
        if self.hanging {
            self.refused += octets.len() as u64 / 2;
            return;
        }
        client.pending = octets;
        self.decode_pending(now);
    }

    /// Decodes some of what the client sent; `true` when more is left.
    fn decode_pending(&mut self, now: Moment) -> bool {
        let Some(client) = &mut self.client else { return false };
        if client.pending.is_empty() {
            return false;
        }
        if let Some(line) = &self.line {
            self.queue.look(&line.playout);
        }
        let (work, begun) = (stats::Stopwatch::start(), self.queue.end());
        for _ in 0..SLICES {
            let slice = self.inlet.slice().min(client.pending.len());
            if slice == 0 {
                break;
            }
            let octets = client.pending.split_to(slice);
            self.inlet.feed(&octets, &mut self.queue);
        }
        let more = !client.pending.is_empty();
        if self.started && self.queue.end() > begun {
            self.accepted.note(begun, now.at);
        }
        let resampling = self.inlet.take_resampling();
        self.note_decoded(&work, resampling);
        self.refused += self.inlet.take_refused();
        self.watch_for_more(now.at);
        self.watch_for_pause(now.at);
        for note in self.inlet.take_notes() {
            self.warn_of(note, now);
        }
        more
    }

    /// Tells the water marks; the leg does not say when the queue falls below the lower one.
    fn watch_level(&mut self, now: Instant) {
        self.queue.watch_level();
        let falling = self.queue.is_xoff() && self.started && !self.paused && !self.over;
        self.level_at = falling.then(|| now + self.queue.until_xon().max(LOOK));
    }

    /// Arms the clock that ends audio without a name.
    fn watch_for_pause(&mut self, now: Instant) {
        let nameless = matches!(self.queue.open_utterance(), Some(None));
        let moving = self.started && !self.paused;
        self.pause_at = (nameless && moving).then(|| now + PAUSE);
    }

    /// No audio came for a while: once little is left to play, the utterance is over.
    fn end_nameless(&mut self, now: Instant) {
        self.pause_at = None;
        if let Some(line) = &self.line {
            self.queue.look(&line.playout);
        }
        let left = self.queue.queued_ms();
        if left > PAUSE_LEAD_MS {
            let wait = Duration::from_millis(left - PAUSE_LEAD_MS).max(LOOK);
            self.pause_at = Some(now + wait);
            return;
        }
        if left > 0 {
            self.inlet.pause(&mut self.queue);
        }
        self.queue.close();
    }

    fn warn_of(&mut self, note: Note, now: Moment) {
        let told = match note {
            Note::Odd => {
                let hint = Some("send whole samples before utterance_end");
                let detail = "the audio ended within a sample".to_owned();
                Told::Warning { code: "odd_bytes", detail, hint, dropped_ms: None }
            }
            Note::Undecodable(detail) => {
                let hint = Some("send PCM, G.711, MP3 or WAV and name it in format");
                Told::Warning { code: "audio_undecodable", detail, hint, dropped_ms: None }
            }
            Note::Junk(octets) => {
                if !self.junk_hush.may_speak(now.at) {
                    return;
                }
                warning("audio_damaged", format!("{octets} octets belong to no audio frame"))
            }
        };
        self.tell(&told, now);
    }

    fn warn_of_pace(&mut self, muted: bool, now: Moment) {
        if muted && self.pace_hush.may_speak(now.at) {
            let detail = "messages come too fast; they are read more slowly";
            self.tell(&warning("rate_limited", detail), now);
        }
    }

    fn has_dropped(&self) -> bool {
        let outlet = self.client.as_ref().and_then(|client| client.outlet.as_ref());
        outlet.is_some_and(super::outlet::Outlet::has_dropped)
    }

    /// Tells what was refused of the client's audio and dropped of the caller's.
    fn warn_of_losses(&mut self, now: Moment) {
        if self.refused > 0 && self.refused_hush.may_speak(now.at) {
            let dropped_ms = Some(self.queue.ms(std::mem::take(&mut self.refused)));
            let (detail, hint) = if self.lent {
                ("the call is joined with another one: audio is refused", None)
            } else if self.hanging {
                ("audio after hangup is refused", None)
            } else {
                ("the queue is full, the newest audio is refused", Some("wait for flow xon"))
            };
            let detail = detail.to_owned();
            self.tell(&Told::Warning { code: "dropped", detail, hint, dropped_ms }, now);
        }
        if self.has_dropped() && self.dropped_hush.may_speak(now.at) {
            let outlet = self.client.as_mut().and_then(|client| client.outlet.as_mut());
            let dropped = outlet.map_or(0, super::outlet::Outlet::take_dropped);
            let dropped_ms = Some(self.queue.ms(dropped));
            let detail = "caller audio was not read in time, the oldest is gone".to_owned();
            let hint = Some("read faster, or ask for longer frames");
            self.tell(&Told::Warning { code: "dropped", detail, hint, dropped_ms }, now);
        }
    }

    /// Caller audio from before this client is not for it; a transcriber has taken it already.
    fn drop_stale_capture(&mut self, now: Instant) {
        self.capture(now);
        let Some(line) = &mut self.line else { return };
        let mut stale = Vec::new();
        while line.capture.pop(&mut stale).is_some() {
            stale.clear();
        }
    }
}
