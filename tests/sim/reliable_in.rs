//! Our reliable provisional responses (RFC 3262): when, how often, and what waits for their PRACK.

use crate::carrier::{Received, Side};
use crate::clock::{ms, secs};
use crate::world::{ANSWER, World, spec};
use bellwire::id::SessionId;
use bellwire::sip::interface::{Command, Event, Reliable};
use bellwire::sip::message::Name;

const REQUIRE: &str = "Require: 100rel\r\n";

fn world(seed: u64, reliable: Reliable) -> World {
    let mut spec = spec(seed);
    spec.trunks[0].reliable = reliable;
    World::with(seed, spec)
}

fn called(seed: u64, body: &str) -> (World, Side, SessionId) {
    let mut world = world(seed, Reliable::Supported);
    let mut side = Side::caller("a");
    world.send(&side.request("INVITE", REQUIRE, body));
    world.wait("SIP/2.0 100");
    let session = world.incoming();
    (world, side, session)
}

/// The PRACK to one of our responses.
pub fn prack(side: &mut Side, response: &Received, body: &str) -> String {
    side.confirm(response);
    side.cseq += 1;
    let extra = format!("RAck: {} {} INVITE\r\n", response.header(Name::RSeq), response.cseq());
    side.request("PRACK", &extra, body)
}

fn ack(side: &Side, response: &Received) -> String {
    let mut side = side.clone();
    side.cseq = response.cseq();
    side.request("ACK", "", "")
}

fn reply_to(world: &mut World, request: &str, status: &str) -> Received {
    world.send(request);
    world.wait(&format!("SIP/2.0 {status}"))
}

#[test]
fn answers_say_what_we_support_by_policy() {
    for (reliable, supported) in [
        (Reliable::Off, "timer, replaces"),
        (Reliable::Supported, "timer, 100rel, replaces"),
        (Reliable::Required, "timer, 100rel, replaces"),
    ] {
        let mut world = world(20, reliable);
        let answer = reply_to(&mut world, &Side::caller("o").request("OPTIONS", "", ""), "200");
        assert_eq!(answer.header(Name::Supported), supported, "OPTIONS");
        let mut side = Side::caller("a");
        let (_, ok) = world.answer(&mut side);
        assert_eq!(ok.header(Name::Supported), supported, "2xx to INVITE");
        world.send(&ack(&side, &ok));
        world.run(secs(1));
        for method in ["OPTIONS", "UPDATE"] {
            let answer = reply_to(&mut world, &side.next(method), "200");
            assert_eq!(answer.header(Name::Supported), supported, "{method} in the dialog");
        }
        world.send(&side.next("BYE"));
        world.finish();
    }
}

#[test]
fn ringing_is_reliable_for_a_peer_that_requires_it() {
    let (mut world, mut side, session) = called(1, "v=0 offer");
    world.command(Command::Ring(session));
    let ringing = world.wait("SIP/2.0 180");
    assert_eq!(ringing.header(Name::Require), "100rel");
    let rseq: u32 = ringing.header(Name::RSeq).parse().unwrap();
    assert!((1..1 << 31).contains(&rseq));
    assert!(ringing.header(Name::Allow).contains("INVITE"), "which tells of UPDATE");
    reply_to(&mut world, &prack(&mut side, &ringing, ""), "200");
    world.command(Command::Progress { session, sdp: ANSWER.to_vec() });
    let media = world.wait("SIP/2.0 183");
    assert_eq!(media.header(Name::RSeq), (rseq + 1).to_string());
    reply_to(&mut world, &prack(&mut side, &media, ""), "200");
    world.run(secs(40));
    assert_eq!(world.inbox.count("SIP/2.0 183"), 1, "nothing is repeated after its PRACK");
    world.command(Command::Answer { session, sdp: ANSWER.to_vec() });
    let ok = world.wait("SIP/2.0 200");
    assert!(!ok.text.contains("v=0"), "the answer has been given");
    world.send(&ack(&side, &ok));
    world.run(secs(1));
    assert_eq!(world.told(session), ["incoming", "confirmed"]);
    side.cseq += 5;
    world.send(&side.next("BYE"));
    world.finish();
}

#[test]
fn unacknowledged_response_is_repeated_and_ends_the_call_after_64_t1() {
    let (mut world, _, session) = called(2, "v=0 offer");
    let start = world.now;
    world.command(Command::Ring(session));
    let mut times = Vec::new();
    let refusal = loop {
        world.run(ms(100));
        for message in world.inbox.drain() {
            if message.text.starts_with("SIP/2.0 180") {
                times.push((world.now - start).as_millis() / 500);
            }
        }
        if let Some(ending) = world.ending(session) {
            break ending;
        }
    };
    assert_eq!(times, [0, 1, 3, 7, 15, 31, 63], "in units of T1: doubling without a bound");
    assert_eq!(refusal.code, Some(504));
    world.finish();
    assert_eq!(world.told(session), ["incoming", "ended Timeout 504"]);
}

