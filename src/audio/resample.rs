//! From one sample rate to another: the one door to `rubato`.
//!
//! ```text
//!  live   i16 ──> f32 ──> polyphase FIR (64 taps of the lower rate, 4 ms) ──> i16, any chunking
//!  whole  f32 ──> FFT blocks of 20 ms (brick wall, delay removed) ──────────> f32
//! ```
//!
//! One [`Resampler`] lives as long as its stream: a filter that starts anew in every chunk costs
//! half a point of PESQ. It does not mix speakers, and does not correct clocks that drift.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{
    Async, Fft, FixedAsync, FixedSync, Indexing, Resampler as _, Resizable as _,
    SincInterpolationParameters, SincInterpolationType, WindowFunction,
};

use super::rate::SampleRate;
use super::sample::{to_f32, to_i16};

/// Lowest and highest rate that is taken or given. Units: Hz.
pub const RATES: std::ops::RangeInclusive<u32> = 4_000..=192_000;

/// Filter length in samples of the lower of both rates: 8 ms at 8 kHz.
const TAPS: f64 = 64.0;
/// Cut-off in half the lower rate: flat to 3.4 kHz and −78 dB at 4.1 kHz for an 8 kHz target.
const CUTOFF: f32 = 0.94;
/// Largest table of filter phases; rates without a small ratio interpolate between fewer phases.
const TABLE_MAX: usize = 1 << 16;
/// Phases of the table when the exact ones would not fit.
const PHASES_INTERPOLATED: usize = 128;

/// Why a resampler cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResampleError {
    /// A rate outside [`RATES`].
    #[error("the sample rate {0} is outside 4000 to 192000 Hz")]
    Rate(SampleRate),
}

/// A stream of mono samples from one rate to another.
///
/// Shape: mono `i16`; any number of samples at a time, with the same result for any chunking.
/// Cost: 4 to 30 µs per 20 ms, no allocation after the first chunks. [`Resampler::new`] computes
/// the filter: microseconds for whole ratios, 2.5 ms and 110 KiB for 44.1 and 22.05 kHz to
/// 8 kHz, so never on a media thread.
#[derive(Debug)]
pub struct Resampler {
    from: SampleRate,
    to: SampleRate,
    /// Drops the filter's delay from the start of the stream.
    aligned: bool,
    /// `None` when both rates are equal: samples pass untouched.
    filter: Option<Filter>,
}

impl Resampler {
    /// A live resampler: 20 ms in gives 20 ms out at once, from the first sample on.
    ///
    /// What comes out is [`Resampler::delay`] samples late, with a lead-in of silence.
    ///
    /// # Errors
    /// A rate outside [`RATES`].
    pub fn new(from: SampleRate, to: SampleRate) -> Result<Self, ResampleError> {
        check(from, to)?;
        let filter = (from != to).then(|| Filter::new(from.hz(), to.hz()));
        Ok(Self { from, to, aligned: false, filter })
    }

    /// A resampler whose output starts with the first sample instead of the filter's delay.
    ///
    /// `n` samples in and a [`Resampler::flush`] give exactly `⌈n · to / from⌉` samples that lie
    /// in time where the input lies. Until the flush, the last 4 ms are held back.
    ///
    /// # Errors
    /// A rate outside [`RATES`].
    pub fn aligned(from: SampleRate, to: SampleRate) -> Result<Self, ResampleError> {
        let mut resampler = Self::new(from, to)?;
        resampler.aligned = true;
        resampler.reset();
        Ok(resampler)
    }

    /// The rate of what goes in.
    pub fn from(&self) -> SampleRate {
        self.from
    }

    /// The rate of what comes out.
    pub fn to(&self) -> SampleRate {
        self.to
    }

    /// How late the output is. Units: samples of the output; 0 if equal rates or aligned.
    pub fn delay(&self) -> usize {
        match &self.filter {
            Some(filter) if !self.aligned => filter.delay,
            _ => 0,
        }
    }

    /// Resamples a chunk of any length and appends what is ready to `out`.
    ///
    /// After `n` samples in all, `⌊n · to / from⌋` came out (less the delay if aligned).
    pub fn process(&mut self, input: &[i16], out: &mut Vec<i16>) {
        match &mut self.filter {
            None => out.extend_from_slice(input),
            Some(filter) => filter.process(input, out),
        }
    }

