use super::*;
use crate::call::record::{
    CallRecord, CallStatus, CallType, Direction, EndReason, HangupParty, StreamState,
};
use crate::call::recording::{RecordChannels, RecordingState, RecordingView};
use crate::id::{CallId, InstanceId, KeyId};
use std::collections::HashMap;
use std::sync::mpsc;
use tempfile::TempDir;

fn record(id: &str, created_at: i64) -> CallRecord {
    CallRecord {
        status: CallStatus::InProgress,
        trunk: Some("carrier".into()),
        answered_at: Some(created_at + 1),
        sip_code: Some(200),
        sip_reason: Some("OK".into()),
        stream: Some(StreamState {
            connected: true,
            rate: Some(16_000),
            url: Some("wss://bot.example/s".into()),
            ..StreamState::default()
        }),
        metadata: serde_json::Map::from_iter([("k".to_owned(), serde_json::json!("é\u{0}"))]),
        ..CallRecord::new(
            CallId::from_tail(id).unwrap(),
            "inst_a".parse().unwrap(),
            CallType::DynamicStream,
            "+14155550123".into(),
            Direction::Outbound,
            created_at,
        )
    }
}

fn opened() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("bellwire.db")).unwrap();
    (dir, store)
}

fn key() -> KeyId {
    "key_1".parse().unwrap()
}

/// Keeps the writer busy until the sender is used or dropped.
async fn block_writer(store: &Store) -> mpsc::Sender<()> {
    let (release, released) = mpsc::channel();
    let (started, starts) = tokio::sync::oneshot::channel();
    let busy = store.clone();
    tokio::spawn(async move {
        let blocked = busy.write(move |_| {
            let _ = started.send(());
            let _ = released.recv();
            Ok(())
        });
        let _ = blocked.await;
    });
    starts.await.unwrap();
    release
}

#[tokio::test]
async fn a_call_comes_back_as_it_was_put() {
    let (_dir, store) = opened();
    let mut call = record("1", 5);
    store.put_call(call.clone()).unwrap();
    assert_eq!(store.call(&call.id).await.unwrap(), Some(call.clone()), "waiting or written");
    store.flush().await.unwrap();
    assert_eq!(store.stats().pending, 0);
    assert_eq!(store.call(&call.id).await.unwrap(), Some(call.clone()), "written");
    call.status = CallStatus::Completed;
    store.put_call(call.clone()).unwrap();
    assert_eq!(store.call(&call.id).await.unwrap(), Some(call));
    assert_eq!(store.call(&CallId::from_tail("2").unwrap()).await.unwrap(), None);
}

#[tokio::test]
async fn a_restart_closes_the_rows_that_were_left_open() {
    let (dir, store) = opened();
    let mut ended = record("ended", 1);
    ended.ended_at = Some(2);
    ended.end_reason = Some(EndReason::Completed);
    ended.status = CallStatus::Completed;
    let recording = |nth: u32, state| RecordingView {
        id: format!("rec_open_{nth}").parse().unwrap(),
        state,
        channels: RecordChannels::Stereo,
        rate: 8000,
        started_at: 5,
        duration_ms: 7,
        octets: 0,
        reason: None,
    };
    let mut open = record("open", 1);
    let states = [RecordingState::Ready, RecordingState::Paused, RecordingState::Recording];
    open.recordings = (1..).zip(states).map(|(nth, state)| recording(nth, state)).collect();
    let mended = MendedRecording { octets: 3244, duration_ms: 100 };
    let mended = HashMap::from([("rec_open_3".parse().unwrap(), mended)]);
    for call in [open, ended.clone()] {
        store.put_call(call).unwrap();
    }
    store.close().await.unwrap();
    let again = Store::open(&dir.path().join("bellwire.db")).unwrap();
    assert_eq!(again.close_open_rows(99, mended).await.unwrap(), 1);
    assert_eq!(again.close_open_rows(100, HashMap::new()).await.unwrap(), 0);
    let closed = again.call(&CallId::from_tail("open").unwrap()).await.unwrap().unwrap();
    assert_eq!((closed.status, closed.ended_at), (CallStatus::Failed, Some(99)));
    assert_eq!((closed.end_reason, closed.duration_ms), (Some(EndReason::Error), None));
    assert_eq!(closed.end_detail.as_deref(), Some("restart"));
    assert_eq!(closed.hangup_party, Some(HangupParty::Gateway));
    assert!(!closed.stream.unwrap().connected);
    let told = closed.recordings.iter().map(|of| (of.state, of.octets, of.duration_ms));
    let told: Vec<_> = told.collect();
    let failed = RecordingState::Failed;
    assert_eq!(told, [(RecordingState::Ready, 0, 7), (failed, 0, 0), (failed, 3244, 100)]);
    assert_eq!(again.call(&ended.id).await.unwrap(), Some(ended));
}

