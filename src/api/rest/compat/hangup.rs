//! The one request that bots of Telnyx and Plivo make of their vendor's REST in a session: to hang
//! up.
//!
//! Owns both shapes. Telnyx's clients bring a key of the API as they would bring theirs; Plivo's an
//! account of `[[compat.account]]`.
//!
//! Source: Telnyx, "Hangup call" of Call Control; Plivo, "Hang up a call".

use super::access::{sign_in, within_rate};
use crate::api::auth::{Grant, Scope};
use crate::api::error::{Code, Problem};
use crate::api::fresh;
use crate::api::gateway::Command;
use crate::api::rest::once::json;
use crate::api::rest::{ApiState, guard};
use crate::twiml::sid::call_of;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json as object;

/// `POST /v2/calls/{call_control_id}/actions/hangup`. The body (`client_state`, `command_id`) says
/// nothing that matters here and is not read.
pub(super) async fn telnyx(
    State(state): State<ApiState>,
    Path(call): Path<String>,
    request: Request,
) -> Response {
    let grant = guard::authenticate(&state, &request)
        .map_err(|problem| guard::slowed_down(&state, request.extensions(), problem));
    let hung_up = async {
        let grant = grant?;
        within_rate(&state, &grant)?;
        hang_up(&state, &grant, &call).await
    };
    match hung_up.await {
        Ok(()) => {
            let body = object!({ "data": { "result": "ok" } });
            json(StatusCode::OK, body.to_string())
        }
        Err(problem) => telnyx_error(&problem),
    }
}

fn telnyx_error(problem: &Problem) -> Response {
    let (status, code, title) = match problem.code {
        Code::Unauthorized => (401, "10009", "Authentication failed"),
        Code::ForbiddenScope | Code::ForbiddenInstance => (403, "10010", "Authorization failed"),
        Code::RateLimited => (429, "10011", "Too many requests"),
        Code::NotFound => (422, "90015", "Invalid Call Control ID"),
        Code::CallEnded => (422, "90018", "Call has already ended"),
        _ => (problem.status, "10007", "Unexpected error"),
    };
    let error = object!({ "code": code, "title": title, "detail": problem.detail });
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY);
    json(status, object!({ "errors": [error] }).to_string())
}

/// `DELETE /v1/Account/{auth_id}/Call/{call_uuid}/`.
pub(super) async fn plivo(
    State(state): State<ApiState>,
    Path((account, call)): Path<(String, String)>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let hung_up = async {
        let login = sign_in(&state, &parts, &account)?;
        hang_up(&state, &login.grant, &call).await
    };
    match hung_up.await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(problem) => {
            // Plivo knows no call that has ended.
            let ended = matches!(problem.code, Code::NotFound | Code::CallEnded);
            let status = if ended { 404 } else { problem.status };
            let error = if ended { "not found".to_owned() } else { problem.detail };
            let body = object!({ "api_id": fresh::request_id(), "error": error });
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
            json(status, body.to_string())
        }
    }
}

/// Ends a call that the holder of a key may end.
async fn hang_up(state: &ApiState, grant: &Grant, call: &str) -> Result<(), Problem> {
    grant.require(Scope::CallsWrite)?;
    let unknown = || Problem::not_found("there is no call of this name");
    let id = call_of(call).ok_or_else(unknown)?;
    let record = state.find_call(grant, &id).await?;
    let ended = record.status.is_active()
        && state.ask(|reply| Command::Terminate(id.clone(), reply)).await?;
    if ended {
        return Ok(());
    }
    Err(Problem::new(Code::CallEnded, "the call has already ended"))
}
