//! Every answer that a test sees is one that the document describes.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use jsonschema::Validator;
use serde_json::{Map, Value, value::RawValue};
use tidemark_core::routes::Route;

use super::{document, operation};
use crate::ApiResponse;

/// Panics unless the document describes this answer of this route: its status, its type, its
/// headers and every field of its body.
#[track_caller]
pub fn check(route: &Route, response: &ApiResponse) {
    let Route { method, path, .. } = route;
    assert!(
        operation(route).is_some(),
        "{method} {path} is not described: add it to tests/src/openapi/operations.rs"
    );
    let (method, status) = (method.to_ascii_lowercase(), response.status);
    let shown = |what: &str| {
        format!(
            "{method} {path}: {what}: {status} {}",
            response.text.chars().take(2000).collect::<String>()
        )
    };
    let documented = &document()["paths"][*path][&method]["responses"][status.to_string()];
    let content = documented["content"]
        .as_object()
        .unwrap_or_else(|| panic!("{}", shown("the status is not described")));
    let (media_type, _) = content.iter().next().unwrap();
    assert_eq!(
        response.headers["content-type"],
        media_type.as_str(),
        "{}",
        shown("another content type is described")
    );
    for (name, value) in [
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(
            response
                .headers
                .get(name)
                .and_then(|told| told.to_str().ok()),
            Some(value),
            "{}",
            shown(name)
        );
    }
    for name in documented["headers"]
        .as_object()
        .unwrap_or(&Map::new())
        .keys()
    {
        assert!(
            response.headers.contains_key(name.as_str()),
            "{}",
            shown(&format!("the header {name} is missing"))
        );
    }
    // As in a URI: a path has braces.
    let escaped = |part: &str| {
        part.replace('~', "~0")
            .replace('/', "~1")
            .replace('{', "%7B")
            .replace('}', "%7D")
    };
    let pointer = format!(
        "#/paths/{}/{method}/responses/{status}/content/{}/schema",
        escaped(path),
        escaped(media_type)
    );
    let errors: Vec<_> = validator(&pointer)
        .iter_errors(&lenient(&response.text))
        .map(|error| told(&error))
        .collect();
    assert!(errors.is_empty(), "{}", shown(&errors.join("; ")));
}

fn told(error: &jsonschema::ValidationError<'_>) -> String {
    let told: String = error.to_string().chars().take(300).collect();
    format!("{told} at {:?}", error.instance_path().to_string())
}

/// The schema at a place of the document, ready to be used; made once.
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

/// The text as a value, where a number that no machine holds (payloads may have them) is 0.
fn lenient(text: &str) -> Value {
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
        "no JSON: {text}"
    );
    0.into()
}
