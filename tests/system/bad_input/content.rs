//! Names and numbers that JSON allows and the protocol restricts: duplicate names (§2), NUL, and
//! versions that are not written as whole numbers. A rejection names the problem.

mod surrogates;

use tidemark_tests::{Stack, scenario};

use super::{assert_problem, items::stack_with_meter, push_among_good, push_text};

const MERGE_START: &str = r#"{"resolution":"manual_merge","payload":"#;

/// Returns a create of the meter `id` with these further fields of its payload, as text.
fn create(id: &str, fields: &str) -> String {
    format!(
        r#"{{"resource_type":"meter","action":"create","client_version":0,"payload":{{"id":"{id}",{fields}}}}}"#
    )
}

fn update(id: &str, base: u64, fields: &str) -> String {
    format!(
        r#"{{"resource_type":"meter","action":"update","client_version":{base},"base_version":{base},"payload":{{{fields},"id":"{id}"}}}}"#
    )
}

/// Returns the text of everything that a new device pulls.
async fn pulled(stack: &Stack, token: &str) -> String {
    stack.settle().await;
    stack.post_bytes("sync/pull", Some(token), b"{}").await.text
}

#[tokio::test]
async fn last_duplicate_name_wins_at_every_depth() {
    let stack = Stack::new();
    let token = stack.token("acme", "ana", &[], &[]);
    let items = [
        create("m-1", r#""n":{"a":1,"b":1.0,"a":1e300}"#),
        create(
            "m-2",
            r#""l":[{"a":1,"a":9007199254740993}],"n":{"x":{"a":1,"\u0061":2}}"#,
        ),
        create("m-3", r#""z":1,"a":{"k":1,"k":2},"z":3"#),
        create("m-4", r#""n":{"a":{"b":1,"b":2},"a":{"c":1}}"#),
        create("m-5", r#""id":"m-6","reading":1"#),
    ];
    let items: Vec<&str> = items.iter().map(String::as_str).collect();

    let results = push_text(&stack, &token, &items).await.ok()["results"].clone();
    assert!(
        results
            .as_array()
            .is_some_and(|results| results.iter().all(|result| result["status"] == "ok")),
        "{results}"
    );
    assert_eq!(results[4]["server_id"], "m-6");

    let text = pulled(&stack, &token).await;
    for stored in [
        r#"{"n":{"b":1.0,"a":1e300}}"#,
        r#"{"l":[{"a":9007199254740993}],"n":{"x":{"\u0061":2}}}"#,
        r#"{"a":{"k":2},"z":3}"#,
        r#"{"n":{"a":{"c":1}}}"#,
    ] {
        assert!(text.contains(stored), "{stored}: {text}");
    }
}

#[tokio::test]
async fn duplicate_names_of_a_patch_are_removed() {
    let stack = Stack::new();
    let token = stack.token("acme", "ana", &[], &[]);
    push_text(&stack, &token, &[&create("m-1", r#""n":{"keep":1}"#)])
        .await
        .ok();

    let patch = update(
        "m-1",
        1,
        r#""n":{"l":[{"a":1,"a":2}],"o":{"b":1,"b":{"c":1,"c":2}}},"n":{"l":[{"a":3,"a":4.0}]}"#,
    );
    for _ in 0..2 {
        let results = push_text(&stack, &token, &[&patch]).await.ok()["results"].clone();
        assert_eq!(
            (&results[0]["status"], &results[0]["server_version"]),
            (&"ok".into(), &2.into()),
            "{results}"
        );
    }

    let text = pulled(&stack, &token).await;
    assert!(
        text.contains(r#"{"n":{"keep":1,"l":[{"a":4.0}]}}"#),
        "{text}"
    );
}

#[tokio::test]
async fn retry_without_duplicates_is_the_same_edit() {
    let stack = Stack::new();
    let token = stack.token("acme", "ana", &[], &[]);
    for fields in [r#""n":[{"a":1,"a":2}]"#, r#""n":[{"\u0061":2}]"#] {
        let results = push_text(&stack, &token, &[&create("m-1", fields)])
            .await
            .ok()["results"]
            .clone();
        assert_eq!(
            (&results[0]["status"], &results[0]["server_version"]),
            (&"ok".into(), &1.into()),
            "{fields}: {results}"
        );
    }
}

#[tokio::test]
async fn duplicate_protocol_fields_are_rejected() {
    let (stack, token) = stack_with_meter().await;
    let item = r#"{"resource_type":"meter","resource_type":"meter","action":"delete","client_version":1,"payload":{"id":"m-1"}}"#;
    let result = push_among_good(&stack, &token, item).await;
    assert_eq!(
        (&result["status"], &result["code"]),
        (&"error".into(), &"invalid_item".into()),
        "{result}"
    );
    assert!(
        result["error"]
            .to_string()
            .contains("duplicate field `resource_type`"),
        "{result}"
    );

    let response = stack
        .post_bytes(
            "sync/push",
            Some(&token),
            br#"{"device_id":"a","device_id":"a","items":[1]}"#,
        )
        .await;
    assert_problem(
        &response,
        400,
        "invalid_request",
        Some("$"),
        "device_id twice",
    );

    // Names that the protocol does not define are ignored, even if they are repeated.
    let result = push_among_good(
        &stack,
        &token,
        &update("m-1", 1, r#""a":1"#).replacen('{', r#"{"x":1,"x":2,"#, 1),
    )
    .await;
    assert_eq!(result["status"], "ok", "{result}");
}

/// Creates a conflict of the meter `m-1`. Returns its id and an admin's token.
async fn conflict(stack: &Stack, token: &str) -> (String, String) {
    let result = push_text(
        stack,
        token,
        &[&create("m-1", r#""a":1"#), &create("m-1", r#""a":2"#)],
    )
    .await
    .ok()["results"][1]
        .clone();
    (
        result["conflict_id"].as_str().unwrap().to_owned(),
        scenario::admin(stack),
    )
}

#[tokio::test]
async fn manual_merge_removes_duplicate_names() {
    let stack = Stack::new();
    let token = stack.token("acme", "ana", &[], &[]);
    let (id, root) = conflict(&stack, &token).await;
    let path = format!("conflicts/{id}/resolve");

    let decision =
        format!(r#"{MERGE_START}{{"l":[{{"a":1,"\u0061":1.50}}],"b":1,"id":"x","b":2}}}}"#);
    let response = stack
        .post_bytes(&path, Some(&root), decision.as_bytes())
        .await;
    response.ok();
    assert!(
        response
            .text
            .contains(r#""server_payload":{"l":[{"\u0061":1.50}],"b":2}"#),
        "{}",
        response.text
    );

    // The same resolution, without the parts that are ignored.
    let again = format!(r#"{MERGE_START}{{"l":[{{"a":1.50}}],"b":2}}}}"#);
    assert_eq!(
        stack
            .post_bytes(&path, Some(&root), again.as_bytes())
            .await
            .ok()["server_version"],
        response.json()["server_version"]
    );

    assert!(
        pulled(&stack, &token)
            .await
            .contains(r#"{"l":[{"\u0061":1.50}],"b":2}"#)
    );
}

#[tokio::test]
async fn nul_is_accepted_and_deep_nesting_rejected() {
    let (stack, token) = stack_with_meter().await;
    let result = push_among_good(
        &stack,
        &token,
        &create("m-nul", r#""a\u0000b":{"\u0000":"\u0000"}"#),
    )
    .await;
    assert_eq!(result["status"], "ok", "{result}");
    assert!(
        pulled(&stack, &token)
            .await
            .contains(r#"{"a\u0000b":{"\u0000":"\u0000"}}"#)
    );

    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let result = push_among_good(&stack, &token, &create("m-2", &format!(r#""a":{deep}"#))).await;
    assert_eq!(result["code"], "payload_too_deep", "{result}");
    let result = push_among_good(
        &stack,
        &token,
        &create("m-3", &format!(r#""a":1,"a":{deep},"a":2"#)),
    )
    .await;
    assert_eq!(result["code"], "payload_too_deep", "{result}");

    // A field that the protocol does not define is ignored, regardless of its value.
    let result = push_among_good(
        &stack,
        &token,
        &create("m-4", r#""a":1"#).replacen('{', &format!(r#"{{"x":{deep},"#), 1),
    )
    .await;
    assert_eq!(result["status"], "ok", "{result}");
}

#[tokio::test]
async fn invalid_integer_is_named_in_the_error() {
    let (stack, token) = stack_with_meter().await;
    let root = scenario::admin(&stack);

    for number in [
        "1e3",
        "1E0",
        "-0",
        "-1",
        "1.0",
        "18446744073709551616",
        "9007199254740992",
    ] {
        for (field, other) in [
            ("client_version", r#""base_version":1"#),
            ("base_version", r#""client_version":1"#),
        ] {
            let item = format!(
                r#"{{"resource_type":"meter","action":"update","{field}":{number},{other},"payload":{{"id":"m-1"}}}}"#
            );
            let result = push_among_good(&stack, &token, &item).await;
            assert_eq!(result["code"], "invalid_item", "{item}");
            let expected = format!(
                "{field}: must be a whole number from 0 to 9007199254740991, written without sign, fraction and exponent"
            );
            assert!(
                result["error"]
                    .as_str()
                    .is_some_and(|error| error.starts_with(&expected)),
                "{item}: {result}"
            );
        }

        let response = stack
            .post_bytes(
                "sync/pull",
                Some(&token),
                format!(r#"{{"limit":{number}}}"#).as_bytes(),
            )
            .await;
        assert_problem(&response, 400, "invalid_request", Some("limit"), number);
        assert!(
            response.json()["detail"]
                .to_string()
                .contains("a whole number from 1 to 500"),
            "{}",
            response.text
        );

        if number != "9007199254740992" {
            let body =
                format!(r#"{{"resolution":"accept_server","expected_server_version":{number}}}"#);
            let response = stack
                .post_bytes("conflicts/conf-x/resolve", Some(&root), body.as_bytes())
                .await;
            assert_problem(
                &response,
                400,
                "invalid_request",
                Some("expected_server_version"),
                number,
            );
            assert!(
                response.json()["detail"]
                    .to_string()
                    .contains("must be a whole number"),
                "{}",
                response.text
            );
        }
    }
}
