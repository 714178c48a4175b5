//! Conversion between audit entries and their stored form.

use tidemark_core::model::audit::{AuditEntry, RunsAs, WrittenResource};

use super::{StoredEntry, StoredResource, StoredRunsAs};

impl From<AuditEntry> for StoredEntry {
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
            runs_as: entry.runs_as.map(Into::into),
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

impl From<StoredEntry> for AuditEntry {
    fn from(entry: StoredEntry) -> Self {
        Self {
            id: entry.id,
            at: entry.at,
            action: entry.action,
            by: entry.by,
            via: entry.via,
            user: entry.user,
            device_id: entry.device_id,
            batch_id: entry.batch_id,
            runs_as: entry.runs_as.map(Into::into),
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

impl From<RunsAs> for StoredRunsAs {
    fn from(claims: RunsAs) -> Self {
        Self {
            user: claims.user,
            roles: claims.roles,
            groups: claims.groups,
        }
    }
}

impl From<StoredRunsAs> for RunsAs {
    fn from(claims: StoredRunsAs) -> Self {
        Self {
            user: claims.user,
            roles: claims.roles,
            groups: claims.groups,
        }
    }
}

impl From<WrittenResource> for StoredResource {
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

impl From<StoredResource> for WrittenResource {
    fn from(resource: StoredResource) -> Self {
        Self {
            channel: resource.channel,
            resource_type: resource.resource_type,
            resource_id: resource.resource_id,
            server_version: resource.server_version,
            deleted: resource.deleted,
        }
    }
}
