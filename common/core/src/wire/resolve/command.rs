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
mod tests {
    use super::*;
    use serde_json::value::RawValue;

    fn read(resolution: Resolution, payload: Option<&str>) -> Result<ResolveCommand, Problem> {
        let payload = payload.map(|text| RawValue::from_string(text.to_owned()).expect("JSON"));
        let request = ResolveRequest {
            resolution,
            payload,
            expected_server_version: Some(3),
            note: Some("because".into()),
        };
        request.try_into()
    }

    #[test]
    fn command_has_every_field_of_request() {
        let payload = r#"{ "id": "m", "b": 1.0, "a": 2 }"#;
        let command = read(Resolution::ManualMerge, Some(payload)).expect("a command");

        assert_eq!(command.expected_server_version, Some(3));
        assert_eq!(command.note.as_deref(), Some("because"));
        let ResolveChoice::ManualMerge { payload, .. } = command.choice else {
            panic!("{command:?}");
        };
        assert_eq!(payload.get(), r#"{"b":1.0,"a":2}"#);

        for resolution in [Resolution::AcceptServer, Resolution::AcceptClient] {
            let command = read(resolution, None).expect("a command");
            assert_eq!(command.choice.resolution(), resolution);
        }
    }

    #[test]
    fn malformed_requests_are_rejected_at_payload() {
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(64), "]".repeat(64));

        for (resolution, payload, code) in [
            (Resolution::ManualMerge, None, ProblemCode::InvalidRequest),
            (
                Resolution::ManualMerge,
                Some("[1]"),
                ProblemCode::InvalidRequest,
            ),
            (
                Resolution::ManualMerge,
                Some(r#"{"a":"\ud800"}"#),
                ProblemCode::InvalidRequest,
            ),
            (
                Resolution::ManualMerge,
                Some(deep.as_str()),
                ProblemCode::Unprocessable,
            ),
            (
                Resolution::AcceptClient,
                Some("{}"),
                ProblemCode::InvalidRequest,
            ),
            (
                Resolution::AcceptServer,
                Some("{}"),
                ProblemCode::InvalidRequest,
            ),
        ] {
            let problem = read(resolution, payload).expect_err("a problem");
            assert_eq!(
                (problem.code, problem.path.as_deref()),
                (code, Some("payload")),
                "{resolution:?} {payload:?}"
            );
        }
    }
}
