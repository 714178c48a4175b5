use chrono::DateTime;
use serde_json::value::RawValue;
use tidemark_core::{
    model::result::{ItemCode, ItemResult, Rejection},
    wire::batches::RunsAsBody,
};

use super::*;

const HOSTILE: &str = "<img src=x onerror=alert(1)>";

fn links(may_replay: bool) -> BatchLinks {
    BatchLinks {
        list: "./batches".into(),
        batch: "./batches/b".into(),
        conflicts: "./conflicts".into(),
        replay: may_replay.then(|| "./batches/b/replay".into()),
    }
}

fn results(text: &str) -> Vec<ItemResultBody> {
    let rejection = Rejection::new(ItemCode::NotFound, text.to_owned());
    let conflict = ItemResult {
        conflict_id: Some("conf-1".into()),
        ..ItemResult::ok(0, None, text.to_owned(), Some(7))
    };
    let rejected = rejection.into_result(1, None, None, false);
    vec![conflict.into(), rejected.into()]
}

fn batch(text: &str, results: Option<Vec<ItemResultBody>>) -> BatchResponse {
    let item = serde_json::json!({ "payload": text }).to_string();
    BatchResponse {
        batch_id: text.into(),
        user: text.into(),
        device_id: text.into(),
        received_at: DateTime::UNIX_EPOCH,
        processed_at: None,
        items: vec![RawValue::from_string(item).ok(), None],
        next_item: Some(2),
        items_omitted: vec![1],
        results,
        delivered: false,
    }
}

fn page(text: &str, replayed: Option<&ReplayResponse>, may_replay: bool) -> String {
    let batch = batch(text, Some(results(text)));
    let page = html! {
        (facts(&batch))
        (items(&batch, 0, replayed, &links(may_replay)))
    };
    page.into_string()
}

fn replayed() -> ReplayResponse {
    ReplayResponse {
        batch_id: "b".into(),
        dry_run: true,
        runs_as: RunsAsBody {
            user: HOSTILE.into(),
            roles: vec![HOSTILE.into()],
            groups: vec![],
        },
        processed_at: DateTime::UNIX_EPOCH,
        results: results("as replayed"),
    }
}

#[test]
fn items_are_next_to_their_results() {
    let page = page("ana", None, true);
    for text in [
        "{&quot;payload&quot;:&quot;ana&quot;}",
        "too large for a page",
        "href=\"./batches/b/items/0\">0</a>",
        "<bdi>ana</bdi>, version 7",
        "<code>not_found</code>",
        "href=\"./conflicts/conf-1\"",
        "href=\"./batches/b?from=2\"",
        "action=\"./batches/b/replay\"",
    ] {
        assert!(page.contains(text), "{text} in {page}");
    }
    assert!(!page.contains("Dry run</th>"), "{page}");
}

#[test]
fn dry_run_is_next_to_previous_results() {
    let page = page("as before", Some(&replayed()), true);
    let at = |text: &str| page.find(text).expect(text);
    assert!(at("Dry run</th>") < at("<bdi>as before</bdi>, version 7"));
    assert!(at("<bdi>as before</bdi>, version 7") < at("<bdi>as replayed</bdi>, version 7"));
    let claims = runs_as(&replayed()).into_string();
    assert!(!claims.contains("<img"), "{claims}");
}

#[test]
fn viewer_sees_no_actions() {
    let page = page("ana", None, false);
    assert!(!page.contains("<form") && page.contains("All batches"));
}

#[test]
fn texts_are_no_markup() {
    let page = page(HOSTILE, None, true);
    assert!(!page.contains("<img"), "{page}");
}

#[test]
fn batch_without_results_is_explained() {
    let page = facts(&batch("ana", None)).into_string();
    assert!(page.contains("has no results"), "{page}");
}
