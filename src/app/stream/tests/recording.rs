//! Recordings: begun, paused and ended by a client, a request or the call, in virtual time.

use super::*;
use crate::app::recording::{ByHand, file_of};
use crate::audio::wav::Recording;
use crate::call::control::WishError;
use crate::call::recording::{
    RecordChannels, RecordStart, RecordWish, RecordingState, RecordingView,
};
use crate::media::interface::Command;

const LONGEST: Duration = Duration::from_secs(5);

fn with_desk(dir: &tempfile::TempDir) -> (StreamSpec, ByHand) {
    let (desk, thread) = ByHand::desk(dir.path(), LONGEST);
    (StreamSpec { recordings: Some(desk), ..spec() }, thread)
}

fn wav(dir: &tempfile::TempDir, id: &str) -> Vec<i16> {
    Recording::open(&file_of(dir.path(), &id.parse().unwrap())).unwrap().samples
}

fn views(rig: &mut Rig) -> Vec<RecordingView> {
    let view = |report| match report {
        Report::Recording(view) => Some(*view),
        _ => None,
    };
    rig.reports().into_iter().filter_map(view).collect()
}

/// Packets of the caller and utterances' beats, each with its number.
async fn talk(rig: &mut Rig, client: &Client, numbers: std::ops::Range<i16>) {
    for n in numbers {
        client.pcm(&[-n; 160]);
        rig.settle().await;
        rig.leg.hear(&[n; 160]);
        rig.beats(1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_records_pauses_goes_on_and_stops() {
    let dir = tempfile::tempdir().unwrap();
    let (spec, mut thread) = with_desk(&dir);
    let mut rig = Rig::answered_with(spec).await;
    let mut client = rig.attach("rate=8000&listen=none").await;
    client.told();
    assert!(!rig.leg.is_listening());
    talk(&mut rig, &client, 1..10).await;
    client.text(r#"{"type":"record","action":"start","id":"r"}"#);
    rig.settle().await;
    let told = client.told();
    let started = told.iter().find(|told| told["event"] == "recording").unwrap();
    assert_eq!((&started["state"], &started["duration_ms"]), (&"started".into(), &0.into()));
    assert_eq!(started["recording_id"], "rec_1_1");
    let ack = told.iter().find(|told| told["type"] == "ack").unwrap();
    assert_eq!((&ack["id"], &ack["recording"]), (&"r".into(), &"rec_1_1".into()));
    talk(&mut rig, &client, 10..60).await;
    client.text(r#"{"type":"record","action":"start"}"#);
    client.text(r#"{"type":"record","action":"resume"}"#);
    client.text(r#"{"type":"record","action":"pause","id":1}"#);
    rig.settle().await;
    talk(&mut rig, &client, 60..90).await;
    client.text(r#"{"type":"record","action":"resume","id":2}"#);
    rig.settle().await;
    talk(&mut rig, &client, 90..110).await;
    client.text(r#"{"type":"record","action":"stop","id":3}"#);
    rig.settle().await;
    thread.step();
    rig.beats(1).await;
    let told = client.brief();
    let told: Vec<_> = told.iter().filter(|told| !told.starts_with("playback")).collect();
    assert_eq!(
        told,
        [
            "error conflict",
            "error conflict",
            "call_event paused recording",
            "ack 1",
            "call_event resumed recording",
            "ack 2",
            "ack 3",
            "call_event ready recording",
        ]
    );
    let samples = wav(&dir, "rec_1_1");
    let frames: Vec<_> = samples.chunks(320).map(|frame| (frame[0], frame[1])).collect();
    // The leg begins to listen with the beat that hears of it.
    let wanted: Vec<_> = (10..60).chain(90..110).map(|n| (n, -n)).collect();
    let missing = wanted.len() - frames.len();
    assert!(missing <= 1 && frames.iter().all(|frame| wanted.contains(frame)), "{frames:?}");
    assert!(samples.chunks(320).all(|frame| frame.chunks(2).all(|pair| pair == &frame[..2])));
    let last = views(&mut rig).pop().unwrap();
    assert_eq!((last.state, last.octets), (RecordingState::Ready, 44 + 2 * samples.len() as u64));
    assert_eq!(last.duration_ms, samples.len() as u64 / 16);
    assert!(!rig.leg.is_listening() && !rig.leg.is_monitored());
}

#[tokio::test(start_paused = true)]
async fn a_request_is_recorded_from_the_answer_to_the_end_and_told_before_the_stop() {
    let dir = tempfile::tempdir().unwrap();
    let (spec, mut thread) = with_desk(&dir);
    let start = RecordStart { channels: RecordChannels::Mono, beep: true };
    let mut rig = Rig::with(StreamSpec { record: Some(start), ..spec });
    let mut client = rig.attach("protocol=native").await;
    rig.event("ringing");
    rig.beats(5).await;
    assert!(views(&mut rig).is_empty());
    rig.event("answered");
    rig.start();
    rig.beats(2).await;
    assert!(rig.leg.obeyed.iter().any(|command| matches!(command, Command::Tone(Some(_)))));
    for _ in 0..50 {
        rig.leg.hear(&[7; 160]);
        rig.beats(1).await;
    }
    client.told();
    rig.stop("completed");
    rig.settle().await;
    assert_eq!(client.brief(), ["call_event ended"], "the file is not whole yet");
    client.text(r#"{"type":"ping"}"#);
    thread.step();
    rig.settle().await;
    assert_eq!(client.brief(), ["call_event ready recording", "stop completed"]);
    let samples = wav(&dir, "rec_1_1");
    assert!((50 * 160..=52 * 160).contains(&samples.len()), "{}", samples.len());
    let views = views(&mut rig);
    assert_eq!(views.len(), 2);
    assert_eq!((views[0].state, views[0].channels), (RecordingState::Recording, start.channels));
    drop(client);
    rig.settle().await;
    assert!(rig.task.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_hangs_does_not_hold_the_end_up() {
    let dir = tempfile::tempdir().unwrap();
    let (spec, _thread) = with_desk(&dir);
    let mut rig = Rig::answered_with(spec).await;
    let mut client = rig.attach("protocol=native").await;
    client.text(r#"{"type":"record","action":"start"}"#);
    rig.beats(10).await;
    client.told();
    rig.stop("completed");
    tokio::time::sleep(Duration::from_millis(1900)).await;
    assert_eq!(client.brief(), ["call_event ended"]);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let told = client.told();
    assert_eq!(told[0]["state"], "failed");
    assert_eq!(told[0]["reason"], "the disk does not answer");
    assert_eq!(brief(&told[1]), "stop completed");
    assert_eq!(views(&mut rig).pop().unwrap().state, RecordingState::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_is_slow_or_refuses_ends_the_recording_and_not_the_call() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("rec_1_1.wav.part"), "in the way").unwrap();
    let (spec, mut thread) = with_desk(&dir);
    let mut rig = Rig::answered_with(spec).await;
    let mut client = rig.attach("listen=none").await;
    client.told();
    client.text(r#"{"type":"record","action":"start"}"#);
    rig.beats(1).await;
    thread.step();
    rig.beats(1).await;
    let told = client.told();
    assert_eq!((told.len(), &told[1]["state"]), (2, &"failed".into()), "{told:?}");
    let failed = views(&mut rig).pop().unwrap();
    assert!(failed.reason.unwrap().starts_with("the recording cannot be written: "));
    rig.beats(2).await;
    assert!(!rig.leg.is_listening());
    // Nobody writes from here on: a recording of 20 s would be too much to hold.
    let (desk, mut thread) = ByHand::desk(dir.path(), Duration::from_mins(1));
    let spec = StreamSpec { recordings: Some(desk), ..spec_of("call_2") };
    let mut rig = Rig::answered_with(spec).await;
    let mut client = rig.attach("listen=none").await;
    client.text(r#"{"type":"record","action":"start"}"#);
    rig.beats(1000).await;
    let told = client.told();
    assert_eq!(told.last().unwrap()["reason"], "the disk is too slow", "{told:?}");
    thread.step();
    rig.beats(1).await;
    let last = views(&mut rig).pop().unwrap();
    assert_eq!((last.state, last.octets > 0), (RecordingState::Failed, true));
    assert!(wav(&dir, "rec_2_1").len() >= 2 * 8000 * 12);
    assert!(client.told().is_empty(), "it was told already");
}

fn spec_of(call: &str) -> StreamSpec {
    StreamSpec { call: call.parse().unwrap(), ..spec() }
}

#[tokio::test(start_paused = true)]
async fn somebody_else_may_ask_and_it_ends_by_itself_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let (spec, mut thread) = with_desk(&dir);
    let mut rig = Rig::with(spec);
    let ask = |rig: &Rig, ticket, wish| rig.tell(Control::Record { ticket, wish });
    let start = || RecordWish::Start(RecordStart::default());
    ask(&rig, 1, start());
    rig.event("answered");
    rig.start();
    rig.beats(2).await;
    ask(&rig, 2, RecordWish::Stop(None));
    ask(&rig, 3, start());
    ask(&rig, 4, RecordWish::Pause(Some("rec_1_9".parse().unwrap())));
    // A caller who sends nothing is waited for.
    rig.beats(270).await;
    thread.step();
    rig.beats(5).await;
    ask(&rig, 5, RecordWish::Stop(Some("rec_1_1".parse().unwrap())));
    ask(&rig, 6, start());
    rig.beats(5).await;
    let reports = rig.reports();
    let answers: Vec<_> = reports
        .iter()
        .filter_map(|report| match report {
            Report::Recorded { ticket, result } => {
                Some((*ticket, result.as_ref().err().map(WishError::code)))
            }
            _ => None,
        })
        .collect();
    let conflict = Some("conflict");
    let wanted = [(1, conflict), (2, conflict), (3, None), (4, conflict), (5, conflict), (6, None)];
    assert_eq!(answers, wanted);
    let ready = reports.iter().find_map(|report| match report {
        Report::Recording(view) if view.state == RecordingState::Ready => Some(view),
        _ => None,
    });
    assert_eq!(ready.unwrap().duration_ms, 5000);
    assert_eq!(wav(&dir, "rec_1_1").len(), 2 * 8000 * 5);
}

#[tokio::test(start_paused = true)]
async fn listeners_and_watchers_may_not_and_a_node_may_be_without() {
    let dir = tempfile::tempdir().unwrap();
    let (spec, _thread) = with_desk(&dir);
    let mut rig = Rig::answered_with(spec.clone()).await;
    let mut listener = rig.attach("role=listener").await;
    listener.told();
    listener.text(r#"{"type":"record","action":"start","id":1}"#);
    rig.beats(1).await;
    assert_eq!(listener.brief(), ["error conflict 1"]);
    let mut rig = Rig::answered_with(StreamSpec { observer: true, ..spec }).await;
    let mut watcher = rig.attach("protocol=native").await;
    watcher.told();
    watcher.text(r#"{"type":"record","action":"start","id":1}"#);
    rig.beats(1).await;
    assert_eq!(watcher.brief(), ["error conflict 1"]);
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("protocol=native").await;
    client.told();
    client.text(r#"{"type":"record","action":"start","id":1}"#);
    client.text(r#"{"type":"record","action":"start","channels":"three","id":2}"#);
    client.text(r#"{"type":"record","id":3}"#);
    rig.beats(1).await;
    let refused = ["error not_implemented 1", "error invalid_field 2", "error missing_field 3"];
    assert_eq!(client.brief(), refused);
    let start = RecordStart { channels: RecordChannels::Mono, beep: false };
    let mut rig = Rig::with(StreamSpec { record: Some(start), ..super::spec() });
    let mut client = rig.attach("protocol=native").await;
    rig.event("answered");
    rig.start();
    rig.beats(2).await;
    let told = client.told();
    let warned: Vec<_> = told.iter().filter(|told| told["type"] == "warning").collect();
    assert_eq!(warned.len(), 1, "{told:?}");
    assert_eq!(warned[0]["code"], "recording_failed");
}
