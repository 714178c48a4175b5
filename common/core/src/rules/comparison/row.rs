//! The rows of a comparison: one field with its values.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::{
    model::{json::is_same, work},
    rules::comparison::number::is_same_number,
};

/// A payload of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FieldSide {
    /// The content that the device had when it made the edits.
    Base,
    /// The current content on the server.
    Server,
    /// The content of the base with the edits of the device.
    Device,
}

/// The value of a field in one payload.
#[derive(Debug, Clone, Copy)]
pub enum FieldValue<'a> {
    /// The payload does not have the field. The value `null` is a text instead.
    Absent,
    /// It is not known whether the payload has the field: there is no base, or the base is unknown
    /// and the edits of the device do not name the field.
    Unknown,
    /// The JSON text of the value, as it was stored or sent.
    Text(&'a RawValue),
}

/// The values of one field.
#[derive(Debug, Clone, Copy)]
pub struct FieldValues<'a> {
    /// The value in the base.
    pub base: FieldValue<'a>,
    /// The value on the server.
    pub server: FieldValue<'a>,
    /// The value on the device.
    pub device: FieldValue<'a>,
}

/// The relation between the values of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FieldLabel {
    /// All three values are equal.
    Unchanged,
    /// The device changed the value, and the server still has that of the base.
    OnlyDevice,
    /// The server changed the value, and the device still has that of the base.
    OnlyServer,
    /// The server and the device changed the value to different values.
    Both,
    /// The server and the device changed the value to the same value.
    Same,
    /// The base is unknown, and the values of the server and the device differ.
    Differs,
    /// The base is unknown, and the values of the server and the device are equal, or the edits do
    /// not name the field.
    Equal,
}

/// One field of the payloads of a conflict. Two values are equal if their canonical texts are
/// equal, as everywhere in the protocol (§2): `1` and `1.0` differ.
#[derive(Debug, Clone)]
pub struct FieldRow<'a> {
    /// The name of the top-level field, followed by the names of nested fields.
    pub path: Vec<String>,
    /// The values of the field.
    pub values: FieldValues<'a>,
    /// The relation between the values.
    pub label: FieldLabel,
    /// The side whose value is stored unless a person picks another value. `None` if a person has
    /// to decide.
    pub preselected: Option<FieldSide>,
    /// Whether two of the values are the same number in different digits, such as `1` and `1.0`.
    pub is_same_number: bool,
    /// Whether the catalog declares the field as a media field.
    pub is_media: bool,
}

impl<'a> FieldRow<'a> {
    pub(super) fn new(path: Vec<String>, values: FieldValues<'a>, is_media: bool) -> Self {
        let label = values.label();
        Self {
            path,
            values,
            label,
            preselected: label.preselected(),
            is_same_number: values.has_same_number(),
            is_media,
        }
    }

    /// Returns the path as a JSON Pointer (RFC 6901), which identifies the row.
    ///
    /// See the example of [`compare`](super::compare).
    pub fn pointer(&self) -> String {
        let escaped = |name: &String| name.replace('~', "~0").replace('/', "~1");
        self.path
            .iter()
            .map(|name| format!("/{}", escaped(name)))
            .collect()
    }
}

impl FieldLabel {
    /// Returns the side that is stored if no person picks another value; `None` if a person has to
    /// decide.
    const fn preselected(self) -> Option<FieldSide> {
        match self {
            Self::OnlyDevice => Some(FieldSide::Device),
            Self::Unchanged | Self::OnlyServer | Self::Same | Self::Equal => {
                Some(FieldSide::Server)
            }
            Self::Both | Self::Differs => None,
        }
    }
}

impl<'a> FieldValues<'a> {
    /// Returns the value that a pick of this side stores. A field that the edits do not name has
    /// the server's value. Returns [`FieldValue::Unknown`] for an unknown base.
    pub(super) const fn of(&self, side: FieldSide) -> FieldValue<'a> {
        match (side, self.device) {
            (FieldSide::Base, _) => self.base,
            (FieldSide::Server, _) | (FieldSide::Device, FieldValue::Unknown) => self.server,
            (FieldSide::Device, device) => device,
        }
    }

    fn label(&self) -> FieldLabel {
        let device = self.of(FieldSide::Device);
        if matches!(self.base, FieldValue::Unknown) {
            return if device.is_same(self.server) {
                FieldLabel::Equal
            } else {
                FieldLabel::Differs
            };
        }

        let has_changed = |value: FieldValue<'_>| !value.is_same(self.base);
        match (has_changed(self.server), has_changed(device)) {
            (false, false) => FieldLabel::Unchanged,
            (false, true) => FieldLabel::OnlyDevice,
            (true, false) => FieldLabel::OnlyServer,
            (true, true) if device.is_same(self.server) => FieldLabel::Same,
            (true, true) => FieldLabel::Both,
        }
    }

    fn has_same_number(&self) -> bool {
        let texts = [self.base.text(), self.server.text(), self.device.text()];
        let pairs = [(0, 1), (0, 2), (1, 2)];
        pairs
            .into_iter()
            .filter_map(|(one, other)| Some((texts[one]?, texts[other]?)))
            .any(|(one, other)| is_same_number(one, other))
    }
}

impl<'a> FieldValue<'a> {
    /// Returns the JSON text of the value; `None` if the field is absent or unknown.
    pub fn text(self) -> Option<&'a str> {
        match self {
            Self::Text(value) => Some(value.get()),
            Self::Absent | Self::Unknown => None,
        }
    }

    /// Returns the JSON text without white space outside of strings.
    ///
    /// # Example
    ///
    /// ```
    /// use tidemark_core::rules::comparison::FieldValue;
    ///
    /// let value = serde_json::from_str("[1.0, \"front door\"]").unwrap();
    /// assert_eq!(FieldValue::Text(value).compact().unwrap(), "[1.0,\"front door\"]");
    /// assert_eq!(FieldValue::Absent.compact(), None);
    /// ```
    pub fn compact(self) -> Option<Cow<'a, str>> {
        self.text().map(compact)
    }

    /// Returns the decoded text of a JSON string; `None` if the value is not a string.
    ///
    /// # Example
    ///
    /// ```
    /// use tidemark_core::rules::comparison::FieldValue;
    ///
    /// let value = serde_json::from_str(r#""front\ndoor""#).unwrap();
    /// assert_eq!(FieldValue::Text(value).string().unwrap(), "front\ndoor");
    /// ```
    pub fn string(self) -> Option<String> {
        let quoted = self.text().filter(|text| text.starts_with('"'))?;
        work::parsed(quoted.len());
        serde_json::from_str(quoted).ok()
    }

    fn is_same(self, other: FieldValue<'_>) -> bool {
        match (self, other) {
            (Self::Text(one), FieldValue::Text(other)) => is_same(one, other),
            (Self::Absent, FieldValue::Absent) => true,
            _ => false,
        }
    }
}

/// Returns a JSON text without white space outside of strings.
pub(super) fn compact(text: &str) -> Cow<'_, str> {
    let is_nested = text.starts_with(['{', '[']);
    if !is_nested || !text.contains([' ', '\t', '\n', '\r']) {
        return Cow::Borrowed(text);
    }

    let (mut is_string, mut is_escaped) = (false, false);
    let is_kept = |letter: &char| {
        let begins_or_ends = *letter == '"' && !is_escaped;
        is_escaped = is_string && *letter == '\\' && !is_escaped;
        is_string ^= begins_or_ends;
        is_string || !letter.is_ascii_whitespace()
    };
    text.chars().filter(is_kept).collect()
}
