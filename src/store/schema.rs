//! The tables, and how a file of an earlier version comes up to date.
//!
//! `PRAGMA user_version` counts the steps of [`MIGRATIONS`] that a file has seen. A step that has
//! been released is never edited: a change is a further step.

use super::StoreError;
use rusqlite::{Connection, TransactionBehavior};
use std::path::Path;
use std::time::Duration;

/// How long a statement waits for another process (a backup, an operator's shell).
const BUSY_TIMEOUT: Duration = Duration::from_secs(3);

/// The steps, each run in one transaction.
const MIGRATIONS: &[&str] = &[include_str!("schema/0001_initial.sql")];

/// Opens a connection with our settings.
///
/// `synchronous=NORMAL` in WAL mode: a power cut may lose the last moments, never damages.
pub(super) fn connect(path: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Runs the steps that the file has not seen.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > known || found < 0 {
        return Err(StoreError::TooNew { found, known });
    }
    for (step, sql) in MIGRATIONS.iter().enumerate() {
        let version = i64::try_from(step).unwrap_or(i64::MAX).saturating_add(1);
        if version <= found {
            continue;
        }
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(())
}
