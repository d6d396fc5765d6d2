//! Client mode: the gateway dials the stream's client, over real sockets.

use super::client::Client;
use super::engines::HookServer;
use super::rig::{Daemon, NUMBER, Phone, SOON, read_wav, share_at, tone, tone_wav};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

/// Requests may name servers of this machine.
const PRIVATE: &str = "[webhook]\nallow_private = true\n";

trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// A call's stream, as the server has it.
struct Bot {
    client: Client<Box<dyn Io>>,
    /// Path and query.
    path: String,
    headers: Vec<(String, String)>,
}

impl Bot {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// A WebSocket server of a bot's builder.
struct Server {
    port: u16,
    bots: mpsc::UnboundedReceiver<Bot>,
    /// The status that connections are refused with; 101 lets them in.
    status: Arc<AtomicU16>,
    asked: Arc<AtomicUsize>,
}

impl Server {
    async fn start(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (arrived, bots) = mpsc::unbounded_channel();
        let (status, asked) = (Arc::new(AtomicU16::new(101)), Arc::new(AtomicUsize::new(0)));
        let (answer, count) = (Arc::clone(&status), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                tcp.set_nodelay(true).unwrap();
                let (tls, arrived, answer) = (tls.clone(), arrived.clone(), Arc::clone(&answer));
                tokio::spawn(async move {
                    let connection: Box<dyn Io> = match tls {
                        None => Box::new(tcp),
                        Some(tls) => match tls.accept(tcp).await {
                            Ok(encrypted) => Box::new(encrypted),
                            Err(_) => return,
                        },
                    };
                    if let Some(bot) = greet(connection, answer.load(Ordering::Relaxed)).await {
                        let _ = arrived.send(bot);
                    }
                });
            }
        });
        Self { port, bots, status, asked }
    }

    fn url(&self, rest: &str) -> String {
        format!("ws://127.0.0.1:{}{rest}", self.port)
    }

    fn answer_with(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    async fn bot(&mut self) -> Bot {
        let bot = tokio::time::timeout(SOON, self.bots.recv()).await;
        bot.expect("the gateway dials").unwrap()
    }
}

#[allow(clippy::result_large_err, reason = "the library's callback wants it so")]
async fn greet(connection: Box<dyn Io>, status: u16) -> Option<Bot> {
    let (mut path, mut headers) = (String::new(), Vec::new());
    let look = |request: &Request, mut response: Response| {
        path = request.uri().to_string();
        for (name, value) in request.headers() {
            headers.push((name.to_string(), value.to_str().unwrap().to_owned()));
        }
        if status != 101 {
            let mut refused = ErrorResponse::new(Some("not today".to_owned()));
            *refused.status_mut() = status.try_into().unwrap();
            return Err(refused);
        }
        if let Some(offered) = request.headers().get("sec-websocket-protocol") {
            response.headers_mut().insert("sec-websocket-protocol", offered.clone());
        }
        Ok(response)
    };
    let socket = accept_hdr_async(connection, look).await.ok()?;
    Some(Bot { client: Client::over(socket), path, headers })
}

async fn place(daemon: &Daemon, stream: Value) -> (u16, Value) {
    let body = json!({
        "instanceId": "inst_demo", "type": "DYNAMIC_STREAM",
        "target": { "phoneNumber": NUMBER }, "stream": stream,
    });
    daemon.post("/v1/calls", &body).await
}

