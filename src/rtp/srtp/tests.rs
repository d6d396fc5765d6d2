//! The vectors of the RFCs, and what an attacker or a bad network can do.

use super::crypt::{Cipher, derive_for_test, key_stream_for_test};
use super::*;
use proptest::prelude::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(octet).collect()
}

fn key(suite: Suite, seed: u8) -> MasterKey {
    let octets: Vec<u8> = (0..44).map(|i| seed.wrapping_mul(31).wrapping_add(i)).collect();
    MasterKey::new(suite, &octets[..suite.master_len()]).unwrap()
}

fn packet(seq: u16, ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 0x08];
    packet.extend(seq.to_be_bytes());
    packet.extend(u32::from(seq).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend((0..160_u8).map(|i| i.wrapping_mul(seq.to_be_bytes()[1])));
    packet
}

fn seal(sealer: &mut Sealer, plain: &[u8]) -> Vec<u8> {
    let mut buffer = [plain, &[0; RTP_ROOM]].concat();
    let len = sealer.rtp(&mut buffer, plain.len()).unwrap();
    buffer.truncate(len);
    buffer
}

fn open(opener: &mut Opener, sealed: &[u8]) -> Result<Vec<u8>, SrtpError> {
    let mut out = [0; OPEN_MAX];
    opener.rtp(sealed, &mut out).map(|len| out[..len].to_vec())
}

#[test]
fn the_key_stream_is_that_of_rfc_3711_b_2() {
    let session: [u8; 16] = hex("2B7E151628AED2A6ABF7158809CF4F3C").try_into().unwrap();
    let iv: [u8; 16] = hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD0000").try_into().unwrap();
    let mut stream = vec![0; 16 * 0xff02];
    key_stream_for_test(session, iv, &mut stream);
    let want = hex("E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB \
         41E95B3BB0A2E8DD477901E4FCA894C0");
    assert_eq!(stream[..48], want);
    let late = hex("EC8CDF7398607CB0F2D21675EA9EA1E4 362B7C3C6773516318A077D7FC5073AE");
    assert_eq!(stream[16 * 0xfeff..16 * 0xff01], late);
}

#[test]
fn session_keys_are_those_of_rfc_3711_b_3() {
    let master = hex("E1F97A0D3E018BE0D64FA32C06DE4139");
    let salt = hex("0EC675AD498AFEEBB6960B3AABE6");
    let rows = [
        (0, "C61E7A93744F39EE10734AFE3FF7A087"),
        (2, "30CBBC08863D8C85D49DB34A9AE1"),
        (
            1,
            "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4 8F0A0ACF3C34E2359E6CDBCEE049646C \
             43D9327AD175578EF72270986371C10C9A369AC2F94A8C5FBCDDDC256D6E919A48B610EF17C2041E \
             474035766B68642C59BBFC2F34DB60DBDFB2DC68",
        ),
    ];
    for (label, want) in rows {
        let want = hex(want);
        let mut out = vec![0; want.len()];
        derive_for_test(&master, &salt, label, &mut out);
        assert_eq!(out, want, "label {label}");
    }
}

#[test]
fn packets_are_those_of_rfc_7714() {
    let plain = hex("8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976 \
         69736120 696e2070 61727465 73207472 6573");
    let rows = [
        (
            Suite::Gcm128,
            "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 \
             0d294e6f 42a5f47a 51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce",
        ),
        (
            Suite::Gcm256,
            "8040f17b 8041f8d3 5501a0b2 32b1de78 a822fe12 ef9f78fa 332e33aa b1801238 \
             9a58e2f3 b50b2a02 76ffae0f 1ba63799 b87b7aa3 db36dfff d6b0f9bb 7878d7a7 6c13",
        ),
    ];
    for (suite, want) in rows {
        let session: Vec<u8> = (0..32).take(suite.key_len()).collect();
        let cipher = Cipher::of_session(suite, &session, b"Quid pro quo");
        let (mut own, mut tag) = (plain.clone(), [0; 16]);
        let (header, body) = own.split_at_mut(12);
        cipher.seal_rtp(0x5501_a0b2, 0xf17b, header, body, &mut tag).unwrap();
        assert_eq!([&own[..], &tag].concat(), hex(want), "{}", suite.name());
        let (header, body) = own.split_at_mut(12);
        cipher.open_rtp(0x5501_a0b2, 0xf17b, header, body, &tag).unwrap();
        assert_eq!(own, plain);
    }
}

#[test]
fn reports_are_those_of_rfc_7714() {
    let plain = hex("81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61 \
         deadbeef deadbeef deadbeef deadbeef deadbeef");
    let want = hex("81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d \
         c676a5f1 730d6fda 4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 \
         45d9eade 800005d4");
    let session: Vec<u8> = (0..16).collect();
    let cipher = Cipher::of_session(Suite::Gcm128, &session, b"Quid pro quo");
    let mut own = [&plain[..], &[0; 20]].concat();
    cipher.seal_rtcp(0x4d61_7273, 0x5d4, plain.len(), &mut own).unwrap();
    assert_eq!(own, want);
    let mut out = vec![0; plain.len()];
    assert_eq!(cipher.rtcp_word(&own, 16), Some(0x8000_05d4));
    cipher.open_rtcp(0x4d61_7273, 0x8000_05d4, &own, &mut out).unwrap();
    assert_eq!(out, plain);
}

