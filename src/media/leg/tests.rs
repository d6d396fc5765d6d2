//! A whole leg against a virtual clock, with the peer played by the test.

use super::*;
use crate::audio::codec::g711;
use crate::media::interface::{CLEAR_FADE, FrameHeader, FrameKind};
use crate::rtp::packet::Packet;
use crate::rtp::rtcp::{self, Item};
use crate::sdp::Accepts;
use std::net::{IpAddr, Ipv4Addr};

mod clicks;
mod monitor;
mod mute;
mod pair;
mod sealed;
mod silence;
mod stages;
mod wide;

const TICK: Duration = Duration::from_millis(20);
const EVENT: u8 = 101;
/// Someone else.
const STRANGER: SocketAddr = address(9, 6_000);

const fn address(host: u8, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, host)), port)
}

fn agreement() -> MediaParams {
    MediaParams {
        codec: CodecId::Pcmu,
        payload_type: 0,
        telephone_event: Some(EVENT),
        ptime: TICK,
        remote_rtp: address(1, 5_000),
        remote_rtcp: address(1, 5_001),
        send: true,
        receive: true,
        rtcp_mux: false,
        comfort_noise: false,
        accepts: Accepts::default(),
    }
}

/// A packet that the leg sent.
#[derive(Debug, Clone, PartialEq)]
struct Sent {
    seq: u16,
    timestamp: u32,
    ssrc: u32,
    kind: u8,
    marker: bool,
    payload: Vec<u8>,
    to: SocketAddr,
}

struct Rig {
    leg: Leg,
    playout: PlayoutWriter,
    capture: CaptureReader,
    stats: Arc<LegStats>,
    now: Instant,
    out: Outgoing,
    codecs: CodecSet,
    /// The peer's numbers.
    seq: u16,
    timestamp: u32,
}

impl Rig {
    fn new() -> Self {
        Self::sending(SendSpec::default())
    }

    fn sending(send: SendSpec) -> Self {
        #[expect(clippy::disallowed_methods, reason = "an anchor for virtual time")]
        let now = Instant::now();
        let stats = Arc::new(LegStats::default());
        let config = LegConfig {
            codecs: vec![CodecId::G722],
            rate: SampleRate::HZ_8000,
            cname: "abc@bellwire".to_owned(),
            seed: 42,
            jitter: JitterSpec {
                hole_wait: Duration::from_millis(40),
                hole_wait_min: TICK,
                hole_wait_max: Duration::from_millis(80),
            },
            start: StartRule::default(),
            playout: Duration::from_secs(2),
            capture: Duration::from_secs(2),
            send,
            opened_unix: Duration::from_hours(500_000),
        };
        let (leg, playout, capture) = Leg::open(now, &config, Arc::clone(&stats));
        Self {
            leg,
            playout,
            capture,
            stats,
            now,
            out: Outgoing::default(),
            codecs: CodecSet::new(SampleRate::HZ_8000, &[], Way::Both),
            seq: 65_530,
            timestamp: u32::MAX - 500,
        }
    }

    fn agreed() -> Self {
        let mut rig = Self::new();
        rig.tell(Command::Update(agreement()));
        rig
    }

    fn tell(&mut self, command: Command) {
        self.leg.handle_command(self.now, command);
    }

    /// One beat in time; the packet leaves.
    fn tick(&mut self) -> Option<Sent> {
        let sent = self.tick_late(Duration::ZERO, true);
        self.now += TICK;
        sent
    }

    fn tick_late(&mut self, late: Duration, taken: bool) -> Option<Sent> {
        self.leg.tick(self.now, self.now + late, &mut self.out);
        let (bytes, to) = self.out.rtp()?;
        let packet = Packet::parse(bytes).unwrap();
        let sent = Sent {
            seq: packet.seq.0,
            timestamp: packet.timestamp.0,
            ssrc: packet.ssrc.0,
            kind: packet.payload_type,
            marker: packet.marker,
            payload: packet.payload.to_vec(),
            to,
        };
        self.leg.handle_sent(taken);
        Some(sent)
    }

