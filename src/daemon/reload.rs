//! What is read again without a restart: the certificate of TLS.
//!
//! Owns what `POST /v1/admin/reload` and SIGHUP do. A file that cannot be used leaves the running
//! setup as it is.

use crate::api::error::{Code, Problem};
use crate::net::tls::{Tls, TlsSpec};
use crate::observe::event::{self, Happening as _};
use serde_json::{Value, json};

/// What can be read again.
#[derive(Clone)]
pub(super) struct Reload {
    tls: Option<(Tls, TlsSpec)>,
}

impl Reload {
    /// With the TLS setup in use and the files it came from.
    pub(super) fn new(tls: Option<Tls>, spec: Option<TlsSpec>) -> Self {
        Self { tls: tls.zip(spec) }
    }

    /// Reads everything again; tells what was applied.
    ///
    /// Cost: blocks for a few small files.
    ///
    /// # Errors
    /// `invalid_request`, with the file that cannot be used.
    pub(super) fn run(&self) -> Result<Value, Problem> {
        let Some((tls, spec)) = &self.tls else { return Ok(json!({ "applied": [] })) };
        let facts = tls.reload(spec).map_err(|error| {
            let detail = error.to_string();
            event::ReloadFailed { detail: &detail }.report();
            Problem::new(Code::InvalidRequest, detail)
        })?;
        event::CertificateReloaded { expired: facts.expired }.report();
        Ok(json!({
            "applied": ["sip.tls_certificate", "sip.tls_key", "sip.tls_ca"],
            "certificate": { "not_after": facts.not_after.and_then(stamp), "expired": facts.expired },
        }))
    }

    /// Does it at every SIGHUP, for ever.
    pub(super) async fn at_hangup(self) {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
        while hangup.recv().await.is_some() {
            let reload = self.clone();
            // What went wrong is in the log.
            let _ = tokio::task::spawn_blocking(move || reload.run()).await;
        }
    }
}

fn stamp(at: std::time::SystemTime) -> Option<String> {
    let since = at.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(crate::api::stamp::iso(i64::try_from(since.as_millis()).ok()?))
}
