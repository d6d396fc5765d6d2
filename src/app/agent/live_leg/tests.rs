//! The leg of a speech brain against a leg stepped by hand, in virtual time; the brain is a pair
//! of queues, or a server on the loopback.

use super::*;
use crate::app::agent::loopback::Sockets;
use crate::app::agent::tools::ToolSpec;
use crate::app::fake::FakeLeg;
use crate::call::outcome::{Outcome, OutcomeStatus};
use crate::call::record::EndReason;
use crate::net::http::HttpClient;
use crate::speech::stt::{Stt, SttSpec};
use crate::speech::tts::{SpeechWriter, Tts, TtsSpec};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::task::JoinHandle;

const DELAY: Duration = Duration::from_millis(100);
const WORDS: &str = "one two three four five six seven eight nine ten eleven twelve";

/// The brain's own end.
struct Brain {
    spec: LiveSpec,
    inputs: mpsc::Receiver<LiveInput>,
    outputs: mpsc::Sender<LiveOutput>,
}

struct Rig {
    leg: FakeLeg,
    control: mpsc::Sender<Control>,
    reports: mpsc::Receiver<Report>,
    told: Vec<Report>,
    brains: mpsc::Receiver<Brain>,
    voices: mpsc::Receiver<(SpeakRequest, SpeechWriter)>,
    task: JoinHandle<()>,
}

fn spec() -> LiveAgentSpec {
    let allowed = ["hang_up", "record_result", "wait", "leave_voicemail"].map(str::to_owned);
    let tools = ToolSpec { allowed: allowed.to_vec(), ..ToolSpec::default() };
    LiveAgentSpec {
        context: BrainContext { call_id: "call_1".to_owned(), ..BrainContext::default() },
        live: LiveSpec::new(LiveKind::Realtime),
        turn: TurnSpec { network_delay: DELAY, ..TurnSpec::default() },
        tools: Toolbox::new(&tools).unwrap(),
        failure_voice: "en-US-001".to_owned(),
        sample_rate: 8000,
        prices: (0.0, 0.0),
        max_cost: None,
    }
}

impl Rig {
    fn new(change: impl FnOnce(&mut LiveAgentSpec)) -> Self {
        Self::with(change, 1024, false)
    }

    /// A rig whose call takes so many reports at once; `server`: the brain is the one of the spec.
    fn with(change: impl FnOnce(&mut LiveAgentSpec), reports: usize, server: bool) -> Self {
        let mut spec = spec();
        change(&mut spec);
        let (control, from_driver) = mpsc::channel(64);
        let (to_driver, reports) = mpsc::channel(reports);
        let (connected, brains) = mpsc::channel(4);
        let (asked, voices) = mpsc::channel(4);
        let dir = std::env::temp_dir().join("bellwire-no-voices");
        let parts = AgentParts {
            tts: Tts::start(TtsSpec::built_in(dir)),
            stt: Stt::new(SttSpec::default()),
            http: HttpClient::new(),
        };
        let mut task = LiveLeg::new(spec, parts, from_driver, to_driver);
        if !server {
            task.connect = Box::new(move |spec, _| {
                let (inputs, ours) = mpsc::channel(live::INPUTS_MAX);
                let (outputs, theirs) = mpsc::channel(live::OUTPUTS_MAX);
                connected.try_send(Brain { spec, inputs: ours, outputs }).ok().unwrap();
                LiveHandle { inputs, outputs: theirs, task: tokio::spawn(async {}) }
            });
        }
        task.voice = Box::new(move |request| {
            let (writer, speech) = Speech::pipe();
            asked.try_send((request, writer)).ok().unwrap();
            Ok(speech)
        });
        let (leg, line, ears) = FakeLeg::line();
        task.take_leg((line, ears));
        let task = tokio::spawn(task.run());
        Self { leg, control, reports, told: Vec::new(), brains, voices, task }
    }

