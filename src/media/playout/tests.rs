//! The send side against a virtual clock: one tick every 20 ms.

use super::*;
use crate::media::interface::CLEAR_FADE;
use crate::media::ring::{self, PlayoutWriter};
use proptest::prelude::*;

const FRAME: usize = 160;
const TICK: Duration = Duration::from_millis(20);

struct Rig {
    playout: Playout,
    writer: PlayoutWriter,
    stats: LegStats,
    events: Events,
    now: Instant,
    /// Everything that was sent.
    sent: Vec<i16>,
}

impl Rig {
    fn new() -> Self {
        Self::with_room(16_000)
    }

    fn with_room(capacity: usize) -> Self {
        Self::with_rule(capacity, StartRule::default())
    }

    fn with_rule(capacity: usize, rule: StartRule) -> Self {
        let (writer, reader) = ring::playout(capacity);
        let rate = SampleRate::HZ_8000;
        Self {
            playout: Playout::new(reader, capacity, rate, rule),
            writer,
            stats: LegStats::default(),
            events: Events::default(),
            now: start(),
            sent: Vec::new(),
        }
    }

    /// Queues a loud sound whose samples tell their position, from 1,000 up.
    fn push(&mut self, samples: usize) {
        let from = self.writer.position();
        let sound: Vec<i16> = (from..from + samples as u64).map(numbered).collect();
        assert_eq!(self.writer.push(&sound), samples, "the ring is full");
    }

    fn tick(&mut self) -> Vec<i16> {
        self.tick_sending(true)
    }

    fn tick_sending(&mut self, taken: bool) -> Vec<i16> {
        let mut frame = [-1; FRAME];
        self.playout.fill(self.now, &mut frame, &mut self.events);
        self.playout.settle(Some(taken), &self.stats, &mut self.events);
        self.now += TICK;
        self.sent.extend(frame);
        frame.to_vec()
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.events.pop()).collect()
    }
}

fn start() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "an anchor for virtual time")]
    Instant::now()
}

fn numbered(position: u64) -> i16 {
    i16::try_from(1_000 + position % 30_000).unwrap()
}

fn sound(from: u64, samples: usize) -> Vec<i16> {
    (from..from + samples as u64).map(numbered).collect()
}

fn silent(frame: &[i16]) -> bool {
    frame.iter().all(|s| *s == 0)
}

#[test]
fn sound_sent_ahead_plays_at_once_and_untouched() {
    let mut rig = Rig::with_room(100_000);
    rig.push(600 * FRAME);
    for n in 0..600 {
        assert_eq!(rig.tick(), sound(n * 160, FRAME), "frame {n}");
    }
    assert_eq!(rig.stats.tx_played_samples.read(), 96_000);
    assert_eq!(rig.events(), []);
}

#[test]
fn bursts_more_than_100_ms_apart_leave_no_gap_and_lose_nothing() {
    // As 602 frames broke a buffer of five: seven at a time, every 140 ms, a little out of step.
    for phase_ms in [0, 1, 7, 13, 19] {
        let mut rig = Rig::new();
        let origin = rig.now;
        rig.now += Duration::from_millis(phase_ms);
        let mut bursts = 0;
        while rig.sent.len() < 602 * FRAME {
            while bursts < 86 && rig.now >= origin + Duration::from_millis(140) * bursts {
                rig.push(7 * FRAME);
                bursts += 1;
            }
            rig.tick();
        }
        assert_eq!(rig.sent, sound(0, 602 * FRAME), "phase {phase_ms} ms");
        assert_eq!(rig.events(), []);
    }
}

#[test]
fn late_bursts_cost_one_gap_and_then_no_more() {
    // Every third burst is 9 ms late: the first late one shows how much reserve is needed.
    let mut rig = Rig::new();
    let origin = rig.now;
    let due = |n: u32| {
        let late = if n % 3 == 2 { 9 } else { 0 };
        origin + Duration::from_millis(140) * n + Duration::from_millis(late)
    };
    rig.now += Duration::from_millis(5);
    let mut bursts = 0;
    while rig.writer.position() < 100 * 1120 || rig.writer.queued() > 0 {
        while bursts < 100 && rig.now >= due(bursts) {
            rig.push(7 * FRAME);
            bursts += 1;
        }
        rig.tick();
    }
    assert_eq!(rig.events(), [Event::Underrun { samples: 160 }]);
    assert_eq!(rig.stats.tx_played_samples.read(), 112_000);
}

