//! `submission_media`: tenant#channel#type#id / media key. Which verified upload belongs to which resource. A row is written in one
//! transaction with the resource that names the upload; writing it again says the same.

use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use chrono::{DateTime, Utc};
use serde::Serialize;
use tidemark_core::{channel::Scope, key, media::Upload, principal::Principal, protocol::timestamp, resource::ResourceKey};

use super::{Table, to_row, transaction::transact_put};
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
    /// The part of a transaction that notes `upload`, named by `resource` of `scope` and verified at `now`, as pushed `by` that
    /// user with that device. Unconditional: whoever writes it again has verified it again.
    ///
    /// # Errors
    /// The row does not serialise, which none does.
    pub fn transact(
        &self,
        scope: &Scope,
        resource: &ResourceKey,
        upload: &Upload,
        by: &Principal,
        device_id: &str,
        now: DateTime<Utc>,
    ) -> Result<TransactWriteItem, Failure> {
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
        transact_put(Put::builder().table_name(&self.0.name).set_item(Some(to_row(&row)?)))
    }
}
