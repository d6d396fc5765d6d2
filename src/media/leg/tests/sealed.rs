//! SRTP between two legs, with a network that loses, turns around, repeats and forges.

use super::pair::{Datagram, Pair, home, params, tone_and_noise};
use super::*;
use crate::media::pacer::Pacer;
use crate::media::secure::GRACE;
use crate::rtp::srtp::{MasterKey, SrtpParams, Suite};

const RATE: SampleRate = SampleRate::HZ_8000;

fn key(suite: Suite, seed: u8) -> MasterKey {
    let octets: Vec<u8> = (0..44).map(|n| seed.wrapping_mul(37).wrapping_add(n)).collect();
    MasterKey::new(suite, &octets[..suite.master_len()]).unwrap()
}

/// Gives both legs keys: the first seals with `seeds[0]`, the second with `seeds[1]`.
fn seal(pair: &mut Pair, suite: Suite, seeds: [u8; 2], change: impl Fn(&mut MediaParams)) {
    for at in 0..2 {
        let keys = SrtpParams { local: key(suite, seeds[at]), remote: key(suite, seeds[1 - at]) };
        let mut params = params(at, CodecId::Pcma);
        change(&mut params);
        drop(pair.legs[at].handle_agreement(pair.now, params, Some(SrtpPair::new(&keys))));
    }
}

fn sealed(suite: Suite, seeds: [u64; 2]) -> Pair {
    let mut pair = Pair::new([RATE; 2], seeds);
    seal(&mut pair, suite, [1, 2], |_| ());
    pair
}

/// Seeds of legs whose sequence numbers begin right below the wrap.
fn near_the_wrap() -> [u64; 2] {
    let mut seeds = (0..).filter(|seed| Pacer::new(*seed).peek().sequence > 65_300);
    [seeds.next().unwrap(), seeds.next().unwrap()]
}

#[test]
fn sound_passes_under_every_suite_and_nothing_of_it_shows() {
    for suite in Suite::ALL {
        let mut pair = sealed(suite, [1, 2]);
        let mut lengths = Vec::new();
        for _ in 0..400 {
            pair.beat(|from, datagram| {
                if from == 1 && datagram.rtp {
                    // The second leg plays nothing: in the clear these would all be the same.
                    assert_ne!(datagram.bytes[12..172], [0xD5; 160]);
                    lengths.push(datagram.bytes.len());
                }
                vec![datagram]
            });
        }
        let sound = pair.sound();
        let (level, noise) = tone_and_noise(&sound[1_600..], RATE);
        assert!(level.abs() < 1.0 && noise < -25.0, "{}: {level} {noise}", suite.name());
        assert!(lengths.iter().all(|len| *len > 172 && *len <= 172 + RTP_ROOM));
        for stats in &pair.stats {
            let report = stats.report();
            assert_eq!((report.rx_bad_tags, report.rx_replayed, report.rx_lost), (0, 0, 0));
        }
    }
}

#[test]
fn loss_and_disorder_across_the_rollover_cost_only_what_is_lost() {
    let mut pair = sealed(Suite::AesCm80, near_the_wrap());
    let (mut held, mut sent) = (None, 0_u64);
    for _ in 0..600 {
        pair.beat(|from, datagram| {
            if from == 1 || !datagram.rtp {
                return vec![datagram];
            }
            sent += 1;
            match sent % 17 {
                5 if sent > 20 => Vec::new(),
                9 => {
                    held = Some(datagram);
                    Vec::new()
                }
                10 => std::iter::once(datagram).chain(held.take()).collect(),
                13 => vec![datagram.clone(), datagram],
                _ => vec![datagram],
            }
        });
    }
    let report = pair.stats[1].report();
    assert_eq!(report.rx_bad_tags, 0);
    assert!(report.rx_replayed >= 30, "doubled packets: {}", report.rx_replayed);
    assert!((30..40).contains(&report.rx_lost), "{}", report.rx_lost);
    assert!(report.rx_reordered >= 30);
    pair.sound();
}

#[test]
fn forgeries_replays_and_plain_packets_are_counted_and_nothing_else() {
    let mut pair = sealed(Suite::AesCm32, [1, 2]);
    pair.beats(20);
    let mut caught = Vec::new();
    for _ in 0..50 {
        pair.beat(|from, datagram| {
            if from == 1 || !datagram.rtp {
                return vec![datagram];
            }
            let mut forged = datagram.clone();
            *forged.bytes.last_mut().unwrap() ^= 1;
            // A stranger's source and a jump of the numbers, at the right address.
            let mut jump = datagram.clone();
            jump.bytes[2] ^= 0x70;
            jump.bytes[9] ^= 0xff;
            caught.push(datagram.clone());
            vec![forged, jump, datagram]
        });
    }
    let plain = super::datagram(5, 5, 8, false, &[0; 160]);
    pair.deliver(1, &Datagram { rtp: true, bytes: plain });
    for again in &caught {
        pair.deliver(1, again);
    }
    let report = pair.stats[1].report();
    assert_eq!((report.rx_bad_tags, report.rx_replayed), (101, 50));
    assert_eq!((report.rx_lost, report.rx_refused, report.rx_duplicate), (0, 0, 0));
    let events: Vec<Event> = std::iter::from_fn(|| pair.legs[1].poll_event()).collect();
    let flowing = |event: &&Event| matches!(event, Event::Flowing { .. });
    assert_eq!(events.iter().filter(flowing).count(), 1, "one source, ever: {events:?}");
    assert_eq!(pair.sound().len(), 70 * 160);
}

