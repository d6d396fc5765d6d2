//! `/instances`: lines of tenants; and the list of voices.

use super::body::{self, SMALL_MAX};
use super::calls::known_trunk;
use super::once::{Answer, json, once};
use super::query::Id;
use super::{ApiState, TrunkState};
use crate::api::auth::{Binding, Grant, Scope};
use crate::api::error::{Code, Problem};
use crate::api::gateway::Command;
use crate::api::types::answer;
use crate::api::types::instance::InstanceChange;
use crate::api::{fresh, stamp};
use crate::id::InstanceId;
use crate::store::{Instance, InstanceSettings, InstanceSource};
use axum::Extension;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Map, Value, json as object};
use std::sync::Arc;

pub(super) async fn create(
    State(state): State<ApiState>,
    Extension(grant): Extension<Arc<Grant>>,
    request: Request,
) -> Result<Response, Problem> {
    grant.require(Scope::InstancesWrite)?;
    if grant.instances != Binding::All {
        let detail = "this key is bound to certain instances and cannot make others";
        return Err(Problem::new(Code::ForbiddenInstance, detail));
    }
    let (parts, body) = request.into_parts();
    let held = body::read(&state, &parts.headers, body, SMALL_MAX).await?;
    let work = async {
        let change = InstanceChange::parse(&held.bytes, state.strict, true)?;
        if let Some(trunk) = &change.trunk {
            known_trunk(&state, trunk)?;
        }
        let now = stamp::now_ms();
        let mut instance = Instance {
            id: fresh::instance_id(),
            name: String::new(),
            metadata: Map::new(),
            settings: InstanceSettings::default(),
            source: InstanceSource::Api,
            created_at: now,
            updated_at: now,
        };
        change.apply(&mut instance);
        state.store.create_instance(instance.clone()).await?;
        // The reference API: always CREATED on creation.
        let mut answer =
            Answer::new(StatusCode::CREATED, answer::instance(&instance, "CREATED", None));
        answer.location = Some(format!("/v1/instances/{}", instance.id));
        Ok(answer)
    };
    once(&state, &grant, &parts, &held.bytes, work).await
}

/// A bare array, newest first, as the reference API.
pub(super) async fn list(
    State(state): State<ApiState>,
    Extension(grant): Extension<Arc<Grant>>,
) -> Result<Response, Problem> {
    may_read(&grant)?;
    let instances = state.store.list_instances().await?;
    let seen = instances.iter().filter(|instance| grant.instances.permits(&instance.id));
    let list: Vec<_> =
        seen.map(|instance| answer::instance(instance, status(&state, instance), None)).collect();
    Ok(json(StatusCode::OK, Value::Array(list).to_string()))
}

pub(super) async fn show(
    State(state): State<ApiState>,
    Extension(grant): Extension<Arc<Grant>>,
    Id(id): Id<InstanceId>,
) -> Result<Response, Problem> {
    may_read(&grant)?;
    let instance = find(&state, &grant, &id).await?;
    let active = state.ask(|reply| Command::LiveOf(Some(id), reply)).await?;
    let body = answer::instance(&instance, status(&state, &instance), Some(&active));
    Ok(json(StatusCode::OK, body.to_string()))
}

pub(super) async fn change(
    State(state): State<ApiState>,
    Extension(grant): Extension<Arc<Grant>>,
    Id(id): Id<InstanceId>,
    request: Request,
) -> Result<Response, Problem> {
    grant.require(Scope::InstancesWrite)?;
    let (parts, body) = request.into_parts();
    let held = body::read(&state, &parts.headers, body, SMALL_MAX).await?;
    let change = InstanceChange::parse(&held.bytes, state.strict, false)?;
    if let Some(trunk) = &change.trunk {
        known_trunk(&state, trunk)?;
    }
    own(&find(&state, &grant, &id).await?)?;
    let now = stamp::now_ms();
    let changed = state
        .store
        .update_instance(id.clone(), now, move |instance| change.apply(instance))
        .await?
        .ok_or_else(|| absent(&id))?;
    let body = answer::instance(&changed, status(&state, &changed), None);
    Ok(json(StatusCode::OK, body.to_string()))
}

/// Soft and for good; calls that are active go on to their end.
pub(super) async fn delete(
    State(state): State<ApiState>,
    Extension(grant): Extension<Arc<Grant>>,
    Id(id): Id<InstanceId>,
) -> Result<Response, Problem> {
    grant.require(Scope::InstancesWrite)?;
    own(&find(&state, &grant, &id).await?)?;
    if !state.store.delete_instance(id.clone(), stamp::now_ms()).await? {
        return Err(absent(&id));
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The reference API pairs a WhatsApp number here; there is nothing to pair on a SIP trunk.
pub(super) async fn configure(
    State(state): State<ApiState>,
    Extension(grant): Extension<Arc<Grant>>,
    Id(id): Id<InstanceId>,
) -> Result<Response, Problem> {
    may_read(&grant)?;
    find(&state, &grant, &id).await?;
    let detail = "pairing by QR code is not served: calls go over SIP trunks; set trunkId";
    Err(Problem::new(Code::NotImplemented, detail))
}

pub(super) async fn voices(State(state): State<ApiState>) -> Response {
    let body = object!({"data": state.voices, "next_cursor": null});
    json(StatusCode::OK, body.to_string())
}

/// A sentence in a voice, as a WAV file.
pub(super) async fn voice_sample(
    State(state): State<ApiState>,
    axum::extract::Path(voice): axum::extract::Path<String>,
) -> Result<Response, Problem> {
    let shown = crate::api::types::fields::clip(&voice);
    let Some(wav) = (state.voice_sample)(voice).await? else {
        return Err(Problem::not_found(format!("there is no voice {shown:?}")));
    };
    let kind = [(http::header::CONTENT_TYPE, "audio/wav")];
    Ok((kind, axum::body::Body::from(wav)).into_response())
}

/// Whoever may see calls or change instances may see instances.
fn may_read(grant: &Grant) -> Result<(), Problem> {
    if grant.scopes.grants(Scope::InstancesWrite) || grant.scopes.grants(Scope::CallsWrite) {
        return Ok(());
    }
    grant.require(Scope::CallsRead)
}

async fn find(state: &ApiState, grant: &Grant, id: &InstanceId) -> Result<Instance, Problem> {
    if !grant.instances.permits(id) {
        return Err(absent(id));
    }
    state.store.instance(id).await?.ok_or_else(|| absent(id))
}

fn absent(id: &InstanceId) -> Problem {
    Problem::not_found(format!("there is no instance {id}"))
}

/// Refuses to change what the configuration file declares.
fn own(instance: &Instance) -> Result<(), Problem> {
    match instance.source {
        InstanceSource::Api => Ok(()),
        InstanceSource::Config => {
            let detail = "this instance is declared in the configuration file; change it there";
            Err(Problem::new(Code::Conflict, detail))
        }
    }
}

/// CREATED: no trunk would carry its calls. CONFIGURED: one would, but cannot be reached.
fn status(state: &ApiState, instance: &Instance) -> &'static str {
    match (state.trunks)(instance.settings.trunk.as_deref()) {
        TrunkState::Unknown => "CREATED",
        TrunkState::Down => "CONFIGURED",
        TrunkState::Up => "ACTIVE",
    }
}
