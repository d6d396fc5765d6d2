//! The rest of the protocol: envelopes, filters, other forms in the middle, fades, codes.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_client_of_json_alone_talks_and_hears() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("envelope=json&rate=8000&out_rate=8000").await;
    let start = client.told().remove(0);
    assert_eq!(start["envelope"], "json");
    client.text(r#"{"type":"audio","payload":"AQACAAMABAA="}"#);
    client.text(r#"{"type":"audio","payload":"?"}"#);
    client.binary(vec![5, 0]);
    rig.leg.hear(&[258; 160]);
    rig.beats(20).await;
    assert_eq!(rig.leg.sent[..5], [1, 2, 3, 4, 5]);
    let told = client.told();
    assert!(client.heard.is_empty(), "no binary");
    let audio = told.iter().find(|told| told["type"] == "audio").unwrap();
    assert_eq!((&audio["track"], &audio["seq"]), (&"caller".into(), &Value::Null));
    assert_eq!(audio["payload"], "AgECAQIB".repeat(53) + "AgE=");
    assert!(told.iter().any(|told| brief(told) == "error invalid_message"));
}

#[tokio::test(start_paused = true)]
async fn only_the_events_that_were_asked_for_are_told_and_numbered() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("rate=8000&events=mark,warning").await;
    client.text(r#"{"type":"utterance","id":"u"}"#);
    client.pcm(&[100; 160]);
    client.text(r#"{"type":"utterance_end"}"#);
    client.text(r#"{"type":"mark","name":"m"}"#);
    rig.beats(5).await;
    rig.stop("completed");
    rig.settle().await;
    let told = client.told();
    let briefs: Vec<String> = told.iter().map(brief).collect();
    assert_eq!(briefs, ["start", "ack u", "mark m", "stop completed"]);
    for (index, told) in told.iter().enumerate() {
        assert_eq!(told["seq"], index + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn the_form_of_audio_changes_either_way_in_the_middle() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("rate=8000&out_rate=16000&frame_ms=40").await;
    client.told();
    rig.leg.hear(&[1000; 160]);
    rig.beats(1).await;
    let text = r#"{"type":"configure","id":1,"format":"mulaw","out_format":"alaw","out_rate":8000,
        "frame_ms":20}"#;
    client.text(text);
    rig.leg.hear(&[1000; 160]);
    rig.beats(2).await;
    assert_eq!(client.brief(), ["ack 1"]);
    assert_eq!(client.frames, [160, 160], "both frames in the new form");
    let loud = crate::audio::codec::g711::encode_ulaw(8000);
    client.binary(vec![loud; 160]);
    rig.beats(5).await;
    let sent = rig.leg.sent.iter().filter(|sample| **sample > 7000).count();
    assert_eq!(sent, 160);
    client.text(r#"{"type":"configure","out_rate":11025,"id":2}"#);
    rig.beats(1).await;
    assert!(client.brief().contains(&"error unsupported_rate 2".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn the_fade_of_a_clear_is_as_long_as_was_asked() {
    for (fade_ms, samples) in [(Some(0), 0), (None, 40), (Some(50), 400), (Some(100), 800)] {
        let mut rig = Rig::answered().await;
        let mut client = rig.attach("protocol=native&rate=8000").await;
        client.pcm(&ramp(0, 16_000));
        rig.beats(10).await;
        let before = rig.leg.sent.len();
        let fade = fade_ms.map_or(String::new(), |ms: u64| format!(r#","fade_ms":{ms}"#));
        client.text(&format!(r#"{{"type":"clear","id":"c"{fade}}}"#));
        rig.settle().await;
        rig.beats(2).await;
        assert_eq!(rig.leg.sent.len() - before, samples, "{fade_ms:?}");
        let told = client.told();
        let cleared = told.iter().find(|told| told["state"] == "cleared").unwrap();
        assert_eq!(cleared["played_ms"], rig.leg.sent.len() as u64 / 8, "{fade_ms:?}");
    }
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("protocol=native&rate=8000").await;
    client.text(r#"{"type":"clear","id":"c","fade_ms":101}"#);
    rig.beats(1).await;
    assert!(client.brief().contains(&"error invalid_field c".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_stops_says_so_in_the_close() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("protocol=native").await;
    rig.tell(Control::Leaving);
    rig.stop("terminated_by_api");
    rig.settle().await;
    assert_eq!(client.brief().last().unwrap(), "stop terminated_by_api");
    assert_eq!(client.closed.map(|closed| closed.0), Some(CloseCode::GoingAway));
    drop(client);
    rig.beats(1).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_served_says_so() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("protocol=native").await;
    client.told();
    client.text(r#"{"type":"record","action":"start","id":1}"#);
    client.text(r#"{"type":"say","text":"Hello.","id":2}"#);
    client.text(r#"{"type":"play","audio_id":"aud_1","id":3}"#);
    client.text(r#"{"type":"play","id":4}"#);
    client.text(r#"{"type":"play","audio_base64":"%","id":5}"#);
    rig.beats(1).await;
    assert_eq!(
        client.brief(),
        [
            "error not_implemented 1",
            "error not_implemented 2",
            "error not_implemented 3",
            "error missing_field 4",
            "error invalid_field 5",
        ]
    );
}
