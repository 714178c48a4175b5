//! The session: large tokens in several cookies, and the sign-out.

use serde_json::json;
use tidemark_console::{PART_BYTES_MAX, PARTS_MAX};

use super::{
    browser::{Browser, SESSION, location},
    deployment,
    provider::{TokenEndpoint, begin, id_token},
};

const LAST: &str = "__Host-tidemark-session-1";

#[tokio::test]
async fn large_token_is_split_and_used() {
    let provider = TokenEndpoint::start().await;
    let stack = provider.deployment(&[]);
    let mut browser = Browser::new(&stack);
    // Three bytes of a claim are four characters of the token.
    let padding = PART_BYTES_MAX * 3 / 4;
    let authorize = begin(&mut browser, "").await;
    let query = provider.approve(
        &authorize,
        |nonce| json!({"id_token": id_token(&stack, nonce, padding)}),
    );
    location(&browser.get(&format!("callback?{query}")).await);
    assert_eq!(browser.cookies.keys().collect::<Vec<_>>(), [SESSION, LAST]);
    assert_eq!(browser.cookies[SESSION].len(), PART_BYTES_MAX);
    assert_eq!(browser.get("catalog").await.status, 200);

    let authorize = begin(&mut browser, "").await;
    let query = provider.approve(
        &authorize,
        |nonce| json!({"id_token": id_token(&stack, nonce, 0)}),
    );
    location(&browser.get(&format!("callback?{query}")).await);
    assert_eq!(browser.cookies.keys().collect::<Vec<_>>(), [SESSION]);
    assert_eq!(browser.get("catalog").await.status, 200);
}

#[tokio::test]
async fn too_large_token_is_explained() {
    let provider = TokenEndpoint::start().await;
    let stack = provider.deployment(&[]);
    let mut browser = Browser::new(&stack);
    let authorize = begin(&mut browser, "").await;
    let query = provider.approve(
        &authorize,
        |nonce| json!({"id_token": id_token(&stack, nonce, PARTS_MAX * PART_BYTES_MAX)}),
    );
    let response = browser.get(&format!("callback?{query}")).await;
    assert_eq!(response.status, 403);
    assert!(
        response.text.contains("issue fewer claims"),
        "{}",
        response.text
    );
    assert!(!browser.cookies.contains_key(SESSION));
}

#[tokio::test]
async fn sign_out_deletes_all_parts() {
    let stack = deployment();
    let mut browser = Browser::signed_in(&stack, &["admin"]);
    for name in [LAST, "__Host-tidemark-sign-in"] {
        browser.cookies.insert(name.to_owned(), "rest".to_owned());
    }
    let response = browser.post("sign-out", "").await;
    assert_eq!(location(&response), "./signed-out");
    assert!(browser.cookies.is_empty(), "{:?}", browser.cookies);

    assert_eq!(browser.get("signed-out").await.status, 200);
    assert!(location(&browser.get("catalog").await).contains("sign-in"));
}

/// The browser applies the policy of the page to the redirect after the form.
#[tokio::test]
async fn sign_out_continues_at_the_provider() {
    let provider = TokenEndpoint::start().await;
    let logout = "https://logout.example/logout?client_id=a";
    let stack = provider.deployment(&[("CONSOLE_LOGOUT_URL", logout)]);
    let mut browser = Browser::signed_in(&stack, &["admin"]);
    let page = browser.get("help").await;
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    let targets = "form-action 'self' https://login.example https://logout.example;";
    assert!(policy.contains(targets), "{policy}");
    assert_eq!(location(&browser.post("sign-out", "").await), logout);
}

/// The expired parts of a token and the long address of a sign-in exceed the headers that API
/// Gateway accepts.
#[tokio::test]
async fn sign_in_deletes_the_earlier_token() {
    let stack = deployment();
    for path in ["catalog", "sign-in?target=catalog"] {
        let mut browser = Browser::new(&stack);
        for name in [SESSION, LAST] {
            browser
                .cookies
                .insert(name.to_owned(), "expired".to_owned());
        }
        location(&browser.get(path).await);
        for name in [SESSION, LAST] {
            assert!(!browser.cookies.contains_key(name), "{path}: {name}");
        }
    }
}
