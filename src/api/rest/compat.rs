//! Interfaces of other vendors: what programs call that were written for them.
//!
//! ```text
//!  /2010-04-01/Accounts/…  ─ basic ─> twilio ─┐
//!  /v1/Account/…           ─ basic ─> hangup ─┼─> Gateway, Store
//!  /v2/calls/…/actions/…   ─ bearer > hangup ─┘
//! ```
//!
//! Owns the accounts of `[[compat.account]]` and who may come in by them. Off unless the
//! configuration says otherwise. Each vendor's shapes and errors are in its own file; a call is the
//! same call as under `/v1`, by another name.

mod access;
mod fault;
mod hangup;
mod twilio;

use super::ApiState;
use crate::api::auth::{Binding, Grant, KeySource, Keyring, Scopes};
use crate::app::stream::Standing;
use crate::id::{InstanceId, KeyId};
use crate::speech::key::ApiKey;
use axum::Router;
use axum::routing::{delete, get, post};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Which interfaces are served, and to whom.
#[derive(Debug, Clone, Default)]
pub struct CompatSpec {
    /// Twilio's.
    pub twilio: bool,
    /// Telnyx's hang-up.
    pub telnyx: bool,
    /// Plivo's hang-up.
    pub plivo: bool,
    /// Whose clients they are.
    pub accounts: Vec<CompatAccount>,
}

/// An account of another vendor's client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompatAccount {
    /// Its name.
    pub sid: String,
    /// Its password, which also signs what its webhooks are asked.
    pub token: ApiKey,
    /// The line of its calls.
    pub instance: InstanceId,
    /// The API key whose rights it has.
    pub key: Option<String>,
}

/// Who has signed in.
#[derive(Debug, Clone)]
struct Login {
    account: CompatAccount,
    grant: Arc<Grant>,
}

/// The accounts as they sign in.
#[derive(Debug, Default)]
pub(super) struct Compat {
    spec: CompatSpec,
    logins: Vec<Arc<Login>>,
}

impl Compat {
    /// Gives each account its rights. One whose key is gone has none, and is left out.
    pub(super) fn new(spec: CompatSpec, keyring: &Keyring) -> Self {
        let configured = keyring.configured();
        let login = |account: &CompatAccount| {
            let grant = match &account.key {
                Some(name) => Arc::clone(configured.iter().find(|grant| grant.name == *name)?),
                None => Arc::new(own_grant(account)),
            };
            Some(Arc::new(Login { account: account.clone(), grant }))
        };
        let logins = spec.accounts.iter().filter_map(login).collect();
        Self { spec, logins }
    }

    fn find(&self, sid: &str, password: &str) -> Option<Arc<Login>> {
        // By their hashes, so that the time of a comparison tells nothing of a password.
        let given = crate::api::auth::hash_secret(password);
        let known = |login: &&Arc<Login>| {
            let held = crate::api::auth::hash_secret(login.account.token.expose());
            login.account.sid == sid && held == given
        };
        self.logins.iter().find(known).cloned()
    }
}

/// What an account may that names no key: its line's calls, to numbers.
fn own_grant(account: &CompatAccount) -> Grant {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let tail: String = account.sid.chars().map(plain).take(56).collect();
    let scopes = Scopes::parse(&["calls:read", "calls:write", "stream"]).unwrap_or_default();
    Grant {
        key: KeyId::from_tail(&format!("compat_{tail}")).expect("letters and digits"),
        name: account.sid.clone(),
        scopes,
        instances: Binding::Only(BTreeSet::from([account.instance.clone()])),
        expires_at: None,
        source: KeySource::Config,
        standing: Standing::until(None),
    }
}

/// The routes that the configuration has switched on.
pub(super) fn routes(state: &ApiState) -> Router<ApiState> {
    let spec = &state.compat.spec;
    let mut routes = Router::new();
    if spec.twilio {
        let account = "/2010-04-01/Accounts/{account}";
        routes = routes
            .route(&format!("{account}/Calls.json"), post(twilio::create).get(twilio::list))
            .route(&format!("{account}/Calls/{{file}}"), get(twilio::show).post(twilio::change))
            .route(&format!("{account}/Calls/{{call}}/{{file}}"), post(twilio::streams));
    }
    if spec.telnyx {
        routes = routes.route("/v2/calls/{call}/actions/hangup", post(hangup::telnyx));
    }
    if spec.plivo {
        routes = routes
            .route("/v1/Account/{account}/Call/{call}/", delete(hangup::plivo))
            .route("/v1/Account/{account}/Call/{call}", delete(hangup::plivo));
    }
    routes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::auth::{ConfigKey, Scope, hash_secret};

    fn account(sid: &str, key: Option<&str>) -> CompatAccount {
        CompatAccount {
            sid: sid.to_owned(),
            token: ApiKey::new("token"),
            instance: "inst_a".parse().unwrap(),
            key: key.map(str::to_owned),
        }
    }

    /// Twilio's codes, written as `20_001`, of the product's text.
    fn numbers(source: &str) -> BTreeSet<String> {
        let code = source.split("#[cfg(test)]").next().unwrap();
        let words = code.split(|c: char| !(c.is_ascii_digit() || c == '_'));
        let kinds = ["12_", "20_", "21_"];
        let code = |word: &&str| word.len() == 6 && kinds.iter().any(|kind| word.starts_with(kind));
        let words = words.filter(code);
        words.map(|word| word.replace('_', "")).collect()
    }

    #[test]
    fn the_page_has_all_errors_of_twilios_clients() {
        const PAGE: &str = include_str!("../../../docs/compat.md");
        let mut told = BTreeSet::new();
        for source in [
            include_str!("compat/fault.rs"),
            include_str!("compat/access.rs"),
            include_str!("compat/twilio.rs"),
            include_str!("compat/twilio/form.rs"),
        ] {
            told.extend(numbers(source));
        }
        let (_, table) = PAGE.split_once("| Code | Status | When |\n|---|---|---|\n").unwrap();
        let rows = table.lines().take_while(|line| line.starts_with('|'));
        let codes = rows.map(|row| row.split('|').nth(1).unwrap());
        let paged: BTreeSet<String> =
            codes.flat_map(|cell| cell.split(',')).map(|code| code.trim().to_owned()).collect();
        assert_eq!(told, paged, "docs/compat.md and the code differ");
        assert!(told.len() > 15, "{told:?}");
    }

    #[test]
    fn an_account_has_the_rights_of_its_key_or_those_of_its_line() {
        let key = ConfigKey {
            name: "ops".into(),
            secret_sha256: hash_secret("s"),
            scopes: vec!["calls:read".into(), "calls:sip".into()],
            instances: vec!["*".into()],
        };
        let keyring = Keyring::new(&[key], &[]).unwrap();
        let accounts =
            vec![account("ACa", None), account("ACb", Some("ops")), account("ACc", Some("gone"))];
        let compat = Compat::new(CompatSpec { accounts, ..CompatSpec::default() }, &keyring);
        let own = compat.find("ACa", "token").unwrap();
        assert!(own.grant.require(Scope::CallsWrite).is_ok());
        assert!(own.grant.require(Scope::CallsSip).is_err());
        assert!(!own.grant.instances.permits(&"inst_b".parse().unwrap()));
        let keyed = compat.find("ACb", "token").unwrap();
        assert!(keyed.grant.require(Scope::CallsSip).is_ok());
        for (sid, password) in [("ACa", "Token"), ("ACa", ""), ("", "token"), ("ACc", "token")] {
            assert!(compat.find(sid, password).is_none(), "{sid} {password}");
        }
    }
}
