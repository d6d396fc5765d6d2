//! Reads a tree into typed sections and collects everything that is wrong on the way.
//!
//! Owns the path of the value at hand and the list of findings. Does not know any option.

use super::declare::{Key, Kind, Section, Setting};
use super::report::{Place, Problem, nearest};
use super::source::{self, Lines};
use super::tree::{Node, Table, Tree};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

/// The environment variables of the process, or of a test.
pub type Variables = BTreeMap<String, String>;

/// The state of reading one configuration.
#[derive(Debug)]
pub struct Reader<'a> {
    lines: Option<&'a Lines>,
    /// The environment, for secrets and directories.
    pub variables: Cow<'a, Variables>,
    outside: BTreeMap<String, Arc<str>>,
    root: Option<&'static Section>,
    path: String,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl<'a> Reader<'a> {
    /// A reader for a tree whose keys stand at `lines`; `root` helps with misplaced keys.
    #[must_use]
    pub fn new(root: &'static Section, lines: &'a Lines, variables: &'a Variables) -> Self {
        Self {
            lines: Some(lines),
            variables: Cow::Borrowed(variables),
            outside: BTreeMap::new(),
            root: Some(root),
            path: String::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// A reader for defaults, whose findings nobody hears.
    #[must_use]
    pub fn aside() -> Reader<'static> {
        Reader {
            lines: None,
            variables: Cow::Owned(Variables::new()),
            outside: BTreeMap::new(),
            root: None,
            path: String::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// The findings: errors, then warnings.
    #[must_use]
    pub fn finish(self) -> (Vec<Problem>, Vec<Problem>) {
        (self.problems, self.warnings)
    }

    /// Goes on at the key `name` of the table at hand.
    pub fn inside<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.path.len();
        if !self.path.is_empty() {
            self.path.push('.');
        }
        self.path.push_str(name);
        let value = read(self);
        self.path.truncate(before);
        value
    }

    /// Goes on at an element of the list at hand.
    pub fn inside_item<T>(&mut self, index: usize, read: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.path.len();
        let _ = write!(self.path, "[{index}]");
        let value = read(self);
        self.path.truncate(before);
        value
    }

    /// Remembers where the value at hand was written, if that was outside the file.
    pub fn visit(&mut self, node: &Node) {
        if let Some(source) = &node.outside {
            self.outside.insert(self.path.clone(), Arc::clone(source));
        }
    }

    /// Reports an error of the value at hand.
    pub fn error(&mut self, message: impl Into<String>) {
        let problem = self.problem(&self.path, message.into());
        self.problems.push(problem);
    }

    /// Reports an error of the value at `path`, unless one is known there: what stands in for an
    /// unreadable value is not worth a second error.
    pub fn error_at(&mut self, path: &str, message: impl Into<String>) {
        if self.problems.iter().all(|known| known.path != path) {
            let problem = self.problem(path, message.into());
            self.problems.push(problem);
        }
    }

    /// Reports something about the value at hand that deserves a look.
    pub fn warning(&mut self, message: impl Into<String>) {
        let problem = self.problem(&self.path, message.into());
        self.warnings.push(problem);
    }

    /// Reports something about the value at `path` that deserves a look.
    pub fn warning_at(&mut self, path: &str, message: impl Into<String>) {
        let problem = self.problem(path, message.into());
        self.warnings.push(problem);
    }

    /// Reports that a value must be given.
    pub fn missing(&mut self, key: &Key) {
        let example = key.example.map(|text| format!(", e.g. {} = {text}", key.name));
        self.error(format!("is missing{}", example.unwrap_or_default()));
    }

    /// Whether this very key was written anywhere.
    #[must_use]
    pub fn is_written(&self, path: &str) -> bool {
        self.outside.contains_key(path) || self.lines.is_some_and(|lines| lines.has(path))
    }

    /// Reads a value and holds it against its documented range.
    pub fn ranged<T: Setting>(&mut self, node: &Node, key: &Key) -> Option<T> {
        self.visit(node);
        let value = T::read(self, node)?;
        let Some((low_text, high_text)) = key.range else { return Some(value) };
        let (low, high): (T, T) = (of_literal(low_text)?, of_literal(high_text)?);
        if value.within(&low, &high) {
            return Some(value);
        }
        self.error(format!("{}is out of range: {low_text} to {high_text}", written(node)));
        None
    }

    /// The default of a key, or a stand-in when it has none.
    pub fn default_of<T: Setting>(&mut self, key: &Key) -> T {
        let Some(text) = key.default else { return T::absent(self) };
        let Ok(node) = source::literal(text) else { return T::stand_in() };
        let mut aside = Reader::aside();
        aside.variables = Cow::Owned(self.variables.as_ref().clone());
        T::read(&mut aside, &node).unwrap_or_else(T::stand_in)
    }

    /// The table in `node`, its keys checked against `section`.
    pub fn table<'n>(&mut self, node: &'n Node, section: &'static Section) -> Option<&'n Table> {
        match &node.value {
            Tree::Table(table) => {
                self.refuse_unknown(table, section);
                Some(table)
            }
            Tree::List(items) if items.iter().all(|item| matches!(item.value, Tree::Table(_))) => {
                self.error("is one table: write it in single brackets, once");
                None
            }
            Tree::Toggle(_)
            | Tree::Integer(_)
            | Tree::Number(_)
            | Tree::Text(_)
            | Tree::List(_) => {
                self.error(format!("wants a table, and this is {}", node.what()));
                None
            }
        }
    }

    /// The elements of a list; `tables` says that they are `[[…]]`.
    pub fn items<'n>(&mut self, node: &'n Node, tables: bool) -> Option<Cow<'n, [Node]>> {
        if let Tree::List(items) = &node.value {
            return Some(Cow::Borrowed(items));
        }
        if tables {
            self.error("may stand several times: write it in double brackets, [[…]]");
            return None;
        }
        if let Some(text) = node.outside_text() {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            let node = |item: &str| Node {
                outside: node.outside.clone(),
                value: Tree::Text(item.to_owned()),
            };
            return Some(Cow::Owned(items.map(node).collect()));
        }
        Some(Cow::Owned(vec![node.clone()]))
    }

    fn refuse_unknown(&mut self, table: &Table, section: &'static Section) {
        let names = section.names();
        for name in table.keys().filter(|name| !names.contains(name)) {
            let hint = unknown_key(name, &names, self.root);
            self.inside(name, |reader| reader.error(hint));
        }
    }

    fn problem(&self, path: &str, message: String) -> Problem {
        let outside = self.outside.get(path).map(|source| Place::Outside(Arc::clone(source)));
        let place =
            outside.unwrap_or_else(|| self.lines.map_or(Place::Default, |lines| lines.place(path)));
        Problem { place, path: path.to_owned(), message }
    }
}

