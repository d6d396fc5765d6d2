//! Floods: of strangers, of calls beyond what the node can take, of noise.

use crate::carrier::Side;
use crate::clock::{ms, secs};
use crate::world::{US, World, addr, spec};
use bellwire::sip::endpoint::EndpointStats;
use bellwire::sip::interface::{Command, Flow, Input, Note, Transport};
use bellwire::sip::message::Name;
use std::net::SocketAddr;
use std::time::Duration;

/// Hands bytes to the endpoint as if they had come from there.
fn arrive(world: &mut World, from: SocketAddr, text: &str) {
    let flow = Flow { transport: Transport::Udp, local: addr(US), remote: from, connection: None };
    let now = world.now;
    world.us.feed(now, &mut world.net, Input::Received { flow, bytes: text.as_bytes() });
}

fn dropped(world: &World, label: &str) -> usize {
    let is = |note: &&Note| matches!(note, Note::Dropped { why, .. } if *why == label);
    world.us.notes.iter().filter(is).count()
}

#[test]
fn strangers_are_counted_banned_and_cost_no_state() {
    let mut spec = spec(1);
    (spec.ban_after, spec.ban_length) = (20, Duration::from_mins(10));
    let mut world = World::with(1, spec);
    let texts = [
        Side::caller("a").request("REGISTER", "", ""),
        Side::caller("a").request("OPTIONS", "", ""),
        Side::caller("a").invite(),
        "noise".to_owned(),
        "SIP/2.0 200 OK\r\n\r\n".to_owned(),
    ];
    for i in 0..20_000_u32 {
        // Half of them from ten scanners, half from a new address each.
        let last = if i % 2 == 0 { i / 2 % 10 } else { 1000 + i };
        let ip = std::net::Ipv4Addr::from_bits(0xcb00_0000 + last);
        arrive(&mut world, SocketAddr::from((ip, 5060)), &texts[i as usize / 20 % texts.len()]);
        if i % 100 == 0 {
            world.now += ms(50);
        }
    }
    assert_eq!(world.us.endpoint.stats(), EndpointStats::default());
    assert!(world.inbox.history.is_empty() && world.us.events.is_empty());
    let bans = world.us.notes.iter().filter(|note| matches!(note, Note::Banned { .. })).count();
    assert_eq!(bans, 10);
    let (unknown, banned, malformed) = (
        dropped(&world, "unknown_source"),
        dropped(&world, "banned"),
        dropped(&world, "malformed"),
    );
    assert_eq!(unknown + banned + malformed, 20_000, "every one is counted");
    assert!(banned >= 9_000, "{banned}");
    // The trunk is served as ever.
    world.send(&Side::caller("t").request("OPTIONS", "", ""));
    world.wait("SIP/2.0 200");
    // A ban ends.
    world.us.notes.clear();
    world.run(Duration::from_mins(11));
    arrive(&mut world, "203.0.0.1:5060".parse().unwrap(), "noise");
    assert_eq!(dropped(&world, "unknown_source"), 1);
    world.finish();
}

#[test]
fn malformed_messages_of_a_trunk_ban_nobody() {
    let mut spec = spec(2);
    (spec.ban_after, spec.ban_length) = (5, Duration::from_mins(10));
    let mut world = World::with(2, spec);
    for _ in 0..1000 {
        world.send("INVITE nonsense");
    }
    world.run(secs(1));
    world.send(&Side::caller("t").request("OPTIONS", "", ""));
    world.wait("SIP/2.0 200");
    assert!(!world.us.notes.iter().any(|note| matches!(note, Note::Banned { .. })));
    world.finish();
}

#[test]
fn answers_of_a_gateway_that_is_no_source_are_heard_though_it_is_banned() {
    let mut spec = spec(3);
    (spec.ban_after, spec.ban_length) = (3, Duration::from_mins(10));
    spec.trunks[0].sources.clear();
    let mut world = World::with(3, spec);
    for _ in 0..10 {
        world.send(&Side::caller("x").request("OPTIONS", "", ""));
    }
    world.run(secs(1));
    assert_eq!(dropped(&world, "banned"), 7);
    let session = world.call();
    let invite = world.wait("INVITE");
    world.send(&invite.simple("486 Busy Here"));
    world.finish();
    assert_eq!(world.told(session), ["dialing", "ended Refused 486"]);
}

#[test]
fn overloaded_node_refuses_calls_without_state_and_answers_options() {
    let mut world = World::new(4);
    let mut side = Side::caller("before");
    world.send(&side.invite());
    world.wait("SIP/2.0 100");
    let before = world.incoming();
    world.command(Command::Answer { session: before, sdp: b"v=0".to_vec() });
    side.confirm(&world.wait("SIP/2.0 200"));
    world.send(&side.request("ACK", "", ""));
    world.run(secs(40));
    let quiet = world.us.endpoint.stats();
    world.command(Command::Load { retry_after: Some(secs(7)) });
    for i in 0..2000 {
        arrive(&mut world, addr("10.0.0.2:5060"), &Side::caller(&format!("n{i}")).invite());
    }
    assert_eq!(world.us.endpoint.stats(), quiet, "nothing is kept of a refused call");
    world.run(secs(1));
    assert_eq!(world.inbox.count("SIP/2.0 503"), 2000);
    assert_eq!(world.wait("SIP/2.0 503").header(Name::RetryAfter), "7");
    world.send(&Side::caller("o").request("OPTIONS", "", ""));
    world.wait("SIP/2.0 200 OK");
    // The call that stands is none of this.
    world.send(&side.next("BYE"));
    world.run(secs(1));
    assert_eq!(world.told(before).last().unwrap(), "ended PeerHangup");
    world.command(Command::Load { retry_after: None });
    world.send(&Side::caller("after").invite());
    world.wait("SIP/2.0 100");
    let after = world.incoming();
    world.hangup(after);
    world.finish();
}
