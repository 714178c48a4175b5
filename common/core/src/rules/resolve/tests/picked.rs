//! Resolutions by field: the composed payload, what is recorded, and which requests repeat them.

use super::*;
use crate::model::{
    json,
    resolve::{Pick, Picks, RequestedResolution},
};

/// Returns the command with these picks, made on version 7.
fn picking<const N: usize>(picks: [(&str, Pick); N]) -> ResolveCommand {
    let picks = picks.map(|(name, pick)| (name.to_owned(), pick));
    ResolveCommand {
        expected_server_version: Some(7),
        ..command(ResolveChoice::FieldPick(Picks(picks.into())))
    }
}

fn value(text: &str) -> Pick {
    Pick::Value(raw(text))
}

#[test]
fn picked_fields_have_text_of_their_source() {
    let current = existing(
        r#"{"code":"A","n":1.0,"note":"old","list":[1, 2],"gone":true}"#,
        false,
    );
    let edits = vec![edit(
        1,
        Action::Update,
        r#"{"n":42.50,"note":"new","added":9007199254740993}"#,
    )];
    let picks = picking([
        ("added", Pick::Client),
        ("n", Pick::Client),
        ("note", Pick::Server),
        ("list", value("[1e3, 2.0]")),
        ("gone", Pick::Remove),
        ("own", value("null")),
        ("unknown", Pick::Client),
        ("missing", Pick::Server),
    ]);

    let plan = planned(&conflict("meter", edits), Some(&current), &picks);
    let resource = written(&plan);
    let expected = [
        r#"{"code":"A","n":42.50,"note":"old","list":[1e3, 2.0],"#,
        r#""added":9007199254740993,"own":null}"#,
    ];
    assert_eq!(resource.payload.get(), expected.concat());
    assert_eq!((resource.server_version, resource.deleted), (8, false));
    assert_eq!(resource.run.author, Author::device("root", ""));

    let resolved = resource.resolutions.last().expect("a resolution");
    assert_eq!(
        (resolved.resolution, plan.outcome.resolution),
        (Resolution::ManualMerge, Resolution::ManualMerge)
    );
    assert_eq!(
        plan.outcome.merged_digest,
        Some(json::payload_digest(&resource.payload))
    );
}

