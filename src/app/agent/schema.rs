//! The door to `jsonschema`: schemas of tool arguments and of a call's result.
//!
//! A schema may come from a caller, so it is bounded before it is compiled: size, depth, no
//! reference out of itself, none in circles, no growth by references to references. Fetches
//! nothing.

use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Octets of a schema as compact JSON.
pub const SCHEMA_OCTETS_MAX: usize = 16 * 1024;
/// Levels of a schema or of a value that is checked.
pub const DEPTH_MAX: usize = 32;
/// Octets of a value that is checked.
pub const VALUE_OCTETS_MAX: usize = 64 * 1024;
/// Subschemas when every reference is written out.
const EXPANDED_MAX: usize = 10_000;
/// Faults told of one value.
const FAULTS_MAX: usize = 8;
/// Characters of one fault.
const FAULT_CHARS_MAX: usize = 200;
/// Bytes of compiled regular expressions.
const PATTERN_SIZE_MAX: usize = 1 << 20;

/// Why a schema is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail} (at {pointer:?})")]
pub struct SchemaFault {
    /// JSON pointer into the schema.
    pub pointer: String,
    /// What is wrong.
    pub detail: String,
}

/// A compiled JSON Schema (draft 2020-12 unless it says otherwise); cheap to clone.
#[derive(Clone)]
pub struct Schema {
    source: Arc<Value>,
    validator: Arc<jsonschema::Validator>,
}

impl std::fmt::Debug for Schema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Schema").field(&self.source).finish()
    }
}

impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Schema {
    /// Checks and compiles a schema.
    ///
    /// # Errors
    /// [`SchemaFault`]: too large, too deep, refers elsewhere or in circles, or is no schema.
    pub fn compile(schema: &Value) -> Result<Self, SchemaFault> {
        bounded(schema)?;
        let mut source = schema.clone();
        // A name of its own would be the base of its references, and is of no use here.
        if let Value::Object(root) = &mut source {
            root.remove("$id");
        }
        let patterns = jsonschema::PatternOptions::regex().size_limit(PATTERN_SIZE_MAX);
        let validator =
            jsonschema::options().offline().with_pattern_options(patterns).build(&source).map_err(
                |error| SchemaFault {
                    pointer: error.instance_path().to_string(),
                    detail: shortened(&error.to_string()),
                },
            )?;
        Ok(Self { source: Arc::new(source), validator: Arc::new(validator) })
    }

    /// Compiles a schema whose values are objects, as a call's result is one.
    ///
    /// # Errors
    /// As [`Self::compile`].
    pub fn compile_object(schema: &Value) -> Result<Self, SchemaFault> {
        let object = schema.get("type").is_none_or(|kind| kind == "object");
        if !schema.is_object() || !object {
            let detail = "the schema must describe an object".to_owned();
            return Err(SchemaFault { pointer: String::new(), detail });
        }
        Self::compile(schema)
    }

    /// The schema itself.
    #[must_use]
    pub fn source(&self) -> &Value {
        &self.source
    }

    /// Checks a value.
    ///
    /// # Errors
    /// Up to 8 faults, each a line with its JSON pointer, bounded and made for a model to read.
    pub fn check(&self, value: &Value) -> Result<(), Vec<String>> {
        if depth(value) > DEPTH_MAX || value.to_string().len() > VALUE_OCTETS_MAX {
            return Err(vec!["the value is too large".to_owned()]);
        }
        let faults: Vec<String> = self
            .validator
            .iter_errors(value)
            .take(FAULTS_MAX)
            .map(|error| {
                let place = error.instance_path().to_string();
                let place = if place.is_empty() { "/" } else { &place };
                shortened(&format!("{place}: {error}"))
            })
            .collect();
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    /// Texts as the types that the schema wants for its properties: `"3"` as 3 where it wants an
    /// integer. What is absent becomes null where that is allowed and is left out otherwise; what
    /// cannot be converted stays text, and the check says so.
    #[must_use]
    pub fn typed(&self, fields: &BTreeMap<String, Option<String>>) -> Value {
        let properties = self.source.get("properties");
        let mut object = Map::new();
        for (name, text) in fields {
            let property = properties.and_then(|properties| properties.get(name));
            let types = property.map(types).unwrap_or_default();
            match text {
                Some(text) => {
                    object.insert(name.clone(), converted(text, &types));
                }
                None if types.contains(&"null") => {
                    object.insert(name.clone(), Value::Null);
                }
                None => {}
            }
        }
        Value::Object(object)
    }
}

/// The types that a property allows, in its order.
fn types(property: &Value) -> Vec<&str> {
    match property.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn converted(text: &str, types: &[&str]) -> Value {
    let trimmed = text.trim();
    for kind in types {
        let value = match *kind {
            "integer" => trimmed.parse::<i64>().ok().map(Value::from),
            "number" => trimmed.parse::<f64>().ok().filter(|n| n.is_finite()).map(Value::from),
            "boolean" => boolean(trimmed).map(Value::from),
            "string" => Some(Value::from(text)),
            _ => None,
        };
        if let Some(value) = value {
            return value;
        }
    }
    Value::from(text)
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "true" | "yes" | "1" | "ja" | "sí" | "si" | "oui" | "sim" | "sì" => Some(true),
        "false" | "no" | "0" | "nein" | "non" | "não" => Some(false),
        _ => None,
    }
}

fn shortened(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(FAULT_CHARS_MAX).collect()
}

/// Levels of a value; never deeper than the JSON reader allows.
#[must_use]
pub fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
    }
}

