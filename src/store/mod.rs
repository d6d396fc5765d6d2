//! What survives a restart: calls, instances, API keys and answers kept for idempotency.
//!
//! ```text
//!  put_call ──> pending (latest per call) ─┐
//!  create, delete, begin … ──> queue ──────┴─> writer thread ──> SQLite (WAL)
//!  call, list …            ──> queue ────────> reader thread ──>    "
//! ```
//!
//! Owns the file, its schema and both threads; rusqlite is used nowhere else. Does not read the
//! clock: `now` (milliseconds since the Unix epoch) comes from the caller. Nothing here ever waits
//! for the disk on the caller's thread: a full queue is an error, and call rows that cannot be
//! written (disk full) stay in memory, latest state per call, until they can.

mod calls;
mod digest;
mod idempotency;
mod instances;
mod keys;
mod lane;
mod schema;

pub use calls::{CallCursor, CallFilter, MendedRecording};
pub use digest::sha256;
pub use idempotency::{Begin, Ticket};
pub use instances::{
    CallDefaults, DeclaredInstance, Dedupe, Instance, InstanceSettings, InstanceSource,
};
pub use keys::StoredKey;
pub use lane::{StoreLimits, StoreStats};

use lane::{Job, Lanes, Work};
use rusqlite::Connection;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Why the store could not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Limit: more work waits than the queue holds.
    #[error("the store's queue is full")]
    QueueFull,
    /// Limit: a table holds as many rows as it may.
    #[error("there are already {max} {what}")]
    TooMany {
        /// Rows of what.
        what: &'static str,
        /// How many there may be.
        max: i64,
    },
    /// Environment: no space left.
    #[error("no space left for the store: {0}")]
    Full(String),
    /// Environment: the file or its directory cannot be written.
    #[error("the store is read-only: {0}")]
    ReadOnly(String),
    /// Environment: another process holds the file.
    #[error("the store is locked by another process: {0}")]
    Busy(String),
    /// Environment: the file cannot be opened, read or written.
    #[error("the store cannot be reached: {0}")]
    Io(String),
    /// Environment: the file is damaged or no database.
    #[error("the store is damaged: {0}; restore it from a backup or move it away")]
    Corrupt(String),
    /// Operator: the file was made by a later version.
    #[error("the store has schema {found}, this version knows up to {known}")]
    TooNew {
        /// Of the file.
        found: i64,
        /// Of this program.
        known: i64,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// Bug: a statement of ours is wrong.
    #[error("store: {0}")]
    Sql(String),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        let text = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full(text),
            Some(ErrorCode::ReadOnly) => Self::ReadOnly(text),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy(text),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt(text),
            Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) => Self::Io(text),
            _ => Self::Sql(text),
        }
    }
}

/// A handle to the store; cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    lanes: Arc<Lanes>,
}

impl Store {
    /// Opens the file, made if absent, brings its schema up to date and starts both threads.
    ///
    /// Cost: blocks on the disk; meant for the start of the program.
    ///
    /// # Errors
    /// [`StoreError`]: `Io`, `ReadOnly`, `Busy`, `Full`, `Corrupt` or `TooNew`.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, StoreLimits::default())
    }

    /// Like [`Self::open`], with other limits.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with(path: &Path, limits: StoreLimits) -> Result<Self, StoreError> {
        let mut writer = schema::connect(path)?;
        schema::migrate(&mut writer)?;
        idempotency::forget_unfinished(&writer)?;
        let reader = schema::connect(path)?;
        reader.pragma_update(None, "query_only", true)?;
        let lanes = Lanes::start(writer, reader, limits)?;
        Ok(Self { lanes: Arc::new(lanes) })
    }

    /// Waits until everything that was put before is on disk.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be written.
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.write(|_| Ok(())).await?;
        // The answer comes after the rows of its transaction were tried.
        let failed = self.lanes.shared.rows_error().clone();
        failed.map_or(Ok(()), Err)
    }

    /// Writes what is left, ends both threads; later calls answer [`StoreError::Closed`].
    ///
    /// # Errors
    /// [`StoreError`] when the rest could not be written.
    pub async fn close(&self) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        let lanes = Arc::clone(&self.lanes);
        // A full queue makes this wait, off the async threads.
        tokio::task::spawn_blocking(move || lanes.stop(reply))
            .await
            .map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Counters for the metrics page.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        self.lanes.shared.stats()
    }

    /// Runs `work` in the writer's transaction and answers when that is committed.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (job, answer) = job(|connection| lane::within_savepoint(connection, work));
        self.lanes.submit(Work::Job(job))?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Runs `work` on the reader's connection.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (job, answer) = job(work);
        self.lanes.submit_read(job)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

/// Wraps work whose answer is sent after the commit that it is part of.
fn job<T: Send + 'static>(
    work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
) -> (Job, oneshot::Receiver<Result<T, StoreError>>) {
    let (reply, answer) = oneshot::channel();
    let job: Job = Box::new(move |connection| {
        let result = connection.and_then(work);
        Box::new(move |committed| {
            // The asker may have gone away.
            let _ = reply.send(committed.and(result));
        })
    });
    (job, answer)
}

/// Reads a JSON column.
fn from_json<T: serde::de::DeserializeOwned>(what: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(format!("{what}: {error}")))
}

/// Writes a JSON column.
fn to_json<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Sql(error.to_string()))
}

#[cfg(test)]
mod tests;
