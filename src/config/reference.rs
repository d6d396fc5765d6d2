//! Renders the declarations: the reference page, the commented default file, the JSON schema.
//!
//! Owns how they look. Writes no file: `bellwire gen` does.

use super::Config;
use super::declare::{Key, Kind, SECRET_ENDINGS, Section};
use serde_json::{Map, Value, json};
use std::fmt::Write;

const PAGE_INTRO: &str = r#"# Configuration

One TOML file: `--config FILE`, else `/etc/bellwire/bellwire.toml`. With neither, Bellwire uses a
built-in one ([`config/laptop.toml`](../config/laptop.toml)) that stays on your own machine.

Every option has a default that works on a laptop, a unit in its value, a range and a reload class:
`hot` takes effect at once, `call` for calls that begin later, `restart` at the next start. A running
gateway reads everything again when it is told to: [operations.md](operations.md#changing-the-configuration).

Four layers, each beats the one before it:

1. the defaults on this page,
2. the file,
3. environment variables `BELLWIRE__SECTION__KEY`, e.g. `BELLWIRE__RTP__PORTS=30000-30999`;
   a list is written with commas, an element of `[[trunk]]` is named or numbered:
   `BELLWIRE__TRUNK__CARRIER__MAX_CALLS=50`, `BELLWIRE__TRUNK__0__MAX_CALLS=50`,
4. the command line: `--set rtp.ports=30000-30999`, `--set trunk.carrier.max_calls=50`.

An unknown key, a wrong unit, a value out of range or an impossible combination is an error that
names file, line and the nearest valid key; `bellwire check` reports all of them at once and exits
with 1. What an option asks for and this version cannot do is an error, too: nothing is ignored.

A *secret* `password` is given as `password_file = "/path"`, `password_env = "VARIABLE"`,
`password_credential = "name"` (systemd's `LoadCredential=`) or, with a warning, as the literal
`password`. No secret is ever printed.
"#;

const GENERATED: &str = "Generated from the declarations in `src/config` by `make gen`.";

/// The reference page, `docs/configuration.md`.
#[must_use]
pub fn page() -> String {
    let mut page = format!("{PAGE_INTRO}\n{GENERATED}\n");
    for (path, section, several) in sections() {
        let brackets = if several { ("[[", "]]") } else { ("[", "]") };
        let _ = write!(page, "\n## `{}{path}{}`\n\n", brackets.0, brackets.1);
        let _ = writeln!(page, "{}", paragraphs(section.doc));
        for key in section.keys.iter().filter(|key| !has_own_section(key)) {
            let _ = write!(page, "\n**`{}`**", key.name);
            if let Some(default) = key.default {
                let _ = write!(page, " = `{default}`");
            }
            let _ = writeln!(page, " · {} · {}\n", facts(key), key.reload.as_str());
            let _ = writeln!(page, "{}", paragraphs(key.doc));
        }
    }
    page
}

/// The default file, `config/default.toml`: every option, commented out at its default.
#[must_use]
pub fn default_file() -> String {
    let mut file = format!(
        "# Every option of Bellwire at its default: uncomment what you want to change.\n\
         # {GENERATED}\n"
    );
    for (path, section, several) in sections() {
        file.push('\n');
        comment(&mut file, section.doc);
        // A repeated or inline table is an object of the user's: present only when uncommented.
        let _ = if several {
            writeln!(file, "#[[{path}]]")
        } else if path.contains('.') {
            writeln!(file, "#[{path}]")
        } else {
            writeln!(file, "[{path}]")
        };
        for key in section.keys.iter().filter(|key| !has_own_section(key)) {
            file.push('\n');
            comment(&mut file, key.doc);
            let _ = writeln!(file, "# ({}; reload: {})", facts(key), key.reload.as_str());
            let value = key.default.or(key.example).unwrap_or("\"\"");
            let name = match key.kind {
                Kind::Secret => format!("{}{}", key.name, secret_ending(value)),
                _ => key.name.to_owned(),
            };
            let _ = writeln!(file, "#{name} = {value}");
        }
    }
    file
}

/// The JSON schema, `config/schema.json`, for editors.
#[must_use]
pub fn schema() -> String {
    let mut schema = table_schema(&Config::SECTION);
    if let Value::Object(map) = &mut schema {
        map.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
        map.insert("title".into(), "bellwire.toml".into());
    }
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

/// Every section with its path, in the order of the declarations; `true`: it may stand several
/// times.
fn sections() -> Vec<(String, &'static Section, bool)> {
    let mut found = Vec::new();
    collect(&Config::SECTION, "", &mut found);
    found
}

fn collect(
    section: &'static Section,
    path: &str,
    found: &mut Vec<(String, &'static Section, bool)>,
) {
    for key in section.keys {
        let path =
            if path.is_empty() { key.name.to_owned() } else { format!("{path}.{}", key.name) };
        let (inner, several) = match key.kind {
            Kind::Table(inner) => (inner, false),
            Kind::Tables(inner) => (inner, true),
            _ => continue,
        };
        // A section that only holds sections has nothing to say of its own.
        if inner.keys.iter().any(|key| !has_own_section(key)) {
            found.push((path.clone(), inner, several));
        }
        collect(inner, &path, found);
    }
}

fn has_own_section(key: &Key) -> bool {
    matches!(key.kind, Kind::Table(_) | Kind::Tables(_))
}

/// Doc lines as paragraphs of Markdown.
fn paragraphs(doc: &[&str]) -> String {
    let lines: Vec<&str> = doc.iter().map(|line| line.trim()).collect();
    lines.join("\n")
}

fn comment(file: &mut String, doc: &[&str]) {
    for line in doc.iter().map(|line| line.trim()).filter(|line| !line.is_empty()) {
        let _ = writeln!(file, "# {line}");
    }
}

/// Kind, range and whether it must be given, in words.
fn facts(key: &Key) -> String {
    let mut facts = words(key.kind);
    if let Some((low, high)) = key.range {
        let _ = write!(facts, ", {} to {}", low.trim_matches('"'), high.trim_matches('"'));
    }
    if key.required {
        facts.push_str(", required");
    } else if key.default.is_none() {
        facts.push_str(", optional");
    }
    facts
}

fn words(kind: Kind) -> String {
    match kind {
        Kind::Toggle => "true or false".to_owned(),
        Kind::Integer => "a whole number".to_owned(),
        Kind::Number => "a number".to_owned(),
        Kind::Text { what, .. } => what.to_owned(),
        Kind::OneOf(names) => format!("one of {}", names.join(", ")),
        Kind::OrOff(inner) => format!("{}, or \"off\"", words(*inner)),
        Kind::List(inner) => format!("a list: {}", words(*inner)),
        Kind::Secret => "a secret".to_owned(),
        Kind::Table(_) | Kind::Tables(_) | Kind::Free => "a table".to_owned(),
    }
}

/// How a secret is shown: an absolute path is a file, anything else a variable.
fn secret_ending(example: &str) -> &'static str {
    if example.starts_with("\"/") { SECRET_ENDINGS[0] } else { SECRET_ENDINGS[1] }
}

fn table_schema(section: &Section) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for key in section.keys {
        let description = format!("{}\n({})", paragraphs(key.doc), facts(key));
        for name in key.names() {
            let mut property = kind_schema(key.kind);
            if let Value::Object(map) = &mut property {
                map.insert("description".into(), description.clone().into());
                if let Some(default) = key.default.and_then(value) {
                    map.insert("default".into(), default);
                }
                if let Some((low, high)) = key.range {
                    bound(map, "minimum", low);
                    bound(map, "maximum", high);
                }
            }
            properties.insert(name, property);
        }
        if key.required && !matches!(key.kind, Kind::Secret) {
            required.push(key.name);
        }
    }
    json!({
        "type": "object",
        "description": paragraphs(section.doc),
        "additionalProperties": false,
        "properties": properties,
        "required": required,
    })
}

fn kind_schema(kind: Kind) -> Value {
    match kind {
        Kind::Toggle => json!({"type": "boolean"}),
        Kind::Integer => json!({"type": "integer"}),
        Kind::Number => json!({"type": "number"}),
        Kind::Text { pattern: "", .. } | Kind::Secret => json!({"type": "string"}),
        Kind::Text { pattern, .. } => json!({"type": "string", "pattern": pattern}),
        Kind::OneOf(names) => json!({"enum": names}),
        Kind::OrOff(inner) => json!({"anyOf": [{"const": "off"}, kind_schema(*inner)]}),
        Kind::List(inner) => {
            let item = kind_schema(*inner);
            json!({"anyOf": [{"type": "array", "items": item.clone()}, item]})
        }
        Kind::Table(section) => table_schema(section),
        Kind::Tables(section) => json!({"type": "array", "items": table_schema(section)}),
        Kind::Free => json!({"type": "object"}),
    }
}

/// Numbers bound numbers; the bounds of durations and sizes are told in the description.
fn bound(map: &mut Map<String, Value>, name: &str, text: &str) {
    let numeric = map.get("type").is_some_and(|kind| kind == "integer" || kind == "number");
    if let Some(number) = value(text).filter(|value| numeric && value.is_number()) {
        map.insert(name.to_owned(), number);
    }
}

/// A literal of a declaration as JSON; the two syntaxes agree on what declarations use, but for
/// underscores in numbers.
fn value(text: &str) -> Option<Value> {
    if text.starts_with(['"', '[']) {
        return serde_json::from_str(text).ok();
    }
    serde_json::from_str(&text.replace('_', "")).ok()
}

#[cfg(test)]
mod tests {
    use super::super::{LoadOptions, Place, Problem};
    use super::*;
    use std::path::Path;

    fn load(text: &str) -> Result<super::super::Loaded, super::super::ConfigErrors> {
        Config::parse(Path::new("d.toml"), text, &LoadOptions::default(), None)
    }

    #[test]
    fn the_default_file_is_the_default_configuration() {
        let loaded = load(&default_file()).unwrap();
        assert_eq!(loaded.warnings, Vec::<Problem>::new());
        assert_eq!(loaded.config, load("").unwrap().config);
    }

    #[test]
    fn uncommented_the_default_file_has_only_known_keys_in_the_right_form() {
        let text: String = default_file()
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(rest) if !rest.starts_with(' ') => format!("{rest}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let found = load(&text).unwrap_err().problems;
        let known = ["is not a file", "No such file", "is not set", "not available", "has both"];
        let odd: Vec<_> = found
            .iter()
            .filter(|problem| known.iter().all(|known| !problem.message.contains(known)))
            .collect();
        assert!(odd.is_empty(), "{odd:#?}");
        assert!(found.iter().all(|problem| matches!(problem.place, Place::Line(..))), "{found:#?}");
    }

    #[test]
    fn every_option_is_on_the_page_and_in_the_schema() {
        let (page, schema) = (page(), schema());
        let schema: Value = serde_json::from_str(&schema).unwrap();
        for (path, section, _) in sections() {
            assert!(page.contains(&format!("[{path}]")), "{path}");
            for key in section.keys.iter().filter(|key| !has_own_section(key)) {
                assert!(page.contains(&format!("**`{}`**", key.name)), "{path}.{}", key.name);
            }
        }
        let ports = &schema["properties"]["rtp"]["properties"]["ports"];
        assert_eq!(ports["default"], "20000-29999");
        let workers = &schema["properties"]["rtp"]["properties"]["workers"];
        assert_eq!((&workers["minimum"], &workers["maximum"]), (&json!(0), &json!(256)));
        let trunk = &schema["properties"]["trunk"]["items"]["properties"];
        assert!(trunk["password_env"].is_object() && trunk["password"].is_object());
        assert_eq!(schema["properties"]["limits"]["properties"]["max_calls"]["default"], 1000);
    }
}
