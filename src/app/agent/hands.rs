//! The agent's hands: what a brain has done for it.
//!
//! ```text
//!  ToolCall ─> Hands { toolbox } ─┬─> Act: something that the call must do, and an answer
//!                                 ├─> digits on their way to the far end
//!                                 └─> tasks that take time ─> Answer
//! ```
//!
//! Owns the checking of wishes, tasks and timers of running tools, and digits that are being sent;
//! every wish ends in one answer for the brain. Does not end calls or speak: an [`Act`] asks for it.

use super::interface::ToolCall;
use super::tools::http::HttpCall;
use super::tools::{ToolRequest, Toolbox, refusal};
use crate::app::line::dtmf_command;
use crate::call::control::{DtmfMethod, DtmfWish};
use crate::media::interface::Command;
use crate::net::http::HttpClient;
use crate::observe::event::{self, Happening as _};
use crate::turn::interface::{Closing, DigitRule, Expect, TurnId};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::Duration;
use tokio::task::{AbortHandle, JoinSet};

/// Tools that may run or wait at once in one call.
const ERRANDS_MAX: usize = 32;
/// Digits that may wait to be sent.
const DIGITS_MAX: usize = 256;
/// Digits that the call is given at once.
const WISH_MAX: usize = 32;

/// An answer for the brain.
pub(super) struct Answer {
    /// The turn in which it was asked for.
    pub(super) turn: TurnId,
    /// [`ToolCall::id`].
    pub(super) id: String,
    /// What a model can read.
    pub(super) result: Value,
}

/// What a wish comes to.
pub(super) enum Act {
    /// Nothing but an answer.
    Answer(Answer),
    /// An answer will come.
    Later,
    /// Keep this as the call's result.
    Record(Value, Answer),
    /// Wait for keys.
    Expect(TurnId, Expect, Answer),
    /// Say this so that nobody cuts in, then end the call.
    Leave(TurnId, String, Answer),
    /// Hand the call over to this target; the answer comes when that is over.
    Transfer(String),
    /// End the call when what was said is out.
    Close(Closing, Answer),
}

/// The next digits to be sent.
pub(super) enum Dial {
    /// By the media leg, which tells when they are out.
    Leg(Command),
    /// By the call, which says whether it takes them on.
    Call(DtmfWish),
}

/// Digits on their way to the far end.
#[derive(Default)]
struct Dialling {
    rest: String,
    /// Some are with the leg or the call.
    out: bool,
    /// The call sends them, not the leg.
    by_call: bool,
    /// Who asked, if a brain did.
    asked: Option<(TurnId, String)>,
}

/// The hands of one call.
pub(super) struct Hands {
    toolbox: Toolbox,
    call_id: String,
    http: HttpClient,
    dialling: Dialling,
    /// The transfer that is under way: who asked, and to whom.
    transferring: Option<(TurnId, String, String)>,
    /// Asked for in a turn that may not be the real one.
    held: Vec<(TurnId, ToolCall)>,
    running: JoinSet<Answer>,
    handles: HashMap<tokio::task::Id, (TurnId, AbortHandle)>,
}

impl Hands {
    pub(super) fn new(toolbox: Toolbox, call_id: String, http: HttpClient) -> Self {
        Self {
            toolbox,
            call_id,
            http,
            dialling: Dialling::default(),
            transferring: None,
            held: Vec::new(),
            running: JoinSet::new(),
            handles: HashMap::new(),
        }
    }

