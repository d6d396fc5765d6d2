//! What the next frame toward the carrier sounds like: the send side of a leg, before coding.
//!
//! ```text
//!            enough queued, End ahead, or waited           ring short at an announced end
//!   silent ────────────────────────────────────> playing ──────────────────────────────> silent
//!     ^                                           │   ^ │
//!     │ Clear: 5 ms fade, then nothing     ring short │ └ Pause, hold, digits: go on with a fade-in
//!     └───────────────────────────────────────────┤   │
//!                                                 v   │ the same start rule, then a 5 ms fade-in
//!                                                gap ─┘ told as Underrun when sound comes back
//! ```
//!
//! Owns the reading end of the playout ring, the marks on it, and every fade. A frame is always
//! completely written. Does not code, stamp or send: [`Playout::settle`] hears whether the frame
//! left, and only then are marks reached.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::bounded::Bounded;
use super::fade::{History, fade_in, fade_out, fade_out_of};
use super::interface::Event;
use super::level::Level;
use super::ring::PlayoutReader;
use super::stats::LegStats;
use crate::audio::codec::SampleRate;
use std::time::{Duration, Instant};

/// Events that wait for the worker; it takes them out after every call.
pub type Events = Bounded<Event, 32>;

/// Marks that can wait at once.
pub const WATCHES: usize = 128;
/// Clears that can meet in one tick.
const CLEARS: usize = 16;
/// Length of every fade but that of a clear.
const FADE: Duration = Duration::from_millis(5);
/// Longest fade of a clear.
const CLEAR_FADE_MAX: Duration = Duration::from_millis(100);
/// A last piece shorter than a frame waits this long for more.
const TRAILING: Duration = Duration::from_millis(40);
/// What an underrun soon after another adds to the start threshold.
const LEARN: Duration = Duration::from_millis(20);
/// How soon that is; and how long without an underrun takes the same off again.
const FORGET: Duration = Duration::from_secs(10);
/// Of a client that sends a frame at a time the first must have come so long before its packet:
/// the next one would be as early, and late as soon as the network is.
const SLACK: Duration = Duration::from_millis(3);
/// How much longer than it takes to gather enough is waited for it.
const PATIENCE: Duration = Duration::from_millis(20);
/// A gap longer than this is a pause of the speaker: it teaches nothing about the network.
const GAP_LEARNT_MAX: Duration = Duration::from_secs(1);

/// When sound that arrives in an empty playout ring begins to play.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartRule {
    /// At once when this much, and a frame, is queued, or the end is announced; 20 ms later in any
    /// case.
    pub enough: Duration,
    /// What it may grow to while underruns follow each other.
    pub enough_max: Duration,
}

impl Default for StartRule {
    /// Nothing waits that need not. A client that sends a frame at a time pays for its jitter once:
    /// the frame that came too late for its packet leaves with the next, and so do all behind it.
    fn default() -> Self {
        Self { enough: Duration::from_millis(20), enough_max: Duration::from_millis(100) }
    }
}

#[derive(Debug, Clone, Copy)]
struct Watch {
    position: u64,
    token: u32,
}

#[derive(Debug, Clone, Copy)]
struct Clear {
    up_to: u64,
    token: u32,
    /// Samples of its fade.
    fade: usize,
}

/// Sound that waits for the start rule.
#[derive(Debug, Clone, Copy)]
struct Gathering {
    since: Instant,
    queued: usize,
    grown: Instant,
}

/// The send side of a leg. See the module.
pub struct Playout {
    reader: PlayoutReader,
    rate: SampleRate,
    rule: StartRule,
    /// Half the ring: below it there is room worth a wake-up.
    low: usize,
    playing: bool,
    paused: bool,
    gathering: Option<Gathering>,
    /// The last frame ended in sound, so the next must not begin in silence.
    sounding: bool,
    /// Sound that comes next was interrupted: it fades in.
    interrupted: bool,
    /// Samples of fill since the ring ran dry unannounced.
    gap: Option<u32>,
    end: Option<u64>,
    learnt: Duration,
    learnt_at: Option<Instant>,
    clears: Bounded<Clear, CLEARS>,
    /// Samples of a clear's fade that have been played.
    faded: usize,
    cleared: Bounded<Event, CLEARS>,
    watches: Bounded<Watch, WATCHES>,
    /// All samples before this position have left or were thrown away.
    left: u64,
    /// Samples of the frame that waits for [`Playout::settle`].
    in_flight: usize,
    level: Level,
    history: History,
    room: bool,
    underruns: u64,
}

