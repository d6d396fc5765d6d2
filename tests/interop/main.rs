//! The gateway among strangers: Kamailio as proxy and registrar, baresip or Linphone as the phone
//! behind it.
//!
//! ```text
//!  bellwire ═ SIP, TLS ═ kamailio (127.0.0.2) ══ SIP ══ baresip or linphonec
//!      ╚═══════════════════ RTP, SRTP ═══════════════════╝
//! ```
//!
//! All are Debian's packages, with stacks of their own (Kamailio; libre and librem; belle-sip, oRTP
//! and libsrtp), and none knows what we meant. Each test starts both, and ends both by their process ids. Without the
//! programs the tests pass and say SKIPPED. A test takes some seconds, all of them less than 60.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a test that cannot go on must stop, and its sounds are short"
)]
#![allow(
    dead_code,
    reason = "the rig and the client are shared with tests/daemon, and it uses all"
)]

mod baresip;
#[path = "../daemon/client.rs"]
mod client;
mod linphone;
mod programs;
#[path = "../daemon/rig.rs"]
mod rig;

mod calls;
mod codecs;
mod ours;
mod secure;
mod strangers;
