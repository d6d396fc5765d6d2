//! Our own offers in a session that stands: hold, resume, another codec, and all that meets them.

use crate::carrier::Received;
use crate::clock::{ms, secs};
use crate::standing::{CONTACT, Standing, answered, called};
use crate::world::{ANSWER, CARRIER, addr};
use bellwire::sip::interface::{Command, Event, Transport};
use bellwire::sip::message::Name;

fn ok(invite: &Received, body: &str) -> String {
    invite.response("200 OK", "", CONTACT, body)
}

#[test]
fn hold_and_resume_in_both_roles() {
    for (mut call, cseq) in [(called(1), 2), (answered(2), 1)] {
        for (round, offer) in ["v=0 hold", "v=0 resume"].into_iter().enumerate() {
            call.reoffer(offer);
            let invite = call.world.wait("INVITE");
            assert!(invite.text.ends_with(offer) && invite.text.contains("Contact: <sip:+1415"));
            assert_eq!(invite.cseq(), cseq + u32::try_from(round).unwrap());
            call.world.send(&invite.response("100 Trying", "", "", ""));
            call.world.send(&invite.response("183 Thinking", "", CONTACT, "v=0 not yet"));
            call.world.run(secs(40));
            call.world.send(&ok(&invite, "v=0 held"));
            let ack = call.world.wait("ACK");
            assert_eq!((ack.cseq(), ack.to_tag()), (invite.cseq(), invite.to_tag()));
        }
        call.world.run(secs(100));
        assert_eq!(call.reoffered(), [Ok("v=0 held".to_owned()), Ok("v=0 held".to_owned())]);
        assert!(call.is_up());
        call.end();
    }
}

#[test]
fn each_copy_of_the_2xx_gets_the_ack_again() {
    let mut call = called(3);
    call.reoffer("v=0 hold");
    let invite = call.world.wait("INVITE");
    for _ in 0..3 {
        call.world.send(&ok(&invite, "v=0 held"));
        call.world.run(secs(1));
    }
    let invites = call.world.inbox.count("ACK");
    assert_eq!(invites, 1 + 3, "one for the first INVITE, one for each copy");
    assert_eq!(call.reoffered().len(), 1);
    call.end();
}

#[test]
fn refusals_leave_the_session_as_it_was() {
    for code in [300, 400, 403, 415, 420, 422, 486, 488, 500, 503, 504, 603, 606] {
        let mut call = called(4);
        call.reoffer("v=0 video");
        let invite = call.world.wait("INVITE");
        call.world.send(&invite.response(&format!("{code} No"), "", "", ""));
        call.world.wait("ACK");
        call.world.run(secs(60));
        assert_eq!(call.reoffered(), [Err(code)]);
        assert!(call.is_up(), "{code}");
        call.end();
    }
}

#[test]
fn peer_that_does_not_know_the_session_ends_it() {
    for (code, ending) in [(481, "ended PeerHangup 481"), (408, "ended Timeout 408")] {
        let mut call = called(5);
        call.reoffer("v=0 hold");
        let invite = call.world.wait("INVITE");
        call.world.send(&invite.response(&format!("{code} Gone"), "", "", ""));
        let session = call.session;
        let (world, bye) = call.ends_by_us(secs(10));
        let told = world.told(session);
        assert_eq!(told[2..], [format!("reoffered {code}"), ending.to_owned()]);
        assert!(bye.header(Name::Reason).starts_with(&format!("SIP;cause={code}")));
    }
}

#[test]
fn silence_ends_the_session() {
    let mut call = called(6);
    call.reoffer("v=0 hold");
    call.world.wait("INVITE");
    let session = call.session;
    let (world, _) = call.ends_by_us(secs(40));
    assert_eq!(world.told(session)[2..], ["reoffered 408", "ended Timeout"]);
}

#[test]
fn peer_that_only_thinks_is_given_up_after_three_minutes() {
    let mut call = called(7);
    call.reoffer("v=0 hold");
    let invite = call.world.wait("INVITE");
    call.world.send(&invite.response("100 Trying", "", "", ""));
    call.world.never("BYE", secs(170));
    let session = call.session;
    let (world, _) = call.ends_by_us(secs(20));
    assert_eq!(world.told(session)[2..], ["reoffered 408", "ended Timeout"]);
    assert!(world.inbox.count("CANCEL") > 0, "what is left of it is taken back");
}

