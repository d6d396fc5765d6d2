//! From a stream of tokens to sentences that can be spoken.
//!
//! ```text
//!  tokens ──> Plain: markdown loses its marks ──> buffer ──> sentences
//! ```
//!
//! The first piece is let go at a clause, so that the voice begins early; whole sentences follow.
//! Owns neither pronunciation nor the safety of engines: what is left of `<` and `&` is text, and
//! an engine's door treats it as such.

/// Characters of the first piece before it is let go at a clause or a sentence.
const FIRST_MIN: usize = 25;
/// Shorter sentences are joined with the next one.
const NEXT_MIN: usize = 20;
/// The longest piece; without a sentence's end by then it is cut at a clause or a word.
const PIECE_MAX: usize = 300;
/// A forced cut leaves no shorter piece than this.
const FORCED_MIN: usize = 100;
/// Characters of a link's label before it is taken for plain text in brackets.
const LABEL_MAX: usize = 200;
/// Characters of a link's target; what follows is text again.
const TARGET_MAX: usize = 500;

/// Words that end in a full stop without ending a sentence.
const ABBREVIATIONS: &[&str] = &[
    "dr", "mr", "mrs", "ms", "prof", "st", "jr", "sr", "vs", "e.g", "i.e", "z.b", "d.h", "u.a",
    "bzw", "ca", "approx", "dept", "sra", "srta", "sig", "hr", "fr", "mme", "mlle", "str", "ave",
    "mt", "gen", "rev", "hon", "inkl", "evtl", "ggf",
];
/// Words that are abbreviations only before a number.
const NUMBERED: &[&str] = &["no", "nr", "fig", "vol", "ext", "tel", "p", "pp", "art", "sec", "núm"];

/// Takes tokens, gives sentences.
#[derive(Debug, Default)]
pub struct Splitter {
    plain: Plain,
    buffer: String,
    started: bool,
}

impl Splitter {
    /// Takes the next piece of text; sentences that are complete go to `out`.
    pub fn push(&mut self, piece: &str, out: &mut Vec<String>) {
        for c in piece.chars() {
            self.plain.feed(c, &mut self.buffer);
            // Only these can complete a sentence; a run without any is cut by length.
            if c.is_whitespace() || is_wide_stop(c) || self.buffer.len() > PIECE_MAX {
                self.cut(out);
            }
        }
    }

    /// Nothing follows for now (a tool is called, or the answer is over): the rest is a sentence.
    pub fn flush(&mut self, out: &mut Vec<String>) {
        self.plain.finish(&mut self.buffer);
        self.cut(out);
        let rest = std::mem::take(&mut self.buffer);
        self.emit(&rest, out);
    }

    fn cut(&mut self, out: &mut Vec<String>) {
        loop {
            let trimmed = self.buffer.trim_start_matches([' ', '\t']);
            if trimmed.len() < self.buffer.len() {
                self.buffer = trimmed.to_owned();
            }
            let least = if self.started { NEXT_MIN } else { FIRST_MIN };
            let clause = || {
                (!self.started).then(|| clause_end(&self.buffer, FIRST_MIN, usize::MAX)).flatten()
            };
            let end = sentence_end(&self.buffer, least).or_else(clause);
            let limit = self.buffer.char_indices().nth(PIECE_MAX).map_or(usize::MAX, |(at, _)| at);
            let end = end.filter(|end| *end <= limit);
            let Some(end) = end.or_else(|| forced_end(&self.buffer)) else { return };
            let rest = self.buffer.split_off(end);
            let piece = std::mem::replace(&mut self.buffer, rest);
            self.emit(&piece, out);
        }
    }

    fn emit(&mut self, piece: &str, out: &mut Vec<String>) {
        if piece.chars().any(char::is_alphanumeric) {
            out.push(piece.split_whitespace().collect::<Vec<_>>().join(" "));
            self.started = true;
        }
    }
}

