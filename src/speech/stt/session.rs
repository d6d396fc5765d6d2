//! A call's conversation with a network engine, through all its connections.
//!
//! ```text
//!  SttInput ──> Feed ──> Dialect ──> Outbox ──> socket
//!  SttEvent <── Teller <── Dialect <─────────── socket
//!                 │ lost
//!                 └─> tell what is final ─> back off ─> connect ─> replay the last 2 s, untold part
//! ```
//!
//! Owns the socket, the tries, the clocks of stalls and keep-alives, and the polite end. The same
//! for every vendor: what they say is the dialect's. Never slows the call down: when an engine
//! takes nothing, the input's queue fills and drops.

use super::dialect::{Dialect, Heard};
use super::feed::Feed;
use super::input::{Pushed, SttOutlet};
use super::interface::SttEvent;
use super::outbox::Outbox;
use super::teller::Teller;
use crate::net::ws::{self, WsError, WsMessage, WsReceiver, WsRequest, WsSender};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// How patient a session is.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    /// For a handshake.
    pub(super) connect: Duration,
    /// For a message to be taken.
    pub(super) send: Duration,
    /// For an answer that is owed.
    pub(super) stall: Duration,
    /// For the last words after the goodbye.
    pub(super) linger: Duration,
    /// Without audio before a sign of life is given.
    pub(super) keep_alive: Duration,
    /// Between tries; after the last, the engine is given up.
    pub(super) back_off: Vec<Duration>,
    /// The longest `Retry-After` that is waited for.
    pub(super) retry_after_max: Duration,
    /// How long a connection must have worked for its loss to count as the first.
    pub(super) proven: Duration,
    /// For the call to take an event.
    pub(super) told: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self {
            connect: ms(5000),
            send: ms(5000),
            stall: ms(10_000),
            linger: ms(2000),
            // Deepgram hangs up after 10 s and advises 3 to 5.
            keep_alive: ms(4000),
            back_off: [100, 250, 500, 1000, 2000, 4000, 8000].map(ms).to_vec(),
            retry_after_max: ms(30_000),
            proven: ms(30_000),
            told: ms(5000),
        }
    }
}

/// How a conversation, or all of it, ended.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    /// The call wants no more.
    Done,
    /// The connection is of no use any more; `wait`: the server said how long to stay away.
    Lost { reason: String, wait: Option<Duration> },
    /// No connection will be of use.
    GivenUp(String),
}

fn lost(reason: String) -> Ended {
    Ended::Lost { reason, wait: None }
}

/// One happening of a conversation.
enum Happening {
    Heard(Result<WsMessage, WsError>),
    Broken(WsError),
    Told(Option<Pushed>),
    Time,
}

/// The clocks of one connection.
struct Clocks {
    opened: Instant,
    /// When something was last said.
    spoke: Instant,
    /// Since when the engine owes an answer.
    owing: Option<Instant>,
    /// Whether it said anything.
    heard: bool,
    /// When a connection that is being closed is dropped.
    closing: Option<Instant>,
}

/// A transcribed call.
pub(super) struct Session {
    pub(super) dialect: Box<dyn Dialect>,
    pub(super) feed: Feed,
    pub(super) teller: Teller,
    pub(super) input: SttOutlet,
    pub(super) events: mpsc::Sender<SttEvent>,
    pub(super) limits: Limits,
    /// Spreads the tries of many calls: 0 to 255.
    pub(super) spread: u8,
    /// Tries since a connection proved itself.
    pub(super) tries: usize,
}

impl Session {
    /// Transcribes until the call wants no more or the engine is given up.
    pub(super) async fn run(mut self) {
        if let Ended::GivenUp(reason) = self.go_on().await {
            tracing::info!(%reason, "speech recognition given up");
            let _ = self.tell(SttEvent::Unavailable(reason)).await;
        }
    }

    async fn go_on(&mut self) -> Ended {
        loop {
            let connected = self.connect().await;
            let ended = match connected {
                Ok((sender, receiver)) => self.converse(sender, receiver).await,
                Err(ended) => ended,
            };
            let waited = match ended {
                Ended::Lost { reason, wait } => self.recover(reason, wait).await,
                ended => return ended,
            };
            if let Err(ended) = waited {
                return ended;
            }
        }
    }

