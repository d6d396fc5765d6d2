//! One direction in virtual time: a caller whose clock and path the test makes, and a listener who
//! takes 5 ms at a time.

#![allow(
    clippy::unnecessary_wraps,
    clippy::cast_sign_loss,
    reason = "sounds and counts of a test, and one shape for all generators"
)]

use super::*;
use proptest::prelude::*;
use std::f32::consts::TAU;

const BEAT_US: i64 = 5_000;
/// Wait in the playout ring that the tests assume, as in a bridge of 20 ms packets.
const LEAD: Duration = Duration::from_millis(20);

/// A caller, the path, the leg's jitter buffer, and a listener.
struct Rig {
    rate: u32,
    frame: usize,
    /// Of the caller's clock against ours, in parts per million.
    ppm: i64,
    pace: Pace,
    start: Instant,
    /// Of ours.
    now_us: i64,
    /// Next packet, and what is on its way: arrival, number.
    sent: u64,
    flying: Vec<(i64, u64)>,
    /// Next packet in order, and since when a hole is waited for.
    expected: u64,
    hole_since: Option<i64>,
    out: Vec<i16>,
    made_up: usize,
}

impl Rig {
    fn new() -> Self {
        Self::with(8_000, 20, 0)
    }

    fn with(rate: u32, ptime_ms: usize, ppm: i64) -> Self {
        #[expect(clippy::disallowed_methods, reason = "an anchor for virtual time")]
        let start = Instant::now();
        let mut pace = Pace::new(SampleRate::new(rate).unwrap(), PaceSpec::default());
        pace.set_lead(LEAD);
        Self {
            rate,
            frame: rate as usize * ptime_ms / 1000,
            ppm,
            pace,
            start,
            now_us: 0,
            sent: 0,
            flying: Vec::new(),
            expected: 0,
            hole_since: None,
            out: Vec::new(),
            made_up: 0,
        }
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_micros(u64::try_from(self.now_us).unwrap())
    }

    /// When packet `n` leaves the caller, by our clock.
    fn leaves(&self, n: u64) -> i64 {
        let media = i64::try_from((n + 1) * self.frame as u64).unwrap() * 1_000_000;
        let us = media / i64::from(self.rate);
        us - us * self.ppm / 1_000_000
    }

    fn frame(&self, n: u64, sound: &dyn Fn(u64) -> i16) -> Vec<i16> {
        let first = n * self.frame as u64;
        (first..first + self.frame as u64).map(sound).collect()
    }

    fn push(&mut self, n: u64, kind: FrameKind, samples: &[i16]) {
        let header = FrameHeader {
            position: n * self.frame as u64,
            samples: u16::try_from(samples.len()).unwrap(),
            kind,
        };
        let now = self.now();
        self.pace.push(now, header, samples);
    }

    /// As the leg does: until the hole is heard.
    fn waits_for_hole(&self, since: i64) -> bool {
        let position = self.expected * self.frame as u64;
        let due = self.pace.due().and_then(|due| due.moment(position, self.rate));
        due.map_or(self.now_us - since < 40_000, |due| self.now() < due)
    }

    /// One beat. `path` says how late packet `n` is, in ms, or that it is lost.
    fn beat(&mut self, sound: &dyn Fn(u64) -> i16, path: &mut dyn FnMut(u64) -> Option<f32>) {
        while self.leaves(self.sent) <= self.now_us {
            if let Some(late) = path(self.sent) {
                #[expect(clippy::cast_possible_truncation, reason = "milliseconds")]
                let arrival = self.leaves(self.sent) + (late * 1000.0) as i64;
                self.flying.push((arrival, self.sent));
            }
            self.sent += 1;
        }
        let now = self.now_us;
        loop {
            let here = |(at, n): &&(i64, u64)| *at <= now && *n >= self.expected;
            let Some((at, n)) = self.flying.iter().filter(here).min_by_key(|f| f.1).copied() else {
                break;
            };
            if n > self.expected {
                let since = *self.hole_since.get_or_insert(at);
                if self.waits_for_hole(since) {
                    break;
                }
                let hole = vec![0; self.frame];
                while self.expected < n {
                    self.push(self.expected, FrameKind::Concealed, &hole);
                    self.expected += 1;
                }
            }
            let samples = self.frame(n, sound);
            self.push(n, FrameKind::Packet, &samples);
            self.expected = n + 1;
            self.hole_since = None;
        }
        self.flying.retain(|(_, n)| *n >= self.expected);
        let mut piece = vec![0; self.rate as usize / 200];
        let now = self.now();
        self.made_up += self.pace.pull(now, &mut piece);
        self.out.extend(piece);
        self.now_us += BEAT_US;
    }