impl Playout {
    /// Plays from a ring that holds `capacity` samples.
    #[must_use]
    pub fn new(reader: PlayoutReader, capacity: usize, rate: SampleRate, rule: StartRule) -> Self {
        Self {
            reader,
            rate,
            rule,
            low: capacity / 2,
            playing: false,
            paused: false,
            gathering: None,
            sounding: false,
            interrupted: false,
            gap: None,
            end: None,
            learnt: Duration::ZERO,
            learnt_at: None,
            clears: Bounded::default(),
            faded: 0,
            cleared: Bounded::default(),
            watches: Bounded::default(),
            left: 0,
            in_flight: 0,
            level: Level::default(),
            history: History::default(),
            room: false,
            underruns: 0,
        }
    }

    /// Announces that nothing follows at `position` for the time being.
    pub fn end_at(&mut self, position: u64) {
        self.end = Some(position);
    }

    /// Stops taking from the ring, or goes on.
    pub fn pause(&mut self, paused: bool) {
        self.paused = paused;
        if paused {
            self.interrupt();
        }
    }

    /// Changes how loud what is played from the ring is.
    pub fn set_level(&mut self, percent: u8, ramp: Duration) {
        let samples = usize::try_from(self.rate.samples_in(ramp)).unwrap_or(0);
        self.level.set(f32::from(percent) / 100.0, samples);
    }

    /// Asks to throw away what is queued before `up_to`, after a fade of at most 100 ms; `false`
    /// when too many such wait.
    pub fn clear(&mut self, up_to: u64, token: u32, fade: Duration) -> bool {
        let fade = usize::try_from(self.rate.samples_in(fade.min(CLEAR_FADE_MAX))).unwrap_or(0);
        self.clears.push(Clear { up_to, token, fade })
    }

    /// Asks to tell when `position` is reached; `false` when too many such wait.
    pub fn watch(&mut self, position: u64, token: u32) -> bool {
        self.watches.push(Watch { position, token })
    }

    /// Writes the next frame and returns how many of its samples came from the ring.
    ///
    /// Shape: mono, one ptime, always completely written. Cost: O(frame), no allocation.
    pub fn fill(&mut self, now: Instant, frame: &mut [i16], events: &mut Events) -> usize {
        self.forget(now);
        let queued = self.reader.queued();
        let played = if self.clears_something() {
            self.play_out(frame)
        } else if !self.paused && (self.playing || self.may_start(now, frame.len())) {
            self.play(now, frame, events)
        } else {
            self.fall_silent(frame);
            0
        };
        if self.faded == 0 {
            self.obey_clears();
        } else {
            self.confirm_passed();
        }
        self.note_room(queued);
        self.in_flight = played;
        played
    }

    /// Lets a tick pass whose packet, if any, carries no audio of ours: hold, or a digit.
    pub fn rest(&mut self) {
        let queued = self.reader.queued();
        self.interrupt();
        self.sounding = false;
        let settled = self.left == self.reader.position();
        self.obey_clears();
        if settled {
            self.left = self.reader.position();
        }
        self.note_room(queued);
    }

    /// Hears whether the tick's packet left (`None`: there was none) and tells what was reached.
    pub fn settle(&mut self, sent: Option<bool>, stats: &LegStats, events: &mut Events) {
        let played = std::mem::take(&mut self.in_flight);
        if sent == Some(true) {
            self.left = self.reader.position();
            stats.tx_played_samples.add(played as u64);
        }
        stats.tx_underruns.set(self.underruns);
        // In the order of the samples: what was heard before a clear, the clear, what came after.
        while let Some(event) = self.cleared.pop() {
            if let Event::Cleared { played_to, .. } = event {
                self.tell_reached(played_to.min(self.left), events);
            }
            if !events.push(event) {
                stats.dropped.add(1);
            }
        }
        self.tell_reached(self.left, events);
    }