    /// Ends the stream: appends what the filter still holds, and starts anew.
    pub fn flush(&mut self, out: &mut Vec<i16>) {
        if let Some(filter) = &mut self.filter {
            filter.flush(out);
        }
        self.reset();
    }

    /// Forgets the stream and starts anew, as good as a new one but without its cost.
    pub fn reset(&mut self) {
        if let Some(filter) = &mut self.filter {
            filter.reset(self.aligned);
        }
    }
}

/// The state of a live stream: rubato's filter and the bookkeeping of what is owed.
#[derive(Debug)]
struct Filter {
    engine: Async<f32>,
    /// Reduced ratio of the rates.
    ratio: (u64, u64),
    /// Silence fed before the first sample, so that the delay is whole and output never lags.
    lead_in: usize,
    /// The filter's delay in samples of the output.
    delay: usize,
    /// Largest chunk that `engine` takes at once.
    chunk: usize,
    input: Vec<f32>,
    output: Vec<f32>,
    /// Made, but not owed yet: the filter runs a few samples ahead.
    ready: Vec<i16>,
    /// Samples taken in since the start.
    taken: u64,
    /// Samples released or dropped since the start.
    released: u64,
    /// Samples of the delay still to be dropped.
    to_drop: usize,
}

impl Filter {
    fn new(from: u32, to: u32) -> Self {
        let (from, to) = (from as usize, to as usize);
        let common = gcd(from, to);
        let design = Design::new(from / common, to / common);
        let chunk = (from / 50).max(1);
        let engine = design.engine(chunk);
        let most = engine.output_frames_max() + 8;
        let mut filter = Self {
            engine,
            ratio: ((from / common) as u64, (to / common) as u64),
            lead_in: design.lead_in,
            delay: design.delay,
            chunk,
            input: Vec::with_capacity(chunk),
            output: vec![0.0; most],
            ready: Vec::with_capacity(most + 64),
            taken: 0,
            released: 0,
            to_drop: 0,
        };
        filter.reset(false);
        filter
    }

    fn reset(&mut self, aligned: bool) {
        self.engine.reset();
        self.ready.clear();
        (self.taken, self.released) = (0, 0);
        self.to_drop = if aligned { self.delay } else { 0 };
        self.feed_silence(self.lead_in);
    }

    fn process(&mut self, input: &[i16], out: &mut Vec<i16>) {
        for chunk in input.chunks(self.chunk) {
            self.input.clear();
            self.input.extend(chunk.iter().map(|&sample| to_f32(sample)));
            self.run();
            self.taken += chunk.len() as u64;
            self.release(self.taken * self.ratio.1 / self.ratio.0, out);
        }
    }

    fn flush(&mut self, out: &mut Vec<i16>) {
        if self.taken == 0 {
            return;
        }
        let owed = (self.taken * self.ratio.1).div_ceil(self.ratio.0) + self.delay as u64;
        while self.released + (self.ready.len() as u64) < owed {
            self.feed_silence(self.chunk);
        }
        self.release(owed, out);
    }

    fn feed_silence(&mut self, mut samples: usize) {
        while samples > 0 {
            let step = samples.min(self.chunk);
            self.input.clear();
            self.input.resize(step, 0.0);
            self.run();
            samples -= step;
        }
    }

    /// Runs `input` through the filter and appends the result to `ready`.
    fn run(&mut self) {
        let (frames, room) = (self.input.len(), self.output.len());
        self.engine.set_chunk_size(frames).expect("between 1 and what the engine was made for");
        let source = InterleavedSlice::new(&self.input[..], 1, frames).expect("mono");
        let mut target = InterleavedSlice::new_mut(&mut self.output[..], 1, room).expect("mono");
        let (_, made) = self
            .engine
            .process_into_buffer(&source, &mut target, None)
            .expect("the output holds the most that the engine makes");
        self.ready.extend(self.output[..made].iter().map(|&sample| to_i16(sample)));
    }

