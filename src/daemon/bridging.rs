//! The door to the bridge between two media legs.
//!
//! Owns no sound: `app::bridge` moves it. This one says what a pair of calls needs of it.

use crate::app::bridge::{self, BridgeEvent, BridgeSpec, PaceSpec, Side, Sides};
use crate::call::control::HeardBy;
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

impl From<Side> for Which {
    fn from(side: Side) -> Self {
        match side {
            Side::A => Self::A,
            Side::B => Self::B,
        }
    }
}

/// What a bridge tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// A digit came from this side: how long, and how.
    Dtmf(Which, u8, u32, HeardBy),
    /// Neither RTP nor RTCP came from this side for too long.
    Quiet(Which),
    /// A leg is gone; nothing flows any more.
    Lost,
}

/// A bridge that stands.
pub(super) struct Bridge {
    bridge: bridge::Bridge,
}

impl Bridge {
    /// Joins two legs, whose sound waits as long as `pace` says.
    pub(super) fn start(legs: Legs, pace: PaceSpec) -> Self {
        let (a, b) = legs;
        let spec = BridgeSpec {
            rates: Sides { a: a.control.rate(), b: b.control.rate() },
            pace,
            relay_digits: true,
            muted: Sides { a: false, b: false },
        };
        Self { bridge: bridge::spawn(a, b, spec) }
    }

    /// The next thing to tell. Cancel-safe.
    pub(super) async fn next(&mut self) -> Heard {
        match self.bridge.events.recv().await {
            Some(BridgeEvent::Digit { side, digit, duration_ms, inband }) => {
                Heard::Dtmf(side.into(), digit, duration_ms, HeardBy::leg(inband))
            }
            Some(BridgeEvent::Quiet { side, .. }) => Heard::Quiet(side.into()),
            Some(BridgeEvent::Gone(_)) | None => Heard::Lost,
        }
    }

    /// Parts the legs and gives them back; `None` when the bridge has died, and the legs with it.
    pub(super) async fn stop(self) -> Option<Legs> {
        self.bridge.stop().await
    }
}
