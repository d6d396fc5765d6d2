//! `bellwire stream`: sends sound to a call and keeps what comes back.
//!
//! ```text
//!  --in ─ source (thread) ─> Conversation ─> sink (thread) ─ --out
//!                               │  ^
//!                               v  │ WebSocket
//! ```
//!
//! Owns the order of a conversation from the client's side: what is sent when, when it is over.
//! `bellwire listen` is one that sends nothing.

use super::attach::{ApiArgs, SEND_WITHIN, describe};
use super::client::ClientError;
use super::sound::{self, Sink, Target};
use super::{API, DONE, FAILED, USAGE, print};
use crate::audio::rate::SampleRate;
use crate::net::ws::{WsMessage, WsReceiver, WsSender};
use clap::Args;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::mpsc;

/// How long the last words may take once we want to go.
const GOODBYE: Duration = Duration::from_secs(5);
/// The name under which the file is played.
const UTTERANCE: &str = "file";

/// Send sound to a call's stream and keep what comes back.
///
/// The call must be of type DYNAMIC_STREAM (`bellwire call --stream`). Events go to standard error.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    bellwire stream call_0199 --in greeting.mp3\n  \
    bellwire stream call_0199 --in question.wav --out answer.wav --stay\n  \
    sox -d -t raw -r 16000 -e signed -b 16 -c 1 - | bellwire stream call_0199 --in - --live\n\n\
    Ctrl-C hangs up.\n\
    Exit codes: 0 the stream ended in order, 1 it broke off or a file cannot be written,\n\
    2 wrong arguments, 3 the API cannot be reached or refuses.")]
pub(super) struct StreamArgs {
    /// The call.
    #[arg(value_name = "CALL")]
    call: String,
    /// What is sent: WAV, MP3 or raw samples; `-` is standard input.
    #[arg(long = "in", value_name = "FILE")]
    input: Option<PathBuf>,
    /// Where what comes goes: a .wav file, raw samples to any other name, `-` to standard output.
    #[arg(long = "out", value_name = "FILE")]
    output: Option<PathBuf>,
    /// Format of what is sent, as in docs/stream.md; `auto` looks at it, and takes raw samples for
    /// 16 bit.
    #[arg(long, default_value = "auto", value_parser = word)]
    format: String,
    /// Rate of raw samples that are sent, in Hz.
    #[arg(long, value_name = "HZ", default_value_t = 16_000)]
    rate: u32,
    /// Rate of what comes, in Hz; 8000 is not touched.
    #[arg(long, value_name = "HZ", default_value_t = 16_000)]
    out_rate: u32,
    /// How the conversation is written; all but `native` send and take sound only.
    #[arg(long, default_value = "native", value_parser = word)]
    protocol: String,
    /// What is sent comes as it is spoken, and is to be heard in time.
    #[arg(long)]
    live: bool,
    /// Go on listening when all was played, until the other side hangs up; else the call ends.
    #[arg(long)]
    stay: bool,
    /// Print every message, one JSON object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    api: ApiArgs,
}

/// A word of a query.
pub(super) fn word(text: &str) -> Result<String, String> {
    let good = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if good { Ok(text.to_owned()) } else { Err("letters, digits and _ only".to_owned()) }
}

impl StreamArgs {
    fn query(&self) -> Vec<(&'static str, String)> {
        let mut query = vec![
            ("protocol", self.protocol.clone()),
            ("format", self.format.clone()),
            ("rate", self.rate.to_string()),
        ];
        if self.is_native() {
            let listen = if self.output.is_some() { "caller" } else { "none" };
            query.extend([
                ("listen", listen.to_owned()),
                ("out_rate", self.out_rate.to_string()),
                ("out_format", "pcm_s16le".to_owned()),
                ("playout", if self.live { "live" } else { "queue" }.to_owned()),
                ("stats_ms", "1000".to_owned()),
            ]);
        }
        query
    }

    fn is_native(&self) -> bool {
        self.protocol == "native"
    }
}

/// Sends and listens until the stream ends.
pub(super) fn run(args: &StreamArgs) -> u8 {
    if args.json && args.output.as_ref().is_some_and(|name| name.as_os_str() == "-") {
        print::err("bellwire stream: --json and --out - both want standard output");
        return USAGE;
    }
    finished("stream", async {
        let source = args.input.as_deref().map(sound::source).transpose();
        let source = source.map_err(|error| file_error(args.input.as_ref(), &error))?;
        let sink = open_sink(args.output.as_ref(), args.out_rate, 1)?;
        let subprotocol = args.is_native().then_some(crate::app::stream::SUBPROTOCOL);
        let socket = args.api.attach(&args.call, &args.query(), subprotocol).await?;
        let mut conversation = Conversation::new(socket, sink, show(args.json));
        conversation.speaks = args.is_native();
        conversation.stay = args.stay || source.is_none();
        conversation.run(source, interrupt()).await
    })
}

