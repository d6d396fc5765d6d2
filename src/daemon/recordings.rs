//! Where recordings lie, and who writes them, as the configuration says.

use crate::app::recording::{self, RecordingDesk, RecordingSpec};
use crate::config::Config;
use crate::id::RecordingId;
use crate::store::MendedRecording;
use anyhow::Context as _;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The directory, which need not be there.
pub(super) fn dir(config: &Config) -> PathBuf {
    config.node.data_dir.join("recordings")
}

/// Starts who writes them; `None` if nobody shall.
///
/// # Errors
/// No thread can be started.
pub(super) fn start(config: &Config) -> anyhow::Result<Option<RecordingDesk>> {
    let recording = &config.recording;
    if !recording.enabled {
        return Ok(None);
    }
    let spec = RecordingSpec { dir: dir(config), keep: recording.keep, longest: recording.max };
    RecordingDesk::start(spec).context("starting the writer of recordings").map(Some)
}

/// Makes whole files of what a crash broke off. Cost: blocks on the disk while there are any.
pub(super) fn mended(dir: &Path) -> HashMap<RecordingId, MendedRecording> {
    let mended = recording::mend(dir).into_iter().map(|(id, length)| {
        let duration_ms = length.samples * 1000 / u64::from(length.rate.max(1));
        tracing::warn!(recording_id = %id, duration_ms, "mended a recording that a crash cut off");
        (id, MendedRecording { octets: length.octets, duration_ms })
    });
    mended.collect()
}
