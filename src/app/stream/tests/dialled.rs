//! Client mode: the call fetches its client, in virtual time.

use super::*;
use crate::app::stream::SeatError;
use crate::app::stream::dialer::{
    Attempt, ConnectAt, Connector, DialFault, DialPlan, Dialled, Had, Opening,
};
use std::collections::VecDeque;
use tokio::time::Instant;

/// What becomes of an attempt.
enum Fate {
    /// It brings the socket of this client.
    Opens(Client, Box<dyn ClientSocket>),
    /// It is refused.
    Fails(DialFault),
    /// Nothing comes of it.
    Hangs,
}

fn opens() -> Fate {
    let (client, socket) = Client::new();
    Fate::Opens(client, socket)
}

fn refused(detail: &str) -> Fate {
    Fate::Fails(DialFault { detail: detail.to_owned(), last: false, retry_after: None })
}

/// A server that meets attempts with what was laid ready, and then with silence.
#[derive(Default)]
struct Server {
    ready: Mutex<VecDeque<Fate>>,
    clients: Mutex<VecDeque<Client>>,
    attempts: Mutex<Vec<(Attempt, Instant)>>,
}

impl Server {
    fn with(fates: impl IntoIterator<Item = Fate>) -> Arc<Self> {
        let ready = Mutex::new(fates.into_iter().collect());
        Arc::new(Self { ready, ..Self::default() })
    }

    /// The numbers of attempts so far.
    fn count(&self) -> usize {
        self.attempts.lock().unwrap().len()
    }

    fn attempt(&self, nth: usize) -> Attempt {
        self.attempts.lock().unwrap()[nth].0.clone()
    }

    /// Milliseconds between the attempts.
    fn waits(&self) -> Vec<u128> {
        let attempts = self.attempts.lock().unwrap();
        attempts.windows(2).map(|pair| (pair[1].1 - pair[0].1).as_millis()).collect()
    }

    /// The client that was attached first and not taken yet.
    fn client(&self) -> Client {
        self.clients.lock().unwrap().pop_front().expect("an attempt succeeded")
    }
}

impl Connector for Arc<Server> {
    fn open(&self, attempt: Attempt) -> Opening {
        self.attempts.lock().unwrap().push((attempt, Instant::now()));
        match self.ready.lock().unwrap().pop_front() {
            Some(Fate::Opens(client, socket)) => {
                self.clients.lock().unwrap().push_back(client);
                Box::pin(std::future::ready(Ok(Dialled { socket, had: Had::default() })))
            }
            Some(Fate::Fails(fault)) => Box::pin(std::future::ready(Err(fault))),
            Some(Fate::Hangs) | None => Box::pin(std::future::pending()),
        }
    }
}

fn dialled(server: &Arc<Server>, at: ConnectAt) -> StreamSpec {
    let options = StreamOptions { rate: Some(8000), out_rate: Some(8000), ..native() };
    let connector = Arc::new(Arc::clone(server));
    let rights = StreamRights::default();
    let dial = Some(DialPlan { connector, at, rights, seed: [9; 32] });
    StreamSpec { options, dial, ..spec() }
}

fn native() -> StreamOptions {
    let pairs = [("protocol".to_owned(), "native".to_owned())];
    StreamOptions::from_query::<&str>(&pairs, &[]).unwrap()
}

async fn event(rig: &mut Rig, event: &'static str) {
    rig.control.send(Control::CallEvent { event, detail: None }).await.unwrap();
    rig.beats(1).await;
}

