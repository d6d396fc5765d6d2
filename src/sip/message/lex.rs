//! The small grammar that all header fields share: white space, tokens, quotes, lists, parameters.
//!
//! A folded value still holds its CR LF here; they count as white space (RFC 3261 §7.3.1), and
//! the line splitter has made sure that they stand nowhere else.

use memchr::{memchr, memchr3};
use std::borrow::Cow;

/// What a byte may be part of, as bits; one look-up a byte is what makes reading fast.
#[derive(Debug, Clone, Copy)]
pub(super) struct Class(u8);

impl Class {
    /// `token` (RFC 3261 §25.1).
    pub(super) const TOKEN: Self = Self(1);
    /// Name of a parameter: wider than the grammar where that is harmless, only what would change
    /// the structure is out.
    pub(super) const PARAM: Self = Self(2);
    /// Unquoted value of a parameter: as its name, and `=`.
    pub(super) const VALUE: Self = Self(4);
    /// Anything in a URI that is no delimiter of its parts.
    pub(super) const URI: Self = Self(8);
    /// Host name.
    pub(super) const HOST: Self = Self(16);

    /// Whether the byte belongs to this class.
    pub(super) fn has(self, byte: u8) -> bool {
        CLASSES.get(usize::from(byte)).is_some_and(|bits| bits & self.0 != 0)
    }

    /// How many bytes at the front belong to this class.
    pub(super) fn run(self, bytes: &[u8]) -> usize {
        let mut len = 0;
        for byte in bytes {
            if !self.has(*byte) {
                break;
            }
            len += 1;
        }
        len
    }
}

static CLASSES: [u8; 256] = classes();

#[expect(clippy::indexing_slicing, reason = "runs at compile time only: a bad index cannot build")]
#[expect(clippy::cast_possible_truncation, reason = "the index is below 256")]
const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let byte = i as u8;
        let word = byte.is_ascii_alphanumeric();
        let param = byte > b' '
            && byte != 0x7f
            && !matches!(byte, b';' | b',' | b'=' | b'"' | b'<' | b'>' | b'?');
        let uri = byte > b' '
            && byte != 0x7f
            && !matches!(byte, b'<' | b'>' | b'"' | b'%' | b'@' | b':' | b';' | b'?');
        let marks = matches!(byte, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'~');
        let token = word || marks || byte == b'\'';
        let host = word || matches!(byte, b'-' | b'.' | b'_');
        let kinds = [
            (token, Class::TOKEN),
            (param, Class::PARAM),
            (param || byte == b'=', Class::VALUE),
            (uri, Class::URI),
            (host, Class::HOST),
        ];
        let mut kind = 0;
        while kind < kinds.len() {
            if kinds[kind].0 {
                table[i] |= kinds[kind].1.0;
            }
            kind += 1;
        }
        i += 1;
    }
    table
}

/// SP, HTAB, and the CR LF of a fold.
pub(super) const fn is_lws(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Whether the text is one or more token letters.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && Class::TOKEN.run(text.as_bytes()) == text.len()
}

/// Takes white space and folds off both ends.
pub(super) fn trim(text: &str) -> &str {
    let bytes = text.as_bytes();
    let Some(start) = bytes.iter().position(|b| !is_lws(*b)) else { return "" };
    let end = bytes.iter().rposition(|b| !is_lws(*b)).map_or(start, |last| last + 1);
    text.get(start..end).unwrap_or("")
}

/// Takes white space and folds off the front.
pub(super) fn trim_start(text: &str) -> &str {
    let start = text.bytes().position(|b| !is_lws(b)).unwrap_or(text.len());
    text.get(start..).unwrap_or("")
}

/// Splits before the byte at `at`; out of range gives the whole and nothing.
pub(super) fn split_at(text: &str, at: usize) -> (&str, &str) {
    text.split_at_checked(at).unwrap_or((text, ""))
}

/// The text before and behind the first such byte, which is ASCII.
pub(super) fn cut(text: &str, byte: u8) -> Option<(&str, &str)> {
    let at = memchr(byte, text.as_bytes())?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// The text before the first such byte, which is ASCII, and the text from it on.
pub(super) fn split_before(text: &str, byte: u8) -> (&str, &str) {
    split_at(text, memchr(byte, text.as_bytes()).unwrap_or(text.len()))
}

/// Where the quoted string that begins `text` ends: the index behind its closing quote.
pub(super) fn quoted_end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    if bytes.first() != Some(&b'"') {
        return None;
    }
    let mut at = 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Splits the first element off a comma-separated list, with respect for quotes and `<>`.
pub(super) fn split_list(text: &str) -> (&str, Option<&str>) {
    let mut at = 0;
    while let Some(rest) = text.as_bytes().get(at..) {
        let Some(step) = memchr3(b',', b'"', b'<', rest) else { break };
        at += step;
        match text.as_bytes().get(at) {
            Some(b',') => return (split_at(text, at).0, text.get(at + 1..)),
            Some(b'"') => match text.get(at..).and_then(quoted_end) {
                Some(len) => at += len,
                None => break,
            },
            _ => match text.as_bytes().get(at..).and_then(|rest| memchr(b'>', rest)) {
                Some(len) => at += len + 1,
                None => break,
            },
        }
    }
    (text, None)
}

/// Removes folds: every CR LF with the white space around it becomes one space.
///
/// Cost: allocates only if the text holds a fold.
pub fn unfold(text: &str) -> Cow<'_, str> {
    if memchr(b'\n', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for (i, part) in text.split("\r\n").enumerate() {
        let part = if i == 0 { part } else { part.trim_start_matches([' ', '\t']) };
        if i > 0 {
            out.truncate(out.trim_end_matches([' ', '\t']).len());
            out.push(' ');
        }
        out.push_str(part);
    }
    Cow::Owned(out)
}

/// The meaning of a parameter value or display name: quotes and escapes removed, folds joined.
///
/// Cost: allocates only if there is an escape or a fold.
pub fn unquote(text: &str) -> Cow<'_, str> {
    let inner = text.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
    match inner {
        Some(inner) => unescape(inner),
        None => unfold(text),
    }
}

