//! Tests of resolutions of conflicts whose resource does not exist.

use super::*;

#[test]
fn accept_client_creates_missing_resource() {
    let edits = vec![
        edit(1, Action::Create, r#"{"code":"C","n":[1, 2]}"#),
        edit(2, Action::Update, r#"{"reading":1}"#),
    ];

    let plan = planned(
        &conflict("meter", edits),
        None,
        &command(ResolveChoice::AcceptClient),
    );

    let write = plan.write.as_ref().expect("a write");
    assert_eq!(
        (write.expected_version, write.resource.server_version),
        (None, 1)
    );
    assert_eq!(
        write.resource.payload.get(),
        r#"{"code":"C","n":[1, 2],"reading":1}"#
    );
    assert_eq!(
        write.resource.resolutions,
        [ConflictResolution {
            id: "conf-1".into(),
            resolution: Resolution::AcceptClient,
            server_version: 1
        }]
    );

    let creation = &write.resource.creation;
    assert_eq!(
        (&creation.author, &creation.client_temp_id),
        (&Author::device("ana", "phone"), &None)
    );
    let digest = crate::model::json::digest([br#"{"code":"C","n":[1,2]}"#]);
    assert_eq!(
        creation.digest,
        digest[..16],
        "the digest is of the canonical payload that the device sent"
    );
    assert!(plan.audit.before.is_none() && plan.audit.after.is_some());
}

#[test]
fn manual_merge_creates_missing_resource() {
    let edits = vec![edit(1, Action::Create, r#"{"code":"C"}"#)];
    let plan = planned(&conflict("meter", edits), None, &merge(r#"{"code":"D"}"#));

    let resource = written(&plan);
    assert_eq!(
        (resource.payload.get(), resource.server_version),
        (r#"{"code":"D"}"#, 1)
    );
    assert_ne!(
        resource.creation.digest,
        crate::model::json::digest([br#"{"code":"C"}"#])[..16],
        "the stored payload is not the device's"
    );
}

#[test]
fn accept_server_without_resource_writes_nothing() {
    let edits = vec![edit(1, Action::Create, r#"{"code":"C"}"#)];
    let plan = planned(
        &conflict("meter", edits),
        None,
        &command(ResolveChoice::AcceptServer),
    );
    assert!(plan.write.is_none() && plan.unique.is_empty());
    assert_eq!(plan.outcome.server_version, 0);
}

#[test]
fn update_of_missing_resource_is_rejected() {
    let edits = vec![edit(1, Action::Update, r#"{"code":"C"}"#)];
    let rejection = try_decide(
        &conflict("meter", edits),
        None,
        &command(ResolveChoice::AcceptClient),
    )
    .expect_err("a rejection");
    assert!(matches!(rejection, ResolveRejection::NoResource));
}
