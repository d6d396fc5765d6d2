//! The operators' listener: health, metrics, status, drain.
//!
//! Probes need no key and tell nothing but how the node is doing. What changes the node needs an
//! administrator's key unless it comes from this machine.

use super::{ApiState, PeerAddr, guard, once};
use crate::api::auth::Scope;
use crate::api::error::{Code, Problem};
use crate::api::gateway::{Command, Status};
use crate::api::stamp;
use crate::api::types::answer;
use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode, header};
use serde_json::json as object;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What the operators' listener is made of.
#[derive(Clone)]
pub struct AdminParts {
    /// The API's state.
    pub api: ApiState,
    /// Writes the metrics page (Prometheus text).
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Reads the configuration and certificates again and tells what was applied; blocks.
    pub reload: Reload,
}

/// Reads again what can be read again without a restart.
pub type Reload = Arc<dyn Fn() -> Result<serde_json::Value, Problem> + Send + Sync>;

#[derive(Clone)]
struct Admin {
    parts: AdminParts,
    /// Whether the node has ever been ready.
    started: Arc<AtomicBool>,
}

/// The operators' routes.
pub fn admin_router(parts: AdminParts) -> Router {
    let admin = Admin { parts, started: Arc::new(AtomicBool::new(false)) };
    Router::new()
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .route("/health/startup", get(startup))
        .route("/metrics", get(metrics))
        .route("/v1/admin/status", get(status))
        .route("/v1/admin/registrations", get(registrations))
        .route("/v1/admin/drain", post(drain))
        .route("/v1/admin/reload", post(reload))
        .fallback(no_such_route)
        .method_not_allowed_fallback(guard::no_such_method)
        .layer(axum::middleware::from_fn(guard::frame))
        .with_state(admin)
}

async fn live() -> Response {
    once::json(StatusCode::OK, object!({"status": "live"}).to_string())
}

async fn ready(State(admin): State<Admin>) -> Response {
    match admin.ask().await {
        Ok(status) => {
            let code = if status.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            let name = if status.ready { "ready" } else { "not_ready" };
            let body = object!({"status": name, "reasons": status.reasons});
            once::json(code, body.to_string())
        }
        Err(problem) => {
            let body = object!({"status": "not_ready", "reasons": [problem.detail]});
            once::json(StatusCode::SERVICE_UNAVAILABLE, body.to_string())
        }
    }
}

async fn startup(State(admin): State<Admin>) -> Response {
    let started =
        admin.started.load(Ordering::Relaxed) || admin.ask().await.is_ok_and(|status| status.ready);
    if started {
        once::json(StatusCode::OK, object!({"status": "started"}).to_string())
    } else {
        let body = object!({"status": "starting"}).to_string();
        once::json(StatusCode::SERVICE_UNAVAILABLE, body)
    }
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], (admin.parts.metrics)()).into_response()
}

async fn status(State(admin): State<Admin>, request: Request) -> Result<Response, Problem> {
    admin.permit(&request)?;
    let status = admin.ask().await?;
    let stats = admin.parts.api.store.stats();
    let mut body = serde_json::to_value(&status)
        .map_err(|_| Problem::internal("the status cannot be written"))?;
    body["store"] = object!({
        "healthy": stats.healthy,
        "pending": stats.pending,
        "refused": stats.refused,
        "failed": stats.failed,
        "lost": stats.lost,
    });
    Ok(once::json(StatusCode::OK, body.to_string()))
}

async fn registrations(State(admin): State<Admin>, request: Request) -> Result<Response, Problem> {
    admin.permit(&request)?;
    let trunks = admin.parts.api.ask(Command::Trunks).await?;
    let data = trunks.iter().filter_map(|trunk| {
        let mut object = answer::registration(trunk.registration.as_ref()?);
        object["trunk"] = trunk.name.as_str().into();
        Some(object)
    });
    let body = object!({"data": data.collect::<Vec<_>>()});
    Ok(once::json(StatusCode::OK, body.to_string()))
}

async fn drain(State(admin): State<Admin>, request: Request) -> Result<Response, Problem> {
    admin.permit(&request)?;
    admin.parts.api.gateway.tell(Command::Drain)?;
    Ok(once::json(StatusCode::ACCEPTED, object!({"status": "draining"}).to_string()))
}

async fn reload(State(admin): State<Admin>, request: Request) -> Result<Response, Problem> {
    admin.permit(&request)?;
    let reload = Arc::clone(&admin.parts.reload);
    let applied = tokio::task::spawn_blocking(move || reload()).await;
    let applied = applied.map_err(|_| Problem::internal("nothing could be read again"))??;
    Ok(once::json(StatusCode::OK, applied.to_string()))
}

async fn no_such_route() -> Problem {
    Problem::not_found("there is nothing at this path of the operators' listener")
}

impl Admin {
    async fn ask(&self) -> Result<Status, Problem> {
        let status = self.parts.api.ask(Command::Status).await?;
        if status.ready {
            self.started.store(true, Ordering::Relaxed);
        }
        Ok(status)
    }

    /// Lets in this machine, and administrators from elsewhere.
    fn permit(&self, request: &Request) -> Result<(), Problem> {
        let peer = request.extensions().get::<PeerAddr>();
        let local = peer.is_some_and(|peer| peer.0.ip().is_loopback());
        if local && guard::stays_local(request.headers()) {
            return Ok(());
        }
        let secret = bearer(request.headers());
        let found = secret.and_then(|secret| self.parts.api.keyring.find(secret, stamp::now_ms()));
        let Some((grant, _)) = found else {
            return Err(Problem::new(Code::Unauthorized, "an administrator's key is needed"));
        };
        grant.require(Scope::Admin)
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    guard::bearer(headers, false).ok().flatten()
}
