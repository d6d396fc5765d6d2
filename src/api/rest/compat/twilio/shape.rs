//! A call as Twilio shows it.

use super::form::{ListFilter, token};
use crate::api::rest::compat::CompatAccount;
use crate::api::stamp;
use crate::call::record::{CallRecord, Direction};
use crate::call::vendor::{TwilioStatus, twilio_status};
use crate::store::CallCursor;
use crate::twiml::form::encode;
use crate::twiml::sid::call_sid;
use serde_json::{Map, Value, json};

/// What Twilio lists of a call, and lies beneath it there.
const BENEATH: [(&str, &str); 9] = [
    ("notifications", "Notifications"),
    ("recordings", "Recordings"),
    ("streams", "Streams"),
    ("payments", "Payments"),
    ("events", "Events"),
    ("siprec", "Siprec"),
    ("transcriptions", "Transcriptions"),
    ("user_defined_messages", "UserDefinedMessages"),
    ("user_defined_message_subscriptions", "UserDefinedMessageSubscriptions"),
];

/// A call; `status` is told in the place of its own where it is about to come to that.
pub(super) fn call(
    account: &CompatAccount,
    record: &CallRecord,
    status: Option<TwilioStatus>,
) -> Value {
    let sid = call_sid(&record.id);
    let base = format!("/2010-04-01/Accounts/{}/Calls/{sid}", account.sid);
    let beneath: Map<String, Value> = BENEATH
        .iter()
        .map(|(name, path)| ((*name).to_owned(), json!(format!("{base}/{path}.json"))))
        .collect();
    let status = status.unwrap_or_else(|| twilio_status(record));
    let from = record.from.as_deref().unwrap_or_default();
    let started = (!status.is_queued()).then(|| stamp::rfc2822(record.created_at));
    let changed = record.ended_at.or(record.answered_at).or(record.ringing_at);
    let direction = match record.direction {
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound-api",
    };
    json!({
        "sid": sid,
        "account_sid": account.sid,
        "parent_call_sid": null,
        "date_created": stamp::rfc2822(record.created_at),
        "date_updated": stamp::rfc2822(changed.unwrap_or(record.created_at)),
        "to": record.target_phone,
        "to_formatted": record.target_phone,
        "from": from,
        "from_formatted": from,
        "phone_number_sid": null,
        "status": status.as_str(),
        "start_time": started,
        "end_time": record.ended_at.map(stamp::rfc2822),
        "duration": record.ended_at.map(|_| seconds(record)),
        "price": null,
        "price_unit": "USD",
        "direction": direction,
        "answered_by": answered_by(record),
        "api_version": "2010-04-01",
        "annotation": null,
        "forwarded_from": null,
        "group_sid": null,
        "caller_name": null,
        "queue_time": "0",
        "trunk_sid": null,
        "uri": format!("{base}.json"),
        "subresource_uris": beneath,
    })
}

/// How long they talked, rounded up as bills are; a text, as all of Twilio's numbers.
fn seconds(record: &CallRecord) -> String {
    record.duration_ms.unwrap_or(0).div_ceil(1000).to_string()
}

fn answered_by(record: &CallRecord) -> Option<&'static str> {
    match record.answerer.as_ref()?.answered_by.as_str() {
        "human" => Some("human"),
        "machine" => Some("machine_start"),
        _ => Some("unknown"),
    }
}

/// A page of calls; `next` is where the one behind it begins.
pub(super) fn list(
    account: &CompatAccount,
    filter: &ListFilter,
    path: &str,
    calls: &[CallRecord],
    next: Option<CallCursor>,
) -> Value {
    let uri = |page: u64, more: Vec<(String, String)>| {
        let mut pairs = filter.kept.clone();
        if !pairs.iter().any(|(name, _)| name == "PageSize") {
            pairs.push(("PageSize".to_owned(), filter.size.to_string()));
        }
        pairs.push(("Page".to_owned(), page.to_string()));
        pairs.extend(more);
        format!("{path}?{}", encode(&pairs))
    };
    let next = next.map(|cursor| {
        uri(filter.page.saturating_add(1), vec![("PageToken".to_owned(), token(&cursor))])
    });
    let start = filter.page.saturating_mul(filter.size as u64);
    let end = start + (calls.len() as u64).saturating_sub(1);
    json!({
        "calls": calls.iter().map(|record| call(account, record, None)).collect::<Vec<_>>(),
        "page": filter.page,
        "page_size": filter.size,
        "start": start,
        "end": end,
        "uri": uri(filter.page, Vec::new()),
        "first_page_uri": uri(0, Vec::new()),
        "previous_page_uri": null,
        "next_page_uri": next,
    })
}
