//! Buckets of durations: exact below `STEPS`, then `STEPS` to an octave.
//!
//! What histograms of the media threads have in common; they own their counts.

/// The bucket of a duration in microseconds; without an upper bound. Cost: a few instructions.
pub(super) fn bucket_of<const STEPS: usize>(us: u64) -> usize {
    let Some(octave) = us.checked_ilog2().and_then(|log| log.checked_sub(STEPS.ilog2())) else {
        return usize::try_from(us).unwrap_or(0);
    };
    let step = usize::try_from((us >> octave) & (STEPS as u64 - 1)).unwrap_or(0);
    (octave as usize + 1) * STEPS + step
}

/// The longest duration of a bucket. Units: µs.
pub(super) fn upper_edge<const STEPS: usize>(bucket: usize) -> u64 {
    let (octave, step) = (bucket / STEPS, (bucket % STEPS) as u64);
    match octave.checked_sub(1) {
        None => step,
        Some(shift) => ((STEPS as u64 + step + 1) << shift) - 1,
    }
}
