//! The shapes of REST: what a request's body may say, and how objects look in answers.
//!
//! ```text
//!  bytes ── fields::parse ──> JSON ── create, instance, key ──> typed request, or one Problem
//!                                                               that names every wrong place
//!  record, row ── answer ──> JSON in snake_case
//! ```
//!
//! Owns names, bounds and defaults of the fields. Does not look anything up (except voices, which
//! come in) and decodes no audio beyond its base64. A field that the API has and this version does
//! not serve is refused with `not_implemented`, never ignored.

pub mod answer;
pub mod control;
pub mod create;
pub mod fields;
pub mod instance;
pub mod key;
pub mod recording;

pub use answer::Voice;
pub use create::{AudioProblem, CreateCall, CreateContext, CreateDefaults, RequestedContent};

use crate::api::error::Problem;

/// Feeds foreign bytes to the parser of create requests and checks what it says of them.
///
/// # Panics
/// When the parser breaks a promise: an accepted body outside its bounds, or a refusal that does
/// not say where.
pub fn fuzz_create(bytes: &[u8]) {
    let voices = [Voice::plain("en-US-001", "en-US")];
    for strict in [true, false] {
        let context = CreateContext {
            defaults: CreateDefaults::default(),
            strict,
            voices: &voices,
            engines: &[],
        };
        match CreateCall::parse(bytes, &context) {
            Ok(call) => assert_in_bounds(&call),
            Err(problem) => assert_explains_itself(&problem),
        }
    }
}

fn assert_in_bounds(call: &CreateCall) {
    assert!(call.headers.len() <= crate::call::target::HEADERS_MAX);
    assert!((5..=180).contains(&call.ring_timeout.as_secs()));
    assert!((1..=86_400).contains(&call.max_duration.as_secs()));
    let clean = |text: &str| !text.chars().any(char::is_control);
    assert!(call.headers.iter().all(|(name, value)| clean(name) && clean(value)));
    assert!(clean(&call.target) && !call.target.is_empty());
    match &call.content {
        RequestedContent::Tts(spoken) => {
            let text = &spoken.text;
            assert!(
                !text.trim().is_empty()
                    && text.chars().count() <= CreateDefaults::default().text_max
            );
            assert!(spoken.voice == "en-US-001" && (1..=10).contains(&spoken.repeat));
            assert!((0.5..=2.0).contains(&spoken.speed));
        }
        RequestedContent::Audio { bytes, .. } => assert!(!bytes.is_empty()),
        RequestedContent::Agent(agent) => {
            assert!(!agent.instructions.is_empty() || agent.is_script());
        }
        RequestedContent::Stream { .. } => {}
    }
}

fn assert_explains_itself(problem: &Problem) {
    assert!(matches!(problem.status, 400 | 413 | 501), "{problem:?}");
    assert!(!problem.detail.is_empty() && problem.detail.len() < 2000, "{problem:?}");
    assert!(!problem.errors.is_empty() && problem.errors.len() <= 32, "{problem:?}");
    for error in &problem.errors {
        assert!(error.pointer.is_empty() || error.pointer.starts_with('/'), "{error:?}");
    }
    let body: serde_json::Value =
        serde_json::from_slice(&problem.to_json(None, None)).expect("a problem is JSON");
    assert_eq!(body["code"], problem.code.as_str());
}
