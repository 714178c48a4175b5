//! The views of a conflict, in each situation.

mod decisions;
mod merging;

use chrono::DateTime;
use serde_json::value::RawValue;
use tidemark_app::conflicts::ConflictReview;
use tidemark_core::model::{
    channel::Channel,
    conflict::{BaseSource, Conflict, ConflictBase, ConflictEdit, ConflictOutcome, ConflictSlot},
    edit::Action,
    json::{Json, payload_digest},
    limits::CONFLICT_EDITS_MAX,
    principal::Author,
    resolution::Resolution,
    resource::{Creation, EditId, Resource, ResourceKey, Run},
    result::ItemCode,
};

use super::{situation::Situation, *};

const IMAGE: &str = "<img src=x onerror=alert(1)>";

fn raw(text: &str) -> Json {
    RawValue::from_string(text.to_owned()).expect("test JSON")
}

/// Returns a resource at version 7.
fn stored(payload: &str) -> Resource {
    let author = Author::device("ben", "tablet");
    let run = Run {
        author: author.clone(),
        began: 1,
        client_version_max: 0,
        echo_to_author: false,
    };
    let creation = Creation {
        author,
        client_temp_id: None,
        digest: payload_digest(&raw(payload)),
    };
    let mut resource = Resource::new(raw(payload), DateTime::UNIX_EPOCH, run, creation);
    resource.server_version = 7;
    resource
}

fn edit(action: Action, payload: &str) -> ConflictEdit {
    ConflictEdit {
        id: EditId(1),
        action,
        payload: raw(payload),
        client_version: 6,
        base_version: Some(5),
        was: None,
    }
}

/// Returns a conflict between an update and a resource at version 7, with these payloads.
pub(super) fn review(base: Option<&str>, server: &str, patch: &str) -> ConflictReview {
    let conflict = Conflict {
        id: "c-1".into(),
        slot: ConflictSlot::default(),
        resource: ResourceKey {
            channel: Channel::Tenant,
            resource_type: "meter".into(),
            id: "m-1".into(),
        },
        user: "ana".into(),
        device_id: "phone".into(),
        detected_at: DateTime::UNIX_EPOCH,
        code: ItemCode::VersionMismatch,
        server_payload: Some(raw(server)),
        server_version: 7,
        server_deleted: false,
        edits: vec![edit(Action::Update, patch)],
        outcome: None,
    };
    ConflictReview {
        conflict,
        current: Some(stored(server)),
        base: base.map(|base| ConflictBase {
            payload: raw(base),
            source: BaseSource::Log,
        }),
        delivered: None,
    }
}

#[test]
fn situation_depends_on_edits_and_resource() {
    let change = |change: &dyn Fn(&mut ConflictReview)| {
        let mut review = review(None, "{}", "{}");
        change(&mut review);
        Situation::of(&review)
    };
    assert_eq!(change(&|_| ()), Situation::Merge);
    for (code, expected) in [
        (ItemCode::AlreadyCreated, Situation::Merge),
        (ItemCode::TempIdReused, Situation::Merge),
        (ItemCode::IdTaken, Situation::IdTaken),
        (ItemCode::UniqueViolation, Situation::UniqueValueTaken),
    ] {
        assert_eq!(change(&|review| review.conflict.code = code), expected);
    }

    let missing = change(&|review| review.current = None);
    assert_eq!(missing, Situation::NoResource);
    let deleted = change(&|review| {
        review.current.as_mut().expect("a resource").deleted = true;
    });
    assert_eq!(deleted, Situation::DeletedOnServer);
    let delete = change(&|review| review.conflict.edits.push(edit(Action::Delete, "{}")));
    assert_eq!(delete, Situation::DeletedByDevice);
}

#[test]
fn names_and_edits_are_text() {
    let mut review = review(None, "{}", "{}");
    review.conflict.user = format!("{IMAGE}\u{202e}");
    review.conflict.device_id = IMAGE.into();
    review.conflict.resource.id = "m\u{202e}".into();
    let payload = format!("{{\"note\":\"{IMAGE}\"}}");
    let mut joined = edit(Action::Update, &payload);
    joined.was = Some(raw(&payload));
    review.conflict.edits.push(joined);

    let sentence = facts::sentence(&review).into_string();
    let edits = facts::edits(&review).into_string();
    for shown in [&sentence, &edits] {
        assert!(
            !shown.contains("<img") && !shown.contains('\u{202e}'),
            "{shown}"
        );
        assert!(
            shown.contains("onerror=alert(1)&gt;[U+202E]</bdi>"),
            "{shown}"
        );
    }
    assert!(sentence.contains("edited it at version 5"), "{sentence}");
    assert!(edits.contains("2 edits by"), "{edits}");
    assert_eq!(edits.matches("{&quot;note&quot;:&quot;&lt;img").count(), 2);
    assert_eq!(title(&review), "Conflict: meter m[U+202E] (open)");
}

#[test]
fn many_edits_are_shortened() {
    let mut review = review(None, "{}", "{}");
    let payload = format!("{{\"note\":\"{}\"}}", "&".repeat(9_000));
    let mut large = edit(Action::Update, &payload);
    large.was = Some(raw(&payload));
    review.conflict.edits = vec![large; CONFLICT_EDITS_MAX];

    let shown = facts::edits(&review).into_string();
    assert!(shown.len() < 1_000_000, "{}", shown.len());
    let rest = payload.len() - 500;
    let rest = format!("and {rest} more characters");
    assert_eq!(shown.matches(&rest).count(), 2 * CONFLICT_EDITS_MAX);
}

#[test]
fn outcome_is_shown_without_actions() {
    let mut review = review(None, "{}", "{}");
    review.delivered = Some(false);
    review.conflict.outcome = Some(ConflictOutcome {
        resolution: Resolution::ManualMerge,
        resolved_by: IMAGE.into(),
        resolved_at: DateTime::UNIX_EPOCH,
        note: Some(IMAGE.into()),
        server_version: 8,
        merged_digest: None,
        picked_digest: None,
    });

    let shown = facts::outcome(&review, &[]).into_string();
    for text in [
        "both were merged",
        "not yet",
        "<dd>8</dd>",
        "1970-01-01 00:00",
    ] {
        assert!(shown.contains(text), "{text} in {shown}");
    }
    assert_eq!(shown.matches("&lt;img").count(), 2, "{shown}");
    for text in ["<img", "<form", "<button"] {
        assert!(!shown.contains(text), "{text} in {shown}");
    }
}