/// The field of the client is that of the payload which `accept_client` would store: patches are
/// merged into nested objects, and applied one after the other.
#[test]
fn client_field_equals_that_of_accept_client() {
    let current = existing(r#"{"code":"A","d":{"x":1,"y":2,"z":3},"note":"n"}"#, false);
    let edits = vec![
        edit(1, Action::Update, r#"{"d":{"x":9,"y":null},"note":"m"}"#),
        edit(2, Action::Update, r#"{"d":{"w":4.0},"note":null}"#),
    ];
    let conflict = conflict("meter", edits);
    let accept = command(ResolveChoice::AcceptClient);

    let picks = picking([("d", Pick::Client), ("note", Pick::Client)]);
    let picked = planned(&conflict, Some(&current), &picks);
    let accepted = planned(&conflict, Some(&current), &accept);
    let expected = r#"{"code":"A","d":{"x":9,"z":3,"w":4.0}}"#;
    assert_eq!(written(&picked).payload.get(), expected);
    assert_eq!(written(&accepted).payload.get(), expected);
}

#[test]
fn delete_has_no_fields_to_pick() {
    let current = existing(r#"{"code":"A"}"#, false);
    let edits = vec![
        edit(1, Action::Update, r#"{"n":1}"#),
        edit(2, Action::Delete, "{}"),
    ];
    let rejected = try_decide(
        &conflict("meter", edits),
        Some(&current),
        &picking([("n", Pick::Server)]),
    );
    assert!(matches!(rejected, Err(ResolveRejection::NotPickable)));
}

#[test]
fn deleted_resource_is_restored_with_picked_fields() {
    let current = existing(r#"{"code":"A","n":1}"#, true);
    let edits = vec![edit(1, Action::Update, r#"{"n":2}"#)];
    let picks = picking([("n", Pick::Client)]);
    let plan = planned(&conflict("meter", edits), Some(&current), &picks);
    let resource = written(&plan);
    assert_eq!(
        (resource.payload.get(), resource.deleted),
        (r#"{"code":"A","n":2}"#, false)
    );
}

#[test]
fn missing_resource_is_created_from_picks() {
    let create = vec![edit(1, Action::Create, r#"{"code":"A","n":1}"#)];
    let new = ResolveCommand {
        expected_server_version: Some(0),
        ..picking([("code", value(r#""B""#)), ("n", Pick::Client)])
    };
    let plan = planned(&conflict("meter", create), None, &new);
    let resource = written(&plan);
    assert_eq!(resource.payload.get(), r#"{"code":"B","n":1}"#);
    assert_eq!(resource.server_version, 1);
    assert_eq!(resource.creation.author, Author::device("root", ""));

    let update = vec![edit(1, Action::Update, r#"{"n":1}"#)];
    let rejected = try_decide(&conflict("meter", update), None, &new);
    assert!(matches!(rejected, Err(ResolveRejection::NoResource)));
}

#[test]
fn composed_content_is_validated() {
    let current = existing(r#"{"code":"A","n":1}"#, false);
    let conflict = conflict("meter", vec![edit(1, Action::Update, r#"{"code":null}"#)]);
    for picks in [
        picking([("code", Pick::Client)]),
        picking([("code", Pick::Remove)]),
        picking([("code", value("null"))]),
    ] {
        let rejection = try_decide(&conflict, Some(&current), &picks).expect_err("a rejection");
        let ResolveRejection::Content {
            requested,
            rejection,
        } = rejection
        else {
            panic!("{rejection:?}");
        };

        assert_eq!(
            (requested, rejection.code),
            (
                RequestedResolution::FieldPick,
                ItemCode::RequiredFieldMissing
            )
        );
    }
    assert!(try_decide(&conflict, Some(&current), &picking([])).is_ok());
}

#[test]
fn only_equal_picks_repeat_a_resolution() {
    let current = existing(r#"{"code":"A","n":1}"#, false);
    let mut conflict = conflict("meter", vec![edit(1, Action::Update, r#"{"n":2}"#)]);
    let first = picking([("n", Pick::Client), ("o", value("1.0"))]);
    conflict.outcome = Some(planned(&conflict, Some(&current), &first).outcome);
    let repeats = |command: &ResolveCommand| match try_decide(&conflict, Some(&current), command) {
        Ok(ResolveOutcome::Before(outcome)) => Some(outcome) == conflict.outcome,
        Err(ResolveRejection::AlreadyResolved(_)) => false,
        other => panic!("{other:?}"),
    };

    let reordered = ResolveCommand {
        note: None,
        ..picking([("o", value("1.0")), ("n", Pick::Client)])
    };
    assert!(repeats(&first) && repeats(&reordered));
    // The composed payload, sent as a whole.
    assert!(repeats(&merge(r#"{"o":1.0,"n":2,"code":"A"}"#)));

    let at_another_version = ResolveCommand {
        expected_server_version: Some(8),
        ..first.clone()
    };
    for other in [
        at_another_version,
        picking([("n", Pick::Client)]),
        picking([("n", value("2")), ("o", value("1.0"))]),
        picking([("n", Pick::Client), ("o", value("1"))]),
        command(ResolveChoice::AcceptClient),
        merge(r#"{"o":1,"n":2,"code":"A"}"#),
    ] {
        assert!(!repeats(&other), "{other:?}");
    }
}

#[test]
fn picks_do_not_repeat_a_manual_merge() {
    let current = existing(r#"{"code":"A","n":1}"#, false);
    let mut conflict = conflict("meter", vec![edit(1, Action::Update, r#"{"n":2}"#)]);
    let merged = merge(r#"{"code":"A","n":2}"#);
    conflict.outcome = Some(planned(&conflict, Some(&current), &merged).outcome);

    let rejected = try_decide(&conflict, Some(&current), &picking([("n", Pick::Client)]));
    assert!(matches!(
        rejected,
        Err(ResolveRejection::AlreadyResolved(_))
    ));
}
