//! The timers of RFC 3261 §17 and RFC 6026: their letters and their lengths.

use crate::sip::interface::Transport;
use std::time::{Duration, Instant};

/// T2: the longest interval between retransmissions of a non-INVITE request or an INVITE response.
pub const T2: Duration = Duration::from_secs(4);
/// T4: how long a message may stay in the network.
pub const T4: Duration = Duration::from_secs(5);
/// The least length of Timer D on an unreliable transport.
const TIMER_D_MIN: Duration = Duration::from_secs(32);

/// Why a transaction wants to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Timer {
    /// INVITE request retransmission, UDP only: T1, doubling.
    A,
    /// INVITE client transaction time-out: 64*T1.
    B,
    /// Wait for a final answer after CANCEL (RFC 3261 §9.1): 64*T1. A proxy's Timer C is longer.
    C,
    /// Wait for retransmitted refusals of an INVITE: 32 s on UDP, else 0.
    D,
    /// Non-INVITE request retransmission, UDP only: T1, doubling up to T2.
    E,
    /// Non-INVITE client transaction time-out: 64*T1.
    F,
    /// INVITE refusal retransmission, UDP only: T1, doubling up to T2.
    G,
    /// Wait for the ACK of a refusal: 64*T1.
    H,
    /// Wait for retransmitted ACKs: T4 on UDP, else 0.
    I,
    /// Wait for retransmitted non-INVITE requests: 64*T1 on UDP, else 0.
    J,
    /// Wait for retransmitted non-INVITE responses: T4 on UDP, else 0.
    K,
    /// Wait for retransmitted INVITEs after a 2xx (RFC 6026): 64*T1.
    L,
    /// Wait for retransmitted and forked 2xx responses (RFC 6026): 64*T1.
    M,
}

impl Timer {
    /// The name under which the endpoint reports its next deadline.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::A => "timer_a",
            Self::B => "timer_b",
            Self::C => "timer_c",
            Self::D => "timer_d",
            Self::E => "timer_e",
            Self::F => "timer_f",
            Self::G => "timer_g",
            Self::H => "timer_h",
            Self::I => "timer_i",
            Self::J => "timer_j",
            Self::K => "timer_k",
            Self::L => "timer_l",
            Self::M => "timer_m",
        }
    }
}

/// The lengths that one transaction works with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lengths {
    /// The estimate of a round trip.
    pub t1: Duration,
    /// Whether the transport delivers by itself: nothing is retransmitted, nothing absorbed.
    pub reliable: bool,
}

impl Lengths {
    /// The lengths for a transaction over `transport`.
    #[must_use]
    pub fn new(t1: Duration, transport: Transport) -> Self {
        let reliable = match transport {
            Transport::Udp => false,
            Transport::Tcp | Transport::Tls => true,
        };
        Self { t1, reliable }
    }

    /// 64*T1: Timers B, F, H, L and M, and the wait after CANCEL.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.t1 * 64
    }

    /// Timer D.
    pub(super) fn d(&self) -> Duration {
        if self.reliable { Duration::ZERO } else { TIMER_D_MIN.max(self.patience()) }
    }

    /// Timers I and K.
    pub(super) fn i_and_k(&self) -> Duration {
        if self.reliable { Duration::ZERO } else { T4 }
    }

    /// Timer J.
    pub(super) fn j(&self) -> Duration {
        if self.reliable { Duration::ZERO } else { self.patience() }
    }

    /// The first retransmission of a transaction that begins at `now`; none on a reliable one.
    pub(super) fn first_resend(&self, now: Instant) -> Option<Resend> {
        (!self.reliable).then(|| Resend { at: now + self.t1, interval: self.t1 })
    }
}

/// When to send again, and after which interval this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resend {
    /// The deadline.
    pub at: Instant,
    /// The interval that ends there.
    pub interval: Duration,
}

impl Resend {
    /// The one after this, twice as far away (Timer A).
    ///
    /// Counted from `now`, so that a late wake-up makes no burst.
    #[must_use]
    pub fn doubled(self, now: Instant) -> Self {
        let interval = self.interval * 2;
        Self { at: now + interval, interval }
    }

    /// The one after this, at most T2 away (Timers E and G, and the 2xx of a session).
    #[must_use]
    pub fn doubled_to_t2(self, now: Instant) -> Self {
        let interval = (self.interval * 2).min(T2);
        Self { at: now + interval, interval }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reliable_transports_absorb_and_resend_nothing() {
        let t1 = Duration::from_millis(500);
        let (udp, tls) = (Lengths::new(t1, Transport::Udp), Lengths::new(t1, Transport::Tls));
        assert_eq!((udp.d(), tls.d()), (Duration::from_secs(32), Duration::ZERO));
        assert_eq!((udp.i_and_k(), tls.i_and_k()), (T4, Duration::ZERO));
        assert_eq!((udp.j(), tls.j()), (Duration::from_secs(32), Duration::ZERO));
        assert_eq!(tls.patience(), Duration::from_secs(32));
    }
}
