//! The contents of the demo data: something of every kind that a console shows.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use aws_sdk_s3::presigning::PresigningConfig;
use serde_json::{Value, json};
use tidemark::store::client::{StoreClient, s3_client};
use tidemark::store::{BUCKET, Store};

use super::{demo, get, root, token, url};
use crate::process::{Runner, WAIT_MAX};
use crate::raw::in_memory;

/// Batches with rejected items, as the demo data contains them.
const EVENTS: &str = include_str!("../../../src/demo/events.json");

#[test]
fn demo_contains_data_of_every_kind() {
    let (_home, runner) = in_memory(&[]);
    demo(&url(&runner), &[]);

    assert_open_conflicts(&runner);
    assert_resolutions(&runner);
    assert_devices(&runner);
    assert_audit(&runner);
    assert_rejected_items(&runner);
    assert_photos(&runner);
}

/// Returns the different values at a JSON pointer of these values, without absent ones.
fn distinct(values: &Value, pointer: &str) -> BTreeSet<String> {
    let values = values.as_array().unwrap().iter();
    values
        .filter_map(|value| value.pointer(pointer)?.as_str().map(str::to_owned))
        .collect()
}

fn set<const N: usize>(texts: [&str; N]) -> BTreeSet<String> {
    texts.map(str::to_owned).into()
}

fn assert_open_conflicts(runner: &Runner) {
    let response = get(runner, "conflicts?status=open&limit=200", &root());
    let conflicts = &response.json()["conflicts"];
    assert_eq!(
        distinct(conflicts, "/code"),
        set([
            "already_created",
            "id_taken",
            "temp_id_reused",
            "unique_violation",
            "version_mismatch",
        ])
    );
    assert_eq!(
        distinct(conflicts, "/resource_type"),
        set(["meter", "submission", "task"])
    );
    assert_eq!(
        distinct(conflicts, "/action"),
        set(["create", "delete", "update"])
    );

    let conflicts = conflicts.as_array().unwrap();
    let base = conflicts
        .iter()
        .find(|conflict| conflict["resource_id"] == "m-1002")
        .map(|conflict| format!("conflicts/{}", conflict["id"].as_str().unwrap()));
    let detail = get(runner, &base.unwrap(), &root()).json();
    assert_eq!(detail["base_source"], "device", "{detail}");

    let has = |field: &str, value: Value| conflicts.iter().any(|it| it[field] == value);
    assert!(has("server_deleted", json!(true)), "{}", response.text);
    assert!(has("edit_count", json!(5)), "{}", response.text);
    for text in [
        r#""reading":42.50"#,
        "9007199254740993",
        r#""pulses":1e3"#,
        "<script>",
        "<img src=x onerror=alert(1)>",
        "\u{202e}txt.exe",
    ] {
        assert!(
            response.text.contains(text),
            "not {text}: {}",
            response.text
        );
    }
}

fn assert_resolutions(runner: &Runner) {
    let response = get(runner, "conflicts?status=resolved&limit=200", &root());
    let conflicts = &response.json()["conflicts"];
    assert_eq!(
        distinct(conflicts, "/outcome/resolution"),
        set(["accept_client", "accept_server", "manual_merge"])
    );
    assert_eq!(
        distinct(conflicts, "/outcome/resolved_by"),
        set(["In\u{ea}s Carvalho", "policy:superseded", "root"])
    );
    assert!(distinct(conflicts, "/outcome/note").len() >= 4);
}

/// Returns whether a device has not acknowledged the end of the tenant's log.
pub fn is_behind(runner: &Runner, device: &str) -> bool {
    let list = get(runner, "devices?scope=tenant&limit=200", &root()).json();
    let devices = list["devices"].as_array().unwrap();
    let device = devices.iter().find(|it| it["device_id"] == device).unwrap();
    let channels = device["channels"].as_array().unwrap();
    let tenant = channels.iter().find(|it| it["channel"] == "tenant");
    tenant.unwrap()["caught_up"] == json!(false)
}

