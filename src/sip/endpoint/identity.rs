//! Who calls and who is called: identity as header fields tell it, both ways.
//!
//! ```text
//!   INVITE in:  Request-URI, From, P-Asserted-Identity, Privacy, Diversion … ─> Incoming
//!   INVITE out: Invite, IdentityHeader of the trunk ─> From, P-Asserted-Identity, Privacy
//! ```
//!
//! Owns the bounds on foreign text, and which header fields the application may write. Believes
//! nothing: what a carrier asserts is passed on as such; `sip::stir` verifies what is signed.

use super::Endpoint;
use crate::id::SessionId;
use crate::sip::interface::{Flow, IdentityHeader, Incoming, Invite, Parties, PeerIdentity};
use crate::sip::message::{
    Message, Name, NameAddr, Scheme, StartLine, Uri, escape_user, quoted, unfold, unquote,
};
use crate::sip::session::tame;
use std::fmt::Write as _;

/// Most `X-` header fields, and most watched ones, that are passed to the application.
const FIELDS_MAX: usize = 32;
/// Most letters of such a value.
const VALUE_MAX: usize = 4096;
/// Most P-Asserted-Identity values (RFC 3325 §9.1 knows two).
const ASSERTED_MAX: usize = 2;
/// Most values of Diversion and of History-Info.
const HISTORY_MAX: usize = 8;
/// Most Identity header fields; longer ones are left out.
const IDENTITIES_MAX: usize = 4;
/// Most letters of a URI that is passed on.
const URI_MAX: usize = 512;
/// Most header fields that the application may add to an INVITE.
const EXTRA_MAX: usize = 64;

/// Header fields that are ours to write: the application would contradict the stack.
const OURS: [Name; 28] = [
    Name::Via,
    Name::From,
    Name::To,
    Name::CallId,
    Name::CSeq,
    Name::MaxForwards,
    Name::Contact,
    Name::Route,
    Name::RecordRoute,
    Name::ContentLength,
    Name::ContentType,
    Name::ContentEncoding,
    Name::Authorization,
    Name::ProxyAuthorization,
    Name::WwwAuthenticate,
    Name::ProxyAuthenticate,
    Name::Require,
    Name::ProxyRequire,
    Name::Supported,
    Name::Allow,
    Name::SessionExpires,
    Name::MinSe,
    Name::RAck,
    Name::RSeq,
    Name::Replaces,
    Name::Join,
    Name::UserAgent,
    Name::Expires,
];

/// What the application must know of an INVITE; `watched` names further header fields.
pub(super) fn incoming(
    trunk: &str,
    watched: &[String],
    flow: &Flow,
    message: &Message<'_>,
    replaces: Option<SessionId>,
) -> Incoming {
    let uri = match message.start_line() {
        StartLine::Request { uri, .. } => uri,
        StartLine::Response { .. } => "",
    };
    let from = message.from().ok();
    let identity = peer_identity(uri, message);
    let hidden = from.as_ref().is_none_or(is_anonymous);
    Incoming {
        trunk: trunk.to_owned(),
        to_user: Uri::parse(uri).map(|uri| number_of(&uri)).unwrap_or_default(),
        from_user: from.filter(|_| !hidden).map(|from| number_of(&from.uri)).unwrap_or_default(),
        from_display: from.and_then(|from| Some(tame(&from.display_name()?))),
        sip_call_id: message.call_id().unwrap_or("").to_owned(),
        headers: fields(message, |name| {
            name.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("x-"))
        }),
        watched: fields(message, |name| {
            let known = Name::find(name.as_bytes());
            watched.iter().take(FIELDS_MAX).any(|watched| {
                watched.eq_ignore_ascii_case(name)
                    || (known != Name::Other && known == Name::find(watched.as_bytes()))
            })
        }),
        identity,
        replaces,
        sdp: message.has_body("application", "sdp").then(|| message.body().to_vec()),
        remote: flow.remote,
    }
}

/// The header fields whose names are wanted, in order; bounded.
fn fields(message: &Message<'_>, wanted: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let wanted = message.lines().filter(|(name, _)| wanted(name));
    wanted
        .take(FIELDS_MAX)
        .map(|(name, value)| (name.to_owned(), plain(value, VALUE_MAX)))
        .collect()
}

/// Foreign text in one line, cut to a bound and without controls.
fn plain(value: &str, letters_max: usize) -> String {
    unfold(value).chars().filter(|letter| !letter.is_control()).take(letters_max).collect()
}

