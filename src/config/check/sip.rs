//! What does not go together in `[sip]` and `[[trunk]]`.

use crate::config::Config;
use crate::config::reader::Reader;
use crate::config::sip::{AttestLevel, SrtpMode, Trunk, VerifyMode};
use crate::sip::interface::Transport;

pub(super) fn check(config: &Config, reader: &mut Reader<'_>) {
    tls(config, reader);
    for (index, trunk) in config.trunk.iter().enumerate() {
        let path = format!("trunk[{index}]");
        credentials(trunk, &path, reader);
        registration(trunk, &path, reader);
        reach(config, trunk, &path, reader);
        sources(trunk, &path, reader);
        sealing(config, trunk, &path, reader);
        signatures(config, trunk, &path, reader);
    }
}

fn tls(config: &Config, reader: &mut Reader<'_>) {
    let sip = &config.sip;
    match (&sip.tls_certificate, &sip.tls_key) {
        (Some(_), None) => reader.error_at("sip.tls_certificate", "needs tls_key, its private key"),
        (None, Some(_)) => reader.error_at("sip.tls_key", "needs tls_certificate"),
        (Some(_), Some(_)) | (None, None) => {}
    }
    for (index, listen) in sip.listen.iter().enumerate() {
        if listen.transport == Transport::Tls && sip.tls_certificate.is_none() {
            reader.error_at(
                &format!("sip.listen[{index}]"),
                "needs sip.tls_certificate and sip.tls_key",
            );
        }
    }
    if sip.tls_require_client_certificate && sip.tls_ca.is_none() {
        reader.error_at(
            "sip.tls_require_client_certificate",
            "needs sip.tls_ca: the authorities whose certificates are let in",
        );
    }
    let files = [
        ("tls_certificate", &sip.tls_certificate),
        ("tls_key", &sip.tls_key),
        ("tls_ca", &sip.tls_ca),
        ("identity.trust_anchors", &sip.identity.trust_anchors),
    ];
    for (key, file) in files {
        if let Some(file) = file.as_ref().filter(|file| !file.is_file()) {
            let message = format!("{} is not a file that can be read", file.display());
            reader.error_at(&format!("sip.{key}"), message);
        }
    }
}

fn credentials(trunk: &Trunk, path: &str, reader: &mut Reader<'_>) {
    if trunk.codecs.is_empty() {
        reader.error_at(&format!("{path}.codecs"), "is empty");
    }
    if trunk.password.is_some() && trunk.username.is_none() {
        reader.error_at(path, "has a password but no username");
    }
    if trunk.username.is_some() && trunk.password.is_none() {
        reader.error_at(
            path,
            "has a username but no password: give password_file, password_env or \
             password_credential",
        );
    }
}

fn registration(trunk: &Trunk, path: &str, reader: &mut Reader<'_>) {
    if trunk.register {
        if trunk.proxy.is_empty() {
            reader.error_at(path, "registers, but has no proxy to register with");
        }
        if trunk.register_user.is_none() && trunk.username.is_none() {
            reader.error_at(path, "registers, but has neither register_user nor username");
        }
    } else {
        for key in ["expires", "register_user", "register_gin"] {
            let path = format!("{path}.{key}");
            if reader.is_written(&path) {
                reader.warning_at(&path, "has no effect without register = true");
            }
        }
    }
}

fn reach(config: &Config, trunk: &Trunk, path: &str, reader: &mut Reader<'_>) {
    let used = config.instance.iter().any(|line| *line.trunk == *trunk.name);
    if used && trunk.proxy.is_empty() {
        reader.warning_at(path, "has no proxy: no call can go out over it");
    }
    if used && trunk.allow.is_empty() {
        reader.warning_at(path, "allows no destination: no call can go out; see `allow`");
    }
}

fn sources(trunk: &Trunk, path: &str, reader: &mut Reader<'_>) {
    if trunk.sources.is_empty() {
        reader.warning_at(path, "has no sources: nobody can call us through it");
    }
    for (place, source) in trunk.sources.iter().enumerate() {
        if source.prefix == 0 {
            reader.warning_at(
                &format!("{path}.sources[{place}]"),
                "is everybody: any host on the network can call through this trunk",
            );
        }
    }
}

/// TLS that a proxy wants and we have not, and keys that travel in the open.
fn sealing(config: &Config, trunk: &Trunk, path: &str, reader: &mut Reader<'_>) {
    let secure = |uri: &str| {
        let uri = uri.to_ascii_lowercase();
        uri.starts_with("sips:") || uri.contains(";transport=tls")
    };
    let listens = config.sip.listen.iter().any(|listen| listen.transport == Transport::Tls);
    for (place, proxy) in trunk.proxy.iter().enumerate() {
        if secure(&proxy.to_string()) && !listens {
            reader.error_at(
                &format!("{path}.proxy[{place}]"),
                "is reached by TLS, but sip.listen has no tls: socket to send from",
            );
        }
    }
    let plain = trunk.proxy.iter().any(|proxy| !secure(&proxy.to_string()));
    if trunk.srtp != SrtpMode::Off && plain {
        reader.warning_at(
            &format!("{path}.srtp"),
            "sends the keys in signalling that is not encrypted: use a proxy by TLS",
        );
    }
}

/// Callers that are to be verified, and calls that are to be signed.
fn signatures(config: &Config, trunk: &Trunk, path: &str, reader: &mut Reader<'_>) {
    if trunk.verify != VerifyMode::Off && config.sip.identity.trust_anchors.is_none() {
        reader.error_at(
            &format!("{path}.verify"),
            "needs sip.identity.trust_anchors: the authorities that are trusted",
        );
    }
    if trunk.attest_min != AttestLevel::C && trunk.verify != VerifyMode::Require {
        let message = "has no effect without verify = \"require\"";
        reader.warning_at(&format!("{path}.attest_min"), message);
    }
    match &trunk.sign_url {
        Some(url) if !url.starts_with("http") => {
            reader.error_at(&format!("{path}.sign_url"), "is asked by http:// or https:// only");
        }
        Some(_) => {}
        None => {
            for key in ["sign_secret", "sign_attest", "sign_timeout", "sign_required"] {
                let path = format!("{path}.{key}");
                if reader.is_written(&path) {
                    reader.warning_at(&path, "has no effect without sign_url");
                }
            }
        }
    }
}
