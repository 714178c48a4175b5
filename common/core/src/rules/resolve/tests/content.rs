//! Tests of the content that a resolution stores for an existing resource (§5.2).

use super::*;

/// Asserts the content of version 8, which a resolution writes.
#[track_caller]
fn assert_content(resource: &Resource, payload: &str, is_deleted: bool) {
    assert_eq!(
        (
            resource.payload.get(),
            resource.deleted,
            resource.server_version
        ),
        (payload, is_deleted, 8)
    );
}

#[test]
fn accept_client_applies_edits_in_order() {
    let edits = vec![
        edit(1, Action::Update, r#"{"reading":42,"note":"a"}"#),
        edit(2, Action::Update, r#"{"note":null,"by":1.0}"#),
    ];
    let current = existing(
        r#"{"code":"A","reading":50,"kept":9007199254740993}"#,
        false,
    );

    let plan = planned(
        &conflict("meter", edits),
        Some(&current),
        &command(ResolveChoice::AcceptClient),
    );

    let resource = written(&plan);
    assert_eq!(
        resource.payload.get(),
        r#"{"code":"A","reading":42,"kept":9007199254740993,"by":1.0}"#
    );
    assert_eq!(
        (
            resource.server_version,
            plan.write.as_ref().and_then(|it| it.expected_version)
        ),
        (8, Some(7))
    );

    let applied = |number| {
        resource
            .edits
            .find(EditId(number))
            .map(|edit| edit.server_version)
    };

    assert_eq!((applied(1), applied(2)), (Some(8), Some(8)));
    assert_eq!((plan.expected_edits, plan.outcome.server_version), (2, 8));
}

#[test]
fn accept_server_keeps_content_and_raises_version() {
    for deleted in [false, true] {
        let current = existing(r#"{"anything":1}"#, deleted);
        let edits = vec![edit(1, Action::Update, r#"{"reading":42}"#)];
        let plan = planned(
            &conflict("meter", edits),
            Some(&current),
            &command(ResolveChoice::AcceptServer),
        );

        let resource = written(&plan);
        assert_content(resource, r#"{"anything":1}"#, deleted);
        assert_eq!(resource.edits.find(EditId(1)), None);
        assert!(plan.unique.is_empty());
    }
}

#[test]
fn manual_merge_replaces_payload_and_restores_resource() {
    let payload = r#"{"code":"B","reading":1.50}"#;
    let current = existing(r#"{"code":"A","gone":true}"#, true);
    let edits = vec![edit(1, Action::Update, r#"{"reading":42}"#)];

    let plan = planned(&conflict("meter", edits), Some(&current), &merge(payload));

    let resource = written(&plan);
    assert_eq!(
        (resource.payload.get(), resource.deleted),
        (r#"{"code":"B","reading":1.50}"#, false)
    );
    assert_eq!(
        resource.edits.find(EditId(1)),
        None,
        "the device's edit was not applied"
    );
    assert_eq!(
        (plan.unique.claims.len(), plan.unique.frees.len()),
        (1, 0),
        "a deleted resource held nothing"
    );
}

#[test]
fn accepted_update_restores_deleted_resource() {
    let current = existing(r#"{"code":"A","reading":50}"#, true);
    let edits = vec![edit(1, Action::Update, r#"{"reading":42}"#)];

    let plan = planned(
        &conflict("meter", edits),
        Some(&current),
        &command(ResolveChoice::AcceptClient),
    );

    let resource = written(&plan);
    assert_eq!(
        (resource.payload.get(), resource.deleted),
        (r#"{"code":"A","reading":42}"#, false)
    );
    assert_eq!(
        plan.unique.claims.len(),
        1,
        "its unique value is claimed again"
    );
}

#[test]
fn accepted_delete_frees_unique_values() {
    let current = existing(r#"{"code":"A","reading":50}"#, false);
    let edits = vec![
        edit(1, Action::Update, r#"{"reading":42}"#),
        edit(2, Action::Delete, "{}"),
    ];

    let plan = planned(
        &conflict("meter", edits),
        Some(&current),
        &command(ResolveChoice::AcceptClient),
    );

    let resource = written(&plan);
    assert_eq!(
        (resource.payload.get(), resource.deleted),
        (r#"{"code":"A","reading":42}"#, true)
    );
    assert_eq!((plan.unique.claims.len(), plan.unique.frees.len()), (0, 1));
}

#[test]
fn accepted_create_replaces_existing_resource() {
    let edits = vec![edit(1, Action::Create, r#"{"code":"C"}"#)];
    for deleted in [false, true] {
        let current = existing(r#"{"code":"A","reading":50}"#, deleted);
        let plan = planned(
            &conflict("meter", edits.clone()),
            Some(&current),
            &command(ResolveChoice::AcceptClient),
        );

        assert_content(written(&plan), r#"{"code":"C"}"#, false);
    }
}
