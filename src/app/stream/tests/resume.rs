//! Clients that lose their socket and go on, and clients that take a place.

use super::*;
use crate::app::stream::SeatError;
use crate::app::stream::options::{OnLost, ReconnectWish};

impl Client {
    /// Everything that came, as it came.
    fn messages(&mut self) -> Vec<Outgoing> {
        std::iter::from_fn(|| self.from_server.try_recv().ok()).collect()
    }
}

fn token(start: &Value) -> String {
    assert_eq!(start["type"], "start");
    start["resume"]["token"].as_str().unwrap().to_owned()
}

fn samples(octets: &[u8]) -> Vec<i16> {
    octets.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}

#[tokio::test(start_paused = true)]
async fn a_client_goes_on_with_what_it_missed_and_nothing_twice() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("rate=8000&out_rate=8000").await;
    let told = client.told();
    let token = token(&told[0]);
    assert_eq!(told[0]["resume"]["linger_ms"], 30_000);
    let since = told.last().unwrap()["seq"].as_u64().unwrap();
    for n in 0..5 {
        rig.leg.hear(&[n; 160]);
        rig.beats(1).await;
    }
    client.pcm(&ramp(0, 8000));
    rig.beats(2).await;
    // The last it sees of its audio is the third frame.
    client.told();
    assert_eq!(client.heard.len(), 5 * 320);
    drop(client);
    rig.beats(5).await;
    rig.event("hold");
    for n in 5..10 {
        rig.leg.hear(&[n; 160]);
        rig.beats(1).await;
    }
    let query = format!("resume={token}&since={since}&heard=480");
    let mut client = rig.attach(&query).await;
    rig.leg.hear(&[10; 160]);
    rig.beats(1).await;
    let told = client.told();
    assert_eq!((&told[0]["resumed"], &told[0]["seq"]), (&true.into(), &since.into()));
    assert_eq!(told[0]["resume"]["token"], token.as_str(), "the same: this one may be lost, too");
    let replayed = &told[1];
    assert_eq!((&replayed["type"], &replayed["seq"]), (&"replayed".into(), &since.into()));
    assert_eq!((&replayed["from_sample"], &replayed["samples"]), (&480.into(), &320.into()));
    assert_eq!(replayed["waiting_samples"], 800);
    assert_eq!(replayed["received_octets"], 16_000);
    assert_eq!((&replayed["lost_events"], &replayed["lost_samples"]), (&0.into(), &0.into()));
    let briefs: Vec<String> = told[2..].iter().map(brief).collect();
    assert_eq!(briefs[..2], ["playback started", "call_event hold"]);
    for (index, message) in told[2..].iter().enumerate() {
        assert_eq!(message["seq"], since + 1 + index as u64);
    }
    let heard = samples(&client.heard);
    let expected: Vec<i16> = (3..=10).flat_map(|n| [n; 160]).collect();
    assert_eq!(heard, expected);
    rig.beats(60).await;
    assert_eq!(rig.leg.sent, ramp(0, 8000), "playout went on meanwhile");
    let attached = Report::Attached { protocol: "native", rate: Some(8000) };
    let gone = Report::Gone { why: "client_closed" };
    assert_eq!(rig.reports(), [attached.clone(), gone, Report::Detached, attached]);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_say_what_it_heard_gets_all_that_it_did_not_confirm() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("out_rate=8000").await;
    let start = client.told().remove(0);
    for n in 0..50 {
        rig.leg.hear(&[n; 160]);
        rig.beats(1).await;
    }
    let confirmed = 10;
    let pings = client.messages().iter().filter(|message| **message == Outgoing::Ping).count();
    assert!(pings > 0, "it is asked what has arrived");
    client.pong();
    rig.beats(1).await;
    drop(client);
    rig.beats(5).await;
    let query = format!("resume={}&since=1", token(&start));
    let mut client = rig.attach(&query).await;
    let told = client.told();
    let from = told[1]["from_sample"].as_u64().unwrap();
    assert!(from <= 160 * confirmed, "what was sent behind the ping is not confirmed: {from}");
    assert_eq!(from + told[1]["samples"].as_u64().unwrap(), 8000);
    assert_eq!(client.heard.len() as u64, 2 * (8000 - from));
}

