//! Which way messages take: Record-Route, NAT, public address, rport, streams.

use crate::carrier::Side;
use crate::clock::secs;
use crate::world::{ANSWER, CARRIER, US, World, addr, spec};
use bellwire::sip::interface::{Command, Transport};
use bellwire::sip::message::Name;

#[test]
fn route_set_of_the_answer_is_used_in_reverse() {
    let mut world = World::new(1);
    let session = world.call();
    let invite = world.wait("INVITE");
    let routes = "Contact: <sip:far@10.7.7.7:5099>\r\n\
                  Record-Route: <sip:10.0.0.9;lr>, <sip:10.0.0.2:5070;lr>\r\n";
    world.send(&invite.response("200 OK", "carrier", routes, "v=0 answer"));
    let ack = world.wait("ACK sip:far@10.7.7.7:5099");
    assert_eq!(ack.to, addr("10.0.0.2:5070"));
    let values: Vec<&str> = ack.message().values(Name::Route).collect::<Vec<_>>();
    assert_eq!(values, ["<sip:10.0.0.2:5070;lr>", "<sip:10.0.0.9;lr>"]);
    world.hangup(session);
    let bye = world.wait("BYE sip:far@10.7.7.7:5099");
    assert_eq!(bye.to, addr("10.0.0.2:5070"));
    world.finish();
}

#[test]
fn strict_router_gets_its_own_uri() {
    let mut world = World::new(2);
    let session = world.call();
    let invite = world.wait("INVITE");
    let routes = "Contact: <sip:far@10.7.7.7>\r\nRecord-Route: <sip:10.0.0.2:5070>\r\n";
    world.send(&invite.response("200 OK", "carrier", routes, "v=0 answer"));
    let ack = world.wait("ACK sip:10.0.0.2:5070");
    assert_eq!(ack.header(Name::Route), "<sip:far@10.7.7.7>");
    world.hangup(session);
    world.finish();
}

#[test]
fn callee_copies_record_route_and_follows_it() {
    let mut world = World::new(3);
    let mut side = Side::caller("a");
    let routes = "Record-Route: <sip:10.0.0.2:5070;lr>\r\nRecord-Route: <sip:10.0.0.9;lr>\r\n";
    world.send(&side.request("INVITE", routes, "v=0 offer"));
    world.wait("SIP/2.0 100");
    let session = world.incoming();
    world.command(Command::Answer { session, sdp: ANSWER.to_vec() });
    let ok = world.wait("SIP/2.0 200");
    let copied: Vec<&str> = ok.message().headers(Name::RecordRoute).collect::<Vec<_>>();
    assert_eq!(copied, ["<sip:10.0.0.2:5070;lr>", "<sip:10.0.0.9;lr>"]);
    side.confirm(&ok);
    world.send(&side.request("ACK", "", ""));
    world.run(secs(1));
    world.hangup(session);
    let bye = world.wait("BYE sip:far@10.0.0.2:5060");
    assert_eq!(bye.to, addr("10.0.0.2:5070"));
    world.finish();
}

#[test]
fn private_contact_behind_a_nat_is_reached_where_it_was_seen() {
    let mut spec = spec(4);
    spec.trunks[0].sources = vec![("198.51.100.0".parse().unwrap(), 24)];
    let mut world = World::with(4, spec);
    let nat = "198.51.100.7:61000";
    let mut side = Side::caller("a");
    let invite = side.invite().replace("far@10.0.0.2:5060", "far@192.168.1.9:5060");
    world.send_from(nat, Transport::Udp, None, &invite);
    assert_eq!(world.wait("SIP/2.0 100").to, addr(nat), "rport was asked for");
    let session = world.incoming();
    world.command(Command::Answer { session, sdp: ANSWER.to_vec() });
    let ok = world.wait("SIP/2.0 200");
    assert!(ok.header(Name::Via).contains("received=198.51.100.7"));
    assert!(ok.header(Name::Via).contains("rport=61000"));
    side.confirm(&ok);
    world.send_from(nat, Transport::Udp, None, &side.request("ACK", "", ""));
    world.run(secs(1));
    world.hangup(session);
    let bye = world.wait("BYE sip:far@192.168.1.9:5060");
    assert_eq!(bye.to, addr(nat));
    world.finish();
}

