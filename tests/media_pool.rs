//! The media threads on real sockets: what leaves, what arrives, and what is left behind.
//!
//! Nothing here depends on how fast the machine is: a loop ends when what it waits for is there,
//! and a deadline only turns a hang into a failure. Each test runs with epoll and with io_uring.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

use bellwire::audio::codec::{Codec, CodecId, SampleRate, Way};
use bellwire::media::interface::{Command, Event, FrameKind, JitterSpec, MediaParams, SendSpec};
use bellwire::media::worker::{
    Backend, BackendWish, LegHandle, LegSetup, LocalPorts, MediaError, MediaPool, MediaSpec,
    StartRule, ThreadWish,
};
use bellwire::rtp::packet::Packet;
use bellwire::sdp::Accepts;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const GIVE_UP: Duration = Duration::from_secs(30);

/// Each test once for each backend.
macro_rules! on_both {
    ($($test:ident)+) => {
        mod epoll {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::BackendWish::Epoll).await;
            })+
        }
        mod io_uring {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::BackendWish::IoUring).await;
            })+
        }
    };
}

on_both! {
    two_legs_hear_each_other_bit_exact
    the_wire_shows_running_numbers_digits_and_a_goodbye
    dropping_a_handle_frees_the_leg_and_rests_its_ports
    limits_and_shutdown_are_told_by_name
    ports_of_other_programs_are_stepped_over
    a_flood_of_garbage_and_of_commands_does_not_stop_the_beat
    the_wished_backend_is_had
    cores_and_priority_are_had_or_refused_with_a_reason
}

/// A port of a test: both of its runs at once need different ones.
fn port(backend: BackendWish, port: u16) -> u16 {
    match backend {
        BackendWish::Auto | BackendWish::Epoll => port,
        BackendWish::IoUring => port - 4_000,
    }
}

fn spec(backend: BackendWish, ports: RangeInclusive<u16>) -> MediaSpec {
    MediaSpec {
        address: LOOPBACK,
        ports: port(backend, *ports.start())..=port(backend, *ports.end()),
        quarantine: Duration::from_hours(1),
        workers: 2,
        dscp: 46,
        jitter: JitterSpec {
            hole_wait: Duration::from_millis(40),
            hole_wait_min: Duration::from_millis(20),
            hole_wait_max: Duration::from_millis(80),
        },
        start: StartRule::default(),
        legs_max: 8,
        playout: Duration::from_secs(2),
        capture: Duration::from_secs(10),
        seed: 1,
        threads: ThreadWish { backend, ..ThreadWish::default() },
    }
}

fn setup(seed: u64) -> LegSetup {
    LegSetup {
        codecs: vec![],
        rate: SampleRate::HZ_8000,
        cname: format!("leg{seed}"),
        seed,
        send: SendSpec::default(),
    }
}

fn params(codec: CodecId, rtp: SocketAddr, rtcp: SocketAddr) -> MediaParams {
    MediaParams {
        codec,
        payload_type: codec.spec().payload_type,
        telephone_event: Some(101),
        ptime: Duration::from_millis(20),
        remote_rtp: rtp,
        remote_rtcp: rtcp,
        send: true,
        receive: true,
        rtcp_mux: false,
        comfort_noise: false,
        accepts: Accepts::default(),
    }
}

fn deadline() -> Instant {
    Instant::now() + GIVE_UP
}

/// A second of sound that begins and ends loud; none of it codes to silence.
fn sound(step: i16) -> Vec<i16> {
    (0..8_000_i16).map(|i| 2_000 + (i % 97) * step).collect()
}

fn coded(codec: CodecId, samples: &[i16]) -> Vec<i16> {
    let mut codec: Box<dyn Codec> = codec.spec().codec(Way::Both);
    let (mut payload, mut decoded) = (vec![0; samples.len()], vec![0; samples.len()]);
    codec.encode(samples, &mut payload);
    codec.decode(&payload, &mut decoded);
    decoded
}

