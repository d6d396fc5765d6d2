//! How an option is declared: once, and everything else is derived from that.
//!
//! ```text
//!  section! { … }  ──> struct field   (plain, typed value)
//!                  ──> Key            (name, docs, kind, default, range, reload class)
//!                        ├─> reading, layering, error messages   (`reader`, `layers`)
//!                        └─> docs/configuration.md, config/default.toml, config/schema.json
//! ```
//!
//! Owns the vocabulary and the two macros. Does not know any option by name.

use super::reader::Reader;
use super::renew::Renewal;
use super::tree::{Node, Table};

/// What it takes to change a value while the gateway runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// Takes effect at once.
    Hot,
    /// Takes effect for calls that begin later.
    Call,
    /// Takes effect at the next start.
    Restart,
}

impl Reload {
    /// The word in the generated pages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hot => "hot",
            Self::Call => "call",
            Self::Restart => "restart",
        }
    }
}

/// The shape of a value, as documentation and schema tell it.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// `true` or `false`.
    Toggle,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// Text of a certain form.
    Text {
        /// What it is, with its article: "a duration such as \"20ms\"".
        what: &'static str,
        /// A regular expression of ECMA 262 that all good values match, or "".
        pattern: &'static str,
    },
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// The word `off`, or a value of another kind.
    OrOff(&'static Kind),
    /// A list; one value may stand without brackets.
    List(&'static Kind),
    /// A secret: `NAME_file`, `NAME_env`, `NAME_credential`, or the literal `NAME`.
    Secret,
    /// A table of its own, `[section]` or inline.
    Table(&'static Section),
    /// Several tables, `[[section]]`.
    Tables(&'static Section),
    /// A table of the user's own making.
    Free,
}

/// One option.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The name in the file.
    pub name: &'static str,
    /// The doc comment, line by line.
    pub doc: &'static [&'static str],
    /// The shape of its value.
    pub kind: Kind,
    /// The default, in TOML; `None`: absent, or required.
    pub default: Option<&'static str>,
    /// A value to show when there is no default, in TOML.
    pub example: Option<&'static str>,
    /// Lowest and highest value, in TOML.
    pub range: Option<(&'static str, &'static str)>,
    /// What a change needs.
    pub reload: Reload,
    /// Whether it must be given.
    pub required: bool,
}

/// The endings under which a secret may be given; the empty one is the literal.
pub const SECRET_ENDINGS: [&str; 4] = ["_file", "_env", "_credential", ""];

impl Key {
    /// Every name under which the option may be written.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        match self.kind {
            Kind::Secret => {
                SECRET_ENDINGS.iter().map(|ending| format!("{}{ending}", self.name)).collect()
            }
            Kind::Toggle
            | Kind::Integer
            | Kind::Number
            | Kind::Text { .. }
            | Kind::OneOf(_)
            | Kind::OrOff(_)
            | Kind::List(_)
            | Kind::Table(_)
            | Kind::Tables(_)
            | Kind::Free => vec![self.name.to_owned()],
        }
    }
}

/// One table of the file.
#[derive(Debug, Clone, Copy)]
pub struct Section {
    /// The doc comment, line by line.
    pub doc: &'static [&'static str],
    /// Its options, in the order of the declaration.
    pub keys: &'static [Key],
}

impl Section {
    /// Every name that may be written in the table.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.keys.iter().flat_map(Key::names).collect()
    }

    /// The option that is written under `name`.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.names().iter().any(|known| known == name))
    }
}

/// A type that a section can have as a field.
pub trait Setting: Sized {
    /// How documentation speaks of it.
    const KIND: Kind;

    /// Whether a field of this type must be given when it has no default.
    const REQUIRED: bool = true;

    /// Reads one written value; reports what is wrong with it and returns `None`.
    fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Self>;

    /// A harmless value in the place of one that could not be read, so that the remaining checks
    /// can go on. Never reaches a running gateway: there is at least one error.
    fn stand_in() -> Self;

    /// The value of a field that was not written and has no default.
    fn absent(reader: &mut Reader<'_>) -> Self {
        let _ = reader;
        Self::stand_in()
    }

