//! Kamailio and baresip, and the network of one test.

use super::rig::{Daemon, SOON, free_udp_port, tone_wav};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PROXY: &str = "127.0.0.2";
/// Baresip sends RTP from the system's choice of address, so this must be the same.
const PHONE: &str = "127.0.0.1";
/// The realm and domain of `kamailio.cfg`.
const DOMAIN: &str = "carrier.test";

/// How the far side of a test is set up.
#[derive(Default)]
pub struct Setup<'a> {
    /// The proxy challenges with SHA-256.
    pub sha256: bool,
    /// The phone rings until it is told to answer.
    pub manual: bool,
    /// Options of our trunk.
    pub trunk: &'a str,
    /// Where the proxy takes us to be unless we register; without it where we are.
    pub gateway: Option<&'a str>,
}

/// A gateway, a proxy and a phone.
pub struct Network {
    pub daemon: Daemon,
    pub phone: Baresip,
    pub kamailio: Kamailio,
}

/// Whether the programs are there; says so if not.
pub fn installed() -> bool {
    let missing = ["kamailio", "baresip"].into_iter().find(|program| find(program).is_none());
    if let Some(program) = missing {
        // Past the harness's capture, for the summary of `make test`; nobody to tell is no failure.
        let _ = writeln!(std::io::stderr(), "SKIPPED: interop: {program} is not installed");
    }
    missing.is_none()
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/usr/bin"].map(PathBuf::from);
    let mut places = std::env::split_paths(&path).chain(system);
    places.find_map(|place| Some(place.join(program)).filter(|file| file.exists()))
}

impl Network {
    pub async fn start(setup: &Setup<'_>) -> Self {
        let port = UdpSocket::bind((PROXY, 0)).unwrap().local_addr().unwrap().port();
        let proxy = format!("{PROXY}:{port}");
        let music = TempDir::new().unwrap();
        let audio = tone_wav(music.path(), "music.wav", 800.0, 1.0);
        // Who registers must find its registrar; else the proxy has to know where the gateway is.
        let first = setup.gateway.map(|gateway| Kamailio::start(&proxy, gateway, setup.sha256));
        let daemon = Daemon::start("127.0.0.1:9", &trunk(&proxy, setup.trunk, &audio)).await;
        // The gateway has read its audio file.
        drop(music);
        let kamailio =
            first.unwrap_or_else(|| Kamailio::start(&proxy, &daemon.sip.to_string(), setup.sha256));
        let phone = Baresip::start(&proxy, setup.manual);
        Self { daemon, phone, kamailio }
    }

    /// Calls the phone.
    pub async fn dial(&self, call_type: &str, section: &str, content: Value) -> String {
        let body = json!({ "instanceId": "inst_kamailio", "type": call_type,
            "target": { "phoneNumber": super::rig::NUMBER }, section: content });
        let (status, call) = self.daemon.post("/v1/calls", &body).await;
        assert_eq!(status, 201, "{call}");
        call["id"].as_str().unwrap().to_owned()
    }
}

fn trunk(proxy: &str, more: &str, audio: &Path) -> String {
    let audio = audio.display();
    format!(
        "[[trunk]]\nname = \"kamailio\"\nproxy = \"sip:{proxy}\"\nsources = [\"{PROXY}/32\"]\n\
         username = \"gateway\"\npassword = \"secret\"\nrealm = \"{DOMAIN}\"\n\
         from_domain = \"{DOMAIN}\"\nallow = [\"+1\"]\ncaller_id = \"+15550100\"\nping = \"off\"\n\
         {more}\n[[instance]]\nid = \"inst_kamailio\"\ntrunk = \"kamailio\"\n\
         [[route]]\ntrunk = \"kamailio\"\nto = '^(music|\\+15550100)$'\ninstance = \"inst_kamailio\"\n\
         action = \"play\"\naudio = \"{audio}\"\n\
         [[route]]\ntrunk = \"kamailio\"\nto = \"^ring$\"\naction = \"ring\"\n"
    )
}

/// A running proxy; ended when dropped.
pub struct Kamailio {
    child: Child,
    dir: TempDir,
}

