//! Problem bodies (RFC 9457) and the one table of error codes.
//!
//! Owns every code that the API may answer with, its HTTP status and its title. Does not decide
//! when one is due: the handlers do. A [`Problem`] travels in the response's extensions, so that
//! the outermost layer can add the request's id and path to its body.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use std::fmt::Write as _;
use std::time::Duration;

/// Where the meaning of each code can be read, relative to the API's address.
pub const PROBLEM_BASE: &str = "/problems/";

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $status:literal, $title:literal;)+) => {
        /// A stable error code of the API.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Code {
            /// All codes, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name on the wire.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The HTTP status that it comes with unless the problem says otherwise.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)+ }
            }

            /// A short title, the same for every occurrence.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)+ }
            }

            /// What it means and what to do about it.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+),)+ }
            }
        }
    };
}

codes! {
    /// The request breaks a rule; `errors` names each place. Also used, with its own status, for
    /// a method that the resource lacks (405), a body that comes too slowly (408) or is too large
    /// (413), and a content type other than JSON (415).
    InvalidRequest = "invalid_request", 400, "Invalid request";
    /// A field that this request needs is absent.
    MissingField = "missing_field", 400, "Missing field";
    /// The number is not E.164: a plus sign and 7 to 15 digits.
    InvalidPhoneNumber = "invalid_phone_number", 400, "Invalid phone number";
    /// `type` is none of the four call types.
    UnsupportedType = "unsupported_type", 400, "Unsupported call type";
    /// No voice has this id; `GET /v1/voices` lists them.
    UnknownVoice = "unknown_voice", 400, "Unknown voice";
    /// The audio is not base64, or neither MP3 nor WAV, or holds no sound.
    AudioUndecodable = "audio_undecodable", 400, "Undecodable audio";
    /// The audio has more bytes or lasts longer than allowed.
    AudioTooLarge = "audio_too_large", 413, "Audio too large";
    /// No valid key came with the request.
    Unauthorized = "unauthorized", 401, "Unauthorized";
    /// The key is not bound to this instance.
    ForbiddenInstance = "forbidden_instance", 403, "Forbidden instance";
    /// The key lacks the scope that this request needs.
    ForbiddenScope = "forbidden_scope", 403, "Forbidden scope";
    /// The trunk may not dial this destination (`allow` and `deny` of the trunk).
    DestinationNotAllowed = "destination_not_allowed", 403, "Destination not allowed";
    /// There is no such thing, or it is not yours, or the call has already ended (DELETE).
    NotFound = "not_found", 404, "Not found";
    /// The state of the resource does not permit this.
    Conflict = "conflict", 409, "Conflict";
    /// The call already has a stream client.
    StreamAlreadyAttached = "stream_already_attached", 409, "Stream already attached";
    /// The call is over.
    CallEnded = "call_ended", 410, "Call ended";
    /// There is no stream to go on with: the time for it is over, or another client came.
    ResumeOver = "resume_over", 410, "Nothing to go on with";
    /// The `Idempotency-Key` was used with another request within 24 hours.
    IdempotencyMismatch = "idempotency_mismatch", 422, "Idempotency key reused";
    /// Too many requests with this key, or too many failed attempts to sign in.
    RateLimited = "rate_limited", 429, "Rate limited";
    /// The instance's queue of waiting calls is full.
    TrunkCpsExceeded = "trunk_cps_exceeded", 429, "Too many calls waiting";
    /// Our fault; `request_id` finds it in the log.
    Internal = "internal", 500, "Internal error";
    /// The field or resource is part of the API but not built in this version.
    NotImplemented = "not_implemented", 501, "Not implemented";
    /// A limit of this node is reached; try again later.
    CapacityExceeded = "capacity_exceeded", 503, "Capacity exceeded";
    /// The node is about to stop and takes no new calls.
    Draining = "draining", 503, "Draining";
    /// The trunk that would carry the call is unknown or cannot be reached.
    TrunkUnavailable = "trunk_unavailable", 503, "Trunk unavailable";
    /// No engine is configured that could conduct the call.
    AgentEngineUnavailable = "agent_engine_unavailable", 503, "Agent engine unavailable";
}

/// One wrong place in a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) into the body, or `?name` for a query parameter.
    pub pointer: String,
    /// Stable snake_case name of the rule that is broken.
    pub code: &'static str,
    /// The rule, for people.
    pub detail: String,
}

/// How many places one answer names; a request may have many more.
const FIELD_ERRORS_MAX: usize = 32;

/// One answer to a request that cannot be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// HTTP status; that of the code's table unless set.
    pub status: u16,
    /// Stable code.
    pub code: Code,
    /// What is wrong, for people, with a way out.
    pub detail: String,
    /// The places in the request, the first one first.
    pub errors: Vec<FieldError>,
    /// When it makes sense to ask again.
    pub retry_after: Option<Duration>,
}

/// The body as it goes out.
#[derive(Serialize)]
struct Wire<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'a str>,
    code: &'static str,
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    errors: &'a [FieldError],
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
}

