//! The content of a notification, and names that SNS rejects.

use super::*;

fn resolved(name: &str) -> ConflictResolved {
    ConflictResolved {
        conflict_id: "conf-1".into(),
        tenant: "acme".into(),
        user: name.into(),
        device_id: "phone".into(),
        channel: "tenant".into(),
        resource_type: "meter".into(),
        resource_id: "m-1".into(),
        resolution: Resolution::ManualMerge,
        resolved_by: "root".into(),
        resolved_at: DateTime::UNIX_EPOCH,
        server_version: 3,
    }
}

#[test]
fn message_contains_the_resolution() {
    assert_eq!(
        resolved("ana").message(),
        r#"{"event":"conflict_resolved","conflict_id":"conf-1","tenant":"acme","user":"ana","device_id":"phone","channel":"tenant","resource_type":"meter","resource_id":"m-1","resolution":"manual_merge","resolved_by":"root","resolved_at":"1970-01-01T00:00:00.000Z","server_version":3}"#
    );
    let attributes = [
        ("event", "conflict_resolved"),
        ("tenant", "acme"),
        ("user", "ana"),
        ("device_id", "phone"),
    ];
    assert!(resolved("ana").attributes().eq(attributes));
}

#[test]
fn message_contains_only_characters_sns_accepts() {
    for letter in [
        '\0',
        '\u{1f}',
        '\u{7f}',
        '"',
        '\\',
        'é',
        '\u{fffd}',
        '\u{fffe}',
        '\u{ffff}',
        '\u{10ffff}',
    ] {
        let name = format!("a{letter}b");

        let message = resolved(&name).message();
        assert!(message.chars().all(is_accepted), "{letter:?}");
        let read: serde_json::Value = serde_json::from_str(&message).expect("JSON");
        assert_eq!(read["user"], name.as_str());
    }
}

#[test]
fn name_rejected_by_sns_is_not_attribute() {
    for (name, is_attribute) in [
        ("é\t\u{10ffff}", true),
        ("a\0", false),
        ("a\u{ffff}", false),
        ("", false),
    ] {
        assert_eq!(
            resolved(name)
                .attributes()
                .any(|(attribute, _)| attribute == "user"),
            is_attribute,
            "{name:?}"
        );
    }
}
