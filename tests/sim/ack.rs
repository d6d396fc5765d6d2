//! The ACK that is lost, late, or asked for again.

use crate::carrier::{Received, Side};
use crate::clock::secs;
use crate::world::World;
use bellwire::id::SessionId;
use bellwire::sip::interface::{Command, EndCause};

fn answered(seed: u64) -> (World, Side, SessionId, Received) {
    let mut world = World::new(seed);
    let mut side = Side::caller("a");
    let (session, ok) = world.answer(&mut side);
    (world, side, session, ok)
}

#[test]
fn ok_is_repeated_until_64_t1_and_then_comes_bye() {
    let (mut world, _, session, _) = answered(1);
    let bye = world.wait("BYE");
    assert_eq!(world.inbox.count("SIP/2.0 200"), 11);
    world.send(&bye.simple("200 OK"));
    world.finish();
    assert_eq!(world.cause(session), Some(EndCause::Timeout));
}

#[test]
fn late_ack_confirms() {
    let (mut world, mut side, session, _) = answered(2);
    world.run(secs(20));
    world.send(&side.request("ACK", "", ""));
    world.run(secs(60));
    assert_eq!(world.told(session), ["incoming", "confirmed"]);
    world.send(&side.next("BYE"));
    world.finish();
}

#[test]
fn ack_with_the_branch_of_the_invite_counts_too() {
    let (mut world, side, session, ok) = answered(3);
    world.send(&side.request_with("ACK", &ok.branch(), "", ""));
    world.run(secs(1));
    assert_eq!(world.told(session), ["incoming", "confirmed"]);
    world.hangup(session);
    world.finish();
}

#[test]
fn hangup_waits_for_the_ack_that_is_owed() {
    let (mut world, mut side, session, _) = answered(4);
    world.hangup(session);
    world.never("BYE", secs(10));
    world.send(&side.request("ACK", "", ""));
    let bye = world.wait("BYE");
    world.send(&bye.simple("200 OK"));
    world.finish();
    assert_eq!(world.told(session), ["incoming", "ended LocalHangup"]);
}

#[test]
fn hangup_without_any_ack_ends_after_64_t1() {
    let (mut world, _, session, _) = answered(5);
    world.hangup(session);
    world.finish();
    assert_eq!(world.told(session), ["incoming", "ended LocalHangup"]);
}

#[test]
fn refusal_is_repeated_until_timer_h() {
    let mut world = World::new(6);
    let mut side = Side::caller("a");
    world.send(&side.invite());
    world.wait("SIP/2.0 100");
    let session = world.incoming();
    world.command(Command::Reject { session, code: 486, reason: String::new() });
    world.finish();
    assert_eq!(world.inbox.count("SIP/2.0 486"), 11);
    assert_eq!(world.told(session), ["incoming", "ended Rejected 486"]);
}

#[test]
fn each_copy_of_a_2xx_gets_the_ack_again_even_after_the_end() {
    let mut world = World::new(7);
    let session = world.call();
    let invite = world.wait("INVITE");
    let ok = invite.with_sdp("200 OK", "carrier");
    world.send(&ok);
    let ack = world.wait("ACK");
    world.send(&ok);
    world.run(secs(1));
    world.send(&Side::callee(&invite, "carrier").request("BYE", "", ""));
    world.wait("SIP/2.0 200");
    world.send(&ok);
    world.run(secs(1));
    assert_eq!(world.inbox.count(ack.first_line()), 3);
    world.finish();
    assert_eq!(world.inbox.count("BYE"), 0);
    assert_eq!(world.told(session), ["dialing", "answered", "ended PeerHangup"]);
}

#[test]
fn each_copy_of_a_refusal_gets_the_ack_again() {
    let mut world = World::new(8);
    let session = world.call();
    let invite = world.wait("INVITE");
    for _ in 0..3 {
        world.send(&invite.simple("486 Busy Here"));
        world.run(secs(1));
    }
    assert_eq!(world.inbox.count("ACK"), 3);
    world.finish();
    assert_eq!(world.told(session), ["dialing", "ended Refused 486"]);
}
