//! Decision webhooks: a POST that says what an inbound call meets.
//!
//! Owns the question and how its answer becomes what the call does. One attempt within the route's
//! time: a caller waits. Whatever goes wrong, the call is refused with the route's `sip_code`.

use super::inbound::{InboundAction, nothing, silence};
use crate::api::gateway::Content;
use crate::api::types::create::decision::{Decided, Decision};
use crate::api::types::{CreateContext, CreateDefaults, RequestedContent, Voice};
use crate::app::agent::tools::http::signed;
use crate::audio::decode::DecodeLimits;
use crate::audio::prompt::prepare_prompt;
use crate::call::Plan;
use crate::call::identity::CallIdentity;
use crate::id::CallId;
use crate::net::http::{HttpClient, HttpRequest, HttpTimes};
use crate::sip::interface::Incoming;
use crate::speech::key::ApiKey;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Octets of an answer; audio comes as base64.
const ANSWER_MAX: usize = 4 << 20;

/// Longest time that a call rings when the webhook names none.
const RING_MAX: Duration = Duration::from_secs(180);

/// Where a route asks.
#[derive(Debug, Clone)]
pub(super) struct Hook {
    /// http or https.
    pub url: String,
    /// From the first octet sent to the last one received.
    pub timeout: Duration,
    /// Signs the request.
    pub secret: Option<ApiKey>,
    /// The status of a call whose webhook does not answer.
    pub sip_code: u16,
}

/// What answers are read and carried out with.
#[derive(Clone)]
pub(super) struct Desk {
    /// Shares its connections.
    pub client: HttpClient,
    /// The voices that there are.
    pub voices: Arc<[Voice]>,
    /// Names of the engines.
    pub engines: Arc<[String]>,
    /// What stands in for absent fields.
    pub defaults: CreateDefaults,
    /// How much audio an answer may bring.
    pub limits: DecodeLimits,
    /// Level of its speech.
    pub level: Option<f32>,
    /// Longest call.
    pub longest: Duration,
}

/// What a webhook has decided.
pub(super) struct Verdict {
    /// What the call meets.
    pub action: InboundAction,
    /// The user's own object.
    pub metadata: Map<String, Value>,
}

impl Desk {
    /// Asks, and reads the answer.
    ///
    /// # Errors
    /// Why there is no usable answer, in words.
    pub(super) async fn ask(
        &self,
        hook: &Hook,
        call: &CallId,
        caller: (&Incoming, &CallIdentity),
        unix_ms: i64,
    ) -> Result<Verdict, String> {
        let asked = tokio::time::timeout(hook.timeout, self.post(hook, call, caller, unix_ms));
        let late = |_| format!("the webhook did not answer within {:?}", hook.timeout);
        let body = asked.await.map_err(late)??;
        let desk = self.clone();
        let sip_code = hook.sip_code;
        let read = tokio::task::spawn_blocking(move || desk.read(&body, sip_code));
        read.await.map_err(|_| "the webhook's answer could not be read".to_owned())?
    }

    async fn post(
        &self,
        hook: &Hook,
        call: &CallId,
        (incoming, identity): (&Incoming, &CallIdentity),
        unix_ms: i64,
    ) -> Result<Vec<u8>, String> {
        let times = HttpTimes { first_byte: hook.timeout, idle: hook.timeout };
        let body = question(call, incoming, identity, unix_ms);
        let mut request = HttpRequest { times, ..HttpRequest::post_json(&hook.url, &body) };
        if let Some(secret) = &hook.secret {
            let now = Duration::from_millis(u64::try_from(unix_ms).unwrap_or(0));
            request = signed(request, call.as_str(), now, secret);
        }
        let answer = self.client.send(request).await.map_err(|error| error.to_string())?;
        if !answer.is_success() {
            return Err(format!("the webhook answered with status {}", answer.status()));
        }
        answer.body(ANSWER_MAX).await.map_err(|error| error.to_string())
    }

