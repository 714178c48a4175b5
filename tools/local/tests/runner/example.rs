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

/// A device of Ana that pushes to a runner.
struct PushingClient<'a> {
    runner: &'a Runner,
    jwt: &'a str,
    client: Client,
    edits: u64,
}

impl PushingClient<'_> {
    /// Makes an edit of a meter, pushes it and returns its outcome.
    fn push(&mut self, name: &ResourceName, content: EditContent<'_>) -> EditOutcome {
        self.edits += 1;
        let (client, batch_id) = (&mut self.client, format!("batch-{}", self.edits));
        client
            .enqueue_edit(self.edits, name.clone(), content)
            .unwrap();
        client.next_batch(&BatchBounds::default(), &batch_id);

        let request = client.push_request().unwrap();
        let mut connection = self.runner.client();
        let response = connection.post("sync/push", self.jwt, &request).unwrap();
        let response = serde_json::from_str(&response.text).unwrap();
        client.apply_push_response(&response).unwrap().outcomes[0].1
    }
}

/// The id of the meter is derived from its temp id. The server accepts it in a create only with
/// this temp id (§3.1).
#[test]
fn corrected_create_gets_the_derived_id() {
    let home = tempfile::tempdir().unwrap();
    let runner = Runner::start(home.path(), &["--memory"]);
    let jwt = token("ana");
    let device = |device_id: &str| PushingClient {
        runner: &runner,
        jwt: &jwt,
        client: Client::new(device_id),
        edits: 0,
    };
    let temp = ResourceName::temp("tenant", "meter", "5f0c7c1e");
    let code = EditContent::Create(r#"{"code": "c-1"}"#);
    let other = EditContent::Create(r#"{"code": "c-2"}"#);

    let (mut first, mut second) = (device("first"), device("second"));
    assert_eq!(first.push(&temp, code), EditOutcome::Applied);
    assert_eq!(second.push(&temp, code), EditOutcome::Conflict);

    let derived = second.client.rejected()[0].edit.name().clone();
    assert!(!derived.id.is_temp(), "{derived:?}");
    assert_eq!(second.push(&derived, other), EditOutcome::Applied);
    assert_eq!(
        second.client.displayed(&derived).unwrap().get(),
        r#"{"code":"c-2"}"#
    );

    assert_eq!(
        second.push(&derived, EditContent::Delete),
        EditOutcome::Applied
    );
    assert_eq!(second.push(&derived, other), EditOutcome::Applied);
}
