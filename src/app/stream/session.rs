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
//! call; clients come and go, one that speaks and some that listen. Playout depends on no socket.
//! Owns the meaning of every message; does not poll, write or read the clock.

mod audience;
mod away;
mod dialled;
mod digits;
mod doubts;
mod ending;
mod facts;
mod greeting;
mod hearing;
mod recording;
mod requests;
pub mod spoken;
mod stats;
mod timing;
mod warnings;
mod words;

use super::StreamSpec;
use super::budget::Hush;
use super::client::{Client, Moment};
use super::inlet::Inlet;
use super::options::{Listen, ReconnectWish, Role, Settings, StreamOptions};
use super::seat::{CloseCode, Incoming, SocketError, StreamRights};
use super::wire::{CommandId, Told};
use crate::app::hearing::Hearing;
use crate::app::line::Line;
use crate::app::playout::PlayoutQueue;
use crate::app::{Control, Report};
use crate::call::control::{DtmfMethod, HeardBy};
use crate::media::interface::{Command, Event};
use crate::turn::barge::Input;
pub(super) use audience::Place;
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Reports that may wait for the call; beyond, those that nothing depends on are dropped.
const REPORTS_MAX: usize = 64;
/// Events of the call's past that a client is told on attaching; further ones are not kept.
const HISTORY_MAX: usize = 256;
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

/// The conversation of one call.
pub(super) struct Session {
    spec: StreamSpec,
    words: words::Words,
    watch: doubts::Watch,
    /// What is said and played for the client.
    spoken: spoken::Spoken,
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
    /// The main client without its socket, while it may come back.
    away: Option<Box<away::Away>>,
    audience: audience::Audience,
    recordings: recording::Recordings,
    /// Conversations of main clients so far.
    conversations: u64,
    /// What becomes of the call when the main client's socket is lost.
    reconnect: ReconnectWish,
    /// When its prompt may be said again.
    prompt_at: Option<Instant>,
    /// The client that we dial, where we do.
    dial: dialled::DialState,
    /// How we closed on the last client, if we did.
    left_by: Option<CloseCode>,
    history: Vec<Past>,
    started: bool,
    over: bool,
    last_words: Option<ending::LastWords>,
    /// The node stops.
    leaving: bool,
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
    junk_hush: Hush,
    pace_hush: Hush,
}

impl Session {
    /// A call's stream before anything happened.
    pub(super) fn new(spec: StreamSpec) -> Self {
        let settings = timing::settings_of(&spec, &spec.options);
        let mut queue = PlayoutQueue::new(spec.sample_rate, settings.buffer_ms);
        queue.set_water(spec.water.0, spec.water.1);
        let reconnect = spec.options.reconnect.clone();
        Self {
            queue,
            accepted: stats::Accepted::default(),
            inlet: Inlet::new(settings.format, settings.rate, spec.sample_rate)
                .levelled(spec.level.inward(&spec.options, spec.sample_rate))
                .live(settings.live),
            recordings: recording::Recordings::new(spec.record),
            spec,
            words: words::Words::default(),
            watch: doubts::Watch::default(),
            spoken: spoken::Spoken::default(),
            hearing: None,
            samples: Vec::new(),
            line: None,
            lent: false,
            was_lent: false,
            wishes: VecDeque::new(),
            client: None,
            away: None,
            audience: audience::Audience::default(),
            conversations: 0,
            reconnect,
            prompt_at: None,
            dial: dialled::DialState::default(),
            left_by: None,
            history: Vec::new(),
            started: false,
            over: false,
            last_words: None,
            leaving: false,
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
            junk_hush: Hush::default(),
            pace_hush: Hush::default(),
        }
    }

    /// The media leg is there.
    pub(super) fn on_line(&mut self, line: Line) {
        if std::mem::take(&mut self.lent) {
            self.queue.go_on(line.playout.position(), line.port.sent_samples());
        }
        self.line = Some(line);
        if !self.background {
            self.order(Command::Background(false));
        }
        if self.was_lent {
            // What was said to somebody else is not for the client.
            self.discard_capture();
        }
        if let Some(recorder) = self.recordings.recorder() {
            recorder.set_apart(false);
        }
        self.listen_to_words(None);
        self.order_capture();
    }

