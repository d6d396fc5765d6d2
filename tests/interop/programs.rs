//! Kamailio, certificates, and the network of one test.

use super::baresip::{Baresip, PhoneSpec};
use super::rig::{Daemon, SOON, tone_wav_at};
use serde_json::{Value, json};
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PROXY: &str = "127.0.0.2";
/// Baresip sends RTP from the system's choice of address, so this must be the same.
pub const PHONE: &str = "127.0.0.1";
/// The realm and domain of `kamailio.cfg`.
pub const DOMAIN: &str = "carrier.test";

/// How the far side of a test is set up.
pub struct Setup<'a> {
    /// Options of the proxy: `SHA256` (it challenges so), `TLS` (between it and us, with
    /// certificates of both), `MIN_SE` (it lets no session timer below 2,000 s pass).
    pub proxy: &'a [&'a str],
    /// Options of our trunk.
    pub trunk: &'a str,
    /// Where the proxy takes us to be unless we register; without it where we are.
    pub gateway: Option<&'a str>,
    /// The tone that our route `music` plays, in Hz, and its rate.
    pub music: (f64, u32),
    /// The phone; where it registers is filled in.
    pub phone: PhoneSpec<'a>,
}

impl Default for Setup<'_> {
    fn default() -> Self {
        let phone = PhoneSpec::default();
        Self { proxy: &[], trunk: "", gateway: None, music: (800.0, 8000), phone }
    }
}

/// What every phone can do.
pub trait Phone {
    /// Calls.
    fn call(&mut self, uri: &str);
    /// Waits until the next call stands.
    fn wait_until_talking(&mut self);
    /// Waits until it is over.
    fn wait_until_over(&mut self);
    /// What it has decoded in its last call.
    fn recording(&self) -> Recording;
}

/// What a phone has decoded.
pub struct Recording {
    /// Samples a second.
    pub rate: u32,
    /// The left channel.
    pub samples: Vec<i16>,
}

impl Recording {
    /// Reads a WAV file that may be in the making: lengths in its header do not count.
    pub fn open(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap_or_default();
        let channels = bytes.get(22..24).map_or(1, |pair| u16::from_le_bytes([pair[0], pair[1]]));
        let rate = bytes.get(24..28).map_or(8000, |octets| {
            u32::from_le_bytes([octets[0], octets[1], octets[2], octets[3]])
        });
        let frame = 2 * usize::from(channels.max(1));
        let frames = bytes.get(44..).unwrap_or_default().chunks_exact(frame);
        let samples = frames.map(|frame| i16::from_le_bytes([frame[0], frame[1]])).collect();
        Self { rate, samples }
    }
}

/// A gateway, a proxy and a phone.
pub struct Network {
    pub daemon: Daemon,
    pub phone: Baresip,
    pub kamailio: Kamailio,
}

/// Whether the programs are there; says so if not.
pub fn installed() -> bool {
    all_there(&["kamailio", "baresip"])
}

/// Whether these programs are there; names the first that is not.
pub fn all_there(programs: &[&str]) -> bool {
    let missing = programs.iter().find(|program| find(program).is_none());
    if let Some(program) = missing {
        // Past the harness's capture, for the summary of `make test`; nobody to tell is no failure.
        let _ = writeln!(std::io::stderr(), "SKIPPED: interop: {program} is not installed");
    }
    missing.is_none()
}

/// Whether Kamailio speaks TLS: a package of its own.
pub fn proxy_speaks_tls() -> bool {
    let places = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64"];
    let there = places.iter().any(|at| Path::new(at).join("kamailio/modules/tls.so").exists());
    if !there {
        let _ = writeln!(std::io::stderr(), "SKIPPED: interop: kamailio-tls-modules is missing");
    }
    there
}

pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/usr/bin"].map(PathBuf::from);
    let mut places = std::env::split_paths(&path).chain(system);
    places.find_map(|place| Some(place.join(program)).filter(|file| file.exists()))
}

/// Certificates of one authority, for us, the proxy and a phone.
pub struct Certificates {
    pub dir: TempDir,
}

