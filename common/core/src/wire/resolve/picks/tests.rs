//! Picks of every kind, and picks that are rejected.

use super::*;
use crate::model::json::Json;

fn raw(text: &str) -> Json {
    RawValue::from_string(text.to_owned()).expect("JSON")
}

fn read(text: &str) -> Result<Picks, Problem> {
    read_picks(&json::fields(&raw(text)).expect("an object"))
}

/// Returns the code, the path and the `reason` of a problem.
fn rejection(text: &str) -> (ProblemCode, String, Option<String>) {
    let problem = read(text).expect_err(text);
    let reason = problem.members.first().map(|(_, value)| value.to_string());
    (problem.code, problem.path.unwrap_or_default(), reason)
}

#[test]
fn every_kind_of_pick_is_read() {
    let text = r#"{"a":"client","b":"server","c":{"value":[1.0, 9007199254740993]},
        "d":{"remove":true},"e":{"value":null},"f":{"value":{"x":1,"x":2.50}},"id":7}"#;
    let picks = read(text).expect("picks").0;

    let read: Vec<String> = picks
        .iter()
        .map(|(name, pick)| match pick {
            Pick::Client => format!("{name} client"),
            Pick::Server => format!("{name} server"),
            Pick::Remove => format!("{name} remove"),
            Pick::Value(value) => format!("{name} {value}"),
        })
        .collect();
    let expected = [
        "a client",
        "b server",
        "c [1.0, 9007199254740993]",
        "d remove",
        "e null",
        r#"f {"x":2.50}"#,
    ];
    assert_eq!(read, expected);
}

#[test]
fn malformed_pick_is_named() {
    for pick in [
        r#""both""#,
        "1",
        "null",
        "true",
        "[]",
        "{}",
        r#"{"remove":false}"#,
        r#"{"remove":1}"#,
        r#"{"value":1,"remove":true}"#,
        r#"{"client":true}"#,
    ] {
        let text = format!(r#"{{"ok":"client","bad":{pick}}}"#);
        let expected = (ProblemCode::InvalidRequest, "fields.bad".to_owned(), None);
        assert_eq!(rejection(&text), expected, "{pick}");
    }

    let surrogate = r#"{"a":{"value":"\ud800"}}"#;
    let expected = (ProblemCode::InvalidRequest, "fields".to_owned(), None);
    assert_eq!(rejection(surrogate), expected);
}

#[test]
fn picks_have_bounds_of_a_payload() {
    let many = |count: usize| {
        let picks: Vec<String> = (0..count)
            .map(|at| format!(r#""f{at}":"client""#))
            .collect();
        format!("{{{}}}", picks.join(","))
    };
    assert_eq!(read(&many(500)).expect("picks").0.len(), 500);
    let too_many = (ProblemCode::InvalidRequest, "fields".to_owned(), None);
    assert_eq!(rejection(&many(501)), too_many);

    let value = |value: &str| format!(r#"{{"a":{{"value":{value}}}}}"#);
    let nested = |depth: usize| value(&format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
    let unprocessable = |reason: &str| {
        let reason = Some(format!("{reason:?}"));
        (ProblemCode::Unprocessable, "fields".to_owned(), reason)
    };
    read(&nested(63)).expect("the depth of a payload");
    assert_eq!(rejection(&nested(64)), unprocessable("payload_too_deep"));

    // The payload `{"a":"…"}` has eight bytes more than the text.
    let text = |bytes: usize| value(&format!("{:?}", "x".repeat(bytes)));
    read(&text(PAYLOAD_BYTES_MAX - 8)).expect("the size of a payload");
    let large = text(PAYLOAD_BYTES_MAX - 7);
    assert_eq!(rejection(&large), unprocessable("payload_too_large"));
}

#[test]
fn digest_covers_picks_and_version() {
    let picks = |text: &str| read(text).expect(text);
    let of = |text: &str, version: u64| picks(text).digest(version);
    let first = r#"{"a":"client","b":{"value":{"x":1,"y":"u"}}}"#;
    let same = r#"{ "b": {"value": {"y": "\u0075", "x": 1}}, "a": "client" }"#;
    assert_eq!(of(first, 7), of(same, 7));

    for (text, version) in [
        (first, 8),
        (r#"{"a":"server","b":{"value":{"x":1,"y":"u"}}}"#, 7),
        (r#"{"a":"client","b":{"value":{"x":1.0,"y":"u"}}}"#, 7),
        (r#"{"b":{"value":{"x":1,"y":"u"}}}"#, 7),
        (r#"{"a":{"remove":true},"b":{"value":{"x":1,"y":"u"}}}"#, 7),
        (
            r#"{"a":{"value":"client"},"b":{"value":{"x":1,"y":"u"}}}"#,
            7,
        ),
    ] {
        assert_ne!(of(text, version), of(first, 7), "{text} {version}");
    }
}
