//! Conversion of audit entries to their form in a response.

use crate::{
    model::audit::{AuditEntry, WrittenResource},
    wire::batches::RunsAsBody,
};

use super::{AuditEntryBody, WrittenResourceBody};

impl From<AuditEntry> for AuditEntryBody {
    fn from(entry: AuditEntry) -> Self {
        Self {
            id: entry.id,
            at: entry.at,
            action: entry.action,
            by: entry.by,
            via: entry.via,
            user: entry.user,
            device_id: entry.device_id,
            batch_id: entry.batch_id,
            bulk_id: entry.bulk_id,
            runs_as: entry.runs_as.map(RunsAsBody::from),
            resources: entry.resources.into_iter().map(Into::into).collect(),
            conflict_id: entry.conflict_id,
            channel: entry.channel,
            resource_type: entry.resource_type,
            resource_id: entry.resource_id,
            resolution: entry.resolution,
            note: entry.note,
            before: entry.before,
            after: entry.after,
        }
    }
}

impl From<WrittenResource> for WrittenResourceBody {
    fn from(resource: WrittenResource) -> Self {
        Self {
            channel: resource.channel,
            resource_type: resource.resource_type,
            resource_id: resource.resource_id,
            server_version: resource.server_version,
            deleted: resource.deleted,
        }
    }
}
