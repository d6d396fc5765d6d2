//! Digest challenges of callers (RFC 3261 §22, RFC 8760).
//!
//! Owns one [`DigestServer`] for each realm that was asked for, in a bounded list, and the 401. Does
//! not know users: the application says who may call. A refused caller comes back with a new INVITE
//! and is a new session.

use super::Endpoint;
use crate::id::SessionId;
use crate::sip::auth::{Denied, DigestServer, Hash};
use crate::sip::interface::{DigestAlgorithm, EndCause, Ending, Event, Note, Output};
use crate::sip::message::{Message, Name};
use crate::sip::session::Reply;
use crate::time::Rng;
use secrecy::{ExposeSecret, SecretString};
use std::time::{Duration, Instant};

/// Most realms; when one more is asked for, the one that was made first is forgotten, and its
/// nonces are stale.
const REALMS_MAX: usize = 16;

/// How long a nonce is good: a caller answers its challenge at once.
const NONCE_LIFETIME: Duration = Duration::from_mins(5);

/// The realms that callers are challenged for.
#[derive(Debug, Default)]
pub(super) struct Realms(Vec<(String, DigestServer)>);

impl Realms {
    fn server(&mut self, now: Instant, rng: &mut Rng, realm: &str) -> Option<&mut DigestServer> {
        if !self.0.iter().any(|(known, _)| known == realm) {
            if self.0.len() >= REALMS_MAX {
                self.0.remove(0);
            }
            let mut secret = [0; 32];
            rng.fill(&mut secret);
            let server = DigestServer::new(realm.to_owned(), secret, NONCE_LIFETIME, now);
            self.0.push((realm.to_owned(), server));
        }
        self.0.iter_mut().find(|(known, _)| known == realm).map(|(_, server)| server)
    }
}

impl Endpoint {
    /// Looks at the credentials of an incoming INVITE that has no final answer yet, and challenges
    /// the caller if they do not do.
    pub(super) fn authenticate(
        &mut self,
        now: Instant,
        session: SessionId,
        realm: &str,
        (username, password): (&str, &SecretString),
        algorithms: &[DigestAlgorithm],
    ) {
        let Some(id) = self.calls.get(&session).and_then(|call| call.server) else { return };
        let Some(served) = self.servers.user(id).filter(|served| !served.request.is_empty()) else {
            return;
        };
        let source = served.source.ip();
        let Ok(request) = Message::parse(&served.request) else { return };
        let Some(server) = self.realms.server(now, &mut self.rng, realm) else { return };
        let known = |user: &str| (user == username).then(|| password.expose_secret().to_owned());
        let denied = match server.verify(now, &request, known) {
            Ok(username) => {
                let event = Event::Authenticated { username };
                self.out.push_back(Output::Event { session, event });
                return;
            }
            Err(denied) => denied,
        };
        //= RFC 8760 §2.3: one header field for each algorithm, the most preferred on top
        let wanted = if algorithms.is_empty() { &DigestAlgorithm::ALL[..] } else { algorithms };
        let mut headers = Vec::with_capacity(wanted.len());
        for algorithm in wanted {
            let hash = match algorithm {
                DigestAlgorithm::Md5 => Hash::Md5,
                DigestAlgorithm::Sha256 => Hash::Sha256,
            };
            let value = server.challenge(now, hash, denied == Denied::Stale).to_string();
            headers.push((Name::WwwAuthenticate, value));
        }
        //= RFC 3261 §22.1: a UAS that wants credentials answers with 401
        self.reply(now, id, &Reply { code: 401, headers, ..Reply::default() }, "");
        self.forget_call(session);
        let reason = denied.to_string();
        let ending = Ending { cause: EndCause::Rejected, code: Some(401), reason, q850: None };
        self.out.push_back(Output::Event { session, event: Event::Ended(ending) });
        if denied == Denied::Wrong && !self.is_named_source(source) {
            self.offend(now, source);
        }
    }

    /// Removes a session that was answered over its head.
    fn forget_call(&mut self, id: SessionId) {
        if let Some(call) = self.calls.remove(&id) {
            self.dialogs -= call.session.dialogs();
            self.by_dialog.remove(&call.key);
            self.call_timers.clear(&id);
        }
    }

    /// Files what a source should not have done; bans it if that was once too often.
    pub(super) fn offend(&mut self, now: Instant, source: std::net::IpAddr) {
        if self.bans.offend(now, source) {
            let length = self.bans.length();
            self.note(Note::Banned { source, length });
        }
    }
}
