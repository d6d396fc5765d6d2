//! The two threads that touch the disk, and the bounded queues that lead to them.
//!
//! The writer takes everything that waits, up to a batch, into one transaction; answers are sent
//! after its commit. Call rows do not queue: only the latest state of each call waits, so that a
//! burst of changes costs one row. While the disk refuses, they wait on and are tried again.

use super::StoreError;
use crate::call::record::CallRecord;
use crate::id::CallId;
use crate::observe::event::{Happening as _, QueueFull, StoreFailed};
use rusqlite::Connection;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use tokio::sync::oneshot;

/// Sends an answer, told whether the transaction was committed.
pub(super) type Done = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
/// Work on a connection, in a transaction of the lane, or why there is none.
pub(super) type Job = Box<dyn FnOnce(Result<&Connection, StoreError>) -> Done + Send>;

/// How long the writer sleeps at most: rows that the disk refused are tried again after it.
const RETRY: Duration = Duration::from_secs(1);
/// Jobs that share a transaction.
const BATCH: usize = 64;

/// Limits of the store.
#[derive(Debug, Clone, Copy)]
pub struct StoreLimits {
    /// Requests that may wait, each for the writer and the reader; then [`StoreError::QueueFull`].
    pub queue: usize,
    /// Calls whose latest row may wait; then [`StoreError::QueueFull`].
    pub pending_calls: usize,
}

impl Default for StoreLimits {
    /// 1,024 requests; 20,000 calls (an hour of a full disk at 5 calls a second, about 20 MB).
    fn default() -> Self {
        Self { queue: 1024, pending_calls: 20_000 }
    }
}

/// Counters of the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Requests and rows refused because a queue was full.
    pub refused: u64,
    /// Transactions that failed.
    pub failed: u64,
    /// Rows that were given up because they can never be written.
    pub lost: u64,
    /// Calls whose latest row is not on disk.
    pub pending: u64,
    /// Whether the last transaction succeeded.
    pub healthy: bool,
}

pub(super) enum Work {
    Job(Job),
    /// Call rows wait.
    Wake,
    Stop(oneshot::Sender<Result<(), StoreError>>),
}

#[derive(Debug)]
struct Waiting {
    record: Arc<CallRecord>,
    generation: u64,
}

/// What both sides of the queues see.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pending: Mutex<HashMap<CallId, Waiting>>,
    generations: AtomicU64,
    closed: AtomicBool,
    /// Why the last transaction failed, if it did.
    rows_error: Mutex<Option<StoreError>>,
    refused: AtomicU64,
    failed: AtomicU64,
    lost: AtomicU64,
}

impl Shared {
    fn pending(&self) -> MutexGuard<'_, HashMap<CallId, Waiting>> {
        // The map is valid after every statement, so a panic elsewhere does not spoil it.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the last transaction failed, if it did.
    pub(super) fn rows_error(&self) -> MutexGuard<'_, Option<StoreError>> {
        self.rows_error.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The row of a call that is not on disk yet.
    pub(super) fn pending_call(&self, id: &CallId) -> Option<Arc<CallRecord>> {
        self.pending().get(id).map(|waiting| Arc::clone(&waiting.record))
    }

    pub(super) fn stats(&self) -> StoreStats {
        StoreStats {
            refused: self.refused.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
            pending: self.pending().len() as u64,
            healthy: self.rows_error().is_none(),
        }
    }

    fn refuse(&self) -> StoreError {
        self.refused.fetch_add(1, Ordering::Relaxed);
        QueueFull { queue: "store", call_id: None }.report();
        StoreError::QueueFull
    }
}

/// The queues and the threads behind them.
#[derive(Debug)]
pub(super) struct Lanes {
    pub(super) shared: Arc<Shared>,
    limits: StoreLimits,
    writer: SyncSender<Work>,
    reader: SyncSender<Job>,
}

impl Lanes {
    /// Starts both threads; they end when the store is closed or its last handle is dropped.
    pub(super) fn start(
        writer: Connection,
        reader: Connection,
        limits: StoreLimits,
    ) -> Result<Self, StoreError> {
        let shared = Arc::new(Shared::default());
        let (to_writer, writes) = sync_channel(limits.queue.max(1));
        let (to_reader, reads) = sync_channel::<Job>(limits.queue.max(1));
        let seen = Arc::clone(&shared);
        let spawn = |name: &str, body: Box<dyn FnOnce() + Send>| {
            let builder = thread::Builder::new().name(name.to_owned());
            builder.spawn(body).map_err(|error| StoreError::Io(error.to_string()))
        };
        spawn(
            "store-write",
            Box::new(move || Writer { connection: writer, shared: seen }.run(&writes)),
        )?;
        spawn(
            "store-read",
            Box::new(move || {
                while let Ok(job) = reads.recv() {
                    job(Ok(&reader))(Ok(()));
                }
            }),
        )?;
        Ok(Self { shared, limits, writer: to_writer, reader: to_reader })
    }

    /// Queues work for the writer; never blocks.
    pub(super) fn submit(&self, work: Work) -> Result<(), StoreError> {
        if self.shared.closed.load(Ordering::Acquire) {
            return Err(StoreError::Closed);
        }
        self.writer.try_send(work).map_err(|error| match error {
            TrySendError::Full(_) => self.shared.refuse(),
            TrySendError::Disconnected(_) => StoreError::Closed,
        })
    }

