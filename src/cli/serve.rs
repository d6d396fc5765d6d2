//! `bellwire serve`: reads the configuration, sets up logging, and runs the daemon.

use super::{ConfigArgs, DONE, FAILED, print};
use crate::config::{Config, LogFormat};
use crate::daemon::Origin;
use crate::observe::trace::{self, Format, LevelControl, TraceError};

/// Runs the gateway in the foreground until SIGTERM or SIGINT.
pub(super) fn run(args: ConfigArgs) -> u8 {
    let options = args.options();
    let loaded = match Config::load(&options) {
        Ok(loaded) => loaded,
        Err(errors) => {
            print::err(errors.to_string());
            print::err("bellwire: the configuration cannot be used; see `bellwire check`");
            return FAILED;
        }
    };
    let level = match log(&loaded.config) {
        Ok(level) => level,
        Err(error) => {
            print::err(format!("bellwire: {error}"));
            return FAILED;
        }
    };
    for warning in &loaded.warnings {
        tracing::warn!(place = %warning.place, key = %warning.path, "{}", warning.message);
    }
    if loaded.file.is_none() {
        tracing::info!("no configuration file: built-in settings, reachable from here only");
    }
    match crate::daemon::run_blocking(loaded.config, Origin { options, level }) {
        Ok(()) => DONE,
        Err(error) => {
            tracing::error!("{error:#}");
            FAILED
        }
    }
}

/// Sets logging up; gives what changes its level, unless the environment rules it.
fn log(config: &Config) -> Result<Option<LevelControl>, TraceError> {
    let format = match config.log.format {
        Some(LogFormat::Json) => Format::Json,
        Some(LogFormat::Text) => Format::Text,
        None => Format::suited(),
    };
    let filter = std::env::var(trace::FILTER_VARIABLE).ok();
    let level = trace::install(config.log.level.as_str(), format, filter.as_deref())?;
    Ok(Some(level).filter(|_| filter.is_none()))
}
