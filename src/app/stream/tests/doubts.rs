//! What a client is warned of beyond what was lost.

use super::*;
use crate::media::interface::Event;

fn warnings(client: &mut Client) -> Vec<String> {
    let told = client.told();
    let warnings = told.iter().filter(|told| told["type"] == "warning");
    warnings.map(|told| format!("{} {}", told["code"], told["hint"].is_string())).collect()
}

#[tokio::test(start_paused = true)]
async fn audio_of_another_rate_is_suspected() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("rate=48000&listen=none").await;
    // 24 kHz in messages of 20 ms.
    for _ in 0..400 {
        client.pcm(&[100; 480]);
        rig.beats(1).await;
    }
    assert_eq!(warnings(&mut client), [r#""rate_mismatch_suspected" true"#]);
    client.text(r#"{"type":"configure","rate":24000}"#);
    for _ in 0..400 {
        client.pcm(&[100; 480]);
        rig.beats(1).await;
    }
    assert!(warnings(&mut client).is_empty(), "it was right about that");
}

#[tokio::test(start_paused = true)]
async fn audio_that_is_cut_off_or_off_centre_is_told() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("rate=8000&listen=none").await;
    client.pcm(&[[32_767; 40], [-32_768; 40]].concat().repeat(300));
    rig.beats(160).await;
    assert_eq!(warnings(&mut client), [r#""clipping" true"#]);
    client.pcm(&vec![2000; 40_000]);
    rig.beats(300).await;
    assert_eq!(warnings(&mut client), [r#""dc_offset" true"#]);
}

#[tokio::test(start_paused = true)]
async fn silence_of_either_side_is_told_once() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("protocol=native&rate=8000").await;
    for _ in 0..700 {
        rig.leg.count(1, 0);
        rig.beats(1).await;
    }
    let told = warnings(&mut client);
    assert_eq!(told, [r#""one_way_audio" true"#, r#""no_audio" true"#]);
    client.to_server.try_send(Ok(Incoming::Alive)).unwrap();
    for _ in 0..400 {
        rig.leg.count(1, 1);
        rig.beats(1).await;
    }
    assert!(warnings(&mut client).is_empty());
}

#[tokio::test(start_paused = true)]
async fn gaps_that_were_heard_are_told_together() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("rate=8000&listen=none").await;
    client.pcm(&[1; 800]);
    rig.beats(2).await;
    for _ in 0..3 {
        rig.leg.events.push_back(Event::Underrun { samples: 160 });
        rig.beats(1).await;
    }
    client.pcm(&[1; 800]);
    rig.beats(300).await;
    let told = client.told();
    let late: Vec<&Value> = told.iter().filter(|told| told["code"] == "late").collect();
    assert_eq!(late.len(), 2, "the first at once, the others five seconds later");
    assert!(late[1]["detail"].as_str().unwrap().starts_with("2 gaps of 40 ms"), "{}", late[1]);
}

#[tokio::test(start_paused = true)]
async fn audio_that_cannot_be_read_is_told() {
    let mp3 = include_bytes!("../../../../tests/data/audio/mono-16000-cbr.mp3");
    let between = [&mp3[..2000], &[0x55; 300], &mp3[2000..]].concat();
    for (format, octets, expected) in [
        ("pcm_s16le", vec![1, 2, 3], r#""odd_bytes" true"#),
        ("mp3", between, r#""audio_damaged" false"#),
        ("wav", b"fLaC, and no RIFF".repeat(9), r#""audio_undecodable" true"#),
    ] {
        let mut rig = Rig::answered().await;
        let mut client = rig.attach(&format!("format={format}&listen=none")).await;
        client.text(r#"{"type":"utterance","id":"u"}"#);
        client.binary(octets);
        client.text(r#"{"type":"utterance_end"}"#);
        rig.beats(20).await;
        assert_eq!(warnings(&mut client), [expected], "{format}");
    }
}
