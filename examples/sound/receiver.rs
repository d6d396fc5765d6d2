//! Who receives: our own path as it stands in a call, and fixed buffers beside it.
//!
//! ```text
//!  asap    datagrams ─> media::receive ─> capture ring ─> samples at their positions
//!  fixed   packets that are later than the buffer is long are concealed as Appendix I does
//! ```

use super::appendix;
use super::material::FRAME;
use bellwire::audio::codec::{Codec as _, CodecId, g711::Pcmu};
use bellwire::audio::rate::SampleRate;
use bellwire::media::interface::{FrameKind, JitterSpec, MediaParams};
use bellwire::media::playout::Events;
use bellwire::media::receive::Receive;
use bellwire::media::ring::{self, CaptureReader};
use bellwire::media::stats::LegStats;
use bellwire::rtp::packet::{HEADER_LEN, HeaderTemplate, Ssrc};
use bellwire::rtp::seq::{Seq16, Ts32};
use bellwire::sdp::Accepts;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

const PTIME_US: u64 = 20_000;
const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 5_000);

/// The defaults of `[jitter]`.
const JITTER: JitterSpec = JitterSpec {
    hole_wait: Duration::from_millis(40),
    hole_wait_min: Duration::from_millis(20),
    hole_wait_max: Duration::from_millis(80),
};

/// What a listener got.
pub struct Heard {
    /// At 8 kHz.
    pub samples: Vec<i16>,
    /// Samples that were made up.
    pub concealed: u64,
    /// For each packet that was used how long it waited here, in ms; for clocked buffers how long
    /// the fastest packet waits.
    pub delays_ms: Vec<f64>,
}

impl Heard {
    /// Share of what was made up, in per cent.
    pub fn concealed_percent(&self) -> f64 {
        100.0 * self.concealed as f64 / self.samples.len() as f64
    }

    /// Mean of the delays.
    pub fn delay_ms(&self) -> f64 {
        self.delays_ms.iter().sum::<f64>() / self.delays_ms.len().max(1) as f64
    }

    /// The delay that 99 of 100 packets stay below.
    pub fn delay_p99_ms(&self) -> f64 {
        let mut sorted = self.delays_ms.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() * 99 / 100).copied().unwrap_or(0.0)
    }
}

/// What µ-law leaves of samples.
pub fn mu_law(samples: &[i16]) -> Vec<i16> {
    let (mut payload, mut heard) = (vec![0; samples.len()], vec![0; samples.len()]);
    Pcmu.encode(samples, &mut payload);
    Pcmu.decode(&payload, &mut heard);
    heard
}

/// Every packet on time, but for those that are lost.
pub fn on_time(lost: &[bool]) -> Vec<Option<u64>> {
    lost.iter().map(|&lost| (!lost).then_some(0)).collect()
}

/// A buffer that plays each packet so long after the fastest could have come.
pub fn fixed(samples: &[i16], fates: &[Option<u64>], buffer_ms: u64) -> Heard {
    let late = |fate: &Option<u64>| fate.is_none_or(|late| late > buffer_ms * 1_000);
    let lost: Vec<bool> = fates.iter().map(late).collect();
    let missing = lost.iter().filter(|&&lost| lost).count();
    Heard {
        samples: appendix::conceal(&mu_law(samples), &lost, FRAME),
        concealed: (missing * FRAME) as u64,
        delays_ms: vec![buffer_ms as f64],
    }
}

/// The receive path of a leg, with its capture ring.
pub struct Caller {
    receive: Receive,
    capture: CaptureReader,
    stats: LegStats,
    events: Events,
    header: HeaderTemplate,
}

impl Caller {
    fn new(start: Instant, jitter: JitterSpec) -> Self {
        let (writer, capture) = ring::capture(1_024, 65_536);
        let mut receive = Receive::new(start, SampleRate::HZ_8000, &[], jitter, writer);
        receive.update(start, &agreement());
        let header = HeaderTemplate::new(Ssrc(1), 0);
        Self { receive, capture, stats: LegStats::default(), events: Events::default(), header }
    }

