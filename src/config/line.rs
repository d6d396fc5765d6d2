//! `[[instance]]` and `[[route]]`: whose calls they are, and what inbound calls meet.

use super::address::{CallerId, Url};
use super::declare::{choice, section};
use super::hearing::{InstanceAmd, InstanceBargeIn};
use super::secret::Secret;
use super::stream::StreamClient;
use super::value::{Metadata, Name, Pattern};
use crate::id::InstanceId;
use std::path::PathBuf;
use std::time::Duration;

choice! {
    /// When a second call gives the one that is already there.
    Dedupe {
        /// Never.
        Off = "off",
        /// When the instance has an active call.
        Instance = "instance",
        /// When the instance has an active call to the same number.
        Target = "target",
    }
}

section! {
    /// A line of a tenant; more can be made through the API.
    Instance {
        /// Its id in requests and routes.
        id: InstanceId => "inst_demo", Call;
        /// What people call it; without it the id.
        name: Option<String> => "Demo line", Hot;
        /// The trunk its calls use.
        trunk: Name => "carrier", Call;
        /// Most active calls; more wait in its queue. Without it the trunk's `max_calls`.
        max_active_calls: Option<u32> [1..=100_000] => 100, Hot;
        /// When a second call gives the one that is already there instead of a new one.
        dedupe: Dedupe = "off", Hot;
        /// Rate in Hz of headerless PCM that a stream client sends without naming a rate: one of
        /// 8000, 16000, 24000, 32000, 44100 and 48000.
        default_rate: u32 [8000..=48_000] = 16_000, Call;
        /// Whether its stream clients' sound is levelled; without it as `playout.agc` says.
        agc: Option<bool> => true, Call;
        /// The `[[background]]` of its calls; without it that of `playout`.
        background: Option<Name> => "office", Restart;
        /// What a voice or key does to what its calls play, unless a call says otherwise.
        barge_in: Option<InstanceBargeIn>, Call;
        /// Who answers its outgoing calls, unless a call says otherwise.
        amd: Option<InstanceAmd>, Call;
        /// What its stream calls get that do not say otherwise: a client that is dialled, or what is
        /// agreed with one that attaches.
        stream: Option<StreamClient>, Call;
        /// An object of your own, returned as it is.
        metadata: Metadata => {}, Hot;
    }
}

choice! {
    /// What an inbound call meets.
    Action {
        /// Answer and stay silent.
        Answer = "answer",
        /// Answer and play a file.
        Play = "play",
        /// Answer and speak a text.
        Say = "say",
        /// Answer and connect to a stream client.
        Stream = "stream",
        /// Answer and let an agent talk.
        Agent = "agent",
        /// Call somebody, and connect both when they answer.
        Dial = "dial",
        /// Ring until the caller gives up.
        Ring = "ring",
        /// Refuse.
        Reject = "reject",
        /// Ask a webhook.
        Webhook = "webhook",
        /// Obey the TwiML of a URL.
        Twiml = "twiml",
    }
}

choice! {
    /// Whose ringing tone.
    RingbackTone {
        /// North America's.
        America = "us",
        /// That of most of Europe.
        Europe = "eu",
    }
}

