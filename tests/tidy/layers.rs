//! Which module may use which: `docs/ARCHITECTURE.md` as a table.
//!
//! Reads every `crate::…` and `super::super::…` path outside tests, grouped imports included.

use crate::source::Source;

/// The layer of each module; the longest prefix counts.
const LAYERS: [(&str, u8); 24] = [
    ("main", 6),
    ("cli", 5),
    ("phone", 5),
    ("daemon", 4),
    ("net", 3),
    ("media::worker", 3),
    ("app", 3),
    ("speech", 3),
    ("api", 3),
    ("store", 3),
    ("observe", 3),
    ("config", 3),
    ("sip", 2),
    ("media", 2),
    ("call", 2),
    ("turn", 2),
    ("twiml", 2),
    ("sip::message", 1),
    ("sdp", 1),
    ("rtp", 1),
    ("audio", 1),
    ("time", 0),
    ("id", 0),
    ("lib", 0),
];

/// Who may use whom within a layer, and why. The first is empty for everybody.
const MEETINGS: [(&str, &str, &str); 26] = [
    ("cli", "phone", "`bellwire phone` runs it"),
    ("", "observe", "every shell reports; nothing in `observe` calls back"),
    ("media::worker", "net::rtp", "the worker owns the RTP sockets"),
    ("media::worker", "net::ports", "and the pool of their ports"),
    ("media::worker", "net::epoll", "and waits for them"),
    ("media::worker", "net::uring", "or is handed what they received"),
    ("media::worker", "net::realtime", "and asks for a core"),
    ("app", "media::worker", "an application leg owns a leg's handle"),
    ("app", "speech", "prompts are spoken by an engine"),
    ("app::agent", "net::http", "brains and tools ask other people's servers"),
    ("app::agent", "net::sleep_until", "and wait for a deadline that may not be there"),
    ("app::agent", "net::ws", "or hold a socket to them"),
    ("app::twiml", "net::http", "documents and files come from other people's servers"),
    ("call", "twiml", "a call may be asked to obey another document"),
    ("api", "speech", "an account's token is a key of another vendor's client"),
    ("speech", "net::http", "engines are other people's servers"),
    ("speech", "net::ws", "or sockets"),
    ("app", "api::stream", "the stream task owns the client's socket (ADR 7)"),
    ("api", "app", "the upgrade hands its socket to the stream leg"),
    ("api", "store", "instances, keys and past calls live there"),
    ("call", "media::interface", "a call's record carries its leg's report"),
    ("call", "sip::interface", "and the table of causes reads a session's ending"),
    ("sdp", "audio::codec", "descriptions name codecs of the table"),
    ("sdp", "rtp::dtmf", "and telephone events"),
    ("sdp", "rtp::srtp", "and carry keys"),
    ("rtp", "audio::codec", "payload types come from the table of codecs"),
];

/// The layer of a module path, by its longest known prefix.
fn layer(module: &str) -> Option<(&'static str, u8)> {
    LAYERS
        .into_iter()
        .filter(|(prefix, _)| is_below(module, prefix))
        .max_by_key(|(prefix, _)| prefix.len())
}

/// Whether `module` is `prefix` or lies in it.
fn is_below(module: &str, prefix: &str) -> bool {
    prefix.is_empty()
        || module.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Every use of a module that stands higher, or beside without leave.
pub(crate) fn findings(source: &Source) -> Vec<String> {
    let from = source.module();
    let Some((_, own)) = layer(&from) else {
        return vec![format!("{}: the module stands in no layer; see LAYERS", source.path)];
    };
    let mut findings = Vec::new();
    for (offset, path) in paths(source) {
        let Some((_, other)) = layer(&path) else { continue };
        let top = |module: &str| module.split("::").next().unwrap_or_default().to_owned();
        let at_home = top(&from) == top(&path);
        if other > own || (other == own && !at_home && !meets(&from, &path)) {
            let place = source.place(offset);
            findings.push(format!("{place}: {from} (layer {own}) uses {path} (layer {other})"));
        }
    }
    findings
}

fn meets(from: &str, path: &str) -> bool {
    MEETINGS.iter().any(|(one, other, _)| is_below(from, one) && is_below(path, other))
}

/// Every path into the crate, with its place: `crate::a::{b, c::d}` gives `a::b` and `a::c::d`.
pub(crate) fn paths(source: &Source) -> Vec<(usize, String)> {
    let code = &source.product;
    let mut found = Vec::new();
    for (offset, _) in code.match_indices("crate::") {
        if !word_before(code, offset) {
            for path in tree(&mut code[offset + 7..].chars().peekable(), "") {
                found.push((offset, path));
            }
        }
    }
    // `super` climbs from the file's own module; deeper inline modules hold tests only.
    for (offset, _) in code.match_indices("super::") {
        let climbed_before = code[..offset].ends_with("super::");
        if word_before(code, offset) || climbed_before {
            continue;
        }
        let mut module = source.module();
        let mut rest = &code[offset..];
        while let Some(behind) = rest.strip_prefix("super::") {
            module = module.rsplit_once("::").map(|(up, _)| up.to_owned()).unwrap_or_default();
            rest = behind;
        }
        for path in tree(&mut rest.chars().peekable(), &module) {
            found.push((offset, path));
        }
    }
    found
}

fn word_before(code: &str, offset: usize) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    code[..offset].ends_with(word)
}