    /// Ticks until RTCP goes out.
    fn report(&mut self) -> (Vec<Item>, SocketAddr) {
        for _ in 0..300 {
            self.tick();
            if let Some((bytes, to)) = self.out.rtcp() {
                let mut items = Vec::new();
                rtcp::parse(bytes, |item| items.push(item)).unwrap();
                return (items, to);
            }
        }
        panic!("no report in six seconds");
    }

    fn receive(&mut self, kind: u8, payload: &[u8], from: SocketAddr) {
        let packet = datagram(self.seq, self.timestamp, kind, false, payload);
        self.leg.handle_rtp(self.now, &packet, from);
    }

    /// The peer sends 20 ms of sound, or loses it on the way.
    fn speak(&mut self, arrives: bool) -> [u8; 160] {
        let mut payload = [0; 160];
        for (i, octet) in payload.iter_mut().enumerate() {
            *octet = u8::try_from((usize::from(self.seq) * 7 + i) % 256).unwrap();
        }
        if arrives {
            self.receive(0, &payload, address(1, 5_000));
        }
        self.seq = self.seq.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(160);
        payload
    }

    /// The peer says this.
    fn say(&mut self, samples: &[i16]) {
        let mut payload = [0; 160];
        let len = self.codecs.encode(CodecId::Pcmu, samples, &mut payload);
        self.receive(0, &payload[..len], address(1, 5_000));
        self.seq = self.seq.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(160);
    }

    fn decoded(&mut self, payload: &[u8]) -> Vec<i16> {
        let mut samples = vec![0; payload.len()];
        self.codecs.decode(CodecId::Pcmu, payload, &mut samples);
        samples
    }

    fn heard(&mut self) -> Vec<(FrameHeader, Vec<i16>)> {
        std::iter::from_fn(|| {
            let mut samples = Vec::new();
            self.capture.pop(&mut samples).map(|header| (header, samples))
        })
        .collect()
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.leg.poll_event()).collect()
    }
}

fn datagram(seq: u16, timestamp: u32, kind: u8, marker: bool, payload: &[u8]) -> Vec<u8> {
    let mut header = [0; HEADER_LEN];
    let stamp = Stamp { ssrc: 77, sequence: seq, timestamp, marker };
    write_header(stamp, kind, &mut header);
    [&header[..], payload].concat()
}

#[test]
fn a_leg_without_an_agreement_neither_sends_nor_listens() {
    let mut rig = Rig::new();
    rig.playout.push(&[1_000; 800]);
    for _ in 0..500 {
        assert_eq!(rig.tick(), None);
        assert!(rig.out.rtcp().is_none());
        rig.speak(true);
    }
    assert_eq!((rig.heard().len(), rig.events()), (0, vec![]));
    assert_eq!(rig.stats.report().rx_refused, 500);
    rig.leg.close(rig.now, &mut rig.out);
    assert!(rig.out.rtcp().is_none(), "nobody to say goodbye to");
}

#[test]
fn every_tick_sends_a_packet_with_running_numbers() {
    let mut rig = Rig::agreed();
    let sound: Vec<i16> = (0..1_600).map(|i| i * 20 - 16_000).collect();
    rig.playout.push(&sound);
    let packets: Vec<Sent> = (0..200).map(|_| rig.tick().unwrap()).collect();
    for pair in packets.windows(2) {
        assert_eq!(pair[1].seq, pair[0].seq.wrapping_add(1));
        assert_eq!(pair[1].timestamp, pair[0].timestamp.wrapping_add(160));
        assert_eq!((pair[1].ssrc, pair[1].marker), (pair[0].ssrc, false));
    }
    assert!(packets[0].marker);
    assert!(packets.iter().all(|p| p.kind == 0 && p.to == address(1, 5_000)));
    let mut encoded = vec![0; 1_600];
    rig.codecs.encode(CodecId::Pcmu, &sound, &mut encoded);
    let carried: Vec<u8> = packets.iter().flat_map(|p| p.payload.clone()).collect();
    assert_eq!(carried[..1_600], encoded, "ten frames of sound");
    assert!(carried[1_640..].iter().all(|octet| *octet == 0xFF), "then digital silence");
    let report = rig.stats.report();
    assert_eq!((report.tx_packets, report.tx_octets), (200, 32_000));
    assert_eq!(report.tx_played_samples, 1_600);
}

