//! Files and live streams, honest and not, against a chirp that is known to the sample.

use std::f64::consts::TAU;

use proptest::prelude::*;

use super::live::Heard;
use super::*;

/// What `tests/data/audio/make.sh` gave to the encoders: 0.6 s of it, 0.6 loud.
fn chirp(rate: u32) -> Vec<f64> {
    let seconds = (0..rate * 6 / 10).map(|n| f64::from(n) / f64::from(rate));
    seconds.map(|t| 0.6 * (TAU * (300.0 * t + 1_000.0 * t * t)).sin()).collect()
}

/// What lame leaves of the volume at a constant bit rate.
const CBR: f64 = 0.95;

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/data/audio/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|why| panic!("{path}: {why}"))
}

fn decode(bytes: &[u8]) -> Result<Decoded, DecodeError> {
    decode_file(bytes, &DecodeLimits::default())
}

/// Signal to error in dB, of samples against `gain` times the wanted ones.
fn fidelity_db(samples: &[f32], wanted: &[f64], gain: f64) -> f64 {
    let (mut signal, mut error) = (0.0, 1e-12);
    for (&sample, &wanted) in samples.iter().zip(wanted) {
        signal += (gain * wanted).powi(2);
        error += (f64::from(sample) - gain * wanted).powi(2);
    }
    10.0 * f64::log10(signal / error)
}

/// A WAV of the chirp at 8 kHz in a PCM coding: format tag, bits, and how a sample is written.
fn wav(tag: u16, bits: u16, channels: u16, write: impl Fn(f64) -> Vec<u8>) -> Vec<u8> {
    let samples: Vec<u8> = chirp(8_000)
        .into_iter()
        .flat_map(|s| std::iter::repeat_n(write(s), usize::from(channels)).flatten())
        .collect();
    with_header(
        &header(tag, 8_000, bits, channels),
        &samples,
        u32::try_from(samples.len()).unwrap(),
    )
}

fn header(tag: u16, rate: u32, bits: u16, channels: u16) -> Vec<u8> {
    let block = bits.div_ceil(8) * channels;
    let mut fmt = Vec::new();
    fmt.extend(tag.to_le_bytes());
    fmt.extend(channels.to_le_bytes());
    fmt.extend(rate.to_le_bytes());
    fmt.extend((rate * u32::from(block)).to_le_bytes());
    fmt.extend(block.to_le_bytes());
    fmt.extend(bits.to_le_bytes());
    fmt
}

fn with_header(fmt: &[u8], samples: &[u8], told: u32) -> Vec<u8> {
    let mut file = b"RIFF\xFF\xFF\xFF\xFFWAVEfmt ".to_vec();
    file.extend(u32::try_from(fmt.len()).unwrap().to_le_bytes());
    file.extend(fmt);
    file.extend(b"data");
    file.extend(told.to_le_bytes());
    file.extend(samples);
    file
}

fn s16(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|s| s.to_le_bytes()).collect()
}

