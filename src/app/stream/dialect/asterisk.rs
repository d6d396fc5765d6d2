//! Asterisk's chan_websocket: binary audio, and control messages in plain text or in JSON.
//!
//! Written after Asterisk's page "WebSocket" (channel drivers) and the messages of
//! `chan_websocket.c` as of Asterisk 23. Does not know ARI or the dialplan; codecs that must pass
//! through untouched are not served.

use super::super::seat::{Incoming, Outgoing};
use super::super::wire::{CommandId, NAME_MAX, Request, Stamp, Start, Told};
use super::news::News;
use super::words;
use super::{Dialect, Heard};
use crate::call::control::Wish;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::collections::VecDeque;

/// Marks of the report that the queue has run dry.
const DRAINED: &str = "drained:";
/// Marks of the client's own.
const MARK: &str = "mark:";
/// Marks of the end of a bulk transfer.
const BULK: &str = "bulk:";
/// Marks of `REPORT_QUEUE_DRAINED` that may wait; behind them one is told early.
const DRAINS_MAX: u64 = 1000;
/// One frame of Asterisk's queue, in milliseconds.
const FRAME_MS: u64 = 20;

/// A conversation in the words of chan_websocket.
#[derive(Debug)]
pub(super) struct Asterisk {
    json: bool,
    channel: String,
    /// How much may be queued, in frames.
    frames_max: u64,
    full: bool,
    bulk: bool,
    paused: bool,
    /// The last mark of a report that is due, and the marks before it that are not told.
    drain: Option<u64>,
    drains: u64,
}

/// A command in JSON; in plain text it is a word, and maybe an id behind it.
#[derive(Deserialize)]
struct Command<'a> {
    #[serde(borrow)]
    command: Cow<'a, str>,
    #[serde(borrow, default)]
    correlation_id: Option<Cow<'a, str>>,
}

impl Dialect for Asterisk {
    fn read(&mut self, message: Incoming, heard: &mut VecDeque<Heard>) {
        match message {
            Incoming::Text(text) if self.json => match serde_json::from_str::<Command<'_>>(&text) {
                Ok(command) => {
                    self.command(&command.command, command.correlation_id.as_deref(), heard);
                }
                Err(_) => heard.push_back(words::invalid("Unable to parse JSON command")),
            },
            Incoming::Text(text) => {
                let text = text.trim();
                let (command, id) = text.split_once(' ').unwrap_or((text, ""));
                let id = id.trim();
                self.command(command, (!id.is_empty()).then_some(id), heard);
            }
            Incoming::Binary(octets) => {
                heard.push_back(Heard::Audio(octets));
                // The queue runs dry behind this, not before.
                if self.drain.is_some() && self.drains < DRAINS_MAX {
                    self.report_drained(heard);
                }
            }
            Incoming::Alive => {}
        }
    }

    fn tell(&mut self, told: &Told, _: Stamp, out: &mut VecDeque<Outgoing>) {
        let message = match News::from(told) {
            News::Start(start) => self.media_start(start),
            News::Digit(digit, _) => {
                let fields = [("digit", digit.to_string().into())];
                self.event("DTMF_END", &fields, &["digit", "channel_id"])
            }
            News::Mark { name, cleared } => match self.mark(name, cleared) {
                Some(message) => message,
                None => return,
            },
            News::Flow { stop } => {
                self.full = stop;
                self.event(if stop { "MEDIA_XOFF" } else { "MEDIA_XON" }, &[], &[])
            }
            News::Stats(stats) => self.status(stats.queued_ms),
            News::Error { id: Some(CommandId::Text(id)), .. } if id.starts_with(DRAINED) => {
                self.drains = self.drains.saturating_sub(1);
                return;
            }
            News::Error { code, detail, .. } => {
                // That somebody else has the leg is no fault of a text.
                let text = format!("{code}: {detail}");
                self.event("ERROR", &[("error_text", text.into())], &["channel_id", "error_text"])
            }
            News::Done(_) | News::Over { .. } | News::Stop | News::Other => return,
        };
        out.push_back(Outgoing::Text(message));
    }

    fn frame(&mut self, octets: Bytes, _: Stamp) -> Outgoing {
        Outgoing::Binary(octets)
    }
}

impl Asterisk {
    /// Control messages in plain text: its default.
    pub(super) fn plain() -> Self {
        Self {
            json: false,
            channel: String::new(),
            frames_max: 0,
            full: false,
            bulk: false,
            paused: false,
            drain: None,
            drains: 0,
        }
    }

    /// Control messages in JSON.
    pub(super) fn json() -> Self {
        Self { json: true, ..Self::plain() }
    }

