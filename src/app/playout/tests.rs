#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "samples are counted in small numbers"
)]

use super::*;
use crate::app::fake::FakeLeg;
use crate::audio::rate::SampleRate;
use crate::media::playout::{Events, Playout, StartRule};
use crate::media::ring;
use crate::media::stats::LegStats;
use proptest::prelude::*;
use std::time::Instant;

/// A worker's send side, one beat at a time.
trait Beat {
    /// Queues a command for the next beat.
    fn order(&mut self, command: Command);
    fn beat(&mut self);
    fn next_event(&mut self) -> Option<Event>;
    fn sent(&self) -> u64;
}

impl Beat for FakeLeg {
    fn order(&mut self, command: Command) {
        self.commands.push_back(command);
    }

    fn beat(&mut self) {
        self.tick();
    }

    fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn sent(&self) -> u64 {
        self.sent.len() as u64
    }
}

/// The real send side of a media leg.
struct RealLeg {
    playout: Playout,
    now: Instant,
    orders: VecDeque<Command>,
    events: Events,
    told: VecDeque<Event>,
    stats: LegStats,
}

impl RealLeg {
    fn new(ring_samples: usize) -> (Self, PlayoutWriter) {
        let (writer, reader) = ring::playout(ring_samples);
        let rate = SampleRate::HZ_8000;
        let playout = Playout::new(reader, ring_samples, rate, StartRule::default());
        let leg = Self {
            playout,
            now: Instant::now(),
            orders: VecDeque::new(),
            events: Events::default(),
            told: VecDeque::new(),
            stats: LegStats::default(),
        };
        (leg, writer)
    }
}

impl Beat for RealLeg {
    fn order(&mut self, command: Command) {
        self.orders.push_back(command);
    }

    fn beat(&mut self) {
        while let Some(order) = self.orders.pop_front() {
            match order {
                Command::Watch { position, token } => assert!(self.playout.watch(position, token)),
                Command::Clear { up_to, token, fade } => {
                    assert!(self.playout.clear(up_to, token, fade));
                }
                Command::End { position } => self.playout.end_at(position),
                other => panic!("{other:?}"),
            }
        }
        self.now += Duration::from_millis(20);
        self.playout.fill(self.now, &mut [0; 20], &mut self.events);
        self.playout.settle(Some(true), &self.stats, &mut self.events);
        self.told.extend(std::iter::from_fn(|| self.events.pop()));
    }

    fn next_event(&mut self) -> Option<Event> {
        self.told.pop_front()
    }

    fn sent(&self) -> u64 {
        self.stats.tx_played_samples.read()
    }
}

/// A queue, its ring and a worker; one sample is one millisecond, so facts count samples.
struct Rig<L = FakeLeg> {
    queue: PlayoutQueue,
    writer: PlayoutWriter,
    leg: L,
    counter: i16,
    facts: Vec<Fact>,
}

impl Rig {
    fn new(ring: usize, buffer_ms: u32) -> Self {
        let (leg, writer, _) = FakeLeg::new(ring, 20);
        Self::with(leg, writer, buffer_ms)
    }

    fn started(ring: usize, buffer_ms: u32) -> Self {
        let mut rig = Self::new(ring, buffer_ms);
        rig.queue.start();
        rig
    }
}

impl<L: Beat> Rig<L> {
    fn with(leg: L, writer: PlayoutWriter, buffer_ms: u32) -> Self {
        let queue = PlayoutQueue::new(1000, buffer_ms);
        Self { queue, writer, leg, counter: 0, facts: Vec::new() }
    }

    /// Pushes samples that all differ.
    fn push(&mut self, samples: usize) -> usize {
        let fresh: Vec<i16> = (0..samples).map(|n| self.counter + n as i16).collect();
        let accepted = self.queue.push(&fresh);
        self.counter += accepted as i16;
        self.pump();
        accepted
    }

    fn pump(&mut self) {
        self.queue.pump(&mut self.writer);
        self.queue.watch_level();
        let leg = &mut self.leg;
        self.queue.send_commands(|command| {
            leg.order(command);
            true
        });
        self.facts.extend(std::iter::from_fn(|| self.queue.next_fact()));
    }

    fn tick(&mut self, times: usize) {
        for _ in 0..times {
            self.leg.beat();
            self.deliver();
        }
    }

    fn deliver(&mut self) {
        while let Some(event) = self.leg.next_event() {
            self.queue.handle(&event);
        }
        self.pump();
    }

    fn take(&mut self) -> Vec<Fact> {
        self.pump();
        std::mem::take(&mut self.facts)
    }
}