#[test]
fn a_new_agreement_changes_the_address_and_codec_but_not_the_clock() {
    let mut rig = Rig::agreed();
    let before = rig.tick().unwrap();
    rig.tell(Command::Update(MediaParams {
        codec: CodecId::Pcma,
        payload_type: 8,
        remote_rtp: address(2, 7_000),
        remote_rtcp: address(2, 7_001),
        ..agreement()
    }));
    let after = rig.tick().unwrap();
    assert_eq!((after.to, after.kind), (address(2, 7_000), 8));
    assert_eq!(after.payload, [0xD5; 160]);
    assert_eq!((after.ssrc, after.marker), (before.ssrc, false));
    assert_eq!(after.seq, before.seq.wrapping_add(1));
    assert_eq!(after.timestamp, before.timestamp.wrapping_add(160));
}

#[test]
fn ptime_of_the_agreement_sets_beat_packet_and_clock() {
    for (asked_ms, ms) in [(10, 10), (30, 30), (60, 60), (5, 10), (200, 60), (0, 10)] {
        let mut rig = Rig::new();
        let ptime = Duration::from_millis(asked_ms);
        rig.tell(Command::Update(MediaParams { ptime, ..agreement() }));
        assert_eq!(rig.leg.period(), Duration::from_millis(ms));
        let (a, b) = (rig.tick().unwrap(), rig.tick().unwrap());
        let samples = u32::try_from(ms * 8).unwrap();
        assert_eq!(b.timestamp.wrapping_sub(a.timestamp), samples);
        assert_eq!(a.payload.len(), samples as usize);
    }
}

#[test]
fn hold_stops_audio_but_not_rtcp_and_resumes_with_a_marker() {
    let mut rig = Rig::agreed();
    rig.playout.push(&vec![1_000; 16_000]);
    let before = rig.tick().unwrap();
    rig.tell(Command::Update(MediaParams { send: false, ..agreement() }));
    let mut reports = 0;
    for _ in 0..1_000 {
        assert_eq!(rig.tick(), None);
        reports += u32::from(rig.out.rtcp().is_some());
    }
    assert_eq!(reports, 4, "at 2.5, 7.5, 12.5 and 17.5 s");
    assert_eq!(rig.playout.queued(), 16_000 - 160, "sound waits");
    rig.tell(Command::Update(agreement()));
    let after = rig.tick().unwrap();
    assert!(after.marker);
    assert_eq!(after.seq, before.seq.wrapping_add(1));
    assert_eq!(after.timestamp, before.timestamp.wrapping_add(1_001 * 160));
}

#[test]
fn unspecified_addresses_are_not_sent_to() {
    let mut rig = Rig::new();
    let nowhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 5_000);
    rig.tell(Command::Update(MediaParams {
        remote_rtp: nowhere,
        remote_rtcp: nowhere,
        ..agreement()
    }));
    for _ in 0..400 {
        assert_eq!(rig.tick(), None);
        assert!(rig.out.rtcp().is_none());
    }
}

#[test]
fn a_beat_that_is_too_late_is_given_up_without_a_jump() {
    let mut rig = Rig::agreed();
    rig.playout.push(&[1_000; 1_600]);
    let before = rig.tick().unwrap();
    for late in [61, 200, 5_000] {
        assert_eq!(rig.tick_late(Duration::from_millis(late), true), None);
    }
    let after = rig.tick_late(Duration::from_millis(60), true).unwrap();
    assert_eq!(after.seq, before.seq.wrapping_add(1));
    assert_eq!(after.timestamp, before.timestamp.wrapping_add(160));
    let report = rig.stats.report();
    assert_eq!((report.tx_skipped, report.tx_packets, report.tx_played_samples), (3, 2, 320));
    assert!((60_000..68_000).contains(&report.tx_late_p99_us), "{}", report.tx_late_p99_us);
}

