//! The closed loop: Pico speaks through real RTP, PocketSphinx understands through real RTP.
//!
//! FIXED_TTS → G.711 → the phone's recording → G.711 → DYNAMIC_STREAM with transcripts. It catches
//! what no signal measure names: a wrong law, rate, sign or byte order, chopped starts, dropped
//! sentences.

use super::client::Client;
use super::rig::{Daemon, NUMBER, Phone};
use serde_json::json;

const PHRASES: [&str; 20] = [
    "I would like to cancel my appointment",
    "please call me back tomorrow morning",
    "the meeting starts at three o'clock",
    "yes that is correct thank you",
    "no I do not want that",
    "can you repeat the last question",
    "I need to speak with a person",
    "my order has not arrived yet",
    "please send the invoice by mail",
    "what are your opening hours today",
    "I want to change my address",
    "the weather is very nice today",
    "could you please hold the line",
    "I have lost my credit card",
    "when does the next train leave",
    "please connect me to the sales department",
    "how much does the ticket cost",
    "I will pay the bill on friday",
    "the package was damaged on arrival",
    "thank you very much for your help",
];

#[tokio::test(flavor = "multi_thread")]
async fn twenty_phrases_are_spoken_and_understood() {
    let dir = tempfile::tempdir().unwrap();
    let heard = dir.path().join("heard.wav");
    let heard = heard.to_str().unwrap();
    let phone = Phone::start(&["--ring", "0s", "--record", heard]);
    let daemon = Daemon::start(&phone.address, "").await;
    let pause = "<break time=\"900ms\"/>";
    let text = format!("<speak>{}{pause}</speak>", PHRASES.join(pause));
    let tts = json!({ "text": text, "voiceId": "en-US-001", "ssml": true });
    let id = daemon.create("FIXED_TTS", "tts", tts).await;
    let call = daemon.wait_for_end(&id).await;
    assert_eq!(call["status"], "COMPLETED", "{call:#}");
    phone.wait_for("ended");

    let phone = Phone::start(&["--ring", "0s", "--play", heard]);
    let engine = "[[engine.stt]]\nname = \"sphinx\"\nkind = \"sphinx\"\n";
    let daemon = Daemon::start(&phone.address, engine).await;
    let body = json!({
        "instanceId": "inst_demo",
        "type": "DYNAMIC_STREAM",
        "target": { "phoneNumber": NUMBER },
        "transcribe": { "backend": "sphinx", "language": "en-US", "phrases": PHRASES },
    });
    let (status, call) = daemon.post("/v1/calls", &body).await;
    assert_eq!(status, 201, "{call:#}");
    let id = call["id"].as_str().unwrap();
    let mut client = Client::attach(&daemon, id, "?listen=none&transcripts=final").await;
    let mut understood = Vec::new();
    let mut before = 0;
    for _ in PHRASES {
        let told = client.next("transcript").await;
        let (start, end) = (told["start_ms"].as_u64().unwrap(), told["end_ms"].as_u64().unwrap());
        assert!(told["constrained"] == true && before <= start && start < end, "{told:#}");
        before = end;
        understood.push(told["text"].as_str().unwrap().to_owned());
    }
    assert_eq!(understood, PHRASES);
    client.send(json!({ "type": "hangup" })).await;
    daemon.wait_for_end(id).await;
    let (_, transcript) = daemon.get(&format!("/v1/calls/{id}/transcript")).await;
    let lines = transcript["lines"].as_array().unwrap();
    assert_eq!((lines.len(), &transcript["engine"]), (20, &json!("sphinx")), "{transcript:#}");
}