#[tokio::test]
async fn pages_of_a_list_hold_every_call_once_newest_first() {
    let (_dir, store) = opened();
    for n in 0..25 {
        // Several calls in the same millisecond, so that the id must break the tie.
        store.put_call(record(&format!("{n:02}"), n / 4)).unwrap();
    }
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.list_calls(CallFilter::default(), cursor, 7).await.unwrap();
        let Some(last) = page.last() else { break };
        cursor = Some(CallCursor { created_at: last.created_at, id: last.id.clone() });
        seen.extend(page.into_iter().map(|call| call.id.to_string()));
    }
    let expected: Vec<_> = (0..25).rev().map(|n| format!("call_{n:02}")).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn filters_narrow_a_list() {
    let (_dir, store) = opened();
    let mut other = record("b", 20);
    other.instance_id = "inst_b".parse().unwrap();
    other.direction = Direction::Inbound;
    other.status = CallStatus::Failed;
    for call in [record("a", 10), other] {
        store.put_call(call).unwrap();
    }
    let instance = |ids: &[&str]| -> Option<Vec<InstanceId>> {
        Some(ids.iter().map(|id| id.parse().unwrap()).collect())
    };
    let all = CallFilter::default();
    for (filter, expected) in [
        (all.clone(), "ba"),
        (CallFilter { status: Some(CallStatus::Failed), ..all.clone() }, "b"),
        (CallFilter { status: Some(CallStatus::Queued), ..all.clone() }, ""),
        (CallFilter { direction: Some(Direction::Outbound), ..all.clone() }, "a"),
        (CallFilter { instances: instance(&["inst_b"]), ..all.clone() }, "b"),
        (CallFilter { instances: instance(&["inst_a", "inst_b"]), ..all.clone() }, "ba"),
        (CallFilter { instances: instance(&[]), ..all.clone() }, ""),
        (CallFilter { since: Some(11), ..all.clone() }, "b"),
        (CallFilter { since: Some(10), direction: Some(Direction::Outbound), ..all }, "a"),
    ] {
        let list = store.list_calls(filter.clone(), None, 9).await.unwrap();
        let found: String =
            list.iter().filter_map(|call| call.id.as_str().chars().last()).collect();
        assert_eq!(found, expected, "{filter:?}");
    }
}

#[tokio::test]
async fn only_the_latest_row_of_a_call_waits() {
    let (_dir, store) = opened();
    let release = block_writer(&store).await;
    for n in 0..100 {
        store.put_call(record("1", n)).unwrap();
    }
    assert_eq!(store.stats().pending, 1);
    let waiting = store.call(&CallId::from_tail("1").unwrap()).await.unwrap().unwrap();
    assert_eq!(waiting.created_at, 99, "readers see what waits");
    release.send(()).unwrap();
    store.flush().await.unwrap();
    let list = store.list_calls(CallFilter::default(), None, 9).await.unwrap();
    assert_eq!(list.iter().map(|call| call.created_at).collect::<Vec<_>>(), [99]);
}

