//! Recordings: asked of a call in its middle, listed, heard and deleted.

use crate::rig::{ALPHA, HEARER, READER, Rig, Setup};
use bellwire::api::gateway::Content;
use bellwire::api::rest::ApiLimits;
use bellwire::call::control::Wish;
use bellwire::call::recording::{RecordChannels, RecordStart, RecordWish};
use serde_json::json;

#[tokio::test]
async fn a_recording_is_begun_paused_and_stopped_through_the_call() {
    let rig = Rig::new().await;
    let call = rig.call("inst_a").await;
    let all = format!("/v1/calls/{call}/recordings");
    assert_eq!(rig.ask("POST", &all, None).await.code(), "conflict");
    rig.pick_up(&call);
    let body = json!({"channels": "mono", "beep": true});
    let begun = rig.ask("POST", &all, Some(&body)).await;
    assert_eq!(begun.status, 201, "{}", begun.body);
    let id = begun.body["id"].as_str().unwrap().to_owned();
    let own = format!("{all}/{id}");
    assert_eq!(begun.header("location"), own);
    assert_eq!(begun.body["call_id"], call.as_str());
    let shape = ["state", "channels", "format"].map(|name| begun.body[name].as_str().unwrap());
    assert_eq!(shape, ["recording", "mono", "wav"]);
    assert_eq!(begun.body["links"], json!({"self": own, "audio": null}));
    for (what, status) in [("pause", 200), ("resume", 200), ("stop", 202)] {
        let reply = rig.ask("POST", &format!("{own}/{what}"), None).await;
        assert_eq!((reply.status.as_u16(), &reply.body["id"]), (status, &json!(id)), "{what}");
    }
    let shown = rig.ask("GET", &format!("/v1/calls/{call}"), None).await;
    assert_eq!(shown.body["recording_ids"], json!([id]));
    let wished = std::mem::take(&mut rig.daemon.lock().unwrap().wished);
    let of = || Some(id.parse().unwrap());
    let start = RecordStart { channels: RecordChannels::Mono, beep: true };
    let wishes =
        [RecordWish::Start(start), RecordWish::Pause(of()), RecordWish::Resume(of())].into_iter();
    let wishes = wishes.chain([RecordWish::Stop(of())]).map(Wish::Record);
    assert_eq!(wished, wishes.collect::<Vec<_>>());
    let other = rig.ask("POST", &format!("{all}/rec_none_1/stop"), None).await;
    assert_eq!(other.code(), "not_found");
    let odd = rig.ask("POST", &all, Some(&json!({"channels": 2, "x": 1}))).await;
    assert_eq!(odd.places(), ["/channels wrong_type", "/x unknown_field"]);
    let read_only = rig.request("POST", &all).key(READER).send().await;
    assert_eq!(read_only.status, 403);
}

