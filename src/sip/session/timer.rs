//! Session timers (RFC 4028): what requests ask for, what is granted, who refreshes, and when the
//! session is dead.
//!
//! ```text
//!   peer's request ─> TimerAsk ─ grant ───────┐
//!   2xx to our request ────────── Refresh::of ┴> Refresh ─> due: refresh   expired: BYE
//! ```
//!
//! Does not send anything: `reoffer` sends refreshes, `confirmed` ends the session.

use super::Policy;
use crate::sip::message::{Message, Name};
use std::time::{Duration, Instant};

/// The shortest interval that anybody may ask for, in seconds.
//= RFC 4028 §4: the absolute minimum is 90 seconds
pub(super) const INTERVAL_MIN: u32 = 90;

/// A Min-SE beyond a day is nonsense: such a 422 is a plain refusal.
const INTERVAL_MAX: u32 = 86_400;

/// How often in one session an interval is made longer because of 422.
const LONGER_MAX: u8 = 5;

/// The least time between a refresh that failed and the next one.
const RETRY_MIN: Duration = Duration::from_secs(5);

/// What a request of the peer says about session timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimerAsk {
    seconds: Option<u32>,
    min_se: u32,
    /// The peer wants us to refresh.
    by_us: bool,
    /// The peer knows session timers itself; else a proxy has asked.
    supported: bool,
}

impl TimerAsk {
    pub(super) fn of(message: &Message<'_>) -> Self {
        let supported =
            message.lists(Name::Supported, "timer") || message.lists(Name::Require, "timer");
        let min_se = message.seconds(Name::MinSe).unwrap_or(INTERVAL_MIN);
        let seconds = message.seconds(Name::SessionExpires).ok();
        let by_us = refresher(message) == Some(Side::Uas);
        Self { seconds, min_se: min_se.min(INTERVAL_MAX), by_us, supported }
    }

    /// Why the request is refused with 422: the Min-SE that we insist on.
    //= RFC 4028 §9: a too small interval MAY be rejected with 422, which MUST carry Min-SE, and
    //= only if the request lists timer in Supported
    pub(super) fn refusal(&self) -> Option<(Name, String)> {
        let too_small = self.supported && self.seconds.is_some_and(|s| s < INTERVAL_MIN);
        too_small.then(|| (Name::MinSe, INTERVAL_MIN.to_string()))
    }

    /// The interval that is granted; `None`: no session timer.
    //= RFC 4028 §9: the UAS MUST NOT increase the value, nor set it below Min-SE
    fn interval(&self, policy: &Policy) -> Option<u32> {
        let least = self.min_se.max(INTERVAL_MIN);
        match (self.seconds, wanted(policy)) {
            (Some(asked), _) if asked < INTERVAL_MIN => None,
            (Some(asked), Some(ours)) => Some(asked.min(ours.max(least))),
            (Some(asked), None) => Some(asked),
            (None, ours) => ours.map(|ours| ours.max(least)),
        }
    }

    /// The header fields of our 2xx and the session timer that it starts.
    //= RFC 4028 §9 table 2: a peer without timers: we refresh; else as the request says, and the
    //= choice is ours when it says nothing
    pub(super) fn grant(&self, policy: &Policy, now: Instant) -> (Vec<(Name, String)>, Refresh) {
        let Some(seconds) = self.interval(policy) else { return (Vec::new(), Refresh::Off) };
        let by_us = self.by_us || !self.supported;
        let side = if by_us { "uas" } else { "uac" };
        let mut headers = vec![(Name::SessionExpires, format!("{seconds};refresher={side}"))];
        //= RFC 4028 §9: Require with timer when the UAC refreshes, and when it supports timers
        if self.supported {
            headers.insert(0, (Name::Require, "timer".to_owned()));
        }
        (headers, if by_us { Refresh::ours(seconds, now) } else { Refresh::theirs(seconds, now) })
    }
}

/// The session timer that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refresh {
    /// None.
    Off,
    /// We refresh.
    Ours {
        seconds: u32,
        /// When the next refresh is due; `None` while one is under way.
        at: Option<Instant>,
        /// The end, unless a refresh succeeds; `None` when the peer has agreed to nothing.
        until: Option<Instant>,
    },
    /// The peer refreshes.
    Theirs { seconds: u32, until: Instant },
}

