//! Dates, times, telephone numbers, money, percentages, ordinals and plain numbers.
//!
//! Each kind is recognised where it begins and read as a whole; what looks like none of them (a
//! version, an address of a machine, half of a word) stays as it is.

use super::language::Language;
use super::measure;
use super::number::{apocope, cardinal, english_ordinal, english_year, german_ordinal};
use super::scan::{digits, ends_number, ends_word, letter, rewrite, small};
use crate::speech::tts::map::Map;

/// The longest number that is looked at.
const DIGITS_MAX: usize = 40;
/// Digits in a row without groups that are a code, not an amount.
const CODE_DIGITS: usize = 7;

/// Puts them into words.
pub(super) fn speak(text: &str, language: Language) -> (String, Map) {
    rewrite(text, |rest, before| recognise(rest, before, language))
}

type Found = Option<(usize, String)>;

fn recognise(rest: &str, before: Option<char>, language: Language) -> Found {
    let first = rest.chars().next()?;
    let inside =
        before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | ',' | ':' | '_' | '/'));
    if inside {
        return None;
    }
    match first {
        '0'..='9' => date(rest, language)
            .or_else(|| time(rest, language))
            .or_else(|| phone(rest, language))
            .or_else(|| ordinal(rest, language))
            .or_else(|| amount(rest, language)),
        '+' | '(' => phone(rest, language),
        '$' | '£' | '€' | '¥' => money_first(rest, language),
        '-' | '−' if before.is_none_or(|c| c.is_whitespace() || c == '(') => {
            let sign = first.len_utf8();
            let body = rest.get(sign..).filter(|body| digits(body, 1) > 0)?;
            let (length, words) = amount(body, language)?;
            let minus = language.pick(["minus", "minus", "menos", "moins", "meno"]);
            Some((sign + length, format!("{minus} {words}")))
        }
        _ => None,
    }
}

/// A number as it is written.
struct Number<'a> {
    whole: String,
    grouped: bool,
    fraction: Option<&'a str>,
    length: usize,
}

impl<'a> Number<'a> {
    fn read(text: &'a str, language: Language) -> Option<Self> {
        let mut length = digits(text, DIGITS_MAX);
        let mut whole = text.get(..length)?.to_owned();
        let mut grouped = false;
        while whole.len() <= DIGITS_MAX
            && (grouped || (1..=3).contains(&length))
            && let Some(mark) = letter(text, length).filter(|c| language.groups_with(*c))
            && let at = length + mark.len_utf8()
            && digits(text.get(at..)?, 4) == 3
        {
            whole.push_str(text.get(at..at + 3)?);
            (length, grouped) = (at + 3, true);
        }
        let mut fraction = None;
        let next = letter(text, length);
        // Of the other languages, too, a dot before one or two digits is a decimal mark.
        if next == Some(language.decimal_mark()) || next == Some('.') {
            let count = digits(text.get(length + 1..)?, DIGITS_MAX);
            let decimal = next == Some(language.decimal_mark()) || count < 3;
            if count > 0 && decimal {
                fraction = text.get(length + 1..length + 1 + count);
                length += 1 + count;
            }
        }
        (!whole.is_empty()).then_some(Self { whole, grouped, fraction, length })
    }

    fn value(&self) -> Option<u64> {
        self.whole.parse().ok().filter(|value| *value <= super::number::MAX)
    }

    fn is_one(&self) -> bool {
        self.whole == "1" && self.fraction.is_none()
    }

    /// Digit by digit.
    fn is_code(&self) -> bool {
        let zeros = self.whole.len() > 1 && self.whole.starts_with('0');
        let long = !self.grouped && self.whole.len() >= CODE_DIGITS;
        self.fraction.is_none() && (zeros || long || self.value().is_none())
    }

    fn words(&self, language: Language) -> String {
        if self.is_code() {
            return digits_in_groups(&self.whole, language);
        }
        let whole = match self.value() {
            Some(value) => cardinal(value, language),
            None => each(&self.whole, language),
        };
        match self.fraction {
            Some(fraction) => {
                format!("{whole} {} {}", language.decimal_word(), each(fraction, language))
            }
            None => whole,
        }
    }
}