/// Reads a leg's capture ring until `want` came after the silence in front of it.
async fn hears(leg: &mut LegHandle, want: &[i16]) {
    let give_up = deadline();
    let (mut samples, mut position) = (Vec::new(), None);
    loop {
        while let Some(header) = leg.capture.pop(&mut samples) {
            assert_eq!(header.kind, FrameKind::Packet, "at {}", header.position);
            assert_eq!(header.position, position.unwrap_or(header.position), "a gap");
            position = Some(header.position + u64::from(header.samples));
        }
        // Silence decodes to zero or next to it, by codec; the sound is far from it.
        let start = samples.iter().position(|s| s.abs() > 1_000).unwrap_or(samples.len());
        if samples.len() >= start + want.len() {
            assert!(samples[start..start + want.len()] == *want, "not bit-exact");
            return;
        }
        assert!(Instant::now() < give_up, "heard only {} samples", samples.len() - start);
        let _ = tokio::time::timeout(Duration::from_secs(1), leg.ready.notified()).await;
    }
}

async fn event(leg: &mut LegHandle, wanted: impl Fn(&Event) -> bool) -> Event {
    let give_up = deadline();
    loop {
        let left = give_up.saturating_duration_since(Instant::now());
        let event = tokio::time::timeout(left, leg.events.recv()).await.expect("in time");
        let event = event.expect("the leg lives");
        if wanted(&event) {
            return event;
        }
    }
}

async fn status(pool: &MediaPool, legs: usize) {
    let give_up = deadline();
    while pool.status().legs != legs {
        assert!(Instant::now() < give_up, "{:?}", pool.status());
        tokio::task::yield_now().await;
    }
}

async fn two_legs_hear_each_other_bit_exact(backend: BackendWish) {
    for codec in [CodecId::Pcmu, CodecId::Pcma] {
        let pool = MediaPool::start(spec(backend, 31_000..=31_199)).unwrap();
        let (mut a, at_a) = pool.open(setup(1)).unwrap();
        let (mut b, at_b) = pool.open(setup(2)).unwrap();
        assert!(a.control.send(Command::Update(params(codec, at_b.rtp, at_b.rtcp))));
        assert!(b.control.send(Command::Update(params(codec, at_a.rtp, at_a.rtcp))));
        let (to_b, to_a) = (sound(20), sound(-31));
        assert_eq!(a.playout.push(&to_b), to_b.len());
        assert_eq!(b.playout.push(&to_a), to_a.len());
        a.control.send(Command::Watch { position: 8_000, token: 7 });
        a.control.send(Command::End { position: 8_000 });
        hears(&mut b, &coded(codec, &to_b)).await;
        hears(&mut a, &coded(codec, &to_a)).await;
        let reached = event(&mut a, |e| matches!(e, Event::Reached { .. })).await;
        assert_eq!(reached, Event::Reached { token: 7, position: 8_000 });
        let flowing = event(&mut b, |e| matches!(e, Event::Flowing { .. })).await;
        assert!(matches!(flowing, Event::Flowing { remote, .. } if remote == at_a.rtp));
        let (sent, received) = (a.control.report(), b.control.report());
        assert!(sent.tx_packets >= 50 && sent.tx_failed == 0 && sent.tx_underruns == 0);
        assert_eq!((received.rx_lost, received.rx_refused, received.rx_late), (0, 0, 0));
        assert_eq!(b.control.params().map(|p| p.remote_rtp), Some(at_a.rtp));
        assert!(pool.lateness().count >= 100 && pool.heartbeat() < GIVE_UP);
        pool.shutdown().await;
    }
}

