//! The application leg that plays a prompt: a file, or text as it is being synthesised.
//!
//! ```text
//!  Arc<[i16]> (shared by all calls) ─┐
//!                                    ├─> playout ring ─> worker
//!  speech as it is made ────────────┘
//! ```
//!
//! Owns when the ring is refilled and when the last sample has left, and, where the request asks who
//! answers, whether it waits for a person or a mailbox's beep. Copies no prompt: samples go
//! from the shared memory straight into the ring, twice a second. Does not decide what the call
//! does afterwards.

use super::hearing::{AmdAction, AmdSpec, Heard, Hearing, HearingSpec, answerer};
use super::line::{Ears, Line, dtmf_command, split, whole};
use super::transcribe::{Transcribe, Transcriber};
use super::{Control, Report};
use crate::audio::rate::SampleRate;
use crate::call::control::{HeardBy, WishError};
use crate::call::record::{EndReason, ToneView};
use crate::media::interface::{CLEAR_FADE, Command, Event};
use crate::media::ring::PlayoutWriter;
use crate::media::worker::LegHandle;
use crate::speech::stt::{Stt, SttEvent};
use crate::speech::tts::{Speech, SpeechPiece};
use crate::turn::machine::{AnsweredBy, Output, Verdict};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How often the ring is refilled; it holds four times as much.
const REFILL: Duration = Duration::from_millis(500);
/// Commands that wait for a leg that refuses them.
const ORDERS_MAX: usize = 16;
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

/// The samples of a prompt and the place in them.
struct Reel {
    /// What is there so far; all of it once `speech` is gone.
    pieces: Vec<Arc<[i16]>>,
    /// Where the rest comes from.
    speech: Option<Speech>,
    /// Whether pieces that were played are still needed.
    keeps: bool,
    /// Rounds still to be played, this one included; `None`: for ever.
    rounds: Option<u32>,
    piece: usize,
    offset: usize,
}

impl Reel {
    fn new(source: Source, repeat: u32, keeps: bool) -> Self {
        let (pieces, speech) = match source {
            Source::Samples(samples) => (vec![samples], None),
            Source::Speech(speech) => (Vec::new(), Some(speech)),
        };
        let rounds = (repeat > 0).then_some(repeat);
        Self { pieces, speech, keeps: keeps || repeat != 1, rounds, piece: 0, offset: 0 }
    }

    /// Begins anew; what is played must have been kept.
    fn rewind(&mut self, repeat: u32) {
        self.rounds = (repeat > 0).then_some(repeat);
        (self.piece, self.offset) = (0, 0);
    }

    fn add(&mut self, piece: Arc<[i16]>) {
        // What is played once is not kept.
        if !self.keeps {
            self.pieces.drain(..self.piece);
            self.piece = 0;
        }
        if !piece.is_empty() {
            self.pieces.push(piece);
        }
    }

    /// Writes what fits.
    fn play(&mut self, ring: &mut PlayoutWriter) {
        while let Some(piece) = self.next_piece() {
            let taken = ring.push(piece);
            self.offset += taken;
            if taken == 0 {
                return;
            }
        }
    }

    /// What comes next, if it is there; begins another round at the end of one.
    fn next_piece(&mut self) -> Option<&[i16]> {
        loop {
            let length = self.pieces.get(self.piece).map(|piece| piece.len());
            match length {
                Some(length) if self.offset < length => break,
                Some(_) => (self.piece, self.offset) = (self.piece + 1, 0),
                None if self.speech.is_some() => return None,
                None => {
                    self.rounds = self.rounds.map(|rounds| rounds.saturating_sub(1));
                    let silent = self.pieces.iter().all(|piece| piece.is_empty());
                    if self.rounds == Some(0) || silent {
                        if !self.keeps {
                            self.pieces.clear();
                        }
                        return None;
                    }
                    (self.piece, self.offset) = (0, 0);
                }
            }
        }
        self.pieces.get(self.piece)?.get(self.offset..)
    }

    /// Whether the last sample has been written.
    fn is_done(&mut self) -> bool {
        self.speech.is_none() && self.next_piece().is_none()
    }
}

