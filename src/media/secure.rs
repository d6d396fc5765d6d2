//! The seals of a leg: what may pass while keys are in force, and what happens when they change.
//!
//! ```text
//!   plain ──keys──> sealed ──other keys──> sealed, late packets of the old key for a second
//!     ^               │ ^─── the same keys: counters go on
//!     └──── no keys ──┘
//! ```
//!
//! Fails closed: with keys in force nothing plain goes out, and what does not verify is counted
//! and forgotten. Owns the keys while the leg lives; gives them back to be freed elsewhere. The
//! arithmetic is `rtp::srtp`'s.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::stats::LegStats;
use crate::rtp::srtp::{Opener, SrtpError, SrtpPair};
use std::time::{Duration, Instant};

/// How long packets of a replaced key are still opened: longer than any network keeps one.
pub const GRACE: Duration = Duration::from_secs(1);

/// RTP or RTCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Audio and digits.
    Rtp,
    /// Reports.
    Rtcp,
}

/// The seals of one leg. See the module.
pub struct Secure {
    pair: Option<Box<SrtpPair>>,
    /// The pair before, until its last packets must have come.
    retired: Option<(Box<SrtpPair>, Instant)>,
}

impl Secure {
    /// Lets everything pass as it is, until it gets keys.
    #[must_use]
    pub const fn new() -> Self {
        Self { pair: None, retired: None }
    }

    /// Takes the keys of an agreement, or that there are none; gives back a pair to be freed.
    ///
    /// Time: late packets of a replaced key are opened for [`GRACE`] from `now`.
    pub fn update(&mut self, now: Instant, pair: Option<Box<SrtpPair>>) -> Option<Box<SrtpPair>> {
        let Some(mut fresh) = pair else {
            // One of two is given back here, the other by `take_spent`.
            let retired = self.retired.take().map(|(pair, _)| pair);
            let running = self.pair.take();
            if retired.is_some() {
                self.retired = running.map(|pair| (pair, now));
                return retired;
            }
            return running;
        };
        let Some(mut running) = self.pair.take() else {
            self.pair = Some(fresh);
            return None;
        };
        let rekeyed = fresh.carry_on(&mut running);
        self.pair = Some(fresh);
        if !rekeyed {
            return Some(running);
        }
        self.retired.replace((running, now + GRACE)).map(|(pair, _)| pair)
    }

    /// A replaced pair whose time is over, to be freed.
    pub fn take_spent(&mut self, now: Instant) -> Option<Box<SrtpPair>> {
        self.retired.take_if(|(_, until)| now >= *until).map(|(pair, _)| pair)
    }

    /// Whether keys are in force.
    #[must_use]
    pub const fn is_sealed(&self) -> bool {
        self.pair.is_some()
    }

    /// What a datagram says: itself while there are no keys, else what it holds if its tag
    /// verifies.
    pub fn open<'a>(
        &'a mut self,
        now: Instant,
        kind: Kind,
        bytes: &'a [u8],
        stats: &LegStats,
    ) -> Option<&'a [u8]> {
        let Some(pair) = &mut self.pair else { return Some(bytes) };
        let SrtpPair { opener, opened: out, .. } = &mut **pair;
        let mut opened = open(opener, kind, bytes, out);
        if let (Err(_), Some((old, until))) = (opened, &mut self.retired)
            && now < *until
        {
            opened = open(&mut old.opener, kind, bytes, out);
        }
        match opened {
            Ok(len) => out.get(..len),
            Err(SrtpError::BadTag | SrtpError::Malformed) => {
                stats.rx_bad_tags.add(1);
                None
            }
            Err(SrtpError::Replayed) => {
                stats.rx_replayed.add(1);
                None
            }
        }
    }

    /// Seals the packet in the first `len` octets of `buffer`, if there are keys; `None`: it must
    /// not be sent.
    pub fn seal(&mut self, kind: Kind, buffer: &mut [u8], len: usize) -> Option<usize> {
        match (&mut self.pair, kind) {
            (None, _) => Some(len),
            (Some(pair), Kind::Rtp) => pair.sealer.rtp(buffer, len),
            (Some(pair), Kind::Rtcp) => pair.sealer.rtcp(buffer, len),
        }
    }
}

impl Default for Secure {
    fn default() -> Self {
        Self::new()
    }
}

fn open(opener: &mut Opener, kind: Kind, bytes: &[u8], out: &mut [u8]) -> Result<usize, SrtpError> {
    match kind {
        Kind::Rtp => opener.rtp(bytes, out),
        Kind::Rtcp => opener.rtcp(bytes, out),
    }
}