    /// Hands out of `ready` until `owed` samples since the start are released.
    fn release(&mut self, owed: u64, out: &mut Vec<i16>) {
        let due = usize::try_from(owed.saturating_sub(self.released)).unwrap_or(usize::MAX);
        let due = due.min(self.ready.len());
        let dropped = due.min(self.to_drop);
        out.extend_from_slice(&self.ready[dropped..due]);
        self.ready.drain(..due);
        self.to_drop -= dropped;
        self.released += due as u64;
    }
}

/// The filter for a reduced ratio `from : to`.
struct Design {
    ratio: f64,
    parameters: SincInterpolationParameters,
    lead_in: usize,
    delay: usize,
}

impl Design {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "rates and filter lengths are small and positive"
    )]
    fn new(from: usize, to: usize) -> Self {
        let step = from as f64 / to as f64;
        // The filter counts input samples, so it grows with the input rate when that is higher.
        let taps = ((TAPS * step.max(1.0)) as usize).next_multiple_of(8);
        let exact = taps * to <= TABLE_MAX;
        let phases = if exact { to } else { PHASES_INTERPOLATED };
        let interpolation = if exact {
            // Every output falls on a phase of the table: a plain polyphase filter.
            SincInterpolationType::Nearest
        } else {
            SincInterpolationType::Cubic
        };
        let parameters = SincInterpolationParameters::new(taps, WindowFunction::Hann2)
            .f_cutoff(CUTOFF)
            .oversampling_factor(phases)
            .interpolation(interpolation);
        // rubato centres its first output this far before the first input sample. Three samples
        // of silence in front keep it ahead of what is owed; more make the delay TAPS / 2 whole
        // samples of the output where the ratio allows it.
        let early = taps as f64 / 2.0 - step - 1.0 / phases as f64;
        let wanted = TAPS / 2.0 * step.max(1.0) - early;
        let lead_in = wanted.round().max(3.0);
        let delay = ((early + lead_in) / step).round();
        Self {
            ratio: to as f64 / from as f64,
            parameters,
            lead_in: lead_in as usize,
            delay: delay as usize,
        }
    }

    fn engine(&self, chunk: usize) -> Async<f32> {
        Async::new_sinc(self.ratio, 1.0, &self.parameters, chunk, 1, FixedAsync::Input)
            .expect("the ratio is finite and positive, the chunk is not empty")
    }
}

/// rubato panics on a spectrum that is no number, so none may come near it.
fn sane(sample: f32) -> f32 {
    if sample.is_finite() { sample.clamp(-1e3, 1e3) } else { 0.0 }
}

