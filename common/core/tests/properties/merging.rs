//! Compares patches that are applied to a tree one after another with the plain definition, which
//! parses every level again for each patch.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::value::RawValue;
use tidemark_core::{
    model::{
        json::{
            self, Fields, Json,
            tree::{Effect, Patch, Tree},
        },
        limits::NESTING_MAX,
    },
    rules::patch,
};

/// Implements RFC 7396 §2 on JSON texts.
fn merge(target: Option<&RawValue>, patch: &RawValue) -> (Json, bool) {
    let Some(changes) = json::fields(patch) else {
        return (
            patch.to_owned(),
            !target.is_some_and(|target| is_same(target, patch)),
        );
    };

    let fields = target.and_then(json::fields);
    let mut has_changed = fields.is_none();
    let mut merged: Fields = fields.unwrap_or_default();

    for (name, change) in &changes {
        if change.get() == "null" {
            has_changed |= merged.shift_remove(name).is_some();
        }
    }

    for (name, change) in changes {
        if change.get() != "null" {
            let (value, is_other) = merge(merged.get(&name).map(AsRef::as_ref), &change);
            has_changed |= is_other;
            merged.insert(name, value);
        }
    }

    (json::object(&merged), has_changed)
}

/// Compares two values by their canonical text, as the rules do.
fn is_same(one: &RawValue, other: &RawValue) -> bool {
    one.get() == other.get() || json::canonical(one).ok() == json::canonical(other).ok()
}

/// Returns the top-level fields in which two objects differ.
fn changed_fields(before: &RawValue, after: &RawValue) -> BTreeSet<String> {
    let (before, after) = (
        json::fields(before).expect("an object"),
        json::fields(after).expect("an object"),
    );
    let differs = |name: &&String| match (before.get(*name), after.get(*name)) {
        (Some(one), Some(other)) => !is_same(one, other),
        (one, other) => one.is_some() || other.is_some(),
    };
    before
        .keys()
        .chain(after.keys())
        .filter(differs)
        .cloned()
        .collect()
}

fn raw(text: &str) -> Json {
    RawValue::from_string(text.to_owned()).expect("JSON")
}

/// Generates a few names in several notations, so that patches meet existing fields and duplicates.
fn name() -> impl Strategy<Value = String> {
    let names = [
        "a",
        "b",
        "c",
        "d",
        r"\u0061",
        r"\u0062",
        "é",
        r"\u00e9",
        r#"q\"uote"#,
        r"q\u0022uote",
        r"line\n",
        "",
        "id",
    ];

    proptest::sample::select(names.to_vec()).prop_map(|name| format!("\"{name}\""))
}

fn leaf() -> impl Strategy<Value = String> {
    let leaves = [
        "null",
        "null",
        "true",
        "false",
        "0",
        "1",
        "1.0",
        "1e3",
        "-0",
        "9007199254740993",
        "\"\"",
        "\"x\"",
        r#""\u0078""#,
        "[]",
        "[1,2]",
        "[1, 2]",
        "[1,2.0]",
        "[1,2,3]",
        "[null]",
        r#"["x"]"#,
        r#"["\u0078"]"#,
        r#"[[1],[2]]"#,
        "[[1],[3]]",
        r#"[{"a":1,"b":2}]"#,
        r#"[{"b":2,"a":1}]"#,
        r#"[{"a":9,"a":1,"b":2}]"#,
        r#"[{"a":1}]"#,
        "{}",
        "{ }",
    ];

    proptest::sample::select(leaves.to_vec()).prop_map(ToOwned::to_owned)
}

fn object(value: impl Strategy<Value = String> + Clone) -> impl Strategy<Value = String> {
    let space = || proptest::sample::select(vec!["", "", "", " ", "\n\t"]);
    let field = (name(), space(), value, space())
        .prop_map(|(name, one, value, other)| format!("{name}{other}:{one}{value}{other}"));
    proptest::collection::vec(field, 0..7).prop_map(|fields| format!("{{{}}}", fields.join(",")))
}

