//! The types of option values: each knows its text form, its unit and how to say what is wrong.
//!
//! Owns numbers, texts, durations, sizes and patterns (the door to `regex`). Addresses and
//! everything of the network are in `address`, secrets in `secret`.

use super::declare::{Kind, Scalar, Setting};
use super::reader::Reader;
use super::tree::{Node, Tree};
use crate::audio::codec::CodecId;
use std::fmt;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;

impl Scalar for bool {
    const KIND: Kind = Kind::Toggle;

    fn parse(node: &Node) -> Result<Self, String> {
        node.toggle()
    }

    fn stand_in() -> Self {
        false
    }
}

macro_rules! whole_number {
    ($($type:ty),+) => {$(
        impl Scalar for $type {
            const KIND: Kind = Kind::Integer;

            fn parse(node: &Node) -> Result<Self, String> {
                let number = node.integer()?;
                Self::try_from(number)
                    .map_err(|_| format!("{number} is out of range: 0 to {}", Self::MAX))
            }

            fn stand_in() -> Self {
                0
            }

            fn within(&self, low: &Self, high: &Self) -> bool {
                (low..=high).contains(&self)
            }
        }
    )+};
}

whole_number!(u8, u16, u32);

impl Scalar for f64 {
    const KIND: Kind = Kind::Number;

    fn parse(node: &Node) -> Result<Self, String> {
        node.number()
    }

    fn stand_in() -> Self {
        0.0
    }

    fn within(&self, low: &Self, high: &Self) -> bool {
        (low..=high).contains(&self)
    }
}

impl Scalar for String {
    const KIND: Kind = Kind::Text { what: "text", pattern: "" };

    fn parse(node: &Node) -> Result<Self, String> {
        let text = node.text()?;
        if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
            return Err("has a control character".to_owned());
        }
        Ok(text.to_owned())
    }

    fn stand_in() -> Self {
        String::new()
    }
}

impl Scalar for PathBuf {
    const KIND: Kind = Kind::Text { what: "a path", pattern: "" };

    fn parse(node: &Node) -> Result<Self, String> {
        let text = node.text()?;
        if text.is_empty() || text.contains('\0') {
            return Err("is not a path".to_owned());
        }
        Ok(Self::from(text))
    }

    fn stand_in() -> Self {
        Self::new()
    }
}

/// The codecs that a trunk may list.
const CODEC_NAMES: &[&str] = &["PCMU", "PCMA", "G722", "OPUS"];

impl Scalar for CodecId {
    const KIND: Kind = Kind::OneOf(CODEC_NAMES);

    fn parse(node: &Node) -> Result<Self, String> {
        let text = node.text()?;
        match text.to_ascii_uppercase().as_str() {
            "PCMU" => Ok(Self::Pcmu),
            "PCMA" => Ok(Self::Pcma),
            "G722" => Ok(Self::G722),
            #[cfg(feature = "opus")]
            "OPUS" => Ok(Self::Opus),
            #[cfg(not(feature = "opus"))]
            "OPUS" => Err("OPUS needs a build with `--features opus`".to_owned()),
            _ => Err(super::reader::unknown_word(text, CODEC_NAMES)),
        }
    }

    fn stand_in() -> Self {
        Self::Pcmu
    }
}

/// The units of time, longest first.
const TIME_UNITS: [(&str, f64); 6] =
    [("d", 86400.0), ("h", 3600.0), ("m", 60.0), ("ms", 0.001), ("us", 0.000_001), ("s", 1.0)];

impl Scalar for Duration {
    const KIND: Kind = Kind::Text {
        what: "a duration such as \"20ms\", \"30s\", \"10m\" or \"4h\"",
        pattern: "^[0-9]+(\\.[0-9]+)?(us|ms|s|m|h|d)$",
    };

    fn parse(node: &Node) -> Result<Self, String> {
        if let Tree::Integer(number) = node.value {
            return Err(format!("needs a unit: write \"{number}ms\" or \"{number}s\""));
        }
        let text = node.text()?.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        if unit.is_empty() && !number.is_empty() {
            return Err(format!("needs a unit: write \"{number}ms\" or \"{number}s\""));
        }
        let factor = TIME_UNITS.iter().find(|(name, _)| *name == unit.trim());
        match (number.parse::<f64>(), factor) {
            (Ok(number), Some((_, factor))) => Self::try_from_secs_f64(number * factor)
                .map(|exact| {
                    Self::from_micros(u64::try_from(exact.as_micros()).unwrap_or(u64::MAX))
                })
                .map_err(|_| format!("{text:?} is too long")),
            _ => Err(format!(
                "{} is not a duration: a number and one of us, ms, s, m, h, d, e.g. \"20ms\"",
                quoted(text)
            )),
        }
    }

    fn stand_in() -> Self {
        Self::ZERO
    }

