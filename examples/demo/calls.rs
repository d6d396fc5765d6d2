//! The three calls, placed as a user of the API would.

use crate::programs::{Addresses, Programs};
use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bellwire::audio::gain;
use bellwire::audio::rate::SampleRate;
use bellwire::audio::wav;
use bellwire::speech::tts::{SpeakRequest, Tts, TtsSpec};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

/// Rate of the caller's audio that the client asks for.
pub const OUT_RATE: u32 = 16_000;

const IN_RATE: u32 = 24_000;
const NUMBER: &str = "+14155550123";
const TEXT: &str = "Hello. This is Bellwire. Your appointment is confirmed for tomorrow at 2 p.m. \
                    Thank you, and goodbye.";
const BOT: &str = "Hello, this is your voice bot. I speak through a web socket, at twenty four \
                   kilohertz, and I hear you at the same time.";
const CALLER: &str = "Hello? Yes, I can hear you very well. Please go on, I am listening to \
                      every word that you say.";

/// What is said in the demo, made with the built-in voices.
pub struct Speech {
    /// The caller's words, 8 kHz.
    pub caller: Vec<i16>,
    /// The bot's words, 24 kHz.
    pub bot_24k: Vec<i16>,
}

pub fn synthesise(dir: &Path) -> Result<Speech> {
    let speak = |text: &str, voice: &str, rate: u32| -> Result<Vec<i16>> {
        let voice_dir = dir.join("voices");
        let tts = Tts::start(TtsSpec {
            voice_dir,
            threads: 1,
            engines: Vec::new(),
            voices: Vec::new(),
            level_dbov: Some(-20.0),
            rate,
            cache_bytes: 0,
        });
        let mut speech = tts.speak(SpeakRequest::new(voice, text))?;
        let mut all = Vec::new();
        // The engine has its own threads; this one only collects.
        let runtime = tokio::runtime::Handle::current();
        let mut next = || tokio::task::block_in_place(|| runtime.block_on(speech.next()));
        while let Some(piece) = next() {
            all.extend_from_slice(&piece.map_err(anyhow::Error::msg)?.samples);
        }
        Ok(all)
    };
    Ok(Speech {
        caller: speak(CALLER, "en-GB-001", 8000)?,
        bot_24k: speak(BOT, "en-US-001", IN_RATE)?,
    })
}

pub fn write_wav(path: &Path, samples: &[i16], rate: u32) -> Result<()> {
    let rate = SampleRate::new(rate).context("no sample rate")?;
    let mut writer = wav::WavWriter::create(path, rate, 1)?;
    writer.write(samples)?;
    writer.finish()?;
    Ok(())
}

pub fn read_wav(path: &Path) -> Result<Vec<i16>> {
    let recording = wav::Recording::open(path);
    Ok(recording.with_context(|| format!("reading {}", path.display()))?.samples)
}

/// Active speech level in dBov; -100 for silence.
pub fn active_level(samples: &[i16], rate: u32) -> f32 {
    let samples: Vec<f32> = samples.iter().map(|sample| f32::from(*sample) / 32768.0).collect();
    let level = SampleRate::new(rate).and_then(|rate| gain::active_level(&samples, rate));
    level.unwrap_or(-100.0)
}

/// The gateway's REST interface.
pub struct Api {
    http: reqwest::Client,
    base: String,
    admin: String,
}

/// What became of a call.
pub struct Outcome {
    call: Value,
    /// Status and when it was first seen, since the request.
    seen: Vec<(String, Duration)>,
}

/// A line of the table.
pub struct Row {
    pub call_type: String,
    pub status: String,
    pub ringing_ms: u128,
    pub answered_ms: u128,
    pub ended_ms: u128,
    pub codec: String,
    pub packets: u64,
    pub loss_percent: f64,
    pub pacing_p50_ms: f64,
    pub pacing_p99_ms: f64,
    pub played_ms: u64,
}

/// The stream call and what its client received.
pub struct Streamed {
    pub outcome: Outcome,
    pub received: Vec<i16>,
}

impl Api {
    pub fn new(addresses: &Addresses) -> Self {
        Self {
            http: reqwest::Client::new(),
            base: addresses.api.clone(),
            admin: addresses.admin.clone(),
        }
    }