    async fn connect(&mut self) -> Result<(WsSender, WsReceiver), Ended> {
        let request = WsRequest { within: self.limits.connect, ..self.dialect.request() };
        let connected = tokio::select! {
            connected = ws::connect(&request) => connected,
            () = self.input.gone() => return Err(Ended::Done),
        };
        connected.map_err(|error| match &error {
            WsError::Refused { status, retry_after, .. } => match status {
                408 | 425 | 429 | 500.. => {
                    Ended::Lost { reason: error.to_string(), wait: *retry_after }
                }
                // A wrong key, path or option does not mend itself.
                _ => Ended::GivenUp(error.to_string()),
            },
            WsError::Request { .. } => Ended::GivenUp(error.to_string()),
            WsError::Unreachable { .. } | WsError::Stalled { .. } | WsError::Broken { .. } => {
                lost(error.to_string())
            }
        })
    }

    /// Waits before the next try; an error is the end.
    async fn recover(&mut self, reason: String, wait: Option<Duration>) -> Result<(), Ended> {
        let Some(step) = self.limits.back_off.get(self.tries) else {
            return Err(Ended::GivenUp(format!("{reason} ({} tries)", self.tries + 1)));
        };
        let wait = wait.unwrap_or_default();
        if wait > self.limits.retry_after_max {
            return Err(Ended::GivenUp(format!("{reason} (not before {} s)", wait.as_secs())));
        }
        self.tries += 1;
        // Up to half as much again.
        let pause = (*step + *step * u32::from(self.spread) / 512).max(wait);
        tracing::debug!(%reason, ?pause, "speech recognition is reconnected");
        self.tell(SttEvent::Reconnecting(reason)).await?;
        tokio::select! {
            () = tokio::time::sleep(pause) => Ok(()),
            () = self.input.gone() => Err(Ended::Done),
        }
    }

    async fn converse(&mut self, sender: WsSender, mut receiver: WsReceiver) -> Ended {
        let now = Instant::now();
        let mut clocks =
            Clocks { opened: now, spoke: now, owing: None, heard: false, closing: None };
        let mut line = Outbox::new(sender, self.limits.send);
        let ended = match self.open(&mut line).await {
            Err(ended) => ended,
            Ok(()) => loop {
                let happening = self.next(&mut line, &mut receiver, &clocks).await;
                if let Err(ended) = self.heed(happening, &mut line, &mut clocks).await {
                    break ended;
                }
            },
        };
        match &ended {
            Ended::Done => {
                if clocks.closing.is_some() {
                    // What has no final will have none.
                    let _ = self.save(u64::MAX).await;
                }
                line.close(self.limits.send).await;
            }
            Ended::Lost { .. } | Ended::GivenUp(_) => {
                if clocks.heard && clocks.opened.elapsed() >= self.limits.proven {
                    self.tries = 0;
                }
                if let Err(done) = self.save(self.feed.oldest()).await {
                    return done;
                }
            }
        }
        ended
    }

    /// Says what goes first, and what the engine has to hear again.
    async fn open(&mut self, line: &mut Outbox) -> Result<(), Ended> {
        line.push(self.dialect.opening());
        self.feed.restart(self.teller.told_until());
        self.teller.connected();
        if !self.dialect.greets() {
            self.hear(vec![Heard::Ready]).await?;
        }
        self.send_frames(line);
        Ok(())
    }

    /// The next happening. What may wait, waits in its queue.
    async fn next(
        &mut self,
        line: &mut Outbox,
        receiver: &mut WsReceiver,
        clocks: &Clocks,
    ) -> Happening {
        let deadline = self.deadline(clocks);
        let listens = clocks.closing.is_none() && line.has_room();
        tokio::select! {
            heard = receiver.next() => Happening::Heard(heard),
            error = line.progress() => Happening::Broken(error),
            told = self.input.next(), if listens => Happening::Told(told),
            () = tokio::time::sleep_until(deadline) => Happening::Time,
        }
    }

