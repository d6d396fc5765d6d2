//! The life of a registration: refreshes, a registrar that restarts, refusals, and the end.

use crate::carrier::{Received, Side};
use crate::clock::secs;
use crate::net::{Faults, seed_of};
use crate::world::{US, World, addr, spec};
use bellwire::sip::interface::{
    Command, EndpointSpec, Note, RegisterSpec, RegistrationState, Transport,
};
use bellwire::sip::message::Name;
use bellwire::time::Rng;
use std::time::{Duration, Instant};

const FIRST: &str = "10.0.0.2:5060";
const SECOND: &str = "10.0.0.3:5060";

fn registering(seed: u64) -> EndpointSpec {
    let mut spec = spec(seed);
    let expires = Duration::from_hours(1);
    spec.trunks[0].register = Some(RegisterSpec { user: "4930123".into(), expires, gin: false });
    spec.trunks[0].realm = Some("carrier".into());
    spec.trunks[0].from_domain = Some("carrier.example".into());
    spec
}

fn world(seed: u64) -> World {
    World::with(seed, registering(seed))
}

/// The 200 to a REGISTER: its Contact with this lifetime, another one beside it.
fn granted(register: &Received, seconds: u32, extra: &str) -> String {
    let contact = register.header(Name::Contact);
    let lines = format!(
        "Contact: <sip:4930123@10.9.9.9>;expires=5, {contact};expires={seconds}\r\n{extra}"
    );
    register.response("200 OK", "registrar", &lines, "")
}

fn grant(world: &mut World, seconds: u32) -> Received {
    let register = world.wait_long("REGISTER", secs(4000));
    let answer = granted(&register, seconds, "");
    world.send_from(&register.to.to_string(), Transport::Udp, None, &answer);
    world.run(secs(1));
    register
}

fn states(world: &World) -> Vec<String> {
    let of = |note: &Note| match note {
        Note::Registration { state, .. } => Some(match state {
            RegistrationState::Registering => "registering".to_owned(),
            RegistrationState::Registered { expires } => {
                format!("registered {}", expires.as_secs())
            }
            RegistrationState::Failed { .. } => "failed".to_owned(),
            RegistrationState::Unregistered => "unregistered".to_owned(),
        }),
        Note::Dropped { .. }
        | Note::TrunkState { .. }
        | Note::Quarantined { .. }
        | Note::Banned { .. } => None,
    };
    world.us.notes.iter().filter_map(of).collect()
}

#[test]
fn register_says_what_rfc_3261_wants_and_is_refreshed() {
    let mut world = world(1);
    let first = world.wait("REGISTER sip:carrier.example SIP/2.0");
    assert_eq!(first.header(Name::To), "<sip:4930123@carrier.example>");
    assert!(first.header(Name::From).starts_with("<sip:4930123@carrier.example>;tag="));
    assert_eq!(first.header(Name::Contact), "<sip:4930123@10.0.0.1:5060>");
    assert_eq!(first.header(Name::Expires), "3600");
    assert_eq!(first.header(Name::Supported), "path");
    world.send(&granted(&first, 600, ""));
    world.run(secs(1));
    assert_eq!(states(&world), ["registering", "registered 600"]);
    let (mut last, mut at) = (first, world.now);
    for _ in 0..5 {
        let next = grant(&mut world, 600);
        let passed = world.now - at;
        assert!((secs(479)..=secs(542)).contains(&passed), "{passed:?}");
        assert_eq!(next.header(Name::CallId), last.header(Name::CallId));
        assert_eq!(next.cseq(), last.cseq() + 1);
        (last, at) = (next, world.now);
    }
    assert_eq!(states(&world).len(), 2, "refreshes change nothing");
}

