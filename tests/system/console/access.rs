//! Every page and action for every kind of caller. The cases are generated from [`PAGES`].

use std::sync::Arc;

use chrono::Duration;
use tidemark::engine::http::NoHook;
use tidemark_console::{PAGES, Page, Role};
use tidemark_tests::{ApiResponse, Stack};

use super::{
    browser::{Browser, location},
    deployment,
};
use crate::auth::{Key, good_claims};

/// Returns the path of a page with a value in place of each placeholder.
fn path_of(page: &Page) -> String {
    let segments = page.path.split('/').map(|segment| match segment {
        placeholder if placeholder.starts_with('{') => "x",
        text => text,
    });
    segments.collect::<Vec<_>>().join("/")
}

/// Opens a page, or sends a form without fields to an action.
async fn open(browser: &mut Browser<'_>, page: &Page) -> ApiResponse {
    match page.method {
        "GET" => browser.get(&path_of(page)).await,
        _ => browser.post(&path_of(page), "").await,
    }
}

/// Returns whether a response is a page, and not a redirect or a file.
fn is_html(response: &ApiResponse) -> bool {
    let content_type = response.headers.get("content-type");
    content_type.is_some_and(|it| it == "text/html; charset=utf-8")
}

/// Asserts that the response leads to the sign-in: a page is remembered for the return, and a form
/// is not redirected.
fn assert_sign_in(page: &Page, response: &ApiResponse, who: &str) {
    if page.method == "POST" {
        assert_eq!(response.status, 401, "{who}: {}", page.path);
        assert!(response.text.contains("Send again"), "{who}: {}", page.path);
        return;
    }
    let location = location(response);
    let target = path_of(page).replace('/', "%2F");
    let expected = format!("sign-in?target={target}");
    assert!(location.ends_with(&expected), "{who}: {location}");
}

#[tokio::test]
async fn pages_require_valid_session() {
    let stack = deployment();
    let mut expired = good_claims(&stack);
    expired["exp"] = (stack.now() - Duration::seconds(1)).timestamp().into();
    let forged = Key::ed25519(b"not-the-key-of-the-runner-public", "tidemark-development");
    let mut admin = good_claims(&stack);
    admin["roles"] = serde_json::json!(["admin"]);

    let good = stack.token("acme", "ana", &["admin"], &[]);
    let changed = format!("{}x", &good[..good.len() - 1]);
    for (who, token) in [
        ("no session", None),
        ("no token", Some("x".to_owned())),
        ("expired", Some(Key::development().sign(&expired))),
        ("forged", Some(forged.sign(&admin))),
        ("changed", Some(changed)),
    ] {
        for page in PAGES {
            let mut browser = match &token {
                None => Browser::new(&stack),
                Some(token) => Browser::with_token(&stack, token),
            };
            let response = open(&mut browser, page).await;
            assert_sign_in(page, &response, who);
            assert!(browser.cookies.is_empty(), "{who}: the token is deleted");
        }
    }
}

#[tokio::test]
async fn pages_require_one_of_their_roles() {
    let stack = deployment();
    let has = |page: &Page, role: Role| page.roles.contains(&role);
    type Expected<'a> = &'a dyn Fn(&Page) -> bool;
    let cases: [(&[&str], Expected); 5] = [
        (&[], &|_| false),
        (&["editor", "Admin", "viewer "], &|_| false),
        (&["viewer"], &|page| has(page, Role::Viewer)),
        (&["admin"], &|page| {
            has(page, Role::Viewer) || has(page, Role::Admin)
        }),
        (&["operator"], &|page| has(page, Role::Operator)),
    ];

    for (roles, may_use) in cases {
        for page in PAGES {
            let mut browser = Browser::signed_in(&stack, roles);
            let response = open(&mut browser, page).await;
            let place = format!("{} {} by {roles:?}", page.method, page.path);
            assert_ne!(response.status, 500, "{place}");

            let is_allowed = page.roles.is_empty() || may_use(page);
            assert_eq!(response.status != 403, is_allowed, "{place}");
            let shows_user = response.text.contains("Sign out");
            assert_eq!(shows_user, is_html(&response), "{place}");
        }
    }
}

