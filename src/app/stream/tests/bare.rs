use super::*;

fn events(client: &mut Client) -> Vec<String> {
    client
        .told()
        .iter()
        .map(|told| {
            assert_eq!(told["type"], "call_event");
            told["event"].as_str().unwrap().to_owned()
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn the_reference_session() {
    let mut rig = Rig::new();
    for event in ["queued", "dialing", "ringing"] {
        rig.event(event);
    }
    let mut client = rig.attach("").await;
    assert_eq!(events(&mut client), ["queued", "dialing", "ringing"]);
    let samples: Vec<i16> = (0..16_000).map(|n| if n % 40 < 20 { 9000 } else { -9000 }).collect();
    client.pcm(&samples);
    rig.beats(20).await;
    assert!(rig.leg.sent.is_empty(), "nothing plays before the answer");
    rig.event("answered");
    rig.start();
    rig.beats(60).await;
    assert_eq!(events(&mut client), ["answered"]);
    assert_eq!(rig.leg.sent.len(), 8000, "16 kHz by default, kept and started at the answer");
    assert!(rig.leg.sent[4000..4100].iter().any(|sample| *sample > 8000));
    assert_eq!(rig.reports(), [Report::Attached { protocol: "cawme", rate: None }]);
    rig.stop("callee_hangup");
    rig.settle().await;
    assert_eq!(events(&mut client), ["ended"]);
    assert_eq!(client.closed, Some((CloseCode::Normal, "")));
    assert!(client.heard.is_empty());
}

#[tokio::test(start_paused = true)]
async fn text_of_the_client_is_tolerated_and_binary_is_sniffed() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("").await;
    events(&mut client);
    client.text("hello");
    client.text(r#"{"type":"clear"}"#);
    client.binary(wav(24_000, &vec![1000; 24_000]));
    rig.beats(60).await;
    assert!((7900..=8000).contains(&rig.leg.sent.len()), "{}", rig.leg.sent.len());
    assert!(events(&mut client).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_second_file_after_a_pause_is_read_as_a_file() {
    let mut rig = Rig::answered().await;
    let client = rig.attach("").await;
    for _ in 0..2 {
        client.binary(wav(8000, &[1000; 4000]));
        rig.beats(60).await;
    }
    assert_eq!(rig.leg.sent, [1000; 8000]);
}

#[tokio::test(start_paused = true)]
async fn flac_is_refused_in_words_that_every_client_can_show() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("").await;
    events(&mut client);
    client.binary(b"fLaC\0\x02 and so on and so on".to_vec());
    client.binary(vec![7; 4000]);
    rig.beats(10).await;
    let told = client.told();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((&told[0]["type"], &told[0]["event"]), (&"call_event".into(), &"warning".into()));
    assert!(told[0]["detail"].as_str().unwrap().contains("FLAC"));
    assert!(rig.leg.sent.is_empty());
}

/// A WAV file of 16 bit samples.
fn wav(rate: u32, samples: &[i16]) -> Vec<u8> {
    let length = u32::try_from(samples.len() * 2).unwrap();
    let mut file = Vec::new();
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&(36 + length).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    file.extend_from_slice(&rate.to_le_bytes());
    file.extend_from_slice(&(rate * 2).to_le_bytes());
    file.extend_from_slice(b"\x02\0\x10\0data");
    file.extend_from_slice(&length.to_le_bytes());
    file.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    file
}
