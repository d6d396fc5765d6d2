//! Requests inside a session: re-INVITE, UPDATE, INFO, OPTIONS, and those out of order.

use crate::carrier::{Received, Side};
use crate::clock::secs;
use crate::world::{ANSWER, World};
use bellwire::id::SessionId;
use bellwire::sip::interface::{Command, Event};
use bellwire::sip::message::Name;

fn talking(seed: u64) -> (World, SessionId, Side) {
    let mut world = World::new(seed);
    let session = world.call();
    let invite = world.wait("INVITE");
    world.send(&invite.with_sdp("200 OK", "carrier"));
    world.wait("ACK");
    let side = Side::callee(&invite, "carrier");
    (world, session, side)
}

fn reply_to(world: &mut World, request: &str, status: &str) -> Received {
    world.send(request);
    world.wait(&format!("SIP/2.0 {status}"))
}

fn end(mut world: World, mut side: Side) {
    world.send(&side.next("BYE"));
    world.finish();
}

#[test]
fn reinvite_is_offered_answered_and_acknowledged() {
    let (mut world, session, mut side) = talking(1);
    reply_to(&mut world, &side.request("INVITE", "", "v=0 hold"), "100");
    let Some((_, _, Event::Reoffer { sdp })) = world.us.events.last() else { panic!("no offer") };
    assert_eq!(sdp.as_deref(), Some(&b"v=0 hold"[..]));
    world.command(Command::Reanswer { session, sdp: ANSWER.to_vec() });
    let ok = world.wait("SIP/2.0 200");
    assert!(ok.text.ends_with("v=0 answer") && ok.text.contains("Contact:"));
    world.run(secs(3));
    assert!(world.inbox.count("SIP/2.0 200") > 1, "repeated until the ACK");
    world.send(&side.request("ACK", "", ""));
    world.run(secs(40));
    assert_eq!(world.told(session), ["dialing", "answered", "reoffer"]);
    end(world, side);
}

#[test]
fn refused_reinvite_leaves_the_session() {
    let (mut world, session, mut side) = talking(2);
    reply_to(&mut world, &side.request("INVITE", "", "v=0 video"), "100");
    world.command(Command::Reject { session, code: 488, reason: String::new() });
    let refusal = world.wait("SIP/2.0 488");
    world.send(&side.request_with("ACK", &refusal.branch(), "", ""));
    world.run(secs(5));
    assert_eq!(world.us.endpoint.stats().sessions, 1);
    end(world, side);
}

#[test]
fn reinvite_without_an_offer_gets_its_answer_in_the_ack() {
    let (mut world, session, mut side) = talking(3);
    reply_to(&mut world, &side.request("INVITE", "", ""), "100");
    world.command(Command::Reanswer { session, sdp: ANSWER.to_vec() });
    world.wait("SIP/2.0 200");
    world.send(&side.request("ACK", "", "v=0 in the ack"));
    world.run(secs(1));
    let Some((_, _, Event::Confirmed { sdp })) = world.us.events.last() else {
        panic!("no answer")
    };
    assert_eq!(sdp.as_deref(), Some(&b"v=0 in the ack"[..]));
    end(world, side);
}

#[test]
fn reinvite_whose_ack_never_comes_ends_the_session() {
    let (mut world, session, mut side) = talking(4);
    reply_to(&mut world, &side.request("INVITE", "", "v=0 hold"), "100");
    world.command(Command::Reanswer { session, sdp: ANSWER.to_vec() });
    let bye = world.wait("BYE");
    world.send(&bye.simple("200 OK"));
    world.finish();
    assert_eq!(world.told(session), ["dialing", "answered", "reoffer", "ended Timeout"]);
}

#[test]
fn reinvite_can_be_cancelled() {
    let (mut world, session, mut side) = talking(5);
    let branch = reply_to(&mut world, &side.request("INVITE", "", "v=0 hold"), "100").branch();
    world.send(&side.request_with("CANCEL", &branch, "", ""));
    world.wait("SIP/2.0 487");
    world.command(Command::Reanswer { session, sdp: ANSWER.to_vec() });
    world.send(&side.request_with("ACK", &branch, "", ""));
    world.run(secs(5));
    assert_eq!(world.us.endpoint.stats().sessions, 1);
    end(world, side);
}

