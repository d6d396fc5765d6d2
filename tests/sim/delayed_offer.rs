//! Our INVITE without a description: the callee offers, in its 2xx or before.

use crate::carrier::{Received, Side};
use crate::clock::{ms, secs};
use crate::reliable_out::reliable;
use crate::world::{World, spec};
use bellwire::id::SessionId;
use bellwire::sip::interface::{Command, Event};
use bellwire::sip::message::Name;

const CONTACT: &str = "Contact: <sip:far@10.0.0.2>\r\n";
const THEIRS: &str = "v=0\r\nm=audio 4000 RTP/AVP 0\r\n";

fn invited(seed: u64) -> (World, SessionId, Received) {
    let mut world = World::with(seed, spec(seed));
    let session = world.call_with(|invite| invite.sdp = None);
    let invite = world.wait("INVITE");
    assert!(!invite.text.contains("Content-Type"));
    (world, session, invite)
}

fn offering(invite: &Received, tag: &str) -> String {
    invite.response("200 OK", tag, CONTACT, THEIRS)
}

fn acknowledge(world: &mut World, session: SessionId) {
    world.command(Command::Acknowledge { session, sdp: b"v=0 ours".to_vec() });
}

fn end(mut world: World, session: SessionId) {
    world.hangup(session);
    let bye = world.wait("BYE");
    world.send(&bye.simple("200 OK"));
    world.finish();
    assert_eq!(world.told(session).last().unwrap(), "ended LocalHangup");
}

#[test]
fn ack_waits_for_our_answer_and_copies_of_the_2xx_with_it() {
    let (mut world, session, invite) = invited(1);
    let ok = offering(&invite, "a");
    for _ in 0..3 {
        world.send(&ok);
        world.never("ACK", secs(1));
    }
    assert_eq!(world.told(session), ["dialing", "offered"]);
    acknowledge(&mut world, session);
    let ack = world.wait("ACK");
    assert!(ack.text.ends_with("v=0 ours"));
    assert_eq!(ack.header(Name::ContentType), "application/sdp");
    world.send(&ok);
    world.run(secs(1));
    assert_eq!(world.inbox.count("ACK"), 2, "copies get the same ACK again");
    assert_eq!(world.told(session), ["dialing", "offered", "answered"]);
    let Some((_, _, Event::Answered { sdp })) = world.us.events.last() else { panic!("none") };
    assert_eq!(*sdp, None);
    end(world, session);
}

#[test]
fn hangup_refuses_the_offer_in_the_ack() {
    let (mut world, session, invite) = invited(2);
    world.send(&offering(&invite, "a"));
    world.run(ms(100));
    world.hangup(session);
    let ack = world.wait("ACK");
    assert!(ack.text.ends_with("m=audio 0 RTP/AVP 0\r\n"), "{}", ack.text);
    let bye = world.wait("BYE");
    world.send(&bye.simple("200 OK"));
    world.finish();
    assert_eq!(world.told(session), ["dialing", "offered", "ended LocalHangup"]);
}

#[test]
fn nobody_answers_the_offer() {
    let (mut world, session, invite) = invited(3);
    world.send(&offering(&invite, "a"));
    world.never("ACK", secs(15));
    world.run(secs(2));
    world.wait("ACK");
    let bye = world.wait("BYE");
    world.send(&bye.simple("200 OK"));
    world.finish();
    assert_eq!(world.told(session), ["dialing", "offered", "ended Timeout"]);
}

#[test]
fn cancel_crosses_the_2xx_with_the_offer() {
    let (mut world, session, invite) = invited(4);
    world.send(&invite.simple("180 Ringing"));
    world.run(ms(100));
    world.hangup(session);
    world.send(&offering(&invite, "carrier"));
    world.wait("CANCEL");
    assert!(world.wait("ACK").text.contains("m=audio 0 "));
    let bye = world.wait("BYE");
    world.send(&bye.simple("200 OK"));
    world.finish();
    assert_eq!(world.told(session), ["dialing", "180", "ended LocalHangup"]);
}

#[test]
fn callee_leaves_before_our_answer() {
    let (mut world, session, invite) = invited(5);
    world.send(&offering(&invite, "a"));
    world.run(ms(100));
    world.send(&Side::callee(&invite, "a").request("BYE", "", ""));
    world.wait("SIP/2.0 200");
    world.wait("ACK");
    world.finish();
    assert_eq!(world.inbox.count("BYE"), 0);
    assert_eq!(world.told(session), ["dialing", "offered", "ended PeerHangup"]);
}

