//! Transfers that we ask for: REFER, the NOTIFYs that follow, and every end they can come to.

use crate::carrier::Received;
use crate::clock::secs;
use crate::standing::{CONTACT, Standing, answered, called, with_body};
use bellwire::sip::interface::TransferState::{Accepted, Progress, Succeeded};
use bellwire::sip::interface::{Command, TransferState};
use bellwire::sip::message::Name;

const ACTIVE: &str = "Event: refer\r\nSubscription-State: active;expires=60\r\n";
const OVER: &str = "Event: refer\r\nSubscription-State: terminated;reason=noresource\r\n";

fn failed(code: u16, reason: &str) -> TransferState {
    TransferState::Failed { code, reason: reason.to_owned() }
}

fn refer(call: &mut Standing, to: &str) {
    let (session, to) = (call.session, to.to_owned());
    call.world.command(Command::Refer { session, to, replaces: None, headers: Vec::new() });
}

/// Asks for a transfer that the carrier takes on.
fn referred(mut call: Standing) -> (Standing, Received) {
    refer(&mut call, "sip:bob@example.com");
    let asked = call.world.wait("REFER");
    call.world.send(&asked.response("202 Accepted", "", CONTACT, ""));
    call.world.run(secs(1));
    (call, asked)
}

fn notify(call: &mut Standing, headers: &str, body: &str) -> Received {
    call.side.cseq += 1;
    let plain = call.side.request("NOTIFY", headers, "");
    let request = if body.is_empty() { plain } else { with_body(&plain, "message/sipfrag", body) };
    call.world.send(&request);
    loop {
        let answer = call.world.wait("SIP/2.0 ");
        if answer.cseq() == call.side.cseq {
            return answer;
        }
    }
}

#[test]
fn blind_transfer_is_followed_to_its_success() {
    for call in [called(1), answered(1)] {
        let (mut call, asked) = referred(call);
        assert_eq!(asked.header(Name::ReferTo), "<sip:bob@example.com>");
        assert!(asked.header(Name::ReferredBy).starts_with("<sip:+14155550100@"), "{}", asked.text);
        assert!(asked.text.contains("Contact:"));
        for (headers, body) in [
            (ACTIVE, "SIP/2.0 100 Trying\r\n"),
            (ACTIVE, "SIP/2.0 180 Ringing\r\nContact: x\r\n"),
            (OVER, "SIP/2.0 200 OK"),
        ] {
            assert!(notify(&mut call, headers, body).first_line().contains("200"));
        }
        let want = [Accepted, Progress { code: 100 }, Progress { code: 180 }, Succeeded];
        assert_eq!(call.transfers(), want);
        assert!(
            notify(&mut call, OVER, "SIP/2.0 200 OK").first_line().contains("200"),
            "a late one"
        );
        assert!(call.is_up());
        call.world.hangup(call.session);
        let (world, _) = call.ends_by_us(secs(1));
        assert_eq!(world.us.events.len(), 7);
    }
}

#[test]
fn attended_transfer_names_the_dialog_to_replace() {
    let mut call = called(2);
    let other = call.world.call();
    let invite = call.world.wait("INVITE");
    call.world.send(&invite.response("200 OK", "bob", CONTACT, "v=0 answer"));
    call.world.wait("ACK");
    let (session, to) = (call.session, "sip:bob@example.com".to_owned());
    let refer = Command::Refer { session, to, replaces: Some(other), headers: Vec::new() };
    call.world.command(refer);
    let asked = call.world.wait("REFER");
    let ours = invite.message().from().unwrap().tag().unwrap().to_owned();
    let replaces = format!("{}%3Bto-tag%3Dbob%3Bfrom-tag%3D{ours}", invite.header(Name::CallId));
    assert_eq!(asked.header(Name::ReferTo), format!("<sip:bob@example.com?Replaces={replaces}>"));
}

