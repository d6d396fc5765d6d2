//! Callers who must say who they are: challenge, credentials, staleness, and too many guesses.

use crate::carrier::{Received, Side};
use crate::clock::secs;
use crate::world::{World, spec};
use bellwire::id::SessionId;
use bellwire::sip::auth::{Attempt, Credentials, DigestClient, SignedRequest};
use bellwire::sip::interface::{Command, DigestAlgorithm, Note, Transport};
use bellwire::sip::message::{MessageWriter, Method, Name};
use std::time::Duration;

const URI: &str = "sip:+14155550100@10.0.0.1";

/// A caller with a password.
struct Caller {
    side: Side,
    client: DigestClient,
    attempt: Attempt,
    from: &'static str,
}

impl Caller {
    fn new(name: &str, password: &str) -> Self {
        let (username, realm) = ("alice".to_owned(), "bellwire".to_owned());
        let password = password.to_owned().into();
        Self {
            side: Side::caller(name),
            client: DigestClient::new(Credentials { username, password, realm }),
            attempt: Attempt::default(),
            from: "10.0.0.2:5060",
        }
    }

    fn invite(&mut self, world: &mut World) -> SessionId {
        let mut bytes = Vec::new();
        let mut writer = MessageWriter::request(&mut bytes, Method::Invite, URI);
        let signed = SignedRequest { method: "INVITE", uri: URI, body: b"v=0 offer" };
        self.client.authorize(&mut writer, &signed, 7, &mut self.attempt);
        writer.finish().unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let line = text.lines().find(|line| line.starts_with("Authorization"));
        let extra = line.map_or(String::new(), |line| format!("{line}\r\n"));
        let invite = self.side.request("INVITE", &extra, "v=0 offer");
        self.side.cseq += 1;
        world.send_from(self.from, Transport::Udp, None, &invite);
        world.wait("SIP/2.0 100");
        world.incoming()
    }

    fn challenged(&mut self, world: &mut World) -> Received {
        let answer = self.refused(world);
        self.client.take_challenge(&answer.message(), &mut self.attempt).expect("a challenge");
        answer
    }

    /// Takes a 401 and acknowledges it.
    fn refused(&mut self, world: &mut World) -> Received {
        let answer = world.wait("SIP/2.0 401");
        let mut ack = self.side.clone();
        ack.cseq -= 1;
        ack.confirm(&answer);
        let branch = answer.branch();
        let ack = ack.request_with("ACK", &branch, "", "");
        world.send_from(self.from, Transport::Udp, None, &ack);
        answer
    }
}

fn authenticate(world: &mut World, session: SessionId) {
    let (realm, username) = ("bellwire".into(), "alice".into());
    let password = "secret".to_owned().into();
    world.command(Command::Authenticate {
        session,
        realm,
        username,
        password,
        algorithms: vec![DigestAlgorithm::Sha256, DigestAlgorithm::Md5],
    });
}

#[test]
fn caller_is_challenged_and_let_in_with_the_right_password() {
    let mut world = World::new(1);
    let mut caller = Caller::new("a", "secret");
    let first = caller.invite(&mut world);
    authenticate(&mut world, first);
    let answer = caller.challenged(&mut world);
    let challenges: Vec<String> =
        answer.message().values(Name::WwwAuthenticate).map(str::to_owned).collect();
    assert_eq!(challenges.len(), 2);
    assert!(challenges[0].contains("algorithm=SHA-256") && challenges[1].contains("algorithm=MD5"));
    assert!(!answer.text.contains("stale"));
    assert_eq!(world.told(first), ["incoming", "ended Rejected 401"]);
    let second = caller.invite(&mut world);
    assert_ne!(second, first);
    authenticate(&mut world, second);
    assert_eq!(world.told(second), ["incoming", "authenticated alice"]);
    world.command(Command::Reject { session: second, code: 486, reason: String::new() });
    world.wait("SIP/2.0 486");
    // Asked again after the end: nothing is left to answer.
    authenticate(&mut world, second);
    world.finish();
    assert_eq!(world.told(second), ["incoming", "authenticated alice", "ended Rejected 486"]);
    assert_eq!(world.inbox.count("SIP/2.0 401"), 1);
}

