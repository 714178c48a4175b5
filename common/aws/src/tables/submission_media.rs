//! `submission_media`: tenant#channel#type#id / media key. The assignment of verified uploads to
//! resources. A row is written before the resource that refers to the upload, so that no crash
//! leaves a referenced upload unrecorded. The write is idempotent.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde::Serialize;
use tidemark_core::{
    model::{channel::Scope, key, principal::Principal, resource::ResourceKey, time::timestamp},
    rules::{media::Upload, push::media::MediaReference},
};

use super::{Table, key as row_key, text};
use crate::error::Error;

/// Client for the table `submission_media`.
#[derive(Debug, Clone)]
pub struct SubmissionMedia(pub(super) Table);

#[derive(Debug, Serialize)]
struct UploadRow<'a> {
    pk: String,
    sk: &'a str,
    key: &'a str,
    content_type: &'a str,
    content_length: u64,
    user: &'a str,
    device_id: &'a str,
    verified_at: String,
    resource_type: &'a str,
    resource_id: &'a str,
    channel: String,
}

impl SubmissionMedia {
    /// Returns the uploads that have already been verified for their resources of `tenant`.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable.
    pub async fn verified(
        &self,
        tenant: &str,
        references: Vec<MediaReference>,
    ) -> Result<HashSet<MediaReference>, Error> {
        let place = |reference: &MediaReference| {
            let MediaReference {
                resource,
                media_key,
            } = reference;
            (partition(tenant, resource), media_key.clone())
        };
        let by_place: HashMap<(String, String), MediaReference> = references
            .into_iter()
            .map(|reference| (place(&reference), reference))
            .collect();
        let keys = by_place
            .keys()
            .map(|(pk, sk)| row_key(pk, sk.as_str()))
            .collect();

        // The read is strongly consistent: another user's media key whose row is not visible yet
        // would be rejected permanently.
        let rows = self.0.batch_get(keys).await?;
        let place = |row| Some((text(row, "pk")?.to_owned(), text(row, "sk")?.to_owned()));
        Ok(rows
            .iter()
            .filter_map(|row| by_place.get(&place(row)?).cloned())
            .collect())
    }

    /// Records `upload`, which `resource` of `scope` refers to and which was verified at `now`, as
    /// pushed by the principal `by` with the device `device_id`. The put is unconditional, because
    /// each writer has verified the upload.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable.
    pub async fn put(
        &self,
        scope: &Scope,
        resource: &ResourceKey,
        upload: &Upload,
        by: &Principal,
        device_id: &str,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let channel = scope.channel.to_string();
        let row = UploadRow {
            pk: partition(&scope.tenant, resource),
            sk: &upload.key,
            key: &upload.key,
            content_type: &upload.content_type,
            content_length: upload.content_length,
            user: &by.user,
            device_id,
            verified_at: timestamp(now),
            resource_type: &resource.resource_type,
            resource_id: &resource.id,
            channel,
        };

        let put = self.0.put(&row)?.send().await;
        put.map(|_| ())
            .map_err(|error| Error::failed_call("put_item on submission_media", error))
    }
}

fn partition(tenant: &str, resource: &ResourceKey) -> String {
    key::join([
        tenant,
        &resource.channel.to_string(),
        &resource.resource_type,
        &resource.id,
    ])
}
