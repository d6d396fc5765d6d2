//! The application leg that plays a prompt: a file, or text as it is being synthesised.
//!
//! ```text
//!  Arc<[i16]> (shared by all calls) ─┐
//!                                    ├─> playout ring ─> worker
//!  speech as it is made ────────────┘
//! ```
//!
//! Owns when the ring is refilled and when the last sample has left. What it waits for, and what a
//! voice or key does to it, stands in `ears`. Copies no prompt: samples go
//! from the shared memory straight into the ring, three times a second. Does not decide what the call
//! does afterwards.

mod ears;
mod reel;

use super::hearing::{Hearing, HearingSpec};
use super::line::{Ears, Line, dtmf_command, split, whole};
use super::transcribe::{Transcribe, Transcriber};
use super::{Control, Report};
use crate::audio::rate::SampleRate;
use crate::call::control::{HeardBy, WishError};
use crate::media::interface::{CLEAR_FADE, Command, Event};
use crate::media::worker::LegHandle;
use crate::speech::stt::{Stt, SttEvent};
use crate::speech::tts::{Speech, SpeechPiece};
use crate::turn::machine::{AmdAction, AmdSpec};
use ears::Holds;
use reel::Reel;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How often the ring is refilled; it holds twice as much, so that a machine that is held up is not
/// heard.
const REFILL: Duration = Duration::from_millis(320);
/// Commands that wait for a leg that refuses them.
const ORDERS_MAX: usize = 16;
/// The token of the clear with which a voice or key ends a prompt.
const CUT: u32 = 1;
/// How soon something that the leg refused is said again.
const RETRY: Duration = Duration::from_millis(20);

/// Where a prompt's samples come from; mono at the leg's sample rate.
pub enum Source {
    /// All of it is there.
    Samples(Arc<[i16]>),
    /// It is being made; the end of the speech is the end of the prompt.
    Speech(Speech),
}

/// What is played.
pub struct PromptSpec {
    /// The samples.
    pub source: Source,
    /// How often it is played; 0: until the call ends.
    pub repeat: u32,
    /// The leg's sample rate in Hz.
    pub sample_rate: u32,
    /// How the caller's words are written down meanwhile, and by whom.
    pub transcribe: Option<(Transcribe, Stt)>,
    /// What else is listened for.
    pub hearing: HearingSpec,
    /// What is done about who answers.
    pub amd: Option<AmdSpec>,
}

/// Starts the application leg of one call; it ends after [`Control::Stop`] or with its queue.
#[must_use]
pub fn spawn(
    spec: PromptSpec,
    control: mpsc::Receiver<Control>,
    reports: mpsc::Sender<Report>,
) -> JoinHandle<()> {
    tokio::spawn(run(spec, control, reports))
}

/// What [`spawn`] spawns, for callers that own a set of tasks.
pub async fn run(
    spec: PromptSpec,
    control: mpsc::Receiver<Control>,
    reports: mpsc::Sender<Report>,
) {
    PromptTask::new(spec, control, reports).run().await;
}

/// Where the end of a prompt is, and whether everybody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// There is more to write.
    Ahead,
    /// The last sample is in the ring, before this position.
    Written(u64),
    /// A voice or key ended it: what lies before this position is thrown away.
    Cut(u64),
    /// It has left, or what was left of it is gone.
    Told,
}

struct PromptTask {
    reel: Reel,
    sample_rate: u64,
    control: mpsc::Receiver<Control>,
    reports: mpsc::Sender<Report>,
    leg: Option<(Line, Ears)>,
    started: bool,
    ending: Ending,
    /// When the leg was last asked to tell the end.
    watched_at: Option<Instant>,
    /// Commands that the leg must still hear.
    orders: Vec<Command>,
    digits: String,
    /// Length of a digit and of a pause, if stated.
    lengths: (Option<u64>, Option<u64>),
    /// Who writes the caller's words down.
    words: Option<Transcriber>,
    /// Who listens for anything else.
    hearing: Option<Box<Hearing>>,
    /// What a voice, a key and whoever answered do to the prompt.
    holds: Holds,
    amd: Option<AmdSpec>,
    repeat: u32,
    heard: Vec<i16>,
}

