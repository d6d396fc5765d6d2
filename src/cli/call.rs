//! `bellwire call`: places a call through REST and shows how it goes.
//!
//! Owns what people see of a call. Speaks to the API only through `client`.

use super::client::{Client, ClientError};
use super::{API, DONE, FAILED, USAGE, print};
use base64::Engine as _;
use clap::Args;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often the call is looked at.
const POLL: Duration = Duration::from_millis(250);
/// How many looks in a row may fail: five seconds.
const FAILED_POLLS_MAX: u32 = 20;

/// Place a call and watch it until it ends.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    bellwire call --to +15550100 --say 'Your table is ready.'\n  \
    bellwire call --to +15550100 --audio jingle.mp3 --json\n  \
    bellwire call --to +15550100 --agent 'Ask when the atlas comes back.'\n  \
    bellwire call --to +15550100 --script reminder.json\n  \
    bellwire call --to +15550100 --stream     then attach a WebSocket to the URL it prints\n\n\
    Ctrl-C ends the call.\n\
    Exit codes: 0 the call completed, 1 it failed, 2 wrong arguments, 3 the API cannot be\n\
    reached or refuses.")]
#[command(group = clap::ArgGroup::new("content").required(true))]
pub(super) struct CallArgs {
    /// The number, in E.164 form.
    #[arg(long, value_name = "NUMBER")]
    to: String,
    /// The instance; may be left out when there is only one.
    #[arg(long, value_name = "ID")]
    instance: Option<String>,
    /// Speak this text.
    #[arg(long, value_name = "TEXT", group = "content")]
    say: Option<String>,
    /// The voice that speaks; without it en-US-001, or the agent's own.
    #[arg(long, value_name = "ID", conflicts_with_all = ["audio", "stream"])]
    voice: Option<String>,
    /// Play this MP3 or WAV file.
    #[arg(long, value_name = "FILE", group = "content")]
    audio: Option<PathBuf>,
    /// Let an agent conduct the call by this instruction; may be given several times.
    #[arg(long, value_name = "TEXT", group = "content")]
    agent: Vec<String>,
    /// Let an agent follow the playbook in this JSON file; needs no model.
    #[arg(long, value_name = "FILE", group = "content")]
    script: Option<PathBuf>,
    /// Let a WebSocket client speak and hear.
    #[arg(long, group = "content")]
    stream: bool,
    /// Where the API is.
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:8080",
        env = "BELLWIRE_API",
        hide_env_values = true
    )]
    api: String,
    /// A file with an API key.
    #[arg(long, value_name = "FILE", env = "BELLWIRE_KEY_FILE", hide_env_values = true)]
    key_file: Option<PathBuf>,
    /// Print the call object, one JSON object a line, whenever it changes.
    #[arg(long)]
    json: bool,
}

/// Places the call and waits for its end.
pub(super) fn run(args: &CallArgs) -> u8 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            print::err(format!("bellwire call: {error}"));
            return FAILED;
        }
    };
    let interrupt = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    match runtime.block_on(place(args, POLL, interrupt, &mut |line| print::out(line))) {
        Ok(completed) => {
            if completed {
                DONE
            } else {
                FAILED
            }
        }
        Err(error) => {
            print::err(format!("bellwire call: {error}"));
            if matches!(error, ClientError::Usage(_)) { USAGE } else { API }
        }
    }
}

