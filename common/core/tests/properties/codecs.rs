//! Encoded values decode to the original, and texts that the codecs did not produce are rejected.

use chrono::DateTime;
use proptest::prelude::*;
use tidemark_core::model::{
    channel::{Channel, Scope},
    key,
    position::{Position, Sequence},
    token::{Progress, Token},
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

fn progress() -> impl Strategy<Value = Progress> {
    let moment = (0_i64..4_000_000_000_000)
        .prop_map(|at| DateTime::from_timestamp_millis(at).expect("in range"));

    prop_oneof![
        (position(), moment.clone(), proptest::option::of(position())).prop_map(
            |(position, at, segment_key)| Progress::Log {
                position,
                at,
                segment_key
            }
        ),
        (
            position(),
            moment,
            proptest::option::of("[a-z]{1,9}#[^#%]{1,80}")
        )
            .prop_map(|(head, head_read_at, after)| Progress::Snapshot {
                head,
                head_read_at,
                after
            }),
    ]
}

proptest! {
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
        let (head, head_read_at) = (Position::START, DateTime::UNIX_EPOCH);
        for after in [after.clone(), format!("{after}{}", "x".repeat(1100))] {
            let progress = Progress::Snapshot { head, head_read_at, after: Some(after) };
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