#[tokio::test(start_paused = true)]
async fn an_outgoing_call_dials_its_client_when_it_is_answered() {
    let server = Server::with([opens()]);
    let mut rig = Rig::with(dialled(&server, ConnectAt::Answer));
    for told in ["queued", "dialing", "ringing"] {
        event(&mut rig, told).await;
    }
    assert_eq!(server.count(), 0);
    event(&mut rig, "answered").await;
    rig.start();
    rig.beats(1).await;
    assert_eq!(server.attempt(0), Attempt { number: 1, resume: None });
    let mut client = server.client();
    let told = client.told();
    assert_eq!((&told[0]["type"], &told[0]["resumed"]), (&"start".into(), &false.into()));
    assert_eq!(brief(&told[4]), "call_event answered");
    client.pcm(&ramp(0, 320));
    rig.beats(4).await;
    assert_eq!(rig.leg.sent, ramp(0, 320));
    assert!(matches!(rig.reports()[0], Report::Attached { protocol: "native", rate: Some(8000) }));
    assert_eq!(server.count(), 1, "Start is no second sign");
}

#[tokio::test(start_paused = true)]
async fn early_clients_are_dialled_with_the_call_and_those_of_incoming_calls_at_once() {
    let server = Server::with([opens()]);
    let mut rig = Rig::with(dialled(&server, ConnectAt::Early));
    event(&mut rig, "queued").await;
    assert_eq!(server.count(), 0);
    event(&mut rig, "dialing").await;
    assert_eq!(server.client().brief()[0], "start");
    let server = Server::with([opens()]);
    let spec = dialled(&server, ConnectAt::Answer);
    let mut rig = Rig::with(StreamSpec { direction: Direction::Inbound, ..spec });
    rig.beats(1).await;
    assert_eq!(server.client().brief()[0], "start");
}

#[tokio::test(start_paused = true)]
async fn nobody_else_sits_down_where_a_client_is_dialled() {
    let server = Server::with([refused("no")]);
    let mut rig = Rig::answered_with(dialled(&server, ConnectAt::Answer)).await;
    rig.beats(1).await;
    assert_eq!(rig.seats.reserve(StreamOptions::default()).unwrap_err(), SeatError::Dialled);
}

#[tokio::test(start_paused = true)]
async fn refused_attempts_are_told_and_made_again_until_the_wait_is_over() {
    let server = Server::with((0..100).map(|_| refused("status 401")));
    let mut rig = Rig::answered_with(dialled(&server, ConnectAt::Answer)).await;
    rig.beats(499).await;
    let reports = rig.reports();
    let failed = |report: &&Report| matches!(report, Report::DialFailed { detail, .. } if detail == "status 401");
    assert_eq!(reports.iter().filter(failed).count(), server.count());
    let waits = server.waits();
    assert!((5..10).contains(&waits.len()), "{waits:?}");
    for (wait, most) in waits.iter().zip([200, 400, 800, 1600, 3200, 5000, 5000, 5000, 5000]) {
        assert!((most / 2..=most + 2).contains(wait), "{waits:?}");
    }
    rig.beats(10).await;
    let reports = rig.reports();
    let lost = reports.iter().find_map(|report| match report {
        Report::StreamLost { detail } => Some(detail.as_str()),
        _ => None,
    });
    assert_eq!(lost, Some("no client came within 10000 ms: status 401"));
}

