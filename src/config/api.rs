//! `[api]`, `[[api.key]]` and `[console]`: the listeners of REST and WebSocket, who may use them,
//! and the page for people.

use super::address::{InstanceScope, Prefix, Sha256Hex};
use super::declare::{choice, section};
use super::secret::Secret;
use super::value::Name;
use std::net::SocketAddr;

section! {
    /// REST and WebSocket.
    Api {
        /// Where REST and WebSocket listen. Anything but loopback needs at least one key.
        ///
        /// Loopback, because without keys everybody who can connect can make calls.
        listen: SocketAddr = "127.0.0.1:8080", Restart;
        /// Where `/health/*`, `/metrics` and `/v1/admin/*` listen; they ask for no key.
        ///
        /// Keep it on loopback or on an address that only your monitoring reaches.
        admin_listen: SocketAddr = "127.0.0.1:8081", Restart;
        /// Refuses unknown fields in requests with 400 and a pointer to the field.
        ///
        /// On, because a misspelt option that does nothing is found too late.
        strict_requests: bool = true, Restart;
        /// API keys; more can be made at run time.
        ///
        /// Without any key the API takes every request, and therefore only from loopback.
        key: Vec<ApiKey>, Restart;
    }
}

section! {
    /// The page in the browser.
    Console {
        /// Serves `/console` on `api.listen`: a page that places calls and talks through the
        /// microphone.
        ///
        /// On, because it gives no rights: whoever opens it needs a key all the same. Browsers
        /// lend the microphone to `https://` and to the machine itself only.
        enabled: bool = true, Restart;
    }
}

choice! {
    /// What a key may do.
    Scope {
        /// Everything.
        Admin = "admin",
        /// Read calls.
        CallsRead = "calls:read",
        /// Make and end calls.
        CallsWrite = "calls:write",
        /// Dial SIP URIs.
        CallsSip = "calls:sip",
        /// Attach to streams.
        Stream = "stream",
        /// Read recordings.
        RecordingsRead = "recordings:read",
        /// Make and delete instances.
        InstancesWrite = "instances:write",
        /// Change trunks.
        TrunksWrite = "trunks:write",
        /// Change webhooks.
        WebhooksWrite = "webhooks:write",
    }
}

section! {
    /// A key to the API.
    ApiKey {
        /// Its name in logs.
        name: Name => "ops", Restart;
        /// The key that clients send as `Authorization: Bearer …`.
        secret: Option<Secret> => "/etc/bellwire/ops.key", Restart;
        /// Instead of the key, its SHA-256 digest in hexadecimal.
        secret_sha256: Option<Sha256Hex>
            => "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", Restart;
        /// What it may do.
        ///
        /// By default what an application needs: make, read and stream calls.
        scopes: Vec<Scope> = ["calls:read", "calls:write", "stream"], Restart;
        /// The instances it may use, or `*` for all.
        ///
        /// None by default: a key sees only what it is given.
        instances: Vec<InstanceScope> => ["inst_demo"], Restart;
        /// Most active outgoing calls of this key; 0 is no limit.
        max_calls: u32 [0..=100_000] = 0, Restart;
        /// Most calls that it may make in a second; 0 is no limit.
        max_cps: u32 [0..=10_000] = 0, Restart;
        /// Minutes of answered calls that it may make in a day (UTC); 0 is no limit.
        max_minutes_per_day: u32 [0..=10_000_000] = 0, Restart;
        /// Destinations that it may call, by prefix; they must be among those of the trunk as well.
        /// Without any, those of the trunk.
        allow: Vec<Prefix> => ["+1"], Restart;
    }
}
