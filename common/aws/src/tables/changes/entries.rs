//! The stored form of the entries of a segment. Members that equal those of the previous entry are
//! often omitted, so that they are not compressed, decompressed and parsed again.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use chrono::DateTime;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tidemark_core::{
    model::{
        edit::Action,
        limits::{SEGMENT_BYTES_MAX, SEGMENT_CHANGES_MAX},
        position::Position,
        principal::Author,
        resolution::{ChangeResolution, Resolution},
    },
    rules::sequence::segment::Entry,
    wire::text,
};

use crate::tables::format::{self, FormatError};

/// The error for stored entries that cannot be decoded: the row is corrupt.
#[derive(Debug, thiserror::Error)]
pub enum EntriesError {
    /// The entries cannot be decompressed.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The decompressed text is not a list of entries.
    #[error("segment entries: {0}")]
    Entries(#[from] serde_json::Error),
    /// The entries omit members that no previous entry has, or there are too many of them.
    #[error("segment entries omit members that no previous entry has, or are too many")]
    Difference,
}

/// Returns the entries in their compressed, stored form.
pub fn pack(entries: &[Entry]) -> Vec<u8> {
    let text = serde_json::to_vec(&differences(entries)).unwrap_or_default(); // text keys and JSON texts always serialize
    format::pack(&text)
}

/// Decodes stored entries.
///
/// # Errors
/// Returns an [`EntriesError`] if the row is corrupt.
pub fn unpack(packed: &[u8]) -> Result<Vec<Entry>, EntriesError> {
    let text = format::unpack(packed, 2 * SEGMENT_BYTES_MAX)?;
    entries(serde_json::from_slice(&text)?).ok_or(EntriesError::Difference)
}

/// The members of an entry that differ from those of the previous entry.
#[derive(Debug, Serialize, Deserialize)]
struct Difference<'a> {
    /// The end of the position's text, from the first digit that differs.
    #[serde(rename = "p", borrow)]
    position: Cow<'a, str>,
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    resource_type: Option<Cow<'a, str>>,
    #[serde(rename = "i", borrow)]
    id: Cow<'a, str>,
    #[serde(
        rename = "a",
        default,
        skip_serializing_if = "Option::is_none",
        with = "text::option"
    )]
    action: Option<Action>,
    #[serde(rename = "v", default, skip_serializing_if = "Option::is_none")]
    server_version: Option<u64>,
    /// The difference to the previous entry's time in milliseconds; may be negative.
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    changed_after: Option<i64>,
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    author: Option<Cow<'a, str>>,
    #[serde(rename = "e", default, skip_serializing_if = "std::ops::Not::not")]
    echo_to_author: bool,
    #[serde(rename = "r", default, skip_serializing_if = "Vec::is_empty")]
    resolved: Vec<ResolvedConflict<'a>>,
    #[serde(rename = "d", borrow, default, skip_serializing_if = "Option::is_none")]
    payload: Option<&'a RawValue>,
}

/// A conflict that the change resolved.
#[derive(Debug, Serialize, Deserialize)]
struct ResolvedConflict<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(with = "text")]
    resolution: Resolution,
}

/// Returns the differences of each entry from the previous one; the first has all members.
fn differences(entries: &[Entry]) -> Vec<Difference<'_>> {
    let before = std::iter::once(None).chain(entries.iter().map(Some));
    before
        .zip(entries)
        .map(|(before, entry)| Difference::between(before, entry))
        .collect()
}

impl<'a> Difference<'a> {
    fn between(before: Option<&Entry>, entry: &'a Entry) -> Self {
        let Entry {
            position,
            resource_type,
            id,
            action,
            server_version,
            changed_at,
            author,
            echo_to_author,
            resolved_conflicts,
            payload,
        } = entry;

        let is_new = |is_same: fn(&Entry, &Entry) -> bool| {
            !before.is_some_and(|before| is_same(before, entry))
        };

        let later = changed_at.timestamp_millis()
            - before.map_or(0, |before| before.changed_at.timestamp_millis());

        Self {
            position: Cow::Owned(end_of(
                before.map_or(Position::START, |before| before.position),
                *position,
            )),
            resource_type: is_new(|one, other| one.resource_type == other.resource_type)
                .then_some(Cow::Borrowed(resource_type)),
            id: Cow::Borrowed(id),
            action: is_new(|one, other| one.action == other.action).then_some(*action),
            server_version: is_new(|one, other| one.server_version == other.server_version)
                .then_some(*server_version),
            changed_after: Some(later).filter(|later| *later != 0),
            author: is_new(|one, other| one.author == other.author)
                .then_some(Cow::Borrowed(author.as_str())),
            echo_to_author: *echo_to_author,
            resolved: resolved_conflicts
                .iter()
                .map(ResolvedConflict::from)
                .collect(),
            payload: payload.as_deref(),
        }
    }
}

/// Returns the end of the text of `position`, from the first character that differs from the
/// position `before`. All texts have the same width, so the length of the end determines where it
/// begins.
fn end_of(before: Position, position: Position) -> String {
    let (before, mut text) = (before.to_string(), position.to_string());
    let common = before
        .bytes()
        .zip(text.bytes())
        .take_while(|(one, other)| one == other)
        .count();
    text.split_off(common)
}

/// Reconstructs entries from their differences; returns `None` if a member is missing or invalid,
/// or if there are far more entries than a segment has.
fn entries(differences: Vec<Difference<'_>>) -> Option<Vec<Entry>> {
    if differences.len() > 2 * SEGMENT_CHANGES_MAX {
        return None;
    }

    let mut text = Position::START.to_string();
    let mut entries: Vec<Entry> = Vec::with_capacity(differences.len());
    for Difference {
        position,
        resource_type,
        id,
        action,
        server_version,
        changed_after,
        author,
        echo_to_author,
        resolved,
        payload,
    } in differences
    {
        let before = entries.last();
        let begin = text.get(..text.len().checked_sub(position.len())?)?.len();
        text.replace_range(begin.., &position);

        let changed_at_ms = before
            .map_or(0, |it| it.changed_at.timestamp_millis())
            .checked_add(changed_after.unwrap_or_default())?;

        entries.push(Entry {
            position: text.parse().ok()?,
            resource_type: resource_type
                .map(Cow::into_owned)
                .or_else(|| Some(before?.resource_type.clone()))?,
            id: id.into_owned(),
            action: action.or_else(|| Some(before?.action))?,
            server_version: server_version.or_else(|| Some(before?.server_version))?,
            changed_at: DateTime::from_timestamp_millis(changed_at_ms)?,
            author: author
                .map(|author| Author::stored(author.into_owned()))
                .or_else(|| Some(before?.author.clone()))?,
            echo_to_author,
            resolved_conflicts: resolved.into_iter().map(ChangeResolution::from).collect(),
            payload: payload.map(ToOwned::to_owned),
        });
    }
    Some(entries)
}

impl<'a> From<&'a ChangeResolution> for ResolvedConflict<'a> {
    fn from(resolved: &'a ChangeResolution) -> Self {
        Self {
            id: Cow::Borrowed(&resolved.id),
            resolution: resolved.resolution,
        }
    }
}

impl From<ResolvedConflict<'_>> for ChangeResolution {
    fn from(resolved: ResolvedConflict<'_>) -> Self {
        Self {
            id: resolved.id.into_owned(),
            resolution: resolved.resolution,
        }
    }
}
