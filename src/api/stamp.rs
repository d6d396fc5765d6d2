//! Moments on the wire: ISO 8601 in UTC, whole seconds, ending in `Z`, as the reference API.

use jiff::Timestamp;

/// The present, in milliseconds since the Unix epoch.
#[must_use]
pub fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

/// How a moment is written.
#[must_use]
pub fn iso(ms: i64) -> String {
    Timestamp::from_millisecond(ms).unwrap_or_default().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// How Twilio writes a moment: RFC 2822 in UTC.
#[must_use]
pub fn rfc2822(ms: i64) -> String {
    let at = Timestamp::from_millisecond(ms).unwrap_or_default();
    at.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

/// Reads an RFC 3339 moment with any offset; `None` when it is none.
#[must_use]
pub fn parse(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_in_whole_seconds_of_utc() {
        assert_eq!(iso(0), "1970-01-01T00:00:00Z");
        assert_eq!(iso(1_767_323_045_999), "2026-01-02T03:04:05Z");
        assert_eq!(iso(i64::MAX), "1970-01-01T00:00:00Z");
        assert_eq!(rfc2822(1_767_323_045_999), "Fri, 02 Jan 2026 03:04:05 +0000");
    }

    #[test]
    fn moments_are_read_with_any_offset() {
        assert_eq!(parse("2026-01-02T03:04:05Z"), Some(1_767_323_045_000));
        assert_eq!(parse("2026-01-02T05:04:05.25+02:00"), Some(1_767_323_045_250));
        for bad in ["", "yesterday", "2026-01-02", "2026-13-02T03:04:05Z"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
