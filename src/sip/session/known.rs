//! What a session knows whatever state it is in: its role, what the peer is able to do, the terms
//! of the session timer, and the descriptions that were last agreed on.

use super::timer::INTERVAL_MIN;
use super::{Effect, Input, Tag, has_sdp};
use crate::sip::message::{Message, Method, Name};
use std::hash::{DefaultHasher, Hash, Hasher};

/// The facts that outlive a state.
#[derive(Debug)]
pub(super) struct Known {
    /// We sent the first INVITE: the Call-ID is ours.
    pub caller: bool,
    /// The peer allows UPDATE.
    pub update: bool,
    /// The largest Min-SE that was seen in this call.
    pub min_se: u32,
    /// How often an interval of ours was too small for somebody.
    pub too_small: u8,
    /// Our last description that is not refused: a refresh by re-INVITE repeats it.
    pub described: Option<Vec<u8>>,
    /// A digest of the peer's last description, to see that a refresh has changed it.
    pub heard: Option<u64>,
    tags: u32,
}

impl Known {
    pub(super) fn new(caller: bool) -> Self {
        Self {
            caller,
            update: false,
            min_se: INTERVAL_MIN,
            too_small: 0,
            described: None,
            heard: None,
            tags: 0,
        }
    }

    /// A name for a request; never given twice.
    pub(super) fn tag(&mut self) -> Tag {
        self.tags = self.tags.wrapping_add(1);
        Tag(self.tags)
    }

    /// Notes what an input tells about the peer.
    pub(super) fn learn(&mut self, input: &Input<'_>) {
        match input {
            Input::Provisional(message)
            | Input::Accepted(message)
            | Input::Request { message, .. }
            | Input::Ack(message) => self.read(message),
            // The answer to a request in the dialog is judged by whoever sent that.
            Input::Response { .. }
            | Input::Refused { .. }
            | Input::NoAnswer { .. }
            | Input::Failed(_)
            | Input::Left
            | Input::Cancel { .. }
            | Input::Ask(_)
            | Input::Timeout => {}
        }
    }

    /// Notes what a message tells about the peer.
    //= RFC 3311 §4: the peer may be sent UPDATE once its Allow has named it
    pub(super) fn read(&mut self, message: &Message<'_>) {
        if message.count(Name::Allow) > 0 {
            self.update = message.headers(Name::Allow).any(|method| method == "UPDATE");
        }
        if has_sdp(message) {
            self.heard = Some(digest(message.body()));
        }
    }

    /// Notes the descriptions that we give as answers; our offers count when they are answered.
    pub(super) fn note(&mut self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Reply { reply, .. } if reply.code < 300 && reply.sdp.is_some() => {
                    self.described.clone_from(&reply.sdp);
                }
                Effect::Ack { request, .. } | Effect::Request { request, .. } => {
                    let answers = matches!(request.method, Method::Ack | Method::Prack);
                    if answers && !request.body.1.is_empty() {
                        self.described = Some(request.body.1.clone());
                    }
                }
                Effect::Reply { .. }
                | Effect::Redial { .. }
                | Effect::Cancel { .. }
                | Effect::RepeatOk { .. }
                | Effect::Event(_) => {}
            }
        }
    }

    /// Whether a description of the peer is another one than its last; files it.
    pub(super) fn is_news(&mut self, sdp: &[u8]) -> bool {
        let digest = digest(sdp);
        self.heard.replace(digest) != Some(digest)
    }
}

fn digest(sdp: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    sdp.hash(&mut hasher);
    hasher.finish()
}
