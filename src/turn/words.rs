//! What can be told from words alone, by language: back-channels, words that promise more, plain
//! answers, digits being dictated.
//!
//! Small closed lists. A language without a list has none: timing decides there.

/// The lists of one language. Words are lower-case, as [`normal`] makes them.
#[derive(Debug)]
pub(super) struct Lists {
    /// Said while listening, without wanting the floor. One or several words each.
    back_channels: &'static [&'static str],
    /// A sentence that ends so goes on.
    trailing: &'static [&'static str],
    /// Whole answers to a question of yes or no.
    plain: &'static [&'static str],
    /// Digits as words.
    digits: &'static [&'static str],
}

const ENGLISH: Lists = Lists {
    back_channels: &[
        "uh huh",
        "mm hmm",
        "mhm",
        "mm",
        "mmm",
        "hm",
        "hmm",
        "uh",
        "um",
        "ah",
        "aha",
        "oh",
        "ok",
        "okay",
        "yeah",
        "yep",
        "right",
        "i see",
        "sure",
        "got it",
        "alright",
        "all right",
        "great",
    ],
    trailing: &[
        "and", "or", "but", "so", "because", "um", "uh", "er", "erm", "like", "the", "a", "an",
        "to", "of", "for", "with", "in", "at", "on", "my", "your", "is", "are", "if", "that",
        "then", "well", "i", "i'm", "it's", "from", "about", "maybe", "which", "when", "where",
    ],
    plain: &[
        "yes",
        "no",
        "yeah",
        "yep",
        "nope",
        "sure",
        "okay",
        "ok",
        "correct",
        "exactly",
        "yes please",
        "no thanks",
        "no thank you",
        "of course",
        "not really",
        "that's right",
        "never",
    ],
    digits: &[
        "zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
        "double", "triple",
    ],
};

const GERMAN: Lists = Lists {
    back_channels: &[
        "aha",
        "mhm",
        "mm",
        "hm",
        "hmm",
        "ah",
        "oh",
        "äh",
        "ähm",
        "ok",
        "okay",
        "genau",
        "ach so",
        "ja ja",
        "verstehe",
        "gut",
        "alles klar",
        "stimmt",
    ],
    trailing: &[
        "und",
        "oder",
        "aber",
        "weil",
        "dass",
        "also",
        "äh",
        "ähm",
        "hm",
        "der",
        "die",
        "das",
        "den",
        "dem",
        "ein",
        "eine",
        "einen",
        "mein",
        "meine",
        "zu",
        "von",
        "für",
        "mit",
        "in",
        "im",
        "am",
        "auf",
        "wenn",
        "ob",
        "ich",
        "wir",
        "noch",
        "vielleicht",
        "denn",
    ],
    plain: &[
        "ja",
        "nein",
        "ne",
        "nee",
        "doch",
        "genau",
        "okay",
        "ok",
        "richtig",
        "ja bitte",
        "nein danke",
        "natürlich",
        "gerne",
        "stimmt",
        "klar",
        "eher nicht",
    ],
    digits: &[
        "null", "eins", "zwei", "zwo", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun",
        "doppel",
    ],
};

const SPANISH: Lists = Lists {
    back_channels: &[
        "ajá",
        "aja",
        "mhm",
        "mm",
        "hm",
        "ah",
        "eh",
        "ok",
        "okay",
        "ya",
        "claro",
        "vale",
        "bueno",
        "entiendo",
        "ya veo",
        "de acuerdo",
    ],
    trailing: &[
        "y", "e", "o", "pero", "porque", "que", "entonces", "eh", "em", "pues", "el", "la", "los",
        "las", "un", "una", "mi", "su", "de", "del", "a", "al", "en", "con", "para", "por", "si",
        "es", "como", "cuando", "yo",
    ],
    plain: &[
        "sí",
        "si",
        "no",
        "claro",
        "vale",
        "correcto",
        "exacto",
        "sí por favor",
        "no gracias",
        "por supuesto",
        "nunca",
        "de acuerdo",
    ],
    digits: &[
        "cero", "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve", "doble",
    ],
};

const FRENCH: Lists = Lists {
    back_channels: &[
        "mhm",
        "mm",
        "hm",
        "ah",
        "oh",
        "euh",
        "ok",
        "okay",
        "ouais",
        "d'accord",
        "je vois",
        "très bien",
        "bien sûr",
        "ah bon",
        "voilà",
    ],
    trailing: &[
        "et", "ou", "mais", "parce", "que", "donc", "alors", "euh", "le", "la", "les", "un", "une",
        "des", "mon", "ma", "mes", "de", "du", "à", "au", "en", "avec", "pour", "par", "si", "je",
        "c'est", "qui", "quand", "comme",
    ],
    plain: &[
        "oui",
        "non",
        "si",
        "ouais",
        "d'accord",
        "exactement",
        "oui s'il vous plaît",
        "non merci",
        "bien sûr",
        "voilà",
        "jamais",
        "pas vraiment",
    ],
    digits: &[
        "zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "double",
    ],
};

