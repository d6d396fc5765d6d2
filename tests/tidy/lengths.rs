//! Nothing is longer than it can be read: functions of 70 lines, files of 800 without their tests.

use crate::source::Source;

/// Lines of code in a function, without blank ones and comments: what clippy counts, too.
const FUNCTION_LINES_MAX: usize = 70;
/// Lines in a file, its tests left out.
const FILE_LINES_MAX: usize = 800;
/// Lines in `main.rs`.
const MAIN_LINES_MAX: usize = 60;

/// What is too long in a file.
pub(crate) fn findings(source: &Source) -> Vec<String> {
    let mut findings: Vec<String> = functions(source)
        .into_iter()
        .filter(|(_, _, lines, excused)| *lines > FUNCTION_LINES_MAX && !excused)
        .map(|(offset, name, lines, _)| {
            format!("{}: {name} has {lines} lines of code", source.place(offset))
        })
        .collect();
    let limit = if source.path == "src/main.rs" { MAIN_LINES_MAX } else { FILE_LINES_MAX };
    let lines = product_lines(source);
    if lines > limit {
        findings.push(format!("{}: {lines} lines without tests, limit {limit}", source.path));
    }
    findings
}

/// The lines of a file but for its tests: blanked lines that were code do not count.
fn product_lines(source: &Source) -> usize {
    let pairs = source.code.lines().zip(source.product.lines());
    pairs.filter(|(code, product)| code.trim().is_empty() || !product.trim().is_empty()).count()
}

/// Every function: its place, name, lines of code, and whether its length is expected.
fn functions(source: &Source) -> Vec<(usize, String, usize, bool)> {
    let code = &source.code;
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (offset, _) in code.match_indices("fn ") {
        let (before, behind) = (&code[..offset], &code[offset + 3..]);
        let name: String = behind.chars().take_while(|c| word(*c)).collect();
        if before.ends_with(word) || name.is_empty() {
            continue;
        }
        let Some(open) = body(behind) else { continue };
        let inside = &behind[open..];
        let end = closing(inside);
        let lines = inside[..end].lines().filter(|line| !line.trim().is_empty()).count();
        found.push((offset, name, lines, excused(before)));
    }
    found
}

/// Whether the attributes right before a function expect it to be long.
fn excused(before: &str) -> bool {
    let start = before.rfind(['}', ';']).map_or(0, |at| at + 1);
    before[start..].contains("expect(clippy::too_many_lines")
}

/// The offset of the body's brace; `None`: a declaration without body.
fn body(code: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (offset, letter) in code.char_indices() {
        match letter {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            '{' if depth == 0 => return Some(offset),
            ';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// The offset behind the brace that closes the one at the start.
fn closing(code: &str) -> usize {
    let mut depth = 0_usize;
    for (offset, letter) in code.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return offset + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

#[cfg(test)]
fn found(text: &str) -> Vec<String> {
    findings(&Source::new("src/a.rs", text))
}

#[test]
fn long_functions_are_found() {
    let body = |lines: usize| "    x();\n    // why\n\n".repeat(lines);
    assert_eq!(found(&format!("fn short() {{\n{}}}\n", body(68))), Vec::<String>::new());
    let long = found(&format!("mod m {{\n  fn long(a: [u8; 2]) -> u8 {{\n{}}}\n}}\n", body(69)));
    assert_eq!(long, ["src/a.rs:2: long has 71 lines of code"]);
    let attribute = "#[expect(clippy::too_many_lines, reason = \"a table\")]";
    assert!(found(&format!("{attribute}\nfn long() {{\n{}}}\n", body(90))).is_empty());
    assert!(found("trait T { fn f(&self); }").is_empty());
    assert!(found(&format!("let s = \"fn x() {{\n{}\";", body(90))).is_empty());
}

#[test]
fn long_files_are_found_and_tests_do_not_count() {
    let line = "const A: u8 = 1;\n";
    assert!(found(&line.repeat(800)).is_empty());
    assert_eq!(found(&line.repeat(801)).len(), 1);
    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", line.repeat(500));
    assert!(found(&(line.repeat(790) + &tests)).is_empty());
    assert_eq!(findings(&Source::new("src/main.rs", &line.repeat(61))).len(), 1);
}
