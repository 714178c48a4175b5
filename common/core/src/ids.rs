//! Ids that follow from what they name (§3.1, §5), so that a retry finds its first self and no lookup table is needed.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use uuid::Uuid;

use crate::{
    channel::Channel,
    json, key,
    limits::is_name,
    principal::Author,
    resource::{EditId, ResourceKey},
};

/// The id of a create that names none: derived from (tenant, channel, user, device, type, client_temp_id).
pub fn derived_resource(
    prefix: &str,
    tenant: &str,
    channel: &Channel,
    author: &Author,
    resource_type: &str,
    client_temp_id: &str,
) -> String {
    let parts = ["resource", tenant, &channel.to_string(), author.as_str(), resource_type, client_temp_id];
    format!("{prefix}-{}", derive(&parts).simple())
}

/// Whether `text` has the form of an id that [`derived_resource`] makes with this prefix.
pub fn is_derived(prefix: &str, text: &str) -> bool {
    let digits = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('-'));
    digits.is_some_and(|digits| digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The server's id of a batch. It names user and device besides what is unique (§3.6), so that a batch is found by its id alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchId {
    /// Whose.
    pub user: String,
    /// Which device's.
    pub device_id: String,
    /// Tells the batches of a device apart: 32 hexadecimal digits.
    pub unique: String,
}

impl BatchId {
    /// The id of a batch that came with the client's `batch_id`: the same whenever it comes again.
    pub fn derived(tenant: &str, user: &str, device_id: &str, batch_id: &str) -> Self {
        let author = Author::device(user, device_id);
        Self::fresh(user, device_id, derive(&["batch", tenant, author.as_str(), batch_id]))
    }

    /// The id of a batch that came without one.
    pub fn fresh(user: &str, device_id: &str, unique: Uuid) -> Self {
        Self { user: user.to_owned(), device_id: device_id.to_owned(), unique: unique.simple().to_string() }
    }

    /// Reads an id back; `None` for text that is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (author, unique) = text.strip_prefix("batch-")?.rsplit_once('-')?;
        let author = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(author).ok()?).ok()?;
        let [user, device_id] = key::split(&author)?;
        let is_unique = unique.len() == 32 && unique.bytes().all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase());
        (is_unique && is_name(&user) && is_name(&device_id)).then(|| Self { user, device_id, unique: unique.to_owned() })
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let author = Author::device(&self.user, &self.device_id);
        write!(f, "batch-{}-{}", BASE64_URL_SAFE_NO_PAD.encode(author.as_str()), self.unique)
    }
}

/// The id of the conflict that an edit opens.
pub fn conflict(tenant: &str, resource: &ResourceKey, author: &Author, edit: EditId) -> String {
    format!("{}{:016x}", conflict_prefix(tenant, resource, author), edit.0)
}

/// What the ids of all conflicts of one device about one resource begin with.
pub fn conflict_prefix(tenant: &str, resource: &ResourceKey, author: &Author) -> String {
    let parts = ["conflict", tenant, &resource.channel.to_string(), &resource.resource_type, &resource.id, author.as_str()];
    format!("conf-{}-", derive(&parts).simple())
}

/// Whether `text` may be the id of a conflict: `conf-`, 32 hexadecimal digits, `-` and 16 of the edit that opened it.
pub fn is_conflict(text: &str) -> bool {
    let parts = text.strip_prefix("conf-").and_then(|rest| rest.split_once('-'));
    let is_hex = |part: &str, digits| part.len() == digits && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    parts.is_some_and(|(about, edit)| is_hex(about, 32) && is_hex(edit, 16))
}

/// A name-based UUID over the parts, none of which can run into its neighbour.
fn derive(parts: &[&str]) -> Uuid {
    let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
    Uuid::new_v5(&Uuid::NAMESPACE_OID, &json::digest(&parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_found_by_its_id_alone() {
        let id = BatchId::derived("acme", "ana#b%", "phone-ü", "17");
        assert_eq!(BatchId::parse(&id.to_string()), Some(id));
        for text in ["", "batch-", "batch--", "batch-YQ-0", "conf-1", "batch-YQ-00000000000000000000000000000000"] {
            assert_eq!(BatchId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn only_what_could_be_a_conflicts_id_is_looked_up() {
        let key = ResourceKey { channel: Channel::Tenant, resource_type: "meter".into(), id: "m".into() };
        let id = format!("{}{:016x}", conflict_prefix("acme", &key, &Author::device("ana", "phone")), 7);
        assert!(is_conflict(&id), "{id}");
        for text in ["", "conf-", &id[1..], &id[..id.len() - 1], &format!("part#{id}#server-1"), &format!("{id}#")] {
            assert!(!is_conflict(text), "{text}");
        }
    }
}
