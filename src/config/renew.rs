//! What a running configuration takes over from one that was read in its place.
//!
//! ```text
//!  running ─┐
//!           ├─ key by key, by its class ──> the one that runs from here on, and what differs
//!  new ─────┘
//! ```
//!
//! A key that needs a restart keeps its value, every other takes the new one. Does not act on any
//! value.

use super::declare::{Key, Reload, Setting};
use super::reader::Reader;
use super::report::ConfigErrors;
use super::{Config, check};
use std::fmt::Write as _;

/// A key whose value differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where, e.g. `jitter.hole_wait` or `route[1].to`.
    pub path: String,
    /// What it takes for the new value to take effect.
    pub reload: Reload,
}

/// The comparison of two configurations.
#[derive(Debug, Default)]
pub struct Renewal {
    path: String,
    changes: Vec<Change>,
}

impl Renewal {
    /// The value of a key from here on.
    pub fn field<T: Setting + Clone + PartialEq>(&mut self, key: &Key, running: &T, new: &T) -> T {
        if running == new {
            return running.clone();
        }
        let before = self.path.len();
        if !self.path.is_empty() {
            self.path.push('.');
        }
        self.path.push_str(key.name);
        let value = running.renewed(new, self).unwrap_or_else(|| {
            self.changes.push(Change { path: self.path.clone(), reload: key.reload });
            match key.reload {
                Reload::Restart => running.clone(),
                Reload::Hot | Reload::Call => new.clone(),
            }
        });
        self.path.truncate(before);
        value
    }

    /// Tables of the same kind, each beside the one in its place; `None` when the list differs as
    /// a whole: it is longer or shorter, is no list of tables, or another object stands in a place.
    pub fn items<T: Setting>(&mut self, running: &[T], new: &[T]) -> Option<Vec<T>> {
        let known = self.changes.len();
        let renewed = (running.len() == new.len()).then(|| self.pairs(running, new)).flatten();
        let named = |change: &Change| {
            let key = change.path.rsplit('.').next();
            change.reload == Reload::Restart && key == Some("name")
        };
        let moved = self.changes.iter().skip(known).any(named);
        if moved || renewed.is_none() {
            self.changes.truncate(known);
            return None;
        }
        renewed
    }

    fn pairs<T: Setting>(&mut self, running: &[T], new: &[T]) -> Option<Vec<T>> {
        let before = self.path.len();
        let items = running.iter().zip(new).enumerate().map(|(index, (running, new))| {
            self.path.truncate(before);
            // A String takes whatever is written to it.
            let _ = write!(self.path, "[{index}]");
            running.renewed(new, self)
        });
        let items = items.collect();
        self.path.truncate(before);
        items
    }
}

impl Config {
    /// The configuration that runs when `new` was read in the place of this one, and every key
    /// whose value differs, in the order of the file.
    ///
    /// # Errors
    /// What does not go together as long as keys that need a restart keep their values.
    pub fn renew(&self, new: &Self) -> Result<(Self, Vec<Change>), ConfigErrors> {
        let mut renewal = Renewal::default();
        let mut config = self.renewed(new, &mut renewal).unwrap_or_else(|| self.clone());
        let mut reader = Reader::aside();
        check::check(&mut config, &mut reader);
        let (problems, warnings) = reader.finish();
        if problems.is_empty() {
            Ok((config, renewal.changes))
        } else {
            Err(ConfigErrors { problems, warnings })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LoadOptions, from_text};
    use std::path::Path;

    fn config(text: &str) -> Config {
        let laptop = crate::config::LAPTOP;
        let text = format!("{laptop}\n{text}");
        Config::parse(Path::new("test.toml"), &text, &LoadOptions::default(), None).unwrap().config
    }

    fn paths(changes: &[Change], reload: Reload) -> Vec<&str> {
        let wanted = changes.iter().filter(|change| change.reload == reload);
        wanted.map(|change| change.path.as_str()).collect()
    }

    #[test]
    fn what_may_change_does_and_the_rest_waits_for_a_restart() {
        let running = config("");
        let mut new = running.clone();
        new.jitter.hole_wait = std::time::Duration::from_millis(60);
        new.rtp.workers = 7;
        new.rtp.ptime = std::time::Duration::from_millis(30);
        new.trunk[0].max_calls = 3;
        new.trunk[0].ping = from_text("77s").unwrap();
        new.trunk[0].caller_id = Some(from_text("+15550999").unwrap());
        new.log.level = crate::config::Level::Debug;
        let (renewed, changes) = running.renew(&new).unwrap();
        assert_eq!(paths(&changes, Reload::Restart), ["rtp.workers", "trunk[0].ping"]);
        let calls = ["rtp.ptime", "jitter.hole_wait", "trunk[0].caller_id"];
        assert_eq!(paths(&changes, Reload::Call), calls);
        assert_eq!(paths(&changes, Reload::Hot), ["trunk[0].max_calls", "log.level"]);
        assert_eq!(renewed.rtp.workers, running.rtp.workers);
        assert_eq!(renewed.trunk[0].ping, running.trunk[0].ping);
        assert_eq!(renewed.trunk[0].max_calls, 3);
        assert_eq!((renewed.rtp.ptime, &renewed.jitter), (new.rtp.ptime, &new.jitter));
        assert_eq!(renewed.trunk[0].caller_id, new.trunk[0].caller_id);
        let (same, none) = renewed.renew(&renewed).unwrap();
        assert_eq!((&same, none.len()), (&renewed, 0));
    }

    #[test]
    fn lists_change_as_a_whole_when_objects_come_go_or_change_places() {
        let running = config("");
        let mut new = running.clone();
        new.route.push(config("[[route]]\naction = \"reject\"").route.remove(0));
        let mut more = running.trunk[0].clone();
        more.name = from_text("second").unwrap();
        new.trunk.push(more);
        let (renewed, changes) = running.renew(&new).unwrap();
        assert_eq!(paths(&changes, Reload::Call), ["route"]);
        assert_eq!(paths(&changes, Reload::Restart), ["trunk"]);
        assert_eq!((renewed.trunk.len(), renewed.route.len()), (1, new.route.len()));
        // Another carrier in the place of the first is not half of it.
        let mut other = running.clone();
        other.trunk[0].name = from_text("other").unwrap();
        other.trunk[0].codecs.reverse();
        other.instance.iter_mut().for_each(|line| line.trunk = from_text("other").unwrap());
        other.route.iter_mut().for_each(|route| route.trunk = None);
        let error = running.renew(&other).unwrap_err().to_string();
        assert!(error.contains("there is no [[trunk]] called \"other\""), "{error}");
        other.instance.clone_from(&running.instance);
        let (renewed, changes) = running.renew(&other).unwrap();
        assert_eq!(paths(&changes, Reload::Restart), ["trunk"]);
        assert_eq!(renewed.trunk, running.trunk);
    }
}
