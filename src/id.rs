//! Newtypes for every id that crosses a module border.
//!
//! Owns the spelling of ids (`call_<hex>`, `inst_<hex>`). Does not make them up: ids that must be
//! unique over time come from the shells, so that the cores stay free of clocks and entropy.

use std::fmt;
use std::str::FromStr;

/// Says why a text is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an id of the form {prefix}_<letters, digits or _>")]
pub struct IdError {
    text: String,
    prefix: &'static str,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Box<str>);

        impl $name {
            /// The part before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// Builds an id from the text behind the prefix; the caller vouches for uniqueness.
            ///
            /// # Errors
            /// [`IdError`] if `tail` is empty, longer than 64 or has other than `[0-9a-z_]`.
            pub fn from_tail(tail: &str) -> Result<Self, IdError> {
                format!("{}_{tail}", $prefix).parse()
            }

            /// The whole id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let tail = text.strip_prefix($prefix).and_then(|rest| rest.strip_prefix('_'));
                let good = tail.is_some_and(|tail| {
                    !tail.is_empty()
                        && tail.len() <= 64
                        && tail.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'z' | b'_'))
                });
                if good {
                    Ok(Self(text.into()))
                } else {
                    let text = text.chars().take(80).collect();
                    Err(IdError { text, prefix: $prefix })
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

text_id!(
    /// A call, as REST names it.
    CallId,
    "call"
);
text_id!(
    /// A line of a tenant.
    InstanceId,
    "inst"
);
impl InstanceId {
    /// The line of calls that belong to none: those that no route takes.
    #[must_use]
    pub fn nobody() -> Self {
        Self("inst_none".into())
    }
}

text_id!(
    /// An API key, by its public name; never the secret.
    KeyId,
    "key"
);

text_id!(
    /// A recording of a call.
    RecordingId,
    "rec"
);
impl RecordingId {
    /// The `nth` recording of a call: as unique as the call's own id, so that nobody has to draw one.
    ///
    /// # Errors
    /// [`IdError`] if the call's id is so long that there is no room for the number.
    pub fn of_call(call: &CallId, nth: u32) -> Result<Self, IdError> {
        let tail = call.as_str().strip_prefix(CallId::PREFIX).unwrap_or_default();
        format!("{}{tail}_{nth}", Self::PREFIX).parse()
    }
}

/// A media leg inside the media workers; unique for the life of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LegId(pub u64);

/// A SIP INVITE session inside one endpoint; unique for the life of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

impl fmt::Display for LegId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "leg{}", self.0)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_is_named_after_its_call() {
        let call = CallId::from_tail("00ff").unwrap();
        assert_eq!(RecordingId::of_call(&call, 2).unwrap().as_str(), "rec_00ff_2");
        let long = CallId::from_tail(&"a".repeat(64)).unwrap();
        assert!(RecordingId::of_call(&long, 1).is_err());
    }

    #[test]
    fn ids_keep_to_their_prefix_and_alphabet() {
        assert_eq!(CallId::from_tail("00ff").unwrap().as_str(), "call_00ff");
        assert_eq!("inst_demo".parse::<InstanceId>().unwrap().to_string(), "inst_demo");
        for bad in ["", "call_", "inst_1", "call_A", "call_1/..", "call1"] {
            assert!(bad.parse::<CallId>().is_err(), "{bad:?} was accepted");
        }
    }
}
