//! Reason header fields of the peer (RFC 3326, RFC 6432), and ours.

use crate::carrier::Side;
use crate::clock::{ms, secs};
use crate::world::World;
use bellwire::sip::interface::{Command, EndCause, Ending};
use bellwire::sip::message::Name;

fn ending(cause: EndCause, code: Option<u16>, reason: &str, q850: Option<u8>) -> Ending {
    Ending { cause, code, reason: reason.to_owned(), q850 }
}

#[test]
fn final_response_may_tell_the_cause_of_the_other_network() {
    let cases = [
        ("", "Busy Here", None),
        ("Reason: Q.850;cause=17\r\n", "Busy Here", Some(17)),
        ("Reason: Q.850;cause=34;text=\"no circuit\"\r\n", "no circuit", Some(34)),
    ];
    for (line, reason, q850) in cases {
        let mut world = World::new(1);
        let session = world.call();
        let invite = world.wait("INVITE");
        world.send(&invite.response("486 Busy Here", "a", line, ""));
        world.finish();
        assert_eq!(
            world.ending(session).unwrap(),
            ending(EndCause::Refused, Some(486), reason, q850)
        );
    }
}

#[test]
fn bye_tells_why() {
    let mut world = World::new(2);
    let session = world.call();
    let invite = world.wait("INVITE");
    world.send(&invite.with_sdp("200 OK", "a"));
    world.wait("ACK");
    let line = "Reason: SIP;cause=503,Q.850;cause=41;text=\"temporary failure\"\r\n";
    world.send(&Side::callee(&invite, "a").request("BYE", line, ""));
    world.finish();
    let want = ending(EndCause::PeerHangup, None, "temporary failure", Some(41));
    assert_eq!(world.ending(session).unwrap(), want);
}

#[test]
fn cancel_tells_why() {
    let cases = [
        ("", "", None),
        ("Reason: SIP;cause=200\r\n", "answered elsewhere", None),
        (
            "Reason: SIP;cause=200;text=\"Call completed elsewhere\"\r\n",
            "Call completed elsewhere",
            None,
        ),
        ("Reason: Q.850;cause=102;text=\"timer\"\r\n", "timer", Some(102)),
    ];
    for (line, reason, q850) in cases {
        let mut world = World::new(3);
        let mut side = Side::caller("a");
        world.send(&side.invite());
        let branch = world.wait("SIP/2.0 100").branch();
        let session = world.incoming();
        world.send(&side.request_with("CANCEL", &branch, line, ""));
        world.wait("SIP/2.0 487");
        world.finish();
        assert_eq!(
            world.ending(session).unwrap(),
            ending(EndCause::Canceled, Some(487), reason, q850)
        );
    }
}

#[test]
fn our_cancel_and_refusal_tell_why() {
    let text = "Q.850;cause=16;text=\"enough\"";
    let reason = Some(text.to_owned());
    let mut world = World::new(4);
    let session = world.call();
    let invite = world.wait("INVITE");
    world.command(Command::Hangup { session, reason: reason.clone() });
    world.never("CANCEL", secs(2));
    world.send(&invite.simple("180 Ringing"));
    assert_eq!(world.wait("CANCEL").header(Name::Reason), text);
    world.send(&invite.simple("487 Request Terminated"));
    world.finish();

    let mut world = World::new(5);
    world.send(&Side::caller("a").invite());
    world.run(ms(100));
    let session = world.incoming();
    world.command(Command::Hangup { session, reason });
    assert_eq!(world.wait("SIP/2.0 480").header(Name::Reason), text);
    world.finish();
}
