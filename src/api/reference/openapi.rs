//! REST as an OpenAPI 3.1 document.

use super::routes::{ROUTES, Route};
use super::schemas::schemas;
use serde_json::{Map, Value, json};

/// Bad answers that every route may give.
const USUAL: [u16; 7] = [400, 401, 403, 404, 429, 500, 503];

/// The document, as it is served and kept in `docs/openapi.json`.
#[must_use]
pub fn text() -> String {
    let mut text = serde_json::to_string_pretty(&document()).unwrap_or_default();
    text.push('\n');
    text
}

/// The document.
#[must_use]
pub fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES {
        let path = paths.entry(format!("/v1{}", route.path)).or_insert_with(|| json!({}));
        path[route.method.to_ascii_lowercase()] = operation(route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Bellwire",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Telephone calls with programmable sound. Every path works under /api/v1, \
                too. Requests are read in camelCase and snake_case; answers are in snake_case. The \
                stream of a call is in /asyncapi.json.",
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "key": [] }],
        "tags": tags(),
        "paths": paths,
        "components": {
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key; a node without keys takes requests of its own machine.",
                },
            },
            "responses": {
                "Problem": {
                    "description": "RFC 9457; `code` is stable.",
                    "content": {
                        "application/problem+json": { "schema": reference("Problem") },
                    },
                },
            },
            "schemas": schemas(),
        },
    })
}

/// The first word of a path.
fn tag(route: &Route) -> &'static str {
    route.path.trim_start_matches('/').split('/').next().unwrap_or_default()
}

fn tags() -> Vec<Value> {
    let mut names: Vec<&str> = ROUTES.iter().map(tag).collect();
    names.dedup();
    names.into_iter().map(|name| json!({ "name": name })).collect()
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

/// `POST /calls/{call}/hold` as `postCallsCallHold`.
fn operation_id(route: &Route) -> String {
    let words = route.path.split(['/', '{', '}']).filter(|word| !word.is_empty());
    let capital = |word: &str| {
        let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
        first.to_ascii_uppercase() + rest
    };
    route.method.to_ascii_lowercase() + &words.map(capital).collect::<String>()
}

fn operation(route: &Route) -> Value {
    let mut answers = Map::new();
    for (status, about, schema) in route.answers {
        let mut answer = json!({ "description": about });
        if let Some(schema) = schema {
            answer["content"]["application/json"]["schema"] = reference(schema);
        }
        if route.path.ends_with("/sample") {
            answer["content"]["audio/wav"] = json!({});
        }
        answers.insert(status.to_string(), answer);
    }
    for status in USUAL.iter().chain(route.refusals) {
        let problem = json!({ "$ref": "#/components/responses/Problem" });
        answers.insert(status.to_string(), problem);
    }
    let mut operation = json!({
        "operationId": operation_id(route),
        "summary": route.summary,
        "tags": [tag(route)],
        "x-scope": route.scope,
        "parameters": parameters(route),
        "responses": answers,
    });
    if let Some(body) = route.body {
        operation["requestBody"] = json!({
            "required": true,
            "content": { "application/json": { "schema": reference(body) } },
        });
    }
    operation
}

fn parameters(route: &Route) -> Vec<Value> {
    let in_path = route.path.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    let in_path = in_path.map(|(name, _)| {
        json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
    });
    let in_query = route.query.iter().map(|(name, kind, about)| {
        json!({ "name": name, "in": "query", "description": about, "schema": { "type": kind } })
    });
    let mut all: Vec<Value> = in_path.chain(in_query).collect();
    if route.method == "POST" {
        all.push(json!({
            "name": "Idempotency-Key",
            "in": "header",
            "description": "The same request with the same key has its effect once, for 24 hours.",
            "schema": { "type": "string", "maxLength": 255 },
        }));
    }
    all
}

#[cfg(test)]
mod tests;
