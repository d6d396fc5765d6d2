//! Gateways that failed: left alone for a while, tried last, never forgotten; and the calls that
//! were left in mid-dialing taken back there.

use crate::carrier::Received;
use crate::clock::{ms, secs};
use crate::world::{US, World, addr, spec};
use bellwire::sip::interface::{Command, EndCause, Input, Note, Transport};
use bellwire::sip::message::Name;
use std::time::Duration;

const FIRST: &str = "10.0.0.2:5060";
const SECOND: &str = "10.0.0.3:5060";

fn two_proxies(seed: u64) -> World {
    let mut spec = spec(seed);
    spec.trunks[0].proxies = vec!["sip:10.0.0.2".into(), "sip:10.0.0.3".into()];
    World::with(seed, spec)
}

fn quarantined(gateway: &str, seconds: u64) -> Note {
    let (trunk, length) = ("carrier".into(), Duration::from_secs(seconds));
    Note::Quarantined { trunk, gateway: addr(gateway), length }
}

/// Places a call, lets `to` answer it with 486, and checks that nobody else was asked.
fn call_goes_to(world: &mut World, to: &str) {
    let before = world.inbox.count("INVITE");
    let session = world.call();
    let invite = world.wait("INVITE");
    assert_eq!(invite.to, addr(to));
    world.send_from(to, Transport::Udp, None, &invite.simple("486 Busy Here"));
    world.run(secs(1));
    assert_eq!(world.cause(session), Some(EndCause::Refused));
    assert_eq!(world.inbox.count("INVITE"), before + 1);
}

#[test]
fn busy_gateway_is_left_alone_for_as_long_as_it_asks() {
    for (extra, seconds) in [
        ("", 30),
        ("Retry-After: 90 (maintenance)\r\n", 90),
        ("Retry-After: 86400\r\n", 600),
        ("Retry-After: soon\r\n", 30),
    ] {
        let mut world = two_proxies(1);
        world.call();
        let invite = world.wait("INVITE");
        world.send(&invite.response("503 Service Unavailable", "x", extra, ""));
        let second = world.wait("INVITE");
        assert_eq!(second.to, addr(SECOND));
        world.send_from(SECOND, Transport::Udp, None, &second.simple("486 Busy Here"));
        world.run(secs(1));
        assert_eq!(world.us.notes, [quarantined(FIRST, seconds)], "{extra}");
        call_goes_to(&mut world, SECOND);
        world.run(secs(seconds - 10));
        call_goes_to(&mut world, SECOND);
        world.run(secs(10));
        call_goes_to(&mut world, FIRST);
        world.finish();
    }
}

#[test]
fn dead_gateway_delays_one_call_and_no_other() {
    let mut world = two_proxies(2);
    world.net.black_holes.insert(addr(FIRST));
    for (round, patience) in [5000, 100, 100, 100].into_iter().enumerate() {
        let session = world.call();
        world.run(ms(patience));
        let invite = world.wait("INVITE");
        assert_eq!(invite.to, addr(SECOND), "round {round}");
        world.send_from(SECOND, Transport::Udp, None, &invite.simple("486 Busy Here"));
        world.run(secs(1));
        assert_eq!(world.cause(session), Some(EndCause::Refused));
    }
    assert_eq!(world.us.notes, [quarantined(FIRST, 30)]);
    world.finish();
}

#[test]
fn when_all_are_in_quarantine_they_are_tried_all_the_same() {
    let mut world = two_proxies(3);
    for _ in 0..2 {
        let session = world.call();
        for gateway in [FIRST, SECOND] {
            let invite = world.wait("INVITE");
            assert_eq!(invite.to, addr(gateway));
            let busy = invite.simple("503 Service Unavailable");
            world.send_from(gateway, Transport::Udp, None, &busy);
        }
        world.run(secs(1));
        assert_eq!(world.ending(session).unwrap().code, Some(503));
    }
    // One word that is not 503 ends the quarantine.
    world.call();
    let invite = world.wait("INVITE");
    world.send(&invite.simple("486 Busy Here"));
    world.run(secs(1));
    call_goes_to(&mut world, FIRST);
    world.finish();
}

