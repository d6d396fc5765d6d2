//! Reliable provisional responses to our INVITE (RFC 3262): order, copies, gaps, PRACK's own fate.

use crate::carrier::Received;
use crate::clock::{ms, secs};
use crate::world::{World, spec};
use bellwire::id::SessionId;
use bellwire::sip::interface::{Command, Reliable};
use bellwire::sip::message::Name;

const CONTACT: &str = "Contact: <sip:far@10.0.0.2>\r\n";

fn invited(seed: u64) -> (World, SessionId, Received) {
    let mut world = World::new(seed);
    let session = world.call();
    let invite = world.wait("INVITE");
    (world, session, invite)
}

/// A reliable response of the carrier.
pub fn reliable(invite: &Received, status: &str, tag: &str, rseq: u32, body: &str) -> String {
    let extra = format!("{CONTACT}Require: 100rel\r\nRSeq: {rseq}\r\n");
    invite.response(status, tag, &extra, body)
}

fn end(mut world: World, session: SessionId, invite: &Received) -> World {
    world.send(&invite.simple("486 Busy Here"));
    world.finish();
    assert_eq!(world.told(session).last().unwrap(), "ended Refused 486");
    world
}

#[test]
fn invite_says_what_we_support_by_policy() {
    let cases = [
        (Reliable::Off, "timer, replaces, 199", ""),
        (Reliable::Supported, "timer, 100rel, replaces, 199", ""),
        (Reliable::Required, "timer, 100rel, replaces, 199", "100rel"),
    ];
    for (reliable, supported, require) in cases {
        let mut spec = spec(1);
        spec.trunks[0].reliable = reliable;
        let mut world = World::with(1, spec);
        let session = world.call();
        let invite = world.wait("INVITE");
        let message = invite.message();
        let values: Vec<&str> = message.headers(Name::Supported).collect();
        assert_eq!(values.join(", "), supported);
        assert_eq!(invite.header(Name::Require), require);
        end(world, session, &invite);
    }
}

#[test]
fn each_reliable_response_gets_its_prack_in_order() {
    let (mut world, session, invite) = invited(2);
    world.send(&reliable(&invite, "180 Ringing", "a", 776, ""));
    let first = world.wait("PRACK sip:far@10.0.0.2");
    assert_eq!(first.header(Name::RAck), format!("776 {} INVITE", invite.cseq()));
    assert_eq!((first.cseq(), first.to_tag().as_str()), (invite.cseq() + 1, "a"));
    world.send(&first.simple("200 OK"));
    world.send(&reliable(&invite, "183 Progress", "a", 777, "v=0 answer"));
    let second = world.wait("PRACK");
    assert_eq!(second.header(Name::RAck), format!("777 {} INVITE", invite.cseq()));
    assert_eq!(second.cseq(), invite.cseq() + 2);
    world.send(&second.simple("200 OK"));
    world.send(&invite.response("200 OK", "a", CONTACT, ""));
    assert_eq!(world.wait("ACK").cseq(), invite.cseq());
    world.run(secs(1));
    world.hangup(session);
    let bye = world.wait("BYE");
    assert_eq!(bye.cseq(), invite.cseq() + 3, "the numbers of the early dialog go on");
    world.send(&bye.simple("200 OK"));
    world.finish();
    let told = ["dialing", "180", "183 sdp", "answered", "ended LocalHangup"];
    assert_eq!(world.told(session), told);
}

#[test]
fn copies_are_acknowledged_once_and_gaps_not_at_all() {
    let (mut world, session, invite) = invited(3);
    let first = reliable(&invite, "180 Ringing", "a", 10, "");
    for _ in 0..3 {
        world.send(&first);
    }
    let prack = world.wait("PRACK");
    world.send(&prack.simple("200 OK"));
    world.send(&reliable(&invite, "183 Progress", "a", 12, "v=0 too early"));
    world.send(&reliable(&invite, "183 Progress", "a", 9, "v=0 too late"));
    world.send(&first);
    world.never("PRACK", secs(5));
    assert_eq!(world.told(session), ["dialing", "180"]);
    world.send(&reliable(&invite, "183 Progress", "a", 11, "v=0 answer"));
    world.wait("PRACK");
    assert_eq!(world.told(session), ["dialing", "180", "183 sdp"]);
    end(world, session, &invite);
}

#[test]
fn each_fork_counts_for_itself() {
    let (mut world, session, invite) = invited(4);
    for (tag, rseq) in [("a", 100), ("b", 1), ("a", 101), ("b", 2)] {
        world.send(&reliable(&invite, "183 Progress", tag, rseq, ""));
        let prack = world.wait("PRACK");
        assert_eq!(prack.to_tag(), tag);
        assert!(prack.header(Name::RAck).starts_with(&format!("{rseq} ")));
        world.send(&prack.simple("200 OK"));
    }
    end(world, session, &invite);
}

