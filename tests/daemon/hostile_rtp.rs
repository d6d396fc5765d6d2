//! Packets that are none of a call's, at the ports of a call: neither side hears them.

use super::client::Client;
use super::exact::{check_exact, coded, framed, noise, wav};
use super::rig::{Daemon, Phone, SOON, read_wav};
use bellwire::audio::codec::CodecId;
use serde_json::json;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

/// Octets of 20 ms of caller audio at 8 kHz.
const FRAME: usize = 320;
const ROUNDS: u16 = 20;

/// Well-formed, loud, and of a stranger.
fn foreign(sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend(sequence.to_be_bytes());
    packet.extend((u32::from(sequence) * 160).to_be_bytes());
    packet.extend(0xDEAD_BEEF_u32.to_be_bytes());
    packet.extend([0x80; 160]);
    packet
}

/// Packets that break RFC 3550 one way each, and RTCP that does.
fn malformed() -> Vec<Vec<u8>> {
    let good = foreign(1);
    let with = |at: usize, octet: u8| {
        let mut packet = good.clone();
        packet[at] = octet;
        packet
    };
    vec![
        Vec::new(),
        vec![0x80],
        good[..11].to_vec(),
        with(0, 0x00),
        with(0, 0xC0),
        // More sources than octets, an extension without its header, padding beyond the packet.
        good[..12].iter().enumerate().map(|(n, o)| if n == 0 { 0x8F } else { *o }).collect(),
        good[..14].iter().enumerate().map(|(n, o)| if n == 0 { 0x90 } else { *o }).collect(),
        [&[0xA0], &good[1..170], &[0xFF; 2]].concat(),
        // A payload type that nobody agreed on, and a flood of one packet.
        with(1, 0x7F),
        [&good[..12], &[0x55; 1400]].concat().iter().map(|octet| octet ^ 0x40).collect(),
        // RTCP: BYE of a stranger, a length that lies, a report cut short.
        vec![0x81, 203, 0, 1, 0xDE, 0xAD, 0xBE, 0xEF],
        vec![0x80, 200, 0xFF, 0xFF, 1, 2, 3, 4],
        vec![0x81, 201, 0, 7, 1, 2, 3, 4],
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_and_malformed_packets_are_not_heard() {
    let dir = tempfile::tempdir().unwrap();
    let heard = dir.path().join("heard.wav");
    let spoken = noise(11, 48_000);
    let file = wav(dir.path(), "spoken.wav", &spoken);
    let record = heard.to_str().unwrap();
    let phone = ["--ring", "1s", "--play", &file, "--record", record, "--hangup-after", "9s"];
    let phone = Phone::start(&phone);
    let daemon = Daemon::start(&phone.address, "").await;
    let id = daemon.create("DYNAMIC_STREAM", "stream", json!({})).await;
    let mut bot = Client::attach(&daemon, &id, "?rate=8000&out_rate=8000&listen=caller").await;
    bot.event("answered").await;
    let said = noise(12, 48_000);
    bot.send_audio(&framed(&said), 6400).await;
    // Another host, and the phone's own host with packets that can be nobody's.
    let stranger = UdpSocket::bind("127.0.0.2:0").unwrap();
    let neighbour = UdpSocket::bind("127.0.0.1:0").unwrap();
    let malformed = malformed();
    for round in 0..ROUNDS {
        // A tenth of a second of the call goes by between two rounds.
        bot.hear((usize::from(round) * 5 + 10) * FRAME).await;
        for port in daemon.rtp_ports() {
            let to = ("127.0.0.1", port);
            for packet in &malformed {
                neighbour.send_to(packet, to).unwrap();
            }
            for packet in 0..4 {
                stranger.send_to(&foreign(round * 4 + packet), to).unwrap();
            }
        }
    }
    bot.next("stop").await;
    let call = daemon.wait_for_end(&id).await;
    assert_eq!(call["end_reason"], "callee_hangup", "{call:#}");
    let ended = phone.wait_for("ended");
    assert_eq!(ended["media"]["rx_lost"], 0, "{ended}");
    check_exact("caller", CodecId::Pcmu, &coded(CodecId::Pcmu, &spoken), &bot.samples());
    check_exact("callee", CodecId::Pcmu, &coded(CodecId::Pcmu, &said), &read_wav(&heard));
    // Counted when the call has been put away, a moment after its end is told.
    let until = Instant::now() + SOON;
    loop {
        let refused = daemon.metric("bellwire_rtp_dropped_packets_total{why=\"refused\"}").await;
        if refused >= f64::from(ROUNDS) * 4.0 {
            return;
        }
        assert!(Instant::now() < until, "{refused} packets were refused");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
