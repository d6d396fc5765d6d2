//! The INVITE client transaction: RFC 3261 §17.1.1 as amended by RFC 6026.
//!
//! Owns the retransmission of the INVITE and of the ACK to a refusal. Does not match, parse or
//! send; does not make the ACK to a 2xx, but keeps those it is given, so that a 2xx retransmitted
//! after the end of a short session still finds its answer.

use super::timers::{Lengths, Resend, Timer};
use super::{Effect, Tell};
use crate::sip::interface::Flow;
use std::time::Instant;

/// How many answering forks get their ACK kept.
const ACKS_MAX: usize = 8;

// RFC 6026 §8.4 (figure 5 of RFC 3261 with the state Accepted):
//
//                                  |INVITE from TU
//                Timer A fires     |INVITE sent      Timer B fires
//                Reset A,          V                 or Transport Err.
//                INVITE sent +-----------+           inform TU
//                  +---------|           |--------------------------+
//                  |         |  Calling  |                          |
//                  +-------->|           |-----------+              |
//  300-699                   +-----------+ 2xx       |              |
//  ACK sent                     |  |       2xx to TU |              |
//  resp. to TU                  |  |1xx              |              |
//  +----------------------------+  |1xx to TU        |              |
//  |                               |                 |              |
//  |                1xx            V                 |              |
//  |                1xx to TU +-----------+          |              |
//  |                +---------|           |          |              |
//  |                |         |Proceeding |          |              |
//  |                +-------->|           |          |              |
//  |                          +-----------+ 2xx      |              |
//  |         300-699             |    |     2xx to TU|              |
//  |         ACK sent, +---------+    +--------+     |              |
//  |         resp. to TU                       |     |              |
//  |                   |                       V     V              |
//  |                   V                     +-----------+          |
//  |             +-----------+               |           |----+     |
//  +------------>|           |               | Accepted  |    | 2xx |
//                | Completed |               |           |<---+ to TU
//                +-----------+               +-----------+          |
//                 | ^  | Timer D                | Timer M           |
//         300-699 | |  | or Transport Err.      |                   |
//         ACK sent+-+  V                        V                   |
//                +-----------------------------------+              |
//                |            Terminated             |<-------------+
//                +-----------------------------------+
/// Where the transaction stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// The INVITE is out; nothing has come back.
    Calling {
        /// The INVITE, to be sent again and to build CANCEL and ACK from.
        request: Vec<u8>,
        /// Timer A.
        resend: Option<Resend>,
        /// Timer B.
        give_up: Instant,
    },
    /// A provisional response came: the peer is at work for as long as it likes.
    Proceeding {
        /// The INVITE, to build CANCEL and ACK from.
        request: Vec<u8>,
        /// Timer C, running only after CANCEL.
        give_up: Option<Instant>,
    },
    /// A 2xx came; more of them may come from this or from other forks.
    Accepted {
        /// The ACK of each fork, to answer its retransmitted 2xx.
        acks: Vec<Acknowledged>,
        /// Timer M.
        until: Instant,
    },
    /// A refusal came and was acknowledged.
    Completed {
        /// The ACK, to be sent again.
        ack: Vec<u8>,
        /// Timer D.
        until: Instant,
    },
    /// Over; to be removed from the table.
    Terminated,
}

/// The ACK to the 2xx of one fork.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    /// The To tag of the 2xx.
    pub to_tag: String,
    /// The way that the ACK took.
    pub flow: Flow,
    /// The ACK.
    pub bytes: Vec<u8>,
}

/// What can happen to the transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A 1xx arrived.
    Provisional,
    /// A 2xx arrived.
    Success,
    /// A 3xx to 6xx arrived; `ack` answers it.
    Failure {
        /// The ACK that is built from the INVITE and this response.
        ack: Vec<u8>,
    },
    /// The TU has sent CANCEL, or wants the transaction to end if nothing comes.
    Cancel,
    /// The deadline may have passed.
    Timeout,
    /// The transport could not deliver.
    Unreachable,
}