#[test]
fn gateway_that_dies_while_it_rings_is_left_for_the_next() {
    let mut world = two_proxies(4);
    let session = world.call();
    let first = world.wait("INVITE");
    world.send(&first.simple("180 Ringing"));
    world.run(secs(2));
    world.send(&first.simple("503 Service Unavailable"));
    let second = world.wait("INVITE");
    assert_eq!(second.to, addr(SECOND));
    world.send_from(SECOND, Transport::Udp, None, &second.with_sdp("200 OK", "other"));
    world.wait("ACK sip:far");
    world.hangup(session);
    let bye = world.wait("BYE");
    world.send(&bye.simple("200 OK"));
    world.finish();
    assert_eq!(world.told(session), ["dialing", "180", "answered", "ended LocalHangup"]);
}

#[test]
fn after_a_provisional_answer_silence_is_no_failure() {
    let mut world = two_proxies(5);
    let session = world.call();
    let invite = world.wait("INVITE");
    world.send(&invite.response("100 Trying", "", "", ""));
    world.run(secs(60));
    assert_eq!(world.inbox.count("INVITE"), 1);
    assert!(world.us.notes.is_empty());
    world.hangup(session);
    let cancel = world.wait("CANCEL");
    world.send(&cancel.simple("200 OK"));
    world.send(&invite.simple("487 Request Terminated"));
    world.finish();
}

#[test]
fn server_time_out_before_ringing_goes_on_and_after_it_does_not() {
    for (rings, attempts) in [(false, 2), (true, 1)] {
        let mut world = two_proxies(6);
        world.call();
        let invite = world.wait("INVITE");
        if rings {
            world.send(&invite.simple("180 Ringing"));
            world.run(ms(100));
        }
        world.send(&invite.simple("504 Server Time-out"));
        world.run(ms(400));
        assert_eq!(world.inbox.count("INVITE"), attempts);
        assert!(world.us.notes.is_empty(), "what is behind the gateway is not the gateway");
        world.run(secs(60));
        world.finish();
    }
    for status in ["500 Server Error", "480 Away", "404 Not Found", "603 Decline", "488 No"] {
        let mut world = two_proxies(7);
        call_is_refused_once(&mut world, status);
    }
}

fn call_is_refused_once(world: &mut World, status: &str) {
    world.call();
    let invite = world.wait("INVITE");
    world.send(&invite.simple(status));
    world.finish();
    assert_eq!(world.inbox.count("INVITE"), 1, "{status}");
}

/// The first gateway is slow: it speaks only after the second was asked.
fn left_behind(seed: u64) -> (World, Received, Received) {
    let mut world = two_proxies(seed);
    world.call();
    let first = world.wait("INVITE");
    world.run(secs(5));
    let second = world.wait("INVITE");
    assert_eq!((first.to, second.to), (addr(FIRST), addr(SECOND)));
    assert_ne!(first.branch(), second.branch());
    (world, first, second)
}

#[test]
fn slow_gateway_that_rings_late_is_cancelled() {
    let (mut world, first, second) = left_behind(8);
    let copies = world.inbox.count("INVITE");
    world.send(&first.simple("180 Ringing"));
    let cancel = world.wait("CANCEL");
    assert_eq!((cancel.to, cancel.branch()), (addr(FIRST), first.branch()));
    world.send(&first.simple("180 Ringing"));
    world.send(&cancel.simple("200 OK"));
    world.send(&first.simple("487 Request Terminated"));
    let ack = world.wait("ACK");
    assert_eq!(ack.branch(), first.branch());
    assert_eq!(world.inbox.count("CANCEL"), 1);
    world.send_from(SECOND, Transport::Udp, None, &second.simple("486 Busy Here"));
    world.run(secs(1));
    assert!(world.inbox.count("INVITE") <= copies + 1, "the one that was left is not repeated");
    world.finish();
}

#[test]
fn slow_gateway_that_answers_late_gets_ack_and_bye() {
    let (mut world, first, second) = left_behind(9);
    world.send_from(SECOND, Transport::Udp, None, &second.with_sdp("200 OK", "second"));
    world.wait("ACK");
    let late = first.with_sdp("200 OK", "late");
    world.send(&late);
    assert!(world.wait("ACK").header(Name::To).contains("tag=late"));
    let bye = world.wait("BYE");
    assert!(bye.header(Name::To).contains("tag=late"));
    world.send(&bye.simple("200 OK"));
    world.send(&late);
    world.run(secs(1));
    assert_eq!(world.inbox.count("BYE"), 1);
    assert_eq!(world.inbox.count("ACK"), 3, "each copy of the late 200 is acknowledged");
    let session = world.us.events[0].1;
    assert_eq!(world.told(session), ["dialing", "answered"]);
    world.hangup(session);
    world.finish();
}

