//! The pages of batches: the list, one batch, its replay, and the correction of an item.

mod permissions;

use chrono::Duration;
use serde_json::{Value, json};
use tidemark_tests::{Item, Stack};

use super::{
    audit::all_pages,
    browser::{Browser, location},
    deployment,
};
use crate::batches::{boss, create, edit, everything, get, push};

/// Pushes a batch of Ana's phone with an item that is applied, one that conflicts, one about a
/// meter that is created afterwards, and one with an invalid payload. Returns its id.
async fn batch(stack: &Stack) -> String {
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    for id in ["stale", "m"] {
        ben.push(json!([create(id, "1"), edit(id, 1, "ben's")]))
            .await;
    }
    let invalid = Item::new("meter", "update", 3).base(1);
    let items = json!([
        create("mine", "<img src=x onerror=alert(1)>"),
        edit("stale", 1, "ana's"),
        edit("missing", 1, "late"),
        invalid.with("payload", json!([1]))
    ]);
    let id = push(&ana, "b", &items).await;
    ben.push_one(create("missing", "1")).await;
    stack.advance(Duration::seconds(1));
    id
}

/// Returns the codes of the results of a batch.
async fn codes(stack: &Stack, id: &str) -> Vec<Value> {
    let batch = get(stack, &boss(stack), id).await.ok();
    let results = batch["results"].as_array().unwrap();
    results
        .iter()
        .map(|result| result["code"].clone())
        .collect()
}

/// Returns the encoded fields of a form.
fn form(fields: &[(&str, &str)]) -> String {
    let mut encoder = form_urlencoded::Serializer::new(String::new());
    encoder.extend_pairs(fields).finish()
}

/// Pushes [`batch`], and a batch with a rejected item of two other users, a second apart. Returns
/// their ids.
async fn three_batches(stack: &Stack) -> Vec<String> {
    let mut ids = vec![batch(stack).await];
    for user in ["<b>", "eve"] {
        let device = stack.device(user, "phone");
        ids.push(push(&device, "b", &json!([edit("none", 1, "x")])).await);
        stack.advance(Duration::seconds(1));
    }
    ids
}

#[tokio::test]
async fn batches_are_listed_by_outcome() {
    let stack = deployment();
    let ids = three_batches(&stack).await;
    let mut browser = Browser::signed_in(&stack, &["viewer"]);
    let mut shown = async |path: &str| -> Vec<String> {
        let pages = all_pages(&mut browser, path).await;
        let of_page = |page: &String| -> Vec<String> {
            let on_page = ids.iter().filter(|id| page.contains(&format!("/{id}\">")));
            on_page.cloned().collect()
        };
        pages.iter().flat_map(of_page).collect()
    };

    let newest: Vec<String> = ids.iter().rev().cloned().collect();
    assert_eq!(shown("batches?limit=1").await, newest);
    assert_eq!(shown("batches?limit=1&order=oldest").await, ids);
    assert_eq!(shown("batches?outcome=conflict").await, ids[..1]);
    assert_eq!(shown("batches?user=eve&device_id=phone").await, ids[2..]);
    assert!(shown("batches?outcome=unanswered").await.is_empty());
    let from = (stack.now() - Duration::seconds(1)).format("%Y-%m-%dT%H:%M:%S");
    assert_eq!(shown(&format!("batches?from={from}")).await, ids[2..]);
}

#[tokio::test]
async fn list_opens_batches_and_checks_filters() {
    let stack = deployment();
    let ids = three_batches(&stack).await;
    let mut browser = Browser::signed_in(&stack, &["viewer"]);
    let page = browser.get("batches").await.text;
    assert!(page.contains("<bdi>&lt;b&gt;</bdi>"), "{page}");
    assert!(!page.contains("checkbox"), "a viewer cannot replay");

    for path in [
        "batches?outcome=ok",
        "batches?device_id=phone",
        "batches?from=x",
        "batches?cursor=x",
    ] {
        assert_eq!(browser.get(path).await.status, 400, "{path}");
    }
    let opened = browser.get(&format!("batches?id=+{}+", ids[0])).await;
    assert_eq!(location(&opened), format!("./batches/{}", ids[0]));
}

