//! A device in the world: the client, its user's claims, and its part in what goes wrong.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use serde_json::{Value, json};
use tidemark_core::protocol::{
    pull::PullResponse,
    push::{ItemCode, PushResponse, Status},
};
use tokio::time::sleep;

use crate::{
    client::{Client, Edit, Name, is_temp_id, mark},
    cloud::{ApiResponse, Request},
    fate::{Fate, Owner, ReportedResult, Screen},
    faults::Fault,
    plan::{GROUPS, TENANTS, USERS, What},
    world::World,
};

/// Times a device tries something when nothing goes wrong any more.
const TRIES_MAX: u32 = 40;

/// A device.
pub struct Phone {
    /// Its tenant.
    pub tenant: usize,
    /// Its user.
    pub user: usize,
    /// What it stores.
    pub client: Client,
    jwt: Option<(Vec<String>, String)>,
    /// A position it could acknowledge out of turn.
    old_position: Option<String>,
    /// Its creates that the server named.
    made: Vec<String>,
    /// Whether anybody uses it: the clone of a device is there once it was made.
    pub is_on: bool,
    /// A copy of everything that it stores.
    pub backup: Option<Client>,
    /// Whether it goes back to its backup when the next phase begins, having acknowledged all that
    /// it has pulled. A device that does not ask for its own changes gets only those back that are
    /// not beyond the page with what it acknowledged.
    pub goes_back: bool,
    /// Edits whose last result says that they wait for another item.
    deferred: BTreeSet<u64>,
}

impl Phone {
    /// A device that has never synced.
    pub fn new(number: usize, tenant: usize, user: usize, rng: &mut fastrand::Rng) -> Self {
        let is_documented = rng.bool();
        let client = Client {
            device_id: format!("phone-{number}"),
            tells_base: is_documented || rng.u32(0..5) > 0,
            takes_push_token: is_documented || rng.u32(0..3) == 0,
            names_batches: is_documented || rng.u32(0..3) > 0,
            is_documented,
            ..Client::default()
        };
        Self::with(tenant, user, client)
    }

    /// A new device of a user.
    pub fn fresh(tenant: usize, user: usize) -> Self {
        Self::with(
            tenant,
            user,
            Client {
                device_id: "fresh".into(),
                ..Client::default()
            },
        )
    }

    fn with(tenant: usize, user: usize, client: Client) -> Self {
        let (jwt, old_position, made, backup, deferred) =
            (None, None, Vec::new(), None, BTreeSet::new());
        Self {
            tenant,
            user,
            client,
            jwt,
            old_position,
            made,
            backup,
            is_on: true,
            goes_back: false,
            deferred,
        }
    }

    /// The place for the clone of this device.
    pub fn clone_place(&self) -> Self {
        Self {
            is_on: false,
            ..Self::with(self.tenant, self.user, Client::default())
        }
    }

    /// Whose it is.
    pub fn owner(&self) -> Owner {
        World::owner(self.tenant, self.user, &self.client.device_id)
    }

    /// Acknowledges all that it has pulled.
    pub async fn ack_all(&mut self, world: &Rc<World>, rng: &mut fastrand::Rng) {
        self.old_position.clone_from(&self.client.token);
        self.ack(world, rng).await;
    }

    /// Does a step.
    pub async fn act(&mut self, world: &Rc<World>, step: u64, what: What, rng: &mut fastrand::Rng) {
        if !self.is_on {
            return;
        }
        match what {
            What::RestoreDevice if self.backup.is_none() => self.backup = Some(self.client.clone()),
            What::Backup => self.backup = Some(self.client.clone()),
            What::RestoreDevice if world.cloud.faults.is_on(Fault::RestoredDevice) => {
                if self.client.is_documented {
                    self.go_back(world)
                } else {
                    self.goes_back = true
                }
            }
            What::Clone
                if world.cloud.faults.is_on(Fault::ClonedDevice) && self.client.is_documented =>
            {
                let mut clone = world.phones[world.phones.len() - 1].lock().await;
                if !clone.is_on {
                    world.cloud.faults.count(Fault::ClonedDevice);
                    (clone.is_on, clone.client) = (true, self.client.clone());
                    world.oracle.borrow_mut().cloned.insert(self.owner());
                }
            }
            What::RestoreDevice | What::Clone => {}
            What::Type(edits) => {
                (0..edits).for_each(|at| self.type_one(world, step * 100 + at, rng))
            }
            What::Push => {
                if self.client.sent.is_some() {
                    self.restart(world, rng).await;
                }
                for _ in 0..rng.u32(1..4) {
                    // An app that is killed does not try again before it is started the next time.
                    if self.push(world, rng).await
                        || (world.cloud.faults.is_on(Fault::Restarted) && rng.u32(0..3) > 0)
                    {
                        break;
                    }
                    sleep(Duration::from_millis(rng.u64(100..2_000))).await;
                }
            }
            What::Pull(pages, limit) => drop(self.pull(world, pages, limit, rng).await),
            _ => self.ack(world, rng).await,
        }
    }

