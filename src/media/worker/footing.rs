//! What a media thread stands on: its way to the network, its core, its place in the queue for it.
//!
//! ```text
//!  wished ([rtp] backend, pin, priority) ──> tried ──> Footing: what was got, and why not more
//! ```
//!
//! Nothing here is worth refusing to start: what cannot be had is told and done without.

use crate::net::epoll::sharpen_timers;
use crate::net::realtime;
use crate::net::uring::UringIo;
use std::io;

/// How media threads are wished to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ThreadWish {
    /// How they receive and send.
    pub backend: BackendWish,
    /// Whether each keeps to a core of its own.
    pub pin: bool,
    /// Whether they run before all ordinary threads of the machine.
    pub realtime: bool,
}

/// Which backend is wished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BackendWish {
    /// Whatever is best here.
    #[default]
    Auto,
    /// Epoll.
    Epoll,
    /// io_uring, if the kernel lets us.
    IoUring,
}

/// Which backend was got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// [`crate::net::epoll`]
    Epoll,
    /// [`crate::net::uring`]
    IoUring,
}

impl Backend {
    /// The word in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Epoll => "epoll",
            Self::IoUring => "io_uring",
        }
    }
}

/// What was got for one thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footing {
    /// How it receives and sends.
    pub backend: Backend,
    /// The core that it keeps to.
    pub core: Option<usize>,
    /// Whether it runs before all ordinary threads.
    pub realtime: bool,
    /// What was wished and refused, in words.
    pub refused: Vec<String>,
}

impl Footing {
    /// Tries the wished backend with a packet around the loopback.
    ///
    /// Cost: a ring and two sockets, for some 100 µs.
    pub(super) fn choose(wish: BackendWish) -> Self {
        let mut footing =
            Self { backend: Backend::Epoll, core: None, realtime: false, refused: Vec::new() };
        match wish {
            BackendWish::Epoll => {}
            BackendWish::Auto | BackendWish::IoUring => match UringIo::probe() {
                Ok(()) => footing.backend = Backend::IoUring,
                // Where nobody asked for it by name, its absence is no news.
                Err(error) if wish == BackendWish::IoUring => footing.refuse("io_uring", &error),
                Err(_) => {}
            },
        }
        footing
    }

    pub(super) fn refuse(&mut self, what: &str, error: &io::Error) {
        self.refused.push(format!("{what}: {error}"));
    }

    /// Readies the calling thread, which is the `number`th of the pool.
    pub(super) fn take(&mut self, number: usize, wish: ThreadWish) {
        sharpen_timers();
        if wish.pin {
            match realtime::pin(number) {
                Ok(core) => self.core = Some(core),
                Err(error) => self.refuse("pin", &error),
            }
        }
        if wish.realtime {
            match realtime::run_before_others() {
                Ok(()) => self.realtime = true,
                Err(error) => self.refuse("priority", &error),
            }
        }
    }
}
