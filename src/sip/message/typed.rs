//! Typed access to the header fields of a [`Message`]: read when asked for, never stored.

use super::auth_params::{AuthParams, Challenge};
use super::headers::{CSeq, HeaderError, MediaType, NameAddr, Via};
use super::{Message, Name, lex, scan};

impl<'a> Message<'a> {
    /// From.
    ///
    /// # Errors
    /// [`HeaderError`]; so it is with every accessor here.
    pub fn from(&self) -> Result<NameAddr<'a>, HeaderError> {
        self.one(Name::From, NameAddr::parse)
    }

    /// To.
    ///
    /// # Errors
    /// [`HeaderError`].
    pub fn to(&self) -> Result<NameAddr<'a>, HeaderError> {
        self.one(Name::To, NameAddr::parse)
    }

    /// Call-ID: compared letter by letter.
    ///
    /// # Errors
    /// [`HeaderError`].
    pub fn call_id(&self) -> Result<&'a str, HeaderError> {
        let plain = |id: &'a str| (!id.is_empty() && !id.bytes().any(|b| b <= b' ')).then_some(id);
        self.one(Name::CallId, plain)
    }

    /// CSeq.
    ///
    /// # Errors
    /// [`HeaderError`].
    pub fn cseq(&self) -> Result<CSeq<'a>, HeaderError> {
        self.one(Name::CSeq, CSeq::parse)
    }

    /// All Via values, topmost first.
    pub fn vias(&self) -> impl Iterator<Item = Result<Via<'a>, HeaderError>> {
        self.all(Name::Via, Via::parse)
    }

    /// The topmost Via.
    ///
    /// # Errors
    /// [`HeaderError`].
    pub fn via(&self) -> Result<Via<'a>, HeaderError> {
        self.vias().next().unwrap_or(Err(HeaderError::Missing(Name::Via)))
    }

    /// All Contact addresses; `Contact: *` gives none, see [`Message::contact_is_any`].
    pub fn contacts(&self) -> impl Iterator<Item = Result<NameAddr<'a>, HeaderError>> {
        let values = self.headers(Name::Contact).filter(|value| *value != "*");
        values.map(|value| NameAddr::parse(value).ok_or(HeaderError::Malformed(Name::Contact)))
    }

    /// Whether Contact is `*`.
    pub fn contact_is_any(&self) -> bool {
        self.headers(Name::Contact).any(|value| value == "*")
    }

    /// All Route values, topmost first.
    pub fn routes(&self) -> impl Iterator<Item = Result<NameAddr<'a>, HeaderError>> {
        self.all(Name::Route, NameAddr::parse)
    }

    /// All Record-Route values, topmost first.
    pub fn record_routes(&self) -> impl Iterator<Item = Result<NameAddr<'a>, HeaderError>> {
        self.all(Name::RecordRoute, NameAddr::parse)
    }

    /// All addresses of any list field made of them: P-Asserted-Identity, Diversion, Path …
    pub fn addresses(&self, name: Name) -> impl Iterator<Item = Result<NameAddr<'a>, HeaderError>> {
        self.all(name, NameAddr::parse)
    }

    /// Max-Forwards.
    ///
    /// # Errors
    /// [`HeaderError`]; beyond 255 is malformed (RFC 3261 §20.22).
    pub fn max_forwards(&self) -> Result<u8, HeaderError> {
        self.one(Name::MaxForwards, |value| u8::try_from(scan::decimal(value.as_bytes())?).ok())
    }

    /// The number of seconds in Expires, Min-SE, Session-Expires, Retry-After …; parameters and
    /// comments behind it are ignored, too large ones give `u32::MAX`.
    ///
    /// # Errors
    /// [`HeaderError`].
    pub fn seconds(&self, name: Name) -> Result<u32, HeaderError> {
        self.one(name, |value| {
            let len = value.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(value.len());
            let (digits, rest) = lex::split_at(value, len);
            let ended = lex::trim(rest).is_empty() || lex::trim(rest).starts_with([';', '(']);
            (len > 0 && ended).then(|| digits.parse().unwrap_or(u32::MAX))
        })
    }

    /// Content-Type.
    ///
    /// # Errors
    /// [`HeaderError`].
    pub fn content_type(&self) -> Result<MediaType<'a>, HeaderError> {
        self.one(Name::ContentType, MediaType::parse)
    }

    /// Whether the body is there and is `kind/subtype`.
    pub fn has_body(&self, kind: &str, subtype: &str) -> bool {
        !self.body().is_empty() && self.content_type().is_ok_and(|t| t.is(kind, subtype))
    }

    /// All challenges of WWW-Authenticate or Proxy-Authenticate (`name`), in order; lines that
    /// cannot be read are skipped.
    pub fn challenges(&self, name: Name) -> impl Iterator<Item = Challenge<'a>> {
        self.values(name).filter_map(Challenge::parse)
    }

    /// All credentials of Authorization or Proxy-Authorization (`name`); unreadable ones skipped.
    pub fn credentials(&self, name: Name) -> impl Iterator<Item = Challenge<'a>> {
        self.challenges(name)
    }

    /// Authentication-Info (RFC 7615): `nextnonce` and its like.
    pub fn authentication_info(&self) -> Option<AuthParams<'a>> {
        self.header(Name::AuthenticationInfo).and_then(AuthParams::parse)
    }

    /// A field that must be there exactly once.
    #[inline]
    fn one<T>(
        &self,
        name: Name,
        parse: impl FnOnce(&'a str) -> Option<T>,
    ) -> Result<T, HeaderError> {
        let mut values = self.values(name);
        let value = values.next().ok_or(HeaderError::Missing(name))?;
        if values.next().is_some() {
            return Err(HeaderError::Repeated(name));
        }
        parse(value).ok_or(HeaderError::Malformed(name))
    }

    /// A field that may hold any number of values.
    fn all<T>(
        &self,
        name: Name,
        parse: impl Fn(&'a str) -> Option<T>,
    ) -> impl Iterator<Item = Result<T, HeaderError>> {
        self.headers(name).map(move |value| parse(value).ok_or(HeaderError::Malformed(name)))
    }
}