/// One INVITE client transaction.
#[derive(Debug)]
pub struct ClientInvite {
    lengths: Lengths,
    state: State,
}

impl ClientInvite {
    /// Starts the transaction; the caller sends `request` for the first time.
    //= RFC 3261 §17.1.1.2: Timer A on unreliable transports; for any transport, Timer B
    #[must_use]
    pub fn new(now: Instant, lengths: Lengths, request: Vec<u8>) -> Self {
        let resend = lengths.first_resend(now);
        let give_up = now + lengths.patience();
        Self { lengths, state: State::Calling { request, resend, give_up } }
    }

    /// Makes one step.
    pub fn handle(&mut self, now: Instant, input: Input) -> Effect {
        let state = std::mem::replace(&mut self.state, State::Terminated);
        let (state, effect) = match state {
            State::Calling { request, resend, give_up } => {
                self.calling(now, input, request, resend, give_up)
            }
            State::Proceeding { request, give_up } => self.proceeding(now, input, request, give_up),
            State::Accepted { acks, until } => accepted(now, &input, acks, until),
            State::Completed { ack, until } => completed(now, &input, ack, until),
            State::Terminated => (State::Terminated, Effect::none()),
        };
        self.state = state;
        effect
    }

    /// When to call with [`Input::Timeout`], and for which timer.
    #[must_use]
    pub fn deadline(&self) -> Option<(Instant, Timer)> {
        match &self.state {
            State::Calling { resend, give_up, .. } => {
                let again = resend.map(|resend| (resend.at, Timer::A));
                again.into_iter().chain([(*give_up, Timer::B)]).min()
            }
            State::Proceeding { give_up, .. } => give_up.map(|at| (at, Timer::C)),
            State::Accepted { until, .. } => Some((*until, Timer::M)),
            State::Completed { until, .. } => Some((*until, Timer::D)),
            State::Terminated => None,
        }
    }

    /// Where the transaction stands.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The INVITE as it was sent, until a final response came.
    #[must_use]
    pub fn request(&self) -> Option<&[u8]> {
        match &self.state {
            State::Calling { request, .. } | State::Proceeding { request, .. } => Some(request),
            State::Accepted { .. } | State::Completed { .. } | State::Terminated => None,
        }
    }

    /// The ACK that the fork with this To tag got.
    #[must_use]
    pub fn ack_for(&self, to_tag: &str) -> Option<&Acknowledged> {
        match &self.state {
            State::Accepted { acks, .. } => acks.iter().find(|ack| ack.to_tag == to_tag),
            State::Calling { .. }
            | State::Proceeding { .. }
            | State::Completed { .. }
            | State::Terminated => None,
        }
    }

    /// Keeps the ACK of one fork; beyond eight forks the oldest is forgotten.
    pub fn keep_ack(&mut self, ack: Acknowledged) {
        if let State::Accepted { acks, .. } = &mut self.state {
            acks.retain(|kept| kept.to_tag != ack.to_tag);
            if acks.len() >= ACKS_MAX {
                acks.remove(0);
            }
            acks.push(ack);
        }
    }

