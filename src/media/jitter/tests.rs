//! Scenarios: packets with their arrival go in, decisions with their time come out as text.

use super::*;
use crate::rtp::seq::Seq16;
use proptest::prelude::*;

mod pauses;
mod redundancy;

const PCMU: u8 = 0;
const PCMA: u8 = 8;
const NOISE: u8 = 13;
const EVENT: u8 = 101;
const SPEC: JitterSpec = JitterSpec {
    hole_wait: Duration::from_millis(40),
    hole_wait_min: Duration::from_millis(20),
    hole_wait_max: Duration::from_millis(80),
};

/// One packet on its way.
#[derive(Debug, Clone, Copy)]
struct Sent {
    at_ms: u64,
    seq: u16,
    ts: u32,
    len: usize,
    pt: u8,
    marker: bool,
    ssrc: u32,
}

/// A packet of the plain stream: 20 ms of PCMU, number `i`, on time.
fn plain(i: u16) -> Sent {
    let (at_ms, ts) = (u64::from(i) * 20, u32::from(i) * 160);
    Sent { at_ms, seq: i, ts, len: 160, pt: PCMU, marker: false, ssrc: 1 }
}

impl Sent {
    fn at(self, at_ms: u64) -> Self {
        Self { at_ms, ..self }
    }

    fn late(self, ms: u64) -> Self {
        self.at(self.at_ms + ms)
    }

    fn seq(self, seq: u16) -> Self {
        Self { seq, ..self }
    }

    fn ts(self, ts: u32) -> Self {
        Self { ts, ..self }
    }

    fn shifted(self, ts: u32) -> Self {
        self.ts(self.ts.wrapping_add(ts))
    }

    fn len(self, len: usize) -> Self {
        Self { len, ..self }
    }

    fn pt(self, pt: u8) -> Self {
        Self { pt, ..self }
    }

    fn marked(self) -> Self {
        Self { marker: true, ..self }
    }

    fn ssrc(self, ssrc: u32) -> Self {
        Self { ssrc, ..self }
    }
}

/// A buffer on a virtual clock.
struct Rig {
    start: Instant,
    now: Instant,
    buffer: JitterBuffer,
    told: Vec<String>,
    /// Where the next decision about audio must begin.
    expected: u64,
    payload: Vec<u8>,
    /// Where each packet came out, and the timestamp that its first octets say.
    came_out: Vec<(u64, u32)>,
}

impl Rig {
    fn new() -> Self {
        let start = Instant::now();
        let payloads = PayloadTable::standard().with(EVENT, PayloadKind::TelephoneEvent);
        let buffer = JitterBuffer::new(start, 8000, SPEC, payloads);
        Self {
            start,
            now: start,
            buffer,
            told: Vec::new(),
            expected: 0,
            payload: Vec::new(),
            came_out: Vec::new(),
        }
    }

    fn insert(&mut self, sent: &Sent) -> Inserted {
        // The first octets say which timestamp the samples belong to.
        let mut payload = vec![0x55; sent.len.max(4)];
        payload[..4].copy_from_slice(&sent.ts.to_be_bytes());
        self.payload = payload;
        let packet = Packet {
            seq: Seq16(sent.seq),
            timestamp: Ts32(sent.ts),
            ssrc: Ssrc(sent.ssrc),
            payload_type: sent.pt,
            marker: sent.marker,
            payload: &self.payload[..sent.len],
        };
        self.buffer.insert(self.now, &packet)
    }

    /// Polls until it waits; says until when.
    fn drain(&mut self) -> Option<Instant> {
        loop {
            let at = self.now - self.start;
            let (line, next) = match self.buffer.poll(self.now) {
                Decision::Wait(until) => return until,
                Decision::Source { ssrc } => (format!("source {}", ssrc.0), None),
                Decision::Packet { position, codec, payload } => {
                    if let Some(octets) = payload.first_chunk() {
                        self.came_out.push((position, u32::from_be_bytes(*octets)));
                    }
                    let law = if codec == CodecId::Pcmu { "" } else { "a" };
                    let line = format!("p{law}{position}+{}", payload.len());
                    (line, Some((position, payload.len() as u64)))
                }
                Decision::Hole { position, samples, following } => {
                    let near: usize = following.map(|(_, payload)| payload.len()).sum();
                    let line = format!("hole {position}+{samples}, {near} follow");
                    (line, Some((position, u64::from(samples))))
                }
                Decision::Silence { position, samples, noise } => {
                    let level =
                        noise.map_or(String::new(), |noise| format!(" -{}", noise.told_level()));
                    (
                        format!("silence{level} {position}+{samples}"),
                        Some((position, u64::from(samples))),
                    )
                }
                Decision::Event { position, timestamp, .. } => {
                    (format!("event {} at {position}", timestamp.0), None)
                }
            };
            if let Some((position, samples)) = next {
                assert_eq!(position, self.expected, "positions leave a gap or overlap");
                self.expected += samples;
            }
            self.told.push(format!("{} {line}", at.as_millis()));
        }
    }

