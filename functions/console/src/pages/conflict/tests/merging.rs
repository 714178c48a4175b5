//! The merge form.

use tidemark_core::{
    model::{
        catalog::Catalog,
        limits::{RESPONSE_BYTES_MAX, escaped_bytes},
    },
    rules::comparison::{ConflictSides, ROWS_MAX, compare, decide},
};

use super::*;
use crate::pages::conflict::entries::MergeEntries;

/// Returns the form for a review with the fields of an earlier form.
fn shown(review: &ConflictReview, form: &[(&str, &str)], is_editable: bool) -> String {
    let catalog = Catalog::parse("[meter]\nchannel = \"tenant\"\nid_prefix = \"m\"").expect("TOML");
    let current = review.current.as_ref().expect("a resource");
    let edits = &review.conflict.edits;
    let sides = ConflictSides::of(review.base.as_ref(), &current.payload, edits).expect("fields");
    let comparison = compare(&sides, catalog.get("meter"));
    let entries = MergeEntries::read(form.iter().copied());
    let decision = decide(&comparison, &entries.picks(&comparison.rows));

    merge::view(&MergeView {
        review,
        comparison: &comparison,
        decision: &decision,
        base_version: Some(5),
        entries: &entries,
        note: IMAGE,
        problems: &[FormProblem {
            pointer: Some("/reading".into()),
            text: format!("/reading: {IMAGE}"),
        }],
        changed: &HashSet::new(),
        is_editable,
        action: "./c-1",
    })
    .into_string()
}

/// Returns whether the radio button with this name and value is selected.
fn is_checked(page: &str, name: &str, value: &str) -> bool {
    let button = format!("type=\"radio\" name=\"{name}\" value=\"{value}\"");
    let (_, rest) = page
        .split_once(&button)
        .unwrap_or_else(|| panic!("{button} in {page}"));
    rest.starts_with(" checked")
}

fn meter() -> ConflictReview {
    review(
        Some(r#"{"reading":44,"note":"front","place":{"floor":1},"serial":9007199254740993}"#),
        r#"{"reading":50,"note":"front","place":{"floor":2},"serial":9007199254740993}"#,
        r#"{"reading":42.50,"note":"cellar"}"#,
    )
}

#[test]
fn only_overlapping_changes_need_a_decision() {
    let page = shown(&meter(), &[], true);
    assert!(page.contains("1 field to decide"), "{page}");
    for (name, value, expected) in [
        ("/reading", "server", false),
        ("/reading", "device", false),
        ("/note", "device", true),
        ("/place/floor", "server", true),
        ("/serial", "server", true),
    ] {
        assert_eq!(is_checked(&page, name, value), expected, "{name} {value}");
    }

    for text in [
        "both changed it",
        "only the device changed it",
        "only the server changed it",
        "1 unchanged field",
        "Store as version 8",
        "Base (version 5)",
        "name=\"expected_server_version\" value=\"7\"",
        "<bdi>place</bdi> › ",
        "42.50",
        "9007199254740993",
    ] {
        assert!(page.contains(text), "{text} in {page}");
    }
}

#[test]
fn picks_and_values_are_kept() {
    let form = [
        ("/reading", "value"),
        ("value:/reading", "\"<b>\""),
        ("/note", "remove"),
    ];
    let page = shown(&meter(), &form, true);
    assert!(is_checked(&page, "/reading", "value"));
    assert!(is_checked(&page, "/note", "remove"));
    assert!(
        page.contains("name=\"value:/reading\" value=\"&quot;&lt;b&gt;&quot;\""),
        "{page}"
    );
    assert!(page.contains("Every field is decided."), "{page}");
}

#[test]
fn problem_is_linked_to_its_row() {
    let page = shown(&meter(), &[], true);
    for text in [
        "<a href=\"#row-0\">/reading: &lt;img",
        "<tr id=\"row-0\" tabindex=\"-1\" class=\"invalid\">",
        "aria-invalid=\"true\" aria-describedby=\"error-0\"",
    ] {
        assert!(page.contains(text), "{text} in {page}");
    }
}

#[test]
fn names_and_values_of_fields_are_text() {
    let name = format!("{IMAGE}\u{202e}\u{5d0}");
    let object = |value: &str| format!("{{\"{name}\":{value},\"n\":{{\"{name}\":{value}}}}}");
    let value = |text: &str| format!("\"{IMAGE} {text}\u{202e}\"");
    let [base, server, patch] = ["a", "b", "c"].map(|text| object(&value(text)));
    let review = review(Some(&base), &server, &patch);

    for is_editable in [true, false] {
        let page = shown(&review, &[], is_editable);
        assert!(!page.contains("<img"), "{page}");
        assert!(
            page.contains("onerror=alert(1)&gt;[U+202E]\u{5d0}</bdi>"),
            "{page}"
        );
        // The name of a field of the form must be exact. It is not shown.
        let shown = page.replace("onerror=alert(1)&gt;\u{202e}\u{5d0}\"", "");
        assert!(!shown.contains('\u{202e}'), "{shown}");
    }
}

/// Returns the text of an object with this many fields, each with this value.
fn object(fields: usize, value: &str) -> String {
    let field = |number| format!("\"f{number}\":{value}");
    let fields: Vec<_> = (0..fields).map(field).collect();
    format!("{{{}}}", fields.join(","))
}

#[test]
fn large_conflicts_fit_into_a_response() {
    let fields = |letter: &str| object(ROWS_MAX - 1, &format!("\"{}\"", letter.repeat(330)));
    let arrays = |item: &str| object(35, &format!("[{}0]", item.repeat(4_500)));
    let texts = |word: &str| format!("{{\"text\":\"{}\"}}", word.repeat(2_000));
    let below = |value: &str| {
        let name = "n".repeat(1_000);
        format!("{{\"{name}\":{}}}", object(ROWS_MAX - 2, value))
    };

    for (what, [base, server, device]) in [
        ("values", ["<", "&", "\u{202e}"].map(fields)),
        ("arrays", ["0,", "1,", "2,"].map(arrays)),
        ("words", ["a b ", "a c ", "a d "].map(texts)),
        ("names", ["0", "1", "2"].map(below)),
    ] {
        let page = shown(&review(Some(&base), &server, &device), &[], true);
        let bytes = escaped_bytes(&page);
        assert!(bytes < RESPONSE_BYTES_MAX, "{what}: {bytes}");
        assert!(page.contains("more characters"), "{what}");
    }
}

#[test]
fn viewer_sees_no_actions() {
    let page = shown(&meter(), &[], false);
    for text in ["<form", "<button", "<input", "<textarea"] {
        assert!(!page.contains(text), "{text} in {page}");
    }
    assert!(
        page.contains("42.50") && page.contains("both changed it"),
        "{page}"
    );
}

#[test]
fn unknown_base_has_no_column() {
    let review = review(None, r#"{"reading":1.0}"#, r#"{"reading":1}"#);
    let page = shown(&review, &[], true);
    assert!(!page.contains("Base (version"), "{page}");
    assert!(page.contains("differs; the base is not known"), "{page}");
    assert!(page.contains("same number, other digits"), "{page}");
}
