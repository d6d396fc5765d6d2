//! `bellwire phone`: the arguments of the test phone. What it does is in [`crate::phone`].

use super::{DONE, FAILED, print};
use crate::audio::codec::CodecId;
use crate::config::{Listen, PortRange, from_text};
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// Run a small SIP phone, for trying things out: it answers, or dials, and records what it hears.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  \
    bellwire phone --record heard.wav                   answer, and keep what is heard\n  \
    bellwire phone --ring 3s --reject 486               ring, then be busy\n  \
    bellwire phone --play speech.wav --dtmf 42#         speak and press keys\n  \
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

fn digits(text: &str) -> Result<String, String> {
    let good = (1..=32).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_digit() || b"*#ABCD".contains(&b));
    if good { Ok(text.to_owned()) } else { Err("1 to 32 of 0-9, *, #, A-D".to_owned()) }
}

/// Hands over to the phone.
pub(super) fn run(args: PhoneArgs) -> u8 {
    match crate::phone::run(args) {
        Ok(true) => DONE,
        Ok(false) => FAILED,
        Err(error) => {
            print::err(format!("bellwire phone: {error:#}"));
            FAILED
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
        for bad in [
            "--ring 3",
            "--reject 200",
            "--reject 486 --answer",
            "--echo --play a.wav",
            "--dtmf x",
            "--count 0",
            "--codec opus",
            "--rtp-ports 1-1",
            "--listen 5060",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
