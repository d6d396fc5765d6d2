//! What a client should know of its sound, and of the caller's, beyond what was lost: that it seems
//! to have another rate, is cut off or off centre, comes too late, or does not come at all.

use super::{Moment, Session};
use crate::app::stream::doubt::{Doubt, Doubts};
use crate::app::stream::options::{Protocol, Role};
use crate::app::stream::wire::Told;
use crate::audio::decode::LiveFormat;
use std::time::{Duration, Instant};

/// How often is looked whether anything comes.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A client that has sent nothing so long after the answer has perhaps no voice.
const SILENT_FOR: Duration = Duration::from_secs(10);
/// How often gaps are told at most.
const LATE_EVERY: Duration = Duration::from_secs(5);

/// What was seen so far of what comes.
#[derive(Default)]
pub(super) struct Watch {
    /// Of the main client's audio.
    doubts: Option<Doubts>,
    /// When somebody could begin to speak.
    since: Option<Instant>,
    look_at: Option<Instant>,
    /// RTP packets of the caller when that was last looked at.
    packets: u64,
    one_way_told: bool,
    silence_told: bool,
    /// Gaps in the client's sound that were not told, and how many samples of silence they were.
    gaps: (u64, u64),
    gaps_told: Option<Instant>,
}

impl Watch {
    /// Samples of the client go to the ring.
    pub(super) fn look(&mut self, samples: &[i16]) {
        if let Some(doubts) = &mut self.doubts {
            doubts.look(samples);
        }
    }
}

impl Session {
    /// Begins to watch the audio of a client that just sat down.
    pub(super) fn watch_client(&mut self, now: Instant) {
        let Some(client) = &self.client else { return };
        let settings = client.settings;
        let live = settings.live.is_some();
        self.watch.doubts = Some(Doubts::new(settings.rate, self.spec.sample_rate, live));
        self.watch.silence_told =
            settings.protocol == Protocol::Bare || settings.role != Role::Main;
        self.watch_from(now);
    }

    /// The call is answered, or there is somebody: looks for what comes from here on.
    pub(super) fn watch_from(&mut self, now: Instant) {
        if self.started && self.client.is_some() && !self.spec.observer {
            self.watch.since = Some(now);
            self.watch.look_at = Some(now + LOOK_EVERY);
            self.watch.packets = self.packets().1;
        }
    }

    /// When is to be looked next.
    pub(super) fn watch_deadline(&self) -> Option<Instant> {
        let gaps = self.watch.gaps_told.filter(|_| self.watch.gaps.0 > 0);
        let due = [self.watch.look_at, gaps.map(|told| told + LATE_EVERY)];
        due.into_iter().flatten().min().filter(|_| self.client.is_some() && !self.over)
    }

    /// A message of audio came.
    pub(super) fn watch_arrival(&mut self, octets: usize, now: Moment) {
        let Some(client) = &self.client else { return };
        let Some(width) = width(client.settings.format) else { return };
        let rate = u64::from(client.settings.rate.max(1));
        let audio = Duration::from_micros(octets as u64 / width * 1_000_000 / rate);
        let doubts = self.watch.doubts.as_mut();
        if let Some(doubt) = doubts.and_then(|doubts| doubts.arrived(now.at, audio)) {
            self.tell_doubt(doubt, now);
        }
    }

    /// Tells what there is to doubt by now, and looks for what does not come.
    pub(super) fn tell_doubts(&mut self, now: Moment) {
        let doubts = self.watch.doubts.as_mut();
        if let Some(doubt) = doubts.and_then(|doubts| doubts.judge(now.at)) {
            self.tell_doubt(doubt, now);
        }
        self.tell_gaps(now);
        if self.client.is_some() && self.watch.look_at.is_some_and(|at| at <= now.at) {
            self.watch.look_at = Some(now.at + LOOK_EVERY);
            self.look_for_caller(now);
            self.look_for_client(now);
        }
    }

