//! `/calls`: make, list, show, annotate and end them; tickets to their streams.

use super::body::{self, INLINE_MAX, SMALL_MAX};
use super::once::{Answer, json, once};
use super::query::{Id, pairs, wrong};
use super::{ApiState, TrunkState, guard};
use crate::api::auth::{Grant, Scope};
use crate::api::error::{Code, Problem};
use crate::api::gateway::{Command, Content, Created, NewCall};
use crate::api::tickets::TICKET_LIFE;
use crate::api::types::create::stream_defaults;
use crate::api::types::instance::parse_call_change;
use crate::api::types::{AudioProblem, CreateCall, CreateContext, RequestedContent, answer};
use crate::api::{fresh, stamp};
use crate::app::stream::StreamRights;
use crate::call::record::{CallRecord, CallStatus, Direction};
use crate::id::{CallId, InstanceId};
use crate::store::{CallCursor, CallFilter, InstanceSettings};
use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, Uri};
use serde_json::json as object;
use std::sync::Arc;
use std::time::Instant;

/// Calls of one page unless said otherwise, and at most.
const PAGE: usize = 50;
const PAGE_MAX: usize = 200;

pub(super) async fn create(
    State(state): State<ApiState>,
    Extension(grant): Extension<Arc<Grant>>,
    request: Request,
) -> Result<Response, Problem> {
    grant.require(Scope::CallsWrite)?;
    let (parts, body) = request.into_parts();
    let held = body::read(&state, &parts.headers, body, state.limits.body_max).await?;
    once(&state, &grant, &parts, &held.bytes, place(&state, &grant, held.bytes.clone())).await
}

/// Checks a create request and has the daemon make the call.
async fn place(state: &ApiState, grant: &Grant, body: Bytes) -> Result<Answer, Problem> {
    let asked = parse(state, body).await?;
    let settings = line(state, grant, &asked).await?;
    if asked.target_is_sip {
        grant.require(Scope::CallsSip)?;
    }
    let agent = match &asked.content {
        RequestedContent::Agent(agent) => Some(&**agent),
        RequestedContent::Tts(_)
        | RequestedContent::Audio { .. }
        | RequestedContent::Stream { .. } => None,
    };
    (state.check_agent)(agent, asked.transcribe.as_ref())?;
    let mut content = content(state, asked.content).await?;
    let hearing = asked.hearing.resolve(&settings.defaults, content.call_type());
    if let Content::Stream { ask, options, .. } = &mut content {
        if let Some((usual, client)) = settings.stream.as_ref().and_then(stream_defaults) {
            **options = options.or(&usual);
            ask.fill(client);
        }
        options.barge = hearing.barge;
        // A client that is dialled for somebody may do what they may.
        ask.rights =
            StreamRights { sip_uris: grant.require(Scope::CallsSip).is_ok(), standing: None };
    }
    let call = NewCall {
        id: fresh::call_id(),
        instance: asked.instance,
        settings,
        target: asked.target,
        headers: asked.headers,
        from: asked.from,
        from_name: asked.from_name,
        content,
        background: asked.background,
        ring_timeout: asked.ring_timeout,
        max_duration: asked.max_duration,
        key: Some(grant.name.clone()),
        metadata: asked.metadata,
        transcribe: asked.transcribe,
        hearing,
    };
    let created = state.ask(|reply| Command::Create(Box::new(call), reply)).await??;
    let (status, record) = match created {
        Created::New(record) => (StatusCode::CREATED, record),
        Created::Existing(record) => (StatusCode::OK, record),
    };
    let mut answer = Answer::new(status, answer::call(&record));
    answer.location = Some(format!("/v1/calls/{}", record.id));
    Ok(answer)
}

async fn parse(state: &ApiState, body: Bytes) -> Result<CreateCall, Problem> {
    let parse = |state: &ApiState, body: &[u8]| {
        let context = CreateContext {
            defaults: state.create_defaults(),
            strict: state.strict,
            voices: &state.voices,
            engines: &state.voice_engines,
        };
        CreateCall::parse(body, &context)
    };
    if body.len() <= INLINE_MAX {
        return parse(state, &body);
    }
    let state = state.clone();
    let parsed = tokio::task::spawn_blocking(move || parse(&state, &body)).await;
    parsed.map_err(|_| Problem::internal("the request could not be read"))?
}

