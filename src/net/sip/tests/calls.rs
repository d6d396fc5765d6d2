use super::rig::*;
use crate::net::sip::*;
use crate::net::tls::TlsSpec;
use crate::net::tls::testing::Authority;
use crate::sip::interface::EndCause;

/// Calls over sockets of two nodes, until the ACK has come.
async fn call_over(transport: Transport, ip: &str, tls: [Option<TlsSpec>; 2]) -> (Node, Node) {
    let any = SocketAddr::new(ip.parse().unwrap(), 0);
    let spec = |tls| SocketSpec { tls, ..SocketSpec::new(vec![(transport, any)]) };
    let [ours, theirs] = tls;
    let mut callee = Node::start(spec(theirs), &[]).await;
    let way = format!("{transport:?}").to_lowercase();
    let gateway = format!("sip:{};transport={way}", callee.address(transport));
    let mut caller = Node::start(spec(ours), &[gateway]).await;
    caller.call(1).await;
    let incoming = |id, event: &Event| matches!(event, Event::Incoming(_)).then_some(id);
    let session = callee.session(incoming).await;
    callee.commands.send(Command::Answer { session, sdp: SDP.to_vec() }).await.unwrap();
    caller.session(|_, event| matches!(event, Event::Answered { .. }).then_some(())).await;
    callee.session(|_, event| matches!(event, Event::Confirmed { .. }).then_some(())).await;
    (caller, callee)
}

#[tokio::test]
async fn calls_go_over_each_transport_and_family() {
    for ip in ["127.0.0.1", "::1"] {
        for transport in [Transport::Udp, Transport::Tcp] {
            let (mut caller, callee) = call_over(transport, ip, [None, None]).await;
            let hangup = Command::Hangup { session: SessionId(1), reason: None };
            caller.commands.send(hangup).await.unwrap();
            assert_eq!(caller.ended(1).await, EndCause::LocalHangup, "{transport:?} {ip}");
            let connections = u64::from(transport == Transport::Tcp);
            assert_eq!(caller.stats.opened.get(), connections, "one for the whole call");
            assert_eq!(callee.stats.opened.get(), 0);
        }
    }
}

#[tokio::test]
async fn calls_go_over_tls_with_certificates_of_both_sides() {
    let authority = Authority::new();
    let ours = authority.issue("a", &["127.0.0.1"], 2100);
    let theirs = authority.issue("b", &["127.0.0.1", "::1"], 2100);
    for (ip, require_client_certificate) in
        [("127.0.0.1", false), ("127.0.0.1", true), ("::1", true)]
    {
        let theirs = TlsSpec { require_client_certificate, ..theirs.clone() };
        let tls = [Some(ours.clone()), Some(theirs)];
        let (caller, callee) = call_over(Transport::Tls, ip, tls).await;
        assert_eq!((caller.stats.opened.get(), callee.stats.accepted.get()), (1, 1));
    }
}

