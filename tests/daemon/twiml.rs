//! Calls that obey TwiML: made by Twilio's REST, or come in by a route.

use super::rig::{Daemon, NUMBER, Phone, SOON, read_wav, rms, share_at, tone_wav};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bellwire::twiml::{form, signature};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";
const TOKEN: &str = "twilio-token";

/// What the daemon's file needs beside the usual.
const COMPAT: &str = "[webhook]\nallow_private = true\n\
    [compat]\ntwilio = true\n\
    [[compat.account]]\nsid = \"AC0123456789abcdef0123456789abcdef\"\n\
    auth_token = \"twilio-token\"\ninstance = \"inst_demo\"\n";

/// A request as a server of the account saw it.
#[derive(Debug, Clone)]
struct Asked {
    path: String,
    parameters: Vec<(String, String)>,
}

impl Asked {
    fn get(&self, name: &str) -> &str {
        let found = self.parameters.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }
}

/// The account's server: hands out documents by their path, and checks every signature.
struct Bot {
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Bot {
    /// `pages`: path, content type, body.
    async fn start(pages: Vec<(&'static str, &'static str, Vec<u8>)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (seen, base, pages) = (Arc::clone(&asked), url.clone(), Arc::new(pages));
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let (seen, base, pages) = (Arc::clone(&seen), base.clone(), Arc::clone(&pages));
                tokio::spawn(async move {
                    let request = read_request(&mut socket, &base).await;
                    let page = pages.iter().find(|(path, ..)| *path == request.path);
                    let (kind, body) = page
                        .map_or(("text/plain", Vec::new()), |(_, kind, body)| {
                            (*kind, body.clone())
                        });
                    seen.lock().unwrap().push(request);
                    let head = format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nConnection: close\r\n\
                         Content-Length: {}\r\n\r\n",
                        body.len()
                    );
                    let _ = socket.write_all(head.as_bytes()).await;
                    let _ = socket.write_all(&body).await;
                });
            }
        });
        Self { url, asked }
    }

    /// What was asked at a path, in order.
    fn at(&self, path: &str) -> VecDeque<Asked> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|asked| asked.path == path).cloned().collect()
    }

    /// Waits until a path was asked so often.
    async fn wait_for(&self, path: &str, count: usize) -> VecDeque<Asked> {
        let until = Instant::now() + SOON;
        loop {
            let asked = self.at(path);
            if asked.len() >= count {
                return asked;
            }
            assert!(Instant::now() < until, "{path}: {:#?}", self.asked.lock().unwrap());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn xml(verbs: &str) -> Vec<u8> {
    format!("<?xml version=\"1.0\"?><Response>{verbs}</Response>").into_bytes()
}

/// Reads a request whole; its signature must be the account's.
async fn read_request(socket: &mut TcpStream, base: &str) -> Asked {
    let mut octets = Vec::new();
    let (head, mut body) = loop {
        let mut piece = [0; 4096];
        let count = socket.read(&mut piece).await.unwrap();
        assert!(count > 0, "the request broke off");
        octets.extend_from_slice(&piece[..count]);
        if let Some(at) = octets.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(octets[..at].to_vec()).unwrap();
            break (head, octets[at + 4..].to_vec());
        }
    };
    let field = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        let mut found = lines.filter(|(known, _)| known.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.to_owned()).unwrap_or_default()
    };
    let length: usize = field("content-length").parse().unwrap_or(0);
    while body.len() < length {
        let mut piece = [0; 4096];
        let count = socket.read(&mut piece).await.unwrap();
        body.extend_from_slice(&piece[..count]);
    }
    let target = head.split(' ').nth(1).unwrap();
    let parameters = form::decode(&body).unwrap();
    let code = signature::sign(TOKEN, &format!("{base}{target}"), &parameters);
    assert_eq!(field("x-twilio-signature"), code, "{head}");
    let path = target.split('?').next().unwrap().to_owned();
    Asked { path, parameters }
}

