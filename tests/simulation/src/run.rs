//! A run: the actors of a plan perform their steps over one deployment.

mod rest;

use std::{collections::BTreeMap, rc::Rc, time::Duration};

use futures_util::future::join_all;
use serde_json::json;
use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until},
};

use crate::{
    admin,
    faults::{Fault, rng},
    phone::Phone,
    plan::{Actor, GROUPS, PHASES, Plan, Step, StepAction, TENANTS, USERS},
    world::World,
};

/// The world and its devices. The last device is the inactive slot for a clone of the first.
pub struct Run {
    /// The state that all actors share.
    pub world: Rc<World>,
    phones: Vec<Mutex<Phone>>,
}

impl Run {
    /// Creates the world and the devices of a plan.
    pub fn new(plan: Plan, is_traced: bool) -> Self {
        let mut rng = rng(&[plan.seed, 5]);

        let mut groups = BTreeMap::new();
        for tenant in 0..TENANTS.len() {
            for user in 0..USERS.len() {
                groups.insert(
                    (tenant, user),
                    GROUPS[..rng.usize(0..3)]
                        .iter()
                        .map(|group| (*group).to_owned())
                        .collect(),
                );
            }
        }

        let phones = plan.world.phones.iter().enumerate();
        let mut phones: Vec<Phone> = phones
            .map(|(number, (tenant, user))| Phone::new(number, *tenant, *user, &mut rng))
            .collect();
        phones.push(phones[0].clone_place());
        let phones = phones.into_iter().map(Mutex::new).collect();

        Self {
            world: World::new(plan, groups, is_traced),
            phones,
        }
    }

    /// Performs all phases of the plan.
    pub async fn run(&self) {
        let world = &self.world;
        for phase in 0..PHASES {
            self.restore().await;
            self.go_back(phase).await;
            world.is_resting.set(false);
            world.cloud.faults.calm(false);
            world.consume();

            let steps = world.plan.steps.iter().filter(|step| step.phase == phase);
            let mut actors: BTreeMap<Actor, Vec<&Step>> = BTreeMap::new();
            steps.for_each(|step| actors.entry(step.actor).or_default().push(step));

            let began = Instant::now();
            join_all(actors.into_values().map(async |steps| {
                for step in steps {
                    sleep_until(began + Duration::from_millis(step.at_ms)).await;
                    if world.is_over() {
                        return;
                    }
                    world.note(|| step.to_string());
                    self.act(step).await;
                }
            }))
            .await;

            self.rest(phase).await;
            if world.is_over() {
                return;
            }
        }
    }

    /// Restores devices from their backups between two phases. They pull before they do anything
    /// else.
    async fn go_back(&self, phase: u64) {
        let world = &self.world;
        let mut rng = rng(&[world.plan.seed, 10, phase]);
        for phone in &self.phones {
            let mut phone = phone.lock().await;
            if std::mem::take(&mut phone.goes_back) {
                phone.go_back(world);
                phone.finish_pulling(world, &mut rng).await;
            }
        }
    }

    /// Restores the tables if a copy was taken. All devices are reset.
    pub(crate) async fn restore(&self) {
        let world = &self.world;
        let Some((copy, oracle)) = world.copy.borrow_mut().take() else {
            return;
        };

        world.note(|| "the tables are restored".to_owned());
        world.cloud.faults.count(Fault::Restore);
        world.cloud.restore(&copy);
        world.stream.borrow_mut().restart(&world.cloud);
        world.oracle.borrow_mut().restored(&oracle);
        world.may_reset.set(true);

        for phone in &self.phones {
            let mut phone = phone.lock().await;
            let tenant = phone.owner().tenant;
            (phone.backup, phone.goes_back) = (None, false); // a backup would hold undone state
            phone.undone = phone
                .client
                .copies()
                .keys()
                .map(|name| name.channel.clone())
                .collect();
            // A repair does not find channels without rows in the copy: their copies are dropped
            // here.
            phone
                .client
                .forget_resources(|name| !oracle.has_rows(&tenant, &name.channel));
        }

        let mut rng = rng(&[world.plan.seed, 9]);
        world.needs_repair.set(true);
        while world.needs_repair.replace(false) {
            world.repair(&json!({"start_over": true}), &mut rng).await;
        }
    }

    async fn act(&self, step: &Step) {
        let world = &self.world;
        let mut rng = rng(&[world.plan.seed, 6, step.id]);
        match (step.actor, step.action) {
            (Actor::Phone(number), action) => {
                let mut phone = self.phones[number].lock().await;
                let clone = &self.phones[self.phones.len() - 1];
                phone.act(world, clone, step.id, action, &mut rng).await;
            }
            (Actor::Admin(tenant), StepAction::Resolve) => {
                admin::resolve(world, tenant, &mut rng).await
            }
            (Actor::Admin(tenant), _) => admin::replay(world, tenant, &mut rng).await,
            (Actor::Operator, action) => world.operate(action, &mut rng).await,
        }
    }
}