#[expect(clippy::unnecessary_wraps, reason = "a name is optional")]
fn name(text: &str) -> Name {
    Some(text.into())
}

fn started(text: &str) -> Fact {
    Fact::Started { utterance: name(text) }
}

fn completed(text: &str, played_ms: u64) -> Fact {
    Fact::Completed { utterance: name(text), played_ms, squeezed_ms: 0 }
}

fn cleared(text: &str, played_ms: u64, discarded_ms: u64) -> Fact {
    Fact::Cleared { utterance: name(text), played_ms, squeezed_ms: 0, discarded_ms }
}

fn mark(text: &str, played_ms: u64, cleared: bool) -> Fact {
    Fact::Mark { name: text.into(), played_ms, squeezed_ms: 0, cleared }
}

#[test]
fn an_utterance_is_told_when_its_packets_leave() {
    let mut rig = Rig::started(200, 1000);
    rig.queue.open(name("u1")).unwrap();
    rig.push(50);
    assert!(rig.queue.close());
    rig.queue.mark("m").unwrap();
    assert_eq!(rig.take(), []);
    rig.tick(1);
    assert_eq!(rig.take(), [started("u1")]);
    rig.tick(1);
    assert_eq!(rig.take(), []);
    rig.tick(1);
    assert_eq!(rig.take(), [completed("u1", 50), mark("m", 50, false)]);
    assert!(rig.leg.obeyed.contains(&Command::End { position: 50 }));
    assert_eq!(rig.queue.queued(), 0);
}

#[test]
fn nothing_is_written_before_the_start_and_all_of_it_after() {
    let mut rig = Rig::new(200, 1000);
    assert_eq!(rig.push(300), 300);
    rig.tick(3);
    assert_eq!((rig.leg.sent.len(), rig.take()), (0, vec![]));
    rig.queue.start();
    rig.pump();
    rig.tick(20);
    assert_eq!(rig.leg.sent, (0..300).collect::<Vec<i16>>());
}

#[test]
fn a_clear_tells_what_was_heard_and_what_never_will_be() {
    let mut rig = Rig::started(100, 1000);
    rig.queue.open(name("u1")).unwrap();
    rig.push(150);
    rig.queue.mark("middle").unwrap();
    rig.push(100);
    rig.queue.close();
    rig.queue.open(name("u2")).unwrap();
    rig.push(30);
    rig.queue.mark("late").unwrap();
    rig.tick(2);
    assert_eq!(rig.take(), [started("u1")]);
    rig.queue.clear(7).unwrap();
    rig.queue.open(name("u3")).unwrap();
    rig.push(20);
    assert_eq!(rig.take(), []);
    rig.tick(1);
    let facts = rig.take();
    // 40 before the clear, 5 of fade.
    assert_eq!(facts[..2], [mark("middle", 45, true), cleared("u1", 45, 205)]);
    assert_eq!(facts[2..4], [mark("late", 45, true), cleared("u2", 0, 30)]);
    assert_eq!(facts[4..], [Fact::ClearDone { ticket: 7 }]);
    rig.tick(2);
    assert_eq!(rig.take(), [started("u3")]);
    rig.queue.close();
    rig.pump();
    rig.tick(1);
    assert_eq!(rig.take(), [completed("u3", 20)]);
    let heard: Vec<i16> = (0..45).chain(280..300).collect();
    assert_eq!(rig.leg.sent, heard);
}

#[test]
fn a_clear_of_nothing_is_done_at_once() {
    let mut rig = Rig::started(100, 1000);
    rig.queue.clear(1).unwrap();
    assert_eq!(rig.take(), [Fact::ClearDone { ticket: 1 }]);
    assert!(rig.leg.commands.is_empty());
}

#[test]
fn a_clear_before_the_start_needs_no_worker() {
    let mut rig = Rig::new(100, 1000);
    rig.push(80);
    rig.queue.clear(3).unwrap();
    let utterance = None;
    let told = Fact::Cleared { utterance, played_ms: 0, squeezed_ms: 0, discarded_ms: 80 };
    assert_eq!(rig.take(), [told, Fact::ClearDone { ticket: 3 }]);
    rig.queue.start();
    rig.push(10);
    rig.tick(1);
    assert_eq!(rig.leg.sent, (80..90).collect::<Vec<i16>>());
}