    fn within(&self, low: &Self, high: &Self) -> bool {
        (low..=high).contains(&self)
    }
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// As an index type; on small machines no more than they can address.
    #[must_use]
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl Scalar for ByteSize {
    const KIND: Kind = Kind::Text {
        what: "a size such as \"512KiB\" or \"16MiB\"",
        pattern: "^[0-9]+(B|KiB|MiB|GiB)$",
    };

    fn parse(node: &Node) -> Result<Self, String> {
        if let Tree::Integer(number) = node.value {
            return Err(format!("needs a unit: write \"{number}B\" or \"{number}MiB\""));
        }
        let text = node.text()?.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let shift = match unit.trim() {
            "B" => 0,
            "KiB" => 10,
            "MiB" => 20,
            "GiB" => 30,
            _ => {
                return Err(format!(
                    "{} is not a size: a number and one of B, KiB, MiB, GiB, e.g. \"16MiB\"",
                    quoted(text)
                ));
            }
        };
        number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(1 << shift))
            .map(Self)
            .ok_or_else(|| format!("{} is not a size", quoted(text)))
    }

    fn stand_in() -> Self {
        Self(0)
    }

    fn within(&self, low: &Self, high: &Self) -> bool {
        (low..=high).contains(&self)
    }
}

/// A value, or the word `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch<T> {
    /// The feature rests.
    Off,
    /// The feature works with this value.
    On(T),
}

impl<T: Copy> Switch<T> {
    /// The value, if it is on.
    pub fn get(&self) -> Option<T> {
        match self {
            Self::Off => None,
            Self::On(value) => Some(*value),
        }
    }
}

impl<T: Scalar> Scalar for Switch<T> {
    const KIND: Kind = Kind::OrOff(&T::KIND);

    fn parse(node: &Node) -> Result<Self, String> {
        match &node.value {
            Tree::Text(text) if text == "off" => Ok(Self::Off),
            Tree::Toggle(false) => Err("wants \"off\" in quotes".to_owned()),
            _ => T::parse(node).map(Self::On).map_err(|what| format!("{what} (or \"off\")")),
        }
    }

    fn stand_in() -> Self {
        Self::Off
    }

    fn within(&self, low: &Self, high: &Self) -> bool {
        match (self, low, high) {
            (Self::On(value), Self::On(low), Self::On(high)) => value.within(low, high),
            _ => true,
        }
    }
}

/// A short name that appears in logs, metrics and ids of configuration objects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Scalar for Name {
    const KIND: Kind = Kind::Text {
        what: "a name of letters, digits, \".\", \"_\" and \"-\"",
        pattern: "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
    };

    fn parse(node: &Node) -> Result<Self, String> {
        let text = node.text()?;
        let good = text.len() <= 64
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("{} is not a name: letters, digits, \".\", \"_\", \"-\"", quoted(text)))
        }
    }

    fn stand_in() -> Self {
        Self(String::new())
    }
}

/// A regular expression, compiled when the configuration is read.
#[derive(Clone)]
pub struct Pattern(regex::Regex);

impl Pattern {
    /// Whether the expression matches anywhere in `text`.
    ///
    /// Cost: linear in the text; the expression's own size is bounded.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// The expression as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl std::str::FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        compile(text).map(Self).map_err(|what| format!("is not a regular expression: {what}"))
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0.as_str())
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Scalar for Pattern {
    const KIND: Kind = Kind::Text { what: "a regular expression", pattern: "" };

    fn parse(node: &Node) -> Result<Self, String> {
        node.text()?.parse()
    }

    #[expect(clippy::expect_used, reason = "the empty expression is always valid")]
    fn stand_in() -> Self {
        Self(compile("").expect("the empty expression is valid"))
    }
}

fn compile(text: &str) -> Result<regex::Regex, String> {
    regex::RegexBuilder::new(text).size_limit(1 << 20).build().map_err(|error| {
        let text = error.to_string();
        text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
    })
}

/// A JSON object of the user's own, from a TOML table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata(pub serde_json::Map<String, serde_json::Value>);

impl Setting for Metadata {
    const KIND: Kind = Kind::Free;
    const REQUIRED: bool = false;

    fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Self> {
        if let serde_json::Value::Object(map) = json(node) {
            return Some(Self(map));
        }
        reader.error(format!("wants a table, and this is {}", node.what()));
        None
    }

    fn stand_in() -> Self {
        Self::default()
    }
}

fn json(node: &Node) -> serde_json::Value {
    match &node.value {
        Tree::Toggle(toggle) => (*toggle).into(),
        Tree::Integer(number) => (*number).into(),
        Tree::Number(number) => (*number).into(),
        Tree::Text(text) => text.as_str().into(),
        Tree::List(items) => items.iter().map(json).collect(),
        Tree::Table(table) => {
            let entries = table.iter().map(|(key, node)| (key.clone(), json(node)));
            serde_json::Value::Object(entries.collect())
        }
    }
}

/// Where state lives: `auto`, or a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataDir(PathBuf);

