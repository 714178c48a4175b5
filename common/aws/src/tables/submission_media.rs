//! `submission_media`: tenant#channel#type#id / media key. Which verified upload belongs to which
//! resource. A row is written before the resource that names the upload, so that no crash leaves an
//! upload unnoted; writing it again says the same.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde::Serialize;
use tidemark_core::{
    channel::Scope, key, media::Upload, principal::Principal, protocol::timestamp,
    push::media::Claim, resource::ResourceKey,
};

use super::{Table, key as row_key, text};
use crate::failure::Failure;

/// The table of verified uploads.
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
    /// Which of these uploads were verified for their resources of `tenant` before.
    ///
    /// # Errors
    /// An outage.
    pub async fn noted(&self, tenant: &str, claims: Vec<Claim>) -> Result<HashSet<Claim>, Failure> {
        let place = |(resource, media): &Claim| (partition(tenant, resource), media.clone());
        let by_place: HashMap<(String, String), Claim> = claims
            .into_iter()
            .map(|claim| (place(&claim), claim))
            .collect();
        let keys = by_place
            .keys()
            .map(|(pk, sk)| row_key(pk, sk.as_str()))
            .collect();
        // Strongly consistently: another user's key is rejected for good where its row is not
        // visible yet.
        let rows = self.0.batch_get(keys).await?;
        let place = |row| Some((text(row, "pk")?.to_owned(), text(row, "sk")?.to_owned()));
        Ok(rows
            .iter()
            .filter_map(|row| by_place.get(&place(row)?).cloned())
            .collect())
    }

    /// Notes `upload`, named by `resource` of `scope` and verified at `now`, as pushed `by` that
    /// user with that device. Unconditional: whoever writes it again has verified it again.
    ///
    /// # Errors
    /// An outage.
    pub async fn put(
        &self,
        scope: &Scope,
        resource: &ResourceKey,
        upload: &Upload,
        by: &Principal,
        device_id: &str,
        now: DateTime<Utc>,
    ) -> Result<(), Failure> {
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
            .map_err(|error| Failure::outage("put_item on submission_media", error))
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
