//! What is sent, as whoever hears both sides gets it.

use super::*;

fn heard(reader: &mut CaptureReader) -> Vec<(u64, Vec<i16>)> {
    let mut frames = Vec::new();
    loop {
        let mut samples = Vec::new();
        let Some(header) = reader.pop(&mut samples) else { return frames };
        frames.push((header.position, samples));
    }
}

#[test]
fn what_leaves_is_heard_sample_for_sample_and_silence_is_part_of_it() {
    let mut rig = Rig::agreed();
    let (ring, mut reader) = ring::capture(64, 8_000);
    rig.tick();
    assert!(rig.leg.take_monitor(Box::new(ring)).is_none());
    rig.playout.push(&[8_000; 800]);
    rig.tell(Command::End { position: 800 });
    let mut sent = Vec::new();
    for _ in 0..8 {
        let payload = rig.tick().unwrap().payload;
        sent.push(rig.decoded(&payload));
    }
    let frames = heard(&mut reader);
    let positions: Vec<u64> = frames.iter().map(|(position, _)| *position).collect();
    assert_eq!(positions, (1..9).map(|n| 160 * n).collect::<Vec<u64>>());
    for ((_, frame), sent) in frames.iter().zip(&sent) {
        let near = |(a, b): (&i16, &i16)| (i32::from(*a) - i32::from(*b)).abs() <= 200;
        assert!(frame.iter().zip(sent).all(near), "but for what the codec does to it");
    }
    assert!(rig.leg.ready(), "somebody should look");
    rig.tell(Command::Monitor(false));
    rig.tick();
    assert_eq!(heard(&mut reader), []);
    let (again, _reader) = ring::capture(1, 160);
    assert!(rig.leg.take_monitor(Box::new(again)).is_some(), "freed by somebody else");
}

#[test]
fn a_ring_that_nobody_reads_stops_nothing() {
    let mut rig = Rig::agreed();
    let (ring, mut reader) = ring::capture(4, 640);
    rig.leg.take_monitor(Box::new(ring));
    for _ in 0..20 {
        assert!(rig.tick().is_some());
    }
    let positions: Vec<u64> = heard(&mut reader).iter().map(|(position, _)| *position).collect();
    assert_eq!(positions, [0, 160, 320, 480]);
    rig.tick();
    assert_eq!(heard(&mut reader)[0].0, 3_200, "the jump shows what was left out");
}