#[test]
fn a_send_that_fails_is_counted_and_leaves_its_mark_waiting() {
    let mut rig = Rig::agreed();
    rig.playout.push(&[1_000; 480]);
    rig.tell(Command::Watch { position: 160, token: 3 });
    let lost = rig.tick_late(Duration::ZERO, false).unwrap();
    assert_eq!(rig.events(), []);
    rig.now += TICK;
    let next = rig.tick().unwrap();
    assert_eq!(next.seq, lost.seq.wrapping_add(1), "the far end sees a loss");
    assert_eq!(rig.events(), [Event::Reached { token: 3, position: 160 }]);
    let report = rig.stats.report();
    assert_eq!((report.tx_failed, report.tx_packets, report.tx_played_samples), (1, 1, 160));
}

#[test]
fn clear_is_silent_on_the_wire_within_a_tick() {
    let mut rig = Rig::agreed();
    rig.playout.push(&[8_000; 4_000]);
    rig.tick();
    rig.tell(Command::Clear { up_to: 4_000, token: 1, fade: CLEAR_FADE });
    let fading = rig.tick().unwrap();
    assert!(fading.payload[..30].iter().all(|o| *o != 0xFF));
    assert!(fading.payload[40..].iter().all(|o| *o == 0xFF));
    assert!(rig.tick().unwrap().payload.iter().all(|o| *o == 0xFF));
    assert_eq!(rig.events(), [Event::Cleared { token: 1, played_to: 200, discarded: 3_800 }]);
}

#[test]
fn digits_replace_audio_and_audio_goes_on_behind_them() {
    let mut rig = Rig::agreed();
    rig.playout.push(&[1_000; 1_600]);
    let first = rig.tick().unwrap();
    let mut digits = [0; 32];
    digits[..2].copy_from_slice(b"4#");
    let (duration, gap) = (Duration::from_millis(100), Duration::from_millis(80));
    rig.tell(Command::Dtmf { digits, duration, gap });
    let mut packets = vec![first];
    while rig.events() != [Event::DtmfDone { sent: true }] {
        packets.push(rig.tick().unwrap());
        assert!(packets.len() < 100, "digits never end");
    }
    for pair in packets.windows(2) {
        assert_eq!(pair[1].seq, pair[0].seq.wrapping_add(1));
    }
    let events: Vec<&Sent> = packets.iter().filter(|p| p.kind == EVENT).collect();
    let of = |code| events.iter().filter(move |p| p.payload[0] == code).collect::<Vec<_>>();
    for code in [4, 11] {
        let run = of(code);
        assert_eq!(run.len(), 5 + 2, "100 ms, the end three times");
        assert!(run.iter().all(|p| p.timestamp == run[0].timestamp && p.payload.len() == 4));
        assert_eq!(run.iter().filter(|p| p.marker).count(), 1);
        assert_eq!(run.iter().filter(|p| p.payload[1] & 0x80 != 0).count(), 3);
        assert_eq!(run[6].payload[2..], 800_u16.to_be_bytes());
    }
    // Silence between the digits, the clock running on beneath, and the sound behind.
    let resumed = packets.last().unwrap();
    assert!(packets.iter().filter(|p| p.kind == 0).count() > 2);
    let ticks = u32::try_from(packets.len() - 1).unwrap();
    assert_eq!(resumed.timestamp, packets[0].timestamp.wrapping_add(ticks * 160));
    assert_eq!(rig.stats.report().tx_played_samples, 320, "nothing was lost under the digits");
    assert!(resumed.payload[60..].iter().all(|o| *o == packets[0].payload[60]));
}