#[test]
fn one_utterance_can_be_cleared_wherever_it_lies() {
    for (ring, ticks, played) in [(500, 1, 25), (500, 0, 0), (60, 0, 0), (150, 0, 0)] {
        let mut rig = Rig::started(ring, 1000);
        for (text, samples) in [("a", 100), ("b", 100), ("c", 50)] {
            rig.queue.open(name(text)).unwrap();
            rig.push(samples);
            rig.queue.mark(text).unwrap();
            rig.queue.close();
        }
        rig.tick(ticks);
        let target = if ticks > 0 { "a" } else { "b" };
        assert_eq!(rig.queue.clear_utterance(target, 9), Ok(true));
        assert_eq!(rig.queue.clear_utterance("x", 9), Ok(false));
        rig.tick(20);
        let facts = rig.take();
        let told: Vec<&Fact> =
            facts.iter().filter(|fact| matches!(fact, Fact::Cleared { .. })).collect();
        let [Fact::Cleared { utterance, played_ms, discarded_ms, .. }] = told[..] else {
            panic!("{ring}: {facts:?}");
        };
        assert_eq!((utterance.as_deref(), played_ms + discarded_ms), (Some(target), 100));
        // One that lies behind another in the ring is cut after its first packet.
        assert!(*played_ms >= played && *played_ms <= played + 45, "{ring}: {facts:?}");
        assert_eq!(rig.leg.sent.len() as u64, 150 + played_ms, "{ring}");
        let marks = facts.iter().filter(|fact| matches!(fact, Fact::Mark { .. })).count();
        assert_eq!(marks, 3);
        assert!(facts.contains(&Fact::ClearDone { ticket: 9 }));
        assert_eq!(rig.queue.queued(), 0);
    }
}

#[test]
fn the_newest_is_refused_beyond_the_buffer_and_the_water_marks_are_told() {
    let mut rig = Rig::started(100, 400);
    assert_eq!(rig.push(299), 299);
    assert_eq!(rig.take(), []);
    assert_eq!(rig.push(200), 101);
    assert_eq!(rig.take(), [Fact::Flow { xoff: true, queued_ms: 400 }]);
    assert_eq!(rig.push(1), 0);
    rig.tick(9);
    assert!(rig.take().iter().all(|fact| !matches!(fact, Fact::Flow { .. })));
    rig.tick(1);
    assert_eq!(rig.take(), [Fact::Flow { xoff: false, queued_ms: 200 }]);
    rig.tick(20);
    assert_eq!(rig.leg.sent, (0..400).collect::<Vec<i16>>());
}

#[test]
fn marks_and_utterances_are_bounded() {
    let mut rig = Rig::new(100, 1000);
    rig.push(10);
    for index in 0..MARKS_MAX {
        rig.queue.mark(&index.to_string()).unwrap();
    }
    assert_eq!(rig.queue.mark("one more"), Err(Full::Marks));
    rig.queue.start();
    rig.pump();
    rig.tick(1);
    let marks = rig.take().iter().filter(|fact| matches!(fact, Fact::Mark { .. })).count();
    assert_eq!(marks, MARKS_MAX);
    assert_eq!(rig.queue.mark("room again"), Ok(()));

    let mut rig = Rig::new(100, 1000);
    rig.push(1);
    for _ in 1..UTTERANCES_MAX {
        rig.queue.open(name("u")).unwrap();
    }
    assert_eq!(rig.queue.open(name("u")), Err(Full::Utterances));
    rig.queue.clear(1).unwrap();
    assert_eq!(rig.queue.open(name("u")), Ok(()));
}

#[test]
fn many_marks_in_one_packet_are_told_with_that_packet() {
    let mut rig = Rig::started(400, 1000);
    for index in 0..200 {
        rig.push(1);
        rig.queue.mark(&index.to_string()).unwrap();
    }
    let mut told = 0;
    for tick in 1..=10 {
        rig.tick(1);
        told += rig.take().iter().filter(|fact| matches!(fact, Fact::Mark { .. })).count();
        assert!(told + 20 >= tick * 20, "{told} marks in tick {tick}");
    }
    rig.tick(1);
    assert_eq!(told + rig.take().len(), 200);
}

#[test]
fn drained_comes_behind_everything_or_with_the_clear() {
    let mut rig = Rig::started(100, 1000);
    rig.push(30);
    rig.queue.when_drained();
    rig.tick(1);
    assert!(!rig.take().contains(&Fact::Drained));
    rig.tick(1);
    assert_eq!(rig.take().last(), Some(&Fact::Drained));
    rig.push(100);
    rig.queue.when_drained();
    rig.queue.clear(1).unwrap();
    rig.pump();
    rig.tick(1);
    assert!(rig.take().contains(&Fact::Drained));
    rig.queue.when_drained();
    assert_eq!(rig.take(), [Fact::Drained]);
}

