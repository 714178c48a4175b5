//! No valid request makes more work than the bound of its route. The bytes that are unpacked and
//! parsed are counted, not timed.

mod routes;

use serde_json::{Value, json};
use tidemark_core::model::{
    limits::{DELIVERY_BYTES_MAX, PAGE_READ_BYTES_MAX, SEGMENT_BYTES_MAX},
    work,
};
use tidemark_tests::{Device, Item, Stack};

/// Bytes of a large payload.
const LARGE: usize = 340_000;
/// Number of pushes, each with 8 small edits of 8 large resources. Their segments unpack to 2.7 MB
/// each.
const PUSHES: u64 = 12;

/// Creates eight large resources and edits each of them many times from `ana`'s phone. Every
/// version is in the log.
async fn large_log(stack: &Stack) -> Device<'_> {
    let writer = stack.device("ana", "phone");
    let text = "0".repeat(LARGE);
    for number in 0..8 {
        let create = Item::create("meter", &format!("m-{number}"), json!({"text": text}));
        assert_eq!(writer.push_one(create).await["status"], "ok");
    }

    for version in 1..=PUSHES {
        let edit = |number: usize| {
            let id = format!("m-{number}");
            Item::update("meter", &id, version, json!({"n": version})).base(version)
        };
        let results = writer.push((0..8).map(edit).collect()).await;
        assert!(
            results.iter().all(|result| result["status"] == "ok"),
            "{results:?}"
        );
    }

    stack.settle().await;
    writer
}

/// Pulls to the end and returns the number of pages. No page unpacks more than the bound plus the
/// segments that are read whole.
async fn pull(device: &mut Device<'_>, start: &Value) -> usize {
    device.set_since(start);
    for pages in 1..100 {
        let before = device.since();

        work::take();
        let page = device.pull_page(500).await;
        let unpacked = work::take().unpacked;
        assert!(
            unpacked <= PAGE_READ_BYTES_MAX + 3 * SEGMENT_BYTES_MAX,
            "a page unpacks {unpacked} bytes"
        );

        if page["has_more"] == false {
            return pages;
        }
        assert_ne!(device.since(), before, "each page advances the token");
    }
    panic!("the pull does not end");
}

#[tokio::test]
async fn page_is_bounded_by_unpacked_bytes() {
    let stack = Stack::new();
    let (mut ben, mut phone) = (stack.device("ben", "tablet"), stack.device("ana", "phone"));
    ben.pull().await;
    let start = ben.since();
    large_log(&stack).await;

    let pages = pull(&mut ben, &start).await;
    assert!(pages > 3, "{pages} pages");
    assert!(
        ben.rows()
            .values()
            .all(|held| held.server_version == PUSHES + 1),
        "{:?}",
        ben.rows().keys()
    );
    assert_eq!(ben.rows().len(), 8);

    // Changes that the device itself made are omitted from its pages, and read nevertheless.
    assert!(pull(&mut phone, &start).await > 3);
}

#[tokio::test]
async fn small_edits_do_not_unpack_large_rows() {
    let stack = Stack::new();
    let device = stack.device("ana", "phone");
    let zeros = "0,".repeat(LARGE / 2 - 1);
    let nested = |inner: &str| {
        format!(
            "{{\"id\":\"m\",\"p\":{}{inner}{}}}",
            "{\"a\":".repeat(60),
            "}".repeat(60)
        )
    };
    let item = |action: &str, version: u64, payload: &str| {
        Item::new("meter", action, version)
            .base(version.min(1))
            .payload(serde_json::from_str(payload).expect("JSON"))
    };

    let create = item(
        "create",
        0,
        &nested(&format!("{{\"k\":0,\"z\":[{zeros}0]}}")),
    );
    assert_eq!(device.push_one(create).await["status"], "ok");
    let edits: Vec<Value> = (1..=50)
        .map(|version| {
            item(
                "update",
                version,
                &nested(&format!("{{\"k\":\"{version}\"}}")),
            )
            .into()
        })
        .collect();
    let sent = edits
        .iter()
        .map(|edit| edit.to_string().len())
        .sum::<usize>();

    work::take();
    let results = device.push(edits.into()).await;
    let work = work::take();

    assert!(
        results.iter().all(|result| result["status"] == "ok"),
        "{:?}",
        results[0]
    );
    assert!(
        work.parsed <= 10 * LARGE + 30 * sent,
        "{work:?} for {sent} bytes"
    );
    assert!(
        work.unpacked == 0 && work.packed <= 2 * sent,
        "{work:?} for {sent} bytes"
    );
}

#[tokio::test]
async fn delivery_lookup_of_conflict_is_bounded() {
    let stack = Stack::new();
    let mut ben = stack.device("ben", "tablet");
    let create = Item::create("meter", "small", json!({}));
    assert_eq!(ben.push_one(create).await["status"], "ok");
    let other = |n: u64| Item::update("meter", "small", 1, json!({"n": n})).base(1);
    assert_eq!(
        stack.device("ana", "tablet").push_one(other(1)).await["status"],
        "ok"
    );
    let conflict = ben.push_one(other(2)).await["conflict_id"]
        .as_str()
        .expect("a conflict")
        .to_owned();

    let admin = stack.token("acme", "eve", &["admin"], &[]);
    let resolve = stack
        .post(
            &format!("conflicts/{conflict}/resolve"),
            &admin,
            &json!({"resolution": "accept_client"}),
        )
        .await;
    resolve.ok();

    large_log(&stack).await;
    ben.pull().await;
    ben.ack().await.ok();

    work::take();
    stack
        .get(&format!("conflicts/{conflict}"), &admin)
        .await
        .ok();
    let unpacked = work::take().unpacked;
    assert!(
        unpacked <= DELIVERY_BYTES_MAX + 2 * SEGMENT_BYTES_MAX,
        "the request unpacks {unpacked} bytes"
    );
}
