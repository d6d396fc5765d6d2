//! What an application has queued for the caller, and the truth about what became of it.
//!
//! ```text
//!  push ──> backlog (to buffer_ms) ──> playout ring ──> worker ──> carrier
//!  mark, utterance ──> timeline of points ── Watch ──>           │
//!  facts <── started, completed, cleared, mark <── Reached, Cleared
//! ```
//!
//! A pure machine: owns the backlog, the timeline and the arithmetic of positions. A fact is told
//! when the worker says that a packet left, so `played` is what was really sent. Positions are the
//! ring's; the position of a sample that still waits in the backlog is where it will be written.
//! Every accepted sample ends in exactly one of played, squeezed and discarded. Does not decode, resample or
//! know who listens.

mod away;
mod fact;
mod squeeze;

use fact::CLEARS_MAX;
pub use fact::{Fact, Full, MARKS_MAX, Name, UTTERANCES_MAX};

use crate::media::interface::{CLEAR_FADE, Command, Event};
use crate::media::ring::PlayoutWriter;
use std::collections::VecDeque;
use std::time::Duration;

/// Watches that the worker holds for us at once.
const WATCHES_MAX: usize = 8;

/// A stretch of accepted audio under one name.
#[derive(Debug, Clone)]
struct Utterance {
    serial: u64,
    name: Name,
    /// Position of its first sample.
    start: u64,
}

/// What happens when a position has been played.
#[derive(Debug)]
enum What {
    Start(Utterance),
    End {
        utterance: Utterance,
        /// Ended by a clear: never told as completed.
        cut: bool,
        /// Samples of it that a clear took out of the backlog.
        lost: u64,
        /// To be cleared, for this ticket, as soon as it starts.
        deferred: Option<u64>,
    },
    Mark {
        name: Box<str>,
        /// Inside what a clear took out of the backlog.
        lost: bool,
    },
    Drained,
}

#[derive(Debug)]
struct Point {
    /// Reached when all samples before it are played.
    position: u64,
    what: What,
}

/// A clear that the worker has not confirmed.
#[derive(Debug)]
struct Clearing {
    token: u32,
    up_to: u64,
    ticket: u64,
    points: VecDeque<Point>,
}

/// The queue of one call.
#[derive(Debug)]
pub struct PlayoutQueue {
    sample_rate: u32,
    /// Samples that may be queued, ring included.
    limit: usize,
    started: bool,
    halted: bool,
    backlog: VecDeque<i16>,
    /// Ring position of the next sample to be written.
    written: u64,
    /// Samples of ours in the ring that nobody has cleared.
    in_ring: usize,
    /// All before it is known to be played or discarded.
    resolved: u64,
    /// Samples below `resolved` that were discarded.
    discarded: u64,
    squeezed: squeeze::Squeezed,
    open: Option<Utterance>,
    /// The utterance that has started and not ended.
    sounding: Option<Utterance>,
    timeline: VecDeque<Point>,
    clearing: VecDeque<Clearing>,
    facts: VecDeque<Fact>,
    commands: VecDeque<Command>,
    /// Positions that the worker watches.
    armed: VecDeque<u64>,
    /// How many points at the head of the timeline a watch covers.
    covered: usize,
    ended_at: Option<u64>,
    marks: usize,
    utterances: usize,
    deferred: usize,
    serial: u64,
    token: u32,
    xoff: bool,
    /// How long the fade of the next clears is.
    fade: Duration,
    /// Shares of the limit at which the client is told to stop and to go on, in 1/256.
    water: (usize, usize),
}

/// Stop at three quarters, go on at half.
const WATER: (usize, usize) = (192, 128);

impl PlayoutQueue {
    /// An empty queue that holds back until [`Self::start`].
    #[must_use]
    pub fn new(sample_rate: u32, buffer_ms: u32) -> Self {
        let mut queue = Self {
            sample_rate: sample_rate.max(1),
            limit: 0,
            started: false,
            halted: false,
            backlog: VecDeque::new(),
            written: 0,
            in_ring: 0,
            resolved: 0,
            discarded: 0,
            squeezed: squeeze::Squeezed::default(),
            open: None,
            sounding: None,
            timeline: VecDeque::new(),
            clearing: VecDeque::new(),
            facts: VecDeque::new(),
            commands: VecDeque::new(),
            armed: VecDeque::new(),
            covered: 0,
            ended_at: None,
            marks: 0,
            utterances: 0,
            deferred: 0,
            serial: 0,
            token: 0,
            xoff: false,
            fade: CLEAR_FADE,
            water: WATER,
        };
        queue.set_buffer(buffer_ms);
        queue
    }

