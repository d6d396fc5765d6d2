//! Codecs of other rates and clocks than the rings.

use super::pair::{Pair, tone_and_noise};
use super::*;
use crate::audio::codec::CODECS;

const RATES: [SampleRate; 2] = [SampleRate::HZ_8000, SampleRate::HZ_16000];

#[test]
fn every_codec_carries_the_tone_between_rings_of_any_rate() {
    for (from, to) in RATES.into_iter().flat_map(|a| RATES.map(|b| (a, b))) {
        for spec in CODECS {
            let mut pair = Pair::new([from, to], [1, 2]);
            pair.agree(spec.id);
            pair.beats(20);
            pair.sound();
            pair.beats(50);
            let sound = pair.sound();
            assert_eq!(sound.len(), usize::try_from(to.hz()).unwrap(), "{}", spec.name);
            let (level, noise) = tone_and_noise(&sound, to);
            let what = format!("{} from {from} to {to}: {level} dB, {noise} dB", spec.name);
            assert!(level.abs() < 1.0 && noise < -15.0, "{what}");
        }
    }
}

#[test]
fn timestamps_count_the_clock_and_not_the_samples() {
    for spec in CODECS {
        let mut pair = Pair::new([SampleRate::HZ_16000; 2], [1, 2]);
        pair.agree(spec.id);
        let mut stamps = Vec::new();
        for _ in 0..4 {
            pair.beat(|from, datagram| {
                if from == 0 {
                    stamps.push(Packet::parse(&datagram.bytes).unwrap().timestamp.0);
                }
                vec![datagram]
            });
        }
        for two in stamps.windows(2) {
            assert_eq!(two[1].wrapping_sub(two[0]), spec.clock_rate.hz() / 50, "{}", spec.name);
        }
    }
}

#[test]
fn a_change_of_codec_leaves_rings_and_positions_as_they_were() {
    for rate in RATES {
        let mut pair = Pair::new([rate; 2], [1, 2]);
        pair.agree(CodecId::Pcma);
        pair.beats(20);
        pair.sound();
        let mut at = None;
        for spec in CODECS.iter().rev().chain(CODECS.iter()) {
            pair.agree(spec.id);
            pair.beats(25);
            let first = pair.heard.first().unwrap().0;
            assert!(at.replace(first.position).is_none_or(|at| at <= first.position));
            let sound = pair.sound();
            assert_eq!(sound.len(), usize::try_from(rate.hz() / 2).unwrap(), "{}", spec.name);
            let settled = &sound[sound.len() / 2..];
            let (level, noise) = tone_and_noise(settled, rate);
            assert!(level.abs() < 1.5 && noise < -12.0, "{}: {level} {noise}", spec.name);
        }
        let report = pair.stats[1].report();
        assert_eq!((report.rx_lost, report.rx_refused, report.rx_concealed_ms), (0, 0, 0));
        assert!(report.rx_jitter_us < 20_000, "{}", report.rx_jitter_us);
    }
}

#[test]
fn lost_packets_are_concealed_for_as_long_as_they_lasted() {
    for rate in RATES {
        for spec in CODECS {
            let mut pair = Pair::new([rate; 2], [1, 2]);
            pair.agree(spec.id);
            let mut sent = 0;
            for _ in 0..200 {
                pair.beat(|from, datagram| {
                    sent += usize::from(from == 0 && datagram.rtp);
                    let lost = from == 0 && sent > 10 && (sent % 20 == 0 || sent % 20 == 1);
                    if lost { Vec::new() } else { vec![datagram] }
                });
            }
            let report = pair.stats[1].report();
            assert_eq!(report.rx_concealed_ms, 20 * report.rx_lost, "{} at {rate}", spec.name);
            assert!(report.rx_lost >= 18);
            let kinds = pair.heard.iter().map(|(header, _)| header.kind);
            assert!(kinds.filter(|kind| *kind == FrameKind::Concealed).count() >= 18);
            let sound = pair.sound();
            let (level, noise) = tone_and_noise(&sound[sound.len() / 4..], rate);
            let what = format!("{} at {rate}: {level} dB, {noise} dB", spec.name);
            assert!(level.abs() < 2.0 && noise < -6.0, "{what}");
        }
    }
}

#[test]
fn digits_last_as_long_on_any_clock() {
    for spec in CODECS {
        let mut pair = Pair::new([SampleRate::HZ_8000; 2], [1, 2]);
        pair.agree(spec.id);
        pair.beats(20);
        let mut digits = [0; 32];
        digits[..2].copy_from_slice(b"7#");
        let (duration, gap) = (Duration::from_millis(100), Duration::from_millis(60));
        pair.legs[0].handle_command(pair.now, Command::Dtmf { digits, duration, gap });
        pair.beats(40);
        let events = std::iter::from_fn(|| pair.legs[1].poll_event());
        let told: Vec<(u8, u32)> = events
            .filter_map(|event| match event {
                Event::Dtmf { digit, duration_ms, .. } => Some((digit, duration_ms)),
                _ => None,
            })
            .collect();
        assert_eq!(told, [(b'7', 100), (b'#', 100)], "{}", spec.name);
    }
}

#[test]
fn an_agreement_on_a_codec_that_the_leg_was_not_opened_for_changes_nothing() {
    let mut rig = Rig::agreed();
    let dropped = rig.leg.take_dropped();
    let known = Command::Update(MediaParams { codec: CodecId::G722, ..agreement() });
    rig.tell(known);
    assert_eq!(rig.leg.take_dropped(), dropped, "the rig's leg has G.722");
    rig.tell(Command::Update(agreement()));
    #[cfg(feature = "opus")]
    {
        rig.tell(Command::Update(MediaParams { codec: CodecId::Opus, ..agreement() }));
        assert_eq!(rig.leg.take_dropped(), 1);
        assert_eq!(rig.tick().unwrap().payload, [0xFF; 160], "the one before goes on");
    }
}

#[test]
fn other_codecs_of_the_agreement_are_heard_by_our_numbers() {
    let mut rig = Rig::new();
    let mut accepts = Accepts::default();
    accepts.audio[1] = Some((120, CodecId::Pcma));
    rig.tell(Command::Update(MediaParams { accepts, ..agreement() }));
    for _ in 0..10 {
        rig.receive(120, &[0xD5; 160], address(1, 5_000));
        rig.seq = rig.seq.wrapping_add(1);
        rig.timestamp = rig.timestamp.wrapping_add(160);
    }
    assert_eq!(rig.heard().len(), 10);
    assert_eq!(rig.stats.report().rx_refused, 0);
}