#[test]
fn digits_that_were_not_agreed_are_refused_with_an_event() {
    let mut rig = Rig::agreed();
    let command = |digits: &[u8]| {
        let mut all = [0; 32];
        all[..digits.len()].copy_from_slice(digits);
        Command::Dtmf { digits: all, duration: TICK * 5, gap: TICK * 5 }
    };
    rig.tell(command(b"12x"));
    assert_eq!(rig.events(), [Event::DtmfDone { sent: false }], "x is no digit");
    rig.tell(command(b"12"));
    rig.tell(command(b"3"));
    rig.tick();
    rig.tell(Command::Update(MediaParams { telephone_event: None, ..agreement() }));
    let refused = Event::DtmfDone { sent: false };
    assert_eq!(rig.events(), [refused, refused], "the agreement is gone");
    rig.tell(Command::Update(MediaParams { send: false, ..agreement() }));
    rig.tell(command(b"1"));
    assert_eq!(rig.events(), [refused], "we may not send");
    rig.tell(Command::Update(MediaParams { telephone_event: None, ..agreement() }));
    rig.tell(command(b"1x"));
    assert_eq!(rig.events(), [refused], "nor x as sound");
    for _ in 0..50 {
        assert_eq!(rig.tick().unwrap().kind, 0);
    }
}

/// Digits in decoded audio.
fn digits_in(samples: &[i16]) -> Vec<(u8, u64)> {
    let mut detector = crate::audio::dtmf::DtmfDetector::new(SampleRate::HZ_8000);
    let mut heard = Vec::new();
    detector.push(0, samples, &mut |digit| heard.push((digit.digit, digit.samples / 8)));
    heard
}

#[test]
fn digits_go_as_sound_where_no_event_was_agreed_or_none_is_wanted() {
    for forced in [false, true] {
        let mut rig = Rig::agreed();
        let telephone_event = forced.then_some(EVENT);
        rig.tell(Command::Update(MediaParams { telephone_event, ..agreement() }));
        rig.tell(Command::DigitsInband(forced));
        rig.playout.push(&[1_000; 1_600]);
        let first = rig.tick().unwrap();
        let mut digits = [0; 32];
        digits[..3].copy_from_slice(b"19#");
        let (duration, gap) = (Duration::from_millis(90), Duration::from_millis(70));
        rig.tell(Command::Dtmf { digits, duration, gap });
        let (mut sound, mut ticks) = (Vec::new(), 0);
        while rig.events() != [Event::DtmfDone { sent: true }] {
            let packet = rig.tick().unwrap();
            assert_eq!(packet.kind, 0, "audio, no events");
            sound.extend(rig.decoded(&packet.payload));
            ticks += 1;
            assert!(ticks < 50, "digits never end");
        }
        let heard = digits_in(&sound);
        assert_eq!(heard.iter().map(|h| h.0).collect::<Vec<_>>(), b"19#");
        assert!(heard.iter().all(|h| h.1.abs_diff(90) <= 10), "{heard:?}");
        let behind = rig.tick().unwrap();
        assert!(behind.payload[60..].iter().all(|o| *o == first.payload[60]));
        assert_eq!(rig.stats.report().tx_played_samples, 320, "nothing was lost under the digits");
    }
}

#[test]
fn digits_in_the_audio_are_heard_where_no_event_was_agreed() {
    for (telephone_event, forced, heard) in
        [(None, false, true), (Some(EVENT), false, false), (Some(EVENT), true, true)]
    {
        let mut rig = Rig::agreed();
        rig.tell(Command::Update(MediaParams { telephone_event, ..agreement() }));
        rig.tell(Command::DigitsInband(forced));
        rig.tell(Command::Listen(false));
        let mut tones = DigitTones::new(SampleRate::HZ_8000);
        tones.queue(b"7D", Duration::from_millis(80), Duration::from_millis(60)).unwrap();
        for _ in 0..30 {
            let mut frame = [0; 160];
            tones.fill(&mut frame);
            rig.say(&frame);
            rig.now += TICK;
        }
        let told: Vec<_> = rig
            .events()
            .into_iter()
            .filter_map(|event| match event {
                Event::Dtmf { digit, duration_ms, position, inband } => {
                    Some((digit, duration_ms.abs_diff(80) <= 10, position / 80, inband))
                }
                _ => None,
            })
            .collect();
        let want = [(b'7', true, 0, true), (b'D', true, 14, true)];
        assert_eq!(told, if heard { &want[..] } else { &[] }, "{telephone_event:?} {forced}");
    }
}