    /// Changes how much may be queued; what is queued already stays.
    pub fn set_buffer(&mut self, buffer_ms: u32) {
        let samples = u64::from(buffer_ms) * u64::from(self.sample_rate) / 1000;
        self.limit = usize::try_from(samples).unwrap_or(usize::MAX);
    }

    /// Changes the shares of the limit at which the client is told to stop and to go on.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped before")]
    pub fn set_water(&mut self, high: f64, low: f64) {
        let share = |share: f64| (share.clamp(0.0, 1.0) * 256.0) as usize;
        self.water = (share(high).max(1), share(low.min(high)));
    }

    /// Lets audio flow into the ring from the next [`Self::pump`] on.
    pub fn start(&mut self) {
        self.started = true;
    }

    /// Ring position of the next sample that is accepted.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.written + self.backlog.len() as u64
    }

    /// Samples accepted and neither played nor discarded.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.backlog.len() + self.in_ring
    }

    /// The same in milliseconds.
    #[must_use]
    pub fn queued_ms(&self) -> u64 {
        self.ms(self.queued() as u64)
    }

    /// Whether samples wait for room in the ring.
    #[must_use]
    pub fn has_backlog(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Whether the application was told to pause and not yet to go on.
    #[must_use]
    pub fn is_xoff(&self) -> bool {
        self.xoff
    }

    /// How long it takes at least until the queue has fallen to its low water mark.
    #[must_use]
    pub fn until_xon(&self) -> Duration {
        let excess = self.queued().saturating_sub(self.limit * self.water.1 / 256) as u64;
        Duration::from_millis(self.ms(excess))
    }

    /// How many samples would be accepted.
    #[must_use]
    pub fn room(&self) -> usize {
        if self.halted { 0 } else { self.limit.saturating_sub(self.queued()) }
    }

    /// Whether an utterance is open, and under which name.
    #[must_use]
    pub fn open_utterance(&self) -> Option<&Name> {
        self.open.as_ref().map(|utterance| &utterance.name)
    }

    /// The utterance that is being played and how much of it has left, after `sent` samples.
    #[must_use]
    pub fn sounding(&self, sent: u64) -> Option<(Name, u64)> {
        let utterance = self.sounding.as_ref()?;
        let played = (sent + self.discarded).saturating_sub(utterance.start);
        Some((utterance.name.clone(), self.ms(played)))
    }

    /// Opens an utterance: audio from here on belongs to it. Ends the one that was open.
    ///
    /// # Errors
    /// [`Full::Utterances`].
    pub fn open(&mut self, name: Name) -> Result<(), Full> {
        if self.utterances >= UTTERANCES_MAX {
            return Err(Full::Utterances);
        }
        self.close();
        self.serial += 1;
        self.utterances += 1;
        self.open = Some(Utterance { serial: self.serial, name, start: self.tail() });
        Ok(())
    }

    /// Ends the open utterance; `false` when none is open.
    pub fn close(&mut self) -> bool {
        let ended = self.end_open(false);
        self.fire();
        ended
    }

    /// Queues samples (mono, leg rate) as part of the open utterance, or of one without a name.
    ///
    /// Returns how many were accepted; the newest are refused when the buffer is full.
    /// Cost: one copy; allocates only while the backlog grows.
    pub fn push(&mut self, samples: &[i16]) -> usize {
        let accepted = samples.len().min(self.room());
        let Some(taken) = samples.get(..accepted) else { return 0 };
        if taken.is_empty() || (self.open.is_none() && self.open(None).is_err()) {
            return 0;
        }
        let tail = self.tail();
        if let Some(utterance) = &self.open
            && utterance.start == tail
        {
            let what = What::Start(utterance.clone());
            self.timeline.push_back(Point { position: tail + 1, what });
        }
        self.backlog.extend(taken);
        accepted
    }

    /// Sets a mark behind everything queued.
    ///
    /// # Errors
    /// [`Full::Marks`].
    pub fn mark(&mut self, name: &str) -> Result<(), Full> {
        if self.marks >= MARKS_MAX {
            return Err(Full::Marks);
        }
        self.marks += 1;
        let what = What::Mark { name: name.into(), lost: false };
        self.timeline.push_back(Point { position: self.tail(), what });
        self.fire();
        Ok(())
    }

    /// Asks for [`Fact::Drained`] behind everything queued; ends the open utterance.
    pub fn when_drained(&mut self) {
        self.end_open(false);
        self.timeline.push_back(Point { position: self.tail(), what: What::Drained });
        self.fire();
    }

    /// Says how long the fade of the next clears is; 5 ms unless it was said.
    pub fn set_fade(&mut self, fade: Duration) {
        self.fade = fade;
    }

    /// Throws away everything queued. What comes later plays as soon as that is done.
    ///
    /// # Errors
    /// [`Full::Clears`].
    pub fn clear(&mut self, ticket: u64) -> Result<(), Full> {
        if self.clearing.len() >= CLEARS_MAX {
            return Err(Full::Clears);
        }
        self.end_open(true);
        self.backlog = VecDeque::new();
        self.covered = 0;
        self.deferred = 0;
        let points = std::mem::take(&mut self.timeline);
        self.in_ring = 0;
        self.squeezed.lose(self.written);
        self.cut(points, self.written, ticket);
        Ok(())
    }

    /// Throws away what is left of one utterance and keeps the rest of the queue.
    ///
    /// An utterance that lies in the ring behind another is cut at its first packet.
    /// Returns `false` when it is not queued (any more).
    ///
    /// # Errors
    /// [`Full::Clears`].
    pub fn clear_utterance(&mut self, name: &str, ticket: u64) -> Result<bool, Full> {
        if self.clearing.len() >= CLEARS_MAX {
            return Err(Full::Clears);
        }
        if self.open.as_ref().is_some_and(|open| open.name.as_deref() == Some(name)) {
            self.end_open(true);
        }
        let end = self.timeline.iter().position(|point| match &point.what {
            What::End { utterance, .. } => utterance.name.as_deref() == Some(name),
            What::Start(_) | What::Mark { .. } | What::Drained => false,
        });
        let Some(end) = end else { return Ok(false) };
        let Some((start, end)) = self.forget_backlog_of(end) else { return Ok(false) };
        if start >= self.written {
            self.tell_lost(end, ticket);
        } else if start <= self.resolved {
            self.cut_head(end, ticket);
        } else if let Some(Point { what: What::End { deferred, .. }, .. }) =
            self.timeline.get_mut(end)
        {
            match deferred.replace(ticket) {
                Some(ticket) => self.facts.push_back(Fact::ClearDone { ticket }),
                None => self.deferred += 1,
            }
        }
        Ok(true)
    }

    /// Moves audio into the ring, and asks the worker to watch the next points.
    ///
    /// Cost: copies what fits; no allocation in steady state.
    pub fn pump(&mut self, writer: &mut PlayoutWriter) {
        self.pump_past(writer, |_, _| {});
    }

    /// The same; `tap` sees what moved, with the position of its first sample.
    pub fn pump_past(&mut self, writer: &mut PlayoutWriter, mut tap: impl FnMut(u64, &[i16])) {
        if !self.started || self.halted {
            return;
        }
        let (front, back) = self.backlog.as_slices();
        let begin = writer.position();
        let mut moved = writer.push(front);
        tap(begin, front.get(..moved).unwrap_or_default());
        if moved == front.len() {
            let more = writer.push(back);
            tap(begin + moved as u64, back.get(..more).unwrap_or_default());
            moved += more;
        }
        self.backlog.drain(..moved);
        // What came ahead of time does not come again soon; of 40 ms at once, no memory moves.
        let kept = self.sample_rate as usize / 25;
        if self.backlog.is_empty() && self.backlog.capacity() > 4 * kept {
            self.backlog.shrink_to(kept);
        }
        self.written = writer.position();
        self.look(writer);
        self.arm();
        self.announce_end();
    }

    /// Sees how much the worker has taken meanwhile; [`Self::pump`] does so too.
    pub fn look(&mut self, writer: &PlayoutWriter) {
        let cleared_to = self.clearing.back().map_or(self.resolved, |clear| clear.up_to);
        let live = usize::try_from(self.written.saturating_sub(cleared_to)).unwrap_or(usize::MAX);
        self.in_ring = if self.halted { 0 } else { writer.queued().min(live) };
    }

    /// Tells the water marks; call after the queue changed.
    pub fn watch_level(&mut self) {
        let queued = self.queued();
        let (high, low) = self.water;
        let mark = |share: usize| self.limit * share / 256;
        let xoff = if self.xoff { queued > mark(low) } else { queued >= mark(high) };
        if xoff != self.xoff {
            self.xoff = xoff;
            self.facts.push_back(Fact::Flow { xoff, queued_ms: self.queued_ms() });
        }
    }

    /// Takes in what the leg told; events that do not concern playout are left alone.
    pub fn handle(&mut self, event: &Event) {
        match *event {
            Event::Reached { token, position } => self.reached(token, position),
            Event::Cleared { token, played_to, .. } => self.cleared(token, played_to),
            Event::Underrun { .. }
            | Event::Dtmf { .. }
            | Event::DtmfDone { .. }
            | Event::Flowing { .. }
            | Event::Quiet { .. } => {}
        }
    }

    /// Whether something is to be told that only the leg knows.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        !self.armed.is_empty()
    }

    /// Tells what must have been reached after `sent` samples, should an event have been lost.
    pub fn catch_up(&mut self, sent: u64) {
        let position = sent + self.discarded;
        if self.clearing.is_empty() && self.armed.front().is_some_and(|armed| *armed <= position) {
            self.reached(self.token, position);
        }
    }

    /// The next thing to tell.
    pub fn next_fact(&mut self) -> Option<Fact> {
        self.facts.pop_front()
    }

    /// Hands the waiting commands to the leg; those from the first refusal on wait for next time.
    pub fn send_commands(&mut self, mut send: impl FnMut(Command) -> bool) {
        while let Some(command) = self.commands.front() {
            if !send(*command) {
                return;
            }
            self.commands.pop_front();
        }
    }

    /// Whether commands wait because the leg refused them.
    #[must_use]
    pub fn has_commands(&self) -> bool {
        !self.commands.is_empty()
    }

    /// Milliseconds of `samples`, rounded down.
    #[must_use]
    pub fn ms(&self, samples: u64) -> u64 {
        samples * 1000 / u64::from(self.sample_rate)
    }

    /// The position that the next accepted sample will have.
    fn tail(&self) -> u64 {
        self.written + self.backlog.len() as u64
    }

    fn end_open(&mut self, cut: bool) -> bool {
        let Some(utterance) = self.open.take() else { return false };
        let what = What::End { utterance, cut, lost: 0, deferred: None };
        self.timeline.push_back(Point { position: self.tail(), what });
        true
    }

    /// Takes the part of the utterance that ends at point `end` out of the backlog and moves what
    /// follows up. Returns where the utterance starts, and which point ends it from here on.
    fn forget_backlog_of(&mut self, end: usize) -> Option<(u64, usize)> {
        let Some(Point { position, what: What::End { utterance, .. } }) = self.timeline.get(end)
        else {
            return None;
        };
        let (serial, start, stop) = (utterance.serial, utterance.start, *position);
        let first = start.max(self.written);
        let count = stop.saturating_sub(first);
        // Positions beyond the written ones are indices into the backlog.
        let from = usize::try_from(first - self.written).ok()?;
        let to = usize::try_from(first - self.written + count).ok()?;
        self.backlog.drain(from.min(self.backlog.len())..to.min(self.backlog.len()));
        self.squeezed.lose_of(serial, first, count);
        for point in self.timeline.iter_mut().take(end + 1) {
            if point.position > first {
                point.position = first;
                match &mut point.what {
                    What::End { lost, cut, .. } => (*lost, *cut) = (count, true),
                    What::Mark { lost, .. } => *lost = true,
                    What::Start(_) | What::Drained => {}
                }
            }
        }
        for point in self.timeline.iter_mut().skip(end + 1) {
            point.position -= count;
            match &mut point.what {
                What::Start(utterance) | What::End { utterance, .. } => utterance.start -= count,
                What::Mark { .. } | What::Drained => {}
            }
        }
        if let Some(open) = &mut self.open {
            open.start -= count;
        }
        if start < self.written {
            return Some((start, end));
        }
        // Nothing of it was written: it will never start.
        let unborn = |point: &Point| matches!(&point.what, What::Start(u) if u.serial == serial);
        let index = self.timeline.iter().position(unborn);
        if let Some(index) = index {
            self.timeline.remove(index);
        }
        Some((start, end - usize::from(index.is_some_and(|index| index < end))))
    }

    /// Tells the points of an utterance of which nothing was written, and which ends at `end`.
    fn tell_lost(&mut self, end: usize, ticket: u64) {
        let lost = |point: &Point| matches!(&point.what, What::Mark { lost: true, .. });
        let mut first = end;
        while first > 0 && self.timeline.get(first - 1).is_some_and(lost) {
            first -= 1;
        }
        let points: VecDeque<Point> = self.timeline.drain(first..=end).collect();
        self.covered = self.covered.min(first);
        self.settle(points, self.resolved);
        self.facts.push_back(Fact::ClearDone { ticket });
    }

    /// Cuts the utterance that is sounding, whose end is point `end`.
    fn cut_head(&mut self, end: usize, ticket: u64) {
        let Some(last) = self.timeline.get(end) else { return };
        let up_to = last.position.min(self.written);
        let points: VecDeque<Point> = self.timeline.drain(..=end).collect();
        self.covered = self.covered.saturating_sub(points.len());
        self.cut(points, up_to, ticket);
    }

    /// Has the worker drop the ring before `up_to`, or settles at once when nothing is in it.
    fn cut(&mut self, points: VecDeque<Point>, up_to: u64, ticket: u64) {
        if up_to <= self.resolved && self.clearing.is_empty() {
            self.settle(points, self.resolved);
            self.facts.push_back(Fact::ClearDone { ticket });
            return;
        }
        self.token = self.token.wrapping_add(1);
        self.commands.push_back(Command::Clear { up_to, token: self.token, fade: self.fade });
        self.clearing.push_back(Clearing { token: self.token, up_to, ticket, points });
    }

    fn reached(&mut self, token: u32, position: u64) {
        // A confirmation is lost when the leg's queue is full; a watch that was set behind the
        // clear and is reached tells that the clear is done.
        while let Some(clear) = self.clearing.front()
            && clear.up_to < position
            && later(token, clear.token)
            && let Some(clear) = self.clearing.pop_front()
        {
            self.resolve(clear.points, self.resolved, clear.up_to, clear.ticket);
        }
        self.armed.retain(|armed| *armed > position);
        self.resolved = self.resolved.max(position).min(self.written);
        self.fire();
    }

    fn cleared(&mut self, token: u32, played_to: u64) {
        let Some(index) = self.clearing.iter().position(|clear| clear.token == token) else {
            return;
        };
        for _ in 0..=index {
            let Some(clear) = self.clearing.pop_front() else { break };
            let heard = if clear.token == token { played_to } else { self.resolved };
            self.armed.retain(|armed| *armed > clear.up_to);
            self.resolve(clear.points, heard, clear.up_to, clear.ticket);
        }
        self.fire();
    }

    /// Everything up to `up_to` is decided: heard up to `played_to`, gone beyond.
    fn resolve(&mut self, points: VecDeque<Point>, played_to: u64, up_to: u64, ticket: u64) {
        let played_to = played_to.clamp(self.resolved.min(up_to), up_to);
        self.settle(points, played_to);
        self.discarded += up_to - played_to;
        self.resolved = self.resolved.max(up_to);
        self.facts.push_back(Fact::ClearDone { ticket });
    }

    /// Tells points of which everything beyond `played_to` will never be heard.
    fn settle(&mut self, points: VecDeque<Point>, played_to: u64) {
        for point in points {
            let heard = point.position <= played_to;
            if heard {
                self.tell(point);
                continue;
            }
            match point.what {
                What::Start(_) => {}
                What::End { utterance, lost, deferred, .. } => {
                    let length = point.position - utterance.start + lost;
                    let heard = (played_to, played_to.saturating_sub(utterance.start));
                    self.tell_end(utterance, length, heard, true);
                    self.facts.extend(deferred.map(|ticket| Fact::ClearDone { ticket }));
                }
                What::Mark { name, .. } => self.tell_mark(name, played_to, true),
                What::Drained => self.facts.push_back(Fact::Drained),
            }
        }
    }

    /// Tells the points that have been reached, those of pending clears first.
    fn fire(&mut self) {
        while let Some(clear) = self.clearing.front_mut()
            && clear.points.front().is_some_and(|point| point.position <= self.resolved)
            && let Some(point) = clear.points.pop_front()
        {
            self.tell(point);
        }
        while self.clearing.is_empty()
            && self.timeline.front().is_some_and(|point| point.position <= self.resolved)
            && let Some(point) = self.timeline.pop_front()
        {
            self.covered = self.covered.saturating_sub(1);
            let started = match &point.what {
                What::Start(utterance) => Some(utterance.serial),
                What::End { .. } | What::Mark { .. } | What::Drained => None,
            };
            self.tell(point);
            if let Some(serial) = started {
                self.cut_deferred(serial);
            }
        }
    }

    /// Cuts an utterance that was to be cut as soon as it starts.
    fn cut_deferred(&mut self, serial: u64) {
        if self.deferred == 0 {
            return;
        }
        let found =
            self.timeline.iter_mut().enumerate().find_map(|(index, point)| match &mut point.what {
                What::End { utterance, deferred, .. } if utterance.serial == serial => {
                    deferred.take().map(|ticket| (index, ticket))
                }
                What::End { .. } | What::Start(_) | What::Mark { .. } | What::Drained => None,
            });
        if let Some((end, ticket)) = found {
            self.deferred -= 1;
            self.cut_head(end, ticket);
        }
    }

    /// Tells one point that was reached in the ordinary way.
    fn tell(&mut self, point: Point) {
        match point.what {
            What::Start(utterance) => {
                self.facts.push_back(Fact::Started { utterance: utterance.name.clone() });
                self.sounding = Some(utterance);
            }
            What::End { utterance, cut, lost, deferred } => {
                let played = point.position - utterance.start;
                self.tell_end(utterance, played + lost, (point.position, played), cut);
                self.facts.extend(deferred.map(|ticket| Fact::ClearDone { ticket }));
            }
            What::Mark { name, lost } => self.tell_mark(name, point.position, lost),
            What::Drained => self.facts.push_back(Fact::Drained),
        }
    }

    /// Tells an utterance that was heard up to a position, so many samples of it.
    fn tell_end(&mut self, utterance: Utterance, length: u64, heard: (u64, u64), cut: bool) {
        let (played_to, played) = heard;
        let (squeezed, left_out) = self.squeezed.tell(utterance.serial, played_to);
        self.utterances = self.utterances.saturating_sub(1);
        if self.sounding.as_ref().is_some_and(|sounding| sounding.serial == utterance.serial) {
            self.sounding = None;
        }
        let (played_ms, squeezed_ms) = (self.ms(played.min(length)), self.ms(squeezed));
        let utterance = utterance.name;
        self.facts.push_back(if played >= length && !cut {
            Fact::Completed { utterance, played_ms, squeezed_ms }
        } else {
            let discarded_ms = self.ms(length + left_out) - played_ms - squeezed_ms;
            Fact::Cleared { utterance, played_ms, squeezed_ms, discarded_ms }
        });
    }

    fn tell_mark(&mut self, name: Box<str>, position: u64, cleared: bool) {
        self.marks = self.marks.saturating_sub(1);
        let played_ms = self.ms(position.saturating_sub(self.discarded));
        let squeezed_ms = self.ms(self.squeezed.up_to(position));
        self.facts.push_back(Fact::Mark { name, played_ms, squeezed_ms, cleared });
    }

    /// Has the worker watch the next points that are in the ring.
    ///
    /// Points within 5 ms share a watch at the last of them, so none is told later than with the
    /// next packet. What a pending clear may have the worker forget is watched later.
    fn arm(&mut self) {
        let safe = self.clearing.back().map_or(0, |clear| clear.up_to + 1);
        while self.armed.len() < WATCHES_MAX
            && let Some(first) = self.timeline.get(self.covered)
            && (safe..=self.written).contains(&first.position)
        {
            let mut watched = first.position;
            let horizon = (watched + u64::from(self.sample_rate / 200)).min(self.written);
            while let Some(point) = self.timeline.get(self.covered)
                && point.position <= horizon
            {
                watched = watched.max(point.position);
                self.covered += 1;
            }
            self.token = self.token.wrapping_add(1);
            self.commands.push_back(Command::Watch { position: watched, token: self.token });
            self.armed.push_back(watched);
        }
    }

    /// Tells the worker that the ring may run dry at the tail: nothing is in the making.
    fn announce_end(&mut self) {
        let idle = self.open.is_none() && self.backlog.is_empty();
        if idle && self.written > self.resolved && self.ended_at != Some(self.written) {
            self.ended_at = Some(self.written);
            if let Some(Command::End { .. }) = self.commands.back() {
                self.commands.pop_back();
            }
            self.commands.push_back(Command::End { position: self.written });
        }
    }
}

/// Whether token `a` was given out after token `b`; tokens wrap.
fn later(a: u32, b: u32) -> bool {
    a != b && a.wrapping_sub(b) < u32::MAX / 2
}

#[cfg(test)]
mod tests;
