//! Session timers (RFC 4028): who refreshes, who gives up, and how long an interval may be.

use crate::carrier::Side;
use crate::clock::secs;
use crate::standing::{
    ALLOWS_UPDATE, CONTACT, Standing, answered_with, called_with, timed_world, with_body,
};
use crate::world::World;
use bellwire::sip::interface::{Command, Event};
use bellwire::sip::message::Name;

const HALF_HOUR: std::time::Duration = secs(1800);

fn granted(side: &str, base: &str) -> String {
    format!("{base}Require: timer\r\nSession-Expires: 1800;refresher={side}\r\n")
}

#[test]
fn invite_asks_for_what_the_trunk_wants() {
    let mut world = timed_world(1, HALF_HOUR);
    world.call();
    let invite = world.wait("INVITE");
    assert_eq!(invite.header(Name::Supported), "timer");
    assert_eq!(invite.header(Name::SessionExpires), "1800");
    let mut world = World::new(1);
    world.call();
    let invite = world.wait("INVITE");
    assert_eq!(
        (invite.header(Name::Supported), invite.header(Name::SessionExpires)),
        ("timer".into(), String::new())
    );
}

#[test]
fn we_refresh_at_half_time_by_update_if_the_peer_allows_it() {
    let mut call = called_with(timed_world(2, HALF_HOUR), &granted("uac", ALLOWS_UPDATE));
    for _ in 0..4 {
        call.world.never("UPDATE", secs(895));
        let update = call.world.wait("UPDATE");
        assert_eq!(update.header(Name::SessionExpires), "1800;refresher=uac");
        assert_eq!(update.header(Name::Supported), "timer");
        assert!(update.text.contains("Contact:") && update.text.contains("Content-Length: 0"));
        call.world.send(&update.response("200 OK", "", &granted("uac", CONTACT), ""));
    }
    assert_eq!(call.world.told(call.session), ["dialing", "answered"]);
    call.end();
}

#[test]
fn we_refresh_by_reinvite_with_the_last_description_unchanged() {
    let mut call = called_with(timed_world(3, HALF_HOUR), &granted("uac", CONTACT));
    for answer in ["v=0 answer", "v=0 answer", "v=0 moved"] {
        let invite = call.world.wait_long("INVITE", secs(910));
        assert!(invite.text.ends_with("v=0 offer"));
        assert_eq!(invite.header(Name::SessionExpires), "1800;refresher=uac");
        call.world.send(&invite.response("200 OK", "", &granted("uac", CONTACT), answer));
        call.world.wait("ACK");
        call.world.run(secs(1));
    }
    assert_eq!(call.reoffered(), [Ok("v=0 moved".to_owned())], "only a changed answer is told");
    call.reoffer("v=0 hold");
    let invite = call.world.wait("INVITE");
    call.world.send(&invite.response("200 OK", "", &granted("uac", CONTACT), "v=0 held"));
    assert!(call.world.wait_long("INVITE", secs(910)).text.ends_with("v=0 hold"));
    call.end();
}

#[test]
fn callee_repeats_its_answer_to_refresh() {
    let asks = "Supported: timer\r\nSession-Expires: 1800;refresher=uas\r\n";
    let mut call = answered_with(World::new(4), asks);
    assert_eq!(call.first.header(Name::SessionExpires), "1800;refresher=uas");
    assert_eq!(call.first.header(Name::Require), "timer");
    let invite = call.world.wait_long("INVITE", secs(910));
    assert!(invite.text.ends_with("v=0 answer"));
    call.world.send(&invite.response("200 OK", "", &granted("uac", CONTACT), "v=0 offer"));
    call.world.never("INVITE", secs(890));
    call.world.wait("INVITE");
    call.end();
}

#[test]
fn peer_that_must_refresh_and_does_not_is_left_32_seconds_before_the_end() {
    let mut call = called_with(timed_world(5, HALF_HOUR), &granted("uas", CONTACT));
    let start = call.world.now;
    call.world.never("BYE", secs(1767));
    let session = call.session;
    let bye = call.world.wait("BYE");
    assert!((call.world.now - start).as_secs().abs_diff(1768) <= 1);
    assert_eq!(bye.header(Name::Reason), "SIP;cause=408;text=\"session expired\"");
    call.world.send(&bye.simple("200 OK"));
    call.world.finish();
    assert_eq!(call.world.told(session)[2..], ["ended Timeout"]);
}

