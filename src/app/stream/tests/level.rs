//! Streams whose level somebody asked for.

use super::*;
use crate::app::stream::LevelSpec;
use crate::media::interface::Command;

/// A word of 400 ms and a pause of 100 ms, at this amplitude.
fn word(amplitude: i16) -> Vec<i16> {
    let wave = [0, 1, 0, -1].map(|sign| sign * amplitude);
    let mut word: Vec<i16> = wave.into_iter().cycle().take(3_200).collect();
    word.resize(4_000, 0);
    word
}

fn peak(samples: &[i16]) -> u16 {
    samples.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0)
}

/// Plays ten seconds of words in real time.
async fn words(rig: &mut Rig, client: &Client, amplitude: i16) {
    for _ in 0..20 {
        for piece in word(amplitude).chunks(800) {
            client.pcm(piece);
            rig.beats(5).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_quiet_stream_is_raised_if_its_client_asks() {
    let mut rig = Rig::answered().await;
    let client = rig.attach("rate=8000&listen=none&agc=on").await;
    words(&mut rig, &client, 800).await;
    let sent = &rig.leg.sent;
    assert!(peak(&sent[..4_000]) < 1_000, "slowly");
    let late = peak(&sent[sent.len() - 8_000..]);
    assert!((2_800..3_300).contains(&late), "by 12 dB and no more: {late}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_touched_unless_somebody_asks() {
    let mut rig = Rig::answered().await;
    let client = rig.attach("rate=8000&listen=none").await;
    words(&mut rig, &client, 800).await;
    let wanted = word(800).repeat(20);
    assert_eq!(rig.leg.sent[..], wanted[..rig.leg.sent.len()]);
    // The configuration asks, and the client knows better.
    let level = LevelSpec { agc: true, ..LevelSpec::default() };
    let mut rig = Rig::answered_with(StreamSpec { level, ..spec() }).await;
    let client = rig.attach("rate=8000&listen=none&agc=off").await;
    words(&mut rig, &client, 800).await;
    assert_eq!(rig.leg.sent[..], wanted[..rig.leg.sent.len()]);
}

#[tokio::test(start_paused = true)]
async fn marks_and_lengths_stay_exact_with_a_limiter_that_looks_ahead() {
    for query in ["agc=on", "dc_block=on"] {
        let mut rig = Rig::answered().await;
        let mut client = rig.attach(&format!("rate=8000&listen=none&{query}")).await;
        client.text(r#"{"type":"utterance","id":"u1"}"#);
        client.pcm(&[500; 807]);
        client.text(r#"{"type":"mark","name":"in"}"#);
        client.pcm(&[500; 793]);
        client.text(r#"{"type":"utterance_end"}"#);
        client.text(r#"{"type":"mark","name":"end"}"#);
        rig.beats(20).await;
        let told = client.told();
        let length = |name: &str| {
            let message = told.iter().find(|message| brief(message) == name);
            message.unwrap_or_else(|| panic!("{name}: {told:?}"))["played_ms"].as_u64().unwrap()
        };
        assert_eq!(length("mark in"), 100, "{query}");
        assert_eq!(length("playback completed u1"), 200, "{query}");
        assert_eq!(length("mark end"), 200, "{query}");
        assert_eq!(rig.leg.sent.len(), 1_600, "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_turns_the_background_off_and_on() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("listen=none").await;
    client.text(r#"{"type":"background","on":false,"id":"b1"}"#);
    client.text(r#"{"type":"background","on":true,"id":"b2"}"#);
    client.text(r#"{"type":"background","id":"b3"}"#);
    rig.beats(2).await;
    let told = client.brief();
    assert_eq!(told[told.len() - 3..], ["ack b1", "ack b2", "error missing_field b3"]);
    let mut obeyed = rig.leg.obeyed.iter().rev();
    let last = obeyed.find(|command| matches!(command, Command::Background(_)));
    assert_eq!(last, Some(&Command::Background(true)));
}

#[tokio::test(start_paused = true)]
async fn a_clear_forgets_what_the_limiter_held_back() {
    let mut rig = Rig::answered().await;
    let client = rig.attach("rate=8000&listen=none&agc=on").await;
    client.pcm(&[9_000; 1_630]);
    rig.beats(2).await;
    client.text(r#"{"type":"clear"}"#);
    rig.beats(2).await;
    let before = rig.leg.sent.len();
    client.text(r#"{"type":"utterance","id":"u2"}"#);
    client.pcm(&[0; 1_600]);
    client.text(r#"{"type":"utterance_end"}"#);
    rig.beats(20).await;
    assert_eq!(rig.leg.sent.len() - before, 1_600);
    assert_eq!(peak(&rig.leg.sent[before..]), 0);
}

#[tokio::test(start_paused = true)]
async fn the_caller_is_levelled_for_a_client_that_asks_sample_for_sample() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("out_rate=8000&out_agc=on").await;
    let mut heard = 0;
    for _ in 0..20 {
        for packet in word(800).chunks(160) {
            assert!(rig.leg.hear(packet));
            heard += packet.len();
            rig.beats(1).await;
        }
    }
    client.told();
    assert_eq!(client.heard.len(), 2 * heard);
    let samples: Vec<i16> =
        client.heard.as_chunks::<2>().0.iter().map(|pair| i16::from_le_bytes(*pair)).collect();
    assert!(peak(&samples[..4_000]) < 1_000);
    let late = peak(&samples[samples.len() - 8_000..]);
    assert!((2_800..3_300).contains(&late), "{late}");
}

#[tokio::test(start_paused = true)]
async fn a_live_client_is_levelled_and_no_sample_is_lost() {
    let mut rig = Rig::answered().await;
    let client = rig.attach("playout=live&rate=8000&listen=none&agc=on").await;
    words(&mut rig, &client, 800).await;
    client.text(r#"{"type":"mark","name":"end"}"#);
    rig.beats(10).await;
    let sent = &rig.leg.sent;
    assert_eq!(sent.len(), 20 * word(0).len());
    let late = peak(&sent[sent.len() - 8_000..]);
    assert!((2_800..3_300).contains(&late), "{late}");
}

#[tokio::test(start_paused = true)]
async fn the_caller_is_levelled_for_a_client_that_plays_at_a_beat() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("jitter=paced&out_rate=8000&out_agc=on").await;
    for _ in 0..20 {
        for packet in word(800).chunks(160) {
            assert!(rig.leg.hear(packet));
            rig.beats(1).await;
        }
    }
    client.told();
    let samples: Vec<i16> =
        client.heard.as_chunks::<2>().0.iter().map(|pair| i16::from_le_bytes(*pair)).collect();
    assert!(peak(&samples[..4_000]) < 1_000);
    let late = peak(&samples[samples.len() - 8_000..]);
    assert!((2_800..3_300).contains(&late), "{late}");
}
