//! Compares and merges random payloads: the rows agree with a plain definition of the comparison,
//! and picks of one side result in the payload of that side.

use std::collections::HashMap;

use proptest::prelude::*;
use serde_json::value::RawValue;
use tidemark_core::{
    model::{
        conflict::{BaseSource, ConflictBase, ConflictEdit},
        edit::Action,
        json::{self, Json, is_same},
        resource::EditId,
        work,
    },
    rules::{
        comparison::{
            ConflictSides, DiffKind, FieldLabel, FieldRow, FieldSide, FieldValue, MergeDecision,
            PayloadComparison, RowPick, compare, decide, elements, words,
        },
        patch::merge,
    },
};

/// The maximum number of passes over the payloads and edits that a comparison and a merge make.
const PASSES_MAX: usize = 30;

fn raw(text: &str) -> Json {
    RawValue::from_string(text.to_owned()).expect("JSON")
}

fn update(patch: &str) -> ConflictEdit {
    ConflictEdit {
        id: EditId(1),
        action: Action::Update,
        payload: raw(patch),
        client_version: 1,
        base_version: None,
        was: None,
    }
}

fn leaf() -> impl Strategy<Value = String> {
    let leaves = [
        "1",
        "1.0",
        "1e0",
        "9007199254740993",
        "true",
        "\"x y\"",
        "[1, 2]",
        "[1,2]",
        "{}",
        "{ }",
    ];
    proptest::sample::select(leaves.to_vec()).prop_map(ToOwned::to_owned)
}

/// Generates an object with distinct names, some of them escaped in pointers.
fn object(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let names = proptest::sample::subsequence(vec!["a", "b", "c/d", "e~", "é", ""], 0..5);
    let names = names.prop_shuffle();
    (names, proptest::collection::vec(value, 5)).prop_map(|(names, values)| {
        let fields = names.iter().zip(&values);
        let fields: Vec<String> = fields
            .map(|(name, value)| format!("\"{name}\":{value}"))
            .collect();
        format!("{{{}}}", fields.join(","))
    })
}

fn payload() -> impl Strategy<Value = String> {
    object(leaf().prop_recursive(3, 30, 5, |inner| object(inner).boxed()))
}

fn patch() -> impl Strategy<Value = String> {
    let change = prop_oneof![2 => leaf(), 1 => Just("null".to_owned())];
    object(change.prop_recursive(3, 30, 5, |inner| object(inner).boxed()))
}

/// Returns the value at a path.
fn at(payload: &RawValue, path: &[String]) -> Option<Json> {
    let (name, nested) = path.split_first()?;
    let field = json::fields(payload)?.shift_remove(name)?;
    if nested.is_empty() {
        Some(field)
    } else {
        at(&field, nested)
    }
}

fn is_equal(one: Option<&Json>, other: Option<&Json>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => is_same(one, other),
        (one, other) => one.is_none() && other.is_none(),
    }
}

/// Returns the label of three values by its definition.
fn label(base: Option<&Json>, server: Option<&Json>, device: Option<&Json>) -> FieldLabel {
    if is_equal(base, server) && is_equal(base, device) {
        FieldLabel::Unchanged
    } else if is_equal(base, server) {
        FieldLabel::OnlyDevice
    } else if is_equal(base, device) {
        FieldLabel::OnlyServer
    } else if is_equal(server, device) {
        FieldLabel::Same
    } else {
        FieldLabel::Both
    }
}

/// Returns the side that the label preselects by its definition.
fn preselected(label: FieldLabel) -> Option<FieldSide> {
    match label {
        FieldLabel::Both | FieldLabel::Differs => None,
        FieldLabel::OnlyDevice => Some(FieldSide::Device),
        _ => Some(FieldSide::Server),
    }
}

