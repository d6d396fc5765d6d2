//! `[compat]`: interfaces of other vendors, for programs that were written for them.

use super::declare::section;
use super::secret::Secret;
use super::value::Name;
use crate::id::InstanceId;

section! {
    /// Interfaces of other vendors, for programs that were written for them.
    Compat {
        /// Serves the part of Twilio's REST that docs/compat.md lists, under `/2010-04-01`.
        ///
        /// Off, because it is one more door, with passwords of its own.
        twilio: bool = false, Restart;
        /// Serves Telnyx's hang-up, under `/v2/calls`; it takes the keys of the API.
        ///
        /// Off: bots that never call Telnyx need no such path.
        telnyx: bool = false, Restart;
        /// Serves Plivo's hang-up, under `/v1/Account`; its accounts are those of `[[compat.account]]`.
        ///
        /// Off: bots that never call Plivo need no such path.
        plivo: bool = false, Restart;
        /// The accounts of Twilio's and Plivo's clients.
        account: Vec<CompatAccount>, Restart;
    }
}

section! {
    /// An account of another vendor's client: what its library signs in with.
    CompatAccount {
        /// Its name in paths and in basic authentication: Twilio's account SID, Plivo's auth id.
        sid: Name => "AC0123456789abcdef0123456789abcdef", Restart;
        /// Its password, which also signs what its webhooks are asked (`X-Twilio-Signature`).
        auth_token: Secret => "/etc/bellwire/twilio.token", Restart;
        /// The line that its calls belong to.
        instance: InstanceId => "inst_demo", Restart;
        /// The API key whose rights and limits it has; without it, it may make, read and end calls
        /// of its line, to numbers alone.
        key: Option<Name> => "ops", Restart;
    }
}
