//! Session timers (RFC 4028): what a request asks for, what is granted, and when the session is
//! dead. Does not send refreshes: `confirmed` does.

use crate::sip::message::{Message, Name};
use std::time::{Duration, Instant};

/// The session timer that a request asks for and that the peer itself will keep alive.
///
/// A request that wants *us* to refresh is treated as if we knew no session timers (RFC 4028 §9
/// allows it): the peer then refreshes by itself or goes without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SessionTimer {
    seconds: u32,
}

impl SessionTimer {
    pub(super) fn asked_by(message: &Message<'_>) -> Option<Self> {
        let supported =
            message.lists(Name::Supported, "timer") || message.lists(Name::Require, "timer");
        let seconds = message.seconds(Name::SessionExpires).ok()?;
        let ours = refresher(message).is_some_and(|side| side.eq_ignore_ascii_case("uas"));
        (supported && !ours && seconds > 0).then_some(Self { seconds })
    }

    /// The one that a 2xx to our request sets, if the peer refreshes.
    pub(super) fn granted_by(message: &Message<'_>) -> Option<Self> {
        let seconds = message.seconds(Name::SessionExpires).ok()?;
        let theirs = refresher(message).is_some_and(|side| side.eq_ignore_ascii_case("uas"));
        (theirs && seconds > 0).then_some(Self { seconds })
    }

    //= RFC 4028 §9: Session-Expires with the refresher, and Require when it is the UAC
    pub(super) fn headers(timer: Option<Self>) -> Vec<(Name, String)> {
        let Some(Self { seconds }) = timer else { return Vec::new() };
        vec![
            (Name::Require, "timer".to_owned()),
            (Name::SessionExpires, format!("{seconds};refresher=uac")),
        ]
    }

    /// When the session is dead if no refresh comes.
    //= RFC 4028 §10: BYE the lesser of 32 seconds and a third of the interval before its end
    pub(super) fn expiry(timer: Option<Self>, now: Instant) -> Option<Instant> {
        let seconds = u64::from(timer?.seconds);
        Some(now + Duration::from_secs(seconds - (seconds / 3).min(32)))
    }
}

fn refresher<'a>(message: &Message<'a>) -> Option<&'a str> {
    let value = message.header(Name::SessionExpires)?;
    let (_, params) = value.split_once(';')?;
    params.split(';').find_map(|param| {
        let (name, value) = param.split_once('=')?;
        name.trim().eq_ignore_ascii_case("refresher").then(|| value.trim())
    })
}
