//! From octets to verbs.
//!
//! Owns the door of `quick-xml` for documents of other people: no document type, no entities but
//! XML's own, bounded size, depth and number of verbs. What Twilio knows and is not served here is
//! refused by name, since a call that leaves a verb out does the wrong thing in silence; attributes
//! that change nothing here (`language` of a Gather for digits) are let through.

use super::document::{Connect, Dial, Gather, Link, Method, Play, Say, Stream, Track, Verb};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use std::time::Duration;

/// The longest document, in octets.
pub const DOCUMENT_MAX: usize = 64 * 1024;
/// Verbs of one document, those within others not counted.
pub const VERBS_MAX: usize = 256;
/// Elements within elements.
const DEPTH_MAX: usize = 8;
/// Elements and pieces of text in all.
const NODES_MAX: usize = 2_000;
/// `<Parameter>`s of one stream, and octets of each name or value (Twilio's limit is 500).
const PARAMETERS_MAX: usize = 64;
const PARAMETER_OCTETS_MAX: usize = 500;
/// Longest text of one `<Say>`, in characters, as Twilio's.
const SAY_MAX: usize = 4_096;
/// Longest wait that an attribute may ask for.
const WAIT_MAX: u64 = 24 * 3600;

/// Says why a document is not obeyed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// It is no XML, or too large or deep.
    #[error("the document cannot be parsed: {0}")]
    Malformed(String),
    /// Its elements do not belong there, or say something that they may not.
    #[error("{0}")]
    Invalid(String),
    /// Twilio knows it, this gateway does not serve it.
    #[error("{0} is not served")]
    Unserved(String),
}

fn malformed(reason: &str) -> DocumentError {
    DocumentError::Malformed(reason.chars().filter(|c| !c.is_control()).take(200).collect())
}

fn invalid(reason: impl Into<String>) -> DocumentError {
    DocumentError::Invalid(reason.into())
}

fn unserved(what: impl Into<String>) -> DocumentError {
    DocumentError::Unserved(what.into())
}

/// Reads a document. Cost: O(octets).
///
/// # Errors
/// [`DocumentError`].
pub fn parse(octets: &[u8]) -> Result<Vec<Verb>, DocumentError> {
    if octets.len() > DOCUMENT_MAX {
        return Err(malformed(&format!("it has more than {DOCUMENT_MAX} octets")));
    }
    let text = std::str::from_utf8(octets).map_err(|_| malformed("it is not UTF-8"))?;
    let root = tree(text.trim_start_matches('\u{feff}'))?;
    if root.name != "Response" {
        return Err(invalid(format!("<{}> is not <Response>", clip(&root.name))));
    }
    let children: Vec<&Element> = root.elements("Response")?.collect();
    if children.len() > VERBS_MAX {
        return Err(invalid(format!("there are more than {VERBS_MAX} verbs")));
    }
    children.into_iter().map(verb).collect()
}

/// An element with what is in it.
#[derive(Debug, Default)]
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    children: Vec<Node>,
}

#[derive(Debug)]
enum Node {
    Element(Element),
    Text(String),
}

/// Reads the whole document into elements; what stands beside the root is refused.
fn tree(text: &str) -> Result<Element, DocumentError> {
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    let mut nodes = 0_usize;
    loop {
        let event = reader.read_event().map_err(|error| malformed(&error.to_string()))?;
        nodes += 1;
        if nodes > NODES_MAX * 3 {
            return Err(malformed("it has too many elements"));
        }
        match event {
            Event::Eof => break,
            Event::DocType(_) => return Err(malformed("a document type is not allowed")),
            Event::Start(tag) => {
                if open.len() >= DEPTH_MAX || root.is_some() {
                    return Err(malformed("its elements are too deep, or it has two roots"));
                }
                open.push(element(&tag)?);
            }
            Event::Empty(tag) => close(element(&tag)?, &mut open, &mut root)?,
            Event::End(_) => {
                let done = open.pop().ok_or_else(|| malformed("an end without a start"))?;
                close(done, &mut open, &mut root)?;
            }
            Event::Text(piece) => add_text(&mut open, &piece)?,
            Event::CData(piece) => add_text(&mut open, &piece)?,
            Event::GeneralRef(name) => {
                let letter = match name.resolve_char_ref() {
                    Ok(Some(letter)) => letter,
                    Ok(None) => named(&name)?,
                    Err(error) => return Err(malformed(&error.to_string())),
                };
                add_text(&mut open, letter.encode_utf8(&mut [0; 4]))?;
            }
            Event::Comment(_) | Event::PI(_) | Event::Decl(_) => {}
        }
    }
    match root {
        Some(root) if open.is_empty() => Ok(root),
        Some(_) | None => Err(malformed("an element is not closed, or there is none")),
    }
}

