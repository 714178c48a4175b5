//! Fuzzing with two thousand bodies of random bytes, random JSON and damaged requests: each
//! response is 200 or a problem, never a 5xx or a panic, and what was applied passes through the
//! stream into the log.

use fastrand::Rng;
use serde_json::json;
use tidemark_tests::{ApiResponse, Item, Stack};

use super::{list, push_text, texts};

const BODIES: u64 = 2000;
/// Environment variable that selects a single seed.
///
/// Usage: `TIDEMARK_SEED=7 cargo test -p tidemark-tests noise`
const SEED_VARIABLE: &str = "TIDEMARK_SEED";

/// Values that some validation rule treats in a special way, as JSON text.
const SPECIAL_VALUES: [&str; 40] = [
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1",
    "2",
    "-1",
    "1.0",
    "0.5",
    "1e2",
    "1e400",
    "9007199254740991",
    "9007199254740992",
    "18446744073709551615",
    "18446744073709551616",
    r#""""#,
    r#"" ""#,
    r#""create""#,
    r#""update""#,
    r#""delete""#,
    r#""meter""#,
    r#""submission""#,
    r#""task""#,
    r#""invoice""#,
    r#""tenant""#,
    r#""user/ana""#,
    r#""user/ben""#,
    r#""group/north""#,
    r#""group/""#,
    r#""m-1""#,
    r#""t""#,
    r#""\u0000""#,
    r#""\ud800""#,
    r#""\ud83e\udd80""#,
    r##""a#b%h""##,
    r#""tm1_AAAAAAAA""#,
    "[]",
    "{}",
    "[[[[[]]]]]",
];
/// Every field of the protocol's requests, and two names that are not protocol fields.
const NAMES: [&str; 16] = [
    "device_id",
    "client_sync_token",
    "batch_id",
    "items",
    "since_token",
    "limit",
    "client_temp_id",
    "resource_type",
    "action",
    "payload",
    "client_version",
    "base_version",
    "channel",
    "id",
    "form_id",
    "",
];

/// Prints how to repeat the case if the test panics in it.
struct ReplayHint(u64);

#[expect(
    clippy::print_stderr,
    reason = "the output of a failed test contains how to repeat it"
)]
impl Drop for ReplayHint {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "repeat with {SEED_VARIABLE}={} cargo test -p tidemark-tests noise",
                self.0
            );
        }
    }
}

fn pick<'a, T>(random: &mut Rng, choices: &'a [T]) -> &'a T {
    &choices[random.usize(..choices.len())]
}