/// Removes the backslashes of `quoted-pair`s and joins folds.
pub(super) fn unescape(inner: &str) -> Cow<'_, str> {
    if memchr(b'\\', inner.as_bytes()).is_none() {
        return unfold(inner);
    }
    let mut out = String::with_capacity(inner.len());
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        out.extend(if letter == '\\' { letters.next() } else { Some(letter) });
    }
    if out.contains('\n') {
        return Cow::Owned(unfold(&out).into_owned());
    }
    Cow::Owned(out)
}

/// Parameters of a header field or URI: `;name=value;name;name="quoted"`.
///
/// The syntax was checked when this was made, so walking it cannot fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Params<'a> {
    text: &'a str,
}

impl<'a> Params<'a> {
    /// Reads `text`, which is empty or begins with `;` (white space around is allowed).
    ///
    /// Cost: one walk, no allocation. Returns `None` for an empty name, an unbalanced quote, or
    /// letters that cannot stand in a parameter.
    pub fn parse(text: &'a str) -> Option<Self> {
        Self::parse_each(text, |_, _| Some(()))
    }

    /// The same, and shows each parameter to `visit`, which may refuse it.
    pub(super) fn parse_each(
        text: &'a str,
        mut visit: impl FnMut(&'a str, Option<&'a str>) -> Option<()>,
    ) -> Option<Self> {
        if text.is_empty() {
            return Some(Self { text });
        }
        let text = trim(text);
        let mut rest = text;
        while !rest.is_empty() {
            let ((name, value), after) = next_param(rest)?;
            visit(name, value)?;
            rest = after;
        }
        Some(Self { text })
    }

    /// The raw text, from the first `;`.
    pub fn as_str(self) -> &'a str {
        self.text
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.text.is_empty()
    }

    /// All parameters in order; a value keeps its quotes (see [`unquote`]).
    pub fn iter(self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
        let mut rest = self.text;
        std::iter::from_fn(move || {
            let (param, after) = next_param(rest)?;
            rest = after;
            Some(param)
        })
    }

    /// The value of the first parameter of that name (any case); empty when it has none.
    pub fn get(self, name: &str) -> Option<&'a str> {
        self.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.unwrap_or(""))
    }

    /// Whether a parameter of that name (any case) is there, with a value or without.
    pub fn has(self, name: &str) -> bool {
        self.get(name).is_some()
    }
}

type Param<'a> = (&'a str, Option<&'a str>);

/// Reads `;name[=value]` off the front of a trimmed, non-empty text.
fn next_param(text: &str) -> Option<(Param<'_>, &str)> {
    let rest = trim_start(text.strip_prefix(';')?);
    let name_len = Class::PARAM.run(rest.as_bytes());
    let (name, rest) = split_at(rest, name_len);
    if name.is_empty() {
        return None;
    }
    let rest = trim_start(rest);
    let Some(rest) = rest.strip_prefix('=') else {
        return (rest.is_empty() || rest.starts_with(';')).then_some(((name, None), rest));
    };
    let rest = trim_start(rest);
    let value_len = match quoted_end(rest) {
        Some(len) => len,
        None if rest.starts_with('"') => return None,
        None => Class::VALUE.run(rest.as_bytes()),
    };
    let (value, rest) = split_at(rest, value_len);
    let rest = trim_start(rest);
    (rest.is_empty() || rest.starts_with(';')).then_some(((name, Some(value)), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_split_outside_quotes_and_brackets() {
        let cases: &[(&str, &str, Option<&str>)] = &[
            ("a", "a", None),
            ("a,b", "a", Some("b")),
            (r#""x,y" <sip:a,b@c>;p="q,\",", z"#, r#""x,y" <sip:a,b@c>;p="q,\",""#, Some(" z")),
            (r#""open, a"#, r#""open, a"#, None),
            ("<open, a", "<open, a", None),
            (",a", "", Some("a")),
        ];
        for (text, first, rest) in cases {
            assert_eq!(split_list(text), (*first, *rest), "{text}");
        }
    }

    #[test]
    fn params_are_read_with_white_space_quotes_and_folds() {
        let params = Params::parse(" ; tag \r\n = 1 ;lr; A=\"x;\\\"y\" ").unwrap();
        let all: Vec<_> = params.iter().collect();
        assert_eq!(all, [("tag", Some("1")), ("lr", None), ("A", Some(r#""x;\"y""#))]);
        assert_eq!(params.get("a").map(unquote).as_deref(), Some("x;\"y"));
        assert_eq!(params.get("LR"), Some(""));
        assert!(!params.has("b"));
    }

    #[test]
    fn bad_params_are_refused() {
        for bad in [";", ";;", ";a;;b", ";a=\"x", "a", ";a=1 b", ";=x", ";a=\"x\"y", ";a,b", ";a<"]
        {
            assert_eq!(Params::parse(bad), None, "{bad}");
        }
        assert!(Params::parse("").unwrap().is_empty());
    }

    #[test]
    fn folds_become_one_space() {
        assert_eq!(unfold("a"), Cow::Borrowed("a"));
        assert_eq!(unfold("a \r\n \t b\r\n\tc"), "a b c");
        assert_eq!(unquote("\"a\\\\ \\\"\r\n b\""), "a\\ \" b");
        assert_eq!(unquote("plain"), "plain");
    }
}
