//! Pipecat's frames: one protobuf message in each binary message of the socket.
//!
//! Written after `frames.proto` of Pipecat 1.14 (`ProtobufFrameSerializer`). What Pipecat has no
//! frame for goes both ways as a `MessageFrame` with a text of our own protocol. RTVI is not
//! answered.

use super::super::seat::{Incoming, Outgoing};
use super::super::wire::{self, Stamp, Told};
use super::words::{self, Tuning};
use super::{Dialect, Heard};
use crate::audio::decode::LiveFormat;
use bytes::{Bytes, BytesMut};
use prost::Message as _;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::VecDeque;

/// A conversation in Pipecat's frames.
#[derive(Debug)]
pub(super) struct Pipecat {
    tuning: Tuning,
    /// Of what is sent.
    rate: u32,
    frames: u64,
}

/// `pipecat.Frame`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Frame {
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5")]
    pub(super) kind: Option<Kind>,
}

/// What a frame is.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Kind {
    #[prost(message, tag = "1")]
    Text(TextFrame),
    #[prost(message, tag = "2")]
    Audio(AudioRawFrame),
    #[prost(message, tag = "3")]
    Transcription(TranscriptionFrame),
    #[prost(message, tag = "4")]
    Message(MessageFrame),
    #[prost(message, tag = "5")]
    Interruption(InterruptionFrame),
}

/// `pipecat.TextFrame`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct TextFrame {
    #[prost(uint64, tag = "1")]
    pub(super) id: u64,
    #[prost(string, tag = "2")]
    pub(super) name: String,
    #[prost(string, tag = "3")]
    pub(super) text: String,
}

/// `pipecat.AudioRawFrame`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AudioRawFrame {
    #[prost(uint64, tag = "1")]
    pub(super) id: u64,
    #[prost(string, tag = "2")]
    pub(super) name: String,
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) audio: Bytes,
    #[prost(uint32, tag = "4")]
    pub(super) sample_rate: u32,
    #[prost(uint32, tag = "5")]
    pub(super) num_channels: u32,
    #[prost(uint64, optional, tag = "6")]
    pub(super) pts: Option<u64>,
}

/// `pipecat.TranscriptionFrame`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct TranscriptionFrame {
    #[prost(uint64, tag = "1")]
    pub(super) id: u64,
    #[prost(string, tag = "2")]
    pub(super) name: String,
    #[prost(string, tag = "3")]
    pub(super) text: String,
    #[prost(string, tag = "4")]
    pub(super) user_id: String,
    #[prost(string, tag = "5")]
    pub(super) timestamp: String,
}

/// `pipecat.MessageFrame`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct MessageFrame {
    #[prost(string, tag = "1")]
    pub(super) data: String,
}

/// `pipecat.InterruptionFrame`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct InterruptionFrame {
    #[prost(uint64, tag = "1")]
    pub(super) id: u64,
    #[prost(string, tag = "2")]
    pub(super) name: String,
}

impl Default for Pipecat {
    fn default() -> Self {
        Self { tuning: Tuning::default(), rate: 16_000, frames: 0 }
    }
}

impl Dialect for Pipecat {
    fn read(&mut self, message: Incoming, heard: &mut VecDeque<Heard>) {
        let octets = match message {
            Incoming::Binary(octets) => octets,
            Incoming::Text(_) => {
                return heard.push_back(words::invalid("Pipecat's frames are binary"));
            }
            Incoming::Alive => return,
        };
        match Frame::decode(octets) {
            Ok(Frame { kind: Some(kind) }) => self.read_frame(kind, heard),
            Ok(Frame { kind: None }) => heard.push_back(words::invalid("the frame is empty")),
            Err(error) => {
                heard.push_back(words::invalid(format!("no frame of Pipecat's: {error}")));
            }
        }
    }

    fn tell(&mut self, told: &Told, stamp: Stamp, out: &mut VecDeque<Outgoing>) {
        if let Told::Start(start) = told {
            self.tuning = Tuning::of(start);
            self.rate = start.outward.as_ref().map_or(self.rate, |outward| outward.rate);
        }
        let kind = match told {
            Told::Transcript(said) if said.is_final && said.track == "caller" => {
                self.frames += 1;
                Kind::Transcription(TranscriptionFrame {
                    id: self.frames,
                    name: "TranscriptionFrame".to_owned(),
                    text: said.text.clone(),
                    user_id: said.track.to_owned(),
                    timestamp: wire::rfc3339(stamp.unix_ms, true),
                })
            }
            told => Kind::Message(MessageFrame { data: wire::encode(told, stamp) }),
        };
        out.push_back(encode(&Frame { kind: Some(kind) }));
    }

    fn frame(&mut self, octets: Bytes, _: Stamp) -> Outgoing {
        self.frames += 1;
        let audio = AudioRawFrame {
            id: self.frames,
            name: "InputAudioRawFrame".to_owned(),
            audio: octets,
            sample_rate: self.rate,
            num_channels: 1,
            pts: None,
        };
        encode(&Frame { kind: Some(Kind::Audio(audio)) })
    }
}

impl Pipecat {
    fn read_frame(&mut self, kind: Kind, heard: &mut VecDeque<Heard>) {
        match kind {
            Kind::Audio(frame) => match mono(frame.audio, frame.num_channels) {
                Some(octets) => {
                    self.tuning.audio((LiveFormat::PcmS16Le, frame.sample_rate), octets, heard);
                }
                None => {
                    let detail = "num_channels must be 1 or 2, and the samples whole";
                    heard.push_back(words::refused("unsupported_format", detail));
                }
            },
            Kind::Interruption(_) => heard.push_back(Heard::request(words::clear())),
            // Pipecat's own messages (RTVI) are for a program with a face.
            Kind::Message(frame) if is_rtvi(&frame.data) => {}
            Kind::Message(frame) => heard.push_back(match wire::decode(&frame.data) {
                Ok((id, request)) => Heard::Request(id, Box::new(request)),
                Err(refused) => Heard::Refused(refused),
            }),
            // What a bot writes beside what it says.
            Kind::Text(_) | Kind::Transcription(_) => {}
        }
    }
}

/// Writes a frame.
pub(super) fn encode(frame: &Frame) -> Outgoing {
    let mut octets = BytesMut::with_capacity(frame.encoded_len());
    // The memory is there: it cannot fail.
    let _ = frame.encode(&mut octets);
    Outgoing::Binary(octets.freeze())
}

/// Whether a message is of RTVI.
fn is_rtvi(data: &str) -> bool {
    #[derive(Deserialize)]
    struct Labelled<'a> {
        #[serde(borrow)]
        label: Cow<'a, str>,
    }
    serde_json::from_str::<Labelled<'_>>(data).is_ok_and(|message| message.label == "rtvi-ai")
}

/// Samples of 16 bits on one channel: of two, the mean.
fn mono(audio: Bytes, channels: u32) -> Option<Bytes> {
    match channels {
        // Left out where it is 1, by some.
        0 | 1 if audio.len().is_multiple_of(2) => Some(audio),
        2 if audio.len().is_multiple_of(4) => {
            let mut octets = BytesMut::with_capacity(audio.len() / 2);
            let (frames, _) = audio.as_chunks::<4>();
            for &[a, b, c, d] in frames {
                let sum =
                    i32::from(i16::from_le_bytes([a, b])) + i32::from(i16::from_le_bytes([c, d]));
                let mean = i16::try_from(sum / 2).unwrap_or(0);
                octets.extend_from_slice(&mean.to_le_bytes());
            }
            Some(octets.freeze())
        }
        _ => None,
    }
}
