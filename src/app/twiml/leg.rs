//! The task: between the call, the machine, and the child that has the media leg.

mod deeds;

use super::TwimlSpec;
use super::child::{Child, Purpose};
use crate::app::prompt::Source;
use crate::app::stream::wire::Told;
use crate::app::{Control, Report};
use crate::call::control::{Wish, WishError};
use crate::twiml::document::Play;
use crate::twiml::{DialOutcome, DialStatus, Entry, FetchedDocument, Input, Machine, Verb, sid};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

/// Numbers of our own wishes are above those of a stream's.
const OWN: u64 = 1 << 63;

/// Work for other people's servers that is done.
enum Done {
    Document(u64, Result<FetchedDocument, String>),
    File(u64, Result<Arc<[i16]>, String>),
}

/// Somebody is being called, or talks.
struct Dialling {
    ticket: u64,
    /// Number of the wish.
    wish: u64,
    sid: Option<String>,
    since: Option<Instant>,
}

struct Leg {
    spec: TwimlSpec,
    machine: Machine,
    control: mpsc::Receiver<Control>,
    reports: mpsc::Sender<Report>,
    child: Child,
    /// The child has the media leg: it is there, and not lent.
    seated: bool,
    /// Sound may be played.
    started: bool,
    begun: bool,
    work: JoinSet<Done>,
    /// The file that is fetched for the verb at hand: its ticket, how often it is played.
    loading: Option<(u64, u32, AbortHandle)>,
    dialling: Option<Dialling>,
    wishes: u64,
    deadline: Option<Instant>,
    over: bool,
    /// What [`Control::Signalled`] said last, for streams that open later.
    signalled: Option<(Option<String>, Option<bool>)>,
}

/// Runs the leg of one call to its end.
pub(super) async fn run(
    spec: TwimlSpec,
    control: mpsc::Receiver<Control>,
    reports: mpsc::Sender<Report>,
) {
    let machine = Machine::new(spec.facts.clone(), spec.request.fallback.clone());
    let child = Child::idle(spec.rate, spec.parts.hearing);
    let leg = Leg {
        spec,
        machine,
        control,
        reports,
        child,
        seated: false,
        started: false,
        begun: false,
        work: JoinSet::new(),
        loading: None,
        dialling: None,
        wishes: OWN,
        deadline: None,
        over: false,
        signalled: None,
    };
    leg.run().await;
}

impl Leg {
    async fn run(mut self) {
        loop {
            tokio::select! {
                biased;
                control = self.control.recv() => match control {
                    Some(Control::Stop { reason, sip_code, duration_ms }) => {
                        self.work.abort_all();
                        return self.child.stop(Control::Stop { reason, sip_code, duration_ms }).await;
                    }
                    Some(control) => self.on_control(control),
                    None => return self.child.dismiss(),
                },
                report = self.child.report(), if !self.over => self.on_report(report),
                Some(done) = self.work.join_next() => self.on_done(done).await,
                () = until(self.deadline) => self.feed(Input::Timeout),
            }
            self.obey().await;
        }
    }

    fn feed(&mut self, input: Input) {
        self.machine.handle(now(), input);
    }

    /// Tells the call something. Its queue is as long as that of any leg; a call that does not
    /// listen is ending.
    fn report(&self, report: Report) {
        if self.reports.try_send(report).is_err() {
            tracing::debug!("the call does not listen to its TwiML");
        }
    }

    fn wish(&mut self, wish: Wish) -> u64 {
        self.wishes += 1;
        let ticket = self.wishes;
        self.report(Report::Wish { ticket, wish: Box::new(wish) });
        ticket
    }