fn close(
    done: Element,
    open: &mut [Element],
    root: &mut Option<Element>,
) -> Result<(), DocumentError> {
    match open.last_mut() {
        Some(parent) => parent.children.push(Node::Element(done)),
        None if root.is_none() => *root = Some(done),
        None => return Err(malformed("it has two roots")),
    }
    Ok(())
}

fn add_text(open: &mut [Element], piece: &str) -> Result<(), DocumentError> {
    let Some(parent) = open.last_mut() else {
        let blank = piece.trim().is_empty();
        return if blank { Ok(()) } else { Err(malformed("text outside of any element")) };
    };
    match parent.children.last_mut() {
        Some(Node::Text(text)) => text.push_str(piece),
        Some(Node::Element(_)) | None => parent.children.push(Node::Text(piece.to_owned())),
    }
    Ok(())
}

fn named(entity: &str) -> Result<char, DocumentError> {
    match entity {
        "amp" => Ok('&'),
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        _ => Err(malformed("an entity that XML does not know")),
    }
}

fn element(tag: &BytesStart<'_>) -> Result<Element, DocumentError> {
    let name = tag.name();
    let mut attributes = Vec::new();
    for found in tag.attributes() {
        let found = found.map_err(|error| malformed(&error.to_string()))?;
        let value = quick_xml::escape::unescape(&found.value)
            .map_err(|error| malformed(&error.to_string()))?;
        let name: &str = found.key.as_ref();
        attributes.push((name.to_owned(), value.into_owned()));
    }
    let name: &str = name.as_ref();
    Ok(Element { name: name.to_owned(), attributes, children: Vec::new() })
}

/// What is shown of foreign text.
fn clip(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}

impl Element {
    /// The value of an attribute, unless it is empty.
    fn get(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(known, _)| known == name)?;
        Some(found.1.trim()).filter(|value| !value.is_empty())
    }

    /// Refuses attributes that are neither served nor without effect.
    fn knows(&self, served: &[&str], harmless: &[&str]) -> Result<(), DocumentError> {
        let known = |name: &str| served.contains(&name) || harmless.contains(&name);
        match self.attributes.iter().find(|(name, _)| !known(name) && !name.starts_with("xml")) {
            Some((name, _)) => {
                Err(unserved(format!("the attribute {} of <{}>", clip(name), self.name)))
            }
            None => Ok(()),
        }
    }

    /// The elements in it; text is not allowed there.
    fn elements(&self, name: &str) -> Result<impl Iterator<Item = &Self>, DocumentError> {
        let text = |node: &Node| matches!(node, Node::Text(text) if !text.trim().is_empty());
        if self.children.iter().any(text) {
            return Err(invalid(format!("<{name}> holds text where verbs should be")));
        }
        Ok(self.children.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        }))
    }

    /// The text in it, which must be all.
    fn text(&self) -> Result<String, DocumentError> {
        let mut whole = String::new();
        for node in &self.children {
            match node {
                Node::Text(text) => whole.push_str(text),
                Node::Element(child) => {
                    let (child, own) = (clip(&child.name), &self.name);
                    return Err(invalid(format!("<{child}> does not belong into <{own}>")));
                }
            }
        }
        Ok(whole.trim().to_owned())
    }

    fn is_empty(&self) -> Result<(), DocumentError> {
        let empty = self.text()?.is_empty();
        if empty { Ok(()) } else { Err(invalid(format!("<{}> holds no text", self.name))) }
    }

    fn method(&self, name: &str) -> Result<Method, DocumentError> {
        let Some(value) = self.get(name) else { return Ok(Method::Post) };
        let wrong = || invalid(format!("{name} of <{}> must be GET or POST", self.name));
        Method::by_name(value).ok_or_else(wrong)
    }

    fn number(&self, name: &str, most: u64) -> Result<Option<u64>, DocumentError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = value.parse().ok().filter(|number| *number <= most);
        let wrong =
            || invalid(format!("{name} of <{}> must be a whole number, at most {most}", self.name));
        number.ok_or_else(wrong).map(Some)
    }

    fn seconds(&self, name: &str) -> Result<Option<Duration>, DocumentError> {
        Ok(self.number(name, WAIT_MAX)?.map(Duration::from_secs))
    }

    fn toggle(&self, name: &str) -> Result<Option<bool>, DocumentError> {
        match self.get(name) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(invalid(format!("{name} of <{}> must be true or false", self.name))),
        }
    }

    /// An attribute that is served with one value only.
    fn only(&self, name: &str, served: &[&str]) -> Result<(), DocumentError> {
        match self.get(name) {
            Some(value) if !served.contains(&value) => {
                Err(unserved(format!("{name}=\"{}\" of <{}>", clip(value), self.name)))
            }
            Some(_) | None => Ok(()),
        }
    }
}