impl Deref for DataDir {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Setting for DataDir {
    const KIND: Kind = Kind::Text { what: "a path, or \"auto\"", pattern: "" };

    fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Self> {
        let path = <PathBuf as Setting>::read(reader, node)?;
        if path != Path::new("auto") {
            return Some(Self(path));
        }
        let variable = |name: &str| {
            reader.variables.get(name).filter(|text| !text.is_empty()).map(PathBuf::from)
        };
        let own = || {
            let state = variable("XDG_STATE_HOME");
            let home = || variable("HOME").filter(|home| home != Path::new("/root"));
            state.or_else(|| home().map(|home| home.join(".local/state")))
        };
        Some(Self(variable("STATE_DIRECTORY").unwrap_or_else(|| {
            own().map_or_else(|| "/var/lib/bellwire".into(), |state| state.join("bellwire"))
        })))
    }

    fn stand_in() -> Self {
        Self("/var/lib/bellwire".into())
    }
}

/// Text in quotes for a message, cut to a readable length.
pub(super) fn quoted(text: &str) -> String {
    let short: String = text.chars().take(60).collect();
    format!("{short:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Node {
        Node::new(Tree::Text(text.to_owned()))
    }

    #[test]
    fn durations_have_a_unit() {
        for (written, millis) in
            [("20ms", 20), ("60s", 60_000), ("10m", 600_000), ("4h", 14_400_000), ("1.5s", 1500)]
        {
            let duration = <Duration as Scalar>::parse(&text(written)).unwrap();
            assert_eq!(duration, Duration::from_millis(millis), "{written}");
        }
        for bad in ["", "20", "ms", "20 min", "-20ms", "1e9s", "20msx", "1..5s", "9e99h", "∞s"] {
            assert!(<Duration as Scalar>::parse(&text(bad)).is_err(), "{bad:?}");
        }
        let bare = <Duration as Scalar>::parse(&Node::new(Tree::Integer(20))).unwrap_err();
        assert!(bare.contains("needs a unit") && bare.contains("\"20ms\""), "{bare}");
        let long = <Duration as Scalar>::parse(&text(&format!("{}d", "9".repeat(40))));
        assert!(long.is_err());
    }

    #[test]
    fn sizes_have_a_unit() {
        assert_eq!(ByteSize::parse(&text("16MiB")), Ok(ByteSize(16 << 20)));
        assert_eq!(ByteSize::parse(&text("0B")), Ok(ByteSize(0)));
        for bad in ["16MB", "16", "MiB", "-1B", "99999999999999999999B", "17179869184GiB"] {
            assert!(ByteSize::parse(&text(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_number_of_digits_stays_text_where_text_is_wanted() {
        let outside = Node { outside: Some("test".into()), value: Tree::Text("15550100".into()) };
        assert_eq!(<String as Scalar>::parse(&outside), Ok("15550100".to_owned()));
        assert_eq!(<u32 as Scalar>::parse(&outside), Ok(15_550_100));
        assert!(<u32 as Scalar>::parse(&text("7")).is_err(), "in the file, text is no number");
        assert!(<u8 as Scalar>::parse(&Node::new(Tree::Integer(-1))).is_err());
    }

    #[test]
    fn switches_and_names_and_patterns() {
        let off: Switch<Duration> = Scalar::parse(&text("off")).unwrap();
        assert_eq!(off.get(), None);
        let on: Switch<Duration> = Scalar::parse(&text("30s")).unwrap();
        assert_eq!(on.get(), Some(Duration::from_secs(30)));
        assert!(<Switch<Duration> as Scalar>::parse(&text("of")).unwrap_err().contains("off"));
        assert!(Name::parse(&text("carrier-1")).is_ok());
        for bad in ["", "-a", "a b", "ä", &"x".repeat(65)] {
            assert!(Name::parse(&text(bad)).is_err(), "{bad:?}");
        }
        assert!(Pattern::parse(&text("^answer$")).unwrap().is_match("answer"));
        assert!(Pattern::parse(&text("(")).unwrap_err().contains("unclosed"));
        assert!(Pattern::parse(&text("(a{9999}){9999}")).is_err());
    }

    #[test]
    fn the_data_directory_follows_the_machine() {
        let cases: [(&[(&str, &str)], &str); 5] = [
            (&[("STATE_DIRECTORY", "/s"), ("HOME", "/home/u")], "/s"),
            (&[("XDG_STATE_HOME", "/x"), ("HOME", "/home/u")], "/x/bellwire"),
            (&[("HOME", "/home/u")], "/home/u/.local/state/bellwire"),
            (&[("HOME", "/root")], "/var/lib/bellwire"),
            (&[], "/var/lib/bellwire"),
        ];
        for (variables, path) in cases {
            let mut reader = Reader::aside();
            let owned = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
            reader.variables = std::borrow::Cow::Owned(owned.collect());
            let read = DataDir::read(&mut reader, &text("auto")).unwrap();
            assert_eq!(&*read, Path::new(path), "{variables:?}");
        }
    }
}