type Letters<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// The leaves of one import tree.
fn tree(letters: &mut Letters<'_>, prefix: &str) -> Vec<String> {
    while letters.next_if(|c| c.is_whitespace()).is_some() {}
    if letters.next_if_eq(&'{').is_some() {
        let mut leaves = Vec::new();
        while letters.peek().is_some_and(|c| *c != '}') {
            leaves.extend(tree(letters, prefix));
            // Skips `as name`, commas and blanks.
            while letters.next_if(|c| !matches!(c, ',' | '}' | ';')).is_some() {}
            letters.next_if_eq(&',');
            while letters.next_if(|c| c.is_whitespace()).is_some() {}
        }
        letters.next();
        return leaves;
    }
    let mut name = String::new();
    while let Some(letter) = letters.next_if(|c| c.is_alphanumeric() || *c == '_') {
        name.push(letter);
    }
    let path = match (prefix, name.as_str()) {
        (_, "" | "self") => prefix.to_owned(),
        ("", name) => name.to_owned(),
        (prefix, name) => format!("{prefix}::{name}"),
    };
    let mut ahead = letters.clone();
    if ahead.next() == Some(':') && ahead.next() == Some(':') {
        letters.nth(1);
        return tree(letters, &path);
    }
    vec![path]
}

#[cfg(test)]
fn found(path: &str, text: &str) -> Vec<String> {
    findings(&Source::new(path, text))
}

#[test]
fn import_trees_are_read() {
    let source = Source::new(
        "src/app/stream/inlet.rs",
        "use crate::media::{worker::{LegHandle, Pool as P}, self, ring};\nuse crate::id::CallId;\n\
         fn f() { crate::time::now(); super::super::playout::g(); super::h(); mycrate::x::y(); }",
    );
    let mut paths: Vec<String> = paths(&source).into_iter().map(|(_, path)| path).collect();
    paths.sort();
    let expected = [
        "app::playout::g",
        "app::stream::h",
        "id::CallId",
        "media",
        "media::ring",
        "media::worker::LegHandle",
        "media::worker::Pool",
        "time::now",
    ];
    assert_eq!(paths, expected);
}

#[test]
fn upward_and_sideways_arrows_are_found() {
    for (path, text) in [
        ("src/sip/dialog.rs", "use crate::net::sip::Socket;"),
        ("src/sip/message/parse.rs", "use crate::sip::dialog::Dialog;"),
        ("src/sip/message/parse.rs", "use super::super::dialog::Dialog;"),
        ("src/media/leg.rs", "use super::worker::LegHandle;"),
        ("src/sip/session.rs", "use crate::{id, media::leg::Leg};"),
        ("src/store/mod.rs", "use crate::api::rest;"),
        ("src/call/mod.rs", "fn f(c: &crate::config::Config) {}"),
        ("src/observe/event.rs", "use crate::api::gateway::Status;"),
        ("src/elsewhere.rs", ""),
    ] {
        assert_eq!(found(path, text).len(), 1, "{path}: {text}");
    }
}

#[test]
fn downward_arrows_home_and_leave_are_fine() {
    for (path, text) in [
        ("src/sip/dialog.rs", "use crate::sip::message::Uri; use crate::id::SessionId;"),
        ("src/sip/dialog.rs", "use crate::sip::session::Session;"),
        ("src/api/rest.rs", "use crate::observe::event::ApiRefused; use crate::store::Store;"),
        ("src/daemon/mod.rs", "use crate::{api, app, config, media::worker, net, sip, store};"),
        ("src/media/leg.rs", "#[cfg(test)] mod tests { use crate::media::worker::X; }"),
        ("src/call/record.rs", "use crate::media::interface::LegReport;"),
    ] {
        assert_eq!(found(path, text), Vec::<String>::new(), "{path}: {text}");
    }
}
