//! Tests of what a resolution records beside the content: the run, the deduplication window, field
//! versions, high-water marks and the audit log.

use super::*;
use crate::model::audit::AuditAction;

#[test]
fn one_hundred_accepted_edits_enter_deduplication_window() {
    let edits = (1..=100)
        .map(|number| edit(number, Action::Update, &format!(r#"{{"n":{number}}}"#)))
        .collect();

    let current = existing(r#"{"code":"A"}"#, false);
    let plan = planned(
        &conflict("meter", edits),
        Some(&current),
        &command(ResolveChoice::AcceptClient),
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
        &command(ResolveChoice::AcceptClient),
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
        &command(ResolveChoice::AcceptClient),
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
        &command(ResolveChoice::AcceptClient),
    );
    assert!(
        !written(&plan).fields.admit(["b"], &ana, 6, 9)
            && written(&plan).fields.admit(["b"], &ana, 7, 9)
    );

    let current = existing(r#"{"code":"A","a":1}"#, false);
    let plan = planned(
        &conflict("meter", edits),
        Some(&current),
        &command(ResolveChoice::AcceptClient),
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
        &command(ResolveChoice::AcceptClient),
    )
    .audit;

    assert_eq!((&*entry.id, entry.at), ("entry-1", now()));
    assert_eq!(
        (entry.action, &*entry.by, entry.via),
        (AuditAction::ConflictResolved, "root", Via::Api)
    );
    assert_eq!((&*entry.user, &*entry.device_id), ("ana", "phone"));
    assert_eq!(
        (entry.conflict_id.as_deref(), entry.resolution),
        (Some("conf-1"), Some(Resolution::AcceptClient))
    );
    assert_eq!(
        [&entry.channel, &entry.resource_type, &entry.resource_id].map(Option::as_deref),
        [Some("tenant"), Some("meter"), Some("x")]
    );
    assert_eq!(entry.note.as_deref(), Some("because"));
    assert_eq!(
        [&entry.before, &entry.after].map(|state| state.as_ref().map(|state| state.get())),
        [
            Some(r#"{"server_version":7,"deleted":false,"payload":{"code":"A"}}"#),
            Some(r#"{"server_version":8,"deleted":false,"payload":{"code":"A","reading":42}}"#)
        ]
    );
    assert!(entry.batch_id.is_none() && entry.runs_as.is_none() && entry.resources.is_empty());
}

#[test]
fn accepted_edit_without_base_raises_watermark() {
    let current = existing(r#"{"code":"A"}"#, false);
    let ana = Author::device("ana", "phone");
    let far_ahead = vec![edit(20, Action::Update, r#"{"reading":42}"#)];

    let accepted = planned(
        &conflict("meter", far_ahead.clone()),
        Some(&current),
        &command(ResolveChoice::AcceptClient),
    );
    assert_eq!(
        written(&accepted).high_water_marks.of(&ana),
        20,
        "a late retry outside the deduplication window is not a new edit"
    );

    let rejected = planned(
        &conflict("meter", far_ahead),
        Some(&current),
        &command(ResolveChoice::AcceptServer),
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
        &command(ResolveChoice::AcceptClient),
    );
    let claims = &written(&made).high_water_marks;
    assert!(claims.is_new(&ana, 2) && !claims.is_new(&ana, 1));
}
