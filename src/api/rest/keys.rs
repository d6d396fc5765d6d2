//! `/keys`: made, listed and revoked by administrators. A secret is shown once.

use super::ApiState;
use super::body::{self, SMALL_MAX};
use super::once::{Answer, json, once};
use super::query::Id;
use crate::api::auth::{Binding, Grant, Scope, hash_secret};
use crate::api::error::{Code, Problem};
use crate::api::types::answer;
use crate::api::types::key::CreateKey;
use crate::api::{fresh, stamp};
use crate::id::KeyId;
use crate::store::StoredKey;
use axum::Extension;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json as object};
use std::sync::Arc;

pub(super) async fn create(
    State(state): State<ApiState>,
    Extension(grant): Extension<Arc<Grant>>,
    request: Request,
) -> Result<Response, Problem> {
    grant.require(Scope::Admin)?;
    let (parts, body) = request.into_parts();
    let held = body::read(&state, &parts.headers, body, SMALL_MAX).await?;
    let work = make(&state, &grant, &held.bytes);
    once(&state, &grant, &parts, &held.bytes, work).await
}

async fn make(state: &ApiState, grant: &Grant, body: &[u8]) -> Result<Answer, Problem> {
    let asked = CreateKey::parse(body, state.strict)?;
    if !grant.instances.covers(&asked.instances) {
        let detail = "a key can only give what it has: this one is bound to fewer instances";
        return Err(
            Problem::new(Code::ForbiddenInstance, detail).with_pointer("/instanceIds", "forbidden")
        );
    }
    let secret = fresh::secret("bw_");
    let key = StoredKey {
        id: fresh::key_id(),
        name: asked.name,
        secret_sha256: hash_secret(&secret),
        scopes: asked.scopes.names().into_iter().map(str::to_owned).collect(),
        instance_ids: asked.instances.names(),
        created_at: stamp::now_ms(),
        expires_at: asked.expires_at,
        last_used_at: None,
    };
    state.store.create_key(key.clone()).await?;
    state.keyring.add(&key).map_err(|error| Problem::internal(error.to_string()))?;
    let with_secret = |secret: Value| {
        let mut body = answer::stored_key(&key);
        body["secret"] = secret;
        body
    };
    let mut answer = Answer::new(StatusCode::CREATED, with_secret(Value::String(secret)));
    answer.kept = Some(with_secret(Value::Null));
    answer.location = Some(format!("/v1/keys/{}", key.id));
    Ok(answer)
}

pub(super) async fn list(
    State(state): State<ApiState>,
    Extension(grant): Extension<Arc<Grant>>,
) -> Result<Response, Problem> {
    grant.require(Scope::Admin)?;
    let configured = state.keyring.configured();
    let configured = configured.iter().filter(|key| grant.instances.covers(&key.instances));
    let mut keys: Vec<_> = configured.map(|key| answer::config_key(key)).collect();
    let stored = state.store.list_keys().await?;
    keys.extend(stored.iter().filter(|key| covers(&grant, key)).map(answer::stored_key));
    let body = object!({"data": keys, "next_cursor": null});
    Ok(json(StatusCode::OK, body.to_string()))
}

pub(super) async fn revoke(
    State(state): State<ApiState>,
    Extension(grant): Extension<Arc<Grant>>,
    Id(id): Id<KeyId>,
) -> Result<Response, Problem> {
    grant.require(Scope::Admin)?;
    let absent = || Problem::not_found(format!("there is no key {id}"));
    if state.keyring.configured().iter().any(|key| key.key == id) {
        let detail = "this key is declared in the configuration file; take it out there";
        return Err(Problem::new(Code::Conflict, detail));
    }
    let stored = state.store.list_keys().await?;
    stored.iter().find(|key| key.id == id && covers(&grant, key)).ok_or_else(absent)?;
    if !state.store.revoke_key(id.clone(), stamp::now_ms()).await? {
        return Err(absent());
    }
    state.keyring.remove(&id);
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Whether an administrator of certain instances may see this key.
fn covers(grant: &Grant, key: &StoredKey) -> bool {
    Binding::parse(&key.instance_ids).is_ok_and(|theirs| grant.instances.covers(&theirs))
}
