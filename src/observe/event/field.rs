//! How values of events stand in a log line and as labels.

use super::super::redact::{Number, escape};
use std::borrow::Cow;
use std::net::SocketAddr;

/// A field of an event: how it stands in a log line and as a label.
pub(super) trait Field {
    /// A value that the log takes.
    type Logged: tracing::Value;

    fn logged(&self) -> Self::Logged;

    fn label(&self) -> String;
}

macro_rules! plain_fields {
    ($($type:ty),+) => {$(
        impl Field for $type {
            type Logged = Self;

            fn logged(&self) -> Self {
                *self
            }

            fn label(&self) -> String {
                self.to_string()
            }
        }
    )+};
}

plain_fields!(bool, u16, u32, u64, f64);

impl Field for &str {
    type Logged = String;

    fn logged(&self) -> String {
        escape(self).into_owned()
    }

    fn label(&self) -> String {
        Cow::into_owned(escape(self))
    }
}

impl Field for SocketAddr {
    type Logged = String;

    fn logged(&self) -> String {
        self.to_string()
    }

    fn label(&self) -> String {
        // An address is no label: there is one for every peer.
        String::new()
    }
}

impl Field for Number<'_> {
    type Logged = String;

    fn logged(&self) -> String {
        self.to_string()
    }

    fn label(&self) -> String {
        String::new()
    }
}

impl<T: Field> Field for Option<T> {
    type Logged = Option<T::Logged>;

    fn logged(&self) -> Option<T::Logged> {
        self.as_ref().map(Field::logged)
    }

    fn label(&self) -> String {
        self.as_ref().map(Field::label).unwrap_or_default()
    }
}
