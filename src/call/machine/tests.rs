//! The machine, fed by hand.

use super::*;
use crate::call::control::{MuteDirection, OnPeerHangup, TransferWish, Wish, WishError};
use crate::call::record::{CallType, MuteState, TransferMode, TransferPhase};
use crate::id::InstanceId;

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
    assert_eq!(rig.feed(Input::PlaybackDone), [Output::Hangup(EndReason::Completed)]);
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
    assert!(matches!(rig.feed(Input::Timeout)[..], [Output::Hangup(_)]));
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
fn a_node_that_stops_waits_for_nobody_who_is_silent() {
    let gateway = Some(HangupParty::Gateway);
    let shut = (CallStatus::Failed, Some(EndReason::TerminatedByApi), gateway);
    let mut queued = Rig::outbound();
    assert!(queued.feed(Input::Draining).contains(&Output::Finished));
    assert_eq!(result(&queued), shut, "it would never have its turn");
    // Answered, and no ACK comes: neither now nor after the hang-up.
    let mut rig = inbound_at_once();
    rig.feed(Input::Begin);
    assert_eq!(rig.until(), None, "the session waits 64*T1");
    rig.feed(Input::Draining);
    rig.ms = rig.until().unwrap();
    assert_eq!(rig.ms, 2000);
    assert!(matches!(rig.feed(Input::Timeout)[..], [Output::Hangup(_)]));
    rig.ms = rig.until().unwrap();
    assert_eq!(rig.ms, 4000);
    assert!(rig.feed(Input::Timeout).contains(&Output::Finished));
    assert_eq!(result(&rig), (CallStatus::Failed, Some(EndReason::TrunkDown), gateway));
    // Hung up before the drain, and in it: nobody answers BYE.
    let mut leaving = Rig::outbound();
    leaving.feed(Input::Begin);
    leaving.feed(Input::Answered);
    leaving.feed(Input::PlaybackDone);
    assert_eq!(leaving.until(), Some(70_000));
    leaving.feed(Input::Draining);
    assert_eq!(leaving.until(), Some(2000));
    let mut talking = Rig::outbound();
    talking.feed(Input::Begin);
    talking.feed(Input::Answered);
    talking.feed(Input::Draining);
    assert_eq!(talking.until(), Some(600_000), "who talks goes on");
    talking.ms = 5000;
    talking.feed(Input::Shutdown);
    assert_eq!(talking.until(), Some(7000));
    talking.ms = 7000;
    assert!(talking.feed(Input::Timeout).contains(&Output::Finished));
}

#[test]
fn a_call_that_missed_the_drain_is_cut_as_fast() {
    let mut rig = Rig::outbound();
    rig.feed(Input::Begin);
    rig.feed(Input::Answered);
    rig.feed(Input::Shutdown);
    assert_eq!(rig.until(), Some(2000));
    rig.ms = 1000;
    rig.feed(Input::Shutdown);
    assert_eq!(rig.until(), Some(2000), "asking again does not wait for longer");
}

#[test]
fn a_caller_whose_ack_comes_during_a_drain_is_served() {
    let mut rig = inbound_at_once();
    rig.feed(Input::Begin);
    rig.feed(Input::Draining);
    rig.ms = 1900;
    assert!(rig.feed(Input::Answered).contains(&Output::Play));
    assert_eq!(rig.until(), Some(601_900));
}

fn inbound_at_once() -> Rig {
    let plan = Plan::Inbound {
        ring: Duration::ZERO,
        early_media: false,
        hangup_after: Duration::ZERO,
        longest: Duration::from_secs(600),
    };
    Rig::new(Direction::Inbound, plan)
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
    assert!(
        outputs.contains(&Output::Finished)
            && !outputs.iter().any(|output| matches!(output, Output::Hangup(_)))
    );
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
    assert!(matches!(rig.feed(Input::Timeout)[..], [Output::Hangup(_)]));
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
    assert!(rig.feed(Input::Timeout).contains(&Output::Reject(480, String::new())));
}

