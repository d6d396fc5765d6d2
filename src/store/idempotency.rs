//! Answers kept for requests that come again with the same `Idempotency-Key`.
//!
//! `begin` and the row that it leaves are one step of the writer, so of several requests with the
//! same key exactly one is worked on.

use super::{Store, StoreError};
use crate::id::KeyId;
use rusqlite::{Connection, OptionalExtension, params};

/// How long an answer is kept.
const KEPT_MS: i64 = 24 * 60 * 60 * 1000;
/// How many answers are kept; beyond it the oldest are forgotten.
const ANSWERS_MAX: i64 = 200_000;
/// Expired answers removed in one step.
const SWEEP: i64 = 500;

/// The right, and the duty, to answer a request that was begun: finish or abandon it.
#[derive(Debug, PartialEq, Eq)]
pub struct Ticket(i64);

/// What [`Store::begin_idempotent`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Begin {
    /// The first of its kind.
    Fresh(Ticket),
    /// It was answered before, like this.
    Replay {
        /// HTTP status.
        status: u16,
        /// Body.
        body: Vec<u8>,
    },
    /// Another request came with this key before.
    Mismatch,
    /// The same request is being worked on.
    InProgress,
}

impl Store {
    /// Begins a request that came with an `Idempotency-Key`.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be written.
    pub async fn begin_idempotent(
        &self,
        key_id: KeyId,
        key: String,
        request_hash: [u8; 32],
        now: i64,
    ) -> Result<Begin, StoreError> {
        self.write(move |connection| {
            sweep(connection, now)?;
            if let Some(earlier) = earlier(connection, &key_id, &key, &request_hash, now)? {
                return Ok(earlier);
            }
            let mut statement = connection.prepare_cached(
                "INSERT OR REPLACE INTO idempotency (key_id, key, request_hash, expires_at)
                 VALUES (?1, ?2, ?3, ?4)",
            )?;
            let expires_at = now.saturating_add(KEPT_MS);
            let id = statement.insert(params![
                key_id.as_str(),
                key,
                request_hash.as_slice(),
                expires_at
            ])?;
            connection
                .prepare_cached("DELETE FROM idempotency WHERE id <= ?1")?
                .execute([id.saturating_sub(ANSWERS_MAX)])?;
            Ok(Begin::Fresh(Ticket(id)))
        })
        .await
    }

    /// Keeps the answer of a request that was begun.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be written.
    pub async fn finish_idempotent(
        &self,
        ticket: Ticket,
        status: u16,
        body: Vec<u8>,
    ) -> Result<(), StoreError> {
        self.write(move |connection| {
            let mut statement = connection
                .prepare_cached("UPDATE idempotency SET status = ?2, body = ?3 WHERE id = ?1")?;
            statement.execute(params![ticket.0, status, body])?;
            Ok(())
        })
        .await
    }

    /// Forgets a request that was begun and had no effect, so that it may be tried again.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be written.
    pub async fn abandon_idempotent(&self, ticket: Ticket) -> Result<(), StoreError> {
        self.write(move |connection| {
            let mut statement =
                connection.prepare_cached("DELETE FROM idempotency WHERE id = ?1")?;
            statement.execute([ticket.0])?;
            Ok(())
        })
        .await
    }
}

/// Forgets what an earlier life of the program began and cannot finish.
pub(super) fn forget_unfinished(connection: &Connection) -> Result<(), StoreError> {
    connection.execute("DELETE FROM idempotency WHERE status IS NULL", [])?;
    Ok(())
}

fn sweep(connection: &Connection, now: i64) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "DELETE FROM idempotency WHERE id IN
             (SELECT id FROM idempotency WHERE expires_at <= ?1 LIMIT ?2)",
    )?;
    statement.execute([now, SWEEP])?;
    Ok(())
}

fn earlier(
    connection: &Connection,
    key_id: &KeyId,
    key: &str,
    request_hash: &[u8; 32],
    now: i64,
) -> Result<Option<Begin>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT request_hash, status, body FROM idempotency
         WHERE key_id = ?1 AND key = ?2 AND expires_at > ?3",
    )?;
    let row = statement.query_row(params![key_id.as_str(), key, now], |row| {
        Ok((
            row.get::<_, [u8; 32]>(0)?,
            row.get::<_, Option<u16>>(1)?,
            row.get::<_, Option<Vec<u8>>>(2)?,
        ))
    });
    let Some((hash, status, body)) = row.optional()? else { return Ok(None) };
    Ok(Some(match status {
        _ if hash != *request_hash => Begin::Mismatch,
        Some(status) => Begin::Replay { status, body: body.unwrap_or_default() },
        None => Begin::InProgress,
    }))
}
