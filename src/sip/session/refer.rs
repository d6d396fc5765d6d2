//! Transfer: REFER and the NOTIFYs that follow it, in both directions (RFC 3515, RFC 3891).
//!
//! ```text
//!   ours:    Idle ─REFER─> Asked ─202 or NOTIFY─> Followed ─final NOTIFY, silence─> Settled
//!   peer's:  Idle ─REFER─> Waiting ─AnswerRefer(202)─> Taken ─NotifyRefer(final)─> Idle
//! ```
//!
//! Owns the implicit subscription of a REFER. Does not place the new call, judge where it may go, or
//! end the session: that goes on in every case, and whoever wants it ended hangs up.

use super::{Context, Effect, Purpose, Reply, Tag, tame};
use crate::sip::dialog::{Dialog, target_of};
use crate::sip::interface::{Event, TransferState};
use crate::sip::message::{Message, Method, Name, NameAddr, Uri, reason_phrase, unfold};
use crate::sip::transaction::table::ServerId;
use std::time::{Duration, Instant};

/// How long a transfer may be silent: after the REFER, and after each NOTIFY.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// How long the application may think about a REFER; its sender waits for 32 seconds.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// How long the subscription of a REFER that we take lasts: longer than any phone rings.
const SUBSCRIBED: Duration = Duration::from_secs(300);

/// Most bytes of a status line in a NOTIFY.
const STATUS_MAX: usize = 256;

/// Most letters of Refer-To, and of the Replaces within.
const REFER_TO_MAX: usize = 1024;

/// Our own REFER.
#[derive(Debug)]
pub(super) enum Transfer {
    /// There is none.
    Idle,
    /// It is out; `heard` when a NOTIFY overtook its answer.
    Asked { tag: Tag, id: u32, heard: bool, until: Instant },
    /// It was taken on.
    Followed { id: u32, until: Instant },
    /// Its end is known; NOTIFYs that still come are answered and tell nothing.
    Settled { id: u32 },
}

impl Transfer {
    pub(super) fn start(
        &mut self,
        context: &mut Context<'_>,
        dialog: &mut Dialog,
        refer_to: String,
        headers: Vec<(String, String)>,
    ) {
        match self {
            // One at a time, so that a report has one meaning.
            Self::Asked { .. } | Self::Followed { .. } => {
                return fail(context, 491, "a transfer is under way");
            }
            Self::Idle | Self::Settled { .. } => {}
        }
        let tag = context.known.tag();
        let mut request = dialog.request(Method::Refer);
        //= RFC 3515 §2.1: exactly one Refer-To; RFC 3892 §2.1: Referred-By says who asks
        request.headers.push((Name::ReferTo.as_str().to_owned(), refer_to));
        let own = dialog.local_uri().map(|uri| format!("<{uri}>"));
        request.headers.extend(own.map(|uri| (Name::ReferredBy.as_str().to_owned(), uri)));
        request.headers.extend(headers);
        *self =
            Self::Asked { tag, id: request.cseq, heard: false, until: context.now + SILENCE_MAX };
        context.effects.push(Effect::Request { purpose: Purpose::InDialog(tag), request });
    }

    /// The final answer to a request of ours; false if it is not that of the REFER.
    pub(super) fn answered(
        &mut self,
        context: &mut Context<'_>,
        of: Tag,
        (code, reason): (u16, &str),
        cseq: Option<u32>,
    ) -> bool {
        let Self::Asked { tag, id, heard, .. } = *self else { return false };
        if tag != of {
            return false;
        }
        if code >= 300 {
            *self = Self::Idle;
            fail(context, code, reason);
            return true;
        }
        //= RFC 3515 §2.4.4: a 2xx makes a subscription, followed by its NOTIFYs
        if !heard {
            context.event(Event::Transfer(TransferState::Accepted));
        }
        // Sent again with credentials it has another CSeq, which is its id from then on.
        let id = cseq.unwrap_or(id);
        *self = Self::Followed { id, until: context.now + SILENCE_MAX };
        true
    }

