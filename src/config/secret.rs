//! Secrets: given as a file, an environment variable, a systemd credential or, with a warning,
//! as a literal. None is ever printed.
//!
//! Owns where a secret comes from. Its bytes leave only through [`Secret::expose`].

use super::declare::{Key, Kind, SECRET_ENDINGS, Setting};
use super::reader::Reader;
use super::tree::{Node, Table};
use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use std::path::{Path, PathBuf};

/// The longest secret that is read from a file.
const BYTES_MAX: u64 = 16 * 1024;

/// A text that must not be seen.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The text itself, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// The text in the wrapper that the cores take.
    #[must_use]
    pub fn to_secret_string(&self) -> SecretString {
        self.0.clone()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Setting for Secret {
    const KIND: Kind = Kind::Secret;

    fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Self> {
        let text = node.text().map_err(|what| reader.error(what)).ok()?;
        Some(Self::new(text))
    }

    fn stand_in() -> Self {
        Self::new("")
    }

    fn found(reader: &mut Reader<'_>, table: &Table, key: &'static Key) -> Option<Self> {
        find(reader, table, key)
    }
}

/// Reads a secret under whichever of its names was written; `None` if none was.
fn find(reader: &mut Reader<'_>, table: &Table, key: &'static Key) -> Option<Secret> {
    let mut found: Option<Secret> = None;
    let mut first: Option<String> = None;
    for ending in SECRET_ENDINGS {
        let name = format!("{}{ending}", key.name);
        let Some(node) = table.get(&name) else { continue };
        reader.inside(&name, |reader| {
            reader.visit(node);
            if let Some(first) = &first {
                reader.error(format!("is given twice: {first} is there too"));
                return;
            }
            first = Some(name.clone());
            // A secret that cannot be had is an error already; the rest is checked without it.
            found = Some(resolve(reader, node, ending).unwrap_or_else(Secret::stand_in));
        });
    }
    found
}

fn resolve(reader: &mut Reader<'_>, node: &Node, ending: &str) -> Option<Secret> {
    let text = node.text().map_err(|what| reader.error(what)).ok()?;
    let read = match ending {
        "_env" => reader
            .variables
            .get(text)
            .cloned()
            .ok_or_else(|| format!("environment variable {text} is not set")),
        "_file" => of_file(Path::new(text)),
        "_credential" => match reader.variables.get("CREDENTIALS_DIRECTORY") {
            Some(directory) => credential(directory, text).and_then(|path| of_file(&path)),
            None => Err("no systemd credentials here: CREDENTIALS_DIRECTORY is not set".to_owned()),
        },
        _ => {
            if node.outside.is_none() {
                reader.warning("is a secret in plain sight; use a file, environment or credential");
            }
            Ok(text.to_owned())
        }
    };
    match read {
        Ok(text) if text.is_empty() => {
            reader.error("is empty");
            None
        }
        Ok(text) => Some(Secret::new(text)),
        Err(what) => {
            reader.error(what);
            None
        }
    }
}

fn credential(directory: &str, name: &str) -> Result<PathBuf, String> {
    if name.contains('/') || name == ".." {
        return Err("is a credential's name, not a path".to_owned());
    }
    Ok(Path::new(directory).join(name))
}

/// The text of a secret's file without the line end that editors add.
fn of_file(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let size = std::fs::metadata(path).map_err(|error| format!("{shown}: {error}"))?;
    if !size.is_file() || size.len() > BYTES_MAX {
        return Err(format!("{shown} is not a file of at most {BYTES_MAX} bytes"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| format!("{shown}: {error}"))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}
