//! What an action changed: the state before and after it, compared by fields.

use std::borrow::Cow;

use maud::{Markup, html};
use serde_json::value::RawValue;
use tidemark_core::{
    model::conflict::{BaseSource, ConflictBase},
    rules::comparison::{
        ConflictSides, DiffKind, DiffPart, FieldLabel, FieldValue, compare, elements, words,
    },
};

use crate::{
    elements::none,
    text::{long, visible},
};

/// The maximum number of bytes of the contents that the changes of one page show.
const ROOM_BYTES: usize = 1_000_000;
/// The maximum number of characters of one value that a page shows.
const VALUE_CHARS_MAX: usize = 2_000;
/// The bytes that the markup of one field needs in addition to its values.
const FIELD_BYTES: usize = 200;

/// The bytes that a page still has for the contents of changes.
#[derive(Debug)]
pub(super) struct ContentRoom(usize);

impl Default for ContentRoom {
    fn default() -> Self {
        Self(ROOM_BYTES)
    }
}

/// The difference between the states before and after an action.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The action has no states.
    Unrecorded,
    /// Both states are equal.
    Unchanged,
    /// The fields that differ, and the number of those that the page has no room for.
    Fields(Vec<ChangedField>, usize),
}

/// A field whose value an action changed. Values that do not exist are `None`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ChangedField {
    /// The field as a JSON Pointer; empty for an element of a list.
    path: String,
    before: Option<String>,
    after: Option<String>,
}

impl Change {
    /// Compares the states. Takes the bytes of the values from `room`.
    pub(super) fn of(
        before: Option<&RawValue>,
        after: Option<&RawValue>,
        room: &mut ContentRoom,
    ) -> Self {
        if before.is_none() && after.is_none() {
            return Self::Unrecorded;
        }

        let is_list = |state: Option<&RawValue>| state.is_some_and(|it| it.get().starts_with('['));
        let fields = if is_list(before) || is_list(after) {
            changed_elements(before, after)
        } else {
            changed_fields(before, after)
        };

        let all = fields.len();
        let shown: Vec<_> = fields.into_iter().take_while(|it| room.take(it)).collect();
        match all {
            0 => Self::Unchanged,
            _ => {
                let hidden = all - shown.len();
                Self::Fields(shown, hidden)
            }
        }
    }
}

impl ContentRoom {
    /// Takes the bytes of a field, and returns whether they fit.
    fn take(&mut self, field: &ChangedField) -> bool {
        let values = field.before.iter().chain(&field.after);
        let bytes: usize = values
            .map(|value| value.len().min(4 * VALUE_CHARS_MAX))
            .sum();
        let left = self.0.checked_sub(FIELD_BYTES + field.path.len() + bytes);
        self.0 = left.unwrap_or_default();
        left.is_some()
    }
}

/// Returns the fields of two objects that differ. A state that does not exist has no fields.
fn changed_fields(before: Option<&RawValue>, after: Option<&RawValue>) -> Vec<ChangedField> {
    let empty = RawValue::from_string("{}".to_owned()).unwrap_or_default();
    let base = ConflictBase {
        payload: before.unwrap_or(&empty).to_owned(),
        source: BaseSource::Log,
    };
    // A device without edits has the content of the base, so only the server differs.
    let Some(sides) = ConflictSides::of(Some(&base), after.unwrap_or(&empty), &[]) else {
        return Vec::new();
    };

    let rows = compare(&sides, None).rows.into_iter();
    rows.filter(|row| row.label == FieldLabel::OnlyServer)
        .map(|row| {
            let text = |value: FieldValue<'_>| value.compact().map(Cow::into_owned);
            ChangedField {
                path: row.pointer(),
                before: text(row.values.base),
                after: text(row.values.server),
            }
        })
        .collect()
}

/// Returns the elements of two lists that differ. A state that does not exist has no elements.
fn changed_elements(before: Option<&RawValue>, after: Option<&RawValue>) -> Vec<ChangedField> {
    let empty = RawValue::from_string("[]".to_owned()).unwrap_or_default();
    let parts = elements(before.unwrap_or(&empty), after.unwrap_or(&empty)).unwrap_or_default();
    parts
        .into_iter()
        .filter_map(|DiffPart { kind, text }| {
            let text = Some(text.to_owned());
            let (before, after) = match kind {
                DiffKind::Equal => return None,
                DiffKind::Removed => (text, None),
                DiffKind::Added => (None, text),
            };
            Some(ChangedField {
                path: String::new(),
                before,
                after,
            })
        })
        .collect()
}

/// Returns a change as a list that the user opens.
pub(super) fn view(change: &Change) -> Markup {
    let (fields, hidden) = match change {
        Change::Unrecorded => return none(),
        Change::Unchanged => return html! { span.none { "nothing" } },
        Change::Fields(fields, hidden) => (fields, *hidden),
    };

    html! {
        details {
            summary { (summary(fields.len() + hidden)) }
            @if !fields.is_empty() {
                table.change {
                    thead {
                        tr {
                            th scope="col" { "Field" }
                            th scope="col" { "Before" }
                            th scope="col" { "After" }
                        }
                    }
                    tbody {
                        @for field in fields { (row(field)) }
                    }
                }
            }
            @if hidden > 0 {
                p.none {
                    "Not shown: " (hidden) ". Show fewer entries on the page, or use the API."
                }
            }
        }
    }
}