#[tokio::test(start_paused = true)]
async fn a_client_out_of_reach_ends_an_answered_call_at_once() {
    let fault = DialFault { detail: "not public".to_owned(), last: true, retry_after: None };
    let server = Server::with([Fate::Fails(fault.clone())]);
    let mut rig = Rig::answered_with(dialled(&server, ConnectAt::Answer)).await;
    rig.beats(2).await;
    let lost = Report::StreamLost { detail: "not public".to_owned() };
    assert!(rig.reports().contains(&lost));
    rig.beats(500).await;
    assert_eq!(server.count(), 1);
    // Before the answer there is nothing to end.
    let server = Server::with([Fate::Fails(fault)]);
    let mut rig = Rig::with(dialled(&server, ConnectAt::Early));
    event(&mut rig, "dialing").await;
    assert!(!rig.reports().contains(&lost));
    rig.start();
    rig.beats(2).await;
    assert!(rig.reports().contains(&lost));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_broke_off_is_dialled_again_while_the_sound_goes_on() {
    let server = Server::with([opens(), refused("status 502"), opens()]);
    let mut rig = Rig::answered_with(dialled(&server, ConnectAt::Answer)).await;
    rig.beats(1).await;
    let mut client = server.client();
    let seq = client.told().last().unwrap()["seq"].as_u64().unwrap();
    client.pcm(&ramp(0, 16_000));
    rig.beats(2).await;
    let told = client.told();
    let seq = told.last().map_or(seq, |last| last["seq"].as_u64().unwrap());
    drop(client);
    rig.beats(60).await;
    let mut client = server.client();
    let told = client.told();
    assert_eq!(told[0]["resumed"], true, "{told:?}");
    for nth in [1, 2] {
        let resume = server.attempt(nth).resume.unwrap();
        assert_eq!(resume.since, seq, "attempt {nth}");
        assert!(resume.token.len() >= 20, "{resume:?}");
    }
    let waits = server.waits();
    assert!(waits.iter().sum::<u128>() < 1200, "{waits:?}");
    rig.beats(60).await;
    assert_eq!(rig.leg.sent, ramp(0, 16_000), "what was queued went on");
    assert!(!rig.reports().iter().any(|report| matches!(report, Report::StreamLost { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_comes_back_ends_the_call_with_the_linger() {
    let server = Server::with([opens()]);
    let mut rig = Rig::answered_with(dialled(&server, ConnectAt::Answer)).await;
    rig.beats(1).await;
    drop(server.client());
    rig.beats(1495).await;
    let lost = |report: &Report| matches!(report, Report::StreamLost { .. });
    assert!(!rig.reports().iter().any(lost));
    rig.beats(20).await;
    let reports = rig.reports();
    let detail = "no client came back within 30000 ms: the connection to the stream's server broke";
    assert_eq!(reports, [Report::StreamLost { detail: detail.to_owned() }]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_closes_in_order_is_done_with_the_call() {
    for code in [1000, 1005] {
        let server = Server::with([opens(), opens()]);
        let mut rig = Rig::answered_with(dialled(&server, ConnectAt::Answer)).await;
        rig.beats(1).await;
        let client = server.client();
        client.pcm(&ramp(0, 1600));
        client.close_with(code);
        rig.beats(3).await;
        assert!(!rig.reports().iter().any(|report| matches!(report, Report::PlaybackDone { .. })));
        rig.beats(20).await;
        assert_eq!(rig.leg.sent, ramp(0, 1600), "goodbyes are heard");
        let done = |report: &Report| matches!(report, Report::PlaybackDone { played_ms: 200 });
        assert!(rig.reports().iter().any(done), "{code}");
        rig.beats(500).await;
        assert_eq!(server.count(), 1, "{code}");
    }
    for code in [1001, 1011, 1012] {
        let server = Server::with([opens(), opens()]);
        let mut rig = Rig::answered_with(dialled(&server, ConnectAt::Answer)).await;
        rig.beats(1).await;
        server.client().close_with(code);
        rig.beats(20).await;
        assert_eq!(server.count(), 2, "{code} is a reason to come back");
        let told = format!("the stream's server closed it with {code}");
        let why = |report: &Report| matches!(report, Report::DialFailed { detail, .. } if *detail == told);
        assert!(rig.reports().iter().any(why));
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_speaks_something_else_is_not_asked_again() {
    let server = Server::with([opens(), opens()]);
    let mut rig = Rig::answered_with(dialled(&server, ConnectAt::Answer)).await;
    rig.beats(1).await;
    let client = server.client();
    for _ in 0..70 {
        client.text("hello?");
    }
    rig.beats(5).await;
    drop(client);
    rig.beats(200).await;
    assert_eq!(server.count(), 1);
    let lost = |report: &Report| matches!(report, Report::StreamLost { detail } if detail.contains("protocol"));
    assert!(rig.reports().iter().any(lost));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_call_ends_an_attempt() {
    let server = Server::with([Fate::Hangs]);
    let mut rig = Rig::answered_with(dialled(&server, ConnectAt::Answer)).await;
    rig.beats(1).await;
    assert_eq!(server.count(), 1);
    rig.stop("caller_hangup");
    rig.settle().await;
    rig.task.await.unwrap();
}
