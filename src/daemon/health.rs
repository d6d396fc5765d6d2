//! The self-check that feeds the watchdog, and the gauges.

use super::overload::{Overload, RETRY_AFTER};
use super::parts::Parts;
use super::tell;
use crate::api::auth::{ConfigKey, hash_secret};
use crate::api::gateway::{Command, Gateway};
use crate::config::{ApiKey, InstanceScope};
use crate::media::ledger::{self, NO_COUNTS};
use crate::media::stats::Spread;
use crate::net::sip::SocketStats;
use crate::observe::event::{self, Happening as _};
use crate::observe::{metrics, notify};
use crate::sip::interface::Command as SipCommand;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How long ago each media thread must have turned.
const MEDIA_MAX: Duration = Duration::from_secs(1);

/// How soon the SIP task must answer.
const SIP_MAX: Duration = Duration::from_secs(1);

/// How often gauges are set, and the check is made when nobody watches.
const INTERVAL: Duration = Duration::from_secs(1);

/// Checks and publishes once a second; feeds the watchdog only behind a passed check.
pub(super) async fn watch(
    parts: Arc<Parts>,
    gateway: Gateway,
    sip: mpsc::Sender<oneshot::Sender<()>>,
    late_max: Option<Duration>,
    sockets: Arc<SocketStats>,
) {
    let mut overload = Overload::new(late_max);
    let watched = notify::watchdog_interval();
    let mut interval = tokio::time::interval(watched.unwrap_or(INTERVAL).min(INTERVAL));
    let metrics = metrics::install();
    let mut late = Spread::default();
    let mut stood = NO_COUNTS;
    loop {
        interval.tick().await;
        let now_late = parts.media.late();
        event::count_beats(now_late.since(&late));
        if let Some(overloaded) = overload.second(now_late.since(&late)) {
            tell_overload(&parts, overloaded).await;
        }
        late = now_late;
        let now_stood = parts.media.ledger().counts();
        let stages = ledger::since(&now_stood, &stood);
        event::count_stages(stages.map(|(stage, time, count)| (stage.as_str(), time, count)));
        stood = now_stood;
        tell::sockets(&sockets);
        metrics.upkeep();
        if let Ok(status) = gateway.ask(Command::Status).await {
            tell::gauges(&status);
            let calls: u64 = status.calls.values().sum();
            let state = if status.ready { "serving" } else { "draining" };
            notify::status(&format!("{state}, {calls} calls"));
        }
        if check(&parts, &sip).await && watched.is_some() {
            notify::watchdog();
        }
    }
}

/// Closes or opens the doors for new calls.
async fn tell_overload(parts: &Parts, overloaded: bool) {
    parts.overloaded.store(overloaded, Ordering::Relaxed);
    let retry_after = overloaded.then_some(RETRY_AFTER);
    let _ = parts.sip.send(SipCommand::Load { retry_after }).await;
    event::overload(overloaded, parts.media.lateness().p99_us);
}

async fn check(parts: &Parts, sip: &mpsc::Sender<oneshot::Sender<()>>) -> bool {
    let media = parts.media.heartbeat();
    if media > MEDIA_MAX {
        let detail = format!("a media thread stands still for {media:?}");
        event::SelfCheckFailed { check: "media", detail: &detail }.report();
        return false;
    }
    let (probe, answer) = oneshot::channel();
    let asked = async { sip.send(probe).await.is_ok() && answer.await.is_ok() };
    if !tokio::time::timeout(SIP_MAX, asked).await.unwrap_or(false) {
        let detail = "the SIP task does not answer";
        event::SelfCheckFailed { check: "sip", detail }.report();
        return false;
    }
    true
}

/// A key of the configuration as the API wants it: its hash, never itself.
pub(super) fn config_key(key: &ApiKey) -> ConfigKey {
    let literal = key.secret.as_ref().map(|secret| hash_secret(secret.expose()));
    let stated = key.secret_sha256.as_deref().and_then(hex);
    ConfigKey {
        name: key.name.to_string(),
        // A key has one of the two: the configuration's check sees to that.
        secret_sha256: literal.or(stated).unwrap_or_default(),
        scopes: key.scopes.iter().map(|scope| scope.as_str().to_owned()).collect(),
        instances: key.instances.iter().map(scope_text).collect(),
    }
}

fn scope_text(scope: &InstanceScope) -> String {
    match scope {
        InstanceScope::All => "*".to_owned(),
        InstanceScope::One(id) => id.to_string(),
    }
}

/// The 32 bytes of a hexadecimal digest.
fn hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    (text.len() == 64).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_read_whole_or_not_at_all() {
        assert_eq!(hex(&"0f".repeat(32)), Some([15; 32]));
        assert_eq!(hex(&"0f".repeat(31)), None);
        assert_eq!(hex(&"0f".repeat(33)), None);
        assert_eq!(hex(&"zz".repeat(32)), None);
    }
}
