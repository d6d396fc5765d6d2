//! A carrier with moods: answers as it likes, forks, repeats itself, forgets, and garbles.
//!
//! It knows no transactions. Whatever it does, our side must keep its tables clean and give each
//! session exactly one end.

use crate::carrier::{Received, Side};
use crate::clock::{ms, secs};
use crate::standing::with_body;
use crate::world::World;
use bellwire::sip::message::{Message, Method, Name};
use bellwire::time::Rng;
use std::collections::BTreeMap;
use std::fmt::Write as _;

pub struct Robot {
    pub rng: Rng,
    /// Its side of calls, by Call-ID.
    sides: BTreeMap<String, Side>,
}

impl Robot {
    pub fn new(rng: Rng) -> Self {
        Self { rng, sides: BTreeMap::new() }
    }

    fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        let at = self.rng.below(choices.len() as u64);
        choices[usize::try_from(at).unwrap()]
    }

    /// Sends after some time; now and then twice, garbled, or not at all.
    fn say(&mut self, world: &mut World, max_ms: u64, text: String) {
        let after = ms(self.rng.below(max_ms + 1));
        let text = if self.rng.chance(30) { self.garble(&text) } else { text };
        if self.rng.chance(100) {
            let again = after + ms(self.rng.below(3000));
            world.plan_send(again, text.clone());
        }
        if !self.rng.chance(50) {
            world.plan_send(after, text);
        }
    }

    fn garble(&mut self, text: &str) -> String {
        let mut letters: Vec<char> = text.chars().collect();
        let at = usize::try_from(self.rng.below(letters.len() as u64)).unwrap();
        match self.rng.below(3) {
            0 => letters[at] = char::from(u8::try_from(32 + self.rng.below(95)).unwrap()),
            1 => _ = letters.remove(at),
            _ => letters.truncate(at),
        }
        letters.into_iter().collect()
    }

    pub fn hear(&mut self, world: &mut World, heard: &Received) {
        let message = heard.message();
        match (message.method(), message.code()) {
            (Some(Method::Invite), _) => self.invited(world, heard),
            (Some(Method::Cancel), _) => {
                let status = self.one_of(&["200 OK", "481 No", "200 OK"]);
                self.say(world, 100, heard.simple(status));
            }
            (Some(Method::Bye), _) => self.left(world, heard),
            (Some(Method::Prack), _) => {
                let status = self.one_of(&["200 OK", "200 OK", "200 OK", "481 No", "407 Who"]);
                let challenge = "Proxy-Authenticate: Digest realm=\"10.0.0.2\", nonce=\"p\"\r\n";
                self.say(world, 1000, heard.response(status, "x", challenge, ""));
            }
            (Some(Method::Ack), _) => {}
            (Some(method), _) => self.asked(world, heard, method == Method::Refer),
            (None, Some(code)) => self.answered(world, heard, code),
            (None, None) => unreachable!("a message is one or the other"),
        }
    }

    /// Our request in a dialog came: an offer, a refresh, a transfer, a digit.
    fn asked(&mut self, world: &mut World, request: &Received, refers: bool) {
        let timer = self.one_of(&["", "", "Session-Expires: 90;refresher=uac\r\n"]);
        let extra = format!("Contact: <sip:far@10.0.0.2>\r\nRetry-After: 1\r\n{timer}");
        if self.rng.chance(300) {
            self.say(world, 500, request.response("100 Trying", "", "", ""));
        }
        let status = self.one_of(&[
            "200 OK",
            "200 OK",
            "202 Accepted",
            "491 Pending",
            "488 No",
            "500 Later",
            "422 Small",
            "481 Who",
            "405 No",
            "401 Who",
        ]);
        let body = self.one_of(&["v=0 held", "v=0 held", ""]);
        if !self.rng.chance(100) {
            self.say(world, 2000, request.response(status, "", &extra, body));
        }
        if refers {
            self.notify(world, &request.header(Name::CallId));
        }
    }

    /// How a transfer goes, more or less.
    fn notify(&mut self, world: &mut World, call_id: &str) {
        for _ in 0..self.rng.below(4) {
            let state = self.one_of(&["active", "active;expires=5", "terminated;reason=x", ""]);
            let event = self.one_of(&["refer", "refer", "refer;id=2", "presence"]);
            let line = self.one_of(&["SIP/2.0 180 R", "SIP/2.0 200 OK", "SIP/2.0 486 B", "x"]);
            let Some(side) = self.sides.get_mut(call_id) else { return };
            side.cseq += 1;
            let headers = format!("Event: {event}\r\nSubscription-State: {state}\r\n");
            let plain = side.request("NOTIFY", &headers, "");
            self.say(world, 20_000, with_body(&plain, "message/sipfrag", line));
        }
    }

    /// Our INVITE came, the first or another one.
    fn invited(&mut self, world: &mut World, invite: &Received) {
        if !invite.to_tag().is_empty() {
            return self.asked(world, invite, false);
        }
        let tag = self.one_of(&["a", "b"]);
        for _ in 0..self.rng.below(4) {
            let status = self.one_of(&["100 Trying", "180 Ringing", "183 Progress", "199 Gone"]);
            let fork = self.one_of(&["a", "b", "c", ""]);
            let body = self.one_of(&["", "v=0 answer", "v=0 other"]);
            let mut extra = "Contact: <sip:far@10.0.0.2>\r\n".to_owned();
            if self.rng.chance(500) {
                write!(extra, "Require: 100rel\r\nRSeq: {}\r\n", 1 + self.rng.below(3)).unwrap();
            }
            self.say(world, 4000, invite.response(status, fork, &extra, body));
        }
        let challenge = "Proxy-Authenticate: Digest realm=\"10.0.0.2\", nonce=\"n\"\r\n";
        let moved = "Contact: <sip:b@10.0.0.2>;q=0.3, <sip:c@10.0.0.2>, <tel:+1>\r\n";
        let last = match self.rng.below(11) {
            0 => return,
            1 => invite.simple("486 Busy Here"),
            2 => invite.simple(self.one_of(&["503 Full", "408 Late", "404 No", "302 Go"])),
            3 => invite.response("407 Who", "x", challenge, ""),
            4 => invite.simple("487 Terminated"),
            5 => invite.response(self.one_of(&["302 Go", "300 Any"]), "x", moved, ""),
            6 => invite.response("200 OK", tag, "Contact: <sip:far@10.0.0.2>\r\n", ""),
            _ => invite.with_sdp("200 OK", tag),
        };
        self.say(world, 6000, last);
        if self.rng.chance(200) {
            let other = self.one_of(&["a", "b", "c"]);
            self.say(world, 40_000, invite.with_sdp("200 OK", other));
        }
        let side = Side::callee(invite, tag);
        self.sides.insert(invite.header(Name::CallId), side);
        self.chatter(world, &invite.header(Name::CallId));
    }

    fn left(&mut self, world: &mut World, bye: &Received) {
        let challenge = "WWW-Authenticate: Digest realm=\"10.0.0.2\", nonce=\"m\"\r\n";
        let reply = match self.rng.below(6) {
            0 => return,
            1 => bye.simple("481 Gone"),
            2 => bye.response("401 Who", "x", challenge, ""),
            3 => bye.simple(self.one_of(&["503 Full", "408 Late", "100 Trying", "500 No"])),
            _ => bye.simple("200 OK"),
        };
        self.say(world, 1000, reply);
    }

    /// A response of ours came.
    fn answered(&mut self, world: &mut World, response: &Received, code: u16) {
        let message = response.message();
        let call_id = response.header(Name::CallId);
        let is_invite = message.cseq().is_ok_and(|cseq| cseq.method == Method::Invite);
        let Some(side) = self.sides.get_mut(&call_id) else { return };
        if code > 100 && is_invite {
            side.confirm(response);
        }
        if is_invite && !response.header(Name::RSeq).is_empty() {
            return self.prack(world, response);
        }
        let Some(side) = self.sides.get(&call_id).cloned() else { return };
        if code < 200 || !is_invite || self.rng.chance(100) {
            return;
        }
        let mut side = side;
        side.cseq = response.cseq();
        let ack = if code < 300 {
            side.request("ACK", "", if self.rng.chance(100) { "v=0 late answer" } else { "" })
        } else {
            side.request_with("ACK", &response.branch(), "", "")
        };
        self.say(world, 2000, ack);
    }

    /// A reliable response of ours came.
    fn prack(&mut self, world: &mut World, response: &Received) {
        let body = self.one_of(&["", "", "v=0 in the prack"]);
        let forgets = self.rng.chance(200);
        let Some(side) = self.sides.get_mut(&response.header(Name::CallId)) else { return };
        side.cseq += 1;
        let rack = format!("RAck: {} {} INVITE\r\n", response.header(Name::RSeq), response.cseq());
        let prack = side.request("PRACK", &rack, body);
        if !forgets {
            self.say(world, 1000, prack);
        }
    }

    /// The robot calls us.
    pub fn call(&mut self, world: &mut World, name: &str, after_ms: u64) {
        let mut side = Side::caller(name);
        let body = if self.rng.chance(200) { "" } else { "v=0 offer" };
        let extra = self.one_of(&["", "Supported: 100rel\r\n", "Require: 100rel\r\n"]);
        let invite = side.request("INVITE", extra, body);
        world.plan_send(ms(after_ms), invite.clone());
        for copy in 1..self.rng.below(4) {
            world.plan_send(ms(after_ms + copy * 500), invite.clone());
        }
        if self.rng.chance(300) {
            let branch = branch_of(&invite);
            let cancel = side.request_with("CANCEL", &branch, "", "");
            world.plan_send(ms(after_ms + self.rng.below(8000)), cancel);
        }
        let call_id = side.call_id.clone();
        self.sides.insert(call_id.clone(), side);
        self.chatter(world, &call_id);
    }

    /// Requests at random times, which may or may not fit a dialog by then.
    fn chatter(&mut self, world: &mut World, call_id: &str) {
        for _ in 0..self.rng.below(6) {
            let after = ms(self.rng.below(60_000));
            world.plan_talk(after, call_id.to_owned());
        }
    }

    /// One request in a call, as the call stands.
    pub fn talk(&mut self, world: &mut World, call_id: &str) {
        let jump = self.rng.below(4);
        let method = self.one_of(&[
            "INVITE", "INVITE", "UPDATE", "INFO", "OPTIONS", "BYE", "PRACK", "ACK", "REFER",
            "NOTIFY",
        ]);
        let body = self.one_of(&["", "v=0 again"]);
        let extra = self.one_of(&[
            "",
            "Supported: timer\r\nSession-Expires: 90\r\nAllow: UPDATE\r\n",
            "Supported: timer\r\nSession-Expires: 90;refresher=uas\r\n",
            "Supported: timer\r\nSession-Expires: 30\r\n",
            "Refer-To: <sip:bob@example.com>\r\nEvent: refer\r\n",
            "Require: foo\r\n",
        ]);
        let Some(side) = self.sides.get_mut(call_id) else { return };
        side.cseq = (side.cseq + u32::try_from(jump).unwrap()).saturating_sub(1);
        let request = side.request(method, extra, body);
        self.say(world, 10, request.clone());
        if method == "INVITE" && self.rng.chance(200) {
            let side = self.sides[call_id].clone();
            let cancel = side.request_with("CANCEL", &branch_of(&request), "", "");
            self.say(world, 2000, cancel);
        }
    }

    /// How long until everything that was started has surely ended.
    pub const PATIENCE: std::time::Duration = secs(600);
}

fn branch_of(text: &str) -> String {
    Message::parse(text.as_bytes()).unwrap().via().unwrap().branch.to_owned()
}
