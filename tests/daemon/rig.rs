//! Starts and stops the programs under test, and asks them questions.

use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take that should happen soon. Machines are shared: it is generous.
pub const SOON: Duration = Duration::from_secs(30);

/// Ports of these tests lie below those that the kernel gives to whoever asks for any.
const PORTS: std::ops::Range<u32> = 10_000..32_000;

/// Ports given out so far.
static PORTS_GIVEN: AtomicU32 = AtomicU32::new(0);

/// A number that every trunk of these tests may dial.
pub const NUMBER: &str = "+14155550123";

/// An even port that nobody uses, nor the three above it; nobody else is given them for long.
pub fn free_udp_port() -> u16 {
    let free = |first: &u16| {
        (0..4).all(|more| {
            let address = ("0.0.0.0", first + more);
            UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok()
        })
    };
    std::iter::repeat_with(|| own_ports(4)).take(1000).find(free).expect("four free ports")
}

/// The first of so many ports that no other program of this run is given before all were.
fn own_ports(count: u16) -> u16 {
    // Another run on this machine begins elsewhere.
    let begin = std::process::id().wrapping_mul(1000);
    let given = PORTS_GIVEN.fetch_add(u32::from(count), Ordering::Relaxed);
    let room = PORTS.end - PORTS.start - 1000;
    let first = PORTS.start + begin.wrapping_add(given) % room;
    u16::try_from(first & !3).unwrap()
}

/// A client of HTTP.
pub fn http_client() -> reqwest::Client {
    bellwire::net::tls::install_default();
    reqwest::Client::new()
}

fn rtp_ports(count: u16) -> String {
    let first = own_ports(count);
    format!("{first}-{}", first + count - 1)
}

/// A running daemon; killed when dropped.
pub struct Daemon {
    child: Child,
    lines: mpsc::Receiver<String>,
    pub dir: TempDir,
    pub api: String,
    pub admin: String,
    pub sip: SocketAddr,
    tcp: SocketAddr,
    #[allow(dead_code, reason = "for tests/interop, which shares this file")]
    tls: Option<SocketAddr>,
    rtp: String,
    http: reqwest::Client,
}

impl Daemon {
    /// Starts a daemon whose trunk `carrier` is at `proxy`; `more` is appended to its file.
    pub async fn start(proxy: &str, more: &str) -> Self {
        let dir = TempDir::new().unwrap();
        Self::start_in(dir, proxy, more).await
    }

    #[allow(clippy::unused_async, reason = "reads like its neighbours")]
    /// Starts a daemon with one option that differs, as `--set` takes it.
    pub async fn start_set(proxy: &str, option: &str) -> Self {
        Self::spawn(TempDir::new().unwrap(), proxy, "", &["--set", option], &[])
    }

    #[allow(clippy::unused_async, reason = "reads like its neighbours")]
    /// Starts a daemon with more arguments.
    pub async fn start_with(proxy: &str, args: &[&str]) -> Self {
        Self::spawn(TempDir::new().unwrap(), proxy, "", args, &[])
    }

    #[allow(clippy::unused_async, reason = "reads like its neighbours")]
    pub async fn start_in(dir: TempDir, proxy: &str, more: &str) -> Self {
        Self::spawn(dir, proxy, more, &[], &[])
    }

    #[allow(clippy::unused_async, reason = "reads like its neighbours")]
    /// Starts a daemon that trusts the authorities of this file when it connects by TLS.
    pub async fn start_trusting(authorities: &Path, more: &str) -> Self {
        let env = [("SSL_CERT_FILE", authorities)];
        Self::spawn(TempDir::new().unwrap(), "127.0.0.1:9", more, &[], &env)
    }

    #[allow(dead_code, reason = "for tests/interop, which shares this file")]
    #[allow(clippy::unused_async, reason = "reads like its neighbours")]
    /// Starts a daemon with more in its file and more arguments.
    pub async fn start_with_both(proxy: &str, more: &str, args: &[&str]) -> Self {
        Self::spawn(TempDir::new().unwrap(), proxy, more, args, &[])
    }