#[test]
fn without_rport_the_port_of_sent_by_is_answered() {
    let mut world = World::new(5);
    let options = Side::caller("a").request("OPTIONS", "", "").replace(";rport", "");
    world.send_from("10.0.0.2:7777", Transport::Udp, None, &options);
    assert_eq!(world.wait("SIP/2.0 200").to, addr(CARRIER));
    world.finish();
}

#[test]
fn public_address_stands_in_via_and_contact() {
    let mut spec = spec(6);
    spec.public_address = Some("203.0.113.1".parse().unwrap());
    let mut world = World::with(6, spec);
    world.call();
    let invite = world.wait("INVITE");
    assert!(invite.header(Name::Via).contains("203.0.113.1:5060"));
    assert!(invite.header(Name::Contact).contains("@203.0.113.1:5060"));
    assert!(invite.header(Name::From).contains("@203.0.113.1>"));
    world.finish();
}

#[test]
fn anonymous_and_displayed_callers() {
    let mut world = World::new(7);
    world.call_with(|invite| invite.from_user.clear());
    let invite = world.wait("INVITE");
    assert!(invite.header(Name::From).contains("<sip:anonymous@anonymous.invalid>"));
    world.call_with(|invite| {
        invite.from_display = Some("A \"B\"\r\nX: y".into());
        invite.headers.push(("X-Tenant".into(), "7".into()));
    });
    let invite = world.wait("INVITE");
    assert!(invite.header(Name::From).starts_with("\"A \\\"B\\\"X: y\" <sip:+1415"));
    assert_eq!(invite.message().other("x-tenant"), Some("7"));
    world.finish();
}

fn long(invite: &mut bellwire::sip::interface::Invite) {
    invite.sdp = Some(vec![b'x'; 1500]);
}

#[test]
fn long_requests_leave_udp_for_tcp() {
    let mut world = World::new(8);
    let session = world.call_with(long);
    let invite = world.wait("INVITE");
    assert_eq!(invite.transport, Transport::Tcp);
    assert!(invite.header(Name::Via).starts_with("SIP/2.0/TCP"));
    assert!(invite.header(Name::Contact).contains(";transport=tcp"));
    let ok = invite.response("200 OK", "t", "Contact: <sip:f@10.0.0.2;transport=tcp>\r\n", "v=0");
    world.send_from(CARRIER, Transport::Tcp, invite.connection, &ok);
    let ack = world.wait("ACK");
    assert_eq!((ack.transport, ack.connection), (Transport::Tcp, invite.connection));
    world.hangup(session);
    let bye = world.wait("BYE");
    world.send_from(CARRIER, Transport::Tcp, bye.connection, &bye.simple("200 OK"));
    world.finish();
    assert_eq!(world.inbox.count("INVITE"), 1, "streams repeat nothing");
    assert_eq!(world.told(session), ["dialing", "answered", "ended LocalHangup"]);
}

#[test]
fn long_requests_fall_back_to_udp_when_tcp_is_refused() {
    let mut world = World::new(9);
    world.net.closed.insert((Transport::Tcp, addr(CARRIER)));
    let session = world.call_with(long);
    let invite = world.wait("INVITE");
    assert_eq!(invite.transport, Transport::Udp);
    world.send(&invite.with_sdp("200 OK", "carrier"));
    world.wait("ACK");
    world.hangup(session);
    world.finish();
    assert_eq!(world.told(session), ["dialing", "answered", "ended LocalHangup"]);
}

#[test]
fn replies_take_the_connection_of_the_request() {
    let mut world = World::new(10);
    let mut side = Side::caller("a");
    let tcp = |text: &str| text.replace("SIP/2.0/UDP", "SIP/2.0/TCP");
    let from = "10.0.0.2:49152";
    world.send_from(from, Transport::Tcp, None, &tcp(&side.invite()));
    let trying = world.wait("SIP/2.0 100");
    assert_eq!((trying.transport, trying.to), (Transport::Tcp, addr(from)));
    let session = world.incoming();
    world.command(Command::Answer { session, sdp: ANSWER.to_vec() });
    let ok = world.wait("SIP/2.0 200");
    assert_eq!(ok.connection, trying.connection);
    side.confirm(&ok);
    let ack = tcp(&side.request("ACK", "", ""));
    world.send_from(from, Transport::Tcp, trying.connection, &ack);
    world.run(secs(1));
    world.send_from(from, Transport::Tcp, trying.connection, &tcp(&side.next("BYE")));
    assert_eq!(world.wait("SIP/2.0 200").connection, trying.connection);
    world.finish();
    assert_eq!(world.told(session), ["incoming", "confirmed", "ended PeerHangup"]);
}

