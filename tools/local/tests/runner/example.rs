//! The example program of the reference client, and the client against a real server.

use tidemark_client::{Client, ResourceName};

use crate::process::{Runner, token};

#[path = "../../../../clients/rust/examples/sync.rs"]
#[expect(dead_code, reason = "the tests call what the program calls")]
mod sync;

fn synced(url: &str, jwt: &str) -> Client {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(sync::sync(url, jwt)).unwrap()
}

/// Returns the meters of a device with their payloads.
fn meters(client: &Client) -> Vec<(&ResourceName, String)> {
    let copies = client.copies().iter();
    copies
        .filter_map(|(name, copy)| Some((name, copy.payload.as_ref()?.get().to_owned())))
        .collect()
}

#[test]
fn example_program_syncs_two_devices() {
    let home = tempfile::tempdir().unwrap();
    let runner = Runner::start(home.path(), &["--memory"]);
    let (url, jwt) = (format!("http://{}", runner.addr), token("ana"));

    let first = synced(&url, &jwt);
    assert_eq!(first.waiting().count() + first.rejected().len(), 0);
    let first = meters(&first);
    assert_eq!(first.len(), 1);
    assert!(!first[0].0.id.is_temp(), "{first:?}");
    assert_eq!(first[0].1, r#"{"reading":44.0}"#);

    let second = synced(&url, &jwt);
    sync::print(&second);
    let second = meters(&second);
    assert_eq!(second.len(), 2);
    assert!(second.contains(&first[0]), "{second:?}");

    let devices = runner
        .client()
        .send(
            "GET /api/v1/mobile/devices",
            &[("authorization", &format!("Bearer {jwt}"))],
            b"",
        )
        .unwrap();
    assert_eq!(
        devices.json()["devices"].as_array().unwrap().len(),
        2,
        "both acknowledged"
    );
}
