use super::rig::*;
use crate::net::dns::testing::{Server, name};
use crate::net::sip::connections::Connections;
use crate::net::sip::*;
use crate::net::tls::Tls;
use crate::net::tls::testing::Authority;
use crate::sip::interface::EndCause;
use hickory_proto::rr::rdata::{A, SRV};
use hickory_proto::rr::{RData, RecordType};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

/// An address where nobody listens.
async fn nobody(udp: bool) -> SocketAddr {
    if udp {
        UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
    } else {
        TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
    }
}

#[tokio::test]
async fn a_port_that_refuses_fails_over_long_before_the_timer() {
    for (ip, udp) in [("127.0.0.1", true), ("::1", true), ("127.0.0.1", false)] {
        let any = SocketAddr::new(ip.parse().unwrap(), 0);
        let closed = if ip == "::1" {
            UdpSocket::bind(any).await.unwrap().local_addr().unwrap()
        } else {
            nobody(udp).await
        };
        let live = UdpSocket::bind(any).await.unwrap();
        let way = if udp { "udp" } else { "tcp" };
        let gateways = [
            format!("sip:{closed};transport={way}"),
            format!("sip:{}", live.local_addr().unwrap()),
        ];
        let listen = vec![(Transport::Udp, any), (Transport::Tcp, any)];
        let node = Node::start(SocketSpec::new(listen), &gateways).await;
        node.call(1).await;
        // Timer B would take 32 s.
        let mut buffer = [0; 4096];
        let read = tokio::time::timeout(PATIENCE, live.recv_from(&mut buffer)).await;
        let (length, _) = read.expect("no failover").unwrap();
        assert!(buffer[..length].starts_with(b"INVITE "), "{ip} {way}");
        assert_eq!(node.stats.unreachable.get() > 0, udp);
    }
}

#[tokio::test]
async fn servers_of_a_domain_are_tried_in_order() {
    let (closed, live) = (nobody(true).await, UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let ports = [closed.port(), live.local_addr().unwrap().port()];
    let zone = move |text: &str, kind: RecordType| {
        let record = |content| (text.to_owned(), 60, content);
        let server = |(at, port)| record(RData::SRV(SRV::new(at, 1, port, name("gw.test."))));
        match (text, kind) {
            ("_sip._udp.carrier.test.", RecordType::SRV) => (0..).zip(ports).map(server).collect(),
            ("gw.test.", RecordType::A) => vec![record(RData::A(A::new(127, 0, 0, 1)))],
            _ => Vec::new(),
        }
    };
    let names = Server::start(Arc::new(zone)).await;
    let listen = vec![(Transport::Udp, "127.0.0.1:0".parse().unwrap())];
    let spec = SocketSpec { resolver: names.spec(), ..SocketSpec::new(listen) };
    let node = Node::start(spec, &["sip:carrier.test".to_owned()]).await;
    node.call(1).await;
    let mut buffer = [0; 4096];
    let read = tokio::time::timeout(PATIENCE, live.recv_from(&mut buffer)).await;
    let (length, _) = read.expect("no failover").unwrap();
    assert!(buffer[..length].starts_with(b"INVITE "));
    assert!(node.stats.unreachable.get() > 0);
}

#[tokio::test]
async fn an_unreachable_peer_costs_no_other_a_message() {
    let closed = nobody(true).await;
    let live = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut sockets = udp::UdpSockets::default();
    let local = sockets.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let (arrivals, mut arrived) = mpsc::channel(256);
    let mut children = JoinSet::new();
    let stats = Arc::<SocketStats>::default();
    let flow = |remote| Flow { transport: Transport::Udp, local, remote, connection: None };
    let to = live.local_addr().unwrap();
    for n in 0..100_u8 {
        sockets.send(flow(closed), b"lost");
        assert!(sockets.send(flow(to), &[n]));
    }
    let mut buffer = [0; 8];
    for n in 0..100_u8 {
        let read = tokio::time::timeout(PATIENCE, live.recv_from(&mut buffer)).await;
        assert_eq!((read.unwrap().unwrap().0, buffer[0]), (1, n));
    }
    sockets.spawn_readers(&mut children, &arrivals, &stats);
    let failed = tokio::time::timeout(PATIENCE, arrived.recv()).await.unwrap().unwrap();
    assert!(matches!(failed, Arrival::Failed(failed) if failed == flow(closed)), "{failed:?}");
}

#[tokio::test]
async fn a_burst_to_a_new_peer_opens_one_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = format!("sip:{};transport=tcp", listener.local_addr().unwrap());
    let node = Node::plain(ConnectionLimits::default(), &[gateway]).await;
    for id in 1..=10 {
        node.call(id).await;
    }
    let (stream, remote) = listener.accept().await.unwrap();
    assert_eq!(remote.ip(), node.address(Transport::Tcp).ip());
    let mut peer = Raw::new(stream);
    for _ in 0..10 {
        let invite = peer.hear().await.unwrap();
        assert!(invite.starts_with("INVITE "), "{invite}");
        let via = format!("Via: SIP/2.0/TCP {}", node.address(Transport::Tcp));
        assert!(invite.contains(&via), "the listener's address: {invite}");
    }
    assert_eq!(node.stats.opened.get(), 1);
}

