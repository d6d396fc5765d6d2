//! Both legs played by the test: in virtual time, and once with the real media threads.

use super::super::fake::{FakeLeg, TICK};
use super::*;
use crate::audio::codec::CodecId;
use crate::media::interface::{Command, Event, JitterSpec, MediaParams, SendSpec};
use crate::media::worker::{LegSetup, MediaPool, MediaSpec, StartRule, ThreadWish};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::{interval, timeout};

const SPEC: BridgeSpec = BridgeSpec {
    rates: Sides { a: SampleRate::HZ_8000, b: SampleRate::HZ_8000 },
    pace: PaceSpec {
        min: Duration::from_millis(20),
        start: Duration::from_millis(40),
        max: Duration::from_millis(200),
    },
    relay_digits: true,
    muted: Sides { a: false, b: false },
};

struct Rig {
    a: FakeLeg,
    b: FakeLeg,
    orders: mpsc::Sender<Order>,
    events: mpsc::Receiver<BridgeEvent>,
    reports: watch::Receiver<BridgeReport>,
    task: JoinHandle<Ends>,
}

impl Rig {
    fn new(spec: BridgeSpec) -> Self {
        let (a, line_a, ears_a) = FakeLeg::line();
        let (b, line_b, ears_b) = FakeLeg::line();
        let ends = Sides { a: End::from((line_a, ears_a)), b: End::from((line_b, ears_b)) };
        let (orders, events, reports, task) = start(ends, spec);
        Self { a, b, orders, events, reports, task }
    }

    /// So many ticks of 20 ms, in each of which A says the next 20 ms of `say`, and B nothing.
    async fn beats(&mut self, count: usize, mut say: impl FnMut() -> Option<Vec<i16>>) {
        for _ in 0..count {
            if let Some(samples) = say() {
                assert!(self.a.hear(&samples), "the bridge does not listen");
            }
            tokio::join!(self.a.beat(), self.b.beat());
        }
    }

    fn told(&mut self) -> Vec<BridgeEvent> {
        std::iter::from_fn(|| self.events.try_recv().ok()).collect()
    }
}

