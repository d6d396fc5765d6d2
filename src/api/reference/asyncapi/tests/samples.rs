//! One of each message that the server tells, with everything in it, and with nothing that may be
//! left out.

use super::*;
use crate::app::stream::dialect;
use crate::app::stream::wire::{
    CommandId, Heard, Inward, Outward, Recorded, Replayed, ResumeOffer, Sip, Speech, Stages, Start,
    Stats, Transcribing,
};
use crate::call::identity::CallIdentity;
use crate::call::outcome::{Outcome, OutcomeStatus, Usage};
use crate::call::record::{AnswererView, Direction, Quality, ToneView};
use crate::media::ledger::StageSpread;
use crate::turn::interface::State;

/// Each kind of message, whole and bare. A kind that is missing does not compile.
macro_rules! samples {
    ($($pattern:pat => $($sample:expr),+;)+) => {
        /// All samples.
        pub(super) fn all() -> Vec<Told> {
            let mut all = Vec::new();
            $($(
                let sample = $sample;
                assert!(matches!(&sample, $pattern), "{sample:?} is not what it stands for");
                all.push(sample);
            )+)+
            for told in &all {
                match told {
                    $($pattern => {})+
                }
            }
            all
        }
    };
}

samples! {
    Told::Start(_) => Told::Start(Box::new(start(true))), Told::Start(Box::new(start(false)));
    Told::CallEvent { .. } =>
        Told::CallEvent { event: "hold", detail: Some("peer".to_owned()) },
        Told::CallEvent { event: "ringing", detail: None };
    Told::Transfer { .. } =>
        transfer(Some(603)),
        transfer(None);
    Told::Recording(_) => recorded(Some("the disk is full")), recorded(None);
    Told::Answerer { .. } => answerer(Some(1)), answerer(None);
    Told::Beep { .. } => Told::Beep { event: "amd", detail: "beep", position_ms: 1 };
    Told::Transcript(_) => transcript(true), transcript(false);
    Told::Turn { .. } => Told::Turn { state: State::AgentSpeaking };
    Told::Interrupted { .. } => Told::Interrupted { heard: "I".to_owned() };
    Told::Outcome { .. } => Told::Outcome { outcome: Box::new(outcome()) };
    Told::Dtmf { .. } => Told::Dtmf { digit: '1', duration_ms: 1, method: "rfc4733" };
    Told::Speech(_) => speech(Some(1)), speech(None);
    Told::Tone(_) => Told::Tone(ToneView {
        kind: "busy".to_owned(),
        confidence: 0.5,
        reason: "x".to_owned(),
        position_ms: 1,
    });
    Told::BargeIn { .. } => Told::BargeIn { by: "dtmf", decision_deadline_ms: 1 };
    Told::Playback { .. } => playback(Some("u"), 1), playback(None, 0);
    Told::Concealed { .. } => Told::Concealed { position_ms: 1, duration_ms: 1 };
    Told::Mark { .. } => mark(1), mark(0);
    Told::Flow { .. } => Told::Flow { state: "xoff", queued_ms: 1 };
    Told::Warning { .. } => warning(Some("h"), Some(1)), warning(None, None);
    Told::Error { .. } => error(Some(text())), error(Some(number())), error(None);
    Told::Ack { .. } =>
        Told::Ack { id: text(), recording: Some("rec_1".parse().unwrap()) },
        Told::Ack { id: number(), recording: None };
    Told::Pong { .. } =>
        Told::Pong { id: Some(text()) }, Told::Pong { id: Some(number()) }, Told::Pong { id: None };
    Told::Stats(_) => stats(Some(text())), stats(Some(number())), stats(None);
    Told::Event { .. } => Told::Event { name: "n".to_owned(), data: json!({ "a": 1 }) };
    Told::Replayed(_) => Told::Replayed(Box::new(replayed()));
    Told::Stop { .. } => stop(Some(200)), stop(None);
}

fn text() -> CommandId {
    CommandId::Text("a".into())
}

fn number() -> CommandId {
    CommandId::Number(1)
}

