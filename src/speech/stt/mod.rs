//! Speech to text: one task per transcribed call, any of several engines behind one trait.
//!
//! ```text
//!  application leg ── SttInput (bounded, never waits) ──> task { engine } ──> SttEvent
//! ```
//!
//! A dead or slow engine costs transcripts, never media: pushing drops (counted) when the queue
//! is full.

mod interface;

pub use interface::{SttEvent, SttRequest, SttUnavailable, Transcript, Word};
