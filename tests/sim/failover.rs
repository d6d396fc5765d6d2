//! From one proxy of a trunk to the next: when, when not, and with which marks.

use crate::clock::{ms, secs};
use crate::world::{World, addr, spec};
use bellwire::sip::interface::{EndCause, Input, Note, Transport};
use std::time::Duration;

const FIRST: &str = "10.0.0.2:5060";
const SECOND: &str = "10.0.0.3:5060";

fn two_proxies(seed: u64) -> World {
    let mut spec = spec(seed);
    spec.trunks[0].proxies = vec!["sip:10.0.0.2".into(), "sip:10.0.0.3".into()];
    World::with(seed, spec)
}

#[test]
fn busy_gateway_is_left_for_the_next_one() {
    for status in ["503 Service Unavailable", "408 Request Timeout"] {
        let mut world = two_proxies(1);
        let session = world.call();
        let first = world.wait("INVITE");
        assert_eq!(first.to, addr(FIRST));
        world.send(&first.simple(status));
        let second = world.wait("INVITE");
        assert_eq!(second.to, addr(SECOND));
        assert_ne!(second.branch(), first.branch());
        assert_eq!(second.text.matches("Call-ID").count(), 1);
        world.send(&second.with_sdp("200 OK", "carrier"));
        world.wait("ACK sip:far");
        world.hangup(session);
        world.finish();
        assert_eq!(world.told(session), ["dialing", "answered", "ended LocalHangup"], "{status}");
    }
}

#[test]
fn answers_of_the_callee_are_final() {
    for status in ["404 Not Found", "486 Busy Here", "480 Away", "600 Busy", "603 Decline"] {
        let mut world = two_proxies(2);
        let session = world.call();
        let invite = world.wait("INVITE");
        world.send(&invite.simple(status));
        world.finish();
        assert_eq!(world.inbox.count("INVITE"), 1, "{status}");
        assert_eq!(world.cause(session), Some(EndCause::Refused));
    }
}

#[test]
fn callee_who_does_not_pick_up_is_not_rung_again() {
    let mut world = two_proxies(3);
    let session = world.call();
    let invite = world.wait("INVITE");
    world.send(&invite.simple("180 Ringing"));
    world.run(secs(1));
    world.send(&invite.simple("408 Request Timeout"));
    world.finish();
    assert_eq!(world.inbox.count("INVITE"), 1);
    assert_eq!(world.told(session), ["dialing", "180", "ended Refused 408"]);
}

#[test]
fn silent_gateway_is_left_after_four_seconds_and_a_closed_one_at_once() {
    let mut world = two_proxies(4);
    world.net.black_holes.insert(addr(FIRST));
    world.call();
    world.run(ms(3900));
    assert_eq!(world.inbox.count("INVITE"), 0);
    world.run(ms(200));
    assert_eq!(world.wait("INVITE").to, addr(SECOND));
    world.finish();

    let mut world = two_proxies(5);
    world.net.closed.insert((Transport::Udp, addr(FIRST)));
    world.call();
    world.run(secs(1));
    assert_eq!(world.wait("INVITE").to, addr(SECOND));
    world.finish();
}

#[test]
fn last_gateway_has_all_of_timer_b() {
    let mut world = two_proxies(14);
    world.net.black_holes.extend([addr(FIRST), addr(SECOND)]);
    let session = world.call();
    world.run(secs(35));
    assert_eq!(world.cause(session), None);
    world.run(secs(2));
    assert_eq!(world.cause(session), Some(EndCause::Timeout));
    world.finish();
}

#[test]
fn when_all_are_busy_the_last_word_counts() {
    let mut world = two_proxies(6);
    let session = world.call();
    for _ in 0..2 {
        let invite = world.wait("INVITE");
        world.send(&invite.simple("503 Service Unavailable"));
    }
    world.finish();
    assert_eq!(world.told(session), ["dialing", "ended Refused 503"]);
}

