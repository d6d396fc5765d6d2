//! The end of the program when peers have fallen silent: it waits for who talks, not for them.

use super::rig::Daemon;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

/// A caller by hand: what it does not send is not sent.
struct Caller {
    socket: UdpSocket,
    call: String,
}

impl Caller {
    /// Calls, and takes the 200.
    fn answered(daemon: &Daemon, call: &str) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(daemon.sip).unwrap();
        socket.set_read_timeout(Some(super::rig::SOON)).unwrap();
        let caller = Self { socket, call: call.to_owned() };
        let sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                   m=audio 9 RTP/AVP 0\r\n";
        caller.say("INVITE", 1, "", sdp);
        while !caller.hear().starts_with("SIP/2.0 200 ") {}
        caller
    }

    fn say(&self, method: &str, cseq: u32, to_tag: &str, sdp: &str) {
        let (own, call) = (self.socket.local_addr().unwrap(), &self.call);
        let message = format!(
            "{method} sip:answer@gw.test SIP/2.0\r\n\
             Via: SIP/2.0/UDP {own};branch=z9hG4bK{call}{method}\r\n\
             From: <sip:+14155550199@{own}>;tag=1\r\nTo: <sip:answer@gw.test>{to_tag}\r\n\
             Call-ID: {call}\r\nCSeq: {cseq} {method}\r\nMax-Forwards: 70\r\n\
             Contact: <sip:peer@{own}>\r\nContent-Type: application/sdp\r\n\
             Content-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        );
        self.socket.send(message.as_bytes()).unwrap();
    }

    fn hear(&self) -> String {
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    /// Acknowledges the next 200.
    fn acknowledge(&self) {
        let ok = loop {
            let message = self.hear();
            if message.starts_with("SIP/2.0 200 ") {
                break message;
            }
        };
        let to = ok.lines().find(|line| line.starts_with("To:")).unwrap();
        let tag = to.split_once(";tag=").unwrap().1;
        self.say("ACK", 1, &format!(";tag={tag}"), "");
    }
}

async fn daemon(drain_timeout: &str) -> Daemon {
    let more = format!(
        "[limits]\ndrain_timeout = \"{drain_timeout}\"\n\
         [[route]]\nto = \"^answer$\"\ninstance = \"inst_demo\"\naction = \"answer\"\n"
    );
    Daemon::start("127.0.0.1:9", &more).await
}

/// SIGTERM to exit; machines are shared, so that there is some room.
fn stops_within(daemon: &mut Daemon, seconds: u64) {
    let begun = Instant::now();
    daemon.stop();
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(seconds), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_who_never_acknowledge_do_not_hold_up_the_end() {
    let mut daemon = daemon("10m").await;
    let callers: Vec<_> =
        (0..20).map(|n| Caller::answered(&daemon, &format!("silent{n}"))).collect();
    assert_eq!(daemon.status().await["sip_dialogs"], 20);
    // Two seconds for the ACK, two for a session that cannot end; the RFC's 64*T1 are 32.
    stops_within(&mut daemon, 12);
    drop(callers);
    let log = daemon.log();
    assert!(log.contains("\"calls_cut\":0"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_who_do_not_answer_bye_do_not_hold_up_the_end() {
    let mut daemon = daemon("300ms").await;
    let caller = Caller::answered(&daemon, "deaf");
    caller.acknowledge();
    let until = Instant::now() + super::rig::SOON;
    while daemon.status().await["calls"]["IN_PROGRESS"] != 1 {
        assert!(Instant::now() < until, "the call does not stand");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stops_within(&mut daemon, 12);
    while !caller.hear().starts_with("BYE ") {}
    let log = daemon.log();
    assert!(log.contains("\"calls_cut\":1"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_calls_the_end_comes_at_once() {
    let mut daemon = daemon("10m").await;
    stops_within(&mut daemon, 5);
}