/// Returns a random JSON value.
fn value(random: &mut Rng, depth: usize) -> String {
    let members = random.usize(..4);

    match random.usize(..if depth == 0 { 6 } else { 10 }) {
        0..=4 => (*pick(random, &SPECIAL_VALUES)).to_owned(),
        5 => format!(
            r#""{}""#,
            "x".repeat(*pick(random, &[1, 255, 256, 257, 3000]))
        ),
        6 | 7 => format!(
            "[{}]",
            (0..members)
                .map(|_| value(random, depth - 1))
                .collect::<Vec<_>>()
                .join(",")
        ),
        _ => {
            let member = |random: &mut Rng| {
                format!(r#""{}":{}"#, pick(random, &NAMES), value(random, depth - 1))
            };
            format!(
                "{{{}}}",
                (0..members)
                    .map(|_| member(random))
                    .collect::<Vec<_>>()
                    .join(",")
            )
        }
    }
}

/// Returns an object with these fields, some of them missing and some with random values.
fn object(random: &mut Rng, fields: Vec<(&str, String)>) -> String {
    let mut written = Vec::new();
    for (name, expected) in fields {
        match random.usize(..20) {
            0 => {}
            1 | 2 => written.push(format!(r#""{name}":{}"#, value(random, 3))),
            _ => written.push(format!(r#""{name}":{expected}"#)),
        }
    }
    format!("{{{}}}", written.join(","))
}

fn item(random: &mut Rng) -> String {
    let (id, form, content) = (
        format!(r#""m-{}""#, random.usize(..20)),
        value(random, 1),
        value(random, 3),
    );
    let payload = object(
        random,
        vec![("id", id), ("form_id", form), ("data", content)],
    );

    let (kind, action) = (
        pick(random, &[r#""meter""#, r#""submission""#]),
        pick(random, &[r#""create""#, r#""update""#, r#""delete""#]),
    );

    let fields = vec![
        ("client_temp_id", format!(r#""t{}""#, random.usize(..5))),
        ("resource_type", (*kind).to_owned()),
        ("action", (*action).to_owned()),
        ("payload", payload),
        ("client_version", random.usize(..9).to_string()),
        ("base_version", random.usize(..9).to_string()),
    ];

    let mut item = object(random, fields);
    if random.u8(..100) < 20 {
        item = item
            .replacen('{', &format!(r#"{{"channel":{},"#, value(random, 0)), 1)
            .replace(",}", "}");
    }
    item
}

/// Returns a body that is almost a request.
fn request(random: &mut Rng, route: &str) -> Vec<u8> {
    let fields = if route == "sync/push" {
        let items: Vec<String> = (0..random.usize(..6))
            .map(|_| {
                if random.u8(..100) < 10 {
                    value(random, 3)
                } else {
                    item(random)
                }
            })
            .collect();
        vec![
            ("device_id", r#""phone""#.to_owned()),
            ("items", format!("[{}]", items.join(","))),
            ("batch_id", format!(r#""b{}""#, random.usize(..200))),
        ]
    } else {
        vec![
            ("since_token", "null".to_owned()),
            ("limit", (1 + random.usize(..500)).to_string()),
            ("device_id", r#""phone""#.to_owned()),
        ]
    };

    let mut body = object(random, fields).into_bytes();
    if random.u8(..100) < 15 && !body.is_empty() {
        let at = random.usize(..body.len());
        match random.usize(..3) {
            0 => body.truncate(at),
            1 => body[at] = random.u8(..),
            _ => body.insert(at, random.u8(..)),
        }
    }
    body
}

fn body(random: &mut Rng, route: &str) -> Vec<u8> {
    match random.usize(..10) {
        0 => (0..random.usize(..300)).map(|_| random.u8(..)).collect(),
        1 | 2 => value(random, 5).into_bytes(),
        _ => request(random, route),
    }
}

/// Checks that a response has a valid shape. Reads it as text, because it may contain numbers that
/// no machine type represents.
fn assert_response(response: &ApiResponse, route: &str, body: &[u8]) {
    let shown = String::from_utf8_lossy(body)
        .chars()
        .take(2000)
        .collect::<String>();
    let fields = texts(&response.text);

    match response.status {
        200 if route == "sync/push" => {
            let results = list(&fields["results"]);
            assert!(!results.is_empty(), "{shown}");
            for (index, result) in results.iter().enumerate() {
                let result = texts(result.get());
                assert_eq!(result["index"].get(), index.to_string(), "{shown}");
                let status = result["status"].get();
                assert!(
                    [r#""ok""#, r#""conflict""#, r#""error""#].contains(&status),
                    "{shown}"
                );
                assert!(
                    result
                        .get("retryable")
                        .is_none_or(|retryable| retryable.get() == "false"),
                    "{shown}: {}",
                    response.text
                );
            }
        }
        200 => assert!(fields.contains_key("next_token"), "{shown}"),
        400 | 409 => assert!(
            fields.contains_key("code") && fields.contains_key("request_id"),
            "{shown}"
        ),
        status => panic!("{status} for {shown}: {}", response.text),
    }
}

#[tokio::test]
async fn no_input_causes_5xx_or_panic() {
    let stack = Stack::new();
    let token = stack.token("acme", "ana", &[], &["north"]);
    let first = std::env::var(SEED_VARIABLE)
        .ok()
        .and_then(|seed| seed.parse::<u64>().ok());
    let mut statuses = std::collections::BTreeMap::new();

    for seed in first.map_or(0..BODIES, |seed| seed..seed + 1) {
        let _replay = ReplayHint(seed);
        let mut random = Rng::with_seed(seed);
        let route = *pick(
            &mut random,
            &["sync/push", "sync/push", "sync/push", "sync/pull"],
        );
        let body = body(&mut random, route);
        let response = stack.post_bytes(route, Some(&token), &body).await;
        assert_response(&response, route, &body);
        *statuses.entry((route, response.status)).or_insert(0) += 1;
    }

    if first.is_none() {
        let enough = |route, status| {
            statuses
                .get(&(route, status))
                .is_some_and(|count| *count > 100)
        };
        assert!(
            enough("sync/push", 200) && enough("sync/push", 400) && enough("sync/pull", 200),
            "too few cases of a kind: {statuses:?}"
        );
    }

    stack.settle().await;
    let dead_letter = stack.dead_letters().await;
    assert!(dead_letter.is_empty(), "{dead_letter:?}");
}

#[tokio::test]
async fn good_items_apply_between_random_items() {
    let stack = Stack::new();
    let token = stack.token("acme", "ana", &[], &[]);

    for seed in 0..300 {
        let _replay = ReplayHint(seed);
        let mut random = Rng::with_seed(seed);
        let good = Item::create_as("meter", &format!("good-{seed}"), json!({})).version(1);
        let (first, second) = (value(&mut random, 4), item(&mut random));
        let response =
            push_text(&stack, &token, &[&first, &json!(good).to_string(), &second]).await;
        assert_response(&response, "sync/push", first.as_bytes());
        let result = texts(list(&texts(&response.text)["results"])[1].get());
        assert_eq!(
            (result["status"].get(), result["server_version"].get()),
            (r#""ok""#, "1"),
            "{first} and {second}"
        );
    }
}
