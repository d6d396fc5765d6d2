//! A world: our endpoint, a carrier, a network between them, and one virtual clock.
//!
//! A test drives the carrier by hand (`world.carrier(…)` answers, `world.wait(…)` for what we send)
//! and the endpoint by commands; [`World::finish`] runs until nothing is left to happen and checks
//! what must hold after every call.

use crate::carrier::{Inbox, Received, Side};
use crate::clock::{origin, secs};
use crate::net::{Delivery, Faults, Net, Packet, seed_of};
use bellwire::id::SessionId;
use bellwire::sip::endpoint::{Endpoint, EndpointStats};
use bellwire::sip::interface::{
    Command, ConnectionId, EndCause, Ending, EndpointSpec, Event, Flow, Input, Invite, Note,
    Output, Transport, TrunkSpec,
};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub const US: &str = "10.0.0.1:5060";
pub const CARRIER: &str = "10.0.0.2:5060";
pub const OFFER: &[u8] = b"v=0 offer";
pub const ANSWER: &[u8] = b"v=0 answer";

pub fn addr(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// One endpoint with everything it has said.
pub struct Agent {
    pub endpoint: Endpoint,
    pub addresses: Vec<SocketAddr>,
    pub events: Vec<(Instant, SessionId, Event)>,
    pub notes: Vec<Note>,
    pub queries: Vec<(u64, String)>,
    /// The names that certificates were to show, with where they were asked for.
    pub names: Vec<(SocketAddr, String)>,
    deadline: Option<Instant>,
    fresh: Vec<(SessionId, Event)>,
}

impl Agent {
    pub fn new(now: Instant, spec: EndpointSpec) -> Self {
        let addresses = spec.listen.iter().map(|(_, address)| *address).collect();
        Self {
            endpoint: Endpoint::new(now, spec),
            addresses,
            events: Vec::new(),
            notes: Vec::new(),
            queries: Vec::new(),
            names: Vec::new(),
            deadline: Some(now),
            fresh: Vec::new(),
        }
    }

    /// Gives the endpoint one input and the network what comes of it.
    pub fn feed(&mut self, now: Instant, net: &mut Net, input: Input<'_>) {
        self.endpoint.handle(now, input);
        for _ in 0..100_000 {
            match self.endpoint.poll_output() {
                Output::Transmit { flow, bytes, server_name } => {
                    self.names.extend(server_name.map(|name| (flow.remote, name.to_string())));
                    let (transport, connection) = (flow.transport, flow.connection);
                    let (from, to) = (flow.local, flow.remote);
                    net.send(now, Packet { transport, from, to, connection, bytes });
                }
                Output::Resolve { query, host, .. } => self.queries.push((query, host)),
                Output::Event { session, event } => {
                    self.events.push((now, session, event.clone()));
                    self.fresh.push((session, event));
                }
                Output::Note(note) => self.notes.push(note),
                Output::Timeout(at, _) => {
                    self.deadline = at;
                    return;
                }
            }
        }
        panic!("the endpoint never stops talking");
    }

    /// Events since the last time this was asked.
    pub fn fresh_events(&mut self) -> Vec<(SessionId, Event)> {
        std::mem::take(&mut self.fresh)
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub fn deliver(&mut self, now: Instant, net: &mut Net, delivery: &Delivery) {
        match delivery {
            Delivery::Packet(packet) => {
                let flow = flow_at(packet, packet.to, packet.from);
                self.feed(now, net, Input::Received { flow, bytes: &packet.bytes });
            }
            Delivery::Refused(packet) => {
                let flow = flow_at(packet, packet.from, packet.to);
                self.feed(now, net, Input::Unreachable { flow });
            }
        }
    }
}

fn flow_at(packet: &Packet, local: SocketAddr, remote: SocketAddr) -> Flow {
    Flow { transport: packet.transport, local, remote, connection: packet.connection }
}

/// A trunk whose only proxy and source is the carrier.
pub fn trunk(proxies: &[&str]) -> TrunkSpec {
    TrunkSpec {
        username: Some("user".into()),
        password: Some("secret".into()),
        sources: vec![("10.0.0.2".parse().expect("ip"), 31)],
        ..TrunkSpec::new("carrier", proxies.iter().map(ToString::to_string).collect())
    }
}

pub fn spec(seed: u64) -> EndpointSpec {
    let listen = vec![(Transport::Udp, addr(US)), (Transport::Tcp, addr(US))];
    EndpointSpec {
        trunks: vec![trunk(&["sip:10.0.0.2"])],
        user_agent: "Bellwire".into(),
        sessions_max: 100,
        setup_rate: 1000,
        ..EndpointSpec::new(listen, seed_of(seed, 2))
    }
}

/// Something that is to happen at a set time.
#[derive(Debug)]
pub enum Planned {
    /// The carrier sends this.
    Send(String),
    /// The application asks for this.
    Command(Command),
    /// A robot is to say something in this call.
    Talk(String),
}

pub struct World {
    pub now: Instant,
    pub net: Net,
    pub us: Agent,
    /// What the carrier's addresses have received and not yet looked at.
    pub inbox: Inbox,
    pub seed: u64,
    calls: u64,
    plan: BTreeMap<(Instant, u64), Planned>,
    planned: u64,
    due: Vec<Planned>,
}

impl World {
    pub fn new(seed: u64) -> Self {
        Self::with(seed, spec(seed))
    }

    pub fn with(seed: u64, spec: EndpointSpec) -> Self {
        let now = origin();
        let mut world = Self {
            now,
            net: Net::new(seed, Faults::NONE),
            us: Agent::new(now, spec),
            inbox: Inbox::default(),
            seed,
            calls: 0,
            plan: BTreeMap::new(),
            planned: 0,
            due: Vec::new(),
        };
        world.us.feed(now, &mut world.net, Input::Timeout);
        world
    }

    pub fn command(&mut self, command: Command) {
        self.us.feed(self.now, &mut self.net, Input::Command(command));
    }

    /// Starts an outgoing call.
    pub fn call(&mut self) -> SessionId {
        self.call_with(|_| {})
    }

    pub fn call_with(&mut self, change: impl FnOnce(&mut Invite)) -> SessionId {
        self.calls += 1;
        let session = SessionId(self.calls);
        let mut invite = Invite::new(
            session,
            "carrier",
            "sip:+14155550123@carrier.example",
            "+14155550100",
            OFFER.to_vec(),
        );
        change(&mut invite);
        self.command(Command::Invite(Box::new(invite)));
        session
    }

    pub fn hangup(&mut self, session: SessionId) {
        self.command(Command::Hangup { session, reason: None });
    }

    /// Sends bytes from the carrier's address.
    pub fn send(&mut self, text: &str) {
        self.send_from(CARRIER, Transport::Udp, None, text);
    }

    pub fn send_from(
        &mut self,
        from: &str,
        transport: Transport,
        connection: Option<ConnectionId>,
        text: &str,
    ) {
        let bytes = text.as_bytes().to_vec();
        let packet = Packet { transport, from: addr(from), to: addr(US), connection, bytes };
        self.net.send(self.now, packet);
    }

    /// Breaks a connection: our side hears of it.
    pub fn lose_connection(&mut self, from: &str, to: &str, connection: Option<ConnectionId>) {
        self.net.reset(addr(from));
        let (local, remote) = (addr(to), addr(from));
        let flow = Flow { transport: Transport::Tcp, local, remote, connection };
        self.us.feed(self.now, &mut self.net, Input::Unreachable { flow });
    }

    /// Runs until the given moment, or until nothing is left to happen; false in the second case.
    pub fn run_until(&mut self, end: Instant) -> bool {
        loop {
            let Some(next) = self.next_moment() else { return false };
            if next > end {
                self.now = end;
                return true;
            }
            self.advance(next);
        }
    }

    pub fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        self.run_until(end);
        self.now = end;
    }

    fn plan(&mut self, after: Duration, planned: Planned) {
        self.planned += 1;
        self.plan.insert((self.now + after, self.planned), planned);
    }

    pub fn plan_send(&mut self, after: Duration, text: String) {
        self.plan(after, Planned::Send(text));
    }

    pub fn plan_command(&mut self, after: Duration, command: Command) {
        self.plan(after, Planned::Command(command));
    }

    pub fn plan_talk(&mut self, after: Duration, call_id: String) {
        self.plan(after, Planned::Talk(call_id));
    }

    /// Planned things that have come due and are not the world's own business.
    pub fn due(&mut self) -> Vec<Planned> {
        std::mem::take(&mut self.due)
    }

    /// Goes on to the next moment; false if there is none before `end`.
    pub fn step_until(&mut self, end: Instant) -> bool {
        let next = self.next_moment().filter(|next| *next <= end);
        if let Some(next) = next {
            self.advance(next);
        }
        next.is_some()
    }

    fn next_moment(&self) -> Option<Instant> {
        let planned = self.plan.first_key_value().map(|((at, _), _)| *at);
        [self.net.next(), self.us.deadline(), planned].into_iter().flatten().min()
    }

    fn advance(&mut self, to: Instant) {
        self.now = self.now.max(to);
        while let Some(entry) = self.plan.first_entry().filter(|entry| entry.key().0 <= self.now) {
            match entry.remove() {
                Planned::Send(text) => self.send(&text),
                Planned::Command(command) => self.command(command),
                talk @ Planned::Talk(_) => self.due.push(talk),
            }
        }
        if self.us.deadline().is_some_and(|at| at <= self.now) {
            self.us.feed(self.now, &mut self.net, Input::Timeout);
        }
        while let Some(delivery) = self.net.arrive(self.now) {
            let ours = match &delivery {
                Delivery::Packet(packet) => self.us.addresses.contains(&packet.to),
                Delivery::Refused(packet) => self.us.addresses.contains(&packet.from),
            };
            if ours {
                self.us.deliver(self.now, &mut self.net, &delivery);
            } else if let Delivery::Packet(packet) = delivery {
                self.inbox.take(packet);
            }
        }
    }

    /// Runs until the carrier receives a message that begins so; copies of one seen are skipped.
    pub fn wait(&mut self, start: &str) -> crate::carrier::Received {
        self.wait_long(start, secs(60))
    }

    /// The same with another patience.
    pub fn wait_long(&mut self, start: &str, patience: Duration) -> crate::carrier::Received {
        let end = self.now + patience;
        loop {
            if let Some(message) = self.inbox.find(start) {
                return message;
            }
            match self.next_moment() {
                Some(next) if next <= end => self.advance(next),
                Some(_) | None => panic!("{start} never came; got {:#?}", self.inbox.history),
            }
        }
    }

    /// Runs for a while in which the carrier must receive nothing that begins so.
    pub fn never(&mut self, start: &str, during: Duration) {
        self.run(during);
        assert!(self.inbox.find(start).is_none(), "{start} came, seed {}", self.seed);
    }

    /// All events of a session, by name.
    pub fn told(&self, session: SessionId) -> Vec<String> {
        let of = self.us.events.iter().filter(|(_, id, _)| *id == session);
        of.map(|(_, _, event)| name(event)).collect()
    }

    pub fn ending(&self, session: SessionId) -> Option<Ending> {
        self.us.events.iter().find_map(|(_, id, event)| match event {
            Event::Ended(ending) if *id == session => Some(ending.clone()),
            _ => None,
        })
    }

    pub fn cause(&self, session: SessionId) -> Option<EndCause> {
        self.ending(session).map(|ending| ending.cause)
    }

    /// The session of the last incoming call.
    pub fn incoming(&self) -> SessionId {
        let last = self.us.events.iter().rev();
        let mut ids = last.filter(|(_, _, event)| matches!(event, Event::Incoming(_)));
        ids.next().expect("an incoming call").1
    }

    /// Lets this side call and answers it; its 200 is confirmed next by an ACK of the scenario's.
    pub fn answer(&mut self, side: &mut Side) -> (SessionId, Received) {
        self.send(&side.invite());
        self.wait("SIP/2.0 100");
        let session = self.incoming();
        self.command(Command::Answer { session, sdp: ANSWER.to_vec() });
        let ok = self.wait("SIP/2.0 200");
        side.confirm(&ok);
        (session, ok)
    }

    /// Runs until nothing is left to happen, and checks what must hold after every call.
    pub fn finish(&mut self) {
        self.run(secs(200));
        check(&self.us, self.seed);
    }
}

/// The invariants: nothing outlives its call, and each session has exactly one end.
pub fn check(agent: &Agent, seed: u64) {
    let replay = format!("replay with BELLWIRE_SIM_SEED={seed}");
    assert_eq!(agent.endpoint.stats(), EndpointStats::default(), "{replay}");
    assert_eq!(agent.deadline(), None, "{replay}");
    let mut ends: BTreeMap<SessionId, usize> = BTreeMap::new();
    for (_, session, event) in &agent.events {
        let ended = ends.entry(*session).or_default();
        assert_eq!(*ended, 0, "{session} heard {event:?} after its end; {replay}");
        *ended += usize::from(matches!(event, Event::Ended(_)));
    }
    for (session, count) in ends {
        assert_eq!(count, 1, "{session} has {count} ends; {replay}");
    }
}

pub fn name(event: &Event) -> String {
    match event {
        Event::Incoming(_) => "incoming".into(),
        Event::Dialing { .. } => "dialing".into(),
        Event::Provisional { code, sdp, .. } => {
            format!("{code}{}", if sdp.is_some() { " sdp" } else { "" })
        }
        Event::Answered { .. } => "answered".into(),
        Event::Confirmed { .. } => "confirmed".into(),
        Event::Reoffer { .. } => "reoffer".into(),
        Event::InfoDtmf { digit, .. } => format!("dtmf {digit}"),
        Event::Offered { .. } => "offered".into(),
        Event::Redirected { code, targets } => format!("redirected {code} {}", targets.join(" ")),
        Event::Agreed { .. } => "agreed".into(),
        Event::Reoffered(Ok(_)) => "reoffered".into(),
        Event::Reoffered(Err(code)) => format!("reoffered {code}"),
        Event::Authenticated { username } => format!("authenticated {username}"),
        Event::ReferAsked { to, .. } => format!("refer asked {to}"),
        Event::Transfer(state) => format!("transfer {state:?}"),
        Event::Ended(ending) => match ending.code {
            Some(code) => format!("ended {:?} {code}", ending.cause),
            None => format!("ended {:?}", ending.cause),
        },
    }
}