#[test]
fn lengths_and_tags_are_those_of_the_suites() {
    let rows = [
        (Suite::AesCm80, 30, 10, 14),
        (Suite::AesCm32, 30, 4, 14),
        (Suite::Gcm128, 28, 16, 20),
        (Suite::Gcm256, 44, 16, 20),
    ];
    for (suite, master, rtp, rtcp) in rows {
        assert_eq!(suite.master_len(), master);
        let mut sealer = Sealer::new(&key(suite, 1));
        assert_eq!(seal(&mut sealer, &packet(1, 7)).len(), 172 + rtp);
        let mut report = [0x80; 60];
        assert_eq!(sealer.rtcp(&mut report, 32), Some(32 + rtcp));
        assert_eq!(sealer.rtcp(&mut report, 58), None, "no room");
        assert_eq!(sealer.rtp(&mut [0x80; 20], 20), None, "no room");
        assert_eq!(MasterKey::new(suite, &[0; 29]), None);
        assert_eq!(Suite::by_name(&suite.name().to_lowercase()), Some(suite));
    }
    assert_eq!(Suite::by_name("F8_128_HMAC_SHA1_80"), None);
}

#[test]
fn keys_do_not_show() {
    let params = SrtpParams { local: key(Suite::AesCm80, 3), remote: key(Suite::AesCm80, 4) };
    let shown = format!("{params:?} {:?}", SrtpPair::new(&params));
    assert!(shown.contains("AES_CM_128_HMAC_SHA1_80"));
    let digits = shown.replace("AES_CM_128_HMAC_SHA1_80", "");
    assert!(!digits.contains(|c: char| c.is_ascii_digit()), "{shown}");
}

#[test]
fn numbers_roll_over_with_loss_and_disorder() {
    for suite in Suite::ALL {
        let (mut sealer, mut opener) = (Sealer::new(&key(suite, 1)), Opener::new(&key(suite, 1)));
        let start = 65_400_u16;
        let plain: Vec<Vec<u8>> = (0..400).map(|n| packet(start.wrapping_add(n), 7)).collect();
        let mut sealed: Vec<_> =
            plain.iter().map(|plain| (plain.clone(), seal(&mut sealer, plain))).collect();
        for n in (0..396).step_by(4) {
            sealed.swap(n, n + 3);
        }
        sealed.retain(|(plain, _)| plain[3] % 7 != 0);
        for (plain, sealed) in &sealed {
            assert_eq!(open(&mut opener, sealed).as_ref(), Ok(plain), "{}", suite.name());
            assert_eq!(open(&mut opener, sealed), Err(SrtpError::Replayed));
        }
        assert!(sealed.len() > 300);
    }
}

#[test]
fn three_rollovers_keep_the_ends_together() {
    let (mut sealer, mut opener) =
        (Sealer::new(&key(Suite::Gcm128, 1)), Opener::new(&key(Suite::Gcm128, 1)));
    // Long runs are lost, but less than half the numbers.
    for n in (0..200_000_u32).step_by(333) {
        let seq = n.to_be_bytes();
        let plain = packet(u16::from_be_bytes([seq[2], seq[3]]), 7);
        let sealed = seal(&mut sealer, &plain);
        if n % 30_000 < 3_000 {
            assert_eq!(open(&mut opener, &sealed), Ok(plain), "{n}");
        }
    }
    assert_eq!(sealer.last.map(|(roc, _)| roc), Some(3));
}

#[test]
fn forgeries_change_nothing() {
    for suite in Suite::ALL {
        let (mut sealer, mut opener) = (Sealer::new(&key(suite, 1)), Opener::new(&key(suite, 1)));
        let first = seal(&mut sealer, &packet(100, 7));
        assert!(open(&mut opener, &first).is_ok());
        let other = seal(&mut Sealer::new(&key(suite, 2)), &packet(30_000, 7));
        assert_eq!(open(&mut opener, &other), Err(SrtpError::BadTag));
        let next = seal(&mut sealer, &packet(101, 7));
        for at in 0..next.len() {
            let mut forged = next.clone();
            forged[at] ^= 0x40;
            assert!(open(&mut opener, &forged).is_err(), "octet {at}");
        }
        for len in 0..next.len() {
            assert!(open(&mut opener, &next[..len]).is_err(), "{len} octets");
        }
        assert_eq!(open(&mut opener, &next), Ok(packet(101, 7)), "{}", suite.name());
        let plain = packet(102, 7);
        assert_eq!(open(&mut opener, &plain), Err(SrtpError::BadTag), "plain packets");
    }
}

