//! Who runs on which core: what is measured on the first, everything else on the second.
//!
//! On a machine with one core nobody is bound, and the figures are of both together.

use bellwire::net::realtime;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Binds this program to its core; the words that start another program on the other one.
///
/// To be called before any thread is started, for threads stay where their maker is.
pub fn divide() -> Vec<String> {
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        return Vec::new();
    }
    // Each asks for a core of its own on a thread of its own, so that the second still has a choice.
    let server = std::thread::spawn(|| realtime::pin(0)).join();
    match (server, realtime::pin(1)) {
        (Ok(Ok(core)), Ok(_)) => ["taskset", "-c", &core.to_string()].map(String::from).to_vec(),
        _ => Vec::new(),
    }
}

/// A thread that does nothing, as fast as it can, until it is dropped.
pub struct BusyLoop(Arc<AtomicBool>);

impl BusyLoop {
    pub fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        std::thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
        Self(stop)
    }
}

impl Drop for BusyLoop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