impl Refresh {
    //= RFC 4028 §10: refreshes SHOULD be sent when half of the interval has elapsed
    fn ours(seconds: u32, now: Instant) -> Self {
        Self::Ours { seconds, at: Some(now + half(seconds)), until: Some(end(seconds, now)) }
    }

    fn theirs(seconds: u32, now: Instant) -> Self {
        Self::Theirs { seconds, until: end(seconds, now) }
    }

    /// The one that a 2xx to our request leaves behind, in place of `self`.
    //= RFC 4028 §7.2: without Session-Expires in the 2xx there is no expiration, and we MAY
    //= refresh all the same
    pub(super) fn of(self, answer: &Message<'_>, policy: &Policy, now: Instant) -> Self {
        if let Ok(seconds) = answer.seconds(Name::SessionExpires) {
            // Below 90 nothing is legal, and refreshing that often would be a flood.
            let seconds = seconds.max(INTERVAL_MIN);
            return match refresher(answer) {
                Some(Side::Uas) => Self::theirs(seconds, now),
                Some(Side::Uac) | None => Self::ours(seconds, now),
            };
        }
        let ours = match self {
            Self::Ours { seconds, .. } => Some(seconds),
            Self::Off | Self::Theirs { .. } => wanted(policy),
        };
        ours.map_or(Self::Off, |seconds| Self::Ours {
            seconds,
            at: Some(now + half(seconds)),
            until: None,
        })
    }

    /// The header fields of a re-INVITE or UPDATE of ours, which refreshes too.
    //= RFC 4028 §7.4: a refresh SHOULD carry Session-Expires and name the refresher of now
    pub(super) fn headers(&self, min_se: u32) -> Vec<(String, String)> {
        let (seconds, side) = match self {
            Self::Off => return ask((min_se > INTERVAL_MIN).then_some(min_se), min_se),
            Self::Ours { seconds, .. } => (*seconds, "uac"),
            Self::Theirs { seconds, .. } => (*seconds, "uas"),
        };
        let seconds = seconds.max(min_se);
        let mut headers = ask(Some(seconds), min_se);
        for (name, value) in &mut headers {
            if name == Name::SessionExpires.as_str() {
                *value = format!("{seconds};refresher={side}");
            }
        }
        headers
    }

    /// Whether we are to refresh.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        match self {
            Self::Ours { at, .. } => at.is_some_and(|at| now >= at),
            Self::Off | Self::Theirs { .. } => false,
        }
    }

    /// Whether a refresh that has waited is still ours to send: the peer may have refreshed since.
    pub(super) fn is_wanted(&self, now: Instant) -> bool {
        match self {
            Self::Ours { at, .. } => at.is_none_or(|at| now >= at),
            Self::Off | Self::Theirs { .. } => false,
        }
    }

    /// Whether the session is dead.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        match self {
            Self::Ours { until, .. } => until.is_some_and(|until| now >= until),
            Self::Theirs { until, .. } => now >= *until,
            Self::Off => false,
        }
    }

    /// A refresh of ours is out.
    pub(super) fn sent(&mut self) {
        match self {
            Self::Ours { at, .. } => *at = None,
            Self::Off | Self::Theirs { .. } => {}
        }
    }

    /// The refresh that was out has failed: the next one follows half-way to the end.
    //= RFC 4028 §10: a refusal other than 408 or 481: retry if possible, not continuously
    pub(super) fn failed(&mut self, now: Instant) {
        match self {
            Self::Ours { seconds, at: at @ None, until } => {
                let left =
                    until.map_or(half(*seconds), |end| end.saturating_duration_since(now) / 2);
                *at = Some(now + left.max(RETRY_MIN));
            }
            Self::Ours { .. } | Self::Off | Self::Theirs { .. } => {}
        }
    }

    /// `free`: a refresh that is due could be sent.
    pub(super) fn deadline(&self, free: bool) -> Option<(Instant, &'static str)> {
        match self {
            Self::Off => None,
            Self::Ours { at, until, .. } => {
                let at = at.filter(|_| free).map(|at| (at, "session_refresh"));
                at.into_iter().chain(until.map(|until| (until, "session_expiry"))).min()
            }
            Self::Theirs { until, .. } => Some((*until, "session_expiry")),
        }
    }
}