/// The user part of a URI as a number or name: a telephone number without what is only written to
/// be read, and without its parameters.
//= RFC 3966 §5.1.1: visual separators have no meaning
//= RFC 3261 §19.1.1: the user part of a sip URI may be a telephone-subscriber with its parameters
fn number_of(uri: &Uri<'_>) -> String {
    let user = uri.user_unescaped();
    match uri.scheme {
        Scheme::Tel => {
            tame(&user).chars().filter(|c| !matches!(c, '-' | '.' | '(' | ')' | ' ')).collect()
        }
        Scheme::Sip | Scheme::Sips | Scheme::Other(_) => {
            let number = user.split(';').next().unwrap_or("");
            let digits = number.strip_prefix('+').unwrap_or(number);
            let dialled = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            tame(if dialled { number } else { &user })
        }
    }
}

fn is_anonymous(from: &NameAddr<'_>) -> bool {
    from.uri.user.is_some_and(|user| user.eq_ignore_ascii_case("anonymous"))
        || from.uri.host.to_string().eq_ignore_ascii_case("anonymous.invalid")
}

fn peer_identity(request: &str, message: &Message<'_>) -> PeerIdentity {
    let uris = |name: Name, most: usize| -> Vec<String> {
        let values = message.addresses(name).filter_map(Result::ok).take(most);
        values.map(|address| plain(address.uri.text, URI_MAX)).collect()
    };
    let from = message.from().ok();
    //= RFC 3323 §4.2: priv-values are separated by semicolons
    let private = message
        .values(Name::Privacy)
        .flat_map(|value| value.split([';', ',']))
        .any(|v| ["id", "user", "header"].iter().any(|asked| v.trim().eq_ignore_ascii_case(asked)));
    let asserted = message.addresses(Name::PAssertedIdentity).filter_map(Result::ok);
    let identity = message.values(Name::Identity).filter(|value| value.len() <= VALUE_MAX);
    let whole = |uri: &str| (uri.len() <= URI_MAX).then(|| plain(uri, URI_MAX));
    PeerIdentity {
        parties: Parties {
            from: from.as_ref().and_then(|from| whole(from.uri.text)),
            to: message.to().ok().and_then(|to| whole(to.uri.text)),
            request: whole(request),
        },
        asserted: uris(Name::PAssertedIdentity, ASSERTED_MAX),
        preferred: uris(Name::PPreferredIdentity, 1).pop(),
        anonymous: private || from.as_ref().is_some_and(is_anonymous),
        diversion: uris(Name::Diversion, HISTORY_MAX),
        history: uris(Name::HistoryInfo, HISTORY_MAX),
        verstat: asserted.take(ASSERTED_MAX).chain(from).find_map(|a| verstat_of(&a)),
        identity: identity.take(IDENTITIES_MAX).map(|value| plain(value, VALUE_MAX)).collect(),
    }
}

/// `verstat`, as a parameter of the number, of the URI or of the field.
fn verstat_of(address: &NameAddr<'_>) -> Option<String> {
    let user = address.uri.user_unescaped();
    let in_user = user.split(';').skip(1).find_map(|param| {
        let (name, value) = param.split_once('=')?;
        name.eq_ignore_ascii_case("verstat").then(|| value.to_owned())
    });
    let in_params = || address.uri.params.get("verstat").or(address.params.get("verstat"));
    let value = in_user.or_else(|| in_params().map(|value| unquote(value).into_owned()))?;
    Some(tame(&value)).filter(|value| !value.is_empty())
}

/// Whether the header fields of the application can stand in an INVITE.
pub(super) fn may_be_added(headers: &[(String, String)]) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte);
    let fits = |(name, value): &(String, String)| {
        let named = !name.is_empty() && name.bytes().all(token);
        let known = Name::find(name.as_bytes());
        let one_line = !value.contains(['\r', '\n', '\0']) && value.len() <= VALUE_MAX;
        named && one_line && (known == Name::Other || !OURS.contains(&known))
    };
    headers.len() <= EXTRA_MAX && headers.iter().all(fits)
}

