//! Everything that can be seen of a deployment, in a form in which two runs can be compared.
//!
//! What may differ in every story, and why:
//! - Random ids (UUIDv7: of audit entries, and of batches that came without an id) are read as one
//!   and the same, because they are drawn anew by each try. So are the shards of the audit log,
//!   which follow from the ids of batches.
//! - Where the engine's own stream is sequenced, positions in the change log, and how it is cut
//!   into segments: the engine numbers by the machine's time, and of what is written side by side
//!   either may be first. That the log is linked up to its head is checked instead, and that each
//!   resource's versions are in order.
//! - Times, where the caller comes back later ([`Times::Differ`]).

use std::{collections::BTreeMap, fmt::Debug};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};
use tidemark::store::{
    BUCKET, DEAD_LETTER_BUCKET,
    client::{StoreClient, s3_client},
};
use tidemark_core::{
    pack::unpack,
    protocol::timestamp,
    sequence::segment::{Entry, Segment},
};
use tidemark_tests::{Device, Stack};

use super::CrashScenario;

/// Attributes and fields that are moments, besides those whose names end in `_at`.
const TIMES: [&str; 4] = ["at", "c", "first_seen", "last_seen"];
/// More than any packed attribute holds here.
const UNPACKED_BYTES_MAX: usize = 16 << 20;

/// Whether times are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Times {
    /// They are: all of it happened in one moment.
    Count,
    /// They are not: part of it happened later.
    Differ,
}

/// Devices that follow what happens: a token of before the story leads them through the log.
pub(super) struct Readers<'a> {
    devices: Vec<(Device<'a>, Vec<Value>)>,
}

impl<'a> Readers<'a> {
    /// Ana's phone, which is who acts in most stories, and another device of hers.
    pub(super) async fn before(scenario: &impl CrashScenario, stack: &'a Stack) -> Self {
        if scenario.is_sequenced() {
            stack.settle().await;
        }
        let mut devices = Vec::new();
        for device_id in ["phone", "tablet"] {
            let token = stack.token("acme", "ana", &[], &["north"]);
            let mut device = Device::new(stack, token, device_id);
            device.pull().await;
            devices.push((device, Vec::new()));
        }
        Self { devices }
    }

    /// They pull what came.
    pub(super) async fn read(&mut self, scenario: &impl CrashScenario, stack: &Stack) {
        if scenario.is_sequenced() {
            stack.settle().await;
        }
        for (device, changes) in &mut self.devices {
            changes.extend(device.pull().await);
        }
    }

    /// What each of them was told, and holds; and what a device like it that starts now is told.
    async fn told(self, stack: &Stack) -> BTreeMap<String, Vec<Value>> {
        let mut told = BTreeMap::new();
        for (device, changes) in self.devices {
            let name = format!("{} since then", device.device_id);
            assert_eq!(device.resets, 0, "{name}: a crash starts no channel over");
            let mut fresh = Device::new(stack, device.token.clone(), &device.device_id);
            let snapshot = fresh.pull().await;
            // A device's own changes are not delivered to it.
            if device.device_id != "phone" {
                assert_eq!(
                    fresh.live(),
                    device.live(),
                    "{name}: who followed the log holds what a snapshot shows"
                );
            }
            told.insert(format!("{name} of {}", told.len()), changes);
            told.insert(
                format!("{} of {} afresh", device.device_id, told.len()),
                snapshot,
            );
        }
        told
    }
}

/// What can be seen: by place, what is there, in an order of its own.
#[derive(Debug, PartialEq)]
pub(super) struct Observations(BTreeMap<String, Vec<String>>);

