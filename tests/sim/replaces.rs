//! Replaces (RFC 3891): which call may be replaced, and what is said where it may not.

use crate::carrier::Side;
use crate::clock::secs;
use crate::world::{World, spec, trunk};
use bellwire::id::SessionId;
use bellwire::sip::interface::{Command, Event};
use bellwire::sip::message::Name;

/// A confirmed incoming call; gives its Replaces value without flags.
fn confirmed(world: &mut World) -> (SessionId, Side, String) {
    let mut side = Side::caller("first");
    let (session, ok) = world.answer(&mut side);
    world.send(&side.request("ACK", "", ""));
    world.run(secs(1));
    let value = format!("{};to-tag={};from-tag=far-first", side.call_id, ok.to_tag());
    (session, side, value)
}

fn replaces_of(world: &World) -> Vec<Option<SessionId>> {
    let of = |event: &Event| match event {
        Event::Incoming(incoming) => Some(incoming.replaces),
        _ => None,
    };
    world.us.events.iter().filter_map(|(_, _, event)| of(event)).collect()
}

#[test]
fn confirmed_call_is_named_to_the_application() {
    let mut world = World::new(1);
    let (first, mut side, value) = confirmed(&mut world);
    let extra = format!("Require: replaces\r\nReplaces: {value}\r\n");
    world.send(&Side::caller("second").request("INVITE", &extra, "v=0 offer"));
    world.wait("SIP/2.0 100");
    assert_eq!(replaces_of(&world), [None, Some(first)]);
    let second = world.incoming();
    assert_ne!(first, second);
    world.hangup(second);
    world.send(&side.next("BYE"));
    world.finish();
}

#[test]
fn what_may_not_be_replaced_has_its_status() {
    let cases: &[(&str, &str)] = &[
        ("Replaces: nobody;to-tag=1;from-tag=2\r\n", "481"),
        ("Replaces: {call};to-tag=x;from-tag=far-first\r\n", "481"),
        ("Replaces: {call};{to};from-tag=else\r\n", "481"),
        ("Replaces: {value};early-only\r\n", "486"),
        ("Replaces: {value}\r\nReplaces: {value}\r\n", "400"),
        ("Replaces: {value}, {value}\r\n", "400"),
        ("Replaces: {value}\r\nJoin: {value}\r\n", "400"),
        ("Replaces: {call};{to}\r\n", "400"),
        ("Replaces: ;;;\r\n", "400"),
    ];
    for (extra, status) in cases {
        let mut world = World::new(2);
        let (first, mut side, value) = confirmed(&mut world);
        let to = value.split(';').nth(1).unwrap().to_owned();
        let extra = extra.replace("{value}", &value).replace("{to}", &to);
        let extra = extra.replace("{call}", &side.call_id);
        world.send(&Side::caller("second").request("INVITE", &extra, "v=0 offer"));
        world.wait(&format!("SIP/2.0 {status}"));
        assert_eq!(replaces_of(&world), [None], "{extra}");
        assert_eq!(world.us.endpoint.stats().sessions, 1);
        world.send(&side.next("BYE"));
        world.finish();
        assert_eq!(world.told(first).last().unwrap(), "ended PeerHangup");
    }
}

#[test]
fn unanswered_call_and_foreign_trunk_are_481() {
    let mut world = World::new(3);
    world.send(&Side::caller("first").invite());
    let trying = world.wait("SIP/2.0 100");
    let first = world.incoming();
    world.command(Command::Ring(first));
    let ringing = world.wait("SIP/2.0 180");
    assert_eq!(trying.header(Name::CallId), ringing.header(Name::CallId));
    let call_id = ringing.header(Name::CallId);
    let value = format!("{call_id};to-tag={};from-tag=far-first;early-only", ringing.to_tag());
    let extra = format!("Replaces: {value}\r\n");
    world.send(&Side::caller("second").request("INVITE", &extra, "v=0 offer"));
    world.wait("SIP/2.0 481");
    world.hangup(first);
    world.finish();

    let mut spec = spec(4);
    let mut other = trunk(&[]);
    (other.name, other.sources) = ("other".into(), vec![("10.0.0.9".parse().unwrap(), 32)]);
    spec.trunks.push(other);
    let mut world = World::with(4, spec);
    let (_, mut side, value) = confirmed(&mut world);
    let extra = format!("Replaces: {value}\r\n");
    let text = Side::caller("second").request("INVITE", &extra, "v=0 offer");
    let udp = bellwire::sip::interface::Transport::Udp;
    world.send_from("10.0.0.9:5060", udp, None, &text);
    assert_eq!(world.wait("SIP/2.0 481").to.ip().to_string(), "10.0.0.9");
    world.send(&side.next("BYE"));
    world.finish();
}

#[test]
fn replaces_outside_of_invite_is_400() {
    for method in ["OPTIONS", "BYE", "INFO", "UPDATE", "REFER"] {
        let mut world = World::new(5);
        let extra = "Replaces: a;to-tag=1;from-tag=2\r\n";
        world.send(&Side::caller("a").request(method, extra, ""));
        world.wait("SIP/2.0 400");
        world.finish();
    }
}

#[test]
fn our_own_replaces_is_required_and_checked() {
    let mut world = World::new(6);
    let session = world.call_with(|invite| invite.replaces = Some("a;to-tag=1;from-tag=2".into()));
    let invite = world.wait("INVITE");
    assert_eq!(invite.header(Name::Replaces), "a;to-tag=1;from-tag=2");
    assert!(invite.message().lists(Name::Require, "replaces"));
    world.send(&invite.simple("481 Gone"));
    world.finish();
    assert_eq!(world.told(session), ["dialing", "ended Refused 481"]);
    for bad in ["a;to-tag=1", "a;to-tag=1;from-tag=2\r\nVia: x"] {
        let session = world.call_with(|invite| invite.replaces = Some(bad.into()));
        assert_eq!(world.told(session), ["ended Rejected 400"]);
    }
}
