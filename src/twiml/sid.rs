//! Twilio's names for calls: `CA` and 32 hexadecimal digits, which are those of our own id.
//!
//! ```text
//!  call_018f6a… <──> CA018f6a…
//! ```
//!
//! Owns the spelling alone. Ids of ours have 32 digits; any other tail is carried as it is, so that
//! nothing is lost on the way there and back.

use crate::id::CallId;

/// Twilio's name for a call.
#[must_use]
pub fn call_sid(call: &CallId) -> String {
    let tail = call.as_str().strip_prefix("call_").unwrap_or(call.as_str());
    format!("CA{tail}")
}

/// The call that a vendor's name means: `CA…` of Twilio, a UUID of Plivo, `v3:…` of Telnyx, or our
/// own id; `None` for what is no name of a call.
#[must_use]
pub fn call_of(name: &str) -> Option<CallId> {
    if let Ok(call) = name.parse() {
        return Some(call);
    }
    let tail = ["CA", "v3:", "v2:"].iter().find_map(|prefix| name.strip_prefix(prefix));
    let bare = tail.unwrap_or(name).replace('-', "").to_ascii_lowercase();
    let hex = bare.len() == 32 && bare.bytes().all(|octet| octet.is_ascii_hexdigit());
    (tail.is_some() || hex).then(|| CallId::from_tail(&bare).ok()).flatten()
}

/// A name of Twilio's for something that is not a call (`MZ…` for a stream): the prefix and the
/// digits of the call, the last eight replaced by a number that tells several apart.
#[must_use]
pub fn part_sid(prefix: &str, call: &CallId, number: u32) -> String {
    let sid = call_sid(call);
    let digits = sid.get(2..).unwrap_or_default();
    let kept: String = digits.chars().take(24).collect();
    format!("{prefix}{kept:0>24}{number:08x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_found_by_any_vendors_name_for_it() {
        let call: CallId = "call_018f6a2b3c4d7e8f90a1b2c3d4e5f607".parse().unwrap();
        assert_eq!(call_sid(&call), "CA018f6a2b3c4d7e8f90a1b2c3d4e5f607");
        for name in [
            "CA018f6a2b3c4d7e8f90a1b2c3d4e5f607",
            "018f6a2b-3c4d-7e8f-90a1-b2c3d4e5f607",
            "v3:018f6a2b3c4d7e8f90a1b2c3d4e5f607",
            "call_018f6a2b3c4d7e8f90a1b2c3d4e5f607",
        ] {
            assert_eq!(call_of(name).as_ref(), Some(&call), "{name}");
        }
        for name in ["", "CA", "CA../x", "CAé", "call_"] {
            assert_eq!(call_of(name), None, "{name}");
        }
        assert_eq!(part_sid("MZ", &call, 2), "MZ018f6a2b3c4d7e8f90a1b2c300000002");
    }
}