    /// A NOTIFY of the peer.
    pub(super) fn notify(
        &mut self,
        context: &mut Context<'_>,
        server: ServerId,
        message: &Message<'_>,
    ) {
        let event = message.header(Name::Event).unwrap_or("");
        let (package, params) = event.split_once(';').unwrap_or((event, ""));
        //= RFC 6665 §8.3.2: an event that is not known: 489
        if !package.trim().eq_ignore_ascii_case("refer") {
            return context.reply(server, Reply::code(489));
        }
        let (Self::Asked { id, .. } | Self::Followed { id, .. } | Self::Settled { id }) = *self
        else {
            //= RFC 6665 §4.1.3: no matching subscription: 481
            return context.reply(server, Reply::code(481));
        };
        //= RFC 3515 §2.4.6: id is the CSeq number of the REFER; the first one's may be left out
        let asked = matches!(self, Self::Asked { .. });
        if id_of(params).is_some_and(|given| given != id && !(asked && given > id)) {
            return context.reply(server, Reply::code(481));
        }
        context.reply(server, Reply::code(200));
        self.told(context, message);
    }

    /// What a NOTIFY says.
    fn told(&mut self, context: &mut Context<'_>, message: &Message<'_>) {
        let status = status_of(message);
        let (over, left, why) = subscription(message);
        let until = context.now + left.min(SILENCE_MAX);
        match self {
            Self::Idle | Self::Settled { .. } => return,
            Self::Asked { heard, until: end, .. } => {
                //= RFC 3515 §2.4.4: a NOTIFY may overtake the 202, and means as much
                if !std::mem::replace(heard, true) {
                    context.event(Event::Transfer(TransferState::Accepted));
                }
                *end = until;
            }
            Self::Followed { until: end, .. } => *end = until,
        }
        match status {
            Some((code @ ..200, _)) if !over => {
                context.event(Event::Transfer(TransferState::Progress { code }));
            }
            //= RFC 3515 §2.4.5: the body is the status of the new call, the last one its end
            Some((200..300, _)) => {
                self.settle();
                context.event(Event::Transfer(TransferState::Succeeded));
            }
            Some((code @ 300.., reason)) => {
                self.settle();
                fail(context, code, &reason);
            }
            Some((..200, _)) | None if over => {
                self.settle();
                fail(context, 408, &why);
            }
            Some((..200, _)) | None => {}
        }
    }

    /// Nothing was heard for too long.
    pub(super) fn timeout(&mut self, context: &mut Context<'_>) {
        match self {
            Self::Asked { until, .. } | Self::Followed { until, .. } if context.now >= *until => {
                self.settle();
                fail(context, 408, "nothing was heard of the new call");
            }
            Self::Idle | Self::Asked { .. } | Self::Followed { .. } | Self::Settled { .. } => {}
        }
    }

    /// The peer hangs up.
    ///
    /// One that has taken the transfer on often leaves as soon as it dials, and its network goes on
    /// with the new call: then neither success nor failure is known, and saying either would be
    /// wrong. The application's last word stays `Accepted` or `Progress`, and the end follows. A
    /// peer that leaves without having answered at all has not taken it on.
    pub(super) fn left(&mut self, context: &mut Context<'_>) {
        if matches!(self, Self::Asked { heard: false, .. }) {
            fail(context, 408, "the peer hung up without an answer");
        }
        *self = Self::Idle;
    }

    pub(super) fn deadline(&self) -> Option<(Instant, &'static str)> {
        match self {
            Self::Asked { until, .. } | Self::Followed { until, .. } => {
                Some((*until, "transfer_silence"))
            }
            Self::Idle | Self::Settled { .. } => None,
        }
    }

    fn settle(&mut self) {
        if let Self::Asked { id, .. } | Self::Followed { id, .. } = *self {
            *self = Self::Settled { id };
        }
    }
}

fn fail(context: &mut Context<'_>, code: u16, reason: &str) {
    let reason = tame(reason);
    context.event(Event::Transfer(TransferState::Failed { code, reason }));
}

/// The number behind `id=`.
fn id_of(params: &str) -> Option<u32> {
    params.split(';').find_map(|param| {
        let (name, value) = param.split_once('=')?;
        name.trim().eq_ignore_ascii_case("id").then(|| value.trim().parse().unwrap_or(u32::MAX))
    })
}

/// The status line of a `message/sipfrag` body; whatever follows it is left unread.
fn status_of(message: &Message<'_>) -> Option<(u16, String)> {
    if !message.has_body("message", "sipfrag") {
        return None;
    }
    let front = message.body().get(..STATUS_MAX).unwrap_or(message.body());
    let line = front.split(|byte| matches!(byte, b'\r' | b'\n')).next()?;
    let line = String::from_utf8_lossy(line);
    let rest = line.get(..8).filter(|v| v.eq_ignore_ascii_case("SIP/2.0 ")).and(line.get(8..))?;
    let (digits, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    let digits =
        Some(digits).filter(|text| text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit()));
    let code = digits?.parse().ok().filter(|code| (100..700).contains(code))?;
    Some((code, tame(reason)))
}

