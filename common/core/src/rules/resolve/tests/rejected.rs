//! Tests of rejected resolve commands, and of repeated commands.

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

    for (payload, code, path) in [
        (
            r#"{"reading":1}"#,
            ItemCode::RequiredFieldMissing,
            "payload.code",
        ),
        (
            r#"{"code":null}"#,
            ItemCode::RequiredFieldMissing,
            "payload.code",
        ),
        (&large, ItemCode::PayloadTooLarge, "payload"),
        (&many, ItemCode::TooManyFields, "payload"),
    ] {
        let edits = vec![edit(1, Action::Update, "{}")];
        let rejection = try_decide(&conflict("meter", edits), Some(&current), &merge(payload))
            .expect_err("a rejection");
        assert_content(rejection, RequestedResolution::ManualMerge, code, path);
    }

    // The same checks apply to the result of the device's edit.
    let removes = vec![edit(1, Action::Update, r#"{"code":null}"#)];
    let rejection = try_decide(
        &conflict("meter", removes),
        Some(&current),
        &command(ResolveChoice::AcceptClient),
    )
    .expect_err("a rejection");
    assert_content(
        rejection,
        RequestedResolution::AcceptClient,
        ItemCode::RequiredFieldMissing,
        "payload.code",
    );
}

/// Asserts that the content to be stored is rejected with this code, and that the text begins with
/// this path.
fn assert_content(
    actual: ResolveRejection,
    stored_by: RequestedResolution,
    code: ItemCode,
    path: &str,
) {
    let ResolveRejection::Content {
        requested,
        rejection,
    } = actual
    else {
        panic!("{actual:?}");
    };
    assert_eq!((requested, rejection.code), (stored_by, code));
    let (start, _) = rejection.error.split_once(':').expect("a path");
    assert_eq!(start, path);
}

#[test]
fn unexpected_version_is_rejected_with_current_state() {
    let current = existing(r#"{"code":"A"}"#, true);
    let conflict = conflict("meter", vec![edit(1, Action::Update, "{}")]);
    let looked_at = |version| ResolveCommand {
        expected_server_version: Some(version),
        ..command(ResolveChoice::AcceptServer)
    };

    let rejection = try_decide(&conflict, Some(&current), &looked_at(6)).expect_err("a rejection");
    let ResolveRejection::VersionChanged {
        server_version,
        server_deleted,
        server_payload,
    } = rejection
    else {
        panic!("{rejection:?}");
    };
    assert_eq!((server_version, server_deleted), (7, true));
    assert_eq!(server_payload.expect("a payload").get(), r#"{"code":"A"}"#);

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
    let merged = merge(r#"{"code":"B","n":1}"#);
    let mut conflict = conflict("meter", vec![edit(1, Action::Update, "{}")]);
    conflict.outcome = Some(planned(&conflict, Some(&current), &merged).outcome);

    let same = merge(r#"{ "n": 1, "code": "\u0042" }"#);
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
        command(ResolveChoice::AcceptClient),
        merge(r#"{"code":"B","n":1.0}"#),
        command(ResolveChoice::AcceptServer),
    ] {
        let rejection = try_decide(&conflict, Some(&current), &other).expect_err("a rejection");
        let ResolveRejection::AlreadyResolved(outcome) = rejection else {
            panic!("{rejection:?}");
        };
        assert_eq!(Some(outcome), conflict.outcome);
    }
}

#[test]
fn removed_type_allows_only_accept_server() {
    let current = existing(r#"{"code":"A"}"#, false);
    let conflict = conflict("pump", vec![edit(1, Action::Update, "{}")]);

    let rejection = try_decide(
        &conflict,
        Some(&current),
        &command(ResolveChoice::AcceptClient),
    )
    .expect_err("a rejection");
    assert!(matches!(rejection, ResolveRejection::TypeRemoved));
    assert_eq!(
        written(&planned(
            &conflict,
            Some(&current),
            &command(ResolveChoice::AcceptServer)
        ))
        .server_version,
        8
    );
}