/// The line's settings, with what the request changes for this call.
async fn line(
    state: &ApiState,
    grant: &Grant,
    asked: &CreateCall,
) -> Result<InstanceSettings, Problem> {
    let id = &asked.instance;
    if !grant.instances.permits(id) {
        let detail = format!("this key is not bound to {id}");
        return Err(
            Problem::new(Code::ForbiddenInstance, detail).with_pointer("/instanceId", "forbidden")
        );
    }
    let Some(instance) = state.store.instance(id).await? else {
        let detail = format!("there is no instance {id}");
        return Err(Problem::not_found(detail).with_pointer("/instanceId", "unknown"));
    };
    let mut settings = instance.settings;
    if let Some(trunk) = &asked.trunk {
        if settings.trunk.as_ref().is_some_and(|bound| bound != trunk) {
            let detail = "the instance is bound to another trunk";
            return Err(
                Problem::new(Code::InvalidRequest, detail).with_pointer("/trunkId", "not_allowed")
            );
        }
        known_trunk(state, trunk)?;
        settings.trunk = Some(trunk.clone());
    }
    let shown = settings.caller_id.as_ref();
    if asked.from.as_ref().is_some_and(|from| shown.is_some_and(|shown| shown != from)) {
        let detail = "the instance may not show this number";
        return Err(Problem::new(Code::InvalidRequest, detail).with_pointer("/from", "not_allowed"));
    }
    Ok(settings)
}

/// Refuses the name of a trunk that there is not.
pub(super) fn known_trunk(state: &ApiState, trunk: &str) -> Result<(), Problem> {
    if (state.trunks)(Some(trunk)) != TrunkState::Unknown {
        return Ok(());
    }
    let shown = crate::api::types::fields::clip(trunk);
    let detail = format!("there is no trunk {shown:?}");
    Err(Problem::new(Code::InvalidRequest, detail).with_pointer("/trunkId", "unknown"))
}

async fn content(state: &ApiState, asked: RequestedContent) -> Result<Content, Problem> {
    match asked {
        RequestedContent::Tts(spoken) => {
            (state.check_speech)(&spoken)?;
            Ok(Content::Tts(spoken))
        }
        RequestedContent::Stream { options, wait, ask } => {
            Ok(Content::Stream { options, wait, ask })
        }
        RequestedContent::Audio { bytes, repeat } => {
            let samples = decode(state, bytes).await?;
            Ok(Content::Audio { samples, repeat })
        }
        RequestedContent::Agent(agent) => Ok(Content::Agent(agent)),
    }
}

/// Decodes on the blocking threads, a few files at once.
async fn decode(state: &ApiState, bytes: Bytes) -> Result<Arc<[i16]>, Problem> {
    const POINTER: &str = "/audio/audioBase64";
    let gone = |_| Problem::internal("the audio could not be decoded");
    let permit = Arc::clone(&state.decodes).acquire_owned().await;
    let permit = permit.map_err(|_| Problem::internal("the audio could not be decoded"))?;
    let decoder = Arc::clone(&state.decode_audio);
    let decoded = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        decoder(bytes)
    });
    decoded.await.map_err(gone)?.map_err(|problem| match problem {
        AudioProblem::Undecodable(detail) => {
            Problem::new(Code::AudioUndecodable, detail).with_pointer(POINTER, "undecodable")
        }
        AudioProblem::TooLarge(detail) => {
            Problem::new(Code::AudioTooLarge, detail).with_pointer(POINTER, "too_long")
        }
    })
}

pub(super) async fn list(
    State(state): State<ApiState>,
    Extension(grant): Extension<Arc<Grant>>,
    uri: Uri,
) -> Result<Response, Problem> {
    grant.require(Scope::CallsRead)?;
    let page = Page::parse(&uri, &grant)?;
    let mut calls = state.store.list_calls(page.filter, page.cursor, page.limit + 1).await?;
    let more = calls.len() > page.limit;
    calls.truncate(page.limit);
    let next_cursor = calls.last().filter(|_| more).map(cursor_of);
    let calls: Vec<_> = calls.iter().map(answer::call).collect();
    let body = object!({"data": calls, "next_cursor": next_cursor});
    Ok(json(StatusCode::OK, body.to_string()))
}

/// What a list is asked for.
#[derive(Debug)]
struct Page {
    filter: CallFilter,
    cursor: Option<CallCursor>,
    limit: usize,
}

impl Page {
    fn parse(uri: &Uri, grant: &Grant) -> Result<Self, Problem> {
        let bound = match &grant.instances {
            crate::api::auth::Binding::All => None,
            crate::api::auth::Binding::Only(only) => Some(only.iter().cloned().collect()),
        };
        let filter = CallFilter { instances: bound, ..CallFilter::default() };
        let mut page = Self { filter, cursor: None, limit: PAGE };
        for (name, value) in pairs(uri)? {
            page.read(grant, &name, &value)?;
        }
        Ok(page)
    }

