//! `docs/api.md` says what the code does: its error table and its list of routes.

use crate::rig::{ADMIN, Rig};
use bellwire::api::error::table_as_markdown;
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

#[tokio::test]
async fn every_route_of_the_page_is_there() {
    let rig = Rig::new().await;
    let text = std::fs::read_to_string(page()).unwrap();
    let mut routes = 0;
    for line in text.lines() {
        let Some(route) = line.strip_prefix("| `").and_then(|rest| rest.split('`').next()) else {
            continue;
        };
        let Some((method, path)) = route.split_once(" /") else { continue };
        let path = format!("/{path}").replace("{call}", "call_1").replace("{key}", "key_1");
        let path = path.replace("{trunk}", "carrier").replace("{recording}", "rec_1_1");
        let path = path.replace("{instance}", "inst_a").replace("{code}", "not_found");
        let operators = ["/health", "/metrics", "/v1/admin"].iter().any(|p| path.starts_with(p));
        let request =
            if operators { rig.operate(method, &path) } else { rig.request(method, &path) };
        let reply = request.key(ADMIN).send().await;
        let detail = reply.body["detail"].as_str().unwrap_or_default();
        assert!(reply.status != 405 && !detail.contains("nothing at this path"), "{route}");
        routes += 1;
    }
    assert_eq!(routes, 55, "a route was added or taken away: say so in docs/api.md");
}
