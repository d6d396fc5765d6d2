//! `bellwire init`: a commented configuration file and a systemd unit to begin with.

use super::{DONE, FAILED, print};
use crate::config::{LAPTOP, reference};
use clap::Args;
use std::io::Write;
use std::path::{Path, PathBuf};

const UNIT: &str = include_str!("../../systemd/bellwire.service");

/// Write a commented configuration file and a systemd unit into a directory.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sudo bellwire init /etc/bellwire\n  \
    sudo mv /etc/bellwire/bellwire.service /etc/systemd/system/\n  \
    sudo systemctl daemon-reload && sudo systemctl enable --now bellwire")]
pub(super) struct InitArgs {
    /// The directory; created if absent.
    dir: PathBuf,
    /// Overwrite files that are there already.
    #[arg(long)]
    force: bool,
}

/// Writes both files, or none.
pub(super) fn run(args: &InitArgs) -> u8 {
    let program = std::env::current_exe().unwrap_or_else(|_| "/usr/bin/bellwire".into());
    match write(&args.dir, args.force, &program) {
        Ok(files) => {
            for file in files {
                print::out(format!("wrote {}", file.display()));
            }
            let file = args.dir.join("bellwire.toml");
            print::out(format!("next: bellwire check --config {}", file.display()));
            DONE
        }
        Err(message) => {
            print::err(format!("bellwire init: {message}"));
            FAILED
        }
    }
}

fn write(dir: &Path, force: bool, program: &Path) -> Result<Vec<PathBuf>, String> {
    std::fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let dir = dir.canonicalize().map_err(|error| format!("{}: {error}", dir.display()))?;
    let toml = dir.join("bellwire.toml");
    let unit = dir.join("bellwire.service");
    let files = [(&toml, file()), (&unit, unit_for(program, &toml))];
    if !force && let Some((file, _)) = files.iter().find(|(file, _)| file.exists()) {
        return Err(format!("{} is there already; --force overwrites it", file.display()));
    }
    for (file, text) in &files {
        let mut options = std::fs::OpenOptions::new();
        options.write(true).truncate(true).create(force).create_new(!force);
        options
            .open(file)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(vec![toml, unit])
}

/// A file that works as it is, and shows every option.
fn file() -> String {
    let line: String =
        LAPTOP.lines().skip_while(|line| line.starts_with('#')).flat_map(|l| [l, "\n"]).collect();
    format!(
        "# Bellwire. Look it over with `bellwire check --config THIS_FILE`.\n\n\
         # Your carrier, your line, and what inbound calls meet. As it stands everything stays on\n\
         # this machine: the trunk leads to `bellwire phone`.\n{line}\n{}",
        reference::default_file()
    )
}

fn unit_for(program: &Path, toml: &Path) -> String {
    UNIT.replace("/usr/bin/bellwire", &program.display().to_string())
        .replace("/etc/bellwire/bellwire.toml", &toml.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, LoadOptions};

    #[test]
    fn what_it_writes_is_valid_and_is_not_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let dir = directory.path().join("new");
        let program = Path::new("/opt/bellwire");
        let files = write(&dir, false, program).unwrap();
        let options = LoadOptions { file: Some(files[0].clone()), ..LoadOptions::default() };
        let loaded = Config::load(&options).unwrap();
        assert_eq!(loaded.warnings, []);
        assert_eq!(loaded.config.trunk.len(), 1);
        let unit = std::fs::read_to_string(&files[1]).unwrap();
        let start = format!("ExecStart=/opt/bellwire serve --config {}", files[0].display());
        assert!(unit.contains(&start), "{unit}");

        std::fs::write(&files[0], "mine").unwrap();
        let refused = write(&dir, false, program).unwrap_err();
        assert!(refused.contains("--force"), "{refused}");
        assert_eq!(std::fs::read_to_string(&files[0]).unwrap(), "mine");
        write(&dir, true, program).unwrap();
        assert_ne!(std::fs::read_to_string(&files[0]).unwrap(), "mine");
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(write(&file, false, Path::new("/x")).unwrap_err().contains("file"));
    }
}