/// Whether the subscription is over, how long it goes on, and why it ended.
fn subscription(message: &Message<'_>) -> (bool, Duration, String) {
    let value = message.header_unfolded(Name::SubscriptionState).unwrap_or_default();
    let mut parts = value.split(';').map(str::trim);
    let over = parts.next().is_some_and(|state| state.eq_ignore_ascii_case("terminated"));
    let (mut left, mut why) = (SILENCE_MAX, "the peer tells no more");
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        if name.trim().eq_ignore_ascii_case("expires") {
            left = value.trim().parse().map_or(SILENCE_MAX, Duration::from_secs);
        } else if name.trim().eq_ignore_ascii_case("reason") {
            why = value.trim();
        }
    }
    (over, left, tame(why))
}

/// A REFER of the peer.
#[derive(Debug)]
pub(super) enum Asked {
    /// There is none.
    Idle,
    /// The application thinks about it.
    Waiting { server: ServerId, id: u32, until: Instant },
    /// It was taken on, and the peer is told how it goes.
    Taken {
        id: u32,
        until: Instant,
        /// What the new call has got.
        code: u16,
        /// The NOTIFY that is out.
        notify: Option<Tag>,
    },
}

impl Asked {
    pub(super) fn request(
        &mut self,
        context: &mut Context<'_>,
        server: ServerId,
        message: &Message<'_>,
    ) {
        if !context.policy.take_refer {
            return context.reply(server, Reply::code(603));
        }
        match self {
            Self::Waiting { .. } | Self::Taken { .. } => return context.reply_later(server),
            Self::Idle => {}
        }
        let target = match Target::of(message) {
            Ok(target) => target,
            Err(code) => return context.reply(server, Reply::code(code)),
        };
        let id = message.cseq().map_or(0, |cseq| cseq.number);
        *self = Self::Waiting { server, id, until: context.now + ANSWER_MAX };
        let referred_by = message.header_unfolded(Name::ReferredBy).and_then(|value| {
            let referrer = NameAddr::parse(&value).filter(|_| value.len() <= REFER_TO_MAX)?;
            Some(referrer.uri.text.to_owned())
        });
        let Target { to, replaces } = target;
        context.event(Event::ReferAsked { to, replaces, referred_by });
    }

    /// The application's answer to the REFER.
    pub(super) fn answer(&mut self, context: &mut Context<'_>, dialog: &mut Dialog, code: u16) {
        let Self::Waiting { server, id, .. } = *self else { return };
        if (300..700).contains(&code) {
            *self = Self::Idle;
            return context.reply(server, Reply::code(code));
        }
        //= RFC 3515 §2.4.2: 202 if the REFER is taken on
        context.reply(server, Reply::code(202));
        let until = context.now + SUBSCRIBED;
        *self = Self::Taken { id, until, code: 100, notify: None };
        //= RFC 3515 §2.4.4: a NOTIFY MUST be sent at once
        self.say(context, dialog, 100, None);
    }

    /// The application's word on the new call.
    pub(super) fn progress(&mut self, context: &mut Context<'_>, dialog: &mut Dialog, code: u16) {
        let code = code.clamp(100, 699);
        //= RFC 3515 §2.4.7: the final NOTIFY ends the subscription with reason noresource
        self.say(context, dialog, code, (code >= 200).then_some("noresource"));
    }

    /// Sends a NOTIFY, the last one if there is a reason for that.
    fn say(
        &mut self,
        context: &mut Context<'_>,
        dialog: &mut Dialog,
        status: u16,
        last: Option<&str>,
    ) {
        let Self::Taken { id, until, code, notify } = self else { return };
        let tag = context.known.tag();
        (*code, *notify) = (status, Some(tag));
        let state = match last {
            Some(reason) => format!("terminated;reason={reason}"),
            None => format!("active;expires={}", (*until - context.now).as_secs()),
        };
        let mut request = dialog.request(Method::Notify);
        //= RFC 3515 §2.4.6: Event: refer with the CSeq number of the REFER as id
        let headers = [(Name::Event, format!("refer;id={id}")), (Name::SubscriptionState, state)];
        let headers = headers.map(|(name, value)| (name.as_str().to_owned(), value));
        request.headers.extend(headers);
        //= RFC 3515 §2.4.5: the body MUST begin with a status line
        let line = format!("SIP/2.0 {status} {}\r\n", reason_phrase(status));
        request.body = ("message/sipfrag;version=2.0", line.into_bytes());
        context.effects.push(Effect::Request { purpose: Purpose::InDialog(tag), request });
        if last.is_some() {
            *self = Self::Idle;
        }
    }