#[test]
fn caller_audio_is_captured_bit_exact_and_without_gaps() {
    let mut rig = Rig::agreed();
    let mut want = Vec::new();
    for _ in 0..100 {
        let payload = rig.speak(true);
        want.extend(rig.decoded(&payload));
        rig.tick();
    }
    assert!(rig.leg.ready());
    rig.leg.clear_ready();
    assert!(!rig.leg.ready());
    let frames = rig.heard();
    let mut position = 0;
    for (header, samples) in &frames {
        assert_eq!((header.position, header.kind), (position, FrameKind::Packet));
        position += samples.len() as u64;
    }
    let heard: Vec<i16> = frames.into_iter().flat_map(|(_, samples)| samples).collect();
    assert!(heard == want, "not bit-exact");
    assert_eq!(rig.events(), [Event::Flowing { remote: address(1, 5_000), ssrc: 77 }]);
    let report = rig.stats.report();
    assert_eq!((report.rx_packets, report.rx_lost, report.rx_refused), (100, 0, 0));
    assert_eq!(report.rx_last_ms, 99 * 20);
}

#[test]
fn a_lost_packet_is_concealed_when_its_time_is_over() {
    let mut rig = Rig::agreed();
    for n in 0..10 {
        rig.speak(n != 8);
        rig.now += TICK;
    }
    rig.now -= TICK;
    assert_eq!(rig.heard().len(), 8);
    let deadline = rig.leg.deadline().expect("a hole is waited for");
    assert_eq!(deadline - rig.now, Duration::from_millis(40));
    rig.leg.clear_ready();
    rig.leg.handle_timeout(rig.now + Duration::from_millis(39));
    assert!(!rig.leg.ready());
    rig.leg.handle_timeout(deadline);
    assert!(rig.leg.ready());
    let kinds: Vec<_> = rig.heard().iter().map(|(h, _)| (h.position, h.kind)).collect();
    assert_eq!(kinds, [(1_280, FrameKind::Concealed), (1_440, FrameKind::Packet)]);
    assert_eq!(rig.leg.deadline(), None);
    let report = rig.stats.report();
    assert_eq!((report.rx_lost, report.rx_concealed_ms), (1, 20));
}

#[test]
fn strangers_and_garbage_are_counted_and_not_heard() {
    let mut rig = Rig::agreed();
    for _ in 0..20 {
        rig.speak(true);
        rig.receive(0, &[0; 160], STRANGER);
        rig.receive(99, &[0; 160], address(1, 5_000));
        rig.seq = rig.seq.wrapping_add(1);
        rig.leg.handle_rtp(rig.now, b"GET / HTTP/1.1", address(1, 5_000));
        rig.leg.handle_rtp(rig.now, &[], address(1, 5_000));
        rig.now += TICK;
    }
    assert!(rig.heard().iter().all(|(header, _)| header.kind != FrameKind::Concealed));
    let report = rig.stats.report();
    assert_eq!(report.rx_packets, 20);
    assert!(report.rx_refused >= 60, "{}", report.rx_refused);
    assert_eq!(rig.tick().unwrap().to, address(1, 5_000));
}

#[test]
fn nothing_is_captured_when_nobody_listens_but_the_clock_runs() {
    let mut rig = Rig::agreed();
    rig.tell(Command::Listen(false));
    for _ in 0..10 {
        rig.speak(true);
    }
    rig.tell(Command::Listen(true));
    rig.speak(true);
    let positions: Vec<_> = rig.heard().iter().map(|(header, _)| header.position).collect();
    assert_eq!(positions, [1_600]);
    rig.tell(Command::Update(MediaParams { receive: false, ..agreement() }));
    rig.speak(true);
    assert_eq!(rig.heard(), []);
}