#[test]
fn short_interval_ends_a_third_early() {
    let ok = format!("{CONTACT}Require: timer\r\nSession-Expires: 90;refresher=uas\r\n");
    let mut call = called_with(World::new(6), &ok);
    call.world.never("BYE", secs(59));
    call.ends_by_us(secs(2));
}

#[test]
fn peer_refreshes_at_half_time_as_freeswitch_does() {
    let mut call = called_with(timed_world(7, secs(120)), &granted("uas", CONTACT));
    for round in 0..60 {
        call.world.run(secs(60));
        let timer = "Supported: timer\r\nSession-Expires: 120;refresher=uac\r\n";
        let (method, body) = if round % 2 == 0 { ("UPDATE", "") } else { ("INVITE", "v=0 offer") };
        call.side.cseq += 1;
        call.world.send(&call.side.request(method, timer, body));
        if method == "INVITE" {
            call.world.wait("SIP/2.0 100");
            call.reanswer();
        }
        let ok = call.world.wait("SIP/2.0 200");
        assert_eq!(ok.header(Name::SessionExpires), "120;refresher=uac");
        if method == "INVITE" {
            let ack = call.side.request("ACK", "", "");
            call.world.send(&ack);
        }
    }
    assert!(call.is_up(), "an hour later");
    call.end();
}

#[test]
fn invite_is_sent_again_with_a_longer_interval() {
    let mut world = timed_world(8, secs(90));
    let session = world.call();
    for min_se in [120, 600, 900, 1000, 1800] {
        let invite = world.wait("INVITE");
        let refusal = format!("Min-SE: {min_se}\r\n");
        world.send(&invite.response("422 Too Small", "x", &refusal, ""));
        world.wait("ACK");
    }
    let invite = world.wait("INVITE");
    assert_eq!(invite.header(Name::SessionExpires), "1800");
    assert_eq!((invite.header(Name::MinSe), invite.cseq()), ("1800".into(), 6));
    assert_eq!(invite.message().count(Name::SessionExpires), 1);
    world.send(&invite.response("422 Too Small", "x", "Min-SE: 3600\r\n", ""));
    world.finish();
    assert_eq!(world.told(session), ["dialing", "ended Refused 422"]);
}

#[test]
fn senseless_422_is_a_refusal() {
    for min_se in
        ["", "Min-SE: 60\r\n", "Min-SE: 90\r\n", "Min-SE: 4000000000\r\n", "Min-SE: x\r\n"]
    {
        let mut world = timed_world(9, HALF_HOUR);
        let session = world.call();
        let invite = world.wait("INVITE");
        world.send(&invite.response("422 Too Small", "x", min_se, ""));
        world.finish();
        assert_eq!(world.told(session), ["dialing", "ended Refused 422"], "{min_se}");
    }
}

#[test]
fn hangup_beats_the_retry_of_422() {
    let mut world = timed_world(10, secs(90));
    let session = world.call();
    let invite = world.wait("INVITE");
    world.hangup(session);
    world.send(&invite.response("422 Too Small", "x", "Min-SE: 1800\r\n", ""));
    world.finish();
    assert_eq!(world.inbox.count("INVITE"), 1);
    assert_eq!(world.told(session), ["dialing", "ended Canceled 422"]);
}

#[test]
fn refresh_and_offer_are_sent_again_with_a_longer_interval() {
    let mut call = called_with(timed_world(11, secs(120)), &granted("uac", ALLOWS_UPDATE));
    let update = call.world.wait_long("UPDATE", secs(910));
    call.world.send(&update.response("422 Too Small", "", "Min-SE: 3600\r\n", ""));
    let again = call.world.wait("UPDATE");
    assert_eq!(again.header(Name::SessionExpires), "3600;refresher=uac");
    assert_eq!(again.header(Name::MinSe), "3600");
    let hour = format!("{CONTACT}Session-Expires: 3600;refresher=uac\r\n");
    call.world.send(&again.response("200 OK", "", &hour, ""));
    call.world.never("UPDATE", secs(1790));
    call.reoffer("v=0 hold");
    let invite = call.world.wait("INVITE");
    call.world.send(&invite.response("422 Too Small", "", "Min-SE: 7200\r\n", ""));
    let again = call.world.wait("INVITE");
    assert_eq!(again.header(Name::SessionExpires), "7200;refresher=uac");
    assert!(again.text.ends_with("v=0 hold"));
    call.end();
}

