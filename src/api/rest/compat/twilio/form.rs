//! What the forms and queries of a Twilio client say.
//!
//! Every parameter is either served, or served with the value that changes nothing, or refused by
//! name: a bot that asks for a recording and gets none must hear of it.

use crate::api::rest::compat::fault::Fault;
use crate::api::types::create::is_caller_number;
use crate::app::twiml::{CallbackEvent, StatusCallback};
use crate::call::record::{CallRecord, Direction};
use crate::call::target::{check_sip_uri, is_e164, is_sip};
use crate::call::vendor::{TwilioStatus, twilio_status};
use crate::id::InstanceId;
use crate::store::{CallCursor, CallFilter};
use crate::twiml::document::{Entry, Link, Method};
use std::time::Duration;

/// Longest URL, in octets.
const URL_MAX: usize = 4_000;
/// Calls of one page unless said otherwise, and at most.
const PAGE: usize = 50;
const PAGE_MAX: usize = 1_000;

/// Parameters that say what happens anyhow, by the value with which they do.
const IDLE: [(&str, &str); 4] =
    [("Record", "false"), ("MachineDetection", ""), ("AsyncAmd", "false"), ("Trim", "do-not-trim")];

type Pairs = [(String, String)];

fn value<'a>(pairs: &'a Pairs, name: &str) -> Option<&'a str> {
    let found = pairs.iter().find(|(known, _)| known == name)?;
    Some(found.1.trim()).filter(|value| !value.is_empty())
}

/// Refuses what is not served.
fn known(pairs: &Pairs, served: &[&str]) -> Result<(), Fault> {
    for (name, value) in pairs {
        let idle = IDLE.iter().any(|(idle, same)| idle == name && same == value);
        if !served.contains(&name.as_str()) && !idle {
            return Err(Fault::unserved(name));
        }
    }
    Ok(())
}

fn link(pairs: &Pairs, url: &str, method: &str) -> Result<Option<Link>, Fault> {
    let Some(text) = value(pairs, url) else { return Ok(None) };
    let web = text.starts_with("https://") || text.starts_with("http://");
    let plain = text.bytes().all(|octet| octet.is_ascii_graphic());
    if !web || !plain || text.len() > URL_MAX {
        return Err(Fault::new(400, 21_205, format!("{url} is not a valid URL")));
    }
    let wrong = || Fault::new(400, 21_209, format!("{method} must be GET or POST"));
    let method = match value(pairs, method) {
        None => Method::Post,
        Some(name) => Method::by_name(name).ok_or_else(wrong)?,
    };
    Ok(Some(Link { url: text.to_owned(), method }))
}

/// With what the call begins or goes on: `Twiml` goes before `Url`, as at Twilio's.
fn entry(pairs: &Pairs) -> Result<Option<Entry>, Fault> {
    if let Some(document) = value(pairs, "Twiml") {
        let verbs = crate::twiml::parse(document.as_bytes())
            .map_err(|error| Fault::new(400, 12_100, format!("Twiml: {error}")))?;
        return Ok(Some(Entry::Verbs(verbs)));
    }
    Ok(link(pairs, "Url", "Method")?.map(Entry::Fetch))
}

fn seconds(
    pairs: &Pairs,
    name: &str,
    bounds: std::ops::RangeInclusive<u64>,
) -> Result<Option<Duration>, Fault> {
    let Some(text) = value(pairs, name) else { return Ok(None) };
    let wrong = || Fault::new(400, 20_001, format!("{name} must be a number of seconds"));
    let number: u64 = text.parse().map_err(|_| wrong())?;
    Ok(Some(Duration::from_secs(number.clamp(*bounds.start(), *bounds.end()))))
}

/// A call that is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) to: String,
    pub(super) target_is_sip: bool,
    pub(super) from: String,
    pub(super) entry: Entry,
    pub(super) fallback: Option<Link>,
    pub(super) press: Option<String>,
    pub(super) callback: Option<StatusCallback>,
    pub(super) timeout: Option<Duration>,
    pub(super) longest: Option<Duration>,
}

