//! Keeping uploads: the lifecycle of the bucket deletes an upload after some days from where it
//! arrives. The push that names the upload copies it from there, once.

use std::sync::Arc;

use serde_json::{Value, json};
use tidemark::engine::http::NoHook;
use tidemark_core::rules::media::MediaCheck;
use tidemark_tests::{Item, Meter, Stack, hooks::Gate};

use super::{PHOTO, arrival, key, presigned, stored};

/// Content of the same length as the photo.
const OTHER: &[u8] = b"A PHOTO, MORE OR LESS";

/// Pushes a form with the photo from Ana's phone.
async fn push_naming(stack: &Stack, presigned: &Value) -> Value {
    let payload = json!({"form_id": "f-1", "data": {}, "media": [key(presigned)]});
    let item = Item::create_as("submission", "t", payload).version(1);
    stack.device("ana", "phone").push_one(item).await
}

#[tokio::test]
async fn named_upload_is_kept_and_immutable() {
    let stack = Stack::new().today();
    let response = presigned(&stack).await;
    assert_eq!(stack.upload(&response, PHOTO).await, 200);
    assert_eq!(
        (
            stored(&stack, &arrival(&response)).await.as_deref(),
            stored(&stack, &key(&response)).await
        ),
        (Some(PHOTO), None)
    );
    assert_eq!(push_naming(&stack, &response).await["status"], "ok");

    // The URL is still valid, but what it stores is no longer read.
    assert_eq!(stack.upload(&response, OTHER).await, 200);
    assert_eq!(push_naming(&stack, &response).await["status"], "ok");
    assert_eq!(
        stored(&stack, &key(&response)).await.as_deref(),
        Some(PHOTO)
    );
}

/// The lifecycle of the bucket has deleted the object that arrived.
#[tokio::test]
async fn kept_upload_does_not_need_the_original() {
    let stack = Stack::new().today();
    let response = presigned(&stack).await;
    stack.upload(&response, PHOTO).await;
    push_naming(&stack, &response).await;
    stack.remove(&arrival(&response)).await;

    let meter = Arc::new(Meter::default());
    let media = stack.media("push", meter.clone());
    let checked = media
        .check_and_keep(vec![key(&response)])
        .await
        .remove(&key(&response));

    assert!(
        matches!(checked, Some(MediaCheck::Verified(_))),
        "{checked:?}"
    );
    assert_eq!(
        meter.take().calls.into_iter().collect::<Vec<_>>(),
        [("HeadObject".to_owned(), 1)]
    );
}

#[tokio::test]
async fn dry_run_keeps_no_upload() {
    let stack = Stack::new().today();
    let response = presigned(&stack).await;
    stack.upload(&response, PHOTO).await;
    let media = stack.media("batches", Arc::new(NoHook));
    assert!(matches!(
        media.check(vec![key(&response)]).await[&key(&response)],
        MediaCheck::Verified(_)
    ));
    assert_eq!(stored(&stack, &key(&response)).await, None);
}

/// The object that is kept is the object that was checked.
#[tokio::test]
async fn upload_replaced_during_copy_is_checked_again() {
    let stack = Stack::new().today();
    let response = presigned(&stack).await;
    stack.upload(&response, PHOTO).await;
    let gate = Arc::new(Gate::new(|call| call.operation == "CopyObject"));
    let media = stack.media("push", gate.clone());
    let keys = vec![key(&response)];

    let replaced = async {
        gate.reached().await;
        assert_eq!(stack.upload(&response, OTHER).await, 200);
        gate.open();
    };

    let (checked, ()) = tokio::join!(media.check_and_keep(keys.clone()), replaced);
    assert_eq!(
        (&checked[&keys[0]], stored(&stack, &keys[0]).await),
        (&MediaCheck::Unavailable, None)
    );

    assert!(matches!(
        media.check_and_keep(keys.clone()).await[&keys[0]],
        MediaCheck::Verified(_)
    ));
    assert_eq!(stored(&stack, &keys[0]).await.as_deref(), Some(OTHER));
}
