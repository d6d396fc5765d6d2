//! `/calls/{id}/…`: what is asked of a call in its middle.
//!
//! A wish that is granted has begun: the answer is the call as far as it has got, and how it ends
//! is in the call object and in the `call_event`s of its stream.

use super::ApiState;
use super::body::{self, SMALL_MAX};
use super::once::{Answer, once};
use super::query::Id;
use crate::api::auth::{Grant, Scope};
use crate::api::error::{Code, Problem};
use crate::api::gateway::Command;
use crate::api::types::answer;
use crate::api::types::control::{
    parse_bridge, parse_dtmf, parse_early_media, parse_mute, parse_nothing, parse_reject,
    parse_transfer,
};
use crate::call::control::Wish;
use crate::id::CallId;
use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use std::sync::Arc;

/// Makes the handler of a wish without any field.
macro_rules! plain_wish {
    ($name:ident, $wish:expr, $status:expr) => {
        pub(super) async fn $name(
            state: State<ApiState>,
            grant: Extension<Arc<Grant>>,
            id: Id<CallId>,
            request: Request,
        ) -> Result<Response, Problem> {
            let read = |bytes: &[u8], strict| parse_nothing(bytes, strict).map(|()| $wish);
            control(state, grant, id, request, $status, read).await
        }
    };
}

plain_wish!(hold, Wish::Hold, StatusCode::ACCEPTED);
plain_wish!(resume, Wish::Resume, StatusCode::ACCEPTED);
plain_wish!(answer, Wish::Answer, StatusCode::ACCEPTED);
plain_wish!(ring, Wish::Ring, StatusCode::OK);

pub(super) async fn reject(
    state: State<ApiState>,
    grant: Extension<Arc<Grant>>,
    id: Id<CallId>,
    request: Request,
) -> Result<Response, Problem> {
    control(state, grant, id, request, StatusCode::OK, parse_reject).await
}

pub(super) async fn early_media(
    state: State<ApiState>,
    grant: Extension<Arc<Grant>>,
    id: Id<CallId>,
    request: Request,
) -> Result<Response, Problem> {
    control(state, grant, id, request, StatusCode::OK, parse_early_media).await
}

pub(super) async fn mute(
    state: State<ApiState>,
    grant: Extension<Arc<Grant>>,
    id: Id<CallId>,
    request: Request,
) -> Result<Response, Problem> {
    let read = |bytes: &[u8], strict| parse_mute(bytes, strict, true);
    control(state, grant, id, request, StatusCode::OK, read).await
}

pub(super) async fn unmute(
    state: State<ApiState>,
    grant: Extension<Arc<Grant>>,
    id: Id<CallId>,
    request: Request,
) -> Result<Response, Problem> {
    let read = |bytes: &[u8], strict| parse_mute(bytes, strict, false);
    control(state, grant, id, request, StatusCode::OK, read).await
}

pub(super) async fn dtmf(
    state: State<ApiState>,
    grant: Extension<Arc<Grant>>,
    id: Id<CallId>,
    request: Request,
) -> Result<Response, Problem> {
    control(state, grant, id, request, StatusCode::ACCEPTED, parse_dtmf).await
}

pub(super) async fn transfer(
    State(state): State<ApiState>,
    Extension(grant): Extension<Arc<Grant>>,
    Id(id): Id<CallId>,
    request: Request,
) -> Result<Response, Problem> {
    grant.require(Scope::CallsWrite)?;
    let (parts, body) = request.into_parts();
    let held = body::read(&state, &parts.headers, body, SMALL_MAX).await?;
    let work = async {
        let asked = parse_transfer(&held.bytes, state.strict)?;
        if asked.is_sip {
            grant.require(Scope::CallsSip)?;
        }
        if let Some(other) = &asked.wish.replaces {
            let place = |problem: Problem| problem.with_pointer("/replacesCallId", "unknown");
            known(&state, &grant, other).await.map_err(place)?;
        }
        let wish = Wish::Transfer(asked.wish);
        ask(&state, &grant, &id, wish, StatusCode::ACCEPTED).await
    };
    once(&state, &grant, &parts, &held.bytes, work).await
}

pub(super) async fn bridge(
    State(state): State<ApiState>,
    Extension(grant): Extension<Arc<Grant>>,
    Id(id): Id<CallId>,
    request: Request,
) -> Result<Response, Problem> {
    grant.require(Scope::CallsWrite)?;
    let (parts, body) = request.into_parts();
    let held = body::read(&state, &parts.headers, body, SMALL_MAX).await?;
    let work = async {
        let wish = parse_bridge(&held.bytes, state.strict)?;
        let place = |problem: Problem| problem.with_pointer("/callId", "unknown");
        known(&state, &grant, &wish.with).await.map_err(place)?;
        ask(&state, &grant, &id, Wish::Bridge(wish), StatusCode::OK).await
    };
    once(&state, &grant, &parts, &held.bytes, work).await
}

pub(super) async fn unbridge(
    State(state): State<ApiState>,
    Extension(grant): Extension<Arc<Grant>>,
    Id(id): Id<CallId>,
) -> Result<Response, Problem> {
    grant.require(Scope::CallsWrite)?;
    let answer = ask(&state, &grant, &id, Wish::Unbridge, StatusCode::ACCEPTED).await?;
    Ok(answer.into_response())
}

/// Reads a wish and asks the call.
async fn control(
    State(state): State<ApiState>,
    Extension(grant): Extension<Arc<Grant>>,
    Id(id): Id<CallId>,
    request: Request,
    status: StatusCode,
    read: impl FnOnce(&[u8], bool) -> Result<Wish, Problem>,
) -> Result<Response, Problem> {
    grant.require(Scope::CallsWrite)?;
    let (parts, body) = request.into_parts();
    let held = body::read(&state, &parts.headers, body, SMALL_MAX).await?;
    let work = async {
        let wish = read(&held.bytes, state.strict)?;
        ask(&state, &grant, &id, wish, status).await
    };
    once(&state, &grant, &parts, &held.bytes, work).await
}

/// Asks a call that the key may see and that is not over.
async fn ask(
    state: &ApiState,
    grant: &Grant,
    id: &CallId,
    wish: Wish,
    status: StatusCode,
) -> Result<Answer, Problem> {
    known(state, grant, id).await?;
    let wish = Box::new(wish);
    let record = state.ask(|reply| Command::Control(id.clone(), wish, reply)).await??;
    Ok(Answer::new(status, answer::call(&record)))
}

/// The call is one that the key may see, and is not over.
pub(super) async fn known(state: &ApiState, grant: &Grant, id: &CallId) -> Result<(), Problem> {
    if state.find_call(grant, id).await?.status.is_active() {
        return Ok(());
    }
    Err(Problem::new(Code::CallEnded, format!("the call {id} is over")))
}
