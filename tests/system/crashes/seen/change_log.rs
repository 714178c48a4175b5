//! The change log in a form that can be compared although positions differ between runs.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Groups the change log by channel. If positions may differ, their order is checked and they are
/// removed.
pub(super) fn log(rows: Vec<Value>, may_differ: bool) -> Vec<Value> {
    let mut channels: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
    for row in rows {
        let text = |name: &str| row[name]["S"].as_str().unwrap_or_default().to_owned();
        channels
            .entry(text("pk"))
            .or_default()
            .insert(text("sk"), row);
    }

    if !may_differ {
        return channels.into_iter().map(|channel| json!(channel)).collect();
    }
    channels
        .into_iter()
        .map(|(channel, rows)| json!([channel, linked(rows)]))
        .collect()
}

/// Checks the links of a channel's log. Returns its entries without positions, sorted by resource.
fn linked(mut rows: BTreeMap<String, Value>) -> Vec<Value> {
    let head = rows.remove("head").expect("a log has a head");
    let (mut reached, mut entries) = (None, Vec::new());

    for (prev, segment) in rows {
        let reached = reached.replace(segment["position"]["S"].clone());
        assert!(
            reached.is_none_or(|reached| reached == prev.as_str()),
            "the log is linked"
        );
        entries.extend(
            segment["entries"]
                .as_array()
                .expect("entries")
                .iter()
                .cloned(),
        );
    }
    assert_eq!(
        reached.as_ref(),
        Some(&head["position"]["S"]),
        "the log ends at its head"
    );

    let of = |entry: &Value| (entry["t"].to_string(), entry["i"].to_string());
    // The sort is stable: it keeps the versions of a resource in the order of the log.
    entries.sort_by_key(of);
    for pair in entries
        .windows(2)
        .filter(|pair| of(&pair[0]) == of(&pair[1]))
    {
        assert!(
            pair[0]["v"].as_u64() < pair[1]["v"].as_u64(),
            "versions go forwards: {pair:?}"
        );
    }

    entries
        .iter_mut()
        .for_each(|entry| drop(entry.as_object_mut().expect("an entry").remove("p")));
    entries
}
