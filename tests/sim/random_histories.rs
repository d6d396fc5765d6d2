//! Thousands of whole calls between two endpoints, with commands and faults in random order.
//!
//! `BELLWIRE_SIM_SEED=<seed>` replays one history, `SEEDS=<n>` runs that many.

use crate::clock::{ms, secs};
use crate::net::Faults;
use crate::pair::Pair;
use crate::world::{ANSWER, OFFER, name};
use bellwire::id::SessionId;
use bellwire::sip::interface::{Command, EndCause, Event, Invite, TransferState, Transport};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const CALLS: u64 = 20;

/// The seeds to run: one to replay, or as many as asked for.
pub fn seeds(default: u64) -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    match number("BELLWIRE_SIM_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("SEEDS").unwrap_or(default)).collect(),
    }
}

fn faults(seed: u64) -> Faults {
    match seed % 4 {
        0 => Faults::NONE,
        1 => Faults { loss: 100, duplication: 100, reordering: 100, delay: ms(50) },
        2 => Faults { loss: 200, duplication: 50, reordering: 200, delay: ms(200) },
        _ => Faults { loss: 300, duplication: 200, reordering: 300, delay: ms(100) },
    }
}

fn invite(pair: &mut Pair, which: usize, number: u64) -> Command {
    let sdp = if pair.rng.chance(200) { vec![b'x'; 1500] } else { OFFER.to_vec() };
    let to = format!("sip:callee@10.0.0.{}", 2 - which);
    let mut invite = Invite::new(SessionId(number), "carrier", &to, "caller", sdp);
    if pair.rng.chance(250) {
        invite.sdp = None;
    }
    Command::Invite(Box::new(invite))
}

fn hangup(session: SessionId) -> Command {
    Command::Hangup { session, reason: None }
}

/// Answers events as an application with moods.
fn application(pair: &mut Pair, which: usize, session: SessionId, event: &Event) {
    match event {
        Event::Incoming(_) => incoming(pair, which, session),
        // Now and then nobody answers it.
        Event::Offered { .. } if pair.rng.chance(50) => {}
        Event::Offered { .. } => {
            let after = pair.some(secs(3));
            pair.plan(after, which, Command::Acknowledge { session, sdp: ANSWER.to_vec() });
        }
        Event::Answered { .. } | Event::Confirmed { .. } => {
            live(pair, which, session);
            // One side surely hangs up, often both do, now and then at the same moment.
            if which == 0 || pair.rng.chance(500) {
                let max = if pair.rng.chance(300) { ms(50) } else { secs(90) };
                let after = pair.some(max);
                pair.plan(after, which, hangup(session));
            } else {
                pair.plan(secs(120), which, hangup(session));
            }
        }
        Event::Reoffer { .. } | Event::ReferAsked { .. } => asked(pair, which, session, event),
        _ => {}
    }
}

/// What an application does with a session that stands: offers, digits, transfers.
fn live(pair: &mut Pair, which: usize, session: SessionId) {
    for number in 0..pair.rng.below(5) {
        let after = pair.some(secs(60));
        let command = match pair.rng.below(4) {
            0 | 1 => Command::Reoffer { session, sdp: format!("v=0 {number}").into_bytes() },
            2 => Command::Info { session, digit: '5', duration_ms: 100 },
            _ => {
                let to = "sip:elsewhere@example.com".to_owned();
                Command::Refer { session, to, replaces: None, headers: Vec::new() }
            }
        };
        // Both sides mostly do it at once: that is where the races are.
        let after = if pair.rng.chance(500) { secs(after.as_secs() / 10 * 10) } else { after };
        pair.plan(after, which, command);
    }
}

/// Answers what the peer asks of a session that stands, late or not at all now and then.
fn asked(pair: &mut Pair, which: usize, session: SessionId, event: &Event) {
    let longest = if pair.rng.chance(100) { secs(40) } else { ms(300) };
    let after = pair.some(longest);
    let refuse = pair.rng.chance(200);
    if matches!(event, Event::Reoffer { .. }) {
        let answer = if refuse {
            Command::Reject { session, code: 488, reason: String::new() }
        } else {
            Command::Reanswer { session, sdp: ANSWER.to_vec() }
        };
        return pair.plan(after, which, answer);
    }
    let code = if refuse { 403 } else { 202 };
    pair.plan(after, which, Command::AnswerRefer { session, code });
    for code in [100, 180, 200] {
        let after = after + pair.some(secs(20));
        pair.plan(after, which, Command::NotifyRefer { session, code });
    }
}

