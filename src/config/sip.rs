//! `[sip]` and `[[trunk]]`: signalling and the carriers.

use super::address::{CallerId, Cidr, Listen, Prefix, SipUri, Url};
use super::declare::{choice, section};
use super::secret::Secret;
use super::value::{Name, Switch};
use crate::audio::codec::CodecId;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

section! {
    /// Signalling.
    Sip {
        /// Sockets to listen on; the first of a transport also sends to new peers.
        ///
        /// Loopback until you say otherwise.
        listen: Vec<Listen> = ["udp:127.0.0.1:5060", "tcp:127.0.0.1:5060"], Restart;
        /// T1 of RFC 3261: the estimate of a round trip, from which every retransmission follows.
        ///
        /// 500 ms is the RFC's value; change it only for links that are known to be slower.
        t1: Duration ["100ms"..="4s"] = "500ms", Restart;
        /// Value of User-Agent and Server; without it `bellwire/` and the version.
        user_agent: Option<String> => "bellwire", Restart;
        /// PEM file of our certificate and its chain, for `tls:` sockets and for carriers that ask
        /// us for one. It is read again on `reload`; calls and connections go on.
        tls_certificate: Option<PathBuf> => "/etc/bellwire/tls.crt", Hot;
        /// PEM file of its private key.
        tls_key: Option<PathBuf> => "/etc/bellwire/tls.key", Hot;
        /// PEM file of certificate authorities that are trusted beside the system's.
        tls_ca: Option<PathBuf> => "/etc/bellwire/carrier-ca.crt", Hot;
        /// Peers that connect to us must show a certificate of one of `tls_ca` (mutual TLS).
        tls_require_client_certificate: bool = false, Hot;
        /// Most TCP and TLS connections of peers; the longest idle one makes room.
        connections: u32 [1..=100_000] = 4096, Restart;
        /// Most of them from one address.
        connections_per_source: u32 [1..=100_000] = 64, Restart;
        /// Name servers to ask instead of the system's, e.g. a resolver beside the gateway.
        nameservers: Vec<SocketAddr> => ["127.0.0.1:53"], Restart;
        /// Messages from an unknown source, or wrong credentials, within a minute after which that
        /// source is dropped unread for `ban`; 0 never.
        ///
        /// A scanner sends hundreds; a misconfigured neighbour a few.
        ban_after: u32 [0..=100_000] = 50, Restart;
        /// How long.
        ban: Duration ["1s"..="24h"] = "10m", Restart;
        /// How callers are verified on trunks with `verify`.
        identity: SipIdentity, Restart;
    }
}

section! {
    /// What signed callers (RFC 8224, SHAKEN) are held against.
    SipIdentity {
        /// PEM file of the authorities whose certificates may sign callers, e.g. the list of your
        /// country's STI policy administrator. Nobody is trusted without it; the system's
        /// authorities are not asked.
        trust_anchors: Option<PathBuf> => "/etc/bellwire/sti-ca.pem", Restart;
        /// How long a call waits for the signer's certificate; then it goes on unverified
        /// (`verify = "note"`) or is refused.
        ///
        /// More verifies more of the first calls of each signer, and lets them ring later.
        timeout: Duration ["50ms"..="5s"] = "500ms", Restart;
        /// How old a signature may be, or how far ahead of our clock.
        ///
        /// 60 s is the RFC's value; more gives whoever records one longer to use it again.
        fresh: Duration ["5s"..="10m"] = "60s", Restart;
        /// Fetches certificates from private addresses too, for a repository in your own network.
        ///
        /// Off, because the caller chooses the address that is asked.
        allow_private: bool = false, Restart;
    }
}

choice! {
    /// How digits travel.
    DtmfMode {
        /// By RFC 4733 if the peer offers it; INFO is understood as well.
        Auto = "auto",
        /// By RFC 4733.
        Rfc4733 = "rfc4733",
        /// By SIP INFO.
        Info = "info",
        /// As tones in the audio.
        Inband = "inband",
    }
}

choice! {
    /// Whether media is encrypted.
    SrtpMode {
        /// Never.
        Off = "off",
        /// If the peer can.
        Preferred = "preferred",
        /// Always; else no call.
        Required = "required",
    }
}

choice! {
    /// Whether provisional answers are made reliable (RFC 3262).
    ReliableMode {
        /// Never; a peer that requires it gets 420.
        Off = "off",
        /// When the peer requires it.
        Supported = "supported",
        /// Whenever the peer can, and callees must.
        Required = "required",
    }
}

choice! {
    /// Who makes the offer of an outgoing call.
    OfferMode {
        /// We do, in the INVITE.
        Early = "early",
        /// The callee does, in its answer.
        Delayed = "delayed",
    }
}

choice! {
    /// How our number is told to the carrier's network, beside From.
    IdentityMode {
        /// Not at all.
        None = "none",
        /// P-Asserted-Identity: the carrier trusts us.
        Asserted = "asserted",
        /// P-Preferred-Identity: the carrier checks it.
        Preferred = "preferred",
    }
}

choice! {
    /// Which targets of a 3xx answer are followed.
    RedirectMode {
        /// None: the call ends.
        Off = "off",
        /// Those at hosts that are this trunk's proxies or sources.
        Trunk = "trunk",
        /// Those at any host.
        Any = "any",
    }
}

choice! {
    /// What becomes of callers that are not verified.
    VerifyMode {
        /// Nobody looks.
        Off = "off",
        /// What is found is told with the call.
        Note = "note",
        /// They are refused.
        Require = "require",
    }
}

choice! {
    /// How sure a signer is of the caller (RFC 8588).
    AttestLevel {
        /// The customer is known, and may use the number.
        A = "A",
        /// The customer is known.
        B = "B",
        /// Where the call came in is known.
        C = "C",
    }
}

