//! From a request's text to segments that an engine may have, cut into sentences.
//!
//! ```text
//!  request ─> SSML (if it is) ─> normalise ─> clean ─> cuts
//!     ^                                                 │
//!     └────────────── source_end: which bytes ──────────┘
//! ```
//!
//! Owns the order of these steps and the way back. Does not know engines.

use super::map::Map;
use super::spec::TtsError;
use super::text::{self, EngineText};
use super::{normalise, ssml};
use std::ops::Range;
use std::time::Duration;

/// A stretch of text that is spoken in one manner.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    /// The words.
    pub text: EngineText,
    /// Its sentences.
    pub cuts: Vec<Range<usize>>,
    /// Times the speed of the request.
    pub speed: f32,
    /// On top of the voice's loudness.
    pub gain_db: f32,
    /// Silence before it.
    pub pause: Duration,
    /// The steps that made it, first one first.
    maps: Vec<Map>,
}

impl Segment {
    /// How much of the request's text has been said when this text has been said up to `at`.
    pub(crate) fn source_end(&self, at: usize) -> usize {
        self.maps.iter().rev().fold(at, |at, map| map.source_end(at))
    }
}

/// Prepares a request's text for a voice of this language (empty: not known).
///
/// # Errors
/// [`TtsError::Ssml`], [`TtsError::NothingToSay`].
pub(crate) fn prepare(text: &str, ssml: bool, language: &str) -> Result<Vec<Segment>, TtsError> {
    let segments = if ssml {
        let parts = ssml::parse(text, language)?;
        parts.into_iter().map(|part| marked(part, language)).collect()
    } else {
        vec![plain(text, language)]
    };
    if segments.iter().all(|segment| segment.cuts.is_empty()) {
        return Err(TtsError::NothingToSay);
    }
    Ok(segments)
}

fn plain(text: &str, language: &str) -> Segment {
    let (text, mut maps) = normalise::normalise(text, language);
    let (text, map) = EngineText::clean(&text, language);
    maps.push(map);
    let cuts = text::cuts(text.as_str());
    Segment { text, cuts, speed: 1.0, gain_db: 0.0, pause: Duration::ZERO, maps }
}

fn marked(part: ssml::Part, language: &str) -> Segment {
    let mut segment = plain(&part.text, language);
    segment.maps.insert(0, part.map);
    Segment { speed: part.speed, gain_db: part.gain_db, pause: part.pause, ..segment }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What some engine or other would obey.
    const LIVE: [char; 9] = ['<', '>', '[', ']', '{', '}', '&', '\\', '\0'];

    fn check(text: &str, ssml: bool, language: &str) {
        let Ok(segments) = prepare(text, ssml, language) else { return };
        let mut last = 0;
        for segment in &segments {
            for cut in &segment.cuts {
                let part = segment.text.part(cut.clone());
                assert!(!part.as_str().contains(LIVE), "{part:?}");
                assert!(!part.as_str().contains(char::is_control), "{part:?}");
                assert!(part.as_str().chars().count() <= 300, "{part:?}");
                let end = segment.source_end(cut.end);
                assert!((last..=text.len()).contains(&end), "{end} after {last}");
                last = end;
            }
        }
    }

    #[test]
    fn markup_within_markup_stays_text() {
        let text = "<speak>&lt;genfile file=&quot;x&quot;&gt;one&lt;/genfile&gt; <sub alias=\"&lt;play&gt; \
            [[two]]\">x</sub> <![CDATA[<break/>]]></speak>";
        let segments = prepare(text, true, "en-US").unwrap();
        let said: String = segments.iter().map(|segment| segment.text.as_str()).collect();
        assert!(["genfile", "one", "play", "two", "break"].iter().all(|word| said.contains(word)));
        check(text, true, "en-US");
    }

    proptest! {
        #[test]
        fn no_engine_ever_gets_markup(
            text in any::<String>(),
            marks in "[ -~\n]{0,60}",
            ssml in any::<bool>(),
            language in prop::sample::select(vec!["en-US", "de-DE", "es-ES", "fr-FR", "it-IT", "ja", ""]),
        ) {
            check(&format!("{marks}{text}"), ssml, language);
            check(&format!("<speak>{text}</speak>"), ssml, language);
        }
    }
}
