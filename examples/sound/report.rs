//! The report: tables in Markdown, pictures, and which promises were held.

use crate::chart::{self, Panel};
use anyhow::Result;
use std::fmt::Write as _;
use std::path::PathBuf;

/// A report that is being written.
pub struct Report {
    directory: PathBuf,
    text: String,
    promises: Vec<(bool, String)>,
}

impl Report {
    /// Begins a report in a directory, which is made.
    pub fn new(directory: PathBuf, preface: &str) -> Result<Self> {
        std::fs::create_dir_all(&directory)?;
        Ok(Self { directory, text: format!("# Sound\n\n{preface}\n"), promises: Vec::new() })
    }

    /// Begins a section.
    pub fn section(&mut self, title: &str, words: &str) {
        println!("\n{title}");
        let _ = write!(self.text, "\n## {title}\n\n{words}\n\n");
    }

    /// Adds a row of a table.
    pub fn row(&mut self, cells: impl Iterator<Item = impl AsRef<str>>) {
        let cells: Vec<String> = cells.map(|cell| cell.as_ref().to_owned()).collect();
        let line = format!("| {} |", cells.join(" | "));
        println!("{line}");
        let _ = writeln!(self.text, "{line}");
    }

    /// Adds the line below a table's head.
    pub fn rule(&mut self, columns: usize) {
        let _ = writeln!(self.text, "|{}", "---|".repeat(columns));
    }

    /// Notes whether something holds that we promise.
    pub fn promise(&mut self, held: bool, words: String) {
        self.promises.push((held, words));
    }

    /// Draws a picture below the table.
    pub fn picture(&mut self, name: &str, panels: &[Panel]) -> Result<()> {
        let file = format!("{name}.png");
        let _ = write!(self.text, "\n![{name}]({file})\n");
        chart::write(&self.directory.join(file), panels)
    }

    /// Writes the report; says where, and which promises were broken.
    pub fn finish(mut self) -> Result<(PathBuf, Vec<String>)> {
        let _ = write!(self.text, "\n## Promises\n\n");
        for (held, words) in &self.promises {
            let _ = writeln!(self.text, "- {}: {words}", if *held { "held" } else { "BROKEN" });
        }
        let path = self.directory.join("report.md");
        std::fs::write(&path, self.text)?;
        let broken = self.promises.into_iter().filter(|(held, _)| !held);
        Ok((path, broken.map(|(_, words)| words).collect()))
    }
}
