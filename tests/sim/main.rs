//! Simulated carrier: whole calls in virtual time over a seeded network.
//!
//! Each module is one behaviour. A failing random history prints its seed; run it again with
//! `BELLWIRE_SIM_SEED=<seed> cargo test --test sim`. `SEEDS=<n>` runs more of them.

mod carrier;
mod clock;
mod net;
mod world;

mod call_in;
mod call_out;
mod cancel;
