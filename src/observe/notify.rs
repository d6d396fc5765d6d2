//! The door to `sd-notify`: what systemd is told.
//!
//! Owns the words of `sd_notify(3)`. Whether the gateway is well is not decided here: the watchdog
//! is fed only by the daemon's self-check. Without systemd every call does nothing.

use sd_notify::NotifyState;
use std::time::Duration;

/// Tells that sockets, store and configuration are good and calls are taken.
pub fn ready() {
    send(&NotifyState::Ready);
}

/// Sets the line that `systemctl status` shows.
pub fn status(text: &str) {
    send(&NotifyState::Status(text.lines().next().unwrap_or_default()));
}

/// Feeds the watchdog; call it only behind a passed self-check.
pub fn watchdog() {
    send(&NotifyState::Watchdog);
}

/// Tells that the gateway is going down.
pub fn stopping() {
    send(&NotifyState::Stopping);
}

/// Asks for more time while calls are drained.
pub fn extend(time: Duration) {
    let micros = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
    send(&NotifyState::ExtendTimeoutUsec(micros));
}

/// How often to feed the watchdog: half of what systemd waits. `None`: nobody watches.
#[must_use]
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}

fn send(state: &NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(std::slice::from_ref(state)) {
        tracing::debug!(%error, "systemd did not take a notification");
    }
}