/// Digits one by one.
fn each(digits: &str, language: Language) -> String {
    let words = digits.chars().filter_map(|c| c.to_digit(10));
    words.map(|digit| cardinal(u64::from(digit), language)).collect::<Vec<_>>().join(" ")
}

/// Digits one by one, with a comma where groups were written, or behind every third.
pub(super) fn digits_in_groups(text: &str, language: Language) -> String {
    let groups: Vec<String> = text
        .split(|c: char| !c.is_ascii_digit() && c != '+')
        .filter(|group| !group.is_empty())
        .map(|group| {
            let plus = group.starts_with('+');
            let digits: Vec<char> = group.chars().filter(char::is_ascii_digit).collect();
            let size = if digits.len() <= 4 { 4 } else { 3 };
            let parts: Vec<String> = digits
                .chunks(size)
                .map(|part| each(&part.iter().collect::<String>(), language))
                .collect();
            let words = parts.join(", ");
            if plus { format!("plus {words}") } else { words }
        })
        .collect();
    groups.join(", ")
}

/// A number with what stands behind it: money, percent, a unit, or nothing.
fn amount(rest: &str, language: Language) -> Found {
    let number = Number::read(rest, language)?;
    let tail = rest.get(number.length..)?;
    let blank = tail.chars().next().filter(|c| matches!(c, ' ' | '\u{a0}' | '\u{202f}'));
    let near = tail.get(blank.map_or(0, char::len_utf8)..)?;
    let skipped = tail.len() - near.len();
    if near.starts_with('%') && ends_word(near, 1) {
        let percent = language.pick(["percent", "Prozent", "por ciento", "pour cent", "per cento"]);
        return Some((
            number.length + skipped + 1,
            format!("{} {percent}", number.words(language)),
        ));
    }
    if let Some((currency, length)) = Currency::behind(near) {
        let words = currency.words(&number, language);
        return Some((number.length + skipped + length, words));
    }
    if let Some((length, unit)) = measure::unit(tail, number.is_one(), language) {
        let count = if number.is_one() { one(language) } else { number.words(language) };
        return Some((number.length + length, format!("{count} {unit}")));
    }
    ends_number(rest, number.length).then(|| (number.length, number.words(language)))
}

/// "one" before a noun.
fn one(language: Language) -> String {
    language.pick(["one", "ein", "un", "un", "un"]).to_owned()
}

/// Money with its sign in front: "$12.50", "£3 million".
fn money_first(rest: &str, language: Language) -> Found {
    let (currency, sign) = Currency::sign(rest)?;
    let body = rest.get(sign..)?;
    let blank = usize::from(body.starts_with(' '));
    let body = body.get(blank..)?;
    let number = Number::read(body, language)?;
    let start = sign + blank + number.length;
    let tail = rest.get(start..)?;
    let scales = ["thousand", "million", "billion", "trillion"];
    let scale = tail.strip_prefix(' ').and_then(|tail| {
        scales.into_iter().find(|scale| tail.starts_with(scale) && ends_word(tail, scale.len()))
    });
    if let (Some(scale), Language::English { .. }) = (scale, language) {
        let words =
            format!("{} {scale} {}", number.words(language), currency.name(false, language));
        return Some((start + 1 + scale.len(), words));
    }
    let ends = ends_number(rest, start);
    ends.then(|| (start, currency.words(&number, language)))
}

#[derive(Clone, Copy)]
enum Currency {
    Dollar,
    Pound,
    Euro,
    Yen,
    Franc,
}

impl Currency {
    /// A sign at the front, and its length.
    fn sign(text: &str) -> Option<(Self, usize)> {
        let first = text.chars().next()?;
        let currency = match first {
            '$' => Self::Dollar,
            '£' => Self::Pound,
            '€' => Self::Euro,
            '¥' => Self::Yen,
            _ => return None,
        };
        Some((currency, first.len_utf8()))
    }