    fn command(&mut self, command: &str, id: Option<&str>, heard: &mut VecDeque<Heard>) {
        let id = id.unwrap_or_default();
        if id.len() > NAME_MAX {
            let detail = format!("an id has at most {NAME_MAX} octets");
            return heard.push_back(words::refused("invalid_field", detail));
        }
        let request = match command {
            "ANSWER" => Request::Wish(Box::new(Wish::Answer)),
            "HANGUP" => Request::Hangup { reason: None, after_playback: false },
            "START_MEDIA_BUFFERING" => {
                self.bulk = true;
                return;
            }
            "STOP_MEDIA_BUFFERING" => {
                self.bulk = false;
                heard.push_back(Heard::request(Request::UtteranceEnd));
                Request::Mark(format!("{BULK}{id}"))
            }
            "MARK_MEDIA" => Request::Mark(format!("{MARK}{id}")),
            "FLUSH_MEDIA" => {
                (self.bulk, self.paused) = (false, false);
                heard.push_back(Heard::request(words::clear()));
                Request::Resume
            }
            "PAUSE_MEDIA" => {
                self.paused = true;
                Request::Pause
            }
            "CONTINUE_MEDIA" => {
                self.paused = false;
                Request::Resume
            }
            "GET_STATUS" => Request::Stats,
            "REPORT_QUEUE_DRAINED" => return self.report_drained(heard),
            unknown => return heard.push_back(words::unknown(unknown)),
        };
        heard.push_back(Heard::request(request));
    }

    /// Marks the end of what is queued: only the last of these marks is told.
    fn report_drained(&mut self, heard: &mut VecDeque<Heard>) {
        let mark = self.drain.map_or(1, |last| last.wrapping_add(1));
        self.drain = Some(mark);
        self.drains += 1;
        let name = format!("{DRAINED}{mark}");
        let id = CommandId::Text(name.as_str().into());
        heard.push_back(Heard::Request(Some(id), Box::new(Request::Mark(name))));
    }

    /// What a mark says, if it says anything.
    fn mark(&mut self, name: &str, cleared: bool) -> Option<String> {
        if let Some(mark) = name.strip_prefix(DRAINED) {
            self.drains = self.drains.saturating_sub(1);
            let last = self.drain.is_some_and(|last| mark.parse() == Ok(last));
            // A queue that was flushed is empty, too.
            return last.then(|| {
                self.drain = None;
                self.event("QUEUE_DRAINED", &[], &[])
            });
        }
        if cleared {
            return None;
        }
        let (event, id) = match name.strip_prefix(BULK) {
            Some(id) => ("MEDIA_BUFFERING_COMPLETED", id),
            None => ("MEDIA_MARK_PROCESSED", name.strip_prefix(MARK)?),
        };
        if self.json {
            return Some(self.event(event, &[("correlation_id", id.into())], &[]));
        }
        Some(format!("{event} {id}").trim_end().to_owned())
    }

    fn media_start(&mut self, start: &Start) -> String {
        self.channel = format!("{}.1", words::tail(&start.call_id));
        self.frames_max = u64::from(start.buffer_ms) / FRAME_MS;
        let (format, rate) = start
            .outward
            .as_ref()
            .map_or((start.inward.format, start.inward.rate), |out| (out.format, out.rate));
        let (name, width) = match (format, rate) {
            ("mulaw", _) => ("ulaw", 1),
            ("alaw", _) => ("alaw", 1),
            (_, 16_000) => ("slin16", 2),
            (_, 24_000) => ("slin24", 2),
            (_, _) => ("slin", 2),
        };
        let ptime = start.outward.as_ref().map_or(20, |outward| outward.frame_ms);
        let connection = words::uuid(&start.call_id);
        let mut variables = words::texts(&start.parameters);
        variables.insert("MEDIA_WEBSOCKET_CONNECTION_ID".to_owned(), connection.as_str().into());
        let fields = [
            ("connection_id", Value::from(connection.as_str())),
            ("channel", format!("WebSocket/{connection}").into()),
            ("format", name.into()),
            ("optimal_frame_size", (rate / 1000 * width * ptime).into()),
            ("ptime", ptime.into()),
            ("channel_variables", variables.into()),
        ];
        let plain =
            ["connection_id", "channel", "channel_id", "format", "optimal_frame_size", "ptime"];
        self.event("MEDIA_START", &fields, &plain)
    }

    fn status(&self, queued_ms: u64) -> String {
        let frames = |share: u64| self.frames_max * share / 10;
        let fields = [
            ("queue_length", Value::from(queued_ms / FRAME_MS)),
            ("xon_level", frames(8).into()),
            ("xoff_level", frames(9).into()),
            ("queue_full", self.full.into()),
            ("bulk_media", self.bulk.into()),
            ("media_paused", self.paused.into()),
        ];
        let plain = [
            "channel_id",
            "queue_length",
            "xon_level",
            "xoff_level",
            "queue_full",
            "bulk_media",
            "media_paused",
        ];
        self.event("STATUS", &fields, &plain)
    }

    /// Writes an event: all fields in JSON, those of `plain`, in their order, in plain text.
    fn event(&self, event: &str, fields: &[(&str, Value)], plain: &[&str]) -> String {
        if self.json {
            let mut object = Map::new();
            object.insert("event".to_owned(), event.into());
            object.insert("channel_id".to_owned(), self.channel.as_str().into());
            let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
            object.extend(fields);
            return json!(object).to_string();
        }
        let value = |name: &str| match fields.iter().find(|(known, _)| *known == name) {
            Some((_, Value::String(text))) => text.clone(),
            Some((_, value)) => value.to_string(),
            None => self.channel.clone(),
        };
        let words = plain.iter().map(|name| format!(" {name}:{}", value(name)));
        words.fold(event.to_owned(), |text, word| text + &word)
    }
}
