//! The voice table, and the built-in voice files that are written to disk once.

use std::io::Write;
use std::path::{Path, PathBuf};

/// One of Pico's six voices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PicoResources {
    /// Language tag, which is also Pico's name for the voice.
    pub language: &'static str,
    /// File name and content of the text analysis.
    pub analysis: (&'static str, &'static [u8]),
    /// File name and content of the signal generation.
    pub signal: (&'static str, &'static [u8]),
}

macro_rules! pico_voice {
    ($language:literal, $speaker:literal) => {
        PicoResources {
            language: $language,
            analysis: (
                concat!($language, "_ta.bin"),
                include_bytes!(concat!("../../../assets/pico/", $language, "_ta.bin")),
            ),
            signal: (
                concat!($language, "_", $speaker, "_sg.bin"),
                include_bytes!(concat!(
                    "../../../assets/pico/",
                    $language,
                    "_",
                    $speaker,
                    "_sg.bin"
                )),
            ),
        }
    };
}

/// All voices that are built in.
pub const PICO: [PicoResources; 6] = [
    pico_voice!("en-US", "lh0"),
    pico_voice!("en-GB", "kh0"),
    pico_voice!("de-DE", "gl0"),
    pico_voice!("es-ES", "zl0"),
    pico_voice!("fr-FR", "nk0"),
    pico_voice!("it-IT", "cm0"),
];

/// A voice as the API's users name it.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Voice {
    /// The `voiceId`.
    pub id: String,
    /// For people.
    pub name: String,
    /// Language tag, e.g. `en-US`; empty: not known, and texts are left as they are.
    pub language: String,
    /// For people, e.g. `female`.
    pub gender: Option<String>,
    /// Name of the engine.
    pub engine: String,
    /// The engine's own name for it.
    #[serde(skip)]
    pub engine_voice: String,
    /// Rate that the engine makes, in Hz.
    pub native_rate: u32,
    /// Its own speed, times that of requests.
    #[serde(skip)]
    pub speed: f32,
    /// Its loudness, on top of the common level.
    #[serde(skip)]
    pub gain_db: f32,
    /// The voice that speaks when this one's engine cannot.
    #[serde(skip)]
    pub fallback: Option<String>,
}

impl Voice {
    /// A voice of an engine, as the engine makes it.
    #[must_use]
    pub fn new(id: &str, engine: &str, engine_voice: &str, language: &str) -> Self {
        Self {
            id: id.to_owned(),
            name: format!("{engine} {engine_voice}"),
            language: language.to_owned(),
            gender: None,
            engine: engine.to_owned(),
            engine_voice: engine_voice.to_owned(),
            native_rate: 24_000,
            speed: 1.0,
            gain_db: 0.0,
            fallback: None,
        }
    }
}

/// The voices that exist without any configuration: `en-US-001` and its five sisters.
#[must_use]
pub fn built_in() -> Vec<Voice> {
    PICO.iter().map(|pico| pico_alias(&format!("{}-001", pico.language), pico.language)).collect()
}

/// A voice id for one of Pico's voices.
#[must_use]
pub fn pico_alias(id: &str, language: &str) -> Voice {
    let voice = Voice::new(id, super::PICO, language, language);
    let gender = Some("female".to_owned());
    Voice { name: format!("Pico {language}"), gender, native_rate: super::pico::RATE, ..voice }
}

/// Finds one of Pico's voices by its language tag.
#[must_use]
pub fn pico(language: &str) -> Option<&'static PicoResources> {
    PICO.iter().find(|pico| pico.language == language)
}

/// A sentence that shows a voice off.
#[must_use]
pub fn sample_text(language: &str) -> &'static str {
    match language.get(..2) {
        Some("de") => "Guten Tag! So klinge ich am Telefon: klar, freundlich und gut zu verstehen.",
        Some("es") => "¡Buenos días! Así sueno por teléfono: clara, amable y fácil de entender.",
        Some("fr") => {
            "Bonjour ! Voici ma voix au téléphone : claire, aimable et facile à comprendre."
        }
        Some("it") => {
            "Buongiorno! Questa è la mia voce al telefono: chiara, gentile e comprensibile."
        }
        Some(_) | None => {
            "Hello! This is how I sound on the phone: clear, friendly and easy to follow."
        }
    }
}

/// Writes the files of one voice below `dir` unless they are there, and returns their paths.
///
/// # Errors
/// An I/O error when the directory or a file cannot be written.
pub fn install(dir: &Path, voice: &PicoResources) -> std::io::Result<(PathBuf, PathBuf)> {
    std::fs::create_dir_all(dir)?;
    Ok((install_file(dir, voice.analysis)?, install_file(dir, voice.signal)?))
}

fn install_file(dir: &Path, (name, content): (&str, &[u8])) -> std::io::Result<PathBuf> {
    let path = dir.join(name);
    if std::fs::read(&path).is_ok_and(|found| found == content) {
        return Ok(path);
    }
    // Written beside and renamed, so that another thread or process never reads half a file.
    let beside = dir.join(format!("{name}.{:?}.new", std::thread::current().id()));
    let mut file = std::fs::File::create(&beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&beside, &path)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_six_voices_of_the_contract_are_there() {
        let ids: Vec<String> = built_in().into_iter().map(|voice| voice.id).collect();
        let wanted = ["en-US-001", "en-GB-001", "de-DE-001", "es-ES-001", "fr-FR-001", "it-IT-001"];
        assert_eq!(ids, wanted);
    }

    #[test]
    fn a_damaged_voice_file_is_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let voice = pico("es-ES").unwrap();
        let (analysis, _) = install(dir.path(), voice).unwrap();
        std::fs::write(&analysis, b"broken").unwrap();
        install(dir.path(), voice).unwrap();
        assert_eq!(std::fs::read(analysis).unwrap(), voice.analysis.1);
    }
}
