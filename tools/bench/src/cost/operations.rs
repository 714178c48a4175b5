//! Measures each operation of devices and admins once, with payloads of one size.

use serde_json::{Value, json};
use tidemark_tests::Device;

use super::{
    amount::{Cost, ITEMS, PushCost},
    counted::Counting,
};
use crate::workload;

/// Number of changes or resources of a page.
pub(super) const PAGE: usize = 100;
/// Number of resources that many edits change.
pub(super) const BUSY: usize = 10;
/// Number of edits of each of these resources.
pub(super) const BUSY_ROUNDS: usize = 20;
/// Number of pushes that are sequenced together.
pub(super) const CROWD: usize = 40;

/// The cost of each operation.
#[derive(Debug, Clone, Default)]
pub struct Operations {
    /// Bytes of each payload.
    pub bytes: usize,
    /// Write units of a minimal row with one payload.
    pub baseline_write: f64,
    /// Read units of a minimal page of payloads.
    pub baseline_page: f64,
    /// Cost of 50 creates.
    pub creates: PushCost,
    /// Cost of 50 creates whose payloads do not compress.
    pub noisy: PushCost,
    /// Cost of 50 updates.
    pub updates: PushCost,
    /// Cost of 45 updates and 5 conflicts.
    pub mixed: PushCost,
    /// Cost of 50 creates of a type with a unique field.
    pub unique: PushCost,
    /// Cost of 50 deletes.
    pub deletes: PushCost,
    /// Cost of a snapshot page of 100 resources for a new device.
    pub pull_fresh: Cost,
    /// Cost of a page of 100 changes from the log.
    pub pull_packed: Cost,
    /// Cost of a page from a log in which ten resources were changed 20 times each.
    pub pull_busy: Cost,
    /// Cost of a page from a log into which many changes were sequenced together.
    pub pull_crowded: Cost,
    /// Cost of a pull without changes.
    pub pull_nothing: Cost,
    /// Cost of a device's first acknowledgement, which also writes its entry of the index by
    /// tenant.
    pub ack_first: Cost,
    /// Cost of a later acknowledgement.
    pub ack: Cost,
    /// Cost of an admin's list of the tenant's devices.
    pub devices: Cost,
    /// Cost of an admin's request for the status.
    pub status: Cost,
    /// Cost of an admin's resolution of a conflict.
    pub resolve: Cost,
}

impl Operations {
    /// Measures all operations with payloads of `bytes` bytes.
    pub async fn measure(bytes: usize) -> Self {
        let counting = Counting::default();
        let (ana, mut tablet) = (
            counting.stack.device("ana", "phone"),
            counting.stack.device("ana", "tablet"),
        );
        tablet.pull().await;
        let mut all = Self::baseline(&counting, bytes);

        let (first, second) = all.measure_creates(&counting, &ana).await;
        all.measure_pages_and_acks(&counting, &mut tablet).await;
        all.measure_admin_requests(&counting).await;
        all.measure_updates(&counting, &ana, &first).await;
        all.measure_conflicts(&counting, &first).await;
        all.measure_other_pushes(&counting, &ana, &second).await;

        tablet.pull().await;
        (all.pull_nothing, _) = counting.count(tablet.pull_page(PAGE)).await;
        all.pull_busy = busy(&counting, bytes).await;
        all.pull_crowded = crowded(&counting, bytes).await;
        all
    }

    /// Measures the baseline of a write and of a page.
    fn baseline(counting: &Counting, bytes: usize) -> Self {
        let page: Vec<String> = (0..PAGE)
            .map(|number| workload::form(number, 0, bytes).to_string())
            .collect();
        Self {
            bytes,
            baseline_write: counting.baseline_of_write(&page[0]),
            baseline_page: counting.baseline_of_read(&page),
            ..Self::default()
        }
    }

    /// Measures a push of creates, and pushes as many again without measuring them, so that the
    /// log contains a full page. Returns the results of both pushes.
    async fn measure_creates(
        &mut self,
        counting: &Counting,
        device: &Device<'_>,
    ) -> (Vec<Value>, Vec<Value>) {
        let creates = |from: usize| {
            (from..from + ITEMS)
                .map(|number| workload::create(number, workload::form(number, 0, self.bytes)))
                .collect()
        };

        let (pushed, first) = counting.push(device, creates(0), is_ok).await;
        let (_, second) = counting.push(device, creates(ITEMS), is_ok).await;
        self.creates = pushed;
        (first, second)
    }

    /// Measures a page from the log, a page for a new device, and two acknowledgements.
    async fn measure_pages_and_acks(&mut self, counting: &Counting, tablet: &mut Device<'_>) {
        (self.pull_packed, _) = counting.count(tablet.pull_page(PAGE)).await;
        let mut newcomer = counting.stack.device("ana", "watch");
        (self.pull_fresh, _) = counting.count(newcomer.pull_page(PAGE)).await;
        (self.ack_first, _) = counting.count(tablet.ack()).await;
        (self.ack, _) = counting.count(tablet.ack()).await;
    }

