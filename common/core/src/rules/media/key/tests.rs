use std::collections::BTreeSet;

use super::*;
use crate::model::limits::MEDIA_KEY_BYTES_MAX;

const ODD_NAMES: &[&str] = &[
    "ana",
    "Ana",
    "..",
    ".",
    "...",
    "a.b",
    "a/b",
    "a",
    "b",
    "/",
    "~",
    "~a",
    "#",
    "%2e%2e",
    "..%2f",
    "ä",
    "a b",
    " ",
    "\n",
    "\0",
    "a\\b",
    "auth0|5f7c",
    "0b2f6a52-3c1d-4a7e-9a55-1f7f2b0e6d15",
    "anna@example.com",
    "uploads/acme/ana",
];

/// A key of the old form, without a MAC.
const OLD: &str = "uploads/acme/ana/00000000000000000000000000000007.17.image~jpeg.jpg";
const UNIQUE: &str = "0000000000000000000007";

fn keyring(secret: &str) -> Keyring {
    Keyring::new(&format!("{secret}, of at least 32 bytes: -------"), None).expect("long enough")
}

fn made(tenant: &str, user: &str, content_type: &str) -> MediaKey {
    MediaKey::new(
        tenant,
        user,
        Uuid::from_u128(7),
        17,
        content_type,
        &keyring("one"),
    )
}

fn key(tenant: &str, user: &str) -> String {
    made(tenant, user, "image/jpeg").to_string()
}

/// Returns the key without its MAC.
fn without_mac(key: &str) -> String {
    let at = key.find(UNIQUE).expect("its unique part") + UNIQUE.len();
    format!("{}{}", &key[..at], &key[at + NUMBER_DIGITS..])
}

fn is_safe(key: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte);
    key.starts_with("uploads/")
        && key.bytes().all(is_plain)
        && key.split('/').count() == 4
        && key
            .split('/')
            .all(|part| !part.is_empty() && part.bytes().any(|byte| byte != b'.'))
}

#[test]
fn key_states_owner_promise_and_extension() {
    assert_eq!(
        without_mac(&key("acme", "ana")),
        format!("uploads/acme/ana/{UNIQUE}.17.image~jpeg.jpg")
    );
    let unknown = made("acme", "ana", "video/x-unknown").to_string();
    assert_eq!(
        without_mac(&unknown),
        format!("uploads/acme/ana/{UNIQUE}.17.video~x-unknown")
    );
}

#[test]
fn odd_names_give_safe_distinct_keys() {
    let mut keys = BTreeSet::new();
    for tenant in ODD_NAMES {
        for user in ODD_NAMES {
            let text = key(tenant, user);

            assert!(is_safe(&text), "{text}");
            let read = MediaKey::parse(&text).expect("a key reads back");
            assert!(
                read.is_of(tenant, user)
                    && read.is_of_type("image/jpeg")
                    && read.content_length() == 17,
                "{text}"
            );

            assert!(keys.insert(text), "{tenant:?} {user:?}");
        }
    }
}

#[test]
fn name_resembling_a_hash_is_hashed() {
    let hash = name_word("a/b");
    assert_ne!(name_word(&hash), hash);
}

#[test]
fn distinct_types_give_distinct_words() {
    let types = [
        "image/jpeg",
        "image/svg+xml",
        "application/vnd.ms-excel",
        "application/octet-stream",
        "a/b",
        "",
        "nonsense",
    ];
    let words: BTreeSet<String> = types
        .iter()
        .map(|it| type_word(it, MEDIA_TYPE_CHARS_MAX))
        .collect();
    assert_eq!(words.len(), types.len());

    for content_type in types {
        let text = made("acme", "ana", content_type).to_string();
        assert!(
            is_safe(&text)
                && MediaKey::parse(&text).is_some_and(|key| key.is_of_type(content_type)),
            "{text}"
        );
    }
}

#[test]
fn longest_key_matches_the_size_limit() {
    let name = "n".repeat(MEDIA_NAME_CHARS_MAX);
    let longest = |content_type: &str| {
        let key = MediaKey::new(
            &name,
            &name,
            Uuid::max(),
            5 << 30,
            content_type,
            &keyring("one"),
        );
        // No current type has both the longest word and the longest extension.
        MediaKey {
            content_type: "t".repeat(MEDIA_TYPE_CHARS_MAX),
            ..key
        }
        .to_string()
    };

    assert_eq!(longest("image/heic").len(), MEDIA_KEY_BYTES_MAX);
    assert!(MediaKey::parse(&longest("image/heic")).is_some());

    let odd = "ä".repeat(128);
    let odd = MediaKey::new(&odd, &odd, Uuid::max(), 5 << 30, &odd, &keyring("one"));
    assert!(odd.to_string().len() <= MEDIA_KEY_BYTES_MAX);

    let old = format!(
        "uploads/{name}/{name}/{}.5368709120.application~octet-stream.abcdefghij",
        Uuid::max().simple()
    );
    assert!(MediaKey::parse(&old).is_some() && old.len() <= MEDIA_KEY_BYTES_MAX);
}

