//! The fields of an event, each parsed separately.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
};

use serde::Deserialize;
use serde_json::value::RawValue;

/// The fields of a JSON object, each still unparsed.
pub(super) type RawFields<'a> = BTreeMap<String, &'a RawValue>;

pub(super) fn object(text: &str) -> Option<RawFields<'_>> {
    serde_json::from_str(text).ok()
}

pub(super) fn nested<'a>(fields: &RawFields<'a>, name: &str) -> RawFields<'a> {
    fields
        .get(name)
        .and_then(|value| object(value.get()))
        .unwrap_or_default()
}

/// Returns a string, borrowed from the event if it contains no escapes. A large body is base64,
/// which contains none.
pub(super) fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str(value.get())
        .ok()
        .map(|Text(text)| text)
}

pub(super) fn field<'a>(fields: &RawFields<'a>, name: &str) -> Option<Cow<'a, str>> {
    let value: &'a RawValue = fields.get(name).copied()?;
    text(value)
}

/// Returns the strings of a single string or of a list of strings.
pub(super) fn many(value: &RawValue) -> Vec<Cow<'_, str>> {
    match serde_json::from_str::<Vec<&RawValue>>(value.get()) {
        Ok(list) => list.into_iter().filter_map(text).collect(),
        Err(_) => text(value).into_iter().collect(),
    }
}

pub(super) fn texts(fields: &RawFields<'_>) -> HashMap<String, String> {
    fields
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), text(value)?.into_owned())))
        .collect()
}
