//! Keys of other people's servers, as the engines hold them.
//!
//! Owns nothing but the silence about them: neither `Debug` nor a log line shows one.

/// A key or token.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// Takes a key into custody.
    #[must_use]
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// The key itself, to be written into a header field and nowhere else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_not_shown() {
        let key = ApiKey::new("secret");
        assert_eq!((format!("{key:?}"), key.expose()), ("ApiKey(…)".to_owned(), "secret"));
    }
}
