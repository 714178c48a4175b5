//! Encoded values decode to the original, and texts that the codecs did not produce are rejected.

use chrono::DateTime;
use proptest::prelude::*;
use serde_json::value::RawValue;
use tidemark_core::{
    model::{
        channel::{Channel, Scope},
        conflict::Resolution,
        key,
        pack::pack,
        position::{Position, Sequence},
        principal::Author,
    },
    rules::sequence::segment::{Entry, Segment},
    wire::{
        Action,
        pull::ChangeResolution,
        token::{Progress, Token},
    },
};

fn channel() -> impl Strategy<Value = Channel> {
    prop_oneof![
        Just(Channel::Tenant),
        ".{1,40}".prop_map(Channel::User),
        ".{1,40}".prop_map(Channel::Group)
    ]
}

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

fn progress() -> impl Strategy<Value = Progress> {
    let moment = (0_i64..4_000_000_000_000)
        .prop_map(|at| DateTime::from_timestamp_millis(at).expect("in range"));

    prop_oneof![
        (position(), moment.clone(), proptest::option::of(position())).prop_map(
            |(position, at, within)| Progress::Log {
                position,
                at,
                within
            }
        ),
        (
            position(),
            moment,
            proptest::option::of("[a-z]{1,9}#[^#%]{1,80}")
        )
            .prop_map(|(noted, noted_at, after)| Progress::Snapshot {
                noted,
                noted_at,
                after
            }),
    ]
}

proptest! {
    #[test]
    fn segment_survives_encoding(entries in proptest::collection::vec(entry(), 0..20)) {
        let segment = Segment { prev: Position::START, last: Position::START, entries };
        let read = Segment::unpack_entries(&segment.packed_entries()).expect("entries");
        prop_assert_eq!(format!("{read:?}"), format!("{:?}", segment.entries));
    }

    #[test]
    fn token_survives_encoding(channels in proptest::collection::btree_map(channel(), progress(), 0..12)) {
        let token = Token { channels };
        let text = token.encode();
        prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'));
        prop_assert_eq!(Token::decode(&text), Ok(token));
    }

    #[test]
    fn corrupt_token_is_rejected(progress in progress(), at in any::<prop::sample::Index>(), by in 1_u8..=255) {
        let text = Token { channels: [(Channel::Tenant, progress)].into() }.encode();
        let mut bytes = text.clone().into_bytes();
        let index = at.index(bytes.len());
        bytes[index] ^= by;
        if let Ok(damaged) = String::from_utf8(bytes) {
            // The last letter of base64 has unused bits; the decoder also rejects changes of those.
            prop_assert!(Token::decode(&damaged).is_err());
        }
        prop_assert!(Token::decode(&text[..text.len() - 1]).is_err());
    }

    #[test]
    fn token_with_impossible_key_is_rejected(after in "|#|a#|#a|a#b#c|a%x#b|a") {
        let (noted, noted_at) = (Position::START, DateTime::UNIX_EPOCH);
        for after in [after.clone(), format!("{after}{}", "x".repeat(1100))] {
            let progress = Progress::Snapshot { noted, noted_at, after: Some(after) };
            let token = Token { channels: [(Channel::Tenant, progress)].into() };
            prop_assert!(Token::decode(&token.encode()).is_err());
        }
    }

    #[test]
    fn random_text_is_not_a_token(text in ".{0,200}", tail in "[A-Za-z0-9_-]{0,200}") {
        prop_assert!(Token::decode(&text).is_err());
        prop_assert!(Token::decode(&["tm1_", &tail].concat()).is_err());
    }

    #[test]
    fn key_splits_into_its_parts(parts in proptest::array::uniform3("[a-z#%hp/]{0,12}|.{0,40}")) {
        let joined = key::join([&parts[0], &parts[1], &parts[2]]);
        prop_assert_eq!(key::split::<3>(&joined), Some(parts));
    }

    #[test]
    fn partition_key_contains_its_scope(tenant in ".{1,60}", channel in channel()) {
        let scope = Scope { tenant, channel };
        prop_assert_eq!(Scope::parse(&scope.partition()), Some(scope));
    }

    #[test]
    fn positions_sort_like_their_texts(one in position(), other in position()) {
        prop_assert_eq!(one.cmp(&other), one.to_string().cmp(&other.to_string()));
        prop_assert_eq!(one.to_string().parse(), Ok(one));
    }
}

#[test]
fn entries_lacking_inherited_members_are_rejected() {
    let start = Position::START.to_string();
    let whole =
        format!(r#"{{"p":"{start}","t":"meter","i":"m","a":"delete","v":1,"b":"ana#phone"}}"#);

    let read = |entries: &str| {
        Segment::unpack_entries(&pack(entries.as_bytes()))
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
