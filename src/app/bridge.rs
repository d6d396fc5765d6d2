//! Two calls joined: what one person says, the other hears.
//!
//! ```text
//!  A's capture ring ─> Pace ─> resample ─> level ─> B's playout ring      every 5 ms, by Flow
//!  B's capture ring ─> Pace ─> resample ─> level ─> A's playout ring
//!  A's events ─┬─ RFC 4733 digits ─> Command::Dtmf to B
//!              └─ quiet, digits, gone ─> BridgeEvent
//! ```
//!
//! One task per bridge owns both legs' handles and gives them back when it is stopped. Does not
//! decide when calls are joined or parted, or what becomes of one whose other side hung up: whoever
//! reads [`BridgeEvent`] does.

pub mod flow;
mod task;
#[cfg(test)]
mod tests;

use super::line::{split, whole};
use crate::audio::codec::SampleRate;
pub use crate::media::pace::{PaceReport, PaceSpec};
use crate::media::worker::LegHandle;
use std::time::Duration;
use task::{End, Ends, Task};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Events that wait for the bridge's owner; more are dropped.
const EVENTS: usize = 64;
/// Orders that wait for the bridge; more are refused.
const ORDERS: usize = 8;

/// One of both legs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The first leg of [`spawn`].
    A,
    /// The second.
    B,
}

impl Side {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::A, Self::B];

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// A value for each side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sides<T> {
    /// Of the first leg.
    pub a: T,
    /// Of the second.
    pub b: T,
}

impl<T> Sides<T> {
    /// The value of a side.
    pub const fn of(&self, side: Side) -> &T {
        match side {
            Side::A => &self.a,
            Side::B => &self.b,
        }
    }

    /// The same, to change.
    pub const fn of_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::A => &mut self.a,
            Side::B => &mut self.b,
        }
    }
}

/// How two legs are joined.
#[derive(Debug, Clone, Copy)]
pub struct BridgeSpec {
    /// Sample rates of the legs.
    pub rates: Sides<SampleRate>,
    /// How long sound waits.
    pub pace: PaceSpec,
    /// Whether digits that came by RFC 4733 go on to the other side the same way. Digits in the
    /// audio go there anyway.
    pub relay_digits: bool,
    /// Whose sound the other side does not hear at first.
    pub muted: Sides<bool>,
}

/// What a bridge tells. The queue holds 64; what does not fit is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BridgeEvent {
    /// Neither RTP nor RTCP came on this side for the time that its leg was told.
    Quiet {
        /// The leg.
        side: Side,
        /// For how long.
        silent: Duration,
    },
    /// This side pressed a key.
    Digit {
        /// The leg.
        side: Side,
        /// One of `0-9*#A-D` as ASCII.
        digit: u8,
        /// How long it was held.
        duration_ms: u32,
        /// Heard in the audio, not told by RFC 4733.
        inband: bool,
    },
    /// The leg of this side has ended; the bridge still holds its handle.
    Gone(Side),
}

/// How a bridge sounds, refreshed twice a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BridgeReport {
    /// The sound *from* each side.
    pub sound: Sides<PaceReport>,
}

/// What the task is told.
enum Order {
    Mute(Side, bool),
    Stop,
}

/// Two calls that are joined. Dropping it closes both legs.
pub struct Bridge {
    /// What happens on it.
    pub events: mpsc::Receiver<BridgeEvent>,
    orders: mpsc::Sender<Order>,
    reports: watch::Receiver<BridgeReport>,
    task: JoinHandle<Ends>,
}

/// Joins two legs, on the current tokio runtime. Both must be answered or may get early media.
///
/// What waits in their rings is thrown away: the bridge begins with what is said from here on.
#[must_use]
pub fn spawn(a: Box<LegHandle>, b: Box<LegHandle>, spec: BridgeSpec) -> Bridge {
    let ends = Sides { a: End::from(split(*a)), b: End::from(split(*b)) };
    let (orders, events, reports, task) = start(ends, spec);
    Bridge { events, orders, reports, task }
}

type Started = (
    mpsc::Sender<Order>,
    mpsc::Receiver<BridgeEvent>,
    watch::Receiver<BridgeReport>,
    JoinHandle<Ends>,
);

fn start(ends: Ends, spec: BridgeSpec) -> Started {
    let (orders, ordered) = mpsc::channel(ORDERS);
    let (told, events) = mpsc::channel(EVENTS);
    let (shown, reports) = watch::channel(BridgeReport::default());
    let task = tokio::spawn(Task::new(ends, spec, ordered, told, shown).run());
    (orders, events, reports, task)
}

impl Bridge {
    /// Says whether the other side hears this one; `false` when the bridge is overwhelmed.
    pub fn mute(&self, side: Side, muted: bool) -> bool {
        self.orders.try_send(Order::Mute(side, muted)).is_ok()
    }

    /// How it sounds.
    #[must_use]
    pub fn report(&self) -> BridgeReport {
        *self.reports.borrow()
    }

    /// Parts the calls and gives the handles back: their rings are empty, and what they tell from
    /// here on is for whoever holds them.
    ///
    /// Time: a tick of each leg, 200 ms each at most. `None` when the bridge's task has died,
    /// which closed both legs.
    pub async fn stop(self) -> Option<(Box<LegHandle>, Box<LegHandle>)> {
        // A bridge that does not take the order is dead, which its end tells.
        let _ = self.orders.send(Order::Stop).await;
        let Ends { a, b } = self.task.await.ok()?;
        Some((whole(a.line, a.ears)?, whole(b.line, b.ears)?))
    }
}
