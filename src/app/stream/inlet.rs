//! The client's audio on its way to the caller.
//!
//! ```text
//!  binary messages ─> LiveDecoder (state kept over messages) ─> Resampler ─> [Leveller]
//!                                                                      ─> PlayoutQueue
//! ```
//!
//! Owns the decoding state of the stream and the one resampler that lives as long as its rate.
//! A flush ends an utterance to the sample; a reset forgets what a clear made void. Does not
//! pace and holds nothing back but what is less than a sample, a block or the filter's 4 ms.

use super::level::Leveller;
use super::live::Live;
use crate::app::playout::PlayoutQueue;
use crate::audio::decode::{LiveDecoder, LiveEvent, LiveFormat, LiveOutput};
use crate::audio::rate::SampleRate;
use crate::audio::resample::Resampler;
use std::time::Duration;

/// First octets of files; after a pause they begin a new stream where a format is to be sniffed.
const MAGIC: [&[u8]; 4] = [b"RIFF", b"ID3", b"OggS", b"fLaC"];
/// Octets of coded audio that are decoded between two looks at the queue: 1 s at 8 kbit/s.
const CODED_SLICE: usize = 1024;
/// The same for samples.
const RAW_SLICE: usize = 16 * 1024;
/// Coded audio is not even decoded while less than this would fit, in parts of a second.
const ROOM_PARTS: u32 = 10;

/// Something that the client should be warned of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Note {
    /// The stream ended within a sample or block.
    Odd,
    /// What came cannot be decoded, and why.
    Undecodable(String),
    /// Octets between the frames of a coded stream.
    Junk(u64),
}

/// The way in for one client.
pub(super) struct Inlet {
    format: LiveFormat,
    rate: SampleRate,
    leg_rate: SampleRate,
    decoder: LiveDecoder,
    resampler: Option<Resampler>,
    /// Levels what the client sends, if somebody wants that.
    level: Option<Leveller>,
    /// Keeps the lead short, of a client that speaks live.
    live: Option<Live>,
    /// What a sniffed stream turned out to be.
    detected: Option<LiveFormat>,
    /// Nothing came for a while: the next message may begin another file.
    paused: bool,
    resampled: Vec<i16>,
    /// Time spent in the filter.
    resampling: Duration,
    /// Samples at the leg's rate that the full queue refused.
    refused: u64,
    notes: Vec<Note>,
}

impl Inlet {
    /// An inlet for a leg of this rate in Hz; 0 is taken for 8000.
    pub(super) fn new(format: LiveFormat, rate: u32, leg_rate: u32) -> Self {
        let rate = SampleRate::new(rate).unwrap_or(SampleRate::HZ_8000);
        Self {
            format,
            rate,
            leg_rate: SampleRate::new(leg_rate).unwrap_or(SampleRate::HZ_8000),
            decoder: LiveDecoder::new(format, rate),
            resampler: None,
            level: None,
            live: None,
            detected: None,
            paused: false,
            resampled: Vec::new(),
            resampling: Duration::ZERO,
            refused: 0,
            notes: Vec::new(),
        }
    }

    /// The same, with the level seen to if there is somebody for it.
    pub(super) fn levelled(mut self, level: Option<Leveller>) -> Self {
        self.level = level;
        self
    }

    /// The same for a client whose lead is to stay within `lead`, if it is live.
    pub(super) fn live(mut self, lead: Option<Duration>) -> Self {
        self.live = lead.map(|lead| Live::new(self.leg_rate, lead));
        self
    }

    /// Whether samples are held back that nobody may follow up on; then [`Self::settle`].
    pub(super) fn is_holding(&self) -> bool {
        self.live.as_ref().is_some_and(Live::is_holding)
    }

    /// Queues what is held back, for the limiter's foresight and for catching up: whoever counts
    /// samples now counts all that came.
    pub(super) fn settle(&mut self, queue: &mut PlayoutQueue) {
        if let Some(level) = &mut self.level {
            self.refused += hand(&mut self.live, level.settle(), queue);
        }
        if let Some(live) = &mut self.live {
            self.refused += live.settle(queue);
        }
    }

    /// Reads what follows in another format or rate; flush first to keep what came before.
    pub(super) fn configure(&mut self, format: Option<LiveFormat>, rate: Option<u32>) {
        self.format = format.unwrap_or(self.format);
        self.rate = rate.and_then(SampleRate::new).unwrap_or(self.rate);
        self.reset();
    }

    /// How many octets [`Self::feed`] should be given at once.
    pub(super) fn slice(&self) -> usize {
        if self.format == LiveFormat::Opus {
            // A message is a packet.
            return usize::MAX;
        }
        if self.is_coded() { CODED_SLICE } else { RAW_SLICE }
    }

    /// Decodes octets into the queue; what does not fit is counted and gone.
    ///
    /// Cost: in proportion to the audio; no allocation in steady state.
    pub(super) fn feed(&mut self, octets: &[u8], queue: &mut PlayoutQueue) {
        if std::mem::take(&mut self.paused)
            && self.format == LiveFormat::Auto
            && MAGIC.iter().any(|magic| octets.starts_with(magic))
        {
            self.flush(queue);
        }
        let least = (self.leg_rate.hz() / ROOM_PARTS) as usize;
        if self.is_coded() && queue.room() < least {
            // Bytes say little about time here: as many milliseconds at 64 kbit/s.
            self.refused += octets.len() as u64 * u64::from(self.leg_rate.hz()) / 8000;
            return;
        }
        self.run(queue, |decoder, sink| decoder.push(octets, sink));
    }