/// An incoming call for whom somebody is being called.
fn dialling() -> Rig {
    dialling_with(None)
}

fn dialling_with(ringback: Option<progress::Plan>) -> Rig {
    let (timeout, longest) = (Duration::from_secs(30), Duration::from_secs(600));
    let plan = Plan::Dial { ringback, timeout, otherwise: 480, longest };
    let mut rig = Rig::new(Direction::Inbound, plan);
    assert!(rig.feed(Input::Begin).contains(&Output::CallParty));
    rig
}

#[test]
fn an_incoming_call_is_answered_when_its_party_answers() {
    let mut rig = dialling();
    let progress = |code| Input::Transfer(TransferState::Progress { code });
    assert!(rig.feed(progress(100)).is_empty());
    assert!(rig.feed(progress(180)).contains(&Output::Ring));
    assert!(!rig.feed(progress(180)).contains(&Output::Ring), "once");
    assert!(matches!(rig.ask(&Wish::Answer), Err(WishError::Conflict(_))));
    let answered = rig.feed(Input::Transfer(TransferState::Succeeded));
    assert!(answered.contains(&Output::Answer));
    assert!(rig.feed(Input::Transfer(TransferState::Succeeded)).is_empty());
    rig.feed(Input::Answered);
    assert_eq!(rig.call.record().status, CallStatus::InProgress);
    assert!(rig.call.record().transfer.is_none(), "it is no transfer");
    rig.feed(Input::Bridged(CallId::from_tail("2").unwrap()));
    rig.feed(Input::Unbridged(Joint::EndsWithPeer));
    rig.feed(ending(EndCause::LocalHangup, None));
    let gateway = Some(HangupParty::Gateway);
    assert_eq!(result(&rig), (CallStatus::Completed, Some(EndReason::Completed), gateway));
}

#[test]
fn a_caller_may_hear_our_ringing_until_the_party_answers() {
    let mut rig = dialling_with(Some(progress::Plan::Europe));
    let progress = |code| Input::Transfer(TransferState::Progress { code });
    let rang = rig.feed(progress(180));
    let tone = Tone { signal: Signal::Ringback, plan: progress::Plan::Europe };
    let at = |wanted: &Output| rang.iter().position(|output| output == wanted);
    assert!(at(&Output::Progress) < at(&Output::Tone(Some(tone))), "{rang:?}");
    assert!(at(&Output::Progress).is_some() && at(&Output::Ring).is_none(), "{rang:?}");
    assert!(!rig.feed(progress(180)).contains(&Output::Progress), "once");
    let answered = rig.feed(Input::Transfer(TransferState::Succeeded));
    assert!(answered.contains(&Output::Tone(None)) && answered.contains(&Output::Answer));
}

#[test]
fn a_party_that_does_not_answer_refuses_the_caller() {
    for (code, reason) in
        [(486, EndReason::Busy), (480, EndReason::NoAnswer), (503, EndReason::Congestion)]
    {
        let mut rig = dialling();
        let failed = TransferState::Failed { code, reason: "why".into() };
        let told = rig.feed(Input::Transfer(failed));
        assert!(told.contains(&Output::Reject(480, String::new())), "{code}");
        assert!(told.contains(&Output::Finished));
        assert_eq!(rig.call.record().end_reason, Some(reason));
        assert_eq!(rig.call.record().end_detail.as_deref(), Some("why"));
        assert_eq!(rig.call.record().sip_code, Some(480));
    }
    // Nobody tells anything: the call gives up a little after the party should have.
    let mut rig = dialling();
    assert_eq!(rig.until(), Some(35_000));
    rig.ms = 35_000;
    assert!(rig.feed(Input::Timeout).contains(&Output::Reject(480, String::new())));
    // The caller gives up.
    let mut rig = dialling();
    assert!(rig.feed(ending(EndCause::Canceled, None)).contains(&Output::Finished));
    assert_eq!(rig.call.record().end_reason, Some(EndReason::Canceled));
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
        Input::Transfer(TransferState::Succeeded),
        Input::Bridged(CallId::from_tail("2").unwrap()),
        ending(EndCause::PeerHangup, None),
    ];
    // Every history of four inputs: a call ends at most once and says so exactly once.
    for history in 0..inputs.len().pow(4) * 2 {
        let mut rig = if history % 2 == 0 { Rig::outbound() } else { dialling() };
        let mut finished = 0;
        let mut rest = history / 2;
        for _ in 0..4 {
            let outputs = rig.feed(inputs[rest % inputs.len()].clone());
            rest /= inputs.len();
            finished += outputs.iter().filter(|o| **o == Output::Finished).count();
        }
        assert_eq!(finished == 1, rig.call.is_over(), "history {history}");
        assert_eq!(rig.call.record().ended_at.is_some(), rig.call.is_over());
    }
}

