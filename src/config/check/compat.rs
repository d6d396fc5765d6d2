//! What `[compat]` needs: its accounts' lines and keys, and a route's account.

use super::unique;
use crate::config::line::Action;
use crate::config::reader::Reader;
use crate::config::{Config, Name};

/// Accounts of other vendors' clients, and the routes that name one.
pub(super) fn check(config: &Config, reader: &mut Reader<'_>) {
    unique(
        reader,
        "compat.account",
        "sid",
        config.compat.account.iter().map(|account| &*account.sid),
    );
    for (index, account) in config.compat.account.iter().enumerate() {
        let path = format!("compat.account[{index}]");
        if config.instance.iter().all(|line| line.id != account.instance) {
            let id = account.instance.as_str();
            let detail = format!("there is no [[instance]] with the id {id:?}");
            reader.error_at(&format!("{path}.instance"), detail);
        }
        let named = account.key.as_ref();
        if named.is_some_and(|name| config.api.key.iter().all(|key| key.name != *name)) {
            let detail = "there is no [[api.key]] of that name";
            reader.error_at(&format!("{path}.key"), detail);
        }
    }
    let served = config.compat.twilio || config.compat.plivo;
    if served && config.compat.account.is_empty() {
        reader.error_at("compat", "needs at least one [[compat.account]]");
    }
    routes(config, reader);
}

/// Routes that name an account, or need one.
fn routes(config: &Config, reader: &mut Reader<'_>) {
    for (index, route) in config.route.iter().enumerate() {
        if route.action != Action::Twiml {
            continue;
        }
        let known = |name: &Name| config.compat.account.iter().any(|known| known.sid == *name);
        if route.account.as_ref().is_some_and(|name| !known(name)) {
            let detail = "there is no [[compat.account]] of that sid";
            reader.error_at(&format!("route[{index}].account"), detail);
        }
        if config.compat.account.is_empty() {
            let detail = "action \"twiml\" needs a [[compat.account]], which signs its requests";
            reader.error_at(&format!("route[{index}]"), detail);
        }
    }
}
