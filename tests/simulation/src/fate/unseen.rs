//! Finds the writes of others that a device had not seen.

use tidemark_client::Action;

use crate::{
    edits::item,
    version::{Version, is_slot},
};

use super::Fate;

/// Describes why an edit should have become a conflict: another author wrote a version that the
/// author of the edit had not seen (§3.4). Returns `None` if the edit was rightly applied.
pub(crate) fn unseen(fate: &Fate, earlier: &[Version], version: &Version) -> Option<String> {
    // An edit without a base version may overwrite the versions of other authors (docs/protocol.md,
    // *Known quirks*).
    let item = item(&fate.edit);
    item.get("base_version")?;

    let screen = &fate.screen;
    let resource_type = fate.edit.name().resource_type.as_str();
    if version.is_decision
        || fate.is_of_undone
        || resource_type == "note"
        || fate.edit.action() == Action::Create
    {
        return None;
    }

    let author = fate.owner.author();
    let patch = item["payload"].as_object().unwrap();
    let last = earlier.last();
    // Removing a field that does not exist changes nothing.
    let changed: Vec<&String> = patch
        .iter()
        .filter(|(field, value)| {
            is_slot(field)
                && (!value.is_null() || last.is_some_and(|last| last.fields.contains_key(*field)))
        })
        .map(|(field, _)| field)
        .collect();

    let mut before: Option<&Version> = None;
    for other in earlier {
        let changes = |field: &&&String| {
            before.and_then(|before| before.fields.get(**field)) != other.fields.get(**field)
        };
        let is_unseen = match resource_type {
            "task" => changed
                .iter()
                .filter(changes)
                .any(|field| other.number > screen.seen_of(field)),
            _ => other.number > screen.seen,
        };
        if is_unseen && other.author != author {
            let (number, seen, made) = (fate.edit.number(), screen.seen, version.number);
            return Some(format!(
                "edit {number} was applied as {made} over {}, but its author had seen only {seen}",
                other.number
            ));
        }
        before = Some(other);
    }
    None
}