    /// Ends the stream: what is held back goes into the queue, and reading begins anew.
    pub(super) fn flush(&mut self, queue: &mut PlayoutQueue) {
        self.run(queue, |decoder, sink| decoder.flush(sink));
        self.flush_filter(queue);
        self.detected = None;
    }

    /// Lets the filter's last milliseconds out when no more audio seems to come.
    ///
    /// The decoder keeps its place: a sender may pause within a sample or a frame.
    pub(super) fn pause(&mut self, queue: &mut PlayoutQueue) {
        self.flush_filter(queue);
        self.paused = true;
    }

    /// Forgets everything that has not reached the queue.
    pub(super) fn reset(&mut self) {
        self.decoder = LiveDecoder::new(self.format, self.rate);
        if let Some(resampler) = &mut self.resampler {
            resampler.reset();
        }
        if let Some(level) = &mut self.level {
            level.reset();
        }
        if let Some(live) = &mut self.live {
            live.reset();
        }
        self.detected = None;
        self.paused = false;
    }

    /// Samples at the leg's rate that were refused since the last call.
    pub(super) fn take_refused(&mut self) -> u64 {
        std::mem::take(&mut self.refused)
    }

    /// Time spent in the filter since the last call.
    pub(super) fn take_resampling(&mut self) -> Duration {
        std::mem::take(&mut self.resampling)
    }

    /// What happened since the last call.
    pub(super) fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    fn is_coded(&self) -> bool {
        match self.detected.unwrap_or(self.format) {
            LiveFormat::Mp3 | LiveFormat::Wav | LiveFormat::Opus | LiveFormat::Ogg => true,
            LiveFormat::Auto
            | LiveFormat::PcmS16Le
            | LiveFormat::PcmS16Be
            | LiveFormat::PcmF32Le
            | LiveFormat::Mulaw
            | LiveFormat::Alaw => false,
        }
    }

    fn flush_filter(&mut self, queue: &mut PlayoutQueue) {
        if let Some(resampler) = &mut self.resampler {
            self.resampled.clear();
            resampler.flush(&mut self.resampled);
            self.refused += give(&mut self.level, &mut self.live, &self.resampled, queue);
        }
        self.settle(queue);
    }

    fn run(
        &mut self,
        queue: &mut PlayoutQueue,
        work: impl FnOnce(&mut LiveDecoder, &mut dyn FnMut(LiveOutput<'_>)),
    ) {
        let Self { decoder, resampler, resampled, level, live, leg_rate, .. } = self;
        let (leg_rate, mut refused, mut events) = (*leg_rate, 0, Vec::new());
        let mut resampling = Duration::ZERO;
        let mut sink = |output: LiveOutput<'_>| match output {
            LiveOutput::Samples { rate, samples } => {
                if queue.room() == 0 {
                    let length = samples.len() as u64 * u64::from(leg_rate.hz());
                    refused += length / u64::from(rate.hz());
                    return;
                }
                let begun = (rate != leg_rate).then(tokio::time::Instant::now);
                if let Some(old) = resampler.take_if(|old| old.from() != rate) {
                    refused += give(level, live, ended(old, resampled), queue);
                }
                let at_leg_rate = convert(resampler, resampled, rate, leg_rate, samples);
                resampling += begun.map_or(Duration::ZERO, |begun| begun.elapsed());
                refused += give(level, live, at_leg_rate, queue);
            }
            LiveOutput::Event(event) => events.push(event),
        };
        work(decoder, &mut sink);
        self.refused += refused;
        self.resampling += resampling;
        for event in events {
            self.note(event);
        }
    }

    fn note(&mut self, event: LiveEvent) {
        let note = match event {
            LiveEvent::Detected(format) => {
                self.detected = Some(format);
                return;
            }
            LiveEvent::Skipped { bytes } => Note::Junk(bytes),
            LiveEvent::Damaged { .. } => return,
            LiveEvent::Partial { .. } => Note::Odd,
            LiveEvent::Failed(error) => Note::Undecodable(error.to_string()),
        };
        if self.notes.len() < 16 {
            self.notes.push(note);
        }
    }
}

/// Queues samples at the leg's rate; returns how many were refused.
fn give(
    level: &mut Option<Leveller>,
    live: &mut Option<Live>,
    samples: &[i16],
    queue: &mut PlayoutQueue,
) -> u64 {
    hand(live, level.as_mut().map_or(samples, |level| level.pass(samples)), queue)
}

/// The same for samples whose level was seen to.
fn hand(live: &mut Option<Live>, samples: &[i16], queue: &mut PlayoutQueue) -> u64 {
    match live {
        Some(live) => live.give(samples, queue),
        None => (samples.len() - queue.push(samples)) as u64,
    }
}

/// What a filter still held at the end of its stretch.
fn ended(mut filter: Resampler, resampled: &mut Vec<i16>) -> &[i16] {
    resampled.clear();
    filter.flush(resampled);
    resampled
}

/// Brings samples to the leg's rate with the stream's one filter.
fn convert<'a>(
    filter: &mut Option<Resampler>,
    resampled: &'a mut Vec<i16>,
    rate: SampleRate,
    leg_rate: SampleRate,
    samples: &'a [i16],
) -> &'a [i16] {
    resampled.clear();
    if rate == leg_rate {
        return samples;
    }
    if filter.is_none() {
        *filter = Resampler::aligned(rate, leg_rate).ok();
    }
    if let Some(filter) = filter {
        filter.process(samples, resampled);
    }
    resampled
}
