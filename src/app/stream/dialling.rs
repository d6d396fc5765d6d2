//! The shell of client mode: polls the attempt that the dialer asked for.
//!
//! Owns the attempt under way, and the seat of the call for as long as it lives: who is dialled is
//! the main client, and nobody else sits down meanwhile. When attempts are made is the
//! [`Dialer`]'s.

use super::StreamRights;
use super::dialer::{
    Attempt, ConnectAt, Connector, DialFault, DialPlan, Dialer, Dialled, Ending, Opening,
    ResumePoint,
};
use crate::app::Control;
use crate::call::record::Direction;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tokio::sync::OwnedSemaphorePermit;

/// The dialled client of one call.
pub(super) struct Dialling {
    dialer: Dialer,
    connector: Arc<dyn Connector>,
    at: ConnectAt,
    rights: StreamRights,
    opening: Option<Opening>,
    _seat: Option<OwnedSemaphorePermit>,
}

impl Dialling {
    /// Takes the seat; an incoming call asks for its client at once.
    pub(super) fn new(
        plan: DialPlan,
        direction: Direction,
        seat: Option<OwnedSemaphorePermit>,
        now: Instant,
    ) -> Self {
        let mut dialer = Dialer::new(plan.seed);
        if direction == Direction::Inbound {
            dialer.begin(now);
        }
        Self {
            dialer,
            connector: plan.connector,
            at: plan.at,
            rights: plan.rights,
            opening: None,
            _seat: seat,
        }
    }

    /// The call says something; some of it is the sign to begin.
    pub(super) fn on_control(&mut self, control: &Control, now: Instant) {
        let begins = match control {
            Control::Start => true,
            Control::CallEvent { event, .. } => {
                *event == "answered" || (*event == "dialing" && self.at == ConnectAt::Early)
            }
            Control::Leg(_)
            | Control::Yield(_)
            | Control::Granted { .. }
            | Control::TransferOver(_)
            | Control::Dtmf { .. }
            | Control::Leaving
            | Control::Signalled { .. }
            | Control::Tell(_)
            | Control::Instruct(_)
            | Control::SendDtmf { .. }
            | Control::Record { .. }
            | Control::Stop { .. } => false,
        };
        if begins {
            self.dialer.begin(now);
        }
    }

    /// Begins an attempt that is due, with where the last client stopped; whether there was one.
    pub(super) fn open_due(
        &mut self,
        now: Instant,
        resume: impl FnOnce() -> Option<ResumePoint>,
    ) -> bool {
        let Some(number) = self.dialer.take_due(now) else { return false };
        self.opening = Some(self.connector.open(Attempt { number, resume: resume() }));
        true
    }

    /// What became of the attempt under way.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        now: Instant,
    ) -> Poll<Result<Dialled, DialFault>> {
        let Some(opening) = &mut self.opening else { return Poll::Pending };
        let opened = ready!(opening.as_mut().poll(context));
        self.opening = None;
        match &opened {
            Ok(_) => self.dialer.attached(now),
            Err(fault) => self.dialer.failed(fault, now),
        }
        Poll::Ready(opened)
    }

    /// The socket is gone.
    pub(super) fn lost(&mut self, ending: Ending, now: Instant) {
        self.dialer.lost(ending, now);
    }

    /// The call is over.
    pub(super) fn stop(&mut self) {
        self.dialer.stop();
        self.opening = None;
    }

    /// When an attempt is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.dialer.deadline()
    }

    /// Attempts so far.
    pub(super) fn tries(&self) -> u32 {
        self.dialer.tries()
    }

    /// What the client may do.
    pub(super) fn rights(&self) -> StreamRights {
        self.rights.clone()
    }
}
