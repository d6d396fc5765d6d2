//! How the sound of calls is sent: silence, filters, and what plays beneath.
//!
//! Owns the tracks of `[[background]]`, decoded once for all calls, and whose call plays which: the
//! request says it, else the agent, the instance or the configuration. Does not mix: the media leg
//! does.

use super::setup::{prompt_level, prompt_limits};
use crate::api::gateway::{BackgroundWish, Content};
use crate::audio::prompt::prepare_background;
use crate::audio::rate::SampleRate as Rate;
use crate::config::{Background, Config, SilenceMode};
use crate::id::InstanceId;
use crate::media::interface::{BackgroundSpec, SendSpec, SilencePolicy, SilenceSpec};
use anyhow::Context as _;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One track at the rates that legs have.
struct Track {
    narrow: Arc<[i16]>,
    /// At 16 kHz, if any trunk has a codec for it.
    wide: Option<Arc<[i16]>>,
    gain_db: f32,
    duck_db: f32,
}

/// What [`SendSpec`]s are made of.
#[derive(Default)]
pub(super) struct Sound {
    silence: SilenceSpec,
    low_cut: bool,
    tracks: BTreeMap<String, Track>,
    /// The track of calls of which nothing more is said, of an agent's, and of an instance's.
    usual: Option<String>,
    agents: Option<String>,
    lines: BTreeMap<String, String>,
}

impl Sound {
    /// Reads and decodes every track.
    ///
    /// Cost: blocks for some milliseconds per second of a track.
    ///
    /// # Errors
    /// A file that cannot be read or decoded.
    pub(super) fn load(config: &Config) -> anyhow::Result<Self> {
        let mut codecs = config.trunk.iter().flat_map(|trunk| &trunk.codecs);
        let wide = codecs.any(|codec| codec.spec().sample_rate.hz() > 8_000);
        let tracks = config.background.iter().map(|background| {
            Ok((background.name.to_string(), Track::load(background, wide, config)?))
        });
        let name = |name: &crate::config::Name| name.to_string();
        let lines = config.instance.iter().filter_map(|instance| {
            Some((instance.id.to_string(), name(instance.background.as_ref()?)))
        });
        Ok(Self {
            silence: silence(config),
            low_cut: config.playout.low_cut,
            tracks: tracks.collect::<anyhow::Result<_>>()?,
            usual: config.playout.background.as_ref().map(name),
            agents: config.agent.default.background.as_ref().map(name),
            lines: lines.collect(),
        })
    }

    /// Whether comfort noise packets are to be agreed on.
    pub(super) fn sends_comfort_noise(&self) -> bool {
        self.silence.policy == SilencePolicy::Cn
    }

