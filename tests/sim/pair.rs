//! Two endpoints that call each other over a faulty network.

use crate::clock::{ms, origin, secs};
use crate::net::{Delivery, Faults, Net, seed_of};
use crate::watch::Watch;
use crate::world::{Agent, addr, check, spec};
use bellwire::id::SessionId;
use bellwire::sip::interface::{Command, EndpointSpec, Event, Input, Reliable, Transport};
use bellwire::time::Rng;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const ADDRESSES: [&str; 2] = ["10.0.0.1:5060", "10.0.0.2:5060"];

pub struct Pair {
    pub now: Instant,
    pub net: Net,
    pub agents: [Agent; 2],
    pub rng: Rng,
    pub watch: Watch,
    /// From then on everything is lost.
    pub blackout: Option<Duration>,
    plan: BTreeMap<(Instant, u64), (usize, Command)>,
    planned: u64,
    seed: u64,
}

fn spec_of(seed: u64, which: usize, transport: Transport) -> EndpointSpec {
    let mut spec = spec(seed);
    let own = addr(ADDRESSES[which]);
    let peer = addr(ADDRESSES[1 - which]);
    spec.listen = vec![(Transport::Udp, own), (Transport::Tcp, own)];
    spec.seed = seed_of(seed, 10 + u8::try_from(which).unwrap());
    let suffix = if transport == Transport::Tcp { ";transport=tcp" } else { "" };
    spec.trunks[0].proxies = vec![format!("sip:{}{suffix}", peer.ip())];
    spec.trunks[0].sources = vec![(peer.ip(), 32)];
    // Both sides alike: who requires reliable responses is refused by who has none.
    spec.trunks[0].reliable = match seed / 4 % 3 {
        0 => Reliable::Required,
        1 => Reliable::Supported,
        _ => Reliable::Off,
    };
    spec.sessions_max = 10_000;
    spec.setup_rate = 10_000;
    spec
}

impl Pair {
    pub fn new(seed: u64, faults: Faults, transport: Transport) -> Self {
        Self::with(seed, faults, transport, |_, _| {})
    }

    /// The same with something changed at one or both of them.
    pub fn with(
        seed: u64,
        faults: Faults,
        transport: Transport,
        change: impl Fn(usize, &mut EndpointSpec),
    ) -> Self {
        let now = origin();
        let agents = [0, 1].map(|which| {
            let mut spec = spec_of(seed, which, transport);
            change(which, &mut spec);
            Agent::new(now, spec)
        });
        Self {
            now,
            net: Net::new(seed, faults),
            agents,
            rng: Rng::from_seed(seed_of(seed, 3)),
            watch: Watch::default(),
            blackout: None,
            plan: BTreeMap::new(),
            planned: 0,
            seed,
        }
    }

    pub fn plan(&mut self, after: Duration, agent: usize, command: Command) {
        self.planned += 1;
        self.plan.insert((self.now + after, self.planned), (agent, command));
    }

    /// A random time up to `max`.
    pub fn some(&mut self, max: Duration) -> Duration {
        ms(self.rng.below(u64::try_from(max.as_millis()).unwrap() + 1))
    }

    /// Runs until nothing is left to happen, with `application` hearing every event.
    pub fn run(&mut self, mut application: impl FnMut(&mut Self, usize, SessionId, &Event)) {
        let end = self.now + secs(100_000);
        loop {
            let planned = self.plan.first_key_value().map(|((at, _), _)| *at);
            let deadlines = self.agents.iter().filter_map(Agent::deadline);
            let next = deadlines.chain(self.net.next()).chain(planned).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            if self.blackout.is_some_and(|after| self.now >= origin() + after) {
                self.net.faults.loss = 1000;
            }
            self.one_round();
            for which in 0..2 {
                for (session, event) in self.agents[which].fresh_events() {
                    application(self, which, session, &event);
                }
            }
        }
    }

    fn one_round(&mut self) {
        let now = self.now;
        while let Some(entry) = self.plan.first_entry().filter(|entry| entry.key().0 <= now) {
            let (which, command) = entry.remove();
            self.feed(which, Input::Command(command));
        }
        for which in 0..2 {
            if self.agents[which].deadline().is_some_and(|at| at <= now) {
                self.feed(which, Input::Timeout);
            }
        }
        while let Some(delivery) = self.net.arrive(now) {
            let Delivery::Packet(packet) = &delivery else { continue };
            let which = usize::from(self.agents[1].addresses.contains(&packet.to));
            let before = self.net.log.len();
            self.agents[which].deliver(now, &mut self.net, &delivery);
            let replies: Vec<Vec<u8>> =
                self.net.log[before..].iter().map(|(_, bytes)| bytes.clone()).collect();
            self.watch.received(now, &packet.bytes, &replies);
            self.report();
        }
    }

    fn feed(&mut self, which: usize, input: Input<'_>) {
        self.agents[which].feed(self.now, &mut self.net, input);
        self.report();
    }

    fn report(&mut self) {
        for (from, bytes) in self.net.log.drain(..) {
            self.watch.sent(self.now, from, &bytes);
        }
    }

    /// What must hold at the end.
    pub fn check(&self) {
        for agent in &self.agents {
            check(agent, self.seed);
        }
        let replay = format!("replay with BELLWIRE_SIM_SEED={}", self.seed);
        assert!(self.watch.violations.is_empty(), "{:?}; {replay}", self.watch.violations);
    }
}
