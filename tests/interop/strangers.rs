//! The same calls with a second phone, Linphone, whose stack has nothing in common with the first.

use super::calls::{Tones, it_calls, we_call};
use super::linphone::Linphone;
use super::programs::{Setup, all_there, start_without_phone};
use std::io::Write as _;

/// Two calls, one each way.
async fn both_ways(trunk: &str, codecs: &[(&str, u32)], more: &str, tones: Tones) -> [String; 2] {
    let setup = Setup { trunk, ..Setup::default() };
    let (daemon, kamailio) = start_without_phone(&setup).await;
    let mut codec = Vec::new();
    for outgoing in [true, false] {
        // A phone for each: this one records but once.
        let mut phone = Linphone::start(kamailio.address, codecs, more);
        let call = match outgoing {
            true => we_call(&daemon, &mut phone, tones).await,
            false => it_calls(&daemon, &mut phone, tones).await,
        };
        codec.push(call["quality"]["codec"].as_str().unwrap().to_owned());
    }
    codec.try_into().unwrap()
}

fn installed() -> bool {
    all_there(&["kamailio", "linphonec"]) && has_a_route()
}

/// Linphone does nothing on a machine that has no network but loopback. Nothing is sent here.
fn has_a_route() -> bool {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    let routed = socket.connect("192.0.2.9:9").and_then(|()| socket.local_addr());
    let there = routed.is_ok_and(|own| !own.ip().is_loopback());
    if !there {
        let _ = writeln!(std::io::stderr(), "SKIPPED: interop: linphonec needs a network");
    }
    there
}

#[tokio::test(flavor = "multi_thread")]
async fn linphone_talks_both_ways() {
    if installed() {
        let codecs = [("PCMA", 8000), ("PCMU", 8000)];
        let taken = both_ways("codecs = [\"PCMA\", \"PCMU\"]", &codecs, "", Tones::NARROW).await;
        assert_eq!(taken, ["PCMA", "PCMA"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn linphone_talks_sealed_both_ways() {
    if installed() {
        let secure = "media_encryption=srtp\nmedia_encryption_mandatory=1";
        let codecs = [("PCMU", 8000)];
        both_ways("srtp = \"required\"", &codecs, secure, Tones::NARROW).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn linphone_talks_in_a_wide_band() {
    if installed() {
        let tones = Tones { ours: 5000.0, rate: 16_000, least: 0.9, ..Tones::NARROW };
        let codecs = [("G722", 8000), ("PCMA", 8000)];
        let taken = both_ways("codecs = [\"G722\", \"PCMA\"]", &codecs, "", tones).await;
        assert_eq!(taken, ["G722", "G722"]);
    }
}

#[cfg(feature = "opus")]
#[tokio::test(flavor = "multi_thread")]
async fn linphone_talks_opus() {
    if installed() {
        let tones = Tones { ours: 5000.0, rate: 16_000, least: 0.9, ..Tones::NARROW };
        let codecs = [("opus", 48_000), ("PCMA", 8000)];
        let taken = both_ways("codecs = [\"OPUS\", \"PCMA\"]", &codecs, "", tones).await;
        assert_eq!(taken, ["opus", "opus"]);
    }
}
