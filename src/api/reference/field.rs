//! One named value of the interface, as documents tell it: a field of a message, or a parameter of
//! a query.
//!
//! Owns how it becomes JSON Schema. A field of an inner object has the outer one's name and a dot
//! before its own, and stands behind it.

use serde_json::{Map, Value, json};

/// What a value may be, beyond its type.
#[derive(Debug, Clone, Copy)]
pub enum Values {
    /// Anything.
    Any,
    /// One of these.
    Words(&'static [&'static str]),
    /// One of these.
    Numbers(&'static [u32]),
    /// From the first to the last.
    Range(u32, u32),
}

/// A named value.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Its JSON type; of several, with `or` between them. An array is one of strings.
    pub kind: &'static str,
    /// What it says.
    pub about: &'static str,
    /// What it may be.
    pub values: Values,
    /// What the server leaves out at times.
    pub optional: bool,
    /// It may be null.
    pub nullable: bool,
}

const fn field(name: &'static str, kind: &'static str, about: &'static str) -> Field {
    Field { name, kind, about, values: Values::Any, optional: false, nullable: false }
}

pub(super) const fn text(name: &'static str, about: &'static str) -> Field {
    field(name, "string", about)
}

pub(super) const fn whole(name: &'static str, about: &'static str) -> Field {
    field(name, "integer", about)
}

pub(super) const fn part(name: &'static str, about: &'static str) -> Field {
    field(name, "number", about)
}

pub(super) const fn truth(name: &'static str, about: &'static str) -> Field {
    field(name, "boolean", about)
}

pub(super) const fn object(name: &'static str, about: &'static str) -> Field {
    field(name, "object", about)
}

pub(super) const fn list(name: &'static str, about: &'static str) -> Field {
    field(name, "array", about)
}

/// The id of a command, as it was given.
pub(super) const fn id(about: &'static str) -> Field {
    field("id", "string or integer", about)
}

/// Any JSON at all.
pub(super) const fn any(name: &'static str, about: &'static str) -> Field {
    field(name, "any", about)
}

impl Field {
    pub(super) const fn of(self, words: &'static [&'static str]) -> Self {
        Self { values: Values::Words(words), ..self }
    }

    pub(super) const fn one_of(self, numbers: &'static [u32]) -> Self {
        Self { values: Values::Numbers(numbers), ..self }
    }

    pub(super) const fn within(self, least: u32, most: u32) -> Self {
        Self { values: Values::Range(least, most), ..self }
    }

    pub(super) const fn maybe(self) -> Self {
        Self { optional: true, ..self }
    }

    pub(super) const fn or_null(self) -> Self {
        Self { nullable: true, ..self }
    }

    /// Its JSON types; none: any.
    pub(super) fn kinds(&self) -> Vec<&'static str> {
        let kinds = self.kind.split(" or ").filter(|kind| *kind != "any");
        kinds.chain(self.nullable.then_some("null")).collect()
    }

    /// As JSON Schema.
    pub(super) fn schema(&self) -> Value {
        let mut schema = json!({ "description": self.about });
        match self.kinds().as_slice() {
            [] => {}
            [kind] => schema["type"] = json!(kind),
            kinds => schema["type"] = json!(kinds),
        }
        if self.kind == "array" {
            schema["items"] = json!({ "type": "string" });
        }
        match self.values {
            Values::Any => {}
            Values::Words(words) => schema["enum"] = json!(words),
            Values::Numbers(numbers) => schema["enum"] = json!(numbers),
            Values::Range(least, most) => {
                schema["minimum"] = json!(least);
                schema["maximum"] = json!(most);
            }
        }
        schema
    }

    /// What it says and what it may be, for people.
    pub(super) fn described(&self) -> String {
        let listed = |words: Vec<String>| {
            let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            format!("{} One of {}.", self.about, words.join(", "))
        };
        match self.values {
            Values::Any => self.about.to_owned(),
            Values::Words(words) => listed(words.iter().map(ToString::to_string).collect()),
            Values::Numbers(numbers) => listed(numbers.iter().map(ToString::to_string).collect()),
            Values::Range(least, most) => format!("{} {least} to {most}.", self.about),
        }
    }
}

/// Properties and the names of those that are always there, of fields whose names begin with
/// `before`.
pub(super) fn properties(fields: &[Field], before: &str) -> (Map<String, Value>, Vec<String>) {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for field in fields {
        let Some(name) = field.name.strip_prefix(before) else { continue };
        if name.contains('.') {
            continue;
        }
        let mut schema = field.schema();
        let (inner, always) = self::properties(fields, &format!("{}.", field.name));
        if !inner.is_empty() {
            schema["properties"] = inner.into();
            schema["required"] = json!(always);
        }
        properties.insert(name.to_owned(), schema);
        if !field.optional {
            required.push(name.to_owned());
        }
    }
    (properties, required)
}
