//! Who calls, in the words of the API: what the network says, and whether it is verified.
//!
//! Owns the names of the fields. Verifies nothing: `sip::stir` does.

use serde::{Deserialize, Serialize};

/// What the network says of the caller of an incoming call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallIdentity {
    /// URIs of P-Asserted-Identity (RFC 3325); at most 2.
    pub asserted: Vec<String>,
    /// URI of P-Preferred-Identity.
    pub preferred: Option<String>,
    /// The caller wants to be anonymous (RFC 3323).
    pub anonymous: bool,
    /// URIs of Diversion (RFC 5806), newest first; at most 8.
    pub diversion: Vec<String>,
    /// URIs of History-Info (RFC 7044), oldest first; at most 8.
    pub history: Vec<String>,
    /// What the carrier says of the number, e.g. `TN-Validation-Passed`.
    pub verstat: Option<String>,
    /// Identity header fields (RFC 8224) as they came; at most 4 of 4096 octets.
    pub identity: Vec<String>,
    /// What we found ourselves; `None`: the trunk does not verify.
    pub verified: Option<Verified>,
}

impl CallIdentity {
    /// A verified caller, for tests.
    #[cfg(test)]
    pub(crate) fn example() -> Self {
        Self {
            asserted: vec!["tel:+14155550123".to_owned()],
            verified: Some(Verified {
                state: VerifiedState::Valid,
                attest: Some("A".to_owned()),
                orig: Some("14155550123".to_owned()),
                dest: vec!["15550100".to_owned()],
                origid: Some("x".to_owned()),
                reason: None,
            }),
            ..Self::default()
        }
    }

    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether the caller is verified (RFC 8224, RFC 8588).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerifiedState {
    /// Signed, by somebody whom we trust, for this call.
    Valid,
    /// Signed wrongly: the call may be a forgery.
    Invalid,
    /// Not signed.
    None,
    /// The certificate could not be had.
    Unavailable,
    /// The certificate had not come when the call had to go on: not verified.
    Pending,
}

impl VerifiedState {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Invalid => "invalid",
            Self::None => "none",
            Self::Unavailable => "unavailable",
            Self::Pending => "pending",
        }
    }
}

/// What we found. All but `state` and `reason` is there for `valid` alone: nobody shall take for
/// true what is only claimed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// How the call stands.
    pub state: VerifiedState,
    /// `A`, `B` or `C` (RFC 8588 §4).
    pub attest: Option<String>,
    /// The number that is verified, without `+`, or a URI.
    pub orig: Option<String>,
    /// The numbers and URIs that the call was signed for; at most 16.
    pub dest: Vec<String>,
    /// The signer's id of where the call came from.
    pub origid: Option<String>,
    /// Why it is not valid, in words.
    pub reason: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn records_keep_it_and_states_have_one_name() {
        let text = json!({
            "asserted": ["tel:+14155550123"], "preferred": null, "anonymous": false,
            "diversion": [], "history": [], "verstat": null, "identity": [],
            "verified": {"state": "valid", "attest": "A", "orig": "14155550123",
                         "dest": ["15550100"], "origid": "x", "reason": null},
        });
        let identity: CallIdentity = serde_json::from_value(text.clone()).unwrap();
        assert_eq!(identity, CallIdentity::example());
        assert!(!identity.is_empty() && CallIdentity::default().is_empty());
        assert_eq!(serde_json::to_value(&identity).unwrap(), text);
        for state in [
            VerifiedState::Valid,
            VerifiedState::Invalid,
            VerifiedState::None,
            VerifiedState::Unavailable,
            VerifiedState::Pending,
        ] {
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
    }
}
