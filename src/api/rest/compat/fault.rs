//! Errors in Twilio's shape: `code`, `message`, `more_info`, `status`.
//!
//! Owns the table from our problems to Twilio's numbers. The number's page is the vendor's own.

use crate::api::error::{Code, Problem};
use crate::api::rest::once::json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::json as object;
use std::time::Duration;

/// An answer to a request of a Twilio client that cannot be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    status: u16,
    code: u32,
    message: String,
    retry_after: Option<Duration>,
}

impl Fault {
    pub(super) fn new(status: u16, code: u32, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after: None }
    }

    /// Nobody, or somebody else, has signed in.
    pub(super) fn unauthorized() -> Self {
        Self::new(401, 20_003, "Authenticate")
    }

    pub(super) fn not_found(path: &str) -> Self {
        let shown: String = path.chars().filter(|c| !c.is_control()).take(128).collect();
        Self::new(404, 20_404, format!("The requested resource {shown} was not found"))
    }

    /// A parameter that Twilio knows and this gateway does not serve, or that nobody knows.
    pub(super) fn unserved(name: &str) -> Self {
        let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
        let message = format!("{shown} is not served by this gateway; see docs/compat.md");
        Self::new(400, 20_001, message)
    }

    /// The call is in no state for it.
    pub(super) fn wrong_state(message: &str) -> Self {
        Self::new(400, 21_220, message)
    }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        let at = problem.errors.first().map_or("", |error| error.pointer.as_str());
        let (status, code) = match problem.code {
            Code::Unauthorized => (401, 20_003),
            Code::ForbiddenInstance | Code::ForbiddenScope => (403, 20_403),
            Code::DestinationNotAllowed => (403, 21_215),
            Code::NotFound => (404, 20_404),
            Code::InvalidPhoneNumber => (400, 21_211),
            Code::InvalidRequest if at == "/from" => (400, 21_210),
            Code::Conflict | Code::CallEnded | Code::ResumeOver | Code::StreamAlreadyAttached => {
                (400, 21_220)
            }
            Code::RateLimited | Code::TrunkCpsExceeded => (429, 20_429),
            Code::CapacityExceeded
            | Code::Draining
            | Code::TrunkUnavailable
            | Code::AgentEngineUnavailable => (503, 20_503),
            Code::Internal => (500, 20_500),
            Code::InvalidRequest
            | Code::MissingField
            | Code::UnsupportedType
            | Code::UnknownVoice
            | Code::AudioUndecodable
            | Code::AudioTooLarge
            | Code::IdempotencyMismatch
            | Code::NotImplemented => (problem.status, 20_001),
        };
        let retry_after = problem.retry_after;
        Self { status, code, message: problem.detail, retry_after }
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let body = object!({
            "code": self.code,
            "message": self.message,
            "more_info": format!("https://www.twilio.com/docs/errors/{}", self.code),
            "status": self.status,
        });
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        let mut response = json(status, body.to_string());
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            let realm = HeaderValue::from_static("Basic realm=\"Twilio API\"");
            headers.insert(header::WWW_AUTHENTICATE, realm);
        }
        if let Some(after) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
        }
        response
    }
}
