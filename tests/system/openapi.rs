//! `openapi.json` says what the wire types say, and is a document that others can read.

mod responses;

use std::{collections::BTreeSet, env, fs, path::Path, process::Command};

use serde_json::{Map, Value, json};
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
    let differs = committed
        .lines()
        .zip(document.lines())
        .position(|(old, new)| old != new);
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
    let routes: BTreeSet<_> = ROUTES
        .iter()
        .map(|route| (route.method, route.path))
        .collect();
    assert_eq!(described.iter().copied().collect::<BTreeSet<_>>(), routes);
    assert_eq!(described.len(), routes.len(), "a route is described twice");
}

#[test]
fn the_document_is_openapi_with_schemas_that_are_schemas() {
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
fn every_example_is_a_request_that_its_schema_accepts() {
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
fn every_response_has_examples_that_its_schema_accepts() {
    let mut problems = BTreeSet::new();
    for operation in OPERATIONS {
        let (method, path) = (operation.route.0.to_ascii_lowercase(), operation.route.1);
        let responses = openapi::document()["paths"][path][&method]["responses"]
            .as_object()
            .unwrap();
        for (status, response) in responses {
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

/// The generator and its schemas are for tests: a function that linked them would start slower for
/// nothing.
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

/// Every object in the document that is a schema or contains one, with its place.
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

/// What generators drop or misread, although OpenAPI 3.1 allows it.
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

/// Whether a value fits a schema of the document.
fn fits(schema: &str, value: &Value) -> bool {
    openapi::validator(&format!("#/components/schemas/{schema}")).is_valid(value)
}

#[test]
fn unions_accept_each_variant_with_its_fields_only() {
    let ok = json!({"index": 0, "client_temp_id": null, "status": "ok", "server_id": "m", "server_version": 1});
    let conflict = json!({"index": 0, "client_temp_id": null, "status": "conflict", "server_id": "m", "server_version": null,
        "conflict_id": "conf-1", "code": "id_taken", "error": "…"});
    let error = json!({"index": 0, "client_temp_id": null, "status": "error", "server_id": null, "server_version": null,
        "code": "not_found", "error": "…", "retryable": false});
    let created = json!({"id": "m", "resource_type": "meter", "channel": "tenant", "action": "create", "payload": {}, "server_version": 1,
        "changed_at": "2026-01-01T00:00:00.000Z"});
    let deleted = json!({"id": "m", "resource_type": "meter", "channel": "tenant", "action": "delete", "server_version": 1,
        "changed_at": "2026-01-01T00:00:00.000Z"});
    let merge = json!({"resolution": "manual_merge", "payload": {"a": 1}});
    let update = json!({"resource_type": "meter", "action": "update", "client_version": 0, "payload": {"id": "m"}});
    let delete = json!({"resource_type": "meter", "action": "delete", "client_version": 0, "payload": {"id": "m"}});
    let all = [
        ("ItemResult", &ok),
        ("ItemResult", &conflict),
        ("ItemResult", &error),
        ("Change", &created),
        ("Change", &deleted),
        ("ResolveRequest", &merge),
        ("ResolveRequest", &json!({"resolution": "accept_client"})),
        (
            "ResolveRequest",
            &json!({"resolution": "accept_server", "payload": null}),
        ),
        ("PushItem", &update),
        ("PushItem", &delete),
        (
            "PushItem",
            &json!({"resource_type": "meter", "action": "delete", "client_version": 0, "client_temp_id": "t"}),
        ),
    ];
    for (schema, value) in all {
        assert!(fits(schema, value), "{schema}: {value}");
    }
    let with = |value: &Value, name: &str, field: Value| {
        let mut value = value.clone();
        value[name] = field;
        value
    };
    let without = |value: &Value, name: &str| {
        let mut value = value.clone();
        value.as_object_mut().unwrap().remove(name).unwrap();
        value
    };
    for (schema, value) in [
        ("ItemResult", with(&ok, "code", "id_taken".into())),
        ("ItemResult", with(&ok, "retryable", true.into())),
        ("ItemResult", with(&ok, "server_id", Value::Null)),
        ("ItemResult", without(&conflict, "conflict_id")),
        ("ItemResult", with(&conflict, "merged", true.into())),
        ("ItemResult", without(&error, "retryable")),
        ("ItemResult", with(&error, "conflict_id", "conf-1".into())),
        ("ItemResult", with(&ok, "status", "else".into())),
        ("Change", without(&created, "payload")),
        ("Change", with(&deleted, "payload", json!({}))),
        ("ResolveRequest", without(&merge, "payload")),
        (
            "ResolveRequest",
            json!({"resolution": "accept_client", "payload": {}}),
        ),
        ("PushItem", without(&update, "payload")),
    ] {
        assert!(!fits(schema, &value), "{schema}: {value}");
    }
}

#[test]
fn unions_name_their_discriminator() {
    let schemas = &openapi::document()["components"]["schemas"];
    for (name, by, count) in [
        ("PushItem", "action", 3),
        ("ItemResult", "status", 3),
        ("Change", "action", 3),
        ("ConflictEntry", "status", 2),
        ("ResolveRequest", "resolution", 3),
        ("AuditEntry", "action", 5),
    ] {
        let discriminator = &schemas[name]["discriminator"];
        assert_eq!(
            (
                &discriminator["propertyName"],
                schemas[name]["oneOf"].as_array().unwrap().len()
            ),
            (&by.into(), count),
            "{name}"
        );
        for (value, target) in discriminator["mapping"].as_object().unwrap() {
            let variant = &schemas[target.as_str().unwrap().rsplit('/').next().unwrap()];
            assert_eq!(variant["properties"][by]["enum"], json!([value]), "{name}");
            assert!(
                variant["required"].as_array().unwrap().contains(&by.into()),
                "{name}"
            );
        }
    }
}