#[tokio::test(start_paused = true)]
async fn time_over_is_over() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("protocol=native").await;
    let token = token(&client.told()[0]);
    drop(client);
    rig.beats(10).await;
    let wish = |token: &str| options(&format!("resume={token}&since=1"));
    assert!(rig.seats.reserve(wish(&token)).is_ok());
    rig.beats(1600).await;
    assert!(matches!(rig.reports().last(), Some(Report::StreamLost { .. })));
    assert_eq!(rig.seats.reserve(wish(&token)).unwrap_err(), SeatError::ResumeOver);
    let other = crate::app::stream::resume::Token::draw(&[9; 32], 1).to_string();
    assert_eq!(rig.seats.reserve(wish(&other)).unwrap_err(), SeatError::ResumeOver);
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_comes_when_time_is_over_is_closed_with_4004() {
    let spec = StreamSpec { linger: Duration::from_secs(2), ..spec() };
    let mut rig = Rig::answered_with(spec).await;
    let mut client = rig.attach("protocol=native").await;
    let token = token(&client.told()[0]);
    drop(client);
    rig.beats(50).await;
    let late = rig.seats.reserve(options(&format!("resume={token}&since=1"))).unwrap();
    let (mut client, socket) = Client::new();
    let upgrade = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        Some(socket)
    };
    late.attach(Box::pin(upgrade)).unwrap();
    rig.beats(200).await;
    assert!(client.told().is_empty());
    assert_eq!(client.closed.map(|closed| closed.0), Some(CloseCode::ResumeOver));
}

#[tokio::test(start_paused = true)]
async fn a_token_holder_need_not_wait_for_its_dead_socket() {
    let mut rig = Rig::answered().await;
    let mut dead = rig.attach("out_rate=8000").await;
    let token = token(&dead.told()[0]);
    dead.stall(true);
    rig.leg.hear(&[7; 160]);
    rig.beats(5).await;
    let mut client = rig.attach(&format!("resume={token}&since=5&heard=0")).await;
    rig.beats(2).await;
    assert_eq!(client.brief()[..2], ["start", "replayed"]);
    assert_eq!(samples(&client.heard), [7; 160]);
    dead.stall(false);
    rig.beats(2).await;
    dead.told();
    assert_eq!(dead.closed.map(|closed| closed.0), Some(CloseCode::Replaced));
    drop(dead);
    client.text(r#"{"type":"ping"}"#);
    rig.beats(2).await;
    assert!(client.brief().contains(&"pong".to_owned()));
    assert_eq!(rig.seats.reserve(StreamOptions::default()).unwrap_err(), SeatError::Taken);
}

#[tokio::test(start_paused = true)]
async fn a_takeover_closes_the_other_and_begins_anew() {
    let mut rig = Rig::answered().await;
    let mut first = rig.attach("protocol=native").await;
    let old = token(&first.told()[0]);
    let mut second = rig.attach("protocol=native&takeover=1").await;
    rig.beats(2).await;
    first.told();
    assert_eq!(first.closed.map(|closed| closed.0), Some(CloseCode::Replaced));
    let start = second.told().remove(0);
    assert_eq!((&start["seq"], &start["resumed"]), (&1.into(), &false.into()));
    assert_ne!(token(&start), old, "nobody goes on with the old one");
    let wish = options(&format!("resume={old}&since=1"));
    assert_eq!(rig.seats.reserve(wish).unwrap_err(), SeatError::ResumeOver);
    drop(first);
    rig.beats(2).await;
    assert_eq!(rig.seats.reserve(StreamOptions::default()).unwrap_err(), SeatError::Taken);
    drop(second);
    rig.beats(2).await;
    assert!(rig.seats.reserve(options("takeover=1")).is_ok());
}

#[tokio::test(start_paused = true)]
async fn beyond_ten_seconds_the_oldest_is_gone_and_that_is_told() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("out_rate=8000").await;
    let token = token(&client.told()[0]);
    drop(client);
    for n in 0..600 {
        rig.leg.hear(&[n; 160]);
        rig.beats(1).await;
    }
    let mut client = rig.attach(&format!("resume={token}&since=5&heard=0")).await;
    rig.beats(2).await;
    let told = client.told();
    let dropped = told.iter().find(|told| told["code"] == "dropped").unwrap();
    assert_eq!(dropped["dropped_ms"], 2000);
    assert_eq!(client.heard.len(), 500 * 320);
    assert_eq!(samples(&client.heard)[0], 100);
}

