//! What is asked of a call in its middle, and how trunks are shown.

use crate::rig::{ADMIN, ALPHA, READER, Rig, SIP};
use bellwire::call::control::{DtmfMethod, DtmfWish, MuteDirection, OnPeerHangup, Wish};
use bellwire::call::record::TransferMode;
use serde_json::json;

#[tokio::test]
async fn plain_wishes_reach_the_call_and_answer_with_it() {
    let rig = Rig::new().await;
    let call = rig.call("inst_a").await;
    let path = |what: &str| format!("/v1/calls/{call}/{what}");
    let early = rig.ask("POST", &path("hold"), None).await;
    assert_eq!((early.status.as_u16(), early.code()), (409, "conflict"));
    assert_eq!(rig.ask("POST", &path("ring"), None).await.status, 200);
    let answered = rig.ask("POST", &path("answer"), Some(&json!({}))).await;
    assert_eq!(answered.status, 202);
    assert_eq!(answered.body["status"], "IN_PROGRESS");
    assert_eq!(rig.ask("POST", &path("answer"), None).await.code(), "conflict");
    let held = rig.ask("POST", &path("hold"), None).await;
    assert_eq!(held.status, 202);
    assert_eq!(held.body["hold"], json!({"local": true, "peer": false}));
    assert_eq!(rig.ask("POST", &path("resume"), None).await.status, 202);
    let wished = std::mem::take(&mut rig.daemon.lock().unwrap().wished);
    assert_eq!(wished, [Wish::Ring, Wish::Answer, Wish::Hold, Wish::Resume]);
    let odd = rig.ask("POST", &path("hold"), Some(&json!({"x": 1}))).await;
    assert_eq!(odd.places(), ["/x unknown_field"]);
}

#[tokio::test]
async fn a_mute_says_which_way() {
    let rig = Rig::new().await;
    let call = rig.call("inst_a").await;
    let path = |what: &str| format!("/v1/calls/{call}/{what}");
    assert_eq!(rig.ask("POST", &path("mute"), None).await.code(), "conflict");
    rig.pick_up(&call);
    let muted = rig.ask("POST", &path("mute"), None).await;
    assert_eq!(muted.status, 200, "{}", muted.body);
    assert_eq!(muted.body["mute"], json!({"playout": true, "capture": false}));
    let both = json!({"direction": "both"});
    assert_eq!(rig.ask("POST", &path("unmute"), Some(&both)).await.status, 200);
    let odd = rig.ask("POST", &path("mute"), Some(&json!({"direction": "up"}))).await;
    assert_eq!(odd.places(), ["/direction enum"]);
    let read_only = rig.request("POST", &path("mute")).key(READER).send().await;
    assert_eq!(read_only.status, 403);
    let wished = std::mem::take(&mut rig.daemon.lock().unwrap().wished);
    let (ours, all) = (MuteDirection::Playout, MuteDirection::Both);
    assert_eq!(wished, [Wish::Mute(true, ours), Wish::Mute(false, all)]);
}

#[tokio::test]
async fn a_transfer_is_shown_in_the_call_and_checked_like_a_call() {
    let rig = Rig::new().await;
    let call = rig.call("inst_a").await;
    rig.pick_up(&call);
    let path = format!("/v1/calls/{call}/transfer");
    let body = json!({"to": "+14155550199", "headers": {"X-Ref": "7"}, "timeout": 20});
    let reply = rig.ask("POST", &path, Some(&body)).await;
    assert_eq!(reply.status, 202, "{}", reply.body);
    let shown = json!({"to": "+14155550199", "mode": "blind", "state": "requested", "code": null});
    assert_eq!(reply.body["transfer"], shown);
    let premium = rig.ask("POST", &path, Some(&json!({"to": "+19005550199"}))).await;
    assert_eq!((premium.status.as_u16(), premium.code()), (403, "destination_not_allowed"));
    let uri = json!({"to": "sip:desk@pbx.example", "mode": "bridge", "onPeerHangup": "continue"});
    let barred = rig.request("POST", &path).key(ALPHA).json(Some(&uri)).send().await;
    assert_eq!((barred.status.as_u16(), barred.code()), (403, "forbidden_scope"));
    let reply = rig.request("POST", &path).key(SIP).json(Some(&uri)).send().await;
    assert_eq!(reply.status, 202, "{}", reply.body);
    let daemon = rig.daemon.lock().unwrap();
    let Some(Wish::Transfer(wish)) = daemon.wished.last() else { panic!() };
    assert_eq!((wish.mode, wish.on_peer_hangup), (TransferMode::Bridge, OnPeerHangup::Continue));
}

