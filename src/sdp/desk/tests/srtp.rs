//! Keys in descriptions: policies of both sides against each other, and what peers write.

use super::*;
use SrtpPolicy::{Off, Preferred, Required};

const KEY: &str = "inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";

fn local_with(srtp: SrtpPolicy) -> LocalMedia {
    LocalMedia { srtp, ..local() }
}

#[test]
fn every_pair_of_policies_ends_as_it_must() {
    // Caller, callee, and whether they talk sealed, in the clear or not at all.
    let rows = [
        (Off, Off, Some(false)),
        (Off, Preferred, Some(false)),
        (Off, Required, None),
        (Preferred, Off, Some(false)),
        (Preferred, Preferred, Some(true)),
        (Preferred, Required, Some(true)),
        (Required, Off, None),
        (Required, Preferred, Some(true)),
        (Required, Required, Some(true)),
    ];
    for (caller, callee, sealed) in rows {
        let (mut from, mut to) = (desk(&local_with(caller), 1), desk(&local_with(callee), 77));
        let offered = from.offer();
        let answered = to.answer(&offered);
        let talk = answered.as_ref().ok().map(|(_, agreed)| agreed.srtp.is_some());
        assert_eq!(talk, sealed, "{caller:?} calls {callee:?}");
        let Ok((text, theirs)) = answered else { continue };
        let ours = from.accept(&text).unwrap();
        match (ours.srtp, theirs.srtp) {
            (Some(ours), Some(theirs)) => {
                assert_eq!((&ours.local, &ours.remote), (&theirs.remote, &theirs.local));
                assert_eq!(ours.suite(), Suite::Gcm256);
                assert_ne!(ours.local, ours.remote);
            }
            (ours, theirs) => assert_eq!((ours, theirs), (None, None)),
        }
        assert_eq!(from.offer(), offered, "a refresh repeats keys and version");
    }
}

#[test]
fn offers_say_what_the_policy_asks_for() {
    let plain = String::from_utf8(offer(&local_with(Off))).unwrap();
    assert!(plain.contains("RTP/AVP 0 8 101") && !plain.contains("crypto"));
    let preferred = String::from_utf8(offer(&local_with(Preferred))).unwrap();
    assert!(preferred.contains("RTP/AVP 0 8 101"));
    let required = String::from_utf8(offer(&local_with(Required))).unwrap();
    assert!(required.contains("RTP/SAVP 0 8 101"));
    for text in [preferred, required] {
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("a=crypto:")).collect();
        assert_eq!(lines.len(), 4);
        assert!(lines[0].starts_with("a=crypto:1 AEAD_AES_256_GCM inline:"));
        assert!(lines[2].starts_with("a=crypto:3 AES_CM_128_HMAC_SHA1_80 inline:"));
    }
}

#[test]
fn the_first_suite_that_we_know_is_taken_with_its_tag() {
    let lines = format!(
        "m=audio 4000 RTP/SAVPF 8\na=crypto:1 F8_128_HMAC_SHA1_80 {KEY}\n\
         a=crypto:2 AES_CM_128_HMAC_SHA1_80 {KEY}|2^20|1:4\n\
         a=crypto:7 AES_CM_128_HMAC_SHA1_32 {KEY}|2^31\n\
         a=crypto:8 AES_CM_128_HMAC_SHA1_80 {KEY}\n"
    );
    let (text, agreed) = answer(&local_with(Preferred), &peer(&lines)).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert_eq!(agreed.srtp.unwrap().suite(), Suite::AesCm32);
    assert!(text.contains("m=audio 20000 RTP/SAVPF 8\r\n"));
    assert_eq!(text.matches("a=crypto:").count(), 1);
    assert!(text.contains("a=crypto:7 AES_CM_128_HMAC_SHA1_32 inline:"), "{text}");
    assert!(!text.contains(KEY), "the key of the answer is ours");
}

