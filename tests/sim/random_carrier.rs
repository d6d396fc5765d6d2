//! Random histories against a carrier that breaks every rule.

use crate::clock::{ms, secs};
use crate::net::{Faults, seed_of};
use crate::random_histories::seeds;
use crate::robot::Robot;
use crate::world::{ANSWER, Planned, World, check, name, spec};
use bellwire::id::SessionId;
use bellwire::sip::interface::{Command, Event, Reliable};
use bellwire::time::Rng;
use std::collections::BTreeMap;

const CALLS: u64 = 12;

fn application(world: &mut World, rng: &mut Rng, session: SessionId, event: &Event) {
    let mut plan = |max_ms: u64, command| world.plan_command(ms(rng.below(max_ms)), command);
    match event {
        Event::Incoming(_) => {
            plan(3000, Command::Ring(session));
            plan(5000, Command::Progress { session, sdp: ANSWER.to_vec() });
            plan(20_000, Command::Answer { session, sdp: ANSWER.to_vec() });
            plan(30_000, Command::Reject { session, code: 486, reason: String::new() });
            plan(200_000, Command::Hangup { session, reason: None });
            world.plan_command(secs(300), Command::Hangup { session, reason: None });
        }
        Event::Offered { .. } => {
            plan(5000, Command::Acknowledge { session, sdp: ANSWER.to_vec() });
        }
        Event::Redirected { targets, .. } => {
            let to = targets.first().cloned().unwrap_or_default();
            plan(5000, Command::Redirect { session, to });
        }
        Event::Reoffer { .. } => {
            plan(2000, Command::Reanswer { session, sdp: ANSWER.to_vec() });
            plan(2000, Command::Reject { session, code: 488, reason: String::new() });
        }
        Event::Answered { .. } | Event::Confirmed { .. } => {
            live(world, rng, session);
        }
        Event::ReferAsked { .. } => {
            plan(12_000, Command::AnswerRefer { session, code: 202 });
            plan(30_000, Command::NotifyRefer { session, code: 180 });
            plan(60_000, Command::NotifyRefer { session, code: 200 });
        }
        _ => {}
    }
}

/// What an application does with a session that stands.
fn live(world: &mut World, rng: &mut Rng, session: SessionId) {
    for _ in 0..rng.below(5) {
        let command = match rng.below(5) {
            0..3 => Command::Reoffer { session, sdp: b"v=0 ours".to_vec() },
            3 => Command::Info { session, digit: '5', duration_ms: 100 },
            _ => {
                let to = "sip:elsewhere@example.com".to_owned();
                Command::Refer { session, to, replaces: None, headers: Vec::new() }
            }
        };
        world.plan_command(ms(rng.below(60_000)), command);
    }
}

fn history(seed: u64) -> Vec<String> {
    let mut spec = spec(seed);
    spec.trunks[0].reliable = match seed % 3 {
        0 => Reliable::Supported,
        1 => Reliable::Required,
        _ => Reliable::Off,
    };
    spec.trunks[0].take_refer = seed.is_multiple_of(3);
    spec.trunks[0].session_timer = seed.is_multiple_of(4).then_some(secs(90));
    let mut world = World::with(seed, spec);
    let mut rng = Rng::from_seed(seed_of(seed, 20));
    let mut robot = Robot::new(rng.fork());
    if seed % 2 == 1 {
        world.net.faults = Faults { loss: 200, duplication: 100, reordering: 200, delay: ms(100) };
    }
    for number in 0..CALLS {
        if rng.chance(500) {
            robot.call(&mut world, &format!("r{number}"), rng.below(60_000));
        } else {
            let offers = rng.chance(700);
            let session = world.call_with(|invite| {
                invite.sdp = invite.sdp.take().filter(|_| offers);
            });
            let patience = ms(rng.below(90_000));
            world.plan_command(patience, Command::Hangup { session, reason: None });
        }
    }
    let end = world.now + Robot::PATIENCE;
    while world.step_until(end) {
        for message in world.inbox.drain() {
            robot.hear(&mut world, &message);
        }
        for planned in world.due() {
            match planned {
                Planned::Talk(call_id) => robot.talk(&mut world, &call_id),
                Planned::Send(_) | Planned::Command(_) => unreachable!("carried out already"),
            }
        }
        for (session, event) in world.us.fresh_events() {
            application(&mut world, &mut rng, session, &event);
        }
    }
    check(&world.us, seed);
    world.us.events.iter().map(|(_, _, event)| name(event)).collect()
}

#[test]
fn nothing_a_carrier_does_leaves_a_trace() {
    let mut told: BTreeMap<String, usize> = BTreeMap::new();
    let seeds = seeds(300);
    for name in seeds.iter().flat_map(|seed| history(*seed)) {
        *told.entry(name).or_default() += 1;
    }
    println!("{told:?}");
    if seeds.len() < 100 {
        return;
    }
    // The histories are worth something only if they reach everything.
    for wanted in [
        "incoming",
        "answered",
        "confirmed",
        "reoffer",
        "reoffered",
        "183 sdp",
        "offered",
        "agreed",
    ] {
        assert!(told.contains_key(wanted), "{wanted} never happened: {told:?}");
    }
    assert!(told.keys().any(|name| name.starts_with("redirected")), "{told:?}");
    for wanted in ["transfer Acc", "transfer Succ", "transfer Fail", "refer asked"] {
        assert!(told.keys().any(|name| name.starts_with(wanted)), "no {wanted}: {told:?}");
    }
    for cause in ["PeerHangup", "LocalHangup", "Refused", "Rejected", "Canceled", "Timeout"] {
        let wanted = format!("ended {cause}");
        assert!(told.keys().any(|name| name.starts_with(&wanted)), "no {wanted}: {told:?}");
    }
}