/// What woke the task.
enum Wake {
    Control(Option<Control>),
    Leg(Option<Event>),
    Piece(Option<Result<SpeechPiece, String>>),
    Captured,
    Words(Option<SttEvent>),
    Clock,
}

impl PromptTask {
    fn new(
        spec: PromptSpec,
        control: mpsc::Receiver<Control>,
        reports: mpsc::Sender<Report>,
    ) -> Self {
        let asked = spec.transcribe.as_ref().and_then(|(wanted, _)| wanted.language.clone());
        let language = asked.unwrap_or_else(|| "en".to_owned());
        let opened = spec.transcribe.map(|(wanted, stt)| {
            Transcriber::open(&stt, &wanted, spec.sample_rate).map_err(|reason| reason.to_string())
        });
        let keeps = spec.amd.is_some_and(|amd| amd.action == AmdAction::LeaveMessage);
        let rate = SampleRate::new(spec.sample_rate).unwrap_or(SampleRate::HZ_8000);
        let ears = || Box::new(Hearing::new(&spec.hearing, &language, rate, now()));
        let mut task = Self {
            reel: Reel::new(spec.source, spec.repeat, keeps),
            sample_rate: u64::from(spec.sample_rate.max(1)),
            control,
            reports,
            leg: None,
            started: false,
            ending: Ending::Ahead,
            watched_at: None,
            orders: Vec::new(),
            digits: String::new(),
            lengths: (None, None),
            words: None,
            holds: Holds::default(),
            hearing: spec.hearing.is_needed().then(ears),
            amd: spec.amd,
            repeat: spec.repeat,
            heard: Vec::new(),
        };
        if let Some(opened) = opened {
            let engine = opened.as_ref().map(|words| words.engine().to_owned());
            task.report(Report::Transcribing(engine.map_err(Clone::clone)));
            task.words = opened.ok();
        }
        task
    }

    async fn run(mut self) {
        loop {
            let wake = self.wake().await;
            self.hear_time();
            let go_on = match wake {
                Wake::Control(control) => self.on_control(control),
                Wake::Leg(Some(event)) if self.is_end(&event) => {
                    self.on_leg(Some(event));
                    self.finish().await;
                    true
                }
                Wake::Leg(event) => self.on_leg(event),
                Wake::Piece(piece) => self.on_piece(piece),
                Wake::Captured => self.listen(),
                Wake::Words(event) => self.on_words(event),
                Wake::Clock => true,
            };
            if !go_on {
                return;
            }
            self.act_on_hearing();
            self.play();
        }
    }

    /// Waits for what happens next.
    ///
    /// Pieces are taken only while the ring has room for them, so a voice that is faster than
    /// speech waits in its queue.
    async fn wake(&mut self) -> Wake {
        let nap = self.nap();
        let has_room = self.reel.next_piece().is_none();
        let listens = self.listens();
        let ready = self.leg.as_ref().filter(|_| listens).map(|(_, ears)| ears.ready.clone());
        let events = self.leg.as_mut().map(|(_, ears)| &mut ears.events);
        let words = self.words.as_mut();
        let speech = self.reel.speech.as_mut().filter(|_| has_room);
        tokio::select! {
            biased;
            event = next(events) => Wake::Leg(event),
            control = self.control.recv() => Wake::Control(control),
            piece = next_piece(speech) => Wake::Piece(piece),
            () = captured(ready) => Wake::Captured,
            event = next_words(words) => Wake::Words(event),
            () = until(nap) => Wake::Clock,
        }
    }

    /// When to look again, if at all.
    fn nap(&self) -> Option<Instant> {
        let playing = self.started && self.leg.is_some() && self.ending != Ending::Told;
        let nap = match (self.orders.is_empty(), playing) {
            (false, _) => Some(RETRY),
            (true, true) => Some(REFILL),
            (true, false) => None,
        };
        let due = self.hearing.as_ref().and_then(|hearing| hearing.deadline()).map(Instant::from);
        [nap.map(|nap| Instant::now() + nap), due].into_iter().flatten().min()
    }

