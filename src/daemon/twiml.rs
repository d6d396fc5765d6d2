//! TwiML's wiring: what a call that obeys documents works with.
//!
//! ```text
//!  configuration ─> TwimlDesk (web, files, voices) ─┐
//!  record, request ─────────────────────────────────┴─> app::twiml leg
//!  <Stream url> ─> the object `stream` of the API ─> Content::Stream ─> stream leg
//! ```
//!
//! Owns no rule of TwiML. A `<Stream>` is opened as the API's `stream` object would be, with the
//! protocol `twilio`: what may be dialled, and how, is said in one place.

use super::call_driver::{AppLeg, CallSetup, app_leg};
use super::parts::{Parts, RATE};
use super::setup;
use super::switchboard::Switchboard;
use crate::api::gateway::Content;
use crate::api::types::create::stream_content;
use crate::api::types::{CreateContext, CreateDefaults, RequestedContent};
use crate::app::hearing::{HearingSpec, HearingWish};
use crate::app::stream::StreamRights;
use crate::app::twiml::{
    Account, ChooseVoice, DecodeFile, OpenStream, StreamChild, TwimlParts, TwimlRequest, TwimlSpec,
    Web, spawn, tell_status,
};
use crate::audio::prompt::prepare_prompt;
use crate::audio::rate::SampleRate;
use crate::call::record::{CallRecord, Direction};
use crate::config::Config;
use crate::net::http::{HttpClient, Reach};
use crate::speech::tts::{Tts, Voice};
use crate::turn::barge::BargeSpec;
use crate::twiml::document::Stream;
use crate::twiml::signature::sign;
use crate::twiml::{Facts, sid};
use serde_json::json;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::watch;

/// What all calls that obey TwiML share.
#[derive(Clone)]
pub(super) struct TwimlDesk {
    web: Web,
    decode: DecodeFile,
    voices: Arc<[Voice]>,
    defaults: CreateDefaults,
}

impl TwimlDesk {
    /// Reads what the configuration says.
    pub(super) fn new(config: &Config, tts: &Tts) -> Self {
        let private = config.webhook.allow_private;
        let reach = if private { Reach::Anywhere } else { Reach::Public };
        let (limits, level) = (setup::prompt_limits(config), setup::prompt_level(config));
        let decode = move |file: Vec<u8>| {
            prepare_prompt(&file, &limits, level).map_err(|error| error.to_string())
        };
        Self {
            web: Web::new(HttpClient::within(reach)),
            decode: Arc::new(decode),
            voices: tts.voices().into(),
            defaults: setup::create_defaults(config),
        }
    }

    fn choose_voice(&self) -> ChooseVoice {
        let voices = Arc::clone(&self.voices);
        Arc::new(move |voice, language| choose(&voices, voice, language))
    }
}

/// Starts the leg of a call that obeys TwiML.
pub(super) fn leg(parts: &Arc<Parts>, record: &CallRecord, request: &TwimlRequest) -> AppLeg {
    let terms = parts.terms();
    let desk = &terms.twiml;
    let hearing =
        HearingSpec { barge: BargeSpec::default(), machine: None, ..terms.stream.hearing };
    let spec = TwimlSpec {
        facts: facts(record, &request.account),
        parts: TwimlParts {
            web: desk.web.clone(),
            tts: parts.tts.clone(),
            decode: Arc::clone(&desk.decode),
            voice: desk.choose_voice(),
            open_stream: open_stream(parts, record, &request.account),
            hearing,
        },
        request: request.clone(),
        rate: SampleRate::new(RATE).unwrap_or(SampleRate::HZ_8000),
    };
    app_leg(|control, reports| ((), spawn(spec, control, reports))).1
}

/// What every request says of a call.
fn facts(record: &CallRecord, account: &Account) -> Facts {
    Facts {
        call_sid: sid::call_sid(&record.id),
        account_sid: account.sid.clone(),
        from: record.from.clone().unwrap_or_default(),
        to: record.target_phone.clone(),
        inbound: record.direction == Direction::Inbound,
    }
}

