//! The request to resolve several conflicts in the same way (§5.2), and its response.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::{
    model::{
        conflict::ConflictStatus,
        json::Fields,
        limits::BULK_CONFLICTS_MAX,
        resolution::Resolution,
        resolve::{
            BulkResolveCommand, BulkResolveStatus, RequestedResolution, ResolveCommand,
            ReviewedConflict,
        },
    },
    wire::{
        deserialize_name,
        number::deserialize_whole,
        problem::{Problem, RejectedBody},
        text,
    },
};

use super::{ResolveResponse, command::choice, deserialize_note};

/// A request to resolve several conflicts, each in a transaction of its own.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BulkResolveRequest {
    /// The conflicts, 1 to 25, each with another id. They are resolved in this order.
    pub conflicts: Vec<BulkResolveItem>,
    /// The way to resolve the conflicts: any but `manual_merge`.
    #[serde(with = "text")]
    pub resolution: RequestedResolution,
    /// The picks for `field_pick`, as in a request for one conflict.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub fields: Option<Fields>,
    /// Returns what would happen without writing anything. Default: false.
    #[serde(default)]
    pub dry_run: Option<bool>,
    /// The reason, for the audit log; at most 2,000 characters.
    #[serde(default, deserialize_with = "deserialize_note")]
    pub note: Option<String>,
}

/// A conflict of a bulk request.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BulkResolveItem {
    /// The id of the conflict, at most 256 bytes.
    #[serde(deserialize_with = "deserialize_name")]
    pub id: String,
    /// The version of the resource that the admin reviewed; 0 if there was no resource.
    #[serde(deserialize_with = "deserialize_whole::<_, 0, { u64::MAX }>")]
    pub expected_server_version: u64,
}

/// The response to a bulk request.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BulkResolveResponse {
    /// The id of the request, which the audit log entries of its resolutions contain.
    pub bulk_id: String,
    /// Whether the request was a dry run, which writes nothing.
    pub dry_run: bool,
    /// One result for each conflict, in the order of the request.
    pub results: Vec<BulkResolveResult>,
}

/// The result of a bulk request for one conflict.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BulkResolveResult {
    /// The id of the conflict.
    pub id: String,
    /// Whether the conflict is resolved.
    #[serde(with = "text")]
    pub status: BulkResolveStatus,
    /// The way in which the conflict was or would be resolved.
    #[serde(skip_serializing_if = "Option::is_none", with = "text::option")]
    pub resolution: Option<Resolution>,
    /// The version that the resolution made or would make; 0 if there is no resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_version: Option<u64>,
    /// The reason why the conflict cannot be resolved as requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<RejectedBody>,
}

impl TryFrom<BulkResolveRequest> for BulkResolveCommand {
    type Error = Problem;

    /// Reads the command of a request.
    ///
    /// # Errors
    /// Returns a [`Problem`] at `conflicts` if their number is not allowed, at the second of two
    /// equal ids, at `resolution` if it is `manual_merge`, and at `fields` as for one conflict.
    fn try_from(request: BulkResolveRequest) -> Result<Self, Problem> {
        let BulkResolveRequest {
            conflicts,
            resolution,
            fields,
            dry_run,
            note,
        } = request;

        if !(1..=BULK_CONFLICTS_MAX).contains(&conflicts.len()) {
            let detail = format!("must contain 1 to {BULK_CONFLICTS_MAX} conflicts");
            return Err(Problem::malformed("conflicts", detail));
        }
        let mut ids = HashSet::new();
        if let Some(index) = conflicts.iter().position(|item| !ids.insert(&item.id)) {
            let path = format!("conflicts[{index}].id");
            return Err(Problem::malformed(path, "must not be in the list twice"));
        }
        if resolution == RequestedResolution::ManualMerge {
            let detail = "manual_merge stores one payload: resolve each conflict by itself";
            return Err(Problem::malformed("resolution", detail));
        }

        let reviewed = |item: BulkResolveItem| ReviewedConflict {
            id: item.id,
            expected_server_version: item.expected_server_version,
        };
        Ok(Self {
            conflicts: conflicts.into_iter().map(reviewed).collect(),
            command: ResolveCommand {
                choice: choice(resolution, None, fields)?,
                expected_server_version: None,
                note,
            },
            is_dry_run: dry_run.unwrap_or_default(),
        })
    }
}

impl BulkResolveResult {
    /// Returns the result of a conflict that was or, in a dry run, would be resolved.
    pub fn resolved(response: ResolveResponse) -> Self {
        let is_open = response.status == ConflictStatus::Open;
        Self {
            id: response.id,
            status: match is_open {
                true => BulkResolveStatus::Open,
                false => BulkResolveStatus::Resolved,
            },
            resolution: Some(response.resolution),
            server_version: Some(response.server_version),
            problem: None,
        }
    }

    /// Returns the result of a conflict that cannot be resolved as requested. The problem has no
    /// `server_payload`, so that the size of a response is bounded.
    pub fn rejected(id: String, mut problem: Problem) -> Self {
        problem
            .members
            .retain(|(name, _)| *name != "server_payload");
        Self {
            problem: Some(problem.into()),
            ..Self::of(id, BulkResolveStatus::Rejected)
        }
    }

    /// Returns the result of a conflict that was not processed.
    pub const fn deferred(id: String) -> Self {
        Self::of(id, BulkResolveStatus::Deferred)
    }

    const fn of(id: String, status: BulkResolveStatus) -> Self {
        Self {
            id,
            status,
            resolution: None,
            server_version: None,
            problem: None,
        }
    }
}