/// The header fields of the first INVITE.
//= RFC 4028 §7.1: a UAC that supports timers MUST list them in Supported of the INVITE
#[must_use]
pub fn first_timer_headers(policy: &Policy) -> Vec<(String, String)> {
    ask(wanted(policy), INTERVAL_MIN)
}

/// Why an INVITE is refused with 422: the header fields of that refusal.
#[must_use]
pub fn interval_refusal(invite: &Message<'_>) -> Option<Vec<(Name, String)>> {
    TimerAsk::of(invite).refusal().map(|min_se| vec![min_se])
}

/// What a 422 demands, as header fields for the next try; files it. `None`: it is a refusal.
//= RFC 4028 §7.3: retry with an interval of at least the Min-SE of the 422, and with the largest
//= Min-SE that was seen in this call
pub(super) fn longer(
    refusal: &Message<'_>,
    policy: &Policy,
    (min_se, count): (&mut u32, &mut u8),
) -> Option<Vec<(String, String)>> {
    let demanded = refusal.seconds(Name::MinSe).ok()?;
    // One that is no larger was obeyed already: the peer does not mean what it says.
    if demanded <= *min_se || demanded > INTERVAL_MAX || *count >= LONGER_MAX {
        return None;
    }
    *min_se = demanded;
    *count += 1;
    let seconds = wanted(policy).unwrap_or(0).max(demanded);
    Some(ask(Some(seconds), demanded).into_iter().skip(1).collect())
}

/// Supported, then Session-Expires and Min-SE where they are needed.
fn ask(seconds: Option<u32>, min_se: u32) -> Vec<(String, String)> {
    let name = |name: Name| name.as_str().to_owned();
    let mut headers = vec![(name(Name::Supported), "timer".to_owned())];
    headers.extend(seconds.map(|seconds| (name(Name::SessionExpires), seconds.to_string())));
    if min_se > INTERVAL_MIN {
        headers.push((name(Name::MinSe), min_se.to_string()));
    }
    headers
}

fn wanted(policy: &Policy) -> Option<u32> {
    let seconds = policy.session_timer?.as_secs();
    Some(u32::try_from(seconds).unwrap_or(INTERVAL_MAX).clamp(INTERVAL_MIN, INTERVAL_MAX))
}

fn half(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds)) / 2
}

/// When the session is dead if no refresh comes.
//= RFC 4028 §10: BYE the lesser of 32 seconds and a third of the interval before its end
fn end(seconds: u32, now: Instant) -> Instant {
    let seconds = u64::from(seconds);
    now + Duration::from_secs(seconds - (seconds / 3).min(32))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Uac,
    Uas,
}

