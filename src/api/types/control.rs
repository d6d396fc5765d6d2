//! The bodies of what is asked of a call in its middle: transfer, bridge, reject, dtmf, mute.

use super::create::{headers, sip_uri};
use super::fields::{Faults, Object, clip, parse};
use crate::api::error::{Code, Problem};
use crate::audio::progress::{Plan, Signal, Tone};
use crate::call::control::{
    BridgeWish, DtmfMethod, DtmfWish, MuteDirection, OnPeerHangup, PARTY_RINGS, TransferWish, Wish,
};
use crate::call::record::TransferMode;
use crate::call::target::{is_e164, is_sip};
use crate::id::CallId;
use serde_json::Map;
use std::time::Duration;

/// Digits of one request.
const DIGITS_MAX: usize = 128;
/// Longest reason phrase, in characters.
const PHRASE_MAX: usize = 64;

/// A transfer as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferBody {
    /// What is wished.
    pub wish: TransferWish,
    /// The target is a SIP URI, which takes a scope of its own.
    pub is_sip: bool,
}

/// A body without any field; none at all is the same.
///
/// # Errors
/// The problem that names every wrong place.
pub fn parse_nothing(bytes: &[u8], strict: bool) -> Result<(), Problem> {
    let body = if bytes.is_empty() { Map::new() } else { parse(bytes)? };
    let mut faults = Faults::default();
    Object::new("", &body).finish(&mut faults, strict);
    faults.into_result()
}

/// `{to, mode, replacesCallId, headers, timeout, onPeerHangup}`.
///
/// # Errors
/// The problem that names every wrong place.
pub fn parse_transfer(bytes: &[u8], strict: bool) -> Result<TransferBody, Problem> {
    let body = parse(bytes)?;
    let mut faults = Faults::default();
    let mut read = Object::new("", &body);
    let to = target(&mut read, &mut faults);
    let mode = mode(&mut read, &mut faults);
    let replaces = call_id(&mut read, &mut faults, "replacesCallId");
    match (mode, read.has("replacesCallId")) {
        (TransferMode::Attended, false) => {
            faults.missing("/replacesCallId", "mode attended needs replacesCallId");
        }
        (TransferMode::Blind | TransferMode::Bridge | TransferMode::Referred, true) => {
            let detail = "replacesCallId is for mode attended";
            faults.add(Code::InvalidRequest, "/replacesCallId", "exclusive", detail);
        }
        (TransferMode::Attended, true) | (_, false) => {}
    }
    let headers = headers(&mut read, &mut faults);
    let timeout = ring(&mut read, &mut faults);
    let on_peer_hangup = policy(&mut read, &mut faults, OnPeerHangup::Hangup);
    read.finish(&mut faults, strict);
    faults.into_result()?;
    let (to, is_sip) = to.unwrap_or_default();
    let wish = TransferWish { to, from: None, mode, replaces, headers, timeout, on_peer_hangup };
    Ok(TransferBody { wish, is_sip })
}

/// `{callId, onPeerHangup}`.
///
/// # Errors
/// The problem that names every wrong place.
pub fn parse_bridge(bytes: &[u8], strict: bool) -> Result<BridgeWish, Problem> {
    let body = parse(bytes)?;
    let mut faults = Faults::default();
    let mut read = Object::new("", &body);
    if !read.has("callId") {
        faults.missing("/callId", "callId is required: the call to be joined with");
    }
    let with = call_id(&mut read, &mut faults, "callId");
    let on_peer_hangup = policy(&mut read, &mut faults, OnPeerHangup::Continue);
    read.finish(&mut faults, strict);
    faults.into_result()?;
    let with = with.ok_or_else(|| Problem::internal("a bridge without a call"))?;
    Ok(BridgeWish { with, on_peer_hangup })
}

