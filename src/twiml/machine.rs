//! The machine that obeys documents: one input in, drain the outputs.
//!
//! ```text
//!  Waiting ─begin─> Fetching ─document─> verbs in order ─> no verb left: hang up
//!                      ^                    │ say, play, pause, gather, dial, connect
//!                      └── action, redirect ┘
//!  Instruct, at any time: what is being done is given up, another document begins
//! ```
//!
//! Owns which verb is being obeyed, the digits of a Gather, and what the next request says. Each
//! thing that takes time has a ticket; what is said of an older one is not heard. Does not know
//! how anything is done, and never waits.

mod gather;
mod query;

pub use query::{Facts, Query};

use super::document::{Connect, Dial, Entry, Link, Method, Play, Say, Stream, Verb};
use super::link::resolve;
use super::parse::{DocumentError, parse};
use gather::{Gathering, Pressed};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Documents of one call; a loop of redirects ends here.
const DOCUMENTS_MAX: u32 = 1_000;
/// Silence of a `w` among keys.
const W_PAUSE: Duration = Duration::from_millis(500);

/// Why a call cannot go on, by Twilio's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailCode {
    /// The document could not be had.
    Retrieval,
    /// It is no document.
    Parse,
    /// It says what is not served, or makes no sense.
    Schema,
    /// A URL is missing or wrong.
    Url,
    /// There were too many documents.
    Loop,
}

impl FailCode {
    /// Twilio's number for it.
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Self::Retrieval => 11_200,
            Self::Parse => 12_100,
            Self::Schema => 12_200,
            Self::Url => 11_100,
            Self::Loop => 11_999,
        }
    }
}

/// An answer to [`Output::Fetch`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedDocument {
    /// Where it came from in the end.
    pub url: String,
    /// Its content type, as it was said.
    pub content_type: Option<String>,
    /// Its octets.
    pub body: Vec<u8>,
}

/// How a Dial came out, in Twilio's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DialStatus {
    /// They talked.
    Completed,
    /// Busy or declined.
    Busy,
    /// Nobody answered.
    NoAnswer,
    /// It could not be placed.
    Failed,
    /// It was given up.
    Canceled,
}

impl DialStatus {
    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Busy => "busy",
            Self::NoAnswer => "no-answer",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }
}

/// How a Dial came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialOutcome {
    /// In a word.
    pub status: DialStatus,
    /// The other call's name, if there was one.
    pub sid: Option<String>,
    /// How long they talked.
    pub talked: Option<Duration>,
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The first document is to be obeyed; a call that is not answered yet can be refused.
    Begin {
        /// With what.
        entry: Entry,
        /// Whether it is answered.
        answered: bool,
    },
    /// The call was answered.
    Answered,
    /// A document came, or why none did.
    Fetched(u64, Result<FetchedDocument, String>),
    /// What was said or played has left.
    Played(u64),
    /// It could not be said or played: the document goes on.
    PlayFailed(u64),
    /// A key.
    Digit(char),
    /// They talk with whom was dialled.
    Bridged(u64),
    /// They do no longer, or never did.
    DialEnded(u64, DialOutcome),
    /// A stream of Connect is over.
    StreamEnded(u64),
    /// Somebody wants the call to do something else.
    Instruct(Entry),
    /// The time of [`Output::Timeout`] has come.
    Timeout,
}

/// Whom to dial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dialled {
    /// A telephone number, as written.
    Number(String),
    /// A SIP URI.
    Sip(String),
}

/// What is to be done; drain until [`Output::Timeout`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Ask for a document; [`Input::Fetched`] answers.
    Fetch(u64, Query),
    /// Answer the call; [`Input::Answered`] follows.
    Answer,
    /// Refuse it with this status.
    Reject(u16),
    /// Say this; [`Input::Played`] follows.
    Say(u64, Say),
    /// Play this URL so often (0: for ever); [`Input::Played`] follows.
    Play(u64, String, u32),
    /// Press these keys.
    Press(String),
    /// Stop saying, playing, or streaming at once.
    Cut,
    /// Connect both ways; [`Input::StreamEnded`] follows.
    Connect(u64, Stream),
    /// Send what is heard there as well.
    Start(Stream),
    /// Send it no longer.
    Stop(String),
    /// Call somebody and connect both; [`Input::DialEnded`] follows.
    Dial {
        /// Its ticket.
        ticket: u64,
        /// Whom.
        to: Dialled,
        /// How long they may ring.
        timeout: Duration,
        /// The number that is shown.
        caller_id: Option<String>,
    },
    /// Part them, or call them no longer; [`Input::DialEnded`] follows.
    Undial(u64),
    /// End the call.
    Hangup,
    /// The call cannot go on.
    Fail(FailCode, String),
    /// Nothing more until then.
    Timeout(Option<Instant>),
}