    /// Everything that the device stores is what it was when it was backed up.
    pub fn go_back(&mut self, world: &World) {
        let Some(backup) = self.backup.clone() else {
            return;
        };
        world.cloud.faults.count(Fault::RestoredDevice);
        let kept: BTreeSet<u64> = backup.waiting().map(|edit| edit.number).collect();
        let lost = self
            .client
            .waiting()
            .map(|edit| edit.number)
            .filter(|number| !kept.contains(number));
        world.oracle.borrow_mut().lost_with_device(lost);
        self.client = backup;
        (self.jwt, self.old_position) = (None, None);
        // What its token says may be older than what the log keeps.
        world
            .may_reset
            .set(world.may_reset.get() || !world.cloud.jumped().is_zero());
    }

    /// Between a push without an answer and its repetition the app may be killed. It keeps what it
    /// has stored, and pulls before it pushes again; or it has lost its batch, and keeps only its
    /// queue.
    async fn restart(&mut self, world: &Rc<World>, rng: &mut fastrand::Rng) {
        let faults = &world.cloud.faults;
        if faults.is_on(Fault::Rebatched) && rng.u32(0..3) == 0 {
            faults.count(Fault::Rebatched);
            self.client.forget_batch();
        }
        if faults.is_on(Fault::Restarted) && rng.bool() {
            faults.count(Fault::Restarted);
            (self.jwt, self.old_position) = (None, None);
            self.pull(world, 5, 100, rng).await;
        }
    }

    // ------------------------------------------------------------------------------------------------------------ typing

    /// The user types something.
    fn type_one(&mut self, world: &World, number: u64, rng: &mut fastrand::Rng) {
        let types = &world.plan.world.types;
        let resource_type = types[rng.usize(0..types.len())];
        let Some(channel) = self.channel(world, resource_type, rng) else {
            return;
        };
        let is_here = |name: &Name| name.channel == channel && name.resource_type == resource_type;
        let waiting = self
            .client
            .waiting()
            .filter(|edit| edit.action() == "create")
            .map(|edit| edit.name.clone());
        let mut known: Vec<Name> = self
            .client
            .shown()
            .into_keys()
            .chain(waiting)
            .filter(is_here)
            .collect();
        known.dedup();
        let is_going = |name: &Name| {
            self.client
                .waiting()
                .any(|edit| edit.action() == "delete" && edit.name == *name)
        };
        known.retain(|name| !is_going(name));
        let initial = resource_type[..1].to_owned();
        let is_create =
            known.is_empty() || rng.u32(0..100) < if world.plan.world.is_hot { 5 } else { 20 };
        let (action, name) = if is_create {
            let asked = format!("{initial}-{}", rng.u64(0..world.plan.world.names));
            let is_taken = known.iter().any(|name| name.id == asked);
            let id = if rng.u32(0..3) > 0 && !is_taken {
                asked
            } else {
                format!("tmp-{number}")
            };
            (
                "create",
                Name {
                    channel,
                    resource_type: resource_type.to_owned(),
                    id,
                },
            )
        } else {
            let action = if rng.u32(0..100) < 5 {
                "delete"
            } else {
                "update"
            };
            (action, known[rng.usize(0..known.len())].clone())
        };
        let shown = if action == "update" && rng.u32(0..8) == 0 {
            self.shown_value(&name, rng)
        } else {
            None
        };
        let payload = match shown {
            Some((field, value)) => {
                world.oracle.borrow_mut().retyped.insert(value.clone());
                json!({ field: value })
            }
            None => self.payload(resource_type, action, number, rng),
        };
        if action == "create" && is_temp_id(&name.id) && resource_type == "meter" {
            self.made.push(name.id.clone());
        }
        let is_of_undone = self.client.undone.contains(&name.channel);
        let screen = self.screen(world, &name);
        let edit = self.client.type_edit(number, name, action, payload);
        world.counts.borrow_mut().edits += 1;
        world.note(|| {
            format!(
                "        {} types {number}: {}",
                self.client.device_id, edit.item
            )
        });
        let fate = Fate {
            edit,
            owner: self.owner(),
            told: None,
            is_forgotten: false,
            is_of_undone,
            screen,
            is_lost: false,
        };
        world.oracle.borrow_mut().fates.insert(number, fate);
    }

