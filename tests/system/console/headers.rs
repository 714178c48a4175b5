//! The headers of every response, the files that pages load, and the escaping of names.

use lambda_http::http::{HeaderValue, header};
use rstest::rstest;
use tidemark::gateway::ApiKind;
use tidemark_aws::entry::{Shape, respond};
use tidemark_console::{PAGES, assets};
use tidemark_tests::ApiResponse;

use super::{browser::Browser, deployment};

/// The policy of a deployment whose provider is `login.example`.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    form-action 'self' https://login.example; base-uri 'none'; frame-ancestors 'none'";

fn assert_protected(response: &ApiResponse, path: &str) {
    for (name, expected) in [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        let values: Vec<_> = response.headers.get_all(name).iter().collect();
        assert_eq!(values, [expected], "{path}: {name}");
    }
    let allowed = response.headers.get(header::ACCESS_CONTROL_ALLOW_ORIGIN);
    assert_eq!(allowed, None, "{path}");

    // The policy forbids inline scripts and styles, which would therefore have no effect.
    for inline in ["<style", " style=", " onclick=", " onload=", "<script>"] {
        assert!(!response.text.contains(inline), "{path}: {inline}");
    }
}

#[rstest]
#[case::rest(ApiKind::Rest)]
#[case::http(ApiKind::Http)]
#[tokio::test]
async fn every_response_is_protected(#[case] api: ApiKind) {
    let stack = deployment().behind(api);
    let pages = PAGES.iter().map(|page| page.path);
    let fixed = [
        "",
        "sign-in",
        "callback",
        "sign-out",
        "signed-out",
        "nothing",
    ];
    for path in pages.chain(fixed).chain(["assets/nothing"]) {
        for roles in [None, Some(&["admin", "operator"][..]), Some(&[])] {
            for method in ["GET", "POST", "PUT"] {
                let mut browser = match roles {
                    None => Browser::new(&stack),
                    Some(roles) => Browser::signed_in(&stack, roles),
                };
                let response = browser.send(method, path, &[], "").await;
                assert_protected(&response, path);
                assert_eq!(
                    response.headers[header::CACHE_CONTROL],
                    "no-store",
                    "{path}"
                );
            }
        }
    }
}

#[rstest]
#[case::rest(ApiKind::Rest)]
#[case::http(ApiKind::Http)]
#[tokio::test]
async fn files_are_found_and_immutable(#[case] api: ApiKind) {
    let stack = deployment().behind(api);
    let mut browser = Browser::signed_in(&stack, &["admin"]);
    let page = browser.get("help").await;
    assert_eq!(page.status, 200);
    let content_type = &page.headers[header::CONTENT_TYPE];
    assert_eq!(content_type, "text/html; charset=utf-8");

    for asset in assets() {
        let reference = format!("\"./{}\"", asset.path);
        assert!(page.text.contains(&reference), "{reference}");

        let response = Browser::new(&stack).get(&asset.path).await;
        assert_protected(&response, &asset.path);
        assert_eq!(
            (response.status, response.text.as_str()),
            (200, asset.content)
        );
        let headers = &response.headers;
        assert_eq!(headers[header::CONTENT_TYPE], asset.content_type);
        let caching = &headers[header::CACHE_CONTROL];
        assert_eq!(caching, "public, max-age=31536000, immutable");
    }
}

#[test]
fn names_of_files_contain_digests() {
    let digests = assets().map(|asset| {
        let name = asset.path.strip_prefix("assets/console-").unwrap();
        name.split('.').next().unwrap().to_owned()
    });
    for digest in &digests {
        assert_eq!(digest.len(), 16, "{digest}");
        assert!(digest.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
    assert!(digests[0] != digests[1] && digests[1] != digests[2]);
}

#[tokio::test]
async fn large_pages_are_compressed() {
    let stack = deployment();
    let mut browser = Browser::signed_in(&stack, &["admin"]);
    let plain = browser.get("help").await;
    let accept = [("accept-encoding", "gzip")];
    let packed = browser.send("GET", "help", &accept, "").await;
    assert_eq!(packed.headers[header::CONTENT_ENCODING], "gzip");
    assert_eq!(packed.headers[header::VARY], "accept-encoding");
    assert_eq!(packed.text, plain.text);
}

#[tokio::test]
async fn names_are_shown_as_text_everywhere() {
    let stack = deployment();
    let (tenant, user) = (
        "<img src=x onerror=alert(1)>",
        "\"><script>x</script>\u{202e}",
    );
    for roles in [&["admin", "operator"][..], &[]] {
        let token = stack.token(tenant, user, roles, &[]);
        for page in PAGES.iter().filter(|page| page.method == "GET") {
            let mut browser = Browser::with_token(&stack, &token);
            let response = browser.get(page.path).await;
            let content_type = &response.headers[header::CONTENT_TYPE];
            if content_type != "text/html; charset=utf-8" {
                continue; // a file is not rendered
            }
            let text = &response.text;
            assert!(
                !text.contains("<img") && !text.contains("<script>"),
                "{text}"
            );
            assert!(text.contains(">&lt;img src=x"), "{text}");
        }
    }
}

#[tokio::test]
async fn address_is_no_markup_on_error_pages() {
    let stack = deployment();
    let mut browser = Browser::signed_in(&stack, &["admin"]);
    for path in ["%3Cimg%20src=x%3E", "help/<img>", "callback?error=<img>"] {
        let response = browser.get(path).await;
        assert!(!response.text.contains("<img"), "{path}");
    }
}

/// An HTTP API accepts one value per header, and cookies in a list.
#[tokio::test]
async fn http_api_receives_cookies_in_a_list() {
    let mut response = lambda_http::Response::new(lambda_http::Body::Empty);
    for cookie in ["a=1; Path=/", "b=2; Path=/"] {
        let cookie = HeaderValue::from_static(cookie);
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }

    let text = respond(Shape::Http, response).unwrap();
    let event: serde_json::Value = serde_json::from_str(text.get()).unwrap();
    assert_eq!(
        event["cookies"],
        serde_json::json!(["a=1; Path=/", "b=2; Path=/"])
    );
    assert_eq!(event["headers"].get("set-cookie"), None);
}

#[tokio::test]
async fn event_without_request_is_not_found() {
    let stack = deployment();
    for event in [
        serde_json::json!(null),
        serde_json::json!({"Records": []}),
        serde_json::json!({"httpMethod": "GET", "path": "//", "headers": {"cookie": 7}}),
        serde_json::json!({"version": "2.0", "cookies": [7, "a", null]}),
    ] {
        let response = ApiResponse::read(stack.deliver("console", &event).await);
        assert!(
            [303, 404].contains(&response.status),
            "{event}: {response:?}"
        );
        assert_protected(&response, &event.to_string());
    }
}
