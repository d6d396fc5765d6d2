//! Sockets: what the cores must not own.

pub mod epoll;
pub mod ports;
pub mod rtp;
