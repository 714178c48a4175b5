//! The work of a batch is bounded by the size of the stored and sent data, regardless of the edits:
//! small edits cannot cause a large payload to be parsed repeatedly.

use std::collections::HashMap;

use chrono::DateTime;
use serde_json::value::RawValue;
use tidemark_core::{
    model::{
        catalog::Catalog,
        json::Json,
        limits::BATCH_ITEMS_MAX,
        principal::{Author, Principal},
        resource::Resource,
        result::Status,
        work,
    },
    rules::push::{
        decide::decide,
        decision::{CurrentState, Decision, Lookups},
        edit::Sender,
        intake,
        media::MediaVerification,
    },
    wire::push::read_item,
};

/// The bytes of the stored payload in each case.
const PAYLOAD_BYTES: usize = 340_000;
/// The maximum number of passes over the stored payload that 50 edits may cause.
const PASSES_MAX: usize = 6;
/// The maximum number of passes over the sent items.
const SENT_PASSES_MAX: usize = 20;

fn raw(text: String) -> Json {
    RawValue::from_string(text).expect("JSON")
}

fn item(action: &str, base: u64, version: u64, payload: &str) -> Json {
    raw(format!(
        r#"{{"resource_type":"meter","action":"{action}","client_version":{version},"base_version":{base},"payload":{{"id":"m",{}}}"#,
        &payload[1..]
    ))
}

/// Decides a batch about one resource for a device of `ana`.
fn push(policy: &str, resource: Option<Resource>, items: &[Json], device: &str) -> Decision {
    let catalog = format!("[meter]\nchannel = 'tenant'\nid_prefix = 'm'\npolicy = '{policy}'");
    let catalog = Catalog::parse(&catalog).expect("catalog");
    let principal = Principal {
        tenant: "acme".into(),
        user: "ana".into(),
        roles: vec![],
        groups: vec![],
    };

    let author = Author::device("ana", device);
    let sender = Sender {
        principal: &principal,
        device_id: device,
        author: &author,
        catalog: &catalog,
        is_replay: false,
    };
    let intake = intake::read(items.iter().map(|item| read_item(item)), sender);

    let (holders, media) = (HashMap::new(), MediaVerification::default());
    let stored = CurrentState {
        resource,
        conflicts: Some(Vec::new()),
    };
    let found = Lookups {
        holders: &holders,
        media: &media,
    };

    decide(
        &intake.groups[0],
        &stored,
        found,
        sender,
        DateTime::UNIX_EPOCH,
    )
    .expect("conflicts are loaded")
}

fn nested(inner: &str) -> String {
    format!(
        "{{\"p\":{}{inner}{}}}",
        "{\"a\":".repeat(60),
        "}".repeat(60)
    )
}

/// Checks that a batch of updates causes few passes over the payload, and that all of its results
/// have `status`.
fn check(
    policy: &str,
    resource: &Resource,
    base: u64,
    device: &str,
    status: Status,
    patch: impl Fn(usize) -> String,
) {
    let update = |number: usize| item("update", base, number as u64 + 1, &patch(number));
    let items: Vec<Json> = (0..BATCH_ITEMS_MAX).map(update).collect();
    let sent: usize = items.iter().map(|item| item.get().len()).sum();

    work::take();
    let decision = push(policy, Some(resource.clone()), &items, device);
    let work = work::take();

    assert!(
        decision
            .results
            .iter()
            .all(|result| result.status == status),
        "{policy}: {:?}",
        decision.results[0].error
    );

    let response_bytes: usize = decision
        .results
        .iter()
        .filter_map(|result| Some(result.server_payload.as_ref()?.get().len()))
        .sum();

    // A payload in a response is also written for it.
    let bound = PASSES_MAX * PAYLOAD_BYTES + SENT_PASSES_MAX * sent + 3 * response_bytes;
    assert!(
        work.parsed + work.written + work.hashed <= bound,
        "{policy}, {device}, base {base}: {work:?}, of {bound}"
    );
    assert!(
        response_bytes <= 5_000_000,
        "{policy}: responses contain {response_bytes} bytes"
    );
}

#[test]
fn small_edits_do_not_reparse_payload() {
    let zeros = format!("[{}0]", "0,".repeat(PAYLOAD_BYTES / 2 - 1));
    let payload = nested(&format!("{{\"k0\":0,\"z\":{zeros}}}"));
    let deep = |number: usize| nested(&format!("{{\"k0\":\"{number}\"}}"));
    // Compared with the stored array element by element, up to the first difference.
    let compared = |number: usize| nested(&format!("{{\"z\":[0,{number},1]}}"));

    for policy in ["manual", "server_wins", "field_merge"] {
        let create = push(policy, None, &[item("create", 0, 0, &payload)], "one");
        let made = create.write.expect("a row").resource;
        check(policy, &made, 1, "one", Status::Ok, deep);

        let other = push(
            policy,
            Some(made),
            &[item("update", 1, 1, "{\"q\":1}")],
            "two",
        );
        let stored = other.write.expect("a row").resource;

        let status = if policy == "field_merge" {
            Status::Ok
        } else {
            Status::Conflict
        };
        if policy != "field_merge" {
            check(policy, &stored, 1, "three", status, compared);
        }
        check(policy, &stored, 1, "three", status, deep);
    }
}
