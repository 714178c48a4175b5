//! The rules of §5, one by one.

use serde_json::value::RawValue;

use super::*;
use crate::{
    channel::Channel,
    conflict::{ConflictEdit, ConflictSlot},
    json::Json,
    protocol::{push::ItemCode, resolve::ResolveRequest},
    resource::{EditId, ResourceKey},
};

const CATALOG: &str = "
[meter]
channel = 'tenant'
id_prefix = 'm'
required = ['code']
unique = ['code']

[task]
channel = 'tenant'
id_prefix = 't'
policy = 'field_merge'

[mark]
channel = 'tenant'
id_prefix = 'k'
policy = 'client_wins'
";

fn raw(text: &str) -> Json {
    RawValue::from_string(text.to_owned()).expect("test JSON")
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a moment")
}

fn edit(number: u64, action: Action, payload: &str) -> ConflictEdit {
    ConflictEdit {
        id: EditId(number),
        action,
        payload: raw(payload),
        client_version: number,
        base_version: None,
    }
}

fn conflict(resource_type: &str, edits: Vec<ConflictEdit>) -> Conflict {
    Conflict {
        id: "conf-1".into(),
        slot: ConflictSlot::default(),
        resource: ResourceKey {
            channel: Channel::Tenant,
            resource_type: resource_type.into(),
            id: "x".into(),
        },
        user: "ana".into(),
        device_id: "phone".into(),
        detected_at: now(),
        code: ItemCode::VersionMismatch,
        server_payload: None,
        server_version: 0,
        server_deleted: false,
        edits,
        outcome: None,
    }
}

fn standing(payload: &str, deleted: bool) -> Resource {
    let author = Author::device("ben", "tablet");
    Resource {
        payload: raw(payload),
        server_version: 7,
        deleted,
        changed_at: DateTime::UNIX_EPOCH,
        run: Run {
            author: author.clone(),
            began: 5,
            client_version_max: 9,
            is_optimistic: true,
        },
        creation: Creation {
            author,
            client_temp_id: Some("t".into()),
            digest: [3; 16],
        },
        edits: Default::default(),
        claims: Default::default(),
        resolutions: (1..=4).map(resolved).collect(),
        fields: Default::default(),
        kept: None,
    }
}

fn resolved(number: u64) -> ConflictResolution {
    ConflictResolution {
        id: format!("old-{number}"),
        resolution: Resolution::AcceptServer,
        server_version: number,
    }
}

fn asked(resolution: Resolution, payload: Option<&str>) -> ResolveCommand {
    let payload = payload.map(raw);
    let request = ResolveRequest {
        resolution,
        payload,
        expected_server_version: None,
        note: Some("because".into()),
    };
    ResolveCommand::read(request).expect("a request that reads")
}

fn rule(
    conflict: &Conflict,
    current: Option<&Resource>,
    asked: &ResolveCommand,
) -> Result<ResolveOutcome, Problem> {
    let catalog = Catalog::parse(CATALOG).expect("catalog");
    let resolver = Resolver {
        tenant: "acme",
        by: "root",
        via: Via::Api,
        catalog: &catalog,
    };
    decide(conflict, current, asked, resolver, "entry-1".into(), now())
}

fn settled(conflict: &Conflict, current: Option<&Resource>, asked: &ResolveCommand) -> ResolvePlan {
    match rule(conflict, current, asked).expect("no problem") {
        ResolveOutcome::Settle(settlement) => *settlement,
        ResolveOutcome::Before(outcome) => panic!("decided before: {outcome:?}"),
    }
}

fn written(settlement: &ResolvePlan) -> &Resource {
    &settlement.write.as_ref().expect("a write").resource
}