fn transfer(mode: TransferMode) -> Wish {
    Wish::Transfer(TransferWish {
        to: "+14155550199".into(),
        from: None,
        mode,
        replaces: None,
        headers: Vec::new(),
        timeout: Duration::from_secs(30),
        on_peer_hangup: OnPeerHangup::Hangup,
    })
}

fn asking() -> Rig {
    let (timeout, longest) = (Duration::from_secs(20), Duration::from_secs(600));
    Rig::new(Direction::Inbound, Plan::Ask { timeout, otherwise: 480, longest })
}

impl Rig {
    fn answered() -> Self {
        let mut rig = Self::outbound();
        rig.feed(Input::Begin);
        rig.feed(Input::Answered);
        rig
    }

    fn ask(&mut self, wish: &Wish) -> Result<Vec<Output>, WishError> {
        let mono = self.start + Duration::from_millis(self.ms);
        let now = Now { mono, unix_ms: i64::try_from(self.ms).unwrap() };
        self.call.ask(now, wish).map(|()| self.drain())
    }

    fn phase(&self) -> Option<(TransferPhase, Option<u16>)> {
        self.call.record().transfer.as_ref().map(|view| (view.state, view.code))
    }
}

#[test]
fn hold_and_resume_wait_for_the_other_side() {
    let mut rig = Rig::outbound();
    assert!(matches!(rig.ask(&Wish::Hold), Err(WishError::Conflict(_))));
    let mut rig = Rig::answered();
    assert_eq!(rig.ask(&Wish::Hold), Ok(vec![Output::Reoffer(true)]));
    assert!(matches!(rig.ask(&Wish::Resume), Err(WishError::Conflict(_))));
    let told = rig.feed(Input::Reoffered(Reoffered::Agreed));
    assert!(told.contains(&Output::Tell("hold", Some("local".into()))));
    assert!(rig.call.record().hold.local);
    assert_eq!(rig.ask(&Wish::Hold), Ok(Vec::new()), "already so");
    assert_eq!(rig.ask(&Wish::Resume), Ok(vec![Output::Reoffer(false)]));
    let told = rig.feed(Input::Reoffered(Reoffered::Refused(491)));
    assert!(told.contains(&Output::Tell("resume", Some("refused: 491".into()))));
    assert!(rig.call.record().hold.local, "a refusal leaves it as it was");
}

#[test]
fn what_is_muted_is_kept_by_direction_and_told_once() {
    let mut rig = Rig::outbound();
    let mute = |on, direction| Wish::Mute(on, direction);
    let refused = rig.ask(&mute(true, MuteDirection::Both));
    assert!(matches!(refused, Err(WishError::Conflict(_))));
    let mut rig = Rig::answered();
    for (wish, state, event) in [
        (mute(true, MuteDirection::Capture), (false, true), Some(("mute", "capture"))),
        (mute(true, MuteDirection::Playout), (true, true), Some(("mute", "playout"))),
        (mute(true, MuteDirection::Both), (true, true), None),
        (mute(false, MuteDirection::Capture), (true, false), Some(("unmute", "capture"))),
        (mute(false, MuteDirection::Both), (false, false), Some(("unmute", "both"))),
        (mute(false, MuteDirection::Playout), (false, false), None),
    ] {
        let told = rig.ask(&wish).unwrap();
        let muted = MuteState { playout: state.0, capture: state.1 };
        let expected: Vec<Output> = event
            .into_iter()
            .flat_map(|(event, detail)| {
                let tell = Output::Tell(event, Some(detail.to_owned()));
                [Output::Mute(muted), tell, Output::Changed]
            })
            .collect();
        assert_eq!(told, expected, "{wish:?}");
        assert_eq!(rig.call.record().mute, muted, "{wish:?}");
    }
}

