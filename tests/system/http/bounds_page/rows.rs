//! The rows of the tables of *Bounds* as `limits.rs` and the settings of a deployment define them.

use serde_json::Value;
use tidemark_core::model::limits::{
    AUDITED_ITEM_BYTES_MAX, BASE_SEGMENTS_MAX, BATCH_ID_BYTES_MAX, BATCH_ITEMS_MAX, BODY_BYTES_MAX,
    BULK_BYTES_MAX, BULK_CONFLICTS_MAX, BULK_ITEM_SECONDS_MAX, BULK_SECONDS_MAX,
    COMMIT_ATTEMPTS_MAX, CONFLICT_EDITS_MAX, CONFLICTS_COUNTED_MAX, CONFLICTS_SCANNED_MAX,
    CURSOR_BYTES_MAX, DEDUPLICATION_EDITS, DELIVERY_SEGMENTS_MAX, FAILED_BATCHES_EXAMINED_MAX,
    GROUPS_MAX, HIGH_WATER_MARKS_MAX, LIST_DEFAULT, LIST_MAX, MEDIA_BYTES_MAX, MEDIA_KEY_BYTES_MAX,
    MEDIA_KEYS_MAX, MEDIA_LOOKUPS_MAX, MEDIA_OLD_LOOKUPS_MAX, NAME_BYTES_MAX, NESTING_MAX,
    NOTE_CHARS_MAX, OPEN_CONFLICTS_MAX, PAGE_BYTES_MAX, PAGE_CHANGES_DEFAULT, PAGE_CHANGES_MAX,
    PAGE_READ_BYTES_MAX, PAGE_READ_ENTRIES_MAX, PAYLOAD_BYTES_MAX, PAYLOAD_FIELDS_MAX,
    RECEIPTS_MAX, REPLAYED_BATCHES_MAX, RESOLUTIONS_MAX, RESPONSE_BYTES_MAX, SENTENCE_CHARS_MAX,
    TOKEN_BYTES_MAX, UNANSWERED_BATCHES_EXAMINED_MAX, UNCOMPRESSED_RESPONSE_BYTES_MAX, VERSION_MAX,
    WAS_BYTES_MAX,
};

