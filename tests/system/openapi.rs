//! `openapi.json` matches the wire types and is a document that other tools can read.

mod responses;
mod unions;

use std::{collections::BTreeSet, env, fs, path::Path, process::Command};

use serde_json::{Map, Value};
use tidemark_core::wire::routes::ROUTES;
use tidemark_tests::openapi::{self, OPERATIONS};

/// The environment variable that makes the golden test write the file instead of comparing it.
const UPDATE: &str = "UPDATE_OPENAPI";

#[test]
fn openapi_json_matches_the_wire_types() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    let document = serde_json::to_string_pretty(openapi::document()).unwrap() + "\n";
    if env::var_os(UPDATE).is_some() {
        fs::write(&file, &document).unwrap();
    }

    let committed = fs::read_to_string(&file).unwrap_or_default();
    let differs = committed
        .lines()
        .zip(document.lines())
        .position(|(old, new)| old != new);
    assert!(
        committed == document,
        "openapi.json is out of date from line {}: `{UPDATE}=1 cargo test --workspace --test system -- openapi` regenerates it; review \
         the changes for clients before you commit it",
        differs.unwrap_or(committed.lines().count().min(document.lines().count())) + 1
    );
}

#[test]
fn every_route_is_described_once() {
    let described: Vec<_> = OPERATIONS.iter().map(|operation| operation.route).collect();
    let routes: BTreeSet<_> = ROUTES
        .iter()
        .map(|route| (route.method, route.path))
        .collect();
    assert_eq!(described.iter().copied().collect::<BTreeSet<_>>(), routes);
    assert_eq!(described.len(), routes.len(), "a route is described twice");
}

#[test]
fn document_is_valid_openapi() {
    let document = openapi::document();
    serde_json::from_value::<utoipa::openapi::OpenApi>(document.clone()).unwrap();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        assert!(
            jsonschema::draft202012::meta::validate(schema).is_ok(),
            "{name}: {schema}"
        );
    }
}

#[test]
fn request_examples_match_their_schemas() {
    for operation in OPERATIONS
        .iter()
        .filter(|operation| operation.request.wire_type().is_some())
    {
        let (method, path) = (operation.route.0.to_ascii_lowercase(), operation.route.1);
        let body = &openapi::document()["paths"][path][&method]["requestBody"]["content"]["application/json"];
        let examples = body["examples"].as_object().unwrap();
        assert!(!examples.is_empty(), "{method} {path} has no example");

        let validator = openapi::validator(body["schema"]["$ref"].as_str().unwrap());
        for (sample, example) in examples {
            let errors: Vec<_> = validator
                .iter_errors(&example["value"])
                .map(|error| error.to_string())
                .collect();
            assert_eq!(errors, [""; 0], "{sample}");
        }
    }
}

#[test]
fn response_examples_match_their_schemas() {
    let mut problems = BTreeSet::new();
    for operation in OPERATIONS {
        let (method, path) = (operation.route.0.to_ascii_lowercase(), operation.route.1);
        let responses = openapi::document()["paths"][path][&method]["responses"]
            .as_object()
            .unwrap();
        // A response with status 304 has no body.
        for (status, response) in responses.iter().filter(|(status, _)| *status != "304") {
            let (media_type, content) = response["content"]
                .as_object()
                .unwrap()
                .iter()
                .next()
                .unwrap();
            let examples = content["examples"].as_object().unwrap();
            assert!(
                !examples.is_empty(),
                "{method} {path}: {status} has no example"
            );

            let escaped = |part: &str| {
                part.replace('~', "~0")
                    .replace('/', "~1")
                    .replace('{', "%7B")
                    .replace('}', "%7D")
            };
            let place = format!(
                "#/paths/{}/{method}/responses/{status}/content/{}/schema",
                escaped(path),
                escaped(media_type)
            );

            for (name, example) in examples {
                let errors: Vec<_> = openapi::validator(&place)
                    .iter_errors(&example["value"])
                    .map(|it| it.to_string())
                    .collect();
                assert_eq!(errors, [""; 0], "{method} {path}: {status} {name}");
                problems.extend(example["value"]["code"].as_str().map(ToOwned::to_owned));
            }
        }

        let codes = operation.rejections();
        let lacking: Vec<_> = codes
            .iter()
            .map(|code| openapi::word(*code))
            .filter(|code| !problems.contains(code))
            .collect();
        assert_eq!(
            lacking, [""; 0],
            "{method} {path}: codes without an example"
        );
    }
}

/// The generator and its schemas are only for tests. A function that linked them would start
/// slower.
#[test]
fn no_function_links_the_generator() {
    let packages = ROUTES
        .iter()
        .map(|route| route.function)
        .chain(["changelog"])
        .collect::<BTreeSet<_>>();
    let packages = packages
        .into_iter()
        .flat_map(|function| ["-p".to_owned(), format!("tidemark-{function}")]);

    let tree = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "--offline",
            "--edges",
            "normal,build",
            "--prefix",
            "none",
        ])
        .args(packages)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();

    let linked = String::from_utf8(tree.stdout).unwrap();
    assert!(
        linked.contains("tidemark-push") && linked.contains("serde_json"),
        "{}",
        String::from_utf8_lossy(&tree.stderr)
    );

    let unwanted: Vec<_> = linked
        .lines()
        .filter(|line| line.starts_with("utoipa") || line.starts_with("jsonschema"))
        .collect();
    assert_eq!(unwanted, [""; 0]);
}

/// Calls `visit` with every object in the document that is or contains a schema, and with its path.
fn walk<'a>(value: &'a Value, place: String, visit: &mut impl FnMut(&'a Map<String, Value>, &str)) {
    match value {
        Value::Object(keywords) => {
            visit(keywords, &place);

            for (name, inner) in keywords
                .iter()
                .filter(|(name, _)| !matches!(name.as_str(), "examples" | "example" | "mapping"))
            {
                walk(inner, format!("{place}/{name}"), visit);
            }
        }
        Value::Array(list) => list
            .iter()
            .enumerate()
            .for_each(|(index, inner)| walk(inner, format!("{place}/{index}"), visit)),
        _ => {}
    }
}

/// Rejects features of OpenAPI 3.1 that generators drop or misread.
#[test]
fn document_uses_only_what_generators_read() {
    let mut found = Vec::new();
    walk(
        openapi::document(),
        String::new(),
        &mut |keywords, place| {
            if keywords.contains_key("$ref") && keywords.len() > 1 {
                found.push(format!("{place}: keywords beside a $ref"));
            }
            let is_object = keywords
                .get("type")
                .is_some_and(|kind| kind == "object" || kind.to_string().contains("\"object\""));
            if is_object
                && !keywords.contains_key("properties")
                && !keywords.contains_key("additionalProperties")
            {
                found.push(format!("{place}: an object without additionalProperties"));
            }
            let in_body = place.starts_with("/components");
            if in_body && keywords.contains_key("default") && !place.ends_with("/properties") {
                found.push(format!("{place}: a default, which makes a field required"));
            }
        },
    );
    assert_eq!(found, [""; 0]);

    let limit = &openapi::document()["components"]["schemas"]["PullRequest"]["properties"]["limit"];
    assert_eq!(
        (&limit["type"], &limit["maximum"]),
        (&"integer".into(), &500.into())
    );
    assert!(
        openapi::document()["components"]["schemas"]["PullRequest"]
            .get("required")
            .is_none()
    );
}
