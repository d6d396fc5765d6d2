//! What a leg sends while there is nothing to hear, and what plays beneath.

use super::*;
use crate::media::interface::{BackgroundSpec, SilencePolicy, SilenceSpec};

/// Comfort noise.
const CN: u8 = 13;

fn sending(policy: SilencePolicy, comfort_noise_dbov: Option<i8>) -> Rig {
    let silence = SilenceSpec { policy, comfort_noise_dbov };
    let mut rig = Rig::sending(SendSpec { silence, ..SendSpec::default() });
    rig.tell(Command::Update(MediaParams { comfort_noise: true, ..agreement() }));
    rig
}

fn beneath(samples: &[i16]) -> Rig {
    let samples = samples.into();
    let background = Some(BackgroundSpec { samples, gain_db: 0.0, duck_db: 12.0 });
    let mut rig = Rig::sending(SendSpec { background, ..SendSpec::default() });
    rig.tell(Command::Update(agreement()));
    rig
}

/// So many ticks; what left of each.
fn ticks(rig: &mut Rig, count: usize) -> Vec<Option<Sent>> {
    (0..count).map(|_| rig.tick()).collect()
}

/// Timestamps count ticks, sequence numbers packets, and the marker stands where a silence of
/// which not every tick was sent as audio has ended.
fn check_numbers(rig: &Rig, sent: &[Option<Sent>]) {
    let first = sent[0].as_ref().expect("a call begins with a packet");
    assert!(first.marker);
    let (mut packets, mut quiet) = (0_u16, false);
    for (tick, packet) in (0_u32..).zip(sent) {
        let Some(packet) = packet else {
            quiet = true;
            continue;
        };
        assert_eq!(packet.seq, first.seq.wrapping_add(packets), "tick {tick}");
        assert_eq!(packet.timestamp, first.timestamp.wrapping_add(tick * 160), "tick {tick}");
        assert_eq!(packet.ssrc, first.ssrc);
        if packet.kind == CN {
            assert!(!packet.marker);
            quiet = true;
        } else {
            assert_eq!(packet.marker, std::mem::take(&mut quiet) || packets == 0, "tick {tick}");
        }
        packets += 1;
    }
    let report = rig.stats.report();
    assert_eq!(report.tx_packets, u64::from(packets));
    assert_eq!(report.tx_suppressed, (sent.len() - usize::from(packets)) as u64);
}

/// Three words with pauses of a second between them, and marks behind each.
fn talk(rig: &mut Rig) -> Vec<Option<Sent>> {
    let mut sent = Vec::new();
    for token in 1..=3 {
        rig.playout.push(&[4_000; 1_600]);
        let position = rig.playout.position();
        rig.tell(Command::End { position });
        rig.tell(Command::Watch { position, token });
        sent.extend(ticks(rig, 60));
        assert_eq!(rig.events(), [Event::Reached { token, position }]);
    }
    sent
}

#[test]
fn packets_never_stop_by_default() {
    let mut rig = sending(SilencePolicy::Packets, None);
    let sent = talk(&mut rig);
    assert!(sent.iter().all(|packet| packet.as_ref().is_some_and(|packet| packet.kind == 0)));
    check_numbers(&rig, &sent);
}

#[test]
fn suppression_stops_rtp_after_200_ms_and_goes_on_with_a_marker() {
    let mut rig = sending(SilencePolicy::Suppress, None);
    let sent = talk(&mut rig);
    check_numbers(&rig, &sent);
    for word in sent.chunks(60) {
        // Ten packets of sound, one of its fade, and 200 ms.
        let packets = word.iter().take_while(|packet| packet.is_some()).count();
        assert_eq!(packets, 21);
        assert!(word[packets..].iter().all(Option::is_none));
    }
    assert_eq!(rig.stats.report().tx_played_samples, 4_800);
}

#[test]
fn comfort_noise_is_told_at_once_and_every_200_ms() {
    let mut rig = sending(SilencePolicy::Cn, Some(-65));
    let sent = talk(&mut rig);
    check_numbers(&rig, &sent);
    for word in sent.chunks(60) {
        let is_noise = |packet: &Option<Sent>| packet.as_ref().is_some_and(|p| p.kind == CN);
        let noise: Vec<usize> = (0..60).filter(|tick| is_noise(&word[*tick])).collect();
        assert_eq!(noise, [21, 31, 41, 51]);
        for tick in noise {
            assert_eq!(word[tick].as_ref().unwrap().payload, [65]);
        }
    }
}

#[test]
fn a_peer_that_did_not_agree_to_comfort_noise_gets_packets() {
    let mut rig = sending(SilencePolicy::Cn, None);
    rig.tell(Command::Update(agreement()));
    let sent = talk(&mut rig);
    assert!(sent.iter().all(|packet| packet.as_ref().is_some_and(|packet| packet.kind == 0)));
    check_numbers(&rig, &sent);
}

#[test]
fn a_pause_within_the_sound_is_suppressed_and_counts_as_played() {
    let mut rig = sending(SilencePolicy::Suppress, None);
    rig.playout
        .push(&[[4_000; 800], [0; 800], [0; 800], [0; 800], [0; 800], [4_000; 800]].concat());
    rig.tell(Command::End { position: 4_800 });
    rig.tell(Command::Watch { position: 3_200, token: 7 });
    let sent = ticks(&mut rig, 15);
    assert_eq!(sent.iter().flatten().count(), 15, "200 ms are no silence yet");
    assert_eq!(rig.events(), []);
    let sent = ticks(&mut rig, 6);
    assert!(sent[..5].iter().all(Option::is_none));
    assert_eq!(rig.events(), [Event::Reached { token: 7, position: 3_200 }], "on time");
    let sent = ticks(&mut rig, 10);
    assert!(sent[3].is_none() && sent[4].as_ref().unwrap().marker);
    assert_eq!(rig.stats.report().tx_played_samples, 4_800);
}