    fn begin(&mut self, answered: bool) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        if let Some(keys) = self.spec.request.press.clone().filter(|_| answered) {
            let press = Verb::Play(Play::Digits(keys));
            let entry = match self.spec.request.entry.clone() {
                Entry::Verbs(verbs) => std::iter::once(press).chain(verbs).collect(),
                Entry::Fetch(link) => vec![press, Verb::Redirect(link)],
            };
            return self.feed(Input::Begin { entry: Entry::Verbs(entry), answered });
        }
        let entry = self.spec.request.entry.clone();
        self.feed(Input::Begin { entry, answered });
    }

    fn on_control(&mut self, control: Control) {
        match control {
            Control::Leg(leg) => {
                if self.child.purpose == Purpose::Ring {
                    // It comes back from whom was called: nobody rings any more.
                    self.replace_child(self.idle());
                }
                self.seated = true;
                self.tell_child(Control::Leg(leg));
            }
            Control::Yield(reply) => {
                self.seated = false;
                self.tell_child(Control::Yield(reply));
            }
            Control::Start => {
                self.started = true;
                self.tell_child(Control::Start);
            }
            Control::Granted { ticket, result } if ticket > OWN => self.granted(ticket, &result),
            Control::Granted { ticket, result } => {
                self.tell_child(Control::Granted { ticket, result });
            }
            Control::CallEvent { event, detail } => self.on_event(event, detail),
            Control::Dtmf { digit, duration_ms, method } => {
                self.feed(Input::Digit(char::from(digit)));
                self.tell_child(Control::Dtmf { digit, duration_ms, method });
            }
            Control::Tell(told) => {
                if let Told::Transfer { state: "failed", code, .. } = &*told {
                    self.dial_failed(*code);
                }
                if self.child.is_stream() {
                    self.tell_child(Control::Tell(told));
                }
            }
            control @ (Control::SendDtmf { .. } | Control::Leaving) => self.tell_child(control),
            Control::Signalled { sip_call_id, srtp } => {
                self.signalled = Some((sip_call_id.clone(), srtp));
                self.tell_child(Control::Signalled { sip_call_id, srtp });
            }
            Control::Instruct(entry) => self.feed(Input::Instruct(*entry)),
            Control::TransferOver(_) | Control::Record { .. } | Control::Stop { .. } => {}
        }
    }

    fn tell_child(&mut self, control: Control) {
        if !self.child.tell(control) {
            self.lost("the application leg of a verb does not listen");
        }
    }

    fn lost(&mut self, detail: &str) {
        if !std::mem::replace(&mut self.over, true) {
            self.report(Report::Failed { detail: detail.to_owned() });
        }
    }

    fn on_event(&mut self, event: &'static str, detail: Option<String>) {
        match event {
            "offered" => {
                self.wish(Wish::Ring);
                self.begin(false);
            }
            "answered" => {
                self.begin(true);
                self.feed(Input::Answered);
            }
            "bridge" => {
                let other = detail.as_deref().and_then(sid::call_of);
                if let Some(dialling) = &mut self.dialling {
                    dialling.sid = other.map(|call| sid::call_sid(&call));
                    dialling.since = Some(now());
                    let ticket = dialling.ticket;
                    self.feed(Input::Bridged(ticket));
                }
            }
            "unbridge" => self.dial_ended(DialStatus::Completed),
            _ => {}
        }
        if self.child.is_stream() {
            self.tell_child(Control::CallEvent { event, detail });
        }
    }

    fn granted(&mut self, ticket: u64, result: &Result<(), WishError>) {
        let Err(error) = result else { return };
        let dialled = self.dialling.as_ref().is_some_and(|dial| dial.wish == ticket);
        tracing::info!(
            call_sid = %self.spec.facts.call_sid, dialled, %error,
            "a verb of a TwiML document was refused"
        );
        if dialled {
            self.dial_ended(DialStatus::Failed);
        }
    }

    /// Whoever was called does not come.
    fn dial_failed(&mut self, code: Option<u16>) {
        self.dial_ended(match code {
            Some(486 | 600 | 603) => DialStatus::Busy,
            Some(408 | 480) => DialStatus::NoAnswer,
            Some(487) => DialStatus::Canceled,
            Some(_) | None => DialStatus::Failed,
        });
    }

    fn dial_ended(&mut self, status: DialStatus) {
        let Some(Dialling { ticket, sid, since, .. }) = self.dialling.take() else { return };
        let talked = since.map(|since| now().saturating_duration_since(since));
        self.feed(Input::DialEnded(ticket, DialOutcome { status, sid, talked }));
    }

    fn on_report(&mut self, report: Option<Report>) {
        let purpose = self.child.purpose;
        match (report, purpose) {
            (Some(Report::PlaybackDone { .. }), Purpose::Prompt(ticket)) => {
                self.child.purpose = Purpose::Idle;
                self.feed(Input::Played(ticket));
            }
            (Some(Report::PlaybackDone { .. }), Purpose::Idle | Purpose::Ring) => {}
            (Some(Report::Failed { detail }), Purpose::Prompt(ticket)) if self.seated => {
                self.verb_failed("what a document says cannot be played", &detail);
                self.child.purpose = Purpose::Idle;
                self.feed(Input::PlayFailed(ticket));
            }
            (Some(Report::StreamLost { detail }), Purpose::Stream(ticket)) => {
                tracing::debug!(detail, "a stream of a document is over");
                self.feed(Input::StreamEnded(ticket));
            }
            (Some(Report::Failed { detail }), Purpose::Stream(ticket)) => {
                self.verb_failed("a stream of a document failed", &detail);
                self.feed(Input::StreamEnded(ticket));
            }
            // The vendor's server ends a stream by closing it, and is not asked again: the document
            // goes on.
            (Some(Report::Detached), Purpose::Stream(ticket)) => {
                self.report(Report::Detached);
                self.feed(Input::StreamEnded(ticket));
            }
            (
                Some(Report::HangupRequested { .. } | Report::PlaybackDone { .. }),
                Purpose::Stream(ticket),
            ) => self.feed(Input::StreamEnded(ticket)),
            (Some(report), _) => {
                if let Report::Dtmf { digit, .. } = &report {
                    self.feed(Input::Digit(char::from(*digit)));
                }
                self.report(report);
            }
            (None, _) => self.lost("the application leg of a verb is gone"),
        }
    }

    fn verb_failed(&self, what: &str, detail: &str) {
        tracing::warn!(call_sid = %self.spec.facts.call_sid, detail, "{what}");
    }

    async fn on_done(&mut self, done: Result<Done, tokio::task::JoinError>) {
        match done {
            Ok(Done::Document(ticket, result)) => self.feed(Input::Fetched(ticket, result)),
            Ok(Done::File(ticket, loaded)) => {
                let awaited = self.loading.take_if(|(awaited, ..)| *awaited == ticket);
                let Some((_, times, _)) = awaited else { return };
                match loaded {
                    Ok(samples) => self.play(ticket, Source::Samples(samples), times).await,
                    Err(detail) => {
                        self.verb_failed("a file of a document cannot be played", &detail);
                        self.feed(Input::PlayFailed(ticket));
                    }
                }
            }
            // Given up for something else.
            Err(_) => {}
        }
    }
}

/// The present, which stands still where a test's clock does.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