#[test]
fn hangup_stops_the_search() {
    let mut world = two_proxies(7);
    let session = world.call();
    let invite = world.wait("INVITE");
    world.hangup(session);
    world.send(&invite.simple("503 Service Unavailable"));
    world.finish();
    assert_eq!(world.inbox.count("INVITE"), 1);
    assert_eq!(world.told(session), ["dialing", "ended Canceled 503"]);
}

fn named(seed: u64) -> World {
    let mut spec = spec(seed);
    spec.trunks[0].proxies = vec!["sip:sip.carrier.example".into()];
    World::with(seed, spec)
}

fn resolve(world: &mut World, addresses: &[&str]) {
    let (query, host) = world.us.queries.pop().expect("a query");
    assert_eq!(host, "sip.carrier.example");
    let targets = addresses.iter().map(|text| (Transport::Udp, addr(text))).collect();
    let now = world.now;
    world.us.feed(now, &mut world.net, Input::Resolved { query, targets });
}

#[test]
fn all_addresses_of_a_name_are_tried() {
    let mut world = named(8);
    let session = world.call();
    assert!(world.told(session).is_empty(), "nothing is out yet");
    resolve(&mut world, &[FIRST, SECOND]);
    let first = world.wait("INVITE");
    world.send(&first.simple("503 Service Unavailable"));
    assert_eq!(world.wait("INVITE").to, addr(SECOND));
    world.hangup(session);
    world.finish();
}

#[test]
fn name_that_leads_nowhere_is_unreachable() {
    let mut world = named(9);
    let session = world.call();
    resolve(&mut world, &[]);
    world.finish();
    assert_eq!(world.told(session), ["ended Unreachable"]);
}

#[test]
fn resolver_that_never_answers_is_given_up() {
    let mut world = named(10);
    let session = world.call();
    world.run(secs(6));
    assert_eq!(world.told(session), ["ended Unreachable"]);
    resolve(&mut world, &[FIRST]);
    world.finish();
    assert_eq!(world.inbox.count("INVITE"), 0);
}

#[test]
fn hangup_while_the_name_is_looked_up() {
    let mut world = named(11);
    let session = world.call();
    world.hangup(session);
    resolve(&mut world, &[FIRST]);
    world.finish();
    assert_eq!(world.told(session), ["ended Canceled"]);
    assert_eq!(world.inbox.count("INVITE"), 0);
}

fn pinging(seed: u64) -> World {
    let mut spec = spec(seed);
    spec.trunks[0].proxies = vec!["sip:10.0.0.2".into(), "sip:10.0.0.3".into()];
    spec.trunks[0].ping = Some(Duration::from_mins(1));
    World::with(seed, spec)
}

#[test]
fn ping_finds_the_dead_gateway_and_calls_avoid_it() {
    let mut world = pinging(12);
    world.net.black_holes.insert(addr(FIRST));
    for round in 0..4 {
        let ping = world.wait_long("OPTIONS", secs(70));
        assert_eq!(ping.to, addr(SECOND), "round {round}");
        world.send(&ping.simple("200 OK"));
    }
    world.run(secs(33));
    let up = Note::TrunkState { trunk: "carrier".into(), up: true };
    assert_eq!(world.us.notes, [up], "one gateway is enough");
    let session = world.call();
    assert_eq!(world.wait("INVITE").to, addr(SECOND));
    world.hangup(session);
    world.run(secs(100));
    assert_eq!(world.us.endpoint.stats().sessions, 0);
}

#[test]
fn trunk_goes_down_after_three_misses_and_up_after_two_answers() {
    let mut world = pinging(13);
    world.net.black_holes.extend([addr(FIRST), addr(SECOND)]);
    world.run(secs(200));
    let state = |up| Note::TrunkState { trunk: "carrier".into(), up };
    assert_eq!(world.us.notes, [state(false)]);
    world.net.black_holes.clear();
    for _ in 0..4 {
        let ping = world.wait_long("OPTIONS", secs(70));
        world.send(&ping.simple("404 Not Found"));
    }
    world.run(secs(1));
    assert_eq!(world.us.notes, [state(false), state(true)]);
}
