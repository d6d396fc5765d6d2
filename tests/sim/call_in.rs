//! The plain incoming call: ringing, early media, answer, refusal, and what the application hears.

use crate::carrier::Side;
use crate::clock::secs;
use crate::world::{ANSWER, World};
use bellwire::sip::interface::{Command, EndCause, Event};
use bellwire::sip::message::Name;

fn ringing(seed: u64) -> (World, Side) {
    let mut world = World::new(seed);
    let mut side = Side::caller("a");
    let invite = side.request("INVITE", "X-Route: blue\r\n", "v=0 offer");
    world.send(&invite);
    world.wait("SIP/2.0 100");
    (world, side)
}

#[test]
fn call_rings_is_answered_and_the_peer_hangs_up() {
    let (mut world, mut side) = ringing(1);
    let session = world.incoming();
    world.command(Command::Ring(session));
    let ringing = world.wait("SIP/2.0 180");
    assert!(!ringing.to_tag().is_empty());
    world.command(Command::Answer { session, sdp: ANSWER.to_vec() });
    let ok = world.wait("SIP/2.0 200");
    assert_eq!(ok.to_tag(), ringing.to_tag());
    assert!(ok.header(Name::Allow).contains("INVITE"));
    assert!(ok.text.ends_with("v=0 answer"));
    side.confirm(&ok);
    world.send(&side.request("ACK", "", ""));
    world.run(secs(1));
    world.send(&side.next("BYE"));
    world.wait("SIP/2.0 200");
    world.finish();
    assert_eq!(world.told(session), ["incoming", "confirmed", "ended PeerHangup"]);
}

#[test]
fn application_learns_who_calls() {
    let (mut world, side) = ringing(2);
    let session = world.incoming();
    let Some((_, _, Event::Incoming(incoming))) = world.us.events.first() else {
        panic!("no incoming call")
    };
    assert_eq!(incoming.trunk, "carrier");
    assert_eq!(incoming.to_user, "+14155550100");
    assert_eq!(incoming.from_user, "+14155550199");
    assert_eq!(incoming.from_display.as_deref(), Some("Far End"));
    assert_eq!(incoming.sip_call_id, side.call_id);
    assert_eq!(incoming.headers, [("X-Route".to_owned(), "blue".to_owned())]);
    assert_eq!(incoming.sdp.as_deref(), Some(&b"v=0 offer"[..]));
    world.command(Command::Reject { session, code: 486, reason: String::new() });
    let busy = world.wait("SIP/2.0 486 Busy Here");
    world.send(&side.request_with("ACK", &busy.branch(), "", ""));
    world.finish();
    assert_eq!(world.told(session), ["incoming", "ended Rejected 486"]);
    assert_eq!(world.inbox.count("SIP/2.0 486"), 1, "the ACK stops the refusal");
}

#[test]
fn we_hang_up_an_answered_call() {
    let (mut world, mut side) = ringing(3);
    let session = world.incoming();
    world.command(Command::Progress { session, sdp: ANSWER.to_vec() });
    assert!(world.wait("SIP/2.0 183").text.ends_with("v=0 answer"));
    world.command(Command::Answer { session, sdp: ANSWER.to_vec() });
    side.confirm(&world.wait("SIP/2.0 200"));
    world.send(&side.request("ACK", "", ""));
    world.run(secs(1));
    world.command(Command::Hangup { session, reason: Some("Q.850;cause=16".into()) });
    let bye = world.wait("BYE sip:far@10.0.0.2:5060");
    assert_eq!(bye.header(Name::Reason), "Q.850;cause=16");
    world.send(&bye.simple("200 OK"));
    world.finish();
    assert_eq!(world.cause(session), Some(EndCause::LocalHangup));
}

#[test]
fn hangup_before_the_answer_is_480() {
    let (mut world, side) = ringing(4);
    let session = world.incoming();
    world.hangup(session);
    let refusal = world.wait("SIP/2.0 480");
    world.send(&side.request_with("ACK", &refusal.branch(), "", ""));
    world.finish();
    assert_eq!(world.told(session), ["incoming", "ended Rejected 480"]);
}

#[test]
fn caller_cancels() {
    let (mut world, side) = ringing(5);
    let session = world.incoming();
    world.command(Command::Ring(session));
    let branch = world.wait("SIP/2.0 180").branch();
    world.send(&side.request_with("CANCEL", &branch, "", ""));
    world.wait("SIP/2.0 200");
    world.wait("SIP/2.0 487");
    world.send(&side.request_with("ACK", &branch, "", ""));
    world.finish();
    assert_eq!(world.told(session), ["incoming", "ended Canceled 487"]);
}

#[test]
fn ringing_is_told_again_every_minute() {
    let (mut world, _) = ringing(6);
    let session = world.incoming();
    world.command(Command::Ring(session));
    world.run(secs(190));
    assert_eq!(world.inbox.count("SIP/2.0 180"), 4);
    world.hangup(session);
    world.finish();
}
