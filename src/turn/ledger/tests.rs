use super::*;
use proptest::prelude::*;

const U: UtteranceId = UtteranceId(1);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn word(text_end: usize, end: u64) -> WordTime {
    WordTime { text_end, end: ms(end) }
}

/// "Your appointment is on Monday", with the engine's times.
fn timed() -> Ledger {
    let mut ledger = Ledger::new(ms(60));
    ledger.text(U, "Your appointment is on Monday");
    let words = [word(4, 180), word(16, 820), word(19, 950), word(22, 1080), word(29, 1600)];
    ledger.synthesised(U, ms(1700), true, &words);
    ledger
}

#[test]
fn words_of_an_engine_are_cut_at_their_ends_less_the_network_delay() {
    for (played, heard) in [
        (0, ""),
        (239, ""),
        (240, "Your"),
        (879, "Your"),
        (880, "Your appointment"),
        (1_150, "Your appointment is on"),
        (1_659, "Your appointment is on"),
        (1_660, "Your appointment is on Monday"),
        (99_999, "Your appointment is on Monday"),
    ] {
        assert_eq!(timed().heard(U, ms(played)), heard, "{played}");
    }
    assert_eq!(timed().heard(UtteranceId(2), ms(5_000)), "");
}

#[test]
fn without_times_words_are_estimated_in_proportion() {
    let mut ledger = Ledger::new(Duration::ZERO);
    ledger.text(U, "aaaa aaaa aaaa aaaa");
    ledger.synthesised(U, ms(2_000), true, &[]);
    // A word ends at about 460, 980, 1500 and 2000 ms, and 120 ms are kept in doubt.
    for (played, words) in [(500, 0), (650, 1), (1_300, 2), (1_700, 3), (1_999, 3), (2_000, 4)] {
        let heard = ledger.heard(U, ms(played));
        assert_eq!(heard.split_whitespace().count(), words, "{played}: {heard}");
    }
}

#[test]
fn a_growing_utterance_is_estimated_slowly() {
    let mut ledger = Ledger::new(Duration::ZERO);
    ledger.text(U, "one two three four five six seven eight nine ten");
    ledger.synthesised(U, ms(300), false, &[]);
    // 300 ms of unknown length: at an ordinary pace "one" was said, but that is not sure.
    assert_eq!(ledger.heard(U, ms(300)), "");
    ledger.synthesised(U, ms(1_000), false, &[]);
    let early = ledger.heard(U, ms(1_000));
    ledger.synthesised(U, ms(3_000), true, &[]);
    let late = ledger.heard(U, ms(1_000));
    assert!(late.starts_with(&early), "{early:?} is more than {late:?}");
    assert!(!early.is_empty());
}

#[test]
fn a_slow_voice_is_learnt() {
    let mut ledger = Ledger::new(Duration::ZERO);
    let text = "quite a few words that are spoken extremely slowly";
    ledger.text(U, text);
    ledger.synthesised(U, ms(20_000), true, &[]);
    ledger.text(UtteranceId(2), text);
    ledger.synthesised(UtteranceId(2), ms(8_000), false, &[]);
    let heard = ledger.heard(UtteranceId(2), ms(8_000));
    let truth = ledger.heard(U, ms(8_000));
    assert!(truth.starts_with(&heard), "{heard:?} is more than {truth:?}");
}

#[test]
fn what_was_not_synthesised_cannot_have_been_played() {
    let mut ledger = Ledger::new(Duration::ZERO);
    ledger.text(U, "Hello there");
    assert_eq!(ledger.heard(U, ms(60_000)), "");
    ledger.synthesised(U, ms(100), false, &[word(5, 400)]);
    assert_eq!(ledger.heard(U, ms(60_000)), "");
    assert_eq!(ledger.heard_until(U, ms(60_000)), ms(100));
}

#[test]
fn hostile_word_times_are_ignored() {
    let mut ledger = Ledger::new(Duration::ZERO);
    ledger.text(U, "Zürich Straße");
    let words = [word(900, 10), word(2, 50), word(2, 40), word(1, 10), word(7, 20), word(14, 500)];
    ledger.synthesised(U, ms(900), true, &words);
    for played in 0..1_000 {
        let heard = ledger.heard(U, ms(played));
        assert!("Zürich Straße".starts_with(&heard));
    }
    // Of the marks only those that rise in text and time count: 2 at 50 ms and 14 at 500 ms.
    assert_eq!(ledger.heard(U, ms(50)), "");
    assert_eq!(ledger.heard(U, ms(499)), "Zürich");
    assert_eq!(ledger.heard(U, ms(900)), "Zürich Straße");
}