#[test]
fn steady_frames_wait_for_nothing() {
    let mut rig = Rig::new();
    for n in 0..100 {
        rig.push(FRAME);
        assert_eq!(rig.tick(), sound(n * 160, FRAME));
    }
}

#[test]
fn who_begins_just_before_the_beat_waits_for_the_next_one_and_is_not_cut() {
    for (before_ms, waits) in [(1, true), (2, true), (5, false), (19, false)] {
        let mut rig = Rig::new();
        let origin = rig.now;
        // Every seventh frame is 2 ms late.
        let came = |n: u32| origin + TICK * n + Duration::from_millis(u64::from(n % 7 == 6) * 2);
        rig.now += Duration::from_millis(before_ms);
        let mut frames = 0;
        for beat in 0..200 {
            while came(frames) <= rig.now {
                rig.writer.stamp(rig.writer.position(), came(frames));
                rig.push(FRAME);
                frames += 1;
            }
            let frame = rig.tick();
            // The leg tells its ledger.
            while rig.playout.taken().is_some() {}
            assert_eq!(silent(&frame), beat == 0 && waits, "{before_ms} ms, beat {beat}");
        }
        assert_eq!(rig.events(), [], "{before_ms} ms");
    }
}

#[test]
fn too_little_sound_waits_20_ms_beyond_the_threshold_at_most() {
    let ms = Duration::from_millis;
    let rule = StartRule { enough: ms(40), enough_max: ms(40) };
    let mut rig = Rig::with_rule(16_000, rule);
    rig.push(200);
    assert!(silent(&rig.tick()));
    assert!(silent(&rig.tick()));
    assert_eq!(rig.tick(), sound(0, FRAME), "40 ms after it was seen: the next tick is too late");
}

#[test]
fn a_client_whose_frames_come_late_now_and_then_pays_with_one_frame() {
    // Every tenth frame comes 9 ms late, of which 4 are too much for its packet.
    let mut rig = Rig::new();
    let origin = rig.now;
    let due = |n: u32| TICK * n + Duration::from_millis(if n % 10 == 9 { 9 } else { 0 });
    rig.now += Duration::from_millis(5);
    let mut frames = 0;
    while rig.writer.position() < 500 * FRAME as u64 || rig.writer.queued() > 0 {
        while frames < 500 && rig.now >= origin + due(frames) {
            rig.push(FRAME);
            frames += 1;
        }
        assert!(rig.writer.queued() <= 2 * FRAME, "{} samples ahead", rig.writer.queued());
        rig.tick();
    }
    assert_eq!(rig.events(), [Event::Underrun { samples: 160 }]);
}

#[test]
fn trailing_piece_plays_after_40_ms_without_more() {
    let mut rig = Rig::new();
    rig.push(100);
    assert!(silent(&rig.tick()));
    let frame = rig.tick();
    assert_eq!(frame[..100], sound(0, 100));
    assert!(!silent(&frame[100..140]), "a tail fades from the last sample");
    assert!(silent(&frame[140..]));
}

#[test]
fn announced_end_plays_at_once_pads_and_is_no_underrun() {
    let mut rig = Rig::new();
    rig.push(200);
    rig.playout.end_at(200);
    rig.playout.watch(200, 5);
    assert_eq!(rig.tick(), sound(0, FRAME));
    assert_eq!(rig.events(), []);
    let last = rig.tick();
    assert_eq!(last[..40], sound(160, 40));
    assert!(
        last[40] > 500 && last[40..80].iter().all(|s| *s >= 0) && last[79] < 50,
        "a fading tail: {last:?}"
    );
    assert!(silent(&last[80..]));
    assert_eq!(rig.events(), [Event::Reached { token: 5, position: 200 }]);
    for _ in 0..50 {
        assert!(silent(&rig.tick()));
    }
    rig.push(400);
    assert_eq!(rig.tick(), sound(200, FRAME), "a new beginning is not faded in");
    assert_eq!(rig.events(), []);
    assert_eq!(rig.stats.tx_underruns.read(), 0);
}

