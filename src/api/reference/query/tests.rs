//! The parameters of the document, of the page and of the code.

use super::super::field::Values;
use super::*;
use crate::app::stream::options::{PARAMETERS, Protocol};
use crate::app::stream::resume::Token;
use crate::app::stream::{QueryBlame, QueryProblem, StreamOptions};
use std::collections::BTreeSet;

const PAGE: &str = include_str!("../../../../docs/stream.md");

/// Name and rule of each parameter of the page, and whether it has a star.
fn paged() -> Vec<(String, bool)> {
    let (_, table) = PAGE.split_once("\n| parameter | values |\n").unwrap();
    let rows = table.lines().take_while(|line| line.starts_with('|')).skip(1);
    let cells = rows.map(|row| row.split(" | ").next().unwrap().trim_start_matches("| "));
    let names = cells.flat_map(|cell| cell.split(", "));
    names
        .map(|name| {
            let star = name.ends_with('*');
            (name.trim_end_matches('*').trim_matches('`').to_owned(), star)
        })
        .collect()
}

fn read(field: &Field, value: &str) -> Result<StreamOptions, QueryProblem> {
    let token = Token::draw(&[7; 32], 1).to_string();
    // What it needs beside it.
    let beside: &[(&str, &str)] = match (field.name, value) {
        ("resume", _) => &[("since", "1")],
        ("since", _) => &[("resume", &token)],
        ("heard", _) => &[("resume", &token), ("since", "1")],
        ("on_lost", "prompt") => &[("prompt_text", "Hold on.")],
        _ => &[],
    };
    let mut pairs = vec![(field.name.to_owned(), value.to_owned())];
    pairs.extend(beside.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    StreamOptions::from_query::<&str>(&pairs, &[])
}

/// Values that are taken, and values that are not.
fn values(field: &Field) -> (Vec<String>, Vec<String>) {
    let one = |text: &str| vec![text.to_owned()];
    match (field.values, field.name) {
        (Values::Words(words), _) => {
            (words.iter().map(ToString::to_string).collect(), one("no such word"))
        }
        (Values::Numbers(numbers), _) => {
            (numbers.iter().map(ToString::to_string).collect(), one("11"))
        }
        (Values::Range(least, most), _) => {
            let below = i64::from(least) - 1;
            (
                vec![least.to_string(), most.to_string()],
                vec![below.to_string(), (most + 1).to_string()],
            )
        }
        (Values::Any, "events") => (vec!["mark,dtmf,concealed".to_owned()], one("markings")),
        (Values::Any, "resume") => (vec![Token::draw(&[7; 32], 1).to_string()], one("x")),
        (Values::Any, "since" | "heard") => (one("17"), one("-1")),
        (Values::Any, "prompt_text") => (one("Hold on."), vec![String::new(), "a".repeat(1001)]),
        (Values::Any, "ticket") => (one("x"), Vec::new()),
        (Values::Any, other) => panic!("{other} needs values in this test"),
    }
}

#[test]
fn document_page_and_code_have_the_same_parameters() {
    let declared: BTreeSet<&str> = QUERY.iter().map(|field| field.name).collect();
    assert_eq!(declared.len(), QUERY.len(), "a name is there twice");
    assert_eq!(declared, BTreeSet::from(PARAMETERS));
    let page = paged();
    let names: BTreeSet<&str> = page.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), page.len(), "docs/stream.md has a name twice");
    assert_eq!(names, declared, "docs/stream.md and the code differ");
}

#[test]
fn values_and_bounds_are_those_of_the_code() {
    let mut refused = 0;
    for field in QUERY {
        let (good, bad) = values(field);
        for value in good {
            match read(field, &value) {
                Ok(_) => {}
                Err(problem) => {
                    let unbuilt = ["opus", "ogg"].contains(&value.as_str());
                    let later = problem.blame == QueryBlame::Unsupported;
                    assert!(unbuilt && later && !cfg!(feature = "opus"), "{problem}");
                }
            }
        }
        for value in bad {
            let problem = read(field, &value).unwrap_err();
            let (parameter, blame) = (problem.parameter.as_str(), problem.blame);
            assert_eq!((parameter, blame), (field.name, QueryBlame::Invalid), "{value}: {problem}");
            refused += 1;
        }
    }
    assert!(refused > QUERY.len(), "{refused}");
}

#[test]
fn the_protocols_are_all_that_are_served() {
    let declared = QUERY.iter().find(|field| field.name == "protocol").unwrap();
    let served = Protocol::ALL.map(Protocol::as_str);
    assert!(matches!(declared.values, Values::Words(words) if words == served));
}

#[test]
fn a_star_on_the_page_means_that_the_full_protocol_is_chosen() {
    let page = paged();
    for field in QUERY.iter().filter(|field| !["protocol", "ticket"].contains(&field.name)) {
        let (good, _) = values(field);
        let chosen = read(field, &good[0]).unwrap().protocol;
        let star = page.iter().find(|(name, _)| name == field.name).unwrap().1;
        let native = chosen == Some(Protocol::Native);
        assert_eq!(star, native, "{}: docs/stream.md has a wrong star", field.name);
        assert!(native || chosen.is_none());
    }
}

#[test]
fn messages_that_may_be_left_out_are_chosen_by_their_names() {
    // What comes in any case, and what is no event.
    let always = ["start", "stop", "ack", "error", "pong", "audio"];
    let events = QUERY.iter().find(|field| field.name == "events").unwrap();
    for message in super::super::messages::FROM_SERVER {
        let chosen = read(events, message.name).is_ok();
        assert_eq!(chosen, !always.contains(&message.name), "{}", message.name);
    }
}
