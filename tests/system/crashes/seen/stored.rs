//! The content of tables and buckets, unpacked.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tidemark::store::client::{StoreClient, s3_client};
use tidemark_aws::tables::changes::entries;
use tidemark_aws::tables::format::unpack;
use tidemark_core::{model::time::timestamp, rules::sequence::segment::Entry};
use tidemark_tests::Stack;

use super::change_log::log;

/// The limit for unpacking, in bytes. No packed attribute here is as large.
const UNPACKED_BYTES_MAX: usize = 16 << 20;

/// Returns the rows of a table in a form that can be compared. If the engine's stream is sequenced,
/// positions in the change log may differ.
pub(super) fn rows(stack: &Stack, table: &str, is_sequenced: bool) -> Vec<Value> {
    // The number of conflicts that a device has opened is counted after they are stored, and only
    // approximately (§3.5).
    let is_count = |row: &Value| table == "conflicts" && row["sk"]["S"] == "count";
    let rows = stack
        .rows(table)
        .into_iter()
        .filter(|row| !is_count(row))
        .map(readable)
        .collect();

    match table {
        "changes" => log(rows, is_sequenced),
        "audit_log" => rows.into_iter().map(without_shard).collect(),
        _ => rows,
    }
}

/// Removes the shard from the key of a row of the audit log.
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

/// Unpacks the packed attributes of a row.
fn readable(row: Value) -> Value {
    let attribute = |(name, value): (String, Value)| {
        let packed = value["B"]
            .as_str()
            .and_then(|text| BASE64_STANDARD.decode(text).ok());
        if let ("entries", Some(packed)) = (name.as_str(), &packed) {
            let entries = entries::unpack(packed).expect("a segment");
            return (name, entries.iter().map(whole).collect());
        }
        // Some binary attributes are not packed, and one chunk of a batch with several chunks
        // cannot be unpacked alone.
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

/// Returns an entry with all its fields, also the fields that its packed form takes from the
/// previous entry.
fn whole(entry: &Entry) -> Value {
    let Entry {
        position,
        resource_type,
        id,
        action,
        server_version,
        changed_at,
        author,
        echo_to_author,
        resolved_conflicts,
        payload,
    } = entry;
    let resolved: Vec<Value> = resolved_conflicts
        .iter()
        .map(|resolved| json!({"id": resolved.id, "resolution": resolved.resolution.as_str()}))
        .collect();
    json!({"p": position.to_string(), "t": resource_type, "i": id, "a": action.as_str(), "v": server_version,
        "c": timestamp(*changed_at), "b": author.as_str(), "e": echo_to_author, "r": resolved, "d": payload})
}

/// Returns the objects of a bucket: key, content type and content.
pub(super) async fn objects(stack: &Stack, bucket: &str) -> Vec<Value> {
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