#[test]
fn end_on_a_frame_border_still_ends_without_a_click() {
    let mut rig = Rig::new();
    rig.push(2 * FRAME);
    rig.playout.end_at(320);
    rig.tick();
    assert_eq!(rig.tick(), sound(160, FRAME));
    let tail = rig.tick();
    assert!(tail[0] > 500 && tail[..40].iter().all(|s| *s >= 0) && silent(&tail[40..]));
    assert!(silent(&rig.tick()));
}

#[test]
fn end_that_sound_overtook_means_nothing() {
    let mut rig = Rig::new();
    rig.push(160);
    rig.playout.end_at(160);
    rig.push(320);
    for n in 0..3 {
        assert_eq!(rig.tick(), sound(n * 160, FRAME));
    }
    rig.tick();
    rig.push(320);
    rig.tick();
    assert!(matches!(rig.events()[..], [Event::Underrun { samples: 160 }]));
}

#[test]
fn underrun_fades_out_and_in_and_is_told_when_sound_is_back() {
    let mut rig = Rig::new();
    rig.push(400);
    rig.tick();
    rig.tick();
    let broken = rig.tick();
    assert_eq!(broken[..80], sound(320, 80));
    assert!(broken[80] > 500 && broken[119] < 50 && silent(&broken[120..]));
    for _ in 0..3 {
        assert!(silent(&rig.tick()));
    }
    assert_eq!(rig.events(), []);
    rig.push(800);
    let back = rig.tick();
    assert!(back[0] < 50 && back[..40].is_sorted(), "faded in");
    assert_eq!(back[40..], sound(440, 120));
    assert_eq!(rig.events(), [Event::Underrun { samples: 80 + 3 * 160 }]);
    assert_eq!(rig.tick(), sound(560, FRAME));
    assert_eq!(rig.stats.tx_underruns.read(), 1);
}

#[test]
fn underruns_teach_a_longer_start_and_ten_good_seconds_forget_it() {
    let mut rig = Rig::new();
    let wait = |rig: &mut Rig| {
        rig.push(320);
        let mut ticks = 0;
        while silent(&rig.tick()) {
            ticks += 1;
            assert!(ticks < 10);
        }
        rig.tick();
        rig.tick();
        ticks
    };
    // 40 ms play at once; with the third gap in a row they are enough only just, then no more.
    let waits: Vec<_> = (0..7).map(|_| wait(&mut rig)).collect();
    assert_eq!(waits, [0, 0, 0, 0, 3, 4, 5]);
    rig.playout.end_at(rig.writer.position());
    for _ in 0..1600 {
        rig.tick();
    }
    assert_eq!(wait(&mut rig), 0);
}

#[test]
fn long_pause_without_an_end_is_told_but_teaches_nothing() {
    let mut rig = Rig::new();
    rig.push(320);
    for _ in 0..102 {
        rig.tick();
    }
    rig.push(320);
    assert!(!silent(&rig.tick()));
    assert_eq!(rig.events(), [Event::Underrun { samples: 16_000 }]);
    rig.tick();
    rig.tick();
    rig.push(320);
    assert!(!silent(&rig.tick()), "40 ms still start at once");
}

#[test]
fn clear_fades_for_5_ms_and_says_exactly_what_was_heard() {
    let mut rig = Rig::new();
    rig.push(4_000);
    rig.playout.watch(160, 1);
    rig.playout.watch(360, 2);
    rig.playout.watch(361, 3);
    rig.playout.watch(4_000, 4);
    rig.tick();
    rig.tick();
    assert_eq!(rig.events(), [Event::Reached { token: 1, position: 160 }]);
    assert!(rig.playout.clear(4_000, 9, CLEAR_FADE));
    let last = rig.tick();
    assert!(last[0] > 1_200 && last[39] < 50 && last[..40].iter().rev().is_sorted());
    assert!(silent(&last[40..]));
    assert_eq!(
        rig.events(),
        [
            Event::Reached { token: 2, position: 360 },
            Event::Cleared { token: 9, played_to: 360, discarded: 3_640 }
        ]
    );
    assert!(silent(&rig.tick()));
    assert_eq!((rig.events(), rig.stats.tx_played_samples.read()), (vec![], 360));
}

