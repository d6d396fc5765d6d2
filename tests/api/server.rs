//! The server below the routes, over real connections on loopback.

use crate::rig::{ADMIN, Rig, Setup};
use bellwire::api::rest::{ApiLimits, ServeLimits, serve};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

async fn start(rig: &Rig, limits: ServeLimits) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async move {
        let _ = stopped.await;
    };
    let task = tokio::spawn(serve(listener, rig.api.clone(), limits, shutdown));
    Server { address, stop, task }
}

async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset after the answer is as good as an end.
    let _ = socket.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {ADMIN}\r\n\
         Connection: close\r\n\r\n"
    )
}

#[tokio::test]
async fn requests_are_served_and_bad_heads_refused() {
    let rig = Rig::new().await;
    let limits = ServeLimits { head_bytes: 8192, ..ServeLimits::default() };
    let server = start(&rig, limits).await;
    let good = exchange(server.address, &get("/v1/voices")).await;
    assert!(good.starts_with("HTTP/1.1 200"), "{good}");
    // Not much longer than allowed: what is left unread would reset the connection.
    let long = format!("GET /v1/voices HTTP/1.1\r\nX-Long: {}\r\n\r\n", "x".repeat(9_000));
    for (request, status) in [("nonsense\r\n\r\n".to_owned(), "400"), (long, "431")] {
        let answer = exchange(server.address, &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{status}: {answer:?}");
    }
    let _ = server.stop.send(());
    server.task.await.unwrap();
    assert!(TcpStream::connect(server.address).await.is_err(), "the listener is closed");
}

#[tokio::test]
async fn slow_heads_lose_their_place_and_the_cap_answers_503() {
    let rig = Rig::new().await;
    let limits = ServeLimits {
        connections: 2,
        head_timeout: Duration::from_millis(300),
        ..ServeLimits::default()
    };
    let server = start(&rig, limits).await;
    let mut slow = Vec::new();
    for _ in 0..2 {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(b"GET /v1/voices HTTP/1.1\r\nX-Slow").await.unwrap();
        slow.push(socket);
    }
    let refused = exchange(server.address, &get("/v1/voices")).await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.ends_with('}') && refused.contains("Retry-After: 1"), "{refused}");
    for mut socket in slow {
        let mut rest = Vec::new();
        let _ = socket.read_to_end(&mut rest).await;
    }
    let good = exchange(server.address, &get("/v1/voices")).await;
    assert!(good.starts_with("HTTP/1.1 200"), "{good}");
}

#[tokio::test]
async fn a_request_under_way_ends_before_the_server_does() {
    let rig = Rig::new().await;
    rig.gate.forget_permits(1000);
    let server = start(&rig, ServeLimits::default()).await;
    let body = r#"{"instanceId":"inst_a","type":"DYNAMIC_STREAM","target":{"phoneNumber":"+14155550123"}}"#;
    let request = format!(
        "POST /v1/calls HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {ADMIN}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let address = server.address;
    let asked = tokio::spawn(async move { exchange(address, &request).await });
    while rig.daemon.lock().unwrap().asked == 0 {
        tokio::task::yield_now().await;
    }
    let _ = server.stop.send(());
    rig.gate.add_permits(1);
    let answer = asked.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    server.task.await.unwrap();
}

#[tokio::test]
async fn a_body_that_is_too_large_is_answered_although_the_client_sends_all_first() {
    let rig = Rig::new().await;
    let server = start(&rig, ServeLimits::default()).await;
    let head = |extra: &str, length: usize| {
        format!(
            "POST /v1/calls HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {ADMIN}\r\n\
             Content-Type: application/json\r\nConnection: close\r\n{extra}Content-Length: {length}\r\n\r\n"
        )
    };
    let length = 20 << 20;
    let answer =
        exchange(server.address, &format!("{}{}", head("", length), " ".repeat(length))).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("audio_too_large"), "{answer}");
    let asked_first = exchange(server.address, &head("Expect: 100-continue\r\n", length)).await;
    assert!(asked_first.starts_with("HTTP/1.1 413"), "{asked_first}");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_408() {
    let limits = ApiLimits { body_timeout: Duration::from_millis(20), ..ApiLimits::default() };
    let rig = Rig::with(Setup { limits, ..Setup::default() }).await;
    let server = start(&rig, ServeLimits::default()).await;
    let request = format!(
        "POST /v1/calls HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {ADMIN}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{\"instanceId\""
    );
    let answer = exchange(server.address, &request).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}
