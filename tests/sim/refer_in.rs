//! Transfers that the peer asks for: whom we may be sent to, and how it learns what came of it.

use crate::carrier::Received;
use crate::clock::secs;
use crate::standing::{ALLOWS_UPDATE, Standing, called_with};
use crate::world::{World, spec};
use bellwire::sip::interface::{Command, Event};
use bellwire::sip::message::Name;

fn willing(seed: u64) -> Standing {
    let mut spec = spec(seed);
    spec.trunks[0].take_refer = true;
    called_with(World::with(seed, spec), ALLOWS_UPDATE)
}

fn answer(call: &mut Standing, code: u16) {
    call.world.command(Command::AnswerRefer { session: call.session, code });
}

fn tell(call: &mut Standing, code: u16) {
    call.world.command(Command::NotifyRefer { session: call.session, code });
}

/// Sends a REFER that waits for the application.
fn asked(call: &mut Standing, headers: &str) {
    call.side.cseq += 1;
    call.world.send(&call.side.request("REFER", headers, ""));
    call.world.run(secs(1));
}

fn heard(call: &mut Standing, status: &str) -> Received {
    let notify = call.world.wait("NOTIFY");
    assert!(notify.text.ends_with(&format!("\r\n\r\nSIP/2.0 {status}\r\n")), "{}", notify.text);
    call.world.send(&notify.response("200 OK", "", "", ""));
    notify
}

#[test]
fn refer_is_declined_unless_the_trunk_may() {
    let mut call = called_with(World::new(1), ALLOWS_UPDATE);
    let refusal = call.ask("REFER", "Refer-To: <sip:bob@example.com>\r\n", "");
    assert!(refusal.first_line().contains("603"));
    assert!(call.is_up() && call.world.us.events.len() == 2);
    call.end();
}

#[test]
fn refer_is_taken_on_and_followed() {
    let mut call = willing(2);
    let headers = "Refer-To: Bob <sip:bob@example.com;user=phone?Replaces=a%40b%3Bto-tag%3D1%3B\
                   from-tag%3D2&Route=evil>\r\nReferred-By: <sip:eve@10.0.0.2>\r\nRefer-Sub: false\r\n";
    asked(&mut call, headers);
    let last = call.world.us.events.last().cloned();
    let Some((_, _, Event::ReferAsked { to, replaces, referred_by })) = last else { panic!() };
    assert_eq!(to, "sip:bob@example.com;user=phone");
    assert_eq!(replaces.as_deref(), Some("a@b;to-tag=1;from-tag=2"));
    assert_eq!(referred_by.as_deref(), Some("sip:eve@10.0.0.2"));
    answer(&mut call, 202);
    call.world.wait("SIP/2.0 202");
    let first = heard(&mut call, "100 Trying");
    assert_eq!(first.header(Name::Event), format!("refer;id={}", call.side.cseq));
    assert_eq!(first.header(Name::SubscriptionState), "active;expires=300");
    assert_eq!(first.header(Name::ContentType), "message/sipfrag;version=2.0");
    assert!(first.text.contains("Contact:"));
    tell(&mut call, 180);
    heard(&mut call, "180 Ringing");
    tell(&mut call, 200);
    let last = heard(&mut call, "200 OK");
    assert_eq!(last.header(Name::SubscriptionState), "terminated;reason=noresource");
    tell(&mut call, 486);
    call.world.never("NOTIFY", secs(400));
    assert!(call.is_up());
    call.end();
}

#[test]
fn application_refuses_or_forgets() {
    for (code, status) in [(Some(403), "403"), (Some(603), "603"), (None, "603")] {
        let mut call = willing(3);
        asked(&mut call, "r: sip:bob@example.com\r\n");
        if let Some(code) = code {
            answer(&mut call, code);
        }
        call.world.wait(&format!("SIP/2.0 {status}"));
        answer(&mut call, 202);
        tell(&mut call, 200);
        call.world.never("NOTIFY", secs(60));
        asked(&mut call, "r: sip:bob@example.com\r\n");
        assert_eq!(call.world.told(call.session).len(), 4, "the next one is asked about again");
        call.end();
    }
}