#[test]
fn lost_connection_is_opened_back_for_the_answer() {
    let mut world = World::new(11);
    let side = &mut Side::caller("a");
    let from = "10.0.0.2:49152";
    let invite = side.invite().replace("SIP/2.0/UDP", "SIP/2.0/TCP");
    world.send_from(from, Transport::Tcp, None, &invite);
    let trying = world.wait("SIP/2.0 100");
    let session = world.incoming();
    world.lose_connection(from, US, trying.connection);
    world.command(Command::Answer { session, sdp: ANSWER.to_vec() });
    let ok = world.wait("SIP/2.0 200");
    assert_eq!(ok.to, addr(CARRIER), "the port of sent-by");
    assert_ne!(ok.connection, trying.connection);
    world.hangup(session);
    world.finish();
}

#[test]
fn refusal_that_found_the_connection_gone_is_sent_on_a_fresh_one() {
    let mut world = World::new(13);
    let mut side = Side::caller("a");
    let invite = side.invite().replace("SIP/2.0/UDP", "SIP/2.0/TCP");
    world.send_from("10.0.0.2:49152", Transport::Tcp, None, &invite);
    let trying = world.wait("SIP/2.0 100");
    let session = world.incoming();
    world.command(Command::Reject { session, code: 486, reason: String::new() });
    world.lose_connection("10.0.0.2:49152", US, trying.connection);
    world.run(secs(1));
    assert_eq!(world.inbox.count("SIP/2.0 486"), 2);
    assert_eq!(world.wait("SIP/2.0 486").to, addr("10.0.0.2:49152"));
    world.finish();
}

#[test]
fn without_udp_a_contact_that_names_no_transport_is_reached_by_tcp() {
    let mut spec = spec(14);
    spec.listen.remove(0);
    spec.trunks[0].proxies = vec!["sip:10.0.0.2;transport=tcp".into()];
    let mut world = World::with(14, spec);
    let session = world.call();
    let invite = world.wait("INVITE");
    let ok = invite.with_sdp("200 OK", "carrier");
    world.send_from(CARRIER, Transport::Tcp, invite.connection, &ok);
    assert_eq!(world.wait("ACK").transport, Transport::Tcp);
    world.hangup(session);
    assert_eq!(world.wait("BYE").transport, Transport::Tcp);
    world.finish();
}

#[test]
fn request_on_a_dead_connection_is_sent_on_a_fresh_one() {
    let mut world = World::new(12);
    let mut side = Side::caller("a");
    let tcp = |text: &str| {
        let text = text.replace("SIP/2.0/UDP", "SIP/2.0/TCP");
        text.replace("<sip:far@10.0.0.2:5060>", "<sip:far@10.0.0.2:5060;transport=tcp>")
    };
    let from = "10.0.0.2:49152";
    world.send_from(from, Transport::Tcp, None, &tcp(&side.invite()));
    let trying = world.wait("SIP/2.0 100");
    let session = world.incoming();
    world.command(Command::Answer { session, sdp: ANSWER.to_vec() });
    side.confirm(&world.wait("SIP/2.0 200"));
    let ack = tcp(&side.request("ACK", "", ""));
    world.send_from(from, Transport::Tcp, trying.connection, &ack);
    world.run(secs(1));
    world.hangup(session);
    let bye = world.wait("BYE");
    assert_eq!(bye.connection, trying.connection, "the peer's own connection is used first");
    world.lose_connection(CARRIER, US, trying.connection);
    let again = world.wait("BYE");
    assert_ne!(again.connection, trying.connection);
    world.send_from(CARRIER, Transport::Tcp, again.connection, &again.simple("200 OK"));
    world.finish();
    assert_eq!(world.told(session), ["incoming", "confirmed", "ended LocalHangup"]);
}
