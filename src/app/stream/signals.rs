//! Which of a task's sources may have something to say.
//!
//! ```text
//!  source ── its own waker ──> raised bit ──> the task's waker ──> poll: only what was raised
//! ```
//!
//! A call's task waits for half a dozen queues and sockets, of which one at a time has something;
//! looking into all of them costs more than the work itself. Owns the wakers; does not know the
//! sources, and polls nothing.

use futures_util::task::AtomicWaker;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// What a call's task waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The leg's events.
    Events,
    /// The leg's rings have moved.
    Ready,
    /// The call's words.
    Control,
    /// Somebody who sits down, or whose upgrade is under way.
    Arrival,
    /// The socket that is dialled.
    Dialling,
    /// The client's messages.
    Socket,
    /// The clock.
    Alarm,
}

const SOURCES: [Source; 7] = [
    Source::Events,
    Source::Ready,
    Source::Control,
    Source::Arrival,
    Source::Dialling,
    Source::Socket,
    Source::Alarm,
];

impl Source {
    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

#[derive(Debug, Default)]
struct Shared {
    raised: AtomicU8,
    task: AtomicWaker,
}

/// What a source is polled with.
#[derive(Debug)]
struct Flag {
    bit: u8,
    shared: Arc<Shared>,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Who raised it before has woken the task, which has not looked since.
        if self.shared.raised.fetch_or(self.bit, Ordering::AcqRel) & self.bit == 0 {
            self.shared.task.wake();
        }
    }
}

/// The sources of one task.
#[derive(Debug)]
pub(super) struct Signals {
    shared: Arc<Shared>,
    wakers: [Waker; SOURCES.len()],
    /// What must be polled: it was raised, or never polled until it was pending.
    due: u8,
}

impl Signals {
    /// All sources are due.
    pub(super) fn new() -> Self {
        let shared = Arc::<Shared>::default();
        let wakers = SOURCES.map(|source| {
            Waker::from(Arc::new(Flag { bit: source.bit(), shared: Arc::clone(&shared) }))
        });
        Self { shared, wakers, due: u8::MAX }
    }

    /// Takes in what was raised; what is raised from here on wakes the task.
    pub(super) fn look(&mut self, context: &Context<'_>) {
        self.shared.task.register(context.waker());
        self.due |= self.shared.raised.swap(0, Ordering::AcqRel);
    }

    /// A source is another one than before, or was not asked because its answer was not wanted.
    pub(super) const fn renew(&mut self, source: Source) {
        self.due |= source.bit();
    }

    /// Polls a source if it may have something to say.
    pub(super) fn poll<T>(
        &mut self,
        source: Source,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        if self.due & source.bit() == 0 {
            return Poll::Pending;
        }
        let [events, ready, control, arrival, dialling, socket, alarm] = &self.wakers;
        let waker = match source {
            Source::Events => events,
            Source::Ready => ready,
            Source::Control => control,
            Source::Arrival => arrival,
            Source::Dialling => dialling,
            Source::Socket => socket,
            Source::Alarm => alarm,
        };
        let polled = poll(&mut Context::from_waker(waker));
        if polled.is_pending() {
            self.due &= !source.bit();
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Polls all sources, each pending; what was asked.
    fn asked(signals: &mut Signals, wakers: &mut Vec<Waker>) -> Vec<Source> {
        let mut asked = Vec::new();
        for source in SOURCES {
            let polled = signals.poll(source, |context| {
                asked.push(source);
                wakers.push(context.waker().clone());
                Poll::<()>::Pending
            });
            assert!(polled.is_pending());
        }
        asked
    }

    #[test]
    fn only_what_was_raised_is_asked() {
        let count = Arc::<Count>::default();
        let task = Waker::from(Arc::clone(&count));
        let context = Context::from_waker(&task);
        let (mut signals, mut wakers) = (Signals::new(), Vec::new());
        signals.look(&context);
        assert_eq!(asked(&mut signals, &mut wakers), SOURCES);
        signals.look(&context);
        assert_eq!(asked(&mut signals, &mut wakers), []);
        // Twice is once, for the task as well.
        wakers[1].wake_by_ref();
        wakers[1].wake_by_ref();
        wakers[5].wake_by_ref();
        signals.look(&context);
        assert_eq!(asked(&mut signals, &mut wakers), [Source::Ready, Source::Socket]);
        assert!((1..=2).contains(&count.0.load(Ordering::Relaxed)));
        signals.renew(Source::Socket);
        assert_eq!(asked(&mut signals, &mut wakers), [Source::Socket]);
    }

    #[test]
    fn what_is_not_exhausted_stays_due() {
        let mut signals = Signals::new();
        for _ in 0..3 {
            assert!(signals.poll(Source::Control, |_| Poll::Ready(())).is_ready());
        }
        assert!(signals.poll(Source::Control, |_| Poll::<()>::Pending).is_pending());
        let unasked = signals.poll(Source::Control, |_| -> Poll<()> { panic!("asked again") });
        assert!(unasked.is_pending());
    }
}
