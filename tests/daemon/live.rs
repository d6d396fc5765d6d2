//! DYNAMIC_AGENT calls that a speech-to-speech model conducts, over real SIP, RTP and WebSocket.

use super::engines::{Act, RealtimeServer};
use super::rig::{Daemon, NUMBER, Phone, read_wav, share_at, spoken_wav};
use serde_json::json;

/// Milliseconds of a recording in which a tone sounds.
fn ms_of_tone(samples: &[i16], hz: f64) -> u64 {
    let sounds = |frame: &&[i16]| {
        frame.iter().any(|sample| sample.unsigned_abs() > 3000) && share_at(frame, 8000, hz) > 0.8
    };
    // Frames of 10 ms hold whole periods of the tones of this file.
    samples.chunks_exact(80).filter(sounds).count() as u64 * 10
}

#[tokio::test(flavor = "multi_thread")]
async fn a_speech_model_is_heard_interrupted_and_brings_a_result_home() {
    let dir = tempfile::tempdir().unwrap();
    let answer = spoken_wav(dir.path(), "answer.wav", "Yes, on Monday.").await;
    let heard = dir.path().join("heard.wav");
    let at = format!("spoken:2s=play:{}", answer.display());
    let phone = Phone::start(&["--record", heard.to_str().unwrap(), "--at", &at]);
    let long = "One two three four five six seven eight nine ten eleven twelve thirteen fourteen.";
    let server = RealtimeServer::start(
        "yes on monday",
        vec![
            vec![Act::Say(long, 700.0, 20.0)],
            vec![Act::Call("record_result", json!({ "day": "monday" }))],
            vec![
                Act::Say("Goodbye.", 1500.0, 1.0),
                Act::Call("hang_up", json!({ "reason": "all is said" })),
            ],
        ],
    )
    .await;
    let engine = format!(
        "[agent.default.turn]\nnetwork_delay = \"100ms\"\n\
         [[engine.llm]]\nname = \"speech\"\nkind = \"openai-realtime\"\nurl = \"{}\"\n\
         model = \"m\"\n",
        server.url
    );
    let daemon = Daemon::start(&phone.address, &engine).await;
    let body = json!({
        "instanceId": "inst_demo",
        "type": "DYNAMIC_AGENT",
        "target": { "phoneNumber": NUMBER },
        "agent": { "instructions": ["Ask for a day."] },
    });
    let (status, call) = daemon.post("/v1/calls", &body).await;
    assert_eq!(status, 201, "{call:#}");
    let call = daemon.wait_for_end(call["id"].as_str().unwrap()).await;
    phone.wait_for("ended");
    assert_eq!(
        (&call["status"], &call["end_reason"]),
        (&json!("COMPLETED"), &json!("completed")),
        "{call:#}"
    );
    let outcome = &call["outcome"];
    assert_eq!(outcome["result"], json!({ "day": "monday" }), "{outcome:#}");
    assert_eq!(outcome["interruptions"], 1, "{outcome:#}");
    assert_eq!(outcome["reason"], "all is said", "{outcome:#}");
    let heard = read_wav(&heard);
    let (told, goodbye) = (ms_of_tone(&heard, 700.0), ms_of_tone(&heard, 1500.0));
    assert!((960..=1020).contains(&goodbye), "{goodbye} ms of the goodbye were heard");
    let truncates = server.seen("conversation.item.truncate");
    assert_eq!(truncates.len(), 1, "{truncates:?}");
    assert_eq!(truncates[0]["item_id"], "item_1");
    let end = truncates[0]["audio_end_ms"].as_u64().unwrap();
    assert!(told.abs_diff(end + 100) <= 60, "{told} ms were heard, the server was told {end}");
    println!("heard {told} ms, the server was told {end} ms and takes off 100 ms");
    let lines = outcome["transcript"].as_array().unwrap();
    let texts: Vec<&str> = lines.iter().map(|line| line["text"].as_str().unwrap()).collect();
    assert_eq!(texts[1..], ["yes on monday", "Goodbye."], "{outcome:#}");
    assert!(texts[0].starts_with("One") && !texts[0].contains("nine"), "{outcome:#}");
    assert_eq!(lines[0]["interrupted"], true, "{outcome:#}");
    let results = server.seen("conversation.item.create");
    assert_eq!(results.len(), 1, "{results:?}");
    assert_eq!(results[0]["item"]["type"], "function_call_output", "{results:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_server_the_call_says_so_and_ends_with_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let heard = dir.path().join("heard.wav");
    let phone = Phone::start(&["--record", heard.to_str().unwrap()]);
    let engine = "[[engine.llm]]\nname = \"speech\"\nkind = \"openai-realtime\"\n\
                  url = \"ws://127.0.0.1:9/v1/realtime\"\nmodel = \"m\"\n";
    let daemon = Daemon::start(&phone.address, engine).await;
    let agent = json!({ "instructions": ["Ask for a day."] });
    let id = daemon.create("DYNAMIC_AGENT", "agent", agent).await;
    let call = daemon.wait_for_end(&id).await;
    assert_eq!(call["end_reason"], "error", "{call:#}");
    let outcome = &call["outcome"];
    assert_eq!(outcome["status"], "failed", "{outcome:#}");
    assert_eq!(outcome["transcript"].as_array().unwrap().len(), 1, "{outcome:#}");
    phone.wait_for("ended");
    let loud = read_wav(&heard).iter().filter(|sample| sample.unsigned_abs() > 1000).count();
    assert!(loud > 4000, "the failure sentence is heard: {loud} loud samples");
}