impl Endpoint {
    /// From, and the header fields that tell the network who calls.
    pub(super) fn caller_identity(
        &self,
        trunk: usize,
        tag: &str,
        invite: &Invite,
    ) -> (String, Vec<(String, String)>) {
        let host = self.host_for_from(trunk);
        let scheme = if invite.to.get(..5).is_some_and(|to| to.eq_ignore_ascii_case("sips:")) {
            "sips"
        } else {
            "sip"
        };
        let anonymous = invite.from_user.is_empty();
        let from = if anonymous {
            //= RFC 3323 §4.1.1.3: the anonymous URI
            format!("\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag={tag}")
        } else {
            let user = escape_user(&invite.from_user);
            match &invite.from_display {
                Some(name) => format!("{} <{scheme}:{user}@{host}>;tag={tag}", quoted(name)),
                None => format!("<{scheme}:{user}@{host}>;tag={tag}"),
            }
        };
        let mode = self.trunks.get(trunk).map_or(IdentityHeader::None, |trunk| trunk.identity);
        let field = match mode {
            IdentityHeader::None => None,
            //= RFC 3325 §9.1: asserted among elements that trust each other
            IdentityHeader::Asserted => Some(Name::PAssertedIdentity),
            //= RFC 3325 §9.2: preferred, from a user agent to a proxy that it trusts
            IdentityHeader::Preferred => Some(Name::PPreferredIdentity),
        };
        let number = invite.identity.as_deref().filter(|number| !number.is_empty());
        let value = field.zip(number).map(|(field, number)| (field, identity_uri(number, &host)));
        let mut headers = Vec::new();
        let mut add = |name: Name, value: String| {
            let taken = invite.headers.iter().any(|(n, _)| Name::find(n.as_bytes()) == name);
            if !taken {
                headers.push((name.as_str().to_owned(), value));
            }
        };
        if let Some((field, value)) = value {
            add(field, value);
        }
        if anonymous {
            //= RFC 3325 §9.3: id asks that the network keeps the asserted identity to itself
            add(Name::Privacy, "id".to_owned());
        }
        (from, headers)
    }
}

