//! Starting, stopping and restarting: fast, clean, and with the same data or none.

mod printed;
mod stop;

use std::time::{Duration, Instant};

use serde_json::json;

use crate::process::{Runner, one_at_a_time, token};

const START_MAX: Duration = Duration::from_secs(1);

#[test]
fn clean_start_takes_under_a_second() {
    let _alone = one_at_a_time();
    let home = tempfile::tempdir().unwrap();
    let starts = ["a", "b", "c"].map(|folder| {
        let began = Instant::now();
        let runner = Runner::on(&home.path().join(folder));
        assert_eq!(
            runner
                .client()
                .send("GET /health", &[], b"")
                .unwrap()
                .status,
            200
        );
        began.elapsed()
    });

    // Only the fastest start counts, because the machine may be busy with other work.
    assert!(*starts.iter().min().unwrap() < START_MAX, "{starts:?}");
}

#[test]
fn memory_mode_keeps_no_data() {
    let home = tempfile::tempdir().unwrap();
    let token = token("ana");
    for _ in 0..2 {
        let runner = Runner::start(home.path(), &["--memory"]);
        assert_eq!(pulled(&runner, &token), [""; 0]);
        create(&runner, &token, "m-1");
        assert_eq!(pulled(&runner, &token), ["m-1"]);
        assert_eq!(runner.stop("INT").code, Some(0));
    }
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn default_data_folder_is_in_working_directory() {
    let home = tempfile::tempdir().unwrap();
    let _runner = Runner::start(home.path(), &[]);
    let entries: Vec<_> = std::fs::read_dir(home.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(entries, [".tidemark"]);
}

fn create(runner: &Runner, token: &str, id: &str) {
    let item = json!({"resource_type": "meter", "action": "create", "client_version": 0, "payload": {"id": id}});
    let push = json!({"device_id": "phone", "client_sync_token": null, "items": [item]});
    let response = runner
        .client()
        .post("sync/push", token, &push.to_string())
        .unwrap();
    assert_eq!(
        response.json()["results"][0]["status"],
        "ok",
        "{response:?}"
    );
}

fn pulled(runner: &Runner, token: &str) -> Vec<String> {
    let response = runner
        .client()
        .post("sync/pull", token, r#"{"since_token":null}"#)
        .unwrap();
    let changes = response.json()["changes"].as_array().unwrap().clone();
    changes
        .iter()
        .map(|change| change["id"].as_str().unwrap().to_owned())
        .collect()
}
