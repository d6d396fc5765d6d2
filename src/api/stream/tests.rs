use super::*;
use crate::app::stream::seat::{CloseCode, StreamSeats};
use crate::app::stream::{StreamSpec, spawn};
use crate::app::{Control, Report};
use crate::call::record::Direction;
use futures_util::{SinkExt, StreamExt};
use hyper::service::service_fn;
use std::convert::Infallible;
use std::time::Duration;
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http as client_http;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

#[test]
fn a_handshake_is_checked_field_by_field() {
    let good = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", KEY),
    ];
    assert!(Handshake::read(&headers(&good)).is_ok());
    let cases = [
        (0, "close", 426, Some(("upgrade", "websocket"))),
        (1, "h2c", 426, Some(("upgrade", "websocket"))),
        (2, "8", 426, Some(("sec-websocket-version", "13"))),
        (3, "short==", 400, None),
        (3, "dGhlIHNhbXBsZSBub25jZQ!=", 400, None),
        (3, "dGhlIHNhbXBsZSBub25jZQQQ", 400, None),
    ];
    for (field, value, status, header) in cases {
        let mut bad = good;
        bad[field].1 = value;
        let refusal = Handshake::read(&headers(&bad)).unwrap_err();
        assert_eq!((refusal.problem.status, refusal.header), (status, header), "{value}");
        bad[field].0 = "x-nothing";
        assert!(Handshake::read(&headers(&bad)).is_err());
    }
}

#[test]
fn the_accept_key_and_the_subprotocol_are_answered() {
    for (offered, chosen) in [
        ("", None),
        ("chat", None),
        ("chat, bellwire.stream.v1", Some("bellwire.stream.v1")),
        ("bearer.abc, bellwire.stream.v1", Some("bellwire.stream.v1")),
        ("bearer.abc", Some("bearer.abc")),
    ] {
        let fields = [
            ("connection", "upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", KEY),
            ("sec-websocket-protocol", offered),
        ];
        let response = Handshake::read(&headers(&fields)).unwrap().accept();
        assert_eq!(response.status(), 101);
        let accept = &response.headers()["sec-websocket-accept"];
        assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "RFC 6455 §1.3");
        let protocol = response.headers().get("sec-websocket-protocol");
        assert_eq!(protocol.map(|value| value.to_str().unwrap()), chosen, "{offered}");
    }
}

#[test]
fn problems_of_seats_and_parameters_have_their_codes() {
    let taken = Problem::from(SeatError::Taken);
    assert_eq!((taken.status, taken.code), (409, Code::StreamAlreadyAttached));
    assert_eq!(Problem::from(SeatError::Ended).status, 410);
    let pairs = [("protocol".to_owned(), "openai".to_owned())];
    let wrong = StreamOptions::from_query::<&str>(&pairs, &[]).unwrap_err();
    let problem = Problem::from(wrong);
    assert_eq!((problem.status, problem.code), (501, Code::NotImplemented));
    assert_eq!(
        (problem.errors[0].pointer.as_str(), problem.errors[0].code),
        ("?protocol", "not_implemented")
    );
    assert!(problem.detail.contains("use native, cawme"), "{}", problem.detail);
    let over = Problem::from(SeatError::ResumeOver);
    assert_eq!((over.status, over.code), (410, Code::ResumeOver));
}

/// A call without a leg, and a server that lets clients attach to it.
struct Server {
    control: mpsc::Sender<Control>,
    reports: mpsc::Receiver<Report>,
    seats: StreamSeats,
    gateway: Gateway,
}

impl Server {
    fn new() -> Self {
        let (control, from_driver) = mpsc::channel(16);
        let (to_driver, reports) = mpsc::channel(16);
        let spec = StreamSpec {
            call: "call_1".parse().unwrap(),
            instance: "inst_1".parse().unwrap(),
            direction: Direction::Outbound,
            from: None,
            identity: None,
            sip: crate::app::stream::wire::Sip::default(),
            srtp: None,
            to: "+15550123".to_owned(),
            options: StreamOptions::default(),
            parameters: serde_json::Map::new(),
            account: None,
            sample_rate: 8000,
            default_rate: 16_000,
            water: (0.75, 0.5),
            timing: crate::app::stream::Timing::default(),
            level: crate::app::stream::LevelSpec::default(),
            buffer: Duration::from_mins(1),
            wait: Duration::from_secs(10),
            linger: Duration::from_secs(30),
            secret: [5; 32],
            observer: false,
            keys_by_call: false,
            hearing: crate::app::hearing::HearingSpec::default(),
            amd: None,
            dial: None,
            speak: None,
            stt: crate::speech::stt::Stt::new(crate::speech::stt::SttSpec::default()),
            transcribe: None,
            recordings: None,
            record: None,
        };
        let (seats, _task) = spawn(spec, from_driver, to_driver);
        let (gateway, mut commands) = Gateway::new(8);
        let answering = seats.clone();
        tokio::spawn(async move {
            while let Some(command) = commands.recv().await {
                if let Command::Attach(_, options, reply) = command {
                    let _ = reply.send(answering.reserve(options).map_err(Problem::from));
                }
            }
        });
        Self { control, reports, seats, gateway }
    }

