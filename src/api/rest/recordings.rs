//! `/calls/{id}/recordings`: asked of a call in its middle, and read, also long after its end.
//!
//! What is known of a recording is in the call's record; whether its file is still there, and how long
//! it is, the directory says. A file is opened by the id of a recording that the record names.

use super::ApiState;
use super::body::{self, SMALL_MAX};
use super::control::known;
use super::once::{Answer, once};
use super::query::Id;
use crate::api::auth::{Grant, Scope};
use crate::api::error::{Code, Problem};
use crate::api::gateway::Command;
use crate::api::types::control::parse_nothing;
use crate::api::types::recording::{parse_record, recording};
use crate::app::recording::{file_of, part_of};
use crate::call::control::Wish;
use crate::call::record::CallRecord;
use crate::call::recording::{RecordWish, RecordingView};
use crate::id::{CallId, RecordingId};
use axum::Extension;
use axum::body::Body;
use axum::extract::{FromRequestParts, Path, Request, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream;
use http::request::Parts;
use http::{StatusCode, header};
use serde_json::Value;
use std::io;
use std::sync::Arc;
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;

/// Octets of a file that are read at once.
const PIECE: usize = 64 * 1024;

/// A call and one of its recordings, in a path; what is none names nothing, so it is 404.
pub(super) struct Ids(CallId, RecordingId);

impl<S: Send + Sync> FromRequestParts<S> for Ids {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let ids =
            path.ok().and_then(|Path((call, of))| Some((call.parse().ok()?, of.parse().ok()?)));
        ids.map(|(call, of)| Self(call, of))
            .ok_or_else(|| Problem::not_found("the path holds no valid ids"))
    }
}

pub(super) async fn start(
    State(state): State<ApiState>,
    Extension(grant): Extension<Arc<Grant>>,
    Id(id): Id<CallId>,
    request: Request,
) -> Result<Response, Problem> {
    grant.require(Scope::CallsWrite)?;
    let (parts, body) = request.into_parts();
    let held = body::read(&state, &parts.headers, body, SMALL_MAX).await?;
    let work = async {
        let wish = RecordWish::Start(parse_record(&held.bytes, state.strict)?);
        let record = ask(&state, &grant, &id, wish).await?;
        let begun = record.recordings.last();
        let view = begun.ok_or_else(|| Problem::internal("the recording is not known"))?;
        let mut answer = Answer::new(StatusCode::CREATED, shown(&state, &record, view).await);
        answer.location = Some(format!("/v1/calls/{id}/recordings/{}", view.id));
        Ok(answer)
    };
    once(&state, &grant, &parts, &held.bytes, work).await
}

/// Makes the handler of a wish about a recording that goes on.
macro_rules! wish_of {
    ($name:ident, $wish:path, $status:expr) => {
        pub(super) async fn $name(
            state: State<ApiState>,
            grant: Extension<Arc<Grant>>,
            ids: Ids,
            request: Request,
        ) -> Result<Response, Problem> {
            change(state, grant, ids, request, $wish, $status).await
        }
    };
}

wish_of!(pause, RecordWish::Pause, StatusCode::OK);
wish_of!(resume, RecordWish::Resume, StatusCode::OK);
wish_of!(stop, RecordWish::Stop, StatusCode::ACCEPTED);

async fn change(
    State(state): State<ApiState>,
    Extension(grant): Extension<Arc<Grant>>,
    Ids(id, of): Ids,
    request: Request,
    wish: fn(Option<RecordingId>) -> RecordWish,
    status: StatusCode,
) -> Result<Response, Problem> {
    grant.require(Scope::CallsWrite)?;
    let (parts, body) = request.into_parts();
    let held = body::read(&state, &parts.headers, body, SMALL_MAX).await?;
    let work = async {
        parse_nothing(&held.bytes, state.strict)?;
        find(&state.find_call(&grant, &id).await?, &of)?;
        let record = ask(&state, &grant, &id, wish(Some(of.clone()))).await?;
        let view = find(&record, &of)?;
        Ok(Answer::new(status, shown(&state, &record, view).await))
    };
    once(&state, &grant, &parts, &held.bytes, work).await
}

