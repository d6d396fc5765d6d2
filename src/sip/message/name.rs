//! Header field names: known ones as a one-byte id, found by a perfect-ish hash at compile time.
//!
//! Owns the spelling, the compact forms (RFC 3261 §7.3.3 and the IANA registry) and which fields
//! are comma-separated lists. Does not read values.

use std::fmt;

macro_rules! names {
    ($($variant:ident $text:literal $kind:ident $($compact:literal)?;)*) => {
        /// A header field name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Name {
            /// Any name that is not in this list; see [`super::Message::other`].
            Other,
            $(#[doc = concat!("`", $text, "`.")] $variant,)*
        }

        static KNOWN: &[(&[u8], Name)] = &[$(($text.as_bytes(), Name::$variant)),*];
        static COMPACT: &[(u8, Name)] = &[$($(($compact, Name::$variant),)?)*];

        impl Name {
            /// The long form as RFCs spell it; empty for [`Name::Other`].
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other => "",
                }
            }

            /// Whether several values may stand in one line, separated by commas.
            pub const fn is_list(self) -> bool {
                match self {
                    $(Self::$variant => names!(@ $kind),)*
                    Self::Other => false,
                }
            }
        }
    };
    (@ list) => { true };
    (@ one) => { false };
}

names! {
    Accept "Accept" list;
    AcceptContact "Accept-Contact" list b'a';
    AcceptEncoding "Accept-Encoding" list;
    AcceptLanguage "Accept-Language" list;
    AlertInfo "Alert-Info" list;
    Allow "Allow" list;
    AllowEvents "Allow-Events" list b'u';
    AuthenticationInfo "Authentication-Info" one;
    Authorization "Authorization" one;
    CallId "Call-ID" one b'i';
    CallInfo "Call-Info" list;
    Contact "Contact" list b'm';
    ContentDisposition "Content-Disposition" one;
    ContentEncoding "Content-Encoding" list b'e';
    ContentLanguage "Content-Language" list;
    ContentLength "Content-Length" one b'l';
    ContentType "Content-Type" one b'c';
    CSeq "CSeq" one;
    Date "Date" one;
    Diversion "Diversion" list;
    ErrorInfo "Error-Info" list;
    Event "Event" one b'o';
    Expires "Expires" one;
    FlowTimer "Flow-Timer" one;
    From "From" one b'f';
    Geolocation "Geolocation" list;
    HistoryInfo "History-Info" list;
    Identity "Identity" one b'y';
    IdentityInfo "Identity-Info" one b'n';
    InfoPackage "Info-Package" one;
    InReplyTo "In-Reply-To" list;
    Join "Join" one;
    MaxForwards "Max-Forwards" one;
    MimeVersion "MIME-Version" one;
    MinExpires "Min-Expires" one;
    MinSe "Min-SE" one;
    Organization "Organization" one;
    PAccessNetworkInfo "P-Access-Network-Info" list;
    PAssertedIdentity "P-Asserted-Identity" list;
    PAssociatedUri "P-Associated-URI" list;
    PCalledPartyId "P-Called-Party-ID" one;
    PChargeInfo "P-Charge-Info" one;
    PChargingVector "P-Charging-Vector" one;
    PEarlyMedia "P-Early-Media" list;
    PPreferredIdentity "P-Preferred-Identity" list;
    Path "Path" list;
    Priority "Priority" one;
    Privacy "Privacy" one;
    ProxyAuthenticate "Proxy-Authenticate" one;
    ProxyAuthenticationInfo "Proxy-Authentication-Info" one;
    ProxyAuthorization "Proxy-Authorization" one;
    ProxyRequire "Proxy-Require" list;
    RAck "RAck" one;
    Reason "Reason" list;
    RecordRoute "Record-Route" list;
    RecvInfo "Recv-Info" list;
    ReferSub "Refer-Sub" one;
    ReferTo "Refer-To" one b'r';
    ReferredBy "Referred-By" one b'b';
    RejectContact "Reject-Contact" list b'j';
    RemotePartyId "Remote-Party-ID" list;
    Replaces "Replaces" one;
    ReplyTo "Reply-To" one;
    RequestDisposition "Request-Disposition" list b'd';
    Require "Require" list;
    ResourcePriority "Resource-Priority" list;
    RetryAfter "Retry-After" one;
    Route "Route" list;
    RSeq "RSeq" one;
    SecurityClient "Security-Client" list;
    SecurityServer "Security-Server" list;
    SecurityVerify "Security-Verify" list;
    Server "Server" one;
    ServiceRoute "Service-Route" list;
    SessionExpires "Session-Expires" one b'x';
    SessionId "Session-ID" one;
    SipEtag "SIP-ETag" one;
    SipIfMatch "SIP-If-Match" one;
    Subject "Subject" one b's';
    SubscriptionState "Subscription-State" one;
    Supported "Supported" list b'k';
    TargetDialog "Target-Dialog" one;
    Timestamp "Timestamp" one;
    To "To" one b't';
    Unsupported "Unsupported" list;
    UserAgent "User-Agent" one;
    UserToUser "User-to-User" list;
    Via "Via" list b'v';
    Warning "Warning" list;
    WwwAuthenticate "WWW-Authenticate" one;
}