/// A request of the account's client.
async fn ask(daemon: &Daemon, method: &str, file: &str, fields: &[(&str, &str)]) -> (u16, Value) {
    let path = format!("/2010-04-01/Accounts/{ACCOUNT}/Calls{file}.json");
    let asked = daemon.request(method, &path).basic_auth(ACCOUNT, Some(TOKEN));
    let pairs: Vec<_> =
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let asked = match method {
        "POST" => asked
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form::encode(&pairs)),
        _ => asked,
    };
    let answer = asked.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or(Value::Null))
}

/// Makes a call; `more` are further fields.
async fn call(daemon: &Daemon, more: &[(&str, &str)]) -> String {
    let mut fields = vec![("To", NUMBER), ("From", "+15550100")];
    fields.extend_from_slice(more);
    let (status, call) = ask(daemon, "POST", "", &fields).await;
    assert_eq!((status, &call["status"]), (201, &"queued".into()), "{call:#}");
    call["sid"].as_str().unwrap().to_owned()
}

/// Waits until a call has this status, and gives it.
async fn wait_for(daemon: &Daemon, sid: &str, status: &str) -> Value {
    let until = Instant::now() + SOON;
    loop {
        let (_, call) = ask(daemon, "GET", &format!("/{sid}"), &[]).await;
        if call["status"] == status {
            return call;
        }
        assert!(Instant::now() < until, "waiting for {status}: {call:#}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_menu_is_spoken_keys_are_taken_and_every_request_is_signed() {
    let dir = tempfile::tempdir().unwrap();
    let heard = dir.path().join("heard.wav");
    let tone = std::fs::read(tone_wav(dir.path(), "tone.wav", 1000.0, 1.0)).unwrap();
    let menu = "<Gather numDigits=\"2\" action=\"../chosen?menu=1\" timeout=\"20\">\
                <Say voice=\"alice\">Press two keys, please, whenever you like to, and take your \
                time for it.</Say></Gather><Say>Nothing.</Say>";
    let bot = Bot::start(vec![
        ("/app/menu", "text/xml", xml(menu)),
        ("/chosen", "application/xml", xml("<Play>/tone.wav</Play><Hangup/>")),
        ("/tone.wav", "audio/wav", tone),
    ])
    .await;
    let record = ["--ring", "200ms", "--record", heard.to_str().unwrap()];
    let phone = Phone::start(&[&record[..], &["--at", "spoken:1s=dtmf:42"]].concat());
    let daemon = Daemon::start(&phone.address, COMPAT).await;
    let (menu, status) = (format!("{}/app/menu", bot.url), format!("{}/status", bot.url));
    let sid = call(
        &daemon,
        &[
            ("Url", &menu),
            ("StatusCallback", &status),
            ("StatusCallbackEvent", "initiated"),
            ("StatusCallbackEvent", "ringing"),
            ("StatusCallbackEvent", "answered"),
            ("StatusCallbackEvent", "completed"),
        ],
    )
    .await;
    let over = wait_for(&daemon, &sid, "completed").await;
    assert_eq!((&over["direction"], &over["to"]), (&"outbound-api".into(), &NUMBER.into()));
    let first = bot.at("/app/menu").remove(0).unwrap();
    for (name, value) in [
        ("CallSid", sid.as_str()),
        ("AccountSid", ACCOUNT),
        ("From", "+15550100"),
        ("To", NUMBER),
        ("CallStatus", "in-progress"),
    ] {
        assert_eq!(first.get(name), value, "{first:?}");
    }
    assert_eq!(bot.at("/chosen").remove(0).unwrap().get("Digits"), "42");
    let told = bot.wait_for("/status", 4).await;
    let statuses: Vec<&str> = told.iter().map(|told| told.get("CallStatus")).collect();
    assert_eq!(statuses, ["initiated", "ringing", "in-progress", "completed"]);
    assert!(told[3].get("CallDuration").parse::<u64>().unwrap() >= 2, "{told:#?}");
    phone.wait_for("ended");
    let heard = read_wav(&heard);
    // The voice was cut off by the first key; then the tone, whole.
    let voice = |part: &&[i16]| rms(part) > 300.0 && share_at(part, 8000, 1000.0) < 0.5;
    assert!(heard.windows(4000).step_by(400).filter(voice).count() >= 10, "there is no voice");
    let tone = heard.windows(4000).step_by(400).filter(|part| share_at(part, 8000, 1000.0) > 0.95);
    assert!(tone.count() >= 6, "the tone is not there");
    daemon.wait_until_clean(u64::MAX).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_call_obeys_another_document_and_is_completed() {
    let dir = tempfile::tempdir().unwrap();
    let heard = dir.path().join("heard.wav");
    let tone = std::fs::read(tone_wav(dir.path(), "tone.wav", 700.0, 30.0)).unwrap();
    let bot = Bot::start(vec![("/tone.wav", "audio/wav", tone)]).await;
    let phone = Phone::start(&["--ring", "0s", "--record", heard.to_str().unwrap()]);
    let daemon = Daemon::start(&phone.address, COMPAT).await;
    let silence = "<Response><Pause length=\"60\"/></Response>";
    let sid = call(&daemon, &[("Twiml", silence)]).await;
    wait_for(&daemon, &sid, "in-progress").await;
    let file = format!("/{sid}");
    let play = format!("<Response><Play>{}/tone.wav</Play></Response>", bot.url);
    let (status, running) = ask(&daemon, "POST", &file, &[("Twiml", &play)]).await;
    assert_eq!((status, &running["status"]), (200, &"in-progress".into()), "{running:#}");
    bot.wait_for("/tone.wav", 1).await;
    let id = bellwire::twiml::sid::call_of(&sid).unwrap().to_string();
    daemon
        .wait_until(&id, "half a second of the tone", |call| {
            call["quality"]["played_ms"].as_u64().is_some_and(|played| played > 500)
        })
        .await;
    let (status, ended) = ask(&daemon, "POST", &file, &[("Status", "completed")]).await;
    assert_eq!((status, &ended["status"]), (200, &"completed".into()), "{ended:#}");
    let over = wait_for(&daemon, &sid, "completed").await;
    assert!(over["end_time"].is_string() && over["duration"].is_string(), "{over:#}");
    let (status, late) = ask(&daemon, "POST", &file, &[("Twiml", silence)]).await;
    assert_eq!((status, &late["code"]), (400, &21_220.into()), "{late:#}");
    phone.wait_for("ended");
    let heard = read_wav(&heard);
    let tone = heard.windows(2000).step_by(400).filter(|part| share_at(part, 8000, 700.0) > 0.95);
    assert!(tone.count() >= 3, "the tone is not there");
    daemon.wait_until_clean(u64::MAX).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_is_connected_with_somebody_and_the_document_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (desk_file, caller_file) = (dir.path().join("desk.wav"), dir.path().join("caller.wav"));
    let low = tone_wav(dir.path(), "low.wav", 500.0, 60.0);
    let tone = std::fs::read(tone_wav(dir.path(), "tone.wav", 1200.0, 1.0)).unwrap();
    let dial = format!("<Dial action=\"/over\" timeout=\"20\">{NUMBER}</Dial>");
    let bot = Bot::start(vec![
        ("/in", "text/xml", xml(&dial)),
        ("/over", "text/xml", xml("<Play>tone.wav</Play>")),
        ("/tone.wav", "audio/wav", tone),
    ])
    .await;
    let desk = Phone::start(&[
        "--ring",
        "500ms",
        "--play",
        low.to_str().unwrap(),
        "--record",
        desk_file.to_str().unwrap(),
        "--hangup-after",
        "2s",
    ]);
    let route = format!(
        "{COMPAT}[[route]]\nto = \"^bot$\"\ninstance = \"inst_demo\"\naction = \"twiml\"\n\
         url = \"{}/in\"\n",
        bot.url
    );
    let daemon = Daemon::start(&desk.address, &route).await;
    let uri = format!("sip:bot@{}", daemon.sip);
    let caller = Phone::start(&["--call", &uri, "--record", caller_file.to_str().unwrap()]);
    caller.wait_for("answered");
    desk.wait_for("answered");
    assert_eq!(caller.wait_for("ended")["cause"], "PeerHangup");
    let first = bot.at("/in").remove(0).unwrap();
    assert_eq!((first.get("CallStatus"), first.get("Direction")), ("ringing", "inbound"));
    assert_eq!(first.get("To"), "bot");
    let over = bot.at("/over").remove(0).unwrap();
    assert_eq!(over.get("DialCallStatus"), "completed");
    assert!(over.get("DialCallSid").starts_with("CA"), "{over:?}");
    assert!(over.get("DialCallDuration").parse::<u64>().unwrap() <= 3, "{over:?}");
    let heard = read_wav(&caller_file);
    let hears = |hz: f64| {
        heard.windows(2000).step_by(400).filter(|part| share_at(part, 8000, hz) > 0.9).count()
    };
    assert!(hears(500.0) >= 10, "the desk was not heard");
    assert!(hears(1200.0) >= 5, "the document did not go on");
    daemon.wait_until_clean(u64::MAX).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_refuses_a_caller_and_a_lost_one_ends_the_call() {
    let bot = Bot::start(vec![
        ("/busy", "text/xml", xml("<Reject reason=\"busy\"/>")),
        ("/odd", "text/xml", xml("<Record/>")),
    ])
    .await;
    let route = |user: &str, path: &str| {
        format!(
            "[[route]]\nto = \"^{user}$\"\ninstance = \"inst_demo\"\naction = \"twiml\"\n\
             url = \"{}{path}\"\n",
            bot.url
        )
    };
    let more = format!("{COMPAT}{}{}", route("busy", "/busy"), route("odd", "/odd"));
    let daemon = Daemon::start("127.0.0.1:9", &more).await;
    let dial = |user: &str| Phone::start(&["--call", &format!("sip:{user}@{}", daemon.sip)]);
    assert_eq!(dial("busy").wait_for("ended")["code"], 486);
    let ended = dial("odd").wait_for("ended");
    assert!(ended["code"].as_u64().is_some_and(|code| code >= 400), "{ended}");
    let call = daemon
        .wait_for_one("inbound", |call| {
            call["target_phone"] == "odd" && call["ended_at"].is_string()
        })
        .await;
    let detail = call["end_detail"].as_str().unwrap();
    assert!(detail.contains("12200") && detail.contains("<Record>"), "{detail}");
    daemon.wait_until_clean(u64::MAX).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_at_private_addresses_are_not_fetched() {
    let bot = Bot::start(Vec::new()).await;
    let phone = Phone::start(&["--ring", "0s"]);
    let guarded = COMPAT.replace("allow_private = true", "allow_private = false");
    let daemon = Daemon::start(&phone.address, &guarded).await;
    let sid = call(&daemon, &[("Url", &format!("{}/x", bot.url))]).await;
    phone.wait_for("answered");
    wait_for(&daemon, &sid, "completed").await;
    let id = bellwire::twiml::sid::call_of(&sid).unwrap().to_string();
    let detail = daemon.call(&id).await["end_detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("11200"), "{detail}");
    assert!(bot.asked.lock().unwrap().is_empty());
}

/// A Python that has Twilio's library: that of `tests/compat/setup.sh`, or one that is named.
fn python() -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv-compat/bin/python");
    let python = std::env::var_os("BELLWIRE_COMPAT_PYTHON").map_or(own, PathBuf::from);
    let loads = Command::new(&python).args(["-c", "import twilio"]).output();
    let there = loads.is_ok_and(|done| done.status.success());
    if !there {
        eprintln!("SKIPPED: Twilio's library is not there; run tests/compat/setup.sh");
    }
    there.then_some(python)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_vendors_own_library_makes_shows_lists_and_changes_calls() {
    let Some(python) = python() else { return };
    let phone = Phone::start(&["--ring", "200ms"]);
    let daemon = Daemon::start(&phone.address, COMPAT).await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compat/twilio_rest.py");
    let args = [daemon.api.as_str(), ACCOUNT, TOKEN, NUMBER];
    let mut run = Command::new(python);
    run.arg(script).args(args);
    let done = tokio::task::spawn_blocking(move || run.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{said}");
    let told: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert!(told["requests"].as_u64().unwrap() >= 3, "{told}");
    daemon.wait_until_clean(u64::MAX).await;
}

/// A bot of Twilio's Media Streams: says a tone, and closes after a second of the caller's sound.
async fn media_streams(listener: TcpListener) -> Vec<Value> {
    use futures_util::{SinkExt as _, StreamExt as _};
    use tokio_tungstenite::tungstenite::Message;
    let (socket, _) = listener.accept().await.unwrap();
    let mut socket = tokio_tungstenite::accept_async(socket).await.unwrap();
    let (mut seen, mut frames) = (Vec::new(), 0);
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(text) = message else { continue };
        let message: Value = serde_json::from_str(&text).unwrap();
        match message["event"].as_str().unwrap() {
            "start" => {
                // µ-law's loudest values, 20 ms of each: 25 Hz and its odd harmonics.
                let mut square = vec![0x80_u8; 160];
                square.resize(320, 0x00);
                let payload = STANDARD.encode(square.repeat(50));
                let sid = message["streamSid"].clone();
                let media =
                    json!({"event": "media", "streamSid": sid, "media": {"payload": payload}});
                socket.send(Message::text(media.to_string())).await.unwrap();
                seen.push(message);
            }
            "media" => {
                frames += 1;
                if frames == 50 {
                    socket.close(None).await.unwrap();
                }
            }
            _ => seen.push(message),
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_has_the_call_until_its_server_closes_it() {
    let dir = tempfile::tempdir().unwrap();
    let heard = dir.path().join("heard.wav");
    let tone = tone_wav(dir.path(), "tone.wav", 440.0, 30.0);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/media", listener.local_addr().unwrap());
    let bot = tokio::spawn(media_streams(listener));
    let more = ["--play", tone.to_str().unwrap(), "--record", heard.to_str().unwrap()];
    let phone = Phone::start(&[&["--ring", "0s"][..], &more].concat());
    let daemon = Daemon::start(&phone.address, COMPAT).await;
    let twiml = format!(
        "<Response><Connect><Stream url=\"{url}\"><Parameter name=\"k\" value=\"v\"/></Stream>\
         </Connect><Say>Goodbye, and thank you.</Say></Response>"
    );
    let sid = call(&daemon, &[("Twiml", &twiml)]).await;
    wait_for(&daemon, &sid, "completed").await;
    let seen = bot.await.unwrap();
    let start = seen.iter().find(|message| message["event"] == "start").unwrap();
    assert_eq!(start["start"]["callSid"], sid.as_str());
    assert_eq!(start["start"]["accountSid"], ACCOUNT);
    assert_eq!(start["start"]["customParameters"]["k"], "v");
    phone.wait_for("ended");
    let heard = read_wav(&heard);
    let loud = heard.iter().filter(|sample| sample.unsigned_abs() > 20_000).count();
    // It closes after a second: what it had sent ahead is not played.
    assert!((6000..=10_000).contains(&loud), "the bot was heard for {loud} samples");
    assert!(rms(&heard[heard.len() - 8000..]) > 100.0, "the document did not go on");
    daemon.wait_until_clean(u64::MAX).await;
}
