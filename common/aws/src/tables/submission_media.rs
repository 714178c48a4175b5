//! `submission_media`: tenant#channel#type#id / media key. Which verified upload belongs to which resource. A row is written
//! before the resource that names the upload, so that no crash leaves an upload unnoted; writing it again says the same.

use chrono::{DateTime, Utc};
use serde::Serialize;
use tidemark_core::{channel::Scope, key, media::Upload, principal::Principal, protocol::timestamp, resource::ResourceKey};

use super::Table;
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
            pk: key::join([&scope.tenant, &channel, &resource.resource_type, &resource.id]),
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
        put.map(|_| ()).map_err(|error| Failure::outage("put_item on submission_media", error))
    }
}
