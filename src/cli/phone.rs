//! `bellwire phone`: the arguments of the test phone. What it does is in [`crate::phone`].

use super::{DONE, FAILED, print};
use crate::audio::codec::CodecId;
use crate::config::{Listen, PortRange, from_text};
use crate::observe::trace::{self, Format};
use crate::phone::deeds::{Deed, What, When};
use crate::phone::{PhoneEvent, PhoneSpec};
use anyhow::Context as _;
use clap::Args;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Run a small SIP phone, for trying things out: it answers, or dials, and records what it hears.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  \
    bellwire phone --record heard.wav                   answer, and keep what is heard\n  \
    bellwire phone --ring 3s --reject 486               ring, then be busy\n  \
    bellwire phone --play speech.wav --dtmf 42#         speak and press keys\n  \
    bellwire phone --at spoken:2s=play:no.wav --at quiet:1s=dtmf:1   interrupt, then answer\n  \
    bellwire phone --call sip:demo@127.0.0.1:5060 --echo --hangup-after 10s\n\n\
    Exit codes: 0 all calls went as told, 1 a call failed, 2 wrong arguments.")]
pub struct PhoneArgs {
    /// The SIP socket.
    #[arg(long, default_value = "udp:127.0.0.1:5090", value_parser = from_text::<Listen>)]
    pub listen: Listen,
    /// Ring this long before answering or rejecting.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = from_text::<Duration>)]
    pub ring: Duration,
    /// Play this file as early media (183) while ringing.
    #[arg(long, value_name = "FILE")]
    pub early_media: Option<PathBuf>,
    /// Reject calls with this SIP status.
    #[arg(long, value_name = "CODE", value_parser = clap::value_parser!(u16).range(300..=699))]
    pub reject: Option<u16>,
    /// Answer calls; this is the default.
    #[arg(long, conflicts_with = "reject")]
    pub answer: bool,
    /// Record what is heard to this WAV file; further calls get a number in the name.
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Play this WAV file after the answer.
    #[arg(long, value_name = "FILE")]
    pub play: Option<PathBuf>,
    /// Send back what is heard.
    #[arg(long, conflicts_with = "play")]
    pub echo: bool,
    /// Press these keys after the answer.
    #[arg(long, value_name = "DIGITS", value_parser = digits)]
    pub dtmf: Option<String>,
    /// Do something in the course of the call; may be given several times, for one after the other.
    ///
    /// WHEN=WHAT. WHEN is a time since the answer (`3s`), `quiet:700ms` (the other side has spoken
    /// and been silent for so long) or `spoken:2s` (it has spoken for so long: interrupts it).
    /// WHAT is `play:FILE`, `dtmf:DIGITS` or `hangup`.
    #[arg(long, value_name = "WHEN=WHAT", value_parser = deed)]
    pub at: Vec<DeedArg>,
    /// Hang up this long after the answer; without it the other side does.
    #[arg(long, value_name = "TIME", value_parser = from_text::<Duration>)]
    pub hangup_after: Option<Duration>,
    /// End after this many calls; without it on Ctrl-C, or with --call after one.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub count: Option<u32>,
    /// Dial this SIP URI instead of waiting for calls.
    #[arg(long, value_name = "URI")]
    pub call: Option<String>,
    /// The codec to offer or prefer.
    #[arg(long, default_value = "PCMU", value_parser = from_text::<CodecId>)]
    pub codec: CodecId,
    /// Ports for RTP and RTCP.
    #[arg(long, value_name = "RANGE", default_value = "30000-30199",
        value_parser = from_text::<PortRange>)]
    pub rtp_ports: PortRange,
    /// Report each call as one JSON object a line.
    #[arg(long)]
    pub json: bool,
}

/// A deed of the command line; files are not read yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeedArg {
    when: When,
    what: WhatArg,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum WhatArg {
    Play(PathBuf),
    Press(String),
    HangUp,
}

fn deed(text: &str) -> Result<DeedArg, String> {
    let (when, what) = text.split_once('=').ok_or("WHEN=WHAT, e.g. quiet:700ms=dtmf:1")?;
    let when = match when.split_once(':') {
        Some(("quiet", time)) => When::Quiet(from_text(time)?),
        Some(("spoken", time)) => When::Spoken(from_text(time)?),
        Some((word, _)) => return Err(format!("{word}: is neither quiet nor spoken")),
        None => When::After(from_text(when)?),
    };
    let what = match what.split_once(':') {
        Some(("play", file)) => WhatArg::Play(PathBuf::from(file)),
        Some(("dtmf", keys)) => WhatArg::Press(digits(keys)?),
        None if what == "hangup" => WhatArg::HangUp,
        _ => return Err(format!("{what} is neither play:FILE, dtmf:DIGITS nor hangup")),
    };
    Ok(DeedArg { when, what })
}

fn digits(text: &str) -> Result<String, String> {
    let good = (1..=32).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_digit() || b"*#ABCD".contains(&b));
    if good { Ok(text.to_owned()) } else { Err("1 to 32 of 0-9, *, #, A-D".to_owned()) }
}

/// Runs the phone until its calls are done or it is interrupted.
pub(super) fn run(args: PhoneArgs) -> u8 {
    match ring(args) {
        Ok(true) => DONE,
        Ok(false) => FAILED,
        Err(error) => {
            print::err(format!("bellwire phone: {error:#}"));
            FAILED
        }
    }
}

