//! Words and codes of the messages against the code that says them.

use super::super::field::Values;
use super::*;
use crate::app::stream::options::{Envelope, Listen, Playout};
use crate::call::control::WishError;
use crate::call::record::{CallStatus, Direction, TransferMode, TransferPhase};
use crate::turn::barge::Mode;
use crate::turn::interface::State;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const PAGE: &str = include_str!("../../../../docs/stream.md");

type Words = BTreeSet<String>;

fn set<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> Words {
    words.into_iter().map(|word| word.as_ref().to_owned()).collect()
}

/// The words that a field of a message may be.
fn words(message: &str, field: &str) -> Words {
    let message = FROM_SERVER.iter().find(|known| known.name == message).unwrap();
    let field = message.fields.iter().find(|known| known.name == field).unwrap();
    match field.values {
        Values::Words(words) => set(words),
        Values::Any | Values::Numbers(_) | Values::Range(..) => panic!("{} has none", field.name),
    }
}

/// The names of an enum's variants on the wire, as its reader gives them when it is asked for
/// another.
fn variants<T: serde::de::DeserializeOwned + std::fmt::Debug>() -> Words {
    let fault = serde_json::from_str::<T>("\"?\"").unwrap_err().to_string();
    let (_, names) = fault.split_once(", expected").unwrap();
    set(names.split('`').skip(1).step_by(2))
}

/// The sources of some directory or file, without tests.
fn sources(under: &str) -> Vec<(PathBuf, String)> {
    let under = Path::new(env!("CARGO_MANIFEST_DIR")).join(under);
    let mut waiting = vec![under];
    let mut found = Vec::new();
    while let Some(path) = waiting.pop() {
        if path.file_stem().is_some_and(|name| name == "tests") {
            continue;
        }
        if path.is_dir() {
            waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned();
            found.push((path, code));
        }
    }
    assert!(!found.is_empty());
    found
}

/// What stands between quotes directly behind `before`, white space aside.
fn said(code: &str, before: &str) -> Words {
    let behind = code.match_indices(before).map(|(at, _)| code[at + before.len()..].trim_start());
    set(behind.filter_map(|text| text.strip_prefix('"')?.split('"').next()))
}

/// The first cells of a section's first table of codes.
fn paged(section: &str) -> Words {
    let (_, body) = PAGE.split_once(&format!("\n## {section}\n")).unwrap();
    let rows = body.lines().skip_while(|line| !line.starts_with("|---"));
    let rows = rows.skip(1).take_while(|line| line.starts_with('|'));
    let cells = rows.map(|row| row.trim_start_matches("| ").split(" | ").next().unwrap());
    set(cells.flat_map(|cell| cell.split(", ")).map(|code| code.trim_matches('`')))
}

/// The names of tones.
fn tones() -> Words {
    const TONES: &str = include_str!("../../../audio/progress.rs");
    let (_, body) = TONES.split_once("\nimpl ToneKind {\n").unwrap();
    let body = body.split("\n}\n").next().unwrap();
    set(body.split('"').skip(1).step_by(2))
}

/// How far a recording may be told to be.
fn recordings() -> Words {
    const RECORD: &str = include_str!("../../../app/stream/wire/record.rs");
    let (_, body) = RECORD.split_once("let state = match ").unwrap();
    set(body.split("};").next().unwrap().split('"').skip(1).step_by(2))
}

#[test]
fn words_are_those_of_the_code() {
    for (message, field, code) in [
        ("turn", "state", variants::<State>()),
        ("start", "direction", variants::<Direction>()),
        ("start", "call_status", variants::<CallStatus>()),
        ("start", "barge_in", variants::<Mode>()),
        ("start", "playout", set([Playout::Queue, Playout::Live].map(Playout::as_str))),
        ("start", "envelope", set([Envelope::Binary, Envelope::Json].map(Envelope::as_str))),
        ("call_event", "mode", variants::<TransferMode>()),
        ("call_event", "state", &variants::<TransferPhase>() | &recordings()),
        ("tone", "kind", tones()),
        (
            "audio",
            "track",
            set([Listen::Caller, Listen::Agent, Listen::Both, Listen::Stereo].map(Listen::as_str)),
        ),
    ] {
        assert_eq!(words(message, field), code, "{message}.{field}");
    }
}

