//! One door per dependency: where a third-party crate may be named.
//!
//! So that each can be measured, replaced or patched in one place. Vocabulary (`serde`,
//! `thiserror`, `bytes`, the macros of `tracing`) has no door; `tokio` may be named by shells only.

use crate::layers;
use crate::source::Source;

/// Crates that are vocabulary.
const VOCABULARY: [&str; 5] = ["bytes", "serde", "serde_json", "thiserror", "tracing"];

/// The runtime of the shells.
const RUNTIME: &str = "tokio";

/// The pure layers, which do not know it.
const PURE: [&str; 9] = ["sip", "sdp", "rtp", "audio", "call", "turn", "twiml", "id", "time"];

/// The doors: a crate and the files or directories that may name it.
const DOORS: &[(&str, &[&str])] = &[
    // The primitives of SRTP.
    ("aes", &["src/rtp/srtp/crypt.rs"]),
    ("aes_gcm", &["src/rtp/srtp/crypt.rs"]),
    ("anyhow", &["src/daemon/", "src/phone", "src/cli/"]),
    ("audiopus", &["src/audio/codec/opus.rs"]),
    ("axum", &["src/api/"]),
    // Decoding of uploads, encoding of `bellwire call --audio`, engines and streams that wrap sound in
    // JSON, and keys in session descriptions, PASSporTs, signatures of TwiML's requests.
    (
        "base64",
        &[
            "src/api/types/",
            "src/app/stream/wire/coded.rs",
            "src/cli/call.rs",
            "src/speech/base64.rs",
            "src/sdp/crypto.rs",
            "src/sip/stir/",
            // And vendors who wrap it in theirs.
            "src/twiml/signature.rs",
        ],
    ),
    ("clap", &["src/cli/"]),
    ("clap_complete", &["src/cli/"]),
    ("config", &["src/config/layers.rs"]),
    ("crossbeam_queue", &["src/media/worker"]),
    ("earshot", &["src/audio/vad"]),
    ("futures_util", &["src/api/", "src/app/stream", "src/net/ws.rs"]),
    ("hickory_resolver", &["src/net/dns/upstream.rs"]),
    // The second is a module of ours with the crate's name.
    ("hmac", &["src/rtp/srtp/crypt.rs", "src/app/agent/tools/", "src/twiml/signature.rs"]),
    ("hound", &["src/audio/wav.rs"]),
    ("http", &["src/api/"]),
    ("http_body_util", &["src/api/"]),
    ("hyper", &["src/api/"]),
    ("hyper_util", &["src/api/"]),
    // Wall-clock labels of records, and how the API writes them.
    ("jiff", &["src/api/stamp.rs", "src/daemon/call_driver.rs"]),
    ("io_uring", &["src/net/uring.rs"]),
    ("md5", &["src/sip/auth"]),
    ("jsonschema", &["src/app/agent/schema.rs"]),
    // Shapes of the kernel that rustix has no words for.
    ("libc", &["src/net/uring.rs", "src/net/realtime.rs"]),
    // Byte search for parsers of foreign text and frames.
    ("memchr", &["src/sip/message/", "src/audio/decode/", "src/api/types/"]),
    ("metrics", &["src/observe/metrics.rs"]),
    ("metrics_exporter_prometheus", &["src/observe/metrics.rs"]),
    // The error queue of a socket, which names the peer that cannot be reached.
    ("nix", &["src/net/sip/icmp.rs"]),
    ("prost", &["src/app/stream/dialect/pipecat.rs"]),
    ("quick_xml", &["src/speech/tts/", "src/twiml/parse.rs"]),
    // The seeded generator of the cores; entropy for ids and keys of the API.
    ("rand", &["src/time.rs", "src/api/fresh.rs"]),
    ("regex", &["src/config/value.rs"]),
    ("reqwest", &["src/net/http.rs"]),
    ("ringbuf", &["src/media/ring.rs"]),
    ("rtcp_types", &["src/rtp/rtcp.rs"]),
    ("rtp_rs", &["src/rtp/packet.rs"]),
    ("rubato", &["src/audio/resample"]),
    ("rusqlite", &["src/store/"]),
    ("rustls", &["src/net/tls"]),
    ("rustls_native_certs", &["src/net/tls"]),
    // The certificates of signers, and their PEM.
    ("rustls_pki_types", &["src/sip/stir/chain.rs"]),
    // Sockets and threads, and the death of programs that speak.
    ("rustix", &["src/net/", "src/media/worker", "src/speech/tts/engine/command.rs"]),
    ("sd_notify", &["src/observe/notify.rs"]),
    ("sdp_types", &["src/sdp/"]),
    // A wrapper type that is passed along unopened.
    ("secrecy", &["src/config/secret.rs", "src/sip/"]),
    ("sha1", &["src/rtp/srtp/crypt.rs", "src/twiml/signature.rs"]),
    // Digests of SIP, of keys and request bodies in the store, signatures of http tools, and tokens of
    // streams.
    (
        "sha2",
        &[
            "src/sip/auth",
            "src/store/",
            "src/api/auth.rs",
            "src/speech/",
            "src/app/agent/tools/",
            "src/app/stream/resume.rs",
        ],
    ),
    ("socket2", &["src/net/"]),
    ("symphonia", &["src/audio/decode/"]),
    ("tokio_rustls", &["src/net/tls"]),
    ("tokio_tungstenite", &["src/api/stream", "src/app/stream", "src/net/ws.rs"]),
    ("tokio_util", &["src/daemon/", "src/api/", "src/net/", "src/phone", "src/cli/"]),
    // The second reads scenario files.
    ("toml", &["src/config/source.rs", "src/cli/conformance/"]),
    ("tracing_subscriber", &["src/observe/trace.rs"]),
    ("ttspico_sys", &["src/speech/tts/"]),
    ("unicode_segmentation", &["src/speech/"]),
    ("uuid", &["src/api/fresh.rs"]),
    ("webpki", &["src/sip/stir/chain.rs"]),
    // Wiping of keys.
    ("zeroize", &["src/rtp/srtp", "src/sdp/desk.rs"]),
];

