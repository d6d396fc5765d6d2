//! The non-INVITE client transaction: RFC 3261 §17.1.2.
//!
//! Owns the retransmission of the request. Does not match, parse or send.

use super::timers::{Lengths, Resend, T2, Timer};
use super::{Effect, Tell};
use std::time::Instant;

// RFC 3261 figure 6:
//
//                                   |Request from TU
//                                   |send request
//               Timer E             V
//               send request  +-----------+
//                   +---------|           |-------------------+
//                   |         |  Trying   |  Timer F          |
//                   +-------->|           |  or Transport Err.|
//                             +-----------+  inform TU        |
//                200-699         |  |                         |
//                resp. to TU     |  |1xx                      |
//                +---------------+  |resp. to TU              |
//                |                  |                         |
//                |   Timer E        V       Timer F           |
//                |   send req +-----------+ or Transport Err. |
//                |  +---------|           | inform TU         |
//                |  |         |Proceeding |------------------>|
//                |  +-------->|           |-----+             |
//                |            +-----------+     |1xx          |
//                |              |      ^        |resp to TU   |
//                | 200-699      |      +--------+             |
//                | resp. to TU  |                             |
//                |              V                             |
//                |            +-----------+                   |
//                |            |           |                   |
//                +----------->| Completed |                   |
//                             |           |                   |
//                             +-----------+                   |
//                                   | Timer K                 |
//                                   V                         |
//                             +-----------+                   |
//                             |Terminated |<------------------+
//                             +-----------+
/// Where the transaction stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// The request is out; nothing has come back.
    Trying(Waiting),
    /// A provisional response came; the request is repeated every T2.
    Proceeding(Waiting),
    /// The final response came; copies of it are absorbed.
    Completed {
        /// Timer K.
        until: Instant,
    },
    /// Over; to be removed from the table.
    Terminated,
}

/// What is kept while the final response is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The request, to be sent again.
    pub request: Vec<u8>,
    /// Timer E.
    pub resend: Option<Resend>,
    /// Timer F.
    pub give_up: Instant,
}

/// What can happen to the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// A 1xx arrived.
    Provisional,
    /// A 2xx to 6xx arrived.
    Final,
    /// The deadline may have passed.
    Timeout,
    /// The transport could not deliver.
    Unreachable,
}

/// One non-INVITE client transaction.
#[derive(Debug)]
pub struct Client {
    lengths: Lengths,
    state: State,
}

impl Client {
    /// Starts the transaction; the caller sends `request` for the first time.
    //= RFC 3261 §17.1.2.2: Timer F at 64*T1, on unreliable transports Timer E at T1
    #[must_use]
    pub fn new(now: Instant, lengths: Lengths, request: Vec<u8>) -> Self {
        let resend = lengths.first_resend(now);
        let give_up = now + lengths.patience();
        Self { lengths, state: State::Trying(Waiting { request, resend, give_up }) }
    }

    /// Makes one step.
    pub fn handle(&mut self, now: Instant, input: Input) -> Effect {
        let state = std::mem::replace(&mut self.state, State::Terminated);
        let (state, effect) = match state {
            State::Trying(waiting) => self.trying(now, input, waiting),
            State::Proceeding(waiting) => self.proceeding(now, input, waiting),
            State::Completed { until } => completed(now, input, until),
            State::Terminated => (State::Terminated, Effect::none()),
        };
        self.state = state;
        effect
    }

    /// When to call with [`Input::Timeout`], and for which timer.
    #[must_use]
    pub fn deadline(&self) -> Option<(Instant, Timer)> {
        match &self.state {
            State::Trying(waiting) | State::Proceeding(waiting) => {
                let again = waiting.resend.map(|resend| (resend.at, Timer::E));
                again.into_iter().chain([(waiting.give_up, Timer::F)]).min()
            }
            State::Completed { until } => Some((*until, Timer::K)),
            State::Terminated => None,
        }
    }