#[test]
fn what_nobody_listens_to_is_counted_all_the_same() {
    let mut rig = Rig::agreed();
    rig.tell(Command::Listen(false));
    for n in 0..10 {
        rig.speak(n != 5);
        rig.now += TICK;
    }
    rig.now += Duration::from_millis(100);
    rig.leg.handle_timeout(rig.now);
    let report = rig.stats.report();
    assert_eq!((report.rx_packets, report.rx_due, report.rx_missing), (9, 10, 1));
    assert_eq!((report.rx_lost, report.rx_concealed_ms), (1, 20));
    assert_eq!(rig.heard(), []);
    rig.tell(Command::Listen(true));
    let payload = rig.speak(true);
    let (header, samples) = rig.heard().remove(0);
    let said: Vec<i16> = payload.iter().map(|octet| g711::decode_ulaw(*octet)).collect();
    assert_eq!((header.position, samples), (1_600, said));
}

#[test]
fn a_full_capture_ring_drops_whole_frames_and_shows_the_jump() {
    let mut rig = Rig::agreed();
    for _ in 0..110 {
        rig.speak(true);
    }
    assert_eq!(rig.heard().len(), 100);
    assert_eq!(rig.stats.report().rx_overrun_samples, 10 * 160);
    rig.speak(true);
    assert_eq!(rig.heard()[0].0.position, 110 * 160);
}

#[test]
fn digits_of_the_caller_are_told_once_and_their_leak_is_muted() {
    let mut rig = Rig::agreed();
    for _ in 0..5 {
        rig.speak(true);
    }
    rig.heard();
    let event_timestamp = rig.timestamp;
    for n in 1..=5_u16 {
        let end = if n == 5 { 0x80 } else { 0 };
        for _ in 0..if n == 5 { 3 } else { 1 } {
            let duration = (n * 160).to_be_bytes();
            let payload = [7, end | 0x0A, duration[0], duration[1]];
            let packet = datagram(rig.seq, event_timestamp, EVENT, n == 1, &payload);
            rig.leg.handle_rtp(rig.now, &packet, address(1, 5_000));
            rig.seq = rig.seq.wrapping_add(1);
        }
        if n < 5 {
            rig.speak(true);
        }
        rig.now += TICK;
    }
    rig.speak(true);
    let kinds: Vec<_> =
        rig.heard().into_iter().map(|(h, s)| (h.kind, s.iter().any(|s| *s != 0))).collect();
    assert_eq!(kinds[..4], [(FrameKind::Silence, false); 4]);
    assert_eq!(kinds.last(), Some(&(FrameKind::Packet, true)));
    let events = rig.events();
    let digit = Event::Dtmf { digit: b'7', duration_ms: 100, position: 800, inband: false };
    assert_eq!(events.iter().filter(|e| **e == digit).count(), 1, "{events:?}");
    assert_eq!(events.len(), 2, "Flowing and one digit: {events:?}");
}

#[test]
fn reports_tell_what_was_sent_and_received() {
    let mut rig = Rig::agreed();
    for n in 0..50 {
        rig.speak(n != 10);
        rig.tick();
    }
    let (items, to) = rig.report();
    assert_eq!(to, address(1, 5_001));
    let [Item::Sender { info, .. }, Item::Block { block, .. }, Item::Voip { metrics, .. }] =
        items[..]
    else {
        panic!("{items:?}");
    };
    // One packet of fifty: 2 % lost in the gap, R = 93.2 - 95 * 2 / (2 + 25.1) and a little delay.
    assert_eq!((metrics.ssrc.0, metrics.loss_rate, metrics.discard_rate), (77, 5, 0));
    assert_eq!((metrics.burst_density, metrics.gap_density, metrics.gap_ms), (0, 5, 1000));
    assert_eq!((metrics.r_factor, metrics.mos_cq, metrics.gmin), (85, 42, 16));
    assert!((4.15..4.30).contains(&rig.stats.report().mos_rx), "{}", rig.stats.report().mos_rx);
    assert_eq!(info.packets, 125, "sent in 2.5 s, before this tick's packet");
    assert_eq!(info.octets, 125 * 160);
    assert_eq!((block.reception.ssrc.0, block.reception.cumulative_lost), (77, 1));
    let next = rig.pacer_timestamp();
    assert_eq!(info.timestamp.0, next);
    rig.tell(Command::Update(MediaParams { send: false, ..agreement() }));
    rig.report();
    let (items, _) = rig.report();
    assert!(matches!(items[0], Item::Block { .. }), "a receiver's report: {items:?}");
}