#[test]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "quantisation")]
fn every_kind_of_wav_gives_the_chirp() {
    use crate::audio::codec::g711::{encode_alaw, encode_ulaw};
    let to_16 = |s: f64| (s * 32_767.0).round() as i16;
    let files = [
        ("u8", 38.0, wav(1, 8, 1, |s| vec![(s * 127.0 + 128.0).round() as u8])),
        ("s16", 85.0, wav(1, 16, 1, |s| to_16(s).to_le_bytes().to_vec())),
        ("s16 stereo", 85.0, wav(1, 16, 2, |s| to_16(s).to_le_bytes().to_vec())),
        ("s16 of 8", 85.0, wav(1, 16, 8, |s| to_16(s).to_le_bytes().to_vec())),
        ("s24", 120.0, wav(1, 24, 1, |s| ((s * 8_388_607.0) as i32).to_le_bytes()[..3].to_vec())),
        (
            "s20 in 24",
            90.0,
            wav(1, 20, 1, |s| (((s * 524_287.0) as i32) << 4).to_le_bytes()[..3].to_vec()),
        ),
        ("s32", 120.0, wav(1, 32, 1, |s| ((s * 2_147_483_647.0) as i32).to_le_bytes().to_vec())),
        ("f32", 120.0, wav(3, 32, 2, |s| (s as f32).to_le_bytes().to_vec())),
        ("f64", 120.0, wav(3, 64, 1, |s| s.to_le_bytes().to_vec())),
        ("alaw", 35.0, wav(6, 8, 1, |s| vec![encode_alaw(to_16(s))])),
        ("ulaw", 35.0, wav(7, 8, 1, |s| vec![encode_ulaw(to_16(s))])),
    ];
    for (name, at_least, file) in files {
        let decoded = decode(&file).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!((decoded.rate.hz(), decoded.samples.len()), (8_000, 4_800), "{name}");
        assert!(decoded.complete && decoded.damaged == 0, "{name}");
        let fidelity = fidelity_db(&decoded.samples, &chirp(8_000), 1.0);
        assert!(fidelity > at_least, "{name}: {fidelity:.1} dB");
    }
}

#[test]
fn adpcm_and_extensible_wavs_give_the_chirp() {
    for (name, rate, gain, at_least) in [
        ("mono-8000-ms-adpcm.wav", 8_000, 1.0, 25.0),
        ("stereo-16000-ms-adpcm.wav", 16_000, 0.75, 25.0),
        ("mono-16000-ima-adpcm.wav", 16_000, 1.0, 25.0),
        ("stereo-16000-ima-adpcm.wav", 16_000, 0.75, 25.0),
    ] {
        let decoded = decode(&fixture(name)).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!(decoded.rate.hz(), rate, "{name}");
        assert!(decoded.samples.len() >= chirp(rate).len() && decoded.complete, "{name}");
        let fidelity = fidelity_db(&decoded.samples, &chirp(rate), gain);
        assert!(fidelity > at_least, "{name}: {fidelity:.1} dB");
    }
    let mut fmt = header(0xFFFE, 16_000, 16, 1);
    fmt.extend([22, 0, 16, 0, 4, 0, 0, 0]);
    fmt.extend(b"\x01\x00\x00\x00\x00\x00\x10\x00\x80\x00\x00\xAA\x00\x38\x9B\x71");
    let decoded = decode(&with_header(&fmt, &s16(&[100, -200]), 4)).expect("extensible");
    assert_eq!(decoded.samples, [100.0 / 32_768.0, -200.0 / 32_768.0]);
}

#[test]
fn every_kind_of_mp3_gives_the_chirp_without_the_delay_of_its_encoder() {
    for (name, rate, channels, gain, at_least) in [
        ("stereo-44100-cbr.mp3", 44_100, 2, 0.75 * CBR, 30.0),
        ("joint-48000-cbr.mp3", 48_000, 2, 0.75 * CBR, 30.0),
        ("mono-24000-vbr.mp3", 24_000, 1, 1.0, 30.0),
        ("mono-22050-cbr.mp3", 22_050, 1, CBR, 30.0),
        ("mono-16000-cbr.mp3", 16_000, 1, CBR, 30.0),
        ("mono-16000-crc.mp3", 16_000, 1, CBR, 30.0),
        ("mono-16000-id3-picture.mp3", 16_000, 1, CBR, 30.0),
        ("mono-8000-mpeg25.mp3", 8_000, 1, CBR, 25.0),
    ] {
        let decoded = decode(&fixture(name)).unwrap_or_else(|why| panic!("{name}: {why}"));
        let wanted = chirp(rate);
        assert_eq!((decoded.rate.hz(), decoded.channels), (rate, channels), "{name}");
        assert_eq!(decoded.samples.len(), wanted.len(), "{name}: gapless");
        assert!(decoded.complete && decoded.damaged == 0, "{name}");
        let fidelity = fidelity_db(&decoded.samples, &wanted, gain);
        assert!(fidelity > at_least, "{name}: {fidelity:.1} dB");
    }
}

