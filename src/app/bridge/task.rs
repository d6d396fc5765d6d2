//! The task of a bridge: a beat of 5 ms, both legs' events, and the orders of its owner.

use super::flow::Flow;
use super::{BridgeEvent, BridgeReport, BridgeSpec, Order, Side, Sides};
use crate::app::line::{Ears, LegPort, Line, dtmf_command};
use crate::audio::codec::SampleRate;
use crate::audio::resample::Resampler;
use crate::media::interface::{CLEAR_FADE, Command, Due, Event};
use crate::media::level::Level;
use crate::media::pace::Pace;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, timeout};

/// How often sound moves from one leg to the other.
pub(super) const BEAT: Duration = Duration::from_millis(5);
/// How often reports are refreshed and the legs' packet lengths are read.
const REFRESH: Duration = Duration::from_millis(500);
/// How long a muted voice fades.
const FADE: Duration = Duration::from_millis(10);
/// When holes are heard is told again when it has moved by this much.
const DUE_SLACK: Duration = Duration::from_millis(3);
/// Token of our clears; whoever held the leg before, or holds it next, has smaller ones.
const TOKEN: u32 = u32::MAX - 7;
/// How long a leg may take to empty its ring.
const PARTING: Duration = Duration::from_millis(200);
/// Digits that wait to be sent on; more are dropped.
const DIGITS: usize = 32;
/// Commands that wait for a leg that refuses them; more are dropped.
const COMMANDS: usize = 16;
/// Pause between digits that are sent on.
const GAP_MS: u64 = 60;

/// Both legs as the task holds them.
pub(super) type Ends = Sides<End>;

/// One leg as the task holds it.
pub(super) struct End {
    pub(super) line: Line,
    pub(super) ears: Ears,
    /// Its leg has told its end.
    gone: bool,
}

impl From<(Line, Ears)> for End {
    fn from((line, ears): (Line, Ears)) -> Self {
        Self { line, ears, gone: false }
    }
}

/// The sound *from* one side, on its way.
struct Voice {
    rate: SampleRate,
    pace: Pace,
    resampler: Option<Resampler>,
    level: Level,
    flow: Flow,
    /// The listener's ring is being emptied because nobody takes from it.
    clearing: bool,
    /// What the speaker's leg was told of when holes are heard.
    due: Option<Due>,
    /// Digits of this side for the other one, with their lengths.
    digits: VecDeque<(u8, u32)>,
    /// What the listener's leg must still be told.
    commands: VecDeque<Command>,
    heard: Vec<i16>,
    piece: Vec<i16>,
    resampled: Vec<i16>,
}

/// The task of a bridge.
pub(super) struct Task {
    ends: Ends,
    voices: Sides<Voice>,
    rates: Sides<SampleRate>,
    relay_digits: bool,
    orders: mpsc::Receiver<Order>,
    told: mpsc::Sender<BridgeEvent>,
    shown: watch::Sender<BridgeReport>,
    refresh: Instant,
}

/// What woke the task.
enum Wake {
    Order(Option<Order>),
    Told(Side, Option<Event>),
    Captured,
    Beat,
}

impl Task {
    pub(super) fn new(
        ends: Ends,
        spec: BridgeSpec,
        orders: mpsc::Receiver<Order>,
        told: mpsc::Sender<BridgeEvent>,
        shown: watch::Sender<BridgeReport>,
    ) -> Self {
        let voice = |side: Side| Voice::new(side, &spec, ends.of(side.other()).line.port.ptime());
        let voices = Sides { a: voice(Side::A), b: voice(Side::B) };
        Self {
            ends,
            voices,
            rates: spec.rates,
            relay_digits: spec.relay_digits,
            orders,
            told,
            shown,
            refresh: Instant::now() + REFRESH,
        }
    }

