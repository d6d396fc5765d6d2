//! The leg without media: what it asks of the call, of other people's servers, and when.

use super::*;
use crate::app::agent::loopback::{Loopback, Reply};
use crate::app::hearing::HearingSpec;
use crate::app::stream::wire::Told;
use crate::call::control::{HeardBy, Wish, WishError};
use crate::call::record::{
    CallRecord, CallStatus, CallType, Direction, TransferMode, TransferPhase, TransferView,
};
use crate::net::http::HttpClient;
use crate::speech::tts::{Tts, TtsSpec};
use crate::twiml::form;
use crate::twiml::signature::sign;
use std::time::Duration;
use tokio::sync::watch;

struct Rig {
    control: mpsc::Sender<Control>,
    reports: mpsc::Receiver<Report>,
    _dir: tempfile::TempDir,
}

fn facts(inbound: bool) -> Facts {
    Facts {
        call_sid: "CA1".into(),
        account_sid: "AC1".into(),
        from: "+1555".into(),
        to: "+1415".into(),
        inbound,
    }
}

fn account() -> Account {
    Account { sid: "AC1".into(), token: ApiKey::new("token"), sip_uris: false }
}

impl Rig {
    fn new(entry: Entry, inbound: bool) -> Self {
        Self::with(entry, inbound, None)
    }

    fn with(entry: Entry, inbound: bool, press: Option<&str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let parts = TwimlParts {
            web: Web::new(HttpClient::new()),
            tts: Tts::start(TtsSpec::built_in(dir.path().to_owned())),
            decode: Arc::new(|_| Err("no file is one".to_owned())),
            voice: Arc::new(|_, _| "en-US-001".to_owned()),
            open_stream: Arc::new(|stream| Err(format!("nobody is at {}", stream.url))),
            hearing: HearingSpec::default(),
        };
        let press = press.map(str::to_owned);
        let request =
            TwimlRequest { account: account(), entry, fallback: None, press, callback: None };
        let rate = SampleRate::HZ_8000;
        let spec = TwimlSpec { facts: facts(inbound), request, parts, rate };
        let (control, controlled) = mpsc::channel(64);
        let (report, reports) = mpsc::channel(64);
        // Ends with its queue.
        drop(spawn(spec, controlled, report));
        Self { control, reports, _dir: dir }
    }

    fn tell(&self, control: Control) {
        assert!(self.control.try_send(control).is_ok());
    }

    fn event(&self, event: &'static str, detail: Option<&str>) {
        self.tell(Control::CallEvent { event, detail: detail.map(str::to_owned) });
    }

    async fn next(&mut self) -> Report {
        let next = tokio::time::timeout(Duration::from_secs(20), self.reports.recv());
        next.await.expect("a report").expect("a leg")
    }

    /// The next wish, with its number.
    async fn wish(&mut self) -> (u64, Wish) {
        match self.next().await {
            Report::Wish { ticket, wish } => (ticket, *wish),
            other => panic!("{other:?}"),
        }
    }

    fn transfer(&self, state: TransferPhase, code: Option<u16>) {
        let view = TransferView { to: "+1".into(), mode: TransferMode::Bridge, state, code };
        self.tell(Control::Tell(Box::new(Told::transfer(&view))));
    }
}

fn verbs(text: &str) -> Entry {
    let document = format!("<Response>{text}</Response>");
    Entry::Verbs(crate::twiml::parse(document.as_bytes()).unwrap())
}

fn at(url: &str) -> Entry {
    Entry::Fetch(Link { url: url.to_owned(), method: crate::twiml::Method::Post })
}

fn xml(text: &str) -> Reply {
    Reply::xml(&format!("<Response>{text}</Response>"))
}

fn said(pairs: &[(String, String)], name: &str) -> String {
    let found = pairs.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.clone()).unwrap_or_default()
}

#[tokio::test]
async fn a_document_is_asked_for_with_signed_parameters() {
    let server = Loopback::start(vec![xml("<Hangup/>")]).await;
    let url = server.url();
    let mut rig = Rig::new(at(&url), false);
    rig.event("ringing", None);
    rig.event("answered", None);
    let reason = Some("the TwiML document is over".to_owned());
    assert_eq!(rig.next().await, Report::HangupRequested { reason });
    let asked = server.requests().remove(0);
    let pairs = form::decode(&asked.body).unwrap();
    for (name, value) in [
        ("CallSid", "CA1"),
        ("AccountSid", "AC1"),
        ("From", "+1555"),
        ("To", "+1415"),
        ("CallStatus", "in-progress"),
        ("Direction", "outbound-api"),
    ] {
        assert_eq!(said(&pairs, name), value, "{name}");
    }
    let signature = sign("token", &url, &pairs);
    assert_eq!(asked.header("x-twilio-signature"), Some(signature.as_str()));
}

