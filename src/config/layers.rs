//! The door to `config`: file, environment and command line laid over each other.
//!
//! ```text
//!  defaults (declarations) < file < BELLWIRE__SECTION__KEY < --set section.key=value
//! ```
//!
//! Owns how a variable or a `--set` names an option. Values from there stay text: the type that
//! reads them knows what they mean, so that a number of digits stays a phone number.

use super::declare::{Kind, Section};
use super::reader::{Variables, unknown_key};
use super::report::{Place, Problem};
use super::tree::{Node, Table, Tree};
use ::config::{Config, ConfigError, Map, Source, Value, ValueKind};
use std::sync::Arc;

/// What every variable of ours begins with.
pub const PREFIX: &str = "BELLWIRE__";

/// Lays the environment and the `--set` arguments over the file.
///
/// What cannot be laid over is reported and left out.
#[must_use]
pub fn merge(
    file: Table,
    variables: &Variables,
    sets: &[String],
    root: &'static Section,
    problems: &mut Vec<Problem>,
) -> Table {
    let mut builder = Config::builder();
    let mut overlay = Overlay { file: &file, root, problems };
    let layers = [overlay.environment(variables), overlay.command_line(sets)];
    // `config` reads dots and brackets in a name as a path; no key of ours has them.
    let plain = |key: &String| key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    builder = builder.add_source(Layer(
        file.iter().filter(|(key, _)| plain(key)).map(|(key, node)| to_entry(key, node)).collect(),
    ));
    for layer in layers {
        builder = builder.add_source(layer);
    }
    match builder.build() {
        Ok(merged) => {
            let merged = from_value(merged.cache).and_then(|node| match node.value {
                Tree::Table(table) => Some(table),
                _ => None,
            });
            let odd = file.iter().filter(|(key, _)| !plain(key));
            let odd = odd.map(|(key, node)| (key.clone(), node.clone()));
            merged.unwrap_or_default().into_iter().chain(odd).collect()
        }
        Err(error) => {
            let message = error.to_string();
            problems.push(Problem { place: Place::Default, path: String::new(), message });
            file
        }
    }
}

/// One layer: values by the path of their option.
#[derive(Debug, Clone)]
struct Layer(Vec<(String, Value)>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.iter().cloned().collect())
    }
}

struct Overlay<'a> {
    file: &'a Table,
    root: &'static Section,
    problems: &'a mut Vec<Problem>,
}

impl Overlay<'_> {
    fn environment(&mut self, variables: &Variables) -> Layer {
        let mut values = Vec::new();
        for (name, text) in variables {
            let Some(path) = name.strip_prefix(PREFIX) else { continue };
            let source: Arc<str> = format!("environment variable {name}").into();
            let steps: Vec<String> = path.split("__").map(str::to_lowercase).collect();
            values.extend(self.value(&steps, text, &source));
        }
        Layer(values)
    }

    fn command_line(&mut self, sets: &[String]) -> Layer {
        let mut values = Vec::new();
        for set in sets {
            let Some((path, text)) = set.split_once('=') else {
                let source: Arc<str> = format!("--set {set}").into();
                self.refuse(&source, "", "is written --set section.key=value".to_owned());
                continue;
            };
            let source: Arc<str> = format!("--set {path}").into();
            let path = path.trim().replace('[', ".").replace(']', "");
            let steps: Vec<String> = path.split('.').map(str::to_owned).collect();
            values.extend(self.value(&steps, text, &source));
        }
        Layer(values)
    }

    fn value(
        &mut self,
        steps: &[String],
        text: &str,
        source: &Arc<str>,
    ) -> Option<(String, Value)> {
        match locate(steps, self.file, self.root) {
            Ok(path) => Some((path, Value::new(Some(&source.to_string()), text))),
            Err((path, message)) => {
                self.refuse(source, &path, message);
                None
            }
        }
    }

    fn refuse(&mut self, source: &Arc<str>, path: &str, message: String) {
        let place = Place::Outside(Arc::clone(source));
        self.problems.push(Problem { place, path: path.to_owned(), message });
    }
}

