//! The interface as documents: OpenAPI for REST, AsyncAPI for the stream, and a page of both.
//!
//! ```text
//!  routes, schemas ──> openapi  ──> /openapi.json,  docs/openapi.json
//!  messages, query ──> asyncapi ──> /asyncapi.json, docs/asyncapi.json
//!       └────────────> page     ──> /docs
//! ```
//!
//! Owns one declaration per route, body and message. What the code reads and writes is declared
//! beside it; tests hold the two against each other, both ways. Serves nobody any right: the
//! documents are the same for everybody.

pub mod asyncapi;
mod field;
mod messages;
pub mod openapi;
mod page;
mod query;
mod routes;
mod schemas;

use super::console::guarded;
use axum::Router;
use axum::response::Response;
use axum::routing::get;
use std::sync::LazyLock;

pub use field::{Field, Values};
pub use routes::{ROUTES, Route};

static OPENAPI: LazyLock<String> = LazyLock::new(openapi::text);
static ASYNCAPI: LazyLock<String> = LazyLock::new(asyncapi::text);
static PAGE: LazyLock<String> = LazyLock::new(page::html);

const JSON: &str = "application/json";

/// The routes of the documents and the page.
pub(super) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/openapi.json", get(async || -> Response { guarded(JSON, &OPENAPI) }))
        .route("/asyncapi.json", get(async || -> Response { guarded(JSON, &ASYNCAPI) }))
        .route("/docs", get(async || -> Response { guarded("text/html; charset=utf-8", &PAGE) }))
        .route(
            "/docs/docs.css",
            get(async || -> Response {
                guarded("text/css; charset=utf-8", include_str!("../../assets/console/docs.css"))
            }),
        )
}
