//! What loss and delay cost, on a few recordings: a small part of `make sound`, with floors.

use crate::rig::Rig;
use crate::sound::material::{FRAME, recordings, sequences};
use crate::sound::network::{Loss, Trace};
use crate::sound::receiver::{asap, fixed, mu_law, on_time};
use crate::sound::score::{Scorer, mean};
use crate::sound::{appendix, naive};

/// How holes of 20 ms packets are filled: speech and which packets are lost, to what is heard.
type Fill = fn(&[i16], &[bool]) -> Vec<i16>;

#[test]
fn concealment_from_both_sides_beats_what_is_usual() {
    let Some(_) = Rig::find() else { return };
    let talks = recordings(4).expect("speech");
    let mut scorer = Scorer::find().expect("PESQ");
    let mut score = |loss: Loss, fill: Fill| {
        for (seed, talk) in (0..).zip(&talks) {
            let original = scorer.original(&talk.samples).expect("room");
            let lost = loss.draw(talk.samples.len() / FRAME, seed);
            scorer.add(&original, &fill(&talk.samples, &lost)).expect("room");
        }
        mean(&scorer.score().expect("scores"))
    };
    let rows = [(Loss::Random(0.05), 3.8), (Loss::Random(0.2), 3.0), (Loss::Burst(0.1), 3.3)];
    for (loss, floor) in rows {
        let ours = score(loss, |samples, lost| asap(samples, &on_time(lost)).samples);
        let naive =
            score(loss, |samples, lost| naive::conceal(&mu_law(samples), lost, FRAME, true));
        let usual = score(loss, |samples, lost| appendix::conceal(&mu_law(samples), lost, FRAME));
        println!("{}: {ours:.3}, naive {naive:.3}, App. I {usual:.3}", loss.name());
        assert!(ours >= floor, "{}: {ours:.3} below {floor}", loss.name());
        assert!(ours >= naive + 0.03, "{}: {ours:.3}, naive {naive:.3}", loss.name());
        assert!(ours >= usual + 0.2, "{}: {ours:.3}, App. I {usual:.3}", loss.name());
    }
}

#[test]
fn a_program_hears_all_that_came_at_once() {
    let Some(_) = Rig::find() else { return };
    let sequence = sequences(&recordings(3).expect("speech")).remove(0);
    let mut scorer = Scorer::find().expect("PESQ");
    let original = scorer.original(&sequence).expect("room");
    for trace in Trace::ALL {
        let fates = trace.draw(sequence.len() / FRAME, 5);
        let heard = asap(&sequence, &fates);
        scorer.add(&original, &heard.samples).expect("room");
        scorer.add(&original, &fixed(&sequence, &fates, 60).samples).expect("room");
        let scores = scorer.score().expect("scores");
        let (name, delay, p99) = (trace.name(), heard.delay_ms(), heard.delay_p99_ms());
        println!("{name}: {scores:?} (fixed 60 ms), +{delay:.2} ms (p99 {p99:.0})");
        assert!(scores[0] >= 4.15, "{name}: {scores:?}");
        assert!(scores[0] >= scores[1], "{name}: a fixed buffer is better: {scores:?}");
        assert!(delay <= 3.0 && p99 <= 60.0, "{name}: {delay:.2} ms added, p99 {p99:.0} ms");
    }
}