    /// A field that the device shows of a resource, with its value.
    fn shown_value(&self, name: &Name, rng: &mut fastrand::Rng) -> Option<(String, String)> {
        let payload: Value =
            serde_json::from_str(self.client.copies.get(name)?.payload.as_ref()?).unwrap();
        let text = |field: &str| Some((field.to_owned(), payload[field].as_str()?.to_owned()));
        let fields: Vec<_> = ["a", "b", "c"].into_iter().filter_map(text).collect();
        (!fields.is_empty()).then(|| fields[rng.usize(0..fields.len())].clone())
    }

    /// What the user is shown of a resource: the copy, and the edits that wait on top of it.
    fn screen(&self, world: &World, name: &Name) -> Screen {
        let copy = self.client.copies.get(name).map_or(0, |copy| copy.base);
        let oracle = world.oracle.borrow();
        let mut waiting = self.client.waiting_for(name);
        let first = waiting
            .next()
            .and_then(|first| Some((first, &oracle.fates.get(&first.number)?.screen)));
        let Some((first, below)) = first else {
            return Screen {
                seen: copy,
                copy,
                covered: Some(BTreeSet::new()),
            };
        };
        let mut covered = Some(BTreeSet::new());
        for edit in std::iter::once(first).chain(waiting) {
            let fields = edit.item["payload"]
                .as_object()
                .filter(|_| edit.action() == "update");
            covered = covered.zip(fields).map(|(mut covered, fields)| {
                covered.extend(fields.keys().cloned());
                covered
            });
        }
        Screen {
            seen: below.seen,
            copy,
            covered,
        }
    }

    fn channel(
        &self,
        world: &World,
        resource_type: &str,
        rng: &mut fastrand::Rng,
    ) -> Option<String> {
        Some(match resource_type {
            "submission" => format!("user/{}", USERS[self.user]),
            "task" => {
                let groups = world.groups.borrow();
                let own = &groups[&(self.tenant, self.user)];
                let is_lost = own.is_empty() || rng.u32(0..20) == 0;
                let group = if is_lost {
                    GROUPS[rng.usize(0..2)]
                } else {
                    &own[rng.usize(0..own.len())]
                };
                format!("group/{group}")
            }
            _ => "tenant".to_owned(),
        })
    }

    fn payload(
        &self,
        resource_type: &str,
        action: &str,
        number: u64,
        rng: &mut fastrand::Rng,
    ) -> Value {
        if action == "delete" {
            return json!({});
        }
        let mut payload = json!({ mark(number): true });
        for field in ["c", "a", "b"] {
            match rng.u32(0..10) {
                0..5 => {
                    payload[field] =
                        format!("{number} {} {}", TENANTS[self.tenant], USERS[self.user]).into()
                }
                5 if action == "update" => payload[field] = Value::Null,
                _ => {}
            }
        }
        let is_create = action == "create";
        match resource_type {
            "submission" if is_create => {
                (payload["form_id"], payload["data"]) = (json!("form"), json!({"at": 1.0}))
            }
            "meter" if rng.u32(0..10) < if is_create { 6 } else { 2 } => {
                payload["code"] = format!("code-{}", rng.u32(0..3)).into()
            }
            "task" if !self.made.is_empty() && rng.u32(0..3) == 0 => {
                payload["meter_id"] = self.made[rng.usize(0..self.made.len())].clone().into();
            }
            _ => {}
        }
        payload
    }