#[tokio::test]
async fn digits_that_come_by_info_reach_a_gather_and_its_action() {
    let server = Loopback::start(vec![xml("<Gather numDigits=\"2\"/>"), xml("<Hangup/>")]).await;
    let mut rig = Rig::new(at(&server.url()), false);
    rig.event("answered", None);
    // Keys count from the Gather on, whenever its document comes.
    while server.requests().len() < 2 {
        let method = HeardBy::Info;
        let key = Control::Dtmf { digit: b'7', duration_ms: 100, method };
        rig.control.send(key).await.ok().unwrap();
        tokio::task::yield_now().await;
    }
    assert!(matches!(rig.next().await, Report::HangupRequested { .. }));
    let pairs = form::decode(&server.requests()[1].body).unwrap();
    assert_eq!(said(&pairs, "Digits"), "77", "{pairs:?}");
}

#[tokio::test]
async fn an_incoming_call_rings_and_is_refused_or_answered() {
    let mut rig = Rig::new(verbs("<Reject reason=\"busy\"/>"), true);
    rig.event("offered", None);
    assert_eq!(rig.wish().await.1, Wish::Ring);
    assert_eq!(rig.wish().await.1, Wish::Reject { code: 486, reason: String::new() });

    let mut rig = Rig::new(verbs("<Pause length=\"0\"/><Hangup/>"), true);
    rig.event("offered", None);
    assert_eq!(rig.wish().await.1, Wish::Ring);
    assert_eq!(rig.wish().await.1, Wish::Answer);
    rig.event("answered", None);
    assert!(matches!(rig.next().await, Report::HangupRequested { .. }));
}

#[tokio::test]
async fn a_dial_is_a_transfer_by_bridge_and_its_end_is_told() {
    let server = Loopback::start(vec![
        xml("<Dial action=\"/over\" callerId=\"+1999\" timeout=\"9\">+1 (415) 555-0199</Dial>"),
        xml("<Dial action=\"/over\">+14155550188</Dial>"),
        xml("<Dial action=\"/over\"><Sip>sip:a@b</Sip></Dial>"),
        xml("<Hangup/>"),
    ])
    .await;
    let mut rig = Rig::new(at(&server.url()), false);
    rig.event("answered", None);
    let (_, wish) = rig.wish().await;
    let Wish::Transfer(wish) = wish else { panic!("{wish:?}") };
    assert_eq!((wish.to.as_str(), wish.from.as_deref()), ("+14155550199", Some("+1999")));
    assert_eq!((wish.mode, wish.timeout), (TransferMode::Bridge, Duration::from_secs(9)));
    rig.transfer(TransferPhase::Ringing, Some(180));
    rig.event("bridge", Some("call_018f6a2b3c4d7e8f90a1b2c3d4e5f607"));
    rig.event("unbridge", None);
    // Busy, then a party that the key may not call.
    assert!(matches!(rig.wish().await.1, Wish::Transfer(_)));
    rig.transfer(TransferPhase::Failed, Some(486));
    assert!(matches!(rig.next().await, Report::HangupRequested { .. }));
    let ends: Vec<_> = server.requests()[1..]
        .iter()
        .map(|asked| {
            let pairs = form::decode(&asked.body).unwrap();
            (said(&pairs, "DialCallStatus"), said(&pairs, "DialCallSid"))
        })
        .collect();
    let sid = "CA018f6a2b3c4d7e8f90a1b2c3d4e5f607".to_owned();
    let wanted = [
        ("completed".to_owned(), sid),
        ("busy".to_owned(), String::new()),
        ("failed".to_owned(), String::new()),
    ];
    assert_eq!(ends, wanted);
}

#[tokio::test]
async fn a_dial_that_the_call_refuses_has_failed_and_another_document_ends_one() {
    let mut rig = Rig::new(verbs("<Dial>+14155550199</Dial><Play digits=\"1\"/>"), false);
    rig.event("answered", None);
    let (ticket, _) = rig.wish().await;
    let result = Err(WishError::NotAllowed("not there".into()));
    rig.tell(Control::Granted { ticket, result });
    let (_, wish) = rig.wish().await;
    assert!(matches!(wish, Wish::Dtmf(keys) if keys.digits == "1"));

    let mut rig = Rig::new(verbs("<Dial>+14155550199</Dial>"), false);
    rig.event("answered", None);
    let (ticket, _) = rig.wish().await;
    rig.tell(Control::Granted { ticket, result: Ok(()) });
    rig.tell(Control::Instruct(Box::new(verbs("<Hangup/>"))));
    assert_eq!(rig.wish().await.1, Wish::Unbridge);
    rig.transfer(TransferPhase::Failed, Some(487));
    assert!(matches!(rig.next().await, Report::HangupRequested { .. }));
}

