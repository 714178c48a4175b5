//! The sign-in of the local runner: a form that names any user.

use lambda_http::http::header;
use tidemark_console::{FORM_BYTES_MAX, FORM_FIELDS_MAX, PAGES};
use tidemark_tests::Stack;

use super::browser::{Browser, location};

const LOCAL: &str = "tidemark-session-0";

#[tokio::test]
async fn runner_signs_in_any_user() {
    let stack = Stack::new();
    let mut browser = Browser::new(&stack);
    let redirect = location(&browser.get("catalog").await).to_owned();
    let form = browser.get(redirect.strip_prefix("./").unwrap()).await;
    assert_eq!(form.status, 200);
    let hidden = r#"<input type="hidden" name="target" value="catalog">"#;
    assert!(form.text.contains(hidden), "{}", form.text);

    let fields = "tenant=acme&user=%3Cana%3E&role=viewer&groups=north%2C+south&target=catalog";
    let response = browser.post("sign-in", fields).await;
    assert_eq!(location(&response), "./catalog");
    let cookie = response.headers[header::SET_COOKIE].to_str().unwrap();
    assert!(cookie.starts_with(LOCAL), "{cookie}");
    assert!(
        cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax"),
        "{cookie}"
    );

    let page = browser.get("catalog").await;
    assert_eq!(page.status, 200);
    for text in ["&lt;ana&gt;", "acme", "viewer"] {
        assert!(page.text.contains(text), "{text}");
    }

    location(&browser.post("sign-out", "").await);
    assert!(browser.cookies.is_empty());
}

/// The runner has no TLS, so the origin of its pages begins with `http`.
#[tokio::test]
async fn runner_accepts_only_its_own_forms() {
    let stack = Stack::new();
    let fields = "tenant=acme&user=ana&role=admin";
    for (origin, status) in [
        ("http://sync.example", 303),
        ("https://sync.example", 403),
        ("http://evil.example", 403),
    ] {
        let mut browser = Browser::new(&stack);
        let headers = [("origin", origin)];
        let response = browser.send("POST", "sign-in", &headers, fields).await;
        assert_eq!(response.status, status, "{origin}");
        assert_eq!(
            browser.cookies.contains_key(LOCAL),
            status == 303,
            "{origin}"
        );
    }
}

#[tokio::test]
async fn invalid_names_are_rejected() {
    let stack = Stack::new();
    let long = "a".repeat(257);
    let many = vec!["g"; 101].join(",");
    for (fields, field) in [
        ("user=ana".to_owned(), "tenant"),
        ("tenant=acme&user=+".to_owned(), "user"),
        (format!("tenant={long}&user=ana"), "tenant"),
        (format!("tenant=acme&user=ana&role={long}"), "role"),
        (format!("tenant=acme&user=ana&groups={many}"), "groups"),
    ] {
        let mut browser = Browser::new(&stack);
        let response = browser.post("sign-in", &fields).await;
        assert_eq!(response.status, 400, "{field}");
        let shown = format!("<code>{field}</code>");
        assert!(response.text.contains(&shown), "{}", response.text);
        assert!(browser.cookies.is_empty(), "{field}");
    }
}

/// A deployment has no form, and no code that signs tokens.
#[tokio::test]
async fn deployment_signs_no_tokens() {
    let stack = super::deployment();
    let mut browser = Browser::new(&stack);
    let fields = "tenant=acme&user=ana&role=admin";
    let response = browser.post("sign-in", fields).await;
    assert_eq!(response.status, 404);
    assert!(browser.cookies.is_empty());

    browser.cookies.insert(
        LOCAL.to_owned(),
        stack.token("acme", "ana", &["admin"], &[]),
    );
    let redirect = browser.get("catalog").await;
    assert!(
        location(&redirect).contains("sign-in"),
        "the cookie has another name"
    );
}

#[tokio::test]
async fn forms_and_pages_are_bounded() {
    let stack = super::deployment();
    let mut browser = Browser::signed_in(&stack, &["admin"]);
    let action = PAGES.iter().find(|page| page.method == "POST").unwrap();
    let path = action.path.replace("{id}", "x").replace("{index}", "0");
    let large = format!("a={}", "x".repeat(FORM_BYTES_MAX));
    let many = "a&".repeat(FORM_FIELDS_MAX + 1);
    for (form, status) in [(&large, 413), (&many, 400)] {
        assert_eq!(browser.post(&path, form).await.status, status);
        let mut signed_out = Browser::new(&stack);
        assert_eq!(signed_out.post(&path, form).await.status, status);
    }

    // The body of a GET request is not read.
    let page = browser.send("GET", "help", &[], &large).await;
    assert_eq!(page.status, 200);

    // Each character that is returned in a page takes six bytes.
    let quotes = "\"".repeat(1_000_000);
    let mut signed_out = Browser::new(&stack);
    let page = signed_out.post(&path, &format!("a={quotes}")).await;
    assert_eq!(page.status, 422);
    assert!(page.text.contains("the page would have"), "{}", page.text);
}
