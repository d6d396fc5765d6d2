//! The page at `/console` in a headless Chromium with a fake microphone, against the real program
//! and a phone.
//!
//! ```text
//!  tone.wav ─> fake microphone ─> page ═ WebSocket ═ bellwire ═ SIP, RTP ═ bellwire phone ─> heard.wav
//!                       waveform <─ loudspeaker <═                                 <─ another tone
//! ```
//!
//! Without Chromium the tests pass and say SKIPPED.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a test that cannot go on must stop, and its sounds are short"
)]
#![allow(dead_code, reason = "the rig is shared with tests/daemon, and it uses all")]

mod chromium;
#[path = "../daemon/rig.rs"]
mod rig;

use chromium::Page;
use rig::{Daemon, NUMBER, Phone, read_wav, rms, share_at, tone_wav, tone_wav_at};
use serde_json::json;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// A key whose secret is `abc`.
const KEY: &str = r#"
[[api.key]]
name = "console"
secret_sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
instances = ["*"]
"#;

/// Browsers are heavy: one at a time.
static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn browser() -> Option<&'static str> {
    let program = chromium::program();
    if program.is_none() {
        // Past the test harness, which keeps what `eprintln` says.
        let notice = "SKIPPED: the console in a browser: chromium is not installed (make setup)";
        let _ = writeln!(std::io::stderr(), "{notice}");
    }
    program
}

async fn signed_in(page: &mut Page, daemon: &Daemon) {
    sign_in(page, &daemon.api).await;
}

