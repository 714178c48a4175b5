//! The model that judges a run: what docs/architecture.md promises, said once more in other words.
//! It knows what users typed, what devices were told, and each version of each row as the stream of
//! the engine shows it; of how the functions work it knows nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use tidemark_core::{
    limits::DEDUPLICATION_EDITS,
    protocol::push::{ItemResult, Status},
};

use crate::{
    client::{Client, Name, mark},
    fate::{Fate, Owner, ReportedResult, is_rejected, unseen},
    version::{Row, Version, edit_of, is_slot, marks, read_version, row_of},
};

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which of the seven of docs/architecture.md.
    pub promise: u8,
    /// How.
    pub what: String,
}

/// The model.
#[derive(Debug, Default, Clone)]
pub struct Oracle {
    /// Every version of every row, by tenant and name.
    history: BTreeMap<Row, Vec<Version>>,
    /// How often each edit took effect.
    applied: BTreeMap<u64, usize>,
    /// The edits that took effect because an admin said so.
    accepted: BTreeSet<u64>,
    /// What users typed.
    pub fates: BTreeMap<u64, Fate>,
    /// By row and author, the highest version that the changelog function said it has sequenced.
    sequenced: BTreeMap<(Row, String), u64>,
    acknowledged: BTreeMap<(String, String, String), String>,
    /// Rows of which a device was told that its edit was refused, before a repetition of the
    /// request had it applied, or to which it applied an edit of what a restore has undone: no pull
    /// tells it (docs/protocol.md, *Known quirks*).
    untold: BTreeSet<(Owner, Row)>,
    /// Edits whose request was processed twice, perhaps at the same moment: a value that they want
    /// may be free for one of the two (docs/protocol.md, *Known quirks*).
    doubled: BTreeSet<u64>,
    /// Values that were typed again where they were shown already.
    pub retyped: BTreeSet<String>,
    /// Devices of which there are two.
    pub cloned: BTreeSet<Owner>,
    /// The first promise that was broken.
    pub violation: Option<Violation>,
}

impl Oracle {
    /// Notes a broken promise; the first one counts.
    pub fn violated(&mut self, promise: u8, what: impl Into<String>) {
        self.violation.get_or_insert(Violation {
            promise,
            what: what.into(),
        });
    }

    /// A record of the engine's stream: what became of a row (promises 1 and 2).
    pub fn observe(&mut self, record: &Value) {
        let change = &record["dynamodb"];
        let row = row_of(&change["Keys"]);
        if record["eventName"] == "REMOVE" {
            return self.violated(
                2,
                format!("{row:?} was removed: a retry could bring it back to life"),
            );
        }
        let version = read_version(&change["NewImage"]);
        // An admin who accepts an edit that the row has forgotten decides without knowing
        // (docs/protocol.md, *Known quirks*).
        let may_repeat = |text: &Value| {
            version.is_decision && edit_of(text).is_some_and(|number| self.may_be_forgotten(number))
        };
        let slots = version
            .fields
            .iter()
            .filter(|(field, value)| is_slot(field) && !value.is_null());
        let is_retyped = |value: &Value| {
            value
                .as_str()
                .is_some_and(|value| self.retyped.contains(value))
        };
        let slots: Vec<_> = slots
            .filter(|(_, value)| !may_repeat(value) && !is_retyped(value))
            .collect();
        // A create that was made on the version of a tombstone, or behind the delete of the same
        // device.
        let fates = &self.fates;
        let is_created_again = |version: &Version, deleted: &Version| {
            let creates = marks(&version.fields)
                .into_iter()
                .filter_map(|number| fates.get(&number));
            creates
                .filter(|fate| fate.edit.action() == "create")
                .any(|fate| match fate.edit.item["base_version"].as_u64() {
                    Some(base) => base == deleted.number || deleted.author == fate.owner.author(),
                    None => false,
                })
        };
        let earlier = self.history.entry(row.clone()).or_default();
        let last = earlier.last();
        let last_number = last.map_or(0, |last| last.number);
        if last_number >= version.number {
            let what = format!(
                "{row:?}: version {} was written over version {last_number}",
                version.number
            );
            return self.violated(1, what);
        }
        let may_return =
            version.is_decision || last.is_some_and(|last| is_created_again(&version, last));
        if last.is_some_and(|last| last.is_deleted) && !version.is_deleted && !may_return {
            return self.violated(
                2,
                format!(
                    "{row:?}: deleted, and back to life as version {}",
                    version.number
                ),
            );
        }
        let mut broken = Vec::new();
        for (field, value) in slots {
            let is_new = last.and_then(|last| last.fields.get(field)) != Some(value);
            if is_new
                && earlier
                    .iter()
                    .any(|version| version.fields.get(field) == Some(value))
            {
                broken.push(format!(
                    "{row:?}: {field} is {value} once more in version {}: it was applied twice",
                    version.number
                ));
            }
        }
        let is_new = |mark: &str| last.is_none_or(|last| !last.fields.contains_key(mark));
        for number in marks(&version.fields)
            .into_iter()
            .filter(|number| is_new(&mark(*number)))
        {
            *self.applied.entry(number).or_default() += 1;
            if version.is_decision {
                self.accepted.insert(number);
            }
            if self.applied[&number] > 1 {
                broken.push(format!(
                    "{row:?}: edit {number} was applied once more in version {}",
                    version.number
                ));
            }
            if let Some(fate) = self.fates.get(&number) {
                if (is_rejected(fate) || fate.is_of_undone) && !version.is_decision {
                    self.untold.insert((fate.owner.clone(), row.clone()));
                }
                broken
                    .extend(unseen(fate, earlier, &version).map(|what| format!("{row:?}: {what}")));
            }
        }
        if version.is_deleted && !version.is_decision {
            let deletes = self
                .fates
                .values()
                .filter(|fate| fate.edit.action() == "delete" && is_rejected(fate));
            let of_row = deletes
                .filter(|fate| fate.owner.author() == version.author && fate.owner.tenant == row.0);
            self.untold
                .extend(of_row.map(|fate| (fate.owner.clone(), row.clone())));
        }
        earlier.push(version);
        if let Some(what) = broken.pop() {
            self.violated(1, what);
        }
    }