    /// Tells of the watches up to `left`; those that find no room stay for the next tick.
    fn tell_reached(&mut self, left: u64, events: &mut Events) {
        self.watches.retain(|Watch { position, token }| {
            position > left || !events.push(Event::Reached { token, position })
        });
    }

    /// Since when a sample had been waiting that was taken; see [`PlayoutReader::taken`].
    pub fn taken(&mut self) -> Option<Instant> {
        self.reader.taken()
    }

    /// Whether room was made in the ring that its writer should know of; tells it once.
    pub fn take_room(&mut self) -> bool {
        std::mem::take(&mut self.room)
    }

    /// One full frame, or what there is of it with a faded tail.
    fn play(&mut self, now: Instant, frame: &mut [i16], events: &mut Events) -> usize {
        let played = self.reader.pop(frame);
        self.level.apply(frame.get_mut(..played).unwrap_or_default());
        self.gathering = None;
        if played > 0 {
            self.resume(now, frame, played, events);
        }
        self.playing = played == frame.len();
        if self.playing {
            self.sounding = true;
        } else if let Some(rest) = frame.get_mut(played..) {
            self.gap = if self.at_end() { None } else { Some(0) };
            self.fall_silent(rest);
        }
        played
    }

    /// Sound is back: fades it in if it was cut, and tells of the gap.
    fn resume(&mut self, now: Instant, frame: &mut [i16], played: usize, events: &mut Events) {
        let sound = frame.get_mut(..played).unwrap_or_default();
        if self.interrupted || self.gap.is_some() {
            let len = self.fade_len().min(played);
            fade_in(sound.get_mut(..len).unwrap_or_default());
        }
        self.interrupted = false;
        self.history.push(sound);
        self.sounding = true;
        if let Some(samples) = self.gap.take() {
            // Full only if the worker does not take events out; the counter still counts.
            let _ = events.push(Event::Underrun { samples });
            self.underruns += 1;
            self.learn(now, samples);
        }
    }

    /// The first milliseconds of what is to be cleared, fading; then silence. A fade that is longer
    /// than a frame goes on with the next.
    fn play_out(&mut self, frame: &mut [i16]) -> usize {
        let total = self.clear_fade();
        let begun = self.faded;
        let len = total.saturating_sub(begun).min(frame.len());
        let (fading, silent) = frame.split_at_mut(len);
        silent.fill(0);
        fading.fill(0);
        if !self.sounding {
            self.stop();
            return 0;
        }
        let up_to = self.clears.iter().map(|clear| clear.up_to).max().unwrap_or(0);
        let left = up_to.saturating_sub(self.reader.position());
        let wanted = usize::try_from(left).map_or(len, |left| left.min(len));
        let taken = self.reader.pop(fading.get_mut(..wanted).unwrap_or_default());
        self.level.apply(fading.get_mut(..taken).unwrap_or_default());
        self.history.push(fading.get(..taken).unwrap_or_default());
        self.history.extend(self.rate, fading.get_mut(taken..).unwrap_or_default());
        fade_out_of(fading, begun, total);
        self.faded = begun + len;
        let (over, dry) = (self.faded >= total, taken < len || !self.clears_something());
        if dry && !over {
            fade_out(fading);
        }
        if dry || over {
            self.stop();
        }
        taken
    }

    /// Samples of the fade of what is to be cleared: a later clear changes none that has begun.
    fn clear_fade(&self) -> usize {
        let position = self.reader.position();
        let first = self.clears.iter().find(|clear| clear.up_to > position);
        first.map_or(0, |clear| clear.fade)
    }

    fn clears_something(&self) -> bool {
        self.clears.iter().any(|clear| clear.up_to > self.reader.position())
    }

    fn obey_clears(&mut self) {
        while let Some(Clear { up_to, token, .. }) = self.clears.pop() {
            let played_to = self.reader.position().min(up_to);
            let wanted = up_to.saturating_sub(played_to);
            let discarded = self.reader.skip(usize::try_from(wanted).unwrap_or(usize::MAX)) as u64;
            self.reader.forget_stamps();
            if wanted > 0 {
                self.watches.retain(|watch| watch.position <= played_to || watch.position > up_to);
                self.stop();
            }
            // As many as there are clears: it always fits.
            self.cleared.push(Event::Cleared { token, played_to, discarded });
        }
    }

