//! Muting: silence takes the place of sound, and nothing else changes.

use super::*;

const LOUD: [i16; 160] = [8_000; 160];

fn mute(playout: bool, capture: bool) -> Command {
    Command::Mute { playout, capture }
}

#[test]
fn what_is_played_is_not_heard_while_marks_are_reached() {
    let mut rig = Rig::agreed();
    rig.playout.push(&[8_000; 3_200]);
    rig.tell(Command::Watch { position: 1_600, token: 7 });
    for _ in 0..5 {
        rig.tick();
    }
    rig.tell(mute(true, false));
    let first = rig.tick().unwrap();
    let fading = rig.decoded(&first.payload);
    assert!(fading.is_sorted_by(|a, b| a >= b), "no click: {fading:?}");
    assert!(fading[0] > 7_000 && fading[40..] == [0; 120], "within 5 ms: {fading:?}");
    for _ in 0..4 {
        assert_eq!(rig.tick().unwrap().payload, [0xFF; 160]);
    }
    assert_eq!(rig.events(), [Event::Reached { token: 7, position: 1_600 }]);
    assert_eq!(rig.stats.report().tx_played_samples, 1_600, "it is played, unheard");
    rig.tell(mute(false, false));
    let back = rig.tick().unwrap();
    let rising = rig.decoded(&back.payload);
    assert!(rising[0] < 1_000 && rising[40..].iter().all(|sample| *sample > 7_000), "{rising:?}");
    assert_eq!(rig.stats.report().tx_underruns, 0);
}

#[test]
fn a_clear_does_not_unmute() {
    let mut rig = Rig::agreed();
    rig.playout.push(&[8_000; 1_600]);
    rig.tell(mute(true, false));
    rig.tick();
    rig.tell(Command::Clear { up_to: 1_600, token: 1, fade: CLEAR_FADE });
    rig.tick();
    rig.playout.push(&[8_000; 1_600]);
    for _ in 0..5 {
        assert_eq!(rig.tick().unwrap().payload, [0xFF; 160]);
    }
}

#[test]
fn keys_are_sent_by_a_muted_leg() {
    let mut rig = Rig::agreed();
    rig.tell(mute(true, true));
    rig.tell(Command::Dtmf {
        digits: std::array::from_fn(|i| if i == 0 { b'5' } else { 0 }),
        duration: Duration::from_millis(100),
        gap: Duration::from_millis(60),
    });
    let kinds: Vec<u8> = (0..5).map(|_| rig.tick().unwrap().kind).collect();
    assert_eq!(kinds, [EVENT; 5]);
}

#[test]
fn a_caller_who_is_muted_is_captured_as_silence_without_a_gap() {
    let mut rig = Rig::agreed();
    let say = |rig: &mut Rig| {
        rig.say(&LOUD);
        rig.tick();
    };
    say(&mut rig);
    say(&mut rig);
    let loud = rig.heard().len();
    rig.tell(mute(false, true));
    for _ in 0..3 {
        say(&mut rig);
    }
    let muted = rig.heard();
    rig.tell(mute(false, false));
    for _ in 0..3 {
        say(&mut rig);
    }
    let back = rig.heard();
    assert!(loud > 0 && muted.len() == 3 && back.len() == 3);
    let fading = &muted[0].1;
    assert!(fading[0] > 7_000 && fading[40..] == [0; 120], "within 5 ms: {fading:?}");
    assert!(muted[1..].iter().all(|(_, samples)| samples == &[0; 160]));
    assert!(back[0].1[40..].iter().all(|sample| *sample > 7_000));
    assert!(back[1..].iter().all(|(_, samples)| samples.iter().all(|sample| *sample > 7_000)));
    let heard = muted.iter().chain(&back);
    let positions: Vec<u64> = heard.map(|(header, _)| header.position).collect();
    let first = positions[0];
    let steps = [0, 160, 320, 480, 640, 800].map(|offset| first + offset);
    assert_eq!(positions, steps, "and no gap");
    let sent = rig.tick().unwrap();
    assert_eq!(sent.payload, [0xFF; 160], "our own way is as it was: nothing was queued");
}
