//! The URL of a stream's client: `ws` or `wss`, a host, a path.
//!
//! Owns what such a URL may be: no user, no fragment, nothing that would not survive a request
//! line. Does not judge where it leads; the guard does, when the address is known.

use http::Uri;
use std::fmt;

/// Longest URL.
pub const URL_MAX: usize = 2048;

/// Why a text is no URL of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlFault {
    /// It is longer than [`URL_MAX`].
    #[error("must have at most 2048 characters")]
    Length,
    /// It does not begin with ws:// or wss://.
    #[error("must begin with ws:// or wss://")]
    Scheme,
    /// It is malformed.
    #[error("must be a URL such as wss://bot.example/stream")]
    Malformed,
    /// It has a user.
    #[error("must not have a user or password; auth says who asks")]
    User,
    /// It has a fragment.
    #[error("must not have a fragment")]
    Fragment,
}

/// A URL of a stream's client.
#[derive(Clone, PartialEq, Eq)]
pub struct StreamUrl {
    secure: bool,
    host: String,
    port: u16,
    /// As the Host field has it: the port only if it stands in the URL.
    authority: String,
    /// With the query.
    path: String,
}

impl StreamUrl {
    /// Reads a URL. Cost: O(length).
    ///
    /// # Errors
    /// [`UrlFault`], the first that is found.
    pub fn parse(text: &str) -> Result<Self, UrlFault> {
        if text.len() > URL_MAX {
            return Err(UrlFault::Length);
        }
        if text.contains('#') {
            return Err(UrlFault::Fragment);
        }
        let uri: Uri = text.parse().map_err(|_| UrlFault::Malformed)?;
        let secure = match uri.scheme_str() {
            Some(scheme) if scheme.eq_ignore_ascii_case("wss") => true,
            Some(scheme) if scheme.eq_ignore_ascii_case("ws") => false,
            Some(_) | None => return Err(UrlFault::Scheme),
        };
        let authority = uri.authority().ok_or(UrlFault::Malformed)?;
        if authority.as_str().contains('@') {
            return Err(UrlFault::User);
        }
        // An authority may end in a colon without a port, or in one that is none.
        let stated = authority.as_str().rsplit_once(':').filter(|(_, port)| !port.ends_with(']'));
        let port = match (stated, authority.port_u16()) {
            (_, Some(port)) if port > 0 => port,
            (None, None) => {
                if secure {
                    443
                } else {
                    80
                }
            }
            (_, Some(_)) | (Some(_), None) => return Err(UrlFault::Malformed),
        };
        if authority.host().is_empty() {
            return Err(UrlFault::Malformed);
        }
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        let path = if uri.path().is_empty() { "/" } else { uri.path() };
        Ok(Self {
            secure,
            host: authority.host().to_owned(),
            port,
            authority: authority.as_str().to_owned(),
            path: format!("{path}{query}"),
        })
    }

    /// Whether it asks for TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The host, an address of IPv6 in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, also where the URL leaves it out.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Host and port as the Host field has them.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Path and query, with more pairs behind it; their values must need no escape.
    #[must_use]
    pub fn path_with(&self, more: &[(&str, &str)]) -> String {
        let mut path = self.path.clone();
        for (name, value) in more {
            path.push(if path.contains('?') { '&' } else { '?' });
            path.push_str(name);
            path.push('=');
            path.push_str(value);
        }
        path
    }
}

/// Without the query, which may hold secrets.
impl fmt::Display for StreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.split('?').next().unwrap_or_default();
        let scheme = if self.secure { "wss" } else { "ws" };
        write!(f, "{scheme}://{}{path}", self.authority)
    }
}

impl fmt::Debug for StreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamUrl({self})")
    }
}

/// Feeds foreign bytes to the reader of URLs and checks what it accepts.
///
/// # Panics
/// When an accepted URL could break a request line, or shows a secret.
pub fn fuzz_url(bytes: &[u8]) {
    let Ok(url) = StreamUrl::parse(&String::from_utf8_lossy(bytes)) else { return };
    let visible = |text: &str| text.bytes().all(|octet| octet > b' ' && octet != 0x7f);
    let path = url.path_with(&[("resume", "t")]);
    assert!(path.starts_with('/') && visible(&path), "{path:?}");
    assert!(visible(url.authority()) && !url.authority().contains(['@', '/']), "{url}");
    assert!(!url.host().is_empty() && url.port() > 0, "{url}");
    assert!(!url.to_string().contains('?'), "{url}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        for (text, host, port, authority, path) in [
            ("ws://bot.example", "bot.example", 80, "bot.example", "/"),
            ("wss://bot.example/a?b=c", "bot.example", 443, "bot.example", "/a?b=c"),
            ("WSS://Bot.example:8443?x=1", "Bot.example", 8443, "Bot.example:8443", "/?x=1"),
            ("ws://[::1]:9/s", "[::1]", 9, "[::1]:9", "/s"),
            ("ws://[::1]/s", "[::1]", 80, "[::1]", "/s"),
        ] {
            let url = StreamUrl::parse(text).unwrap();
            assert_eq!((url.host(), url.port()), (host, port), "{text}");
            assert_eq!((url.authority(), url.path_with(&[]).as_str()), (authority, path), "{text}");
        }
    }

    #[test]
    fn more_pairs_go_behind_the_query_and_no_query_is_shown() {
        let url = StreamUrl::parse("wss://bot.example/a?key=secret").unwrap();
        assert_eq!(
            url.path_with(&[("resume", "t"), ("since", "7")]),
            "/a?key=secret&resume=t&since=7"
        );
        let bare = StreamUrl::parse("wss://bot.example/a").unwrap();
        assert_eq!(bare.path_with(&[("resume", "t")]), "/a?resume=t");
        assert_eq!(url.to_string(), "wss://bot.example/a");
        assert!(!format!("{url:?}").contains("secret"));
    }

    #[test]
    fn what_is_no_url_of_a_stream_is_told_apart() {
        for (text, fault) in [
            ("", UrlFault::Malformed),
            ("bot.example", UrlFault::Scheme),
            ("https://bot.example", UrlFault::Scheme),
            ("wss://", UrlFault::Malformed),
            ("wss:///path", UrlFault::Malformed),
            ("wss://bot example", UrlFault::Malformed),
            ("wss://bot.example/a\r\nHost: b", UrlFault::Malformed),
            ("wss://user:secret@bot.example", UrlFault::User),
            ("wss://bot.example:0", UrlFault::Malformed),
            ("wss://bot.example:", UrlFault::Malformed),
            ("wss://bot.example:99999", UrlFault::Malformed),
            ("wss://bot.example/#a", UrlFault::Fragment),
        ] {
            assert_eq!(StreamUrl::parse(text), Err(fault), "{text:?}");
        }
        let long = format!("wss://bot.example/{}", "a".repeat(URL_MAX));
        assert_eq!(StreamUrl::parse(&long), Err(UrlFault::Length));
    }
}
