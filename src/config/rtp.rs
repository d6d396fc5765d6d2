//! `[rtp]`, `[jitter]` and `[playout]`: media.

use super::address::PortRange;
use super::declare::{choice, section};
use super::value::{Name, Switch};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

choice! {
    /// How RTP sockets are read and written.
    RtpBackend {
        /// `io_uring` where the kernel lets us, else `epoll`.
        Auto = "auto",
        /// One system call a packet; works everywhere.
        Epoll = "epoll",
        /// One system call for all packets of a beat; Linux 6.1.
        IoUring = "io_uring",
    }
}

choice! {
    /// How media threads stand in the queue for a core.
    ThreadPriority {
        /// As all others.
        Normal = "normal",
        /// Before all ordinary threads of the machine.
        Realtime = "realtime",
    }
}

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
        ///
        /// Fewer leave cores to speech engines; one carries some hundred calls.
        workers: u32 [0..=256] = 0, Restart;
        /// Audio per packet, in steps of 10 ms.
        ///
        /// 20 ms is what carriers expect (RFC 3551). Shorter is earlier and loses less with a packet,
        /// for more headers: G.711 takes 96 kbit/s at 10 ms, 80 at 20, 69 at 60.
        ptime: Duration ["10ms"..="60ms"] = "20ms", Call;
        /// DSCP mark of RTP packets; 46 is expedited forwarding (RFC 4594).
        ///
        /// Networks that know it send marked packets first; some drop what they do not sell.
        dscp: u8 [0..=63] = 46, Restart;
        /// A call without RTP and RTCP for this long is ended with BYE; held calls are excepted.
        ///
        /// Shorter frees a dead call sooner; longer outlives a gap of the network, and peers that
        /// send nothing while they are silent.
        timeout: Switch<Duration> ["1s"..="1h"] = "30s", Call;
        /// How long a port pair rests after its call.
        ///
        /// So that a packet of the last call that is still under way meets no new call.
        quarantine: Duration ["0s"..="10m"] = "10s", Restart;
        /// How RTP sockets are read and written: `auto`, `epoll`, `io_uring`.
        ///
        /// `io_uring` takes and sends all packets of a beat with one system call; many containers forbid
        /// it, and then it is `epoll`, as the log says at the start. `auto` tries it out.
        backend: RtpBackend = "auto", Restart;
        /// Keeps each media thread on a core of its own.
        ///
        /// Steadier beats where the cores are ours alone; where others are pinned to the same core, worse.
        pin: bool = false, Restart;
        /// `realtime`: media threads run before everything else on the machine (`SCHED_FIFO`, 10).
        ///
        /// Keeps packets in time beside busy programs, at their cost. Needs CAP_SYS_NICE or `LimitRTPRIO`;
        /// if refused, it stays `normal`, as the log says.
        priority: ThreadPriority = "normal", Restart;
        /// What is sent while there is nothing to hear.
        ///
        /// `cn` and `suppress` save half of the packets, and break calls through networks that
        /// take 200 ms without RTP for a fault.
        silence: SilenceMode = "packets", Restart;
        /// Level in dBov of the comfort noise in the place of digital silence; `off` sends that.
        ///
        /// -65 dBov is a quiet room. Some people take digital silence for a line that is dead.
        comfort_noise_dbov: Switch<f64> [-90.0..=-40.0] = "off", Restart;
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
        ///
        /// For streams that do not say `jitter` themselves. Calls that are joined are always paced.
        mode: JitterMode = "asap", Call;
        /// How long a missing packet is waited for, at the start of a call; adapts between the
        /// two bounds below.
        ///
        /// Two packets of 20 ms: a swap of neighbours costs no concealment. Audio that is in order
        /// never waits. More catches later packets; what is lost for good makes the audio behind it
        /// as much later, once.
        hole_wait: Duration ["0ms"..="1s"] = "40ms", Call;
        /// Lower bound of the wait, to which a path without reordering comes down in a minute.
        ///
        /// Less is earlier behind each loss; a packet that is merely late is concealed first.
        hole_wait_min: Duration ["0ms"..="1s"] = "20ms", Call;
        /// Upper bound of the wait.
        ///
        /// More saves what a bad path brings late; each loss may cost as much delay.
        hole_wait_max: Duration ["0ms"..="1s"] = "80ms", Call;
        /// `paced` and bridges: least delay.
        ///
        /// More conceals less when a quiet path becomes rough; it is paid all the time.
        paced_min: Duration ["10ms"..="2s"] = "20ms", Call;
        /// `paced` and bridges: delay at the start of a call, until the path is known.
        ///
        /// More spares the first words on a rough path, and delays them on a good one.
        paced_start: Duration ["10ms"..="2s"] = "40ms", Call;
        /// `paced` and bridges: most delay.
        ///
        /// What comes later is concealed. More keeps speech whole over stalls; from 200 ms on people
        /// begin to talk into each other.
        paced_max: Duration ["10ms"..="2s"] = "200ms", Call;
    }
}

