use super::super::testing::Authority;
use super::*;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// What both sides of a handshake over loopback got.
type Met = (io::Result<TlsStream<TcpStream>>, io::Result<TlsStream<TcpStream>>);

async fn meet(server: &Tls, client: &Tls, name: Option<&str>) -> Met {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepted = async {
        let (stream, _) = listener.accept().await.unwrap();
        server.accept(stream).await
    };
    let connected = async {
        let stream = TcpStream::connect(address).await.unwrap();
        let mut stream = client.connect(stream, name, address).await?;
        // In TLS 1.3 a refused client certificate is heard of with the first read.
        stream.write_all(b"x").await?;
        stream.flush().await?;
        let mut answer = [0; 1];
        let read = tokio::time::timeout(Duration::from_millis(300), stream.read(&mut answer));
        match read.await {
            Ok(Ok(_)) | Err(_) => Ok(stream),
            Ok(Err(error)) => Err(error),
        }
    };
    tokio::join!(accepted, connected)
}

fn serial_of(stream: &TlsStream<TcpStream>) -> Vec<u8> {
    let (_, connection) = stream.get_ref();
    connection.peer_certificates().unwrap()[0].to_vec()
}

#[tokio::test]
async fn names_dates_and_issuers_are_checked() {
    let authority = Authority::new();
    let other = Authority::new();
    let server = Tls::load(&authority.issue("a", &["gw.test", "127.0.0.1"], 2100)).unwrap();
    let ended = Tls::load(&authority.issue("b", &["gw.test"], 2002)).unwrap();
    let foreign = Tls::load(&other.issue("c", &["gw.test"], 2100)).unwrap();
    let client = Tls::load(&authority.issue("d", &["us.test"], 2100)).unwrap();
    for (server, name, good) in [
        (&server, Some("gw.test"), true),
        (&server, Some("GW.test."), true),
        (&server, None, true),
        (&server, Some("127.0.0.1"), true),
        (&server, Some("other.test"), false),
        (&server, Some("127.0.0.2"), false),
        (&server, Some("not a name"), false),
        (&ended, Some("gw.test"), false),
        (&foreign, Some("gw.test"), false),
    ] {
        let (_, met) = meet(server, &client, name).await;
        assert_eq!(met.is_ok(), good, "{name:?}: {met:?}");
    }
}

#[tokio::test]
async fn client_certificates_are_demanded_if_asked_for() {
    let authority = Authority::new();
    let other = Authority::new();
    let spec = authority.issue("a", &["gw.test"], 2100);
    let server = Tls::load(&TlsSpec { require_client_certificate: true, ..spec }).unwrap();
    let known = Tls::load(&authority.issue("b", &["us.test"], 2100)).unwrap();
    let foreign = TlsSpec { ca: Some(authority.file.clone()), ..other.issue("c", &["us"], 2100) };
    let foreign = Tls::load(&foreign).unwrap();
    let ended = Tls::load(&authority.issue("d", &["us.test"], 2002)).unwrap();
    for (client, good) in [(&known, true), (&foreign, false), (&ended, false)] {
        let (accepted, _) = meet(&server, client, Some("gw.test")).await;
        assert_eq!(accepted.is_ok(), good, "{accepted:?}");
    }
}

#[tokio::test]
async fn a_reload_serves_handshakes_from_then_on() {
    let authority = Authority::new();
    let spec = authority.issue("a", &["gw.test"], 2100);
    let server = Tls::load(&spec).unwrap();
    let client = Tls::load(&authority.issue("b", &["us.test"], 2100)).unwrap();
    let (accepted, first) = meet(&server, &client, Some("gw.test")).await;
    let (mut accepted, mut first) = (accepted.unwrap(), first.unwrap());
    authority.issue("a", &["gw.test"], 2090);
    let facts = server.reload(&spec).unwrap();
    assert_eq!(facts, server.facts());
    let (_, second) = meet(&server, &client, Some("gw.test")).await;
    assert_ne!(serial_of(&first), serial_of(&second.unwrap()));
    let mut heard = [0; 1];
    accepted.read_exact(&mut heard).await.unwrap();
    accepted.write_all(b"y").await.unwrap();
    accepted.flush().await.unwrap();
    first.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"y", "the connection from before goes on");
    std::fs::write(&spec.key, "broken").unwrap();
    assert!(server.reload(&spec).is_err());
    assert_eq!(server.facts(), facts, "a bad file changes nothing");
}

#[test]
fn errors_name_the_file_and_not_its_content() {
    let authority = Authority::new();
    let good = authority.issue("a", &["gw.test"], 2100);
    let other = authority.issue("b", &["gw.test"], 2100);
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let file = directory.path().join(name);
        std::fs::write(&file, text).unwrap();
        file
    };
    let secret = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0!\n-----END PRIVATE KEY-----\n";
    let cases = [
        (TlsSpec { certificate: "/no/such.pem".into(), ..good.clone() }, "/no/such.pem"),
        (TlsSpec { key: "/no/such.key".into(), ..good.clone() }, "/no/such.key"),
        (TlsSpec { ca: Some("/no/ca.pem".into()), ..good.clone() }, "/no/ca.pem"),
        (TlsSpec { certificate: good.key.clone(), ..good.clone() }, "no certificate"),
        (TlsSpec { key: good.certificate.clone(), ..good.clone() }, "no private key"),
        (TlsSpec { key: other.key, ..good.clone() }, "does not work with the key"),
        (TlsSpec { key: write("k", secret), ..good.clone() }, "base64"),
        (
            TlsSpec { key: write("l", "-----BEGIN PRIVATE KEY----- c2VjcmV0"), ..good.clone() },
            "PEM",
        ),
        (TlsSpec { ca: Some(write("m", "secret")), ..good.clone() }, "no certificate"),
        (
            TlsSpec { ca: None, require_client_certificate: true, ..good.clone() },
            "client certificates are required",
        ),
    ];
    for (spec, expected) in cases {
        let error = Tls::load(&spec).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("c2Vj") && !error.contains("secret"), "{error}");
    }
    assert!(!format!("{:?}", Tls::load(&good).unwrap()).contains("PRIVATE"));
}

#[test]
fn an_ended_certificate_is_told_and_taken() {
    let authority = Authority::new();
    let ended = Tls::load(&authority.issue("a", &["gw.test"], 2002)).unwrap();
    let fresh = Tls::load(&authority.issue("b", &["gw.test"], 2100)).unwrap();
    assert!(ended.facts().expired && !fresh.facts().expired);
    assert!(fresh.facts().not_after.unwrap() > SystemTime::now());
}