#[derive(Debug)]
enum State {
    /// Nothing is asked yet.
    Waiting,
    /// A document is on its way.
    Fetching(u64),
    /// The call is being answered; then the verbs.
    Answering,
    /// Something is said or played.
    Playing(u64),
    /// Silence.
    Pausing(Instant),
    /// Keys are pressed, with silence between them.
    Pressing { rest: String, until: Instant },
    /// Digits are collected.
    Gathering(Box<Gathering>),
    /// Somebody is called, or talks with the caller until `until`.
    Dialling { ticket: u64, dial: Box<Dial>, until: Option<Instant> },
    /// A socket has the call.
    Connected { ticket: u64, connect: Box<Connect> },
    /// Who was dialled is being let go, for what comes next.
    Leaving { ticket: u64, next: Box<Entry> },
    /// Nothing more.
    Over,
}

/// One call's machine.
#[derive(Debug)]
pub struct Machine {
    facts: Facts,
    state: State,
    answered: bool,
    verbs: VecDeque<Verb>,
    /// Where the document came from, if from anywhere, and how.
    base: Option<Link>,
    /// Asked once, when a document cannot be had.
    fallback: Option<Link>,
    tickets: u64,
    documents: u32,
    outputs: VecDeque<Output>,
}

impl Machine {
    /// A machine that waits for [`Input::Begin`].
    #[must_use]
    pub fn new(facts: Facts, fallback: Option<Link>) -> Self {
        Self {
            facts,
            state: State::Waiting,
            answered: false,
            verbs: VecDeque::new(),
            base: None,
            fallback,
            tickets: 0,
            documents: 0,
            outputs: VecDeque::new(),
        }
    }

