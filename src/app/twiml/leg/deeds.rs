//! What the machine wants done: said, played, fetched, dialled, and who has the media leg for it.

use super::{Dialling, Done, Leg};
use crate::app::prompt::Source;
use crate::app::twiml::child::{Child, Purpose};
use crate::app::twiml::ringback::ringback;
use crate::app::{Control, Report};
use crate::call::control::{DtmfMethod, DtmfWish, OnPeerHangup, TransferWish, Wish};
use crate::call::record::TransferMode;
use crate::speech::tts::SpeakRequest;
use crate::twiml::document::{Say, Stream};
use crate::twiml::{DialStatus, Dialled, FailCode, Input, Output, Query};
use std::time::Duration;

/// Most keys of one wish.
const KEYS_MAX: usize = 128;

impl Leg {
    /// Does what the machine wants, until it wants nothing.
    pub(super) async fn obey(&mut self) {
        if self.child.purpose == Purpose::Ring && self.dialling.is_none() {
            self.seat(self.idle()).await;
        }
        loop {
            match self.machine.poll_output() {
                Output::Fetch(ticket, query) => self.fetch(ticket, query),
                Output::Answer => {
                    self.wish(Wish::Answer);
                }
                Output::Reject(code) => {
                    self.wish(Wish::Reject { code, reason: String::new() });
                }
                Output::Say(ticket, say) => self.say(ticket, &say).await,
                Output::Play(ticket, url, times) => self.load(ticket, url, times),
                Output::Press(keys) => self.press(keys),
                Output::Cut => self.cut().await,
                Output::Connect(ticket, stream) => self.connect(ticket, &stream).await,
                Output::Start(stream) => self.fork(&stream),
                Output::Stop(name) => self.unfork(&name),
                Output::Dial { ticket, to, timeout, caller_id } => {
                    self.dial(ticket, &to, timeout, caller_id).await;
                }
                Output::Undial(_) => {
                    self.wish(Wish::Unbridge);
                }
                Output::Hangup => {
                    let reason = Some("the TwiML document is over".to_owned());
                    self.report(Report::HangupRequested { reason });
                }
                Output::Fail(code, detail) => self.fail(code, &detail),
                Output::Timeout(at) => {
                    self.deadline = at;
                    return;
                }
            }
        }
    }

    fn fail(&self, code: FailCode, detail: &str) {
        let detail = format!("TwiML error {}: {detail}", code.number());
        self.report(Report::Failed { detail });
    }

    fn fetch(&mut self, ticket: u64, query: Query) {
        let web = self.spec.parts.web.clone();
        let token = self.spec.request.account.token.clone();
        self.work.spawn(async move {
            let fetched = web.document(token.expose(), &query).await;
            Done::Document(ticket, fetched.map_err(|error| error.to_string()))
        });
    }

    /// Fetches and decodes a file; it is played when it is there.
    fn load(&mut self, ticket: u64, url: String, times: u32) {
        let parts = self.spec.parts.clone();
        let token = self.spec.request.account.token.clone();
        let task = self.work.spawn(async move {
            let decoded = async {
                let file = parts.web.file(token.expose(), &url).await;
                let file = file.map_err(|error| error.to_string())?;
                let decoded = tokio::task::spawn_blocking(move || (parts.decode)(file)).await;
                decoded.map_err(|_| "the file could not be decoded".to_owned())?
            };
            Done::File(ticket, decoded.await)
        });
        self.loading = Some((ticket, times, task));
    }

    async fn say(&mut self, ticket: u64, say: &Say) {
        let parts = &self.spec.parts;
        let voice = (parts.voice)(say.voice.as_deref(), say.language.as_deref());
        let text = if say.ssml { format!("<speak>{}</speak>", say.text) } else { say.text.clone() };
        let request = SpeakRequest { ssml: say.ssml, ..SpeakRequest::new(&voice, &text) };
        match parts.tts.speak(request) {
            Ok(speech) => self.play(ticket, Source::Speech(speech), say.times).await,
            Err(error) => {
                self.verb_failed("a text of a document cannot be spoken", &error.to_string());
                self.feed(Input::PlayFailed(ticket));
            }
        }
    }