#[test]
fn second_response_waits_for_the_first_and_the_last_word_counts() {
    let (mut world, mut side, session) = called(3, "v=0 offer");
    world.command(Command::Ring(session));
    let ringing = world.wait("SIP/2.0 180");
    world.command(Command::Progress { session, sdp: b"v=0 old".to_vec() });
    world.command(Command::Progress { session, sdp: b"v=0 new".to_vec() });
    world.command(Command::Ring(session));
    world.never("SIP/2.0 183", secs(2));
    reply_to(&mut world, &prack(&mut side, &ringing, ""), "200");
    let media = world.wait("SIP/2.0 183");
    assert!(media.text.ends_with("v=0 new"), "a description is not pushed out by ringing");
    reply_to(&mut world, &prack(&mut side, &media, ""), "200");
    world.hangup(session);
    world.finish();
}

#[test]
fn answer_waits_for_the_prack() {
    let (mut world, mut side, session) = called(4, "v=0 offer");
    world.command(Command::Progress { session, sdp: ANSWER.to_vec() });
    let media = world.wait("SIP/2.0 183");
    world.command(Command::Answer { session, sdp: ANSWER.to_vec() });
    world.never("SIP/2.0 200", secs(3));
    world.send(&prack(&mut side, &media, ""));
    let replies = [world.wait("SIP/2.0 200"), world.wait("SIP/2.0 200")];
    let of = |method| replies.iter().find(|reply| reply.header(Name::CSeq).ends_with(method));
    assert!(of("PRACK").is_some());
    let ok = of("INVITE").expect("the 2xx").clone();
    world.send(&ack(&side, &ok));
    world.run(secs(1));
    side.cseq += 5;
    world.send(&side.next("BYE"));
    world.finish();
    assert_eq!(world.told(session), ["incoming", "confirmed", "ended PeerHangup"]);
}

#[test]
fn cancel_comes_while_the_answer_waits_for_the_prack() {
    let (mut world, mut side, session) = called(5, "v=0 offer");
    world.command(Command::Progress { session, sdp: ANSWER.to_vec() });
    let media = world.wait("SIP/2.0 183");
    world.command(Command::Answer { session, sdp: ANSWER.to_vec() });
    world.send(&side.request_with("CANCEL", &media.branch(), "", ""));
    world.wait("SIP/2.0 487");
    let late = prack(&mut side, &media, "");
    reply_to(&mut world, &late, "481");
    world.finish();
    assert_eq!(world.told(session), ["incoming", "ended Canceled 487"]);
}

#[test]
fn strange_pracks_are_refused_and_change_nothing() {
    let (mut world, mut side, session) = called(6, "v=0 offer");
    side.cseq += 1;
    world.command(Command::Ring(session));
    let ringing = world.wait("SIP/2.0 180");
    side.confirm(&ringing);
    let rseq: u32 = ringing.header(Name::RSeq).parse().unwrap();
    let cases = [
        (format!("RAck: {} 1 INVITE\r\n", rseq + 1), "481"),
        (format!("RAck: {rseq} 2 INVITE\r\n"), "481"),
        (format!("RAck: {rseq} 1 UPDATE\r\n"), "481"),
        ("RAck: x\r\n".to_owned(), "400"),
        (String::new(), "400"),
    ];
    for (extra, status) in cases {
        side.cseq += 1;
        let strange = side.request("PRACK", &extra, "");
        reply_to(&mut world, &strange, status);
    }
    let right = prack(&mut side, &ringing, "");
    reply_to(&mut world, &right, "200");
    world.send(&right);
    let twice = prack(&mut side, &ringing, "");
    assert!(reply_to(&mut world, &twice, "481").header(Name::CSeq).ends_with("PRACK"));
    world.hangup(session);
    world.finish();
    assert_eq!(world.told(session), ["incoming", "ended Rejected 480"]);
}

#[test]
fn policy_decides() {
    let supported = "Supported: 100rel\r\n";
    let cases = [
        (Reliable::Supported, "", false),
        (Reliable::Supported, supported, false),
        (Reliable::Supported, REQUIRE, true),
        (Reliable::Required, "", false),
        (Reliable::Required, supported, true),
        (Reliable::Required, REQUIRE, true),
        (Reliable::Off, supported, false),
    ];
    for (policy, extra, reliable) in cases {
        let mut world = world(7, policy);
        let mut side = Side::caller("a");
        world.send(&side.request("INVITE", extra, "v=0 offer"));
        world.wait("SIP/2.0 100");
        let session = world.incoming();
        world.command(Command::Ring(session));
        let ringing = world.wait("SIP/2.0 180");
        assert_eq!(!ringing.header(Name::RSeq).is_empty(), reliable, "{policy:?} {extra}");
        world.hangup(session);
        world.finish();
    }
}