    /// Works until it is told to stop, and gives both legs back. Without an owner it ends.
    pub(super) async fn run(mut self) -> Ends {
        self.begin();
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            match self.wake(&mut beat).await {
                Wake::Order(Some(Order::Mute(side, muted))) => {
                    self.voices.of_mut(side).mute(muted);
                }
                Wake::Order(Some(Order::Stop)) => break,
                // Nobody can stop it any more: both legs are closed.
                Wake::Order(None) => return self.ends,
                Wake::Told(side, event) => self.on_event(side, event),
                Wake::Captured => self.capture(),
                Wake::Beat => self.beat(),
            }
        }
        self.part().await;
        self.ends
    }

    async fn wake(&mut self, beat: &mut Interval) -> Wake {
        let Sides { a, b } = &mut self.ends;
        let (ready_a, ready_b) = (Arc::clone(&a.ears.ready), Arc::clone(&b.ears.ready));
        tokio::select! {
            biased;
            order = self.orders.recv() => Wake::Order(order),
            (side, event) = next_event(a, b) => Wake::Told(side, event),
            _ = beat.tick() => Wake::Beat,
            () = captured(&ready_a, &ready_b) => Wake::Captured,
        }
    }

    /// Empties the rings of what they hold from before.
    fn begin(&mut self) {
        for side in Side::BOTH {
            self.drain(side);
            let up_to = self.ends.of(side).line.playout.position();
            let voice = self.voices.of_mut(side.other());
            voice.tell(Command::Clear { up_to, token: TOKEN, fade: CLEAR_FADE });
            voice.tell(Command::Pause(false));
            // A person talks there, who is somewhere already.
            voice.tell(Command::Background(false));
            voice.tell(Command::Listen(true));
            // The end is ahead for ever: playing begins with the first sample, without a wait.
            voice.tell(Command::End { position: u64::MAX });
        }
        self.send_commands();
    }

    fn on_event(&mut self, side: Side, event: Option<Event>) {
        match event {
            None => {
                self.ends.of_mut(side).gone = true;
                self.tell(BridgeEvent::Gone(side));
            }
            Some(Event::Quiet { silent }) => self.tell(BridgeEvent::Quiet { side, silent }),
            Some(Event::Dtmf { digit, duration_ms, inband, .. }) => {
                self.tell(BridgeEvent::Digit { side, digit, duration_ms, inband });
                let digits = &mut self.voices.of_mut(side).digits;
                if self.relay_digits && !inband && digits.len() < DIGITS {
                    digits.push_back((digit, duration_ms));
                }
            }
            Some(Event::Cleared { token: TOKEN, .. }) => {
                self.voices.of_mut(side.other()).clearing = false;
            }
            Some(
                Event::Cleared { .. }
                | Event::Reached { .. }
                | Event::Underrun { .. }
                | Event::DtmfDone { .. }
                | Event::Flowing { .. },
            ) => {}
        }
    }

    fn tell(&self, event: BridgeEvent) {
        // An owner that does not read does not want to know.
        let _ = self.told.try_send(event);
    }

    /// Takes what was said out of the capture rings, when it came.
    fn capture(&mut self) {
        let now = Instant::now().into_std();
        for side in Side::BOTH {
            let (end, voice) = (self.ends.of_mut(side), self.voices.of_mut(side));
            // As many frames as can be there; what comes meanwhile is for the next time.
            for _ in 0..end.line.capture.waiting() {
                voice.heard.clear();
                let Some(header) = end.line.capture.pop(&mut voice.heard) else { break };
                voice.pace.push(now, header, &voice.heard);
            }
        }
    }

    fn beat(&mut self) {
        self.capture();
        let now = Instant::now();
        for side in Side::BOTH {
            let to = self.rates.of(side.other());
            let line = &mut self.ends.of_mut(side.other()).line;
            self.voices.of_mut(side).speak(now.into_std(), line, *to);
            let port = &self.ends.of(side).line.port;
            self.voices.of_mut(side).tell_due(&**port);
            self.relay(side);
        }
        self.send_commands();
        if now >= self.refresh {
            self.refresh = now + REFRESH;
            self.show(now);
        }
    }

    /// Sends the digits of one side to the other, one command at a time.
    fn relay(&mut self, side: Side) {
        let voice = self.voices.of_mut(side);
        let Some((digit, duration_ms)) = voice.digits.front().copied() else { return };
        let text = char::from(digit).to_string();
        let command = dtmf_command(&text, Some(u64::from(duration_ms)), Some(GAP_MS));
        let port = &self.ends.of(side.other()).line.port;
        if command.is_none_or(|(command, _)| port.send(command)) {
            voice.digits.pop_front();
        }
    }

    fn send_commands(&mut self) {
        for side in Side::BOTH {
            let line = &self.ends.of(side.other()).line;
            let commands = &mut self.voices.of_mut(side).commands;
            while let Some(command) = commands.front() {
                if !line.port.send(*command) {
                    break;
                }
                commands.pop_front();
            }
        }
    }

    fn show(&mut self, now: Instant) {
        let mut report = BridgeReport::default();
        for side in Side::BOTH {
            let ptime = self.ends.of(side.other()).line.port.ptime();
            let voice = self.voices.of_mut(side);
            voice.flow.set_ptime(ptime);
            let (late, wait) = self.ends.of(side).line.port.late_packets();
            voice.pace.set_late(now.into_std(), late, wait);
            *report.sound.of_mut(side) = voice.pace.report(now.into_std());
        }
        // Nobody need look.
        let _ = self.shown.send(report);
    }

    /// Empties the rings and waits until the legs have said that they did.
    async fn part(&mut self) {
        for side in Side::BOTH {
            let line = &self.ends.of(side).line;
            let up_to = line.playout.position();
            let ordered = line.port.send(Command::End { position: up_to })
                && line.port.send(Command::Due(None))
                && line.port.send(Command::Clear { up_to, token: TOKEN - 1, fade: CLEAR_FADE });
            // Refused by a full queue, the leg goes on without.
            let _ = line.port.send(Command::Background(true));
            if ordered && !self.ends.of(side).gone {
                // A leg that does not answer in time is given back as it is.
                let _ = timeout(PARTING, self.cleared(side)).await;
            }
            self.drain(side);
        }
    }

    async fn cleared(&mut self, side: Side) {
        while let Some(event) = self.ends.of_mut(side).ears.events.recv().await {
            if matches!(event, Event::Cleared { token, .. } if token == TOKEN - 1) {
                return;
            }
            self.on_event(side, Some(event));
        }
        self.on_event(side, None);
    }

    fn drain(&mut self, side: Side) {
        let capture = &mut self.ends.of_mut(side).line.capture;
        let heard = &mut self.voices.of_mut(side).heard;
        for _ in 0..capture.waiting() {
            heard.clear();
            let _ = capture.pop(heard);
        }
    }
}

