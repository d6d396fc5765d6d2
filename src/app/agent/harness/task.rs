//! The task of a harness brain: one connection, repaired a few times, and one turn at a time.
//!
//! ```text
//!  Down ──> Opening ──> Up ──broken──> Opening (within a turn: if nothing was said yet)
//! ```

use super::HarnessSpec;
use super::wire::{self, Message};
use crate::app::agent::interface::{BrainContext, BrainInput, BrainOutput, ToolCall};
use crate::app::agent::text::Splitter;
use crate::net::ws::{WsError, WsMessage, WsReceiver, WsRequest, WsSender, connect};
use crate::turn::interface::{Line, Prompt, TurnId};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Lines that a new connection is told of.
const LINES_MAX: usize = 200;
/// Connections opened within one turn after the first broke.
const REPAIRS_PER_TURN: u32 = 2;
/// Connections opened within one call after the first broke.
const REPAIRS_PER_CALL: u32 = 20;
/// The wait before a repair, times its number.
const REPAIR_AFTER: Duration = Duration::from_millis(250);
/// How long a message may take to leave.
const SEND_WITHIN: Duration = Duration::from_secs(1);
/// How long the goodbye may take, a summary included.
const STOP_WITHIN: Duration = Duration::from_millis(800);
/// Turns that may fail in a row before the brain gives up.
const FAILURES_MAX: u32 = 3;
/// Messages of one connection that make no sense before it is closed.
const NONSENSE_MAX: u32 = 16;
/// Characters of one turn's words, and its tool calls.
const WORDS_MAX: usize = 16_000;
const TOOLS_MAX: usize = 64;

type Opened = Result<(WsSender, WsReceiver), WsError>;

enum Link {
    Down,
    Opening(Pin<Box<dyn Future<Output = Opened> + Send>>),
    Up(Box<(WsSender, WsReceiver)>),
}

/// What ends the task: nobody listens any more.
struct Gone;

/// A harness brain at work.
pub(super) struct Harness {
    spec: HarnessSpec,
    context: BrainContext,
    outputs: mpsc::Sender<BrainOutput>,
    link: Link,
    /// Whether a connection was up before.
    resumed: bool,
    /// Why no connection will ever come up.
    refused: Option<String>,
    repairs: u32,
    nonsense: u32,
    failures: u32,
    lines: VecDeque<Line>,
    turn: Option<Turn>,
}

struct Turn {
    id: TurnId,
    prompt: Prompt,
    speculative: bool,
    /// Whether the server was told of it, and whether it said anything to it.
    told: bool,
    answered: bool,
    repairs: u32,
    deadline: Instant,
    splitter: Splitter,
    token: bool,
    chars: usize,
    tools: usize,
    /// Calls that wait for the turn to be confirmed, and those that wait for their answer.
    held: Vec<ToolCall>,
    working: Vec<String>,
}

enum Wake {
    Input(Option<BrainInput>),
    Opened(Opened),
    Message(Result<WsMessage, WsError>),
    Late,
}

impl Harness {
    pub(super) fn new(
        spec: HarnessSpec,
        context: BrainContext,
        outputs: mpsc::Sender<BrainOutput>,
    ) -> Self {
        Self {
            spec,
            context,
            outputs,
            link: Link::Down,
            resumed: false,
            refused: None,
            repairs: 0,
            nonsense: 0,
            failures: 0,
            lines: VecDeque::new(),
            turn: None,
        }
    }

    pub(super) async fn run(mut self, mut inputs: mpsc::Receiver<BrainInput>) {
        self.open(Duration::ZERO);
        loop {
            let deadline = self.turn.as_ref().filter(|turn| turn.working.is_empty());
            let deadline = deadline.map(|turn| turn.deadline);
            let wake = tokio::select! {
                biased;
                input = inputs.recv() => Wake::Input(input),
                wake = link(&mut self.link) => wake,
                () = late(deadline) => Wake::Late,
            };
            let going_on = match wake {
                Wake::Input(None) => return,
                Wake::Input(Some(BrainInput::Stop)) => return self.stop().await,
                Wake::Input(Some(input)) => self.take(input).await,
                Wake::Opened(opened) => self.opened(opened).await,
                Wake::Message(message) => self.message(message).await,
                Wake::Late => self.late().await,
            };
            if going_on.is_err() {
                return;
            }
        }
    }

