//! Keeps the tree in order: layers, doors, lengths, owners, freshness.
//!
//! ```text
//!  git ls-files ─> source (code without comments, strings and tests) ─> layers  doors  lengths
//!               ├> texts  (owners of TODOs, headers, what must not be published)
//!               └> shown  (tests that docs/stream.md names, parts that docs/ARCHITECTURE.md names)
//! ```
//!
//! Each rule is a function from text to findings, tested on small strings below it, and then held
//! against the whole tree here. A finding says what is wrong and where.

#[path = "tidy/doors.rs"]
mod doors;
#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/lengths.rs"]
mod lengths;
#[path = "tidy/shown.rs"]
mod shown;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/texts.rs"]
mod texts;

use source::{Source, root, tracked};

fn none(findings: &[String]) {
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}

/// The Rust files below these directories.
fn sources(directories: &[&str]) -> Vec<Source> {
    let mut sources = read(directories);
    let tests: Vec<String> = sources.iter().flat_map(Source::test_modules).collect();
    for source in &mut sources {
        let module = source.module();
        if tests.iter().any(|test| module == *test || module.starts_with(&format!("{test}::"))) {
            source.make_test();
        }
    }
    sources
}

fn read(directories: &[&str]) -> Vec<Source> {
    tracked()
        .into_iter()
        .filter(|path| std::path::Path::new(path).extension().is_some_and(|ext| ext == "rs"))
        .filter(|path| directories.iter().any(|directory| path.starts_with(directory)))
        .filter_map(|path| {
            let text = std::fs::read_to_string(root().join(&path)).ok()?;
            Some(Source::new(&path, &text))
        })
        .collect()
}

#[test]
fn modules_use_only_what_stands_lower() {
    let sources = sources(&["src/"]);
    assert!(sources.len() > 20, "the tree was not found");
    none(&sources.iter().flat_map(layers::findings).collect::<Vec<_>>());
}

#[test]
fn every_dependency_has_one_door() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let mut findings = doors::unlisted(&manifest);
    findings.extend(sources(&["src/"]).iter().flat_map(doors::findings));
    none(&findings);
}

#[test]
fn functions_and_files_are_short() {
    let sources = sources(&["src/", "tests/", "benches/", "examples/", "fuzz/"]);
    none(&sources.iter().flat_map(lengths::findings).collect::<Vec<_>>());
}

#[test]
fn cores_deny_clocks_locks_and_sockets() {
    let sources = sources(&["src/"]);
    none(&texts::missing_denials(&sources));
}

#[test]
fn files_say_what_they_are() {
    let sources = sources(&["src/", "tests/", "benches/", "examples/"]);
    none(&sources.iter().filter_map(texts::header).collect::<Vec<_>>());
}

#[test]
fn todos_have_owners_and_nothing_private_is_published() {
    let mut findings = Vec::new();
    for path in tracked() {
        let Ok(text) = std::fs::read_to_string(root().join(&path)) else { continue };
        findings.extend(texts::owners(&path, &text));
        findings.extend(texts::private(&path, &text, &texts::private_words()));
    }
    none(&findings);
}

#[test]
fn the_lock_file_names_only_the_public_registry() {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    none(&texts::registries(&lock));
}

#[test]
fn generated_files_are_fresh() {
    let stale = bellwire::cli::generate::stale(&root());
    assert!(stale.is_empty(), "run `make gen`: {stale:?}");
}

#[test]
fn citations_of_standards_say_what_they_demand() {
    let (found, malformed) = bellwire::cli::compliance::scan(&root());
    assert!(found.len() > 50, "the citations were not found");
    none(&malformed);
}

#[test]
fn the_stream_page_names_tests_that_are_there() {
    let page = std::fs::read_to_string(root().join("docs/stream.md")).unwrap();
    none(&shown::findings(&page, &sources(&["src/", "tests/"])));
}

#[test]
fn the_map_has_the_parts_of_the_stream() {
    let page = std::fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    none(&shown::parts(&page, &sources(&["src/"])));
}

#[test]
fn the_project_has_its_papers() {
    for (path, part) in [
        ("CHANGELOG.md", "## [Unreleased]"),
        ("CONTRIBUTING.md", "make test"),
        ("SECURITY.md", "report"),
        ("LICENSE-MIT", "MIT License"),
        ("LICENSE-APACHE", "Apache License"),
        ("deny.toml", "[licenses]"),
    ] {
        let text = std::fs::read_to_string(root().join(path)).unwrap_or_default();
        assert!(text.contains(part), "{path} does not say {part:?}");
    }
}
