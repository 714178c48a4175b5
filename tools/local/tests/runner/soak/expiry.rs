//! Ages the items that expire, through the runner's DynamoDB entry point.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use super::Progress;
use crate::client::Client;

/// Age at which the test lets an item expire. All devices have pulled it before that.
const AGE: Duration = Duration::from_secs(3);

/// Tables whose items expire.
pub(super) const EXPIRING: [&str; 3] = ["changes", "sync_items", "sync_batches"];

/// Returns the items of a table that have an expiry.
pub(super) fn expiring(client: &mut Client, table: &str) -> Vec<Value> {
    client
        .scan(table)
        .into_iter()
        .filter(|row| row["expires_at"]["N"].is_string())
        .collect()
}

/// Sets the expiry of items that were written at least `age` ago to the past.
pub(super) fn date_back(client: &mut Client, age: Duration) {
    let now = tidemark_aws::Clock::system().now().timestamp();
    let seconds = |text: &Value| {
        text["N"]
            .as_str()
            .map_or(0, |text| text.parse::<i64>().unwrap())
    };
    let written = |row: &Value| {
        ["moved_at", "received_at", "processed_at"]
            .map(|name| seconds(&row[name]) / 1000)
            .into_iter()
            .max()
    };
    let is_old = |row: &Value| {
        seconds(&row["expires_at"]) > now && written(row).unwrap() <= now - age.as_secs() as i64
    };

    for table in EXPIRING {
        let old: Vec<Value> = expiring(client, table).into_iter().filter(is_old).collect();
        for rows in old.chunks(25) {
            expire(client, table, rows, now - 3600);
        }
    }
}

/// Sets the expiry of these items of a table, at most 25.
fn expire(client: &mut Client, table: &str, rows: &[Value], expires_at: i64) {
    let update = format!("UPDATE \"{table}\" SET expires_at=? WHERE pk=? AND sk=?");
    let statements: Vec<Value> = rows
        .iter()
        .map(|row| {
            let parameters = json!([{"N": expires_at.to_string()}, row["pk"], row["sk"]]);
            json!({"Statement": update, "Parameters": parameters})
        })
        .collect();

    let request = json!({"Statements": statements}).to_string();
    let target = [("x-amz-target", "DynamoDB_20120810.BatchExecuteStatement")];
    let response = client.send("POST /", &target, request.as_bytes()).unwrap();
    assert!(
        response.status == 200 && !response.text.contains("\"Error\""),
        "{response:?}"
    );
}

/// Lets items expire that are older than `AGE`, until the load ends.
pub(super) fn age(addr: SocketAddr, progress: &Progress) {
    let mut client = Client::connect(addr).unwrap();
    while !progress.is_over.load(Ordering::SeqCst) {
        date_back(&mut client, AGE);
        std::thread::sleep(Duration::from_millis(500));
    }
}
