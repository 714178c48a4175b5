//! A run: the actors of a plan, each doing its steps in turn, over one deployment.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;
use serde_json::Value;
use tokio::{
    sync::Mutex,
    task::JoinHandle,
    time::{Instant, sleep, sleep_until},
};

use crate::{
    cloud::{ApiResponse, Cloud, Request, TableSnapshot},
    counts::Counts,
    fate::Owner,
    faults::{Fault, FaultProfile, Invocation, rng},
    oracle::Oracle,
    phone::Phone,
    plan::{Actor, GROUPS, PHASES, Plan, Step, TENANTS, USERS, What},
    shards::Stream,
};

/// Everything there is in a run.
pub struct World {
    /// What it follows.
    pub plan: Plan,
    /// The system under test.
    pub cloud: Cloud,
    /// The model.
    pub oracle: RefCell<Oracle>,
    /// The groups of each user.
    pub groups: RefCell<BTreeMap<(usize, usize), Vec<String>>>,
    /// Batches that were answered, by tenant.
    pub batches: RefCell<Vec<(usize, String)>>,
    /// What was counted.
    pub counts: RefCell<Counts>,
    pub(crate) stream: RefCell<Stream>,
    pub(crate) phones: Vec<Mutex<Phone>>,
    late: RefCell<Vec<JoinHandle<()>>>,
    pub(crate) consumers: RefCell<Vec<JoinHandle<()>>>,
    pub(crate) is_down_until: Cell<Option<Instant>>,
    pub(crate) is_resting: Cell<bool>,
    /// Unreadable records that were delivered, and those of them that the function took.
    pub(crate) poisoned: Cell<[usize; 2]>,
    /// Whether a channel may start over in this phase without anything wrong: a month has passed,
    /// or the tables were restored.
    pub may_reset: Cell<bool>,
    /// Whether the stream forgot records since the last repair.
    pub(crate) needs_repair: Cell<bool>,
    /// A copy of the tables, and what the judge knew then.
    pub(crate) copy: RefCell<Option<(TableSnapshot, Oracle)>>,
    trace: Option<RefCell<Vec<String>>>,
    began: Instant,
}

impl World {
    /// The world of a plan.
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

    /// Makes the run.
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

    /// Devices that are restored from their backups between two phases; they pull before they do
    /// anything else.
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

    /// Whether a promise is broken: there is no need to go on.
    pub fn is_over(&self) -> bool {
        self.oracle.borrow().violation.is_some()
    }

    /// Adds a line to the trace, if there is one.
    pub fn note(&self, line: impl FnOnce() -> String) {
        if let Some(trace) = &self.trace {
            let at = self.began.elapsed().as_millis();
            trace
                .borrow_mut()
                .push(format!("{:>9.3} s  {}", at as f64 / 1000.0, line()));
        }
    }

    /// The trace.
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

    // ------------------------------------------------------------------------------------------------------- the network

    /// Sends a request; `None` where no answer comes.
    pub async fn ask(
        self: &Rc<Self>,
        request: Request,
        rng: &mut fastrand::Rng,
    ) -> Option<ApiResponse> {
        let faults = &self.cloud.faults;
        if faults.strikes(Fault::LostRequest, rng) {
            return None;
        }
        let note_doubled = || {
            if request.path == "sync/push" {
                self.oracle.borrow_mut().doubled(&request.body);
            }
        };
        if faults.strikes(Fault::LateRequest, rng) {
            note_doubled();
            let (world, request, mut rng) = (Rc::clone(self), request.clone(), rng.fork());
            let late = async move {
                sleep(Duration::from_millis(rng.u64(500..20_000))).await;
                world.note(|| format!("late: {} {}", request.method, noted(&request.path)));
                world.serve(&request, &mut rng).await;
            };
            self.late.borrow_mut().push(tokio::task::spawn_local(late));
        }
        // Of a batch without a name, one of two answers is as good as the other, and the device
        // hears one.
        let is_named = request.path != "sync/push" || request.body.contains("\"batch_id\"");
        let response = if is_named && faults.strikes(Fault::RepeatedRequest, rng) {
            note_doubled();
            let mut other = rng.fork();
            let (first, _) =
                tokio::join!(self.serve(&request, rng), self.serve(&request, &mut other));
            first
        } else {
            self.serve(&request, rng).await
        };
        response.filter(|_| !faults.strikes(Fault::LostResponse, rng))
    }

