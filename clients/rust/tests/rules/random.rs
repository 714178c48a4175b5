//! Random sequences of edits, results and pages.

use serde_json::{Value, json};
use tidemark_client::{Client, EditContent};

use crate::support::{TestDevice, change, conflict, error, ok};

#[test]
fn no_edit_is_lost() {
    for seed in 0..60 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut device = TestDevice::new();
        let (mut made, mut applied, mut version) = (0, 0, 0);

        for _ in 0..100 {
            match rng.u32(0..6) {
                0 | 1 => {
                    let content = ["create", "update", "delete"][rng.usize(0..3)];
                    let edit = device.edit(match content {
                        "create" => EditContent::Create(r#"{"made": 1.0}"#),
                        "update" => EditContent::Update(r#"{"reading": 1}"#),
                        _ => EditContent::Delete,
                    });
                    made += 1;
                    assert!(edit.base_version() <= edit.client_version().max(device.versions().1));
                }
                2 => {
                    version += rng.u64(0..2);
                    let reset: &[&str] = if rng.u32(0..8) == 0 { &["tenant"] } else { &[] };
                    device.pull(json!({"reset": reset, "changes": [change("m-1", version)]}));
                }
                3 => device.client.discard_batch(),
                4 if device.client.waiting().next().is_some() => drop(device.send()),
                _ => applied += respond(&mut device, &mut version, &mut rng),
            }
            check(&device.client, made, applied);
        }
    }
}

/// Applies a random response to the batch, if there is one. Returns the number of applied edits.
fn respond(device: &mut TestDevice, version: &mut u64, rng: &mut fastrand::Rng) -> usize {
    let Some(sent) = device.client.sent() else {
        return 0;
    };

    let mut applied = 0;
    let results: Vec<Value> = sent
        .edits()
        .iter()
        .map(|_| match rng.u32(0..4) {
            0 => conflict(*version),
            1 => error(rng.bool()),
            _ => {
                *version += 1;
                applied += 1;
                ok(*version)
            }
        })
        .collect();
    device.push(results.into());
    applied
}

/// Checks that every edit waits, was applied or is kept for the user, and that the numbers of the
/// copy are consistent.
fn check(client: &Client, made: usize, applied: usize) {
    let kept = client.waiting().count() + client.rejected().len();
    assert_eq!(made, kept + applied);
    for copy in client.copies().values() {
        assert!(copy.base <= copy.known, "{copy:?}");
    }

    let numbers: Vec<u64> = client.waiting().map(|edit| edit.client_version()).collect();
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
}