fn incoming(pair: &mut Pair, which: usize, session: SessionId) {
    let mut after = Duration::ZERO;
    for _ in 0..pair.rng.below(3) {
        after += pair.some(secs(3));
        let ring = match pair.rng.below(2) {
            0 => Command::Ring(session),
            _ => Command::Progress { session, sdp: ANSWER.to_vec() },
        };
        pair.plan(after, which, ring);
    }
    let longest = secs(if pair.rng.chance(300) { 100 } else { 4 });
    after += pair.some(longest);
    let last = match pair.rng.below(10) {
        0 => Command::Reject { session, code: 486, reason: String::new() },
        1 => hangup(session),
        _ => Command::Answer { session, sdp: ANSWER.to_vec() },
    };
    pair.plan(after, which, last);
    pair.plan(secs(300), which, hangup(session));
}

fn history(seed: u64, transport: Transport, told: &mut BTreeMap<String, usize>) -> u64 {
    let mut pair = Pair::with(seed, faults(seed), transport, |which, spec| {
        spec.trunks[0].take_refer = seed.is_multiple_of(3);
        let interval = [None, Some(secs(90)), Some(secs(150))]
            [(usize::try_from(seed).unwrap() / 2 + which) % 3];
        spec.trunks[0].session_timer = interval;
    });
    for number in 0..CALLS {
        let which = usize::try_from(pair.rng.below(2)).unwrap();
        let start = pair.some(secs(60));
        let command = invite(&mut pair, which, number);
        pair.plan(start, which, command);
        // The caller may lose patience at any time.
        let patience = if pair.rng.chance(500) { pair.some(secs(8)) } else { secs(200) };
        pair.plan(start + patience, which, hangup(SessionId(number)));
    }
    pair.run(application);
    pair.check();
    plausible(&pair, seed);
    for (_, _, event) in pair.agents.iter().flat_map(|agent| &agent.events) {
        *told.entry(name(event)).or_default() += 1;
    }
    pair.watch.messages
}

/// What the two sides must agree on.
fn plausible(pair: &Pair, seed: u64) {
    let events = || pair.agents.iter().flat_map(|agent| &agent.events);
    let count = |wanted: fn(&Event) -> bool| events().filter(|(_, _, e)| wanted(e)).count();
    let answered = count(|event| matches!(event, Event::Answered { .. }));
    let confirmed = count(|event| matches!(event, Event::Confirmed { .. }));
    let protocol =
        count(|event| matches!(event, Event::Ended(ending) if ending.cause == EndCause::Protocol));
    assert_eq!(protocol, 0, "we break no protocol ourselves, seed {seed}");
    assert!(confirmed <= answered + usize::try_from(CALLS).unwrap(), "seed {seed}");
    transfers_end_once(pair, seed);
    if seed.is_multiple_of(4) {
        assert!(answered > 0, "calls succeed on a clean network, seed {seed}");
    }
}

/// After `Succeeded` or `Failed` the next word of a transfer can only be that of another one.
fn transfers_end_once(pair: &Pair, seed: u64) {
    for agent in &pair.agents {
        let mut open = BTreeSet::new();
        for (_, session, event) in &agent.events {
            match event {
                Event::Transfer(TransferState::Accepted) => {
                    assert!(open.insert(*session), "accepted twice, seed {seed}");
                }
                Event::Transfer(TransferState::Progress { .. }) => {
                    assert!(open.contains(session), "progress of nothing, seed {seed}");
                }
                Event::Transfer(TransferState::Succeeded) => {
                    assert!(open.remove(session), "success of nothing, seed {seed}");
                }
                // One that was asked for while another is under way fails beside it.
                Event::Transfer(TransferState::Failed { code: 491, .. }) => {}
                Event::Transfer(TransferState::Failed { .. }) => _ = open.remove(session),
                _ => {}
            }
        }
    }
}

#[test]
fn calls_over_udp() {
    let seeds = seeds(150);
    let mut told = BTreeMap::new();
    let mut messages = 0;
    for seed in &seeds {
        messages += history(*seed, Transport::Udp, &mut told);
    }
    println!("{} calls, {messages} messages, {told:?}", seeds.len() as u64 * CALLS);
    if seeds.len() < 100 {
        return;
    }
    for wanted in
        ["reoffered", "reoffered 488", "dtmf 5", "transfer Accepted", "transfer Succeeded"]
    {
        assert!(told.contains_key(wanted), "{wanted} never happened: {told:?}");
    }
}

#[test]
fn calls_over_tcp() {
    for seed in seeds(50) {
        history(seed, Transport::Tcp, &mut BTreeMap::new());
    }
}

#[test]
fn one_seed_gives_one_history() {
    let trace = |seed| {
        let mut pair = Pair::new(seed, faults(3), Transport::Udp);
        let command = invite(&mut pair, 0, 1);
        pair.plan(Duration::ZERO, 0, command);
        pair.run(application);
        let agents = pair.agents.iter();
        agents.map(|agent| format!("{:?}", agent.events)).collect::<Vec<_>>()
    };
    assert_eq!(trace(7), trace(7));
    assert_ne!(trace(7), trace(8));
}
