//! Status callbacks: whoever made a call is told how it is doing, in order.
//!
//! ```text
//!  record (watched) ─> which events have come to pass ─> one POST after the other, retried a little
//! ```
//!
//! Owns which of Twilio's four events a record tells of, and the attempts. Never holds a call up: it
//! reads the record that the call shows. A task ends with the last word; what a node that stops has
//! not told is not told.

use super::web::Web;
use crate::call::record::{CallRecord, Direction};
use crate::call::vendor::twilio_status;
use crate::twiml::{Facts, Link};
use std::time::Duration;
use tokio::sync::watch;

/// Pauses between attempts; then the next event has its turn.
const RETRIES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

/// A moment of a call's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallbackEvent {
    /// It is dialled.
    Initiated,
    /// It rings.
    Ringing,
    /// It is answered.
    Answered,
    /// It is over, however that came.
    Completed,
}

impl CallbackEvent {
    /// All, in order.
    pub const ALL: [Self; 4] = [Self::Initiated, Self::Ringing, Self::Answered, Self::Completed];

    /// By its name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.as_str() == name)
    }

    /// The name in `StatusCallbackEvent`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Initiated => "initiated",
            Self::Ringing => "ringing",
            Self::Answered => "answered",
            Self::Completed => "completed",
        }
    }

    /// Whether a call has come so far.
    fn has_passed(self, record: &CallRecord) -> bool {
        match self {
            Self::Initiated => !twilio_status(record).is_queued(),
            Self::Ringing => record.ringing_at.is_some(),
            Self::Answered => record.answered_at.is_some(),
            Self::Completed => record.ended_at.is_some(),
        }
    }
}

/// Who is told what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusCallback {
    /// Where.
    pub link: Link,
    /// What; in any order.
    pub events: Vec<CallbackEvent>,
}

/// Tells the events of one call; ends when the last is told or given up.
pub async fn tell_status(
    web: Web,
    token: String,
    callback: StatusCallback,
    facts: Facts,
    mut record: watch::Receiver<CallRecord>,
) {
    let mut told = 0;
    loop {
        let (snapshot, over) = {
            let record = record.borrow_and_update();
            (record.clone(), record.ended_at.is_some())
        };
        // What came to pass before a later one is due, however fast they followed each other.
        for event in CallbackEvent::ALL.into_iter().skip(told) {
            if !event.has_passed(&snapshot) && !over {
                break;
            }
            if event.has_passed(&snapshot) && callback.events.contains(&event) {
                let said = parameters(&facts, &snapshot, event, told);
                tell(&web, &token, &callback.link, &said).await;
            }
            told += 1;
        }
        if over || record.changed().await.is_err() {
            return;
        }
    }
}

async fn tell(web: &Web, token: &str, link: &Link, said: &[(String, String)]) {
    let mut pauses = RETRIES.into_iter();
    loop {
        let Err(error) = web.tell(token, link, said).await else { return };
        let Some(pause) = pauses.next() else {
            tracing::warn!(%error, "a status callback was given up");
            return;
        };
        tracing::debug!(%error, "a status callback is tried again");
        tokio::time::sleep(pause).await;
    }
}

/// What an event says.
fn parameters(
    facts: &Facts,
    record: &CallRecord,
    event: CallbackEvent,
    number: usize,
) -> Vec<(String, String)> {
    let status = match event {
        CallbackEvent::Initiated => "initiated",
        CallbackEvent::Ringing => "ringing",
        CallbackEvent::Answered => "in-progress",
        CallbackEvent::Completed => twilio_status(record).as_str(),
    };
    let mut said = facts.parameters(status);
    let mut add = |name: &str, value: String| said.push((name.to_owned(), value));
    add("CallbackSource", "call-progress-events".to_owned());
    add("SequenceNumber", number.to_string());
    if event == CallbackEvent::Completed {
        let talked = record.duration_ms.unwrap_or(0).div_ceil(1000);
        add("CallDuration", talked.to_string());
        add("Duration", talked.div_ceil(60).to_string());
        if let Some(code) = record.sip_code.filter(|_| record.direction == Direction::Outbound) {
            add("SipResponseCode", code.to_string());
        }
    }
    said
}