fn verb(element: &Element) -> Result<Verb, DocumentError> {
    match element.name.as_str() {
        "Say" => say(element).map(Verb::Say),
        "Play" => play(element).map(Verb::Play),
        "Pause" => pause(element).map(Verb::Pause),
        "Gather" => gather(element).map(|gather| Verb::Gather(Box::new(gather))),
        "Dial" => dial(element).map(|dial| Verb::Dial(Box::new(dial))),
        "Connect" => connect(element).map(|connect| Verb::Connect(Box::new(connect))),
        "Start" => {
            element.knows(&[], &[])?;
            only_stream(element).map(|stream| Verb::Start(Box::new(stream)))
        }
        "Stop" => stop(element),
        "Reject" => reject(element),
        "Hangup" => {
            element.knows(&[], &[])?;
            element.is_empty().map(|()| Verb::Hangup)
        }
        "Redirect" => {
            element.knows(&["method"], &[])?;
            Ok(Verb::Redirect(Link { url: element.text()?, method: element.method("method")? }))
        }
        "Enqueue" | "Leave" | "Pay" | "Prompt" | "Record" | "Refer" | "Siprec" | "Sms"
        | "Transcription" | "VirtualAgent" => Err(unserved(format!("<{}>", element.name))),
        other => Err(invalid(format!("<{}> is no verb", clip(other)))),
    }
}

fn say(element: &Element) -> Result<Say, DocumentError> {
    element.knows(&["voice", "language", "loop"], &[])?;
    let mut text = String::new();
    let ssml = element.children.iter().any(|node| matches!(node, Node::Element(_)));
    for node in &element.children {
        write_node(&mut text, node, ssml);
    }
    let text = text.trim().to_owned();
    if text.chars().count() > SAY_MAX {
        return Err(invalid(format!("<Say> has more than {SAY_MAX} characters")));
    }
    Ok(Say {
        text,
        ssml,
        voice: element.get("voice").map(str::to_owned),
        language: element.get("language").map(str::to_owned),
        times: times(element)?,
    })
}

/// Writes SSML as it was, or plain text as it is.
fn write_node(out: &mut String, node: &Node, ssml: bool) {
    match node {
        Node::Text(text) if ssml => out.push_str(&quick_xml::escape::escape(text.as_str())),
        Node::Text(text) => out.push_str(text),
        Node::Element(element) => {
            out.push('<');
            out.push_str(&element.name);
            for (name, value) in &element.attributes {
                out.push(' ');
                out.push_str(name);
                out.push_str("=\"");
                out.push_str(&quick_xml::escape::escape(value.as_str()));
                out.push('"');
            }
            out.push('>');
            for child in &element.children {
                write_node(out, child, ssml);
            }
            out.push_str("</");
            out.push_str(&element.name);
            out.push('>');
        }
    }
}

fn times(element: &Element) -> Result<u32, DocumentError> {
    let times = element.number("loop", 1_000)?.unwrap_or(1);
    Ok(u32::try_from(times).unwrap_or(1))
}

fn play(element: &Element) -> Result<Play, DocumentError> {
    element.knows(&["loop", "digits"], &[])?;
    let url = element.text()?;
    match (element.get("digits"), url.is_empty()) {
        (Some(digits), true) => {
            keys(digits, 128).map(|()| Play::Digits(digits.to_ascii_uppercase().replace('W', "w")))
        }
        (None, false) => Ok(Play::File { url, times: times(element)? }),
        (Some(_), false) => Err(invalid("<Play> has a URL or digits, not both")),
        (None, true) => Err(invalid("<Play> has neither a URL nor digits")),
    }
}

