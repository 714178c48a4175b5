//! The sign-in at an identity provider: state, nonce, code verifier, and the return to the
//! requested page.

use lambda_http::http::header;
use rstest::rstest;
use serde_json::{Value, json};
use tidemark::gateway::ApiKind;
use tidemark_tests::Stack;

use super::{
    browser::{Browser, SESSION, location},
    provider::{CLIENT, TokenEndpoint, begin, id_token},
};

const ATTEMPT: &str = "__Host-tidemark-sign-in";

fn issued(stack: &Stack, nonce: &str) -> Value {
    json!({"id_token": id_token(stack, nonce, 0), "access_token": "opaque", "expires_in": 600})
}

#[rstest]
#[case::rest(ApiKind::Rest, "https://sync.example/test/console/callback")]
#[case::http(ApiKind::Http, "https://sync.example/console/callback")]
#[tokio::test]
async fn user_returns_to_requested_page(#[case] api: ApiKind, #[case] callback: &str) {
    let provider = TokenEndpoint::start().await;
    let stack = provider.deployment(&[]).behind(api);
    let mut browser = Browser::new(&stack);

    let requested = browser.get("catalog?a=b%26c&d=e").await;
    let sign_in = location(&requested).strip_prefix("./").unwrap().to_owned();
    let response = browser.get(&sign_in).await;
    let (url, query) = location(&response).split_once('?').unwrap();
    assert_eq!(url, "https://login.example/authorize");

    let authorize = super::provider::parameters(query);
    for (name, expected) in [
        ("realm", "a"),
        ("response_type", "code"),
        ("client_id", CLIENT),
        ("redirect_uri", callback),
        ("scope", "openid"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(authorize[name], expected, "{name}");
    }

    let query = provider.approve(&authorize, |nonce| issued(&stack, nonce));
    let response = browser.get(&format!("callback?{query}")).await;
    assert_eq!(location(&response), "./catalog?a=b%26c&d=e");
    assert_eq!(browser.cookies.keys().collect::<Vec<_>>(), [SESSION]);
    assert_eq!(browser.get("catalog?a=b%26c&d=e").await.status, 200);
}

#[tokio::test]
async fn cookies_are_protected() {
    let provider = TokenEndpoint::start().await;
    let stack = provider.deployment(&[]);
    let mut browser = Browser::new(&stack);
    let response = browser.get("sign-in").await;
    let attempt = response.headers[header::SET_COOKIE].to_str().unwrap();
    let attributes = "; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=600";
    assert!(
        attempt.starts_with(ATTEMPT) && attempt.ends_with(attributes),
        "{attempt}"
    );

    let authorize = begin(&mut browser, "").await;
    let query = provider.approve(&authorize, |nonce| issued(&stack, nonce));
    let response = browser.get(&format!("callback?{query}")).await;
    let session = response.headers[header::SET_COOKIE].to_str().unwrap();
    let attributes = "; Path=/; HttpOnly; SameSite=Lax; Secure";
    assert!(
        session.starts_with(SESSION) && session.ends_with(attributes),
        "{session}"
    );
}

#[tokio::test]
async fn secrets_differ_in_each_attempt() {
    let provider = TokenEndpoint::start().await;
    let stack = provider.deployment(&[]);
    let first = begin(&mut Browser::new(&stack), "").await;
    let second = begin(&mut Browser::new(&stack), "").await;
    for name in ["state", "nonce", "code_challenge"] {
        assert_ne!(first[name], second[name], "{name}");
        assert_eq!(first[name].len(), 43, "{name}");
    }
}

/// Begins a sign-in, changes the cookie or the query of the callback, and returns the status.
async fn changed(change: impl FnOnce(&mut Browser<'_>, &mut String)) -> u16 {
    let provider = TokenEndpoint::start().await;
    let stack = provider.deployment(&[]);
    let mut browser = Browser::new(&stack);
    let authorize = begin(&mut browser, "").await;
    let mut query = provider.approve(&authorize, |nonce| issued(&stack, nonce));
    change(&mut browser, &mut query);

    let response = browser.get(&format!("callback?{query}")).await;
    let is_signed_in = browser.cookies.contains_key(SESSION);
    assert_eq!(is_signed_in, response.status == 303, "{}", response.text);
    response.status
}

/// Replaces a value of the attempt in the browser's cookie.
fn with_other(browser: &mut Browser<'_>, name: &str) {
    let attempt = browser.cookies[ATTEMPT].clone();
    let pairs = attempt.split('&').map(|pair| match pair.split_once('=') {
        Some((found, _)) if found == name => format!("{name}={}", "a".repeat(43)),
        _ => pair.to_owned(),
    });
    let attempt = pairs.collect::<Vec<_>>().join("&");
    browser.cookies.insert(ATTEMPT.to_owned(), attempt);
}

#[tokio::test]
async fn callback_must_match_the_attempt() {
    assert_eq!(changed(|_, _| {}).await, 303);
    let without_cookie = changed(|browser, _| drop(browser.cookies.remove(ATTEMPT)));
    assert_eq!(without_cookie.await, 400);
    let empty_cookie = changed(|browser, _| {
        let empty = "state=&nonce=&verifier=&target=".to_owned();
        browser.cookies.insert(ATTEMPT.to_owned(), empty);
    });
    assert_eq!(empty_cookie.await, 400);

    let other_state = changed(|_, query| *query = query.replace("state=", "state=x"));
    assert_eq!(other_state.await, 400);
    let no_state = changed(|_, query| *query = query.split('&').next().unwrap().to_owned());
    assert_eq!(no_state.await, 400);
    let no_code = changed(|_, query| *query = query.split('&').nth(1).unwrap().to_owned());
    assert_eq!(no_code.await, 400);

    for (name, status) in [("state", 400), ("nonce", 403), ("verifier", 403)] {
        let response = changed(|browser, _| with_other(browser, name)).await;
        assert_eq!(response, status, "{name}");
    }
    let other_code = changed(|_, query| *query = query.replace("code=", "code=x"));
    assert_eq!(other_code.await, 403);
}

#[tokio::test]
async fn code_is_redeemed_once() {
    let provider = TokenEndpoint::start().await;
    let stack = provider.deployment(&[]);
    let mut browser = Browser::new(&stack);
    let authorize = begin(&mut browser, "").await;
    let callback = provider.approve(&authorize, |nonce| issued(&stack, nonce));
    let callback = format!("callback?{callback}");

    let mut attacker = Browser::new(&stack);
    attacker.cookies.clone_from(&browser.cookies);
    location(&browser.get(&callback).await);
    assert_eq!(
        browser.get(&callback).await.status,
        400,
        "no attempt is left"
    );
    assert_eq!(
        attacker.get(&callback).await.status,
        403,
        "the code was used"
    );
}

#[tokio::test]
async fn rejection_of_the_provider_is_shown() {
    let provider = TokenEndpoint::start().await;
    let stack = provider.deployment(&[]);
    let mut browser = Browser::new(&stack);
    let authorize = begin(&mut browser, "").await;
    let state = &authorize["state"];
    let query = format!("error=access_denied&error_description=not%20<b>today&state={state}");
    let response = browser.get(&format!("callback?{query}")).await;
    assert_eq!(response.status, 403);
    let text = "access_denied not &lt;b&gt;today";
    assert!(response.text.contains(text), "{}", response.text);
}

/// The token endpoint issued a token that the deployment does not accept.
#[tokio::test]
async fn unsuitable_tokens_are_rejected() {
    let provider = TokenEndpoint::start().await;
    let stack = provider.deployment(&[]);
    let other_nonce = |nonce: &str| issued(&stack, &format!("{nonce}x"));
    let forged = |nonce: &str| {
        let valid = id_token(&stack, nonce, 0);
        let (signed, _) = valid.rsplit_once('.').unwrap();
        json!({"id_token": format!("{signed}.{}", "A".repeat(86))})
    };
    let none = |_: &str| json!({"access_token": "opaque"});

    type Issue<'a> = &'a dyn Fn(&str) -> Value;
    let cases: [(Issue, &str); 3] = [
        (&other_nonce, "another sign-in"),
        (&forged, "signature"),
        (&none, "no ID token"),
    ];
    for (issue, text) in cases {
        let mut browser = Browser::new(&stack);
        let authorize = begin(&mut browser, "").await;
        let query = provider.approve(&authorize, issue);
        let response = browser.get(&format!("callback?{query}")).await;
        assert_eq!(response.status, 403, "{text}");
        assert!(response.text.contains(text), "{}", response.text);
        assert!(!browser.cookies.contains_key(SESSION), "{text}");
    }
}

#[tokio::test]
async fn access_token_is_used_on_request() {
    let provider = TokenEndpoint::start().await;
    let stack = provider.deployment(&[("CONSOLE_TOKEN", "access")]);
    let access = id_token(&stack, "", 0);
    for with_id_token in [false, true] {
        let mut browser = Browser::new(&stack);
        let authorize = begin(&mut browser, "").await;
        let query = provider.approve(&authorize, |nonce| {
            let id = with_id_token.then(|| id_token(&stack, nonce, 0));
            json!({"access_token": access, "id_token": id})
        });
        location(&browser.get(&format!("callback?{query}")).await);
        assert_eq!(browser.cookies[SESSION], access);
        assert_eq!(browser.get("catalog").await.status, 200);
    }
}

#[tokio::test]
async fn outage_of_the_provider_is_unavailable() {
    let provider = TokenEndpoint::start().await;
    let stack = provider.deployment(&[("CONSOLE_TOKEN_URL", "http://127.0.0.1:1/token")]);
    let mut browser = Browser::new(&stack);
    let authorize = begin(&mut browser, "").await;
    let query = provider.approve(&authorize, |nonce| issued(&stack, nonce));
    let response = browser.get(&format!("callback?{query}")).await;
    assert_eq!(response.status, 503);
    assert!(response.headers.contains_key(header::RETRY_AFTER));
}

/// A link to the sign-in, or a cookie that another host planted, must not lead to another site.
#[tokio::test]
async fn sign_in_never_leads_elsewhere() {
    let provider = TokenEndpoint::start().await;
    let stack = provider.deployment(&[]);
    for target in [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "../../../evil",
        "help\r\nlocation: https://evil.example",
        "%2F%2Fevil.example",
        "sign-out",
    ] {
        for is_planted in [false, true] {
            let mut browser = Browser::new(&stack);
            let asked = if is_planted { "help" } else { target };
            let authorize = begin(&mut browser, asked).await;
            if is_planted {
                let planted: String = form_urlencoded::byte_serialize(target.as_bytes()).collect();
                let attempt = browser.cookies[ATTEMPT].replace("target=help", "target=");
                browser
                    .cookies
                    .insert(ATTEMPT.to_owned(), format!("{attempt}{planted}"));
            }
            let query = provider.approve(&authorize, |nonce| issued(&stack, nonce));
            let response = browser.get(&format!("callback?{query}")).await;
            assert_eq!(location(&response), "./today", "{target} {is_planted}");
        }
    }
}
