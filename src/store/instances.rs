//! Instances: lines of tenants, made by the API or declared in the configuration file.

use super::{Store, StoreError, from_json, to_json};
use crate::id::InstanceId;
use crate::turn::barge::BargeWish;
use crate::turn::machine::AmdSpec;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use serde_json::Map;
use std::collections::BTreeSet;

/// How many instances there may be, deleted ones not counted.
const INSTANCES_MAX: i64 = 10_000;

/// When a second create request gives the call that is already active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dedupe {
    /// The instance has an active call (the reference API's rule).
    Instance,
    /// The instance has an active call to the same number.
    Target,
    /// Never.
    Off,
}

impl Dedupe {
    /// The name on the wire and in the configuration file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Target => "target",
            Self::Off => "off",
        }
    }
}

/// Who made an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceSource {
    /// A request; it may be changed and deleted by requests.
    Api,
    /// The configuration file; only that can change it.
    Config,
}

impl InstanceSource {
    /// The name in the table and on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Config => "config",
        }
    }
}

/// What a call gets that does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CallDefaults {
    /// What a voice or key does to what is played.
    pub barge_in: BargeWish,
    /// What is done about who answers; outgoing calls only.
    pub amd: Option<AmdSpec>,
}

/// How the calls of an instance are made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceSettings {
    /// The trunk that its calls take; none: the node's choice.
    pub trunk: Option<String>,
    /// The number that its calls show; none: the trunk's.
    pub caller_id: Option<String>,
    /// Calls at once.
    pub max_active_calls: u32,
    /// Calls waiting.
    pub queue_limit: u32,
    /// The single-active-call rule.
    pub dedupe: Dedupe,
    /// What its calls get that do not say.
    #[serde(default)]
    pub defaults: CallDefaults,
    /// What its stream calls get that do not say otherwise, as a request's `stream` says it. It may
    /// hold secrets of the user's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<Map<String, serde_json::Value>>,
}

impl Default for InstanceSettings {
    /// What the reference API does: one call at a time, a second request gives the first call.
    fn default() -> Self {
        Self {
            trunk: None,
            caller_id: None,
            max_active_calls: 1,
            queue_limit: 1000,
            dedupe: Dedupe::Instance,
            defaults: CallDefaults::default(),
            stream: None,
        }
    }
}

/// One line of a tenant. Times are milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// The id.
    pub id: InstanceId,
    /// For people.
    pub name: String,
    /// The user's own object, returned as it came.
    pub metadata: Map<String, serde_json::Value>,
    /// How its calls are made.
    pub settings: InstanceSettings,
    /// Who made it.
    pub source: InstanceSource,
    /// When.
    pub created_at: i64,
    /// When it was last changed.
    pub updated_at: i64,
}

/// An instance as the configuration file declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredInstance {
    /// The id.
    pub id: InstanceId,
    /// For people.
    pub name: String,
    /// How its calls are made.
    pub settings: InstanceSettings,
    /// The user's own object.
    pub metadata: Map<String, serde_json::Value>,
}

const COLUMNS: &str = "id, name, metadata, settings, source, created_at, updated_at";

impl Store {
    /// Adds an instance.
    ///
    /// # Errors
    /// `TooMany` beyond 10,000 instances; [`StoreError`] when it cannot be written.
    pub async fn create_instance(&self, instance: Instance) -> Result<(), StoreError> {
        self.write(move |connection| {
            let count: i64 = connection.query_row(
                "SELECT count(*) FROM instances WHERE deleted_at IS NULL",
                [],
                |row| row.get(0),
            )?;
            if count >= INSTANCES_MAX {
                return Err(StoreError::TooMany { what: "instances", max: INSTANCES_MAX });
            }
            upsert(connection, &instance)
        })
        .await
    }

