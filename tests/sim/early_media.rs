//! Several early dialogs: their numbers, their descriptions, and how they end.

use crate::carrier::{Received, Side};
use crate::clock::{ms, secs};
use crate::reliable_out::reliable;
use crate::world::World;
use bellwire::id::SessionId;
use bellwire::sip::interface::Event;

const CONTACT: &str = "Contact: <sip:far@10.0.0.2>\r\n";

fn invited(seed: u64) -> (World, SessionId, Received) {
    let mut world = World::new(seed);
    let session = world.call();
    let invite = world.wait("INVITE");
    (world, session, invite)
}

fn progress(world: &mut World, invite: &Received, status: &str, tag: &str, body: &str) {
    world.send(&invite.response(status, tag, CONTACT, body));
    world.run(ms(100));
}

fn forks(world: &World) -> Vec<(u16, u32)> {
    let events = world.us.events.iter();
    events
        .filter_map(|(_, _, event)| match event {
            Event::Provisional { code, fork, .. } => Some((*code, *fork)),
            _ => None,
        })
        .collect()
}

fn answer(world: &World) -> Option<String> {
    let mut events = world.us.events.iter();
    let sdp = events.find_map(|(_, _, event)| match event {
        Event::Answered { sdp } => Some(sdp.clone()),
        _ => None,
    });
    sdp.expect("an answer").map(|sdp| String::from_utf8(sdp).unwrap())
}

#[test]
fn forks_are_numbered_in_the_order_in_which_they_speak() {
    let (mut world, session, invite) = invited(1);
    for (status, tag) in
        [("180 Ringing", "a"), ("183 P", "b"), ("183 P", "a"), ("180 Ringing", ""), ("181 F", "c")]
    {
        progress(&mut world, &invite, status, tag, "");
    }
    assert_eq!(forks(&world), [(180, 0), (183, 1), (183, 0), (180, u32::MAX), (181, 2)]);
    assert_eq!(world.us.endpoint.stats().dialogs, 3);
    world.hangup(session);
    world.finish();
}

#[test]
fn answer_is_that_of_the_fork_that_is_kept() {
    let cases = [
        ("a", "v=0 of the 2xx", Some("v=0 of the 2xx")),
        ("a", "", Some("v=0 of a")),
        ("b", "", Some("v=0 of b, second")),
        ("c", "", None),
    ];
    for (tag, body, want) in cases {
        let (mut world, session, invite) = invited(2);
        progress(&mut world, &invite, "183 Progress", "a", "v=0 of a");
        progress(&mut world, &invite, "183 Progress", "b", "v=0 of b");
        progress(&mut world, &invite, "183 Progress", "b", "v=0 of b, second");
        progress(&mut world, &invite, "180 Ringing", "b", "");
        progress(&mut world, &invite, "200 OK", tag, body);
        world.wait("ACK");
        assert_eq!(answer(&world).as_deref(), want, "{tag} {body}");
        world.hangup(session);
        world.finish();
    }
}

#[test]
fn early_dialog_ends_by_199() {
    let (mut world, session, invite) = invited(3);
    progress(&mut world, &invite, "180 Ringing", "a", "");
    progress(&mut world, &invite, "183 Progress", "b", "v=0 of b");
    progress(&mut world, &invite, "199 Early Dialog Terminated", "a", "");
    assert_eq!(forks(&world), [(180, 0), (183, 1), (199, 0)]);
    assert_eq!(world.us.endpoint.stats().dialogs, 1);
    progress(&mut world, &invite, "180 Ringing", "a", "");
    assert_eq!(forks(&world).len(), 3, "what comes late is not told");
    world.send(&Side::callee(&invite, "a").request("UPDATE", "", ""));
    world.wait("SIP/2.0 481");
    progress(&mut world, &invite, "200 OK", "b", "");
    world.wait("ACK");
    assert_eq!(answer(&world).as_deref(), Some("v=0 of b"));
    world.hangup(session);
    world.finish();
}

#[test]
fn answer_after_199_counts() {
    let (mut world, session, invite) = invited(4);
    progress(&mut world, &invite, "183 Progress", "a", "v=0 of a");
    progress(&mut world, &invite, "199 Early Dialog Terminated", "a", "");
    assert_eq!(world.us.endpoint.stats().dialogs, 0);
    progress(&mut world, &invite, "200 OK", "a", "");
    world.wait("ACK");
    assert_eq!(answer(&world).as_deref(), Some("v=0 of a"));
    assert_eq!(world.us.endpoint.stats().dialogs, 1);
    world.hangup(session);
    world.finish();
}

#[test]
fn reliable_199_is_acknowledged() {
    let (mut world, session, invite) = invited(5);
    world.send(&reliable(&invite, "199 Gone", "a", 5, ""));
    let prack = world.wait("PRACK");
    world.send(&prack.simple("200 OK"));
    world.run(ms(100));
    assert_eq!((forks(&world).as_slice(), world.us.endpoint.stats().dialogs), (&[(199, 0)][..], 0));
    world.send(&invite.simple("486 Busy Here"));
    world.finish();
    assert_eq!(world.told(session), ["dialing", "199", "ended Refused 486"]);
}

#[test]
fn forks_beyond_the_bound_ring_without_a_dialog() {
    let (mut world, session, invite) = invited(6);
    for fork in 0..20 {
        world.send(&reliable(&invite, "183 Progress", &fork.to_string(), 1, "v=0 x"));
    }
    world.run(secs(1));
    assert_eq!(world.us.endpoint.stats().dialogs, 16);
    assert_eq!(forks(&world).iter().filter(|(_, fork)| *fork == u32::MAX).count(), 4);
    let pracks: std::collections::BTreeSet<String> = world
        .inbox
        .drain()
        .iter()
        .filter(|m| m.text.starts_with("PRACK"))
        .map(Received::to_tag)
        .collect();
    assert_eq!(pracks.len(), 16);
    world.hangup(session);
    world.finish();
}
