//! `background` of a create request: the name of a track, or an object that says how loud it is.

use crate::api::error::Code;
use crate::api::gateway::BackgroundWish;
use crate::api::types::fields::{Faults, Object, clip};
use serde_json::Value;
use std::ops::RangeInclusive;

/// The name that stands for none.
const OFF: &str = "off";
/// Longest name.
const NAME_MAX: usize = 64;

/// Reads it. Whether there is such a track is known to the daemon only.
pub(super) fn background(
    read: &mut Object<'_>,
    faults: &mut Faults,
    strict: bool,
) -> Option<BackgroundWish> {
    if let Some(Value::String(name)) = read.value(faults, "background") {
        let source = source(name, "/background", faults)?;
        return Some(BackgroundWish { source, ..BackgroundWish::default() });
    }
    let mut object = read.object(faults, "background")?;
    if !object.has("source") {
        faults.missing("/background/source", "background.source is required");
    }
    let name = object.text(faults, "source", Code::InvalidRequest);
    let gain_db = decibels(&mut object, faults, "gainDb", &(-60.0..=0.0));
    let duck_db = decibels(&mut object, faults, "duckDb", &(0.0..=60.0));
    object.finish(faults, strict);
    let source = source(name?, "/background/source", faults)?;
    Some(BackgroundWish { source, gain_db, duck_db })
}

/// `Some(None)` is none; `None` is wrong.
#[expect(clippy::option_option, reason = "wrong, off and a name are three things")]
fn source(name: &str, pointer: &str, faults: &mut Faults) -> Option<Option<String>> {
    if name.is_empty() || name.len() > NAME_MAX || name.chars().any(char::is_control) {
        let detail = format!("{:?} is no name of a background", clip(name));
        faults.add(Code::InvalidRequest, pointer, "pattern", detail);
        return None;
    }
    Some((name != OFF).then(|| name.to_owned()))
}

#[expect(clippy::cast_possible_truncation, reason = "gains need no double")]
fn decibels(
    object: &mut Object<'_>,
    faults: &mut Faults,
    name: &'static str,
    bounds: &RangeInclusive<f64>,
) -> Option<f32> {
    let value = object.value(faults, name)?;
    let decibels = value.as_f64().filter(|decibels| bounds.contains(decibels));
    if decibels.is_none() {
        let (least, most) = (bounds.start(), bounds.end());
        let detail = format!("background.{name} must be a number from {least} to {most}");
        faults.add(Code::InvalidRequest, object.at(name), "out_of_range", detail);
    }
    decibels.map(|decibels| decibels as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: serde_json::Value) -> (Option<BackgroundWish>, bool) {
        let map = [("background".to_owned(), value)].into_iter().collect();
        let mut faults = Faults::default();
        let wish = background(&mut Object::new("", &map), &mut faults, true);
        (wish, faults.is_empty())
    }

    #[test]
    fn a_name_or_an_object_is_a_background_and_off_is_none() {
        let named = |source: Option<&str>| BackgroundWish {
            source: source.map(str::to_owned),
            ..BackgroundWish::default()
        };
        assert_eq!(read(json!("office")), (Some(named(Some("office"))), true));
        assert_eq!(read(json!("off")), (Some(named(None)), true));
        assert_eq!(read(json!(null)), (None, true));
        let whole = json!({"source": "rain", "gainDb": -30, "duckDb": 6.5});
        let wish =
            BackgroundWish { gain_db: Some(-30.0), duck_db: Some(6.5), ..named(Some("rain")) };
        assert_eq!(read(whole), (Some(wish.clone()), true));
        let snake = json!({"source": "rain", "gain_db": -30, "duck_db": 6.5});
        assert_eq!(read(snake), (Some(wish), true));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for value in [
            json!(5),
            json!(""),
            json!("a\nb"),
            json!({}),
            json!({"source": 7}),
            json!({"source": "x", "gainDb": 3}),
            json!({"source": "x", "duckDb": "12"}),
            json!({"source": "x", "volume": 1}),
        ] {
            assert!(!read(value.clone()).1, "{value}");
        }
    }
}
