//! Having outgoing calls signed by an external service (RFC 8224 §5, RFC 8588).
//!
//! ```text
//!  POST {orig, dest, attest, iat, call} ─> the trunk's sign_url ─> {"identity": "eyJ…;info=<…>"}
//! ```
//!
//! Owns the question and the check of its answer. Holds no key, and does not decide what becomes of
//! a call that is not signed. One attempt within the trunk's time: somebody waits for the call.

use crate::app::agent::tools::http::signed;
use crate::id::CallId;
use crate::net::http::{HttpClient, HttpRequest, HttpTimes};
use crate::sip::stir::{Attestation, Party, may_be_sent};
use crate::speech::key::ApiKey;
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;

/// Octets of an answer.
const ANSWER_MAX: usize = 16 * 1024;

/// Who signs a trunk's calls.
#[derive(Debug, Clone)]
pub(super) struct Signer {
    /// http or https.
    pub url: String,
    /// Signs the request.
    pub secret: Option<ApiKey>,
    /// What is asked for.
    pub attest: Attestation,
    /// From the first octet sent to the last one received.
    pub timeout: Duration,
    /// No signature, no call.
    pub required: bool,
}

#[derive(Deserialize)]
struct Answer {
    identity: String,
}

impl Signer {
    /// The value of Identity for a call: `from` is the number that is shown, `to` the Request-URI,
    /// `unix_ms` the time since the Unix epoch.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub(super) async fn sign(
        &self,
        client: &HttpClient,
        call: &CallId,
        (from, to): (&str, &str),
        unix_ms: i64,
    ) -> Result<String, String> {
        let caller = Party::of_number(from);
        let callee = Party::of_uri(to).unwrap_or_default();
        let orig = caller.number().ok_or("the call shows no number that could be signed")?;
        let dest = callee.number().ok_or("the called party is no number")?;
        let unix = Duration::from_millis(u64::try_from(unix_ms).unwrap_or(0));
        let body = json!({
            "orig": {"tn": orig},
            "dest": {"tn": [dest]},
            "attest": self.attest.as_str(),
            "iat": unix.as_secs(),
            "call": call.as_str(),
        });
        let times = HttpTimes { first_byte: self.timeout, idle: self.timeout };
        let mut request = HttpRequest { times, ..HttpRequest::post_json(&self.url, &body) };
        if let Some(secret) = &self.secret {
            request = signed(request, call.as_str(), unix, secret);
        }
        let asked = tokio::time::timeout(self.timeout, ask(client, request)).await;
        let late = |_| format!("the signing service did not answer within {:?}", self.timeout);
        let identity = asked.map_err(late)??;
        may_be_sent(&identity, &caller, &callee)
            .map_err(|fault| format!("the signing service's answer cannot be sent: {fault}"))?;
        Ok(identity)
    }
}

async fn ask(client: &HttpClient, request: HttpRequest) -> Result<String, String> {
    let answer = client.send(request).await.map_err(|error| error.to_string())?;
    if !answer.is_success() {
        return Err(format!("the signing service answered with status {}", answer.status()));
    }
    let body = answer.body(ANSWER_MAX).await.map_err(|error| error.to_string())?;
    let answer: Result<Answer, _> = serde_json::from_slice(&body);
    let answer = answer.map_err(|_| "the signing service's answer has no identity".to_owned())?;
    Ok(answer.identity)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::agent::loopback::{Loopback, Reply, Seen};
    use crate::sip::stir::testing::{Authority, NOW};
    use serde_json::Value;

    async fn sign(reply: Reply, from: &str, to: &str) -> (Result<String, String>, Option<Value>) {
        let server = Loopback::start(vec![reply]).await;
        let signer = Signer {
            url: server.url(),
            secret: Some(ApiKey::new("whsec_c2VjcmV0")),
            attest: Attestation::Partial,
            timeout: Duration::from_millis(400),
            required: false,
        };
        let call = CallId::from_tail("1").unwrap();
        let now = i64::try_from(NOW).unwrap() * 1000;
        let signed = signer.sign(&HttpClient::new(), &call, (from, to), now).await;
        let seen = server.requests();
        if let Some(seen) = seen.first() {
            assert!(seen.header("webhook-signature").unwrap().starts_with("v1,"));
        }
        (signed, seen.first().map(Seen::json))
    }

    #[tokio::test]
    async fn a_service_is_told_who_calls_whom_and_signs() {
        let identity = Authority::new().issue(2099).identity(NOW);
        let reply = Reply::json(200, &json!({"identity": identity}));
        let (signed, seen) = sign(reply, "+14155550123", "sip:+15550100@carrier.example").await;
        assert_eq!(signed, Ok(identity));
        let asked = json!({"orig": {"tn": "14155550123"}, "dest": {"tn": ["15550100"]},
            "attest": "B", "iat": NOW, "call": "call_1"});
        assert_eq!(seen.unwrap(), asked);
    }

    #[tokio::test]
    async fn every_failure_is_told_in_words() {
        let identity = Authority::new().issue(2099).identity(NOW);
        let of_another = Reply::json(200, &json!({"identity": identity}));
        let smuggled = format!("{identity}\r\nX-Evil: 1");
        for (reply, words) in [
            (Reply::text(500, "no"), "status 500"),
            (Reply::text(200, "no"), "no identity"),
            (Reply::json(200, &json!({"identity": "x"})), "cannot be sent"),
            (Reply::json(200, &json!({"identity": smuggled})), "control characters"),
            (of_another, "orig"),
            (Reply::stall(), "did not"),
            (Reply::hang_up(), ""),
        ] {
            let from = if words == "orig" { "+1" } else { "+14155550123" };
            let error = sign(reply, from, "sip:+15550100@h").await.0.unwrap_err();
            assert!(error.contains(words) && !error.is_empty(), "{error}");
        }
        for (from, to) in [("", "sip:+1@h"), ("alice", "sip:+1@h"), ("+1", "sip:alice@h")] {
            let (signed, seen) = sign(Reply::stall(), from, to).await;
            assert!(signed.unwrap_err().contains("number"));
            assert_eq!(seen, None, "nobody is asked");
        }
    }
}