#[test]
fn challenge_is_answered_and_the_next_refresh_needs_none() {
    let mut world = world(2);
    let first = world.wait("REGISTER");
    let challenge = "WWW-Authenticate: Digest realm=\"carrier\", nonce=\"n1\", qop=\"auth\"\r\n";
    world.send(&first.response("401 Unauthorized", "r", challenge, ""));
    let second = grant(&mut world, 600);
    assert!(second.header(Name::Authorization).contains("uri=\"sip:carrier.example\""));
    assert_eq!(second.cseq(), first.cseq() + 1);
    let third = grant(&mut world, 600);
    assert!(third.header(Name::Authorization).contains("nc=00000002"));
    assert_eq!(third.cseq(), second.cseq() + 1);
}

#[test]
fn wrong_password_and_unknown_user_wait_half_an_hour() {
    for (seed, status) in [(3, "403 Forbidden"), (4, "404 Not Found"), (5, "401 Unauthorized")] {
        let mut world = world(seed);
        let challenge = |n: u8| {
            format!("WWW-Authenticate: Digest realm=\"carrier\", nonce=\"n{n}\", qop=\"auth\"\r\n")
        };
        let first = world.wait("REGISTER");
        world.send(&first.response(status, "r", &challenge(1), ""));
        if status.starts_with("401") {
            let second = world.wait("REGISTER");
            world.send(&second.response(status, "r", &challenge(2), ""));
        }
        let before = world.inbox.count("REGISTER");
        world.run(secs(1790));
        assert_eq!(world.inbox.count("REGISTER"), before, "{status}: no hammering");
        assert_eq!(states(&world), ["registering", "failed"]);
        grant(&mut world, 60);
        assert_eq!(states(&world).last().unwrap(), "registered 60");
    }
}

#[test]
fn interval_too_brief_is_mended_at_once() {
    let mut spec = registering(6);
    spec.trunks[0].register.as_mut().unwrap().expires = secs(60);
    let mut world = World::with(6, spec);
    let first = world.wait("REGISTER");
    assert_eq!(first.header(Name::Expires), "60");
    world.send(&first.response("423 Interval Too Brief", "r", "Min-Expires: 1800\r\n", ""));
    let second = grant(&mut world, 1800);
    assert_eq!((second.header(Name::Expires).as_str(), second.cseq()), ("1800", first.cseq() + 1));
    assert_eq!(states(&world), ["registering", "registered 1800"]);
}

#[test]
fn registrar_that_restarts_is_found_again() {
    let mut world = world(7);
    grant(&mut world, 600);
    // It is gone for an hour, comes back without its memory, and refuses at first.
    world.net.black_holes.insert(addr(FIRST));
    world.run(Duration::from_hours(1));
    let gone = states(&world);
    assert_eq!(gone[..4], ["registering", "registered 600", "failed", "registering"]);
    world.net.black_holes.clear();
    let refused = world.wait_long("REGISTER", secs(2000));
    world.send(&refused.simple("500 Starting"));
    grant(&mut world, 600);
    assert_eq!(states(&world).last().unwrap(), "registered 600");
    assert!(world.inbox.count("REGISTER") < 20);
}

#[test]
fn gateway_that_answers_its_pings_again_is_asked_at_once() {
    let mut spec = registering(8);
    spec.trunks[0].ping = Some(Duration::from_mins(1));
    let mut world = World::with(8, spec);
    let start = world.now;
    grant(&mut world, 3600);
    let ping = world.wait("OPTIONS");
    world.send(&ping.simple("200 OK"));
    world.net.black_holes.insert(addr(FIRST));
    world.run(secs(400));
    world.net.black_holes.clear();
    assert_eq!(world.inbox.count("REGISTER"), 1);
    for _ in 0..2 {
        let ping = world.wait_long("OPTIONS", secs(70));
        world.send(&ping.simple("200 OK"));
        world.run(secs(1));
    }
    let (register, came_up) = (world.wait("REGISTER"), world.now);
    assert_eq!(register.header(Name::Expires), "3600", "it may have forgotten us");
    assert!(came_up - start < secs(700));
}

