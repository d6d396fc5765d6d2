//! Offers of the peer before the session stands: UPDATE in an early dialog, and in a PRACK.

use crate::carrier::{Received, Side};
use crate::clock::{ms, secs};
use crate::reliable_in::prack;
use crate::reliable_out::reliable;
use crate::world::{ANSWER, World};
use bellwire::id::SessionId;
use bellwire::sip::interface::{Command, Event};
use bellwire::sip::message::Name;

const CONTACT: &str = "Contact: <sip:far@10.0.0.2>\r\n";

fn reply_to(world: &mut World, request: &str, status: &str) -> Received {
    world.send(request);
    world.wait(&format!("SIP/2.0 {status}"))
}

fn next(side: &mut Side, method: &str, body: &str) -> String {
    side.cseq += 1;
    side.request(method, "", body)
}

/// We call; the callee has answered our offer reliably.
fn calling(seed: u64) -> (World, SessionId, Received, Side) {
    let mut world = World::new(seed);
    let session = world.call();
    let invite = world.wait("INVITE");
    world.send(&reliable(&invite, "183 Progress", "a", 1, "v=0 answer"));
    let prack = world.wait("PRACK");
    world.send(&prack.simple("200 OK"));
    world.run(ms(100));
    let side = Side::callee(&invite, "a");
    (world, session, invite, side)
}

/// We are called; our reliable answer is out.
fn called(seed: u64) -> (World, SessionId, Side, Received) {
    let mut world = World::new(seed);
    let mut side = Side::caller("a");
    world.send(&side.request("INVITE", "Require: 100rel\r\n", "v=0 offer"));
    world.wait("SIP/2.0 100");
    let session = world.incoming();
    world.command(Command::Progress { session, sdp: ANSWER.to_vec() });
    let media = world.wait("SIP/2.0 183");
    side.confirm(&media);
    (world, session, side, media)
}

fn offers(world: &World) -> Vec<Vec<u8>> {
    let events = world.us.events.iter();
    events
        .filter_map(|(_, _, event)| match event {
            Event::Reoffer { sdp } => sdp.clone(),
            _ => None,
        })
        .collect()
}

#[test]
fn callee_updates_and_the_answer_needs_no_description() {
    let (mut world, session, invite, mut side) = calling(1);
    world.send(&next(&mut side, "UPDATE", "v=0 other codec"));
    world.run(ms(100));
    assert_eq!(offers(&world), [b"v=0 other codec"]);
    world.command(Command::Reanswer { session, sdp: b"v=0 agreed".to_vec() });
    assert!(world.wait("SIP/2.0 200").text.ends_with("v=0 agreed"));
    world.send(&invite.response("200 OK", "a", CONTACT, "v=0 answer"));
    let ack = world.wait("ACK");
    assert!(!ack.text.contains("v=0"));
    let Some((_, _, Event::Answered { sdp })) = world.us.events.last() else { panic!("none") };
    assert_eq!(*sdp, None, "the description of the 2xx is older than the UPDATE");
    world.hangup(session);
    world.finish();
}

#[test]
fn callee_may_not_update_before_it_has_answered_reliably() {
    let mut world = World::new(2);
    let session = world.call();
    let invite = world.wait("INVITE");
    world.send(&invite.with_sdp("183 Progress", "a"));
    world.run(secs(1));
    let mut side = Side::callee(&invite, "a");
    reply_to(&mut world, &next(&mut side, "UPDATE", "v=0 x"), "491");
    world.hangup(session);
    world.finish();
    assert!(offers(&world).is_empty());
}

#[test]
fn second_update_before_the_first_is_answered_is_500() {
    let (mut world, session, invite, mut side) = calling(3);
    world.send(&next(&mut side, "UPDATE", "v=0 one"));
    world.run(ms(100));
    let later = reply_to(&mut world, &next(&mut side, "UPDATE", "v=0 two"), "500");
    assert!(later.header(Name::RetryAfter).parse::<u32>().is_ok_and(|seconds| seconds <= 10));
    world.command(Command::Reject { session, code: 488, reason: String::new() });
    world.wait("SIP/2.0 488");
    world.send(&invite.response("200 OK", "a", CONTACT, ""));
    world.wait("ACK");
    let Some((_, _, Event::Answered { sdp })) = world.us.events.last() else { panic!("none") };
    assert_eq!(sdp.as_deref(), Some(&b"v=0 answer"[..]), "a refused offer changes nothing");
    world.hangup(session);
    world.finish();
}

#[test]
fn answer_overtakes_an_update_that_waits() {
    let (mut world, session, invite, mut side) = calling(4);
    world.send(&next(&mut side, "UPDATE", "v=0 one"));
    world.run(ms(100));
    world.send(&invite.response("200 OK", "a", CONTACT, ""));
    assert!(world.wait("SIP/2.0 500").header(Name::CSeq).ends_with("UPDATE"));
    world.wait("ACK");
    world.command(Command::Reanswer { session, sdp: ANSWER.to_vec() });
    world.never("SIP/2.0 200", secs(1));
    world.hangup(session);
    world.finish();
}

#[test]
fn each_end_of_the_early_dialog_refuses_the_update_that_waits() {
    for end in ["cancel", "refuse", "199", "bye"] {
        let (mut world, session, invite, mut side) = calling(5);
        world.send(&next(&mut side, "UPDATE", "v=0 one"));
        world.run(ms(100));
        match end {
            "cancel" => world.hangup(session),
            "refuse" => world.send(&invite.simple("486 Busy Here")),
            "199" => world.send(&invite.response("199 Gone", "a", "", "")),
            _ => world.send(&next(&mut side, "BYE", "")),
        }
        assert!(world.wait("SIP/2.0 487").header(Name::CSeq).ends_with("UPDATE"), "{end}");
        world.hangup(session);
        world.finish();
    }
}