#[tokio::test]
async fn items_are_shown_with_results() {
    let stack = deployment();
    let id = batch(&stack).await;
    let mut browser = Browser::signed_in(&stack, &["viewer"]);
    let page = browser.get(&format!("batches/{id}")).await;
    assert_eq!(page.status, 200, "{}", page.text);
    for text in [
        "&lt;img src=x",
        "<bdi>mine</bdi>, version 1",
        "<code>version_mismatch</code>",
        "<code>not_found</code>",
        "payload: ",
        "href=\"./../conflicts/conf-",
    ] {
        assert!(page.text.contains(text), "{text} in {}", page.text);
    }
    assert!(!page.text.contains("<img") && !page.text.contains("Dry run"));

    let item = browser.get(&format!("batches/{id}/items/3")).await;
    assert!(
        item.text.contains("<strong>rejected</strong>"),
        "{}",
        item.text
    );
    assert!(!item.text.contains("<textarea"), "a viewer cannot correct");
    for path in ["items/4", "items/50", "items/x"] {
        let response = browser.get(&format!("batches/{id}/{path}")).await;
        assert_eq!(response.status, 404, "{path}");
    }
}

#[tokio::test]
async fn dry_run_precedes_the_replay() {
    let stack = deployment();
    let id = batch(&stack).await;
    let mut browser = Browser::signed_in(&stack, &["admin"]);
    let page = browser.get(&format!("batches/{id}")).await.text;
    let action = format!("action=\"./../batches/{id}/replay\"");
    assert!(page.contains(&action), "{page}");

    let path = format!("batches/{id}/replay");
    let before = everything(&stack);
    for body in ["dry_run=yes", "", "dry_run=other"] {
        let dry_run = browser.post(&path, body).await;
        assert_eq!(dry_run.status, 200, "{}", dry_run.text);
        assert!(dry_run.text.contains("Nothing was written"), "{body}");
        let (previous, replayed) = ("<code>not_found</code>", "<bdi>missing</bdi>, version 2");
        let at = |text: &str| dry_run.text.find(text).unwrap();
        assert!(at(previous) < at(replayed), "{}", dry_run.text);
    }
    assert_eq!(everything(&stack), before);

    let replayed = browser.post(&path, "dry_run=no").await;
    assert_eq!(location(&replayed), format!("./../../batches/{id}"));
    let expected = [Value::Null, json!("version_mismatch"), Value::Null];
    assert_eq!(codes(&stack, &id).await[..3], expected);
    let audit = browser.get("audit").await.text;
    assert!(audit.contains("replayed a batch"), "{audit}");
}

#[tokio::test]
async fn several_batches_are_replayed() {
    let stack = deployment();
    let id = batch(&stack).await;
    let unknown = crate::batches::id_of("ana", "unknown");
    let mut browser = Browser::signed_in(&stack, &["admin"]);
    let list = browser.get("batches").await.text;
    assert!(
        list.contains(&format!("name=\"batch_id\" value=\"{id}\"")),
        "{list}"
    );

    let selected = [("batch_id", id.as_str()), ("batch_id", unknown.as_str())];
    let before = everything(&stack);
    let dry_run = browser.post("batches/replay", &form(&selected)).await;
    assert_eq!(dry_run.status, 200, "{}", dry_run.text);
    assert!(
        dry_run.text.contains("Replay these batches"),
        "{}",
        dry_run.text
    );
    assert_eq!(everything(&stack), before);

    let replay = form(&[selected[0], selected[1], ("dry_run", "no")]);
    let page = browser.post("batches/replay", &replay).await.text;
    // Two items are applied, one conflicts and one is rejected; the other batch does not exist.
    assert!(page.contains("<td>2</td><td>1</td><td>1</td>"), "{page}");
    assert!(page.contains("not replayed: "), "{page}");
    assert_eq!(codes(&stack, &id).await[2], Value::Null);
    assert_eq!(
        browser.post("batches/replay", "dry_run=no").await.status,
        400
    );
}

