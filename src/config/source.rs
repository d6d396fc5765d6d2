//! The door to `toml`: text becomes a tree of values with the line of every key.
//!
//! Owns syntax errors and positions. Does not know any option.

use super::report::{Place, Problem};
use super::tree::{Node, Table, Tree};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The line of every key of a file.
#[derive(Debug, Clone, Default)]
pub struct Lines {
    file: PathBuf,
    lines: BTreeMap<String, usize>,
}

impl Lines {
    /// The place of `path`, or of the nearest table around it that was written.
    #[must_use]
    pub fn place(&self, path: &str) -> Place {
        let mut path = path;
        loop {
            if let Some(line) = self.lines.get(path) {
                return Place::Line(self.file.clone(), *line);
            }
            match path.rfind(['.', '[']) {
                Some(cut) => path = &path[..cut],
                None => break,
            }
        }
        if self.file.as_os_str().is_empty() {
            Place::Default
        } else {
            Place::File(self.file.clone())
        }
    }

    /// Whether the file has this very key.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        self.lines.contains_key(path)
    }
}

/// A file as a tree.
#[derive(Debug)]
pub struct Parsed {
    /// The values; what could be understood when there are syntax errors.
    pub root: Table,
    /// Where the keys are.
    pub lines: Lines,
    /// The syntax errors.
    pub problems: Vec<Problem>,
}

/// Parses the text of `file`; goes on behind a syntax error as well as it can.
///
/// Cost: linear in the text; nesting is bounded by the TOML parser.
#[must_use]
pub fn parse(file: &Path, text: &str) -> Parsed {
    let starts: Vec<usize> =
        std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut walk =
        Walk { starts, file: file.to_owned(), lines: BTreeMap::new(), problems: Vec::new() };
    for error in errors {
        let line = walk.line(error.span().map_or(0, |span| span.start));
        walk.problem(line, "", format!("not valid TOML: {}", error.message()));
    }
    let root = walk.table(document.get_ref(), "");
    let Walk { lines, mut problems, .. } = walk;
    problems.dedup();
    Parsed { root, lines: Lines { file: file.to_owned(), lines }, problems }
}

/// One value of a declaration, such as `"20ms"` or `["PCMU", "PCMA"]`.
///
/// # Errors
/// The parser's words; a test reads every declaration.
pub fn literal(text: &str) -> Result<Node, String> {
    let value = DeValue::parse(text).map_err(|error| error.message().to_owned())?;
    let mut walk = Walk {
        starts: vec![0],
        file: PathBuf::new(),
        lines: BTreeMap::new(),
        problems: Vec::new(),
    };
    walk.node(&value, "").ok_or_else(|| format!("{text} cannot be understood"))
}

struct Walk {
    /// Offset of the first byte of each line.
    starts: Vec<usize>,
    file: PathBuf,
    lines: BTreeMap<String, usize>,
    problems: Vec<Problem>,
}

impl Walk {
    /// The line of a byte offset, counted from 1.
    fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset)
    }

    fn problem(&mut self, line: usize, path: &str, message: String) {
        let place = Place::Line(self.file.clone(), line);
        self.problems.push(Problem { place, path: path.to_owned(), message });
    }

    fn table(&mut self, table: &DeTable<'_>, path: &str) -> Table {
        let mut keys = Table::new();
        for (key, value) in table {
            let name = key.get_ref();
            let path = if path.is_empty() { name.to_string() } else { format!("{path}.{name}") };
            let line = self.line(key.span().start);
            self.lines.insert(path.clone(), line);
            keys.extend(self.node(value, &path).map(|node| (name.to_string(), node)));
        }
        keys
    }

    fn node(&mut self, value: &Spanned<DeValue<'_>>, path: &str) -> Option<Node> {
        let tree = match value.get_ref() {
            DeValue::String(text) => Tree::Text(text.to_string()),
            DeValue::Boolean(toggle) => Tree::Toggle(*toggle),
            DeValue::Datetime(datetime) => Tree::Text(datetime.to_string()),
            DeValue::Integer(number) => {
                let Ok(number) = i64::from_str_radix(number.as_str(), number.radix()) else {
                    let line = self.line(value.span().start);
                    self.problem(line, path, "is too large a number".to_owned());
                    return None;
                };
                Tree::Integer(number)
            }
            DeValue::Float(number) => Tree::Number(number.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Array(items) => {
                let mut nodes = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    let line = self.line(item.span().start);
                    self.lines.insert(path.clone(), line);
                    nodes.extend(self.node(item, &path));
                }
                Tree::List(nodes)
            }
            DeValue::Table(table) => Tree::Table(self.table(table, path)),
        };
        Some(Node::new(tree))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
[rtp]
ports = \"20000-29999\"
workers = 0x10

[[trunk]]
name = \"a\"
[[trunk]]
name = \"b\"
allow = [
  \"+1\",
  \"+44\",
]
";

    #[test]
    fn every_key_has_its_line() {
        let parsed = parse(Path::new("b.toml"), TEXT);
        assert_eq!(parsed.problems, []);
        for (path, line) in [
            ("rtp", 1),
            ("rtp.ports", 2),
            ("rtp.workers", 3),
            ("trunk[0]", 5),
            ("trunk[1]", 7),
            ("trunk[1].name", 8),
            ("trunk[1].allow[1]", 11),
            ("trunk[1].missing", 7),
        ] {
            assert_eq!(parsed.lines.place(path), Place::Line("b.toml".into(), line), "{path}");
        }
        assert_eq!(parsed.lines.place("nothing"), Place::File("b.toml".into()));
        let Some(Tree::Table(rtp)) = parsed.root.get("rtp").map(|node| &node.value) else {
            panic!("no [rtp]");
        };
        assert_eq!(rtp["workers"].value, Tree::Integer(16));
    }

    #[test]
    fn syntax_errors_are_all_reported_with_their_lines() {
        let text = "[rtp]\nports = \n\nworkers = 99999999999999999999\nptime = 20 ms\n";
        let parsed = parse(Path::new("b.toml"), text);
        for line in [2, 4, 5] {
            let place = Place::Line("b.toml".into(), line);
            let found = parsed.problems.iter().any(|problem| problem.place == place);
            assert!(found, "line {line}: {:?}", parsed.problems);
        }
    }

    #[test]
    fn literals_of_declarations() {
        assert_eq!(literal("-20").unwrap().value, Tree::Integer(-20));
        assert_eq!(literal("0.75").unwrap().value, Tree::Number(0.75));
        assert_eq!(literal("\"20ms\"").unwrap().value, Tree::Text("20ms".into()));
        assert!(literal("").is_err() && literal("[").is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_answered(text in "[ -~\n]{0,200}") {
            let _ = parse(Path::new("b.toml"), &text);
        }
    }
}
