use super::*;
use crate::call::control::HeardBy;

#[tokio::test(start_paused = true)]
async fn start_is_first_and_stop_is_last() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("rate=24000&out_rate=16000&listen=caller&frame_ms=40").await;
    rig.beats(2).await;
    rig.stop("callee_hangup");
    rig.settle().await;
    let told = client.told();
    let start = &told[0];
    assert_eq!(start["type"], "start");
    assert_eq!(start["version"], 1);
    assert_eq!((&start["call_id"], &start["instance_id"]), (&"call_1".into(), &"inst_1".into()));
    assert_eq!(start["call_status"], "IN_PROGRESS");
    assert_eq!(start["in"]["format"], "pcm_s16le");
    assert_eq!(start["in"]["rate"], 24_000);
    assert_eq!((&start["out"]["rate"], &start["out"]["frame_ms"]), (&16_000.into(), &40.into()));
    assert_eq!(start["buffer_ms"], 60_000);
    let last = told.last().unwrap();
    assert_eq!(brief(last), "stop callee_hangup");
    assert_eq!((&last["sip_code"], &last["duration_ms"]), (&200.into(), &1234.into()));
    assert_eq!(brief(&told[told.len() - 2]), "call_event ended");
    assert_eq!(client.closed, Some((CloseCode::Normal, "")));
    for (index, message) in told.iter().enumerate() {
        assert_eq!(message["seq"], index + 1);
        assert!(message["t_ms"].is_u64() && message["timestamp"].as_str().unwrap().ends_with('Z'));
    }
    drop(client);
    rig.task.await.unwrap();
    assert!(rig.leg.is_closed());
}

#[tokio::test(start_paused = true)]
async fn start_tells_who_calls_if_the_network_says_anything() {
    let caller = crate::call::identity::CallIdentity::example();
    let identity = Some(Box::new(caller.clone()));
    let inbound = StreamSpec { direction: Direction::Inbound, identity, ..spec() };
    let told = Rig::answered_with(inbound).await.attach("protocol=native").await.told();
    assert_eq!(told[0]["identity"], serde_json::to_value(caller).unwrap());
    assert_eq!(told[0]["identity"]["verified"]["state"], "valid");
    let told = Rig::answered().await.attach("protocol=native").await.told();
    assert_eq!((&told[0]["type"], told[0].get("identity")), (&"start".into(), None));
}

#[tokio::test(start_paused = true)]
async fn start_tells_what_signalling_has_agreed_on_so_far() {
    let headers = serde_json::Map::from_iter([("X-Ref".to_owned(), "7".into())]);
    let sip = crate::app::stream::wire::Sip { call_id: None, headers };
    let rig = Rig::answered_with(StreamSpec { sip, ..spec() }).await;
    let told = rig.attach("role=listener").await.told();
    assert_eq!(told[0]["sip"], serde_json::json!({"call_id": null, "headers": {"X-Ref": "7"}}));
    assert_eq!(told[0]["srtp"], Value::Null);
    rig.tell(Control::Signalled { sip_call_id: Some("7f@gw".to_owned()), srtp: Some(true) });
    let told = rig.attach("role=listener").await.told();
    assert_eq!((&told[0]["sip"]["call_id"], &told[0]["srtp"]), (&"7f@gw".into(), &true.into()));
}

