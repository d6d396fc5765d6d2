//! The rows of the table of causes, and the page that shows them.
//!
//! Owns which status, cause, reason and problem belong together. Applies none of them.

use super::super::record::EndReason;
use super::name;
use std::fmt::Write as _;

/// What a final status of an INVITE comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CauseRow {
    /// The SIP status.
    pub status: u16,
    /// The Q.850 cause that says the same.
    pub q850: u8,
    /// The API's `end_reason`.
    pub reason: EndReason,
    /// What it means, in a few words.
    pub text: &'static str,
}

/// What a reason of ours is told as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReasonRow {
    /// The API's `end_reason`.
    pub reason: EndReason,
    /// The Q.850 cause of our BYE or CANCEL.
    pub q850: u8,
    /// Its text.
    pub text: &'static str,
    /// The status that refuses an INVITE for this reason.
    pub status: u16,
    /// The API's problem for a request that is refused for this reason, if there is one.
    pub problem: Option<&'static str>,
}

const fn row(status: u16, q850: u8, reason: EndReason, text: &'static str) -> CauseRow {
    CauseRow { status, q850, reason, text }
}

const fn told(
    reason: EndReason,
    q850: u8,
    text: &'static str,
    status: u16,
    problem: Option<&'static str>,
) -> ReasonRow {
    ReasonRow { reason, q850, text, status, problem }
}

//= RFC 3398 §8.2.6.1: final responses map to ISUP cause values by its table.
//= RFC 8197 §4: 607 says that the callee does not want the call.
//= RFC 8688 §3: 608 says that an analytics engine refused it.
const STATUSES: [CauseRow; 41] = [
    row(400, 41, EndReason::Error, "Bad request"),
    row(401, 21, EndReason::Rejected, "Unauthorized"),
    row(402, 21, EndReason::Rejected, "Payment required"),
    row(403, 21, EndReason::Rejected, "Forbidden"),
    row(404, 1, EndReason::InvalidNumber, "Not found"),
    row(405, 63, EndReason::Error, "Method not allowed"),
    row(406, 79, EndReason::Error, "Not acceptable"),
    row(407, 21, EndReason::Rejected, "Proxy authentication required"),
    row(408, 102, EndReason::NoAnswer, "Request timeout"),
    row(410, 22, EndReason::InvalidNumber, "Gone"),
    row(413, 127, EndReason::Error, "Request entity too large"),
    row(414, 127, EndReason::Error, "Request-URI too long"),
    row(415, 79, EndReason::Error, "Unsupported media type"),
    row(416, 127, EndReason::InvalidNumber, "Unsupported URI scheme"),
    row(420, 127, EndReason::Error, "Bad extension"),
    row(421, 127, EndReason::Error, "Extension required"),
    row(423, 127, EndReason::Error, "Interval too brief"),
    row(433, 21, EndReason::Rejected, "Anonymity disallowed"),
    row(480, 18, EndReason::NoAnswer, "Temporarily unavailable"),
    row(481, 41, EndReason::Error, "No such call"),
    row(482, 25, EndReason::Error, "Loop detected"),
    row(483, 25, EndReason::Error, "Too many hops"),
    row(484, 28, EndReason::InvalidNumber, "Address incomplete"),
    row(485, 1, EndReason::InvalidNumber, "Ambiguous"),
    row(486, 17, EndReason::Busy, "Busy here"),
    row(487, 16, EndReason::NoAnswer, "Request terminated"),
    row(488, 88, EndReason::Error, "Not acceptable here"),
    row(500, 41, EndReason::Congestion, "Server internal error"),
    row(501, 79, EndReason::Error, "Not implemented"),
    row(502, 38, EndReason::Congestion, "Bad gateway"),
    row(503, 41, EndReason::Congestion, "Service unavailable"),
    row(504, 102, EndReason::Congestion, "Server timeout"),
    row(505, 127, EndReason::Congestion, "Version not supported"),
    row(513, 127, EndReason::Congestion, "Message too large"),
    row(580, 47, EndReason::Congestion, "Precondition failure"),
    row(600, 17, EndReason::Busy, "Busy everywhere"),
    row(603, 21, EndReason::Rejected, "Decline"),
    row(604, 1, EndReason::InvalidNumber, "Does not exist anywhere"),
    row(606, 88, EndReason::Error, "Not acceptable"),
    row(607, 21, EndReason::Rejected, "Unwanted"),
    row(608, 21, EndReason::Rejected, "Rejected by a call analytics engine"),
];