#[test]
fn the_other_sides_hold_is_told_once() {
    let mut rig = Rig::answered();
    let told = rig.feed(Input::PeerHolds(true));
    assert!(told.contains(&Output::Tell("hold", Some("peer".into()))));
    assert!(rig.feed(Input::PeerHolds(true)).is_empty());
    assert!(rig.call.record().hold.peer);
    let told = rig.feed(Input::PeerHolds(false));
    assert!(told.contains(&Output::Tell("resume", Some("peer".into()))));
    assert!(rig.feed(Input::Reoffered(Reoffered::Agreed)).is_empty(), "of no offer of ours");
}

#[test]
fn a_transfer_that_succeeds_ends_the_call_as_one() {
    let mut rig = Rig::answered();
    assert!(rig.ask(&transfer(TransferMode::Blind)).is_ok());
    assert!(matches!(rig.ask(&transfer(TransferMode::Blind)), Err(WishError::Conflict(_))));
    rig.feed(Input::Transfer(TransferState::Accepted));
    assert!(rig.feed(Input::PlaybackDone).is_empty(), "the content waits");
    rig.feed(Input::Transfer(TransferState::Progress { code: 180 }));
    assert_eq!(rig.phase(), Some((TransferPhase::Ringing, Some(180))));
    let outputs = rig.feed(Input::Transfer(TransferState::Succeeded));
    assert!(outputs.contains(&Output::Hangup(EndReason::Transfer)));
    rig.feed(ending(EndCause::LocalHangup, None));
    let gateway = Some(HangupParty::Gateway);
    assert_eq!(result(&rig), (CallStatus::Completed, Some(EndReason::Transfer), gateway));
}

#[test]
fn a_transfer_that_fails_leaves_the_call_to_its_content() {
    let mut rig = Rig::answered();
    rig.ask(&transfer(TransferMode::Blind)).unwrap();
    let failed = TransferState::Failed { code: 603, reason: "Decline".into() };
    rig.feed(Input::Transfer(failed));
    assert_eq!(rig.phase(), Some((TransferPhase::Failed, Some(603))));
    assert_eq!(rig.call.record().status, CallStatus::InProgress);
    rig.ask(&transfer(TransferMode::Blind)).unwrap();
    rig.feed(Input::PlaybackDone);
    rig.ms = rig.until().unwrap();
    assert_eq!(rig.ms, 30_000);
    let outputs = rig.feed(Input::Timeout);
    assert!(outputs.contains(&Output::DropTransfer));
    assert_eq!(rig.phase(), Some((TransferPhase::Failed, Some(408))));
    assert!(outputs.contains(&Output::Hangup(EndReason::Completed)), "what waited counts");
}

#[test]
fn a_peer_that_hangs_up_once_it_took_the_transfer_on_was_transferred() {
    for (accepted, reason) in [(true, EndReason::Transfer), (false, EndReason::CalleeHangup)] {
        let mut rig = Rig::answered();
        rig.ask(&transfer(TransferMode::Blind)).unwrap();
        if accepted {
            rig.feed(Input::Transfer(TransferState::Accepted));
        }
        rig.feed(ending(EndCause::PeerHangup, None));
        assert_eq!(rig.call.record().end_reason, Some(reason));
    }
}