/// A number of ours, or a URI, as the value of P-Asserted-Identity.
fn identity_uri(number: &str, host: &str) -> String {
    let number: String =
        number.chars().filter(|c| !c.is_control() && !"<>\"".contains(*c)).collect();
    let mut value = String::with_capacity(number.len() + host.len() + 8);
    // Writing to a String cannot fail.
    let _ = match Uri::parse(&number) {
        Ok(_) => write!(value, "<{number}>"),
        Err(_) => write!(value, "<sip:{}@{host}>", escape_user(&number)),
    };
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop_assert, proptest};

    fn invite(uri: &str, from: &str, extra: &str) -> Incoming {
        let text = format!(
            "INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bKx\r\nFrom: {from};tag=1\r\n\
             To: <sip:other@h>\r\nCall-ID: c\r\nCSeq: 3 INVITE\r\n{extra}\r\n"
        );
        let flow = Flow {
            transport: crate::sip::interface::Transport::Udp,
            local: "10.0.0.1:5060".parse().unwrap(),
            remote: "10.0.0.2:5060".parse().unwrap(),
            connection: None,
        };
        let watched = ["P-Charge-Info".to_owned(), "from".to_owned(), "Subject".to_owned()];
        incoming("t", &watched, &flow, &Message::parse(text.as_bytes()).unwrap(), None)
    }

    #[test]
    fn numbers_are_those_of_the_request_uri_and_from() {
        let cases = [
            ("sip:+14155550123@h", "<sip:bob@h>", "+14155550123", "bob"),
            ("tel:+1-415-555.01(23)", "<tel:+49-30-1>", "+14155550123", "+49301"),
            ("sip:+1;npdi;rn=2@h;user=phone", "<sip:+49;verstat=x@h>", "+1", "+49"),
            ("sip:a;b@h", "<sip:a%3Bb@h>", "a;b", "a;b"),
            ("sip:h", "\"x\" <sip:anonymous@anonymous.invalid>", "", ""),
            ("sip:gw%2b1@h", "<sip:Anonymous@h>", "gw+1", ""),
        ];
        for (uri, from, to_user, from_user) in cases {
            let call = invite(uri, from, "");
            assert_eq!(
                (call.to_user.as_str(), call.from_user.as_str()),
                (to_user, from_user),
                "{uri}"
            );
        }
    }

    #[test]
    fn peers_identity_is_read_and_bounded() {
        let call = invite(
            "sip:1@h",
            "<sip:+1555@h>",
            "P-Asserted-Identity: \"A\" <sip:+1555;verstat=TN-Validation-Passed@h>, <tel:+1555>\r\n\
             P-Asserted-Identity: <sip:third@h>\r\nP-Preferred-Identity: <sip:p@h>\r\n\
             Privacy: critical; ID\r\n\
             Diversion: <sip:d1@h>;reason=busy, <sip:d2@h>\r\n\
             History-Info: <sip:h1@h>;index=1,<sip:h2@h>;index=1.1\r\nIdentity: eyJ.a.b;info=<x>\r\n\
             X-One: 1\r\nx-two: a\tb\r\ns: hello\r\nP-Charge-Info: <sip:c@h>\r\n",
        );
        let id = &call.identity;
        assert_eq!(id.asserted, ["sip:+1555;verstat=TN-Validation-Passed@h", "tel:+1555"]);
        assert_eq!(id.preferred.as_deref(), Some("sip:p@h"));
        assert!(id.anonymous);
        assert_eq!((id.diversion.len(), id.history.len()), (2, 2));
        assert_eq!((id.diversion[0].as_str(), id.history[0].as_str()), ("sip:d1@h", "sip:h1@h"));
        assert_eq!(id.verstat.as_deref(), Some("TN-Validation-Passed"));
        assert_eq!(id.identity, ["eyJ.a.b;info=<x>"]);
        let party = |uri: &str| Some(uri.to_owned());
        let (from, to) = (party("sip:+1555@h"), party("sip:other@h"));
        assert_eq!(id.parties, Parties { from, to, request: party("sip:1@h") });
        assert_eq!(call.from_user, "+1555", "From is what it is; Privacy is told beside it");
        let pair = |(a, b): (&str, &str)| (a.to_owned(), b.to_owned());
        assert_eq!(call.headers, [("X-One", "1"), ("x-two", "ab")].map(pair));
        let watched: Vec<&str> = call.watched.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(watched, ["From", "s", "P-Charge-Info"]);
    }

    #[test]
    fn floods_of_identity_are_cut() {
        let extra: String =
            (0..10).map(|i| format!("Diversion: <sip:{i}@h>\r\n")).collect::<Vec<_>>().concat()
                + &(0..6).map(|_| "Identity: x\r\n").collect::<String>()
                + &format!("Identity: {}\r\n", "y".repeat(5000))
                + "Privacy: none\r\nP-Asserted-Identity: <<<\r\n";
        let id = invite("sip:1@h", "<sip:a@h>", &extra).identity;
        assert_eq!((id.diversion.len(), id.identity.len(), id.asserted.len()), (8, 4, 0));
        assert!(!id.anonymous);
        assert_eq!(id.verstat, None);
    }

    #[test]
    fn verstat_is_found_wherever_carriers_put_it() {
        for from in [
            "<sip:+1;verstat=No-TN-Validation@h>",
            "<tel:+1;verstat=No-TN-Validation>",
            "<sip:+1@h;verstat=No-TN-Validation>",
            "<sip:+1@h>;verstat=No-TN-Validation",
        ] {
            let found = invite("sip:1@h", from, "").identity.verstat;
            assert_eq!(found.as_deref(), Some("No-TN-Validation"), "{from}");
        }
    }

    proptest! {
        #[test]
        fn any_header_fields_are_survived_and_bounded(
            name in "(P-Asserted-Identity|Diversion|History-Info|Identity|Privacy|X-A|Subject)",
            values in proptest::collection::vec("[ -~\u{e4}\t]{0,80}", 0..40),
            from in "[!-;=?-~]{0,40}",
        ) {
            let extra = values.iter().map(|v| format!("{name}: {v}\r\n")).collect::<Vec<_>>().concat();
            let call = invite("sip:1@h", &format!("<sip:{from}@h>"), &extra);
            prop_assert!(call.headers.len() <= FIELDS_MAX && call.watched.len() <= FIELDS_MAX);
            let id = &call.identity;
            prop_assert!(id.asserted.len() <= 2 && id.diversion.len() <= 8);
            prop_assert!(id.history.len() <= 8 && id.identity.len() <= 4);
            let texts = id.asserted.iter().chain(&id.diversion).chain(&id.identity);
            prop_assert!(!texts.chain([&call.from_user]).any(|t| t.contains(char::is_control)));
        }
    }

    #[test]
    fn header_fields_of_the_application_are_checked() {
        let one = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        for (name, value) in [
            ("X-A", "b"),
            ("Diversion", "<sip:a@b>"),
            ("Subject", "\u{fc}"),
            ("P-Asserted-Identity", "x"),
        ] {
            assert!(may_be_added(&one(name, value)), "{name}");
        }
        for (name, value) in [
            ("", "x"),
            ("X A", "x"),
            ("X-A:", "x"),
            ("X-A", "a\r\nVia: x"),
            ("X-A", "a\0"),
            ("v", "SIP/2.0/UDP x"),
            ("VIA", "x"),
            ("Contact", "x"),
            ("m", "x"),
            ("content-length", "1"),
            ("Require", "foo"),
            ("route", "<sip:x;lr>"),
        ] {
            assert!(!may_be_added(&one(name, value)), "{name}");
        }
        assert!(!may_be_added(&vec![("X-A".to_owned(), String::new()); 65]));
        assert!(!may_be_added(&one("X-A", &"x".repeat(5000))));
    }
}
