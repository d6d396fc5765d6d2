use super::*;

#[tokio::test(start_paused = true)]
async fn a_stalled_socket_delays_neither_playout_nor_reading() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("protocol=native&rate=8000&out_rate=8000").await;
    client.told();
    client.stall(true);
    client.pcm(&ramp(0, 8000));
    for _ in 0..60 {
        rig.leg.hear(&[3; 160]);
        rig.beats(1).await;
    }
    assert_eq!(rig.leg.sent, ramp(0, 8000));
    assert!(client.told().is_empty());
    client.stall(false);
    rig.beats(2).await;
    assert_eq!(client.brief(), ["playback started", "playback completed"]);
    assert_eq!(client.heard.len(), 60 * 320, "nothing is lost within the backlog");
}

#[tokio::test(start_paused = true)]
async fn beyond_ten_seconds_the_oldest_caller_audio_goes_and_is_told() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("protocol=native&out_rate=8000").await;
    client.told();
    client.stall(true);
    for tick in 0..600_i16 {
        rig.leg.hear(&[tick; 160]);
        rig.beats(1).await;
    }
    client.stall(false);
    rig.beats(60).await;
    let told = client.told();
    let dropped: u64 = told
        .iter()
        .filter(|told| brief(told) == "warning dropped")
        .map(|told| told["dropped_ms"].as_u64().unwrap())
        .sum();
    // What the socket had taken before it stalled was one frame.
    let heard = client.heard.len() as u64 / 16;
    assert_eq!(heard + dropped, 12_000);
    assert!((10_000..=10_040).contains(&heard), "{heard}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_answers_a_ping_is_gone() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("protocol=native&listen=none").await;
    rig.beats(800).await;
    client.told();
    assert_eq!(client.pings, 1);
    client.to_server.try_send(Ok(Incoming::Alive)).unwrap();
    rig.beats(700).await;
    client.told();
    assert_eq!(client.pings, 2);
    assert!(!rig.reports().contains(&Report::Detached));
    rig.beats(600).await;
    assert!(rig.reports().contains(&Report::Detached));
    assert!(rig.seats.reserve(StreamOptions::default()).is_ok());
}

#[tokio::test(start_paused = true)]
async fn nonsense_is_answered_and_in_the_end_shown_the_door() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("protocol=native").await;
    client.told();
    for index in 0..100 {
        client.text(["", "{", "[1]", "\u{0}", "{\"type\":\"x\"}"][index % 5]);
    }
    rig.beats(2).await;
    let told = client.told();
    assert_eq!(told.len(), 82, "an unknown type is no fault, 64 others are forgiven");
    assert!(told[..81].iter().all(|told| told["type"] == "error" && told["fatal"] == false));
    assert_eq!(told[81]["fatal"], true);
    assert_eq!(client.closed.map(|closed| closed.0), Some(CloseCode::Protocol));
    drop(client);
    rig.beats(1).await;
    assert!(rig.reports().contains(&Report::Detached), "the call goes on");
}

#[tokio::test(start_paused = true)]
async fn too_big_messages_close_with_1009() {
    let long = format!(r#"{{"type":"ping","x":"{}"}}"#, "x".repeat(256 * 1024));
    let cases = [Ok(Incoming::Text(long)), Err(SocketError::TooBig)];
    for case in cases {
        let mut rig = Rig::answered().await;
        let mut client = rig.attach("protocol=native").await;
        client.to_server.try_send(case).unwrap();
        rig.beats(1).await;
        client.told();
        assert_eq!(client.closed.map(|closed| closed.0), Some(CloseCode::TooBig));
    }
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("").await;
    client.to_server.try_send(Err(SocketError::Protocol("rsv".into()))).unwrap();
    rig.beats(1).await;
    client.told();
    assert_eq!(client.closed.map(|closed| closed.0), Some(CloseCode::Protocol));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_audio_is_refused_and_other_work_goes_on() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("protocol=native&rate=8000&buffer_ms=2000&out_rate=8000").await;
    client.told();
    for _ in 0..200 {
        client.binary(vec![0; 1 << 20]);
    }
    let mut dropped = 0;
    for _ in 0..200 {
        rig.leg.hear(&[1; 160]);
        rig.beats(1).await;
        for told in client.told() {
            dropped += told["dropped_ms"].as_u64().unwrap_or(0);
        }
    }
    assert!(rig.leg.sounding);
    assert_eq!(client.heard.len(), 200 * 320, "the caller is heard meanwhile");
    // 4 s at 4 MiB/s and a burst of 16 MiB, 65 s of sound each.
    assert!((20 * 60_000..35 * 66_000).contains(&dropped), "{dropped}");
    assert!(client.to_server.capacity() < 100_000, "the rest waits in the sender");
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_text_is_slowed_down() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("protocol=native&listen=none").await;
    client.told();
    for _ in 0..20_000 {
        client.text(r#"{"type":"ping"}"#);
    }
    let (mut pongs, mut warned) = (0, 0);
    for _ in 0..50 {
        rig.beats(1).await;
        let told = client.brief();
        pongs += told.iter().filter(|told| *told == "pong").count();
        warned += told.iter().filter(|told| *told == "warning rate_limited").count();
    }
    assert_eq!(warned, 1, "it is told, once a second at most");
    assert!((5000..6000).contains(&pongs), "{pongs}");
    rig.beats(1600).await;
    pongs += client.brief().iter().filter(|told| *told == "pong").count();
    assert_eq!(pongs, 20_000, "none is lost");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_but_does_not_read_is_let_go() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("protocol=native&listen=none").await;
    client.told();
    client.stall(true);
    for _ in 0..12_000 {
        client.text(r#"{"type":"ping"}"#);
    }
    rig.beats(1500).await;
    assert!(rig.reports().contains(&Report::Detached));
    assert!(rig.seats.reserve(StreamOptions::default()).is_ok());
}

#[tokio::test(start_paused = true)]
async fn too_many_marks_are_refused_by_name() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("protocol=native&rate=8000").await;
    client.pcm(&vec![0; 16_000]);
    for index in 0..4097 {
        client.text(&format!(r#"{{"type":"mark","name":"{index}"}}"#));
    }
    client.text(r#"{"type":"mark","name":"last","id":"last"}"#);
    rig.beats(5).await;
    let told = client.brief();
    assert!(told.contains(&"error too_many_marks last".to_owned()), "{:?}", told.last());
}

#[tokio::test(start_paused = true)]
async fn garbage_in_every_format_neither_panics_nor_stops_the_call() {
    let garbage: Vec<u8> =
        (0..60_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[2]).collect();
    for format in ["auto", "pcm_f32le", "mulaw", "mp3", "wav"] {
        let mut rig = Rig::answered().await;
        let mut client = rig.attach(&format!("protocol=native&format={format}")).await;
        for (index, chunk) in garbage.chunks(997).enumerate() {
            client.binary(chunk.to_vec());
            if index % 7 == 0 {
                client.text(r#"{"type":"utterance_end"}"#);
            }
        }
        rig.beats(30).await;
        client.text(r#"{"type":"clear"}"#);
        client.text(r#"{"type":"configure","format":"pcm_s16le","rate":8000}"#);
        client.text(r#"{"type":"ping","id":"still here"}"#);
        rig.beats(5).await;
        assert!(client.brief().contains(&"pong still here".to_owned()), "{format}");
        let before = rig.leg.sent.len();
        client.pcm(&ramp(1, 800));
        rig.beats(20).await;
        assert_eq!(rig.leg.sent[before..before + 800], ramp(1, 800), "{format}");
    }
}
