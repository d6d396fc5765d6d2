//! Challenges: answered once per nonce, only for the realm of the trunk, only to its own elements.

use crate::carrier::{Received, Side};
use crate::clock::secs;
use crate::world::{World, spec};
use bellwire::sip::interface::EndCause;
use bellwire::sip::message::Name;

fn challenge(request: &Received, status: &str, realm: &str, nonce: &str, more: &str) -> String {
    let name = if status.starts_with("401") { "WWW-Authenticate" } else { "Proxy-Authenticate" };
    let line =
        format!("{name}: Digest realm=\"{realm}\", nonce=\"{nonce}\", qop=\"auth\"{more}\r\n");
    request.response(status, "challenger", &line, "")
}

fn with_realm(seed: u64) -> World {
    let mut spec = spec(seed);
    spec.trunks[0].realm = Some("carrier".into());
    World::with(seed, spec)
}

#[test]
fn challenge_is_answered_and_the_ack_repeats_the_credentials() {
    let mut world = with_realm(1);
    let session = world.call();
    let first = world.wait("INVITE");
    assert_eq!(first.header(Name::ProxyAuthorization), "");
    world.send(&challenge(&first, "407 Authenticate", "carrier", "n1", ""));
    world.wait("ACK");
    let second = world.wait("INVITE");
    assert_eq!(second.cseq(), first.cseq() + 1);
    assert_ne!(second.branch(), first.branch());
    assert_eq!(second.header(Name::CallId), first.header(Name::CallId));
    assert_eq!(second.header(Name::From), first.header(Name::From));
    let credentials = second.header(Name::ProxyAuthorization);
    for part in ["username=\"user\"", "realm=\"carrier\"", "nonce=\"n1\"", "nc=00000001"] {
        assert!(credentials.contains(part), "{part} in {credentials}");
    }
    world.send(&second.with_sdp("200 OK", "carrier"));
    assert_eq!(world.wait("ACK").header(Name::ProxyAuthorization), credentials);
    world.hangup(session);
    let bye = world.wait("BYE");
    assert_eq!(bye.cseq(), second.cseq() + 1);
    assert!(bye.header(Name::ProxyAuthorization).contains("nc=00000002"), "before it is asked");
    world.send(&bye.simple("200 OK"));
    world.finish();
    assert_eq!(world.told(session), ["dialing", "answered", "ended LocalHangup"]);
}

#[test]
fn stale_nonce_is_replaced_and_wrong_password_is_final() {
    let mut world = with_realm(2);
    let session = world.call();
    let first = world.wait("INVITE");
    world.send(&challenge(&first, "401 Unauthorized", "carrier", "n1", ""));
    let second = world.wait("INVITE");
    world.send(&challenge(&second, "401 Unauthorized", "carrier", "n2", ", stale=true"));
    let third = world.wait("INVITE");
    assert!(third.header(Name::Authorization).contains("nonce=\"n2\""));
    world.send(&challenge(&third, "401 Unauthorized", "carrier", "n3", ""));
    world.finish();
    assert_eq!(world.told(session), ["dialing", "ended Refused 401"]);
    assert_eq!(world.inbox.count("INVITE"), 3);
}

#[test]
fn same_nonce_is_never_answered_twice() {
    let mut world = with_realm(3);
    let session = world.call();
    for _ in 0..2 {
        let invite = world.wait("INVITE");
        world.send(&challenge(&invite, "407 Authenticate", "carrier", "n1", ", stale=true"));
    }
    world.finish();
    assert_eq!(world.inbox.count("INVITE"), 2);
    assert_eq!(world.cause(session), Some(EndCause::Refused));
}

