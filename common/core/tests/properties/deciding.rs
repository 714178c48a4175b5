//! `decide` under random histories of devices that edit, push, push again, forget answers and pull.

use std::collections::{HashMap, HashSet};

use chrono::DateTime;
use proptest::prelude::*;
use serde_json::{json, value::RawValue};
use tidemark_core::{
    catalog::{Catalog, Policy},
    conflict::{ConflictStatus, ConflictSummary, ConflictWrite},
    json::Json,
    principal::{Author, Principal},
    protocol::{
        Action,
        push::{ItemResult, Status},
    },
    push::{
        decide::{CurrentState, Decision, Lookups, decide},
        intake::{self, Group, Sender},
        media::Evidence,
    },
    resource::Resource,
};

const DEVICES: usize = 3;
const FIELDS: usize = 3;

/// What happens next in a history.
#[derive(Debug, Clone)]
enum EditStep {
    /// A device edits its copy; the edit waits in its queue.
    Edit {
        device: usize,
        field: usize,
        deletes: bool,
    },
    /// A device sends the first edits of its queue; whether it hears the answer.
    Push {
        device: usize,
        count: usize,
        is_heard: bool,
    },
    /// A device sends edits it sent before, whatever became of them.
    Repeat {
        device: usize,
        first: usize,
        count: usize,
    },
    /// A device takes over what the server has.
    Pull { device: usize },
}

fn step() -> impl Strategy<Value = EditStep> {
    let device = 0..DEVICES;
    prop_oneof![
        5 => (device.clone(), 0..FIELDS, prop::bool::weighted(0.03))
            .prop_map(|(device, field, deletes)| EditStep::Edit { device, field, deletes }),
        4 => (device.clone(), 1..6_usize, prop::bool::weighted(0.7))
            .prop_map(|(device, count, is_heard)| EditStep::Push { device, count, is_heard }),
        3 => (device.clone(), any::<usize>(), 1..4_usize)
            .prop_map(|(device, first, count)| EditStep::Repeat { device, first, count }),
        2 => device.prop_map(|device| EditStep::Pull { device }),
    ]
}

/// An edit of the model: its number makes its content unique, so applying it always changes
/// something.
#[derive(Debug, Clone)]
struct ModelEdit {
    number: usize,
    item: Json,
    base: u64,
    field: usize,
    deletes: bool,
}

#[derive(Debug, Default)]
struct Device {
    /// The last version received.
    received: u64,
    queue: Vec<ModelEdit>,
    sent: Vec<ModelEdit>,
}

/// A conflict as it would be stored.
struct ModelConflict {
    device: usize,
    standing: ConflictSummary,
    payloads: String,
}

struct EditModel {
    catalog: Catalog,
    policy: Policy,
    sends_base: bool,
    devices: Vec<Device>,
    stored: CurrentState,
    conflicts: HashMap<String, ModelConflict>,
    /// Who wrote each version, from version 1, and which field; a create and a delete write all of
    /// them.
    writers: Vec<(usize, Option<usize>)>,
    applied: HashSet<usize>,
    edits: usize,
}

fn principal(device: usize) -> Principal {
    Principal {
        tenant: "acme".into(),
        user: format!("user-{device}"),
        roles: vec![],
        groups: vec![],
    }
}

impl EditModel {
    fn new(policy: Policy, sends_base: bool) -> Self {
        let word = match policy {
            Policy::Manual => "manual",
            Policy::FieldMerge => "field_merge",
            Policy::ClientWins => "client_wins",
            Policy::ServerWins => "server_wins",
        };
        let catalog = format!("[meter]\nchannel = 'tenant'\nid_prefix = 'm'\npolicy = '{word}'");
        let catalog = Catalog::parse(&catalog).expect("catalog");
        let devices = (0..DEVICES).map(|_| Device::default()).collect();
        let (stored, conflicts, writers, applied) = Default::default();
        let mut world = Self {
            catalog,
            policy,
            sends_base,
            devices,
            stored,
            conflicts,
            writers,
            applied,
            edits: 0,
        };
        let create = json!({"resource_type": "meter", "action": "create", "client_version": 0, "payload": {"id": "m-1"}});
        let create = ModelEdit {
            number: 0,
            item: raw(&create),
            base: 0,
            field: 0,
            deletes: false,
        };
        world
            .push(0, std::slice::from_ref(&create))
            .expect("the first create");
        world.devices[0].sent.push(create);
        world
            .devices
            .iter_mut()
            .for_each(|device| device.received = 1);
        world
    }