    /// The final answer to a request of ours; false if it is not that of the last NOTIFY.
    //= RFC 6665 §4.2.2: a NOTIFY that gets 481 ends the subscription
    pub(super) fn answered(&mut self, of: Tag, code: u16) -> bool {
        let Self::Taken { notify: Some(tag), .. } = *self else { return false };
        if tag == of && code == 481 {
            *self = Self::Idle;
        }
        tag == of
    }

    pub(super) fn timeout(&mut self, context: &mut Context<'_>, dialog: &mut Dialog) {
        match *self {
            Self::Waiting { server, until, .. } if context.now >= until => {
                *self = Self::Idle;
                context.reply(server, Reply::code(603));
            }
            //= RFC 6665 §4.2.2: an expired subscription ends with a NOTIFY, reason timeout
            Self::Taken { until, code, .. } if context.now >= until => {
                self.say(context, dialog, code, Some("timeout"));
            }
            Self::Idle | Self::Waiting { .. } | Self::Taken { .. } => {}
        }
    }

    /// The session ends: a REFER that waits is answered all the same.
    pub(super) fn drop(&mut self, context: &mut Context<'_>) {
        if let Self::Waiting { server, .. } = *self {
            context.reply(server, Reply::code(487));
        }
        *self = Self::Idle;
    }

    pub(super) fn deadline(&self) -> Option<(Instant, &'static str)> {
        match self {
            Self::Idle => None,
            Self::Waiting { until, .. } => Some((*until, "refer_unanswered")),
            Self::Taken { until, .. } => Some((*until, "refer_expiry")),
        }
    }
}

/// What Refer-To asks to be called.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    /// Without header components and without a method.
    to: String,
    replaces: Option<String>,
}

impl Target {
    /// Reads Refer-To, or says which status refuses it.
    fn of(message: &Message<'_>) -> Result<Self, u16> {
        //= RFC 3515 §2.4.2: none or more than one Refer-To: 400
        if message.count(Name::ReferTo) != 1 {
            return Err(400);
        }
        let value = message.header(Name::ReferTo).map(unfold).unwrap_or_default();
        if value.len() > REFER_TO_MAX {
            return Err(400);
        }
        let uri = NameAddr::parse(&value).ok_or(400_u16)?.uri;
        if uri.user.is_none() && !uri.is_sip() {
            return Err(416);
        }
        if uri.params.get("method").is_some_and(|method| method != "INVITE") {
            return Err(501);
        }
        Ok(Self { to: target_of(&uri), replaces: replaces_in(&uri)? })
    }
}

/// The Replaces that stands in the header components; all others are dropped.
//= RFC 3261 §19.1.5: header fields that are dangerous SHOULD NOT be honoured
fn replaces_in(uri: &Uri<'_>) -> Result<Option<String>, u16> {
    let mut found = None;
    for part in uri.headers.unwrap_or("").split('&') {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        if !name.eq_ignore_ascii_case("Replaces") {
            continue;
        }
        let value = unescape(value).filter(|value| is_replaces(value)).ok_or(400_u16)?;
        if found.replace(value).is_some() {
            //= RFC 3891 §3: more than one Replaces: 400
            return Err(400);
        }
    }
    Ok(found)
}

/// `call-id;to-tag=…;from-tag=…`, in one line of visible ASCII.
//= RFC 3891 §6.1: exactly one to-tag and one from-tag
fn is_replaces(value: &str) -> bool {
    let mut parts = value.split(';');
    let call_id = parts.next().unwrap_or("");
    let visible = value.bytes().all(|byte| byte.is_ascii_graphic());
    let count = |wanted: &str| {
        let named = value.split(';').skip(1).filter_map(|part| part.split_once('='));
        named.filter(|(name, tag)| name.eq_ignore_ascii_case(wanted) && !tag.is_empty()).count()
    };
    visible && !call_id.is_empty() && count("to-tag") == 1 && count("from-tag") == 1
}