    /// Reads an answer; `sip_code` is the route's.
    fn read(&self, body: &[u8], sip_code: u16) -> Result<Verdict, String> {
        let context = CreateContext {
            defaults: self.defaults,
            strict: false,
            voices: &self.voices,
            engines: &self.engines,
        };
        let decision = Decision::parse(body, &context).map_err(|problem| problem.in_words())?;
        let ring = decision.ring.unwrap_or(Duration::ZERO);
        let answer = Plan::Inbound {
            ring,
            early_media: decision.early_media,
            hangup_after: decision.hangup_after.unwrap_or(Duration::ZERO),
            longest: self.longest,
        };
        let mut party = None;
        let (plan, content) = match decision.decided {
            Decided::Answer => (answer, silence()),
            Decided::Content(content) => (answer, self.content(content)?),
            Decided::Ask(content) => {
                let ring = decision.ring.unwrap_or(Duration::from_secs(60));
                (
                    Plan::Ask { timeout: ring, otherwise: 480, longest: self.longest },
                    self.content(content)?,
                )
            }
            Decided::Ring => {
                (Plan::RingOnly { ring: decision.ring.unwrap_or(RING_MAX) }, silence())
            }
            Decided::Dial { wish, otherwise, ringback } => {
                let (timeout, otherwise) = (wish.timeout, otherwise.unwrap_or(sip_code));
                party = Some(wish);
                let longest = self.longest;
                (Plan::Dial { ringback, timeout, otherwise, longest }, nothing())
            }
            Decided::Reject { code, .. } => (Plan::Reject { code }, silence()),
        };
        let action = InboundAction {
            party,
            barge: Box::new(decision.barge),
            ..InboundAction::new(plan, content)
        };
        Ok(Verdict { action, metadata: decision.metadata })
    }

    fn content(&self, asked: RequestedContent) -> Result<Content, String> {
        Ok(match asked {
            RequestedContent::Tts(spoken) => Content::Tts(spoken),
            RequestedContent::Stream { options, wait, ask } => {
                Content::Stream { options, wait, ask }
            }
            RequestedContent::Agent(agent) => Content::Agent(agent),
            RequestedContent::Audio { bytes, repeat } => {
                let samples = prepare_prompt(&bytes, &self.limits, self.level);
                Content::Audio { samples: samples.map_err(|error| error.to_string())?, repeat }
            }
        })
    }
}

