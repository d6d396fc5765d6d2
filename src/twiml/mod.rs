//! TwiML: the documents that tell a call what to do next, and the machine that obeys them.
//!
//! ```text
//!  octets ─ parse ─> Verbs ─> Machine ── Output: say, play, dial, fetch … ──> app::twiml
//!                               ^──────── Input: played, digit, fetched … ─────┘
//! ```
//!
//! Owns the subset of Twilio's markup that is served, the order of verbs, who is asked for the next
//! document and with which parameters, and the signature of those requests. Does not fetch, speak,
//! dial or know a call's media: what is to be done comes out of [`Machine`] and is done elsewhere.
//!
//! Source: Twilio's reference of TwiML for voice, and "Webhooks security" for the signature.

#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

pub mod document;
pub mod form;
mod link;
mod machine;
mod parse;
pub mod sid;
pub mod signature;

pub use document::{Entry, Link, Method, Verb};
pub use link::resolve;
pub use machine::{
    DialOutcome, DialStatus, Dialled, Facts, FailCode, FetchedDocument, Input, Machine, Output,
    Query,
};
pub use parse::{DOCUMENT_MAX, DocumentError, parse};

/// Fuzz target: a document that somebody else wrote.
pub fn fuzz_document(octets: &[u8]) {
    if let Ok(verbs) = parse(octets) {
        assert!(verbs.len() <= parse::VERBS_MAX);
    }
}

/// Fuzz target: a form that somebody else posted.
pub fn fuzz_form(octets: &[u8]) {
    if let Ok(pairs) = form::decode(octets) {
        let again = form::decode(form::encode(&pairs).as_bytes());
        assert_eq!(again.as_deref(), Ok(&*pairs));
    }
}

#[cfg(test)]
mod tests;
