//! Invalid items are errors at their index (§3.7): the response to the batch is 200, the valid
//! items are applied, and all items are stored as they were received.

use serde_json::json;
use tidemark_core::model::limits::VERSION_MAX;
use tidemark_tests::{Item, Stack};

use super::{assert_rejected, push_among_good, push_text, raw_items};

/// Returns an update of `m-1` in which one field has this value, or is missing if it is `None`.
fn update_with(field: &str, value: Option<&str>) -> String {
    let mut fields = vec![
        ("resource_type", r#""meter""#),
        ("action", r#""update""#),
        ("client_version", "1"),
        ("payload", r#"{"id":"m-1","reading":2}"#),
    ];
    fields.retain(|(name, _)| *name != field);
    fields.extend(value.map(|value| (field, value)));
    let fields: Vec<String> = fields
        .into_iter()
        .map(|(name, value)| format!(r#""{name}":{value}"#))
        .collect();
    format!("{{{}}}", fields.join(","))
}

/// Returns a stack with the meter `m-1`, and Ana's token.
pub(super) async fn stack_with_meter() -> (Stack, String) {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    ana.push_one(Item::create("meter", "m-1", json!({"reading": 1})).version(1))
        .await;
    let token = stack.token("acme", "ana", &[], &["north"]);
    (stack, token)
}

/// Checks that each of these values of the field is rejected with this code, and that the meter
/// does not change.
async fn assert_each_is_rejected(field: &str, code: &str, values: &[Option<&str>]) {
    let (stack, token) = stack_with_meter().await;
    for value in values {
        let item = update_with(field, *value);
        assert_rejected(&push_among_good(&stack, &token, &item).await, code, &item);
    }
    let meter = stack
        .rows("resources")
        .into_iter()
        .find(|row| row["sk"]["S"] == "meter#m-1")
        .unwrap();
    assert_eq!(
        (&meter["server_version"]["N"], &meter["payload"]["S"]),
        (&json!("1"), &json!(r#"{"reading":1}"#))
    );
}

#[tokio::test]
async fn non_object_item_is_rejected_alone() {
    let (stack, token) = stack_with_meter().await;

    for item in [
        "null",
        "7",
        "-1.5e300",
        "true",
        r#""create""#,
        r#""\ud800""#,
        "[]",
        "[[[]]]",
        "{}",
        r#"{"":null}"#,
        r#"{"\udfff":1}"#,
    ] {
        assert_rejected(
            &push_among_good(&stack, &token, item).await,
            "invalid_item",
            item,
        );
    }
}

#[tokio::test]
async fn item_as_field_list_is_rejected() {
    let (stack, token) = stack_with_meter().await;
    let item = r#"[null,"meter","update",{"id":"m-1","reading":2},1,null,null]"#;
    assert_rejected(
        &push_among_good(&stack, &token, item).await,
        "invalid_item",
        item,
    );
}

#[tokio::test]
async fn unknown_type_is_rejected() {
    assert_each_is_rejected(
        "resource_type",
        "unknown_type",
        &[
            Some(r#""invoice""#),
            Some(r#""Meter""#),
            Some(r#"" meter""#),
            Some(r#""""#),
        ],
    )
    .await;
}

#[tokio::test]
async fn malformed_type_is_rejected() {
    let values = [
        None,
        Some("null"),
        Some("5"),
        Some("[]"),
        Some(r#"["meter"]"#),
        Some(r#""\ud800""#),
    ];
    assert_each_is_rejected("resource_type", "invalid_item", &values).await;
}

#[tokio::test]
async fn unknown_action_is_rejected() {
    let values = [
        None,
        Some("null"),
        Some("1"),
        Some(r#""upsert""#),
        Some(r#""Update""#),
        Some(r#""""#),
    ];
    assert_each_is_rejected("action", "invalid_item", &values).await;
}

#[tokio::test]
async fn object_as_action_is_rejected() {
    assert_each_is_rejected("action", "invalid_item", &[Some(r#"{"update":null}"#)]).await;
}

#[tokio::test]
async fn invalid_version_number_is_rejected() {
    let too_large = (VERSION_MAX + 1).to_string();
    let values = [
        Some("-1"),
        Some("-0.0"),
        Some("1.0"),
        Some("1.5"),
        Some("1e2"),
        Some(r#""1""#),
        Some("true"),
        Some("[]"),
        Some(too_large.as_str()),
        Some("18446744073709551616"),
        Some("1e400"),
    ];

    assert_each_is_rejected(
        "client_version",
        "invalid_item",
        &[&[None, Some("null")], values.as_slice()].concat(),
    )
    .await;
    assert_each_is_rejected("base_version", "invalid_item", &values).await;
}

#[tokio::test]
async fn missing_payload_is_rejected() {
    assert_each_is_rejected("payload", "invalid_item", &[None, Some("null")]).await;
}

#[tokio::test]
async fn non_object_payload_is_rejected() {
    let (stack, token) = stack_with_meter().await;
    for payload in ["5", "[]", r#""{}""#, "true", r#"[{"id":"m-1"}]"#] {
        for action in ["create", "update", "delete"] {
            let item = format!(
                r#"{{"client_temp_id":"t","resource_type":"meter","action":"{action}","client_version":1,"payload":{payload}}}"#
            );
            assert_rejected(
                &push_among_good(&stack, &token, &item).await,
                "invalid_payload",
                &item,
            );
        }
    }
}

#[tokio::test]
async fn unpaired_surrogate_in_payload_is_rejected() {
    let (stack, token) = stack_with_meter().await;

    for payload in [
        r#"{"a":"\ud800"}"#,
        r#"{"a":"x\udfffy"}"#,
        r#"{"a":[{"b":["\ud83e"]}]}"#,
        r#"{"\ud800":1}"#,
        r#"{"a":{"\ud800":1}}"#,
    ] {
        let item = format!(
            r#"{{"client_temp_id":"t","resource_type":"meter","action":"create","client_version":1,"payload":{payload}}}"#
        );
        assert_rejected(
            &push_among_good(&stack, &token, &item).await,
            "invalid_payload",
            &item,
        );
    }
}

#[tokio::test]
async fn invalid_id_is_rejected() {
    let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(257));
    let wide = format!(r#"{{"id":"{}"}}"#, "é".repeat(129));
    let values = [
        r#"{"id":5}"#,
        r#"{"id":""}"#,
        r#"{"id":{}}"#,
        r#"{"id":["m-1"]}"#,
        r#"{"id":true}"#,
        r#"{"id":"\ud800"}"#,
        &long,
        &wide,
    ];
    assert_each_is_rejected("payload", "invalid_id", &values.map(Some)).await;
}

#[tokio::test]
async fn item_without_resource_id_is_rejected() {
    let values = [r#"{"reading":2}"#, r#"{"id":null,"reading":2}"#, "{}"];
    assert_each_is_rejected("payload", "id_required", &values.map(Some)).await;
}

#[tokio::test]
async fn invalid_temp_id_is_rejected() {
    let long = format!(r#""{}""#, "x".repeat(257));
    assert_each_is_rejected(
        "client_temp_id",
        "invalid_item",
        &["5", r#""""#, "[]", "{}", r#""\ud800""#, &long].map(Some),
    )
    .await;
}

#[tokio::test]
async fn invalid_channel_is_rejected() {
    let long = format!(r#""group/{}""#, "x".repeat(257));
    let values = [
        r#""""#,
        r#""garbage""#,
        r#""Tenant""#,
        r#""tenant/""#,
        r#""tenant/acme""#,
        r#""user/""#,
        r#""group/""#,
        r#""group""#,
        &long,
    ];

    assert_each_is_rejected("channel", "invalid_channel", &values.map(Some)).await;
    assert_each_is_rejected(
        "channel",
        "invalid_item",
        &["5", "[]", r#"{"group":"north"}"#, r#""\ud800""#].map(Some),
    )
    .await;
}

#[tokio::test]
async fn forbidden_channel_is_rejected() {
    let values = [
        r#""group/south""#,
        r#""group/North""#,
        r#""group/north/""#,
        r#""user/ben""#,
        r#""user/Ana""#,
    ];
    assert_each_is_rejected("channel", "channel_forbidden", &values.map(Some)).await;
}

#[tokio::test]
async fn task_without_channel_is_rejected() {
    let (stack, token) = stack_with_meter().await;
    for action in ["create", "update", "delete"] {
        let item = format!(
            r#"{{"resource_type":"task","action":"{action}","client_version":1,"payload":{{"id":"t-1"}}}}"#
        );
        assert_rejected(
            &push_among_good(&stack, &token, &item).await,
            "channel_required",
            &item,
        );
    }
}

#[tokio::test]
async fn create_without_required_field_is_rejected() {
    let (stack, token) = stack_with_meter().await;

    for payload in [
        "{}",
        r#"{"form_id":"f"}"#,
        r#"{"data":{}}"#,
        r#"{"form_id":null,"data":{}}"#,
        r#"{"form_id":"f","data":null}"#,
    ] {
        let item = format!(
            r#"{{"client_temp_id":"t","resource_type":"submission","action":"create","client_version":1,"payload":{payload}}}"#
        );
        assert_rejected(
            &push_among_good(&stack, &token, &item).await,
            "required_field_missing",
            &item,
        );
    }
}

#[tokio::test]
async fn update_removing_required_field_is_rejected() {
    let (stack, token) = stack_with_meter().await;
    let create = r#"{"resource_type":"submission","action":"create","client_version":1,"payload":{"id":"s-1","form_id":"f","data":{"a":1}}}"#;
    assert_eq!(
        push_text(&stack, &token, &[create]).await.ok()["results"][0]["status"],
        "ok"
    );

    for patch in [
        r#""form_id":null"#,
        r#""data":null"#,
        r#""form_id":null,"data":null,"other":1"#,
    ] {
        let item = format!(
            r#"{{"resource_type":"submission","action":"update","client_version":1,"payload":{{"id":"s-1",{patch}}}}}"#
        );
        assert_rejected(
            &push_among_good(&stack, &token, &item).await,
            "required_field_missing",
            &item,
        );
    }

    let emptied = r#"{"resource_type":"submission","action":"update","client_version":1,"payload":{"id":"s-1","data":{"a":null}}}"#;
    assert_eq!(
        push_among_good(&stack, &token, emptied).await["status"],
        "ok"
    );
}

#[tokio::test]
async fn missing_resource_is_not_found() {
    let (stack, token) = stack_with_meter().await;

    for action in ["update", "delete"] {
        for name in [
            r#""payload":{"id":"m-2"}"#,
            r#""payload":{},"client_temp_id":"never-sent""#,
        ] {
            let item = format!(
                r#"{{"resource_type":"meter","action":"{action}","client_version":1,{name}}}"#
            );
            assert_rejected(
                &push_among_good(&stack, &token, &item).await,
                "not_found",
                &item,
            );
        }
    }
}

#[tokio::test]
async fn every_item_is_stored_as_received() {
    let stack = Stack::new();
    let token = stack.token("acme", "ana", &[], &[]);
    let items = [
        "null",
        r#"{ "resource_type" : "meter",  "action":"upsert" }"#,
        r#""\ud800""#,
        r#"{"client_temp_id":"t","resource_type":"meter","action":"create","client_version":1,"payload":{"z":1.0,"a":1e400}}"#,
        r#"[1.50,{"b":9007199254740993}]"#,
    ];
    assert_eq!(push_text(&stack, &token, &items).await.status, 200);
    assert_eq!(raw_items(&stack), [items]);
}

#[tokio::test]
async fn batch_of_invalid_items_is_idempotent() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    let items = json!([null, 7, {"resource_type": "invoice"}, {"resource_type": "meter", "action": "create", "client_version": -1}]);
    let first = ana.push_batch("b", &items).await.ok();
    assert!(
        first["results"]
            .as_array()
            .unwrap()
            .iter()
            .all(|result| result["status"] == "error"),
        "{first}"
    );
    assert_eq!(ana.push_batch("b", &items).await.ok(), first);
}
