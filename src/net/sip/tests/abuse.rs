use super::rig::*;
use crate::net::sip::*;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream, UdpSocket};

async fn connect_from(ip: &str, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(ip.parse().unwrap(), 0)).unwrap();
    socket.connect(to).await.unwrap()
}

async fn connect(node: &Node) -> Raw<TcpStream> {
    Raw::new(connect_from("127.0.0.1", node.address(Transport::Tcp)).await)
}

async fn udp_is_answered(node: &Node, branch: &str) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let to = node.address(Transport::Udp);
    socket.send_to(options(branch, "UDP").as_bytes(), to).await.unwrap();
    let mut buffer = [0; 2048];
    let read = tokio::time::timeout(PATIENCE, socket.recv_from(&mut buffer)).await;
    let (length, _) = read.expect("no answer").unwrap();
    assert!(buffer[..length].starts_with(b"SIP/2.0 200 "));
}

#[tokio::test]
async fn whatever_is_uncertain_about_framing_closes_the_connection() {
    let head = "OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/TCP p;branch=z9hG4bK9\r\n";
    let hidden = options("hidden", "TCP");
    let long = "x".repeat(40_000);
    let cases = [
        ("bare LF", format!("{head}X: a\nContent-Length: 0\r\n\r\n{hidden}")),
        ("bare CR", format!("{head}X: a\rContent-Length: 0\r\n\r\n{hidden}")),
        ("LF only", hidden.replace("\r\n", "\n")),
        ("LF ends the head", format!("{head}Content-Length: 0\n\n{hidden}")),
        ("two lengths", format!("{head}l: 0\r\nContent-Length: 9\r\n\r\n{hidden}")),
        ("no length", format!("{head}\r\n{hidden}")),
        ("negative length", format!("{head}Content-Length: -1\r\n\r\n{hidden}")),
        ("length of 4 GB", format!("{head}Content-Length: 4294967296\r\n\r\n{hidden}")),
        ("length above the limit", format!("{head}Content-Length: 65537\r\n\r\n{hidden}")),
        ("endless head", format!("{head}X: {long}")),
        ("not SIP", "GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_owned()),
        ("binary", "\u{16}\u{3}\u{1}\0\u{1}\r\n\r\n".to_owned()),
    ];
    for (what, text) in cases {
        let node = Node::plain(ConnectionLimits::default(), &[]).await;
        let mut peer = connect(&node).await;
        assert!(peer.is_answered("1", "TCP").await, "{what}");
        peer.say(&text).await;
        let rest = peer.hear().await;
        assert_eq!(rest, None, "{what}");
        node.until(what, |stats| stats.faulted.get() == 1 && stats.open.get() == 0).await;
        udp_is_answered(&node, "u").await;
    }
}

#[tokio::test]
async fn messages_in_pieces_and_in_heaps_are_the_same() {
    let node = Node::plain(ConnectionLimits::default(), &[]).await;
    let mut peer = connect(&node).await;
    let (first, second) = (options("1", "TCP"), options("2", "TCP"));
    for byte in first.chars() {
        peer.say(&byte.to_string()).await;
    }
    assert!(peer.hear().await.unwrap().contains("branch=z9hG4bK1"));
    peer.say(&format!("\r\n\r\n{second}{}", options("3", "TCP"))).await;
    assert!(peer.hear().await.unwrap().contains("branch=z9hG4bK2"));
    assert!(peer.hear().await.unwrap().contains("branch=z9hG4bK3"));
}

#[tokio::test]
async fn heaps_of_keep_alives_are_cheap_and_harmless() {
    let node = Node::plain(ConnectionLimits::default(), &[]).await;
    let mut peer = connect(&node).await;
    let heap = "\r\n".repeat(300_000);
    let (large, small) = (options("1", "TCP"), options("2", "TCP"));
    let large = large.replace("Content-Length: 0\r\n\r\n", "Content-Length: 60000\r\n\r\n");
    peer.say(&format!("{heap}{large}{}{heap}{small}", "x".repeat(60_000))).await;
    assert!(peer.hear().await.unwrap().contains("branch=z9hG4bK1"));
    assert!(peer.hear().await.unwrap().contains("branch=z9hG4bK2"));
}

#[tokio::test]
async fn half_a_message_and_gone_leaves_nothing() {
    let node = Node::plain(ConnectionLimits::default(), &[]).await;
    let whole = options("1", "TCP");
    for cut in [1, 30, whole.len() - 1] {
        let mut peer = connect(&node).await;
        peer.say(&whole[..cut]).await;
    }
    let gone = |stats: &SocketStats| stats.accepted.get() == 3 && stats.open.get() == 0;
    node.until("gone", gone).await;
    assert!(connect(&node).await.is_answered("2", "TCP").await);
}

#[tokio::test]
async fn messages_that_do_not_end_are_cut_off() {
    let message = Duration::from_millis(200);
    let limits = ConnectionLimits { message, ..ConnectionLimits::default() };
    let node = Node::plain(limits, &[]).await;
    let mut peer = connect(&node).await;
    assert!(peer.is_answered("1", "TCP").await);
    peer.say("OPTIONS sip:x SIP/2.0\r\nX: ").await;
    assert_eq!(peer.hear().await, None);
    node.until("stalled", |stats| stats.faulted.get() == 1 && stats.open.get() == 0).await;
}

#[tokio::test]
async fn idle_connections_of_strangers_keep_nobody_out() {
    let limits = ConnectionLimits { total: 24, per_source: 8, ..ConnectionLimits::default() };
    let node = Node::plain(limits, &[]).await;
    let to = node.address(Transport::Tcp);
    let mut trunk = Raw::new(connect_from("127.0.0.77", to).await);
    assert!(trunk.is_answered("1", "TCP").await);
    let mut idle = Vec::new();
    for n in 0..200 {
        idle.push(connect_from(&format!("127.0.1.{}", n % 20), to).await);
    }
    node.until("all came", |stats| stats.accepted.get() == 201).await;
    assert!(node.stats.open.get() <= 24);
    assert!(node.stats.evicted.get() >= 177);
    assert!(trunk.is_answered("2", "TCP").await, "the proven one stays");
    let mut late = Raw::new(connect_from("127.0.0.78", to).await);
    assert!(late.is_answered("3", "TCP").await, "and a late one comes in");
    udp_is_answered(&node, "4").await;
}

/// The size of the fault in the operators' table, with the default limits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs some 15,000 descriptors"]
async fn ten_thousand_idle_connections_do_not_slow_datagrams() {
    let node = Node::plain(ConnectionLimits::default(), &[]).await;
    let to = node.address(Transport::Tcp);
    let mut idle = Vec::new();
    for n in 0..10_000 {
        idle.push(connect_from(&format!("127.1.{}.{}", n % 200, 1 + n / 200), to).await);
    }
    node.until("all came", |stats| stats.accepted.get() == 10_000).await;
    assert_eq!(node.stats.open.get(), 4096);
    let mut took: Vec<Duration> = Vec::new();
    for n in 0..200 {
        let begun = Instant::now();
        udp_is_answered(&node, &format!("u{n}")).await;
        took.push(begun.elapsed());
    }
    took.sort();
    assert!(took[197] < Duration::from_millis(100), "p99 {:?}", took[197]);
    let mut late = Raw::new(connect_from("127.0.0.78", to).await);
    assert!(late.is_answered("late", "TCP").await);
}

#[tokio::test]
async fn strangers_who_stay_are_sent_away_although_they_talk() {
    let unproven = Duration::from_millis(300);
    let limits = ConnectionLimits { unproven, ..ConnectionLimits::default() };
    let node = Node::plain(limits, &[]).await;
    let (mut mute, mut proven) = (connect(&node).await, connect(&node).await);
    assert!(proven.is_answered("1", "TCP").await);
    // Responses that nobody waits for are not answered.
    mute.say("SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(mute.hear().await, None);
    node.until("sent away", |stats| stats.faulted.get() == 1 && stats.open.get() == 1).await;
    assert!(proven.is_answered("2", "TCP").await);
}

#[tokio::test]
async fn handshakes_that_do_not_begin_end_and_keep_nobody_out() {
    use crate::net::tls::testing::Authority;
    let authority = Authority::new();
    let limits = ConnectionLimits {
        handshakes: 4,
        handshake: Duration::from_millis(500),
        ..ConnectionLimits::default()
    };
    let listen = vec![(Transport::Tls, "127.0.0.1:0".parse().unwrap())];
    let tls = Some(authority.issue("a", &["127.0.0.1"], 2100));
    let node = Node::start(SocketSpec { tls, limits, ..SocketSpec::new(listen) }, &[]).await;
    let to = node.address(Transport::Tls);
    let mut mute = Vec::new();
    for _ in 0..20 {
        mute.push(TcpStream::connect(to).await.unwrap());
    }
    let stream = TcpStream::connect(to).await.unwrap();
    let stream = authority.stranger().connect("127.0.0.1".try_into().unwrap(), stream);
    assert!(Raw::new(stream.await.unwrap()).is_answered("1", "TLS").await);
    assert!(node.stats.evicted.get() >= 16);
    node.until("timed out", |stats| stats.open.get() == 0).await;
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_cut_off() {
    let limits = ConnectionLimits { writes: 4, write_bytes: 4096, ..ConnectionLimits::default() };
    let node = Node::plain(limits, &[]).await;
    let stream = connect(&node).await.stream;
    let mut sent = 0_u32;
    let flood = async {
        loop {
            if stream.writable().await.is_err() {
                return;
            }
            match stream.try_write(options(&sent.to_string(), "TCP").as_bytes()) {
                Ok(_) => sent += 1,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    };
    let cut = node.until("cut off", |stats| stats.faulted.get() >= 1 && stats.open.get() == 0);
    tokio::select! {
        () = flood => {}
        () = cut => {}
    }
    udp_is_answered(&node, "u").await;
}