#[test]
fn other_gateway_registers_us_when_the_first_is_silent() {
    let mut spec = registering(9);
    spec.trunks[0].proxies.push("sip:10.0.0.3".into());
    let mut world = World::with(9, spec);
    world.net.black_holes.insert(addr(FIRST));
    let register = grant(&mut world, 600);
    assert_eq!(register.to, addr(SECOND));
    assert_eq!(register.cseq(), 2, "a registrar behind both takes no CSeq twice");
    let next = grant(&mut world, 600);
    assert_eq!(states(&world), ["registering", "registered 600"]);
    assert_eq!(next.to, addr(SECOND));
}

#[test]
fn service_route_is_the_way_of_our_calls() {
    let mut world = world(10);
    let register = world.wait("REGISTER");
    let extra = "Service-Route: <sip:10.0.0.3:5070;lr>, <sip:core.example;lr>\r\n";
    world.send(&granted(&register, 600, extra));
    world.run(secs(1));
    let session = world.call();
    let invite = world.wait("INVITE");
    assert_eq!(invite.to, addr("10.0.0.3:5070"));
    let routes: Vec<&str> = invite.message().values(Name::Route).collect();
    assert_eq!(routes, ["<sip:10.0.0.3:5070;lr>", "<sip:core.example;lr>"]);
    assert_eq!(invite.header(Name::Contact), "<sip:4930123@10.0.0.1:5060>");
    // The proxy of the route fails: the gateway itself is asked, without the route.
    world.send_from("10.0.0.3:5070", Transport::Udp, None, &invite.simple("503 Busy"));
    let again = world.wait("INVITE");
    assert_eq!((again.to, again.header(Name::Route).as_str()), (addr(FIRST), ""));
    world.send(&again.simple("486 Busy Here"));
    world.run(secs(1));
    assert!(world.ending(session).is_some());
    // A 2xx without the field takes it away.
    grant(&mut world, 600);
    world.call();
    assert_eq!(world.wait("INVITE").to, addr(FIRST));
}

#[test]
fn address_that_the_registrar_saw_goes_into_contact() {
    let mut world = world(11);
    let register = world.wait("REGISTER");
    let nat = |register: &Received| {
        let answer = granted(register, 600, "");
        answer
            .replace(";rport;", ";rport=61000;")
            .replace("received=10.0.0.1", "received=198.51.100.7")
    };
    world.send(&nat(&register));
    let second = world.wait("REGISTER");
    let contacts: Vec<&str> = second.message().values(Name::Contact).collect();
    assert_eq!(
        contacts,
        ["<sip:4930123@198.51.100.7:61000>", "<sip:4930123@10.0.0.1:5060>;expires=0"]
    );
    world.send(&nat(&second));
    world.run(secs(1));
    assert_eq!(world.inbox.count("REGISTER"), 2, "once");
    assert_eq!(states(&world), ["registering", "registered 600"]);
    world.call();
    let invite = world.wait("INVITE");
    assert!(invite.header(Name::Contact).contains("@198.51.100.7:61000"));
    assert!(invite.header(Name::Via).contains("10.0.0.1:5060"));
    world.send(&Side::caller("in").invite());
    let session = {
        world.wait("SIP/2.0 100");
        world.incoming()
    };
    world.command(Command::Ring(session));
    assert!(world.wait("SIP/2.0 180").header(Name::Contact).contains("@198.51.100.7:61000"));
}

#[test]
fn public_address_is_not_overruled_by_what_is_seen() {
    let mut spec = registering(12);
    spec.trunks[0].public_address = Some("203.0.113.1".parse().unwrap());
    let mut world = World::with(12, spec);
    let register = world.wait("REGISTER");
    assert!(register.header(Name::Via).contains("203.0.113.1:5060"));
    assert_eq!(register.header(Name::Contact), "<sip:4930123@203.0.113.1:5060>");
    let answer = granted(&register, 600, "").replace(";rport;", ";rport=61000;");
    world.send(&answer);
    world.run(secs(1));
    assert_eq!(world.inbox.count("REGISTER"), 1);
}