/// What a webhook is told of a call.
fn question(call: &CallId, incoming: &Incoming, identity: &CallIdentity, unix_ms: i64) -> Value {
    let headers = super::identity::headers(incoming);
    json!({
        "type": "call.incoming",
        "timestamp": crate::api::stamp::iso(unix_ms),
        "data": {"call": {
            "id": call.as_str(),
            "direction": "inbound",
            "trunk_id": incoming.trunk,
            "to": incoming.to_user,
            "from": Some(&incoming.from_user).filter(|from| !from.is_empty()),
            "from_name": incoming.from_display,
            "sip": {
                "call_id": incoming.sip_call_id,
                "remote": incoming.remote.to_string(),
                "headers": headers,
            },
            "identity": identity,
        }},
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::agent::loopback::{Loopback, Reply};
    use crate::audio::progress;

    fn desk() -> Desk {
        Desk {
            client: HttpClient::new(),
            voices: Arc::new([]),
            engines: Arc::new([]),
            defaults: CreateDefaults::default(),
            limits: DecodeLimits::default(),
            level: None,
            longest: Duration::from_secs(60),
        }
    }

    fn incoming() -> Incoming {
        Incoming {
            trunk: "carrier".into(),
            to_user: "100".into(),
            from_user: "+4930".into(),
            from_display: None,
            sip_call_id: "x@y".into(),
            headers: vec![("X-Ref".into(), "7".into())],
            watched: Vec::new(),
            identity: crate::sip::interface::PeerIdentity::default(),
            replaces: None,
            sdp: None,
            remote: "127.0.0.1:5060".parse().unwrap(),
        }
    }

    async fn ask(reply: Reply) -> (Result<Verdict, String>, Value, Option<String>) {
        let server = Loopback::start(vec![reply]).await;
        let hook = Hook {
            url: server.url(),
            timeout: Duration::from_millis(400),
            secret: Some(ApiKey::new("whsec_c2VjcmV0")),
            sip_code: 480,
        };
        let call = CallId::from_tail("1").unwrap();
        let identity = CallIdentity { anonymous: true, ..CallIdentity::default() };
        let verdict = desk().ask(&hook, &call, (&incoming(), &identity), 1_000).await;
        let seen = server.requests().remove(0);
        (verdict, seen.json(), seen.header("webhook-signature").map(str::to_owned))
    }

    #[tokio::test]
    async fn a_webhook_is_told_who_calls_and_decides() {
        let (verdict, seen, signature) =
            ask(Reply::json(200, &json!({"action": "reject", "sipCode": 486}))).await;
        assert_eq!(verdict.unwrap().action.plan, Plan::Reject { code: 486 });
        assert_eq!(seen["data"]["call"]["to"], "100");
        assert_eq!(seen["data"]["call"]["sip"]["headers"]["X-Ref"], "7");
        assert_eq!(seen["data"]["call"]["identity"]["anonymous"], true);
        assert_eq!(seen["data"]["call"]["identity"]["verified"], Value::Null);
        assert_eq!(seen["timestamp"], "1970-01-01T00:00:01Z");
        assert!(signature.unwrap().starts_with("v1,"));
        let answer = json!({"action": "answer", "ring": 1, "metadata": {"k": 1}});
        let verdict = ask(Reply::json(200, &answer)).await.0.unwrap();
        assert!(matches!(verdict.action.plan, Plan::Inbound { ring, .. } if ring.as_secs() == 1));
        assert_eq!(verdict.metadata["k"], 1);
    }

    #[tokio::test]
    async fn a_webhook_may_name_whom_to_call() {
        let answer = json!({"action": "dial", "to": "+14155550123", "timeout": 20});
        let action = ask(Reply::json(200, &answer)).await.0.unwrap().action;
        let longest = Duration::from_secs(60);
        let timeout = Duration::from_secs(20);
        // The status of a party that does not answer is the route's, unless the answer names one.
        assert_eq!(action.plan, Plan::Dial { ringback: None, timeout, otherwise: 480, longest });
        assert_eq!(action.party.unwrap().to, "+14155550123");
        let answer = json!({"action": "dial", "to": "+14155550123", "ringback": "eu"});
        let plan = ask(Reply::json(200, &answer)).await.0.unwrap().action.plan;
        assert!(matches!(plan, Plan::Dial { ringback: Some(progress::Plan::Europe), .. }));
        let answer = json!({"action": "dial", "to": "sip:desk@pbx.example", "sipCode": 404});
        let action = ask(Reply::json(200, &answer)).await.0.unwrap().action;
        assert!(matches!(action.plan, Plan::Dial { otherwise: 404, .. }));
    }

    #[tokio::test]
    async fn every_failure_is_told_in_words() {
        let cases = [
            (Reply::text(500, "no"), "status 500"),
            (Reply::text(200, "no"), "not JSON"),
            (Reply::json(200, &json!({"action": "dance"})), "dance"),
            (Reply::json(200, &json!({"action": "play", "audio": {"audioBase64": "AAAA"}})), ""),
            (Reply::stall(), "did not"),
            (Reply::hang_up(), ""),
        ];
        for (reply, words) in cases {
            let error = ask(reply).await.0.err().unwrap();
            assert!(error.contains(words) && !error.is_empty(), "{error}");
        }
    }
}