/// Finds the option that `steps` name: `trunk.carrier.username` and `trunk.0.username` both give
/// `trunk[0].username`.
fn locate(
    steps: &[String],
    file: &Table,
    root: &'static Section,
) -> Result<String, (String, String)> {
    let (mut path, mut section, mut here) = (String::new(), root, Some(file));
    let mut steps = steps.iter();
    while let Some(step) = steps.next() {
        let before = path.clone();
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(step);
        let Some(key) = section.key(step) else {
            return Err((path, unknown_key(step, &section.names(), Some(root))));
        };
        let node = here.and_then(|table| table.get(step));
        match key.kind {
            Kind::Table(inner) => {
                section = inner;
                here = node.and_then(as_table);
            }
            Kind::Tables(inner) => {
                let elements = node.map_or(&[][..], as_tables);
                let Some(which) = steps.next() else { break };
                let index = element(elements, which).ok_or_else(|| {
                    (path.clone(), format!("there is no {step} called {which:?} in the file"))
                })?;
                path =
                    format!("{before}{}{step}[{index}]", if before.is_empty() { "" } else { "." });
                section = inner;
                here = elements.get(index).and_then(as_table);
            }
            Kind::Toggle
            | Kind::Integer
            | Kind::Number
            | Kind::Text { .. }
            | Kind::OneOf(_)
            | Kind::OrOff(_)
            | Kind::List(_)
            | Kind::Secret
            | Kind::Free => {
                return if steps.next().is_none() {
                    Ok(path)
                } else {
                    Err((path, "is one value and has no keys of its own".to_owned()))
                };
            }
        }
    }
    Err((path, "is a table; name one of its keys".to_owned()))
}

/// The index of the element that is called `which`, by number, name or id, regardless of case.
fn element(elements: &[Node], which: &str) -> Option<usize> {
    if let Ok(index) = which.parse::<usize>() {
        return (index < elements.len()).then_some(index);
    }
    elements.iter().position(|element| {
        ["name", "id"].iter().any(|key| {
            let name = as_table(element).and_then(|table| table.get(*key));
            name.and_then(|name| name.text().ok()).is_some_and(|name| {
                name.eq_ignore_ascii_case(which)
                    || name.replace('-', "_").eq_ignore_ascii_case(which)
            })
        })
    })
}

fn as_table(node: &Node) -> Option<&Table> {
    match &node.value {
        Tree::Table(table) => Some(table),
        _ => None,
    }
}

fn as_tables(node: &Node) -> &[Node] {
    match &node.value {
        Tree::List(items) => items,
        _ => &[],
    }
}

fn to_entry(key: &str, node: &Node) -> (String, Value) {
    (key.to_owned(), to_value(node))
}

fn to_value(node: &Node) -> Value {
    let kind = match &node.value {
        Tree::Toggle(toggle) => ValueKind::Boolean(*toggle),
        Tree::Integer(number) => ValueKind::I64(*number),
        Tree::Number(number) => ValueKind::Float(*number),
        Tree::Text(text) => ValueKind::String(text.clone()),
        Tree::List(items) => ValueKind::Array(items.iter().map(to_value).collect()),
        Tree::Table(table) => {
            ValueKind::Table(table.iter().map(|(key, node)| to_entry(key, node)).collect())
        }
    };
    Value::new(node.outside.as_ref().map(ToString::to_string).as_ref(), kind)
}

fn from_value(value: Value) -> Option<Node> {
    let outside = value.origin().map(Arc::from);
    let value = match value.kind {
        ValueKind::Nil => return None,
        ValueKind::Boolean(toggle) => Tree::Toggle(toggle),
        ValueKind::I64(number) => Tree::Integer(number),
        ValueKind::U64(number) => Tree::Integer(i64::try_from(number).ok()?),
        ValueKind::I128(number) => Tree::Integer(i64::try_from(number).ok()?),
        ValueKind::U128(number) => Tree::Integer(i64::try_from(number).ok()?),
        ValueKind::Float(number) => Tree::Number(number),
        ValueKind::String(text) => Tree::Text(text),
        ValueKind::Array(items) => Tree::List(items.into_iter().filter_map(from_value).collect()),
        ValueKind::Table(table) => Tree::Table(
            table.into_iter().filter_map(|(key, value)| Some((key, from_value(value)?))).collect(),
        ),
    };
    Some(Node { outside, value })
}
