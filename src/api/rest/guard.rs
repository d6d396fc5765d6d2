//! What happens around every handler: the request's id, who asks, how often, and problem bodies.

use super::{ApiState, PeerAddr};
use crate::api::auth::{Grant, Scope};
use crate::api::error::{Code, PROBLEM_BASE, Problem};
use crate::api::limit::Verdict;
use crate::api::{fresh, stamp};
use crate::id::{CallId, KeyId};
use crate::observe::event::{ApiFailed, ApiRefused, ApiServed, Happening as _};
use axum::body::Body;
use axum::extract::{MatchedPath, Path, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Instant;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The outermost layer: names the request, sees it through, and completes problem bodies.
///
/// The handler runs in a task of its own: what was begun is finished although the client hangs up
/// in the middle, and a panic is an answer.
pub(super) async fn frame(request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let about = About::new(&request);
    let answered = tokio::spawn(next.run(request)).await;
    // The panic itself is told by the hook for panics.
    let response = answered
        .unwrap_or_else(|_| Problem::internal("the request failed on our side").into_response());
    let mut response = about.complete(response);
    let About { id, route, method, .. } = about;
    ApiServed {
        request_id: &id,
        route: &route,
        method,
        status: response.status().as_u16(),
        seconds: begun.elapsed().as_secs_f64(),
    }
    .report();
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// Takes the client's name for the request if it is a plain one.
fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let plain =
        |text: &&str| (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    given.filter(plain).map_or_else(fresh::request_id, str::to_owned)
}

/// What is told about a request when it is answered.
struct About {
    id: String,
    path: String,
    /// The pattern, so that ids do not become labels.
    route: String,
    method: &'static str,
}

impl About {
    fn new(request: &Request) -> Self {
        let route = request.extensions().get::<MatchedPath>();
        Self {
            id: request_id(request.headers()),
            path: request.uri().path().chars().take(256).collect(),
            route: route.map_or("none", MatchedPath::as_str).to_owned(),
            method: match *request.method() {
                Method::GET => "GET",
                Method::POST => "POST",
                Method::PATCH => "PATCH",
                Method::DELETE => "DELETE",
                Method::HEAD => "HEAD",
                _ => "other",
            },
        }
    }

    /// Writes a problem's body again with what only this layer knows; keeps the other headers.
    fn complete(&self, mut response: Response) -> Response {
        let Some(problem) = response.extensions_mut().remove::<Problem>() else { return response };
        let (request_id, route) = (self.id.as_str(), self.route.as_str());
        let (status, code, detail) =
            (problem.status, problem.code.as_str(), problem.detail.as_str());
        if status == 500 {
            ApiFailed { request_id, route, status, code, detail }.report();
        } else {
            ApiRefused { request_id, route, status, code, detail }.report();
        }
        let (mut parts, _) = response.into_parts();
        parts.headers.remove(header::CONTENT_LENGTH);
        Response::from_parts(parts, Body::from(problem.to_json(Some(&self.path), Some(&self.id))))
    }
}

/// Lets in who has a key, as often as the key may.
pub(super) async fn guard(
    State(state): State<ApiState>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let grant = match authenticate(&state, &request) {
        Ok(grant) => grant,
        Err(problem) => return Err(slowed_down(&state, request.extensions(), problem)),
    };
    let verdict = state.requests.take(&grant.key, Instant::now());
    let mut response = if verdict.allowed {
        request.extensions_mut().insert(grant);
        next.run(request).await
    } else {
        let detail = "too many requests with this key";
        Problem::new(Code::RateLimited, detail).with_retry_after(verdict.wait).into_response()
    };
    rate_headers(&state, verdict, response.headers_mut());
    Ok(response)
}

pub(super) fn authenticate(state: &ApiState, request: &Request) -> Result<Arc<Grant>, Problem> {
    let upgrade = request.headers().contains_key(header::UPGRADE);
    if let Some(secret) = bearer(request.headers(), upgrade)? {
        let now = stamp::now_ms();
        let Some((grant, due)) = state.keyring.find(secret, now) else {
            return Err(unauthorized("the key is not known, or has expired"));
        };
        if due {
            note_use(state, grant.key.clone(), now);
        }
        return Ok(grant);
    }
    if let Some(grant) = ticket(state, request.uri()) {
        return grant;
    }
    let local =
        request.extensions().get::<PeerAddr>().is_some_and(|peer| peer.0.ip().is_loopback());
    match state.keyring.open() {
        Some(grant) if local && stays_local(request.headers()) => Ok(grant),
        Some(_) => Err(unauthorized("no key is configured, so only this machine may ask")),
        None => Err(unauthorized("a key is needed: Authorization: Bearer <key>")),
    }
}

fn unauthorized(detail: &str) -> Problem {
    Problem::new(Code::Unauthorized, detail)
}

/// The secret of the request; a browser's WebSocket can give it as the subprotocol `bearer.…`.
pub(super) fn bearer(headers: &HeaderMap, upgrade: bool) -> Result<Option<&str>, Problem> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let text = value.to_str().unwrap_or_default();
        let (scheme, secret) = text.split_once(' ').unwrap_or((text, ""));
        let secret = secret.trim();
        if !scheme.eq_ignore_ascii_case("bearer") || secret.is_empty() {
            return Err(unauthorized("the Authorization header must be: Bearer <key>"));
        }
        return Ok(Some(secret));
    }
    if !upgrade {
        return Ok(None);
    }
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL);
    let mut names = offered.iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
    Ok(names.find_map(|name| name.trim().strip_prefix("bearer.")))
}

