//! The two clocks of a leg: the caller's samples, and the time since the leg began.

use std::time::Duration;

/// Brings capture positions to the leg's own time.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    /// When position 0 was, on the leg's clock, in microseconds; the smallest ever seen, as a
    /// packet can be late but never early.
    origin: Option<i64>,
    rate: u32,
}

impl Clock {
    /// A clock that has seen nothing; the rate is that of the positions in Hz.
    pub(crate) fn new(rate: u32) -> Self {
        Self { origin: None, rate }
    }

    fn micros(&self, position: u64) -> i64 {
        let micros = u128::from(position) * 1_000_000 / u128::from(self.rate.max(1));
        i64::try_from(micros).unwrap_or(i64::MAX)
    }

    /// A frame that ends at this position has just arrived.
    pub(crate) fn arrived(&mut self, end: u64, now: Duration) {
        let now = i64::try_from(now.as_micros()).unwrap_or(i64::MAX);
        let origin = now.saturating_sub(self.micros(end));
        self.origin = Some(self.origin.map_or(origin, |known| known.min(origin)));
    }

    /// A position on the leg's clock; the past before it began is its beginning.
    pub(crate) fn at(&self, position: u64) -> Duration {
        let micros = self.origin.unwrap_or(0).saturating_add(self.micros(position));
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_lie_where_the_least_delayed_packet_puts_them() {
        let ms = Duration::from_millis;
        let mut clock = Clock::new(8000);
        // The first packet is 30 ms late, the second 5 ms.
        clock.arrived(160, ms(150));
        assert_eq!(clock.at(160), ms(150));
        clock.arrived(320, ms(145));
        assert_eq!((clock.at(320), clock.at(160)), (ms(145), ms(125)));
        clock.arrived(480, ms(300));
        assert_eq!(clock.at(480), ms(165), "a late packet moves nothing");
        assert_eq!(Clock { origin: Some(-500_000), rate: 8000 }.at(800), Duration::ZERO);
    }
}
