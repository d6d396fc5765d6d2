//! Sealed media (SDES, RFC 4568) and signalling over TLS.

use super::baresip::{Baresip, PhoneSpec};
use super::calls::{Tones, is_mostly_tone, it_calls, we_call};
use super::programs::{
    Certificates, Network, Phone as _, Setup, all_there, dial, installed, proxy_speaks_tls,
};
use super::rig::{Daemon, NUMBER, tone_wav};
use serde_json::json;

/// What the phone prints when keys are in use.
const SEALED: &str = "SRTP is Enabled";

fn setup<'a>(trunk: &'a str, account: &'a str) -> Setup<'a> {
    let phone = PhoneSpec { account, ..PhoneSpec::default() };
    Setup { trunk, phone, ..Setup::default() }
}

/// A call each way, sealed or not.
async fn both_ways(trunk: &str, account: &str, sealed: bool) {
    let mut network = Network::start(&setup(trunk, account)).await;
    for (count, outgoing) in [(1, true), (2, false)] {
        let Network { daemon, phone, .. } = &mut network;
        if outgoing {
            we_call(daemon, phone, Tones::NARROW).await;
        } else {
            it_calls(daemon, phone, Tones::NARROW).await;
        }
        let log = phone.log();
        let times = log.matches(SEALED).count();
        assert_eq!(times >= count, sealed, "{trunk}, {account}, outgoing: {outgoing}\n{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn preferred_keys_are_used_with_a_phone_that_can() {
    if installed() {
        both_ways("srtp = \"preferred\"", ";mediaenc=srtp", true).await;
    }
}

/// Who prefers keys offers RTP/AVP, since others could not read anything else; a phone that insists
/// on RTP/SAVP refuses that. Called by it, we talk sealed.
#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_must_have_keys_refuses_who_only_prefers_them() {
    if !installed() {
        return;
    }
    let setup = setup("srtp = \"preferred\"", ";mediaenc=srtp-mand");
    let Network { daemon, mut phone, kamailio } = Network::start(&setup).await;
    let id = dial(&daemon, "DYNAMIC_STREAM", "stream", json!({})).await;
    let call = daemon.wait_for_end(&id).await;
    assert_eq!((&call["status"], &call["sip_code"]), (&json!("FAILED"), &json!(488)), "{call:#}");
    it_calls(&daemon, &mut phone, Tones::NARROW).await;
    assert!(phone.log().contains(SEALED));
    drop(kamailio);
}

#[tokio::test(flavor = "multi_thread")]
async fn preferred_keys_are_left_out_with_a_phone_that_cannot() {
    if installed() {
        both_ways("srtp = \"preferred\"", "", false).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn required_keys_are_used_both_ways() {
    if installed() {
        both_ways("srtp = \"required\"", ";mediaenc=srtp-mand", true).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_stands_where_keys_are_required_and_the_phone_has_none() {
    if !installed() {
        return;
    }
    let mut network = Network::start(&setup("srtp = \"required\"", "")).await;
    let id = network.dial("DYNAMIC_STREAM", "stream", json!({})).await;
    let call = network.daemon.wait_for_end(&id).await;
    assert_eq!((&call["status"], &call["sip_code"]), (&json!("FAILED"), &json!(488)), "{call:#}");
    network.phone.wait_until_over();
    network.phone.call("sip:stream@carrier.test");
    let closed = network.phone.wait_for_one(&["CALL_CLOSED", "CALL_ESTABLISHED"]);
    assert_eq!(closed["type"], "CALL_CLOSED", "{closed}");
    assert!(closed["param"].as_str().unwrap().starts_with("488"), "{closed}");
    let (_, calls) = network.daemon.get("/v1/calls?direction=inbound").await;
    let talked = |call: &serde_json::Value| call["status"] == "COMPLETED";
    assert!(!calls["data"].as_array().unwrap().iter().any(talked), "{calls:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_over_tls_with_certificates_of_both() {
    if !(installed() && proxy_speaks_tls()) {
        return;
    }
    let phone = PhoneSpec { account: ";mediaenc=srtp-mand", ..PhoneSpec::default() };
    let trunk = "srtp = \"required\"";
    let setup = Setup { proxy: &["TLS"], trunk, phone, ..Setup::default() };
    let mut network = Network::start(&setup).await;
    we_call(&network.daemon, &mut network.phone, Tones::NARROW).await;
    it_calls(&network.daemon, &mut network.phone, Tones::NARROW).await;
    assert!(network.phone.log().matches(SEALED).count() >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn registration_over_tls_brings_calls() {
    if !(installed() && proxy_speaks_tls()) {
        return;
    }
    let trunk = "register = true\nexpires = \"60s\"";
    let gateway = Some("127.0.0.1:9;transport=tls");
    let setup = Setup { proxy: &["TLS"], trunk, gateway, ..Setup::default() };
    let mut network = Network::start(&setup).await;
    let until = std::time::Instant::now() + super::rig::SOON;
    loop {
        network.phone.tell("dial", "sip:music@carrier.test");
        let outcome = network.phone.wait_for_one(&["CALL_ESTABLISHED", "CALL_CLOSED"]);
        if outcome["type"] == "CALL_ESTABLISHED" {
            break;
        }
        assert!(std::time::Instant::now() < until, "we never registered: {outcome}");
    }
    network.phone.hear(0, 8000);
    is_mostly_tone(&network.phone.recording(), 800.0, 0.95);
    network.phone.tell("hangup", "");
    network.phone.wait_until_over();
}

/// Without a proxy: two stacks and one connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_phone_over_tls_without_a_proxy() {
    if !all_there(&["baresip"]) {
        return;
    }
    let made = Certificates::make();
    let (certificate, authority) = (made.file("phone.pem"), made.file("ca.crt"));
    let mut phone = Baresip::start(&PhoneSpec {
        address: format!("sip:{NUMBER}@127.0.0.1;transport=tls"),
        account: ";mediaenc=srtp",
        config: format!("sip_certificate {certificate}\nsip_cafile {authority}"),
        ..PhoneSpec::default()
    });
    let music = tone_wav(made.dir.path(), "music.wav", 800.0, 1.0);
    let route = format!(
        "[[route]]\nto = \"^music$\"\ninstance = \"inst_demo\"\naction = \"play\"\naudio = \"{}\"\n",
        music.display()
    );
    let proxy = format!("127.0.0.1:{};transport=tls", phone.sip.port() + 1);
    let options = made.of_gateway();
    let args: Vec<&str> = options.iter().flat_map(|option| ["--set", option]).collect();
    let daemon = Daemon::start_with_both(&proxy, &route, &args).await;
    phone.call(&format!("sip:music@{};transport=tls", daemon.tls().unwrap()));
    phone.wait_until_talking();
    phone.hear(0, 8000);
    is_mostly_tone(&phone.recording(), 800.0, 0.95);
    phone.tell("hangup", "");
    phone.wait_until_over();
    let id = daemon.create("DYNAMIC_STREAM", "stream", json!({ "waitMs": 60_000 })).await;
    phone.wait_until_talking();
    daemon.delete(&format!("/v1/calls/{id}")).await;
    phone.wait_until_over();
    let call = daemon.wait_for_end(&id).await;
    let ended = (&call["sip_code"], &call["end_reason"]);
    assert_eq!(ended, (&json!(200), &json!("terminated_by_api")), "{call:#}");
}
