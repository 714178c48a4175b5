//! Checks the cost of rejected edits and deleted resources: the counts must not grow with the
//! history.

use serde_json::{Value, json};
use tidemark_bench::{
    cost::{self, Cost, Counting},
    workload,
};
use tidemark_tests::{Device, Item};

const ITEMS: usize = 50;
/// Bytes of a large payload.
const LARGE: usize = 340 * 1024;
/// Write units of a rejected item: the row of the conflict and its entries in two indexes.
/// Functions of earlier builds read the index `by_status`. Without it, which the next release
/// removes, the bound is 2.6.
const WRITE_UNITS_MAX: f64 = 3.6;

fn is_ok(result: &Value) -> bool {
    result["status"] == "ok"
}

/// Returns the item that updates a meter, based on this version.
fn update(id: &Value, version: u64, payload: Value) -> Value {
    let id = id.as_str().unwrap();
    Item::update("meter", id, version, payload)
        .base(version)
        .into()
}

/// Creates fifty meters of this size, updates each once, and returns their ids.
async fn changed_resources(counting: &Counting, bytes: usize, per_push: usize) -> Vec<Value> {
    let ana = counting.stack.device("ana", "phone");
    let mut ids = Vec::new();

    for from in (0..ITEMS).step_by(per_push) {
        let numbers = from..(from + per_push).min(ITEMS);
        let create = |number| {
            let mut payload = workload::form(number, 0, bytes);
            payload["code"] = format!("code-{number}").into();
            Item::create_as("meter", &format!("tmp-{number}"), payload).into()
        };

        let creates = numbers.clone().map(create).collect();
        let (_, created) = counting.push(&ana, creates, is_ok).await;
        let created: Vec<Value> = created
            .iter()
            .map(|result| result["server_id"].clone())
            .collect();

        let changes = numbers
            .zip(&created)
            .map(|(number, id)| update(id, 1, json!({"note": format!("n-{number}")})));
        counting.push(&ana, changes.collect(), is_ok).await;
        ids.extend(created);
    }
    ids
}

/// Pushes edits based on the first version, which are all rejected.
async fn rejected(
    counting: &Counting,
    device: &Device<'_>,
    ids: &[Value],
    edit: usize,
    bytes: usize,
) -> Cost {
    let forms = ids
        .iter()
        .enumerate()
        .map(|(number, id)| update(id, 1, workload::form(number, edit, bytes)));
    let (cost, results) = counting.count(device.push(forms.collect())).await;

    assert!(
        results.iter().all(|result| result["status"] == "conflict"),
        "{results:?}"
    );
    cost
}

async fn resolve_all(counting: &Counting) {
    let boss = counting.stack.token("acme", "boss", &["admin"], &[]);
    let list = counting.stack.get("conflicts?limit=200", &boss).await.ok();
    for conflict in list["conflicts"].as_array().unwrap() {
        let path = format!("conflicts/{}/resolve", conflict["id"].as_str().unwrap());
        counting
            .stack
            .post(&path, &boss, &json!({"resolution": "accept_server"}))
            .await
            .ok();
    }
}

#[test]
fn fifty_rejected_updates_stay_within_budget() {
    cost::in_virtual_time(async {
        let counting = Counting::default();
        let ids = changed_resources(&counting, 300, ITEMS).await;

        for (user, device_id) in [
            ("ben", "phone"),
            (
                "5f3f58bf-0b21-4d5e-9d0a-0c9c3f3d2b1a",
                "0d2c3f5e-7a86-4b0c-9c65-3e6f1b0f2a77",
            ),
        ] {
            let cost = rejected(
                &counting,
                &counting.stack.device(user, device_id),
                &ids,
                2,
                300,
            )
            .await;
            println!("{user}: {cost:?}");
            assert!(cost.round_trips <= 7.0 && cost.calls <= 14, "{cost:?}");
            assert!(
                cost.write_units / ITEMS as f64 <= WRITE_UNITS_MAX,
                "{cost:?}"
            );
            assert!(cost.read_units <= 150.0, "{cost:?}");
        }
    });
}

