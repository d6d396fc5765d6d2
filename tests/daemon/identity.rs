//! Who calls: signed callers with certificates by https, and calls that go out signed.

use super::engines::HookServer;
use super::rig::{Daemon, SOON};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use std::net::UdpSocket;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// Trunks by the address that calls come from: one tells what it finds, one refuses.
const TRUNKS: &str = r#"
    [[trunk]]
    name = "telling"
    proxy = "sip:127.0.0.1:9"
    sources = ["127.0.0.3/32"]
    ping = "off"
    verify = "note"
    [[trunk]]
    name = "strict"
    proxy = "sip:127.0.0.1:9"
    sources = ["127.0.0.4/32"]
    ping = "off"
    verify = "require"
    attest_min = "B"
    [[route]]
    instance = "inst_demo"
    action = "answer"
"#;

struct Authority(Issuer<'static, KeyPair>);

impl Authority {
    /// An authority of this name, its certificate in `file`.
    fn new(name: &str, file: &Path) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        std::fs::write(file, params.self_signed(&key).unwrap().pem()).unwrap();
        Self(Issuer::new(params, key))
    }

    fn issue(&self, names: &[&str]) -> (String, KeyPair) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let made = CertificateParams::new(names).unwrap().signed_by(&key, &self.0).unwrap();
        (made.pem(), key)
    }
}

/// A repository of certificates by https.
struct Repository {
    url: String,
    asked: Arc<AtomicUsize>,
}

impl Repository {
    async fn start(web: &Authority, pem: String) -> Self {
        let (certificate, key) = web.issue(&["localhost"]);
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        bellwire::net::tls::install_default();
        let config = rustls::ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(chain, key).unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let Ok(mut socket) = acceptor.accept(socket).await else { continue };
                let mut head = [0; 4096];
                let length = socket.read(&mut head).await.unwrap_or(0);
                counted.fetch_add(1, Ordering::Relaxed);
                let found = head[..length].starts_with(b"GET /a.pem ");
                let (status, body) = if found { (200, pem.as_str()) } else { (404, "no") };
                let answer = format!(
                    "HTTP/1.1 {status} X\r\nCache-Control: max-age=600\r\nConnection: close\r\n\
                     Content-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                let _ = socket.write_all(answer.as_bytes()).await;
                let _ = socket.shutdown().await;
            }
        });
        Self { url, asked }
    }
}

fn unix() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// The Identity of a call from one number to another.
fn identity(key: &KeyPair, url: &str, attest: &str, (orig, dest): (&str, &str)) -> String {
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = json!({"alg": "ES256", "ppt": "shaken", "typ": "passport", "x5u": url});
    let payload = json!({"attest": attest, "dest": {"tn": [dest]}, "iat": unix(),
        "orig": {"tn": orig}, "origid": "123e4567-e89b-12d3-a456-426655440000"});
    let input = format!("{}.{}", part(header), part(payload));
    let random = SystemRandom::new();
    let (algorithm, der) = (&ECDSA_P256_SHA256_FIXED_SIGNING, key.serialize_der());
    let key = EcdsaKeyPair::from_pkcs8(algorithm, &der, &random).unwrap();
    let signature = key.sign(&random, input.as_bytes()).unwrap();
    let signature = URL_SAFE_NO_PAD.encode(signature.as_ref());
    format!("{input}.{signature};info=<{url}>;alg=ES256;ppt=shaken")
}

/// Calls from this address, and gives the final answer's first line.
fn call(daemon: &Daemon, from: &str, id: &str, identity: Option<&str>) -> String {
    let socket = UdpSocket::bind((from, 0)).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    let ours = socket.local_addr().unwrap();
    let identity = identity.map(|value| format!("Identity: {value}\r\n")).unwrap_or_default();
    let sdp = format!(
        "v=0\r\no=- 1 1 IN IP4 {from}\r\ns=-\r\nc=IN IP4 {from}\r\nt=0 0\r\n\
         m=audio 40000 RTP/AVP 0\r\n"
    );
    let invite = format!(
        "INVITE sip:+15550100@{to} SIP/2.0\r\nVia: SIP/2.0/UDP {ours};branch=z9hG4bK{id}\r\n\
         From: <sip:+14155550123@c>;tag=1\r\nTo: <sip:+15550100@c>\r\nCall-ID: {id}\r\n\
         CSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContact: <sip:{ours}>\r\n{identity}\
         Content-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n{sdp}",
        to = daemon.sip,
        length = sdp.len()
    );
    socket.send_to(invite.as_bytes(), daemon.sip).unwrap();
    let mut buffer = [0; 8192];
    loop {
        let length = socket.recv(&mut buffer).unwrap();
        let answer = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let line = answer.lines().next().unwrap().to_owned();
        if !line.starts_with("SIP/2.0 1") {
            return line;
        }
    }
}