    /// Checks a wish and begins to do it.
    pub(super) fn act(&mut self, turn: TurnId, call: &ToolCall) -> Act {
        let id = call.id.clone();
        let answer = |result| Answer { turn, id: id.clone(), result };
        if self.held.len() + self.running.len() >= ERRANDS_MAX {
            return Act::Answer(answer(refusal("too many tools are running")));
        }
        let request = match self.toolbox.check(call) {
            Ok(request) => request,
            Err(result) => return Act::Answer(answer(result)),
        };
        event::AgentTool { call_id: &self.call_id, tool: &call.name }.report();
        let done = json!({"ok": true});
        match request {
            ToolRequest::HangUp { reason } => Act::Close(Closing::HangUp(reason), answer(done)),
            ToolRequest::Transfer { .. } if self.transferring.is_some() => {
                Act::Answer(answer(refusal("a transfer is under way already")))
            }
            ToolRequest::Transfer { target } => {
                self.transferring = Some((turn, call.id.clone(), target.clone()));
                Act::Transfer(target)
            }
            ToolRequest::SendDtmf { digits } => self.press(turn, call.id.clone(), digits),
            ToolRequest::CollectDtmf { max_digits, finish_key, timeout } => {
                let note = "the digits come as the caller's next words";
                let expect = keys(max_digits, finish_key, timeout);
                Act::Expect(turn, expect, answer(json!({"ok": true, "note": note})))
            }
            ToolRequest::RecordResult { fields } => Act::Record(fields, answer(done)),
            ToolRequest::LeaveVoicemail { message } => Act::Leave(turn, message, answer(done)),
            ToolRequest::Wait { time } => {
                self.wait(turn, call.id.clone(), time);
                Act::Later
            }
            ToolRequest::Http(ask) => {
                self.ask(turn, *ask);
                Act::Later
            }
        }
    }

    /// The result in a wish to record one, if it is in order.
    pub(super) fn result_of(&self, call: &ToolCall) -> Option<Value> {
        match self.toolbox.check(call) {
            Ok(ToolRequest::RecordResult { fields }) => Some(fields),
            Ok(_) | Err(_) => None,
        }
    }

    fn press(&mut self, turn: TurnId, id: String, digits: String) -> Act {
        if self.dialling.out || !self.dialling.rest.is_empty() {
            let result = refusal("other digits are being sent");
            return Act::Answer(Answer { turn, id, result });
        }
        let by_call = self.toolbox.keys_by_call();
        self.dialling = Dialling { rest: digits, out: false, by_call, asked: Some((turn, id)) };
        Act::Later
    }

    /// Sends digits for the call, which wants them sent by the leg; behind digits that are being
    /// sent they go the same way as those.
    pub(super) fn dial(&mut self, digits: &str) {
        if !self.dialling.out && self.dialling.rest.is_empty() {
            self.dialling.by_call = false;
        }
        let room = DIGITS_MAX.saturating_sub(self.dialling.rest.len());
        self.dialling.rest.extend(digits.chars().take(room));
    }

    /// Whether digits wait to be given to the leg.
    pub(super) fn has_digits(&self) -> bool {
        !self.dialling.out && !self.dialling.rest.is_empty()
    }

    /// The next digits, when none are being sent.
    pub(super) fn take_dial(&mut self) -> Option<Dial> {
        if !self.has_digits() {
            return None;
        }
        if self.dialling.by_call {
            self.dialling.out = true;
            let rest = &mut self.dialling.rest;
            let digits: String = rest.drain(..rest.len().min(WISH_MAX)).collect();
            let (duration_ms, gap_ms) = (None, None);
            let method = DtmfMethod::Auto;
            return Some(Dial::Call(DtmfWish { digits, method, duration_ms, gap_ms }));
        }
        let (command, count) = dtmf_command(&self.dialling.rest, None, None)?;
        self.dialling.rest.drain(..count.min(self.dialling.rest.len()));
        self.dialling.out = true;
        Some(Dial::Leg(command))
    }

    /// Digits were sent or taken on, or could not be.
    pub(super) fn dialled(&mut self, sent: bool) -> Option<Answer> {
        self.dialling.out = false;
        if sent && !self.dialling.rest.is_empty() {
            return None;
        }
        self.dialling.rest.clear();
        let (turn, id) = self.dialling.asked.take()?;
        let result = if sent {
            json!({"ok": true})
        } else {
            refusal("digits cannot be sent to the other side")
        };
        Some(Answer { turn, id, result })
    }

    /// A transfer is over: the target that took the call, if it did, and the answer.
    pub(super) fn transferred(
        &mut self,
        result: Result<(), String>,
    ) -> Option<(Option<String>, Answer)> {
        let (turn, id, target) = self.transferring.take()?;
        Some(match result {
            Ok(()) => (Some(target), Answer { turn, id, result: json!({"ok": true}) }),
            Err(detail) => {
                let detail: String = detail.chars().filter(|c| !c.is_control()).collect();
                let detail = format!("the transfer failed, the caller is still here: {detail}");
                (None, Answer { turn, id, result: refusal(&detail) })
            }
        })
    }

