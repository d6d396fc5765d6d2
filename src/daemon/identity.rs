//! Who calls: from what the endpoint read and `sip::stir` found to what the API tells.
//!
//! Owns which parties a PASSporT is held against, and what a trunk asks of callers.

use crate::call::identity::{CallIdentity, Verified, VerifiedState};
use crate::observe::event::{self, Happening as _};
use crate::sip::interface::Incoming;
use crate::sip::stir::{Attestation, Claims, Finding, Party, Standing, refusal};
use serde_json::{Map, Value};

/// What a trunk asks of callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Vetting {
    /// The least attestation that is let in; `None`: everybody is, and told with what was found.
    pub least: Option<Attestation>,
}

impl Vetting {
    /// Status and reason phrase for a caller who may not come in.
    pub(super) fn refusal(self, finding: &Finding) -> Option<(u16, &'static str)> {
        refusal(finding, self.least?)
    }
}

/// What an INVITE says of itself.
//= RFC 8224 §6.2: orig is held against From, or P-Asserted-Identity where networks use it; dest
//= against To
pub(super) fn claims(incoming: &Incoming) -> Claims {
    let identity = &incoming.identity;
    let party = |uri: &String| Party::of_uri(uri);
    let parties = &identity.parties;
    Claims {
        fields: identity.identity.clone(),
        callers: parties.from.iter().chain(&identity.asserted).filter_map(party).collect(),
        callees: parties.to.iter().chain(&parties.request).filter_map(party).collect(),
    }
}

/// Its header fields whose names begin with `X-`; of those of one name the last.
pub(super) fn headers(incoming: &Incoming) -> Map<String, Value> {
    let fields = incoming.headers.iter();
    fields.map(|(name, value)| (name.clone(), Value::String(value.clone()))).collect()
}

/// What is told of a caller.
pub(super) fn told(incoming: &Incoming, verified: Option<&Verified>) -> CallIdentity {
    let identity = &incoming.identity;
    CallIdentity {
        asserted: identity.asserted.clone(),
        preferred: identity.preferred.clone(),
        anonymous: identity.anonymous,
        diversion: identity.diversion.clone(),
        history: identity.history.clone(),
        verstat: identity.verstat.clone(),
        identity: identity.identity.clone(),
        verified: verified.cloned(),
    }
}

/// A finding in the words of the API.
pub(super) fn verified(finding: &Finding) -> Verified {
    match finding {
        Ok(found) => Verified {
            state: VerifiedState::Valid,
            attest: Some(found.attest.as_str().to_owned()),
            orig: Some(found.orig.clone()),
            dest: found.dest.clone(),
            origid: Some(found.origid.clone()),
            reason: None,
        },
        Err(fault) => Verified {
            state: match fault.standing() {
                Standing::Invalid => VerifiedState::Invalid,
                Standing::None => VerifiedState::None,
                Standing::Unavailable => VerifiedState::Unavailable,
                Standing::Pending => VerifiedState::Pending,
            },
            attest: None,
            orig: None,
            dest: Vec::new(),
            origid: None,
            reason: Some(fault.to_string()),
        },
    }
}

/// Writes the log line of a finding, and counts it.
pub(super) fn report(call_id: &str, trunk: &str, verified: &Verified) {
    event::CallerVerified {
        call_id,
        trunk,
        state: verified.state.as_str(),
        attest: verified.attest.as_deref(),
        reason: verified.reason.as_deref(),
    }
    .report();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::inbound::tests::incoming;
    use crate::sip::stir::{Fault, Verified as Found};

    #[test]
    fn a_passport_is_held_against_everybody_that_an_invite_names() {
        let mut call = incoming("carrier", "100");
        let uri = |text: &str| Some(text.to_owned());
        call.identity.parties.from = uri("sip:anonymous@anonymous.invalid");
        call.identity.parties.to = uri("sip:+1555@h");
        call.identity.parties.request = uri("sip:100@h");
        call.identity.asserted = vec!["tel:+1-415".to_owned(), "urn:service:sos".to_owned()];
        let claims = claims(&call);
        let numbers = |parties: &[Party]| -> Vec<Option<String>> {
            parties.iter().map(|party| party.number().map(str::to_owned)).collect()
        };
        assert_eq!(numbers(&claims.callers), [None, Some("1415".to_owned())]);
        let called = [Some("1555".to_owned()), Some("100".to_owned())];
        assert_eq!(numbers(&claims.callees), called);
    }

    #[test]
    fn only_a_valid_finding_tells_what_the_passport_says() {
        let found = Found {
            attest: Attestation::Partial,
            orig: "1415".to_owned(),
            dest: vec!["1555".to_owned()],
            origid: "x".to_owned(),
        };
        let told = verified(&Ok(found.clone()));
        assert_eq!((told.state, told.attest.as_deref()), (VerifiedState::Valid, Some("B")));
        assert_eq!((told.orig.as_deref(), told.reason), (Some("1415"), None));
        for (fault, state) in [
            (Fault::Signature, VerifiedState::Invalid),
            (Fault::Missing, VerifiedState::None),
            (Fault::Unavailable("404".to_owned()), VerifiedState::Unavailable),
            (Fault::Pending(500), VerifiedState::Pending),
        ] {
            let told = verified(&Err(fault.clone()));
            assert_eq!((told.state, told.reason), (state, Some(fault.to_string())));
            assert_eq!((told.attest, told.orig, told.dest.len()), (None, None, 0));
            let least = Some(Attestation::Gateway);
            assert_eq!(Vetting { least }.refusal(&Err(fault.clone())), Some(fault.refusal()));
            assert_eq!(Vetting { least: None }.refusal(&Err(fault)), None);
        }
        let strict = Vetting { least: Some(Attestation::Full) };
        assert_eq!(strict.refusal(&Ok(found)).unwrap().0, 403);
    }
}