#[tokio::test]
async fn full_queues_refuse_and_never_block() {
    let dir = tempfile::tempdir().unwrap();
    let limits = StoreLimits { queue: 2, pending_calls: 3 };
    let store = Store::open_with(&dir.path().join("bellwire.db"), limits).unwrap();
    let release = block_writer(&store).await;
    for n in 0..3 {
        store.put_call(record(&n.to_string(), n)).unwrap();
    }
    assert_eq!(store.put_call(record("3", 3)), Err(StoreError::QueueFull));
    store.put_call(record("0", 9)).expect("a call that waits can still change");
    // One place is taken by the wake-up; the second by this flush.
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.flush().await }
    });
    while store.lanes.submit(Work::Wake).is_ok() {}
    assert_eq!(store.flush().await, Err(StoreError::QueueFull));
    assert!(store.stats().refused >= 2);
    release.send(()).unwrap();
    // Whether it got its place depends on who came first; it has an answer in any case.
    assert!(matches!(waiting.await.unwrap(), Ok(()) | Err(StoreError::QueueFull)));
    loop {
        match store.flush().await {
            Ok(()) => break,
            Err(error) => assert_eq!(error, StoreError::QueueFull),
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(store.stats().pending, 0);
}

#[tokio::test]
async fn rows_outlast_a_full_disk() {
    let (_dir, store) = opened();
    let pages = |most: i64| {
        store.write(move |connection| {
            connection.pragma_update(None, "max_page_count", most)?;
            Ok(())
        })
    };
    pages(1).await.unwrap();
    let mut last = None;
    for n in 0..200 {
        let call = record(&format!("{n:03}"), n);
        store.put_call(call.clone()).unwrap();
        last = Some(call);
        let _ = store.flush().await;
    }
    let stats = store.stats();
    assert!(!stats.healthy && stats.failed > 0 && stats.pending > 0, "{stats:?}");
    let last = last.unwrap();
    assert_eq!(store.call(&last.id).await.unwrap(), Some(last), "readable from memory");
    assert!(matches!(store.flush().await, Err(StoreError::Full(_))));
    let removed = store.delete_instance("inst_a".parse().unwrap(), 0).await;
    assert_eq!(removed, Ok(false), "what needs no space is done");
    pages(1_000_000).await.unwrap();
    store.flush().await.unwrap();
    let stats = store.stats();
    assert_eq!((stats.healthy, stats.pending, stats.lost), (true, 0, 0));
    let list = store.list_calls(CallFilter::default(), None, 1000).await.unwrap();
    assert_eq!(list.len(), 200);
}

#[tokio::test]
async fn damage_and_later_versions_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let garbage = dir.path().join("garbage.db");
    std::fs::write(&garbage, vec![0x5a; 8192]).unwrap();
    assert!(matches!(Store::open(&garbage), Err(StoreError::Corrupt(_))));

    let later = dir.path().join("later.db");
    let store = Store::open(&later).unwrap();
    let bump = |connection: &Connection| Ok(connection.pragma_update(None, "user_version", 99)?);
    store.write(bump).await.unwrap();
    store.close().await.unwrap();
    let refused = Store::open(&later).map(|_| ());
    assert_eq!(refused, Err(StoreError::TooNew { found: 99, known: 1 }));

    let absent = dir.path().join("no/such/directory.db");
    assert!(matches!(Store::open(&absent), Err(StoreError::Io(_))));

    let (_dir, store) = opened();
    let spoil = "INSERT INTO calls (id, record) VALUES ('call_x', '{\"ended_at\": 1}')";
    store.write(move |connection| Ok(connection.execute(spoil, [])?)).await.unwrap();
    let row = store.call(&CallId::from_tail("x").unwrap()).await;
    assert!(matches!(row, Err(StoreError::Corrupt(_))), "{row:?}");
}

#[tokio::test]
async fn a_closed_store_has_written_all_and_takes_no_more() {
    let (dir, store) = opened();
    for n in 0..50 {
        store.put_call(record(&n.to_string(), n)).unwrap();
    }
    store.close().await.unwrap();
    assert_eq!(store.put_call(record("x", 0)), Err(StoreError::Closed));
    assert_eq!(store.flush().await, Err(StoreError::Closed));
    let again = Store::open(&dir.path().join("bellwire.db")).unwrap();
    let list = again.list_calls(CallFilter::default(), None, 100).await.unwrap();
    assert_eq!(list.len(), 50);
}

#[tokio::test]
async fn a_failing_job_undoes_only_itself() {
    let (_dir, store) = opened();
    let release = block_writer(&store).await;
    let insert = |id: &'static str, fails: bool| {
        store.write(move |connection| {
            connection.execute(
                "INSERT INTO api_keys (id, name, secret_sha256, scopes, instance_ids, created_at)
                 VALUES (?1, 'n', randomblob(32), '[]', '[]', 0)",
                [id],
            )?;
            if fails { Err(StoreError::Sql("made up".into())) } else { Ok(()) }
        })
    };
    release.send(()).unwrap();
    let (good, bad, also) =
        tokio::join!(insert("key_a", false), insert("key_b", true), insert("key_c", false));
    assert_eq!((good, also), (Ok(()), Ok(())));
    assert_eq!(bad, Err(StoreError::Sql("made up".into())));
    let ids: Vec<_> = store.list_keys().await.unwrap().iter().map(|k| k.id.to_string()).collect();
    assert_eq!(ids, ["key_c", "key_a"]);
}

