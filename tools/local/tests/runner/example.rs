//! The example program of the reference client, and the client against a real server.

use tidemark_client::{BatchBounds, Client, EditContent, EditOutcome, ResourceName};

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

/// Pushes the queue of a device as the user with this token, and returns the outcomes.
fn push(runner: &Runner, jwt: &str, client: &mut Client, batch_id: &str) -> Vec<EditOutcome> {
    client.next_batch(&BatchBounds::default(), batch_id);
    let request = client.push_request().unwrap();
    let response = runner.client().post("sync/push", jwt, &request).unwrap();
    let response = serde_json::from_str(&response.text).unwrap();
    let report = client.apply_push_response(&response).unwrap();
    report
        .outcomes
        .iter()
        .map(|(_, outcome)| *outcome)
        .collect()
}

/// The id of the meter is derived from its temp id. The server accepts it in a create only with
/// this temp id (§3.1).
#[test]
fn corrected_create_gets_the_derived_id() {
    let home = tempfile::tempdir().unwrap();
    let runner = Runner::start(home.path(), &["--memory"]);
    let jwt = token("ana");
    let temp = |id: &str| ResourceName::temp("tenant", "meter", id);

    let mut first = Client::new("first");
    let code = EditContent::Create(r#"{"code": "c-1"}"#);
    first.enqueue_edit(1, temp("t-1"), code).unwrap();
    assert_eq!(
        push(&runner, &jwt, &mut first, "b-1"),
        [EditOutcome::Applied]
    );

    let mut second = Client::new("second");
    second.enqueue_edit(1, temp("t-2"), code).unwrap();
    assert_eq!(
        push(&runner, &jwt, &mut second, "b-1"),
        [EditOutcome::Conflict]
    );

    let derived = second.rejected()[0].edit.name().clone();
    assert!(!derived.id.is_temp(), "{derived:?}");
    let other = EditContent::Create(r#"{"code": "c-2"}"#);
    second.enqueue_edit(2, derived.clone(), other).unwrap();
    assert_eq!(
        push(&runner, &jwt, &mut second, "b-2"),
        [EditOutcome::Applied]
    );
    assert_eq!(
        second.displayed(&derived).unwrap().get(),
        r#"{"code":"c-2"}"#
    );

    // The device deletes the meter and restores it.
    second
        .enqueue_edit(3, derived.clone(), EditContent::Delete)
        .unwrap();
    second.enqueue_edit(4, derived.clone(), other).unwrap();
    let outcomes = push(&runner, &jwt, &mut second, "b-3");
    assert_eq!(
        outcomes,
        [EditOutcome::Applied; 2],
        "{:?}",
        second.rejected()
    );
}