fn refresher(message: &Message<'_>) -> Option<Side> {
    let value = message.header(Name::SessionExpires)?;
    let (_, params) = value.split_once(';')?;
    let side = params.split(';').find_map(|param| {
        let (name, value) = param.split_once('=')?;
        name.trim().eq_ignore_ascii_case("refresher").then(|| value.trim())
    })?;
    if side.eq_ignore_ascii_case("uas") {
        Some(Side::Uas)
    } else {
        side.eq_ignore_ascii_case("uac").then_some(Side::Uac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "tests need some origin of time")]
        Instant::now()
    }

    fn policy(seconds: Option<u64>) -> Policy {
        let session_timer = seconds.map(Duration::from_secs);
        Policy { session_timer, ..Policy::plain(Duration::from_millis(500)) }
    }

    fn read<T>(start: &str, headers: &str, of: impl Fn(&Message<'_>) -> T) -> T {
        of(&Message::parse(format!("{start}\r\n{headers}\r\n").as_bytes()).unwrap())
    }

    #[test]
    fn interval_and_refresher_are_granted_as_the_table_says() {
        let supported = "Supported: timer\r\n";
        // What the request says, what we want, what the 2xx says.
        let cases = [
            (String::new(), None, None),
            (supported.to_owned(), None, None),
            (supported.to_owned(), Some(600), Some("600;refresher=uac")),
            (String::new(), Some(600), Some("600;refresher=uas")),
            (String::new(), Some(5), Some("90;refresher=uas")),
            ("x: 1800\r\n".to_owned(), None, Some("1800;refresher=uas")),
            ("x: 1800;refresher=uac\r\n".to_owned(), None, Some("1800;refresher=uas")),
            ("x: 30\r\n".to_owned(), Some(600), None),
            (format!("{supported}x: 1800\r\n"), None, Some("1800;refresher=uac")),
            (format!("{supported}x: 1800;refresher=uac\r\n"), None, Some("1800;refresher=uac")),
            (format!("{supported}x: 1800;Refresher=UAS\r\n"), None, Some("1800;refresher=uas")),
            (format!("{supported}x: 1800\r\n"), Some(600), Some("600;refresher=uac")),
            (format!("{supported}x: 300\r\n"), Some(600), Some("300;refresher=uac")),
            (
                format!("{supported}x: 1800\r\nMin-SE: 900\r\n"),
                Some(600),
                Some("900;refresher=uac"),
            ),
            (format!("{supported}Min-SE: 900\r\n"), Some(600), Some("900;refresher=uac")),
        ];
        for (headers, ours, want) in cases {
            let ask = read("INVITE sip:a@b SIP/2.0", &headers, TimerAsk::of);
            let (given, refresh) = ask.grant(&policy(ours), origin());
            let value = |name| given.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_str());
            assert_eq!(value(Name::SessionExpires), want, "{headers} {ours:?}");
            let required = want.is_some() && headers.contains("Supported");
            assert_eq!(value(Name::Require).is_some(), required, "{headers} {ours:?}");
            assert_eq!(matches!(refresh, Refresh::Off), want.is_none());
            let by_us = want.is_some_and(|want| want.ends_with("uas"));
            assert_eq!(matches!(refresh, Refresh::Ours { .. }), by_us, "{headers}");
        }
    }

    #[test]
    fn answer_sets_what_runs() {
        let now = origin();
        let ours = Refresh::ours(600, now);
        let after = |headers: &str, ours_wanted, was: Refresh| {
            read("SIP/2.0 200 OK", headers, |m| was.of(m, &policy(ours_wanted), now))
        };
        let watched =
            |seconds| Refresh::Ours { seconds, at: Some(now + half(seconds)), until: None };
        let cases = [
            ("", None, Refresh::Off, Refresh::Off),
            ("", Some(1800), Refresh::Off, watched(1800)),
            ("", None, ours, watched(600)),
            ("", None, Refresh::theirs(600, now), Refresh::Off),
            ("x: 1800;refresher=uac\r\n", None, Refresh::Off, Refresh::ours(1800, now)),
            ("x: 1800;refresher=uas\r\n", None, ours, Refresh::theirs(1800, now)),
            ("x: 1800\r\n", None, Refresh::Off, Refresh::ours(1800, now)),
            ("x: 0;refresher=uac\r\n", None, Refresh::Off, Refresh::ours(90, now)),
            ("x: 99999999999;refresher=uas\r\n", None, ours, Refresh::theirs(u32::MAX, now)),
            ("x: soon\r\n", None, Refresh::Off, Refresh::Off),
        ];
        for (headers, wanted, was, want) in cases {
            assert_eq!(after(headers, wanted, was), want, "{headers:?} {wanted:?} {was:?}");
        }
    }

    #[test]
    fn session_dies_32_seconds_or_a_third_early() {
        let now = origin();
        for (seconds, end) in [(90, 60), (96, 64), (99, 67), (1800, 1768)] {
            let Refresh::Theirs { until, .. } = Refresh::theirs(seconds, now) else { panic!() };
            assert_eq!(until, now + Duration::from_secs(end), "{seconds}");
        }
    }

    #[test]
    fn failed_refreshes_come_ever_closer_but_never_as_a_flood() {
        let now = origin();
        let mut refresh = Refresh::ours(1800, now);
        let mut at = now + Duration::from_secs(900);
        let mut tries = 0;
        while !refresh.is_over(at) {
            assert!(refresh.is_due(at) && refresh.is_wanted(at));
            refresh.sent();
            assert!(!refresh.is_due(at) && refresh.is_wanted(at));
            refresh.failed(at);
            let (next, _) = refresh.deadline(true).unwrap();
            assert!(next >= at + RETRY_MIN || refresh.is_over(next));
            (at, tries) = (next, tries + 1);
        }
        assert!(tries < 20, "{tries}");
    }
}