/// Runs a command to its end and gives its exit code.
pub(super) fn finished(name: &str, work: impl Future<Output = Result<bool, ClientError>>) -> u8 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => {
            let result = runtime.block_on(work);
            // A thread may be waiting for standard input.
            runtime.shutdown_background();
            result
        }
        Err(error) => {
            print::err(format!("bellwire {name}: {error}"));
            return FAILED;
        }
    };
    match result {
        Ok(true) => DONE,
        Ok(false) => FAILED,
        Err(error) => {
            print::err(format!("bellwire {name}: {error}"));
            if matches!(error, ClientError::Usage(_)) { USAGE } else { API }
        }
    }
}

/// Opens what is to be written to, if anything.
pub(super) fn open_sink(
    name: Option<&PathBuf>,
    rate: u32,
    channels: u16,
) -> Result<Option<Sink>, ClientError> {
    let Some(name) = name else { return Ok(None) };
    let rate = SampleRate::new(rate)
        .ok_or_else(|| ClientError::Usage(format!("{rate} Hz is no rate of sound")))?;
    let sink = Sink::open(&Target::named(name), rate, channels);
    sink.map(Some).map_err(|error| file_error(Some(name), &error))
}

fn file_error(name: Option<&PathBuf>, error: &std::io::Error) -> ClientError {
    let name = name.map(|name| name.display().to_string()).unwrap_or_default();
    ClientError::Usage(format!("{name}: {error}"))
}

/// Ready at Ctrl-C.
pub(super) async fn interrupt() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// How messages are shown: as JSON on standard output, or as lines and progress on standard error.
pub(super) fn show(json: bool) -> Box<dyn FnMut(&Value)> {
    if json {
        return Box::new(|message| print::out(message.to_string()));
    }
    let terminal = std::io::stderr().is_terminal();
    Box::new(move |message| {
        if message["type"] == "stats" && terminal {
            print::progress(&progress(message));
        } else if let Some(line) = describe(message) {
            print::err(line);
        }
    })
}

/// How far playback has got, and how it sounds.
fn progress(stats: &Value) -> String {
    let quality = &stats["quality"];
    let seconds = |value: &Value| value.as_f64().unwrap_or_default() / 1000.0;
    let mut line = format!(
        "played {:.1} s, waiting {:.1} s",
        seconds(&quality["played_ms"]),
        seconds(&stats["queued_ms"])
    );
    if let Some(mos) = quality["mos"].as_f64() {
        let _ = write!(line, ", MOS {mos:.2}");
    }
    if let Some(jitter) = quality["jitter_ms"].as_f64() {
        let _ = write!(line, ", jitter {jitter:.1} ms");
    }
    line
}

/// One attachment to a stream.
pub(super) struct Conversation {
    sender: WsSender,
    receiver: WsReceiver,
    sink: Option<Sink>,
    show: Box<dyn FnMut(&Value)>,
    /// Commands are understood.
    pub(super) speaks: bool,
    /// The end of the input is not the end of the call.
    pub(super) stay: bool,
    /// The server has enough for the moment.
    full: bool,
    /// `stop` came.
    stopped: bool,
}

impl Conversation {
    /// A conversation that says nothing and stays.
    pub(super) fn new(
        (sender, receiver): (WsSender, WsReceiver),
        sink: Option<Sink>,
        show: Box<dyn FnMut(&Value)>,
    ) -> Self {
        Self {
            sender,
            receiver,
            sink,
            show,
            speaks: false,
            stay: true,
            full: false,
            stopped: false,
        }
    }

    /// Sends and listens to the end; `true`: it ended in order and everything was written.
    pub(super) async fn run(
        mut self,
        source: Option<mpsc::Receiver<std::io::Result<Vec<u8>>>>,
        interrupt: impl Future<Output = ()>,
    ) -> Result<bool, ClientError> {
        let mut source = source;
        if source.is_some() {
            self.command(&json!({"type": "utterance", "id": UTTERANCE})).await;
        }
        tokio::pin!(interrupt);
        let (mut leaving, mut left) = (false, Box::pin(tokio::time::sleep(GOODBYE)));
        let ended = loop {
            let full = self.full;
            tokio::select! {
                message = self.receiver.next() => match message {
                    Ok(message) => if let Some(in_order) = self.take(&message) { break in_order },
                    Err(error) => {
                        print::err(error.to_string());
                        break false;
                    }
                },
                chunk = next(&mut source), if source.is_some() && !full => {
                    if !self.send(chunk, &mut source).await {
                        break false;
                    }
                }
                () = &mut interrupt, if !leaving => {
                    leaving = true;
                    source = None;
                    left.as_mut().reset(tokio::time::Instant::now() + GOODBYE);
                    if self.speaks {
                        self.command(&json!({"type": "hangup", "reason": "interrupted"})).await;
                    } else {
                        self.sender.close(1000, "").await;
                    }
                }
                () = &mut left, if leaving => break false,
            }
        };
        Ok(self.close().await && ended)
    }

