//! The oracle: a model that checks a run against the invariants of docs/architecture.md. It knows
//! the edits that users made, the results that devices received, and each version of each row from
//! the stream of the engine. It does not depend on how the functions work.
//!
//! This file owns the state of the model. The checks are in the submodules: `changes` checks each
//! version of a row, `results` what a push returns, `pulls` what a device has pulled, and `rest`
//! the state after all faults have ended.

mod changes;
mod pulls;
mod rest;
mod results;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tidemark_client::ResourceName;

use crate::{
    fate::{Fate, Owner},
    version::{Row, Version, marks},
};

/// Every version of every row, oldest first, by tenant and name.
type History = BTreeMap<Row, Vec<Version>>;

/// An invariant that a run violated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The number of the invariant in docs/architecture.md, 1 to 7.
    pub promise: u8,
    /// A description of the violation.
    pub what: String,
}

/// The oracle's model of a run.
#[derive(Debug, Default, Clone)]
pub struct Oracle {
    history: History,
    /// The number of times each edit took effect.
    applied: BTreeMap<u64, usize>,
    /// The edits that took effect because an admin accepted them.
    accepted: BTreeSet<u64>,
    /// The edits that users made, by number.
    pub fates: BTreeMap<u64, Fate>,
    /// The highest version that the changelog function reported as sequenced, by row and author.
    sequenced: BTreeMap<(Row, String), u64>,
    acknowledged: BTreeMap<(String, String, String), String>,
    /// Rows whose content no pull delivers to a device (docs/protocol.md, *Known quirks*): the
    /// device received a rejection of its edit before a repetition of the request applied it, or
    /// the edit was made on a state that a restore has undone.
    untold: BTreeSet<(Owner, Row)>,
    /// Edits whose request was processed twice, possibly concurrently: a unique value that they
    /// claim may be free for one of the two (docs/protocol.md, *Known quirks*).
    doubled: BTreeSet<u64>,
    /// Values that users entered again although they were displayed already.
    pub retyped: BTreeSet<String>,
    /// Devices that have a clone.
    pub cloned: BTreeSet<Owner>,
    /// The first invariant that was violated.
    pub violation: Option<Violation>,
}

impl Oracle {
    /// Records a violation. Only the first is kept.
    pub fn violated(&mut self, promise: u8, what: impl Into<String>) {
        self.violation.get_or_insert(Violation {
            promise,
            what: what.into(),
        });
    }

    /// Records that a push with this body is processed twice.
    pub fn doubled(&mut self, body: &str) {
        let body: Value = serde_json::from_str(body).unwrap();
        let items = body["items"].as_array().into_iter().flatten();
        self.doubled.extend(
            items
                .filter_map(|item| item["payload"].as_object())
                .flat_map(marks),
        );
    }

    /// Marks edits that a device lost when it was restored from a backup: it had not sent them, or
    /// had not received their results.
    pub fn lost_with_device(&mut self, numbers: impl Iterator<Item = u64>) {
        for number in numbers {
            if let Some(fate) = self.fates.get_mut(&number) {
                fate.is_lost = true;
            }
        }
    }

    /// Returns the current version of each row of a tenant.
    pub fn versions(&self, tenant: &str) -> BTreeMap<ResourceName, u64> {
        let rows = self.history.iter().filter(|((of, _), _)| of == tenant);
        rows.filter_map(|((_, name), versions)| Some((name.clone(), versions.last()?.number)))
            .collect()
    }

    /// Returns whether a channel has any rows, tombstones included.
    pub fn has_rows(&self, tenant: &str, channel: &str) -> bool {
        self.history
            .keys()
            .any(|(of, name)| of == tenant && name.channel == channel)
    }

    /// Resets the model to its state at the time of `copy`, from which the tables were restored.
    pub fn restored(&mut self, copy: &Self) {
        self.history.clone_from(&copy.history);
        self.applied.clone_from(&copy.applied);
        self.accepted.clone_from(&copy.accepted);
        self.sequenced.clear();
        self.acknowledged.clear();
        self.fates
            .values_mut()
            .for_each(|fate| fate.is_forgotten = true);
    }
}

/// Returns the versions of a row, oldest first.
fn versions_of<'a>(history: &'a History, row: &Row) -> &'a [Version] {
    history.get(row).map_or(&[], Vec::as_slice)
}