impl Observations {
    pub(super) async fn of(
        scenario: &impl CrashScenario,
        stack: &Stack,
        readers: Readers<'_>,
        told: Value,
        times: Times,
    ) -> Self {
        let mut places = BTreeMap::from([("what the caller is told".to_owned(), vec![told])]);
        // All there are, so that a new table is looked at too.
        for table in stack.dynamodb("ListTables", &json!({}))["TableNames"]
            .as_array()
            .expect("tables")
        {
            let table = table.as_str().expect("a name");
            // How many conflicts a device opened is counted after they are stored, and only about
            // (§3.5).
            let is_count = |row: &Value| table == "conflicts" && row["sk"]["S"] == "count";
            let rows = stack
                .rows(table)
                .into_iter()
                .filter(|row| !is_count(row))
                .map(readable)
                .collect();
            let rows = match table {
                "changes" => log(rows, scenario.is_sequenced()),
                "audit_log" => rows.into_iter().map(without_shard).collect(),
                _ => rows,
            };
            places.insert(format!("table {table}"), rows);
        }
        for bucket in [BUCKET, DEAD_LETTER_BUCKET] {
            places.insert(format!("bucket {bucket}"), objects(stack, bucket).await);
        }
        let published = stack.topic.published().into_iter();
        places.insert(
            "topic".into(),
            published
                .map(|it| json!([it.topic, it.message, it.attributes]))
                .collect(),
        );
        places.extend(readers.told(stack).await);
        let canonical = |items: Vec<Value>| {
            let mut items: Vec<String> = items
                .into_iter()
                .map(|item| canonical(item, times).to_string())
                .collect();
            items.sort();
            items
        };
        let compared = |(place, things): (String, Vec<Value>)| {
            let things = canonical(scenario.exempt(&place, things));
            (place, things)
        };
        Self(places.into_iter().map(compared).collect())
    }

    /// Fails where it is not what is seen after a run that nothing killed.
    pub(super) fn assert_is(&self, whole: &Self, told: &str) {
        for (place, expected) in &whole.0 {
            let seen = &self.0[place];
            if seen != expected {
                let only = |these: &[String], those: &[String]| -> Vec<String> {
                    these
                        .iter()
                        .filter(|item| !those.contains(item))
                        .cloned()
                        .collect()
                };
                panic!(
                    "{told}: {place} holds {} things instead of {}\nonly with the crash: {:#?}\nonly without: {:#?}",
                    seen.len(),
                    expected.len(),
                    only(seen, expected),
                    only(expected, seen)
                );
            }
        }
        assert_eq!(self.0.len(), whole.0.len(), "{told}");
    }
}

/// A row of the audit log without the shard that holds it.
fn without_shard(mut row: Value) -> Value {
    if let Some(tenant) = row["pk"]["S"]
        .as_str()
        .and_then(|key| key.split('#').next())
        .map(str::to_owned)
    {
        row["pk"]["S"] = tenant.into();
    }
    row
}

/// A row whose packed attributes are unpacked.
fn readable(row: Value) -> Value {
    let attribute = |(name, value): (String, Value)| {
        let packed = value["B"]
            .as_str()
            .and_then(|text| BASE64_STANDARD.decode(text).ok());
        if let ("entries", Some(packed)) = (name.as_str(), &packed) {
            let entries = Segment::unpack_entries(packed).expect("a segment");
            return (name, entries.iter().map(whole).collect());
        }
        // Not everything that is binary is packed, and of a batch in several chunks none unpacks
        // alone.
        let text = packed.and_then(|packed| unpack(&packed, UNPACKED_BYTES_MAX).ok());
        let unpacked = text.and_then(|text| serde_json::from_slice(&text).ok());
        (name, unpacked.unwrap_or(value))
    };
    Value::Object(
        row.as_object()
            .cloned()
            .unwrap_or_default()
            .into_iter()
            .map(attribute)
            .collect(),
    )
}

/// An entry with all it says, what is as in the one before it included.
fn whole(entry: &Entry) -> Value {
    let Entry {
        position,
        resource_type,
        id,
        action,
        server_version,
        changed_at,
        author,
        is_echoed,
        decided,
        payload,
    } = entry;
    json!({"p": position, "t": resource_type, "i": id, "a": action, "v": server_version, "c": timestamp(*changed_at), "b": author,
        "e": is_echoed, "r": decided, "d": payload})
}