#[test]
fn glare_is_retried_in_the_window_of_the_role() {
    for seed in 0..20 {
        for (mut call, window) in
            [(called(seed), ms(2100)..=ms(4000)), (answered(seed), ms(0)..=ms(2000))]
        {
            call.reoffer("v=0 hold");
            let invite = call.world.wait("INVITE");
            call.world.send(&invite.response("491 Request Pending", "", "", ""));
            call.world.wait("ACK");
            let refused = call.world.now;
            let again = call.world.wait("INVITE");
            let pause = call.world.now - refused;
            assert!(
                *window.start() <= pause + ms(60) && pause <= *window.end() + ms(60),
                "{pause:?}"
            );
            assert_eq!(again.cseq(), invite.cseq() + 1);
            call.world.send(&ok(&again, "v=0 held"));
            call.world.wait("ACK");
            call.world.run(secs(1));
            assert_eq!(call.reoffered(), [Ok("v=0 held".to_owned())]);
            call.end();
        }
    }
}

#[test]
fn glare_without_end_is_given_up() {
    let mut call = called(8);
    call.reoffer("v=0 hold");
    for _ in 0..8 {
        let invite = call.world.wait("INVITE");
        assert_eq!(call.reoffered(), []);
        call.world.send(&invite.response("491 Request Pending", "", "", ""));
    }
    call.world.never("INVITE", secs(60));
    assert_eq!(call.reoffered(), [Err(491)]);
    call.end();
}

#[test]
fn offer_of_the_peer_is_served_while_ours_waits() {
    let mut call = called(9);
    call.reoffer("v=0 hold");
    let invite = call.world.wait("INVITE");
    call.world.send(&invite.response("491 Request Pending", "", "", ""));
    call.world.wait("ACK");
    call.world.send(&call.side.invite());
    call.world.wait("SIP/2.0 100");
    call.world.never("INVITE", secs(10));
    call.reanswer();
    call.world.wait("SIP/2.0 200");
    call.world.never("INVITE", secs(10));
    let ack = call.side.request("ACK", "", "");
    call.world.send(&ack);
    let again = call.world.wait("INVITE");
    call.world.send(&ok(&again, "v=0 held"));
    call.world.wait("ACK");
    call.world.run(secs(1));
    assert_eq!(call.world.told(call.session)[2..], ["reoffer", "reoffered"]);
    call.end();
}

#[test]
fn offers_of_the_peer_are_491_while_ours_is_out() {
    let mut call = called(10);
    call.reoffer("v=0 hold");
    let invite = call.world.wait("INVITE");
    for (method, body, status) in
        [("INVITE", "v=0 x", "491"), ("INVITE", "", "491"), ("UPDATE", "v=0 x", "491")]
    {
        call.side.cseq += 1;
        call.world.send(&call.side.request(method, "", body));
        let refusal = call.world.wait(&format!("SIP/2.0 {status}"));
        let ack = call.side.request_with("ACK", &refusal.branch(), "", "");
        call.world.send(&ack);
    }
    assert!(call.ask("UPDATE", "", "").first_line().contains("200"), "it offers nothing");
    call.world.send(&ok(&invite, "v=0 held"));
    call.world.wait("ACK");
    call.world.run(secs(1));
    assert_eq!(call.reoffered(), [Ok("v=0 held".to_owned())]);
    call.end();
}

#[test]
fn busy_peer_names_the_time_of_the_next_try() {
    let mut call = called(11);
    call.reoffer("v=0 hold");
    let invite = call.world.wait("INVITE");
    call.world.send(&invite.response("500 Later", "", "Retry-After: 7\r\n", ""));
    call.world.wait("ACK");
    call.world.never("INVITE", secs(6));
    let again = call.world.wait("INVITE");
    call.world.send(&again.response("500 Later", "", "Retry-After: 3600\r\n", ""));
    call.world.never("INVITE", secs(100));
    assert_eq!(call.reoffered(), [Err(500)]);
    call.end();
}

