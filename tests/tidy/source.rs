//! A Rust file as the rules see it: code with comments, strings and tests blanked out.
//!
//! Owns a small lexer that keeps every line where it is. Not a parser: it knows comments, string
//! and character literals, and matching braces.

use std::path::PathBuf;

/// The top of the tree.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file under version control, or in a plain copy every file.
pub(crate) fn tracked() -> Vec<String> {
    let git = std::process::Command::new("git").arg("ls-files").current_dir(root()).output();
    if let Ok(output) = git
        && output.status.success()
        && !output.stdout.is_empty()
    {
        return String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    }
    let mut found = Vec::new();
    walk(&root(), "", &mut found);
    found
}

fn walk(directory: &std::path::Path, prefix: &str, found: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        let skipped = name.starts_with('.') || name == "target" || path == "demo/out";
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && !skipped => {
                walk(&entry.path(), &format!("{path}/"), found);
            }
            Ok(kind) if kind.is_file() => found.push(path),
            Ok(_) | Err(_) => {}
        }
    }
}

/// One Rust file.
pub(crate) struct Source {
    /// Its path below the root, with `/`.
    pub(crate) path: String,
    /// Its text as it stands.
    pub(crate) text: String,
    /// The text with comments and literals blanked out.
    pub(crate) code: String,
    /// `code` with test modules blanked out as well.
    pub(crate) product: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let code = blank_literals(text);
        let product = blank_tests(&code);
        Self { path: path.to_owned(), text: text.to_owned(), code, product }
    }

    /// The modules that it declares for tests only, in files of their own.
    pub(crate) fn test_modules(&self) -> Vec<String> {
        let declared = self.code.match_indices("#[cfg(test)]").filter_map(|(at, mark)| {
            let rest = self.code[at + mark.len()..].trim_start();
            let rest = rest.strip_prefix("pub ").unwrap_or(rest);
            let rest = rest.strip_prefix("pub(crate) ").unwrap_or(rest);
            let rest = rest.strip_prefix("pub(super) ").unwrap_or(rest);
            let (name, _) = rest.strip_prefix("mod ")?.split_once(';')?;
            let name = name.trim();
            (!name.contains(['{', ' '])).then(|| format!("{}::{name}", self.module()))
        });
        declared.collect()
    }

    /// Turns the whole file into a test.
    pub(crate) fn make_test(&mut self) {
        self.product = blank(&self.code);
    }

    /// Whether nothing in it belongs to the product.
    pub(crate) fn is_test(&self) -> bool {
        self.product.trim().is_empty() && !self.code.trim().is_empty()
    }

    /// The module path: `src/sip/message/mod.rs` is `sip::message`.
    pub(crate) fn module(&self) -> String {
        let path = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let path = path.strip_suffix(".rs").unwrap_or(path);
        let path = path.strip_suffix("/mod").unwrap_or(path);
        path.replace('/', "::")
    }

    /// The file and line of a byte offset.
    pub(crate) fn place(&self, offset: usize) -> String {
        let line = self.code[..offset.min(self.code.len())].matches('\n').count() + 1;
        format!("{}:{line}", self.path)
    }
}

/// Blanks, line ends kept.
fn blank(text: &str) -> String {
    text.chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect()
}

/// Replaces comments and the insides of string and character literals by blanks, byte for byte.
pub(crate) fn blank_literals(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let length = literal(bytes, at);
        if length == 0 {
            code.push(if bytes[at].is_ascii() { bytes[at] } else { b'_' });
            at += 1;
        } else {
            let end = (at + length).min(bytes.len());
            code.extend(bytes[at..end].iter().map(|b| if *b == b'\n' { b'\n' } else { b' ' }));
            at = end;
        }
    }
    String::from_utf8(code).expect("only ASCII was written")
}

/// The length of the comment or literal that begins at `at`; 0: none does.
fn literal(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let before = at.checked_sub(1).map_or(b' ', |before| bytes[before]);
    let in_word = before.is_ascii_alphanumeric() || before == b'_';
    match rest {
        [b'/', b'/', ..] => rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => block_comment(rest),
        [b'"', ..] => quoted(rest, b'"'),
        [b'r', b'"' | b'#', ..] if !in_word => raw_string(&rest[1..]).map_or(0, |n| n + 1),
        [b'b', b'r', b'"' | b'#', ..] if !in_word => raw_string(&rest[2..]).map_or(0, |n| n + 2),
        [b'\'', b'\\', ..] => quoted(rest, b'\''),
        // A lifetime has no closing quote behind one character.
        [b'\'', first, ..] => {
            let width = match first {
                0..0x80 => 1,
                0x80..0xe0 => 2,
                0xe0..0xf0 => 3,
                _ => 4,
            };
            if rest.get(1 + width) == Some(&b'\'') { width + 2 } else { 0 }
        }
        _ => 0,
    }
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (at, depth) = (at + 2, depth + 1),
            [b'*', b'/', ..] => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b if b == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// The length of `#"…"#`; `None`: a raw identifier.
fn raw_string(rest: &[u8]) -> Option<usize> {
    let hashes = rest.iter().take_while(|b| **b == b'#').count();
    if rest.get(hashes) != Some(&b'"') {
        return None;
    }
    let close = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
    let body = &rest[hashes + 1..];
    let end = body.windows(close.len()).position(|window| window == close)?;
    Some(hashes + 1 + end + close.len())
}

/// Blanks every item behind `#[cfg(test)]`, in code without literals.
pub(crate) fn blank_tests(code: &str) -> String {
    let mut product = code.to_owned();
    let mut from = 0;
    while let Some(found) = product[from..].find("#[cfg(test)]") {
        let start = from + found;
        let end = item_end(&product, start);
        let blanks = blank(&product[start..end]);
        product.replace_range(start..end, &blanks);
        from = end;
    }
    product
}

/// The end of the item that begins at `start`: its closing brace, or its semicolon.
fn item_end(code: &str, start: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, letter) in code[start..].char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return start + offset + 1;
                }
            }
            ';' if depth == 0 => return start + offset + 1,
            _ => {}
        }
    }
    code.len()
}

#[test]
fn literals_and_comments_are_blanked_and_lines_stay() {
    let text = "let a = \"crate::x\"; // crate::y\nlet b = 'c'; /* /* crate::z */ */ b'\\'';\n\
                let r = r#\"crate::\"q\"#; fn f<'a>(x: &'a str) {}\n";
    let code = blank_literals(text);
    assert!(!code.contains("crate") && !code.contains('"'), "{code}");
    assert!(code.contains("fn f<'a>(x: &'a str) {}"), "{code}");
    assert_eq!(code.matches('\n').count(), text.matches('\n').count());
    assert_eq!(code.len(), text.len());
}

#[test]
fn tests_are_not_product() {
    let source = Source::new(
        "src/a/b.rs",
        "use crate::x;\n#[cfg(test)]\nmod tests { use crate::y; fn f() { g({}) } }\nuse crate::z;\n\
         #[cfg(test)]\nmod more;\nuse crate::w;",
    );
    for (word, there) in [("x", true), ("y", false), ("z", true), ("more", false), ("w", true)] {
        assert_eq!(source.product.contains(word), there, "{word}\n{}", source.product);
    }
    assert_eq!(source.module(), "a::b");
    assert_eq!(Source::new("src/a/mod.rs", "").module(), "a");
    assert_eq!(source.test_modules(), ["a::b::more"]);
}