impl Voice {
    fn new(side: Side, spec: &BridgeSpec, ptime: Duration) -> Self {
        let (from, to) = (*spec.rates.of(side), *spec.rates.of(side.other()));
        let mut voice = Self {
            rate: from,
            pace: Pace::new(from, spec.pace),
            // Rates of codecs are always within what can be resampled.
            resampler: (from != to).then(|| Resampler::new(from, to).ok()).flatten(),
            level: Level::default(),
            flow: Flow::new(ptime),
            clearing: false,
            due: None,
            digits: VecDeque::new(),
            commands: VecDeque::new(),
            heard: Vec::new(),
            piece: Vec::new(),
            resampled: Vec::new(),
        };
        if *spec.muted.of(side) {
            voice.mute(true);
        }
        voice
    }

    fn mute(&mut self, muted: bool) {
        let fade = usize::try_from(self.rate.samples_in(FADE)).unwrap_or(0);
        self.level.set(if muted { 0.0 } else { 1.0 }, fade);
    }

    /// Keeps a command for the listener's leg.
    fn tell(&mut self, command: Command) {
        if self.commands.len() < COMMANDS {
            self.commands.push_back(command);
        }
    }

    /// Tells the speaker's leg when holes are heard.
    fn tell_due(&mut self, port: &dyn LegPort) {
        let Some(due) = self.pace.due() else { return };
        if !self.due.is_some_and(|told| due.is_near(told, self.rate.hz(), DUE_SLACK))
            && port.send(Command::Due(Some(due)))
        {
            self.due = Some(due);
        }
    }

    /// Writes what is due to the listener's ring.
    fn speak(&mut self, now: std::time::Instant, line: &mut Line, to: SampleRate) {
        let queued = to.duration_of(line.playout.queued() as u64);
        let owed = self.flow.owed(now, queued, self.rate);
        self.pace.set_lead(self.flow.lead());
        self.piece.clear();
        self.piece.resize(owed.samples, 0);
        self.pace.pull(now, &mut self.piece);
        self.level.apply(&mut self.piece);
        let sound = match &mut self.resampler {
            Some(resampler) => {
                self.resampled.clear();
                resampler.process(&self.piece, &mut self.resampled);
                &self.resampled
            }
            None => &self.piece,
        };
        if !owed.discard {
            line.playout.push(sound);
        } else if !std::mem::replace(&mut self.clearing, true) {
            let up_to = line.playout.position();
            self.tell(Command::Clear { up_to, token: TOKEN, fade: CLEAR_FADE });
        }
    }
}

/// The next event of either leg that is not gone.
async fn next_event(a: &mut End, b: &mut End) -> (Side, Option<Event>) {
    tokio::select! {
        event = a.ears.events.recv(), if !a.gone => (Side::A, event),
        event = b.ears.events.recv(), if !b.gone => (Side::B, event),
        else => std::future::pending().await,
    }
}

async fn captured(a: &Notify, b: &Notify) {
    tokio::select! {
        () = a.notified() => {}
        () = b.notified() => {}
    }
}
