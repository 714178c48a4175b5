//! Names are any text of 1 to 256 bytes (§1). The keys that contain them neither collide nor exceed
//! the limits of the tables.

use rstest::rstest;
use serde_json::{Value, json};
use tidemark_tests::{Device, Item, Stack, scenario::meter};

/// Texts with a special meaning in some key, statement, path or parser.
const ODD: [&str; 16] = [
    "#",
    "%",
    "%h",
    "##",
    "a#b",
    "a%hb",
    "head",
    "~",
    "\"",
    "\\",
    "'; DROP TABLE resources; --",
    " ",
    "\u{0}",
    "a\u{0}b",
    "\u{1f980}",
    "../../etc/passwd?x=1&y",
];

async fn create(device: &Device<'_>, temp_id: &str, payload: Value, channel: &str) -> Value {
    let create = Item::create_as("meter", temp_id, payload).version(1);
    device.push_one(create.channel(channel)).await
}

#[tokio::test]
async fn odd_ids_are_distinct_and_returned_unchanged() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    let mut by_log = stack.device("ben", "tablet");
    by_log.pull().await;

    for id in ODD {
        let made = create(&ana, id, json!({"id": id, "called": id}), "tenant").await;
        assert_eq!(
            (&made["status"], &made["server_id"]),
            (&json!("ok"), &json!(id)),
            "{id:?}"
        );
    }

    stack.settle().await;
    let mut by_snapshot = stack.device("cid", "laptop");
    for device in [&mut by_log, &mut by_snapshot] {
        device.pull().await;
        let held = device.live();
        assert_eq!(held.len(), ODD.len());
        for id in ODD {
            assert_eq!(
                held[id].payload,
                Some(json!({"called": id}).to_string()),
                "{id:?}"
            );
        }
    }
}

#[tokio::test]
async fn odd_names_are_kept_apart() {
    let stack = Stack::new();
    let mut ids = std::collections::BTreeSet::new();
    for name in ODD {
        let token = stack.token("acme", name, &[], &[name]);
        let device = Device::new(&stack, token, name);
        for channel in [
            "tenant".to_owned(),
            format!("user/{name}"),
            format!("group/{name}"),
        ] {
            let made = create(&device, name, json!({"by": name}), &channel).await;
            assert_eq!(
                (&made["status"], &made["server_version"]),
                (&json!("ok"), &json!(1)),
                "{name:?} in {channel:?}: {made}"
            );
            ids.insert(made["server_id"].as_str().unwrap().to_owned());
        }
    }

    assert_eq!(ids.len(), 3 * ODD.len());
    stack.settle().await;
    for name in ODD {
        let mut device = Device::new(&stack, stack.token("acme", name, &[], &[name]), "another");
        let changes = device.pull().await;
        let own: Vec<_> = changes
            .iter()
            .filter(|change| change["channel"] != "tenant")
            .collect();
        assert_eq!((changes.len(), own.len()), (ODD.len() + 2, 2), "{name:?}");
        assert!(
            own.iter().all(|change| change["payload"]["by"] == name),
            "{name:?}"
        );
    }
}

/// Returns an edit of a meter whose id, temp id and group are called `name`.
fn named_item(name: &str, action: &str, version: u64, note: &str) -> Item {
    meter(action, name, version, json!({"note": note}))
        .temp_id(name)
        .channel(&format!("group/{name}"))
}

#[rstest]
#[case::separator("#")]
#[case::ascii("x")]
#[case::four_bytes("\u{1f980}")]
#[tokio::test]
async fn longest_names_fit_all_keys(#[case] letter: &str) {
    let stack = Stack::new();
    let name = letter.repeat(256 / letter.len());
    let token = stack.token(&name, &name, &[], &[&name]);
    let device = Device::new(&stack, token, &name);
    let item = |action: &str, version: u64, note: &str| named_item(&name, action, version, note);

    let made = device
        .push_batch(&name, &json!([item("create", 0, "first")]))
        .await
        .ok();
    assert_eq!(made["results"][0]["status"], "ok", "{made}");
    assert_eq!(
        device
            .push_batch(&name, &json!([item("create", 0, "first")]))
            .await
            .ok(),
        made
    );

    let other = Device::new(&stack, stack.token(&name, "other", &[], &[&name]), &name);
    assert_eq!(
        other.push_one(item("update", 1, "second")).await["status"],
        "ok"
    );
    assert_eq!(
        device.push_one(item("update", 1, "third")).await["status"],
        "conflict"
    );
    assert_eq!(stack.conflicts().len(), 1);

    stack.settle().await;
    let mut reader = Device::new(&stack, stack.token(&name, "reader", &[], &[&name]), "r");
    assert_eq!(reader.pull().await[0]["id"], name);
}
