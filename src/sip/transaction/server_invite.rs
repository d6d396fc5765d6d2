//! The INVITE server transaction: RFC 3261 §17.2.1 as amended by RFC 6026.
//!
//! Owns the retransmission of provisional responses and refusals. The 2xx is retransmitted by the
//! session, which alone sees its ACK. Does not match, parse or send.

use super::timers::{Lengths, Resend, Timer};
use super::{Effect, Tell};
use std::time::Instant;

// RFC 6026 §8.5 (figure 7 of RFC 3261 with the state Accepted):
//
//                                    |INVITE
//                                    |pass INV to TU
//                 INVITE             V send 100
//                 send response+------------+
//                     +--------|            |--------+ 101-199 from TU
//                     |        |            |        | send response
//                     +------->|            |<-------+
//                              | Proceeding |
//                              |            |--------+ Transport Error
//                              |            |        | Inform TU
//                              |            |<-------+
//                              +------------+
//                 300-699 from TU |    |2xx from TU
//                 send response   |    |send response
//                  +--------------+    +------------+
//                  |                                |
// INVITE           V          Timer G fires         |
// send response +-----------+ send response         |
//      +--------|           |--------+              |
//      |        | Completed |        |     INVITE   |  Transport Error
//      +------->|           |<-------+      -       |  Inform TU
//               +-----------+            +-----+    |  +---+
//                  |     |               |     |    v  |   v
//              ACK |     | Timer H       |   +------------+
//              -   |     | Inform TU     +-->|            |<--+ ACK to TU
//                  |     |                   |  Accepted  |---+ 2xx from TU
//                  V     |                   |            |     send response
//               +-----------+                +------------+
//               |           |<--+ ACK             |Timer L
//               | Confirmed |---+                 |
//               +-----------+                     |
//                     | Timer I                   |
//                     V                           V
//               +--------------------------------------+
//               |              Terminated              |
//               +--------------------------------------+
/// Where the transaction stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// No final response has been given.
    Proceeding {
        /// The last provisional response, to answer a retransmitted INVITE.
        provisional: Option<Vec<u8>>,
    },
    /// A 2xx was given; the session repeats it.
    Accepted {
        /// Timer L.
        until: Instant,
    },
    /// A refusal was given; its ACK is missing.
    Completed {
        /// The refusal, to be sent again.
        response: Vec<u8>,
        /// Timer G.
        resend: Option<Resend>,
        /// Timer H.
        give_up: Instant,
    },
    /// The ACK of the refusal came; copies of it are absorbed.
    Confirmed {
        /// Timer I.
        until: Instant,
    },
    /// Over; to be removed from the table.
    Terminated,
}

/// What can happen to the transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The INVITE came again.
    Request,
    /// An ACK with the branch of the INVITE came.
    Ack,
    /// The TU gives a 1xx.
    Provisional(Vec<u8>),
    /// The TU gives a 2xx, for the first time or again.
    Success(Vec<u8>),
    /// The TU gives a 3xx to 6xx.
    Failure(Vec<u8>),
    /// The deadline may have passed.
    Timeout,
    /// The transport could not deliver.
    Unreachable,
}

/// One INVITE server transaction.
#[derive(Debug)]
pub struct ServerInvite {
    lengths: Lengths,
    state: State,
}

impl ServerInvite {
    /// Starts the transaction for an INVITE that has just come.
    #[must_use]
    pub fn new(lengths: Lengths) -> Self {
        Self { lengths, state: State::Proceeding { provisional: None } }
    }

    /// Makes one step.
    pub fn handle(&mut self, now: Instant, input: Input) -> Effect {
        let state = std::mem::replace(&mut self.state, State::Terminated);
        let (state, effect) = match state {
            State::Proceeding { provisional } => self.proceeding(now, input, provisional),
            State::Accepted { until } => accepted(now, input, until),
            State::Completed { response, resend, give_up } => {
                self.completed(now, &input, response, resend, give_up)
            }
            State::Confirmed { until } => confirmed(now, &input, until),
            State::Terminated => (State::Terminated, Effect::none()),
        };
        self.state = state;
        effect
    }

    /// When to call with [`Input::Timeout`], and for which timer.
    #[must_use]
    pub fn deadline(&self) -> Option<(Instant, Timer)> {
        match &self.state {
            State::Proceeding { .. } | State::Terminated => None,
            State::Accepted { until } => Some((*until, Timer::L)),
            State::Completed { resend, give_up, .. } => {
                let again = resend.map(|resend| (resend.at, Timer::G));
                again.into_iter().chain([(*give_up, Timer::H)]).min()
            }
            State::Confirmed { until } => Some((*until, Timer::I)),
        }
    }