    /// Sends a piece of the input, or what follows its end; `false`: it cannot go on.
    async fn send(
        &mut self,
        chunk: Option<std::io::Result<Vec<u8>>>,
        source: &mut Option<mpsc::Receiver<std::io::Result<Vec<u8>>>>,
    ) -> bool {
        match chunk {
            Some(Ok(chunk)) => match self.sender.binary(chunk.into(), SEND_WITHIN).await {
                Ok(()) => return true,
                Err(error) => print::err(error.to_string()),
            },
            Some(Err(error)) => print::err(format!("reading: {error}")),
            None => {
                *source = None;
                self.command(&json!({"type": "utterance_end"})).await;
                if !self.stay {
                    self.command(&json!({"type": "hangup", "after": "playback"})).await;
                }
                return true;
            }
        }
        false
    }

    /// Takes a message in; the end of the stream says whether it came in order.
    fn take(&mut self, message: &WsMessage) -> Option<bool> {
        match message {
            WsMessage::Binary(octets) => {
                let open = self.sink.as_mut().is_none_or(|sink| sink.take(octets));
                // Whoever read has enough.
                if open { None } else { Some(true) }
            }
            WsMessage::Text(text) => {
                let message: Value = serde_json::from_str(text).unwrap_or_default();
                if message["type"] == "flow" {
                    self.full = message["state"] == "xoff";
                }
                self.stopped |= message["type"] == "stop";
                (self.show)(&message);
                None
            }
            WsMessage::Closed { code: 1000, .. } => Some(true),
            WsMessage::Closed { code, reason } => {
                print::err(format!("the server closed the stream: {code} {reason}"));
                Some(false)
            }
        }
    }

    async fn command(&mut self, command: &Value) {
        if self.speaks
            && let Err(error) = self.sender.text(command.to_string(), SEND_WITHIN).await
        {
            print::err(error.to_string());
        }
    }

    /// Leaves, and says whether all that came was written.
    async fn close(mut self) -> bool {
        if !self.stopped {
            self.sender.close(1000, "").await;
        }
        let Some(sink) = self.sink.take() else { return true };
        let dropped = sink.dropped;
        if dropped > 0 {
            let octets = sink.octets;
            print::err(format!(
                "{dropped} of {octets} octets were dropped: the output is too slow"
            ));
        }
        match sink.finish() {
            Ok(()) => dropped == 0,
            Err(error) => {
                print::err(format!("writing: {error}"));
                false
            }
        }
    }
}

/// The next piece of the input; never, if there is none.
async fn next(
    source: &mut Option<mpsc::Receiver<std::io::Result<Vec<u8>>>>,
) -> Option<std::io::Result<Vec<u8>>> {
    match source {
        Some(source) => source.recv().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        stream: StreamArgs,
    }

    fn args(words: &[&str]) -> StreamArgs {
        Line::try_parse_from(["stream", "call_1"].iter().chain(words)).unwrap().stream
    }

    #[test]
    fn the_query_asks_for_what_is_wanted() {
        let text = |args: &StreamArgs| {
            let query = args.query();
            let pairs: Vec<String> = query.iter().map(|(n, v)| format!("{n}={v}")).collect();
            pairs.join("&")
        };
        let plain = text(&args(&["--in", "a.mp3"]));
        assert!(plain.contains("protocol=native&format=auto&rate=16000&listen=none"), "{plain}");
        let both = text(&args(&["--out", "a.wav", "--live", "--out-rate", "8000"]));
        assert!(both.contains("listen=caller&out_rate=8000"), "{both}");
        assert!(both.contains("playout=live"), "{both}");
        let bare = text(&args(&["--protocol", "cawme", "--in", "-"]));
        assert_eq!(bare, "protocol=cawme&format=auto&rate=16000");
        assert!(Line::try_parse_from(["stream", "call_1", "--format", "a&b=c"]).is_err());
        // What is asked for is understood by the server of the same version.
        for words in [&["--in", "a"][..], &["--out", "a", "--live"], &["--protocol", "cawme"]] {
            let pairs: Vec<_> =
                args(words).query().into_iter().map(|(n, v)| (n.to_owned(), v)).collect();
            crate::app::stream::StreamOptions::from_query::<&str>(&pairs, &[]).unwrap();
        }
    }

    #[test]
    fn progress_says_what_was_played_and_how_it_sounds() {
        let stats = json!({"queued_ms": 1500, "quality": {"played_ms": 3200, "mos": 4.4, "jitter_ms": null}});
        assert_eq!(progress(&stats), "played 3.2 s, waiting 1.5 s, MOS 4.40");
    }
}
