//! What no single option can know: combinations, references, and features that are not built.
//!
//! Owns every rule between options, and the fallbacks that depend on more than one (the built-in
//! engine and its voices). Does not read values.

mod compat;
mod sip;
mod speech;
mod stream;

use super::declare::Setting;
use super::line::{Action, Route};
use super::reader::Reader;
use super::speech::{TtsEngine, TtsKind, Voice};
use super::tree::{Node, Tree};
use super::{Config, Name};
use crate::call::target::{check_sip_uri, is_e164};
use std::collections::BTreeMap;
use std::time::Duration;

/// Pico's voices: our id, and what Pico calls it.
pub const PICO_VOICES: [(&str, &str); 6] = [
    ("en-US-001", "en-US"),
    ("en-GB-001", "en-GB"),
    ("de-DE-001", "de-DE"),
    ("es-ES-001", "es-ES"),
    ("fr-FR-001", "fr-FR"),
    ("it-IT-001", "it-IT"),
];

/// Sample rates that a stream client may send.
const STREAM_RATES: [u32; 6] = [8000, 16_000, 24_000, 32_000, 44_100, 48_000];

/// Completes the configuration and reports what does not go together.
pub(super) fn check(config: &mut Config, reader: &mut Reader<'_>) {
    complete(config);
    stream::check(config, reader);
    duplicates(config, reader);
    api(config, reader);
    media(config, reader);
    backgrounds(config, reader);
    sip::check(config, reader);
    instances(config, reader);
    routes(config, reader);
    compat::check(config, reader);
    speech::check(config, reader);
}

/// Puts the built-in engine and its voices in when the file has none.
fn complete(config: &mut Config) {
    let is_pico = |tts: &TtsEngine| tts.kind == TtsKind::Pico || &*tts.name == "pico";
    if !config.engine.tts.iter().any(is_pico) {
        let (name, kind) = (name("pico"), TtsKind::Pico);
        config.engine.tts.push(TtsEngine { name, kind, ..TtsEngine::stand_in() });
    }
    if config.voice.is_empty()
        && let Some(engine) = config.engine.tts.iter().find(|tts| tts.kind == TtsKind::Pico)
    {
        let engine = engine.name.clone();
        config.voice = PICO_VOICES
            .iter()
            .map(|(id, voice)| Voice {
                id: name(id),
                engine: engine.clone(),
                voice: (*voice).to_owned(),
                ..Voice::stand_in()
            })
            .collect();
    }
}

fn name(text: &str) -> Name {
    Name::read(&mut Reader::aside(), &Node::new(Tree::Text(text.to_owned())))
        .unwrap_or_else(<Name as Setting>::stand_in)
}

/// Names must tell their objects apart.
fn duplicates(config: &Config, reader: &mut Reader<'_>) {
    unique(reader, "trunk", "name", config.trunk.iter().map(|trunk| &*trunk.name));
    unique(reader, "instance", "id", config.instance.iter().map(|line| line.id.as_str()));
    unique(reader, "api.key", "name", config.api.key.iter().map(|key| &*key.name));
    unique(reader, "voice", "id", config.voice.iter().map(|voice| &*voice.id));
    unique(reader, "tls_profile", "name", config.tls_profile.iter().map(|one| &*one.name));
    unique(reader, "background", "name", config.background.iter().map(|track| &*track.name));
    unique(reader, "engine.tts", "name", config.engine.tts.iter().map(|tts| &*tts.name));
    unique(reader, "engine.stt", "name", config.engine.stt.iter().map(|stt| &*stt.name));
    unique(reader, "engine.llm", "name", config.engine.llm.iter().map(|llm| &*llm.name));
    unique(reader, "agent.target", "name", config.agent.target.iter().map(|one| &*one.name));
    unique(reader, "agent.tool", "name", config.agent.tool.iter().map(|tool| &*tool.name));
    let listeners: Vec<String> = config.sip.listen.iter().map(ToString::to_string).collect();
    unique(reader, "sip.listen", "", listeners.iter().map(String::as_str));
}

fn unique<'a>(
    reader: &mut Reader<'_>,
    table: &str,
    key: &str,
    names: impl Iterator<Item = &'a str>,
) {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, name) in names.enumerate() {
        let path = if key.is_empty() {
            format!("{table}[{index}]")
        } else {
            format!("{table}[{index}].{key}")
        };
        match seen.get(name) {
            Some(first) => {
                reader.error_at(&path, format!("{name:?} is there already: {table}[{first}]"));
            }
            None => {
                seen.insert(name, index);
            }
        }
    }
}