/// Generates an object with nested objects, up to the depth that payloads may have.
fn payload() -> impl Strategy<Value = String> {
    let nested = leaf().prop_recursive(5, 30, 6, |inner| object(inner).boxed());
    let deep =
        (0..NESTING_MAX - 3, name(), object(leaf().boxed())).prop_map(|(depth, name, inner)| {
            let (open, close) = (format!("{{{name}:"), "}");
            format!("{}{inner}{}", open.repeat(depth), close.repeat(depth))
        });
    prop_oneof![6 => object(nested.boxed()), 1 => deep]
}

/// Returns the effect of a patch by the plain definition.
fn effect_of(before: &RawValue, after: &RawValue, has_changed: bool) -> Effect<'static> {
    let changed = changed_fields(before, after);
    Effect {
        has_changed,
        changed: changed.into_iter().map(Into::into).collect(),
        bytes: after.get().len(),
        fields: json::fields(after).map_or(0, |fields| fields.len()),
    }
}

/// Checks what the tree predicts for single fields if `patch` turns `before` into `after`.
fn check_fields<'a>(
    tree: &mut Tree<'a>,
    patch: &Patch<'a>,
    before: &RawValue,
    after: &RawValue,
) -> Result<(), TestCaseError> {
    let (before_fields, after_fields) = (
        json::fields(before).expect("an object"),
        json::fields(after).expect("an object"),
    );

    for name in ["a", "b", "é", "q\"uote", "none"] {
        let (ours, theirs) = (tree.field_after(patch, name), after_fields.get(name));
        let is_same = match (&ours, theirs) {
            (Some(ours), Some(theirs)) => is_same(ours, theirs),
            (ours, theirs) => ours.is_none() && theirs.is_none(),
        };
        prop_assert!(is_same, "{name}: {ours:?} of {after}");

        let stays =
            before_fields.get(name).map(|field| field.get()) == theirs.map(|field| field.get());
        prop_assert!(
            patch.names(name) || stays,
            "{name}: {before} became {after}"
        );

        prop_assert_eq!(
            tree.has_after(patch, name),
            theirs.is_some_and(|value| value.get() != "null")
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn tree_matches_plain_definition(
        target in payload(),
        patches in proptest::collection::vec((payload(), any::<bool>()), 1..6),
    ) {
        let target = raw(&target);
        let mut tree = Tree::new(&target);
        let mut before = target.clone();
        let patches: Vec<_> = patches.iter().map(|(text, applies)| (raw(text), *applies)).collect();

        for (patch, applies) in &patches {
            let (after, has_changed) = merge(Some(&before), patch);
            let taken = Patch::read(patch);

            let effect = tree.weigh(&taken);
            let expected = effect_of(&before, &after, has_changed);
            prop_assert_eq!(&effect, &expected, "{} with {}", before, patch);
            check_fields(&mut tree, &taken, &before, &after)?;

            let weighed = tree.to_json();
            prop_assert_eq!(weighed.get(), before.get(), "weighing changes nothing");

            if *applies {
                tree.apply(&taken);
                let applied = tree.to_json();
                prop_assert_eq!(applied.get(), after.get(), "{} with {}", before, patch);
                before = after;
            }
        }
    }

    #[test]
    fn merge_matches_plain_definition(
        target in prop_oneof![leaf(), payload()],
        patch in prop_oneof![leaf(), payload()],
    ) {
        let (target, patch) = (raw(&target), raw(&patch));
        let (ours, theirs) = (patch::merge(&target, &patch), merge(Some(&target), &patch));
        prop_assert_eq!((ours.0.get(), ours.1), (theirs.0.get(), theirs.1));
        prop_assert_eq!(json::is_same(&target, &patch), is_same(&target, &patch));
    }
}
