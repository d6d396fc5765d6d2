//! Who asks, and what they may: API keys, scopes, and the instances that a key is bound to.
//!
//! ```text
//!  Authorization: Bearer <secret> ─┐
//!  Sec-WebSocket-Protocol: bearer. ├─ SHA-256 ─> Keyring ──> Grant (scopes, instances)
//!  ?ticket=  (stream only) ────────┘            tickets
//! ```
//!
//! Owns the keyring and the rule for a node without keys: open, but to loopback only. Does not
//! store keys (the store does) and never keeps or prints a secret, only its hash.

use crate::api::error::{Code, Problem};
use crate::app::stream::Standing;
use crate::id::{InstanceId, KeyId};
use crate::store::{StoredKey, sha256};
use std::collections::BTreeSet;
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// One thing that a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Read calls.
    CallsRead,
    /// Make and end calls.
    CallsWrite,
    /// Call SIP URIs as well as numbers.
    CallsSip,
    /// Attach to the stream of a call.
    Stream,
    /// Read recordings.
    RecordingsRead,
    /// Make, change and delete instances.
    InstancesWrite,
    /// Make, change and delete trunks.
    TrunksWrite,
    /// Make, change and delete webhooks.
    WebhooksWrite,
    /// Everything, keys included.
    Admin,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 9] = [
        Self::CallsRead,
        Self::CallsWrite,
        Self::CallsSip,
        Self::Stream,
        Self::RecordingsRead,
        Self::InstancesWrite,
        Self::TrunksWrite,
        Self::WebhooksWrite,
        Self::Admin,
    ];

    /// The name in the configuration file and on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CallsRead => "calls:read",
            Self::CallsWrite => "calls:write",
            Self::CallsSip => "calls:sip",
            Self::Stream => "stream",
            Self::RecordingsRead => "recordings:read",
            Self::InstancesWrite => "instances:write",
            Self::TrunksWrite => "trunks:write",
            Self::WebhooksWrite => "webhooks:write",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Scope {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        let found = Self::ALL.into_iter().find(|scope| scope.as_str() == text);
        found.ok_or_else(|| GrantError::UnknownScope(text.chars().take(80).collect()))
    }
}

/// Says what is wrong with the description of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// No scope has this name.
    #[error("{0:?} is not a scope")]
    UnknownScope(String),
    /// Neither `*` nor an instance's id.
    #[error("{0:?} is neither \"*\" nor the id of an instance")]
    BadInstance(String),
}

/// A set of scopes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scopes(u16);

impl Scopes {
    /// Reads names.
    ///
    /// # Errors
    /// [`GrantError::UnknownScope`].
    pub fn parse<S: AsRef<str>>(names: &[S]) -> Result<Self, GrantError> {
        names.iter().try_fold(Self::default(), |set, name| {
            Ok(Self(set.0 | (1 << name.as_ref().parse::<Scope>()? as u16)))
        })
    }

    /// Whether the set holds `scope`; `admin` holds all.
    #[must_use]
    pub fn grants(self, scope: Scope) -> bool {
        self.0 & ((1 << scope as u16) | (1 << Scope::Admin as u16)) != 0
    }

    /// The names, in a fixed order.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        let held = |scope: &Scope| self.0 & (1 << *scope as u16) != 0;
        Scope::ALL.into_iter().filter(held).map(Scope::as_str).collect()
    }
}

/// The instances that a key is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Binding {
    /// All, also those yet to be made.
    All,
    /// These.
    Only(BTreeSet<InstanceId>),
}

impl Binding {
    /// Reads ids; `*` among them means all.
    ///
    /// # Errors
    /// [`GrantError::BadInstance`].
    pub fn parse<S: AsRef<str>>(ids: &[S]) -> Result<Self, GrantError> {
        let mut only = BTreeSet::new();
        let mut all = false;
        for id in ids.iter().map(AsRef::as_ref) {
            if id == "*" {
                all = true;
                continue;
            }
            let bad = |_| GrantError::BadInstance(id.chars().take(80).collect());
            only.insert(id.parse().map_err(bad)?);
        }
        Ok(if all { Self::All } else { Self::Only(only) })
    }

