//! Ids that are derived from what they identify (§3.1, §5), so that a retry computes the same id
//! and no lookup table is needed.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use uuid::Uuid;

use crate::model::{
    channel::Channel,
    json, key,
    limits::is_name,
    principal::Author,
    resource::{EditId, ResourceKey},
};

/// Returns the id of a create that names none, derived from (tenant, channel, user, device, type,
/// client_temp_id).
pub fn derived_resource(
    prefix: &str,
    tenant: &str,
    channel: &Channel,
    author: &Author,
    resource_type: &str,
    client_temp_id: &str,
) -> String {
    let parts = [
        "resource",
        tenant,
        &channel.to_string(),
        author.as_str(),
        resource_type,
        client_temp_id,
    ];

    format!("{prefix}-{}", derive(&parts).simple())
}

/// Returns whether `text` has the form of the ids that [`derived_resource`] returns for this
/// prefix.
pub fn is_derived(prefix: &str, text: &str) -> bool {
    let digits = text
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('-'));
    digits.is_some_and(|digits| {
        digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// Returns whether [`derived_resource`] may return `text` for some create: it has the form, and its
/// digits are a UUID of version 5, in upper or lower case. Ids that clients generate as random or
/// time-based UUIDs have other versions.
pub fn may_be_derived(prefix: &str, text: &str) -> bool {
    let uuid = text
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('-'))
        .and_then(|digits| Uuid::try_parse(digits).ok());
    is_derived(prefix, text)
        && uuid.is_some_and(|uuid| {
            uuid.get_version_num() == 5 && uuid.get_variant() == uuid::Variant::RFC4122
        })
}

/// The server's id of a batch. It contains user and device besides the unique part (§3.6), so that
/// a batch can be loaded by its id alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BatchId {
    /// The user who pushed the batch.
    pub user: String,
    /// The device that pushed the batch.
    pub device_id: String,
    /// Distinguishes the batches of a device: 32 hexadecimal digits.
    pub unique: String,
}

impl BatchId {
    /// Returns the id of a batch with a client `batch_id`: the same for each retry of the batch.
    pub fn derived(tenant: &str, user: &str, device_id: &str, batch_id: &str) -> Self {
        let author = Author::device(user, device_id);
        Self::fresh(
            user,
            device_id,
            derive(&["batch", tenant, author.as_str(), batch_id]),
        )
    }

    /// Returns the id of a batch without a client `batch_id`.
    pub fn fresh(user: &str, device_id: &str, unique: Uuid) -> Self {
        Self {
            user: user.to_owned(),
            device_id: device_id.to_owned(),
            unique: unique.simple().to_string(),
        }
    }

    /// Parses an id; returns `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let (author, unique) = text.strip_prefix("batch-")?.rsplit_once('-')?;
        let author = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(author).ok()?).ok()?;
        let [user, device_id] = key::split(&author)?;
        let is_unique = unique.len() == 32
            && unique
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase());
        (is_unique && is_name(&user) && is_name(&device_id)).then(|| Self {
            user,
            device_id,
            unique: unique.to_owned(),
        })
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let author = Author::device(&self.user, &self.device_id);
        write!(
            f,
            "batch-{}-{}",
            BASE64_URL_SAFE_NO_PAD.encode(author.as_str()),
            self.unique
        )
    }
}

/// The number of letters of each of the two hashes in a conflict id.
const HASH_LETTERS: usize = 16;

/// The id of a conflict: `conf-`, a hash of the device, a hash of the resource, `-` and the id of
/// the edit that opened it. A conflict can therefore be loaded by its id alone, and its id can be
/// computed from the edit that opens it.
///
/// Conflict ids of earlier builds have a single hash in place of the two, see
/// [`legacy_conflict_prefix`]; the form is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConflictId<'a> {
    /// Hash of tenant, user and device: 16 letters of URL-safe base64.
    pub device: &'a str,
    /// Hash of channel, type and id: 16 letters of URL-safe base64.
    pub resource: &'a str,
    /// The id of the edit that opened the conflict: 16 hexadecimal digits.
    pub edit: &'a str,
}

impl<'a> ConflictId<'a> {
    /// Splits an id into its parts; returns `None` for any other text.
    pub fn parse(text: &'a str) -> Option<Self> {
        let rest = text.strip_prefix("conf-")?;
        let is_hash = |part: &str| {
            part.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };

        let (device, rest) = rest.split_at_checked(HASH_LETTERS)?;
        let (resource, rest) = rest.split_at_checked(HASH_LETTERS)?;
        let edit = rest.strip_prefix('-')?;
        let is_edit = edit.len() == 16 && edit.bytes().all(|byte| byte.is_ascii_hexdigit());

        (is_edit && is_hash(device) && is_hash(resource)).then_some(Self {
            device,
            resource,
            edit,
        })
    }
}

