//! What an admin asks for: the request, read against the bounds of §2, and compared with a decision
//! made before.

use serde_json::value::RawValue;

use crate::{
    conflict::{ConflictOutcome, Resolution},
    json::{self, Json, JsonError},
    limits::NESTING_MAX,
    protocol::{
        problem::{Problem, ProblemCode},
        push::ItemCode,
        resolve::ResolveRequest,
    },
};

/// How a conflict is to be decided.
#[derive(Debug, Clone)]
pub enum ResolveChoice {
    /// What the server holds stays.
    AcceptServer,
    /// The device's edits are applied to what the server holds.
    AcceptClient,
    /// This takes the place of both.
    ManualMerge {
        /// Without `id`.
        payload: Json,
        /// Digest of its canonical text.
        digest: [u8; 16],
    },
}

/// A decision that was asked for.
#[derive(Debug, Clone)]
pub struct ResolveCommand {
    /// How.
    pub response: ResolveChoice,
    /// The version that was looked at; 0 for no resource.
    pub expected_server_version: Option<u64>,
    /// Why.
    pub note: Option<String>,
}

impl ResolveCommand {
    /// Reads a request.
    ///
    /// # Errors
    /// A [`Problem`] at `payload`: missing for a manual merge, there for anything else, no object,
    /// or nested too deep.
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

    /// Whether this asks for what was decided before. The note and the version that was looked at
    /// do not count.
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

/// The payload without its `id`, which is an address and no content.
fn content(payload: &Json) -> Result<Json, Problem> {
    let content =
        json::Content::read(payload, json::fields(payload)).map_err(|error| match error {
            JsonError::TooDeep => {
                let problem = Problem::new(
                    ProblemCode::Unprocessable,
                    format!("payload: nested over {NESTING_MAX} deep"),
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

/// Digest of a payload's canonical text, as a create's row keeps it.
pub(super) fn payload_digest(payload: &RawValue) -> [u8; 16] {
    let canonical = json::canonical(payload).unwrap_or_else(|_| payload.get().to_owned());
    let digest = json::digest([canonical.as_bytes()]);
    std::array::from_fn(|index| digest[index])
}
