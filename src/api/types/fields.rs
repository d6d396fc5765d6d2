//! Reading JSON objects field by field, so that one answer names every wrong place.
//!
//! Owns the two spellings of a name (camelCase, and snake_case beside it), the rule that null is
//! absent, JSON pointers, and the bound on the number of elements of a body. Knows no field.

use crate::api::error::{Code, FieldError, Problem};
use serde_json::{Map, Value};
use std::ops::RangeInclusive;

/// How many elements a body may have: members and items, counted by their separators. Enough for
/// the longest text made of commas and the largest metadata, and an end to bodies that cost a
/// hundred times their size in memory.
const ELEMENTS_MAX: usize = 65_536;
/// How many wrong places are noted.
const FAULTS_MAX: usize = 32;

/// Parses a body that must be a JSON object.
///
/// # Errors
/// `invalid_request` with line and column of what is not JSON.
pub fn parse(bytes: &[u8]) -> Result<Map<String, Value>, Problem> {
    let wrong =
        |rule, detail: String| Problem::new(Code::InvalidRequest, detail).with_pointer("", rule);
    if bytes.is_empty() {
        return Err(wrong("malformed_json", "the body is empty; a JSON object is needed".into()));
    }
    let elements = memchr::memchr3_iter(b',', b'[', b'{', bytes).count();
    if elements > ELEMENTS_MAX {
        let detail = format!("the body has more than {ELEMENTS_MAX} elements");
        return Err(wrong("too_complex", detail));
    }
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(wrong("wrong_type", "the body must be a JSON object".into())),
        Err(error) => Err(wrong("malformed_json", format!("the body is not JSON: {error}"))),
    }
}

/// The wrong places of one request, in the order in which they were found.
#[derive(Debug, Default)]
pub struct Faults {
    list: Vec<(Code, FieldError)>,
}

impl Faults {
    /// Notes a wrong place; beyond 32 they are not noted any more.
    pub fn add(
        &mut self,
        code: Code,
        pointer: impl Into<String>,
        rule: &'static str,
        detail: impl Into<String>,
    ) {
        if self.list.len() < FAULTS_MAX {
            let (pointer, detail) = (pointer.into(), detail.into());
            self.list.push((code, FieldError { pointer, code: rule, detail }));
        }
    }

    /// Notes a field that is needed and absent.
    pub fn missing(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.add(Code::MissingField, pointer, "required", detail);
    }

    /// Notes a field that the API has and this version does not serve.
    pub fn later(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.add(Code::NotImplemented, pointer, "not_implemented", detail);
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The answer, if anything is wrong: the first fault gives the code; what is wrong in itself
    /// goes before what is merely not served.
    ///
    /// # Errors
    /// The problem that names all places.
    pub fn into_result(self) -> Result<(), Problem> {
        let served = |fault: &&(Code, FieldError)| fault.0 != Code::NotImplemented;
        let Some((code, first)) = self.list.iter().find(served).or(self.list.first()) else {
            return Ok(());
        };
        let detail = match self.list.len() {
            1 => first.detail.clone(),
            more => format!("{} (and {} more, see errors)", first.detail, more - 1),
        };
        let problem = Problem::new(*code, detail);
        Err(problem.with_errors(self.list.into_iter().map(|(_, error)| error).collect()))
    }
}

/// One object of a request, being read.
#[derive(Debug)]
pub struct Object<'a> {
    pointer: String,
    map: &'a Map<String, Value>,
    known: Vec<&'static str>,
}

impl<'a> Object<'a> {
    /// Begins with the object that stands at `pointer`.
    #[must_use]
    pub fn new(pointer: impl Into<String>, map: &'a Map<String, Value>) -> Self {
        Self { pointer: pointer.into(), map, known: Vec::new() }
    }