#[test]
fn unregister_takes_the_binding_back_whatever_the_registrar_says() {
    for (seed, answer) in [(13, Some("200 OK")), (14, Some("500 Error")), (15, None)] {
        let mut world = world(seed);
        grant(&mut world, 600);
        world.command(Command::Drain);
        world.command(Command::Unregister);
        let last = world.wait("REGISTER");
        assert_eq!(last.header(Name::Expires), "0");
        if let Some(status) = answer {
            world.send(&last.response(status, "r", "", ""));
        }
        world.run(secs(40));
        assert_eq!(states(&world).last().unwrap(), "unregistered");
        let before = world.inbox.count("REGISTER");
        world.run(Duration::from_hours(2));
        assert_eq!(world.inbox.count("REGISTER"), before);
        world.finish();
    }
    let mut world = world(16);
    world.command(Command::Unregister);
    let first = world.wait("REGISTER");
    world.send(&granted(&first, 600, ""));
    let last = world.wait("REGISTER");
    assert_eq!(last.header(Name::Expires), "0");
    world.send(&last.simple("200 OK"));
    world.finish();
    assert_eq!(states(&world), ["registering", "unregistered"]);
}

#[test]
fn calls_of_a_registered_trunk_come_for_the_contact_user() {
    let mut spec = registering(17);
    spec.trunks[0].sources.clear();
    let mut world = World::with(17, spec);
    let invite =
        Side::caller("a").invite().replace("INVITE sip:+14155550100@", "INVITE sip:4930123@");
    world.send(&invite);
    world.run(secs(1));
    assert!(world.us.events.is_empty(), "nobody may call before we are registered");
    grant(&mut world, 600);
    world.send(&invite.replace("far-a", "far-b"));
    world.wait("SIP/2.0 100");
    let session = world.incoming();
    let incoming = world.us.events.iter().find_map(|(_, _, event)| match event {
        bellwire::sip::interface::Event::Incoming(incoming) => Some(incoming.clone()),
        _ => None,
    });
    assert_eq!(incoming.unwrap().to_user, "4930123");
    world.hangup(session);
    world.run(secs(1));
    world.command(Command::Unregister);
    let last = world.wait("REGISTER");
    world.send(&last.simple("200 OK"));
    world.run(secs(1));
    world.us.events.clear();
    world.send(&invite.replace("far-a", "far-c"));
    world.run(secs(1));
    assert!(world.us.events.is_empty(), "and nobody any more when we are not");
}

/// Registers all numbers of the account at once.
fn bulk(seed: u64) -> EndpointSpec {
    let mut spec = registering(seed);
    spec.trunks[0].register.as_mut().unwrap().gin = true;
    spec
}

#[test]
fn bulk_registration_names_no_user_and_insists_on_being_understood() {
    for (proxy, contact) in [
        ("sip:10.0.0.2", "<sip:10.0.0.1:5060;bnc>"),
        ("sip:10.0.0.2;transport=tcp", "<sip:10.0.0.1:5060;transport=tcp;bnc>"),
    ] {
        let mut spec = bulk(22);
        spec.trunks[0].proxies = vec![proxy.into()];
        let mut world = World::with(22, spec);
        let first = world.wait("REGISTER sip:carrier.example SIP/2.0");
        assert_eq!(first.header(Name::To), "<sip:4930123@carrier.example>");
        assert_eq!(first.header(Name::Contact), contact);
        assert_eq!(first.header(Name::Require), "gin");
        assert_eq!(first.header(Name::ProxyRequire), "gin");
        assert_eq!(first.header(Name::Supported), "path");
        // Another PBX of the same account beside ours.
        let lines = format!("Contact: <sip:10.9.9.9;bnc>;expires=5, {contact};expires=600\r\n");
        let answer = first.response("200 OK", "registrar", &lines, "");
        let transport = if proxy.contains("tcp") { Transport::Tcp } else { Transport::Udp };
        world.send_from(FIRST, transport, first.connection, &answer);
        world.run(secs(1));
        assert_eq!(states(&world), ["registering", "registered 600"]);
    }
}

