//! One request and its streamed answer; dropping it drops the connection.
//!
//! Owns the retry (one, before the first token, within the time for it) and the names of what
//! went wrong. Knows nothing of turns.

use super::ChatSpec;
use super::sse::{SseDecoder, SseEvent};
use super::wire::{Delta, deltas};
use crate::net::http::{HttpClient, HttpError, HttpRequest, HttpResponse, HttpTimes};
use serde_json::Value;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

/// Pieces that may wait for the task.
const EVENTS_MAX: usize = 64;
/// The longest wait that a server may ask for before the one retry.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(2);
/// The wait when it does not say.
const RETRY_AFTER: Duration = Duration::from_millis(250);
/// How long the token counts may come after the end of the words.
const AFTER_FINISH: Duration = Duration::from_millis(300);
/// The longest answer; comments can keep a stream alive for ever.
const ANSWER_WITHIN: Duration = Duration::from_secs(120);
/// Octets of an answer that is no stream.
const WHOLE_MAX: usize = 512 * 1024;

/// What happens within an exchange.
#[derive(Debug)]
pub(super) enum Event {
    /// A piece of the answer.
    Delta(Delta),
    /// It is over; nothing follows.
    Over(Result<(), Failure>),
}

/// Why an answer did not come, or not all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) detail: String,
    /// Later requests would fail, too.
    pub(super) fatal: bool,
}

impl Failure {
    fn passing(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), fatal: false }
    }
}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Self {
        let fatal = matches!(error, HttpError::Request { .. });
        Self { detail: error.to_string(), fatal }
    }
}