section! {
    /// Audio from the application to the carrier.
    Playout {
        /// How much audio a client may send ahead of time.
        ///
        /// A minute holds a long answer of a speech engine that is faster than real time. More lets a
        /// client stall longer, for 16 kB a second and call, and has more to throw away on a clear.
        buffer: Duration ["1s"..="10m"] = "60s", Call;
        /// How much of a client's sound must be there before it begins to play; a frame at least.
        ///
        /// 20 ms answer soonest: a client that sends a frame at a time is heard with the next packet,
        /// and one gap of 20 ms is what its jitter costs. 40 ms or more hide that gap, and delay every
        /// answer as much.
        start: Duration ["0ms"..="500ms"] = "20ms", Call;
        /// What `start` grows to, by 20 ms each, while gaps follow each other within 10 s.
        ///
        /// More helps a client that is slower than its sound: fewer, longer gaps.
        start_max: Duration ["0ms"..="1s"] = "100ms", Call;
        /// With `playout=live`: how far a client's sound may be ahead of what the caller hears.
        ///
        /// More of it is caught up with, in pauses first. A shorter lead answers sooner, and runs dry
        /// more often when the client's frames come unevenly.
        live_lead: Duration ["20ms"..="2s"] = "60ms", Call;
        /// With `playout=live`: how much may be queued before what comes is dropped.
        ///
        /// What a stalled client catches up with in some seconds.
        live_buffer: Duration ["100ms"..="10s"] = "500ms", Call;
        /// Filled to this share, the client is told to stop (`flow` `xoff`).
        ///
        /// Higher uses more of the buffer; what is on its way when it is full is refused.
        high_water: f64 [0.05..=1.0] = 0.75, Call;
        /// Emptied to this share, the client is told to go on (`flow` `xon`).
        ///
        /// Lower means fewer messages; too low and a slow client runs dry.
        low_water: f64 [0.0..=0.95] = 0.5, Call;
        /// Speech level of files and synthesised speech in dBov; `off` leaves them alone.
        ///
        /// -20 dBov sounds as loud as the person at the other end of a telephone. Louder is more
        /// limited at its peaks, quieter is lost in noise. Speech that is kept for the next call has
        /// it already: hence the restart.
        level_dbov: Switch<f64> [-50.0..=-3.0] = -20, Restart;
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
        low_cut: bool = false, Restart;
        /// The `[[background]]` of calls of which nothing else is said.
        background: Option<Name> => "office", Restart;
    }
}

section! {
    /// A track that plays beneath what calls say, round and round. Mono, at the level of prompts.
    Background {
        /// Its name in requests and in this file.
        name: Name => "office", Restart;
        /// The WAV or MP3 file, decoded once at the start: 1 MB per minute.
        audio: PathBuf => "/usr/share/bellwire/office.wav", Restart;
        /// Its gain, below the level of prompts, in dB.
        gain_db: f64 [-60.0..=0.0] = -18, Restart;
        /// How much quieter it is while something is said, in dB.
        duck_db: f64 [0.0..=60.0] = 12, Restart;
    }
}