fn summary(values: usize) -> String {
    match values {
        1 => "1 value".to_owned(),
        values => format!("{values} values"),
    }
}

fn row(field: &ChangedField) -> Markup {
    let (before, after) = match (&field.before, &field.after) {
        (Some(before), Some(after)) if is_short(before) && is_short(after) => {
            let parts = words(before, after);
            (
                parts_of(&parts, DiffKind::Removed),
                parts_of(&parts, DiffKind::Added),
            )
        }
        (before, after) => (value(before.as_deref()), value(after.as_deref())),
    };

    html! {
        tr {
            th scope="row" {
                @if field.path.is_empty() { (none()) } @else {
                    code { bdi { (visible(&field.path)) } }
                }
            }
            td { (before) }
            td { (after) }
        }
    }
}

fn is_short(text: &str) -> bool {
    text.chars().count() <= VALUE_CHARS_MAX
}

fn value(text: Option<&str>) -> Markup {
    text.map_or_else(none, |text| long(text, VALUE_CHARS_MAX))
}

/// Returns one of two texts with its words that the other text does not have marked.
fn parts_of(parts: &[DiffPart<'_>], own: DiffKind) -> Markup {
    html! {
        bdi.value {
            @for part in parts {
                @if part.kind == DiffKind::Equal { (visible(part.text)) }
                @else if part.kind != own {}
                @else if own == DiffKind::Removed { del { (visible(part.text)) } }
                @else { ins { (visible(part.text)) } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).expect("JSON")
    }

    /// Returns the path and the values of each change.
    fn changes(before: Option<&str>, after: Option<&str>) -> Vec<[String; 3]> {
        let (before, after) = (before.map(json), after.map(json));
        match Change::of(
            before.as_deref(),
            after.as_deref(),
            &mut ContentRoom::default(),
        ) {
            Change::Fields(fields, 0) => fields
                .into_iter()
                .map(|field| {
                    let text = |value: Option<String>| value.unwrap_or_else(|| "-".into());
                    [field.path, text(field.before), text(field.after)]
                })
                .collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn resources_are_compared_by_fields() {
        let before = r#"{"server_version":1,"deleted":false,"payload":{"a":1.0,"b":"x","c":[1]}}"#;
        let after = r#"{"server_version":2,"deleted":false,"payload":{"a":1,"c": [1],"d":null}}"#;
        let expected = [
            ["/server_version", "1", "2"],
            ["/payload/a", "1.0", "1"],
            ["/payload/d", "-", "null"],
            ["/payload/b", "\"x\"", "-"],
        ];
        assert_eq!(changes(Some(before), Some(after)), expected);
        assert_eq!(
            changes(None, Some(r#"{"server_version":1}"#)),
            [["/server_version", "-", "1"]]
        );
    }

    #[test]
    fn results_are_compared_by_elements() {
        let before = r#"[{"index":0,"status":"ok"},{"index":1,"status":"error"}]"#;
        let after = r#"[{"index":0,"status":"ok"},{"index":1,"status":"ok"}]"#;
        let expected = [
            ["", r#"{"index":1,"status":"error"}"#, "-"],
            ["", "-", r#"{"index":1,"status":"ok"}"#],
        ];
        assert_eq!(changes(Some(before), Some(after)), expected);
        assert_eq!(changes(None, Some("[1]")), [["", "-", "1"]]);
    }

    #[test]
    fn equal_and_missing_states_are_named() {
        let state = json(r#"{"a":1}"#);
        let of = |before, after| Change::of(before, after, &mut ContentRoom::default());
        assert_eq!(of(Some(&*state), Some(&*state)), Change::Unchanged);
        assert_eq!(of(None, None), Change::Unrecorded);
    }

    #[test]
    fn changes_of_page_are_bounded() {
        let long = json(&format!("{{\"a\":\"{}\",\"b\":1}}", "x".repeat(10_000)));
        let mut room = ContentRoom(8_000 + 2 * FIELD_BYTES);
        let change = Change::of(None, Some(&long), &mut room);
        assert!(matches!(change, Change::Fields(ref fields, 1) if fields.len() == 1));
        let page = view(&change).into_string();
        assert!(page.len() < 3_000, "{} bytes", page.len());
        assert!(page.contains("Not shown: 1."));
    }

    #[test]
    fn changed_words_are_marked() {
        let (before, after) = (
            json(r#"{"a":"front <b> door"}"#),
            json(r#"{"a":"back <b> door"}"#),
        );
        let change = Change::of(Some(&before), Some(&after), &mut ContentRoom::default());
        let page = view(&change).into_string();
        for text in [
            "<del>&quot;front</del> &lt;b&gt; door&quot;",
            "<ins>&quot;back</ins> &lt;b&gt; door&quot;",
        ] {
            assert!(page.contains(text), "{page}");
        }
    }
}
