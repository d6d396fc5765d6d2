//! The command `transfer`: what it takes is what `POST …/transfer` takes.

use super::{Fields, Wrong, call, clip, policy};
use crate::call::control::{OnPeerHangup, PARTY_RINGS, TransferWish};
use crate::call::record::TransferMode;
use crate::call::target::{
    HEADERS_MAX, SipUriFault, check_sip_uri, is_e164, is_own_header, is_sip,
};
use serde_json::{Map, Value};
use std::time::Duration;

/// Reads it. Whether the client may call SIP URIs is the session's to know.
pub(super) fn transfer(fields: Fields) -> Result<TransferWish, Wrong> {
    let to = target(fields.to)?;
    let mode = fields.mode.as_deref().map_or(Some(TransferMode::Blind), TransferMode::by_name);
    let mode = mode.ok_or_else(|| invalid("mode must be blind, attended or bridge"))?;
    let replaces = match (mode, fields.replaces_call_id) {
        (TransferMode::Attended, id) => Some(call("replaces_call_id", id)?),
        (_, Some(_)) => return Err(invalid("replaces_call_id is for mode attended")),
        (_, None) => None,
    };
    let headers = headers(fields.headers.unwrap_or_default())?;
    let timeout = fields.timeout.map_or(PARTY_RINGS, Duration::from_secs);
    if !(5..=180).contains(&timeout.as_secs()) {
        return Err(invalid("timeout must be 5 to 180 seconds"));
    }
    let on_peer_hangup = policy(fields.on_peer_hangup.as_deref(), OnPeerHangup::Hangup)?;
    Ok(TransferWish { to, from: None, mode, replaces, headers, timeout, on_peer_hangup })
}

fn target(to: Option<String>) -> Result<String, Wrong> {
    let to = to.ok_or(("missing_field", "to is missing".to_owned()))?;
    if is_e164(&to) {
        return Ok(to);
    }
    if !is_sip(&to) {
        return Err(invalid("to must be a number such as +14155550123, or a SIP URI"));
    }
    match check_sip_uri(&to) {
        Ok(()) => Ok(to),
        Err(SipUriFault::Secure) => {
            Err(("not_implemented", "sips: is not served in this version; use sip:".to_owned()))
        }
        Err(SipUriFault::Malformed) => {
            Err(invalid("to must be a URI such as sip:desk@pbx.example.com"))
        }
    }
}

fn headers(map: Map<String, Value>) -> Result<Vec<(String, String)>, Wrong> {
    if map.len() > HEADERS_MAX {
        return Err(invalid(&format!("headers may have {HEADERS_MAX} fields at most")));
    }
    let own = |(name, value): (String, Value)| match value {
        Value::String(value) if is_own_header(&name, &value) => Ok((name, value)),
        _ => Err(invalid(&format!(
            "header {:?}: the name must begin with X-, the value be a text in one line",
            clip(&name)
        ))),
    };
    map.into_iter().map(own).collect()
}

fn invalid(detail: &str) -> Wrong {
    ("invalid_field", detail.to_owned())
}
