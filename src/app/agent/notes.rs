//! What is written down during an agent's call, and the outcome that it makes.
//!
//! Owns the transcript, the result, the counts and the latencies. Decides nothing: it only knows
//! who had the last word.

use super::interface::BrainOutput;
use crate::call::outcome::{LINES_MAX, Outcome, OutcomeStatus, TurnLatency, Usage, Utterance};
use crate::call::record::EndReason;
use crate::turn::interface::{Closing, Line, Speaker, TurnId, TurnTimes};
use serde_json::Value;
use std::time::Duration;

/// Exchanges whose latencies are kept.
const TURNS_MAX: usize = 1000;
/// Characters of a summary or a reason.
const TEXT_MAX: usize = 4000;

/// What is known so far.
#[derive(Debug, Default)]
pub(super) struct Notes {
    transcript: Vec<Utterance>,
    interruptions: u32,
    result: Option<Value>,
    summary: Option<String>,
    turns: Vec<TurnLatency>,
    usage: Usage,
    closing: Option<Closing>,
    /// The last failure of brain or voice.
    trouble: Option<String>,
}

impl Notes {
    /// A settled line of the conversation, also for the call's transcript.
    pub(super) fn line(&mut self, line: &Line, constrained: bool) -> Utterance {
        let speaker = match line.speaker {
            Speaker::Agent => "agent",
            Speaker::Caller => "caller",
        };
        let said = Utterance {
            speaker: speaker.to_owned(),
            text: line.text.clone(),
            digits: line.digits.clone(),
            start_ms: ms(line.started),
            end_ms: ms(line.ended),
            confidence: None,
            constrained,
            interrupted: line.interrupted,
        };
        if self.transcript.len() < LINES_MAX {
            let place = self.transcript.partition_point(|known| known.start_ms <= said.start_ms);
            self.transcript.insert(place, said.clone());
        }
        said
    }

    /// The agent was cut off.
    pub(super) fn interrupted(&mut self) {
        self.interruptions += 1;
    }

    /// What the caller of the API asked for; the last one counts.
    pub(super) fn record(&mut self, result: Value) {
        self.result = Some(result);
    }

    /// Something went wrong that may end the call.
    pub(super) fn trouble(&mut self, detail: &str) {
        self.trouble = Some(clip(detail));
    }

    /// Takes in what a brain says beside its words.
    pub(super) fn brain(&mut self, output: &BrainOutput) {
        match output {
            BrainOutput::Usage { input, output } => self.usage(*input, *output),
            BrainOutput::Summary(text) => self.summary = Some(clip(text)),
            BrainOutput::Failed { detail, .. } => self.trouble(detail),
            BrainOutput::Token(_)
            | BrainOutput::Say { .. }
            | BrainOutput::Expect(..)
            | BrainOutput::Tool(..)
            | BrainOutput::Done(_) => {}
        }
    }

    /// Counts tokens.
    pub(super) fn usage(&mut self, input: u64, output: u64) {
        self.usage.input_tokens = self.usage.input_tokens.saturating_add(input);
        self.usage.output_tokens = self.usage.output_tokens.saturating_add(output);
    }

    /// What the brain cost so far, at these prices of a million tokens.
    #[expect(clippy::cast_precision_loss, reason = "tokens of one call are far below 2^52")]
    pub(super) fn cost(&self, price_in: f64, price_out: f64) -> f64 {
        let million = 1e6;
        self.usage.input_tokens as f64 / million * price_in
            + self.usage.output_tokens as f64 / million * price_out
    }

    /// The latencies of an exchange, in the form of the outcome.
    pub(super) fn times(&mut self, turn: TurnId, times: &TurnTimes) -> TurnLatency {
        let latency = latency(turn, times);
        if self.turns.len() < TURNS_MAX {
            self.turns.push(latency);
        }
        latency
    }

    /// The agent ends the call; returns the call's reason.
    pub(super) fn close(&mut self, closing: Closing) -> EndReason {
        let reason = match &closing {
            Closing::HangUp(_) | Closing::Silence | Closing::VoicemailLeft => EndReason::Completed,
            Closing::Transfer(_) => EndReason::Transfer,
            Closing::MaxDuration | Closing::MaxTurns | Closing::MaxCost => EndReason::MaxDuration,
            Closing::Machine => EndReason::AmdMachine,
            Closing::Failed(_) => EndReason::Error,
        };
        // Whoever was handed over is not with the agent any more, whatever it comes to.
        if !matches!(self.closing, Some(Closing::Transfer(_))) {
            self.closing = Some(closing);
        }
        reason
    }

    /// Why the agent ended the call, for the record.
    pub(super) fn closing_detail(&self) -> Option<String> {
        self.closing.as_ref().map(detail)
    }

    /// The outcome. `reason` is the name of the call's end.
    pub(super) fn outcome(self, reason: &str, duration: Duration, schema_given: bool) -> Outcome {
        let (status, ended_by) = match &self.closing {
            Some(closing) => (status(closing), "agent"),
            None => match reason {
                "caller_hangup" | "callee_hangup" => (OutcomeStatus::CallerLeft, "caller"),
                "terminated_by_api" => (OutcomeStatus::Terminated, "api"),
                "max_duration" => (OutcomeStatus::Limit, "gateway"),
                "completed" => (OutcomeStatus::Completed, "gateway"),
                _ => (OutcomeStatus::Failed, "gateway"),
            },
        };
        let said = self.closing.as_ref().map(detail).or_else(|| Some(reason.to_owned()));
        let result_error = self.result.is_none().then(|| match (&self.trouble, schema_given) {
            (Some(trouble), _) => format!("no result was recorded; {trouble}"),
            (None, true) => "the agent recorded no result before the call ended".to_owned(),
            (None, false) => "no result was recorded".to_owned(),
        });
        Outcome {
            status,
            ended_by: ended_by.to_owned(),
            reason: said.map(|text| clip(&text)),
            duration_ms: ms(duration),
            transcript: self.transcript,
            interruptions: self.interruptions,
            result: self.result,
            result_error,
            summary: self.summary,
            turns: self.turns,
            usage: self.usage,
        }
    }
}

