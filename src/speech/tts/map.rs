//! Texts that remember where they came from, so that a word that was heard can be found again in
//! what the caller wrote.
//!
//! ```text
//!  source   Pay $5 now          runs  [Pay ][$5          ][ now]
//!  output   Pay five dollars now            exact  replaced   exact
//! ```
//!
//! Owns positions. Does not know what is rewritten, or why.

/// A stretch of output and the stretch of source that it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    out: usize,
    out_end: usize,
    src: usize,
    src_end: usize,
    /// Byte for byte the same.
    exact: bool,
}

impl Run {
    /// Whether every byte of it is the source's, and no source was dropped behind them.
    fn is_verbatim(&self) -> bool {
        self.exact && self.out_end - self.out == self.src_end - self.src
    }
}

/// From positions of a text to those of the text that it was made from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Map {
    runs: Vec<Run>,
}

impl Map {
    /// How much of the source has been said when the output has been said up to `out`.
    ///
    /// Within something that was replaced: nothing of it yet.
    #[must_use]
    pub fn source_end(&self, out: usize) -> usize {
        let behind = self.runs.partition_point(|run| run.out_end <= out);
        let done = behind.checked_sub(1).and_then(|at| self.runs.get(at));
        let done = done.map_or(0, |run| run.src_end);
        match self.runs.get(behind) {
            Some(run) if run.exact && out > run.out => run.src + (out - run.out),
            Some(_) | None => done,
        }
    }
}

/// Writes a text from a source, front to back.
#[derive(Debug)]
pub struct Rewriter<'a> {
    source: &'a str,
    at: usize,
    text: String,
    map: Map,
}

impl<'a> Rewriter<'a> {
    /// Begins at the front of `source`.
    #[must_use]
    pub fn new(source: &'a str) -> Self {
        Self::starting(source, 0)
    }

    /// Begins within `source`.
    #[must_use]
    pub fn starting(source: &'a str, at: usize) -> Self {
        Self { source, at, text: String::with_capacity(source.len()), map: Map::default() }
    }

    /// What was written.
    #[must_use]
    pub fn written(&self) -> &str {
        &self.text
    }

    /// Copies the source up to `to`.
    pub fn copy_to(&mut self, to: usize) {
        let Some(same) = self.source.get(self.at..to) else { return };
        self.put(to, same, true);
    }

    /// Writes `with` for the source up to `to`.
    pub fn replace_to(&mut self, to: usize, with: &str) {
        let to = to.clamp(self.at, self.source.len());
        self.put(to, with, false);
    }

    fn put(&mut self, to: usize, text: &str, exact: bool) {
        let out = self.text.len();
        self.text.push_str(text);
        let out_end = self.text.len();
        let (src, src_end) = (self.at, to);
        self.at = to;
        match self.map.runs.last_mut() {
            // Nothing was written: what stands before covers it.
            Some(last) if out == out_end => last.src_end = src_end,
            Some(last) if exact && last.is_verbatim() => {
                (last.out_end, last.src_end) = (out_end, src_end);
            }
            Some(_) | None => self.map.runs.push(Run { out, out_end, src, src_end, exact }),
        }
    }

    /// The text and its map; the rest of the source is copied.
    #[must_use]
    pub fn finish(mut self) -> (String, Map) {
        self.copy_to(self.source.len());
        self.finish_here()
    }

    /// The text and its map; the rest of the source is none of it.
    #[must_use]
    pub fn finish_here(self) -> (String, Map) {
        (self.text, self.map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn positions_are_found_again() {
        let mut rewriter = Rewriter::new("Pay $5 **now** please");
        rewriter.copy_to(4);
        rewriter.replace_to(6, "five dollars");
        rewriter.copy_to(7);
        rewriter.replace_to(9, "");
        rewriter.copy_to(12);
        rewriter.replace_to(14, "");
        let (text, map) = rewriter.finish();
        assert_eq!(text, "Pay five dollars now please");
        for (said, source) in [
            ("", 0),
            ("Pay", 3),
            ("Pay ", 4),
            ("Pay five", 4),
            ("Pay five dollars", 6),
            ("Pay five dollars n", 10),
            ("Pay five dollars now", 14),
            ("Pay five dollars now please", 21),
        ] {
            assert!(text.starts_with(said));
            assert_eq!(map.source_end(said.len()), source, "{said:?}");
        }
        assert_eq!(map.source_end(1000), 21);
    }

    proptest! {
        #[test]
        fn positions_grow_and_end_at_the_end(
            steps in proptest::collection::vec((0_usize..5, proptest::option::of("[a-z]{0,6}")), 0..20),
        ) {
            let source = "0123456789".repeat(6);
            let mut rewriter = Rewriter::new(&source);
            for (length, with) in &steps {
                let to = (rewriter.at + length).min(source.len());
                match with {
                    Some(with) => rewriter.replace_to(to, with),
                    None => rewriter.copy_to(to),
                }
            }
            let (text, map) = rewriter.finish();
            let ends: Vec<usize> = (0..=text.len()).map(|at| map.source_end(at)).collect();
            prop_assert!(ends.is_sorted(), "{ends:?}");
            prop_assert!(ends.iter().all(|end| *end <= source.len()));
            prop_assert_eq!(map.source_end(text.len()), source.len());
        }
    }
}
