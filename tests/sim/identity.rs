//! Who calls: what is said to a trunk's network, and what is read of a peer.

use crate::carrier::{Received, Side};
use crate::world::{World, spec};
use bellwire::sip::interface::{Event, IdentityHeader, Incoming, Invite};
use bellwire::sip::message::Name;

fn invite_of(mode: IdentityHeader, change: impl FnOnce(&mut Invite)) -> Received {
    let mut spec = spec(1);
    spec.trunks[0].identity = mode;
    spec.trunks[0].from_domain = Some("us.example".into());
    let mut world = World::with(1, spec);
    let session = world.call_with(change);
    let invite = world.wait("INVITE");
    world.send(&invite.simple("486 Busy Here"));
    world.finish();
    assert_eq!(world.told(session), ["dialing", "ended Refused 486"]);
    invite
}

#[test]
fn number_is_told_as_the_trunk_wants_it() {
    use IdentityHeader::{Asserted, None, Preferred};
    let number = "<sip:+14155550100@us.example>";
    for (mode, anonymous, pai, ppi, privacy) in [
        (None, false, "", "", ""),
        (None, true, "", "", "id"),
        (Asserted, false, number, "", ""),
        (Asserted, true, number, "", "id"),
        (Preferred, false, "", number, ""),
        (Preferred, true, "", number, "id"),
    ] {
        let invite = invite_of(mode, |invite| {
            invite.identity = Some("+14155550100".into());
            if anonymous {
                invite.from_user.clear();
            }
        });
        let fields = [Name::PAssertedIdentity, Name::PPreferredIdentity, Name::Privacy];
        let said = fields.map(|name| invite.header(name));
        assert_eq!(said, [pai, ppi, privacy], "{mode:?}, anonymous: {anonymous}");
        let from = invite.header(Name::From);
        assert_eq!(from.contains("anonymous.invalid"), anonymous);
        assert_eq!(from.contains("14155550100"), !anonymous, "{from}");
        assert_eq!(invite.header(Name::Contact).contains("14155550100"), !anonymous);
    }
}

#[test]
fn uri_is_taken_as_it_is_and_nothing_can_be_smuggled_in() {
    for (identity, value) in [
        ("tel:+1555", "<tel:+1555>"),
        ("sip:a@b.example", "<sip:a@b.example>"),
        ("a b>, <sip:evil@x", "<sip:a%20b,%20sip%3Aevil%40x@us.example>"),
        ("1\r\nVia: x", "<sip:1Via%3A%20x@us.example>"),
    ] {
        let invite = invite_of(IdentityHeader::Asserted, |invite| {
            invite.identity = Some(identity.into());
        });
        assert_eq!(invite.header(Name::PAssertedIdentity), value);
    }
    let own = ("P-Asserted-Identity".to_owned(), "<sip:own@x>".to_owned());
    let invite = invite_of(IdentityHeader::Asserted, |invite| {
        invite.identity = Some("+1".into());
        invite.headers.push(own);
    });
    let values: Vec<&str> = invite.message().values(Name::PAssertedIdentity).collect();
    assert_eq!(values, ["<sip:own@x>"], "the application's own word counts");
}

#[test]
fn header_fields_of_the_stack_are_refused() {
    for (name, value) in
        [("Via", "x"), ("m", "<sip:x>"), ("Require", "x"), ("X-A", "b\r\nRoute: x")]
    {
        let mut world = World::new(2);
        let session = world.call_with(|invite| invite.headers.push((name.into(), value.into())));
        assert_eq!(world.told(session), ["ended Rejected 400"], "{name}");
        world.finish();
        assert!(world.inbox.history.is_empty());
    }
}

fn incoming(change: impl FnOnce(String) -> String) -> Incoming {
    let mut spec = spec(3);
    spec.watch_headers = vec!["P-Charge-Info".into()];
    let mut world = World::with(3, spec);
    world.send(&change(Side::caller("a").invite()));
    world.wait("SIP/2.0 100");
    let session = world.incoming();
    world.hangup(session);
    world.finish();
    let event = world.us.events.iter().find_map(|(_, _, event)| match event {
        Event::Incoming(incoming) => Some((**incoming).clone()),
        _ => None,
    });
    event.expect("an incoming call")
}

#[test]
fn what_the_network_says_of_a_caller_is_passed_on() {
    let more = "P-Asserted-Identity: <sip:+1555@c>, <tel:+1555;verstat=TN-Validation-Passed>\r\n\
                Privacy: user\r\nDiversion: <sip:+1777@c>;reason=no-answer\r\nP-Charge-Info: <sip:9@c>\r\n";
    let call = incoming(|text| text.replace("Contact:", &format!("{more}Contact:")));
    assert_eq!(call.identity.asserted, ["sip:+1555@c", "tel:+1555;verstat=TN-Validation-Passed"]);
    assert_eq!(call.identity.verstat.as_deref(), Some("TN-Validation-Passed"));
    assert!(call.identity.anonymous);
    assert_eq!(call.identity.diversion, ["sip:+1777@c"]);
    assert_eq!(call.watched, [("P-Charge-Info".to_owned(), "<sip:9@c>".to_owned())]);
    assert_eq!((call.from_user.as_str(), call.replaces), ("+14155550199", None));
}

#[test]
fn telephone_uris_are_numbers() {
    let call = incoming(|text| {
        let text = text.replace("INVITE sip:+14155550100@10.0.0.1", "INVITE tel:+1-415-555-0100");
        text.replace("<sip:+14155550199@10.0.0.2>", "<tel:+1(415)5550199>")
    });
    assert_eq!((call.to_user.as_str(), call.from_user.as_str()), ("+14155550100", "+14155550199"));
}
