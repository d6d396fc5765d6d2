//! Whole numbers in words, up to a quadrillion, in five languages.
//!
//! Own tables: the number crates at hand know two of the five languages and compute with floating
//! point. Does not read digits: [`super::quantity`] does.

use super::language::Language;

/// The largest number that is put into words; longer ones are read digit by digit.
pub(super) const MAX: u64 = 999_999_999_999_999;

/// A number in words, e.g. "one hundred twenty-three".
pub(super) fn cardinal(n: u64, language: Language) -> String {
    if n > MAX {
        let digits = n.to_string();
        let words = digits.bytes().map(|digit| cardinal(u64::from(digit - b'0'), language));
        return words.collect::<Vec<_>>().join(" ");
    }
    match language {
        Language::English { .. } => english(n),
        Language::German => german(n),
        Language::Spanish => spanish(n),
        Language::French => french(n),
        Language::Italian => italian(n),
    }
}

/// "first", "twenty-second": English.
pub(super) fn english_ordinal(n: u64) -> String {
    let words = english(n.min(MAX));
    let at = words.rfind([' ', '-']).map_or(0, |at| at + 1);
    let (head, last) = words.split_at(at);
    let last = match last {
        "one" => "first".to_owned(),
        "two" => "second".to_owned(),
        "three" => "third".to_owned(),
        "five" => "fifth".to_owned(),
        "eight" => "eighth".to_owned(),
        "nine" => "ninth".to_owned(),
        "twelve" => "twelfth".to_owned(),
        last => match last.strip_suffix('y') {
            Some(stem) => format!("{stem}ieth"),
            None => format!("{last}th"),
        },
    };
    format!("{head}{last}")
}

/// "erster", "zweiundzwanzigster": German, as a date begins.
pub(super) fn german_ordinal(n: u64) -> String {
    match n {
        1 => "erster".to_owned(),
        3 => "dritter".to_owned(),
        7 => "siebter".to_owned(),
        8 => "achter".to_owned(),
        _ if n < 20 => format!("{}ter", german(n)),
        _ => format!("{}ster", german(n)),
    }
}

/// A year as English speaks it: "nineteen eighty-four", "two thousand five".
pub(super) fn english_year(year: u64) -> String {
    let (century, rest) = (year / 100, year % 100);
    match (century, rest) {
        (20, 0..=9) | (0..=10, _) => english(year),
        (_, 0) => format!("{} hundred", english(century)),
        (_, 1..=9) => format!("{} oh {}", english(century), english(rest)),
        _ => format!("{} {}", english(century), english(rest)),
    }
}