    /// Whether there is what a request wishes.
    ///
    /// # Errors
    /// What there is, in words.
    pub(super) fn check(&self, wish: &BackgroundWish) -> Result<(), String> {
        match &wish.source {
            Some(source) if !self.tracks.contains_key(source) => {
                let names: Vec<&str> = self.tracks.keys().map(String::as_str).collect();
                let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                Err(format!("there is no background {source:?}; the configuration has {known}"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// How a leg of this rate sends. The second leg of a bridge has no background: a person talks
    /// there.
    pub(super) fn of_leg(
        &self,
        wish: Option<&BackgroundWish>,
        content: &Content,
        instance: &InstanceId,
        hz: u32,
    ) -> SendSpec {
        let background = match content {
            Content::Party(_) => None,
            Content::Tts(_)
            | Content::Audio { .. }
            | Content::Stream { .. }
            | Content::Twiml(_) => self.background(wish, self.lines.get(instance.as_str()), hz),
            Content::Agent(_) => {
                let line = self.lines.get(instance.as_str());
                self.background(wish, self.agents.as_ref().or(line), hz)
            }
        };
        SendSpec { silence: self.silence, low_cut: self.low_cut, background }
    }

    fn background(
        &self,
        wish: Option<&BackgroundWish>,
        own: Option<&String>,
        hz: u32,
    ) -> Option<BackgroundSpec> {
        let name = match wish {
            Some(wish) => wish.source.as_ref(),
            None => own.or(self.usual.as_ref()),
        };
        let track = self.tracks.get(name?)?;
        let samples = if hz > 8_000 { track.wide.as_ref()? } else { &track.narrow };
        Some(BackgroundSpec {
            samples: Arc::clone(samples),
            gain_db: wish.and_then(|wish| wish.gain_db).unwrap_or(track.gain_db),
            duck_db: wish.and_then(|wish| wish.duck_db).unwrap_or(track.duck_db),
        })
    }
}

impl Track {
    #[expect(clippy::cast_possible_truncation, reason = "gains need no double")]
    fn load(background: &Background, wide: bool, config: &Config) -> anyhow::Result<Self> {
        let path = &background.audio;
        let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        let decode = |rate| {
            prepare_background(&bytes, &prompt_limits(config), prompt_level(config), rate)
                .with_context(|| format!("decoding {}", path.display()))
        };
        Ok(Self {
            narrow: decode(Rate::HZ_8000)?,
            wide: if wide { Some(decode(Rate::HZ_16000)?) } else { None },
            gain_db: background.gain_db as f32,
            duck_db: background.duck_db as f32,
        })
    }
}

#[expect(clippy::cast_possible_truncation, reason = "between -90 and -40")]
fn silence(config: &Config) -> SilenceSpec {
    SilenceSpec {
        policy: match config.rtp.silence {
            SilenceMode::Packets => SilencePolicy::Packets,
            SilenceMode::Cn => SilencePolicy::Cn,
            SilenceMode::Suppress => SilencePolicy::Suppress,
        },
        comfort_noise_dbov: config.rtp.comfort_noise_dbov.get().map(|level| level.round() as i8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::record::CallType;

    fn track(level: i16) -> Track {
        let samples = |count| vec![level; count].into();
        Track { narrow: samples(80), wide: Some(samples(160)), gain_db: -18.0, duck_db: 12.0 }
    }

    fn sound() -> Sound {
        let named = |name: &str| Some(name.to_owned());
        Sound {
            tracks: [("office", 1), ("rain", 2), ("music", 3)]
                .map(|(name, level)| (name.to_owned(), track(level)))
                .into(),
            usual: named("office"),
            agents: named("music"),
            lines: [("inst_wet".to_owned(), "rain".to_owned())].into(),
            ..Sound::default()
        }
    }

    #[test]
    fn the_request_comes_before_the_agent_the_instance_and_the_configuration() {
        let sound = sound();
        let stream = Content::Stream {
            options: Box::default(),
            wait: std::time::Duration::ZERO,
            ask: Box::default(),
        };
        let agent = Content::Agent(Box::default());
        let wish = |source: Option<&str>| BackgroundWish {
            source: source.map(str::to_owned),
            gain_db: Some(-6.0),
            duck_db: None,
        };
        let heard = |wish: Option<&BackgroundWish>, content: &Content, instance: &str| {
            let spec = sound.of_leg(wish, content, &instance.parse().unwrap(), 8_000);
            spec.background.map(|background| (background.samples[0], background.gain_db))
        };
        assert_eq!(heard(None, &stream, "inst_dry"), Some((1, -18.0)));
        assert_eq!(heard(None, &stream, "inst_wet"), Some((2, -18.0)));
        assert_eq!(heard(None, &agent, "inst_wet"), Some((3, -18.0)));
        assert_eq!(heard(Some(&wish(Some("rain"))), &agent, "inst_dry"), Some((2, -6.0)));
        assert_eq!(heard(Some(&wish(None)), &agent, "inst_wet"), None);
        let party = Content::Party(CallType::DynamicAgent);
        assert_eq!(heard(None, &party, "inst_wet"), None);
        let wide = sound.of_leg(None, &stream, &"inst_dry".parse().unwrap(), 16_000);
        assert_eq!(wide.background.unwrap().samples.len(), 160);
    }

    #[test]
    fn a_track_that_is_not_there_is_named() {
        let wish = |source: &str| BackgroundWish {
            source: Some(source.to_owned()),
            ..BackgroundWish::default()
        };
        assert_eq!(sound().check(&wish("rain")), Ok(()));
        assert_eq!(sound().check(&BackgroundWish::default()), Ok(()));
        let told = sound().check(&wish("beach")).unwrap_err();
        assert!(told.contains("\"beach\"") && told.contains("music, office, rain"), "{told}");
        assert!(Sound::default().check(&wish("x")).unwrap_err().ends_with("has none"));
    }

    #[test]
    fn calls_share_the_samples_of_a_track() {
        let sound = sound();
        let instance = "inst_dry".parse().unwrap();
        let content = Content::Agent(Box::default());
        let specs: Vec<SendSpec> =
            (0..10).map(|_| sound.of_leg(None, &content, &instance, 8_000)).collect();
        assert_eq!(Arc::strong_count(&sound.tracks["music"].narrow), 11);
        drop(specs);
    }
}
