//! What became of a call's words: the transcript of any call, and the outcome of an agent's.
//!
//! Plain values of the call object; whoever listened fills them in. Holds no behaviour but bounds.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Lines that a call's record keeps; further ones are counted and dropped.
pub const LINES_MAX: usize = 2000;

/// Whether the caller's words are transcribed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TranscriptionStatus {
    /// An engine listens (or listened to the end).
    Available,
    /// No engine listens, or no longer; the reason says why.
    Unavailable,
}

/// One stretch of speech.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Utterance {
    /// `caller` or `agent`.
    pub speaker: String,
    /// The words: of the caller as transcribed, of the agent as heard.
    pub text: String,
    /// Keys that were pressed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub digits: String,
    /// First sound, in milliseconds since the answer (agent calls: since the agent's first moment).
    pub start_ms: u64,
    /// Last sound.
    pub end_ms: u64,
    /// 0 to 1, when the engine tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f32>,
    /// Chosen from a phrase list.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub constrained: bool,
    /// The agent was cut off here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
}

/// The transcript of a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transcription {
    /// Whether words are to be had.
    pub status: TranscriptionStatus,
    /// Why not.
    pub reason: Option<String>,
    /// Name of the engine.
    pub engine: Option<String>,
    /// What was said, in order.
    pub lines: Vec<Utterance>,
    /// Lines beyond [`LINES_MAX`].
    #[serde(default)]
    pub dropped: u64,
}

impl Transcription {
    /// Nobody listens, and why.
    #[must_use]
    pub fn unavailable(reason: &str) -> Self {
        Self {
            status: TranscriptionStatus::Unavailable,
            reason: Some(reason.to_owned()),
            engine: None,
            lines: Vec::new(),
            dropped: 0,
        }
    }

    /// An engine listens.
    #[must_use]
    pub fn available(engine: &str) -> Self {
        Self {
            status: TranscriptionStatus::Available,
            reason: None,
            engine: Some(engine.to_owned()),
            lines: Vec::new(),
            dropped: 0,
        }
    }

    /// Adds a line, in the order of first sounds.
    pub fn add(&mut self, line: Utterance) {
        if self.lines.len() >= LINES_MAX {
            self.dropped += 1;
            return;
        }
        let place = self.lines.partition_point(|known| known.start_ms <= line.start_ms);
        self.lines.insert(place, line);
    }
}

/// How an agent's call went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeStatus {
    /// The agent said goodbye, or handed the call over.
    Completed,
    /// The other party hung up first.
    CallerLeft,
    /// A message was left on an answering machine.
    VoicemailLeft,
    /// An answering machine, and nothing was to be said to it.
    Machine,
    /// Nobody said anything.
    Silence,
    /// A limit of the agent was reached (duration, turns, cost).
    Limit,
    /// The API's user or an operator ended it.
    Terminated,
    /// Brain or voice failed for good.
    Failed,
}

/// Latencies of one exchange, each from the caller's last sound (or from the moment of asking when
/// the agent spoke of its own accord).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TurnLatency {
    /// Number of the exchange.
    pub turn: u64,
    /// The decision that the caller is done.
    pub turn_end_ms: Option<u64>,
    /// The last words.
    pub transcript_ms: Option<u64>,
    /// The brain's first token.
    pub first_token_ms: Option<u64>,
    /// Its first sentence.
    pub first_sentence_ms: Option<u64>,
    /// The first samples of that sentence.
    pub first_audio_ms: Option<u64>,
    /// Their first RTP packet: what the caller waited.
    pub first_rtp_ms: Option<u64>,
    /// What of it was the gateway's own: all waits for engines and for the end of the turn taken
    /// off.
    pub gateway_ms: Option<u64>,
}

/// Tokens of the brain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Read.
    pub input_tokens: u64,
    /// Written.
    pub output_tokens: u64,
}

/// The outcome of an agent's call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// How it went.
    pub status: OutcomeStatus,
    /// `agent`, `caller`, `api` or `gateway`.
    pub ended_by: String,
    /// Why, in the brain's own words or ours.
    pub reason: Option<String>,
    /// From the agent's first moment to its last.
    pub duration_ms: u64,
    /// Both sides, the agent's as heard.
    pub transcript: Vec<Utterance>,
    /// How often the agent was cut off.
    pub interruptions: u32,
    /// What the caller of the API asked for; never guessed.
    pub result: Option<Value>,
    /// Why there is none.
    pub result_error: Option<String>,
    /// By the brain, if it was asked for one.
    pub summary: Option<String>,
    /// Latencies of every exchange.
    pub turns: Vec<TurnLatency>,
    /// Tokens.
    pub usage: Usage,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(start_ms: u64) -> Utterance {
        Utterance {
            speaker: "caller".to_owned(),
            text: "yes".to_owned(),
            digits: String::new(),
            start_ms,
            end_ms: start_ms + 100,
            confidence: None,
            constrained: false,
            interrupted: false,
        }
    }

    #[test]
    fn lines_stand_in_the_order_of_their_first_sound_and_are_bounded() {
        let mut transcription = Transcription::available("vosk");
        for start_ms in [300, 100, 200] {
            transcription.add(line(start_ms));
        }
        let starts: Vec<u64> = transcription.lines.iter().map(|line| line.start_ms).collect();
        assert_eq!(starts, [100, 200, 300]);
        for start_ms in 0..LINES_MAX as u64 {
            transcription.add(line(1000 + start_ms));
        }
        assert_eq!((transcription.lines.len(), transcription.dropped), (LINES_MAX, 3));
    }
}