    fn step(&mut self, step: EditStep) -> Result<(), TestCaseError> {
        match step {
            EditStep::Edit {
                device,
                field,
                deletes,
            } => {
                self.edits += 1;
                let it = &mut self.devices[device];
                let mut item = json!({
                    "resource_type": "meter",
                    "action": if deletes { "delete" } else { "update" },
                    "client_version": it.received + it.queue.len() as u64,
                    "payload": {"id": "m-1", (format!("value{field}")): self.edits},
                });
                if self.sends_base {
                    item["base_version"] = it.received.into();
                }
                it.queue.push(ModelEdit {
                    number: self.edits,
                    item: raw(&item),
                    base: it.received,
                    field,
                    deletes,
                });
            }
            EditStep::Push {
                device,
                count,
                is_heard,
            } => {
                let count = count.min(self.devices[device].queue.len());
                let batch: Vec<ModelEdit> = self.devices[device].queue[..count].to_vec();
                let results = self.push(device, &batch)?;
                let it = &mut self.devices[device];
                it.sent.extend(batch);
                if is_heard {
                    it.queue.drain(..count);
                    let accepted = results.iter().filter(|result| result.status == Status::Ok);
                    // An accepted edit makes its version known, as far as every version up to there
                    // is the device's own.
                    let version = accepted
                        .filter_map(|result| result.server_version)
                        .max()
                        .unwrap_or(0);
                    let unseen = self
                        .writers
                        .get(it.received as usize..version as usize)
                        .unwrap_or_default();
                    if unseen.iter().all(|(writer, _)| *writer == device) {
                        it.received = it.received.max(version);
                    }
                }
            }
            EditStep::Repeat {
                device,
                first,
                count,
            } => {
                let sent = &self.devices[device].sent;
                if !sent.is_empty() {
                    let first = first % sent.len();
                    let batch = sent[first..(first + count).min(sent.len())].to_vec();
                    self.push(device, &batch)?;
                }
            }
            EditStep::Pull { device } => self.devices[device].received = self.version(),
        }
        Ok(())
    }

    fn version(&self) -> u64 {
        self.stored
            .resource
            .as_ref()
            .map_or(0, |resource| resource.server_version)
    }

