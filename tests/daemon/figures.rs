//! What the native protocol and every dialect are worth on a call: how well the far end hears a
//! client's speech, how soon a clear silences the wire, and whether what is told to have been played
//! is what was heard.
//!
//! ```text
//!  client of a vendor ══ WebSocket ══ the daemon ══ SIP, RTP ══ a carrier by hand: when each packet came
//!  native listener    ══ WebSocket ═══════╝
//! ```
//!
//! The speech, the scorer, and when the test may be skipped are those of `tests/audio`. A clear is
//! timed from the client's write until the last packet with sound has come: both by the clock of this
//! process, so that a machine that is busy makes it look late and never early. Each dialect clears
//! five times in a series; where one is late there are up to two more series, and the best counts,
//! as the table says. Positions come from a listener in our own protocol, since most vendors have
//! none, and from REST.

use super::client::Client;
use super::exact::framed;
use super::rig::{Daemon, SOON};
use super::sound::aligned;
use super::speech::{Rig, Speech};
use super::vendors::{self, Bot, Vendor};
use bellwire::audio::codec::g711::decode_ulaw;
use bellwire::rtp::packet::Packet;
use futures_util::future::join_all;
use serde_json::json;
use std::fmt::Write as _;
use std::net::UdpSocket;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Instant;

/// PESQ that each must reach; an ideal resampler and G.711 reach about 4.38.
const PESQ_MIN: f32 = 4.2;
/// In milliseconds: a packet that waits for its beat, and one more.
const CLEAR_MAX: u128 = 40;
/// How far a position may be from the far end's recording, in milliseconds.
const PLAYED_OFF_MAX: u64 = 20;
const CLEARS: usize = 5;
const SERIES: usize = 3;
/// Of the sound that is cut, in samples: what plays before, and what is sent.
const PLAYED: usize = 2400;
const SENT: usize = 24_000;
/// What is sent behind a clear, in samples.
const SILENT: usize = 1600;

/// A packet of the daemon's, and when it came.
struct Came {
    at: Instant,
    sequence: u16,
    samples: Vec<i16>,
}

/// What the far end of one call hears.
struct Ear {
    came: Arc<Mutex<Vec<Came>>>,
}

/// Answers every call with G.711 µ-law and listens; ends with the process.
struct Carrier {
    address: String,
    ears: mpsc::Receiver<Ear>,
}

impl Carrier {
    fn start() -> Self {
        let sip = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = sip.local_addr().unwrap().to_string();
        let (answered, ears) = mpsc::channel();
        std::thread::spawn(move || {
            let (mut buffer, mut calls) = ([0; 4096], Vec::<(String, u16)>::new());
            while let Ok((length, from)) = sip.recv_from(&mut buffer) {
                let request = String::from_utf8_lossy(&buffer[..length]).into_owned();
                let call = field(&request, "Call-ID");
                let sdp = if request.starts_with("INVITE ") {
                    let known = calls.iter().find(|(known, _)| *known == call);
                    let known = known.map(|(_, port)| *port);
                    let port = known.unwrap_or_else(|| {
                        let (ear, port) = listen();
                        let _ = answered.send(ear);
                        port
                    });
                    calls.push((call, port));
                    format!(
                        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                         m=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
                    )
                } else if request.starts_with("ACK ") || request.starts_with("SIP/2.0") {
                    continue;
                } else {
                    String::new()
                };
                let _ = sip.send_to(ok(&request, &sip, &sdp).as_bytes(), from);
            }
        });
        Self { address, ears }
    }
}

/// The first field of this name.
fn field(message: &str, name: &str) -> String {
    let fields = message.lines().filter_map(|line| line.split_once(": "));
    let mut named = fields.filter(|(known, _)| known.eq_ignore_ascii_case(name));
    named.next().map(|(_, value)| value.to_owned()).unwrap_or_default()
}

/// The 200 to a request (RFC 3261 §8.2.6.2).
fn ok(request: &str, sip: &UdpSocket, sdp: &str) -> String {
    let mut answer = "SIP/2.0 200 OK\r\n".to_owned();
    for line in request.lines().filter(|line| line.starts_with("Via: ")) {
        let _ = write!(answer, "{line}\r\n");
    }
    let to = field(request, "To");
    let tag = if to.contains(";tag=") { "" } else { ";tag=far" };
    let ours = sip.local_addr().unwrap();
    let _ = write!(
        answer,
        "From: {}\r\nTo: {to}{tag}\r\nCall-ID: {}\r\nCSeq: {}\r\nContact: <sip:far@{ours}>\r\n\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
        field(request, "From"),
        field(request, "Call-ID"),
        field(request, "CSeq"),
        sdp.len(),
    );
    answer
}

