//! Simulated carrier: whole calls in virtual time over a seeded network.
//!
//! Each module is one behaviour. A failing random history prints its seed; run it again with
//! `BELLWIRE_SIM_SEED=<seed> cargo test --test sim`. `SEEDS=<n>` runs more of them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod carrier;
mod clock;
mod net;
mod pair;
mod robot;
mod standing;
mod watch;
mod world;

mod ack;
mod call_in;
mod call_out;
mod callers_digest;
mod cancel;
mod delayed_offer;
mod dialog_requests;
mod digest;
mod door;
mod early_media;
mod early_offers;
mod failover;
mod failures;
mod flood;
mod forks;
mod identity;
mod outbound;
mod quarantine;
mod races;
mod random_carrier;
mod random_failover;
mod random_histories;
mod reasons;
mod redirect;
mod refer_in;
mod registration;
mod reliable_in;
mod reliable_out;
mod reoffer;
mod reoffer_pair;
mod replaces;
mod routing;
mod session_timer;
mod transfer;