#[test]
fn accept_client_applies_the_edits_in_turn_to_the_current_payload() {
    let edits = vec![
        edit(1, Action::Update, r#"{"reading":42,"note":"a"}"#),
        edit(2, Action::Update, r#"{"note":null,"by":1.0}"#),
    ];
    let current = standing(
        r#"{"code":"A","reading":50,"kept":9007199254740993}"#,
        false,
    );
    let settlement = settled(
        &conflict("meter", edits),
        Some(&current),
        &asked(Resolution::AcceptClient, None),
    );
    let resource = written(&settlement);
    assert_eq!(
        resource.payload.get(),
        r#"{"code":"A","reading":42,"kept":9007199254740993,"by":1.0}"#
    );
    assert_eq!(
        (
            resource.server_version,
            settlement.write.as_ref().and_then(|it| it.expected_version)
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
    assert_eq!(
        (settlement.expected_edits, settlement.outcome.server_version),
        (2, 8)
    );
}

#[test]
fn a_hundred_edits_are_all_remembered() {
    let edits = (1..=100)
        .map(|number| edit(number, Action::Update, &format!(r#"{{"n":{number}}}"#)))
        .collect();
    let current = standing(r#"{"code":"A"}"#, false);
    let settlement = settled(
        &conflict("meter", edits),
        Some(&current),
        &asked(Resolution::AcceptClient, None),
    );
    assert!((1..=100).all(|number| {
        written(&settlement)
            .edits
            .find(EditId(number))
            .is_some_and(|edit| edit.server_version == 8)
    }));
    assert_eq!(
        written(&settlement).server_version,
        8,
        "one version, whatever the number of edits"
    );
}

#[test]
fn accept_server_keeps_the_content_and_raises_the_version() {
    for deleted in [false, true] {
        let current = standing(r#"{"anything":1}"#, deleted);
        let edits = vec![edit(1, Action::Update, r#"{"reading":42}"#)];
        let settlement = settled(
            &conflict("meter", edits),
            Some(&current),
            &asked(Resolution::AcceptServer, None),
        );
        let resource = written(&settlement);
        assert_eq!(
            (
                resource.payload.get(),
                resource.deleted,
                resource.server_version
            ),
            (r#"{"anything":1}"#, deleted, 8)
        );
        assert_eq!(resource.edits.find(EditId(1)), None);
        assert!(settlement.unique.is_empty());
    }
}

#[test]
fn a_manual_merge_is_stored_whole_without_its_id_and_undeletes() {
    let payload = r#"{"id":"other","code":"B","reading":1.50}"#;
    let current = standing(r#"{"code":"A","gone":true}"#, true);
    let edits = vec![edit(1, Action::Update, r#"{"reading":42}"#)];
    let settlement = settled(
        &conflict("meter", edits),
        Some(&current),
        &asked(Resolution::ManualMerge, Some(payload)),
    );
    let resource = written(&settlement);
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
        (
            settlement.unique.claims.len(),
            settlement.unique.frees.len()
        ),
        (1, 0),
        "a deleted resource held nothing"
    );
}

#[test]
fn the_resolver_begins_a_run_that_every_device_pulls() {
    let current = standing(r#"{"code":"A"}"#, false);
    let edits = vec![edit(1, Action::Update, r#"{"reading":42}"#)];
    let settlement = settled(
        &conflict("meter", edits),
        Some(&current),
        &asked(Resolution::AcceptClient, None),
    );
    let resource = written(&settlement);
    let run = Run {
        author: Author::device("root", ""),
        began: 8,
        client_version_max: 0,
        is_optimistic: false,
    };
    assert_eq!((&resource.run, resource.changed_at), (&run, now()));
    assert_eq!(resource.creation, current.creation);
    let told: Vec<_> = resource
        .resolutions
        .iter()
        .map(|it| (it.id.as_str(), it.server_version))
        .collect();
    assert_eq!(
        told,
        [("old-2", 2), ("old-3", 3), ("old-4", 4), ("conf-1", 8)]
    );
}

#[test]
fn an_update_accepted_over_a_delete_brings_the_resource_back() {
    let current = standing(r#"{"code":"A","reading":50}"#, true);
    let edits = vec![edit(1, Action::Update, r#"{"reading":42}"#)];
    let settlement = settled(
        &conflict("meter", edits),
        Some(&current),
        &asked(Resolution::AcceptClient, None),
    );
    let resource = written(&settlement);
    assert_eq!(
        (resource.payload.get(), resource.deleted),
        (r#"{"code":"A","reading":42}"#, false)
    );
    assert_eq!(
        settlement.unique.claims.len(),
        1,
        "its unique value is claimed again"
    );
}

#[test]
fn an_accepted_delete_marks_the_resource_and_frees_its_values() {
    let current = standing(r#"{"code":"A","reading":50}"#, false);
    let edits = vec![
        edit(1, Action::Update, r#"{"reading":42}"#),
        edit(2, Action::Delete, "{}"),
    ];
    let settlement = settled(
        &conflict("meter", edits),
        Some(&current),
        &asked(Resolution::AcceptClient, None),
    );
    let resource = written(&settlement);
    assert_eq!(
        (resource.payload.get(), resource.deleted),
        (r#"{"code":"A","reading":42}"#, true)
    );
    assert_eq!(
        (
            settlement.unique.claims.len(),
            settlement.unique.frees.len()
        ),
        (0, 1)
    );
}

#[test]
fn an_accepted_create_replaces_what_stands_there() {
    let edits = vec![edit(1, Action::Create, r#"{"code":"C"}"#)];
    for deleted in [false, true] {
        let current = standing(r#"{"code":"A","reading":50}"#, deleted);
        let settlement = settled(
            &conflict("meter", edits.clone()),
            Some(&current),
            &asked(Resolution::AcceptClient, None),
        );
        let resource = written(&settlement);
        assert_eq!(
            (
                resource.payload.get(),
                resource.deleted,
                resource.server_version
            ),
            (r#"{"code":"C"}"#, false, 8)
        );
    }
}

#[test]
fn an_accepted_create_makes_the_resource_that_never_came_to_be() {
    let edits = vec![
        edit(1, Action::Create, r#"{"code":"C","n":[1, 2]}"#),
        edit(2, Action::Update, r#"{"reading":1}"#),
    ];
    let settlement = settled(
        &conflict("meter", edits),
        None,
        &asked(Resolution::AcceptClient, None),
    );
    let write = settlement.write.as_ref().expect("a write");
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
    let digest = crate::json::digest([br#"{"code":"C","n":[1,2]}"#]);
    assert_eq!(
        creation.digest,
        digest[..16],
        "of what the device sent, canonically"
    );
    assert!(settlement.audit.before.is_none() && settlement.audit.after.is_some());
}

#[test]
fn a_manual_merge_makes_the_resource_that_never_came_to_be() {
    let edits = vec![edit(1, Action::Create, r#"{"code":"C"}"#)];
    let settlement = settled(
        &conflict("meter", edits),
        None,
        &asked(Resolution::ManualMerge, Some(r#"{"code":"D"}"#)),
    );
    let resource = written(&settlement);
    assert_eq!(
        (resource.payload.get(), resource.server_version),
        (r#"{"code":"D"}"#, 1)
    );
    assert_ne!(
        resource.creation.digest,
        crate::json::digest([br#"{"code":"C"}"#])[..16],
        "it is not what the device sent"
    );
}

#[test]
fn accept_server_where_nothing_stands_writes_no_resource() {
    let edits = vec![edit(1, Action::Create, r#"{"code":"C"}"#)];
    let settlement = settled(
        &conflict("meter", edits),
        None,
        &asked(Resolution::AcceptServer, None),
    );
    assert!(settlement.write.is_none() && settlement.unique.is_empty());
    assert_eq!(settlement.outcome.server_version, 0);
}

#[test]
fn an_update_of_what_is_gone_for_good_is_unprocessable() {
    let edits = vec![edit(1, Action::Update, r#"{"code":"C"}"#)];
    let problem = rule(
        &conflict("meter", edits),
        None,
        &asked(Resolution::AcceptClient, None),
    )
    .expect_err("a problem");
    assert_eq!(problem.code, ProblemCode::Unprocessable);
}

#[test]
fn what_would_be_stored_keeps_the_bounds_and_the_required_fields() {
    let current = standing(r#"{"code":"A","big":1}"#, false);
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
        let asked = asked(Resolution::ManualMerge, Some(payload));
        let edits = vec![edit(1, Action::Update, "{}")];
        let problem =
            rule(&conflict("meter", edits), Some(&current), &asked).expect_err("a problem");
        assert_eq!(
            (problem.code, problem.path.as_deref()),
            (ProblemCode::Unprocessable, Some(path))
        );
        assert_eq!(problem.members[0].1.get(), reason);
    }
    // The same for what the device's edit would leave; there is no payload in such a request to
    // point at.
    let removes = vec![edit(1, Action::Update, r#"{"code":null}"#)];
    let problem = rule(
        &conflict("meter", removes),
        Some(&current),
        &asked(Resolution::AcceptClient, None),
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
fn requests_that_make_no_sense_are_refused_at_their_payload() {
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
fn a_version_that_was_not_looked_at_is_refused_with_the_current_state() {
    let current = standing(r#"{"code":"A"}"#, true);
    let conflict = conflict("meter", vec![edit(1, Action::Update, "{}")]);
    let looked_at = |version| ResolveCommand {
        expected_server_version: Some(version),
        ..asked(Resolution::AcceptServer, None)
    };
    let problem = rule(&conflict, Some(&current), &looked_at(6)).expect_err("a problem");
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
    assert!(rule(&conflict, Some(&current), &looked_at(7)).is_ok());
    assert!(
        rule(&conflict, None, &looked_at(0)).is_ok(),
        "0 says that nothing stood there"
    );
    assert!(rule(&conflict, None, &looked_at(1)).is_err());
}

#[test]
fn the_same_answer_again_is_the_first_outcome_and_another_one_is_refused() {
    let current = standing(r#"{"code":"A"}"#, false);
    let merge = asked(Resolution::ManualMerge, Some(r#"{"code":"B","n":1}"#));
    let mut conflict = conflict("meter", vec![edit(1, Action::Update, "{}")]);
    conflict.outcome = Some(settled(&conflict, Some(&current), &merge).outcome);

    let same = asked(
        Resolution::ManualMerge,
        Some(r#"{ "n": 1, "id": "x", "code": "\u0042" }"#),
    );
    let late = ResolveCommand {
        expected_server_version: Some(1),
        note: None,
        ..same
    };
    match rule(&conflict, Some(&current), &late) {
        Ok(ResolveOutcome::Before(outcome)) => assert_eq!(Some(outcome), conflict.outcome),
        other => panic!("{other:?}"),
    }
    for other in [
        asked(Resolution::AcceptClient, None),
        asked(Resolution::ManualMerge, Some(r#"{"code":"B","n":1.0}"#)),
        asked(Resolution::AcceptServer, None),
    ] {
        let problem = rule(&conflict, Some(&current), &other).expect_err("a problem");
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
fn a_type_that_merges_by_field_notes_what_the_resolver_wrote() {
    let mut current = standing(r#"{"a":1,"b":2}"#, false);
    current
        .fields
        .note(["b"], &Author::device("ben", "tablet"), 6, 1);
    let edits = vec![edit(1, Action::Update, r#"{"a":5}"#)];
    let settlement = settled(
        &conflict("task", edits.clone()),
        Some(&current),
        &asked(Resolution::AcceptClient, None),
    );
    let fields = &written(&settlement).fields;
    let ana = Author::device("ana", "phone");
    assert!(
        !fields.admit(["a"], &ana, 7, 9),
        "the resolver wrote it as version 8"
    );
    assert!(fields.admit(["a"], &ana, 8, 9) && fields.admit(["b"], &ana, 7, 9));

    // What was written before the fields were noted is not known.
    current.fields = Default::default();
    let settlement = settled(
        &conflict("task", edits.clone()),
        Some(&current),
        &asked(Resolution::AcceptClient, None),
    );
    assert!(
        !written(&settlement).fields.admit(["b"], &ana, 6, 9)
            && written(&settlement).fields.admit(["b"], &ana, 7, 9)
    );

    let current = standing(r#"{"code":"A","a":1}"#, false);
    let settlement = settled(
        &conflict("meter", edits),
        Some(&current),
        &asked(Resolution::AcceptClient, None),
    );
    assert_eq!(
        written(&settlement).fields,
        Default::default(),
        "other types keep no such list"
    );
}

#[test]
fn a_type_the_catalog_lost_can_only_be_left_as_it_is() {
    let current = standing(r#"{"code":"A"}"#, false);
    let conflict = conflict("pump", vec![edit(1, Action::Update, "{}")]);
    assert_eq!(
        rule(
            &conflict,
            Some(&current),
            &asked(Resolution::AcceptClient, None)
        )
        .expect_err("a problem")
        .code,
        ProblemCode::Unprocessable
    );
    assert_eq!(
        written(&settled(
            &conflict,
            Some(&current),
            &asked(Resolution::AcceptServer, None)
        ))
        .server_version,
        8
    );
}

#[test]
fn the_audit_entry_says_who_what_and_what_stood_before_and_after() {
    let current = standing(r#"{"code":"A"}"#, false);
    let edits = vec![edit(1, Action::Update, r#"{"reading":42}"#)];
    let entry = settled(
        &conflict("meter", edits),
        Some(&current),
        &asked(Resolution::AcceptClient, None),
    )
    .audit;
    let told: serde_json::Value = serde_json::to_value(&entry).expect("an entry");
    assert_eq!(
        told,
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
fn an_accepted_edit_that_named_no_base_claims_its_version() {
    let current = standing(r#"{"code":"A"}"#, false);
    let ana = Author::device("ana", "phone");
    let far_ahead = vec![edit(20, Action::Update, r#"{"reading":42}"#)];
    let accepted = settled(
        &conflict("meter", far_ahead.clone()),
        Some(&current),
        &asked(Resolution::AcceptClient, None),
    );
    assert_eq!(
        written(&accepted).claims.of(&ana),
        20,
        "so that it is no new edit when it comes again, long forgotten"
    );
    let rejected = settled(
        &conflict("meter", far_ahead),
        Some(&current),
        &asked(Resolution::AcceptServer, None),
    );
    assert_eq!(written(&rejected).claims.of(&ana), 0);
    // Where the client wins, every applied edit is noted, from the create on.
    let edits = vec![
        edit(0, Action::Create, "{}"),
        edit(1, Action::Update, r#"{"a":1}"#),
    ];
    let made = settled(
        &conflict("mark", edits),
        None,
        &asked(Resolution::AcceptClient, None),
    );
    let claims = &written(&made).claims;
    assert!(claims.is_new(&ana, 2) && !claims.is_new(&ana, 1));
}
