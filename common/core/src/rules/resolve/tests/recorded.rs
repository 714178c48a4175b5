//! Tests of what a resolution records beside the content: the run, the deduplication window, field
//! versions, high-water marks and the audit log.

use super::*;

#[test]
fn one_hundred_accepted_edits_enter_deduplication_window() {
    let edits = (1..=100)
        .map(|number| edit(number, Action::Update, &format!(r#"{{"n":{number}}}"#)))
        .collect();

    let current = existing(r#"{"code":"A"}"#, false);
    let plan = planned(
        &conflict("meter", edits),
        Some(&current),
        &command(Resolution::AcceptClient, None),
    );

    assert!((1..=100).all(|number| {
        written(&plan)
            .edits
            .find(EditId(number))
            .is_some_and(|edit| edit.server_version == 8)
    }));
    assert_eq!(
        written(&plan).server_version,
        8,
        "one version, whatever the number of edits"
    );
}

#[test]
fn resolution_starts_new_run_of_the_resolver() {
    let current = existing(r#"{"code":"A"}"#, false);
    let edits = vec![edit(1, Action::Update, r#"{"reading":42}"#)];

    let plan = planned(
        &conflict("meter", edits),
        Some(&current),
        &command(Resolution::AcceptClient, None),
    );

    let resource = written(&plan);
    let run = Run {
        author: Author::device("root", ""),
        began: 8,
        client_version_max: 0,
        echo_to_author: false,
    };
    assert_eq!((&resource.run, resource.changed_at), (&run, now()));
    assert_eq!(resource.creation, current.creation);

    let recorded: Vec<_> = resource
        .resolutions
        .iter()
        .map(|it| (it.id.as_str(), it.server_version))
        .collect();
    assert_eq!(
        recorded,
        [("old-2", 2), ("old-3", 3), ("old-4", 4), ("conf-1", 8)]
    );
}

#[test]
fn field_versions_record_the_resolver() {
    let mut current = existing(r#"{"a":1,"b":2}"#, false);
    current
        .fields
        .note(["b"], &Author::device("ben", "tablet"), 6, 1);
    let edits = vec![edit(1, Action::Update, r#"{"a":5}"#)];
    let plan = planned(
        &conflict("task", edits.clone()),
        Some(&current),
        &command(Resolution::AcceptClient, None),
    );
    let fields = &written(&plan).fields;
    let ana = Author::device("ana", "phone");
    assert!(
        !fields.admit(["a"], &ana, 7, 9),
        "the resolver wrote it as version 8"
    );
    assert!(fields.admit(["a"], &ana, 8, 9) && fields.admit(["b"], &ana, 7, 9));

    // Fields without a recorded version count as written by the newest version.
    current.fields = Default::default();
    let plan = planned(
        &conflict("task", edits.clone()),
        Some(&current),
        &command(Resolution::AcceptClient, None),
    );
    assert!(
        !written(&plan).fields.admit(["b"], &ana, 6, 9)
            && written(&plan).fields.admit(["b"], &ana, 7, 9)
    );

    let current = existing(r#"{"code":"A","a":1}"#, false);
    let plan = planned(
        &conflict("meter", edits),
        Some(&current),
        &command(Resolution::AcceptClient, None),
    );
    assert_eq!(
        written(&plan).fields,
        Default::default(),
        "other types have no field versions"
    );
}

#[test]
fn audit_entry_records_states_before_and_after() {
    let current = existing(r#"{"code":"A"}"#, false);
    let edits = vec![edit(1, Action::Update, r#"{"reading":42}"#)];

    let entry = planned(
        &conflict("meter", edits),
        Some(&current),
        &command(Resolution::AcceptClient, None),
    )
    .audit;

    let recorded: serde_json::Value = serde_json::to_value(&entry).expect("an entry");
    assert_eq!(
        recorded,
        serde_json::json!({
            "id": "entry-1", "at": "2027-01-15T08:00:00.000Z", "action": "conflict_resolved", "by": "root", "via": "api",
            "user": "ana", "device_id": "phone", "conflict_id": "conf-1", "channel": "tenant", "resource_type": "meter",
            "resource_id": "x", "resolution": "accept_client", "note": "because",
            "before": {"server_version": 7, "deleted": false, "payload": {"code": "A"}},
            "after": {"server_version": 8, "deleted": false, "payload": {"code": "A", "reading": 42}},
        })
    );
}

#[test]
fn accepted_edit_without_base_raises_watermark() {
    let current = existing(r#"{"code":"A"}"#, false);
    let ana = Author::device("ana", "phone");
    let far_ahead = vec![edit(20, Action::Update, r#"{"reading":42}"#)];

    let accepted = planned(
        &conflict("meter", far_ahead.clone()),
        Some(&current),
        &command(Resolution::AcceptClient, None),
    );
    assert_eq!(
        written(&accepted).high_water_marks.of(&ana),
        20,
        "a late retry outside the deduplication window is not a new edit"
    );

    let rejected = planned(
        &conflict("meter", far_ahead),
        Some(&current),
        &command(Resolution::AcceptServer, None),
    );
    assert_eq!(written(&rejected).high_water_marks.of(&ana), 0);

    // With `client_wins`, every applied edit is recorded, from the create on.
    let edits = vec![
        edit(0, Action::Create, "{}"),
        edit(1, Action::Update, r#"{"a":1}"#),
    ];
    let made = planned(
        &conflict("mark", edits),
        None,
        &command(Resolution::AcceptClient, None),
    );
    let claims = &written(&made).high_water_marks;
    assert!(claims.is_new(&ana, 2) && !claims.is_new(&ana, 1));
}