    /// Whether this is what the end of the prompt waits for.
    fn is_end(&self, event: &Event) -> bool {
        match (self.ending, event) {
            (Ending::Written(end), Event::Reached { position, .. }) => end == *position,
            (Ending::Cut(_), Event::Cleared { token, .. }) => *token == CUT,
            (Ending::Ahead | Ending::Written(_) | Ending::Cut(_) | Ending::Told, _) => false,
        }
    }

    fn on_control(&mut self, control: Option<Control>) -> bool {
        match control {
            None | Some(Control::Stop { .. }) => return false,
            Some(Control::Leg(leg)) => self.take_leg(split(*leg)),
            Some(Control::Start) => {
                self.started = true;
                self.hear_answer();
                if let Some(words) = &mut self.words {
                    words.start();
                }
            }
            Some(Control::Yield(reply)) => self.lend(reply),
            Some(Control::SendDtmf { digits, duration_ms, gap_ms }) => {
                self.lengths = (duration_ms, gap_ms);
                let idle = self.digits.is_empty();
                self.digits.push_str(&digits);
                self.digits.truncate(256);
                if idle {
                    self.dial();
                }
            }
            Some(Control::Dtmf { .. }) => self.hear_key(),
            Some(
                Control::CallEvent { .. }
                | Control::Signalled { .. }
                | Control::Leaving
                | Control::Tell(_)
                | Control::Instruct(_)
                | Control::Record { .. }
                | Control::Granted { .. }
                | Control::TransferOver(_),
            ) => {}
        }
        true
    }

    /// Lends the leg: the prompt stands still until it comes back.
    fn lend(&mut self, reply: oneshot::Sender<Result<Box<LegHandle>, WishError>>) {
        let Some((line, ears)) = self.leg.take() else { return };
        self.orders.clear();
        self.digits.clear();
        self.leave_hold();
        match self.ending {
            Ending::Ahead | Ending::Told => {}
            Ending::Written(_) | Ending::Cut(_) => {
                (self.ending, self.watched_at) = (Ending::Ahead, None);
            }
        }
        if let Some(leg) = whole(line, ears)
            && let Err(Ok(leg)) = reply.send(Ok(leg))
        {
            self.take_leg(split(*leg));
        }
    }

    fn take_leg(&mut self, leg: (Line, Ears)) {
        self.orders.push(Command::Listen(self.listens()));
        self.leg = Some(leg);
    }

    /// Whether anybody needs the caller's audio.
    fn listens(&self) -> bool {
        self.words.is_some() || self.hearing.is_some()
    }

    /// Hands the caller's audio to whoever writes it down, and to the ears.
    fn listen(&mut self) -> bool {
        let Some((line, _)) = &mut self.leg else { return true };
        loop {
            self.heard.clear();
            let Some(header) = line.capture.pop(&mut self.heard) else { break };
            if let Some(words) = &mut self.words {
                words.push(header.position, &self.heard);
            }
            if let Some(hearing) = &mut self.hearing {
                hearing.take(header.position, &self.heard);
            }
        }
        true
    }

    fn on_words(&mut self, event: Option<SttEvent>) -> bool {
        let lost = match event {
            Some(SttEvent::Transcript(said)) => {
                if let Some(hearing) = &mut self.hearing {
                    hearing.words(&said.text, said.is_final);
                }
                let line = self.words.as_ref().filter(|_| said.is_final);
                if let Some(line) = line.map(|words| words.utterance(&said)) {
                    self.report(Report::Said(Box::new(line)));
                }
                return true;
            }
            Some(SttEvent::Unavailable(reason)) => reason,
            None => "the engine is gone".to_owned(),
            Some(
                SttEvent::SpeechStarted(_)
                | SttEvent::SpeechEnded(_)
                | SttEvent::TurnEnd { .. }
                | SttEvent::Reconnecting(_)
                | SttEvent::Ready,
            ) => return true,
        };
        self.words = None;
        self.orders.push(Command::Listen(self.listens()));
        self.report(Report::Transcribing(Err(lost)));
        true
    }

