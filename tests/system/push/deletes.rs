//! A deleted resource stays deleted when older requests are retried (§4.9).

use serde_json::{Value, json};
use tidemark_tests::Stack;

use super::{create, delete, edit};

#[tokio::test]
async fn no_retry_restores_a_deleted_resource() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    let sent = [create("m"), edit("m", 1, 1, "a"), delete("m", 2)].map(Value::from);
    let mut first: Vec<Value> = Vec::new();
    for item in &sent {
        first.push(ana.push_one(item.clone()).await);
    }
    assert!(first.iter().all(|result| result["status"] == "ok"));

    for (item, first) in sent.iter().zip(&mut first) {
        if item["action"] != "delete" {
            first["server_payload_omitted"] = true.into(); // the device must not apply it any more (§3.6)
        }
        assert_eq!(ana.push_one(item.clone()).await, *first);
    }

    // New edits do not restore it either: an update that is based on the delete is an error, and a
    // stale update or a create conflicts.
    assert_eq!(
        ana.push_one(edit("m", 3, 3, "b")).await["code"],
        "resource_deleted"
    );
    let stale = stack
        .device("ben", "phone")
        .push_one(edit("m", 1, 1, "c"))
        .await;
    assert_eq!(
        (&stale["status"], &stale["server_deleted"]),
        (&json!("conflict"), &json!(true))
    );
    assert_eq!(
        stack.device("ben", "phone").push_one(create("m")).await["code"],
        "id_taken"
    );

    assert_eq!(stack.rows("resources")[0]["deleted"]["BOOL"], true);
    assert_eq!(
        stack.payload_of(&stack.rows("resources")[0]),
        r#"{"by":"a"}"#,
        "the last payload is kept"
    );
}

#[tokio::test]
async fn pull_delivers_deletes_and_snapshot_omits_them() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    let mut ben = stack.device("ben", "phone");
    ana.push(json!([create("m"), create("n")])).await;
    stack.settle().await;
    ben.pull().await;
    ana.push_one(delete("m", 1)).await;
    stack.settle().await;

    let changes = ben.pull().await;
    assert_eq!(
        (&changes[0]["action"], changes[0].get("payload")),
        (&json!("delete"), None)
    );
    assert_eq!(ben.live().into_keys().collect::<Vec<_>>(), ["n"]);
    let mut eva = stack.device("eva", "phone");
    assert_eq!(eva.pull().await.len(), 1);
}

#[tokio::test]
async fn stale_delete_conflicts_and_deletes_nothing() {
    let stack = Stack::new();
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    ana.push_one(create("m")).await;
    ana.push_one(edit("m", 1, 1, "a")).await;

    let result = ben.push_one(delete("m", 1)).await;
    assert_eq!(
        result["error"],
        "Version mismatch: server_version=2, client_version=1"
    );
    assert_eq!(stack.conflicts()[0]["action"]["S"], "delete");
    assert_eq!(stack.rows("resources")[0]["deleted"]["BOOL"], false);
    assert_eq!(
        ben.push_one(delete("nothing", 1)).await["code"],
        "not_found"
    );
}