impl Asked {
    pub(super) fn read(pairs: &Pairs) -> Result<Self, Fault> {
        const SERVED: [&str; 14] = [
            "To",
            "From",
            "Url",
            "Method",
            "Twiml",
            "FallbackUrl",
            "FallbackMethod",
            "StatusCallback",
            "StatusCallbackMethod",
            "StatusCallbackEvent",
            "Timeout",
            "TimeLimit",
            "SendDigits",
            "CallReason",
        ];
        known(pairs, &SERVED)?;
        let to = value(pairs, "To");
        let to = to.ok_or_else(|| Fault::new(400, 21_201, "No 'To' number is specified"))?;
        let (to, target_is_sip) = target(to)?;
        let from = value(pairs, "From");
        let from = from.ok_or_else(|| Fault::new(400, 21_213, "No 'From' number is specified"))?;
        let from = bare(from);
        if !is_caller_number(&from) {
            let message = "The 'From' number is not a valid phone number";
            return Err(Fault::new(400, 21_212, message));
        }
        let absent = || Fault::new(400, 21_205, "Url or Twiml is required");
        Ok(Self {
            to,
            target_is_sip,
            from,
            entry: entry(pairs)?.ok_or_else(absent)?,
            fallback: link(pairs, "FallbackUrl", "FallbackMethod")?,
            press: press(pairs)?,
            callback: callback(pairs)?,
            // Twilio's bounds of Timeout are 1 to 600; a trunk's patience is less.
            timeout: seconds(pairs, "Timeout", 5..=180)?,
            longest: seconds(pairs, "TimeLimit", 1..=86_400)?,
        })
    }
}

/// A number without what people write between its digits.
fn bare(number: &str) -> String {
    number.chars().filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')')).collect()
}

fn target(text: &str) -> Result<(String, bool), Fault> {
    if is_sip(text) {
        return match check_sip_uri(text) {
            Ok(()) => Ok((text.to_owned(), true)),
            Err(_) => Err(Fault::new(400, 21_211, "The 'To' SIP URI is not valid, or is sips:")),
        };
    }
    let number = bare(text);
    if is_e164(&number) {
        return Ok((number, false));
    }
    let message = "The 'To' number is not a valid phone number; write it as +14155550123";
    Err(Fault::new(400, 21_211, message))
}

fn press(pairs: &Pairs) -> Result<Option<String>, Fault> {
    let Some(digits) = value(pairs, "SendDigits") else { return Ok(None) };
    let key = |c: char| c.is_ascii_digit() || matches!(c, '*' | '#' | 'w' | 'A'..='D');
    if digits.len() > 32 || !digits.chars().all(key) {
        let message = "SendDigits must be at most 32 of 0-9, *, #, A-D and w";
        return Err(Fault::new(400, 20_001, message));
    }
    Ok(Some(digits.to_owned()))
}

fn callback(pairs: &Pairs) -> Result<Option<StatusCallback>, Fault> {
    let Some(link) = link(pairs, "StatusCallback", "StatusCallbackMethod")? else {
        return Ok(None);
    };
    let named = pairs.iter().filter(|(name, _)| name == "StatusCallbackEvent");
    // Libraries repeat the name; people write several into one.
    let words = named.flat_map(|(_, value)| value.split([' ', ',']));
    let mut events = Vec::new();
    for word in words.filter(|word| !word.is_empty()) {
        let wrong = || {
            let message = "StatusCallbackEvent must be initiated, ringing, answered or completed";
            Fault::new(400, 21_626, message)
        };
        events.push(CallbackEvent::by_name(word).ok_or_else(wrong)?);
    }
    if events.is_empty() {
        events.push(CallbackEvent::Completed);
    }
    Ok(Some(StatusCallback { link, events }))
}

/// What an update asks.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing.
    Nothing,
    /// End it.
    Complete,
    /// End it, if nobody has answered.
    Cancel,
    /// Go on with this.
    Entry(Entry),
}

impl Change {
    pub(super) fn read(pairs: &Pairs) -> Result<Self, Fault> {
        known(pairs, &["Status", "Twiml", "Url", "Method"])?;
        match value(pairs, "Status") {
            Some("completed") => Ok(Self::Complete),
            Some("canceled") => Ok(Self::Cancel),
            Some(_) => Err(Fault::new(400, 21_218, "Status must be completed or canceled")),
            None => Ok(entry(pairs)?.map_or(Self::Nothing, Self::Entry)),
        }
    }
}

