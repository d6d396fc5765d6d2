//! The pitch of the end of a stretch of samples: normalised correlation from 57 to 400 Hz.

/// Longest and shortest period at 8 kHz: 57 and 400 Hz.
pub(super) const LONGEST: usize = 140;
const SHORTEST: usize = 20;
/// What is compared, at 8 kHz: 10 ms. The seam is at the end, and so is what must fit.
pub(super) const WINDOW: usize = 80;
/// Samples at 8 kHz that a search looks at.
pub(super) const SEARCHED: usize = LONGEST + WINDOW;
/// Least that is compared when there are few samples: 5 ms.
const LEAST_WINDOW: usize = 40;
/// A half or third of a period is taken when it fits nearly as well.
const SHORTER_IS_BETTER: f32 = 0.97;

/// A period, and how well it fits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pitch {
    /// In samples.
    pub(super) period: usize,
    /// Normalised correlation, at most 1.
    pub(super) likeness: f32,
}

/// Finds the period of the end of `past`, which is sampled at `factor` times 8 kHz.
///
/// Cost: 121 x 80 comparisons, and `2 * factor + 1` x 80 x `factor` to refine.
pub(super) fn find(past: &[f32], factor: usize) -> Pitch {
    let mut coarse = [0.0; SEARCHED];
    let len = (past.len() / factor).min(SEARCHED);
    let tail = &past[past.len() - len * factor..];
    #[expect(clippy::cast_precision_loss, reason = "a factor of at most six")]
    let scale = 1.0 / factor as f32;
    for (to, from) in coarse.iter_mut().zip(tail.chunks_exact(factor)) {
        *to = from.iter().sum::<f32>() * scale;
    }
    let best = best_of(&coarse[..len], SHORTEST..=LONGEST);
    if factor == 1 {
        return best;
    }
    let around = best.period * factor;
    refine(
        past,
        around - factor..=around + factor,
        WINDOW * factor,
        Pitch { period: around, ..best },
    )
}

fn best_of(past: &[f32], periods: std::ops::RangeInclusive<usize>) -> Pitch {
    let mut scores = [0.0_f32; LONGEST + 1];
    let mut best = Pitch { period: *periods.end(), likeness: 0.0 };
    let longest = (*periods.end()).min(past.len().saturating_sub(LEAST_WINDOW));
    for (period, score) in scores.iter_mut().enumerate().take(longest + 1).skip(*periods.start()) {
        let likeness = likeness(past, period, WINDOW);
        *score = likeness;
        if likeness > best.likeness {
            best = Pitch { period, likeness };
        }
    }
    for part in [3, 2] {
        let around = best.period / part;
        let near = around.saturating_sub(1).max(SHORTEST)..=(around + 1).min(LONGEST);
        let shorter = near.max_by(|&a, &b| scores[a].total_cmp(&scores[b]));
        if let Some(period) = shorter.filter(|&p| scores[p] > SHORTER_IS_BETTER * best.likeness) {
            return Pitch { period, likeness: scores[period] };
        }
    }
    best
}

fn refine(
    past: &[f32],
    periods: std::ops::RangeInclusive<usize>,
    window: usize,
    coarse: Pitch,
) -> Pitch {
    let fits = |period: &usize| *period > 0 && past.len() > period + LEAST_WINDOW;
    let candidates = periods.filter(fits).map(|period| (period, likeness(past, period, window)));
    let best = candidates.max_by(|a, b| a.1.total_cmp(&b.1));
    best.map_or(coarse, |(period, likeness)| Pitch { period, likeness })
}

/// Normalised correlation of the end of `past` with what is a period earlier.
fn likeness(past: &[f32], period: usize, window: usize) -> f32 {
    let window = (past.len() - period).min(window);
    let late = &past[past.len() - window..];
    let early = &past[past.len() - window - period..past.len() - period];
    dot(late, early) / ((1.0 + dot(late, late)) * (1.0 + dot(early, early))).sqrt()
}

/// Sum of products, in eight lanes so that the sums do not wait for each other.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a_lanes, a_rest) = a.as_chunks::<8>();
    let (b_lanes, b_rest) = b.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for (a, b) in a_lanes.iter().zip(b_lanes) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}
