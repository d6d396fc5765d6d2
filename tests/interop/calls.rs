//! Calls both ways through the proxy, with the sound that each side heard.

use super::baresip::PhoneSpec;
use super::client::Client;
use super::programs::{Network, Phone, Recording, Setup, dial, installed};
use super::rig::{Daemon, share_at, tone};
use serde_json::{Value, json};

/// A stretch of at most a second behind the first loud sample is this tone and nothing else.
fn is_tone(samples: &[i16], hz: f64) {
    is_mostly_tone(&Recording { rate: 8000, samples: samples.to_vec() }, hz, 0.95);
}

/// The same at any rate, with this share of the power at least.
pub fn is_mostly_tone(recording: &Recording, hz: f64, least: f64) {
    let Recording { rate, samples } = recording;
    let second = *rate as usize;
    let from = samples.iter().position(|sample| sample.unsigned_abs() > 3000);
    let from = from.unwrap_or_else(|| panic!("silence: {:?}", loudness(samples, second / 10)));
    let from = from + second / 10;
    let piece = &samples[from.min(samples.len())..(from + second).min(samples.len())];
    assert!(piece.len() > second / 4, "{} samples only", samples.len());
    let share = share_at(piece, *rate, hz);
    assert!(share > least, "{share} of it is {hz} Hz");
}

/// The loudest sample of each piece of this length.
fn loudness(samples: &[i16], length: usize) -> Vec<u16> {
    let loudest = |piece: &[i16]| piece.iter().map(|sample| sample.unsigned_abs()).max();
    samples.chunks(length).filter_map(loudest).collect()
}

/// The last half second is this tone.
pub fn ends_with_tone(recording: &Recording, hz: f64, least: f64) {
    let Recording { rate, samples } = recording;
    let from = samples.len().saturating_sub(*rate as usize / 2);
    let piece = &samples[from..];
    assert!(piece.iter().any(|sample| sample.unsigned_abs() > 3000), "it ends in silence");
    let share = share_at(piece, *rate, hz);
    assert!(share > least, "{share} of the end is {hz} Hz");
}

/// The tones of a conversation, in Hz, and the rate at which our client hears and speaks.
#[derive(Clone, Copy)]
pub struct Tones {
    pub phone: f64,
    pub ours: f64,
    pub rate: u32,
    /// How much of the power must be the tone.
    pub least: f64,
}

impl Tones {
    pub const NARROW: Self = Self { phone: 500.0, ours: 1500.0, rate: 8000, least: 0.95 };
}

/// Attaches to a call, lets both sides talk, hangs up; gives the call's record.
async fn converse(daemon: &Daemon, phone: &mut dyn Phone, id: &str, tones: Tones) -> Value {
    let rate = tones.rate;
    let query = format!("?rate={rate}&out_rate={rate}&listen=caller");
    let mut client = Client::attach(daemon, id, &query).await;
    client.event("answered").await;
    phone.wait_until_talking();
    client.send_audio(&tone(rate, tones.ours, 2.0), 3200).await;
    client.hear(3 * rate as usize).await;
    client.finish().await;
    phone.wait_until_over();
    is_mostly_tone(&Recording { rate, samples: client.samples() }, tones.phone, tones.least);
    is_mostly_tone(&phone.recording(), tones.ours, tones.least);
    let call = daemon.wait_for_end(id).await;
    assert_eq!(call["status"], "COMPLETED", "{call:#}");
    assert_eq!(call["quality"]["loss"], 0.0, "{call:#}");
    call
}

/// We call the phone, and both hear the other's tone.
pub async fn we_call(daemon: &Daemon, phone: &mut dyn Phone, tones: Tones) -> Value {
    let id = dial(daemon, "DYNAMIC_STREAM", "stream", json!({})).await;
    converse(daemon, phone, &id, tones).await
}

/// The phone calls us, likewise.
pub async fn it_calls(daemon: &Daemon, phone: &mut dyn Phone, tones: Tones) -> Value {
    phone.call("sip:stream@carrier.test");
    let id = live(daemon).await;
    converse(daemon, phone, &id, tones).await
}

