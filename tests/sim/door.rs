//! What is refused before a session hears of it, and that nothing is kept of it.

use crate::carrier::Side;
use crate::clock::secs;
use crate::world::{World, spec};
use bellwire::sip::interface::{Command, Note, Transport};
use bellwire::sip::message::Name;

#[test]
fn unknown_source_is_dropped_without_a_word() {
    let mut world = World::new(1);
    for text in [Side::caller("a").invite(), Side::caller("b").request("OPTIONS", "", "")] {
        world.send_from("203.0.113.66:5060", Transport::Udp, None, &text);
    }
    world.send_from("203.0.113.66:5060", Transport::Udp, None, "noise");
    world.send_from("203.0.113.66:5060", Transport::Udp, None, "SIP/2.0 noise\r\n\r\n");
    world.run(secs(1));
    assert!(world.inbox.history.is_empty() && world.us.events.is_empty());
    let drops = |note: &Note| matches!(note, Note::Dropped { why: "unknown_source", .. });
    assert_eq!(world.us.notes.iter().filter(|note| drops(note)).count(), 4);
    world.finish();
}

#[test]
fn each_fault_has_its_status() {
    let cases = [
        ("REGISTER", "", "405"),
        ("SUBSCRIBE", "", "405"),
        ("PUBLISH", "", "405"),
        ("PRACK", "", "481"),
        ("REFER", "", "481"),
        ("FOO", "", "501"),
        ("INVITE", "Require: bar, foo\r\n", "420"),
        ("BYE", "", "481"),
        ("UPDATE", "", "481"),
        ("CANCEL", "", "481"),
        ("OPTIONS", "", "200"),
        ("OPTIONS", "Max-Forwards: x\r\n", "400"),
    ];
    for (method, extra, status) in cases {
        let mut world = World::new(2);
        let text = Side::caller("a").request(method, extra, "").replacen(
            if extra.starts_with("Max") { "Max-Forwards: 70\r\n" } else { "\u{0}" },
            "",
            1,
        );
        world.send(&text);
        let answer = world.wait(&format!("SIP/2.0 {status}"));
        assert!(!answer.to_tag().is_empty(), "{method}");
        match status {
            "405" | "501" => assert!(answer.header(Name::Allow).contains("INVITE")),
            "420" => assert_eq!(answer.message().values(Name::Unsupported).count(), 2),
            _ => {}
        }
        assert_eq!(world.us.endpoint.stats().transactions, 0, "{method}");
        world.send(&text);
        world.run(secs(1));
        let line = answer.first_line();
        assert_eq!(world.inbox.count(line), 2, "each copy is answered the same: {method}");
        world.finish();
    }
}

#[test]
fn unreadable_requests_get_a_few_400_and_no_more() {
    let mut world = World::new(3);
    let bad = Side::caller("a").invite().replacen("INVITE sip", "INVITE  sip", 1);
    for _ in 0..100 {
        world.send(&bad);
    }
    world.send("INVITE nonsense");
    world.send("\r\n\r\n");
    world.run(secs(1));
    let answers = world.inbox.count("SIP/2.0 400");
    assert!((1..=25).contains(&answers), "{answers}");
    world.finish();
}

#[test]
fn same_request_by_another_way_is_merged() {
    let mut world = World::new(4);
    let mut side = Side::caller("a");
    world.send(&side.invite());
    world.wait("SIP/2.0 100");
    world.send(&side.invite());
    world.wait("SIP/2.0 482");
    assert_eq!(world.us.endpoint.stats().sessions, 1);
    let session = world.incoming();
    world.hangup(session);
    world.finish();
}

#[test]
fn copies_of_an_invite_are_absorbed() {
    let mut world = World::new(5);
    let invite = Side::caller("a").invite();
    for _ in 0..3 {
        world.send(&invite);
    }
    world.run(secs(1));
    assert_eq!(world.inbox.count("SIP/2.0 100"), 3);
    let session = world.incoming();
    assert_eq!(world.told(session), ["incoming"]);
    world.hangup(session);
    world.finish();
}

