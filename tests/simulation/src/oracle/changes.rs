//! Checks of each new version of a row: the versions increase and every edit is applied at most
//! once (invariant 1), and a deleted resource stays deleted (invariant 2).

use serde_json::Value;
use tidemark_client::Action;

use super::{Oracle, versions_of};
use crate::{
    edits::{item, mark},
    fate::{is_rejected, unseen},
    version::{Row, Version, edit_of, is_slot, marks, read_version, row_of},
};

impl Oracle {
    /// Processes a record of the engine's stream, a new version of a row (invariants 1 and 2).
    pub fn observe(&mut self, record: &Value) {
        let change = &record["dynamodb"];
        let row = row_of(&change["Keys"]);
        if record["eventName"] == "REMOVE" {
            return self.violated(
                2,
                format!("{row:?} was removed: a retried create could restore it"),
            );
        }

        let version = read_version(&change["NewImage"]);
        if let Some(what) = self.overwritten(&row, &version) {
            return self.violated(1, what);
        }
        if self.is_restored(&row, &version) {
            return self.violated(
                2,
                format!(
                    "{row:?}: deleted, but restored as version {}",
                    version.number
                ),
            );
        }

        let mut broken = self.repeated_values(&row, &version);
        broken.extend(self.count_applied(&row, &version));
        if version.is_deleted && !version.is_decision {
            self.note_rejected_deletes(&row, &version);
        }

        self.history.entry(row).or_default().push(version);
        if let Some(what) = broken.pop() {
            self.violated(1, what);
        }
    }

    /// Describes the version that this version was written over, unless that version is lower.
    fn overwritten(&self, row: &Row, version: &Version) -> Option<String> {
        let last = versions_of(&self.history, row).last();
        let last_number = last.map_or(0, |last| last.number);

        (last_number >= version.number).then(|| {
            format!(
                "{row:?}: version {} was written over version {last_number}",
                version.number
            )
        })
    }

    /// Returns whether the version restores a deleted resource without a resolution or a create
    /// that may do so.
    fn is_restored(&self, row: &Row, version: &Version) -> bool {
        let last = versions_of(&self.history, row).last();
        last.is_some_and(|last| {
            last.is_deleted
                && !version.is_deleted
                && !version.is_decision
                && !self.is_created_again(version, last)
        })
    }

    /// Returns whether the version contains a create that was made on the version of a tombstone,
    /// or after a delete by the same device.
    fn is_created_again(&self, version: &Version, deleted: &Version) -> bool {
        let creates = marks(&version.fields)
            .into_iter()
            .filter_map(|number| self.fates.get(&number));
        creates
            .filter(|fate| fate.edit.action() == Action::Create)
            .any(|fate| match item(&fate.edit)["base_version"].as_u64() {
                Some(base) => base == deleted.number || deleted.author == fate.owner.author(),
                None => false,
            })
    }

    /// Describes the values that return in this version after another version replaced them,
    /// because the edit that entered them was applied twice.
    fn repeated_values(&self, row: &Row, version: &Version) -> Vec<String> {
        // An admin who accepts an edit that has left the deduplication window may apply it again
        // (docs/protocol.md, *Known quirks*).
        let may_repeat = |value: &Value| {
            version.is_decision
                && edit_of(value).is_some_and(|number| self.may_be_forgotten(number))
        };
        let is_retyped = |value: &Value| {
            value
                .as_str()
                .is_some_and(|value| self.retyped.contains(value))
        };

        let earlier = versions_of(&self.history, row);
        let holds = |version: &Version, field: &str, value: &Value| {
            version.fields.get(field) == Some(value)
        };
        let is_back = |field: &str, value: &Value| {
            let is_new = earlier.last().is_none_or(|last| !holds(last, field, value));
            is_new && earlier.iter().any(|version| holds(version, field, value))
        };

        version
            .fields
            .iter()
            .filter(|(field, value)| is_slot(field) && !value.is_null())
            .filter(|(_, value)| !may_repeat(value) && !is_retyped(value))
            .filter(|(field, value)| is_back(field, value))
            .map(|(field, value)| {
                format!(
                    "{row:?}: {field} is {value} again in version {}: it was applied twice",
                    version.number
                )
            })
            .collect()
    }

    /// Counts the edits that take effect in this version. Describes the edits that were applied
    /// before, or that should have become conflicts.
    fn count_applied(&mut self, row: &Row, version: &Version) -> Vec<String> {
        let earlier = versions_of(&self.history, row);
        let last = earlier.last();
        let is_new =
            |number: &u64| last.is_none_or(|last| !last.fields.contains_key(&mark(*number)));

        let mut broken = Vec::new();
        for number in marks(&version.fields).into_iter().filter(is_new) {
            let times = self.applied.entry(number).or_default();
            *times += 1;
            if *times > 1 {
                broken.push(format!(
                    "{row:?}: edit {number} was applied again in version {}",
                    version.number
                ));
            }
            if version.is_decision {
                self.accepted.insert(number);
            }

            if let Some(fate) = self.fates.get(&number) {
                if (is_rejected(fate) || fate.is_of_undone) && !version.is_decision {
                    self.untold.insert((fate.owner.clone(), row.clone()));
                }
                broken
                    .extend(unseen(fate, earlier, version).map(|what| format!("{row:?}: {what}")));
            }
        }
        broken
    }

    /// Records which devices do not learn of the deletion of a row: the devices of its author whose
    /// delete was rejected before.
    fn note_rejected_deletes(&mut self, row: &Row, version: &Version) {
        let deletes = self
            .fates
            .values()
            .filter(|fate| fate.edit.action() == Action::Delete && is_rejected(fate));
        let of_row = deletes
            .filter(|fate| fate.owner.author() == version.author && fate.owner.tenant == row.0);
        self.untold
            .extend(of_row.map(|fate| (fate.owner.clone(), row.clone())));
    }
}
