//! Two legs that talk to each other over a network that the test holds.

#![allow(clippy::large_stack_arrays, reason = "legs are large, and a test has a stack for two")]

use super::*;
use std::f64::consts::TAU;

/// The pitch of what is played.
const HZ: f64 = 440.0;

/// Two legs. See the module.
pub(super) struct Pair {
    pub(super) legs: [Leg; 2],
    playout: [PlayoutWriter; 2],
    capture: [CaptureReader; 2],
    pub(super) stats: [Arc<LegStats>; 2],
    rates: [SampleRate; 2],
    pub(super) now: Instant,
    out: Outgoing,
    played: usize,
    /// What the second leg heard.
    pub(super) heard: Vec<(FrameHeader, Vec<i16>)>,
}

/// A datagram on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Datagram {
    /// Whether it goes by the RTP socket.
    pub(super) rtp: bool,
    pub(super) bytes: Vec<u8>,
}

pub(super) const fn home(leg: usize) -> SocketAddr {
    if leg == 0 { address(1, 5_000) } else { address(2, 5_000) }
}

/// What leg `of` is told of the other one.
pub(super) fn params(of: usize, codec: CodecId) -> MediaParams {
    let remote = home(1 - of);
    MediaParams {
        codec,
        payload_type: codec.spec().payload_type,
        remote_rtp: remote,
        remote_rtcp: SocketAddr::new(remote.ip(), remote.port() + 1),
        ..agreement()
    }
}

impl Pair {
    pub(super) fn new(rates: [SampleRate; 2], seeds: [u64; 2]) -> Self {
        #[expect(clippy::disallowed_methods, reason = "an anchor for virtual time")]
        let now = Instant::now();
        let open = |at: usize| {
            let stats = Arc::new(LegStats::default());
            let config = LegConfig {
                codecs: crate::audio::codec::CODECS.iter().map(|spec| spec.id).collect(),
                rate: rates[at],
                cname: format!("leg{at}"),
                seed: seeds[at],
                jitter: JitterSpec {
                    hole_wait: Duration::from_millis(40),
                    hole_wait_min: TICK,
                    hole_wait_max: Duration::from_millis(80),
                },
                start: StartRule::default(),
                playout: Duration::from_secs(2),
                capture: Duration::from_secs(2),
                send: SendSpec::default(),
                opened_unix: Duration::from_hours(500_000),
            };
            let (leg, playout, capture) = Leg::open(now, &config, Arc::clone(&stats));
            (leg, playout, capture, stats)
        };
        let (a, b) = (open(0), open(1));
        Self {
            legs: [a.0, b.0],
            playout: [a.1, b.1],
            capture: [a.2, b.2],
            stats: [a.3, b.3],
            rates,
            now,
            out: Outgoing::default(),
            played: 0,
            heard: Vec::new(),
        }
    }

    pub(super) fn agree(&mut self, codec: CodecId) {
        for (at, leg) in self.legs.iter_mut().enumerate() {
            leg.handle_command(self.now, Command::Update(params(at, codec)));
        }
    }

    /// One beat: the first leg plays a tone, and the network makes of each datagram what it likes.
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a tone")]
    pub(super) fn beat(&mut self, mut network: impl FnMut(usize, Datagram) -> Vec<Datagram>) {
        let rate = f64::from(self.rates[0].hz());
        let frame = usize::try_from(self.rates[0].hz() / 50).unwrap();
        let tone = (self.played..self.played + frame)
            .map(|n| (8_000.0 * (TAU * HZ * n as f64 / rate).sin()) as i16);
        self.playout[0].push(&tone.collect::<Vec<_>>());
        self.played += frame;
        for at in 0..2 {
            self.legs[at].tick(self.now, self.now, &mut self.out);
            let muxed = self.out.is_muxed();
            let rtp =
                self.out.rtp().map(|(bytes, _)| Datagram { rtp: true, bytes: bytes.to_vec() });
            let rtcp = self.out.rtcp();
            let rtcp = rtcp.map(|(bytes, _)| Datagram { rtp: muxed, bytes: bytes.to_vec() });
            if rtp.is_some() {
                self.legs[at].handle_sent(true);
            }
            for datagram in rtp.into_iter().chain(rtcp) {
                for arriving in network(at, datagram) {
                    self.deliver(1 - at, &arriving);
                }
            }
        }
        self.now += TICK;
        let capture = &mut self.capture[1];
        self.heard.extend(std::iter::from_fn(|| {
            let mut samples = Vec::new();
            capture.pop(&mut samples).map(|header| (header, samples))
        }));
    }

    pub(super) fn deliver(&mut self, to: usize, datagram: &Datagram) {
        let from = home(1 - to);
        if datagram.rtp {
            self.legs[to].handle_rtp(self.now, &datagram.bytes, from);
        } else {
            let from = SocketAddr::new(from.ip(), from.port() + 1);
            self.legs[to].handle_rtcp(self.now, &datagram.bytes, from);
        }
    }

    pub(super) fn beats(&mut self, count: usize) {
        (0..count).for_each(|_| self.beat(|_, datagram| vec![datagram]));
    }

    /// What was heard, checked to be without a gap or an overlap, and forgotten.
    pub(super) fn sound(&mut self) -> Vec<i16> {
        let heard = std::mem::take(&mut self.heard);
        for pair in heard.windows(2) {
            let (before, after) = (pair[0].0, pair[1].0);
            assert_eq!(after.position, before.position + u64::from(before.samples));
        }
        heard.into_iter().flat_map(|(_, samples)| samples).collect()
    }
}

/// Level of the tone and of all else against it, in dB; by the best fitting sine.
#[expect(clippy::cast_precision_loss, reason = "counts")]
pub(super) fn tone_and_noise(sound: &[i16], rate: SampleRate) -> (f64, f64) {
    let step = TAU * HZ / f64::from(rate.hz());
    let angle = |n: usize| step * n as f64;
    let samples = || sound.iter().enumerate().map(|(n, s)| (n, f64::from(*s)));
    let count = sound.len() as f64;
    let cosine = samples().map(|(n, s)| s * angle(n).cos()).sum::<f64>() * 2.0 / count;
    let sine = samples().map(|(n, s)| s * angle(n).sin()).sum::<f64>() * 2.0 / count;
    let fit = |n: usize| cosine * angle(n).cos() + sine * angle(n).sin();
    let noise = samples().map(|(n, s)| (s - fit(n)).powi(2)).sum::<f64>() / count;
    let tone = cosine.mul_add(cosine, sine * sine) / 2.0;
    let level = 10.0 * (tone / (8_000.0_f64.powi(2) / 2.0)).max(1e-9).log10();
    (level, 10.0 * (noise / tone.max(1e-9)).max(1e-9).log10())
}