    /// Runs the clock to a moment, stopping at each deadline.
    fn run_to(&mut self, at: Instant) {
        while let Some(deadline) = self.drain().filter(|&deadline| deadline <= at) {
            assert!(deadline >= self.now, "a deadline in the past");
            self.now = deadline;
        }
        self.now = self.now.max(at);
        self.drain();
    }

    /// The first packet that does not stand where its timestamp says, if the first of all had
    /// `first`.
    fn misplaced(&self, first: u32) -> Option<(u64, u32)> {
        let placed = |(position, ts): &&(u64, u32)| u64::from(ts.wrapping_sub(first)) != *position;
        self.came_out.iter().find(placed).copied()
    }

    fn play(&mut self, packets: &[Sent]) {
        let mut packets = packets.to_vec();
        packets.sort_by_key(|p| p.at_ms);
        for sent in &packets {
            self.run_to(self.start + Duration::from_millis(sent.at_ms));
            self.insert(sent);
            self.drain();
        }
        let end = self.now + Duration::from_secs(1);
        self.run_to(end);
        assert_eq!(self.buffer.position(), self.expected);
    }
}

/// What is told about these packets, with the milliseconds.
fn told(packets: &[Sent]) -> Vec<String> {
    let mut rig = Rig::new();
    rig.play(packets);
    rig.told
}

/// What is told behind the two plain packets that the scenario begins with.
fn told_after_two(packets: &[Sent]) -> Vec<String> {
    let mut all = vec![plain(0), plain(1)];
    all.extend_from_slice(packets);
    let lines = told(&all);
    assert_eq!(lines[..3], ["0 source 1", "0 p0+160", "20 p160+160"]);
    lines[3..].to_vec()
}

#[test]
fn order_is_kept_and_nothing_is_delayed() {
    let lines = told_after_two(&[plain(2), plain(3).late(9), plain(4)]);
    assert_eq!(lines, ["40 p320+160", "69 p480+160", "80 p640+160"]);
}

#[test]
fn holes_are_waited_for_from_the_first_later_packet() {
    let rows: &[(&str, &[Sent], &[&str])] = &[
        (
            "one lost",
            &[plain(3), plain(4), plain(5)],
            &["100 hole 320+160, 320 follow", "100 p480+160", "100 p640+160", "100 p800+160"],
        ),
        (
            "one late, in time",
            &[plain(3), plain(2).at(99), plain(4).at(99)],
            &["99 p320+160", "99 p480+160", "99 p640+160"],
        ),
        (
            "one too late",
            &[plain(3), plain(2).at(101), plain(4).at(102)],
            &["100 hole 320+160, 160 follow", "100 p480+160", "102 p640+160"],
        ),
        (
            "swapped neighbours",
            &[plain(3).at(50), plain(2).at(55), plain(4)],
            &["55 p320+160", "55 p480+160", "80 p640+160"],
        ),
        (
            "burst of three",
            &[plain(5), plain(6)],
            &["140 hole 320+480, 320 follow", "140 p800+160", "140 p960+160"],
        ),
        (
            "two holes, each with its own clock",
            &[plain(3), plain(5), plain(6)],
            &[
                "100 hole 320+160, 160 follow",
                "100 p480+160",
                "140 hole 640+160, 320 follow",
                "140 p800+160",
                "140 p960+160",
            ],
        ),
        (
            "two lost of which one comes, 35 ms late, which widens the window",
            &[plain(4), plain(3).at(115), plain(5)],
            &["124 hole 320+160, 480 follow", "124 p480+160", "124 p640+160", "124 p800+160"],
        ),
        (
            "duplicates",
            &[plain(2), plain(2), plain(1), plain(0), plain(3)],
            &["40 p320+160", "60 p480+160"],
        ),
    ];
    for (name, packets, want) in rows {
        assert_eq!(told_after_two(packets), *want, "{name}");
    }
}

