//! The command of an admin: parses the request, checks it against the bounds of §2, and compares it
//! with an earlier resolution.

use serde_json::value::RawValue;

use crate::{
    model::{
        conflict::{ConflictOutcome, Resolution},
        json::{self, Json, JsonError},
        limits::NESTING_MAX,
    },
    wire::{
        problem::{Problem, ProblemCode},
        push::ItemCode,
        resolve::ResolveRequest,
    },
};

/// The way in which a conflict is resolved.
#[derive(Debug, Clone)]
pub enum ResolveChoice {
    /// The server's content is kept.
    AcceptServer,
    /// The device's edits are applied to the server's content.
    AcceptClient,
    /// This payload replaces both contents.
    ManualMerge {
        /// The merged payload, without `id`.
        payload: Json,
        /// Digest of the payload's canonical text.
        digest: [u8; 16],
    },
}

/// A parsed request to resolve a conflict.
#[derive(Debug, Clone)]
pub struct ResolveCommand {
    /// The requested way to resolve the conflict.
    pub response: ResolveChoice,
    /// The version that the admin reviewed; 0 if there was no resource.
    pub expected_server_version: Option<u64>,
    /// The admin's note for the audit log.
    pub note: Option<String>,
}

impl ResolveCommand {
    /// Parses a resolve request.
    ///
    /// # Errors
    /// Returns a [`Problem`] at `payload` if it is missing for a manual merge, present for another
    /// resolution, not an object, or nested too deeply.
    pub fn read(request: ResolveRequest) -> Result<Self, Problem> {
        let ResolveRequest {
            resolution,
            payload,
            expected_server_version,
            note,
        } = request;

        let response = match (resolution, payload) {
            (Resolution::AcceptServer, None) => ResolveChoice::AcceptServer,
            (Resolution::AcceptClient, None) => ResolveChoice::AcceptClient,
            (Resolution::ManualMerge, Some(payload)) => {
                let payload = content(&payload)?;
                ResolveChoice::ManualMerge {
                    digest: payload_digest(&payload),
                    payload,
                }
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
            response,
            expected_server_version,
            note,
        })
    }

    /// Returns whether the command repeats an earlier resolution. The note and the expected version
    /// are not compared.
    pub(super) fn repeats(&self, outcome: &ConflictOutcome) -> bool {
        self.response.resolution() == outcome.resolution
            && self.response.merged_digest() == outcome.merged_digest
    }
}

impl ResolveChoice {
    pub(super) const fn merged_digest(&self) -> Option<[u8; 16]> {
        match self {
            Self::ManualMerge { digest, .. } => Some(*digest),
            _ => None,
        }
    }
}

/// Returns the payload without its `id`, which is an address and not content.
fn content(payload: &Json) -> Result<Json, Problem> {
    let content =
        json::Content::read(payload, json::fields(payload)).map_err(|error| match error {
            JsonError::TooDeep => {
                let problem = Problem::new(
                    ProblemCode::Unprocessable,
                    format!("payload: nested more than {NESTING_MAX} levels deep"),
                );
                problem
                    .at("payload")
                    .with("reason", &ItemCode::PayloadTooDeep)
            }
            JsonError::Malformed(_) | JsonError::NotAnObject => {
                Problem::malformed("payload", error.to_string())
            }
        })?;

    Ok(content.payload)
}

/// Returns the digest of a payload's canonical text, as the row of a created resource stores it.
pub(super) fn payload_digest(payload: &RawValue) -> [u8; 16] {
    let canonical = json::canonical(payload).unwrap_or_else(|_| payload.get().to_owned());
    let digest = json::digest([canonical.as_bytes()]);
    std::array::from_fn(|index| digest[index])
}
