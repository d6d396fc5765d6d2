//! A leg's two halves: the seat in a media thread, and the ends its owner holds.

use super::pump::lock;
use crate::id::LegId;
use crate::media::interface::{Event, LegReport, MediaParams};
use crate::media::leg::{Leg, LegConfig};
use crate::media::ring::{CaptureReader, PlayoutWriter};
use crate::media::stats::{Counter, LegStats};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::sync::{Notify, mpsc};

/// Events that wait for a leg's owner; more are dropped and counted.
const EVENTS: usize = 64;

/// Where a leg is seated, and with what.
#[derive(Debug)]
pub struct Place<P> {
    /// The leg.
    pub id: LegId,
    /// Its number in the media thread.
    pub number: usize,
    /// Its even port.
    pub port: u16,
    /// Its sockets.
    pub pair: P,
}

/// A leg with what belongs to it, while it sits in a media thread.
pub struct Seat<P> {
    pub(super) id: LegId,
    pub(super) number: usize,
    pub(super) port: u16,
    pub(super) pair: Option<P>,
    pub(super) leg: Leg,
    pub(super) outlet: Arc<Outlet>,
    broken: bool,
    shared: Arc<LegShared>,
}

impl<P> Seat<P> {
    /// Whether the leg must go: its owner let go, or it is broken.
    pub(super) fn closing(&self) -> bool {
        self.broken || self.shared.closing()
    }

    /// Lets the leg work, and keeps a bug in it from ending the legs beside it: a leg that panics
    /// does nothing any more and leaves with its next beat.
    pub(super) fn guarded(&mut self, work: impl FnOnce(&mut Leg)) {
        if !self.broken {
            let leg = &mut self.leg;
            self.broken = catch_unwind(AssertUnwindSafe(|| work(leg))).is_err();
        }
    }
}

/// The owner's ends of a leg.
pub struct LegEnds {
    /// Toward the carrier.
    pub playout: PlayoutWriter,
    /// From the carrier.
    pub capture: CaptureReader,
    /// What the leg tells.
    pub events: mpsc::Receiver<Event>,
    /// Wakes the owner.
    pub ready: Arc<Notify>,
    /// Closes the leg when dropped.
    pub open: OpenLeg,
}

/// Makes both halves of a leg. Everything it will ever need is allocated here.
pub fn seat<P>(place: Place<P>, now: Instant, config: &LegConfig) -> (Box<Seat<P>>, LegEnds) {
    let Place { id, number, port, pair } = place;
    let stats = Arc::new(LegStats::default());
    let (leg, playout, capture) = Leg::open(now, config, Arc::clone(&stats));
    let shared =
        Arc::new(LegShared { stats, closing: AtomicBool::new(false), params: Mutex::new(None) });
    let ready = Arc::new(Notify::new());
    let (sender, events) = mpsc::channel(EVENTS);
    let outlet = Arc::new(Outlet {
        events: sender,
        ready: Arc::clone(&ready),
        called: AtomicBool::new(false),
    });
    let open = OpenLeg(Arc::clone(&shared));
    let seat = Seat { id, number, port, pair: Some(pair), leg, outlet, broken: false, shared };
    (Box::new(seat), LegEnds { playout, capture, events, ready, open })
}

/// Holds a leg open.
pub struct OpenLeg(Arc<LegShared>);

impl OpenLeg {
    pub(super) fn shared(&self) -> &Arc<LegShared> {
        &self.0
    }
}

impl Drop for OpenLeg {
    fn drop(&mut self) {
        self.0.closing.store(true, Ordering::Release);
    }
}

/// What a leg's owner and its media thread share besides rings and queues.
pub struct LegShared {
    stats: Arc<LegStats>,
    closing: AtomicBool,
    /// Written and read by owners only; the media thread gets its copy by command.
    params: Mutex<Option<MediaParams>>,
}

impl LegShared {
    /// Whether the owner let go.
    pub(super) fn closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    pub(super) fn report(&self) -> LegReport {
        self.stats.report()
    }

    pub(super) fn stats(&self) -> &LegStats {
        &self.stats
    }

    pub(super) fn params(&self) -> Option<MediaParams> {
        *lock(&self.params)
    }

    pub(super) fn set_params(&self, params: MediaParams) {
        *lock(&self.params) = Some(params);
    }
}

/// Where a leg's events and wake-ups go; the pump's end.
pub struct Outlet {
    events: mpsc::Sender<Event>,
    ready: Arc<Notify>,
    called: AtomicBool,
}

impl Outlet {
    /// Passes an event to the owner, or counts it when the owner does not keep up.
    pub(super) fn tell(&self, event: Event, lost: &Counter) {
        match self.events.try_send(event) {
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => {}
            Err(mpsc::error::TrySendError::Full(_)) => lost.add(1),
        }
    }

    /// Claims the one wake-up that may be under way.
    pub(super) fn call(&self) -> bool {
        !self.called.swap(true, Ordering::AcqRel)
    }

    /// Gives the claim back.
    pub(super) fn answered(&self) {
        self.called.store(false, Ordering::Release);
    }

    /// Wakes the owner.
    pub fn wake(&self) {
        self.answered();
        self.ready.notify_one();
    }
}