fn assert_devices(runner: &Runner) {
    let list = get(runner, "devices?scope=tenant&limit=200", &root()).json();
    let devices = &list["devices"];
    assert_eq!(
        distinct(devices, "/app_version"),
        set(["3.0.7", "4.9.1", "5.1.3", "5.2.0"])
    );
    assert_eq!(distinct(devices, "/user").len(), 8);

    let behind = ["ben-phone", "lukasz-phone", "tablet-17"];
    assert_eq!(behind.map(|device| is_behind(runner, device)), [true; 3]);
    let acknowledged = ["ana-phone", "office-pc", "zoe-tablet"];
    assert_eq!(
        acknowledged.map(|device| is_behind(runner, device)),
        [false; 3]
    );
}

fn assert_audit(runner: &Runner) {
    let entries = &get(runner, "audit?limit=200", &root()).json()["entries"];
    assert_eq!(
        distinct(entries, "/action"),
        set([
            "admin_write",
            "conflict_resolved",
            "replay_finished",
            "replay_started",
        ])
    );
    assert_eq!(distinct(entries, "/bulk_id").len(), 1, "{entries}");
}

/// Sends the batch again, which returns its id, and reads it as an admin.
fn assert_rejected_items(runner: &Runner) {
    let steps: Value = serde_json::from_str(EVENTS).unwrap();
    let steps = steps.as_array().unwrap();
    let blocked = steps
        .iter()
        .map(|step| &step["push"])
        .find(|push| push["batch"] == "demo-blocked")
        .unwrap();

    let request = json!({
        "device_id": blocked["device"], "client_sync_token": null, "batch_id": blocked["batch"],
        "items": blocked["items"],
    });
    let jwt = token(
        "\u{141}ukasz \u{17b}\u{f3}\u{142}kiewski",
        &["--channel", "south"],
    );
    let response = runner
        .client()
        .post("sync/push", &jwt, &request.to_string())
        .unwrap()
        .json();

    let id = response["batch_id"].as_str().unwrap();
    let batch = get(runner, &format!("batches/{id}"), &root()).json();
    assert_eq!(
        distinct(&batch["results"], "/code"),
        set([
            "channel_forbidden",
            "channel_required",
            "depends_on_failed_item",
            "invalid_media_key",
            "not_found",
            "required_field_missing",
            "unique_violation",
            "unknown_type",
        ])
    );
    assert_eq!(
        distinct(&batch["results"], "/status"),
        set(["conflict", "error", "ok"])
    );
}

/// Fetches a photo from the embedded S3, with a signed URL as a console has it.
fn assert_photos(runner: &Runner) {
    let pulled = runner
        .client()
        .post("sync/pull", &token("Ana Souza", &[]), r#"{"limit":500}"#)
        .unwrap()
        .json();
    let changes = pulled["changes"].as_array().unwrap();
    let keys: Vec<&str> = changes
        .iter()
        .filter_map(|change| change["payload"]["media"].as_array())
        .flatten()
        .map(|key| key.as_str().unwrap())
        .collect();
    assert!(keys.len() >= 5, "{pulled}");

    for key in keys {
        let photo = fetch(runner, key);
        assert!(photo.starts_with("HTTP/1.1 200 "), "{key}: {photo:?}");
        assert!(photo.contains("\u{fffd}PNG\r\n\u{1a}\n"), "{key}");
    }
}

/// Returns the response for a media key, in which bytes that are not UTF-8 are replaced.
fn fetch(runner: &Runner, key: &str) -> String {
    let signer = StoreClient::new(Store::temporary().unwrap());
    let signer = s3_client(signer, &url(runner), "test");
    let expiry = PresigningConfig::expires_in(Duration::from_secs(60)).unwrap();
    let presigned = signer
        .get_object()
        .bucket(BUCKET)
        .key(key)
        .presigned(expiry);
    let presigned = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(presigned)
        .unwrap();

    let path = presigned.uri().strip_prefix(&url(runner)).unwrap();
    let mut stream = TcpStream::connect_timeout(&runner.addr, WAIT_MAX).unwrap();
    stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
    let mut head = format!(
        "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n",
        runner.addr
    );
    for (name, value) in presigned.headers() {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).unwrap();

    let mut response = Vec::new();
    stream.read_to_end(&mut response).unwrap();
    String::from_utf8_lossy(&response).into_owned()
}
