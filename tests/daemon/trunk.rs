//! What reaches the daemon from the network without being a call.

use super::rig::{Daemon, SOON};
use std::net::UdpSocket;
use std::time::{Duration, Instant};

fn options(from_port: u16, to: &str) -> String {
    format!(
        "OPTIONS sip:{to} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{from_port};branch=z9hG4bKx1\r\n\
         From: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:b@127.0.0.1>\r\nCall-ID: c1\r\n\
         CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
}

fn answer(socket: &UdpSocket, wait: Duration) -> Option<String> {
    socket.set_read_timeout(Some(wait)).unwrap();
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).ok()?;
    Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn options_is_answered_for_the_trunk_only() {
    let daemon = Daemon::start("127.0.0.1:9", "").await;
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let request = options(port, &daemon.sip.to_string());
    socket.send_to(request.as_bytes(), daemon.sip).unwrap();
    let reply = answer(&socket, SOON).unwrap();
    assert!(reply.starts_with("SIP/2.0 200"), "{reply}");
    assert!(reply.contains("Allow:") && reply.contains("INVITE"), "{reply}");
    // 127.0.0.2 is no source of the trunk: dropped, and never answered.
    let stranger = UdpSocket::bind("127.0.0.2:0").unwrap();
    let request = options(stranger.local_addr().unwrap().port(), &daemon.sip.to_string());
    stranger.send_to(request.as_bytes(), daemon.sip).unwrap();
    // The trunk's next answer proves that the stranger's request was handled before it.
    socket.send_to(options(port, "x").replace("x1", "x2").as_bytes(), daemon.sip).unwrap();
    assert!(answer(&socket, SOON).is_some());
    assert_eq!(answer(&stranger, Duration::from_millis(50)), None);
    assert_eq!(daemon.status().await["sip_dialogs"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn noise_on_the_sip_port_changes_nothing() {
    let daemon = Daemon::start("127.0.0.1:9", "").await;
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let good = options(1, "x").into_bytes();
    for at in 0..good.len() {
        let mut noise = good.clone();
        noise[at] ^= 0x55;
        socket.send_to(&noise, daemon.sip).unwrap();
        socket.send_to(&good[..at], daemon.sip).unwrap();
    }
    let port = socket.local_addr().unwrap().port();
    let until = Instant::now() + SOON;
    loop {
        socket.send_to(options(port, "x").replace("c1", "last").as_bytes(), daemon.sip).unwrap();
        let reply = answer(&socket, Duration::from_millis(500));
        if reply.is_some_and(|reply| reply.contains("last") && reply.contains("200")) {
            break;
        }
        assert!(Instant::now() < until, "the daemon answers no more");
    }
    assert_eq!(daemon.status().await["ready"], true);
}