    /// A connection to the server; its other end is served.
    fn connect(&self) -> DuplexStream {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let gateway = self.gateway.clone();
        let service = service_fn(move |mut request: Request<hyper::body::Incoming>| {
            let gateway = gateway.clone();
            async move {
                let query = request.uri().query().unwrap_or("").to_owned();
                let pairs: Vec<_> = query
                    .split('&')
                    .filter_map(|pair| pair.split_once('='))
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect();
                let call = "call_1".parse().unwrap();
                let answer =
                    upgrade(&gateway, call, &pairs, StreamRights::default(), &mut request).await;
                let response = answer.unwrap_or_else(|refusal| {
                    Response::builder().status(refusal.problem.status).body(()).unwrap()
                });
                Ok::<_, Infallible>(response.map(|()| String::new()))
            }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(far), service)
            .with_upgrades();
        tokio::spawn(async move {
            let _ = connection.await;
        });
        near
    }

    async fn attach(&self, query: &str) -> Result<WebSocketStream<DuplexStream>, u16> {
        let mut request =
            format!("ws://localhost/v1/calls/call_1/stream?{query}").into_client_request().unwrap();
        let name = client_http::HeaderValue::from_static(SUBPROTOCOL);
        if query.contains("listen") {
            request.headers_mut().insert("sec-websocket-protocol", name);
        }
        match tokio_tungstenite::client_async(request, self.connect()).await {
            Ok((socket, _)) => Ok(socket),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    fn stop(&self) {
        let stop = Control::Stop { reason: "completed", sip_code: None, duration_ms: 0 };
        self.control.try_send(stop).ok().unwrap();
    }
}

async fn rest_of(mut socket: WebSocketStream<DuplexStream>) -> (Vec<String>, Option<u16>) {
    let (mut texts, mut code) = (Vec::new(), None);
    while let Some(Ok(message)) = socket.next().await {
        match message {
            Message::Text(text) => texts.push(text.to_string()),
            Message::Close(frame) => code = frame.map(|frame| frame.code.into()),
            _ => {}
        }
    }
    (texts, code)
}

#[tokio::test(start_paused = true)]
async fn a_client_attaches_talks_and_is_told_the_end() {
    let mut server = Server::new();
    let mut socket = server.attach("listen=caller&rate=8000").await.unwrap();
    socket.send(Message::text(r#"{"type":"ping","id":1}"#)).await.unwrap();
    socket.send(Message::Binary(vec![0; 3000].into())).await.unwrap();
    let start = socket.next().await.unwrap().unwrap().into_text().unwrap().to_string();
    assert!(start.starts_with(r#"{"type":"start""#), "{start}");
    let pong = socket.next().await.unwrap().unwrap().into_text().unwrap().to_string();
    assert!(pong.starts_with(r#"{"type":"pong","id":1"#), "{pong}");
    server.stop();
    let (texts, code) = rest_of(socket).await;
    assert!(texts.last().unwrap().starts_with(r#"{"type":"stop""#), "{texts:?}");
    assert_eq!(code, Some(1000));
    assert!(matches!(
        server.reports.recv().await,
        Some(Report::Attached { protocol: "native", .. })
    ));
}

#[tokio::test(start_paused = true)]
async fn a_second_client_is_refused_before_the_upgrade() {
    let server = Server::new();
    let first = server.attach("").await.unwrap();
    assert_eq!(server.attach("").await.err(), Some(409));
    assert_eq!(server.attach("listen=all").await.err(), Some(400));
    drop(first);
    tokio::time::sleep(Duration::from_millis(10)).await;
    let second = server.attach("").await.unwrap();
    server.stop();
    assert_eq!(rest_of(second).await.1, Some(1000));
    assert_eq!(server.attach("").await.err(), Some(410));
    assert!(server.seats.reserve(StreamOptions::default()).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_message_beyond_the_limit_is_answered_with_1009() {
    let server = Server::new();
    let mut socket = server.attach("").await.unwrap();
    let sent = socket.send(Message::Binary(vec![0; MESSAGE_MAX + 1].into())).await;
    assert!(sent.is_ok());
    assert_eq!(rest_of(socket).await.1, Some(CloseCode::TooBig as u16));
    let mut socket = server.attach("listen=none").await.unwrap();
    socket.send(Message::text("x".repeat(300_000))).await.unwrap();
    assert_eq!(rest_of(socket).await.1, Some(CloseCode::TooBig as u16));
}

#[tokio::test(start_paused = true)]
async fn broken_framing_closes_with_4000_and_the_call_goes_on() {
    let mut server = Server::new();
    for garbage in [&[0xFF; 64][..], &[0x81, 0x05, 1, 2, 3, 4, 5], &[0x83, 0x80, 0, 0, 0, 0]] {
        let mut socket = server.attach("").await.unwrap();
        socket.get_mut().write_all(garbage).await.unwrap();
        socket.get_mut().flush().await.unwrap();
        assert_eq!(rest_of(socket).await.1, Some(CloseCode::Protocol as u16), "{garbage:?}");
        assert!(matches!(server.reports.recv().await, Some(Report::Attached { .. })));
        assert_eq!(server.reports.recv().await, Some(Report::Gone { why: "protocol" }));
        assert_eq!(server.reports.recv().await, Some(Report::Detached));
    }
}

#[tokio::test(start_paused = true)]
async fn fragments_are_one_message_and_a_ping_is_answered() {
    let server = Server::new();
    let mut socket = server.attach("listen=none").await.unwrap();
    socket.next().await.unwrap().unwrap();
    // {"type":"ping"} in two fragments with a ping between, masked with zeros.
    let mut octets = vec![0x01, 0x87, 0, 0, 0, 0];
    octets.extend_from_slice(br#"{"type""#);
    octets.extend_from_slice(&[0x89, 0x82, 0, 0, 0, 0, b'h', b'i', 0x80, 0x88, 0, 0, 0, 0]);
    octets.extend_from_slice(br#":"ping"}"#);
    for octet in octets {
        socket.get_mut().write_all(&[octet]).await.unwrap();
    }
    let answer = socket.next().await.unwrap().unwrap();
    assert_eq!(answer, Message::Pong("hi".into()));
    let pong = socket.next().await.unwrap().unwrap();
    assert!(pong.to_text().unwrap().starts_with(r#"{"type":"pong""#));
}
