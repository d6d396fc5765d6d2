//! `[vad]`, `[tones]` and `[barge_in]`: what is made of the caller's sound.

use super::declare::{choice, section};
use std::time::Duration;

section! {
    /// When a voice begins and ends, for streams that ask for it.
    Vad {
        /// How long a voice may pause before it has ended (`speech` `stopped`).
        ///
        /// Shorter answers sooner and cuts people off who think; longer waits for them.
        pause: Duration ["100ms"..="5s"] = "500ms", Call;
    }
}

section! {
    /// Tones of the network: ringing, busy, reorder, special information, dial, fax.
    Tones {
        /// Tells streams (`tone`) and notes in the call object what is heard in streams and
        /// prompts; a stream may ask otherwise.
        ///
        /// Costs some 5 µs per 20 ms and call, and the caller's audio is looked at in all of them.
        detect: bool = false, Call;
    }
}

choice! {
    /// What a voice or key does to what is played.
    BargeMode {
        /// Nothing, and nobody listens for it.
        Off = "off",
        /// The client is told and does what it likes.
        Notify = "notify",
        /// It throws away what is queued.
        Clear = "clear",
        /// It pauses what is queued until the client decides.
        Pause = "pause",
    }
}

choice! {
    /// What happens when nobody decides.
    BargeTimeout {
        /// What is queued is thrown away.
        Confirm = "confirm",
        /// It goes on.
        Reject = "reject",
    }
}

section! {
    /// What the caller's voice and keys do to what a stream plays, unless a request says otherwise.
    BargeIn {
        /// `off`, `notify`, `clear` or `pause`.
        ///
        /// Each call that listens costs some 80 µs per 20 ms while somebody speaks.
        mode: BargeMode = "off", Call;
        /// A voice does it.
        speech: bool = true, Call;
        /// A key does it.
        dtmf: bool = true, Call;
        /// How long a voice must last.
        ///
        /// Shorter is quicker and stops at a cough; the detector itself wants 130 ms.
        debounce: Duration ["60ms"..="2s"] = "150ms", Call;
        /// `pause`: how long the client may take to decide.
        decision: Duration ["100ms"..="10s"] = "500ms", Call;
        /// `pause`: what happens when it does not.
        on_timeout: BargeTimeout = "confirm", Call;
    }
}