async fn sign_in(page: &mut Page, origin: &str) {
    page.open(&format!("{origin}/console")).await;
    page.wait_for("document.querySelectorAll('#keys button').length === 12").await;
    page.fill("key", "abc").await;
    page.eval("document.querySelector('#signin button').click()").await;
    page.wait_for("!document.getElementById('place').hidden").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_calls_talks_hears_and_sees() {
    let Some(program) = browser() else { return };
    let _one = ONE.lock().await;
    let dir = TempDir::new().unwrap();
    let voice = tone_wav_at(dir.path(), "voice.wav", 48_000, 440.0, 10.0);
    let music = tone_wav(dir.path(), "music.wav", 1000.0, 60.0);
    let heard = dir.path().join("heard.wav");
    let (played, record) = (music.to_str().unwrap(), heard.to_str().unwrap());
    let phone = Phone::start(&["--ring", "0s", "--play", played, "--record", record]);
    let daemon = Daemon::start(&phone.address, KEY).await;
    let mut page = Page::start(program, &voice).await;
    signed_in(&mut page, &daemon).await;
    // A tone is what cleaning takes for noise.
    page.click("clean").await;
    page.fill("number", NUMBER).await;
    page.click("dial").await;

    page.wait_for("document.getElementById('status').textContent === 'Talking'").await;
    phone.wait_for("answered");
    // A tone of a third of full scale is 10 dB below it, on both sides.
    for side in ["mic-level", "far-level"] {
        let level = format!("parseInt(document.getElementById('{side}').value)");
        page.wait_for(&format!("Math.abs({level} + 10) <= 2")).await;
    }
    page.wait_for("parseFloat(document.getElementById('figure-mos').textContent) > 4").await;
    page.wait_for("document.getElementById('figure-trip').textContent.endsWith(' ms')").await;
    page.wait_for("document.querySelectorAll('#stages tr').length >= 4").await;
    let drawn = "(id) => { const canvas = document.getElementById(id); const { width, height } = canvas; \
        const dots = canvas.getContext('2d').getImageData(0, 0, width, height).data; \
        return dots.filter((value, n) => n % 4 === 3 && value > 0).length; }";
    for canvas in ["mic-wave", "far-wave", "trend"] {
        page.wait_for(&format!("({drawn})('{canvas}') > 100")).await;
    }

    page.eval("document.querySelector('[data-digit=\"7\"]').click()").await;
    assert_eq!(phone.wait_for("digit")["digit"], "7");
    page.wait_for("document.getElementById('events').textContent.includes('answered')").await;
    page.click("hold").await;
    page.wait_for("document.getElementById('status').textContent === 'On hold'").await;
    page.click("hold").await;
    page.wait_for("document.getElementById('status').textContent === 'Talking'").await;

    page.click("hangup").await;
    page.wait_for("document.getElementById('status').textContent.startsWith('Ended')").await;
    phone.wait_for("ended");
    let samples = read_wav(&heard);
    // Loud stretches, without the second of the hold.
    let said: Vec<i16> =
        samples.chunks_exact(800).filter(|part| rms(part) > 3000.0).flatten().copied().collect();
    assert!(said.len() > 8000, "{} samples of the microphone were heard", said.len());
    let share = said.chunks_exact(800).filter(|part| share_at(part, 8000, 440.0) > 0.9).count();
    let parts = said.len() / 800;
    // A browser on a busy machine leaves gaps, and live sound is compressed behind them.
    assert!(share * 2 >= parts, "{share} of {parts} stretches are the tone");
    nothing_left_and_nothing_foreign(&mut page, &daemon).await;
}

/// The page kept its key to itself, asked nobody else, and nothing was against its policy.
async fn nothing_left_and_nothing_foreign(page: &mut Page, daemon: &Daemon) {
    let kept = page
        .eval("JSON.stringify([localStorage.length, sessionStorage.length, document.cookie])")
        .await;
    assert_eq!(kept, json!("[0,0,\"\"]"));
    assert_eq!(page.complaints(), Vec::<String>::new());
    let socket = daemon.api.replace("http://", "ws://");
    for request in page.seen("Network.requestWillBeSent") {
        let url = request["request"]["url"].as_str().unwrap();
        assert!(url.starts_with(&daemon.api), "{url}");
        assert!(!url.contains("abc"), "{url}");
    }
    let sockets = page.seen("Network.webSocketCreated");
    assert_eq!(sockets.len(), 1);
    let url = sockets[0]["url"].as_str().unwrap();
    assert!(url.starts_with(&socket) && url.contains("ticket=tkt_"), "{url}");
}

/// Passes octets on between the page and the program, until the way breaks.
struct Proxy {
    address: SocketAddr,
    ways: Arc<Mutex<Vec<AbortHandle>>>,
}

impl Proxy {
    async fn start(api: &str) -> Self {
        let target: SocketAddr = api.trim_start_matches("http://").parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let ways: Arc<Mutex<Vec<AbortHandle>>> = Arc::default();
        let open = Arc::clone(&ways);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let way = tokio::spawn(async move {
                    let mut far = TcpStream::connect(target).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                });
                open.lock().unwrap().push(way.abort_handle());
            }
        });
        Self { address, ways }
    }

    /// Every connection is gone, without a word.
    fn break_all(&self) {
        self.ways.lock().unwrap().drain(..).for_each(|way| way.abort());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_whose_connection_breaks_goes_on_where_it_stopped() {
    let Some(program) = browser() else { return };
    let _one = ONE.lock().await;
    let dir = TempDir::new().unwrap();
    let voice = tone_wav_at(dir.path(), "voice.wav", 48_000, 440.0, 5.0);
    let phone = Phone::start(&["--ring", "0s"]);
    let daemon = Daemon::start(&phone.address, KEY).await;
    let proxy = Proxy::start(&daemon.api).await;
    let mut page = Page::start(program, &voice).await;
    sign_in(&mut page, &format!("http://{}", proxy.address)).await;
    page.fill("number", NUMBER).await;
    page.click("dial").await;
    page.wait_for("document.getElementById('status').textContent === 'Talking'").await;
    phone.wait_for("answered");
    for losses in 1..=2 {
        proxy.break_all();
        let told = "[...document.querySelectorAll('#events li')].map((line) => line.children[1].textContent)";
        page.wait_for(&format!("{told}.filter((kind) => kind === 'replayed').length === {losses}"))
            .await;
        page.wait_for("document.getElementById('status').textContent === 'Talking'").await;
        // What is said now is for the same call.
        page.eval("document.querySelector('[data-digit=\"7\"]').click()").await;
        assert_eq!(phone.wait_for("digit")["digit"], "7");
    }
    let mut passes: Vec<String> = page
        .seen("Network.webSocketCreated")
        .iter()
        .map(|socket| socket["url"].as_str().unwrap().split("ticket=").nth(1).unwrap()[..20].into())
        .collect();
    passes.sort_unstable();
    passes.dedup();
    assert!(passes.len() >= 3, "a ticket is good once: {passes:?}");
    page.click("hangup").await;
    page.wait_for("document.getElementById('status').textContent.startsWith('Ended')").await;
    phone.wait_for("ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_and_everything_has_a_name() {
    let Some(program) = browser() else { return };
    let _one = ONE.lock().await;
    let dir = TempDir::new().unwrap();
    let voice = tone_wav_at(dir.path(), "voice.wav", 48_000, 440.0, 1.0);
    let phone = Phone::start(&["--ring", "0s", "--reject", "486"]);
    let daemon = Daemon::start(&phone.address, KEY).await;
    let mut page = Page::start(program, &voice).await;

    page.open(&format!("{}/console", daemon.api)).await;
    page.wait_for("document.querySelectorAll('#keys button').length === 12").await;
    page.fill("key", "wrong").await;
    page.eval("document.querySelector('#signin button').click()").await;
    page.wait_for("document.getElementById('error').textContent.includes('key')").await;
    assert_eq!(page.eval("document.getElementById('error').getAttribute('role')").await, "alert");

    signed_in(&mut page, &daemon).await;
    assert_eq!(page.eval("document.getElementById('error').hidden").await, true);
    // A number that the page refuses itself, then one that the gateway refuses.
    page.fill("number", "12").await;
    page.click("dial").await;
    assert_eq!(page.eval("document.getElementById('number').validity.valid").await, false);
    page.fill("number", "+19005550123").await;
    page.click("dial").await;
    page.wait_for("document.getElementById('error').textContent.includes('request req_')").await;
    assert_eq!(page.eval("document.getElementById('call').hidden").await, true);
    // A number that is busy.
    page.fill("number", NUMBER).await;
    page.click("dial").await;
    page.wait_for("document.getElementById('status').textContent === 'Ended: busy'").await;

    // Every control that can be reached has a name; light and dark differ; text stands out.
    let nameless = "[...document.querySelectorAll('input, select, button, canvas, [role]')].filter((e) => \
        !(e.labels?.length || e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') \
        || e.textContent.trim() || ['alert', 'status'].includes(e.getAttribute('role')))).map((e) => e.outerHTML).join()";
    assert_eq!(page.eval(nameless).await, "");
    let tone = "(() => { const s = getComputedStyle(document.body); return [s.color, s.backgroundColor]; })()";
    let mut seen = Vec::new();
    for scheme in ["light", "dark"] {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        page.call("Emulation.setEmulatedMedia", features).await;
        let colours = page.eval(tone).await;
        let (ink, ground) = (luminance(&colours[0]), luminance(&colours[1]));
        let contrast = (ink.max(ground) + 0.05) / (ink.min(ground) + 0.05);
        assert!(contrast > 7.0, "{scheme}: {contrast}");
        seen.push(ground);
    }
    assert!(seen[0] > 0.8 && seen[1] < 0.1, "{seen:?}");
    page.eval("{ const t = document.getElementById('theme'); t.value = 'light'; t.onchange(); }")
        .await;
    assert!(luminance(&page.eval(tone).await[1]) > 0.8, "the reader's choice wins");
}

/// Relative luminance (WCAG 2) of `rgb(r, g, b)`.
fn luminance(colour: &serde_json::Value) -> f64 {
    let text = colour.as_str().unwrap().trim_start_matches("rgb(").trim_end_matches(')');
    let linear = |part: &str| {
        let value = part.trim().parse::<f64>().unwrap() / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    let parts: Vec<f64> = text.split(',').map(linear).collect();
    0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]
}

#[tokio::test]
async fn the_page_can_be_switched_off_and_is_guarded() {
    let daemon = Daemon::start_set("127.0.0.1:9", "console.enabled=false").await;
    let answer = daemon.request("GET", "/console").send().await.unwrap();
    assert_eq!(answer.status(), 404);
    let daemon = Daemon::start("127.0.0.1:9", "").await;
    for path in ["/console", "/console/console.js", "/console/worklet.js"] {
        let answer = daemon.request("GET", path).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let policy = answer.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    }
    let answer = daemon.request("GET", "/console/../Cargo.toml").send().await.unwrap();
    assert_eq!(answer.status(), 404);
    let answer = daemon.request("GET", "/console/%2e%2e%2fCargo.toml").send().await.unwrap();
    assert_eq!(answer.status(), 404);
}
