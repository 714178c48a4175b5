//! Tests of the comparison and of the merge, with the payloads and edits that they share.

mod merging;
mod rows;
mod words;

use std::collections::HashMap;

use serde_json::value::RawValue;

use super::*;
use crate::model::{
    conflict::{BaseSource, ConflictBase, ConflictEdit},
    edit::Action,
    json::Json,
    resource::EditId,
};

fn raw(text: &str) -> Json {
    RawValue::from_string(text.to_owned()).expect("test JSON")
}

fn edit(action: Action, payload: &str) -> ConflictEdit {
    ConflictEdit {
        id: EditId(1),
        action,
        payload: raw(payload),
        client_version: 1,
        base_version: None,
        was: None,
    }
}

fn update(patch: &str) -> ConflictEdit {
    edit(Action::Update, patch)
}

fn base(source: BaseSource, payload: &str) -> ConflictBase {
    ConflictBase {
        payload: raw(payload),
        source,
    }
}

fn logged(payload: &str) -> Option<ConflictBase> {
    Some(base(BaseSource::Log, payload))
}

/// Calls `test` with the comparison of a conflict that has these edits.
fn compared<T>(
    base: Option<ConflictBase>,
    server: &str,
    edits: &[ConflictEdit],
    test: impl FnOnce(&PayloadComparison<'_>) -> T,
) -> T {
    let server = raw(server);
    let sides = ConflictSides::of(base.as_ref(), &server, edits).expect("no edit deletes");
    test(&compare(&sides, None))
}

/// Returns the pointer and the label of each row.
fn labels(
    base: Option<ConflictBase>,
    server: &str,
    edits: &[ConflictEdit],
) -> Vec<(String, FieldLabel)> {
    let labels = |comparison: &PayloadComparison<'_>| {
        let rows = comparison.rows.iter();
        rows.map(|row| (row.pointer(), row.label)).collect()
    };
    compared(base, server, edits, labels)
}

fn named<const N: usize>(labels: [(&str, FieldLabel); N]) -> Vec<(String, FieldLabel)> {
    labels.map(|(name, label)| (name.to_owned(), label)).into()
}

/// Returns the picks of a form.
fn picks<const N: usize>(picks: [(&str, RowPick); N]) -> HashMap<String, RowPick> {
    picks.map(|(name, pick)| (name.to_owned(), pick)).into()
}