const ITALIAN: Lists = Lists {
    back_channels: &[
        "mhm",
        "mm",
        "hm",
        "ah",
        "eh",
        "ok",
        "okay",
        "certo",
        "va bene",
        "capisco",
        "ho capito",
        "già",
        "bene",
        "d'accordo",
    ],
    trailing: &[
        "e", "ed", "o", "ma", "perché", "che", "quindi", "allora", "ehm", "eh", "il", "lo", "la",
        "i", "gli", "le", "un", "una", "mio", "mia", "di", "del", "a", "al", "in", "con", "per",
        "da", "se", "è", "come", "quando", "io",
    ],
    plain: &[
        "sì",
        "si",
        "no",
        "certo",
        "va bene",
        "esatto",
        "corretto",
        "sì grazie",
        "no grazie",
        "d'accordo",
        "mai",
        "certamente",
    ],
    digits: &[
        "zero", "uno", "due", "tre", "quattro", "cinque", "sei", "sette", "otto", "nove", "doppio",
    ],
};

const NONE: Lists = Lists { back_channels: &[], trailing: &[], plain: &[], digits: &[] };

/// The lists of a language, BCP 47 or its first part.
pub(super) fn lists(language: &str) -> &'static Lists {
    let first = language.split(['-', '_']).next().unwrap_or_default();
    match first.to_ascii_lowercase().as_str() {
        "en" => &ENGLISH,
        "de" => &GERMAN,
        "es" => &SPANISH,
        "fr" => &FRENCH,
        "it" => &ITALIAN,
        _ => &NONE,
    }
}

/// Lower-case words, one blank between, without punctuation; apostrophes within words stay.
pub(super) fn normal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split(|c: char| !(c.is_alphanumeric() || matches!(c, '\'' | '’'))) {
        let word = word.trim_matches(['\'', '’']);
        if word.is_empty() {
            continue;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        out.extend(word.chars().flat_map(char::to_lowercase).map(|c| match c {
            '’' => '\'',
            other => other,
        }));
    }
    out
}

/// Whether `phrase` occurs in `text` as whole words. Both as [`normal`] makes them.
pub(super) fn contains(text: &str, phrase: &str) -> bool {
    !phrase.is_empty() && format!(" {text} ").contains(&format!(" {phrase} "))
}

impl Lists {
    /// How many words of a text want the floor: all but back-channels.
    pub(super) fn real_words(&self, text: &str) -> usize {
        let text = normal(text);
        let words: Vec<&str> = text.split(' ').filter(|word| !word.is_empty()).collect();
        let (mut at, mut real) = (0, 0);
        while let Some(rest) = words.get(at..).filter(|rest| !rest.is_empty()) {
            match self.back_channel_at(rest) {
                0 => (at, real) = (at + 1, real + 1),
                length => at += length,
            }
        }
        real
    }

    /// How many words the longest back-channel at the start takes; 0: there is none.
    fn back_channel_at(&self, words: &[&str]) -> usize {
        let matching = self.back_channels.iter().filter_map(|phrase| {
            let length = phrase.split(' ').count();
            let same =
                words.len() >= length && phrase.split(' ').eq(words[..length].iter().copied());
            same.then_some(length)
        });
        matching.max().unwrap_or(0)
    }

    /// Whether a sentence that ends so goes on.
    pub(super) fn trails(&self, normal: &str) -> bool {
        normal.rsplit(' ').next().is_some_and(|last| self.trailing.contains(&last))
    }

    /// Whether it ends with a sound of hesitation.
    pub(super) fn hesitates(&self, normal: &str) -> bool {
        let last = normal.rsplit(' ').next().unwrap_or_default();
        self.trailing.contains(&last) && self.back_channels.contains(&last)
    }

    /// Whether this is a whole answer to a question of yes or no.
    pub(super) fn is_plain_answer(&self, normal: &str) -> bool {
        self.plain.contains(&normal)
    }

    /// How many digits stand at the end, in figures or as words.
    pub(super) fn digits_at_end(&self, normal: &str) -> usize {
        let is_figure = |word: &str| word.bytes().all(|b| b.is_ascii_digit());
        normal
            .rsplit(' ')
            .take_while(|word| !word.is_empty() && (is_figure(word) || self.digits.contains(word)))
            .map(|word| if is_figure(word) { word.len() } else { 1 })
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_compared_without_case_and_punctuation() {
        for (text, wanted) in [
            ("Uh-huh, OK.", "uh huh ok"),
            ("That’s it!", "that's it"),
            ("  ", ""),
            ("'quoted'", "quoted"),
            ("Äh…ähm", "äh ähm"),
        ] {
            assert_eq!(normal(text), wanted, "{text}");
        }
        assert!(contains("well yes please", "yes"));
        assert!(contains("well yes please", "yes please"));
        assert!(!contains("yesterday", "yes"));
        assert!(!contains("yes", ""));
    }

    #[test]
    fn back_channels_do_not_count() {
        for (language, text, real) in [
            ("en", "Uh-huh.", 0),
            ("en", "okay, I see", 0),
            ("en", "I see a problem", 2),
            ("en-GB", "Okay, stop that now", 3),
            ("de", "Mhm, genau.", 0),
            ("de", "Moment mal", 2),
            ("es", "vale, ya veo", 0),
            ("fr", "D’accord, je vois.", 0),
            ("it", "Ho capito, va bene", 0),
            ("xx", "okay", 1),
            ("en", "", 0),
        ] {
            assert_eq!(lists(language).real_words(text), real, "{language}: {text}");
        }
    }

    #[test]
    fn endings_are_told() {
        let english = lists("en-US");
        assert!(english.trails("i would like to"));
        assert!(!english.trails("i would like tea"));
        assert!(!english.trails(""));
        assert!(english.is_plain_answer("yes please"));
        for (text, digits) in
            [("it is 415 five five", 5), ("four one five", 3), ("room five please", 0), ("", 0)]
        {
            assert_eq!(english.digits_at_end(text), digits, "{text}");
        }
    }
}