#[test]
fn a_hole_is_declared_when_it_is_heard() {
    // When position 0 is heard, and when the hole at 320 is told, whose successor comes at 60 ms.
    for (heard_ms, told_ms) in [(90, 130), (30, 70), (10, 60), (0, 60), (5_000, 560)] {
        let mut rig = Rig::new();
        let at = rig.start + Duration::from_millis(heard_ms);
        rig.buffer.set_due(Some(Due { position: 0, at }));
        rig.play(&[plain(0), plain(1), plain(3)]);
        let want = format!("{told_ms} hole 320+160, 160 follow");
        assert_eq!(rig.told[3], want, "heard at {heard_ms}");
    }
    let mut rig = Rig::new();
    rig.buffer.set_due(Some(Due { position: 800, at: rig.start + Duration::from_millis(190) }));
    rig.play(&[plain(0), plain(1), plain(3)]);
    assert_eq!(rig.told[3], "130 hole 320+160, 160 follow", "as told for a later position");
    rig.buffer.set_due(None);
    assert_eq!(rig.buffer.window(), SPEC.hole_wait);
}

#[test]
fn nothing_is_lost_when_a_path_becomes_shorter() {
    let late = (2..5).map(|i| plain(i).late(80));
    let packets: Vec<Sent> = late.chain((5..8).map(plain)).collect();
    let want = [
        "120 p320+160",
        "140 p480+160",
        "160 p640+160",
        "160 p800+160",
        "160 p960+160",
        "160 p1120+160",
    ];
    assert_eq!(told_after_two(&packets), want);
}

#[test]
fn nothing_is_lost_in_a_stall() {
    let burst: Vec<Sent> = (2..40).map(|i| plain(i).at(900)).collect();
    let lines = told_after_two(&burst);
    assert_eq!(lines.len(), 38);
    assert!(lines.iter().all(|l| l.starts_with("900 p")));
}

#[test]
fn counters_tell_what_happened() {
    let mut rig = Rig::new();
    let mut packets: Vec<Sent> = (0..100).map(plain).collect();
    packets.remove(90);
    packets[50] = packets[50].late(30);
    packets[60] = packets[60].late(100);
    packets.extend([plain(70), plain(70).pt(99).late(1), plain(60).at(1400)]);
    packets.push(plain(100).pt(77));
    rig.play(&packets);
    let counters = *rig.buffer.counters();
    let want = JitterCounters {
        packets: 98,
        lost: 1,
        restored: 0,
        duplicate: 3,
        reordered: 1,
        late: 1,
        unknown: 2,
        overflow: 0,
        sources: 1,
        hole_samples: 320,
        silence_samples: 0,
    };
    assert_eq!(counters, want);
    assert!(rig.buffer.window() > SPEC.hole_wait, "the late packet did not widen the window");
    let report = rig.buffer.report().unwrap();
    assert_eq!((report.ssrc, report.highest & 0xffff), (Ssrc(1), 100));
}

#[test]
fn numbers_and_timestamps_wrap() {
    for (seq, ts) in [(65_530, 0), (0, u32::MAX - 700), (65_533, u32::MAX - 479), (32_760, 1 << 31)]
    {
        let moved = |i: u16| plain(i).seq(i.wrapping_add(seq)).shifted(ts);
        let mut packets: Vec<Sent> = (0..12).map(moved).collect();
        packets[3] = packets[3].late(25);
        packets.remove(6);
        let want = [
            "0 source 1",
            "0 p0+160",
            "20 p160+160",
            "40 p320+160",
            "85 p480+160",
            "85 p640+160",
            "100 p800+160",
            "180 hole 960+160, 320 follow",
            "180 p1120+160",
            "180 p1280+160",
            "180 p1440+160",
            "200 p1600+160",
            "220 p1760+160",
        ];
        assert_eq!(told(&packets), want, "{seq} {ts}");
    }
}