#[test]
fn an_untagged_mp3_begins_with_its_sound_too() {
    for (name, rate) in [("mono-24000-untagged.mp3", 24_000), ("mono-8000-untagged.mp3", 8_000)] {
        let decoded = decode(&fixture(name)).expect("an MP3");
        let wanted = chirp(rate);
        let best = (0..1_200).max_by_key(|&lag| {
            let late = &decoded.samples[lag.min(decoded.samples.len())..];
            #[expect(clippy::cast_possible_truncation, reason = "thousandths of a dB")]
            let fidelity = (fidelity_db(late, &wanted, 1.0) * 1_000.0) as i64;
            fidelity
        });
        assert!(best.is_some_and(|lag| lag <= 576), "{name}: {best:?} samples of lead-in");
        assert!(decoded.samples.len() >= wanted.len(), "{name}");
    }
}

#[test]
fn mp3s_one_after_the_other_are_each_gapless_even_at_other_rates() {
    let mut both = fixture("mono-16000-id3-picture.mp3");
    both.extend(fixture("mono-16000-cbr.mp3"));
    let decoded = decode(&both).expect("two MP3s");
    let mut wanted = chirp(16_000);
    wanted.extend(chirp(16_000));
    assert_eq!(decoded.samples.len(), wanted.len());
    assert!(fidelity_db(&decoded.samples, &wanted, CBR) > 30.0);

    both.extend(fixture("stereo-44100-cbr.mp3"));
    let decoded = decode(&both).expect("three MP3s");
    assert_eq!(decoded.rate.hz(), 16_000);
    assert_eq!(decoded.samples.len(), 3 * wanted.len() / 2);
    let heard = Heard::stream(LiveFormat::Auto, &both, &[700]);
    let rates: Vec<_> = heard.stretches.iter().map(|(rate, s)| (rate.hz(), s.len())).collect();
    assert_eq!(rates, [(16_000, 19_200), (44_100, 26_460)]);
}

#[test]
fn junk_in_an_mp3_is_passed_over() {
    let file = fixture("mono-16000-cbr.mp3");
    let mut junk = vec![0_u8; 5_000];
    junk.extend(&file);
    junk.extend(b"TAG");
    junk.extend([b' '; 125]);
    let decoded = decode(&junk).expect("padding before, ID3v1 behind");
    assert_eq!(decoded.samples.len(), 9_600);

    let mut torn = file.clone();
    torn.splice(1_000..1_000, b"\xFF\xFB\x00not a frame\xFF".repeat(20));
    let decoded = decode(&torn).expect("junk in the middle");
    assert!(decoded.samples.len() >= 9_600 - 2 * 576 && decoded.samples.len() <= 9_600 + 576);
    let heard = Heard::stream(LiveFormat::Mp3, &torn, &[1]);
    assert!(heard.events.iter().any(|(_, e)| matches!(e, LiveEvent::Skipped { bytes: 300.. })));
}

#[test]
fn a_stream_joined_in_the_middle_is_silent_until_a_frame_stands_on_its_own() {
    let file = fixture("stereo-44100-cbr.mp3");
    let heard = Heard::stream(LiveFormat::Mp3, &file[3_000..], &[333]);
    let (rate, samples) = &heard.stretches[0];
    assert_eq!(rate.hz(), 44_100);
    let loud = samples.iter().position(|s| s.abs() > 200).expect("it becomes loud");
    assert!(loud <= 3 * 1_152, "silent for {loud} samples");
    assert!(samples.iter().all(|s| s.abs() < 22_000), "a burst of noise");
}

