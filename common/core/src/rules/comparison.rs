//! Three-way comparison of the payloads of a conflict (§5.1), as a person who merges them sees it:
//! one row for each field with the values of the base, the server and the device, and the payload
//! that a selection for each row results in.
//!
//! The values are the stored texts, so digits and the order of fields are preserved. A comparison
//! has at most [`ROWS_MAX`] rows, and it parses each payload at most [`DEPTH_MAX`] times and once
//! more for its values.

mod difference;
mod expansion;
mod merge;
mod number;
mod row;
mod sides;
#[cfg(test)]
mod tests;

pub use difference::{DiffKind, DiffPart, WORDS_MAX, elements, words};
pub use merge::{MergeDecision, RowPick, decide};
pub use row::{FieldLabel, FieldRow, FieldSide, FieldValue, FieldValues};
pub use sides::ConflictSides;

use expansion::{Expansion, FieldNode};

use crate::model::catalog::ResourceType;

/// The maximum number of rows of a comparison.
pub const ROWS_MAX: usize = 1000;
/// The maximum number of names in the path of a row. An object that is nested deeper is one value.
pub const DEPTH_MAX: usize = 8;
/// The maximum bytes of the names in the path of an object that is expanded into rows. The path is
/// part of each of these rows.
pub const PATH_BYTES_MAX: usize = 1024;

/// The rows of a conflict.
#[derive(Debug)]
pub struct PayloadComparison<'a> {
    /// The rows, in the order of the server's payload. Fields that only the device or the base has
    /// follow those of the server in the same object.
    pub rows: Vec<FieldRow<'a>>,
    /// The number of top-level fields without a row, because there would be more than [`ROWS_MAX`]
    /// rows. A merge keeps the server's values of these fields.
    pub hidden: usize,
    fields: Vec<FieldNode<'a>>,
    sides: &'a ConflictSides<'a>,
}

/// Compares the payloads of a conflict. `rules` is the type of the resource, whose media fields are
/// marked.
///
/// An object is expanded into a row for each of its fields if the server and the device both have
/// an object, and if they or the base differ. Arrays and media fields are one value. An object is
/// also one value if it is nested too deeply, if its rows would exceed [`ROWS_MAX`], or if it is
/// new and empty on one side.
///
/// # Example
///
/// ```
/// mod phone { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/phone.rs")); }
/// use tidemark_core::{
///     model::conflict::{BaseSource, ConflictBase},
///     rules::comparison::{ConflictSides, FieldLabel, FieldSide, compare},
/// };
///
/// let base = ConflictBase {
///     payload: phone::raw(r#"{"reading":44,"place":{"floor":1,"door":"A"}}"#),
///     source: BaseSource::Log,
/// };
/// let server = phone::raw(r#"{"reading":50,"place":{"floor":2,"door":"A"}}"#);
/// let edits = phone::conflict(r#"{"reading":42.50,"place":{"door":"B"}}"#).edits;
///
/// let phone = phone::Phone::new();
/// let sides = ConflictSides::of(Some(&base), &server, &edits).expect("no edit deletes");
/// let comparison = compare(&sides, phone.catalog.get("meter"));
/// let labels: Vec<_> = comparison.rows.iter().map(|row| (row.pointer(), row.label)).collect();
/// assert_eq!(
///     labels,
///     [
///         ("/reading".into(), FieldLabel::Both),
///         ("/place/floor".into(), FieldLabel::OnlyServer),
///         ("/place/door".into(), FieldLabel::OnlyDevice),
///     ]
/// );
/// assert_eq!(comparison.rows[0].values.device.text(), Some("42.50"));
/// assert_eq!(comparison.rows[0].preselected, None);
/// assert_eq!(comparison.rows[2].preselected, Some(FieldSide::Device));
/// ```
pub fn compare<'a>(
    sides: &'a ConflictSides<'a>,
    rules: Option<&'a ResourceType>,
) -> PayloadComparison<'a> {
    let mut expansion = Expansion::new(rules);
    let (fields, hidden) = expansion.expand(sides);
    PayloadComparison {
        rows: expansion.rows,
        hidden,
        fields,
        sides,
    }
}