#[test]
fn packets_of_any_length_keep_the_positions_exact() {
    for len in [1usize, 7, 80, 81, 160, 163, 240, 320, 479, 480] {
        let ms = |i: u16| u64::from(i) * len as u64 / 8;
        #[expect(clippy::cast_possible_truncation, reason = "small")]
        let one = |i: u16| plain(i).at(ms(i)).ts(u32::from(i) * len as u32).len(len);
        let packets: Vec<Sent> = (0..40).filter(|i| ![7, 20, 21].contains(i)).map(one).collect();
        let mut rig = Rig::new();
        rig.play(&packets);
        assert_eq!(rig.expected, 40 * len as u64, "{len}");
        assert_eq!(rig.buffer.counters().hole_samples, 3 * len as u64, "{len}");
    }
    // One packet of 60 ms lost among those of 20.
    let packets = [plain(3).seq(2).ts(320).at(40), plain(4).ts(320 + 160 + 480).at(120)];
    assert_eq!(
        told_after_two(&packets),
        ["40 p320+160", "160 hole 480+480, 160 follow", "160 p960+160"]
    );
    let too_long = [plain(2).len(481), plain(3).shifted(321)];
    assert_eq!(told_after_two(&too_long), ["60 silence 320+481", "60 p801+160"]);
}

#[test]
fn payload_types_may_change_and_unknown_ones_are_no_loss() {
    let rows: &[(&str, &[Sent], &[&str])] = &[
        ("law", &[plain(2).pt(PCMA), plain(3)], &["40 pa320+160", "60 p480+160"]),
        (
            "unknown in between",
            &[plain(2).pt(99), plain(3)],
            &["60 silence 320+160", "60 p480+160"],
        ),
        ("unknown beside", &[plain(2).pt(99), plain(3).ts(320)], &["60 p320+160"]),
        ("empty", &[plain(2).len(0), plain(3).ts(320)], &["40 p320+0", "60 p320+160"]),
    ];
    for (name, packets, want) in rows {
        assert_eq!(told_after_two(packets), *want, "{name}");
    }
}

#[test]
fn gaps_in_time_are_silence_or_another_clock() {
    let rows: &[(&str, &[Sent], &[&str])] = &[
        (
            "marker: silence at the media clock",
            &[plain(2).marked().late(400).shifted(3200), plain(3).late(400).shifted(3200)],
            &["440 silence 320+3200", "440 p3520+160", "460 p3680+160"],
        ),
        ("no marker: spliced on", &[plain(2).shifted(3200).late(400)], &["440 p320+160"]),
        (
            "backward: spliced on",
            &[plain(2).shifted(u32::MAX - 100_000), plain(3).shifted(u32::MAX - 100_000)],
            &["40 p320+160", "60 p480+160"],
        ),
        (
            "marker with a jump no clock explains: spliced on",
            &[plain(2).marked().shifted(160_000), plain(3).shifted(160_000)],
            &["40 p320+160", "60 p480+160"],
        ),
        (
            "marker after an hour: another clock, not an hour of silence",
            &[plain(2).marked().late(3_600_000).shifted(8 * 3_600_000)],
            &["3600040 p320+160"],
        ),
        (
            "sloppy timestamps: no storm",
            &[plain(2).shifted(3), plain(3).shifted(1), plain(4).shifted(u32::MAX)],
            &["40 p320+160", "60 p480+160", "80 p640+160"],
        ),
        (
            "comfort noise, then speech without a marker",
            &[plain(2).pt(NOISE).len(1), plain(3).late(200).shifted(1600)],
            &[
                "140 silence -0 320+160",
                "160 silence -0 480+160",
                "180 silence -0 640+160",
                "200 silence -0 800+160",
                "220 silence -0 960+160",
                "240 silence -0 1120+160",
                "260 silence -0 1280+160",
                "260 silence -0 1440+640",
                "260 p2080+160",
            ],
        ),
        (
            "comfort noise again and again",
            &[plain(2).pt(NOISE).len(1), plain(3).pt(NOISE).len(2), plain(4)],
            &["60 silence -0 320+160", "80 silence -0 480+160", "80 p640+160"],
        ),
        (
            "loss, then a pause",
            &[plain(3).marked().late(400).shifted(3200)],
            &["500 hole 320+160, 0 follow", "500 silence 480+3200", "500 p3680+160"],
        ),
        (
            "loss in a pause",
            &[plain(2).pt(NOISE).len(1), plain(4)],
            &["120 silence -0 320+320", "120 p640+160"],
        ),
        (
            "loss, and another clock",
            &[plain(3).shifted(1 << 30), plain(4).shifted(1 << 30)],
            &["100 hole 320+160, 320 follow", "100 p480+160", "100 p640+160"],
        ),
    ];
    for (name, packets, want) in rows {
        assert_eq!(told_after_two(packets), *want, "{name}");
    }
}