#[test]
fn a_lost_confirmation_does_not_hold_up_the_rest() {
    let mut rig = Rig::started(100, 1000);
    rig.push(80);
    rig.tick(1);
    rig.queue.clear(1).unwrap();
    rig.pump();
    rig.leg.tick();
    rig.leg.events.retain(|event| !matches!(event, Event::Cleared { .. }));
    rig.push(60);
    rig.queue.close();
    rig.pump();
    rig.tick(1);
    let told = rig.take();
    assert!(told.contains(&Fact::ClearDone { ticket: 1 }), "{told:?}");
    rig.tick(5);
    assert!(matches!(rig.take().last(), Some(Fact::Completed { played_ms: 60, .. })));
}

#[test]
fn commands_that_the_leg_refuses_are_sent_again_in_order() {
    let mut queue = PlayoutQueue::new(1000, 1000);
    let (_leg, mut writer, _) = FakeLeg::new(100, 20);
    queue.start();
    queue.push(&[1; 10]);
    queue.close();
    queue.pump(&mut writer);
    queue.send_commands(|_| false);
    assert!(queue.has_commands());
    let mut seen = Vec::new();
    queue.send_commands(|command| {
        seen.push(command);
        true
    });
    assert!(matches!(seen[..], [Command::Watch { .. }, .., Command::End { position: 10 }]));
    assert!(!queue.has_commands());
}

#[test]
fn a_halt_tells_everything_that_was_left() {
    let mut rig = Rig::started(100, 1000);
    rig.queue.open(name("u1")).unwrap();
    rig.push(150);
    rig.queue.mark("m").unwrap();
    rig.tick(2);
    rig.take();
    rig.queue.halt(rig.leg.sent.len() as u64);
    assert_eq!(rig.take(), [mark("m", 40, true), cleared("u1", 40, 110)]);
    assert_eq!((rig.push(5), rig.queue.queued()), (0, 0));
    rig.queue.halt(99);
    assert_eq!(rig.take(), []);
}

#[derive(Debug, Clone)]
enum Step {
    Open,
    Close,
    Push(usize),
    Mark,
    Clear,
    ClearUtterance(usize),
    Tick,
    /// A tick whose events the application sees later.
    LateTick,
    Start,
}

fn steps(with_single_clears: bool) -> impl Strategy<Value = Vec<Step>> {
    let single = if with_single_clears { 2 } else { 0 };
    let step = prop_oneof![
        3 => Just(Step::Open),
        2 => Just(Step::Close),
        8 => (0usize..120).prop_map(Step::Push),
        4 => Just(Step::Mark),
        2 => Just(Step::Clear),
        single => (0usize..4).prop_map(Step::ClearUtterance),
        10 => Just(Step::Tick),
        4 => Just(Step::LateTick),
        1 => Just(Step::Start),
    ];
    prop::collection::vec(step, 1..150)
}

/// What the application knows: every sample by utterance, every mark.
#[derive(Default)]
struct Model {
    /// Counters of the samples accepted under each name, `None` last.
    accepted: Vec<Vec<i16>>,
    open: Option<usize>,
    marks: usize,
}

fn run<L: Beat>(mut rig: Rig<L>, steps: &[Step], halt: bool) -> (Rig<L>, Model) {
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Open => {
                rig.queue.open(name(&model.accepted.len().to_string())).unwrap();
                model.open = Some(model.accepted.len());
                model.accepted.push(Vec::new());
            }
            Step::Close => {
                rig.queue.close();
                model.open = None;
            }
            Step::Push(samples) => {
                if model.open.is_none() {
                    rig.queue.open(name(&model.accepted.len().to_string())).unwrap();
                    model.open = Some(model.accepted.len());
                    model.accepted.push(Vec::new());
                }
                let first = rig.counter;
                let accepted = rig.push(*samples) as i16;
                let open = model.open.unwrap();
                model.accepted[open].extend(first..first + accepted);
            }
            Step::Mark => {
                rig.queue.mark(&model.marks.to_string()).unwrap();
                model.marks += 1;
            }
            Step::Clear => {
                rig.queue.clear(0).unwrap();
                model.open = None;
            }
            Step::ClearUtterance(back) => {
                let which = model.accepted.len().saturating_sub(*back);
                rig.queue.clear_utterance(&which.to_string(), 1).unwrap();
                if model.open == Some(which) {
                    model.open = None;
                }
            }
            Step::Tick => rig.tick(1),
            Step::LateTick => rig.leg.beat(),
            Step::Start => rig.queue.start(),
        }
        rig.pump();
    }
    finish(&mut rig, halt);
    (rig, model)
}