#[test]
fn a_leg_with_keys_never_falls_back() {
    let mut pair = sealed(Suite::Gcm128, [1, 2]);
    pair.beats(20);
    // A refresh without keys, as hold and resume bring it, leaves them in force.
    pair.agree(CodecId::Pcma);
    pair.beat(|_, datagram| {
        assert!(!datagram.rtp || datagram.bytes.len() == 172 + 16);
        vec![datagram]
    });
    // The other side stops sealing: it is not heard any more, and hears nothing plain.
    drop(pair.legs[0].handle_agreement(pair.now, params(0, CodecId::Pcma), None));
    pair.sound();
    pair.beats(50);
    assert_eq!(pair.sound().len(), 0);
    assert!(pair.stats[1].report().rx_bad_tags >= 50);
}

#[test]
fn reports_are_sealed_too() {
    for muxed in [false, true] {
        let mut pair = Pair::new([RATE; 2], [1, 2]);
        seal(&mut pair, Suite::Gcm256, [1, 2], |params| {
            params.rtcp_mux = muxed;
            if muxed {
                params.remote_rtcp = params.remote_rtp;
            }
        });
        let mut reports = 0;
        for _ in 0..600 {
            pair.beat(|_, datagram| {
                let is_report = is_rtcp(&datagram.bytes);
                assert!(!is_report || datagram.rtp == muxed);
                if is_report {
                    reports += 1;
                    let mut forged = datagram.clone();
                    forged.bytes[20] ^= 1;
                    return vec![forged, datagram];
                }
                vec![datagram]
            });
        }
        assert_eq!(reports, 4, "two of each");
        for stats in &pair.stats {
            let report = stats.report();
            assert_eq!((report.rx_bad_tags, report.rx_replayed, report.rx_refused), (2, 0, 0));
            assert_eq!(report.rx_lost, 0);
        }
    }
}

#[test]
fn muxed_reports_go_where_audio_goes() {
    let mut pair = Pair::new([RATE; 2], [1, 2]);
    for at in 0..2 {
        let params = MediaParams { rtcp_mux: true, ..params(at, CodecId::Pcma) };
        pair.legs[at].handle_command(pair.now, Command::Update(params));
    }
    let mut out = Outgoing::default();
    let mut now = pair.now;
    for _ in 0..150 {
        pair.legs[0].tick(now, now, &mut out);
        now += TICK;
        if let Some((bytes, to)) = out.rtcp() {
            assert!(out.is_muxed() && is_rtcp(bytes));
            assert_eq!(to, home(1));
            return;
        }
    }
    panic!("no report in three seconds");
}

#[test]
fn a_fresh_key_takes_over_while_the_last_packets_of_the_old_one_arrive() {
    let mut pair = sealed(Suite::AesCm80, [1, 2]);
    pair.beats(20);
    let mut late = Vec::new();
    for _ in 0..3 {
        pair.beat(|from, datagram| {
            if from == 0 {
                late.push(datagram);
                return Vec::new();
            }
            vec![datagram]
        });
    }
    seal(&mut pair, Suite::AesCm80, [3, 2], |_| ());
    for datagram in &late[..2] {
        pair.deliver(1, datagram);
    }
    pair.beats(10);
    let report = pair.stats[1].report();
    assert_eq!((report.rx_bad_tags, report.rx_lost), (0, 1));
    assert!(pair.legs[1].take_spent(pair.now).is_none(), "late packets may still come");
    pair.beats(usize::try_from(GRACE.as_millis() / 20).unwrap());
    pair.deliver(1, &late[2]);
    assert_eq!(pair.stats[1].report().rx_bad_tags, 1);
    assert!(pair.legs[1].take_spent(pair.now).is_some());
    assert!(pair.legs[1].take_spent(pair.now).is_none());
}

#[test]
fn keys_that_are_repeated_keep_their_counters() {
    let mut pair = sealed(Suite::AesCm80, near_the_wrap());
    // Past the rollover, then a re-INVITE that repeats the keys.
    pair.beats(400);
    seal(&mut pair, Suite::AesCm80, [1, 2], |_| ());
    pair.beats(50);
    let report = pair.stats[1].report();
    assert_eq!((report.rx_bad_tags, report.rx_replayed, report.rx_lost), (0, 0, 0));
}
