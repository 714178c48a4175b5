//! Fuzzes merge patches: the input is two JSON texts separated by a line break, and the second is
//! applied to the first like an update to a stored payload.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use serde_json::{Value, value::RawValue};
use tidemark_core::{
    model::json::{self, Json},
    rules::patch,
};

fuzz_target!(|data: &[u8]| -> Corpus {
    let Some((target, patch)) = std::str::from_utf8(data)
        .ok()
        .and_then(|text| text.split_once('\n'))
    else {
        return Corpus::Reject;
    };
    let (Some(target), Some(patch)) = (payload(target), payload(patch)) else {
        return Corpus::Reject;
    };

    let (merged, has_changed) = patch::merge(&target, &patch);
    assert!(
        RawValue::from_string(merged.get().to_owned()).is_ok(),
        "a merged payload is valid JSON"
    );
    assert_eq!(
        has_changed,
        !json::is_same(&target, &merged),
        "changes are detected"
    );

    let (again, changes_again) = patch::merge(&merged, &patch);
    assert!(!changes_again, "merging is idempotent");
    assert_eq!(again.get(), merged.get());
    check_texts_are_preserved(Some(&target), &patch, &merged);

    let depth_of = |value: &RawValue| json::canonical(value).is_ok();
    assert!(
        depth_of(&merged),
        "merging does not exceed the nesting limit"
    );

    // Numbers outside the range of a float cannot be parsed as values.
    if let (Ok(target), Ok(patch)) = (value(&target), value(&patch)) {
        assert_eq!(value(&merged).ok(), Some(rfc7396(target, patch)));
    }

    Corpus::Keep
});

/// Parses a payload under the same conditions as a push: an object within the nesting limit.
fn payload(text: &str) -> Option<Json> {
    let json = RawValue::from_string(text.to_owned()).ok()?;
    let canonical = json::canonical(&json).ok()?;
    let again = RawValue::from_string(canonical.clone()).expect("canonical text is JSON");
    assert_eq!(
        json::canonical(&again).ok().as_ref(),
        Some(&canonical),
        "canonicalization is idempotent"
    );
    assert!(json::is_same(&json, &again));
    json::fields(&json).map(|_| json)
}

/// Checks that fields which the patch does not contain keep their text and order, and that fields
/// which it sets have the text of the patch.
fn check_texts_are_preserved(target: Option<&RawValue>, patch: &RawValue, merged: &RawValue) {
    let Some(changes) = json::fields(patch) else {
        return assert_eq!(merged.get(), patch.get());
    };
    let before = target.and_then(json::fields).unwrap_or_default();
    let after = json::fields(merged).expect("patching an object results in an object");

    let is_removed = |name: &String| {
        changes
            .get(name)
            .is_some_and(|change| change.get() == "null")
    };

    let names = before
        .keys()
        .chain(changes.keys().filter(|name| !before.contains_key(*name)));
    assert!(
        names.filter(|name| !is_removed(name)).eq(after.keys()),
        "fields keep their order and new fields follow"
    );

    for (name, value) in &after {
        match changes.get(name) {
            None => assert_eq!(value.get(), before[name].get()),
            Some(change) => {
                check_texts_are_preserved(before.get(name).map(AsRef::as_ref), change, value)
            }
        }
    }
}

fn value(json: &RawValue) -> serde_json::Result<Value> {
    serde_json::from_str(json.get())
}

/// Implements the algorithm of RFC 7396 §2.
fn rfc7396(target: Value, patch: Value) -> Value {
    let Value::Object(changes) = patch else {
        return patch;
    };
    let mut fields = match target {
        Value::Object(fields) => fields,
        _ => serde_json::Map::new(),
    };

    for (name, change) in changes {
        if change.is_null() {
            fields.remove(&name);
        } else {
            let value = rfc7396(fields.remove(&name).unwrap_or_default(), change);
            fields.insert(name, value);
        }
    }

    Value::Object(fields)
}
