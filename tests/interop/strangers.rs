//! The same calls with a second phone, Linphone, whose stack has nothing in common with the first.

use super::calls::{Tones, ends_with_tone, it_calls, live, we_call};
use super::client::Client;
use super::linphone::Linphone;
use super::ours::ask;
use super::programs::{Phone as _, Recording, Setup, all_there, dial, start_without_phone};
use super::rig::tone;
use serde_json::json;
use std::io::Write as _;

/// How much of what is heard is the tone. This phone plays as its clock has time.
const SHARE: f64 = 0.85;

const NARROW: Tones = Tones { least: SHARE, ..Tones::NARROW };

/// Two calls, one each way.
async fn both_ways(trunk: &str, codecs: &[(&str, u32)], more: &str, tones: Tones) -> [String; 2] {
    let setup = Setup { trunk, ..Setup::default() };
    let (daemon, kamailio) = start_without_phone(&setup).await;
    let mut codec = Vec::new();
    for outgoing in [true, false] {
        // A phone for each: this one records but once.
        let mut phone = Linphone::start(kamailio.address, codecs, more);
        let call = if outgoing {
            we_call(&daemon, &mut phone, tones).await
        } else {
            it_calls(&daemon, &mut phone, tones).await
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
        let codecs = [("PCMU", 8000), ("PCMA", 8000)];
        let taken = both_ways("codecs = [\"PCMA\", \"PCMU\"]", &codecs, "", NARROW).await;
        // Each time what the caller likes best.
        assert_eq!(taken, ["PCMA", "PCMU"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn linphone_talks_sealed_both_ways() {
    if installed() {
        let secure = "media_encryption=srtp\nmedia_encryption_mandatory=1";
        let codecs = [("PCMU", 8000)];
        both_ways("srtp = \"required\"", &codecs, secure, NARROW).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn linphone_talks_in_a_wide_band() {
    if installed() {
        let tones = Tones { ours: 5000.0, rate: 16_000, ..NARROW };
        let codecs = [("G722", 8000), ("PCMA", 8000)];
        let taken = both_ways("codecs = [\"G722\", \"PCMA\"]", &codecs, "", tones).await;
        assert_eq!(taken, ["G722", "G722"]);
    }
}

#[cfg(feature = "opus")]
#[tokio::test(flavor = "multi_thread")]
async fn linphone_talks_opus() {
    if installed() {
        let tones = Tones { ours: 5000.0, rate: 16_000, ..NARROW };
        let codecs = [("opus", 48_000), ("PCMA", 8000)];
        let taken = both_ways("codecs = [\"OPUS\", \"PCMA\"]", &codecs, "", tones).await;
        assert_eq!(taken, ["opus", "opus"]);
    }
}

/// The phone's tone, heard at the end of what our client has.
async fn we_hear(client: &mut Client) {
    // A second for what was on its way, and one of the tone.
    let more = client.audio.len() + 32_000;
    client.hear(more).await;
    let heard = Recording { rate: 8000, samples: client.samples() };
    ends_with_tone(&heard, 500.0, SHARE);
}

/// Each re-INVITE, of either side, brings fresh keys of the phone's; one changes the codec as well.
async fn changes(outgoing: bool) {
    let secure = "media_encryption=srtp\nmedia_encryption_mandatory=1\nkeep_srtp_keys=0";
    let trunk = "srtp = \"required\"\ncodecs = [\"PCMA\", \"PCMU\"]";
    let setup = Setup { trunk, ..Setup::default() };
    let (daemon, kamailio) = start_without_phone(&setup).await;
    let codecs = [("PCMA", 8000), ("PCMU", 8000)];
    let mut phone = Linphone::start(kamailio.address, &codecs, secure);
    let id = if outgoing {
        dial(&daemon, "DYNAMIC_STREAM", "stream", json!({})).await
    } else {
        phone.call("sip:stream@carrier.test");
        live(&daemon).await
    };
    let query = "?rate=8000&out_rate=8000&listen=caller";
    let mut client = Client::attach(&daemon, &id, query).await;
    client.event("answered").await;
    phone.wait_until_talking();
    client.send_audio(&tone(8000, 1500.0, 25.0), 16_000).await;
    we_hear(&mut client).await;
    let first = phone.keys().len();
    phone.tell("codec disable 0");
    phone.pause_and_resume();
    we_hear(&mut client).await;
    assert_eq!(daemon.call(&id).await["quality"]["codec"], "PCMU");
    let second = phone.keys().len();
    assert!(second > first, "the phone's re-INVITE has its old key");
    for command in ["hold", "resume"] {
        ask(&daemon, &id, command).await;
    }
    we_hear(&mut client).await;
    daemon.delete(&format!("/v1/calls/{id}")).await;
    phone.wait_until_over();
    let call = daemon.wait_for_end(&id).await;
    assert_eq!(call["end_reason"], "terminated_by_api", "{call:#}");
    // Its file is complete when the call is over.
    ends_with_tone(&phone.recording(), 1500.0, SHARE);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_codec_change_in_a_call_of_ours() {
    if installed() {
        changes(true).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_codec_change_in_a_call_of_the_phone() {
    if installed() {
        changes(false).await;
    }
}