    /// A call that was answered and whose brain is there.
    async fn talking(change: impl FnOnce(&mut LiveAgentSpec)) -> (Self, Brain) {
        let mut rig = Self::new(change);
        rig.start();
        rig.beats(1).await;
        let brain = rig.brains.try_recv().expect("a brain is connected");
        (rig, brain)
    }

    fn start(&self) {
        self.control.try_send(Control::Start).ok().unwrap();
    }

    async fn beats(&mut self, beats: usize) {
        for _ in 0..beats {
            self.leg.beat().await;
            self.told.extend(std::iter::from_fn(|| self.reports.try_recv().ok()));
        }
    }

    /// So many beats with the caller's sound in each.
    async fn beats_with_caller(&mut self, beats: usize) {
        for _ in 0..beats {
            self.leg.hear(&[7; 160]);
            self.beats(1).await;
        }
    }

    fn sent_ms(&self) -> u64 {
        self.leg.sent.len() as u64 / 8
    }

    fn states(&self) -> Vec<State> {
        let state = |report: &Report| match report {
            Report::Turn(state) => Some(*state),
            _ => None,
        };
        self.told.iter().filter_map(state).collect()
    }

    fn ended(&self) -> Option<EndReason> {
        self.told.iter().find_map(|report| match report {
            Report::Ended { reason, .. } => Some(*reason),
            _ => None,
        })
    }

    /// Ends the call and gives its outcome.
    async fn stop(mut self, reason: &'static str) -> Outcome {
        let stop = Control::Stop { reason, sip_code: None, duration_ms: 0 };
        self.control.try_send(stop).ok().unwrap();
        self.task.await.unwrap();
        assert!(self.leg.is_closed());
        self.told.extend(std::iter::from_fn(|| self.reports.try_recv().ok()));
        match self.told.pop() {
            Some(Report::Outcome(outcome)) => *outcome,
            other => panic!("the outcome is the last report: {other:?}"),
        }
    }
}

impl Brain {
    fn tell(&self, output: LiveOutput) {
        self.outputs.try_send(output).expect("room for an output");
    }

    fn sound(&self, item: &str, samples: &[i16]) {
        self.tell(LiveOutput::Audio { item: item.to_owned(), samples: samples.to_vec() });
    }

    fn done(&self, item: &str) {
        self.tell(LiveOutput::ItemDone { item: item.to_owned() });
    }

    fn words(&self, item: &str, text: &str) {
        let (item, text) = (item.to_owned(), text.to_owned());
        self.tell(LiveOutput::AgentText { item, text, is_final: false });
    }

    /// A whole item.
    fn say(&self, item: &str, text: &str, samples: &[i16]) {
        self.words(item, text);
        samples.chunks(1600).for_each(|piece| self.sound(item, piece));
        self.done(item);
    }

    fn tool(&self, name: &str, arguments: Value) {
        let (id, name) = (format!("id-{name}"), name.to_owned());
        self.tell(LiveOutput::Tool(ToolCall { id, name, arguments }));
    }

    /// What the leg told it, without the caller's sound.
    fn heard(&mut self) -> Vec<LiveInput> {
        std::iter::from_fn(|| self.inputs.try_recv().ok())
            .filter(|input| !matches!(input, LiveInput::Audio { .. }))
            .collect()
    }
}

fn ramp(count: usize) -> Vec<i16> {
    (1..30_000_i16).cycle().take(count).collect()
}

fn cut(item: &str, audio_end_ms: u64) -> LiveInput {
    LiveInput::Truncate { item: item.to_owned(), audio_end_ms }
}

fn piece(samples: &[i16]) -> SpeechPiece {
    SpeechPiece { samples: Arc::from(samples), words: Vec::new() }
}

/// Texts of one speaker's lines, with whether they were cut.
fn lines<'a>(outcome: &'a Outcome, speaker: &str) -> Vec<(&'a str, bool)> {
    let lines = outcome.transcript.iter().filter(|line| line.speaker == speaker);
    lines.map(|line| (line.text.as_str(), line.interrupted)).collect()
}

