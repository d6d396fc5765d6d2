//! The first hop: an outbound proxy before everything, names for certificates, and faces.

use crate::carrier::Side;
use crate::clock::secs;
use crate::world::{ANSWER, US, World, addr, spec};
use bellwire::sip::interface::{Command, EndpointSpec, Input, RegisterSpec, Transport};
use bellwire::sip::message::Name;

const PROXY: &str = "10.0.0.3:5080";

fn behind_proxy(seed: u64) -> EndpointSpec {
    let mut spec = spec(seed);
    spec.trunks[0].outbound_proxy = Some("sip:10.0.0.3:5080".into());
    spec
}

#[test]
fn every_first_request_goes_to_the_outbound_proxy() {
    let mut spec = behind_proxy(1);
    spec.trunks[0].ping = Some(secs(60));
    let expires = secs(600);
    spec.trunks[0].register = Some(RegisterSpec { user: "u".into(), expires, gin: false });
    let mut world = World::with(1, spec);
    for start in ["REGISTER", "OPTIONS", "INVITE"] {
        if start == "INVITE" {
            world.call();
        }
        let request = world.wait(start);
        assert_eq!(request.to, addr(PROXY), "{start}");
        assert_eq!(request.header(Name::Route), "<sip:10.0.0.3:5080;lr>", "{start}");
        world.send_from(PROXY, Transport::Udp, None, &request.simple("486 Busy Here"));
        world.run(secs(1));
    }
}

#[test]
fn requests_in_a_dialog_follow_its_route_set_or_else_the_proxy() {
    for (record_route, target) in
        [("", PROXY), ("Record-Route: <sip:10.0.0.2:5070;lr>\r\n", "10.0.0.2:5070")]
    {
        let mut world = World::with(2, behind_proxy(2));
        let session = world.call();
        let invite = world.wait("INVITE");
        let extra = format!("Contact: <sip:far@10.7.7.7>\r\n{record_route}");
        let ok = invite.response("200 OK", "carrier", &extra, "v=0 answer");
        world.send_from(PROXY, Transport::Udp, None, &ok);
        assert_eq!(world.wait("ACK").to, addr(target), "{record_route}");
        world.hangup(session);
        let bye = world.wait("BYE sip:far@10.7.7.7");
        assert_eq!(bye.to, addr(target));
        world.send_from(target, Transport::Udp, None, &bye.simple("200 OK"));
        world.finish();
    }
}

#[test]
fn service_route_comes_behind_the_outbound_proxy() {
    let mut spec = behind_proxy(3);
    spec.trunks[0].register =
        Some(RegisterSpec { user: "u".into(), expires: secs(600), gin: false });
    let mut world = World::with(3, spec);
    let register = world.wait("REGISTER");
    let contact = register.header(Name::Contact);
    let extra = format!(
        "Contact: {contact};expires=600\r\n\
         Service-Route: <sip:10.0.0.3:5080;lr>, <sip:core.example;lr>\r\n"
    );
    let ok = register.response("200 OK", "r", &extra, "");
    world.send_from(PROXY, Transport::Udp, None, &ok);
    world.run(secs(1));
    world.call();
    let invite = world.wait("INVITE");
    let message = invite.message();
    let routes: Vec<&str> = message.values(Name::Route).collect();
    assert_eq!(routes, ["<sip:10.0.0.3:5080;lr>", "<sip:core.example;lr>"]);
    assert_eq!(invite.to, addr(PROXY));
}

#[test]
fn certificate_must_show_the_domain_of_the_uri() {
    let mut spec = spec(4);
    spec.listen.push((Transport::Tls, addr("10.0.0.1:5061")));
    spec.trunks[0].proxies = vec!["sips:Carrier.Example".into()];
    let mut world = World::with(4, spec);
    let session = world.call_with(|invite| invite.to = "sips:+1@carrier.example".into());
    let (query, host) = world.us.queries.pop().unwrap();
    assert_eq!(host.to_lowercase(), "carrier.example");
    let targets = vec![(Transport::Tls, addr("10.0.0.2:5061"))];
    let now = world.now;
    world.us.feed(now, &mut world.net, Input::Resolved { query, targets });
    assert_eq!(world.us.names, [(addr("10.0.0.2:5061"), "carrier.example".to_owned())]);
    let invite = world.wait("INVITE");
    let via = invite.header(Name::Via);
    assert!(via.starts_with("SIP/2.0/TLS 10.0.0.1:5061") && via.contains(";alias"), "{via}");
    assert_eq!(invite.header(Name::Contact), "<sips:+14155550100@10.0.0.1:5061>");
    assert!(invite.header(Name::From).contains("<sips:"));
    let send = |world: &mut World, text: String| {
        world.send_from("10.0.0.2:5061", Transport::Tls, invite.connection, &text);
    };
    send(&mut world, invite.simple("180 Ringing"));
    world.run(secs(1));
    world.hangup(session);
    let cancel = world.wait("CANCEL");
    assert_eq!(world.us.names.len(), 2, "CANCEL names the domain, too");
    send(&mut world, cancel.simple("200 OK"));
    send(&mut world, invite.simple("487 Request Terminated"));
    world.wait("ACK");
    assert_eq!(world.us.names.len(), 3);
    world.finish();
}

#[test]
fn contact_of_an_answer_is_sips_where_the_request_was() {
    let mut world = World::new(5);
    let invite = Side::caller("a").invite().replace("INVITE sip:", "INVITE sips:");
    world.send(&invite);
    world.wait("SIP/2.0 100");
    let session = world.incoming();
    world.command(Command::Answer { session, sdp: ANSWER.to_vec() });
    let contact = world.wait("SIP/2.0 200").header(Name::Contact);
    assert_eq!(contact, format!("<sips:+14155550100@{US}>"));
    world.hangup(session);
    world.finish();
}

#[test]
fn trunk_has_its_own_public_address() {
    let mut spec = spec(6);
    spec.public_address = Some("203.0.113.1".parse().unwrap());
    spec.trunks[0].public_address = Some("203.0.113.2".parse().unwrap());
    let mut world = World::with(6, spec);
    world.call();
    let invite = world.wait("INVITE");
    for name in [Name::Via, Name::Contact, Name::From] {
        assert!(invite.header(name).contains("203.0.113.2"), "{name}");
    }
    world.send(&invite.simple("486 Busy Here"));
    world.send(&Side::caller("a").invite());
    world.wait("SIP/2.0 100");
    let session = world.incoming();
    world.command(Command::Ring(session));
    assert!(world.wait("SIP/2.0 180").header(Name::Contact).contains("@203.0.113.2:5060"));
    world.hangup(session);
    world.finish();
}
