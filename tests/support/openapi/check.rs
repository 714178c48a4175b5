//! Compares every response that a test receives with the OpenAPI document.

mod validator;

use serde_json::Value;
use tidemark_core::wire::routes::Route;

use super::{document, operation};
use crate::ApiResponse;

use validator::lenient;
pub use validator::validator;

/// Panics unless the document describes this response of this route: its status, its content type,
/// its headers and every field of its body.
#[track_caller]
pub fn check(route: &Route, response: &ApiResponse) {
    let Route { method, path, .. } = route;
    assert!(
        operation(route).is_some(),
        "{method} {path} is not described: add it to tests/support/openapi/operations.rs"
    );

    let (method, status) = (method.to_ascii_lowercase(), response.status);
    let shown = |what: &str| {
        format!(
            "{method} {path}: {what}: {status} {}",
            response.text.chars().take(2000).collect::<String>()
        )
    };
    let documented = &document()["paths"][*path][&method]["responses"][status.to_string()];
    if status == 304 {
        check_headers(documented, None, response, shown);
        assert_eq!(response.text, "", "{}", shown("a 304 has no body"));
        return;
    }

    let content = documented["content"]
        .as_object()
        .unwrap_or_else(|| panic!("{}", shown("the status is not described")));
    let (media_type, _) = content.iter().next().unwrap();

    check_headers(documented, Some(media_type.as_str()), response, shown);

    let pointer = format!(
        "#/paths/{}/{method}/responses/{status}/content/{}/schema",
        escaped(path),
        escaped(media_type)
    );
    let errors: Vec<_> = validator(&pointer)
        .iter_errors(&lenient(&response.text))
        .map(|error| shortened(&error))
        .collect();
    assert!(errors.is_empty(), "{}", shown(&errors.join("; ")));
}

/// Panics with the text that `shown` makes of the deviation unless the response has the content
/// type `media_type`, if any, the headers of every response, and the headers of its description.
#[track_caller]
fn check_headers(
    documented: &Value,
    media_type: Option<&str>,
    response: &ApiResponse,
    shown: impl Fn(&str) -> String,
) {
    let received = response.headers.get("content-type");
    assert_eq!(
        received.and_then(|header| header.to_str().ok()),
        media_type,
        "{}",
        shown("another content type is described")
    );

    for (name, value) in [
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
    ] {
        let received = response.headers.get(name);
        assert_eq!(
            received.and_then(|header| header.to_str().ok()),
            Some(value),
            "{}",
            shown(name)
        );
    }

    let described = documented["headers"].as_object().into_iter().flatten();
    for (name, _) in described {
        assert!(
            response.headers.contains_key(name.as_str()),
            "{}",
            shown(&format!("the header {name} is missing"))
        );
    }
}

/// Escapes a key for a JSON pointer in a URI, which percent-encodes the braces of a path.
fn escaped(key: &str) -> String {
    key.replace('~', "~0")
        .replace('/', "~1")
        .replace('{', "%7B")
        .replace('}', "%7D")
}

fn shortened(error: &jsonschema::ValidationError<'_>) -> String {
    let shortened: String = error.to_string().chars().take(300).collect();
    format!("{shortened} at {:?}", error.instance_path().to_string())
}
