//! The Identity header field: a PASSporT, and where its certificate is.
//!
//! ```text
//!  eyJ….eyJ….mAx… ;info=<https://cert.example/a.pem> ;alg=ES256 ;ppt=shaken
//!  └ jws ┘               └ info                           └ alg       └ ppt
//! ```
//!
//! Owns the grammar of RFC 8224 §4. Does not look into the PASSporT.

use super::Fault;

/// Most octets of a header field's value.
pub(super) const FIELD_MAX: usize = 4096;
/// Most parameters.
const PARAMS_MAX: usize = 16;

/// The parts of an Identity header field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field<'a> {
    /// The PASSporT in JWS compact serialization, as it stands.
    pub jws: &'a str,
    /// The URI in `info`.
    pub info: &'a str,
    /// `ppt`, without quotes.
    pub ppt: Option<&'a str>,
}

impl<'a> Field<'a> {
    /// Reads the value of an Identity header field.
    //= RFC 8224 §4: signed-identity-digest SEMI ident-info *( SEMI ident-info-params )
    pub(super) fn read(value: &'a str) -> Result<Self, Fault> {
        if value.len() > FIELD_MAX {
            return Err(Fault::Field("is too long"));
        }
        if value.contains(|letter: char| letter.is_control()) {
            return Err(Fault::Field("has control characters"));
        }
        let (jws, rest) = value.split_once(';').ok_or(Fault::Field("has no info"))?;
        let (mut info, mut alg, mut ppt) = (None, None, None);
        for (count, param) in (Params { rest }).enumerate() {
            let (name, value) = param?;
            let slot = match name.to_ascii_lowercase().as_str() {
                "info" => &mut info,
                "alg" => &mut alg,
                "ppt" => &mut ppt,
                _ if count < PARAMS_MAX => continue,
                _ => return Err(Fault::Field("has too many parameters")),
            };
            if slot.replace(value).is_some() {
                return Err(Fault::Field("has a parameter twice"));
            }
        }
        let info = info.and_then(|info| info.strip_prefix('<')?.strip_suffix('>'));
        let info = info.filter(|info| !info.is_empty()).ok_or(Fault::Field("has no info"))?;
        if alg.is_some_and(|alg| bare(alg) != "ES256") {
            return Err(Fault::Field("is signed by another algorithm than ES256"));
        }
        Ok(Self { jws: jws.trim(), info, ppt: ppt.map(bare) })
    }
}

/// A token or quoted string without its quotes; escapes stand for nothing that we look for.
fn bare(value: &str) -> &str {
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}

/// Walks `name=value` over semicolons; values may be in `<>` or quotes.
struct Params<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Params<'a> {
    type Item = Result<(&'a str, &'a str), Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        self.rest = self.rest.trim_start_matches([' ', '\t', ';']);
        if self.rest.is_empty() {
            return None;
        }
        let broken = || Some(Err(Fault::Field("has a broken parameter")));
        let end = self.rest.find(['=', ';']).unwrap_or(self.rest.len());
        let (name, behind) = self.rest.split_at(end);
        let Some(value) = behind.strip_prefix('=').map(str::trim_start) else {
            self.rest = behind;
            return Some(Ok((name.trim(), "")));
        };
        let end = match value.as_bytes().first() {
            Some(b'<') => value.find('>').map(|at| at + 1),
            Some(b'"') => closing_quote(value),
            Some(_) | None => Some(value.find(';').unwrap_or(value.len())),
        };
        let Some((value, behind)) = end.and_then(|end| value.split_at_checked(end)) else {
            self.rest = "";
            return broken();
        };
        self.rest = behind.trim_start();
        if !self.rest.is_empty() && !self.rest.starts_with(';') {
            self.rest = "";
            return broken();
        }
        Some(Ok((name.trim(), value.trim_end())))
    }
}

/// The place behind the quote that ends a quoted string.
fn closing_quote(value: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, letter) in value.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_fields_are_read_in_every_spelling() {
        for value in [
            "a.b.c;info=<https://x/y;z?q=1>;alg=ES256;ppt=shaken",
            "a.b.c ; PPT = \"shaken\" ; Info = <https://x/y;z?q=1> ; x ; y=\";\\\"\"",
            "a.b.c;;info=<https://x/y;z?q=1>;ppt=shaken;",
        ] {
            let field = Field::read(value).unwrap();
            assert_eq!((field.jws, field.info), ("a.b.c", "https://x/y;z?q=1"), "{value}");
            assert_eq!(field.ppt, Some("shaken"), "{value}");
        }
        assert_eq!(Field::read("a.b.c;info=<https://x>").unwrap().ppt, None);
    }

    #[test]
    fn broken_header_fields_are_refused_with_a_reason() {
        for (value, words) in [
            ("a.b.c".to_owned(), "no info"),
            ("a.b.c;info=https://x".to_owned(), "no info"),
            ("a.b.c;info=<>".to_owned(), "no info"),
            ("a.b.c;info=<https://x".to_owned(), "broken"),
            ("a.b.c;info=<https://x>y".to_owned(), "broken"),
            ("a.b.c;ppt=\"shaken;info=<https://x>".to_owned(), "broken"),
            ("a.b.c;info=<https://x>;info=<https://y>".to_owned(), "twice"),
            ("a.b.c;info=<https://x>;alg=none".to_owned(), "ES256"),
            ("a.b.c;info=<https://x>\r\nX: y".to_owned(), "control"),
            (format!("{};info=<https://x>", "a".repeat(5000)), "too long"),
            (format!("a{};info=<https://x>", ";x".repeat(20)), "too many"),
        ] {
            let fault = Field::read(&value).unwrap_err();
            assert!(fault.to_string().contains(words), "{value}: {fault}");
            assert_eq!(fault.refusal().0, 438);
        }
    }
}
