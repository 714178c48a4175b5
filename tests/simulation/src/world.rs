//! A run: the actors of a plan perform their steps over one deployment.

mod requests;
mod rest;

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;
use tokio::{
    sync::Mutex,
    task::JoinHandle,
    time::{Instant, sleep_until},
};

use crate::{
    cloud::{Cloud, TableSnapshot},
    counts::Counts,
    fate::Owner,
    faults::{FaultProfile, rng},
    oracle::Oracle,
    phone::Phone,
    plan::{Actor, GROUPS, PHASES, Plan, Step, TENANTS, USERS, What},
    shards::Stream,
};

/// The whole state of a run.
pub struct World {
    /// The plan that the run follows.
    pub plan: Plan,
    /// The system under test.
    pub cloud: Cloud,
    /// The oracle that checks the run.
    pub oracle: RefCell<Oracle>,
    /// The groups of each user, by tenant and user.
    pub groups: RefCell<BTreeMap<(usize, usize), Vec<String>>>,
    /// Batches whose responses arrived, with the index of their tenant.
    pub batches: RefCell<Vec<(usize, String)>>,
    /// The statistics of the run.
    pub counts: RefCell<Counts>,
    pub(crate) stream: RefCell<Stream>,
    pub(crate) phones: Vec<Mutex<Phone>>,
    late: RefCell<Vec<JoinHandle<()>>>,
    pub(crate) consumers: RefCell<Vec<JoinHandle<()>>>,
    pub(crate) is_down_until: Cell<Option<Instant>>,
    pub(crate) is_resting: Cell<bool>,
    /// Numbers of undecodable records that were delivered, and that the function processed.
    pub(crate) poisoned: Cell<[usize; 2]>,
    /// Whether a channel may be reset in this phase without a violation: a month has passed, or the
    /// tables were restored.
    pub may_reset: Cell<bool>,
    /// Whether the stream lost records since the last repair.
    pub(crate) needs_repair: Cell<bool>,
    /// A copy of the tables, with the state of the oracle at that time.
    pub(crate) copy: RefCell<Option<(TableSnapshot, Oracle)>>,
    trace: Option<RefCell<Vec<String>>>,
    began: Instant,
}

impl World {
    /// Creates the world of a plan.
    pub fn new(plan: Plan, is_traced: bool) -> Rc<Self> {
        let faults = Arc::new(FaultProfile::of(plan.seed, &plan.without));
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

        Rc::new(Self {
            cloud: Cloud::new(faults),
            oracle: RefCell::default(),
            groups: RefCell::new(groups),
            batches: RefCell::default(),
            counts: RefCell::default(),
            stream: RefCell::new(Stream::new(plan.seed)),
            phones,
            late: RefCell::default(),
            consumers: RefCell::default(),
            is_down_until: Cell::new(None),
            is_resting: Cell::new(false),
            poisoned: Cell::new([0, 0]),
            may_reset: Cell::new(false),
            needs_repair: Cell::new(false),
            copy: RefCell::default(),
            trace: is_traced.then(RefCell::default),
            began: Instant::now(),
            plan,
        })
    }

    /// Performs all phases of the plan.
    pub async fn run(self: &Rc<Self>) {
        for phase in 0..PHASES {
            self.restore().await;
            self.go_back(phase).await;
            self.is_resting.set(false);
            self.cloud.faults.calm(false);
            self.consume();

            let steps = self.plan.steps.iter().filter(|step| step.phase == phase);
            let mut actors: BTreeMap<Actor, Vec<&Step>> = BTreeMap::new();
            steps.for_each(|step| actors.entry(step.actor).or_default().push(step));

            let began = Instant::now();
            join_all(actors.into_values().map(async |steps| {
                for step in steps {
                    sleep_until(began + Duration::from_millis(step.at_ms)).await;
                    if self.is_over() {
                        return;
                    }
                    self.note(|| step.to_string());
                    self.act(step).await;
                }
            }))
            .await;

            self.rest(phase).await;
            if self.is_over() {
                return;
            }
        }
    }

    /// Restores devices from their backups between two phases. They pull before they do anything
    /// else.
    async fn go_back(self: &Rc<Self>, phase: u64) {
        let mut rng = rng(&[self.plan.seed, 10, phase]);
        for phone in &self.phones {
            let mut phone = phone.lock().await;
            if std::mem::take(&mut phone.goes_back) {
                phone.go_back(self);
                phone.finish_pulling(self, &mut rng).await;
            }
        }
    }

    /// Returns whether an invariant is violated, which ends the run.
    pub fn is_over(&self) -> bool {
        self.oracle.borrow().violation.is_some()
    }

    /// Appends a line to the trace if tracing is on.
    pub fn note(&self, line: impl FnOnce() -> String) {
        if let Some(trace) = &self.trace {
            let at = self.began.elapsed().as_millis();
            trace
                .borrow_mut()
                .push(format!("{:>9.3} s  {}", at as f64 / 1000.0, line()));
        }
    }

    /// Takes the lines of the trace.
    pub fn into_trace(&self) -> Vec<String> {
        self.trace.as_ref().map(RefCell::take).unwrap_or_default()
    }

    async fn act(self: &Rc<Self>, step: &Step) {
        let mut rng = rng(&[self.plan.seed, 6, step.id]);
        match (step.actor, step.what) {
            (Actor::Phone(number), what) => {
                let mut phone = self.phones[number].lock().await;
                phone.act(self, step.id, what, &mut rng).await;
            }
            (Actor::Admin(tenant), What::Resolve) => {
                crate::admin::resolve(self, tenant, &mut rng).await
            }
            (Actor::Admin(tenant), _) => crate::admin::replay(self, tenant, &mut rng).await,
            (Actor::Operator, what) => self.operate(what, &mut rng).await,
        }
    }

    /// Returns the channels that a user may read.
    pub fn channels(&self, tenant: usize, user: usize) -> BTreeSet<String> {
        let groups = self.groups.borrow()[&(tenant, user)].clone();
        let own = ["tenant".to_owned(), format!("user/{}", USERS[user])];
        own.into_iter()
            .chain(groups.into_iter().map(|group| format!("group/{group}")))
            .collect()
    }

    /// Returns the owner of a device.
    pub fn owner(tenant: usize, user: usize, device_id: &str) -> Owner {
        Owner {
            tenant: TENANTS[tenant].to_owned(),
            user: USERS[user].to_owned(),
            device_id: device_id.to_owned(),
        }
    }
}
