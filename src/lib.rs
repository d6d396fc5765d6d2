//! Bellwire: a real-time media gateway that gives every phone call a programmable sound.
//!
//! ```text
//!  carrier ══ net::sip ══> sip::Endpoint ──> call::Call <── api (REST, WebSocket)
//!  carrier ══ net::rtp ══> media::Worker ═ rings ═ app (stream, prompt, agent) ── speech
//! ```
//!
//! Layers; a module may use only what stands lower (checked by `tests/tidy.rs`):
//!
//! ```text
//!  5  cli  phone                                          command line, test phone
//!  4  daemon                                              wiring
//!  3  net  media::worker  app  speech  api  store  observe  config   shells and edges
//!  2  sip  media::{leg,jitter,pacer}  call  turn  twiml    pure machines
//!  1  sip::message  sdp  rtp  audio                        pure bytes and samples
//!  0  time  id                                             vocabulary
//! ```
//!
//! Cores (layers 0 to 2) own no socket, clock, lock, task or global random source: `now` and
//! randomness come in as arguments. `docs/ARCHITECTURE.md` is the map.

#![forbid(unsafe_op_in_unsafe_fn)]

pub mod api;
pub mod app;
pub mod audio;
pub mod call;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod id;
pub mod media;
pub mod net;
pub mod observe;
pub mod phone;
pub mod rtp;
pub mod sdp;
pub mod sip;
pub mod speech;
pub mod store;
pub mod time;
pub mod turn;
pub mod twiml;
