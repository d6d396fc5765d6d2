//! Which numbers a trunk may dial: the guard against toll fraud.

/// The prefix rules of one trunk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Destinations {
    /// Prefixes that may be dialled; nothing else is.
    pub allow: Vec<String>,
    /// Prefixes that may not, although a shorter one is allowed.
    pub deny: Vec<String>,
}

impl Destinations {
    /// Whether `number` may be dialled: the longest matching prefix decides, `deny` wins a tie.
    #[must_use]
    pub fn permits(&self, number: &str) -> bool {
        let longest = |prefixes: &[String]| {
            prefixes.iter().filter(|p| number.starts_with(p.as_str())).map(|p| p.len() + 1).max()
        };
        longest(&self.allow) > longest(&self.deny)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_decides() {
        let rules = Destinations {
            allow: vec!["+1".into(), "+44".into(), "+1900555".into()],
            deny: vec!["+1900".into(), "+44".into()],
        };
        for (number, permitted) in [
            ("+14155550123", true),
            ("+19001234567", false),
            ("+19005551234", true),
            ("+442071234567", false),
            ("+4930123456", false),
            ("", false),
        ] {
            assert_eq!(rules.permits(number), permitted, "{number}");
        }
        assert!(!Destinations::default().permits("+14155550123"));
    }
}
