//! Twilio's `Calls`: make, list, show and change them, in Twilio's words.
//!
//! Owns the handlers. What a form says is read in `form`, and how a call is shown stands in
//! `shape`. Serves what docs/compat.md lists; the rest is refused by name.
//!
//! Source: Twilio, "Call resource" of the 2010-04-01 API.

mod form;
mod shape;

use super::access::sign_in;
use super::fault::Fault;
use super::{CompatAccount, Login};
use crate::api::auth::Scope;
use crate::api::error::Problem;
use crate::api::fresh;
use crate::api::gateway::{Command, Content, Created, NewCall};
use crate::api::rest::body::{self, SMALL_MAX};
use crate::api::rest::once::json;
use crate::api::rest::{ApiState, query};
use crate::app::twiml::{Account, TwimlRequest};
use crate::call::control::Wish;
use crate::call::record::CallRecord;
use crate::call::vendor::TwilioStatus;
use crate::id::CallId;
use crate::store::CallCursor;
use crate::twiml::sid::call_of;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use form::{Asked, Change, ListFilter};
use http::StatusCode;
use http::request::Parts;
use std::sync::Arc;

/// Rows that one page of a list may look at, when a filter leaves most of them out.
const SCAN_MAX: usize = 2_000;
/// Rows that are read at once.
const SCAN_STEP: usize = 200;

/// Keeps a handler's own errors in the vendor's shape.
fn answered(answer: Result<Response, Fault>) -> Response {
    answer.unwrap_or_else(IntoResponse::into_response)
}

fn enter(state: &ApiState, parts: &Parts, account: &str) -> Result<Arc<Login>, Fault> {
    let login = sign_in(state, parts, account);
    login.map_err(|problem| match problem.code {
        crate::api::error::Code::Unauthorized => Fault::unauthorized(),
        _ => problem.into(),
    })
}

async fn read_form(
    state: &ApiState,
    parts: &Parts,
    body: Body,
) -> Result<Vec<(String, String)>, Fault> {
    let held = body::read_form(state, &parts.headers, body, SMALL_MAX).await?;
    crate::twiml::form::decode(&held.bytes)
        .map_err(|error| Fault::new(400, 20_001, error.to_string()))
}

/// `POST …/Calls.json`.
pub(super) async fn create(
    State(state): State<ApiState>,
    Path(account): Path<String>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let made = async {
        let login = enter(&state, &parts, &account)?;
        login.grant.require(Scope::CallsWrite)?;
        let asked = Asked::read(&read_form(&state, &parts, body).await?)?;
        place(&state, &login, asked).await
    };
    answered(made.await)
}

/// Has the daemon make the call.
async fn place(state: &ApiState, login: &Login, asked: Asked) -> Result<Response, Fault> {
    let sip_uris = login.grant.require(Scope::CallsSip).is_ok();
    if asked.target_is_sip && !sip_uris {
        return Err(Fault::new(403, 20_403, "the account may not call SIP URIs"));
    }
    let instance = &login.account.instance;
    if !login.grant.instances.permits(instance) {
        return Err(Fault::new(403, 20_403, format!("the key is not bound to {instance}")));
    }
    let known = state.store.instance(instance).await.map_err(Problem::from)?;
    let missing = || Fault::new(500, 20_500, format!("there is no instance {instance}"));
    let settings = known.ok_or_else(missing)?.settings;
    let defaults = state.create_defaults();
    let request = TwimlRequest {
        account: Account {
            sid: login.account.sid.clone(),
            token: login.account.token.clone(),
            sip_uris,
        },
        entry: asked.entry,
        fallback: asked.fallback,
        press: asked.press,
        callback: asked.callback,
    };
    let call = NewCall {
        id: fresh::call_id(),
        instance: instance.clone(),
        settings,
        target: asked.to,
        headers: Vec::new(),
        from: Some(asked.from),
        from_name: None,
        content: Content::Twiml(Box::new(request)),
        background: None,
        ring_timeout: asked.timeout.unwrap_or(defaults.ring_timeout),
        max_duration: asked.longest.unwrap_or(defaults.max_duration),
        key: Some(login.grant.name.clone()),
        metadata: serde_json::Map::new(),
        transcribe: None,
        hearing: crate::app::hearing::HearingWish::default(),
    };
    let created = state.ask(|reply| Command::Create(Box::new(call), reply)).await??;
    let (status, record) = match created {
        Created::New(record) => (StatusCode::CREATED, record),
        // The line takes one call at a time, and this is it.
        Created::Existing(record) => (StatusCode::OK, record),
    };
    Ok(json(status, shape::call(&login.account, &record, None).to_string()))
}

/// The call that a path names, if the account may see it.
async fn find(state: &ApiState, login: &Login, name: &str) -> Result<CallRecord, Fault> {
    let lost = || {
        let path = format!("/2010-04-01/Accounts/{}/Calls/{name}.json", login.account.sid);
        Fault::not_found(&path)
    };
    let id = call_of(name).ok_or_else(lost)?;
    state.find_call(&login.grant, &id).await.map_err(|problem| match problem.status {
        404 => lost(),
        _ => problem.into(),
    })
}