pub(super) async fn list(
    State(state): State<ApiState>,
    Extension(grant): Extension<Arc<Grant>>,
    Id(id): Id<CallId>,
) -> Result<Response, Problem> {
    may_read(&grant)?;
    let record = state.find_call(&grant, &id).await?;
    let mut list = Vec::with_capacity(record.recordings.len());
    for view in &record.recordings {
        list.push(shown(&state, &record, view).await);
    }
    let body = serde_json::json!({ "data": list, "next_cursor": null });
    Ok(Answer::new(StatusCode::OK, body).into_response())
}

pub(super) async fn show(
    State(state): State<ApiState>,
    Extension(grant): Extension<Arc<Grant>>,
    Ids(id, of): Ids,
) -> Result<Response, Problem> {
    may_read(&grant)?;
    let record = state.find_call(&grant, &id).await?;
    let view = find(&record, &of)?;
    Ok(Answer::new(StatusCode::OK, shown(&state, &record, view).await).into_response())
}

pub(super) async fn audio(
    State(state): State<ApiState>,
    Extension(grant): Extension<Arc<Grant>>,
    Ids(id, of): Ids,
) -> Result<Response, Problem> {
    grant.require(Scope::RecordingsRead)?;
    let record = state.find_call(&grant, &id).await?;
    closed(find(&record, &of)?)?;
    let file = File::open(file_of(&state.recordings, &of)).await.map_err(|error| gone(&error))?;
    let octets = file.metadata().await.map_err(|error| gone(&error))?.len();
    let headers = [
        (header::CONTENT_TYPE, "audio/wav".to_owned()),
        (header::CONTENT_LENGTH, octets.to_string()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{of}.wav\"")),
    ];
    Ok((headers, Body::from_stream(stream::try_unfold(file, next_piece))).into_response())
}

pub(super) async fn delete(
    State(state): State<ApiState>,
    Extension(grant): Extension<Arc<Grant>>,
    Ids(id, of): Ids,
) -> Result<Response, Problem> {
    grant.require(Scope::CallsWrite)?;
    let record = state.find_call(&grant, &id).await?;
    closed(find(&record, &of)?)?;
    let removed = tokio::fs::remove_file(file_of(&state.recordings, &of)).await;
    removed.map_err(|error| gone(&error))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn ask(
    state: &ApiState,
    grant: &Grant,
    id: &CallId,
    wish: RecordWish,
) -> Result<CallRecord, Problem> {
    known(state, grant, id).await?;
    let wish = Box::new(Wish::Record(wish));
    state.ask(|reply| Command::Control(id.clone(), wish, reply)).await?
}

/// Whoever may see calls or hear recordings may see what there is.
fn may_read(grant: &Grant) -> Result<(), Problem> {
    if grant.scopes.grants(Scope::RecordingsRead) {
        return Ok(());
    }
    grant.require(Scope::CallsRead)
}

fn find<'a>(record: &'a CallRecord, of: &RecordingId) -> Result<&'a RecordingView, Problem> {
    let view = record.recordings.iter().find(|view| view.id == *of);
    view.ok_or_else(|| Problem::not_found(format!("the call {} has no recording {of}", record.id)))
}

fn closed(view: &RecordingView) -> Result<(), Problem> {
    if view.state.is_open() {
        let detail = format!("the recording {} goes on; stop it first", view.id);
        return Err(Problem::new(Code::Conflict, detail));
    }
    Ok(())
}

/// The object, with what its file says at this moment.
async fn shown(state: &ApiState, record: &CallRecord, view: &RecordingView) -> Value {
    let dir = &state.recordings;
    let path = if view.state.is_open() { part_of(dir, &view.id) } else { file_of(dir, &view.id) };
    let octets = tokio::fs::metadata(path).await.map(|facts| facts.len()).ok();
    recording(record, view, octets)
}

async fn next_piece(mut file: File) -> io::Result<Option<(Bytes, File)>> {
    let mut piece = Vec::with_capacity(PIECE);
    let read = file.read_buf(&mut piece).await?;
    Ok((read > 0).then(|| (piece.into(), file)))
}

fn gone(error: &io::Error) -> Problem {
    if error.kind() == io::ErrorKind::NotFound {
        return Problem::not_found("there is no sound of it (any more)");
    }
    tracing::warn!(%error, "the file of a recording");
    Problem::internal("the file of the recording cannot be used")
}