/// `{sipCode, reason}`; none at all is 603.
///
/// # Errors
/// The problem that names every wrong place.
pub fn parse_reject(bytes: &[u8], strict: bool) -> Result<Wish, Problem> {
    let body = if bytes.is_empty() { Map::new() } else { parse(bytes)? };
    let mut faults = Faults::default();
    let mut read = Object::new("", &body);
    let code = read.integer(&mut faults, "sipCode", 400..=699).unwrap_or(603);
    let reason = read.text(&mut faults, "reason", Code::InvalidRequest).unwrap_or_default();
    if reason.chars().count() > PHRASE_MAX || reason.chars().any(char::is_control) {
        let detail = format!("reason must be one line of at most {PHRASE_MAX} characters");
        faults.add(Code::InvalidRequest, "/reason", "length", detail);
    }
    read.finish(&mut faults, strict);
    faults.into_result()?;
    let code = u16::try_from(code).unwrap_or(603);
    Ok(Wish::Reject { code, reason: reason.to_owned() })
}

/// `{tone, country}`; none at all is early media without a tone of ours.
///
/// # Errors
/// The problem that names every wrong place.
pub fn parse_early_media(bytes: &[u8], strict: bool) -> Result<Wish, Problem> {
    let body = if bytes.is_empty() { Map::new() } else { parse(bytes)? };
    let mut faults = Faults::default();
    let mut read = Object::new("", &body);
    let name = read.text(&mut faults, "tone", Code::InvalidRequest);
    let signal = name.and_then(Signal::by_name);
    if name.is_some_and(|name| signal.is_none() && name != "none") {
        let detail = "tone must be ringback, busy, reorder, sit, dial or none";
        faults.add(Code::InvalidRequest, "/tone", "enum", detail);
    }
    let plan = country(&mut read, &mut faults, "country").unwrap_or(Plan::America);
    read.finish(&mut faults, strict);
    faults.into_result()?;
    Ok(Wish::EarlyMedia(signal.map(|signal| Tone { signal, plan })))
}

/// Whose tones: `us` or `eu`.
pub(super) fn country(
    read: &mut Object<'_>,
    faults: &mut Faults,
    field: &'static str,
) -> Option<Plan> {
    let name = read.text(faults, field, Code::InvalidRequest)?;
    let plan = Plan::by_name(name);
    if plan.is_none() {
        let detail = format!("{field} must be us or eu");
        faults.add(Code::InvalidRequest, read.at(field), "enum", detail);
    }
    plan
}

/// `{digits, method, durationMs, gapMs}`.
///
/// # Errors
/// The problem that names every wrong place.
pub fn parse_dtmf(bytes: &[u8], strict: bool) -> Result<Wish, Problem> {
    let body = parse(bytes)?;
    let mut faults = Faults::default();
    let mut read = Object::new("", &body);
    if !read.has("digits") {
        faults.missing("/digits", "digits is required");
    }
    let digits = read.text(&mut faults, "digits", Code::InvalidRequest).unwrap_or_default();
    let digits = digits.to_ascii_uppercase();
    let good = |digit: u8| matches!(digit, b'0'..=b'9' | b'A'..=b'D' | b'*' | b'#');
    let fits = (1..=DIGITS_MAX).contains(&digits.len()) && digits.bytes().all(good);
    if read.has("digits") && !fits {
        let detail = format!("digits must be 1 to {DIGITS_MAX} of 0-9, *, #, A-D");
        faults.add(Code::InvalidRequest, "/digits", "pattern", detail);
    }
    let method = method(&mut read, &mut faults);
    let duration_ms = read.integer(&mut faults, "durationMs", 40..=5000).map(u64::from);
    let gap_ms = read.integer(&mut faults, "gapMs", 20..=5000).map(u64::from);
    read.finish(&mut faults, strict);
    faults.into_result()?;
    Ok(Wish::Dtmf(DtmfWish { digits, method, duration_ms, gap_ms }))
}

/// `{direction}` of a mute (`on`) or unmute; none at all is `playout`.
///
/// # Errors
/// The problem that names every wrong place.
pub fn parse_mute(bytes: &[u8], strict: bool, on: bool) -> Result<Wish, Problem> {
    let body = if bytes.is_empty() { Map::new() } else { parse(bytes)? };
    let mut faults = Faults::default();
    let mut read = Object::new("", &body);
    let name = read.text(&mut faults, "direction", Code::InvalidRequest);
    let direction = name.map_or(Some(MuteDirection::default()), MuteDirection::by_name);
    if direction.is_none() {
        let detail = "direction must be playout, capture or both";
        faults.add(Code::InvalidRequest, "/direction", "enum", detail);
    }
    read.finish(&mut faults, strict);
    faults.into_result()?;
    Ok(Wish::Mute(on, direction.unwrap_or_default()))
}