/// A text as it is spoken: without markdown and control characters, on one line.
#[must_use]
pub fn plain(text: &str) -> String {
    let (mut plain, mut out) = (Plain::default(), String::new());
    text.chars().for_each(|c| plain.feed(c, &mut out));
    plain.finish(&mut out);
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_wide_stop(c: char) -> bool {
    matches!(c, '。' | '！' | '？' | '｡')
}

fn is_stop(c: char) -> bool {
    matches!(c, '.' | '!' | '?' | '…' | '।' | '؟')
}

fn is_closer(c: char) -> bool {
    matches!(c, '"' | '\'' | ')' | ']' | '»' | '”' | '’' | '」' | '』' | '）')
}

/// The offset behind the first sentence of at least `least` characters, if it surely ends.
fn sentence_end(text: &str, least: usize) -> Option<usize> {
    let mut letters = text.char_indices().enumerate().peekable();
    while let Some((count, (at, c))) = letters.next() {
        if c == '\n' {
            if text.get(..at).is_some_and(|line| line.chars().any(char::is_alphanumeric)) {
                return Some(at + 1);
            }
            continue;
        }
        if !is_stop(c) && !is_wide_stop(c) {
            continue;
        }
        let mut end = at + c.len_utf8();
        while let Some((_, (at, c))) =
            letters.next_if(|(_, (_, c))| is_stop(*c) || is_wide_stop(*c) || is_closer(*c))
        {
            end = at + c.len_utf8();
        }
        let (Some(sentence), Some(behind)) = (text.get(..end), text.get(end..)) else { continue };
        let enough = if is_wide_stop(c) { least / 3 } else { least };
        if count + 1 >= enough && (is_wide_stop(c) || ends_there(sentence, at, behind)) {
            return Some(end);
        }
    }
    None
}

/// Whether a stop at `at` ends the sentence, by what stands before and behind it.
fn ends_there(sentence: &str, at: usize, behind: &str) -> bool {
    if !behind.starts_with(char::is_whitespace) {
        return false;
    }
    let (Some(before), Some(stops)) = (sentence.get(..at), sentence.get(at..)) else {
        return false;
    };
    let next = behind.trim_start().chars().next();
    if stops.starts_with('…') || stops.starts_with("..") {
        // A pause in the thought, or its end: the next letter tells.
        return next.is_some_and(|c| !c.is_lowercase());
    }
    if !stops.starts_with('.') {
        return true;
    }
    let word = before.rsplit(|c: char| c.is_whitespace() || c == '(').next().unwrap_or_default();
    let word = word.to_lowercase();
    let numbered = NUMBERED.contains(&word.as_str());
    let initial = word.chars().count() == 1 && word.chars().all(char::is_alphabetic);
    let list = before.chars().all(|c| c.is_ascii_digit());
    let known = ABBREVIATIONS.contains(&word.as_str()) || initial || list;
    let goes_on = next.is_some_and(char::is_lowercase);
    let counts = numbered && next.is_none_or(|c| c.is_ascii_digit());
    !(known || goes_on || counts)
}

/// The offset behind the last (`most` bounded) or first clause of at least `least` characters.
fn clause_end(text: &str, least: usize, most: usize) -> Option<usize> {
    let mut letters = text.char_indices().enumerate().peekable();
    let mut found = None;
    while let Some((count, (at, c))) = letters.next() {
        if count >= most {
            break;
        }
        let wide = matches!(c, '，' | '、' | '；');
        let narrow = matches!(c, ',' | ';' | ':' | '—' | '–');
        let spaced = letters.peek().is_some_and(|(_, (_, next))| next.is_whitespace());
        if count + 1 >= least && (wide || (narrow && spaced)) {
            found = Some(at + c.len_utf8());
            if most == usize::MAX {
                break;
            }
        }
    }
    found
}

/// Where a text that grew too long is cut.
fn forced_end(text: &str) -> Option<usize> {
    let (limit, _) = text.char_indices().nth(PIECE_MAX)?;
    let word = || {
        let blank = text.get(..limit)?.rfind(char::is_whitespace)?;
        (text.get(..blank)?.chars().count() >= FORCED_MIN).then_some(blank + 1)
    };
    let word = || word().filter(|end| text.is_char_boundary(*end));
    clause_end(text, FORCED_MIN, PIECE_MAX).or_else(word).or(Some(limit))
}

/// Takes the marks of markdown away, letter by letter, so that borders between tokens do not
/// matter. Emphasis, code marks, headings, bullets, quotes, rules and the targets of links go;
/// `snake_case`, `3 * 4` and `[brackets]` stay.
#[derive(Debug)]
struct Plain {
    state: Reading,
    before: Option<char>,
}

#[derive(Debug)]
enum Reading {
    /// At the start of a line; what was read consists of marks and blanks only.
    Head(String),
    Text,
    /// A run of one mark, whose meaning the next letter tells.
    Marks(char, usize),
    Bang,
    Escape,
    /// `[label`
    Label(String),
    /// `[label]`
    Labelled(String),
    /// `[label](target`
    Target(String, usize),
    /// The rest of the line that opens or closes a block of code.
    Fence,
}

impl Default for Plain {
    fn default() -> Self {
        Self { state: Reading::Head(String::new()), before: None }
    }
}

impl Plain {
    fn feed(&mut self, c: char, out: &mut String) {
        let c = if c.is_control() && c != '\n' { ' ' } else { c };
        match std::mem::replace(&mut self.state, Reading::Text) {
            Reading::Head(marks) => self.head(marks, c, out),
            Reading::Text => self.text(c, out),
            Reading::Marks(mark, count) if c == mark => {
                self.state = Reading::Marks(mark, count.saturating_add(1).min(8));
            }
            Reading::Marks(mark, count) => {
                self.marks(mark, count, Some(c), out);
                self.text(c, out);
            }
            Reading::Bang => {
                if c != '[' {
                    self.emit('!', out);
                }
                self.text(c, out);
            }
            Reading::Escape => {
                if !c.is_ascii_punctuation() {
                    self.emit('\\', out);
                }
                self.emit(c, out);
            }
            Reading::Label(label) => self.label(label, c, out),
            Reading::Labelled(label) if c == '(' => self.state = Reading::Target(label, 0),
            Reading::Labelled(label) => {
                self.emit_all(&format!("[{label}]"), out);
                self.text(c, out);
            }
            Reading::Target(label, seen) => match c {
                ')' => self.emit_all(&label, out),
                '\n' => {
                    self.emit_all(&label, out);
                    self.text(c, out);
                }
                _ if seen >= TARGET_MAX => self.emit_all(&label, out),
                _ => self.state = Reading::Target(label, seen + 1),
            },
            Reading::Fence if c == '\n' => self.state = Reading::Head(String::new()),
            Reading::Fence => self.state = Reading::Fence,
        }
    }

    fn finish(&mut self, out: &mut String) {
        match std::mem::replace(&mut self.state, Reading::Text) {
            Reading::Head(_) | Reading::Text | Reading::Fence => {}
            Reading::Marks(mark, count) => self.marks(mark, count, None, out),
            Reading::Bang => self.emit('!', out),
            Reading::Escape => self.emit('\\', out),
            Reading::Label(label) => self.emit_all(&format!("[{label}"), out),
            Reading::Labelled(label) => self.emit_all(&format!("[{label}]"), out),
            Reading::Target(label, _) => self.emit_all(&label, out),
        }
    }

    fn text(&mut self, c: char, out: &mut String) {
        match c {
            '\n' => {
                self.emit('\n', out);
                self.state = Reading::Head(String::new());
            }
            '*' | '_' | '~' | '`' => self.state = Reading::Marks(c, 1),
            '[' => self.state = Reading::Label(String::new()),
            '!' => self.state = Reading::Bang,
            '\\' => self.state = Reading::Escape,
            '|' => self.emit(' ', out),
            c => self.emit(c, out),
        }
    }

    fn head(&mut self, mut marks: String, c: char, out: &mut String) {
        if c == '\n' {
            // An empty line, or a rule.
            self.emit('\n', out);
            self.state = Reading::Head(String::new());
            return;
        }
        if "#>-+*|:`= ".contains(c) && marks.len() < 64 {
            marks.push(c);
            self.state = Reading::Head(marks);
            return;
        }
        let mut rest = marks.trim_start();
        if rest.starts_with("```") {
            self.state = Reading::Fence;
            return;
        }
        loop {
            let hashes = rest.trim_start_matches('#');
            let level = rest.len() - hashes.len();
            let heading = (1..=6).contains(&level).then(|| hashes.strip_prefix(' ')).flatten();
            let bullet = ["- ", "+ ", "* "].iter().find_map(|mark| rest.strip_prefix(mark));
            let quote = rest.strip_prefix('>');
            let Some(behind) = heading.or(bullet).or(quote) else { break };
            rest = behind.trim_start();
        }
        for mark in rest.chars() {
            self.feed_in_text(mark, out);
        }
        self.feed_in_text(c, out);
    }

    fn feed_in_text(&mut self, c: char, out: &mut String) {
        // The rest of a line's head begins in `Text` and never contains a line's end.
        self.feed(c, out);
    }

    fn marks(&mut self, mark: char, count: usize, next: Option<char>, out: &mut String) {
        let is = |c: Option<char>, test: fn(char) -> bool| c.is_some_and(test);
        let blank = |c: Option<char>| c.is_none_or(char::is_whitespace);
        let keep = match mark {
            '*' if count == 1 => {
                (blank(self.before) && blank(next))
                    || (is(self.before, char::is_numeric) && is(next, char::is_numeric))
            }
            '_' => is(self.before, char::is_alphanumeric) && is(next, char::is_alphanumeric),
            '~' => count == 1,
            _ => false,
        };
        if keep {
            (0..count).for_each(|_| self.emit(mark, out));
        }
    }

    fn label(&mut self, mut label: String, c: char, out: &mut String) {
        match c {
            ']' => self.state = Reading::Labelled(label),
            '\n' => {
                self.emit_all(&format!("[{label}"), out);
                self.text(c, out);
            }
            c if label.len() >= LABEL_MAX => self.emit_all(&format!("[{label}{c}"), out),
            c => {
                label.push(c);
                self.state = Reading::Label(label);
            }
        }
    }

    fn emit(&mut self, c: char, out: &mut String) {
        out.push(c);
        self.before = Some(c);
    }

    /// The inside of brackets, without its emphasis.
    fn emit_all(&mut self, text: &str, out: &mut String) {
        text.chars().filter(|c| !matches!(c, '*' | '`')).for_each(|c| self.emit(c, out));
    }
}

#[cfg(test)]
mod tests;