impl Certificates {
    pub fn make() -> Self {
        use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
        let dir = TempDir::new().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // OpenSSL takes whoever is called as its issuer to have signed itself.
        authority.distinguished_name.push(DnType::CommonName, "authority of this test");
        let key = KeyPair::generate().unwrap();
        write("ca.crt", &authority.self_signed(&key).unwrap().pem());
        let issuer = Issuer::new(authority, key);
        for (name, address) in [("gateway", PHONE), ("proxy", PROXY), ("phone", PHONE)] {
            let key = KeyPair::generate().unwrap();
            let names = vec![address.to_owned(), DOMAIN.to_owned()];
            let mut params = CertificateParams::new(names).unwrap();
            params.distinguished_name.push(DnType::CommonName, name);
            let made = params.signed_by(&key, &issuer).unwrap();
            let (certificate, key) = (made.pem(), key.serialize_pem());
            write(&format!("{name}.crt"), &certificate);
            write(&format!("{name}.key"), &key);
            // Baresip wants both in one.
            write(&format!("{name}.pem"), &(key + &certificate));
        }
        Self { dir }
    }

    pub fn file(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// Options for a gateway that listens over TLS.
    pub fn of_gateway(&self) -> Vec<String> {
        vec![
            "sip.listen=udp:127.0.0.1:0,tcp:127.0.0.1:0,tls:127.0.0.1:0".to_owned(),
            format!("sip.tls_certificate={}", self.file("gateway.crt")),
            format!("sip.tls_key={}", self.file("gateway.key")),
            format!("sip.tls_ca={}", self.file("ca.crt")),
        ]
    }
}

impl Network {
    pub async fn start(setup: &Setup<'_>) -> Self {
        let (daemon, kamailio) = start_without_phone(setup).await;
        let spec = &setup.phone;
        let phone = Baresip::start(&PhoneSpec {
            address: format!("sip:phone@{DOMAIN}"),
            proxy: Some(kamailio.address.to_string()),
            config: spec.config.clone(),
            ..*spec
        });
        Self { daemon, phone, kamailio }
    }

    /// Calls the phone.
    pub async fn dial(&self, call_type: &str, section: &str, content: Value) -> String {
        dial(&self.daemon, call_type, section, content).await
    }

    /// The only call that came in, when it is over.
    pub async fn incoming(&self) -> Value {
        let (_, calls) = self.daemon.get("/v1/calls?direction=inbound").await;
        self.daemon.wait_for_end(calls["data"][0]["id"].as_str().unwrap()).await
    }
}

/// Starts the gateway and the proxy, each of which knows where the other is.
pub async fn start_without_phone(setup: &Setup<'_>) -> (Daemon, Kamailio) {
    let port = UdpSocket::bind((PROXY, 0)).unwrap().local_addr().unwrap().port();
    let tls_port = TcpListener::bind((PROXY, 0)).unwrap().local_addr().unwrap().port();
    let wires = Wires {
        udp: format!("{PROXY}:{port}"),
        tls: format!("{PROXY}:{tls_port}"),
        options: setup.proxy,
        certificates: setup.proxy.contains(&"TLS").then(|| Arc::new(Certificates::make())),
    };
    let music = TempDir::new().unwrap();
    let (hz, rate) = setup.music;
    let audio = tone_wav_at(music.path(), "music.wav", rate, hz, 1.0);
    // Who registers must find its registrar; else the proxy has to know where the gateway is.
    let first = setup.gateway.map(|gateway| Kamailio::start(&wires, gateway));
    let mut options = wires.certificates.as_ref().map_or(vec![], |made| made.of_gateway());
    if !options.is_empty() {
        options.push("sip.tls_require_client_certificate=true".to_owned());
    }
    let args: Vec<&str> = options.iter().flat_map(|option| ["--set", option]).collect();
    let trunk = trunk(&wires, setup.trunk, &audio);
    let daemon = Daemon::start_with_both("127.0.0.1:9", &trunk, &args).await;
    // The gateway has read its audio file.
    drop(music);
    let gateway = match daemon.tls() {
        Some(address) => format!("{address};transport=tls"),
        None => daemon.sip.to_string(),
    };
    let kamailio = first.unwrap_or_else(|| Kamailio::start(&wires, &gateway));
    (daemon, kamailio)
}

/// Calls the phone behind the proxy.
pub async fn dial(daemon: &Daemon, call_type: &str, section: &str, content: Value) -> String {
    let body = json!({ "instanceId": "inst_kamailio", "type": call_type,
        "target": { "phoneNumber": super::rig::NUMBER }, section: content });
    let (status, call) = daemon.post("/v1/calls", &body).await;
    assert_eq!(status, 201, "{call}");
    call["id"].as_str().unwrap().to_owned()
}

/// Where the proxy listens, and how.
struct Wires<'a> {
    udp: String,
    tls: String,
    options: &'a [&'a str],
    certificates: Option<Arc<Certificates>>,
}