fn api(config: &Config, reader: &mut Reader<'_>) {
    let api = &config.api;
    if !api.listen.ip().is_loopback() && api.key.is_empty() {
        reader.error_at(
            "api.listen",
            format!("{} is not loopback: add an [[api.key]], or listen on 127.0.0.1", api.listen),
        );
    }
    if !api.admin_listen.ip().is_loopback() {
        reader.warning_at(
            "api.admin_listen",
            "is not loopback: it serves metrics and drain to everyone who can connect, unasked",
        );
    }
    if api.listen == api.admin_listen && api.listen.port() != 0 {
        reader.error_at("api.admin_listen", "is the same as api.listen");
    }
    for (index, key) in api.key.iter().enumerate() {
        let path = format!("api.key[{index}]");
        match (&key.secret, &key.secret_sha256) {
            (Some(_), Some(_)) => {
                reader.error_at(&path, "has both a secret and secret_sha256; keep one");
            }
            (None, None) => reader.error_at(
                &path,
                "has no secret: give secret_file, secret_env, secret_credential or secret_sha256",
            ),
            (Some(secret), None) if secret.expose().chars().count() < 16 => {
                reader.warning_at(&path, "has a short secret: use 32 random characters or more");
            }
            (Some(_), None) | (None, Some(_)) => {}
        }
        if key.instances.is_empty() {
            reader.warning_at(&path, "has no instances: it can use nothing; [\"*\"] is all");
        }
        for (place, scope) in key.instances.iter().enumerate() {
            if let super::InstanceScope::One(id) = scope
                && config.instance.iter().all(|line| line.id != *id)
            {
                let path = format!("{path}.instances[{place}]");
                reader.warning_at(&path, format!("{id} is not in this file (made by the API?)"));
            }
        }
    }
}

fn media(config: &Config, reader: &mut Reader<'_>) {
    let rtp = &config.rtp;
    let pairs = rtp.ports.pairs();
    if pairs < config.limits.max_calls {
        reader.warning_at(
            "rtp.ports",
            format!(
                "{} holds {pairs} calls, fewer than limits.max_calls = {}",
                rtp.ports, config.limits.max_calls
            ),
        );
    }
    if !rtp.ptime.as_micros().is_multiple_of(10_000) {
        reader.error_at("rtp.ptime", "is not a multiple of 10ms");
    }
    if rtp.address.is_unspecified() && config.node.public_address.is_none() {
        reader.warning_at(
            "rtp.address",
            "is every address: set node.public_address if peers reach us by another one",
        );
    }
    let jitter = &config.jitter;
    if jitter.hole_wait_min > jitter.hole_wait_max {
        reader.error_at("jitter.hole_wait_min", "is above hole_wait_max");
    } else if !(jitter.hole_wait_min..=jitter.hole_wait_max).contains(&jitter.hole_wait) {
        reader.error_at("jitter.hole_wait", "is not between hole_wait_min and hole_wait_max");
    }
    if jitter.paced_min > jitter.paced_max {
        reader.error_at("jitter.paced_min", "is above paced_max");
    } else if !(jitter.paced_min..=jitter.paced_max).contains(&jitter.paced_start) {
        reader.error_at("jitter.paced_start", "is not between paced_min and paced_max");
    }
    if config.playout.start > config.playout.start_max {
        reader.error_at("playout.start", "must not be above start_max");
    }
    if config.playout.high_water <= config.playout.low_water {
        reader.error_at("playout.high_water", "must be above low_water");
    }
    if config.sip.listen.is_empty() {
        reader.error_at("sip.listen", "is empty: without a socket there are no calls");
    }
}

/// Tracks must be there, as files and under the names that they are called by.
fn backgrounds(config: &Config, reader: &mut Reader<'_>) {
    for (index, track) in config.background.iter().enumerate() {
        if !track.audio.is_file() {
            let message = format!("{} is not a file that can be read", track.audio.display());
            reader.error_at(&format!("background[{index}].audio"), message);
        }
    }
    let usual = [
        ("playout.background".to_owned(), &config.playout.background),
        ("agent.default.background".to_owned(), &config.agent.default.background),
    ];
    let lines = config.instance.iter().enumerate();
    let lines = lines.map(|(i, line)| (format!("instance[{i}].background"), &line.background));
    let named = usual.into_iter().chain(lines);
    for (path, name) in named.filter_map(|(path, name)| Some((path, name.as_ref()?))) {
        if config.background.iter().all(|track| track.name != *name) {
            reader.error_at(&path, format!("there is no [[background]] called {:?}", &**name));
        }
    }
}

fn instances(config: &Config, reader: &mut Reader<'_>) {
    for (index, line) in config.instance.iter().enumerate() {
        known_trunk(config, reader, &format!("instance[{index}].trunk"), &line.trunk);
        if !STREAM_RATES.contains(&line.default_rate) {
            let rates = STREAM_RATES.map(|rate| rate.to_string()).join(", ");
            reader.error_at(
                &format!("instance[{index}].default_rate"),
                format!("{} is not one of {rates}", line.default_rate),
            );
        }
    }
}