/// Dependencies of the manifest that no rule speaks of, and rules for crates that are gone.
pub(crate) fn unlisted(manifest: &str) -> Vec<String> {
    let section = manifest.split("\n[").find(|section| section.starts_with("dependencies]"));
    let names: Vec<String> = section
        .unwrap_or_default()
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name.trim().replace('-', "_").replace("md_5", "md5"))
        .collect();
    let known = |name: &str| {
        name == RUNTIME || VOCABULARY.contains(&name) || DOORS.iter().any(|(door, _)| *door == name)
    };
    let unlisted = names.iter().filter(|name| !known(name));
    let gone = DOORS.iter().filter(|(door, _)| !names.iter().any(|name| name == door));
    unlisted
        .map(|name| format!("Cargo.toml: {name} has no door; see DOORS"))
        .chain(gone.map(|(door, _)| format!("DOORS: {door} is not in Cargo.toml")))
        .collect()
}

/// Every naming of a crate outside its door.
pub(crate) fn findings(source: &Source) -> Vec<String> {
    let mut findings = Vec::new();
    for (name, places) in DOORS {
        if places.iter().any(|place| source.path.starts_with(place)) {
            continue;
        }
        for offset in namings(source, name) {
            let place = source.place(offset);
            findings.push(format!("{place}: {name} may be named only in {}", places.join(", ")));
        }
    }
    let module = source.module();
    let pure = PURE.iter().any(|core| module == *core || module.starts_with(&format!("{core}::")));
    if pure {
        for offset in namings(source, RUNTIME) {
            findings.push(format!("{}: cores do not know tokio", source.place(offset)));
        }
    }
    findings
}

/// Where a crate is named as the root of a path.
fn namings(source: &Source, name: &str) -> Vec<usize> {
    let code = &source.product;
    // A module of ours may have the crate's name: `use super::metrics;`.
    let imported =
        layers::paths(source).iter().any(|(_, path)| path.rsplit("::").next() == Some(name));
    let ours = imported || code.contains(&format!(" as {name};"));
    let word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(name)
        .filter(|(at, _)| {
            let (before, behind) = (&code[..*at], &code[at + name.len()..]);
            let absolute = before.ends_with("::") && !before.trim_end_matches("::").ends_with(word);
            let root = !before.ends_with(word) && !before.ends_with([':', '.', '$']);
            let used = behind.starts_with("::")
                || (before.trim_end().ends_with("use") && !behind.starts_with(word));
            used && (absolute || (root && !ours && !declares(before, behind)))
        })
        .map(|(at, _)| at)
        .collect()
}

/// Whether this is a declaration such as `mod config;` and not a use.
fn declares(before: &str, behind: &str) -> bool {
    before.trim_end().ends_with("mod") && !behind.starts_with("::")
}

#[cfg(test)]
fn found(path: &str, text: &str) -> usize {
    findings(&Source::new(path, text)).len()
}

#[test]
fn a_crate_outside_its_door_is_found() {
    for (path, text) in [
        ("src/api/rest.rs", "use regex::Regex;"),
        ("src/api/rest.rs", "fn f() { ::config::Config::builder(); }"),
        ("src/net/udp.rs", "fn f() { reqwest::get(); }"),
        ("src/daemon/mod.rs", "use {clap::Parser, std::io};"),
        ("src/app/prompt.rs", "metrics::counter!(\"x\");"),
        ("src/store/mod.rs", "use hound;"),
        ("src/sip/session.rs", "fn f() { tokio::spawn(async {}); }"),
        ("src/call/mod.rs", "use tokio::sync::mpsc;"),
    ] {
        assert_eq!(found(path, text), 1, "{path}: {text}");
    }
}

#[test]
fn doors_modules_of_the_same_name_and_tests_are_fine() {
    for (path, text) in [
        ("src/config/layers.rs", "use ::config::Config;"),
        ("src/daemon/mod.rs", "use crate::{config, id}; fn f(c: config::Config) {}"),
        ("src/daemon/mod.rs", "use crate::observe::metrics; fn f() { metrics::X.add(1); }"),
        ("src/cli/x.rs", "use crate::config::reference as config; fn f() { config::page(); }"),
        ("src/observe/event.rs", "use super::metrics::{self, Metric}; fn f() { metrics::X; }"),
        ("src/api/rest.rs", "let x = self.http; x.http::<()>(); mod http;"),
        ("src/sip/dialog.rs", "#[cfg(test)]\nmod tests { use rand::rng; }"),
        ("src/api/rest.rs", "// regex::Regex\nlet s = \"regex::Regex\";"),
        ("src/net/sip.rs", "use tokio::net::UdpSocket;"),
    ] {
        assert_eq!(found(path, text), 0, "{path}: {text}");
    }
}

#[test]
fn dependencies_without_a_rule_are_found() {
    let manifest = "[package]\nname = \"x\"\n\n[dependencies]\nregex = \"1\"\nleft-pad = \"1\"\n\n\
                    [dev-dependencies]\nother = \"1\"\n";
    let findings = unlisted(manifest);
    assert!(findings.contains(&"Cargo.toml: left_pad has no door; see DOORS".to_owned()));
    assert!(!findings.iter().any(|finding| finding.contains("other")));
    assert!(findings.iter().any(|finding| finding.contains("clap is not in Cargo.toml")));
}