/// `false`: a call did not go as told.
fn ring(args: PhoneArgs) -> anyhow::Result<bool> {
    let _ = trace::install(
        "warn",
        Format::suited(),
        std::env::var(trace::FILTER_VARIABLE).ok().as_deref(),
    );
    let json = args.json;
    let spec = spec(args)?;
    let rejects = spec.reject.is_some();
    let well = Arc::new(AtomicBool::new(true));
    let seen = Arc::clone(&well);
    let tell = move |event: PhoneEvent| {
        let refused = matches!(&event, PhoneEvent::Ended { code: Some(_), .. });
        if refused && !rejects {
            seen.store(false, Ordering::Relaxed);
        }
        if json {
            print::out(serde_json::to_string(&event).unwrap_or_default());
        } else {
            print::out(line(&event));
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let stop = CancellationToken::new();
        let interrupted = stop.clone();
        tokio::spawn(async move {
            let _ = tokio::signal::ctrl_c().await;
            interrupted.cancel();
        });
        crate::phone::run(spec, stop, tell).await
    })?;
    Ok(well.load(Ordering::Relaxed))
}

fn spec(args: PhoneArgs) -> anyhow::Result<PhoneSpec> {
    let other = if args.codec == CodecId::Pcmu { CodecId::Pcma } else { CodecId::Pcmu };
    let load = |path: Option<PathBuf>| path.map(|path| prompt(&path)).transpose();
    let deeds = args.at.iter().map(|DeedArg { when, what }| {
        let what = match what {
            WhatArg::Play(path) => What::Play(prompt(path)?),
            WhatArg::Press(digits) => What::Press(digits.clone()),
            WhatArg::HangUp => What::HangUp,
        };
        Ok(Deed { when: *when, what })
    });
    let deeds = deeds.collect::<anyhow::Result<Vec<_>>>()?;
    Ok(PhoneSpec {
        // A phone that dials needs no well-known port.
        listen: vec![(args.listen.transport, dialling_address(&args))],
        rtp_ports: args.rtp_ports.first..=args.rtp_ports.last,
        codecs: vec![args.codec, other],
        ring: args.ring,
        early_media: load(args.early_media)?,
        reject: args.reject,
        record: args.record,
        play: load(args.play)?,
        echo: args.echo,
        dtmf: args.dtmf,
        deeds,
        hangup_after: args.hangup_after,
        count: args.count.map(u64::from),
        call: args.call,
    })
}

fn dialling_address(args: &PhoneArgs) -> SocketAddr {
    let default = args.listen.address == SocketAddr::from(([127, 0, 0, 1], 5090));
    let port = if args.call.is_some() && default { 0 } else { args.listen.address.port() };
    SocketAddr::new(args.listen.address.ip(), port)
}

fn prompt(path: &Path) -> anyhow::Result<Arc<[i16]>> {
    let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let limits = crate::audio::decode::DecodeLimits::default();
    crate::audio::prompt::prepare_prompt(&bytes, &limits, None)
        .with_context(|| format!("decoding {}", path.display()))
}

fn line(event: &PhoneEvent) -> String {
    match event {
        PhoneEvent::Listening { address } => format!("listening on {address}; Ctrl-C ends"),
        PhoneEvent::Calling { call, peer } => format!("call {call}: {peer}"),
        PhoneEvent::Ringing { call } => format!("call {call}: ringing"),
        PhoneEvent::Answered { call, codec } => format!("call {call}: answered, {codec}"),
        PhoneEvent::Digit { call, digit } => format!("call {call}: heard the digit {digit}"),
        PhoneEvent::Ended { call, cause, code, heard_ms, recording, media } => {
            let code = code.map(|code| format!(" ({code})")).unwrap_or_default();
            let recording = recording.as_ref().map(|path| format!(", {path}")).unwrap_or_default();
            format!(
                "call {call}: ended, {cause}{code}; heard {heard_ms} ms{recording}; \
                 {} packets received, {} lost, {} sent",
                media.rx_packets, media.rx_lost, media.tx_packets
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        phone: PhoneArgs,
    }

    fn parse(line: &str) -> Result<PhoneArgs, String> {
        let words = std::iter::once("phone").chain(line.split_whitespace());
        Line::try_parse_from(words).map(|line| line.phone).map_err(|error| error.to_string())
    }

    #[test]
    fn arguments_are_typed() {
        let args = parse("").unwrap();
        assert_eq!(args.listen.to_string(), "udp:127.0.0.1:5090");
        assert_eq!((args.ring, args.codec), (Duration::from_secs(1), CodecId::Pcmu));
        let args = parse("--ring 0s --codec pcma --dtmf 4*# --hangup-after 1m --count 2").unwrap();
        assert_eq!(args.hangup_after, Some(Duration::from_mins(1)));
        assert_eq!((args.codec, args.count), (CodecId::Pcma, Some(2)));
        let args = parse("--at 1s=play:a.wav --at quiet:500ms=dtmf:12# --at 9s=hangup").unwrap();
        let half = Duration::from_millis(500);
        assert_eq!(args.at[1].when, When::Quiet(half));
        assert_eq!((args.at.len(), &args.at[2].what), (3, &WhatArg::HangUp));
        for bad in [
            "--ring 3",
            "--reject 200",
            "--reject 486 --answer",
            "--echo --play a.wav",
            "--dtmf x",
            "--count 0",
            "--codec g729",
            "--rtp-ports 1-1",
            "--listen 5060",
            "--at dtmf:1",
            "--at 1s=say:x",
            "--at loud:1s=hangup",
            "--at 1=hangup",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
