//! The parts of `make sound` that tests use too: speech, paths, receivers, the scorer.

#![allow(
    dead_code,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "the report uses the rest, and its sounds are small"
)]

#[path = "../../examples/sound/appendix.rs"]
pub mod appendix;
#[path = "../../examples/sound/material.rs"]
pub mod material;
#[path = "../../examples/sound/naive.rs"]
pub mod naive;
#[path = "../../examples/sound/network.rs"]
pub mod network;
#[path = "../../examples/sound/receiver.rs"]
pub mod receiver;
#[path = "../../examples/sound/score.rs"]
pub mod score;