#[test]
fn lost_prack_is_sent_again_and_an_unanswered_one_harms_nobody() {
    let (mut world, session, invite) = invited(5);
    world.send(&reliable(&invite, "180 Ringing", "a", 1, ""));
    world.run(secs(40));
    assert_eq!(world.inbox.count("PRACK"), 11, "Timer E, then Timer F");
    world.send(&invite.with_sdp("200 OK", "a"));
    world.wait("ACK");
    world.hangup(session);
    let bye = world.wait("BYE");
    world.send(&bye.simple("200 OK"));
    world.finish();
    assert_eq!(world.told(session), ["dialing", "180", "answered", "ended LocalHangup"]);
}

#[test]
fn answer_comes_before_the_answer_to_the_prack() {
    let (mut world, session, invite) = invited(6);
    world.send(&reliable(&invite, "183 Progress", "a", 1, "v=0 answer"));
    let prack = world.wait("PRACK");
    world.send(&invite.response("200 OK", "a", CONTACT, ""));
    world.wait("ACK");
    world.send(&prack.simple("200 OK"));
    world.run(secs(5));
    assert_eq!(world.told(session), ["dialing", "183 sdp", "answered"]);
    world.hangup(session);
    world.finish();
}

#[test]
fn answer_crosses_cancel_while_a_prack_is_out() {
    let (mut world, session, invite) = invited(7);
    world.send(&reliable(&invite, "183 Progress", "a", 1, "v=0 answer"));
    let prack = world.wait("PRACK");
    world.hangup(session);
    world.send(&invite.response("200 OK", "a", CONTACT, ""));
    let cancel = world.wait("CANCEL");
    world.send(&cancel.simple("200 OK"));
    world.send(&prack.simple("481 No"));
    world.wait("ACK");
    let bye = world.wait("BYE");
    world.send(&bye.simple("200 OK"));
    world.finish();
    assert_eq!(world.told(session), ["dialing", "183 sdp", "ended LocalHangup"]);
}

#[test]
fn reliable_response_after_the_hangup_is_acknowledged_and_not_told() {
    let (mut world, session, invite) = invited(8);
    world.hangup(session);
    world.send(&reliable(&invite, "180 Ringing", "a", 1, ""));
    world.wait("CANCEL");
    world.wait("PRACK");
    world.send(&invite.simple("487 Request Terminated"));
    world.finish();
    assert_eq!(world.told(session), ["dialing", "ended Canceled 487"]);
}

#[test]
fn challenged_prack_comes_with_credentials_and_a_higher_number() {
    let (mut world, session, invite) = invited(9);
    world.send(&reliable(&invite, "180 Ringing", "a", 1, ""));
    let first = world.wait("PRACK");
    world.send(&reliable(&invite, "180 Ringing", "b", 1, ""));
    world.wait("PRACK");
    let challenge = "Proxy-Authenticate: Digest realm=\"10.0.0.2\", nonce=\"n\"\r\n";
    world.send(&first.response("407 Who", "a", challenge, ""));
    let again = world.wait("PRACK");
    assert!(again.cseq() > first.cseq() && again.to_tag() == "a");
    assert!(!again.header(Name::ProxyAuthorization).is_empty());
    world.send(&again.simple("200 OK"));
    world.send(&reliable(&invite, "183 Progress", "a", 2, ""));
    assert!(world.wait("PRACK").cseq() > again.cseq());
    end(world, session, &invite);
}

#[test]
fn callee_without_a_dialog_gets_no_prack() {
    let (mut world, session, invite) = invited(10);
    world.send(&reliable(&invite, "183 Progress", "", 1, "v=0 x"));
    world.never("PRACK", secs(3));
    assert_eq!(world.told(session), ["dialing", "183 sdp"]);
    end(world, session, &invite);
}

#[test]
fn two_provisional_answers_with_different_descriptions() {
    // The order that crashed another stack (CVE-2021-21375): two 183 of one dialog, then its 200.
    let (mut world, session, invite) = invited(11);
    world.send(&invite.response("183 Progress", "a", CONTACT, "v=0 one"));
    world.run(ms(100));
    world.send(&invite.response("183 Progress", "a", CONTACT, "v=0 two"));
    world.run(ms(100));
    world.send(&invite.response("200 OK", "a", CONTACT, "v=0 three"));
    world.wait("ACK");
    world.run(secs(1));
    assert_eq!(world.told(session), ["dialing", "183 sdp", "183 sdp", "answered"]);
    world.command(Command::Hangup { session, reason: None });
    world.finish();
}