    /// Decides a batch of a device, checks the decision against the promises, and stores it.
    fn push(
        &mut self,
        device: usize,
        batch: &[ModelEdit],
    ) -> Result<Vec<ItemResult>, TestCaseError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let before = self.version();
        let was_deleted = self
            .stored
            .resource
            .as_ref()
            .is_some_and(|resource| resource.deleted);
        let mut group = self.group(device, batch);
        let mut results = Vec::new();
        // What a decision leaves is decided on what it stored.
        while !group.items.is_empty() {
            let version = self.version();
            let decision = self.decide(device, &group);
            prop_assert!(!decision.results.is_empty(), "something is decided");
            group.items.drain(..decision.results.len());
            group.carried = decision.carried;
            results.extend(decision.results);
            if let Some(write) = decision.write {
                prop_assert_eq!(write.expected_version.unwrap_or(0), version);
                self.stored.resource = Some(write.resource);
            }
            for write in decision.conflicts {
                self.store_conflict(device, write)?;
            }
            if let Some(ruled) = decision.ruled {
                self.store_conflict(device, ruled.conflict)?;
            }
        }
        prop_assert_eq!(results.len(), batch.len());
        self.check_nothing_is_lost(batch, &results)?;
        self.check_applied_once_on_a_seen_base(device, batch, &results, (before, was_deleted))?;
        self.check_replay_changes_nothing(device, batch, &results)?;
        Ok(results)
    }

    /// Stores a conflict on the condition it is written with.
    fn store_conflict(&mut self, device: usize, write: ConflictWrite) -> Result<(), TestCaseError> {
        let kept = self
            .conflicts
            .entry(write.id.clone())
            .or_insert_with(|| ModelConflict {
                device,
                standing: ConflictSummary {
                    id: write.id,
                    slot: write.slot,
                    status: ConflictStatus::Open,
                    resolution: None,
                    server_version: 0,
                    edits: Vec::new(),
                    opened_by_create: write
                        .edits
                        .first()
                        .is_some_and(|edit| edit.action == Action::Create),
                    code: write.code,
                },
                payloads: String::new(),
            });
        prop_assert_eq!(kept.standing.edits.len(), write.expected_edits);
        prop_assert_eq!(kept.standing.status, ConflictStatus::Open);
        if let Some(outcome) = write.outcome {
            (kept.standing.status, kept.standing.resolution) =
                (ConflictStatus::Resolved, Some(outcome.resolution));
        }
        kept.standing.server_version = write
            .server
            .as_ref()
            .map_or(0, |server| server.server_version);
        for edit in write.edits {
            prop_assert!(
                !kept.standing.holds(edit.id),
                "an edit stands in a conflict twice"
            );
            kept.standing.edits.push(edit.id);
            kept.payloads.push_str(edit.payload.get());
        }
        Ok(())
    }

    /// The group of a batch, which is about one resource.
    fn group(&self, device: usize, batch: &[ModelEdit]) -> Group {
        let items: Vec<Json> = batch.iter().map(|sent| sent.item.clone()).collect();
        self.as_sender(device, |sender| {
            intake::read(&items, sender).groups.remove(0)
        })
    }

    fn as_sender<T>(&self, device: usize, work: impl FnOnce(Sender<'_>) -> T) -> T {
        let principal = principal(device);
        let author = Author::device(&principal.user, "phone");
        work(Sender {
            principal: &principal,
            device_id: "phone",
            author: &author,
            catalog: &self.catalog,
            is_replay: false,
        })
    }

    fn decide(&self, device: usize, group: &Group) -> Decision {
        let own = self.conflicts.values().filter(|kept| kept.device == device);
        let mut conflicts: Vec<ConflictSummary> = own.map(|kept| kept.standing.clone()).collect();
        conflicts.sort_by(|one, other| one.id.cmp(&other.id));
        let stored = CurrentState {
            resource: self.stored.resource.clone(),
            conflicts: Some(conflicts),
        };
        let (holders, media) = (HashMap::new(), Evidence::default());
        let found = Lookups {
            holders: &holders,
            media: &media,
        };
        self.as_sender(device, |sender| {
            decide(group, &stored, found, sender, DateTime::UNIX_EPOCH)
                .expect("conflicts are given")
        })
    }

    /// Every edit is applied, stands in the conflict it was answered with, or was answered with an
    /// error.
    fn check_nothing_is_lost(
        &self,
        batch: &[ModelEdit],
        results: &[ItemResult],
    ) -> Result<(), TestCaseError> {
        for (sent, result) in batch.iter().zip(results) {
            if result.status == Status::Conflict {
                let conflict = result
                    .conflict_id
                    .as_ref()
                    .and_then(|id| self.conflicts.get(id));
                let text = format!("\"value{}\":{}}}", sent.field, sent.number);
                let holds = |kept: &ModelConflict| kept.payloads.contains(&text);
                prop_assert!(
                    conflict.is_some_and(holds) || sent.number == 0,
                    "edit {} is in no conflict",
                    sent.number
                );
            }
            prop_assert!(result.status != Status::Error || result.code.is_some());
        }
        Ok(())
    }

    /// The version grows by the edits that were not applied before, and each was made on all that
    /// others wrote.
    fn check_applied_once_on_a_seen_base(
        &mut self,
        device: usize,
        batch: &[ModelEdit],
        results: &[ItemResult],
        (before, mut is_deleted): (u64, bool),
    ) -> Result<(), TestCaseError> {
        let mut fresh: Vec<&ModelEdit> = Vec::new();
        for (sent, result) in batch.iter().zip(results) {
            let is_old = result.status != Status::Ok
                || result
                    .server_version
                    .is_some_and(|version| version <= before);
            let is_idle = sent.deletes && is_deleted; // deleting what is deleted changes nothing
            if !is_old && !is_idle && self.applied.insert(sent.number) {
                is_deleted |= sent.deletes;
                fresh.push(sent);
            }
        }
        prop_assert_eq!(
            self.version() - before,
            fresh.len() as u64,
            "every version is one edit, and no edit is two"
        );
        for sent in fresh {
            let unseen = self.writers.get(sent.base as usize..).unwrap_or_default();
            let field = Some(sent.field).filter(|_| !sent.deletes);
            let is_harmless = |(writer, written): &(usize, Option<usize>)| match self.policy {
                Policy::ClientWins => true,
                Policy::FieldMerge => {
                    *writer == device || field.is_some() && written.is_some() && field != *written
                }
                Policy::Manual | Policy::ServerWins => *writer == device,
            };
            prop_assert!(
                !self.sends_base || unseen.iter().all(is_harmless),
                "edit {} was applied on base {} over versions of others: {:?}",
                sent.number,
                sent.base,
                self.writers
            );
            self.writers
                .push((device, field.filter(|_| sent.number > 0)));
        }
        Ok(())
    }

    /// Deciding the same batch again answers the same and writes nothing. A conflict is told as the
    /// server stands now: a later item of the batch may have made another version, or the delete
    /// that a conflicting delete wanted.
    fn check_replay_changes_nothing(
        &self,
        device: usize,
        batch: &[ModelEdit],
        results: &[ItemResult],
    ) -> Result<(), TestCaseError> {
        let again = self.decide(device, &self.group(device, batch));
        prop_assert!(again.write.is_none(), "a replay wrote");
        prop_assert!(
            again.conflicts.is_empty() && again.ruled.is_none(),
            "a replay touched a conflict"
        );
        let told = |results: &[ItemResult]| -> Vec<_> {
            let version =
                |it: &ItemResult| it.server_version.filter(|_| it.status != Status::Conflict);
            let one = |it: &ItemResult| {
                (
                    it.status,
                    it.server_id.clone(),
                    version(it),
                    it.conflict_id.clone(),
                    it.code,
                )
            };
            results.iter().map(one).collect()
        };
        let is_deleted = self
            .stored
            .resource
            .as_ref()
            .is_some_and(|resource| resource.deleted);
        let is_done_since =
            |at: usize| is_deleted && batch[at].deletes && results[at].status == Status::Conflict;
        let comparable = |results: &[ItemResult]| -> Vec<_> {
            told(results)
                .into_iter()
                .enumerate()
                .filter(|(at, _)| !is_done_since(*at))
                .collect()
        };
        prop_assert_eq!(comparable(&again.results), comparable(results));
        Ok(())
    }
}