#[tokio::test]
async fn root_leads_to_first_usable_page() {
    let stack = deployment();
    for roles in [&["admin"][..], &["operator"], &[]] {
        let mut browser = Browser::signed_in(&stack, roles);
        let location = location(&browser.get("").await).to_owned();
        let path = location.strip_prefix("./console/").unwrap();
        assert_eq!(browser.get(path).await.status, 200, "{roles:?} {path}");
    }
}

#[tokio::test]
async fn other_tenant_is_the_only_one_shown() {
    let stack = deployment();
    let token = stack.token("umbrella", "eve", &["admin"], &[]);
    for page in PAGES.iter().filter(|page| page.method == "GET") {
        let mut browser = Browser::with_token(&stack, &token);
        let response = open(&mut browser, page).await;
        let (own, other) = ("umbrella", "acme");
        let shows_own = response.text.contains(own);
        assert_eq!(shows_own, is_html(&response), "{}", page.path);
        assert!(!response.text.contains(other), "{}", page.path);
    }
}

#[tokio::test]
async fn forms_of_other_sites_are_rejected() {
    let stack = deployment();
    let further = ["sign-in", "sign-out", "callback", ""].map(ToOwned::to_owned);
    for path in PAGES.iter().map(path_of).chain(further) {
        for headers in [
            &[("origin", "https://evil.example")][..],
            &[("origin", "https://sync.example.evil")],
            &[("origin", "http://sync.example")],
            &[("origin", "null")],
            &[],
            &[
                ("origin", "https://sync.example"),
                ("sec-fetch-site", "cross-site"),
            ],
            &[
                ("origin", "https://sync.example"),
                ("sec-fetch-site", "same-site"),
            ],
            &[
                ("origin", "https://evil.example"),
                ("sec-fetch-site", "same-origin"),
            ],
            &[("sec-fetch-site", "none")],
        ] {
            let mut browser = Browser::signed_in(&stack, &["admin", "operator"]);
            let session = browser.cookies.clone();
            let response = browser.send("POST", &path, headers, "").await;
            assert_eq!(response.status, 403, "{path} {headers:?}");
            assert_eq!(browser.cookies, session, "{path} {headers:?}");
        }
    }
}

#[tokio::test]
async fn own_origin_suffices_for_old_browsers() {
    let stack = deployment();
    let mut browser = Browser::signed_in(&stack, &["admin"]);
    let own = [("origin", "https://sync.example")];
    let response = browser.send("POST", "sign-out", &own, "").await;
    assert_eq!(location(&response), "./signed-out");
}

/// Without a client id, a deployment has no console.
#[tokio::test]
async fn console_is_disabled_without_client_id() {
    let stack = Stack::new();
    let context = stack.parts("console", Arc::new(NoHook));
    let (_, media, dead_letters) = stack.console(Arc::new(NoHook));
    let token = stack.token("acme", "ana", &["admin"], &[]);
    let cookie = format!("{}={token}", super::browser::SESSION);
    let headers = [
        ("cookie", cookie.as_str()),
        ("sec-fetch-site", "same-origin"),
    ];

    let fixed = [
        "",
        "sign-in",
        "callback?code=a&state=b",
        "sign-out",
        "signed-out",
    ];
    let pages = PAGES.iter().map(path_of);
    for path in pages.chain(fixed.map(ToOwned::to_owned)) {
        for method in ["GET", "POST"] {
            let headers = headers.map(|(name, value)| {
                let value = lambda_http::http::HeaderValue::from_str(value).unwrap();
                (lambda_http::http::HeaderName::from_static(name), value)
            });
            let headers = lambda_http::http::HeaderMap::from_iter(headers);
            let event = stack.console_event(method, &path, &headers, b"");
            let request = tidemark_tests::request(&event.to_string());
            let response = tidemark_console::handle(&context, &media, &dead_letters, request).await;
            assert_eq!(response.status(), 404, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn unknown_pages_and_methods_are_not_found() {
    let stack = deployment();
    let mut browser = Browser::signed_in(&stack, &["admin", "operator"]);
    for path in [
        "nothing",
        "help/me",
        "assets/console-0.css",
        "sign-out",
        "%ff",
    ] {
        let response = browser.get(path).await;
        assert_eq!(response.status, 404, "{path}");
        assert!(response.text.contains("<code>request-"), "{path}");
    }
    for method in ["PUT", "DELETE", "OPTIONS"] {
        let response = browser.send(method, "help", &[], "").await;
        assert_eq!(response.status, 404, "{method}");
    }
}
