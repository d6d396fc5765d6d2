//! The media path: RTP legs on their own threads, between the carrier and the two rings.
//!
//! ```text
//!  socket ─> rtp ─> jitter ─> codec/concealment ─> capture ring ─> app
//!  socket <─ rtp <─ pacer  <─ codec <─ gain     <─ playout ring <─ app
//! ```
//!
//! `leg`, `jitter` and `pacer` are pure; `worker` is the thread that drives them. Nothing is
//! shared with the application side but the rings, relaxed counters and bounded queues.

pub mod background;
pub mod bounded;
mod bucket;
pub mod codecs;
pub mod fade;
pub mod interface;
pub mod jitter;
pub mod ledger;
pub mod leg;
pub mod level;
pub mod monitor;
pub mod pace;
pub mod pacer;
pub mod playout;
pub mod quality;
pub mod receive;
pub mod report;
pub mod ring;
pub mod secure;
pub mod silence;
pub mod stats;
pub mod tone;
pub mod wheel;
pub mod worker;
