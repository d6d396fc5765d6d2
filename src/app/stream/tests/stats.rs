use super::*;

fn stats(client: &mut Client) -> Vec<Value> {
    client.told().into_iter().filter(|told| told["type"] == "stats").collect()
}

#[tokio::test(start_paused = true)]
async fn stats_come_as_often_as_was_asked_and_not_before() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("rate=8000&stats_ms=1000").await;
    rig.beats(45).await;
    assert_eq!(stats(&mut client).len(), 0);
    rig.beats(10).await;
    assert_eq!(stats(&mut client).len(), 1);
    rig.beats(100).await;
    let told = stats(&mut client);
    assert_eq!(told.len(), 2);
    assert_eq!(told[0].get("id"), None);
    assert_eq!(told[0]["stages"]["order"]["count"], 0, "a fake leg counts nothing");
}

#[tokio::test(start_paused = true)]
async fn stats_answer_a_question_and_say_how_much_waits() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("rate=8000&protocol=native").await;
    client.pcm(&[1000; 8000]);
    rig.beats(10).await;
    assert_eq!(stats(&mut client).len(), 0, "nobody asked");
    client.text(r#"{"type":"stats","id":"q"}"#);
    rig.beats(1).await;
    let told = client.told();
    let answer = told.iter().find(|told| told["type"] == "stats");
    let answer = answer.unwrap_or_else(|| panic!("no stats: {told:?}"));
    assert_eq!(answer["id"], "q");
    let queued = answer["queued_ms"].as_u64().unwrap();
    assert!((700..1000).contains(&queued), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn what_a_client_sent_is_stamped_where_it_stands_in_the_ring() {
    let mut rig = Rig::answered().await;
    let client = rig.attach("rate=8000").await;
    let sent = std::time::Instant::from(tokio::time::Instant::now());
    client.pcm(&[1000; 320]);
    rig.settle().await;
    rig.beats(1).await;
    let since = rig.leg.taken_stamp().unwrap();
    assert!(since.duration_since(sent) <= Duration::from_millis(1), "{since:?} {sent:?}");
    assert_eq!(rig.leg.taken_stamp(), None, "a message is stamped once");
}
