//! `[recording]`: files of what is said in calls.

use super::declare::section;
use std::time::Duration;

section! {
    /// Recordings of stream calls, as WAV in `recordings` below `node.data_dir`.
    Recording {
        /// Calls may be recorded: by a request, or by the client of their stream.
        ///
        /// On, because nothing is recorded unless somebody asks; who may make calls may. Off, whoever
        /// asks is answered with 501. Telling the people who are recorded is up to you.
        enabled: bool = true, Restart;
        /// Longest recording; it ends by itself.
        ///
        /// An hour in stereo takes 115 MB, on a wideband leg 230 MB.
        max: Duration ["1s"..="12h"] = "2h", Restart;
        /// Files that were last written longer ago are removed, at the start and once an hour; `0s`:
        /// none are.
        ///
        /// The call's record goes on naming them.
        keep: Duration ["0s"..="87600h"] = "0s", Restart;
    }
}
