//! Reads the command in a request to resolve a conflict.

use crate::{
    model::{
        json::{Fields, Json},
        resolve::{RequestedResolution, ResolveChoice, ResolveCommand},
    },
    wire::{problem::Problem, resolve::ResolveRequest},
};

use super::{content::content, picks::read_picks};

impl TryFrom<ResolveRequest> for ResolveCommand {
    type Error = Problem;

    /// Reads the command of a request.
    ///
    /// # Errors
    /// Returns a [`Problem`] at `payload` or `fields` if the resolution needs it and it is missing
    /// or invalid, or if the resolution does not use it; and at `expected_server_version` if the
    /// resolution needs it and it is missing.
    fn try_from(request: ResolveRequest) -> Result<Self, Problem> {
        let ResolveRequest {
            resolution,
            payload,
            fields,
            expected_server_version,
            dry_run: _,
            note,
        } = request;

        if resolution == RequestedResolution::FieldPick && expected_server_version.is_none() {
            let detail = "missing: a field_pick contains the version that its picks refer to";
            return Err(Problem::malformed("expected_server_version", detail));
        }

        Ok(Self {
            choice: choice(resolution, payload, fields)?,
            expected_server_version,
            note,
        })
    }
}

/// Returns the choice with the `payload` or the `fields` that it uses.
pub(super) fn choice(
    resolution: RequestedResolution,
    payload: Option<Json>,
    fields: Option<Fields>,
) -> Result<ResolveChoice, Problem> {
    if payload.is_some() && resolution != RequestedResolution::ManualMerge {
        let detail = format!("{resolution} takes no payload: send it with manual_merge");
        return Err(Problem::malformed("payload", detail));
    }
    if fields.is_some() && resolution != RequestedResolution::FieldPick {
        let detail = format!("{resolution} takes no fields: send them with field_pick");
        return Err(Problem::malformed("fields", detail));
    }

    match resolution {
        RequestedResolution::AcceptServer => Ok(ResolveChoice::AcceptServer),
        RequestedResolution::AcceptClient => Ok(ResolveChoice::AcceptClient),
        RequestedResolution::ManualMerge => {
            let detail = "missing: a manual_merge stores the payload it comes with";
            let payload = payload.ok_or_else(|| Problem::malformed("payload", detail))?;
            let content = content(&payload, "payload")?;
            Ok(ResolveChoice::manual_merge(content.payload))
        }
        RequestedResolution::FieldPick => {
            let detail = "missing: a field_pick contains the picks of its fields";
            let fields = fields.ok_or_else(|| Problem::malformed("fields", detail))?;
            read_picks(&fields).map(ResolveChoice::FieldPick)
        }
    }
}

#[cfg(test)]
mod tests;
