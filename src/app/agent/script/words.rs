//! The few words that a script says by itself: how it reads an answer back.

/// The words of a language.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words {
    /// Before the answer.
    pub(super) understood: &'static str,
    /// How to confirm it.
    pub(super) confirm: &'static str,
    /// How to answer a question of yes or no.
    pub(super) choose: &'static str,
    pub(super) yes: &'static [&'static str],
    pub(super) no: &'static [&'static str],
}

const ENGLISH: Words = Words {
    understood: "I understood:",
    confirm: "If that is right, press one or say yes. If not, press two or say no.",
    choose: "Please say yes or press one, or say no or press two.",
    yes: &["yes", "yes please", "that is right", "correct"],
    no: &["no", "no thank you", "that is wrong"],
};

/// By the language's first part; English for all others.
pub(super) fn of(language: &str) -> Words {
    match language.split(['-', '_']).next().unwrap_or_default() {
        "de" => Words {
            understood: "Ich habe verstanden:",
            confirm: "Wenn das stimmt, drücken Sie die Eins oder sagen Sie ja. Wenn nicht, \
                      drücken Sie die Zwei oder sagen Sie nein.",
            choose: "Bitte sagen Sie ja oder drücken Sie die Eins, oder sagen Sie nein oder drücken Sie die Zwei.",
            yes: &["ja", "ja bitte", "das stimmt", "richtig"],
            no: &["nein", "nein danke", "das stimmt nicht", "falsch"],
        },
        "es" => Words {
            understood: "He entendido:",
            confirm: "Si es correcto, pulse uno o diga sí. Si no, pulse dos o diga no.",
            choose: "Diga sí o pulse uno, o diga no o pulse dos.",
            yes: &["sí", "si", "correcto"],
            no: &["no", "no es correcto"],
        },
        "fr" => Words {
            understood: "J'ai compris :",
            confirm: "Si c'est exact, tapez un ou dites oui. Sinon, tapez deux ou dites non.",
            choose: "Dites oui ou tapez un, ou dites non ou tapez deux.",
            yes: &["oui", "c'est exact"],
            no: &["non", "ce n'est pas exact"],
        },
        "it" => Words {
            understood: "Ho capito:",
            confirm: "Se è giusto, prema uno o dica sì. Altrimenti prema due o dica no.",
            choose: "Dica sì o prema uno, oppure dica no o prema due.",
            yes: &["sì", "si", "giusto"],
            no: &["no", "non è giusto"],
        },
        _ => ENGLISH,
    }
}