    fn run(
        &mut self,
        seconds: f32,
        sound: &dyn Fn(u64) -> i16,
        path: &mut dyn FnMut(u64) -> Option<f32>,
    ) {
        #[expect(clippy::cast_possible_truncation, reason = "beats")]
        let beats = (seconds * 200.0) as i64;
        for _ in 0..beats {
            self.beat(sound, path);
        }
    }

    fn delay(&self) -> u64 {
        self.pace.report(self.now()).delay_ms
    }
}

/// Numbers that are nowhere alike.
fn noise(n: u64) -> i16 {
    let mixed = (n ^ 0x5851_f42d).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let [a, b, ..] = mixed.to_be_bytes();
    i16::from_be_bytes([a, b]) / 8
}

/// A steady voice of 120 Hz at 8 kHz: no pauses to catch up in.
fn voice(n: u64) -> i16 {
    let t = f32::from(u16::try_from(n % 8_000).unwrap()) / 8_000.0;
    let part = |k: u8| (TAU * 120.0 * t * f32::from(k)).sin() / f32::from(k);
    to_i16(3_000.0 * (1..6).map(part).sum::<f32>())
}

/// The same in words of 600 ms with pauses of 200 ms.
fn talk(n: u64) -> i16 {
    if n % 6_400 < 4_800 { voice(n) } else { noise(n) / 1_000 }
}

#[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
fn to_i16(sample: f32) -> i16 {
    sample as i16
}

fn on_time(_: u64) -> Option<f32> {
    Some(0.0)
}

/// The largest step from one sample to the next.
fn step(samples: &[i16]) -> i32 {
    samples.windows(2).map(|w| (i32::from(w[1]) - i32::from(w[0])).abs()).max().unwrap_or(0)
}

#[test]
fn a_perfect_path_is_passed_bit_exact_with_a_short_wait() {
    for (rate, ptime) in [(8_000, 20), (16_000, 20), (8_000, 10), (8_000, 60), (8_000, 30)] {
        let mut rig = Rig::with(rate, ptime, 0);
        rig.run(1.0, &noise, &mut on_time);
        assert!((35..=45).contains(&rig.delay()), "start: {} ms", rig.delay());
        rig.run(9.0, &noise, &mut on_time);
        // Noise has no likeness: the start's wait stays until it may be cut in any place.
        let report = rig.pace.report(rig.now());
        assert!(report.delay_ms <= 45, "{report:?}");
        assert_eq!((report.concealed_ms, report.stretched_ms, report.skipped_ms), (0, 0, 0));
        let tail = &rig.out[rig.out.len() - 8_000..];
        let first = (0..rig.sent * rig.frame as u64)
            .find(|&n| tail.iter().zip(n..).take(50).all(|(sample, n)| *sample == noise(n)));
        let first = first.expect("the last second is the caller's own samples");
        assert!(tail.iter().zip(first..).all(|(sample, n)| *sample == noise(n)), "{ptime} ms");
    }
}

#[test]
fn in_speech_the_wait_comes_down_to_the_least_within_seconds() {
    let mut rig = Rig::new();
    rig.run(2.0, &talk, &mut on_time);
    let start = rig.delay();
    rig.run(8.0, &talk, &mut on_time);
    let report = rig.pace.report(rig.now());
    println!("no jitter: {start} ms at first, {} ms then, ring included", report.delay_ms);
    assert!((35..=45).contains(&start), "{start}");
    assert!((25..=36).contains(&report.delay_ms), "{report:?}");
    assert_eq!((report.concealed_ms, report.skipped_ms), (0, 0), "{report:?}");
}

#[test]
fn a_burst_of_jitter_loses_nothing_and_is_caught_up_with() {
    for (name, sound) in [("speech", talk as fn(u64) -> i16), ("a steady voice", voice)] {
        let mut rig = Rig::new();
        rig.run(10.0, &sound, &mut on_time);
        let before = rig.pace.report(rig.now());
        // All packets wait 180 ms for the first, and come at once.
        let first = rig.sent;
        let mut burst = |n: u64| {
            let late = 180.0 - 20.0 * f32::from(u16::try_from(n - first).unwrap_or(u16::MAX));
            Some(late.max(0.0))
        };
        rig.run(0.3, &sound, &mut burst);
        let (grown, burst_at) = (rig.delay(), rig.now_us);
        let mut within = None;
        for _ in 0..1_000 {
            rig.beat(&sound, &mut burst);
            if within.is_none() && rig.delay() <= before.delay_ms + 20 {
                within = Some((rig.now_us - burst_at) / 1000);
            }
        }
        let after = rig.pace.report(rig.now());
        println!(
            "180 ms burst in {name}: {} -> {grown} ms, back after {within:?} ms; {after:?}",
            before.delay_ms
        );
        assert!((170..=200).contains(&grown), "{grown}");
        assert_eq!(after.skipped_ms, 0, "nothing is thrown away");
        assert!(within.is_some_and(|ms| ms <= 2_200), "{name}: {within:?}");
        assert!(after.squeezed_ms - before.squeezed_ms >= 120);
    }
}

