//! The task of a speech brain: opens the session, then carries sound and events both ways.

use super::codec::{Codec, Heard};
use super::{LiveInput, LiveOutput, LiveSpec};
use crate::app::agent::interface::BrainContext;
use crate::net::ws::{WsError, WsMessage, WsReceiver, WsRequest, WsSender, connect};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

/// How long a message may take to leave; then the connection is of no use for speech.
const SEND_WITHIN: Duration = Duration::from_secs(2);
/// How long the goodbye may take.
const STOP_WITHIN: Duration = Duration::from_millis(500);
/// The longest wait that a server may ask for before the one retry, and the wait otherwise.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(2);
const RETRY_AFTER: Duration = Duration::from_millis(250);
/// Inputs kept while the session opens, two seconds of sound; the oldest sound goes first.
const EARLY_MAX: usize = 100;
/// Messages that make no sense before the connection is given up.
const NONSENSE_MAX: u32 = 16;

type Pair = (WsSender, WsReceiver);

/// Runs a session to its end.
pub(super) async fn run(
    spec: LiveSpec,
    context: BrainContext,
    mut inputs: mpsc::Receiver<LiveInput>,
    outputs: mpsc::Sender<LiveOutput>,
) {
    let mut codec = Codec::new(&spec);
    let mut early = VecDeque::new();
    let opened = {
        let opening = timeout(spec.ready, open(&spec, &context, &mut codec));
        tokio::pin!(opening);
        loop {
            tokio::select! {
                biased;
                opened = &mut opening => break opened,
                input = inputs.recv() => match input {
                    None | Some(LiveInput::Stop) => return,
                    Some(input) => keep(&mut early, input),
                },
            }
        }
    };
    let late = || Err(format!("the session was not ready within {} ms", spec.ready.as_millis()));
    match opened.unwrap_or_else(|_| late()) {
        Ok(pair) => {
            let deadline = Instant::now() + spec.idle;
            let (idle, nonsense) = (spec.idle, 0);
            let mut session = Session { codec, pair, outputs, idle, deadline, nonsense };
            if let Some(detail) = session.conduct(spec.first_word, early, &mut inputs).await {
                let _ = session.outputs.send(LiveOutput::Failed { detail, fatal: true }).await;
            }
        }
        Err(detail) => {
            let _ = outputs.send(LiveOutput::Failed { detail, fatal: true }).await;
        }
    }
}

fn keep(early: &mut VecDeque<LiveInput>, input: LiveInput) {
    if early.len() >= EARLY_MAX {
        let sound = early.iter().position(|kept| matches!(kept, LiveInput::Audio { .. }));
        early.remove(sound.unwrap_or(0));
    }
    early.push_back(input);
}

/// Connects and asks for the session; comes back when it is ready.
async fn open(spec: &LiveSpec, context: &BrainContext, codec: &mut Codec) -> Result<Pair, String> {
    let mut request = WsRequest::new(&Codec::url(spec, context));
    request.within = spec.ready;
    if let Some(key) = &spec.key {
        request = request.with_header("authorization", &format!("Bearer {}", key.expose()));
    }
    let first = connect(&request).await;
    let wait = match &first {
        Err(WsError::Refused { status: 429 | 500..=599, retry_after, .. }) => {
            Some(retry_after.unwrap_or(RETRY_AFTER)).filter(|wait| *wait <= RETRY_AFTER_MAX)
        }
        Err(WsError::Unreachable { .. }) => Some(RETRY_AFTER),
        Ok(_) | Err(_) => None,
    };
    let opened = match wait {
        Some(wait) => {
            tokio::time::sleep(wait).await;
            connect(&request).await
        }
        None => first,
    };
    let (mut sender, mut receiver) = opened.map_err(|error| error.to_string())?;
    let told = |error: WsError| error.to_string();
    sender.text(Codec::open(spec, context), SEND_WITHIN).await.map_err(told)?;
    loop {
        let text = match receiver.next().await.map_err(told)? {
            WsMessage::Text(text) => text,
            WsMessage::Binary(_) => continue,
            WsMessage::Closed { code, .. } => {
                return Err(format!("the speech model closed with {code} before it was ready"));
            }
        };
        for heard in codec.read(&text)? {
            match heard {
                Heard::Ready => return Ok((sender, receiver)),
                Heard::Output(LiveOutput::Failed { detail, .. }) => return Err(detail),
                Heard::Output(_) | Heard::Reply(_) | Heard::Closed => {}
            }
        }
    }
}

struct Session {
    codec: Codec,
    pair: Pair,
    outputs: mpsc::Sender<LiveOutput>,
    idle: Duration,
    /// While an answer is made: when the next event must be there.
    deadline: Instant,
    nonsense: u32,
}