#[test]
fn interval_below_90_seconds_is_422() {
    let mut world = World::new(12);
    let mut side = Side::caller("a");
    let asks = "Supported: timer\r\nSession-Expires: 60\r\n";
    world.send(&side.request("INVITE", asks, "v=0 offer"));
    assert_eq!(world.wait("SIP/2.0 422").header(Name::MinSe), "90");
    assert!(world.us.events.is_empty());
    let mut call = answered_with(world, "Supported: timer\r\nSession-Expires: 90\r\n");
    assert_eq!(call.first.header(Name::SessionExpires), "90;refresher=uac");
    assert_eq!(call.ask("UPDATE", asks, "").header(Name::MinSe), "90");
    assert_eq!(call.ask("INVITE", asks, "v=0 x").header(Name::MinSe), "90");
    assert!(call.is_up());
    call.end();
}

#[test]
fn peer_without_timers_is_refreshed_by_us() {
    // A proxy put the interval in: only we can keep it alive.
    let mut call = answered_with(World::new(13), "Session-Expires: 600\r\nAllow: UPDATE\r\n");
    assert_eq!(call.first.header(Name::SessionExpires), "600;refresher=uas");
    assert_eq!(call.first.header(Name::Require), "");
    call.world.wait_long("UPDATE", secs(301));
    call.end();
}

#[test]
fn trunk_timer_starts_even_if_the_caller_asks_for_none() {
    for (asks, side, require) in [("Supported: timer\r\n", "uac", "timer"), ("", "uas", "")] {
        let call = answered_with(timed_world(14, HALF_HOUR), asks);
        let want = format!("1800;refresher={side}");
        assert_eq!(call.first.header(Name::SessionExpires), want);
        assert_eq!(call.first.header(Name::Require), require);
        call.end();
    }
    let asks = "Supported: timer\r\nSession-Expires: 7200\r\nMin-SE: 3600\r\n";
    let call = answered_with(timed_world(14, HALF_HOUR), asks);
    let granted = call.first.header(Name::SessionExpires);
    assert_eq!(granted, "3600;refresher=uac", "not above what we want, not below its Min-SE");
    call.end();
}

#[test]
fn refresh_that_meets_glare_or_overload_is_sent_again() {
    for refusal in ["491 Pending", "500 Later", "503 Later"] {
        let mut call = called_with(timed_world(15, HALF_HOUR), &granted("uac", ALLOWS_UPDATE));
        let update = call.world.wait_long("UPDATE", secs(910));
        call.world.send(&update.response(refusal, "", "Retry-After: 3\r\n", ""));
        let again = call.world.wait_long("UPDATE", secs(6));
        assert_eq!(again.header(Name::SessionExpires), "1800;refresher=uac");
        call.world.send(&again.response("200 OK", "", &granted("uac", CONTACT), ""));
        call.world.never("UPDATE", secs(890));
        assert!(call.is_up());
        call.end();
    }
}

#[test]
fn refresh_that_finds_nobody_ends_the_session() {
    for (status, ending) in [
        (Some("481 Who"), "ended PeerHangup 481"),
        (Some("408 Late"), "ended Timeout 408"),
        (None, "ended Timeout"),
    ] {
        let mut call = called_with(timed_world(16, HALF_HOUR), &granted("uac", ALLOWS_UPDATE));
        let update = call.world.wait_long("UPDATE", secs(910));
        if let Some(status) = status {
            call.world.send(&update.response(status, "", "", ""));
        }
        let session = call.session;
        let (world, _) = call.ends_by_us(secs(40));
        assert_eq!(world.told(session)[2..], [ending]);
    }
}

#[test]
fn update_that_is_not_known_after_all_becomes_a_reinvite() {
    for status in ["405 No", "501 No"] {
        let mut call = called_with(timed_world(17, HALF_HOUR), &granted("uac", ALLOWS_UPDATE));
        let update = call.world.wait_long("UPDATE", secs(910));
        call.world.send(&update.response(status, "", "", ""));
        let invite = call.world.wait("INVITE");
        assert!(invite.text.ends_with("v=0 offer"));
        call.world.send(&invite.response("200 OK", "", &granted("uac", CONTACT), "v=0 answer"));
        call.world.wait_long("INVITE", secs(910));
        call.end();
    }
}

