//! Tests of resolve commands that a problem rejects, and of repeated commands.

use super::*;

#[test]
fn resolved_content_is_validated() {
    let current = existing(r#"{"code":"A","big":1}"#, false);

    let large = format!(r#"{{"code":"A","t":"{}"}}"#, "x".repeat(350 * 1024));
    let many = (0..501)
        .map(|number| format!(r#""f{number}":1"#))
        .collect::<Vec<_>>()
        .join(",");
    let many = format!("{{{many}}}");

    for (payload, reason, path) in [
        (
            r#"{"reading":1}"#,
            r#""required_field_missing""#,
            "payload.code",
        ),
        (
            r#"{"code":null}"#,
            r#""required_field_missing""#,
            "payload.code",
        ),
        (&large, r#""payload_too_large""#, "payload"),
        (&many, r#""too_many_fields""#, "payload"),
    ] {
        let command = command(Resolution::ManualMerge, Some(payload));
        let edits = vec![edit(1, Action::Update, "{}")];
        let problem =
            try_decide(&conflict("meter", edits), Some(&current), &command).expect_err("a problem");
        assert_eq!(
            (problem.code, problem.path.as_deref()),
            (ProblemCode::Unprocessable, Some(path))
        );
        assert_eq!(problem.members[0].1.get(), reason);
    }

    // The same checks apply to the result of the device's edit. That request has no payload to
    // which the path could refer.
    let removes = vec![edit(1, Action::Update, r#"{"code":null}"#)];
    let problem = try_decide(
        &conflict("meter", removes),
        Some(&current),
        &command(Resolution::AcceptClient, None),
    )
    .expect_err("a problem");
    assert_eq!(
        (problem.code, problem.path),
        (ProblemCode::Unprocessable, None)
    );
    assert!(
        problem.detail.contains("payload.code"),
        "{}",
        problem.detail
    );
}

#[test]
fn malformed_requests_are_rejected_at_payload() {
    let read = |resolution, payload: Option<&str>| {
        let request = ResolveRequest {
            resolution,
            payload: payload.map(raw),
            expected_server_version: None,
            note: None,
        };
        ResolveCommand::read(request).expect_err("a problem")
    };

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
        let problem = read(resolution, payload);
        assert_eq!(
            (problem.code, problem.path.as_deref()),
            (code, Some("payload")),
            "{resolution:?} {payload:?}"
        );
    }
}

#[test]
fn unexpected_version_is_rejected_with_current_state() {
    let current = existing(r#"{"code":"A"}"#, true);
    let conflict = conflict("meter", vec![edit(1, Action::Update, "{}")]);
    let looked_at = |version| ResolveCommand {
        expected_server_version: Some(version),
        ..command(Resolution::AcceptServer, None)
    };

    let problem = try_decide(&conflict, Some(&current), &looked_at(6)).expect_err("a problem");
    assert_eq!(problem.code, ProblemCode::VersionChanged);
    let members: Vec<_> = problem
        .members
        .iter()
        .map(|(name, value)| (*name, value.get()))
        .collect();
    assert_eq!(
        members,
        [
            ("server_version", "7"),
            ("server_deleted", "true"),
            ("server_payload", r#"{"code":"A"}"#)
        ]
    );

    assert!(try_decide(&conflict, Some(&current), &looked_at(7)).is_ok());
    assert!(
        try_decide(&conflict, None, &looked_at(0)).is_ok(),
        "0 means that there was no resource"
    );
    assert!(try_decide(&conflict, None, &looked_at(1)).is_err());
}

#[test]
fn repeated_resolution_is_idempotent() {
    let current = existing(r#"{"code":"A"}"#, false);
    let merge = command(Resolution::ManualMerge, Some(r#"{"code":"B","n":1}"#));
    let mut conflict = conflict("meter", vec![edit(1, Action::Update, "{}")]);
    conflict.outcome = Some(planned(&conflict, Some(&current), &merge).outcome);

    let same = command(
        Resolution::ManualMerge,
        Some(r#"{ "n": 1, "id": "x", "code": "\u0042" }"#),
    );
    let late = ResolveCommand {
        expected_server_version: Some(1),
        note: None,
        ..same
    };
    match try_decide(&conflict, Some(&current), &late) {
        Ok(ResolveOutcome::Before(outcome)) => assert_eq!(Some(outcome), conflict.outcome),
        other => panic!("{other:?}"),
    }
    for other in [
        command(Resolution::AcceptClient, None),
        command(Resolution::ManualMerge, Some(r#"{"code":"B","n":1.0}"#)),
        command(Resolution::AcceptServer, None),
    ] {
        let problem = try_decide(&conflict, Some(&current), &other).expect_err("a problem");
        let names: Vec<_> = problem.members.iter().map(|(name, _)| *name).collect();
        assert_eq!(
            (problem.code, names),
            (
                ProblemCode::AlreadyResolved,
                vec!["resolution", "resolved_by", "resolved_at"]
            )
        );
    }
}

#[test]
fn removed_type_allows_only_accept_server() {
    let current = existing(r#"{"code":"A"}"#, false);
    let conflict = conflict("pump", vec![edit(1, Action::Update, "{}")]);

    assert_eq!(
        try_decide(
            &conflict,
            Some(&current),
            &command(Resolution::AcceptClient, None)
        )
        .expect_err("a problem")
        .code,
        ProblemCode::Unprocessable
    );
    assert_eq!(
        written(&planned(
            &conflict,
            Some(&current),
            &command(Resolution::AcceptServer, None)
        ))
        .server_version,
        8
    );
}