fn status(closing: &Closing) -> OutcomeStatus {
    match closing {
        Closing::HangUp(_) | Closing::Transfer(_) => OutcomeStatus::Completed,
        Closing::Silence => OutcomeStatus::Silence,
        Closing::MaxDuration | Closing::MaxTurns | Closing::MaxCost => OutcomeStatus::Limit,
        Closing::Machine => OutcomeStatus::Machine,
        Closing::VoicemailLeft => OutcomeStatus::VoicemailLeft,
        Closing::Failed(_) => OutcomeStatus::Failed,
    }
}

fn detail(closing: &Closing) -> String {
    match closing {
        Closing::HangUp(reason) if reason.is_empty() => "the agent hung up".to_owned(),
        Closing::HangUp(reason) => clip(reason),
        Closing::Transfer(target) => format!("handed over to {target}"),
        Closing::Silence => "nobody said anything".to_owned(),
        Closing::MaxDuration => "longest duration of the conversation".to_owned(),
        Closing::MaxTurns => "most turns".to_owned(),
        Closing::MaxCost => "most cost".to_owned(),
        Closing::Machine => "an answering machine".to_owned(),
        Closing::VoicemailLeft => "a message was left on an answering machine".to_owned(),
        Closing::Failed(why) => clip(why),
    }
}

/// Each stage from the caller's last sound, or from the moment when the agent took the word.
fn latency(turn: TurnId, times: &TurnTimes) -> TurnLatency {
    let base = times.speech_ended.or(times.turn_ended);
    let since = |at: Option<Duration>| Some(ms(at?.saturating_sub(base?)));
    TurnLatency {
        turn: turn.0,
        turn_end_ms: since(times.turn_ended),
        transcript_ms: since(times.transcript),
        first_token_ms: since(times.first_token),
        first_sentence_ms: since(times.first_sentence),
        first_audio_ms: since(times.first_audio),
        first_rtp_ms: since(times.first_rtp),
        gateway_ms: own_share(times).map(ms),
    }
}

/// From the end of the turn to the first packet, without the waits for the brain's first sentence
/// and for the voice's first samples. Nobody waits for what an agent says of its own accord.
fn own_share(times: &TurnTimes) -> Option<Duration> {
    times.speech_ended?;
    let (ended, first_rtp) = (times.turn_ended?, times.first_rtp?);
    let sentence = times.first_sentence?.max(ended);
    let audio = times.first_audio?.max(sentence);
    let brain = sentence.saturating_sub(ended);
    let voice = audio.saturating_sub(sentence);
    Some(first_rtp.saturating_sub(ended).saturating_sub(brain + voice))
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Foreign text for a record: bounded, without control characters.
fn clip(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(TEXT_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[expect(clippy::unnecessary_wraps, reason = "the fields are optional")]
    fn at(ms: u64) -> Option<Duration> {
        Some(Duration::from_millis(ms))
    }

    #[test]
    fn latencies_count_from_the_last_sound_and_know_the_own_share() {
        let times = TurnTimes {
            speech_ended: at(1000),
            turn_ended: at(1600),
            transcript: at(1350),
            first_token: at(1900),
            first_sentence: at(2000),
            first_audio: at(2100),
            first_rtp: at(2115),
        };
        let latency = Notes::default().times(TurnId(3), &times);
        assert_eq!((latency.turn, latency.turn_end_ms), (3, Some(600)));
        assert_eq!((latency.first_token_ms, latency.first_rtp_ms), (Some(900), Some(1115)));
        assert_eq!(latency.gateway_ms, Some(15));
        // A speculative answer that was there before the turn ended costs no wait.
        let early = TurnTimes { first_sentence: at(1500), first_audio: at(1640), ..times };
        let early = TurnTimes { first_rtp: at(1650), ..early };
        assert_eq!(own_share(&early), at(10));
        assert_eq!(own_share(&TurnTimes::default()), None);
    }

    #[test]
    fn a_missing_result_has_a_reason_and_a_recorded_one_has_none() {
        let ended = |notes: Notes, reason| notes.outcome(reason, Duration::from_secs(3), true);
        let outcome = ended(Notes::default(), "callee_hangup");
        assert_eq!(
            (outcome.status, outcome.ended_by.as_str()),
            (OutcomeStatus::CallerLeft, "caller")
        );
        assert!(outcome.result.is_none() && outcome.result_error.is_some());
        let mut notes = Notes::default();
        notes.record(json!({"choice": 1}));
        assert_eq!(notes.close(Closing::HangUp("done".to_owned())), EndReason::Completed);
        let outcome = ended(notes, "completed");
        assert_eq!((outcome.status, outcome.result_error), (OutcomeStatus::Completed, None));
        assert_eq!((outcome.reason.as_deref(), outcome.duration_ms), (Some("done"), 3000));
    }

    #[test]
    fn cost_follows_the_tokens() {
        let mut notes = Notes::default();
        notes.brain(&BrainOutput::Usage { input: 500_000, output: 100_000 });
        notes.brain(&BrainOutput::Usage { input: 500_000, output: 0 });
        assert!((notes.cost(2.0, 10.0) - 3.0).abs() < 1e-9);
    }
}
