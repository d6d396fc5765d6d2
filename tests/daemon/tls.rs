//! SIP over TLS: its socket, and its certificate read again.

use super::rig::Daemon;
use serde_json::Value;
use std::path::Path;

/// Writes a fresh certificate and its key.
fn certify(dir: &Path) {
    let made = rcgen::generate_simple_self_signed(vec!["gw.test".to_owned()]).unwrap();
    std::fs::write(dir.join("tls.crt"), made.cert.pem()).unwrap();
    std::fs::write(dir.join("tls.key"), made.signing_key.serialize_pem()).unwrap();
}

async fn reload(daemon: &Daemon) -> (u16, Value) {
    let answer = reqwest::Client::new().post(format!("{}/v1/admin/reload", daemon.admin));
    let answer = answer.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_taken_and_a_broken_one_is_not() {
    bellwire::net::tls::install_default();
    let dir = tempfile::TempDir::new().unwrap();
    certify(dir.path());
    let (certificate, key) = (dir.path().join("tls.crt"), dir.path().join("tls.key"));
    let set = [
        "sip.listen=udp:127.0.0.1:0,tcp:127.0.0.1:0,tls:127.0.0.1:0".to_owned(),
        format!("sip.tls_certificate={}", certificate.display()),
        format!("sip.tls_key={}", key.display()),
    ];
    let args: Vec<&str> = set.iter().flat_map(|set| ["--set", set]).collect();
    let daemon = Daemon::start_with("127.0.0.1:9", &args).await;
    certify(dir.path());
    let (status, applied) = reload(&daemon).await;
    assert_eq!(status, 200, "{applied}");
    assert_eq!(applied["applied"][0], "sip.tls_certificate", "{applied}");
    assert_eq!(applied["certificate"]["expired"], false, "{applied}");
    std::fs::write(&certificate, "no certificate").unwrap();
    let (status, problem) = reload(&daemon).await;
    assert_eq!((status, &problem["code"]), (400, &Value::from("invalid_request")));
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("tls.crt") && !detail.contains("no certificate\""), "{detail}");
    assert_eq!(daemon.get("/v1/calls").await.0, 200, "the gateway goes on");
}