    /// The leg is lent: what is queued will not be played, and is told so.
    pub(super) fn off_line(&mut self, now: Moment) -> Option<Line> {
        self.capture(now.at);
        if let Some(recorder) = self.recordings.recorder() {
            recorder.set_apart(true);
        }
        self.forget_spoken();
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
            Control::Leaving => self.leaving = true,
            Control::Signalled { sip_call_id, srtp } => {
                self.spec.sip.call_id = sip_call_id;
                self.spec.srtp = srtp;
            }
            Control::CallEvent { event, detail } => {
                self.ended_told |= event == "ended";
                if event == "answered" {
                    self.hear_answer(now);
                    self.recordings.answered();
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
            Control::Record { ticket, wish } => {
                let result = self.record(&wish, now).map(drop);
                self.report(Report::Recorded { ticket, result });
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
            Event::Underrun { samples } => self.note_gap(samples),
        }
    }

    /// The leg is gone although nobody asked for it.
    pub(super) fn on_line_lost(&mut self) {
        if !self.over {
            self.report(Report::Failed { detail: "the media leg is gone".to_owned() });
        }
    }

    /// A client sat down; which place it has. The main one must be free: see [`Self::displace`].
    pub(super) fn on_attach(
        &mut self,
        options: &StreamOptions,
        rights: StreamRights,
        now: Moment,
    ) -> Place {
        if let Some(resume) = options.place.resume() {
            return self.go_on(&resume, options, rights, now);
        }
        let asked = options.or(&self.spec.options);
        let settings = self.settings_of(&asked);
        // Caller audio from before this client is not for it.
        self.capture(now.at);
        if settings.role == Role::Listener {
            return self.seat_listener(&asked, settings, rights, now);
        }
        self.away = None;
        self.end_prompt(now);
        self.reconnect = asked.reconnect.clone();
        self.forget_waiting();
        self.queue.set_buffer(settings.buffer_ms);
        let (high, low) = settings.protocol.water().unwrap_or(self.spec.water);
        self.queue.set_water(high, low);
        let (level, leg_rate) = (self.spec.level, self.spec.sample_rate);
        self.inlet.settle(&mut self.queue);
        self.inlet = Inlet::new(settings.format, settings.rate, leg_rate)
            .levelled(level.inward(&asked, leg_rate))
            .live(settings.live);
        self.listen_to_words(Some(&settings));
        self.listen_for_voices(&asked, now);
        let mut client = self.make_client(&asked, settings, rights, now);
        let offer = self.offer_to(&mut client);
        client.tell(&Told::Start(Box::new(self.start_message(&settings, offer, false))), now);
        for Past { told, unix_ms } in &self.history {
            client.tell_as_of(told, now, *unix_ms);
        }
        self.client = Some(client);
        self.was_attached = true;
        self.lost_at = None;
        self.order_capture();
        self.watch_client(now.at);
        self.report_attached(&settings);
        Place::Main
    }

    /// What a client gets that asks for this.
    fn settings_of(&self, asked: &StreamOptions) -> Settings {
        let mut settings = timing::settings_of(&self.spec, asked);
        if self.spec.observer {
            (settings.listen, settings.hears_lines) = (Listen::None, true);
        }
        settings
    }

    fn make_client(
        &self,
        asked: &StreamOptions,
        settings: Settings,
        rights: StreamRights,
        now: Moment,
    ) -> Client {
        let (level, leg_rate) = (self.spec.level, self.spec.sample_rate);
        let mut client = Client::new(settings, rights, leg_rate, now.at);
        client.outlet = client.outlet.map(|o| o.levelled(level.outward(asked, leg_rate)));
        client
    }

    fn report_attached(&mut self, settings: &Settings) {
        let listening = settings.listen != Listen::None;
        self.report(Report::Attached {
            protocol: settings.protocol.as_str(),
            rate: listening.then_some(settings.out_rate),
        });
    }

    /// A message of a client, or its end.
    pub(super) fn on_incoming(
        &mut self,
        place: Place,
        incoming: Option<Result<Incoming, SocketError>>,
        now: Moment,
    ) {
        if self.over && matches!(incoming, Some(Ok(_))) {
            return;
        }
        let Some(client) = self.client_at(place) else { return };
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
                match place {
                    Place::Main => {
                        self.warn_of_pace(muted, now);
                        self.take_heard(now);
                    }
                    Place::Listener(number) => self.hear_listener(number, now),
                }
            }
            Some(Err(SocketError::TooBig)) => {
                client.close(CloseCode::TooBig, "a message is limited to 1 MiB", now.at);
            }
            Some(Err(SocketError::Protocol(_))) => {
                client.close(CloseCode::Protocol, "broken framing", now.at);
            }
            Some(Err(SocketError::Lost(_))) => self.on_gone(place, now),
            None => {
                // Another vendor's client has no other word for that it is done; what became of one
                // that we dialled is told by its close frame.
                let done = client.settings.protocol.is_dialect() && !client.is_closing();
                let done = done && place == Place::Main && self.spec.dial.is_none();
                // Who only watched an agent, or was parted from the call, is missed by nobody.
                if done && !self.over && !self.spec.observer && !self.lent {
                    self.hang_up(Some("the client closed the stream".to_owned()), self.started);
                }
                self.lose(place, "client_closed", now);
            }
        }
    }

    /// A client's socket is of no more use.
    pub(super) fn on_gone(&mut self, place: Place, now: Moment) {
        self.lose(place, "socket_lost", now);
    }

    fn lose(&mut self, place: Place, cause: &'static str, now: Moment) {
        match place {
            Place::Main => self.lose_main(cause, now),
            Place::Listener(number) => {
                self.audience.leave(number);
                self.order_capture();
            }
        }
    }