/// Opens an ear, and says at which port.
fn listen() -> (Ear, u16) {
    let rtp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = rtp.local_addr().unwrap().port();
    let came = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&came);
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok(length) = rtp.recv(&mut buffer) {
            let at = Instant::now();
            let Ok(packet) = Packet::parse(&buffer[..length]) else { continue };
            let samples = packet.payload.iter().map(|octet| decode_ulaw(*octet)).collect();
            kept.lock().unwrap().push(Came { at, sequence: packet.seq.0, samples });
        }
    });
    (Ear { came }, port)
}

impl Ear {
    /// All that was heard; nothing may be missing.
    fn heard(&self) -> Vec<i16> {
        let came = self.came.lock().unwrap();
        let follows = |pair: &[Came]| pair[1].sequence == pair[0].sequence.wrapping_add(1);
        assert!(came.windows(2).all(follows), "packets were lost on the way to the test");
        came.iter().flat_map(|packet| packet.samples.iter().copied()).collect()
    }

    /// When the last packet with sound came, of those that came in this time.
    fn last_sound(&self, from: Instant, to: Instant) -> Instant {
        let came = self.came.lock().unwrap();
        let sounds = |packet: &&Came| packet.samples.iter().any(|sample| is_loud(*sample));
        let within = came.iter().filter(|packet| packet.at >= from && packet.at < to);
        within.filter(sounds).map(|packet| packet.at).max().expect("the sound was heard")
    }
}

fn is_loud(sample: i16) -> bool {
    sample.unsigned_abs() > 100
}

/// What a dialect was found to be worth.
struct Figures {
    name: String,
    pesq: f32,
    /// Of each series, the time that each clear took, in milliseconds.
    series: Vec<Vec<u128>>,
    /// How far the worst position told was from what was heard, in milliseconds.
    told_off: u64,
    rest_off: u64,
}

impl Figures {
    /// The series whose slowest clear was the quickest, in order.
    fn best(&self) -> Vec<u128> {
        let mut best = self.series.iter().min_by_key(|series| series.iter().max()).unwrap().clone();
        best.sort_unstable();
        best
    }

    fn row(&self) -> String {
        let best = self.best();
        format!(
            "| {:<13} | {:.2} | {:>6} | {:>5} | {:>6} | {:>6} | {:>4} |",
            self.name,
            self.pesq,
            best[CLEARS / 2],
            best[CLEARS - 1],
            self.series.len(),
            self.told_off,
            self.rest_off,
        )
    }
}

/// One call, from its client's side.
struct Talk<'a> {
    vendor: &'a Vendor,
    bot: Bot,
    listener: Client,
    ear: &'a Ear,
    /// Positions that the listener was told, in milliseconds.
    told: Vec<u64>,
}

impl Talk<'_> {
    /// Where the sound was when this mark was reached.
    async fn listener_hears_of(&mut self, name: &str) -> u64 {
        loop {
            let mark = self.listener.next("mark").await;
            // Some dialects put a word before it.
            if mark["name"].as_str().is_some_and(|told| told.contains(name)) {
                assert_eq!(mark["cleared"], false, "{mark}");
                return mark["played_ms"].as_u64().unwrap();
            }
        }
    }

    /// Clears three seconds of sound after 300 ms; how long the wire had sound after that.
    async fn clear(&mut self, number: usize) -> u128 {
        let loud = [8000_i16, -8000].repeat(SENT / 2);
        let (cut, silent) = (format!("cut{number}."), format!("silent{number}."));
        let from = Instant::now();
        self.bot.say(self.vendor, &loud[..PLAYED]).await;
        self.bot.send((self.vendor.mark)(&cut)).await;
        self.bot.say(self.vendor, &loud[PLAYED..]).await;
        self.bot.reached(self.vendor, &cut).await;
        let cleared = Instant::now();
        self.bot.send((self.vendor.clear)()).await;
        self.bot.say(self.vendor, &[0; SILENT]).await;
        self.bot.send((self.vendor.mark)(&silent)).await;
        self.bot.reached(self.vendor, &silent).await;
        let position = self.listener_hears_of(&silent).await;
        self.told.push(position);
        let last = self.ear.last_sound(from, Instant::now());
        last.saturating_duration_since(cleared).as_millis()
    }

    async fn clears(&mut self) -> Vec<Vec<u128>> {
        let mut series = Vec::new();
        for number in 0..SERIES {
            let mut took = Vec::new();
            for clear in 0..CLEARS {
                took.push(self.clear(number * CLEARS + clear).await);
            }
            let late = took.iter().any(|ms| *ms > CLEAR_MAX);
            series.push(took);
            if !late {
                break;
            }
        }
        series
    }
}