    /// The pointer of a field of this object.
    #[must_use]
    pub fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.pointer)
    }

    /// Whether a field is there, in either spelling, and not null.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        let there = |name: &str| self.map.get(name).is_some_and(|value| !value.is_null());
        there(name) || there(&snake_case(name))
    }

    /// Whether a field is there and null.
    #[must_use]
    pub fn is_null(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(Value::is_null)
    }

    /// A field by its camelCase name, or its snake_case one; null is absent.
    pub fn value(&mut self, faults: &mut Faults, name: &'static str) -> Option<&'a Value> {
        self.known.push(name);
        let snake = snake_case(name);
        let camel = self.map.get(name);
        let other = (snake != name).then(|| self.map.get(&snake)).flatten();
        if camel.is_some() && other.is_some() {
            let detail = format!("{name} is given twice, also as {snake}");
            faults.add(Code::InvalidRequest, self.at(&snake), "given_twice", detail);
        }
        camel.or(other).filter(|value| !value.is_null())
    }

    /// A string.
    pub fn text(&mut self, faults: &mut Faults, name: &'static str, code: Code) -> Option<&'a str> {
        let value = self.value(faults, name)?;
        if value.is_string() {
            return value.as_str();
        }
        faults.add(code, self.at(name), "wrong_type", format!("{name} must be a string"));
        None
    }

    /// A whole number within bounds.
    pub fn integer(
        &mut self,
        faults: &mut Faults,
        name: &'static str,
        bounds: RangeInclusive<u32>,
    ) -> Option<u32> {
        let value = self.value(faults, name)?;
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        let found = number.filter(|number| bounds.contains(number));
        if found.is_none() {
            let (least, most) = (bounds.start(), bounds.end());
            let detail = format!("{name} must be a whole number from {least} to {most}");
            faults.add(Code::InvalidRequest, self.at(name), "out_of_range", detail);
        }
        found
    }

    /// An object.
    pub fn object(&mut self, faults: &mut Faults, name: &'static str) -> Option<Object<'a>> {
        let value = self.value(faults, name)?;
        if let Some(map) = value.as_object() {
            return Some(Object::new(self.at(name), map));
        }
        let detail = format!("{name} must be an object");
        faults.add(Code::InvalidRequest, self.at(name), "wrong_type", detail);
        None
    }

    /// A list of strings, at most `most` of them.
    pub fn texts(
        &mut self,
        faults: &mut Faults,
        name: &'static str,
        most: usize,
    ) -> Option<Vec<&'a str>> {
        let value = self.value(faults, name)?;
        let list = value.as_array().filter(|list| list.len() <= most);
        let Some(texts) =
            list.and_then(|list| list.iter().map(Value::as_str).collect::<Option<Vec<_>>>())
        else {
            let detail = format!("{name} must be a list of at most {most} strings");
            faults.add(Code::InvalidRequest, self.at(name), "wrong_type", detail);
            return None;
        };
        Some(texts)
    }

    /// A field of which only the value `served` is served; the rest of its type is for later.
    pub fn only(&mut self, faults: &mut Faults, name: &'static str, served: &Value) {
        let Some(value) = self.value(faults, name) else { return };
        let same = match (value.as_f64(), served.as_f64()) {
            (Some(value), Some(served)) => (value - served).abs() < f64::EPSILON,
            _ => value == served,
        };
        if same {
            return;
        }
        if std::mem::discriminant(value) == std::mem::discriminant(served) {
            let detail = format!("{name} is served only as {served} in this version");
            faults.later(self.at(name), detail);
        } else {
            let detail = format!("{name} has the wrong type; {served} would be right");
            faults.add(Code::InvalidRequest, self.at(name), "wrong_type", detail);
        }
    }

    /// A field that is served only when absent or null.
    pub fn absent(&mut self, faults: &mut Faults, name: &'static str) {
        if self.value(faults, name).is_some() {
            let detail = format!("{name} is not served in this version; leave it out");
            faults.later(self.at(name), detail);
        }
    }

    /// The fields that were not asked for: wrong, when `strict`.
    pub fn finish(self, faults: &mut Faults, strict: bool) {
        if !strict {
            return;
        }
        for name in self.map.keys() {
            let known = |known: &&str| *known == name || snake_case(known) == *name;
            if !self.known.iter().any(known) {
                let shown = clip(name);
                let pointer = self.at(&shown.replace('~', "~0").replace('/', "~1"));
                let detail = format!("there is no field {shown:?} here");
                faults.add(Code::InvalidRequest, pointer, "unknown_field", detail);
            }
        }
    }
}

/// Foreign text, short enough and plain enough to be quoted in an answer.
#[must_use]
pub fn clip(text: &str) -> String {
    text.chars().take(80).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// `audioBase64` as `audio_base64`.
fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: &Value) -> Object<'_> {
        Object::new("", value.as_object().unwrap())
    }

    #[test]
    fn both_spellings_are_read_and_null_is_absent() {
        let mut faults = Faults::default();
        let body = json!({"audioBase64": "x", "voice_id": "v", "ringTimeout": null});
        let mut read = object(&body);
        assert_eq!(read.text(&mut faults, "audioBase64", Code::InvalidRequest), Some("x"));
        assert_eq!(read.text(&mut faults, "voiceId", Code::InvalidRequest), Some("v"));
        assert_eq!(read.integer(&mut faults, "ringTimeout", 1..=2), None);
        read.finish(&mut faults, true);
        faults.into_result().unwrap();
    }

    #[test]
    fn every_wrong_place_is_named() {
        let mut faults = Faults::default();
        let body = json!({"a": 1, "n": -1, "o": [], "l": [1], "xY": 1, "x_y": 2, "u/~": 0});
        let mut read = object(&body);
        assert_eq!(read.text(&mut faults, "a", Code::InvalidPhoneNumber), None);
        read.integer(&mut faults, "n", 0..=9);
        assert!(read.object(&mut faults, "o").is_none());
        assert!(read.texts(&mut faults, "l", 3).is_none());
        read.value(&mut faults, "xY");
        read.finish(&mut faults, true);
        let problem = faults.into_result().unwrap_err();
        assert_eq!(problem.code, Code::InvalidPhoneNumber);
        let places: Vec<_> =
            problem.errors.iter().map(|error| (error.pointer.as_str(), error.code)).collect();
        assert_eq!(
            places,
            [
                ("/a", "wrong_type"),
                ("/n", "out_of_range"),
                ("/o", "wrong_type"),
                ("/l", "wrong_type"),
                ("/x_y", "given_twice"),
                ("/u~1~0", "unknown_field"),
            ]
        );
    }

    #[test]
    fn what_is_wrong_goes_before_what_is_not_served() {
        let mut faults = Faults::default();
        let body = json!({"later": 1, "gain": 3, "off": "x", "one": 1});
        let mut read = object(&body);
        read.absent(&mut faults, "later");
        read.only(&mut faults, "gain", &json!(0));
        read.only(&mut faults, "one", &json!(1.0));
        read.only(&mut faults, "off", &json!(true));
        let problem = faults.into_result().unwrap_err();
        assert_eq!((problem.code, problem.errors.len()), (Code::InvalidRequest, 3));
    }

    #[test]
    fn hostile_bodies_are_refused_with_a_place() {
        let deep = "[".repeat(100_000);
        let wide = format!("[{}0]", "0,".repeat(ELEMENTS_MAX));
        let nested = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
        let cases: [(&[u8], &str); 8] = [
            (b"", "empty"),
            (b"{\"a\":", "line 1 column 5"),
            (b"{\"a\": \"\xff\"}", "column"),
            (b"[1]", "object"),
            (b"{} x", "trailing"),
            (deep.as_bytes(), "elements"),
            (wide.as_bytes(), "elements"),
            (nested.as_bytes(), "recursion"),
        ];
        for (body, part) in cases {
            let problem = parse(body).unwrap_err();
            assert_eq!((problem.status, problem.errors.len()), (400, 1));
            assert!(problem.detail.contains(part), "{part}: {}", problem.detail);
        }
    }
}