#[test]
fn silence_in_a_stall_is_kept_though_it_arrives_at_once() {
    let behind: Vec<Sent> = (2..60)
        .map(|i| {
            let pause = if i >= 30 { 24_000 } else { 0 };
            let sent = plain(i).shifted(pause).at(5000);
            if i == 30 { sent.marked() } else { sent }
        })
        .collect();
    let lines = told_after_two(&behind);
    assert!(lines.contains(&"5000 silence 4800+24000".to_string()), "{lines:?}");
    assert_eq!(lines.last().unwrap(), &format!("5000 p{}+160", 59 * 160 + 24_000));
}

#[test]
fn outages_keep_the_clock_with_a_bounded_hole() {
    // Five seconds lost: 250 packets, more than there are slots.
    let packets = [plain(252), plain(253)];
    assert_eq!(
        told_after_two(&packets),
        [
            "5080 hole 320+16000, 0 follow",
            "5080 silence 16320+24000",
            "5080 p40320+160",
            "5080 p40480+160",
        ][..]
    );
}

#[test]
fn events_take_no_time_and_pause_the_audio() {
    let event = |i: u16| plain(i).ts(320).pt(EVENT).len(4);
    let whole = [event(2).marked(), event(3), event(4), event(5), plain(6), plain(7)];
    assert_eq!(
        told_after_two(&whole),
        [
            "40 event 320 at 320",
            "60 event 320 at 320",
            "80 event 320 at 320",
            "100 event 320 at 320",
            "120 silence 320+640",
            "120 p960+160",
            "140 p1120+160",
        ]
    );
    let lost_end = [event(2), plain(6), plain(7)];
    assert_eq!(
        told_after_two(&lost_end),
        ["40 event 320 at 320", "160 silence 320+640", "160 p960+160", "160 p1120+160"]
    );
    let repeated_end = [event(2), event(3), plain(4), event(5), plain(6).ts(800)];
    assert_eq!(
        told_after_two(&repeated_end),
        [
            "40 event 320 at 320",
            "60 event 320 at 320",
            "80 silence 320+320",
            "80 p640+160",
            "100 event 320 at 320",
            "120 p800+160",
        ]
    );
    let audio_lost_before = [event(3).ts(480), event(4).ts(480)];
    assert_eq!(
        told_after_two(&audio_lost_before),
        ["100 hole 320+160, 0 follow", "100 event 480 at 480", "100 event 480 at 480"]
    );
}

#[test]
fn the_first_source_is_believed_by_its_first_packet() {
    assert_eq!(told(&[plain(5), plain(5)]), ["100 source 1", "100 p0+160"]);
    let after_loss = told(&[plain(0), plain(2), plain(3), plain(4)]);
    assert_eq!(
        after_loss,
        [
            "0 source 1",
            "0 p0+160",
            "80 hole 160+160, 320 follow",
            "80 p320+160",
            "80 p480+160",
            "80 p640+160"
        ]
    );
    // What was sent before the first that came is not waited for.
    let swapped = told(&[plain(1).at(0), plain(0).at(1), plain(2), plain(3)]);
    assert_eq!(swapped, ["0 source 1", "0 p0+160", "40 p160+160", "60 p320+160"]);
    // Of what cannot be heard nothing is believed.
    let unknown = plain(0).pt(99);
    assert_eq!(told(&[unknown]), Vec::<String>::new());
}

#[test]
fn another_source_takes_over_when_it_is_confirmed() {
    let other = |i: u16| plain(i).seq(i.wrapping_add(40_000)).shifted(1 << 31).ssrc(2);
    assert_eq!(
        told_after_two(&[other(2), other(3), other(4), plain(5)]),
        ["60 source 2", "60 p320+160", "60 p480+160", "80 p640+160"]
    );
    // One packet of a stranger changes nothing.
    assert_eq!(
        told_after_two(&[other(2), plain(2), plain(3), other(3), plain(4)]),
        ["40 p320+160", "60 p480+160", "80 p640+160"]
    );
    // Two sources at once: the one that was there stays.
    let both: Vec<Sent> = (2..50).flat_map(|i| [plain(i), other(i)]).collect();
    assert_eq!(told_after_two(&both).len(), 48);
    // What waits behind a hole comes out before.
    assert_eq!(
        told_after_two(&[plain(3), other(4).at(65), other(5).at(70)]),
        ["70 hole 320+160, 160 follow", "70 p480+160", "70 source 2", "70 p640+160", "70 p800+160",]
    );
}

