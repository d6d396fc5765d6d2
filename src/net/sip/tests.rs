//! Two SIP tasks, or one and a raw peer, over loopback.

mod abuse;
mod calls;
mod peers;
mod rig;
mod timing;