    fn calling(
        &self,
        now: Instant,
        input: Input,
        request: Vec<u8>,
        resend: Option<Resend>,
        give_up: Instant,
    ) -> (State, Effect) {
        match input {
            //= RFC 3261 §17.1.1.2: a provisional response stops the retransmissions
            Input::Provisional => {
                (State::Proceeding { request, give_up: None }, Effect::tell(Tell::PassUp))
            }
            Input::Success => self.accept(now),
            Input::Failure { ack } => self.refuse(now, ack),
            // CANCEL waits for a 1xx (§9.1); Timer B runs in any case.
            Input::Cancel => (State::Calling { request, resend, give_up }, Effect::none()),
            //= RFC 3261 §17.1.1.2: Timer B in Calling: inform the TU
            Input::Timeout if now >= give_up => (State::Terminated, Effect::tell(Tell::TimedOut)),
            //= RFC 3261 §17.1.1.2: Timer A: retransmit, reset with twice the value
            Input::Timeout => match resend {
                Some(due) if now >= due.at => {
                    let effect = Effect::send(request.clone());
                    let resend = Some(due.doubled(now));
                    (State::Calling { request, resend, give_up }, effect)
                }
                Some(_) | None => (State::Calling { request, resend, give_up }, Effect::none()),
            },
            Input::Unreachable => (State::Terminated, Effect::tell(Tell::Unreachable)),
        }
    }

    fn proceeding(
        &self,
        now: Instant,
        input: Input,
        request: Vec<u8>,
        give_up: Option<Instant>,
    ) -> (State, Effect) {
        match input {
            Input::Provisional => {
                (State::Proceeding { request, give_up }, Effect::tell(Tell::PassUp))
            }
            Input::Success => self.accept(now),
            Input::Failure { ack } => self.refuse(now, ack),
            //= RFC 3261 §9.1: no final response 64*T1 after CANCEL: destroy the transaction
            Input::Cancel => {
                let give_up = Some(give_up.unwrap_or(now + self.lengths.patience()));
                (State::Proceeding { request, give_up }, Effect::none())
            }
            Input::Timeout if give_up.is_some_and(|at| now >= at) => {
                (State::Terminated, Effect::tell(Tell::TimedOut))
            }
            // The figure has no transport error here: the peer has the INVITE.
            Input::Timeout | Input::Unreachable => {
                (State::Proceeding { request, give_up }, Effect::none())
            }
        }
    }

    //= RFC 6026 §7.2: on a 2xx enter Accepted, set Timer M to 64*T1
    fn accept(&self, now: Instant) -> (State, Effect) {
        let until = now + self.lengths.patience();
        (State::Accepted { acks: Vec::new(), until }, Effect::tell(Tell::PassUp))
    }

    //= RFC 3261 §17.1.1.2: on 300-699 pass up and generate an ACK, start Timer D
    fn refuse(&self, now: Instant, ack: Vec<u8>) -> (State, Effect) {
        let until = now + self.lengths.d();
        let effect = Effect { send: Some(ack.clone()), tell: Tell::PassUp };
        (State::Completed { ack, until }, effect)
    }
}

fn accepted(
    now: Instant,
    input: &Input,
    acks: Vec<Acknowledged>,
    until: Instant,
) -> (State, Effect) {
    match input {
        //= RFC 6026 §7.2: pass every 2xx to the TU, which acknowledges it
        Input::Success => (State::Accepted { acks, until }, Effect::tell(Tell::PassUp)),
        Input::Timeout if now >= until => (State::Terminated, Effect::none()),
        Input::Provisional
        | Input::Failure { .. }
        | Input::Cancel
        | Input::Timeout
        | Input::Unreachable => (State::Accepted { acks, until }, Effect::none()),
    }
}

