//! The operator: faults of the deployment as a whole, and their remedies.

use std::{rc::Rc, time::Duration};

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    faults::{Fault, Invocation},
    plan::{GROUPS, What},
    world::World,
};

impl World {
    /// Performs a step of the operator.
    pub(crate) async fn operate(self: &Rc<Self>, what: What, rng: &mut fastrand::Rng) {
        let faults = &self.cloud.faults;

        match what {
            What::Groups if faults.is_on(Fault::GroupChange) => self.change_groups(rng),
            What::Split if faults.is_on(Fault::ShardSplit) => {
                self.stream.borrow_mut().split(&self.cloud, rng)
            }
            What::Down(ms) if faults.is_on(Fault::ConsumerDown) => {
                faults.count(Fault::ConsumerDown);
                self.is_down_until
                    .set(Some(Instant::now() + Duration::from_millis(ms)));
            }
            // Batches are stored for 90 days.
            What::Month
                if faults.is_on(Fault::Retention)
                    && self.cloud.jumped() < chrono::Duration::days(60) =>
            {
                self.pass_month()
            }
            What::Forget if faults.is_on(Fault::LongOutage) => self.lose_records(),
            What::Repair if faults.is_on(Fault::LongOutage) => {
                self.repair(&self.since_ever(), rng).await
            }
            What::Copy if faults.is_on(Fault::Restore) && self.copy.borrow().is_none() => {
                self.take_in();
                *self.copy.borrow_mut() = Some((self.cloud.copy(), self.oracle.borrow().clone()));
            }
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

    /// Advances the clock by a month, which is longer than the retention of the change log.
    fn pass_month(&self) {
        self.cloud.faults.count(Fault::Retention);
        self.may_reset.set(true);
        self.cloud.jump(chrono::Duration::days(32));
        self.expire();
    }

    /// Advances the clock beyond the retention of the stream, which expires the records that were
    /// not delivered.
    fn lose_records(&self) {
        self.take_in();
        self.cloud.faults.count(Fault::LongOutage);
        self.cloud.jump(chrono::Duration::hours(25));
        let lost = self.stream.borrow_mut().lose();
        self.note(|| format!("        the stream expires {lost} records"));
        self.needs_repair.set(true);
    }

    /// Returns a repair request for the whole log: records may have been lost before the log's
    /// retention.
    pub(crate) fn since_ever(&self) -> Value {
        json!({"since": self.cloud.began_at().to_rfc3339()})
    }

    /// Repairs the change log, one invocation after another. Marks the repair as pending if it is
    /// not complete after 20 invocations.
    pub(crate) async fn repair(self: &Rc<Self>, request: &Value, rng: &mut fastrand::Rng) {
        let mut cursor = Value::Null;
        for _ in 0..20 {
            let mut request = request.clone();
            request["cursor"] = cursor.clone();
            request["limit"] = rng.u64(1..8).into();

            let invocation = Invocation::new(&self.cloud.faults, rng.fork());
            let response = match self
                .cloud
                .operate(invocation, &json!({ "repair": request }))
                .await
            {
                Ok(response) => response.unwrap_or_default(),
                Err(panic) => return self.oracle.borrow_mut().violated(6, panic),
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
