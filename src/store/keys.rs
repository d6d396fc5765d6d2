//! API keys made at run time. Only the hash of a secret is kept.

use super::{Store, StoreError, from_json, to_json};
use crate::id::KeyId;
use rusqlite::{Row, params};

/// How many keys there may be, revoked ones not counted.
const KEYS_MAX: i64 = 1_000;

/// A key as it is kept. Times are milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredKey {
    /// Its public name.
    pub id: KeyId,
    /// For people.
    pub name: String,
    /// SHA-256 of the secret.
    pub secret_sha256: [u8; 32],
    /// Names of its scopes.
    pub scopes: Vec<String>,
    /// Ids of its instances, or `*`.
    pub instance_ids: Vec<String>,
    /// When it was made.
    pub created_at: i64,
    /// From when on it is refused.
    pub expires_at: Option<i64>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<i64>,
}

impl Store {
    /// Adds a key.
    ///
    /// # Errors
    /// `TooMany` beyond 1,000 keys; [`StoreError`] when it cannot be written.
    pub async fn create_key(&self, key: StoredKey) -> Result<(), StoreError> {
        self.write(move |connection| {
            let count: i64 = connection.query_row(
                "SELECT count(*) FROM api_keys WHERE revoked_at IS NULL",
                [],
                |row| row.get(0),
            )?;
            if count >= KEYS_MAX {
                return Err(StoreError::TooMany { what: "keys", max: KEYS_MAX });
            }
            connection.execute(
                "INSERT INTO api_keys
                     (id, name, secret_sha256, scopes, instance_ids, created_at, expires_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    key.id.as_str(),
                    key.name,
                    key.secret_sha256.as_slice(),
                    to_json(&key.scopes)?,
                    to_json(&key.instance_ids)?,
                    key.created_at,
                    key.expires_at,
                ],
            )?;
            Ok(())
        })
        .await
    }

    /// All keys that are not revoked, newest first; at most 1,000.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn list_keys(&self) -> Result<Vec<StoredKey>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT * FROM api_keys WHERE revoked_at IS NULL
                 ORDER BY created_at DESC, id DESC",
            )?;
            let mut rows = statement.query([])?;
            let mut keys = Vec::new();
            while let Some(row) = rows.next()? {
                keys.push(from_row(row)?);
            }
            Ok(keys)
        })
        .await
    }

    /// Revokes a key for good; `false`: there is none.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be written.
    pub async fn revoke_key(&self, id: KeyId, now: i64) -> Result<bool, StoreError> {
        self.write(move |connection| {
            let changed = connection.execute(
                "UPDATE api_keys SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL",
                params![id.as_str(), now],
            )?;
            Ok(changed > 0)
        })
        .await
    }

    /// Notes that a key was used.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be written.
    pub async fn touch_key(&self, id: KeyId, now: i64) -> Result<(), StoreError> {
        self.write(move |connection| {
            connection.execute(
                "UPDATE api_keys SET last_used_at = ?2 WHERE id = ?1",
                params![id.as_str(), now],
            )?;
            Ok(())
        })
        .await
    }
}

fn from_row(row: &Row<'_>) -> Result<StoredKey, StoreError> {
    let id: String = row.get("id")?;
    Ok(StoredKey {
        id: id.parse().map_err(|e: crate::id::IdError| StoreError::Corrupt(e.to_string()))?,
        name: row.get("name")?,
        secret_sha256: row.get("secret_sha256")?,
        scopes: from_json("a key's scopes", &row.get::<_, String>("scopes")?)?,
        instance_ids: from_json("a key's instances", &row.get::<_, String>("instance_ids")?)?,
        created_at: row.get("created_at")?,
        expires_at: row.get("expires_at")?,
        last_used_at: row.get("last_used_at")?,
    })
}
