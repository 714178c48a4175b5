//! §6.3: only keys that this deployment presigned are looked up, and a batch looks up a bounded
//! number of them.

use std::sync::Arc;

use serde_json::{Value, json};
use tidemark_core::{
    model::limits::{MEDIA_LOOKUPS_MAX, MEDIA_OLD_LOOKUPS_MAX},
    rules::media::{Keyring, MediaKey},
};
use tidemark_tests::{Item, Meter, Stack};
use uuid::Uuid;

use super::{PHOTO, key, keyring, old_key, presigned, upload_to};

const SECRET: &str = "a secret of a test, of at least 32 bytes";
const OTHER_SECRET: &str = "another secret of a test, of at least 32 bytes";

/// Returns a create of a form with these media keys.
fn form(temp_id: &str, media: &[String]) -> Item {
    let payload = json!({"form_id": "f-1", "data": {}, "media": media});
    Item::create_as("submission", temp_id, payload)
}

/// Returns an update of the form `id` to these media keys.
fn update(id: &Value, base: u64, media: &[String]) -> Item {
    Item::new("submission", "update", base)
        .base(base)
        .payload(json!({"id": id, "media": media, "base": base}))
}

/// Returns fifty forms with `keys_each` media keys each. All keys are different.
fn many(keys_each: u128, key: impl Fn(u128) -> String) -> Value {
    let forms = (0..50_u128).map(|number| {
        let keys: Vec<String> = (0..keys_each)
            .map(|at| key(number * keys_each + at))
            .collect();
        form(&format!("t-{number}"), &keys)
    });
    forms.collect::<Vec<_>>().into()
}

fn forged(secret: &str, number: u128) -> String {
    let keyring = Keyring::new(secret, None).expect("long enough");
    MediaKey::new(
        "acme",
        "ana",
        Uuid::from_u128(number),
        PHOTO.len() as u64,
        "image/jpeg",
        &keyring,
    )
    .to_string()
}

fn codes(results: &[Value]) -> Vec<&str> {
    results
        .iter()
        .map(|result| result["code"].as_str().unwrap_or("ok"))
        .collect()
}

#[tokio::test]
async fn forged_keys_cost_no_lookup() {
    let meter = Arc::new(Meter::default());
    let stack = Stack::hooked(meter.clone()).today();
    let results = stack
        .device("ana", "phone")
        .push(many(50, |number| forged(OTHER_SECRET, number)))
        .await;

    let calls = meter.take().calls;
    // The one read is of the resources themselves, because no write shows whether they exist.
    assert!(
        !calls.contains_key("HeadObject") && calls["BatchGetItem"] == 1,
        "{calls:?}"
    );

    for result in &results {
        assert_eq!(
            (&result["code"], &result["retryable"]),
            (&json!("invalid_media_key"), &json!(false))
        );
    }
}

#[tokio::test]
async fn forged_old_keys_cost_bounded_lookups() {
    let meter = Arc::new(Meter::default());
    let stack = Stack::hooked(meter.clone()).today();
    let results = stack
        .device("ana", "phone")
        .push(many(50, |number| old_key("ana", number)))
        .await;
    // Each key is looked up where it would be kept, and where it would arrive.
    assert_eq!(meter.take().calls["HeadObject"], 2 * MEDIA_OLD_LOOKUPS_MAX);
    let expected = [vec!["media_missing"], vec!["unavailable"; 49]].concat();
    assert_eq!(codes(&results), expected);
    assert!(results.iter().all(|result| result["retryable"] == true));
}

#[tokio::test]
async fn shared_key_costs_one_lookup_per_batch() {
    let meter = Arc::new(Meter::default());
    let stack = Stack::hooked(meter.clone()).today();
    let photo = presigned(&stack).await;
    stack.upload(&photo, PHOTO).await;
    let forms: Vec<Item> = (0..50)
        .map(|number| form(&format!("t-{number}"), &[key(&photo)]))
        .collect();

    meter.take();
    let results = stack.device("ana", "phone").push(forms.into()).await;
    assert_eq!(codes(&results), ["ok"; 50]);
    let calls = meter.take().calls;
    assert_eq!((calls["HeadObject"], calls["CopyObject"]), (2, 1));
    assert_eq!(stack.rows("submission_media").len(), 50);
}

