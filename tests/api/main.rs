//! The REST interface from outside: requests go through the whole router in process; a small loop
//! stands where the daemon would be.

mod access;
mod calls;
mod errors;
mod hostile;
mod lines;
mod rig;
mod server;
