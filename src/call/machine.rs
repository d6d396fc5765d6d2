//! The call machine: one input in, drain the outputs.
//!
//! Owns the state of one call and its [`CallRecord`]. The driver at the other side turns outputs
//! into SIP commands, media commands and words to the application leg.

use super::cause;
use super::record::{CallRecord, CallStatus, Direction, EndReason, HangupParty, StreamState};
use crate::sip::interface::Ending;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long a session may take to end after a hang-up: 64*T1 of BYE and of a crossing INVITE.
const ENDING_MAX: Duration = Duration::from_secs(70);

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
    /// Let the stream's client decide; nothing within `ring` refuses with 480.
    Ask {
        /// How long it may take.
        ring: Duration,
        /// How long the call may last after the answer.
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
    /// The API's user ends it.
    Terminate,
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
    /// Send 180.
    Ring,
    /// Send 183 with a description and let media flow.
    Progress,
    /// Send 200 with a description.
    Answer,
    /// Refuse with this status.
    Reject(u16),
    /// End the session, whatever state it is in.
    Hangup,
    /// The application leg may play.
    Play,
    /// Tell the application leg of a change (`event` and detail of `call_event`).
    Tell(&'static str, Option<String>),
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
    /// 200 sent, ACK awaited.
    Accepting,
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
    Reject,
}

/// One call.
#[derive(Debug)]
pub struct Call {
    record: CallRecord,
    plan: Plan,
    state: State,
    playing: bool,
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
        Self { record, plan, state, playing: false, outputs }
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
            Input::PlaybackDone => self.end(now, EndReason::Completed, HangupParty::Gateway),
            Input::HangupRequested => {
                // A bot that says goodbye ends its call well; DELETE is what breaks one off.
                let answered = self.record.answered_at.is_some();
                let reason = if answered { EndReason::Completed } else { EndReason::Canceled };
                self.end(now, reason, HangupParty::Api);
            }
            Input::StreamLost => self.end(now, EndReason::StreamLost, HangupParty::Gateway),
            Input::ContentEnded(reason) => self.end(now, reason, HangupParty::Gateway),
            Input::ContentFailed => self.end(now, EndReason::Error, HangupParty::Gateway),
            Input::Quiet => self.end(now, EndReason::MediaTimeout, HangupParty::Gateway),
            Input::StreamAttached { protocol, rate } => {
                let connected = true;
                let protocol = Some(protocol.to_owned());
                self.record.stream = Some(StreamState { connected, protocol, rate });
                self.outputs.push_back(Output::Changed);
            }
            Input::StreamDetached => {
                self.record.stream.get_or_insert_default().connected = false;
                self.outputs.push_back(Output::Changed);
            }
            Input::Terminate => self.end(now, EndReason::TerminatedByApi, HangupParty::Api),
            Input::Shutdown => self.end(now, EndReason::TerminatedByApi, HangupParty::Gateway),
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
            State::Accepting => (None, "ACK"),
            State::Answered { until, .. } => (Some(*until), "longest duration"),
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
            Plan::RingOnly { ring } | Plan::Ask { ring, .. } => {
                self.state =
                    State::Offered { until: Some(now.mono + ring), then: AfterRing::Reject };
                self.ringing(now);
                self.outputs.push_back(Output::Ring);
            }
            Plan::Reject { code } => {
                self.record.sip_code = Some(code);
                self.outputs.push_back(Output::Reject(code));
                self.finish(now, None, EndReason::Rejected, HangupParty::Gateway);
            }
        }
    }

    fn offer(&mut self, now: Now, ring: Duration, early_media: bool) {
        if early_media {
            self.push_all([Output::Progress, Output::Tell("early_media", None)]);
            self.play();
        } else if !ring.is_zero() {
            self.outputs.push_back(Output::Ring);
        }
        if ring.is_zero() {
            self.accept();
        } else {
            self.ringing(now);
            self.state = State::Offered { until: Some(now.mono + ring), then: AfterRing::Answer };
        }
    }

    fn accept(&mut self) {
        self.state = State::Accepting;
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
        if early_media {
            self.outputs.push_back(Output::Tell("early_media", None));
        }
    }

    fn answered(&mut self, now: Now) {
        let (longest, then) = match (&self.state, self.plan) {
            (State::Dialing { .. }, Plan::Outbound { longest, .. }) => {
                (longest, EndReason::MaxDuration)
            }
            (State::Accepting, Plan::Inbound { hangup_after, longest, .. }) => {
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
            State::Offered { .. } | State::Accepting => {
                self.record.sip_code = Some(488);
                self.outputs.push_back(Output::Reject(488));
                self.finish(now, None, EndReason::Error, HangupParty::Gateway);
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
        let direction = self.record.direction;
        let (reason, party) = match &self.state {
            State::Ending { why, .. } => *why,
            State::Waiting
            | State::Dialing { .. }
            | State::Offered { .. }
            | State::Accepting
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
            | State::Accepting
            | State::Answered { .. } => {
                let since = self.since();
                let until = now.mono + ENDING_MAX;
                self.state = State::Ending { since, until, why: (reason, party) };
                self.outputs.push_back(Output::Hangup);
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
            State::Offered { then: AfterRing::Answer, .. } => self.accept(),
            State::Offered { then: AfterRing::Reject, .. } => {
                self.record.sip_code = Some(480);
                self.outputs.push_back(Output::Reject(480));
                self.finish(now, None, EndReason::NoAnswer, HangupParty::Gateway);
            }
            State::Answered { then, .. } => self.end(now, then, HangupParty::Gateway),
            // The session machine should have given up long before; the call never outlives it.
            State::Ending { since, why: (reason, party), .. } => {
                self.finish(now, since, reason, party);
            }
            State::Waiting | State::Accepting | State::Ended => {}
        }
    }

    fn since(&self) -> Option<Instant> {
        match &self.state {
            State::Answered { since, .. } => Some(*since),
            State::Ending { since, .. } => *since,
            State::Waiting
            | State::Dialing { .. }
            | State::Offered { .. }
            | State::Accepting
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
mod tests {
    use super::*;
    use crate::call::record::CallType;
    use crate::id::{CallId, InstanceId};
    use crate::sip::interface::EndCause;

    struct Rig {
        call: Call,
        start: Instant,
        ms: u64,
    }

    impl Rig {
        fn new(direction: Direction, plan: Plan) -> Self {
            let mut rig =
                Self { call: Call::new(record(direction), plan), start: Instant::now(), ms: 0 };
            rig.drain();
            rig
        }

        fn outbound() -> Self {
            let plan =
                Plan::Outbound { ring: Duration::from_secs(60), longest: Duration::from_secs(600) };
            Self::new(Direction::Outbound, plan)
        }

        fn feed(&mut self, input: Input) -> Vec<Output> {
            let mono = self.start + Duration::from_millis(self.ms);
            self.call.handle(Now { mono, unix_ms: i64::try_from(self.ms).unwrap() }, input);
            self.drain()
        }

        fn drain(&mut self) -> Vec<Output> {
            let mut all = Vec::new();
            loop {
                match self.call.poll_output() {
                    Output::Timeout(..) => return all,
                    output => all.push(output),
                }
            }
        }

        fn until(&self) -> Option<u64> {
            let (until, _) = self.call.deadline();
            until.map(|until| u64::try_from((until - self.start).as_millis()).unwrap())
        }
    }

    fn record(direction: Direction) -> CallRecord {
        CallRecord {
            trunk: Some("carrier".into()),
            queue_position: Some(1),
            ..CallRecord::new(
                CallId::from_tail("1").unwrap(),
                InstanceId::from_tail("demo").unwrap(),
                CallType::FixedTts,
                "+14155550123".into(),
                direction,
                0,
            )
        }
    }

    fn ending(cause: EndCause, code: Option<u16>) -> Input {
        Input::SessionEnded(Ending::new(cause, code))
    }

    fn result(rig: &Rig) -> (CallStatus, Option<EndReason>, Option<HangupParty>) {
        let record = rig.call.record();
        (record.status, record.end_reason, record.hangup_party)
    }

    #[test]
    fn a_prompt_call_completes_when_playback_is_done() {
        let mut rig = Rig::outbound();
        assert!(rig.feed(Input::Begin).contains(&Output::Dial));
        rig.feed(Input::Provisional { code: 180, early_media: false });
        rig.ms = 2000;
        assert!(rig.feed(Input::Answered).contains(&Output::Play));
        assert_eq!(rig.call.record().status, CallStatus::InProgress);
        rig.ms = 7000;
        assert_eq!(rig.feed(Input::PlaybackDone), [Output::Hangup]);
        assert!(rig.feed(ending(EndCause::LocalHangup, None)).contains(&Output::Finished));
        assert_eq!(rig.call.record().duration_ms, Some(5000));
        let gateway = Some(HangupParty::Gateway);
        assert_eq!(result(&rig), (CallStatus::Completed, Some(EndReason::Completed), gateway));
        assert!(rig.feed(Input::Terminate).is_empty());
    }

    #[test]
    fn every_way_to_fail_has_its_reason() {
        for (code, reason) in
            [(486, EndReason::Busy), (404, EndReason::InvalidNumber), (503, EndReason::Congestion)]
        {
            let mut rig = Rig::outbound();
            rig.feed(Input::Begin);
            rig.feed(ending(EndCause::Refused, Some(code)));
            let callee = Some(HangupParty::Callee);
            assert_eq!(result(&rig), (CallStatus::Failed, Some(reason), callee));
            assert_eq!(rig.call.record().sip_code, Some(code));
        }
    }

    #[test]
    fn ringing_too_long_is_no_answer_even_when_a_200_crosses() {
        let mut rig = Rig::outbound();
        rig.feed(Input::Begin);
        rig.ms = 59_999;
        assert!(rig.feed(Input::Timeout).is_empty());
        rig.ms = 60_000;
        assert_eq!(rig.feed(Input::Timeout), [Output::Hangup]);
        assert!(rig.feed(Input::Answered).is_empty());
        rig.feed(ending(EndCause::LocalHangup, None));
        assert_eq!(rig.call.record().end_reason, Some(EndReason::NoAnswer));
        assert_eq!(rig.call.record().status, CallStatus::Failed);
    }

    #[test]
    fn a_session_that_never_ends_does_not_keep_the_call() {
        let mut rig = Rig::outbound();
        rig.feed(Input::Begin);
        rig.feed(Input::Answered);
        rig.feed(Input::Terminate);
        rig.ms = rig.until().unwrap();
        assert!(rig.feed(Input::Timeout).contains(&Output::Finished));
        let api = Some(HangupParty::Api);
        assert_eq!(result(&rig), (CallStatus::Failed, Some(EndReason::TerminatedByApi), api));
    }

    #[test]
    fn a_client_that_hangs_up_ends_its_call_well() {
        let api = Some(HangupParty::Api);
        let mut rig = Rig::outbound();
        rig.feed(Input::Begin);
        rig.feed(Input::Answered);
        rig.feed(Input::HangupRequested);
        rig.feed(ending(EndCause::LocalHangup, None));
        assert_eq!(result(&rig), (CallStatus::Completed, Some(EndReason::Completed), api));
        let mut rig = Rig::outbound();
        rig.feed(Input::Begin);
        rig.feed(Input::HangupRequested);
        rig.feed(ending(EndCause::Canceled, Some(487)));
        assert_eq!(result(&rig), (CallStatus::Failed, Some(EndReason::Canceled), api));
    }

    #[test]
    fn a_queued_call_ends_without_a_word_to_the_carrier() {
        let mut rig = Rig::outbound();
        let outputs = rig.feed(Input::Terminate);
        assert!(outputs.contains(&Output::Finished) && !outputs.contains(&Output::Hangup));
        let mut rig = Rig::outbound();
        rig.feed(Input::Refused(EndReason::DestinationNotAllowed));
        assert_eq!(rig.call.record().end_reason, Some(EndReason::DestinationNotAllowed));
    }

    #[test]
    fn an_inbound_call_rings_answers_and_hangs_up_in_time() {
        let plan = Plan::Inbound {
            ring: Duration::from_secs(1),
            early_media: false,
            hangup_after: Duration::from_secs(5),
            longest: Duration::from_secs(600),
        };
        let mut rig = Rig::new(Direction::Inbound, plan);
        assert!(rig.feed(Input::Begin).contains(&Output::Ring));
        rig.ms = 1000;
        assert!(rig.feed(Input::Timeout).contains(&Output::Answer));
        rig.ms = 1100;
        assert!(rig.feed(Input::Answered).contains(&Output::Play));
        assert_eq!(rig.until(), Some(6100));
        rig.ms = 6100;
        assert_eq!(rig.feed(Input::Timeout), [Output::Hangup]);
        rig.feed(ending(EndCause::LocalHangup, None));
        assert_eq!(rig.call.record().status, CallStatus::Completed);
    }

    #[test]
    fn early_media_plays_once_before_and_after_the_answer() {
        let plan = Plan::Inbound {
            ring: Duration::from_secs(2),
            early_media: true,
            hangup_after: Duration::ZERO,
            longest: Duration::from_secs(600),
        };
        let mut rig = Rig::new(Direction::Inbound, plan);
        let outputs = rig.feed(Input::Begin);
        assert!(outputs.contains(&Output::Progress) && outputs.contains(&Output::Play));
        rig.ms = 2000;
        rig.feed(Input::Timeout);
        assert!(!rig.feed(Input::Answered).contains(&Output::Play));
        rig.feed(ending(EndCause::PeerHangup, None));
        let caller = Some(HangupParty::Caller);
        assert_eq!(result(&rig), (CallStatus::Completed, Some(EndReason::CallerHangup), caller));
    }

    #[test]
    fn a_caller_who_gives_up_is_a_cancel() {
        let plan = Plan::RingOnly { ring: Duration::from_secs(30) };
        let mut rig = Rig::new(Direction::Inbound, plan);
        rig.feed(Input::Begin);
        rig.feed(ending(EndCause::Canceled, None));
        assert_eq!(rig.call.record().end_reason, Some(EndReason::Canceled));
        let mut rig = Rig::new(Direction::Inbound, plan);
        rig.feed(Input::Begin);
        rig.ms = 30_000;
        assert!(rig.feed(Input::Timeout).contains(&Output::Reject(480)));
    }

    #[test]
    fn any_input_in_any_state_keeps_the_call_sane() {
        let inputs = [
            Input::Begin,
            Input::Provisional { code: 183, early_media: true },
            Input::Answered,
            Input::MediaFailed,
            Input::PlaybackDone,
            Input::Terminate,
            Input::Timeout,
            Input::Quiet,
            ending(EndCause::PeerHangup, None),
        ];
        // Every history of four inputs: a call ends at most once and says so exactly once.
        for history in 0..inputs.len().pow(4) {
            let mut rig = Rig::outbound();
            let mut finished = 0;
            let mut rest = history;
            for _ in 0..4 {
                let outputs = rig.feed(inputs[rest % inputs.len()].clone());
                rest /= inputs.len();
                finished += outputs.iter().filter(|o| **o == Output::Finished).count();
            }
            assert_eq!(finished == 1, rig.call.is_over(), "history {history}");
            assert_eq!(rig.call.record().ended_at.is_some(), rig.call.is_over());
        }
    }
}
