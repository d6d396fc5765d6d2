//! `docs/compliance.md`: what the sources say of the standards that they obey.
//!
//! ```text
//!  //= RFC 3261 §9.2: CANCEL before the     one line or several; several sections or
//!  //= final answer: 487 to the INVITE      several RFCs before the colon
//! ```
//!
//! Owns the form of these lines, and the page. Does not judge whether the code does what it cites:
//! reviewers and tests do that. Reads files only, and only below `src`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

/// How a citation begins.
const MARK: &str = "//= ";

/// What an RFC is called, for the page's headings.
const TITLES: &[(u16, &str)] = &[
    (2119, "Key words for use in RFCs to indicate requirement levels"),
    (2198, "RTP payload for redundant audio data"),
    (2617, "HTTP authentication: basic and digest"),
    (2782, "DNS SRV"),
    (2833, "RTP payload for DTMF digits (obsoleted by RFC 4733)"),
    (3204, "MIME media types for ISUP and QSIG objects"),
    (3261, "SIP: Session Initiation Protocol"),
    (3262, "Reliability of provisional responses (100rel, PRACK)"),
    (3263, "Locating SIP servers"),
    (3264, "Offer/answer model with SDP"),
    (3311, "The SIP UPDATE method"),
    (3312, "Preconditions"),
    (3323, "Privacy"),
    (3325, "Asserted identity within trusted networks"),
    (3326, "The Reason header field"),
    (3327, "Path"),
    (3329, "Security mechanism agreement"),
    (3389, "RTP payload for comfort noise"),
    (3398, "ISUP to SIP mapping"),
    (3403, "NAPTR"),
    (3420, "Internet media type message/sipfrag"),
    (3515, "The SIP REFER method"),
    (3550, "RTP"),
    (3551, "RTP profile for audio and video conferences"),
    (3581, "Symmetric response routing (rport)"),
    (3605, "RTCP attribute in SDP"),
    (3608, "Service-Route"),
    (3611, "RTCP XR"),
    (3711, "SRTP"),
    (3725, "Third party call control"),
    (3891, "The Replaces header field"),
    (3892, "The Referred-By mechanism"),
    (3960, "Early media and ringing tone generation"),
    (3966, "The tel URI"),
    (4028, "Session timers"),
    (4122, "UUID URN"),
    (4235, "Dialog event package"),
    (4240, "Basic network media services"),
    (4488, "Suppression of REFER's implicit subscription"),
    (4566, "SDP (obsoleted by RFC 8866)"),
    (4568, "SDP security descriptions (SDES)"),
    (4585, "RTP/AVPF"),
    (4733, "RTP payload for DTMF digits and telephony events"),
    (4961, "Symmetric RTP and RTCP"),
    (5009, "P-Early-Media"),
    (5118, "SIP torture tests for IPv6"),
    (5168, "XML schema for media control"),
    (5246, "TLS 1.2"),
    (5389, "STUN"),
    (5621, "Message body handling in SIP"),
    (5626, "Client-initiated connections (outbound)"),
    (5746, "TLS renegotiation indication"),
    (5761, "Multiplexing RTP and RTCP on a single port"),
    (5763, "DTLS-SRTP framework"),
    (5764, "DTLS-SRTP"),
    (5806, "Diversion"),
    (5922, "Domain certificates in SIP"),
    (5923, "Connection reuse in SIP"),
    (5954, "IPv6 ABNF and URI comparison fixes"),
    (6026, "Correct handling of 2xx responses to INVITE"),
    (6086, "The SIP INFO method"),
    (6125, "Service identity in TLS"),
    (6140, "Registration of multiple phone numbers (GIN)"),
    (6141, "Re-INVITE and target-refresh handling"),
    (6228, "Response code 199"),
    (6337, "SIP usage of the offer/answer model"),
    (6432, "Q.850 causes in SIP responses"),
    (6464, "Client-to-mixer audio level indication"),
    (6665, "SIP-specific event notification"),
    (6716, "Opus"),
    (7044, "History-Info"),
    (7064, "URI scheme for STUN"),
    (7118, "SIP over WebSocket"),
    (7315, "P-header extensions for 3GPP"),
    (7329, "Session-ID"),
    (7339, "SIP overload control"),
    (7433, "User-to-user call control"),
    (7515, "JSON Web Signature"),
    (7518, "JSON Web Algorithms"),
    (7587, "RTP payload for Opus"),
    (7614, "Explicit subscriptions for REFER"),
    (7616, "HTTP digest access authentication"),
    (7647, "Clarifications for the use of REFER with RFC 6665"),
    (7714, "AES-GCM in SRTP"),
    (8197, "Response code 607"),
    (8224, "Authenticated identity management (Identity)"),
    (8225, "PASSporT"),
    (8446, "TLS 1.3"),
    (8588, "PASSporT for SHAKEN"),
    (8760, "SIP digest with further algorithms"),
    (8839, "SDP offer/answer for ICE"),
    (8866, "SDP"),
    (8898, "Third-party authentication in SIP"),
    (9071, "RTP-mixer formatting of real-time text"),
];

