//! The `bellwire` program: hands over to [`bellwire::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    bellwire::cli::main()
}
