//! Edits: valid items of a push (§3.3), and the sender of a batch.

use crate::model::{
    catalog::Catalog,
    edit::Action,
    json::Json,
    principal::{Author, Principal},
    resource::{EditId, ResourceKey},
};

/// The sender of a batch, and the catalog that applies to it.
#[derive(Debug, Clone, Copy)]
pub struct Sender<'a> {
    /// The authenticated caller of the request.
    pub principal: &'a Principal,
    /// The device id that the client sent.
    pub device_id: &'a str,
    /// The author under which rows record the device.
    pub author: &'a Author,
    /// The resource types of the deployment.
    pub catalog: &'a Catalog,
    /// Whether an admin replays the batch (§7). The device has dropped the batch, so a replayed
    /// edit is a new change for it.
    pub is_replay: bool,
}

/// A valid edit that can be decided.
#[derive(Debug, Clone)]
pub struct Edit {
    /// The index of the item in the batch.
    pub index: usize,
    /// The `client_temp_id` as sent.
    pub client_temp_id: Option<String>,
    /// The kind of change that the edit makes.
    pub action: Action,
    /// The content of a create or the patch of an update, without `id`.
    pub payload: Json,
    /// Identifies the edit among all edits of its resource (§3.3).
    pub id: EditId,
    /// Digest of the canonical payload. The row of a created resource stores it.
    pub digest: [u8; 16],
    /// The `client_version` as sent (§3.3).
    pub client_version: u64,
    /// The `base_version` as sent (§3.3).
    pub base_version: Option<u64>,
    /// For an update: the values that the fields of the patch had in the device's base, if the
    /// device sent them (§5.1). They are no part of the edit's identity.
    pub was: Option<Json>,
    /// The fields of the payload whose text may be a temp id.
    pub references: Vec<Reference>,
    /// The media keys that the payload names.
    pub media: Vec<String>,
    /// Whether references in the payload were replaced, so that the stored payload differs from the
    /// one sent.
    pub is_rewritten: bool,
    /// Whether the edit is a create that requests an id which may be derived for another device's
    /// create (§3.1).
    pub takes_derived_id: bool,
}

/// A field whose text may be a temp id.
#[derive(Debug, Clone)]
pub struct Reference {
    /// The name of the field in the payload.
    pub field: String,
    /// The temp id that the text of the field may be.
    pub temp_id: TempId,
    /// Indexes of the creates with this temp id that come before the item. There may be several,
    /// because a later create may correct an earlier one.
    pub before: Vec<usize>,
    /// Indexes of the creates with this temp id that come after the item. Empty if any comes before
    /// it.
    pub after: Vec<usize>,
    /// The keys under which a create of an earlier batch may have created its resource; the first
    /// that exists is used. Empty if a valid create before the item has the temp id, because that
    /// create finds the resource.
    pub earlier: Vec<ResourceKey>,
}

/// A create of the batch that other items may refer to by its temp id.
#[derive(Debug, Clone)]
pub struct Create {
    /// The temp id that the create defines.
    pub temp_id: TempId,
    /// The index of the item in the batch.
    pub index: usize,
    /// Whether the create is a valid edit that can be decided.
    pub(super) is_sound: bool,
    /// Whether the create requests an explicit id. Later batches cannot refer to it by its temp id
    /// then.
    pub(super) is_named: bool,
}

/// A device's name for a resource whose id it does not know yet.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TempId {
    /// The type of the named resource.
    pub resource_type: String,
    /// The `client_temp_id` of the create, 1 to 256 bytes.
    pub name: String,
}
