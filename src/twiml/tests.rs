//! Documents as Twilio's pages show them, and conversations with the machine.

use super::document::{Play, Track};
use super::*;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

fn xml(verbs: &str) -> Vec<Verb> {
    let document =
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response>{verbs}</Response>");
    parse(document.as_bytes()).unwrap_or_else(|error| panic!("{verbs}: {error}"))
}

fn error(verbs: &str) -> String {
    parse(format!("<Response>{verbs}</Response>").as_bytes()).unwrap_err().to_string()
}

#[test]
fn documents_of_the_vendor_are_read() {
    let verbs = xml("<!-- hello --><Say voice=\"Polly.Amy\" loop=\"2\">Tom &amp; Ann&#33;</Say>\
         <Say>One<break time=\"1s\"/>two &lt;</Say>\
         <Play>https://x/cowbell.mp3</Play><Play digits=\"1ww2\"/>\
         <Pause length=\"10\"/><Redirect method=\"GET\">../next?a=1&amp;b=2</Redirect>\
         <Reject reason=\"busy\"/><Hangup/>");
    let [Verb::Say(plain), Verb::Say(rich), Verb::Play(file), Verb::Play(keys), rest @ ..] =
        verbs.as_slice()
    else {
        panic!("{verbs:?}")
    };
    assert_eq!((plain.text.as_str(), plain.ssml, plain.times), ("Tom & Ann!", false, 2));
    assert_eq!(plain.voice.as_deref(), Some("Polly.Amy"));
    assert_eq!((rich.text.as_str(), rich.ssml), ("One<break time=\"1s\"></break>two &lt;", true));
    assert_eq!(*file, Play::File { url: "https://x/cowbell.mp3".into(), times: 1 });
    assert_eq!(*keys, Play::Digits("1ww2".into()));
    let link = Link { url: "../next?a=1&b=2".into(), method: Method::Get };
    let wanted = [
        Verb::Pause(Duration::from_secs(10)),
        Verb::Redirect(link),
        Verb::Reject(486),
        Verb::Hangup,
    ];
    assert_eq!(rest, wanted);
}

#[test]
fn streams_bring_their_parameters() {
    let verbs =
        xml("<Start><Stream name=\"tap\" url=\"wss://x/a\" track=\"both_tracks\"/></Start>\
         <Stop><Stream name=\"tap\"/></Stop>\
         <Connect action=\"/done\"><Stream url=\"wss://x/b\">\
         <Parameter name=\"k\" value=\" v &quot;1&quot;\"/></Stream></Connect>");
    let [Verb::Start(tap), Verb::Stop(name), Verb::Connect(connect)] = verbs.as_slice() else {
        panic!("{verbs:?}")
    };
    assert_eq!((tap.track, name.as_str()), (Track::Both, "tap"));
    assert_eq!(connect.stream.parameters, [("k".to_owned(), " v \"1\"".to_owned())]);
    assert_eq!(connect.action.as_deref(), Some("/done"));
}

