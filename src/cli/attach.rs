//! Attaching to the stream of a call from the command line: the address, the right, and how its
//! messages read.
//!
//! Owns what `bellwire stream` and `bellwire listen` have in common. Neither plays nor records.

use super::client::ClientError;
use crate::net::ws::{self, WsError, WsReceiver, WsRequest, WsSender};
use clap::Args;
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

/// How long the server may take nothing before it counts as gone.
pub(super) const SEND_WITHIN: Duration = Duration::from_secs(30);

/// Where the API is, and by which right.
#[derive(Debug, Args)]
pub(super) struct ApiArgs {
    /// Where the API is.
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:8080",
        env = "BELLWIRE_API",
        hide_env_values = true
    )]
    pub(super) api: String,
    /// A file with an API key.
    #[arg(long, value_name = "FILE", env = "BELLWIRE_KEY_FILE", hide_env_values = true)]
    pub(super) key_file: Option<PathBuf>,
}

impl ApiArgs {
    fn key(&self) -> Result<Option<String>, ClientError> {
        let Some(file) = &self.key_file else { return Ok(None) };
        std::fs::read_to_string(file)
            .map(|text| Some(text.trim().to_owned()))
            .map_err(|error| ClientError::Usage(format!("{}: {error}", file.display())))
    }

    /// The address of a call's stream.
    fn stream(&self, call: &str, query: &[(&str, String)]) -> Result<String, ClientError> {
        let usage = |what: String| Err(ClientError::Usage(what));
        let Some(address) = self.api.strip_prefix("http") else {
            return usage(format!("{}: use an http:// or https:// URL", self.api));
        };
        if call.is_empty() || !call.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return usage(format!("{call:?} is not the id of a call (call_…)"));
        }
        let pairs: Vec<String> =
            query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let base = address.trim_end_matches('/');
        Ok(format!("ws{base}/v1/calls/{call}/stream?{}", pairs.join("&")))
    }

    /// Attaches to a call's stream; the values of `query` are words and numbers.
    pub(super) async fn attach(
        &self,
        call: &str,
        query: &[(&str, String)],
        subprotocol: Option<&str>,
    ) -> Result<(WsSender, WsReceiver), ClientError> {
        let url = self.stream(call, query)?;
        let mut request = WsRequest { within: Duration::from_secs(10), ..WsRequest::new(&url) };
        if let Some(name) = subprotocol {
            request = request.with_header("Sec-WebSocket-Protocol", name);
        }
        if let Some(key) = self.key()? {
            request = request.with_header("Authorization", &format!("Bearer {key}"));
        }
        ws::connect(&request).await.map_err(|error| refused(&self.api, error))
    }
}

/// What a failed upgrade says of itself.
fn refused(api: &str, error: WsError) -> ClientError {
    match error {
        WsError::Refused { status, body, .. } => {
            let detail = detail_of(&body).unwrap_or(body);
            ClientError::Refused { status, code: "stream".to_owned(), detail }
        }
        WsError::Request { reason, .. } => ClientError::Usage(reason),
        WsError::Unreachable { reason, .. } => {
            ClientError::Unreachable { url: api.to_owned(), reason }
        }
        error @ (WsError::Stalled { .. } | WsError::Broken { .. }) => {
            ClientError::Unreachable { url: api.to_owned(), reason: error.to_string() }
        }
    }
}

/// The `detail` of a problem body of which only the beginning is there.
fn detail_of(body: &str) -> Option<String> {
    let (_, rest) = body.split_once("\"detail\":\"")?;
    let end = rest.char_indices().scan(false, |escaped, (at, letter)| {
        let ends = letter == '"' && !*escaped;
        *escaped = letter == '\\' && !*escaped;
        Some(ends.then_some(at))
    });
    let end = end.flatten().next().unwrap_or(rest.len());
    Some(rest.get(..end)?.replace("\\\"", "\""))
}

/// One line for people about a message of the stream; `None` for what is shown elsewhere.
pub(super) fn describe(message: &Value) -> Option<String> {
    let text = |key: &str| message[key].as_str().unwrap_or_default();
    let number = |key: &str| message[key].as_u64().unwrap_or_default();
    let seconds = |key: &str| format!("{}.{} s", number(key) / 1000, number(key) % 1000 / 100);
    let line = match text("type") {
        "start" => {
            format!("attached to {} ({}, {})", text("call_id"), text("direction"), text("to"))
        }
        "call_event" => {
            let more = ["detail", "state", "answered_by"].into_iter().map(text);
            let more = more.filter(|more| !more.is_empty()).collect::<Vec<_>>().join(" ");
            format!("{} {more}", text("event"))
        }
        "playback" => match text("state") {
            "cleared" => format!("cleared after {}", seconds("played_ms")),
            "completed" => format!("played {}", seconds("played_ms")),
            state => format!("playback {state}"),
        },
        "transcript" if message["final"] == true => format!("{}: {}", text("track"), text("text")),
        "transcript" | "stats" | "flow" | "ack" | "pong" | "mark" => return None,
        "speech" => format!("{} {} speaking", text("track"), text("state")),
        "dtmf" => format!("key {}", text("digit")),
        "tone" => format!("tone {}", text("kind")),
        "warning" => format!("warning {}: {} {}", text("code"), text("detail"), text("hint")),
        "error" => format!("error {}: {}", text("code"), text("detail")),
        "stop" => format!("ended: {}, played {}", text("reason"), seconds("played_ms")),
        other => other.to_owned(),
    };
    let at = number("t_ms");
    Some(format!("{:>4}.{} s  {}", at / 1000, at % 1000 / 100, line.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn args(api: &str) -> ApiArgs {
        ApiArgs { api: api.to_owned(), key_file: None }
    }

    #[test]
    fn the_address_of_a_stream_follows_from_that_of_the_api() {
        let url = args("https://gw.example/").stream("call_1", &[("rate", "8000".to_owned())]);
        assert_eq!(url.unwrap(), "wss://gw.example/v1/calls/call_1/stream?rate=8000");
        for (api, call) in [("ftp://x", "call_1"), ("http://x", "call_1/../x"), ("http://x", "")] {
            assert!(args(api).stream(call, &[]).is_err(), "{api} {call}");
        }
    }

    #[test]
    fn a_refusal_is_read_although_its_end_is_missing() {
        let body = r#"{"type":"/problems/x","detail":"role must be \"main\"","inst"#;
        assert_eq!(detail_of(body).unwrap(), "role must be \"main\"");
        assert_eq!(detail_of("{\"detail\":\"cut of").unwrap(), "cut of");
        assert_eq!(detail_of("busy"), None);
        let refusal = WsError::Refused {
            url: "u".into(),
            status: 409,
            retry_after: None,
            body: "taken".into(),
        };
        let error = refused("u", refusal).to_string();
        assert_eq!(error, "the API refused: 409 stream: taken");
    }

    #[test]
    fn messages_read_as_lines() {
        let of = |message: Value| describe(&message).unwrap_or_default();
        let answered = json!({"type": "call_event", "event": "answered", "t_ms": 1250});
        assert_eq!(of(answered), "   1.2 s  answered");
        let cleared = json!({"type": "playback", "state": "cleared", "played_ms": 1840, "t_ms": 0});
        assert_eq!(of(cleared), "   0.0 s  cleared after 1.8 s");
        assert_eq!(of(json!({"type": "stats"})), "");
        assert_eq!(of(json!({"type": "later_one"})), "   0.0 s  later_one");
    }
}
