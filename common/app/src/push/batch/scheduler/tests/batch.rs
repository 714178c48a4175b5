//! Batches of creates of meters, whose field `code` is unique, and a run of the scheduler that
//! decides every group as applied.

use std::collections::BTreeMap;

use serde_json::{json, value::to_raw_value};
use tidemark_core::{
    model::{
        catalog::{Catalog, DefaultChannel, Policy, ResourceType},
        channel::Channel,
        edit::Action,
        json,
        principal::{Author, Principal},
        resource::{EditId, ResourceKey},
        result::{ItemCode, ItemResult},
    },
    rules::{
        push::{
            decision::Decision,
            edit::{Edit, Reference, Sender, TempId},
            group::{CarriedState, Group, Item},
            references::EarlierCreates,
        },
        unique::UniqueKey,
    },
};

use crate::push::batch::{commit::Outcome, decide::DecidedGroup, rows::Rows, scheduler::Scheduler};

/// The sender of the batches.
pub(super) struct Fixture {
    catalog: Catalog,
    principal: Principal,
    author: Author,
}

impl Default for Fixture {
    fn default() -> Self {
        let meter = ResourceType {
            channel: DefaultChannel::Tenant,
            id_prefix: "m".to_owned(),
            required: Vec::new(),
            unique: vec!["code".to_owned()],
            unique_ignores_empty: false,
            media: Vec::new(),
            references: BTreeMap::new(),
            policy: Policy::Manual,
        };

        Self {
            catalog: Catalog::new(BTreeMap::from([("meter".to_owned(), meter)])).unwrap(),
            principal: Principal {
                tenant: "acme".to_owned(),
                user: "ana".to_owned(),
                roles: Vec::new(),
                groups: Vec::new(),
            },
            author: Author::device("ana", "phone"),
        }
    }
}

impl Fixture {
    pub(super) fn sender(&self) -> Sender<'_> {
        Sender {
            principal: &self.principal,
            device_id: "phone",
            author: &self.author,
            catalog: &self.catalog,
            is_replay: false,
        }
    }
}

/// Returns the key of a meter.
pub(super) fn key(id: &str) -> ResourceKey {
    ResourceKey {
        channel: Channel::Tenant,
        resource_type: "meter".to_owned(),
        id: id.to_owned(),
    }
}

/// Returns the unique key of a code.
pub(super) fn value(code: &str) -> UniqueKey {
    UniqueKey {
        tenant: "acme".to_owned(),
        resource_type: "meter".to_owned(),
        field: "code".to_owned(),
        value: json::hex(&json::digest([json!(code).to_string().as_bytes()])),
    }
}

/// Returns a group with one create, which claims `code`.
pub(super) fn create(index: usize, id: &str, code: &str) -> Group {
    let edit = Edit {
        index,
        client_temp_id: None,
        action: Action::Create,
        payload: to_raw_value(&json!({ "code": code })).unwrap(),
        id: EditId(index as u64),
        digest: [0; 16],
        client_version: 0,
        base_version: None,
        was: None,
        references: Vec::new(),
        media: Vec::new(),
        is_rewritten: false,
        takes_derived_id: false,
    };

    Group {
        key: key(id),
        items: vec![Item::Edit(edit)],
        carried: CarriedState::default(),
    }
}

/// Adds a reference to the create at the index `create` to the first item of the group.
pub(super) fn referring(mut group: Group, create: usize) -> Group {
    if let Some(Item::Edit(edit)) = group.items.first_mut() {
        edit.references.push(Reference {
            field: "parent".to_owned(),
            temp_id: TempId {
                resource_type: "meter".to_owned(),
                name: format!("temp-{create}"),
            },
            before: vec![create],
            after: Vec::new(),
            earlier: Vec::new(),
        });
    }
    group
}

/// Returns the results of the group's edits if all are applied.
pub(super) fn ok(group: &Group) -> impl Iterator<Item = ItemResult> {
    group
        .edits()
        .map(|edit| ItemResult::ok(edit.index, None, group.key.id.clone(), Some(1)))
}

/// The rounds of a batch.
pub(super) struct Run<'a> {
    pub(super) scheduler: Scheduler<'a>,
    pub(super) results: BTreeMap<usize, ItemResult>,
    rows: Rows,
}

impl<'a> Run<'a> {
    pub(super) fn new(fixture: &'a Fixture, groups: Vec<Group>) -> Self {
        let results = BTreeMap::new();
        let earlier = EarlierCreates::default();
        Self {
            scheduler: Scheduler::new(groups, earlier, fixture.sender(), &results),
            results,
            rows: Rows::default(),
        }
    }

    /// Returns the groups of the next round, each decided as applied.
    pub(super) fn next(&mut self) -> Vec<DecidedGroup> {
        let groups = self.scheduler.next_round(&self.rows, &mut self.results);
        let decide = |group: Group| DecidedGroup {
            decision: Decision {
                results: ok(&group).collect(),
                ..Decision::default()
            },
            group,
            row: None,
        };
        groups.unwrap().into_iter().map(decide).collect()
    }

    pub(super) fn apply(
        &mut self,
        round: Vec<DecidedGroup>,
        outcomes: impl IntoIterator<Item = Outcome>,
    ) {
        let outcomes = outcomes.into_iter().collect();
        self.scheduler
            .apply_outcomes(round, outcomes, &mut self.rows, &mut self.results);
    }

    /// Returns whether every item has a result.
    pub(super) fn is_done(&mut self) -> bool {
        let next = self.scheduler.next_round(&self.rows, &mut self.results);
        next.map(|groups| self.scheduler.defer(groups)).is_none()
    }

    pub(super) fn code(&self, index: usize) -> Option<ItemCode> {
        self.results.get(&index)?.code
    }
}

/// Returns the ids of the groups' resources.
pub(super) fn names(round: &[DecidedGroup]) -> Vec<&str> {
    let ids = round.iter().map(|decided| decided.group.key.id.as_str());
    ids.collect()
}