    /// The ring ran dry within an utterance.
    pub(super) fn note_gap(&mut self, samples: u32) {
        self.watch.gaps.0 += 1;
        self.watch.gaps.1 += u64::from(samples);
    }

    fn tell_gaps(&mut self, now: Moment) {
        let waits = |at: Instant| now.at.saturating_duration_since(at) < LATE_EVERY;
        if self.watch.gaps.0 == 0 || self.watch.gaps_told.is_some_and(waits) {
            return;
        }
        let (gaps, samples) = std::mem::take(&mut self.watch.gaps);
        self.watch.gaps_told = Some(now.at);
        let ms = self.queue.ms(samples);
        let detail = format!("{gaps} gaps of {ms} ms in all were heard: audio came too late");
        let hint = "send ahead of time, and utterance_end where nothing follows";
        self.hint("late", detail, hint, now);
    }

    /// RTP packets that were sent, and that came; 0 where nobody counts.
    fn packets(&self) -> (u64, u64) {
        let report = self.line.as_ref().map(|line| line.port.report()).unwrap_or_default();
        (report.tx_packets, report.rx_packets)
    }

    fn look_for_caller(&mut self, now: Moment) {
        let (sent, came) = self.packets();
        let comes = came > self.watch.packets;
        self.watch.packets = came;
        if comes {
            self.watch.one_way_told = false;
        } else if sent > 0 && !self.lent && !std::mem::replace(&mut self.watch.one_way_told, true) {
            let seconds = LOOK_EVERY.as_secs();
            let detail =
                format!("we send RTP, and nothing came from the other side for {seconds} s");
            let hint = "look at NAT and firewalls between the carrier and the gateway's RTP ports, \
                        and at hold";
            self.hint("one_way_audio", detail, hint, now);
        }
    }

    fn look_for_client(&mut self, now: Moment) {
        let silent = self.client.as_ref().is_some_and(|client| client.received == 0)
            && self.queue.end() == 0
            && !self.spoken.is_making();
        let long = self
            .watch
            .since
            .is_some_and(|since| now.at.saturating_duration_since(since) >= SILENT_FOR);
        if silent && long && !std::mem::replace(&mut self.watch.silence_told, true) {
            let detail = format!("no audio has come from you for {} s", SILENT_FOR.as_secs());
            let hint = "send binary messages, or audio in JSON with envelope=json";
            self.hint("no_audio", detail, hint, now);
        }
    }

    fn tell_doubt(&mut self, doubt: Doubt, now: Moment) {
        match doubt {
            Doubt::Rate { came, nearest } => {
                let claimed = self.client.as_ref().map_or(0, |client| client.settings.rate);
                let detail = format!(
                    "{came} samples come in a second, and rate says {claimed}; {nearest} would fit"
                );
                let hint = "name the rate of your audio in rate, or send configure";
                self.hint("rate_mismatch_suspected", detail, hint, now);
            }
            Doubt::Clipping { per_mille } => {
                let detail = format!("{per_mille} of 1000 samples are cut off at full scale");
                self.hint("clipping", detail, "make your audio quieter before you send it", now);
            }
            Doubt::Offset { per_cent } => {
                let detail =
                    format!("your audio has a constant offset of {per_cent} % of full scale");
                self.hint("dc_offset", detail, "dc_block=on takes it out", now);
            }
        }
    }

    fn hint(&mut self, code: &'static str, detail: String, hint: &'static str, now: Moment) {
        let hint = Some(hint);
        self.tell(&Told::Warning { code, detail, hint, dropped_ms: None }, now);
    }
}

/// Octets of a sample, in formats whose octets tell how long they last.
fn width(format: LiveFormat) -> Option<u64> {
    match format {
        LiveFormat::PcmS16Le | LiveFormat::PcmS16Be => Some(2),
        LiveFormat::PcmF32Le => Some(4),
        LiveFormat::Mulaw | LiveFormat::Alaw => Some(1),
        LiveFormat::Auto
        | LiveFormat::Mp3
        | LiveFormat::Wav
        | LiveFormat::Opus
        | LiveFormat::Ogg => None,
    }
}
