//! Reads the command in a request to resolve a conflict.

use crate::{
    model::{
        json::{Content, Json, JsonError, fields},
        limits::NESTING_MAX,
        resolution::Resolution,
        resolve::{ResolveChoice, ResolveCommand},
        result::ItemCode,
    },
    wire::{
        problem::{Problem, ProblemCode},
        resolve::ResolveRequest,
    },
};

impl TryFrom<ResolveRequest> for ResolveCommand {
    type Error = Problem;

    /// Reads the command of a request.
    ///
    /// # Errors
    /// Returns a [`Problem`] at `payload` if it is missing for a manual merge, present for another
    /// resolution, not an object, or nested too deeply.
    fn try_from(request: ResolveRequest) -> Result<Self, Problem> {
        let ResolveRequest {
            resolution,
            payload,
            expected_server_version,
            note,
        } = request;

        let choice = match (resolution, payload) {
            (Resolution::AcceptServer, None) => ResolveChoice::AcceptServer,
            (Resolution::AcceptClient, None) => ResolveChoice::AcceptClient,
            (Resolution::ManualMerge, Some(payload)) => {
                ResolveChoice::manual_merge(content(&payload)?)
            }
            (Resolution::ManualMerge, None) => {
                return Err(Problem::malformed(
                    "payload",
                    "missing: a manual_merge stores the payload it comes with",
                ));
            }
            (_, Some(_)) => {
                let detail = format!(
                    "{} takes no payload: send it with manual_merge",
                    resolution.as_str()
                );
                return Err(Problem::malformed("payload", detail));
            }
        };

        Ok(Self {
            choice,
            expected_server_version,
            note,
        })
    }
}

/// Returns the payload without its `id`, which is an address and not content.
fn content(payload: &Json) -> Result<Json, Problem> {
    let content = Content::read(payload, fields(payload)).map_err(|error| match error {
        JsonError::TooDeep => {
            let detail = format!("payload: nested more than {NESTING_MAX} levels deep");
            Problem::new(ProblemCode::Unprocessable, detail)
                .at("payload")
                .with("reason", &ItemCode::PayloadTooDeep.as_str())
        }
        JsonError::Malformed(_) | JsonError::NotAnObject => {
            Problem::malformed("payload", error.to_string())
        }
    })?;

    Ok(content.payload)
}

#[cfg(test)]
mod tests;
