//! Calls: one row per attempt, kept when they end.

use super::{Store, StoreError, from_json, to_json};
use crate::call::record::{CallRecord, CallStatus, Direction, EndReason, HangupParty};
use crate::call::recording::{RecordingState, RecordingView};
use crate::id::{CallId, InstanceId, RecordingId};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};
use serde_json::Map;
use std::collections::HashMap;
use std::time::Duration;

/// What a list of calls is narrowed to; nothing set: all calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallFilter {
    /// In this status.
    pub status: Option<CallStatus>,
    /// In this direction.
    pub direction: Option<Direction>,
    /// Of these instances only.
    pub instances: Option<Vec<InstanceId>>,
    /// Made at or after this moment, in milliseconds since the Unix epoch.
    pub since: Option<i64>,
}

/// A place in a list, newest first: behind this call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallCursor {
    /// When the call was made.
    pub created_at: i64,
    /// Its id.
    pub id: CallId,
}

impl Store {
    /// Has the row of a call written or replaced, soon and in the background.
    ///
    /// Cost: never waits for the disk. Only the latest row of a call is written.
    ///
    /// # Errors
    /// `QueueFull` when rows of too many calls wait, `Closed`.
    pub fn put_call(&self, record: CallRecord) -> Result<(), StoreError> {
        self.lanes.put(record)
    }

    /// The row of a call, also one that still waits to be written.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn call(&self, id: &CallId) -> Result<Option<CallRecord>, StoreError> {
        if let Some(record) = self.lanes.shared.pending_call(id) {
            return Ok(Some(CallRecord::clone(&record)));
        }
        let id = id.clone();
        self.read(move |connection| select(connection, &id)).await
    }

    /// At most `limit` calls, newest first, behind `cursor`.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn list_calls(
        &self,
        filter: CallFilter,
        cursor: Option<CallCursor>,
        limit: usize,
    ) -> Result<Vec<CallRecord>, StoreError> {
        if self.stats().pending > 0 {
            // A list may be old when the disk refuses, but is better than none.
            let _ = self.flush().await;
        }
        self.read(move |connection| list(connection, &filter, cursor.as_ref(), limit)).await
    }

    /// The answered time of outgoing calls that ended at or after `since`, as far as it lies behind
    /// it: trunk, name of the API key, and the sum of both.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn answered_since(
        &self,
        since: i64,
    ) -> Result<Vec<(Option<String>, Option<String>, Duration)>, StoreError> {
        self.read(move |connection| {
            let mut rows = connection.prepare(
                "SELECT trunk, record ->> '$.key', SUM(MIN(ended_at - answered_at, ended_at - ?1))
                 FROM calls WHERE direction = 'outbound' AND answered_at IS NOT NULL
                 AND ended_at >= ?1 GROUP BY 1, 2",
            )?;
            let rows = rows.query_map([since], |row| {
                let ms = row.get::<_, Option<i64>>(2)?.unwrap_or(0);
                let used = Duration::from_millis(u64::try_from(ms).unwrap_or(0));
                Ok((row.get(0)?, row.get(1)?, used))
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Replaces the metadata of a call that is not active (active ones belong to the daemon).
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be written.
    pub async fn annotate_call(
        &self,
        id: CallId,
        metadata: Map<String, serde_json::Value>,
    ) -> Result<Option<CallRecord>, StoreError> {
        self.write(move |connection| {
            let Some(mut record) = select(connection, &id)? else { return Ok(None) };
            record.metadata = metadata;
            upsert(connection, &record)?;
            Ok(Some(record))
        })
        .await
    }

    /// Closes the rows that an earlier life of the program left open, and says how many; `mended`:
    /// recordings of theirs that have a file.
    ///
    /// Time: `now` becomes their `ended_at`; the real end is not known, so neither is a duration.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be written.
    pub async fn close_open_rows(
        &self,
        now: i64,
        mended: HashMap<RecordingId, MendedRecording>,
    ) -> Result<u64, StoreError> {
        self.write(move |connection| {
            let mut open = connection.prepare("SELECT record FROM calls WHERE ended_at IS NULL")?;
            let rows = open.query_map([], |row| row.get::<_, String>(0))?;
            let rows: Vec<String> = rows.collect::<Result<_, _>>()?;
            for row in &rows {
                let mut record: CallRecord = from_json("a call's row", row)?;
                record.status = CallStatus::Failed;
                record.ended_at = Some(now);
                record.end_reason = Some(EndReason::Error);
                record.end_detail = Some("restart".to_owned());
                record.hangup_party = Some(HangupParty::Gateway);
                record.queue_position = None;
                if let Some(stream) = &mut record.stream {
                    stream.connected = false;
                }
                for recording in record.recordings.iter_mut().filter(|of| of.state.is_open()) {
                    cut_off(recording, mended.get(&recording.id));
                }
                upsert(connection, &record)?;
            }
            Ok(rows.len() as u64)
        })
        .await
    }
}

/// How much is in the file of a recording that a crash broke off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MendedRecording {
    /// Length of the file.
    pub octets: u64,
    /// Of its sound.
    pub duration_ms: u64,
}

/// A recording did not live to see its end.
fn cut_off(recording: &mut RecordingView, mended: Option<&MendedRecording>) {
    recording.state = RecordingState::Failed;
    recording.reason = Some("restart".to_owned());
    recording.octets = mended.map_or(0, |mended| mended.octets);
    recording.duration_ms = mended.map_or(0, |mended| mended.duration_ms);
}

pub(super) fn upsert(connection: &Connection, record: &CallRecord) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO calls (id, record) VALUES (?1, ?2)
         ON CONFLICT (id) DO UPDATE SET record = excluded.record",
    )?;
    statement.execute(params![record.id.as_str(), to_json(record)?])?;
    Ok(())
}

fn select(connection: &Connection, id: &CallId) -> Result<Option<CallRecord>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT record FROM calls WHERE id = ?1")?;
    let text: Option<String> = statement.query_row([id.as_str()], |row| row.get(0)).optional()?;
    text.map(|text| from_json("a call's row", &text)).transpose()
}