/// Resolves `%xx`; `None` for a bad escape or bytes that are not UTF-8.
fn unescape(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            out.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop_assert, proptest};

    fn refer(refer_to: &str) -> Result<Target, u16> {
        let text = format!("REFER sip:a@b SIP/2.0\r\nRefer-To: {refer_to}\r\n\r\n");
        Target::of(&Message::parse(text.as_bytes()).unwrap())
    }

    fn notify(body: &str) -> Option<(u16, String)> {
        let kind = "Content-Type: message/sipfrag;version=2.0\r\n";
        let text = format!("NOTIFY sip:a@b SIP/2.0\r\n{kind}\r\n{body}");
        status_of(&Message::parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn replaces_is_the_only_header_component_that_counts() {
        let replaces = |text: &str| refer(text).map(|target| target.replaces);
        let whole = "x@y;to-tag=1;from-tag=2;early-only";
        let escaped = "x%40y%3Bto-tag%3D1%3bfrom-tag%3d2%3Bearly-only";
        let cases = [
            (format!("<sip:a@b?Replaces={escaped}>"), Ok(Some(whole.to_owned()))),
            (format!("<sip:a@b?Route=x&rEPLACES={escaped}&y>"), Ok(Some(whole.to_owned()))),
            ("<sip:a@b?Replace=x>".to_owned(), Ok(None)),
            ("<sip:a@b?>".to_owned(), Ok(None)),
            ("<sip:a@b?Replaces>".to_owned(), Err(400)),
            ("<sip:a@b?Replaces=%3Bto-tag%3D1%3Bfrom-tag%3D2>".to_owned(), Err(400)),
            ("<sip:a@b?Replaces=x%3Bto-tag%3D%3Bfrom-tag%3D2>".to_owned(), Err(400)),
            ("<sip:a@b?Replaces=x%3Bto-tag%3D1%3Bto-tag%3D1%3Bfrom-tag%3D2>".to_owned(), Err(400)),
        ];
        for (text, want) in cases {
            assert_eq!(replaces(&text), want, "{text}");
        }
    }

    #[test]
    fn status_lines_are_read_strictly() {
        assert_eq!(notify("SIP/2.0 200 OK\r\nTo: x"), Some((200, "OK".to_owned())));
        assert_eq!(notify("SIP/2.0 180"), Some((180, String::new())));
        assert_eq!(notify("SIP/2.0  200 OK"), None);
        assert_eq!(notify("SIP/2.0 200OK"), None);
        let long = format!("SIP/2.0 486 {}", "\u{e4}".repeat(400));
        assert!(notify(&long).is_some_and(|(code, reason)| code == 486 && reason.len() <= 512));
    }

    #[test]
    fn subscription_states_are_read() {
        let cases = [
            ("active;expires=7", false, 7, "the peer tells no more"),
            ("Terminated ; reason = rejected", true, 60, "rejected"),
            ("pending", false, 60, "the peer tells no more"),
            ("", false, 60, "the peer tells no more"),
            ("active;expires=-1", false, 60, "the peer tells no more"),
        ];
        for (value, over, left, why) in cases {
            let text = format!("NOTIFY sip:a@b SIP/2.0\r\nSubscription-State: {value}\r\n\r\n");
            let read = subscription(&Message::parse(text.as_bytes()).unwrap());
            assert_eq!(read, (over, Duration::from_secs(left), why.to_owned()), "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_refer_to_brings_more_than_a_uri_and_one_replaces(text in "[ -~\u{a0}-\u{ff}]{0,80}") {
            for text in [text.clone(), format!("<sip:a@b{text}>"), format!("<sip:a@b?Replaces={text}>")] {
                if let Ok(Target { to, replaces }) = refer(&text) {
                    prop_assert!(Uri::parse(&to).is_ok_and(|uri| uri.headers.is_none()), "{to}");
                    let plain = |text: &str| !text.contains(['\r', '\n', ' ']);
                    prop_assert!(plain(&to) && replaces.is_none_or(|value| plain(&value)));
                }
            }
        }

        #[test]
        fn no_body_breaks_the_reader_of_status_lines(body in proptest::collection::vec(0_u8..=255, 0..400)) {
            let mut text = b"NOTIFY sip:a@b SIP/2.0\r\nc: message/sipfrag\r\n\r\n".to_vec();
            text.extend([b"SIP/2.0 ", &body[..]].concat());
            if let Some((code, reason)) = status_of(&Message::parse(&text).unwrap()) {
                prop_assert!((100..700).contains(&code) && !reason.contains(char::is_control));
            }
        }
    }
}
