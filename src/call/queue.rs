//! Whose turn it is: paces outgoing calls by instance, trunk and node.
//!
//! Owns the queue and the counts of active calls. Does not own the calls: it hands out ids. First
//! in, first out per instance; a full instance or trunk does not hold up the others. Bounded per
//! instance; a full queue refuses the newest.

use crate::id::{CallId, InstanceId};
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// The limits of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The trunk that its calls take.
    pub trunk: String,
    /// Calls at once.
    pub active_max: usize,
    /// Calls waiting.
    pub queue_max: usize,
}

/// Calls at once and calls a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Calls at once, queued ones not counted.
    pub active_max: usize,
    /// New calls in any second.
    pub per_second: u32,
}

/// Why a call was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    /// The instance's queue is full.
    #[error("the instance's queue is full")]
    Full,
    /// The instance's trunk is not known.
    #[error("the instance has no trunk")]
    NoTrunk,
}

/// Paced admission with a steady gap of `1/per_second` and no credit saved up beyond one call.
#[derive(Debug)]
struct Gate {
    pace: Pace,
    active: usize,
    next: Option<Instant>,
}

impl Gate {
    fn opens(&self, now: Instant) -> Result<(), Option<Instant>> {
        if self.active >= self.pace.active_max || self.pace.per_second == 0 {
            return Err(None);
        }
        match self.next {
            Some(next) if next > now => Err(Some(next)),
            Some(_) | None => Ok(()),
        }
    }

    fn enter(&mut self, now: Instant) {
        self.active += 1;
        let gap = Duration::from_secs(1) / self.pace.per_second.max(1);
        // A slot missed by less than one gap is not lost, so that the long-run rate is exact.
        let base = self.next.filter(|next| now.saturating_duration_since(*next) < gap);
        self.next = Some(base.unwrap_or(now) + gap);
    }
}

#[derive(Debug)]
struct Waiting {
    line: Line,
    queue: VecDeque<CallId>,
    active: usize,
}

/// The queue of all outgoing calls of a node.
#[derive(Debug)]
pub struct CallQueue {
    node: Gate,
    trunks: BTreeMap<String, Gate>,
    lines: BTreeMap<InstanceId, Waiting>,
    started: BTreeMap<CallId, InstanceId>,
    /// Which instance is asked first; moves on so that none starves.
    turn: usize,
}

impl CallQueue {
    /// Makes an empty queue; `trunks` by name.
    #[must_use]
    pub fn new(node: Pace, trunks: impl IntoIterator<Item = (String, Pace)>) -> Self {
        let gate = |pace| Gate { pace, active: 0, next: None };
        Self {
            node: gate(node),
            trunks: trunks.into_iter().map(|(name, pace)| (name, gate(pace))).collect(),
            lines: BTreeMap::new(),
            started: BTreeMap::new(),
            turn: 0,
        }
    }

    /// Paces a trunk otherwise from here on; calls that are active stay. Does nothing for a trunk
    /// that is not known.
    pub fn set_pace(&mut self, trunk: &str, pace: Pace) {
        if let Some(gate) = self.trunks.get_mut(trunk) {
            gate.pace = pace;
        }
    }

    /// Queues a call on its instance, whose limits may have changed since the last time.
    ///
    /// # Errors
    /// [`QueueError`] when the queue is full or the trunk unknown.
    pub fn push(
        &mut self,
        call: CallId,
        instance: &InstanceId,
        line: Line,
    ) -> Result<(), QueueError> {
        if !self.trunks.contains_key(&line.trunk) {
            return Err(QueueError::NoTrunk);
        }
        let waiting = self.lines.entry(instance.clone()).or_insert_with(|| Waiting {
            line: line.clone(),
            queue: VecDeque::new(),
            active: 0,
        });
        waiting.line = line;
        if waiting.queue.len() >= waiting.line.queue_max {
            return Err(QueueError::Full);
        }
        waiting.queue.push_back(call);
        Ok(())
    }