/// The rights of a ticket, if the request carries one.
fn ticket(state: &ApiState, uri: &Uri) -> Option<Result<Arc<Grant>, Problem>> {
    let text = uri.query()?.split('&').find_map(|pair| pair.strip_prefix("ticket="))?;
    let refused = || Err(unauthorized("the ticket was used, has expired or is for another call"));
    let Some(call) = stream_of(uri.path()) else {
        return Some(Err(unauthorized("a ticket opens the stream of a call and nothing else")));
    };
    Some(state.tickets.redeem(text, &call, Instant::now()).map_or_else(refused, Ok))
}

/// The call whose stream this path is.
fn stream_of(path: &str) -> Option<CallId> {
    // The path may name a protocol behind it: `…/stream/twilio`.
    let head = path.strip_suffix("/stream").or_else(|| {
        let (head, protocol) = path.rsplit_once("/stream/")?;
        (!protocol.contains('/')).then_some(head)
    })?;
    let (before, id) = head.rsplit_once('/')?;
    before.ends_with("/calls").then(|| id.parse().ok()).flatten()
}

/// Whether a request to a node without keys comes from a program of this machine, and not from a
/// page of some site that a browser of this machine shows (DNS rebinding, cross-site WebSocket).
pub(super) fn stays_local(headers: &HeaderMap) -> bool {
    let local = |authority: &str| {
        let host = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, _)) => host,
            None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
        };
        host.eq_ignore_ascii_case("localhost")
            || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    };
    let host = headers.get(header::HOST).map(|value| value.to_str().unwrap_or_default());
    let origin = headers.get(header::ORIGIN).map(|value| value.to_str().unwrap_or_default());
    host.is_none_or(local)
        && origin.is_none_or(|origin| {
            origin.split_once("://").is_some_and(|(_, authority)| local(authority))
        })
}

