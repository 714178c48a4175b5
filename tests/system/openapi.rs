//! `openapi.json` says what the wire types say, and is a document that others can read.

use std::{collections::BTreeSet, env, fs, path::Path, process::Command};

use tidemark_core::routes::ROUTES;
use tidemark_tests::openapi::{self, OPERATIONS};

/// Makes the golden test write the file instead of comparing it.
const UPDATE: &str = "UPDATE_OPENAPI";

#[test]
fn openapi_json_is_what_the_wire_types_say() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../openapi.json");
    let document = serde_json::to_string_pretty(openapi::document()).unwrap() + "\n";
    if env::var_os(UPDATE).is_some() {
        fs::write(&file, &document).unwrap();
    }
    let committed = fs::read_to_string(&file).unwrap_or_default();
    let differs = committed.lines().zip(document.lines()).position(|(old, new)| old != new);
    assert!(
        committed == document,
        "openapi.json is out of date from line {}: `{UPDATE}=1 cargo test --workspace --test system -- openapi` writes it anew; look at \
         what changed for clients before you commit it",
        differs.unwrap_or(committed.lines().count().min(document.lines().count())) + 1
    );
}

#[test]
fn every_route_is_described_once() {
    let described: Vec<_> = OPERATIONS.iter().map(|operation| operation.route).collect();
    let routes: BTreeSet<_> = ROUTES.iter().map(|route| (route.method, route.path)).collect();
    assert_eq!(described.iter().copied().collect::<BTreeSet<_>>(), routes);
    assert_eq!(described.len(), routes.len(), "a route is described twice");
}

#[test]
fn the_document_is_openapi_with_schemas_that_are_schemas() {
    let document = openapi::document();
    serde_json::from_value::<utoipa::openapi::OpenApi>(document.clone()).unwrap();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        assert!(jsonschema::draft202012::meta::validate(schema).is_ok(), "{name}: {schema}");
    }
}

#[test]
fn every_example_is_a_request_that_its_schema_accepts() {
    for operation in OPERATIONS.iter().filter(|operation| operation.request.wire_type().is_some()) {
        let (method, path) = (operation.route.0.to_ascii_lowercase(), operation.route.1);
        let body = &openapi::document()["paths"][path][&method]["requestBody"]["content"]["application/json"];
        let examples = body["examples"].as_object().unwrap();
        assert!(!examples.is_empty(), "{method} {path} has no example");
        let validator = openapi::validator(body["schema"]["$ref"].as_str().unwrap());
        for (sample, example) in examples {
            let errors: Vec<_> = validator.iter_errors(&example["value"]).map(|error| error.to_string()).collect();
            assert_eq!(errors, [""; 0], "{sample}");
        }
    }
}

/// The generator and its schemas are for tests: a function that linked them would start slower for nothing.
#[test]
fn no_function_links_the_generator() {
    let packages = ROUTES.iter().map(|route| route.function).chain(["changelog"]).collect::<BTreeSet<_>>();
    let packages = packages.into_iter().flat_map(|function| ["-p".to_owned(), format!("tidemark-{function}")]);
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--edges", "normal,build", "--prefix", "none"])
        .args(packages)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let linked = String::from_utf8(tree.stdout).unwrap();
    assert!(linked.contains("tidemark-push") && linked.contains("serde_json"), "{}", String::from_utf8_lossy(&tree.stderr));
    let unwanted: Vec<_> = linked.lines().filter(|line| line.starts_with("utoipa") || line.starts_with("jsonschema")).collect();
    assert_eq!(unwanted, [""; 0]);
}