#[test]
fn glare_reinvite_while_our_invite_is_out_is_491() {
    let mut world = World::new(6);
    let session = world.call();
    let invite = world.wait("INVITE");
    world.send(&invite.simple("180 Ringing"));
    world.run(secs(1));
    let mut side = Side::callee(&invite, "carrier");
    reply_to(&mut world, &side.request("INVITE", "", "v=0 x"), "491");
    side.cseq += 1;
    reply_to(&mut world, &side.request("UPDATE", "", "v=0 x"), "491");
    let refresh = side.next("UPDATE");
    reply_to(&mut world, &refresh, "200");
    world.hangup(session);
    world.finish();
}

#[test]
fn overlapping_offers_are_500_with_retry_after() {
    let (mut world, session, mut side) = talking(7);
    reply_to(&mut world, &side.request("INVITE", "", "v=0 hold"), "100");
    side.cseq += 1;
    let refusal = reply_to(&mut world, &side.request("UPDATE", "", "v=0 x"), "500");
    assert!(refusal.header(Name::RetryAfter).parse::<u32>().is_ok_and(|seconds| seconds <= 10));
    world.hangup(session);
    world.wait("SIP/2.0 487");
    let bye = world.wait("BYE");
    world.send(&bye.simple("200 OK"));
    world.finish();
}

#[test]
fn update_offers_and_refreshes() {
    let (mut world, session, mut side) = talking(8);
    world.send(&side.request("UPDATE", "", "v=0 x"));
    world.run(secs(1));
    world.command(Command::Reanswer { session, sdp: ANSWER.to_vec() });
    assert!(world.wait("SIP/2.0 200").text.ends_with("v=0 answer"));
    side.cseq += 1;
    let timer = "Supported: timer\r\nSession-Expires: 1800;refresher=uac\r\n";
    let ok = reply_to(&mut world, &side.request("UPDATE", timer, ""), "200");
    assert_eq!(ok.header(Name::SessionExpires), "1800;refresher=uac");
    assert_eq!(ok.header(Name::Require), "timer");
    assert_eq!(world.told(session), ["dialing", "answered", "reoffer"]);
    world.run(secs(1700));
    assert_eq!(world.us.endpoint.stats().sessions, 1);
    let bye = world.wait_long("BYE", secs(100));
    world.send(&bye.simple("200 OK"));
    world.finish();
    assert_eq!(world.told(session).last().unwrap(), "ended Timeout", "no refresh came");
}

#[test]
fn info_brings_digits_and_options_are_answered() {
    let (mut world, session, mut side) = talking(9);
    let digit = "Content-Type: application/dtmf-relay\r\n";
    let mut info = side.request("INFO", digit, "").replace("Content-Length: 0\r\n\r\n", "");
    info.push_str("Content-Length: 22\r\n\r\nSignal=#\r\nDuration=100");
    reply_to(&mut world, &info, "200");
    reply_to(&mut world, &side.next("OPTIONS"), "200");
    assert_eq!(world.told(session), ["dialing", "answered", "dtmf #"]);
    end(world, side);
}

#[test]
fn late_requests_are_500_and_strange_ones_481() {
    let (mut world, _, mut side) = talking(10);
    reply_to(&mut world, &side.next("OPTIONS"), "200");
    side.cseq -= 1;
    reply_to(&mut world, &side.request("OPTIONS", "", ""), "500");
    side.cseq += 1;
    let mut stranger = side.clone();
    stranger.to = "<sip:x@10.0.0.1>;tag=nobody".into();
    reply_to(&mut world, &stranger.next("BYE"), "481");
    assert_eq!(world.us.endpoint.stats().sessions, 1);
    end(world, side);
}

#[test]
fn bye_during_a_reinvite_ends_both() {
    let (mut world, session, mut side) = talking(11);
    reply_to(&mut world, &side.request("INVITE", "", "v=0 hold"), "100");
    world.send(&side.next("BYE"));
    world.wait("SIP/2.0 487");
    world.wait("SIP/2.0 200");
    world.finish();
    assert_eq!(world.told(session), ["dialing", "answered", "reoffer", "ended PeerHangup"]);
}