#[tokio::test(start_paused = true)]
async fn the_session_of_the_handbook() {
    let mut rig = Rig::answered().await;
    let mut client =
        rig.attach("rate=24000&out_rate=16000&listen=caller&transcripts=partial").await;
    assert_eq!(client.brief()[0], "start");
    client.text(r#"{"type":"utterance","id":"u1","text":"Hello, I am …"}"#);
    for _ in 0..50 {
        client.pcm(&[1000; 2400]);
    }
    client.text(r#"{"type":"utterance_end"}"#);
    client.text(r#"{"type":"mark","name":"greeting"}"#);
    rig.beats(92).await;
    assert_eq!(client.brief(), ["ack u1", "playback started u1"]);
    client.text(r#"{"type":"clear","id":"c1"}"#);
    rig.settle().await;
    rig.beats(2).await;
    let told = client.told();
    assert!(!rig.leg.sounding, "silence within 40 ms of the clear");
    let briefs: Vec<String> = told.iter().map(brief).collect();
    assert_eq!(briefs, ["playback cleared u1", "mark greeting cleared", "ack c1"]);
    let played = told[0]["played_ms"].as_u64().unwrap();
    assert_eq!(played, rig.leg.sent.len() as u64 / 8, "counted from packets sent");
    assert_eq!(played + told[0]["discarded_ms"].as_u64().unwrap(), 5000);
    client.text(r#"{"type":"utterance","id":"u2"}"#);
    client.pcm(&[500; 4800]);
    client.text(r#"{"type":"utterance_end"}"#);
    client.text(r#"{"type":"hangup","after":"playback"}"#);
    rig.beats(12).await;
    assert_eq!(client.brief(), ["ack u2", "playback started u2", "playback completed u2"]);
    let reports = rig.reports();
    assert_eq!(
        reports,
        [
            Report::Attached { protocol: "native", rate: Some(16_000) },
            Report::PlaybackDone { played_ms: played + 200 },
        ]
    );
    rig.stop("terminated_by_api");
    rig.settle().await;
    assert_eq!(client.brief(), ["call_event ended", "stop terminated_by_api"]);
}

#[tokio::test(start_paused = true)]
async fn caller_audio_at_8_khz_is_bit_exact_with_one_write_a_tick() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("out_rate=8000").await;
    rig.beats(2).await;
    assert!(rig.leg.is_listening());
    client.told();
    let before = client.wire.flushes.load(Ordering::Relaxed);
    let mut expected = Vec::new();
    for tick in 0..100_i16 {
        let packet: Vec<i16> = (0..160).map(|n| (tick * 160 + n).wrapping_mul(7)).collect();
        expected.extend(packet.iter().flat_map(|sample| sample.to_le_bytes()));
        assert!(rig.leg.hear(&packet));
        rig.beats(1).await;
    }
    client.told();
    assert_eq!(client.heard, expected);
    assert_eq!(client.frames, vec![320; 100]);
    assert_eq!(client.wire.flushes.load(Ordering::Relaxed) - before, 100);
}

#[tokio::test(start_paused = true)]
async fn what_was_made_up_of_the_callers_audio_is_told_to_who_asks() {
    for (query, expected) in [
        ("out_rate=16000&events=concealed", vec![(40, 60)]),
        ("out_rate=16000&events=concealed,mark", vec![(40, 60)]),
        ("out_rate=16000&events=mark", Vec::new()),
        ("out_rate=16000", Vec::new()),
    ] {
        let mut rig = Rig::answered().await;
        let mut client = rig.attach(query).await;
        rig.beats(1).await;
        for packet in 0..8 {
            let samples = ramp(packet * 160, 160);
            let missing = (2..5).contains(&packet);
            assert!(if missing { rig.leg.conceal(&samples) } else { rig.leg.hear(&samples) });
            rig.beats(1).await;
        }
        let told = client.told();
        let concealed = told.iter().filter(|told| told["type"] == "concealed");
        let concealed = concealed.map(|told| {
            (told["position_ms"].as_u64().unwrap(), told["duration_ms"].as_u64().unwrap())
        });
        assert_eq!(concealed.collect::<Vec<_>>(), expected, "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn caller_audio_comes_at_the_rate_and_in_the_format_asked_for() {
    for (query, octets) in [
        ("out_rate=16000", 640),
        ("out_rate=24000&frame_ms=10", 480),
        ("out_rate=8000&out_format=mulaw&frame_ms=60", 480),
    ] {
        let mut rig = Rig::answered().await;
        let mut client = rig.attach(query).await;
        rig.beats(1).await;
        for _ in 0..30 {
            rig.leg.hear(&[300; 160]);
            rig.beats(1).await;
        }
        client.told();
        assert!(client.frames.iter().all(|length| *length == octets), "{query}");
        let rate = octets * client.frames.len();
        assert_eq!(rate, octets * 600 / query_frame_ms(query), "{query}");
    }
}

fn query_frame_ms(query: &str) -> usize {
    query.split("frame_ms=").nth(1).map_or(20, |text| text.parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_listen_gets_no_audio_and_no_wake_ups() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("protocol=native&listen=none").await;
    rig.beats(1).await;
    assert!(!rig.leg.is_listening());
    assert!(client.told()[0]["out"].is_null());
    let before = client.wire.flushes.load(Ordering::Relaxed);
    rig.beats(50).await;
    assert_eq!(client.wire.flushes.load(Ordering::Relaxed), before);
}

#[tokio::test(start_paused = true)]
async fn audio_of_every_format_is_heard_in_any_chunking() {
    let samples: Vec<i16> = ramp(0, 1600).iter().map(|n| n * 16).collect();
    let cases: [(&str, Vec<u8>); 3] = [
        ("pcm_s16le", samples.iter().flat_map(|s| s.to_le_bytes()).collect()),
        ("pcm_s16be", samples.iter().flat_map(|s| s.to_be_bytes()).collect()),
        (
            "pcm_f32le",
            samples.iter().flat_map(|s| (f32::from(*s) / 32_768.0).to_le_bytes()).collect(),
        ),
    ];
    for (format, octets) in cases {
        for chunk in [1, 7, 320, 5000] {
            let mut rig = Rig::answered().await;
            let client = rig.attach(&format!("protocol=native&rate=8000&format={format}")).await;
            for chunk in octets.chunks(chunk) {
                client.binary(chunk.to_vec());
            }
            client.text(r#"{"type":"utterance_end"}"#);
            rig.beats(15).await;
            assert_eq!(rig.leg.sent, samples, "{format} in {chunk}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn configure_switches_behind_what_was_queued() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("protocol=native&rate=8000").await;
    client.pcm(&ramp(0, 200));
    client.text(r#"{"type":"configure","format":"pcm_s16be","id":1}"#);
    client.binary(ramp(200, 200).iter().flat_map(|s| s.to_be_bytes()).collect::<Vec<u8>>());
    client.text(r#"{"type":"configure","format":"mulaw","rate":16000,"id":2}"#);
    client.binary(vec![0xFF; 320]);
    client.text(r#"{"type":"configure","rate":12345,"id":3}"#);
    client.text(r#"{"type":"utterance_end"}"#);
    rig.beats(10).await;
    assert_eq!(rig.leg.sent[..400], ramp(0, 400));
    assert_eq!(rig.leg.sent.len(), 560);
    let told = client.brief();
    for expected in ["ack 1", "ack 2", "error unsupported_rate 3"] {
        assert!(told.contains(&expected.to_owned()), "{told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn pause_holds_the_queue_and_resume_goes_on() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("protocol=native&rate=8000").await;
    client.text(r#"{"type":"utterance","id":"u"}"#);
    client.pcm(&ramp(0, 1600));
    client.text(r#"{"type":"utterance_end"}"#);
    rig.beats(3).await;
    client.told();
    client.text(r#"{"type":"pause","id":"p"}"#);
    rig.beats(10).await;
    let told = client.told();
    assert_eq!((brief(&told[0]), brief(&told[1])), ("playback paused u".into(), "ack p".into()));
    assert!((20..=60).contains(&told[0]["played_ms"].as_u64().unwrap()));
    let held = rig.leg.sent.len();
    assert!(held < 800, "{held} samples went out");
    client.text(r#"{"type":"resume"}"#);
    rig.beats(12).await;
    assert_eq!(rig.leg.sent, ramp(0, 1600));
    assert_eq!(client.brief(), ["playback resumed u", "playback completed u"]);
}

#[tokio::test(start_paused = true)]
async fn one_utterance_is_cleared_and_the_next_plays() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("protocol=native&rate=8000").await;
    for name in ["a", "b"] {
        client.text(&format!(r#"{{"type":"utterance","id":"{name}"}}"#));
        client.pcm(&ramp(0, 1600));
        client.text(r#"{"type":"utterance_end"}"#);
    }
    rig.beats(3).await;
    client.told();
    client.text(r#"{"type":"clear","utterance":"a","fade_ms":12,"id":1}"#);
    client.text(r#"{"type":"clear","utterance":"nobody","id":2}"#);
    rig.beats(20).await;
    assert_eq!(
        client.brief(),
        [
            "error not_queued 2",
            "playback cleared a",
            "ack 1",
            "playback started b",
            "playback completed b",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn after_a_clear_nothing_of_before_is_heard() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("protocol=native&rate=16000").await;
    client.pcm(&vec![8000; 48_001]);
    rig.beats(5).await;
    client.text(r#"{"type":"clear"}"#);
    client.pcm(&vec![-8000; 16_000]);
    client.text(r#"{"type":"utterance_end"}"#);
    rig.beats(60).await;
    let switch = rig.leg.sent.iter().position(|sample| *sample < -100).unwrap();
    assert!(rig.leg.sent[switch..].iter().all(|sample| *sample < 3000), "old audio after new");
    assert!(switch < 6 * 160 + 200, "{switch}");
    let told = client.told();
    assert!(told.iter().any(|told| brief(told) == "playback cleared"));
}

#[tokio::test(start_paused = true)]
async fn flow_control_and_refusal_are_told() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("protocol=native&rate=8000&buffer_ms=1000").await;
    client.told();
    client.pcm(&ramp(0, 5900));
    client.pcm(&ramp(5900, 200));
    client.pcm(&ramp(6100, 3000));
    rig.beats(1).await;
    let told = client.told();
    let briefs: Vec<String> = told.iter().map(brief).collect();
    assert_eq!(briefs, ["flow xoff", "warning dropped"]);
    assert!(told[0]["queued_ms"].as_u64().unwrap() >= 750);
    assert_eq!(told[1]["dropped_ms"], 137);
    client.pcm(&[0; 8000]);
    client.pcm(&[0; 8000]);
    rig.beats(20).await;
    assert_eq!(client.brief(), ["playback started"], "one warning a second");
    rig.beats(35).await;
    let told = client.brief();
    assert!(told.contains(&"flow xon".to_owned()) && told.contains(&"warning dropped".to_owned()));
    assert_eq!(rig.leg.sent[..8000], ramp(0, 8000), "the oldest was kept");
}

#[tokio::test(start_paused = true)]
async fn nameless_audio_is_an_utterance_of_its_own() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("protocol=native&rate=8000").await;
    client.told();
    client.pcm(&ramp(0, 8000));
    rig.beats(55).await;
    let told = client.told();
    assert_eq!(
        told.iter().map(brief).collect::<Vec<_>>(),
        ["playback started", "playback completed"]
    );
    assert_eq!(told[1]["played_ms"], 1000);
    assert!(told[1]["utterance"].is_null());
    client.pcm(&ramp(0, 800));
    rig.beats(30).await;
    assert_eq!(client.brief(), ["playback started", "playback completed"]);
}

#[tokio::test(start_paused = true)]
async fn digits_go_both_ways() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("protocol=native").await;
    rig.beats(1).await;
    client.told();
    rig.leg.events.push_back(crate::media::interface::Event::Dtmf {
        digit: b'5',
        duration_ms: 120,
        position: 0,
        inband: false,
    });
    rig.tell(Control::Dtmf { digit: b'#', duration_ms: 80, method: HeardBy::Info });
    client.text(&format!(r#"{{"type":"dtmf","digits":"{}","id":"d"}}"#, "1234567890".repeat(4)));
    rig.tell(Control::SendDtmf { digits: "99".into(), duration_ms: None, gap_ms: None });
    rig.beats(6).await;
    let told = client.told();
    let briefs: Vec<String> = told.iter().map(brief).collect();
    assert_eq!(briefs, ["dtmf 5", "dtmf #", "ack d"]);
    assert_eq!((&told[0]["method"], &told[1]["method"]), (&"rfc4733".into(), &"info".into()));
    let method = HeardBy::Rfc4733;
    assert!(rig.reports().contains(&Report::Dtmf { digit: b'5', duration_ms: 120, method }));
    let sent: Vec<usize> = rig
        .leg
        .obeyed
        .iter()
        .filter_map(|command| match command {
            crate::media::interface::Command::Dtmf { digits, .. } => {
                Some(digits.iter().filter(|digit| **digit != 0).count())
            }
            _ => None,
        })
        .collect();
    assert_eq!(sent, [2, 32, 8]);
}

#[tokio::test(start_paused = true)]
async fn small_requests_are_answered() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("protocol=native").await;
    client.told();
    client.text(r#"{"type":"ping","id":"x"}"#);
    client.text(r#"{"type":"ping"}"#);
    client.text(r#"{"type":"barge_in","decision":"confirm","id":"b"}"#);
    client.text(r#"{"type":"sing","id":"s"}"#);
    client.text(r#"{"type":"mark","name":"now","id":"m"}"#);
    client.text(r#"{"type":"hangup","reason":"done"}"#);
    rig.beats(1).await;
    assert_eq!(
        client.brief(),
        ["pong x", "pong", "error conflict b", "error unknown_type s", "ack m", "mark now"]
    );
    let asked = Report::HangupRequested { reason: Some("done".into()) };
    assert!(rig.reports().contains(&asked));
}
