//! What log lines of events say.

use super::*;

fn ended() -> CallEnded<'static> {
    CallEnded {
        call_id: "call_1",
        instance_id: "inst_demo",
        direction: "outbound",
        end_reason: "busy",
        sip_code: Some(486),
        sip_reason: Some("Busy\r\nHere"),
        sip_call_id: None,
        trunk: Some("carrier"),
        hangup_party: None,
        duration_seconds: None,
        mos: Some(4.2),
    }
}

#[test]
fn one_struct_is_one_line_and_its_metrics() {
    let mut counted = String::new();
    let line = super::super::trace::tests::logged("info", || {
        counted = metrics::recorded(|| ended().report());
    });
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["message"], "call ended");
    assert_eq!(line["sip_code"], 486);
    assert_eq!(line["sip_reason"], "Busy\\r\\nHere");
    assert!(line.get("duration_seconds").is_none(), "absent values take no room: {line}");
    let total = "bellwire_calls_ended_total{direction=\"outbound\",end_reason=\"busy\"} 1";
    assert!(counted.contains(total), "{counted}");
    assert!(!counted.contains("call_duration_seconds_count"), "{counted}");
}

#[test]
fn numbers_are_redacted_and_metrics_count_below_the_level() {
    let mut counted = String::new();
    let event = CallCreated {
        call_id: "call_1",
        instance_id: "inst_demo",
        direction: "outbound",
        call_type: "FIXED_TTS",
        trunk: None,
        to: Number("+14155550123"),
        from: Some(Number("+14155550100")),
    };
    let line = super::super::trace::tests::logged("info", || event.report());
    assert!(!line.contains("5550123") && !line.contains("5550100"), "{line}");
    let line = super::super::trace::tests::logged("warn", || {
        counted = metrics::recorded(|| event.report());
    });
    assert_eq!(line, "");
    assert!(counted.contains("bellwire_calls_created_total{"), "{counted}");
}

#[test]
fn every_metric_of_an_event_has_as_many_labels_as_it_is_given() {
    let remote = "192.0.2.1:5060".parse().unwrap();
    let text = metrics::recorded(|| {
        SipDropped { remote, why: "malformed" }.report();
        trunk_state("carrier", false);
        trunk_registered("carrier", true);
        SourceBanned { source: "192.0.2.1", seconds: 60.0 }.report();
        let (mode, result) = ("blind", "failed");
        CallTransferred { call_id: "call_1", mode, result, code: Some(603) }.report();
        build_info("gw1");
        Snapshot { calls: vec![("QUEUED", 3)], ..Snapshot::default() }.publish();
        let report = crate::media::interface::LegReport { rx_lost: 5, ..Default::default() };
        count_media(&report);
        count_beats([(std::time::Duration::from_micros(700), 3)].into_iter());
        count_stages([("order", std::time::Duration::from_millis(15), 4)].into_iter());
        let way = Way { mos: Some(4.2), loss: Some(0.01), jitter: None };
        count_quality("carrier", way, Way::default(), Some(0.05));
    });
    for line in [
        "bellwire_sip_dropped_total{why=\"malformed\"} 1",
        "bellwire_trunk_up{trunk=\"carrier\"} 0",
        "bellwire_trunk_registered{trunk=\"carrier\"} 1",
        "bellwire_sip_bans_total 1",
        "bellwire_transfers_total{mode=\"blind\",result=\"failed\"} 1",
        "bellwire_calls_active{status=\"QUEUED\"} 3",
        "bellwire_rtp_dropped_packets_total{why=\"lost\"} 5",
        "bellwire_media_tick_late_seconds_bucket{le=\"0.0005\"} 0",
        "bellwire_media_tick_late_seconds_bucket{le=\"0.001\"} 3",
        "bellwire_stage_seconds_bucket{stage=\"order\",le=\"0.01\"} 0",
        "bellwire_stage_seconds_bucket{stage=\"order\",le=\"0.02\"} 4",
        "bellwire_call_mos_count{trunk=\"carrier\",way=\"received\"} 1",
        "bellwire_call_rtt_seconds_count{trunk=\"carrier\"} 1",
    ] {
        assert!(text.contains(line), "{line}\nnot in\n{text}");
    }
}
