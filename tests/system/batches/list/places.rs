//! The places of batches in lists: batches of the same millisecond have different ones, so that a
//! page can end between them.

use chrono::Duration;
use serde_json::json;
use tidemark_tests::Stack;

use super::{
    super::{create, edit, id_of, push},
    die, read_pages,
};

const NAMES: [&str; 3] = ["b1", "b2", "b3"];

/// Reads a list in pages of one batch, in both orders. Checks that it contains each batch once.
async fn assert_each_is_listed_once(stack: &Stack, outcome: &str) {
    for order in ["newest", "oldest"] {
        let query = format!("outcome={outcome}&order={order}&limit=1");
        let (mut read, _) = read_pages(stack, &query).await;
        read.sort();
        let mut expected = NAMES.map(|name| id_of("ana", name));
        expected.sort();
        assert_eq!(read, expected, "{query}");
    }
}

#[tokio::test]
async fn equal_failed_batches_have_different_places() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    for name in NAMES {
        push(&ana, name, &json!([edit("missing", 1, "x")])).await;
    }
    assert_each_is_listed_once(&stack, "error").await;
}

#[tokio::test(start_paused = true)]
async fn equal_unanswered_batches_have_different_places() {
    let stack = Stack::new();
    for name in NAMES {
        die(&stack, name, &json!([create("m", "1")])).await;
    }
    stack.advance(Duration::minutes(2));
    assert_each_is_listed_once(&stack, "unanswered").await;
}
