//! The model of a resource, its devices and its conflicts, which decides batches and stores their
//! decisions.

use std::collections::{HashMap, HashSet};

use chrono::DateTime;
use proptest::prelude::*;
use serde_json::{json, value::RawValue};
use tidemark_core::{
    model::{
        catalog::{Catalog, Policy},
        conflict::{ConflictStatus, ConflictSummary, ConflictWrite},
        edit::Action,
        json::Json,
        principal::{Author, Principal},
        result::{ItemResult, Status},
    },
    rules::push::{
        decide::decide,
        decision::{CurrentState, Decision, Lookups},
        edit::Sender,
        group::Group,
        intake,
        media::MediaVerification,
    },
    wire::push::read_item,
};

use super::{DEVICES, EditStep};

/// An edit of the model. Its number makes its content unique, so that applying it always changes
/// the resource.
#[derive(Debug, Clone)]
pub(super) struct ModelEdit {
    pub(super) number: usize,
    item: Json,
    pub(super) base: u64,
    pub(super) field: usize,
    pub(super) deletes: bool,
}

impl ModelEdit {
    /// Returns the edit with `was` in its item.
    pub(super) fn with_was(&self) -> Self {
        let mut item: serde_json::Value = serde_json::from_str(self.item.get()).expect("JSON");
        let field = format!("value{}", self.field);
        item["was"] = json!({field: self.number, "other": 1});
        Self {
            item: raw(&item),
            ..self.clone()
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Device {
    /// The last version that the device received.
    received: u64,
    pub(super) queue: Vec<ModelEdit>,
    sent: Vec<ModelEdit>,
}

/// A conflict as the server would store it.
pub(super) struct ModelConflict {
    device: usize,
    summary: ConflictSummary,
    pub(super) payloads: String,
}

pub(super) struct EditModel {
    catalog: Catalog,
    pub(super) policy: Policy,
    pub(super) sends_base: bool,
    pub(super) devices: Vec<Device>,
    pub(super) stored: CurrentState,
    pub(super) conflicts: HashMap<String, ModelConflict>,
    /// The writer and the field of each version, beginning with version 1; a create and a delete
    /// write all fields.
    pub(super) writers: Vec<(usize, Option<usize>)>,
    pub(super) applied: HashSet<usize>,
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
    pub(super) fn new(policy: Policy, sends_base: bool) -> Self {
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
        let mut model = Self {
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

        let create = json!({
            "resource_type": "meter",
            "action": "create",
            "client_version": 0,
            "payload": {"id": "m-1"},
        });
        let create = ModelEdit {
            number: 0,
            item: raw(&create),
            base: 0,
            field: 0,
            deletes: false,
        };

        model
            .push(0, std::slice::from_ref(&create))
            .expect("the first create");
        model.devices[0].sent.push(create);
        model
            .devices
            .iter_mut()
            .for_each(|device| device.received = 1);
        model
    }

    pub(super) fn step(&mut self, step: EditStep) -> Result<(), TestCaseError> {
        match step {
            EditStep::Edit {
                device,
                field,
                deletes,
            } => self.edit(device, field, deletes),
            EditStep::Push {
                device,
                count,
                is_heard,
            } => self.push_queued(device, count, is_heard)?,
            EditStep::Repeat {
                device,
                first,
                count,
            } => self.repeat(device, first, count)?,
            EditStep::Pull { device } => self.devices[device].received = self.version(),
        }
        Ok(())
    }

    /// Queues an edit of one field, or a delete, on a device.
    fn edit(&mut self, device: usize, field: usize, deletes: bool) {
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

    /// Pushes the first edits of a device's queue. They stay in the queue unless the response is
    /// heard.
    fn push_queued(
        &mut self,
        device: usize,
        count: usize,
        is_heard: bool,
    ) -> Result<(), TestCaseError> {
        let count = count.min(self.devices[device].queue.len());
        let batch: Vec<ModelEdit> = self.devices[device].queue[..count].to_vec();

        let results = self.push(device, &batch)?;
        let it = &mut self.devices[device];
        it.sent.extend(batch);

        if is_heard {
            it.queue.drain(..count);
            self.receive(device, &results);
        }
        Ok(())
    }

    /// Raises the version that a device knows by the results of its push. An accepted edit makes
    /// its version known to the device if the device wrote all versions up to it.
    fn receive(&mut self, device: usize, results: &[ItemResult]) {
        let accepted = results.iter().filter(|result| result.status == Status::Ok);
        let version = accepted
            .filter_map(|result| result.server_version)
            .max()
            .unwrap_or(0);

        let it = &mut self.devices[device];
        let unseen = self
            .writers
            .get(it.received as usize..version as usize)
            .unwrap_or_default();
        if unseen.iter().all(|(writer, _)| *writer == device) {
            it.received = it.received.max(version);
        }
    }

    /// Pushes edits again that a device has sent before.
    fn repeat(&mut self, device: usize, first: usize, count: usize) -> Result<(), TestCaseError> {
        let sent = &self.devices[device].sent;
        if !sent.is_empty() {
            let first = first % sent.len();
            let batch = sent[first..(first + count).min(sent.len())].to_vec();
            self.push(device, &batch)?;
        }
        Ok(())
    }

    pub(super) fn version(&self) -> u64 {
        self.stored
            .resource
            .as_ref()
            .map_or(0, |resource| resource.server_version)
    }

    /// Decides a batch of a device, checks the decision against the invariants, and stores it.
    pub(super) fn push(
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

        self.check_was_changes_nothing(device, batch)?;
        let mut group = self.group(device, batch);
        let mut results = Vec::new();
        // Items that a decision leaves over are decided against the state that it stored.
        while !group.items.is_empty() {
            let version = self.version();
            let decision = self.decide(device, &group);
            prop_assert!(
                !decision.results.is_empty(),
                "a decision covers at least one item"
            );
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
            if let Some(policy_conflict) = decision.policy_conflict {
                self.store_conflict(device, policy_conflict.conflict)?;
            }
        }

        prop_assert_eq!(results.len(), batch.len());
        self.check_nothing_is_lost(batch, &results)?;
        self.check_applied_once_on_a_seen_base(device, batch, &results, (before, was_deleted))?;
        self.check_replay_changes_nothing(device, batch, &results)?;
        Ok(results)
    }

    /// Stores a conflict after checking the condition of the write.
    fn store_conflict(&mut self, device: usize, write: ConflictWrite) -> Result<(), TestCaseError> {
        let kept = self
            .conflicts
            .entry(write.id.clone())
            .or_insert_with(|| ModelConflict {
                device,
                summary: ConflictSummary {
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

        prop_assert_eq!(kept.summary.edits.len(), write.expected_edits);
        prop_assert_eq!(kept.summary.status, ConflictStatus::Open);
        if let Some(outcome) = write.outcome {
            (kept.summary.status, kept.summary.resolution) =
                (ConflictStatus::Resolved, Some(outcome.resolution));
        }

        kept.summary.server_version = write
            .server
            .as_ref()
            .map_or(0, |server| server.server_version);

        for edit in write.edits {
            prop_assert!(
                !kept.summary.contains(edit.id),
                "a conflict contains an edit twice"
            );
            kept.summary.edits.push(edit.id);
            kept.payloads.push_str(edit.payload.get());
        }
        Ok(())
    }

    /// Returns the group of a batch, which concerns one resource.
    pub(super) fn group(&self, device: usize, batch: &[ModelEdit]) -> Group {
        let items = batch.iter().map(|sent| read_item(&sent.item));
        self.as_sender(device, |sender| {
            intake::read(items, sender).groups.remove(0)
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

    pub(super) fn decide(&self, device: usize, group: &Group) -> Decision {
        let own = self.conflicts.values().filter(|kept| kept.device == device);
        let mut conflicts: Vec<ConflictSummary> = own.map(|kept| kept.summary.clone()).collect();
        conflicts.sort_by(|one, other| one.id.cmp(&other.id));

        let stored = CurrentState {
            resource: self.stored.resource.clone(),
            conflicts: Some(conflicts),
        };
        let (holders, media) = (HashMap::new(), MediaVerification::default());
        let found = Lookups {
            holders: &holders,
            media: &media,
        };

        self.as_sender(device, |sender| {
            decide(group, &stored, found, sender, DateTime::UNIX_EPOCH)
                .expect("conflicts are loaded")
        })
    }
}

fn raw(value: &serde_json::Value) -> Json {
    RawValue::from_string(value.to_string()).expect("JSON")
}
