//! Conversion between audit entries and their stored form.

use tidemark_core::model::audit::{AuditEntry, RunsAs, WrittenResource};

use super::{StoredEntry, StoredResource, StoredRunsAs};

impl From<AuditEntry> for StoredEntry {
    fn from(entry: AuditEntry) -> Self {
        let AuditEntry {
            id,
            at,
            action,
            by,
            via,
            user,
            device_id,
            batch_id,
            bulk_id,
            runs_as,
            resources,
            conflict_id,
            channel,
            resource_type,
            resource_id,
            resolution,
            note,
            before,
            after,
        } = entry;
        Self {
            id,
            at,
            action,
            by,
            via,
            user,
            device_id,
            batch_id,
            bulk_id,
            runs_as: runs_as.map(Into::into),
            resources: resources.into_iter().map(Into::into).collect(),
            conflict_id,
            channel,
            resource_type,
            resource_id,
            resolution,
            note,
            before,
            after,
        }
    }
}

impl From<StoredEntry> for AuditEntry {
    fn from(entry: StoredEntry) -> Self {
        let StoredEntry {
            id,
            at,
            action,
            by,
            via,
            user,
            device_id,
            batch_id,
            bulk_id,
            runs_as,
            resources,
            conflict_id,
            channel,
            resource_type,
            resource_id,
            resolution,
            note,
            before,
            after,
        } = entry;
        Self {
            id,
            at,
            action,
            by,
            via,
            user,
            device_id,
            batch_id,
            bulk_id,
            runs_as: runs_as.map(Into::into),
            resources: resources.into_iter().map(Into::into).collect(),
            conflict_id,
            channel,
            resource_type,
            resource_id,
            resolution,
            note,
            before,
            after,
        }
    }
}

impl From<RunsAs> for StoredRunsAs {
    fn from(claims: RunsAs) -> Self {
        let RunsAs {
            user,
            roles,
            groups,
        } = claims;
        Self {
            user,
            roles,
            groups,
        }
    }
}

impl From<StoredRunsAs> for RunsAs {
    fn from(claims: StoredRunsAs) -> Self {
        let StoredRunsAs {
            user,
            roles,
            groups,
        } = claims;
        Self {
            user,
            roles,
            groups,
        }
    }
}

impl From<WrittenResource> for StoredResource {
    fn from(resource: WrittenResource) -> Self {
        let WrittenResource {
            channel,
            resource_type,
            resource_id,
            server_version,
            deleted,
        } = resource;
        Self {
            channel,
            resource_type,
            resource_id,
            server_version,
            deleted,
        }
    }
}

impl From<StoredResource> for WrittenResource {
    fn from(resource: StoredResource) -> Self {
        let StoredResource {
            channel,
            resource_type,
            resource_id,
            server_version,
            deleted,
        } = resource;
        Self {
            channel,
            resource_type,
            resource_id,
            server_version,
            deleted,
        }
    }
}