fn check(from: SampleRate, to: SampleRate) -> Result<(), ResampleError> {
    match [from, to].into_iter().find(|rate| !RATES.contains(&rate.hz())) {
        Some(rate) => Err(ResampleError::Rate(rate)),
        None => Ok(()),
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Resamples a whole recording, for files and prompts that are made before they are played.
///
/// Shape: mono in −1..1, in and out; `⌈n · to / from⌉` samples that lie where the input lies.
/// Cost: 1 to 5 µs per 20 ms.
///
/// # Errors
/// A rate outside [`RATES`].
pub fn resample_whole(
    samples: &[f32],
    from: SampleRate,
    to: SampleRate,
) -> Result<Vec<f32>, ResampleError> {
    let mut whole = WholeResampler::new(from, to)?;
    let mut out = Vec::new();
    whole.process(samples, &mut out);
    whole.flush(&mut out);
    Ok(out)
}

/// [`resample_whole`] in pieces, so that a long recording need not be held at its own rate.
#[derive(Debug)]
pub struct WholeResampler {
    /// `None` when both rates are equal.
    blocks: Option<Blocks>,
}

#[derive(Debug)]
struct Blocks {
    engine: Fft<f32>,
    ratio: (u64, u64),
    /// Input that does not fill a block yet.
    carry: Vec<f32>,
    output: Vec<f32>,
    taken: u64,
    released: u64,
    to_drop: usize,
}

impl WholeResampler {
    /// Cost: 30 to 130 µs.
    ///
    /// # Errors
    /// A rate outside [`RATES`].
    pub fn new(from: SampleRate, to: SampleRate) -> Result<Self, ResampleError> {
        check(from, to)?;
        Ok(Self { blocks: (from != to).then(|| Blocks::new(from.hz(), to.hz())) })
    }

    /// Takes a piece of any length and appends what is ready.
    pub fn process(&mut self, samples: &[f32], out: &mut Vec<f32>) {
        match &mut self.blocks {
            None => out.extend_from_slice(samples),
            Some(blocks) => blocks.process(samples, out),
        }
    }

    /// Appends the rest. The resampler is spent then.
    pub fn flush(&mut self, out: &mut Vec<f32>) {
        if let Some(blocks) = &mut self.blocks {
            blocks.flush(out);
        }
    }
}

impl Blocks {
    fn new(from: u32, to: u32) -> Self {
        let (from, to) = (from as usize, to as usize);
        let common = gcd(from, to);
        // Blocks of 20 ms of the lower rate are long enough for a brick wall.
        let engine = Fft::new(from, to, (from / 50).max(from / common), 1, FixedSync::Both)
            .expect("the rates and the chunk are not zero");
        let (frames, made) = (engine.input_frames_max(), engine.output_frames_max());
        Self {
            to_drop: engine.output_delay(),
            engine,
            ratio: ((from / common) as u64, (to / common) as u64),
            carry: Vec::with_capacity(frames),
            output: vec![0.0; made],
            taken: 0,
            released: 0,
        }
    }

    fn process(&mut self, mut samples: &[f32], out: &mut Vec<f32>) {
        self.taken += samples.len() as u64;
        loop {
            let wanted = self.engine.input_frames_next() - self.carry.len();
            let (now, later) = samples.split_at(wanted.min(samples.len()));
            self.carry.extend(now.iter().map(|&sample| sane(sample)));
            if now.len() < wanted {
                return;
            }
            self.block(u64::MAX, out);
            samples = later;
        }
    }

    fn flush(&mut self, out: &mut Vec<f32>) {
        let owed = (self.taken * self.ratio.1).div_ceil(self.ratio.0);
        while self.released < owed {
            self.block(owed, out);
        }
    }

    /// Runs the carry, filled up with silence, and releases up to `owed` samples since the start.
    fn block(&mut self, owed: u64, out: &mut Vec<f32>) {
        let frames = self.carry.len();
        let room = self.output.len();
        let indexing = Indexing::new().partial_len(frames);
        let source = InterleavedSlice::new(&self.carry[..], 1, frames).expect("mono");
        let mut target = InterleavedSlice::new_mut(&mut self.output[..], 1, room).expect("mono");
        let (_, made) = self
            .engine
            .process_into_buffer(&source, &mut target, Some(&indexing))
            .expect("both buffers hold a block");
        self.carry.clear();
        let dropped = made.min(self.to_drop);
        self.to_drop -= dropped;
        let fresh = &self.output[dropped..made];
        let due = usize::try_from(owed - self.released).unwrap_or(usize::MAX).min(fresh.len());
        out.extend_from_slice(&fresh[..due]);
        self.released += due as u64;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EIGHT: u32 = 8_000;
    /// Every rate of the stream protocol and of MP3, against the rate of the carrier.
    const INPUTS: [u32; 9] =
        [11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000];

    fn rate(hz: u32) -> SampleRate {
        SampleRate::new(hz).expect("not zero")
    }

    #[expect(clippy::cast_precision_loss, reason = "a few seconds of samples")]
    fn tone(hz: f64, rate: u32, samples: usize, amplitude: f64) -> Vec<i16> {
        let step = std::f64::consts::TAU * hz / f64::from(rate);
        #[expect(clippy::cast_possible_truncation, reason = "an amplitude below 1")]
        (0..samples)
            .map(|n| ((n as f64 * step).sin() * amplitude * 32767.0).round() as i16)
            .collect()
    }

    /// Root mean square of the steady middle, in dB of a full-scale square wave.
    #[expect(clippy::cast_precision_loss, reason = "a few seconds of samples")]
    fn level_db(samples: &[i16]) -> f64 {
        let middle = &samples[samples.len() / 4..samples.len() * 3 / 4];
        let power: f64 = middle.iter().map(|&s| (f64::from(s) / 32768.0).powi(2)).sum();
        10.0 * (power / middle.len() as f64 + 1e-20).log10()
    }

    fn run(resampler: &mut Resampler, input: &[i16]) -> Vec<i16> {
        let mut out = Vec::new();
        resampler.process(input, &mut out);
        resampler.flush(&mut out);
        out
    }

    fn gain_db(from: u32, to: u32, hz: f64) -> f64 {
        let input = tone(hz, from, from as usize / 2, 0.5);
        let mut resampler = Resampler::new(rate(from), rate(to)).expect("in range");
        level_db(&run(&mut resampler, &input)) - level_db(&input)
    }

    #[test]
    fn speech_band_is_flat_and_aliases_are_gone() {
        for from in INPUTS {
            for hz in [200.0, 1_000.0, 2_500.0, 3_400.0] {
                let gain = gain_db(from, EIGHT, hz);
                assert!(gain.abs() <= 0.1, "{from} Hz: {gain:.3} dB at {hz} Hz");
            }
            for hz in [4_600.0, 5_000.0, 5_500.0, 7_900.0, 9_000.0, 11_900.0, 20_000.0] {
                if hz < f64::from(from) / 2.0 {
                    let gain = gain_db(from, EIGHT, hz);
                    assert!(gain <= -90.0, "{from} Hz: {gain:.1} dB of alias from {hz} Hz");
                }
            }
        }
    }

    #[test]
    fn towards_higher_rates_it_is_flat_and_without_images() {
        for to in [11_025, 16_000, 22_050, 24_000, 44_100, 48_000] {
            for hz in [200.0, 1_000.0, 3_400.0] {
                let gain = gain_db(EIGHT, to, hz);
                assert!(gain.abs() <= 0.1, "to {to} Hz: {gain:.3} dB at {hz} Hz");
            }
        }
    }

    #[test]
    fn twenty_ms_in_give_twenty_ms_out_from_the_first_chunk_on() {
        for (from, to) in INPUTS.map(|from| (from, EIGHT)).into_iter().chain([
            (EIGHT, 16_000),
            (EIGHT, 24_000),
            (EIGHT, 48_000),
            (16_000, 24_000),
        ]) {
            let mut resampler = Resampler::new(rate(from), rate(to)).expect("in range");
            let (mut taken, mut out) = (0_u64, Vec::new());
            for _ in 0..500 {
                resampler.process(&vec![1000; from as usize / 50], &mut out);
                taken += u64::from(from / 50);
                assert_eq!(out.len() as u64, taken * u64::from(to) / u64::from(from));
            }
            let delay = f64::from(u32::try_from(resampler.delay()).expect("short"));
            let delay_ms = delay * 1000.0 / f64::from(to);
            let wanted_ms = 32_000.0 / f64::from(from.min(to));
            let late = delay_ms - wanted_ms;
            assert!((-0.1..=0.4).contains(&late), "{from} to {to}: {delay_ms} ms");
        }
    }

    #[test]
    fn an_impulse_comes_out_where_it_went_in() {
        for (from, to) in [(16_000, EIGHT), (48_000, EIGHT), (44_100, EIGHT), (EIGHT, 24_000)] {
            let at = from as usize / 10;
            let mut input = vec![0; from as usize / 5];
            input[at] = 30_000;
            let peak = |out: &[i16]| (0..out.len()).max_by_key(|&n| out[n].unsigned_abs());
            let wanted = to as usize / 10;
            let mut live = Resampler::new(rate(from), rate(to)).expect("in range");
            assert_eq!(peak(&run(&mut live, &input)), Some(wanted + live.delay()));
            let mut aligned = Resampler::aligned(rate(from), rate(to)).expect("in range");
            assert_eq!(aligned.delay(), 0);
            assert_eq!(peak(&run(&mut aligned, &input)), Some(wanted));
            let whole: Vec<f32> = input.iter().map(|&s| to_f32(s)).collect();
            let whole = resample_whole(&whole, rate(from), rate(to)).expect("in range");
            let whole: Vec<i16> = whole.into_iter().map(to_i16).collect();
            assert_eq!(peak(&whole), Some(wanted), "{from} to {to}, whole");
        }
    }

    #[test]
    fn equal_rates_pass_untouched() {
        let input: Vec<i16> = (i16::MIN..=i16::MAX).collect();
        let mut same = Resampler::aligned(rate(24_000), rate(24_000)).expect("in range");
        assert_eq!(run(&mut same, &input), input);
        assert_eq!(same.delay(), 0);
    }

    #[test]
    fn the_largest_samples_saturate_and_do_not_wrap() {
        for from in [16_000, 44_100] {
            let square: Vec<i16> =
                (0..from).map(|n| if n / 13 % 2 == 0 { i16::MAX } else { i16::MIN }).collect();
            let mut resampler = Resampler::new(rate(from), rate(EIGHT)).expect("in range");
            let out = run(&mut resampler, &square);
            // A wrapped overshoot would jump between the two ends of the range.
            let jump = out.windows(2).map(|w| (i32::from(w[1]) - i32::from(w[0])).abs()).max();
            assert!(out.contains(&i16::MAX) && out.contains(&i16::MIN));
            assert!(jump.is_some_and(|jump| jump < 65_535));
        }
    }

    #[test]
    fn a_flush_starts_anew_and_a_fresh_one_owes_nothing() {
        let mut resampler = Resampler::aligned(rate(24_000), rate(EIGHT)).expect("in range");
        assert!(run(&mut resampler, &[]).is_empty());
        let input = tone(440.0, 24_000, 5_000, 0.7);
        let first = run(&mut resampler, &input);
        assert_eq!(run(&mut resampler, &input), first);
        assert_eq!(first.len(), 1_667);
    }

    #[test]
    fn rates_out_of_range_are_refused() {
        for (from, to) in [(1, EIGHT), (EIGHT, u32::MAX), (3_999, 3_999), (192_001, EIGHT)] {
            assert!(Resampler::new(rate(from), rate(to)).is_err());
            assert!(resample_whole(&[0.5], rate(from), rate(to)).is_err());
        }
    }

    #[test]
    fn whole_recordings_are_flat_and_free_of_aliases() {
        for from in INPUTS {
            for (hz, low, high) in
                [(300.0, -0.05, 0.05), (3_400.0, -0.1, 0.05), (4_100.0, -99.0, -80.0)]
            {
                let input = tone(hz, from, from as usize, 0.5);
                let floats: Vec<f32> = input.iter().map(|&s| to_f32(s)).collect();
                let out = resample_whole(&floats, rate(from), rate(EIGHT)).expect("in range");
                assert_eq!(out.len(), 8_000);
                let out: Vec<i16> = out.into_iter().map(to_i16).collect();
                let gain = level_db(&out) - level_db(&input);
                assert!((low..=high).contains(&gain) || gain < low && high < 0.0, "{from}: {gain}");
            }
        }
    }

    #[test]
    fn whole_recordings_may_hold_what_is_no_number() {
        let hostile = [f32::NAN, f32::INFINITY, f32::MIN, f32::MAX, -0.0];
        let out = resample_whole(&hostile.repeat(500), rate(44_100), rate(EIGHT)).expect("fine");
        assert_eq!(out.len(), 454);
        assert!(out.into_iter().map(to_i16).count() == 454);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn chunking_changes_nothing(
            from in prop::sample::select([EIGHT].into_iter().chain(INPUTS).collect::<Vec<_>>()),
            to in prop::sample::select(vec![EIGHT, 16_000, 24_000, 44_100, 48_000, 7_919]),
            input in prop::collection::vec(any::<i16>(), 0..6_000),
            cuts in prop::collection::vec(1_usize..1_500, 1..40),
            aligned: bool,
        ) {
            let make = if aligned { Resampler::aligned } else { Resampler::new };
            let mut whole = make(rate(from), rate(to)).expect("in range");
            let wanted = run(&mut whole, &input);
            let scaled = (input.len() as u64 * u64::from(to)).div_ceil(u64::from(from));
            let late = if input.is_empty() { 0 } else { whole.delay() };
            prop_assert_eq!(wanted.len() as u64, scaled + late as u64);

            let mut pieces = make(rate(from), rate(to)).expect("in range");
            let (mut out, mut rest) = (Vec::new(), &input[..]);
            for cut in cuts.into_iter().cycle() {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                pieces.process(now, &mut out);
                rest = later;
                if rest.is_empty() { break }
            }
            pieces.flush(&mut out);
            prop_assert!(out == wanted);
        }
    }
}
