//! Wiring.

mod call_driver;
mod inbound;
mod parts;
mod setup;
mod switchboard;

/// A fresh, time-ordered call id.
pub(crate) fn new_call_id() -> crate::id::CallId {
    todo!()
}

/// Open file descriptors of this process; 0 where the system does not tell.
fn open_descriptors() -> u64 {
    std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64)
}