    /// Whether the value lies in `low..=high`; kinds without order always do.
    fn within(&self, low: &Self, high: &Self) -> bool {
        let _ = (low, high);
        true
    }

    /// The value from here on when `new` was read in its place, for kinds that differ in parts;
    /// `None` for those that differ as a whole.
    fn renewed(&self, new: &Self, renewal: &mut Renewal) -> Option<Self> {
        let _ = (new, renewal);
        None
    }

    /// Reads the field `key` of `table` if it was written.
    fn found(reader: &mut Reader<'_>, table: &Table, key: &'static Key) -> Option<Self> {
        let node = table.get(key.name)?;
        Some(reader.inside(key.name, |reader| {
            reader.ranged(node, key).unwrap_or_else(|| reader.default_of(key))
        }))
    }

    /// Reads the field `key` of `table`, or falls back to its default.
    fn field(reader: &mut Reader<'_>, table: &Table, key: &'static Key) -> Self {
        if let Some(value) = Self::found(reader, table, key) {
            return value;
        }
        if key.required {
            reader.inside(key.name, |reader| reader.missing(key));
        }
        reader.default_of(key)
    }
}

/// A type that is written as one value, without a table.
pub trait Scalar: Sized {
    /// How documentation speaks of it.
    const KIND: Kind;

    /// Reads one written value.
    ///
    /// # Errors
    /// What is wrong, as the end of a sentence that begins with the key's name.
    fn parse(node: &Node) -> Result<Self, String>;

    /// See [`Setting::stand_in`].
    fn stand_in() -> Self;

    /// See [`Setting::within`].
    fn within(&self, low: &Self, high: &Self) -> bool {
        let _ = (low, high);
        true
    }
}

impl<T: Scalar> Setting for T {
    const KIND: Kind = <T as Scalar>::KIND;

    fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Self> {
        T::parse(node).map_err(|what| reader.error(what)).ok()
    }

    fn stand_in() -> Self {
        <T as Scalar>::stand_in()
    }

    fn within(&self, low: &Self, high: &Self) -> bool {
        Scalar::within(self, low, high)
    }
}

impl<T: Setting> Setting for Option<T> {
    const KIND: Kind = T::KIND;
    const REQUIRED: bool = false;

    fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Self> {
        T::read(reader, node).map(Some)
    }

    fn found(reader: &mut Reader<'_>, table: &Table, key: &'static Key) -> Option<Self> {
        T::found(reader, table, key).map(Some)
    }

    fn stand_in() -> Self {
        None
    }

    fn within(&self, low: &Self, high: &Self) -> bool {
        match (self, low, high) {
            (Some(value), Some(low), Some(high)) => value.within(low, high),
            _ => true,
        }
    }
}

impl<T: Setting> Setting for Vec<T> {
    const KIND: Kind = match T::KIND {
        Kind::Table(section) => Kind::Tables(section),
        _ => Kind::List(&T::KIND),
    };
    const REQUIRED: bool = false;

    fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Self> {
        let items = reader.items(node, matches!(Self::KIND, Kind::Tables(_)))?;
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let value = reader.inside_item(index, |reader| T::read(reader, item));
            values.push(value.unwrap_or_else(T::stand_in));
        }
        Some(values)
    }

    fn stand_in() -> Self {
        Vec::new()
    }

    fn renewed(&self, new: &Self, renewal: &mut Renewal) -> Option<Self> {
        renewal.items(self, new)
    }
}