/// `to`: a number or SIP URI, and which it is.
pub(super) fn target(read: &mut Object<'_>, faults: &mut Faults) -> Option<(String, bool)> {
    if !read.has("to") {
        faults.missing("/to", "to is required: a number or a SIP URI");
    }
    let to = read.text(faults, "to", Code::InvalidRequest)?;
    if is_sip(to) {
        return Some((sip_uri(to, "/to", faults)?, true));
    }
    if is_e164(to) {
        return Some((to.to_owned(), false));
    }
    let detail = "to must be E.164, such as +14155550123, or a SIP URI";
    faults.add(Code::InvalidPhoneNumber, "/to", "pattern", detail);
    None
}

/// `timeout`: how long the party may ring.
pub(super) fn ring(read: &mut Object<'_>, faults: &mut Faults) -> Duration {
    let asked = read.integer(faults, "timeout", 5..=180);
    asked.map_or(PARTY_RINGS, |seconds| Duration::from_secs(u64::from(seconds)))
}

fn mode(read: &mut Object<'_>, faults: &mut Faults) -> TransferMode {
    let name = read.text(faults, "mode", Code::InvalidRequest);
    let mode = name.map_or(Some(TransferMode::Blind), TransferMode::by_name);
    if mode.is_none() {
        let detail = "mode must be blind, attended or bridge";
        faults.add(Code::InvalidRequest, "/mode", "enum", detail);
    }
    mode.unwrap_or(TransferMode::Blind)
}

fn method(read: &mut Object<'_>, faults: &mut Faults) -> DtmfMethod {
    match read.text(faults, "method", Code::InvalidRequest) {
        None | Some("auto") => DtmfMethod::Auto,
        Some("rfc4733") => DtmfMethod::Rfc4733,
        Some("info") => DtmfMethod::Info,
        Some("inband") => DtmfMethod::Inband,
        Some(_) => {
            let detail = "method must be auto, rfc4733, info or inband";
            faults.add(Code::InvalidRequest, "/method", "enum", detail);
            DtmfMethod::Auto
        }
    }
}

fn policy(read: &mut Object<'_>, faults: &mut Faults, usual: OnPeerHangup) -> OnPeerHangup {
    match read.text(faults, "onPeerHangup", Code::InvalidRequest) {
        None => usual,
        Some("hangup") => OnPeerHangup::Hangup,
        Some("continue") => OnPeerHangup::Continue,
        Some(_) => {
            let detail = "onPeerHangup must be hangup or continue";
            faults.add(Code::InvalidRequest, "/onPeerHangup", "enum", detail);
            usual
        }
    }
}