#[test]
fn clear_spares_what_was_queued_after_it() {
    let mut rig = Rig::new();
    rig.push(1_000);
    rig.tick();
    rig.playout.clear(1_000, 1, CLEAR_FADE);
    rig.push(400);
    rig.playout.watch(1_400, 2);
    assert!(silent(&rig.tick()[40..]));
    assert_eq!(rig.tick(), sound(1_000, FRAME), "a new beginning");
    assert_eq!(rig.events(), [Event::Cleared { token: 1, played_to: 200, discarded: 800 }]);
    rig.tick();
    rig.tick();
    assert_eq!(rig.events(), [Event::Reached { token: 2, position: 1_400 }]);
}

#[test]
fn clear_with_less_than_a_fade_left_goes_on_with_a_tail() {
    let mut rig = Rig::new();
    rig.push(330);
    rig.tick();
    rig.tick();
    rig.playout.clear(330, 1, CLEAR_FADE);
    let last = rig.tick();
    assert!(last[..38].iter().all(|s| *s > 0) && last[39] < 50 && silent(&last[40..]));
    assert_eq!(rig.events(), [Event::Cleared { token: 1, played_to: 330, discarded: 0 }]);
    rig.playout.clear(330, 2, CLEAR_FADE);
    assert!(silent(&rig.tick()));
    assert_eq!(rig.events(), [Event::Cleared { token: 2, played_to: 330, discarded: 0 }]);
}

#[test]
fn clear_before_the_start_or_while_paused_is_silent() {
    let mut rig = Rig::new();
    rig.push(100);
    rig.playout.clear(100, 1, CLEAR_FADE);
    rig.playout.clear(100, 2, CLEAR_FADE);
    assert!(silent(&rig.tick()));
    assert_eq!(
        rig.events(),
        [
            Event::Cleared { token: 1, played_to: 0, discarded: 100 },
            Event::Cleared { token: 2, played_to: 100, discarded: 0 }
        ]
    );
    rig.push(800);
    rig.tick();
    rig.playout.pause(true);
    rig.tick();
    rig.playout.clear(900, 3, CLEAR_FADE);
    assert!(silent(&rig.tick()));
    assert_eq!(rig.events(), [Event::Cleared { token: 3, played_to: 260, discarded: 640 }]);
}

#[test]
fn clear_of_what_has_been_played_disturbs_nothing() {
    let mut rig = Rig::new();
    rig.push(800);
    rig.tick();
    rig.tick();
    rig.playout.clear(200, 1, CLEAR_FADE);
    assert_eq!(rig.tick(), sound(320, FRAME));
    assert_eq!(rig.events(), [Event::Cleared { token: 1, played_to: 200, discarded: 0 }]);
}

#[test]
fn pause_keeps_the_ring_and_resumes_with_a_fade() {
    let mut rig = Rig::new();
    rig.push(1_000);
    rig.tick();
    rig.playout.pause(true);
    let tail = rig.tick();
    assert!(tail[0] > 500 && silent(&tail[40..]));
    for _ in 0..100 {
        assert!(silent(&rig.tick()));
    }
    rig.playout.pause(false);
    let back = rig.tick();
    assert!(back[0] < 50);
    assert_eq!(back[40..], sound(200, 120));
    assert_eq!(rig.events(), []);
}

#[test]
fn marks_wait_for_a_packet_that_left() {
    let mut rig = Rig::new();
    rig.push(480);
    rig.playout.watch(0, 1);
    rig.playout.watch(100, 2);
    rig.tick_sending(false);
    assert_eq!(rig.events(), [Event::Reached { token: 1, position: 0 }]);
    rig.tick();
    assert_eq!(rig.events(), [Event::Reached { token: 2, position: 100 }]);
    assert_eq!(rig.stats.tx_played_samples.read(), 160, "the failed packet was not heard");
}

