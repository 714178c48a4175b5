//! Overlaps of edits, with evicted fields and after encoding.

use super::*;

fn device(name: &str) -> Author {
    Author::device("ana", name)
}

#[test]
fn only_later_writes_of_others_overlap() {
    let mut fields = FieldVersions::default();
    fields.note(["status"], &device("one"), 5, 4);
    let two = device("two");
    assert!(fields.admit(["note"], &two, 4, 4));
    assert!(fields.admit(["status"], &two, 5, 5));
    assert!(!fields.admit(["status", "note"], &two, 4, 4));
}

#[test]
fn own_edits_must_have_later_client_version() {
    let mut fields = FieldVersions::default();
    fields.note(["status"], &device("one"), 5, 4);
    assert!(fields.admit(["status"], &device("one"), 3, 5));
    assert!(!fields.admit(["status"], &device("one"), 3, 4));
}

#[test]
fn evicted_field_counts_as_written_by_others() {
    let mut fields = FieldVersions::default();
    fields.note(["first"], &device("one"), 2, 1);
    let names: Vec<String> = (0..PAYLOAD_FIELDS_MAX)
        .map(|number| format!("field-{number}"))
        .collect();

    fields.note(names.iter().map(String::as_str), &device("one"), 3, 2);
    assert!(!fields.admit(["first"], &device("two"), 1, 1));
    assert!(fields.admit(["first"], &device("two"), 2, 2));
}

#[test]
fn field_versions_survive_encoding() {
    let mut fields = FieldVersions::default();
    assert_eq!(
        FieldVersions::from_bytes(&fields.to_bytes()),
        Some(fields.clone())
    );

    fields.note(["a", "b"], &device("one"), 5, 4);
    assert_eq!(FieldVersions::from_bytes(&fields.to_bytes()), Some(fields));

    assert_eq!(FieldVersions::from_bytes(&[0; 7]), None);
    assert_eq!(FieldVersions::from_bytes(&[0; 20]), None);
}
