//! What texts must have (headers, owners, denials) and must not have (private paths and hosts).

use crate::source::Source;

/// The directories and files of the pure cores.
const CORES: [&str; 8] = [
    "src/sip/mod.rs",
    "src/sdp/mod.rs",
    "src/rtp/mod.rs",
    "src/audio/mod.rs",
    "src/call/mod.rs",
    "src/twiml/mod.rs",
    "src/media/leg.rs",
    "src/media/jitter.rs",
];

/// The lints that every core denies at its top.
const DENIALS: [&str; 2] = ["clippy::disallowed_methods", "clippy::disallowed_types"];

/// Cores without the lints that keep clocks, locks and sockets out.
pub(crate) fn missing_denials(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for core in CORES {
        let Some(source) = sources.iter().find(|source| source.path == core) else {
            findings.push(format!("{core}: the core is gone"));
            continue;
        };
        let denied: String = source
            .code
            .match_indices("#![")
            .filter_map(|(at, _)| source.code[at..].split(']').next())
            .filter(|attribute| attribute.contains("deny("))
            .collect();
        for lint in DENIALS.iter().filter(|lint| !denied.contains(**lint)) {
            findings.push(format!("{core}: needs #![deny({lint})]"));
        }
    }
    findings
}

/// A file without a header, or with one that says that nothing is there. The tests of a module
/// that stand in a file beside it need none.
pub(crate) fn header(source: &Source) -> Option<String> {
    if source.path.starts_with("src/") && source.is_test() {
        return None;
    }
    let first = source.text.lines().find(|line| !line.trim().is_empty())?;
    let header = first.strip_prefix("//!").map(str::trim);
    match header {
        None | Some("") => Some(format!("{}: has no module header", source.path)),
        Some(text) if text.starts_with("Stub") => Some(format!("{}: is a stub", source.path)),
        Some(_) => None,
    }
}

/// Open ends without an owner: they are written `TODO(name): what`.
pub(crate) fn owners(path: &str, text: &str) -> Vec<String> {
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME")];
    let mut findings = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for mark in marks {
            for (at, _) in line.match_indices(mark) {
                let word = |c: char| c.is_alphanumeric() || c == '_';
                let behind = &line[at + mark.len()..];
                let owned = behind.strip_prefix('(').and_then(|rest| rest.split_once("):"));
                let in_word = line[..at].ends_with(word) || behind.starts_with(word);
                if !in_word && owned.is_none_or(|(owner, _)| owner.trim().is_empty()) {
                    findings.push(format!("{path}:{}: {mark} without an owner", number + 1));
                }
            }
        }
    }
    findings
}

/// Words that belong to the machine at hand and not into a public tree.
pub(crate) fn private_words() -> Vec<String> {
    let mut words: Vec<String> =
        ["/root", "/work", "/Users"].iter().map(|path| format!("{path}/")).collect();
    let hosts = ["PIP_INDEX_URL", "HTTPS_PROXY", "https_proxy", "CARGO_REGISTRIES_CRATES_IO_INDEX"];
    words.extend(hosts.iter().filter_map(|name| std::env::var(name).ok()).filter_map(|url| {
        let host = url.split("://").last()?.split('/').next()?.rsplit('@').next()?;
        let host = host.split(':').next()?.to_owned();
        let public = ["localhost", "127.0.0.1", "pypi.org", "index.crates.io", "github.com"];
        (host.len() > 5 && !public.contains(&host.as_str())).then_some(host)
    }));
    words
}

/// Lines with such words.
pub(crate) fn private(path: &str, text: &str, words: &[String]) -> Vec<String> {
    let mut findings = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for word in words.iter().filter(|word| line.contains(*word)) {
            findings.push(format!("{path}:{}: names {word}", number + 1));
        }
    }
    findings
}

/// Sources of a lock file that are not the public registry.
pub(crate) fn registries(lock: &str) -> Vec<String> {
    lock.lines()
        .filter_map(|line| line.strip_prefix("source = "))
        .filter(|source| *source != "\"registry+https://github.com/rust-lang/crates.io-index\"")
        .map(|source| format!("Cargo.lock: {source}"))
        .collect()
}

#[test]
fn headers_are_wanted_and_stubs_are_not() {
    let header = |text: &str| header(&Source::new("src/a.rs", text));
    assert_eq!(header("//! Owns a thing.\n"), None);
    for bad in ["use a;", "//!\n", "//! Stub.\n", "#![allow(x)]\n//! Late."] {
        assert!(header(bad).is_some(), "{bad:?}");
    }
}

#[test]
fn open_ends_have_owners() {
    let mark = concat!("TO", "DO");
    for (line, findings) in [
        (format!("// {mark}: later"), 1),
        (format!("// {mark}(): later"), 1),
        (format!("// {mark}(ada): later"), 0),
        (format!("# {}", concat!("FIX", "ME")), 1),
        (format!("let {mark}S = 1;"), 0),
    ] {
        assert_eq!(owners("a.rs", &line).len(), findings, "{line}");
    }
}

#[test]
fn private_paths_and_registries_are_found() {
    let words = vec!["/secret/".to_owned(), "mirror.example".to_owned()];
    let text = "cd /secret/x\nok /secrets\nurl = \"https://mirror.example/simple\"\n";
    assert_eq!(private("a.sh", text, &words).len(), 2);
    let public = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
    assert!(registries(public).is_empty());
    assert_eq!(registries("source = \"registry+https://mirror.example/index\"").len(), 1);
    assert!(private_words().iter().any(|word| word.ends_with("ot/")));
}

#[test]
fn cores_without_denials_are_found() {
    let good = "//! X\n#![deny(clippy::disallowed_methods, clippy::disallowed_types)]\n";
    let mut sources: Vec<Source> = CORES.iter().map(|core| Source::new(core, good)).collect();
    assert_eq!(missing_denials(&sources), Vec::<String>::new());
    let outside_tests = "//! X\n#![cfg_attr(\n    not(test),\n    deny(clippy::disallowed_methods,\n    \
                         clippy::disallowed_types)\n)]\n";
    sources[1] = Source::new(CORES[1], outside_tests);
    assert_eq!(missing_denials(&sources), Vec::<String>::new());
    sources[0] = Source::new(CORES[0], "//! X\n#![deny(clippy::disallowed_types)]\n");
    sources.pop();
    assert_eq!(missing_denials(&sources).len(), 2);
}