async fn call(daemon: &Daemon, stream: Value) -> String {
    let (status, call) = place(daemon, stream).await;
    assert_eq!(status, 201, "{call}");
    call["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_is_dialled_hears_speaks_and_ends_the_call_by_closing() {
    let dir = tempfile::tempdir().unwrap();
    let heard = dir.path().join("heard.wav");
    let spoken = tone_wav(dir.path(), "spoken.wav", 500.0, 6.0);
    let phone =
        Phone::start(&["--record", heard.to_str().unwrap(), "--play", spoken.to_str().unwrap()]);
    let mut server = Server::start(None).await;
    let daemon = Daemon::start(&phone.address, PRIVATE).await;
    let stream = json!({
        "url": server.url("/calls?tenant=7"), "rate": 8000, "outRate": 8000,
        "parameters": {"order": "42"},
        "auth": {"bearer": "t0ken", "headers": {"X-Tenant": "seven"}},
    });
    let id = call(&daemon, stream).await;
    let mut bot = server.bot().await;
    assert_eq!(bot.path, "/calls?tenant=7");
    assert_eq!(bot.header("authorization"), Some("Bearer t0ken"));
    assert_eq!(bot.header("x-tenant"), Some("seven"));
    assert_eq!(bot.header("sec-websocket-protocol"), Some("bellwire.stream.v1"));
    let start = bot.client.next("start").await;
    assert_eq!((&start["call_id"], &start["resumed"]), (&json!(id), &json!(false)), "{start}");
    assert_eq!(start["parameters"], json!({"order": "42"}), "{start}");
    bot.client.hear(16_000).await;
    let echoed = bot.client.samples();
    bot.client.send_audio(&echoed, 320).await;
    bot.client.send(json!({"type": "mark", "name": "heard"})).await;
    assert_eq!(bot.client.next("mark").await["cleared"], false);
    let shown = daemon.call(&id).await;
    assert_eq!(shown["stream"]["url"], server.url("/calls"), "without the query: {shown:#}");
    assert_eq!(shown["stream"]["connected"], true, "{shown:#}");
    assert!(shown["sip_call_id"].is_string());
    assert_eq!((&start["sip"]["call_id"], &start["srtp"]), (&shown["sip_call_id"], &json!(false)));
    bot.client.close(1000).await;
    let ended = daemon.wait_for_end(&id).await;
    assert_eq!(
        (&ended["status"], &ended["end_reason"]),
        (&json!("COMPLETED"), &json!("completed"))
    );
    phone.wait_for("ended");
    let heard = read_wav(&heard);
    let from = heard.iter().position(|sample| sample.unsigned_abs() > 3000).unwrap();
    assert!(share_at(&heard[from..from + 7000], 8000, 500.0) > 0.98, "the caller hears itself");
    assert!(!daemon.log().contains("t0ken"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_drops_is_dialled_again_and_told_where_it_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let heard = dir.path().join("heard.wav");
    let phone = Phone::start(&["--record", heard.to_str().unwrap()]);
    let mut server = Server::start(None).await;
    let daemon = Daemon::start(&phone.address, PRIVATE).await;
    let id = call(&daemon, json!({"url": server.url("/"), "rate": 8000})).await;
    let mut bot = server.bot().await;
    bot.client.event("answered").await;
    bot.client.send_audio(&tone(8000, 700.0, 4.0), 3200).await;
    bot.client.send(json!({"type": "mark", "name": "all"})).await;
    bot.client.next("playback").await;
    server.answer_with(503);
    drop(bot);
    daemon
        .wait_until(&id, "a failed attempt", |call| {
            call["stream"]["last_error"].as_str().is_some_and(|why| why.contains("status 503"))
        })
        .await;
    server.answer_with(101);
    let mut bot = server.bot().await;
    let (_, query) = bot.path.split_once('?').expect("it says what goes on");
    let pair = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)).unwrap();
    let (token, since) = (pair("resume="), pair("since="));
    assert!(token.len() >= 20 && since.parse::<u64>().unwrap() >= 3, "{query}");
    assert_eq!(bot.header("bellwire-resume"), Some(token));
    assert_eq!(bot.header("bellwire-since"), Some(since));
    assert_eq!(bot.client.next("start").await["resumed"], true);
    bot.client.send(json!({"type": "mark", "name": "again"})).await;
    assert_eq!(bot.client.next("mark").await["cleared"], false);
    bot.client.send(json!({"type": "hangup", "after": "playback"})).await;
    assert_eq!(bot.client.next("stop").await["reason"], "completed");
    daemon.wait_for_end(&id).await;
    phone.wait_for("ended");
    let loud = read_wav(&heard).iter().filter(|sample| sample.unsigned_abs() > 2000).count();
    // A sine is above 2000 of 10000 for 87 % of the time.
    assert!(loud * 100 / 87 > 31_000, "the sound went on meanwhile: {loud}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_refuses_ends_the_call_when_the_wait_is_over() {
    let phone = Phone::start(&[]);
    let server = Server::start(None).await;
    server.answer_with(401);
    let daemon = Daemon::start(&phone.address, PRIVATE).await;
    let id = call(&daemon, json!({"url": server.url("/?key=hidden"), "waitMs": 1500})).await;
    let ended = daemon.wait_for_end(&id).await;
    assert_eq!(ended["end_reason"], "stream_lost", "{ended:#}");
    let why = ended["stream"]["last_error"].as_str().unwrap();
    assert!(why.ends_with("refused the stream with status 401: not today"), "{why}");
    assert!(!why.contains("hidden"), "{why}");
    assert!(server.asked() >= 3, "{} attempts", server.asked());
    let log = daemon.log();
    assert!(log.contains("stream disconnected") && log.contains("status 401"), "{log}");
    assert!(daemon.metric("bellwire_streams_unreached_total").await >= 3.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_reach_no_private_address() {
    let phone = Phone::start(&[]);
    let server = Server::start(None).await;
    let daemon = Daemon::start(&phone.address, "").await;
    for url in [server.url("/"), "ws://[::1]/".to_owned(), "ws://169.254.169.254/".to_owned()] {
        let (status, problem) = place(&daemon, json!({ "url": url })).await;
        assert_eq!(status, 400, "{problem}");
        assert_eq!(problem["errors"][0]["pointer"], "/stream/url", "{problem}");
        assert_eq!(problem["errors"][0]["code"], "not_allowed", "{problem}");
    }
    // A name says where it leads only when it is looked up.
    let id = call(&daemon, json!({"url": format!("ws://localhost:{}/", server.port)})).await;
    let ended = daemon.wait_for_end(&id).await;
    assert_eq!(ended["end_reason"], "stream_lost", "{ended:#}");
    let why = ended["stream"]["last_error"].as_str().unwrap();
    assert!(why.contains("not public"), "{why}");
    assert_eq!(server.asked(), 0, "nobody was asked");
    let mtls = json!({"url": "wss://bot.example/", "auth": {"mtls": "nobody"}});
    let (status, problem) = place(&daemon, mtls).await;
    assert_eq!((status, &problem["errors"][0]["pointer"]), (400, &json!("/stream/auth/mtls")));
}

/// An authority in a directory, and what it issued.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    dir: PathBuf,
}

impl Authority {
    fn new(dir: &Path) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        std::fs::write(dir.join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { issuer: Issuer::new(params, key), dir: dir.to_owned() }
    }

    /// Writes `name.pem` and `name.key`.
    fn issue(&self, name: &str) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let made = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.dir.join(format!("{name}.pem")), made.pem()).unwrap();
        std::fs::write(self.dir.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    /// A server that demands a certificate of this authority.
    fn acceptor(&self, name: &str) -> TlsAcceptor {
        bellwire::net::tls::install_default();
        let mut clients = RootCertStore::empty();
        clients.add(CertificateDer::from_pem_file(self.dir.join("ca.pem")).unwrap()).unwrap();
        let verifier = WebPkiClientVerifier::builder(Arc::new(clients)).build().unwrap();
        let own = CertificateDer::from_pem_file(self.dir.join(format!("{name}.pem"))).unwrap();
        let key = PrivateKeyDer::from_pem_file(self.dir.join(format!("{name}.key"))).unwrap();
        let config = rustls::ServerConfig::builder().with_client_cert_verifier(verifier);
        TlsAcceptor::from(Arc::new(config.with_single_cert(vec![own], key).unwrap()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_dials_by_tls_with_certificates_of_both() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path());
    authority.issue("localhost");
    authority.issue("gateway");
    std::fs::write(dir.path().join("token"), "t0ken").unwrap();
    let mut server = Server::start(Some(authority.acceptor("localhost"))).await;
    let (at, url) = (dir.path().display(), format!("wss://localhost:{}/in", server.port));
    let route = |to: &str, tls: &str| {
        format!(
            "[[route]]\nto = \"^{to}$\"\ninstance = \"inst_demo\"\naction = \"stream\"\n\
             url = \"{url}\"\nstream = {{ tls = \"{tls}\", bearer_file = \"{at}/token\", \
             options = \"rate=8000&out_rate=8000\", parameters = {{ line = \"{to}\" }} }}\n"
        )
    };
    let config = [
        route("good", "both"),
        route("bare", "trusting"),
        format!(
            "[[tls_profile]]\nname = \"both\"\ncertificate = \"{at}/gateway.pem\"\n\
             key = \"{at}/gateway.key\"\nca = \"{at}/ca.pem\"\nonly_ca = true\n\
             [[tls_profile]]\nname = \"trusting\"\nca = \"{at}/ca.pem\"\n"
        ),
    ]
    .concat();
    let daemon = Daemon::start("127.0.0.1:9", &config).await;
    let spoken = tone_wav(dir.path(), "spoken.wav", 600.0, 4.0);
    let uri = format!("sip:good@{}", daemon.sip);
    let phone = Phone::start(&["--call", &uri, "--play", spoken.to_str().unwrap()]);
    let mut bot = server.bot().await;
    assert_eq!(bot.header("authorization"), Some("Bearer t0ken"));
    let start = bot.client.next("start").await;
    assert_eq!(start["direction"], "inbound", "{start}");
    assert_eq!(start["parameters"], json!({"line": "good"}), "{start}");
    bot.client.hear(16_000).await;
    assert!(share_at(&bot.client.samples()[2400..8000], 8000, 600.0) > 0.98);
    bot.client.send(json!({"type": "hangup"})).await;
    bot.client.next("stop").await;
    phone.wait_for("ended");
    // Who shows no certificate does not get in.
    let uri = format!("sip:bare@{}", daemon.sip);
    let phone = Phone::start(&["--call", &uri]);
    phone.wait_for("answered");
    let (_, calls) = daemon.get("/v1/calls?direction=inbound").await;
    let id = calls["data"][0]["id"].as_str().unwrap();
    daemon
        .wait_until(id, "a handshake that failed", |call| {
            let why = call["stream"]["last_error"].as_str();
            why.is_some_and(|why| why.contains("ertificate"))
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_names_the_client_of_calls_that_do_not() {
    let phone = Phone::start(&["--ring", "500ms"]);
    let mut server = Server::start(None).await;
    let line = format!(
        "stream = {{ url = \"{}\", options = \"rate=8000&frame_ms=40\", connect = \"early\" }}\n",
        server.url("/line")
    );
    let daemon = Daemon::start(&phone.address, &line).await;
    let id = call(&daemon, json!({"rate": 24_000})).await;
    let mut bot = server.bot().await;
    assert_eq!(bot.path, "/line");
    let start = bot.client.next("start").await;
    assert_eq!((&start["in"]["rate"], &start["out"]["frame_ms"]), (&json!(24_000), &json!(40)));
    assert_ne!(start["call_status"], "IN_PROGRESS", "it is there early: {start}");
    bot.client.event("answered").await;
    assert_eq!(daemon.delete(&format!("/v1/calls/{id}")).await, 204);
    bot.client.next("stop").await;
    assert_eq!(bot.client.closed().await, 1000);
    // Null means that the client attaches.
    let id = call(&daemon, json!({"url": null})).await;
    let _client = Client::attach(&daemon, &id, "?rate=8000").await;
    assert_eq!(server.asked(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_names_the_client_of_a_call_within_reach() {
    let mut server = Server::start(None).await;
    let url = server.url("/hooked");
    let hook = HookServer::start(move |_| {
        (200, json!({"action": "stream", "stream": {"url": url, "parameters": {"by": "hook"}}}))
    })
    .await;
    let route = format!(
        "[[route]]\ninstance = \"inst_demo\"\naction = \"webhook\"\nurl = \"{}\"\n",
        hook.url
    );
    let guarded = Daemon::start("127.0.0.1:9", &route).await;
    let ended = Phone::start(&["--call", &format!("sip:a@{}", guarded.sip)]).wait_for("ended");
    assert_eq!(ended["code"], 480, "{ended}");
    assert_eq!(server.asked(), 0);
    let daemon = Daemon::start("127.0.0.1:9", &format!("{PRIVATE}{route}")).await;
    let phone = Phone::start(&["--call", &format!("sip:a@{}", daemon.sip)]);
    let mut bot = server.bot().await;
    assert_eq!(bot.path, "/hooked");
    assert_eq!(bot.client.next("start").await["parameters"], json!({"by": "hook"}));
    phone.wait_for("answered");
    bot.client.close(1000).await;
    phone.wait_for("ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_of_the_api_keeps_its_client_and_shows_no_secret() {
    let phone = Phone::start(&[]);
    let mut server = Server::start(None).await;
    let daemon = Daemon::start(&phone.address, PRIVATE).await;
    let stream = json!({"url": server.url("/own"), "rate": 8000, "auth": {"bearer": "t0ken"}});
    let body = json!({"name": "bots", "trunkId": "carrier", "defaults": {"stream": stream}});
    let (status, line) = daemon.post("/v1/instances", &body).await;
    assert_eq!(status, 201, "{line}");
    assert_eq!(line["defaults"]["stream"]["rate"], 8000, "{line}");
    assert!(!line.to_string().contains("t0ken"), "{line}");
    let body = json!({
        "instanceId": line["id"], "type": "DYNAMIC_STREAM", "target": {"phoneNumber": NUMBER},
    });
    let (status, call) = daemon.post("/v1/calls", &body).await;
    assert_eq!(status, 201, "{call}");
    let mut bot = server.bot().await;
    assert_eq!((bot.path.as_str(), bot.header("authorization")), ("/own", Some("Bearer t0ken")));
    assert_eq!(bot.client.next("start").await["in"]["rate"], 8000);
    bot.client.send(json!({"type": "hangup"})).await;
    bot.client.next("stop").await;
}