/// Which calls a list is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ListFilter {
    status: Option<TwilioStatus>,
    to: Option<String>,
    from: Option<String>,
    direction: Option<Direction>,
    pub(super) size: usize,
    pub(super) page: u64,
    pub(super) cursor: Option<CallCursor>,
    /// The pairs that the next page is asked with, too.
    pub(super) kept: Vec<(String, String)>,
}

impl ListFilter {
    pub(super) fn read(pairs: &Pairs) -> Result<Self, Fault> {
        known(pairs, &["Status", "To", "From", "Direction", "PageSize", "Page", "PageToken"])?;
        let wrong = |name: &str| Fault::new(400, 20_001, format!("{name} is not valid"));
        let status = match value(pairs, "Status") {
            None => None,
            Some(word) => {
                let found = TwilioStatus::ALL.into_iter().find(|known| known.as_str() == word);
                Some(found.ok_or_else(|| wrong("Status"))?)
            }
        };
        let direction = match value(pairs, "Direction") {
            None => None,
            Some("inbound") => Some(Direction::Inbound),
            Some("outbound-api") => Some(Direction::Outbound),
            Some(_) => return Err(wrong("Direction")),
        };
        let size = match value(pairs, "PageSize") {
            None => PAGE,
            Some(text) => text.parse::<usize>().map_err(|_| wrong("PageSize"))?.clamp(1, PAGE_MAX),
        };
        let page =
            value(pairs, "Page").map_or(Ok(0), |text| text.parse().map_err(|_| wrong("Page")))?;
        let cursor = match value(pairs, "PageToken") {
            None => None,
            Some(text) => Some(cursor(text).ok_or_else(|| wrong("PageToken"))?),
        };
        let kept = |(name, _): &&(String, String)| !matches!(name.as_str(), "Page" | "PageToken");
        let kept = pairs.iter().filter(kept).cloned().collect();
        let number = |name: &str| value(pairs, name).map(bare);
        Ok(Self {
            status,
            to: number("To"),
            from: number("From"),
            direction,
            size,
            page,
            cursor,
            kept,
        })
    }

    /// What the store is asked for.
    pub(super) fn rows(&self, instance: &InstanceId) -> CallFilter {
        CallFilter {
            direction: self.direction,
            instances: Some(vec![instance.clone()]),
            ..CallFilter::default()
        }
    }

    pub(super) fn wants(&self, record: &CallRecord) -> bool {
        self.status.is_none_or(|status| twilio_status(record) == status)
            && self.to.as_ref().is_none_or(|to| record.target_phone == *to)
            && self.from.as_ref().is_none_or(|from| record.from.as_ref() == Some(from))
    }
}

/// How a place in a list is written.
pub(super) fn token(cursor: &CallCursor) -> String {
    format!("PA{}.{}", cursor.created_at, cursor.id)
}