#[test]
fn draining_refuses_calls_and_options_but_lets_sessions_end() {
    let mut world = World::new(6);
    let mut side = Side::caller("a");
    world.send(&side.invite());
    world.wait("SIP/2.0 100");
    let session = world.incoming();
    world.command(Command::Drain);
    world.command(Command::Answer { session, sdp: b"v=0".to_vec() });
    side.confirm(&world.wait("SIP/2.0 200"));
    world.send(&side.request("ACK", "", ""));
    world.send(&Side::caller("b").invite());
    assert_eq!(world.wait("SIP/2.0 503").header(Name::RetryAfter), "5");
    world.send(&Side::caller("c").request("OPTIONS", "", ""));
    world.wait("SIP/2.0 503");
    let ours = world.call();
    assert_eq!(world.told(ours), ["ended Rejected 503"]);
    world.send(&side.next("BYE"));
    world.wait("SIP/2.0 200");
    world.finish();
    assert_eq!(world.told(session), ["incoming", "confirmed", "ended PeerHangup"]);
}

#[test]
fn stray_messages_leave_no_trace() {
    let mut world = World::new(7);
    let mut side = Side::caller("a");
    world.send(&side.request("ACK", "", ""));
    world.send(
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKnone\r\n\
                From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: x\r\n\
                CSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n",
    );
    world.run(secs(1));
    assert!(world.inbox.history.is_empty());
    assert_eq!(world.us.notes.len(), 2);
    world.finish();
}

#[test]
fn response_that_was_meant_for_a_proxy_is_dropped() {
    let mut world = World::new(11);
    let session = world.call();
    let invite = world.wait("INVITE");
    let more = "Via: SIP/2.0/UDP 10.0.0.77;branch=z9hG4bKother\r\n";
    world.send(&invite.response("486 Busy", "x", more, ""));
    world.run(secs(1));
    assert_eq!(world.told(session), ["dialing"]);
    world.hangup(session);
    world.finish();
}

#[test]
fn invite_without_contact_is_400_and_keeps_nothing() {
    let mut world = World::new(8);
    let invite = Side::caller("a").invite().replace("Contact: <sip:far@10.0.0.2:5060>\r\n", "");
    world.send(&invite);
    world.wait("SIP/2.0 400");
    assert_eq!(world.us.endpoint.stats().transactions, 0);
    world.finish();
}

#[test]
fn peers_of_rfc_2543_are_matched_without_a_branch() {
    let mut world = World::new(9);
    let mut side = Side::caller("a");
    let strip = |text: String| {
        let start = text.find(";branch=").unwrap();
        let end = start + 1 + text[start + 1..].find([';', '\r']).unwrap();
        format!("{}{}", &text[..start], &text[end..])
    };
    let invite = strip(side.invite());
    world.send(&invite);
    world.send(&invite);
    world.run(secs(1));
    let session = world.incoming();
    assert_eq!(world.told(session), ["incoming"]);
    world.command(Command::Reject { session, code: 486, reason: String::new() });
    let busy = world.wait("SIP/2.0 486");
    side.confirm(&busy);
    world.send(&strip(side.request("ACK", "", "")));
    world.run(secs(40));
    assert_eq!(world.inbox.count("SIP/2.0 486"), 1, "the ACK was matched");
    world.finish();
}

#[test]
fn flood_of_calls_is_bounded() {
    let mut limited = spec(10);
    (limited.sessions_max, limited.setup_rate) = (10, 20);
    let mut world = World::with(10, limited);
    for i in 0..500 {
        world.send(&Side::caller(&i.to_string()).invite());
    }
    world.run(secs(1));
    let stats = world.us.endpoint.stats();
    assert_eq!((stats.sessions, stats.transactions), (10, 10));
    assert_eq!(world.inbox.count("SIP/2.0 503"), 490);
    let ids: Vec<_> = world.us.events.iter().map(|(_, id, _)| *id).collect();
    for id in ids {
        world.hangup(id);
    }
    world.finish();
}
