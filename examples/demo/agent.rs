//! The fourth call: an agent that follows a playbook, is interrupted, asks and reports.

use crate::calls::{Api, Outcome};
use crate::plot::{HEARD, Lane, RECEIVED, Span};
use anyhow::{Context as _, Result, ensure};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::WebColors;
use serde_json::{Value, json};

/// What the phone says over the agent's words.
pub const INTERRUPTION: &str = "Which restaurant is this please?";

/// What the phone does in the course of the call.
pub fn deeds(interruption: &str) -> Vec<String> {
    vec![
        "--at".to_owned(),
        format!("spoken:3500ms=play:{interruption}"),
        "--at".to_owned(),
        "quiet:900ms=dtmf:1".to_owned(),
    ]
}

fn playbook() -> Value {
    json!({
        "backend": "script",
        "disclosure": "This is an automatic call.",
        "resultSchema": {
            "type": "object",
            "properties": { "choice": { "type": "integer", "enum": [1, 2] } },
            "required": ["choice"],
        },
        "steps": [
            { "ask": { "speech": true }, "timeout": 2,
              "text": "Hello, this is the Blue Door with a friendly reminder. You have a table for \
                       two at seven o'clock tomorrow evening, by the window, as you asked for when \
                       you called us last week, and the cook has found some very good fish." },
            { "say": "It is the Blue Door. Press one to keep your table, or two to let it go." },
            { "ask": { "dtmf": ["1", "2"] }, "timeout": 8, "saveAs": "choice" },
            { "branch": { "on": "choice", "cases": {
                "1": [{ "say": "Thank you. We look forward to seeing you. Goodbye." }],
                "2": [{ "say": "Your table is free again. Goodbye." }],
            }, "otherwise": [{ "repeat": 2 }] } },
            { "record": { "choice": "{choice}" } },
            { "hangup": {} },
        ],
    })
}

/// Places the call and waits until it has ended.
pub async fn call(api: &Api) -> Result<Outcome> {
    let begun = std::time::Instant::now();
    let id = api.create("DYNAMIC_AGENT", "agent", playbook()).await?;
    api.follow(&id, begun).await
}

/// Prints who said what, and what came of it.
pub fn print(outcome: &Value) {
    for line in lines(outcome) {
        let (speaker, text) = (text(line, "speaker"), text(line, "text"));
        let digits = text_of_keys(line);
        let cut = if line["interrupted"] == true { " … [interrupted]" } else { "" };
        println!("     {:>5} ms  {speaker:<7} {text}{digits}{cut}", line["start_ms"]);
    }
    println!(
        "     result {} after {} interruption(s)",
        outcome["result"], outcome["interruptions"]
    );
    for turn in outcome["turns"].as_array().into_iter().flatten() {
        println!(
            "     turn {}: first RTP after {} ms, {} ms of it our own",
            turn["turn"], turn["first_rtp_ms"], turn["gateway_ms"]
        );
    }
}

/// Two lanes: what the phone heard, and what it said, with who spoke when below.
pub fn lanes<'a>(
    outcome: &Value,
    heard: &'a [i16],
    said: &'a mut Vec<i16>,
    words: &[i16],
) -> Vec<Lane<'a>> {
    let mut spans = Vec::new();
    for line in lines(outcome) {
        let seconds = |key: &str| line[key].as_f64().unwrap_or(0.0) / 1000.0;
        let agent = line["speaker"] == "agent";
        let color = if agent { Rgb888::CSS_STEEL_BLUE } else { Rgb888::CSS_INDIAN_RED };
        let label =
            if agent { "agent".to_owned() } else { format!("caller{}", text_of_keys(line)) };
        spans.push(Span { from: seconds("start_ms"), to: seconds("end_ms"), color, label });
        if !agent && text_of_keys(line).is_empty() && said.is_empty() {
            said.resize((seconds("start_ms") * 8000.0) as usize, 0);
            said.extend_from_slice(words);
        }
    }
    said.resize(said.len().max(heard.len()), 0);
    let lane = |title: &str, samples, color, spans| Lane {
        title: title.to_owned(),
        samples,
        rate: 8000,
        color,
        spans,
    };
    vec![
        lane("DYNAMIC_AGENT: the phone heard (8 kHz)", heard, HEARD, Vec::new()),
        lane(
            "DYNAMIC_AGENT: the phone said; below, who spoke when: agent blue, caller red, keys in brackets",
            said,
            RECEIVED,
            spans,
        ),
    ]
}

/// What the demo promises of this call.
pub fn verify(call: &Value) -> Result<()> {
    let outcome = &call["outcome"];
    ensure!(outcome["result"] == json!({ "choice": 1 }), "the agent's result: {outcome}");
    let interruptions = outcome["interruptions"].as_u64().context("interruptions")?;
    ensure!(interruptions == 1, "the agent was interrupted {interruptions} times");
    let heard: String = lines(outcome).map(|line| text(line, "text") + " ").collect();
    ensure!(!heard.contains("very good fish"), "nobody heard this: {heard}");
    Ok(())
}

fn lines(outcome: &Value) -> impl Iterator<Item = &Value> {
    outcome["transcript"].as_array().into_iter().flatten()
}

fn text(line: &Value, key: &str) -> String {
    line[key].as_str().unwrap_or_default().to_owned()
}

fn text_of_keys(line: &Value) -> String {
    match line["digits"].as_str() {
        Some(keys) if !keys.is_empty() => format!(" [{keys}]"),
        _ => String::new(),
    }
}