/// How many samples of sound there are between silences of 50 ms at least: a shorter one is a gap of a
/// client that a busy machine held up, and no part of a position.
fn stretches(heard: &[i16]) -> Vec<usize> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    for at in (0..heard.len()).filter(|at| is_loud(heard[*at])) {
        match found.last_mut() {
            Some((last, count)) if at - *last < 400 => (*last, *count) = (at, *count + 1),
            _ => found.push((at, 1)),
        }
    }
    found.into_iter().map(|(_, count)| count).collect()
}

/// A whole call.
async fn measure(
    daemon: &Daemon,
    id: &str,
    vendor: &Vendor,
    ear: &Ear,
    speech: &Speech,
) -> (Figures, Vec<i16>) {
    let spoken = [framed(&speech.at(8000)), vec![0; 3680]].concat();
    let listener = Client::attach(daemon, id, "?role=listener&listen=none").await;
    let bot = Bot::attach(daemon, id, vendor).await;
    let mut talk = Talk { vendor, bot, listener, ear, told: Vec::new() };
    talk.bot.say(vendor, &spoken).await;
    talk.bot.send((vendor.mark)("spoken.")).await;
    talk.bot.reached(vendor, "spoken.").await;
    let position = talk.listener_hears_of("spoken.").await;
    assert_eq!(position, spoken.len() as u64 / 8, "{}: all that was sent", vendor.path);
    let series = talk.clears().await;
    assert_eq!(daemon.delete(&format!("/v1/calls/{id}")).await, 204);
    let call = daemon.wait_for_end(id).await;
    let heard = ear.heard();
    let begin = heard.iter().position(|sample| *sample != 0).expect("the speech");
    let stretches = stretches(&heard[begin + speech.samples.len() / 2 + 2000..]);
    assert_eq!(stretches.len(), talk.told.len(), "{}: {stretches:?}", vendor.path);
    let (mut so_far, mut told_off) = (spoken.len(), 0);
    for (stretch, told) in stretches.iter().zip(&talk.told) {
        so_far += stretch + SILENT;
        told_off = told_off.max(told.abs_diff(so_far as u64 / 8));
    }
    let rest = call["quality"]["played_ms"].as_u64().unwrap();
    let rest_off = rest.abs_diff(so_far as u64 / 8);
    let name = call["stream"]["protocol"].as_str().unwrap().to_owned();
    let figures = Figures { name, pesq: 0.0, series, told_off, rest_off };
    (figures, aligned(&speech.samples, &heard))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_dialect_is_heard_well_cleared_at_once_and_told_where_it_is() {
    let Some(rig) = Rig::find() else { return };
    let speech = rig.speech.iter().min_by_key(|speech| speech.samples.len()).unwrap();
    let carrier = Carrier::start();
    let daemon = Daemon::start(&carrier.address, "").await;
    let all = vendors::all();
    let (mut figures, mut heard) = (Vec::new(), Vec::new());
    // Three at once: a call for itself flatters, and all together is a test of the machine.
    for few in all.chunks(3) {
        let mut calls = Vec::new();
        for vendor in few {
            let id = daemon.create("DYNAMIC_STREAM", "stream", json!({})).await;
            let ear = carrier.ears.recv_timeout(SOON).unwrap();
            calls.push((id, vendor, ear));
        }
        let measured =
            calls.iter().map(|(id, vendor, ear)| measure(&daemon, id, vendor, ear, speech));
        for (measured, sound) in join_all(measured).await {
            figures.push(measured);
            heard.push(sound);
        }
    }
    let pairs: Vec<_> = heard.iter().map(|heard| (&*speech.samples, &**heard)).collect();
    for (figures, pesq) in figures.iter_mut().zip(rig.score(&pairs)) {
        figures.pesq = pesq;
    }
    println!("| protocol | PESQ | clear ms: median | slowest | series | told off by ms | REST |");
    for figures in &figures {
        println!("{}", figures.row());
    }
    for figures in &figures {
        let row = figures.row();
        assert!(figures.pesq >= PESQ_MIN, "{row}");
        assert!(figures.best()[CLEARS - 1] <= CLEAR_MAX, "{row}: {:?}", figures.series);
        assert!(figures.told_off.max(figures.rest_off) <= PLAYED_OFF_MAX, "{row}");
    }
}
