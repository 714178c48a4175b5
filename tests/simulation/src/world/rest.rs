//! The end of a phase: all faults end, the actors finish, and the oracle checks the state at rest.

use std::{collections::BTreeSet, rc::Rc};

use tokio::task::JoinHandle;

use super::World;
use crate::{faults::rng, phone::Phone};

impl World {
    /// Ends all faults, lets all actors finish, and checks the run.
    pub(super) async fn rest(self: &Rc<Self>, phase: u64) {
        self.cloud.faults.calm(true);
        self.is_resting.set(true);
        self.note(|| "all faults end".to_owned());
        let late: Vec<JoinHandle<()>> = self.late.borrow_mut().drain(..).collect();
        for late in late {
            if late.await.is_err() {
                self.oracle
                    .borrow_mut()
                    .violated(6, "a late request panicked");
            }
        }

        let mut rng = rng(&[self.plan.seed, 8, phase]);
        for phone in &self.phones {
            let mut phone = phone.lock().await;
            if phone.client.sent().is_some() && rng.bool() {
                // An app that was killed pulls the changes of others before it retries its batch.
                self.drain().await;
                phone.finish_pulling(self, &mut rng).await;
            }
            phone.finish_pushing(self, &mut rng).await;
        }

        if self.needs_repair.replace(false) {
            // A repair leaves records that are younger than five minutes to the stream.
            self.cloud.jump(chrono::Duration::minutes(10));
            self.repair(&self.since_ever(), &mut rng).await;
        }

        self.drain().await;
        for phone in &self.phones {
            let mut phone = phone.lock().await;
            if phone.is_on {
                phone.finish_pulling(self, &mut rng).await;
            }
            if phone.goes_back {
                phone.ack_all(self, &mut rng).await;
            }
        }

        if !self.is_over() {
            self.check(&mut rng).await;
        }
    }

    /// Checks the state at rest against the invariants.
    async fn check(self: &Rc<Self>, rng: &mut fastrand::Rng) {
        let dead_lettered = self.cloud.dead_letters.objects();
        let [delivered, passed] = self.poisoned.get();
        if !(passed..=delivered).contains(&dead_lettered) {
            let what = format!(
                "{dead_lettered} records were dead-lettered; {delivered} were undecodable, {passed} of them processed"
            );
            self.oracle.borrow_mut().violated(2, what);
        }

        let devices = self.cloud.rows("devices");
        self.oracle.borrow_mut().acknowledged(&devices);
        self.oracle.borrow_mut().settled();

        for phone in &self.phones {
            let phone = phone.lock().await;
            if !phone.is_on {
                continue;
            }
            let channels = self.channels(phone.tenant, phone.user);
            self.oracle
                .borrow_mut()
                .agree(&phone.owner(), &phone.client, &channels);
        }
        crate::admin::look_for_what_was_typed(self, rng).await;

        // A new device receives the same resources as the others.
        for (tenant, user) in self
            .plan
            .world
            .phones
            .iter()
            .copied()
            .collect::<BTreeSet<_>>()
        {
            let mut fresh = Phone::fresh(tenant, user);
            fresh.finish_pulling(self, rng).await;
            let channels = self.channels(tenant, user);
            self.oracle
                .borrow_mut()
                .agree(&fresh.owner(), &fresh.client, &channels);
        }
        self.may_reset.set(false);
    }
}
