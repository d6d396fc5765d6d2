//! Texts that are said and files that are played for the client, behind what is queued.
//!
//! ```text
//!  say  ─> Speech, piece by piece ─┐
//!                                  ├─> resampler ─> PlayoutQueue, as an utterance
//!  play ─> decoded in one go ──────┘
//!  what the client sends to be heard behind it waits until the last sample is queued
//! ```
//!
//! A clear takes all of it: what is being made is given up, what waited is queued first, so that each
//! utterance and mark is told. Bounded: what waits beyond the bound is refused. Makes no sound
//! itself; a file is decoded by a thread of the runtime's.

use super::{Moment, Session};
use crate::app::stream::dialect::Heard;
use crate::app::stream::wire::{CommandId, Refused, Request, Told};
use crate::audio::decode::{DecodeLimits, decode_file_at};
use crate::audio::gain::normalise;
use crate::audio::rate::SampleRate;
use crate::audio::resample::Resampler;
use crate::speech::tts::{Speech, SpeechPiece, TtsError};
use bytes::Bytes;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// Messages that may wait behind what is being said.
const WAITING_MAX: usize = 4096;
/// Octets of audio that may.
const WAITING_OCTETS: usize = 1 << 20;
/// Longest file that is played.
const FILE_MAX: Duration = Duration::from_mins(10);

/// Who speaks texts: a voice's id, if one is named, and the text.
pub type Speak = Arc<dyn Fn(Option<&str>, &str) -> Result<Speech, TtsError> + Send + Sync>;

/// The rest of a speech, and the next item of it.
type Next = (Speech, Option<Result<SpeechPiece, String>>);
type Coming<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Where samples come from.
enum Source {
    Speech(Coming<Next>),
    File(Coming<Result<Arc<[i16]>, String>>),
    /// All are there.
    Whole,
}

/// What is being said or played at this moment.
struct Making {
    id: Option<CommandId>,
    source: Source,
    /// From the source's rate, where it is another.
    resampler: Option<Resampler>,
    /// At the leg's rate, and not queued yet from `queued` on.
    samples: Vec<i16>,
    queued: usize,
}

/// See the module.
#[derive(Default)]
pub(super) struct Spoken {
    making: Option<Making>,
    /// More of it could be taken, and nobody has asked for that.
    hungry: bool,
    waiting: VecDeque<Heard>,
    octets: usize,
}

impl Spoken {
    /// Whether something is being said or played that is not queued to its end.
    pub(super) fn is_making(&self) -> bool {
        self.making.is_some()
    }

    /// Whether it must be asked for more; tells it once.
    pub(super) fn take_hungry(&mut self) -> bool {
        std::mem::take(&mut self.hungry) && self.making.is_some()
    }
}

impl Session {
    /// Keeps what the client wants heard behind what is being said; gives back what need not wait.
    pub(super) fn keep_waiting(&mut self, heard: Heard, now: Moment) -> Option<Heard> {
        if !self.spoken.is_making() || !waits(&heard) {
            return Some(heard);
        }
        let octets = if let Heard::Audio(octets) = &heard { octets.len() } else { 0 };
        let full = self.spoken.waiting.len() >= WAITING_MAX
            || self.spoken.octets + octets > WAITING_OCTETS;
        match heard {
            Heard::Audio(_) if full => self.refused += octets as u64 / 2,
            Heard::Request(id, _) if full => {
                let detail = "too much waits behind what is being said".to_owned();
                self.tell(&Told::Error { id, code: "busy", detail, fatal: false }, now);
            }
            heard => {
                self.spoken.octets += octets;
                self.spoken.waiting.push_back(heard);
            }
        }
        None
    }

    /// The next thing that waited, once nothing is being said.
    pub(super) fn next_waiting(&mut self) -> Option<Heard> {
        if self.spoken.is_making() {
            return None;
        }
        let heard = self.spoken.waiting.pop_front()?;
        if let Heard::Audio(octets) = &heard {
            self.spoken.octets -= octets.len();
        }
        Some(heard)
    }

    /// Says a text.
    pub(super) fn say(
        &mut self,
        id: Option<CommandId>,
        text: &str,
        voice: Option<&str>,
    ) -> Result<(), Refused> {
        let refused = |code, detail: String| Refused { id: None, code, detail };
        let Some(speak) = self.spec.speak.clone() else {
            return Err(refused("not_implemented", "nobody speaks texts here".to_owned()));
        };
        let speech = speak(voice, text).map_err(|error| {
            let code = match error {
                TtsError::UnknownVoice { .. } => "unknown_voice",
                TtsError::NothingToSay | TtsError::TooLong | TtsError::Ssml(_) => "invalid_field",
                TtsError::NoEngine { .. } | TtsError::Busy | TtsError::NoRuntime => {
                    "capacity_exceeded"
                }
            };
            refused(code, error.to_string())
        })?;
        let leg = self.leg_rate();
        let resampler = Resampler::aligned(SampleRate::HZ_8000, leg).ok();
        let resampler = resampler.filter(|_| leg != SampleRate::HZ_8000);
        self.make(id, Source::Speech(next(speech)), resampler)
    }

    /// Plays a file.
    pub(super) fn play(&mut self, id: Option<CommandId>, file: Bytes) -> Result<(), Refused> {
        let (rate, level) = (self.leg_rate(), self.spec.level.target_dbov);
        let decoded = tokio::task::spawn_blocking(move || decode(&file, rate, level));
        let decoded = async move {
            match decoded.await {
                Ok(decoded) => decoded,
                Err(_) => Err("the file could not be decoded".to_owned()),
            }
        };
        self.make(id, Source::File(Box::pin(decoded)), None)
    }

