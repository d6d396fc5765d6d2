//! When one person's sound is played to another: the `paced` jitter mode.
//!
//! ```text
//!  capture ring ── push ──> held ──> squeeze, stretch ──> made ──> pull, by the local clock
//!                    │       ^  └ nothing due: conceal ──────────────^
//!                    └> Arrivals: how late sound comes ─> target
//!
//!           first sound        waited for the target          nothing left
//!   Idle ──────────────> Waiting ──────────────────> Playing ─────────────> Dry
//!                                                       ^   it came: on in its own place, or │
//!                                                       └── later if the target wants that ──┘
//! ```
//!
//! The *delay* is how long the first sample of the fastest packet waits here. A gap is concealed,
//! and sound that comes behind it goes on where it belongs: what is late is passed over, for time
//! that is put in and taken out again is heard more than a syllable that is made up. Only so much
//! of it is played that the delay comes to its target, or all of it when the path has become
//! longer or much would be lost. Else the delay grows and shrinks by single pitch periods, at most
//! 8 % of the time in speech and a third of it in pauses. Both ends' clocks drift by the same
//! means. What the leg concealed itself is dropped as far as it was concealed here already.
//!
//! Holes are best filled where both sides of them are seen, in the leg: it is told when they are
//! heard ([`Pace::due`]) and waits as long, no longer.
//!
//! Pure: time and frames in, samples out. Owns at most one second of sound. Does not know rings,
//! other rates, or who listens.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod arrivals;
mod origin;
#[cfg(test)]
mod tests;

use crate::audio::codec::SampleRate;
use crate::audio::pause::Pauses;
use crate::audio::plc::Concealer;
use crate::audio::warp;
use crate::media::interface::{Due, FrameHeader, FrameKind};
use arrivals::Arrivals;
use origin::MadeUp;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Units: microseconds, like every time in this file that is no `Duration`.
const MS: i64 = 1_000;
/// What is held back beyond the lateness that was seen: a beat of the puller.
const MARGIN: i64 = 5 * MS;
/// What is held back at least: two beats of the puller.
const LEAST: i64 = 10 * MS;
/// A delay so little above the target is left alone in pauses, and one so little below always.
const SLACK: i64 = 5 * MS;
const SHORT: i64 = 2 * MS;
/// In speech a delay this near is left alone.
const CALM: i64 = 15 * MS;
/// Excess from which periods are taken out at 8 % instead of 5 %, whatever they look like.
const URGENT: i64 = 60 * MS;
/// The periods of voices that are taken out or put in.
const LAG: (i64, i64) = (2_500, 15 * MS);
/// Cross-fade of a change, and the shortest when little is held.
const FADE: (i64, i64) = (10 * MS, 5 * MS);
/// Samples between two changes, as a multiple of the first: in pauses, urgent, and else.
const REST: (u64, u64, u64) = (2, 12, 20);
/// Sound that resembles itself less is left whole while there is no hurry.
const ALIKE: (f32, f32) = (0.9, 0.6);
/// Excess from which the weaker likeness does.
const PRESSING: i64 = 20 * MS;
/// A hole is told this long before it is heard: the way from the leg.
const HOLE_MARGIN: i64 = 3 * MS;
/// So many packets behind their hole within this time are a rule of the path, and count.
const LATE: (u64, i64) = (2, 2_000 * MS);
/// A wait for a hole begins when the packet behind it comes, a packet later.
const BEHIND: i64 = 20 * MS;
/// Late sound of which nothing is in time is waited for this long: the rest of it may be near.
const BURST: i64 = 15 * MS;
/// More late sound than this is not passed over: it is a word.
const WORTH: i64 = 150 * MS;
/// Longest sound that is held, whatever happens.
const HELD_MAX: Duration = Duration::from_secs(1);
/// Later than the longest delay by this: the source's clock has jumped.
const JUMP: i64 = 50 * MS;

/// Bounds of the delay; from the `[jitter]` section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaceSpec {
    /// Shortest.
    pub min: Duration,
    /// Until two seconds of sound were seen.
    pub start: Duration,
    /// Longest; of what is later the oldest is lost.
    pub max: Duration,
}