#[test]
fn marks_come_in_order_and_overflow_is_refused() {
    let mut rig = Rig::new();
    rig.push(320);
    for token in 0..u32::try_from(WATCHES).unwrap() {
        assert!(rig.playout.watch(u64::from(token), token));
    }
    assert!(!rig.playout.watch(200, 999));
    let mut tokens = Vec::new();
    for _ in 0..6 {
        rig.tick();
        tokens.extend(rig.events().into_iter().map(|event| match event {
            Event::Reached { token, .. } => token,
            other => panic!("{other:?}"),
        }));
    }
    assert_eq!(tokens, (0..128).collect::<Vec<_>>(), "what finds no room comes a tick later");
}

#[test]
fn hold_stops_reading_and_goes_on_with_a_fade() {
    let mut rig = Rig::new();
    rig.push(800);
    rig.tick();
    for _ in 0..5 {
        rig.playout.rest();
        rig.playout.settle(None, &rig.stats, &mut rig.events);
        rig.now += TICK;
    }
    let back = rig.tick();
    assert!(back[0] < 50);
    assert_eq!(back[40..], sound(200, 120));
    rig.playout.clear(800, 1, CLEAR_FADE);
    rig.playout.watch(800, 2);
    rig.playout.rest();
    rig.playout.settle(None, &rig.stats, &mut rig.events);
    assert_eq!(rig.events(), [Event::Cleared { token: 1, played_to: 320, discarded: 480 }]);
    rig.playout.watch(800, 3);
    rig.playout.settle(None, &rig.stats, &mut rig.events);
    assert_eq!(rig.events(), [Event::Reached { token: 3, position: 800 }]);
}

#[test]
fn writer_is_called_when_half_the_ring_is_free_and_after_a_clear() {
    let mut rig = Rig::with_room(1_600);
    rig.push(1_600);
    let called: Vec<bool> = (0..8)
        .map(|_| {
            rig.tick();
            rig.playout.take_room()
        })
        .collect();
    assert_eq!(called, [false, false, false, false, true, false, false, false]);
    rig.playout.clear(1_600, 1, CLEAR_FADE);
    rig.tick();
    assert!(rig.playout.take_room() && !rig.playout.take_room());
}

#[derive(Debug, Clone)]
enum Step {
    Push(usize),
    End,
    Clear,
    Watch(u64),
    Pause(bool),
    Tick(bool),
    Rest,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1_usize..700).prop_map(Step::Push),
        1 => Just(Step::End),
        1 => Just(Step::Clear),
        2 => (0_u64..1_000).prop_map(Step::Watch),
        1 => any::<bool>().prop_map(Step::Pause),
        8 => prop::bool::weighted(0.9).prop_map(Step::Tick),
        1 => Just(Step::Rest),
    ]
}

proptest! {
    #[test]
    fn every_sample_and_every_mark_is_accounted_for(steps in prop::collection::vec(step(), 1..300)) {
        let mut rig = Rig::with_room(4_000);
        let (mut watched, mut clears) = (Vec::new(), 0_u32);
        let (mut reached, mut cleared) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Push(samples) => {
                    let room = rig.writer.vacant().min(samples);
                    rig.push(room);
                }
                Step::End => rig.playout.end_at(rig.writer.position()),
                Step::Clear => {
                    if rig.playout.clear(rig.writer.position(), clears, CLEAR_FADE) {
                        clears += 1;
                    }
                }
                Step::Watch(back) => {
                    let position = rig.writer.position().saturating_sub(back);
                    let token = u32::try_from(watched.len()).unwrap();
                    if rig.playout.watch(position, token) {
                        watched.push(position);
                    }
                }
                Step::Pause(paused) => rig.playout.pause(paused),
                Step::Tick(taken) => {
                    let frame = rig.tick_sending(taken);
                    prop_assert!(frame.iter().all(|s| *s >= 0), "only our sound, faded: {frame:?}");
                }
                Step::Rest => {
                    rig.playout.rest();
                    rig.playout.settle(None, &rig.stats, &mut rig.events);
                }
            }
            for event in rig.events() {
                match event {
                    Event::Reached { token, .. } => reached.push(token),
                    Event::Cleared { played_to, discarded, .. } => cleared.push((played_to, discarded)),
                    Event::Underrun { samples } => prop_assert!(samples > 0),
                    other => prop_assert!(false, "{other:?}"),
                }
            }
        }
        // Play out what is left.
        rig.playout.pause(false);
        rig.playout.end_at(rig.writer.position());
        for _ in 0..200 {
            rig.tick();
            for event in rig.events() {
                match event {
                    Event::Reached { token, .. } => reached.push(token),
                    Event::Cleared { played_to, discarded, .. } => cleared.push((played_to, discarded)),
                    _ => {}
                }
            }
        }
        prop_assert_eq!(rig.writer.queued(), 0);
        prop_assert_eq!(cleared.len(), clears as usize);
        let discarded: u64 = cleared.iter().map(|(_, discarded)| discarded).sum();
        let position = rig.writer.position();
        prop_assert!(rig.stats.tx_played_samples.read() + discarded <= position);
        let forgotten = |at: u64| cleared.iter().any(|(to, n)| at > *to && at <= to + n);
        for (token, position) in watched.iter().enumerate() {
            let token = u32::try_from(token).unwrap();
            let times = reached.iter().filter(|t| **t == token).count();
            prop_assert!(times == 1 || (times == 0 && forgotten(*position)), "mark {token} {times} times");
        }
    }
}