    /// A sign or code behind a number.
    fn behind(text: &str) -> Option<(Self, usize)> {
        let code = [
            ("EUR", Self::Euro),
            ("USD", Self::Dollar),
            ("GBP", Self::Pound),
            ("CHF", Self::Franc),
            ("JPY", Self::Yen),
        ];
        let code = code.into_iter().find(|(code, _)| text.starts_with(code) && ends_word(text, 3));
        let sign = || Self::sign(text).filter(|(_, length)| ends_word(text, *length));
        code.map(|(_, currency)| (currency, 3)).or_else(sign)
    }

    fn name(self, one: bool, language: Language) -> &'static str {
        let [single, many] = match self {
            Self::Dollar => [
                ["dollar", "Dollar", "dólar", "dollar", "dollaro"],
                ["dollars", "Dollar", "dólares", "dollars", "dollari"],
            ],
            Self::Pound => [
                ["pound", "Pfund", "libra", "livre", "sterlina"],
                ["pounds", "Pfund", "libras", "livres", "sterline"],
            ],
            Self::Euro => [
                ["euro", "Euro", "euro", "euro", "euro"],
                ["euros", "Euro", "euros", "euros", "euro"],
            ],
            Self::Yen => {
                [["yen", "Yen", "yen", "yen", "yen"], ["yen", "Yen", "yenes", "yens", "yen"]]
            }
            Self::Franc => [
                ["franc", "Franken", "franco", "franc", "franco"],
                ["francs", "Franken", "francos", "francs", "franchi"],
            ],
        };
        language.pick(if one { single } else { many })
    }

    fn cents(self, cents: u64, language: Language) -> String {
        let words = cardinal(cents, language);
        let pence = matches!(self, Self::Pound);
        match language {
            Language::English { .. } => {
                let name = match (pence, cents) {
                    (true, 1) => "penny",
                    (true, _) => "pence",
                    (false, 1) => "cent",
                    (false, _) => "cents",
                };
                format!(" and {words} {name}")
            }
            Language::German | Language::French => format!(" {words}"),
            Language::Spanish => format!(" con {words}"),
            Language::Italian => {
                format!(" e {words} {}", if cents == 1 { "centesimo" } else { "centesimi" })
            }
        }
    }

    fn words(self, number: &Number<'_>, language: Language) -> String {
        let cents = match (number.fraction, self) {
            (_, Self::Yen) => None,
            (Some(part), _) if part.len() == 1 => part.parse::<u64>().ok().map(|part| part * 10),
            (Some(part), _) if part.len() == 2 => part.parse::<u64>().ok(),
            _ => None,
        };
        let value = number.value().filter(|_| !number.is_code());
        let (Some(value), true) = (value, number.fraction.is_none() || cents.is_some()) else {
            return format!("{} {}", number.words(language), self.name(false, language));
        };
        let count = match language {
            _ if value == 1 => self.one(language),
            Language::Spanish => apocope(value),
            _ => cardinal(value, language),
        };
        let cents = cents.filter(|cents| *cents > 0).map(|cents| self.cents(cents, language));
        format!("{count} {}{}", self.name(value == 1, language), cents.unwrap_or_default())
    }

    fn one(self, language: Language) -> String {
        match (self, language) {
            (Self::Pound, Language::Spanish | Language::Italian) => "una".to_owned(),
            (Self::Pound, Language::French) => "une".to_owned(),
            _ => one(language),
        }
    }
}

/// "1st", "22nd", "9am" in English, "22. November" in German; elsewhere the signs say too little.
fn ordinal(rest: &str, language: Language) -> Found {
    let (n, length) = small(rest, 9)?;
    if language == Language::German && (1..=31).contains(&n) {
        // "22. November": a day, for a month follows.
        let tail = rest.get(length..)?.strip_prefix(". ")?;
        let named = |month| language.month(month).is_some_and(|name| tail.starts_with(name));
        return (1..=12).any(named).then(|| (length + 1, german_ordinal(u64::from(n))));
    }
    if !matches!(language, Language::English { .. }) {
        return None;
    }
    if let Some((more, half)) = half_of_day(rest.get(length..)?).filter(|_| (1..=12).contains(&n)) {
        return Some((length + more, format!("{} {half}", cardinal(u64::from(n), language))));
    }
    let suffix = rest.get(length..length + 2)?.to_ascii_lowercase();
    let known = ["st", "nd", "rd", "th"].contains(&suffix.as_str());
    (known && ends_word(rest, length + 2)).then(|| (length + 2, english_ordinal(u64::from(n))))
}