#[tokio::test]
async fn keys_of_the_request_are_pressed_first() {
    let mut rig = Rig::with(verbs("<Hangup/>"), false, Some("12"));
    rig.event("answered", None);
    let (_, wish) = rig.wish().await;
    assert!(matches!(wish, Wish::Dtmf(keys) if keys.digits == "12"));
    assert!(matches!(rig.next().await, Report::HangupRequested { .. }));
}

#[tokio::test]
async fn what_cannot_be_had_fails_the_call_and_what_cannot_be_heard_does_not() {
    let server = Loopback::start(vec![Reply::text(500, "no")]).await;
    let mut rig = Rig::new(at(&server.url()), false);
    rig.event("answered", None);
    let Report::Failed { detail } = rig.next().await else { panic!() };
    assert!(detail.contains("11200") && detail.contains("500"), "{detail}");

    let server = Loopback::start(vec![Reply::text(200, "RIFF")]).await;
    let text = format!(
        "<Connect><Stream url=\"wss://bot.example\"/></Connect><Play>{}</Play>",
        server.url()
    );
    let mut rig = Rig::new(verbs(&text), false);
    rig.event("answered", None);
    assert!(matches!(rig.next().await, Report::HangupRequested { .. }));
    assert!(server.requests()[0].line.starts_with("GET "));
}

#[tokio::test]
async fn redirections_are_followed_a_little_and_signed_anew() {
    let hop = |to: &str| Reply::status(302, &format!("location: {to}\r\n"));
    let server = Loopback::start(vec![hop("/next?a=b"), xml("<Hangup/>")]).await;
    let mut rig = Rig::new(at(&server.url()), false);
    rig.event("answered", None);
    assert!(matches!(rig.next().await, Report::HangupRequested { .. }));
    let second = server.requests().remove(1);
    assert!(second.line.starts_with("GET /next?a=b "), "{}", second.line);
    let replies = (0..5).map(|_| hop("/again")).collect();
    let server = Loopback::start(replies).await;
    let mut rig = Rig::new(at(&server.url()), false);
    rig.event("answered", None);
    let Report::Failed { detail } = rig.next().await else { panic!() };
    assert!(detail.contains("redirected too often"), "{detail}");
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn status_callbacks_come_in_order_and_are_tried_again() {
    let bad = || Reply::text(503, "");
    let replies = vec![Reply::text(204, ""), bad(), Reply::text(200, ""), Reply::text(200, "")];
    let server = Loopback::start(replies).await;
    let mut record = CallRecord::new(
        "call_1".parse().unwrap(),
        "inst_a".parse().unwrap(),
        CallType::DynamicStream,
        "+1415".into(),
        Direction::Outbound,
        0,
    );
    let (shown, seen) = watch::channel(record.clone());
    let events = CallbackEvent::ALL.into_iter().filter(|e| *e != CallbackEvent::Ringing);
    let link = Link { url: server.url(), method: crate::twiml::Method::Post };
    let callback = StatusCallback { link, events: events.collect() };
    let web = Web::new(HttpClient::new());
    let task = tokio::spawn(tell_status(web, "token".into(), callback, facts(false), seen));
    record.status = CallStatus::Ringing;
    shown.send_replace(record.clone());
    // The rest comes to pass at once.
    record.status = CallStatus::Completed;
    record.ringing_at = Some(1);
    record.answered_at = Some(2);
    record.ended_at = Some(2502);
    record.duration_ms = Some(2500);
    record.sip_code = Some(200);
    shown.send_replace(record);
    task.await.unwrap();
    let told: Vec<_> = server
        .requests()
        .iter()
        .map(|asked| {
            let pairs = form::decode(&asked.body).unwrap();
            let signature = sign("token", &server.url(), &pairs);
            assert_eq!(asked.header("x-twilio-signature"), Some(signature.as_str()));
            (
                said(&pairs, "CallStatus"),
                said(&pairs, "SequenceNumber"),
                said(&pairs, "CallDuration"),
            )
        })
        .collect();
    let row = |status: &str, number: &str, talked: &str| {
        (status.to_owned(), number.to_owned(), talked.to_owned())
    };
    let wanted = [
        row("initiated", "0", ""),
        row("in-progress", "2", ""),
        row("in-progress", "2", ""),
        row("completed", "3", "3"),
    ];
    assert_eq!(told, wanted);
}