#[test]
fn clocks_that_drift_are_followed_for_an_hour_without_a_click() {
    for (ppm, seconds) in [(200, 3_600), (-200, 3_600), (20, 900), (-20, 900)] {
        let mut rig = Rig::with(8_000, 20, ppm);
        rig.run(20.0, &voice, &mut on_time);
        let settled = rig.pace.report(rig.now());
        let limit = step(&(0..8_000).map(voice).collect::<Vec<_>>()) * 13 / 10;
        let (mut least, mut most, mut sharpest) = (u64::MAX, 0, 0);
        for _ in 0..seconds / 20 {
            let kept = rig.out.split_off(rig.out.len() - 1);
            rig.out = kept;
            rig.run(20.0, &voice, &mut on_time);
            sharpest = sharpest.max(step(&rig.out));
            (least, most) = (least.min(rig.delay()), most.max(rig.delay()));
        }
        let report = rig.pace.report(rig.now());
        println!("{ppm} ppm for {seconds} s: {least} to {most} ms, step {sharpest}; {report:?}");
        assert_eq!(report.concealed_ms - settled.concealed_ms, 0, "{ppm}: never dry");
        assert_eq!(report.skipped_ms, 0);
        assert!(least >= 22 && most <= 48, "{ppm}: {least} to {most} ms");
        assert!(sharpest <= limit, "{ppm}: a step of {sharpest}, {limit} allowed");
        let drifted = ppm.unsigned_abs() * seconds as u64 / 1000;
        let changed = if ppm > 0 { report.squeezed_ms } else { report.stretched_ms };
        assert!(changed.abs_diff(drifted) <= 60, "{ppm}: {changed} ms for {drifted}");
    }
}

#[test]
fn holes_are_concealed_when_due_and_the_legs_own_fill_is_not_played_twice() {
    let mut rig = Rig::new();
    rig.run(10.0, &talk, &mut on_time);
    let before = rig.pace.report(rig.now());
    // One packet in a hundred.
    rig.run(60.0, &talk, &mut |n| (n % 100 != 50).then_some(0.0));
    let report = rig.pace.report(rig.now());
    let (concealed, lost) = (report.concealed_ms - before.concealed_ms, 30 * 20);
    println!("1 % loss: {concealed} ms concealed for {lost} ms lost, {} ms delay", report.delay_ms);
    assert!(concealed <= 3 * lost, "{concealed}");
    assert_eq!(report.skipped_ms, 0);
    assert!(report.delay_ms <= 60, "{report:?}");
}

#[test]
fn sound_later_than_the_longest_delay_is_skipped_and_bounded() {
    let mut rig = Rig::new();
    rig.run(10.0, &talk, &mut on_time);
    let first = rig.sent;
    let mut stall = |n: u64| {
        let late = 600.0 - 20.0 * f32::from(u16::try_from(n - first).unwrap_or(u16::MAX));
        Some(late.max(0.0))
    };
    rig.run(0.7, &talk, &mut stall);
    assert!(rig.delay() <= 205, "{}", rig.delay());
    let skipped = rig.pace.report(rig.now()).skipped_ms;
    assert!((350..=460).contains(&skipped), "{skipped}");
    rig.run(4.0, &talk, &mut stall);
    assert!(rig.delay() <= 45, "{}", rig.delay());
}

#[test]
fn a_step_of_the_path_is_taken_in_both_ways() {
    let mut rig = Rig::new();
    rig.run(10.0, &talk, &mut on_time);
    let first = rig.sent;
    let mut path = |n: u64| Some(if (first..first + 500).contains(&n) { 80.0 } else { 0.0 });
    rig.run(8.0, &talk, &mut path);
    let report = rig.pace.report(rig.now());
    assert!(report.delay_ms <= 50, "re-based: {report:?}");
    assert!(report.concealed_ms <= 110 && report.skipped_ms <= 15, "{report:?}");
    rig.run(12.0, &talk, &mut path);
    let after = rig.pace.report(rig.now());
    assert!(after.delay_ms <= 50, "{after:?}");
    assert_eq!(after.skipped_ms, report.skipped_ms, "{after:?}");
}

