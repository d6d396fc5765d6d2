//! The `listen` verb of jambonz: a JSON preamble, then binary L16 both ways, and JSON texts beside
//! it.
//!
//! Written after the documentation of jambonz ("listen", bidirectional audio) and of
//! mod_audio_fork. Does not know other verbs.

use super::super::seat::{Incoming, Outgoing};
use super::super::wire::{CommandId, NAME_MAX, Request, Stamp, Start, Told};
use super::news::News;
use super::words::{self, Tuning};
use super::{AUDIO_TEXT_MAX, Dialect, Heard};
use crate::audio::decode::LiveFormat;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

/// Marks that are waited for; the session has as many.
const MARKS_MAX: usize = 4096;
/// The command that asks for a turn to tell what `clearMarks` made void.
const CLEAR_MARKS: &str = "clearMarks";

/// A conversation in jambonz's words.
#[derive(Debug, Default)]
pub(super) struct Jambonz {
    tuning: Tuning,
    /// Marks that have not been told, by the generation that `clearMarks` ends.
    marks: VecDeque<(u64, String)>,
    generation: u64,
    /// Clips of `playAudio` that were named by us.
    clips: u64,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    data: Option<Fields<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Fields<'a> {
    #[serde(borrow)]
    audio_content_type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    audio_content: Option<Cow<'a, str>>,
    sample_rate: Option<u32>,
    queue_play: Option<bool>,
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
}

impl Dialect for Jambonz {
    fn read(&mut self, message: Incoming, heard: &mut VecDeque<Heard>) {
        match message {
            Incoming::Text(text) => self.read_text(&text, heard),
            Incoming::Binary(octets) => self.tuning.audio(self.tuning.agreed(), octets, heard),
            Incoming::Alive => {}
        }
    }

    fn tell(&mut self, told: &Told, _: Stamp, out: &mut VecDeque<Outgoing>) {
        let message = match News::from(told) {
            News::Start(start) => {
                self.tuning = Tuning::of(start);
                preamble(start)
            }
            News::Digit(digit, duration_ms) => {
                json!({ "event": "dtmf", "dtmf": digit, "duration": duration_ms.to_string() })
            }
            News::Mark { name, cleared } => match self.reached(name) {
                Some(name) => mark(name, if cleared { "cleared" } else { "playout" }),
                None => return,
            },
            News::Over { utterance, played_ms, .. } => {
                let seconds = played_ms / 1000;
                let data = json!({
                    "id": utterance.as_ref(),
                    "playback_seconds": seconds.to_string(),
                    "playback_milliseconds": played_ms.to_string(),
                });
                json!({ "type": "playDone", "data": data })
            }
            News::Done(CommandId::Text(id)) if id.as_ref() == CLEAR_MARKS => {
                return self.tell_void(out);
            }
            // A mark that was refused is not waited for.
            News::Error { id: Some(CommandId::Text(id)), .. } => {
                self.reached(id);
                return;
            }
            News::Done(_)
            | News::Flow { .. }
            | News::Error { .. }
            | News::Stats(_)
            | News::Stop
            | News::Other => return,
        };
        out.push_back(Outgoing::Text(message.to_string()));
    }

    fn frame(&mut self, octets: Bytes, _: Stamp) -> Outgoing {
        Outgoing::Binary(octets)
    }

    fn text_max(&self) -> usize {
        AUDIO_TEXT_MAX
    }
}

