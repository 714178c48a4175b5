//! `GET /me` (§1): the identity of the caller, as the deployment reads it from the token.

use serde_json::json;
use tidemark_tests::Stack;

#[tokio::test]
async fn me_returns_the_verified_identity() {
    let stack = Stack::new();
    let token = stack.token("acme", "ana", &["editor", "viewer"], &["south", "north"]);
    assert_eq!(
        stack.get("me", &token).await.ok(),
        json!({
            "tenant": "acme",
            "user": "ana",
            "roles": ["editor", "viewer"],
            "groups": ["south", "north"],
            "channels": ["tenant", "user/ana", "group/north", "group/south"],
        })
    );
}

#[tokio::test]
async fn me_omits_roles_without_effect() {
    let stack = Stack::configured(&[("ROLE_VIEWER", "supervisor"), ("ROLE_OPERATOR", "")]);
    let roles = ["supervisor", "viewer", "operator", "admin"];
    let token = stack.token("acme", "ana", &roles, &[]);
    assert_eq!(
        stack.get("me", &token).await.ok()["roles"],
        json!(["supervisor", "admin", "viewer"])
    );
}
