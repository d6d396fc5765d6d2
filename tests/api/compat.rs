//! What clients of other vendors call: Twilio's Calls, the hang-ups of Telnyx and Plivo.

use crate::rig::{ADMIN, ALPHA, Rig, Setup};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bellwire::api::error::{Code, Problem};
use bellwire::api::gateway::Content;
use bellwire::api::rest::{CompatAccount, CompatSpec};
use bellwire::call::control::Wish;
use bellwire::speech::key::ApiKey;
use bellwire::twiml::{Entry, Verb, sid};
use serde_json::{Value, json};

const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";
const CALLS: &str = "/2010-04-01/Accounts/AC0123456789abcdef0123456789abcdef/Calls";
const TARGET: &str = "To=%2B14155550123&From=%2B15550100";

async fn rig() -> Rig {
    let account = |sid: &str, instance: &str, key: Option<&str>| CompatAccount {
        sid: sid.to_owned(),
        token: ApiKey::new("token"),
        instance: instance.parse().unwrap(),
        key: key.map(str::to_owned),
    };
    let accounts =
        vec![account(ACCOUNT, "inst_a", None), account("ACother", "inst_b", Some("reader"))];
    let compat = CompatSpec { twilio: true, telnyx: true, plivo: true, accounts };
    Rig::with(Setup { compat, ..Setup::default() }).await
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// A request of the account's client.
async fn ask(rig: &Rig, method: &str, path: &str, form: &str) -> (u16, Value) {
    let asked = rig.request(method, path).header("authorization", &basic(ACCOUNT, "token"));
    let asked = match form {
        "" => asked,
        form => asked.bytes("application/x-www-form-urlencoded", form.as_bytes().to_vec()),
    };
    let reply = asked.send().await;
    (reply.status.as_u16(), reply.body)
}

async fn create(rig: &Rig) -> String {
    let form = format!("{TARGET}&Twiml=%3CResponse%3E%3CHangup%2F%3E%3C%2FResponse%3E");
    let (status, call) = ask(rig, "POST", &format!("{CALLS}.json"), &form).await;
    assert_eq!(status, 201, "{call}");
    call["sid"].as_str().unwrap().to_owned()
}

fn id_of(name: &str) -> String {
    sid::call_of(name).unwrap().to_string()
}

#[tokio::test]
async fn a_call_is_made_and_shown_in_twilios_shape() {
    let rig = rig().await;
    let name = create(&rig).await;
    assert!(name.len() == 34 && name.starts_with("CA"), "{name}");
    let (status, call) = ask(&rig, "GET", &format!("{CALLS}/{name}.json"), "").await;
    assert_eq!(status, 200, "{call}");
    for (field, value) in [
        ("sid", name.as_str()),
        ("account_sid", ACCOUNT),
        ("status", "queued"),
        ("to", "+14155550123"),
        ("from", "+15550100"),
        ("direction", "outbound-api"),
        ("api_version", "2010-04-01"),
        ("uri", &format!("{CALLS}/{name}.json")),
    ] {
        assert_eq!(call[field], value, "{field}: {call:#}");
    }
    let streams = &call["subresource_uris"]["streams"];
    assert_eq!(*streams, format!("{CALLS}/{name}/Streams.json"));
    assert!(call["date_created"].as_str().unwrap().ends_with(" +0000"), "{call:#}");
    let daemon = rig.daemon.lock().unwrap();
    let made = daemon.created.last().unwrap();
    assert_eq!((made.instance.as_str(), made.key.as_deref()), ("inst_a", Some(ACCOUNT)));
    let Content::Twiml(request) = &made.content else { panic!("{:?}", made.content) };
    assert_eq!(request.entry, Entry::Verbs(vec![Verb::Hangup]));
    assert_eq!((request.account.sid.as_str(), request.account.sip_uris), (ACCOUNT, false));
}

#[tokio::test]
async fn errors_have_twilios_shape_and_numbers() {
    let rig = rig().await;
    let twiml = "&Twiml=%3CResponse%2F%3E";
    let refusals = [
        ("+14155550199", Problem::new(Code::DestinationNotAllowed, "not there")),
        ("+14155550198", Problem::new(Code::TrunkCpsExceeded, "slowly")),
        ("+14155550197", Problem::new(Code::InvalidRequest, "no").with_pointer("/from", "x")),
    ];
    rig.daemon.lock().unwrap().refusals =
        refusals.map(|(number, problem)| (number.to_owned(), problem)).into();
    let to = |tail: &str| format!("To=%2B141555501{tail}&From=%2B15550100{twiml}");
    for (form, status, code) in [
        (format!("From=%2B15550100{twiml}"), 400, 21_201),
        (format!("{TARGET}&Record=true{twiml}"), 400, 20_001),
        (format!("{TARGET}&Twiml=%3CResponse%3E%3CRecord%2F%3E%3C%2FResponse%3E"), 400, 12_100),
        (format!("To=sip%3Aa%40b&From=%2B15550100{twiml}"), 403, 20_403),
        (to("99"), 403, 21_215),
        (to("98"), 429, 20_429),
        (to("97"), 400, 21_210),
    ] {
        let (answered, body) = ask(&rig, "POST", &format!("{CALLS}.json"), &form).await;
        assert_eq!((answered, &body["code"]), (status, &json!(code)), "{form}: {body}");
        assert_eq!(body["status"], status, "{body}");
        let page = format!("https://www.twilio.com/docs/errors/{code}");
        assert_eq!(body["more_info"], page);
        assert!(body["message"].as_str().is_some_and(|text| !text.is_empty()), "{body}");
    }
    let lost = ask(&rig, "GET", &format!("{CALLS}/CA{}.json", "0".repeat(32)), "").await;
    assert_eq!((lost.0, &lost.1["code"]), (404, &json!(20_404)));
    let xml = ask(&rig, "GET", &format!("{CALLS}/CA1"), "").await;
    assert_eq!(xml.0, 404, "XML is not served: {}", xml.1);
    let json_body = rig
        .request("POST", &format!("{CALLS}.json"))
        .header("authorization", &basic(ACCOUNT, "token"))
        .json(Some(&json!({"To": "+14155550123"})));
    assert_eq!(json_body.send().await.status, 415);
}

#[tokio::test]
async fn an_account_sees_its_own_calls_and_nobody_comes_in_without_a_token() {
    let rig = rig().await;
    let own = create(&rig).await;
    let foreign = rig.call("inst_b").await;
    let foreign = format!("{CALLS}/CA{}.json", foreign.strip_prefix("call_").unwrap());
    assert_eq!(ask(&rig, "GET", &foreign, "").await.0, 404);
    for credentials in
        [basic(ACCOUNT, "wrong"), basic("ACother", "token"), format!("Bearer {ADMIN}"), "x".into()]
    {
        let path = format!("{CALLS}/{own}.json");
        let asked = rig.request("GET", &path).header("authorization", &credentials);
        let reply = asked.send().await;
        assert_eq!((reply.status.as_u16(), &reply.body["code"]), (401, &json!(20_003)));
        assert!(reply.header("www-authenticate").starts_with("Basic"));
    }
    // The other account's key may read, and no more.
    let path = "/2010-04-01/Accounts/ACother/Calls.json";
    let other = basic("ACother", "token");
    let listed = rig.request("GET", path).header("authorization", &other).send().await;
    assert_eq!(listed.status, 200, "{}", listed.body);
    assert_eq!(listed.body["calls"].as_array().unwrap().len(), 1);
    let form = format!("{TARGET}&Twiml=%3CResponse%2F%3E").into_bytes();
    let made = rig.request("POST", path).header("authorization", &other);
    let made = made.bytes("application/x-www-form-urlencoded", form).send().await;
    assert_eq!((made.status.as_u16(), &made.body["code"]), (403, &json!(20_403)));
}

#[tokio::test]
async fn a_running_call_is_redirected_or_ended() {
    let rig = rig().await;
    let name = create(&rig).await;
    let path = format!("{CALLS}/{name}.json");
    let twiml = "Twiml=%3CResponse%3E%3CSay%3EHi%3C%2FSay%3E%3C%2FResponse%3E";
    let (status, early) = ask(&rig, "POST", &path, twiml).await;
    assert_eq!((status, &early["code"]), (400, &json!(21_220)), "{early}");
    {
        let mut daemon = rig.daemon.lock().unwrap();
        let call = daemon.active.get_mut(&id_of(&name).parse().unwrap()).unwrap();
        call.answered_at = Some(1);
    }
    rig.pick_up(&id_of(&name));
    let (status, call) = ask(&rig, "POST", &path, twiml).await;
    assert_eq!((status, &call["status"]), (200, &json!("in-progress")), "{call}");
    let (status, _) = ask(&rig, "POST", &path, "Url=http%3A%2F%2Fh%2Fx&Method=GET").await;
    assert_eq!(status, 200);
    let wished = std::mem::take(&mut rig.daemon.lock().unwrap().wished);
    assert!(
        matches!(&wished[..], [Wish::Instruct(first), Wish::Instruct(second)]
            if matches!(**first, Entry::Verbs(_)) && matches!(**second, Entry::Fetch(_))),
        "{wished:?}"
    );
    let (status, fault) = ask(&rig, "POST", &path, "Status=canceled").await;
    assert_eq!((status, &fault["code"]), (400, &json!(21_220)));
    let (status, call) = ask(&rig, "POST", &path, "Status=completed").await;
    assert_eq!((status, &call["status"]), (200, &json!("completed")));
    assert!(rig.daemon.lock().unwrap().active.is_empty());
    let (status, fault) = ask(&rig, "POST", &format!("{CALLS}/{name}/Streams.json"), "").await;
    assert_eq!((status, &fault["code"]), (400, &json!(20_001)), "{fault}");
}

#[tokio::test]
async fn lists_are_paged_as_the_vendors_library_follows_them() {
    let rig = rig().await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(create(&rig).await);
    }
    made.reverse();
    rig.store.flush().await.unwrap();
    let mut uri = format!("{CALLS}.json?PageSize=2&Status=queued");
    let mut seen = Vec::new();
    for page in 0..3 {
        let (status, body) = ask(&rig, "GET", &uri, "").await;
        assert_eq!(status, 200, "{body}");
        assert_eq!((&body["page"], &body["page_size"]), (&json!(page), &json!(2)));
        let sids = body["calls"].as_array().unwrap().iter().map(|call| call["sid"].clone());
        seen.extend(sids.map(|sid| sid.as_str().unwrap().to_owned()));
        match body["next_page_uri"].as_str() {
            Some(next) => next.clone_into(&mut uri),
            None => assert_eq!(page, 2, "{body}"),
        }
    }
    assert_eq!(seen, made);
    let (_, none) = ask(&rig, "GET", &format!("{CALLS}.json?To=%2B14155550000"), "").await;
    assert_eq!((&none["calls"], &none["next_page_uri"]), (&json!([]), &Value::Null));
}