    fn deliver(&mut self, now: Instant, number: usize, payload: &[u8]) {
        let mut header = [0; HEADER_LEN];
        let timestamp = Ts32((number * FRAME) as u32);
        self.header.write(Seq16(number as u16), timestamp, false, &mut header);
        let datagram = [&header, payload].concat();
        self.receive.handle(now, &datagram, PEER, &self.stats, &mut self.events);
    }
}

/// Packets in the order of their arrival: microseconds, number.
fn arrivals(fates: &[Option<u64>]) -> Vec<(u64, usize)> {
    let at =
        |(number, late): (usize, &Option<u64>)| Some((number as u64 * PTIME_US + (*late)?, number));
    let mut arrivals: Vec<_> = fates.iter().enumerate().filter_map(at).collect();
    arrivals.sort_unstable();
    arrivals
}

/// Plays the packets to our receive path; what it puts out goes to `take`, with its moment.
fn receive(
    samples: &[i16],
    fates: &[Option<u64>],
    jitter: JitterSpec,
    mut take: impl FnMut(u64, &mut CaptureReader),
) {
    let start = Instant::now();
    let mut payload = vec![0; samples.len()];
    Pcmu.encode(samples, &mut payload);
    let mut caller = Caller::new(start, jitter);
    let after = |us: u64| start + Duration::from_micros(us);
    let arrivals = arrivals(fates);
    let end_us = fates.len() as u64 * PTIME_US + 1_000_000;
    let mut next = 0;
    loop {
        let packet = arrivals.get(next).map(|(at, _)| *at);
        let deadline = caller.receive.deadline();
        let deadline = deadline.map(|at| at.saturating_duration_since(start).as_micros() as u64);
        let Some(at) = [packet, deadline].into_iter().flatten().min() else { break };
        if at > end_us {
            break;
        }
        let now = after(at);
        if packet == Some(at) {
            let number = arrivals[next].1;
            caller.deliver(now, number, &payload[number * FRAME..(number + 1) * FRAME]);
            next += 1;
        } else {
            caller.receive.poll(now, &caller.stats, &mut caller.events);
        }
        take(at, &mut caller.capture);
    }
}

/// Our receive path as a program hears it.
pub fn asap(samples: &[i16], fates: &[Option<u64>]) -> Heard {
    asap_with(samples, fates, JITTER)
}

/// The same with other settings.
pub fn asap_with(samples: &[i16], fates: &[Option<u64>], jitter: JitterSpec) -> Heard {
    let mut heard = Heard { samples: Vec::new(), concealed: 0, delays_ms: Vec::new() };
    receive(samples, fates, jitter, |at, capture| {
        let mut frame = Vec::new();
        while let Some(header) = capture.pop(&mut frame) {
            let from = header.position as usize;
            heard.samples.resize(heard.samples.len().max(from + frame.len()), 0);
            heard.samples[from..from + frame.len()].copy_from_slice(&frame);
            match header.kind {
                FrameKind::Concealed => heard.concealed += frame.len() as u64,
                FrameKind::Packet => {
                    let number = from / FRAME;
                    let came = number as u64 * PTIME_US + fates[number].unwrap_or(0);
                    heard.delays_ms.push((at - came) as f64 / 1_000.0);
                }
                FrameKind::Silence => {}
            }
            frame.clear();
        }
    });
    heard
}

fn agreement() -> MediaParams {
    MediaParams {
        codec: CodecId::Pcmu,
        payload_type: 0,
        telephone_event: None,
        ptime: Duration::from_micros(PTIME_US),
        remote_rtp: PEER,
        remote_rtcp: PEER,
        send: true,
        receive: true,
        rtcp_mux: false,
        comfort_noise: false,
        accepts: Accepts::default(),
    }
}
