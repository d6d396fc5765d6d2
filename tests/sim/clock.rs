//! Virtual time: an origin, and offsets from it.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The beginning of every simulated world. Only differences to it mean anything.
pub fn origin() -> Instant {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    #[expect(clippy::disallowed_methods, reason = "an Instant can be had in no other way")]
    *ORIGIN.get_or_init(Instant::now)
}

pub const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}