const SLOT_COUNT: usize = 512;
static SLOTS: [Name; SLOT_COUNT] = slots();

impl Name {
    /// Finds a name in any case, long or compact; unknown ones are [`Name::Other`].
    ///
    /// Cost: O(length of the name), no allocation.
    pub fn find(text: &[u8]) -> Self {
        if let [letter] = text {
            let letter = letter.to_ascii_lowercase();
            return COMPACT.iter().find(|(c, _)| *c == letter).map_or(Self::Other, |(_, n)| *n);
        }
        let mut at = slot(text);
        loop {
            let Some(&name) = SLOTS.get(at) else { return Self::Other };
            if name == Self::Other || name.is_spelled(text) {
                return name;
            }
            at = (at + 1) % SLOT_COUNT;
        }
    }
}

impl Name {
    /// Whether the text is this name in any case; cheaper when it is spelled as in the RFC.
    fn is_spelled(self, text: &[u8]) -> bool {
        // `Other` is entry 0 of the enum and not in the table.
        let entry = KNOWN.get((self as usize).wrapping_sub(1));
        entry.is_some_and(|(known, _)| *known == text || known.eq_ignore_ascii_case(text))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Spreads names by length and three of their letters; bit 5 set, so case does not matter.
const fn slot(text: &[u8]) -> usize {
    let (first, second, last) = match text {
        [first, second, .., last] => (*first, *second, *last),
        [first, last] => (*first, 0, *last),
        _ => (0, 0, 0),
    };
    let sum = text.len() * 226
        + (first | 0x20) as usize * 100
        + (second | 0x20) as usize * 7
        + (last | 0x20) as usize * 33;
    sum % SLOT_COUNT
}

#[expect(clippy::indexing_slicing, reason = "runs at compile time only: a bad index cannot build")]
const fn slots() -> [Name; SLOT_COUNT] {
    let mut slots = [Name::Other; SLOT_COUNT];
    let mut i = 0;
    while i < KNOWN.len() {
        let mut at = slot(KNOWN[i].0);
        while !matches!(slots[at], Name::Other) {
            at = (at + 1) % SLOT_COUNT;
        }
        slots[at] = KNOWN[i].1;
        i += 1;
    }
    slots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_is_found_in_any_case() {
        for (text, name) in KNOWN {
            assert_eq!(Name::find(text), *name);
            assert_eq!(Name::find(&text.to_ascii_uppercase()), *name);
            assert_eq!(Name::find(&text.to_ascii_lowercase()), *name);
            assert_eq!(name.as_str().as_bytes(), *text);
        }
        for (letter, name) in COMPACT {
            assert_eq!(Name::find(&[letter.to_ascii_uppercase()]), *name);
        }
    }

    #[test]
    fn unknown_names_are_other() {
        for text in ["", "q", "z", "X-Foo", "Viaa", "Fro", "Call_ID", "Toto"] {
            assert_eq!(Name::find(text.as_bytes()), Name::Other, "{text:?}");
        }
    }
}
