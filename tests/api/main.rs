//! The REST interface from outside: requests go through the whole router in process; a small loop
//! stands where the daemon would be.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod access;
mod calls;
mod compat;
mod control;
mod docs;
mod errors;
mod hostile;
mod lines;
mod recordings;
mod rig;
mod server;
