//! The command line: one subcommand, one file.
//!
//! ```text
//!  bellwire serve | check | init | call | stream | listen | conformance | phone | completion
//! ```
//!
//! The door to `clap`. Owns arguments, help texts and exit codes. Does no work of the gateway:
//! `serve` hands a valid configuration to `daemon`, `phone` hands its arguments to `phone`, and
//! `call`, `stream` and `listen` speak REST and WebSocket like any other client.

mod attach;
mod call;
mod check;
mod client;
pub mod compliance;
mod conformance;
pub mod generate;
mod init;
mod listen;
pub mod phone;
pub mod print;
mod serve;
mod sound;
mod stream;

use crate::config::{Config, ConfigErrors, LoadOptions, Loaded};
use clap::{Args, CommandFactory, Parser, Subcommand};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// It worked.
const DONE: u8 = 0;
/// It did not: the configuration has errors, the call failed, the gateway ended in an error.
const FAILED: u8 = 1;
/// The arguments make no sense (also clap's own code).
const USAGE: u8 = 2;
/// The API could not be reached, or refused.
const API: u8 = 3;

const EXAMPLES: &str = "\
Try it on one machine, in three terminals:
  bellwire phone --record heard.wav    a phone that answers, and keeps what it hears
  bellwire serve                       the gateway, with built-in settings
  bellwire call --to +15550100 --say 'Hello from Bellwire.'

Exit codes: 0 done, 1 failed, 2 wrong arguments, 3 the API cannot be reached or refuses.";

const SERVE_EXAMPLES: &str = "\
Examples:
  bellwire serve
  bellwire serve --config bellwire.toml --set rtp.ports=30000-30999
  BELLWIRE__LOG__LEVEL=debug bellwire serve

SIGTERM and Ctrl-C refuse new calls and wait for those that are on, as long as
limits.drain_timeout; a second signal ends them now.";

const CHECK_EXAMPLES: &str = "\
Example:
  bellwire check --config bellwire.toml";

/// Gives every phone call on a SIP trunk a programmable sound.
#[derive(Debug, Parser)]
#[command(name = "bellwire", version, after_help = EXAMPLES, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway in the foreground, until SIGTERM or Ctrl-C.
    ///
    /// It is ready when `GET /health/ready` on `api.admin_listen` answers 200.
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(ConfigArgs),
    /// Report everything that is wrong with a configuration, at once.
    ///
    /// Exit codes: 0 it can be used (there may be warnings), 1 it cannot, 2 wrong arguments.
    #[command(after_help = CHECK_EXAMPLES)]
    Check(ConfigArgs),
    Init(init::InitArgs),
    Call(call::CallArgs),
    Stream(stream::StreamArgs),
    Listen(listen::ListenArgs),
    Conformance(conformance::ConformanceArgs),
    Phone(phone::PhoneArgs),
    Completion(CompletionArgs),
    #[command(hide = true)]
    Gen(generate::GenArgs),
}

/// Where the configuration comes from; shared by `serve` and `check`.
#[derive(Debug, Args)]
struct ConfigArgs {
    /// The configuration file [default: /etc/bellwire/bellwire.toml, else built-in settings]
    #[arg(long, short, value_name = "FILE", env = "BELLWIRE_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
    /// Set one option, over file and environment; may be repeated.
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    sets: Vec<String>,
}

impl ConfigArgs {
    fn load(self) -> Result<Loaded, ConfigErrors> {
        Config::load(&self.options())
    }

    fn options(self) -> LoadOptions {
        LoadOptions::from_process(self.config, self.sets)
    }
}

/// Print a completion script for your shell.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  bellwire completion bash > \
    ~/.local/share/bash-completion/completions/bellwire")]
struct CompletionArgs {
    /// Which shell.
    shell: clap_complete::Shell,
}

/// Runs the program with the arguments of the process.
#[must_use]
pub fn main() -> ExitCode {
    let code = match Cli::parse().command {
        Command::Serve(args) => serve::run(args),
        Command::Check(args) => check::run(args),
        Command::Init(args) => init::run(&args),
        Command::Call(args) => call::run(&args),
        Command::Stream(args) => stream::run(&args),
        Command::Listen(args) => listen::run(&args),
        Command::Conformance(args) => conformance::run(&args),
        Command::Phone(args) => phone::run(args),
        Command::Completion(args) => completion(&args),
        Command::Gen(args) => generate::run(&args),
    };
    ExitCode::from(code)
}

fn completion(args: &CompletionArgs) -> u8 {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "bellwire", &mut script);
    print::out(String::from_utf8_lossy(&script).trim_end());
    DONE
}

/// The help texts of all commands, `docs/cli.md`.
fn page() -> String {
    let mut cli = Cli::command().term_width(90);
    let mut page = format!(
        "# Command line\n\nGenerated from the declarations in `src/cli` by `make gen`.\n\n\
         ```text\n{}```\n",
        plain(&cli.render_long_help().to_string())
    );
    for command in cli.get_subcommands_mut().filter(|command| !command.is_hide_set()) {
        let name = command.get_name().to_owned();
        let mut command = command.clone().bin_name(format!("bellwire {name}")).term_width(90);
        let help = plain(&command.render_long_help().to_string());
        let _ = write!(page, "\n## `bellwire {name}`\n\n```text\n{help}```\n");
    }
    page
}

/// Without blanks at the ends of lines.
fn plain(text: &str) -> String {
    text.lines().flat_map(|line| [line.trim_end(), "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_help_with_examples() {
        for command in Cli::command().get_subcommands_mut().filter(|command| !command.is_hide_set())
        {
            let help = command.render_long_help().to_string();
            let name = command.get_name();
            assert!(command.get_about().is_some(), "{name}");
            assert!(help.contains("Example"), "{name}:\n{help}");
        }
    }

    #[test]
    fn completion_scripts_know_the_commands() {
        let mut script = Vec::new();
        clap_complete::generate(
            clap_complete::Shell::Bash,
            &mut Cli::command(),
            "bellwire",
            &mut script,
        );
        let script = String::from_utf8(script).unwrap();
        assert!(script.contains("serve") && script.contains("phone"));
    }
}