#[tokio::test]
async fn of_equal_requests_at_once_one_is_worked_on() {
    let (dir, store) = opened();
    let begin = |hash: u8, now| {
        let store = store.clone();
        async move { store.begin_idempotent(key(), "k".into(), [hash; 32], now).await }
    };
    let asked: Vec<_> = (0..16).map(|_| tokio::spawn(begin(1, 0))).collect();
    let mut tickets = Vec::new();
    for answer in asked {
        match answer.await.unwrap().unwrap() {
            Begin::Fresh(ticket) => tickets.push(ticket),
            other => assert_eq!(other, Begin::InProgress),
        }
    }
    assert_eq!(tickets.len(), 1);
    assert_eq!(begin(2, 0).await.unwrap(), Begin::Mismatch);
    let ticket = tickets.pop().unwrap();
    store.finish_idempotent(ticket, 201, b"{}".to_vec()).await.unwrap();
    let replay = Begin::Replay { status: 201, body: b"{}".to_vec() };
    assert_eq!(begin(1, 86_399_999).await.unwrap(), replay);
    assert!(matches!(begin(2, 86_400_000).await.unwrap(), Begin::Fresh(_)), "a day is over");
    store.close().await.unwrap();
    let again = Store::open(&dir.path().join("bellwire.db")).unwrap();
    let begun = again.begin_idempotent(key(), "k".into(), [3; 32], 86_400_001).await.unwrap();
    assert!(matches!(begun, Begin::Fresh(_)), "what was begun before a restart is forgotten");
}

#[tokio::test]
async fn an_abandoned_request_may_be_tried_again() {
    let (_dir, store) = opened();
    for hash in [1, 2] {
        let begun = store.begin_idempotent(key(), "k".into(), [hash; 32], 0).await.unwrap();
        let Begin::Fresh(ticket) = begun else { panic!("{begun:?}") };
        store.abandon_idempotent(ticket).await.unwrap();
    }
}

#[tokio::test]
async fn declared_instances_follow_the_file_and_keep_their_age() {
    let (_dir, store) = opened();
    let declare = |names: &[(&str, &str)], now| {
        let line = |(id, name): &(&str, &str)| DeclaredInstance {
            id: id.parse().unwrap(),
            name: (*name).to_owned(),
            settings: InstanceSettings::default(),
            metadata: serde_json::Map::new(),
        };
        store.declare_instances(names.iter().map(line).collect(), now)
    };
    declare(&[("inst_a", "A"), ("inst_b", "B")], 10).await.unwrap();
    declare(&[("inst_a", "A"), ("inst_b", "B2")], 20).await.unwrap();
    let ages: Vec<_> = store.list_instances().await.unwrap();
    let ages: Vec<_> = ages.iter().map(|i| (i.id.as_str(), i.created_at, i.updated_at)).collect();
    assert_eq!(ages, [("inst_b", 10, 20), ("inst_a", 10, 10)]);
    declare(&[("inst_b", "B2")], 30).await.unwrap();
    assert_eq!(store.instance(&"inst_a".parse().unwrap()).await.unwrap(), None);
    declare(&[("inst_a", "A")], 40).await.unwrap();
    let back = store.instance(&"inst_a".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((back.created_at, back.source), (10, InstanceSource::Config));
}

#[tokio::test]
async fn a_deleted_instance_is_gone_for_good() {
    let (_dir, store) = opened();
    let id: InstanceId = "inst_a".parse().unwrap();
    let instance = Instance {
        id: id.clone(),
        name: "A".into(),
        metadata: serde_json::Map::new(),
        settings: InstanceSettings::default(),
        source: InstanceSource::Api,
        created_at: 1,
        updated_at: 1,
    };
    store.create_instance(instance.clone()).await.unwrap();
    assert_eq!(store.instance(&id).await.unwrap(), Some(instance));
    let renamed = store.update_instance(id.clone(), 2, |i| i.name = "B".into()).await.unwrap();
    assert_eq!(renamed.map(|i| (i.name, i.updated_at)), Some(("B".to_owned(), 2)));
    assert!(store.delete_instance(id.clone(), 3).await.unwrap());
    assert!(!store.delete_instance(id.clone(), 4).await.unwrap());
    assert_eq!(store.update_instance(id, 5, |_| ()).await.unwrap(), None);
    assert_eq!(store.list_instances().await.unwrap(), []);
}