fn list(
    connection: &Connection,
    filter: &CallFilter,
    cursor: Option<&CallCursor>,
    limit: usize,
) -> Result<Vec<CallRecord>, StoreError> {
    let (sql, values) = list_sql(filter, cursor, limit)?;
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params_from_iter(values), |row| row.get::<_, String>(0))?;
    rows.map(|row| from_json("a call's row", &row?)).collect()
}

/// The statement of a list. Each filter alone, and an instance with a status, has its index.
fn list_sql(
    filter: &CallFilter,
    cursor: Option<&CallCursor>,
    limit: usize,
) -> Result<(String, Vec<Value>), StoreError> {
    let mut sql = String::from("SELECT record FROM calls WHERE TRUE");
    let mut values: Vec<Value> = Vec::new();
    if let Some(status) = filter.status {
        sql.push_str(" AND status = ?");
        values.push(Value::Text(status.as_str().to_owned()));
    }
    if let Some(direction) = filter.direction {
        sql.push_str(" AND direction = ?");
        let name = match direction {
            Direction::Outbound => "outbound",
            Direction::Inbound => "inbound",
        };
        values.push(Value::Text(name.to_owned()));
    }
    match filter.instances.as_deref() {
        None => {}
        Some([one]) => {
            sql.push_str(" AND instance_id = ?");
            values.push(Value::Text(one.as_str().to_owned()));
        }
        Some(many) => {
            sql.push_str(" AND instance_id IN (SELECT value FROM json_each(?))");
            values.push(Value::Text(to_json(&many)?));
        }
    }
    if let Some(since) = filter.since {
        sql.push_str(" AND created_at >= ?");
        values.push(Value::Integer(since));
    }
    if let Some(cursor) = cursor {
        sql.push_str(" AND (created_at, id) < (?, ?)");
        values.push(Value::Integer(cursor.created_at));
        values.push(Value::Text(cursor.id.as_str().to_owned()));
    }
    sql.push_str(" ORDER BY created_at DESC, id DESC LIMIT ?");
    values.push(Value::Integer(i64::try_from(limit).unwrap_or(i64::MAX)));
    Ok((sql, values))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A filter without its index would read the whole table for a rare value.
    #[test]
    fn every_filter_has_its_index_in_the_order_of_the_list() {
        let mut connection = Connection::open_in_memory().unwrap();
        crate::store::schema::migrate(&mut connection).unwrap();
        let all = CallFilter::default();
        let one = Some(vec!["inst_a".parse().unwrap()]);
        let status = Some(CallStatus::Failed);
        for (filter, index) in [
            (all.clone(), "calls_by_time"),
            (CallFilter { since: Some(5), ..all.clone() }, "calls_by_time (created_at>"),
            (CallFilter { status, ..all.clone() }, "calls_by_status (status="),
            (
                CallFilter { direction: Some(Direction::Inbound), ..all.clone() },
                "calls_by_direction (direction=",
            ),
            (CallFilter { instances: one.clone(), ..all.clone() }, "(instance_id="),
            (
                CallFilter { instances: one, status, ..all },
                "calls_by_instance_status (instance_id=? AND status=?",
            ),
        ] {
            let cursor = CallCursor { created_at: 9, id: "call_1".parse().unwrap() };
            for cursor in [None, Some(&cursor)] {
                let (sql, values) = list_sql(&filter, cursor, 50).unwrap();
                let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
                let steps = explain
                    .query_map(params_from_iter(values), |row| row.get::<_, String>("detail"))
                    .unwrap();
                let plan = steps.collect::<Result<Vec<_>, _>>().unwrap().join("; ");
                assert!(plan.contains(index) && !plan.contains("TEMP"), "{filter:?}: {plan}");
            }
        }
    }
}
