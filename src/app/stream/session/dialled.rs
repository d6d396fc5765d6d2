//! What client mode changes for a session: its client is fetched, and may be out of reach.

use super::{Moment, Session};
use crate::app::Report;
use crate::app::stream::StreamRights;
use crate::app::stream::dialer::{DialFault, DialPlan, Ending, Had, ResumePoint};
use crate::app::stream::options::StreamOptions;
use crate::app::stream::seat::CloseCode;
use crate::time::Rng;
use std::time::Duration;

/// What is known of a client that we dial.
#[derive(Debug, Default)]
pub(super) struct DialState {
    /// Why the last attempt failed, in words.
    trouble: Option<String>,
    /// No attempt will be made any more.
    hopeless: bool,
    /// Names the conversation, where one was begun.
    token: Option<String>,
    /// The last message that was handed to a socket that is gone.
    since: Option<u64>,
}

impl DialState {
    /// Of a client that is dialled with this plan, or of none.
    pub(super) fn new(plan: Option<&DialPlan>) -> Self {
        let token = plan.map(|plan| Rng::from_seed(plan.seed).token());
        Self { token, ..Self::default() }
    }

    /// A client is gone that was handed messages up to this one.
    pub(super) fn note_gone(&mut self, since: u64) {
        self.since = Some(since);
    }

    /// Whether a client that comes goes on with a conversation.
    pub(super) fn is_resumed(&self) -> bool {
        self.token.is_some() && self.since.is_some()
    }
}

impl Session {
    /// How long an answered call waits without a client.
    pub(super) fn patience(&self) -> Duration {
        match (self.dial.hopeless, self.was_attached) {
            (true, _) => Duration::ZERO,
            (false, true) => self.spec.linger,
            (false, false) => self.spec.wait,
        }
    }

    /// Why nobody is there, in words.
    pub(super) fn why_lost(&self) -> String {
        if self.dial.hopeless {
            return self.dial.trouble.clone().unwrap_or_default();
        }
        let told = if self.was_attached {
            format!("no client came back within {} ms", self.spec.linger.as_millis())
        } else {
            format!("no client came within {} ms", self.spec.wait.as_millis())
        };
        match &self.dial.trouble {
            Some(trouble) => format!("{told}: {trouble}"),
            None => told,
        }
    }

    /// The dialled client is there; `_had` is what its server says it has of the conversation.
    pub(in crate::app::stream) fn on_dialled(
        &mut self,
        rights: StreamRights,
        _had: Had,
        now: Moment,
    ) {
        self.dial.trouble = None;
        self.on_attach(&StreamOptions::default(), rights, now);
    }

    /// Where the conversation stopped that another attempt would go on with.
    pub(in crate::app::stream) fn resume_point(&self) -> Option<ResumePoint> {
        Some(ResumePoint { token: self.dial.token.clone()?, since: self.dial.since? })
    }

    /// An attempt failed; the call waits as long as it would for any client.
    pub(in crate::app::stream) fn on_dial_failed(
        &mut self,
        fault: &DialFault,
        tries: u32,
        now: Moment,
    ) {
        self.trouble(fault.detail.clone(), tries);
        if fault.last {
            self.give_up(now);
        }
    }

    /// The dialled client's socket is gone: what that means for the next attempt.
    ///
    /// `code` is that of the peer's close frame; without a frame `None`.
    pub(in crate::app::stream) fn on_dialled_gone(
        &mut self,
        code: Option<u16>,
        tries: u32,
        now: Moment,
    ) -> Ending {
        if self.over || self.hanging {
            return Ending::Done;
        }
        if let Some(ours) = self.left_by.take() {
            if matches!(ours, CloseCode::Protocol | CloseCode::TooBig) {
                let detail = "the stream's server does not keep to the protocol";
                self.trouble(detail.to_owned(), tries);
                self.give_up(now);
                return Ending::Useless;
            }
            self.trouble("the stream's server does not read".to_owned(), tries);
            return Ending::Broken;
        }
        match code {
            // RFC 6455 §7.4.1: a normal closure, and a close frame without a code.
            Some(1000 | 1005) => {
                self.lost_at = None;
                let plays = self.started && !self.lent;
                self.hang_up(Some("the stream's server closed it".to_owned()), plays);
                Ending::Done
            }
            Some(code) => {
                self.trouble(format!("the stream's server closed it with {code}"), tries);
                Ending::Broken
            }
            None => {
                self.trouble("the connection to the stream's server broke".to_owned(), tries);
                Ending::Broken
            }
        }
    }

    fn trouble(&mut self, detail: String, tries: u32) {
        self.report(Report::DialFailed { detail: detail.clone(), tries });
        self.dial.trouble = Some(detail);
    }

    /// Nobody will come: an answered call ends at once, others when they are answered.
    fn give_up(&mut self, now: Moment) {
        self.dial.hopeless = true;
        if self.started {
            self.lost_at = Some(now.at);
        }
    }
}
