//! What came of the trials, for people and for programs.
//!
//! Owns the words; decides nothing.

use super::trial::Outcome;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// One scenario as lines: its verdict first, then each expectation.
pub(super) fn text(name: &str, about: &str, outcome: &Outcome, log: bool) -> String {
    let mark = |passed: bool| if passed { "PASS" } else { "FAIL" };
    let mut text = format!("{}  {name}", mark(outcome.passed()));
    if !about.is_empty() {
        let _ = write!(text, ": {about}");
    }
    for verdict in &outcome.verdicts {
        let sign = if verdict.passed { "ok  " } else { "NOT " };
        let _ = write!(text, "\n      {sign}  {}", verdict.title);
        if !verdict.detail.is_empty() {
            let _ = write!(text, ": {}", verdict.detail);
        }
    }
    let _ = write!(
        text,
        "\n            {:.1} s, {} messages and {} octets of sound came, {}",
        outcome.lasted.as_secs_f64(),
        outcome.messages,
        outcome.octets,
        outcome.gaps
    );
    // Of what failed the conversation is what one wants to see.
    if log || !outcome.passed() {
        for (at, who, what) in &outcome.log {
            let short: String = what.chars().take(160).collect();
            let _ = write!(text, "\n      {:>7.2} s  {who:<8}{short}", at.as_secs_f64());
        }
    }
    text
}

/// The same as one JSON object.
pub(super) fn object(name: &str, outcome: &Outcome) -> Value {
    let verdict = |verdict: &super::script::Verdict| json!({"title": verdict.title, "passed": verdict.passed, "detail": verdict.detail});
    json!({
        "scenario": name,
        "passed": outcome.passed(),
        "lasted_ms": u64::try_from(outcome.lasted.as_millis()).unwrap_or(u64::MAX),
        "messages": outcome.messages,
        "octets": outcome.octets,
        "gaps": outcome.gaps,
        "verdicts": outcome.verdicts.iter().map(verdict).collect::<Vec<_>>(),
    })
}

/// The last line.
pub(super) fn sum(passed: usize, all: usize) -> String {
    let failed = all.saturating_sub(passed);
    format!("{all} scenarios: {passed} passed, {failed} failed")
}

#[cfg(test)]
mod tests {
    use super::super::script::Verdict;
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_report_says_what_was_not_as_it_should_be() {
        let verdict = |title: &str, passed| Verdict {
            title: title.to_owned(),
            passed,
            detail: "after 20 ms".to_owned(),
        };
        let mut outcome = Outcome {
            verdicts: vec![verdict("one", true)],
            lasted: Duration::from_millis(1540),
            octets: 640,
            messages: 2,
            gaps: "no gap".to_owned(),
            heard: Vec::new(),
            log: vec![(Duration::from_millis(20), "program", "{\"type\":\"mark\"}".to_owned())],
        };
        let good = text("greeting", "greets", &outcome, false);
        assert_eq!(
            good,
            "PASS  greeting: greets\n      ok    one: after 20 ms\n            \
            1.5 s, 2 messages and 640 octets of sound came, no gap"
        );
        outcome.verdicts.push(verdict("two", false));
        let bad = text("greeting", "", &outcome, false);
        assert!(bad.starts_with("FAIL  greeting\n") && bad.contains("NOT   two"), "{bad}");
        assert!(bad.ends_with("0.02 s  program {\"type\":\"mark\"}"), "{bad}");
        let object = object("greeting", &outcome);
        assert_eq!((&object["passed"], &object["lasted_ms"]), (&json!(false), &json!(1540)));
        assert_eq!(sum(1, 3), "3 scenarios: 1 passed, 2 failed");
    }
}
