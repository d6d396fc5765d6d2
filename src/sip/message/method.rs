//! Request methods.

use std::fmt;

/// A request method; case matters (RFC 3261 §7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Method<'a> {
    /// `INVITE`
    Invite,
    /// `ACK`
    Ack,
    /// `BYE`
    Bye,
    /// `CANCEL`
    Cancel,
    /// `OPTIONS`
    Options,
    /// `REGISTER`
    Register,
    /// `PRACK` (RFC 3262)
    Prack,
    /// `UPDATE` (RFC 3311)
    Update,
    /// `INFO` (RFC 6086)
    Info,
    /// `REFER` (RFC 3515)
    Refer,
    /// `NOTIFY` (RFC 6665)
    Notify,
    /// `SUBSCRIBE` (RFC 6665)
    Subscribe,
    /// `MESSAGE` (RFC 3428)
    Message,
    /// `PUBLISH` (RFC 3903)
    Publish,
    /// An extension method.
    Other(&'a str),
}

impl<'a> Method<'a> {
    /// Names a method; whether the text is a token is checked by [`Method::is_token`].
    pub fn new(text: &'a str) -> Self {
        match text {
            "INVITE" => Self::Invite,
            "ACK" => Self::Ack,
            "BYE" => Self::Bye,
            "CANCEL" => Self::Cancel,
            "OPTIONS" => Self::Options,
            "REGISTER" => Self::Register,
            "PRACK" => Self::Prack,
            "UPDATE" => Self::Update,
            "INFO" => Self::Info,
            "REFER" => Self::Refer,
            "NOTIFY" => Self::Notify,
            "SUBSCRIBE" => Self::Subscribe,
            "MESSAGE" => Self::Message,
            "PUBLISH" => Self::Publish,
            other => Self::Other(other),
        }
    }

    /// The method as it stands on the wire.
    pub const fn as_str(self) -> &'a str {
        match self {
            Self::Invite => "INVITE",
            Self::Ack => "ACK",
            Self::Bye => "BYE",
            Self::Cancel => "CANCEL",
            Self::Options => "OPTIONS",
            Self::Register => "REGISTER",
            Self::Prack => "PRACK",
            Self::Update => "UPDATE",
            Self::Info => "INFO",
            Self::Refer => "REFER",
            Self::Notify => "NOTIFY",
            Self::Subscribe => "SUBSCRIBE",
            Self::Message => "MESSAGE",
            Self::Publish => "PUBLISH",
            Self::Other(text) => text,
        }
    }

    /// The same method without a borrow; `None` for extension methods.
    pub const fn known(self) -> Option<Method<'static>> {
        Some(match self {
            Self::Invite => Method::Invite,
            Self::Ack => Method::Ack,
            Self::Bye => Method::Bye,
            Self::Cancel => Method::Cancel,
            Self::Options => Method::Options,
            Self::Register => Method::Register,
            Self::Prack => Method::Prack,
            Self::Update => Method::Update,
            Self::Info => Method::Info,
            Self::Refer => Method::Refer,
            Self::Notify => Method::Notify,
            Self::Subscribe => Method::Subscribe,
            Self::Message => Method::Message,
            Self::Publish => Method::Publish,
            Self::Other(_) => return None,
        })
    }

    /// Whether the text keeps to the grammar of a method: one or more token letters.
    pub fn is_token(self) -> bool {
        super::lex::is_token(self.as_str())
    }
}

impl fmt::Display for Method<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
