//! Checks that a parsed request and its edits preserve what was sent.

use std::collections::HashSet;

use tidemark_core::{
    model::{
        channel::Scope,
        json::{self, Json},
        limits::{BATCH_ITEMS_MAX, SORT_KEY_BYTES_MAX, is_name},
        resource::ResourceKey,
        result::ItemCode,
        token::Token,
    },
    rules::push::{
        edit::{Edit, Sender},
        group::{Group, Item},
        intake::Intake,
    },
    wire::{push::PushRequest, token::sync_token},
};

pub(super) fn check_request(push: &PushRequest, body: &[u8]) {
    assert!(is_name(&push.device_id) && push.batch_id.as_deref().is_none_or(is_name));
    assert!((1..=BATCH_ITEMS_MAX).contains(&push.items.len()));
    let text = std::str::from_utf8(body).expect("a parsed body is UTF-8");
    assert!(
        push.items.iter().all(|item| text.contains(item.get())),
        "items keep their text"
    );
    let token = sync_token(push.client_sync_token.as_deref());
    assert!(
        Token::decode(&token).is_ok(),
        "the token of the response can be decoded"
    );
}

/// Checks that every item is either in one group or rejected, that keys fit the tables, and that
/// edits preserve the request's content.
pub(super) fn check_intake(items: &[Json], intake: &Intake, sender: Sender<'_>) {
    let rejected = intake.rejected.iter().map(|response| response.index);
    let mut indexes: Vec<usize> = intake
        .groups
        .iter()
        .flat_map(Group::indexes)
        .chain(rejected)
        .collect();
    indexes.sort_unstable();
    assert!(
        indexes.into_iter().eq(0..items.len()),
        "each item occurs once"
    );

    let keys: HashSet<&ResourceKey> = intake.groups.iter().map(|group| &group.key).collect();
    assert_eq!(keys.len(), intake.groups.len(), "a resource has one group");

    for group in &intake.groups {
        assert!(group.indexes().is_sorted() && !group.items.is_empty());
        let key = &group.key;
        let scope = Scope {
            tenant: sender.principal.tenant.clone(),
            channel: key.channel.clone(),
        };

        assert!(
            sender.principal.may_use(&key.channel)
                && sender.catalog.get(&key.resource_type).is_some()
                && is_name(&key.id)
        );
        assert!(
            key.sort_key().len() <= SORT_KEY_BYTES_MAX
                && scope.partition().len() <= 2 * SORT_KEY_BYTES_MAX
        );
        assert_eq!(
            ResourceKey::parse(&scope, &key.sort_key()).as_ref(),
            Some(key)
        );

        for item in &group.items {
            match item {
                Item::Edit(edit) => check_edit(edit, &items[edit.index]),
                Item::Rejected(response) => assert!(
                    response
                        .code
                        .is_some_and(|code| code != ItemCode::Unavailable)
                ),
            }
        }
    }
}

/// Checks that the payload of an edit equals the request's payload text field by field, except for
/// `id` and for values that a later duplicate field replaces.
fn check_edit(edit: &Edit, item: &Json) {
    let kept = json::fields(&edit.payload).expect("an object");
    let sent = json::fields(item)
        .expect("an object")
        .get("payload")
        .map(|payload| json::without_duplicates(payload));
    let sent = sent
        .and_then(|payload| json::fields(&payload))
        .unwrap_or_default();
    let texts = |(name, value): (&String, &Json)| (name.clone(), value.get().to_owned());

    assert!(
        kept.iter()
            .map(texts)
            .eq(sent.iter().filter(|(name, _)| *name != "id").map(texts)),
        "a payload preserves its text"
    );

    let canonical = json::canonical(&edit.payload).expect("edits have canonical payloads");
    assert_eq!(json::digest([canonical.as_bytes()])[..16], edit.digest);
}
