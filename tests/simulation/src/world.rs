//! The world of a run: the deployment, the oracle, and the state that the actors share.

mod requests;

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::Arc,
};

use tokio::{task::JoinHandle, time::Instant};

use crate::{
    cloud::{Cloud, TableSnapshot},
    counts::Counts,
    fate::Owner,
    faults::FaultProfile,
    oracle::Oracle,
    plan::{Plan, TENANTS, USERS},
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
    pub(crate) late: RefCell<Vec<JoinHandle<()>>>,
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
    /// Creates the world of a plan, with the groups of each user by tenant and user.
    pub fn new(
        plan: Plan,
        groups: BTreeMap<(usize, usize), Vec<String>>,
        is_traced: bool,
    ) -> Rc<Self> {
        let faults = Arc::new(FaultProfile::of(plan.seed, &plan.without));

        Rc::new(Self {
            cloud: Cloud::new(faults),
            oracle: RefCell::default(),
            groups: RefCell::new(groups),
            batches: RefCell::default(),
            counts: RefCell::default(),
            stream: RefCell::new(Stream::new(plan.seed)),
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
