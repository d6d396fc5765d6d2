//! What is asked when a document is wanted: Twilio's parameters, and where they stand.

use crate::twiml::document::{Link, Method};
use crate::twiml::form;

/// What every request says of the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// `CA…`.
    pub call_sid: String,
    /// `AC…`.
    pub account_sid: String,
    /// Who calls.
    pub from: String,
    /// Whom.
    pub to: String,
    /// Whether we were called.
    pub inbound: bool,
}

impl Facts {
    /// Parameters of a request about the call; `status` is one of Twilio's words.
    #[must_use]
    pub fn parameters(&self, status: &str) -> Vec<(String, String)> {
        let direction = if self.inbound { "inbound" } else { "outbound-api" };
        [
            ("CallSid", self.call_sid.as_str()),
            ("AccountSid", &self.account_sid),
            ("From", &self.from),
            ("Caller", &self.from),
            ("To", &self.to),
            ("Called", &self.to),
            ("CallStatus", status),
            ("Direction", direction),
            ("ApiVersion", "2010-04-01"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }
}

/// One request for a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Where and how.
    pub link: Link,
    /// What is said, in the order of Twilio's.
    pub parameters: Vec<(String, String)>,
}

impl Query {
    pub(super) fn new(
        facts: &Facts,
        link: Link,
        answered: bool,
        more: Vec<(String, String)>,
    ) -> Self {
        let status = if answered { "in-progress" } else { "ringing" };
        let mut parameters = facts.parameters(status);
        parameters.extend(more);
        Self { link, parameters }
    }

    /// The URL that is asked: with the parameters in it, for a GET.
    #[must_use]
    pub fn url(&self) -> String {
        match self.link.method {
            Method::Post => self.link.url.clone(),
            Method::Get => form::with_query(&self.link.url, &self.parameters),
        }
    }

    /// The parameters of the body: none, for a GET.
    #[must_use]
    pub fn body(&self) -> &[(String, String)] {
        match self.link.method {
            Method::Post => &self.parameters,
            Method::Get => &[],
        }
    }
}