fn completed(now: Instant, input: &Input, ack: Vec<u8>, until: Instant) -> (State, Effect) {
    match input {
        //= RFC 3261 §17.1.1.2: a retransmitted refusal gets the ACK again, the TU nothing
        Input::Failure { .. } => {
            let effect = Effect::send(ack.clone());
            (State::Completed { ack, until }, effect)
        }
        Input::Timeout if now >= until => (State::Terminated, Effect::none()),
        // The TU has its final answer; that the ACK was lost is between transports.
        Input::Unreachable => (State::Terminated, Effect::none()),
        Input::Provisional | Input::Success | Input::Cancel | Input::Timeout => {
            (State::Completed { ack, until }, Effect::none())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::transaction::testing::{Row, check, ms, origin, udp};
    use std::time::Duration;

    fn name(state: &State) -> &'static str {
        match state {
            State::Calling { .. } => "Calling",
            State::Proceeding { .. } => "Proceeding",
            State::Accepted { .. } => "Accepted",
            State::Completed { .. } => "Completed",
            State::Terminated => "Terminated",
        }
    }

    fn invite() -> ClientInvite {
        ClientInvite::new(origin(), udp(), b"INVITE".to_vec())
    }

    fn in_state(state: &str) -> ClientInvite {
        let mut machine = invite();
        let steps: &[Input] = match state {
            "Calling" => &[],
            "Proceeding" => &[Input::Provisional],
            "Proceeding (CANCEL)" => &[Input::Provisional, Input::Cancel],
            "Accepted" => &[Input::Success],
            "Completed" => &[Input::Failure { ack: Vec::new() }],
            "Terminated" => &[Input::Unreachable],
            other => panic!("no such state: {other}"),
        };
        for step in steps {
            let _ = machine.handle(origin(), step.clone());
        }
        machine
    }

    #[test]
    fn transition_table_is_the_committed_one() {
        let states =
            ["Calling", "Proceeding", "Proceeding (CANCEL)", "Accepted", "Completed", "Terminated"];
        let inputs = [
            ("1xx", Input::Provisional, 0),
            ("2xx", Input::Success, 0),
            ("300-699", Input::Failure { ack: b"ACK".to_vec() }, 0),
            ("CANCEL sent", Input::Cancel, 0),
            ("transport error", Input::Unreachable, 0),
            ("500 ms pass", Input::Timeout, 500),
            ("32 s pass", Input::Timeout, 32_000),
        ];
        let mut rows = Vec::new();
        for state in states {
            for (label, input, later) in &inputs {
                let mut machine = in_state(state);
                let effect = machine.handle(origin() + ms(*later), input.clone());
                rows.push(Row { state, input: label, next: name(machine.state()), effect });
            }
        }
        check(&rows, "client_invite", include_str!("snapshots/client_invite.txt"));
    }

    #[test]
    fn invite_is_sent_seven_times_in_32_seconds() {
        let mut machine = invite();
        let mut sent = vec![0];
        let mut last = Tell::Nothing;
        while let Some((at, _)) = machine.deadline() {
            let effect = machine.handle(at, Input::Timeout);
            if effect.send.is_some() {
                sent.push((at - origin()).as_millis());
            }
            last = effect.tell;
        }
        assert_eq!(sent, [0, 500, 1500, 3500, 7500, 15_500, 31_500]);
        assert_eq!(last, Tell::TimedOut);
    }

    #[test]
    fn reliable_transport_sends_once_and_keeps_no_completed_state() {
        let lengths = Lengths { t1: Duration::from_millis(500), reliable: true };
        let mut machine = ClientInvite::new(origin(), lengths, b"INVITE".to_vec());
        assert_eq!(machine.deadline(), Some((origin() + ms(32_000), Timer::B)));
        let _ = machine.handle(origin(), Input::Failure { ack: b"ACK".to_vec() });
        assert_eq!(machine.deadline(), Some((origin(), Timer::D)));
    }

    #[test]
    fn every_fork_keeps_its_ack_up_to_the_limit() {
        let mut machine = in_state("Accepted");
        let here = "127.0.0.1:5060".parse().unwrap();
        for fork in 0..10 {
            let flow = Flow {
                transport: crate::sip::interface::Transport::Udp,
                local: here,
                remote: here,
                connection: None,
            };
            let to_tag = fork.to_string();
            machine.keep_ack(Acknowledged { to_tag, flow, bytes: vec![fork] });
        }
        assert!(machine.ack_for("1").is_none());
        assert_eq!(machine.ack_for("9").unwrap().bytes, [9]);
        let State::Accepted { acks, .. } = machine.state() else { panic!("not accepted") };
        assert_eq!(acks.len(), ACKS_MAX);
    }
}