#[test]
fn requests_before_our_answer_are_put_off_and_other_forks_dismissed() {
    let (mut world, session, invite) = invited(6);
    world.send(&offering(&invite, "a"));
    world.run(ms(100));
    let mut side = Side::callee(&invite, "a");
    world.send(&side.request("UPDATE", "", "v=0 x"));
    world.wait("SIP/2.0 500");
    world.send(&side.next("OPTIONS"));
    world.wait("SIP/2.0 200");
    world.send(&offering(&invite, "b"));
    assert_eq!(world.wait("ACK").to_tag(), "b");
    let bye = world.wait("BYE");
    assert_eq!(bye.to_tag(), "b");
    world.send(&bye.simple("200 OK"));
    acknowledge(&mut world, session);
    assert_eq!(world.wait("ACK").to_tag(), "a");
    end(world, session);
}

#[test]
fn answer_without_an_offer_ends_the_call() {
    let (mut world, session, invite) = invited(7);
    world.send(&invite.response("200 OK", "a", CONTACT, ""));
    world.wait("ACK");
    let bye = world.wait("BYE");
    world.send(&bye.simple("200 OK"));
    world.finish();
    assert_eq!(world.told(session), ["dialing", "ended Protocol"]);
}

#[test]
fn offer_in_a_reliable_response_is_answered_in_the_prack() {
    let (mut world, session, invite) = invited(8);
    let media = reliable(&invite, "183 Progress", "a", 1, THEIRS);
    world.send(&media);
    world.send(&media);
    world.never("PRACK", secs(2));
    assert_eq!(world.told(session), ["dialing", "183", "offered"], "copies are not told");
    acknowledge(&mut world, session);
    let prack = world.wait("PRACK");
    assert!(prack.text.ends_with("v=0 ours"));
    world.send(&prack.simple("200 OK"));
    world.send(&invite.response("200 OK", "a", CONTACT, THEIRS));
    let ack = world.wait("ACK");
    assert!(!ack.text.contains("v=0"), "offer and answer have been exchanged");
    assert_eq!(world.told(session), ["dialing", "183", "offered", "answered"]);
    end(world, session);
}

#[test]
fn callee_answers_before_its_offer_is_answered() {
    let (mut world, session, invite) = invited(9);
    world.send(&reliable(&invite, "183 Progress", "a", 1, THEIRS));
    world.run(ms(100));
    world.send(&invite.response("200 OK", "a", CONTACT, ""));
    world.never("ACK", secs(1));
    acknowledge(&mut world, session);
    assert!(world.wait("ACK").text.ends_with("v=0 ours"));
    assert_eq!(world.told(session), ["dialing", "183", "offered", "answered"]);
    end(world, session);
}

#[test]
fn description_in_an_unreliable_response_is_no_offer() {
    let (mut world, session, invite) = invited(10);
    world.send(&invite.response("183 Progress", "a", CONTACT, THEIRS));
    world.run(secs(1));
    assert_eq!(world.told(session), ["dialing", "183"]);
    world.send(&offering(&invite, "a"));
    world.run(ms(100));
    assert_eq!(world.told(session), ["dialing", "183", "offered"]);
    acknowledge(&mut world, session);
    world.wait("ACK");
    end(world, session);
}

#[test]
fn offers_of_two_forks_are_answered_one_after_the_other() {
    let (mut world, session, invite) = invited(11);
    let second = reliable(&invite, "183 Progress", "b", 7, "v=0 of b");
    world.send(&reliable(&invite, "183 Progress", "a", 1, "v=0 of a"));
    world.run(ms(100));
    world.send(&second);
    world.run(ms(100));
    assert_eq!(world.told(session), ["dialing", "183", "offered"], "b must wait");
    acknowledge(&mut world, session);
    assert_eq!(world.wait("PRACK").to_tag(), "a");
    world.send(&second);
    world.run(ms(100));
    acknowledge(&mut world, session);
    assert_eq!(world.wait("PRACK").to_tag(), "b");
    assert_eq!(world.told(session), ["dialing", "183", "offered", "183", "offered"]);
    world.hangup(session);
    world.finish();
}

#[test]
fn answer_for_one_fork_is_not_given_to_another() {
    let (mut world, session, invite) = invited(12);
    world.send(&reliable(&invite, "183 Progress", "a", 1, "v=0 of a"));
    world.run(ms(100));
    world.send(&offering(&invite, "b"));
    world.run(ms(100));
    world.command(Command::Acknowledge { session, sdp: b"v=0 for a".to_vec() });
    world.never("ACK", secs(1));
    world.command(Command::Acknowledge { session, sdp: b"v=0 for b".to_vec() });
    assert!(world.wait("ACK").text.ends_with("v=0 for b"));
    end(world, session);
}