/// Places the call and tells `say` of every change; `true`: it completed.
async fn place(
    args: &CallArgs,
    poll: Duration,
    interrupt: impl Future<Output = ()>,
    say: &mut dyn FnMut(String),
) -> Result<bool, ClientError> {
    let client = Client::new(&args.api, key(args)?)?;
    let instance = match &args.instance {
        Some(instance) => instance.clone(),
        None => only_instance(&client.instances().await?)?,
    };
    let call = client.create(&body(args, &instance)?).await?;
    let id = call["id"].as_str().map(str::to_owned).ok_or_else(|| ClientError::Strange {
        url: client.base().to_owned(),
        reason: "the new call has no id".to_owned(),
    })?;
    if args.stream && !args.json {
        let address = client.base().trim_start_matches("http");
        say(format!("stream: ws{address}/v1/calls/{id}/stream"));
    }
    let mut watch = Watch { client: &client, id: &id, json: args.json, shown: Value::Null };
    watch.show(&call, say);
    tokio::pin!(interrupt);
    let mut interrupted = false;
    let mut failed = 0;
    loop {
        tokio::select! {
            () = tokio::time::sleep(poll) => {}
            () = &mut interrupt, if !interrupted => {
                interrupted = true;
                // 404: it has ended on its own meanwhile, which the next look shows.
                let _ = client.end(&id).await;
            }
        }
        match watch.look(say).await {
            Ok(Some(completed)) => return Ok(completed),
            Ok(None) => failed = 0,
            Err(error) if failed >= FAILED_POLLS_MAX || is_final(&error) => return Err(error),
            Err(_) => failed += 1,
        }
    }
}

/// Whether asking again is of no use.
fn is_final(error: &ClientError) -> bool {
    match error {
        ClientError::Refused { status, .. } => *status < 500 && *status != 429,
        ClientError::Usage(_) => true,
        ClientError::Unreachable { .. } | ClientError::Strange { .. } => false,
    }
}

/// A call that is looked at.
struct Watch<'a> {
    client: &'a Client,
    id: &'a str,
    json: bool,
    shown: Value,
}

impl Watch<'_> {
    /// Looks once; `Some`: the call is over, and whether it completed.
    async fn look(&mut self, say: &mut dyn FnMut(String)) -> Result<Option<bool>, ClientError> {
        let call = self.client.call(self.id).await?;
        self.show(&call, say);
        let over = match call["status"].as_str() {
            Some("COMPLETED") => Some(true),
            Some("FAILED") => Some(false),
            _ => None,
        };
        if over.is_some() && !self.json {
            conversation(&call).into_iter().for_each(&mut *say);
            say(verdict(&call));
        }
        Ok(over)
    }

    fn show(&mut self, call: &Value, say: &mut dyn FnMut(String)) {
        if self.json {
            if *call != self.shown {
                say(call.to_string());
            }
        } else {
            let (line, before) = (progress(call), progress(&self.shown));
            if line != before {
                say(line);
            }
        }
        self.shown = call.clone();
    }
}

/// One line of progress: the id, the status, and what is known beside it.
fn progress(call: &Value) -> String {
    let text = |key: &str| call[key].as_str().unwrap_or_default().to_owned();
    let mut line = format!("{}  {}", text("id"), text("status"));
    if let Some(position) = call["queue_position"].as_u64() {
        let _ = write!(line, " (place {position} in the queue)");
    }
    if call["stream"]["connected"].as_bool() == Some(true) {
        line.push_str(" (stream attached)");
    }
    line
}

/// What an agent's call brought home: who said what, and the result.
fn conversation(call: &Value) -> Vec<String> {
    let Some(outcome) = call["outcome"].as_object() else { return Vec::new() };
    let line = |said: &Value| {
        let text = |key: &str| said[key].as_str().unwrap_or_default();
        let keys =
            if text("digits").is_empty() { String::new() } else { format!("[{}]", text("digits")) };
        let cut = if said["interrupted"] == true { " … [interrupted]" } else { "" };
        format!("{:>7}  {}{keys}{cut}", text("speaker"), text("text"))
    };
    let said = outcome.get("transcript").and_then(Value::as_array);
    let mut lines: Vec<String> = said.into_iter().flatten().map(line).collect();
    lines.push(match outcome.get("result") {
        Some(result) if !result.is_null() => format!(" result  {result}"),
        _ => {
            let why = outcome.get("result_error").and_then(Value::as_str).unwrap_or_default();
            format!(" result  none: {why}")
        }
    });
    lines
}