    // ----------------------------------------------------------------------------------------------------------- syncing

    /// Sends one batch once; whether there is nothing more to send.
    async fn push(&mut self, world: &Rc<World>, rng: &mut fastrand::Rng) -> bool {
        let most = rng.usize(1..51);
        let Some(sent) = self.client.batch(most, rng.u64(..)).cloned() else {
            return true;
        };
        let body = self.client.push_body(&sent);
        world.note(|| {
            let marks: Vec<String> = sent
                .edits
                .iter()
                .map(|edit| edit.number.to_string())
                .collect();
            format!(
                "        {} pushes {} as {:?}",
                self.client.device_id,
                marks.join(" "),
                sent.batch_id
            )
        });
        world.take_in();
        let stood = world.oracle.borrow().versions(&self.owner().tenant);
        let Some(response) = self.post(world, "sync/push", &body, rng).await else {
            return false;
        };
        if response.status != 200 {
            self.check_rejection(world, "push", &response);
            return false;
        }
        let response: PushResponse = response.read();
        world
            .batches
            .borrow_mut()
            .push((self.tenant, response.batch_id.clone()));
        world.take_in();
        for (edit, result) in sent.edits.iter().zip(&response.results) {
            world.counts.borrow_mut().responses[result.status as usize] += 1;
            let told = ReportedResult {
                status: result.status,
                server_version: result.server_version,
                conflict_id: result.conflict_id.clone(),
                is_decided: result.resolution.is_some(),
                is_for_value: result.code == Some(ItemCode::UniqueViolation),
                batch_id: response.batch_id.clone(),
            };
            if result.code == Some(ItemCode::DependsOnFailedItem) && result.is_retryable() {
                self.deferred.insert(edit.number);
            } else {
                self.deferred.remove(&edit.number);
            }
            let mut oracle = world.oracle.borrow_mut();
            oracle.answered(&stood, &edit.name, result);
            // Once the user has left the group, what became of an edit before is not told any more.
            let was_told = oracle
                .fates
                .get(&edit.number)
                .is_some_and(|fate| fate.told.is_some());
            if !(was_told && result.code == Some(ItemCode::ChannelForbidden)) {
                oracle.told(edit.number, told);
            }
        }
        self.client.answered(&response);
        self.client.queue.is_empty()
    }

    /// Pulls pages; whether there is no more.
    async fn pull(
        &mut self,
        world: &Rc<World>,
        pages: u32,
        limit: u64,
        rng: &mut fastrand::Rng,
    ) -> bool {
        for _ in 0..pages {
            let channels = world.channels(self.tenant, self.user);
            world.take_in();
            let due = world.oracle.borrow().due();
            let body = self.client.pull_body(limit);
            let Some(response) = self.post(world, "sync/pull", &body, rng).await else {
                return false;
            };
            if response.status != 200 {
                self.check_rejection(world, "pull", &response);
                return false;
            }
            let page: PullResponse = response.read();
            world.take_in();
            world.counts.borrow_mut().pages += 1;
            let known = self.client.pulled_channels();
            let over: Vec<&String> = page
                .reset
                .iter()
                .filter(|channel| known.contains(*channel))
                .collect();
            if !over.is_empty() && !world.may_reset.get() {
                let what = format!(
                    "{:?} has to start {over:?} over, and nothing was lost",
                    self.owner()
                );
                world.oracle.borrow_mut().violated(2, what);
            }
            world.counts.borrow_mut().resets += over.len() as u64;
            let is_done = !page.has_more;
            self.old_position = self
                .client
                .token
                .clone()
                .filter(|_| rng.bool())
                .or(self.old_position.take());
            self.client.apply(page);
            if let Some((groups, _)) = &self.jwt {
                self.client.drop_unpulled(groups);
            }
            let owner = self.owner();
            if channels == world.channels(self.tenant, self.user) {
                world
                    .oracle
                    .borrow_mut()
                    .holds(&owner, &self.client, &channels);
                if is_done {
                    world
                        .oracle
                        .borrow_mut()
                        .pulled(&due, &owner, &self.client, &channels);
                }
            }
            if is_done {
                return true;
            }
        }
        false
    }

