//! Http tools: a fixed URL from the configuration is asked with checked arguments.
//!
//! The request is a POST (or PUT, PATCH) of `{"call_id", "tool", "id", "arguments"}`, signed as
//! Standard Webhooks are: `webhook-id`, `webhook-timestamp`, and `webhook-signature:
//! v1,<base64 of HMAC-SHA256 over "id.timestamp.body">`. A model chooses neither URL nor header
//! fields. Follows no redirect, retries nothing.

use super::{hmac::hmac_sha256, refusal};
use crate::net::http::{HttpClient, HttpError, HttpRequest, HttpTimes};
use crate::speech::base64;
use crate::speech::key::ApiKey;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Octets of an answer that a model is given.
pub const ANSWER_MAX: usize = 16 * 1024;

/// How a tool is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ToolMethod {
    /// POST.
    #[default]
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
}

/// An http tool as it is configured.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpToolSpec {
    /// `[A-Za-z0-9_-]`, 1 to 64, no built-in tool's.
    pub name: String,
    /// For the model.
    pub description: String,
    /// JSON Schema of the arguments, an object.
    pub parameters: Value,
    /// Where to.
    pub url: String,
    /// How.
    pub method: ToolMethod,
    /// More header fields, e.g. an authorization; values are never shown.
    pub headers: Vec<(String, ApiKey)>,
    /// From the first octet sent to the last one received.
    pub timeout: Duration,
    /// Signs requests: `whsec_` and base64, or plain text.
    pub hmac_secret: Option<ApiKey>,
}

impl Default for HttpToolSpec {
    fn default() -> Self {
        Self {
            name: String::new(),
            description: String::new(),
            parameters: json!({"type": "object"}),
            url: String::new(),
            method: ToolMethod::Post,
            headers: Vec::new(),
            timeout: Duration::from_secs(10),
            hmac_secret: None,
        }
    }
}

/// One checked request to an http tool.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpCall {
    /// Which tool.
    pub spec: Arc<HttpToolSpec>,
    /// [`super::ToolCall::id`].
    pub id: String,
    /// Checked against the tool's schema.
    pub arguments: Value,
}

impl HttpCall {
    /// Asks the server; always comes back with something for the model within the tool's time:
    /// the answer's JSON, `{"text": …}` of another answer, or `{"error": …}`. Dropping the future
    /// cancels.
    pub async fn run(&self, call_id: &str, client: &HttpClient) -> Value {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let request = self.request(call_id, now);
        let asked = tokio::time::timeout(self.spec.timeout, ask(client, request)).await;
        match asked {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => refusal(&error.to_string()),
            Err(_) => {
                let within = self.spec.timeout.as_millis();
                refusal(&format!("the server did not answer within {within} ms"))
            }
        }
    }

    /// What is sent. `now` is the time since 1970.
    fn request(&self, call_id: &str, now: Duration) -> HttpRequest {
        let spec = &self.spec;
        let body = json!({
            "call_id": call_id,
            "tool": spec.name,
            "id": self.id,
            "arguments": self.arguments,
        });
        let times = HttpTimes { first_byte: spec.timeout, idle: spec.timeout };
        let mut request = HttpRequest { times, ..HttpRequest::post_json(&spec.url, &body) };
        request.method = match spec.method {
            ToolMethod::Post => "POST",
            ToolMethod::Put => "PUT",
            ToolMethod::Patch => "PATCH",
        };
        for (name, value) in &spec.headers {
            request = request.with_header(name, value.expose());
        }
        if let Some(secret) = &spec.hmac_secret {
            // The id of a model's call is foreign; a header field takes letters and digits only.
            let id: String = self.id.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
            request = signed(request, &format!("{call_id}.{id}"), now, secret);
        }
        request
    }
}