    /// Keeps a wish until its turn is confirmed; an answer when too many are kept.
    pub(super) fn hold(&mut self, turn: TurnId, call: ToolCall) -> Option<Answer> {
        if self.held.len() >= ERRANDS_MAX {
            let result = refusal("too many tools are wanted");
            return Some(Answer { turn, id: call.id, result });
        }
        self.held.push((turn, call));
        None
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
    fn wait(&mut self, turn: TurnId, id: String, time: Duration) {
        self.spawn(turn, async move {
            tokio::time::sleep(time).await;
            let waited_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            Answer { turn, id, result: json!({"ok": true, "waited_ms": waited_ms}) }
        });
    }

    /// Asks a configured server.
    fn ask(&mut self, turn: TurnId, call: HttpCall) {
        let (call_id, http) = (self.call_id.clone(), self.http.clone());
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

/// So many keys, and nothing else, answer.
fn keys(max: usize, finish: Option<char>, timeout: Duration) -> Expect {
    let rule = DigitRule { allowed: String::new(), min: 1, max, finish };
    Expect { digits: Some(rule), speech: false, timeout: Some(timeout), ..Expect::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::agent::tools::ToolSpec;

    fn call(id: &str, name: &str, arguments: Value) -> ToolCall {
        ToolCall { id: id.to_owned(), name: name.to_owned(), arguments }
    }

    fn hands() -> Hands {
        let allowed = ["hang_up", "wait", "send_dtmf", "collect_dtmf", "leave_voicemail"];
        let allowed = allowed.map(str::to_owned).to_vec();
        let toolbox = Toolbox::new(&ToolSpec { allowed, ..ToolSpec::default() }).unwrap();
        Hands::new(toolbox, "call_1".to_owned(), HttpClient::new())
    }

    #[tokio::test(start_paused = true)]
    async fn abandoned_turns_get_no_answers() {
        let mut hands = hands();
        let wait = |id, seconds| call(id, "wait", json!({ "seconds": seconds }));
        assert!(matches!(hands.act(TurnId(1), &wait("a", 1)), Act::Later));
        assert!(matches!(hands.act(TurnId(2), &wait("b", 2)), Act::Later));
        hands.abandon(TurnId(1));
        let answer = hands.next().await;
        assert_eq!((answer.turn, answer.id.as_str()), (TurnId(2), "b"));
        assert_eq!(answer.result["waited_ms"], 2000);
        assert!(hands.handles.is_empty());
    }

    #[test]
    fn wishes_wait_for_their_turn_and_are_bounded() {
        let mut hands = hands();
        let x = |id| call(id, "wait", Value::Null);
        for (turn, id) in [(1, "a"), (2, "b"), (1, "c")] {
            assert!(hands.hold(TurnId(turn), x(id)).is_none());
        }
        assert_eq!(hands.release(TurnId(1)), [x("a"), x("c")]);
        hands.abandon(TurnId(2));
        assert!(hands.release(TurnId(2)).is_empty());
        for n in 0..ERRANDS_MAX as u64 {
            assert!(hands.hold(TurnId(n), x("x")).is_none());
        }
        assert!(hands.hold(TurnId(1), x("y")).is_some());
        let wish = call("h", "hang_up", json!({ "reason": "bye" }));
        let Act::Answer(answer) = hands.act(TurnId(1), &wish) else { panic!() };
        assert!(answer.result["error"].is_string());
    }

    #[test]
    fn digits_go_out_in_pieces_and_are_answered_once() {
        let mut hands = hands();
        let long = "1234567890".repeat(3);
        let wish = call("d", "send_dtmf", json!({ "digits": long }));
        assert!(matches!(hands.act(TurnId(1), &wish), Act::Later));
        let Act::Answer(busy) = hands.act(TurnId(1), &wish) else { panic!() };
        assert!(busy.result["error"].is_string());
        assert!(hands.has_digits() && hands.take_dial().is_some());
        assert!(hands.take_dial().is_none(), "one command at a time");
        let answer = hands.dialled(true).unwrap();
        assert_eq!((answer.id.as_str(), &answer.result["ok"]), ("d", &json!(true)));
        hands.dial("5");
        assert!(hands.take_dial().is_some() && hands.dialled(false).is_none());
    }

    #[test]
    fn digits_of_a_trunk_that_wants_info_are_the_calls_to_send() {
        let allowed = vec!["send_dtmf".to_owned()];
        let toolbox = Toolbox::new(&ToolSpec { allowed, ..ToolSpec::default() }).unwrap();
        let toolbox = toolbox.with_keys_by_call(true);
        let mut hands = Hands::new(toolbox, "call_1".to_owned(), HttpClient::new());
        let wish = call("d", "send_dtmf", json!({"digits": "12#"}));
        assert!(matches!(hands.act(TurnId(1), &wish), Act::Later));
        let Some(Dial::Call(keys)) = hands.take_dial() else { panic!() };
        assert_eq!((keys.digits.as_str(), keys.method), ("12#", DtmfMethod::Auto));
        assert!(hands.take_dial().is_none() && !hands.has_digits());
        assert_eq!(hands.dialled(true).unwrap().result["ok"], json!(true));
        let more = call("e", "send_dtmf", json!({"digits": "5"}));
        assert!(matches!(hands.act(TurnId(2), &more), Act::Later));
        hands.dial(&"5".repeat(40));
        let Some(Dial::Call(keys)) = hands.take_dial() else { panic!() };
        assert_eq!(keys.digits.len(), WISH_MAX);
        assert!(hands.dialled(true).is_none() && hands.has_digits());
        assert!(hands.take_dial().is_some() && hands.dialled(false).is_some());
        // What the call itself gives is the leg's: it has decided on that.
        hands.dial("5");
        assert!(matches!(hands.take_dial(), Some(Dial::Leg(_))));
    }

    #[test]
    fn a_transfer_is_answered_when_it_is_over() {
        let targets = vec!["desk".to_owned()];
        let spec =
            ToolSpec { allowed: vec!["transfer".to_owned()], targets, ..ToolSpec::default() };
        let toolbox = Toolbox::new(&spec).unwrap();
        let mut hands = Hands::new(toolbox, "call_1".to_owned(), HttpClient::new());
        let wish = call("t", "transfer", json!({"target": "desk"}));
        assert!(matches!(hands.act(TurnId(1), &wish), Act::Transfer(target) if target == "desk"));
        let Act::Answer(busy) = hands.act(TurnId(2), &wish) else { panic!() };
        assert!(busy.result["error"].is_string());
        let (took, answer) = hands.transferred(Err("486".to_owned())).unwrap();
        assert!(took.is_none() && answer.result["error"].as_str().unwrap().contains("486"));
        assert!(hands.transferred(Ok(())).is_none(), "it was answered");
        hands.act(TurnId(3), &wish);
        let (took, answer) = hands.transferred(Ok(())).unwrap();
        assert_eq!((took.as_deref(), answer.turn), (Some("desk"), TurnId(3)));
    }

    #[test]
    fn wishes_that_concern_the_call_are_acts() {
        let mut hands = hands();
        let mut act = |name: &str, arguments| hands.act(TurnId(7), &call("i", name, arguments));
        let Act::Close(Closing::HangUp(reason), _) = act("hang_up", json!({"reason": "bye"}))
        else {
            panic!()
        };
        assert_eq!(reason, "bye");
        let asked = json!({"max_digits": 4, "finish_key": "#", "timeout": 5});
        let Act::Expect(TurnId(7), expect, _) = act("collect_dtmf", asked) else { panic!() };
        let rule = expect.digits.unwrap();
        assert_eq!((rule.max, rule.finish, expect.speech), (4, Some('#'), false));
        let message = json!({"message": "Call back."});
        assert!(
            matches!(act("leave_voicemail", message), Act::Leave(_, text, _) if text == "Call back.")
        );
        let Act::Answer(unknown) = act("sing", json!({})) else { panic!() };
        assert!(unknown.result["error"].is_string());
    }
}