#[test]
fn words_within_a_marked_sentence_are_counted_by_their_letters() {
    let mut ledger = Ledger::new(Duration::ZERO);
    ledger.text(U, "Good morning to you. Goodbye.");
    ledger.synthesised(U, ms(3_000), true, &[word(20, 2_000), word(29, 3_000)]);
    let heard = |played| ledger.heard(U, ms(played));
    assert_eq!(heard(100), "");
    assert_eq!(heard(1_300), "Good morning");
    assert_eq!(
        (heard(1_999), heard(2_000)),
        ("Good morning to".into(), "Good morning to you.".into())
    );
    assert_eq!(heard(2_500), "Good morning to you.", "no word of the next before its mark");
}

#[test]
fn text_may_come_in_pieces_and_has_a_limit() {
    let mut ledger = Ledger::new(Duration::ZERO);
    ledger.text(U, "Hel");
    ledger.text(U, "lo you");
    assert_eq!(ledger.full(U), "Hello you");
    ledger.text(U, &"ä".repeat(TEXT_MAX));
    assert!(ledger.full(U).len() <= TEXT_MAX);
    for id in 2..=UTTERANCES_MAX as u64 + 1 {
        ledger.text(UtteranceId(id), "x");
    }
    assert_eq!(ledger.full(U), "", "the oldest is forgotten");
    assert_eq!(ledger.entries.len(), UTTERANCES_MAX);
}

#[test]
fn truncation_by_time_is_clamped_to_what_there_is() {
    let ledger = timed();
    for (played, received, wanted) in [
        (0, 1_700, 0),
        (30, 1_700, 0),
        (1_000, 1_700, 940),
        (5_000, 1_700, 1_640),
        (5_000, 500, 500),
        (5_000, 0, 0),
    ] {
        assert_eq!(ledger.audio_end_ms(U, ms(played), ms(received)), wanted, "{played} {received}");
    }
    assert_eq!(ledger.audio_end_ms(UtteranceId(9), ms(100), ms(100)), 0);
}

proptest! {
    /// Whole words, a beginning of the text, and more time never makes it less.
    #[test]
    fn heard_is_a_growing_beginning(
        text in "[a-z ,.0-9ä日]{0,60}",
        length in 0_u64..8_000,
        complete: bool,
        ends in prop::collection::vec((0_usize..80, 0_u64..8_000), 0..6),
        delay in 0_u64..200,
    ) {
        let mut ledger = Ledger::new(ms(delay));
        ledger.text(U, &text);
        let words: Vec<_> = ends.iter().map(|&(text_end, end)| word(text_end, end)).collect();
        ledger.synthesised(U, ms(length), complete, &words);
        let mut before = String::new();
        for played in (0..9_000).step_by(250) {
            let heard = ledger.heard(U, ms(played));
            prop_assert!(heard.starts_with(&before), "{before:?} then {heard:?}");
            let of = text.trim_start();
            prop_assert!(of.starts_with(&heard));
            let rest = &of[heard.len()..];
            prop_assert!(heard.is_empty() || rest.is_empty() || rest.starts_with(' '));
            before = heard;
        }
    }

    /// With an engine's times no word counts before its own end.
    #[test]
    fn no_word_is_heard_before_its_end(
        gaps in prop::collection::vec(1_u64..700, 1..8), played in 0_u64..6_000, delay in 0_u64..200,
    ) {
        let text = vec!["word"; gaps.len()].join(" ");
        let mut at = 0;
        let ends: Vec<u64> = gaps.iter().map(|gap| { at += gap; at }).collect();
        let words: Vec<_> = ends.iter().enumerate().map(|(n, &end)| word(n * 5 + 4, end)).collect();
        let mut ledger = Ledger::new(ms(delay));
        ledger.text(U, &text);
        ledger.synthesised(U, ms(at), true, &words);
        let heard = ledger.heard(U, ms(played)).split_whitespace().count();
        let truth = ends.iter().filter(|&&end| end + delay <= played).count();
        prop_assert!(heard <= truth, "{heard} of {truth}");
    }
}