fn cursor(text: &str) -> Option<CallCursor> {
    let (created_at, id) = text.strip_prefix("PA")?.split_once('.')?;
    Some(CallCursor { created_at: created_at.parse().ok()?, id: id.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::twiml::Verb;

    fn pairs(text: &str) -> Vec<(String, String)> {
        crate::twiml::form::decode(text.as_bytes()).unwrap()
    }

    fn asked(text: &str) -> Result<Asked, Fault> {
        Asked::read(&pairs(text))
    }

    const PLAIN: &str = "To=%2B1+(415)+555-0123&From=%2B15550100";

    #[test]
    fn a_call_is_read_as_the_vendors_library_writes_it() {
        let all = format!(
            "{PLAIN}&Url=http%3A%2F%2Fh%2Fa&Method=GET&StatusCallback=https://h/s&\
             StatusCallbackEvent=initiated&StatusCallbackEvent=answered&SendDigits=1w2%23&\
             Timeout=600&TimeLimit=30&FallbackUrl=http://h/f&Record=false"
        );
        let asked = asked(&all).unwrap();
        assert_eq!((asked.to.as_str(), asked.target_is_sip), ("+14155550123", false));
        assert_eq!(asked.from, "+15550100");
        let link = Link { url: "http://h/a".into(), method: Method::Get };
        assert_eq!(asked.entry, Entry::Fetch(link));
        assert_eq!(asked.press.as_deref(), Some("1w2#"));
        assert_eq!(asked.timeout, Some(Duration::from_secs(180)));
        let callback = asked.callback.unwrap();
        assert_eq!(callback.events, [CallbackEvent::Initiated, CallbackEvent::Answered]);
        assert_eq!(asked.fallback.unwrap().url, "http://h/f");
    }

    #[test]
    fn twiml_goes_before_a_url_and_completed_is_the_usual_event() {
        let text = format!(
            "{PLAIN}&Url=http://h/a&Twiml=<Response><Hangup/></Response>&StatusCallback=http://h/s"
        );
        let asked = asked(&text).unwrap();
        assert_eq!(asked.entry, Entry::Verbs(vec![Verb::Hangup]));
        assert_eq!(asked.callback.unwrap().events, [CallbackEvent::Completed]);
    }

    #[test]
    fn what_is_wrong_has_the_vendors_number() {
        for (text, code) in [
            ("From=%2B15550100&Url=http://h", 21_201),
            ("To=%2B14155550123&Url=http://h", 21_213),
            ("To=4155550123&From=%2B15550100&Url=http://h", 21_211),
            ("To=client:ann&From=%2B15550100&Url=http://h", 21_211),
            ("To=sips:a@b&From=%2B15550100&Url=http://h", 21_211),
            ("To=%2B14155550123&From=ann&Url=http://h", 21_212),
            (PLAIN, 21_205),
            (&format!("{PLAIN}&Url=ftp://h"), 21_205),
            (&format!("{PLAIN}&Url=http://h&Method=PUT"), 21_209),
            (&format!("{PLAIN}&Twiml=<Response><Record/></Response>"), 12_100),
            (&format!("{PLAIN}&Url=http://h&Record=true"), 20_001),
            (&format!("{PLAIN}&Url=http://h&MachineDetection=Enable"), 20_001),
            (&format!("{PLAIN}&Url=http://h&ApplicationSid=AP1"), 20_001),
            (&format!("{PLAIN}&Url=http://h&SendDigits=x"), 20_001),
            (&format!("{PLAIN}&Url=http://h&Timeout=x"), 20_001),
            (
                &format!("{PLAIN}&Url=http://h&StatusCallback=http://h&StatusCallbackEvent=x"),
                21_626,
            ),
        ] {
            let fault = asked(text).unwrap_err();
            assert!(format!("{fault:?}").contains(&format!("code: {code}")), "{text}: {fault:?}");
        }
    }

    #[test]
    fn updates_end_redirect_or_say_nothing() {
        let read = |text: &str| Change::read(&pairs(text));
        assert_eq!(read("Status=completed"), Ok(Change::Complete));
        assert_eq!(read("Status=canceled&Url=http://h"), Ok(Change::Cancel));
        assert_eq!(read(""), Ok(Change::Nothing));
        let hangup = "Twiml=%3CResponse%3E%3CHangup%2F%3E%3C%2FResponse%3E";
        assert_eq!(read(hangup), Ok(Change::Entry(Entry::Verbs(vec![Verb::Hangup]))));
        assert!(read("Status=busy").is_err() && read("StatusCallback=http://h").is_err());
    }

    #[test]
    fn a_page_token_is_a_place_in_the_list() {
        let place = CallCursor { created_at: 17, id: "call_a".parse().unwrap() };
        let text = format!("Status=busy&PageSize=5&Page=2&PageToken={}", token(&place));
        let filter = ListFilter::read(&pairs(&text)).unwrap();
        assert_eq!((filter.size, filter.page, filter.cursor), (5, 2, Some(place)));
        assert_eq!(filter.kept.len(), 2);
        for bad in ["Status=x", "PageSize=x", "PageToken=1", "StartTime=2020", "Direction=up"] {
            assert!(ListFilter::read(&pairs(bad)).is_err(), "{bad}");
        }
    }
}