#[test]
fn call_events_are_those_of_the_machine() {
    let mut told = Words::new();
    for (_, code) in sources("src/call/machine.rs").iter().chain(&sources("src/call/machine")) {
        told.extend(said(code, "Output::Tell("));
        // `let event = if on { "mute" } else { "unmute" };`
        let chosen = code
            .match_indices("let event = if ")
            .filter_map(|(at, _)| code[at..].split(';').next());
        told.extend(chosen.flat_map(|line| set(line.split('"').skip(1).step_by(2))));
    }
    // What the stream tells of itself and of others, with fields of their own.
    told.extend(["transfer", "amd", "recording"].map(str::to_owned));
    assert_eq!(words("call_event", "event"), told);
    for event in &told {
        assert!(PAGE.contains(event.as_str()), "docs/stream.md: {event}");
    }
}

#[test]
fn warnings_are_those_of_the_code_and_of_the_page() {
    let mut told = Words::new();
    for (path, code) in sources("src/app/stream") {
        if path.ends_with("wire.rs") || path.ends_with("options/asked.rs") {
            continue;
        }
        for before in ["Told::Warning { code:", "warning(", "self.hint("] {
            told.extend(said(&code, before));
        }
    }
    assert_eq!(told, set(WARNINGS), "src/app/stream and WARNINGS differ");
    assert_eq!(paged("Warnings"), set(WARNINGS), "docs/stream.md and WARNINGS differ");
}

#[test]
fn errors_are_those_of_the_code_and_of_the_page() {
    let mut told = Words::new();
    let session = sources("src/app/stream/session");
    let others = ["session.rs", "client.rs", "wire.rs", "wire", "dialect/json.rs"];
    let others = others.iter().flat_map(|name| sources(&format!("src/app/stream/{name}")));
    for (_, code) in session.into_iter().chain(others) {
        for before in ["Err((", "ok_or((", "refused(", "refuse(", "|| (", "INVALID: &str ="] {
            told.extend(said(&code, before));
        }
        let errors = code.match_indices("Told::Error {").chain(code.match_indices("Refused {"));
        let errors = errors.filter_map(|(at, _)| code[at..].split('}').next());
        told.extend(errors.flat_map(|error| said(error, "code:")));
        // Codes that are chosen: `let code = match … { … => "busy", };`
        let chosen =
            code.match_indices("let code = ").filter_map(|(at, _)| code[at..].split(";\n").next());
        told.extend(chosen.flat_map(|text| set(text.split('"').skip(1).step_by(2))));
    }
    for wish in [
        WishError::Conflict(String::new()),
        WishError::Ended,
        WishError::NotAllowed(String::new()),
        WishError::Invalid(String::new()),
        WishError::NotServed(String::new()),
        WishError::Draining,
        WishError::Full(String::new()),
    ] {
        told.insert(wish.code().to_owned());
    }
    assert_eq!(told, set(ERRORS), "src/app/stream and ERRORS differ");
    assert_eq!(paged("Errors"), set(ERRORS), "docs/stream.md and ERRORS differ");
}

#[test]
fn close_codes_are_those_of_the_code_and_of_the_page() {
    const SEAT: &str = include_str!("../../../app/stream/seat.rs");
    let (_, body) = SEAT.split_once("pub enum CloseCode {").unwrap();
    let body = body.split("\n}\n").next().unwrap();
    let numbers = body.lines().filter_map(|line| line.split_once(" = ")?.1.strip_suffix(','));
    let code = set(numbers);
    let declared = set(CLOSES.map(|(code, _)| (code as u16).to_string()));
    assert_eq!(declared, code, "CloseCode and CLOSES differ");
    assert_eq!(paged("Close codes"), code, "docs/stream.md and CLOSES differ");
}
