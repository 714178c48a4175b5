//! The lookup of the uploads that the items of a push name.

use std::{collections::HashMap, sync::Arc};

use tidemark::engine::{
    Reply,
    http::{CallFate, Hook, NoHook},
};
use tidemark_aws::media::Media;
use tidemark_core::{
    model::{channel::Channel, principal::Principal, resource::ResourceKey},
    rules::media::{MediaCheck, MediaKey, Upload},
};
use tidemark_tests::{Meter, Script, Stack, hooks::Moment};

use super::{PHOTO, key, keyring, presigned, presigned_under};

fn media(stack: &Stack, hook: Arc<dyn Hook>) -> Media {
    stack.media("push", hook)
}

/// Returns the result of the lookup of one key.
pub(super) async fn checked(stack: &Stack, key: &str) -> MediaCheck {
    media(stack, Arc::new(NoHook))
        .check(vec![key.to_owned()])
        .await
        .remove(key)
        .unwrap()
}

#[tokio::test]
async fn upload_is_verified_with_size_and_type() {
    let stack = Stack::new().today();
    let response = presigned(&stack).await;
    stack.upload(&response, PHOTO).await;
    let upload = Upload {
        key: key(&response),
        content_length: PHOTO.len() as u64,
        content_type: "image/jpeg".into(),
    };
    assert_eq!(
        checked(&stack, &key(&response)).await,
        MediaCheck::Verified(upload)
    );
}

#[tokio::test]
async fn key_without_object_is_missing() {
    let stack = Stack::new().today();
    let response = presigned(&stack).await;
    assert_eq!(checked(&stack, &key(&response)).await, MediaCheck::absent());
    stack.upload(&response, PHOTO).await;
    assert!(matches!(
        checked(&stack, &key(&response)).await,
        MediaCheck::Verified(_)
    ));
}

/// Stores such an object through a URL that was signed for other properties than its key states.
#[tokio::test]
async fn object_unlike_its_key_is_missing() {
    let stack = Stack::new().today();
    for (bytes, content_type, words) in [
        (
            PHOTO.len() as u64 + 1,
            "image/jpeg",
            "has 21 bytes instead of the promised 22",
        ),
        (
            PHOTO.len() as u64,
            "image/png",
            "content type of the upload is not",
        ),
    ] {
        let unique = stack.parts("presign", Arc::new(NoHook)).clock.unique_id();
        let response = presigned_under(
            &stack,
            MediaKey::new("acme", "ana", unique, bytes, content_type, &keyring(&stack)),
        )
        .await;

        assert_eq!(stack.upload(&response, PHOTO).await, 200);
        let MediaCheck::Missing(sentence) = checked(&stack, &key(&response)).await else {
            panic!("{content_type} was found")
        };
        assert!(sentence.contains(words), "{sentence}");
    }
}

#[tokio::test]
async fn unavailable_store_is_not_a_missing_upload() {
    let stack = Stack::new().today();
    let key = key(&presigned(&stack).await);
    let error = |status| {
        CallFate::Reply(Reply {
            status,
            body: Vec::new(),
        })
    };

    for fate in [
        CallFate::Lose,
        error(500),
        error(503),
        error(400),
        error(403),
    ] {
        let broken = fate.clone();
        let hook = Arc::new(Script::new(move |_, _, _, _| broken.clone()));

        let checked = media(&stack, hook.clone()).check(vec![key.clone()]).await;
        assert_eq!(
            checked,
            HashMap::from([(key.clone(), MediaCheck::Unavailable)]),
            "{fate:?}"
        );
        assert!(hook.calls() > 0);
    }
}

#[tokio::test]
async fn lost_response_is_requested_again() {
    let stack = Stack::new().today();
    let response = presigned(&stack).await;
    stack.upload(&response, PHOTO).await;
    let hook = Script::new(|call, operation, path, moment| {
        let is_own = ["uploads", "incoming"]
            .iter()
            .any(|folder| path.starts_with(&format!("/media/{folder}/acme/ana/")));
        assert!(operation == "HeadObject" && is_own, "{operation} {path}");
        if call == 0 && moment == Moment::After {
            CallFate::Lose
        } else {
            CallFate::Continue
        }
    });

    let checked = media(&stack, Arc::new(hook))
        .check(vec![key(&response)])
        .await;
    assert!(matches!(checked[&key(&response)], MediaCheck::Verified(_)));
}

#[tokio::test(start_paused = true)]
async fn lookups_are_concurrent_and_deduplicated() {
    let stack = Stack::new().today();
    let mut keys = Vec::new();
    for _ in 0..40 {
        keys.push(key(&presigned(&stack).await));
    }

    let meter = Arc::new(Meter::default());
    let before = tokio::time::Instant::now();
    let checked = media(&stack, meter.clone())
        .check([keys.clone(), keys.clone()].concat())
        .await;
    let rounds = before.elapsed().as_millis() / tidemark_tests::hooks::ROUND_TRIP.as_millis();

    // Each key is looked up where it would be kept, and then where it would arrive.
    assert_eq!(
        (checked.len(), meter.take().calls["HeadObject"], rounds),
        (40, 80, 6)
    );
}

#[tokio::test]
async fn verified_upload_is_recorded_with_its_resource() {
    let stack = Stack::new();
    let context = stack.parts("push", Arc::new(NoHook));
    let ana = Principal {
        tenant: "acme".into(),
        user: "ana#1".into(),
        roles: vec![],
        groups: vec![],
    };
    let channel = Channel::User(ana.user.clone());
    let resource = ResourceKey {
        channel: channel.clone(),
        resource_type: "submission".into(),
        id: "sub-1".into(),
    };
    let upload = Upload {
        key: "uploads/acme/ana/1".into(),
        content_length: 21,
        content_type: "image/jpeg".into(),
    };

    for _ in 0..2 {
        let table = &context.tables.submission_media;
        table
            .put(
                &ana.scope(&channel),
                &resource,
                &upload,
                &ana,
                "phone",
                context.clock.now(),
            )
            .await
            .unwrap();
    }

    let text = |text: &str| serde_json::json!({"S": text});
    let row = serde_json::json!({
        "pk": text("acme#user/ana%h1#submission#sub-1"), "sk": text("uploads/acme/ana/1"), "key": text("uploads/acme/ana/1"),
        "content_type": text("image/jpeg"), "content_length": {"N": "21"}, "user": text("ana#1"), "device_id": text("phone"),
        "verified_at": text("2026-09-21T14:13:20.000Z"), "resource_type": text("submission"), "resource_id": text("sub-1"),
        "channel": text("user/ana#1"),
    });
    assert_eq!(stack.rows("submission_media"), [row]);
}
