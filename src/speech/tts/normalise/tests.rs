use super::*;
use proptest::prelude::*;

fn read(text: &str, tag: &str) -> String {
    normalise(text, tag).0
}

#[test]
fn english_is_read_as_it_is_said() {
    for (text, expected) in [
        ("It costs $12.50 today.", "It costs twelve dollars and fifty cents today."),
        (
            "£1, €3 and $3.5 million.",
            "one pound, three euros and three point five million dollars.",
        ),
        ("12,50 EUR", "12,50 EUR"),
        (
            "You owe 1,234,567 points.",
            "You owe one million two hundred thirty-four thousand five hundred sixty-seven points.",
        ),
        ("12.5% of 3 km", "twelve point five percent of three kilometers"),
        (
            "on 2026-11-22 at 14:30",
            "on November twenty-second, twenty twenty-six at fourteen thirty",
        ),
        ("on 11/22/2026", "on November twenty-second, twenty twenty-six"),
        ("on 22/11/2026", "on November twenty-second, twenty twenty-six"),
        ("at 2:05 pm or 9:00", "at two oh five pm or nine o'clock"),
        (
            "at 2:05pm, 9 am or 5:30 P.M. today",
            "at two oh five pm, nine am or five thirty pm. today",
        ),
        (
            "100-2000 people, 0.5 1234567",
            "one hundred-two thousand people, zero point five one two three, four five six, seven",
        ),
        ("the 1st and 22nd", "the first and twenty-second"),
        (
            "Call +1 555 123 4567.",
            "Call plus one, five five five, one two three, four five six seven.",
        ),
        ("Call (555) 123-4567!", "Call five five five, one two three, four five six seven!"),
        (
            "code 007, order 12345678",
            "code zero zero seven, order one two three, four five six, seven eight",
        ),
        ("-5 °C or 21°F", "minus five degrees Celsius or twenty-one degrees Fahrenheit"),
        ("version 1.2.3 at 192.168.0.1", "version 1.2.3 at 192.168.0.1"),
        ("B2B, A4, x86_64, 3D", "B2B, A4, x86_64, 3D"),
        ("COVID-19, 10-12 people", "COVID-nineteen, ten-twelve people"),
        ("john.doe@example.com", "john dot doe at example dot com"),
        ("See https://www.example.com/a/b?x=1.", "See example dot com."),
        ("Great \u{1f600}\u{1f44d}\u{fe0f}! Bye\u{2764}\u{fe0f}bye", "Great ! Bye bye"),
    ] {
        assert_eq!(read(text, "en-US"), expected, "{text}");
    }
    assert_eq!(read("05/06/2026", "en-GB"), "June fifth, twenty twenty-six");
    assert_eq!(read("05/06/2026", "en-US"), "May sixth, twenty twenty-six");
}

#[test]
fn other_languages_have_their_own_words() {
    for (tag, text, expected) in [
        ("de-DE", "Das kostet 12,50 €.", "Das kostet zwölf Euro fünfzig."),
        (
            "de-DE",
            "1.234 Punkte, 3,5 %",
            "eintausendzweihundertvierunddreißig Punkte, drei Komma fünf Prozent",
        ),
        (
            "de-DE",
            "am 22.11.2026 um 14:30 Uhr",
            "am zweiundzwanzigster November zweitausendsechsundzwanzig um vierzehn Uhr dreißig",
        ),
        ("de-DE", "am 3. Mai um 1:05", "am dritter Mai um ein Uhr fünf"),
        ("de-DE", "Es waren 22. Mehr nicht.", "Es waren zweiundzwanzig. Mehr nicht."),
        ("de-DE", "um 14:00 Uhr", "um vierzehn Uhr"),
        ("es-ES", "12,50 € a las 14:30", "doce euros con cincuenta a las catorce y treinta"),
        ("es-ES", "el 50% de 21 euros", "el cincuenta por ciento de veintiuno euros"),
        (
            "fr-FR",
            "12,50 € à 14:30, 80 %",
            "douze euros cinquante à quatorze heures trente, quatre-vingts pour cent",
        ),
        (
            "it-IT",
            "12,50 € alle 14:30, 8%",
            "dodici euro e cinquanta centesimi alle quattordici e trenta, otto per cento",
        ),
        ("pt-BR", "R$ 12,50 às 14:30", "R$ 12,50 às 14:30"),
        ("", "$5 at example@example.com", "$5 at example@example.com"),
    ] {
        assert_eq!(read(text, tag), expected, "{text}");
    }
}

