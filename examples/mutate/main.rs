//! `make mutate N=1000000`: so many mutated messages against the SIP core, and how it took them.
//!
//! No message may make it panic, take longer than 5 ms, or keep it from answering OPTIONS; in the
//! end no state of them may be left. The exit code is 1 otherwise. A smaller number runs in every
//! test run (`tests/mutations`).

#![expect(clippy::unwrap_used, reason = "without its corpus there is nothing to do")]

#[path = "../../tests/mutations/rig.rs"]
mod rig;

use clap::Parser;
use rig::Range;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

/// Most time for one message.
const SLOW: Duration = Duration::from_millis(5);

/// Fires mutated messages and tells what became of them.
#[derive(Parser)]
struct Arguments {
    /// How many.
    #[arg(long, default_value_t = 1_000_000)]
    messages: u64,
    /// Another seed, another history.
    #[arg(long, default_value_t = 1)]
    seed: u8,
}

fn main() -> std::io::Result<ExitCode> {
    let arguments = Arguments::parse();
    let mut range = Range::new([arguments.seed; 32]);
    range.fire(arguments.messages);
    let left = range.settle();
    let tally = &range.tally;
    let mut out = std::io::stdout().lock();
    writeln!(out, "  messages          {}", tally.messages)?;
    writeln!(out, "  answered          {}", tally.answered)?;
    for (why, count) in &tally.dropped {
        writeln!(out, "  dropped: {why:<17} {count}")?;
    }
    writeln!(out, "  absorbed          {}", tally.absorbed)?;
    writeln!(out, "  sessions begun    {}", tally.sessions)?;
    writeln!(out, "  OPTIONS answered  {}", tally.probes)?;
    let each = tally.total / u32::try_from(tally.messages.max(1)).unwrap_or(u32::MAX);
    writeln!(out, "  handling time     {each:?} on average, {:?} at worst", tally.worst)?;
    writeln!(out, "  left at the end   {left:?}")?;
    let good = left == bellwire::sip::endpoint::EndpointStats::default() && tally.worst < SLOW;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