#[test]
fn rejected_update_cost_is_history_independent() {
    cost::in_virtual_time(async {
        let counting = Counting::default();
        let ids = changed_resources(&counting, 300, ITEMS).await;
        let ben = counting.stack.device("ben", "phone");

        let mut costs = Vec::new();
        for round in 0..8 {
            costs.push(rejected(&counting, &ben, &ids[..10], 2 + round, 300).await);
            resolve_all(&counting).await;
        }

        // Compares the second conflict of each device and resource with the last, when the maximum
        // number is stored.
        let (second, last) = (&costs[1], &costs[7]);
        println!("{:?}\n{second:?}\n{last:?}", costs[0]);
        assert!(
            last.write_units <= second.write_units + 10.0,
            "{second:?} {last:?}"
        );
        assert!(last.read_units <= 10.0 * 20.0, "{last:?}");
        assert_eq!(last.calls, costs[6].calls);
    });
}

#[test]
fn one_rejected_edit_reads_few_units() {
    cost::in_virtual_time(async {
        let counting = Counting::default();
        let ids = changed_resources(&counting, 300, ITEMS).await;
        let ben = counting.stack.device("ben", "phone");

        let edits = |push: usize| {
            let edit = |item: usize| {
                let payload = json!({"note": "x".repeat(900), "n": push * ITEMS + item});
                let mut edit = update(&ids[0], 1, payload);
                edit["client_version"] = json!(1 + push * ITEMS + item);
                edit
            };
            (0..ITEMS).map(edit).collect::<Vec<_>>()
        };

        for push in 0..60 {
            let results = ben.push(edits(push).into()).await;
            assert!(
                results.iter().all(|result| result["status"] == "conflict"),
                "{results:?}"
            );
        }

        let (cost, _) = counting.count(ben.push(json!([edits(60)[0]]))).await;
        println!("{cost:?}");
        assert!(cost.read_units <= 30.0, "{cost:?}");
    });
}

fn stored_bytes(counting: &Counting) -> usize {
    counting
        .stack
        .rows("conflicts")
        .iter()
        .map(|row| row.to_string().len())
        .sum()
}

#[test]
fn server_payloads_are_stored_once_per_version() {
    cost::in_virtual_time(async {
        let counting = Counting::default();
        let ids = changed_resources(&counting, LARGE, 4).await;

        let small = async |user: &str| {
            let device = counting.stack.device(user, "phone");
            let edits = ids.iter().map(|id| update(id, 1, json!({"note": user})));
            let (cost, results) = counting.count(device.push(edits.collect())).await;
            assert!(
                results.iter().all(|result| result["status"] == "conflict"),
                "{results:?}"
            );
            cost
        };

        let first = small("ben").await;
        let once = stored_bytes(&counting);
        let second = small("eva").await;
        println!("{first:?} {once}\n{second:?} {}", stored_bytes(&counting));
        assert!(
            stored_bytes(&counting) - once <= ITEMS * 1200,
            "conflicts of a second device do not store the server's payload again"
        );
        assert!(
            second.write_units <= WRITE_UNITS_MAX * ITEMS as f64,
            "{second:?}"
        );

        let boss = counting.stack.token("acme", "boss", &["admin"], &[]);
        let list = counting.stack.get("conflicts?limit=200", &boss).await.ok();
        let path = format!(
            "conflicts/{}",
            list["conflicts"][99]["id"].as_str().unwrap()
        );

        let whole = counting.stack.get(&path, &boss).await.ok();
        assert_eq!(whole["server_version"], 2);
        assert!(
            whole["server_payload"]["note"]
                .as_str()
                .is_some_and(|note| note.starts_with("n-")),
            "{whole}"
        );
    });
}

#[test]
fn snapshot_reads_deleted_resources_cheaply() {
    cost::in_virtual_time(async {
        for (count, per_push, bytes) in [(96, 4, LARGE), (100, 50, 300)] {
            let counting = Counting::default();
            let ana = counting.stack.device("ana", "phone");

            for from in (0..count).step_by(per_push) {
                let numbers = from..from + per_push;
                let creates = numbers
                    .map(|number| workload::create(number, workload::noise(number, bytes)))
                    .collect();
                let (_, created) = counting.push(&ana, creates, is_ok).await;
                let deletes = created
                    .iter()
                    .map(|result| workload::delete(&result["server_id"], 1))
                    .collect();
                counting.push(&ana, deletes, is_ok).await;
            }

            let mut fresh = counting.stack.device("ben", "phone");
            let (cost, page) = counting.count(fresh.pull_page(200)).await;
            println!("{count} of {bytes}: {cost:?}");
            assert_eq!(page["changes"], json!([]));
            assert!(cost.read_units <= count as f64 / 10.0 + 2.0, "{cost:?}");
        }
    });
}