#[test]
fn calls_of_a_bulk_registration_come_for_the_number_that_was_called() {
    let mut spec = bulk(23);
    spec.trunks[0].sources.clear();
    let mut world = World::with(23, spec);
    let register = world.wait("REGISTER");
    let lines = format!("Contact: {};expires=600\r\n", register.header(Name::Contact));
    world.send(&register.response("200 OK", "registrar", &lines, ""));
    world.run(secs(1));
    let invite = Side::caller("a").invite();
    world.send(&invite.replace("INVITE sip:+14155550100@10.0.0.1", "INVITE sip:+4930555@10.0.0.1"));
    world.wait("SIP/2.0 100");
    let session = world.incoming();
    let to = world.us.events.iter().find_map(|(_, _, event)| match event {
        bellwire::sip::interface::Event::Incoming(incoming) => Some(incoming.to_user.clone()),
        _ => None,
    });
    assert_eq!(to.as_deref(), Some("+4930555"));
    world.command(Command::Ring(session));
    let ringing = world.wait("SIP/2.0 180");
    assert_eq!(ringing.header(Name::Contact), "<sip:+4930555@10.0.0.1:5060>");
    // Our own calls show the number that calls, not the account.
    world.call();
    let invite = world.wait("INVITE");
    let contact = invite.header(Name::Contact);
    assert!(!contact.contains("4930123") && !contact.contains("bnc"), "{contact}");
    assert!(contact.contains('@'), "{contact}");
}

#[test]
fn address_that_the_registrar_saw_goes_into_a_bulk_contact() {
    let mut world = World::with(24, bulk(24));
    let nat = |register: &Received| {
        let lines = format!("Contact: {};expires=600\r\n", register.header(Name::Contact));
        register
            .response("200 OK", "registrar", &lines, "")
            .replace(";rport;", ";rport=61000;")
            .replace("received=10.0.0.1", "received=198.51.100.7")
    };
    let register = world.wait("REGISTER");
    world.send(&nat(&register));
    let second = world.wait("REGISTER");
    let contacts: Vec<&str> = second.message().values(Name::Contact).collect();
    assert_eq!(contacts, ["<sip:198.51.100.7:61000;bnc>", "<sip:10.0.0.1:5060;bnc>;expires=0"]);
    world.send(&nat(&second));
    world.command(Command::Unregister);
    let last = world.wait("REGISTER");
    assert_eq!(last.header(Name::Contact), "<sip:198.51.100.7:61000;bnc>");
    assert_eq!(last.header(Name::Expires), "0");
    assert_eq!(last.header(Name::Require), "gin", "taken back as it was asked for");
}

#[test]
fn registrar_that_does_not_know_bulk_registration_is_not_asked_again_soon() {
    let mut world = World::with(25, bulk(25));
    let register = world.wait("REGISTER");
    world.send(&register.response("420 Bad Extension", "r", "Unsupported: gin\r\n", ""));
    world.run(secs(1790));
    assert_eq!(world.inbox.count("REGISTER"), 1);
    assert_eq!(states(&world), ["registering", "failed"]);
}

