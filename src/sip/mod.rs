//! The SIP user agent as pure machines: bytes and `now` in, bytes and events out.
//!
//! ```text
//!  datagram ─> message ─> transaction ─> dialog ─> session ─> Event
//!  Command  ─> session ─> dialog ─> transaction ─> message ─> Transmit
//! ```
//!
//! Owns RFC 3261 from the bytes up to the INVITE usage. Does not own sockets (`net::sip`),
//! session descriptions (`sdp`: bodies pass through as bytes) or what a call means (`call`).

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod auth;
pub mod dialog;
pub mod endpoint;
pub mod interface;
pub mod message;
pub mod registration;
pub mod session;
pub mod stir;
pub mod transaction;