#[test]
fn markdown_goes_and_words_stay() {
    for (text, expected) in [
        ("**Bold**, *italic*, ***both*** and _this_.", "Bold, italic, both and this."),
        ("snake_case_name and 2 * 3 * 4", "snake_case_name and 2 * 3 * 4"),
        ("# Title\n\nText\n## Next", "Title\n\nText\nNext"),
        ("- Milk\n* Eggs\n+ Ham\n1. First", "Milk\nEggs\nHam\n1. First"),
        ("See [our page](https://example.com/x) or ![a cat](cat.png).", "See our page or a cat."),
        ("```rust\nlet x;\n```\nDone `now`.", "let x;\nDone now."),
        ("```now``` or ``never``", "now or never"),
        ("> quoted\n---\nend", "quoted\nend"),
        ("| a | b |\n|---|---|\n| c | d |", " a , b \n c , d "),
        ("~~gone~~ [1] a*b", "gone [1] a*b"),
        ("**open", "**open"),
    ] {
        assert_eq!(read(text, ""), expected, "{text:?}");
    }
}

#[test]
fn places_lead_back_to_the_source() {
    let text = "Pay **$12.50** to \u{1f600} Bob.";
    let (read, maps) = normalise(text, "en-US");
    assert_eq!(read, "Pay twelve dollars and fifty cents to  Bob.");
    let source = |said: &str| {
        let at = read.find(said).unwrap() + said.len();
        maps.iter().rev().fold(at, |at, map| map.source_end(at))
    };
    assert_eq!(&text[..source("Pay")], "Pay");
    assert_eq!(&text[..source("twelve dollars")], "Pay **");
    assert_eq!(&text[..source("cents")], "Pay **$12.50**");
    assert_eq!(source("Bob."), text.len());
}

#[test]
fn spelling_is_one_by_one() {
    assert_eq!(spell("A1-b2", "en"), "A, one, b, two");
    assert_eq!(telephone("555 0123", "de"), "fünf fünf fünf, null eins zwei drei");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn nothing_panics_and_positions_grow(
        tag in 0_u8..7,
        text in "[ -~\u{e9}\u{20ac}\u{1f600}\n0-9$%.,:/+()*_\\[\\]-]{0,120}",
    ) {
        fuzz_normalise(&[&[tag], text.as_bytes()].concat());
    }

    #[test]
    fn plain_prose_stays_and_is_stable(
        text in "([A-Za-z\u{e9}\u{fc}]{1,9}[,.;]? ){0,20}",
        tag in prop::sample::select(vec!["en-US", "de-DE", "es-ES", "fr-FR", "it-IT"]),
    ) {
        prop_assert_eq!(read(&text, tag), text);
    }

    #[test]
    fn reading_twice_changes_nothing_more(
        text in "([a-z]{1,6}|[0-9]{1,9}|\\$[0-9]{1,4}\\.[0-9]{2}|[0-9]{1,2}%|[0-2][0-9]:[0-5][0-9]){1}( ([a-z]{1,6}|[0-9]{1,9}|[0-9]{1,2}%)){0,8}",
        tag in prop::sample::select(vec!["en-US", "de-DE", "es-ES", "fr-FR", "it-IT"]),
    ) {
        let once = read(&text, tag);
        prop_assert_eq!(read(&once, tag), once);
    }

    #[test]
    fn no_word_is_lost(words in proptest::collection::vec("[a-zA-Z]{1,8}", 1..12), marks in "[*_`#>-]{0,3}") {
        let text = words.iter().map(|word| format!("{marks}{word}{marks}")).collect::<Vec<_>>().join(" ");
        let (read, _) = normalise(&text, "en-US");
        let letters = |text: &str| text.chars().filter(|c| c.is_alphabetic()).collect::<String>();
        prop_assert_eq!(letters(&read), words.concat());
    }
}

#[test]
fn mixtures_of_everything_are_read_to_their_end() {
    let parts = [
        "*",
        "_",
        "`",
        "[",
        "](",
        ")",
        "www.",
        "http://",
        "a",
        "1",
        "12",
        ".",
        ",",
        ":",
        "-",
        "+",
        "(",
        "\u{20ac}",
        "$",
        "%",
        " ",
        "\n",
        "|",
        "#",
        "\u{e9}",
        "\u{1f600}",
        "@",
        "x.de",
        "/",
        "2026-11-22",
        "14:30",
        "km",
        "<",
        "&",
        "\u{200d}",
        "0",
        "Uhr",
        "am",
        "st",
        "22. Mai",
    ];
    let mut random = crate::time::Rng::from_seed([7; 32]);
    let mut below = |most: usize| usize::try_from(random.next_u64() % most as u64).unwrap();
    for _ in 0..4000 {
        let length = below(30);
        let text: String = (0..length).map(|_| parts[below(parts.len())]).collect();
        let tag = u8::try_from(below(7)).unwrap();
        fuzz_normalise(&[&[tag], text.as_bytes()].concat());
    }
}
