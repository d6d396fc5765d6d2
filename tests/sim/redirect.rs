//! 3xx: who is called instead, in which order, how often, and who decides.

use crate::carrier::{Received, Side};
use crate::clock::{ms, secs};
use crate::world::World;
use bellwire::id::SessionId;
use bellwire::sip::interface::Command;
use bellwire::sip::message::Name;

fn invited(seed: u64) -> (World, SessionId, Received) {
    let mut world = World::new(seed);
    let session = world.call();
    let invite = world.wait("INVITE");
    (world, session, invite)
}

fn moved(world: &mut World, invite: &Received, status: &str, contacts: &str) {
    world.send(&invite.response(status, "carrier", &format!("Contact: {contacts}\r\n"), ""));
    let ack = world.wait("ACK");
    assert_eq!(ack.branch(), invite.branch());
}

fn follow(world: &mut World, session: SessionId, to: &str) -> Received {
    world.command(Command::Redirect { session, to: to.into() });
    let invite = world.wait("INVITE");
    assert_eq!(invite.uri(), to);
    invite
}

#[test]
fn redirection_is_followed_when_the_application_says_so() {
    let (mut world, session, first) = invited(1);
    moved(&mut world, &first, "302 Moved", "<sip:b@10.0.0.2>;q=0.1, <sip:c@10.0.0.2>, <tel:+1>");
    world.never("INVITE", secs(2));
    assert_eq!(world.us.endpoint.stats().dialogs, 0);
    let second = follow(&mut world, session, "sip:c@10.0.0.2");
    assert_eq!(second.cseq(), first.cseq() + 1);
    for name in [Name::CallId, Name::From, Name::To, Name::Supported] {
        assert_eq!(second.header(name), first.header(name));
    }
    assert_ne!(second.branch(), first.branch());
    assert!(second.text.ends_with("v=0 offer"));
    world.send(&second.with_sdp("200 OK", "c"));
    assert_eq!(world.wait("ACK").cseq(), second.cseq());
    world.hangup(session);
    let bye = world.wait("BYE");
    world.send(&bye.simple("200 OK"));
    world.finish();
    let told = [
        "dialing",
        "redirected 302 sip:c@10.0.0.2 sip:b@10.0.0.2",
        "answered",
        "ended LocalHangup",
    ];
    assert_eq!(world.told(session), told);
}

#[test]
fn targets_that_fail_are_followed_by_the_next() {
    let (mut world, session, first) = invited(2);
    moved(&mut world, &first, "300 Choices", "<sip:b@10.0.0.2>, <sip:c@10.0.0.2>;q=0.5");
    let second = follow(&mut world, session, "sip:b@10.0.0.2");
    world.send(&second.simple("180 Ringing"));
    world.run(ms(100));
    world.send(&second.simple("486 Busy Here"));
    world.run(ms(100));
    let third = follow(&mut world, session, "sip:c@10.0.0.2");
    world.send(&third.simple("404 Not Found"));
    world.finish();
    let told = [
        "dialing",
        "redirected 300 sip:b@10.0.0.2 sip:c@10.0.0.2",
        "180",
        "redirected 300 sip:c@10.0.0.2",
        "ended Refused 404",
    ];
    assert_eq!(world.told(session), told);
}

#[test]
fn hangup_and_silence_refuse_a_redirection() {
    for patience in [ms(100), secs(60)] {
        let (mut world, session, first) = invited(3);
        moved(&mut world, &first, "301 Moved For Good", "<sip:b@10.0.0.2>");
        world.run(patience);
        world.hangup(session);
        world.command(Command::Redirect { session, to: "sip:b@10.0.0.2".into() });
        world.finish();
        assert_eq!(world.inbox.count("INVITE"), 1);
        assert_eq!(world.inbox.count("CANCEL"), 0);
        let told = ["dialing", "redirected 301 sip:b@10.0.0.2", "ended Refused 301"];
        assert_eq!(world.told(session), told);
    }
}