#[test]
fn caller_updates_after_our_reliable_answer() {
    let (mut world, session, mut side, media) = called(6);
    reply_to(&mut world, &prack(&mut side, &media, ""), "200");
    world.send(&next(&mut side, "UPDATE", "v=0 hold"));
    world.run(ms(100));
    assert_eq!(offers(&world), [b"v=0 hold"]);
    reply_to(&mut world, &next(&mut side, "UPDATE", "v=0 again"), "500");
    world.command(Command::Answer { session, sdp: ANSWER.to_vec() });
    world.never("SIP/2.0 200", secs(1));
    world.command(Command::Reanswer { session, sdp: b"v=0 held".to_vec() });
    assert!(world.wait("SIP/2.0 200").text.ends_with("v=0 held"));
    let ok = world.wait("SIP/2.0 200");
    assert!(ok.header(Name::CSeq).ends_with("INVITE") && !ok.text.contains("v=0"));
    world.hangup(session);
    world.finish();
}

#[test]
fn update_proves_that_our_answer_has_arrived() {
    let (mut world, session, mut side, _) = called(7);
    side.cseq += 1;
    world.send(&next(&mut side, "UPDATE", "v=0 hold"));
    world.run(ms(100));
    world.command(Command::Reanswer { session, sdp: b"v=0 held".to_vec() });
    world.wait("SIP/2.0 200");
    world.run(secs(60));
    assert_eq!(world.told(session), ["incoming", "reoffer"], "no PRACK is waited for");
    world.hangup(session);
    world.finish();
}

#[test]
fn caller_may_not_update_while_its_own_offer_is_open() {
    let mut world = World::new(8);
    let mut side = Side::caller("a");
    world.send(&side.invite());
    world.wait("SIP/2.0 100");
    let session = world.incoming();
    world.command(Command::Progress { session, sdp: ANSWER.to_vec() });
    side.confirm(&world.wait("SIP/2.0 183"));
    reply_to(&mut world, &next(&mut side, "UPDATE", "v=0 x"), "500");
    world.hangup(session);
    world.finish();
}

#[test]
fn caller_may_not_update_while_our_offer_is_open() {
    let mut world = World::new(9);
    let mut side = Side::caller("a");
    world.send(&side.request("INVITE", "Require: 100rel\r\n", ""));
    world.wait("SIP/2.0 100");
    let session = world.incoming();
    world.command(Command::Progress { session, sdp: ANSWER.to_vec() });
    side.confirm(&world.wait("SIP/2.0 183"));
    reply_to(&mut world, &next(&mut side, "UPDATE", "v=0 x"), "491");
    world.hangup(session);
    world.finish();
}

#[test]
fn offer_in_a_prack_is_answered_in_its_2xx() {
    let (mut world, session, mut side, media) = called(10);
    world.send(&prack(&mut side, &media, "v=0 narrowed"));
    world.run(ms(100));
    assert_eq!(offers(&world), [b"v=0 narrowed"]);
    world.command(Command::Answer { session, sdp: ANSWER.to_vec() });
    world.never("SIP/2.0 200", secs(2));
    assert_eq!(world.inbox.count("SIP/2.0 183"), 1, "the PRACK stops the repetition at once");
    world.command(Command::Reanswer { session, sdp: b"v=0 narrow".to_vec() });
    let replies = [world.wait("SIP/2.0 200"), world.wait("SIP/2.0 200")];
    for reply in replies {
        let answers = reply.header(Name::CSeq).ends_with("PRACK");
        assert!(answers || reply.header(Name::CSeq).ends_with("INVITE"));
        assert_eq!(reply.text.ends_with("v=0 narrow"), answers);
    }
    world.hangup(session);
    world.finish();
}

#[test]
fn bye_and_cancel_refuse_the_offer_that_waits() {
    for method in ["BYE", "CANCEL"] {
        let (mut world, session, mut side, media) = called(11);
        world.send(&prack(&mut side, &media, "v=0 narrowed"));
        world.run(ms(100));
        match method {
            "BYE" => world.send(&next(&mut side, "BYE", "")),
            _ => world.send(&side.clone().request_with("CANCEL", &media.branch(), "", "")),
        }
        let refusals: Vec<Received> = (0..2).map(|_| world.wait("SIP/2.0 487")).collect();
        assert!(refusals.iter().any(|refusal| refusal.header(Name::CSeq).ends_with("PRACK")));
        world.finish();
        assert!(world.told(session).last().unwrap().ends_with("487"), "{method}");
    }
}

#[test]
fn offer_that_the_application_forgets_is_refused_and_the_call_goes_on() {
    let (mut world, session, invite, mut side) = calling(12);
    world.send(&next(&mut side, "UPDATE", "v=0 one"));
    world.never("SIP/2.0", secs(29));
    world.run(secs(2));
    assert!(world.wait("SIP/2.0 500").header(Name::CSeq).ends_with("UPDATE"));
    world.send(&invite.response("200 OK", "a", CONTACT, ""));
    world.wait("ACK");
    world.hangup(session);
    world.finish();

    let (mut world, session, mut side, media) = called(13);
    world.send(&prack(&mut side, &media, "v=0 narrowed"));
    world.run(ms(100));
    world.command(Command::Answer { session, sdp: ANSWER.to_vec() });
    world.never("SIP/2.0 200", secs(29));
    world.run(secs(2));
    assert!(world.wait("SIP/2.0 500").header(Name::CSeq).ends_with("PRACK"));
    assert!(world.wait("SIP/2.0 200").header(Name::CSeq).ends_with("INVITE"));
    world.hangup(session);
    world.finish();
}