    /// Where the transaction stands.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    fn trying(&self, now: Instant, input: Input, waiting: Waiting) -> (State, Effect) {
        match input {
            Input::Provisional => (State::Proceeding(waiting), Effect::tell(Tell::PassUp)),
            Input::Final => self.complete(now),
            //= RFC 3261 §17.1.2.2: Timer E in Trying: MIN(2*T1, T2) and so on
            Input::Timeout => on_timeout(now, waiting, State::Trying, Resend::doubled_to_t2),
            Input::Unreachable => (State::Terminated, Effect::tell(Tell::Unreachable)),
        }
    }

    fn proceeding(&self, now: Instant, input: Input, waiting: Waiting) -> (State, Effect) {
        match input {
            Input::Provisional => (State::Proceeding(waiting), Effect::tell(Tell::PassUp)),
            Input::Final => self.complete(now),
            //= RFC 3261 §17.1.2.2: Timer E in Proceeding: reset with T2
            Input::Timeout => on_timeout(now, waiting, State::Proceeding, |_, now| Resend {
                at: now + T2,
                interval: T2,
            }),
            Input::Unreachable => (State::Terminated, Effect::tell(Tell::Unreachable)),
        }
    }

    //= RFC 3261 §17.1.2.2: on a final response enter Completed, Timer K at T4 or 0
    fn complete(&self, now: Instant) -> (State, Effect) {
        let until = now + self.lengths.i_and_k();
        (State::Completed { until }, Effect::tell(Tell::PassUp))
    }
}

fn on_timeout(
    now: Instant,
    mut waiting: Waiting,
    state: impl FnOnce(Waiting) -> State,
    next: impl FnOnce(Resend, Instant) -> Resend,
) -> (State, Effect) {
    //= RFC 3261 §17.1.2.2: Timer F: inform the TU about the time-out
    if now >= waiting.give_up {
        return (State::Terminated, Effect::tell(Tell::TimedOut));
    }
    match waiting.resend {
        Some(due) if now >= due.at => {
            let effect = Effect::send(waiting.request.clone());
            waiting.resend = Some(next(due, now));
            (state(waiting), effect)
        }
        Some(_) | None => (state(waiting), Effect::none()),
    }
}

fn completed(now: Instant, input: Input, until: Instant) -> (State, Effect) {
    match input {
        Input::Timeout if now >= until => (State::Terminated, Effect::none()),
        Input::Provisional | Input::Final | Input::Timeout | Input::Unreachable => {
            (State::Completed { until }, Effect::none())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::transaction::testing::{Row, check, ms, origin, udp};

    fn name(state: &State) -> &'static str {
        match state {
            State::Trying(_) => "Trying",
            State::Proceeding(_) => "Proceeding",
            State::Completed { .. } => "Completed",
            State::Terminated => "Terminated",
        }
    }

    fn in_state(state: &str) -> Client {
        let mut machine = Client::new(origin(), udp(), b"OPTIONS".to_vec());
        let step = match state {
            "Trying" => return machine,
            "Proceeding" => Input::Provisional,
            "Completed" => Input::Final,
            "Terminated" => Input::Unreachable,
            other => panic!("no such state: {other}"),
        };
        let _ = machine.handle(origin(), step);
        machine
    }

    #[test]
    fn transition_table_is_the_committed_one() {
        let inputs = [
            ("1xx", Input::Provisional, 0),
            ("200-699", Input::Final, 0),
            ("transport error", Input::Unreachable, 0),
            ("500 ms pass", Input::Timeout, 500),
            ("32 s pass", Input::Timeout, 32_000),
        ];
        let mut rows = Vec::new();
        for state in ["Trying", "Proceeding", "Completed", "Terminated"] {
            for (label, input, later) in inputs {
                let mut machine = in_state(state);
                let effect = machine.handle(origin() + ms(later), input);
                rows.push(Row { state, input: label, next: name(machine.state()), effect });
            }
        }
        check(&rows, "client", include_str!("snapshots/client.txt"));
    }

    fn sent_at(mut machine: Client) -> Vec<u128> {
        let mut sent = Vec::new();
        while let Some((at, _)) = machine.deadline() {
            if machine.handle(at, Input::Timeout).send.is_some() {
                sent.push((at - origin()).as_millis());
            }
        }
        sent
    }

    #[test]
    fn request_is_repeated_up_to_every_four_seconds() {
        let trying = [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
        assert_eq!(sent_at(in_state("Trying")), trying);
        let proceeding = [500, 4500, 8500, 12_500, 16_500, 20_500, 24_500, 28_500];
        assert_eq!(sent_at(in_state("Proceeding")), proceeding);
    }
}