#[test]
fn redirection_that_leads_nowhere_is_a_refusal() {
    let cases = [
        ("302 Moved", "<tel:+15551234>"),
        ("302 Moved", "<sip:+14155550123@carrier.example>"),
        ("305 Use Proxy", "<sip:proxy@10.0.0.2>"),
        ("380 Alternative", "<sip:b@10.0.0.2>"),
        ("486 Busy Here", "<sip:b@10.0.0.2>"),
    ];
    for (status, contact) in cases {
        let (mut world, session, first) = invited(4);
        moved(&mut world, &first, status, contact);
        world.finish();
        let end = format!("ended Refused {}", &status[..3]);
        assert_eq!(world.told(session), ["dialing", end.as_str()], "{status} {contact}");
    }
}

#[test]
fn circles_and_long_ways_end() {
    let (mut world, session, first) = invited(5);
    let mut invite = first;
    for n in 0..5 {
        let contacts = format!("<sip:+14155550123@carrier.example>, <sip:{n}@10.0.0.2>");
        moved(&mut world, &invite, "302 Moved", &contacts);
        invite = follow(&mut world, session, &format!("sip:{n}@10.0.0.2"));
    }
    moved(&mut world, &invite, "302 Moved", "<sip:once-more@10.0.0.2>");
    world.finish();
    assert_eq!(world.inbox.count("INVITE"), 6);
    assert_eq!(world.told(session).last().unwrap(), "ended Refused 302");

    let (mut world, session, first) = invited(6);
    moved(&mut world, &first, "302 Moved", "<sip:b@10.0.0.2>");
    world.command(Command::Redirect { session, to: "sip:+14155550123@carrier.example".into() });
    world.finish();
    assert_eq!(world.told(session).last().unwrap(), "ended Refused 302");
}

#[test]
fn redirection_after_the_hangup_is_not_followed() {
    let (mut world, session, first) = invited(7);
    world.send(&first.simple("180 Ringing"));
    world.run(ms(100));
    world.hangup(session);
    moved(&mut world, &first, "302 Moved", "<sip:b@10.0.0.2>");
    world.finish();
    assert_eq!(world.told(session), ["dialing", "180", "ended Canceled 302"]);
}

#[test]
fn early_dialogs_end_with_the_redirection() {
    let (mut world, session, first) = invited(8);
    world.send(&first.simple("180 Ringing"));
    world.run(ms(100));
    moved(&mut world, &first, "302 Moved", "<sip:b@10.0.0.2>");
    let mut side = Side::callee(&first, "carrier");
    for method in ["UPDATE", "BYE"] {
        world.send(&side.next(method));
        world.wait("SIP/2.0 481");
    }
    let second = follow(&mut world, session, "sip:b@10.0.0.2");
    world.send(&second.simple("180 Ringing"));
    world.run(ms(100));
    world.hangup(session);
    let cancel = world.wait("CANCEL");
    assert_eq!((cancel.branch(), cancel.uri()), (second.branch(), second.uri()));
    world.send(&second.simple("487 Request Terminated"));
    world.finish();
    assert_eq!(world.told(session).last().unwrap(), "ended Canceled 487");
}

#[test]
fn target_that_is_silent_or_cannot_be_called_is_left() {
    let (mut world, session, first) = invited(9);
    moved(&mut world, &first, "302 Moved", "<sip:b@10.0.0.9>, <sip:c@10.0.0.2>");
    world.net.black_holes.insert(crate::world::addr("10.0.0.9:5060"));
    world.command(Command::Redirect { session, to: "sip:b@10.0.0.9".into() });
    world.run(secs(33));
    assert_eq!(world.told(session).last().unwrap(), "redirected 302 sip:c@10.0.0.2");
    world.command(Command::Redirect { session, to: "nonsense".into() });
    world.run(ms(100));
    let third = follow(&mut world, session, "sip:c@10.0.0.2");
    world.send(&third.simple("603 Decline"));
    world.finish();
    assert_eq!(world.told(session).last().unwrap(), "ended Refused 603");
}