    /// Tells of clears whose end a fade has passed on its way to that of a later one.
    fn confirm_passed(&mut self) {
        let position = self.reader.position();
        while self.clears.iter().next().is_some_and(|clear| clear.up_to <= position)
            && let Some(Clear { up_to, token, .. }) = self.clears.pop()
        {
            self.cleared.push(Event::Cleared { token, played_to: up_to, discarded: 0 });
        }
    }

    /// After a clear: what comes next is a new beginning.
    fn stop(&mut self) {
        self.level = Level::default();
        self.faded = 0;
        self.playing = false;
        self.sounding = false;
        self.interrupted = false;
        self.gap = None;
        self.gathering = None;
        self.room = true;
    }

    /// Silence, after a tail if the frame before ended in sound.
    fn fall_silent(&mut self, frame: &mut [i16]) {
        frame.fill(0);
        if std::mem::take(&mut self.sounding) {
            let len = self.fade_len().min(frame.len());
            let tail = frame.get_mut(..len).unwrap_or_default();
            self.history.extend(self.rate, tail);
            fade_out(tail);
        }
        if self.at_end() {
            self.gap = None;
            self.interrupted = false;
        }
        if let Some(gap) = &mut self.gap {
            *gap = gap.saturating_add(u32::try_from(frame.len()).unwrap_or(u32::MAX));
        }
    }

    fn interrupt(&mut self) {
        self.interrupted |= self.playing || self.sounding || self.gap.take().is_some();
        self.playing = false;
        self.gathering = None;
    }

    /// Whether an end was announced right here.
    fn at_end(&self) -> bool {
        self.end == Some(self.reader.position())
    }

    /// The start rule; asked once a tick while nothing plays.
    fn may_start(&mut self, now: Instant, frame: usize) -> bool {
        let queued = self.reader.queued();
        if queued == 0 {
            self.gathering = None;
            return false;
        }
        let fresh = Gathering { since: now, queued, grown: now };
        let gathering = self.gathering.get_or_insert(fresh);
        if queued > gathering.queued {
            (gathering.queued, gathering.grown) = (queued, now);
        }
        let Gathering { since, grown, .. } = *gathering;
        let frame_time = self.rate.duration_of(frame as u64);
        // The next chance is a frame away: starting then must not be later than allowed.
        let waited = |since: Instant| now.saturating_duration_since(since) + frame_time;
        let enough = self.rule.enough + self.learnt;
        self.end.is_some_and(|end| end > self.reader.position())
            || (queued >= frame
                && self.rate.duration_of(queued as u64) >= enough
                && !(queued < 2 * frame && self.is_tight(now)))
            || waited(since) >= enough.max(frame_time) + PATIENCE
            || (queued < frame && waited(grown) >= TRAILING)
    }

    /// Whether the next sample came only just.
    fn is_tight(&self, now: Instant) -> bool {
        self.reader.next_since().is_some_and(|since| now.saturating_duration_since(since) < SLACK)
    }

    fn learn(&mut self, now: Instant, gap: u32) {
        if self.rate.duration_of(gap.into()) > GAP_LEARNT_MAX {
            return;
        }
        // The first one has moved the sound by a frame already, which may be all it needs.
        if self.learnt_at.replace(now).is_some() {
            let most = self.rule.enough_max.saturating_sub(self.rule.enough);
            self.learnt = (self.learnt + LEARN).min(most);
        }
    }

    fn forget(&mut self, now: Instant) {
        if let Some(at) = self.learnt_at
            && now.saturating_duration_since(at) >= FORGET
        {
            self.learnt = self.learnt.saturating_sub(LEARN);
            self.learnt_at = (self.learnt > Duration::ZERO).then_some(now);
        }
    }

    fn note_room(&mut self, before: usize) {
        self.room |= before > self.low && self.reader.queued() <= self.low;
    }

    fn fade_len(&self) -> usize {
        usize::try_from(self.rate.samples_in(FADE)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests;