/// Refuses what would be slow or never end.
fn bounded(schema: &Value) -> Result<(), SchemaFault> {
    let root = |detail: String| SchemaFault { pointer: String::new(), detail };
    let octets = schema.to_string().len();
    if octets > SCHEMA_OCTETS_MAX {
        return Err(root(format!("{octets} octets are more than {SCHEMA_OCTETS_MAX}")));
    }
    if depth(schema) > DEPTH_MAX {
        return Err(root(format!("it is deeper than {DEPTH_MAX} levels")));
    }
    let mut named = BTreeMap::new();
    for place in ["$defs", "definitions"] {
        let definitions = schema.get(place).and_then(Value::as_object);
        for (name, definition) in definitions.into_iter().flatten() {
            let mut found = Found::default();
            walk(definition, &format!("/{place}/{name}"), &mut found)?;
            named.insert(format!("#/{place}/{name}"), found);
        }
    }
    let mut whole = Found::default();
    if let Some(fields) = schema.as_object() {
        for (name, value) in fields {
            if !["$defs", "definitions", "$id"].contains(&name.as_str()) {
                walk_field(name, value, &format!("/{name}"), &mut whole)?;
            }
        }
    }
    let mut sizes = BTreeMap::new();
    let size = expanded(&whole, &named, &mut sizes, 0)?;
    let total = sizes.values().fold(size, |sum, size| sum.saturating_add(*size));
    if total > EXPANDED_MAX {
        return Err(root("its references multiply it too often".to_owned()));
    }
    Ok(())
}

/// What stands in a part of a schema: how many values, and which definitions it refers to.
#[derive(Debug, Default)]
struct Found {
    values: usize,
    references: Vec<(String, String)>,
}

