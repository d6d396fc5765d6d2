//! Units of measure behind numbers.

use super::language::Language;
use super::scan::ends_word;

/// A unit: its sign, and one and many of it in English, German, Spanish, French and Italian.
type Unit = (&'static str, [&'static str; 5], [&'static str; 5]);

/// Longer signs before those that they begin with.
const UNITS: [Unit; 22] = [
    (
        "km/h",
        [
            "kilometer per hour",
            "Kilometer pro Stunde",
            "kilómetro por hora",
            "kilomètre heure",
            "chilometro orario",
        ],
        [
            "kilometers per hour",
            "Kilometer pro Stunde",
            "kilómetros por hora",
            "kilomètres heure",
            "chilometri orari",
        ],
    ),
    (
        "mph",
        ["mile per hour", "Meile pro Stunde", "milla por hora", "mille à l'heure", "miglio orario"],
        [
            "miles per hour",
            "Meilen pro Stunde",
            "millas por hora",
            "milles à l'heure",
            "miglia orarie",
        ],
    ),
    (
        "kWh",
        ["kilowatt hour", "Kilowattstunde", "kilovatio hora", "kilowattheure", "chilowattora"],
        ["kilowatt hours", "Kilowattstunden", "kilovatios hora", "kilowattheures", "chilowattora"],
    ),
    ("kHz", ["kilohertz"; 5], ["kilohertz"; 5]),
    ("MHz", ["megahertz"; 5], ["megahertz"; 5]),
    ("GHz", ["gigahertz"; 5], ["gigahertz"; 5]),
    ("Hz", ["hertz"; 5], ["hertz"; 5]),
    (
        "km",
        ["kilometer", "Kilometer", "kilómetro", "kilomètre", "chilometro"],
        ["kilometers", "Kilometer", "kilómetros", "kilomètres", "chilometri"],
    ),
    (
        "cm",
        ["centimeter", "Zentimeter", "centímetro", "centimètre", "centimetro"],
        ["centimeters", "Zentimeter", "centímetros", "centimètres", "centimetri"],
    ),
    (
        "mm",
        ["millimeter", "Millimeter", "milímetro", "millimètre", "millimetro"],
        ["millimeters", "Millimeter", "milímetros", "millimètres", "millimetri"],
    ),
    (
        "kg",
        ["kilogram", "Kilogramm", "kilogramo", "kilogramme", "chilogrammo"],
        ["kilograms", "Kilogramm", "kilogramos", "kilogrammes", "chilogrammi"],
    ),
    (
        "mg",
        ["milligram", "Milligramm", "miligramo", "milligramme", "milligrammo"],
        ["milligrams", "Milligramm", "miligramos", "milligrammes", "milligrammi"],
    ),
    (
        "ml",
        ["milliliter", "Milliliter", "mililitro", "millilitre", "millilitro"],
        ["milliliters", "Milliliter", "mililitros", "millilitres", "millilitri"],
    ),
    ("kB", ["kilobyte"; 5], ["kilobytes", "Kilobyte", "kilobytes", "kilo-octets", "kilobyte"]),
    ("MB", ["megabyte"; 5], ["megabytes", "Megabyte", "megabytes", "mégaoctets", "megabyte"]),
    ("GB", ["gigabyte"; 5], ["gigabytes", "Gigabyte", "gigabytes", "gigaoctets", "gigabyte"]),
    ("TB", ["terabyte"; 5], ["terabytes", "Terabyte", "terabytes", "téraoctets", "terabyte"]),
    (
        "ms",
        ["millisecond", "Millisekunde", "milisegundo", "milliseconde", "millisecondo"],
        ["milliseconds", "Millisekunden", "milisegundos", "millisecondes", "millisecondi"],
    ),
    (
        "°C",
        ["degree Celsius", "Grad Celsius", "grado Celsius", "degré Celsius", "grado Celsius"],
        ["degrees Celsius", "Grad Celsius", "grados Celsius", "degrés Celsius", "gradi Celsius"],
    ),
    (
        "°F",
        [
            "degree Fahrenheit",
            "Grad Fahrenheit",
            "grado Fahrenheit",
            "degré Fahrenheit",
            "grado Fahrenheit",
        ],
        [
            "degrees Fahrenheit",
            "Grad Fahrenheit",
            "grados Fahrenheit",
            "degrés Fahrenheit",
            "gradi Fahrenheit",
        ],
    ),
    (
        "°",
        ["degree", "Grad", "grado", "degré", "grado"],
        ["degrees", "Grad", "grados", "degrés", "gradi"],
    ),
    (
        "kW",
        ["kilowatt", "Kilowatt", "kilovatio", "kilowatt", "chilowatt"],
        ["kilowatts", "Kilowatt", "kilovatios", "kilowatts", "chilowatt"],
    ),
];

/// A unit at the front: its length and its name. A blank may stand before it.
pub(super) fn unit(rest: &str, one: bool, language: Language) -> Option<(usize, &'static str)> {
    let blank = rest.chars().next().filter(|c| matches!(c, ' ' | '\u{a0}' | '\u{202f}'));
    let blank = blank.map_or(0, char::len_utf8);
    let body = rest.get(blank..)?;
    let found =
        UNITS.iter().find(|(sign, _, _)| body.starts_with(sign) && ends_word(body, sign.len()));
    let (sign, single, many) = found?;
    Some((blank + sign.len(), language.pick(if one { *single } else { *many })))
}