/// The last line: why the call ended, and how it sounded.
fn verdict(call: &Value) -> String {
    let mut parts = vec![call["end_reason"].as_str().unwrap_or("ended").to_owned()];
    if let Some(code) = call["sip_code"].as_u64() {
        let reason = call["sip_reason"].as_str().unwrap_or_default();
        parts.push(format!("SIP {code} {reason}").trim_end().to_owned());
    }
    if let Some(millis) = call["duration_ms"].as_f64() {
        parts.push(format!("{:.1} s", millis / 1000.0));
    }
    let quality = &call["quality"];
    if let Some(mos) = quality["mos"].as_f64() {
        parts.push(format!("MOS {mos:.2}"));
    }
    if let Some(loss) = quality["loss"].as_f64() {
        parts.push(format!("loss {:.1} %", loss * 100.0));
    }
    if let Some(jitter) = quality["jitter_ms"].as_f64() {
        parts.push(format!("jitter {jitter:.1} ms"));
    }
    if let Some(played) = quality["played_ms"].as_f64() {
        parts.push(format!("played {:.1} s", played / 1000.0));
    }
    parts.join(", ")
}

fn key(args: &CallArgs) -> Result<Option<String>, ClientError> {
    let Some(file) = &args.key_file else { return Ok(None) };
    std::fs::read_to_string(file)
        .map(|text| Some(text.trim().to_owned()))
        .map_err(|error| ClientError::Usage(format!("{}: {error}", file.display())))
}

fn body(args: &CallArgs, instance: &str) -> Result<Value, ClientError> {
    let mut body = json!({"instanceId": instance, "target": {"phoneNumber": args.to}});
    if let Some(text) = &args.say {
        body["type"] = "FIXED_TTS".into();
        let voice = args.voice.as_deref().unwrap_or("en-US-001");
        body["tts"] = json!({"text": text, "voiceId": voice});
    } else if let Some(file) = &args.audio {
        let bytes = std::fs::read(file)
            .map_err(|error| ClientError::Usage(format!("{}: {error}", file.display())))?;
        body["type"] = "FIXED_AUDIO".into();
        let audio = base64::engine::general_purpose::STANDARD.encode(bytes);
        body["audio"] = json!({"audioBase64": audio});
    } else if !args.agent.is_empty() {
        body["type"] = "DYNAMIC_AGENT".into();
        body["agent"] = json!({"instructions": args.agent, "voiceId": args.voice});
    } else if let Some(file) = &args.script {
        body["type"] = "DYNAMIC_AGENT".into();
        let script = playbook(file)?;
        body["agent"] = json!({"backend": "script", "script": script, "voiceId": args.voice});
    } else {
        body["type"] = "DYNAMIC_STREAM".into();
    }
    Ok(body)
}

