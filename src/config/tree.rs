//! A configuration before it has types: values, and where each was written.
//!
//! Owns the shape between the sources (`source`, `layers`) and the reader. Does not know what any
//! value means.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A table: keys in alphabetical order.
pub type Table = BTreeMap<String, Node>;

/// One written value.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it was written, if that was outside the file: "environment variable …". Such values
    /// arrive as text and are understood by the type that reads them.
    pub outside: Option<Arc<str>>,
    /// The value.
    pub value: Tree,
}

/// The value of a [`Node`].
#[derive(Debug, Clone, PartialEq)]
pub enum Tree {
    /// `true` or `false`.
    Toggle(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction or an exponent.
    Number(f64),
    /// Text.
    Text(String),
    /// A list, or the elements of `[[name]]`.
    List(Vec<Node>),
    /// A table.
    Table(Table),
}

impl Node {
    /// A value of the file.
    #[must_use]
    pub fn new(value: Tree) -> Self {
        Self { outside: None, value }
    }

    /// What kind of value it is, with its article.
    #[must_use]
    pub fn what(&self) -> &'static str {
        match self.value {
            Tree::Toggle(_) => "true or false",
            Tree::Integer(_) => "a whole number",
            Tree::Number(_) => "a number",
            Tree::Text(_) => "text",
            Tree::List(_) => "a list",
            Tree::Table(_) => "a table",
        }
    }

    /// The text.
    ///
    /// # Errors
    /// Says that text was wanted, and how to write it when the value is a number.
    pub fn text(&self) -> Result<&str, String> {
        match &self.value {
            Tree::Text(text) => Ok(text),
            Tree::Integer(number) => {
                Err(format!("wants text in quotes, and this is a number; write \"{number}\""))
            }
            Tree::Toggle(_) | Tree::Number(_) | Tree::List(_) | Tree::Table(_) => {
                Err(format!("wants text in quotes, and this is {}", self.what()))
            }
        }
    }

    /// The whole number.
    ///
    /// # Errors
    /// Says that a whole number was wanted.
    pub fn integer(&self) -> Result<i64, String> {
        if let Tree::Integer(number) = self.value {
            return Ok(number);
        }
        self.outside_text()
            .and_then(|text| text.trim().parse().ok())
            .ok_or_else(|| format!("wants a whole number, and this is {}", self.what()))
    }

    /// The number; whole numbers count.
    ///
    /// # Errors
    /// Says that a number was wanted.
    #[expect(clippy::cast_precision_loss, reason = "option values are far below 2^52")]
    pub fn number(&self) -> Result<f64, String> {
        match self.value {
            Tree::Number(number) if number.is_finite() => return Ok(number),
            Tree::Integer(number) => return Ok(number as f64),
            Tree::Toggle(_) | Tree::Number(_) | Tree::Text(_) | Tree::List(_) | Tree::Table(_) => {}
        }
        self.outside_text()
            .and_then(|text| text.trim().parse().ok())
            .filter(|number: &f64| number.is_finite())
            .ok_or_else(|| format!("wants a number, and this is {}", self.what()))
    }

    /// The truth value.
    ///
    /// # Errors
    /// Says that `true` or `false` was wanted.
    pub fn toggle(&self) -> Result<bool, String> {
        if let Tree::Toggle(toggle) = self.value {
            return Ok(toggle);
        }
        match self.outside_text().map(str::trim) {
            Some("true" | "1" | "yes" | "on") => Ok(true),
            Some("false" | "0" | "no" | "off") => Ok(false),
            Some(_) | None => Err(format!("wants true or false, and this is {}", self.what())),
        }
    }

    /// The text of a value that came from the environment or the command line.
    #[must_use]
    pub fn outside_text(&self) -> Option<&str> {
        match (&self.outside, &self.value) {
            (Some(_), Tree::Text(text)) => Some(text),
            _ => None,
        }
    }
}
