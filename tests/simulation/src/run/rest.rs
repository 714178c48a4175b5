//! The end of a phase: all faults end, the actors finish, and the oracle checks the state at rest.

use std::collections::BTreeSet;

use tokio::task::JoinHandle;

use super::Run;
use crate::{admin, faults::rng, phone::Phone};

impl Run {
    /// Ends all faults, lets all actors finish, and checks the run.
    pub(super) async fn rest(&self, phase: u64) {
        let world = &self.world;
        world.cloud.faults.calm(true);
        world.is_resting.set(true);
        world.note(|| "all faults end".to_owned());
        let late: Vec<JoinHandle<()>> = world.late.borrow_mut().drain(..).collect();
        for late in late {
            if late.await.is_err() {
                world
                    .oracle
                    .borrow_mut()
                    .violated(6, "a late request panicked");
            }
        }

        let mut rng = rng(&[world.plan.seed, 8, phase]);
        for phone in &self.phones {
            let mut phone = phone.lock().await;
            if phone.client.sent().is_some() && rng.bool() {
                // An app that was killed pulls the changes of others before it retries its batch.
                world.drain().await;
                phone.finish_pulling(world, &mut rng).await;
            }
            phone.finish_pushing(world, &mut rng).await;
        }

        if world.needs_repair.replace(false) {
            // A repair leaves records that are younger than five minutes to the stream.
            world.cloud.jump(chrono::Duration::minutes(10));
            world.repair(&world.full_repair_request(), &mut rng).await;
        }

        world.drain().await;
        for phone in &self.phones {
            let mut phone = phone.lock().await;
            if phone.is_on {
                phone.finish_pulling(world, &mut rng).await;
            }
            if phone.goes_back {
                phone.ack_all(world, &mut rng).await;
            }
        }

        if !world.is_over() {
            self.check(&mut rng).await;
        }
    }

    /// Checks the state at rest against the invariants.
    async fn check(&self, rng: &mut fastrand::Rng) {
        let world = &self.world;
        let dead_lettered = world.cloud.dead_letters.objects();
        let [delivered, passed] = world.poisoned.get();
        if !(passed..=delivered).contains(&dead_lettered) {
            let what = format!(
                "{dead_lettered} records were dead-lettered; {delivered} were undecodable, {passed} of them processed"
            );
            world.oracle.borrow_mut().violated(2, what);
        }

        let devices = world.cloud.rows("devices");
        world.oracle.borrow_mut().acknowledged(&devices);
        world.oracle.borrow_mut().settled();

        for phone in &self.phones {
            let phone = phone.lock().await;
            if !phone.is_on {
                continue;
            }
            let channels = world.channels(phone.tenant, phone.user);
            world
                .oracle
                .borrow_mut()
                .agree(&phone.owner(), &phone.client, &channels);
        }
        admin::check_edits_preserved(world, rng).await;

        // A new device receives the same resources as the others.
        for (tenant, user) in world
            .plan
            .world
            .phones
            .iter()
            .copied()
            .collect::<BTreeSet<_>>()
        {
            let mut fresh = Phone::fresh(tenant, user);
            fresh.finish_pulling(world, rng).await;
            let channels = world.channels(tenant, user);
            world
                .oracle
                .borrow_mut()
                .agree(&fresh.owner(), &fresh.client, &channels);
        }
        world.may_reset.set(false);
    }
}