    async fn ack(&mut self, world: &Rc<World>, rng: &mut fastrand::Rng) {
        let position = if rng.u32(0..3) == 0 {
            self.old_position.clone()
        } else {
            self.client.token.clone()
        };
        let Some(position) = position else { return };
        let body = json!({"ack_token": position, "device_id": self.client.device_id});
        let response = self.post(world, "sync/ack", &body, rng).await;
        if let Some(response) = response.filter(|response| response.status != 200) {
            self.check_rejection(world, "ack", &response);
        }
        let devices = world.cloud.rows("devices");
        world.oracle.borrow_mut().acknowledged(&devices);
    }

    /// The device tries again later after these, and after nothing else.
    fn check_rejection(&mut self, world: &World, what: &str, response: &ApiResponse) {
        match response.status {
            401 => self.jwt = None,
            502 | 503 => {}
            _ => world.oracle.borrow_mut().violated(
                6,
                format!(
                    "a {what} of {:?} was refused: {}",
                    self.owner(),
                    response.text
                ),
            ),
        }
    }

    async fn post(
        &mut self,
        world: &Rc<World>,
        path: &str,
        body: &Value,
        rng: &mut fastrand::Rng,
    ) -> Option<ApiResponse> {
        let groups = world.groups.borrow()[&(self.tenant, self.user)].clone();
        let is_expired = world.cloud.faults.strikes(Fault::ExpiredToken, rng);
        let token = match &self.jwt {
            _ if is_expired => "expired".to_owned(),
            Some((of, token)) if *of == groups => token.clone(),
            _ => {
                let token = world
                    .cloud
                    .token(TENANTS[self.tenant], USERS[self.user], &[], &groups);
                self.jwt.insert((groups, token)).1.clone()
            }
        };
        let request = Request {
            method: "POST",
            path: path.to_owned(),
            token,
            body: body.to_string(),
        };
        world.ask(request, rng).await
    }

    // -------------------------------------------------------------------------------------------------------------- rest

    /// Pushes until the queue is empty: nothing goes wrong any more.
    pub async fn finish_pushing(&mut self, world: &Rc<World>, rng: &mut fastrand::Rng) {
        for _ in 0..TRIES_MAX {
            if world.is_over() || self.push(world, rng).await || self.waits_for_admin(world) {
                return;
            }
            sleep(Duration::from_millis(300)).await;
        }
        let left: BTreeMap<u64, Value> = self
            .client
            .waiting()
            .map(|edit| (edit.number, edit.item.clone()))
            .collect();
        let what = format!("{:?} cannot get rid of its queue: {left:?}", self.owner());
        world.oracle.borrow_mut().violated(6, what);
    }

    /// Whether every edit that is left waits for an admin: it refers to a create of this device
    /// that is part of an open conflict, or follows such an edit on its resource (§3.10).
    fn waits_for_admin(&self, world: &World) -> bool {
        let oracle = world.oracle.borrow();
        let owner = self.owner();
        let is_rejected = |temp_id: &str| {
            let creates = oracle
                .fates
                .values()
                .filter(|fate| fate.owner == owner && fate.edit.action() == "create");
            creates
                .filter(|fate| fate.edit.name.id == temp_id)
                .any(|fate| {
                    fate.told
                        .as_ref()
                        .is_some_and(|told| told.status == Status::Conflict && !told.is_decided)
                })
        };
        let refers = |edit: &Edit| {
            edit.item["payload"]["meter_id"]
                .as_str()
                .is_some_and(is_rejected)
        };
        let held: BTreeSet<&Name> = self
            .client
            .waiting()
            .filter(|edit| refers(edit))
            .map(|edit| &edit.name)
            .collect();
        self.client
            .waiting()
            .all(|edit| self.deferred.contains(&edit.number) && held.contains(&edit.name))
    }

    /// Pulls until there is no more.
    pub async fn finish_pulling(&mut self, world: &Rc<World>, rng: &mut fastrand::Rng) {
        for _ in 0..TRIES_MAX * 10 {
            if world.is_over() || self.pull(world, 1, 100, rng).await {
                return;
            }
            sleep(Duration::from_millis(300)).await;
        }
        let what = format!("{:?} pulls, and there is always more", self.owner());
        world.oracle.borrow_mut().violated(2, what);
    }
}
