//! `bellwire check`: everything that is wrong with a configuration, at once.

use super::{ConfigArgs, DONE, FAILED, print};
use crate::config::{ConfigErrors, Loaded};

/// Prints findings to standard error and the effective addresses to standard output.
pub(super) fn run(args: ConfigArgs) -> u8 {
    match args.load() {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                print::err(format!("warning: {warning}"));
            }
            let faults = faults(&loaded);
            if !faults.is_empty() {
                print::err(faults);
                return FAILED;
            }
            print::out(summary(&loaded));
            DONE
        }
        Err(errors) => {
            print::err(refusal(&errors));
            FAILED
        }
    }
}

/// What would keep the daemon from starting although each option is good.
fn faults(loaded: &Loaded) -> String {
    let lines = crate::daemon::stream_faults(&loaded.config);
    lines.iter().map(|fault| format!("error: {fault}")).collect::<Vec<_>>().join("\n")
}

fn summary(loaded: &Loaded) -> String {
    let config = &loaded.config;
    let file = loaded
        .file
        .as_ref()
        .map_or_else(|| "The built-in configuration".to_owned(), |file| file.display().to_string());
    let sip: Vec<String> = config.sip.listen.iter().map(ToString::to_string).collect();
    let keys = match config.api.key.len() {
        0 => "no key: every local process may use it".to_owned(),
        1 => "1 key".to_owned(),
        several => format!("{several} keys"),
    };
    let verdict = match loaded.warnings.len() {
        0 => "is valid".to_owned(),
        1 => "is valid, with 1 warning".to_owned(),
        several => format!("is valid, with {several} warnings"),
    };
    [
        format!("{file} {verdict}."),
        format!("  API    http://{} ({keys})", config.api.listen),
        format!("  admin  http://{}", config.api.admin_listen),
        format!("  SIP    {}", sip.join(" ")),
        format!("  RTP    {} ports {}", config.rtp.address, config.rtp.ports),
        format!("  state  {}", config.node.data_dir.display()),
        format!(
            "  {} trunks, {} instances, {} routes, {} voices",
            config.trunk.len(),
            config.instance.len(),
            config.route.len(),
            config.voice.len()
        ),
    ]
    .join("\n")
}

fn refusal(errors: &ConfigErrors) -> String {
    let mut lines: Vec<String> =
        errors.warnings.iter().map(|warning| format!("warning: {warning}")).collect();
    lines.extend(errors.problems.iter().map(|problem| format!("error: {problem}")));
    lines.push(match errors.problems.len() {
        1 => "1 error".to_owned(),
        several => format!("{several} errors"),
    });
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, LoadOptions};

    fn load(text: &str) -> Result<Loaded, ConfigErrors> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("b.toml");
        std::fs::write(&file, text).unwrap();
        Config::load(&LoadOptions { file: Some(file), ..LoadOptions::default() })
    }

    #[test]
    fn a_good_file_shows_where_it_listens() {
        let text = summary(&load("[rtp]\nports = \"20000-20019\"").unwrap());
        for part in ["b.toml is valid, with 1 warning", "http://127.0.0.1:8080", "no key"] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(text.contains("udp:127.0.0.1:5060 tcp:127.0.0.1:5060"), "{text}");
    }

    #[test]
    fn streams_that_could_not_be_agreed_on_are_found_before_the_start() {
        let file = |options: &str| {
            format!(
                "[[trunk]]\nname = \"a\"\nproxy = \"sip:192.0.2.1\"\n[[instance]]\nid = \"inst_a\"\n\
                 trunk = \"a\"\n[instance.stream]\nurl = \"wss://bot.example\"\noptions = \"{options}\"\n\
                 [[route]]\naction = \"stream\"\ninstance = \"inst_a\"\n[route.stream]\noptions = \"{options}\"\n"
            )
        };
        assert_eq!(faults(&load(&file("rate=8000&listen=both")).unwrap()), "");
        let found = faults(&load(&file("rate=11025")).unwrap());
        let lines: Vec<&str> = found.lines().collect();
        assert_eq!(lines.len(), 2, "{found}");
        assert!(lines[0].starts_with("error: instance inst_a, stream: options"), "{found}");
        assert!(lines[1].starts_with("error: route[0], stream: options"), "{found}");
        assert!(found.contains("must be 8000, 16000"), "{found}");
    }

    #[test]
    fn the_example_files_are_valid_without_a_warning() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
        for name in ["low-latency.toml", "lossy-network.toml", "human-bridge.toml"] {
            let file = Some(root.join(name));
            let loaded = Config::load(&LoadOptions { file, ..LoadOptions::default() });
            let loaded = loaded.unwrap_or_else(|errors| panic!("{}", refusal(&errors)));
            let text = summary(&loaded);
            assert!(text.contains(name) && !text.contains("warning"), "{text}");
        }
    }

    #[test]
    fn a_bad_file_shows_every_finding() {
        let errors = load("[rtp]\nprots = 1\nptime = \"1\"\naddress = \"0.0.0.0\"").unwrap_err();
        let text = refusal(&errors);
        for part in ["b.toml:2: rtp.prots", "b.toml:3: rtp.ptime", "warning: ", "2 errors"] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }
}
