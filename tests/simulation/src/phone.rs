//! A simulated device: its client, the JWT of its user, and the faults that affect it.

mod pull;
mod push;
mod requests;
mod typing;

use std::{collections::BTreeSet, rc::Rc};

use tidemark_client::{Client, Edit, Options};
use tokio::sync::Mutex;

use crate::{fate::Owner, faults::Fault, plan::StepAction, world::World};

/// Attempts of a device after all faults have ended.
const TRIES_MAX: u32 = 40;

/// A device of the simulation.
pub struct Phone {
    /// The index of the tenant.
    pub tenant: usize,
    /// The index of the user.
    pub user: usize,
    /// The state that the device stores.
    pub client: Client,
    /// The channels whose copies originate from a state that a restore of the server has undone,
    /// until a pull resets them.
    pub undone: BTreeSet<String>,
    jwt: Option<(Vec<String>, String)>,
    /// An older sync token that the device may acknowledge.
    old_position: Option<String>,
    /// The temp ids of the meters that the device created.
    made: Vec<String>,
    /// Whether the device is in use: a clone is inactive until it is made.
    pub is_on: bool,
    /// A backup of the client's whole state, and the undone channels at that time.
    pub backup: Option<(Client, BTreeSet<String>)>,
    /// Whether the device is restored from its backup before the next phase, after it has
    /// acknowledged everything that it has pulled. A device that does not request its own changes
    /// receives only changes that are not beyond the page with the acknowledged position.
    pub goes_back: bool,
    /// Edits whose last result was a retryable `depends_on_failed_item`.
    deferred: BTreeSet<u64>,
}

impl Phone {
    /// Creates a device that has never synced.
    pub fn new(number: usize, tenant: usize, user: usize, rng: &mut fastrand::Rng) -> Self {
        let is_current = rng.bool();
        let options = Options {
            sends_base_version: is_current || rng.u32(0..5) > 0,
            stores_push_token: is_current || rng.u32(0..3) == 0,
            sends_batch_id: is_current || rng.u32(0..3) > 0,
            is_current,
        };
        let device_id = format!("phone-{number}");
        Self::with(tenant, user, Client::with_options(device_id, options))
    }

    /// Creates a new device of a user.
    pub fn fresh(tenant: usize, user: usize) -> Self {
        let client = Client::with_options("fresh", Options::EARLIEST);
        Self::with(tenant, user, client)
    }

    fn with(tenant: usize, user: usize, client: Client) -> Self {
        let (jwt, old_position, made, backup, deferred) =
            (None, None, Vec::new(), None, BTreeSet::new());
        Self {
            tenant,
            user,
            client,
            undone: BTreeSet::new(),
            jwt,
            old_position,
            made,
            backup,
            is_on: true,
            goes_back: false,
            deferred,
        }
    }

    /// Returns the inactive slot for a clone of this device.
    pub fn clone_place(&self) -> Self {
        let client = Client::with_options("", Options::EARLIEST);
        Self {
            is_on: false,
            ..Self::with(self.tenant, self.user, client)
        }
    }

    /// Returns the owner of the device.
    pub fn owner(&self) -> Owner {
        World::owner(self.tenant, self.user, self.client.device_id())
    }

    /// Performs a step of the plan. `clone` is the slot for a clone of this device.
    pub async fn act(
        &mut self,
        world: &Rc<World>,
        clone: &Mutex<Self>,
        step: u64,
        action: StepAction,
        rng: &mut fastrand::Rng,
    ) {
        if !self.is_on {
            return;
        }

        match action {
            StepAction::RestoreDevice if self.backup.is_none() => self.back_up(),
            StepAction::Backup => self.back_up(),
            StepAction::RestoreDevice if world.cloud.faults.is_on(Fault::RestoredDevice) => {
                if self.client.options().is_current {
                    self.go_back(world)
                } else {
                    self.goes_back = true
                }
            }
            StepAction::Clone
                if world.cloud.faults.is_on(Fault::ClonedDevice)
                    && self.client.options().is_current =>
            {
                self.start_clone(world, clone).await
            }
            StepAction::RestoreDevice | StepAction::Clone => {}
            StepAction::Type(edits) => {
                (0..edits).for_each(|at| self.type_one(world, step * 100 + at, rng))
            }
            StepAction::Push => self.push_with_retries(world, rng).await,
            StepAction::Pull(pages, limit) => {
                let limit = usize::try_from(limit).unwrap();
                self.pull(world, pages, limit, rng).await;
            }
            _ => self.ack(world, rng).await,
        }
    }

    /// Starts the clone with a copy of everything that this device stores, unless it has started
    /// before.
    async fn start_clone(&self, world: &World, clone: &Mutex<Self>) {
        let mut clone = clone.lock().await;
        if !clone.is_on {
            world.cloud.faults.count(Fault::ClonedDevice);
            clone.is_on = true;
            (clone.client, clone.undone) = (self.client.clone(), self.undone.clone());
            world.oracle.borrow_mut().cloned.insert(self.owner());
        }
    }

    fn back_up(&mut self) {
        self.backup = Some((self.client.clone(), self.undone.clone()));
    }

    /// Restores the device from its backup, if it has one.
    pub fn go_back(&mut self, world: &World) {
        let Some((backup, undone)) = self.backup.clone() else {
            return;
        };
        world.cloud.faults.count(Fault::RestoredDevice);

        let kept: BTreeSet<u64> = backup.waiting().map(Edit::number).collect();
        let lost = self
            .client
            .waiting()
            .map(Edit::number)
            .filter(|number| !kept.contains(number));
        world.oracle.borrow_mut().lost_with_device(lost);

        (self.client, self.undone) = (backup, undone);
        (self.jwt, self.old_position) = (None, None);

        // The token in the backup may be older than the retention of the change log.
        world
            .may_reset
            .set(world.may_reset.get() || !world.cloud.jumped().is_zero());
    }

    /// Simulates that the app is killed between a push whose response was lost and its retry. The
    /// app may have lost its batch and kept only its queue, and it may pull before it pushes again.
    async fn restart(&mut self, world: &Rc<World>, rng: &mut fastrand::Rng) {
        let faults = &world.cloud.faults;
        if faults.is_on(Fault::Rebatched) && rng.u32(0..3) == 0 {
            faults.count(Fault::Rebatched);
            self.client.discard_batch();
        }
        if faults.is_on(Fault::Restarted) && rng.bool() {
            faults.count(Fault::Restarted);
            (self.jwt, self.old_position) = (None, None);
            self.pull(world, 5, 100, rng).await;
        }
    }
}