#[test]
fn bad_refers_are_refused() {
    let long = format!("Refer-To: <sip:{}@example.com>\r\n", "b".repeat(1100));
    for (headers, status) in [
        ("", "400"),
        ("Refer-To: <sip:a@b>\r\nRefer-To: <sip:c@d>\r\n", "400"),
        ("Refer-To: nobody\r\n", "400"),
        ("Refer-To: <sip:a@b\r\n", "400"),
        ("Refer-To: <http://example.com/>\r\n", "416"),
        ("Refer-To: <cid:list@example.com>\r\n", "416"),
        ("Refer-To: <sip:a@b;method=BYE>\r\n", "501"),
        ("Refer-To: <sip:a@b;method=invite>\r\n", "501"),
        ("Refer-To: <sip:a@b?Replaces=x>\r\n", "400"),
        ("Refer-To: <sip:a@b?Replaces=x%3Bto-tag%3D1>\r\n", "400"),
        ("Refer-To: <sip:a@b?Replaces=x%0D%0AEvil:y%3Bto-tag%3D1%3Bfrom-tag%3D2>\r\n", "400"),
        ("Refer-To: <sip:a@b?Replaces=x%FF%3Bto-tag%3D1%3Bfrom-tag%3D2>\r\n", "400"),
        (
            "Refer-To: <sip:a@b?Replaces=x%3Bto-tag%3D1%3Bfrom-tag%3D2&\
             replaces=x%3Bto-tag%3D1%3Bfrom-tag%3D2>\r\n",
            "400",
        ),
        (&long, "400"),
    ] {
        let mut call = willing(4);
        let refusal = call.ask("REFER", headers, "");
        assert!(refusal.first_line().contains(status), "{headers} {}", refusal.first_line());
        assert_eq!(call.world.us.events.len(), 2, "{headers}");
        call.end();
    }
}

#[test]
fn good_targets_are_passed_on_bare() {
    for (headers, want) in [
        ("Refer-To: sip:bob@example.com\r\n", "sip:bob@example.com"),
        ("Refer-To: <tel:+14155550111>\r\n", "tel:+14155550111"),
        ("Refer-To: <sips:b@c;method=INVITE?Subject=x&Body=y>\r\n", "sips:b@c"),
        ("Refer-To: <sip:conference.example.com>\r\n", "sip:conference.example.com"),
    ] {
        let mut call = willing(5);
        asked(&mut call, headers);
        let name = call.world.told(call.session).pop().unwrap();
        assert_eq!(name, format!("refer asked {want}"));
        call.end();
    }
}

#[test]
fn second_refer_has_to_wait() {
    let mut call = willing(6);
    asked(&mut call, "Refer-To: sip:bob@example.com\r\n");
    let refusal = call.ask("REFER", "Refer-To: sip:carol@example.com\r\n", "");
    assert!(refusal.first_line().contains("500") && refusal.text.contains("Retry-After"));
    call.end();
}

#[test]
fn subscription_that_is_forgotten_ends_by_itself() {
    let mut call = willing(7);
    asked(&mut call, "Refer-To: sip:bob@example.com\r\n");
    answer(&mut call, 202);
    heard(&mut call, "100 Trying");
    let last = call.world.wait_long("NOTIFY", secs(310));
    assert_eq!(last.header(Name::SubscriptionState), "terminated;reason=timeout");
    call.end();
}

#[test]
fn peer_that_wants_no_more_notifies_gets_none() {
    let mut call = willing(8);
    asked(&mut call, "Refer-To: sip:bob@example.com\r\n");
    answer(&mut call, 202);
    let notify = call.world.wait("NOTIFY");
    call.world.send(&notify.response("481 Who", "", "", ""));
    call.world.run(secs(1));
    tell(&mut call, 200);
    call.world.never("NOTIFY", secs(60));
    assert!(call.is_up());
    call.end();
}

#[test]
fn end_of_the_session_answers_the_refer_that_waits() {
    let mut call = willing(9);
    asked(&mut call, "Refer-To: sip:bob@example.com\r\n");
    call.world.hangup(call.session);
    call.world.wait("SIP/2.0 487");
    call.ends_by_us(secs(1));
    let mut call = willing(9);
    asked(&mut call, "Refer-To: sip:bob@example.com\r\n");
    let world = call.end();
    assert_eq!(world.inbox.count("SIP/2.0 487"), 1);
}