    /// An instance that is not deleted.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn instance(&self, id: &InstanceId) -> Result<Option<Instance>, StoreError> {
        let id = id.clone();
        self.read(move |connection| select(connection, &id)).await
    }

    /// All instances that are not deleted, newest first; at most 10,000.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn list_instances(&self) -> Result<Vec<Instance>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM instances WHERE deleted_at IS NULL
                 ORDER BY created_at DESC, id DESC LIMIT {INSTANCES_MAX}"
            ))?;
            let mut rows = statement.query([])?;
            let mut instances = Vec::new();
            while let Some(row) = rows.next()? {
                instances.push(from_row(row)?);
            }
            Ok(instances)
        })
        .await
    }

    /// Changes an instance in one step, if it exists, and gives what it has become.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be written.
    pub async fn update_instance(
        &self,
        id: InstanceId,
        now: i64,
        change: impl FnOnce(&mut Instance) + Send + 'static,
    ) -> Result<Option<Instance>, StoreError> {
        self.write(move |connection| {
            let Some(mut instance) = select(connection, &id)? else { return Ok(None) };
            change(&mut instance);
            instance.updated_at = now;
            upsert(connection, &instance)?;
            Ok(Some(instance))
        })
        .await
    }

    /// Marks an instance as deleted; `false`: there is none.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be written.
    pub async fn delete_instance(&self, id: InstanceId, now: i64) -> Result<bool, StoreError> {
        self.write(move |connection| Ok(mark_deleted(connection, &id, now)?)).await
    }

    /// Makes the instances of the configuration file exactly these: adds and changes them, and
    /// marks those as deleted that the file no longer declares.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be written.
    pub async fn declare_instances(
        &self,
        declared: Vec<DeclaredInstance>,
        now: i64,
    ) -> Result<(), StoreError> {
        self.write(move |connection| {
            let mut gone = declared_before(connection)?;
            for DeclaredInstance { id, name, settings, metadata } in declared {
                gone.remove(&id);
                let mut instance = select(connection, &id)?.unwrap_or_else(|| Instance {
                    id,
                    name: String::new(),
                    metadata: Map::new(),
                    settings: InstanceSettings::default(),
                    source: InstanceSource::Config,
                    created_at: now,
                    updated_at: now,
                });
                let same = instance.name == name
                    && instance.metadata == metadata
                    && instance.settings == settings
                    && instance.source == InstanceSource::Config;
                if !same {
                    instance.updated_at = now;
                }
                instance.name = name;
                instance.metadata = metadata;
                instance.settings = settings;
                instance.source = InstanceSource::Config;
                upsert(connection, &instance)?;
            }
            for id in gone {
                mark_deleted(connection, &id, now)?;
            }
            Ok(())
        })
        .await
    }
}

fn declared_before(connection: &Connection) -> Result<BTreeSet<InstanceId>, StoreError> {
    let mut statement = connection.prepare(&format!(
        "SELECT {COLUMNS} FROM instances WHERE deleted_at IS NULL AND source = 'config'"
    ))?;
    let mut rows = statement.query([])?;
    let mut ids = BTreeSet::new();
    while let Some(row) = rows.next()? {
        ids.insert(from_row(row)?.id);
    }
    Ok(ids)
}

fn mark_deleted(connection: &Connection, id: &InstanceId, now: i64) -> rusqlite::Result<bool> {
    let changed = connection.execute(
        "UPDATE instances SET deleted_at = ?2, updated_at = ?2
         WHERE id = ?1 AND deleted_at IS NULL",
        params![id.as_str(), now],
    )?;
    Ok(changed > 0)
}

/// Writes the row; an instance that was deleted is there again.
fn upsert(connection: &Connection, instance: &Instance) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO instances (id, name, metadata, settings, source, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, metadata = excluded.metadata,
             settings = excluded.settings, source = excluded.source,
             updated_at = excluded.updated_at, deleted_at = NULL",
    )?;
    statement.execute(params![
        instance.id.as_str(),
        instance.name,
        to_json(&instance.metadata)?,
        to_json(&instance.settings)?,
        instance.source.as_str(),
        instance.created_at,
        instance.updated_at,
    ])?;
    Ok(())
}

fn select(connection: &Connection, id: &InstanceId) -> Result<Option<Instance>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM instances WHERE id = ?1 AND deleted_at IS NULL"
    ))?;
    statement.query_row([id.as_str()], |row| Ok(from_row(row))).optional()?.transpose()
}

fn from_row(row: &Row<'_>) -> Result<Instance, StoreError> {
    let id: String = row.get("id")?;
    let source: String = row.get("source")?;
    let bad_id = |error: crate::id::IdError| StoreError::Corrupt(error.to_string());
    Ok(Instance {
        id: id.parse().map_err(bad_id)?,
        name: row.get("name")?,
        metadata: from_json("an instance's metadata", &row.get::<_, String>("metadata")?)?,
        settings: from_json("an instance's settings", &row.get::<_, String>("settings")?)?,
        source: if source == "config" { InstanceSource::Config } else { InstanceSource::Api },
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}