async fn the_wire_shows_running_numbers_digits_and_a_goodbye(backend: BackendWish) {
    let pool = MediaPool::start(spec(backend, 31_200..=31_399)).unwrap();
    let (mut leg, ports) = pool.open(setup(3)).unwrap();
    assert_eq!((ports.rtp.port() % 2, ports.rtcp.port()), (0, ports.rtp.port() + 1));
    let (rtp, rtcp) = (socket(), socket());
    let remote = params(CodecId::Pcmu, rtp.local_addr().unwrap(), rtcp.local_addr().unwrap());
    assert!(leg.control.send(Command::Update(remote)));
    let mut digits = [0; 32];
    digits[0] = b'5';
    let (duration, gap) = (Duration::from_millis(100), Duration::from_millis(100));
    assert!(leg.control.send(Command::Dtmf { digits, duration, gap }));
    let packets: Vec<Vec<u8>> = (0..60).map(|_| receive(&rtp, ports.rtp)).collect();
    let packets: Vec<Packet<'_>> = packets.iter().map(|p| Packet::parse(p).unwrap()).collect();
    let mut audio = packets.iter().enumerate().filter(|(_, p)| p.payload_type == 0);
    let (first_at, first) = audio.next().unwrap();
    for (at, packet) in audio {
        let ticks = u32::try_from(at - first_at).unwrap();
        assert_eq!(packet.timestamp, first.timestamp.plus(ticks * 160), "packet {at}");
        assert_eq!(packet.payload, [0xFF; 160]);
    }
    for (packet, next) in packets.iter().zip(&packets[1..]) {
        assert_eq!((next.seq, next.ssrc), (packet.seq.next(), packet.ssrc));
    }
    assert!(packets.iter().filter(|p| p.payload_type == 101).count() >= 7);
    assert_eq!(
        event(&mut leg, |e| matches!(e, Event::DtmfDone { .. })).await,
        Event::DtmfDone { sent: true }
    );
    drop(leg);
    loop {
        // The last packet of the last compound is BYE (203); a report may come before.
        let report = receive(&rtcp, ports.rtcp);
        if report[report.len() - 7] == 203 {
            break;
        }
    }
    status(&pool, 0).await;
    pool.shutdown().await;
}

async fn dropping_a_handle_frees_the_leg_and_rests_its_ports(backend: BackendWish) {
    let pool = MediaPool::start(spec(backend, 31_400..=31_407)).unwrap();
    let before = pool.status();
    assert_eq!((before.legs, before.ports_used, before.ports_free), (0, 0, 4));
    let opened: Vec<(LegHandle, LocalPorts)> =
        (0..4).map(|seed| pool.open(setup(seed)).unwrap()).collect();
    let during = pool.status();
    assert_eq!((during.legs, during.ports_used, during.ports_free), (4, 4, 0));
    assert!(matches!(pool.open(setup(9)), Err(MediaError::Ports(_))));
    let controls: Vec<_> = opened.iter().map(|(leg, _)| leg.control.clone()).collect();
    drop(opened);
    assert!(!controls[0].send(Command::Pause(true)), "the leg is gone");
    status(&pool, 0).await;
    let after = pool.status();
    assert_eq!((after.legs, after.ports_used, after.ports_free), (0, 0, 0), "ports rest");
    assert!(matches!(pool.open(setup(9)), Err(MediaError::Ports(_))));
    pool.shutdown().await;
}

async fn limits_and_shutdown_are_told_by_name(backend: BackendWish) {
    let pool =
        MediaPool::start(MediaSpec { legs_max: 2, ..spec(backend, 31_600..=31_699) }).unwrap();
    let (mut first, _) = pool.open(setup(1)).unwrap();
    let second = pool.open(setup(2)).unwrap();
    assert!(matches!(pool.open(setup(3)), Err(MediaError::LegsExhausted(2))));
    pool.shutdown().await;
    assert_eq!(first.events.recv().await, None, "its events end");
    assert!(!first.control.send(Command::Pause(true)));
    assert!(matches!(pool.open(setup(4)), Err(MediaError::Stopping)));
    assert_eq!((pool.status().legs, pool.status().ports_used), (0, 0));
    drop((first, second));
    assert!(matches!(MediaPool::start(spec(backend, 31_601..=31_602)), Err(MediaError::Ports(_))));
}

