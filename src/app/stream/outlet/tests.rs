use super::*;
use crate::app::stream::options::{Settings, StreamOptions};
use crate::media::interface::{FrameHeader, FrameKind};
use crate::media::ring::{self, CaptureReader, CaptureWriter};

fn settings(query: &str) -> Settings {
    let pairs: Vec<_> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let options = StreamOptions::from_query::<&str>(&pairs, &[]).unwrap();
    Settings::resolve(&options, 16_000, 60_000)
}

fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    Instant::now()
}

fn write(writer: &mut CaptureWriter, position: u64, samples: &[i16]) {
    let count = u16::try_from(samples.len()).unwrap();
    let header = FrameHeader { position, samples: count, kind: FrameKind::Packet };
    assert!(writer.push(header, samples));
}

/// Takes everything out of the capture ring.
fn hear(outlet: &mut Outlet, now: Instant, capture: &mut CaptureReader, full: impl Fn() -> u64) {
    let mut samples = Vec::new();
    while let Some(header) = capture.pop(&mut samples) {
        outlet.hear_caller(now, header, &samples, capture.stamped(), &full);
        samples.clear();
    }
    outlet.gather(now);
}

fn last(outlet: &mut Outlet) -> Bytes {
    outlet.last_frame(0).map(|frame| frame.octets).unwrap_or_default()
}

fn frames(outlet: &mut Outlet) -> Vec<Bytes> {
    std::iter::from_fn(|| outlet.next_frame(0)).map(|frame| frame.octets).collect()
}

#[test]
fn eight_khz_leaves_bit_exact_in_frames_of_any_length() {
    let samples: Vec<i16> = (0..1600_i16).map(|n| n.wrapping_mul(37)).collect();
    let expected: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
    for frame_ms in [10, 20, 40, 60, 100] {
        let settings = settings(&format!("out_rate=8000&frame_ms={frame_ms}"));
        let mut outlet = Outlet::new(&settings, 8000).unwrap();
        let (mut writer, mut reader) = ring::capture(64, 8000);
        let mut octets = Vec::new();
        for (index, packet) in samples.chunks(240).enumerate() {
            write(&mut writer, index as u64 * 240, packet);
            hear(&mut outlet, now(), &mut reader, || 0);
            for frame in frames(&mut outlet) {
                assert_eq!(frame.len(), 16 * frame_ms);
                octets.extend_from_slice(&frame);
            }
        }
        octets.extend(last(&mut outlet));
        assert_eq!(octets, expected, "{frame_ms}");
        assert_eq!((outlet.last_frame(0), outlet.take_dropped()), (None, 0));
    }
}

#[test]
fn other_rates_and_laws_have_the_announced_frame() {
    for (query, octets) in [
        ("out_rate=16000", 640),
        ("out_rate=24000&frame_ms=40", 1920),
        ("out_rate=16000&out_format=mulaw", 320),
        ("out_rate=8000&out_format=alaw&frame_ms=10", 80),
    ] {
        let mut outlet = Outlet::new(&settings(query), 8000).unwrap();
        let (mut writer, mut reader) = ring::capture(64, 8000);
        write(&mut writer, 0, &[1000; 160]);
        write(&mut writer, 160, &[1000; 160]);
        hear(&mut outlet, now(), &mut reader, || 0);
        let sizes: Vec<usize> = frames(&mut outlet).iter().map(Bytes::len).collect();
        assert_eq!(sizes[0], octets, "{query}");
        let mono = settings(query);
        assert_eq!(sizes.len(), 40 / mono.frame_ms as usize, "{query}");
    }
}

#[test]
fn ten_seconds_wait_and_the_oldest_goes_first() {
    let mut outlet = Outlet::new(&settings("out_rate=8000"), 8000).unwrap();
    let (mut writer, mut reader) = ring::capture(64, 8000);
    for (index, position) in (0..550_i16).zip((0..).step_by(160)) {
        write(&mut writer, position, &[index; 160]);
        hear(&mut outlet, now(), &mut reader, || 0);
    }
    assert!(outlet.has_dropped());
    assert_eq!(outlet.take_dropped(), 50 * 160);
    let first = outlet.next_frame(0).unwrap().octets;
    assert_eq!(first[..2], 50_i16.to_le_bytes());
    assert_eq!(frames(&mut outlet).len(), 499);
}

