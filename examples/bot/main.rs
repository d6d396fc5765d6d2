//! A bot on Bellwire's stream: places a call and talks on it.
//!
//! ```text
//! cargo run --example bot -- --to +15550100 echo
//! cargo run --example bot -- --to +15550100 play greeting.wav
//! cargo run --example bot -- --to +15550100 interrupt story.wav     stops when the caller speaks
//! ```
//!
//! Its siblings are `bot.py` and `bot.mjs`. Uses nothing of the gateway's own code: the protocol is
//! in docs/stream.md. Each event is printed as one JSON object a line.

#![allow(clippy::print_stdout, reason = "a program for the command line")]

use anyhow::{Context as _, bail};
use clap::Parser;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

#[derive(Debug, Parser)]
struct Args {
    /// Where the API is.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    api: String,
    /// The number.
    #[arg(long)]
    to: String,
    #[command(subcommand)]
    bot: Bot,
}

#[derive(Debug, clap::Subcommand)]
enum Bot {
    /// Sends back what it hears.
    Echo,
    /// Plays a WAV or MP3 file and hangs up.
    Play { file: PathBuf },
    /// The same, and stops when the caller speaks.
    Interrupt { file: PathBuf },
}

impl Bot {
    /// What we hear is what we send back: 16 bit at the telephone's rate. Files bring their own.
    fn query(&self) -> &'static str {
        match self {
            Self::Echo => "&format=pcm_s16le&rate=8000&playout=live",
            Self::Play { .. } => "&format=auto",
            Self::Interrupt { .. } => "&format=auto&barge_in=notify",
        }
    }
}

/// One request to the REST API; its answer.
async fn ask(request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
    let request = match std::env::var_os("BELLWIRE_KEY_FILE") {
        Some(file) => request.bearer_auth(std::fs::read_to_string(file)?.trim()),
        None => request,
    };
    Ok(request.send().await?.error_for_status()?.json().await?)
}

/// Makes a call and gives the address of its stream, with a ticket that is good once.
async fn place(args: &Args) -> anyhow::Result<String> {
    let (http, api) = (reqwest::Client::new(), &args.api);
    let instances = ask(http.get(format!("{api}/v1/instances"))).await?;
    let call = json!({
        "instanceId": instances[0]["id"],
        "type": "DYNAMIC_STREAM",
        "target": { "phoneNumber": args.to },
    });
    let call = ask(http.post(format!("{api}/v1/calls")).json(&call)).await?;
    let id = call["id"].as_str().context("the call has no id")?;
    let tickets = format!("{api}/v1/calls/{id}/tickets");
    let ticket = ask(http.post(tickets).json(&json!({}))).await?;
    let path = ticket["url"].as_str().context("the ticket has no url")?;
    let query = "protocol=native&listen=caller&out_rate=8000";
    Ok(format!("{}{path}&{query}{}", api.replacen("http", "ws", 1), args.bot.query()))
}

async fn send(socket: &mut Socket, message: Value) -> anyhow::Result<()> {
    Ok(socket.send(Message::text(message.to_string())).await?)
}

/// Sends a file as it is; up to a minute is queued by the gateway.
async fn play(socket: &mut Socket, file: &Path) -> anyhow::Result<()> {
    let sound = std::fs::read(file).with_context(|| file.display().to_string())?;
    send(socket, json!({ "type": "utterance", "id": "file" })).await?;
    for piece in sound.chunks(16_384) {
        socket.send(Message::binary(piece.to_vec())).await?;
    }
    send(socket, json!({ "type": "utterance_end" })).await?;
    // Comes back when the last sample before it has left.
    send(socket, json!({ "type": "mark", "name": "end" })).await
}

async fn react(socket: &mut Socket, bot: &Bot, event: &Value) -> anyhow::Result<()> {
    let kind = event["type"].as_str().unwrap_or_default();
    match (kind, bot) {
        ("call_event", Bot::Play { file } | Bot::Interrupt { file })
            if event["event"] == "answered" =>
        {
            play(socket, file).await
        }
        // `playback` will say how much of it the caller has heard.
        ("speech", Bot::Interrupt { .. }) if event["state"] == "started" => {
            send(socket, json!({ "type": "clear" })).await
        }
        ("mark", _) => send(socket, json!({ "type": "hangup", "after": "playback" })).await,
        _ => Ok(()),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    // The one thing that a program of yours does in its own way: rustls wants a provider.
    bellwire::net::tls::install_default();
    let args = Args::parse();
    let mut request = place(&args).await?.into_client_request()?;
    request.headers_mut().insert("Sec-WebSocket-Protocol", "bellwire.stream.v1".parse()?);
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await?;
    while let Some(message) = socket.next().await {
        match message? {
            Message::Binary(octets) if matches!(args.bot, Bot::Echo) => {
                // The last words may be on their way here already: they are read all the same.
                let _ = socket.send(Message::Binary(octets)).await;
            }
            Message::Text(text) => {
                println!("{text}");
                react(&mut socket, &args.bot, &serde_json::from_str(&text)?).await?;
            }
            Message::Close(Some(frame)) if u16::from(frame.code) != 1000 => {
                bail!("the stream was closed: {frame}");
            }
            Message::Close(_)
            | Message::Binary(_)
            | Message::Ping(_)
            | Message::Pong(_)
            | Message::Frame(_) => {}
        }
    }
    Ok(())
}