fn walk(value: &Value, pointer: &str, found: &mut Found) -> Result<(), SchemaFault> {
    found.values += 1;
    match value {
        Value::Object(fields) => fields.iter().try_for_each(|(name, value)| {
            let name_in_pointer = name.replace('~', "~0").replace('/', "~1");
            walk_field(name, value, &format!("{pointer}/{name_in_pointer}"), found)
        }),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(index, item)| walk(item, &format!("{pointer}/{index}"), found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

fn walk_field(
    name: &str,
    value: &Value,
    pointer: &str,
    found: &mut Found,
) -> Result<(), SchemaFault> {
    let fault =
        |detail: &str| Err(SchemaFault { pointer: pointer.to_owned(), detail: detail.to_owned() });
    match (name, value) {
        // Values to compare with, not schemas.
        ("enum" | "const" | "default" | "examples", _) => {
            found.values += 1;
            Ok(())
        }
        ("$ref", Value::String(target)) => {
            let known = ["#/$defs/", "#/definitions/"];
            let name = known.iter().find_map(|prefix| target.strip_prefix(prefix));
            match name {
                Some(name) if !name.is_empty() && !name.contains(['/', '~', '%']) => {
                    found.references.push((target.clone(), pointer.to_owned()));
                    Ok(())
                }
                _ => fault("references may only name a definition: #/$defs/… or #/definitions/…"),
            }
        }
        ("$dynamicRef" | "$recursiveRef", Value::String(_)) => {
            fault("such references are not known")
        }
        ("$id", Value::String(_)) => fault("only the whole schema may have an id"),
        ("id", Value::String(id)) if id.contains(':') => {
            fault("only the whole schema may have an id")
        }
        ("$defs" | "definitions", _) => fault("definitions belong to the top of the schema"),
        (_, value) => walk(value, pointer, found),
    }
}

/// The size of a part when its references are written out; an error when that never ends.
fn expanded(
    part: &Found,
    named: &BTreeMap<String, Found>,
    sizes: &mut BTreeMap<String, usize>,
    level: usize,
) -> Result<usize, SchemaFault> {
    let mut size = part.values + 1;
    for (target, pointer) in &part.references {
        let fault =
            |detail: &str| SchemaFault { pointer: pointer.clone(), detail: detail.to_owned() };
        let definition = named.get(target).ok_or_else(|| fault("there is no such definition"))?;
        if level > DEPTH_MAX {
            return Err(fault("its references go in circles, or too deep"));
        }
        let inner = match sizes.get(target) {
            Some(size) => *size,
            None => expanded(definition, named, sizes, level + 1)?,
        };
        sizes.insert(target.clone(), inner);
        size = size.saturating_add(inner);
    }
    Ok(size)
}

/// Fuzz entry: octets as `{"schema": …, "value": …}`.
pub fn fuzz_schema(bytes: &[u8]) {
    let Ok(input) = serde_json::from_slice::<Value>(bytes) else { return };
    let part = |name: &str| input.get(name).unwrap_or(&input);
    if let Ok(schema) = Schema::compile(part("schema"))
        && let Err(faults) = schema.check(part("value"))
    {
        assert!((1..=FAULTS_MAX).contains(&faults.len()), "{faults:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_checked_and_faults_are_bounded() {
        let schema = json!({"type": "object", "required": ["a"], "additionalProperties": false,
            "properties": {"a": {"$ref": "#/$defs/count"}, "b": {"type": "string", "maxLength": 3}},
            "$defs": {"count": {"type": "integer", "minimum": 1}}});
        let schema = Schema::compile_object(&schema).unwrap();
        assert_eq!(schema.check(&json!({"a": 2, "b": "xyz"})), Ok(()));
        let faults = schema.check(&json!({"a": 0, "b": "long\u{7}".repeat(300)})).unwrap_err();
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].starts_with("/a: "), "{faults:?}");
        let fine = |fault: &String| fault.chars().count() <= 200 && !fault.contains('\u{7}');
        assert!(faults.iter().all(fine), "{faults:?}");
        assert!(schema.check(&json!({"a": 1, "b": "x".repeat(70_000)})).is_err());
    }

    #[test]
    fn schemas_that_would_never_end_or_leave_the_house_are_refused() {
        let mut bomb = serde_json::Map::new();
        for level in 0..30 {
            let next = json!({"$ref": format!("#/$defs/d{}", level + 1)});
            bomb.insert(format!("d{level}"), json!({"allOf": [next, next]}));
        }
        bomb.insert("d30".to_owned(), json!({"type": "string"}));
        let mut deep = json!({});
        (0..40).for_each(|_| deep = json!({"properties": {"a": deep.clone()}}));
        let refused = [
            json!({"$ref": "https://example.com/x.json"}),
            json!({"$ref": "#"}),
            json!({"allOf": [{"$ref": "#/allOf/0"}]}),
            json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}),
            json!({"$ref": "#/$defs/a", "$defs": {"a": {"not": {"$ref": "#/$defs/b"}}, "b": {"items": {"$ref": "#/$defs/a"}}}}),
            json!({"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/missing"}),
            json!({"$ref": "#/$defs/d0", "$defs": bomb}),
            json!({"$dynamicRef": "#x"}),
            json!({"properties": {"a": {"$id": "file:///etc/passwd"}}}),
            json!({"$schema": "https://example.com/own-dialect"}),
            json!({"description": "x".repeat(20_000)}),
            json!({"type": "nonsense"}),
            json!({"pattern": "(?=look)"}),
            deep,
        ];
        for schema in refused {
            let fault = Schema::compile(&schema).expect_err(&schema.to_string());
            assert!(fault.detail.chars().count() <= 200, "{fault}");
        }
        assert!(Schema::compile_object(&json!({"type": "array"})).is_err());
        assert!(Schema::compile_object(&json!([1])).is_err());
    }

    #[test]
    fn schemas_of_generators_are_taken() {
        let schema = json!({"$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": "https://example.com/result", "type": "object",
            "properties": {"when": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]},
                "id": {"type": "string"}, "kind": {"const": {"$ref": "just text"}}}});
        let schema = Schema::compile_object(&schema).unwrap();
        assert_eq!(schema.check(&json!({"when": null, "id": "x"})), Ok(()));
    }

    #[test]
    fn texts_become_what_the_schema_wants() {
        let schema = json!({"type": "object", "properties": {
            "n": {"type": "integer"}, "x": {"type": ["null", "number"]}, "yes": {"type": "boolean"},
            "text": {"type": "string"}, "gone": {"type": ["string", "null"]}, "left": {"type": "string"}}});
        let schema = Schema::compile_object(&schema).unwrap();
        let some = |name: &str, text: &str| (name.to_owned(), Some(text.to_owned()));
        let fields = BTreeMap::from([
            some("n", " 42 "),
            some("x", "1.5"),
            some("yes", "Ja"),
            some("text", "7"),
            some("free", "7"),
            ("gone".to_owned(), None),
            ("left".to_owned(), None),
        ]);
        let typed = schema.typed(&fields);
        let expected =
            json!({"n": 42, "x": 1.5, "yes": true, "text": "7", "free": "7", "gone": null});
        assert_eq!(typed, expected);
        let fields = BTreeMap::from([some("n", "many")]);
        assert_eq!(schema.typed(&fields), json!({"n": "many"}));
        assert!(schema.check(&schema.typed(&fields)).is_err());
    }

    /// Any nesting of what schemas are made of, with references good and bad.
    fn any_schema() -> impl proptest::strategy::Strategy<Value = Value> {
        use proptest::prelude::*;
        let leaf = prop_oneof![
            Just(json!({})),
            Just(json!(true)),
            Just(json!({"type": "string", "minLength": 1, "format": "date"})),
            Just(json!({"type": ["integer", "null"], "minimum": 0})),
            Just(json!({"enum": ["a", 1, null]})),
            Just(json!({"$ref": "#/$defs/a"})),
            Just(json!({"$ref": "#/$defs/b"})),
            Just(json!({"$ref": "#/$defs/a", "items": {"$ref": "#/$defs/b"}})),
            Just(json!({"$ref": "#"})),
            Just(json!({"pattern": "^(a+)+$"})),
        ];
        let nested = leaf.prop_recursive(5, 32, 3, |inner| {
            let keywords = ["not", "items", "contains", "additionalProperties", "if", "else"];
            let one = (0..keywords.len(), inner.clone());
            let several = ["allOf", "anyOf", "oneOf"];
            let many = (0..several.len(), proptest::collection::vec(inner.clone(), 1..4));
            prop_oneof![
                one.prop_map(move |(at, schema)| json!({keywords[at]: schema})),
                many.prop_map(move |(at, schemas)| json!({several[at]: schemas})),
                (inner.clone(), inner).prop_map(|(a, b)| json!({"properties": {"a": a, "b": b}})),
            ]
        });
        (nested.clone(), nested.clone(), nested).prop_map(|(mut whole, a, b)| {
            if let Some(whole) = whole.as_object_mut() {
                whole.insert("$defs".to_owned(), json!({"a": a, "b": b}));
            }
            whole
        })
    }

    proptest::proptest! {
        #[test]
        fn every_schema_is_refused_or_checks_in_the_end(schema in any_schema()) {
            let values = [json!({"a": {"b": "aaaaaaaaaaaaaaaaaaaaaaaaaaa!"}, "b": [1, "a"]}), json!([[]])];
            if let Ok(schema) = Schema::compile(&schema) {
                for value in &values {
                    let _ = schema.check(value);
                }
            }
        }
    }
}