#[tokio::test]
async fn a_recording_is_listed_heard_and_deleted_also_after_the_call() {
    let rig = Rig::new().await;
    let call = rig.call("inst_a").await;
    rig.pick_up(&call);
    let all = format!("/v1/calls/{call}/recordings");
    let begun = rig.ask("POST", &all, None).await;
    let id = begun.body["id"].as_str().unwrap().to_owned();
    let own = format!("{all}/{id}");
    let audio = format!("{own}/audio");
    let dir = rig.dir.path().join("recordings");
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join(format!("{id}.wav.part")), vec![0; 44 + 32_000]).unwrap();
    let list = rig.request("GET", &all).key(READER).send().await;
    let one = &list.body["data"][0];
    assert_eq!((&one["duration_ms"], &one["octets"]), (&json!(1000), &json!(32_044)));
    assert_eq!(rig.ask("GET", &audio, None).await.code(), "conflict", "it goes on");
    assert_eq!(rig.ask("DELETE", &own, None).await.code(), "conflict");
    rig.ask("POST", &format!("{own}/stop"), None).await;
    let sound: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    std::fs::write(dir.join(format!("{id}.wav")), &sound).unwrap();
    rig.end(&call);
    let one = rig.ask("GET", &own, None).await.body;
    assert_eq!((&one["state"], &one["octets"]), (&json!("ready"), &json!(sound.len())));
    assert_eq!(one["links"]["audio"], audio.as_str());
    let heard = rig.request("GET", &audio).key(HEARER).send().await;
    assert_eq!((heard.status.as_u16(), heard.header("content-type")), (200, "audio/wav"));
    assert_eq!(heard.header("content-length"), sound.len().to_string());
    assert_eq!(heard.bytes, sound);
    for key in [ALPHA, READER] {
        let barred = rig.request("GET", &audio).key(key).send().await;
        assert_eq!((barred.status.as_u16(), barred.code()), (403, "forbidden_scope"));
    }
    assert_eq!(rig.request("GET", &own).key(HEARER).send().await.status, 200);
    assert_eq!(rig.request("DELETE", &own).key(HEARER).send().await.status, 403);
    assert_eq!(rig.ask("DELETE", &own, None).await.status, 204);
    assert_eq!(rig.ask("DELETE", &own, None).await.status, 404);
    assert_eq!(rig.ask("GET", &audio, None).await.status, 404);
    assert_eq!(rig.ask("GET", &own, None).await.body["state"], "deleted");
    let over = rig.ask("POST", &all, None).await;
    assert_eq!((over.status.as_u16(), over.code()), (410, "call_ended"));
    for path in ["..%2F..%2Fetc", "rec_", "REC_1", "rec_1%00"] {
        assert_eq!(rig.ask("GET", &format!("{all}/{path}/audio"), None).await.status, 404);
    }
}

#[tokio::test]
async fn a_request_says_what_is_recorded_from_the_answer_on() {
    let rig = Rig::new().await;
    let body = |kind: &str, record: serde_json::Value| {
        json!({"instanceId": "inst_a", "type": kind, "target": {"phoneNumber": "+14155550123"},
            "tts": if kind == "FIXED_TTS" { json!({"text": "Hi", "voiceId": "en-US-001"}) } else { json!(null) },
            "record": record})
    };
    let ask =
        async |kind: &str, record| rig.ask("POST", "/v1/calls", Some(&body(kind, record))).await;
    let on = json!({"enabled": true, "channels": "stereo", "format": "wav"});
    assert_eq!(ask("DYNAMIC_STREAM", on.clone()).await.status, 201);
    assert_eq!(ask("DYNAMIC_STREAM", json!({"enabled": false})).await.status, 201);
    {
        let daemon = rig.daemon.lock().unwrap();
        let asked = daemon.created.iter().map(|call| match &call.content {
            Content::Stream { ask, .. } => ask.record,
            _ => panic!(),
        });
        assert_eq!(asked.collect::<Vec<_>>(), [Some(RecordStart::default()), None]);
    }
    for (kind, record, status, place) in [
        (
            "DYNAMIC_STREAM",
            json!({"enabled": true, "format": "opus"}),
            501,
            "/record/format not_implemented",
        ),
        (
            "DYNAMIC_STREAM",
            json!({"enabled": true, "channels": "left"}),
            400,
            "/record/channels enum",
        ),
        ("DYNAMIC_STREAM", json!({"enabled": "yes"}), 400, "/record/enabled wrong_type"),
        ("FIXED_TTS", on.clone(), 501, "/record/enabled not_implemented"),
    ] {
        let reply = ask(kind, record).await;
        assert_eq!((reply.status.as_u16(), reply.places()), (status, vec![place.to_owned()]));
    }
    let mut limits = ApiLimits::default();
    limits.create.recording = false;
    let rig = Rig::with(Setup { limits, ..Setup::default() }).await;
    let reply = rig.ask("POST", "/v1/calls", Some(&body("DYNAMIC_STREAM", on))).await;
    assert_eq!((reply.status.as_u16(), reply.code()), (501, "not_implemented"));
}
