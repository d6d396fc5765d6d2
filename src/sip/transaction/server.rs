//! The non-INVITE server transaction: RFC 3261 §17.2.2.
//!
//! Owns the answer to retransmitted requests. Does not match, parse or send.

use super::timers::{Lengths, Timer};
use super::{Effect, Tell};
use std::time::Instant;

// RFC 3261 figure 8:
//
//                                  |Request received
//                                  |pass to TU
//                                  V
//                            +-----------+
//                            |           |
//                            | Trying    |-------------+
//                            |           |             |
//                            +-----------+             |200-699 from TU
//                                  |                   |send response
//                                  |1xx from TU        |
//                                  |send response      |
//                                  |                   |
//               Request            V      1xx from TU  |
//               send response+-----------+send response|
//                   +--------|           |--------+    |
//                   |        | Proceeding|        |    |
//                   +------->|           |<-------+    |
//            +<--------------|           |             |
//            |Trnsprt Err    +-----------+             |
//            |Inform TU            |                   |
//            |                     |                   |
//            |                     |200-699 from TU    |
//            |                     |send response      |
//            |  Request            V                   |
//            |  send response+-----------+             |
//            |      +--------|           |             |
//            |      |        | Completed |<------------+
//            |      +------->|           |
//            +<--------------|           |
//            |Trnsprt Err    +-----------+
//            |Inform TU            |
//            |                     |Timer J fires
//            |                     |-
//            |                     V
//            |               +-----------+
//            +-------------->| Terminated|
//                            +-----------+
/// Where the transaction stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nothing has been answered.
    Trying,
    /// A provisional response was given.
    Proceeding {
        /// The response, to answer a retransmission.
        response: Vec<u8>,
    },
    /// The final response was given.
    Completed {
        /// The response, to answer a retransmission.
        response: Vec<u8>,
        /// Timer J.
        until: Instant,
    },
    /// Over; to be removed from the table.
    Terminated,
}

/// What can happen to the transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The request came again.
    Request,
    /// The TU gives a 1xx.
    Provisional(Vec<u8>),
    /// The TU gives a 2xx to 6xx.
    Final(Vec<u8>),
    /// The deadline may have passed.
    Timeout,
    /// The transport could not deliver.
    Unreachable,
}

/// One non-INVITE server transaction.
#[derive(Debug)]
pub struct Server {
    lengths: Lengths,
    state: State,
}

impl Server {
    /// Starts the transaction for a request that has just come.
    #[must_use]
    pub fn new(lengths: Lengths) -> Self {
        Self { lengths, state: State::Trying }
    }

    /// Makes one step.
    pub fn handle(&mut self, now: Instant, input: Input) -> Effect {
        let state = std::mem::replace(&mut self.state, State::Terminated);
        let (state, effect) = match state {
            State::Trying => self.trying(now, input),
            State::Proceeding { response } => self.proceeding(now, input, response),
            State::Completed { response, until } => completed(now, &input, response, until),
            State::Terminated => (State::Terminated, Effect::none()),
        };
        self.state = state;
        effect
    }

    /// When to call with [`Input::Timeout`], and for which timer.
    #[must_use]
    pub fn deadline(&self) -> Option<(Instant, Timer)> {
        match &self.state {
            State::Trying | State::Proceeding { .. } | State::Terminated => None,
            State::Completed { until, .. } => Some((*until, Timer::J)),
        }
    }

    /// Where the transaction stands.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    fn trying(&self, now: Instant, input: Input) -> (State, Effect) {
        match input {
            //= RFC 3261 §17.2.2: in Trying retransmissions are discarded
            Input::Request | Input::Timeout => (State::Trying, Effect::none()),
            Input::Provisional(response) => {
                let effect = Effect::send(response.clone());
                (State::Proceeding { response }, effect)
            }
            Input::Final(response) => self.complete(now, response),
            Input::Unreachable => (State::Terminated, Effect::tell(Tell::Unreachable)),
        }
    }

    fn proceeding(&self, now: Instant, input: Input, response: Vec<u8>) -> (State, Effect) {
        match input {
            //= RFC 3261 §17.2.2: in Proceeding the most recent provisional response is sent again
            Input::Request => {
                let effect = Effect::send(response.clone());
                (State::Proceeding { response }, effect)
            }
            Input::Provisional(response) => {
                let effect = Effect::send(response.clone());
                (State::Proceeding { response }, effect)
            }
            Input::Final(response) => self.complete(now, response),
            Input::Timeout => (State::Proceeding { response }, Effect::none()),
            Input::Unreachable => (State::Terminated, Effect::tell(Tell::Unreachable)),
        }
    }

    //= RFC 3261 §17.2.2: on a final response enter Completed, Timer J at 64*T1 or 0
    fn complete(&self, now: Instant, response: Vec<u8>) -> (State, Effect) {
        let until = now + self.lengths.j();
        let effect = Effect::send(response.clone());
        (State::Completed { response, until }, effect)
    }
}

fn completed(now: Instant, input: &Input, response: Vec<u8>, until: Instant) -> (State, Effect) {
    match input {
        //= RFC 3261 §17.2.2: in Completed the final response is sent again
        Input::Request => {
            let effect = Effect::send(response.clone());
            (State::Completed { response, until }, effect)
        }
        Input::Timeout if now >= until => (State::Terminated, Effect::none()),
        Input::Unreachable => (State::Terminated, Effect::tell(Tell::Unreachable)),
        //= RFC 3261 §17.2.2: any other final response passed by the TU MUST be discarded
        Input::Provisional(_) | Input::Final(_) | Input::Timeout => {
            (State::Completed { response, until }, Effect::none())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::transaction::testing::{Row, check, ms, origin, udp};

    fn name(state: &State) -> &'static str {
        match state {
            State::Trying => "Trying",
            State::Proceeding { .. } => "Proceeding",
            State::Completed { .. } => "Completed",
            State::Terminated => "Terminated",
        }
    }

    fn in_state(state: &str) -> Server {
        let mut machine = Server::new(udp());
        let step = match state {
            "Trying" => return machine,
            "Proceeding" => Input::Provisional(b"100".to_vec()),
            "Completed" => Input::Final(b"200".to_vec()),
            "Terminated" => Input::Unreachable,
            other => panic!("no such state: {other}"),
        };
        let _ = machine.handle(origin(), step);
        machine
    }

    #[test]
    fn transition_table_is_the_committed_one() {
        let inputs = [
            ("request", Input::Request, 0),
            ("1xx from TU", Input::Provisional(b"100".to_vec()), 0),
            ("200-699 from TU", Input::Final(b"200".to_vec()), 0),
            ("transport error", Input::Unreachable, 0),
            ("32 s pass", Input::Timeout, 32_000),
        ];
        let mut rows = Vec::new();
        for state in ["Trying", "Proceeding", "Completed", "Terminated"] {
            for (label, input, later) in &inputs {
                let mut machine = in_state(state);
                let effect = machine.handle(origin() + ms(*later), input.clone());
                rows.push(Row { state, input: label, next: name(machine.state()), effect });
            }
        }
        check(&rows, "server", include_str!("snapshots/server.txt"));
    }
}
