//! The languages whose numbers can be put into words, and their small words.

/// A language that is fully read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    /// English; dates are written month first in the United States.
    English {
        month_first: bool,
    },
    German,
    Spanish,
    French,
    Italian,
}

impl Language {
    /// The language of a tag such as `de-AT`.
    pub(super) fn of_tag(tag: &str) -> Option<Self> {
        let lower = tag.to_ascii_lowercase();
        let mut parts = lower.split(['-', '_']);
        match parts.next()? {
            "en" => Some(Self::English { month_first: parts.next().is_none_or(|at| at == "us") }),
            "de" => Some(Self::German),
            "es" => Some(Self::Spanish),
            "fr" => Some(Self::French),
            "it" => Some(Self::Italian),
            _ => None,
        }
    }

    /// Which of five words: English, German, Spanish, French, Italian.
    pub(super) fn pick<T: Copy>(self, words: [T; 5]) -> T {
        let [english, german, spanish, french, italian] = words;
        match self {
            Self::English { .. } => english,
            Self::German => german,
            Self::Spanish => spanish,
            Self::French => french,
            Self::Italian => italian,
        }
    }

    /// Whether `c` groups the digits of long numbers.
    pub(super) fn groups_with(self, c: char) -> bool {
        match self {
            Self::English { .. } => c == ',',
            Self::German | Self::Spanish | Self::Italian => c == '.',
            Self::French => matches!(c, '.' | '\u{a0}' | '\u{202f}'),
        }
    }

    /// What stands before decimals.
    pub(super) fn decimal_mark(self) -> char {
        if matches!(self, Self::English { .. }) { '.' } else { ',' }
    }

    /// What is said for it.
    pub(super) fn decimal_word(self) -> &'static str {
        self.pick(["point", "Komma", "coma", "virgule", "virgola"])
    }

    /// The months.
    #[expect(clippy::too_many_lines, reason = "a table")]
    pub(super) fn month(self, month: u32) -> Option<&'static str> {
        let names: [&str; 12] = self.pick([
            [
                "January",
                "February",
                "March",
                "April",
                "May",
                "June",
                "July",
                "August",
                "September",
                "October",
                "November",
                "December",
            ],
            [
                "Januar",
                "Februar",
                "März",
                "April",
                "Mai",
                "Juni",
                "Juli",
                "August",
                "September",
                "Oktober",
                "November",
                "Dezember",
            ],
            [
                "enero",
                "febrero",
                "marzo",
                "abril",
                "mayo",
                "junio",
                "julio",
                "agosto",
                "septiembre",
                "octubre",
                "noviembre",
                "diciembre",
            ],
            [
                "janvier",
                "février",
                "mars",
                "avril",
                "mai",
                "juin",
                "juillet",
                "août",
                "septembre",
                "octobre",
                "novembre",
                "décembre",
            ],
            [
                "gennaio",
                "febbraio",
                "marzo",
                "aprile",
                "maggio",
                "giugno",
                "luglio",
                "agosto",
                "settembre",
                "ottobre",
                "novembre",
                "dicembre",
            ],
        ]);
        names.get(usize::try_from(month).ok()?.checked_sub(1)?).copied()
    }
}