/// A failed attempt; too many of them from one address are told to slow down. A good key is never
/// held up by the bad ones of its neighbours.
pub(super) fn slowed_down(
    state: &ApiState,
    extensions: &http::Extensions,
    problem: Problem,
) -> Problem {
    let peer = extensions.get::<PeerAddr>().map(|peer| peer.0.ip());
    let address = match peer.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED)) {
        IpAddr::V6(address) if address.to_ipv4_mapped().is_none() => {
            // One subscriber has a /64.
            let prefix = u128::from(address) >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from(prefix))
        }
        address => address,
    };
    let verdict = state.failures.take(&address, Instant::now());
    if verdict.allowed {
        return problem;
    }
    Problem::new(Code::RateLimited, "too many failed attempts to sign in")
        .with_retry_after(verdict.wait)
}

/// Writes down the use of a key in the background; it is no matter if that fails.
fn note_use(state: &ApiState, key: KeyId, now: i64) {
    let store = state.store.clone();
    tokio::spawn(async move {
        if let Err(error) = store.touch_key(key, now).await {
            tracing::debug!(%error, "the use of a key was not noted");
        }
    });
}

/// RateLimit and RateLimit-Policy as drafted by the IETF's httpapi group.
fn rate_headers(state: &ApiState, verdict: Verdict, headers: &mut HeaderMap) {
    let rate = state.requests.rate();
    let window = (f64::from(rate.burst) / rate.per_second).ceil();
    let policy = format!("\"key\";q={};w={window}", rate.burst);
    let left = format!("\"key\";r={};t={}", verdict.remaining, verdict.wait.as_secs());
    for (name, text) in [("ratelimit-policy", policy), ("ratelimit", left)] {
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

pub(super) async fn no_such_route() -> Problem {
    Problem::not_found("there is nothing at this path; the API lives under /v1")
}

pub(super) async fn no_such_method(request: Request) -> Problem {
    let detail = format!("this resource does not answer to {}", request.method());
    Problem::new(Code::InvalidRequest, detail).with_status(405)
}

/// What a problem's `type` points to.
pub(super) async fn problem_page(Path(code): Path<String>) -> Result<Response, Problem> {
    let found = Code::ALL.iter().find(|known| known.as_str() == code);
    let Some(code) = found else {
        return Err(Problem::not_found("there is no such problem"));
    };
    let text = format!(
        "{}\n\n{PROBLEM_BASE}{} (status {})\n\n{}\n",
        code.title(),
        code.as_str(),
        code.status(),
        code.meaning().trim()
    );
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}

/// Refuses a ticket's or a key's holder who may not stream.
pub(super) fn may_stream(grant: &Grant) -> Result<(), Problem> {
    grant.require(Scope::Stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_foreign_sites_are_not_local() {
        let headers = |host: &str, origin: &str| {
            let mut headers = HeaderMap::new();
            for (name, text) in [(header::HOST, host), (header::ORIGIN, origin)] {
                if !text.is_empty() {
                    headers.insert(name, text.parse().unwrap());
                }
            }
            headers
        };
        for (host, origin, expected) in [
            ("", "", true),
            ("localhost:8080", "", true),
            ("127.0.0.1:8080", "http://127.0.0.1:3000", true),
            ("[::1]:8080", "http://LOCALHOST", true),
            ("evil.example:8080", "", false),
            ("127.0.0.1.evil.example", "", false),
            ("127.0.0.1:8080", "https://evil.example", false),
            ("127.0.0.1:8080", "null", false),
        ] {
            assert_eq!(stays_local(&headers(host, origin)), expected, "{host} {origin}");
        }
    }

    #[test]
    fn streams_are_known_by_their_path() {
        let call = "call_1".parse().ok();
        assert_eq!(stream_of("/v1/calls/call_1/stream"), call);
        assert_eq!(stream_of("/api/v1/calls/call_1/stream"), call);
        assert_eq!(stream_of("/v1/calls/call_1/stream/twilio"), call);
        assert_eq!(stream_of("/v1/calls/call_1/stream/a/b"), None);
        for other in
            ["/v1/calls/call_1", "/v1/x/call_1/stream", "/v1/calls/inst_1/stream", "/stream"]
        {
            assert_eq!(stream_of(other), None, "{other}");
        }
    }
}