    fn open(&mut self, after: Duration) {
        let mut request = WsRequest::new(&self.spec.url);
        request.within = self.spec.connect;
        if let Some(key) = &self.spec.key {
            request = request.with_header("authorization", &format!("Bearer {}", key.expose()));
        }
        self.link = Link::Opening(Box::pin(async move {
            tokio::time::sleep(after).await;
            connect(&request).await
        }));
    }

    async fn take(&mut self, input: BrainInput) -> Result<(), Gone> {
        match input {
            BrainInput::Ask { turn, prompt, speculative } => {
                self.turn = Some(Turn {
                    id: turn,
                    prompt,
                    speculative,
                    told: false,
                    answered: false,
                    repairs: 0,
                    deadline: Instant::now() + self.spec.first_message,
                    splitter: Splitter::default(),
                    token: false,
                    chars: 0,
                    tools: 0,
                    held: Vec::new(),
                    working: Vec::new(),
                });
                if let Some(detail) = self.refused.clone() {
                    return self.failed(detail, true).await;
                }
                if matches!(self.link, Link::Down) {
                    self.open(Duration::ZERO);
                }
                self.tell_turn().await
            }
            BrainInput::Confirm(id) => {
                let Some(turn) = self.turn.as_mut().filter(|turn| turn.id == id) else {
                    return Ok(());
                };
                turn.speculative = false;
                let (held, told) = (std::mem::take(&mut turn.held), turn.told);
                if told {
                    self.tell(wire::confirm(id)).await?;
                }
                for call in held {
                    self.tool(id, call).await?;
                }
                Ok(())
            }
            BrainInput::Abandon(id) => match self.turn.take_if(|turn| turn.id == id) {
                Some(turn) if turn.told => self.tell(wire::abandon(id)).await,
                _ => Ok(()),
            },
            BrainInput::Line(line) => {
                if self.lines.len() >= LINES_MAX {
                    self.lines.pop_front();
                }
                let text = wire::line(&line);
                self.lines.push_back(line);
                self.tell(text).await
            }
            BrainInput::ToolResult { turn: id, id: call, result } => {
                let Some(turn) = self.turn.as_mut().filter(|turn| turn.id == id) else {
                    return Ok(());
                };
                turn.working.retain(|known| *known != call);
                turn.deadline = Instant::now() + self.spec.idle;
                self.tell(wire::tool_result(id, &call, &result)).await
            }
            BrainInput::Stop => Ok(()),
        }
    }

    /// Tells the server of the turn, if it can hear.
    async fn tell_turn(&mut self) -> Result<(), Gone> {
        let (Link::Up(_), Some(turn)) = (&self.link, &mut self.turn) else { return Ok(()) };
        turn.told = true;
        let text = wire::turn(turn.id, &turn.prompt, turn.speculative);
        self.tell(text).await
    }

    /// Sends a message if a connection is up; what is missed is in the next `start`.
    async fn tell(&mut self, text: String) -> Result<(), Gone> {
        let Link::Up(pair) = &mut self.link else { return Ok(()) };
        match pair.0.text(text, SEND_WITHIN).await {
            // What came before the break is still to be read; the receiving half ends with it.
            Ok(()) | Err(WsError::Broken { .. }) => Ok(()),
            Err(error) => self.broken(&error.to_string()).await,
        }
    }

    async fn opened(&mut self, opened: Opened) -> Result<(), Gone> {
        match opened {
            Ok(pair) => {
                self.link = Link::Up(Box::new(pair));
                self.nonsense = 0;
                let start = wire::start(&self.context, self.resumed, self.lines.iter());
                self.resumed = true;
                self.tell(start).await?;
                self.tell_turn().await
            }
            Err(
                error
                @ (WsError::Request { .. } | WsError::Refused { status: 401 | 403 | 404, .. }),
            ) => {
                self.link = Link::Down;
                let detail = error.to_string();
                self.refused = Some(detail.clone());
                self.failed(detail, true).await
            }
            Err(error) => self.broken(&error.to_string()).await,
        }
    }

