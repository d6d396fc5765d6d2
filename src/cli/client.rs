//! Bellwire's REST API as a client sees it.
//!
//! Owns requests, answers and what went wrong with them. Knows no call's meaning.

use crate::net::http::{HttpClient, HttpError, HttpRequest, HttpTimes};
use serde_json::Value;
use std::time::Duration;

/// How long one request may take.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);

/// Why the API did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// The caller's URL or key cannot be used.
    #[error("{0}")]
    Usage(String),
    /// Nobody there, or no answer.
    #[error("the API at {url} does not answer: {reason}")]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// What happened.
        reason: String,
    },
    /// It answered with a problem.
    #[error("the API refused: {status} {code}: {detail}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The problem's stable code.
        code: String,
        /// What is wrong, for people.
        detail: String,
    },
    /// It answered with something that is not Bellwire's.
    #[error("{url} does not answer like Bellwire: {reason}")]
    Strange {
        /// What was asked.
        url: String,
        /// What is odd.
        reason: String,
    },
}

/// The longest answer taken in.
const ANSWER_MAX: usize = 64 << 20;

/// A client of one API.
pub(super) struct Client {
    http: HttpClient,
    base: String,
    key: Option<String>,
}

impl Client {
    /// Makes a client for the API at `base`, e.g. `http://127.0.0.1:8080`.
    pub(super) fn new(base: &str, key: Option<String>) -> Result<Self, ClientError> {
        if !base.starts_with("http://") && !base.starts_with("https://") {
            return Err(ClientError::Usage(format!("{base}: use an http:// or https:// URL")));
        }
        let http = HttpClient::new();
        Ok(Self { http, base: base.trim_end_matches('/').to_owned(), key })
    }

    /// The URL below which the API lies.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// `GET /v1/instances`.
    pub(super) async fn instances(&self) -> Result<Value, ClientError> {
        self.send("GET", "/v1/instances", None).await
    }

    /// `POST /v1/calls`.
    pub(super) async fn create(&self, body: &Value) -> Result<Value, ClientError> {
        self.send("POST", "/v1/calls", Some(body)).await
    }

    /// `GET /v1/calls/{id}`.
    pub(super) async fn call(&self, id: &str) -> Result<Value, ClientError> {
        self.send("GET", &format!("/v1/calls/{id}"), None).await
    }

    /// `DELETE /v1/calls/{id}`.
    pub(super) async fn end(&self, id: &str) -> Result<Value, ClientError> {
        self.send("DELETE", &format!("/v1/calls/{id}"), None).await
    }

    async fn send(
        &self,
        method: &'static str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, ClientError> {
        let url = format!("{}{path}", self.base);
        let mut request = match body {
            Some(body) => HttpRequest::post_json(&url, body),
            None => HttpRequest { url: url.clone(), ..HttpRequest::default() },
        };
        request.method = method;
        request.times = HttpTimes { first_byte: REQUEST_TIME_MAX, idle: REQUEST_TIME_MAX };
        if let Some(key) = &self.key {
            request = request.with_header("authorization", &format!("Bearer {key}"));
        }
        let unreachable = |error: HttpError| ClientError::Unreachable {
            url: self.base.clone(),
            reason: error.to_string(),
        };
        let answer = self.http.send(request).await.map_err(unreachable)?;
        let status = answer.status();
        let bytes = answer.body(ANSWER_MAX).await.map_err(unreachable)?;
        read(&url, status, &bytes)
    }
}

/// What an answer says: a value, nothing (204), or a problem.
fn read(url: &str, status: u16, bytes: &[u8]) -> Result<Value, ClientError> {
    let value: Option<Value> = serde_json::from_slice(bytes).ok();
    match (status, value) {
        (204, _) => Ok(Value::Null),
        (200..=299, Some(value)) => Ok(value),
        (400..=599, Some(problem)) => {
            let text = |key: &str| problem[key].as_str().unwrap_or_default().to_owned();
            let pointers = problem["errors"].as_array().map_or(&[][..], Vec::as_slice);
            let pointers: Vec<&str> =
                pointers.iter().filter_map(|error| error["pointer"].as_str()).collect();
            let detail = match (text("detail"), pointers.join(", ")) {
                (detail, pointers) if pointers.is_empty() => detail,
                (detail, pointers) => format!("{detail} ({pointers})"),
            };
            Err(ClientError::Refused { status, code: text("code"), detail })
        }
        (status, _) => Err(ClientError::Strange {
            url: url.to_owned(),
            reason: format!("status {status} without a JSON body"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_values_or_problems() {
        assert_eq!(read("u", 204, b"").unwrap(), Value::Null);
        assert_eq!(read("u", 201, b"{\"id\":1}").unwrap()["id"], 1);
        let body = br#"{"code":"missing_field","detail":"needs tts",
            "errors":[{"pointer":"/tts/text"}]}"#;
        let error = read("u", 400, body).unwrap_err().to_string();
        assert_eq!(error, "the API refused: 400 missing_field: needs tts (/tts/text)");
        for (status, body) in [(200, "<html>"), (502, "bad gateway"), (302, "{}")] {
            let error = read("u", status, body.as_bytes()).unwrap_err();
            assert!(matches!(error, ClientError::Strange { .. }), "{status} {error}");
        }
        assert!(Client::new("ftp://x", None).is_err());
    }
}