fn start(whole: bool) -> Start {
    let some = |text: &str| whole.then(|| text.to_owned());
    Start {
        version: 1,
        call_id: "call_1".to_owned(),
        instance_id: "inst_1".to_owned(),
        direction: Direction::Inbound,
        from: some("+14155550123"),
        identity: whole.then(|| Box::new(CallIdentity::example())),
        to: "+15550100".to_owned(),
        sip: Sip { call_id: some("7f@carrier"), headers: Map::new() },
        srtp: whole.then_some(false),
        call_status: "RINGING",
        inward: Inward { format: "pcm_s16le", rate: 16_000, channels: 1 },
        outward: whole.then_some(Outward {
            format: "pcm_s16le",
            rate: 16_000,
            channels: 1,
            frame_ms: 20,
            tracks: &["caller"],
        }),
        buffer_ms: 1,
        playout: "queue",
        barge_in: "off",
        transcription: Transcribing {
            status: "available",
            reason: some("x"),
            engine: some("vosk"),
        },
        parameters: Map::new(),
        account: None,
        role: "main",
        envelope: "binary",
        linger_ms: 1,
        resume: whole.then(|| ResumeOffer { token: "rt_".to_owned(), linger_ms: 1 }),
        resumed: false,
    }
}

fn transfer(code: Option<u16>) -> Told {
    let (event, state, mode, to) = ("transfer", "failed", "blind", "+14155550123".to_owned());
    Told::Transfer { event, state, mode, to, code }
}

fn recorded(reason: Option<&str>) -> Told {
    Told::Recording(Recorded {
        event: "recording",
        state: "failed",
        recording_id: "rec_1".parse().unwrap(),
        duration_ms: 1,
        reason: reason.map(str::to_owned),
    })
}

fn answerer(beep_ms: Option<u64>) -> Told {
    let answerer = AnswererView {
        answered_by: "machine".to_owned(),
        confidence: 0.5,
        reason: "x".to_owned(),
        beep_ms,
    };
    Told::Answerer { event: "amd", answerer }
}

fn transcript(whole: bool) -> Told {
    Told::Transcript(Heard {
        text: "x".to_owned(),
        is_final: true,
        track: "caller",
        language: whole.then(|| "en".to_owned()),
        confidence: whole.then_some(0.5),
        start_ms: 1,
        end_ms: 2,
        id: 1,
        constrained: whole,
    })
}

fn speech(ms: Option<u64>) -> Told {
    Told::Speech(Speech {
        state: "stopped",
        track: "caller",
        position_ms: 1,
        duration_ms: ms,
        decision_deadline_ms: ms,
    })
}

fn playback(name: Option<&str>, squeezed_ms: u64) -> Told {
    Told::Playback {
        state: "cleared",
        utterance: name.map(Into::into),
        played_ms: 1,
        squeezed_ms,
        discarded_ms: 1,
    }
}

fn mark(squeezed_ms: u64) -> Told {
    Told::Mark { name: "m".into(), played_ms: 1, squeezed_ms, cleared: false }
}

fn warning(hint: Option<&'static str>, dropped_ms: Option<u64>) -> Told {
    Told::Warning { code: "dropped", detail: "x".to_owned(), hint, dropped_ms }
}

fn error(id: Option<CommandId>) -> Told {
    Told::Error { id, code: "conflict", detail: "x".to_owned(), fatal: false }
}

fn stats(id: Option<CommandId>) -> Told {
    Told::Stats(Box::new(Stats {
        id,
        quality: Quality::default(),
        queued_ms: 1,
        hole_wait_ms: 1,
        stages: Stages::of(|_| StageSpread::default()),
    }))
}

fn replayed() -> Replayed {
    Replayed {
        since: 1,
        events: 1,
        lost_events: 1,
        from_sample: 1,
        samples: 1,
        waiting_samples: 1,
        lost_samples: 1,
        received_octets: 1,
    }
}

fn stop(sip_code: Option<u16>) -> Told {
    Told::Stop { reason: "completed", sip_code, played_ms: 1, duration_ms: 1 }
}

fn outcome() -> Outcome {
    Outcome {
        status: OutcomeStatus::Completed,
        ended_by: "agent".to_owned(),
        reason: None,
        duration_ms: 1,
        transcript: Vec::new(),
        interruptions: 0,
        result: None,
        result_error: None,
        summary: None,
        turns: Vec::new(),
        usage: Usage::default(),
    }
}

/// Frames of audio in JSON, of four octets each.
pub(super) fn frames() -> Vec<Value> {
    let frame = |track| dialect::frame_text(track, &[0, 1, 2, 3]);
    ["caller", "agent", "both", "stereo"]
        .map(frame)
        .map(|text| serde_json::from_str(&text).unwrap())
        .into()
}

/// How many octets of audio a text of JSON brings; `None`: it is none.
pub(super) fn heard(text: &Value) -> Option<usize> {
    dialect::audio_in(&text.to_string())
}