/// The payload of a correction, with digits and an order that no number or map preserves.
const PAYLOAD: &str = r#"{"id":"m","z":1.50,"a":9007199254740993}"#;

/// Returns the encoded form of a correction.
fn correction(payload: &str, dry_run: &str) -> String {
    let version = ("base_version", "2");
    form(&[
        ("payload", payload),
        version,
        ("note", "why"),
        ("dry_run", dry_run),
    ])
}

#[tokio::test]
async fn correction_form_keeps_its_entries() {
    let stack = deployment();
    let id = batch(&stack).await;
    let mut browser = Browser::signed_in(&stack, &["admin"]);
    let path = format!("batches/{id}/items/3");
    let page = browser.get(&path).await.text;
    assert!(page.contains("/items/3/correct\""), "{page}");

    let correct = format!("{path}/correct");
    let before = everything(&stack);
    let dry_run = browser.post(&correct, &correction(PAYLOAD, "yes")).await;
    assert_eq!(dry_run.status, 200, "{}", dry_run.text);
    let invalid = browser.post(&correct, &correction("{<img", "no")).await;
    assert_eq!(invalid.status, 400, "{}", invalid.text);
    assert_eq!(everything(&stack), before);

    let shown = ["<bdi>m</bdi>, version 3", "&quot;z&quot;:1.50", ">why<"];
    for text in shown {
        assert!(dry_run.text.contains(text), "{text} in {}", dry_run.text);
    }
    let reason = "href=\"#correction-payload\"";
    for text in [reason, "{&lt;img", "value=\"2\"", ">why<"] {
        assert!(invalid.text.contains(text), "{text} in {}", invalid.text);
    }
}

#[tokio::test]
async fn rejected_item_is_corrected() {
    let stack = deployment();
    let id = batch(&stack).await;
    let mut browser = Browser::signed_in(&stack, &["admin"]);
    let path = format!("batches/{id}/items/3");
    let correct = format!("{path}/correct");
    let corrected = browser.post(&correct, &correction(PAYLOAD, "no")).await;
    let reference = format!("./../../../../{path}");
    assert_eq!(location(&corrected), reference);

    let rows = stack.rows("resources");
    let row = rows.iter().find(|row| row["sk"]["S"] == "meter#m");
    let stored = stack.payload_of(row.unwrap());
    let expected = r#""z":1.50,"a":9007199254740993"#;
    assert!(stored.contains(expected), "{stored}");

    let page = browser.get(&path).await.text;
    assert!(page.contains("applied</strong>, corrected"), "{page}");
    assert!(!page.contains("<textarea"), "it cannot be corrected again");
    let again = browser.post(&correct, &correction("{}", "no")).await;
    assert_eq!(again.status, 422, "{}", again.text);
}

#[tokio::test]
async fn viewer_cannot_change_batches() {
    let stack = deployment();
    let id = batch(&stack).await;
    let before = everything(&stack);
    let mut browser = Browser::signed_in(&stack, &["viewer"]);
    let fields = form(&[
        ("batch_id", id.as_str()),
        ("payload", "{}"),
        ("dry_run", "no"),
    ]);
    for path in [
        "batches/replay".to_owned(),
        format!("batches/{id}/replay"),
        format!("batches/{id}/items/3/correct"),
    ] {
        assert_eq!(browser.post(&path, &fields).await.status, 403, "{path}");
    }
    assert_eq!(everything(&stack), before);

    let token = stack.token("umbrella", "eve", &["admin"], &[]);
    let mut other = Browser::with_token(&stack, &token);
    for path in [format!("batches/{id}"), format!("batches/{id}/items/3")] {
        assert_eq!(other.get(&path).await.status, 404, "{path}");
    }
    let replay = format!("batches/{id}/replay");
    assert_eq!(other.post(&replay, "dry_run=no").await.status, 404);
    assert_eq!(everything(&stack), before);
}