    /// The connection is gone: it is repaired, and the turn with it if nothing was said to it.
    async fn broken(&mut self, detail: &str) -> Result<(), Gone> {
        self.link = Link::Down;
        self.repairs += 1;
        if self.repairs > REPAIRS_PER_CALL {
            self.refused = Some(detail.to_owned());
        }
        let again = match &mut self.turn {
            None => 1,
            Some(turn) => {
                turn.repairs += 1;
                turn.told = false;
                if turn.answered || turn.repairs > REPAIRS_PER_TURN || self.refused.is_some() {
                    let fatal = self.refused.is_some();
                    return self.failed(detail.to_owned(), fatal).await;
                }
                turn.repairs
            }
        };
        if self.refused.is_none() {
            self.open(REPAIR_AFTER * again);
        }
        Ok(())
    }

    async fn message(&mut self, message: Result<WsMessage, WsError>) -> Result<(), Gone> {
        let text = match message {
            Ok(WsMessage::Text(text)) => text,
            Ok(WsMessage::Binary(_)) => return self.nonsense("octets, not text").await,
            Ok(WsMessage::Closed { code, reason }) => {
                let reason = wire::bounded(&reason, 100);
                return self.broken(&format!("the brain closed with {code} {reason}")).await;
            }
            Err(error) => return self.broken(&error.to_string()).await,
        };
        match wire::read(&text) {
            Ok(message) => self.obey(message).await,
            Err(detail) => self.nonsense(&detail).await,
        }
    }

    async fn nonsense(&mut self, detail: &str) -> Result<(), Gone> {
        tracing::debug!(detail, "the brain's message makes no sense");
        self.nonsense += 1;
        if self.nonsense > NONSENSE_MAX {
            return self.broken("the brain sends nothing but nonsense").await;
        }
        Ok(())
    }

    async fn obey(&mut self, message: Message) -> Result<(), Gone> {
        let id = match &message {
            Message::Usage { input, output } => {
                let (input, output) = (*input, *output);
                return self.send(BrainOutput::Usage { input, output }).await;
            }
            Message::Summary { text } => {
                return self.send(BrainOutput::Summary(text.clone())).await;
            }
            Message::Unknown => return Ok(()),
            Message::Token { turn, .. }
            | Message::Say { turn, .. }
            | Message::Expect { turn, .. }
            | Message::Tool { turn, .. }
            | Message::Done { turn }
            | Message::Failed { turn, .. } => *turn,
        };
        // Words for a turn that is over come late by nature.
        let Some(turn) = self.turn.as_mut().filter(|turn| turn.id == id) else { return Ok(()) };
        turn.answered = true;
        turn.deadline = Instant::now() + self.spec.idle;
        if !std::mem::replace(&mut turn.token, true) {
            self.send(BrainOutput::Token(id)).await?;
        }
        match message {
            Message::Token { text, .. } => self.say(id, &text, None).await,
            Message::Say { text, interruptible, .. } => {
                self.say(id, &text, Some(interruptible)).await
            }
            Message::Expect { expect, .. } => self.send(BrainOutput::Expect(id, expect)).await,
            Message::Tool { call, .. } => self.tool(id, call).await,
            Message::Done { .. } => {
                self.failures = 0;
                self.say(id, "", Some(true)).await?;
                self.turn = None;
                self.send(BrainOutput::Done(id)).await
            }
            Message::Failed { detail, fatal, .. } => self.failed(detail, fatal).await,
            Message::Usage { .. } | Message::Summary { .. } | Message::Unknown => Ok(()),
        }
    }

