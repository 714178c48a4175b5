//! Fuzzing with two thousand bodies of random bytes, random JSON and damaged requests: each
//! response is 200 or a problem, never a 5xx or a panic, and what was applied passes through the
//! stream into the log.

use serde_json::json;
use tidemark_tests::{ApiResponse, Stack};

use super::{Dice, list, push_text, texts};

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

/// Returns a random JSON value.
fn value(dice: &mut Dice, depth: usize) -> String {
    let members = dice.below(4);

    match dice.below(if depth == 0 { 6 } else { 10 }) {
        0..=4 => (*dice.pick(&SPECIAL_VALUES)).to_owned(),
        5 => format!(r#""{}""#, "x".repeat(*dice.pick(&[1, 255, 256, 257, 3000]))),
        6 | 7 => format!(
            "[{}]",
            (0..members)
                .map(|_| value(dice, depth - 1))
                .collect::<Vec<_>>()
                .join(",")
        ),
        _ => {
            let member =
                |dice: &mut Dice| format!(r#""{}":{}"#, dice.pick(&NAMES), value(dice, depth - 1));
            format!(
                "{{{}}}",
                (0..members)
                    .map(|_| member(dice))
                    .collect::<Vec<_>>()
                    .join(",")
            )
        }
    }
}

/// Returns an object with these fields, some of them missing and some with random values.
fn object(dice: &mut Dice, fields: Vec<(&str, String)>) -> String {
    let mut written = Vec::new();
    for (name, expected) in fields {
        match dice.below(20) {
            0 => {}
            1 | 2 => written.push(format!(r#""{name}":{}"#, value(dice, 3))),
            _ => written.push(format!(r#""{name}":{expected}"#)),
        }
    }
    format!("{{{}}}", written.join(","))
}

fn item(dice: &mut Dice) -> String {
    let (id, form, content) = (
        format!(r#""m-{}""#, dice.below(20)),
        value(dice, 1),
        value(dice, 3),
    );
    let payload = object(dice, vec![("id", id), ("form_id", form), ("data", content)]);

    let (kind, action) = (
        dice.pick(&[r#""meter""#, r#""submission""#]),
        dice.pick(&[r#""create""#, r#""update""#, r#""delete""#]),
    );

    let fields = vec![
        ("client_temp_id", format!(r#""t{}""#, dice.below(5))),
        ("resource_type", (*kind).to_owned()),
        ("action", (*action).to_owned()),
        ("payload", payload),
        ("client_version", dice.below(9).to_string()),
        ("base_version", dice.below(9).to_string()),
    ];

    let mut item = object(dice, fields);
    if dice.happens(20) {
        item = item
            .replacen('{', &format!(r#"{{"channel":{},"#, value(dice, 0)), 1)
            .replace(",}", "}");
    }
    item
}

/// Returns a body that is almost a request.
fn request(dice: &mut Dice, route: &str) -> Vec<u8> {
    let fields = if route == "sync/push" {
        let items: Vec<String> = (0..dice.below(6))
            .map(|_| {
                if dice.happens(10) {
                    value(dice, 3)
                } else {
                    item(dice)
                }
            })
            .collect();
        vec![
            ("device_id", r#""phone""#.to_owned()),
            ("items", format!("[{}]", items.join(","))),
            ("batch_id", format!(r#""b{}""#, dice.below(200))),
        ]
    } else {
        vec![
            ("since_token", "null".to_owned()),
            ("limit", (1 + dice.below(500)).to_string()),
            ("device_id", r#""phone""#.to_owned()),
        ]
    };

    let mut body = object(dice, fields).into_bytes();
    if dice.happens(15) && !body.is_empty() {
        let at = dice.below(body.len());
        match dice.below(3) {
            0 => body.truncate(at),
            1 => body[at] = dice.roll() as u8,
            _ => body.insert(at, dice.roll() as u8),
        }
    }
    body
}

fn body(dice: &mut Dice, route: &str) -> Vec<u8> {
    match dice.below(10) {
        0 => (0..dice.below(300)).map(|_| dice.roll() as u8).collect(),
        1 | 2 => value(dice, 5).into_bytes(),
        _ => request(dice, route),
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
        let mut dice = Dice(seed);
        let route = *dice.pick(&["sync/push", "sync/push", "sync/push", "sync/pull"]);
        let body = body(&mut dice, route);
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
        let mut dice = Dice(seed);
        let good = json!({"client_temp_id": format!("good-{seed}"), "resource_type": "meter", "action": "create", "client_version": 1, "payload": {}});
        let (first, second) = (value(&mut dice, 4), item(&mut dice));
        let response = push_text(&stack, &token, &[&first, &good.to_string(), &second]).await;
        assert_response(&response, "sync/push", first.as_bytes());
        let result = texts(list(&texts(&response.text)["results"])[1].get());
        assert_eq!(
            (result["status"].get(), result["server_version"].get()),
            (r#""ok""#, "1"),
            "{first} and {second}"
        );
    }
}
