// The device `phone` of the user `ana` in the tenant `acme`, for the examples in the documentation
// of the crate, which include this file. It uses only the public interface.

use serde_json::{Value, json, value::to_raw_value};
use tidemark_core::{
    model::{
        catalog::Catalog,
        channel::Channel,
        conflict::{Conflict, ConflictEdit, ConflictSlot},
        edit::{Action, SentItem},
        json::{Json, payload_digest},
        principal::{Author, Principal},
        resource::{Creation, EditId, Resource, ResourceKey, Run},
        result::ItemCode,
    },
    rules::push::{
        edit::Sender,
        intake::{self, Intake},
    },
    wire::push::read_item,
};

/// Meters have the unique field `code` and the media field `photo`, readings refer to a meter, and
/// tasks merge by field.
const CATALOG: &str = "
[meter]
channel = 'tenant'
id_prefix = 'm'
unique = ['code']
media = ['photo']

[reading]
channel = 'tenant'
id_prefix = 'r'
references = { meter = 'meter' }

[task]
channel = 'tenant'
id_prefix = 't'
policy = 'field_merge'
";

pub struct Phone {
    pub catalog: Catalog,
    pub principal: Principal,
    pub author: Author,
}

impl Phone {
    pub fn new() -> Self {
        Self {
            catalog: Catalog::parse(CATALOG).unwrap(),
            principal: Principal {
                tenant: "acme".into(),
                user: "ana".into(),
                roles: vec![],
                groups: vec!["north".into()],
            },
            author: Author::device("ana", "phone"),
        }
    }

    pub fn sender(&self) -> Sender<'_> {
        Sender {
            principal: &self.principal,
            device_id: "phone",
            author: &self.author,
            catalog: &self.catalog,
            is_replay: false,
        }
    }

    /// Returns the edits of a batch of these items.
    pub fn batch<const N: usize>(&self, items: [Value; N]) -> Intake {
        intake::read(sent(items), self.sender())
    }
}

/// Returns items as the phone sends them. The default of `resource_type` is `meter`, and that of
/// `client_version` is 0.
pub fn sent<const N: usize>(items: [Value; N]) -> Vec<SentItem> {
    let item = |members: Value| {
        let mut item = json!({"resource_type": "meter", "client_version": 0});
        for (name, value) in members.as_object().unwrap() {
            item[name] = value.clone();
        }
        read_item(&to_raw_value(&item).unwrap())
    };
    items.map(item).into()
}

pub fn raw(text: &str) -> Json {
    serde_json::from_str(text).unwrap()
}

/// Returns the key of the meter with this id.
pub fn meter(id: &str) -> ResourceKey {
    ResourceKey {
        channel: Channel::Tenant,
        resource_type: "meter".into(),
        id: id.into(),
    }
}

/// Returns version 1 of a resource, which the device `tablet` of the user `ben` created.
pub fn stored(payload: &str) -> Resource {
    let author = Author::device("ben", "tablet");
    let run = Run {
        author: author.clone(),
        began: 1,
        client_version_max: 0,
        echo_to_author: false,
    };
    let creation = Creation {
        author,
        client_temp_id: None,
        digest: payload_digest(&raw(payload)),
    };
    Resource::new(raw(payload), Default::default(), run, creation)
}

/// Returns an open conflict about the meter `m-1`, with an update that the phone made.
pub fn conflict(patch: &str) -> Conflict {
    Conflict {
        id: "conf-1".into(),
        slot: ConflictSlot::First,
        resource: meter("m-1"),
        user: "ana".into(),
        device_id: "phone".into(),
        detected_at: Default::default(),
        code: ItemCode::VersionMismatch,
        server_payload: None,
        server_version: 1,
        server_deleted: false,
        edits: vec![ConflictEdit {
            id: EditId(1),
            action: Action::Update,
            payload: raw(patch),
            client_version: 0,
            base_version: Some(0),
            was: None,
        }],
        outcome: None,
    }
}