    async fn heed(
        &mut self,
        happening: Happening,
        line: &mut Outbox,
        clocks: &mut Clocks,
    ) -> Result<(), Ended> {
        let said_before = line.pushed();
        match happening {
            Happening::Heard(Ok(WsMessage::Text(text))) => {
                clocks.heard = true;
                clocks.owing = None;
                let heard = self.dialect.text(&text);
                self.hear(heard).await?;
            }
            // No engine speaks in octets.
            Happening::Heard(Ok(WsMessage::Binary(_))) => {}
            Happening::Heard(Ok(WsMessage::Closed { code, reason })) => {
                let shown: String = reason.chars().filter(|c| !c.is_control()).take(200).collect();
                return Err(clocks.over(format!("the engine closed with {code} {shown}")));
            }
            Happening::Heard(Err(error)) | Happening::Broken(error) => {
                return Err(clocks.over(error.to_string()));
            }
            Happening::Told(Some(pushed)) => self.take(pushed, line),
            Happening::Told(None) => {
                self.flush(line);
                line.push(self.dialect.close());
                clocks.closing = Some(Instant::now() + self.limits.linger);
            }
            Happening::Time => self.on_time(line, clocks).await?,
        }
        let now = Instant::now();
        if line.pushed() != said_before {
            clocks.spoke = now;
        }
        let owes = self.dialect.owes();
        clocks.owing = owes.then(|| clocks.owing.unwrap_or(now));
        if clocks.closing.is_some() && !owes && !self.dialect.hangs_up() {
            return Err(Ended::Done);
        }
        Ok(())
    }

    fn take(&mut self, pushed: Pushed, line: &mut Outbox) {
        match pushed {
            Pushed::Audio { position, samples } => {
                self.feed.take(position, &samples);
                self.send_frames(line);
            }
            Pushed::Finalise => {
                self.flush(line);
                line.push(self.dialect.finalise());
            }
            Pushed::Phrases(phrases) => line.push(self.dialect.phrases(&phrases)),
        }
    }

    fn send_frames(&mut self, line: &mut Outbox) {
        while let Some(frame) = self.feed.frame(self.dialect.frame_min()) {
            line.push(vec![self.dialect.audio(&frame)]);
        }
    }

    fn flush(&mut self, line: &mut Outbox) {
        self.send_frames(line);
        if let Some(frame) = self.feed.flush(self.dialect.frame_min()) {
            line.push(vec![self.dialect.audio(&frame)]);
        }
    }

    /// The earliest of all deadlines.
    fn deadline(&self, clocks: &Clocks) -> Instant {
        let stall = clocks.owing.map(|since| since + self.limits.stall);
        let alive = self.dialect.keep_alive().map(|_| clocks.spoke + self.limits.keep_alive);
        let deadlines = [clocks.closing, stall, alive, self.teller.due()];
        // An hour is as good as never, and wakes an idle session at no cost.
        let never = Instant::now() + Duration::from_secs(3600);
        deadlines.into_iter().flatten().min().unwrap_or(never)
    }

    async fn on_time(&mut self, line: &mut Outbox, clocks: &Clocks) -> Result<(), Ended> {
        let now = Instant::now();
        if clocks.closing.is_some_and(|at| now >= at) {
            return Err(Ended::Done);
        }
        if clocks.owing.is_some_and(|since| now >= since + self.limits.stall) {
            let silence = self.limits.stall.as_millis();
            return Err(clocks.over(format!("the engine said nothing for {silence} ms")));
        }
        if now >= clocks.spoke + self.limits.keep_alive {
            line.push(self.dialect.keep_alive().into_iter().collect());
        }
        match self.teller.overdue(now) {
            Some(event) => self.tell(event).await,
            None => Ok(()),
        }
    }