impl Problem {
    /// A problem with the status of its code and no further parts.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            status: code.status(),
            code,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: None,
        }
    }

    /// Names a place in the request that breaks the rule `rule`.
    #[must_use]
    pub fn with_pointer(mut self, pointer: impl Into<String>, rule: &'static str) -> Self {
        let (pointer, detail) = (pointer.into(), self.detail.clone());
        self.errors.push(FieldError { pointer, code: rule, detail });
        self
    }

    /// Takes over all named places (at most 32 are kept).
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.errors.extend(errors);
        self.errors.truncate(FIELD_ERRORS_MAX);
        self
    }

    /// What is wrong in one line, with the places in the request.
    #[must_use]
    pub fn in_words(&self) -> String {
        let mut words = self.detail.clone();
        for error in &self.errors {
            words.push_str("; ");
            words.push_str(&error.pointer);
            if error.detail != self.detail {
                words.push_str(": ");
                words.push_str(&error.detail);
            }
        }
        words
    }

    /// Replaces the status of the table (`invalid_request` with 405, 408, 413, 415, 431).
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Says when to come back; whole seconds, rounded up, at least one.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// 503: a limit of ours is reached.
    #[must_use]
    pub fn capacity_exceeded(detail: impl Into<String>) -> Self {
        Self::new(Code::CapacityExceeded, detail).with_retry_after(Duration::from_secs(1))
    }

    /// 500: our fault.
    #[must_use]
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::new(Code::Internal, detail)
    }

    /// 404: there is no such thing, or it is not yours.
    #[must_use]
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(Code::NotFound, detail)
    }

    /// The body, with what only the outermost layer knows.
    #[must_use]
    pub fn to_json(&self, instance: Option<&str>, request_id: Option<&str>) -> Vec<u8> {
        let wire = Wire {
            r#type: format!("{PROBLEM_BASE}{}", self.code.as_str()),
            title: self.code.title(),
            status: self.status,
            detail: &self.detail,
            instance,
            code: self.code.as_str(),
            errors: &self.errors,
            request_id,
            retry_after: self.retry_after_s(),
        };
        serde_json::to_vec(&wire).unwrap_or_default()
    }

    /// Makes the response, with what only the outermost layer knows.
    #[must_use]
    pub fn respond(&self, instance: Option<&str>, request_id: Option<&str>) -> Response {
        let mut response = Response::new(Body::from(self.to_json(instance, request_id)));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_s() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == 401 {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"bellwire\""),
            );
        }
        response
    }

    fn retry_after_s(&self) -> Option<u64> {
        let whole = |wait: Duration| wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.retry_after.map(|wait| whole(wait).clamp(1, 86_400))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.respond(None, None);
        response.extensions_mut().insert(self);
        response
    }
}

/// The table of codes as Markdown, for the documentation.
#[must_use]
pub fn table_as_markdown() -> String {
    let mut table = String::from("| Code | Status | Meaning |\n|---|---|---|\n");
    for code in Code::ALL {
        let meaning = code.meaning().trim();
        // Writing to a String cannot fail.
        let _ = writeln!(table, "| `{}` | {} | {meaning} |", code.as_str(), code.status());
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_snake_case_and_errors() {
        let mut names: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        for name in &names {
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!((400..600).contains(&code.status()), "{code:?}");
            assert!(!code.title().is_empty() && code.meaning().trim().ends_with('.'), "{code:?}");
        }
    }

    #[test]
    fn every_code_of_the_contract_is_in_the_table() {
        let contract = "invalid_request agent_engine_unavailable missing_field \
            invalid_phone_number unsupported_type unknown_voice audio_undecodable audio_too_large \
            unauthorized forbidden_instance not_found call_ended conflict idempotency_mismatch \
            destination_not_allowed rate_limited trunk_cps_exceeded capacity_exceeded draining \
            trunk_unavailable not_implemented internal";
        for name in contract.split_whitespace() {
            assert!(Code::ALL.iter().any(|code| code.as_str() == name), "{name}");
        }
    }

    #[test]
    fn the_body_has_the_parts_of_the_contract() {
        let problem = Problem::new(Code::MissingField, "type FIXED_TTS needs tts")
            .with_pointer("/tts/text", "required")
            .with_retry_after(Duration::from_millis(1200));
        let body: serde_json::Value =
            serde_json::from_slice(&problem.to_json(Some("/v1/calls"), Some("req_1"))).unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "type": "/problems/missing_field",
                "title": "Missing field",
                "status": 400,
                "detail": "type FIXED_TTS needs tts",
                "instance": "/v1/calls",
                "code": "missing_field",
                "errors": [{
                    "pointer": "/tts/text",
                    "code": "required",
                    "detail": "type FIXED_TTS needs tts",
                }],
                "request_id": "req_1",
                "retry_after": 2,
            })
        );
    }

    #[test]
    fn headers_follow_the_status() {
        let response = Problem::new(Code::Unauthorized, "no key").into_response();
        assert_eq!(response.status(), 401);
        assert!(response.headers().contains_key(header::WWW_AUTHENTICATE));
        let response = Problem::capacity_exceeded("full").into_response();
        assert_eq!(response.headers().get(header::RETRY_AFTER).unwrap(), "1");
        let many = (0..100).map(|n| FieldError {
            pointer: format!("/{n}"),
            code: "unknown_field",
            detail: String::new(),
        });
        let problem = Problem::new(Code::InvalidRequest, "x").with_errors(many.collect());
        assert_eq!(problem.errors.len(), 32);
    }
}
