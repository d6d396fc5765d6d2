//! The door to the bridge between two media legs.
//!
//! Owns no sound: the bridge's own module moves it. This one says what a pair of calls needs of it.

use crate::media::worker::LegHandle;

/// Two legs, ready to be joined or just parted.
pub(super) type Legs = (Box<LegHandle>, Box<LegHandle>);

/// Which of the two legs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// The first.
    A,
    /// The second.
    B,
}

/// What a bridge tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// A digit came from this side.
    Dtmf(Which, u8, u32),
    /// Neither RTP nor RTCP came from this side for too long.
    Quiet(Which),
    /// A leg is gone; nothing flows any more.
    Lost,
}

/// A bridge that stands.
pub(super) struct Bridge {
    legs: Legs,
}

impl Bridge {
    /// Joins two legs; gives them back with the reason when that cannot be done.
    pub(super) fn start(legs: Legs) -> Result<Self, (Legs, String)> {
        Err((legs, "bridges are not built in this version".to_owned()))
    }

    /// The next thing to tell. Cancel-safe.
    pub(super) async fn next(&mut self) -> Heard {
        std::future::pending().await
    }

    /// Parts the legs and gives them back; `None` when the bridge has died, and the legs with it.
    pub(super) async fn stop(self) -> Option<Legs> {
        std::future::ready(Some(self.legs)).await
    }
}
