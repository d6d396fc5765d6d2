//! The plain outgoing call, and what its messages carry.

use crate::carrier::Side;
use crate::clock::secs;
use crate::world::World;
use bellwire::sip::interface::EndCause;
use bellwire::sip::message::Name;

#[test]
fn call_is_answered_and_we_hang_up() {
    let mut world = World::new(1);
    let session = world.call();
    let invite = world.wait("INVITE");
    assert_eq!(invite.uri(), "sip:+14155550123@carrier.example");
    assert!(invite.header(Name::Via).contains(";rport"));
    assert!(invite.header(Name::Contact).contains("+14155550100@10.0.0.1:5060"));
    world.send(&invite.simple("100 Trying"));
    world.send(&invite.simple("180 Ringing"));
    world.send(&invite.with_sdp("200 OK", "carrier"));
    let ack = world.wait("ACK");
    assert_eq!((ack.uri(), ack.cseq()), ("sip:far@10.0.0.2".to_owned(), invite.cseq()));
    assert_ne!(ack.branch(), invite.branch());
    world.run(secs(5));
    world.hangup(session);
    let bye = world.wait("BYE");
    assert_eq!((bye.cseq(), bye.to_tag().as_str()), (invite.cseq() + 1, "carrier"));
    world.send(&bye.simple("200 OK"));
    world.finish();
    let told = ["dialing", "180", "answered", "ended LocalHangup"];
    assert_eq!(world.told(session), told);
}

#[test]
fn call_is_answered_and_the_peer_hangs_up() {
    let mut world = World::new(2);
    let session = world.call();
    let invite = world.wait("INVITE");
    world.send(&invite.with_sdp("200 OK", "carrier"));
    world.wait("ACK");
    let mut side = Side::callee(&invite, "carrier");
    let bye = side.request("BYE", "Reason: Q.850;cause=16;text=\"bye\"\r\n", "");
    world.send(&bye);
    world.wait("SIP/2.0 200");
    world.finish();
    let ending = world.ending(session).unwrap();
    assert_eq!(ending.cause, EndCause::PeerHangup);
    assert_eq!((ending.reason.as_str(), ending.q850), ("bye", Some(16)));
}
