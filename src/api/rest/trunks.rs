//! `/trunks`: how the carriers are doing.

use super::ApiState;
use super::once::json;
use crate::api::auth::{Binding, Grant, Scope};
use crate::api::error::Problem;
use crate::api::gateway::Command;
use crate::api::types::answer;
use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json as object};
use std::sync::Arc;

pub(super) async fn list(
    State(state): State<ApiState>,
    Extension(grant): Extension<Arc<Grant>>,
) -> Result<Response, Problem> {
    let data = shown(&state, &grant).await?.into_iter().map(|(_, trunk)| trunk);
    let body = object!({"data": data.collect::<Vec<_>>(), "next_cursor": null});
    Ok(json(StatusCode::OK, body.to_string()))
}

pub(super) async fn show(
    State(state): State<ApiState>,
    Extension(grant): Extension<Arc<Grant>>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let found = shown(&state, &grant).await?.into_iter().find(|(known, _)| *known == name);
    let (_, trunk) = found.ok_or_else(|| Problem::not_found("there is no such trunk"))?;
    Ok(json(StatusCode::OK, trunk.to_string()))
}

/// All trunks as the holder of a key may see them: a tenant's key sees whether they are up, and
/// not how they are built.
async fn shown(state: &ApiState, grant: &Grant) -> Result<Vec<(String, Value)>, Problem> {
    grant.require(Scope::CallsRead)?;
    let whole = grant.instances == Binding::All;
    let trunks = state.ask(Command::Trunks).await?;
    Ok(trunks.into_iter().map(|trunk| (trunk.name.clone(), answer::trunk(&trunk, whole))).collect())
}