#[test]
fn what_is_not_served_is_refused_by_name() {
    for (verbs, says) in [
        ("<Record/>", "<Record> is not served"),
        ("<Nonsense/>", "<Nonsense> is no verb"),
        ("hello", "text where verbs should be"),
        ("<Gather input=\"speech\"/>", "<Gather> of speech alone is not served"),
        ("<Gather><Dial>+1415</Dial></Gather>", "Say, Play and Pause only"),
        ("<Gather numDigits=\"0\"/>", "1 or more"),
        ("<Gather finishOnKey=\"xyz\"/>", "digits must be"),
        ("<Dial><Number>1</Number><Number>2</Number></Dial>", "several parties"),
        ("<Dial><Client>ann</Client></Dial>", "<Client> is not served"),
        ("<Dial record=\"record-from-answer\">+1</Dial>", "record=\"record-from-answer\""),
        ("<Dial/>", "nobody to call"),
        ("<Say speed=\"2\">x</Say>", "the attribute speed of <Say> is not served"),
        ("<Play/>", "neither a URL nor digits"),
        ("<Connect/>", "needs one <Stream>"),
        ("<Connect><Room>r</Room></Connect>", "<Room> in <Connect> is not served"),
        ("<Connect><Stream url=\"https://x\"/></Connect>", "wss:// or ws://"),
        ("<Pause length=\"x\"/>", "length of <Pause>"),
        ("<Hangup>now</Hangup>", "holds no text"),
        ("<Redirect method=\"PUT\">/x</Redirect>", "GET or POST"),
    ] {
        let said = error(verbs);
        assert!(said.contains(says), "{verbs}: {said}");
    }
    for (document, says) in [
        ("", "none"),
        ("<Response>", "not closed"),
        ("<Answer/>", "not <Response>"),
        ("<Response/><Response/>", "two roots"),
        ("<!DOCTYPE x [<!ENTITY a \"b\">]><Response>&a;</Response>", "document type"),
        ("<Response><Say>&bomb;</Say></Response>", "entity"),
        ("\u{1f}", "outside"),
    ] {
        let said = parse(document.as_bytes()).unwrap_err().to_string();
        assert!(said.contains(says), "{document}: {said}");
    }
    assert!(parse(&[0xff]).is_err() && parse(&vec![b' '; DOCUMENT_MAX + 1]).is_err());
    assert!(error(&"<Hangup/>".repeat(300)).contains("more than 256 verbs"));
    assert!(error(&"<Say><p>".repeat(20)).contains("parse"));
}

/// A machine and its clock.
struct Rig {
    machine: Machine,
    now: Instant,
}

impl Rig {
    fn new() -> Self {
        let facts = Facts {
            call_sid: "CA1".into(),
            account_sid: "AC1".into(),
            from: "+1555".into(),
            to: "+1415".into(),
            inbound: false,
        };
        let fallback = Link { url: "http://h/fallback".into(), method: Method::Post };
        Self { machine: Machine::new(facts, Some(fallback)), now: Instant::now() }
    }

    /// What comes of an input, and when to look again.
    fn hear(&mut self, input: Input) -> (Vec<Output>, Option<Duration>) {
        self.machine.handle(self.now, input);
        let mut all = Vec::new();
        loop {
            match self.machine.poll_output() {
                Output::Timeout(until) => return (all, until.map(|until| until - self.now)),
                output => all.push(output),
            }
        }
    }

    fn begin(&mut self, verbs: &str, answered: bool) -> Vec<Output> {
        self.hear(Input::Begin { entry: Entry::Verbs(xml(verbs)), answered }).0
    }

    /// Begins with a document of this URL, so that relative links mean something.
    fn fetched(&mut self, verbs: &str) -> (Vec<Output>, Option<Duration>) {
        let link = Link { url: "http://h/a/first".into(), method: Method::Post };
        let (outputs, _) = self.hear(Input::Begin { entry: Entry::Fetch(link), answered: true });
        self.answer(&outputs, verbs)
    }

    /// Gives a document to whoever asks for one.
    fn answer(&mut self, outputs: &[Output], verbs: &str) -> (Vec<Output>, Option<Duration>) {
        let Some(Output::Fetch(ticket, query)) = outputs.last() else { panic!("{outputs:?}") };
        let body = format!("<Response>{verbs}</Response>").into_bytes();
        let content_type = Some("text/xml; charset=utf-8".to_owned());
        let document = FetchedDocument { url: query.link.url.clone(), content_type, body };
        self.hear(Input::Fetched(*ticket, Ok(document)))
    }

    fn wait(&mut self, seconds: u64) -> (Vec<Output>, Option<Duration>) {
        self.now += Duration::from_secs(seconds);
        self.hear(Input::Timeout)
    }
}