/// Checks a row against the payloads; there is no base if it is unknown.
fn check_row(
    row: &FieldRow<'_>,
    base: Option<&RawValue>,
    server: &RawValue,
    device: &RawValue,
) -> Result<(), TestCaseError> {
    let values = [server, device].map(|payload| at(payload, &row.path));
    let [server, device] = values.each_ref().map(Option::as_ref);

    let expected = match base {
        Some(base) => label(at(base, &row.path).as_ref(), server, device),
        None if is_equal(server, device) => FieldLabel::Equal,
        None => FieldLabel::Differs,
    };
    prop_assert_eq!(row.label, expected, "{}", row.pointer());
    prop_assert_eq!(row.preselected, preselected(expected));

    prop_assert_eq!(row.values.server.text(), server.map(|value| value.get()));
    match row.values.device {
        FieldValue::Unknown => prop_assert!(base.is_none() && is_equal(server, device)),
        known => prop_assert_eq!(known.text(), device.map(|value| value.get())),
    }
    Ok(())
}

/// Returns the names of the fields of an object that `other` has, too, in their order.
fn common_names(of: &RawValue, other: &RawValue) -> Vec<String> {
    let (of, other) = (
        json::fields(of).expect("an object"),
        json::fields(other).expect("an object"),
    );
    of.into_keys()
        .filter(|name| other.contains_key(name))
        .collect()
}

/// Checks that fields which no side changes keep their text, and that no field of the server moves.
fn check_kept(
    decision: &MergeDecision,
    server: &RawValue,
    device: &RawValue,
) -> Result<(), TestCaseError> {
    let preview = &decision.preview;
    prop_assert_eq!(common_names(server, preview), common_names(preview, server));

    for (name, field) in json::fields(server).expect("an object") {
        let path = [name];
        if at(device, &path).is_some_and(|value| value.get() == field.get()) {
            let kept = at(preview, &path);
            prop_assert_eq!(kept.as_ref().map(|value| value.get()), Some(field.get()));
        }
    }
    Ok(())
}