#[test]
fn of_the_offers_that_wait_the_newest_is_sent() {
    let mut call = called(12);
    for offer in ["v=0 one", "v=0 two", "v=0 three"] {
        call.reoffer(offer);
    }
    let first = call.world.wait("INVITE");
    assert!(first.text.ends_with("v=0 one"));
    call.world.send(&ok(&first, "v=0 a"));
    let second = call.world.wait("INVITE");
    assert!(second.text.ends_with("v=0 three"));
    call.world.send(&ok(&second, "v=0 b"));
    call.world.never("INVITE", secs(10));
    assert_eq!(call.reoffered(), [Ok("v=0 a".to_owned()), Ok("v=0 b".to_owned())]);
    call.end();
}

#[test]
fn newer_offer_replaces_one_that_met_glare() {
    let mut call = called(13);
    call.reoffer("v=0 one");
    let first = call.world.wait("INVITE");
    call.reoffer("v=0 two");
    call.world.send(&first.response("491 Request Pending", "", "", ""));
    let second = call.world.wait("INVITE");
    assert!(second.text.ends_with("v=0 two"));
    call.world.send(&ok(&second, "v=0 b"));
    call.world.run(secs(1));
    assert_eq!(call.reoffered(), [Ok("v=0 b".to_owned())]);
    call.end();
}

#[test]
fn offer_waits_for_the_ack_to_our_first_200() {
    let Standing { mut world, .. } = answered(14);
    let mut side = crate::carrier::Side::caller("b");
    world.send(&side.request("INVITE", "", "v=0 offer"));
    world.wait("SIP/2.0 100");
    let session = world.incoming();
    world.command(Command::Answer { session, sdp: ANSWER.to_vec() });
    side.confirm(&world.wait("SIP/2.0 200"));
    world.command(Command::Reoffer { session, sdp: b"v=0 hold".to_vec() });
    world.never("INVITE", secs(3));
    world.send(&side.request("ACK", "", ""));
    assert!(world.wait("INVITE").text.ends_with("v=0 hold"));
}

#[test]
fn answer_that_is_missing_leaves_the_session() {
    let mut call = called(15);
    call.reoffer("v=0 hold");
    let invite = call.world.wait("INVITE");
    call.world.send(&ok(&invite, ""));
    call.world.wait("ACK");
    call.world.run(secs(1));
    assert_eq!(call.reoffered(), [Err(488)]);
    assert!(call.is_up());
    call.end();
}

#[test]
fn answer_moves_the_remote_target() {
    let mut call = called(16);
    call.reoffer("v=0 hold");
    let invite = call.world.wait("INVITE");
    let moved = invite.response("200 OK", "", "Contact: <sip:far@10.0.0.3:5070>\r\n", "v=0 x");
    call.world.send(&moved);
    assert_eq!(call.world.wait("ACK").uri(), "sip:far@10.0.0.3:5070");
    call.world.hangup(call.session);
    let (_, bye) = call.ends_by_us(secs(1));
    assert_eq!(bye.uri(), "sip:far@10.0.0.3:5070");
}

#[test]
fn hangup_during_our_offer_still_acknowledges_its_2xx() {
    let mut call = called(17);
    call.reoffer("v=0 hold");
    let invite = call.world.wait("INVITE");
    call.world.hangup(call.session);
    let bye = call.world.wait("BYE");
    call.world.send(&ok(&invite, "v=0 held"));
    assert_eq!(call.world.wait("ACK").cseq(), invite.cseq());
    call.world.send(&bye.simple("200 OK"));
    call.world.finish();
    assert_eq!(call.world.told(call.session)[2..], ["ended LocalHangup"]);
}

#[test]
fn bye_of_the_peer_during_our_offer_ends_both() {
    let mut call = called(18);
    call.reoffer("v=0 hold");
    let invite = call.world.wait("INVITE");
    call.world.send(&invite.response("100 Trying", "", "", ""));
    call.world.run(secs(1));
    let session = call.session;
    let world = call.end();
    assert_eq!(world.told(session)[2..], ["ended PeerHangup"]);
    assert_eq!(world.inbox.count("BYE"), 0);
}

