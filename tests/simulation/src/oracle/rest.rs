//! Checks of the state at rest, after all faults have ended: the devices agree with the server
//! (invariant 3), no edit is lost (invariant 1), and acknowledged positions only move forward
//! (invariant 6).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tidemark_client::{Action, Client, ResourceName, Status};

use super::Oracle;
use crate::{
    edits::{is_marked, shown},
    fate::{Fate, Owner},
    version::Version,
};

impl Oracle {
    /// Checks the `devices` table: acknowledged positions only move forward (§4.8).
    pub fn acknowledged(&mut self, rows: &[Value]) {
        for row in rows {
            let text = |value: &Value| value["S"].as_str().unwrap_or_default().to_owned();

            for (attribute, value) in row
                .as_object()
                .unwrap()
                .iter()
                .filter(|(name, _)| name.starts_with("channel:"))
            {
                let key = (text(&row["pk"]), text(&row["sk"]), attribute.clone());

                let before = self.acknowledged.insert(key.clone(), text(value));
                if before.is_some_and(|before| before > text(value)) {
                    self.violated(
                        6,
                        format!("the acknowledged position of {key:?} moved back"),
                    );
                }
            }
        }
    }

    /// Returns all current resources of these channels.
    pub fn truth(
        &self,
        tenant: &str,
        channels: &BTreeSet<String>,
    ) -> BTreeMap<ResourceName, String> {
        let rows = self
            .history
            .iter()
            .filter(|((of, name), _)| of == tenant && channels.contains(&name.channel));
        let last = rows.filter_map(|((_, name), versions)| Some((name.clone(), versions.last()?)));
        last.filter(|(_, version)| !version.is_deleted)
            .map(|(name, version)| (name, version.payload.clone()))
            .collect()
    }

    /// Checks that a device that has pulled everything holds the current resources, byte for byte
    /// (invariant 3).
    pub fn agree(&mut self, owner: &Owner, client: &Client, channels: &BTreeSet<String>) {
        let (truth, shown) = (self.truth(&owner.tenant, channels), shown(client));
        let names: BTreeSet<&ResourceName> = truth.keys().chain(shown.keys()).collect();

        // A device that requests its own changes receives these changes, too.
        let is_delivered = |name: &ResourceName| {
            client.options().is_current
                || !self
                    .untold
                    .contains(&(owner.clone(), (owner.tenant.clone(), name.clone())))
        };

        let differing = names
            .into_iter()
            .find(|name| truth.get(name) != shown.get(name) && is_delivered(name));
        if let Some(name) = differing {
            let (expected, held) = (truth.get(name), shown.get(name));
            let what =
                format!("{owner:?} has {name:?} as\n  {held:?}\nand the server as\n  {expected:?}");
            self.violated(3, what);
        }
    }

    /// Checks the state at rest: every edit whose device received `ok` is applied (invariant 1),
    /// and no unique value occurs twice.
    pub fn settled(&mut self) {
        if let Some(what) = self.lost_edit() {
            self.violated(1, what);
        }
        if let Some(what) = self.duplicate_code() {
            self.violated(1, what);
        }
    }

    /// Describes an edit whose device received `ok` and that no version contains, if there is one.
    fn lost_edit(&self) -> Option<String> {
        let was_ok = |fate: &&Fate| {
            !fate.is_forgotten
                && fate
                    .told
                    .as_ref()
                    .is_some_and(|told| told.status == Status::Ok)
        };
        let is_visible =
            |fate: &&Fate| is_marked(&fate.edit) || fate.edit.action() == Action::Delete;

        self.fates
            .values()
            .filter(was_ok)
            .filter(is_visible)
            .find(|fate| !self.is_applied(fate))
            .map(|fate| {
                format!(
                    "edit {} returned ok, but no version contains it",
                    fate.edit.number()
                )
            })
    }

    /// Returns whether a version contains the edit. If an admin accepts several edits together, a
    /// later create may replace the result of an earlier edit.
    fn is_applied(&self, fate: &Fate) -> bool {
        let is_decided = |version: &Version| {
            version.is_decision
                && fate
                    .told
                    .as_ref()
                    .is_some_and(|told| told.server_version == Some(version.number))
        };

        let mut versions = self.history.values().flatten();
        match fate.edit.action() {
            Action::Delete => versions.any(|version| version.is_deleted),
            _ => self.applied.contains_key(&fate.edit.number()) || versions.any(is_decided),
        }
    }

    /// Describes a unique value that two resources of a tenant hold, if there is one.
    fn duplicate_code(&self) -> Option<String> {
        let mut codes: BTreeSet<(&str, &str)> = BTreeSet::new();
        let mut twice = None;

        for ((tenant, name), versions) in &self.history {
            let Some(last) = versions
                .last()
                .filter(|last| !last.is_deleted && name.resource_type == "meter")
            else {
                continue;
            };
            if let Some(code) = last.fields.get("code").and_then(Value::as_str)
                && !codes.insert((tenant, code))
            {
                twice = Some(format!("the code {code} occurs twice in {tenant}"));
            }
        }
        twice
    }
}