    pub async fn wait_until_ready(&self, programs: &mut Programs) -> Result<()> {
        let until = Instant::now() + Duration::from_secs(15);
        let url = format!("http://{}/health/ready", self.admin);
        while Instant::now() < until {
            programs.check()?;
            let answer = self.http.get(&url).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("the gateway is not ready after 15 s")
    }

    pub async fn fixed_tts(&self) -> Result<Outcome> {
        let tts = json!({ "text": TEXT, "voiceId": "en-US-001" });
        let begun = Instant::now();
        let id = self.create("FIXED_TTS", "tts", tts).await?;
        self.follow(&id, begun).await
    }

    pub async fn fixed_audio(&self, mp3: &[u8]) -> Result<Outcome> {
        let audio = json!({ "audioBase64": STANDARD.encode(mp3) });
        let begun = Instant::now();
        let id = self.create("FIXED_AUDIO", "audio", audio).await?;
        self.follow(&id, begun).await
    }

    /// Sends the bot's words as fast as the network takes them, hears the caller, and hangs up
    /// when the gateway says that the last sample has left.
    pub async fn dynamic_stream(&self, bot: &[i16]) -> Result<Streamed> {
        let begun = Instant::now();
        let id = self.create("DYNAMIC_STREAM", "stream", json!({})).await?;
        let url = format!(
            "ws://{}/v1/calls/{id}/stream?rate={IN_RATE}&out_rate={OUT_RATE}&listen=caller",
            self.base
        );
        let mut request = url.into_client_request()?;
        let subprotocol = "bellwire.stream.v1".parse()?;
        request.headers_mut().insert("Sec-WebSocket-Protocol", subprotocol);
        let (mut socket, _) = tokio_tungstenite::connect_async(request).await?;
        socket.send(Message::text(json!({"type": "utterance", "id": "u1"}).to_string())).await?;
        let bytes: Vec<u8> = bot.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        for chunk in bytes.chunks(4800) {
            socket.send(Message::binary(chunk.to_vec())).await?;
        }
        for text in [json!({"type": "utterance_end"}), json!({"type": "mark", "name": "said"})] {
            socket.send(Message::text(text.to_string())).await?;
        }
        // The call is followed while the client listens.
        let (received, outcome) = tokio::join!(listen(&mut socket), self.follow(&id, begun));
        let (received, outcome) = (received?, outcome?);
        Ok(Streamed { outcome, received })
    }

    async fn create(&self, call_type: &str, section: &str, content: Value) -> Result<String> {
        let body = json!({
            "instanceId": "inst_demo",
            "type": call_type,
            "target": { "phoneNumber": NUMBER },
            section: content,
        });
        let url = format!("http://{}/v1/calls", self.base);
        let answer = self.http.post(url).json(&body).send().await?;
        let status = answer.status();
        let call: Value = answer.json().await?;
        ensure!(status.as_u16() == 201, "POST /v1/calls answered {status}: {call}");
        let id = call["id"].as_str().context("the call has no id")?;
        println!("     {id} {}", call["status"].as_str().unwrap_or("?"));
        Ok(id.to_owned())
    }

    /// Shows the call's progress until it has ended.
    async fn follow(&self, id: &str, begun: Instant) -> Result<Outcome> {
        let url = format!("http://{}/v1/calls/{id}", self.base);
        let until = begun + Duration::from_secs(60);
        let mut seen = vec![("QUEUED".to_owned(), Duration::ZERO)];
        while Instant::now() < until {
            let call: Value = self.http.get(&url).send().await?.json().await?;
            let status = call["status"].as_str().context("the call has no status")?.to_owned();
            if seen.last().is_none_or(|(last, _)| *last != status) {
                let reason = call["end_reason"].as_str().unwrap_or("");
                println!("     {id} {status} {reason}");
                seen.push((status.clone(), begun.elapsed()));
            }
            if status == "COMPLETED" || status == "FAILED" {
                return Ok(Outcome { call, seen });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("call {id} did not end within a minute")
    }
}

type Socket =
    tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

async fn listen(socket: &mut Socket) -> Result<Vec<i16>> {
    let mut received = Vec::new();
    while let Some(message) = socket.next().await {
        match message? {
            Message::Binary(bytes) => {
                let samples = bytes.chunks_exact(2);
                received.extend(samples.map(|pair| i16::from_le_bytes([pair[0], pair[1]])));
            }
            Message::Text(text) => {
                let message: Value = serde_json::from_str(&text)?;
                hear(socket, &message).await?;
            }
            Message::Close(_) => break,
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }
    Ok(received)
}

async fn hear(socket: &mut Socket, message: &Value) -> Result<()> {
    let kind = message["type"].as_str().unwrap_or("?");
    match kind {
        "call_event" => println!("     stream: {}", message["event"].as_str().unwrap_or("?")),
        "playback" => println!(
            "     stream: playback {} played_ms={}",
            message["state"].as_str().unwrap_or("?"),
            message["played_ms"]
        ),
        "mark" => {
            println!("     stream: mark {} played_ms={}", message["name"], message["played_ms"]);
            socket.send(Message::text(json!({"type": "hangup"}).to_string())).await?;
        }
        "error" | "warning" => println!("     stream: {message}"),
        "stop" => println!("     stream: stop {}", message["reason"]),
        _ => {}
    }
    Ok(())
}

impl Outcome {
    pub fn row(&self) -> Row {
        let call = &self.call;
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let since = |status: &str| {
            let seen = self.seen.iter().find(|(seen, _)| seen == status);
            seen.map_or(0, |(_, at)| at.as_millis())
        };
        let ended = self.seen.last().map_or(0, |(_, at)| at.as_millis());
        let quality = &call["quality"];
        let number = |value: &Value| value.as_f64().unwrap_or(0.0);
        Row {
            call_type: text(&call["type"]),
            status: text(&call["status"]),
            ringing_ms: since("RINGING"),
            answered_ms: since("IN_PROGRESS"),
            ended_ms: ended,
            codec: text(&quality["codec"]),
            packets: quality["tx_packets"].as_u64().unwrap_or(0),
            loss_percent: number(&quality["loss"]) * 100.0,
            pacing_p50_ms: number(&quality["pacing_p50_ms"]),
            pacing_p99_ms: number(&quality["pacing_p99_ms"]),
            played_ms: quality["played_ms"].as_u64().unwrap_or(0),
        }
    }
}