/// Opens the leg of a `<Stream>`: what the API's `stream` object would get.
fn open_stream(parts: &Arc<Parts>, record: &CallRecord, account: &Account) -> OpenStream {
    let (parts, record) = (Arc::clone(parts), record.clone());
    let (sid, token, sip_uris) = (account.sid.clone(), account.token.clone(), account.sip_uris);
    Arc::new(move |stream: &Stream| {
        let terms = parts.terms();
        let desk = &terms.twiml;
        let signature = sign(token.expose(), &stream.url, &[]);
        let parameters: serde_json::Map<_, _> =
            stream.parameters.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let object = json!({
            "url": stream.url,
            "protocol": "twilio",
            "parameters": parameters,
            "auth": { "headers": { "X-Twilio-Signature": signature } },
        });
        let context =
            CreateContext { defaults: desk.defaults, strict: true, voices: &[], engines: &[] };
        let asked = stream_content(&object, &context)?;
        let RequestedContent::Stream { options, wait, mut ask } = asked else {
            return Err("the stream is none".to_owned());
        };
        ask.rights = StreamRights { sip_uris, standing: None };
        let content = Content::Stream { options, wait, ask };
        let settled = terms.dial.settle(&record.instance_id, &content, &parts);
        let mut settled = settled.map_err(|refused| refused.to_string())?;
        settled.account = Some(sid.clone());
        let wish = HearingWish::default();
        let (leg, _seats) =
            Switchboard::stream_leg_of(&parts, &record, &content, settled, None, &wish);
        let AppLeg { control, reports, task } = leg.ok_or("the stream has no leg")?;
        Ok(StreamChild { control, reports, task })
    })
}

/// The voice for what a document names: ours by its id, else the first of the language that the
/// vendor's name or the document says, else the first.
fn choose(voices: &[Voice], voice: Option<&str>, language: Option<&str>) -> String {
    let named = voice.and_then(|name| voices.iter().find(|v| v.id.eq_ignore_ascii_case(name)));
    // e.g. `Google.de-DE-Standard-A`
    let in_name = voice.and_then(|name| name.split_once('.')).map(|(_, rest)| rest);
    let in_name = in_name.filter(|rest| rest.as_bytes().get(2) == Some(&b'-'));
    let wanted = language.or_else(|| in_name.and_then(|rest| rest.get(..5))).unwrap_or("en-US");
    let primary = wanted.split('-').next().unwrap_or(wanted);
    let exact = || voices.iter().find(|voice| voice.language.eq_ignore_ascii_case(wanted));
    let near = || {
        let of = |voice: &&Voice| {
            voice.language.split('-').next().is_some_and(|p| p.eq_ignore_ascii_case(primary))
        };
        voices.iter().find(of)
    };
    let chosen = named.or_else(exact).or_else(near).or_else(|| voices.first());
    chosen.map(|voice| voice.id.clone()).unwrap_or_default()
}

/// Tells how a call is doing, given its record.
pub(super) type Callback =
    Box<dyn FnOnce(watch::Receiver<CallRecord>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// Who is to be told how a call is doing, if its request names anybody.
pub(super) fn callback(parts: &Parts, setup: &CallSetup) -> Option<Callback> {
    let Content::Twiml(request) = &setup.content else { return None };
    let callback = request.callback.clone()?;
    let facts = facts(setup.call.record(), &request.account);
    let (web, token) = (parts.terms().twiml.web.clone(), request.account.token.clone());
    Some(Box::new(move |record| {
        Box::pin(tell_status(web, token.expose().to_owned(), callback, facts, record))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_spoken_in_a_voice_that_is_there() {
        let voice = |id: &str, language: &str| Voice::new(id, "pico", "x", language);
        let voices = [voice("us", "en-US"), voice("gb", "en-GB"), voice("de", "de-DE")];
        for (name, language, chosen) in [
            (None, None, "us"),
            (Some("GB"), Some("de-DE"), "gb"),
            (Some("alice"), Some("en-GB"), "gb"),
            (Some("Google.de-DE-Standard-A"), None, "de"),
            (Some("Polly.Joanna"), None, "us"),
            (Some("man"), Some("de-AT"), "de"),
            (None, Some("ja-JP"), "us"),
        ] {
            assert_eq!(choose(&voices, name, language), chosen, "{name:?} {language:?}");
        }
        assert_eq!(choose(&[], None, None), "");
    }
}