impl Kamailio {
    fn start(proxy: &str, gateway: &str, sha256: bool) -> Self {
        let dir = TempDir::new().unwrap();
        let config = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/interop/kamailio.cfg");
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let mut command = Command::new(find("kamailio").unwrap());
        command.args(["-DD", "-E", "-m", "32", "-M", "4"]);
        command.arg("-w").arg(dir.path()).arg("-Y").arg(dir.path()).arg("-f").arg(config);
        command.arg(format!("--substdef=!PROXY!{proxy}!g"));
        command.arg(format!("--substdef=!GATEWAY!{gateway}!g"));
        if sha256 {
            command.args(["-A", "SHA256"]);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let proxy_at: SocketAddr = proxy.parse().unwrap();
        let mut kamailio = Self { child, dir };
        kamailio.wait_until_up(proxy_at);
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

    fn log(&self) -> String {
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
fn end(child: &mut Child) {
    let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    let until = Instant::now() + Duration::from_secs(5);
    while matches!(child.try_wait(), Ok(None)) && Instant::now() < until {
        std::thread::park_timeout(Duration::from_millis(10));
    }
    // Ended already: nothing to kill.
    let _ = child.kill();
    let _ = child.wait();
}

/// A running phone; ended when dropped.
pub struct Baresip {
    child: Child,
    pub dir: TempDir,
    control: TcpStream,
    unread: Vec<u8>,
    events: Vec<Value>,
}

impl Baresip {
    fn start(proxy: &str, manual: bool) -> Self {
        let dir = TempDir::new().unwrap();
        tone_wav(dir.path(), "tone.wav", 500.0, 30.0);
        let control = TcpListener::bind((PHONE, 0)).unwrap().local_addr().unwrap();
        let account = format!(
            "<sip:phone@{DOMAIN}>;auth_user=phone;auth_pass=secret;regint=60;\
             outbound=\"sip:{proxy}\";answermode={};audio_codecs=PCMU/8000/1,PCMA/8000/1\n",
            if manual { "manual" } else { "auto" }
        );
        std::fs::write(dir.path().join("accounts"), account).unwrap();
        std::fs::write(dir.path().join("contacts"), "").unwrap();
        std::fs::write(dir.path().join("config"), configuration(dir.path(), control)).unwrap();
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let child = Command::new(find("baresip").unwrap())
            .arg("-f")
            .arg(dir.path())
            .arg("-s")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut child = child;
        let control = connect(control, &mut child);
        let mut phone = Self { child, dir, control, unread: Vec::new(), events: Vec::new() };
        phone.wait_until_registered();
        phone
    }

    /// Gives a command of baresip's menu.
    pub fn tell(&mut self, command: &str, parameters: &str) {
        let text = json!({ "command": command, "params": parameters, "token": command });
        let text = text.to_string();
        write!(self.control, "{}:{text},", text.len()).unwrap();
    }

    /// Waits for the next event of this type.
    pub fn wait_for(&mut self, kind: &str) -> Value {
        self.wait(|message| message["type"] == kind, kind)
    }

    /// Waits for the next event of one of these types.
    pub fn wait_for_one(&mut self, kinds: &[&str]) -> Value {
        let wanted = |message: &Value| kinds.iter().any(|kind| message["type"] == *kind);
        self.wait(wanted, &kinds.join(" or "))
    }

    fn wait_until_registered(&mut self) {
        let until = Instant::now() + SOON;
        loop {
            self.tell("reginfo", "");
            let answer = self.wait(|message| message["token"] == "reginfo", "reginfo");
            if answer["data"].as_str().unwrap().contains("OK") {
                return;
            }
            assert!(Instant::now() < until, "the phone does not register: {answer}");
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    fn wait(&mut self, wanted: impl Fn(&Value) -> bool, name: &str) -> Value {
        let until = Instant::now() + SOON;
        loop {
            if let Some(at) = self.events.iter().position(&wanted) {
                return self.events.remove(at);
            }
            let mut buffer = [0; 4096];
            match self.control.read(&mut buffer) {
                Ok(0) => panic!("baresip has ended"),
                Ok(length) => self.unread.extend_from_slice(&buffer[..length]),
                Err(_) => assert!(Instant::now() < until, "no {name}: {:#?}", self.events),
            }
            while let Some(message) = netstring(&mut self.unread) {
                self.events.push(serde_json::from_slice(&message).unwrap());
            }
        }
    }

    /// What it has decoded in its last call so far, 8 kHz.
    pub fn heard(&self) -> Vec<i16> {
        let files = std::fs::read_dir(self.dir.path()).unwrap();
        let mut files: Vec<PathBuf> = files
            .map(|file| file.unwrap().path())
            .filter(|file| file.to_string_lossy().ends_with("-dec.wav"))
            .collect();
        files.sort();
        let bytes = std::fs::read(files.last().expect("a recording")).unwrap();
        // The header's lengths are written at the end of the call only.
        let samples = bytes.get(44..).unwrap_or_default().chunks_exact(2);
        samples.map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
    }

    /// How many RTP packets have come in this call, by its own count.
    pub fn received(&mut self) -> u64 {
        let text = self.audio_debug();
        let count = text.split("rcvd=").nth(1).unwrap_or("0");
        let digits = count.find(|c: char| !c.is_ascii_digit()).unwrap_or(count.len());
        count[..digits].parse().unwrap_or(0)
    }

    fn audio_debug(&mut self) -> String {
        self.tell("audio_debug", "");
        let answer = self.wait(|message| message["token"] == "audio_debug", "audio_debug");
        answer["data"].as_str().unwrap().to_owned()
    }

    /// Waits until so many packets more have come.
    pub fn receive(&mut self, more: u64) {
        let wanted = self.received() + more;
        let until = Instant::now() + SOON;
        while self.received() < wanted {
            assert!(Instant::now() < until, "no sound comes: {}", self.audio_debug());
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    /// Waits until it has decoded so many samples more than `before`. Its recorder stops at the
    /// first hold.
    pub fn hear(&self, before: usize, more: usize) {
        let until = Instant::now() + SOON;
        while self.heard().len() < before + more {
            assert!(Instant::now() < until, "only {} samples", self.heard().len());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

impl Drop for Baresip {
    fn drop(&mut self) {
        end(&mut self.child);
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            eprintln!("--- baresip ---\n{log}");
        }
    }
}

fn connect(control: SocketAddr, child: &mut Child) -> TcpStream {
    let until = Instant::now() + SOON;
    loop {
        if let Ok(stream) = TcpStream::connect(control) {
            stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
            return stream;
        }
        assert!(child.try_wait().unwrap().is_none() && Instant::now() < until, "no baresip");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// Takes `5:hello,` out.
fn netstring(bytes: &mut Vec<u8>) -> Option<Vec<u8>> {
    let colon = bytes.iter().position(|byte| *byte == b':')?;
    let length: usize = std::str::from_utf8(&bytes[..colon]).ok()?.parse().ok()?;
    let message = bytes.get(colon + 1..colon + 1 + length)?.to_vec();
    bytes.get(colon + 1 + length)?;
    bytes.drain(..colon + length + 2);
    Some(message)
}

fn configuration(dir: &Path, control: SocketAddr) -> String {
    let dir = dir.display();
    let sip = free_udp_port();
    let modules = ["/usr/lib/baresip/modules", "/usr/lib64/baresip/modules"];
    let modules = modules.iter().find(|path| Path::new(path).exists()).unwrap_or(&modules[0]);
    format!(
        "poll_method epoll\nsip_listen {PHONE}:{sip}\nnet_interface {PHONE}\n\
         call_local_timeout 120\ncall_max_calls 4\n\
         audio_source aufile,{dir}/tone.wav\naudio_player aufile,{dir}/player.wav\n\
         audio_alert aufile,{dir}/alert.wav\n\
         ausrc_srate 8000\nauplay_srate 8000\nausrc_channels 1\nauplay_channels 1\n\
         rtcp_mux no\nmodule_path {modules}\n\
         module g711.so\nmodule aufile.so\nmodule sndfile.so\n\
         module_app account.so\nmodule_app ctrl_tcp.so\nmodule_app menu.so\n\
         ctrl_tcp_listen {control}\nsnd_path {dir}\n"
    )
}
