//! The rows of a comparison, and their labels.

use super::{FieldLabel::*, *};
use crate::model::catalog::Catalog;

#[test]
fn labels_follow_from_the_three_values() {
    let server = r#"{"same":1,"s":2,"d":1,"both":2,"equal":2,"gone":1,"added":3}"#;
    let patch = r#"{"d":5,"both":3,"equal":2,"gone":null,"lost":null,"new":null,"mine":4}"#;
    let logged = logged(r#"{"same":1,"s":1,"d":1,"both":1,"equal":1,"gone":1,"lost":1}"#);

    let expected = named([
        ("/same", Unchanged),
        ("/s", OnlyServer),
        ("/d", OnlyDevice),
        ("/both", Both),
        ("/equal", Same),
        ("/gone", OnlyDevice),
        ("/added", OnlyServer),
        ("/mine", OnlyDevice),
        ("/lost", Same),
    ]);
    assert_eq!(labels(logged, server, &[update(patch)]), expected);
}

#[test]
fn removed_field_differs_from_null() {
    let server = r#"{"a":null,"b":1,"c":2}"#;
    let edits = [update(r#"{"a":null,"b":null,"c":null}"#)];

    let expected = named([("/a", OnlyDevice), ("/b", OnlyDevice), ("/c", Both)]);
    let base = logged(r#"{"a":null,"b":1,"c":1}"#);
    assert_eq!(labels(base.clone(), server, &edits), expected);

    compared(base, server, &edits, |comparison| {
        let row = &comparison.rows[0];
        assert_eq!(row.values.server.text(), Some("null"));
        assert!(matches!(row.values.device, FieldValue::Absent));
    });
}

#[test]
fn objects_expand_only_where_they_differ() {
    let server = r#"{"n":{"x":{"y":1},"z":[1]},"kept":{"a":{"b":1}},"m":{"a":1},"e":{}}"#;
    let patch = r#"{"n":{"x":{"y":2},"q/~":1},"m":7,"e":{"f":1}}"#;

    let expected = named([
        ("/n/x/y", Both),
        ("/n/z", Unchanged),
        ("/n/q~1~0", OnlyDevice),
        ("/kept", Unchanged),
        ("/m", OnlyDevice),
        ("/e/f", OnlyDevice),
    ]);
    let base = logged(r#"{"n":{"x":{"y":0},"z":[1]},"kept":{"a":{"b":1}},"m":{"a":1},"e":{}}"#);
    assert_eq!(labels(base, server, &[update(patch)]), expected);
}

#[test]
fn unknown_base_preselects_no_difference() {
    let server = r#"{"a":1,"b":1,"n":{"x":1,"y":1,"z":1},"o":{"p":1}}"#;
    let edits = [
        update(r#"{"a":2,"n":{"x":1}}"#),
        update(r#"{"n":{"y":null},"c":3}"#),
    ];

    let expected = named([
        ("/a", Differs),
        ("/b", Equal),
        ("/n/x", Equal),
        ("/n/y", Differs),
        ("/n/z", Equal),
        ("/o", Equal),
        ("/c", Differs),
    ]);
    assert_eq!(labels(None, server, &edits), expected);

    compared(None, server, &edits, |comparison| {
        for row in &comparison.rows {
            let preselected = (row.label == Equal).then_some(FieldSide::Server);
            assert_eq!(row.preselected, preselected, "{}", row.pointer());
            assert!(matches!(row.values.base, FieldValue::Unknown));
        }
        let is_unknown = |index: usize| {
            let device = comparison.rows[index].values.device;
            matches!(device, FieldValue::Unknown)
        };
        assert!(is_unknown(1) && !is_unknown(2) && !is_unknown(3) && is_unknown(4));
    });
}

#[test]
fn sent_base_covers_named_fields() {
    let server = r#"{"a":2,"b":1,"n":{"x":1,"y":2}}"#;
    let edits = [update(r#"{"a":3,"n":{"x":2},"new":1}"#)];
    let sent = r#"{"a":1,"n":{"x":1,"y":1},"b":0,"unnamed":1}"#;
    let sent = Some(base(BaseSource::Device, sent));

    let expected = named([
        ("/a", Both),
        ("/b", Equal),
        ("/n/x", OnlyDevice),
        ("/n/y", OnlyServer),
        ("/new", OnlyDevice),
    ]);
    assert_eq!(labels(sent, server, &edits), expected);
}

#[test]
fn create_is_complete_without_base() {
    let edits = [edit(Action::Create, r#"{"a":1}"#), update(r#"{"b":2}"#)];
    let expected = named([("/a", Equal), ("/c", Differs), ("/b", Differs)]);
    let base = logged(r#"{"a":0}"#);
    assert_eq!(labels(base, r#"{"a":1,"c":3}"#, &edits), expected);

    let server = raw("{}");
    let edits = [update("{}"), edit(Action::Delete, "{}"), update("{}")];
    assert!(ConflictSides::of(None, &server, &edits).is_none());
}

#[test]
fn numbers_in_other_digits_are_marked() {
    let server = r#"{"a":1.0,"b":42.50,"c":2,"d":[1.0]}"#;
    let edits = [update(r#"{"a":1,"b":42.5,"c":3,"d":[1]}"#)];

    compared(None, server, &edits, |comparison| {
        let marked: Vec<_> = comparison
            .rows
            .iter()
            .map(|row| (row.label, row.is_same_number))
            .collect();
        assert_eq!(
            marked,
            [
                (Differs, true),
                (Differs, true),
                (Differs, false),
                (Differs, false)
            ]
        );
    });
}

#[test]
fn declared_media_fields_are_one_value() {
    let catalog = "[meter]\nchannel = 'tenant'\nid_prefix = 'm'\nmedia = ['photo']";
    let catalog = Catalog::parse(catalog).expect("catalog");
    let server = raw(r#"{"photo":{"a":1},"n":{"photo":1}}"#);
    let edits = [update(r#"{"photo":{"a":2},"n":{"photo":2}}"#)];

    let sides = ConflictSides::of(None, &server, &edits).expect("no edit deletes");
    let comparison = compare(&sides, catalog.get("meter"));
    let rows: Vec<_> = comparison
        .rows
        .iter()
        .map(|row| (row.pointer(), row.is_media))
        .collect();
    assert_eq!(rows, [("/photo".into(), true), ("/n/photo".into(), false)]);
}

/// Returns an object with fields that begin with `prefix`.
fn object(prefix: &str, count: usize, value: &str) -> String {
    let fields: Vec<String> = (0..count)
        .map(|number| format!("\"{prefix}{number}\":{value}"))
        .collect();
    format!("{{{}}}", fields.join(","))
}

#[test]
fn count_of_rows_is_bounded() {
    let nested = |count: usize, value: &str| {
        format!(
            "{{\"n\":{},\"m\":{{\"a\":{value}}}}}",
            object("k", count, value)
        )
    };
    for (count, rows) in [(ROWS_MAX - 1, ROWS_MAX), (ROWS_MAX, 2)] {
        let edits = [update(&nested(count, "2"))];
        compared(None, &nested(count, "1"), &edits, |comparison| {
            assert_eq!((comparison.rows.len(), comparison.hidden), (rows, 0));
        });
    }

    let edits = [update(&object("d", ROWS_MAX / 2 + 3, "1"))];
    let server = object("s", ROWS_MAX / 2, "1");
    compared(None, &server, &edits, |comparison| {
        assert_eq!((comparison.rows.len(), comparison.hidden), (ROWS_MAX, 3));
    });
}

#[test]
fn paths_of_rows_are_bounded() {
    let deep = |value: &str| format!("{}{value}{}", "{\"a\":".repeat(20), "}".repeat(20));
    compared(None, &deep("1"), &[update(&deep("2"))], |comparison| {
        assert_eq!(comparison.rows[0].path.len(), DEPTH_MAX);
        assert_eq!(comparison.rows[0].label, Differs);
    });

    for (bytes, names) in [(PATH_BYTES_MAX, 2), (PATH_BYTES_MAX + 1, 1)] {
        let long = |value: &str| format!("{{\"{}\":{{\"b\":{value}}}}}", "a".repeat(bytes));
        compared(None, &long("1"), &[update(&long("2"))], |comparison| {
            assert_eq!(comparison.rows[0].path.len(), names);
        });
    }
}

#[test]
fn compact_text_keeps_strings() {
    let value = raw("{ \"a b\" : [ 1.0 ,\n\"x \\\" y\\\\\" , \" \" ] }");
    let compact = FieldValue::Text(&value).compact();
    assert_eq!(
        compact.as_deref(),
        Some("{\"a b\":[1.0,\"x \\\" y\\\\\",\" \"]}")
    );
}