#[tokio::test]
async fn retried_batch_looks_up_the_remaining_keys() {
    let meter = Arc::new(Meter::default());
    let stack = Stack::hooked(meter.clone()).today();
    let ana = stack.device("ana", "phone");
    let keyring = keyring(&stack);
    let key = |number| {
        MediaKey::new(
            "acme",
            "ana",
            Uuid::from_u128(number),
            PHOTO.len() as u64,
            "image/jpeg",
            &keyring,
        )
        .to_string()
    };

    for number in 0..300 {
        upload_to(&stack, &key(number)).await;
    }
    let batch = many(6, key);
    meter.take();
    let first = ana.push_batch("b", &batch).await.ok()["results"]
        .as_array()
        .cloned()
        .expect("results");

    let applied = MEDIA_LOOKUPS_MAX / 6;
    assert_eq!(meter.take().calls["HeadObject"], 2 * MEDIA_LOOKUPS_MAX);
    assert_eq!(codes(&first)[..applied], vec!["ok"; applied]);
    assert!(
        first[applied..]
            .iter()
            .all(|result| result["code"] == "unavailable" && result["retryable"] == true)
    );

    let again = ana.push_batch("b", &batch).await.ok()["results"]
        .as_array()
        .cloned()
        .expect("results");
    assert_eq!(codes(&again), ["ok"; 50]);
    assert!(meter.take().calls["HeadObject"] <= 2 * (300 - applied * 6));

    // A batch with final results looks up nothing if it is repeated.
    ana.push_batch("b", &batch).await.ok();
    assert!(!meter.take().calls.contains_key("HeadObject"));
}

#[tokio::test]
async fn verified_keys_are_not_looked_up_again() {
    let meter = Arc::new(Meter::default());
    let stack = Stack::hooked(meter.clone()).today();
    let ana = stack.device("ana", "phone");
    let (first, second) = (presigned(&stack).await, presigned(&stack).await);
    stack.upload(&first, PHOTO).await;
    stack.upload(&second, PHOTO).await;
    let made = ana.push_one(form("t", &[key(&first)])).await;

    meter.take();
    assert_eq!(
        ana.push_one(update(&made["server_id"], 1, &[key(&first)]))
            .await["status"],
        "ok"
    );
    assert_eq!(
        ana.push_one(update(&made["server_id"], 2, &[])).await["status"],
        "ok"
    );
    assert_eq!(
        ana.push_one(update(&made["server_id"], 3, &[key(&first)]))
            .await["status"],
        "ok"
    );
    assert!(!meter.take().calls.contains_key("HeadObject"));

    assert_eq!(
        ana.push_one(update(&made["server_id"], 4, &[key(&first), key(&second)]))
            .await["status"],
        "ok"
    );
    assert_eq!(meter.take().calls["HeadObject"], 2);
}

#[tokio::test]
async fn old_keys_are_accepted_until_disabled() {
    let stack = Stack::new().today();
    let ana = stack.device("ana", "phone");
    let old = old_key("ana", 7);
    let missing = ana.push_one(form("t", std::slice::from_ref(&old))).await;
    assert_eq!(
        (&missing["code"], &missing["retryable"]),
        (&json!("media_missing"), &json!(true))
    );
    upload_to(&stack, &old).await;
    let made = ana.push_one(form("t", std::slice::from_ref(&old))).await;
    assert_eq!(made["status"], "ok", "{made}");
    assert_eq!(
        stack
            .device("ben", "phone")
            .push_one(form("t", &[old]))
            .await["code"],
        "invalid_media_key"
    );

    let strict = Stack::configured(&[("MEDIA_OLD_KEYS", "refuse")]).today();
    let rejected = old_key("ana", 8);
    upload_to(&strict, &rejected).await;
    let result = strict
        .device("ana", "phone")
        .push_one(form("t", &[rejected]))
        .await;
    assert_eq!(
        (&result["code"], &result["retryable"]),
        (&json!("invalid_media_key"), &json!(false))
    );
}

/// Uses rows and a resource from before keys had a MAC.
#[tokio::test]
async fn stored_old_keys_remain_when_disabled() {
    let engine = tidemark::engine::Engine::memory().expect("an engine");
    let hook = || Arc::new(tidemark::engine::http::NoHook);
    let before = Stack::configured_over(engine.clone(), hook(), &[]).today();
    let old = old_key("ana", 7);
    upload_to(&before, &old).await;
    let made = before
        .device("ana", "phone")
        .push_one(form("t", std::slice::from_ref(&old)))
        .await;
    assert_eq!(made["status"], "ok", "{made}");

    let strict = Stack::configured_over(engine, hook(), &[("MEDIA_OLD_KEYS", "refuse")]).today();
    let ana = strict.device("ana", "phone");
    for (base, media) in [(1, vec![old.clone()]), (2, vec![]), (3, vec![old])] {
        assert_eq!(
            ana.push_one(update(&made["server_id"], base, &media)).await["status"],
            "ok",
            "{base}"
        );
    }
}

#[tokio::test]
async fn previous_secret_is_accepted_after_a_rotation() {
    let before = forged(SECRET, 7);

    for (secrets, code) in [
        (vec![("MEDIA_SECRET", SECRET)], "media_missing"),
        (
            vec![
                ("MEDIA_SECRET", OTHER_SECRET),
                ("MEDIA_SECRET_PREVIOUS", SECRET),
            ],
            "media_missing",
        ),
        (vec![("MEDIA_SECRET", OTHER_SECRET)], "invalid_media_key"),
    ] {
        let stack = Stack::configured(&secrets).today();
        let result = stack
            .device("ana", "phone")
            .push_one(form("t", std::slice::from_ref(&before)))
            .await;
        assert_eq!(result["code"], code, "{secrets:?}");
    }
}