section! {
    /// A rule for inbound calls. The first that matches wins; no match: 404.
    Route {
        /// Only calls through this trunk; without it through any.
        trunk: Option<Name> => "carrier", Call;
        /// Regular expression on the user part of the request URI; it may match anywhere in it,
        /// so write `^` and `$` for an exact match.
        to: Pattern = "", Call;
        /// Regular expression on the user part of From; empty for anonymous callers.
        from: Pattern = "", Call;
        /// Header fields that the INVITE must have.
        header: Vec<RouteHeader>, Call;
        /// The instance that the call belongs to; may be left out for `ring` and `reject`.
        instance: Option<InstanceId> => "inst_demo", Call;
        /// What the call meets.
        action: Action => "play", Call;
        /// `play`: the WAV or MP3 file.
        audio: Option<PathBuf> => "/usr/share/bellwire/hello.wav", Call;
        /// `say`: the text.
        text: Option<String> => "Welcome.", Call;
        /// `agent`: what the brain is told.
        instructions: Vec<String> => ["Take the caller's name and reason."], Call;
        /// `agent`: a playbook in a JSON file, in the place of a brain.
        script: Option<PathBuf> => "/etc/bellwire/reminder.json", Call;
        /// `say`, `agent`: the voice; without it the first one.
        voice: Option<Name> => "en-US-001", Call;
        /// `webhook`: what is asked. `twiml`: where the document comes from. `stream`: where we find
        /// the client, as `stream.url`; without it the client attaches through the API.
        url: Option<Url> => "https://bot.example/calls", Call;
        /// `stream`: more about the client, in the place of what the instance says.
        stream: Option<StreamClient>, Call;
        /// `twiml`: the `[[compat.account]]` whose call it is; without it the first one.
        account: Option<Name> => "AC0123456789abcdef0123456789abcdef", Call;
        /// `webhook`: how long it may take; then the call is refused with `sip_code`.
        timeout: Duration ["100ms"..="30s"] = "3s", Call;
        /// `webhook`: signs the request as Standard Webhooks does.
        secret: Option<Secret> => "HOOK_SECRET", Call;
        /// `stream`: the client decides over the API or its stream whether the call is answered;
        /// nothing within `ring` (60 s when that is 0) refuses it with 480.
        ask: bool = false, Call;
        /// `dial`: whom to call: a number or `sip:` URI that the trunk may dial (`allow`).
        dial: Option<String> => "+14155550123", Call;
        /// `dial`: over which trunk; without it the one that the call came by.
        dial_trunk: Option<Name> => "carrier", Call;
        /// `dial`: the number that is shown, one of the trunk's; without it the caller's where the
        /// trunk may show it, else the trunk's `caller_id`.
        dial_from: Option<CallerId> => "+15550100", Call;
        /// `dial`: the caller hears this ringing tone from us (183) while it rings at the party; without
        /// it 180 is sent, and their own network makes one.
        ///
        /// Costs an RTP port and packets while it rings, and works behind networks that play nothing.
        ringback: Option<RingbackTone> => "eu", Call;
        /// `reject`: the SIP status; `webhook`: that of a call whose webhook does not answer;
        /// `dial`: that of a call whose party does not answer.
        sip_code: u16 [400..=699] = 486, Call;
        /// `play`, `say`: how often; 0 until the caller hangs up.
        repeat: u32 [0..=1000] = 0, Call;
        /// 180 Ringing for this long before answering; `dial`: how long the party may ring (45 s
        /// when that is 0).
        ring: Duration ["0s"..="180s"] = "0s", Call;
        /// 183 with the same audio before the answer.
        early_media: bool = false, Call;
        /// Hangs up this long after the answer; 0s never.
        hangup_after: Duration ["0s"..="24h"] = "0s", Call;
        /// Asks the caller for digest credentials.
        auth: Option<RouteAuth>, Call;
    }
}

section! {
    /// A header field that an INVITE must have to take a route.
    RouteHeader {
        /// Its name, in any case.
        name: String => "X-Campaign", Call;
        /// Regular expression on one of its values.
        value: Pattern = "", Call;
    }
}

choice! {
    /// A hash of digest authentication.
    HashName {
        /// What every caller knows.
        Md5 = "MD5",
        /// What callers should know (RFC 8760).
        Sha256 = "SHA-256",
    }
}

section! {
    /// Digest credentials that a caller must have.
    RouteAuth {
        /// The user.
        username: String => "user", Call;
        /// The password.
        password: Secret => "CALLER_PASSWORD", Call;
        /// What the challenge offers, in this order; a caller takes the first that it knows.
        ///
        /// MD5 on top, because SIPp and many telephone systems know nothing else and give up on
        /// another one that comes first; `["SHA-256"]` where all callers know it.
        algorithms: Vec<HashName> = ["MD5", "SHA-256"], Call;
        /// The realm of the challenge.
        realm: String = "bellwire", Call;
    }
}