#[test]
fn a_lowered_level_ramps_is_exact_and_ends_with_a_clear() {
    let mut rig = Rig::new();
    rig.push(160 * 4);
    rig.playout.set_level(20, Duration::from_millis(20));
    let ramp = rig.tick();
    assert!(ramp[0].abs() <= sound(0, 1)[0].abs());
    let low = rig.tick();
    for (got, full) in low.iter().zip(sound(160, 160)) {
        assert!((i32::from(*got) - i32::from(full) / 5).abs() <= 1, "{got} of {full}");
    }
    assert!(rig.playout.clear(640, 7, CLEAR_FADE));
    rig.tick();
    rig.push(320);
    assert_eq!(rig.tick(), sound(640, 160), "what follows a clear is as loud as ever");
}

#[test]
fn the_fade_of_a_clear_may_be_long_or_none() {
    for (ms, ticks) in [(0, 0), (5, 1), (20, 1), (50, 3), (100, 5), (300, 5)] {
        let mut rig = Rig::new();
        rig.push(4_000);
        rig.tick();
        assert!(rig.playout.clear(4_000, 9, Duration::from_millis(ms)));
        let fade = 8 * usize::try_from(ms.min(100)).unwrap();
        let mut heard = Vec::new();
        for _ in 0..ticks {
            assert_eq!(rig.events(), [], "{ms}: not before its end");
            heard.extend(rig.tick());
        }
        heard.extend(rig.tick());
        let played_to = (FRAME + fade) as u64;
        let discarded = 4_000 - played_to;
        assert_eq!(rig.events(), [Event::Cleared { token: 9, played_to, discarded }], "{ms}");
        assert!(silent(&heard[fade..]), "{ms}");
        let mut loudness = sound(160, fade).into_iter().zip(&heard).map(|(was, is)| {
            assert!((0..=was).contains(is), "{ms}");
            f32::from(*is) / f32::from(was)
        });
        let first = loudness.next().unwrap_or(1.0);
        assert!(first > 0.9 && loudness.is_sorted_by(|a, b| a >= &(b - 0.01)), "{ms}");
    }
}

#[test]
fn a_fade_goes_on_when_another_clear_comes_and_ends_when_the_ring_runs_dry() {
    let mut rig = Rig::new();
    rig.push(4_000);
    rig.tick();
    rig.playout.clear(4_000, 1, Duration::from_millis(100));
    rig.tick();
    rig.playout.clear(4_000, 2, CLEAR_FADE);
    assert!(!silent(&rig.tick()));
    assert_eq!(rig.events(), []);
    for _ in 0..4 {
        rig.tick();
    }
    assert_eq!(rig.events().len(), 2);
    let mut rig = Rig::new();
    rig.push(400);
    rig.tick();
    rig.playout.clear(400, 1, Duration::from_millis(100));
    rig.tick();
    let last = rig.tick();
    assert!(silent(&rig.tick()) && last.iter().rev().take(3).all(|sample| sample.abs() < 30));
    let cleared = Event::Cleared { token: 1, played_to: 400, discarded: 0 };
    assert_eq!(rig.events(), [cleared]);
}
