//! Idempotency: a POST that comes again with the same `Idempotency-Key` gets the same answer.
//!
//! Only answers that had an effect (2xx) are kept: a request that was refused may be put right and
//! sent again with the same key. While the first is worked on, others are told to wait (409).

use super::ApiState;
use super::body::INLINE_MAX;
use crate::api::auth::Grant;
use crate::api::error::{Code, Problem};
use crate::api::stamp;
use crate::observe::event::{Happening as _, StoreFailed};
use crate::store::{Begin, sha256};
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::Value;
use std::future::Future;
use std::time::Duration;

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const KEY_MAX: usize = 255;

/// A good answer to a POST.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Value,
    /// What a repetition gets, where it must not get the same: a secret is shown once.
    pub(super) kept: Option<Value>,
    /// Path of what was made.
    pub(super) location: Option<String>,
}

impl Answer {
    pub(super) fn new(status: StatusCode, body: Value) -> Self {
        Self { status, body, kept: None, location: None }
    }

    pub(super) fn into_response(self) -> Response {
        let mut response = json(self.status, self.body.to_string());
        let location = self.location.and_then(|path| HeaderValue::from_str(&path).ok());
        if let Some(location) = location {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }
}

/// A response with a JSON body.
pub(super) fn json(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// Does `work` unless it was done before under the request's key.
pub(super) async fn once(
    state: &ApiState,
    grant: &Grant,
    parts: &Parts,
    body: &Bytes,
    work: impl Future<Output = Result<Answer, Problem>>,
) -> Result<Response, Problem> {
    let Some(key) = key_of(&parts.headers)? else {
        return Ok(work.await?.into_response());
    };
    let hash = request_hash(parts, body).await?;
    let now = stamp::now_ms();
    let begun = state.store.begin_idempotent(grant.key.clone(), key, hash, now).await?;
    let ticket = match begun {
        Begin::Fresh(ticket) => ticket,
        Begin::Replay { status, body } => return Ok(replay(status, body)),
        Begin::Mismatch => {
            let detail = "this Idempotency-Key was used with another request";
            return Err(Problem::new(Code::IdempotencyMismatch, detail));
        }
        Begin::InProgress => {
            let detail = "the first request with this Idempotency-Key is being worked on";
            return Err(
                Problem::new(Code::Conflict, detail).with_retry_after(Duration::from_secs(1))
            );
        }
    };
    let done = work.await;
    // The answer counts, whether or not it could be kept.
    let kept = match &done {
        Ok(answer) => {
            let body = answer.kept.as_ref().unwrap_or(&answer.body).to_string().into_bytes();
            state.store.finish_idempotent(ticket, answer.status.as_u16(), body).await
        }
        Err(_) => state.store.abandon_idempotent(ticket).await,
    };
    if let Err(error) = kept {
        StoreFailed { operation: "idempotency", detail: &error.to_string() }.report();
    }
    Ok(done?.into_response())
}

fn key_of(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut given = headers.get_all(KEY).iter();
    let Some(first) = given.next() else { return Ok(None) };
    let text = first.to_str().unwrap_or_default().trim();
    let plain = (1..=KEY_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    if !plain || given.next().is_some() {
        let detail = "Idempotency-Key must be given once, with 1 to 255 visible ASCII characters";
        return Err(Problem::new(Code::InvalidRequest, detail));
    }
    Ok(Some(text.to_owned()))
}

/// Method, path without its prefix, and body: both prefixes name the same request.
async fn request_hash(parts: &Parts, body: &Bytes) -> Result<[u8; 32], Problem> {
    let path = parts.uri.path();
    let path = path.strip_prefix("/api").unwrap_or(path);
    let path = path.strip_prefix("/v1").unwrap_or(path);
    let mut text = Vec::with_capacity(path.len() + 48);
    text.extend_from_slice(parts.method.as_str().as_bytes());
    text.push(b' ');
    text.extend_from_slice(path.as_bytes());
    text.push(b'\n');
    let body = body.clone();
    let hash = if body.len() <= INLINE_MAX {
        sha256(&body)
    } else {
        let hashed = tokio::task::spawn_blocking(move || sha256(&body)).await;
        hashed.map_err(|_| Problem::internal("the request could not be hashed"))?
    };
    text.extend_from_slice(&hash);
    Ok(sha256(&text))
}

fn replay(status: u16, body: Vec<u8>) -> Response {
    let mut response = json(StatusCode::from_u16(status).unwrap_or(StatusCode::OK), body);
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}
