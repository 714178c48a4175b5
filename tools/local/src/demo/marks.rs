//! Marks in the demo data: JSON texts that a run replaces by media keys, which are new in each
//! tenant.

use serde_json::value::RawValue;
use tidemark_core::model::json::Json;

use super::error::DemoError;

/// Begins a mark for a photo that shows a reading.
pub const PHOTO: &str = "\"@photo:";
/// Begins a mark for a media key of a submission: its id, a slash and the index of the key.
pub const MEDIA: &str = "\"@media:";

/// Returns the text between the first mark that begins with `mark` and its closing quote, with the
/// texts before and after the mark.
fn first<'t>(text: &'t str, mark: &str) -> Option<(&'t str, &'t str, &'t str)> {
    let (before, rest) = text.split_once(mark)?;
    let (label, after) = rest.split_once('"')?;
    Some((before, label, after))
}

/// Returns the labels of all marks in JSON text that begin with `mark`.
pub fn labels<'t>(text: &'t str, mark: &str) -> Vec<&'t str> {
    let (mut labels, mut rest) = (Vec::new(), text);
    while let Some((_, label, after)) = first(rest, mark) {
        labels.push(label);
        rest = after;
    }
    labels
}

/// Replaces each mark in JSON text by the string that `value` returns for its label.
///
/// # Errors
/// Returns the error of `value`, or [`DemoError::Json`] if the result is not JSON.
pub fn replace(
    json: &RawValue,
    mark: &str,
    mut value: impl FnMut(&str) -> Result<String, DemoError>,
) -> Result<Json, DemoError> {
    let (mut text, mut rest) = (String::new(), json.get());
    while let Some((before, label, after)) = first(rest, mark) {
        text.push_str(before);
        text.push_str(&serde_json::Value::String(value(label)?).to_string());
        rest = after;
    }
    text.push_str(rest);

    RawValue::from_string(text).map_err(|source| DemoError::Json {
        text: "an item of the demo data".to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_replaced_and_digits_kept() {
        let text = r#"{"a": 42.50, "media": ["@photo:7", "@photo:8"], "b": "@media:s/0"}"#;
        assert_eq!(labels(text, PHOTO), ["7", "8"]);

        let json = RawValue::from_string(text.to_owned()).unwrap();
        let replaced = replace(&json, PHOTO, |label| Ok(format!("key \"{label}\""))).unwrap();
        assert_eq!(
            replaced.get(),
            r#"{"a": 42.50, "media": ["key \"7\"", "key \"8\""], "b": "@media:s/0"}"#
        );
    }
}