#[test]
fn new_call_that_fails_is_told_with_its_status() {
    for (body, state) in [
        ("SIP/2.0 486 Busy Here\r\n", failed(486, "Busy Here")),
        ("SIP/2.0 603\r\n", failed(603, "")),
        ("sip/2.0 302 Moved\u{7f} away\r\n", failed(302, "Moved away")),
        ("SIP/2.0 180 Ringing\r\n", failed(408, "noresource")),
        ("", failed(408, "noresource")),
    ] {
        let (mut call, _) = referred(called(3));
        assert!(notify(&mut call, OVER, body).first_line().contains("200"));
        assert_eq!(call.transfers()[1..], [state]);
        assert!(call.is_up());
        call.end();
    }
}

#[test]
fn refused_refer_fails_and_the_session_stays() {
    for (status, code) in
        [("603 Decline", 603), ("405 No", 405), ("481 Who", 481), ("408 Late", 408), ("302 X", 302)]
    {
        let mut call = called(4);
        refer(&mut call, "sip:bob@example.com");
        let asked = call.world.wait("REFER");
        call.world.send(&asked.response(status, "", "", ""));
        call.world.run(secs(100));
        assert_eq!(call.transfers(), [failed(code, status.split_once(' ').unwrap().1)]);
        assert!(call.is_up());
        assert!(notify(&mut call, ACTIVE, "SIP/2.0 100 X").first_line().contains("481"));
        call.end();
    }
}

#[test]
fn silence_fails_after_a_minute_at_most() {
    let mut call = called(5);
    refer(&mut call, "sip:bob@example.com");
    call.world.run(secs(100));
    assert_eq!(call.transfers(), [failed(408, "no answer to the REFER")]);
    let (mut call, _) = referred(called(5));
    call.world.run(secs(50));
    notify(&mut call, ACTIVE, "SIP/2.0 180 Ringing");
    call.world.run(secs(58));
    assert_eq!(call.transfers().len(), 2);
    call.world.run(secs(3));
    assert_eq!(call.transfers()[2..], [failed(408, "nothing was heard of the new call")]);
    let (mut call, _) = referred(call);
    let short = "Event: refer\r\nSubscription-State: active;expires=10\r\n";
    notify(&mut call, short, "SIP/2.0 100 Trying");
    call.world.run(secs(11));
    assert_eq!(call.transfers().len(), 6, "the peer has named its own limit");
    assert!(call.is_up());
    call.end();
}

#[test]
fn notify_that_overtakes_the_202_counts() {
    let mut call = called(6);
    refer(&mut call, "sip:bob@example.com");
    let asked = call.world.wait("REFER");
    notify(&mut call, ACTIVE, "SIP/2.0 100 Trying");
    call.world.send(&asked.response("202 Accepted", "", CONTACT, ""));
    call.world.run(secs(1));
    assert_eq!(call.transfers(), [Accepted, Progress { code: 100 }]);
    notify(&mut call, OVER, "SIP/2.0 200 OK");
    assert_eq!(call.transfers()[2..], [Succeeded]);
    let mut call = called(6);
    refer(&mut call, "sip:bob@example.com");
    let asked = call.world.wait("REFER");
    notify(&mut call, OVER, "SIP/2.0 200 OK");
    call.world.send(&asked.response("202 Accepted", "", CONTACT, ""));
    call.world.run(secs(100));
    assert_eq!(call.transfers(), [Accepted, Succeeded], "the whole story was told before the 202");
    call.end();
}

#[test]
fn one_transfer_at_a_time_and_another_after_it() {
    let (mut call, _) = referred(called(7));
    refer(&mut call, "sip:carol@example.com");
    call.world.never("REFER", secs(1));
    assert_eq!(call.transfers()[1..], [failed(491, "a transfer is under way")]);
    notify(&mut call, OVER, "SIP/2.0 486 Busy");
    let (mut call, second) = referred(call);
    let other = format!("Event: refer;id={}\r\nSubscription-State: active\r\n", second.cseq() - 1);
    assert!(
        notify(&mut call, &other, "SIP/2.0 200 OK").first_line().contains("481"),
        "the first's"
    );
    let own = format!("Event: refer ; id={}\r\nSubscription-State: active\r\n", second.cseq());
    assert!(notify(&mut call, &own, "SIP/2.0 200 OK").first_line().contains("200"));
    assert_eq!(call.transfers().last(), Some(&TransferState::Succeeded));
    call.end();
}