/// Signs a request as Standard Webhooks are: `webhook-id`, `webhook-timestamp`, and
/// `webhook-signature: v1,<base64 of HMAC-SHA256 over "id.timestamp.body">`.
///
/// `now` is the time since 1970; `id` is letters, digits and dots.
#[must_use]
pub fn signed(request: HttpRequest, id: &str, now: Duration, secret: &ApiKey) -> HttpRequest {
    let seconds = now.as_secs();
    let mut text = format!("{id}.{seconds}.").into_bytes();
    text.extend_from_slice(&request.body);
    let code = base64::encode(&hmac_sha256(&key_octets(secret), &text));
    request
        .with_header("webhook-id", id)
        .with_header("webhook-timestamp", &seconds.to_string())
        .with_header("webhook-signature", &format!("v1,{code}"))
}

fn key_octets(secret: &ApiKey) -> Vec<u8> {
    let secret = secret.expose();
    let octets = secret.strip_prefix("whsec_").and_then(base64::decode);
    octets.unwrap_or_else(|| secret.as_bytes().to_vec())
}

async fn ask(client: &HttpClient, request: HttpRequest) -> Result<Value, HttpError> {
    let response = client.send(request).await?;
    let (status, good) = (response.status(), response.is_success());
    let body = response.body(ANSWER_MAX).await?;
    let answer = serde_json::from_slice(&body).unwrap_or_else(|_| {
        let text = String::from_utf8_lossy(&body);
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        json!({ "text": text.trim() })
    });
    if good {
        return Ok(answer);
    }
    Ok(json!({ "error": format!("the server answered with status {status}"), "answer": answer }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::agent::loopback::{Loopback, Reply};

    fn call(url: &str) -> HttpCall {
        let spec = HttpToolSpec {
            name: "lookup".to_owned(),
            url: url.to_owned(),
            headers: vec![("x-key".to_owned(), ApiKey::new("k1"))],
            timeout: Duration::from_millis(500),
            hmac_secret: Some(ApiKey::new("whsec_c2VjcmV0")),
            ..HttpToolSpec::default()
        };
        let arguments = json!({"order": "7"});
        HttpCall { spec: Arc::new(spec), id: "c\n1".to_owned(), arguments }
    }

    #[tokio::test]
    async fn a_server_is_asked_with_signed_json_and_its_answer_comes_back() {
        let server = Loopback::start(vec![Reply::json(200, &json!({"state": "sent"}))]).await;
        let answer = call(&server.url()).run("call_1", &HttpClient::new()).await;
        assert_eq!(answer, json!({"state": "sent"}));
        let seen = server.requests().remove(0);
        assert_eq!(seen.json()["arguments"], json!({"order": "7"}));
        assert_eq!(seen.header("x-key"), Some("k1"));
        assert_eq!(seen.header("webhook-id"), Some("call_1.c1"));
        let stamp = seen.header("webhook-timestamp").unwrap();
        let mut signed = format!("call_1.c1.{stamp}.").into_bytes();
        signed.extend_from_slice(&seen.body);
        let code = base64::encode(&hmac_sha256(b"secret", &signed));
        assert_eq!(seen.header("webhook-signature"), Some(format!("v1,{code}").as_str()));
    }

    #[tokio::test]
    async fn whatever_goes_wrong_is_an_answer_for_the_model() {
        let long = "x".repeat(ANSWER_MAX + 1);
        let cases = [
            (Reply::text(200, "all \u{7} fine"), json!({"text": "all   fine"})),
            (
                Reply::json(404, &json!({"why": "none"})),
                json!({"error": "the server answered with status 404", "answer": {"why": "none"}}),
            ),
        ];
        for (reply, expected) in cases {
            let server = Loopback::start(vec![reply]).await;
            assert_eq!(call(&server.url()).run("call_1", &HttpClient::new()).await, expected);
        }
        for reply in [Reply::text(200, &long), Reply::stall(), Reply::hang_up()] {
            let server = Loopback::start(vec![reply]).await;
            let answer = call(&server.url()).run("call_1", &HttpClient::new()).await;
            assert!(answer["error"].is_string(), "{answer}");
        }
    }
}
