//! What chat models write and nobody says: markdown and emoji.
//!
//! Marks go, words stay: emphasis, headings, list marks, fences, rules, tables, links (their text
//! stays, their address goes).

use super::scan::{letter, rewrite};
use crate::speech::tts::map::{Map, Rewriter};

/// How far the end of an emphasis or a link is looked for.
const AHEAD_MAX: usize = 200;

/// Takes the marks off.
pub(super) fn strip(text: &str) -> (String, Map) {
    let mut out = Rewriter::new(text);
    let mut at = 0;
    let mut fresh = true;
    let mut shut: Vec<(usize, usize)> = Vec::new();
    while at < text.len() {
        let rest = text.get(at..).unwrap_or_default();
        if fresh {
            let mark = line_mark(rest);
            if mark > 0 {
                drop_to(&mut out, at, at + mark, "");
                at += mark;
                fresh = at < text.len() && text.as_bytes().get(at - 1) == Some(&b'\n');
                continue;
            }
        }
        let Some(c) = rest.chars().next() else { break };
        fresh = c == '\n';
        shut.retain(|(end, _)| *end >= at);
        if let Some(place) = shut.iter().position(|(end, _)| *end == at) {
            let (_, length) = shut.swap_remove(place);
            drop_to(&mut out, at, at + length, "");
            at += length;
            continue;
        }
        let before = text.get(..at).and_then(|head| head.chars().next_back());
        if let Some((open, close, length)) = inline(rest, before) {
            drop_to(&mut out, at, at + open, "");
            shut.push((at + close, length));
            at += open;
            continue;
        }
        if c == '|' {
            drop_to(&mut out, at, at + 1, if ends_line(rest.get(1..)) { "" } else { "," });
        }
        at += c.len_utf8();
    }
    out.finish()
}

fn drop_to(out: &mut Rewriter<'_>, from: usize, to: usize, with: &str) {
    out.copy_to(from);
    out.replace_to(to, with);
}

fn ends_line(rest: Option<&str>) -> bool {
    rest.is_none_or(|rest| {
        rest.trim_start_matches([' ', '\r']).starts_with('\n') || rest.trim().is_empty()
    })
}

/// How much of a line's front is no word: marks of headings, lists, quotes, or all of a rule.
fn line_mark(line: &str) -> usize {
    let blank = line.len() - line.trim_start_matches([' ', '\t']).len();
    let body = line.get(blank..).unwrap_or_default();
    let end = body.find('\n').map_or(body.len(), |end| end + 1);
    let whole = body.get(..end).unwrap_or_default();
    let words = whole.trim();
    let rule = |marks: &str| words.len() >= 3 && words.chars().all(|c| marks.contains(c));
    // A fence, with the name of its language; what holds its own end is code within a line
    // (CommonMark §4.5).
    let fence = words.strip_prefix("```").is_some_and(|name| !name.contains('`'));
    if fence || words.starts_with("~~~") {
        return blank + end;
    }
    if rule("-: |") && words.contains("--") || rule("* ") || rule("=") || rule("_ ") {
        return blank + end;
    }
    let hashes = body.bytes().take_while(|byte| *byte == b'#').count();
    if (1..=6).contains(&hashes) && letter(body, hashes) == Some(' ') {
        return blank + hashes + 1;
    }
    let quote = body.starts_with("> ").then_some(2);
    let bullet =
        ["- [ ] ", "- [x] ", "- ", "* ", "+ ", "• "].iter().find(|mark| body.starts_with(**mark));
    let table = body.starts_with('|').then_some(1);
    let mark = quote.or(bullet.map(|mark| mark.len())).or(table);
    mark.map_or(0, |mark| blank + mark)
}

/// An inline mark at the front: its length, where its end is, and how long that is.
fn inline(rest: &str, before: Option<char>) -> Option<(usize, usize, usize)> {
    let link = if rest.starts_with("![") { 2 } else { usize::from(rest.starts_with('[')) };
    if link > 0 {
        let near = ahead(rest);
        let middle = near.find("](")?;
        let end = near.get(middle..)?.find(')')? + 1;
        let text = near.get(link..middle)?;
        return (!text.contains(['[', '\n'])).then_some((link, middle, end));
    }
    let mark = ["***", "**", "__", "~~", "```", "``", "*", "_", "`"]
        .into_iter()
        .find(|mark| rest.starts_with(mark))?;
    let opens = !before.is_some_and(char::is_alphanumeric);
    let inside = rest.get(mark.len()..)?;
    let near = ahead(inside);
    if !opens || near.starts_with(char::is_whitespace) {
        return None;
    }
    for (end, _) in near.match_indices(mark) {
        let last = near.get(..end)?.chars().next_back()?;
        let after = letter(near, end + mark.len());
        let single = !mark.ends_with(after.unwrap_or(' '));
        let closes = !last.is_whitespace() && !after.is_some_and(char::is_alphanumeric);
        if closes && single {
            return Some((mark.len(), mark.len() + end, mark.len()));
        }
    }
    None
}

/// The rest of the line, up to a bound.
fn ahead(text: &str) -> &str {
    let line = text.find('\n').unwrap_or(text.len()).min(AHEAD_MAX);
    let end = (0..=line).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

/// Takes out pictures, which engines spell or stumble over.
pub(super) fn drop_emoji(text: &str) -> (String, Map) {
    rewrite(text, |rest, before| {
        let run: usize = rest.chars().take_while(|c| is_emoji(*c)).map(char::len_utf8).sum();
        let joins = |c: Option<char>| c.is_some_and(|c| !c.is_whitespace());
        let between = joins(before) && letter(rest, run).is_some_and(char::is_alphanumeric);
        (run > 0).then(|| (run, if between { " ".to_owned() } else { String::new() }))
    })
}

fn is_emoji(c: char) -> bool {
    matches!(c,
        '\u{1f000}'..='\u{1faff}' | '\u{2600}'..='\u{27bf}' | '\u{2b00}'..='\u{2bff}'
        | '\u{2300}'..='\u{23ff}' | '\u{e0020}'..='\u{e007f}'
        | '\u{fe0e}' | '\u{fe0f}' | '\u{200d}' | '\u{20e3}')
}