impl Default for PaceSpec {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self { min: ms(20), start: ms(40), max: ms(200) }
    }
}

/// What became of the sound of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct PaceReport {
    /// How long the first sample of the fastest packet waits, the playout ring included.
    pub delay_ms: u64,
    /// How long it should.
    pub target_ms: u64,
    /// Milliseconds that were made up because nothing had come.
    pub concealed_ms: u64,
    /// Milliseconds that were taken out to catch up.
    pub squeezed_ms: u64,
    /// Milliseconds that were put in to wait longer.
    pub stretched_ms: u64,
    /// Milliseconds that came and were not played: later than what was made up for them, or than
    /// the longest delay.
    pub skipped_ms: u64,
}

/// Samples, as counted for [`PaceReport`].
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    concealed: u64,
    squeezed: u64,
    stretched: u64,
    skipped: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing has come yet.
    Idle,
    /// The first sound waits until the delay is reached.
    Waiting,
    /// Sound goes out.
    Playing,
    /// Nothing is left.
    Dry {
        /// Samples that were made up since, and not made up for.
        made_up: u64,
        /// The delay when it began: sound goes on in its place.
        delay: i64,
        /// Since when sound comes that is later than that, and how late the least late is.
        late: Option<(i64, i64)>,
    },
}

/// One direction of a bridge. See the module.
#[derive(Debug)]
pub struct Pace {
    rate: SampleRate,
    spec: PaceSpec,
    /// Mean wait behind this, in the playout ring.
    lead: i64,
    origin: Option<Instant>,
    arrivals: Arrivals,
    /// What came with a hole waited for it: its lateness is the hole's.
    hole_at: Option<i64>,
    held: VecDeque<i16>,
    /// What of it the leg made up.
    made_up: MadeUp,
    /// Position of the first held sample.
    next: u64,
    /// Changed sound that goes out before what is held.
    made: VecDeque<i16>,
    state: State,
    concealer: Concealer,
    pauses: Pauses,
    /// Samples that must go out before the next change.
    rest: u64,
    /// When what was pulled is over.
    pulled_to: i64,
    /// Packets that were late when that was last judged, and when.
    late: Option<(i64, u64)>,
    counts: Counts,
}

impl Pace {
    /// A direction that has heard nothing.
    ///
    /// Cost: allocates some 30 KiB at 8 kHz.
    #[must_use]
    pub fn new(rate: SampleRate, spec: PaceSpec) -> Self {
        let held = usize::try_from(rate.samples_in(HELD_MAX)).unwrap_or(0);
        Self {
            rate,
            spec,
            lead: 0,
            origin: None,
            arrivals: Arrivals::default(),
            hole_at: None,
            held: VecDeque::with_capacity(held),
            made_up: MadeUp::default(),
            next: 0,
            made: VecDeque::new(),
            state: State::Idle,
            concealer: Concealer::new(rate.hz()),
            pauses: Pauses::default(),
            rest: 0,
            pulled_to: 0,
            late: None,
            counts: Counts::default(),
        }
    }

    /// Says how long sound waits behind this on the average: it is part of the delay.
    pub fn set_lead(&mut self, lead: Duration) {
        self.lead = micros(lead);
    }

    /// Says how many packets ever came behind others after their hole was concealed, and what wait
    /// would have spared most of them: they never come here to be seen.
    pub fn set_late(&mut self, now: Instant, packets: u64, wait: Duration) {
        let at = self.at(now);
        let (since, before) = *self.late.get_or_insert((at, packets));
        let rule = packets >= before + LATE.0;
        if rule && let Some(base) = self.arrivals.base() {
            self.arrivals.observe(at, base + micros(wait) + BEHIND + HOLE_MARGIN - MARGIN);
        }
        if rule || at - since >= LATE.1 {
            self.late = Some((at, packets));
        }
    }

    /// When holes must be told to be filled in time; `None` before anything was heard.
    #[must_use]
    pub fn due(&self) -> Option<Due> {
        let heard_at = match self.state {
            State::Idle => return None,
            State::Waiting => self.arrivals.base()? + self.media_time(self.next) + self.target(),
            State::Playing => self.pulled_to + self.time(self.made.len()),
            State::Dry { delay, .. } => self.arrivals.base()? + self.media_time(self.next) + delay,
        };
        let at = u64::try_from(heard_at - HOLE_MARGIN).unwrap_or(0);
        Some(Due { position: self.next, at: self.origin? + Duration::from_micros(at) })
    }