#[test]
fn only_the_secret_that_signed_authenticates() {
    let text = key("acme", "ana");
    let read = MediaKey::parse(&text).expect("a key reads back");
    assert!(read.is_authentic(&keyring("one")) && !read.is_old());
    assert!(!read.is_authentic(&keyring("other")));
    let other = MediaKey::new(
        "acme",
        "ana",
        Uuid::from_u128(7),
        17,
        "image/jpeg",
        &keyring("other"),
    );
    assert!(!other.is_authentic(&keyring("one")));
}

#[test]
fn any_key_change_breaks_its_mac() {
    let text = key("acme", "ana");
    let forged =
        |text: &str| MediaKey::parse(text).is_none_or(|key| !key.is_authentic(&keyring("one")));

    for (from, to) in [
        ("acme", "acmf"),
        ("ana", "ben"),
        (".17.", ".18."),
        ("jpeg", "png"),
        (".jpg", ".png"),
        (".jpg", ""),
    ] {
        assert!(forged(&text.replacen(from, to, 1)), "{from} {to}");
    }

    for at in "uploads/".len()..text.len() {
        for letter in ["0", "1", "a", "z", ".", "/"] {
            let changed = format!("{}{letter}{}", &text[..at], &text[at + 1..]);
            assert!(changed == text || forged(&changed), "{changed}");
        }
    }
}

#[test]
fn old_keys_parse_and_are_never_authentic() {
    let old = MediaKey::parse(OLD).expect("an old key");
    assert!(
        old.is_old()
            && old.is_of("acme", "ana")
            && old.is_of_type("image/jpeg")
            && old.content_length() == 17
    );
    assert!(!old.is_authentic(&keyring("one")));
    assert_eq!(old.arrival(), OLD.replace("uploads/", "incoming/"));
    let long = MediaKey::parse(&OLD.replace("image~jpeg.jpg", "application~octet-stream"))
        .expect("an old key");
    assert!(long.is_of_type("application/octet-stream"));
}

#[test]
fn malformed_keys_are_rejected() {
    for good in [OLD.to_owned(), key("acme", "ana")] {
        check_neighbors(&good);
    }

    let good = key("acme", "ana");
    let unique = &good[good.find(UNIQUE).expect("its unique part")..][..2 * NUMBER_DIGITS];
    let too_large = "z".repeat(NUMBER_DIGITS);

    for changed in [
        "",
        "7",
        &unique[1..],
        &format!("{unique}0"),
        &unique.replacen('0', "-", 1),
        &too_large.repeat(2),
    ] {
        assert_eq!(
            MediaKey::parse(&good.replace(unique, changed)),
            None,
            "{changed}"
        );
    }
}

/// Checks that texts which differ slightly from a valid key are rejected.
fn check_neighbors(good: &str) {
    assert!(MediaKey::parse(good).is_some());

    let unique = "00000000000000000000000000000007";
    for text in [
        String::new(),
        good.replace("uploads/", ""),
        good.replace("uploads/", "/uploads/"),
        good.replace("acme", ".."),
        good.replace("acme", "a/b"),
        good.replace("acme", ""),
        good.replace("ana", "a%2fb"),
        good.replace(".17.", ".017."),
        good.replace(".17.", ".+17."),
        good.replace(".17.", ".-1."),
        good.replace(".17.", ".99999999999999999999."),
        OLD.replace(unique, "7"),
        OLD.replace(unique, "00000000-0000-0000-0000-000000000007"),
        OLD.replace(unique, &unique.replace('7', "A")),
        good.replace("image~jpeg", ""),
        good.replace("image~jpeg", "Image~jpeg"),
        good.replace(".jpg", ".j-g"),
        good.replace(".jpg", "."),
        format!("{good}.more"),
        format!("{good}/"),
        format!(" {good}"),
    ] {
        assert_eq!(MediaKey::parse(&text), None, "{text}");
    }
}
