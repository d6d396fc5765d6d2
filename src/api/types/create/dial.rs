//! `stream.url` and what belongs to it: a stream client that is dialled.

use crate::api::error::Code;
use crate::api::stream::ask::{ClientAsk, ClientDial, StreamAsk};
use crate::api::stream::url::StreamUrl;
use crate::api::types::fields::{Faults, Object, clip};
use crate::app::stream::StreamRights;
use crate::app::stream::dialer::ConnectAt;
use crate::call::target::{HEADERS_MAX, is_own_header};
use serde_json::{Map, Value};

/// Longest value of `Authorization`.
const SECRET_MAX: usize = 4096;
/// Longest parameters, serialised.
const PARAMETERS_MAX: usize = 16 * 1024;

/// Reads `url`, `auth`, `connect` and `parameters` of a `stream` object.
pub(super) fn ask(stream: &mut Object<'_>, faults: &mut Faults) -> StreamAsk {
    let attaches = stream.is_null("url");
    let url = url(stream, faults);
    let (headers, tls) = auth(stream, faults).unwrap_or_default();
    let at = connect(stream, faults);
    let parameters = parameters(stream, faults);
    let lonely = [("auth", stream.has("auth")), ("connect", stream.has("connect"))];
    if !stream.has("url") {
        for (name, _) in lonely.iter().filter(|(_, there)| *there) {
            let detail = format!("stream.{name} goes with stream.url");
            faults.add(Code::InvalidRequest, stream.at(name), "needs_url", detail);
        }
    }
    let client = match url {
        Some(url) => {
            let dial = ClientDial { url, headers, tls, at, trusted: false };
            ClientAsk::Dialled(Box::new(dial))
        }
        None if attaches => ClientAsk::Attaches,
        None => ClientAsk::Usual,
    };
    StreamAsk { client, parameters, rights: StreamRights::default(), record: None }
}

fn url(stream: &mut Object<'_>, faults: &mut Faults) -> Option<StreamUrl> {
    let text = stream.text(faults, "url", Code::InvalidRequest)?;
    match StreamUrl::parse(text) {
        Ok(url) => Some(url),
        Err(fault) => {
            let detail = format!("stream.url {fault}");
            faults.add(Code::InvalidRequest, stream.at("url"), "invalid", detail);
            None
        }
    }
}

/// Header fields of the handshake.
type Fields = Vec<(String, String)>;

/// The header fields of the handshake, and the name of a TLS profile.
fn auth(stream: &mut Object<'_>, faults: &mut Faults) -> Option<(Fields, Option<String>)> {
    let mut auth = stream.object(faults, "auth")?;
    let mut fields = Vec::new();
    if let Some(bearer) = auth.text(faults, "bearer", Code::InvalidRequest) {
        if is_secret(bearer) {
            fields.push(("authorization".to_owned(), format!("Bearer {bearer}")));
        } else {
            let detail = format!("auth.bearer must have 1 to {SECRET_MAX} ASCII characters");
            faults.add(Code::InvalidRequest, auth.at("bearer"), "header", detail);
        }
    }
    headers(&mut auth, faults, &mut fields);
    let tls = auth.text(faults, "mtls", Code::InvalidRequest).map(str::to_owned);
    // A field that is not known here would be a way to authenticate that is not used.
    auth.finish(faults, true);
    Some((fields, tls))
}

fn headers(auth: &mut Object<'_>, faults: &mut Faults, fields: &mut Fields) {
    let Some(value) = auth.value(faults, "headers") else { return };
    let pointer = auth.at("headers");
    let Some(map) = value.as_object().filter(|map| map.len() <= HEADERS_MAX) else {
        let detail = format!("auth.headers must be an object of at most {HEADERS_MAX} fields");
        faults.add(Code::InvalidRequest, pointer, "wrong_type", detail);
        return;
    };
    for (name, value) in map {
        let shown = clip(name).replace('~', "~0").replace('/', "~1");
        let pointer = format!("{pointer}/{shown}");
        let same = |(known, _): &(String, String)| known.eq_ignore_ascii_case(name);
        if fields.iter().any(same) {
            let detail = format!("the header {:?} is given twice", clip(name));
            faults.add(Code::InvalidRequest, pointer, "given_twice", detail);
            continue;
        }
        match value.as_str().filter(|value| is_sendable(name, value)) {
            Some(value) => fields.push((name.clone(), value.to_owned())),
            None => {
                let detail = format!(
                    "header {:?}: the name must be Authorization, or begin with X- and have \
                     letters, digits and hyphens; the value must be ASCII in one line",
                    clip(name)
                );
                faults.add(Code::InvalidRequest, pointer, "header", detail);
            }
        }
    }
}

fn is_sendable(name: &str, value: &str) -> bool {
    let authorization = name.eq_ignore_ascii_case("authorization") && is_secret(value);
    authorization || (is_own_header(name, value) && is_visible(value))
}

