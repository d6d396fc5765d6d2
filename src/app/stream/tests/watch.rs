//! The stream of a call that an agent conducts: its clients watch.

use super::super::wire::Told;
use super::*;
use crate::call::control::HeardBy;
use crate::turn::interface::State;

impl Rig {
    /// An agent's call; its leg is not the stream's.
    async fn watched() -> Self {
        let mut rig = Self::with(StreamSpec { observer: true, wait: Duration::ZERO, ..spec() });
        rig.event("answered");
        rig.start();
        rig.settle().await;
        rig
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_goes_on_without_anybody_who_watches() {
    let mut rig = Rig::watched().await;
    rig.beats(3000).await;
    let client = rig.attach("protocol=native").await;
    drop(client);
    rig.beats(3000).await;
    let lost = |report: &Report| matches!(report, Report::StreamLost { .. });
    assert!(!rig.reports().iter().any(lost));
    assert!(!rig.task.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_watcher_is_told_and_neither_heard_nor_obeyed() {
    let mut rig = Rig::watched().await;
    let mut client = rig.attach("protocol=native&listen=caller&transcripts=partial").await;
    assert_eq!(client.brief()[0], "start");
    for _ in 0..20 {
        client.pcm(&[1000; 320]);
    }
    for order in ["utterance", "utterance_end", "clear", "pause", "resume"] {
        client.text(&format!(r#"{{"type":"{order}","id":"x"}}"#));
    }
    client.text(r#"{"type":"mark","name":"m"}"#);
    client.text(r#"{"type":"dtmf","digits":"1"}"#);
    client.text(r#"{"type":"ping","id":"p"}"#);
    rig.settle().await;
    rig.leg.hear(&[5; 160]);
    rig.beats(5).await;
    let told = client.brief();
    let refused = told.iter().filter(|told| told.starts_with("error conflict")).count();
    assert_eq!(refused, 8, "audio once a second, and each order: {told:?}");
    assert_eq!(told.last().map(String::as_str), Some("pong p"), "{told:?}");
    assert!(client.heard.is_empty() && rig.leg.sent.is_empty());
    rig.tell(Control::Tell(Box::new(Told::Turn { state: State::AgentSpeaking })));
    rig.tell(Control::Tell(Box::new(Told::Interrupted { heard: "Good".to_owned() })));
    rig.tell(Control::Dtmf { digit: b'5', duration_ms: 90, method: HeardBy::Inband });
    rig.settle().await;
    assert_eq!(client.brief(), ["turn agent_speaking", "interrupted", "dtmf 5"]);
    rig.stop("completed");
    rig.settle().await;
    assert_eq!(client.brief(), ["call_event ended", "stop completed"]);
}

#[tokio::test(start_paused = true)]
async fn a_watcher_may_hang_up_and_there_is_no_playback_to_wait_for() {
    for order in [r#"{"type":"hangup"}"#, r#"{"type":"hangup","after":"playback"}"#] {
        let mut rig = Rig::watched().await;
        let client = rig.attach("protocol=native").await;
        client.text(order);
        rig.settle().await;
        let asked = |report: &Report| matches!(report, Report::HangupRequested { .. });
        assert!(rig.reports().iter().any(asked), "{order}");
    }
}
