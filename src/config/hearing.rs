//! `[vad]`, `[tones]` and `[barge_in]`: what is made of the caller's sound; and what an instance says
//! of it, `[instance.barge_in]` and `[instance.amd]`.

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

section! {
    /// The same for the calls of one instance, its prompts (FIXED_TTS, FIXED_AUDIO) among them, unless
    /// a call says otherwise; what is left out is as `[barge_in]` says.
    InstanceBargeIn {
        /// `off`, `notify`, `clear` or `pause`. A prompt that is cleared is over, and its call ends;
        /// without a mode prompts listen for nobody.
        mode: Option<BargeMode> => "clear", Call;
        /// A voice does it.
        speech: Option<bool> => true, Call;
        /// A key does it.
        dtmf: Option<bool> => true, Call;
        /// How long a voice must last.
        debounce: Option<Duration> ["60ms"..="2s"] => "150ms", Call;
        /// `pause`: how long the client may take to decide; of a prompt nobody does.
        decision: Option<Duration> ["100ms"..="10s"] => "500ms", Call;
        /// `pause`: what happens when nobody decides.
        on_timeout: Option<BargeTimeout> => "confirm", Call;
    }
}

choice! {
    /// Whether it is found out who answers.
    AmdMode {
        /// It does not matter.
        Off = "off",
        /// It does, and nothing waits for it.
        Async = "async",
        /// A prompt waits for the verdict.
        Sync = "sync",
    }
}

choice! {
    /// What becomes of a call that a machine answers.
    AmdDoes {
        /// It is told.
        Report = "report",
        /// The call ends.
        Hangup = "hangup",
        /// A prompt begins (anew) behind the greeting.
        LeaveMessage = "leave_message",
    }
}

section! {
    /// Who answers the outgoing calls of an instance, unless a call says otherwise. Streams take
    /// `leave_message` as `report` and `sync` as `async`; agents have their own.
    InstanceAmd {
        /// `off`, `async` or `sync`.
        mode: AmdMode = "async", Call;
        /// `report`, `hangup` or `leave_message`.
        action: AmdDoes = "report", Call;
        /// A greeting ends with its beep only, or when `beep_timeout` is over; otherwise 3 s of silence
        /// end it, too.
        ///
        /// Never speaks into a pause of a mailbox, and waits long for one that has no beep.
        beep: bool = false, Call;
        /// So much silence from the answer on says nothing.
        initial_silence: Duration ["500ms"..="30s"] = "2500ms", Call;
        /// A longer greeting is a machine's.
        ///
        /// Shorter finds machines sooner and takes talkative people for them.
        greeting: Duration ["300ms"..="10s"] = "1500ms", Call;
        /// So much silence after a shorter one makes it a person's.
        after_greeting_silence: Duration ["200ms"..="5s"] = "800ms", Call;
        /// After so long the cadence has said what it can.
        total: Duration ["1s"..="60s"] = "5s", Call;
        /// A shorter sound is no word.
        min_word: Duration ["50ms"..="1s"] = "100ms", Call;
        /// How long a beep is waited for.
        beep_timeout: Duration ["1s"..="60s"] = "10s", Call;
    }
}
