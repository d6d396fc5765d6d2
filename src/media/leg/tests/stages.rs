//! How long sound stands where, by the virtual clock.

use super::*;

fn spread(rig: &Rig, stage: Stage) -> (u64, u64) {
    let spread = rig.stats.ledger.spread(stage);
    (spread.count, spread.max_us)
}

#[test]
fn sound_waits_from_its_stamp_until_a_packet_takes_it() {
    let mut rig = Rig::agreed();
    // Read 5 ms before it was written, three packets of it: the last begins 45 ms behind the stamp.
    let since = rig.now;
    rig.now += Duration::from_millis(5);
    rig.playout.push(&[8_000; 480]);
    rig.playout.stamp(0, since);
    rig.tick();
    assert_eq!(spread(&rig, Stage::Queue), (1, 5_000));
    rig.playout.stamp(320, since);
    rig.tick();
    assert_eq!(spread(&rig, Stage::Queue).0, 1, "the second packet ends before it");
    rig.tick();
    assert_eq!(spread(&rig, Stage::Queue), (2, 45_000));
}

#[test]
fn what_is_cleared_is_not_timed() {
    let mut rig = Rig::agreed();
    rig.playout.push(&[8_000; 1_600]);
    rig.playout.stamp(800, rig.now);
    rig.tick();
    rig.tell(Command::Clear { up_to: 1_600, token: 1, fade: CLEAR_FADE });
    (0..5).for_each(|_| drop(rig.tick()));
    rig.playout.push(&[8_000; 1_600]);
    (0..10).for_each(|_| drop(rig.tick()));
    assert_eq!(spread(&rig, Stage::Queue), (0, 0));
}

#[test]
fn packets_behind_a_hole_wait_in_order_and_others_do_not() {
    let mut rig = Rig::agreed();
    for _ in 0..3 {
        rig.speak(true);
        rig.now += TICK;
    }
    assert_eq!(spread(&rig, Stage::Order), (3, 0));
    rig.speak(false);
    rig.now += TICK;
    rig.speak(true);
    // The hole window of 40 ms passes.
    rig.now += Duration::from_millis(40);
    rig.leg.handle_timeout(rig.now);
    assert_eq!(spread(&rig, Stage::Order), (4, 40_000));
    assert_eq!(rig.heard().len(), 5, "three packets, a hole, a packet");
    let report = rig.stats.report();
    assert_eq!((report.rx_due, report.rx_missing, report.rx_missing_runs), (5, 1, 1));
    assert_eq!(report.rx_hole_wait_us, 40_000);
}

#[test]
fn a_packet_is_out_when_the_socket_has_it() {
    let mut rig = Rig::agreed();
    rig.tick();
    let due = rig.now;
    rig.leg.note_left(due, due + Duration::from_micros(700));
    assert_eq!(spread(&rig, Stage::Send), (1, 700));
}
