//! The operator: faults of the deployment as a whole, and their remedies.

use std::{rc::Rc, time::Duration};

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    faults::{Fault, Invocation},
    plan::{GROUPS, StepAction},
    world::World,
};

/// Longer than the retention of the change log.
const MONTH: chrono::Duration = chrono::Duration::days(32);
/// No month passes once the clock is ahead by this duration. At most two months pass, which is less
/// than the 90 days for which batches are stored.
const MONTHS_END: chrono::Duration = chrono::Duration::days(60);
/// The maximum number of invocations of the changelog function for one repair.
const REPAIR_INVOCATIONS_MAX: usize = 20;

impl World {
    /// Performs a step of the operator.
    pub(crate) async fn operate(self: &Rc<Self>, action: StepAction, rng: &mut fastrand::Rng) {
        let faults = &self.cloud.faults;

        match action {
            StepAction::Groups if faults.is_on(Fault::GroupChange) => self.change_groups(rng),
            StepAction::Split if faults.is_on(Fault::ShardSplit) => {
                self.stream.borrow_mut().split(&self.cloud, rng)
            }
            StepAction::Down(ms) if faults.is_on(Fault::ConsumerDown) => {
                faults.count(Fault::ConsumerDown);
                self.is_down_until
                    .set(Some(Instant::now() + Duration::from_millis(ms)));
            }
            StepAction::Month
                if faults.is_on(Fault::Retention) && self.cloud.jumped() < MONTHS_END =>
            {
                self.pass_month()
            }
            StepAction::Forget if faults.is_on(Fault::LongOutage) => self.lose_records(),
            StepAction::Repair if faults.is_on(Fault::LongOutage) => {
                self.repair(&self.full_repair_request(), rng).await
            }
            StepAction::Copy if faults.is_on(Fault::Restore) && self.copy.borrow().is_none() => {
                self.read_stream();
                *self.copy.borrow_mut() = Some((self.cloud.copy(), self.oracle.borrow().clone()));
            }
            // The fault is off, a precondition does not hold, or another actor performs the action.
            _ => {}
        }
    }

    /// Replaces the groups of a random user.
    fn change_groups(&self, rng: &mut fastrand::Rng) {
        let mut groups = self.groups.borrow_mut();
        let users: Vec<(usize, usize)> = groups.keys().copied().collect();
        let user = users[rng.usize(0..users.len())];
        let joined = GROUPS
            .iter()
            .filter(|_| rng.bool())
            .map(|group| (*group).to_owned())
            .collect();
        groups.insert(user, joined);
        self.cloud.faults.count(Fault::GroupChange);
    }

    /// Advances the clock by a [`MONTH`], and removes the rows that have expired by then.
    fn pass_month(&self) {
        self.cloud.faults.count(Fault::Retention);
        self.may_reset.set(true);
        self.cloud.jump(MONTH);
        self.expire();
    }

    /// Advances the clock by 25 hours, and expires the records that were not delivered: the stream
    /// keeps records for 24 hours.
    fn lose_records(&self) {
        self.read_stream();
        self.cloud.faults.count(Fault::LongOutage);
        self.cloud.jump(chrono::Duration::hours(25));
        let lost = self.stream.borrow_mut().lose();
        self.note(|| format!("        the stream expires {lost} records"));
        self.needs_repair.set(true);
    }

    /// Returns a repair request for all changes since the start of the run: the lost records may be
    /// older than the stream's retention.
    pub(crate) fn full_repair_request(&self) -> Value {
        json!({"since": self.cloud.began_at().to_rfc3339()})
    }

    /// Repairs the change log, one invocation after another. Marks the repair as pending if it is
    /// not complete after [`REPAIR_INVOCATIONS_MAX`] invocations.
    pub(crate) async fn repair(self: &Rc<Self>, request: &Value, rng: &mut fastrand::Rng) {
        let mut cursor = Value::Null;
        for _ in 0..REPAIR_INVOCATIONS_MAX {
            let mut request = request.clone();
            request["cursor"] = cursor.clone();
            // A small limit, so that a repair needs several invocations.
            request["limit"] = rng.u64(1..8).into();

            let invocation = Invocation::new(&self.cloud.faults, rng.fork());
            let response = match self
                .cloud
                .invoke_changelog(invocation, &json!({ "repair": request }))
                .await
            {
                Ok(response) => response.unwrap_or_default(),
                Err(error) => return self.oracle.borrow_mut().violated(6, error),
            };
            self.note(|| format!("        repair {request} → {response}"));
            if response.get("looked_at").is_none() {
                continue; // it died, or DynamoDB was unavailable: retry
            }

            cursor = response["next_cursor"].clone();
            if cursor.is_null() {
                return;
            }
        }
        self.needs_repair.set(true);
    }

    /// Removes expired rows, as DynamoDB does.
    fn expire(&self) {
        let now = self.cloud.now().timestamp();

        for table in ["changes", "sync_batches", "sync_items"] {
            for row in self.cloud.rows(table) {
                if row["expires_at"]["N"]
                    .as_str()
                    .and_then(|text| text.parse().ok())
                    .is_some_and(|at: i64| at < now)
                {
                    let key = json!({"pk": row["pk"], "sk": row["sk"]});
                    self.cloud
                        .call("DeleteItem", &json!({"TableName": table, "Key": key}));
                }
            }
        }
    }
}