#[test]
fn trunk_without_reliable_responses_refuses_peers_that_require_them() {
    let mut world = world(8, Reliable::Off);
    let mut side = Side::caller("a");
    world.send(&side.request("INVITE", REQUIRE, "v=0 offer"));
    let refusal = world.wait("SIP/2.0 420");
    assert_eq!(refusal.header(Name::Unsupported), "100rel");
    world.finish();
    assert!(world.us.events.is_empty(), "no session is made");
}

#[test]
fn reliable_ringing_is_told_again_every_150_seconds() {
    let (mut world, mut side, session) = called(9, "v=0 offer");
    world.command(Command::Progress { session, sdp: ANSWER.to_vec() });
    let first = world.wait("SIP/2.0 183");
    reply_to(&mut world, &prack(&mut side, &first, ""), "200");
    world.run(secs(140));
    assert_eq!(world.inbox.count("SIP/2.0 183"), 1);
    world.run(secs(10));
    let second = world.wait("SIP/2.0 183");
    let rseq = |response: &Received| response.header(Name::RSeq).parse::<u32>().unwrap();
    assert_eq!(rseq(&second), rseq(&first) + 1);
    assert!(!second.text.contains("v=0"), "its description was given");
    reply_to(&mut world, &prack(&mut side, &second, ""), "200");
    world.hangup(session);
    world.finish();
}

#[test]
fn our_offer_in_a_reliable_response_is_answered_by_the_prack() {
    let (mut world, mut side, session) = called(10, "");
    world.command(Command::Ring(session));
    world.never("SIP/2.0 180", secs(1));
    world.command(Command::Progress { session, sdp: b"v=0 ours".to_vec() });
    let media = world.wait("SIP/2.0 183");
    assert!(media.text.ends_with("v=0 ours"));
    reply_to(&mut world, &prack(&mut side, &media, "v=0 theirs"), "200");
    let Some((_, _, Event::Agreed { sdp })) = world.us.events.last() else { panic!("no answer") };
    assert_eq!(sdp, b"v=0 theirs");
    world.command(Command::Ring(session));
    let ringing = world.wait("SIP/2.0 180");
    reply_to(&mut world, &prack(&mut side, &ringing, ""), "200");
    world.command(Command::Answer { session, sdp: b"v=0 ours".to_vec() });
    let ok = world.wait("SIP/2.0 200");
    assert!(!ok.text.contains("v=0"));
    world.send(&ack(&side, &ok));
    world.run(secs(1));
    assert_eq!(world.told(session), ["incoming", "agreed", "confirmed"]);
    world.hangup(session);
    world.finish();
}

#[test]
fn prack_that_owes_an_answer_makes_the_2xx_offer_again() {
    let (mut world, mut side, session) = called(11, "");
    world.command(Command::Progress { session, sdp: b"v=0 ours".to_vec() });
    let media = world.wait("SIP/2.0 183");
    reply_to(&mut world, &prack(&mut side, &media, ""), "200");
    world.command(Command::Answer { session, sdp: b"v=0 ours".to_vec() });
    let ok = world.wait("SIP/2.0 200");
    assert!(ok.text.ends_with("v=0 ours"));
    let mut acking = side.clone();
    acking.cseq = ok.cseq();
    world.send(&acking.request("ACK", "", "v=0 theirs"));
    world.run(secs(1));
    let Some((_, _, Event::Confirmed { sdp: Some(sdp) })) = world.us.events.last() else {
        panic!("no answer")
    };
    assert_eq!(sdp, b"v=0 theirs");
    world.hangup(session);
    world.finish();
}

#[test]
fn unreliable_progress_makes_no_offer() {
    let mut world = World::new(12);
    let mut side = Side::caller("a");
    world.send(&side.request("INVITE", "", ""));
    world.wait("SIP/2.0 100");
    let session = world.incoming();
    world.command(Command::Progress { session, sdp: ANSWER.to_vec() });
    assert!(!world.wait("SIP/2.0 183").text.contains("v=0"));
    world.command(Command::Answer { session, sdp: ANSWER.to_vec() });
    assert!(world.wait("SIP/2.0 200").text.ends_with("v=0 answer"));
    world.hangup(session);
    world.finish();
}