    /// Whether `instance` is among them.
    #[must_use]
    pub fn permits(&self, instance: &InstanceId) -> bool {
        match self {
            Self::All => true,
            Self::Only(only) => only.contains(instance),
        }
    }

    /// Whether everything that `other` permits is permitted here.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, _) => true,
            (Self::Only(_), Self::All) => false,
            (Self::Only(mine), Self::Only(theirs)) => theirs.is_subset(mine),
        }
    }

    /// The ids, or `*`.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::All => vec!["*".to_owned()],
            Self::Only(only) => only.iter().map(ToString::to_string).collect(),
        }
    }
}

/// Where a key comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySource {
    /// The configuration file.
    Config,
    /// A request.
    Api,
    /// There are no keys, and the request came from this machine.
    Open,
}

/// What the holder of a key may do; travels in the extensions of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The key's public name.
    pub key: KeyId,
    /// For people.
    pub name: String,
    /// What.
    pub scopes: Scopes,
    /// On which instances.
    pub instances: Binding,
    /// From when on it is refused, in milliseconds since the Unix epoch.
    pub expires_at: Option<i64>,
    /// Where it comes from.
    pub source: KeySource,
    /// What those who were let in with it look at.
    pub standing: Standing,
}

impl Grant {
    /// Refuses when the key lacks `scope`.
    ///
    /// # Errors
    /// 403 `forbidden_scope`.
    pub fn require(&self, scope: Scope) -> Result<(), Problem> {
        if self.scopes.grants(scope) {
            return Ok(());
        }
        let detail = format!("this key lacks the scope {}", scope.as_str());
        Err(Problem::new(Code::ForbiddenScope, detail))
    }

    /// The grant of a request from this machine to a node without keys.
    fn open() -> Self {
        Self {
            key: KeyId::from_tail("open").expect("a valid tail"),
            name: "open".to_owned(),
            scopes: Scopes(1 << Scope::Admin as u16),
            instances: Binding::All,
            expires_at: None,
            source: KeySource::Open,
            standing: Standing::until(None),
        }
    }
}

/// A key of the configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigKey {
    /// For people, and its public name's base.
    pub name: String,
    /// SHA-256 of the secret ([`hash_secret`]).
    pub secret_sha256: [u8; 32],
    /// Names of its scopes.
    pub scopes: Vec<String>,
    /// Ids of its instances, or `*`.
    pub instances: Vec<String>,
}

/// The hash by which a secret is known.
#[must_use]
pub fn hash_secret(secret: &str) -> [u8; 32] {
    sha256(secret.as_bytes())
}

#[derive(Debug)]
struct Entry {
    secret_sha256: [u8; 32],
    grant: Arc<Grant>,
    /// When the last use was noted in the store.
    noted_at: AtomicI64,
}

/// How stale `last_used_at` may be.
const NOTE_EVERY_MS: i64 = 60_000;

/// All keys that are valid at this moment.
#[derive(Debug)]
pub struct Keyring {
    entries: RwLock<Vec<Entry>>,
    open: Arc<Grant>,
}

impl Keyring {
    /// Makes the ring of the keys of the configuration file and of the store.
    ///
    /// # Errors
    /// [`GrantError`] names the scope or instance of a configured key that is none. A stored key
    /// whose scopes this version does not know is left out, with a warning.
    pub fn new(config: &[ConfigKey], stored: &[StoredKey]) -> Result<Self, GrantError> {
        let mut entries = Vec::with_capacity(config.len() + stored.len());
        for key in config {
            entries.push(config_entry(key)?);
        }
        for key in stored {
            match stored_entry(key) {
                Ok(entry) => entries.push(entry),
                Err(error) => tracing::warn!(key = %key.id, %error, "a stored key is left out"),
            }
        }
        Ok(Self { entries: RwLock::new(entries), open: Arc::new(Grant::open()) })
    }