    /// Where the transaction stands.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    fn proceeding(
        &self,
        now: Instant,
        input: Input,
        provisional: Option<Vec<u8>>,
    ) -> (State, Effect) {
        match input {
            //= RFC 3261 §17.2.1: a retransmitted request gets the most recent provisional response
            Input::Request => {
                let effect = Effect { send: provisional.clone(), tell: Tell::Nothing };
                (State::Proceeding { provisional }, effect)
            }
            Input::Provisional(bytes) => {
                let effect = Effect::send(bytes.clone());
                (State::Proceeding { provisional: Some(bytes) }, effect)
            }
            //= RFC 6026 §7.1: on a 2xx enter Accepted, set Timer L to 64*T1
            Input::Success(bytes) => {
                let until = now + self.lengths.patience();
                (State::Accepted { until }, Effect::send(bytes))
            }
            //= RFC 3261 §17.2.1: on 300-699 enter Completed, start Timers G (UDP) and H
            Input::Failure(response) => {
                let resend = self.lengths.first_resend(now);
                let give_up = now + self.lengths.patience();
                let effect = Effect::send(response.clone());
                (State::Completed { response, resend, give_up }, effect)
            }
            Input::Unreachable => {
                (State::Proceeding { provisional }, Effect::tell(Tell::Unreachable))
            }
            Input::Ack | Input::Timeout => (State::Proceeding { provisional }, Effect::none()),
        }
    }

    fn completed(
        &self,
        now: Instant,
        input: &Input,
        response: Vec<u8>,
        resend: Option<Resend>,
        give_up: Instant,
    ) -> (State, Effect) {
        match input {
            //= RFC 3261 §17.2.1: a retransmitted INVITE gets the response again
            Input::Request => {
                let effect = Effect::send(response.clone());
                (State::Completed { response, resend, give_up }, effect)
            }
            //= RFC 3261 §17.2.1: on ACK enter Confirmed, Timer I at T4 or 0
            Input::Ack => {
                (State::Confirmed { until: now + self.lengths.i_and_k() }, Effect::none())
            }
            //= RFC 3261 §17.2.1: Timer H: the ACK never came, inform the TU
            Input::Timeout if now >= give_up => (State::Terminated, Effect::tell(Tell::TimedOut)),
            Input::Timeout => match resend {
                Some(due) if now >= due.at => {
                    let effect = Effect::send(response.clone());
                    let resend = Some(due.doubled_to_t2(now));
                    (State::Completed { response, resend, give_up }, effect)
                }
                Some(_) | None => (State::Completed { response, resend, give_up }, Effect::none()),
            },
            Input::Unreachable => {
                (State::Completed { response, resend, give_up }, Effect::tell(Tell::Unreachable))
            }
            //= RFC 3261 §17.2.1: any other final response passed by the TU MUST be discarded
            Input::Provisional(_) | Input::Success(_) | Input::Failure(_) => {
                (State::Completed { response, resend, give_up }, Effect::none())
            }
        }
    }
}

fn accepted(now: Instant, input: Input, until: Instant) -> (State, Effect) {
    match input {
        //= RFC 6026 §7.1: an ACK is passed to the TU, a 2xx from the TU is sent
        Input::Ack => (State::Accepted { until }, Effect::tell(Tell::PassUp)),
        Input::Success(bytes) => (State::Accepted { until }, Effect::send(bytes)),
        Input::Timeout if now >= until => (State::Terminated, Effect::none()),
        Input::Unreachable => (State::Accepted { until }, Effect::tell(Tell::Unreachable)),
        //= RFC 6026 §7.1: retransmissions of the INVITE are absorbed
        Input::Request | Input::Provisional(_) | Input::Failure(_) | Input::Timeout => {
            (State::Accepted { until }, Effect::none())
        }
    }
}

fn confirmed(now: Instant, input: &Input, until: Instant) -> (State, Effect) {
    match input {
        Input::Timeout if now >= until => (State::Terminated, Effect::none()),
        Input::Request
        | Input::Ack
        | Input::Provisional(_)
        | Input::Success(_)
        | Input::Failure(_)
        | Input::Timeout
        | Input::Unreachable => (State::Confirmed { until }, Effect::none()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::transaction::testing::{Row, check, ms, origin, udp};

    fn name(state: &State) -> &'static str {
        match state {
            State::Proceeding { .. } => "Proceeding",
            State::Accepted { .. } => "Accepted",
            State::Completed { .. } => "Completed",
            State::Confirmed { .. } => "Confirmed",
            State::Terminated => "Terminated",
        }
    }

    fn in_state(state: &str) -> ServerInvite {
        let mut machine = ServerInvite::new(udp());
        let refuse = Input::Failure(b"486".to_vec());
        let steps: Vec<(Input, u64)> = match state {
            "Proceeding" => vec![(Input::Provisional(b"100".to_vec()), 0)],
            "Accepted" => vec![(Input::Success(b"200".to_vec()), 0)],
            "Completed" => vec![(refuse, 0)],
            "Confirmed" => vec![(refuse, 0), (Input::Ack, 0)],
            "Terminated" => vec![(refuse, 0), (Input::Timeout, 32_000)],
            other => panic!("no such state: {other}"),
        };
        for (step, later) in steps {
            let _ = machine.handle(origin() + ms(later), step);
        }
        machine
    }

    #[test]
    fn transition_table_is_the_committed_one() {
        let inputs = [
            ("INVITE", Input::Request, 0),
            ("ACK", Input::Ack, 0),
            ("1xx from TU", Input::Provisional(b"180".to_vec()), 0),
            ("2xx from TU", Input::Success(b"200".to_vec()), 0),
            ("300-699 from TU", Input::Failure(b"486".to_vec()), 0),
            ("transport error", Input::Unreachable, 0),
            ("500 ms pass", Input::Timeout, 500),
            ("32 s pass", Input::Timeout, 32_000),
        ];
        let mut rows = Vec::new();
        for state in ["Proceeding", "Accepted", "Completed", "Confirmed", "Terminated"] {
            for (label, input, later) in &inputs {
                let mut machine = in_state(state);
                let effect = machine.handle(origin() + ms(*later), input.clone());
                rows.push(Row { state, input: label, next: name(machine.state()), effect });
            }
        }
        check(&rows, "server_invite", include_str!("snapshots/server_invite.txt"));
    }

    #[test]
    fn refusal_is_repeated_until_timer_h() {
        let mut machine = in_state("Completed");
        let mut sent = Vec::new();
        while let Some((at, _)) = machine.deadline() {
            if machine.handle(at, Input::Timeout).send.is_some() {
                sent.push((at - origin()).as_millis());
            }
        }
        let times = [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
        assert_eq!(sent, times);
    }
}