/// Refuses what no telephone can press.
fn keys(digits: &str, most: usize) -> Result<(), DocumentError> {
    let key = |c: char| c.is_ascii_digit() || matches!(c, '*' | '#' | 'w' | 'W' | 'A'..='D');
    if digits.len() <= most && digits.chars().all(key) {
        return Ok(());
    }
    Err(invalid(format!("digits must be at most {most} of 0-9, *, #, A-D and w")))
}

fn pause(element: &Element) -> Result<Duration, DocumentError> {
    element.knows(&["length"], &[])?;
    element.is_empty()?;
    Ok(element.seconds("length")?.unwrap_or(Duration::from_secs(1)))
}

fn gather(element: &Element) -> Result<Gather, DocumentError> {
    const SERVED: [&str; 7] =
        ["input", "action", "method", "timeout", "finishOnKey", "numDigits", "actionOnEmptyResult"];
    // They shape the recognition of speech, or say what is so anyhow.
    const HARMLESS: [&str; 8] = [
        "language",
        "hints",
        "speechTimeout",
        "speechModel",
        "enhanced",
        "profanityFilter",
        "maxSpeechTime",
        "dtmfDetection",
    ];
    element.knows(&SERVED, &[&HARMLESS[..], &["bargeIn"]].concat())?;
    // Of "dtmf speech" the keys are served: whoever offers both can be answered by one.
    if !element.get("input").unwrap_or("dtmf").split_whitespace().any(|input| input == "dtmf") {
        return Err(unserved("<Gather> of speech alone"));
    }
    let prompts: Vec<Verb> = element.elements("Gather")?.map(verb).collect::<Result<_, _>>()?;
    if prompts.iter().any(|verb| !matches!(verb, Verb::Say(_) | Verb::Play(_) | Verb::Pause(_))) {
        return Err(invalid("<Gather> holds Say, Play and Pause only"));
    }
    // An empty value says that no key ends the input.
    let written = element.attributes.iter().find(|(name, _)| name == "finishOnKey");
    let finish_on = written.map_or("#", |(_, value)| value.trim()).to_owned();
    keys(&finish_on, 12)?;
    let digits_max = element.number("numDigits", 1_000)?;
    if digits_max == Some(0) {
        return Err(invalid("numDigits of <Gather> must be 1 or more"));
    }
    let timeout = match element.get("timeout") {
        Some("auto") | None => Duration::from_secs(5),
        Some(_) => element.seconds("timeout")?.unwrap_or(Duration::from_secs(5)),
    };
    Ok(Gather {
        action: element.get("action").map(str::to_owned),
        method: element.method("method")?,
        timeout,
        finish_on,
        digits_max: digits_max.and_then(|most| u32::try_from(most).ok()),
        on_empty: element.toggle("actionOnEmptyResult")?.unwrap_or(false),
        prompts,
    })
}

fn dial(element: &Element) -> Result<Dial, DocumentError> {
    const SERVED: [&str; 7] =
        ["action", "method", "timeout", "timeLimit", "callerId", "record", "answerOnBridge"];
    element.knows(&SERVED, &["hangupOnStar", "trim", "ringTone"])?;
    element.only("record", &["do-not-record"])?;
    element.only("answerOnBridge", &["false"])?;
    element.only("hangupOnStar", &["false"])?;
    let (number, sip) = dialled(element)?;
    let timeout = element.seconds("timeout")?.unwrap_or(Duration::from_secs(30));
    Ok(Dial {
        number,
        sip,
        action: element.get("action").map(str::to_owned),
        method: element.method("method")?,
        // Twilio's bounds.
        timeout: timeout.clamp(Duration::from_secs(5), Duration::from_secs(600)),
        longest: element.seconds("timeLimit")?,
        caller_id: element.get("callerId").map(str::to_owned),
    })
}