/// How the first cell of a row begins, and the texts that its second cell must contain.
type Row = (&'static str, Vec<String>);

/// Formats a number with a comma between its thousands, as the page does.
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

pub(super) fn count(number: usize) -> String {
    grouped(number as u64)
}

/// Formats a size in the unit that the page uses for it. The unit must divide the size.
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

fn bytes(bytes: usize, unit: &str) -> String {
    size(bytes as u64, unit)
}

/// Returns each row of the tables. `published` is the response of `GET /sync/limits` from a
/// deployment with the settings of the template.
pub(super) fn rows(published: &Value) -> Vec<Row> {
    [
        item_rows(),
        request_rows(),
        response_rows(),
        batch_rows(),
        resource_rows(),
        media_rows(published),
        time_rows(published),
    ]
    .concat()
}

/// Returns the bounds of an item and its payload.
fn item_rows() -> Vec<Row> {
    assert_eq!(VERSION_MAX, (1 << 53) - 1);
    let payload = vec![
        bytes(PAYLOAD_BYTES_MAX, "KiB"),
        format!("({} bytes)", count(PAYLOAD_BYTES_MAX)),
    ];
    vec![
        ("one payload", payload),
        ("its top-level fields", vec![count(PAYLOAD_FIELDS_MAX)]),
        ("its nesting", vec![count(NESTING_MAX)]),
        ("its media keys", vec![count(MEDIA_KEYS_MAX)]),
        ("`was` of an item", vec![bytes(WAS_BYTES_MAX, "KiB")]),
        ("a name:", vec![format!("1 to {NAME_BYTES_MAX} bytes")]),
        ("a version", vec!["2^53 − 1".to_owned()]),
    ]
}

/// Returns the bounds of a request and its caller.
fn request_rows() -> Vec<Row> {
    let pull = format!("1 to {PAGE_CHANGES_MAX}, default {PAGE_CHANGES_DEFAULT}");
    let list = format!("1 to {LIST_MAX}, default {LIST_DEFAULT}");
    let note = format!("{} letters", count(NOTE_CHARS_MAX));
    let picks = vec![count(PAYLOAD_FIELDS_MAX), bytes(PAYLOAD_BYTES_MAX, "KiB")];
    let bulk = format!("1 to {BULK_CONFLICTS_MAX}");
    vec![
        ("one request body", vec![bytes(BODY_BYTES_MAX, "MiB")]),
        ("items of a push", vec![format!("1 to {BATCH_ITEMS_MAX}")]),
        ("groups of a principal", vec![count(GROUPS_MAX)]),
        ("`limit` of a pull", vec![pull]),
        ("`limit` of a list", vec![list]),
        ("a pull token", vec![bytes(TOKEN_BYTES_MAX, "KiB")]),
        ("a cursor", vec![bytes(CURSOR_BYTES_MAX, "KiB")]),
        ("note of a resolution", vec![note]),
        ("picks of a resolution by field", picks),
        ("conflicts of a bulk resolution", vec![bulk]),
    ]
}

/// Returns the bounds of a response, and of what is read for it.
fn response_rows() -> Vec<Row> {
    let read = vec![
        bytes(PAGE_READ_BYTES_MAX, "MB"),
        count(PAGE_READ_ENTRIES_MAX),
    ];
    let bulk = vec![
        bytes(BULK_BYTES_MAX, "MB"),
        format!("{BULK_SECONDS_MAX} seconds"),
        format!("{BULK_ITEM_SECONDS_MAX} seconds"),
    ];
    let plain = bytes(UNCOMPRESSED_RESPONSE_BYTES_MAX, "KiB");
    let sentence = format!("{SENTENCE_CHARS_MAX} letters");
    let segments = count(DELIVERY_SEGMENTS_MAX);
    vec![
        ("a response |", vec![bytes(RESPONSE_BYTES_MAX, "MB")]),
        ("the changes of a page", vec![bytes(PAGE_BYTES_MAX, "MB")]),
        (
            "conflicts examined for a page of a filtered list",
            vec![count(CONFLICTS_SCANNED_MAX)],
        ),
        (
            "open conflicts that a summary counts",
            vec![count(CONFLICTS_COUNTED_MAX)],
        ),
        ("receipts in a pull token", vec![count(RECEIPTS_MAX)]),
        ("data read for a page, decompressed", read),
        ("data loaded for a bulk request", bulk),
        ("a response that is never compressed", vec![plain]),
        ("a sentence", vec![sentence]),
        ("segments read backwards for *delivered*", vec![segments]),
        (
            "segments read backwards for the base",
            vec![count(BASE_SEGMENTS_MAX)],
        ),
    ]
}

/// Returns the bounds of requests about several batches, and of corrections.
fn batch_rows() -> Vec<Row> {
    let replay = vec![
        format!("1 to {REPLAYED_BATCHES_MAX}"),
        format!("{} bytes", count(BATCH_ID_BYTES_MAX)),
    ];
    vec![
        ("batches of a bulk replay", replay),
        (
            "failed batches examined",
            vec![count(FAILED_BATCHES_EXAMINED_MAX)],
        ),
        (
            "received batches examined",
            vec![count(UNANSWERED_BATCHES_EXAMINED_MAX)],
        ),
        (
            "an item in the audit entry of a correction",
            vec![bytes(AUDITED_ITEM_BYTES_MAX, "KiB")],
        ),
    ]
}

/// Returns the bounds of what is stored with a resource and its conflicts.
fn resource_rows() -> Vec<Row> {
    let conflicts = count(OPEN_CONFLICTS_MAX as usize);
    [
        ("open conflicts of a device", conflicts),
        (
            "edits in the deduplication window of a resource",
            count(DEDUPLICATION_EDITS),
        ),
        (
            "devices that a resource records",
            count(HIGH_WATER_MARKS_MAX),
        ),
        (
            "fields whose last writer a resource records",
            count(PAYLOAD_FIELDS_MAX),
        ),
        ("edits in one conflict", count(CONFLICT_EDITS_MAX)),
        (
            "resolutions that a resource records",
            count(RESOLUTIONS_MAX),
        ),
        (
            "attempts to write a contended resource",
            COMMIT_ATTEMPTS_MAX.to_string(),
        ),
    ]
    .map(|(what, bound)| (what, vec![bound]))
    .to_vec()
}

/// Returns the bounds of uploads and of their keys.
fn media_rows(published: &Value) -> Vec<Row> {
    let set = |setting: &str| published.pointer(setting).and_then(Value::as_u64).unwrap();
    let lookups = vec![
        count(MEDIA_LOOKUPS_MAX),
        format!("{MEDIA_OLD_LOOKUPS_MAX} of the old form"),
    ];
    let upload = vec![
        size(set("/media/bytes_max"), "MiB"),
        size(MEDIA_BYTES_MAX, "GiB"),
    ];
    let url = format!("{} minutes", set("/media/url_seconds") / 60);
    vec![
        ("media keys of a batch", lookups),
        ("one upload", upload),
        ("a media key", vec![format!("{MEDIA_KEY_BYTES_MAX} bytes")]),
        ("validity of an upload URL", vec![url]),
    ]
}

/// Returns how long tokens, keys and stored data are valid.
fn time_rows(published: &Value) -> Vec<Row> {
    let days = |setting: &str| {
        let days = published.pointer(setting).and_then(Value::as_u64).unwrap();
        vec![format!("{days} days")]
    };
    vec![
        ("validity of a token", vec!["one day".to_owned()]), // a setting that is not published
        ("age of a key set", vec!["24 hours".to_owned()]),   // a constant of the key set alone
        ("age of a position in the log", days("/retention/log_days")),
        (
            "retention of batches and raw items",
            days("/retention/batch_days"),
        ),
    ]
}