    fn make(
        &mut self,
        id: Option<CommandId>,
        source: Source,
        resampler: Option<Resampler>,
    ) -> Result<(), Refused> {
        let name = id.as_ref().map(|id| match id {
            CommandId::Text(text) => Arc::clone(text),
            CommandId::Number(number) => number.to_string().into(),
        });
        self.inlet.flush(&mut self.queue);
        self.queue.open(name).map_err(super::requests::refused)?;
        self.pause_at = None;
        let (samples, queued) = (Vec::new(), 0);
        self.spoken.making = Some(Making { id, source, resampler, samples, queued });
        self.spoken.hungry = true;
        Ok(())
    }

    /// Takes what is being made, if there is anything and the last of it is queued.
    pub(in crate::app::stream) fn poll_spoken(
        &mut self,
        context: &mut Context<'_>,
        now: Moment,
    ) -> Poll<()> {
        let Some(making) = &mut self.spoken.making else { return Poll::Pending };
        if making.queued < making.samples.len() {
            return Poll::Pending;
        }
        let failed = match &mut making.source {
            Source::Whole => return Poll::Pending,
            Source::File(decoded) => match ready!(decoded.as_mut().poll(context)) {
                Ok(samples) => {
                    making.give(&samples);
                    making.source = Source::Whole;
                    None
                }
                Err(detail) => Some(detail),
            },
            Source::Speech(coming) => {
                let (speech, item) = ready!(coming.as_mut().poll(context));
                match item {
                    Some(Ok(piece)) => {
                        making.give(&piece.samples);
                        making.source = Source::Speech(next(speech));
                        None
                    }
                    Some(Err(detail)) => Some(detail),
                    None => {
                        making.end();
                        None
                    }
                }
            }
        };
        if let Some(detail) = failed {
            let is_file = matches!(making.source, Source::File(_));
            let code = if is_file { "audio_undecodable" } else { "say_failed" };
            let id = making.id.clone();
            self.spoken.making = None;
            self.queue.close();
            self.tell(&Told::Error { id, code, detail, fatal: false }, now);
        }
        self.feed_spoken();
        Poll::Ready(())
    }

    /// Queues as much of what was made as there is room for; call when there may be room.
    pub(super) fn feed_spoken(&mut self) {
        let Some(making) = &mut self.spoken.making else { return };
        if let Some(line) = &self.line {
            self.queue.look(&line.playout);
        }
        making.queued += self.queue.push(making.samples.get(making.queued..).unwrap_or_default());
        if making.queued == making.samples.len() {
            self.spoken.hungry |= !making.samples.is_empty();
            making.samples.clear();
            making.queued = 0;
            if matches!(making.source, Source::Whole) {
                self.spoken.making = None;
                self.queue.close();
            }
        }
    }

    /// Gives up what is being made, and queues what waited behind it: it is to be cleared.
    pub(super) fn give_up_spoken(&mut self, now: Moment) {
        self.spoken.making = None;
        while let Some(heard) = self.next_waiting() {
            self.take_up(heard, now);
            self.spoken.making = None;
            if let Some(client) = &mut self.client {
                client.pending = Bytes::new();
            }
        }
    }

    /// Another client is there: forgets what the one before wanted heard behind what is being said.
    pub(super) fn forget_waiting(&mut self) {
        self.spoken.waiting.clear();
        self.spoken.octets = 0;
    }

    /// Gives up what is being made; what waited behind it goes on.
    pub(super) fn forget_making(&mut self) {
        self.spoken.making = None;
    }

    /// Nobody will hear it: forgets what is being made, and what waits.
    pub(super) fn forget_spoken(&mut self) {
        self.spoken = Spoken::default();
    }

    fn leg_rate(&self) -> SampleRate {
        SampleRate::new(self.spec.sample_rate).unwrap_or(SampleRate::HZ_8000)
    }
}

impl Making {
    fn give(&mut self, samples: &[i16]) {
        match &mut self.resampler {
            Some(resampler) => resampler.process(samples, &mut self.samples),
            None => self.samples.extend_from_slice(samples),
        }
    }

    fn end(&mut self) {
        if let Some(resampler) = &mut self.resampler {
            resampler.flush(&mut self.samples);
        }
        self.source = Source::Whole;
    }
}

fn next(mut speech: Speech) -> Coming<Next> {
    Box::pin(async move {
        let item = speech.next().await;
        (speech, item)
    })
}

/// Whether it is about what is heard, and so must wait its turn.
fn waits(heard: &Heard) -> bool {
    match heard {
        Heard::Audio(_) => true,
        Heard::Request(_, request) => match &**request {
            Request::Utterance(_)
            | Request::UtteranceEnd
            | Request::Mark(_)
            | Request::Say { .. }
            | Request::Play(_)
            | Request::Hangup { after_playback: true, .. } => true,
            Request::Configure { format, rate, .. } => format.is_some() || rate.is_some(),
            Request::Clear { .. }
            | Request::Pause
            | Request::Resume
            | Request::Background(_)
            | Request::Dtmf { .. }
            | Request::BargeIn { .. }
            | Request::Wish(_)
            | Request::Hangup { after_playback: false, .. }
            | Request::Ping
            | Request::Stats
            | Request::Event { .. }
            | Request::Record(_) => false,
        },
        Heard::Refused(_) | Heard::Fatal(..) => false,
    }
}

fn decode(file: &[u8], rate: SampleRate, level: f32) -> Result<Arc<[i16]>, String> {
    let limits = DecodeLimits { duration_max: FILE_MAX, ..DecodeLimits::default() };
    let decoded = decode_file_at(file, rate, &limits).map_err(|error| error.to_string())?;
    Ok(normalise(&decoded.samples, decoded.rate, level).into())
}
