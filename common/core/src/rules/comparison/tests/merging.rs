//! The payload that picks result in.

use super::*;
use crate::model::{
    json::{Fields, JsonError, fields},
    limits::NESTING_MAX,
    resolve::Pick,
};
use crate::rules::resolve;

const SERVER: &str = r#"{"z":1.0,"n":{"y":9007199254740993,"x" : 2,"w":3},"gone":1}"#;
const BASE: &str = r#"{"z":1.0,"n":{"y":9007199254740993,"x":1,"w":3},"gone":1}"#;
const PATCH: &str = r#"{"n":{"x":1e0,"w":null,"v":[1, 2]},"gone":null,"new":42.50}"#;

fn decided(base: Option<ConflictBase>, picks: &HashMap<String, RowPick>) -> MergeDecision {
    compared(base, SERVER, &[update(PATCH)], |comparison| {
        decide(comparison, picks)
    })
}

fn pointers(invalid: &[(String, JsonError)]) -> Vec<&str> {
    invalid.iter().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn preselected_sides_apply_without_picks() {
    let decision = decided(logged(BASE), &HashMap::new());

    assert_eq!(decision.undecided, ["/n/x"]);
    assert!(!decision.is_complete());
    assert_eq!(
        decision.preview.get(),
        r#"{"z":1.0,"n":{"y":9007199254740993,"x":2,"v":[1, 2]},"new":42.50}"#
    );
}

#[test]
fn nested_picks_become_one_value() {
    let picks = picks([
        ("/n/x", RowPick::Side(FieldSide::Device)),
        ("/n/w", RowPick::Side(FieldSide::Base)),
        ("/n/v", RowPick::Value(" {\"a\":1,\"a\":2.0} ".into())),
        ("/gone", RowPick::Side(FieldSide::Server)),
        ("/new", RowPick::Remove),
        ("/other", RowPick::Remove),
    ]);
    let decision = decided(logged(BASE), &picks);

    assert!(decision.is_complete());
    let picked: Vec<_> = decision.picks.0.iter().collect();
    let [(name, Pick::Value(value))] = picked.as_slice() else {
        panic!("{picked:?}");
    };
    let expected = r#"{"y":9007199254740993,"x":1e0,"w":3,"v":{"a":2.0}}"#;
    assert_eq!((name.as_str(), value.get()), ("n", expected));
}

#[test]
fn preview_is_what_the_resolution_stores() {
    let picks = picks([("/n/x", RowPick::Value("7".into()))]);
    let decision = decided(logged(BASE), &picks);

    // The picks name no side, so the fields of the client do not matter.
    let server = fields(&raw(SERVER)).expect("an object");
    let client: Fields = fields(&raw(r#"{"z":0,"n":0}"#)).expect("an object");
    let stored = resolve::compose(&server, &client, &decision.picks);
    assert_eq!(stored.get(), decision.preview.get());
    assert!(stored.get().contains("\"x\":7"), "{stored}");
}

#[test]
fn server_picks_change_no_text() {
    for base in [logged(BASE), None] {
        let names = ["/n/x", "/n/w", "/n/v", "/gone", "/new"];
        let picks = picks(names.map(|name| (name, RowPick::Side(FieldSide::Server))));
        let decision = decided(base, &picks);

        assert!(decision.is_complete() && decision.picks.0.is_empty());
        assert_eq!(decision.preview.get(), SERVER);
    }
}

#[test]
fn unknown_base_cannot_be_picked() {
    let picks = picks([("/new", RowPick::Side(FieldSide::Base))]);
    let decision = decided(None, &picks);
    assert!(decision.undecided.contains(&"/new".to_owned()));
}

#[test]
fn object_without_fields_is_removed() {
    let edits = [update(r#"{"n":{"a":2},"m":{"a":2}}"#)];
    let server = r#"{"n":{"a":1},"m":{"a":1}}"#;
    let side = || RowPick::Side(FieldSide::Base);
    let picks = picks([("/n/a", side()), ("/m/a", side())]);

    compared(logged(r#"{"m":{}}"#), server, &edits, |comparison| {
        assert_eq!(decide(comparison, &picks).preview.get(), r#"{"m":{}}"#);
    });
}

#[test]
fn entered_values_must_be_json() {
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for (text, is_valid) in [
        ("1.0".to_owned(), true),
        ("null".to_owned(), true),
        ("\"a\"".to_owned(), true),
        (deep(NESTING_MAX - 2), true),
        (deep(NESTING_MAX - 1), false),
        ("in cellar".to_owned(), false),
        (String::new(), false),
        ("1 2".to_owned(), false),
        ("1,\"b\":2".to_owned(), false),
        (r#""\ud800""#.to_owned(), false),
    ] {
        let picks = picks([("/n/x", RowPick::Value(text.clone()))]);
        let decision = decided(logged(BASE), &picks);

        assert_eq!(decision.is_complete(), is_valid, "{text}");
        assert!(decision.undecided.is_empty(), "{text}");
        let expected: &[&str] = if is_valid { &[] } else { &["/n/x"] };
        assert_eq!(pointers(&decision.invalid), expected, "{text}");
        let stored = if is_valid { text.as_str() } else { "2" };
        let preview = decision.preview.get();
        assert!(preview.contains(&format!("\"x\":{stored},")), "{preview}");
    }
}
