//! INVITEs that were left for the next gateway before anybody had answered them.
//!
//! A gateway that was only slow may still ring the callee, or even answer: then the call is taken
//! back there, so that nobody talks to nobody. Owns a bounded table of such INVITEs, each for 64*T1;
//! when it is full, one more is forgotten at once and its late answer is a stray one.

use super::Endpoint;
use super::compose;
use super::requests::{Outgoing, Owner, User, credentials_in};
use crate::sip::interface::Flow;
use crate::sip::message::{Message, Method};
use crate::sip::session::{self, Effect};
use crate::sip::transaction::table::{ClientId, ClientKey};
use std::time::Instant;

/// Most INVITEs whose late answers are waited for.
const ABANDONED_MAX: usize = 1024;

/// One INVITE that was left.
#[derive(Debug)]
pub(super) struct Abandoned {
    invite: Vec<u8>,
    flow: Flow,
    trunk: usize,
    canceled: bool,
    left: bool,
}

impl Endpoint {
    /// Ends the attempt of an INVITE without a word, and keeps it for its late answers.
    pub(super) fn abandon(&mut self, now: Instant, client: ClientId, trunk: usize) {
        if let Some((bytes, flow)) = self.clients.invite(client)
            && self.abandoned.len() < ABANDONED_MAX
        {
            let invite = bytes.to_vec();
            let branch =
                Message::parse(&invite).ok().and_then(|m| Some(m.via().ok()?.branch.to_owned()));
            if let Some(branch) = branch {
                let (canceled, left) = (false, false);
                self.abandoned_timers.set(&branch, Some((now + self.t1 * 64, "late_answer")));
                let abandoned = Abandoned { invite, flow, trunk, canceled, left };
                self.abandoned.insert(branch, abandoned);
            }
        }
        self.clients.remove(client);
    }

    /// A response that no transaction knows; true if it belongs to an INVITE that was left.
    pub(super) fn late_answer(&mut self, now: Instant, flow: Flow, message: &Message<'_>) -> bool {
        let (Ok(via), Ok(cseq), Some(code)) = (message.via(), message.cseq(), message.code())
        else {
            return false;
        };
        let Some(known) = self.abandoned.get_mut(via.branch) else { return false };
        if cseq.method != Method::Invite || message.vias().count() != 1 {
            return false;
        }
        let (trunk, way) = (known.trunk, known.flow);
        match code {
            ..200 if !std::mem::replace(&mut known.canceled, true) => {
                let invite = Message::parse(&known.invite).ok();
                let cancel = invite.and_then(|invite| compose::cancel(&invite, None).ok());
                let key = ClientKey { branch: via.branch.to_owned(), method: Method::Cancel };
                let until = now + self.t1 * 64;
                self.abandoned_timers.set(&key.branch, Some((until, "late_answer")));
                if let Some(bytes) = cancel
                    && self.clients.start(now, key, bytes.clone(), way, User::Cancel).is_some()
                {
                    self.transmit(way, bytes);
                }
            }
            ..200 => {}
            //= RFC 3261 §13.2.2.4: every 2xx is acknowledged; a dialog not wanted is ended by BYE
            200..300 => {
                let again = std::mem::replace(&mut known.left, true);
                let credentials = credentials_in(&known.invite);
                for effect in session::dismiss_fork(message) {
                    let (owner, request) = match effect {
                        Effect::Ack { to_tag, mut request, .. } => {
                            request.headers.extend(credentials.clone());
                            (Owner::Ack { invite: None, to_tag }, request)
                        }
                        Effect::Request { request, .. } if !again => (Owner::Nobody, request),
                        Effect::Request { .. }
                        | Effect::Cancel { .. }
                        | Effect::Redial { .. }
                        | Effect::Reply { .. }
                        | Effect::RepeatOk { .. }
                        | Effect::Event(_) => continue,
                    };
                    let outgoing = Outgoing::new(owner, trunk, request).by_itself(Some(flow));
                    self.start(now, outgoing);
                }
            }
            300.. => {
                let invite = Message::parse(&known.invite).ok();
                if let Some(ack) = invite.and_then(|i| compose::ack_refusal(&i, message).ok()) {
                    self.transmit(way, ack);
                }
            }
        }
        true
    }

    /// Nothing came any more.
    pub(super) fn abandoned_due(&mut self, branch: &str) {
        self.abandoned.remove(branch);
    }
}