    /// The next call that may be dialled now.
    ///
    /// # Errors
    /// When to ask again; `None`: after something has changed.
    pub fn pop(&mut self, now: Instant) -> Result<CallId, Option<Instant>> {
        self.node.opens(now)?;
        let mut wait: Option<Instant> = None;
        let count = self.lines.len();
        for step in 0..count {
            let index = (self.turn + step) % count;
            let Some((instance, waiting)) = self.lines.iter_mut().nth(index) else { continue };
            if waiting.active >= waiting.line.active_max || waiting.queue.is_empty() {
                continue;
            }
            let Some(gate) = self.trunks.get_mut(&waiting.line.trunk) else { continue };
            match gate.opens(now) {
                Ok(()) => {}
                Err(until) => {
                    wait = [wait, until].into_iter().flatten().min();
                    continue;
                }
            }
            let Some(call) = waiting.queue.pop_front() else { continue };
            gate.enter(now);
            self.node.enter(now);
            waiting.active += 1;
            self.started.insert(call.clone(), instance.clone());
            self.turn = (index + 1) % count;
            return Ok(call);
        }
        Err(wait)
    }

    /// Forgets a call, queued or active; must be called once for every call pushed.
    pub fn finish(&mut self, call: &CallId) {
        if let Some(instance) = self.started.remove(call) {
            self.node.active = self.node.active.saturating_sub(1);
            if let Some(waiting) = self.lines.get_mut(&instance) {
                waiting.active = waiting.active.saturating_sub(1);
                if let Some(gate) = self.trunks.get_mut(&waiting.line.trunk) {
                    gate.active = gate.active.saturating_sub(1);
                }
            }
        } else {
            for waiting in self.lines.values_mut() {
                waiting.queue.retain(|queued| queued != call);
            }
        }
        self.lines.retain(|_, waiting| waiting.active > 0 || !waiting.queue.is_empty());
    }

    /// Takes a place for an inbound call, which does not queue; `false` when there is none.
    pub fn enter_inbound(&mut self, call: &CallId, instance: &InstanceId, line: Line) -> bool {
        let Some(gate) = self.trunks.get_mut(&line.trunk) else { return false };
        if gate.active >= gate.pace.active_max || self.node.active >= self.node.pace.active_max {
            return false;
        }
        let waiting = self.lines.entry(instance.clone()).or_insert_with(|| Waiting {
            line,
            queue: VecDeque::new(),
            active: 0,
        });
        if waiting.active >= waiting.line.active_max {
            let empty = waiting.active == 0 && waiting.queue.is_empty();
            if empty {
                self.lines.remove(instance);
            }
            return false;
        }
        gate.active += 1;
        self.node.active += 1;
        waiting.active += 1;
        self.started.insert(call.clone(), instance.clone());
        true
    }

    /// Takes a place for the other party of a call, which does not queue; `false` when there is
    /// none.
    ///
    /// It counts on trunk and node as any call, and against the pace of both; a line that is full
    /// is full because of the call that it belongs to, and does not refuse it.
    pub fn enter_second(
        &mut self,
        now: Instant,
        call: &CallId,
        instance: &InstanceId,
        trunk: &str,
    ) -> bool {
        let Some(gate) = self.trunks.get_mut(trunk) else { return false };
        if gate.active >= gate.pace.active_max || self.node.active >= self.node.pace.active_max {
            return false;
        }
        gate.enter(now);
        self.node.enter(now);
        let line = Line { trunk: trunk.to_owned(), active_max: 1, queue_max: 0 };
        let waiting = self.lines.entry(instance.clone()).or_insert_with(|| Waiting {
            line,
            queue: VecDeque::new(),
            active: 0,
        });
        waiting.active += 1;
        self.started.insert(call.clone(), instance.clone());
        true
    }

    /// The place of a call in its instance's queue; 1 is next.
    #[must_use]
    pub fn position(&self, call: &CallId, instance: &InstanceId) -> Option<u32> {
        let waiting = self.lines.get(instance)?;
        let index = waiting.queue.iter().position(|queued| queued == call)?;
        u32::try_from(index + 1).ok()
    }