#[test]
fn hangup_is_held_while_the_peer_owes_the_ack() {
    let mut call = called(19);
    call.world.send(&call.side.invite());
    call.world.wait("SIP/2.0 100");
    call.reanswer();
    call.world.wait("SIP/2.0 200");
    call.reoffer("v=0 late");
    call.world.hangup(call.session);
    call.world.never("BYE", secs(10));
    let ack = call.side.request("ACK", "", "");
    call.world.send(&ack);
    let (world, _) = call.ends_by_us(secs(1));
    assert_eq!(world.inbox.count("INVITE"), 1, "nothing is offered on the way out");
}

#[test]
fn challenge_is_answered_and_the_ack_repeats_the_credentials() {
    let mut call = called(20);
    call.reoffer("v=0 hold");
    let invite = call.world.wait("INVITE");
    let challenge = "WWW-Authenticate: Digest realm=\"10.0.0.2\", nonce=\"n\"\r\n";
    call.world.send(&invite.response("401 Who", "", challenge, ""));
    let again = call.world.wait("INVITE");
    assert!(again.cseq() > invite.cseq() && again.text.contains("Authorization: Digest"));
    call.world.send(&ok(&again, "v=0 held"));
    call.world.inbox.find("ACK");
    let ack = call.world.wait("ACK sip:far");
    assert!(ack.cseq() == again.cseq() || ack.cseq() == invite.cseq());
    call.world.run(secs(1));
    assert_eq!(call.reoffered(), [Ok("v=0 held".to_owned())]);
    call.end();
}

#[test]
fn codec_and_address_change_of_the_peer_is_offered() {
    let mut call = called(21);
    for (number, body) in ["v=0 c=IN IP4 10.0.0.9", "v=0 m=audio 1 RTP/AVP 9"].iter().enumerate() {
        call.side.cseq += u32::try_from(number).unwrap();
        call.world.send(&call.side.request("INVITE", "", body));
        call.world.wait("SIP/2.0 100");
        let last = call.world.us.events.last();
        let Some((_, _, Event::Reoffer { sdp: Some(sdp) })) = last else { panic!("no offer") };
        assert_eq!(sdp, body.as_bytes());
        call.reanswer();
        call.world.wait("SIP/2.0 200");
        let ack = call.side.request("ACK", "", "");
        call.world.send(&ack);
        call.world.run(secs(1));
    }
    call.end();
}

#[test]
fn offer_that_the_application_forgets_is_refused_after_30_seconds() {
    for method in ["INVITE", "UPDATE"] {
        let mut call = called(22);
        call.side.cseq += 1;
        call.world.send(&call.side.request(method, "", "v=0 x"));
        call.world.run(secs(1));
        call.reoffer("v=0 hold");
        call.world.never("SIP/2.0 500", secs(28));
        call.world.wait("SIP/2.0 500");
        call.reanswer();
        assert!(call.world.wait("INVITE").text.ends_with("v=0 hold"), "the way is free");
        assert!(call.is_up());
        call.end();
    }
}

#[test]
fn way_that_is_gone_refuses_the_offer_and_leaves_the_session() {
    let mut call = called(23);
    call.world.net.closed.insert((Transport::Udp, addr(CARRIER)));
    call.reoffer("v=0 hold");
    call.world.run(secs(1));
    assert_eq!(call.reoffered(), [Err(503)]);
    assert!(call.is_up(), "ICMP may pass; the session timer tells");
    call.world.net.closed.clear();
    call.reoffer("v=0 hold");
    let invite = call.world.wait("INVITE");
    call.world.send(&ok(&invite, "v=0 held"));
    call.world.run(secs(1));
    assert_eq!(call.reoffered()[1..], [Ok("v=0 held".to_owned())]);
    call.end();
}

#[test]
fn reason_of_the_application_goes_out_in_the_bye_whatever_it_is() {
    for (reason, sent) in [
        ("Q.850;cause=16;text=\"Normal\"", "Q.850;cause=16;text=\"Normal\""),
        ("SIP;cause=200\r\nX-Evil: yes", "SIP;cause=200X-Evil: yes"),
    ] {
        let mut call = called(24);
        let (session, reason) = (call.session, Some(reason.to_owned()));
        call.world.command(Command::Hangup { session, reason });
        let (_, bye) = call.ends_by_us(secs(1));
        assert_eq!(bye.header(Name::Reason), sent);
    }
}
