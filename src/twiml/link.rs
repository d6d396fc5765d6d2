//! Relative references in documents, resolved against the document's own URL (RFC 3986 §5.2).
//!
//! Only http and https: other schemes are kept as they are, for whoever fetches to refuse.

/// The URL that `reference` means in a document at `base`; `None` for a relative one in a document
/// that has no URL.
#[must_use]
pub fn resolve(base: Option<&str>, reference: &str) -> Option<String> {
    let reference = reference.trim();
    if has_scheme(reference) {
        return Some(reference.to_owned());
    }
    let base = base?.split('#').next()?;
    let (scheme, rest) = base.split_once("://")?;
    if let Some(rest) = reference.strip_prefix("//") {
        return Some(format!("{scheme}://{rest}"));
    }
    let authority_end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(authority_end);
    let (path, query) = tail.split_once('?').map_or((tail, None), |(path, q)| (path, Some(q)));
    if reference.is_empty() || reference.starts_with('#') {
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        return Some(format!("{scheme}://{authority}{path}{query}"));
    }
    if reference.starts_with('?') {
        return Some(format!("{scheme}://{authority}{path}{reference}"));
    }
    let (target, query) = match reference.split_once('?') {
        Some((target, query)) => (target, format!("?{query}")),
        None => (reference, String::new()),
    };
    let merged = if target.starts_with('/') {
        target.to_owned()
    } else {
        let directory = path.rfind('/').and_then(|at| path.get(..=at)).unwrap_or("/");
        format!("{directory}{target}")
    };
    Some(format!("{scheme}://{authority}{}{query}", without_dots(&merged)))
}

fn has_scheme(reference: &str) -> bool {
    let Some((scheme, _)) = reference.split_once(':') else { return false };
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

/// Takes `.` and `..` out of a path (RFC 3986 §5.2.4).
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let segments: Vec<&str> = path.split('/').collect();
    let last = segments.len().saturating_sub(1);
    for (index, segment) in segments.iter().enumerate() {
        match *segment {
            "." if index == last => kept.push(""),
            "." => {}
            ".." => {
                if kept.len() > 1 {
                    kept.pop();
                }
                if index == last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    kept.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_resolved_as_browsers_do() {
        let base = Some("http://a.example:8080/b/c/d?q=1#f");
        for (reference, url) in [
            ("https://x/y", "https://x/y"),
            ("wss://x/y", "wss://x/y"),
            ("//x/y", "http://x/y"),
            ("/g?z", "http://a.example:8080/g?z"),
            ("g", "http://a.example:8080/b/c/g"),
            ("../g?y=/../x", "http://a.example:8080/b/g?y=/../x"),
            ("../../../g", "http://a.example:8080/g"),
            ("./", "http://a.example:8080/b/c/"),
            ("..", "http://a.example:8080/b/"),
            ("?y", "http://a.example:8080/b/c/d?y"),
            ("", "http://a.example:8080/b/c/d?q=1"),
            ("#s", "http://a.example:8080/b/c/d?q=1"),
        ] {
            assert_eq!(resolve(base, reference).as_deref(), Some(url), "{reference}");
        }
        assert_eq!(resolve(Some("http://h"), "g").as_deref(), Some("http://h/g"));
        assert_eq!(resolve(None, "/g"), None);
        assert_eq!(resolve(None, "http://h/g").as_deref(), Some("http://h/g"));
    }
}