const REASONS: [ReasonRow; 18] = [
    told(EndReason::Completed, 16, "Normal call clearing", 480, None),
    told(EndReason::CallerHangup, 16, "Normal call clearing", 487, None),
    told(EndReason::CalleeHangup, 16, "Normal call clearing", 487, None),
    told(EndReason::TerminatedByApi, 16, "Normal call clearing", 480, None),
    told(EndReason::Canceled, 16, "Normal call clearing", 487, None),
    told(EndReason::Busy, 17, "User busy", 486, None),
    told(EndReason::NoAnswer, 19, "No answer from user", 480, None),
    told(EndReason::Rejected, 21, "Call rejected", 603, None),
    told(EndReason::InvalidNumber, 28, "Invalid number format", 404, Some("invalid_phone_number")),
    told(
        EndReason::DestinationNotAllowed,
        21,
        "Call rejected",
        403,
        Some("destination_not_allowed"),
    ),
    told(
        EndReason::Congestion,
        42,
        "Switching equipment congestion",
        503,
        Some("capacity_exceeded"),
    ),
    told(EndReason::TrunkDown, 38, "Network out of order", 503, Some("trunk_unavailable")),
    told(EndReason::MediaTimeout, 102, "Recovery on timer expiry", 480, None),
    told(EndReason::StreamLost, 41, "Temporary failure", 480, None),
    told(EndReason::MaxDuration, 16, "Normal call clearing", 480, None),
    told(EndReason::AmdMachine, 16, "Normal call clearing", 480, None),
    told(EndReason::Transfer, 16, "Normal call clearing", 480, None),
    told(EndReason::Error, 41, "Temporary failure", 500, Some("internal")),
];

/// Every status with its cause and reason, by number.
#[must_use]
pub fn statuses() -> &'static [CauseRow] {
    &STATUSES
}

/// Every reason with what it is told as.
#[must_use]
pub fn reasons() -> &'static [ReasonRow] {
    &REASONS
}

const INTRO: &str = "\
# Why a call ended

`end_reason` of the call object folds what carriers say into a few names; `sip_code`, `sip_reason`
and `q850` say it in their own words.

Generated from the table in `src/call/cause` by `make gen`.

## What carriers say

A status that is not listed counts as 400, 500 or 603, by its class. With 400, 480, 500, 502, 503 and 504 the
Q.850 cause of a `Reason` header field decides, where it is definite.

| SIP | Q.850 | `end_reason` | |
|---|---|---|---|
";

const OURS: &str = "
## What we say

Our BYE and CANCEL carry the cause in `Reason`; an INVITE that is refused for the reason gets the
status, and a request of the API that cannot be served for it the problem.

| `end_reason` | Q.850 | text | SIP | problem |
|---|---|---|---|---|
";

/// The page `docs/causes.md`.
#[must_use]
pub fn page() -> String {
    let mut page = INTRO.to_owned();
    for row in statuses() {
        let CauseRow { status, q850, reason, text } = *row;
        let _ = writeln!(page, "| {status} | {q850} | `{}` | {text} |", name(reason));
    }
    page.push_str(OURS);
    for row in reasons() {
        let ReasonRow { reason, q850, text, status, problem } = *row;
        let problem = problem.map(|code| format!("`{code}`")).unwrap_or_default();
        let reason = name(reason);
        let _ = writeln!(page, "| `{reason}` | {q850} | {text} | {status} | {problem} |");
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_and_every_reason_has_one() {
        assert!(STATUSES.windows(2).all(|pair| pair[0].status < pair[1].status));
        let mut names: Vec<_> = REASONS.iter().map(|row| name(row.reason)).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), REASONS.len());
        assert!(REASONS.iter().all(|row| !row.text.contains('"') && row.status >= 400));
        let page = page();
        assert!(page.contains("| 607 | 21 | `rejected` |") && page.contains("| `transfer` | 16 |"));
    }
}
