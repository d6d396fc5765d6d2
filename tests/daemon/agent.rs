//! DYNAMIC_AGENT calls over real SIP and RTP: a playbook, and a chat model with a transcriber.

use super::client::Client;
use super::engines::{Answer, ChatServer, tool, vosk, words};
use super::rig::{Daemon, NUMBER, Phone, read_wav, spoken_wav};
use serde_json::{Value, json};

/// Transcript lines of one speaker.
fn lines<'a>(outcome: &'a Value, speaker: &str) -> Vec<&'a str> {
    let lines = outcome["transcript"].as_array().unwrap().iter();
    lines
        .filter(|line| line["speaker"] == speaker)
        .map(|line| line["text"].as_str().unwrap())
        .collect()
}

fn agent_call(agent: &Value) -> Value {
    json!({
        "instanceId": "inst_demo",
        "type": "DYNAMIC_AGENT",
        "target": { "phoneNumber": NUMBER },
        "agent": agent,
    })
}

async fn place(daemon: &Daemon, agent: &Value) -> String {
    let (status, call) = daemon.post("/v1/calls", &agent_call(agent)).await;
    assert_eq!(status, 201, "{call:#}");
    call["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_brain_nothing_is_dialled() {
    let daemon = Daemon::start("127.0.0.1:9", "").await;
    let seed = json!({ "instructions": ["You are calling Mrs Smith to confirm her visit."] });
    let (status, problem) = daemon.post("/v1/calls", &agent_call(&seed)).await;
    assert_eq!(
        (status, &problem["code"]),
        (503, &json!("agent_engine_unavailable")),
        "{problem:#}"
    );
    assert!(problem["detail"].as_str().unwrap().contains("[[engine.llm]]"), "{problem:#}");
    let broken = json!({ "backend": "script", "steps": [{ "say": "x" }, { "sing": "y" }] });
    let (status, problem) = daemon.post("/v1/calls", &agent_call(&broken)).await;
    assert_eq!((status, &problem["code"]), (400, &json!("invalid_request")), "{problem:#}");
    assert_eq!(problem["errors"][0]["pointer"], "/agent/steps/1", "{problem:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playbook_asks_hears_keys_and_reports() {
    let phone = Phone::start(&["--at", "quiet:700ms=dtmf:7", "--at", "quiet:700ms=dtmf:1"]);
    let daemon = Daemon::start(&phone.address, "").await;
    let id = place(
        &daemon,
        &json!({
            "backend": "script",
            "resultSchema": {
                "type": "object",
                "properties": { "choice": { "type": "integer" } },
                "required": ["choice"],
            },
            "steps": [
                { "say": "Press one to confirm, or two to cancel." },
                { "ask": { "dtmf": ["1", "2"] }, "timeout": 8, "saveAs": "choice" },
                { "branch": { "on": "choice", "cases": {
                    "1": [{ "say": "Thank you." }],
                    "2": [{ "say": "What a pity." }],
                }, "otherwise": [{ "repeat": 2 }] } },
                { "record": { "choice": "{choice}" } },
                { "hangup": {} },
            ],
        }),
    )
    .await;
    let call = daemon.wait_for_end(&id).await;
    assert_eq!(
        (&call["status"], &call["end_reason"]),
        (&json!("COMPLETED"), &json!("completed")),
        "{call:#}"
    );
    let outcome = &call["outcome"];
    assert_eq!(outcome["status"], "completed", "{call:#}");
    assert_eq!(outcome["result"], json!({ "choice": 1 }), "{outcome:#}");
    assert_eq!(lines(outcome, "agent").last(), Some(&"Thank you."), "{outcome:#}");
    let (status, transcript) = daemon.get(&format!("/v1/calls/{id}/transcript")).await;
    assert_eq!((status, &transcript["status"]), (200, &json!("unavailable")), "{transcript:#}");
    assert_eq!(transcript["reason"], "no STT engine configured", "{transcript:#}");
    phone.wait_for("ended");
}

/// A librarian that talks at length, hears a day, records it and hangs up.
fn librarian(request: &Value) -> Answer {
    let messages = request["messages"].as_array().unwrap();
    let said = messages.iter().any(|message| message["content"].to_string().contains("monday"));
    let tools = messages.iter().filter(|message| message["role"] == "tool").count();
    match (said, tools) {
        (false, _) => words(
            "Good morning, this is the public library. The atlas that you borrowed is overdue. \
             Somebody else has been waiting for it with great patience since last week.",
        ),
        (true, 0) => tool("t1", "record_result", &json!({ "day": "monday" })),
        (true, _) => {
            let mut answer = words("Monday it is. Goodbye.");
            answer.pop();
            answer.extend(tool("t2", "hang_up", &json!({ "reason": "all is said" })));
            answer
        }
    }
}

/// The whole thing: interruption, tools, a structured result, and latencies.
#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_interrupted_uses_tools_and_brings_a_result_home() {
    let dir = tempfile::tempdir().unwrap();
    let answer = spoken_wav(dir.path(), "answer.wav", "Yes, I will bring it back on Monday.").await;
    let answer = format!("play:{}", answer.display());
    let phone = Phone::start(&["--at", &format!("spoken:2s={answer}")]);
    let stt = vosk(&["yes i will bring it back on monday"]).await;
    let chat = ChatServer::start(librarian).await;
    let engines = format!(
        "[[engine.stt]]\nname = \"vosk\"\nkind = \"vosk\"\nurl = \"{stt}\"\n\
         [[engine.llm]]\nname = \"local\"\nkind = \"openai-chat\"\nurl = \"{}\"\nmodel = \"m\"\n",
        chat.url
    );
    let daemon = Daemon::start(&phone.address, &engines).await;
    let agent = json!({
        "instructions": ["Remind the reader of the overdue atlas.", "Ask for a day."],
        "resultSchema": {
            "type": "object",
            "properties": { "day": { "type": "string" } },
            "required": ["day"],
        },
    });
    let id = place(&daemon, &agent).await;
    let call = daemon.wait_for_end(&id).await;
    let ended = (&call["status"], &call["end_reason"]);
    assert_eq!(ended, (&json!("COMPLETED"), &json!("completed")), "{call:#}");
    let outcome = &call["outcome"];
    assert_eq!(outcome["result"], json!({ "day": "monday" }), "{outcome:#}");
    assert_eq!(outcome["interruptions"], 1, "{outcome:#}");
    assert_eq!(lines(outcome, "caller"), ["yes i will bring it back on monday"], "{outcome:#}");
    let all = outcome["transcript"].as_array().unwrap();
    let cut = all.iter().filter(|line| line["interrupted"] == true).count();
    assert_eq!(cut, 1, "{outcome:#}");
    let heard = lines(outcome, "agent").join(" ");
    assert!(heard.starts_with("Good morning"), "{heard}");
    assert!(!heard.contains("last week"), "nobody heard the end: {heard}");
    told_what_was_heard(&chat);
    let mut turns = outcome["turns"].as_array().unwrap().iter().rev();
    let turn = turns.find(|turn| turn["first_rtp_ms"].is_u64()).unwrap();
    let stages =
        ["turn_end_ms", "transcript_ms", "first_token_ms", "first_sentence_ms", "gateway_ms"];
    for stage in stages {
        assert!(turn[stage].is_u64(), "{stage}: {turn:#}");
    }
    eprintln!("latencies of the answers: {}", outcome["turns"]);
    phone.wait_for("ended");
}

/// The model is told what was heard, and nothing else; the callee's words are no instructions.
fn told_what_was_heard(chat: &ChatServer) {
    let last = chat.requests().pop().unwrap();
    let told = last["messages"].to_string();
    assert!(told.contains("[interrupted]") && !told.contains("last week"), "{told}");
    let system = &last["messages"][0];
    assert_eq!(system["role"], "system");
    assert!(!system["content"].to_string().contains("monday"), "{system}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_watches_an_agent_and_cannot_speak_for_it() {
    let phone = Phone::start(&["--ring", "700ms", "--at", "quiet:700ms=dtmf:1"]);
    let daemon = Daemon::start(&phone.address, "").await;
    let id = place(
        &daemon,
        &json!({
            "backend": "script",
            "steps": [
                { "say": "Press one." },
                { "ask": { "dtmf": ["1"] }, "timeout": 8, "saveAs": "choice" },
                { "say": "Thank you." },
                { "hangup": {} },
            ],
        }),
    )
    .await;
    let mut watcher = Client::attach(&daemon, &id, "?protocol=native").await;
    let start = watcher.next("start").await;
    assert_eq!(start["call_id"], id.as_str(), "{start}");
    watcher.event("answered").await;
    watcher.send_audio(&[1000; 800], 320).await;
    let error = watcher.next("error").await;
    assert_eq!((&error["code"], &error["fatal"]), (&json!("conflict"), &json!(false)), "{error}");
    let mut states = Vec::new();
    while states.last() != Some(&json!("closing")) {
        states.push(watcher.next("turn").await["state"].clone());
    }
    assert!(states.contains(&json!("agent_speaking")), "{states:?}");
    let first = watcher.next("transcript").await;
    assert_eq!(first["text"], "Press one.", "{first}");
    assert_eq!(watcher.next("dtmf").await["digit"], "1");
    let outcome = watcher.next("outcome").await;
    assert_eq!(outcome["outcome"]["status"], "completed", "{outcome}");
    let stop = watcher.next("stop").await;
    assert_eq!(stop["reason"], "completed", "{stop}");
    assert!(watcher.audio.is_empty(), "a watcher hears nothing");
    let call = daemon.wait_for_end(&id).await;
    assert_eq!(call["status"], "COMPLETED", "{call:#}");
    assert_eq!(call["outcome"]["status"], "completed", "{call:#}");
    phone.wait_for("ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn voices_let_themselves_be_heard() {
    let daemon = Daemon::start("127.0.0.1:9", "").await;
    let sample = daemon.request("GET", "/v1/voices/en-US-001/sample").send().await.unwrap();
    assert_eq!(sample.status(), 200);
    assert_eq!(sample.headers()["content-type"], "audio/wav");
    let octets = sample.bytes().await.unwrap();
    assert!(octets.starts_with(b"RIFF") && octets.len() > 16_000, "{} octets", octets.len());
    let (status, problem) = daemon.get("/v1/voices/nobody/sample").await;
    assert_eq!(status, 404, "{problem:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ssml_is_spoken_without_its_tags_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    let heard = dir.path().join("heard.wav");
    let phone = Phone::start(&["--record", heard.to_str().unwrap()]);
    let daemon = Daemon::start(&phone.address, "").await;
    let tts = |text: &str| json!({ "text": text, "voiceId": "en-GB-001", "ssml": true });
    let good = "<speak>Your visit is on <emphasis>Monday</emphasis> at noon.</speak>";
    let id = daemon.create("FIXED_TTS", "tts", tts(good)).await;
    assert_eq!(daemon.wait_for_end(&id).await["status"], "COMPLETED");
    phone.wait_for("ended");
    let sounding = |samples: Vec<i16>| {
        let loud = |sample: &i16| sample.unsigned_abs() > 500;
        let (first, last) = (samples.iter().position(loud), samples.iter().rposition(loud));
        last.unwrap() - first.unwrap()
    };
    let plain = spoken_wav(dir.path(), "plain.wav", "Your visit is on Monday at noon.").await;
    let (heard, plain) = (sounding(read_wav(&heard)), sounding(read_wav(&plain)));
    assert!(heard.abs_diff(plain) < plain / 5, "{heard} samples for {plain} without tags");
    for bad in ["<speak>Hello", "<speak><audio src=\"x\"/></speak>", "<speak></speak>"] {
        let body = json!({
            "instanceId": "inst_demo",
            "type": "FIXED_TTS",
            "target": { "phoneNumber": NUMBER },
            "tts": tts(bad),
        });
        let (status, problem) = daemon.post("/v1/calls", &body).await;
        assert_eq!((status, &problem["code"]), (400, &json!("invalid_request")), "{problem:#}");
        assert_eq!(problem["errors"][0]["pointer"], "/tts/text", "{problem:#}");
    }
}