#[tokio::test(start_paused = true)]
async fn the_brains_sound_reaches_the_leg_in_order_and_exactly() {
    let (mut rig, brain) = Rig::talking(|_| {}).await;
    let all = ramp(8000);
    brain.words("i1", "Good morning,");
    for piece in all[..5000].chunks(333) {
        brain.sound("i1", piece);
    }
    brain.words("i1", "Good morning, Mrs Smith.");
    brain.done("i1");
    brain.say("i2", "How are you?", &all[5000..]);
    rig.beats(60).await;
    assert_eq!(rig.leg.sent, all);
    assert_eq!(rig.states(), [State::Thinking, State::AgentSpeaking, State::Listening]);
    let outcome = rig.stop("caller_hangup").await;
    let said = [("Good morning, Mrs Smith.", false), ("How are you?", false)];
    assert_eq!(lines(&outcome, "agent"), said);
    assert_eq!((outcome.interruptions, outcome.turns.len()), (0, 1));
    assert_eq!(outcome.turns[0].gateway_ms, None, "nobody waited for the first words");
}

#[tokio::test(start_paused = true)]
async fn the_callers_sound_reaches_the_brain_from_the_answer_on() {
    let mut rig = Rig::new(|_| {});
    rig.beats_with_caller(5).await;
    assert!(rig.brains.try_recv().is_err() && rig.leg.is_listening());
    rig.start();
    rig.beats(1).await;
    let mut brain = rig.brains.try_recv().unwrap();
    for level in 1..=5 {
        rig.leg.hear(&[level; 160]);
        rig.beats(1).await;
    }
    for level in 1..=5_i16 {
        let Ok(LiveInput::Audio { position, samples }) = brain.inputs.try_recv() else { panic!() };
        let captured = u64::from(level.unsigned_abs()) + 4;
        assert_eq!((position, samples), (160 * captured, vec![level; 160]));
    }
    assert!(brain.inputs.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn an_interruption_cuts_at_what_was_heard_item_by_item() {
    let (mut rig, mut brain) = Rig::talking(|_| {}).await;
    brain.say("i1", "Hello.", &ramp(3200));
    brain.say("i2", WORDS, &ramp(48_000));
    brain.say("i3", "Never heard.", &ramp(8000));
    rig.beats(100).await;
    brain.tell(LiveOutput::SpeechStarted { position: 0 });
    rig.beats(3).await;
    let left = rig.sent_ms();
    let delay = u64::try_from(DELAY.as_millis()).unwrap();
    assert!((1980..2060).contains(&left), "{left} ms left");
    assert_eq!(brain.heard(), [cut("i2", left - 400 - delay), cut("i3", 0)]);
    // What comes late of items that were cut is of no use; the next answer is heard whole.
    brain.sound("i2", &[9; 1600]);
    brain.done("i2");
    brain.tell(LiveOutput::SpeechStopped { position: 0 });
    let said = "Wait.".to_owned();
    brain.tell(LiveOutput::CallerText { text: said, is_final: true });
    brain.tell(LiveOutput::CallerText { text: " ".to_owned(), is_final: true });
    brain.say("i4", "Yes?", &[5; 1600]);
    brain.done("i1");
    rig.beats(20).await;
    let played = usize::try_from(left * 8).unwrap();
    let expected = [&ramp(3200)[..], &ramp(48_000)[..played - 3200], &[5; 1600]].concat();
    assert_eq!(rig.leg.sent, expected);
    assert!(brain.heard().is_empty());
    let interrupted = rig.told.iter().filter(|told| matches!(told, Report::Interrupted { .. }));
    assert_eq!(interrupted.count(), 1);
    let outcome = rig.stop("caller_hangup").await;
    assert_eq!(outcome.interruptions, 1);
    let own = outcome.turns.last().and_then(|turn| turn.gateway_ms);
    assert!(own.is_some_and(|ms| ms <= 40), "{:?}", outcome.turns);
    assert_eq!(lines(&outcome, "caller"), [("Wait.", false)]);
    let said = lines(&outcome, "agent");
    assert_eq!((said.len(), said[0], said[2]), (3, ("Hello.", false), ("Yes?", false)));
    let (heard, was_cut) = said[1];
    assert!(was_cut && heard.starts_with("one two") && !heard.contains("five"), "{heard}");
}

#[tokio::test(start_paused = true)]
async fn an_item_that_ran_dry_is_cut_at_what_came_of_it() {
    let (mut rig, mut brain) = Rig::talking(|_| {}).await;
    brain.sound("i1", &ramp(2400));
    rig.beats(60).await;
    brain.tell(LiveOutput::SpeechStarted { position: 0 });
    rig.beats(2).await;
    assert_eq!(brain.heard(), [cut("i1", 200)]);
    brain.sound("i1", &ramp(1600));
    rig.beats(10).await;
    assert_eq!(rig.leg.sent, ramp(2400), "the rest of an item that was cut is not played");
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_cannot_be_interrupted_goes_on() {
    let (mut rig, mut brain) = Rig::talking(|spec| spec.turn.interruptible = false).await;
    assert!(!brain.spec.interruptible, "the server is told so, too");
    brain.say("i1", WORDS, &ramp(8000));
    rig.beats(10).await;
    brain.tell(LiveOutput::SpeechStarted { position: 0 });
    rig.beats(60).await;
    assert_eq!(rig.leg.sent, ramp(8000));
    assert!(brain.heard().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_result_is_kept_and_the_call_ends_when_the_goodbye_has_left() {
    let (mut rig, mut brain) = Rig::talking(|_| {}).await;
    brain.tool("record_result", json!({ "day": "monday" }));
    brain.tool("sing", json!({}));
    rig.beats(1).await;
    let heard = brain.heard();
    let [LiveInput::ToolResult { id, result }, LiveInput::ToolResult { result: refused, .. }] =
        &heard[..]
    else {
        panic!("{heard:?}")
    };
    assert_eq!((id.as_str(), &result["ok"]), ("id-record_result", &json!(true)));
    assert!(refused["error"].is_string());
    // It hangs up in the middle of its last sentence.
    brain.words("i1", "Goodbye then.");
    brain.sound("i1", &ramp(4000));
    brain.tool("hang_up", json!({ "reason": "all is said" }));
    rig.beats(5).await;
    brain.sound("i1", &ramp(4000));
    brain.done("i1");
    brain.say("i2", "Are you still there?", &ramp(8000));
    rig.beats(44).await;
    assert_eq!(rig.ended(), None, "{} ms left", rig.sent_ms());
    rig.beats(6).await;
    assert_eq!(rig.ended(), Some(EndReason::Completed));
    assert_eq!(rig.leg.sent, [ramp(4000), ramp(4000)].concat());
    assert_eq!(rig.states().last(), Some(&State::Closing));
    let outcome = rig.stop("completed").await;
    assert_eq!(outcome.result, Some(json!({ "day": "monday" })));
    assert_eq!(
        (outcome.status, outcome.reason.as_deref()),
        (OutcomeStatus::Completed, Some("all is said"))
    );
    assert_eq!(lines(&outcome, "agent"), [("Goodbye then.", false)]);
}

#[tokio::test(start_paused = true)]
async fn a_goodbye_that_never_ends_is_not_waited_for() {
    let (mut rig, brain) = Rig::talking(|_| {}).await;
    brain.words("i1", WORDS);
    brain.sound("i1", &ramp(4000));
    brain.tool("hang_up", json!({ "reason": "x" }));
    rig.beats(60).await;
    assert_eq!(rig.ended(), Some(EndReason::Completed));
    assert_eq!(rig.leg.sent, ramp(4000));
    let outcome = rig.stop("completed").await;
    let said = lines(&outcome, "agent");
    assert!(said.len() <= 1 && said.iter().all(|(text, _)| !text.contains("twelve")), "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn a_broken_brain_ends_in_the_built_in_voice_and_an_error() {
    for fatal_by_word in [true, false] {
        let (mut rig, brain) = Rig::talking(|_| {}).await;
        let mild = LiveOutput::Failed { detail: "a small thing".to_owned(), fatal: false };
        brain.tell(mild);
        rig.beats(1).await;
        assert!(rig.voices.try_recv().is_err());
        brain.sound("i1", &ramp(1600));
        if fatal_by_word {
            let detail = "invalid api key".to_owned();
            brain.tell(LiveOutput::Failed { detail, fatal: true });
        }
        drop(brain);
        rig.beats(3).await;
        let (request, writer) = rig.voices.try_recv().expect("the failure sentence");
        assert_eq!(request.voice, "en-US-001");
        assert_eq!(request.text, spec().turn.failure);
        assert!(rig.voices.try_recv().is_err(), "it is said once");
        assert!(writer.push(piece(&ramp(3200))));
        rig.beats(40).await;
        assert_eq!(rig.ended(), None, "the sentence may go on");
        writer.finish();
        rig.beats(3).await;
        assert_eq!(rig.ended(), Some(EndReason::Error));
        assert_eq!(rig.leg.sent, [ramp(1600), ramp(3200)].concat());
        let outcome = rig.stop("error").await;
        assert_eq!(outcome.status, OutcomeStatus::Failed);
        let why = if fatal_by_word { "invalid api key" } else { "the brain is gone" };
        assert!(outcome.result_error.is_some_and(|error| error.contains(why)));
        assert_eq!(outcome.transcript.last().map(|line| &line.text), Some(&spec().turn.failure));
    }
}

#[tokio::test(start_paused = true)]
async fn the_disclosure_is_first_and_is_never_cut() {
    let mut rig = Rig::new(|spec| {
        spec.turn.disclosure = Some("This is an automaton.".to_owned());
        spec.turn.greeting = Some("Hello!".to_owned());
    });
    rig.start();
    rig.beats(2).await;
    let (request, writer) = rig.voices.try_recv().unwrap();
    assert_eq!(request.text, "This is an automaton. Hello!");
    assert!(writer.push(piece(&ramp(16_000))));
    rig.beats(5).await;
    assert!(rig.brains.try_recv().is_err(), "the brain comes behind the disclosure");
    writer.finish();
    rig.beats(1).await;
    let mut brain = rig.brains.try_recv().unwrap();
    assert!(!brain.spec.first_word, "the caller was greeted already");
    brain.say("i1", WORDS, &[3; 8000]);
    rig.beats(5).await;
    brain.tell(LiveOutput::SpeechStarted { position: 0 });
    rig.beats(110).await;
    // One packet is the least that a worker cuts.
    assert_eq!(rig.leg.sent[..16_000], ramp(16_000)[..]);
    assert!(rig.leg.sent.len() <= 16_000 + 2 * 160, "{}", rig.leg.sent.len());
    assert_eq!(brain.heard(), [cut("i1", 0)]);
    let outcome = rig.stop("caller_hangup").await;
    assert_eq!(lines(&outcome, "agent"), [("This is an automaton. Hello!", false)]);
}

#[tokio::test(start_paused = true)]
async fn the_longest_duration_is_kept_while_the_caller_speaks_on() {
    let (mut rig, mut brain) = Rig::talking(|spec| {
        spec.turn.max_duration = Duration::from_secs(30);
        spec.turn.wrap_up_before = Duration::from_secs(10);
    })
    .await;
    rig.beats_with_caller(970).await;
    assert!(brain.heard().is_empty());
    brain.say("i1", WORDS, &ramp(80_000));
    rig.beats_with_caller(100).await;
    let (request, writer) = rig.voices.try_recv().expect("the wrap-up");
    assert_eq!(Some(request.text), spec().turn.wrap_up);
    assert!(brain.heard().iter().any(|input| matches!(input, LiveInput::Truncate { .. })));
    // It is longer than there is time.
    assert!(writer.push(piece(&ramp(160_000))));
    rig.beats_with_caller(370).await;
    assert_eq!(rig.ended(), None);
    rig.beats_with_caller(110).await;
    assert_eq!(rig.ended(), Some(EndReason::MaxDuration));
    let outcome = rig.stop("max_duration").await;
    assert_eq!(outcome.status, OutcomeStatus::Limit);
    assert!((29_900..31_500).contains(&outcome.duration_ms), "{}", outcome.duration_ms);
}

#[tokio::test(start_paused = true)]
async fn turns_cost_and_silence_have_limits() {
    let (mut rig, brain) = Rig::talking(|spec| {
        spec.turn.max_turns = 2;
        spec.turn.wrap_up = None;
    })
    .await;
    for _ in 0..2 {
        brain.tell(LiveOutput::SpeechStarted { position: 0 });
        brain.tell(LiveOutput::SpeechStopped { position: 0 });
        rig.beats(2).await;
    }
    assert_eq!(rig.ended(), Some(EndReason::MaxDuration));
    assert_eq!(rig.stop("max_duration").await.status, OutcomeStatus::Limit);

    let (mut rig, brain) = Rig::talking(|spec| {
        (spec.prices, spec.max_cost) = ((1.0, 1.0), Some(1.5));
        spec.turn.wrap_up = None;
    })
    .await;
    brain.tell(LiveOutput::Usage { input: 1_000_000, output: 0, seconds: 0.0 });
    rig.beats(2).await;
    assert_eq!(rig.ended(), None);
    brain.tell(LiveOutput::Usage { input: 0, output: 1_000_000, seconds: 0.0 });
    rig.beats(2).await;
    assert_eq!(rig.ended(), Some(EndReason::MaxDuration));

    let (mut rig, brain) =
        Rig::talking(|spec| spec.turn.give_up = Some(Duration::from_secs(5))).await;
    brain.say("i1", "Hello?", &ramp(1600));
    rig.beats_with_caller(240).await;
    assert_eq!(rig.ended(), None);
    rig.beats_with_caller(90).await;
    assert_eq!(rig.ended(), Some(EndReason::Completed));
    assert_eq!(rig.stop("completed").await.status, OutcomeStatus::Silence);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_ends_in_mid_sentence_keeps_what_was_heard() {
    let (mut rig, mut brain) = Rig::talking(|_| {}).await;
    brain.say("i1", WORDS, &ramp(48_000));
    rig.beats(100).await;
    let left = rig.sent_ms();
    // The brain's last words come after the end.
    brain.tool("record_result", json!({ "late": true }));
    brain.tell(LiveOutput::Usage { input: 3, output: 4, seconds: 0.0 });
    let outcome = rig.stop("callee_hangup").await;
    assert_eq!((outcome.status, outcome.interruptions), (OutcomeStatus::CallerLeft, 0));
    assert_eq!(outcome.result, Some(json!({ "late": true })));
    assert_eq!((outcome.usage.input_tokens, outcome.usage.output_tokens), (3, 4));
    let said = lines(&outcome, "agent");
    let (heard, was_cut) = said[0];
    assert!(was_cut && heard.starts_with("one two") && !heard.contains("six"), "{heard}");
    let heard = brain.heard();
    assert!(heard.contains(&LiveInput::Stop), "{heard:?}");
    let Some(LiveInput::Truncate { audio_end_ms, .. }) = heard.first() else { panic!("{heard:?}") };
    assert!((left - 140..=left - 60).contains(audio_end_ms), "{left} ms left: {heard:?}");
}

#[tokio::test(start_paused = true)]
async fn floods_are_bounded_and_lose_no_end() {
    // Three minutes of sound against a queue of two, in more items than are kept.
    let (mut rig, brain) = Rig::talking(|_| {}).await;
    for number in 0..180 {
        brain.say(&format!("i{number}"), "x", &ramp(800));
        rig.beats(1).await;
    }
    for _ in 0..180 {
        brain.sound("long", &ramp(8000));
        rig.beats(1).await;
    }
    assert!(rig.sent_ms() >= 6900, "{} ms left", rig.sent_ms());
    let outcome = rig.stop("callee_hangup").await;
    assert!(outcome.result_error.is_some_and(|error| error.contains("further ahead")));

    // Nobody takes reports, nobody reads what the brain is told.
    let mut rig = Rig::with(|spec| spec.turn.wrap_up = None, 1, false);
    rig.start();
    rig.leg.beat().await;
    let brain = rig.brains.try_recv().unwrap();
    for _ in 0..400 {
        rig.leg.hear(&[1; 160]);
        rig.leg.beat().await;
        brain.tell(LiveOutput::SpeechStarted { position: 0 });
        brain.tell(LiveOutput::SpeechStopped { position: 0 });
    }
    assert_eq!(brain.inputs.len(), live::INPUTS_MAX);
    brain.tool("hang_up", json!({ "reason": "enough" }));
    rig.leg.beat().await;
    rig.beats(600).await;
    assert_eq!(rig.ended(), Some(EndReason::MaxDuration), "100 turns are the most");
}

#[tokio::test(start_paused = true)]
async fn keys_that_belong_together_are_told_together() {
    let (mut rig, mut brain) = Rig::talking(|_| {}).await;
    for digit in *b"12" {
        rig.leg.events.push_back(Event::Dtmf {
            digit,
            duration_ms: 90,
            position: 0,
            inband: false,
        });
        rig.beats(20).await;
    }
    assert!(brain.heard().is_empty());
    rig.beats(80).await;
    assert_eq!(brain.heard(), [LiveInput::Digits("12".to_owned())]);
    for digit in *b"3#" {
        let method = HeardBy::Info;
        rig.control.try_send(Control::Dtmf { digit, duration_ms: 0, method }).ok().unwrap();
    }
    rig.beats(1).await;
    assert_eq!(brain.heard(), [LiveInput::Digits("3#".to_owned())]);
    let outcome = rig.stop("callee_hangup").await;
    let digits: Vec<&str> = outcome.transcript.iter().map(|line| line.digits.as_str()).collect();
    assert_eq!(digits, ["12", "3#"]);
}

#[tokio::test(start_paused = true)]
async fn digits_are_the_calls_to_send_where_the_trunk_takes_them_by_info() {
    let tools = ToolSpec { allowed: vec!["send_dtmf".to_owned()], ..ToolSpec::default() };
    let tools = Toolbox::new(&tools).unwrap().with_keys_by_call(true);
    let (mut rig, mut brain) = Rig::talking(|spec| spec.tools = tools).await;
    brain.tool("send_dtmf", json!({ "digits": "12#" }));
    rig.beats(2).await;
    let wished = rig.told.iter().find_map(|report| match report {
        Report::Wish { ticket, wish } => Some((*ticket, (**wish).clone())),
        _ => None,
    });
    let Some((ticket, Wish::Dtmf(keys))) = wished else { panic!("{:?}", rig.told) };
    assert_eq!(keys.digits, "12#");
    assert!(!rig.leg.obeyed.iter().any(|order| matches!(order, Command::Dtmf { .. })));
    assert!(brain.heard().is_empty(), "nothing is known yet");
    rig.control.try_send(Control::Granted { ticket, result: Ok(()) }).ok().unwrap();
    rig.beats(1).await;
    let heard = brain.heard();
    let [LiveInput::ToolResult { result, .. }] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!(result["ok"], json!(true));
}

#[tokio::test(start_paused = true)]
async fn one_stream_without_items_is_told_turn_by_turn() {
    let (mut rig, brain) = Rig::talking(|spec| {
        spec.live.kind = LiveKind::GptLive;
        spec.turn.give_up = Some(Duration::from_secs(5));
    })
    .await;
    for text in ["Hello.", "Goodbye."] {
        brain.sound("live", &ramp(1600));
        brain.words("live", text);
        rig.beats(12).await;
        brain.tell(LiveOutput::TurnDone);
        rig.beats(1).await;
    }
    assert_eq!(rig.leg.sent, [ramp(1600), ramp(1600)].concat());
    brain.tell(LiveOutput::CallerText { text: "Well".to_owned(), is_final: false });
    rig.beats_with_caller(400).await;
    assert_eq!(rig.states().last(), Some(&State::CallerSpeaking));
    assert_eq!(rig.ended(), None, "who speaks is not silent");
    let outcome = rig.stop("callee_hangup").await;
    assert_eq!(lines(&outcome, "agent"), [("Hello.", false), ("Goodbye.", false)]);
}

#[tokio::test(start_paused = true)]
async fn a_message_for_a_mailbox_is_said_exactly_and_ends_the_call() {
    let (mut rig, brain) = Rig::talking(|_| {}).await;
    brain.tool("leave_voicemail", json!({ "message": "Please call back." }));
    brain.sound("i1", &ramp(1600));
    rig.beats(2).await;
    let (request, writer) = rig.voices.try_recv().unwrap();
    assert_eq!(request.text, "Please call back.");
    assert!(writer.push(piece(&ramp(800))));
    writer.finish();
    rig.beats(10).await;
    assert_eq!(rig.ended(), Some(EndReason::Completed));
    assert_eq!(rig.leg.sent, ramp(800));
    assert_eq!(rig.stop("completed").await.status, OutcomeStatus::VoicemailLeft);
}

/// The same over a real socket, in real time.
#[tokio::test]
async fn a_realtime_server_is_heard_and_told_what_was_heard_of_it() {
    let sockets = Sockets::start().await;
    let url = sockets.url();
    let mut rig = Rig::with(move |spec| spec.live.url = url, 1024, true);
    rig.start();
    let mut peer = tokio::select! {
        peer = sockets.accept() => peer,
        () = rig.beats(500) => panic!("no connection"),
    };
    tokio::select! {
        _ = peer.expect("session.update") => {}
        () = rig.beats(500) => panic!("no session is asked for"),
    }
    peer.send(&json!({"type": "session.updated", "session": {}})).await;
    peer.send(&json!({"type": "response.created", "response": {}})).await;
    let law: Vec<u8> = (0..=255).cycle().take(40_000).collect();
    let delta = crate::speech::base64::encode(&law);
    peer.send(&json!({"type": "response.output_audio.delta", "item_id": "i1", "delta": delta}))
        .await;
    let done = json!({"type": "response.output_audio.done", "item_id": "i1"});
    peer.send(&done).await;
    while rig.sent_ms() < 500 {
        rig.beats_with_caller(1).await;
    }
    peer.send(&json!({"type": "input_audio_buffer.speech_started", "audio_start_ms": 0})).await;
    let truncate = async {
        peer.expect("input_audio_buffer.append").await;
        peer.expect("response.cancel").await;
        peer.expect("conversation.item.truncate").await
    };
    let truncate = tokio::select! {
        truncate = truncate => truncate,
        () = rig.beats(500) => panic!("no truncation"),
    };
    assert_eq!(truncate["item_id"], "i1");
    assert_eq!(truncate["audio_end_ms"], rig.sent_ms() - 100);
    let decoded: Vec<i16> =
        law.iter().map(|octet| crate::audio::codec::g711::decode_ulaw(*octet)).collect();
    assert_eq!(rig.leg.sent[..], decoded[..rig.leg.sent.len()]);
    rig.stop("callee_hangup").await;
}