impl Jambonz {
    fn read_text(&mut self, text: &str, heard: &mut VecDeque<Heard>) {
        let message: Message<'_> = match serde_json::from_str(text) {
            Ok(message) => message,
            Err(error) => {
                return heard.push_back(words::invalid(format!("no message of jambonz: {error}")));
            }
        };
        let fields = message.data.unwrap_or_default();
        match message.kind.as_ref() {
            "playAudio" => self.play(&fields, heard),
            "killAudio" => heard.push_back(Heard::request(words::clear())),
            "mark" => self.mark(fields.name.as_deref(), heard),
            "clearMarks" => {
                self.generation += 1;
                let id = CommandId::Text(CLEAR_MARKS.into());
                heard.push_back(Heard::Request(Some(id), Box::new(Request::Ping)));
            }
            // No verb follows ours.
            "disconnect" => {
                let reason = Some("disconnect".to_owned());
                heard.push_back(Heard::request(Request::Hangup { reason, after_playback: false }));
            }
            // For an application beside the media server, which there is not.
            "transcription" | "transfer" | "error" | "json" => {}
            unknown => heard.push_back(words::unknown(unknown)),
        }
    }

    fn play(&mut self, fields: &Fields<'_>, heard: &mut VecDeque<Heard>) {
        let format = match fields.audio_content_type.as_deref() {
            Some("raw") => LiveFormat::PcmS16Le,
            Some("wave" | "wav") => LiveFormat::Wav,
            Some("mp3") => LiveFormat::Mp3,
            _ => {
                let detail = "audioContentType must be raw, wave or mp3";
                return heard.push_back(words::refused("unsupported_format", detail));
            }
        };
        let (_, agreed) = self.tuning.agreed();
        let Some(content) = &fields.audio_content else {
            return heard.push_back(words::refused("missing_field", "audioContent is missing"));
        };
        let id = fields.id.as_deref().filter(|id| !id.is_empty() && id.len() <= NAME_MAX);
        let id: Arc<str> = if let Some(id) = id {
            id.into()
        } else {
            self.clips += 1;
            format!("clip-{}", self.clips).into()
        };
        match words::octets(content) {
            Ok(octets) => {
                if fields.queue_play != Some(true) {
                    heard.push_back(Heard::request(words::clear()));
                }
                heard.push_back(Heard::request(Request::Utterance(id)));
                let rate = fields.sample_rate.unwrap_or(agreed);
                self.tuning.audio((format, rate), octets, heard);
                heard.push_back(Heard::request(Request::UtteranceEnd));
            }
            Err(refused) => heard.push_back(refused),
        }
    }

    /// Names of marks begin with the generation, so that one of before `clearMarks` is known.
    fn mark(&mut self, name: Option<&str>, heard: &mut VecDeque<Heard>) {
        let name = match name {
            Some(name) if name.len() <= NAME_MAX => name,
            Some(_) | None => return heard.push_back(words::mark(name)),
        };
        if self.marks.len() >= MARKS_MAX {
            return heard.push_back(words::refused("too_many_marks", "too many marks wait"));
        }
        self.marks.push_back((self.generation, name.to_owned()));
        let name = format!("{}:{name}", self.generation);
        let id = CommandId::Text(name.as_str().into());
        heard.push_back(Heard::Request(Some(id), Box::new(Request::Mark(name))));
    }

    /// The client's name of a mark that nothing has been told of.
    fn reached<'a>(&mut self, name: &'a str) -> Option<&'a str> {
        let (generation, name) = name.split_once(':')?;
        let generation: u64 = generation.parse().ok()?;
        let is = |(of, known): &(u64, String)| *of == generation && known == name;
        let at = self.marks.iter().position(is)?;
        self.marks.remove(at);
        Some(name)
    }

    /// Tells the marks that `clearMarks` made void; what was queued goes on playing.
    fn tell_void(&mut self, out: &mut VecDeque<Outgoing>) {
        while let Some((_, name)) = self.marks.pop_front_if(|(of, _)| *of < self.generation) {
            out.push_back(Outgoing::Text(mark(&name, "cleared").to_string()));
        }
    }
}

fn mark(name: &str, event: &str) -> Value {
    json!({ "type": "mark", "data": { "name": name, "event": event } })
}

/// What the call is, with the user's parameters as jambonz has its metadata.
fn preamble(start: &Start) -> Value {
    let status = match start.call_status {
        "IN_PROGRESS" => "in-progress",
        "RINGING" => "ringing",
        _ => "trying",
    };
    let rate = start.outward.as_ref().map_or(start.inward.rate, |outward| outward.rate);
    let mut message = json!({
        "callSid": words::uuid(&start.call_id),
        "callId": start.call_id,
        "accountSid": words::uuid(start.instance_id.strip_prefix("inst_").unwrap_or_default()),
        "direction": start.direction,
        "from": words::from(start),
        "to": start.to,
        "callStatus": status,
        "sampleRate": rate,
        "mixType": "mono",
    });
    if let Some(object) = message.as_object_mut() {
        for (name, value) in &start.parameters {
            object.entry(name).or_insert_with(|| value.clone());
        }
    }
    message
}