/// What a fetch asks and says beyond what every one does.
fn asked(outputs: &[Output]) -> (String, Vec<(String, String)>) {
    let Some(Output::Fetch(_, query)) = outputs.last() else { panic!("{outputs:?}") };
    (query.link.url.clone(), query.parameters[9..].to_vec())
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn verbs_are_obeyed_in_order_and_the_end_hangs_up() {
    let mut rig = Rig::new();
    let outputs = rig.begin("<Say>One</Say><Pause/><Play>http://x/a.wav</Play>", true);
    assert!(matches!(outputs[..], [Output::Say(1, _)]), "{outputs:?}");
    assert_eq!(rig.hear(Input::Played(7)).0, [], "an older ticket is not heard");
    let (outputs, wait) = rig.hear(Input::Played(1));
    assert_eq!((outputs, wait), (vec![], Some(Duration::from_secs(1))));
    assert_eq!(rig.hear(Input::Timeout).0, [], "not yet");
    assert_eq!(rig.wait(1).0, [Output::Play(2, "http://x/a.wav".into(), 1)]);
    assert_eq!(rig.hear(Input::PlayFailed(2)).0, [Output::Hangup]);
    assert_eq!(rig.hear(Input::Instruct(Entry::Verbs(vec![]))).0, []);
}

#[test]
fn an_incoming_call_is_answered_when_a_verb_needs_it() {
    let mut rig = Rig::new();
    assert_eq!(rig.begin("<Reject reason=\"busy\"/>", false), [Output::Reject(486)]);
    let mut rig = Rig::new();
    assert_eq!(rig.begin("<Say>Hello</Say>", false), [Output::Answer]);
    assert!(!rig.machine.is_answered());
    let (outputs, _) = rig.hear(Input::Answered);
    assert!(matches!(outputs[..], [Output::Say(..)]), "{outputs:?}");
    let mut rig = Rig::new();
    assert_eq!(rig.begin("<Pause length=\"2\"/><Reject/>", false), []);
    assert_eq!(rig.wait(2).0, [Output::Reject(603)]);
    let mut rig = Rig::new();
    assert_eq!(rig.begin("<Reject/>", true), [Output::Hangup], "it is answered already");
    let mut rig = Rig::new();
    assert_eq!(rig.begin("", false), [Output::Answer]);
    assert_eq!(rig.hear(Input::Answered).0, [Output::Hangup]);
}

#[test]
fn a_gather_asks_its_action_with_the_digits() {
    let mut rig = Rig::new();
    let (outputs, _) = rig.fetched(
        "<Gather numDigits=\"3\" action=\"../keys\" method=\"GET\"><Say>Press.</Say>\
         <Say>Again.</Say></Gather><Say>Nothing.</Say>",
    );
    assert!(matches!(outputs[..], [Output::Say(2, _)]), "{outputs:?}");
    let (outputs, wait) = rig.hear(Input::Digit('1'));
    assert_eq!((outputs, wait), (vec![Output::Cut], Some(Duration::from_secs(5))));
    assert_eq!(rig.hear(Input::Played(2)).0, [], "what was cut is over");
    assert_eq!(rig.hear(Input::Digit('*')).0, []);
    let (outputs, _) = rig.hear(Input::Digit('3'));
    let (url, more) = asked(&outputs);
    assert_eq!(url, "http://h/keys");
    assert_eq!(more, [pair("Digits", "1*3"), pair("msg", "Gather End")]);
    let Some(Output::Fetch(_, query)) = outputs.last() else { panic!() };
    assert!(query.body().is_empty() && query.url().contains("&Digits=1*3&"), "{}", query.url());
    assert!(query.url().starts_with("http://h/keys?CallSid=CA1&"), "{}", query.url());
}

#[test]
fn a_gather_without_input_goes_on() {
    let mut rig = Rig::new();
    let (outputs, wait) = rig.fetched("<Gather timeout=\"2\"/><Say>Nothing.</Say>");
    assert_eq!((outputs, wait), (vec![], Some(Duration::from_secs(2))));
    assert!(matches!(rig.wait(2).0[..], [Output::Say(..)]));

    let mut rig = Rig::new();
    rig.fetched("<Gather timeout=\"2\" actionOnEmptyResult=\"true\"/><Say>Nothing.</Say>");
    let (url, more) = asked(&rig.wait(2).0);
    assert_eq!((url.as_str(), &more[0]), ("http://h/a/first", &pair("Digits", "")));

    let mut rig = Rig::new();
    rig.fetched("<Gather/>");
    rig.hear(Input::Digit('4'));
    let (_, more) = asked(&rig.wait(5).0);
    assert_eq!(more[0], pair("Digits", "4"), "what was pressed counts when nothing follows");

    let mut rig = Rig::new();
    rig.fetched("<Gather/>");
    rig.hear(Input::Digit('4'));
    let (_, more) = asked(&rig.hear(Input::Digit('#')).0);
    assert_eq!(more[..2], [pair("Digits", "4"), pair("FinishedOnKey", "#")]);

    let mut rig = Rig::new();
    rig.fetched("<Gather finishOnKey=\"\" numDigits=\"2\"/>");
    rig.hear(Input::Digit('#'));
    let (_, more) = asked(&rig.hear(Input::Digit('#')).0);
    assert_eq!(more[0], pair("Digits", "##"));

    let mut rig = Rig::new();
    let (outputs, wait) = rig.fetched("<Gather><Pause length=\"3\"/><Say>x</Say></Gather>");
    assert_eq!((outputs, wait), (vec![], Some(Duration::from_secs(3))));
    let (outputs, wait) = rig.wait(3);
    assert!(matches!(outputs[..], [Output::Say(..)]) && wait.is_none());

    let mut rig = Rig::new();
    rig.begin("<Gather/>", true);
    let outputs = rig.hear(Input::Digit('#')).0;
    assert_eq!(outputs, [Output::Hangup], "nothing but the end was pressed");
    let mut rig = Rig::new();
    rig.begin("<Gather numDigits=\"1\"/>", true);
    let outputs = rig.hear(Input::Digit('1')).0;
    assert!(matches!(outputs[..], [Output::Fail(FailCode::Url, _)]), "{outputs:?}");
}

#[test]
fn a_dial_tells_how_it_went() {
    let ended = |status, talked| DialOutcome { status, sid: Some("CA2".into()), talked };
    let mut rig = Rig::new();
    let (outputs, wait) = rig.fetched(
        "<Dial action=\"/dialled\" timeout=\"20\" timeLimit=\"60\"><Number>+1415</Number></Dial>",
    );
    let to = Dialled::Number("+1415".into());
    let timeout = Duration::from_secs(20);
    assert_eq!(outputs, [Output::Dial { ticket: 2, to, timeout, caller_id: None }]);
    assert_eq!(wait, None);
    assert_eq!(rig.hear(Input::Bridged(2)).1, Some(Duration::from_secs(60)));
    assert_eq!(rig.wait(60).0, [Output::Undial(2)]);
    let minute = Some(Duration::from_secs(60));
    let (outputs, _) = rig.hear(Input::DialEnded(2, ended(DialStatus::Completed, minute)));
    let wanted = [
        pair("DialCallStatus", "completed"),
        pair("DialCallSid", "CA2"),
        pair("DialCallDuration", "60"),
    ];
    assert_eq!(asked(&outputs), ("http://h/dialled".to_owned(), wanted.into()));

    let mut rig = Rig::new();
    let outputs = rig.begin("<Dial><Sip>sip:a@b</Sip></Dial><Say>Busy.</Say>", true);
    assert!(
        matches!(&outputs[..], [Output::Dial { to: Dialled::Sip(uri), .. }] if uri == "sip:a@b")
    );
    let (outputs, _) = rig.hear(Input::DialEnded(1, ended(DialStatus::Busy, None)));
    assert!(matches!(outputs[..], [Output::Say(..)]));
}

#[test]
fn another_document_takes_the_place_of_whatever_is_done() {
    let other = || Input::Instruct(Entry::Verbs(xml("<Say>Other</Say>")));
    for (verbs, cut) in [
        ("<Say>x</Say>", true),
        ("<Connect><Stream url=\"wss://x\"/></Connect>", true),
        ("<Gather><Say>x</Say></Gather>", true),
        ("<Pause/>", false),
        ("<Play digits=\"1w2\"/>", false),
    ] {
        let mut rig = Rig::new();
        rig.begin(verbs, true);
        let (outputs, wait) = rig.hear(other());
        assert_eq!(outputs.contains(&Output::Cut), cut, "{verbs}");
        assert!(matches!(outputs.last(), Some(Output::Say(_, say)) if say.text == "Other"));
        assert_eq!(wait, None, "{verbs}");
    }
    let mut rig = Rig::new();
    rig.begin("<Dial>+1415</Dial>", true);
    assert_eq!(rig.hear(other()).0, [Output::Undial(1)]);
    let outcome = DialOutcome { status: DialStatus::Canceled, sid: None, talked: None };
    let (outputs, _) = rig.hear(Input::DialEnded(1, outcome));
    assert!(matches!(outputs[..], [Output::Say(..)]), "{outputs:?}");
}

#[test]
fn a_document_that_cannot_be_had_has_one_substitute() {
    let mut rig = Rig::new();
    let link = Link { url: "http://h/a".into(), method: Method::Post };
    let (outputs, _) = rig.hear(Input::Begin { entry: Entry::Fetch(link), answered: true });
    assert!(matches!(outputs[..], [Output::Fetch(1, _)]));
    let (outputs, _) = rig.hear(Input::Fetched(1, Err("refused".into())));
    let (url, more) = asked(&outputs);
    assert_eq!(url, "http://h/fallback");
    assert_eq!(more, [pair("ErrorCode", "11200"), pair("ErrorUrl", "http://h/a")]);
    let document = FetchedDocument {
        url: "http://h/fallback".into(),
        content_type: Some("application/json".into()),
        body: b"{}".to_vec(),
    };
    let (outputs, _) = rig.hear(Input::Fetched(2, Ok(document)));
    assert!(matches!(&outputs[..], [Output::Fail(FailCode::Parse, detail)]
        if detail.contains("application/json")));
}

#[test]
fn redirects_without_end_end() {
    let mut rig = Rig::new();
    let (mut outputs, _) = rig.fetched("<Redirect/>");
    for round in 2.. {
        if let [Output::Fail(code, _)] = outputs[..] {
            assert_eq!((code, round), (FailCode::Loop, 1001));
            return;
        }
        outputs = rig.answer(&outputs, "<Redirect>/again</Redirect>").0;
    }
}

#[test]
fn keys_are_pressed_with_their_silences() {
    let mut rig = Rig::new();
    assert_eq!(rig.begin("<Play digits=\"12w3\"/>", true), [Output::Press("12".into())]);
    rig.now += Duration::from_millis(820);
    assert_eq!(rig.hear(Input::Timeout).0, [Output::Press("3".into())]);
    assert_eq!(rig.wait(1).0, [Output::Hangup]);
}

#[test]
fn streams_that_only_listen_do_not_hold_the_document_up() {
    let mut rig = Rig::new();
    let outputs = rig.begin(
        "<Start><Stream name=\"s\" url=\"wss://x\"/></Start><Stop><Stream name=\"s\"/></Stop>\
         <Connect><Stream url=\"wss://y\"/></Connect><Say>After.</Say>",
        true,
    );
    assert!(
        matches!(&outputs[..], [Output::Start(_), Output::Stop(_), Output::Connect(1, _)]),
        "{outputs:?}"
    );
    assert!(matches!(rig.hear(Input::StreamEnded(1)).0[..], [Output::Say(..)]));
}

/// docs/compat.md lists the verbs that are obeyed, and no others.
#[test]
fn the_page_has_the_verbs_that_are_obeyed() {
    const PAGE: &str = include_str!("../../docs/compat.md");
    const PARSE: &str = include_str!("parse.rs");
    let (_, body) = PARSE.split_once("\nfn verb(").unwrap();
    let body = body.split("\n}\n").next().unwrap();
    let arms = body.lines().filter_map(|line| line.strip_prefix("        \""));
    let names = arms.filter_map(|arm| arm.split_once("\" =>"));
    let obeyed: BTreeSet<&str> = names.map(|(name, _)| name).collect();
    assert!(obeyed.contains("Gather") && !obeyed.contains("Record"), "{obeyed:?}");
    let (_, table) = PAGE.split_once("| Verb | Served | Not served |\n|---|---|---|\n").unwrap();
    let rows = table.lines().take_while(|line| line.starts_with('|'));
    let cells = rows.map(|row| row.split('|').nth(1).unwrap());
    let paged: BTreeSet<&str> = cells
        .flat_map(|cell| cell.split('<').skip(1))
        .map(|name| name.split('>').next().unwrap())
        .collect();
    assert_eq!(obeyed, paged);
}
