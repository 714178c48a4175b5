//! The decision about a conflict whose fields cannot be merged, as a request.

use std::collections::HashMap;

use serde_json::value::RawValue;
use tidemark_core::model::{
    catalog::ResourceType,
    conflict::ConflictEdit,
    json::{self, Fields, Json},
    resolve::RequestedResolution,
};

use super::{FormProblem, entries::MergeEntries};

/// A decision about a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// The device's edits are dropped.
    Keep,
    /// The device's edits are applied.
    Apply,
    /// The device's edits are applied with other unique values.
    ApplyWithValues,
}

impl Decision {
    /// Returns the value of the radio button.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "accept_server",
            Self::Apply => "accept_client",
            Self::ApplyWithValues => "other_values",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let all = [Self::Keep, Self::Apply, Self::ApplyWithValues];
        all.into_iter().find(|decision| decision.as_str() == text)
    }

    /// Returns the resolution that the decision requests.
    pub(super) const fn resolution(self) -> RequestedResolution {
        match self {
            Self::Keep => RequestedResolution::AcceptServer,
            Self::Apply => RequestedResolution::AcceptClient,
            Self::ApplyWithValues => RequestedResolution::FieldPick,
        }
    }
}

/// A unique field that the device's edits set.
#[derive(Debug)]
pub(super) struct UniqueField {
    pub(super) name: String,
    /// The value of the last edit that sets it.
    pub(super) value: Json,
}

impl UniqueField {
    /// Returns the pointer that names the field in the form.
    pub(super) fn pointer(&self) -> String {
        format!("/{}", self.name)
    }

    /// Returns the id of the input of the field with this pointer.
    pub(super) fn input_id(pointer: &str) -> String {
        format!("value{}", pointer.replace('/', "-"))
    }
}

/// Returns the fields of the edits, with the value of the last edit that names each.
fn named_fields(edits: &[ConflictEdit]) -> Fields {
    let mut fields = Fields::new();
    for edit in edits {
        fields.extend(json::fields(&edit.payload).unwrap_or_default());
    }
    fields
}

/// Returns the unique fields of a type that the edits set.
pub(super) fn unique_fields(rules: &ResourceType, edits: &[ConflictEdit]) -> Vec<UniqueField> {
    let mut named: HashMap<String, Json> = named_fields(edits).into_iter().collect();
    let field = |name: &String| {
        let value = named.remove(name)?;
        let name = name.clone();
        Some(UniqueField { name, value })
    };
    rules.unique.iter().filter_map(field).collect()
}

/// Returns the picks that apply the edits with the entered values of the unique fields.
///
/// # Errors
/// Returns the problems of values that are not JSON.
pub(super) fn picks_with_values(
    edits: &[ConflictEdit],
    unique: &[UniqueField],
    entries: &MergeEntries,
) -> Result<Fields, Vec<FormProblem>> {
    let mut picks = Fields::new();
    for name in named_fields(edits).into_keys() {
        picks.insert(name, raw("\"client\""));
    }

    let mut problems = Vec::new();
    for field in unique {
        let name = &field.name;
        let entered = entries.value(&field.pointer()).trim();
        match RawValue::from_string(entered.to_owned()) {
            Ok(value) => drop(picks.insert(name.clone(), value_pick(&value))),
            Err(_) => problems.push(FormProblem {
                pointer: Some(field.pointer()),
                text: format!("{name}: enter a JSON value, such as \"A-2\" in quotation marks"),
            }),
        }
    }
    if problems.is_empty() {
        Ok(picks)
    } else {
        Err(problems)
    }
}

/// Returns the pick of a value.
pub(super) fn value_pick(value: &RawValue) -> Json {
    raw(&format!("{{\"value\":{}}}", value.get()))
}

/// Returns a JSON text as a value. The callers pass JSON; any other text would be an invalid pick.
pub(super) fn raw(text: &str) -> Json {
    RawValue::from_string(text.to_owned()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}
