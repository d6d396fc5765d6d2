//! The crypto attribute of RFC 4568: keys in a session description.
//!
//! ```text
//!  a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:<key and salt>|2^31 WSH=64
//!           tag      suite                                lifetime parameters
//! ```
//!
//! A line that asks for what we do not do (MKI, several keys, key derivation rates, packets without
//! encryption or tags) is passed over as if it were not there. The door of `base64` for `sdp`.

use crate::rtp::srtp::{MasterKey, Suite};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

/// Longer lines are passed over.
const LINE_MAX: usize = 512;
/// Parameters of a line that are looked at; with more of them it is passed over.
const PARAMETERS_MAX: usize = 16;
/// A key that lives for fewer packets, some hours, would end during a call.
const LIFETIME_MIN: u64 = 1 << 20;

/// One usable crypto attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Crypto {
    /// Names it among others; an answer repeats it.
    pub(super) tag: u32,
    /// Whose key it is depends on who wrote it: the writer seals with it.
    pub(super) key: MasterKey,
}

impl Crypto {
    /// Reads what stands behind `a=crypto:`; `None` for what we cannot do.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() > LINE_MAX {
            return None;
        }
        let mut words = text.split_ascii_whitespace();
        //= RFC 4568 §9.1: tag = 1*9DIGIT
        let tag = words.next()?;
        let tag = (tag.len() <= 9).then(|| tag.parse::<u32>().ok())??;
        let suite = Suite::by_name(words.next()?)?;
        let key = key_of(suite, words.next()?)?;
        let mut parameters = words.take(PARAMETERS_MAX + 1).enumerate();
        let fine = parameters.all(|(n, parameter)| n < PARAMETERS_MAX && is_harmless(parameter));
        fine.then_some(Self { tag, key })
    }

    /// What stands behind `a=crypto:`.
    pub(super) fn text(&self) -> String {
        let key = STANDARD.encode(self.key.octets());
        format!("{} {} inline:{key}", self.tag, self.key.suite().name())
    }
}

/// `inline:` key and salt, with a lifetime but without an MKI.
fn key_of(suite: Suite, text: &str) -> Option<MasterKey> {
    let (method, rest) = text.split_once(':')?;
    if !method.eq_ignore_ascii_case("inline") || rest.contains(';') {
        return None;
    }
    let mut parts = rest.split('|');
    let key = parts.next()?;
    let lifetime = parts.next();
    if parts.next().is_some() || lifetime.is_some_and(|text| !lives_long(text)) {
        return None;
    }
    let octets = STANDARD.decode(key).or_else(|_| STANDARD_NO_PAD.decode(key)).ok()?;
    MasterKey::new(suite, &octets)
}

/// `2^20` or `1048576` packets and more; an MKI, which has a colon, is none.
fn lives_long(text: &str) -> bool {
    let packets = match text.split_once('^') {
        Some(("2", power)) => power.parse().ok().and_then(|power| 1_u64.checked_shl(power)),
        Some(_) => None,
        None => text.parse().ok(),
    };
    packets.is_some_and(|packets| packets >= LIFETIME_MIN)
}

/// Session parameters that change nothing for us.
//= RFC 4568 §6.3.7: an unknown parameter without a leading "-" must not be ignored
fn is_harmless(parameter: &str) -> bool {
    let name = parameter.split('=').next().unwrap_or_default();
    parameter.starts_with('-')
        || name.eq_ignore_ascii_case("WSH")
        || parameter.eq_ignore_ascii_case("KDR=0")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";

    #[test]
    fn what_can_be_used_is_read_and_written() {
        let rows = [
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^31"),
            format!("1 aes_cm_128_hmac_sha1_80 INLINE:{KEY}|1048576 WSH=64 -X=1 KDR=0"),
            format!(" 1  AES_CM_128_HMAC_SHA1_80\tinline:{KEY}|2^20 "),
        ];
        for row in rows {
            let crypto = Crypto::parse(&row).unwrap();
            assert_eq!((crypto.tag, crypto.key.suite()), (1, Suite::AesCm80), "{row}");
            assert_eq!(crypto.text(), format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"));
            assert!(!format!("{crypto:?}").contains("d0Rm"), "keys do not show");
        }
        for suite in Suite::ALL {
            let key = MasterKey::new(suite, &vec![0xfb; suite.master_len()]).unwrap();
            let crypto = Crypto { tag: 999_999_999, key };
            assert_eq!(Crypto::parse(&crypto.text()), Some(crypto.clone()));
            let unpadded = crypto.text().replace('=', "");
            assert_eq!(Crypto::parse(&unpadded), Some(crypto), "padding is forgotten by some");
        }
    }

    #[test]
    fn what_we_do_not_do_is_passed_over() {
        let good = format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}");
        let rows = [
            String::new(),
            "1".to_owned(),
            "1 AES_CM_128_HMAC_SHA1_80".to_owned(),
            format!("x AES_CM_128_HMAC_SHA1_80 inline:{KEY}"),
            format!("1234567890 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"),
            format!("1 F8_128_HMAC_SHA1_80 inline:{KEY}"),
            format!("1 AEAD_AES_128_GCM inline:{KEY}"),
            format!("1 AES_CM_128_HMAC_SHA1_80 prefix:{KEY}"),
            "1 AES_CM_128_HMAC_SHA1_80 inline:short".to_owned(),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{}!", &KEY[1..]),
            format!("{good}|1:4"),
            format!("{good}|2^31|1:4"),
            format!("{good}|2^19"),
            format!("{good}|2^64"),
            format!("{good}|3^31"),
            format!("{good};inline:{KEY}"),
            format!("{good} UNENCRYPTED_SRTP"),
            format!("{good} UNENCRYPTED_SRTCP"),
            format!("{good} UNAUTHENTICATED_SRTP"),
            format!("{good} KDR=1"),
            format!("{good} FEC_ORDER=FEC_SRTP"),
            format!("{good} NEWS=1"),
            format!("{good}{}", " -x".repeat(17)),
            format!("{good} -{}", "x".repeat(600)),
        ];
        for row in rows {
            assert_eq!(Crypto::parse(&row), None, "{row}");
        }
    }
}
