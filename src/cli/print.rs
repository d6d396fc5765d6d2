//! The only place that writes to standard output and standard error, logs apart.
//!
//! Owns what happens when nobody reads: nothing.

use std::io::Write;

/// Writes a line to standard output; a reader that went away is no error.
pub fn out(line: impl AsRef<str>) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{}", line.as_ref()).and_then(|()| stdout.flush());
}

/// Writes a line to standard error; a reader that went away is no error.
pub fn err(line: impl AsRef<str>) {
    let _ = writeln!(std::io::stderr().lock(), "{}", line.as_ref());
}

/// Shows how far something has got, on a terminal: the next line takes its place.
pub fn progress(line: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = write!(stderr, "\r\x1b[K{line}\r").and_then(|()| stderr.flush());
}