fn known_trunk(config: &Config, reader: &mut Reader<'_>, path: &str, name: &str) {
    if config.trunk(name).is_none() {
        let names: Vec<String> = config.trunk.iter().map(|trunk| trunk.name.to_string()).collect();
        let hint = super::report::nearest(name, &names)
            .map(|near| format!("; did you mean {near:?}?"))
            .unwrap_or_default();
        reader.error_at(path, format!("there is no [[trunk]] called {name:?}{hint}"));
    }
}

fn routes(config: &Config, reader: &mut Reader<'_>) {
    for (index, route) in config.route.iter().enumerate() {
        let path = format!("route[{index}]");
        if let Some(trunk) = &route.trunk {
            known_trunk(config, reader, &format!("{path}.trunk"), trunk);
        }
        if let Some(trunk) = &route.dial_trunk {
            known_trunk(config, reader, &format!("{path}.dial_trunk"), trunk);
        }
        match &route.instance {
            Some(id) if config.instance.iter().all(|line| line.id != *id) => {
                reader.error_at(
                    &format!("{path}.instance"),
                    format!("there is no [[instance]] with the id {:?}", id.as_str()),
                );
            }
            Some(_) => {}
            None if matches!(route.action, Action::Ring | Action::Reject) => {}
            None => reader
                .error_at(&path, format!("action \"{}\" needs an instance", route.action.as_str())),
        }
        if let Some(voice) = &route.voice
            && !speech::knows_voice(config, voice)
        {
            reader.error_at(&format!("{path}.voice"), format!("there is no voice {voice}"));
        }
        action(route, &path, reader);
    }
}

/// What an action needs, and what does nothing for it.
fn action(route: &Route, path: &str, reader: &mut Reader<'_>) {
    let plays = matches!(route.action, Action::Play | Action::Say);
    let answers = !matches!(route.action, Action::Ring | Action::Reject);
    match &route.audio {
        None if route.action == Action::Play => {
            reader.error_at(path, "action \"play\" needs audio");
        }
        Some(file) if route.action == Action::Play && !file.is_file() => {
            let message = format!("{} is not a file that can be read", file.display());
            reader.error_at(&format!("{path}.audio"), message);
        }
        Some(_) | None => {}
    }
    if route.action == Action::Agent && route.instructions.is_empty() && route.script.is_none() {
        reader.error_at(path, "action \"agent\" needs instructions or a script");
    }
    if let Some(file) = route.script.as_ref().filter(|file| !file.is_file()) {
        let message = format!("{} is not a file that can be read", file.display());
        reader.error_at(&format!("{path}.script"), message);
    }
    if route.action == Action::Say && route.text.as_deref().is_none_or(|t| t.trim().is_empty()) {
        reader.error_at(path, "action \"say\" needs text");
    }
    if matches!(route.action, Action::Webhook | Action::Twiml) && route.url.is_none() {
        let action = route.action.as_str();
        reader.error_at(path, format!("action \"{action}\" needs a url"));
    }
    let dials = route.action == Action::Dial;
    if dials && route.dial.as_deref().is_none_or(|to| !is_e164(to) && check_sip_uri(to).is_err()) {
        reader.error_at(path, "action \"dial\" needs dial, a number or a sip: URI");
    }
    let asks = route.action == Action::Webhook;
    let idle = [
        ("url", matches!(route.action, Action::Webhook | Action::Stream | Action::Twiml)),
        ("stream", route.action == Action::Stream),
        ("account", route.action == Action::Twiml),
        ("timeout", asks),
        ("secret", asks),
        ("ask", route.action == Action::Stream),
        ("audio", route.action == Action::Play),
        ("text", route.action == Action::Say),
        ("voice", matches!(route.action, Action::Say | Action::Agent)),
        ("instructions", route.action == Action::Agent),
        ("script", route.action == Action::Agent),
        ("dial", dials),
        ("dial_trunk", dials),
        ("dial_from", dials),
        ("ringback", dials),
        ("sip_code", asks || dials || route.action == Action::Reject),
        ("repeat", plays),
        ("early_media", plays),
        ("ring", answers),
        ("hangup_after", answers && !dials),
    ];
    for (key, _) in idle.iter().filter(|(_, used)| !used) {
        let path = format!("{path}.{key}");
        if reader.is_written(&path) {
            let action = route.action.as_str();
            reader.warning_at(&path, format!("has no effect with action \"{action}\""));
        }
    }
    if route.early_media && route.ring == Duration::ZERO {
        reader.warning_at(
            &format!("{path}.early_media"),
            "lasts no time: `ring` says how long it is before the answer",
        );
    }
}
