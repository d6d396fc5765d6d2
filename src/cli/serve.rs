//! `bellwire serve`: reads the configuration, sets up logging, and runs the daemon.

use super::{ConfigArgs, DONE, FAILED, print};
use crate::config::{Config, LogFormat};
use crate::observe::trace::{self, Format, TraceError};

/// Runs the gateway in the foreground until SIGTERM or SIGINT.
pub(super) fn run(args: ConfigArgs) -> u8 {
    let loaded = match args.load() {
        Ok(loaded) => loaded,
        Err(errors) => {
            print::err(errors.to_string());
            print::err("bellwire: the configuration cannot be used; see `bellwire check`");
            return FAILED;
        }
    };
    if let Err(error) = log(&loaded.config) {
        print::err(format!("bellwire: {error}"));
        return FAILED;
    }
    for warning in &loaded.warnings {
        tracing::warn!(place = %warning.place, key = %warning.path, "{}", warning.message);
    }
    if loaded.file.is_none() {
        tracing::info!("no configuration file: built-in settings, reachable from here only");
    }
    match crate::daemon::run_blocking(loaded.config) {
        Ok(()) => DONE,
        Err(error) => {
            tracing::error!("{error:#}");
            FAILED
        }
    }
}

fn log(config: &Config) -> Result<(), TraceError> {
    let format = match config.log.format {
        Some(LogFormat::Json) => Format::Json,
        Some(LogFormat::Text) => Format::Text,
        None => Format::suited(),
    };
    let filter = std::env::var(trace::FILTER_VARIABLE).ok();
    trace::install(config.log.level.as_str(), format, filter.as_deref())?;
    Ok(())
}