#[test]
fn a_caller_who_leaves_while_the_target_rings_was_not_transferred() {
    let mut rig = Rig::answered();
    rig.ask(&transfer(TransferMode::Bridge)).unwrap();
    rig.feed(Input::Transfer(TransferState::Progress { code: 180 }));
    rig.feed(ending(EndCause::PeerHangup, None));
    assert_eq!(rig.call.record().end_reason, Some(EndReason::CalleeHangup));
    assert_eq!(rig.phase(), Some((TransferPhase::Failed, Some(180))));
}

#[test]
fn joined_calls_end_together_or_go_on() {
    let other = || CallId::from_tail("2").unwrap();
    for (joint, handed, reason) in [
        (Joint::EndsWithPeer, true, Some(EndReason::Transfer)),
        (Joint::EndsWithPeer, false, Some(EndReason::Completed)),
        (Joint::PeerLeft, false, Some(EndReason::StreamLost)),
    ] {
        let mut rig = Rig::answered();
        if handed {
            rig.ask(&transfer(TransferMode::Bridge)).unwrap();
        }
        let told = rig.feed(Input::Bridged(other()));
        assert!(told.contains(&Output::Tell("bridge", Some("call_2".into()))));
        if handed {
            rig.feed(Input::Transfer(TransferState::Succeeded));
        }
        assert!(matches!(rig.ask(&Wish::Hold), Err(WishError::Conflict(_))));
        assert!(rig.feed(Input::StreamLost).is_empty(), "the content is aside");
        rig.feed(Input::Unbridged(joint));
        rig.feed(ending(EndCause::LocalHangup, None));
        assert_eq!(rig.call.record().end_reason, reason);
        assert_eq!(rig.call.record().bridged_with, Some(other()));
        assert!(!rig.call.record().bridged);
    }
}

#[test]
fn a_call_that_asks_is_decided_by_its_client() {
    let mut rig = asking();
    assert!(rig.feed(Input::Begin).contains(&Output::Tell("offered", None)));
    assert!(rig.ask(&Wish::Ring).unwrap().contains(&Output::Ring));
    let early = rig.ask(&Wish::EarlyMedia(None)).unwrap();
    assert!(early.contains(&Output::Progress) && early.contains(&Output::Play));
    assert!(matches!(rig.ask(&Wish::EarlyMedia(None)), Err(WishError::Conflict(_))));
    // A tone begins, changes and stops; what sounds at the answer stops with it.
    let tone = |signal| Some(Tone { signal, plan: progress::Plan::America });
    for tone in [tone(Signal::Ringback), tone(Signal::Busy), None, tone(Signal::Ringback)] {
        let outputs = rig.ask(&Wish::EarlyMedia(tone)).unwrap();
        assert_eq!(outputs[0], Output::Tone(tone));
        assert!(!outputs.contains(&Output::Progress));
    }
    let answer = rig.ask(&Wish::Answer).unwrap();
    assert!(answer.contains(&Output::Tone(None)) && answer.contains(&Output::Answer));
    rig.feed(Input::Answered);
    assert_eq!(rig.call.record().status, CallStatus::InProgress);
    assert!(matches!(rig.ask(&Wish::Answer), Err(WishError::Conflict(_))));
}

#[test]
fn a_call_that_asks_is_refused_as_its_client_says_or_in_time() {
    let mut rig = asking();
    rig.feed(Input::Begin);
    let wish = Wish::Reject { code: 486, reason: "Lunch".into() };
    assert!(rig.ask(&wish).unwrap().contains(&Output::Reject(486, "Lunch".into())));
    let api = Some(HangupParty::Api);
    assert_eq!(result(&rig), (CallStatus::Failed, Some(EndReason::Rejected), api));
    assert_eq!(rig.ask(&Wish::Answer), Err(WishError::Ended));
    let mut rig = asking();
    rig.feed(Input::Begin);
    rig.ms = 20_000;
    assert!(rig.feed(Input::Timeout).contains(&Output::Reject(480, String::new())));
}
