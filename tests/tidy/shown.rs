//! The table at the end of docs/stream.md: it names a test for each message, parameter and close
//! code of the stream, and each of these tests is there.

use crate::source::Source;
use std::collections::BTreeSet;

/// Where a name of the table may begin, by the word before it.
const BASES: [(&str, &[&str]); 3] = [
    ("", &["app::stream::tests::", "app::stream::", ""]),
    ("daemon ", &["tests::daemon::"]),
    ("api ", &["tests::api::"]),
];

/// The path of every test of these sources, e.g. `app::stream::seat::tests::one_sits`.
fn tests(sources: &[Source]) -> BTreeSet<String> {
    sources.iter().flat_map(tests_of).collect()
}

fn tests_of(source: &Source) -> Vec<String> {
    let code = &source.code;
    let inline = code.find("mod tests {").unwrap_or(usize::MAX);
    let marks = ["#[test]", "#[tokio::test"];
    let marks = marks.iter().flat_map(|mark| code.match_indices(mark));
    let named = marks.filter_map(|(at, _)| {
        let name = code[at..].split_once("fn ")?.1.split('(').next()?;
        let within = if at > inline { "::tests" } else { "" };
        Some(format!("{}{within}::{}", source.module(), name.trim()))
    });
    named.collect()
}

/// The rows of the first table behind this text, their first two cells.
fn rows<'a>(page: &'a str, behind: &str) -> Vec<(&'a str, &'a str)> {
    let body = page.split_once(behind).map_or("", |(_, body)| body);
    let rows = body.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    let rows = rows.take_while(|line| line.starts_with("| "));
    rows.filter_map(|row| {
        let mut cells = row.trim_start_matches("| ").split(" | ");
        Some((cells.next()?, cells.next().unwrap_or_default().trim_end_matches('|').trim()))
    })
    .collect()
}

/// What stands between backticks: the word before it, and it.
fn quoted(cell: &str) -> Vec<(&str, &str)> {
    let parts: Vec<&str> = cell.split('`').collect();
    let pairs = parts.chunks_exact(2).map(|pair| match pair {
        [before, name] => (before.trim_start_matches(", "), *name),
        _ => ("", ""),
    });
    pairs.collect()
}

/// First words between backticks, or numbers.
fn words(cell: &str) -> BTreeSet<&str> {
    let quoted = quoted(cell).into_iter().filter_map(|(_, text)| text.split([' ', '=']).next());
    let bare = cell.split(|c: char| !c.is_ascii_digit()).filter(|word| word.len() == 4);
    quoted.chain(bare).collect()
}

/// What the page promises and the table does not name, and what the table names and is not there.
pub(crate) fn findings(page: &str, sources: &[Source]) -> Vec<String> {
    let tests = tests(sources);
    let table = rows(page, "\n## Conformance\n");
    let mut findings = Vec::new();
    for (what, shown) in &table {
        let names = quoted(shown);
        if names.is_empty() {
            findings.push(format!("docs/stream.md: no test shows {what:?}"));
        }
        for (before, name) in names {
            let bases = BASES.iter().find(|(word, _)| *word == before).map(|(_, bases)| *bases);
            let there = bases.into_iter().flatten().any(|base| {
                let path = format!("{base}{name}");
                let within = format!("{path}::");
                tests.contains(&path) || tests.iter().any(|test| test.starts_with(&within))
            });
            if !there {
                findings.push(format!("docs/stream.md: there is no test {before}{name}"));
            }
        }
    }
    let named: BTreeSet<&str> = table.iter().flat_map(|(what, _)| words(what)).collect();
    let promised = ["\n| parameter | values |", "\n## From the server\n", "\n## From the client\n"];
    let promised = promised.iter().chain(&["\n## Warnings\n", "\n## Close codes\n"]);
    for (what, _) in promised.flat_map(|behind| rows(page, behind.trim_end_matches('|'))) {
        let lacking = words(what).into_iter().filter(|word| !named.contains(word));
        findings.extend(lacking.map(|word| format!("docs/stream.md: no row shows {word}")));
    }
    findings
}

