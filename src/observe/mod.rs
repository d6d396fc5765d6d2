//! What the outside sees of the gateway: log lines, metrics, and words to systemd.
//!
//! ```text
//!  shell ── event::CallEnded { … }.report() ──┬─> trace   (one log line, fields redacted)
//!                                             └─> metrics (one counter or histogram)
//! ```
//!
//! Everything in layer 3 and above may report here; nothing here calls back. Cores do not report:
//! they emit outputs, and their shells turn these into events.

pub mod event;
mod folded;
pub mod metrics;
pub mod notify;
pub mod redact;
pub mod reference;
pub mod trace;
