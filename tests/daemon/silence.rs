//! What the wire carries while a call has nothing to say, as `rtp.silence` has it.

use super::rig::{Daemon, SOON, read_wav, tone_wav};
use bellwire::audio::rate::SampleRate;
use bellwire::audio::wav::WavWriter;
use bellwire::rtp::packet::Packet;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

/// What a packet says of itself.
struct Heard {
    sequence: u16,
    timestamp: u32,
    kind: u8,
    marker: bool,
    payload: Vec<u8>,
}

/// A caller by hand, who takes comfort noise, and what it hears of a prompt of 400 ms of sound and
/// 1.6 s of silence, again and again.
async fn call(policy: &str) -> (String, Vec<Heard>) {
    let dir = tempfile::tempdir().unwrap();
    let tone = read_wav(&tone_wav(dir.path(), "tone.wav", 1_000.0, 0.4));
    let prompt = dir.path().join("prompt.wav");
    let mut writer = WavWriter::create(&prompt, SampleRate::HZ_8000, 1).unwrap();
    writer.write(&[tone, vec![0; 12_800]].concat()).unwrap();
    writer.finish().unwrap();
    let more = format!(
        "[[route]]\nto = \"^play$\"\ninstance = \"inst_demo\"\naction = \"play\"\naudio = \"{}\"\n",
        prompt.display()
    );
    let silence = format!("rtp.silence={policy}");
    let args = ["--set", &silence, "--set", "rtp.comfort_noise_dbov=-60"];
    let daemon = Daemon::start_with_both("127.0.0.1:9", &more, &args).await;
    let (sip, rtp) = (UdpSocket::bind("127.0.0.1:0"), UdpSocket::bind("127.0.0.1:0"));
    let (sip, rtp) = (sip.unwrap(), rtp.unwrap());
    sip.connect(daemon.sip).unwrap();
    sip.set_read_timeout(Some(SOON)).unwrap();
    rtp.set_read_timeout(Some(SOON)).unwrap();
    let ours = sip.local_addr().unwrap();
    let sdp = format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
         m=audio {} RTP/AVP 0 13\r\n",
        rtp.local_addr().unwrap().port()
    );
    let say = |method: &str, tag: &str, sdp: &str| {
        let message = format!(
            "{method} sip:play@gw.test SIP/2.0\r\n\
             Via: SIP/2.0/UDP {ours};branch=z9hG4bK{policy}{method}\r\n\
             From: <sip:+14155550199@{ours}>;tag=1\r\nTo: <sip:play@gw.test>{tag}\r\n\
             Call-ID: {policy}\r\nCSeq: 1 {method}\r\nMax-Forwards: 70\r\n\
             Contact: <sip:peer@{ours}>\r\nContent-Type: application/sdp\r\n\
             Content-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        );
        sip.send(message.as_bytes()).unwrap();
    };
    say("INVITE", "", &sdp);
    let mut buffer = [0; 4096];
    let answer = loop {
        let length = sip.recv(&mut buffer).unwrap();
        let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if message.starts_with("SIP/2.0 200 ") {
            break message;
        }
    };
    let tag = answer.lines().find_map(|line| line.strip_prefix("To:")?.split_once(";tag="));
    say("ACK", &format!(";tag={}", tag.expect("a tag").1), "");
    let until = Instant::now() + Duration::from_secs(5);
    let mut heard = Vec::new();
    while Instant::now() < until {
        let length = rtp.recv(&mut buffer).unwrap();
        let packet = Packet::parse(&buffer[..length]).unwrap();
        heard.push(Heard {
            sequence: packet.seq.0,
            timestamp: packet.timestamp.0,
            kind: packet.payload_type,
            marker: packet.marker,
            payload: packet.payload.to_vec(),
        });
    }
    (answer, heard)
}

/// Sequence numbers grow by one, and timestamps by as much as `gap` of the packet before allows; a
/// packet of audio is marked where it does not follow one at once.
fn check(heard: &[Heard]) {
    assert!(heard[0].marker);
    for pair in heard.windows(2) {
        let [before, after] = pair else { continue };
        assert_eq!(after.sequence, before.sequence.wrapping_add(1));
        let ticks = after.timestamp.wrapping_sub(before.timestamp) / 160;
        assert_eq!(after.timestamp, before.timestamp.wrapping_add(160 * ticks));
        let follows = before.kind == 0 && ticks == 1;
        assert_eq!(after.marker, after.kind == 0 && !follows);
    }
}

/// The longest step of time between two packets.
fn longest(heard: &[Heard]) -> Duration {
    let steps = heard.windows(2).map(|pair| pair[1].timestamp.wrapping_sub(pair[0].timestamp));
    Duration::from_millis(u64::from(steps.max().unwrap_or(0) / 8))
}

#[tokio::test(flavor = "multi_thread")]
async fn comfort_noise_is_agreed_on_and_told_five_times_a_second() {
    let (answer, heard) = call("cn").await;
    assert!(answer.contains(" RTP/AVP 0 13\r\n"), "{answer}");
    check(&heard);
    let noise: Vec<&Heard> = heard.iter().filter(|packet| packet.kind == 13).collect();
    assert!(noise.len() >= 10 && noise.iter().all(|packet| packet.payload == [60]));
    assert_eq!(longest(&heard), Duration::from_millis(200));
    assert!(heard.len() < 200, "{} packets in five seconds", heard.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn suppressed_silence_leaves_a_gap_and_a_marker() {
    let (answer, heard) = call("suppress").await;
    assert!(!answer.contains("CN/8000"), "{answer}");
    check(&heard);
    assert!(heard.iter().all(|packet| packet.kind == 0));
    let marked = heard.iter().filter(|packet| packet.marker).count();
    assert!((2..=4).contains(&marked), "the first, and one after each silence: {marked}");
    // 1.6 s of silence, of which 200 ms are sent; the filters let the tone die away a little.
    let gap = longest(&heard).as_millis();
    assert!((1_200..=1_420).contains(&gap), "{gap} ms");
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_go_on_by_default_with_the_noise_that_was_asked_for() {
    let (_, heard) = call("packets").await;
    check(&heard);
    assert_eq!(longest(&heard), Duration::from_millis(20));
    let is_noise = |packet: &&Heard| {
        let digital = packet.payload.iter().all(|octet| *octet == 0xFF);
        let quiet = packet.payload.iter().all(|octet| !*octet & 0x7F < 0x20);
        packet.kind == 0 && quiet && !digital
    };
    assert!(heard.iter().filter(is_noise).count() > 100, "of some {} packets", heard.len());
}
