//! The face to the API's users: REST and the WebSocket stream.
//!
//! Owns HTTP, JSON shapes, keys and problem bodies. Does not know SIP, RTP or the call machine:
//! everything that touches a call goes through [`gateway::Gateway`].

pub mod auth;
mod console;
pub mod error;
pub mod fresh;
pub mod gateway;
pub mod limit;
pub mod reference;
pub mod rest;
pub mod stamp;
pub mod stream;
pub mod tickets;
pub mod types;
