//! What a brain has done for it: tools that take time, and those that must wait for a turn to be
//! the real one.
//!
//! Owns tasks and timers of running tools; each ends in one answer for the brain. Does not check
//! wishes (`tools` does) and does not end calls (the turn core does).

use super::interface::ToolCall;
use super::tools::http::HttpCall;
use crate::net::http::HttpClient;
use crate::turn::interface::TurnId;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::Duration;
use tokio::task::{AbortHandle, JoinSet};

/// Tools that may run or wait at once in one call.
const ERRANDS_MAX: usize = 32;

/// An answer for the brain.
pub(super) struct Answer {
    /// The turn in which it was asked for.
    pub(super) turn: TurnId,
    /// [`ToolCall::id`].
    pub(super) id: String,
    /// What a model can read.
    pub(super) result: Value,
}

/// The errands of one call.
#[derive(Default)]
pub(super) struct Errands {
    /// Asked for in a turn that may not be the real one.
    held: Vec<(TurnId, ToolCall)>,
    running: JoinSet<Answer>,
    handles: HashMap<tokio::task::Id, (TurnId, AbortHandle)>,
}

impl Errands {
    /// Whether there is room for another.
    pub(super) fn has_room(&self) -> bool {
        self.held.len() + self.running.len() < ERRANDS_MAX
    }

    /// Keeps a wish until its turn is confirmed.
    pub(super) fn hold(&mut self, turn: TurnId, call: ToolCall) {
        self.held.push((turn, call));
    }

    /// The wishes of a turn that is the real one, in order.
    pub(super) fn release(&mut self, turn: TurnId) -> Vec<ToolCall> {
        let held = std::mem::take(&mut self.held);
        let (free, kept) = held.into_iter().partition(|(of, _)| *of == turn);
        self.held = kept;
        let free: Vec<(TurnId, ToolCall)> = free;
        free.into_iter().map(|(_, call)| call).collect()
    }

    /// Forgets a turn: nothing of it is wanted. What a server was asked for may have been done.
    pub(super) fn abandon(&mut self, turn: TurnId) {
        self.held.retain(|(of, _)| *of != turn);
        for (of, handle) in self.handles.values() {
            if *of == turn {
                handle.abort();
            }
        }
    }

    /// Answers after a while.
    pub(super) fn wait(&mut self, turn: TurnId, id: String, time: Duration) {
        self.spawn(turn, async move {
            tokio::time::sleep(time).await;
            let waited_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            Answer { turn, id, result: json!({"ok": true, "waited_ms": waited_ms}) }
        });
    }

    /// Asks a configured server.
    pub(super) fn ask(&mut self, turn: TurnId, call: HttpCall, call_id: String, http: HttpClient) {
        self.spawn(turn, async move {
            let result = call.run(&call_id, &http).await;
            Answer { turn, id: call.id, result }
        });
    }

    /// The next answer; waits for ever when nothing runs. Cancel-safe.
    pub(super) async fn next(&mut self) -> Answer {
        loop {
            match self.running.join_next_with_id().await {
                Some(Ok((task, answer))) => {
                    self.handles.remove(&task);
                    return answer;
                }
                // Abandoned.
                Some(Err(error)) => {
                    self.handles.remove(&error.id());
                }
                None => std::future::pending().await,
            }
        }
    }

    fn spawn(&mut self, turn: TurnId, work: impl Future<Output = Answer> + Send + 'static) {
        let handle = self.running.spawn(work);
        self.handles.insert(handle.id(), (turn, handle));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: &str) -> ToolCall {
        ToolCall { id: id.to_owned(), name: "wait".to_owned(), arguments: Value::Null }
    }

    #[tokio::test(start_paused = true)]
    async fn abandoned_turns_get_no_answers() {
        let mut errands = Errands::default();
        errands.wait(TurnId(1), "a".to_owned(), Duration::from_secs(1));
        errands.wait(TurnId(2), "b".to_owned(), Duration::from_secs(2));
        errands.abandon(TurnId(1));
        let answer = errands.next().await;
        assert_eq!((answer.turn, answer.id.as_str()), (TurnId(2), "b"));
        assert_eq!(answer.result["waited_ms"], 2000);
        assert!(errands.handles.is_empty());
    }

    #[test]
    fn wishes_wait_for_their_turn() {
        let mut errands = Errands::default();
        for (turn, id) in [(1, "a"), (2, "b"), (1, "c")] {
            errands.hold(TurnId(turn), call(id));
        }
        assert_eq!(errands.release(TurnId(1)), [call("a"), call("c")]);
        errands.abandon(TurnId(2));
        assert!(errands.release(TurnId(2)).is_empty());
        for n in 0..ERRANDS_MAX as u64 {
            assert!(errands.has_room());
            errands.hold(TurnId(n), call("x"));
        }
        assert!(!errands.has_room());
    }
}
