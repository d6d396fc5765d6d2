//! Calls that take the place of another one (RFC 3891).
//!
//! Owns the Replaces header field: what it names, and whether it may. What is then done with the two
//! sessions is for the application to say.

use super::Endpoint;
use crate::id::SessionId;
use crate::sip::message::{Message, Method, Name, unfold};

/// Call-ID and tags of a dialog as Replaces names it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Replaces {
    call_id: String,
    /// Our tag: that of the one who receives the header field.
    to_tag: String,
    from_tag: String,
    early_only: bool,
}

impl Replaces {
    /// Reads a value; `None` if it does not keep to the grammar.
    //= RFC 3891 §6.1: callid, exactly one to-tag, exactly one from-tag, early-only without a value
    fn parse(value: &str) -> Option<Self> {
        let value = unfold(value);
        let mut parts = value.split(';').map(str::trim);
        let call_id = parts.next().filter(|id| !id.is_empty() && !id.contains([' ', '\t', ',']))?;
        let (mut to_tag, mut from_tag, mut early_only) = (None, None, false);
        for part in parts {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let (name, value) = (name.trim(), value.trim());
            let slot = if name.eq_ignore_ascii_case("to-tag") {
                &mut to_tag
            } else if name.eq_ignore_ascii_case("from-tag") {
                &mut from_tag
            } else if name.is_empty() {
                return None;
            } else {
                early_only |= name.eq_ignore_ascii_case("early-only");
                continue;
            };
            if value.is_empty() || value.contains(',') || slot.replace(value.to_owned()).is_some() {
                return None;
            }
        }
        let call_id = call_id.to_owned();
        Some(Self { call_id, to_tag: to_tag?, from_tag: from_tag?, early_only })
    }
}

/// Whether this text can be the value of a Replaces header field.
pub(super) fn is_replaces(value: &str) -> bool {
    !value.contains(['\r', '\n']) && Replaces::parse(value).is_some()
}

impl Endpoint {
    /// The session whose place an INVITE of `trunk` is to take; the status to refuse it with if it
    /// may not.
    pub(super) fn replaced(
        &self,
        trunk: usize,
        message: &Message<'_>,
    ) -> Result<Option<SessionId>, u16> {
        let mut values = message.values(Name::Replaces);
        let Some(value) = values.next() else { return Ok(None) };
        //= RFC 3891 §3: more than one Replaces, or one in another request than INVITE: 400
        //= RFC 3891 §3: together with Join, which contradicts it: 400
        let alone = values.next().is_none() && message.count(Name::Join) == 0;
        if !alone || message.method() != Some(Method::Invite) {
            return Err(400);
        }
        let asked = Replaces::parse(value).ok_or(400_u16)?;
        //= RFC 3891 §3: no dialog matches: 481
        let id = *self.by_dialog.get(&(asked.call_id, asked.to_tag)).ok_or(481_u16)?;
        let call = self.calls.get(&id).ok_or(481_u16)?;
        // An early dialog that the peer began cannot be replaced, one that we began has no end of
        // ours that could be handed on: only a dialog that stands counts (RFC 3891 §3).
        let dialog = call.session.dialog().ok_or(481_u16)?;
        //= RFC 3891 §3: a tag of 0 matches both 0 and none
        let tag = dialog.remote_tag();
        let matches = tag == asked.from_tag || (asked.from_tag == "0" && tag.is_empty());
        //= RFC 3891 §3: the initiator must be authorized: here, to belong to the same trunk
        if !matches || call.trunk != trunk {
            return Err(481);
        }
        //= RFC 3891 §3: early-only and the dialog is confirmed: 486
        if asked.early_only {
            return Err(486);
        }
        Ok(Some(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop_assert, proptest};

    #[test]
    fn values_are_read_by_their_grammar() {
        let good = Replaces::parse("a@b ; to-tag = 1;FROM-TAG=2;early-only;x=y").unwrap();
        assert_eq!((good.call_id.as_str(), good.to_tag.as_str()), ("a@b", "1"));
        assert!(good.from_tag == "2" && good.early_only);
        for bad in [
            "",
            "a",
            "a;to-tag=1",
            "a;from-tag=1",
            "a;to-tag=1;to-tag=1;from-tag=2",
            "a;to-tag=;from-tag=2",
            ";to-tag=1;from-tag=2",
            "a b;to-tag=1;from-tag=2",
            "a;to-tag=1;from-tag=2;;",
            "a;to-tag=1;from-tag=2,b;to-tag=1;from-tag=2",
        ] {
            assert_eq!(Replaces::parse(bad), None, "{bad}");
        }
        assert!(!is_replaces("a;to-tag=1;from-tag=2\r\nVia: x"));
    }

    proptest! {
        #[test]
        fn what_is_read_names_exactly_one_dialog(text in "[a-c@;=, \t]{0,12}(;(to|from)-tag=[a-c,]{0,3}){0,3}") {
            if let Some(read) = Replaces::parse(&text) {
                prop_assert!(!read.call_id.is_empty() && !read.to_tag.is_empty());
                prop_assert!(!read.from_tag.is_empty());
                prop_assert!(![&read.to_tag, &read.from_tag].iter().any(|tag| tag.contains(',')));
            }
        }
    }
}
