use serde_json::{json, value::RawValue};
use uuid::Uuid;

use super::*;
use crate::{
    model::{
        catalog::Catalog,
        edit::{Action, SentEdit, SentItem},
        json,
        principal::{Author, Principal},
    },
    rules::{
        media::{Keyring, MediaKey},
        push::{edit::Sender, intake},
    },
};

const BOARD: &str = "[board]\nchannel = 'tenant'\nid_prefix = 'b'\nmedia = ['media', 'cover']";

fn keyring() -> Keyring {
    Keyring::new("a secret with at least 32 bytes in it", None).expect("long enough")
}

/// Returns an authentic media key of a user.
fn key_of(user: &str, number: u128) -> String {
    MediaKey::new(
        "acme",
        user,
        Uuid::from_u128(number),
        1,
        "image/jpeg",
        &keyring(),
    )
    .to_string()
}

fn old_key_of(user: &str, number: u128) -> String {
    format!("uploads/acme/{user}/{number:032x}.1.image~jpeg.jpg")
}

fn forged_key(number: u128) -> String {
    let other = Keyring::new("another secret, of at least 32 bytes", None).expect("long enough");
    MediaKey::new(
        "acme",
        "ana",
        Uuid::from_u128(number),
        1,
        "image/jpeg",
        &other,
    )
    .to_string()
}

fn item(action: Action, id: &str, media: &[String]) -> SentItem {
    let payload = json!({"id": id, "media": media}).to_string();
    let payload = RawValue::from_string(payload).expect("JSON");
    SentItem {
        client_temp_id: None,
        resource_type: Some("board".into()),
        channel: None,
        is_create: action == Action::Create,
        fields: json::fields(&payload),
        payload: Some(payload),
        was: None,
        edit: Ok(SentEdit {
            action,
            client_version: 1,
            base_version: None,
        }),
    }
}

/// Returns the references to load and the keys to look up for a batch of Ana's, if no upload was
/// verified before.
fn lookups(items: Vec<SentItem>, accepts_old: bool) -> (Vec<MediaReference>, Vec<String>) {
    let (searched, references) = planned(items, accepts_old);
    (searched, references.objects_to_head(HashSet::new()).0)
}

fn planned(items: Vec<SentItem>, accepts_old: bool) -> (Vec<MediaReference>, MediaReferences) {
    let catalog = Catalog::parse(BOARD).expect("a catalog");
    let principal = Principal {
        tenant: "acme".into(),
        user: "ana".into(),
        roles: vec![],
        groups: vec![],
    };
    let author = Author::device("ana", "phone");
    let sender = Sender {
        principal: &principal,
        device_id: "phone",
        author: &author,
        catalog: &catalog,
        is_replay: false,
    };
    let groups = intake::read(items, sender).groups;

    let keyring = keyring();
    let rules = KeyRules {
        keyring: &keyring,
        accepts_old,
    };
    let references = MediaReferences::of(&groups, &HashMap::new(), sender, rules, |_| true);
    (references.references_to_load(), references)
}

#[test]
fn forged_keys_are_not_looked_up() {
    let items: Vec<SentItem> = (0..50_u128)
        .map(|item_number| {
            let forged: Vec<String> = (0..50)
                .map(|number| forged_key(item_number * 50 + number))
                .collect();
            item(Action::Update, &format!("b{item_number}"), &forged)
        })
        .collect();

    assert_eq!(lookups(items, true), (vec![], vec![]));
    // An authentic key in an item with a forged key is not looked up either.
    assert_eq!(
        lookups(
            vec![item(
                Action::Create,
                "b",
                &[key_of("ana", 1), forged_key(1)]
            )],
            true
        ),
        (vec![], vec![])
    );
}

#[test]
fn shared_key_is_looked_up_once() {
    let items: Vec<SentItem> = (0..50)
        .map(|number| item(Action::Create, &format!("b{number}"), &[key_of("ana", 1)]))
        .collect();
    assert_eq!(lookups(items, true), (vec![], vec![key_of("ana", 1)]));
}

#[test]
fn lookups_of_a_batch_are_bounded() {
    let keys = |of: fn(&str, u128) -> String| -> Vec<SentItem> {
        let item_of = |item_number: u128| {
            let named: Vec<String> = (0..10)
                .map(|number| of("ana", item_number * 10 + number))
                .collect();
            item(Action::Update, &format!("b{item_number}"), &named)
        };
        (0..50).map(item_of).collect()
    };

    let (searched, looked_up) = lookups(keys(key_of), true);
    assert_eq!(
        (searched.len(), looked_up.len()),
        (MEDIA_LOOKUPS_MAX, MEDIA_LOOKUPS_MAX)
    );
    // Keys are looked up in item order, so that a retried batch makes progress.
    assert_eq!(
        looked_up[..10],
        (0..10)
            .map(|number| key_of("ana", number))
            .collect::<Vec<_>>()
    );

    let (searched, looked_up) = lookups(keys(old_key_of), true);
    assert_eq!(
        (searched.len(), looked_up.len()),
        (MEDIA_OLD_LOOKUPS_MAX, MEDIA_OLD_LOOKUPS_MAX)
    );
    assert_eq!(lookups(keys(old_key_of), false).1, Vec::<String>::new());
}

#[test]
fn foreign_keys_are_only_searched_for() {
    let (searched, looked_up) = lookups(vec![item(Action::Update, "b", &[key_of("ben", 1)])], true);
    assert_eq!((searched.len(), looked_up.len()), (1, 0));
    let created = lookups(vec![item(Action::Create, "b", &[key_of("ben", 1)])], true);
    assert_eq!(created, (vec![], vec![]));
}

#[test]
fn verified_keys_are_not_looked_up() {
    let (searched, references) = planned(
        vec![item(
            Action::Update,
            "b",
            &[key_of("ben", 1), key_of("ana", 2)],
        )],
        true,
    );

    let (looked_up, verification) = references.objects_to_head(searched.into_iter().collect());
    assert!(looked_up.is_empty() && verification.lookup_results.is_empty());
}