#[test]
fn a_sealed_stream_is_taken_before_a_plain_one() {
    let lines = format!(
        "m=audio 4000 RTP/AVP 8\nm=audio 4002 RTP/SAVP 8\n\
         a=crypto:1 AES_CM_128_HMAC_SHA1_80 {KEY}\n"
    );
    for (policy, port) in [(Off, 4000), (Preferred, 4002), (Required, 4002)] {
        let (text, agreed) = answer(&local_with(policy), &peer(&lines)).unwrap();
        assert_eq!(agreed.remote_rtp.port(), port, "{policy:?}");
        assert_eq!(String::from_utf8(text).unwrap().matches("\r\nm=audio 0 ").count(), 1);
    }
}

#[test]
fn what_is_not_secure_is_refused_where_it_must_be() {
    let crypto = format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 {KEY}\n");
    let short = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:short\n";
    let rows = [
        (Required, "m=audio 4000 RTP/AVP 8\n".to_owned(), SdpError::NoCrypto),
        (Required, "m=audio 4000 RTP/SAVP 8\n".to_owned(), SdpError::NoCrypto),
        (Preferred, "m=audio 4000 RTP/SAVP 8\n".to_owned(), SdpError::NoCrypto),
        (Off, format!("m=audio 4000 RTP/SAVP 8\n{crypto}"), SdpError::NoAudio),
        (Required, format!("m=audio 4000 UDP/TLS/RTP/SAVP 8\n{crypto}"), SdpError::NoAudio),
        (Required, format!("m=audio 4000 RTP/SAVP 8\n{short}"), SdpError::NoCrypto),
    ];
    for (policy, lines, why) in rows {
        let local = local_with(policy);
        let refused = answer(&local, &peer(&lines)).unwrap_err();
        assert_eq!((refused.status(), &refused), (488, &why), "{lines}");
        assert_eq!(accept(&local, &peer(&lines)), Err(why), "{lines}");
    }
    let uninvited = peer(&format!("m=audio 4000 RTP/AVP 8\n{crypto}"));
    assert_eq!(answer(&local(), &uninvited).unwrap().1.srtp, None, "nobody asked for keys");
}

#[test]
fn keys_stay_until_fresh_ones_are_asked_for() {
    let local = local_with(Required);
    let (mut ours, mut theirs) = (desk(&local, 1), desk(&local, 99));
    let (text, before) = theirs.answer(&ours.offer()).unwrap();
    let agreed = ours.accept(&text).unwrap().srtp.unwrap();
    ours.hold(true);
    let (text, held) = theirs.answer(&ours.offer()).unwrap();
    assert_eq!(held.srtp, before.srtp, "hold changes no key");
    assert_eq!(ours.accept(&text).unwrap().srtp.as_ref(), Some(&agreed));
    ours.hold(false);
    ours.rekey();
    let (text, rekeyed) = theirs.answer(&ours.offer()).unwrap();
    let fresh = ours.accept(&text).unwrap().srtp.unwrap();
    assert_ne!(fresh.local, agreed.local);
    assert_eq!(fresh.remote, agreed.remote, "the peer kept its own");
    assert_eq!(rekeyed.srtp.unwrap().remote, fresh.local);
    let shown = format!("{ours:?} {held:?}");
    assert!(!shown.contains("inline") && shown.contains("MasterKey(AEAD_AES_256_GCM, ..)"));
}

#[test]
fn a_call_that_began_sealed_is_offered_anew_as_it_was() {
    let lines = format!("m=audio 4000 RTP/SAVP 8\na=crypto:1 AES_CM_128_HMAC_SHA1_80 {KEY}\n");
    let mut ours = desk(&local_with(Preferred), 5);
    let (answered, agreed) = ours.answer(&peer(&lines)).unwrap();
    assert!(agreed.srtp.is_some());
    let again = String::from_utf8(ours.offer()).unwrap();
    assert!(again.contains("m=audio 20000 RTP/SAVP 0 8"), "{again}");
    let own = String::from_utf8(answered).unwrap();
    let key = own.split("inline:").nth(1).unwrap().split("\r\n").next().unwrap();
    assert!(again.contains(key), "with the key that is in force: {again}");
}
