//! Pauses that the sender told of (RFC 3389), and streams in which everything changes.

use super::*;

/// Two plain packets and comfort noise, at 40 ms.
fn paused() -> Rig {
    let mut rig = Rig::new();
    for sent in [plain(0), plain(1), plain(2).pt(NOISE).len(1)] {
        rig.run_to(rig.start + Duration::from_millis(sent.at_ms));
        rig.insert(&sent);
        rig.drain();
    }
    rig.told.clear();
    rig
}

#[test]
fn silence_passes_while_the_sender_pauses() {
    let mut rig = paused();
    rig.run_to(rig.start + Duration::from_secs(2));
    assert_eq!(rig.told.first().unwrap(), "140 silence -0 320+160");
    assert_eq!(rig.told.len(), 94, "20 ms every 20 ms, 80 ms behind");
    // A refresh changes nothing about the time; what is spoken then stands at its own.
    rig.told.clear();
    rig.insert(&plain(3).ts(320 + 8 * 1960).pt(NOISE).len(1));
    rig.run_to(rig.start + Duration::from_millis(2_490));
    rig.insert(&plain(4).ts(320 + 8 * 2_440).at(2_490));
    rig.drain();
    assert_eq!(rig.told.last().unwrap(), &format!("2490 p{}+160", 320 + 8 * 2_440));
    rig.told.clear();
    rig.run_to(rig.now + Duration::from_secs(9));
    assert_eq!(rig.told, Vec::<String>::new(), "the pause is over: nothing is told of a stall");
}

#[test]
fn a_pause_ends_after_a_minute_without_a_word() {
    let mut rig = paused();
    rig.run_to(rig.start + Duration::from_mins(10));
    assert_eq!(rig.expected, 320 + 60 * 8_000);
    assert_eq!(rig.drain(), None);
}

#[test]
fn words_later_than_the_lag_are_spliced_on() {
    let mut rig = paused();
    rig.run_to(rig.start + Duration::from_millis(500));
    let told = rig.expected;
    rig.insert(&plain(3).ts(320 + 8 * 300).at(500));
    rig.insert(&plain(4).ts(480 + 8 * 300).at(500));
    rig.run_to(rig.start + Duration::from_millis(600));
    assert!(told > 320 + 8 * 300);
    assert_eq!(
        rig.told[rig.told.len() - 2..],
        [format!("500 p{told}+160"), format!("500 p{}+160", told + 160)]
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Spurts of packets of any length and both laws, pauses with and without comfort noise, loss,
    /// delay and duplication, from any number and timestamp: every sample stands where its
    /// timestamp says.
    #[test]
    fn positions_are_exact_whatever_happens(
        seq: u16,
        ts: u32,
        spurts in prop::collection::vec(
            (
                prop::collection::vec((0u8..12, 0u64..60, 0usize..7, any::<bool>()), 1..40),
                any::<bool>(),
                0u32..30_000,
            ),
            1..8,
        ),
    ) {
        let (mut packets, mut number, mut media) = (Vec::new(), 0u16, 0u32);
        for (n, (fates, noise, pause)) in spurts.iter().enumerate() {
            for (i, (fate, delay, len, alaw)) in fates.iter().enumerate() {
                let len = [80, 160, 163, 240, 320, 479, 480][*len];
                // Sent when its last sample was spoken, up to 60 ms late from the third on.
                let on_time = Sent {
                    at_ms: u64::from(media) / 8 + 60,
                    seq: number.wrapping_add(seq),
                    ts: media.wrapping_add(ts),
                    len,
                    pt: if *alaw { PCMA } else { PCMU },
                    marker: n > 0 && i == 0,
                    ssrc: 1,
                };
                match fate {
                    _ if number < 3 => packets.push(on_time),
                    // The packet with the marker says that there was a pause, not a jump.
                    0 | 1 if i > 0 => {}
                    2..=5 => packets.push(on_time.late(*delay)),
                    6 => packets.extend([on_time, on_time.late(*delay)]),
                    _ => packets.push(on_time),
                }
                number += 1;
                media += u32::try_from(len).unwrap();
            }
            if *noise && number >= 3 {
                let at_ms = u64::from(media) / 8 + 60;
                let (seq, ts) = (number.wrapping_add(seq), media.wrapping_add(ts));
                packets.push(Sent { at_ms, seq, ts, len: 1, pt: NOISE, marker: false, ssrc: 1 });
                number += 1;
            }
            media += pause;
        }
        let mut rig = Rig::new();
        rig.play(&packets);
        prop_assert!(rig.came_out.len() > packets.len() / 2 || packets.len() < 3);
        prop_assert_eq!(rig.misplaced(ts), None);
        prop_assert_eq!(rig.buffer.counters().overflow, 0);
    }
}
