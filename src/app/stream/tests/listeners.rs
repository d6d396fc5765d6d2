//! Those who listen beside the one who speaks, and what both sides sound like to them.

use super::*;
use crate::call::control::HeardBy;

#[tokio::test(start_paused = true)]
async fn listeners_hear_and_are_told_in_their_own_way_and_decide_nothing() {
    let mut rig = Rig::answered().await;
    let mut main = rig.attach("rate=8000&out_rate=8000").await;
    let mut one = rig.attach("role=listener&out_rate=16000&frame_ms=40").await;
    let mut two = rig.attach("role=listener&out_format=mulaw&out_rate=8000&events=dtmf").await;
    let start = one.told().remove(0);
    assert_eq!((&start["role"], &start["resume"]), (&"listener".into(), &Value::Null));
    main.told();
    two.told();
    for _ in 0..10 {
        rig.leg.hear(&[1000; 160]);
        rig.beats(1).await;
    }
    rig.tell(Control::Dtmf { digit: b'5', duration_ms: 100, method: HeardBy::Info });
    main.text(r#"{"type":"utterance","id":"u"}"#);
    main.pcm(&[100; 1600]);
    main.text(r#"{"type":"utterance_end"}"#);
    main.text(r#"{"type":"event","name":"score","data":{"of":7},"id":"e"}"#);
    rig.beats(15).await;
    assert_eq!(
        main.brief(),
        ["dtmf 5", "ack u", "ack e", "playback started u", "playback completed u"]
    );
    let told = one.told();
    let briefs: Vec<String> = told.iter().map(brief).collect();
    assert_eq!(briefs, ["dtmf 5", "event score", "playback started u", "playback completed u"]);
    assert_eq!(told[1]["data"]["of"], 7);
    assert_eq!(two.brief(), ["dtmf 5"]);
    assert_eq!((main.heard.len(), one.heard.len(), two.heard.len()), (3200, 6400, 1600));
    for command in ["clear", "hangup", "pause", "utterance_end", "say", "mark"] {
        let text = format!(r#"{{"type":"{command}","id":"{command}","name":"n","text":"t"}}"#);
        one.text(&text);
    }
    one.pcm(&[1; 160]);
    one.text(r#"{"type":"ping","id":1}"#);
    one.text(r#"{"type":"stats","id":2}"#);
    one.text(r#"{"type":"configure","out_rate":8000,"frame_ms":20,"id":3}"#);
    one.text("nonsense");
    rig.beats(2).await;
    let told = one.brief();
    let refused = told.iter().filter(|told| told.starts_with("error conflict")).count();
    assert_eq!(refused, 7, "{told:?}");
    for answer in ["pong 1", "stats 2", "ack 3", "error invalid_message"] {
        assert!(told.contains(&answer.to_owned()), "{answer}: {told:?}");
    }
    one.heard.clear();
    rig.leg.hear(&[1000; 160]);
    rig.beats(1).await;
    one.told();
    assert_eq!(one.heard, 1000_i16.to_le_bytes().repeat(160));
    assert!(main.brief().is_empty());
    drop(main);
    rig.beats(2).await;
    assert!(one.brief().is_empty(), "a listener stays");
    rig.stop("completed");
    rig.settle().await;
    assert_eq!(one.brief(), ["call_event ended", "stop completed"]);
    assert!(two.brief().contains(&"stop completed".to_owned()));
    assert_eq!(two.closed, Some((CloseCode::Normal, "")));
}

#[tokio::test(start_paused = true)]
async fn a_slow_listener_harms_nobody() {
    let mut rig = Rig::answered().await;
    let mut main = rig.attach("out_rate=8000").await;
    let mut slow = rig.attach("role=listener&out_rate=8000").await;
    main.told();
    slow.told();
    slow.stall(true);
    for n in 0..700 {
        rig.leg.hear(&[n; 160]);
        rig.beats(1).await;
    }
    main.told();
    assert_eq!(main.heard.len(), 700 * 320);
    slow.stall(false);
    rig.beats(50).await;
    let told = slow.told();
    assert!(told.iter().any(|told| told["code"] == "dropped"), "{told:?}");
    assert!(slow.heard.len() <= 502 * 320);
}

#[tokio::test(start_paused = true)]
async fn both_sides_stand_at_the_same_sample() {
    let mut rig = Rig::answered().await;
    let main = rig.attach("rate=8000&listen=none").await;
    let mut stereo = rig.attach("role=listener&listen=stereo&out_rate=8000").await;
    let mut both = rig.attach("role=listener&listen=both&out_rate=8000").await;
    let mut agent = rig.attach("role=listener&listen=agent&out_rate=8000").await;
    let start = stereo.told().remove(0);
    assert_eq!(start["out"]["channels"], 2);
    assert_eq!(start["out"]["tracks"], serde_json::json!(["caller", "agent"]));
    both.told();
    agent.told();
    main.pcm(&ramp(1, 8000));
    for n in 0..80_i16 {
        rig.leg.hear(&[n; 160]);
        rig.beats(1).await;
    }
    let words = |client: &mut Client| {
        client.told();
        let pairs = client.heard.chunks_exact(2);
        pairs.map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect::<Vec<i16>>()
    };
    let (stereo, both, agent) = (words(&mut stereo), words(&mut both), words(&mut agent));
    let at = agent.iter().position(|sample| *sample == 1).unwrap();
    assert_eq!(agent[at..at + 8000], ramp(1, 8000), "as it left, to the sample");
    let pairs: Vec<(i16, i16)> = stereo.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    let begin = pairs.iter().position(|(_, agent)| *agent == 1).unwrap();
    for (index, (caller, agent)) in (0_i16..8000).zip(&pairs[begin..]) {
        // Heard and sent with the same beat.
        let frame = caller - pairs[begin].0;
        assert_eq!((*agent, frame), (index + 1, index / 160), "{index}");
    }
    let mixed: Vec<i16> = pairs.iter().map(|(caller, agent)| caller + agent).collect();
    assert!(mixed.len().abs_diff(both.len()) <= 320);
    assert_eq!(both[..6000], mixed[..6000]);
}

#[tokio::test(start_paused = true)]
async fn nobody_pays_for_what_nobody_hears() {
    let mut rig = Rig::answered().await;
    let _main = rig.attach("rate=8000").await;
    rig.beats(2).await;
    assert!(!rig.leg.is_monitored());
    let listener = rig.attach("role=listener&listen=agent").await;
    rig.beats(2).await;
    assert!(rig.leg.is_monitored());
    drop(listener);
    rig.beats(2).await;
    assert!(!rig.leg.is_monitored());
}
