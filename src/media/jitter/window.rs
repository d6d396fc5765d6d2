//! How long to wait at a hole: learnt from how far packets come out of order.
//!
//! `W = q99(observed reorder distance) + 8 to 10 ms`, within the configured bounds. The start value is
//! one imagined observation that is forgotten with the packets, so that a line without reordering
//! comes down to the lower bound in about a minute.

use crate::media::interface::JitterSpec;
use std::time::Duration;

/// Width of a class of distances.
const BIN_MS: u64 = 2;
/// Classes; the last one holds all beyond.
const BINS: usize = 60;
/// What is added to the quantile, whose class rounds it up by up to 2 ms more.
const MARGIN: Duration = Duration::from_millis(8);
const QUANTILE: f32 = 0.99;
/// Packets between two steps of forgetting, and what is left at each: half in 750 packets (15 s).
const FORGET_EVERY: u32 = 64;
const FORGET: f32 = 0.942_6;
/// Below this weight nothing is known.
const FAINT: f32 = 0.05;

/// The hole window of one source.
#[derive(Debug, Clone)]
pub(super) struct HoleWindow {
    spec: JitterSpec,
    weights: [f32; BINS],
    packets: u32,
    window: Duration,
}

impl HoleWindow {
    /// Starts at the configured value.
    pub(super) fn new(spec: JitterSpec) -> Self {
        let window = spec.hole_wait.min(spec.hole_wait_max).max(spec.hole_wait_min);
        let mut weights = [0.0; BINS];
        let start = window.saturating_sub(MARGIN + Duration::from_millis(BIN_MS));
        weights[bin(start)] = 1.0;
        Self { spec, weights, packets: 0, window }
    }

    /// How long a hole may be waited for, from the arrival of the first later packet.
    pub(super) const fn window(&self) -> Duration {
        self.window
    }

    /// The bound of every wait.
    pub(super) fn longest(&self) -> Duration {
        self.spec.hole_wait_max.max(self.window)
    }

    /// Counts a packet, whatever its order.
    pub(super) fn packet(&mut self) {
        self.packets += 1;
        if self.packets >= FORGET_EVERY {
            self.packets = 0;
            self.weights.iter_mut().for_each(|w| *w *= FORGET);
            self.adapt();
        }
    }

    /// Counts a packet that came `distance` after the first one that should have followed it.
    pub(super) fn reordered(&mut self, distance: Duration) {
        self.weights[bin(distance)] += 1.0;
        self.adapt();
    }

    fn adapt(&mut self) {
        let total: f32 = self.weights.iter().sum();
        let mut left = total * QUANTILE;
        let mut upper_ms = 0;
        if total > FAINT {
            for weight in &self.weights {
                upper_ms += BIN_MS;
                left -= weight;
                if left <= 0.0 {
                    break;
                }
            }
        }
        let wanted = Duration::from_millis(upper_ms) + MARGIN;
        self.window = wanted.min(self.spec.hole_wait_max).max(self.spec.hole_wait_min);
    }
}

fn bin(distance: Duration) -> usize {
    let bin = distance.as_millis() / u128::from(BIN_MS);
    usize::try_from(bin).unwrap_or(BINS).min(BINS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    const SPEC: JitterSpec =
        JitterSpec { hole_wait: ms(40), hole_wait_min: ms(20), hole_wait_max: ms(80) };

    #[test]
    fn it_starts_as_configured_within_the_bounds() {
        for (start, want) in [(40, 40), (20, 20), (60, 60), (5, 20), (500, 80)] {
            let window = HoleWindow::new(JitterSpec { hole_wait: ms(start), ..SPEC });
            assert_eq!(window.window(), ms(want), "{start}");
        }
    }

    #[test]
    fn order_brings_it_down_and_reordering_up() {
        let mut window = HoleWindow::new(SPEC);
        (0..3000).for_each(|_| window.packet());
        assert!(window.window() >= ms(40), "one minute is not forgotten at once");
        (0..1000).for_each(|_| window.packet());
        assert_eq!(window.window(), ms(20));
        // 5 % come 20 to 40 ms behind their successor.
        for i in 0..2000u64 {
            window.packet();
            if i % 20 == 0 {
                window.reordered(ms(20 + i / 20 % 21));
            }
        }
        assert_eq!(window.window(), ms(50));
        window.reordered(ms(4000));
        (0..100).for_each(|_| window.reordered(ms(1)));
        assert!(window.window() <= ms(80), "an outlier is bounded");
    }

    #[test]
    fn one_late_packet_widens_a_narrow_window_for_a_while() {
        let mut window = HoleWindow::new(JitterSpec { hole_wait: ms(20), ..SPEC });
        (0..5000).for_each(|_| window.packet());
        window.reordered(ms(47));
        assert_eq!(window.window(), ms(56));
        (0..5000).for_each(|_| window.packet());
        assert_eq!(window.window(), ms(20));
    }
}
