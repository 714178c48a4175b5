//! The numbers of `docs/protocol.md` are those of `limits.rs`: each row of the tables of *Bounds*,
//! and what other places repeat.

use std::{fs, path::Path};

use serde_json::Value;
use tidemark_core::limits;
use tidemark_tests::Stack;

fn page(name: &str) -> String {
    fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../docs")
            .join(name),
    )
    .unwrap()
}

/// A number with a comma between its thousands, as the page writes it.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn count(number: usize) -> String {
    grouped(number as u64)
}

/// A size in the unit that the page uses for it, which must divide it.
fn size(bytes: u64, unit: &str) -> String {
    let unit_bytes = match unit {
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "MB" => 1_000_000,
        _ => panic!("{unit}"),
    };
    assert_eq!(
        bytes % unit_bytes,
        0,
        "{bytes} bytes are no whole number of {unit}"
    );
    format!("{} {unit}", bytes / unit_bytes)
}

/// Each row of the tables: how its first cell begins, and what its second cell must contain.
/// `published` is what `GET /sync/limits` returns for a deployment with the settings of the
/// template.
fn rows(published: &Value) -> Vec<(&'static str, Vec<String>)> {
    let set = |setting: &str| published.pointer(setting).and_then(Value::as_u64).unwrap();
    let bytes = |bytes: usize, unit| size(bytes as u64, unit);
    assert_eq!(limits::VERSION_MAX, (1 << 53) - 1);
    vec![
        (
            "one request body",
            vec![bytes(limits::BODY_BYTES_MAX, "MiB")],
        ),
        (
            "items of a push",
            vec![format!("1 to {}", limits::BATCH_ITEMS_MAX)],
        ),
        (
            "one payload",
            vec![
                bytes(limits::PAYLOAD_BYTES_MAX, "KiB"),
                format!("({} bytes)", count(limits::PAYLOAD_BYTES_MAX)),
            ],
        ),
        (
            "its top-level fields",
            vec![count(limits::PAYLOAD_FIELDS_MAX)],
        ),
        ("its nesting", vec![count(limits::NESTING_MAX)]),
        ("its media keys", vec![count(limits::MEDIA_KEYS_MAX)]),
        (
            "media keys of a batch",
            vec![
                count(limits::MEDIA_LOOKUPS_MAX),
                format!("{} of the old form", limits::MEDIA_OLD_LOOKUPS_MAX),
            ],
        ),
        (
            "a name:",
            vec![format!("1 to {} bytes", limits::NAME_BYTES_MAX)],
        ),
        ("groups of a principal", vec![count(limits::GROUPS_MAX)]),
        ("validity of a token", vec!["one day".to_owned()]), // a setting that is not published
        ("a version", vec!["2^53 − 1".to_owned()]),
        (
            "`limit` of a pull",
            vec![format!(
                "1 to {}, default {}",
                limits::PAGE_CHANGES_MAX,
                limits::PAGE_CHANGES_DEFAULT
            )],
        ),
        (
            "`limit` of a list",
            vec![format!(
                "1 to {}, default {}",
                limits::LIST_MAX,
                limits::LIST_DEFAULT
            )],
        ),
        ("a pull token", vec![bytes(limits::TOKEN_BYTES_MAX, "KiB")]),
        ("a cursor", vec![bytes(limits::CURSOR_BYTES_MAX, "KiB")]),
        (
            "note of a decision",
            vec![format!("{} letters", count(limits::NOTE_LETTERS_MAX))],
        ),
        (
            "one upload",
            vec![
                size(set("/media/bytes_max"), "MiB"),
                size(limits::MEDIA_BYTES_MAX, "GiB"),
            ],
        ),
        ("an answer |", vec![bytes(limits::RESPONSE_BYTES_MAX, "MB")]),
        (
            "the changes of a page",
            vec![bytes(limits::PAGE_BYTES_MAX, "MB")],
        ),
        (
            "receipts in a pull token",
            vec![count(limits::RECEIPTS_MAX)],
        ),
        (
            "open conflicts of a device",
            vec![count(limits::OPEN_CONFLICTS_MAX as usize)],
        ),
        (
            "what is read for a page, unpacked",
            vec![
                bytes(limits::PAGE_READ_BYTES_MAX, "MB"),
                count(limits::PAGE_READ_ENTRIES_MAX),
            ],
        ),
        (
            "an answer that is never packed",
            vec![bytes(limits::UNCOMPRESSED_RESPONSE_BYTES_MAX, "KiB")],
        ),
        (
            "a sentence",
            vec![format!("{} letters", limits::SENTENCE_LETTERS_MAX)],
        ),
        (
            "a media key",
            vec![format!("{} bytes", limits::MEDIA_KEY_BYTES_MAX)],
        ),
        (
            "the time an upload URL is good",
            vec![format!("{} minutes", set("/media/url_seconds") / 60)],
        ),
        (
            "edits a row remembers",
            vec![count(limits::DEDUPLICATION_EDITS)],
        ),
        (
            "devices a row remembers",
            vec![count(limits::HIGH_WATER_MARKS_MAX)],
        ),
        (
            "fields of which a row remembers",
            vec![count(limits::PAYLOAD_FIELDS_MAX)],
        ),
        (
            "edits in one conflict",
            vec![count(limits::CONFLICT_EDITS_MAX)],
        ),
        (
            "resolutions a resource remembers",
            vec![count(limits::RESOLUTIONS_MAX)],
        ),
        (
            "tries to win a contended row",
            vec![limits::COMMIT_ATTEMPTS_MAX.to_string()],
        ),
        ("age of a key set", vec!["24 hours".to_owned()]), // a constant of the key set alone
        (
            "age of a position in the log",
            vec![format!("{} days", set("/retention/log_days"))],
        ),
        (
            "segments read backwards",
            vec![count(limits::DELIVERY_SEGMENTS_MAX)],
        ),
        (
            "memory of batches and raw items",
            vec![format!("{} days", set("/retention/batch_days"))],
        ),
    ]
}