/// The change log by channel. Where positions may differ only what they must be is left of them.
fn log(rows: Vec<Value>, may_differ: bool) -> Vec<Value> {
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

/// The entries of a channel's log without their positions, in the order of their resources.
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
    // Stable: the versions of a resource stay in the order of the log.
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

/// The objects of a bucket: key, type and content.
async fn objects(stack: &Stack, bucket: &str) -> Vec<Value> {
    let client = s3_client(
        StoreClient::new(stack.store.clone()),
        "http://media.localhost",
        "test",
    );
    let listed = client
        .list_objects_v2()
        .bucket(bucket)
        .send()
        .await
        .expect("a list");
    let mut objects = Vec::new();
    for key in listed.contents().iter().filter_map(|object| object.key()) {
        let object = client
            .get_object()
            .bucket(bucket)
            .key(key)
            .send()
            .await
            .expect("an object");
        let content_type = object.content_type().map(str::to_owned);
        let content = object
            .body
            .collect()
            .await
            .expect("its content")
            .into_bytes();
        let content = serde_json::from_slice(&content)
            .unwrap_or_else(|_| json!(BASE64_STANDARD.encode(&content)));
        objects.push(json!([key, content_type, content]));
    }
    objects
}

/// Without what is drawn anew by each try and, where they differ, without times.
fn canonical(value: Value, times: Times) -> Value {
    match value {
        Value::String(text) => {
            // What is text inside text: a message on the topic.
            match serde_json::from_str::<Map<String, Value>>(&text) {
                Ok(fields) => canonical(Value::Object(fields), times),
                Err(_) => without_random_ids(&text).into(),
            }
        }
        Value::Array(items) => items
            .into_iter()
            .map(|item| canonical(item, times))
            .collect(),
        Value::Object(fields) => {
            let is_time = |name: &str| name.ends_with("_at") || TIMES.contains(&name);
            let compared = fields
                .into_iter()
                .filter(|(name, _)| times == Times::Count || !is_time(name));
            compared
                .map(|(name, value)| (name, canonical(value, times)))
                .collect()
        }
        other => other,
    }
}

/// Text in which each UUIDv7, with its dashes or without, is a word of its own.
fn without_random_ids(text: &str) -> String {
    let is_part = |letter: char| letter.is_ascii_hexdigit() || letter == '-';
    let (mut plain, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(start) = rest.find(is_part) {
        let (before, word) = rest.split_at(start);
        let (word, after) =
            word.split_at(word.find(|letter| !is_part(letter)).unwrap_or(word.len()));
        plain.push_str(before);
        let id = [36, 32]
            .into_iter()
            .find(|letters| word.len() >= *letters && is_random_id(&word[word.len() - letters..]));
        plain.push_str(&word[..word.len() - id.unwrap_or_default()]);
        plain.push_str(if id.is_some() { "<random id>" } else { "" });
        rest = after;
    }
    plain + rest
}

/// Ids stand at the end of what they are part of, as in `batch-…-<id>`.
fn is_random_id(text: &str) -> bool {
    let is_dash = |place: usize| text.len() == 36 && [8, 13, 18, 23].contains(&place);
    let digits: Vec<u8> = text
        .bytes()
        .enumerate()
        .filter(|(place, _)| !is_dash(*place))
        .map(|(_, digit)| digit)
        .collect();
    digits.iter().all(u8::is_ascii_hexdigit) && digits[12] == b'7' && b"89ab".contains(&digits[16])
}

#[test]
fn only_random_ids_are_read_as_one() {
    let (random, derived) = (
        "0190163d-8694-739b-aea5-966c26f8ad91",
        "cfbff0d1-9375-5685-968c-48ce8b15ae17",
    );
    let text = format!("batch-x-{}/{random}, {derived} é", random.replace('-', ""));
    assert_eq!(
        without_random_ids(&text),
        format!("batch-x-<random id>/<random id>, {derived} é")
    );
}
