//! The body that makes an API key.

use super::fields::{Faults, Object, clip, parse};
use crate::api::auth::{Binding, Scope, Scopes};
use crate::api::error::{Code, Problem};
use crate::api::stamp;

/// Scopes and instances that one key may name.
const NAMES_MAX: usize = 100;

/// A request for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateKey {
    /// For people.
    pub name: String,
    /// What it may do.
    pub scopes: Scopes,
    /// On which instances.
    pub instances: Binding,
    /// From when on it is refused, in milliseconds since the Unix epoch.
    pub expires_at: Option<i64>,
}

impl CreateKey {
    /// Reads a body.
    ///
    /// # Errors
    /// The problem that names every wrong place.
    pub fn parse(bytes: &[u8], strict: bool) -> Result<Self, Problem> {
        let body = parse(bytes)?;
        let mut faults = Faults::default();
        let mut read = Object::new("", &body);
        let name = name(&mut read, &mut faults);
        let scopes = scopes(&mut read, &mut faults);
        let instances = instances(&mut read, &mut faults);
        let expires_at = expires_at(&mut read, &mut faults);
        read.absent(&mut faults, "rate");
        read.finish(&mut faults, strict);
        faults.into_result()?;
        Ok(Self { name, scopes, instances, expires_at })
    }
}

fn name(read: &mut Object<'_>, faults: &mut Faults) -> String {
    if !read.has("name") {
        faults.missing("/name", "a key needs a name");
    }
    let name = read.text(faults, "name", Code::InvalidRequest).unwrap_or_default();
    if read.has("name") && !(1..=100).contains(&name.trim().chars().count()) {
        faults.add(Code::InvalidRequest, "/name", "length", "name must have 1 to 100 characters");
    }
    name.to_owned()
}

fn scopes(read: &mut Object<'_>, faults: &mut Faults) -> Scopes {
    let Some(names) = read.texts(faults, "scopes", NAMES_MAX) else {
        if !read.has("scopes") {
            faults.missing("/scopes", format!("a key needs scopes: {}", all_scopes()));
        }
        return Scopes::default();
    };
    if names.is_empty() {
        faults.missing("/scopes", format!("a key needs scopes: {}", all_scopes()));
    }
    for (index, name) in names.iter().enumerate() {
        if name.parse::<Scope>().is_err() {
            let detail = format!("{:?} is no scope; there are {}", clip(name), all_scopes());
            faults.add(Code::InvalidRequest, format!("/scopes/{index}"), "enum", detail);
        }
    }
    Scopes::parse(&names).unwrap_or_default()
}

fn all_scopes() -> String {
    Scope::ALL.map(Scope::as_str).join(", ")
}

/// Absent: all instances.
fn instances(read: &mut Object<'_>, faults: &mut Faults) -> Binding {
    let Some(ids) = read.texts(faults, "instanceIds", NAMES_MAX) else { return Binding::All };
    for (index, id) in ids.iter().enumerate() {
        if Binding::parse(&[id]).is_err() {
            let detail = format!("{:?} is neither \"*\" nor an instance's id", clip(id));
            faults.add(Code::InvalidRequest, format!("/instanceIds/{index}"), "pattern", detail);
        }
    }
    Binding::parse(&ids).unwrap_or(Binding::All)
}

fn expires_at(read: &mut Object<'_>, faults: &mut Faults) -> Option<i64> {
    let text = read.text(faults, "expiresAt", Code::InvalidRequest)?;
    let moment = stamp::parse(text);
    if moment.is_none() {
        let detail = "expiresAt must be a moment such as 2027-01-31T12:00:00Z";
        faults.add(Code::InvalidRequest, "/expiresAt", "pattern", detail);
    }
    moment
}
