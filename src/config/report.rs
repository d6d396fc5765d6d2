//! What is wrong with a configuration: every finding at once, each with its place.
//!
//! Owns how findings are worded and ordered. Does not find any.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The file as a whole, or what is missing from it.
    File(PathBuf),
    /// A line of the file, counted from 1.
    Line(PathBuf, usize),
    /// The environment or the command line.
    Outside(Arc<str>),
    /// Nowhere: a default.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Line(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Outside(source) => f.write_str(source),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// The key, e.g. `trunk[0].proxy`; empty for the file as a whole.
    pub path: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            write!(f, "{}: {}", self.place, self.message)
        } else {
            write!(f, "{}: {}: {}", self.place, self.path, self.message)
        }
    }
}

/// Everything that keeps a configuration from being used, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors {
    /// The errors; at least one.
    pub problems: Vec<Problem>,
    /// What was also found.
    pub warnings: Vec<Problem>,
}

impl ConfigErrors {
    /// One error about a file as a whole.
    #[must_use]
    pub fn of_file(file: &Path, message: impl Into<String>) -> Self {
        let problem = Problem {
            place: Place::File(file.to_owned()),
            path: String::new(),
            message: message.into(),
        };
        Self { problems: vec![problem], warnings: Vec::new() }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// The candidate with the fewest edits from `wrong`, if it is near enough to be meant.
#[must_use]
pub fn nearest<'a>(wrong: &str, candidates: &'a [String]) -> Option<&'a str> {
    let wrong = wrong.to_lowercase();
    let limit = (wrong.chars().count() / 3).clamp(2, 4);
    candidates
        .iter()
        .map(|candidate| (edits(&wrong, candidate), candidate))
        .filter(|(distance, candidate)| {
            *distance <= limit || candidate.starts_with(&wrong) || wrong.starts_with(*candidate)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate.as_str())
}

/// Levenshtein distance with swaps of neighbours counted as one edit.
///
/// Cost: O(n·m) time and O(m) memory; inputs beyond 64 characters count as far away.
fn edits(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().take(65).collect();
    let to: Vec<char> = to.chars().take(65).collect();
    if from.len() > 64 || to.len() > 64 {
        return usize::MAX;
    }
    let mut before: Vec<usize> = vec![0; to.len() + 1];
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (row, &a) in from.iter().enumerate() {
        let mut this = vec![row + 1; to.len() + 1];
        for (column, &b) in to.iter().enumerate() {
            let change = last[column] + usize::from(a != b);
            let mut best = change.min(last[column + 1] + 1).min(this[column] + 1);
            if row > 0 && column > 0 && a == to[column - 1] && from[row - 1] == b {
                best = best.min(before[column - 1] + 1);
            }
            this[column + 1] = best;
        }
        before = std::mem::replace(&mut last, this);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_edits() {
        for (from, to, distance) in [
            ("", "", 0),
            ("", "ab", 2),
            ("ports", "ports", 0),
            ("prots", "ports", 1),
            ("port", "ports", 1),
            ("listenn", "listen", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(edits(from, to), distance, "{from} → {to}");
        }
        assert_eq!(edits(&"x".repeat(1000), "x"), usize::MAX);
    }

    #[test]
    fn suggests_only_what_may_be_meant() {
        let names: Vec<String> = ["ports", "ptime", "workers"].map(String::from).to_vec();
        assert_eq!(nearest("port", &names), Some("ports"));
        assert_eq!(nearest("Workers", &names), Some("workers"));
        assert_eq!(nearest("colour", &names), None);
    }

    #[test]
    fn a_problem_names_its_place_and_key() {
        let problem = Problem {
            place: Place::Line("bellwire.toml".into(), 7),
            path: "rtp.ports".into(),
            message: "is empty".into(),
        };
        assert_eq!(problem.to_string(), "bellwire.toml:7: rtp.ports: is empty");
    }
}