#[tokio::test(start_paused = true)]
async fn a_request_may_end_the_call_with_its_client_or_wait_longer() {
    let ms = Duration::from_millis;
    let wish = |linger: Option<u64>, on_lost| {
        let reconnect = ReconnectWish { linger: linger.map(ms), on_lost, prompt: None };
        let options = StreamOptions { reconnect, ..StreamOptions::default() };
        StreamSpec { options, ..spec() }
    };
    let mut rig = Rig::answered_with(wish(None, Some(OnLost::Hangup))).await;
    let mut client = rig.attach("protocol=native").await;
    assert_eq!(client.told()[0]["resume"], Value::Null, "nothing to go on with");
    drop(client);
    rig.beats(2).await;
    assert!(matches!(rig.reports().last(), Some(Report::StreamLost { .. })));
    let mut rig = Rig::answered_with(wish(Some(60_000), None)).await;
    let mut client = rig.attach("protocol=native").await;
    assert_eq!(client.told()[0]["resume"]["linger_ms"], 60_000);
    drop(client);
    rig.beats(2900).await;
    assert!(!rig.reports().iter().any(|report| matches!(report, Report::StreamLost { .. })));
    rig.beats(150).await;
    assert!(matches!(rig.reports().last(), Some(Report::StreamLost { .. })));
}

#[tokio::test(start_paused = true)]
async fn the_bare_url_is_offered_nothing() {
    let mut rig = Rig::answered().await;
    let client = rig.attach("").await;
    drop(client);
    rig.beats(2).await;
    let token = crate::app::stream::resume::Token::draw(&[5; 32], 1);
    let wish = options(&format!("resume={token}&since=1"));
    assert_eq!(rig.seats.reserve(wish).unwrap_err(), SeatError::ResumeOver);
}

#[tokio::test(start_paused = true)]
async fn a_prompt_is_said_until_somebody_is_back() {
    use crate::speech::tts::{Speech, SpeechPiece};
    let speak = |_: Option<&str>, text: &str| {
        assert_eq!(text, "One moment, please.");
        let (writer, speech) = Speech::pipe();
        writer.push(SpeechPiece { samples: vec![500; 8000].into(), words: Vec::new() });
        writer.finish();
        Ok(speech)
    };
    let query = "on_lost=prompt&prompt_text=One moment, please.";
    let spec = StreamSpec { speak: Some(Arc::new(speak)), options: options(query), ..spec() };
    let mut rig = Rig::answered_with(spec).await;
    let mut client = rig.attach("rate=8000&listen=none").await;
    let told = client.told();
    let token = token(&told[0]);
    let since = told.last().unwrap()["seq"].clone();
    client.pcm(&ramp(0, 8000));
    rig.beats(10).await;
    drop(client);
    rig.beats(150).await;
    assert_eq!(rig.leg.sent[..8000], ramp(0, 8000), "what was queued comes first");
    assert_eq!(rig.leg.sent[8000..16_000], [500; 8000]);
    assert_eq!(rig.leg.sent.len(), 16_000, "then a pause");
    rig.beats(60).await;
    let heard = rig.leg.sent.len();
    assert!((16_001..24_000).contains(&heard), "and again: {heard}");
    let mut client = rig.attach(&format!("resume={token}&since={since}")).await;
    rig.beats(5).await;
    assert!(rig.leg.sent.len() < heard + 400, "it stops when somebody is back");
    let briefs = client.brief();
    let cleared = briefs.iter().filter(|told| *told == "playback cleared hold_prompt").count();
    assert_eq!((briefs[1].as_str(), cleared), ("replayed", 1), "{briefs:?}");
    client.pcm(&ramp(0, 160));
    rig.beats(3).await;
    assert_eq!(rig.leg.sent[rig.leg.sent.len() - 160..], ramp(0, 160));
}