    /// The changelog function said of a record that it is sequenced.
    pub fn sequenced(&mut self, record: &Value) {
        let version = read_version(&record["dynamodb"]["NewImage"]);
        let key = (row_of(&record["dynamodb"]["Keys"]), version.author);
        let highest = self.sequenced.entry(key).or_default();
        *highest = version.number.max(*highest);
    }

    /// What a pull that begins now must show to a device that was caught up by it. Where a row has
    /// a newer version that was not sequenced yet, that one may speak for those before.
    pub fn due(&self) -> BTreeMap<(Row, String), u64> {
        let mut highest: BTreeMap<&Row, u64> = BTreeMap::new();
        for ((row, _), version) in &self.sequenced {
            let known = highest.entry(row).or_default();
            *known = (*version).max(*known);
        }
        let is_all = |row: &Row| {
            self.history[row]
                .last()
                .is_none_or(|last| last.number <= highest[row])
        };
        self.sequenced
            .iter()
            .filter(|((row, _), _)| is_all(row))
            .map(|(key, version)| (key.clone(), *version))
            .collect()
    }

    /// A device has pulled until there was no more (promises 2 and 5).
    pub fn pulled(
        &mut self,
        due: &BTreeMap<(Row, String), u64>,
        owner: &Owner,
        client: &Client,
        channels: &BTreeSet<String>,
    ) {
        let author = owner.author();
        for (((tenant, name), by), version) in due {
            // What it made itself comes only to a device that asks for it.
            let is_left_out = *by == author && !client.is_documented;
            if *tenant != owner.tenant || !channels.contains(&name.channel) || is_left_out {
                continue;
            }
            // What it knows above its base are its own edits of it.
            let held = client
                .copies
                .get(name)
                .map_or(0, |copy| copy.base.max(copy.known));
            let history = &self.history[&(tenant.clone(), name.clone())];
            // A snapshot does not show that a row was deleted, not even to a device that deletes it
            // with its next push, once more, and is told of the version that it deleted first.
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
                    "{owner:?} has pulled everything, and holds {name:?} as version {held}: {version} was sequenced before"
                );
                return self.violated(2, what);
            }
        }
    }

    /// What a device holds (promise 5).
    pub fn holds(&mut self, owner: &Owner, client: &Client, channels: &BTreeSet<String>) {
        for (name, payload) in client.shown() {
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
                    format!("{owner:?} shows {name:?}, which holds what {other} typed"),
                );
            }
        }
    }

    /// A push with this body is processed twice.
    pub fn doubled(&mut self, body: &str) {
        let body: Value = serde_json::from_str(body).unwrap();
        let items = body["items"].as_array().into_iter().flatten();
        self.doubled.extend(
            items
                .filter_map(|item| item["payload"].as_object())
                .flat_map(marks),
        );
    }

    /// Edits that a device had not sent, or not heard of, when it went back to a backup from before
    /// it was typed.
    pub fn lost_with_device(&mut self, numbers: impl Iterator<Item = u64>) {
        for number in numbers {
            if let Some(fate) = self.fates.get_mut(&number) {
                fate.is_lost = true;
            }
        }
    }

    /// The version that each row of a tenant has.
    pub fn versions(&self, tenant: &str) -> BTreeMap<Name, u64> {
        let rows = self.history.iter().filter(|((of, _), _)| of == tenant);
        rows.filter_map(|((_, name), versions)| Some((name.clone(), versions.last()?.number)))
            .collect()
    }

    /// A result tells what the server holds of a resource: it is no older than what `stood` when
    /// the device sent its request, which is all that the device can have pulled (promise 3).
    pub fn answered(&mut self, stood: &BTreeMap<Name, u64>, name: &Name, result: &ItemResult) {
        let Some(id) = &result.server_id else { return };
        let tells = result.server_payload.is_some() || result.server_deleted;
        let tells_of_nothing = result.status == Status::Conflict
            && result.server_version.is_none()
            && !result.server_payload_omitted;
        let name = Name {
            id: id.clone(),
            ..name.clone()
        };
        let version = result.server_version.unwrap_or_default();
        let stood = stood.get(&name).copied().unwrap_or_default();
        if (tells || tells_of_nothing) && version < stood {
            self.violated(
                3,
                format!("a response carries {name:?} as version {version}, and version {stood} stood before the request"),
            );
        }
    }

    /// A device was told what became of an edit (promises 1 and 6).
    pub fn told(&mut self, number: u64, told: ReportedResult) {
        let Some(fate) = self.fates.get(&number).cloned() else {
            return;
        };
        let was_ok = fate
            .told
            .as_ref()
            .is_some_and(|before| before.status == Status::Ok);
        // What changed nothing may not be remembered (docs/protocol.md, *Known quirks*).
        let may_be_reevaluated = match fate.edit.action() {
            "delete" => self.was_deleted_by_another(&fate),
            _ => !fate.edit.is_marked(),
        };
        if was_ok
            && told.status != Status::Ok
            && !may_be_reevaluated
            && !fate.is_forgotten
            && !self.may_be_forgotten(number)
        {
            self.violated(
                6,
                format!(
                    "edit {number} was ok, and is {:?} now that it came again",
                    told.status
                ),
            );
        }
        let was_applied = self.applied.contains_key(&number) && !self.accepted.contains(&number);
        let is_reevaluated =
            told.is_for_value && (fate.edit.action() == "update" || self.doubled.contains(&number));
        let waits = told.status == Status::Conflict && !told.is_decided && !is_reevaluated;
        // Of two devices with one id, one may repeat a batch with an edit that conflicted, and that
        // the other has sent alone since.
        let is_cloned = self.cloned.contains(&fate.owner);
        if was_applied
            && waits
            && !is_cloned
            && !fate.is_forgotten
            && !self.may_be_forgotten(number)
        {
            self.violated(
                6,
                format!(
                    "edit {number} was applied, and its device is told that it stands in a conflict"
                ),
            );
        }
        if let Some(fate) = self.fates.get_mut(&number) {
            fate.told = Some(told);
        }
    }

    /// Whether a delete was answered with the version of somebody else's delete: it changed
    /// nothing.
    fn was_deleted_by_another(&self, fate: &Fate) -> bool {
        let version = fate.told.as_ref().and_then(|told| told.server_version);
        let versions = self
            .history
            .get(&(fate.owner.tenant.clone(), fate.edit.name.clone()))
            .into_iter()
            .flatten();
        versions
            .filter(|it| Some(it.number) == version)
            .any(|it| it.author != fate.owner.author())
    }

    /// Whether so many edits followed that a row need not remember this one (§3.6). An edit makes a
    /// version; a decision makes one of all the edits of its conflict.
    fn may_be_forgotten(&self, number: u64) -> bool {
        let is_applied = |version: &Version| version.fields.contains_key(&mark(number));
        let typed = |(tenant, name): &Row| {
            self.fates
                .values()
                .filter(|fate| fate.owner.tenant == *tenant && fate.edit.name == *name)
                .count()
        };
        let mut rows = self
            .history
            .iter()
            .filter(|(_, versions)| versions.iter().any(is_applied));
        rows.any(|(row, versions)| {
            let made = versions
                .last()
                .is_some_and(|last| last.number >= DEDUPLICATION_EDITS as u64);
            made || (versions.iter().any(|version| version.is_decision)
                && typed(row) >= DEDUPLICATION_EDITS)
        })
    }

    /// The `devices` table: positions only move forward (§4.8).
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

    /// Everything that is there of these channels.
    pub fn truth(&self, tenant: &str, channels: &BTreeSet<String>) -> BTreeMap<Name, String> {
        let rows = self
            .history
            .iter()
            .filter(|((of, name), _)| of == tenant && channels.contains(&name.channel));
        let last = rows.filter_map(|((_, name), versions)| Some((name.clone(), versions.last()?)));
        last.filter(|(_, version)| !version.is_deleted)
            .map(|(name, version)| (name, version.payload.clone()))
            .collect()
    }

    /// All devices have pulled everything: they hold the same, byte for byte (promise 3).
    pub fn agree(&mut self, owner: &Owner, client: &Client, channels: &BTreeSet<String>) {
        let (truth, shown) = (self.truth(&owner.tenant, channels), client.shown());
        let names: BTreeSet<&Name> = truth.keys().chain(shown.keys()).collect();
        // A device that asks for its own changes is told of these, too.
        let is_told = |name: &Name| {
            client.is_documented
                || !self
                    .untold
                    .contains(&(owner.clone(), (owner.tenant.clone(), name.clone())))
        };
        let differing = names
            .into_iter()
            .find(|name| truth.get(name) != shown.get(name) && is_told(name));
        if let Some(name) = differing {
            let (stands, held) = (truth.get(name), shown.get(name));
            let what =
                format!("{owner:?} holds of {name:?}\n  {held:?}\nand the server\n  {stands:?}");
            self.violated(3, what);
        }
    }

    /// All is quiet: what was typed is applied, if its device was told so (promise 1), and no value
    /// that is unique stands twice.
    pub fn settled(&mut self) {
        let told = |fate: &&Fate, status| {
            !fate.is_forgotten && fate.told.as_ref().is_some_and(|told| told.status == status)
        };
        // Of the edits that an admin accepts together, a later create may replace what an earlier
        // one made.
        let is_decided = |fate: &Fate, version: &Version| {
            version.is_decision
                && fate
                    .told
                    .as_ref()
                    .is_some_and(|told| told.server_version == Some(version.number))
        };
        let is_applied = |fate: &Fate| {
            let mut versions = self.history.values().flatten();
            match fate.edit.action() {
                "delete" => versions.any(|version| version.is_deleted),
                _ => {
                    self.applied.contains_key(&fate.edit.number)
                        || versions.any(|version| is_decided(fate, version))
                }
            }
        };
        let is_visible = |fate: &&Fate| fate.edit.is_marked() || fate.edit.action() == "delete";
        let lost = self
            .fates
            .values()
            .filter(|fate| told(fate, Status::Ok))
            .filter(is_visible)
            .find(|fate| !is_applied(fate));
        if let Some(what) = lost.map(|fate| {
            format!(
                "edit {} was answered ok, and stands nowhere",
                fate.edit.number
            )
        }) {
            self.violated(1, what);
        }
        let mut codes: BTreeSet<(String, String)> = BTreeSet::new();
        let mut twice = None;
        for ((tenant, name), versions) in &self.history {
            let Some(last) = versions
                .last()
                .filter(|last| !last.is_deleted && name.resource_type == "meter")
            else {
                continue;
            };
            if let Some(code) = last.fields.get("code").and_then(Value::as_str)
                && !codes.insert((tenant.clone(), code.to_owned()))
            {
                twice = Some(format!("the code {code} stands twice in {tenant}"));
            }
        }
        if let Some(what) = twice {
            self.violated(1, what);
        }
    }

    /// Whether there is any row of a channel.
    pub fn has_rows(&self, tenant: &str, channel: &str) -> bool {
        self.history
            .keys()
            .any(|(of, name)| of == tenant && name.channel == channel)
    }

    /// The tables are again what they were when `copy` was taken.
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