async fn ports_of_other_programs_are_stepped_over(backend: BackendWish) {
    // The other program has the RTP port of one pair and the RTCP port of another.
    let taken =
        [31_800, 31_803].map(|number| UdpSocket::bind((LOOPBACK, port(backend, number))).unwrap());
    let pool = MediaPool::start(spec(backend, 31_800..=31_805)).unwrap();
    let (_leg, ports) = pool.open(setup(1)).unwrap();
    assert_eq!(ports.rtp.port(), port(backend, 31_804));
    assert!(matches!(pool.open(setup(2)), Err(MediaError::Ports(_))));
    assert_eq!(pool.status().legs, 1);
    drop(taken);
    pool.shutdown().await;
}

async fn a_flood_of_garbage_and_of_commands_does_not_stop_the_beat(backend: BackendWish) {
    let pool =
        MediaPool::start(MediaSpec { workers: 1, ..spec(backend, 31_900..=31_999) }).unwrap();
    let (leg, ports) = pool.open(setup(1)).unwrap();
    let (rtp, rtcp) = (socket(), socket());
    let remote = params(CodecId::Pcmu, rtp.local_addr().unwrap(), rtcp.local_addr().unwrap());
    assert!(leg.control.send(Command::Update(remote)));
    let stranger = socket();
    let mut refused = 0;
    for n in 0..60 {
        receive(&rtp, ports.rtp);
        for garbage in [&[0x80; 200][..], &[], &[0xFF; 2_000]] {
            stranger.send_to(garbage, ports.rtp).unwrap();
            stranger.send_to(garbage, ports.rtcp).unwrap();
        }
        for token in 0..50 {
            refused += u32::from(!leg.control.send(Command::Watch { position: n, token }));
        }
    }
    assert!(leg.control.report().rx_refused > 0);
    assert_eq!(leg.control.report().tx_failed, 0);
    assert!(refused < 3_000, "some commands got through");
    pool.shutdown().await;
}

async fn the_wished_backend_is_had(wish: BackendWish) {
    let pool = MediaPool::start(spec(wish, 31_700..=31_705)).unwrap();
    let wanted = match wish {
        BackendWish::Epoll => Backend::Epoll,
        BackendWish::Auto | BackendWish::IoUring => Backend::IoUring,
    };
    for got in pool.footings() {
        assert_eq!((got.backend, got.core, got.realtime), (wanted, None, false));
        assert_eq!(got.refused, Vec::<String>::new());
    }
    assert_eq!(pool.footings().count(), 2);
    pool.shutdown().await;
}

async fn cores_and_priority_are_had_or_refused_with_a_reason(backend: BackendWish) {
    let threads = ThreadWish { backend, pin: true, realtime: true };
    let spec = MediaSpec { threads, ..spec(backend, 31_710..=31_715) };
    let pool = MediaPool::start(spec).unwrap();
    for got in pool.footings() {
        let refused = |what: &str| got.refused.iter().any(|words| words.starts_with(what));
        assert_ne!(got.core.is_some(), refused("pin: "), "{got:?}");
        assert_ne!(got.realtime, refused("priority: "), "{got:?}");
    }
    pool.shutdown().await;
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind((LOOPBACK, 0)).expect("a socket");
    socket.set_read_timeout(Some(GIVE_UP)).expect("a timeout");
    socket
}

fn receive(socket: &UdpSocket, from: SocketAddr) -> Vec<u8> {
    let mut bytes = [0; 2_048];
    let (len, sender) = socket.recv_from(&mut bytes).expect("a packet in time");
    assert_eq!(sender, from);
    bytes[..len].to_vec()
}