    fn read(&mut self, grant: &Grant, name: &str, value: &str) -> Result<(), Problem> {
        match name {
            "status" => self.filter.status = Some(status(value)?),
            "direction" => {
                self.filter.direction = Some(match value {
                    "outbound" => Direction::Outbound,
                    "inbound" => Direction::Inbound,
                    _ => return Err(wrong(name, "enum", "must be outbound or inbound")),
                });
            }
            "instanceId" | "instance_id" => {
                let bad = |_| wrong(name, "pattern", "must be the id of an instance");
                let id: InstanceId = value.parse().map_err(bad)?;
                // Not theirs is the same as not there: an empty list.
                let permitted = grant.instances.permits(&id);
                self.filter.instances = Some(if permitted { vec![id] } else { Vec::new() });
            }
            "since" => {
                let moment = stamp::parse(value).ok_or_else(|| {
                    wrong(name, "pattern", "must be a moment such as 2026-01-31T12:00:00Z")
                })?;
                self.filter.since = Some(moment);
            }
            "limit" => {
                let number = value.parse().ok().filter(|n| (1..=PAGE_MAX).contains(n));
                self.limit = number.ok_or_else(|| {
                    wrong(name, "out_of_range", format!("must be 1 to {PAGE_MAX}"))
                })?;
            }
            "cursor" => {
                let detail = "must be the next_cursor of the page before";
                let cursor = cursor(value).ok_or_else(|| wrong(name, "pattern", detail))?;
                self.cursor = Some(cursor);
            }
            _ => {
                let detail = "is unknown; known are status, instanceId, direction, since, limit \
                              and cursor";
                return Err(wrong(name, "unknown_field", detail));
            }
        }
        Ok(())
    }
}

fn status(text: &str) -> Result<CallStatus, Problem> {
    let all = [
        CallStatus::Queued,
        CallStatus::Ringing,
        CallStatus::InProgress,
        CallStatus::Completed,
        CallStatus::Failed,
    ];
    all.into_iter().find(|status| status.as_str() == text).ok_or_else(|| {
        wrong("status", "enum", "must be QUEUED, RINGING, IN_PROGRESS, COMPLETED or FAILED")
    })
}

fn cursor_of(record: &CallRecord) -> String {
    format!("{}.{}", record.created_at, record.id)
}

fn cursor(text: &str) -> Option<CallCursor> {
    let (created_at, id) = text.split_once('.')?;
    Some(CallCursor { created_at: created_at.parse().ok()?, id: id.parse().ok()? })
}

pub(super) async fn show(
    State(state): State<ApiState>,
    Extension(grant): Extension<Arc<Grant>>,
    Id(id): Id<CallId>,
) -> Result<Response, Problem> {
    grant.require(Scope::CallsRead)?;
    let record = state.find_call(&grant, &id).await?;
    Ok(json(StatusCode::OK, answer::call(&record).to_string()))
}

pub(super) async fn transcript(
    State(state): State<ApiState>,
    Extension(grant): Extension<Arc<Grant>>,
    Id(id): Id<CallId>,
) -> Result<Response, Problem> {
    grant.require(Scope::CallsRead)?;
    let record = state.find_call(&grant, &id).await?;
    Ok(json(StatusCode::OK, answer::transcript(&record).to_string()))
}

pub(super) async fn stats(
    State(state): State<ApiState>,
    Extension(grant): Extension<Arc<Grant>>,
    Id(id): Id<CallId>,
) -> Result<Response, Problem> {
    grant.require(Scope::CallsRead)?;
    let record = state.find_call(&grant, &id).await?;
    let live = state.ask(|reply| Command::Stats(id, reply)).await?;
    Ok(json(StatusCode::OK, answer::stats(&record, live.as_ref()).to_string()))
}

pub(super) async fn change(
    State(state): State<ApiState>,
    Extension(grant): Extension<Arc<Grant>>,
    Id(id): Id<CallId>,
    request: Request,
) -> Result<Response, Problem> {
    grant.require(Scope::CallsWrite)?;
    let (parts, body) = request.into_parts();
    let held = body::read(&state, &parts.headers, body, SMALL_MAX).await?;
    let metadata = parse_call_change(&held.bytes, state.strict)?;
    let record = state.find_call(&grant, &id).await?;
    let Some(metadata) = metadata else {
        return Ok(json(StatusCode::OK, answer::call(&record).to_string()));
    };
    let live = state.ask(|reply| Command::SetMetadata(id.clone(), metadata.clone(), reply)).await?;
    let changed = match live {
        Some(record) => Some(record),
        None => state.store.annotate_call(id.clone(), metadata).await?,
    };
    let record = changed.ok_or_else(|| Problem::not_found(format!("there is no call {id}")))?;
    Ok(json(StatusCode::OK, answer::call(&record).to_string()))
}