#[test]
fn sources_have_counters_of_their_own() {
    let suite = Suite::AesCm80;
    let mut opener = Opener::new(&key(suite, 1));
    let mut sealers: Vec<Sealer> = (0..6).map(|_| Sealer::new(&key(suite, 1))).collect();
    for seq in [65_534, 65_535, 0, 1] {
        for (sealer, ssrc) in sealers.iter_mut().zip(0..3) {
            assert!(open(&mut opener, &seal(sealer, &packet(seq, ssrc))).is_ok());
        }
    }
    // More sources than there is room for: the latest are known.
    for (sealer, ssrc) in sealers.iter_mut().zip(0..).skip(3) {
        assert!(open(&mut opener, &seal(sealer, &packet(9, ssrc))).is_ok());
    }
    assert!(open(&mut opener, &seal(&mut sealers[2], &packet(2, 2))).is_ok());
}

#[test]
fn reports_are_sealed_numbered_and_not_replayed() {
    for suite in Suite::ALL {
        let (mut sealer, mut opener) = (Sealer::new(&key(suite, 1)), Opener::new(&key(suite, 1)));
        let mut plain = [0x5a; 32];
        plain[..8].copy_from_slice(&[0x80, 201, 0, 7, 0, 0, 0, 7]);
        let mut out = [0; 64];
        for index in 0..5 {
            let mut buffer = [0; 64];
            buffer[..32].copy_from_slice(&plain);
            let len = sealer.rtcp(&mut buffer, 32).unwrap();
            assert_ne!(buffer[8..32], plain[8..], "{}", suite.name());
            for at in 0..len {
                let mut forged = buffer;
                forged[at] ^= 1;
                assert!(opener.rtcp(&forged[..len], &mut out).is_err(), "octet {at} of {index}");
            }
            assert_eq!(opener.rtcp(&buffer[..len], &mut out), Ok(32));
            assert_eq!(out[..32], plain);
            let again = opener.rtcp(&buffer[..len], &mut out);
            assert_eq!(again, Err(SrtpError::Replayed));
        }
        assert!(opener.rtcp(&plain, &mut out).is_err());
        sealer.rtcp_index = RTCP_INDEX_MAX;
        assert!(sealer.rtcp(&mut [0x80; 64], 32).is_some());
        assert!(sealer.rtcp(&mut [0x80; 64], 32).is_none(), "the key is spent");
    }
}

#[test]
fn a_repeated_key_goes_on_and_a_fresh_one_begins() {
    let suite = Suite::AesCm80;
    let params =
        |local, remote| SrtpParams { local: key(suite, local), remote: key(suite, remote) };
    let mut far = Sealer::new(&key(suite, 2));
    let mut running = SrtpPair::new(&params(1, 2));
    for seq in [65_535, 0] {
        let sealed = seal(&mut far, &packet(seq, 7));
        assert!(open(&mut running.opener, &sealed).is_ok());
        seal(&mut running.sealer, &packet(seq, 8));
    }
    let mut again = SrtpPair::new(&params(1, 2));
    assert!(!again.carry_on(&mut running));
    assert_eq!(again.sealer.last, Some((1, 0)));
    let sealed = seal(&mut far, &packet(1, 7));
    assert!(open(&mut again.opener, &sealed).is_ok(), "the rollover counter is still 1");
    let mut rekeyed = SrtpPair::new(&params(1, 3));
    assert!(rekeyed.carry_on(&mut again));
    assert_eq!(rekeyed.sealer.last, Some((1, 0)), "our key is the same");
    let sealed = seal(&mut Sealer::new(&key(suite, 3)), &packet(9, 7));
    assert!(open(&mut rekeyed.opener, &sealed).is_ok());
    let late = seal(&mut far, &packet(2, 7));
    assert_eq!(open(&mut rekeyed.opener, &late), Err(SrtpError::BadTag));
    assert!(open(&mut again.opener, &late).is_ok(), "the old half still opens");
}

proptest! {
    #[test]
    fn any_bytes_keep_the_laws(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        fuzz_srtp(&bytes);
    }

    #[test]
    fn headers_of_any_shape_are_sealed_around(
        sources in 0..16_u8, words in 0..20_u16, extended: bool, seq: u16, body in 0..300_usize,
    ) {
        let mut bytes = packet(seq, 7);
        bytes.truncate(12);
        bytes[0] |= sources | u8::from(extended) << 4;
        bytes.extend(vec![1; 4 * usize::from(sources)]);
        if extended {
            bytes.extend([0xbe, 0xde]);
            bytes.extend(words.to_be_bytes());
            bytes.extend(vec![2; 4 * usize::from(words)]);
        }
        let header = bytes.len();
        bytes.extend(vec![3; body]);
        for suite in Suite::ALL {
            let sealed = seal(&mut Sealer::new(&key(suite, 1)), &bytes);
            prop_assert_eq!(&sealed[..header], &bytes[..header]);
            prop_assert_eq!(open(&mut Opener::new(&key(suite, 1)), &sealed), Ok(bytes.clone()));
        }
    }
}
