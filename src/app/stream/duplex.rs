//! Both sides of a call on one clock, for clients that hear both.
//!
//! ```text
//!  caller frames (capture position) ──> left  ─┐ one position
//!  agent frames (position as sent)  ──> right ─┴─────────────> interleaved, or mixed
//! ```
//!
//! The first frames of both sides that come together stand at the same place; from there samples
//! count. A side that is silent and sends nothing is waited for a moment, then it is silence. What
//! comes later than that is left out, unless it keeps coming late: then the two clocks have drifted
//! apart, and that side is placed anew. Pure; reads no clock.

use std::collections::VecDeque;

/// How long a side is waited for, in parts of a second: 200 ms.
const WAIT_PARTS: u32 = 5;
/// Late frames in a row until their side is placed anew.
const LATE_MAX: u32 = 3;

/// Whose samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The caller's.
    Caller,
    /// What the caller was sent.
    Agent,
}

#[derive(Debug, Default)]
struct Lane {
    /// Samples from the place that comes next on.
    samples: VecDeque<i16>,
    /// What is added to this side's positions to make places.
    offset: Option<i64>,
    late: u32,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Duplex {
    caller: Lane,
    agent: Lane,
    /// Places that were given out.
    done: i64,
    wait: usize,
    left_out: u64,
}

impl Duplex {
    /// For two sides at this rate in Hz.
    pub(super) fn new(rate: u32) -> Self {
        Self {
            caller: Lane::default(),
            agent: Lane::default(),
            done: 0,
            wait: (rate / WAIT_PARTS) as usize,
            left_out: 0,
        }
    }

    /// Takes a frame of one side. Cost: one copy.
    pub(super) fn push(&mut self, side: Side, position: u64, samples: &[i16]) {
        let (done, wait) = (self.done, self.wait);
        let (lane, other) = match side {
            Side::Caller => (&mut self.caller, &self.agent),
            Side::Agent => (&mut self.agent, &self.caller),
        };
        let position = i64::try_from(position).unwrap_or(i64::MAX / 2);
        let length = place(samples.len());
        // Heard together: the frame ends where the other side's last one does.
        let now = done + place(other.samples.len());
        let fresh = (now - length).max(done) - position;
        let offset = *lane.offset.get_or_insert(fresh);
        let mut begin = position + offset;
        if begin + place(wait) * 50 < done || begin > now.max(done) + place(wait) * 50 {
            // Ten seconds apart: not the same count any more.
            (lane.offset, begin) = (Some(fresh), position + fresh);
        }
        lane.late = if begin < done { lane.late + 1 } else { 0 };
        if lane.late >= LATE_MAX {
            (lane.offset, begin, lane.late) = (Some(fresh), position + fresh, 0);
        }
        let end = done + place(lane.samples.len());
        let skip = usize::try_from(end - begin).unwrap_or(0).min(samples.len());
        self.left_out += u64::try_from((done - begin).clamp(0, length)).unwrap_or(0);
        let gap = usize::try_from(begin - end).unwrap_or(0);
        lane.samples.extend(std::iter::repeat_n(0, gap));
        lane.samples.extend(samples.iter().skip(skip));
    }

    /// Gives out all places that both sides have, or one has waited for: caller, agent.
    pub(super) fn drain(&mut self, mut sink: impl FnMut(i16, i16)) {
        let (left, right) = (self.caller.samples.len(), self.agent.samples.len());
        let ready = left.min(right).max(left.max(right).saturating_sub(self.wait));
        for _ in 0..ready {
            let caller = self.caller.samples.pop_front().unwrap_or(0);
            sink(caller, self.agent.samples.pop_front().unwrap_or(0));
        }
        self.done += place(ready);
    }

    /// Gives out everything, at the end of the call.
    pub(super) fn finish(&mut self, sink: impl FnMut(i16, i16)) {
        let wait = std::mem::take(&mut self.wait);
        self.drain(sink);
        self.wait = wait;
    }

    /// Samples left out since the last call because they came too late.
    pub(super) fn take_left_out(&mut self) -> u64 {
        std::mem::take(&mut self.left_out)
    }
}

fn place(samples: usize) -> i64 {
    i64::try_from(samples).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(duplex: &mut Duplex) -> Vec<(i16, i16)> {
        let mut pairs = Vec::new();
        duplex.drain(|caller, agent| pairs.push((caller, agent)));
        pairs
    }

    #[test]
    fn sides_that_come_together_stand_together_to_the_sample() {
        let mut duplex = Duplex::new(8000);
        let mut pairs = Vec::new();
        for n in 0..20_u64 {
            let value = i16::try_from(n).unwrap();
            duplex.push(Side::Agent, 7000 + 160 * n, &[value; 160]);
            duplex.push(Side::Caller, 160 * n, &[value; 160]);
            pairs.extend(out(&mut duplex));
        }
        assert_eq!(pairs.len(), 3200);
        assert!(pairs.iter().all(|(caller, agent)| caller == agent));
    }

    #[test]
    fn a_silent_side_is_waited_for_and_comes_back_in_its_place() {
        let mut duplex = Duplex::new(8000);
        let mut pairs = Vec::new();
        for n in 0..50_u64 {
            let value = i16::try_from(n).unwrap();
            duplex.push(Side::Agent, 160 * n, &[value; 160]);
            // The caller is quiet for half a second, and sends nothing.
            if !(5..30).contains(&n) {
                duplex.push(Side::Caller, 160 * n, &[value; 160]);
            }
            pairs.extend(out(&mut duplex));
        }
        duplex.finish(|caller, agent| pairs.push((caller, agent)));
        assert_eq!((pairs.len(), duplex.take_left_out()), (8000, 0));
        for (index, (caller, agent)) in pairs.iter().enumerate() {
            let n = i16::try_from(index / 160).unwrap();
            let quiet = (5..30).contains(&n);
            assert_eq!((*caller, *agent), (if quiet { 0 } else { n }, n), "{index}");
        }
    }

    #[test]
    fn what_comes_too_late_is_left_out_and_drift_is_followed() {
        let mut duplex = Duplex::new(8000);
        for n in 0..30 {
            duplex.push(Side::Agent, 160 * n, &[1; 160]);
            out(&mut duplex);
        }
        duplex.push(Side::Caller, 0, &[2; 160]);
        let before = duplex.caller.samples.len();
        duplex.push(Side::Caller, 0, &[3; 160]);
        assert_eq!(duplex.caller.samples.len(), before, "its place is taken");
        // A caller's clock that is 1 % slow.
        let (mut pairs, mut left_out) = (0, 0);
        for n in 1..5000 {
            duplex.push(Side::Agent, 160 * (n + 29), &[1; 160]);
            if n % 100 != 0 {
                duplex.push(Side::Caller, 160 * (n - n / 100), &[2; 160]);
            }
            duplex.drain(|caller, _| pairs += usize::from(caller == 2));
            left_out += duplex.take_left_out();
        }
        assert!(left_out < 4950 * 160 / 20, "{left_out}");
        assert!(pairs > 4950 * 160 * 9 / 10, "{pairs}");
        assert!(duplex.caller.samples.len() + duplex.agent.samples.len() < 8000);
    }
}
