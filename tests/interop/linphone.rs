//! Linphone's console: a phone with the stack of belle-sip, oRTP and libsrtp, told what to do over
//! its standard input.

use super::programs::{DOMAIN, Phone, Recording, end, find};
use super::rig::{SOON, free_udp_port, tone_wav_at};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A running phone; ended when dropped.
pub struct Linphone {
    child: Child,
    input: ChildStdin,
    dir: TempDir,
    /// How much of what it has printed was read.
    seen: usize,
    calls: u32,
}

impl Linphone {
    /// Registers with the proxy; plays a tone of 500 Hz. `codecs` are names and rates, the dearest
    /// first; `more` is appended to the section `[sip]`.
    pub fn start(proxy: SocketAddr, codecs: &[(&str, u32)], more: &str) -> Self {
        let dir = TempDir::new().unwrap();
        tone_wav_at(dir.path(), "tone.wav", 16_000, 500.0, 30.0);
        // Without a place for its database it does nothing at all.
        std::fs::create_dir_all(dir.path().join(".local/share/linphone")).unwrap();
        let config = dir.path().join("linphonerc");
        std::fs::write(&config, configuration(proxy, codecs, more)).unwrap();
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let mut child = Command::new(find("linphonec").unwrap())
            .args(["-a", "-d", "6", "-l"])
            .arg(dir.path().join("messages"))
            .arg("-c")
            .arg(&config)
            .env("HOME", dir.path())
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_DATA_HOME")
            .current_dir(dir.path())
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let mut phone = Self { child, input, dir, seen: 0, calls: 0 };
        phone.tell("soundcard use files");
        phone.tell(&format!("play {}", phone.file("tone.wav").display()));
        phone.record();
        phone.wait_until_registered();
        phone
    }

    fn wait_until_registered(&mut self) {
        let until = Instant::now() + SOON;
        while !self.log().contains("registered, identity=") {
            self.tell("status register");
            assert!(Instant::now() < until, "the phone does not register");
            std::thread::park_timeout(Duration::from_millis(200));
        }
    }

    /// The keys of SDES in all messages so far, its own and ours.
    pub fn keys(&self) -> BTreeSet<String> {
        let bytes = std::fs::read(self.dir.path().join("messages")).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let keys = text.split("inline:").skip(1);
        let word = |key: &str| key.split(['\r', '\n', '|', ' ']).next().unwrap().to_owned();
        keys.map(word).collect()
    }

    /// Holds us and takes us back, each by a re-INVITE.
    pub fn pause_and_resume(&mut self) {
        self.tell("pause");
        self.wait_for("is now paused");
        self.tell("resume");
        self.wait_until_talking();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Its next call is written to a file of its own.
    fn record(&mut self) {
        self.calls += 1;
        let file = self.file(&format!("heard-{}.wav", self.calls));
        self.tell(&format!("record {}", file.display()));
    }

    /// Types a line.
    pub fn tell(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    /// What it has printed.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.dir.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until it prints this, behind what was waited for before.
    pub fn wait_for(&mut self, text: &str) {
        let until = Instant::now() + SOON;
        loop {
            let log = self.log();
            if let Some(at) = log[self.seen..].find(text) {
                self.seen += at + text.len();
                return;
            }
            assert!(Instant::now() < until, "no {text:?} behind octet {}", self.seen);
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

impl Phone for Linphone {
    fn call(&mut self, uri: &str) {
        self.tell(&format!("call {uri}"));
    }

    fn wait_until_talking(&mut self) {
        self.wait_for("Media streams established");
    }

    fn wait_until_over(&mut self) {
        self.wait_for("ended");
    }

    fn recording(&self) -> Recording {
        Recording::open(&self.file(&format!("heard-{}.wav", self.calls)))
    }
}

impl Drop for Linphone {
    fn drop(&mut self) {
        end(&mut self.child);
        if std::thread::panicking() {
            eprintln!("--- linphone ---\n{}", self.log());
        }
    }
}

fn configuration(proxy: SocketAddr, codecs: &[(&str, u32)], more: &str) -> String {
    let sip = free_udp_port();
    let rtp = free_udp_port();
    let mut text = format!(
        "[sip]\nsip_port={sip}\nsip_tcp_port=0\nsip_tls_port=0\nuse_ipv6=0\n\
         default_proxy=0\n{more}\n\
         [rtp]\naudio_rtp_port={rtp}\n\
         [net]\nfirewall_policy=0\n\
         [proxy_0]\nreg_proxy=<sip:{proxy}>\nreg_route=<sip:{proxy};lr>\n\
         reg_identity=sip:phone@{DOMAIN}\nreg_expires=60\nreg_sendregister=1\npublish=0\n\
         [auth_info_0]\nusername=phone\npasswd=secret\nrealm={DOMAIN}\n"
    );
    // Those that are not named are off, and behind: `codec disable` counts in this order.
    let known = [
        ("opus", 48_000),
        ("speex", 16_000),
        ("speex", 8000),
        ("PCMU", 8000),
        ("PCMA", 8000),
        ("G722", 8000),
        ("G729", 8000),
    ];
    let others = known.iter().filter(|codec| !codecs.contains(codec));
    let sections = codecs.iter().chain(others).enumerate().map(|(number, (mime, rate))| {
        let on = u8::from(number < codecs.len());
        let channels = if *mime == "opus" { 2 } else { 1 };
        format!(
            "[audio_codec_{number}]\nmime={mime}\nrate={rate}\nchannels={channels}\nenabled={on}\n"
        )
    });
    text.extend(sections);
    text
}
