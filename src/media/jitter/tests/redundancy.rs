//! Packets that carry earlier ones again (RFC 2198).

use super::*;

const RED: u8 = 97;
const UNKNOWN: u8 = 99;

fn rig() -> Rig {
    let mut rig = Rig::new();
    let payloads = PayloadTable::standard()
        .with(EVENT, PayloadKind::TelephoneEvent)
        .with(RED, PayloadKind::Redundant);
    rig.buffer.set_payloads(payloads);
    rig.play_on(&[plain(0), plain(1)]);
    rig.told.clear();
    rig
}

/// The payload of a packet: its samples say which timestamp they belong to.
fn samples(ts: u32) -> Vec<u8> {
    let mut samples = vec![0x55; 160];
    samples[..4].copy_from_slice(&ts.to_be_bytes());
    samples
}

/// A packet with those before it that are `back` numbers ago.
fn redundant(sent: &Sent, back: &[u32]) -> Vec<u8> {
    let (mut headers, mut blocks) = (Vec::new(), Vec::new());
    for back in back {
        let [_, high, middle, low] = ((back * 160) << 10 | 0xa0).to_be_bytes();
        headers.extend([0x80 | sent.pt, high, middle, low]);
        blocks.extend(samples(sent.ts.wrapping_sub(back * 160)));
    }
    [headers, vec![sent.pt], blocks, samples(sent.ts)].concat()
}

impl Rig {
    /// Like `play`, without waiting for the end.
    fn play_on(&mut self, packets: &[Sent]) {
        for sent in packets {
            self.run_to(self.start + Duration::from_millis(sent.at_ms));
            self.insert(sent);
            self.drain();
        }
    }

    fn play_red(&mut self, sent: &Sent, payload: &[u8]) -> Inserted {
        self.run_to(self.start + Duration::from_millis(sent.at_ms));
        let packet = Packet {
            seq: Seq16(sent.seq),
            timestamp: Ts32(sent.ts),
            ssrc: Ssrc(sent.ssrc),
            payload_type: RED,
            marker: sent.marker,
            payload,
        };
        let inserted = self.buffer.insert(self.now, &packet);
        self.drain();
        inserted
    }

    fn play_all(&mut self, packets: &[(Sent, &[u32])]) {
        for (sent, back) in packets {
            self.play_red(sent, &redundant(sent, back));
        }
        self.run_to(self.now + Duration::from_secs(1));
    }
}

/// What is sent, each with what it repeats; what comes of it, and how many were restored.
type Row<'a> = (&'a str, &'a [(Sent, &'a [u32])], &'a [&'a str], u64);

#[test]
fn what_is_repeated_fills_holes_without_a_wait() {
    let rows: &[Row<'_>] = &[
        ("none lost", &[(plain(2), &[1, 2])], &["40 p320+160"], 0),
        ("one lost", &[(plain(3), &[1])], &["60 p320+160", "60 p480+160"], 1),
        (
            "two lost, the older first or last",
            &[(plain(4), &[2, 1]), (plain(7), &[1, 2])],
            &[
                "80 p320+160",
                "80 p480+160",
                "80 p640+160",
                "140 p800+160",
                "140 p960+160",
                "140 p1120+160",
            ],
            4,
        ),
        (
            "two lost, one repeated",
            &[(plain(4), &[1])],
            &["120 hole 320+160, 320 follow", "120 p480+160", "120 p640+160"],
            1,
        ),
        (
            "only the older one repeated",
            &[(plain(4), &[2])],
            &["80 p320+160", "120 hole 480+160, 160 follow", "120 p640+160"],
            1,
        ),
    ];
    for (name, packets, want, restored) in rows {
        let mut rig = rig();
        rig.play_all(packets);
        assert_eq!(rig.told, *want, "{name}");
        assert_eq!(rig.buffer.counters().restored, *restored, "{name}");
    }
}

#[test]
fn a_packet_that_comes_after_it_was_repeated_is_no_second_one() {
    let mut rig = rig();
    rig.play_red(&plain(3), &redundant(&plain(3), &[1]));
    assert_eq!(rig.play_red(&plain(2).at(70), &redundant(&plain(2), &[])), Inserted::Duplicate);
    // While its place is waited for, the packet itself is taken before its repetition.
    rig.play_red(&plain(6), &redundant(&plain(6), &[1]));
    assert_eq!(rig.insert(&plain(5)), Inserted::Stored);
    assert_eq!(rig.insert(&plain(5)), Inserted::Duplicate);
    rig.run_to(rig.now + Duration::from_secs(1));
    let counters = rig.buffer.counters();
    assert_eq!((counters.restored, counters.lost, counters.packets), (1, 1, 5));
}

