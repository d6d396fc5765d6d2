//! Clients that do not read, send too much or are gone without a word: bounded, and told.

use super::*;

fn why(rig: &mut Rig) -> Vec<&'static str> {
    let gone = |report| match report {
        Report::Gone { why } => Some(why),
        _ => None,
    };
    rig.reports().into_iter().filter_map(gone).collect()
}

#[tokio::test(start_paused = true)]
async fn each_way_to_lose_a_client_has_its_name() {
    let mut rig = Rig::answered().await;
    drop(rig.attach("protocol=native").await);
    rig.beats(2).await;
    assert_eq!(why(&mut rig), ["client_closed"]);
    let long = "x".repeat(256 * 1024 + 1);
    for (case, name) in [
        (Ok(Incoming::Text(long)), "too_big"),
        (Err(SocketError::TooBig), "too_big"),
        (Err(SocketError::Protocol("rsv".into())), "protocol"),
        (Err(SocketError::Lost("reset".into())), "socket_lost"),
    ] {
        let client = rig.attach("protocol=native&takeover=1").await;
        client.to_server.try_send(case).unwrap();
        rig.beats(2).await;
        drop(client);
        rig.beats(2).await;
        assert_eq!(why(&mut rig), [name]);
    }
    let client = rig.attach("protocol=native&listen=none").await;
    client.stall(true);
    for _ in 0..12_000 {
        client.text(r#"{"type":"ping"}"#);
    }
    rig.beats(1000).await;
    assert_eq!(why(&mut rig), ["slow_consumer"]);
    drop(client);
    let _silent = rig.attach("protocol=native").await;
    rig.beats(1500).await;
    assert_eq!(why(&mut rig), ["no_pong"]);
    let _first = rig.attach("protocol=native").await;
    let _second = rig.attach("protocol=native&takeover=1").await;
    rig.beats(2).await;
    assert_eq!(why(&mut rig), ["replaced"]);
}

#[tokio::test(start_paused = true)]
async fn fragments_of_one_octet_are_whole_samples_in_the_end() {
    let mut rig = Rig::answered().await;
    let client = rig.attach("rate=8000").await;
    for octet in ramp(0, 8000).iter().flat_map(|sample| sample.to_le_bytes()) {
        client.binary(vec![octet]);
    }
    rig.beats(120).await;
    assert_eq!(rig.leg.sent, ramp(0, 8000));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_shown_the_door_may_come_back_for_what_it_missed() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("protocol=native&listen=none").await;
    let told = client.told();
    let token = told[0]["resume"]["token"].as_str().unwrap().to_owned();
    let since = told.last().unwrap()["seq"].as_u64().unwrap();
    client.stall(true);
    for _ in 0..12_000 {
        client.text(r#"{"type":"ping"}"#);
    }
    rig.beats(1000).await;
    drop(client);
    rig.beats(1).await;
    let mut client = rig.attach(&format!("resume={token}&since={since}")).await;
    rig.beats(20).await;
    let told = client.told();
    assert_eq!(client.closed, None);
    assert_eq!(told[1]["type"], "replayed");
    let lost = told[1]["lost_events"].as_u64().unwrap();
    let events = told[1]["events"].as_u64().unwrap();
    assert_eq!(told[2]["seq"], since + lost + 1, "what is gone is counted");
    assert!((events - lost..events - lost + 3).contains(&(told.len() as u64 - 2)));
}