/// Counts through the samples, so that each shows its place.
fn ramp(next: &mut i16) -> Vec<i16> {
    (0..160)
        .map(|_| {
            *next = if *next >= 9_000 { 1_000 } else { *next + 1 };
            *next
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn what_one_says_the_other_hears_soon_and_whole() {
    let mut rig = Rig::new(SPEC);
    let (mut next, mut said) = (1_000, 0_usize);
    rig.beats(100, || {
        said += 160;
        Some(ramp(&mut next))
    })
    .await;
    let told = rig.a.obeyed.iter().filter(|command| matches!(command, Command::Due(Some(_))));
    let told = told.count();
    assert!((1..=60).contains(&told), "when holes are heard is told as it changes: {told}");
    let sound = *rig.reports.borrow();
    assert_eq!((sound.sound.a.concealed_ms, sound.sound.a.skipped_ms), (0, 0), "{sound:?}");
    // The last sample that B's caller got, and how long ago A's leg took it in.
    let last = *rig.b.sent.last().unwrap();
    let behind = (next - last + if last > next { 8_000 } else { 0 }) / 8;
    println!("from the leg of A to the packet of B: {behind} ms");
    assert!((20..=70).contains(&behind), "{behind} ms");
    let first = rig.b.sent.iter().position(|sample| *sample == 1_100).expect("the beginning");
    let whole = rig.b.sent[first..].windows(2).filter(|w| w[1] != w[0] + 1 && w[1] != 1_001);
    assert!(whole.count() <= 45, "single periods are taken out, and no more");
    assert!(rig.a.sent.iter().all(|sample| sample.abs() < 200), "B is silent");
    assert!(rig.a.sent.len() >= 95 * 160, "and its silence flows");
}

#[tokio::test(start_paused = true)]
async fn legs_of_two_rates_are_joined() {
    let rates = Sides { a: SampleRate::HZ_16000, b: SampleRate::HZ_8000 };
    let mut rig = Rig::new(BridgeSpec { rates, ..SPEC });
    // A square wave of 100 Hz at 16 kHz, 20 ms at a time.
    let mut tone = || {
        let half = |sign: i16| std::iter::repeat_n(4_000 * sign, 80);
        Some((0..2).flat_map(|_| half(1).chain(half(-1))).collect())
    };
    rig.beats(60, &mut tone).await;
    let heard = &rig.b.sent[rig.b.sent.len() - 1_600..];
    let crossings = heard.windows(2).filter(|w| (w[0] < 0) != (w[1] < 0)).count();
    assert!((38..=42).contains(&crossings), "100 Hz for 200 ms: {crossings} crossings");
}

#[tokio::test(start_paused = true)]
async fn digits_are_told_and_go_on_by_rfc_4733_but_those_in_the_audio_only_there() {
    let mut rig = Rig::new(SPEC);
    rig.beats(2, || None).await;
    for (digit, inband) in [(b'1', false), (b'2', true), (b'3', false)] {
        rig.a.events.push_back(Event::Dtmf { digit, duration_ms: 90, position: 0, inband });
    }
    rig.b.events.push_back(Event::Quiet { silent: Duration::from_secs(5) });
    rig.beats(5, || None).await;
    let digit =
        |digit, inband| BridgeEvent::Digit { side: Side::A, digit, duration_ms: 90, inband };
    let quiet = BridgeEvent::Quiet { side: Side::B, silent: Duration::from_secs(5) };
    let mut told = rig.told();
    told.sort_by_key(|event| matches!(event, BridgeEvent::Quiet { .. }));
    assert_eq!(told, [digit(b'1', false), digit(b'2', true), digit(b'3', false), quiet]);
    let sent: Vec<(u8, u64)> = rig
        .b
        .obeyed
        .iter()
        .filter_map(|command| match command {
            Command::Dtmf { digits, duration, .. } => {
                Some((digits[0], u64::try_from(duration.as_millis()).unwrap()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(sent, [(b'1', 90), (b'3', 90)]);
    assert!(!rig.a.obeyed.iter().any(|command| matches!(command, Command::Dtmf { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_muted_side_is_not_heard_until_it_is_unmuted() {
    let mut rig = Rig::new(BridgeSpec { muted: Sides { a: true, b: false }, ..SPEC });
    let mut next = 1_000;
    rig.beats(30, || Some(ramp(&mut next))).await;
    assert!(rig.b.sent[800..].iter().all(|sample| *sample == 0), "muted from the start");
    rig.orders.send(Order::Mute(Side::A, false)).await.unwrap();
    rig.beats(10, || Some(ramp(&mut next))).await;
    assert!(rig.b.sent.last().unwrap().abs() >= 1_000);
    rig.orders.send(Order::Mute(Side::A, true)).await.unwrap();
    rig.beats(10, || Some(ramp(&mut next))).await;
    assert_eq!(*rig.b.sent.last().unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_held_listener_is_not_flooded_and_hears_the_present_afterwards() {
    let mut rig = Rig::new(SPEC);
    let mut next = 1_000;
    rig.beats(20, || Some(ramp(&mut next))).await;
    rig.b.running = false;
    rig.beats(250, || Some(ramp(&mut next))).await;
    rig.b.running = true;
    rig.beats(20, || Some(ramp(&mut next))).await;
    let last = *rig.b.sent.last().unwrap();
    let behind = (next - last + if last > next { 8_000 } else { 0 }) / 8;
    assert!(behind <= 260, "{behind} ms");
}

#[tokio::test(start_paused = true)]
async fn stopping_gives_both_legs_back_with_empty_rings() {
    let mut rig = Rig::new(SPEC);
    let mut next = 1_000;
    rig.beats(20, || Some(ramp(&mut next))).await;
    rig.a.hear(&[1; 160]);
    rig.orders.send(Order::Stop).await.unwrap();
    rig.beats(5, || None).await;
    assert!(rig.task.is_finished());
    let Ends { a, b } = rig.task.await.unwrap();
    for mut end in [a, b] {
        assert_eq!(end.line.playout.queued(), 0);
        assert_eq!(end.line.capture.waiting(), 0);
        assert!(end.ears.events.try_recv().is_err(), "nothing of the bridge is left to be told");
    }
}

#[tokio::test(start_paused = true)]
async fn a_leg_that_is_gone_is_told_and_the_other_lives_on() {
    let Rig { a, mut b, orders, mut events, reports: _, task } = Rig::new(SPEC);
    drop(a);
    for _ in 0..20 {
        b.beat().await;
    }
    assert_eq!(events.try_recv(), Ok(BridgeEvent::Gone(Side::A)));
    assert!(events.try_recv().is_err(), "told once");
    assert!(b.sent.len() > 15 * 160, "B hears silence");
    orders.send(Order::Stop).await.unwrap();
    for _ in 0..15 {
        b.beat().await;
    }
    assert!(task.is_finished());
    // A bridge without an owner lets both legs go.
    let Rig { a, b, orders, events, reports: _, task } = Rig::new(SPEC);
    drop((orders, events));
    tokio::time::sleep(TICK).await;
    assert!(task.is_finished());
    drop(task);
    assert!(a.is_closed() && b.is_closed());
}

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn media() -> MediaSpec {
    let ms = Duration::from_millis;
    MediaSpec {
        address: LOOPBACK,
        ports: 42_000..=42_039,
        quarantine: Duration::from_hours(1),
        workers: 1,
        dscp: 46,
        jitter: JitterSpec { hole_wait: ms(40), hole_wait_min: ms(20), hole_wait_max: ms(80) },
        start: StartRule::default(),
        legs_max: 2,
        playout: Duration::from_secs(2),
        capture: Duration::from_secs(10),
        seed: 1,
        threads: ThreadWish::default(),
    }
}

/// A leg whose peer is this socket, and where the peer sends to.
fn leg(pool: &MediaPool, seed: u64, peer: SocketAddr) -> (Box<LegHandle>, SocketAddr) {
    let rate = SampleRate::HZ_8000;
    let cname = format!("leg{seed}");
    let setup = LegSetup { codecs: Vec::new(), rate, cname, seed, send: SendSpec::default() };
    let (leg, ports) = pool.open(setup).expect("a leg");
    let params = MediaParams {
        codec: CodecId::Pcmu,
        payload_type: 0,
        telephone_event: Some(101),
        ptime: Duration::from_millis(20),
        remote_rtp: peer,
        remote_rtcp: SocketAddr::new(LOOPBACK, 9),
        rtcp_mux: false,
        comfort_noise: false,
        accepts: crate::sdp::Accepts::default(),
        send: true,
        receive: true,
    };
    assert!(leg.control.send(Command::Update(params)));
    (Box::new(leg), ports.rtp)
}

/// Speaks to A's leg until B's peer hears it.
async fn speak(caller: &UdpSocket, to: SocketAddr, listener: &UdpSocket) {
    let mut beat = interval(Duration::from_millis(20));
    let (mut packet, mut heard) = ([0x10_u8; 172], [0; 1500]);
    packet[..12].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
    for n in 1_u16.. {
        beat.tick().await;
        packet[2..4].copy_from_slice(&n.to_be_bytes());
        packet[4..8].copy_from_slice(&(u32::from(n) * 160).to_be_bytes());
        caller.send_to(&packet, to).await.unwrap();
        while let Ok(len) = listener.try_recv(&mut heard) {
            if heard[12..len].iter().all(|octet| *octet == 0x10) && len == 172 {
                return;
            }
        }
    }
}

#[tokio::test]
async fn real_legs_are_joined_and_given_back_whole() {
    let pool = MediaPool::start(media()).unwrap();
    let socket = || UdpSocket::bind(SocketAddr::new(LOOPBACK, 0));
    let (caller, listener) = (socket().await.unwrap(), socket().await.unwrap());
    let (a, to) = leg(&pool, 1, caller.local_addr().unwrap());
    let (b, _) = leg(&pool, 2, listener.local_addr().unwrap());
    let ids = (a.id, b.id);
    let bridge = spawn(a, b, SPEC);
    let spoken = timeout(Duration::from_secs(30), speak(&caller, to, &listener)).await;
    assert!(spoken.is_ok(), "B's peer never heard A's");
    assert!(bridge.mute(Side::B, true));
    let (mut a, b) = bridge.stop().await.expect("both legs");
    assert_eq!((a.id, b.id), ids);
    assert_eq!((a.playout.queued(), b.playout.queued()), (0, 0));
    // The handle works on: what is played now is told.
    let position = a.playout.position() + a.playout.push(&[900; 800]) as u64;
    assert!(a.control.send(Command::Watch { position, token: 5 }));
    assert!(a.control.send(Command::End { position }));
    let reached = async {
        while let Some(event) = a.events.recv().await {
            if matches!(event, Event::Reached { token: 5, .. }) {
                return true;
            }
        }
        false
    };
    assert_eq!(timeout(Duration::from_secs(30), reached).await, Ok(true));
    drop((a, b));
    pool.shutdown().await;
}
