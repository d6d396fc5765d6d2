//! `bellwire gen`: pages and files that follow from declarations. For developers: `make gen`.

use super::{DONE, FAILED, compliance, print};
use crate::config::reference as config;
use crate::observe::reference as observe;
use clap::Args;
use std::path::{Path, PathBuf};

/// Write or check generated files.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub(super) struct GenArgs {
    /// Write the files.
    #[arg(long, group = "what")]
    write: bool,
    /// Exit with 1 if a file is not as it would be written.
    #[arg(long, group = "what")]
    check: bool,
    /// The top of the source tree.
    #[arg(long, default_value = ".")]
    root: PathBuf,
}

/// Every generated file: its path below the top of the source tree at `root`, and its text.
#[must_use]
pub fn files(root: &Path) -> Vec<(&'static str, String)> {
    vec![
        ("config/default.toml", config::default_file()),
        ("config/schema.json", config::schema()),
        ("docs/configuration.md", config::page()),
        ("docs/metrics.md", observe::page()),
        ("docs/cli.md", super::page()),
        ("docs/causes.md", crate::call::cause::page()),
        ("docs/compliance.md", compliance::page(root)),
        ("docs/openapi.json", crate::api::reference::openapi::text()),
        ("docs/asyncapi.json", crate::api::reference::asyncapi::text()),
    ]
}

/// The generated files that are not as they would be written.
#[must_use]
pub fn stale(root: &Path) -> Vec<&'static str> {
    let fresh = |path: &str, text: &str| {
        std::fs::read_to_string(root.join(path)).is_ok_and(|there| there == text)
    };
    files(root).iter().filter(|(path, text)| !fresh(path, text)).map(|(path, _)| *path).collect()
}

/// Writes or checks, as told.
pub(super) fn run(args: &GenArgs) -> u8 {
    let root = args.root.as_path();
    let stale = stale(root);
    if args.check {
        for path in &stale {
            print::err(format!("{path} is not fresh: run `make gen`"));
        }
        return if stale.is_empty() { DONE } else { FAILED };
    }
    for (path, text) in files(root).iter().filter(|(path, _)| stale.contains(path)) {
        let file = root.join(path);
        let made = file.parent().map_or(Ok(()), std::fs::create_dir_all);
        if let Err(error) = made.and_then(|()| std::fs::write(&file, text)) {
            print::err(format!("{}: {error}", file.display()));
            return FAILED;
        }
        print::out(format!("wrote {path}"));
    }
    DONE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_fresh_until_it_is_changed() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        assert_eq!(stale(root).len(), files(root).len());
        let args = |check: bool| GenArgs { write: !check, check, root: root.to_owned() };
        assert_eq!(run(&args(false)), DONE);
        assert_eq!(run(&args(true)), DONE);
        std::fs::write(root.join("docs/metrics.md"), "changed").unwrap();
        assert_eq!(stale(root), ["docs/metrics.md"]);
        assert_eq!(run(&args(true)), FAILED);
    }
}
