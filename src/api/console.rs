//! The browser page at `/console`: files that are built in, and the headers that guard them.
//!
//! Owns paths, content types and the policy of the page. The page asks for nothing but what this
//! node serves under `/v1`, with the key that its reader types in: serving it gives nobody any
//! right. Does not know calls.

use super::error::Problem;
use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderName, HeaderValue, header};

/// One file of the page.
struct File {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! file {
    ($name:literal, $kind:expr) => {
        File {
            name: $name,
            kind: $kind,
            text: include_str!(concat!("../../assets/console/", $name)),
        }
    };
}

const PAGE: File = file!("index.html", HTML);

const FILES: [File; 8] = [
    file!("api.js", SCRIPT),
    file!("audio.js", SCRIPT),
    file!("console.css", "text/css; charset=utf-8"),
    file!("console.js", SCRIPT),
    file!("icon.svg", "image/svg+xml"),
    file!("stream.js", SCRIPT),
    file!("wave.js", SCRIPT),
    file!("worklet.js", SCRIPT),
];

/// What guards a page of ours: nothing from elsewhere, nothing inline, in no frame; the microphone
/// for itself alone. `'self'` of `connect-src` holds for the WebSocket of the same origin (CSP 3
/// §6.7.2.8).
const GUARDS: [(&str, &str); 7] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    ("permissions-policy", "microphone=(self), camera=(), geolocation=(), display-capture=()"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    // A page of an older version must not speak to a newer node.
    ("cache-control", "no-cache"),
];

/// The routes of the page.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/console", get(page)).route("/console/{file}", get(file))
}

async fn page() -> Response {
    served(&PAGE)
}

async fn file(Path(name): Path<String>) -> Result<Response, Problem> {
    let found = FILES.iter().find(|file| file.name == name);
    found.map(served).ok_or_else(|| Problem::not_found("the console has no such file"))
}

fn served(file: &File) -> Response {
    guarded(file.kind, file.text)
}

/// An answer with a text of ours under [`GUARDS`].
pub(super) fn guarded(kind: &'static str, text: &'static str) -> Response {
    let mut response = ([(header::CONTENT_TYPE, kind)], text).into_response();
    for (name, value) in GUARDS {
        response
            .headers_mut()
            .insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_only_files_that_are_served_and_nothing_inline() {
        let all = FILES.iter().chain([&PAGE]);
        for file in all {
            for (at, _) in file.text.match_indices("/console/") {
                let rest = &file.text[at + "/console/".len()..];
                let name = rest.split(['"', '\'', '`', '\n']).next().unwrap();
                assert!(FILES.iter().any(|file| file.name == name), "{}: {name}", file.name);
            }
            for (at, _) in file.text.match_indices("from \"./") {
                let name = file.text[at + "from \"./".len()..].split('"').next().unwrap();
                assert!(FILES.iter().any(|file| file.name == name), "{}: {name}", file.name);
            }
            let foreign = ["http://", "https://", "//cdn"]
                .into_iter()
                .flat_map(|scheme| file.text.match_indices(scheme).map(|(at, _)| &file.text[at..]));
            for text in foreign {
                let word = text.starts_with("http://www.w3.org/2000/svg")
                    || text.starts_with("https:// pages")
                    || text.starts_with("http://localhost)");
                assert!(word, "{}: {}", file.name, text.lines().next().unwrap());
            }
        }
        for inline in ["<style", " style=", "onclick=", "javascript:", "innerHTML"] {
            assert!(!PAGE.text.contains(inline), "{inline}");
        }
    }

    #[test]
    fn every_field_of_the_page_has_a_label() {
        for (at, _) in PAGE.text.match_indices(" id=\"") {
            let id = PAGE.text[at + 5..].split('"').next().unwrap();
            let tag = PAGE.text[..at].rsplit('<').next().unwrap();
            let tag = tag.split_whitespace().next().unwrap_or_default();
            if !["input", "select"].contains(&tag) {
                continue;
            }
            let named = PAGE.text.contains(&format!("<label for=\"{id}\""));
            let wrapped = PAGE.text[..at]
                .rfind("<label")
                .is_some_and(|from| !PAGE.text[from..at].contains("</label>"));
            assert!(named || wrapped, "{id} has no label");
        }
    }
}