#[tokio::test]
async fn connections_of_tls_belong_to_the_name_they_were_opened_for() {
    let authority = Authority::new();
    let theirs = Tls::load(&authority.issue("a", &["a.test", "b.test"], 2100)).unwrap();
    let ours = Tls::load(&authority.issue("b", &["us.test"], 2100)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (arrivals, mut arrived) = mpsc::channel(16);
    let stats = Arc::<SocketStats>::default();
    let limits = ConnectionLimits::default();
    let connections = Connections::new(limits, Some(ours), Arc::clone(&stats), arrivals);
    let (local, remote) = ("127.0.0.1:0".parse().unwrap(), listener.local_addr().unwrap());
    let flow = Flow { transport: Transport::Tls, local, remote, connection: None };
    let mut children = JoinSet::new();
    for (branch, name) in [("1", "a.test"), ("2", "b.test"), ("3", "A.test"), ("4", "c.test")] {
        let bytes = options(branch, "TLS").into_bytes();
        assert!(connections.send(&mut children, flow, Some(name.into()), bytes));
    }
    assert_eq!(stats.opened.get(), 3);
    let mut heard = Vec::new();
    for _ in 0..3 {
        let (stream, _) = listener.accept().await.unwrap();
        let Ok(stream) = theirs.accept(stream).await else { continue };
        let mut peer = Raw::new(stream);
        let first = peer.hear().await.unwrap();
        if first.contains("branch=z9hG4bK1") {
            assert!(peer.hear().await.unwrap().contains("branch=z9hG4bK3"));
        }
        heard.push(first.contains("branch=z9hG4bK4"));
    }
    assert!(heard.len() >= 2 && !heard.contains(&true), "{heard:?}");
    let failed = |arrival: &Arrival| matches!(arrival, Arrival::Failed(way) if *way == flow);
    let refused = async { while !failed(&arrived.recv().await.unwrap()) {} };
    tokio::time::timeout(PATIENCE, refused).await.expect("the wrong name was taken");
}

#[tokio::test]
async fn a_connection_that_breaks_is_tried_once_more_and_then_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = format!("sip:{};transport=tcp", listener.local_addr().unwrap());
    let mut node = Node::plain(ConnectionLimits::default(), &[gateway]).await;
    node.call(1).await;
    for _ in 0..2 {
        let (stream, _) = listener.accept().await.unwrap();
        let mut peer = Raw::new(stream);
        assert!(peer.hear().await.unwrap().starts_with("INVITE "));
    }
    assert_eq!(node.ended(1).await, EndCause::Unreachable);
    node.until("closed", |stats| stats.open.get() == 0).await;
    assert_eq!(node.stats.opened.get(), 2);
}

#[tokio::test]
async fn answers_take_the_connection_of_their_request() {
    let node = Node::plain(ConnectionLimits::default(), &[]).await;
    let connect = async || TcpStream::connect(node.address(Transport::Tcp)).await.unwrap();
    let (mut one, mut other) = (Raw::new(connect().await), Raw::new(connect().await));
    one.say(&options("1", "TCP")).await;
    other.say(&options("2", "TCP")).await;
    assert!(other.hear().await.unwrap().contains("branch=z9hG4bK2"));
    assert!(one.hear().await.unwrap().contains("branch=z9hG4bK1"));
    assert_eq!((node.stats.accepted.get(), node.stats.opened.get()), (2, 0));
}
