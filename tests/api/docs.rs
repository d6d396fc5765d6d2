//! `docs/api.md` says what the code does: its error table and its list of routes.

use crate::rig::{ADMIN, Rig};
use bellwire::api::error::table_as_markdown;
use bellwire::api::reference::ROUTES;
use std::collections::BTreeSet;
use std::path::PathBuf;

const BEGIN: &str = "<!-- generated: error codes -->\n";
const END: &str = "<!-- end of generated part -->";

fn page() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/api.md")
}

/// With `BELLWIRE_GEN=1` in the environment the table is written instead of compared.
#[test]
fn the_error_table_is_that_of_the_code() {
    let text = std::fs::read_to_string(page()).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (table, after) = rest.split_once(END).unwrap();
    let expected = format!("\n{}\n", table_as_markdown());
    if std::env::var_os("BELLWIRE_GEN").is_some() {
        std::fs::write(page(), format!("{before}{BEGIN}{expected}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(table, expected, "run the tests once with BELLWIRE_GEN=1");
}

/// `GET /v1/calls/{}` of all routes that the page lists.
fn paged(text: &str) -> BTreeSet<(String, String)> {
    let cells = text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let routes = cells.filter_map(|route| route.split_once(" /"));
    routes.map(|(method, path)| (method.to_owned(), format!("/{path}"))).collect()
}

/// Routes beside those under `/v1`, as they are written in a source; files of a page are none of
/// their own.
fn declared(source: &str) -> BTreeSet<(String, String)> {
    let code = source.split("#[cfg(test)]").next().unwrap();
    let routes = code.split(".route(").skip(1).map(|route| {
        let [_, path, handler] = route.splitn(3, '"').collect::<Vec<_>>()[..] else {
            panic!("{route}")
        };
        let handler = handler.trim_start_matches(|c: char| c == ',' || c.is_whitespace());
        let method = handler.split('(').next().unwrap().to_ascii_uppercase();
        assert!(["GET", "POST"].contains(&method.as_str()), "{path}: {method}");
        (method, path.to_owned())
    });
    let files = ["{file}", "docs.css"];
    routes.filter(|(_, path)| !files.iter().any(|file| path.contains(file))).collect()
}

/// Every route that the code declares.
fn routes() -> BTreeSet<(String, String)> {
    let rest = include_str!("../../src/api/rest.rs");
    // Those of `v1` are declared once more, for the documents; a unit test compares.
    let (before, after) = rest.split_once("\nfn v1(").unwrap();
    assert!(after.contains("route_layer"));
    let others = [
        before,
        include_str!("../../src/api/reference.rs"),
        include_str!("../../src/api/console.rs"),
        include_str!("../../src/api/rest/admin.rs"),
    ];
    let ours = ROUTES.iter().map(|route| (route.method.to_owned(), format!("/v1{}", route.path)));
    ours.chain(others.into_iter().flat_map(declared)).collect()
}

#[tokio::test]
async fn the_page_has_the_routes_of_the_code_and_they_are_there() {
    let rig = Rig::new().await;
    let text = std::fs::read_to_string(page()).unwrap();
    let paged = paged(&text);
    assert_eq!(paged, routes(), "docs/api.md and the code differ");
    for (method, route) in paged {
        let path = route.replace("{call}", "call_1").replace("{key}", "key_1");
        let path = path.replace("{trunk}", "carrier").replace("{recording}", "rec_1_1");
        let path = path.replace("{instance}", "inst_a").replace("{code}", "not_found");
        let operators = ["/health", "/metrics", "/v1/admin"].iter().any(|p| path.starts_with(p));
        let request =
            if operators { rig.operate(&method, &path) } else { rig.request(&method, &path) };
        let reply = request.key(ADMIN).send().await;
        let detail = reply.body["detail"].as_str().unwrap_or_default();
        assert!(reply.status != 405 && !detail.contains("nothing at this path"), "{route}");
    }
}
