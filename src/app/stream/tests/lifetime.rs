use super::*;
use crate::app::stream::{SeatError, Standing};

fn is_lost(report: &Report) -> bool {
    matches!(report, Report::StreamLost { .. })
}

#[tokio::test(start_paused = true)]
async fn an_answered_call_waits_for_its_first_client() {
    let mut rig = Rig::answered().await;
    rig.beats(490).await;
    assert!(rig.reports().is_empty());
    rig.beats(15).await;
    assert!(
        matches!(&rig.reports()[..], [Report::StreamLost { detail }] if detail.contains("10000"))
    );
    rig.beats(100).await;
    assert!(rig.reports().is_empty(), "told once");
}

#[tokio::test(start_paused = true)]
async fn a_client_whose_key_is_revoked_is_shown_out() {
    let mut rig = Rig::answered().await;
    let standing = Standing::until(None);
    let of_key = || StreamRights { sip_uris: false, standing: Some(standing.clone()) };
    let mut main = rig.attach_with("protocol=native", of_key()).await;
    let mut listener = rig.attach_with("role=listener", of_key()).await;
    let mut other = rig.attach_with("role=listener", StreamRights::default()).await;
    rig.beats(2).await;
    rig.reports();
    standing.revoke();
    // Looked at when something happens on the stream, or is due: a ping at the latest.
    rig.beats(760).await;
    for client in [&mut main, &mut listener, &mut other] {
        client.told();
    }
    let closed = |client: &Client| client.closed.as_ref().map(|(code, _)| *code);
    assert_eq!(closed(&main), Some(CloseCode::Policy));
    assert_eq!(closed(&listener), Some(CloseCode::Policy));
    assert_eq!(closed(&other), None, "it came with another key");
    drop((main, listener));
    rig.beats(2).await;
    let reports = rig.reports();
    assert_eq!(reports, [Report::Gone { why: "revoked" }, Report::Detached]);
    let again = rig.attach_with("protocol=native", StreamRights::default()).await;
    rig.beats(1).await;
    assert!(rig.reports().iter().any(|report| matches!(report, Report::Attached { .. })));
    drop(again);
}

#[tokio::test(start_paused = true)]
async fn a_call_in_the_queue_waits_for_ever() {
    let mut rig = Rig::new();
    rig.beats(2000).await;
    assert!(rig.reports().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_vanished_client_does_not_stop_the_sound_until_the_linger_is_over() {
    let mut rig = Rig::answered().await;
    let client = rig.attach("protocol=native&rate=8000").await;
    client.pcm(&ramp(0, 16_000));
    rig.beats(10).await;
    drop(client);
    rig.beats(110).await;
    assert_eq!(rig.leg.sent, ramp(0, 16_000), "what was queued goes on");
    assert!(rig.reports().contains(&Report::Detached));
    assert!(rig.leg.is_listening(), "the client may come back for what it missed");
    rig.beats(1380).await;
    assert!(rig.reports().is_empty());
    rig.beats(30).await;
    assert!(is_lost(&rig.reports()[0]));
    assert!(!rig.leg.is_listening());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_comes_back_in_time_saves_the_call() {
    let mut rig = Rig::answered().await;
    let client = rig.attach("protocol=native&rate=8000").await;
    client.text(r#"{"type":"pause"}"#);
    client.pcm(&ramp(0, 3200));
    rig.beats(5).await;
    drop(client);
    rig.beats(50).await;
    assert_eq!(rig.leg.sent.len(), 3200, "nobody is left who could resume");
    let mut client = rig.attach("protocol=native&rate=8000").await;
    assert_eq!(client.brief()[0], "start");
    for _ in 0..4 {
        client.to_server.try_send(Ok(Incoming::Alive)).unwrap();
        rig.beats(500).await;
    }
    assert!(!rig.reports().iter().any(is_lost));
    client.pcm(&[5; 160]);
    rig.beats(3).await;
    assert_eq!(rig.leg.sent.len(), 3360);
}

#[tokio::test(start_paused = true)]
async fn one_client_at_a_time_and_none_after_the_end() {
    let mut rig = Rig::answered().await;
    let client = rig.attach("").await;
    assert_eq!(rig.seats.reserve(StreamOptions::default()).unwrap_err(), SeatError::Taken);
    drop(client);
    rig.beats(1).await;
    let reserved = rig.seats.reserve(StreamOptions::default()).unwrap();
    rig.stop("completed");
    rig.settle().await;
    assert!(rig.leg.is_closed());
    assert!(reserved.attach(Box::pin(std::future::ready(None))).is_err());
    assert_eq!(rig.seats.reserve(StreamOptions::default()).unwrap_err(), SeatError::Ended);
    rig.task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_that_never_comes_frees_the_seat() {
    let mut rig = Rig::answered().await;
    let attachment = rig.seats.reserve(StreamOptions::default()).unwrap();
    attachment.attach(Box::pin(std::future::pending())).unwrap();
    rig.beats(400).await;
    assert!(rig.seats.reserve(StreamOptions::default()).is_err());
    rig.beats(150).await;
    assert!(rig.seats.reserve(StreamOptions::default()).is_ok());
    let failed = rig.seats.reserve(StreamOptions::default()).unwrap();
    failed.attach(Box::pin(std::future::ready(None))).unwrap();
    rig.beats(1).await;
    assert!(rig.seats.reserve(StreamOptions::default()).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_stop_tells_what_was_left_and_the_last_audio() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("protocol=native&rate=8000&out_rate=8000&frame_ms=100").await;
    client.text(r#"{"type":"utterance","id":"u"}"#);
    client.pcm(&ramp(0, 16_000));
    client.text(r#"{"type":"mark","name":"m"}"#);
    rig.beats(10).await;
    client.told();
    rig.leg.hear(&[77; 160]);
    rig.stop("caller_hangup");
    rig.settle().await;
    let told = client.told();
    let briefs: Vec<String> = told.iter().map(brief).collect();
    assert_eq!(
        briefs,
        ["mark m cleared", "playback cleared u", "call_event ended", "stop caller_hangup"]
    );
    let played = rig.leg.sent.len() as u64 / 8;
    assert_eq!(told[1]["played_ms"], played);
    assert_eq!(told[1]["discarded_ms"], 2000 - played);
    assert_eq!(told[3]["played_ms"], played);
    assert_eq!(client.heard, 77_i16.to_le_bytes().repeat(160), "less than a frame at the end");
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_is_gone_ends_the_task() {
    let rig = Rig::answered().await;
    drop(rig.control);
    rig.task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_leg_that_is_gone_fails_the_call() {
    let mut rig = Rig::answered().await;
    rig.leg = FakeLeg::line().0;
    rig.settle().await;
    assert!(matches!(&rig.reports()[..], [Report::Failed { .. }]));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_close_is_left_after_two_seconds() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("protocol=native").await;
    client.stall(true);
    rig.stop("completed");
    tokio::time::timeout(Duration::from_secs(3), rig.task).await.unwrap().unwrap();
    assert!(client.brief().len() <= 6);
    rig.leg.beat().await;
}
