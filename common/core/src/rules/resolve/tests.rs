//! Tests of the rules of §5, with the conflicts, resources and commands that they share.

mod content;
mod missing;
mod picked;
mod recorded;
mod rejected;

use serde_json::value::RawValue;

use super::*;
use crate::model::{
    channel::Channel,
    conflict::{ConflictEdit, ConflictSlot},
    edit::Action,
    json::Json,
    principal::Author,
    resolution::{ConflictResolution, Resolution},
    resource::{Creation, EditId, ResourceKey, Run},
    result::ItemCode,
};

const CATALOG: &str = "
[meter]
channel = 'tenant'
id_prefix = 'm'
required = ['code']
unique = ['code']

[task]
channel = 'tenant'
id_prefix = 't'
policy = 'field_merge'

[mark]
channel = 'tenant'
id_prefix = 'k'
policy = 'client_wins'
";

fn raw(text: &str) -> Json {
    RawValue::from_string(text.to_owned()).expect("test JSON")
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a moment")
}

fn edit(number: u64, action: Action, payload: &str) -> ConflictEdit {
    ConflictEdit {
        id: EditId(number),
        action,
        payload: raw(payload),
        client_version: number,
        base_version: None,
        was: None,
    }
}

fn conflict(resource_type: &str, edits: Vec<ConflictEdit>) -> Conflict {
    Conflict {
        id: "conf-1".into(),
        slot: ConflictSlot::default(),
        resource: ResourceKey {
            channel: Channel::Tenant,
            resource_type: resource_type.into(),
            id: "x".into(),
        },
        user: "ana".into(),
        device_id: "phone".into(),
        detected_at: now(),
        code: ItemCode::VersionMismatch,
        server_payload: None,
        server_version: 0,
        server_deleted: false,
        edits,
        outcome: None,
    }
}

fn existing(payload: &str, deleted: bool) -> Resource {
    let author = Author::device("ben", "tablet");
    Resource {
        payload: raw(payload),
        server_version: 7,
        deleted,
        changed_at: DateTime::UNIX_EPOCH,
        run: Run {
            author: author.clone(),
            began: 5,
            client_version_max: 9,
            echo_to_author: true,
        },
        creation: Creation {
            author,
            client_temp_id: Some("t".into()),
            digest: [3; 16],
        },
        edits: Default::default(),
        high_water_marks: Default::default(),
        resolutions: (1..=4).map(resolved).collect(),
        fields: Default::default(),
        kept: None,
    }
}

fn resolved(number: u64) -> ConflictResolution {
    ConflictResolution {
        id: format!("old-{number}"),
        resolution: Resolution::AcceptServer,
        server_version: number,
    }
}

fn command(choice: ResolveChoice) -> ResolveCommand {
    ResolveCommand {
        choice,
        expected_server_version: None,
        note: Some("because".into()),
    }
}

fn merge(payload: &str) -> ResolveCommand {
    command(ResolveChoice::manual_merge(raw(payload)))
}

fn try_decide(
    conflict: &Conflict,
    current: Option<&Resource>,
    command: &ResolveCommand,
) -> Result<ResolveOutcome, ResolveRejection> {
    let catalog = Catalog::parse(CATALOG).expect("catalog");
    let resolver = Resolver {
        tenant: "acme",
        by: "root",
        via: Via::Api,
        bulk_id: None,
        catalog: &catalog,
    };
    decide(
        conflict,
        current,
        command,
        resolver,
        "entry-1".into(),
        now(),
    )
}

fn planned(
    conflict: &Conflict,
    current: Option<&Resource>,
    command: &ResolveCommand,
) -> ResolvePlan {
    match try_decide(conflict, current, command).expect("no rejection") {
        ResolveOutcome::Resolve(plan) => *plan,
        ResolveOutcome::Before(outcome) => panic!("already resolved: {outcome:?}"),
    }
}

fn written(plan: &ResolvePlan) -> &Resource {
    &plan.write.as_ref().expect("a write").resource
}