#[test]
fn cut_off_files_give_what_is_there_and_say_so() {
    for name in ["mono-16000-cbr.mp3", "joint-48000-cbr.mp3", "stereo-16000-ima-adpcm.wav"] {
        let file = fixture(name);
        let whole = decode(&file).expect("whole");
        let half = decode(&file[..file.len() / 2]).expect("half");
        assert!(whole.complete && !half.complete, "{name}");
        assert!((whole.samples.len() / 4..whole.samples.len()).contains(&half.samples.len()));
        assert!(half.samples == whole.samples[..half.samples.len()], "{name}");
    }
    // Every prefix has an answer: samples, or an error that is none of ours.
    for name in ["mono-16000-id3-picture.mp3", "mono-8000-ms-adpcm.wav"] {
        let file = fixture(name);
        for len in (0..file.len()).step_by(7) {
            match decode(&file[..len]) {
                Ok(decoded) => assert!(!decoded.samples.is_empty()),
                Err(why) => assert!(!matches!(why, DecodeError::TooLong { .. }), "{why}"),
            }
        }
    }
}

#[test]
fn sizes_in_a_wav_header_that_lie_do_no_harm() {
    let fmt = header(1, 8_000, 16, 1);
    let samples = s16(&[1, 2, 3, 4, 5, 6]);
    // Unknown sizes are no lie; a size beyond the file is.
    for (told, complete) in [(0, true), (u32::MAX, true), (0x7FFF_FFFF, true), (0x7000_0000, false)]
    {
        let decoded = decode(&with_header(&fmt, &samples, told)).expect("samples");
        assert_eq!((decoded.samples.len(), decoded.complete), (6, complete), "{told:#x}");
    }
    // Less than there is: the rest is no sound. An odd octet is none either.
    assert_eq!(decode(&with_header(&fmt, &samples, 5)).expect("two").samples.len(), 2);
    // Chunks of any size before the samples are passed over without memory for them.
    let mut file = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0".to_vec();
    file.extend(&fmt);
    file.extend(b"LIST\x05\0\0\0INFOx\0data\x04\0\0\0\x01\0\x02\0LIST\0\0\0\0");
    assert_eq!(decode(&file).expect("behind a chunk of odd size").samples.len(), 2);
    let mut huge = b"RIFF\0\0\0\0WAVELIST\xFF\xFF\xFF\xFFINFO".to_vec();
    huge.extend([0; 100]);
    assert!(matches!(decode(&huge), Err(DecodeError::Corrupt { .. })));
}

#[test]
fn refusals_say_what_was_found() {
    let fmt = |tag, bits, channels| with_header(&header(tag, 8_000, bits, channels), &[0; 64], 64);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("the audio is empty", vec![]),
        ("found a PNG image", b"\x89PNG\r\n\x1A\n0000".to_vec()),
        (
            "found text that begins with \"{\\\"error\\\": \\\"no",
            b"{\"error\": \"no voice\"}".to_vec(),
        ),
        ("found nothing but zeros", vec![0; 4_000]),
        ("found bytes that begin with 01 02 03", b"\x01\x02\x03\x04".to_vec()),
        ("is Ogg, which is not supported", b"OggS\0\x02".to_vec()),
        ("is MP4 or M4A", b"\0\0\0\x20ftypM4A ".to_vec()),
        ("is FLAC", b"fLaC\0\0\0\x22".to_vec()),
        ("is MPEG audio layer 2", [b"\xFF\xFD\x84\x00".to_vec(), vec![0; 500]].concat()),
        ("is MP3 of free format", [b"\xFF\xFB\x00\x64".to_vec(), vec![0; 500]].concat()),
        ("is AAC (ADTS)", [b"\xFF\xF1\x50\x80".to_vec(), vec![1; 500]].concat()),
        ("is RIFF that is not WAVE", b"RIFF\x10\0\0\0AVI LIST".to_vec()),
        ("ends within its header", b"RIFF\x10\0\0\0WAVEfmt ".to_vec()),
        ("samples come before their format", b"RIFF\x10\0\0\0WAVEdata\x04\0\0\0abcd".to_vec()),
        ("impossible length", b"RIFF\x10\0\0\0WAVEfmt \x04\0\0\0abcdefgh".to_vec()),
        ("has no channels", fmt(1, 16, 0)),
        ("is WAV of 9 channels", fmt(1, 16, 9)),
        ("is WAV of 0 bits", fmt(1, 0, 1)),
        ("is WAV of 24 bits, codec 0x0003", fmt(3, 24, 1)),
        ("is WAV with codec 0x0055", fmt(0x55, 16, 1)),
        ("is ADPCM of 3 channels", fmt(2, 4, 3)),
        ("blocks of the ADPCM are too short", fmt(0x11, 4, 1)),
        ("is WAV of 1 Hz", with_header(&header(1, 1, 16, 1), &[0; 8], 8)),
        ("holds no samples", with_header(&header(1, 8_000, 16, 1), &[], 0)),
        ("the tag is longer than the file", b"ID3\x04\0\0\x7F\x7F\x7F\x7Fxyz".to_vec()),
        ("holds no samples", b"ID3\x04\0\0\0\0\0\x03xyz".to_vec()),
    ];
    for (wanted, bytes) in cases {
        let why = decode(&bytes).expect_err(wanted).to_string();
        assert!(why.contains(wanted), "{why:?} does not say {wanted:?}");
    }
}