    /// Takes a frame of the capture ring, in order, when it is seen there.
    pub fn push(&mut self, now: Instant, header: FrameHeader, samples: &[i16]) {
        let at = self.at(now);
        self.arrivals.advance(at);
        match header.kind {
            FrameKind::Packet if self.hole_at != Some(at) => self.observe(at, header.position),
            FrameKind::Packet => {}
            FrameKind::Concealed | FrameKind::Silence => self.hole_at = Some(at),
        }
        if self.state == State::Idle {
            (self.next, self.state) = (header.position, State::Waiting);
        }
        let known = self.end().saturating_sub(header.position);
        let samples = samples.get(usize::try_from(known).unwrap_or(usize::MAX)..).unwrap_or(&[]);
        self.bridge_gap(header.position);
        let made_up = header.kind != FrameKind::Packet;
        let eaten = if made_up { self.eat(samples.len()) } else { 0 };
        let from = self.end();
        self.held.extend(samples.get(eaten..).unwrap_or_default());
        if header.kind == FrameKind::Concealed {
            self.made_up.add(from, self.end());
        }
        let most = self.samples(micros(HELD_MAX));
        self.skip(self.held.len().saturating_sub(most));
    }

    /// Fills the next samples that go out; they are due from `now` on.
    ///
    /// Returns how many of them were made up, here or by the leg.
    pub fn pull(&mut self, now: Instant, out: &mut [i16]) -> usize {
        let at = self.at(now);
        self.arrivals.advance(at);
        self.limit(at);
        let (mut filled, mut made_up) = (0, 0);
        while let Some(rest) = out.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let at = at + self.time(filled);
            let goes_on = match self.state {
                State::Idle => false,
                State::Waiting => self.is_due(at, self.target()),
                State::Dry { delay, late, .. } => self.may_go_on(at, delay, late),
                State::Playing => !self.made.is_empty() || !self.held.is_empty(),
            };
            let from = self.next;
            filled += if goes_on {
                self.state = State::Playing;
                let count = self.play(at, rest);
                made_up += self.made_up.within(from, self.next).min(count);
                count
            } else {
                let count = self.conceal(at, rest);
                made_up += if matches!(self.state, State::Dry { .. }) { count } else { 0 };
                count
            };
            self.made_up.forget_before(self.next);
        }
        self.pulled_to = at + self.time(out.len());
        made_up
    }

    /// Position of the sample that is played next; within a change, about.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.next.saturating_sub(self.made.len() as u64)
    }

    /// What was counted, and the delay at `now`.
    #[must_use]
    pub fn report(&self, now: Instant) -> PaceReport {
        let ms = |samples: u64| {
            u64::try_from(self.rate.duration_of(samples).as_millis()).unwrap_or(u64::MAX)
        };
        let shown = |delay: i64| u64::try_from((delay + self.lead) / MS).unwrap_or(0);
        let at = self.origin.map_or(0, |origin| micros(now.saturating_duration_since(origin)));
        let at = at.max(self.pulled_to);
        PaceReport {
            delay_ms: self.delay(at).map_or(0, shown),
            target_ms: shown(self.target()),
            concealed_ms: ms(self.counts.concealed),
            squeezed_ms: ms(self.counts.squeezed),
            stretched_ms: ms(self.counts.stretched),
            skipped_ms: ms(self.counts.skipped),
        }
    }

    fn observe(&mut self, at: i64, position: u64) {
        let transit = at - self.media_time(position);
        let late = self.arrivals.base().map_or(0, |base| transit - base);
        if late > micros(self.spec.max) + JUMP {
            self.arrivals.rebase(transit);
        }
        self.arrivals.observe(at, transit);
        if let (State::Dry { late, .. }, Some(base)) = (&mut self.state, self.arrivals.base()) {
            let (since, least) = late.unwrap_or((at, i64::MAX));
            *late = Some((since, least.min(transit - base)));
        }
    }

    /// Between what is held and `position` nothing was written: the sender paused.
    fn bridge_gap(&mut self, position: u64) {
        let gap = position.saturating_sub(self.end());
        let room = self.samples(micros(HELD_MAX)).saturating_sub(self.held.len());
        match usize::try_from(gap) {
            Ok(gap) if gap <= room => {
                let eaten = self.eat(gap);
                self.held.extend(std::iter::repeat_n(0, gap - eaten));
            }
            Ok(_) | Err(_) => {
                self.held.clear();
                self.next = position;
                if let State::Dry { made_up, .. } = &mut self.state {
                    *made_up = made_up.saturating_sub(gap);
                }
            }
        }
    }

    /// Of so many made-up samples, those that were made up here before: they are dropped.
    fn eat(&mut self, samples: usize) -> usize {
        let State::Dry { made_up, .. } = &mut self.state else { return 0 };
        if !self.held.is_empty() {
            return 0;
        }
        let eaten = samples.min(usize::try_from(*made_up).unwrap_or(usize::MAX));
        *made_up -= eaten as u64;
        self.next += eaten as u64;
        eaten
    }

    /// Whether held sound has waited long enough.
    fn is_due(&self, at: i64, target: i64) -> bool {
        !self.held.is_empty() && self.delay(at).is_none_or(|delay| delay >= target)
    }

    /// Whether sound goes on after a gap: in its own place, so that what is late is passed over.
    ///
    /// When all that comes is late, the path is longer than it was, and so is the delay. Of what
    /// is very late more would be lost than its place is worth: it is played late.
    fn may_go_on(&mut self, at: i64, delay: i64, late: Option<(i64, i64)>) -> bool {
        let Some(present) = self.delay(at).filter(|_| !self.held.is_empty()) else { return false };
        let held = self.time(self.held.len());
        let grown = (self.target() + self.longer()).min(present);
        let mut excess = present - delay.max(grown);
        if excess > WORTH {
            return true;
        }
        if excess > 0
            && held < excess + MARGIN
            && let Some((since, least)) = late
        {
            if least <= delay || at - since < BURST {
                return false;
            }
            excess = present - (least + self.needed()).min(self.most());
            if excess >= 0 {
                self.arrivals.restart_recent(least);
            }
        }
        if excess < 0 || (excess > 0 && held < excess + MARGIN) {
            return false;
        }
        let skipped = self.samples(excess);
        self.skip(skipped);
        true
    }

    /// Throws away what is later than the longest delay.
    fn limit(&mut self, at: i64) {
        if self.state != State::Playing {
            return;
        }
        let most = self.most();
        let excess = self.delay(at).map_or(0, |delay| delay - most);
        if excess > SLACK && !self.held.is_empty() {
            let keep = self.samples(MARGIN);
            let skipped = self.samples(excess).min(self.held.len().saturating_sub(keep));
            if skipped > 0 {
                self.made.clear();
                self.concealer.splice();
            }
            self.skip(skipped);
        }
    }

    fn skip(&mut self, samples: usize) {
        self.held.drain(..samples.min(self.held.len()));
        self.next += samples as u64;
        self.counts.skipped += samples as u64;
    }

    /// Plays some of what is there; at least one sample.
    fn play(&mut self, at: i64, out: &mut [i16]) -> usize {
        if self.made.is_empty() {
            self.adjust(at);
        }
        let from_made = !self.made.is_empty();
        let source = if from_made { &mut self.made } else { &mut self.held };
        let count = out.len().min(source.len());
        let played = out.get_mut(..count).unwrap_or_default();
        for (to, from) in played.iter_mut().zip(source.drain(..count)) {
            *to = from;
        }
        if !from_made {
            self.next += count as u64;
        }
        if count >= self.samples(4 * MS) {
            self.pauses.learn(warp::power(played));
        }
        self.concealer.good(played);
        self.rest = self.rest.saturating_sub(count as u64);
        count
    }

    fn conceal(&mut self, at: i64, out: &mut [i16]) -> usize {
        if self.state == State::Playing {
            self.concealer.splice();
            let delay = self.delay(at).unwrap_or(0).min(self.most());
            self.state = State::Dry { made_up: 0, delay, late: None };
        }
        if let State::Dry { made_up, .. } = &mut self.state {
            *made_up += out.len() as u64;
            self.counts.concealed += out.len() as u64;
        }
        self.concealer.fill(out);
        out.len()
    }

    /// Takes a period out or puts one in when the delay is not what it should be.
    fn adjust(&mut self, at: i64) {
        let Some(delay) = self.delay(at) else { return };
        let excess = delay - (self.target() + self.longer()).min(self.most());
        if self.rest > 0 || (-SHORT..=SLACK).contains(&excess) {
            return;
        }

        let held = self.time(self.held.len());
        let fade = if held >= LAG.0 + 2 * FADE.0 { FADE.0 } else { FADE.1 };
        let most = LAG.1.min(excess.max(SLACK - excess)).min(held - fade);
        if most < LAG.0 {
            return;
        }
        let (fade, lags) = (self.samples(fade), self.samples(LAG.0)..=self.samples(most));
        let reach = fade + *lags.end();
        let x = self.held.make_contiguous().get(..reach).unwrap_or_default();
        let pause = self.pauses.is_pause(warp::power(x));
        let Some(found) = warp::search(x, lags, fade) else { return };
        if (0..=CALM).contains(&excess) && !pause {
            return;
        }
        let wanted = match excess {
            _ if pause => f32::MIN,
            excess if excess > URGENT => f32::MIN,
            excess if excess.abs() > PRESSING => ALIKE.1,
            _ => ALIKE.0,
        };
        if found.score < wanted {
            return;
        }
        let rest = match excess {
            _ if pause => REST.0,
            excess if excess > URGENT => REST.1,
            _ => REST.2,
        };
        self.rest = rest * found.lag as u64;
        self.warp(excess > 0, found.lag, fade);
    }

    fn warp(&mut self, shorter: bool, lag: usize, fade: usize) {
        let made = &mut self.made;
        let x = self.held.make_contiguous();
        let used = if shorter {
            warp::squeeze(x, lag, fade, |sample| made.push_back(sample));
            self.counts.squeezed += lag as u64;
            lag + fade
        } else {
            warp::stretch(x, lag, fade, |sample| made.push_back(sample));
            self.counts.stretched += lag as u64;
            fade
        };
        self.held.drain(..used.min(self.held.len()));
        self.next += used as u64;
    }

    /// How long the first sample of the fastest packet waits, were it played from here at `at`.
    fn delay(&self, at: i64) -> Option<i64> {
        let base = self.arrivals.base()?;
        let ahead = self.time(self.made.len());
        Some(at - base - self.media_time(self.next) + ahead)
    }

    /// How long it should.
    fn target(&self) -> i64 {
        let start = if self.arrivals.is_settled() { 0 } else { micros(self.spec.start) };
        let least = micros(self.spec.min).max(start) - self.lead;
        self.needed().max(least).min(self.most()).max(LEAST)
    }

    /// How long it must, for what comes.
    fn needed(&self) -> i64 {
        self.arrivals.spread() + MARGIN
    }

    /// How much longer than the delay's base the path has become: soon the base will be that.
    fn longer(&self) -> i64 {
        let bases = self.arrivals.recent_base().zip(self.arrivals.base());
        bases.map_or(0, |(recent, base)| (recent - base).max(0))
    }

    /// The longest that is allowed.
    fn most(&self) -> i64 {
        micros(self.spec.max) - self.lead
    }

    /// Position behind what is held.
    fn end(&self) -> u64 {
        self.next + self.held.len() as u64
    }

    fn at(&mut self, now: Instant) -> i64 {
        let origin = *self.origin.get_or_insert(now);
        micros(now.saturating_duration_since(origin))
    }

    fn media_time(&self, position: u64) -> i64 {
        micros(self.rate.duration_of(position))
    }

    fn time(&self, samples: usize) -> i64 {
        micros(self.rate.duration_of(samples as u64))
    }

    fn samples(&self, time: i64) -> usize {
        let time = Duration::from_micros(u64::try_from(time).unwrap_or(0));
        usize::try_from(self.rate.samples_in(time)).unwrap_or(usize::MAX)
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX / 4)
}
