//! The payload that the picks of a person result in.

use std::{borrow::Cow, collections::HashMap};

use serde_json::value::RawValue;

use crate::{
    model::{
        json::{self, Fields, Json, JsonError, canonical, without_duplicates},
        resolve::{Pick, Picks},
        work,
    },
    rules::{
        comparison::{
            PayloadComparison,
            expansion::{FieldNode, NodeContent},
            row::{FieldRow, FieldSide, FieldValue},
        },
        resolve::compose,
    },
};

/// A person's pick for one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowPick {
    /// The value of this side. If the side does not have the field, the field is removed.
    Side(FieldSide),
    /// The value that the person entered as JSON text.
    Value(String),
    /// No value: the field is removed.
    Remove,
}

/// The result of the picks.
#[derive(Debug)]
pub struct MergeDecision {
    /// The picks of the resolution `field_pick`: the top-level fields whose texts differ from the
    /// server's. They name no side, so the result does not depend on edits that are applied in the
    /// meantime.
    pub picks: Picks,
    /// The payload that the resolution stores. Undecided and invalid rows have the server's value.
    pub preview: Json,
    /// The pointers of the rows that need a pick.
    pub undecided: Vec<String>,
    /// The pointers of the rows whose entered text is not a JSON value, with the reason.
    pub invalid: Vec<(String, JsonError)>,
}

impl MergeDecision {
    /// Returns whether the preview can be stored: every row is decided and valid.
    ///
    /// See the example of [`decide`].
    pub const fn is_complete(&self) -> bool {
        self.undecided.is_empty() && self.invalid.is_empty()
    }
}

/// The reason why a row has no text in the merged payload.
enum RowProblem {
    /// A person has to decide.
    Undecided,
    /// The entered text is not a JSON value.
    Invalid(JsonError),
}

/// The texts of the rows in the merged payload; `None` for a field that is removed.
type ChosenTexts<'c> = Vec<Option<Cow<'c, str>>>;

/// Decides a merge by `picks`, which are named by the pointers of the rows. A row without a pick
/// has its preselected value. A pick without a row is ignored, and so is that of the base if it is
/// unknown.
///
/// An object whose rows all have the server's texts keeps its text. In another one the fields of
/// the server keep their order, and new fields follow. An object that the base does not have is
/// removed with its last field.
///
/// # Example
///
/// ```
/// mod phone { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/phone.rs")); }
/// use std::collections::HashMap;
/// use tidemark_core::rules::comparison::{ConflictSides, FieldSide, RowPick, compare, decide};
///
/// let server = phone::raw(r#"{"reading":50,"note":"old","serial":9007199254740993}"#);
/// let edits = phone::conflict(r#"{"reading":42.50,"note":null}"#).edits;
/// let sides = ConflictSides::of(None, &server, &edits).expect("no edit deletes");
/// let comparison = compare(&sides, None);
///
/// // The base is unknown, so that each difference has to be decided.
/// let mut picks = HashMap::from([("/reading".to_owned(), RowPick::Side(FieldSide::Device))]);
/// let decision = decide(&comparison, &picks);
/// assert_eq!(decision.undecided, ["/note"]);
/// assert!(!decision.is_complete());
///
/// picks.insert("/note".to_owned(), RowPick::Value(r#""in cellar""#.into()));
/// let decision = decide(&comparison, &picks);
/// assert!(decision.is_complete());
/// assert_eq!(
///     decision.preview.get(),
///     r#"{"reading":42.50,"note":"in cellar","serial":9007199254740993}"#
/// );
/// ```
pub fn decide(
    comparison: &PayloadComparison<'_>,
    picks: &HashMap<String, RowPick>,
) -> MergeDecision {
    // Choose the text of each row.
    let (mut undecided, mut invalid) = (Vec::new(), Vec::new());
    let mut chosen: ChosenTexts<'_> = Vec::with_capacity(comparison.rows.len());
    for row in &comparison.rows {
        let pointer = row.pointer();
        let text = choose(row, picks.get(&pointer)).unwrap_or_else(|problem| {
            match problem {
                RowProblem::Undecided => undecided.push(pointer),
                RowProblem::Invalid(error) => invalid.push((pointer, error)),
            }
            text_of(row, FieldSide::Server)
        });
        chosen.push(text);
    }

    // Compose the top-level fields.
    let changed = comparison
        .fields
        .iter()
        .filter_map(|node| Some((node.name.clone(), pick(node, &chosen)?)));
    let picks = Picks(changed.collect());
    let server = json::fields(comparison.sides.server).unwrap_or_default();

    MergeDecision {
        preview: compose(&server, &Fields::new(), &picks),
        picks,
        undecided,
        invalid,
    }
}