#[test]
fn nonce_that_has_grown_old_is_stale_and_its_owner_is_not_suspect() {
    let mut spec = spec(2);
    (spec.ban_after, spec.ban_length) = (1, Duration::from_mins(10));
    let mut world = World::with(2, spec);
    let mut caller = Caller::new("a", "secret");
    let first = caller.invite(&mut world);
    authenticate(&mut world, first);
    caller.challenged(&mut world);
    world.run(secs(301));
    let second = caller.invite(&mut world);
    authenticate(&mut world, second);
    assert!(caller.challenged(&mut world).text.contains("stale=true"));
    let third = caller.invite(&mut world);
    authenticate(&mut world, third);
    assert_eq!(world.told(third).last().unwrap(), "authenticated alice");
    world.hangup(third);
    world.finish();
    assert!(world.us.notes.is_empty());
}

#[test]
fn credentials_for_one_realm_are_none_for_another() {
    let mut world = World::new(3);
    let mut caller = Caller::new("a", "secret");
    let first = caller.invite(&mut world);
    for realm in ["bellwire", "other"] {
        let (realm, username) = (realm.into(), "alice".into());
        let password = "secret".to_owned().into();
        world.command(Command::Authenticate {
            session: first,
            realm,
            username,
            password,
            algorithms: Vec::new(),
        });
    }
    caller.challenged(&mut world);
    world.finish();
    assert_eq!(world.told(first), ["incoming", "ended Rejected 401"], "asked once");
}

/// Guesses a password as often as it takes; gives how often we listened.
fn guess(world: &mut World, from: &'static str) -> usize {
    for i in 0..20 {
        let name = format!("g{i}-{}", from.len());
        let mut caller = Caller { from, ..Caller::new(&name, "wrong") };
        let before = world.us.events.len();
        let text = caller.side.request("INVITE", "", "v=0 offer");
        caller.side.cseq += 1;
        world.send_from(from, Transport::Udp, None, &text);
        world.run(secs(1));
        if world.us.events.len() == before {
            return i;
        }
        world.wait("SIP/2.0 100");
        let first = world.incoming();
        authenticate(world, first);
        caller.challenged(world);
        let second = caller.invite(world);
        authenticate(world, second);
        assert_eq!(world.told(second), ["incoming", "ended Rejected 401"]);
        caller.refused(world);
    }
    20
}

#[test]
fn guessing_bans_a_stranger_of_an_open_network_but_never_a_named_gateway() {
    let mut spec = spec(4);
    (spec.ban_after, spec.ban_length) = (5, Duration::from_mins(10));
    spec.trunks[0].sources =
        vec![("10.0.0.2".parse().unwrap(), 32), ("203.0.113.0".parse().unwrap(), 24)];
    let mut world = World::with(4, spec);
    assert_eq!(guess(&mut world, "203.0.113.7:5060"), 5);
    let source = "203.0.113.7".parse().unwrap();
    let banned = Note::Banned { source, length: Duration::from_mins(10) };
    assert_eq!(world.us.notes.iter().filter(|note| **note == banned).count(), 1);
    assert_eq!(guess(&mut world, "10.0.0.2:5060"), 20, "a PBX has more than one caller");
    let mut neighbour = Caller { from: "203.0.113.8:5060", ..Caller::new("n", "secret") };
    let session = neighbour.invite(&mut world);
    world.hangup(session);
    world.run(Duration::from_mins(10));
    let mut again = Caller { from: "203.0.113.7:5060", ..Caller::new("again", "secret") };
    let session = again.invite(&mut world);
    world.hangup(session);
    world.finish();
}
