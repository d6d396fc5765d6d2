//! The page at `/docs`: routes, bodies and messages, readable without a network.
//!
//! Made of the same declarations as the documents; plain HTML, no script.

use super::field::Field;
use super::messages::{FROM_CLIENT, FROM_SERVER, Message};
use super::openapi;
use super::routes::{ROUTES, Route};
use serde_json::Value;
use std::fmt::Write as _;

const HEAD: &str = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
    <title>Bellwire: the interface</title>\n\
    <link rel=\"stylesheet\" href=\"/docs/docs.css\">\n</head>\n<body>\n\
    <h1>Bellwire: the interface</h1>\n\
    <p>As documents: <a href=\"/openapi.json\">OpenAPI</a>, <a href=\"/asyncapi.json\">AsyncAPI</a>. \
    Requests are read in camelCase and snake_case; answers are in snake_case. Every path works under \
    <code>/api/v1</code>, too. All but this page want <code>Authorization: Bearer</code> and a key.</p>\n";

/// The page.
pub(super) fn html() -> String {
    let document = openapi::document();
    let mut page = HEAD.to_owned();
    page.push_str("<main>\n<h2>Requests</h2>\n");
    for route in ROUTES {
        one_route(&mut page, route, &document);
    }
    page.push_str("<h2>Bodies</h2>\n");
    if let Some(schemas) = document["components"]["schemas"].as_object() {
        for (name, schema) in schemas {
            let _ = writeln!(page, "<h3 id=\"{name}\"><code>{name}</code></h3>");
            properties(&mut page, name, schema);
        }
    }
    page.push_str("<h2>The stream: what the gateway tells</h2>\n");
    for message in FROM_SERVER {
        one_message(&mut page, message);
    }
    page.push_str("<h2>The stream: what a client may ask</h2>\n");
    for message in FROM_CLIENT {
        one_message(&mut page, message);
    }
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

/// Text as HTML; `code` in backticks.
fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let mut html = String::with_capacity(text.len());
    for (index, part) in text.split('`').enumerate() {
        match (index, index % 2) {
            (0, _) => {}
            (_, 1) => html.push_str("<code>"),
            _ => html.push_str("</code>"),
        }
        html.push_str(part);
    }
    html
}

fn one_route(page: &mut String, route: &Route, document: &Value) {
    let Route { method, path, summary, scope, .. } = route;
    let _ = writeln!(
        page,
        "<details><summary><b>{method}</b> <code>/v1{path}</code> {}</summary>\n\
         <p class=\"soft\">Scope <code>{scope}</code></p>",
        escaped(summary)
    );
    table(page, "Query", route.query.iter().map(field));
    if let Some(body) = route.body {
        let _ = writeln!(page, "<p>Body <a href=\"#{body}\"><code>{body}</code></a></p>");
        properties(page, "Fields", &document["components"]["schemas"][body]);
    }
    let answers = route.answers.iter().map(|(status, about, schema)| {
        let of = schema.map(|name| format!("<a href=\"#{name}\"><code>{name}</code></a>"));
        let about = escaped(about);
        format!(
            "<tr><th scope=\"row\">{status}</th><td>{}</td><td>{about}</td></tr>\n",
            of.unwrap_or_default()
        )
    });
    table(page, "Answers", answers);
    page.push_str("</details>\n");
}

fn one_message(page: &mut String, message: &Message) {
    let Message { name, about, fields, .. } = message;
    let _ =
        writeln!(page, "<details><summary><b><code>{name}</code></b> {}</summary>", escaped(about));
    table(page, "Fields", fields.iter().map(field));
    page.push_str("</details>\n");
}

fn field(field: &Field) -> String {
    let kind = field.kinds().join(" or ");
    row(field.name, if kind.is_empty() { field.kind } else { &kind }, &field.described())
}

fn row(name: &str, kind: &str, about: &str) -> String {
    let about = escaped(about);
    format!(
        "<tr><th scope=\"row\"><code>{name}</code></th><td class=\"soft\">{kind}</td><td>{about}</td></tr>\n"
    )
}

fn table(page: &mut String, caption: &str, rows: impl Iterator<Item = String>) {
    let rows: String = rows.collect();
    if !rows.is_empty() {
        let _ = writeln!(page, "<table><caption>{caption}</caption>\n{rows}</table>");
    }
}

/// The fields of a schema.
fn properties(page: &mut String, caption: &str, schema: &Value) {
    let Some(fields) = schema["properties"].as_object() else {
        let of = schema["items"]["$ref"].as_str().and_then(|path| path.rsplit('/').next());
        if let Some(of) = of {
            let _ = writeln!(page, "<p>A list of <a href=\"#{of}\"><code>{of}</code></a>.</p>");
        }
        return;
    };
    let rows = fields.iter().map(|(name, field)| {
        let reference = field["$ref"].as_str().or(field["oneOf"][0]["$ref"].as_str());
        if let Some(of) = reference.and_then(|path| path.rsplit('/').next()) {
            let link = format!("<a href=\"#{of}\"><code>{of}</code></a>");
            return format!(
                "<tr><th scope=\"row\"><code>{name}</code></th><td>{link}</td><td></td></tr>\n"
            );
        }
        row(name, &kind(field), &described(field))
    });
    table(page, caption, rows);
}

fn kind(field: &Value) -> String {
    match &field["type"] {
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => {
            kinds.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or ")
        }
        _ => "any".to_owned(),
    }
}

/// What a field says, with its words or bounds.
fn described(field: &Value) -> String {
    let mut text = field["description"].as_str().unwrap_or_default().to_owned();
    if let Some(words) = field["enum"].as_array() {
        let words: Vec<String> =
            words.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect();
        let _ = write!(text, " One of {}.", words.join(", "));
    }
    if let (Some(least), Some(most)) = (field["minimum"].as_f64(), field["maximum"].as_f64()) {
        let _ = write!(text, " {least} to {most}.");
    }
    text.trim_start().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_whole_and_links_lead_somewhere() {
        let page = html();
        for open in ["<details>", "<table>", "<tr>", "<code>", "<main>"] {
            let close = open.replace('<', "</");
            assert_eq!(page.matches(open).count(), page.matches(&close).count(), "{open}");
        }
        for (at, _) in page.match_indices("href=\"#") {
            let id = page[at + 7..].split('"').next().unwrap();
            assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
        }
        for part in ["POST</b> <code>/v1/calls</code>", "barge_in", "missing_field", "5 to 180."] {
            assert!(page.contains(part), "{part}");
        }
        assert!(!page.contains("<script") && !page.contains("//cdn"));
    }

    #[test]
    fn text_is_escaped_and_backticks_are_code() {
        assert_eq!(escaped("a < b & `c`."), "a &lt; b &amp; <code>c</code>.");
    }
}
