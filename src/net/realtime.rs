//! What a media thread asks of the scheduler: one core for good, and to run before other programs.
//!
//! Both are wishes. A container, or a missing capability, refuses them; then everything goes on as it
//! would without. Acts on the calling thread only. Does not decide who should ask.

#![expect(unsafe_code, reason = "SCHED_FIFO has no safe wrapper")]

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::io;

/// Above all ordinary work, and below what the kernel does in real time itself (50).
const PRIORITY: libc::c_int = 10;

/// Keeps the calling thread on one core: the `number`th, counted around, of those it may use.
///
/// Returns the core's number. Threads that it starts later stay there too.
///
/// # Errors
/// What the system said.
pub fn pin(number: usize) -> io::Result<usize> {
    let allowed = sched_getaffinity(None)?;
    let cores = usize::try_from(allowed.count()).unwrap_or(0);
    let nth = number.checked_rem(cores).ok_or(io::ErrorKind::NotFound)?;
    let mut free = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
    let core = free.nth(nth).ok_or(io::ErrorKind::NotFound)?;
    let mut only = CpuSet::new();
    only.set(core);
    sched_setaffinity(None, &only)?;
    Ok(core)
}

/// Runs the calling thread in real time (`SCHED_FIFO`): it waits for no ordinary thread any more.
///
/// # Errors
/// What the system said: it takes CAP_SYS_NICE, or a limit of real-time priority (`LimitRTPRIO`).
pub fn run_before_others() -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: PRIORITY };
    // What this thread starts is not to inherit it.
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    // SAFETY: 0 is the calling thread, and the parameters live until the call returns.
    let result = unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_has_one_core_and_numbers_go_around() {
        let pinned = std::thread::spawn(|| {
            let first = pin(0).unwrap();
            let allowed = sched_getaffinity(None).unwrap();
            assert_eq!((allowed.count(), allowed.is_set(first)), (1, true));
            // Of one core every number is the first.
            assert_eq!(pin(7).unwrap(), first);
        });
        pinned.join().unwrap();
    }

    #[test]
    fn priority_is_had_or_refused_with_a_reason() {
        let asked = std::thread::spawn(|| match run_before_others() {
            Ok(()) => {
                // SAFETY: 0 is the calling thread.
                let policy = unsafe { libc::sched_getscheduler(0) };
                assert_eq!(policy & !libc::SCHED_RESET_ON_FORK, libc::SCHED_FIFO);
            }
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::PermissionDenied),
        });
        asked.join().unwrap();
    }
}
