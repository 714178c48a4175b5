//! The runner's port with valid requests, unknown paths, oversized bodies and invalid bytes.

mod limits;

use serde_json::json;

use crate::process::{Runner, token};

const PUSH: &str = "/api/v1/mobile/sync/push";

fn in_memory() -> (tempfile::TempDir, Runner) {
    let home = tempfile::tempdir().unwrap();
    let runner = Runner::start(home.path(), &["--memory"]);
    (home, runner)
}

#[test]
fn unknown_path_or_method_returns_json_404() {
    let (_home, runner) = in_memory();
    let mut client = runner.client();
    let (pull, push) = (PUSH.replace("push", "pull"), PUSH);
    let unknown = [
        "GET /nothing",
        "POST /api/v1/mobile/sync",
        "GET //health",
        "POST /health",
        "DELETE /",
        "GET /",
        "PATCH /%",
    ];

    let unknown = unknown.map(str::to_owned).into_iter();
    for request in unknown.chain([
        format!("GET {push}"),
        format!("PUT {pull}"),
        format!("POST {push}/"),
        format!("OPTIONS {push}/"),
    ]) {
        let response = client.send(&request, &[], b"").unwrap();
        assert_eq!(
            (response.status, response.json()),
            (404, json!({"message": "Not Found"})),
            "{request}"
        );
    }
}

#[test]
fn pushed_items_are_readable_through_dynamodb() {
    let (_home, runner) = in_memory();
    let item = json!({"resource_type": "meter", "action": "create", "client_version": 0, "payload": {"id": "m-1"}});
    let push =
        json!({"device_id": "phone", "client_sync_token": null, "items": [item]}).to_string();

    assert_eq!(
        runner
            .client()
            .post("sync/push", &token("ana"), &push)
            .unwrap()
            .status,
        200
    );

    let rows = runner.client().scan("resources");
    assert_eq!(
        (rows.len(), &rows[0]["server_version"]),
        (1, &json!({"N": "1"})),
        "{rows:?}"
    );
}

#[test]
fn photo_uploads_to_presigned_url() {
    let (_home, runner) = in_memory();
    let request =
        json!({"filename": "photo.jpg", "content_type": "image/jpeg", "content_length": 5})
            .to_string();
    let presigned = runner
        .client()
        .post("media/presign", &token("ana"), &request)
        .unwrap()
        .json();

    let origin = format!("http://{}", runner.addr);
    let path = presigned["upload_url"]
        .as_str()
        .unwrap()
        .strip_prefix(&origin)
        .expect("the URL leads to the runner");
    let mut head = format!("PUT {path} HTTP/1.1\r\nhost: {}\r\n", runner.addr);
    for (name, value) in presigned["headers"].as_object().unwrap() {
        head.push_str(&format!("{name}: {}\r\n", value.as_str().unwrap()));
    }

    let put = |body: &str| {
        runner
            .client()
            .exchange(format!("{head}\r\n{body}").as_bytes())
            .unwrap()
    };

    assert_eq!(put("photo").status, 200);
    let longer = head.replace("content-length: 5", "content-length: 6");
    assert_eq!(
        runner
            .client()
            .exchange(format!("{longer}\r\nphotos").as_bytes())
            .unwrap()
            .status,
        403
    );
}
