//! The work of a batch stays within a bound of what is stored and sent, whatever the edits are:
//! small ones cannot make a large payload be parsed again and again.

use std::collections::HashMap;

use chrono::DateTime;
use serde_json::value::RawValue;
use tidemark_core::{
    catalog::Catalog,
    json::Json,
    limits::BATCH_ITEMS_MAX,
    principal::{Author, Principal},
    protocol::push::Status,
    push::{
        decide::{CurrentState, Decision, Lookups, decide},
        intake::{self, Sender},
        media::Evidence,
    },
    resource::Resource,
    work,
};

/// Bytes of the stored payload of each case.
const PAYLOAD_BYTES: usize = 340_000;
/// How often the stored payload is walked through at most, whatever 50 edits do to it.
const PASSES_MAX: usize = 6;
/// The same of what was sent.
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

/// Decides a batch of one resource for a device of `ana`.
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
    let intake = intake::read(items, sender);
    let (holders, media) = (HashMap::new(), Evidence::default());
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
    .expect("conflicts are given")
}

fn nested(inner: &str) -> String {
    format!(
        "{{\"p\":{}{inner}{}}}",
        "{\"a\":".repeat(60),
        "}".repeat(60)
    )
}

/// Checks that a batch of updates walks through the payload a few times at most; gives how many
/// edits were answered with `status`.
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
    let answered: usize = decision
        .results
        .iter()
        .filter_map(|result| Some(result.server_payload.as_ref()?.get().len()))
        .sum();
    // A payload that an answer holds is written for it.
    let bound = PASSES_MAX * PAYLOAD_BYTES + SENT_PASSES_MAX * sent + 3 * answered;
    assert!(
        work.parsed + work.written + work.hashed <= bound,
        "{policy}, {device}, base {base}: {work:?}, of {bound}"
    );
    assert!(
        answered <= 5_000_000,
        "{policy}: answers hold {answered} bytes"
    );
}

#[test]
fn small_edits_of_a_large_payload_parse_it_once() {
    let zeros = format!("[{}0]", "0,".repeat(PAYLOAD_BYTES / 2 - 1));
    let payload = nested(&format!("{{\"k0\":0,\"z\":{zeros}}}"));
    let deep = |number: usize| nested(&format!("{{\"k0\":\"{number}\"}}"));
    // Compared with what stands, element by element, until they differ.
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