#[test]
fn lost_connection_of_a_registration_is_made_again() {
    for (age, again) in [(90, true), (20, false)] {
        let mut spec = registering(20);
        spec.trunks[0].proxies = vec!["sip:10.0.0.2;transport=tcp".into()];
        let mut world = World::with(20, spec);
        let first = world.wait("REGISTER");
        assert_eq!(first.header(Name::Contact), "<sip:4930123@10.0.0.1:5060;transport=tcp>");
        let answer = granted(&first, 3600, "");
        world.send_from(FIRST, Transport::Tcp, first.connection, &answer);
        world.run(secs(age));
        world.lose_connection(FIRST, US, first.connection);
        world.run(secs(6));
        assert_eq!(world.inbox.count("REGISTER"), 1 + usize::from(again), "after {age} s");
        assert_eq!(states(&world), ["registering", "registered 3600"]);
    }
}

#[test]
fn registrar_that_talks_nonsense_costs_nothing_but_time() {
    let mut world = world(21);
    let mut rng = Rng::from_seed(seed_of(21, 9));
    let start = world.now;
    let statuses = ["200 OK", "423 Brief", "302 Moved", "503 Busy", "401 Who", "100 Trying"];
    let (mut heard, mut sent) = (0, 0);
    while world.now - start < Duration::from_hours(24) {
        world.run(secs(20));
        for request in world.inbox.drain() {
            heard += 1;
            let status = statuses[usize::try_from(rng.below(6)).unwrap()];
            let extra = "Min-Expires: 99\r\nRetry-After: 5\r\nContact: <sip:4930123@10.0.0.1>;expires=3\r\n\
                 Service-Route: <sip:10.0.0.3;lr>\r\n\
                 WWW-Authenticate: Digest realm=\"carrier\", nonce=\"n\", qop=\"auth\"\r\n";
            let mut text = request.response(status, "r", extra, "").into_bytes();
            for _ in 0..rng.below(4) {
                let at = usize::try_from(rng.below(text.len() as u64)).unwrap();
                text[at] = b" ;:,<>@=\"\rx9\0"[usize::try_from(rng.below(13)).unwrap()];
            }
            sent += 1;
            world.send(&String::from_utf8(text).unwrap());
        }
        world.inbox.forget();
        let stats = world.us.endpoint.stats();
        assert!(stats.transactions < 12 && stats.requests <= 2, "{stats:?}");
    }
    assert!(sent > 50 && heard < 40_000, "{sent} answers, {heard} requests");
}

/// Runs until `end` with a registrar that answers everything.
fn keep_house(world: &mut World, end: Instant, seconds: u32) {
    while world.now < end {
        if !world.step_until(end) {
            break;
        }
        for request in world.inbox.drain() {
            let from = request.to.to_string();
            let answer = match request.text.split(' ').next() {
                Some("REGISTER") => granted(&request, seconds, ""),
                Some("OPTIONS") => request.simple("200 OK"),
                _ => continue,
            };
            world.send_from(&from, Transport::Udp, None, &answer);
        }
        world.inbox.forget();
        world.net.log.clear();
    }
    world.now = end;
}

#[test]
fn a_day_of_refreshes_with_loss_never_lets_the_binding_run_out() {
    let mut world = world(18);
    world.net.faults = Faults { loss: 200, ..Faults::NONE };
    let end = world.now + Duration::from_hours(24);
    keep_house(&mut world, end, 600);
    let states = states(&world);
    assert_eq!(states[..2], ["registering", "registered 600"]);
    assert_eq!(states.len(), 2, "{states:?}");
}

#[test]
fn a_week_of_refreshes_and_pings_leaves_the_tables_as_they_were() {
    let mut spec = registering(19);
    spec.trunks[0].ping = Some(Duration::from_mins(2));
    let mut world = World::with(19, spec);
    let start = world.now;
    keep_house(&mut world, start + Duration::from_hours(1), 300);
    let mut most = 0;
    for hour in 2..=24 * 7 {
        keep_house(&mut world, start + Duration::from_hours(hour), 300);
        let stats = world.us.endpoint.stats();
        most = most.max(stats.transactions + stats.requests + stats.timers);
        assert_eq!((stats.sessions, stats.dialogs), (0, 0));
    }
    assert!(most <= 9, "{most}: a transaction that ended well was kept");
}
