//! `make demo`: four real calls over SIP and RTP on this machine, and what they sounded like.
//!
//! ```text
//!  demo ── REST, WebSocket ──> bellwire serve ══ SIP, RTP ══> bellwire phone
//!    └── demo/out: what the phone heard and the client received (WAV), and a picture (PNG)
//! ```
//!
//! Starts the daemon with its built-in defaults and a phone as separate programs, places one call
//! each of FIXED_TTS, FIXED_AUDIO, DYNAMIC_STREAM and DYNAMIC_AGENT (a playbook: no key, no model),
//! and prints what was measured.

#![allow(
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a demo talks to its user, and its pictures and sounds are small"
)]

mod agent;
mod calls;
mod plot;
mod programs;

use anyhow::{Context as _, Result, ensure};
use calls::{Api, Outcome};
use programs::{Addresses, Programs};
use std::path::{Path, PathBuf};

const OUT: &str = "demo/out";

#[tokio::main]
async fn main() -> Result<()> {
    let out = PathBuf::from(OUT);
    if out.exists() {
        std::fs::remove_dir_all(&out).with_context(|| format!("emptying {OUT}"))?;
    }
    std::fs::create_dir_all(&out)?;
    let speech = calls::synthesise(&out.join("state")).await?;
    let question = out.join("caller-says.wav");
    calls::write_wav(&question, &speech.caller, 8000)?;
    let interruption = out.join("caller-interrupts.wav");
    calls::write_wav(&interruption, &speech.interruption, 8000)?;

    let addresses = Addresses::free()?;
    say("Starting bellwire phone and bellwire serve");
    let mut programs = Programs::start(&out, &addresses, &question)?;
    let api = Api::new(&addresses);
    api.wait_until_ready(&mut programs).await?;

    let mut outcomes = Vec::new();
    say("1/4  FIXED_TTS: text to speech");
    outcomes.push(api.fixed_tts().await?);
    say("2/4  FIXED_AUDIO: an MP3 file");
    outcomes.push(api.fixed_audio(include_bytes!("announcement.mp3")).await?);
    say("3/4  DYNAMIC_STREAM: live 24 kHz audio over a WebSocket");
    let stream = api.dynamic_stream(&speech.bot_24k).await?;
    let received = stream.received;
    outcomes.push(stream.outcome);
    say("4/4  DYNAMIC_AGENT: a playbook that is interrupted and confirmed by a key");
    programs.next_phone(&out, &addresses, &interruption).await?;
    outcomes.push(agent::call(&api).await?);
    programs.stop().await?;

    calls::write_wav(&out.join("client-received.wav"), &received, calls::OUT_RATE)?;
    let heard = phone_recordings(&out)?;
    print_table(&outcomes, &heard);
    let conversation = &outcomes[3].call["outcome"];
    say("What the agent and the phone said");
    agent::print(conversation);
    draw(&out, &heard, &received, conversation, &speech.interruption)?;
    println!("\nListen: {OUT}/phone-heard*.wav and {OUT}/client-received.wav");
    println!("Look:   {OUT}/demo.png");
    verify(&outcomes, &heard, &received)
}

fn say(what: &str) {
    println!("\n\x1b[1m{what}\x1b[0m");
}

struct Heard {
    path: PathBuf,
    samples: Vec<i16>,
}

fn phone_recordings(out: &Path) -> Result<Vec<Heard>> {
    let names =
        ["phone-heard.wav", "phone-heard-2.wav", "phone-heard-3.wav", "phone-heard-agent.wav"];
    let read = |name: &&str| {
        let path = out.join(name);
        let samples = calls::read_wav(&path)?;
        Ok(Heard { path, samples })
    };
    names.iter().map(read).collect()
}

fn print_table(outcomes: &[Outcome], heard: &[Heard]) {
    say("What was measured");
    println!(
        "{:<16}{:>9}{:>9}{:>9}{:>7}{:>9}{:>7}{:>9}{:>9}{:>10}{:>10}",
        "call",
        "ringing",
        "answer",
        "end",
        "codec",
        "packets",
        "loss",
        "pace p50",
        "p99",
        "played",
        "level"
    );
    for (outcome, heard) in outcomes.iter().zip(heard) {
        let row = outcome.row();
        println!(
            "{:<16}{:>7}ms{:>7}ms{:>7}ms{:>7}{:>9}{:>6.1}%{:>7.2}ms{:>7.2}ms{:>8}ms{:>6.1}dBov",
            row.call_type,
            row.ringing_ms,
            row.answered_ms,
            row.ended_ms,
            row.codec,
            row.packets,
            row.loss_percent,
            row.pacing_p50_ms,
            row.pacing_p99_ms,
            row.played_ms,
            calls::active_level(&heard.samples, 8000),
        );
    }
}

fn draw(
    out: &Path,
    heard: &[Heard],
    received: &[i16],
    conversation: &serde_json::Value,
    interruption: &[i16],
) -> Result<()> {
    let titles = [
        "FIXED_TTS: the phone heard (8 kHz)",
        "FIXED_AUDIO: the phone heard (8 kHz)",
        "DYNAMIC_STREAM: the phone heard (8 kHz)",
    ];
    let mut lanes: Vec<plot::Lane<'_>> = heard
        .iter()
        .zip(titles)
        .map(|(heard, title)| plot::Lane {
            title: title.to_owned(),
            samples: &heard.samples,
            rate: 8000,
            color: plot::HEARD,
            spans: Vec::new(),
        })
        .collect();
    lanes.push(plot::Lane {
        title: "DYNAMIC_STREAM: the client received (16 kHz)".to_owned(),
        samples: received,
        rate: calls::OUT_RATE,
        color: plot::RECEIVED,
        spans: Vec::new(),
    });
    let mut said = Vec::new();
    lanes.extend(agent::lanes(conversation, &heard[3].samples, &mut said, interruption));
    plot::write(&out.join("demo.png"), "Bellwire demo: four calls over SIP and RTP", &lanes)
}

/// The demo is a promise: what it shows must have happened.
fn verify(outcomes: &[Outcome], heard: &[Heard], received: &[i16]) -> Result<()> {
    for (outcome, heard) in outcomes.iter().zip(heard) {
        let row = outcome.row();
        ensure!(row.status == "COMPLETED", "{} ended as {}", row.call_type, row.status);
        ensure!(row.loss_percent < 1.0, "{} lost packets", row.call_type);
        let level = calls::active_level(&heard.samples, 8000);
        ensure!(level > -40.0, "{} is silent: {level:.1} dBov", heard.path.display());
    }
    agent::verify(&outcomes[3].call)?;
    let level = calls::active_level(received, calls::OUT_RATE);
    ensure!(level > -40.0, "the client received silence: {level:.1} dBov");
    Ok(())
}
