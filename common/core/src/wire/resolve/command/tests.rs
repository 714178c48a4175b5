//! The command of a valid request, and requests that contain none.

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