/// Declares a section: a struct, the keys of its fields and how to read it.
///
/// ```text
/// section! {
///     /// What the section is for.
///     Rtp {
///         /// What the option does, and why its default is what it is.
///         ptime: Duration ["10ms"..="60ms"] = "20ms", Call;
///         /// An option without default, with an example for the pages.
///         public_address: Option<IpAddr> => "203.0.113.10", Restart;
///     }
/// }
/// ```
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        $name:ident {
            $(
                $(#[doc = $doc:literal])+
                $field:ident : $ty:ty $([$low:literal ..= $high:literal])?
                $(= $default:expr)? $(=> $example:expr)?, $reload:ident;
            )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $( $(#[doc = $doc])+ pub $field: $ty, )+
        }

        impl $name {
            /// The declaration, for the generated pages.
            pub const SECTION: $crate::config::declare::Section =
                $crate::config::declare::Section {
                    doc: &[$($about),+],
                    keys: &[$(
                        section!(@key $field: $ty [$($low, $high)?] [$($default)?] [$($example)?]
                            $reload [$($doc),+])
                    ),+],
                };
        }

        impl $crate::config::declare::Setting for $name {
            const KIND: $crate::config::declare::Kind =
                $crate::config::declare::Kind::Table(&$name::SECTION);
            const REQUIRED: bool = false;

            fn read(
                reader: &mut $crate::config::reader::Reader<'_>,
                node: &$crate::config::tree::Node,
            ) -> Option<Self> {
                let table = reader.table(node, &Self::SECTION)?;
                Some(Self::fields(reader, table))
            }

            fn stand_in() -> Self {
                Self::absent(&mut $crate::config::reader::Reader::aside())
            }

            fn absent(reader: &mut $crate::config::reader::Reader<'_>) -> Self {
                Self::fields(reader, &$crate::config::tree::Table::new())
            }

            fn renewed(
                &self,
                new: &Self,
                renewal: &mut $crate::config::renew::Renewal,
            ) -> Option<Self> {
                Some(Self {$(
                    $field: renewal.field(&const {
                        section!(@key $field: $ty [$($low, $high)?] [$($default)?] [$($example)?]
                            $reload [$($doc),+])
                    }, &self.$field, &new.$field),
                )+})
            }
        }

        impl $name {
            fn fields(
                reader: &mut $crate::config::reader::Reader<'_>,
                table: &$crate::config::tree::Table,
            ) -> Self {
                Self {$(
                    $field: <$ty as $crate::config::declare::Setting>::field(reader, table, &const {
                        section!(@key $field: $ty [$($low, $high)?] [$($default)?] [$($example)?]
                            $reload [$($doc),+])
                    }),
                )+}
            }
        }
    };
    (@key $field:ident : $ty:ty [$($low:literal, $high:literal)?] [$($default:expr)?]
        [$($example:expr)?] $reload:ident [$($doc:literal),+]) => {{
        let default: Option<&'static str> = section!(@text $($default)?);
        $crate::config::declare::Key {
            name: stringify!($field),
            doc: &[$($doc),+],
            kind: <$ty as $crate::config::declare::Setting>::KIND,
            default,
            example: section!(@text $($example)?),
            range: section!(@range $($low, $high)?),
            reload: $crate::config::declare::Reload::$reload,
            required: default.is_none()
                && <$ty as $crate::config::declare::Setting>::REQUIRED,
        }
    }};
    (@text) => { None };
    (@text $value:expr) => { Some(stringify!($value)) };
    (@range) => { None };
    (@range $low:literal, $high:literal) => { Some((stringify!($low), stringify!($high))) };
}

/// Declares an option's words: an enum, its names, and how to read it.
macro_rules! choice {
    (
        $(#[doc = $about:literal])+
        $name:ident { $( $(#[doc = $doc:literal])+ $variant:ident = $word:literal, )+ }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $( $(#[doc = $doc])+ $variant, )+ }

        impl $name {
            /// Every word, in the order of the declaration.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word in the file.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $word, )+ }
            }
        }

        impl $crate::config::declare::Scalar for $name {
            const KIND: $crate::config::declare::Kind =
                $crate::config::declare::Kind::OneOf(Self::WORDS);

            fn parse(node: &$crate::config::tree::Node) -> Result<Self, String> {
                match node.text()? {
                    $( $word => Ok(Self::$variant), )+
                    other => Err($crate::config::reader::unknown_word(other, Self::WORDS)),
                }
            }

            fn stand_in() -> Self {
                [$( Self::$variant ),+][0]
            }
        }
    };
}

pub(super) use {choice, section};