#[test]
fn hangup_before_any_word_waits_for_the_gateway_it_was_sent_to() {
    let mut world = two_proxies(10);
    let session = world.call();
    let first = world.wait("INVITE");
    world.hangup(session);
    world.run(secs(6));
    assert_eq!(world.told(session), ["dialing"], "no second gateway, no end yet");
    world.send(&first.response("100 Trying", "", "", ""));
    let cancel = world.wait("CANCEL");
    world.send(&cancel.simple("200 OK"));
    world.send(&first.simple("487 Request Terminated"));
    world.finish();
    assert_eq!(world.cause(session), Some(EndCause::Canceled));
}

#[test]
fn addresses_of_one_name_are_left_alone_one_by_one() {
    let mut spec = spec(11);
    spec.trunks[0].proxies = vec!["sip:sip.carrier.example".into()];
    let mut world = World::with(11, spec);
    let resolve = |world: &mut World| {
        let (query, _) = world.us.queries.pop().expect("a query");
        let targets = [FIRST, SECOND].map(|text| (Transport::Udp, addr(text))).to_vec();
        let now = world.now;
        world.us.feed(now, &mut world.net, Input::Resolved { query, targets });
    };
    world.net.closed.insert((Transport::Udp, addr(FIRST)));
    for _ in 0..2 {
        world.call();
        resolve(&mut world);
        let invite = world.wait("INVITE");
        assert_eq!(invite.to, addr(SECOND));
        world.send_from(SECOND, Transport::Udp, None, &invite.simple("486 Busy Here"));
        world.run(secs(1));
    }
    assert_eq!(world.us.notes, [quarantined(FIRST, 30)]);
    world.finish();
}

#[test]
fn stream_that_was_tried_for_size_only_is_not_held_against_the_gateway() {
    let mut world = two_proxies(12);
    world.net.closed.insert((Transport::Tcp, addr(FIRST)));
    world.call_with(|invite| invite.sdp = Some(vec![b'x'; 1500]));
    let invite = world.wait("INVITE");
    assert_eq!((invite.to, invite.transport), (addr(FIRST), Transport::Udp));
    world.send(&invite.simple("486 Busy Here"));
    world.run(secs(1));
    assert!(world.us.notes.is_empty());
    world.finish();
}

#[test]
fn table_of_left_invites_is_bounded() {
    let mut spec = spec(13);
    spec.trunks[0].proxies = vec!["sip:10.0.0.2".into(), "sip:10.0.0.3".into()];
    spec.sessions_max = 5000;
    let mut world = World::with(13, spec);
    world.net.black_holes.insert(addr(FIRST));
    let sessions: Vec<_> = (0..990).map(|_| world.call()).collect();
    world.run(secs(5));
    for invite in world.inbox.drain() {
        world.send_from(SECOND, Transport::Udp, None, &invite.simple("486 Busy Here"));
    }
    world.run(secs(1));
    assert!(sessions.iter().all(|s| world.cause(*s) == Some(EndCause::Refused)));
    world.command(Command::Drain);
    world.finish();
}

#[test]
fn connection_that_broke_is_opened_again_before_the_next_gateway_is_asked() {
    let mut spec = spec(15);
    let proxies = ["sip:10.0.0.2;transport=tcp", "sip:10.0.0.3;transport=tcp"];
    spec.trunks[0].proxies = proxies.map(str::to_owned).to_vec();
    let mut world = World::with(15, spec);
    let session = world.call();
    let first = world.wait("INVITE");
    world.lose_connection(FIRST, US, first.connection);
    let again = world.wait("INVITE");
    assert_eq!(again.to, addr(FIRST));
    assert_ne!(again.connection, first.connection);
    assert!(world.us.notes.is_empty());
    world.lose_connection(FIRST, US, again.connection);
    let second = world.wait("INVITE");
    assert_eq!(second.to, addr(SECOND));
    assert_eq!(world.us.notes, [quarantined(FIRST, 30)]);
    let busy = second.simple("486 Busy Here");
    world.send_from(SECOND, Transport::Tcp, second.connection, &busy);
    world.finish();
    assert_eq!(world.told(session), ["dialing", "ended Refused 486"]);
}