#[test]
fn refresh_that_is_always_refused_ends_with_the_interval() {
    let mut call = called_with(timed_world(18, HALF_HOUR), &granted("uac", ALLOWS_UPDATE));
    let start = call.world.now;
    let mut tries = 0;
    let bye = loop {
        let message = call.world.wait_long("", secs(1000));
        match message.first_line().split(' ').next() {
            Some("UPDATE") => call.world.send(&message.response("488 No", "", "", "")),
            Some("BYE") => break message,
            _ => panic!("{message:?}"),
        }
        tries += 1;
    };
    assert!((5..20).contains(&tries), "{tries} tries");
    assert!((call.world.now - start).as_secs().abs_diff(1768) <= 1);
    call.world.send(&bye.simple("200 OK"));
    call.world.finish();
    assert_eq!(call.world.told(call.session)[2..], ["ended Timeout"]);
}

#[test]
fn peer_that_grants_nothing_is_watched_all_the_same() {
    let mut call = called_with(timed_world(19, HALF_HOUR), ALLOWS_UPDATE);
    for status in ["200 OK", "488 No", "501 No"] {
        let update = call.world.wait_long("UPDATE", secs(910));
        call.world.send(&update.response(status, "", "", ""));
    }
    let invite = call.world.wait_long("INVITE", secs(910));
    call.world.send(&invite.response("481 Who", "", "", ""));
    call.ends_by_us(secs(1));
    let mut call = called_with(World::new(19), ALLOWS_UPDATE);
    call.world.never("UPDATE", secs(86_400));
    call.end();
}

#[test]
fn refresher_changes_with_the_request_that_says_so() {
    let mut call = called_with(timed_world(20, HALF_HOUR), &granted("uas", ALLOWS_UPDATE));
    call.world.run(secs(100));
    let asks = "Supported: timer\r\nSession-Expires: 1800;refresher=uas\r\n";
    let ok = call.ask("UPDATE", asks, "");
    assert_eq!(ok.header(Name::SessionExpires), "1800;refresher=uas");
    let update = call.world.wait_long("UPDATE", secs(910));
    call.world.send(&update.response("200 OK", "", &granted("uas", CONTACT), ""));
    call.world.never("UPDATE", secs(1700));
    call.ends_by_us(secs(100));
}

#[test]
fn answer_without_an_interval_turns_the_timer_off() {
    let mut call = called_with(World::new(21), &granted("uas", CONTACT));
    call.reoffer("v=0 hold");
    let invite = call.world.wait("INVITE");
    assert_eq!(invite.header(Name::SessionExpires), "1800;refresher=uas", "the role stays");
    call.world.send(&invite.response("200 OK", "", CONTACT, "v=0 held"));
    call.world.never("BYE", secs(10_000));
    assert!(call.is_up());
    call.end();
}

#[test]
fn refresh_waits_for_the_peers_own_offer_and_expiry_for_its_ack() {
    let mut call = called_with(timed_world(22, HALF_HOUR), &granted("uac", CONTACT));
    call.world.run(secs(890));
    call.world.send(&call.side.request("INVITE", "Supported: timer\r\n", "v=0 x"));
    call.world.wait("SIP/2.0 100");
    call.world.never("INVITE", secs(20));
    call.reanswer();
    call.world.wait("SIP/2.0 200");
    let ack = call.side.request("ACK", "", "");
    call.world.send(&ack);
    call.world.never("INVITE", secs(100));
    call.end();
}

#[test]
fn digits_go_out_by_info() {
    let mut call = called_with(World::new(23), CONTACT);
    let digit = |digit| Command::Info { session: call.session, digit, duration_ms: 160 };
    let asks = ['5', '*', 'd', 'x', '\r'].map(digit);
    for ask in asks {
        call.world.command(ask);
    }
    for (key, status) in [('5', "200 OK"), ('*', "481 Who"), ('D', "500 No")] {
        let info = call.world.wait("INFO");
        assert_eq!(info.header(Name::ContentType), "application/dtmf-relay");
        assert!(info.text.ends_with(&format!("\r\n\r\nSignal={key}\r\nDuration=160\r\n")));
        call.world.send(&info.response(status, "", "", ""));
    }
    call.world.never("INFO", secs(60));
    assert!(call.is_up());
    let Standing { world, side, .. } = &mut call;
    side.cseq += 1;
    let digit = with_body(&side.request("INFO", "", ""), "application/dtmf", "7");
    world.send(&digit);
    world.wait("SIP/2.0 200");
    assert!(matches!(world.us.events.last(), Some((_, _, Event::InfoDtmf { digit: '7', .. }))));
    for (method, status) in [("MESSAGE", "405"), ("SUBSCRIBE", "405"), ("FOO", "501")] {
        assert!(call.ask(method, "", "").first_line().contains(status), "{method}");
    }
    call.end();
}
