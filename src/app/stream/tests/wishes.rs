//! What a client asks of its call, and a call that is joined with another one.

use super::{Rig, brief, spec};
use crate::app::stream::{StreamRights, StreamSpec};
use crate::app::{Control, Report};
use crate::call::control::{DtmfMethod, DtmfWish, Wish, WishError};
use crate::media::interface::{Command, Event};
use tokio::sync::oneshot;

/// The wishes among the reports, with their tickets.
fn wishes(rig: &mut Rig) -> Vec<(u64, Wish)> {
    let wish = |report| match report {
        Report::Wish { ticket, wish } => Some((ticket, *wish)),
        _ => None,
    };
    rig.reports().into_iter().filter_map(wish).collect()
}

#[tokio::test(start_paused = true)]
async fn a_wish_is_acknowledged_when_the_call_has_taken_it_up() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("protocol=native").await;
    rig.beats(1).await;
    client.told();
    client.text(r#"{"type":"hold","id":"h"}"#);
    client.text(r#"{"type":"answer","id":"a"}"#);
    rig.beats(1).await;
    let asked = wishes(&mut rig);
    let [(hold, Wish::Hold), (answer, Wish::Answer)] = asked[..] else { panic!("{asked:?}") };
    assert!(client.brief().is_empty(), "nothing is known yet");
    let refused = Err(WishError::Conflict("it is answered".to_owned()));
    rig.tell(Control::Granted { ticket: answer, result: refused });
    rig.tell(Control::Granted { ticket: hold, result: Ok(()) });
    rig.tell(Control::Granted { ticket: hold, result: Ok(()) });
    rig.beats(1).await;
    assert_eq!(client.brief(), ["error conflict a", "ack h"]);
    for n in 0..20 {
        client.text(&format!(r#"{{"type":"unhold","id":{n}}}"#));
    }
    rig.beats(1).await;
    assert_eq!(wishes(&mut rig).len(), 16);
    assert_eq!(client.brief().first().unwrap(), "error busy 16");
}

#[tokio::test(start_paused = true)]
async fn every_wish_of_the_protocol_reaches_the_call() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("protocol=native").await;
    rig.beats(1).await;
    client.told();
    for (command, name) in [
        (r#""hold""#, "Hold"),
        (r#""unhold""#, "Resume"),
        (r#""mute","direction":"both""#, "Mute(true, Both)"),
        (r#""unmute","direction":"both""#, "Mute(false, Both)"),
        (r#""answer""#, "Answer"),
        (r#""ring""#, "Ring"),
        (r#""early_media","tone":"busy""#, "EarlyMedia(Some("),
        (r#""reject","sip_code":486"#, "Reject { code: 486"),
        (r#""transfer","to":"+14155550123""#, "Transfer("),
        (r#""bridge","call_id":"call_2""#, "Bridge("),
        (r#""unbridge""#, "Unbridge"),
        (r#""dtmf","digits":"1","method":"info""#, "Dtmf("),
    ] {
        client.text(&format!(r#"{{"type":{command},"id":"i"}}"#));
        rig.beats(1).await;
        let asked = wishes(&mut rig);
        let [(ticket, wish)] = &asked[..] else { panic!("{command}: {asked:?}") };
        assert!(format!("{wish:?}").starts_with(name), "{command}: {wish:?}");
        assert!(client.brief().is_empty(), "{command}: nothing is known yet");
        rig.tell(Control::Granted { ticket: *ticket, result: Ok(()) });
        rig.beats(1).await;
        assert_eq!(client.brief(), ["ack i"], "{command}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_transfer_to_a_sip_uri_takes_the_right_to_it() {
    for sip_uris in [false, true] {
        let mut rig = Rig::answered().await;
        let mut client =
            rig.attach_with("protocol=native", StreamRights { sip_uris, standing: None }).await;
        rig.beats(1).await;
        client.told();
        let transfer = |to: &str| format!(r#"{{"type":"transfer","to":"{to}","id":"t"}}"#);
        client.text(&transfer("sip:desk@pbx.example"));
        rig.beats(1).await;
        let asked = wishes(&mut rig);
        if sip_uris {
            let [(_, Wish::Transfer(wish))] = &asked[..] else { panic!("{asked:?}") };
            assert_eq!(wish.to, "sip:desk@pbx.example");
        } else {
            assert_eq!((asked, client.brief()), (vec![], vec!["error forbidden_scope t".into()]));
        }
        client.text(&transfer("+14155550123"));
        rig.beats(1).await;
        assert_eq!(wishes(&mut rig).len(), 1, "numbers take none");
    }
}

#[tokio::test(start_paused = true)]
async fn digits_that_the_leg_cannot_send_go_by_info() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("protocol=native").await;
    rig.beats(1).await;
    client.told();
    client.text(r#"{"type":"dtmf","digits":"12","id":"d","method":"info"}"#);
    rig.beats(1).await;
    let keys = |digits: &str| DtmfWish {
        digits: digits.to_owned(),
        method: DtmfMethod::Info,
        duration_ms: None,
        gap_ms: None,
    };
    let asked = wishes(&mut rig);
    assert_eq!(asked[0].1, Wish::Dtmf(keys("12")));
    // The leg says that no telephone-event was agreed on.
    rig.leg.running = false;
    client.text(r#"{"type":"dtmf","digits":"34","id":"e"}"#);
    rig.beats(1).await;
    rig.leg.events.push_back(Event::DtmfDone { sent: false });
    rig.leg.running = true;
    rig.beats(1).await;
    let asked = wishes(&mut rig);
    assert_eq!(asked.first().map(|(_, wish)| wish), Some(&Wish::Dtmf(keys("34"))));
    rig.tell(Control::Granted { ticket: asked[0].0, result: Ok(()) });
    rig.beats(1).await;
    assert_eq!(client.brief(), ["ack e"]);
}

#[tokio::test(start_paused = true)]
async fn digits_go_as_the_trunk_wants_them_unless_the_client_says_how() {
    let mut rig = Rig::with(StreamSpec { keys_by_call: true, ..spec() });
    rig.start();
    let client = rig.attach("protocol=native").await;
    rig.beats(1).await;
    client.text(r#"{"type":"dtmf","digits":"1","id":"a"}"#);
    client.text(r#"{"type":"dtmf","digits":"2","id":"b","method":"rfc4733"}"#);
    rig.beats(2).await;
    let asked = wishes(&mut rig);
    let [(_, Wish::Dtmf(keys))] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!((keys.digits.as_str(), keys.method), ("1", DtmfMethod::Auto));
    let by_leg = rig.leg.obeyed.iter().filter(|order| matches!(order, Command::Dtmf { .. }));
    assert_eq!(by_leg.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_keeps_its_seat_while_the_leg_is_lent() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("protocol=native").await;
    client.text(r#"{"type":"utterance","id":"u"}"#);
    client.pcm(&vec![500; 16_000]);
    rig.beats(2).await;
    client.told();
    let (reply, lent) = oneshot::channel();
    rig.tell(Control::Yield(reply));
    rig.event("bridge");
    rig.beats(1).await;
    assert!(lent.await.is_err(), "a made-up leg is no handle");
    let told = client.told();
    assert_eq!(
        told.iter().map(brief).collect::<Vec<_>>(),
        ["playback cleared u", "call_event bridge"]
    );
    let lengths = told[0]["played_ms"].as_u64().zip(told[0]["discarded_ms"].as_u64());
    assert_eq!(lengths.map(|(played, discarded)| played + discarded), Some(1000));
    client.text(r#"{"type":"mark","name":"m","id":"m"}"#);
    client.text(r#"{"type":"dtmf","digits":"1","id":"d"}"#);
    client.text(r#"{"type":"ping","id":"p"}"#);
    client.pcm(&[500; 1600]);
    rig.beats(1).await;
    assert_eq!(
        client.brief(),
        ["error conflict m", "pong p", "warning dropped"],
        "audio is refused, and the call presses the key"
    );
    assert!(matches!(wishes(&mut rig)[..], [(_, Wish::Dtmf(_))]));
    rig.stop("completed");
    rig.beats(1).await;
    assert_eq!(client.brief().last().unwrap(), "stop completed");
}
