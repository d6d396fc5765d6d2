//! BYE against everything else.

use crate::carrier::{Received, Side};
use crate::clock::{ms, secs};
use crate::world::{ANSWER, World};
use bellwire::id::SessionId;
use bellwire::sip::interface::Command;

fn talking(seed: u64) -> (World, SessionId, Received, Side) {
    let mut world = World::new(seed);
    let session = world.call();
    let invite = world.wait("INVITE");
    world.send(&invite.with_sdp("200 OK", "carrier"));
    world.wait("ACK");
    let side = Side::callee(&invite, "carrier");
    (world, session, invite, side)
}

fn invited(seed: u64) -> (World, SessionId, Side) {
    let mut world = World::new(seed);
    let mut side = Side::caller("a");
    world.send(&side.invite());
    world.wait("SIP/2.0 100");
    let session = world.incoming();
    (world, session, side)
}

#[test]
fn both_sides_hang_up_at_once() {
    let (mut world, session, _, mut side) = talking(1);
    world.hangup(session);
    world.send(&side.request("BYE", "", ""));
    let bye = world.wait("BYE");
    world.wait("SIP/2.0 200");
    world.send(&bye.simple("481 Call Does Not Exist"));
    world.finish();
    assert_eq!(world.told(session), ["dialing", "answered", "ended LocalHangup"]);
}

#[test]
fn bye_is_never_answered() {
    let (mut world, session, _, _) = talking(2);
    world.hangup(session);
    world.finish();
    assert_eq!(world.inbox.count("BYE"), 11);
    assert_eq!(world.told(session), ["dialing", "answered", "ended LocalHangup"]);
}

#[test]
fn bye_overtakes_the_2xx_that_we_have_not_seen() {
    let mut world = World::new(3);
    let session = world.call();
    let invite = world.wait("INVITE");
    world.send(&Side::callee(&invite, "carrier").request("BYE", "", ""));
    world.wait("SIP/2.0 200");
    world.send(&invite.with_sdp("200 OK", "carrier"));
    world.wait("ACK");
    let bye = world.wait("BYE");
    world.send(&bye.simple("481 Call Does Not Exist"));
    world.finish();
    assert_eq!(world.told(session), ["dialing", "ended PeerHangup"]);
}

#[test]
fn bye_on_an_early_dialog_cancels_the_rest() {
    let mut world = World::new(4);
    let session = world.call();
    let invite = world.wait("INVITE");
    world.send(&invite.simple("180 Ringing"));
    world.run(secs(1));
    world.send(&Side::callee(&invite, "carrier").request("BYE", "", ""));
    world.wait("SIP/2.0 200");
    world.wait("CANCEL");
    world.send(&invite.simple("487 Request Terminated"));
    world.finish();
    assert_eq!(world.told(session), ["dialing", "180", "ended PeerHangup 487"]);
}

#[test]
fn caller_hangs_up_before_its_ack_arrives() {
    let (mut world, session, mut side) = invited(5);
    world.command(Command::Answer { session, sdp: ANSWER.to_vec() });
    side.confirm(&world.wait("SIP/2.0 200"));
    let ack = side.request("ACK", "", "");
    world.send(&side.next("BYE"));
    world.wait("SIP/2.0 200");
    world.send(&ack);
    world.finish();
    assert_eq!(world.told(session), ["incoming", "ended PeerHangup"]);
    assert_eq!(world.inbox.count("BYE"), 0);
}

#[test]
fn caller_sends_bye_while_it_rings() {
    let (mut world, session, mut side) = invited(6);
    world.command(Command::Ring(session));
    side.confirm(&world.wait("SIP/2.0 180"));
    world.send(&side.next("BYE"));
    world.wait("SIP/2.0 487");
    world.wait("SIP/2.0 200");
    world.finish();
    assert_eq!(world.told(session), ["incoming", "ended PeerHangup 487"]);
}

#[test]
fn cancel_after_the_answer_has_no_effect() {
    let (mut world, session, mut side) = invited(7);
    world.command(Command::Answer { session, sdp: ANSWER.to_vec() });
    let ok = world.wait("SIP/2.0 200");
    world.send(&side.request_with("CANCEL", &ok.branch(), "", ""));
    world.run(secs(1));
    assert_eq!(world.inbox.count("SIP/2.0 487"), 0);
    side.confirm(&ok);
    world.send(&side.request("ACK", "", ""));
    world.run(secs(1));
    assert_eq!(world.told(session), ["incoming", "confirmed"]);
    world.send(&side.next("BYE"));
    world.finish();
}

#[test]
fn cancel_and_answer_at_the_same_moment() {
    let (mut world, session, side) = invited(8);
    world.command(Command::Ring(session));
    let branch = world.wait("SIP/2.0 180").branch();
    world.send(&side.request_with("CANCEL", &branch, "", ""));
    world.run(ms(30));
    world.command(Command::Answer { session, sdp: ANSWER.to_vec() });
    world.wait("SIP/2.0 487");
    world.send(&side.request_with("ACK", &branch, "", ""));
    world.finish();
    assert_eq!(world.told(session), ["incoming", "ended Canceled 487"]);
}

#[test]
fn reinvite_after_bye_finds_no_session() {
    let (mut world, session, _, mut side) = talking(9);
    world.hangup(session);
    let bye = world.wait("BYE");
    world.send(&side.invite());
    assert!(world.wait("SIP/2.0 481").text.contains("INVITE"));
    world.send(&bye.simple("200 OK"));
    world.run(secs(1));
    world.send(&side.next("INVITE"));
    world.wait("SIP/2.0 481");
    world.finish();
    assert_eq!(world.told(session), ["dialing", "answered", "ended LocalHangup"]);
}
