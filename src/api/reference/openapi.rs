//! REST as an OpenAPI 3.1 document.

use super::field::Field;
use super::routes::{ROUTES, Route};
use super::schemas::schemas;
use crate::api::error::Code;
use serde_json::{Map, Value, json};

/// Bad answers that every route may give, with their codes.
pub const USUAL: [(u16, &[Code]); 7] = [
    (400, &[Code::InvalidRequest, Code::MissingField]),
    (401, &[Code::Unauthorized]),
    (403, &[Code::ForbiddenInstance, Code::ForbiddenScope]),
    (404, &[Code::NotFound]),
    (429, &[Code::RateLimited]),
    (500, &[Code::Internal]),
    (503, &[Code::CapacityExceeded]),
];

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
                stream of a call is in /asyncapi.json. Routes of other vendors, where they are switched \
                on, are in docs/compat.md.",
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
    // What a route says of a status stands in the place of what is usual.
    for (status, codes) in USUAL.iter().chain(route.refusals) {
        let codes: Vec<String> = codes.iter().map(|code| format!("`{}`", code.as_str())).collect();
        let problem = json!({
            "$ref": "#/components/responses/Problem",
            "description": format!("{}.", codes.join(", ")),
        });
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
    let named = |name: &str| route.query.iter().find(|field| field.name == name);
    let in_path: Vec<&str> = path_parameters(route).collect();
    let in_query = route.query.iter().filter(|field| !in_path.contains(&field.name));
    let in_query = in_query.map(|field| parameter(field, "query"));
    let in_path = in_path.iter().map(|name| match named(name) {
        Some(field) => parameter(field, "path"),
        None => {
            json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
        }
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

/// The names in a route's path.
fn path_parameters(route: &Route) -> impl Iterator<Item = &'static str> {
    let parts = route.path.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    parts.map(|(name, _)| name)
}

fn parameter(field: &Field, place: &str) -> Value {
    let mut schema = field.schema();
    let about = schema.as_object_mut().and_then(|schema| schema.remove("description"));
    json!({
        "name": field.name,
        "in": place,
        "required": place == "path",
        "description": about,
        "schema": schema,
    })
}

#[cfg(test)]
mod tests;
