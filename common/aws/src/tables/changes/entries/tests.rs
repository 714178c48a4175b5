//! Stored entries decode to the original, and texts that are no stored entries are rejected.

use chrono::DateTime;
use proptest::prelude::*;
use serde_json::value::RawValue;
use tidemark_core::model::position::Sequence;

use super::*;

fn position() -> impl Strategy<Value = Position> {
    (any::<u32>(), "[0-9]{1,40}", any::<u32>()).prop_map(|(epoch, digits, late)| Position {
        epoch,
        sequence: Sequence::parse(&digits).expect("digits"),
        late,
    })
}

/// Generates entries that often share members with their neighbors.
fn entry() -> impl Strategy<Value = Entry> {
    let named = (
        prop_oneof!["task", "meter", ".{1,9}"],
        "[a-c]|.{1,40}",
        prop_oneof![Just("ana"), Just("ben\"")],
    );

    let action = prop_oneof![
        Just(Action::Create),
        Just(Action::Update),
        Just(Action::Delete)
    ];

    let decided = ".{1,9}".prop_map(|id| ChangeResolution {
        id,
        resolution: Resolution::AcceptClient,
    });

    let payload = proptest::option::of(".{0,20}".prop_map(|text| {
        RawValue::from_string(serde_json::json!({"note": text}).to_string()).expect("JSON")
    }));

    let numbers = (
        prop_oneof![Just(1_u64), any::<u64>()],
        prop_oneof![Just(0_i64), -9_000_000_000_000..9_000_000_000_000_i64],
    );

    (
        position(),
        named,
        action,
        numbers,
        any::<bool>(),
        proptest::collection::vec(decided, 0..3),
        payload,
    )
        .prop_map(
            |(
                position,
                (resource_type, id, user),
                action,
                (server_version, at),
                echo_to_author,
                decided,
                payload,
            )| Entry {
                position,
                resource_type,
                id,
                action,
                server_version,
                changed_at: DateTime::from_timestamp_millis(at).expect("in range"),
                author: Author::device(user, "phone"),
                echo_to_author,
                resolved_conflicts: decided,
                payload,
            },
        )
}

proptest! {
    #[test]
    fn entries_survive_encoding(entries in proptest::collection::vec(entry(), 0..20)) {
        let read = unpack(&pack(&entries)).expect("entries");
        prop_assert_eq!(format!("{read:?}"), format!("{entries:?}"));
    }
}

#[test]
fn entries_lacking_inherited_members_are_rejected() {
    let start = Position::START.to_string();
    let whole =
        format!(r#"{{"p":"{start}","t":"meter","i":"m","a":"delete","v":1,"b":"ana#phone"}}"#);

    let read = |entries: &str| {
        unpack(&format::pack(entries.as_bytes()))
            .map(|entries| entries.len())
            .ok()
    };

    assert_eq!(read(&format!("[{whole}]")), Some(1));
    assert_eq!(read(&format!(r#"[{whole},{{"p":"7","i":"n"}}]"#)), Some(2));

    for field in [
        r#""t":"meter","#,
        r#""a":"delete","#,
        r#""v":1,"#,
        r#","b":"ana#phone""#,
    ] {
        assert_eq!(
            read(&format!("[{}]", whole.replace(field, ""))),
            None,
            "{field}"
        );
    }

    for later in [
        r#"{"p":"x","i":"n"}"#,
        r#"{"p":"é","i":"n"}"#,
        r#"{"p":"7","i":"n","c":9223372036854775807}"#,
    ] {
        assert_eq!(read(&format!("[{whole},{later}]")), None, "{later}");
    }

    assert_eq!(
        read(&format!(
            "[{}]",
            whole.replace(&start, &format!("0{start}"))
        )),
        None,
        "wider than a position"
    );
}