#[test]
fn limits_hold_before_memory_is_spent() {
    let second = with_header(&header(1, 8_000, 16, 1), &s16(&vec![7; 80_000]), 160_000);
    let limits =
        |secs, samples_max| DecodeLimits { duration_max: Duration::from_secs(secs), samples_max };
    assert!(decode_file(&second, &limits(10, 80_000)).is_ok());
    for limits in [limits(9, 80_000), limits(10, 79_999)] {
        let why = decode_file(&second, &limits).expect_err("too long");
        assert_eq!(why, DecodeError::TooLong { limit: limits.duration_max });
    }
    // A bomb: octets that claim the lowest rate, so that each lasts as long as can be.
    let bomb = with_header(&header(7, 4_000, 8, 1), &vec![0xFF; 8 << 20], u32::MAX);
    assert!(matches!(decode(&bomb), Err(DecodeError::TooLong { .. })));
}

#[test]
fn a_file_decodes_straight_to_the_rate_of_the_carrier() {
    let file = fixture("stereo-44100-cbr.mp3");
    let decoded =
        decode_file_at(&file, SampleRate::HZ_8000, &DecodeLimits::default()).expect("MP3");
    assert_eq!((decoded.rate, decoded.samples.len()), (SampleRate::HZ_8000, 4_800));
    assert!(fidelity_db(&decoded.samples, &chirp(8_000), 0.75 * CBR) > 30.0);
}

#[test]
fn raw_formats_are_exact_and_carry_what_is_not_whole() {
    let samples: Vec<i16> = (i16::MIN..=i16::MAX).step_by(77).collect();
    let le = s16(&samples);
    let be: Vec<u8> = samples.iter().flat_map(|s| s.to_be_bytes()).collect();
    let float: Vec<u8> =
        samples.iter().flat_map(|&s| (f32::from(s) / 32_768.0).to_le_bytes()).collect();
    for (format, bytes) in
        [(LiveFormat::PcmS16Le, le), (LiveFormat::PcmS16Be, be), (LiveFormat::PcmF32Le, float)]
    {
        for sizes in [&[usize::MAX][..], &[1], &[3, 1, 7]] {
            let heard = Heard::stream(format, &bytes, sizes);
            assert_eq!(heard.stretches, [(SampleRate::HZ_16000, samples.clone())]);
            assert_eq!(heard.events, []);
            let cut = Heard::stream(format, &bytes[..bytes.len() - 1], sizes);
            assert_eq!(cut.stretches[0].1.len(), samples.len() - 1);
            assert!(matches!(cut.events[..], [(_, LiveEvent::Partial { bytes: 1..=3 })]));
        }
    }
    let every: Vec<u8> = (0..=u8::MAX).collect();
    let heard = Heard::stream(LiveFormat::Mulaw, &every, &[5]);
    assert_eq!(heard.stretches[0].1[0x80], 32_124);
    let heard = Heard::stream(LiveFormat::Alaw, &every, &[5]);
    assert_eq!(heard.stretches[0].1[0xD5], 8);
}

