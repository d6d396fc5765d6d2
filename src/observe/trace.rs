//! The door to `tracing-subscriber`: log lines on standard error.
//!
//! Owns their format, and their level while the gateway runs. What is said is up to `event`.

use std::io::IsTerminal;
use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, Registry, fmt, reload};

/// Directives of this variable stand in for the configured level, e.g. `bellwire::sip=debug`.
pub const FILTER_VARIABLE: &str = "BELLWIRE_LOG";

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// For eyes.
    Text,
}

impl Format {
    /// Text when standard error is a terminal, else JSON.
    #[must_use]
    pub fn suited() -> Self {
        if std::io::stderr().is_terminal() { Self::Text } else { Self::Json }
    }
}

/// Why logging could not be set up or changed.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The caller's directives cannot be understood.
    #[error("log filter: {0}")]
    Filter(#[from] ParseError),
    /// Logging was set up before.
    #[error("logging is set up already")]
    Installed(#[from] TryInitError),
    /// The subscriber is gone.
    #[error("logging has ended")]
    Gone(#[from] reload::Error),
}

/// Changes the level while the gateway runs; cheap to clone.
#[derive(Debug, Clone)]
pub struct LevelControl(reload::Handle<EnvFilter, Registry>);

impl LevelControl {
    /// Sets a level (`debug`), or directives (`info,bellwire::sip=trace`).
    ///
    /// # Errors
    /// [`TraceError::Filter`] if they cannot be understood; the level stays as it is.
    pub fn set(&self, directives: &str) -> Result<(), TraceError> {
        self.0.reload(filter(directives)?)?;
        Ok(())
    }
}

/// Sets up logging for the whole process.
///
/// `filter_override` is the value of [`FILTER_VARIABLE`], if it is set.
///
/// # Errors
/// [`TraceError::Filter`] or, when called twice, [`TraceError::Installed`].
pub fn install(
    level: &str,
    format: Format,
    filter_override: Option<&str>,
) -> Result<LevelControl, TraceError> {
    let directives = filter_override.unwrap_or(level);
    let (filter, control) = reload::Layer::new(filter(directives)?);
    let lines = lines(format, std::io::stderr);
    tracing_subscriber::registry().with(filter).with(lines).try_init()?;
    Ok(LevelControl(control))
}

/// A bare level is ours; other crates then say only what deserves a look.
fn filter(directives: &str) -> Result<EnvFilter, ParseError> {
    let bare = directives.chars().all(|c| c.is_ascii_alphabetic());
    let directives = if bare {
        format!("warn,bellwire={}", directives.to_lowercase())
    } else {
        directives.to_owned()
    };
    EnvFilter::try_new(directives)
}

fn lines<S, W>(format: Format, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
    W: for<'w> fmt::MakeWriter<'w> + Send + Sync + 'static,
{
    match format {
        Format::Json => fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .with_writer(writer)
            .boxed(),
        Format::Text => fmt::layer().with_target(false).with_writer(writer).boxed(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    /// Collects log lines.
    #[derive(Clone, Default)]
    pub(in crate::observe) struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Sink {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What `work` logs in JSON under these directives.
    pub(in crate::observe) fn logged(directives: &str, work: impl FnOnce()) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let subscriber = tracing_subscriber::registry()
            .with(filter(directives).unwrap())
            .with(lines(Format::Json, move || writer.clone()));
        tracing::subscriber::with_default(subscriber, work);
        sink.text()
    }

    #[test]
    fn one_json_object_a_line_whatever_is_said() {
        let text = logged("info", || {
            let span = tracing::info_span!("call", call_id = "call_1");
            let _inside = span.enter();
            tracing::info!(why = "line\nbreak \u{1b}[31m", "said");
            tracing::debug!("not said");
        });
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 1, "{text}");
        let line: serde_json::Value = serde_json::from_str(lines[0]).unwrap();
        assert_eq!(line["why"], "line\nbreak \u{1b}[31m");
        assert_eq!(line["span"]["call_id"], "call_1");
        assert_eq!(line["level"], "INFO");
    }

    #[test]
    fn a_bare_level_is_ours_and_directives_are_anybodys() {
        assert_eq!(filter("debug").unwrap().to_string(), "bellwire=debug,warn");
        assert_eq!(filter("hyper=trace").unwrap().to_string(), "hyper=trace");
        assert!(filter("bellwire=nonsense").is_err());
    }
}
