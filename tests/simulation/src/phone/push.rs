//! The pushes of a device.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use serde_json::Value;
use tidemark_client::{
    Action, BatchBounds, Edit, ItemCode, PushResponse, ResourceId, ResourceName, SentBatch, Status,
};
use tokio::time::sleep;

use super::{Phone, TRIES_MAX};
use crate::{edits::item, fate::ReportedResult, faults::Fault, world::World};

impl Phone {
    /// Pushes, and retries a few times, like an app in use.
    pub(super) async fn push_with_retries(&mut self, world: &Rc<World>, rng: &mut fastrand::Rng) {
        if self.client.sent().is_some() {
            self.restart(world, rng).await;
        }

        for _ in 0..rng.u32(1..4) {
            // An app that is killed does not retry before it is started again.
            if self.push(world, rng).await
                || (world.cloud.faults.is_on(Fault::Restarted) && rng.u32(0..3) > 0)
            {
                break;
            }
            sleep(Duration::from_millis(rng.u64(100..2_000))).await;
        }
    }

    /// Sends one batch once. Returns whether the queue is empty.
    async fn push(&mut self, world: &Rc<World>, rng: &mut fastrand::Rng) -> bool {
        let bounds = BatchBounds {
            items: rng.usize(1..51),
            ..BatchBounds::default()
        };
        let batch_id = format!("batch-{:016x}", rng.u64(..));
        let Some(sent) = self.client.next_batch(&bounds, &batch_id).cloned() else {
            return true;
        };
        let body = self.client.push_request().unwrap();
        self.note_push(world, &sent);

        world.read_stream();
        let versions_before = world.oracle.borrow().versions(&self.owner().tenant);
        let Some(response) = self.post(world, "sync/push", &body, rng).await else {
            return false;
        };
        if response.status != 200 {
            self.check_rejection(world, "push", &response);
            return false;
        }

        let response: PushResponse = response.read();
        world
            .batches
            .borrow_mut()
            .push((self.tenant, response.batch_id.clone()));
        world.read_stream();

        self.report(world, &sent, &response, &versions_before);
        self.client.apply_push_response(&response).unwrap();
        self.client.queue().is_empty()
    }

    /// Appends the batch to the trace.
    fn note_push(&self, world: &World, sent: &SentBatch) {
        world.note(|| {
            let marks: Vec<String> = sent
                .edits()
                .iter()
                .map(|edit| edit.number().to_string())
                .collect();
            format!(
                "        {} pushes {} as {:?}",
                self.client.device_id(),
                marks.join(" "),
                sent.batch_id()
            )
        });
    }

    /// Reports the results of a batch to the oracle. `versions_before` are the versions of the
    /// tenant's resources before the request.
    fn report(
        &mut self,
        world: &World,
        sent: &SentBatch,
        response: &PushResponse,
        versions_before: &BTreeMap<ResourceName, u64>,
    ) {
        for (edit, result) in sent.edits().iter().zip(&response.results) {
            world.counts.borrow_mut().responses[result.status as usize] += 1;
            if result.code == Some(ItemCode::DependsOnFailedItem) && result.is_retryable() {
                self.deferred.insert(edit.number());
            } else {
                self.deferred.remove(&edit.number());
            }

            let mut oracle = world.oracle.borrow_mut();
            oracle.answered(versions_before, edit.name(), result);
            // After the user has left the group, the result of an earlier edit is no longer
            // reported.
            let had_result = oracle
                .fates
                .get(&edit.number())
                .is_some_and(|fate| fate.told.is_some());
            if !(had_result && result.code == Some(ItemCode::ChannelForbidden)) {
                oracle.told(
                    edit.number(),
                    ReportedResult::new(result, &response.batch_id),
                );
            }
        }
    }

    /// Pushes until the queue is empty, which must succeed after all faults have ended.
    pub async fn finish_pushing(&mut self, world: &Rc<World>, rng: &mut fastrand::Rng) {
        for _ in 0..TRIES_MAX {
            if world.is_over() || self.push(world, rng).await || self.waits_for_admin(world) {
                return;
            }
            sleep(Duration::from_millis(300)).await;
        }

        let left: BTreeMap<u64, Value> = self
            .client
            .waiting()
            .map(|edit| (edit.number(), item(edit)))
            .collect();
        let what = format!("the queue of {:?} does not drain: {left:?}", self.owner());
        world.oracle.borrow_mut().violated(6, what);
    }

    /// Returns whether every remaining edit waits for an admin: it refers to a create of this
    /// device that is part of an open conflict, or follows such an edit of the same resource
    /// (§3.10).
    fn waits_for_admin(&self, world: &World) -> bool {
        let oracle = world.oracle.borrow();
        let owner = self.owner();
        let is_rejected = |temp_id: &str| {
            let creates = oracle
                .fates
                .values()
                .filter(|fate| fate.owner == owner && fate.edit.action() == Action::Create);
            creates
                .filter(|fate| fate.edit.name().id == ResourceId::Temp(temp_id.to_owned()))
                .any(|fate| {
                    fate.told
                        .as_ref()
                        .is_some_and(|told| told.status == Status::Conflict && !told.is_decided)
                })
        };

        let refers = |edit: &Edit| {
            item(edit)["payload"]["meter_id"]
                .as_str()
                .is_some_and(is_rejected)
        };

        let held: BTreeSet<&ResourceName> = self
            .client
            .waiting()
            .filter(|edit| refers(edit))
            .map(Edit::name)
            .collect();

        self.client
            .waiting()
            .all(|edit| self.deferred.contains(&edit.number()) && held.contains(edit.name()))
    }
}
