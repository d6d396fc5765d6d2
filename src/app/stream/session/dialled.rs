//! What client mode changes for a session: its client is fetched, and may be out of reach.

use super::{Moment, Place, Session};
use crate::app::Report;
use crate::app::stream::StreamRights;
use crate::app::stream::dialer::{DialFault, Ending, Had, ResumePoint};
use crate::app::stream::options::{Resume, StreamOptions};
use crate::app::stream::resume::Token;
use crate::app::stream::seat::CloseCode;
use std::time::Duration;

/// What is known of a client that we dial.
#[derive(Debug, Default)]
pub(super) struct DialState {
    /// Why the last attempt failed, in words.
    trouble: Option<String>,
    /// No attempt will be made any more.
    hopeless: bool,
}

impl Session {
    /// How long an answered call waits without a client.
    pub(super) fn patience(&self) -> Duration {
        match (self.dial.hopeless, self.was_attached) {
            (true, _) => Duration::ZERO,
            (false, true) => self.linger(),
            (false, false) => self.spec.wait,
        }
    }

    /// Why nobody is there, in words.
    pub(super) fn why_lost(&self) -> String {
        if self.dial.hopeless {
            return self.dial.trouble.clone().unwrap_or_default();
        }
        let told = if self.was_attached {
            format!("no client came back within {} ms", self.linger().as_millis())
        } else {
            format!("no client came within {} ms", self.spec.wait.as_millis())
        };
        match &self.dial.trouble {
            Some(trouble) => format!("{told}: {trouble}"),
            None => told,
        }
    }

    /// The dialled client is there; `had` is what its server says it has of the conversation: what
    /// was handed over, where it does not say. Gives its place.
    pub(in crate::app::stream) fn on_dialled(
        &mut self,
        rights: StreamRights,
        had: Had,
        now: Moment,
    ) -> Place {
        self.dial.trouble = None;
        let options = StreamOptions::default();
        let point = self.gone_at();
        let Some((token, handed_over)) = point else {
            return self.on_attach(&options, rights, now);
        };
        let since = had.since.unwrap_or(handed_over);
        self.go_on(&Resume { token, since, heard: had.heard }, &options, rights, now)
    }

    /// The conversation that lost its socket, and the last message that was handed to that.
    fn gone_at(&self) -> Option<(Token, u64)> {
        let client = &self.away.as_ref()?.client;
        Some((client.token()?, client.handed_over()))
    }

    /// Where the conversation stopped that another attempt would go on with.
    pub(in crate::app::stream) fn resume_point(&self) -> Option<ResumePoint> {
        let (token, since) = self.gone_at()?;
        Some(ResumePoint { token: token.to_string(), since })
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