impl Rig {
    fn pacer_timestamp(&self) -> u32 {
        self.leg.pacer.peek().timestamp
    }
}

#[test]
fn the_peers_reports_are_read_from_its_host_only() {
    let mut rig = Rig::agreed();
    let ssrc = rig.tick().unwrap().ssrc;
    let mut report = [0; MAX_REPORT];
    let reception = crate::rtp::reception::ReceptionReport {
        ssrc: Ssrc(ssrc),
        fraction_lost: 64,
        cumulative_lost: 3,
        highest: 9,
        jitter: 80,
    };
    let peer = crate::rtp::rtcp::RtcpSession::new(Ssrc(77), "peer");
    let len = peer.write_report(rig.now, None, Some(&reception), &mut report).unwrap();
    let told = crate::rtp::xr::VoipMetrics {
        ssrc: Ssrc(ssrc),
        mos_cq: 37,
        ..super::super::report::tests::METRICS
    };
    let len = peer.add_voip(&told, len, &mut report).unwrap();
    rig.leg.handle_rtcp(rig.now, &report[..len], STRANGER);
    rig.leg.handle_rtcp(rig.now, &report[..len - 3], address(1, 5_003));
    assert_eq!(rig.stats.report().remote_fraction_lost, 0);
    rig.leg.handle_rtcp(rig.now, &report[..len], address(1, 5_003));
    let stats = rig.stats.report();
    assert_eq!((stats.remote_fraction_lost, stats.remote_jitter_us), (64, 10_000));
    assert_eq!((stats.mos_told, stats.mos_rx), (3.7, 0.0), "told, and nothing heard yet");
    assert!((1.0..4.4).contains(&stats.mos_tx), "{}", stats.mos_tx);
    let (_, to) = rig.report();
    assert_eq!(to, address(1, 5_003), "where the peer's RTCP comes from");
}

#[test]
fn closing_says_bye_once() {
    let mut rig = Rig::agreed();
    let ssrc = rig.tick().unwrap().ssrc;
    rig.leg.close(rig.now, &mut rig.out);
    let (bytes, to) = rig.out.rtcp().unwrap();
    assert_eq!(to, address(1, 5_001));
    let mut byes = Vec::new();
    rtcp::parse(bytes, |item| {
        if let Item::Bye { ssrc } = item {
            byes.push(ssrc.0);
        }
    })
    .unwrap();
    assert_eq!(byes, [ssrc]);
    rig.leg.close(rig.now, &mut rig.out);
    assert!(rig.out.rtcp().is_none());
}

#[test]
fn silence_of_the_peer_is_told_again_and_again_until_it_is_heard() {
    let mut rig = Rig::agreed();
    rig.tell(Command::QuietAfter(Duration::from_secs(1)));
    let mut told = Vec::new();
    for n in 0..200 {
        if n == 120 {
            rig.speak(true);
            rig.now += TICK;
            rig.speak(true);
        }
        rig.tick();
        told.extend(rig.events().into_iter().filter_map(|event| match event {
            Event::Quiet { silent } => Some((n, silent.as_millis())),
            _ => None,
        }));
    }
    assert_eq!(told, [(50, 1_000), (100, 2_000), (170, 1_000)]);
    rig.tell(Command::QuietAfter(Duration::ZERO));
    for _ in 0..200 {
        rig.tick();
    }
    assert_eq!(rig.events(), []);
}

#[test]
fn commands_beyond_their_tables_are_counted() {
    let mut rig = Rig::agreed();
    for token in 0..200 {
        rig.tell(Command::Watch { position: 1_000, token });
        rig.tell(Command::Clear { up_to: 0, token, fade: CLEAR_FADE });
    }
    assert_eq!(rig.leg.take_dropped(), (200 - 128) + (200 - 16));
    assert_eq!(rig.leg.take_dropped(), 0);
}