    pub(super) async fn play(&mut self, ticket: u64, source: Source, times: u32) {
        let (rate, hearing) = (self.spec.rate, self.spec.parts.hearing);
        let purpose = Purpose::Prompt(ticket);
        self.seat(Child::prompt(purpose, source, times, rate, hearing)).await;
    }

    /// Presses keys in the way of the trunk.
    fn press(&mut self, keys: String) {
        let mut digits = keys;
        digits.truncate(KEYS_MAX);
        let method = DtmfMethod::Auto;
        self.wish(Wish::Dtmf(DtmfWish { digits, method, duration_ms: None, gap_ms: None }));
    }

    async fn cut(&mut self) {
        if let Some((_, _, task)) = self.loading.take() {
            task.abort();
        }
        if self.child.purpose != Purpose::Idle {
            self.seat(self.idle()).await;
        }
    }

    async fn connect(&mut self, ticket: u64, stream: &Stream) {
        match (self.spec.parts.open_stream)(stream) {
            Ok(leg) => {
                self.seat(Child::stream(ticket, leg)).await;
                if let Some((sip_call_id, srtp)) = self.signalled.clone() {
                    self.tell_child(Control::Signalled { sip_call_id, srtp });
                }
                // It was not there to hear it; a client is dialled at the answer.
                self.tell_child(Control::CallEvent { event: "answered", detail: None });
            }
            Err(detail) => {
                self.verb_failed("a stream of a document cannot be opened", &detail);
                self.feed(Input::StreamEnded(ticket));
            }
        }
    }

    /// A stream that only listens: there is no second ear at the media leg in this version.
    fn fork(&self, stream: &Stream) {
        let detail = format!("<Start><Stream url={:?}> is not served", stream.url);
        self.verb_failed("a stream of a document cannot be opened", &detail);
    }

    fn unfork(&self, name: &str) {
        self.verb_failed("a stream of a document cannot be stopped", name);
    }

    async fn dial(&mut self, ticket: u64, to: &Dialled, timeout: Duration, from: Option<String>) {
        let to = match to {
            Dialled::Number(number) => {
                let separator = |c: &char| !matches!(c, ' ' | '-' | '.' | '(' | ')');
                number.chars().filter(separator).collect()
            }
            Dialled::Sip(uri) => uri.clone(),
        };
        let is_uri = !to.starts_with(|c: char| c == '+' || c.is_ascii_digit());
        self.dialling = Some(Dialling { ticket, wish: self.wishes + 1, sid: None, since: None });
        if is_uri && !self.spec.request.account.sip_uris {
            self.verb_failed("a dial of a document is refused", "the key may call no SIP URIs");
            return self.dial_ended(DialStatus::Failed);
        }
        self.wish(Wish::Transfer(TransferWish {
            to,
            from,
            mode: TransferMode::Bridge,
            replaces: None,
            headers: Vec::new(),
            timeout,
            on_peer_hangup: OnPeerHangup::Continue,
        }));
        let (rate, hearing) = (self.spec.rate, self.spec.parts.hearing);
        let tone = Source::Samples(ringback(rate));
        self.seat(Child::prompt(Purpose::Ring, tone, 0, rate, hearing)).await;
    }

    pub(super) fn idle(&self) -> Child {
        Child::idle(self.spec.rate, self.spec.parts.hearing)
    }

    /// Gives the media leg to another child.
    async fn seat(&mut self, next: Child) {
        let leg = if self.seated { self.child.give_back().await } else { None };
        if self.seated && leg.is_none() {
            self.seated = false;
            self.lost("the media leg was not given back");
        }
        self.replace_child(next);
        if let Some(leg) = leg {
            self.tell_child(Control::Leg(leg));
        }
    }

    /// Another child, for a leg that is not there.
    pub(super) fn replace_child(&mut self, next: Child) {
        std::mem::replace(&mut self.child, next).dismiss();
        if self.started {
            self.tell_child(Control::Start);
        }
    }
}
