//! `[rtp]`, `[jitter]` and `[playout]`: media.

use super::address::PortRange;
use super::declare::{choice, section};
use super::value::{Name, Switch};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

section! {
    /// RTP sockets and the media threads.
    Rtp {
        /// Address of the RTP sockets; SDP names it unless `node.public_address` is set.
        ///
        /// Loopback until you say otherwise.
        address: IpAddr = "127.0.0.1", Restart;
        /// Ports for RTP (even) and RTCP (odd): one pair a call.
        ports: PortRange = "20000-29999", Restart;
        /// Media threads; 0 starts one per core.
        workers: u32 [0..=256] = 0, Restart;
        /// Audio per packet, in steps of 10 ms.
        ///
        /// 20 ms is what carriers expect (RFC 3551).
        ptime: Duration ["10ms"..="60ms"] = "20ms", Call;
        /// DSCP mark of RTP packets; 46 is expedited forwarding (RFC 4594).
        dscp: u8 [0..=63] = 46, Restart;
        /// A call without RTP and RTCP for this long is ended with BYE; held calls are excepted.
        timeout: Switch<Duration> ["1s"..="1h"] = "30s", Call;
        /// How long a port pair rests after its call.
        ///
        /// So that a packet of the last call that is still under way meets no new call.
        quarantine: Duration ["0s"..="10m"] = "10s", Restart;
        /// What is sent while there is nothing to hear.
        ///
        /// `cn` and `suppress` save half of the packets, and break calls through networks that
        /// take 200 ms without RTP for a fault.
        silence: SilenceMode = "packets", Call;
        /// Level in dBov of the comfort noise in the place of digital silence; `off` sends that.
        ///
        /// -65 dBov is a quiet room. Some people take digital silence for a line that is dead.
        comfort_noise_dbov: Switch<f64> [-90.0..=-40.0] = "off", Call;
    }
}

choice! {
    /// What is sent while there is nothing to hear.
    SilenceMode {
        /// Packets of silence, as ever.
        Packets = "packets",
        /// A comfort noise packet (RFC 3389) every 200 ms, where the peer takes it; else packets.
        Cn = "cn",
        /// Nothing from 200 ms on; the first packet after it is marked.
        Suppress = "suppress",
    }
}

choice! {
    /// Who listens to the caller.
    JitterMode {
        /// A program: audio is handed on as soon as it is there and in order.
        Asap = "asap",
        /// A person: audio is handed on at an even pace.
        Paced = "paced",
    }
}

section! {
    /// Late packets, from the carrier to the application.
    Jitter {
        /// `asap` when a program listens, `paced` when a person does.
        mode: JitterMode = "asap", Call;
        /// How long a missing packet is waited for, at the start of a call; adapts between the
        /// two bounds below.
        ///
        /// Two packets of 20 ms: a swap of neighbours costs no concealment.
        hole_wait: Duration ["0ms"..="1s"] = "40ms", Call;
        /// Lower bound of the wait.
        hole_wait_min: Duration ["0ms"..="1s"] = "20ms", Call;
        /// Upper bound of the wait.
        hole_wait_max: Duration ["0ms"..="1s"] = "80ms", Call;
        /// `paced`: least delay.
        paced_min: Duration ["10ms"..="2s"] = "20ms", Call;
        /// `paced`: delay at the start of a call.
        paced_start: Duration ["10ms"..="2s"] = "40ms", Call;
        /// `paced`: most delay.
        paced_max: Duration ["10ms"..="2s"] = "200ms", Call;
    }
}

section! {
    /// Audio from the application to the carrier.
    Playout {
        /// How much audio a client may send ahead of time.
        ///
        /// A minute holds a long answer of a speech engine that is faster than real time.
        buffer: Duration ["1s"..="10m"] = "60s", Call;
        /// Filled to this share, the client is told to stop (`flow` `xoff`).
        high_water: f64 [0.05..=1.0] = 0.75, Call;
        /// Emptied to this share, the client is told to go on (`flow` `xon`).
        low_water: f64 [0.0..=0.95] = 0.5, Call;
        /// Speech level of files and synthesised speech in dBov; `off` leaves them alone.
        ///
        /// -20 dBov sounds as loud as the person at the other end of a telephone.
        level_dbov: Switch<f64> [-50.0..=-3.0] = -20, Call;
        /// Brings the sound of stream clients to that level too, by 3 dB/s and at most 12 dB up;
        /// a client may ask for it or against it.
        ///
        /// Off, because who streams decides how loud it is, and gets it through bit by bit and
        /// 5 ms sooner. On helps with voices that are too quiet or too loud.
        agc: bool = false, Call;
        /// Takes a constant offset and peaks above -1.5 dBov out of the sound of stream clients;
        /// part of `agc`.
        dc_block: bool = false, Call;
        /// Cuts off what lies below 120 Hz of all that is sent.
        ///
        /// Takes hum out of recordings; voices lose little, music its bass.
        low_cut: bool = false, Call;
        /// The `[[background]]` of calls of which nothing else is said.
        background: Option<Name> => "office", Call;
    }
}

section! {
    /// A track that plays beneath what calls say, round and round. Mono, at the level of prompts.
    Background {
        /// Its name in requests and in this file.
        name: Name => "office", Call;
        /// The WAV or MP3 file, decoded once at the start: 1 MB per minute.
        audio: PathBuf => "/usr/share/bellwire/office.wav", Call;
        /// Its gain, below the level of prompts, in dB.
        gain_db: f64 [-60.0..=0.0] = -18, Call;
        /// How much quieter it is while something is said, in dB.
        duck_db: f64 [0.0..=60.0] = 12, Call;
    }
}
