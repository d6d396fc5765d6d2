//! Addresses of mail and web pages as one would say them.

use super::language::Language;
use super::scan::rewrite;
use crate::speech::tts::map::Map;

/// The longest address that is looked at.
const ADDRESS_MAX: usize = 500;

/// Says them: of a web address its host, of a mail address all.
pub(super) fn speak(text: &str, language: Language) -> (String, Map) {
    rewrite(text, |rest, before| {
        if before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '@')) {
            return None;
        }
        web(rest, language).or_else(|| mail(rest, language))
    })
}

fn web(rest: &str, language: Language) -> Option<(usize, String)> {
    let scheme = ["https://", "http://", "www."].into_iter().find(|scheme| {
        rest.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme))
    })?;
    let all = rest
        .char_indices()
        .take(ADDRESS_MAX)
        .find(|(_, c)| c.is_whitespace() || matches!(c, '<' | '>' | '"' | ')' | ']' | '}'));
    let end = all.map_or_else(|| bound(rest), |(end, _)| end);
    let address = rest.get(..end)?.trim_end_matches(['.', ',', ';', ':', '!', '?', '\'', '*']);
    let host = address.get(scheme.len()..)?;
    let host = host.split(['/', '?', '#']).next()?;
    let host = host.rsplit('@').next()?.split(':').next()?;
    let host = host.strip_prefix("www.").unwrap_or(host);
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-');
    if !host.contains(char::is_alphanumeric) || !host.chars().all(plain) {
        return None;
    }
    Some((address.len(), said(host, language)))
}

fn mail(rest: &str, language: Language) -> Option<(usize, String)> {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '%');
    let local = rest.char_indices().take(65).find(|(_, c)| !part(*c)).map(|(at, _)| at)?;
    let domain = rest.get(local..)?.strip_prefix('@')?;
    let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let end = domain.char_indices().take(ADDRESS_MAX).find(|(_, c)| !name(*c));
    let end = end.map_or_else(|| bound(domain), |(end, _)| end);
    let domain = domain.get(..end)?.trim_end_matches(['.', '-']);
    let top = domain.rsplit('.').next()?;
    if local == 0
        || !domain.contains('.')
        || top.len() < 2
        || !top.chars().all(|c| c.is_ascii_alphabetic())
    {
        return None;
    }
    let at = language.pick(["at", "at", "arroba", "arobase", "chiocciola"]);
    let text = format!("{} {at} {}", said(rest.get(..local)?, language), said(domain, language));
    Some((local + 1 + domain.len(), text))
}

fn bound(text: &str) -> usize {
    text.char_indices().nth(ADDRESS_MAX).map_or(text.len(), |(at, _)| at)
}

/// Dots and dashes as words.
fn said(name: &str, language: Language) -> String {
    let dot = language.pick([" dot ", " Punkt ", " punto ", " point ", " punto "]);
    let dash = language.pick([" dash ", " Strich ", " guion ", " tiret ", " trattino "]);
    let line = language.pick([
        " underscore ",
        " Unterstrich ",
        " guion bajo ",
        " tiret bas ",
        " trattino basso ",
    ]);
    let mut out = String::new();
    for c in name.chars() {
        match c {
            '.' => out.push_str(dot),
            '-' => out.push_str(dash),
            '_' => out.push_str(line),
            '+' => out.push_str(" plus "),
            '%' => out.push_str(" percent "),
            c => out.push(c),
        }
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}
