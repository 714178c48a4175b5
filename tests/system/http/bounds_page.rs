//! The numbers in `docs/protocol.md` match `limits.rs`: each row of the tables of *Bounds*, and the
//! sentences elsewhere that repeat a bound.

mod rows;

use std::{fs, path::Path};

use serde_json::Value;
use tidemark_core::model::limits::{
    BATCH_ITEMS_MAX, CONFLICT_EDITS_MAX, DEDUPLICATION_EDITS, DELIVERY_SEGMENTS_MAX, GROUPS_MAX,
    HIGH_WATER_MARKS_MAX, LIST_DEFAULT, LIST_MAX, MEDIA_KEYS_MAX, NAME_BYTES_MAX, NOTE_CHARS_MAX,
    PAGE_CHANGES_DEFAULT, PAGE_CHANGES_MAX, PAYLOAD_FIELDS_MAX,
};
use tidemark_tests::Stack;

use rows::{count, rows};

fn page(name: &str) -> String {
    fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../docs")
            .join(name),
    )
    .unwrap()
}

/// Returns the first cell and the rest of each row in the tables of *Bounds*.
fn bounds(page: &str) -> Vec<(&str, &str)> {
    let chapter = page
        .split("\n## ")
        .find(|text| text.starts_with("Bounds"))
        .unwrap();
    let rows = chapter
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
    rows.filter(|(_, rest)| !rest.starts_with("bound |"))
        .collect()
}

async fn published() -> Value {
    let stack = Stack::new();
    stack
        .get("sync/limits", &stack.token("acme", "ana", &[], &[]))
        .await
        .ok()
}

/// Returns whether the text contains the number or text as a whole: 8 is not a part of 18 or of
/// 8,000.
fn states(text: &str, expected: &str) -> bool {
    let continues = |letter: char| letter.is_ascii_alphanumeric() || letter == ',';
    text.match_indices(expected).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + expected.len()..]);
        let is_longer = after.starts_with(continues) && !after.starts_with(", ");
        !before.ends_with(continues) && !is_longer
    })
}

#[tokio::test]
async fn bounds_tables_state_the_limits() {
    let page = page("protocol.md");
    let (rows, mut seen) = (rows(&published().await), 0);

    for (what, rest) in bounds(&page) {
        let cell = format!("{what} |");
        let row = rows
            .iter()
            .filter(|(begin, _)| cell.starts_with(begin))
            .collect::<Vec<_>>();
        assert_eq!(
            row.len(),
            1,
            "the row {what:?} of protocol.md must be compared with limits.rs: add it to rows()"
        );
        let bound = rest.split(" | ").next().unwrap();
        for expected in &row[0].1 {
            assert!(
                states(bound, expected),
                "{what}: protocol.md states {bound:?}, limits.rs {expected:?}"
            );
        }
        seen += 1;
    }

    assert_eq!(seen, rows.len(), "protocol.md lacks a row that rows() has");
}

/// Checks that the published bounds, as the page shows them, are those of a deployment with the
/// settings of the template.
#[tokio::test]
async fn bounds_example_is_what_limits_returns() {
    let page = page("protocol.md");
    let chapter = page
        .split("\n## ")
        .find(|text| text.starts_with("Bounds"))
        .unwrap();
    let example = chapter
        .split("```")
        .find_map(|text| text.strip_prefix("json\n"))
        .unwrap();
    let (mut example, mut published): (Value, Value) =
        (serde_json::from_str(example).unwrap(), published().await);

    for limits in [&mut example, &mut published] {
        limits["media"]["types"] = "the example shortens them".into();
    }
    assert_eq!(example, published);
}

/// Returns the sentences of `protocol.md` that repeat a bound.
fn repeated_bounds() -> [String; 13] {
    let note = count(NOTE_CHARS_MAX);
    [
        format!("the last {DEDUPLICATION_EDITS} edits, and never fewer"),
        format!("the last {HIGH_WATER_MARKS_MAX} devices that did so"),
        format!("**`client_wins` knows {HIGH_WATER_MARKS_MAX} devices.**"),
        format!("A conflict keeps its edits as a list, at most {CONFLICT_EDITS_MAX},"),
        format!("`items` not a list, empty or more than {BATCH_ITEMS_MAX}."),
        format!("| `items` | required | 1 to {BATCH_ITEMS_MAX} edits,"),
        format!("1 to {PAGE_CHANGES_MAX}, {PAGE_CHANGES_DEFAULT} if not given"),
        format!("(1 to {LIST_MAX}, {LIST_DEFAULT} if not given)"),
        format!("at most {note} letters"),
        format!("more than {PAYLOAD_FIELDS_MAX} fields changed since"),
        format!("A payload names at most {MEDIA_KEYS_MAX} keys"),
        format!("a list of at most {GROUPS_MAX} texts of 1 to {NAME_BYTES_MAX} bytes"),
        format!("at most {DELIVERY_SEGMENTS_MAX}\nsegments"),
    ]
}

/// Checks the sentences of the documentation that repeat a bound.
#[test]
fn repeated_bounds_state_the_limits() {
    let architecture = format!("of the last {HIGH_WATER_MARKS_MAX}: the highest `client_version`");
    let repeated = repeated_bounds()
        .map(|sentence| ("protocol.md", sentence))
        .into_iter()
        .chain([("architecture.md", architecture)]);

    for (name, sentence) in repeated {
        assert!(
            page(name).contains(&sentence),
            "{name} lacks {sentence:?}: correct the page, or this list"
        );
    }
}

#[test]
fn number_is_found_by_itself_only() {
    for (text, expected, is_found) in [
        ("1 to 50", "50", true),
        ("500", "50", false),
        ("150", "50", false),
        ("5,000", "5", false),
        ("8, or", "8", true),
    ] {
        assert_eq!(states(text, expected), is_found, "{text}");
    }
}