/// `2026-11-22`, `22.11.2026`, `11/22/2026`.
fn date(rest: &str, language: Language) -> Found {
    let (first, length) = small(rest, 4)?;
    let mark = letter(rest, length).filter(|c| matches!(c, '-' | '.' | '/'))?;
    let (second, more) = small(rest.get(length + 1..)?, 2)?;
    let at = length + 1 + more;
    if letter(rest, at) != Some(mark) {
        return None;
    }
    let (third, last) = small(rest.get(at + 1..)?, 4)?;
    let end = at + 1 + last;
    let (year, month, day) = match (length, more, last, mark) {
        (4, 2, 2, '-') => (first, second, third),
        (1 | 2, _, 4, '.' | '/' | '-') => {
            let month_first = matches!(language, Language::English { month_first: true });
            // The other way round where this one has no such month.
            let month_leads = if month_first && mark == '/' { first <= 12 } else { second > 12 };
            if month_leads { (third, first, second) } else { (third, second, first) }
        }
        _ => return None,
    };
    let sensible = (1..=31).contains(&day) && (1000..=2999).contains(&year);
    let month = language.month(month).filter(|_| sensible && ends_number(rest, end))?;
    let (day, year) = (u64::from(day), u64::from(year));
    let words = match language {
        Language::English { .. } => {
            format!("{month} {}, {}", english_ordinal(day), english_year(year))
        }
        Language::German => format!("{} {month} {}", german_ordinal(day), german_year(year)),
        Language::Spanish => {
            format!("{} de {month} de {}", cardinal(day, language), cardinal(year, language))
        }
        Language::French | Language::Italian if day == 1 => {
            let first = language.pick(["", "", "", "premier", "primo"]);
            format!("{first} {month} {}", cardinal(year, language))
        }
        Language::French | Language::Italian => {
            format!("{} {month} {}", cardinal(day, language), cardinal(year, language))
        }
    };
    Some((end, words))
}

/// "neunzehnhundertvierundachtzig".
fn german_year(year: u64) -> String {
    let language = Language::German;
    if !(1100..2000).contains(&year) {
        return cardinal(year, language);
    }
    let rest =
        if year.is_multiple_of(100) { String::new() } else { cardinal(year % 100, language) };
    format!("{}hundert{rest}", cardinal(year / 100, language))
}

/// `14:30`, `14:30:05`, `2:05 pm`.
fn time(rest: &str, language: Language) -> Found {
    let (hour, length) = small(rest, 2)?;
    let body = rest.get(length..)?.strip_prefix(':')?;
    let (minute, two) = small(body, 2)?;
    let mut end = length + 1 + two;
    if hour > 23 || minute > 59 || two != 2 {
        return None;
    }
    let mut second = None;
    if let Some(body) = rest.get(end..)?.strip_prefix(':')
        && let Some((value, 2)) = small(body, 2)
        && value < 60
    {
        second = Some(value);
        end += 3;
    }
    let english = matches!(language, Language::English { .. });
    let half = half_of_day(rest.get(end..)?).filter(|_| english && (1..=12).contains(&hour));
    if !ends_number(rest, end) && half.is_none() {
        return None;
    }
    let (hour, minute) = (u64::from(hour), u64::from(minute));
    let mut words = clock(hour, minute, half.is_some(), language);
    if let Some((length, half)) = half {
        return Some((end + length, format!("{words} {half}")));
    }
    // The word may stand behind the figures already; it has been said between them.
    let uhr = rest.get(end..)?.strip_prefix(" Uhr").filter(|rest| ends_word(rest, 0));
    if language == Language::German && uhr.is_some() {
        end += " Uhr".len();
    }
    if let Some(second) = second.filter(|second| *second > 0) {
        let and = language.pick(["and", "und", "y", "et", "e"]);
        let name = language.pick(["seconds", "Sekunden", "segundos", "secondes", "secondi"]);
        words = format!("{words} {and} {} {name}", cardinal(u64::from(second), language));
    }
    Some((end, words))
}

