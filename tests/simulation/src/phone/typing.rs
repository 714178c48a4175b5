//! The user of a device, who makes random edits of what the device displays.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tidemark_client::{Action, Edit, EditContent, ResourceId, ResourceName};

use super::Phone;
use crate::{
    edits::{item, mark, shown},
    fate::{Fate, Screen},
    plan::{GROUPS, TENANTS, USERS, WorldPlan},
    world::World,
};

impl Phone {
    /// Makes one random edit.
    pub(super) fn type_one(&mut self, world: &World, number: u64, rng: &mut fastrand::Rng) {
        let plan = &world.plan.world;
        let resource_type = plan.types[rng.usize(0..plan.types.len())];
        let Some(channel) = self.channel(world, resource_type, rng) else {
            return;
        };
        let known = self.known_resources(&channel, resource_type);

        let (action, name) = match random_action(plan, &known, rng) {
            Action::Create => {
                let name = ResourceName {
                    channel,
                    resource_type: resource_type.to_owned(),
                    id: new_id(plan, resource_type, &known, number, rng),
                };
                (Action::Create, name)
            }
            action => (action, known[rng.usize(0..known.len())].clone()),
        };

        let payload = self
            .retyped_value(world, action, &name, rng)
            .unwrap_or_else(|| self.payload(resource_type, action, number, rng));
        if action == Action::Create && name.id.is_temp() && resource_type == "meter" {
            self.made.push(name.id.as_str().to_owned());
        }

        let is_of_undone =
            self.undone.contains(&name.channel) || self.is_above_undone(world, &name);
        let screen = self.screen(world, &name);
        let payload = payload.to_string();
        let content = match action {
            Action::Create => EditContent::Create(&payload),
            Action::Update => EditContent::Update(&payload),
            Action::Delete => EditContent::Delete,
        };
        let edit = self.client.enqueue_edit(number, name, content).unwrap();
        self.record(world, edit, screen, is_of_undone);
    }

    /// Returns the resources that the user may edit: those of the type in the channel that the
    /// device displays or creates, unless a delete is pending.
    fn known_resources(&self, channel: &str, resource_type: &str) -> Vec<ResourceName> {
        let is_here =
            |name: &ResourceName| name.channel == channel && name.resource_type == resource_type;
        let waiting = self
            .client
            .waiting()
            .filter(|edit| edit.action() == Action::Create)
            .map(|edit| edit.name().clone());
        let mut known: Vec<ResourceName> = shown(&self.client)
            .into_keys()
            .chain(waiting)
            .filter(is_here)
            .collect();
        known.dedup();

        let is_going = |name: &ResourceName| {
            self.client
                .waiting()
                .any(|edit| edit.action() == Action::Delete && *edit.name() == *name)
        };
        known.retain(|name| !is_going(name));
        known
    }

    /// Returns whether a pending edit of the resource was made on a state that a restore of the
    /// server has undone. The screen shows that edit, so a further one has the same base.
    fn is_above_undone(&self, world: &World, name: &ResourceName) -> bool {
        let oracle = world.oracle.borrow();
        self.client
            .waiting()
            .filter(|edit| *edit.name() == *name)
            .any(|edit| {
                let fate = oracle.fates.get(&edit.number());
                fate.is_some_and(|fate| fate.is_of_undone)
            })
    }

    /// Registers an edit with the oracle, in the statistics and in the trace.
    fn record(&self, world: &World, edit: Edit, screen: Screen, is_of_undone: bool) {
        let number = edit.number();
        world.counts.borrow_mut().edits += 1;
        world.note(|| {
            format!(
                "        {} types {number}: {}",
                self.client.device_id(),
                edit.item()
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

    /// Returns the payload of an update that enters a displayed value again. Most updates do not.
    fn retyped_value(
        &self,
        world: &World,
        action: Action,
        name: &ResourceName,
        rng: &mut fastrand::Rng,
    ) -> Option<Value> {
        if action != Action::Update || rng.u32(0..8) != 0 {
            return None;
        }
        let (field, value) = self.shown_value(name, rng)?;
        world.oracle.borrow_mut().retyped.insert(value.clone());
        Some(json!({ field: value }))
    }

    /// Returns a field that the device displays of a resource, with its value.
    fn shown_value(
        &self,
        name: &ResourceName,
        rng: &mut fastrand::Rng,
    ) -> Option<(String, String)> {
        let payload: Value =
            serde_json::from_str(self.client.copies().get(name)?.payload.as_ref()?.get()).unwrap();
        let text = |field: &str| Some((field.to_owned(), payload[field].as_str()?.to_owned()));
        let fields: Vec<_> = ["a", "b", "c"].into_iter().filter_map(text).collect();
        (!fields.is_empty()).then(|| fields[rng.usize(0..fields.len())].clone())
    }

    /// Returns what the user sees of a resource: the copy with the pending edits on top.
    fn screen(&self, world: &World, name: &ResourceName) -> Screen {
        let copy = self.client.copies().get(name).map_or(0, |copy| copy.base);
        let oracle = world.oracle.borrow();
        let mut waiting = self.client.waiting_for(name);
        let first = waiting
            .next()
            .and_then(|first| Some((first, &oracle.fates.get(&first.number())?.screen)));
        let Some((first, below)) = first else {
            return Screen {
                seen: copy,
                copy,
                covered: Some(BTreeSet::new()),
            };
        };

        let mut covered = Some(BTreeSet::new());
        for edit in std::iter::once(first).chain(waiting) {
            let item = item(edit);
            let fields = item["payload"]
                .as_object()
                .filter(|_| edit.action() == Action::Update);
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

    /// Returns a channel of the resource type, sometimes one that the user may not write.
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

    /// Returns the random payload of an edit, with the edit's mark.
    fn payload(
        &self,
        resource_type: &str,
        action: Action,
        number: u64,
        rng: &mut fastrand::Rng,
    ) -> Value {
        if action == Action::Delete {
            return json!({});
        }

        let mut payload = json!({ mark(number): true });
        for field in ["c", "a", "b"] {
            match rng.u32(0..10) {
                0..5 => {
                    payload[field] =
                        format!("{number} {} {}", TENANTS[self.tenant], USERS[self.user]).into()
                }
                5 if action == Action::Update => payload[field] = Value::Null,
                _ => {}
            }
        }

        let is_create = action == Action::Create;
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
}

/// Returns a random action: a create if there is nothing to edit.
fn random_action(plan: &WorldPlan, known: &[ResourceName], rng: &mut fastrand::Rng) -> Action {
    let creates_percent = if plan.is_hot { 5 } else { 20 };
    if known.is_empty() || rng.u32(0..100) < creates_percent {
        Action::Create
    } else if rng.u32(0..100) < 5 {
        Action::Delete
    } else {
        Action::Update
    }
}

/// Returns the id of a create: an id that other devices request as well, or the edit's temp id.
fn new_id(
    plan: &WorldPlan,
    resource_type: &str,
    known: &[ResourceName],
    number: u64,
    rng: &mut fastrand::Rng,
) -> ResourceId {
    let asked = format!("{}-{}", &resource_type[..1], rng.u64(0..plan.names));
    let is_taken = known.iter().any(|name| name.id.as_str() == asked);
    if rng.u32(0..3) > 0 && !is_taken {
        ResourceId::Server(asked)
    } else {
        ResourceId::Temp(format!("tmp-{number}"))
    }
}