#[test]
fn what_fits_no_place_is_passed_over() {
    let odd = |header: [u8; 4], octets: usize| {
        [&header[..], &[0], &vec![1; octets], &samples(480)].concat()
    };
    let hole = ["100 hole 320+160, 160 follow", "100 p480+160"];
    let rows: [(&str, Vec<u8>); 6] = [
        ("an age that is no whole number of packets", odd([0x80, 2, 0x84, 160], 160)),
        ("no age", odd([0x80, 0, 0, 160], 160)),
        ("another length", odd([0x80, 2, 0x80, 150], 150)),
        ("an unknown type", odd([0x80 | UNKNOWN, 2, 0x80, 160], 160)),
        ("digits", odd([0x80 | EVENT, 2, 0x80, 4], 4)),
        ("nothing", odd([0x80, 2, 0x80, 0], 0)),
    ];
    for (name, payload) in rows {
        let mut rig = rig();
        rig.play_red(&plain(3), &payload);
        rig.run_to(rig.now + Duration::from_secs(1));
        assert_eq!(rig.told, hole, "{name}");
    }
    let mut rig = rig();
    assert_eq!(rig.play_red(&plain(2), &[0x80, 0]), Inserted::Stored);
    assert_eq!(rig.play_red(&plain(3), &odd([0x80 | RED, 2, 0x80, 160], 160)), Inserted::Stored);
    assert_eq!(rig.told, ["60 silence 320+160", "60 p480+160"]);
    assert_eq!(rig.buffer.counters().unknown, 1, "malformed");
}

#[test]
fn a_pause_between_a_packet_and_what_it_repeats_stays_one() {
    let mut rig = rig();
    // Number 2 was before the pause; what is repeated has a time within it.
    let after = plain(3).shifted(1600).late(200).marked();
    rig.play_red(&after, &redundant(&after, &[1]));
    rig.run_to(rig.now + Duration::from_secs(1));
    let want = ["300 hole 320+160, 160 follow", "300 silence 480+1600", "300 p2080+160"];
    let lines: Vec<&str> = rig.told.iter().map(String::as_str).collect();
    assert_eq!(lines[1..], want[1..]);
    assert!(lines[0].starts_with("300 hole 320+160"), "{}", lines[0]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Loss and delay of a stream in which each packet repeats two: every sample stands at the
    /// position that its timestamp says, and only runs of three lost packets leave a hole.
    #[test]
    fn repeated_packets_stand_at_their_own_positions(
        seq: u16,
        ts: u32,
        fates in prop::collection::vec((0u8..10, 0u64..60), 30..200),
    ) {
        let mut rig = Rig::new();
        let payloads = PayloadTable::standard().with(RED, PayloadKind::Redundant);
        rig.buffer.set_payloads(payloads);
        let mut packets = Vec::new();
        for (i, (fate, delay)) in fates.iter().enumerate() {
            let sent = plain(u16::try_from(i).unwrap());
            match fate {
                0..=3 if i >= 2 => {}
                4 if i >= 2 => packets.push(sent.late(*delay)),
                _ => packets.push(sent),
            }
        }
        packets.sort_by_key(|sent| sent.at_ms);
        for sent in &packets {
            let moved = sent.seq(sent.seq.wrapping_add(seq)).shifted(ts);
            let back: &[u32] = if sent.seq < 2 { &[] } else { &[2, 1] };
            rig.play_red(&moved, &redundant(&moved, back));
        }
        rig.run_to(rig.now + Duration::from_secs(1));
        let counters = rig.buffer.counters();
        let came_out = rig.told.iter().filter(|line| line.contains(" p")).count() as u64;
        prop_assert_eq!(counters.packets + counters.restored, came_out);
        prop_assert_eq!(rig.expected, came_out * 160 + counters.hole_samples);
        prop_assert_eq!(rig.misplaced(ts), None);
        prop_assert_eq!(counters.silence_samples, 0);
    }
}
