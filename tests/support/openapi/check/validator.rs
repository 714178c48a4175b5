//! Validates a body against the schema of its operation.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use jsonschema::Validator;
use serde_json::{Map, Value, value::RawValue};

use super::super::document;

/// Returns the validator of the schema at a pointer of the document. Each validator is built once.
pub fn validator(pointer: &str) -> Arc<Validator> {
    static VALIDATORS: Mutex<Option<HashMap<String, Arc<Validator>>>> = Mutex::new(None);
    let mut validators = VALIDATORS.lock().unwrap();
    let made = validators
        .get_or_insert_default()
        .entry(pointer.to_owned())
        .or_insert_with(|| {
            let mut schema = document().clone();
            schema["$ref"] = pointer.into();
            Arc::new(
                jsonschema::draft202012::options()
                    .should_validate_formats(true)
                    .build(&schema)
                    .unwrap(),
            )
        });

    Arc::clone(made)
}

/// Parses JSON text. Replaces numbers that no machine type can hold, which payloads may contain, by
/// 0.
pub(super) fn lenient(text: &str) -> Value {
    if let Ok(value) = serde_json::from_str(text) {
        return value;
    }

    if let Ok(fields) = serde_json::from_str::<BTreeMap<String, &RawValue>>(text) {
        return fields
            .into_iter()
            .map(|(name, field)| (name, lenient(field.get())))
            .collect::<Map<_, _>>()
            .into();
    }

    if let Ok(list) = serde_json::from_str::<Vec<&RawValue>>(text) {
        return list
            .into_iter()
            .map(|element| lenient(element.get()))
            .collect::<Vec<_>>()
            .into();
    }

    assert!(
        text.starts_with(|first: char| first == '-' || first.is_ascii_digit()),
        "invalid JSON: {text}"
    );
    0.into()
}