/// RFCs whose sections have no numbers.
const UNNUMBERED: [u16; 1] = [2782];

/// One demand of a standard and the place that obeys it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Citation {
    /// Number of the RFC.
    pub rfc: u16,
    /// Section, e.g. `17.2.1` or `A.8`; empty in an RFC that does not number them.
    pub section: String,
    /// What it demands.
    pub text: String,
    /// File below the top of the tree, and the item in it.
    pub place: String,
}

/// The citations of one file, and what is wrong with the malformed ones: `file:line: why`.
#[must_use]
pub fn citations(path: &str, source: &str) -> (Vec<Citation>, Vec<String>) {
    let lines: Vec<&str> = source.lines().collect();
    let (mut found, mut findings) = (Vec::new(), Vec::new());
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        let start = at;
        at += 1;
        let Some(first) = cited(line) else { continue };
        let mut text = first.to_owned();
        while let Some(more) = lines.get(at).and_then(|line| cited(line)) {
            if more.starts_with("RFC ") {
                break;
            }
            text.push(' ');
            text.push_str(more);
            at += 1;
        }
        match parse(&text) {
            Ok((sections, text)) => {
                let place = place(path, &lines, start, at);
                found.extend(sections.into_iter().map(|(rfc, section)| Citation {
                    rfc,
                    section,
                    text: text.clone(),
                    place: place.clone(),
                }));
            }
            Err(why) => findings.push(format!("{path}:{}: {why}: {text}", start + 1)),
        }
    }
    (found, findings)
}

/// The text behind the mark, if the line is a citation.
fn cited(line: &str) -> Option<&str> {
    let line = line.trim();
    line.strip_prefix(MARK).map(str::trim).or_else(|| (line == MARK.trim()).then_some(""))
}

/// RFCs and their sections.
type Sections = Vec<(u16, String)>;

/// Sections and what they demand.
fn parse(text: &str) -> Result<(Sections, String), &'static str> {
    let (references, demand) =
        text.split_once(": ").ok_or("no `: ` and text behind the section")?;
    let demand = demand.trim();
    if demand.len() < 3 {
        return Err("it does not say what is demanded");
    }
    let mut sections = Vec::new();
    let mut rfc = None;
    for reference in references.replace(" and ", ", ").split(", ") {
        let mut section = reference.trim();
        if let Some(rest) = section.strip_prefix("RFC ") {
            let (number, rest) = rest.split_once(' ').unwrap_or((rest, ""));
            rfc = Some(number.parse::<u16>().map_err(|_| "the number of the RFC is none")?);
            section = rest;
        }
        let rfc = rfc.ok_or("it begins with an RFC's number")?;
        if UNNUMBERED.contains(&rfc) && section.is_empty() {
            sections.push((rfc, String::new()));
            continue;
        }
        let section = section.strip_prefix('§').ok_or("a section is written §1.2.3")?;
        // What is cited may be a picture in the section.
        let section = section.split(' ').next().filter(|number| {
            let rest = section[number.len()..].trim_start();
            rest.is_empty() || rest.starts_with("table ") || rest.starts_with("figure ")
        });
        let section = section.filter(|section| is_section(section));
        sections.push((rfc, section.ok_or("a section is written §1.2.3 or §A.4")?.to_owned()));
    }
    Ok((sections, demand.to_owned()))
}

/// Numbers, or a letter and numbers, with dots between.
fn is_section(text: &str) -> bool {
    text.split('.').enumerate().all(|(at, part)| {
        let number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let appendix = at == 0 && part.len() == 1 && part.bytes().all(|b| b.is_ascii_uppercase());
        number || appendix
    })
}

