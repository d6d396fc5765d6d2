//! Sessions that stand, in both roles: where most scenarios of a confirmed session begin.

use crate::carrier::{Received, Side};
use crate::clock::secs;
use crate::world::{ANSWER, World, spec};
use bellwire::id::SessionId;
use bellwire::sip::interface::{Command, Event, TransferState};
use std::time::Duration;

/// One session that stands between us and the carrier.
pub struct Standing {
    pub world: World,
    pub session: SessionId,
    pub side: Side,
    /// The INVITE of ours, or our 200.
    pub first: Received,
}

/// What every 2xx of the carrier says.
pub const CONTACT: &str = "Contact: <sip:far@10.0.0.2>\r\n";
pub const ALLOWS_UPDATE: &str =
    "Contact: <sip:far@10.0.0.2>\r\nAllow: INVITE, ACK, BYE, CANCEL, UPDATE\r\n";

/// A world whose trunk asks for a session timer.
pub fn timed_world(seed: u64, interval: Duration) -> World {
    let mut spec = spec(seed);
    spec.trunks[0].session_timer = Some(interval);
    World::with(seed, spec)
}

/// We called, and the carrier answered with these header fields.
pub fn called_with(mut world: World, extra: &str) -> Standing {
    let session = world.call();
    let first = world.wait("INVITE");
    world.send(&first.response("200 OK", "carrier", extra, "v=0 answer"));
    world.wait("ACK");
    let side = Side::callee(&first, "carrier");
    Standing { world, session, side, first }
}

pub fn called(seed: u64) -> Standing {
    called_with(World::new(seed), CONTACT)
}

/// The carrier called with these header fields, and we answered.
pub fn answered_with(mut world: World, extra: &str) -> Standing {
    let mut side = Side::caller("a");
    world.send(&side.request("INVITE", extra, "v=0 offer"));
    world.wait("SIP/2.0 100");
    let session = world.incoming();
    world.command(Command::Answer { session, sdp: ANSWER.to_vec() });
    let first = world.wait("SIP/2.0 200");
    side.confirm(&first);
    world.send(&side.request("ACK", "", ""));
    world.run(secs(1));
    Standing { world, session, side, first }
}

pub fn answered(seed: u64) -> Standing {
    answered_with(World::new(seed), "")
}

impl Standing {
    pub fn reoffer(&mut self, sdp: &str) {
        let sdp = sdp.as_bytes().to_vec();
        self.world.command(Command::Reoffer { session: self.session, sdp });
    }

    pub fn reanswer(&mut self) {
        self.world.command(Command::Reanswer { session: self.session, sdp: ANSWER.to_vec() });
    }

    /// The carrier's next request in CSeq order, and our final answer to it.
    pub fn ask(&mut self, method: &str, extra: &str, body: &str) -> Received {
        self.side.cseq += 1;
        self.world.send(&self.side.request(method, extra, body));
        loop {
            let answer = self.world.wait("SIP/2.0 ");
            if answer.cseq() == self.side.cseq && !answer.text.starts_with("SIP/2.0 100") {
                return answer;
            }
        }
    }

    /// The carrier hangs up; everything is gone after that.
    pub fn end(mut self) -> World {
        self.side.cseq += 1;
        self.world.send(&self.side.request("BYE", "", ""));
        self.world.finish();
        self.world
    }

    /// Our BYE is answered; everything is gone after that.
    pub fn ends_by_us(mut self, patience: Duration) -> (World, Received) {
        let bye = self.world.wait_long("BYE", patience);
        self.world.send(&bye.simple("200 OK"));
        self.world.finish();
        (self.world, bye)
    }

    /// What became of our offers, in order.
    pub fn reoffered(&self) -> Vec<Result<String, u16>> {
        let events = self.world.us.events.iter();
        let of = events.filter_map(|(_, _, event)| match event {
            Event::Reoffered(result) => Some(result.clone()),
            _ => None,
        });
        of.map(|result| result.map(|sdp| String::from_utf8(sdp).unwrap())).collect()
    }

    /// What was told of transfers, in order.
    pub fn transfers(&self) -> Vec<TransferState> {
        let events = self.world.us.events.iter();
        let of = events.filter_map(|(_, _, event)| match event {
            Event::Transfer(state) => Some(state.clone()),
            _ => None,
        });
        of.collect()
    }

    pub fn is_up(&self) -> bool {
        self.world.us.endpoint.stats().sessions == 1
    }
}

/// The same request with a body of this type.
pub fn with_body(request: &str, kind: &str, body: &str) -> String {
    let head = request.replace("Content-Length: 0\r\n\r\n", "");
    format!("{head}Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}
