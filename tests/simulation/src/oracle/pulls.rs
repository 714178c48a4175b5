//! Checks of what a device holds after its pulls: it has received every version that was sequenced
//! before (invariant 2), and nothing that its user may not read (invariant 5).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use tidemark_client::Client;

use super::{Oracle, versions_of};
use crate::{
    edits::shown,
    fate::Owner,
    version::{Row, is_slot, read_version, row_of},
};

impl Oracle {
    /// Records that the changelog function reported this record as sequenced.
    pub fn sequenced(&mut self, record: &Value) {
        let version = read_version(&record["dynamodb"]["NewImage"]);
        let key = (row_of(&record["dynamodb"]["Keys"]), version.author);
        let highest = self.sequenced.entry(key).or_default();
        *highest = version.number.max(*highest);
    }

    /// Returns the versions that a pull starting now must deliver. Rows with a newer version that
    /// is not sequenced yet are left out, because that version may replace the earlier ones.
    pub fn due(&self) -> BTreeMap<(Row, String), u64> {
        let mut highest: BTreeMap<&Row, u64> = BTreeMap::new();
        for ((row, _), version) in &self.sequenced {
            let known = highest.entry(row).or_default();
            *known = (*version).max(*known);
        }

        let is_all = |row: &Row| {
            versions_of(&self.history, row)
                .last()
                .is_none_or(|last| last.number <= highest[row])
        };

        self.sequenced
            .iter()
            .filter(|((row, _), _)| is_all(row))
            .map(|(key, version)| (key.clone(), *version))
            .collect()
    }

    /// Checks a device that has pulled until there were no more changes (invariants 2 and 5).
    pub fn pulled(
        &mut self,
        due: &BTreeMap<(Row, String), u64>,
        owner: &Owner,
        client: &Client,
        channels: &BTreeSet<String>,
    ) {
        let author = owner.author();
        for (((tenant, name), by), version) in due {
            // Own changes are delivered only to a device that requests them.
            let is_left_out = *by == author && !client.options().is_current;
            if *tenant != owner.tenant || !channels.contains(&name.channel) || is_left_out {
                continue;
            }

            // Versions above the base are edits of this device.
            let held = client
                .copies()
                .get(name)
                .map_or(0, |copy| copy.base.max(copy.known));
            let history = versions_of(&self.history, &(tenant.clone(), name.clone()));

            // A snapshot does not contain deleted resources. That also holds for a device that
            // deletes the resource again with its next push and receives the version of its first
            // delete.
            let is_gone = held == 0
                || history
                    .iter()
                    .any(|it| it.number == held && it.is_deleted && it.author == author);
            let is_left_out = is_gone
                && history
                    .iter()
                    .any(|it| it.is_deleted && it.number >= *version);

            if held < *version && !is_left_out {
                let what = format!(
                    "{owner:?} has pulled everything and has {name:?} in version {held}: {version} was sequenced before"
                );
                return self.violated(2, what);
            }
        }
    }

    /// Checks that a device holds only what its user may read (invariant 5).
    pub fn holds(&mut self, owner: &Owner, client: &Client, channels: &BTreeSet<String>) {
        for (name, payload) in shown(client) {
            if !channels.contains(&name.channel) {
                return self.violated(
                    5,
                    format!("{owner:?} shows {name:?}, whose channel it may not read any more"),
                );
            }

            let fields: Map<String, Value> = serde_json::from_str(&payload).unwrap();
            let tenants = fields
                .iter()
                .filter(|(field, _)| is_slot(field))
                .filter_map(|(_, value)| value.as_str()?.split(' ').nth(1));

            if let Some(other) = tenants
                .map(str::to_owned)
                .find(|tenant| *tenant != owner.tenant)
            {
                return self.violated(
                    5,
                    format!("{owner:?} shows {name:?}, which contains data of {other}"),
                );
            }
        }
    }
}
