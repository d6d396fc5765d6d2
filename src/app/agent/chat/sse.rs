//! Server-sent events from octets, however they are cut (WHATWG HTML, "Server-sent events").
//!
//! Pure. Lines end in CR, LF or both; letters may be split between pieces. `id` and `retry` are
//! read over: nobody reconnects to an answer.

/// Octets of a line.
pub const LINE_MAX: usize = 256 * 1024;
/// Octets of an event's text.
pub const EVENT_MAX: usize = 512 * 1024;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SseEvent {
    /// `event`, usually empty.
    pub name: String,
    /// The lines of `data`, joined by line feeds.
    pub text: String,
}

/// The stream is no stream of events, or one beyond all measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a line or an event of the stream is too long")]
pub struct SseTooLong;

/// Takes octets, gives events.
#[derive(Debug, Default)]
pub struct SseDecoder {
    line: Vec<u8>,
    after_cr: bool,
    begun: bool,
    name: String,
    text: Option<String>,
}

impl SseDecoder {
    /// Takes the next octets; complete events go to `out`.
    ///
    /// # Errors
    /// [`SseTooLong`]; the decoder is of no use then.
    pub fn push(&mut self, octets: &[u8], out: &mut Vec<SseEvent>) -> Result<(), SseTooLong> {
        for &octet in octets {
            match octet {
                b'\n' if std::mem::take(&mut self.after_cr) => {}
                b'\r' | b'\n' => {
                    self.after_cr = octet == b'\r';
                    self.end_line(out)?;
                }
                _ => {
                    self.after_cr = false;
                    if self.line.len() >= LINE_MAX {
                        return Err(SseTooLong);
                    }
                    self.line.push(octet);
                }
            }
        }
        Ok(())
    }

    /// The stream is over: an event whose blank line is missing, if there is one. Some servers
    /// forget the last.
    pub fn finish(&mut self) -> Option<SseEvent> {
        let mut out = Vec::new();
        self.end_line(&mut out).ok()?;
        out.pop().or_else(|| self.dispatch())
    }

    fn end_line(&mut self, out: &mut Vec<SseEvent>) -> Result<(), SseTooLong> {
        let octets = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&octets);
        let mut line = line.as_ref();
        if !std::mem::replace(&mut self.begun, true) {
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
        }
        if line.is_empty() {
            out.extend(self.dispatch());
            return Ok(());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                let joined = self.text.is_some();
                let text = self.text.get_or_insert_default();
                if text.len() + value.len() >= EVENT_MAX {
                    return Err(SseTooLong);
                }
                if joined {
                    text.push('\n');
                }
                text.push_str(value);
            }
            "event" => value.clone_into(&mut self.name),
            // Comments begin with a colon and keep connections open; other fields are not ours.
            _ => {}
        }
        Ok(())
    }

    fn dispatch(&mut self) -> Option<SseEvent> {
        let name = std::mem::take(&mut self.name);
        self.text.take().map(|text| SseEvent { name, text })
    }
}

/// Fuzz entry: octets as a stream, cut in two places, give the same events as in one piece.
///
/// # Panics
/// When they do not.
pub fn fuzz_sse(bytes: &[u8]) {
    let read = |pieces: &[&[u8]]| {
        let (mut decoder, mut out) = (SseDecoder::default(), Vec::new());
        let result = pieces.iter().try_for_each(|piece| decoder.push(piece, &mut out));
        out.extend(result.is_ok().then(|| decoder.finish()).flatten());
        (out, result)
    };
    let whole = read(&[bytes]);
    let (third, rest) = bytes.split_at(bytes.len() / 3);
    let (half, end) = rest.split_at(rest.len() / 2);
    assert_eq!(whole, read(&[third, half, end]), "pieces make a difference");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(octets: &[u8], size: usize) -> Vec<(String, String)> {
        let (mut decoder, mut out) = (SseDecoder::default(), Vec::new());
        for piece in octets.chunks(size) {
            decoder.push(piece, &mut out).unwrap();
        }
        out.extend(decoder.finish());
        out.into_iter().map(|event| (event.name, event.text)).collect()
    }

    #[test]
    fn streams_are_read_however_they_are_cut() {
        let cases: &[(&str, &[(&str, &str)])] = &[
            ("data: a\n\ndata: b\n\n", &[("", "a"), ("", "b")]),
            ("data: a\r\n\r\ndata: b\r\r", &[("", "a"), ("", "b")]),
            ("\u{feff}data:é\u{1f600}\ndata:  x\ndata\n\n", &[("", "é\u{1f600}\n x\n")]),
            (": hello\n\nevent: error\ndata: {}\nid: 7\nretry: 1\n\n", &[("error", "{}")]),
            ("event: lost\n\ndata: kept", &[("", "kept")]),
            ("data\n\n", &[("", "")]),
            ("nonsense\n\n", &[]),
        ];
        for (stream, expected) in cases {
            for size in [1, 2, 3, 1000] {
                let seen = events(stream.as_bytes(), size);
                let seen: Vec<(&str, &str)> =
                    seen.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
                assert_eq!(&seen, expected, "{stream:?} by {size}");
            }
        }
    }

    #[test]
    fn what_never_ends_is_refused() {
        let mut decoder = SseDecoder::default();
        assert_eq!(decoder.push(&vec![b'x'; LINE_MAX + 1], &mut Vec::new()), Err(SseTooLong));
        let mut decoder = SseDecoder::default();
        let line = [b"data: ".as_slice(), &vec![b'x'; LINE_MAX / 2], b"\n"].concat();
        let result = (0..5).try_for_each(|_| decoder.push(&line, &mut Vec::new()));
        assert_eq!(result, Err(SseTooLong));
    }
}