/// The one party: text of the verb itself, a `<Number>` or a `<Sip>`.
fn dialled(element: &Element) -> Result<(Option<String>, Option<String>), DocumentError> {
    let nouns: Vec<&Element> = element
        .children
        .iter()
        .filter_map(|node| match node {
            Node::Element(noun) => Some(noun),
            Node::Text(_) => None,
        })
        .collect();
    let noun = match nouns.as_slice() {
        [] => return named_party(element.text()?, false),
        [noun] => *noun,
        [_, _, ..] => return Err(unserved("<Dial> of several parties at once")),
    };
    match noun.name.as_str() {
        "Number" => {
            noun.knows(&[], &["phoneNumberSid"])?;
            named_party(noun.text()?, false)
        }
        "Sip" => {
            noun.knows(&[], &[])?;
            named_party(noun.text()?, true)
        }
        "Client" | "Conference" | "Queue" | "Sim" | "Application" | "WhatsApp" => {
            Err(unserved(format!("<{}>", noun.name)))
        }
        other => Err(invalid(format!("<{}> cannot be dialled", clip(other)))),
    }
}

fn named_party(text: String, sip: bool) -> Result<(Option<String>, Option<String>), DocumentError> {
    if text.is_empty() {
        return Err(invalid("<Dial> says nobody to call"));
    }
    Ok(if sip { (None, Some(text)) } else { (Some(text), None) })
}

fn connect(element: &Element) -> Result<Connect, DocumentError> {
    element.knows(&["action", "method"], &[])?;
    Ok(Connect {
        stream: only_stream(element)?,
        action: element.get("action").map(str::to_owned),
        method: element.method("method")?,
    })
}

/// The one `<Stream>` in a Connect or Start.
fn only_stream(element: &Element) -> Result<Stream, DocumentError> {
    let nouns: Vec<&Element> = element.elements(&element.name)?.collect();
    match nouns.as_slice() {
        [noun] if noun.name == "Stream" => stream(noun),
        [noun] => Err(unserved(format!("<{}> in <{}>", clip(&noun.name), element.name))),
        [] | [_, _, ..] => Err(invalid(format!("<{}> needs one <Stream>", element.name))),
    }
}

fn stream(element: &Element) -> Result<Stream, DocumentError> {
    element.knows(&["url", "name", "track"], &[])?;
    let url = element.get("url").ok_or_else(|| invalid("<Stream> needs a url"))?;
    if !url.starts_with("wss://") && !url.starts_with("ws://") {
        return Err(invalid("url of <Stream> must begin with wss:// or ws://"));
    }
    let track = match element.get("track") {
        None | Some("inbound_track") => Track::Inbound,
        Some("outbound_track") => Track::Outbound,
        Some("both_tracks") => Track::Both,
        Some(_) => {
            return Err(invalid("track must be inbound_track, outbound_track or both_tracks"));
        }
    };
    let mut parameters = Vec::new();
    for child in element.elements("Stream")? {
        if child.name != "Parameter" {
            return Err(invalid(format!("<{}> does not belong into <Stream>", clip(&child.name))));
        }
        child.knows(&["name", "value"], &[])?;
        let name = child.get("name").ok_or_else(|| invalid("<Parameter> needs a name"))?;
        let value = child.attributes.iter().find(|(known, _)| known == "value");
        let value = value.map(|(_, value)| value.clone()).unwrap_or_default();
        if name.len() + value.len() > PARAMETER_OCTETS_MAX || parameters.len() >= PARAMETERS_MAX {
            return Err(invalid("the <Parameter>s are too many or too long"));
        }
        parameters.push((name.to_owned(), value));
    }
    let name = element.get("name").map(str::to_owned);
    Ok(Stream { url: url.to_owned(), name, track, parameters })
}

fn stop(element: &Element) -> Result<Verb, DocumentError> {
    element.knows(&[], &[])?;
    let nouns: Vec<&Element> = element.elements("Stop")?.collect();
    let [noun] = nouns.as_slice() else { return Err(invalid("<Stop> needs one <Stream>")) };
    if noun.name != "Stream" {
        return Err(unserved(format!("<{}> in <Stop>", clip(&noun.name))));
    }
    noun.knows(&["name"], &[])?;
    let name = noun.get("name").ok_or_else(|| invalid("<Stream> in <Stop> needs a name"))?;
    Ok(Verb::Stop(name.to_owned()))
}

fn reject(element: &Element) -> Result<Verb, DocumentError> {
    element.knows(&["reason"], &[])?;
    element.is_empty()?;
    match element.get("reason") {
        Some("busy") => Ok(Verb::Reject(486)),
        Some("rejected") | None => Ok(Verb::Reject(603)),
        Some(_) => Err(invalid("reason of <Reject> must be rejected or busy")),
    }
}
