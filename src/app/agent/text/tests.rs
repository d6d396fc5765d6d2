use super::*;
use proptest::prelude::*;

/// The sentences of a text that comes in pieces of so many characters.
fn split(text: &str, size: usize) -> Vec<String> {
    let (mut splitter, mut out) = (Splitter::default(), Vec::new());
    let letters: Vec<char> = text.chars().collect();
    for piece in letters.chunks(size) {
        splitter.push(&piece.iter().collect::<String>(), &mut out);
    }
    splitter.flush(&mut out);
    out
}

#[test]
fn sentences_are_cut_where_they_end_whatever_the_tokens() {
    let cases: &[(&str, &[&str])] = &[
        (
            "Good morning, this is the dentist's office. How are you?",
            &["Good morning, this is the dentist's office.", "How are you?"],
        ),
        (
            "I can offer you Tuesday at nine, or Wednesday at ten. Which one?",
            &["I can offer you Tuesday at nine,", "or Wednesday at ten.", "Which one?"],
        ),
        (
            "The price is 3.50 euros for Dr. Miller and J. Smith today. Shall we?",
            &["The price is 3.50 euros for Dr. Miller and J. Smith today.", "Shall we?"],
        ),
        (
            "See https://example.com/a.b?c=d for the whole of it. Anything else today?",
            &["See https://example.com/a.b?c=d for the whole of it.", "Anything else today?"],
        ),
        (
            "Well... let me think about that for a moment. Yes, that works.",
            &["Well... let me think about that for a moment.", "Yes, that works."],
        ),
        (
            "It is room No. 7 on the second floor there. Take the stairs, please.",
            &["It is room No. 7 on the second floor there.", "Take the stairs, please."],
        ),
        (
            "No. I really cannot do that for you today. Goodbye then, and thanks.",
            &["No. I really cannot do that for you today.", "Goodbye then, and thanks."],
        ),
        (
            "您好，我是诊所的助理。您明天上午有空吗？谢谢您。",
            &["您好，我是诊所的助理。", "您明天上午有空吗？", "谢谢您。"],
        ),
        ("Sure.", &["Sure."]),
        (" \n … !!", &[]),
    ];
    for (text, expected) in cases {
        for size in [1, 2, 3, 7, 1000] {
            assert_eq!(&split(text, size), expected, "in pieces of {size}");
        }
    }
}

#[test]
fn the_first_piece_is_let_go_before_its_sentence_ends() {
    let (mut splitter, mut out) = (Splitter::default(), Vec::new());
    splitter.push("Thank you for calling us today, ", &mut out);
    assert_eq!(out, ["Thank you for calling us today,"]);
    splitter.push("how may I help you with your order, or", &mut out);
    assert_eq!(out.len(), 1, "later pieces are whole sentences");
}

#[test]
fn markdown_loses_its_marks_whatever_the_tokens() {
    let cases = [
        ("**Bold** and *slanted* and __more__ and `code`", "Bold and slanted and more and code"),
        ("# Title\n\nText", "Title Text"),
        ("- one\n- two\n* three\n> quoted", "one two three quoted"),
        ("[our page](https://example.com/x_y) is there", "our page is there"),
        ("![a cat](cat.png) here", "a cat here"),
        ("a [bracket] and [1] stay", "a [bracket] and [1] stay"),
        ("3 * 4 and 3*4 and snake_case and ~5", "3 * 4 and 3*4 and snake_case and ~5"),
        ("```json\n{\"a\": 1}\n```\nDone", "{\"a\": 1} Done"),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "a b 1 2"),
        ("one\n---\ntwo", "one two"),
        ("-5 degrees, #1 of all", "-5 degrees, #1 of all"),
        ("a \\* b \\x", "a * b \\x"),
        ("bell\u{7} and \u{1b}[31m red", "bell and [31m red"),
        ("<play file=\"x\"> & more", "<play file=\"x\"> & more"),
        ("what!\nyes!", "what! yes!"),
        ("an open [label", "an open [label"),
        ("~~gone~~", "gone"),
    ];
    for (text, expected) in cases {
        assert_eq!(plain(text), expected, "{text}");
        for size in [1, 2, 5] {
            assert_eq!(split(text, size).join(" "), expected, "{text} in pieces of {size}");
        }
    }
}

#[test]
fn text_without_end_is_cut_by_length() {
    for text in ["word ".repeat(500), "x".repeat(2000), "字".repeat(2000), "[".repeat(2000)] {
        let pieces = split(&text, 11);
        assert!(pieces.iter().all(|piece| piece.chars().count() <= PIECE_MAX), "{pieces:?}");
    }
    let words = split(&"word ".repeat(500), 11);
    assert!(words.iter().all(|piece| piece.starts_with("word") && piece.ends_with("word")));
}

proptest! {
    #[test]
    fn nothing_is_lost_and_borders_do_not_matter(text in "[ a-zA-Z0-9.,!?\n\"()。é-]{0,400}", size in 1_usize..40) {
        let letters = |text: &str| -> String { text.chars().filter(|c| c.is_alphanumeric()).collect() };
        let pieces = split(&text, size);
        prop_assert_eq!(letters(&pieces.concat()), letters(&text));
        prop_assert_eq!(pieces, split(&text, 1));
    }

    #[test]
    fn any_text_is_survived_and_bounded(text in "\\PC{0,600}", size in 1_usize..40) {
        for piece in split(&text, size) {
            prop_assert!(piece.chars().count() <= PIECE_MAX);
            prop_assert!(!piece.chars().any(char::is_control));
        }
    }
}