/// Where the end of a prompt is, and whether everybody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// There is more to write.
    Ahead,
    /// The last sample is in the ring, before this position.
    Written(u64),
    /// It has left.
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
    amd: Option<AmdSpec>,
    /// It is not known yet whether to play, or a greeting is not over.
    held: bool,
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
            hearing: spec.hearing.is_needed().then(ears),
            amd: spec.amd,
            held: false,
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
            let go_on = match wake {
                Wake::Control(control) => self.on_control(control),
                Wake::Leg(Some(Event::Reached { position, .. }))
                    if self.ending == Ending::Written(position) =>
                {
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
            (false, _) => RETRY,
            (true, true) => REFILL,
            (true, false) => return None,
        };
        Some(Instant::now() + nap)
    }

    fn on_control(&mut self, control: Option<Control>) -> bool {
        match control {
            None | Some(Control::Stop { .. }) => return false,
            Some(Control::Leg(leg)) => self.take_leg(split(*leg)),
            Some(Control::Start) => {
                self.started = true;
                self.held = self.amd.is_some_and(|amd| amd.sync);
                if let Some(hearing) = &mut self.hearing {
                    hearing.answered();
                }
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
            Some(
                Control::CallEvent { .. }
                | Control::Leaving
                | Control::Dtmf { .. }
                | Control::Tell(_)
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
        if self.ending != Ending::Told {
            (self.ending, self.watched_at) = (Ending::Ahead, None);
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
        if let Some(hearing) = &mut self.hearing {
            hearing.on_time(now(), 0, false);
        }
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
        self.act_on_hearing();
        true
    }

    /// Tells and does what the ears put out.
    fn act_on_hearing(&mut self) {
        while let Some(hearing) = &mut self.hearing
            && let Some(heard) = hearing.poll_output()
        {
            match heard {
                Heard::Barge(_) => {}
                Heard::Tone(tone, ms) => self.report(Report::Tone(ToneView::new(&tone, ms))),
                Heard::Machine(Output::Verdict(verdict)) => self.on_verdict(&verdict),
                Heard::Machine(Output::GreetingEnded { .. }) => self.held = false,
            }
        }
        if self.hearing.as_ref().is_some_and(|hearing| hearing.is_done()) {
            // Whoever never said when its greeting ended is not waited for.
            (self.hearing, self.held) = (None, false);
            self.orders.push(Command::Listen(self.listens()));
        }
    }

    fn on_verdict(&mut self, verdict: &Verdict) {
        self.report(Report::Answered(answerer(verdict)));
        let action = self.amd.map(|amd| amd.action);
        match (verdict.by, action) {
            (AnsweredBy::Machine, Some(AmdAction::Hangup)) => {
                let detail = Some(format!("a machine answered: {}", verdict.reason));
                self.report(Report::Ended { reason: EndReason::AmdMachine, detail });
            }
            (AnsweredBy::Machine, Some(AmdAction::LeaveMessage)) if self.ending != Ending::Told => {
                self.rewind();
            }
            (AnsweredBy::Machine | AnsweredBy::Human | AnsweredBy::Unknown, _) => {
                self.held = false;
            }
        }
    }

    /// The prompt begins anew when the greeting is over.
    fn rewind(&mut self) {
        self.held = true;
        self.reel.rewind(self.repeat);
        (self.ending, self.watched_at) = (Ending::Ahead, None);
        if let Some((line, _)) = &self.leg {
            self.orders.retain(|order| !matches!(order, Command::Watch { .. }));
            self.orders.push(Command::Clear {
                up_to: line.playout.position(),
                token: 0,
                fade: CLEAR_FADE,
            });
        }
    }

    fn on_words(&mut self, event: Option<SttEvent>) -> bool {
        let lost = match event {
            Some(SttEvent::Transcript(said)) => {
                if let Some(hearing) = &mut self.hearing {
                    hearing.words(&said.text, said.is_final);
                }
                let line = self.words.as_ref().filter(|_| said.is_final);
                if let Some(line) = line.map(|words| words.utterance(&said)) {
                    self.report(Report::Said(line));
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
                self.report(Report::Dtmf { digit, duration_ms, method: HeardBy::leg(inband) });
            }
            Some(Event::DtmfDone { .. }) => self.dial(),
            Some(Event::Flowing { .. }) => self.report(Report::Flowing),
            Some(Event::Quiet { .. }) => self.report(Report::Quiet),
            Some(Event::Reached { .. } | Event::Cleared { .. } | Event::Underrun { .. }) => {}
        }
        true
    }

    fn on_piece(&mut self, piece: Option<Result<SpeechPiece, String>>) -> bool {
        match piece {
            Some(Ok(piece)) => self.reel.add(piece.samples),
            Some(Err(detail)) => {
                self.reel.speech = None;
                self.reel.pieces.clear();
                self.fail(&detail);
            }
            None => self.reel.speech = None,
        }
        true
    }

    /// Refills the ring and announces the end.
    fn play(&mut self) {
        let Some((line, _)) = &mut self.leg else { return };
        if self.started && !self.held && self.ending == Ending::Ahead {
            self.reel.play(&mut line.playout);
            if self.reel.is_done() {
                let position = line.playout.position();
                self.ending = Ending::Written(position);
                self.orders.push(Command::End { position });
            }
        }
        if let Ending::Written(position) = self.ending
            && self.orders.len() < ORDERS_MAX
            && self.watched_at.is_none_or(|at| at.elapsed() >= REFILL)
        {
            // Asked again and again: the answer to one may be lost.
            self.watched_at = Some(Instant::now());
            self.orders.push(Command::Watch { position, token: 0 });
        }
        let refused = self.orders.iter().position(|order| !line.port.send(*order));
        self.orders.drain(..refused.unwrap_or(self.orders.len()));
    }

    /// The end has been reached: everything that could be sent was.
    async fn finish(&mut self) {
        let sent = self.leg.as_ref().map_or(0, |(line, _)| line.port.sent_samples());
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
mod tests {
    use super::*;
    use crate::app::fake::FakeLeg;

    struct Rig {
        leg: FakeLeg,
        control: mpsc::Sender<Control>,
        reports: mpsc::Receiver<Report>,
        task: JoinHandle<()>,
    }

    impl Rig {
        fn new(source: Source, repeat: u32) -> Self {
            Self::with(source, repeat, None)
        }

        fn with(source: Source, repeat: u32, amd: Option<AmdSpec>) -> Self {
            let (control, from_driver) = mpsc::channel(64);
            let (to_driver, reports) = mpsc::channel(64);
            let hearing =
                HearingSpec { machine: amd.map(|amd| amd.machine), ..HearingSpec::default() };
            let (sample_rate, transcribe) = (8000, None);
            let spec = PromptSpec { source, repeat, sample_rate, transcribe, hearing, amd };
            let mut task = PromptTask::new(spec, from_driver, to_driver);
            let (leg, line, ears) = FakeLeg::line();
            task.take_leg((line, ears));
            Self { leg, control, reports, task: tokio::spawn(task.run()) }
        }

        fn started(source: Source, repeat: u32) -> Self {
            let rig = Self::new(source, repeat);
            rig.control.try_send(Control::Start).ok().unwrap();
            rig
        }

        async fn beats(&mut self, beats: usize) {
            for _ in 0..beats {
                self.leg.beat().await;
            }
        }

        fn reports(&mut self) -> Vec<Report> {
            std::iter::from_fn(|| self.reports.try_recv().ok()).collect()
        }
    }

    fn piece(count: usize) -> SpeechPiece {
        SpeechPiece { samples: samples(count), words: Vec::new() }
    }

    fn samples(count: usize) -> Arc<[i16]> {
        (0..30_000_i16).cycle().take(count).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_prompt_plays_once_from_the_start_and_its_end_is_told() {
        let mut rig = Rig::new(Source::Samples(samples(40_000)), 1);
        rig.beats(20).await;
        assert!(rig.leg.sent.is_empty());
        rig.control.try_send(Control::Start).ok().unwrap();
        rig.beats(250).await;
        assert!(rig.reports().is_empty());
        rig.beats(3).await;
        assert_eq!(rig.leg.sent[..], samples(40_000)[..]);
        assert_eq!(rig.reports(), [Report::PlaybackDone { played_ms: 5000 }]);
        assert!(rig.leg.obeyed.contains(&Command::End { position: 40_000 }));
    }

    #[tokio::test(start_paused = true)]
    async fn one_prompt_is_shared_by_all_calls() {
        let prompt = samples(40_000);
        let mut rigs: Vec<Rig> =
            (0..5).map(|_| Rig::started(Source::Samples(Arc::clone(&prompt)), 1)).collect();
        for rig in &mut rigs {
            rig.beats(2).await;
        }
        assert_eq!(Arc::strong_count(&prompt), 6);
    }

    #[tokio::test(start_paused = true)]
    async fn it_repeats_as_often_as_told_or_for_ever() {
        let mut rig = Rig::started(Source::Samples(samples(300)), 3);
        rig.beats(20).await;
        assert_eq!(rig.leg.sent[..], samples(300).repeat(3)[..]);
        assert_eq!(rig.reports(), [Report::PlaybackDone { played_ms: 112 }]);

        let mut rig = Rig::started(Source::Samples(samples(300)), 0);
        rig.beats(500).await;
        assert!(rig.leg.sent.len() > 79_000);
        assert!(rig.reports().is_empty());
        rig.control
            .try_send(Control::Stop { reason: "completed", sip_code: None, duration_ms: 0 })
            .ok()
            .unwrap();
        rig.task.await.unwrap();
        assert!(rig.leg.is_closed());
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_to_play_is_done_at_once() {
        for repeat in [0, 1, 2] {
            let mut rig = Rig::started(Source::Samples(samples(0)), repeat);
            rig.beats(3).await;
            assert_eq!(rig.reports(), [Report::PlaybackDone { played_ms: 0 }]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_voice_is_heard_before_it_has_finished() {
        let (voice, speech) = Speech::pipe();
        let mut rig = Rig::started(Source::Speech(speech), 2);
        assert!(voice.push(piece(800)));
        rig.beats(10).await;
        assert_eq!(rig.leg.sent.len(), 800);
        assert!(voice.push(piece(400)));
        voice.finish();
        rig.beats(30).await;
        let round: Vec<i16> = samples(800).iter().chain(samples(400).iter()).copied().collect();
        assert_eq!(rig.leg.sent, round.repeat(2));
        assert_eq!(rig.reports(), [Report::PlaybackDone { played_ms: 300 }]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_fast_voice_waits_for_room() {
        let (voice, speech) = Speech::pipe();
        let mut rig = Rig::started(Source::Speech(speech), 1);
        let mut given = 0;
        for _ in 0..50 {
            while voice.waiting() < 4 * 8000 {
                assert!(voice.push(piece(8000)));
                given += 1;
            }
            rig.beats(1).await;
        }
        assert!(given <= 9, "{given} s were taken in 1 s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_voice_that_fails_fails_the_call() {
        let (voice, speech) = Speech::pipe();
        let mut rig = Rig::started(Source::Speech(speech), 1);
        voice.fail("no such voice".into());
        rig.beats(5).await;
        assert_eq!(rig.reports(), [Report::Failed { detail: "no such voice".into() }]);
    }

    #[tokio::test(start_paused = true)]
    async fn events_of_the_leg_reach_the_call_and_digits_the_leg() {
        let mut rig = Rig::started(Source::Samples(samples(8000)), 0);
        rig.leg.events.push_back(Event::Dtmf {
            digit: b'7',
            duration_ms: 90,
            position: 0,
            inband: true,
        });
        rig.leg.events.push_back(Event::Quiet { silent: Duration::from_secs(5) });
        rig.control
            .try_send(Control::SendDtmf { digits: "5".repeat(40), duration_ms: None, gap_ms: None })
            .ok()
            .unwrap();
        rig.beats(5).await;
        let method = HeardBy::Inband;
        let digit = Report::Dtmf { digit: b'7', duration_ms: 90, method };
        assert_eq!(rig.reports(), [digit, Report::Quiet]);
        let sent = rig.leg.obeyed.iter().filter(|order| matches!(order, Command::Dtmf { .. }));
        assert_eq!(sent.count(), 2);
        rig.leg = FakeLeg::line().0;
        tokio::time::sleep(REFILL).await;
        assert!(matches!(rig.reports()[..], [Report::Failed { .. }]));
    }

    /// The caller says this, 20 ms at a time.
    async fn hear(rig: &mut Rig, sound: &[i16]) {
        for frame in sound.chunks_exact(160) {
            rig.leg.hear(frame);
            rig.beats(1).await;
        }
    }

    fn judged(rig: &mut Rig) -> Vec<String> {
        let of = |report: Report| match report {
            Report::Answered(answerer) => Some(answerer.answered_by),
            Report::Ended { reason, .. } => Some(format!("{reason:?}")),
            Report::PlaybackDone { played_ms } => Some(format!("played {played_ms}")),
            _ => None,
        };
        rig.reports().into_iter().filter_map(of).collect()
    }

    fn amd(sync: bool, action: AmdAction) -> AmdSpec {
        AmdSpec { sync, action, machine: crate::turn::machine::MachineSpec::default() }
    }

    /// Somebody who says these sentences, and then listens.
    fn voice(sentences: &[usize], then_ms: usize) -> Vec<i16> {
        let all = crate::audio::vad::tests::sentences();
        let mut sound = vec![0; 4_000];
        for sentence in sentences {
            sound.extend_from_slice(&all[*sentence]);
            sound.extend([0; 1_600]);
        }
        sound.extend(vec![0; then_ms * 8]);
        sound
    }

    #[tokio::test(start_paused = true)]
    async fn a_prompt_waits_for_a_person() {
        let content = Source::Samples(samples(4_000));
        let mut rig = Rig::with(content, 1, Some(amd(true, AmdAction::LeaveMessage)));
        rig.control.try_send(Control::Start).ok().unwrap();
        // "Yes, please."
        let sound = voice(&[1], 1_500);
        hear(&mut rig, &sound[..16_000]).await;
        assert!(rig.leg.sent.is_empty() && rig.leg.is_listening());
        hear(&mut rig, &sound[16_000..]).await;
        assert_eq!(rig.leg.sent[..], samples(4_000)[..]);
        assert_eq!(judged(&mut rig), ["human", "played 500"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_begins_anew_behind_the_beep() {
        for sync in [true, false] {
            let content = Source::Samples(samples(80_000));
            let mut rig = Rig::with(content, 1, Some(amd(sync, AmdAction::LeaveMessage)));
            rig.control.try_send(Control::Start).ok().unwrap();
            hear(&mut rig, &voice(&[0, 3], 200)).await;
            assert_eq!(judged(&mut rig), ["machine"]);
            let before = rig.leg.sent.len();
            assert_eq!(before == 0, sync, "{before}");
            hear(&mut rig, &crate::audio::vad::tests::tones(&[1_000.0], -15.0, 3_200)).await;
            assert_eq!(rig.leg.sent.len(), before, "it is quiet while the greeting lasts");
            hear(&mut rig, &vec![0; 16_000]).await;
            let said = &rig.leg.sent[before..];
            assert!(said.len() > 12_000, "{}", said.len());
            assert_eq!(said[..12_000], samples(12_000)[..], "from its first sample");
            assert!(!rig.leg.is_listening(), "there is nothing more to hear");
            rig.beats(600).await;
            assert_eq!(rig.leg.sent[before..], samples(80_000)[..]);
            assert_eq!(judged(&mut rig).len(), 1, "played to its end");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_machine_may_end_the_call_or_not_matter() {
        for (action, wanted) in [
            (AmdAction::Hangup, vec!["machine", "AmdMachine"]),
            (AmdAction::Report, vec!["machine"]),
        ] {
            let content = Source::Samples(samples(160_000));
            let mut rig = Rig::with(content, 1, Some(amd(false, action)));
            rig.control.try_send(Control::Start).ok().unwrap();
            hear(&mut rig, &voice(&[0, 3], 0)).await;
            assert_eq!(judged(&mut rig), wanted);
            assert!(rig.leg.sent.len() > 16_000, "the first word was not held");
        }
    }
}
