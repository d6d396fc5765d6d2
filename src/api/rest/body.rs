//! Reading bodies: only JSON, only so large, only so slow, and only so many bytes at once.

use super::{ApiState, BUDGET_UNIT};
use crate::api::error::{Code, Problem};
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::BodyExt as _;
use tokio::sync::SemaphorePermit;

/// Bodies up to this size are parsed where they are; larger ones on the blocking threads.
pub(super) const INLINE_MAX: usize = 64 * 1024;
/// Most bytes of a body of requests other than the creation of a call.
pub(super) const SMALL_MAX: usize = 64 * 1024;
/// A body that is too large is read to its end, if that is not farther than this many times the
/// limit: many clients look at the answer only when they have sent everything.
const DRAIN_FACTOR: usize = 4;

/// A body and its share of the memory for bodies, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Held<'a> {
    pub(super) bytes: Bytes,
    _share: Option<SemaphorePermit<'a>>,
}

/// Reads a body of JSON of at most `most` bytes.
pub(super) async fn read<'a>(
    state: &'a ApiState,
    headers: &HeaderMap,
    body: Body,
    most: usize,
) -> Result<Held<'a>, Problem> {
    let held = whole(state, headers, body, most).await?;
    if !held.bytes.is_empty() && !is_json(headers) {
        let detail = "the body must be JSON, with the header Content-Type: application/json";
        return Err(Problem::new(Code::InvalidRequest, detail).with_status(415));
    }
    Ok(held)
}

/// Reads the body of a form of at most `most` bytes, as other vendors' clients send it.
pub(super) async fn read_form<'a>(
    state: &'a ApiState,
    headers: &HeaderMap,
    body: Body,
    most: usize,
) -> Result<Held<'a>, Problem> {
    let held = whole(state, headers, body, most).await?;
    if !held.bytes.is_empty() && kind(headers) != "application/x-www-form-urlencoded" {
        let detail = "the body must be application/x-www-form-urlencoded";
        return Err(Problem::new(Code::InvalidRequest, detail).with_status(415));
    }
    Ok(held)
}

async fn whole<'a>(
    state: &'a ApiState,
    headers: &HeaderMap,
    body: Body,
    most: usize,
) -> Result<Held<'a>, Problem> {
    let stated = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let stated: Option<usize> = stated.and_then(|text| text.parse().ok());
    if stated.is_some_and(|stated| stated > most) && headers.contains_key(header::EXPECT) {
        return Err(too_large(most));
    }
    let expected = stated.unwrap_or(most).min(most);
    let reading = async {
        let share = share(state, expected).await?;
        let bytes = collect(body, expected, most).await?;
        Ok::<_, Problem>(Held { bytes, _share: share })
    };
    let Ok(held) = tokio::time::timeout(state.limits.body_timeout, reading).await else {
        let detail = "the body took too long to arrive";
        return Err(Problem::new(Code::InvalidRequest, detail).with_status(408));
    };
    held
}

fn too_large(most: usize) -> Problem {
    let detail = format!("the body is larger than {most} bytes");
    if most > SMALL_MAX {
        // Nothing but audio makes a create request as large as that.
        return Problem::new(Code::AudioTooLarge, detail).with_pointer("", "too_large");
    }
    Problem::new(Code::InvalidRequest, detail).with_pointer("", "too_large").with_status(413)
}

/// The body's share of the memory for bodies; small ones need none.
async fn share(state: &ApiState, bytes: usize) -> Result<Option<SemaphorePermit<'_>>, Problem> {
    if bytes <= INLINE_MAX {
        return Ok(None);
    }
    let all = state.limits.bodies_in_flight.div_ceil(BUDGET_UNIT);
    let units = u32::try_from(bytes.div_ceil(BUDGET_UNIT).min(all)).unwrap_or(u32::MAX);
    let waiting = state.body_budget.acquire_many(units);
    match tokio::time::timeout(state.limits.answer_timeout, waiting).await {
        Ok(Ok(permit)) => Ok(Some(permit)),
        Ok(Err(_)) | Err(_) => {
            Err(Problem::capacity_exceeded("too many large requests are being read"))
        }
    }
}

async fn collect(mut body: Body, expected: usize, most: usize) -> Result<Bytes, Problem> {
    let mut bytes = BytesMut::with_capacity(expected.min(INLINE_MAX));
    let mut seen = 0_usize;
    while let Some(frame) = body.frame().await {
        let broken = |error: axum::Error| {
            let detail = format!("the body broke off: {error}");
            Problem::new(Code::InvalidRequest, detail).with_pointer("", "truncated")
        };
        let Ok(part) = frame.map_err(broken)?.into_data() else { continue };
        seen = seen.saturating_add(part.len());
        if seen > most.saturating_mul(DRAIN_FACTOR) {
            break;
        }
        if seen <= most {
            bytes.extend_from_slice(&part);
        } else {
            bytes.clear();
        }
    }
    if seen > most { Err(too_large(most)) } else { Ok(bytes.freeze()) }
}

/// The content type, in lower case and without its parameters.
fn kind(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let value = value.unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = kind(headers);
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}