    fn spawn(dir: TempDir, proxy: &str, more: &str, args: &[&str], env: &[(&str, &Path)]) -> Self {
        let rtp = rtp_ports(400);
        let config = format!(
            r#"
            [node]
            data_dir = "{data}"
            [api]
            listen = "127.0.0.1:0"
            admin_listen = "127.0.0.1:0"
            [sip]
            listen = ["udp:127.0.0.1:0", "tcp:127.0.0.1:0"]
            [rtp]
            ports = "{ports}"
            quarantine = "0s"
            [[trunk]]
            name = "carrier"
            proxy = "sip:{proxy}"
            sources = ["127.0.0.1/32"]
            allow = ["+1", "+44"]
            deny = ["+1900"]
            caller_id = "+15550100"
            max_cps = 100
            ping = "off"
            [[instance]]
            id = "inst_demo"
            trunk = "carrier"
            {more}
            "#,
            data = dir.path().join("data").display(),
            ports = rtp,
        );
        let file = dir.path().join("bellwire.toml");
        std::fs::write(&file, config).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_bellwire"))
            .args(["serve", "--config"])
            .arg(&file)
            .args(args)
            .envs(env.iter().copied())
            .env("BELLWIRE_LOG", std::env::var("TEST_LOG").unwrap_or("warn,bellwire=debug".into()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = lines_of(child.stderr.take().unwrap());
        let ready = wait_for_line(&lines, &mut Vec::new(), "gateway ready");
        let text = |key: &str| ready[key].as_str().unwrap_or_else(|| panic!("{ready}")).to_owned();
        let sip = text("sip");
        let of = |transport| sip.split(' ').find_map(|socket| socket.strip_prefix(transport));
        Self {
            api: format!("http://{}", text("api")),
            admin: format!("http://{}", text("admin")),
            sip: of("udp:").unwrap().parse().unwrap(),
            tcp: of("tcp:").unwrap().parse().unwrap(),
            tls: of("tls:").map(|address| address.parse().unwrap()),
            child,
            rtp,
            lines,
            dir,
            http: http_client(),
        }
    }

    /// Asks with this key of the API from now on.
    #[allow(dead_code, reason = "for tests/compat, which shares this file")]
    pub fn sign_in(&mut self, secret: &str) {
        let key = format!("Bearer {secret}").parse().unwrap();
        let headers = [(reqwest::header::AUTHORIZATION, key)].into_iter().collect();
        self.http = reqwest::Client::builder().default_headers(headers).build().unwrap();
    }

    /// Where SIP is listened for over TCP.
    pub fn tcp(&self) -> SocketAddr {
        self.tcp
    }

    /// Where SIP is listened for over TLS, if it is.
    #[allow(dead_code, reason = "for tests/interop, which shares this file")]
    pub fn tls(&self) -> Option<SocketAddr> {
        self.tls
    }

    /// All ports that its RTP and RTCP may use.
    pub fn rtp_ports(&self) -> RangeInclusive<u16> {
        let (first, last) = self.rtp.split_once('-').unwrap();
        first.parse().unwrap()..=last.parse().unwrap()
    }

    /// A request to the API that a test writes itself.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method.parse().unwrap(), format!("{}{path}", self.api))
    }

    /// A value of the metrics page; the series is written as on the page.
    pub async fn metric(&self, series: &str) -> f64 {
        let page = self.http.get(format!("{}/metrics", self.admin)).send().await.unwrap();
        let page = page.text().await.unwrap();
        let line = page.lines().find_map(|line| line.strip_prefix(series));
        line.map_or(0.0, |value| value.trim().parse().unwrap())
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        let answer = self.http.get(format!("{}{path}", self.api)).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or(Value::Null))
    }

    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let request = self.http.post(format!("{}{path}", self.api)).json(body);
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or(Value::Null))
    }

    pub async fn delete(&self, path: &str) -> u16 {
        let answer = self.http.delete(format!("{}{path}", self.api)).send().await.unwrap();
        answer.status().as_u16()
    }

    /// Makes a call and returns its id.
    pub async fn create(&self, call_type: &str, section: &str, content: Value) -> String {
        let body = json!({
            "instanceId": "inst_demo",
            "type": call_type,
            "target": { "phoneNumber": NUMBER },
            section: content,
        });
        let (status, call) = self.post("/v1/calls", &body).await;
        assert_eq!(status, 201, "{call}");
        assert_eq!(call["status"], "QUEUED", "{call}");
        call["id"].as_str().unwrap().to_owned()
    }

    pub async fn say(&self, text: &str) -> String {
        self.create("FIXED_TTS", "tts", json!({ "text": text, "voiceId": "en-US-001" })).await
    }

    pub async fn call(&self, id: &str) -> Value {
        let (status, call) = self.get(&format!("/v1/calls/{id}")).await;
        assert_eq!(status, 200, "{call}");
        call
    }

    /// Waits until the call has this status, and gives it.
    pub async fn wait_for(&self, id: &str, status: &str) -> Value {
        self.wait_until(id, status, |call| call["status"] == status).await
    }

    /// Waits until the call is as it should be, and gives it; `what` names that in a failure.
    pub async fn wait_until(&self, id: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + SOON;
        loop {
            let call = self.call(id).await;
            if is(&call) {
                return call;
            }
            let over = call["status"] == "COMPLETED" || call["status"] == "FAILED";
            assert!(!over && Instant::now() < until, "waiting for {what}: {call:#}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The calls of a direction, newest first.
    #[allow(dead_code, reason = "for tests/interop, which shares this file")]
    pub async fn calls(&self, direction: &str) -> Vec<Value> {
        let (_, calls) = self.get(&format!("/v1/calls?direction={direction}")).await;
        calls["data"].as_array().unwrap().clone()
    }

    /// Waits for a call of a direction that is as it should be.
    #[allow(dead_code, reason = "for tests/interop, which shares this file")]
    pub async fn wait_for_one(&self, direction: &str, is: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + SOON;
        loop {
            let calls = self.calls(direction).await;
            if let Some(call) = calls.iter().find(|call| is(call)) {
                return call.clone();
            }
            assert!(Instant::now() < until, "{calls:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the call is over, and gives it.
    pub async fn wait_for_end(&self, id: &str) -> Value {
        let until = Instant::now() + SOON * 4;
        loop {
            let call = self.call(id).await;
            if call["status"] == "COMPLETED" || call["status"] == "FAILED" {
                return call;
            }
            assert!(Instant::now() < until, "the call does not end: {call:#}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn status(&self) -> Value {
        let url = format!("{}/v1/admin/status", self.admin);
        self.http.get(url).send().await.unwrap().json().await.unwrap()
    }

    /// Waits until nothing of any call is left: legs, ports, dialogs, transactions, descriptors.
    pub async fn wait_until_clean(&self, descriptors: u64) -> Value {
        // Transactions absorb retransmissions for 64*T1 after their end.
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let status = self.status().await;
            let zero = |key: &str| status[key] == 0;
            let clean = zero("legs")
                && zero("rtp_ports_used")
                && zero("sip_dialogs")
                && zero("sip_transactions")
                && status["open_fds"].as_u64().is_some_and(|fds| fds <= descriptors);
            if clean {
                return status;
            }
            assert!(Instant::now() < until, "something is left of ended calls: {status:#}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub async fn descriptors(&self) -> u64 {
        self.status().await["open_fds"].as_u64().unwrap()
    }

    /// Sends SIGTERM and waits for an orderly end.
    pub fn stop(&mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.wait_for_exit();
    }

    /// Waits for an orderly end.
    pub fn wait_for_exit(&mut self) {
        let until = Instant::now() + SOON;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "the daemon ended with {status}");
                return;
            }
            assert!(Instant::now() < until, "the daemon does not stop");
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// Everything that the daemon has logged since the last look.
    pub fn log(&self) -> String {
        self.lines.try_iter().map(|line| line + "\n").collect()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Ended already after `stop`: nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the daemon's log ---\n{}", self.log());
        }
    }
}

/// A running `bellwire phone`; killed when dropped.
pub struct Phone {
    child: Child,
    lines: mpsc::Receiver<String>,
    /// What came while something else was waited for.
    passed: Mutex<Vec<String>>,
    pub address: String,
}

impl Phone {
    pub fn start(args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_bellwire"))
            .args(["phone", "--listen", "udp:127.0.0.1:0", "--json"])
            .args(["--rtp-ports", &rtp_ports(100)])
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let lines = lines_of(child.stdout.take().unwrap());
        let passed = Mutex::default();
        let listening = wait_for_line(&lines, &mut passed.lock().unwrap(), "listening");
        let address = listening["address"].as_str().unwrap().to_owned();
        Self { child, lines, passed, address }
    }

    /// Waits for the next event of this name that was not waited for before.
    pub fn wait_for(&self, event: &str) -> Value {
        let mut passed = self.passed.lock().unwrap();
        wait_for_line(&self.lines, &mut passed, &format!("\"event\":\"{event}\""))
    }

    /// Waits until the call of this number at the phone has ended.
    pub fn wait_for_end_of(&self, number: u64) -> Value {
        loop {
            let ended = self.wait_for("ended");
            if ended["call"] == number {
                return ended;
            }
        }
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        // Ended already after its last call: nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines_of(stream: impl std::io::Read + Send + 'static) -> mpsc::Receiver<String> {
    let (lines, received) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { return };
            if lines.send(line).is_err() {
                return;
            }
        }
    });
    received
}

/// The next line with this text in it, as JSON; those before it are kept.
fn wait_for_line(lines: &mpsc::Receiver<String>, passed: &mut Vec<String>, text: &str) -> Value {
    let until = Instant::now() + SOON;
    let line = match passed.iter().position(|line| line.contains(text)) {
        Some(at) => passed.remove(at),
        None => loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(line) = lines.recv_timeout(left) else {
                panic!("no line with {text:?} in:\n{}", passed.join("\n"))
            };
            if line.contains(text) {
                break line;
            }
            passed.push(line);
        },
    };
    serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"))
}

/// Samples of a WAV file that the phone wrote.
pub fn read_wav(path: &Path) -> Vec<i16> {
    bellwire::audio::wav::Recording::open(path).unwrap().samples
}

/// Makes a WAV file of a tone, 8 kHz mono.
pub fn tone_wav(dir: &Path, name: &str, hz: f64, seconds: f64) -> PathBuf {
    tone_wav_at(dir, name, 8000, hz, seconds)
}

/// The same at another rate.
pub fn tone_wav_at(dir: &Path, name: &str, rate: u32, hz: f64, seconds: f64) -> PathBuf {
    use bellwire::audio::rate::SampleRate;
    use bellwire::audio::wav::WavWriter;
    let path = dir.join(name);
    let mut writer = WavWriter::create(&path, SampleRate::new(rate).unwrap(), 1).unwrap();
    writer.write(&tone(rate, hz, seconds)).unwrap();
    writer.finish().unwrap();
    path
}

/// Makes a WAV file of words, spoken by the built-in British voice.
pub async fn spoken_wav(dir: &Path, name: &str, text: &str) -> PathBuf {
    use bellwire::speech::tts::{SpeakRequest, Tts, TtsSpec};
    let tts = Tts::start(TtsSpec::built_in(dir.join("voices")));
    let mut speech = tts.speak(SpeakRequest::new("en-GB-001", text)).unwrap();
    let rate = bellwire::audio::rate::SampleRate::HZ_8000;
    let path = dir.join(name);
    let mut writer = bellwire::audio::wav::WavWriter::create(&path, rate, 1).unwrap();
    while let Some(piece) = speech.next().await {
        writer.write(&piece.unwrap().samples).unwrap();
    }
    writer.finish().unwrap();
    path
}

/// A tone of a third of full scale.
pub fn tone(rate: u32, hz: f64, seconds: f64) -> Vec<i16> {
    let count = (f64::from(rate) * seconds) as usize;
    let step = hz * std::f64::consts::TAU / f64::from(rate);
    (0..count).map(|n| ((n as f64 * step).sin() * 10_000.0) as i16).collect()
}

/// Root mean square of samples.
pub fn rms(samples: &[i16]) -> f64 {
    let sum: f64 = samples.iter().map(|s| f64::from(*s).powi(2)).sum();
    (sum / samples.len().max(1) as f64).sqrt()
}

/// Share of the power that lies at `hz` (Goertzel).
pub fn share_at(samples: &[i16], rate: u32, hz: f64) -> f64 {
    let step = hz * std::f64::consts::TAU / f64::from(rate);
    let (mut re, mut im, mut power) = (0.0, 0.0, 0.0);
    for (n, sample) in samples.iter().enumerate() {
        let sample = f64::from(*sample);
        re += sample * (n as f64 * step).cos();
        im += sample * (n as f64 * step).sin();
        power += sample * sample;
    }
    if power == 0.0 { 0.0 } else { 2.0 * (re * re + im * im) / (samples.len() as f64 * power) }
}