/// Returns the text of a row; `None` if the field is removed.
///
/// # Errors
/// Returns a [`RowProblem`] if the row has no text yet.
fn choose<'c>(
    row: &FieldRow<'c>,
    pick: Option<&RowPick>,
) -> Result<Option<Cow<'c, str>>, RowProblem> {
    match pick {
        Some(RowPick::Value(text)) => {
            let value = read_value(text, row.path.len()).map_err(RowProblem::Invalid)?;
            Ok(Some(Cow::Owned(value.get().to_owned())))
        }
        Some(RowPick::Remove) => Ok(None),
        Some(RowPick::Side(side)) if !matches!(row.values.of(*side), FieldValue::Unknown) => {
            Ok(text_of(row, *side))
        }
        _ => match row.preselected {
            Some(side) => Ok(text_of(row, side)),
            None => Err(RowProblem::Undecided),
        },
    }
}

fn text_of<'c>(row: &FieldRow<'c>, side: FieldSide) -> Option<Cow<'c, str>> {
    row.values.of(side).text().map(Cow::Borrowed)
}

/// Reads a value that a person entered for a field that is nested in `depth` objects.
fn read_value(text: &str, depth: usize) -> Result<Json, JsonError> {
    work::parsed(text.len());
    let value = RawValue::from_string(text.to_owned())?;

    // The bounds of nesting and of strings apply to the value in its payload.
    let (open, close) = ("[".repeat(depth), "]".repeat(depth));
    let nested = RawValue::from_string(format!("{open}{}{close}", value.get()))?;
    canonical(&nested)?;

    Ok(without_duplicates(&value))
}

/// Returns the pick that stores the composed text of a top-level field; `None` if it has the
/// server's text.
fn pick(node: &FieldNode<'_>, chosen: &ChosenTexts<'_>) -> Option<Pick> {
    let composed = composed(node, chosen);
    if composed.as_deref() == node.values.server.text() {
        return None;
    }
    let Some(text) = composed else {
        return Some(Pick::Remove);
    };

    work::parsed(text.len());
    // A stored or composed text is JSON. If it were not, the server's value would stay.
    RawValue::from_string(text.into_owned())
        .ok()
        .map(Pick::Value)
}

/// Returns the text of a field in the merged payload; `None` if it is removed.
fn composed<'n>(node: &'n FieldNode<'_>, chosen: &'n ChosenTexts<'_>) -> Option<Cow<'n, str>> {
    let nodes = match &node.content {
        NodeContent::Row(index) => return chosen.get(*index)?.as_deref().map(Cow::Borrowed),
        NodeContent::Fields(nodes) => nodes,
    };

    let fields: Vec<(&FieldNode<'_>, Option<Cow<'_, str>>)> = nodes
        .iter()
        .map(|node| (node, composed(node, chosen)))
        .collect();
    let is_server = fields
        .iter()
        .all(|(node, text)| text.as_deref() == node.values.server.text());
    if is_server {
        return node.values.server.text().map(Cow::Borrowed);
    }

    let kept: Vec<String> = fields
        .into_iter()
        .filter_map(|(node, text)| Some(field_text(&node.name, &text?)))
        .collect();
    if kept.is_empty() && matches!(node.values.base, FieldValue::Absent) {
        return None;
    }

    let text = format!("{{{}}}", kept.join(","));
    work::written(text.len());
    Some(Cow::Owned(text))
}

fn field_text(name: &str, value: &str) -> String {
    let name = serde_json::to_string(name).unwrap_or_default(); // text always serializes
    format!("{name}:{value}")
}