/// The playbook of a file: a list of steps, or an object with them.
fn playbook(file: &Path) -> Result<Value, ClientError> {
    let usage = |what: String| ClientError::Usage(format!("{}: {what}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| usage(error.to_string()))?;
    let script = serde_json::from_str(&text).map_err(|error| usage(error.to_string()))?;
    Ok(match script {
        Value::Array(steps) => json!({ "steps": steps }),
        script => script,
    })
}

/// The id of the only instance there is.
fn only_instance(instances: &Value) -> Result<String, ClientError> {
    let instances = instances.as_array().map_or(&[][..], Vec::as_slice);
    let ids: Vec<&str> = instances.iter().filter_map(|line| line["id"].as_str()).collect();
    match ids[..] {
        [id] => Ok(id.to_owned()),
        [] => Err(ClientError::Usage("there is no instance: make one first".to_owned())),
        _ => Err(ClientError::Usage(format!("--instance: one of {}", ids.join(", ")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        call: CallArgs,
    }

    fn args(words: &[&str]) -> CallArgs {
        let words = ["call", "--to", "+15550100"].iter().chain(words);
        Line::try_parse_from(words).unwrap().call
    }

    /// Serves these answers, one connection each, and gives back the requests' texts.
    async fn api(answers: &[(u16, &str)]) -> (String, tokio::task::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answers: Vec<(u16, String)> =
            answers.iter().map(|(status, body)| (*status, (*body).to_owned())).collect();
        let served = tokio::spawn(async move {
            let mut requests = Vec::new();
            for (status, body) in answers {
                let (mut socket, _) = listener.accept().await.unwrap();
                requests.push(request(&mut socket).await);
                let head = format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                socket.write_all((head + &body).as_bytes()).await.unwrap();
            }
            requests
        });
        (url, served)
    }

    async fn request(socket: &mut tokio::net::TcpStream) -> String {
        let (mut text, mut buffer) = (String::new(), [0; 4096]);
        loop {
            let count = socket.read(&mut buffer).await.unwrap();
            text.push_str(&String::from_utf8_lossy(&buffer[..count]));
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.to_lowercase().lines().find_map(|line| {
                line.strip_prefix("content-length: ").and_then(|n| n.parse::<usize>().ok())
            });
            if body.len() >= length.unwrap_or(0) || count == 0 {
                return text;
            }
        }
    }

    async fn place_at(
        url: &str,
        words: &[&str],
        interrupt: impl Future<Output = ()>,
    ) -> (Result<bool, ClientError>, Vec<String>) {
        let mut lines = Vec::new();
        let words: Vec<&str> = words.iter().copied().chain(["--api", url]).collect();
        let done =
            place(&args(&words), Duration::ZERO, interrupt, &mut |line| lines.push(line)).await;
        (done, lines)
    }

    #[tokio::test]
    async fn a_call_is_shown_from_queue_to_verdict() {
        let (url, served) = api(&[
            (200, r#"[{"id":"inst_demo"}]"#),
            (201, r#"{"id":"call_1","status":"QUEUED","queue_position":1}"#),
            (200, r#"{"id":"call_1","status":"RINGING"}"#),
            (503, "busy"),
            (200, r#"{"id":"call_1","status":"RINGING"}"#),
            (
                200,
                r#"{"id":"call_1","status":"COMPLETED","end_reason":"completed","sip_code":200,
                "sip_reason":"OK","duration_ms":2345,
                "quality":{"mos":4.409,"loss":0.01,"jitter_ms":0.26,"played_ms":2000}}"#,
            ),
        ])
        .await;
        let (done, lines) = place_at(&url, &["--say", "Hi"], std::future::pending()).await;
        assert!(done.unwrap());
        assert_eq!(
            lines,
            [
                "call_1  QUEUED (place 1 in the queue)",
                "call_1  RINGING",
                "call_1  COMPLETED",
                "completed, SIP 200 OK, 2.3 s, MOS 4.41, loss 1.0 %, jitter 0.3 ms, played 2.0 s",
            ]
        );
        let requests = served.await.unwrap();
        assert!(requests[1].starts_with("POST /v1/calls"), "{}", requests[1]);
        let body: Value =
            serde_json::from_str(requests[1].split("\r\n\r\n").nth(1).unwrap()).unwrap();
        assert_eq!(body["instanceId"], "inst_demo");
        assert_eq!(body["tts"], json!({"text": "Hi", "voiceId": "en-US-001"}));
    }

    #[tokio::test]
    async fn an_interrupt_ends_the_call() {
        let (url, served) = api(&[
            (201, r#"{"id":"call_1","status":"QUEUED"}"#),
            (204, ""),
            (200, r#"{"id":"call_1","status":"FAILED","end_reason":"canceled"}"#),
        ])
        .await;
        let mut lines = Vec::new();
        let args = args(&["--instance", "inst_a", "--stream", "--api", &url]);
        let poll = Duration::from_hours(1);
        let say = &mut |line| lines.push(line);
        // The look after the interrupt is at once; the hour is never waited for.
        let done = place(&args, poll, std::future::ready(()), say).await;
        assert!(!done.unwrap());
        assert!(lines[0].starts_with("stream: ws://127.0.0.1:"), "{lines:?}");
        assert_eq!(lines.last().unwrap(), "canceled");
        assert!(served.await.unwrap()[1].starts_with("DELETE /v1/calls/call_1 "));
    }

    #[tokio::test]
    async fn json_shows_the_object_whenever_it_changes() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "secret-key\n").unwrap();
        let path = file.path().to_str().unwrap();
        let (url, served) = api(&[
            (201, r#"{"id":"call_1","status":"QUEUED"}"#),
            (200, r#"{"id":"call_1","status":"QUEUED"}"#),
            (200, r#"{"id":"call_1","status":"FAILED"}"#),
        ])
        .await;
        let words = ["--instance", "inst_a", "--audio", path, "--key-file", path, "--json"];
        let (done, lines) = place_at(&url, &words, std::future::pending()).await;
        assert!(!done.unwrap());
        assert_eq!(lines.len(), 2, "{lines:?}");
        let requests = served.await.unwrap();
        assert!(requests[0].contains("authorization: Bearer secret-key"), "{}", requests[0]);
        assert!(requests[0].contains("\"audioBase64\":\"c2VjcmV0LWtleQo=\""), "{}", requests[0]);
    }

    #[tokio::test]
    async fn an_agents_call_shows_what_was_said_and_what_came_of_it() {
        let made = r#"{"id":"call_1","status":"QUEUED"}"#;
        let ended = r#"{"id":"call_1","status":"COMPLETED","end_reason":"completed","outcome":{
            "transcript":[{"speaker":"agent","text":"Good morning","interrupted":true},
                {"speaker":"caller","text":"","digits":"1"}],"result":{"choice":1}}}"#;
        let (url, served) = api(&[(201, made), (200, ended)]).await;
        let words = ["--instance", "inst_a", "--agent", "Ask.", "--agent", "Be brief."];
        let (done, lines) = place_at(&url, &words, std::future::pending()).await;
        assert!(done.unwrap());
        assert!(lines.contains(&"  agent  Good morning … [interrupted]".to_owned()), "{lines:?}");
        assert!(lines.contains(&" caller  [1]".to_owned()), "{lines:?}");
        assert!(lines.contains(&" result  {\"choice\":1}".to_owned()), "{lines:?}");
        let requests = served.await.unwrap();
        let asked = r#""instructions":["Ask.","Be brief."]"#;
        assert!(requests[0].contains(asked), "{}", requests[0]);
    }

    #[test]
    fn a_playbook_is_read_from_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), r#"[{"say": "Hello."}]"#).unwrap();
        let path = file.path().to_str().unwrap();
        let made = body(&args(&["--script", path]), "inst_a").unwrap();
        assert_eq!(made["agent"]["script"]["steps"][0]["say"], "Hello.");
        std::fs::write(file.path(), "steps").unwrap();
        let error = body(&args(&["--script", path]), "inst_a").unwrap_err();
        assert!(matches!(error, ClientError::Usage(_)), "{error}");
    }

    #[tokio::test]
    async fn what_goes_wrong_is_said() {
        let refusal = r#"{"code":"destination_not_allowed","detail":"+1 is not allowed"}"#;
        let (url, _served) = api(&[(403, refusal)]).await;
        let words = ["--instance", "inst_a", "--say", "x"];
        let (done, _) = place_at(&url, &words, std::future::pending()).await;
        assert!(done.unwrap_err().to_string().contains("403 destination_not_allowed"));
        let (url, _served) = api(&[(200, r#"[{"id":"inst_a"},{"id":"inst_b"}]"#)]).await;
        let (done, _) = place_at(&url, &["--say", "x"], std::future::pending()).await;
        assert!(done.unwrap_err().to_string().contains("one of inst_a, inst_b"));
        let (url, served) = api(&[]).await;
        served.await.unwrap();
        let (done, _) = place_at(&url, &words, std::future::pending()).await;
        assert!(matches!(done.unwrap_err(), ClientError::Unreachable { .. }));
        let words = ["--instance", "inst_a", "--audio", "/nonexistent"];
        let (done, _) = place_at("http://127.0.0.1:1", &words, std::future::pending()).await;
        assert!(matches!(done.unwrap_err(), ClientError::Usage(_)));
    }
}