fn raw(value: &serde_json::Value) -> Json {
    RawValue::from_string(value.to_string()).expect("JSON")
}

/// A device that pulled everything can always edit: nothing locks a resource for good.
fn assert_a_fresh_edit_is_accepted(world: &mut EditModel) -> Result<(), TestCaseError> {
    world.sends_base = true;
    world.devices[1].queue.clear();
    world.step(EditStep::Pull { device: 1 })?;
    world.step(EditStep::Edit {
        device: 1,
        field: 0,
        deletes: false,
    })?;
    let batch = world.devices[1].queue.clone();
    let result = world.push(1, &batch)?.remove(0);
    let deleted = world
        .stored
        .resource
        .as_ref()
        .is_some_and(|resource: &Resource| resource.deleted);
    prop_assert_eq!(
        result.status,
        if deleted { Status::Error } else { Status::Ok }
    );
    Ok(())
}

fn run(policy: Policy, sends_base: bool, steps: Vec<EditStep>) -> Result<(), TestCaseError> {
    let mut world = EditModel::new(policy, sends_base);
    for step in steps {
        world.step(step)?;
    }
    assert_a_fresh_edit_is_accepted(&mut world)
}

fn steps() -> impl Strategy<Value = Vec<EditStep>> {
    proptest::collection::vec(step(), 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn decide_applies_once_on_what_was_seen_and_loses_nothing(steps in steps()) {
        run(Policy::Manual, true, steps)?;
    }

    #[test]
    fn decide_applies_once_without_base_versions_too(steps in steps()) {
        run(Policy::Manual, false, steps)?;
    }

    #[test]
    fn edits_of_different_fields_merge_and_are_applied_once(steps in steps(), sends_base in any::<bool>()) {
        run(Policy::FieldMerge, sends_base, steps)?;
    }

    #[test]
    fn where_the_client_wins_no_edit_is_applied_twice(steps in steps(), sends_base in any::<bool>()) {
        run(Policy::ClientWins, sends_base, steps)?;
    }

    #[test]
    fn where_the_server_wins_edits_are_dropped_and_kept(steps in steps(), sends_base in any::<bool>()) {
        run(Policy::ServerWins, sends_base, steps)?;
    }
}
