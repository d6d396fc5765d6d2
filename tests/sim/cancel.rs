//! CANCEL of our own INVITE, in every race.

use crate::carrier::Received;
use crate::clock::secs;
use crate::world::World;
use bellwire::id::SessionId;

fn invited(seed: u64) -> (World, SessionId, Received) {
    let mut world = World::new(seed);
    let session = world.call();
    let invite = world.wait("INVITE");
    (world, session, invite)
}

#[test]
fn cancel_waits_for_a_provisional_answer() {
    let (mut world, session, invite) = invited(1);
    world.hangup(session);
    world.never("CANCEL", secs(3));
    world.send(&invite.simple("100 Trying"));
    let cancel = world.wait("CANCEL");
    assert_eq!((cancel.branch(), cancel.cseq()), (invite.branch(), invite.cseq()));
    assert_eq!(cancel.uri(), invite.uri());
    world.send(&cancel.simple("200 OK"));
    world.send(&invite.simple("487 Request Terminated"));
    let ack = world.wait("ACK");
    assert_eq!(ack.branch(), invite.branch());
    world.finish();
    assert_eq!(world.told(session), ["dialing", "ended Canceled 487"]);
}

#[test]
fn cancel_crosses_200() {
    let (mut world, session, invite) = invited(2);
    world.send(&invite.simple("180 Ringing"));
    world.run(secs(1));
    world.hangup(session);
    world.send(&invite.with_sdp("200 OK", "carrier"));
    let cancel = world.wait("CANCEL");
    world.send(&cancel.simple("200 OK"));
    world.wait("ACK");
    let bye = world.wait("BYE");
    world.send(&bye.simple("200 OK"));
    world.finish();
    assert_eq!(world.told(session), ["dialing", "180", "ended LocalHangup"]);
}

#[test]
fn answer_without_any_provisional_after_hangup_gets_ack_and_bye() {
    let (mut world, session, invite) = invited(3);
    world.hangup(session);
    world.send(&invite.with_sdp("200 OK", "carrier"));
    world.wait("ACK");
    let bye = world.wait("BYE");
    world.send(&bye.simple("200 OK"));
    world.finish();
    assert_eq!(world.inbox.count("CANCEL"), 0);
    assert_eq!(world.told(session), ["dialing", "ended LocalHangup"]);
}

#[test]
fn nothing_ever_answers_a_cancelled_invite() {
    let (mut world, session, invite) = invited(4);
    world.send(&invite.simple("183 Session Progress"));
    world.run(secs(1));
    world.hangup(session);
    world.wait("CANCEL");
    world.finish();
    assert_eq!(world.told(session), ["dialing", "183", "ended Canceled"]);
}

#[test]
fn silent_peer_and_hangup_end_with_timer_b() {
    let (mut world, session, _) = invited(5);
    world.hangup(session);
    world.finish();
    assert_eq!(world.inbox.count("INVITE"), 7);
    assert_eq!(world.told(session), ["dialing", "ended Canceled"]);
}

#[test]
fn second_hangup_changes_nothing() {
    let (mut world, session, invite) = invited(6);
    world.send(&invite.simple("180 Ringing"));
    world.run(secs(1));
    world.hangup(session);
    world.hangup(session);
    world.wait("CANCEL");
    world.send(&invite.simple("487 Request Terminated"));
    world.hangup(session);
    world.finish();
    world.hangup(session);
    assert_eq!(world.told(session), ["dialing", "180", "ended Canceled 487"]);
}
