//! Duplicate fields at every depth, and payloads that are returned unchanged.

use super::*;
use crate::model::{json::canonical, limits::NESTING_MAX};

fn raw(text: &str) -> Json {
    RawValue::from_string(text.to_owned()).expect("test JSON")
}

#[test]
fn last_duplicate_counts_at_every_depth() {
    for (text, expected) in [
        (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
        (r#"{"a":1,"b":2,"a":3}"#, r#"{"b":2,"a":3}"#),
        (r#"{"a":1,"\u0061":2}"#, r#"{"\u0061":2}"#),
        (r#"{"\u0061":1 , "a" : 2.0}"#, r#"{"a" : 2.0}"#),
        (
            r#"{"n":{"a":1,"a":1e3,"b":[{"c":1,"c":2}]}}"#,
            r#"{"n":{"a":1e3,"b":[{"c":2}]}}"#,
        ),
        (r#"[{"a":1,"a":2},{"a":1,"a":2}]"#, r#"[{"a":2},{"a":2}]"#),
        (
            r#"{"a":{"x":1,"x":2},"a":{"y":1,"y":2}}"#,
            r#"{"a":{"y":2}}"#,
        ),
        (
            r#"{"":1,"":2,"\"":3,"\"":4,"é":5,"\u00e9":6}"#,
            r#"{"":2,"\"":4,"\u00e9":6}"#,
        ),
        (r#"{"a":1,"a":2,"a":3,"a":4}"#, r#"{"a":4}"#),
    ] {
        let kept = without_duplicates(&raw(text));

        assert_eq!(kept.get(), expected, "{text}");
        assert_eq!(canonical(&kept), canonical(&raw(text)), "{text}");
    }
}

#[test]
fn value_without_duplicates_keeps_its_text() {
    for text in [
        "{}",
        "[ ]",
        " 1.0 ",
        r#"{"a" : [1.0, {"a":"\u0041"}] , "b":{"a":-0}}"#,
        r#""a,b""#,
        r#"{"A":1,"a":2}"#,
    ] {
        assert_eq!(without_duplicates(&raw(text)).get(), raw(text).get());
    }
}

#[test]
fn invalid_payload_is_returned_unchanged() {
    let deep = format!(
        "{}{{\"a\":1,\"a\":2}}{}",
        "[".repeat(NESTING_MAX),
        "]".repeat(NESTING_MAX)
    );
    assert_eq!(without_duplicates(&raw(&deep)).get(), deep);

    let surrogate = r#"{"\ud800":1,"a":1,"a":2}"#;
    assert_eq!(without_duplicates(&raw(surrogate)).get(), surrogate);
}

#[test]
fn many_duplicates_take_one_pass() {
    let fields: Vec<_> = (0..100_000)
        .map(|number| format!("\"{}\":{number}", number % 300))
        .collect();

    let kept = without_duplicates(&raw(&format!("{{{}}}", fields.join(","))));
    let kept: indexmap::IndexMap<String, u32> =
        serde_json::from_str(kept.get()).expect("an object");
    assert_eq!((kept.len(), kept["0"], kept["99"]), (300, 99_900, 99_999));
}