fn word(words: &[&'static str], n: u64) -> &'static str {
    usize::try_from(n).ok().and_then(|n| words.get(n)).copied().unwrap_or_default()
}

/// Splits into thousands with their power, highest first.
fn thousands(n: u64) -> Vec<(u64, u32)> {
    let part = |power: u32| (n / 1000_u64.pow(power) % 1000, power);
    (0..5).rev().map(part).filter(|(part, _)| *part > 0).collect()
}

const ENGLISH: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const ENGLISH_TENS: [&str; 10] =
    ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];

fn english(n: u64) -> String {
    match n {
        0..=19 => word(&ENGLISH, n).to_owned(),
        20..=99 if n.is_multiple_of(10) => word(&ENGLISH_TENS, n / 10).to_owned(),
        20..=99 => format!("{}-{}", word(&ENGLISH_TENS, n / 10), word(&ENGLISH, n % 10)),
        100..=999 if n.is_multiple_of(100) => format!("{} hundred", english(n / 100)),
        100..=999 => format!("{} hundred {}", english(n / 100), english(n % 100)),
        _ => {
            let scale = ["", " thousand", " million", " billion", " trillion"];
            let part = |(part, power): (u64, u32)| {
                format!("{}{}", english(part), word(&scale, u64::from(power)))
            };
            thousands(n).into_iter().map(part).collect::<Vec<_>>().join(" ")
        }
    }
}

const GERMAN: [&str; 20] = [
    "null",
    "eins",
    "zwei",
    "drei",
    "vier",
    "fünf",
    "sechs",
    "sieben",
    "acht",
    "neun",
    "zehn",
    "elf",
    "zwölf",
    "dreizehn",
    "vierzehn",
    "fünfzehn",
    "sechzehn",
    "siebzehn",
    "achtzehn",
    "neunzehn",
];
const GERMAN_TENS: [&str; 10] = [
    "", "", "zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig",
];

fn german(n: u64) -> String {
    // Within a word, one is "ein".
    let inner = |n: u64| if n == 1 { "ein".to_owned() } else { german(n) };
    match n {
        0..=19 => word(&GERMAN, n).to_owned(),
        20..=99 if n.is_multiple_of(10) => word(&GERMAN_TENS, n / 10).to_owned(),
        20..=99 => format!("{}und{}", inner(n % 10), word(&GERMAN_TENS, n / 10)),
        100..=999 => {
            let rest = if n.is_multiple_of(100) { String::new() } else { german(n % 100) };
            format!("{}hundert{rest}", inner(n / 100))
        }
        1000..=999_999 => {
            let rest = if n.is_multiple_of(1000) { String::new() } else { german(n % 1000) };
            let head = german(n / 1000);
            // "einundzwanzigtausend", "hunderteintausend".
            let head = head.strip_suffix("eins").map_or(head.clone(), |stem| format!("{stem}ein"));
            format!("{head}tausend{rest}")
        }
        _ => {
            let names =
                [("Million", "Millionen"), ("Milliarde", "Milliarden"), ("Billion", "Billionen")];
            let mut words = Vec::new();
            for (part, power) in thousands(n).into_iter().filter(|(_, power)| *power >= 2) {
                let name = names.get(power as usize - 2).copied().unwrap_or_default();
                words.push(match part {
                    1 => format!("eine {}", name.0),
                    _ => format!("{} {}", german(part), name.1),
                });
            }
            if !n.is_multiple_of(1_000_000) {
                words.push(german(n % 1_000_000));
            }
            words.join(" ")
        }
    }
}

const SPANISH: [&str; 30] = [
    "cero",
    "uno",
    "dos",
    "tres",
    "cuatro",
    "cinco",
    "seis",
    "siete",
    "ocho",
    "nueve",
    "diez",
    "once",
    "doce",
    "trece",
    "catorce",
    "quince",
    "dieciséis",
    "diecisiete",
    "dieciocho",
    "diecinueve",
    "veinte",
    "veintiuno",
    "veintidós",
    "veintitrés",
    "veinticuatro",
    "veinticinco",
    "veintiséis",
    "veintisiete",
    "veintiocho",
    "veintinueve",
];
const SPANISH_TENS: [&str; 10] =
    ["", "", "", "treinta", "cuarenta", "cincuenta", "sesenta", "setenta", "ochenta", "noventa"];
const SPANISH_HUNDREDS: [&str; 10] = [
    "",
    "ciento",
    "doscientos",
    "trescientos",
    "cuatrocientos",
    "quinientos",
    "seiscientos",
    "setecientos",
    "ochocientos",
    "novecientos",
];

fn spanish(n: u64) -> String {
    match n {
        0..=29 => word(&SPANISH, n).to_owned(),
        30..=99 if n.is_multiple_of(10) => word(&SPANISH_TENS, n / 10).to_owned(),
        30..=99 => format!("{} y {}", word(&SPANISH_TENS, n / 10), word(&SPANISH, n % 10)),
        100 => "cien".to_owned(),
        101..=999 if n.is_multiple_of(100) => word(&SPANISH_HUNDREDS, n / 100).to_owned(),
        101..=999 => format!("{} {}", word(&SPANISH_HUNDREDS, n / 100), spanish(n % 100)),
        1000..=999_999 => {
            let head = if n < 2000 { String::new() } else { format!("{} ", apocope(n / 1000)) };
            join_rest(format!("{head}mil"), n % 1000, spanish)
        }
        1_000_000..=999_999_999_999 => {
            let head = match n / 1_000_000 {
                1 => "un millón".to_owned(),
                millions => format!("{} millones", apocope(millions)),
            };
            join_rest(head, n % 1_000_000, spanish)
        }
        _ => {
            let head = match n / 1_000_000_000_000 {
                1 => "un billón".to_owned(),
                billions => format!("{} billones", apocope(billions)),
            };
            join_rest(head, n % 1_000_000_000_000, spanish)
        }
    }
}

/// Spanish before a noun: "veintiún mil", "treinta y un millones".
pub(super) fn apocope(n: u64) -> String {
    let words = spanish(n);
    if let Some(stem) = words.strip_suffix("veintiuno") {
        return format!("{stem}veintiún");
    }
    words.strip_suffix("uno").map_or(words.clone(), |stem| format!("{stem}un"))
}

fn join_rest(head: String, rest: u64, words: fn(u64) -> String) -> String {
    if rest == 0 { head } else { format!("{head} {}", words(rest)) }
}

const FRENCH: [&str; 20] = [
    "zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix", "onze",
    "douze", "treize", "quatorze", "quinze", "seize", "dix-sept", "dix-huit", "dix-neuf",
];
const FRENCH_TENS: [&str; 10] = [
    "",
    "",
    "vingt",
    "trente",
    "quarante",
    "cinquante",
    "soixante",
    "soixante",
    "quatre-vingt",
    "quatre-vingt",
];

fn french(n: u64) -> String {
    match n {
        0..=19 => word(&FRENCH, n).to_owned(),
        80 => "quatre-vingts".to_owned(),
        71 => "soixante et onze".to_owned(),
        70..=79 | 90..=99 => {
            format!("{}-{}", word(&FRENCH_TENS, n / 10), word(&FRENCH, n % 10 + 10))
        }
        20..=99 => match n % 10 {
            0 => word(&FRENCH_TENS, n / 10).to_owned(),
            1 if n < 80 => format!("{} et un", word(&FRENCH_TENS, n / 10)),
            unit => format!("{}-{}", word(&FRENCH_TENS, n / 10), word(&FRENCH, unit)),
        },
        100..=999 => {
            let (hundreds, rest) = (n / 100, n % 100);
            match (hundreds, rest) {
                (1, _) => join_rest("cent".to_owned(), rest, french),
                (_, 0) => format!("{} cents", french(hundreds)),
                _ => format!("{} cent {}", french(hundreds), french(rest)),
            }
        }
        1000..=999_999 => {
            let head = french(n / 1000);
            // "quatre-vingt mille", "deux cent mille": no s before mille.
            let head = match head.strip_suffix("vingts").or(head.strip_suffix("cents")) {
                Some(stem) => {
                    format!("{stem}{}", if head.ends_with("vingts") { "vingt" } else { "cent" })
                }
                None => head,
            };
            let head = if n < 2000 { "mille".to_owned() } else { format!("{head} mille") };
            join_rest(head, n % 1000, french)
        }
        _ => {
            let scale = [
                (1_000_000_000_000, "billion"),
                (1_000_000_000, "milliard"),
                (1_000_000, "million"),
            ];
            let (size, name) =
                scale.into_iter().find(|(size, _)| n >= *size).unwrap_or((1_000_000, "million"));
            let plural = if n / size > 1 { "s" } else { "" };
            join_rest(format!("{} {name}{plural}", french(n / size)), n % size, french)
        }
    }
}

const ITALIAN: [&str; 20] = [
    "zero",
    "uno",
    "due",
    "tre",
    "quattro",
    "cinque",
    "sei",
    "sette",
    "otto",
    "nove",
    "dieci",
    "undici",
    "dodici",
    "tredici",
    "quattordici",
    "quindici",
    "sedici",
    "diciassette",
    "diciotto",
    "diciannove",
];
const ITALIAN_TENS: [&str; 10] = [
    "",
    "",
    "venti",
    "trenta",
    "quaranta",
    "cinquanta",
    "sessanta",
    "settanta",
    "ottanta",
    "novanta",
];

fn italian(n: u64) -> String {
    let words = italian_joined(n);
    // "ventitré", "centotré": tre at the end of a longer word bears an accent.
    match words.strip_suffix("tre") {
        Some(stem) if !stem.is_empty() && !stem.ends_with(' ') => format!("{stem}tré"),
        _ => words,
    }
}

fn italian_joined(n: u64) -> String {
    match n {
        0..=19 => word(&ITALIAN, n).to_owned(),
        20..=99 => {
            let (tens, unit) = (word(&ITALIAN_TENS, n / 10), n % 10);
            match unit {
                0 => tens.to_owned(),
                1 | 8 => format!(
                    "{}{}",
                    tens.get(..tens.len() - 1).unwrap_or(tens),
                    word(&ITALIAN, unit)
                ),
                _ => format!("{tens}{}", word(&ITALIAN, unit)),
            }
        }
        100..=999 => {
            let head = if n < 200 { String::new() } else { italian_joined(n / 100) };
            let rest = if n.is_multiple_of(100) { String::new() } else { italian_joined(n % 100) };
            format!("{head}cento{rest}")
        }
        1000..=999_999 => {
            let rest =
                if n.is_multiple_of(1000) { String::new() } else { italian_joined(n % 1000) };
            if n < 2000 {
                format!("mille{rest}")
            } else {
                format!("{}mila{rest}", italian_joined(n / 1000))
            }
        }
        _ => {
            let scale = [
                (1_000_000_000_000, "bilione", "bilioni"),
                (1_000_000_000, "miliardo", "miliardi"),
                (1_000_000, "milione", "milioni"),
            ];
            let found = scale.into_iter().find(|(size, _, _)| n >= *size);
            let (size, one, many) = found.unwrap_or((1_000_000, "milione", "milioni"));
            let head = match n / size {
                1 => format!("un {one}"),
                count => format!("{} {many}", italian(count)),
            };
            join_rest(head, n % size, italian)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_said_as_people_say_them() {
        let english = Language::English { month_first: true };
        for (language, n, expected) in [
            (english, 0, "zero"),
            (english, 21, "twenty-one"),
            (english, 100, "one hundred"),
            (
                english,
                1_234_567,
                "one million two hundred thirty-four thousand five hundred sixty-seven",
            ),
            (Language::German, 1, "eins"),
            (Language::German, 21, "einundzwanzig"),
            (Language::German, 101, "einhunderteins"),
            (Language::German, 1984, "eintausendneunhundertvierundachtzig"),
            (Language::German, 21_000, "einundzwanzigtausend"),
            (Language::German, 101_000, "einhunderteintausend"),
            (Language::German, 2_000_001, "zwei Millionen eins"),
            (Language::German, 1_000_000_000, "eine Milliarde"),
            (Language::Spanish, 16, "dieciséis"),
            (Language::Spanish, 31, "treinta y uno"),
            (Language::Spanish, 100, "cien"),
            (Language::Spanish, 115, "ciento quince"),
            (Language::Spanish, 21_000, "veintiún mil"),
            (Language::Spanish, 1_001_000, "un millón mil"),
            (Language::Spanish, 2_500_000, "dos millones quinientos mil"),
            (Language::French, 71, "soixante et onze"),
            (Language::French, 80, "quatre-vingts"),
            (Language::French, 81, "quatre-vingt-un"),
            (Language::French, 91, "quatre-vingt-onze"),
            (Language::French, 21, "vingt et un"),
            (Language::French, 200, "deux cents"),
            (Language::French, 201, "deux cent un"),
            (Language::French, 80_000, "quatre-vingt mille"),
            (Language::French, 200_000, "deux cent mille"),
            (Language::French, 2_000_000, "deux millions"),
            (Language::Italian, 21, "ventuno"),
            (Language::Italian, 28, "ventotto"),
            (Language::Italian, 33, "trentatré"),
            (Language::Italian, 3, "tre"),
            (Language::Italian, 1000, "mille"),
            (Language::Italian, 2026, "duemilaventisei"),
            (Language::Italian, 1_000_000, "un milione"),
        ] {
            assert_eq!(cardinal(n, language), expected);
        }
        assert_eq!(english_ordinal(22), "twenty-second");
        assert_eq!(english_ordinal(30), "thirtieth");
        assert_eq!(english_ordinal(112), "one hundred twelfth");
        assert_eq!(german_ordinal(22), "zweiundzwanzigster");
        for (year, expected) in [
            (1984, "nineteen eighty-four"),
            (1900, "nineteen hundred"),
            (1905, "nineteen oh five"),
            (2005, "two thousand five"),
            (2026, "twenty twenty-six"),
        ] {
            assert_eq!(english_year(year), expected);
        }
    }

    #[test]
    fn every_number_has_words_and_no_two_the_same() {
        let languages = ["en", "de", "es", "fr", "it"].map(|tag| Language::of_tag(tag).unwrap());
        for language in languages {
            let mut seen = std::collections::HashSet::new();
            for n in (0..2200).chain([9_999, 10_000, 99_999, 999_999, 1_000_001, 21_021_021, MAX]) {
                let words = cardinal(n, language);
                assert!(!words.is_empty() && !words.contains("  "), "{n}: {words:?}");
                assert!(!words.contains(|c: char| c.is_ascii_digit()), "{n}: {words:?}");
                assert!(seen.insert(words.clone()), "{n}: {words}");
            }
            assert!(cardinal(u64::MAX, language).split(' ').count() == 20);
        }
    }
}
