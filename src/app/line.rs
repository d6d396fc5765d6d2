//! A media leg as an application leg holds it: ring ends, events, and a port for commands.
//!
//! Owns the split of a [`LegHandle`] into what is polled and what is called, its being put together
//! again, and the one trait that stands between an application leg and the media thread, so that tests can be the thread.

use crate::id::LegId;
use crate::media::interface::{CLEAR_FADE, Command, Event, LegReport};
use crate::media::ledger::{Stage, StageSpread};
use crate::media::ring::{CaptureReader, PlayoutWriter};
use crate::media::worker::{LegControl, LegHandle, OpenLeg};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};

/// Where a leg takes commands and shows how much it sent.
pub(crate) trait LegPort: Send {
    /// Queues a command for the next tick; `false` when it must be said again later.
    fn send(&self, command: Command) -> bool;

    /// Samples of the playout ring that were sent.
    fn sent_samples(&self) -> u64;

    /// Samples that found the capture ring full.
    fn overrun_samples(&self) -> u64;

    /// Packets that ever came after their hole was concealed, and the wait for holes that would
    /// have spared most of them.
    fn late_packets(&self) -> (u64, Duration) {
        (0, Duration::ZERO)
    }

    /// Opens the end at which what the far end is sent can be heard, once per leg; `None` where
    /// that cannot be had at this moment.
    fn monitor(&self) -> Option<CaptureReader> {
        None
    }

    /// All counters; none where nobody counts.
    fn report(&self) -> LegReport {
        LegReport::default()
    }

    /// Counts how long sound stood at a stage of the application's.
    fn time(&self, stage: Stage, duration: Duration) {
        let _ = (stage, duration);
    }

    /// What was counted at a stage so far.
    fn spread(&self, stage: Stage) -> StageSpread {
        let _ = stage;
        StageSpread::default()
    }

    /// Audio per packet that is sent.
    fn ptime(&self) -> Duration {
        Duration::from_millis(20)
    }
}

impl LegPort for LegControl {
    fn send(&self, command: Command) -> bool {
        Self::send(self, command)
    }

    fn sent_samples(&self) -> u64 {
        self.report().tx_played_samples
    }

    fn overrun_samples(&self) -> u64 {
        self.report().rx_overrun_samples
    }

    fn late_packets(&self) -> (u64, Duration) {
        let report = self.report();
        (report.rx_late, Duration::from_micros(report.rx_hole_wait_us))
    }

    fn monitor(&self) -> Option<CaptureReader> {
        Self::monitor(self)
    }

    fn report(&self) -> LegReport {
        Self::report(self)
    }

    fn time(&self, stage: Stage, duration: Duration) {
        Self::time(self, stage, duration);
    }

    fn spread(&self, stage: Stage) -> StageSpread {
        self.ledger().spread(stage)
    }

    fn ptime(&self) -> Duration {
        self.params().map_or(Duration::from_millis(20), |params| params.ptime)
    }
}

/// The parts of a leg that are called; dropping it closes the leg.
pub(crate) struct Line {
    /// Toward the carrier.
    pub(crate) playout: PlayoutWriter,
    /// From the carrier.
    pub(crate) capture: CaptureReader,
    /// What the carrier was sent, if somebody hears it.
    pub(crate) monitor: Option<CaptureReader>,
    /// Commands and counters.
    pub(crate) port: Box<dyn LegPort>,
    /// Holds the leg open.
    pub(crate) open: Option<OpenLeg>,
    /// What else its handle was made of.
    pub(crate) of: Option<(LegId, LegControl)>,
}

/// The parts of a leg that are polled.
pub(crate) struct Ears {
    /// What the leg tells.
    pub(crate) events: mpsc::Receiver<Event>,
    /// Notified when a ring has moved.
    pub(crate) ready: Arc<Notify>,
}

/// Takes a leg's handle apart.
pub(crate) fn split(leg: LegHandle) -> (Line, Ears) {
    let LegHandle { playout, capture, monitor, events, ready, control, open, id } = leg;
    let of = Some((id, control.clone()));
    let line = Line { playout, capture, monitor, port: Box::new(control), open: Some(open), of };
    (line, Ears { events, ready })
}

/// Puts a leg's handle together again, to be lent: what lies in its ring is not played.
///
/// `None` for a leg that was never one handle.
pub(crate) fn whole(line: Line, ears: Ears) -> Option<Box<LegHandle>> {
    let Line { playout, capture, monitor, port, open, of } = line;
    port.send(Command::Pause(false));
    if monitor.is_some() {
        port.send(Command::Monitor(false));
    }
    port.send(Command::Clear { up_to: playout.position(), token: u32::MAX, fade: CLEAR_FADE });
    let (id, control) = of?;
    let open = open?;
    let Ears { events, ready } = ears;
    Some(Box::new(LegHandle { id, playout, capture, monitor, events, ready, control, open }))
}

/// Length of a digit unless stated (RFC 4733 §2.3.5: at least 40 ms; people hear 100 as natural).
const DIGIT: Duration = Duration::from_millis(100);
/// Pause between digits unless stated.
const GAP: Duration = Duration::from_millis(60);

/// The command that sends the first digits of `text`, and how many it took; `None` for none.
///
/// Lengths are kept within 40 ms to 5 s, pauses within 20 ms to 5 s.
pub(crate) fn dtmf_command(
    text: &str,
    duration_ms: Option<u64>,
    gap_ms: Option<u64>,
) -> Option<(Command, usize)> {
    let mut digits = [0; 32];
    let mut count = 0;
    for (place, digit) in digits.iter_mut().zip(text.bytes()) {
        *place = digit;
        count += 1;
    }
    let duration = duration_ms.map_or(DIGIT, |ms| Duration::from_millis(ms.clamp(40, 5000)));
    let gap = gap_ms.map_or(GAP, |ms| Duration::from_millis(ms.clamp(20, 5000)));
    (count > 0).then_some((Command::Dtmf { digits, duration, gap }, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_sent_32_at_a_time_with_sane_lengths() {
        let text = "1".repeat(40);
        let (command, count) = dtmf_command(&text, Some(1), None).unwrap();
        let Command::Dtmf { digits, duration, gap } = command else { panic!() };
        assert_eq!((count, digits), (32, [b'1'; 32]));
        assert_eq!((duration, gap), (Duration::from_millis(40), GAP));
        assert!(dtmf_command("", None, None).is_none());
    }
}