/// One request at work.
pub(super) struct Exchange {
    events: mpsc::Receiver<Event>,
    work: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Exchange {
    /// Begins a request; nothing happens until [`Self::next`] is awaited.
    pub(super) fn begin(spec: ChatSpec, http: HttpClient, body: Value) -> Self {
        let (tell, events) = mpsc::channel(EVENTS_MAX);
        let work = async move {
            let outcome = timeout(ANSWER_WITHIN, ask(&spec, &http, &body, &tell)).await;
            let endless = || Err(Failure::passing("the answer does not end"));
            let outcome = outcome.unwrap_or_else(|_| endless());
            // The task that would hear of it may be gone.
            let _ = tell.send(Event::Over(outcome)).await;
        };
        Self { events, work: Some(Box::pin(work)) }
    }

    /// What happens next; after [`Event::Over`] it waits for ever. Cancel-safe.
    pub(super) async fn next(&mut self) -> Event {
        loop {
            let Some(work) = &mut self.work else {
                match self.events.recv().await {
                    Some(event) => return event,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                event = self.events.recv() => match event {
                    Some(event) => return event,
                    None => std::future::pending().await,
                },
                () = work => self.work = None,
            }
        }
    }
}

async fn ask(
    spec: &ChatSpec,
    http: &HttpClient,
    body: &Value,
    tell: &mpsc::Sender<Event>,
) -> Result<(), Failure> {
    let deadline = Instant::now() + spec.first_token;
    let response = open(spec, http, body, deadline).await?;
    let kind = response.header("content-type").unwrap_or_default().to_ascii_lowercase();
    let mut reader = Reader { tell, begun: false, finished: false };
    if kind.starts_with("text/event-stream") {
        return read_stream(response, &mut reader, deadline, spec.first_token).await;
    }
    if kind.starts_with("application/json") {
        // A server that does not stream answers at once and whole.
        let whole = timeout_at(deadline, response.body(WHOLE_MAX)).await;
        let whole = whole.map_err(|_| late(spec.first_token))??;
        reader.event(&String::from_utf8_lossy(&whole)).await?;
        return Ok(());
    }
    let kind: String = kind.chars().filter(|c| !c.is_control()).take(64).collect();
    Err(Failure::passing(format!("the model's server answers with {kind:?}, no stream of events")))
}

/// Sends the request until an answer begins, twice at most.
async fn open(
    spec: &ChatSpec,
    http: &HttpClient,
    body: &Value,
    deadline: Instant,
) -> Result<HttpResponse, Failure> {
    let mut retried = false;
    loop {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let sent = http.send(request(spec, body, left)).await;
        let (wait, failure) = match sent {
            Ok(response) if response.is_success() => return Ok(response),
            Ok(response) => {
                let status = response.status();
                let wait = response.retry_after().unwrap_or(RETRY_AFTER);
                let excerpt = timeout(Duration::from_secs(1), response.excerpt()).await;
                let excerpt = excerpt.unwrap_or_default();
                let detail = format!("the model's server answers with status {status}: {excerpt}");
                let fatal = matches!(status, 401 | 403 | 404);
                let passing = matches!(status, 408 | 429 | 500..=599);
                (passing.then_some(wait), Failure { detail, fatal })
            }
            Err(error @ HttpError::Unreachable { .. }) => (Some(RETRY_AFTER), error.into()),
            Err(error) => (None, error.into()),
        };
        let Some(wait) = wait.filter(|wait| !retried && *wait <= RETRY_AFTER_MAX) else {
            return Err(failure);
        };
        if Instant::now() + wait >= deadline {
            return Err(failure);
        }
        retried = true;
        tokio::time::sleep(wait).await;
    }
}

fn request(spec: &ChatSpec, body: &Value, left: Duration) -> HttpRequest {
    let url = format!("{}/chat/completions", spec.url.trim_end_matches('/'));
    let times = HttpTimes { first_byte: left, idle: spec.idle };
    let request = HttpRequest { times, ..HttpRequest::post_json(&url, body) };
    let request = request.with_header("accept", "text/event-stream");
    match &spec.key {
        Some(key) => request.with_header("authorization", &format!("Bearer {}", key.expose())),
        None => request,
    }
}

fn late(after: Duration) -> Failure {
    Failure::passing(format!("no token came within {} ms", after.as_millis()))
}

async fn read_stream(
    mut response: HttpResponse,
    reader: &mut Reader<'_>,
    deadline: Instant,
    first_token: Duration,
) -> Result<(), Failure> {
    let mut decoder = SseDecoder::default();
    let mut events = Vec::new();
    loop {
        let piece = if reader.finished {
            match timeout(AFTER_FINISH, response.chunk()).await {
                Ok(Ok(piece)) => piece,
                // All words are there; whatever this is, it costs nothing.
                Ok(Err(_)) | Err(_) => return Ok(()),
            }
        } else if reader.begun {
            response.chunk().await?
        } else {
            timeout_at(deadline, response.chunk()).await.map_err(|_| late(first_token))??
        };
        match &piece {
            Some(octets) => {
                let pushed = decoder.push(octets, &mut events);
                pushed.map_err(|error| Failure::passing(error.to_string()))?;
            }
            None => events.extend(decoder.finish()),
        }
        for SseEvent { name, text } in events.drain(..) {
            if text.trim() == "[DONE]" {
                return Ok(());
            }
            reader.event(&text).await?;
            if name == "error" {
                return Err(Failure::passing("the model's server reports an error".to_owned()));
            }
        }
        if piece.is_none() {
            let cut = || Failure::passing("the answer broke off before its end".to_owned());
            return if reader.finished { Ok(()) } else { Err(cut()) };
        }
    }
}

/// Hands pieces on and remembers how far the answer is.
struct Reader<'t> {
    tell: &'t mpsc::Sender<Event>,
    begun: bool,
    finished: bool,
}

impl Reader<'_> {
    async fn event(&mut self, text: &str) -> Result<(), Failure> {
        if text.is_empty() {
            return Ok(());
        }
        for delta in deltas(text).map_err(Failure::passing)? {
            match &delta {
                Delta::Fault(detail) => {
                    let detail = format!("the model's server reports: {detail}");
                    return Err(Failure::passing(detail));
                }
                Delta::Text(_) | Delta::Tool(_) => self.begun = true,
                Delta::Finish(_) => self.finished = true,
                Delta::Usage { .. } => {}
            }
            // Fails only when the exchange is dropped, and this future with it.
            let _ = self.tell.send(Event::Delta(delta)).await;
        }
        Ok(())
    }
}