    fn on_leg(&mut self, event: Option<Event>) -> bool {
        match event {
            None => {
                self.leg = None;
                self.fail("the media leg is gone");
            }
            Some(Event::Dtmf { digit, duration_ms, inband, .. }) => {
                self.hear_key();
                self.report(Report::Dtmf { digit, duration_ms, method: HeardBy::leg(inband) });
            }
            Some(Event::DtmfDone { .. }) => self.dial(),
            Some(Event::Flowing { .. }) => self.report(Report::Flowing),
            Some(Event::Quiet { .. }) => self.report(Report::Quiet),
            Some(Event::Cleared { played_to, discarded, .. }) => {
                if let Some(hearing) = &mut self.hearing {
                    hearing.cut(played_to, played_to + discarded);
                }
            }
            Some(Event::Reached { .. } | Event::Underrun { .. }) => {}
        }
        true
    }

    fn on_piece(&mut self, piece: Option<Result<SpeechPiece, String>>) -> bool {
        match piece {
            Some(Ok(piece)) => self.reel.add(piece.samples),
            Some(Err(detail)) => {
                self.reel.stop();
                self.fail(&detail);
            }
            None => self.reel.speech = None,
        }
        true
    }

    /// Refills the ring and announces the end.
    fn play(&mut self) {
        let Some((line, _)) = &mut self.leg else { return };
        if self.started && !self.holds.any() && self.ending == Ending::Ahead {
            let hearing = &mut self.hearing;
            self.reel.play(&mut line.playout, |position, samples| {
                if let Some(hearing) = hearing {
                    hearing.queued(position, samples);
                }
            });
            if self.reel.is_done() {
                let position = line.playout.position();
                self.ending = Ending::Written(position);
                self.orders.push(Command::End { position });
            }
        }
        let asked = match self.ending {
            Ending::Ahead | Ending::Told => None,
            Ending::Written(position) => Some(Command::Watch { position, token: 0 }),
            Ending::Cut(up_to) => Some(Command::Clear { up_to, token: CUT, fade: CLEAR_FADE }),
        };
        if let Some(asked) = asked
            && self.orders.len() < ORDERS_MAX
            && self.watched_at.is_none_or(|at| at.elapsed() >= REFILL)
        {
            // Asked again and again: the answer to one may be lost.
            self.watched_at = Some(Instant::now());
            self.orders.push(asked);
        }
        let refused = self.orders.iter().position(|order| !line.port.send(*order));
        self.orders.drain(..refused.unwrap_or(self.orders.len()));
    }

    /// The end has been reached: everything that could be sent was.
    async fn finish(&mut self) {
        let sent = self.leg.as_ref().map_or(0, |(line, _)| line.port.sent_samples());
        if matches!(self.ending, Ending::Cut(_)) {
            self.note_cut();
        }
        self.ending = Ending::Told;
        let played_ms = sent * 1000 / self.sample_rate;
        // The call waits for nothing else, so this one may wait for room.
        let _ = self.reports.send(Report::PlaybackDone { played_ms }).await;
    }

    fn dial(&mut self) {
        let (duration_ms, gap_ms) = self.lengths;
        if let Some((command, count)) = dtmf_command(&self.digits, duration_ms, gap_ms) {
            self.digits.drain(..count.min(self.digits.len()));
            self.orders.push(command);
        }
    }

    fn fail(&mut self, detail: &str) {
        if self.ending != Ending::Told {
            self.ending = Ending::Told;
            self.report(Report::Failed { detail: detail.to_owned() });
        }
    }

    /// Tells the call; a driver that reads nothing at all loses digits, not the end.
    fn report(&mut self, report: Report) {
        if self.reports.try_send(report).is_err() {
            tracing::debug!("a report of a prompt was dropped: the call's queue is full");
        }
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

/// The next of a queue that may not be there.
async fn next<T>(queue: Option<&mut mpsc::Receiver<T>>) -> Option<T> {
    match queue {
        Some(queue) => queue.recv().await,
        None => std::future::pending().await,
    }
}

/// The next of a speech that may not be there.
async fn next_piece(speech: Option<&mut Speech>) -> Option<Result<SpeechPiece, String>> {
    match speech {
        Some(speech) => speech.next().await,
        None => std::future::pending().await,
    }
}

async fn captured(ready: Option<Arc<Notify>>) {
    match ready {
        Some(ready) => ready.notified().await,
        None => std::future::pending().await,
    }
}

async fn next_words(words: Option<&mut Transcriber>) -> Option<SttEvent> {
    match words {
        Some(words) => words.next().await,
        None => std::future::pending().await,
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