#[tokio::test]
async fn telnyx_and_plivo_hang_up_in_their_own_words() {
    let rig = rig().await;
    let call = rig.call("inst_a").await;
    let tail = call.strip_prefix("call_").unwrap();
    let telnyx = format!("/v2/calls/v3:{tail}/actions/hangup");
    let nobody = rig.request("POST", &telnyx).json(Some(&json!({}))).send().await;
    assert_eq!((nobody.status.as_u16(), &nobody.body["errors"][0]["code"]), (401, &json!("10009")));
    let done = rig.request("POST", &telnyx).key(ALPHA).json(Some(&json!({}))).send().await;
    assert_eq!((done.status.as_u16(), &done.body), (200, &json!({"data": {"result": "ok"}})));
    rig.store.flush().await.unwrap();
    let unknown = rig.request("POST", "/v2/calls/v3:x/actions/hangup").key(ALPHA).send().await;
    assert_eq!(unknown.body["errors"][0]["code"], "90015", "{}", unknown.body);

    let call = rig.call("inst_a").await;
    let tail = call.strip_prefix("call_").unwrap();
    let uuid = format!(
        "{}-{}-{}-{}-{}",
        &tail[..8],
        &tail[8..12],
        &tail[12..16],
        &tail[16..20],
        &tail[20..]
    );
    let plivo = format!("/v1/Account/{ACCOUNT}/Call/{uuid}/");
    let own = basic(ACCOUNT, "token");
    let nobody = rig.request("DELETE", &plivo).send().await;
    assert_eq!(nobody.status, 401);
    let done = rig.request("DELETE", &plivo).header("authorization", &own).send().await;
    assert_eq!(done.status, 204, "{}", done.body);
    let again = rig.request("DELETE", &plivo).header("authorization", &own).send().await;
    assert_eq!((again.status.as_u16(), &again.body["error"]), (404, &json!("not found")));
}

#[tokio::test]
async fn none_of_it_is_there_unless_it_is_switched_on() {
    let rig = Rig::new().await;
    for (method, path) in [
        ("GET", format!("{CALLS}.json")),
        ("POST", "/v2/calls/v3:1/actions/hangup".to_owned()),
        ("DELETE", format!("/v1/Account/{ACCOUNT}/Call/1/")),
    ] {
        let asked = rig.request(method, &path).key(ADMIN).send().await;
        assert_eq!(asked.status, 404, "{path}: {}", asked.body);
    }
}