fn trunk(wires: &Wires<'_>, more: &str, audio: &Path) -> String {
    let audio = audio.display();
    let proxy = match wires.certificates {
        Some(_) => format!("{};transport=tls", wires.tls),
        None => wires.udp.clone(),
    };
    format!(
        "[[trunk]]\nname = \"kamailio\"\nproxy = \"sip:{proxy}\"\nsources = [\"{PROXY}/32\"]\n\
         username = \"gateway\"\npassword = \"secret\"\nrealm = \"{DOMAIN}\"\n\
         from_domain = \"{DOMAIN}\"\nallow = [\"+1\"]\ncaller_id = \"+15550100\"\nping = \"off\"\n\
         {more}\n[[instance]]\nid = \"inst_kamailio\"\ntrunk = \"kamailio\"\n\
         [[route]]\ntrunk = \"kamailio\"\nto = '^(music|\\+15550100)$'\ninstance = \"inst_kamailio\"\n\
         action = \"play\"\naudio = \"{audio}\"\n\
         [[route]]\ntrunk = \"kamailio\"\nto = \"^stream$\"\ninstance = \"inst_kamailio\"\n\
         action = \"stream\"\n\
         [[route]]\ntrunk = \"kamailio\"\nto = \"^ring$\"\naction = \"ring\"\n"
    )
}

/// A running proxy; ended when dropped.
pub struct Kamailio {
    child: Child,
    dir: TempDir,
    /// Where it listens over UDP.
    pub address: SocketAddr,
    /// Kept until it ends.
    certificates: Option<Arc<Certificates>>,
}

impl Kamailio {
    fn start(wires: &Wires<'_>, gateway: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let config = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/interop/kamailio.cfg");
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let mut command = Command::new(find("kamailio").unwrap());
        command.args(["-DD", "-E", "-m", "64", "-M", "8"]);
        command.arg("-w").arg(dir.path()).arg("-Y").arg(dir.path()).arg("-f").arg(config);
        let mut put = |name: &str, value: &str| {
            command.arg(format!("--substdef=!{name}!{value}!g"));
        };
        put("PROXY", &wires.udp);
        put("SECURE", &wires.tls);
        put("GATEWAY", gateway);
        if let Some(certificates) = &wires.certificates {
            put("AUTHORITY", &certificates.file("ca.crt"));
            put("CERTIFICATE", &certificates.file("proxy.crt"));
            put("PRIVATE_KEY", &certificates.file("proxy.key"));
        }
        for option in wires.options {
            command.args(["-A", option]);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let mut kamailio = Self {
            child,
            dir,
            address: wires.udp.parse().unwrap(),
            certificates: wires.certificates.clone(),
        };
        kamailio.wait_until_up(kamailio.address);
        kamailio
    }

    /// Asks by OPTIONS until it answers.
    fn wait_until_up(&mut self, proxy: SocketAddr) {
        let socket = UdpSocket::bind((PHONE, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let own = socket.local_addr().unwrap();
        let request = format!(
            "OPTIONS sip:{proxy} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKup\r\n\
             From: <sip:a@{own}>;tag=1\r\nTo: <sip:{proxy}>\r\nCall-ID: up\r\nCSeq: 1 OPTIONS\r\n\
             Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        );
        let until = Instant::now() + SOON;
        loop {
            socket.send_to(request.as_bytes(), proxy).unwrap();
            if socket.recv(&mut [0; 4096]).is_ok() {
                return;
            }
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < until, "no kamailio:\n{}", self.log());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// What it has printed.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Kamailio {
    fn drop(&mut self) {
        end(&mut self.child);
        if std::thread::panicking() {
            eprintln!("--- kamailio ---\n{}", self.log());
        }
    }
}

/// Asks a program to end, by its process id, and sees to it that it does: it has children.
pub fn end(child: &mut Child) {
    let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    let until = Instant::now() + Duration::from_secs(5);
    while matches!(child.try_wait(), Ok(None)) && Instant::now() < until {
        std::thread::park_timeout(Duration::from_millis(10));
    }
    // Ended already: nothing to kill.
    let _ = child.kill();
    let _ = child.wait();
}