fn call_id(read: &mut Object<'_>, faults: &mut Faults, name: &'static str) -> Option<CallId> {
    let text = read.text(faults, name, Code::InvalidRequest)?;
    let id = text.parse();
    if id.is_err() {
        let detail = format!("{:?} is not the id of a call (call_…)", clip(text));
        faults.add(Code::InvalidRequest, read.at(name), "pattern", detail);
    }
    id.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(problem: &Problem) -> Vec<(&str, &str)> {
        problem.errors.iter().map(|error| (error.pointer.as_str(), error.code)).collect()
    }

    #[test]
    fn early_media_may_have_a_tone() {
        let tone = |signal, plan| Ok(Wish::EarlyMedia(Some(Tone { signal, plan })));
        for (body, wanted) in [
            ("", Ok(Wish::EarlyMedia(None))),
            (r#"{"tone": "none"}"#, Ok(Wish::EarlyMedia(None))),
            (r#"{"tone": "ringback"}"#, tone(Signal::Ringback, Plan::America)),
            (r#"{"tone": "busy", "country": "eu"}"#, tone(Signal::Busy, Plan::Europe)),
            (r#"{"tone": "song"}"#, Err("/tone")),
            (r#"{"tone": "busy", "country": "xx"}"#, Err("/country")),
        ] {
            let read = parse_early_media(body.as_bytes(), true);
            let place = |problem: Problem| problem.errors[0].pointer.clone();
            assert_eq!(read.map_err(place), wanted.map_err(str::to_owned), "{body}");
        }
    }

    #[test]
    fn a_transfer_says_whom_and_how() {
        let body = br#"{"to": "+14155550123"}"#;
        let read = parse_transfer(body, true).unwrap();
        assert_eq!((read.wish.mode, read.is_sip), (TransferMode::Blind, false));
        assert_eq!(read.wish.timeout, Duration::from_secs(45));
        let body = br#"{"to": "sip:desk@pbx.example", "mode": "attended",
            "replaces_call_id": "call_2", "headers": {"X-Ref": "1"}, "timeout": 20}"#;
        let read = parse_transfer(body, true).unwrap();
        assert!(read.is_sip && read.wish.replaces == Some("call_2".parse().unwrap()));
        assert_eq!(read.wish.headers, [("X-Ref".to_owned(), "1".to_owned())]);
    }

    #[test]
    fn every_wrong_place_of_a_transfer_is_named() {
        for (body, expected) in [
            (r"{}", vec![("/to", "required")]),
            (r#"{"to": "4155550123"}"#, vec![("/to", "pattern")]),
            (r#"{"to": "+14155550123", "mode": "warm"}"#, vec![("/mode", "enum")]),
            (
                r#"{"to": "+14155550123", "mode": "attended"}"#,
                vec![("/replacesCallId", "required")],
            ),
            (
                r#"{"to": "+14155550123", "replacesCallId": "call_2"}"#,
                vec![("/replacesCallId", "exclusive")],
            ),
            (
                r#"{"to": "+14155550123", "timeout": 1, "headers": {"Route": "x"}, "more": 1}"#,
                vec![
                    ("/headers/Route", "header"),
                    ("/timeout", "out_of_range"),
                    ("/more", "unknown_field"),
                ],
            ),
        ] {
            let problem = parse_transfer(body.as_bytes(), true).unwrap_err();
            assert_eq!(places(&problem), expected, "{body}");
        }
    }

    #[test]
    fn a_mute_silences_what_we_play_unless_it_says_otherwise() {
        for (body, direction) in [
            ("", MuteDirection::Playout),
            ("{}", MuteDirection::Playout),
            (r#"{"direction": "playout"}"#, MuteDirection::Playout),
            (r#"{"direction": "capture"}"#, MuteDirection::Capture),
            (r#"{"direction": "both"}"#, MuteDirection::Both),
        ] {
            assert_eq!(parse_mute(body.as_bytes(), true, true), Ok(Wish::Mute(true, direction)));
            assert_eq!(parse_mute(body.as_bytes(), true, false), Ok(Wish::Mute(false, direction)));
        }
        let problem = parse_mute(br#"{"direction": "up", "x": 1}"#, true, true).unwrap_err();
        assert_eq!(places(&problem), [("/direction", "enum"), ("/x", "unknown_field")]);
    }

    #[test]
    fn digits_and_refusals_are_bounded() {
        let Wish::Dtmf(keys) = parse_dtmf(br#"{"digits": "1#a", "method": "info"}"#, true).unwrap()
        else {
            panic!()
        };
        assert_eq!((keys.digits.as_str(), keys.method), ("1#A", DtmfMethod::Info));
        for body in [
            r"{}",
            r#"{"digits": "1x"}"#,
            r#"{"digits": ""}"#,
            r#"{"digits": "1", "durationMs": 1}"#,
            r#"{"digits": "1", "method": "loud"}"#,
        ] {
            assert!(parse_dtmf(body.as_bytes(), true).is_err(), "{body}");
        }
        let usual = Wish::Reject { code: 603, reason: String::new() };
        assert_eq!(parse_reject(b"", true), Ok(usual));
        assert!(parse_reject(br#"{"sipCode": 200}"#, true).is_err());
        assert!(parse_reject(br#"{"reason": "a\r\nb"}"#, true).is_err());
        assert!(parse_nothing(br#"{"x": 1}"#, true).is_err() && parse_nothing(b"", true).is_ok());
    }
}
