//! Items and bodies as JSON text, because building a large payload as a value is slow in a debug
//! build.

use lambda_http::http::{HeaderMap, HeaderValue, header};
use serde_json::Value;

use super::{LARGE_BYTES, Request};
use crate::{ApiResponse, Stack};

/// Nesting depth of the nested payload; the maximum is 64.
const LEVELS: usize = 60;

const WORDS: [&str; 8] = [
    "gate", "locked", "meter", "behind", "shed", "rust", "valve", "cover",
];

/// The group whose channel contains the tasks.
pub(super) const GROUP: &str = "north";

/// Returns an item of a push; `fields` are the fields of its payload besides the `id`.
pub(super) fn item(
    kind: &str,
    action: &str,
    id: &str,
    base: u64,
    version: u64,
    fields: &str,
) -> String {
    let channel = if kind == "task" {
        format!(r#""channel":"group/{GROUP}","#)
    } else {
        String::new()
    };
    let fields = if fields.is_empty() {
        String::new()
    } else {
        format!(",{fields}")
    };

    format!(
        r#"{{"resource_type":"{kind}","action":"{action}","client_version":{version},"base_version":{base},{channel}"payload":{{"id":"{id}"{fields}}}}}"#
    )
}

/// Returns the item that creates a meter.
pub(super) fn create(id: &str, fields: &str) -> String {
    item("meter", "create", id, 0, 0, fields)
}

/// Returns the item that changes a meter, made on version `base`.
pub(super) fn update(id: &str, base: u64, version: u64, fields: &str) -> String {
    item("meter", "update", id, base, version, fields)
}

/// Returns a field with about `bytes` bytes of words, which differ for each `number`.
pub(super) fn words(number: usize, bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 32);
    let mut random = fastrand::Rng::with_seed(number as u64);

    while text.len() < bytes {
        text.push_str(WORDS[random.usize(..WORDS.len())]);
        text.push_str(&format!(" {} ", random.u16(..1000)));
    }

    text.truncate(bytes.saturating_sub(10).max(1));
    format!(r#""note":"{text}""#)
}

/// Returns fields of about `bytes` bytes that compress well and are slow to parse. They differ for
/// each `number`.
pub(super) fn filler(number: usize, bytes: usize) -> String {
    format!(r#""f":{number},{}"#, numbers(bytes))
}

/// Returns a field with an array of numbers, of about `bytes` bytes.
pub(super) fn numbers(bytes: usize) -> String {
    format!(r#""z":[{}0]"#, "0,".repeat((bytes / 2).saturating_sub(1)))
}

/// Returns a field with an array of small objects, of about `bytes` bytes.
pub(super) fn objects(bytes: usize) -> String {
    format!(r#""o":[{}{{}}]"#, r#"{"a":0},"#.repeat(bytes / 8))
}

/// Returns deeply nested objects, the innermost with `fields`.
pub(super) fn nested(fields: &str) -> String {
    format!(
        r#""p":{}{{{fields}}}{}"#,
        r#"{"a":"#.repeat(LEVELS),
        "}".repeat(LEVELS)
    )
}

/// Returns the large payload to which nested patches apply.
pub(super) fn nested_large() -> String {
    nested(&format!(r#""k":0,{}"#, numbers(LARGE_BYTES)))
}

/// Returns fifty patches of the innermost object of the nested payload, made on version `base`.
pub(super) fn nested_patches(kind: &str, base: u64) -> Vec<String> {
    (1..=50)
        .map(|version| {
            item(
                kind,
                "update",
                "m",
                base,
                version,
                &nested(&format!(r#""k":"{version}""#)),
            )
        })
        .collect()
}

/// A client of the tenant `acme`.
pub(super) struct Client<'a> {
    pub(super) stack: &'a Stack,
    pub(super) token: String,
    pub(super) device_id: &'static str,
}

impl<'a> Client<'a> {
    /// Creates a device of a user who belongs to the group.
    pub(super) fn new(stack: &'a Stack, user: &str, device_id: &'static str) -> Self {
        Self {
            stack,
            token: stack.token("acme", user, &[], &[GROUP]),
            device_id,
        }
    }

    /// Returns the body of a push.
    pub(super) fn body(&self, items: &[String]) -> String {
        format!(
            r#"{{"device_id":"{}","client_sync_token":null,"items":[{}]}}"#,
            self.device_id,
            items.join(",")
        )
    }

    /// Returns the request that pushes items whose results must have this status.
    pub(super) fn pushing(&self, items: &[String], status: &'static str) -> Request {
        Request::post("sync/push", self.token.clone(), self.body(items)).expecting(status)
    }

    /// Pushes items whose results must have this status, and returns the response.
    pub(super) async fn push(&self, items: &[String], status: &'static str) -> Value {
        let response = self.send("POST", "sync/push", self.body(items)).await;
        let results = response["results"].as_array().unwrap();
        let other = results.iter().find(|result| result["status"] != status);
        assert!(other.is_none(), "{other:?} is not {status}");
        response
    }

    /// Sends a request that must succeed, and returns the response.
    pub(super) async fn send(&self, method: &'static str, path: &str, body: String) -> Value {
        send(self.stack, method, path, &self.token, body).await
    }

    /// Returns the sync token after everything that can be pulled now.
    pub(super) async fn since(&self) -> String {
        let mut since = "null".to_owned();
        loop {
            let body = format!(
                r#"{{"since_token":{since},"device_id":"{}","limit":500}}"#,
                self.device_id
            );
            let page = self.send("POST", "sync/pull", body).await;
            since = page["next_token"].to_string();
            if page["has_more"] == false {
                return since;
            }
        }
    }

    /// Returns the request that pulls a page.
    pub(super) fn pulling(&self, since: &str, limit: usize) -> Request {
        let body = format!(
            r#"{{"since_token":{since},"device_id":"{}","limit":{limit}}}"#,
            self.device_id
        );
        Request::post("sync/pull", self.token.clone(), body)
    }
}

/// Returns the token of an admin.
pub(super) fn admin(stack: &Stack) -> String {
    stack.token("acme", "root", &["admin"], &[GROUP])
}

/// Sends a request that must succeed. Its response is not compared with `openapi.json`, because
/// that is slow for large responses.
pub(super) async fn send(
    stack: &Stack,
    method: &'static str,
    path: &str,
    token: &str,
    body: String,
) -> Value {
    let mut headers = HeaderMap::new();
    headers.insert(
        header::AUTHORIZATION,
        HeaderValue::from_str(&format!("Bearer {token}")).unwrap(),
    );
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );

    ApiResponse::read(stack.respond(method, path, &headers, body.as_bytes()).await).ok()
}

/// Creates meters with these fields, in several pushes so that no body is too large.
pub(super) async fn create_meters(
    client: &Client<'_>,
    count: usize,
    fields: impl Fn(usize) -> String,
) {
    let items: Vec<String> = (0..count)
        .map(|number| create(&format!("m-{number}"), &fields(number)))
        .collect();
    let bytes = items.first().map_or(1, String::len);
    for some in items.chunks((2_900_000 / bytes).clamp(1, 50)) {
        client.push(some, "ok").await;
    }
}

/// Changes each of `count` meters once, from version `base`.
pub(super) async fn change_meters(client: &Client<'_>, count: usize, base: u64) {
    let items: Vec<String> = (0..count)
        .map(|number| {
            update(
                &format!("m-{number}"),
                base,
                base,
                &format!(r#""n":{base}"#),
            )
        })
        .collect();
    for some in items.chunks(50) {
        client.push(some, "ok").await;
    }
}