#[test]
fn hostile_notifies_change_nothing() {
    let mut call = called(8);
    assert!(notify(&mut call, ACTIVE, "SIP/2.0 200 OK").first_line().contains("481"));
    let (mut call, _) = referred(call);
    for (headers, status) in [
        ("", "489"),
        ("Event: presence\r\n", "489"),
        ("Event: refer;id=99999\r\n", "481"),
        ("Event: refer;id=x\r\n", "481"),
    ] {
        assert!(notify(&mut call, headers, "SIP/2.0 200 OK").first_line().contains(status));
    }
    let long = "x".repeat(20_000);
    for body in [
        "",
        "\r\n",
        "SIP/2.0",
        "SIP/2.0 ",
        "SIP/2.0 20",
        "SIP/2.0 2000 OK",
        "SIP/2.0 +20 OK",
        "SIP/2.0 099 OK",
        "SIP/2.0 999 OK",
        "SIP/3.0 200 OK",
        " SIP/2.0 200 OK",
        "INVITE sip:x SIP/2.0\r\n",
        "HTTP/1.1 200 OK\r\n",
        "SIP/2.0\u{a0}200 OK",
        &long,
    ] {
        assert!(notify(&mut call, ACTIVE, body).first_line().contains("200"), "{body:.20}");
        assert_eq!(call.transfers().len(), 1, "{body:.20}");
    }
    let strange =
        "Event: refer\r\nSubscription-State: ;;=;expires=;expires=99999999999999999999\r\n";
    notify(&mut call, strange, "SIP/2.0 183 \u{1}\u{2}\r\n");
    assert_eq!(call.transfers()[1..], [TransferState::Progress { code: 183 }]);
    let named = format!("SIP/2.0 480 {long}");
    notify(&mut call, OVER, &named);
    let Some(TransferState::Failed { code: 480, reason }) = call.transfers().pop() else {
        panic!()
    };
    assert!(reason.len() <= 256);
    call.end();
}

#[test]
fn peer_that_leaves_after_taking_it_on_is_not_called_a_failure() {
    for progress in [false, true] {
        let (mut call, _) = referred(called(9));
        if progress {
            notify(&mut call, ACTIVE, "SIP/2.0 180 Ringing");
        }
        let session = call.session;
        let told = call.end().told(session);
        assert_eq!(told.last().unwrap(), "ended PeerHangup");
        assert!(!told.iter().any(|name| name.contains("Failed")), "{told:?}");
    }
    let mut call = called(9);
    refer(&mut call, "sip:bob@example.com");
    call.world.wait("REFER");
    let session = call.session;
    let told = call.end().told(session);
    assert!(told[2].contains("Failed { code: 408"), "it left without a word: {told:?}");
}

#[test]
fn notify_after_bye_finds_no_session() {
    let (mut call, _) = referred(called(10));
    call.world.hangup(call.session);
    let bye = call.world.wait("BYE");
    assert!(notify(&mut call, OVER, "SIP/2.0 200 OK").first_line().contains("481"));
    call.world.send(&bye.simple("200 OK"));
    call.world.run(secs(1));
    assert!(notify(&mut call, OVER, "SIP/2.0 200 OK").first_line().contains("481"));
    call.world.finish();
    assert_eq!(call.transfers(), [TransferState::Accepted]);
}

#[test]
fn target_that_cannot_be_written_fails_at_once() {
    let mut call = called(11);
    refer(&mut call, "sip:bob@example.com>\r\nX-Evil: yes");
    call.world.never("REFER", secs(1));
    assert!(matches!(call.transfers()[..], [TransferState::Failed { .. }]));
    call.end();
}
