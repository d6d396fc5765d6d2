//! `[limits]`: how much of everything.

use super::declare::section;
use super::value::{ByteSize, Switch};
use std::time::Duration;

section! {
    /// Bounds on what the gateway takes on; each has a defined answer when it is reached.
    Limits {
        /// Most calls at once, both directions; more outgoing ones wait in their queue, incoming ones
        /// get 503.
        max_calls: u32 [1..=100_000] = 1000, Restart;
        /// INVITEs a second, both directions; more get 503.
        setup_rate: u32 [1..=10_000] = 100, Restart;
        /// Largest request body; larger ones get 413.
        max_body: ByteSize ["1KiB"..="256MiB"] = "16MiB", Restart;
        /// Longest audio of one prompt; longer ones get 413.
        max_audio: Duration ["1s"..="4h"] = "10m", Restart;
        /// Longest text of one prompt, in characters; longer ones get 400.
        max_text: u32 [1..=100_000] = 5000, Hot;
        /// Calls that may wait in the queue of one instance; more get 429.
        max_queued: u32 [1..=1_000_000] = 10_000, Hot;
        /// How long an outgoing call may ring when the request does not say.
        ring_timeout: Duration ["5s"..="180s"] = "60s", Call;
        /// How long a call may last when the request does not say.
        max_duration: Duration ["1s"..="24h"] = "4h", Call;
        /// How long an answered stream call waits for its client when the request does not say.
        stream_wait: Duration ["1s"..="5m"] = "10s", Call;
        /// New calls get 503 while the media threads send later than this (99th percentile over a
        /// second): those that are there stay clean.
        overload_lateness: Switch<Duration> ["1ms"..="1s"] = "10ms", Restart;
        /// How long a stopping gateway waits for its calls before it ends them.
        ///
        /// Stay below `TimeoutStopSec` of the systemd unit.
        drain_timeout: Duration ["0s"..="24h"] = "30s", Restart;
    }
}
