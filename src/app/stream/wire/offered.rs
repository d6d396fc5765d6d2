//! What a client decides about an incoming call: its early media, or its refusal.

use super::{Fields, Wrong, plain};
use crate::audio::progress::{Plan, Signal, Tone};
use crate::call::control::Wish;

/// `tone` and `country` of `early_media`.
pub(super) fn tone(fields: &Fields) -> Result<Option<Tone>, Wrong> {
    let wrong = |detail: &str| ("invalid_field", detail.to_owned());
    let plan = fields.country.as_deref().map_or(Some(Plan::America), Plan::by_name);
    let plan = plan.ok_or_else(|| wrong("country must be us or eu"))?;
    match fields.tone.as_deref() {
        None | Some("none") => Ok(None),
        Some(name) => {
            let signal = Signal::by_name(name);
            let known = "tone must be ringback, busy, reorder, sit, dial or none";
            Ok(Some(Tone { signal: signal.ok_or_else(|| wrong(known))?, plan }))
        }
    }
}

/// `reject`: with which status, and in which words.
pub(super) fn reject(fields: &Fields) -> Result<Wish, Wrong> {
    let code = fields.sip_code.unwrap_or(603);
    if !(400..=699).contains(&code) {
        return Err(("invalid_field", "sip_code must be 400 to 699".to_owned()));
    }
    let reason = fields.reason.as_deref().map(plain).unwrap_or_default();
    Ok(Wish::Reject { code, reason })
}
