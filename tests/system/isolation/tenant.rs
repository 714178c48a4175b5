//! The tenant whose data an intruder requests: resources, conflicts, a batch, an upload and an
//! entry of the audit log, so that every route could return something.

use serde_json::{Value, json};
use tidemark_tests::{
    Device, Item, Stack,
    scenario::{self, member_of_north},
};

use super::{GROUP, IntruderKnowledge, OWN, asks::item};

/// Fills a tenant with data that any route could return.
pub(crate) async fn tenant(stack: &Stack) -> IntruderKnowledge {
    let [mut ana, ben, mia] = ["ana", "ben", "mia"].map(|user| member_of_north(stack, user));
    let admin = scenario::admin(stack);

    let photo = upload_photo(stack, &ana.token).await;
    push_versions(&mia).await;
    let batch = push_own_batch(&ana, &photo).await;
    let (conflict, decided) = (
        conflict_id(&batch["results"][1]),
        conflict_id(&batch["results"][2]),
    );
    let group_conflict = conflict_id(&ben.push_one(task("update", 1, "ben")).await);

    resolve(stack, &admin, &decided).await;
    stack.settle().await;
    pull_and_ack(stack, &mut ana).await;
    // Ben is no longer a member of the group.
    assert_eq!(mia.push_one(task("update", 2, GROUP)).await["status"], "ok");
    stack.settle().await;

    IntruderKnowledge {
        conflict,
        group_conflict,
        decided,
        batch: batch["batch_id"].as_str().expect("an id").to_owned(),
        rejected_batch: push_rejected_batch(&ana).await,
        token: ana.since(),
        cursor: audit_cursor(stack, &admin).await,
        photo,
    }
}

/// Returns an edit of a meter in the channel of the tenant.
fn meter(action: &str, id: &str, version: u64, by: &str) -> Item {
    let edit = scenario::meter(action, id, version, json!({"by": by}));
    edit.channel("tenant")
}

/// Returns an edit of the task of the group.
fn task(action: &str, version: u64, by: &str) -> Item {
    let edit = item("task", action, "group/north", "t-1", version);
    edit.payload(json!({"id": "t-1", "by": by}))
}

/// Uploads a photo and returns its key.
async fn upload_photo(stack: &Stack, token: &str) -> String {
    let request =
        json!({"filename": "photo.jpg", "content_type": "image/jpeg", "content_length": 5});
    let presigned = stack.post("media/presign", token, &request).await.ok();
    assert_eq!(stack.upload(&presigned, b"photo").await, 200);
    presigned["key"].as_str().expect("a key").to_owned()
}

/// Writes two versions of two meters and of the task of the group.
async fn push_versions(mia: &Device<'_>) {
    mia.push(json!([
        meter("create", "m-1", 0, "mia"),
        meter("update", "m-1", 1, "mia again"),
        meter("create", "m-2", 0, "mia"),
        meter("update", "m-2", 1, "mia again"),
        task("create", 0, "mia"),
        task("update", 1, "mia again")
    ]))
    .await;
}

/// Pushes a submission with the photo, and two edits of meters that conflict. Returns the response.
async fn push_own_batch(ana: &Device<'_>, photo: &str) -> Value {
    let payload = json!({"id": "s-1", "form_id": "f", "data": OWN, "media": [photo]});
    let submission = item("submission", "create", "user/ana", "s-1", 0).payload(payload);
    let batch = json!([
        submission,
        meter("update", "m-1", 1, OWN),
        meter("update", "m-2", 1, OWN)
    ]);
    ana.push_batch("b", &batch).await.ok()
}

/// Pushes a submission without a required field. Returns the id of the batch.
async fn push_rejected_batch(ana: &Device<'_>) -> String {
    let payload = json!({"id": "s-3", "form_id": "f"});
    let submission = item("submission", "create", "user/ana", "s-3", 0).payload(payload);
    let batch = ana.push_batch("rejected", &json!([submission])).await.ok();
    assert_eq!(batch["results"][0]["status"], "error", "{batch}");
    batch["batch_id"].as_str().expect("an id").to_owned()
}

fn conflict_id(result: &Value) -> String {
    result["conflict_id"]
        .as_str()
        .unwrap_or_else(|| panic!("{result}"))
        .to_owned()
}

async fn resolve(stack: &Stack, admin: &str, conflict: &str) {
    let decision = json!({"resolution": "accept_server", "note": OWN});
    stack
        .post(&format!("conflicts/{conflict}/resolve"), admin, &decision)
        .await
        .ok();
}

async fn pull_and_ack(stack: &Stack, ana: &mut Device<'_>) {
    ana.pull().await;
    let ack = json!({"ack_token": ana.since(), "device_id": "phone", "app_version": OWN});
    stack.post("sync/ack", &ana.token, &ack).await.ok();
}

/// Returns the position of an admin in the audit log.
async fn audit_cursor(stack: &Stack, admin: &str) -> String {
    let page = stack.get("audit?order=oldest", admin).await.ok();
    page["next_cursor"].as_str().expect("a cursor").to_owned()
}