    /// Queues work for the reader; never blocks.
    pub(super) fn submit_read(&self, job: Job) -> Result<(), StoreError> {
        if self.shared.closed.load(Ordering::Acquire) {
            return Err(StoreError::Closed);
        }
        self.reader.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => self.shared.refuse(),
            TrySendError::Disconnected(_) => StoreError::Closed,
        })
    }

    /// Makes `record` the row to be written for its call; never blocks on the disk.
    pub(super) fn put(&self, record: CallRecord) -> Result<(), StoreError> {
        if self.shared.closed.load(Ordering::Acquire) {
            return Err(StoreError::Closed);
        }
        let first = {
            let mut pending = self.shared.pending();
            if pending.len() >= self.limits.pending_calls && !pending.contains_key(&record.id) {
                drop(pending);
                return Err(self.shared.refuse());
            }
            let generation = self.shared.generations.fetch_add(1, Ordering::Relaxed);
            let id = record.id.clone();
            let first = pending.is_empty();
            pending.insert(id, Waiting { record: Arc::new(record), generation });
            first
        };
        if first {
            // A full queue keeps the writer awake, and it looks at the rows before it sleeps.
            let _ = self.writer.try_send(Work::Wake);
        }
        Ok(())
    }

    /// Refuses further work and has the writer finish. Blocks while the queue is full.
    pub(super) fn stop(&self, reply: oneshot::Sender<Result<(), StoreError>>) {
        self.shared.closed.store(true, Ordering::Release);
        // No receiver: it has already ended, and dropping `reply` says so.
        let _ = self.writer.send(Work::Stop(reply));
    }
}

/// Runs `work` so that its failure undoes its own changes only.
pub(super) fn within_savepoint<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    connection.execute_batch("SAVEPOINT job")?;
    let result = work(connection);
    match result {
        Ok(value) => {
            connection.execute_batch("RELEASE job")?;
            Ok(value)
        }
        Err(error) => {
            // SQLite may have undone the whole transaction (disk full); the writer notices.
            let _ = connection.execute_batch("ROLLBACK TO job; RELEASE job");
            Err(error)
        }
    }
}

struct Writer {
    connection: Connection,
    shared: Arc<Shared>,
}

impl Writer {
    fn run(mut self, work: &Receiver<Work>) {
        loop {
            let first = match work.recv_timeout(RETRY) {
                Ok(first) => Some(first),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let mut jobs = Vec::new();
            let mut stop = None;
            for item in first.into_iter().chain(work.try_iter().take(BATCH)) {
                match item {
                    Work::Job(job) => jobs.push(job),
                    Work::Wake => {}
                    Work::Stop(reply) => stop = Some(reply),
                }
            }
            let written = self.commit(jobs);
            if let Some(reply) = stop {
                // Truncates the log, so that the file alone is the store. Not fatal if it fails.
                let _ = self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
                let _ = reply.send(written);
                return;
            }
        }
        // The last handle is gone; nobody is left to hear of a failure.
        let _ = self.commit(Vec::new());
    }

    /// One transaction: the waiting call rows, then the jobs; then the answers.
    fn commit(&mut self, jobs: Vec<Job>) -> Result<(), StoreError> {
        let rows: Vec<(Arc<CallRecord>, u64)> = {
            let pending = self.shared.pending();
            pending.values().map(|row| (Arc::clone(&row.record), row.generation)).collect()
        };
        if rows.is_empty() && jobs.is_empty() {
            return Ok(());
        }
        let mut answers = Vec::with_capacity(jobs.len());
        let (written, committed) = self.transaction(&rows, jobs, &mut answers);
        let result = committed.clone().and(written);
        if let Err(error) = &result {
            self.shared.failed.fetch_add(1, Ordering::Relaxed);
            StoreFailed { operation: "write", detail: &error.to_string() }.report();
        } else {
            let mut pending = self.shared.pending();
            for (record, generation) in rows {
                let done = pending.get(&record.id).is_some_and(|row| row.generation == generation);
                if done {
                    pending.remove(&record.id);
                }
            }
        }
        *self.shared.rows_error() = result.clone().err();
        for answer in answers {
            answer(committed.clone());
        }
        result
    }

    /// What became of the rows, and of the whole. Rows that cannot be written do not hold up the
    /// jobs: one of those may make room.
    fn transaction(
        &mut self,
        rows: &[(Arc<CallRecord>, u64)],
        jobs: Vec<Job>,
        answers: &mut Vec<Done>,
    ) -> (Result<(), StoreError>, Result<(), StoreError>) {
        let mut begun = self.begin();
        let mut written = begun.clone();
        if begun.is_ok() {
            written = within_savepoint(&self.connection, |_| self.rows(rows));
            if self.connection.is_autocommit() {
                // SQLite undid all of it.
                begun = self.begin();
            }
        }
        for job in jobs {
            let connection = begun.as_ref().map(|()| &self.connection);
            answers.push(job(connection.map_err(StoreError::clone)));
        }
        let committed = begun.and_then(|()| {
            if self.connection.is_autocommit() {
                return Err(StoreError::Full("the transaction was undone".to_owned()));
            }
            self.connection.execute_batch("COMMIT").map_err(StoreError::from)
        });
        if !self.connection.is_autocommit() {
            // A COMMIT that failed leaves the transaction open.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        (written, committed)
    }

    fn begin(&self) -> Result<(), StoreError> {
        self.connection.execute_batch("BEGIN IMMEDIATE").map_err(StoreError::from)
    }

    fn rows(&self, rows: &[(Arc<CallRecord>, u64)]) -> Result<(), StoreError> {
        for (record, _) in rows {
            match super::calls::upsert(&self.connection, record) {
                Ok(()) => {}
                Err(StoreError::Sql(error)) => {
                    self.shared.lost.fetch_add(1, Ordering::Relaxed);
                    let detail = format!("the row of {} is given up: {error}", record.id);
                    StoreFailed { operation: "row", detail: &detail }.report();
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