/// The cells of each row in the tables of *Bounds*.
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

/// Whether the text contains the number or text by itself: 8 is not a part of 18 or of 8,000.
fn states(text: &str, expected: &str) -> bool {
    let continues = |letter: char| letter.is_ascii_alphanumeric() || letter == ',';
    text.match_indices(expected).any(|(at, _)| {
        let (before, behind) = (&text[..at], &text[at + expected.len()..]);
        let is_longer = behind.starts_with(continues) && !behind.starts_with(", ");
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
                "{what}: protocol.md says {bound:?}, limits.rs {expected:?}"
            );
        }
        seen += 1;
    }
    assert_eq!(seen, rows.len(), "protocol.md lacks a row that rows() has");
}

/// The published bounds, as the page shows them, are those of a deployment with the settings of the
/// template.
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

/// Sentences of the documentation that repeat a bound.
#[test]
fn repeated_bounds_state_the_limits() {
    let repeated = [
        (
            "protocol.md",
            format!(
                "the last {} edits, and never fewer",
                limits::DEDUPLICATION_EDITS
            ),
        ),
        (
            "protocol.md",
            format!(
                "the last {} devices that did so",
                limits::HIGH_WATER_MARKS_MAX
            ),
        ),
        (
            "protocol.md",
            format!(
                "**`client_wins` knows {} devices.**",
                limits::HIGH_WATER_MARKS_MAX
            ),
        ),
        (
            "protocol.md",
            format!(
                "A conflict keeps its edits as a list, at most {},",
                limits::CONFLICT_EDITS_MAX
            ),
        ),
        (
            "protocol.md",
            format!(
                "`items` not a list, empty or more than {}.",
                limits::BATCH_ITEMS_MAX
            ),
        ),
        (
            "protocol.md",
            format!(
                "| `items` | required | 1 to {} edits,",
                limits::BATCH_ITEMS_MAX
            ),
        ),
        (
            "protocol.md",
            format!(
                "1 to {}, {} if not given",
                limits::PAGE_CHANGES_MAX,
                limits::PAGE_CHANGES_DEFAULT
            ),
        ),
        (
            "protocol.md",
            format!(
                "(1 to {}, {} if not given)",
                limits::LIST_MAX,
                limits::LIST_DEFAULT
            ),
        ),
        (
            "protocol.md",
            format!("at most {} letters", count(limits::NOTE_LETTERS_MAX)),
        ),
        (
            "protocol.md",
            format!(
                "more than {} fields changed since",
                limits::PAYLOAD_FIELDS_MAX
            ),
        ),
        (
            "protocol.md",
            format!("A payload names at most {} keys", limits::MEDIA_KEYS_MAX),
        ),
        (
            "protocol.md",
            format!(
                "a list of at most {} texts of 1 to {} bytes",
                limits::GROUPS_MAX,
                limits::NAME_BYTES_MAX
            ),
        ),
        (
            "protocol.md",
            format!("at most {}\nsegments", limits::DELIVERY_SEGMENTS_MAX),
        ),
        (
            "architecture.md",
            format!(
                "of the last {}: the highest `client_version`",
                limits::HIGH_WATER_MARKS_MAX
            ),
        ),
    ];
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
