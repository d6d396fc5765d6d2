//! `bellwire listen`: hears a call without taking part in it.

use super::attach::ApiArgs;
use super::client::ClientError;
use super::stream::{self, Conversation};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Whose sound is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Track {
    /// The caller's.
    Caller,
    /// What is played to the caller.
    Agent,
    /// Both, mixed.
    Both,
    /// Both, the caller on the left and what is played on the right.
    Stereo,
}

/// Listen to a call, to a file or a pipe; its own client goes on as before.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    bellwire listen call_0199 --out heard.wav\n  \
    bellwire listen call_0199 --track stereo --out both.wav\n  \
    bellwire listen call_0199 | aplay -t raw -r 16000 -f S16_LE\n\n\
    Ctrl-C leaves; the call goes on.\n\
    Exit codes: 0 the call or the reader ended, 1 the stream broke off or a file cannot be\n\
    written, 2 wrong arguments, 3 the API cannot be reached or refuses.")]
pub(super) struct ListenArgs {
    /// The call.
    #[arg(value_name = "CALL")]
    call: String,
    /// Where the sound goes: a .wav file, raw samples to any other name, `-` to standard output.
    #[arg(long = "out", value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// Whose sound.
    #[arg(long, value_enum, default_value = "caller")]
    track: Track,
    /// Rate in Hz; 8000 is not touched.
    #[arg(long, value_name = "HZ", default_value_t = 16_000)]
    rate: u32,
    /// At an even pace, as a person hears it, and not as it comes.
    #[arg(long)]
    paced: bool,
    #[command(flatten)]
    api: ApiArgs,
}

impl ListenArgs {
    fn query(&self) -> Vec<(&'static str, String)> {
        let track = self.track.to_possible_value().map(|value| value.get_name().to_owned());
        vec![
            ("protocol", "native".to_owned()),
            ("role", "listener".to_owned()),
            ("listen", track.unwrap_or_default()),
            ("out_format", "pcm_s16le".to_owned()),
            ("out_rate", self.rate.to_string()),
            ("jitter", if self.paced { "paced" } else { "asap" }.to_owned()),
        ]
    }
}

/// Listens until the call ends or nobody reads any more.
pub(super) fn run(args: &ListenArgs) -> u8 {
    stream::finished("listen", async {
        let channels = if args.track == Track::Stereo { 2 } else { 1 };
        let subprotocol = Some(crate::app::stream::SUBPROTOCOL);
        let socket = args.api.attach(&args.call, &args.query(), subprotocol).await;
        let socket = socket.map_err(explain)?;
        let sink = stream::open_sink(Some(&args.output), args.rate, channels)?;
        let conversation = Conversation::new(socket, sink, stream::show(false));
        let stopped = conversation.run(None, stream::interrupt());
        stopped.await
    })
}

/// A gateway that knows no listeners says so of a parameter; this says it of the wish.
fn explain(error: ClientError) -> ClientError {
    match error {
        ClientError::Refused { status, code, detail }
            if detail.contains("role") || detail.contains("listen:") =>
        {
            let detail = format!("this gateway cannot be listened in on so: {detail}");
            ClientError::Refused { status, code, detail }
        }
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_without_listeners_is_named_as_such() {
        let refused = |detail: &str| ClientError::Refused {
            status: 400,
            code: "stream".to_owned(),
            detail: detail.to_owned(),
        };
        let said = explain(refused("stream parameter role: must be main")).to_string();
        assert!(said.contains("cannot be listened in on"), "{said}");
        let said = explain(refused("the call is over")).to_string();
        assert!(!said.contains("listened in on"), "{said}");
    }
}
