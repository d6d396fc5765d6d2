//! `[agent]`: how agents conduct calls, what they may do, and when they stop.

use super::address::{SipUri, Url};
use super::declare::{choice, section};
use super::secret::Secret;
use super::value::{Metadata, Name, Switch};
use std::time::Duration;

section! {
    /// Calls that conduct themselves.
    Agent {
        /// The agent of requests that name none.
        default: AgentProfile, Call;
        /// Who calls may be handed over to; nobody else is.
        target: Vec<TransferTarget>, Call;
        /// Actions of your own that a brain may ask for.
        tool: Vec<HttpTool>, Call;
    }
}

choice! {
    /// What an agent does when an answering machine takes the call.
    Voicemail {
        /// Hangs up.
        Hangup = "hangup",
        /// Waits for the beep and leaves a message.
        Message = "message",
        /// Talks to it as to a person.
        Continue = "continue",
    }
}

section! {
    /// An agent.
    AgentProfile {
        /// The `[[engine.llm]]` that thinks; without it the first.
        llm: Option<Name> => "local", Call;
        /// The `[[engine.stt]]` that listens; without it the first.
        stt: Option<Name> => "vosk", Call;
        /// Its voice; without it the first.
        voice: Option<Name> => "en-US-001", Call;
        /// Language of conversation unless a request names one.
        language: String = "en", Call;
        /// What it is told before the instructions of a request.
        system: Option<String> => "You speak on the telephone: short sentences, no lists.", Call;
        /// Said first in every call, never cut off.
        disclosure: Option<String> => "This is an automated call.", Call;
        /// Said when brain or voice fail for good; spoken by the built-in voice.
        failure: String = "I am sorry, something went wrong. Goodbye.", Call;
        /// Said when the longest duration is near.
        wrap_up: String = "I am afraid our time is up. Goodbye.", Call;
        /// Said when the brain takes longer than `turn.filler_after`.
        filler: Option<String> => "One moment, please.", Call;
        /// Said when the caller is silent, one after the other, `turn.reprompt_after` apart.
        reprompts: Vec<String> = ["Are you still there?", "I cannot hear you."], Call;
        /// Longest conversation.
        max_duration: Duration ["5s"..="24h"] = "15m", Call;
        /// Most answers of the brain.
        max_turns: u32 [1..=10_000] = 100, Call;
        /// Most that the brain may cost, in the currency of its prices.
        max_cost: Option<f64> [0.0..=10_000.0] => 0.5, Call;
        /// What to do when an answering machine takes the call.
        voicemail: Voicemail = "continue", Call;
        /// The tools that a brain may use; without it all that are there.
        tools: Option<Vec<Name>> => ["hang_up", "record_result"], Call;
        /// The `[[background]]` beneath its calls; without it that of the instance.
        background: Option<Name> => "office", Restart;
        /// How turns are taken.
        turn: Turn, Call;
    }
}

section! {
    /// How turns are taken.
    Turn {
        /// Silence that ends a turn whose words are clearly complete.
        silence_min: Duration ["100ms"..="5s"] = "300ms", Call;
        /// Silence that ends a turn of which nothing is known.
        ///
        /// Shorter cuts people off, longer feels slow.
        silence: Duration ["100ms"..="5s"] = "600ms", Call;
        /// Silence that ends a turn whose words are clearly incomplete, and dictated numbers.
        silence_max: Duration ["200ms"..="10s"] = "2500ms", Call;
        /// How long the last words are waited for after the voice ended.
        transcript_wait: Duration ["0ms"..="5s"] = "700ms", Call;
        /// The caller's voice over ours, for this long, cuts us off.
        ///
        /// Shorter is stopped by coughs, longer feels deaf. The agent is turned down at once.
        barge_in: Duration ["60ms"..="2s"] = "300ms", Call;
        /// So many words cut us off sooner; "uh-huh" and its like never do.
        barge_in_words: u32 [1..=20] = 2, Call;
        /// Whether the agent can be cut off.
        interruptible: bool = true, Call;
        /// Voice right after our first sound is taken for our own echo.
        echo_guard: Duration ["0ms"..="2s"] = "200ms", Call;
        /// The time by which the caller hears us later than we send.
        network_delay: Duration ["0ms"..="2s"] = "60ms", Call;
        /// Whether the brain is asked before the turn is surely over.
        speculate: bool = true, Call;
        /// See `filler`.
        filler_after: Duration ["200ms"..="30s"] = "1200ms", Call;
        /// Silence after which the first of the `reprompts` is said; as long for each further one.
        reprompt_after: Duration ["1s"..="5m"] = "8s", Call;
        /// Silence after which the call is ended.
        give_up: Switch<Duration> ["2s"..="1h"] = "24s", Call;
    }
}

choice! {
    /// How a call is handed over.
    TransferMode {
        /// By REFER: the call leaves us.
        Refer = "refer",
        /// By a second call that is joined with the first one.
        Bridge = "bridge",
    }
}

section! {
    /// Somebody whom calls may be handed over to.
    TransferTarget {
        /// What a brain or script calls it.
        name: Name => "desk", Call;
        /// Where it is.
        uri: SipUri => "sip:desk@192.0.2.10", Call;
        /// `refer` asks the carrier to move the call there; `bridge` dials it and joins both here.
        mode: TransferMode = "refer", Call;
        /// What it is for, told to the model.
        description: Option<String> => "A person at the help desk", Call;
    }
}

section! {
    /// An action of your own: a POST of JSON to a fixed URL.
    HttpTool {
        /// Its name.
        name: Name => "lookup_order", Call;
        /// What it does, told to the model.
        description: String => "Finds an order by its number.", Call;
        /// JSON Schema of its arguments.
        parameters: Metadata => {}, Call;
        /// Where it is.
        url: Url => "https://shop.example/tools/order", Call;
        /// Signs the request as Standard Webhooks does (`webhook-id`, `webhook-timestamp`,
        /// `webhook-signature`).
        secret: Option<Secret> => "TOOL_SECRET", Call;
        /// How long it may take.
        timeout: Duration ["100ms"..="60s"] = "5s", Call;
    }
}