/// The call that came in and was answered.
pub async fn live(daemon: &Daemon) -> String {
    let until = std::time::Instant::now() + super::rig::SOON;
    loop {
        let (_, calls) = daemon.get("/v1/calls?direction=inbound").await;
        let live = calls["data"].as_array().unwrap().iter();
        let mut live = live.filter(|call| call["status"] == "IN_PROGRESS");
        if let Some(call) = live.next() {
            return call["id"].as_str().unwrap().to_owned();
        }
        assert!(std::time::Instant::now() < until, "no call came in: {calls:#}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

async fn talk(setup: &Setup<'_>) {
    let mut network = Network::start(setup).await;
    we_call(&network.daemon, &mut network.phone, Tones::NARROW).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn we_call_the_phone_through_a_challenging_proxy() {
    if installed() {
        talk(&Setup::default()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_may_challenge_with_sha_256() {
    if installed() {
        talk(&Setup { proxy: &["SHA256"], ..Setup::default() }).await;
    }
}

/// The proxy answers our first INVITE with 422 and Min-SE (RFC 4028 §5); ours begins at 1,800 s.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_gets_the_longer_session_timer_that_it_wants() {
    if !installed() {
        return;
    }
    let trunk = "session_timer = \"1800s\"";
    let setup = Setup { proxy: &["MIN_SE"], trunk, ..Setup::default() };
    let mut network = Network::start(&setup).await;
    we_call(&network.daemon, &mut network.phone, Tones::NARROW).await;
    let log = network.phone.log();
    assert!(log.contains("Session-Expires: 2000"), "{log}");
    assert!(!log.contains("Session-Expires: 1800"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_phone_calls_holds_resumes_and_hangs_up() {
    if !installed() {
        return;
    }
    let Network { daemon, mut phone, kamailio } = Network::start(&Setup::default()).await;
    phone.tell("dial", "sip:music@carrier.test");
    phone.wait_for("CALL_ESTABLISHED");
    phone.hear(0, 8000);
    is_tone(&phone.heard(), 800.0);
    phone.wait_for("CALL_REMOTE_SDP");
    phone.tell("hold", "");
    phone.wait_for("CALL_REMOTE_SDP");
    // What was on its way has come when a held call has been quiet for a while.
    let quiet = std::time::Duration::from_millis(300);
    tokio::time::sleep(quiet).await;
    let held = phone.received();
    tokio::time::sleep(quiet * 2).await;
    assert!(phone.received() <= held + 1, "a held phone hears us");
    phone.tell("resume", "");
    phone.wait_for("CALL_REMOTE_SDP");
    phone.receive(50);
    phone.tell("hangup", "");
    let (_, calls) = daemon.get("/v1/calls?direction=inbound").await;
    let call = daemon.wait_for_end(calls["data"][0]["id"].as_str().unwrap()).await;
    assert_eq!(call["end_reason"], "caller_hangup", "{call:#}");
    drop(kamailio);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_that_is_not_allowed_is_refused_and_calls_nobody() {
    if !installed() {
        return;
    }
    let Network { daemon, mut phone, kamailio } = Network::start(&Setup::default()).await;
    phone.tell("dial", "sip:music@carrier.test");
    phone.wait_for("CALL_ESTABLISHED");
    phone.hear(0, 4000);
    phone.tell("transfer", "sip:+19005550100@carrier.test");
    phone.wait_for("TRANSFER_FAILED");
    // This phone then hangs up; `tests/sipp/uac_refer.xml` shows that the call could go on.
    let (_, calls) = daemon.get("/v1/calls?direction=inbound").await;
    let call = daemon.wait_for_end(calls["data"][0]["id"].as_str().unwrap()).await;
    assert_eq!(call["end_reason"], "caller_hangup", "{call:#}");
    let (_, calls) = daemon.get("/v1/calls").await;
    assert_eq!(calls["data"].as_array().unwrap().len(), 1, "{calls:#}");
    drop(kamailio);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_given_up_while_they_ring_both_ways() {
    if !installed() {
        return;
    }
    let setup =
        Setup { phone: PhoneSpec { manual: true, ..PhoneSpec::default() }, ..Setup::default() };
    let mut network = Network::start(&setup).await;
    let text = json!({ "text": "Nobody hears this.", "voiceId": "en-US-001" });
    let id = network.dial("FIXED_TTS", "tts", text).await;
    network.phone.wait_for("CALL_INCOMING");
    network.daemon.delete(&format!("/v1/calls/{id}")).await;
    network.phone.wait_for("CALL_CLOSED");
    let call = network.daemon.wait_for_end(&id).await;
    assert_eq!(call["status"], "FAILED", "{call:#}");
    network.phone.tell("dial", "sip:ring@carrier.test");
    network.phone.wait_for("CALL_RINGING");
    network.phone.tell("hangup", "");
    let (_, calls) = network.daemon.get("/v1/calls?direction=inbound").await;
    let call = network.daemon.wait_for_end(calls["data"][0]["id"].as_str().unwrap()).await;
    assert_eq!(call["end_reason"], "canceled", "{call:#}");
}
