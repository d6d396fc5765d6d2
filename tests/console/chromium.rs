//! A headless Chromium and one page in it, driven by the DevTools protocol.
//!
//! A small client: it sends a method, waits for the answer with the same id, and keeps the events
//! that come between. The microphone is a WAV file that Chromium plays round and round.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// How long anything may take; machines are shared.
const SOON: Duration = Duration::from_secs(60);

/// Names under which distributions install it.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// The program, if this machine has it.
pub fn program() -> Option<&'static str> {
    NAMES.into_iter().find(|name| {
        let mut asked = Command::new(name);
        asked.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        asked.status().is_ok_and(|status| status.success())
    })
}

/// A running browser with one page; killed when dropped.
pub struct Page {
    child: Child,
    _profile: TempDir,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    session: String,
    next_id: u64,
    /// Events that came so far.
    pub events: Vec<Value>,
}

impl Page {
    /// Starts a browser whose microphone plays this file, with an empty page.
    pub async fn start(program: &str, microphone: &Path) -> Self {
        let profile = TempDir::new().unwrap();
        let mut child = Command::new(program)
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"])
            .args(["--disable-dev-shm-usage", "--disable-background-networking"])
            .args(["--disable-component-update", "--disable-sync", "--disable-extensions"])
            .args(["--remote-debugging-port=0", "--use-fake-ui-for-media-stream"])
            .arg("--use-fake-device-for-media-stream")
            .arg(format!("--use-file-for-fake-audio-capture={}", microphone.display()))
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let url = address(&mut child);
        let (socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        let events = Vec::new();
        let mut page =
            Self { child, _profile: profile, socket, session: String::new(), next_id: 0, events };
        let target = page.call("Target.createTarget", json!({ "url": "about:blank" })).await;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = page.call("Target.attachToTarget", attach).await;
        page.session = attached["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Runtime", "Log", "Network", "Page"] {
            page.call(&format!("{domain}.enable"), json!({})).await;
        }
        page
    }

    /// Opens a page and waits until it has run.
    pub async fn open(&mut self, url: &str) {
        self.call("Page.navigate", json!({ "url": url })).await;
        self.wait_for("document.readyState === 'complete'").await;
    }

    /// The value of an expression, promises awaited, as if a person had clicked.
    pub async fn eval(&mut self, expression: &str) -> Value {
        let params = json!({
            "expression": expression,
            "awaitPromise": true,
            "returnByValue": true,
            "userGesture": true,
        });
        let answer = self.call("Runtime.evaluate", params).await;
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer:#}");
        answer["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    pub async fn wait_for(&mut self, expression: &str) {
        let until = Instant::now() + SOON;
        while self.eval(&format!("Boolean({expression})")).await != true {
            if Instant::now() > until {
                let text = self.eval("document.body.innerText").await;
                panic!("{expression} does not come true:\n{}", text.as_str().unwrap_or_default());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Types into a field, as a person would: the field hears of it.
    pub async fn fill(&mut self, id: &str, text: &str) {
        let script = format!(
            "{{ const field = document.getElementById({id:?}); field.focus(); field.select?.(); }}"
        );
        self.eval(&script).await;
        self.call("Input.insertText", json!({ "text": text })).await;
    }

    /// Clicks.
    pub async fn click(&mut self, id: &str) {
        self.eval(&format!("document.getElementById({id:?}).click()")).await;
    }

    /// What stands in an element.
    pub async fn text(&mut self, id: &str) -> String {
        let text = self.eval(&format!("document.getElementById({id:?}).textContent")).await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Asks the browser for something.
    pub async fn call(&mut self, method: &str, params: Value) -> Value {
        self.next_id += 1;
        let id = self.next_id;
        let mut request = json!({ "id": id, "method": method, "params": params });
        if !self.session.is_empty() {
            request["sessionId"] = self.session.clone().into();
        }
        self.socket.send(Message::text(request.to_string())).await.unwrap();
        let answered = tokio::time::timeout(SOON, async {
            while let Some(message) = self.socket.next().await {
                let Message::Text(text) = message.unwrap() else { continue };
                let message: Value = serde_json::from_str(&text).unwrap();
                if message["id"] == id {
                    assert!(message["error"].is_null(), "{method}: {message}");
                    return message["result"].clone();
                }
                self.events.push(message);
            }
            panic!("the browser is gone")
        });
        answered.await.unwrap_or_else(|_| panic!("{method} is not answered"))
    }

    /// Events of this method.
    pub fn seen(&self, method: &str) -> Vec<&Value> {
        let of = self.events.iter().filter(|event| event["method"] == method);
        of.map(|event| &event["params"]).collect()
    }

    /// What the browser and the page complained of.
    pub fn complaints(&self) -> Vec<String> {
        let log = self.seen("Log.entryAdded").into_iter().map(|event| &event["entry"]);
        let log = log.filter(|entry| entry["level"] == "error").map(|entry| entry["text"].clone());
        let thrown = self.seen("Runtime.exceptionThrown").into_iter();
        let thrown = thrown.map(|event| event["exceptionDetails"].clone());
        log.chain(thrown).map(|value| value.to_string()).collect()
    }
}

/// Where the browser says that it listens.
fn address(child: &mut Child) -> String {
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut before = Vec::new();
    let url = loop {
        let Some(Ok(line)) = lines.next() else { panic!("no browser:\n{}", before.join("\n")) };
        if let Some((_, url)) = line.split_once("DevTools listening on ") {
            break url.to_owned();
        }
        before.push(line);
    };
    // Its complaints must go somewhere, or it would wait for a reader.
    std::thread::spawn(move || lines.count());
    url
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            for complaint in self.complaints() {
                eprintln!("the browser: {complaint}");
            }
        }
    }
}
