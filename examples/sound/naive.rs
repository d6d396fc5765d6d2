//! The prototypes whose scores are the floors of our concealment: naive repetition of the pitch.
//!
//! Forward: the pitch of 57 to 400 Hz by normalised correlation over 20 ms, its last period
//! repeated, at full level for 20 ms and silent at 140 ms, and 5 ms of merging. Two-sided, for
//! holes of up to six packets: the same from both sides, cross-faded linearly over the hole.

const SHORTEST: usize = 20;
const LONGEST: usize = 140;
const WINDOW: usize = 160;
const HISTORY: usize = 320;
const MERGE: usize = 40;
const FULL: usize = 160;
const SILENT: usize = 1_120;
/// Longest hole that both sides fill, in packets.
const BOTH_MAX: usize = 6;

/// Conceals the packets of `frame` samples that are `lost`, from one side or from both.
pub fn conceal(samples: &[i16], lost: &[bool], frame: usize, two_sided: bool) -> Vec<i16> {
    let mut out: Vec<f32> = samples.iter().map(|&sample| f32::from(sample)).collect();
    let mut at = 0;
    while at < lost.len() {
        if !lost[at] {
            at += 1;
            continue;
        }
        let until = at + lost[at..].iter().take_while(|&&lost| lost).count();
        let known = lost[until..].iter().take_while(|&&lost| !lost).count().min(2);
        let both = two_sided && until - at <= BOTH_MAX && known > 0;
        fill(&mut out, at * frame..until * frame, if both { known * frame } else { 0 });
        at = until;
    }
    out.into_iter().map(|sample| sample.round() as i16).collect()
}

fn fill(out: &mut [f32], hole: std::ops::Range<usize>, known: usize) {
    let (len, from) = (hole.len(), hole.start);
    let past = out[from.saturating_sub(HISTORY)..from].to_vec();
    let forward = prolong(&past, len + MERGE);
    if known > 0 {
        let future: Vec<f32> = out[hole.end..hole.end + known].iter().rev().copied().collect();
        let backward = prolong(&future, len);
        for i in 0..len {
            let weight = (i + 1) as f32 / (len + 1) as f32;
            out[from + i] = forward[i] * (1.0 - weight) + backward[len - 1 - i] * weight;
        }
        return;
    }
    out[hole].copy_from_slice(&forward[..len]);
    for i in 0..MERGE.min(out.len() - from - len) {
        let weight = (i + 1) as f32 / (MERGE + 1) as f32;
        let sample = &mut out[from + len + i];
        *sample = forward[len + i] * (1.0 - weight) + *sample * weight;
    }
}

/// The samples behind the end of `past`.
fn prolong(past: &[f32], len: usize) -> Vec<f32> {
    let period = pitch(past).min(past.len());
    let mut cycle = past[past.len() - period..].to_vec();
    let overlap = (period / 4).min(past.len() - period);
    for i in 0..overlap {
        let weight = (i + 1) as f32 / (overlap + 1) as f32;
        let earlier = past[past.len() - period - overlap + i];
        let last = &mut cycle[period - overlap + i];
        *last += (earlier - *last) * weight;
    }
    let level =
        |at: usize| 1.0 - (at.saturating_sub(FULL) as f32 / (SILENT - FULL) as f32).min(1.0);
    (0..len).map(|at| cycle[at % period] * level(at)).collect()
}

fn pitch(past: &[f32]) -> usize {
    let mut best = (f32::MIN, past.len().clamp(1, LONGEST));
    for period in SHORTEST..=LONGEST.min(past.len().saturating_sub(MERGE)) {
        let window = WINDOW.min(past.len() - period);
        let late = &past[past.len() - window..];
        let early = &past[past.len() - window - period..past.len() - period];
        let product: f32 = late.iter().zip(early).map(|(a, b)| a * b).sum();
        let power = |x: &[f32]| x.iter().map(|a| a * a).sum::<f32>() + 1.0;
        let likeness = product / (power(late) * power(early)).sqrt();
        if likeness > best.0 {
            best = (likeness, period);
        }
    }
    best.1
}
