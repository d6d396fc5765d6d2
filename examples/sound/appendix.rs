//! Concealment in the manner of ITU-T G.711 Appendix I, for comparison.
//!
//! Written from the words of the recommendation, not from its code: the pitch of the last 20 ms by
//! normalised correlation, 5 to 15 ms; one period is repeated for 10 ms, two for the next 10, then
//! three, each joined over a quarter of a period; from 10 ms on 20 % less every 10 ms, silent
//! at 60 ms; joined to what comes over a quarter of a period and 4 ms per 10 ms of hole, at most
//! 10 ms. The quarter of a period before the hole is changed as well, for which the recommendation
//! delays everything by 3.75 ms; what is told here has no delay.

const HISTORY: usize = 390;
const SHORTEST: usize = 40;
const LONGEST: usize = 120;
const WINDOW: usize = 160;
/// 10 ms at 8 kHz.
const STEP: usize = 80;

/// Conceals the packets of `frame` samples that are `lost`.
pub fn conceal(samples: &[i16], lost: &[bool], frame: usize) -> Vec<i16> {
    let mut out: Vec<f32> = samples.iter().map(|&sample| f32::from(sample)).collect();
    let mut at = 0;
    while at < lost.len() {
        if !lost[at] {
            at += 1;
            continue;
        }
        let until = at + lost[at..].iter().take_while(|&&lost| lost).count();
        fill(&mut out, at * frame, until * frame);
        at = until;
    }
    out.into_iter().map(|sample| sample.round() as i16).collect()
}

fn fill(out: &mut [f32], from: usize, until: usize) {
    let mut history = vec![0.0; HISTORY];
    let known = from.min(HISTORY);
    history[HISTORY - known..].copy_from_slice(&out[from - known..from]);
    let period = pitch(&history);
    let quarter = period / 4;
    join_last_quarter(&mut history, period, quarter);
    out[from - quarter.min(from)..from].copy_from_slice(&history[HISTORY - quarter.min(from)..]);
    let overlap = (quarter + 4 * 8 * ((until - from) / STEP).saturating_sub(1)).min(STEP);
    let end = (until + overlap).min(out.len());
    for (at, sample) in out.iter_mut().enumerate().take(end).skip(from) {
        let made = repeated(&history, period, quarter, at - from) * level(at - from);
        *sample = if at < until {
            made
        } else {
            let weight = (at - until + 1) as f32 / (overlap + 1) as f32;
            made + (*sample - made) * weight
        };
    }
}

/// The end of the history runs into what stands a period before it.
fn join_last_quarter(history: &mut [f32], period: usize, quarter: usize) {
    for i in 0..quarter {
        let weight = (i + 1) as f32 / (quarter + 1) as f32;
        let earlier = history[HISTORY - period - quarter + i];
        let last = &mut history[HISTORY - quarter + i];
        *last += (earlier - *last) * weight;
    }
}

/// The sample at a distance into the hole: one, two, then three periods are repeated.
fn repeated(history: &[f32], period: usize, quarter: usize, at: usize) -> f32 {
    let of = |periods: usize| {
        let len = periods * period;
        let cycle = &history[HISTORY - len..];
        let here = at % len;
        // The seam of a cycle of several periods is joined like that of one.
        let to_end = len - here;
        if periods > 1 && to_end <= quarter {
            let before = history[HISTORY - len - to_end];
            let weight = 1.0 - to_end as f32 / (quarter + 1) as f32;
            return cycle[here] + (before - cycle[here]) * weight;
        }
        cycle[here]
    };
    let (periods, since) = match at / STEP {
        0 => (1, at),
        1 => (2, at - STEP),
        _ => (3, at - 2 * STEP),
    };
    if periods > 1 && since < quarter {
        let weight = (since + 1) as f32 / (quarter + 1) as f32;
        return of(periods - 1) * (1.0 - weight) + of(periods) * weight;
    }
    of(periods)
}

fn level(at: usize) -> f32 {
    1.0 - (at.saturating_sub(STEP) as f32 * 0.2 / STEP as f32).min(1.0)
}

fn pitch(history: &[f32]) -> usize {
    let end = history.len();
    let late = &history[end - WINDOW..];
    let likeness = |period: usize| {
        let early = &history[end - WINDOW - period..end - period];
        let product: f32 = late.iter().zip(early).map(|(a, b)| a * b).sum();
        let power: f32 = early.iter().map(|a| a * a).sum();
        product / power.max(1.0).sqrt()
    };
    (SHORTEST..=LONGEST).max_by(|&a, &b| likeness(a).total_cmp(&likeness(b))).unwrap_or(SHORTEST)
}
