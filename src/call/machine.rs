//! The call machine: one input in, drain the outputs.
//!
//! Owns the state of one call and its [`CallRecord`]. The driver at the other side turns outputs
//! into SIP commands, media commands and words to the application leg. What may be asked of a call
//! in its middle (hold, transfer, bridge) stands in `middle`.

mod middle;

pub use middle::{Joint, Reoffered};

use super::cause;
use super::record::{
    CallRecord, CallStatus, Direction, EndReason, HangupParty, MuteState, TransferView,
};
use crate::audio::progress::{self, Signal, Tone};
use crate::id::CallId;
use crate::sip::interface::{EndCause, Ending, TransferState};
use middle::Middle;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long a session may take to end after a hang-up: 64*T1 of BYE and of a crossing INVITE.
const ENDING_MAX: Duration = Duration::from_secs(70);
/// The same while the node stops, and how long an answered call then waits for its ACK: two
/// retransmissions. A peer that says nothing for so long must not keep the node.
const DRAINING_MAX: Duration = Duration::from_secs(2);
/// How much longer than the party may ring an incoming call waits for word of it.
const PARTY_GRACE: Duration = Duration::from_secs(5);

/// The two clocks of a step: durations come from the first, labels from the second.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Monotonic.
    pub mono: Instant,
    /// Milliseconds since the Unix epoch.
    pub unix_ms: i64,
}

/// What a call is to do, decided before it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// Dial, and play when answered.
    Outbound {
        /// How long it may ring.
        ring: Duration,
        /// How long it may last after the answer.
        longest: Duration,
    },
    /// Answer an incoming call.
    Inbound {
        /// Send 180 for this long first.
        ring: Duration,
        /// Send 183 and play during the ringing.
        early_media: bool,
        /// Hang up this long after the answer; zero: never.
        hangup_after: Duration,
        /// How long it may last after the answer.
        longest: Duration,
    },
    /// Let the stream's client or the API decide on an incoming call: ring, early media, answer,
    /// refuse.
    Ask {
        /// How long they may take.
        timeout: Duration,
        /// The final status when they do not decide in time.
        otherwise: u16,
        /// How long it may last after the answer.
        longest: Duration,
    },
    /// Connect an incoming call with somebody who is called for it, and answer it when they do.
    Dial {
        /// Whose ringing the caller hears from us, with 183, while it rings there; `None`: their own
        /// network's, with 180.
        ringback: Option<progress::Plan>,
        /// How long they may ring.
        timeout: Duration,
        /// The final status when they do not answer.
        otherwise: u16,
        /// How long it may last after the answer.
        longest: Duration,
    },
    /// Let an incoming call ring and never answer it.
    RingOnly {
        /// Refuse with 480 after this long.
        ring: Duration,
    },
    /// Refuse an incoming call.
    Reject {
        /// The final status.
        code: u16,
    },
}

/// What happens to a call.
#[derive(Debug, Clone)]
pub enum Input {
    /// Its turn has come (outbound), or it may be handled (inbound).
    Begin,
    /// It may not be dialled at all.
    Refused(EndReason),
    /// It was redirected to where it may not go.
    Astray(EndReason),
    /// The INVITE is out.
    Dialing {
        /// Call-ID.
        sip_call_id: String,
    },
    /// A provisional answer.
    Provisional {
        /// 101 to 199.
        code: u16,
        /// Whether media was agreed on with it.
        early_media: bool,
    },
    /// The far end answered and media is agreed on (inbound: our 200 was acknowledged).
    Answered,
    /// Media could not be agreed on, or has no port.
    MediaFailed,
    /// The session is over.
    SessionEnded(Ending),
    /// All that was to be played has left.
    PlaybackDone,
    /// The stream's client asks to hang up.
    HangupRequested,
    /// The stream's client never came, or stayed away.
    StreamLost,
    /// The application leg is done with the call, and as what it ends.
    ContentEnded(EndReason),
    /// The application leg cannot do its work.
    ContentFailed,
    /// Neither RTP nor RTCP for too long.
    Quiet,
    /// A stream client attached.
    StreamAttached {
        /// `cawme` or `native`.
        protocol: &'static str,
        /// Rate of the audio sent to it.
        rate: Option<u32>,
    },
    /// The stream client went away.
    StreamDetached,
    /// What became of our offer to hold or to resume.
    Reoffered(Reoffered),
    /// Whether the other side holds us, as its last description says.
    PeerHolds(bool),
    /// How a transfer goes, or the call to whom an incoming one is to be connected with.
    Transfer(TransferState),
    /// It is joined with another call.
    Bridged(CallId),
    /// It is parted from the other call, and how that came.
    Unbridged(Joint),
    /// The call that was made for this one is not wanted any more.
    Unwanted,
    /// The API's user ends it.
    Terminate,
    /// The node is stopping: whoever talks may go on, but nobody is waited for.
    Draining,
    /// The node is stopping and ends it.
    Shutdown,
    /// The deadline passed.
    Timeout,
}