    /// Tells what the engine said; its failure is the conversation's.
    async fn hear(&mut self, heard: Vec<Heard>) -> Result<(), Ended> {
        for heard in heard {
            match heard {
                Heard::Failed { reason, fatal: true } => return Err(Ended::GivenUp(reason)),
                Heard::Failed { reason, fatal: false } => return Err(lost(reason)),
                heard => {
                    if let Some(event) = self.teller.tell(heard, &self.feed, Instant::now()) {
                        self.tell(event).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Tells what a connection leaves behind; from `oldest` on, another will hear it again.
    async fn save(&mut self, oldest: u64) -> Result<(), Ended> {
        let heard = self.dialect.lost();
        let saved = match self.hear(heard).await {
            Err(Ended::Done) => return Err(Ended::Done),
            _ => self.teller.lost(oldest),
        };
        for event in saved {
            self.tell(event).await?;
        }
        Ok(())
    }

    async fn tell(&mut self, event: SttEvent) -> Result<(), Ended> {
        let taken = deliver(&self.events, event, self.limits.told).await;
        if taken { Ok(()) } else { Err(Ended::Done) }
    }
}

/// Hands an event to a call; whether the call is still there. A partial that finds no room is left
/// out. Another waits; a call that takes nothing for long is held for gone.
pub(super) async fn deliver(
    events: &mpsc::Sender<SttEvent>,
    event: SttEvent,
    within: Duration,
) -> bool {
    let event = match events.try_send(event) {
        Ok(()) => return true,
        Err(mpsc::error::TrySendError::Closed(_)) => return false,
        Err(mpsc::error::TrySendError::Full(event)) => event,
    };
    let partial = matches!(&event, SttEvent::Transcript(words) if !words.is_final);
    partial || events.send_timeout(event, within).await.is_ok()
}

impl Clocks {
    /// What the end of a connection means: nothing, when it was asked for.
    fn over(&self, reason: String) -> Ended {
        if self.closing.is_some() { Ended::Done } else { lost(reason) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{SttEngineKind, SttEngineSpec, SttRequest, dialect, input};
    use super::*;

    fn session(spread: u8) -> (Session, input::SttInput, mpsc::Receiver<SttEvent>) {
        let (sender, events) = mpsc::channel(64);
        let (near, outlet) = input::queue(8000);
        let spec = SttEngineSpec::new("v", SttEngineKind::Vosk);
        let request = SttRequest { rate: 8000, ..SttRequest::default() };
        let session = Session {
            dialect: dialect(&spec, &request).unwrap(),
            feed: Feed::new(8000),
            teller: Teller::new(8000, true, None),
            input: outlet,
            events: sender,
            limits: Limits::default(),
            spread,
            tries: 0,
        };
        (session, near, events)
    }

    async fn pause(session: &mut Session, wait: Option<u64>) -> Result<u128, Ended> {
        let began = Instant::now();
        let wait = wait.map(Duration::from_secs);
        session.recover("gone".to_owned(), wait).await?;
        Ok(began.elapsed().as_millis())
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_obey_the_server_and_end() {
        let (mut session, _input, mut events) = session(0);
        for step in [100, 250, 500] {
            assert_eq!(pause(&mut session, None).await, Ok(step));
        }
        assert_eq!(pause(&mut session, Some(3)).await, Ok(3000), "the server's wish");
        assert_eq!(pause(&mut session, Some(1)).await, Ok(2000), "ours is longer");
        assert_eq!(events.recv().await, Some(SttEvent::Reconnecting("gone".to_owned())));
        let later = pause(&mut session, Some(31)).await;
        assert_eq!(later, Err(Ended::GivenUp("gone (not before 31 s)".to_owned())));
        assert_eq!(pause(&mut session, None).await, Ok(4000));
        assert_eq!(pause(&mut session, None).await, Ok(8000));
        let over = pause(&mut session, None).await;
        assert_eq!(over, Err(Ended::GivenUp("gone (8 tries)".to_owned())));
    }

    #[tokio::test(start_paused = true)]
    async fn calls_spread_their_tries_and_leave_at_once() {
        let (mut session, input, _events) = session(255);
        assert_eq!(pause(&mut session, None).await, Ok(150), "up to half as much again");
        drop(input);
        let left = pause(&mut session, None);
        assert_eq!(left.await, Err(Ended::Done));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_takes_no_events_is_gone() {
        let (sender, mut events) = mpsc::channel(1);
        let limit = Duration::from_secs(5);
        let partial = |is_final| {
            SttEvent::Transcript(super::super::Transcript {
                id: 0,
                text: "x".into(),
                is_final,
                start: 0,
                end: 1,
                confidence: None,
                language: None,
                constrained: false,
                words: [].into(),
            })
        };
        assert!(deliver(&sender, SttEvent::Ready, limit).await);
        assert!(deliver(&sender, partial(false), limit).await, "left out");
        let began = Instant::now();
        assert!(!deliver(&sender, partial(true), limit).await);
        assert_eq!(began.elapsed(), limit);
        assert_eq!(events.recv().await, Some(SttEvent::Ready));
        drop(events);
        assert!(!deliver(&sender, SttEvent::Ready, limit).await);
    }
}
