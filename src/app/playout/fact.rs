//! What became of queued audio, and which bound of the queue was hit.

use std::sync::Arc;

/// Marks that may wait at once.
pub const MARKS_MAX: usize = 4096;
/// Utterances that may wait at once.
pub const UTTERANCES_MAX: usize = 1024;
/// Clears that may wait for the worker at once; it answers within a tick.
pub(super) const CLEARS_MAX: usize = 16;

/// The name of an utterance; audio that came without one has none.
pub type Name = Option<Arc<str>>;

/// Something that became of queued audio.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// The first sample of an utterance has left.
    Started {
        /// Which.
        utterance: Name,
    },
    /// The last sample of an utterance has left.
    Completed {
        /// Which.
        utterance: Name,
        /// How much of it was sent; with the next its length.
        played_ms: u64,
        /// How much was left out to catch up.
        squeezed_ms: u64,
    },
    /// An utterance was cut; the three lengths add up to what was accepted of it.
    Cleared {
        /// Which.
        utterance: Name,
        /// How much of it was sent.
        played_ms: u64,
        /// How much was left out of that to catch up.
        squeezed_ms: u64,
        /// How much will never be.
        discarded_ms: u64,
    },
    /// A mark was reached, or everything before it can no longer be.
    Mark {
        /// Its name.
        name: Box<str>,
        /// Audio sent in this call up to it.
        played_ms: u64,
        /// Audio left out up to it.
        squeezed_ms: u64,
        /// Whether it was cleared away.
        cleared: bool,
    },
    /// The queue passed its high (`xoff`) or its low water mark.
    Flow {
        /// Whether the application should pause.
        xoff: bool,
        /// How much is queued.
        queued_ms: u64,
    },
    /// A clear is done and all that it cut has been told.
    ClearDone {
        /// From [`super::PlayoutQueue::clear`].
        ticket: u64,
    },
    /// Everything that was queued when [`super::PlayoutQueue::when_drained`] was called is out.
    Drained,
}

/// A bound of the queue was hit; nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// [`MARKS_MAX`].
    #[error("{MARKS_MAX} marks wait already")]
    Marks,
    /// [`UTTERANCES_MAX`].
    #[error("{UTTERANCES_MAX} utterances wait already")]
    Utterances,
    /// The worker has not answered the last clears.
    #[error("{CLEARS_MAX} clears wait already")]
    Clears,
}