    /// Takes one input; drain [`Self::poll_output`] after it.
    pub fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Begin { entry, answered } => {
                if matches!(self.state, State::Waiting) {
                    self.answered = answered;
                    self.begin(now, entry, Vec::new());
                }
            }
            Input::Answered => {
                self.answered = true;
                if matches!(self.state, State::Answering) {
                    self.go_on(now);
                }
            }
            Input::Fetched(ticket, result) => self.fetched(now, ticket, result),
            Input::Played(ticket) | Input::PlayFailed(ticket) => self.played(now, ticket),
            Input::Digit(digit) => self.digit(now, digit),
            Input::Bridged(ticket) => self.bridged(now, ticket),
            Input::DialEnded(ticket, outcome) => self.dial_ended(now, ticket, &outcome),
            Input::StreamEnded(ticket) => self.stream_ended(now, ticket),
            Input::Instruct(entry) => self.instruct(now, entry),
            Input::Timeout => self.timeout(now),
        }
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Output {
        self.outputs.pop_front().unwrap_or_else(|| Output::Timeout(self.deadline()))
    }

    /// Whether a document can take the place of the one that is being obeyed.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.answered && !matches!(self.state, State::Over)
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Pausing(until) | State::Pressing { until, .. } => Some(*until),
            State::Gathering(gathering) => gathering.until,
            State::Dialling { until, .. } => *until,
            State::Waiting
            | State::Fetching(_)
            | State::Answering
            | State::Playing(_)
            | State::Connected { .. }
            | State::Leaving { .. }
            | State::Over => None,
        }
    }

    fn ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }

    /// Goes on with another document; `more` is told to whoever is asked for it.
    fn begin(&mut self, now: Instant, entry: Entry, more: Vec<(String, String)>) {
        match entry {
            Entry::Verbs(verbs) => {
                self.base = None;
                self.obey(now, verbs);
            }
            Entry::Fetch(link) => self.fetch(link, more),
        }
    }

    /// Asks for a document at an absolute URL.
    fn fetch(&mut self, link: Link, more: Vec<(String, String)>) {
        if self.documents >= DOCUMENTS_MAX {
            let detail = format!("there were {DOCUMENTS_MAX} documents in this call");
            return self.fail(FailCode::Loop, detail);
        }
        self.documents += 1;
        let ticket = self.ticket();
        let query = Query::new(&self.facts, link.clone(), self.answered, more);
        self.base = Some(link);
        self.state = State::Fetching(ticket);
        self.outputs.push_back(Output::Fetch(ticket, query));
    }

    /// Asks where a verb says, relative to the document.
    fn follow(&mut self, url: Option<&str>, method: Method, more: Vec<(String, String)>) {
        let base = self.base.as_ref().map(|link| link.url.as_str());
        match resolve(base, url.unwrap_or_default()) {
            Some(url) => self.fetch(Link { url, method }, more),
            None => {
                let detail = "a relative URL, in a document that was not fetched from any";
                self.fail(FailCode::Url, detail.to_owned());
            }
        }
    }

    fn fetched(&mut self, now: Instant, ticket: u64, result: Result<FetchedDocument, String>) {
        if !matches!(self.state, State::Fetching(awaited) if awaited == ticket) {
            return;
        }
        let document = match result {
            Ok(document) => document,
            Err(detail) => return self.fall_back(FailCode::Retrieval, detail),
        };
        if let Some(link) = &mut self.base {
            link.url.clone_from(&document.url);
        }
        let kind = document.content_type.as_deref().unwrap_or("text/xml");
        if !is_markup(kind) {
            let kind: String = kind.chars().filter(|c| !c.is_control()).take(60).collect();
            let detail = format!("the document's content type is {kind}, not text/xml");
            return self.fall_back(FailCode::Parse, detail);
        }
        // Twilio takes an empty answer for an empty document.
        if document.body.iter().all(u8::is_ascii_whitespace) {
            return self.obey(now, Vec::new());
        }
        match parse(&document.body) {
            Ok(verbs) => self.obey(now, verbs),
            Err(error @ DocumentError::Malformed(_)) => {
                self.fall_back(FailCode::Parse, error.to_string());
            }
            Err(error @ (DocumentError::Invalid(_) | DocumentError::Unserved(_))) => {
                self.fall_back(FailCode::Schema, error.to_string());
            }
        }
    }

    /// A document cannot be had: asks for the other one, once in a call.
    fn fall_back(&mut self, code: FailCode, detail: String) {
        let Some(fallback) = self.fallback.take() else { return self.fail(code, detail) };
        let failed = self.base.as_ref().map(|link| link.url.clone()).unwrap_or_default();
        let more = vec![
            ("ErrorCode".to_owned(), code.number().to_string()),
            ("ErrorUrl".to_owned(), failed),
        ];
        self.fetch(fallback, more);
    }

    fn fail(&mut self, code: FailCode, detail: String) {
        self.state = State::Over;
        self.outputs.push_back(Output::Fail(code, detail));
    }

    fn obey(&mut self, now: Instant, verbs: Vec<Verb>) {
        self.verbs = verbs.into();
        self.go_on(now);
    }

    /// Obeys the next verb.
    fn go_on(&mut self, now: Instant) {
        if !self.answered && self.must_answer() {
            self.state = State::Answering;
            return self.outputs.push_back(Output::Answer);
        }
        match self.verbs.pop_front() {
            None | Some(Verb::Hangup) => self.hang_up(),
            Some(Verb::Say(say)) => self.say(now, say),
            Some(Verb::Play(play)) => self.play(now, play),
            Some(Verb::Pause(length)) => self.state = State::Pausing(now + length),
            Some(Verb::Gather(gather)) => {
                self.state = State::Gathering(Box::new(Gathering::new(*gather)));
                self.prompt(now);
            }
            Some(Verb::Dial(dial)) => self.dial(*dial),
            Some(Verb::Connect(connect)) => {
                let ticket = self.ticket();
                self.outputs.push_back(Output::Connect(ticket, connect.stream.clone()));
                self.state = State::Connected { ticket, connect };
            }
            Some(Verb::Start(stream)) => {
                self.outputs.push_back(Output::Start(*stream));
                self.go_on(now);
            }
            Some(Verb::Stop(name)) => {
                self.outputs.push_back(Output::Stop(name));
                self.go_on(now);
            }
            // A call that was answered cannot be refused any more.
            Some(Verb::Reject(_)) if self.answered => self.hang_up(),
            Some(Verb::Reject(code)) => {
                self.state = State::Over;
                self.outputs.push_back(Output::Reject(code));
            }
            Some(Verb::Redirect(link)) => self.follow(Some(&link.url), link.method, Vec::new()),
        }
    }

    /// Whether the next verb needs a call that is answered: all but a refusal, a redirection, and
    /// the silence before them.
    fn must_answer(&self) -> bool {
        match self.verbs.front() {
            Some(Verb::Reject(_) | Verb::Redirect(_) | Verb::Pause(_)) => false,
            Some(
                Verb::Say(_)
                | Verb::Play(_)
                | Verb::Gather(_)
                | Verb::Dial(_)
                | Verb::Connect(_)
                | Verb::Start(_)
                | Verb::Stop(_)
                | Verb::Hangup,
            )
            | None => true,
        }
    }

    fn hang_up(&mut self) {
        self.state = State::Over;
        self.outputs.push_back(Output::Hangup);
    }

    fn say(&mut self, now: Instant, say: Say) {
        if say.text.is_empty() {
            return self.go_on(now);
        }
        let ticket = self.ticket();
        self.state = State::Playing(ticket);
        self.outputs.push_back(Output::Say(ticket, say));
    }

    fn play(&mut self, now: Instant, play: Play) {
        match play {
            Play::Digits(digits) => self.press(now, digits),
            Play::File { url, times } => {
                let base = self.base.as_ref().map(|link| link.url.as_str());
                let Some(url) = resolve(base, &url) else {
                    let detail = "<Play> has a relative URL, in a document without one";
                    return self.fail(FailCode::Url, detail.to_owned());
                };
                let ticket = self.ticket();
                self.state = State::Playing(ticket);
                self.outputs.push_back(Output::Play(ticket, url, times));
            }
        }
    }

    /// Presses keys up to the next silence.
    fn press(&mut self, now: Instant, digits: String) {
        let (keys, rest) = match digits.find('w') {
            Some(at) => (digits[..at].to_owned(), digits[at + 1..].to_owned()),
            None => (digits, String::new()),
        };
        let mut until = now + W_PAUSE;
        if !keys.is_empty() {
            // Each lasts 100 ms, with 60 ms behind it.
            until += Duration::from_millis(160) * u32::try_from(keys.len()).unwrap_or(0);
            self.outputs.push_back(Output::Press(keys));
        }
        self.state = State::Pressing { rest, until };
    }

    fn dial(&mut self, dial: Dial) {
        let ticket = self.ticket();
        let to = match (&dial.number, &dial.sip) {
            (_, Some(uri)) => Dialled::Sip(uri.clone()),
            (number, None) => Dialled::Number(number.clone().unwrap_or_default()),
        };
        let (timeout, caller_id) = (dial.timeout, dial.caller_id.clone());
        self.outputs.push_back(Output::Dial { ticket, to, timeout, caller_id });
        self.state = State::Dialling { ticket, dial: Box::new(dial), until: None };
    }

    fn bridged(&mut self, now: Instant, bridged: u64) {
        if let State::Dialling { ticket, dial, until } = &mut self.state
            && *ticket == bridged
        {
            *until = dial.longest.map(|longest| now + longest);
        }
    }

    fn dial_ended(&mut self, now: Instant, ended: u64, outcome: &DialOutcome) {
        match std::mem::replace(&mut self.state, State::Waiting) {
            State::Dialling { ticket, dial, .. } if ticket == ended => {
                if dial.action.is_none() {
                    return self.go_on(now);
                }
                let status = outcome.status.as_str().to_owned();
                let mut more = vec![("DialCallStatus".to_owned(), status)];
                if let Some(sid) = &outcome.sid {
                    more.push(("DialCallSid".to_owned(), sid.clone()));
                }
                if let Some(talked) = outcome.talked {
                    let seconds = talked.as_secs().to_string();
                    more.push(("DialCallDuration".to_owned(), seconds));
                }
                self.follow(dial.action.as_deref(), dial.method, more);
            }
            State::Leaving { ticket, next } if ticket == ended => {
                self.begin(now, *next, Vec::new());
            }
            state => self.state = state,
        }
    }

    fn stream_ended(&mut self, now: Instant, ended: u64) {
        match std::mem::replace(&mut self.state, State::Waiting) {
            State::Connected { ticket, connect } if ticket == ended => match &connect.action {
                Some(action) => self.follow(Some(action), connect.method, Vec::new()),
                None => self.go_on(now),
            },
            state => self.state = state,
        }
    }

    fn played(&mut self, now: Instant, played: u64) {
        match &mut self.state {
            State::Playing(ticket) if *ticket == played => self.go_on(now),
            State::Gathering(gathering) if gathering.playing == Some(played) => {
                gathering.playing = None;
                self.prompt(now);
            }
            State::Waiting
            | State::Fetching(_)
            | State::Answering
            | State::Playing(_)
            | State::Pausing(_)
            | State::Pressing { .. }
            | State::Gathering(_)
            | State::Dialling { .. }
            | State::Connected { .. }
            | State::Leaving { .. }
            | State::Over => {}
        }
    }

    /// The next prompt of a Gather, or its time.
    fn prompt(&mut self, now: Instant) {
        loop {
            let State::Gathering(gathering) = &mut self.state else { return };
            let Some(verb) = gathering.next_prompt() else {
                gathering.wait(now);
                return;
            };
            let base = self.base.as_ref().map(|link| link.url.as_str());
            let ticket = self.tickets + 1;
            let output = match verb {
                Verb::Say(say) if say.text.is_empty() => continue,
                Verb::Say(say) => Output::Say(ticket, say),
                Verb::Play(Play::File { url, times }) => match resolve(base, &url) {
                    Some(url) => Output::Play(ticket, url, times),
                    None => continue,
                },
                Verb::Play(Play::Digits(digits)) => {
                    self.outputs.push_back(Output::Press(digits.replace('w', "")));
                    continue;
                }
                Verb::Pause(length) => {
                    gathering.until = Some(now + length);
                    gathering.pausing = true;
                    return;
                }
                // The parser lets no other verb in.
                Verb::Gather(_)
                | Verb::Dial(_)
                | Verb::Connect(_)
                | Verb::Start(_)
                | Verb::Stop(_)
                | Verb::Reject(_)
                | Verb::Hangup
                | Verb::Redirect(_) => continue,
            };
            gathering.playing = Some(ticket);
            gathering.until = None;
            self.tickets = ticket;
            return self.outputs.push_back(output);
        }
    }

    fn digit(&mut self, now: Instant, digit: char) {
        let State::Gathering(gathering) = &mut self.state else { return };
        let was_playing = gathering.playing.is_some();
        let pressed = gathering.press(now, digit);
        if was_playing {
            self.outputs.push_back(Output::Cut);
        }
        match pressed {
            Pressed::More => {}
            Pressed::Done { finished_on } => self.gathered(now, finished_on),
        }
    }

    /// The input is over: tells whoever wants to know, or goes on.
    fn gathered(&mut self, now: Instant, finished_on: Option<char>) {
        let State::Gathering(gathering) = std::mem::replace(&mut self.state, State::Waiting) else {
            return;
        };
        if gathering.digits.is_empty() && !gathering.spec.on_empty {
            return self.go_on(now);
        }
        let mut more = vec![("Digits".to_owned(), gathering.digits)];
        if let Some(key) = finished_on {
            more.push(("FinishedOnKey".to_owned(), key.to_string()));
        }
        more.push(("msg".to_owned(), "Gather End".to_owned()));
        self.follow(gathering.spec.action.as_deref(), gathering.spec.method, more);
    }

    fn instruct(&mut self, now: Instant, entry: Entry) {
        match &mut self.state {
            State::Over => {}
            State::Dialling { ticket, .. } => {
                let ticket = *ticket;
                self.outputs.push_back(Output::Undial(ticket));
                self.state = State::Leaving { ticket, next: Box::new(entry) };
            }
            State::Leaving { next, .. } => **next = entry,
            State::Playing(_) | State::Gathering(_) | State::Connected { .. } => {
                self.outputs.push_back(Output::Cut);
                self.begin(now, entry, Vec::new());
            }
            State::Waiting
            | State::Fetching(_)
            | State::Answering
            | State::Pausing(_)
            | State::Pressing { .. } => self.begin(now, entry, Vec::new()),
        }
    }

    fn timeout(&mut self, now: Instant) {
        let due = self.deadline().is_some_and(|until| until <= now);
        if !due {
            return;
        }
        match std::mem::replace(&mut self.state, State::Waiting) {
            State::Pausing(_) => self.go_on(now),
            State::Pressing { rest, .. } if rest.is_empty() => self.go_on(now),
            State::Pressing { rest, .. } => self.press(now, rest),
            State::Gathering(mut gathering) => {
                let paused = std::mem::take(&mut gathering.pausing);
                gathering.until = None;
                self.state = State::Gathering(gathering);
                if paused { self.prompt(now) } else { self.gathered(now, None) }
            }
            State::Dialling { ticket, dial, .. } => {
                self.outputs.push_back(Output::Undial(ticket));
                self.state = State::Dialling { ticket, dial, until: None };
            }
            // These wait for no time.
            state @ (State::Waiting
            | State::Fetching(_)
            | State::Answering
            | State::Playing(_)
            | State::Connected { .. }
            | State::Leaving { .. }
            | State::Over) => self.state = state,
        }
    }
}

/// Whether a content type is one of documents.
fn is_markup(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    matches!(kind.as_str(), "" | "text/xml" | "application/xml" | "text/html")
}