fn all(rows: &[FieldRow<'_>], side: FieldSide) -> HashMap<String, RowPick> {
    rows.iter()
        .map(|row| (row.pointer(), RowPick::Side(side)))
        .collect()
}

/// Checks a merge without picks, and one with the picks of each side.
fn check_picks(
    comparison: &PayloadComparison<'_>,
    base: Option<&RawValue>,
    server: &RawValue,
    device: &RawValue,
) -> Result<(), TestCaseError> {
    // Without picks, the rows without a preselected side are undecided.
    let unpicked = decide(comparison, &HashMap::new());
    let rows = comparison.rows.iter();
    let open = rows.filter(|row| row.preselected.is_none());
    let open: Vec<String> = open.map(FieldRow::pointer).collect();
    prop_assert_eq!(&unpicked.undecided, &open);
    check_kept(&unpicked, server, device)?;

    // Picks of one side result in its payload.
    let picked = |side| decide(comparison, &all(&comparison.rows, side));
    let all_server = picked(FieldSide::Server);
    prop_assert!(all_server.is_complete() && all_server.picks.0.is_empty());
    prop_assert_eq!(all_server.preview.get(), server.get());

    let all_device = picked(FieldSide::Device);
    prop_assert!(all_device.is_complete());
    let preview = &all_device.preview;
    prop_assert!(is_same(preview, device), "{preview} {device}");
    check_kept(&all_device, server, device)?;

    if let Some(base) = base {
        let preview = picked(FieldSide::Base).preview;
        prop_assert!(is_same(&preview, base), "{preview} {base}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn rows_and_picks_match_payloads(
        base in payload(),
        server in payload(),
        patches in proptest::collection::vec(patch(), 1..4),
        is_base_known in any::<bool>(),
    ) {
        let server = raw(&server);
        let base = ConflictBase { payload: raw(&base), source: BaseSource::Log };
        let base = is_base_known.then_some(base);
        let edits: Vec<_> = patches.iter().map(|patch| update(patch)).collect();

        let start = base.as_ref().map_or(&server, |base| &base.payload);
        let device = edits
            .iter()
            .fold(start.clone(), |payload, edit| merge(&payload, &edit.payload).0);

        let sides = ConflictSides::of(base.as_ref(), &server, &edits).expect("no deletes");
        let comparison = compare(&sides, None);
        let known_base = base.as_ref().map(|base| &*base.payload);
        for row in &comparison.rows {
            check_row(row, known_base, &server, &device)?;
        }

        check_picks(&comparison, known_base, &server, &device)?;
    }

    #[test]
    fn parts_form_both_texts(old in "([ab]{1,2} ?){0,60}", new in "([ab]{1,2} ?){0,60}") {
        let parts = words(&old, &new);
        let joined = |without: DiffKind| -> String {
            let parts = parts.iter().filter(|part| part.kind != without);
            parts.map(|part| part.text).collect()
        };
        prop_assert_eq!(joined(DiffKind::Added), old.as_str());
        prop_assert_eq!(joined(DiffKind::Removed), new.as_str());

        let array = |text: &str| {
            let elements: Vec<String> = text.split(' ').map(|word| format!("\"{word}\"")).collect();
            raw(&format!("[{}]", elements.join(",")))
        };
        let (old, new) = (array(&old), array(&new));
        let parts = elements(&old, &new).expect("two arrays");
        let joined = |without: DiffKind| {
            let parts = parts.iter().filter(|part| part.kind != without);
            format!("[{}]", parts.map(|part| part.text).collect::<Vec<_>>().join(","))
        };
        prop_assert_eq!(joined(DiffKind::Added), old.get());
        prop_assert_eq!(joined(DiffKind::Removed), new.get());
    }
}

/// Returns a payload of about 300,000 bytes in objects that are nested 60 levels deep.
fn large(value: &str) -> String {
    let fields: Vec<String> = (0..300)
        .map(|number| format!("\"k{number}\":[{}{value}]", "0,".repeat(500)))
        .collect();
    let inner = format!("{{{}}}", fields.join(","));
    format!("{}{inner}{}", "{\"a\":".repeat(60), "}".repeat(60))
}

/// Checks the work and the memory of a comparison of a base, a server's payload and a patch, and of
/// a merge.
fn check_work([base, server, patch]: [String; 3]) {
    let bytes = base.len() + server.len() + patch.len();
    let base = ConflictBase {
        payload: raw(&base),
        source: BaseSource::Log,
    };
    let (server, edits) = (raw(&server), [update(&patch)]);

    for base in [Some(&base), None] {
        work::take();
        let sides = ConflictSides::of(base, &server, &edits).expect("no deletes");
        let comparison = compare(&sides, None);
        let decision = decide(&comparison, &all(&comparison.rows, FieldSide::Device));
        let work = work::take();

        let total = work.parsed + work.written + work.hashed;
        assert!(total <= PASSES_MAX * bytes, "{work:?} of {bytes} bytes");
        assert!(decision.preview.get().len() <= bytes);

        let names = comparison.rows.iter().flat_map(|row| &row.path);
        let path_bytes: usize = names.map(String::len).sum();
        assert!(path_bytes <= 10 * bytes, "{path_bytes} of {bytes} bytes");
    }
}

#[test]
fn work_is_linear_in_payloads() {
    let fields = |value: &str, count: usize| -> String {
        let field = |number: usize| format!("\"f{number}\":{value}");
        let fields: Vec<String> = (0..count).map(field).collect();
        format!("{{{}}}", fields.join(","))
    };
    // One object at every depth, and rows that share a long path.
    let long = |value: &str| format!("{{\"{}\":{}}}", "n".repeat(100_000), fields(value, 900));

    for texts in [
        ["1", "2", "3"].map(large),
        ["1", "2", "3"].map(long),
        ["1", "2", "3"].map(|value| fields(value, 500)),
    ] {
        check_work(texts);
    }
}
