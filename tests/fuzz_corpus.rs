//! Every fuzz target on its committed corpus, in every test run.
//!
//! A new target gets a row here, a file in `fuzz/fuzz_targets`, a `[[bin]]` in `fuzz/Cargo.toml`
//! and a directory in `fuzz/corpus`. An input that crashed a target goes into its corpus.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that cannot go on must stop")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

type Target = fn(&[u8]);

const TARGETS: &[(&str, Target)] = &[
    ("sip_message", bellwire::sip::message::fuzz::message),
    ("sip_frame", bellwire::sip::message::fuzz::stream),
    ("sip_uri", bellwire::sip::message::fuzz::uri),
    ("sdp", bellwire::sdp::fuzz_entry),
    ("digest", bellwire::sip::auth::fuzz_entry),
    ("rtp", bellwire::rtp::fuzz_packet),
    ("red", bellwire::rtp::fuzz_red),
    ("rtcp", bellwire::rtp::fuzz_rtcp),
    ("srtp", bellwire::rtp::fuzz_srtp),
    ("jitter", bellwire::media::jitter::fuzz_history),
    ("audio_file", bellwire::audio::decode::fuzz_file),
    ("mp3_live", bellwire::audio::decode::fuzz_live),
    ("rest_create", bellwire::api::types::fuzz_create),
    ("stream_url", bellwire::api::stream::url::fuzz_url),
    ("ws_text", bellwire::app::stream::wire::fuzz_ws_text),
    ("dialect_twilio", bellwire::app::stream::dialect::fuzz::twilio),
    ("dialect_vonage", bellwire::app::stream::dialect::fuzz::vonage),
    ("dialect_telnyx", bellwire::app::stream::dialect::fuzz::telnyx),
    ("dialect_plivo", bellwire::app::stream::dialect::fuzz::plivo),
    ("dialect_jambonz", bellwire::app::stream::dialect::fuzz::jambonz),
    ("dialect_asterisk", bellwire::app::stream::dialect::fuzz::asterisk),
    ("dialect_pipecat", bellwire::app::stream::dialect::fuzz::pipecat),
    ("sip_identity", bellwire::sip::stir::fuzz_entry),
    ("session", bellwire::sip::endpoint::fuzz_entry),
    ("tts_frame", bellwire::speech::tts::fuzz_engine_frame),
    ("tts_normalise", bellwire::speech::tts::fuzz_normalise),
    ("tts_ssml", bellwire::speech::tts::fuzz_ssml),
    ("stt_vosk", bellwire::speech::stt::fuzz::fuzz_vosk),
    ("stt_deepgram", bellwire::speech::stt::fuzz::fuzz_deepgram),
    ("stt_flux", bellwire::speech::stt::fuzz::fuzz_flux),
    ("stt_openai", bellwire::speech::stt::fuzz::fuzz_openai),
    ("stt_assemblyai", bellwire::speech::stt::fuzz::fuzz_assemblyai),
    ("agent_sse", bellwire::app::agent::chat::sse::fuzz_sse),
    ("agent_chat", bellwire::app::agent::chat::fuzz_chunk),
    ("agent_harness", bellwire::app::agent::harness::fuzz_harness),
    ("agent_live", bellwire::app::agent::live::fuzz_live),
    ("agent_playbook", bellwire::app::agent::script::fuzz_playbook),
    ("agent_schema", bellwire::app::agent::schema::fuzz_schema),
    ("twiml", bellwire::twiml::fuzz_document),
    ("twilio_form", bellwire::twiml::fuzz_form),
];

/// Directories of test data that are worth a target's time too.
const MORE: &[(&str, Target)] = &[
    ("tests/data/rfc4475", bellwire::sip::message::fuzz::message),
    ("tests/data/rfc5118", bellwire::sip::message::fuzz::message),
    ("tests/data/sip", bellwire::sip::message::fuzz::message),
];

#[test]
fn every_target_survives_its_corpus() {
    for (name, target) in TARGETS {
        assert!(run(&root().join("fuzz/corpus").join(name), *target) > 0, "{name} has no corpus");
    }
    for (directory, target) in MORE {
        assert!(run(&root().join(directory), *target) > 0);
    }
}

#[test]
fn every_target_survives_cut_inputs() {
    for (name, target) in TARGETS {
        for file in files(&root().join("fuzz/corpus").join(name)) {
            let bytes = std::fs::read(file).unwrap();
            for len in 0..bytes.len().min(2048) {
                target(&bytes[..len]);
            }
        }
    }
}

#[test]
fn targets_corpora_and_binaries_are_the_same_set() {
    let here: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let stems = |directory: &str| -> BTreeSet<String> {
        let entries = std::fs::read_dir(root().join("fuzz").join(directory)).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect()
    };
    assert_eq!(here, stems("fuzz_targets"));
    assert_eq!(here, stems("corpus"));
    let manifest = std::fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
    for name in &here {
        assert!(manifest.contains(&format!("name = \"{name}\"\n")), "{name} has no [[bin]]");
    }
}

fn run(directory: &Path, target: Target) -> usize {
    let files = files(directory);
    for file in &files {
        // Shown only if the target panics: it names the input.
        #[expect(clippy::print_stdout, reason = "kept by the harness unless the test fails")]
        {
            println!("{}", file.display());
        }
        target(&std::fs::read(file).unwrap());
    }
    files.len()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.is_file()).collect();
    files.sort();
    files
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
