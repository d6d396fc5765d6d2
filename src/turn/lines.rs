//! The lines of the conversation in order of their first sound.
//!
//! A line is told when it is settled and nothing that sounded before it is still open: an agent's
//! sentence over which the caller spoke comes before the caller's words, though both settle later.

use super::interface::Line;
use std::collections::VecDeque;
use std::time::Duration;

/// Settled lines that wait for an earlier one; with more, they are told out of order.
const WAITING_MAX: usize = 64;

/// Settled lines that wait for an earlier one.
#[derive(Debug, Default)]
pub(super) struct LineLog {
    waiting: VecDeque<Line>,
    /// First sound of the line that was told last.
    told: Duration,
}

impl LineLog {
    /// Keeps a settled line; lines without words, keys or meaning are for the caller to leave out.
    pub(super) fn settle(&mut self, line: Line) {
        let at = self.waiting.partition_point(|other| other.started <= line.started);
        self.waiting.insert(at, line);
    }

    /// The next line that may be told, if everything still open began at `open` or later.
    pub(super) fn next(&mut self, open: Option<Duration>) -> Option<Line> {
        let first = self.waiting.front()?;
        let full = self.waiting.len() > WAITING_MAX;
        if !full && open.is_some_and(|open| open < first.started) {
            return None;
        }
        let mut line = self.waiting.pop_front()?;
        // An onset is told late, so a line may be found to have begun before one that was told.
        line.started = line.started.max(self.told);
        line.ended = line.ended.max(line.started);
        self.told = line.started;
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::super::interface::{Speaker, TurnId};
    use super::*;

    fn line(started: u64) -> Line {
        Line {
            turn: TurnId(1),
            speaker: Speaker::Agent,
            text: started.to_string(),
            digits: String::new(),
            started: Duration::from_millis(started),
            ended: Duration::from_millis(started + 10),
            interrupted: false,
        }
    }

    #[test]
    fn lines_wait_for_what_sounded_before_them() {
        let mut log = LineLog::default();
        log.settle(line(500));
        log.settle(line(300));
        let open = Some(Duration::from_millis(400));
        assert_eq!(log.next(open).map(|line| line.text), Some("300".into()));
        assert_eq!(log.next(open), None);
        assert_eq!(log.next(None).map(|line| line.text), Some("500".into()));
        log.settle(line(450));
        assert_eq!(log.next(None).map(|line| line.started), Some(Duration::from_millis(500)));
        assert_eq!(log.next(None), None);
    }

    #[test]
    fn too_many_waiting_lines_are_told_all_the_same() {
        let mut log = LineLog::default();
        for n in 0..200 {
            log.settle(line(1_000 + n));
            while log.next(Some(Duration::ZERO)).is_some() {}
            assert!(log.waiting.len() <= WAITING_MAX);
        }
    }
}