#[test]
fn digits_end_a_silence_and_begin_another() {
    let mut rig = sending(SilencePolicy::Suppress, None);
    assert_eq!(ticks(&mut rig, 50).iter().flatten().count(), 10);
    let digits = std::array::from_fn(|i| if i == 0 { b'5' } else { 0 });
    let (duration, gap) = (Duration::from_millis(100), Duration::from_millis(60));
    rig.tell(Command::Dtmf { digits, duration, gap });
    let sent = ticks(&mut rig, 60);
    let kinds: Vec<u8> = sent.iter().flatten().map(|packet| packet.kind).collect();
    let events = kinds.iter().take_while(|kind| **kind == EVENT).count();
    assert!(events >= 7 && sent[0].as_ref().unwrap().marker, "{kinds:?}");
    assert!(kinds[events..].iter().all(|kind| *kind == 0) && kinds.len() - events <= 14);
    assert!(sent[40..].iter().all(Option::is_none));
}

#[test]
fn digital_silence_is_filled_if_somebody_says_with_what() {
    let mut rig = sending(SilencePolicy::Packets, Some(-60));
    let sent = ticks(&mut rig, 50);
    let heard: Vec<i16> = sent.iter().flatten().flat_map(|p| rig.decoded(&p.payload)).collect();
    let power = heard.iter().map(|s| f32::from(*s).powi(2)).sum::<f32>() / 8_000.0;
    let level = 10.0 * (power / (32_768.0 * 32_768.0)).log10();
    assert!((level + 60.0).abs() < 2.0, "{level} dBov behind G.711");
    rig.playout.push(&[8_000; 1_600]);
    let sound = ticks(&mut rig, 10);
    let middle = rig.decoded(&sound[5].as_ref().unwrap().payload);
    assert!(middle.windows(2).all(|pair| pair[0] == pair[1]), "sound is left alone");
}

#[test]
fn a_background_goes_on_through_pauses_and_is_in_no_count() {
    let mut rig = beneath(&[2_000; 777]);
    let alone = ticks(&mut rig, 30);
    let level = |rig: &mut Rig, packet: &Option<Sent>| {
        rig.decoded(&packet.as_ref().unwrap().payload).iter().map(|s| i32::from(*s)).sum::<i32>()
            / 160
    };
    assert!((level(&mut rig, &alone[29]) - 2_000).abs() < 60);
    assert_eq!(rig.stats.report().tx_played_samples, 0);
    rig.playout.push(&[8_000; 3_200]);
    rig.tell(Command::Watch { position: 3_200, token: 1 });
    rig.tell(Command::End { position: 3_200 });
    let speech = ticks(&mut rig, 20);
    let under = level(&mut rig, &speech[19]) - 8_000;
    assert!((under - 502).abs() < 300, "12 dB less, within a step of G.711: {under}");
    assert_eq!(rig.events(), [Event::Reached { token: 1, position: 3_200 }]);
    let after = ticks(&mut rig, 60);
    assert!((level(&mut rig, &after[59]) - 2_000).abs() < 60);
    assert_eq!(rig.stats.report().tx_played_samples, 3_200);
    rig.tell(Command::Background(false));
    let off = ticks(&mut rig, 10);
    assert_eq!(level(&mut rig, &off[9]), 0);
    rig.tell(Command::Background(true));
    let on = ticks(&mut rig, 10);
    assert!((level(&mut rig, &on[9]) - 2_000).abs() < 60);
}

#[test]
fn a_clear_stops_what_is_said_and_not_what_plays_beneath() {
    let mut rig = beneath(&[2_000; 160]);
    rig.playout.push(&[8_000; 8_000]);
    ticks(&mut rig, 20);
    rig.tell(Command::Clear { up_to: 8_000, token: 4, fade: CLEAR_FADE });
    let sent = ticks(&mut rig, 60);
    let last = rig.decoded(&sent[59].as_ref().unwrap().payload);
    assert!(last.iter().all(|sample| (1_900..2_100).contains(sample)));
    rig.tell(Command::Mute { playout: true, capture: false });
    let sent = ticks(&mut rig, 2);
    assert_eq!(sent[1].as_ref().unwrap().payload, [0xFF; 160], "muted is silent");
}

#[test]
fn the_low_cut_takes_hum_out_of_whatever_is_sent() {
    let hum = |n: u16| {
        let sample = 8_000.0 * (std::f32::consts::TAU * 50.0 * f32::from(n) / 8_000.0).sin();
        #[expect(clippy::cast_possible_truncation, reason = "of a test")]
        let sample = sample as i16;
        sample
    };
    let hum: Vec<i16> = (0..8_000).map(hum).collect();
    let [plain, cut] = [false, true].map(|low_cut| {
        let mut rig = Rig::sending(SendSpec { low_cut, ..SendSpec::default() });
        rig.tell(Command::Update(agreement()));
        rig.playout.push(&hum);
        let sent = ticks(&mut rig, 50);
        let heard: Vec<i16> =
            sent[25..].iter().flatten().flat_map(|p| rig.decoded(&p.payload)).collect();
        heard.into_iter().map(i16::unsigned_abs).max().unwrap()
    });
    assert!(cut * 5 < plain, "{cut} of {plain}");
}