/// Says that a key is unknown, and which one may be meant.
#[must_use]
pub fn unknown_key(name: &str, names: &[String], root: Option<&'static Section>) -> String {
    if let Some(near) = nearest(name, names) {
        return format!("unknown key; did you mean \"{near}\"?");
    }
    match root.and_then(|root| elsewhere(root, name, "")) {
        Some(path) => format!("unknown key; did you mean \"{path}\"?"),
        None => format!("unknown key; known here: {}", names.join(", ")),
    }
}

/// The path of a key called `name` in any section.
fn elsewhere(section: &'static Section, name: &str, path: &str) -> Option<String> {
    section.keys.iter().find_map(|key| {
        let here =
            if path.is_empty() { key.name.to_owned() } else { format!("{path}.{}", key.name) };
        if key.names().iter().any(|known| known == name) {
            return Some(if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") });
        }
        match key.kind {
            Kind::Table(inner) | Kind::Tables(inner) => elsewhere(inner, name, &here),
            Kind::Toggle
            | Kind::Integer
            | Kind::Number
            | Kind::Text { .. }
            | Kind::OneOf(_)
            | Kind::OrOff(_)
            | Kind::List(_)
            | Kind::Secret
            | Kind::Free => None,
        }
    })
}

/// Says that a word is none of the known ones, and which one may be meant.
#[must_use]
pub fn unknown_word(word: &str, words: &[&str]) -> String {
    let names: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let hint = nearest(word, &names).map(|near| format!("; did you mean {near:?}?"));
    let word: String = word.chars().take(40).collect();
    format!("{word:?} is not one of {}{}", names.join(", "), hint.unwrap_or_default())
}

/// The value of a literal of a declaration.
fn of_literal<T: Setting>(text: &str) -> Option<T> {
    T::read(&mut Reader::aside(), &source::literal(text).ok()?)
}

/// A short value as it was written, with a blank behind it.
fn written(node: &Node) -> String {
    match &node.value {
        Tree::Integer(number) => format!("{number} "),
        Tree::Number(number) => format!("{number} "),
        Tree::Text(text) if text.len() <= 40 => format!("{text:?} "),
        Tree::Toggle(_) | Tree::Text(_) | Tree::List(_) | Tree::Table(_) => String::new(),
    }
}