    /// Says a text in sentences; `whole`: with what came before, to its end.
    async fn say(&mut self, id: TurnId, text: &str, whole: Option<bool>) -> Result<(), Gone> {
        let Some(turn) = &mut self.turn else { return Ok(()) };
        turn.chars += text.chars().count();
        let endless = turn.chars > WORDS_MAX;
        let (mut streamed, mut given) = (Vec::new(), Vec::new());
        if whole.is_some() {
            // A stream before it ends here, in a sentence of its own.
            turn.splitter.flush(&mut streamed);
            let mut splitter = Splitter::default();
            splitter.push(text, &mut given);
            splitter.flush(&mut given);
        } else {
            turn.splitter.push(text, &mut streamed);
        }
        if endless {
            return self.failed("the brain does not stop talking".to_owned(), false).await;
        }
        let streamed = streamed.into_iter().map(|text| (text, true));
        let given = given.into_iter().map(|text| (text, whole.unwrap_or(true)));
        for (text, interruptible) in streamed.chain(given).collect::<Vec<_>>() {
            self.send(BrainOutput::Say { turn: id, text, interruptible }).await?;
        }
        Ok(())
    }

    async fn tool(&mut self, id: TurnId, call: ToolCall) -> Result<(), Gone> {
        self.say(id, "", Some(true)).await?;
        let Some(turn) = &mut self.turn else { return Ok(()) };
        turn.tools += 1;
        if turn.tools > TOOLS_MAX {
            return self.failed("the brain does not stop calling tools".to_owned(), false).await;
        }
        if turn.speculative {
            turn.held.push(call);
            return Ok(());
        }
        turn.working.push(call.id.clone());
        self.send(BrainOutput::Tool(id, call)).await
    }

    async fn late(&mut self) -> Result<(), Gone> {
        let Some(turn) = &self.turn else { return Ok(()) };
        // It has said all that can be said before the caller has finished.
        if turn.speculative && !turn.held.is_empty() {
            let later = Instant::now() + self.spec.idle;
            if let Some(turn) = &mut self.turn {
                turn.deadline = later;
            }
            return Ok(());
        }
        let (id, told) = (turn.id, turn.told);
        self.failed("the brain did not answer in time".to_owned(), false).await?;
        if told { self.tell(wire::abandon(id)).await } else { Ok(()) }
    }

    /// Fails the turn, if there is one.
    async fn failed(&mut self, detail: String, fatal: bool) -> Result<(), Gone> {
        let Some(Turn { id: turn, .. }) = self.turn.take() else { return Ok(()) };
        self.failures += 1;
        let fatal = fatal || self.failures >= FAILURES_MAX;
        self.send(BrainOutput::Failed { turn, detail, fatal }).await
    }

    async fn send(&mut self, output: BrainOutput) -> Result<(), Gone> {
        self.outputs.send(output).await.map_err(|_| Gone)
    }

    /// Says goodbye and takes a last summary.
    async fn stop(mut self) {
        let Link::Up(pair) = &mut self.link else { return };
        let (sender, receiver) = &mut **pair;
        let goodbye = async {
            sender.text(wire::stop(), SEND_WITHIN).await.ok()?;
            while let Ok(WsMessage::Text(text)) = receiver.next().await {
                match wire::read(&text) {
                    Ok(Message::Summary { text }) => return Some(BrainOutput::Summary(text)),
                    Ok(Message::Usage { input, output }) => {
                        let _ = self.outputs.try_send(BrainOutput::Usage { input, output });
                    }
                    _ => {}
                }
            }
            None
        };
        if let Ok(Some(summary)) = tokio::time::timeout(STOP_WITHIN, goodbye).await {
            let _ = self.outputs.try_send(summary);
        }
        let close = sender.close(1000, "the call is over");
        let _ = tokio::time::timeout(Duration::from_millis(100), close).await;
    }
}

async fn link(link: &mut Link) -> Wake {
    match link {
        Link::Down => std::future::pending().await,
        Link::Opening(opening) => Wake::Opened(opening.await),
        Link::Up(pair) => Wake::Message(pair.1.next().await),
    }
}

async fn late(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