    async fn serve(&self, request: &Request, rng: &mut fastrand::Rng) -> Option<ApiResponse> {
        self.counts.borrow_mut().requests += 1;
        let invocation = Invocation::new(&self.cloud.faults, rng.fork());
        let response = self.cloud.serve(invocation, request).await;
        let (method, path) = (request.method, &request.path);
        match response {
            Err(panic) => {
                self.oracle.borrow_mut().violated(6, panic);
                None
            }
            Ok(response) if response.status == 500 => {
                self.oracle.borrow_mut().violated(
                    6,
                    format!("{method} {path} was answered 500: {}", response.text),
                );
                None
            }
            Ok(response) => {
                self.note(|| {
                    format!(
                        "        {method} {} → {} {}",
                        noted(path),
                        response.status,
                        shown(&response.text)
                    )
                });
                Some(response)
            }
        }
    }

    // -------------------------------------------------------------------------------------------------------------- rest

    /// Ends all faults, lets everybody finish, and judges.
    async fn rest(self: &Rc<Self>, phase: u64) {
        self.cloud.faults.calm(true);
        self.is_resting.set(true);
        self.note(|| "all faults end".to_owned());
        let late: Vec<JoinHandle<()>> = self.late.borrow_mut().drain(..).collect();
        for late in late {
            if late.await.is_err() {
                self.oracle
                    .borrow_mut()
                    .violated(6, "a request that came late panicked");
            }
        }
        let mut rng = rng(&[self.plan.seed, 8, phase]);
        for phone in &self.phones {
            let mut phone = phone.lock().await;
            if phone.client.sent.is_some() && rng.bool() {
                // An app that was killed pulls what others did in the meantime before it repeats
                // its batch.
                self.drain().await;
                phone.finish_pulling(self, &mut rng).await;
            }
            phone.finish_pushing(self, &mut rng).await;
        }
        if self.needs_repair.replace(false) {
            // What is younger than five minutes is left to the stream.
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

    async fn check(self: &Rc<Self>, rng: &mut fastrand::Rng) {
        let dead_letter = self.cloud.dead_letters.objects();
        let [delivered, passed] = self.poisoned.get();
        if !(passed..=delivered).contains(&dead_letter) {
            let what = format!(
                "{dead_letter} records were set aside: {delivered} could not be read, of which {passed} were taken"
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
        // A device that is new sees what the others see.
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

    /// The channels a user may read.
    pub fn channels(&self, tenant: usize, user: usize) -> BTreeSet<String> {
        let groups = self.groups.borrow()[&(tenant, user)].clone();
        let own = ["tenant".to_owned(), format!("user/{}", USERS[user])];
        own.into_iter()
            .chain(groups.into_iter().map(|group| format!("group/{group}")))
            .collect()
    }

    /// A device by who owns it.
    pub fn owner(tenant: usize, user: usize, device_id: &str) -> Owner {
        Owner {
            tenant: TENANTS[tenant].to_owned(),
            user: USERS[user].to_owned(),
            device_id: device_id.to_owned(),
        }
    }
}

/// A path as the trace has it: without the id of a batch, which is random where the device named
/// none.
fn noted(path: &str) -> String {
    match path
        .strip_prefix("batches/")
        .map(|rest| rest.split_once('/'))
    {
        Some(Some((_, what))) => format!("batches/…/{what}"),
        Some(None) => "batches/…".to_owned(),
        None => path.to_owned(),
    }
}

/// An answer in few words.
fn shown(text: &str) -> String {
    let body: Value = serde_json::from_str(text).unwrap_or_default();
    let word = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    let results = body["results"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|result| {
            let said = if result["code"].is_null() {
                &result["status"]
            } else {
                &result["code"]
            };
            format!(
                "{} {} v{}",
                word(&result["server_id"]),
                word(said),
                result["server_version"]
            )
        });
    let changes = body["changes"].as_array().into_iter().flatten();
    let changes =
        changes.map(|change| format!("{} v{}", word(&change["id"]), change["server_version"]));
    let mut words: Vec<String> = results.chain(changes).collect();
    for field in [
        "reset",
        "revoked",
        "has_more",
        "code",
        "server_version",
        "resolution",
    ] {
        words.extend(body.get(field).map(|value| format!("{field}={value}")));
    }
    words.join(", ")
}