/// Parts of the stream that docs/ARCHITECTURE.md leaves out, and parts that it names and are not
/// there.
pub(crate) fn parts(page: &str, sources: &[Source]) -> Vec<String> {
    let table = rows(page, "\n## The parts of a stream\n");
    let named: BTreeSet<&str> =
        table.iter().flat_map(|(part, _)| quoted(part)).map(|(_, name)| name).collect();
    let modules: BTreeSet<String> =
        sources.iter().filter(|source| !source.is_test()).map(Source::module).collect();
    let there = |name: &str| modules.contains(name);
    let gone = named.iter().filter(|name| !there(name));
    let mut findings: Vec<String> =
        gone.map(|name| format!("docs/ARCHITECTURE.md: there is no {name}")).collect();
    let below = |module: &&String| {
        module.strip_prefix("app::stream::").is_some_and(|name| !name.contains("::"))
    };
    let lacking = modules.iter().filter(below).filter(|module| !named.contains(module.as_str()));
    findings.extend(lacking.map(|module| format!("docs/ARCHITECTURE.md: {module} is left out")));
    findings
}

#[test]
fn parts_that_are_gone_or_left_out_are_found() {
    let page = "\n## The parts of a stream\n\n| part | owns |\n|---|---|\n\
                | `app::stream::seat`, `api::rest` | places |\n";
    let modules = |names: &[&str]| {
        let source = |name: &&str| Source::new(&format!("src/{name}.rs"), "fn f() {}");
        names.iter().map(source).collect::<Vec<_>>()
    };
    let whole = modules(&["app/stream/seat", "api/rest", "app/stream/seat/deep", "app/other"]);
    assert_eq!(parts(page, &whole), Vec::<String>::new());
    assert!(parts(page, &modules(&["app/stream/seat"]))[0].contains("no api::rest"));
    let more = modules(&["app/stream/seat", "api/rest", "app/stream/new"]);
    assert!(parts(page, &more)[0].contains("app::stream::new is left out"));
}

#[test]
fn tests_that_are_gone_and_messages_without_one_are_found() {
    let page = |conformance: &str| {
        format!(
            "\n| parameter | values |\n|---|---|\n| `rate`* | 8000 |\n\n## From the server\n\n\
             | type | when |\n|---|---|\n| `ack`, `error` | then |\n\n## Close codes\n\n| code | |\n\
             |---|---|\n| 4001 | x |\n\n## Conformance\n\n| what | shown by |\n|---|---|\n{conformance}"
        )
    };
    let sources = [
        Source::new("src/app/stream/tests/a.rs", "#[test]\nfn one() {}\n"),
        Source::new("src/media/x.rs", "mod tests {\n #[test]\n fn two() {}\n}\n"),
        Source::new("tests/daemon/b.rs", "#[tokio::test]\nasync fn three() {}\n"),
    ];
    let found = |conformance: &str| findings(&page(conformance), &sources);
    let whole = "| `rate`, `ack`, 4001 | `a::one`, `media::x::tests` |\n| `error {id}` | daemon `b::three` |\n";
    assert_eq!(found(whole), Vec::<String>::new());
    for (bent, finding) in [
        (whole.replace("a::one", "a::none"), "no test a::none"),
        (whole.replace("daemon", "api"), "no test api b::three"),
        (whole.replace("`ack`, ", ""), "no row shows ack"),
        (whole.replace("4001", "gone"), "no row shows 4001"),
        (whole.replace("`rate`, ", ""), "no row shows rate"),
        (whole.replace("daemon `b::three`", "nothing"), "no test shows"),
    ] {
        let findings = found(&bent);
        assert!(findings.iter().any(|line| line.contains(finding)), "{bent}: {findings:?}");
    }
}