#[tokio::test]
async fn the_other_call_of_a_transfer_or_bridge_must_be_known_and_alive() {
    let rig = Rig::new().await;
    let (call, other) = (rig.call("inst_a").await, rig.call("inst_b").await);
    rig.pick_up(&call);
    let bridge = format!("/v1/calls/{call}/bridge");
    let with = |id: &str| json!({ "callId": id });
    // Another tenant's call is not there.
    let foreign = rig.request("POST", &bridge).key(ALPHA).json(Some(&with(&other))).send().await;
    assert_eq!((foreign.status.as_u16(), foreign.places()), (404, vec!["/callId unknown".into()]));
    let joined = rig.ask("POST", &bridge, Some(&with(&other))).await;
    assert_eq!(joined.status, 200, "{}", joined.body);
    assert_eq!(
        (&joined.body["bridged"], &joined.body["bridged_with"]),
        (&json!(true), &json!(other))
    );
    assert_eq!(rig.ask("DELETE", &bridge, None).await.status, 202);
    rig.end(&other);
    let over = rig.ask("POST", &bridge, Some(&with(&other))).await;
    assert_eq!((over.status.as_u16(), over.code()), (410, "call_ended"));
    let attended = json!({"to": "+14155550199", "mode": "attended", "replacesCallId": "call_0"});
    let unknown = rig.ask("POST", &format!("/v1/calls/{call}/transfer"), Some(&attended)).await;
    assert_eq!(unknown.status, 404);
    assert_eq!(unknown.places(), ["/replacesCallId unknown"]);
    assert_eq!(rig.ask("POST", "/v1/calls/call_0/hold", None).await.status, 404);
    rig.end(&call);
    let gone = rig.ask("POST", &format!("/v1/calls/{call}/hold"), None).await;
    assert_eq!((gone.status.as_u16(), gone.code()), (410, "call_ended"));
}

#[tokio::test]
async fn digits_and_refusals_are_read() {
    let rig = Rig::new().await;
    let call = rig.call("inst_a").await;
    let refusal = json!({"sipCode": 486, "reason": "At lunch"});
    let reply = rig.ask("POST", &format!("/v1/calls/{call}/reject"), Some(&refusal)).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let path = format!("/v1/calls/{call}/dtmf");
    let keys = json!({"digits": "12#", "method": "info", "durationMs": 120, "gapMs": 80});
    assert_eq!(rig.ask("POST", &path, Some(&keys)).await.status, 202);
    let wished = rig.daemon.lock().unwrap().wished.clone();
    let (duration_ms, gap_ms) = (Some(120), Some(80));
    let keys = DtmfWish { digits: "12#".into(), method: DtmfMethod::Info, duration_ms, gap_ms };
    let refused = Wish::Reject { code: 486, reason: "At lunch".into() };
    assert_eq!(wished, [refused, Wish::Dtmf(keys)]);
    let loud = json!({"digits": "1", "method": "loud"});
    assert_eq!(rig.ask("POST", &path, Some(&loud)).await.places(), ["/method enum"]);
    let wrong = rig.ask("POST", &path, Some(&json!({"digits": "1w", "gapMs": 1}))).await;
    assert_eq!(wrong.places(), ["/digits pattern", "/gapMs out_of_range"]);
}

#[tokio::test]
async fn a_repeated_wish_is_granted_once_and_a_reader_has_none() {
    let rig = Rig::new().await;
    let call = rig.call("inst_a").await;
    rig.pick_up(&call);
    let path = format!("/v1/calls/{call}/hold");
    for replayed in ["", "true"] {
        let asked = rig.request("POST", &path).key(ADMIN).header("idempotency-key", "hold-1");
        let reply = asked.send().await;
        assert_eq!((reply.status.as_u16(), reply.header("idempotent-replayed")), (202, replayed));
    }
    assert_eq!(rig.daemon.lock().unwrap().wished, [Wish::Hold]);
    let barred = rig.request("POST", &path).key(READER).send().await;
    assert_eq!((barred.status.as_u16(), barred.code()), (403, "forbidden_scope"));
}

#[tokio::test]
async fn trunks_are_shown_whole_to_operators_only() {
    let rig = Rig::new().await;
    let list = rig.ask("GET", "/v1/trunks", None).await;
    assert_eq!(list.status, 200);
    let trunk = &list.body["data"][0];
    assert_eq!((&trunk["name"], &trunk["state"]), (&json!("carrier"), &json!("up")));
    assert_eq!(trunk["registration"]["expires_at"], "2026-01-02T03:04:05Z");
    assert_eq!(trunk["gateways"][0]["state"], "quarantined");
    assert_eq!(rig.ask("GET", "/v1/trunks/carrier", None).await.body, *trunk);
    assert_eq!(rig.ask("GET", "/v1/trunks/nowhere", None).await.status, 404);
    let tenant = rig.request("GET", "/v1/trunks/carrier").key(ALPHA).send().await;
    assert_eq!(tenant.body["state"], "up");
    assert!(tenant.body.get("gateways").is_none() && tenant.body.get("registration").is_none());
    let registrations = rig.operate("GET", "/v1/admin/registrations").send().await;
    assert_eq!(registrations.body["data"][0]["trunk"], "carrier");
}