#[test]
fn foreign_realm_gets_nothing() {
    for (seed, realm) in [(4, "evil"), (5, "10.0.0.2")] {
        let mut world = with_realm(seed);
        let session = world.call();
        let invite = world.wait("INVITE");
        world.send(&challenge(&invite, "407 Authenticate", realm, "n1", ""));
        world.finish();
        assert_eq!(world.inbox.count("INVITE"), 1, "{realm}");
        assert_eq!(world.told(session), ["dialing", "ended Refused 407"]);
    }
}

#[test]
fn without_a_realm_only_the_host_of_the_proxy_may_ask() {
    let mut world = World::new(6);
    world.call();
    let invite = world.wait("INVITE");
    world.send(&challenge(&invite, "407 Authenticate", "10.0.0.2", "n1", ""));
    assert!(world.wait("INVITE").header(Name::ProxyAuthorization).contains("n1"));
    world.finish();
}

#[test]
fn callee_elsewhere_cannot_fish_for_credentials() {
    let mut world = with_realm(7);
    let session = world.call();
    let invite = world.wait("INVITE");
    let contact = "Contact: <sip:evil@10.9.9.9>\r\n";
    world.send(&invite.response("200 OK", "carrier", contact, "v=0 answer"));
    world.wait("ACK sip:evil@10.9.9.9");
    world.hangup(session);
    let bye = world.wait("BYE sip:evil@10.9.9.9");
    world.send(&challenge(&bye, "401 Unauthorized", "carrier", "n1", ""));
    world.finish();
    assert_eq!(world.inbox.count("BYE"), 1);
    assert_eq!(world.told(session), ["dialing", "answered", "ended LocalHangup"]);
}

#[test]
fn challenged_bye_is_sent_again() {
    let mut world = with_realm(8);
    let session = world.call();
    let invite = world.wait("INVITE");
    world.send(&invite.with_sdp("200 OK", "carrier"));
    world.wait("ACK");
    world.hangup(session);
    let bye = world.wait("BYE");
    world.send(&challenge(&bye, "407 Authenticate", "carrier", "n1", ""));
    let again = world.wait("BYE");
    assert_eq!(again.cseq(), bye.cseq() + 1);
    assert!(again.header(Name::ProxyAuthorization).contains("n1"));
    world.send(&again.simple("200 OK"));
    world.finish();
    assert_eq!(world.told(session), ["dialing", "answered", "ended LocalHangup"]);
}

#[test]
fn hangup_during_the_challenge_ends_without_a_second_invite() {
    let mut world = with_realm(9);
    let session = world.call();
    let invite = world.wait("INVITE");
    world.hangup(session);
    world.send(&challenge(&invite, "407 Authenticate", "carrier", "n1", ""));
    world.finish();
    assert_eq!(world.inbox.count("INVITE"), 1);
    assert_eq!(world.told(session), ["dialing", "ended Canceled 407"]);
}

#[test]
fn cancel_after_a_challenge_fits_the_second_invite() {
    let mut world = with_realm(10);
    let session = world.call();
    let first = world.wait("INVITE");
    world.send(&challenge(&first, "407 Authenticate", "carrier", "n1", ""));
    let second = world.wait("INVITE");
    world.send(&second.simple("180 Ringing"));
    world.run(secs(1));
    world.hangup(session);
    let cancel = world.wait("CANCEL");
    assert_eq!((cancel.branch(), cancel.cseq()), (second.branch(), second.cseq()));
    assert_eq!(cancel.header(Name::ProxyAuthorization), "");
    world.send(&cancel.simple("200 OK"));
    world.send(&second.simple("487 Request Terminated"));
    world.finish();
    assert_eq!(world.told(session), ["dialing", "180", "ended Canceled 487"]);
}

#[test]
fn requests_of_the_peer_are_never_authorized_by_us() {
    let mut world = with_realm(11);
    let mut side = Side::caller("a");
    world.send(&side.invite());
    world.wait("SIP/2.0 100");
    let session = world.incoming();
    world.hangup(session);
    assert!(!world.wait("SIP/2.0 480").text.contains("Authorization"));
    world.finish();
}
