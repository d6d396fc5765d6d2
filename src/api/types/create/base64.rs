//! Base64 as clients really send it: either alphabet, padding or none, line breaks, a data URI.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use std::borrow::Cow;

const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The bytes that `text` stands for.
pub(super) fn decode(text: &str) -> Result<Vec<u8>, String> {
    let plain = normalised(without_data_uri(text)?);
    ENGINE.decode(plain.as_ref()).map_err(|error| error.to_string())
}

/// Takes off `data:audio/mpeg;base64,`.
fn without_data_uri(text: &str) -> Result<&str, String> {
    let text = text.trim_start();
    if !text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("data:")) {
        return Ok(text);
    }
    let (head, body) = text.split_once(',').ok_or("the data URI has no comma")?;
    if !head.to_ascii_lowercase().ends_with(";base64") {
        return Err("the data URI is not base64".to_owned());
    }
    Ok(body)
}

/// The standard alphabet without blanks; borrowed when it is that already.
fn normalised(text: &str) -> Cow<'_, [u8]> {
    let odd = |b: &u8| b.is_ascii_whitespace() || matches!(b, b'-' | b'_');
    if !text.as_bytes().iter().any(odd) {
        return Cow::Borrowed(text.as_bytes());
    }
    let kept = text.bytes().filter(|b| !b.is_ascii_whitespace());
    Cow::Owned(
        kept.map(|b| {
            if b == b'-' {
                b'+'
            } else if b == b'_' {
                b'/'
            } else {
                b
            }
        })
        .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn the_forms_that_clients_send_are_read() {
        let bytes = [0xfb_u8, 0xff, 0xfe, 0x49];
        for text in [
            "+//+SQ==",
            "+//+SQ",
            "-__-SQ==",
            "-__-SQ",
            "data:audio/mpeg;base64,+//+SQ==",
            "DATA:audio/wav;codecs=1;BASE64,-__-SQ",
            " +//+\r\n SQ==\n",
        ] {
            assert_eq!(decode(text).as_deref(), Ok(&bytes[..]), "{text}");
        }
    }

    #[test]
    fn what_is_no_base64_is_refused() {
        for text in ["SUQz...", "é", "A", "data:audio/mpeg,abc", "data:audio/mpeg;base64", "=AAA"]
        {
            assert!(decode(text).is_err(), "{text}");
        }
        assert_eq!(decode("").as_deref(), Ok(&[][..]));
    }
}