/// Plays everything out, or ends the call where it is.
fn finish<L: Beat>(rig: &mut Rig<L>, halt: bool) {
    if halt {
        rig.deliver();
        rig.queue.halt(rig.leg.sent());
    } else {
        rig.queue.start();
        rig.queue.close();
        rig.pump();
        rig.tick(160);
    }
    rig.pump();
}

/// Every utterance has one end that adds up, every mark is told once, every sample sent is told.
fn check<L: Beat>(rig: &Rig<L>, model: &Model, ordered: bool) -> Result<(), TestCaseError> {
    let mut ends = vec![0; model.accepted.len()];
    let (mut marks, mut told) = (Vec::new(), 0);
    for fact in &rig.facts {
        if let Fact::Mark { name, .. } = fact {
            marks.push(name.parse::<usize>().unwrap());
        }
        if let Some((index, played_ms, discarded_ms)) = ending(fact) {
            ends[index] += 1;
            told += played_ms;
            let accepted = model.accepted[index].len() as u64;
            prop_assert_eq!(played_ms + discarded_ms, accepted, "{} sums up", index);
        }
    }
    prop_assert_eq!(told, rig.leg.sent(), "sent and told");
    prop_assert!(ends.iter().all(|ends| *ends == 1), "ends told: {:?}", ends);
    if !ordered {
        marks.sort_unstable();
    }
    prop_assert_eq!(marks, (0..model.marks).collect::<Vec<_>>());
    prop_assert_eq!(rig.queue.queued(), 0);
    Ok(())
}

/// What was sent is what the facts say, sample by sample.
fn check_samples(rig: &Rig, model: &Model) -> Result<(), TestCaseError> {
    let mut sent = rig.leg.sent.clone();
    prop_assert!(sent.windows(2).all(|pair| pair[0] < pair[1]), "order or doubles");
    for (index, played_ms, _) in rig.facts.iter().filter_map(ending) {
        let heard = &model.accepted[index][..played_ms as usize];
        let before = sent.len();
        sent.retain(|sample| !heard.contains(sample));
        prop_assert_eq!(before - sent.len(), heard.len(), "{} was heard as told", index);
    }
    prop_assert!(sent.is_empty(), "sent but never told: {:?}", sent);
    Ok(())
}

/// The utterance that a fact ends, and its two lengths.
fn ending(fact: &Fact) -> Option<(usize, u64, u64)> {
    let (utterance, played_ms, discarded_ms) = match fact {
        Fact::Completed { utterance, played_ms, .. } => (utterance, *played_ms, 0),
        Fact::Cleared { utterance, played_ms, discarded_ms, .. } => {
            (utterance, *played_ms, *discarded_ms)
        }
        Fact::Started { .. }
        | Fact::Mark { .. }
        | Fact::Flow { .. }
        | Fact::ClearDone { .. }
        | Fact::Drained => return None,
    };
    Some((utterance.as_deref().unwrap().parse().unwrap(), played_ms, discarded_ms))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_sample_is_played_or_discarded_and_every_mark_told_in_order(
        steps in steps(false),
        halt in any::<bool>(),
    ) {
        let (rig, model) = run(Rig::new(90, 300), &steps, halt);
        check(&rig, &model, true)?;
        check_samples(&rig, &model)?;
    }

    #[test]
    fn clearing_single_utterances_keeps_the_sums(steps in steps(true), halt in any::<bool>()) {
        let (rig, model) = run(Rig::new(90, 300), &steps, halt);
        check(&rig, &model, false)?;
        check_samples(&rig, &model)?;
    }

    #[test]
    fn the_real_send_side_keeps_the_sums(steps in steps(true), halt in any::<bool>()) {
        let (leg, writer) = RealLeg::new(500);
        let (rig, model) = run(Rig::with(leg, writer, 1500), &steps, halt);
        check(&rig, &model, false)?;
    }

    #[test]
    fn the_real_send_side_keeps_the_order(steps in steps(false), halt in any::<bool>()) {
        let (leg, writer) = RealLeg::new(500);
        let (rig, model) = run(Rig::with(leg, writer, 1500), &steps, halt);
        check(&rig, &model, true)?;
    }
}

#[test]
fn lost_events_are_made_up_for() {
    let mut rig = Rig::started(200, 1000);
    rig.queue.open(name("u1")).unwrap();
    rig.push(50);
    rig.queue.close();
    rig.pump();
    for _ in 0..4 {
        rig.leg.tick();
    }
    rig.leg.events.clear();
    assert!(rig.queue.is_waiting());
    rig.queue.catch_up(rig.leg.sent());
    assert_eq!(rig.take(), [started("u1"), completed("u1", 50)]);
    assert!(!rig.queue.is_waiting());
}
