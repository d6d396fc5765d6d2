//! Random gateways: silent, slow, busy, ringing, lying; with loss. Nothing may be left of any call.

use crate::carrier::Received;
use crate::clock::{ms, secs};
use crate::net::{Faults, seed_of};
use crate::world::{World, spec};
use bellwire::id::SessionId;
use bellwire::sip::interface::{Command, Transport};
use bellwire::time::Rng;

const GATEWAYS: [&str; 3] = ["10.0.0.2:5060", "10.0.0.3:5060", "10.0.0.4:5060"];
const CALLS: usize = 12;

fn world(seed: u64) -> World {
    let mut spec = spec(seed);
    spec.trunks[0].proxies = GATEWAYS.map(|place| format!("sip:{place}")).to_vec();
    let mut world = World::with(seed, spec);
    world.net.faults = Faults { loss: 150, duplication: 50, reordering: 100, ..Faults::NONE };
    world
}

/// What a gateway says to one message, now or later.
fn say(rng: &mut Rng, request: &Received) -> Vec<(u64, String)> {
    let soon = rng.below(300);
    let late = 3000 + rng.below(9000);
    match request.text.split(' ').next().unwrap_or("") {
        "INVITE" => match rng.below(9) {
            0 => vec![],
            1 => vec![(soon, request.simple("503 Busy"))],
            2 => vec![(soon, request.response("503 Busy", "r", "Retry-After: 3\r\n", ""))],
            3 => vec![(soon, request.simple("180 Ringing")), (late, request.simple("503 Down"))],
            4 => {
                vec![(soon, request.simple("180 Ringing")), (late, request.with_sdp("200 OK", "a"))]
            }
            5 => vec![(late, request.with_sdp("200 OK", "late"))],
            6 => {
                vec![(late, request.simple("180 Ringing")), (late + 500, request.simple("408 No"))]
            }
            7 => vec![(soon, request.simple("486 Busy Here"))],
            _ => vec![(soon, request.response("100 Trying", "", "", ""))],
        },
        "ACK" | "SIP/2.0" => vec![],
        _ => vec![(soon, request.simple("200 OK"))],
    }
}

fn play(seed: u64) {
    let mut world = world(seed);
    let mut rng = Rng::from_seed(seed_of(seed, 7));
    let mut plan: Vec<(std::time::Instant, String, String)> = Vec::new();
    let mut sessions: Vec<SessionId> = Vec::new();
    let end = world.now + secs(120);
    while world.now < end {
        if sessions.len() < CALLS && rng.chance(300) {
            sessions.push(world.call());
        }
        if let Some(session) = sessions.get(usize::try_from(rng.below(60)).unwrap()) {
            world.command(Command::Hangup { session: *session, reason: None });
        }
        world.run(ms(250));
        for request in world.inbox.drain() {
            let from = request.to.to_string();
            let cancelled = request.text.starts_with("CANCEL") && rng.chance(700);
            for (after, text) in say(&mut rng, &request) {
                plan.push((world.now + ms(after), from.clone(), text));
            }
            if cancelled {
                let gone = request.simple("487 Terminated").replace(" CANCEL\r\n", " INVITE\r\n");
                plan.push((world.now + ms(50), from, gone));
            }
        }
        let now = world.now;
        let due: Vec<_> = plan.extract_if(.., |(at, ..)| *at <= now).collect();
        for (_, from, text) in due {
            world.send_from(&from, Transport::Udp, None, &text);
        }
    }
    for session in &sessions {
        world.hangup(*session);
    }
    world.finish();
    for session in sessions {
        assert!(world.ending(session).is_some(), "{session} never ended, seed {seed}");
    }
}

#[test]
fn random_gateways_leave_nothing_behind() {
    let seeds = std::env::var("SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(40);
    match std::env::var("BELLWIRE_SIM_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => play(seed),
        None => (0..seeds).for_each(play),
    }
}