section! {
    /// A carrier: where to send calls, whom to take them from, and how many.
    Trunk {
        /// Its name in instances, routes, logs and metrics.
        name: Name => "carrier", Restart;
        /// Where calls are sent; several are tried in order.
        proxy: Vec<SipUri> => "sip:carrier.example:5060", Restart;
        /// User for the carrier's digest challenges.
        username: Option<String> => "user", Restart;
        /// Password for the carrier's digest challenges.
        password: Option<Secret> => "TRUNK_PASSWORD", Restart;
        /// The only realm whose challenges are answered; without it the proxy's host.
        ///
        /// Stops a third party from collecting answers made with your password.
        realm: Option<String> => "carrier.example", Restart;
        /// Where every request of this trunk takes its first hop, whatever it is addressed to.
        outbound_proxy: Option<SipUri> => "sip:edge.carrier.example;transport=tls", Restart;
        /// The address written into Via, Contact and SDP on this trunk instead of
        /// `node.public_address`.
        public_address: Option<IpAddr> => "203.0.113.10", Restart;
        /// Registers with the carrier, for trunks that find us that way.
        register: bool = false, Restart;
        /// User that is registered; without it `username`.
        register_user: Option<String> => "15550100", Restart;
        /// Registers all numbers of the account at once (RFC 6140, as SIPconnect asks for), not the
        /// one user: calls then come for the number that was dialled.
        ///
        /// A carrier that does not know this refuses with 420.
        register_gin: bool = false, Restart;
        /// Lifetime of a registration; renewed before it ends.
        expires: Duration ["60s"..="24h"] = "300s", Restart;
        /// Domain of From; without it our own address.
        from_domain: Option<String> => "carrier.example", Restart;
        /// Networks that may call us through this trunk.
        ///
        /// Requests from anywhere else are dropped before any state is made.
        sources: Vec<Cidr> => ["192.0.2.0/24"], Restart;
        /// Codecs that are offered and accepted, in order of preference.
        ///
        /// Every carrier takes one of the two laws of G.711.
        codecs: Vec<CodecId> = ["PCMU", "PCMA"], Call;
        /// How digits travel.
        dtmf: DtmfMode = "auto", Call;
        /// Whether media is encrypted.
        srtp: SrtpMode = "off", Call;
        /// Session timer of RFC 4028: the peer is asked for signs of life this often.
        ///
        /// 1800 s is the RFC's recommendation.
        session_timer: Switch<Duration> ["90s"..="24h"] = "1800s", Restart;
        /// Whether provisional answers are made reliable.
        reliable: ReliableMode = "supported", Restart;
        /// Who makes the offer of an outgoing call.
        ///
        /// `early` is what carriers expect; some Cisco trunks want `delayed`.
        offer: OfferMode = "early", Call;
        /// How our number is told to the carrier's network, beside From.
        identity: IdentityMode = "none", Restart;
        /// Which targets of a 3xx answer are followed; their numbers must be among `allow` as well.
        redirects: RedirectMode = "trunk", Call;
        /// Lets the far end move a call elsewhere by REFER: we dial the target, which must be among
        /// `allow`, and join both.
        ///
        /// Off, because each such call is one that you pay for.
        refer: bool = false, Restart;
        /// How often an OPTIONS request asks whether the carrier is there.
        ping: Switch<Duration> ["5s"..="1h"] = "30s", Restart;
        /// Most calls at once over this trunk, both directions: your contract with the carrier.
        max_calls: u32 [1..=100_000] = 200, Hot;
        /// Most new outgoing calls a second; more of them wait in the queue.
        max_cps: u32 [1..=10_000] = 20, Hot;
        /// Minutes of answered outgoing calls in a day (UTC); beyond it no call goes out. 0 is no
        /// limit.
        ///
        /// The last line of defence against a stolen key.
        max_minutes_per_day: u32 [0..=10_000_000] = 0, Restart;
        /// Longest call; a request may ask for less.
        max_duration: Switch<Duration> ["1s"..="24h"] = "off", Call;
        /// Our number on outgoing calls that name none.
        caller_id: Option<CallerId> => "+15550100", Call;
        /// Further numbers that a request may show with `from`.
        ///
        /// With neither these nor `caller_id`, any number may be shown: the carrier is the judge.
        caller_ids: Vec<CallerId> => ["+15550101", "+15550102"], Call;
        /// Whether signed callers (RFC 8224, SHAKEN) are verified; `require` refuses all others with
        /// 403, 428, 436, 437 or 438. Needs `sip.identity.trust_anchors`.
        verify: VerifyMode = "off", Restart;
        /// `require`: the least attestation that is let in.
        attest_min: AttestLevel = "C", Call;
        /// The service that signs our outgoing calls: a POST of who calls whom, answered by the
        /// value of Identity.
        sign_url: Option<Url> => "https://sign.example/v1/identity", Call;
        /// Signs the requests to it as Standard Webhooks does.
        sign_secret: Option<Secret> => "SIGN_SECRET", Call;
        /// The attestation that it is asked for.
        sign_attest: AttestLevel = "A", Call;
        /// How long a call waits for it.
        sign_timeout: Duration ["50ms"..="5s"] = "500ms", Call;
        /// A call that is not signed does not go out; else it goes unsigned.
        sign_required: bool = false, Call;
        /// Destinations that may be dialled, by prefix in E.164 form; nothing else is dialled.
        ///
        /// Empty, so that a stolen key cannot call premium numbers; `["+"]` allows all.
        allow: Vec<Prefix> => ["+1", "+44"], Hot;
        /// Destinations that are refused although `allow` has them.
        deny: Vec<Prefix> => ["+1900"], Hot;
    }
}