/// "am" or "pm" behind a time, however it is written, and how much of the text that is.
fn half_of_day(tail: &str) -> Option<(usize, &'static str)> {
    let blank = usize::from(tail.starts_with(' '));
    let forms = [("a.m.", "am"), ("p.m.", "pm"), ("am", "am"), ("pm", "pm")];
    forms.into_iter().find_map(|(form, half)| {
        let end = blank + form.len();
        let found = tail.get(blank..end)?.eq_ignore_ascii_case(form) && ends_word(tail, end);
        // The dot of "a.m." may be that of the sentence: nobody hears the difference.
        found.then_some((if form.ends_with('.') { end - 1 } else { end }, half))
    })
}

fn clock(hour: u64, minute: u64, half: bool, language: Language) -> String {
    let said = |n| cardinal(n, language);
    match language {
        Language::English { .. } => match minute {
            0 if half => said(hour),
            0 if hour == 0 => "midnight".to_owned(),
            0 if hour <= 12 => format!("{} o'clock", said(hour)),
            0 => format!("{} hundred", said(hour)),
            1..=9 => format!("{} oh {}", said(hour), said(minute)),
            _ => format!("{} {}", said(hour), said(minute)),
        },
        Language::German => {
            let hour = if hour == 1 { "ein".to_owned() } else { said(hour) };
            let minute = if minute == 0 { String::new() } else { format!(" {}", said(minute)) };
            format!("{hour} Uhr{minute}")
        }
        Language::Spanish => {
            let hour = if hour == 1 { "una".to_owned() } else { said(hour) };
            match minute {
                0 => format!("{hour} en punto"),
                _ => format!("{hour} y {}", said(minute)),
            }
        }
        Language::French => {
            let name = if hour < 2 { "heure" } else { "heures" };
            let hour = if hour == 1 { "une".to_owned() } else { said(hour) };
            match minute {
                0 => format!("{hour} {name}"),
                _ => format!("{hour} {name} {}", said(minute)),
            }
        }
        Language::Italian => {
            let hour = if hour == 1 { "una".to_owned() } else { said(hour) };
            match minute {
                0 => format!("{hour} in punto"),
                _ => format!("{hour} e {}", said(minute)),
            }
        }
    }
}

/// A telephone number: `+1 555 123 4567`, `(555) 123-4567`, `555-0123`, `030 1234567`.
fn phone(rest: &str, language: Language) -> Found {
    let mut end = 0;
    let mut groups: Vec<usize> = Vec::new();
    let mut at = usize::from(rest.starts_with('+'));
    let mut open = false;
    while groups.len() < 8 {
        if letter(rest, at) == Some('(') && !open {
            (at, open) = (at + 1, true);
        }
        let count = digits(rest.get(at..)?, 16);
        if count == 0 {
            break;
        }
        groups.push(count);
        at += count;
        if open && letter(rest, at) == Some(')') {
            (at, open) = (at + 1, false);
        }
        end = at;
        let Some(mark) = letter(rest, at) else { break };
        match mark {
            '-' | '.' | ' ' | '/' | '\u{a0}' => at += mark.len_utf8(),
            '(' => {}
            _ => break,
        }
        if mark == ' ' && letter(rest, at) == Some('-') {
            break;
        }
    }
    let total: usize = groups.iter().sum();
    let number = rest.get(..end)?;
    let trunk = number.starts_with('0') && groups.first().is_some_and(|first| *first > 1);
    let marked = number.starts_with(['+', '(']) || trunk;
    let american =
        matches!(groups[..], [3, 3, 4] | [3, 4] | [1, 3, 3, 4]) && !number.contains(['/']);
    // "100-2000" is a range.
    let round = number.split('-').any(|group| group.ends_with("00"));
    let dashed = number.contains('-') && !round || number.starts_with(['+', '(']);
    // Without marks, only the shapes that nothing else has.
    let sure = marked && (groups.len() > 1 || number.starts_with('+')) || american && dashed;
    if open || !sure || !(7..=15).contains(&total) || !ends_number(rest, end) {
        return None;
    }
    Some((end, digits_in_groups(number, language)))
}