    /// Measures an admin's list of devices and request for the status.
    async fn measure_admin_requests(&mut self, counting: &Counting) {
        let boss = admin_token(counting);
        (self.devices, _) = counting
            .count(counting.stack.get("devices?scope=tenant", &boss))
            .await;
        (self.status, _) = counting.count(counting.stack.get("status", &boss)).await;
    }

    /// Measures a push that updates all of these created resources.
    async fn measure_updates(
        &mut self,
        counting: &Counting,
        device: &Device<'_>,
        created: &[Value],
    ) {
        let updates = updates(created, 1, self.bytes).collect();
        (self.updates, _) = counting.push(device, updates, is_ok).await;
    }

    /// Measures a push of another device in which a tenth of the updates conflict, and the
    /// resolution of one of these conflicts.
    async fn measure_conflicts(&mut self, counting: &Counting, created: &[Value]) {
        let mut mixed: Vec<Value> = updates(created, 2, self.bytes).collect();
        // Based on a version that another device has changed since.
        for stale in mixed.iter_mut().step_by(10) {
            (stale["client_version"], stale["base_version"]) = (json!(1), json!(1));
        }

        let other = counting.stack.device("ana", "other");
        let (pushed, results) = counting.push(&other, mixed, |_| true).await;
        let conflicts: Vec<&Value> = results
            .iter()
            .filter(|result| result["status"] == "conflict")
            .collect();

        assert_eq!(conflicts.len(), ITEMS / 10);
        self.mixed = pushed;
        self.resolve = resolve(counting, conflicts[0]).await;
    }

    /// Measures pushes of incompressible creates, of creates with a unique value, and of deletes of
    /// these created resources.
    async fn measure_other_pushes(
        &mut self,
        counting: &Counting,
        device: &Device<'_>,
        created: &[Value],
    ) {
        let noisy = (2 * ITEMS..3 * ITEMS)
            .map(|number| workload::create(number, workload::noise(number, self.bytes)))
            .collect();
        (self.noisy, _) = counting.push(device, noisy, is_ok).await;

        let unique = (0..ITEMS).map(workload::create_unique).collect();
        (self.unique, _) = counting.push(device, unique, is_ok).await;

        let deletes = created
            .iter()
            .map(|result| workload::delete(&result["server_id"], 1))
            .collect();
        (self.deletes, _) = counting.push(device, deletes, is_ok).await;
    }
}

/// Returns the updates of these created resources from `version` to the next version.
fn updates(created: &[Value], version: u64, bytes: usize) -> impl Iterator<Item = Value> {
    created.iter().enumerate().map(move |(number, result)| {
        let form = workload::form(number, version as usize, bytes);
        workload::update(&result["server_id"], version, form)
    })
}

fn admin_token(counting: &Counting) -> String {
    counting.stack.token("acme", "boss", &["admin"], &[])
}

fn is_ok(result: &Value) -> bool {
    result["status"] == "ok"
}

async fn resolve(counting: &Counting, conflict: &Value) -> Cost {
    let boss = admin_token(counting);
    let path = format!(
        "conflicts/{}/resolve",
        conflict["conflict_id"].as_str().unwrap()
    );

    let (cost, response) = counting
        .count(
            counting
                .stack
                .post(&path, &boss, &json!({"resolution": "accept_client"})),
        )
        .await;

    assert_eq!(response.status, 200, "{}", response.text);
    counting.stack.settle().await;
    cost
}

/// Measures a pull after few resources changed often while the device was offline.
async fn busy(counting: &Counting, bytes: usize) -> Cost {
    let (ben, mut away) = (
        counting.stack.device("ben", "phone"),
        counting.stack.device("ben", "tablet"),
    );
    let creates: Vec<Value> = (0..BUSY)
        .map(|number| workload::create(number, workload::form(number, 0, bytes)))
        .collect();
    let (_, made) = counting.push(&ben, creates, is_ok).await;
    away.pull().await;

    for round in 1..=BUSY_ROUNDS {
        let edits = made.iter().enumerate().map(|(number, made)| {
            workload::update(
                &made["server_id"],
                round as u64,
                workload::form(number, round, bytes),
            )
        });
        counting.push(&ben, edits.collect(), is_ok).await;
    }

    let (cost, page) = counting.count(away.pull_page(PAGE)).await;
    assert_eq!(
        (page["changes"].as_array().map(Vec::len), &page["has_more"]),
        (Some(BUSY), &json!(false))
    );
    cost
}

/// Measures a pull after many pushes were sequenced together.
async fn crowded(counting: &Counting, bytes: usize) -> Cost {
    let (dan, mut away) = (
        counting.stack.device("dan", "phone"),
        counting.stack.device("dan", "tablet"),
    );
    away.pull().await;

    for push in 0..CROWD {
        let creates = (push * ITEMS..(push + 1) * ITEMS)
            .map(|number| workload::create(number, workload::form(number, 0, bytes)));
        dan.push(Value::Array(creates.collect())).await;
    }

    counting.stack.settle().await;
    let (cost, page) = counting.count(away.pull_page(PAGE)).await;
    assert_eq!(page["changes"].as_array().map(Vec::len), Some(PAGE));
    cost
}
