//! Calls that come to nothing, each by the book.

use crate::clock::secs;
use crate::net::Faults;
use crate::world::{CARRIER, World, addr, spec};
use bellwire::sip::interface::{EndCause, Transport};

#[test]
fn every_refusal_ends_the_session_with_its_code() {
    for (seed, status) in [
        "302 Moved",
        "404 Not Found",
        "486 Busy Here",
        "500 Oops",
        "600 Busy Everywhere",
        "603 Decline",
    ]
    .into_iter()
    .enumerate()
    {
        let mut world = World::new(seed as u64);
        let session = world.call();
        let invite = world.wait("INVITE");
        world.send(&invite.simple("180 Ringing"));
        world.run(secs(1));
        world.send(&invite.simple(status));
        world.wait("ACK");
        world.finish();
        let ending = world.ending(session).unwrap();
        let (code, reason) = status.split_once(' ').unwrap();
        assert_eq!(ending.cause, EndCause::Refused);
        assert_eq!(ending.code, code.parse().ok());
        assert_eq!(ending.reason, reason);
        assert_eq!(world.inbox.count("INVITE"), 1, "no retry after {status}");
    }
}

#[test]
fn silence_ends_after_64_t1() {
    let mut world = World::new(10);
    world.net.black_holes.insert(addr(CARRIER));
    let session = world.call();
    world.run(secs(31));
    assert_eq!(world.told(session), ["dialing"]);
    world.finish();
    assert_eq!(world.told(session), ["dialing", "ended Timeout"]);
}

#[test]
fn closed_port_ends_at_once() {
    let mut world = World::new(11);
    world.net.closed.insert((Transport::Udp, addr(CARRIER)));
    let session = world.call();
    world.run(secs(1));
    assert_eq!(world.told(session), ["dialing", "ended Unreachable"]);
    world.finish();
}

#[test]
fn calls_that_cannot_be_made_are_refused_here() {
    let mut world = World::new(12);
    let no_trunk = world.call_with(|invite| invite.trunk = "other".into());
    let bad_uri = world.call_with(|invite| invite.to = "mailto".into());
    let injected = world.call_with(|invite| {
        invite.headers.push(("X-A".into(), "1\r\nContact: <sip:evil@evil>".into()));
    });
    world.finish();
    assert_eq!(world.told(no_trunk), ["ended Rejected 404"]);
    assert_eq!(world.told(bad_uri), ["ended Rejected 400"]);
    assert_eq!(world.told(injected), ["ended Rejected 400"]);
    assert!(world.inbox.history.is_empty());
}

#[test]
fn no_room_and_no_rate_are_503_without_state() {
    let mut limited = spec(13);
    limited.sessions_max = 1;
    let mut world = World::with(13, limited);
    let first = world.call();
    let second = world.call();
    assert_eq!(world.told(second), ["ended Rejected 503"]);
    world.send(&crate::carrier::Side::caller("a").invite());
    let refusal = world.wait("SIP/2.0 503");
    assert!(refusal.text.contains("Retry-After: 5"));
    assert_eq!(world.us.endpoint.stats().sessions, 1);
    world.hangup(first);
    world.finish();

    let mut limited = spec(14);
    limited.setup_rate = 2;
    let mut world = World::with(14, limited);
    let sessions: Vec<_> = (0..3).map(|_| world.call()).collect();
    assert_eq!(world.told(sessions[2]), ["ended Rejected 503"]);
    world.finish();
}

#[test]
fn half_of_everything_is_lost_and_the_call_still_ends_by_the_book() {
    for seed in 20..60 {
        let mut world = World::new(seed);
        world.net.faults = Faults { loss: 500, ..Faults::NONE };
        let session = world.call();
        world.run(secs(3));
        world.hangup(session);
        world.finish();
        assert!(world.cause(session).is_some());
    }
}