#[test]
fn a_jump_with_a_full_capture_ring_counts_as_dropped() {
    let mut outlet = Outlet::new(&settings("out_rate=8000"), 8000).unwrap();
    let (mut writer, mut reader) = ring::capture(64, 8000);
    let full = std::cell::Cell::new(7);
    write(&mut writer, 500, &[1; 160]);
    hear(&mut outlet, now(), &mut reader, || full.get());
    write(&mut writer, 980, &[1; 160]);
    hear(&mut outlet, now(), &mut reader, || full.get());
    assert_eq!(outlet.take_dropped(), 0, "a long silence is not written out");
    full.set(327);
    write(&mut writer, 1460, &[1; 160]);
    hear(&mut outlet, now(), &mut reader, || full.get());
    assert_eq!(outlet.take_dropped(), 320);
}

#[test]
fn packets_leave_with_the_frame_that_ends_behind_them() {
    let mut outlet = Outlet::new(&settings("out_rate=8000&frame_ms=40"), 8000).unwrap();
    let (mut writer, mut reader) = ring::capture(64, 8000);
    #[expect(clippy::disallowed_methods, reason = "an anchor for virtual time")]
    let start = Instant::now();
    let at = |n: u64| start + std::time::Duration::from_millis(20 * n);
    for n in 0..3 {
        writer.set_now(at(n));
        write(&mut writer, 160 * n, &[1; 160]);
        hear(&mut outlet, at(n), &mut reader, || 0);
    }
    assert_eq!(frames(&mut outlet).len(), 1);
    assert_eq!(outlet.take_left().collect::<Vec<_>>(), [at(0), at(1)]);
    outlet.last_frame(0).unwrap();
    assert_eq!(outlet.take_left().collect::<Vec<_>>(), [at(2)]);
}

#[test]
fn frames_reuse_the_memory_of_frames_that_were_sent() {
    let mut memory = BytesMut::new();
    let first = encode(OutFormat::PcmS16le, &[1; 160], &mut memory);
    let place = first.as_ptr() as usize;
    drop(first);
    let mut places = std::collections::BTreeSet::new();
    for _ in 0..1000 {
        let frame = encode(OutFormat::PcmS16le, &[1; 160], &mut memory);
        places.insert(frame.as_ptr() as usize - place);
    }
    assert!(places.iter().all(|offset| *offset < BLOCK), "{places:?}");
}

#[test]
fn stereo_is_interleaved_at_every_rate_and_a_mix_is_both() {
    for (query, octets) in [
        ("out_rate=8000&listen=stereo", 640),
        ("out_rate=16000&listen=stereo", 1280),
        ("out_rate=8000&listen=both", 320),
        ("out_rate=8000&listen=agent", 320),
    ] {
        let mut outlet = Outlet::new(&settings(query), 8000).unwrap();
        let mut heard = Vec::new();
        for n in 0..30 {
            outlet.hear_agent(160 * n, &[300; 160]);
            let header = FrameHeader { position: 160 * n, samples: 160, kind: FrameKind::Packet };
            outlet.hear_caller(now(), header, &[-100; 160], None, || 0);
            outlet.gather(now());
            heard.extend(frames(&mut outlet));
        }
        assert_eq!((heard.len(), heard[0].len()), (30, octets), "{query}");
        let frame = &heard[20];
        let sample = |at: usize| i16::from_le_bytes([frame[2 * at], frame[2 * at + 1]]);
        let expected = match octets {
            640 | 1280 => [-100, 300],
            _ if query.ends_with("both") => [200, 200],
            _ => [300, 300],
        };
        for (at, expected) in expected.into_iter().enumerate() {
            assert!((sample(at) - expected).abs() <= 3, "{query}: {} {}", sample(0), sample(1));
        }
        assert_eq!(outlet.take_dropped(), 0);
    }
}

#[test]
fn another_form_begins_with_a_frame_and_nothing_is_left_behind() {
    let mut outlet = Outlet::new(&settings("out_rate=16000&frame_ms=40"), 8000).unwrap();
    let header = |position| FrameHeader { position, samples: 160, kind: FrameKind::Packet };
    for n in 0..3 {
        outlet.hear_caller(now(), header(160 * n), &[1; 160], None, || 0);
    }
    assert_eq!(frames(&mut outlet).len(), 1);
    let rest = outlet.reshape(&settings("out_rate=8000&out_format=mulaw&frame_ms=20")).unwrap();
    assert_eq!(rest, None, "what was not resampled is sent in the new form");
    assert_eq!(frames(&mut outlet).iter().map(Bytes::len).collect::<Vec<_>>(), [160]);
}