    /// The main client has lost its socket; `cause`: why, unless it was shown the door.
    fn lose_main(&mut self, cause: &'static str, now: Moment) {
        let Some(client) = self.client.take() else { return };
        self.left_by = client.farewell();
        if self.over {
            return;
        }
        self.report(Report::Gone { why: client.shown_out().unwrap_or(cause) });
        self.wait_for(client, now);
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
            self.lost_at = Some(now.at + self.linger());
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
        self.say_last_words(now);
        self.wait_no_longer(now.at);
        self.show_out_whose_key_is_gone(now);
        if self.client.as_mut().is_some_and(|client| !client.on_time(now.at)) {
            self.lose_main("no_pong", now);
        }
        if self.audience.on_time(now) {
            self.order_capture();
        }
    }

    /// When [`Self::on_time`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let clients = self.clients().filter_map(Client::whole_deadline).min();
        let refused = (self.refused > 0).then_some(self.refused_hush.not_before()).flatten();
        let held = self.hearing.as_ref().and_then(|hearing| hearing.deadline());
        let waits = [self.lost_at, self.pause_at, self.level_at, self.settle_at];
        let away = [self.away_until(), self.prompt_deadline(), self.last_words_due()]
            .into_iter()
            .flatten()
            .min();
        let due = [clients, refused, away, self.watch_deadline(), held];
        waits.into_iter().chain(due).flatten().min()
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
        self.record_from_answer(now);
        self.capture(now.at);
        self.write_recording(now);
        self.tell_concealed(now);
        self.tell_due(now.at);
        self.act_on_hearing(now);
        self.prompt(now);
        self.feed_spoken();
        if let Some(line) = &mut self.line {
            let (hearing, watch) = (&mut self.hearing, &mut self.watch);
            self.queue.pump_past(&mut line.playout, |position, samples| {
                watch.look(samples);
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
        self.tell_doubts(now);
        more | self.spoken.take_hungry()
    }

    /// Whether the leg's wake-ups matter: there is something to hear, or something to write.
    pub(super) fn wants_ready(&self) -> bool {
        self.wants_capture()
            || self.queue.has_backlog()
            || self.spoken.is_making()
            || self.has_orders()
    }

    /// Whether commands wait that the leg refused.
    pub(super) fn has_orders(&self) -> bool {
        self.line.is_some() && (self.queue.has_commands() || !self.orders.is_empty())
    }

    /// Whether the next message of a client may be read.
    pub(super) fn may_read(&mut self, place: Place, now: Instant) -> bool {
        self.client_at(place).is_some_and(|client| client.is_closing() || client.may_read(now))
    }

    /// The next report for the call.
    pub(super) fn next_report(&mut self) -> Option<Report> {
        self.reports.pop_front()
    }

    /// Puts a report back that the call could not take yet.
    pub(super) fn keep_report(&mut self, report: Report) {
        self.reports.push_front(report);
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
        self.watch_from(now.at);
    }

    fn sent(&self) -> u64 {
        self.line.as_ref().map_or(0, |line| line.port.sent_samples())
    }

    /// Tells the main client, there or away, and what is for all to those who listen.
    fn tell(&mut self, told: &Told, now: Moment) {
        if let Some(client) = self.conversation() {
            client.tell(told, now);
        }
        if told.is_for_all() {
            self.audience.tell(told, now);
        }
    }

    /// Queues a command for the leg; of switches, only the last position counts.
    fn order(&mut self, command: Command) {
        let kind = std::mem::discriminant(&command);
        if matches!(
            command,
            Command::Pause(_)
                | Command::Listen(_)
                | Command::Monitor(_)
                | Command::Due(_)
                | Command::Background(_)
        ) {
            self.orders.retain(|waiting| std::mem::discriminant(waiting) != kind);
        }
        self.orders.push_back(command);
    }

    fn report(&mut self, report: Report) {
        let expendable = matches!(
            report,
            Report::Dtmf { .. }
                | Report::Attached { .. }
                | Report::Detached
                | Report::ClientEvent { .. }
                | Report::Gone { .. }
                | Report::Flowing
        );
        // How one ended is told in any case.
        let open = matches!(&report, Report::Recording(view) if view.state.is_open());
        let expendable = expendable || open;
        if self.reports.len() < REPORTS_MAX || !expendable {
            self.reports.push_back(report);
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
        client.received += octets.len() as u64;
        let length = octets.len();
        client.pending = octets;
        self.watch_arrival(length, now);
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

    /// Forgets what lies in the rings.
    fn discard_capture(&mut self) {
        let Some(line) = &mut self.line else { return };
        let mut stale = Vec::new();
        let rings = [Some(&mut line.capture), line.monitor.as_mut()];
        for ring in rings.into_iter().flatten() {
            while ring.pop(&mut stale).is_some() {
                stale.clear();
            }
        }
    }
}