/// Where a citation stands: the item that it is written above, or the one around it.
fn place(path: &str, lines: &[&str], start: usize, end: usize) -> String {
    let short = path.strip_prefix("src/").unwrap_or(path);
    let is_code = |line: &&&str| {
        let line = line.trim_start();
        !line.is_empty() && !line.starts_with("//") && !line.starts_with("#[")
    };
    if let Some(name) = lines.iter().skip(end).find(is_code).and_then(|line| item(line)) {
        return format!("{short}: {name}");
    }
    let mut indent = indentation(lines.get(start).unwrap_or(&""));
    for line in lines.iter().take(start).rev().filter(is_code) {
        if indentation(line) >= indent {
            continue;
        }
        if let Some(name) = item(line) {
            return format!("{short}: {name}");
        }
        // The end of a signature that takes several lines: its beginning is as far to the left.
        let signature = line.trim_start().starts_with(')');
        indent = indentation(line) + usize::from(signature);
    }
    short.to_owned()
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// The name of the item that a line of code declares.
fn item(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace().filter(|word| {
        !word.starts_with("pub") && !matches!(*word, "async" | "unsafe" | "default" | "extern")
    });
    let mut kind = words.next()?;
    let mut name = words.next()?;
    if kind == "const" && name == "fn" {
        kind = name;
        name = words.next()?;
    }
    if kind.starts_with("impl") {
        name = line.split_once(" for ").map_or(name, |(_, name)| name);
    } else if !matches!(kind, "fn" | "const" | "static" | "struct" | "enum" | "trait" | "type") {
        return None;
    }
    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
    name.get(..end).filter(|name| !name.is_empty())
}

/// Every citation of the product below `root`, and every malformed one. Tests claim nothing.
#[must_use]
pub fn scan(root: &Path) -> (Vec<Citation>, Vec<String>) {
    let mut files = BTreeMap::new();
    walk(&root.join("src"), "src", &mut files);
    let (mut all, mut findings) = (BTreeSet::new(), Vec::new());
    for (path, text) in &files {
        let product = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let (found, bad) = citations(path, product);
        all.extend(found);
        findings.extend(bad);
    }
    (all.into_iter().collect(), findings)
}

/// Reads the Rust files of a directory; what cannot be read is left out.
fn walk(directory: &Path, path: &str, files: &mut BTreeMap<String, String>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let below = format!("{path}/{}", entry.file_name().to_string_lossy());
        if matches!(entry.file_name().to_str(), Some("tests" | "tests.rs")) {
            continue;
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), &below, files);
        } else if Path::new(&below).extension().is_some_and(|ext| ext == "rs")
            && let Ok(text) = std::fs::read_to_string(entry.path())
        {
            files.insert(below, text);
        }
    }
}

/// The page for the tree at `root`; malformed citations are not on it.
#[must_use]
pub fn page(root: &Path) -> String {
    write_page(&scan(root).0)
}

/// How sections are ordered: as numbers, appendices last.
fn order(section: &str) -> Vec<(bool, u32, &str)> {
    let part = |part| match str::parse(part) {
        Ok(number) => (false, number, ""),
        Err(_) => (true, 0, part),
    };
    section.split('.').map(part).collect()
}

fn write_page(citations: &[Citation]) -> String {
    let mut by_rfc: BTreeMap<u16, Vec<&Citation>> = BTreeMap::new();
    for citation in citations {
        by_rfc.entry(citation.rfc).or_default().push(citation);
    }
    let mut out = String::from(
        "# Compliance\n\n\
         What the code says of the standards that it obeys. Every row is a comment that stands right \
         above the code\nthat does it (`//= RFC 3261 §17.2.1: …`). A row is a claim of the code and \
         not a proof: `tests/sim`,\n`tests/daemon` and `tests/interop` are. What has no row is either \
         not cited or not done.\n\n\
         Generated from the sources by `make gen`; `tests/tidy` checks that it is fresh.\n\n\
         | RFC | title | sections | demands |\n|---|---|---|---|\n",
    );
    for (rfc, rows) in &by_rfc {
        let sections: BTreeSet<&str> = rows.iter().map(|row| row.section.as_str()).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "| [{rfc}](#rfc-{rfc}) | {} | {} | {} |",
            title(*rfc),
            sections.len(),
            rows.len()
        );
    }
    let _ = writeln!(out, "\n{} demands of {} RFCs.", citations.len(), by_rfc.len());
    for (rfc, mut rows) in by_rfc {
        rows.sort_by_key(|row| (order(&row.section), &row.place, &row.text));
        let _ = writeln!(out, "\n## RFC {rfc}\n");
        let title = title(rfc);
        if !title.is_empty() {
            let _ = writeln!(out, "{title}.\n");
        }
        out.push_str("| section | demand | where |\n|---|---|---|\n");
        for Citation { section, text, place, .. } in rows {
            let section = if section.is_empty() { String::new() } else { format!("§{section}") };
            let _ = writeln!(out, "| {section} | {} | `{place}` |", cell(text));
        }
    }
    out
}

fn title(rfc: u16) -> &'static str {
    TITLES.iter().find(|(number, _)| *number == rfc).map_or("", |(_, title)| title)
}

/// Text in a table's cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

#[cfg(test)]
mod tests;
