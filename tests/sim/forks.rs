//! One INVITE, several callees: early dialogs, early media, and more than one 2xx.

use crate::carrier::Side;
use crate::clock::secs;
use crate::world::World;
use bellwire::sip::interface::Event;

#[test]
fn early_media_of_two_forks_and_the_answer_of_one() {
    let mut world = World::new(1);
    let session = world.call();
    let invite = world.wait("INVITE");
    world.send(&invite.response("180 Ringing", "a", "Contact: <sip:a@10.0.0.2>\r\n", ""));
    world.run(secs(1));
    world.send(&invite.response("183 Progress", "b", "Contact: <sip:b@10.0.0.2>\r\n", "v=0 b"));
    world.run(secs(1));
    assert_eq!(world.us.endpoint.stats().dialogs, 2);
    let media = world.us.events.iter().find_map(|(_, _, event)| match event {
        Event::Provisional { sdp, .. } => sdp.clone(),
        _ => None,
    });
    assert_eq!(media.as_deref(), Some(&b"v=0 b"[..]));
    world.send(&invite.response("200 OK", "b", "Contact: <sip:b@10.0.0.2>\r\n", "v=0 b"));
    assert_eq!(world.wait("ACK").uri(), "sip:b@10.0.0.2");
    world.hangup(session);
    let bye = world.wait("BYE sip:b@10.0.0.2");
    world.send(&bye.simple("200 OK"));
    world.finish();
    assert_eq!(world.told(session), ["dialing", "180", "183 sdp", "answered", "ended LocalHangup"]);
}

#[test]
fn second_answer_gets_ack_and_bye() {
    let mut world = World::new(2);
    let session = world.call();
    let invite = world.wait("INVITE");
    world.send(&invite.with_sdp("200 OK", "a"));
    assert_eq!(world.wait("ACK").to_tag(), "a");
    let other = invite.response("200 OK", "b", "Contact: <sip:b@10.0.0.2>\r\n", "v=0 b");
    world.send(&other);
    assert_eq!(world.wait("ACK").to_tag(), "b");
    let bye = world.wait("BYE sip:b@10.0.0.2");
    assert_eq!(bye.to_tag(), "b");
    world.send(&bye.simple("200 OK"));
    world.send(&other);
    world.run(secs(1));
    assert_eq!(world.inbox.count("ACK sip:b@10.0.0.2"), 2, "a copy gets the ACK, no second BYE");
    assert_eq!(world.inbox.count("BYE"), 1);
    assert_eq!(world.told(session), ["dialing", "answered"], "the session goes on");
    world.send(&Side::callee(&invite, "a").request("BYE", "", ""));
    world.finish();
}

#[test]
fn answer_of_another_fork_after_the_end_gets_ack_and_bye() {
    let mut world = World::new(3);
    let session = world.call();
    let invite = world.wait("INVITE");
    world.send(&invite.with_sdp("200 OK", "a"));
    world.wait("ACK");
    world.send(&Side::callee(&invite, "a").request("BYE", "", ""));
    world.wait("SIP/2.0 200");
    world.run(secs(5));
    assert_eq!(world.us.endpoint.stats().sessions, 0);
    world.send(&invite.with_sdp("200 OK", "b"));
    assert_eq!(world.wait("ACK").to_tag(), "b");
    assert_eq!(world.wait("BYE").to_tag(), "b");
    world.finish();
    assert_eq!(world.told(session), ["dialing", "answered", "ended PeerHangup"]);
}

#[test]
fn forks_beyond_the_limit_make_no_dialogs() {
    let mut world = World::new(4);
    let session = world.call();
    let invite = world.wait("INVITE");
    for fork in 0..40 {
        world.send(&invite.response("180 Ringing", &fork.to_string(), "", ""));
    }
    world.run(secs(1));
    assert_eq!(world.us.endpoint.stats().dialogs, 16);
    world.send(&invite.with_sdp("200 OK", "39"));
    assert_eq!(world.wait("ACK").to_tag(), "39");
    assert_eq!(world.us.endpoint.stats().dialogs, 1);
    world.hangup(session);
    world.finish();
}

#[test]
fn answer_without_a_tag_still_makes_a_session() {
    let mut world = World::new(5);
    let session = world.call();
    let invite = world.wait("INVITE");
    world.send(&invite.with_sdp("200 OK", ""));
    assert_eq!(world.wait("ACK").to_tag(), "");
    world.hangup(session);
    let bye = world.wait("BYE");
    world.send(&bye.simple("200 OK"));
    world.finish();
    assert_eq!(world.told(session), ["dialing", "answered", "ended LocalHangup"]);
}
