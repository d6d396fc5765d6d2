//! Sockets: SIP, RTP, and connections to other people's servers. The only place, with the API's
//! listeners, where bytes enter and leave.

pub mod dial;
pub mod dns;
pub mod epoll;
pub mod http;
pub mod ports;
pub mod reach;
pub mod realtime;
pub mod rtp;
pub mod sip;
pub mod tls;
pub mod uring;
pub mod ws;

use std::io::Read;

/// Sleeps until a moment; for ever without one.
pub async fn sleep_until(deadline: Option<std::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// 32 random bytes from the operating system, to seed the cores with.
///
/// # Errors
/// An I/O error when the system has no random source.
pub fn entropy() -> std::io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut seed)?;
    Ok(seed)
}
