//! The canonical text of values, and values that have none.

use super::*;
use crate::model::{json::Json, limits::NESTING_MAX};

fn raw(text: &str) -> Json {
    RawValue::from_string(text.to_owned()).expect("test JSON")
}

#[test]
fn canonical_text_keeps_digits_sorts_fields() {
    let value = raw(
        r#" { "b" : [1.0, 9007199254740993, 1e300 , {} , [ ]], "a" : "\u0041", "é" : -0, "c":true } "#,
    );
    let expected = r#"{"a":"A","b":[1.0,9007199254740993,1e300,{},[]],"c":true,"é":-0}"#;
    assert_eq!(canonical(&value).expect("canonical"), expected);
}

#[test]
fn last_field_with_same_name_counts() {
    for (text, expected) in [
        (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
        (
            r#"{"b":1,"a":2,"b":{"y":1,"x":2},"c":3,"\u0062":4}"#,
            r#"{"a":2,"b":4,"c":3}"#,
        ),
    ] {
        assert_eq!(canonical(&raw(text)).expect("canonical"), expected);
    }
}

#[test]
fn nesting_is_accepted_up_to_bound() {
    let nested = |depth: usize| raw(&format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
    assert!(canonical(&nested(NESTING_MAX)).is_ok());
    assert_eq!(canonical(&nested(NESTING_MAX + 1)), Err(JsonError::TooDeep));
    assert_eq!(canonical(&nested(100)), Err(JsonError::TooDeep));
}

#[test]
fn lone_surrogate_is_malformed() {
    assert!(matches!(
        canonical(&raw(r#"{"a":"\ud800"}"#)),
        Err(JsonError::Malformed(_))
    ));
    assert!(matches!(
        canonical(&raw(r#"{"\ud800":1}"#)),
        Err(JsonError::Malformed(_))
    ));
}