async fn record(daemon: &Daemon, id: &str) -> Value {
    daemon.wait_for_one("inbound", |call| call["sip_call_id"] == id).await
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_callers_are_verified_told_and_required() {
    let dir = tempfile::TempDir::new().unwrap();
    let file = |name: &str| dir.path().join(name);
    let web = Authority::new("web", &file("web.pem"));
    let (signers, strangers) =
        (Authority::new("sti", &file("sti.pem")), Authority::new("x", &file("x.pem")));
    let (pem, key) = signers.issue(&[]);
    let repository = Repository::start(&web, pem).await;
    let other = Repository::start(&web, strangers.issue(&[]).0).await;
    let config = format!(
        "[sip.identity]\ntrust_anchors = \"{}\"\nallow_private = true\ntimeout = \"5s\"\n{TRUNKS}",
        file("sti.pem").display()
    );
    let mut daemon = Daemon::start_trusting(&file("web.pem"), &config).await;
    let url = format!("{}/a.pem", repository.url);
    let right = ("14155550123", "15550100");
    let good = identity(&key, &url, "A", right);
    let (telling, strict) = ("127.0.0.3", "127.0.0.4");
    for (from, id) in [(telling, "told"), (strict, "let-in")] {
        let answer = call(&daemon, from, id, Some(&good));
        assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
        let told = record(&daemon, id).await;
        let verified = &told["identity"]["verified"];
        assert_eq!(verified["state"], "valid", "{told:#}");
        assert_eq!((&verified["attest"], &verified["orig"]), (&json!("A"), &json!("14155550123")));
        assert_eq!(told["identity"]["identity"], json!([good]));
    }
    assert_eq!(repository.asked.load(Ordering::Relaxed), 1, "it is remembered");
    let untrusted = identity(&key, &format!("{}/a.pem", other.url), "A", right);
    let gone = identity(&key, &format!("{}/b.pem", repository.url), "A", right);
    let cases = [
        (None, "none", "428 Use Identity Header"),
        (Some(identity(&key, &url, "A", ("14155550124", right.1))), "invalid", "438 Invalid"),
        (Some(good.replacen("eyJhdHRlc3QiOiJB", "eyJhdHRlc3QiOiJC", 1)), "invalid", "438 Invalid"),
        (Some(untrusted), "invalid", "437 Unsupported Credential"),
        (Some(gone), "unavailable", "436 Bad Identity Info"),
        (Some(identity(&key, &url, "C", right)), "valid", "403 Insufficient Attestation"),
    ];
    for (number, (identity, state, status)) in cases.into_iter().enumerate() {
        let id = format!("note-{number}");
        let answer = call(&daemon, telling, &id, identity.as_deref());
        assert!(answer.starts_with("SIP/2.0 200"), "{state}: {answer}");
        let told = record(&daemon, &id).await;
        assert_eq!(told["identity"]["verified"]["state"], state, "{told:#}");
        let id = format!("strict-{number}");
        let answer = call(&daemon, strict, &id, identity.as_deref());
        assert!(answer.starts_with(&format!("SIP/2.0 {status}")), "{state}: {answer}");
        let told = record(&daemon, &id).await;
        assert_eq!((&told["status"], &told["end_reason"]), (&json!("FAILED"), &json!("rejected")));
        assert_eq!(told["identity"]["verified"]["state"], state, "{told:#}");
    }
    let series = "bellwire_callers_verified_total{trunk=\"strict\",state=\"invalid\"}";
    assert!((daemon.metric(series).await - 3.0).abs() < 0.5);
    let before = record(&daemon, "let-in").await;
    // Killed: our callers are gone without an ACK, for which an orderly end would wait.
    let dir = std::mem::replace(&mut daemon.dir, tempfile::TempDir::new().unwrap());
    drop(daemon);
    let daemon = Daemon::start_in(dir, "127.0.0.1:9", &config).await;
    let after = record(&daemon, "let-in").await;
    assert!(after["ended_at"].is_string(), "{after:#}");
    assert_eq!(after["identity"], before["identity"], "it is kept");
}

/// The next INVITE at a trunk's gateway.
fn next_invite(gateway: &UdpSocket) -> String {
    gateway.set_read_timeout(Some(SOON)).unwrap();
    let mut buffer = [0; 8192];
    loop {
        let length = gateway.recv(&mut buffer).unwrap();
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if text.starts_with("INVITE") {
            return text;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn outgoing_calls_are_signed_by_the_trunks_service() {
    let key = KeyPair::generate().unwrap();
    let service = HookServer::start(move |asked| {
        let number = |value: &Value| value.as_str().unwrap().to_owned();
        let (orig, dest) = (number(&asked["orig"]["tn"]), number(&asked["dest"]["tn"][0]));
        let attest = number(&asked["attest"]);
        if dest.ends_with('9') {
            return (503, json!({}));
        }
        let url = "https://cert.example/a.pem";
        (200, json!({"identity": identity(&key, url, &attest, (&orig, &dest))}))
    })
    .await;
    let gateway = UdpSocket::bind("127.0.0.1:0").unwrap();
    let trunk = |name: &str, required: bool| {
        format!(
            "[[trunk]]\nname = \"{name}\"\nproxy = \"sip:{}\"\nallow = [\"+1\"]\nping = \"off\"\n\
             caller_id = \"+15550100\"\nsign_url = \"{}\"\nsign_attest = \"B\"\n\
             sign_timeout = \"5s\"\nsign_required = {required}\n\
             [[instance]]\nid = \"inst_{name}\"\ntrunk = \"{name}\"\n",
            gateway.local_addr().unwrap(),
            service.url
        )
    };
    let config = format!("{}{}", trunk("signing", false), trunk("bound", true));
    let daemon = Daemon::start("127.0.0.1:9", &config).await;
    let dial = async |trunk: &str, number: &str| {
        let body = json!({"instanceId": format!("inst_{trunk}"), "type": "FIXED_TTS",
            "target": {"phoneNumber": number}, "tts": {"text": "Hi.", "voiceId": "en-US-001"}});
        let (status, call) = daemon.post("/v1/calls", &body).await;
        assert_eq!(status, 201, "{call}");
        call["id"].as_str().unwrap().to_owned()
    };
    let id = dial("signing", "+14155550123").await;
    let invite = next_invite(&gateway);
    assert_eq!(invite.matches("\r\nIdentity: eyJ").count(), 1, "{invite}");
    assert!(invite.contains(";info=<https://cert.example/a.pem>;alg=ES256;ppt=shaken\r\n"));
    let asked = service.requests.lock().unwrap()[0].clone();
    assert_eq!((&asked["call"], &asked["attest"]), (&json!(id), &json!("B")));
    assert_eq!(
        (&asked["orig"]["tn"], &asked["dest"]["tn"]),
        (&json!("15550100"), &json!(["14155550123"]))
    );
    assert!(asked["iat"].as_u64().unwrap().abs_diff(unix()) < 60);
    daemon.delete(&format!("/v1/calls/{id}")).await;
    dial("signing", "+14155550129").await;
    let invite = loop {
        let invite = next_invite(&gateway);
        if invite.contains("+14155550129@") {
            break invite;
        }
    };
    assert!(!invite.contains("\r\nIdentity:"), "{invite}");
    let id = dial("bound", "+14155550139").await;
    let call = daemon.wait_for_end(&id).await;
    assert_eq!((&call["status"], &call["end_reason"]), (&json!("FAILED"), &json!("error")));
    assert!(call["end_detail"].as_str().unwrap().contains("status 503"), "{call:#}");
    let failed = "bellwire_calls_signed_total{trunk=\"bound\",result=\"failed\"}";
    assert!((daemon.metric(failed).await - 1.0).abs() < 0.1);
}