/// Why a session ends.
enum End {
    /// As it should.
    Over,
    /// The leg hears of it.
    Failed(String),
}

impl From<WsError> for End {
    fn from(error: WsError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl Session {
    /// Until the end; gives what went wrong, if anything did.
    async fn conduct(
        &mut self,
        first_word: bool,
        early: VecDeque<LiveInput>,
        inputs: &mut mpsc::Receiver<LiveInput>,
    ) -> Option<String> {
        let end = match self.begin(first_word, early).await {
            Ok(()) => loop {
                if let Err(end) = self.step(inputs).await {
                    break end;
                }
            },
            Err(end) => end,
        };
        match end {
            End::Over => None,
            End::Failed(detail) => Some(detail),
        }
    }

    async fn begin(&mut self, first_word: bool, early: VecDeque<LiveInput>) -> Result<(), End> {
        self.output(LiveOutput::Ready).await?;
        if first_word {
            let text = self.codec.begin();
            self.send(text).await?;
        }
        for input in early {
            self.take(input).await?;
        }
        Ok(())
    }

    async fn step(&mut self, inputs: &mut mpsc::Receiver<LiveInput>) -> Result<(), End> {
        let answering = self.codec.answering;
        tokio::select! {
            input = inputs.recv() => match input {
                None | Some(LiveInput::Stop) => {
                    self.stop().await;
                    Err(End::Over)
                }
                Some(input) => self.take(input).await,
            },
            message = self.pair.1.next() => {
                self.deadline = Instant::now() + self.idle;
                self.message(message).await
            }
            () = tokio::time::sleep_until(self.deadline), if answering => {
                self.codec.answering = false;
                let detail = "the speech model stopped in the middle of an answer".to_owned();
                self.output(LiveOutput::Failed { detail, fatal: false }).await
            }
        }
    }

    async fn take(&mut self, input: LiveInput) -> Result<(), End> {
        let messages = match input {
            LiveInput::Audio { position, samples } => {
                self.codec.audio(position, &samples).into_iter().collect()
            }
            LiveInput::Truncate { item, audio_end_ms } => self.codec.truncate(&item, audio_end_ms),
            LiveInput::ToolResult { id, result } => self.codec.tool_result(&id, &result),
            LiveInput::Digits(digits) => self.codec.digits(&digits),
            LiveInput::Say(text) => self.codec.say(&text),
            LiveInput::Stop => Vec::new(),
        };
        for text in messages {
            self.send(text).await?;
        }
        Ok(())
    }

    async fn message(&mut self, message: Result<WsMessage, WsError>) -> Result<(), End> {
        let text = match message? {
            WsMessage::Text(text) => text,
            WsMessage::Binary(_) => return self.nonsense(),
            WsMessage::Closed { code, .. } => {
                return Err(End::Failed(format!("the speech model closed with {code}")));
            }
        };
        let Ok(all) = self.codec.read(&text) else { return self.nonsense() };
        for heard in all {
            match heard {
                Heard::Ready => {}
                Heard::Closed => return Err(End::Over),
                Heard::Reply(text) => self.send(text).await?,
                Heard::Output(LiveOutput::Failed { detail, fatal: true }) => {
                    return Err(End::Failed(detail));
                }
                Heard::Output(output) => self.output(output).await?,
            }
        }
        Ok(())
    }

    fn nonsense(&mut self) -> Result<(), End> {
        self.nonsense += 1;
        if self.nonsense > NONSENSE_MAX {
            return Err(End::Failed("the speech model sends nothing but nonsense".to_owned()));
        }
        Ok(())
    }

    async fn send(&mut self, text: String) -> Result<(), End> {
        match self.pair.0.text(text, SEND_WITHIN).await {
            // What came before the break is still to be read; the receiving half ends with it.
            Ok(()) | Err(WsError::Broken { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn output(&mut self, output: LiveOutput) -> Result<(), End> {
        // A leg that is gone wants nothing more.
        self.outputs.send(output).await.map_err(|_| End::Over)
    }

    /// Says goodbye and takes the last count of what it cost.
    async fn stop(&mut self) {
        let goodbye = async {
            if let Some(text) = self.codec.close() {
                self.send(text).await.ok()?;
                while let Ok(WsMessage::Text(text)) = self.pair.1.next().await {
                    for heard in self.codec.read(&text).ok()? {
                        match heard {
                            Heard::Output(usage @ LiveOutput::Usage { .. }) => {
                                let _ = self.outputs.try_send(usage);
                            }
                            Heard::Closed => return None,
                            Heard::Ready | Heard::Reply(_) | Heard::Output(_) => {}
                        }
                    }
                }
            }
            Some(())
        };
        let _ = timeout(STOP_WITHIN, goodbye).await;
        let _ = timeout(STOP_WITHIN, self.pair.0.close(1000, "the call is over")).await;
    }
}