    /// Whether there is no key at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.read().is_empty()
    }

    /// The grant of a secret, and whether its use is due to be noted in the store.
    ///
    /// Cost: compares with every key (at most some thousand), each in constant time.
    #[must_use]
    pub fn find(&self, secret: &str, now: i64) -> Option<(Arc<Grant>, bool)> {
        let hash = hash_secret(secret);
        let entries = self.read();
        let mut found = None;
        for entry in entries.iter() {
            if same(&entry.secret_sha256, &hash) {
                found = Some(entry);
            }
        }
        let entry = found?;
        if entry.grant.expires_at.is_some_and(|at| at <= now) {
            return None;
        }
        let due = entry.grant.source == KeySource::Api
            && entry.noted_at.load(Ordering::Relaxed).saturating_add(NOTE_EVERY_MS) <= now;
        if due {
            entry.noted_at.store(now, Ordering::Relaxed);
        }
        Some((Arc::clone(&entry.grant), due))
    }

    /// The grant for requests without a key from this machine; `None` when there are keys.
    #[must_use]
    pub fn open(&self) -> Option<Arc<Grant>> {
        self.is_empty().then(|| Arc::clone(&self.open))
    }

    /// Adds a key that was stored.
    ///
    /// # Errors
    /// [`GrantError`] when its scopes or instances are none.
    pub fn add(&self, key: &StoredKey) -> Result<(), GrantError> {
        let entry = stored_entry(key)?;
        self.entries.write().unwrap_or_else(PoisonError::into_inner).push(entry);
        Ok(())
    }

    /// Takes a key out; it is refused from this moment on, and streams that it opened are closed.
    pub fn remove(&self, id: &KeyId) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        for gone in entries.extract_if(.., |entry| entry.grant.key == *id) {
            gone.grant.standing.revoke();
        }
    }

    /// The grants of the keys of the configuration file.
    #[must_use]
    pub fn configured(&self) -> Vec<Arc<Grant>> {
        let entries = self.read();
        let configured = entries.iter().filter(|e| e.grant.source == KeySource::Config);
        configured.map(|entry| Arc::clone(&entry.grant)).collect()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Vec<Entry>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn config_entry(key: &ConfigKey) -> Result<Entry, GrantError> {
    // Stable over restarts, so that idempotency and logs keep their names.
    let hash = u128::from_be_bytes(*sha256(&key.secret_sha256).first_chunk().expect("32 bytes"));
    let grant = Grant {
        key: KeyId::from_tail(&format!("{hash:032x}")).expect("hex is a valid tail"),
        name: key.name.clone(),
        scopes: Scopes::parse(&key.scopes)?,
        instances: Binding::parse(&key.instances)?,
        expires_at: None,
        source: KeySource::Config,
        standing: Standing::until(None),
    };
    Ok(Entry {
        secret_sha256: key.secret_sha256,
        grant: Arc::new(grant),
        noted_at: AtomicI64::new(0),
    })
}

fn stored_entry(key: &StoredKey) -> Result<Entry, GrantError> {
    let grant = Grant {
        key: key.id.clone(),
        name: key.name.clone(),
        scopes: Scopes::parse(&key.scopes)?,
        instances: Binding::parse(&key.instance_ids)?,
        expires_at: key.expires_at,
        source: KeySource::Api,
        standing: Standing::until(key.expires_at),
    };
    Ok(Entry {
        secret_sha256: key.secret_sha256,
        grant: Arc::new(grant),
        noted_at: AtomicI64::new(key.last_used_at.unwrap_or(0)),
    })
}

/// Compares without telling by its duration where the two differ.
fn same(one: &[u8; 32], two: &[u8; 32]) -> bool {
    let differ = one.iter().zip(two).fold(0_u8, |differ, (a, b)| differ | (a ^ b));
    std::hint::black_box(differ) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(secret: &str, expires_at: Option<i64>) -> StoredKey {
        StoredKey {
            id: "key_s".parse().unwrap(),
            name: "stored".into(),
            secret_sha256: hash_secret(secret),
            scopes: vec!["calls:read".into(), "stream".into()],
            instance_ids: vec!["inst_a".into()],
            created_at: 0,
            expires_at,
            last_used_at: None,
        }
    }

    fn config(secret: &str) -> ConfigKey {
        ConfigKey {
            name: "ops".into(),
            secret_sha256: hash_secret(secret),
            scopes: vec!["admin".into()],
            instances: vec!["*".into()],
        }
    }

    #[test]
    fn a_secret_finds_its_key_until_it_expires_or_is_removed() {
        let ring = Keyring::new(&[config("c")], &[stored("s", Some(100))]).unwrap();
        assert_eq!(ring.find("c", 0).unwrap().0.source, KeySource::Config);
        assert_eq!(ring.find("s", 99).unwrap().0.name, "stored");
        assert!(ring.find("s", 100).is_none() && ring.find("", 0).is_none());
        assert!(ring.open().is_none());
        let standing = ring.find("s", 99).unwrap().0.standing.clone();
        assert!(!standing.is_over(99) && standing.is_over(100));
        ring.remove(&"key_s".parse().unwrap());
        assert!(ring.find("s", 0).is_none());
        assert!(standing.is_over(0), "what it opened is closed");
        assert!(!ring.find("c", 0).unwrap().0.standing.is_over(i64::MAX - 1));
    }

    #[test]
    fn a_ring_without_keys_is_open() {
        let ring = Keyring::new(&[], &[]).unwrap();
        assert!(ring.open().unwrap().scopes.grants(Scope::TrunksWrite));
        ring.add(&stored("s", None)).unwrap();
        assert!(ring.open().is_none());
    }

    #[test]
    fn the_use_of_a_key_is_noted_once_a_minute() {
        let ring = Keyring::new(&[config("c")], &[stored("s", None)]).unwrap();
        let due = |now| ring.find("s", now).unwrap().1;
        assert_eq!([60_000, 60_001, 119_999, 120_000].map(due), [true, false, false, true]);
        assert!(!ring.find("c", 500_000).unwrap().1, "configured keys have no row");
    }

    #[test]
    fn scopes_and_bindings_hold_what_they_name() {
        let some = Scopes::parse(&["calls:read", "stream"]).unwrap();
        assert!(some.grants(Scope::CallsRead) && !some.grants(Scope::CallsWrite));
        assert_eq!(some.names(), ["calls:read", "stream"]);
        let all = Scopes::parse(&["admin"]).unwrap();
        assert!(Scope::ALL.into_iter().all(|scope| all.grants(scope)));
        assert!(Scopes::parse(&["calls:fly"]).is_err());

        let one = Binding::parse(&["inst_a"]).unwrap();
        let every = Binding::parse(&["inst_a", "*"]).unwrap();
        assert!(one.permits(&"inst_a".parse().unwrap()));
        assert!(!one.permits(&"inst_b".parse().unwrap()));
        assert!(every.covers(&one) && !one.covers(&every) && one.covers(&one));
        assert!(!Binding::parse::<&str>(&[]).unwrap().permits(&"inst_a".parse().unwrap()));
        assert!(Binding::parse(&["call_a"]).is_err());
    }

    #[test]
    fn a_configured_key_that_is_wrong_is_an_error_a_stored_one_is_left_out() {
        let wrong = ConfigKey { scopes: vec!["root".into()], ..config("c") };
        assert_eq!(
            Keyring::new(&[wrong], &[]).err(),
            Some(GrantError::UnknownScope("root".into()))
        );
        let odd = StoredKey { scopes: vec!["later:scope".into()], ..stored("s", None) };
        assert!(Keyring::new(&[], &[odd]).unwrap().find("s", 0).is_none());
    }
}