    /// Calls active and waiting.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.started.len(), self.lines.values().map(|waiting| waiting.queue.len()).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(n: u32) -> CallId {
        CallId::from_tail(&format!("{n}")).unwrap()
    }

    fn instance(name: &str) -> InstanceId {
        InstanceId::from_tail(name).unwrap()
    }

    fn line(active_max: usize) -> Line {
        Line { trunk: "t".into(), active_max, queue_max: 3 }
    }

    fn queue(active_max: usize, per_second: u32) -> CallQueue {
        let wide = Pace { active_max: 1000, per_second: 1000 };
        CallQueue::new(wide, [("t".to_owned(), Pace { active_max, per_second })])
    }

    #[test]
    fn one_call_at_a_time_on_a_line_of_one() {
        let now = Instant::now();
        let mut queue = queue(10, 1000);
        let a = instance("a");
        queue.push(call(1), &a, line(1)).unwrap();
        queue.push(call(2), &a, line(1)).unwrap();
        assert_eq!(queue.pop(now), Ok(call(1)));
        assert_eq!(queue.pop(now + Duration::from_secs(1)), Err(None));
        assert_eq!(queue.position(&call(2), &a), Some(1));
        queue.finish(&call(1));
        assert_eq!(queue.pop(now + Duration::from_secs(1)), Ok(call(2)));
        queue.finish(&call(2));
        assert_eq!(queue.counts(), (0, 0));
    }

    #[test]
    fn the_trunk_paces_calls_and_says_when() {
        let start = Instant::now();
        let mut queue = queue(100, 20);
        let a = instance("a");
        let mut started = Vec::new();
        let mut now = start;
        for n in 0..30 {
            let line = Line { queue_max: 100, ..line(100) };
            queue.push(call(n), &a, line).unwrap();
        }
        while started.len() < 30 {
            match queue.pop(now) {
                Ok(_) => started.push(now),
                Err(Some(until)) => now = until,
                Err(None) => panic!("stuck"),
            }
        }
        assert_eq!(started[29] - started[0], Duration::from_millis(50 * 29));
    }

    #[test]
    fn a_full_line_does_not_hold_up_another() {
        let now = Instant::now();
        let mut queue = queue(10, 1000);
        let (a, b) = (instance("a"), instance("b"));
        for n in 0..3 {
            queue.push(call(n), &a, line(1)).unwrap();
        }
        assert_eq!(queue.push(call(9), &a, line(1)), Err(QueueError::Full));
        queue.push(call(10), &b, line(1)).unwrap();
        assert_eq!(queue.pop(now), Ok(call(0)));
        assert_eq!(queue.pop(now + Duration::from_millis(10)), Ok(call(10)));
    }

    #[test]
    fn a_queued_call_can_be_taken_back() {
        let now = Instant::now();
        let mut queue = queue(1, 1000);
        let a = instance("a");
        queue.push(call(1), &a, line(5)).unwrap();
        queue.push(call(2), &a, line(5)).unwrap();
        queue.finish(&call(1));
        assert_eq!(queue.pop(now), Ok(call(2)));
        let other = Line { trunk: "nowhere".into(), ..line(1) };
        assert_eq!(queue.push(call(3), &a, other), Err(QueueError::NoTrunk));
    }

    #[test]
    fn the_other_party_of_a_call_is_called_on_a_full_line_but_not_on_a_full_trunk() {
        let now = Instant::now();
        let mut queue = queue(2, 1000);
        let a = instance("a");
        queue.push(call(1), &a, line(1)).unwrap();
        assert_eq!(queue.pop(now), Ok(call(1)));
        assert!(queue.enter_second(now, &call(2), &a, "t"));
        assert!(!queue.enter_second(now, &call(3), &a, "t"), "the trunk is full");
        assert!(!queue.enter_second(now, &call(3), &a, "nowhere"));
        queue.finish(&call(1));
        queue.push(call(4), &a, line(1)).unwrap();
        let later = now + Duration::from_secs(1);
        assert_eq!(queue.pop(later), Err(None), "the other party is still on the line");
        queue.finish(&call(2));
        assert_eq!(queue.pop(later), Ok(call(4)));
        queue.finish(&call(4));
        assert_eq!(queue.counts(), (0, 0));
    }

    #[test]
    fn inbound_calls_count_against_the_same_limits() {
        let now = Instant::now();
        let mut queue = queue(1, 1000);
        let a = instance("a");
        assert!(queue.enter_inbound(&call(1), &a, line(5)));
        assert!(!queue.enter_inbound(&call(2), &a, line(5)));
        queue.push(call(3), &a, line(5)).unwrap();
        assert_eq!(queue.pop(now), Err(None));
        queue.finish(&call(1));
        assert_eq!(queue.pop(now), Ok(call(3)));
    }
}