/// DELETE: 404 also when the call has already ended, as the reference API.
pub(super) async fn terminate(
    State(state): State<ApiState>,
    Extension(grant): Extension<Arc<Grant>>,
    Id(id): Id<CallId>,
    uri: Uri,
) -> Result<Response, Problem> {
    grant.require(Scope::CallsWrite)?;
    for (name, value) in pairs(&uri)? {
        match (name.as_str(), value.as_str()) {
            ("reason", "normal") => {}
            ("reason", "busy" | "decline") | ("sipCode" | "sip_code", _) => {
                let detail = format!("{name} is not served in this version; leave it out");
                return Err(Problem::new(Code::NotImplemented, detail)
                    .with_pointer(format!("?{name}"), "not_implemented"));
            }
            ("reason", _) => return Err(wrong(&name, "enum", "must be normal, busy or decline")),
            _ => return Err(wrong(&name, "unknown_field", "is unknown; known is reason")),
        }
    }
    let record = state.find_call(&grant, &id).await?;
    let ended = record.status.is_active()
        && state.ask(|reply| Command::Terminate(id.clone(), reply)).await?;
    if !ended {
        return Err(Problem::not_found(format!("the call {id} has already ended")));
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn issue_ticket(
    State(state): State<ApiState>,
    Extension(grant): Extension<Arc<Grant>>,
    Id(id): Id<CallId>,
    request: Request,
) -> Result<Response, Problem> {
    guard::may_stream(&grant)?;
    let (parts, body) = request.into_parts();
    let held = body::read(&state, &parts.headers, body, SMALL_MAX).await?;
    let work = async {
        let record = state.find_call(&grant, &id).await?;
        if !record.status.is_active() {
            return Err(Problem::new(Code::CallEnded, format!("the call {id} is over")));
        }
        if !record.call_type.has_stream() {
            let detail = "only calls of type DYNAMIC_STREAM and DYNAMIC_AGENT have a stream";
            return Err(Problem::new(Code::Conflict, detail));
        }
        let ticket = state.tickets.issue(id.clone(), Arc::clone(&grant), Instant::now());
        let life_ms = i64::try_from(TICKET_LIFE.as_millis()).unwrap_or(0);
        let body = object!({
            "ticket": ticket,
            "expires_at": stamp::iso(stamp::now_ms().saturating_add(life_ms)),
            "url": format!("/v1/calls/{id}/stream?ticket={ticket}"),
        });
        Ok(Answer::new(StatusCode::CREATED, body))
    };
    once(&state, &grant, &parts, &held.bytes, work).await
}

/// The WebSocket upgrade: whose call it is, is decided here; all else by the stream.
pub(super) async fn attach(
    State(state): State<ApiState>,
    Extension(grant): Extension<Arc<Grant>>,
    Id(id): Id<CallId>,
    request: Request,
) -> Result<Response, Problem> {
    attach_to(&state, &grant, id, None, request).await
}

/// The same in the words of the protocol that the path names.
pub(super) async fn attach_as(
    State(state): State<ApiState>,
    Extension(grant): Extension<Arc<Grant>>,
    Path((id, protocol)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let id = id.parse().map_err(|_| Problem::not_found("the path holds no valid id"))?;
    attach_to(&state, &grant, id, Some(protocol), request).await
}

async fn attach_to(
    state: &ApiState,
    grant: &Arc<Grant>,
    id: CallId,
    protocol: Option<String>,
    mut request: Request,
) -> Result<Response, Problem> {
    guard::may_stream(grant)?;
    let mut query = pairs(request.uri())?;
    query.extend(protocol.map(|protocol| ("protocol".to_owned(), protocol)));
    let record = state.find_call(grant, &id).await?;
    if !record.status.is_active() {
        return Err(Problem::new(Code::CallEnded, format!("the call {id} is over")));
    }
    let rights = StreamRights {
        sip_uris: grant.require(Scope::CallsSip).is_ok(),
        standing: Some(grant.standing.clone()),
    };
    match crate::api::stream::upgrade(&state.gateway, id, &query, rights, &mut request).await {
        Ok(response) => Ok(response.map(|()| axum::body::Body::empty())),
        Err(refusal) => {
            let mut response = refusal.problem.into_response();
            if let Some((name, value)) = refusal.header {
                response.headers_mut().insert(name, HeaderValue::from_static(value));
            }
            Ok(response)
        }
    }
}