/// What a call wants done; drain until [`Output::Timeout`].
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Open the media leg and send the INVITE.
    Dial,
    /// Call whom an incoming call is to be connected with; [`Input::Transfer`] tells how it goes.
    CallParty,
    /// Send 180.
    Ring,
    /// Send 183 with a description and let media flow.
    Progress,
    /// Send 200 with a description.
    Answer,
    /// Refuse with this status and reason phrase (empty: the standard one).
    Reject(u16, String),
    /// End the session, whatever state it is in, and why.
    Hangup(EndReason),
    /// Offer that we listen no more (`true`), or again.
    Reoffer(bool),
    /// Replace this sound by silence, and no other.
    Mute(MuteState),
    /// Have this tone of ours sound, or none.
    Tone(Option<Tone>),
    /// A transfer is given up: nobody waits for it any more.
    DropTransfer,
    /// The application leg may play.
    Play,
    /// Tell the application leg of a change (`event` and detail of `call_event`).
    Tell(&'static str, Option<String>),
    /// Tell the application leg how a transfer goes.
    TellTransfer(TransferView),
    /// The record changed: show and store it.
    Changed,
    /// The call is over: stop the application leg, close media, store the record, forget.
    Finished,
    /// Nothing more until then, and why.
    Timeout(Option<Instant>, &'static str),
}

#[derive(Debug, Clone, PartialEq)]
enum State {
    /// Waiting for its turn.
    Waiting,
    /// INVITE out, or to be out.
    Dialing { until: Instant },
    /// An incoming call before its answer.
    Offered { until: Option<Instant>, then: AfterRing },
    /// 200 sent, ACK awaited; the SIP session bounds that, but while the node stops we do.
    Accepting { until: Option<Instant> },
    /// Both sides talk.
    Answered { since: Instant, until: Instant, then: EndReason },
    /// Hang-up is on its way.
    Ending { since: Option<Instant>, until: Instant, why: (EndReason, HangupParty) },
    /// Nothing more happens.
    Ended,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AfterRing {
    Answer,
    Reject(u16),
}

/// One call.
#[derive(Debug)]
pub struct Call {
    record: CallRecord,
    plan: Plan,
    state: State,
    playing: bool,
    /// The node is stopping.
    draining: bool,
    middle: Middle,
    outputs: VecDeque<Output>,
}

impl Call {
    /// Makes a call that waits for [`Input::Begin`].
    #[must_use]
    pub fn new(record: CallRecord, plan: Plan) -> Self {
        let state = State::Waiting;
        let mut outputs = VecDeque::with_capacity(8);
        outputs.push_back(Output::Tell("queued", None));
        outputs.push_back(Output::Changed);
        let (playing, draining) = (false, false);
        Self { record, plan, state, playing, draining, middle: Middle::default(), outputs }
    }

    /// What the call looks like from outside.
    #[must_use]
    pub fn record(&self) -> &CallRecord {
        &self.record
    }

    /// The record, for what the driver alone knows (quality, stream, place in the queue).
    pub fn record_mut(&mut self) -> &mut CallRecord {
        &mut self.record
    }

    /// Whether it is over for good.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.state == State::Ended
    }

    /// Takes one input; drain [`Self::poll_output`] after it.
    pub fn handle(&mut self, now: Now, input: Input) {
        if self.is_over() {
            return;
        }
        match input {
            Input::Begin => self.begin(now),
            Input::Refused(reason) => self.finish(now, None, reason, HangupParty::Gateway),
            Input::Dialing { sip_call_id } => {
                self.record.sip_call_id = Some(sip_call_id);
                self.outputs.push_back(Output::Changed);
            }
            Input::Provisional { code, early_media } => self.provisional(now, code, early_media),
            Input::Answered => self.answered(now),
            Input::MediaFailed => self.media_failed(now),
            Input::SessionEnded(ending) => self.session_ended(now, &ending),
            Input::Astray(reason) => self.end(now, reason, HangupParty::Gateway),
            Input::PlaybackDone => self.content_over(now, EndReason::Completed),
            Input::HangupRequested => {
                // A bot that says goodbye ends its call well; DELETE is what breaks one off.
                let answered = self.record.answered_at.is_some();
                let reason = if answered { EndReason::Completed } else { EndReason::Canceled };
                self.end(now, reason, HangupParty::Api);
            }
            Input::StreamLost => self.content_over(now, EndReason::StreamLost),
            Input::ContentEnded(reason) => self.content_over(now, reason),
            Input::ContentFailed => self.content_over(now, EndReason::Error),
            Input::Quiet => self.end(now, EndReason::MediaTimeout, HangupParty::Gateway),
            Input::StreamAttached { protocol, rate } => {
                let stream = self.record.stream.get_or_insert_default();
                (stream.connected, stream.rate) = (true, rate);
                stream.protocol = Some(protocol.to_owned());
                self.outputs.push_back(Output::Changed);
            }
            Input::StreamDetached => {
                self.record.stream.get_or_insert_default().connected = false;
                self.outputs.push_back(Output::Changed);
            }
            Input::Transfer(state) if self.waits_for_party() => self.party(now, &state),
            Input::Reoffered(_)
            | Input::PeerHolds(_)
            | Input::Transfer(_)
            | Input::Bridged(_)
            | Input::Unbridged(_) => self.in_the_middle(now, input),
            Input::Unwanted => {
                let answered = self.record.answered_at.is_some();
                let reason = if answered { EndReason::Completed } else { EndReason::Canceled };
                self.end(now, reason, HangupParty::Gateway);
            }
            Input::Terminate => self.end(now, EndReason::TerminatedByApi, HangupParty::Api),
            Input::Draining => self.drain(now),
            Input::Shutdown => {
                self.drain(now);
                self.end(now, EndReason::TerminatedByApi, HangupParty::Gateway);
            }
            Input::Timeout => self.timeout(now),
        }
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Output {
        self.outputs.pop_front().unwrap_or_else(|| {
            let (until, why) = self.deadline();
            Output::Timeout(until, why)
        })
    }

    fn deadline(&self) -> (Option<Instant>, &'static str) {
        match &self.state {
            State::Waiting => (None, "waiting for its turn"),
            State::Dialing { until } => (Some(*until), "ring timeout"),
            State::Offered { until, .. } => (*until, "ringing"),
            State::Accepting { until } => (*until, "ACK"),
            State::Answered { until, .. } => match self.middle.deadline() {
                Some(at) if at < *until => (Some(at), "transfer"),
                Some(_) | None => (Some(*until), "longest duration"),
            },
            State::Ending { until, .. } => (Some(*until), "hang-up"),
            State::Ended => (None, "ended"),
        }
    }

    fn begin(&mut self, now: Now) {
        if self.state != State::Waiting {
            return;
        }
        self.record.queue_position = None;
        match self.plan {
            Plan::Outbound { ring, .. } => {
                self.state = State::Dialing { until: now.mono + ring };
                self.record.status = CallStatus::Ringing;
                self.push_all([Output::Dial, Output::Tell("dialing", None), Output::Changed]);
            }
            Plan::Inbound { ring, early_media, .. } => self.offer(now, ring, early_media),
            Plan::Ask { timeout, otherwise, .. } => {
                let (until, then) = (Some(now.mono + timeout), AfterRing::Reject(otherwise));
                self.state = State::Offered { until, then };
                self.record.status = CallStatus::Ringing;
                self.push_all([Output::Tell("offered", None), Output::Changed]);
            }
            Plan::Dial { timeout, otherwise, .. } => {
                let (until, then) =
                    (now.mono + timeout + PARTY_GRACE, AfterRing::Reject(otherwise));
                self.state = State::Offered { until: Some(until), then };
                self.record.status = CallStatus::Ringing;
                self.push_all([Output::CallParty, Output::Tell("offered", None), Output::Changed]);
            }
            Plan::RingOnly { ring } => {
                self.state =
                    State::Offered { until: Some(now.mono + ring), then: AfterRing::Reject(480) };
                self.ringing(now);
                self.outputs.push_back(Output::Ring);
            }
            Plan::Reject { code } => {
                self.reject(now, code, String::new(), EndReason::Rejected, HangupParty::Gateway);
            }
        }
    }

    fn offer(&mut self, now: Now, ring: Duration, early_media: bool) {
        if early_media {
            self.progress();
        } else if !ring.is_zero() {
            self.outputs.push_back(Output::Ring);
        }
        if ring.is_zero() {
            self.accept(now);
        } else {
            self.ringing(now);
            self.state = State::Offered { until: Some(now.mono + ring), then: AfterRing::Answer };
        }
    }

    fn waits_for_party(&self) -> bool {
        let offered = matches!(self.state, State::Offered { .. });
        offered && matches!(self.plan, Plan::Dial { .. })
    }

    /// How the call goes to whom this one is to be connected with: the caller hears it ring, and
    /// is answered when they answer.
    fn party(&mut self, now: Now, state: &TransferState) {
        let Plan::Dial { otherwise, ringback, .. } = self.plan else { return };
        match state {
            TransferState::Progress { code } if *code >= 180 => {
                if self.record.ringing_at.is_none() {
                    self.ringing(now);
                    self.ring_back(ringback);
                }
            }
            TransferState::Accepted | TransferState::Progress { .. } => {}
            TransferState::Succeeded => self.accept(now),
            TransferState::Failed { code, reason } => {
                self.record.end_detail = Some(reason.clone()).filter(|reason| !reason.is_empty());
                let why = cause::reason_of_status(*code);
                self.reject(now, otherwise, String::new(), why, HangupParty::Gateway);
            }
        }
    }

    /// The caller is to hear that it rings.
    fn ring_back(&mut self, ringback: Option<progress::Plan>) {
        let Some(plan) = ringback else { return self.outputs.push_back(Output::Ring) };
        self.progress();
        self.sound(Some(Tone { signal: Signal::Ringback, plan }));
    }

    fn progress(&mut self) {
        self.push_all([Output::Progress, Output::Tell("early_media", None)]);
        self.play();
    }

    fn reject(
        &mut self,
        now: Now,
        code: u16,
        phrase: String,
        reason: EndReason,
        party: HangupParty,
    ) {
        self.record.sip_code = Some(code);
        self.outputs.push_back(Output::Reject(code, phrase));
        self.finish(now, None, reason, party);
    }

    fn accept(&mut self, now: Now) {
        let until = self.draining.then(|| now.mono + DRAINING_MAX);
        self.state = State::Accepting { until };
        self.sound(None);
        self.push_all([Output::Answer, Output::Changed]);
    }

    fn ringing(&mut self, now: Now) {
        self.record.status = CallStatus::Ringing;
        if self.record.ringing_at.is_none() {
            self.record.ringing_at = Some(now.unix_ms);
            self.outputs.push_back(Output::Tell("ringing", None));
        }
        self.outputs.push_back(Output::Changed);
    }

    fn provisional(&mut self, now: Now, code: u16, early_media: bool) {
        if !matches!(self.state, State::Dialing { .. }) {
            return;
        }
        self.record.sip_code = Some(code);
        self.ringing(now);
        if early_media && !std::mem::replace(&mut self.middle.early, true) {
            self.outputs.push_back(Output::Tell("early_media", None));
        }
    }

    fn answered(&mut self, now: Now) {
        let (longest, then) = match (&self.state, self.plan) {
            (State::Dialing { .. }, Plan::Outbound { longest, .. })
            | (State::Accepting { .. }, Plan::Ask { longest, .. } | Plan::Dial { longest, .. }) => {
                (longest, EndReason::MaxDuration)
            }
            (State::Accepting { .. }, Plan::Inbound { hangup_after, longest, .. }) => {
                if hangup_after.is_zero() || hangup_after > longest {
                    (longest, EndReason::MaxDuration)
                } else {
                    (hangup_after, EndReason::Completed)
                }
            }
            // A 200 that crossed our CANCEL: the session is being ended, keep its start.
            (State::Ending { .. }, _) => {
                if let State::Ending { since, .. } = &mut self.state {
                    since.get_or_insert(now.mono);
                }
                return;
            }
            (_, _) => return,
        };
        self.state = State::Answered { since: now.mono, until: now.mono + longest, then };
        self.record.status = CallStatus::InProgress;
        self.record.answered_at = Some(now.unix_ms);
        self.record.sip_code = Some(200);
        self.outputs.push_back(Output::Tell("answered", None));
        self.play();
        self.outputs.push_back(Output::Changed);
    }

    fn play(&mut self) {
        if !self.playing {
            self.playing = true;
            self.outputs.push_back(Output::Play);
        }
    }

    fn media_failed(&mut self, now: Now) {
        match self.state {
            State::Waiting => self.finish(now, None, EndReason::Error, HangupParty::Gateway),
            State::Offered { .. } | State::Accepting { .. } => {
                self.reject(now, 488, String::new(), EndReason::Error, HangupParty::Gateway);
            }
            State::Dialing { .. } | State::Answered { .. } => {
                self.end(now, EndReason::Error, HangupParty::Gateway);
            }
            State::Ending { .. } | State::Ended => {}
        }
    }

    fn session_ended(&mut self, now: Now, ending: &Ending) {
        if let Some(code) = ending.code {
            self.record.sip_code = Some(code);
        }
        if !ending.reason.is_empty() {
            self.record.sip_reason = Some(ending.reason.clone());
        }
        self.record.q850 = ending.q850.or(self.record.q850);
        let direction = self.record.direction;
        let (reason, party) = match &self.state {
            State::Ending { why, .. } => *why,
            // Who takes a transfer on may hang up at once, and leave it to us to believe it.
            State::Answered { .. }
                if ending.cause == EndCause::PeerHangup && self.is_handed_over() =>
            {
                (EndReason::Transfer, cause::party_of_ending(ending, direction))
            }
            State::Waiting
            | State::Dialing { .. }
            | State::Offered { .. }
            | State::Accepting { .. }
            | State::Answered { .. }
            | State::Ended => (
                cause::reason_of_ending(ending, direction),
                cause::party_of_ending(ending, direction),
            ),
        };
        self.finish(now, self.since(), reason, party);
    }

    /// Ends the call of our own will, in the way its state asks for.
    fn end(&mut self, now: Now, reason: EndReason, party: HangupParty) {
        match self.state {
            State::Waiting => self.finish(now, None, reason, party),
            State::Dialing { .. }
            | State::Offered { .. }
            | State::Accepting { .. }
            | State::Answered { .. } => {
                let since = self.since();
                let until = now.mono + if self.draining { DRAINING_MAX } else { ENDING_MAX };
                self.state = State::Ending { since, until, why: (reason, party) };
                self.outputs.push_back(Output::Hangup(reason));
            }
            State::Ending { .. } | State::Ended => {}
        }
    }

    fn timeout(&mut self, now: Now) {
        let (until, _) = self.deadline();
        if until.is_none_or(|until| now.mono < until) {
            return;
        }
        match self.state {
            State::Dialing { .. } => self.end(now, EndReason::NoAnswer, HangupParty::Gateway),
            State::Offered { then: AfterRing::Answer, .. } => self.accept(now),
            State::Offered { then: AfterRing::Reject(code), .. } => {
                self.reject(now, code, String::new(), EndReason::NoAnswer, HangupParty::Gateway);
            }
            State::Answered { until, .. } if now.mono < until => self.transfer_late(now),
            State::Answered { then, .. } => self.end(now, then, HangupParty::Gateway),
            // The session machine should have given up long before; the call never outlives it.
            State::Ending { since, why: (reason, party), .. } => {
                self.finish(now, since, reason, party);
            }
            State::Accepting { .. } => self.end(now, EndReason::TrunkDown, HangupParty::Gateway),
            State::Waiting | State::Ended => {}
        }
    }

    /// The node is stopping. A call that waits for its turn has none; what a silent peer could hold
    /// up for 64*T1 gets [`DRAINING_MAX`].
    fn drain(&mut self, now: Now) {
        self.draining = true;
        let soon = now.mono + DRAINING_MAX;
        match &mut self.state {
            State::Waiting => {
                self.finish(now, None, EndReason::TerminatedByApi, HangupParty::Gateway);
            }
            State::Accepting { until } => *until = Some(soon),
            State::Ending { until, .. } => *until = soon.min(*until),
            State::Dialing { .. }
            | State::Offered { .. }
            | State::Answered { .. }
            | State::Ended => {}
        }
    }

    fn since(&self) -> Option<Instant> {
        match &self.state {
            State::Answered { since, .. } => Some(*since),
            State::Ending { since, .. } => *since,
            State::Waiting
            | State::Dialing { .. }
            | State::Offered { .. }
            | State::Accepting { .. }
            | State::Ended => None,
        }
    }

    fn finish(&mut self, now: Now, since: Option<Instant>, reason: EndReason, party: HangupParty) {
        let answered = self.record.answered_at.is_some();
        self.state = State::Ended;
        self.record.queue_position = None;
        self.record.ended_at = Some(now.unix_ms);
        self.record.end_reason = Some(reason);
        self.record.hangup_party = Some(party);
        self.record.status = cause::final_status(reason, answered);
        self.record.bridged = false;
        self.end_transfer(reason == EndReason::Transfer);
        self.record.duration_ms = since.filter(|_| answered).map(|since| {
            let lasted = now.mono.saturating_duration_since(since);
            u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX)
        });
        self.push_all([
            Output::Tell("ended", Some(cause::name(reason).to_owned())),
            Output::Changed,
            Output::Finished,
        ]);
    }

    fn push_all(&mut self, outputs: impl IntoIterator<Item = Output>) {
        self.outputs.extend(outputs);
    }

    /// Whether the far end is to be counted as the callee.
    #[must_use]
    pub fn is_outbound(&self) -> bool {
        self.record.direction == Direction::Outbound
    }
}

#[cfg(test)]
mod tests;