#[test]
fn a_source_that_starts_over_goes_on() {
    let again = |i: u16| plain(i).seq(i.wrapping_add(30_000)).shifted(77_777);
    assert_eq!(
        told_after_two(&[again(2), again(3), again(4)]),
        ["60 source 1", "60 p320+160", "60 p480+160", "80 p640+160"]
    );
    assert_eq!(
        told_after_two(&[again(2), plain(2).at(41), plain(3), plain(4)]),
        ["41 p320+160", "60 p480+160", "80 p640+160"],
        "a single odd number"
    );
}

#[test]
fn a_caller_that_does_not_poll_loses_packets_but_no_sense() {
    let mut rig = Rig::new();
    rig.play(&[plain(0), plain(1)]);
    rig.run_to(rig.start + Duration::from_secs(4));
    assert_eq!(rig.insert(&plain(200)), Inserted::Stored);
    assert_eq!(rig.insert(&plain(201)), Inserted::Overflow);
    rig.drain();
    assert_eq!(rig.insert(&plain(202)), Inserted::Stored);
    rig.run_to(rig.now + Duration::from_secs(1));
    assert_eq!(rig.buffer.counters().overflow, 1);
    assert_eq!(rig.expected, 203 * 160);
}

#[test]
fn long_packets_wait_for_more_than_a_second() {
    let long = |i: u16| Sent { ts: u32::from(i) * 480, len: 480, at_ms: 60, ..plain(i) };
    let mut rig = Rig::new();
    rig.play(&[long(0), long(1)]);
    for i in 3..24 {
        assert_eq!(rig.insert(&long(i)), Inserted::Stored);
    }
    assert_eq!(rig.buffer.counters().overflow, 0);
    // One more than 21 keeps its number, but not its sound.
    assert_eq!(rig.insert(&long(24)), Inserted::Stored);
    assert_eq!(rig.buffer.counters().overflow, 1);
    rig.run_to(rig.now + Duration::from_secs(1));
    assert_eq!(rig.insert(&long(25)), Inserted::Stored);
    rig.drain();
    assert_eq!((rig.buffer.counters().packets, rig.expected), (24, 26 * 480));
}

#[test]
fn the_window_follows_the_reordering() {
    let mut rig = Rig::new();
    let packets: Vec<Sent> =
        (0..6000u16).map(|i| if i % 20 == 7 { plain(i).late(75) } else { plain(i) }).collect();
    rig.play(&packets);
    let window = rig.buffer.window();
    assert!((55..=75).contains(&window.as_millis()), "{window:?}");
    let late = rig.buffer.counters().late;
    assert!(late <= 3, "{late} packets came too late for a window that adapts");
}

#[test]
fn the_corpus_is_survived() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/jitter");
    let seeds: Vec<_> = std::fs::read_dir(corpus).unwrap().collect();
    assert!(seeds.len() >= 18);
    for seed in seeds {
        fuzz_history(&std::fs::read(seed.unwrap().path()).unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Loss, delay and duplication of a plain stream from any start.
    #[test]
    fn every_packet_at_most_once_at_its_own_position(
        seq: u16,
        ts: u32,
        fates in prop::collection::vec((0u8..20, 0u64..120), 30..300),
    ) {
        let mut packets = Vec::new();
        for (i, (fate, delay)) in fates.iter().enumerate() {
            let i = u16::try_from(i).unwrap();
            let sent = plain(i).seq(i.wrapping_add(seq)).shifted(ts);
            match fate {
                _ if i < 3 => packets.push(sent),
                0 | 1 => {}
                2 => packets.push(sent.late(*delay)),
                3 => packets.extend([sent, sent.late(*delay)]),
                _ => packets.push(sent),
            }
        }
        let mut rig = Rig::new();
        rig.play(&packets);
        let counters = rig.buffer.counters();
        let came_out = rig.told.iter().filter(|l| l.contains(" p")).count();
        prop_assert_eq!(counters.packets, came_out as u64);
        prop_assert_eq!(counters.overflow, 0);
        // The sum of all that was told is the advance of the media clock, to the last packet.
        prop_assert_eq!(rig.misplaced(ts), None);
        prop_assert_eq!(rig.expected % 160, 0);
        prop_assert_eq!(
            rig.expected,
            came_out as u64 * 160 + counters.hole_samples + counters.silence_samples
        );
        prop_assert!(rig.expected <= fates.len() as u64 * 160);
        prop_assert_eq!(counters.silence_samples, 0);
        prop_assert_eq!(counters.hole_samples, (counters.lost + counters.late) * 160);
    }

    #[test]
    fn any_history_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        fuzz_history(&bytes);
    }
}