/// The name in `{sid}.json`.
fn stem(file: &str) -> Result<&str, Fault> {
    file.strip_suffix(".json").ok_or_else(|| Fault::not_found(file))
}

/// `GET …/Calls/{sid}.json`.
pub(super) async fn show(
    State(state): State<ApiState>,
    Path((account, file)): Path<(String, String)>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let shown = async {
        let login = enter(&state, &parts, &account)?;
        login.grant.require(Scope::CallsRead)?;
        let record = find(&state, &login, stem(&file)?).await?;
        Ok(json(StatusCode::OK, shape::call(&login.account, &record, None).to_string()))
    };
    answered(shown.await)
}

/// `POST …/Calls/{sid}.json`: end it, or have it obey something else.
pub(super) async fn change(
    State(state): State<ApiState>,
    Path((account, file)): Path<(String, String)>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let changed = async {
        let login = enter(&state, &parts, &account)?;
        login.grant.require(Scope::CallsWrite)?;
        let change = Change::read(&read_form(&state, &parts, body).await?)?;
        let record = find(&state, &login, stem(&file)?).await?;
        let (record, status) = obey(&state, &record, change).await?;
        Ok(json(StatusCode::OK, shape::call(&login.account, &record, status).to_string()))
    };
    answered(changed.await)
}

/// Does what an update asks; the status is told where the call has not come to it yet.
async fn obey(
    state: &ApiState,
    record: &CallRecord,
    change: Change,
) -> Result<(CallRecord, Option<TwilioStatus>), Fault> {
    let active = record.status.is_active();
    let answered = record.answered_at.is_some();
    let status = match change {
        Change::Nothing => return Ok((record.clone(), None)),
        // Who ends what has ended already is told how it ended.
        Change::Complete | Change::Cancel if !active => return Ok((record.clone(), None)),
        Change::Cancel if answered => {
            return Err(Fault::wrong_state("Call is in-progress. Cannot cancel; complete it."));
        }
        Change::Complete if answered => TwilioStatus::Completed,
        Change::Complete | Change::Cancel => TwilioStatus::Canceled,
        Change::Entry(entry) => {
            if !active || !answered {
                let message = "Call is not in-progress. Cannot redirect.";
                return Err(Fault::wrong_state(message));
            }
            let wish = Box::new(Wish::Instruct(Box::new(entry)));
            let id = record.id.clone();
            let record = state.ask(|reply| Command::Control(id, wish, reply)).await??;
            return Ok((record, None));
        }
    };
    state.ask(|reply| Command::Terminate(record.id.clone(), reply)).await?;
    Ok((record.clone(), Some(status)))
}

/// `POST …/Calls/{sid}/Streams.json`: a stream that only listens needs a second ear at the media
/// leg, which there is not.
pub(super) async fn streams(
    State(state): State<ApiState>,
    Path((account, call, file)): Path<(String, String, String)>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let refused = async {
        let login = enter(&state, &parts, &account)?;
        login.grant.require(Scope::CallsWrite)?;
        find(&state, &login, &call).await?;
        Err(match file.as_str() {
            "Streams.json" => Fault::unserved("Streams (use <Connect><Stream>)"),
            other => Fault::not_found(other),
        })
    };
    answered(refused.await)
}

/// `GET …/Calls.json`.
pub(super) async fn list(
    State(state): State<ApiState>,
    Path(account): Path<String>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let listed = async {
        let login = enter(&state, &parts, &account)?;
        login.grant.require(Scope::CallsRead)?;
        let filter = ListFilter::read(&query::pairs(&parts.uri)?)?;
        let (calls, next) = page(&state, &login.account, &filter).await?;
        let body = shape::list(&login.account, &filter, parts.uri.path(), &calls, next);
        Ok(json(StatusCode::OK, body.to_string()))
    };
    answered(listed.await)
}

/// One page of the account's calls, newest first, and where the next begins.
async fn page(
    state: &ApiState,
    account: &CompatAccount,
    filter: &ListFilter,
) -> Result<(Vec<CallRecord>, Option<CallCursor>), Fault> {
    let mut found: Vec<CallRecord> = Vec::new();
    let mut cursor = filter.cursor.clone();
    let mut scanned = 0;
    while scanned < SCAN_MAX {
        let rows = filter.rows(&account.instance);
        let rows = state.store.list_calls(rows, cursor.clone(), SCAN_STEP).await;
        let rows = rows.map_err(Problem::from)?;
        let last = rows.len() < SCAN_STEP;
        scanned += rows.len();
        for record in rows {
            if found.len() == filter.size {
                return Ok((found, cursor));
            }
            cursor = Some(cursor_of(&record));
            if filter.wants(&record) {
                found.push(record);
            }
        }
        if last {
            return Ok((found, None));
        }
    }
    Ok((found, cursor))
}

fn cursor_of(record: &CallRecord) -> CallCursor {
    let id: CallId = record.id.clone();
    CallCursor { created_at: record.created_at, id }
}
