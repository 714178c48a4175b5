//! Roles (§1): the settings determine which texts in the claim make the caller a viewer or an
//! operator.

use serde_json::{Value, json};
use tidemark_core::model::{channel::Channel, principal::Principal};
use tidemark_tests::{Item, Stack, scenario};

use super::{Key, settings::principal};

/// Returns the caller whose token has this claim `roles`, in a deployment with these variables.
async fn caller(variables: &[(&str, &str)], roles: Value) -> Principal {
    let variables = [variables, &[("JWT_ISSUER", "i"), ("JWT_AUDIENCE", "a")]].concat();
    let claims = json!({"iss": "i", "aud": "a", "tenant": "acme", "sub": "ana", "roles": roles});
    let key = Key::rsa("test-rsa");
    principal(&variables, &[&key], &claims).await.unwrap()
}

#[tokio::test]
async fn unconfigured_roles_are_dropped() {
    let stated = json!(["viewer", "editor", "operator", "admin"]);
    for variables in [&[][..], &[("ROLE_VIEWER", ""), ("ROLE_OPERATOR", "")]] {
        let caller = caller(variables, stated.clone()).await;
        assert_eq!(caller.roles, ["editor", "admin"]);
        assert!(!caller.is_operator());
    }

    for role in ["viewer", "operator"] {
        let caller = caller(&[], json!(role)).await;
        assert!(!caller.is_viewer() && !caller.is_operator(), "{role}");
    }
}

#[tokio::test]
async fn configured_texts_grant_the_roles() {
    let variables = [("ROLE_VIEWER", "Supervisor"), ("ROLE_OPERATOR", "platform")];
    for (stated, is_viewer, is_operator) in [
        (json!(["Supervisor"]), true, false),
        (json!("Supervisor"), true, false),
        (json!(["platform"]), false, true),
        (json!(["editor", "platform", "Supervisor"]), true, true),
        (json!(["admin"]), true, false),
        (json!(["viewer", "operator"]), false, false),
        (
            json!(["supervisor", "Supervisor ", "Platform"]),
            false,
            false,
        ),
        (json!([]), false, false),
    ] {
        let caller = caller(&variables, stated.clone()).await;
        assert_eq!(
            (caller.is_viewer(), caller.is_operator()),
            (is_viewer, is_operator),
            "{stated}"
        );
        assert_eq!(caller.is_admin(), stated == json!(["admin"]), "{stated}");
    }

    let named = [("ROLE_VIEWER", "viewer"), ("ROLE_OPERATOR", "operator")];
    let caller = caller(&named, json!(["operator", "viewer"])).await;
    assert_eq!(caller.roles, ["viewer", "operator"]);
}

#[tokio::test]
async fn operators_belong_to_the_configured_tenant() {
    for (tenant, is_operator) in [("acme", true), ("Acme", false), ("ops", false), ("", true)] {
        let variables = [
            ("ROLE_VIEWER", "viewer"),
            ("ROLE_OPERATOR", "operator"),
            ("OPERATOR_TENANT", tenant),
        ];
        let caller = caller(&variables, json!(["operator", "viewer"])).await;
        assert_eq!(caller.is_operator(), is_operator, "{tenant}");
        assert!(caller.is_viewer(), "{tenant}");
    }
}

#[tokio::test]
async fn roles_grant_reading_but_not_writing() {
    let channels =
        ["tenant", "user/ana", "user/ben", "group/north"].map(|name| Channel::parse(name).unwrap());
    let named = [("ROLE_VIEWER", "viewer"), ("ROLE_OPERATOR", "operator")];
    for (role, read, used) in [
        ("viewer", [true; 4], [true, true, false, false]),
        (
            "operator",
            [true, true, false, false],
            [true, true, false, false],
        ),
        ("admin", [true; 4], [true; 4]),
    ] {
        let caller = caller(&named, json!(role)).await;
        let of = |may: fn(&Principal, &Channel) -> bool| {
            channels.each_ref().map(|channel| may(&caller, channel))
        };
        assert_eq!(of(Principal::may_read), read, "{role}");
        assert_eq!(of(Principal::may_use), used, "{role}");
        assert_eq!(caller.without_admin().roles, [""; 0], "{role}");
    }
}

#[tokio::test]
async fn viewers_device_gains_nothing() {
    let stack = Stack::new();
    let owner = stack.device("ana", "phone");
    owner
        .push_one(Item::create("meter", "m", json!({})).channel("user/ana"))
        .await;
    stack.settle().await;

    for role in ["viewer", "operator"] {
        let token = stack.token("acme", "ben", &[role], &[]);
        let mut device = tidemark_tests::Device::new(&stack, token, "tablet");
        assert_eq!(device.pull().await.len(), 0, "{role}");
        for action in ["create", "update", "delete"] {
            let edit = scenario::meter(action, "m", 1, json!({"n": 1})).channel("user/ana");
            let result = device.push_one(edit).await;
            assert_eq!(result["code"], "channel_forbidden", "{role} {action}");
        }
    }
    assert_eq!(stack.rows("resources")[0]["server_version"]["N"], "1");
}
