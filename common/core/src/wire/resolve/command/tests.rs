//! The command of a valid request, and requests that contain none.

use serde_json::value::RawValue;

use super::*;
use crate::{model::json::fields, wire::problem::ProblemCode};

fn request(resolution: RequestedResolution, payload: Option<&str>) -> ResolveRequest {
    let payload = payload.map(|text| RawValue::from_string(text.to_owned()).expect("JSON"));
    ResolveRequest {
        resolution,
        payload,
        fields: None,
        expected_server_version: Some(3),
        dry_run: None,
        note: Some("because".into()),
    }
}

fn read(resolution: RequestedResolution, payload: Option<&str>) -> Result<ResolveCommand, Problem> {
    request(resolution, payload).try_into()
}

/// Returns a request to resolve by field with these picks.
fn picking(text: &str) -> ResolveRequest {
    let picks = RawValue::from_string(text.to_owned()).expect("JSON");
    ResolveRequest {
        fields: fields(&picks),
        ..request(RequestedResolution::FieldPick, None)
    }
}

#[test]
fn command_has_every_field_of_request() {
    let payload = r#"{ "id": "m", "b": 1.0, "a": 2 }"#;
    let command = read(RequestedResolution::ManualMerge, Some(payload)).expect("a command");

    assert_eq!(command.expected_server_version, Some(3));
    assert_eq!(command.note.as_deref(), Some("because"));
    let ResolveChoice::ManualMerge { payload, .. } = command.choice else {
        panic!("{command:?}");
    };
    assert_eq!(payload.get(), r#"{"b":1.0,"a":2}"#);

    for resolution in [
        RequestedResolution::AcceptServer,
        RequestedResolution::AcceptClient,
    ] {
        let command = read(resolution, None).expect("a command");
        assert_eq!(command.choice.requested(), resolution);
    }

    let command = ResolveCommand::try_from(picking(r#"{"a":"client"}"#)).expect("a command");
    let ResolveChoice::FieldPick(picks) = &command.choice else {
        panic!("{command:?}");
    };
    assert_eq!(command.picked_digest(), Some(picks.digest(3)));
}

#[test]
fn malformed_requests_are_rejected_at_payload() {
    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(64), "]".repeat(64));

    for (resolution, payload, code) in [
        (
            RequestedResolution::ManualMerge,
            None,
            ProblemCode::InvalidRequest,
        ),
        (
            RequestedResolution::ManualMerge,
            Some("[1]"),
            ProblemCode::InvalidRequest,
        ),
        (
            RequestedResolution::ManualMerge,
            Some(r#"{"a":"\ud800"}"#),
            ProblemCode::InvalidRequest,
        ),
        (
            RequestedResolution::ManualMerge,
            Some(deep.as_str()),
            ProblemCode::Unprocessable,
        ),
        (
            RequestedResolution::AcceptClient,
            Some("{}"),
            ProblemCode::InvalidRequest,
        ),
        (
            RequestedResolution::AcceptServer,
            Some("{}"),
            ProblemCode::InvalidRequest,
        ),
        (
            RequestedResolution::FieldPick,
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

#[test]
fn fields_belong_to_field_pick_only() {
    let mut requests = vec![(request(RequestedResolution::FieldPick, None), "fields")];
    for resolution in [
        RequestedResolution::AcceptServer,
        RequestedResolution::AcceptClient,
    ] {
        let request = ResolveRequest {
            resolution,
            ..picking("{}")
        };
        requests.push((request, "fields"));
    }
    let unreviewed = ResolveRequest {
        expected_server_version: None,
        ..picking("{}")
    };
    requests.push((unreviewed, "expected_server_version"));

    for (request, path) in requests {
        let resolution = request.resolution;
        let problem = ResolveCommand::try_from(request).expect_err("a problem");
        assert_eq!(
            (problem.code, problem.path.as_deref()),
            (ProblemCode::InvalidRequest, Some(path)),
            "{resolution}"
        );
    }
}
