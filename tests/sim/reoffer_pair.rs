//! Two of our endpoints in one session: glare, refreshes, and an hour of ordinary life.

use crate::clock::{ms, secs};
use crate::net::Faults;
use crate::pair::Pair;
use crate::world::{ANSWER, OFFER};
use bellwire::id::SessionId;
use bellwire::sip::interface::{Command, Event, Invite, TransferState, Transport};
use std::time::Duration;

const CALLER: SessionId = SessionId(1);

/// A call from 0 to 1 that stands; `timer` is what each of the two trunks wants.
fn standing(seed: u64, faults: Faults, timers: [Option<Duration>; 2]) -> Pair {
    let mut pair = Pair::with(seed, faults, Transport::Udp, |which, spec| {
        spec.trunks[0].session_timer = timers[which];
        spec.trunks[0].take_refer = true;
    });
    let to = "sip:callee@10.0.0.2";
    let invite = Invite::new(CALLER, "carrier", to, "caller", OFFER.to_vec());
    pair.plan(Duration::ZERO, 0, Command::Invite(Box::new(invite)));
    pair
}

/// The session as each of the two numbers it.
fn session(which: usize) -> SessionId {
    if which == 0 { CALLER } else { SessionId(1 << 63) }
}

fn reoffer(which: usize, sdp: &str) -> Command {
    Command::Reoffer { session: session(which), sdp: sdp.as_bytes().to_vec() }
}

fn hangup(which: usize) -> Command {
    Command::Hangup { session: session(which), reason: None }
}

/// An application that answers everything at once.
fn willing(pair: &mut Pair, which: usize, session: SessionId, event: &Event) {
    let sdp = ANSWER.to_vec();
    match event {
        Event::Incoming(_) => {
            pair.plan(ms(100), which, Command::Answer { session, sdp });
        }
        Event::Reoffer { .. } => {
            pair.plan(ms(50), which, Command::Reanswer { session, sdp });
        }
        Event::ReferAsked { .. } => {
            pair.plan(ms(50), which, Command::AnswerRefer { session, code: 202 });
            pair.plan(secs(2), which, Command::NotifyRefer { session, code: 180 });
            pair.plan(secs(9), which, Command::NotifyRefer { session, code: 200 });
        }
        _ => {}
    }
}

/// What was told of one kind of event, with the moment.
fn told<T>(pair: &Pair, which: usize, pick: impl Fn(&Event) -> Option<T>) -> Vec<(Duration, T)> {
    let start = crate::clock::origin();
    let events = pair.agents[which].events.iter();
    events.filter_map(|(at, _, event)| Some((*at - start, pick(event)?))).collect()
}

fn agreed(event: &Event) -> Option<bool> {
    if let Event::Reoffered(result) = event { Some(result.is_ok()) } else { None }
}

#[test]
fn both_offer_at_once_and_both_are_served() {
    for seed in 0..50 {
        let mut pair = standing(seed, Faults::NONE, [None; 2]);
        for which in 0..2 {
            pair.plan(secs(10), which, reoffer(which, "v=0 hold"));
        }
        pair.plan(secs(30), 0, hangup(0));
        pair.run(willing);
        pair.check();
        let [ours, theirs] = [told(&pair, 0, agreed), told(&pair, 1, agreed)];
        assert!(matches!((&ours[..], &theirs[..]), ([(_, true)], [(_, true)])), "seed {seed}");
        let (first, second) = (theirs[0].0, ours[0].0);
        assert!(first < second, "who does not own the Call-ID comes first, seed {seed}");
        assert!(second < secs(10) + ms(5000), "seed {seed}");
    }
}

#[test]
fn both_offer_at_once_on_a_bad_network() {
    let faults = Faults { loss: 200, duplication: 100, reordering: 200, delay: ms(100) };
    for seed in 0..100 {
        let mut pair = standing(seed, faults, [None; 2]);
        for (round, which) in [0, 1, 0, 1].into_iter().enumerate() {
            pair.plan(secs(20) + ms(round as u64 / 2 * 20_000), which, reoffer(which, "v=0 x"));
        }
        pair.plan(secs(200), 0, hangup(0));
        pair.run(willing);
        pair.check();
    }
}

#[test]
fn one_hour_with_refreshes_hold_codec_change_and_a_transfer() {
    let bad = Faults { loss: 100, duplication: 100, reordering: 100, delay: ms(50) };
    for (seed, timers) in [
        [None, Some(secs(90))],
        [Some(secs(90)), None],
        [Some(secs(90)), Some(secs(90))],
        [Some(secs(1800)), Some(secs(300))],
    ]
    .into_iter()
    .enumerate()
    {
        for faults in [Faults::NONE, bad] {
            let mut pair = standing(seed as u64 + 40, faults, timers);
            for minute in (1..60).step_by(6) {
                let which = usize::from(minute % 4 == 3);
                let after = |minutes: u64| secs(minutes * 60 + 7);
                pair.plan(after(minute), which, reoffer(which, "v=0 hold"));
                pair.plan(after(minute + 1), which, reoffer(which, "v=0 resume"));
                pair.plan(after(minute + 2), 1 - which, reoffer(1 - which, "v=0 opus"));
            }
            let to = "sip:bob@example.com".to_owned();
            let refer = Command::Refer { session: CALLER, to, replaces: None, headers: Vec::new() };
            pair.plan(secs(3000), 0, refer);
            pair.plan(secs(3600), 1, hangup(1));
            pair.run(willing);
            pair.check();
            let ended = told(&pair, 0, |event| matches!(event, Event::Ended(_)).then_some(()));
            assert!(ended[0].0 >= secs(3600), "ended after {:?} with {timers:?}", ended[0].0);
            let served = [0, 1].map(|which| told(&pair, which, agreed).len());
            assert_eq!(served.iter().sum::<usize>(), 30, "{timers:?}");
            let transfer = told(&pair, 0, |event| match event {
                Event::Transfer(state) => Some(state.clone()),
                _ => None,
            });
            assert_eq!(transfer.last().unwrap().1, TransferState::Succeeded);
        }
    }
}

#[test]
fn network_that_dies_is_noticed_by_both_through_the_session_timer() {
    let mut pair = standing(1, Faults::NONE, [Some(secs(90)), None]);
    pair.blackout = Some(secs(1000));
    pair.run(willing);
    for which in 0..2 {
        let ended = told(&pair, which, |event| matches!(event, Event::Ended(_)).then_some(()));
        assert!(ended[0].0 < secs(1000 + 90 + 64), "{:?}", ended[0].0);
    }
    pair.check();
}
