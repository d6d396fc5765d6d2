//! Problem bodies (RFC 9457) and the table of error codes.

/// One answer to a request that cannot be served.
#[derive(Debug, Clone)]
pub struct Problem {
    /// HTTP status.
    pub status: u16,
    /// Stable snake_case code.
    pub code: &'static str,
    /// What is wrong, for people, with a way out.
    pub detail: String,
}

impl Problem {
    /// 503: a limit of ours is reached.
    #[must_use]
    pub fn capacity_exceeded(detail: impl Into<String>) -> Self {
        Self { status: 503, code: "capacity_exceeded", detail: detail.into() }
    }

    /// 500: our fault.
    #[must_use]
    pub fn internal(detail: impl Into<String>) -> Self {
        Self { status: 500, code: "internal", detail: detail.into() }
    }
}