#[tokio::test]
async fn bad_certificates_end_the_call_at_once() {
    let authority = Authority::new();
    let ours = authority.issue("a", &["127.0.0.1"], 2100);
    let elsewhere = Authority::new();
    let stranger = TlsSpec { ca: None, ..elsewhere.issue("z", &["127.0.0.1"], 2100) };
    let cases = [
        ("another name", authority.issue("b", &["gw.test"], 2100), ours.clone()),
        ("another address", authority.issue("c", &["127.0.0.9"], 2100), ours.clone()),
        ("ended", authority.issue("d", &["127.0.0.1"], 2002), ours.clone()),
        ("unknown issuer", stranger.clone(), ours.clone()),
        (
            "our certificate is not theirs",
            TlsSpec {
                require_client_certificate: true,
                ..authority.issue("e", &["127.0.0.1"], 2100)
            },
            TlsSpec { ca: ours.ca.clone(), ..stranger },
        ),
    ];
    for (why, theirs, ours) in cases {
        let listen = vec![(Transport::Tls, "127.0.0.1:0".parse().unwrap())];
        let spec = |tls| SocketSpec { tls: Some(tls), ..SocketSpec::new(listen.clone()) };
        let callee = Node::start(spec(theirs), &[]).await;
        let gateway = format!("sip:{};transport=tls", callee.address(Transport::Tls));
        let mut caller = Node::start(spec(ours), &[gateway]).await;
        caller.call(1).await;
        assert_eq!(caller.ended(1).await, EndCause::Unreachable, "{why}");
        callee.until(why, |stats| stats.handshakes_failed.get() >= 1).await;
    }
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_new_connections_only() {
    let authority = Authority::new();
    let spec = authority.issue("a", &["127.0.0.1"], 2100);
    let listen = vec![(Transport::Tls, "127.0.0.1:0".parse().unwrap())];
    let node =
        Node::start(SocketSpec { tls: Some(spec.clone()), ..SocketSpec::new(listen) }, &[]).await;
    let connect = async || {
        let client = authority.stranger();
        let stream = tokio::net::TcpStream::connect(node.address(Transport::Tls)).await.unwrap();
        let stream = client.connect("127.0.0.1".try_into().unwrap(), stream).await.unwrap();
        let shown = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
        (Raw::new(stream), shown)
    };
    let (mut before, old) = connect().await;
    assert!(before.is_answered("1", "TLS").await);
    authority.issue("a", &["127.0.0.1"], 2090);
    node.tls.as_ref().unwrap().reload(&spec).unwrap();
    let (mut after, new) = connect().await;
    assert_ne!(old, new);
    assert!(after.is_answered("2", "TLS").await);
    assert!(before.is_answered("3", "TLS").await);
}

#[tokio::test]
async fn peers_without_a_certificate_are_refused_if_one_is_required() {
    let authority = Authority::new();
    let tls = authority.issue("a", &["127.0.0.1"], 2100);
    let tls = TlsSpec { require_client_certificate: true, ..tls };
    let listen = vec![(Transport::Tls, "127.0.0.1:0".parse().unwrap())];
    let node = Node::start(SocketSpec { tls: Some(tls), ..SocketSpec::new(listen) }, &[]).await;
    let stream = tokio::net::TcpStream::connect(node.address(Transport::Tls)).await.unwrap();
    let connected = authority.stranger().connect("127.0.0.1".try_into().unwrap(), stream).await;
    // In TLS 1.3 the client believes to be through before the server has looked.
    if let Ok(stream) = connected {
        assert_eq!(Raw::new(stream).hear().await, None);
    }
    node.until("refused", |stats| stats.handshakes_failed.get() == 1).await;
}

#[tokio::test]
async fn host_names_are_looked_up() {
    let mut callee = Node::plain(ConnectionLimits::default(), &[]).await;
    let gateway = format!("sip:localhost:{}", callee.address(Transport::Udp).port());
    let caller = Node::plain(ConnectionLimits::default(), &[gateway]).await;
    caller.call(1).await;
    callee.session(|_, event| matches!(event, Event::Incoming(_)).then_some(())).await;
}

#[tokio::test]
async fn tls_needs_a_certificate_to_listen_with() {
    let listen = vec![(Transport::Tls, "127.0.0.1:0".parse().unwrap())];
    let error = SipSockets::bind(&SocketSpec::new(listen.clone())).await.unwrap_err();
    assert!(matches!(error, SipError::NoCertificate(_)), "{error}");
    let tls = TlsSpec {
        certificate: "/no/such.pem".into(),
        key: "/no/such.key".into(),
        ca: None,
        require_client_certificate: false,
    };
    let spec = SocketSpec { tls: Some(tls), ..SocketSpec::new(listen) };
    let error = SipSockets::bind(&spec).await.unwrap_err().to_string();
    assert!(error.contains("/no/such.pem"), "{error}");
}

#[tokio::test]
async fn both_families_share_a_port() {
    let any = |ip: &str, port| SocketAddr::new(ip.parse().unwrap(), port);
    let listen = vec![(Transport::Udp, any("::", 0)), (Transport::Tcp, any("::", 0))];
    let first = SipSockets::bind(&SocketSpec::new(listen)).await.unwrap();
    let (udp, tcp) = (first.addresses()[0].1.port(), first.addresses()[1].1.port());
    // Another process may hold one of the two by chance: its error would name the other family.
    let listen = vec![(Transport::Udp, any("0.0.0.0", udp)), (Transport::Tcp, any("0.0.0.0", tcp))];
    let second = SipSockets::bind(&SocketSpec::new(listen)).await;
    assert!(second.is_ok(), "{second:?}");
}

#[tokio::test]
async fn commands_are_taken_while_nobody_reads_events() {
    // Who reads the events is the one who gives the commands, and has no room for either.
    let any = "127.0.0.1:0".parse().unwrap();
    let spec = SocketSpec::new(vec![(Transport::Udp, any)]);
    let mut node = Node::start_with_room(spec, &["sip:127.0.0.1:9".to_owned()], [1, 1]).await;
    let calls = 100;
    let given = async {
        for id in 1..=calls {
            node.call(id).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, given).await.is_ok(), "both wait for each other");
    for wanted in 1..=calls {
        let first = node.session(|id, _| (id == SessionId(wanted)).then_some(())).await;
        assert_eq!(first, (), "no event is lost, and they come in order");
    }
}
