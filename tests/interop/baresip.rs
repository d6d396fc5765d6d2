//! Baresip: a phone with the stack of libre and librem, told what to do over its control port.

use super::programs::{PHONE, Phone, Recording, end, find};
use super::rig::{SOON, free_udp_port, tone_wav_at};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How a phone is set up.
pub struct PhoneSpec<'a> {
    /// Its address, without brackets.
    pub address: String,
    /// Where everything goes first, and where it registers; without it it does not register.
    pub proxy: Option<String>,
    /// It rings until it is told to answer.
    pub manual: bool,
    /// More parameters of its account, each with a semicolon before it.
    pub account: &'a str,
    /// Its codecs, as it writes them.
    pub codecs: &'a str,
    /// Rate of its sound card, in Hz.
    pub rate: u32,
    /// The tone that it plays, in Hz.
    pub hz: f64,
    /// More lines of its configuration.
    pub config: String,
}

impl Default for PhoneSpec<'_> {
    /// A telephone of narrow band that plays 500 Hz.
    fn default() -> Self {
        Self {
            address: format!("sip:phone@{PHONE}"),
            proxy: None,
            manual: false,
            account: "",
            codecs: "PCMU/8000/1,PCMA/8000/1",
            rate: 8000,
            hz: 500.0,
            config: String::new(),
        }
    }
}

/// A running phone; ended when dropped.
pub struct Baresip {
    child: Child,
    pub dir: TempDir,
    /// Where it listens over UDP; over TLS it is the port above.
    pub sip: SocketAddr,
    control: TcpStream,
    unread: Vec<u8>,
    events: Vec<Value>,
}

impl Baresip {
    pub fn start(spec: &PhoneSpec<'_>) -> Self {
        let dir = TempDir::new().unwrap();
        tone_wav_at(dir.path(), "tone.wav", spec.rate, spec.hz, 30.0);
        let control = SocketAddr::new(PHONE.parse().unwrap(), free_udp_port());
        let sip = SocketAddr::new(PHONE.parse().unwrap(), free_udp_port());
        std::fs::write(dir.path().join("accounts"), account(spec)).unwrap();
        std::fs::write(dir.path().join("contacts"), "").unwrap();
        let config = configuration(dir.path(), control, sip, spec);
        std::fs::write(dir.path().join("config"), config).unwrap();
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let mut child = Command::new(find("baresip").unwrap())
            .arg("-f")
            .arg(dir.path())
            .arg("-s")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let control = connect(control, &mut child).unwrap_or_else(|| {
            let log = std::fs::read_to_string(dir.path().join("log")).unwrap_or_default();
            panic!("no baresip:\n{log}")
        });
        let mut phone = Self { child, dir, sip, control, unread: Vec::new(), events: Vec::new() };
        if spec.proxy.is_some() {
            phone.wait_until_registered();
        }
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

    /// What it has printed.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.dir.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What it has decoded in its last call so far.
    pub fn heard(&self) -> Vec<i16> {
        self.recording().samples
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

impl Phone for Baresip {
    fn call(&mut self, uri: &str) {
        self.tell("dial", uri);
    }

    fn wait_until_talking(&mut self) {
        self.wait_for("CALL_ESTABLISHED");
    }

    fn wait_until_over(&mut self) {
        self.wait_for("CALL_CLOSED");
    }

    fn recording(&self) -> Recording {
        let files = std::fs::read_dir(self.dir.path()).unwrap();
        let mut files: Vec<PathBuf> = files
            .map(|file| file.unwrap().path())
            .filter(|file| file.to_string_lossy().ends_with("-dec.wav"))
            .collect();
        files.sort();
        Recording::open(files.last().expect("a recording"))
    }
}

impl Drop for Baresip {
    fn drop(&mut self) {
        end(&mut self.child);
        if std::thread::panicking() {
            eprintln!("--- baresip ---\n{}", self.log());
        }
    }
}

fn connect(control: SocketAddr, child: &mut Child) -> Option<TcpStream> {
    let until = Instant::now() + SOON;
    loop {
        if let Ok(stream) = TcpStream::connect(control) {
            stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
            return Some(stream);
        }
        if child.try_wait().unwrap().is_some() || Instant::now() >= until {
            return None;
        }
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

fn account(spec: &PhoneSpec<'_>) -> String {
    let PhoneSpec { address, account, codecs, .. } = spec;
    let way = match &spec.proxy {
        Some(proxy) => {
            format!(";auth_user=phone;auth_pass=secret;regint=60;outbound=\"sip:{proxy}\"")
        }
        None => ";regint=0".to_owned(),
    };
    let mode = if spec.manual { "manual" } else { "auto" };
    format!("<{address}>{way};answermode={mode};audio_codecs={codecs}{account}\n")
}

fn configuration(dir: &Path, control: SocketAddr, sip: SocketAddr, spec: &PhoneSpec<'_>) -> String {
    let dir = dir.display();
    let PhoneSpec { rate, config, .. } = spec;
    let modules = ["/usr/lib/baresip/modules", "/usr/lib64/baresip/modules"];
    let modules = modules.iter().find(|path| Path::new(path).exists()).unwrap_or(&modules[0]);
    format!(
        "poll_method epoll\nsip_listen {sip}\nnet_interface {PHONE}\n\
         call_local_timeout 120\ncall_max_calls 4\n\
         audio_source aufile,{dir}/tone.wav\naudio_player aufile,{dir}/player.wav\n\
         audio_alert aufile,{dir}/alert.wav\n\
         ausrc_srate {rate}\nauplay_srate {rate}\nausrc_channels 1\nauplay_channels 1\n\
         rtcp_mux no\nmodule_path {modules}\n\
         module g711.so\nmodule g722.so\nmodule opus.so\nmodule srtp.so\n\
         module aufile.so\nmodule sndfile.so\n\
         module_app account.so\nmodule_app ctrl_tcp.so\nmodule_app menu.so\n\
         ctrl_tcp_listen {control}\nsnd_path {dir}\n{config}\n"
    )
}