/// Returns the hash of a device in the ids of its conflicts.
pub fn conflict_device(tenant: &str, author: &Author) -> String {
    short_hash(&["device", tenant, author.as_str()])
}

/// Returns the hash of a resource in the ids of its conflicts.
pub fn conflict_resource(resource: &ResourceKey) -> String {
    short_hash(&[
        "resource",
        &resource.channel.to_string(),
        &resource.resource_type,
        &resource.id,
    ])
}

/// Returns the id of the conflict that an edit opens.
pub fn conflict(tenant: &str, resource: &ResourceKey, author: &Author, edit: EditId) -> String {
    format!(
        "conf-{}{}-{:016x}",
        conflict_device(tenant, author),
        conflict_resource(resource),
        edit.0
    )
}

/// Returns the prefix of the ids that earlier builds gave to all conflicts of one device about one
/// resource; the 16 hexadecimal digits of the opening edit follow.
pub fn legacy_conflict_prefix(tenant: &str, resource: &ResourceKey, author: &Author) -> String {
    let parts = [
        "conflict",
        tenant,
        &resource.channel.to_string(),
        &resource.resource_type,
        &resource.id,
        author.as_str(),
    ];
    format!("conf-{}-", derive(&parts).simple())
}

/// Returns whether `text` has the form of a conflict id.
pub fn is_conflict(text: &str) -> bool {
    ConflictId::parse(text).is_some()
}

/// Returns 96 bits of a digest over the parts, so that no other parts with the same hash can be
/// found.
fn short_hash(parts: &[&str]) -> String {
    let digest = json::digest(parts);
    BASE64_URL_SAFE_NO_PAD.encode(&digest[..HASH_LETTERS * 6 / 8])
}

/// Returns a name-based UUID over the parts, which are delimited unambiguously.
fn derive(parts: &[&str]) -> Uuid {
    let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
    Uuid::new_v5(&Uuid::NAMESPACE_OID, &json::digest(&parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batch_id_survives_encoding() {
        let id = BatchId::derived("acme", "ana#b%", "phone-ü", "17");
        assert_eq!(BatchId::parse(&id.to_string()), Some(id));

        for text in [
            "",
            "batch-",
            "batch--",
            "batch-YQ-0",
            "conf-1",
            "batch-YQ-00000000000000000000000000000000",
        ] {
            assert_eq!(BatchId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn derived_ids_are_recognized() {
        let derived = derived_resource(
            "m",
            "acme",
            &Channel::Tenant,
            &Author::device("ana", "phone"),
            "meter",
            "tmp-1",
        );

        assert!(
            may_be_derived("m", &derived)
                && may_be_derived("m", &derived.to_uppercase().replacen('M', "m", 1))
        );

        let other_version = |digit: char| format!("{}{digit}{}", &derived[..14], &derived[15..]);
        assert_eq!(other_version('5'), derived);

        for text in [
            &other_version('4'),
            &other_version('7'),
            &derived[1..],
            &derived[..derived.len() - 1],
            &format!("{derived}0"),
            &format!("x-{derived}"),
            "m-17",
        ] {
            assert!(!may_be_derived("m", text), "{text}");
        }

        assert!(!may_be_derived("n", &derived));
    }

    #[test]
    fn only_texts_in_conflict_id_form_match() {
        let key = ResourceKey {
            channel: Channel::Tenant,
            resource_type: "meter".into(),
            id: "m".into(),
        };

        let phone = Author::device("ana", "phone");
        let id = conflict("acme", &key, &phone, EditId(7));

        let parts = ConflictId::parse(&id).expect("an id");
        assert_eq!(
            (parts.device, parts.edit),
            (conflict_device("acme", &phone).as_str(), "0000000000000007")
        );

        assert_eq!(parts.resource, conflict_resource(&key));
        assert!(is_conflict(&format!(
            "{}{:016x}",
            legacy_conflict_prefix("acme", &key, &phone),
            7
        )));

        for text in [
            "",
            "conf-",
            &id[1..],
            &id[..id.len() - 1],
            &format!("part#{id}#server-1"),
            &format!("{id}#"),
        ] {
            assert!(!is_conflict(text), "{text}");
        }
    }
}