fn is_secret(value: &str) -> bool {
    (1..=SECRET_MAX).contains(&value.len()) && is_visible(value)
}

fn is_visible(value: &str) -> bool {
    value.bytes().all(|octet| (b' '..=b'~').contains(&octet))
}

fn connect(stream: &mut Object<'_>, faults: &mut Faults) -> ConnectAt {
    match stream.text(faults, "connect", Code::InvalidRequest) {
        None | Some("answer") => ConnectAt::Answer,
        Some("early") => ConnectAt::Early,
        Some(_) => {
            let detail = "stream.connect must be answer or early";
            faults.add(Code::InvalidRequest, stream.at("connect"), "enum", detail);
            ConnectAt::Answer
        }
    }
}

fn parameters(stream: &mut Object<'_>, faults: &mut Faults) -> Map<String, Value> {
    let Some(value) = stream.value(faults, "parameters") else { return Map::new() };
    let pointer = stream.at("parameters");
    let Some(map) = value.as_object() else {
        let detail = "stream.parameters must be an object";
        faults.add(Code::InvalidRequest, pointer, "wrong_type", detail);
        return Map::new();
    };
    if serde_json::to_vec(map).map_or(usize::MAX, |text| text.len()) > PARAMETERS_MAX {
        let detail = "stream.parameters must not be larger than 16 KiB";
        faults.add(Code::InvalidRequest, pointer, "too_long", detail);
    }
    map.clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::error::Problem;
    use serde_json::json;

    fn read(body: &Value) -> Result<StreamAsk, Problem> {
        let mut faults = Faults::default();
        let mut stream = Object::new("/stream", body.as_object().unwrap());
        let asked = ask(&mut stream, &mut faults);
        stream.finish(&mut faults, true);
        faults.into_result().map(|()| asked)
    }

    fn dial(body: &Value) -> ClientDial {
        match read(body).unwrap().client {
            ClientAsk::Dialled(dial) => *dial,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_client_that_is_dialled_has_a_url_and_says_who_asks() {
        let dialled = dial(&json!({
            "url": "wss://bot.example/s?a=b", "connect": "early",
            "auth": {"bearer": "t0ken", "headers": {"X-Tenant": "7"}, "mtls": "bots"},
        }));
        assert_eq!((dialled.url.host(), dialled.url.port()), ("bot.example", 443));
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let fields = [field("authorization", "Bearer t0ken"), field("X-Tenant", "7")];
        assert_eq!(dialled.headers, fields);
        assert_eq!((dialled.tls.as_deref(), dialled.at), (Some("bots"), ConnectAt::Early));
        assert!(!dialled.trusted, "a request names no private address");
        assert!(!format!("{dialled:?}").contains("t0ken"));
    }

    #[test]
    fn null_means_that_the_client_attaches_and_silence_asks_the_instance() {
        let client = |body: Value| read(&body).unwrap().client;
        assert!(matches!(client(json!({"url": null})), ClientAsk::Attaches));
        assert!(matches!(client(json!({})), ClientAsk::Usual));
        assert_eq!(read(&json!({"parameters": {"k": [1]}})).unwrap().parameters["k"], json!([1]));
    }

    #[test]
    fn wrong_fields_name_their_place() {
        let with = |auth: Value| json!({"url": "ws://a", "auth": auth});
        let long = "a".repeat(PARAMETERS_MAX);
        for (body, pointer) in [
            (json!({"url": "https://a"}), "/stream/url"),
            (json!({"url": 7}), "/stream/url"),
            (json!({"auth": {"bearer": "a"}}), "/stream/auth"),
            (json!({"connect": "early"}), "/stream/connect"),
            (json!({"url": "ws://a", "connect": "late"}), "/stream/connect"),
            (json!({"parameters": {"k": long}}), "/stream/parameters"),
            (json!({"parameters": 1}), "/stream/parameters"),
            (with(json!({"bearer": ""})), "/stream/auth/bearer"),
            (with(json!({"bearer": "a\r\nX-A: b"})), "/stream/auth/bearer"),
            (with(json!({"headers": {"Host": "b"}})), "/stream/auth/headers/Host"),
            (with(json!({"headers": {"X-A": "a\nb"}})), "/stream/auth/headers/X-A"),
            (with(json!({"headers": {"X-A": "ä"}})), "/stream/auth/headers/X-A"),
            (
                with(json!({"headers": {"Sec-WebSocket-Key": "b"}})),
                "/stream/auth/headers/Sec-WebSocket-Key",
            ),
            (
                with(json!({"bearer": "a", "headers": {"Authorization": "b"}})),
                "/stream/auth/headers/Authorization",
            ),
            (with(json!({"other": 1})), "/stream/auth/other"),
        ] {
            let problem = read(&body).unwrap_err();
            assert_eq!(problem.errors[0].pointer, pointer, "{body}");
        }
    }
}