#[test]
fn what_is_a_little_late_is_passed_over_and_what_was_made_up_is_told() {
    let mut rig = Rig::new();
    rig.run(10.0, &talk, &mut on_time);
    let (before, made_up) = (rig.pace.report(rig.now()), rig.made_up);
    let first = rig.sent;
    // Four packets come at once, the first of them 80 ms late.
    let mut spike = |n: u64| {
        let late = 80.0 - 20.0 * f32::from(u16::try_from(n - first).unwrap_or(u16::MAX));
        Some(late.max(0.0))
    };
    rig.run(1.0, &talk, &mut spike);
    let report = rig.pace.report(rig.now());
    let (concealed, skipped) =
        (report.concealed_ms - before.concealed_ms, report.skipped_ms - before.skipped_ms);
    assert!((60..=80).contains(&concealed), "{report:?}");
    assert!(concealed.abs_diff(skipped) <= 10, "in its own place: {report:?}");
    assert_eq!(rig.made_up - made_up, 8 * usize::try_from(concealed).unwrap());
    // What the leg made up is told, too.
    let before = rig.pace.report(rig.now());
    rig.push(rig.expected, FrameKind::Concealed, &[5; 160]);
    rig.expected += 1;
    let made_up = rig.made_up;
    rig.run(1.0, &talk, &mut on_time);
    let after = rig.pace.report(rig.now());
    let own = 8 * usize::try_from(after.concealed_ms - before.concealed_ms).unwrap();
    assert_eq!(rig.made_up - made_up, 160 + own);
}

#[test]
fn a_caller_who_pauses_or_is_held_comes_back_at_once() {
    let mut rig = Rig::new();
    rig.run(10.0, &talk, &mut on_time);
    let before = rig.pace.report(rig.now());
    // Ten minutes without a packet, while its clock goes on.
    let from = rig.sent;
    rig.run(600.0, &talk, &mut |n| (n < from).then_some(0.0));
    assert_eq!(rig.pace.held.len(), 0);
    let held = rig.pace.report(rig.now());
    rig.expected = rig.sent;
    rig.out.clear();
    rig.run(2.0, &talk, &mut on_time);
    let after = rig.pace.report(rig.now());
    assert_eq!(after.skipped_ms, 0);
    assert!(after.concealed_ms - held.concealed_ms <= 80, "{after:?}");
    assert!(after.delay_ms <= before.delay_ms + 30, "{after:?}");
    // And once more with a clock that stood still meanwhile.
    let (at, stood) = (rig.now_us, rig.sent);
    rig.now_us += 30_000_000;
    rig.expected = stood;
    for n in 0..100 {
        let samples = rig.frame(stood + n, &talk);
        rig.push(stood + n, FrameKind::Packet, &samples);
        for _ in 0..4 {
            let mut piece = [0; 40];
            let now = rig.now();
            rig.pace.pull(now, &mut piece);
            rig.now_us += BEAT_US;
        }
    }
    let last = rig.pace.report(rig.now());
    assert!(last.delay_ms <= 100 && last.skipped_ms <= 20, "{at}: {last:?}");
}

#[test]
fn nothing_heard_is_comfort_noise_and_no_panic() {
    let mut rig = Rig::new();
    rig.run(1.0, &talk, &mut |_| None);
    assert!(rig.out.iter().all(|sample| sample.abs() < 200));
    assert_eq!(rig.pace.report(rig.now()), PaceReport { target_ms: 40, ..PaceReport::default() });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_frames_at_any_times_are_survived_and_bounded(
        steps in prop::collection::vec((0_u64..40_000, 0_u16..1_000, 0_u8..3, 0_u64..900), 1..200),
    ) {
        let mut rig = Rig::new();
        let mut position = 0_u64;
        for (jump, samples, kind, ms) in steps {
            // Forwards mostly, and back at times.
            position = if jump % 17 == 0 { position / 2 } else { position + jump / 50 };
            let kind = [FrameKind::Packet, FrameKind::Concealed, FrameKind::Silence][usize::from(kind)];
            let header = FrameHeader { position, samples, kind };
            let now = rig.now();
            rig.pace.push(now, header, &vec![500; usize::from(samples)]);
            position += u64::from(samples);
            prop_assert!(rig.pace.held.len() <= 8_000);
            rig.now_us += i64::try_from(ms * 1000).unwrap();
            let now = rig.now();
            rig.pace.pull(now, &mut vec![0; usize::try_from(ms).unwrap()]);
            prop_assert!(rig.pace.made.len() <= 400);
            prop_assert!(rig.pace.report(now).target_ms <= 200);
        }
    }
}