#[test]
fn float_samples_that_are_no_number_are_silence() {
    let bytes: Vec<u8> =
        [f32::NAN, f32::INFINITY, -9.0, 0.5].iter().flat_map(|s| s.to_le_bytes()).collect();
    let heard = Heard::stream(LiveFormat::PcmF32Le, &bytes, &[9]);
    assert_eq!(heard.stretches[0].1, [0, i16::MAX, i16::MIN, 16_384]);
    let file = with_header(&header(3, 8_000, 32, 1), &bytes, 16);
    assert_eq!(decode(&file).expect("floats").samples, [0.0, 0.0, -9.0, 0.5]);
}

#[test]
fn auto_tells_mp3_wav_and_samples_apart() {
    let mp3 = fixture("mono-16000-cbr.mp3");
    let wav = wav(1, 16, 1, |_| vec![1, 2]);
    // Samples that begin like a frame of MP3, but no frame follows.
    let mut liar = mp3[..100].to_vec();
    liar.extend(vec![0x11; 3_000]);
    let cases = [
        (&mp3[..], LiveFormat::Mp3),
        (&fixture("mono-16000-id3-picture.mp3")[..], LiveFormat::Mp3),
        (&wav[..], LiveFormat::Wav),
        (&liar[..], LiveFormat::PcmS16Le),
        (b"\x01\x00".as_slice(), LiveFormat::PcmS16Le),
        (b"\xFF\xFB".as_slice(), LiveFormat::PcmS16Le),
        (&[0xFF; 4_000][..], LiveFormat::PcmS16Le),
    ];
    for (bytes, format) in cases {
        for sizes in [&[usize::MAX][..], &[1], &[1_000, 3]] {
            let heard = Heard::stream(LiveFormat::Auto, bytes, sizes);
            assert_eq!(heard.events.first(), Some(&(0, LiveEvent::Detected(format))));
        }
    }
    let flac = Heard::stream(LiveFormat::Auto, b"fLaC\0\x02 and more", &[2]);
    assert!(matches!(
        &flac.events[..],
        [(0, LiveEvent::Failed(DecodeError::Unsupported { what }))] if what == "FLAC"
    ));
    assert_eq!(Heard::stream(LiveFormat::Auto, b"", &[1]), Heard::default());
}

#[test]
fn a_live_wav_may_be_endless_or_one_of_many() {
    let fmt = header(1, 24_000, 16, 1);
    let endless = with_header(&fmt, &s16(&vec![5; 10_000]), u32::MAX);
    let heard = Heard::stream(LiveFormat::Wav, &endless, &[999]);
    assert_eq!(heard.stretches, [(SampleRate::HZ_24000, vec![5; 10_000])]);
    let mut many = with_header(&fmt, &s16(&[1; 30]), 60);
    many.extend(b"LIST\x03\0\0\0abc\0");
    many.extend(with_header(&header(7, 8_000, 8, 1), &[0xFF; 11], 11));
    many.extend(with_header(&header(1, 16_000, 16, 2), &s16(&[6, 8]), 4));
    let heard = Heard::stream(LiveFormat::Wav, &many, &[1]);
    let stretches: Vec<_> = heard.stretches.iter().map(|(r, s)| (r.hz(), s.clone())).collect();
    assert_eq!(stretches, [(24_000, vec![1; 30]), (8_000, vec![0; 11]), (16_000, vec![7])]);
}

#[test]
fn a_live_mp3_of_junk_fails_once_and_a_flush_heals_it() {
    let mut decoder = LiveDecoder::new(LiveFormat::Mp3, SampleRate::HZ_16000);
    let mut failures = 0;
    for _ in 0..100 {
        decoder.push(&[0xA5; 4_096], &mut |output| {
            assert!(matches!(output, LiveOutput::Event(LiveEvent::Failed(_))));
            failures += 1;
        });
    }
    decoder.flush(&mut |_| failures += 1);
    assert_eq!(failures, 1);
    let mut samples = 0;
    let mut count = |output: LiveOutput<'_>| {
        if let LiveOutput::Samples { samples: more, .. } = output {
            samples += more.len();
        }
    };
    decoder.push(&fixture("mono-16000-cbr.mp3"), &mut count);
    decoder.flush(&mut count);
    assert_eq!(samples, 9_600);
}

#[test]
fn the_first_sound_of_a_live_mp3_waits_for_one_header_more_than_its_frame() {
    // 32 kbit/s at 24 kHz: frames of 96 octets.
    let file = &fixture("mono-24000-untagged.mp3")[5 * 96..];
    let mut decoder = LiveDecoder::new(LiveFormat::Mp3, SampleRate::HZ_16000);
    let heard = |decoder: &mut LiveDecoder, bytes: &[u8]| {
        let mut samples = 0;
        decoder.push(bytes, &mut |output| {
            if let LiveOutput::Samples { samples: more, .. } = output {
                samples += more.len();
            }
        });
        samples
    };
    assert_eq!(heard(&mut decoder, &file[..99]), 0);
    assert_eq!(heard(&mut decoder, &file[99..100]), 576);
    assert_eq!(heard(&mut decoder, &file[100..192]), 576);
}

#[test]
fn format_names_are_those_of_the_protocol() {
    for (name, format) in LiveFormat::NAMES {
        assert_eq!(LiveFormat::by_name(name), Some(format));
        assert_eq!(format.name(), name);
    }
    assert_eq!(LiveFormat::by_name("MP3"), None);
}

const FIXTURES: [&str; 6] = [
    "mono-16000-id3-picture.mp3",
    "joint-48000-cbr.mp3",
    "mono-24000-vbr.mp3",
    "mono-24000-untagged.mp3",
    "stereo-16000-ms-adpcm.wav",
    "mono-16000-ima-adpcm.wav",
];

#[test]
fn the_corpora_of_the_fuzzers_hold() {
    for (corpus, fuzz, least) in
        [("audio_file", fuzz_file as fn(&[u8]), 15), ("mp3_live", fuzz_live, 6)]
    {
        let dir = format!("{}/fuzz/corpus/{corpus}", env!("CARGO_MANIFEST_DIR"));
        let mut cases = 0;
        for entry in std::fs::read_dir(&dir).expect("the corpus") {
            fuzz(&std::fs::read(entry.expect("an entry").path()).expect("a file"));
            cases += 1;
        }
        assert!(cases >= least, "{dir} holds {cases} cases");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn chunks_change_nothing(
        name in prop::sample::select(FIXTURES.to_vec()),
        // A packet of Opus is a chunk.
        format in prop::sample::select(LiveFormat::NAMES.to_vec())
            .prop_filter("packets", |(_, format)| *format != LiveFormat::Opus),
        start in 0_usize..3_000,
        damage in prop::collection::vec((0_usize..9_000, any::<u8>()), 0..20),
        sizes in prop::collection::vec(1_usize..2_000, 1..20),
    ) {
        let mut bytes = fixture(name);
        bytes.drain(..start.min(bytes.len() / 2) * usize::from(start % 3 == 0));
        for (at, value) in damage {
            let len = bytes.len();
            bytes[at % len] = value;
        }
        let whole = Heard::stream(format.1, &bytes, &[usize::MAX]);
        for sizes in [&sizes[..], &[1], &[48]] {
            prop_assert!(Heard::stream(format.1, &bytes, sizes) == whole);
        }
    }

    #[test]
    fn no_bytes_break_it(
        name in prop::sample::select(FIXTURES.to_vec()),
        damage in prop::collection::vec((0_usize..20_000, any::<u8>()), 0..200),
        noise in prop::collection::vec(any::<u8>(), 0..2_000),
        format: u8,
    ) {
        let mut bytes = fixture(name);
        for (at, value) in damage {
            let len = bytes.len();
            bytes[at % len] = value;
        }
        fuzz_file(&bytes);
        fuzz_file(&noise);
        let mut live = vec![format, 100];
        live.extend(&noise);
        fuzz_live(&live);
    }
}
